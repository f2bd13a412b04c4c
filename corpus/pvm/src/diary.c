/* SPDX-License-Identifier: MIT
 *
 * diary - put the lines of stdin, each with the time, behind what is in a file; then
 * print the file.
 *
 *   diary FILE
 *
 * The file is made if it is not there.  A replay of a recorded run has no files and no
 * clock, and still reads back what was written.
 */
#include "host.h"

enum { LINE_MAX = 512 };

static struct host_in in = {.fd = HOST_STDIN};

static _Noreturn void die(const char *subject, int64_t error)
{
    host_complain("diary", subject, host_error_text(error));
    host_exit(1);
}

static int64_t open_file(const char *path)
{
    int64_t fd = host_open(path, HOST_OPEN_UPDATE);
    if (fd == -HOST_ERR_noent)
        fd = host_open(path, HOST_OPEN_CREATE);
    if (fd < 0)
        die(path, fd);
    return fd;
}

/* Seconds since 1970, with milliseconds. */
static void put_time(struct host_out *out)
{
    uint64_t ms = host_clock(HOST_CLOCK_REAL) / 1000000;
    host_put_u64(out, ms / 1000);
    host_put_byte(out, '.');
    for (uint64_t unit = 100; unit > 0; unit /= 10)
        host_put_byte(out, (uint8_t)('0' + ms / unit % 10));
}

static void append_lines(int64_t fd, const char *path)
{
    struct host_out out = {.fd = fd};
    char line[LINE_MAX];
    bool cut;
    int64_t end = host_seek(fd, 0, HOST_SEEK_END), size;
    if (end < 0)
        die(path, end);
    while ((size = host_get_line(&in, line, LINE_MAX, &cut)) >= 0) {
        put_time(&out);
        host_put_text(&out, "  ");
        host_put(&out, line, (uint64_t)size);
        host_put_text(&out, cut ? "...\n" : "\n");
        host_flush(&out);
    }
    if (in.error != 0 || out.error != 0)
        die(path, out.error != 0 ? out.error : in.error);
}

static void print_file(int64_t fd, const char *path)
{
    struct host_in file = {.fd = fd};
    struct host_out out = {.fd = HOST_STDOUT};
    int64_t start = host_seek(fd, 0, HOST_SEEK_START);
    if (start != 0)
        die(path, start);
    for (int c = host_get(&file); c >= 0; c = host_get(&file))
        host_put_byte(&out, (uint8_t)c);
    host_flush(&out);
    if (file.error != 0 || out.error != 0)
        die(path, file.error != 0 ? file.error : out.error);
}

uint64_t main_(void)
{
    static char buffer[4096];
    struct pvm_bytes args = host_load_args("diary", buffer, sizeof buffer);
    const char *path = pvm_args(&args);
    if (path == NULL || pvm_args(&args) != NULL) {
        host_complain("diary", NULL, "one argument, please: the file");
        host_exit(2);
    }
    int64_t fd = open_file(path);
    append_lines(fd, path);
    print_file(fd, path);
    int64_t closed = host_close(fd);
    if (closed < 0)
        die(path, closed);
    return 0;
}

PVM_EXPORT(0, main_);
