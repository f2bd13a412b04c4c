/* SPDX-License-Identifier: MIT
 *
 * lockstep debug: a recorded run under gdb, forwards and backwards.
 */
#include "cli/debug_open.h"
#include "cli/debug_serve.h"
#include "cli/native.h"

#include "base/os.h"
#include "base/os_program.h"
#include "base/os_stream.h"
#include "link/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SYMBOL_SIZE_MAX = 1 << 30, GDB_WORD_MAX = 64, ACCEPT_NS = 50000000 };

struct options {
    const char *at;
    const char *server;
    const char *batch;
    const char *symbols;
    const char *gdb;
    uint64_t memory;
    uint64_t spacing;
};

static const struct options defaults = {.memory = (uint64_t)512 << 20,
                                        .spacing = 2000000};

static const struct cli_option option[] = {
    CLI_STRING(struct options, at, "at", 't', "POSITION", "begin there"),
    CLI_STRING(struct options, server, "server", 0, "PORT|PATH",
               "start no gdb: wait for clients at 127.0.0.1:PORT, or a socket file"),
    CLI_STRING(struct options, batch, "batch", 0, "SCRIPT",
               "run gdb's commands in a file, then end"),
    CLI_STRING(struct options, symbols, "symbols", 0, "ELF",
               "debug information of the program: OUT.dbg of lockstep link -g"),
    CLI_STRING(struct options, gdb, "gdb", 0, "PROGRAM",
               "the gdb to start (default gdb-multiarch; gdb for a pc)"),
    CLI_SIZE(struct options, memory, "memory", 0, "SIZE", 1 << 20, UINT64_MAX,
             "memory for snapshots (default 512M)"),
    CLI_U64(struct options, spacing, "spacing", 0, "N", 1, UINT64_MAX,
            "instructions between two snapshots (default 2000000)"),
    CLI_END,
};

const struct cli_spec cli_spec_debug = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"TRACE", 1, 1, "a trace"},
                   {"ARGUMENT", 0, GDB_WORD_MAX, "for gdb, behind --"}},
    .example = {{"lockstep debug run.lks",
                 "step, break, watch, and all of it backwards"},
                {"lockstep debug --at e:120 --batch look.gdb run.lks",
                 "run a script from event 120 on"}},
    .about =
        "Starts gdb-multiarch (gdb itself knows no RISC-V, as which PVM code is "
        "shown), "
        "or gdb for a pc, at the beginning of the recorded run.  Besides everything "
        "that gdb does with "
        "a program that it can run backwards, there is `seek POSITION`, and `monitor "
        "help` lists what else can be asked.\n\n"
        "Without --symbols the disassembly is the source text.  Registers and memory "
        "cannot be changed: it is a replay.\n\n"
        "A POSITION is N (instructions), e:N (event), g:N (gas), out:N (byte of "
        "output), N%, start, end, +N, -N or #NAME.",
    .exit_yes = "gdb has ended; with --batch: its script ran through",
    .exit_other = "gdb's own status",
};

struct session {
    struct cli *cli;
    const struct options *options;
    struct cli_debug debug;
    struct cli_serve serve;
    struct replay_gdb *gdb;
    struct cli_native native;
    bool native_tried, native_there;
    char folder[64], socket[96], listing[96], elf[96], init[96];
};

/* ---- what the stub asks of us ---- */

static enum err save_bookmark(void *self, const struct trace_bookmark *bookmark)
{
    struct session *s = self;
    struct replay_sink_file file;
    TRY(replay_sink_file_open(&file, s->debug.path, true));
    struct trace_sink sink = replay_sink_file(&file);
    enum err err = trace_annotate(&s->debug.source, &sink, NULL, bookmark);
    replay_sink_file_close(&file);
    return err;
}

static const struct pvm_program *program_of(const struct session *s)
{
    const struct replay_guest *guest = &s->debug.debug.guest;
    return guest->ops->program ? guest->ops->program(guest->self) : NULL;
}

