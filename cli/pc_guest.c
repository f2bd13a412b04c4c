/* SPDX-License-Identifier: MIT */
#include "cli/pc_guest.h"

#include "base/hash.h"
#include "base/os.h"
#include "cli/fs_news.h"
#include "cli/fs_replay.h"
#include "cli/guest.h"
#include "replay/branch.h"
#include "replay/sink_file.h"
#include "trace/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FILE_SIZE_MAX = 1 << 30, SCRIPT_SIZE_MAX = 1 << 20 };
enum { LIMIT_STATUS = 124, INTERRUPTED_STATUS = 130 };
#define MEMORY_MAX ((size_t)4 << 30)
#define NS_PER_S UINT64_C(1000000000)

const char *const cli_pc_boot_word[] = {"auto", "linux", "flat", "boot16", "rom", NULL};
const char *const cli_pc_kernel_as_word[] = {"elf", "bzimage", NULL};
const char *const cli_pc_cpu_word[] = {"fpu", "pse", "tsc",  "msr", "cx8",
                                       "sep", "pge", "cmov", NULL};
static const uint32_t feature[] = {EMU_FEATURE_FPU, EMU_FEATURE_PSE, EMU_FEATURE_TSC,
                                   EMU_FEATURE_MSR, EMU_FEATURE_CX8, EMU_FEATURE_SEP,
                                   EMU_FEATURE_PGE, EMU_FEATURE_CMOV};

/* The files of a ring; `files` is first, so that its functions take this too. */
struct pc_ring {
    struct replay_ring_files files;
    struct cli_pc *pc;
};

/* A session on its way; dies with close_all(). */
struct cli_pc {
    struct cli *cli;
    const struct cli_pc_options *options;
    const struct cli_pc_record *record;
    struct arena arena;
    struct buf kernel, initrd, script;
    int out_fd; /* of file=FILE; -1: standard output */
    int in_fd;
    struct replay_pc_live *live;
    struct emu_host host;
    struct cli_fs fs;
    struct cli_fs_news news;
    struct replay_pc_setup setup;
    struct replay_sink_file file;
    struct pc_ring ring;
    struct trace_writer *writer;
    struct trace *trace;
    struct replay_pc *session;
};

/* ---- options ---- */

static int read_config(struct cli *cli, const struct cli_pc_options *options,
                       struct emu_pc_config *config)
{
    uint64_t seconds;
    emu_pc_config_init(config);
    if (options->mem % (1u << 20))
        return ui_usage(cli, "--mem is a whole number of MiB");
    config->ram_size = (uint32_t)options->mem;
    config->ns_per_insn = (uint32_t)options->ns_per_insn;
    if (options->cpu) {
        config->cpu = 0;
        for (unsigned i = 0; i < countof(feature); i++)
            config->cpu |= options->cpu >> i & 1 ? feature[i] : 0;
    }
    if (!options->epoch)
        return CLI_YES;
    if (strcmp(options->epoch, "now") == 0)
        config->epoch = os_clock_realtime_ns();
    else if (cli_number(options->epoch, &seconds) && seconds < NS_PER_S * 10)
        config->epoch = seconds * NS_PER_S;
    else
        return ui_usage(cli, "--epoch is 'now' or seconds since 1970, not '%s'",
                        options->epoch);
    return CLI_YES;
}

static int read_file(struct cli *cli, const char *path, struct buf *buf)
{
    enum err err = path ? os_file_read(path, buf) : ERR_ok;
    return err ? ui_fail(cli, err, path) : CLI_YES;
}

/* blake2b-256 of a text with the number, or of the system's random bytes (2.1). */
static void derive_seed(uint64_t seed, uint8_t ret[EMU_BOOT_SEED_SIZE])
{
    char text[48];
    int size = snprintf(text, sizeof text, "lockstep.pc.seed:%" PRIu64, seed);
    struct hash256 hash = hash256_of(text, (size_t)size);
    memcpy(ret, hash.byte, EMU_BOOT_SEED_SIZE);
}

/* ---- console ---- */

static bool console_out(void *self, struct bytes data)
{
    struct cli_pc *pc = self;
    if (pc->out_fd >= 0)
        return os_write_all(pc->out_fd, data.data, data.size) == ERR_ok;
    ui_out_bytes(pc->cli, data);
    ui_flush(pc->cli);
    return !pc->cli->out_failed;
}

