/* SPDX-License-Identifier: MIT
 *
 * What a command writes, by running it in a child with files for streams.
 */
#ifndef TESTS_UNIT_CLI_CAPTURE_H
#define TESTS_UNIT_CLI_CAPTURE_H

#include "cli/cli.h"

#include "tests/test.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

struct output {
    char out[20000], err[20000];
    int status;
};

static void read_all(FILE *file, char *text, size_t size)
{
    rewind(file);
    text[fread(text, 1, size - 1, file)] = 0;
    fclose(file);
}

/* Run `body` as a command would be run; `out_path` NULL: keep stdout. */
static void capture(struct output *output, const struct cli_command *command,
                    int (*body)(struct cli *cli), const char *out_path)
{
    FILE *out = tmpfile(), *err = tmpfile();
    assert_true(out && err);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct cli cli = {.command = command};
        int fd = out_path ? open(out_path, O_WRONLY) : fileno(out);
        (void)dup2(fd, 1);
        (void)dup2(fileno(err), 2);
        arena_init(&cli.arena, 1 << 20);
        ui_init(&cli);
        int status = ui_fini(&cli, body(&cli));
        arena_fini(&cli.arena);
        _exit(status);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    output->status = WEXITSTATUS(status);
    read_all(out, output->out, sizeof output->out);
    read_all(err, output->err, sizeof output->err);
}

#endif