static bool native(void *self, uint64_t pc, struct buf *text)
{
    struct session *s = self;
    const struct pvm_program *program = program_of(s);
    const struct pvm_recomp_options how = {0};
    struct cli_native_line line;
    if (program && !s->native_tried) {
        s->native_tried = true;
        s->native_there = !cli_native_open(&s->cli->arena, pvm_program_code(program),
                                           pvm_program_config(program),
                                           PVM_GAS_LOG_NONE, &how, &s->native);
    }
    uint64_t offset = pc - s->debug.debug.guest.ops->code_base;
    if (!s->native_there || offset > UINT32_MAX ||
        !cli_native_find(&s->native, (uint32_t)offset, &line))
        return false;
    size_t before = text->size;
    while (cli_native_next(&s->native, &line))
        buf_printf(text, "%6" PRIx32 ": %s\n", line.offset, line.text);
    return text->size > before;
}

/* The first event that is not the same in both; the readers are at their beginnings. */
static enum err first_difference(struct trace_reader *ours, struct trace_reader *theirs,
                                 struct buf *text)
{
    for (;;) {
        struct trace_record a, b;
        struct trace_divergence divergence;
        bool a_end, b_end;
        TRY(trace_reader_next(ours, &a, &a_end));
        TRY(trace_reader_next(theirs, &b, &b_end));
        if (a_end && b_end) {
            buf_text(text, "the events are the same\n");
            return ERR_ok;
        }
        if (a_end || b_end) {
            buf_printf(text, "the same, but %s ends first\n",
                       a_end ? "this trace" : "the other");
            return ERR_ok;
        }
        if (trace_record_equal(&a, &b, &divergence))
            continue;
        buf_printf(text,
                   "event %" PRIu64 " %s: %s is %s here, %s there\nuse: seek e:%" PRIu64
                   "\n",
                   a.seq, a.kind->wire, divergence.field, divergence.recorded,
                   divergence.produced, a.seq);
        return ERR_ok;
    }
}

static enum err diff(void *self, const char *path, struct buf *text)
{
    struct session *s = self;
    struct replay_source_file file;
    struct arena arena;
    struct trace_reader *ours = NULL, *theirs = NULL;
    TRY(replay_source_file_open(&file, path));
    struct trace_source source = replay_source_file(&file);
    arena_init(&arena, (size_t)256 << 20);
    enum err err = trace_reader_open(&arena, &s->debug.source, NULL, NULL, &ours);
    if (!err)
        err = trace_reader_open(&arena, &source, NULL, NULL, &theirs);
    if (!err)
        err = first_difference(ours, theirs, text);
    trace_reader_close(ours);
    trace_reader_close(theirs);
    arena_fini(&arena);
    replay_source_file_close(&file);
    return err;
}

static int open_stub(struct session *s, bool local)
{
    /* Only gdb that we have started may name files. */
    const struct replay_gdb_options how = {
        .save_bookmark = local ? save_bookmark : NULL,
        .native = native,
        .diff = local ? diff : NULL,
        .self = s,
    };
    enum err err = replay_gdb_create(&s->debug.query, &how, &s->gdb);
    return err ? ui_fail(s->cli, err, s->debug.path) : CLI_YES;
}

/* ---- a server for clients that others start ---- */

static int serve_at(struct session *s, int listener)
{
    while (!os_interrupted()) {
        int fd;
        enum err err = os_stream_accept(listener, os_stream_deadline(ACCEPT_NS), &fd);
        if (err && err != ERR_interrupted)
            return ui_fail(s->cli, err, "accept");
        if (!err && fd >= 0)
            cli_serve_client(&s->serve, fd, s->gdb);
    }
    return CLI_YES;
}

