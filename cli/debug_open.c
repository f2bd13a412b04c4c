/* SPDX-License-Identifier: MIT */
#include "cli/debug_open.h"

#include <inttypes.h>

int cli_debug_open(struct cli *cli, struct cli_debug *d, const char *path,
                   const char *parent, const struct replay_timeline_options *options)
{
    char message[REPLAY_DEBUG_MESSAGE_SIZE];
    *d = (struct cli_debug){.cli = cli, .path = path, .file = {.fd = -1}};
    enum err err = replay_source_file_open(&d->file, path);
    if (err)
        return ui_fail(cli, err, path);
    d->source = replay_source_file(&d->file);
    if (cli_family_open(path, parent, &d->source, &d->family, message)) {
        ui_error(cli, "%s: %s", path, message);
        return CLI_UNKNOWN;
    }
    if (replay_debug_open(&d->source, &d->debug, message)) {
        ui_error(cli, "%s: %s", path, message);
        return CLI_UNKNOWN;
    }
    if (d->debug.damage)
        ui_note(cli, "%s: %s; what is in front of that can be visited", path,
                err_text(d->debug.damage));
    err = replay_timeline_create(&d->debug.guest, options, &d->timeline);
    if (!err)
        err = replay_query_init(&d->query, &d->source, &d->debug, d->timeline);
    return err ? ui_fail(cli, err, path) : CLI_YES;
}

void cli_debug_close(struct cli_debug *d)
{
    replay_query_fini(&d->query);
    replay_timeline_close(d->timeline);
    replay_debug_close(&d->debug);
    cli_family_close(&d->family);
    replay_source_file_close(&d->file);
}

int cli_debug_go(struct cli_debug *d, const char *position)
{
    enum err err = replay_query_go(&d->query, position);
    if (err == ERR_usage)
        return ui_usage(d->cli, "'%s' is no position", position);
    if (err == ERR_not_found) {
        ui_error(d->cli, "%s: there is no position '%s'", d->path, position);
        return CLI_UNKNOWN;
    }
    if (err) {
        ui_error(d->cli, "%s: at icount %" PRIu64 ": %s", d->path,
                 replay_timeline_now(d->timeline).icount, err_text(err));
        return CLI_UNKNOWN;
    }
    return CLI_YES;
}
