/* SPDX-License-Identifier: MIT */
#include "cli/fs_replay.h"

#include "cli/fs_text.h"
#include "cli/guest.h"
#include "cli/replay_print.h"

#include <inttypes.h>
#include <stdio.h>

enum err cli_fs_replay_open(void *self, const struct replay_fs_setup *setup,
                            struct v86fs_server **ret_server, char ret_detail[120])
{
    struct cli_fs *fs = self;
    char error[CLI_FS_ERROR_SIZE];
    enum err err = cli_fs_restore(setup, fs, error);
    (void)snprintf(ret_detail, 120, "%.119s", error);
    if (!err)
        *ret_server = fs->server;
    return err;
}

/* The request at hand as text, into `text`. */
static void put_request(const struct replay_fs_report *report, struct buf *text)
{
    struct bytes request = bytes_of(report->request, report->request_size);
    cli_fs_frame_text(request, report->features, text);
}

static void print_json(struct cli *cli, const char *path,
                       const struct replay_fs_report *report)
{
    const struct trace_divergence *d = &report->divergence;
    struct buf request;
    ui_json_begin(cli);
    ui_json_text(cli, "file", path);
    ui_json_text(cli, "class", replay_class_name(report->class));
    if (report->detail[0])
        ui_json_text(cli, "detail", report->detail);
    ui_json_u64(cli, "events", report->event_count);
    ui_json_u64(cli, "requests", report->request_count);
    ui_json_bool(cli, "derived", report->derived);
    ui_json_bool(cli, "finished", report->finished);
    ui_json_hex(cli, "identity", bytes_of(report->identity.byte, HASH256_SIZE));
    if (report->diverged) {
        buf_init(&request, 1 << 16);
        put_request(report, &request);
        ui_json_object(cli, "divergence");
        ui_json_u64(cli, "seq", d->seq);
        ui_json_u64(cli, "icount", d->recorded_clock.icount);
        ui_json_text(cli, "kind", d->recorded_name);
        ui_json_text(cli, "field", d->field);
        ui_json_text(cli, "recorded", d->recorded);
        ui_json_text(cli, "replayed", d->produced);
        ui_json_text(cli, "request", buf_string(&request));
        ui_json_close(cli);
        buf_fini(&request);
    }
    ui_json_end(cli);
}

static void print_divergence(struct cli *cli, const char *path,
                             const struct replay_fs_report *report)
{
    const struct trace_divergence *d = &report->divergence;
    struct buf request;
    buf_init(&request, 1 << 16);
    put_request(report, &request);
    ui_out(cli,
           "%s%s: diverged%s at event %" PRIu64 " %s  icount %" PRIu64
           "  queue 1  head 0  chunk at 0x%" PRIx64 "\n",
           ui_color(cli, UI_RED), path, ui_color(cli, UI_PLAIN), d->seq,
           d->recorded_name, d->recorded_clock.icount, d->chunk_offset);
    ui_out(cli, "  %-10s recorded %s\n  %-10s replayed %s\n  request    %s\n", d->field,
           d->recorded, "", d->produced, buf_string(&request));
    ui_out(cli, "again:  lockstep dump --from e:%" PRIu64 " --to e:%" PRIu64 " %s\n",
           d->seq ? d->seq - 1 : 0, d->seq + 1, path);
    buf_fini(&request);
}

int cli_fs_replay_print(struct cli *cli, const char *path,
                        const struct replay_fs_report *report)
{
    char id[CLI_HASH_TEXT_SIZE];
    int status = cli_replay_status(report->class);
    cli_hash_text(&report->identity, id);
    if (cli->json)
        print_json(cli, path, report);
    else if (report->diverged)
        print_divergence(cli, path, report);
    else if (status)
        ui_error(cli, "%s: %s: %s", path, replay_class_name(report->class),
                 report->detail);
    else if (!cli->quiet || report->class != REPLAY_SAME)
        ui_out(cli,
               "%s: %s%s%s: %" PRIu64 " requests, %" PRIu64
               " events, replies %s, id %s\n",
               path, replay_class_name(report->class), report->detail[0] ? ", " : "",
               report->detail, report->request_count, report->event_count,
               report->derived ? "computed again" : "from the trace", id);
    return status;
}
