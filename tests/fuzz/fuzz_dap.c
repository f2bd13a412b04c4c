/* SPDX-License-Identifier: MIT
 *
 * Hostile clients of `lockstep dap`, on the trace of the specification's example.  Each
 * line of the input is a message, put into a frame; a line that begins with '!' goes
 * out as it is.  The session ends, with one of its two statuses.
 */
#define _GNU_SOURCE
#include "cli/dap.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(int fd, const void *data, size_t size)
{
    check(write(fd, data, size) == (ssize_t)size);
}

static int client(const uint8_t *data, size_t size)
{
    int fd = memfd_create("client", MFD_CLOEXEC);
    check(fd >= 0);
    while (size) {
        char header[48];
        const uint8_t *newline = memchr(data, '\n', size);
        size_t line = newline ? (size_t)(newline - data) : size;
        if (*data != '!') {
            int length =
                snprintf(header, sizeof header, "Content-Length: %zu\r\n\r\n", line);
            put(fd, header, (size_t)length);
        }
        put(fd, data + (*data == '!'), line - (*data == '!'));
        size -= line + (newline != NULL);
        data += line + (newline != NULL);
    }
    check(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int nowhere = -1;
    struct cli cli = {.quiet = true};
    if (nowhere < 0)
        nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    cli.command = cli_command_find("dap");
    arena_init(&cli.arena, 1 << 20);
    int in = client(data, size);
    int err = dup(2);
    (void)dup2(nowhere, 2); /* complaints are not the news here */
    const struct dap_start start = {.trace = "corpus/trace/worked-example.lks"};
    int status = dap_run(&cli, &start, in, nowhere);
    (void)dup2(err, 2);
    (void)close(err);
    check(status == CLI_YES || status == CLI_UNKNOWN);
    (void)close(in);
    arena_fini(&cli.arena);
    return 0;
}
