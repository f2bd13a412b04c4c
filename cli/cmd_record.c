/* SPDX-License-Identifier: MIT
 *
 * lockstep record: run a guest and write its trace.
 */
#include "cli/engine.h"
#include "cli/guest.h"
#include "cli/pc_guest.h"
#include "cli/record_fs.h"
#include "cli/record_kernel.h"

#include "base/os.h"
#include "replay/sink_file.h"
#include "trace/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const gas_log_word[] = {"ledger", "each", "summary", NULL};
static const char *const sync_word[] = {"none", "chunk", "event", NULL};
static const char *const log_word[] = {"reads", "writes", "caps", NULL};
enum { LOG_READS = 1, LOG_WRITES = 2, LOG_CAPS = 4 };

struct options {
    struct cli_guest_options guest;
    struct cli_engine_options engine;
    const char *output;
    uint32_t gas_log; /* of gas_log_word; the engine's enum begins with NONE */
    uint64_t zstd_level;
    bool raw;
    enum trace_sync sync;
    uint64_t ring_size;
    uint64_t hash_every;
    uint64_t digest_every;
    uint32_t log;
    bool require;
    bool volatile_facts;
    bool exit_status;
    struct cli_record_fs_options fs;
    struct cli_list invoke;
    struct cli_pc_options pc;
    bool embed;
    bool log_ports;
    bool log_bytes;
    uint64_t checkpoint;
};

static const struct options defaults = {
    .guest = CLI_GUEST_DEFAULTS,
    .engine = CLI_ENGINE_DEFAULTS,
    .pc = CLI_PC_DEFAULTS,
    .zstd_level = 1,
    .hash_every = REPLAY_HASH_EVERY,
    .digest_every = REPLAY_DIGEST_EVERY,
};

static const struct cli_option option[] = {
    CLI_STRING(struct options, output, "output", 'o', "FILE",
               "trace to write (default: PROGRAM's name with .lks, here)"),
    CLI_WORD(struct options, gas_log, "gas-log", 0, gas_log_word,
             "pvm, kernel: charges as path, one by one, or as sums (default ledger)"),
    CLI_U64(struct options, zstd_level, "zstd", 0, "N", 1, 9,
            "compression level (default 1)"),
    CLI_FLAG(struct options, raw, "raw", 0, "do not compress"),
    CLI_SIZE(struct options, ring_size, "ring", 0, "SIZE", 1 << 20, UINT64_MAX,
             "pvm, kernel, pc: keep the start and about the last SIZE bytes"),
    CLI_U64(struct options, checkpoint, "checkpoint", 0, "N", 1, UINT64_MAX,
            "pvm, kernel, pc: store the state every N instructions, for quick seeks"),
    CLI_U64(struct options, hash_every, "hash", 0, "N", 0, UINT64_MAX,
            "pvm: gas between hashes of the machine; 0: none (default 2^24)"),
    CLI_U64(struct options, digest_every, "digest", 0, "N", 0, UINT64_MAX,
            "pvm: ecalls between digests of the registers; 0: none (default 16)"),
    CLI_WORDS(
        struct options, log, "log", 0, log_word,
        "pvm, kernel: store what ecalls read, all that they write; published caps"),
    CLI_WORD(
        struct options, sync, "sync", 0, sync_word,
        "pvm, kernel, pc: what survives a power cut (default none: crashes alone)"),
    CLI_FLAG(struct options, require, "require-trace", 0,
             "pvm, kernel: end the run when the trace cannot be written, as pc does"),
    CLI_FLAG(struct options, volatile_facts, "volatile", 0,
             "pvm: store facts about the host too; the identity stays"),
    CLI_FLAG(struct options, exit_status, "exit-status", 0,
             "pvm, pc: answer with the guest's status, as run does"),
    CLI_LIST(struct options, invoke, "invoke", 0, "NAME[:N[:ARG,...]]",
             "kernel: invoke endpoint N of an instance (default: the manifest's run)"),
    CLI_GUEST_OPTIONS(struct options),
    CLI_ENGINE_OPTIONS(struct options),
    CLI_PC_OPTIONS(struct options),
    CLI_FLAG(struct options, embed, "embed", 0,
             "pc: store the images, so that a replay needs no other file"),
    CLI_FLAG(struct options, log_ports, "log-ports", 0, "pc: store every port access"),
    CLI_FLAG(struct options, log_bytes, "log-bytes", 0,
             "pc: store requests and replies of files that can be computed again"),
    CLI_LIST(struct options, fs.fs, "fs", 0, "[NAME=]SPEC",
             "pc, v86fs: a file tree; see lockstep mount --help"),
    CLI_STRING(struct options, fs.listen, "listen", 0, "SOCKET",
               "v86fs: wait there for the client"),
    CLI_STRING(struct options, fs.connect, "connect", 0, "SOCKET",
               "v86fs: the client waits there"),
    CLI_STRING(struct options, fs.fs_record.clock, "fs-clock", 0, "NS",
               "v86fs: a clock from NS on, 1 ms a request (default: real)"),
    CLI_FLAG(struct options, fs.fs_record.digests, "digests-only", 0,
             "v86fs: store no requests: a replay needs the client"),
    CLI_FLAG(struct options, fs.fs_record.replies, "log-replies", 0,
             "v86fs: store all replies, also those computed again"),
    CLI_WORD(struct options, fs.fs_record.confine, "confine", 0, cli_fs_confine_word,
             "v86fs: keep no files but the served ones: auto (default), "
             "always, never"),
    CLI_END,
};