static int server(struct session *s)
{
    const char *where = s->options->server;
    uint64_t port;
    int listener = -1;
    bool is_port = cli_number(where, &port);
    uint16_t chosen = 0;
    if (is_port && port > UINT16_MAX)
        return ui_usage(s->cli, "--server: a port is 0 to 65535");
    enum err err = is_port ? os_stream_listen_tcp((uint16_t)port, &listener, &chosen)
                           : os_stream_listen(where, &listener);
    if (err)
        return ui_fail(s->cli, err, where);
    if (is_port)
        ui_note(s->cli, "gdb: target extended-remote 127.0.0.1:%u", (unsigned)chosen);
    else
        ui_note(s->cli, "gdb: target extended-remote %s", where);
    os_catch_interrupts();
    int status = serve_at(s, listener);
    os_close(listener);
    if (!is_port)
        (void)!os_unlink(where);
    return status;
}

/* ---- gdb of our own ---- */

/* The disassembly as source, where there is no better one. */
static enum err write_listing(struct session *s)
{
    const struct pvm_program *program = program_of(s);
    struct buf listing, elf;
    if (!program)
        return ERR_ok;
    buf_init(&listing, SYMBOL_SIZE_MAX);
    buf_init(&elf, SYMBOL_SIZE_MAX);
    (void)snprintf(s->listing, sizeof s->listing, "%s/program.pvm.s", s->folder);
    (void)snprintf(s->elf, sizeof s->elf, "%s/program.elf", s->folder);
    enum err err =
        link_listing(pvm_program_code(program), pvm_program_config(program)->profile,
                     "program.pvm.s", &listing, &elf);
    if (!err)
        err = os_file_write(s->listing, buf_bytes(&listing));
    if (!err)
        err = os_file_write(s->elf, buf_bytes(&elf));
    buf_fini(&listing);
    buf_fini(&elf);
    return err;
}

/* A path as gdb's own parser of words takes it. */
static void put_quoted(struct buf *text, const char *path)
{
    buf_byte(text, '"');
    for (; *path; path++) {
        if (*path == '"' || *path == '\\')
            buf_byte(text, '\\');
        buf_byte(text, (uint8_t)*path);
    }
    buf_byte(text, '"');
}

static enum err write_init(struct session *s)
{
    const char *symbols = s->options->symbols ? s->options->symbols : s->elf;
    struct buf text;
    buf_init(&text, 65536);
    (void)snprintf(s->init, sizeof s->init, "%s/init.gdb", s->folder);
    buf_text(&text, "set confirm off\nset pagination off\n"
                    "set startup-with-shell off\n"
                    "define seek\nmonitor check $arg0\nstarti $arg0\nend\n"
                    "document seek\nGo to a position: N, e:N, g:N, out:N, N%, start, "
                    "end, +N, -N, #NAME.\nend\n");
    if (!s->options->symbols)
        buf_printf(&text, "directory %s\n", s->folder);
    if (symbols[0]) {
        buf_text(&text, "file ");
        put_quoted(&text, symbols);
        buf_byte(&text, '\n');
    }
    buf_printf(&text, "target extended-remote %s\n", s->socket);
    enum err err = text.err ? text.err : os_file_write(s->init, buf_bytes(&text));
    buf_fini(&text);
    return err;
}

static enum err prepare(struct session *s, int *ret_listener)
{
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/lockstep-XXXXXX");
    enum err err = os_folder_create_private(s->folder);
    if (err) {
        s->folder[0] = 0;
        return err;
    }
    (void)snprintf(s->socket, sizeof s->socket, "%s/gdb", s->folder);
    if (!s->options->symbols)
        TRY(write_listing(s));
    TRY(write_init(s));
    return os_stream_listen(s->socket, ret_listener);
}

static void clean_up(struct session *s)
{
    const char *const file[] = {s->socket, s->listing, s->elf, s->init};
    for (size_t i = 0; s->folder[0] && i < countof(file); i++) {
        if (file[i][0])
            (void)!os_unlink(file[i]);
    }
    if (s->folder[0])
        (void)!os_folder_remove(s->folder);
}

/* The gdb that was asked for, or the one that knows the guest's processor. */
static const char *gdb_of(const struct session *s)
{
    return s->options->gdb ? s->options->gdb : s->debug.debug.guest.ops->gdb;
}

