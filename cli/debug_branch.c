/* SPDX-License-Identifier: MIT */
#include "cli/debug_branch.h"

#include "cli/guest.h"

#include "base/os.h"
#include "replay/branch.h"
#include "replay/kernel.h"
#include "replay/sink_file.h"

#include <inttypes.h>

static void put_result(const struct replay_branch_report *report, const char *path,
                       struct buf *text)
{
    char words[80];
    (void)cli_guest_status(&report->result, &report->state, words);
    buf_printf(text,
               "%s: branched at icount %" PRIu64 "; %s; %" PRIu64
               " events\nuse: lockstep debug %s\n",
               path, report->from.icount, words, report->event_count, path);
}

static enum err branch(const struct trace_source *source, const struct trace_sink *sink,
                       const struct replay_host *host, uint64_t icount,
                       const char *path, struct buf *text)
{
    const struct replay_branch_options how = {
        .at = {.kind = REPLAY_AT_ICOUNT, .value = icount},
        .standalone = true,
        .zstd_level = 1,
        .interrupted = os_interrupted,
        .host = host,
    };
    struct replay_branch_report report;
    replay_branch(source, sink, &how, &report);
    if (report.err)
        buf_printf(text, "%s\n", report.detail);
    else
        put_result(&report, path, text);
    return report.err;
}

enum err cli_debug_branch(struct cli *cli, const struct trace_source *source,
                          uint64_t icount, const char *path, struct buf *text)
{
    static const struct cli_guest_options world = {.stdin_path = "/dev/null",
                                                   .discard = true};
    struct cli_guest guest;
    struct replay_sink_file file;
    if (replay_pc_is_session(source) || replay_kernel_is(source)) {
        buf_printf(text, "use: lockstep branch TRACE --at %" PRIu64 " -o %s\n", icount,
                   path);
        return ERR_ok;
    }
    if (os_file_exists(path)) {
        buf_printf(text, "%s is there already\n", path);
        return ERR_ok;
    }
    TRY(replay_sink_file_open(&file, path, false));
    struct trace_sink sink = replay_sink_file(&file);
    int status = cli_guest_open_host(cli, &world, &guest);
    enum err err = ERR_usage;
    if (!status)
        err = branch(source, &sink, &guest.host, icount, path, text);
    cli_guest_close(&guest);
    replay_sink_file_close(&file);
    if (err)
        (void)!os_unlink(path);
    return ERR_ok;
}