const struct cli_spec cli_spec_record = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"GUEST", 1, 1, "pvm, kernel, pc, or v86fs: the file server alone"},
                   {"PROGRAM", 0, 1,
                    "a raw blob, a standard program or a .polkavm; kernel: a manifest"},
                   {"ARG", 0, CLI_MANY, "arguments for the guest"}},
    .example =
        {{"lockstep record -o wc.lks pvm corpus/pvm/bin/wc.pvm --dir . -- README.md",
          "record a program that reads a file"},
         {"lockstep record kernel corpus/jar/store.json -o store.lks",
          "record instances of the capability kernel"}},
    .exclude = {{"raw", "zstd"},
                {"listen", "connect"},
                {"checkpoint", "ring"},
                {"one-by-one", "engine-stress"}},
    .guests = "pvm kernel pc v86fs",
    .about =
        "Every call of the guest is written with what it read and was answered, and "
        "every gas charge.  Ctrl-C ends the recording at the guest's next block; "
        "the trace is complete up to there.\n\n"
        "GUEST kernel takes a manifest: the caps to publish, and what to invoke.  "
        "docs/kernel.md describes it.",
    .exit_yes = "recorded, whatever the guest did",
    .exit_no = "kernel: an answer is not what the manifest expects",
    .exit_other = "with --exit-status: the guest's, as for run",
    .prints_json = true,
};

/* ---- the file ---- */

/* corpus/pvm/bin/wc.pvm: wc.lks */
static const char *default_output(struct cli *cli, const char *program)
{
    const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;
    const char *dot = strrchr(name, '.');
    size_t stem = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    char *path = arena_alloc(&cli->arena, stem + sizeof ".lks", 1);
    check(path);
    memcpy(path, name, stem);
    memcpy(path + stem, ".lks", sizeof ".lks");
    return path;
}

/* ---- one recording ---- */

/* The files of a ring; `files` is first, so that its functions take this too. */
struct ring {
    struct replay_ring_files files;
    struct replay_session *session;
};

static enum err ring_checkpoint(void *self, trace_ring_put_fn *put, void *to)
{
    struct ring *ring = self;
    return replay_session_checkpoint(ring->session, put, to);
}

struct recording {
    struct cli *cli;
    const struct options *options;
    struct cli_guest guest;
    const char *path;
    struct replay_sink_file file;
    struct ring ring;
    struct trace_writer *writer;
    struct trace *trace;
    struct replay_engine engine;
    bool native;
    struct replay_session *session;
    struct replay_result result;
    struct pvm_state state;
    uint64_t event_count;
    struct hash256 identity;
};

static void apply_options(const struct options *options, struct replay_setup *setup)
{
    static const enum pvm_gas_log gas_log[] = {PVM_GAS_LOG_LEDGER, PVM_GAS_LOG_EACH,
                                               PVM_GAS_LOG_SUMMARY};
    setup->gas_log = gas_log[options->gas_log];
    setup->hash_every = options->hash_every;
    setup->digest_every = options->digest_every;
    setup->log_reads = options->log & LOG_READS;
    setup->log_writes = options->log & LOG_WRITES;
}

/* The file, or the first segment of a ring. */
static enum err open_sink(struct recording *r, struct trace_sink *ret_sink)
{
    if (!r->options->ring_size) {
        TRY(replay_sink_file_open(&r->file, r->path, false));
        *ret_sink = replay_sink_file(&r->file);
        return ERR_ok;
    }
    TRY(replay_ring_files_open(&r->ring.files, r->path));
    *ret_sink = replay_sink_file(&r->ring.files.file);
    return ERR_ok;
}

