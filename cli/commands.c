/* SPDX-License-Identifier: MIT
 *
 * The table of commands, and the way from argv to one of them.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#ifndef LOCKSTEP_VERSION
#error "the build defines LOCKSTEP_VERSION"
#endif

const struct cli_command cli_command[] = {
#define COMMAND(name_, group_, text_)                                                  \
    {.name = #name_,                                                                   \
     .group = CLI_GROUP_##group_,                                                      \
     .text = text_,                                                                    \
     .spec = &cli_spec_##name_,                                                        \
     .run = cmd_##name_},
#include "cli/commands.def"
};
const size_t cli_command_count = countof(cli_command);

const struct cli_command *cli_command_find(const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strcmp(cli_command[i].name, name) == 0)
            return &cli_command[i];
    }
    return NULL;
}

const char *cli_group_title(enum cli_group group)
{
    static const char *const title[CLI_GROUP_COUNT] = {
        [CLI_GROUP_RUN] = "Run, record, replay",
        [CLI_GROUP_TRACE] = "Look at traces",
        [CLI_GROUP_PROGRAM] = "Make and read programs",
        [CLI_GROUP_OTHER] = "Other",
    };
    return title[group];
}

const char *cli_command_nearest(const char *word)
{
    const char *nearest = NULL;
    unsigned least = (unsigned)strlen(word) / 3 + 2;
    for (size_t i = 0; i < cli_command_count; i++) {
        unsigned distance = cli_distance(word, cli_command[i].name);
        if (distance < least) {
            least = distance;
            nearest = cli_command[i].name;
        }
    }
    return nearest;
}

static int unknown_command(struct cli *cli, const char *word)
{
    const char *nearest = cli_command_nearest(word);
    const char *what = word[0] == '-' ? "option" : "command";
    if (nearest)
        return ui_usage(cli, "unknown %s '%s'; did you mean '%s'?", what, word,
                        nearest);
    return ui_usage(cli, "unknown %s '%s'; 'lockstep help' lists the commands", what,
                    word);
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
    if (argc < 2)
        return ui_usage(cli, "no command; 'lockstep help' lists them");
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0) {
        ui_out(cli, "lockstep %s\n", LOCKSTEP_VERSION);
        return CLI_YES;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        word = "help";
    const struct cli_command *command = cli_command_find(word);
    if (!command)
        return unknown_command(cli, word);
    cli->command = command;
    int status;
    argc -= 2;
    argv += 2;
    if (!cli_parse(cli, command, &argc, argv, &status))
        return status;
    return command->run(cli, argc, argv);
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {0};
    arena_init(&cli.arena, (size_t)64 << 20);
    ui_init(&cli);
    int status = ui_fini(&cli, dispatch(&cli, argc, argv));
    arena_fini(&cli.arena);
    return status;
}
