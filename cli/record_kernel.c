/* SPDX-License-Identifier: MIT
 *
 * lockstep record kernel: publish what a manifest describes, invoke, write the trace.
 */
#include "cli/record_kernel.h"

#include "base/os.h"
#include "cli/manifest.h"
#include "replay/sink_file.h"
#include "trace/checkpoint.h"

#include <inttypes.h>

#define ARENA_MAX ((size_t)4 << 30)

struct recording {
    struct cli *cli;
    const struct cli_record_kernel *how;
    struct arena arena;
    struct cli_manifest manifest;
    struct replay_kernel_setup setup;
    struct replay_sink_file file;
    struct trace_writer *writer;
    struct trace *trace;
    struct replay_kernel *session;
    struct hash256 identity;
    uint64_t event_count;
};

static void on_step(void *self, const struct cli_manifest_step *step)
{
    struct recording *r = self;
    const char *error = kernel_error_name(step->outcome->error);
    if (r->cli->json) {
        ui_json_begin(r->cli);
        ui_json_u64(r->cli, "step", step->number);
        ui_json_text(r->cli, "what", step->what);
        ui_json_u64(r->cli, "exit_reason", step->result->exit_reason);
        ui_json_u64(r->cli, "exit_arg", step->result->exit_arg);
        ui_json_u64(r->cli, "value", step->result->return_value);
        ui_json_u64(r->cli, "gas_used", step->outcome->gas_used);
        ui_json_text(r->cli, "error", error);
        if (step->differs)
            ui_json_text(r->cli, "differs", step->differs);
        ui_json_end(r->cli);
        return;
    }
    ui_note(r->cli,
            "step %" PRIu64 ": %s: exit %" PRIu32 ", arg %" PRIu32 ", value %" PRIu64
            ", gas %" PRIu64 "%s%s",
            step->number, step->what, step->result->exit_reason, step->result->exit_arg,
            step->result->return_value, step->outcome->gas_used,
            step->outcome->error ? ", " : "", step->outcome->error ? error : "");
    if (step->differs)
        ui_error(r->cli, "%s: step %" PRIu64 ": %s", r->manifest.path, step->number,
                 step->differs);
}

static enum err put_checkpoint(void *self, uint64_t seq,
                               const struct trace_clock *clock,
                               const struct trace_base_part *part, size_t part_count)
{
    struct recording *r = self;
    (void)seq; /* it is the writer's */
    trace_writer_checkpoint(r->writer, clock, part, part_count);
    return r->how->require ? trace_writer_error(r->writer) : ERR_ok;
}

static enum err open_trace(struct recording *r)
{
    TRY(replay_sink_file_open(&r->file, r->how->output, false));
    struct trace_sink sink = replay_sink_file(&r->file);
    TRY(trace_writer_create(&r->arena, &sink, &r->how->writer, &r->writer));
    TRY(trace_record_create(&r->arena, r->writer, r->how->require, &r->trace));
    const struct replay_kernel_options options = {
        .trace = r->trace,
        .checkpoints = {r->how->checkpoint, put_checkpoint, r},
        .engine = r->how->engine,
        .interrupted = os_interrupted};
    return replay_kernel_create(&r->arena, &r->setup, &options, &r->session);
}

/* The trace is closed whatever has happened: what is in it happened too. */
static int close_trace(struct recording *r, int status)
{
    enum err err = ERR_ok;
    if (r->session)
        err = replay_kernel_finish(r->session, status ? 1 : 0);
    if (r->session && err && !status)
        status = ui_fail(r->cli, err, r->how->output);
    r->event_count = r->trace ? trace_seq(r->trace) : 0;
    trace_close(r->trace);
    if (r->writer) {
        err = trace_writer_finish(r->writer, &r->identity);
        if (err && !status)
            status = ui_fail(r->cli, err, r->how->output);
    }
    return status;
}

static int print(struct recording *r)
{
    struct cli *cli = r->cli;
    struct replay_kernel_totals totals = replay_kernel_totals(r->session);
    uint64_t size = 0;
    enum err err = os_size(r->file.fd, &size);
    if (err)
        return ui_fail(cli, err, r->how->output);
    if (cli->json) {
        ui_json_begin(cli);
        ui_json_text(cli, "file", r->how->output);
        ui_json_u64(cli, "events", r->event_count);
        ui_json_u64(cli, "ecalls", totals.ecall_count);
        ui_json_u64(cli, "icount", totals.clock.icount);
        ui_json_u64(cli, "gas", totals.clock.gas);
        ui_json_u64(cli, "bytes", size);
        ui_json_hex(cli, "identity", bytes_of(r->identity.byte, HASH256_SIZE));
        ui_json_u64(cli, "steps", r->manifest.step_count);
        ui_json_u64(cli, "differences", r->manifest.difference_count);
        ui_json_end(cli);
    } else {
        struct buf id;
        buf_init(&id, 128);
        for (int i = 0; i < HASH256_SIZE; i++)
            buf_printf(&id, "%02x", r->identity.byte[i]);
        ui_note(
            cli,
            "%s: %" PRIu64 " steps, %" PRIu64 " ecalls; %" PRIu64 " events, %" PRIu64
            " instructions, %" PRIu64 " gas, %" PRIu64 " bytes, id %s",
            r->how->output, r->manifest.step_count, totals.ecall_count, r->event_count,
            totals.clock.icount, totals.clock.gas, size, buf_string(&id));
        buf_fini(&id);
    }
    return r->manifest.difference_count ? CLI_NO : CLI_YES;
}

static int record(struct recording *r)
{
    const struct cli_record_kernel *how = r->how;
    int status = cli_manifest_open(r->cli, how->manifest, &r->manifest);
    r->manifest.on_step = on_step;
    r->manifest.self = r;
    r->manifest.gas = how->gas;
    r->setup.gas_log = how->gas_log;
    r->setup.log_reads = how->log_reads;
    r->setup.log_writes = how->log_writes;
    r->setup.log_caps = how->log_caps;
    if (!status)
        status = cli_manifest_setup(&r->manifest, &r->setup);
    if (status)
        return status;
    os_catch_interrupts();
    enum err err = open_trace(r);
    if (err)
        status = ui_fail(r->cli, err, how->output);
    r->manifest.session = r->session;
    if (!status)
        status = cli_manifest_publish(&r->manifest);
    if (!status)
        status = cli_manifest_run(&r->manifest, how->invoke);
    status = close_trace(r, status);
    return status ? status : print(r);
}

int cli_record_kernel(struct cli *cli, const struct cli_record_kernel *how)
{
    struct recording r = {.cli = cli,
                          .how = how,
                          .file = {.fd = -1},
                          .setup = replay_kernel_setup_default()};
    arena_init(&r.arena, ARENA_MAX);
    int status = record(&r);
    replay_kernel_close(r.session);
    replay_sink_file_close(&r.file);
    cli_manifest_close(&r.manifest);
    arena_fini(&r.arena);
    return status;
}