static enum err open_trace(struct recording *r)
{
    const struct options *options = r->options;
    struct arena *arena = &r->guest.arena;
    const struct trace_ring ring = {
        .self = &r->ring,
        .size_max = options->ring_size,
        .open_segment = replay_ring_open_segment,
        .drop_segment = replay_ring_drop_segment,
        .checkpoint = ring_checkpoint,
    };
    const struct trace_writer_options how = {
        .guest = TRACE_GUEST_PVM,
        .zstd_level = options->raw ? 0 : (unsigned)options->zstd_level,
        .sync = options->sync,
        .ring = options->ring_size ? &ring : NULL,
    };
    struct trace_sink sink;
    TRY(open_sink(r, &sink));
    TRY(trace_writer_create(arena, &sink, &how, &r->writer));
    return trace_record_create(arena, r->writer, options->require, &r->trace);
}

static enum err put_checkpoint(void *self, uint64_t seq,
                               const struct trace_clock *clock,
                               const struct trace_base_part *part, size_t part_count)
{
    struct recording *r = self;
    (void)seq; /* it is the writer's */
    trace_writer_checkpoint(r->writer, clock, part, part_count);
    return r->options->require ? trace_writer_error(r->writer) : ERR_ok;
}

static enum err run(struct recording *r)
{
    const struct replay_session_options how = {
        .trace = r->trace,
        .checkpoints = {r->options->checkpoint, put_checkpoint, r},
        .host = &r->guest.host,
        .engine = r->engine,
        .limit = REPLAY_NO_LIMIT,
        .interrupted = os_interrupted};
    TRY(replay_session_create(&r->guest.arena, &r->guest.setup, &how, &r->session));
    r->ring.session = r->session;
    r->native = pvm_program_native(replay_session_program(r->session));
    os_catch_interrupts();
    enum err err = replay_session_run(r->session, &r->result);
    r->state = *replay_session_state(r->session);
    return err;
}

static void add_facts(struct recording *r)
{
    char number[24];
    trace_writer_add_volatile(r->writer, "program", r->guest.path);
    trace_writer_add_volatile(r->writer, "container",
                              pvm_container_kind_name(r->guest.container.kind));
    trace_writer_add_volatile(r->writer, "engine", r->native ? "recomp" : "interp");
    (void)snprintf(number, sizeof number, "%" PRIu64, os_clock_realtime_ns());
    trace_writer_add_volatile(r->writer, "recorded.ns", number);
    (void)snprintf(number, sizeof number, "%u", os_cpu_count());
    trace_writer_add_volatile(r->writer, "cpu.count", number);
}

/* Close the file whatever happened; the writer's own error comes first. */
static enum err close_trace(struct recording *r, enum err err)
{
    replay_session_close(r->session);
    r->event_count = trace_seq(r->trace);
    trace_close(r->trace);
    if (r->writer && r->options->volatile_facts)
        add_facts(r);
    if (r->writer) {
        enum err written = trace_writer_finish(r->writer, &r->identity);
        err = written ? written : err;
    }
    if (r->options->ring_size && !err) { /* else the segments stay, for `recover` */
        replay_ring_files_close(&r->ring.files);
        err = replay_ring_join(&r->guest.arena, r->path, &r->identity);
        if (!err)
            err = replay_sink_file_open(&r->file, r->path, true);
    }
    return err;
}

/* Segments of a recording that did not end well must not be mixed with new ones. */
static int check_segments(struct cli *cli, const char *path)
{
    struct buf segment;
    int status = CLI_YES;
    buf_init(&segment, 1 << 16);
    replay_segment_path(&segment, path, 0);
    if (segment.err || os_file_exists(buf_string(&segment)))
        status = ui_usage(cli, "%s exists: recover or remove the recording it is of",
                          buf_string(&segment));
    buf_fini(&segment);
    return status;
}

static void print_json(struct recording *r, const char *words, uint64_t size)
{
    struct cli *cli = r->cli;
    ui_json_begin(cli);
    ui_json_text(cli, "file", r->path);
    ui_json_u64(cli, "events", r->event_count);
    ui_json_u64(cli, "ecalls", r->result.ecall_count);
    ui_json_u64(cli, "icount", r->result.clock.icount);
    ui_json_u64(cli, "gas", r->result.clock.gas);
    ui_json_u64(cli, "bytes", size);
    ui_json_hex(cli, "identity", bytes_of(r->identity.byte, HASH256_SIZE));
    ui_json_text(cli, "end", words);
    if (r->result.exited)
        ui_json_u64(cli, "status", r->result.status);
    ui_json_end(cli);
}

