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
#include <string.h>

#define ARENA_MAX ((size_t)4 << 30)

/* The files of a ring; `files` is first, so that its functions take this too. */
struct ring {
    struct replay_ring_files files;
    struct replay_kernel *session;
};

static enum err ring_checkpoint(void *self, trace_ring_put_fn *put, void *to)
{
    struct ring *ring = self;
    return replay_kernel_checkpoint(ring->session, put, to);
}

struct recording {
    struct cli *cli;
    const struct cli_record_kernel *how;
    struct arena arena;
    struct cli_manifest manifest;
    struct replay_kernel_setup setup;
    struct replay_sink_file file;
    struct ring ring;
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

/* The file, or the first segment of a ring. */
static enum err open_sink(struct recording *r, struct trace_sink *ret_sink)
{
    if (!r->how->ring_size) {
        TRY(replay_sink_file_open(&r->file, r->how->output, false));
        *ret_sink = replay_sink_file(&r->file);
        return ERR_ok;
    }
    TRY(replay_ring_files_open(&r->ring.files, r->how->output));
    *ret_sink = replay_sink_file(&r->ring.files.file);
    return ERR_ok;
}

static enum err open_trace(struct recording *r)
{
    const struct trace_ring ring = {
        .self = &r->ring,
        .size_max = r->how->ring_size,
        .open_segment = replay_ring_open_segment,
        .drop_segment = replay_ring_drop_segment,
        .checkpoint = ring_checkpoint,
    };
    struct trace_writer_options writer = r->how->writer;
    struct trace_sink sink;
    writer.ring = r->how->ring_size ? &ring : NULL;
    TRY(open_sink(r, &sink));
    TRY(trace_writer_create(&r->arena, &sink, &writer, &r->writer));
    TRY(trace_record_create(&r->arena, r->writer, r->how->require, &r->trace));
    const struct replay_kernel_options options = {
        .trace = r->trace,
        .checkpoints = {r->how->checkpoint, put_checkpoint, r},
        .engine = r->how->engine,
        .interrupted = os_interrupted};
    TRY(replay_kernel_create(&r->arena, &r->setup, &options, &r->session));
    r->ring.session = r->session;
    return ERR_ok;
}

/* What is left of a ring becomes one file; after an error the segments stay, for
 * `recover`. */
static int join_ring(struct recording *r)
{
    replay_ring_files_close(&r->ring.files);
    enum err err = replay_ring_join(&r->arena, r->how->output, &r->identity);
    if (!err)
        err = replay_sink_file_open(&r->file, r->how->output, true);
    return err ? ui_fail(r->cli, err, r->how->output) : CLI_YES;
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
    return !status && r->how->ring_size ? join_ring(r) : status;
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
                          .ring.files.file = {.fd = -1},
                          .setup = replay_kernel_setup_default()};
    arena_init(&r.arena, ARENA_MAX);
    int status = record(&r);
    replay_kernel_close(r.session);
    replay_sink_file_close(&r.file);
    replay_ring_files_close(&r.ring.files);
    cli_manifest_close(&r.manifest);
    arena_fini(&r.arena);
    return status;
}

/* ---- branches ---- */

struct branching {
    struct recording r; /* for on_step() */
    const struct cli_branch_kernel *how;
    int status;
};

static enum err run_branch(void *self, struct replay_kernel *session)
{
    struct branching *b = self;
    struct cli_manifest *m = &b->r.manifest;
    m->session = session;
    b->status = b->how->manifest ? cli_manifest_publish(m) : CLI_YES;
    if (!b->status)
        b->status = cli_manifest_run(m, b->how->invoke);
    return b->status ? ERR_usage : ERR_ok;
}

int cli_branch_kernel(struct cli *cli, const struct cli_branch_kernel *how,
                      const struct trace_source *source, const struct trace_sink *sink,
                      struct replay_branch_options *branch,
                      struct replay_branch_report *ret_report)
{
    static const char nothing[] = "{}";
    struct branching b = {.r = {.cli = cli}, .how = how};
    struct cli_manifest *m = &b.r.manifest;
    struct bytes json = bytes_of((const uint8_t *)nothing, strlen(nothing));
    int status = how->manifest ? cli_manifest_open(cli, how->manifest, m)
                               : cli_manifest_parse(cli, "--invoke", json, m);
    if (!status) {
        m->on_step = on_step;
        m->self = &b.r;
        m->gas = how->gas;
        branch->kernel = (struct replay_branch_kernel){.self = &b, .run = run_branch};
        os_catch_interrupts();
        replay_branch(source, sink, branch, ret_report);
        status = b.status;
        if (!status && !ret_report->err && m->difference_count)
            status = CLI_NO;
    }
    cli_manifest_close(m);
    return status;
}
