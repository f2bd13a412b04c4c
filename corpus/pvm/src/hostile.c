/* SPDX-License-Identifier: MIT
 *
 * hostile - a program that asks for what it must not have: bad addresses, sizes,
 * descriptors, paths and numbers in every host call, one line of output for each.
 *
 * No answer may depend on the host's memory or files, and none may end the run.
 */
#include "host.h"

static struct host_out out = {.fd = HOST_STDOUT};
static const char constant[16] = "read only";
static char buffer[64];

/* Addresses that no program has, or that are only partly its own. */
enum { NOWHERE = 0, FIRST_PAGE = 0xfff };
static const uint64_t far_away = (uint64_t)1 << 63 | 0x1000;
static const uint64_t huge = ~(uint64_t)0;

static void show(const char *what, int64_t answer)
{
    host_put_text(&out, what);
    host_put_text(&out, ": ");
    if (answer < 0)
        host_put_text(&out, host_error_name(answer));
    else
        host_put_i64(&out, answer);
    host_put_byte(&out, '\n');
}

#define SHOW(what, number, ...) show(what, (int64_t)pvm_ecalli(number, __VA_ARGS__).a0)

static void try_descriptors(void)
{
    uint64_t at = pvm_address(buffer);
    SHOW("read from stdout", HOST_read, HOST_STDOUT, at, 1);
    SHOW("write to stdin", HOST_write, HOST_STDIN, at, 1);
    SHOW("read from 3", HOST_read, 3, at, 1);
    SHOW("write to 64", HOST_write, 64, at, 1);
    SHOW("write to 2^32 + 1", HOST_write, ((uint64_t)1 << 32) + 1, at, 1);
    SHOW("read from -1", HOST_read, huge, at, 1);
    SHOW("close 3", HOST_close, 3);
    SHOW("close -1", HOST_close, huge);
    SHOW("seek 3", HOST_seek, 3, 0, 0);
    SHOW("seek whence 3", HOST_seek, HOST_STDIN, 0, 3);
}

static void try_addresses(void)
{
    uint64_t read_only = pvm_address(constant);
    SHOW("read to 0", HOST_read, HOST_STDIN, NOWHERE, 1);
    SHOW("read to 4095", HOST_read, HOST_STDIN, FIRST_PAGE, 1);
    SHOW("read to a constant", HOST_read, HOST_STDIN, read_only, 1);
    SHOW("read beyond 2^63", HOST_read, HOST_STDIN, far_away, 1);
    SHOW("write from 0", HOST_write, HOST_STDOUT, NOWHERE, 1);
    SHOW("write from 4095", HOST_write, HOST_STDOUT, FIRST_PAGE, 2);
    SHOW("write beyond 2^63", HOST_write, HOST_STDOUT, far_away, 1);
    SHOW("write from -1", HOST_write, HOST_STDOUT, huge, 1);
    SHOW("write around the end", HOST_write, HOST_STDOUT, huge, 4096);
    SHOW("random to 0", HOST_random, NOWHERE, 1);
    SHOW("random to a constant", HOST_random, read_only, 1);
    SHOW("random around the end", HOST_random, huge - 15, 32);
    SHOW("arguments to 0", HOST_args, NOWHERE, 4096);
    SHOW("arguments to a constant", HOST_args, read_only, sizeof constant);
}

static void try_paths(void)
{
    SHOW("open at 0", HOST_open, NOWHERE, 4, 0);
    SHOW("open beyond 2^63", HOST_open, far_away, 4, 0);
    SHOW("open a path of 0 bytes", HOST_open, pvm_address("x"), 0, 0);
    SHOW("open a path of 2^64 - 1 bytes", HOST_open, pvm_address("x"), huge, 0);
    SHOW("open with flags 3", HOST_open, pvm_address("nothing"), 7, 3);
    SHOW("open with flags -1", HOST_open, pvm_address("nothing"), 7, huge);
    SHOW("open nothing", HOST_open, pvm_address("nothing"), 7, 0);
    SHOW("update nothing", HOST_open, pvm_address("nothing"), 7, 2);
    SHOW("open above the folder", HOST_open, pvm_address("../CMakeLists.txt"), 17, 0);
    SHOW("open from the root", HOST_open, pvm_address("/etc/passwd"), 11, 0);
    SHOW("open with a NUL inside", HOST_open, pvm_address("no\0thing"), 8, 0);
}

static void try_numbers(void)
{
    SHOW("clock 2", HOST_clock, 2);
    SHOW("clock -1", HOST_clock, huge);
    SHOW("read nothing", HOST_read, HOST_STDIN, pvm_address(buffer), 0);
    SHOW("write nothing", HOST_write, HOST_STDOUT, pvm_address(buffer), 0);
    SHOW("random nothing", HOST_random, pvm_address(buffer), 0);
    SHOW("call 74", 74, 0, 0, 0);
    SHOW("call 127", 127, huge, huge, huge);
    SHOW("arguments to no room", HOST_args, pvm_address(buffer), 0);
}

uint64_t main_(void)
{
    try_descriptors();
    try_addresses();
    try_paths();
    try_numbers();
    host_flush(&out);
    return 0;
}

PVM_EXPORT(0, main_);