static int open_console(struct cli_pc *pc, const char *console)
{
    if (!console || strcmp(console, "stdio") == 0) {
        pc->in_fd = 0;
        return CLI_YES;
    }
    if (strncmp(console, "script=", 7) == 0)
        return read_file(pc->cli, console + 7, &pc->script);
    if (strncmp(console, "file=", 5) == 0) {
        enum err err = os_open(console + 5, OS_OPEN_CREATE, &pc->out_fd);
        return err ? ui_fail(pc->cli, err, console + 5) : CLI_YES;
    }
    return ui_usage(pc->cli, "--console is stdio, script=FILE or file=FILE, not '%s'",
                    console);
}

static bool serves_files(const struct cli_pc *pc)
{
    return pc->fs.server != NULL;
}

static int open_host(struct cli_pc *pc)
{
    const struct cli_pc_options *options = pc->options;
    uint32_t line;
    int status = open_console(pc, options->console);
    if (status)
        return status;
    const char *until = options->until ? options->until : "";
    const struct replay_pc_live_options live = {
        .out = console_out,
        .out_self = pc,
        .input_fd = pc->in_fd,
        .script = buf_bytes(&pc->script),
        .until = bytes_of(until, strlen(until)),
        .output_max = options->console_max,
        .pace = pc->in_fd >= 0 && os_is_terminal(pc->in_fd),
        .interrupted = os_interrupted,
        .find = serves_files(pc) ? cli_fs_find : NULL,
        .find_self = &pc->fs,
        .note = serves_files(pc) ? cli_fs_news_take : NULL,
        .note_self = &pc->news,
    };
    enum err err =
        serves_files(pc) ? cli_fs_news_open(&pc->arena, &pc->fs, &pc->news) : ERR_ok;
    if (!err)
        err = replay_pc_live_create(&pc->arena, &live, &pc->live, &line);
    if (err == ERR_usage)
        return ui_usage(pc->cli,
                        "%s: line %" PRIu32
                        ": no line of a script; docs/pc.md tells what there is",
                        options->console, line);
    return err ? ui_fail(pc->cli, err, "console") : CLI_YES;
}

/* ---- session ---- */

static int describe(struct cli_pc *pc, uint64_t seed)
{
    const struct cli_pc_options *options = pc->options;
    const char *line = options->append ? options->append : "";
    struct replay_pc_setup *setup = &pc->setup;
    setup->kernel_name = options->kernel;
    setup->initrd_name = options->initrd;
    setup->triple_fault_ok = options->triple_fault_ok;
    setup->embed = pc->record->embed;
    setup->log_ports = pc->record->log_ports;
    setup->boot = (struct emu_boot){.kind = options->boot,
                                    .as_bzimage = options->kernel_as == 1,
                                    .kernel = buf_bytes(&pc->kernel),
                                    .initrd = buf_bytes(&pc->initrd),
                                    .cmdline = bytes_of(line, strlen(line))};
    if (strlen(line) > EMU_BOOT_CMDLINE_MAX)
        return ui_usage(pc->cli, "--append has at most %d bytes", EMU_BOOT_CMDLINE_MAX);
    derive_seed(seed, setup->boot.seed);
    return read_config(pc->cli, options, &setup->config);
}

static int open_fs(struct cli_pc *pc, const struct cli_list *specs)
{
    struct replay_pc_setup *setup = &pc->setup;
    if (!specs->count)
        return CLI_YES;
    int status = cli_fs_open(pc->cli, specs, setup->config.epoch, &pc->fs);
    if (status)
        return status;
    setup->has_fs = true;
    setup->fs.features = pc->options->fs_extensions ? V86FS_FEATURES : 0;
    setup->fs.log_bytes = pc->record->log_bytes;
    enum err err = cli_fs_describe(&pc->fs, &setup->fs);
    return err ? ui_fail(pc->cli, err, "--fs") : CLI_YES;
}

static enum err ring_checkpoint(void *self, trace_ring_put_fn *put, void *to)
{
    struct pc_ring *ring = self;
    return replay_pc_ring_checkpoint(ring->pc->session, put, to);
}

/* The file, or the first segment of a ring. */
static enum err open_sink(struct cli_pc *pc, struct trace_sink *ret_sink)
{
    if (!pc->record->ring_size) {
        TRY(replay_sink_file_open(&pc->file, pc->record->path, false));
        *ret_sink = replay_sink_file(&pc->file);
        return ERR_ok;
    }
    pc->ring.pc = pc;
    TRY(replay_ring_files_open(&pc->ring.files, pc->record->path));
    *ret_sink = replay_sink_file(&pc->ring.files.file);
    return ERR_ok;
}