static int start_gdb(struct session *s, int argc, char **argv, int *ret_pid)
{
    const char *word[GDB_WORD_MAX + 16];
    size_t count = 0;
    word[count++] = gdb_of(s);
    word[count++] = "-nx";
    word[count++] = "-q";
    if (s->options->batch)
        word[count++] = "-batch";
    word[count++] = "-x";
    word[count++] = s->init;
    if (s->options->batch) {
        word[count++] = "-x";
        word[count++] = s->options->batch;
    }
    for (int i = 0; i < argc; i++)
        word[count++] = argv[i];
    word[count] = NULL;
    enum err err = os_program_start(word, ret_pid);
    if (err == ERR_not_found) {
        const char *package = s->debug.debug.guest.ops->gdb;
        bool plain = strcmp(package, "gdb") == 0;
        ui_error(s->cli,
                 "there is no %s; install the package %s%s, or use --gdb or "
                 "--server",
                 gdb_of(s), package, plain ? "" : " (plain gdb does not know RISC-V)");
        return CLI_UNKNOWN;
    }
    return err ? ui_fail(s->cli, err, gdb_of(s)) : CLI_YES;
}

/* Serve until gdb has ended.  It may disconnect and come back. */
static int wait_for_gdb(struct session *s, int listener, int pid)
{
    for (;;) {
        bool ended = false;
        int fd = -1, status = 0;
        enum err err = os_stream_accept(listener, os_stream_deadline(ACCEPT_NS), &fd);
        if (!err && fd >= 0)
            cli_serve_client(&s->serve, fd, s->gdb);
        err = os_program_ended(pid, &ended, &status);
        if (err)
            return ui_fail(s->cli, err, gdb_of(s));
        if (ended || os_interrupted())
            return ended ? status : CLI_UNKNOWN;
    }
}

static int with_gdb(struct session *s, int argc, char **argv)
{
    int listener = -1, pid = -1;
    enum err err = prepare(s, &listener);
    int status = err ? ui_fail(s->cli, err, s->folder) : CLI_YES;
    if (!status) {
        os_catch_interrupts();  /* the end of us shall leave nothing behind */
        os_ignore_interrupts(); /* Ctrl-C is gdb's, which sends a byte for it */
        ui_flush(s->cli);
        status = start_gdb(s, argc, argv, &pid);
    }
    if (!status)
        status = wait_for_gdb(s, listener, pid);
    os_close(listener);
    clean_up(s);
    return status;
}

static int check_options(struct cli *cli, const struct options *options, int argc)
{
    if (options->server && (options->batch || options->symbols || argc > 1))
        return ui_usage(cli, "--server starts no gdb that --batch, --symbols or "
                             "arguments could be for");
    if (options->batch && !os_file_exists(options->batch))
        return ui_fail(cli, ERR_not_found, options->batch);
    if (options->symbols && !os_file_exists(options->symbols))
        return ui_fail(cli, ERR_not_found, options->symbols);
    if (options->symbols && strchr(options->symbols, '\n'))
        return ui_usage(cli, "--symbols: gdb takes no name with a line break");
    return CLI_YES;
}

int cmd_debug(struct cli *cli, int argc, char **argv)
{
    struct session s = {.cli = cli,
                        .options = cli->options,
                        .serve = {.fd = -1, .stopped = os_interrupted}};
    const struct replay_timeline_options how = {
        .memory_max = s.options->memory,
        .spacing = s.options->spacing,
        .interrupted = cli_serve_interrupted,
        .interrupted_self = &s.serve,
    };
    int status = check_options(cli, s.options, argc);
    if (status)
        return status;
    status = cli_debug_open(cli, &s.debug, argv[0], &how);
    if (!status && s.options->at)
        status = cli_debug_go(&s.debug, s.options->at);
    if (!status)
        status = open_stub(&s, !s.options->server);
    if (!status)
        status = s.options->server ? server(&s) : with_gdb(&s, argc - 1, argv + 1);
    replay_gdb_close(s.gdb);
    if (s.native_there)
        cli_native_close(&s.native);
    cli_debug_close(&s.debug);
    return status;
}
