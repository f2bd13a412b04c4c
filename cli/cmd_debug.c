/* SPDX-License-Identifier: MIT
 *
 * lockstep debug: a recorded run under gdb, forwards and backwards.
 */
#include "cli/debug_branch.h"
#include "cli/debug_modules.h"
#include "cli/debug_open.h"
#include "cli/debug_serve.h"
#include "cli/debug_symbols.h"
#include "cli/names.h"
#include "cli/native.h"

#include "base/os.h"
#include "base/os_program.h"
#include "base/os_stream.h"
#include "link/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    SYMBOL_SIZE_MAX = 1 << 30,
    GDB_WORD_MAX = 64,
    ACCEPT_NS = 50000000,
    LISTING_MAX = 100, /* programs that are listed */
    PATH_SIZE = 96,
};

struct options {
    const char *at;
    const char *parent;
    const char *server;
    const char *batch;
    struct cli_list symbols;
    const char *modules;
    bool no_kallsyms;
    const char *gdb;
    uint64_t memory;
    uint64_t spacing;
};

static const struct options defaults = {.memory = (uint64_t)512 << 20,
                                        .spacing = 2000000};

static const struct cli_option option[] = {
    CLI_STRING(struct options, at, "at", 't', "POSITION", "begin there"),
    CLI_STRING(struct options, parent, "parent", 'p', "FILE",
               "the trace that a child branches from (default: in its folder)"),
    CLI_STRING(struct options, server, "server", 0, "PORT|PATH",
               "start no gdb: wait for clients at 127.0.0.1:PORT, or a socket file"),
    CLI_STRING(struct options, batch, "batch", 0, "SCRIPT",
               "run gdb's commands in a file, then end"),
    CLI_LIST(struct options, symbols, "symbols", 0, "[N=]ELF",
             "debug information of program N (default 0): OUT.dbg of lockstep link -g"),
    CLI_STRING(struct options, modules, "modules", 0, "FOLDER",
               "a pc that runs Linux: names of its modules, from *.ko below a folder"),
    CLI_FLAG(struct options, no_kallsyms, "no-kallsyms", 0,
             "a pc that runs Linux: not the names that its kernel has itself"),
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
    .exclude = {{"server", "batch symbols gdb"}},
    .about =
        "Starts gdb-multiarch (gdb itself knows no RISC-V, as which PVM code is "
        "shown), "
        "or gdb for a pc, at the beginning of the recorded run.  Besides everything "
        "that gdb does with "
        "a program that it can run backwards, there is `seek POSITION`, and `monitor "
        "help` lists what else can be asked.\n\n"
        "Without --symbols the disassembly is the source text, and a pc that runs "
        "Linux "
        "has the names of its kernel's own table.  Registers and memory "
        "cannot be changed: it is a replay.  Of a capability kernel the instance that "
        "runs is shown; docs/debug.md says how to tell them apart.\n\n"
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
    struct cli_modules modules;
    bool wants_kallsyms;
    struct buf kallsyms;    /* an ELF file; empty: not found yet */
    struct cli_names names; /* of the functions of PVM programs */
    char folder[64], socket[PATH_SIZE], init[PATH_SIZE], module_script[PATH_SIZE];
    char kallsyms_elf[PATH_SIZE], kallsyms_script[PATH_SIZE];
    uint32_t listing_count; /* programs that may have a listing in the folder */
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

static enum err branch(void *self, uint64_t icount, const char *path, struct buf *text)
{
    struct session *s = self;
    return cli_debug_branch(s->cli, &s->debug.source, icount, path, text);
}

static enum err load_modules(void *self, const struct replay_module_list *list,
                             struct buf *text)
{
    struct session *s = self;
    return cli_modules_load(&s->modules, &s->debug.debug.guest, list, s->module_script,
                            text);
}

/* Once: a kernel stays where it is. */
static enum err load_symbols(void *self, const struct replay_symbol_list *list,
                             struct buf *text)
{
    struct session *s = self;
    char script[PATH_SIZE + 16] = "";
    if (!s->kallsyms.size && list->count) {
        TRY(cli_symbols_put(list, &s->kallsyms));
        TRY(os_file_write(s->kallsyms_elf, buf_bytes(&s->kallsyms)));
        (void)snprintf(script, sizeof script, "symbol-file %s\n", s->kallsyms_elf);
        buf_printf(text, "%zu symbols of the kernel\n", list->count);
    }
    return os_file_write(s->kallsyms_script, bytes_of(script, strlen(script)));
}

static bool name_function(void *self, uint64_t pc, bool is_caller, struct buf *text)
{
    const struct session *s = self;
    return cli_names_put(&s->names, pc, is_caller, text);
}

static int open_stub(struct session *s, bool local)
{
    /* Only gdb that we have started may name files. */
    const struct replay_gdb_options how = {
        .save_bookmark = local ? save_bookmark : NULL,
        .native = native,
        .name = name_function,
        .diff = local ? diff : NULL,
        .branch = local ? branch : NULL,
        .load_modules = local && s->options->modules ? load_modules : NULL,
        .load_symbols = local && s->wants_kallsyms ? load_symbols : NULL,
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

/* "N=FILE": the number, and *file goes to the name behind it; a file that is there is
 * none of these. */
static uint32_t split_symbols(const char **file)
{
    const char *text = *file;
    uint32_t number = 0;
    size_t size = strspn(text, "0123456789");
    if (!size || size > 8 || text[size] != '=' || os_file_exists(text))
        return 0;
    for (size_t i = 0; i < size; i++)
        number = number * 10 + (uint32_t)(text[i] - '0');
    *file = text + size + 1;
    return number;
}

/* The symbols that were given for a program; NULL: none. */
static const char *symbols_of(const struct session *s, uint32_t number)
{
    const struct cli_list *list = &s->options->symbols;
    for (size_t i = 0; i < list->count; i++) {
        const char *file = list->item[i];
        if (split_symbols(&file) == number)
            return file;
    }
    return NULL;
}

/* "program3.pvm.s" in the session's folder; the first one has no number. */
static void name_listing(const struct session *s, uint32_t number, const char *suffix,
                         char ret_path[PATH_SIZE])
{
    char digits[16] = "";
    if (number)
        (void)snprintf(digits, sizeof digits, "%" PRIu32, number);
    (void)snprintf(ret_path, PATH_SIZE, "%s/program%s%s", s->folder, digits, suffix);
}

/* The code of program `number`; false: there is none. */
static bool code_of(const struct session *s, uint32_t number, struct pvm_code *ret_code,
                    enum pvm_profile *ret_profile)
{
    const struct replay_guest *guest = &s->debug.debug.guest;
    const struct pvm_program *program = program_of(s);
    if (guest->ops->code)
        return guest->ops->code(guest->self, number, ret_code, ret_profile);
    if (!program || number)
        return false;
    *ret_code = *pvm_program_code(program);
    *ret_profile = pvm_program_config(program)->profile;
    return true;
}

static enum err write_listing(const struct session *s, uint32_t number,
                              const struct pvm_code *code, enum pvm_profile profile)
{
    struct buf listing, elf;
    char path[PATH_SIZE], elf_path[PATH_SIZE];
    buf_init(&listing, SYMBOL_SIZE_MAX);
    buf_init(&elf, SYMBOL_SIZE_MAX);
    name_listing(s, number, ".pvm.s", path);
    name_listing(s, number, ".elf", elf_path);
    enum err err =
        link_listing(code, profile, path + strlen(s->folder) + 1, &listing, &elf);
    if (!err)
        err = os_file_write(path, buf_bytes(&listing));
    if (!err)
        err = os_file_write(elf_path, buf_bytes(&elf));
    buf_fini(&listing);
    buf_fini(&elf);
    return err;
}

/* The disassembly as source, where there is no better one. */
static enum err write_listings(struct session *s)
{
    struct pvm_code code;
    enum pvm_profile profile;
    for (uint32_t i = 0; i < LISTING_MAX && code_of(s, i, &code, &profile); i++) {
        s->listing_count = i + 1;
        if (!symbols_of(s, i))
            TRY(write_listing(s, i, &code, profile));
    }
    return ERR_ok;
}

/* What gdb shall know of a program's symbols, which are those of program 0. */
static void put_symbols(const struct session *s, uint32_t number, struct buf *text)
{
    const char *symbols = symbols_of(s, number);
    char elf[PATH_SIZE];
    name_listing(s, number, ".elf", elf);
    if (!symbols && number >= s->listing_count)
        return;
    buf_text(text, number ? "add-symbol-file " : "file ");
    cli_modules_put_path(text, symbols ? symbols : elf);
    if (number)
        buf_printf(text, " 0x%" PRIx64,
                   s->debug.debug.guest.ops->code_base * ((uint64_t)number + 1));
    buf_byte(text, '\n');
}

/* `seek`, and with it the symbols that belong there. */
static void put_macros(const struct session *s, struct buf *text)
{
    bool kallsyms = s->wants_kallsyms && !s->kallsyms.size;
    if (s->options->modules)
        buf_printf(text,
                   "define lockstep-modules\nmonitor modules load\nsource %s\nend\n"
                   "document lockstep-modules\nThe names of the modules that the "
                   "guest has loaded here; seek does it itself.\nend\n",
                   s->module_script);
    if (kallsyms)
        buf_printf(text,
                   "define lockstep-kallsyms\nmonitor kallsyms load\nsource %s\nend\n"
                   "document lockstep-kallsyms\nThe names that the kernel has itself, "
                   "if it runs here; seek does it itself.\nend\n",
                   s->kallsyms_script);
    buf_printf(text,
               "define seek\nmonitor check $arg0\nstarti $arg0\n%s%send\n"
               "document seek\nGo to a position: N, e:N, g:N, out:N, N%%, start, "
               "end, +N, -N, #NAME.\nend\n",
               kallsyms ? "lockstep-kallsyms\n" : "",
               s->options->modules ? "lockstep-modules\n" : "");
}

/* The kernel's own symbols, if they were found. */
static enum err put_kallsyms(struct session *s, struct buf *text)
{
    if (!s->kallsyms.size)
        return ERR_ok;
    buf_printf(text, "symbol-file %s\n", s->kallsyms_elf);
    return os_file_write(s->kallsyms_elf, buf_bytes(&s->kallsyms));
}

static enum err write_init(struct session *s)
{
    struct buf text;
    buf_init(&text, 65536);
    (void)snprintf(s->init, sizeof s->init, "%s/init.gdb", s->folder);
    (void)snprintf(s->module_script, sizeof s->module_script, "%s/modules.gdb",
                   s->folder);
    (void)snprintf(s->kallsyms_script, sizeof s->kallsyms_script, "%s/kallsyms.gdb",
                   s->folder);
    (void)snprintf(s->kallsyms_elf, sizeof s->kallsyms_elf, "%s/kallsyms.elf",
                   s->folder);
    /* A seek is a long time without an answer; gdb would give up after six seconds. */
    buf_text(&text, "set remotetimeout 3600\nset confirm off\nset pagination off\n"
                    "set startup-with-shell off\n");
    put_macros(s, &text);
    if (s->listing_count)
        buf_printf(&text, "directory %s\n", s->folder);
    put_symbols(s, 0, &text);
    for (uint32_t i = 1; i < LISTING_MAX; i++)
        put_symbols(s, i, &text);
    enum err err = put_kallsyms(s, &text);
    buf_printf(&text, "target extended-remote %s\n", s->socket);
    if (s->options->modules)
        buf_text(&text, "lockstep-modules\n");
    if (!err)
        err = text.err ? text.err : os_file_write(s->init, buf_bytes(&text));
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
    TRY(write_listings(s));
    TRY(write_init(s));
    return os_stream_listen(s->socket, ret_listener);
}

static void clean_up(struct session *s)
{
    static const char *const suffix[] = {".pvm.s", ".elf"};
    if (!s->folder[0])
        return;
    (void)!os_unlink(s->socket);
    (void)!os_unlink(s->init);
    (void)!os_unlink(s->module_script);
    (void)!os_unlink(s->kallsyms_script);
    (void)!os_unlink(s->kallsyms_elf);
    for (uint32_t i = 0; i < 2 * s->listing_count; i++) {
        char path[PATH_SIZE];
        name_listing(s, i / 2, suffix[i % 2], path);
        (void)!os_unlink(path);
    }
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

/* The names of frames in `monitor backtrace`.  A file without any is gdb's
 * to complain about. */
static void read_names(struct session *s, const char *file, uint32_t number)
{
    struct buf elf;
    buf_init(&elf, SYMBOL_SIZE_MAX);
    if (s->debug.debug.guest.ops->frames && !os_file_read(file, &elf))
        (void)!cli_names_add(&s->names, buf_bytes(&elf), number);
    buf_fini(&elf);
}

/* Files that are there and fit the guest, one for each program. */
static int check_symbols(struct session *s)
{
    const struct cli_list *list = &s->options->symbols;
    bool many = s->debug.debug.guest.ops->code != NULL;
    for (size_t i = 0; i < list->count; i++) {
        const char *file = list->item[i];
        uint32_t number = split_symbols(&file);
        if (!os_file_exists(file))
            return ui_fail(s->cli, ERR_not_found, file);
        if (strchr(file, '\n'))
            return ui_usage(s->cli, "--symbols: gdb takes no name with a line break");
        if (number >= (many ? LISTING_MAX : 1))
            return ui_usage(s->cli, "--symbols: there is no program %" PRIu32, number);
        if (symbols_of(s, number) != file)
            return ui_usage(s->cli, "--symbols: two files for program %" PRIu32,
                            number);
        read_names(s, file, number);
    }
    return CLI_YES;
}

static int open_modules(struct session *s)
{
    const char *folder = s->options->modules;
    if (!folder)
        return CLI_YES;
    if (!s->debug.debug.guest.ops->modules)
        return ui_usage(s->cli, "--modules: only a pc has some");
    enum err err = cli_modules_open(folder, &s->modules);
    return err ? ui_fail(s->cli, err, folder) : CLI_YES;
}

static enum err take_kallsyms(void *self, const struct replay_symbol_list *list)
{
    struct session *s = self;
    return cli_symbols_put(list, &s->kallsyms);
}

/* Symbols from a file are better than the kernel's own. */
static int find_kallsyms(struct session *s)
{
    const struct options *o = s->options;
    bool is_there = s->debug.debug.guest.ops->symbols != NULL;
    if (o->no_kallsyms && !is_there)
        return ui_usage(s->cli, "--no-kallsyms: only a pc has some");
    s->wants_kallsyms = is_there && !o->no_kallsyms && !o->server && !o->symbols.count;
    if (!s->wants_kallsyms)
        return CLI_YES;
    if (cli_symbols_far(s->debug.timeline))
        ui_note(s->cli,
                "the kernel unpacks itself before it has names; --no-kallsyms does "
                "not look for them");
    bool found;
    enum err err = cli_symbols_find(s->debug.timeline, take_kallsyms, s, &found);
    return err ? ui_fail(s->cli, err, s->debug.path) : CLI_YES;
}

static int check_options(struct cli *cli, const struct options *options, int argc)
{
    if (options->server &&
        (options->batch || options->symbols.count || options->modules || argc > 1))
        return ui_usage(cli, "--server starts no gdb that --batch, --symbols, "
                             "--modules or arguments could be for");
    if (options->batch && !os_file_exists(options->batch))
        return ui_fail(cli, ERR_not_found, options->batch);
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
    buf_init(&s.kallsyms, SYMBOL_SIZE_MAX);
    cli_names_init(&s.names);
    status = cli_debug_open(cli, &s.debug, argv[0], s.options->parent, &how);
    if (!status)
        status = check_symbols(&s);
    if (!status)
        status = open_modules(&s);
    if (!status && s.options->at)
        status = cli_debug_go(&s.debug, s.options->at);
    if (!status)
        status = find_kallsyms(&s);
    if (!status)
        status = open_stub(&s, !s.options->server);
    if (!status)
        status = s.options->server ? server(&s) : with_gdb(&s, argc - 1, argv + 1);
    replay_gdb_close(s.gdb);
    if (s.native_there)
        cli_native_close(&s.native);
    buf_fini(&s.kallsyms);
    cli_modules_close(&s.modules);
    cli_names_free(&s.names);
    cli_debug_close(&s.debug);
    return status;
}