static int open_trace(struct cli_pc *pc)
{
    const struct cli_pc_record *record = pc->record;
    const struct trace_ring ring = {.self = &pc->ring,
                                    .size_max = record->ring_size,
                                    .open_segment = replay_ring_open_segment,
                                    .drop_segment = replay_ring_drop_segment,
                                    .checkpoint = ring_checkpoint};
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PC,
                                             .zstd_level = record->zstd_level,
                                             .sync = record->sync,
                                             .ring = record->ring_size ? &ring : NULL};
    struct trace_sink sink;
    if (!record->path)
        return CLI_YES;
    if (record->ring_size && record->ring_size < pc->setup.config.ram_size)
        return ui_usage(pc->cli, "--ring of a pc is at least --mem: each of its parts "
                                 "begins with the memory of the machine");
    enum err err = open_sink(pc, &sink);
    if (!err)
        err = trace_writer_create(&pc->arena, &sink, &how, &pc->writer);
    if (!err)
        err = trace_record_create(&pc->arena, pc->writer, true, &pc->trace);
    return err ? ui_fail(pc->cli, err, pc->record->path) : CLI_YES;
}

static enum err put_checkpoint(void *self, uint64_t seq,
                               const struct trace_clock *clock,
                               const struct trace_base_part *part, size_t part_count)
{
    const struct cli_pc *pc = self;
    (void)seq;
    trace_writer_checkpoint(pc->writer, clock, part, part_count);
    return trace_writer_error(pc->writer);
}

static int create(struct cli_pc *pc)
{
    struct emu_boot_problem problem;
    pc->host = replay_pc_live_host(pc->live);
    const struct replay_pc_options how = {
        .host = &pc->host,
        .trace = pc->trace,
        .server = pc->fs.server,
        .trees = {&pc->fs, cli_fs_save, cli_fs_load},
        .hashes = true,
        .checkpoints = {pc->writer ? pc->record->checkpoint : 0, put_checkpoint, pc}};
    enum err err =
        replay_pc_create(&pc->arena, &pc->setup, &how, &pc->session, &problem);
    if (err == ERR_image) {
        ui_error(pc->cli, "%s: %s%s %" PRIu64 " (0x%" PRIx64 ")", pc->options->kernel,
                 problem.name ? problem.name : "", problem.text, problem.value,
                 problem.value);
        return CLI_UNKNOWN;
    }
    if (err)
        return ui_fail(pc->cli, err, "machine");
    replay_pc_live_attach(pc->live, pc->session);
    replay_pc_delay(pc->session, pc->options->fs_delay_ns);
    emu_cpu_one_by_one(replay_pc_machine(pc->session)->cpu, pc->options->one_by_one);
    emu_cpu_stress(replay_pc_machine(pc->session)->cpu, pc->options->engine_stress);
    return CLI_YES;
}

static int open_all(struct cli_pc *pc, uint64_t seed, const struct cli_list *specs)
{
    arena_init(&pc->arena, MEMORY_MAX);
    buf_init(&pc->kernel, FILE_SIZE_MAX);
    buf_init(&pc->initrd, FILE_SIZE_MAX);
    buf_init(&pc->script, SCRIPT_SIZE_MAX);
    if (!pc->options->kernel)
        return ui_usage(pc->cli, "a pc needs --kernel");
    int status = read_file(pc->cli, pc->options->kernel, &pc->kernel);
    if (!status)
        status = read_file(pc->cli, pc->options->initrd, &pc->initrd);
    if (!status)
        status = describe(pc, seed);
    if (!status)
        status = open_fs(pc, specs);
    if (!status)
        status = open_trace(pc);
    if (!status)
        status = open_host(pc);
    return status ? status : create(pc);
}

static void close_all(struct cli_pc *pc)
{
    replay_pc_live_close(pc->live);
    replay_pc_close(pc->session);
    trace_close(pc->trace);
    trace_writer_abandon(pc->writer);
    replay_sink_file_close(&pc->file);
    replay_ring_files_close(&pc->ring.files);
    cli_fs_close(&pc->fs);
    os_close(pc->out_fd);
    buf_fini(&pc->kernel);
    buf_fini(&pc->initrd);
    buf_fini(&pc->script);
    arena_fini(&pc->arena);
}