static int print(struct recording *r)
{
    char words[80];
    uint64_t size = 0;
    char identity[CLI_HASH_TEXT_SIZE];
    int status = cli_guest_status(&r->result, &r->state, words);
    enum err err = os_size(r->file.fd, &size);
    if (err)
        return ui_fail(r->cli, err, r->path);
    cli_hash_text(&r->identity, identity);
    if (r->cli->json)
        print_json(r, words, size);
    else
        ui_note(r->cli,
                "%s: %s; %" PRIu64 " events, %" PRIu64 " instructions, %" PRIu64
                " gas, %" PRIu64 " bytes, id %s",
                r->path, words, r->event_count, r->result.clock.icount,
                r->result.clock.gas, size, identity);
    return r->options->exit_status ? status : CLI_YES;
}

static int record_fs(struct cli *cli, const struct options *options, int argc)
{
    if (argc > 1)
        return ui_usage(cli, "v86fs takes no program");
    return cli_record_fs(cli, &options->fs,
                         options->output ? options->output : "v86fs.lks",
                         options->raw ? 0 : (unsigned)options->zstd_level);
}

static int record_kernel(struct cli *cli, const struct options *options, int argc,
                         char **argv, const struct replay_engine *engine,
                         const char *path)
{
    static const enum pvm_gas_log gas_log[] = {PVM_GAS_LOG_LEDGER, PVM_GAS_LOG_EACH,
                                               PVM_GAS_LOG_SUMMARY};
    if (argc > 2)
        return ui_usage(cli, "a kernel takes a manifest and no arguments");
    return cli_record_kernel(
        cli,
        &(struct cli_record_kernel){
            .manifest = argv[1],
            .output = path,
            .invoke = &options->invoke,
            .gas = options->guest.gas,
            .gas_log = gas_log[options->gas_log],
            .log_reads = options->log & LOG_READS,
            .log_writes = options->log & LOG_WRITES,
            .log_caps = options->log & LOG_CAPS,
            .writer = {.guest = TRACE_GUEST_PVM,
                       .zstd_level = options->raw ? 0 : (unsigned)options->zstd_level,
                       .sync = options->sync},
            .require = options->require,
            .ring_size = options->ring_size,
            .checkpoint = options->checkpoint,
            .engine = *engine});
}

static int record_pc(struct cli *cli, const struct options *options, int argc,
                     char **argv)
{
    if (argc > 1)
        return ui_usage(cli, "a pc takes --kernel, not '%s'", argv[1]);
    const struct cli_pc_record record = {
        .path = options->output ? options->output : "pc.lks",
        .zstd_level = options->raw ? 0 : (unsigned)options->zstd_level,
        .sync = options->sync,
        .embed = options->embed,
        .log_ports = options->log_ports,
        .log_bytes = options->log_bytes,
        .exit_status = options->exit_status,
        .checkpoint = options->checkpoint,
        .ring_size = options->ring_size,
    };
    int status = cli_output_check(cli, record.path);
    if (!status && record.ring_size)
        status = check_segments(cli, record.path);
    if (status)
        return status;
    return cli_pc_run(cli, &options->pc, &options->guest, &options->fs.fs, &record);
}

int cmd_record(struct cli *cli, int argc, char **argv)
{
    struct recording r = {.cli = cli,
                          .options = cli->options,
                          .file = {.fd = -1},
                          .ring.files.file = {.fd = -1}};
    if (strcmp(argv[0], "pc") == 0)
        return record_pc(cli, r.options, argc, argv);
    if (strcmp(argv[0], "v86fs") == 0)
        return record_fs(cli, r.options, argc);
    if (argc < 2)
        return ui_usage(cli, "PROGRAM is missing; try --help");
    r.path = r.options->output ? r.options->output : default_output(cli, argv[1]);
    int status = cli_engine_read(cli, &r.options->engine, &r.engine);
    if (!status)
        status = cli_output_check(cli, r.path);
    if (!status && r.options->ring_size)
        status = check_segments(cli, r.path);
    if (status)
        return status;
    if (strcmp(argv[0], "kernel") == 0)
        return record_kernel(cli, r.options, argc, argv, &r.engine, r.path);
    status = cli_guest_open(cli, &r.options->guest, argc, argv, &r.guest);
    if (!status) {
        apply_options(r.options, &r.guest.setup);
        enum err err = open_trace(&r);
        if (!err)
            err = run(&r);
        err = close_trace(&r, err);
        status = err ? ui_fail(cli, err, r.path) : print(&r);
    }
    replay_sink_file_close(&r.file);
    replay_ring_files_close(&r.ring.files);
    cli_guest_close(&r.guest);
    return status;
}