/* ---- run ---- */

static int stopped(const struct cli_pc *pc, const char **ret_words)
{
    switch (replay_pc_live_stop(pc->live)) {
    case REPLAY_PC_UNTIL:
        *ret_words = "printed the text it was to print";
        return CLI_YES;
    case REPLAY_PC_OUTPUT_MAX:
        *ret_words = "printed more than --max-console";
        return LIMIT_STATUS;
    case REPLAY_PC_INTERRUPTED:
        *ret_words = "interrupted";
        return INTERRUPTED_STATUS;
    case REPLAY_PC_SCRIPT_FAILED:
        ui_error(pc->cli, "%s: line %" PRIu32 " failed", pc->options->console,
                 replay_pc_live_line(pc->live));
        *ret_words = "its script failed";
        return CLI_UNKNOWN;
    case REPLAY_PC_OUT_FAILED:
    case REPLAY_PC_NOT_STOPPED:
        break;
    }
    *ret_words = "its output cannot be written";
    return CLI_UNKNOWN;
}

static int ended(enum emu_reset_cause cause, uint32_t code, const char **ret_words)
{
    static const char *const words[] = {
        [EMU_RESET_NONE] = "still runs",
        [EMU_RESET_KEYBOARD] = "reset by the keyboard controller",
        [EMU_RESET_TRIPLE_FAULT] = "triple fault",
        [EMU_RESET_PORT] = "exit or reset by a port",
        [EMU_RESET_POWER_OFF] = "halted for ever",
    };
    *ret_words = words[cause];
    return (int)code;
}

static int outcome(const struct cli_pc *pc, enum emu_pc_status status,
                   enum emu_reset_cause cause, uint32_t code, const char **ret_words)
{
    switch (status) {
    case EMU_PC_ENDED:
        return ended(cause, code, ret_words);
    case EMU_PC_STOPPED:
        return stopped(pc, ret_words);
    case EMU_PC_LIMIT:
        *ret_words = "--max-insns is reached";
        return LIMIT_STATUS;
    case EMU_PC_IDLE:
        *ret_words = "waits for input that cannot come";
        return LIMIT_STATUS;
    case EMU_PC_CLOCK:
        break;
    }
    *ret_words = "its clock has ended";
    return LIMIT_STATUS;
}

/* Where the guest is, for people who look for the reason. */
static void tell_registers(struct cli *cli, const struct emu_cpu *cpu)
{
    const uint32_t *reg = cpu->reg;
    uint8_t code[8] = {0};
    (void)emu_cpu_peek(cpu, cpu->segment[EMU_CS].base + cpu->eip, code, sizeof code);
    ui_verbose(cli,
               "eax=%08x ecx=%08x edx=%08x ebx=%08x esp=%08x ebp=%08x esi=%08x "
               "edi=%08x",
               reg[EMU_EAX], reg[EMU_ECX], reg[EMU_EDX], reg[EMU_EBX], reg[EMU_ESP],
               reg[EMU_EBP], reg[EMU_ESI], reg[EMU_EDI]);
    ui_verbose(cli,
               "eip=%04x:%08x (%02x %02x %02x %02x %02x %02x %02x %02x) eflags=%08x "
               "cr0=%08x cr2=%08x cr3=%08x cr4=%08x",
               cpu->segment[EMU_CS].selector, cpu->eip, code[0], code[1], code[2],
               code[3], code[4], code[5], code[6], code[7], cpu->eflags, cpu->cr0,
               cpu->cr2, cpu->cr3, cpu->cr4);
    const struct emu_undefined *undefined = emu_cpu_undefined(cpu);
    for (uint32_t i = 0; i < undefined->kinds; i++)
        ui_verbose(cli, "undefined instruction %02x %02x %02x %02x",
                   undefined->bytes[i][0], undefined->bytes[i][1],
                   undefined->bytes[i][2], undefined->bytes[i][3]);
}

static enum err join_ring(struct cli_pc *pc, struct hash256 *ret_identity)
{
    replay_ring_files_close(&pc->ring.files);
    TRY(replay_ring_join(&pc->arena, pc->record->path, ret_identity));
    return replay_sink_file_open(&pc->file, pc->record->path, true);
}

/* Close the trace and say what is in it. */
static int finish_trace(struct cli_pc *pc, enum emu_pc_status how)
{
    struct hash256 identity = {0};
    char text[CLI_HASH_TEXT_SIZE];
    uint64_t size = 0;
    enum err err = replay_pc_end(pc->session, how);
    uint64_t events = trace_seq(pc->trace);
    trace_close(pc->trace);
    pc->trace = NULL;
    enum err written = trace_writer_finish(pc->writer, &identity);
    pc->writer = NULL;
    if (!err)
        err = written;
    if (!err && pc->record->ring_size) /* else the segments stay, for `recover` */
        err = join_ring(pc, &identity);
    if (!err)
        err = os_size(pc->file.fd, &size);
    if (err)
        return ui_fail(pc->cli, err, pc->record->path);
    cli_hash_text(&identity, text);
    ui_note(pc->cli, "%s: %" PRIu64 " events, %" PRIu64 " bytes, id %s",
            pc->record->path, events, size, text);
    return CLI_YES;
}

static int run(struct cli_pc *pc)
{
    const char *words;
    uint64_t start = os_clock_cpu_ns();
    enum emu_pc_status how = replay_pc_run(pc->session, pc->options->insns_max);
    const struct emu_cpu *cpu = replay_pc_machine(pc->session)->cpu;
    uint64_t ns = os_clock_cpu_ns() - start;
    replay_pc_live_flush(pc->live);
    int status = outcome(pc, how, replay_pc_machine(pc->session)->cause,
                         replay_pc_code(pc->session, how), &words);
    ui_note(pc->cli, "%s: %s, %" PRIu64 " instructions, %.2f s, %.0f MIPS",
            pc->options->kernel, words, cpu->icount, (double)ns / 1e9,
            ns ? (double)cpu->icount * 1e3 / (double)ns : 0.0);
    tell_registers(pc->cli, cpu);
    if (!pc->trace)
        return status;
    int recorded = finish_trace(pc, how);
    return recorded || !pc->record->exit_status ? recorded : status;
}

int cli_pc_run(struct cli *cli, const struct cli_pc_options *options,
               const struct cli_guest_options *guest, const struct cli_list *fs,
               const struct cli_pc_record *record)
{
    uint64_t seed;
    bool random = false;
    struct cli_pc pc = {.cli = cli,
                        .options = options,
                        .record = record,
                        .out_fd = -1,
                        .in_fd = -1,
                        .file = {.fd = -1},
                        .ring.files.file = {.fd = -1}};
    os_catch_interrupts();
    int status = cli_guest_seed(cli, guest, &random, &seed);
    if (random)
        os_random(&seed, sizeof seed);
    if (!status)
        status = open_all(&pc, seed, fs);
    if (!status)
        status = run(&pc);
    close_all(&pc);
    return status;
}

/* ---- branch ---- */

enum { REOPENED_ID = 1 << 24 }; /* ids of trees that are opened anew */

struct replay_pc_follow_options cli_pc_follow(struct cli_fs *fs)
{
    return (struct replay_pc_follow_options){.open = cli_fs_replay_open,
                                             .open_self = fs,
                                             .save = cli_fs_save,
                                             .load = cli_fs_load};
}

/* A branch on its way. */
struct pc_branch {
    struct cli_pc pc;
    const struct cli_list *specs;
    bool failed; /* after a message */
};

/* Trees that were outside come back as they are now: their roots are what they were,
 * everything else that the guest knows of them is stale. */
static int reopen_fs(struct pc_branch *b, const struct replay_pc_setup *setup)
{
    struct cli_pc *pc = &b->pc;
    if (!b->specs->count)
        return ui_usage(pc->cli, "its trees were outside of the trace: give --fs");
    int status = cli_fs_open(pc->cli, b->specs, setup->config.epoch, &pc->fs);
    if (status)
        return status;
    if (pc->fs.export_count != setup->fs.export_count)
        return ui_usage(pc->cli, "--fs: the trace has %zu trees, not %zu",
                        setup->fs.export_count, pc->fs.export_count);
    for (size_t i = 0; i < setup->fs.export_count; i++) {
        if (strcmp(setup->fs.export[i].name, pc->fs.export[i].spec.name) != 0)
            return ui_usage(pc->cli, "--fs: tree %zu of the trace is called '%s'", i,
                            setup->fs.export[i].name);
    }
    v86fs_server_take_over(pc->fs.server, REOPENED_ID);
    return CLI_YES;
}

static enum err open_live(void *self, struct replay_pc *session,
                          const struct replay_pc_setup *setup,
                          struct emu_host *ret_host, struct v86fs_server **ret_server)
{
    struct pc_branch *b = self;
    struct cli_pc *pc = &b->pc;
    bool outside = setup->has_fs && !setup->fs.derived;
    b->failed = true;
    if (outside ? reopen_fs(b, setup) : 0)
        return ERR_usage;
    if (!outside && b->specs->count) {
        (void)ui_usage(pc->cli, "--fs: the trees of the trace are there already");
        return ERR_usage;
    }
    if (open_host(pc))
        return ERR_usage;
    if (outside)
        cli_fs_news_of_roots(&pc->news);
    b->failed = false;
    pc->session = session;
    replay_pc_live_attach(pc->live, session);
    replay_pc_delay(session, pc->options->fs_delay_ns);
    emu_cpu_one_by_one(replay_pc_machine(session)->cpu, pc->options->one_by_one);
    *ret_host = replay_pc_live_host(pc->live);
    *ret_server = outside ? pc->fs.server : NULL;
    return ERR_ok;
}

static void print_branch(struct cli *cli, const char *output, const char *words,
                         const struct replay_branch_report *report)
{
    char id[CLI_HASH_TEXT_SIZE];
    cli_hash_text(&report->identity, id);
    if (!cli->json) {
        ui_note(cli,
                "%s: branched at %" PRIu64 "+%" PRIu64 ", event %" PRIu64
                "; %s; %" PRIu64 " events, %" PRIu64 " instructions, id %s",
                output, report->from.icount, report->from.sub, report->parent_seq,
                words, report->event_count, report->end.icount, id);
        return;
    }
    ui_json_begin(cli);
    ui_json_text(cli, "file", output);
    ui_json_u64(cli, "parent_events", report->parent_seq);
    ui_json_u64(cli, "from_icount", report->from.icount);
    ui_json_u64(cli, "from_sub", report->from.sub);
    ui_json_u64(cli, "events", report->event_count);
    ui_json_u64(cli, "icount", report->end.icount);
    ui_json_text(cli, "end", words);
    ui_json_u64(cli, "code", report->code);
    ui_json_hex(cli, "parent", bytes_of(report->parent.byte, HASH256_SIZE));
    ui_json_hex(cli, "identity", bytes_of(report->identity.byte, HASH256_SIZE));
    ui_json_end(cli);
}

static int run_branch(struct pc_branch *b, const struct trace_source *source,
                      const struct trace_sink *sink, const char *output,
                      bool exit_status, const struct replay_branch_options *how)
{
    struct cli *cli = b->pc.cli;
    struct replay_branch_report report;
    const char *words;
    os_catch_interrupts();
    replay_branch(source, sink, how, &report);
    if (b->pc.live)
        replay_pc_live_flush(b->pc.live);
    if (report.err && b->failed)
        return CLI_USAGE;
    if (report.err) {
        ui_error(cli, "%s: %s", output, report.detail);
        return CLI_UNKNOWN;
    }
    int status = outcome(&b->pc, report.status, report.cause, report.code, &words);
    print_branch(cli, output, words, &report);
    return exit_status ? status : CLI_YES;
}

int cli_pc_branch(struct cli *cli, const struct cli_pc_options *options,
                  const struct cli_list *fs, bool exit_status, const char *output,
                  const struct trace_source *source, const struct trace_sink *sink,
                  struct replay_branch_options *how)
{
    struct pc_branch b = {.pc = {.cli = cli,
                                 .options = options,
                                 .out_fd = -1,
                                 .in_fd = -1,
                                 .file = {.fd = -1},
                                 .ring.files.file = {.fd = -1}},
                          .specs = fs};
    const struct replay_pc_follow_options follow = cli_pc_follow(&b.pc.fs);
    arena_init(&b.pc.arena, MEMORY_MAX);
    buf_init(&b.pc.script, SCRIPT_SIZE_MAX);
    how->pc = &follow;
    how->live = (struct replay_branch_pc){
        .self = &b, .open = open_live, .insns_max = options->insns_max};
    int status = run_branch(&b, source, sink, output, exit_status, how);
    b.pc.session = NULL; /* it died with the branch */
    close_all(&b.pc);
    return status;
}
