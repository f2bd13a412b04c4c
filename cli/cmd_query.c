/* SPDX-License-Identifier: MIT
 *
 * lockstep query: who wrote, reads or runs what in a recorded run, and which events
 * there are (trace-replay.md 12).
 */
#include "cli/debug_open.h"
#include "cli/debug_symbols.h"
#include "cli/linux_names.h"

#include "base/os.h"

#include <inttypes.h>
#include <string.h>

struct options {
    const char *at;
    const char *parent;
    const char *in;
    const char *modules;
    bool no_kallsyms;
    uint64_t count;
};

enum { NAME_SIZE_MAX = 1024, PLACE_MAX = 100 };

static const struct options defaults = {.count = 20};

static const struct cli_option option[] = {
    CLI_STRING(struct options, at, "at", 't', "POSITION",
               "ask there (default: end for last-write and who, else start)"),
    CLI_STRING(struct options, parent, "parent", 'p', "FILE",
               "the trace that a child branches from (default: in its folder)"),
    CLI_STRING(struct options, in, "in", 0, "INSTANCE",
               "of a capability kernel: program:N, depth:N, or digits of a hash"),
    CLI_STRING(struct options, modules, "modules", 0, "FOLDER",
               "a pc that runs Linux: names of its modules, from *.ko below a folder"),
    CLI_FLAG(struct options, no_kallsyms, "no-kallsyms", 0,
             "a pc that runs Linux: not the names that its kernel has itself"),
    CLI_U64(struct options, count, "count", 'n', "N", 1, UINT64_MAX,
            "events: at most so many (default 20)"),
    CLI_END,
};

const struct cli_spec cli_spec_query = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"TRACE", 1, 1, "a trace"},
                   {"QUESTION", 1, 1,
                    "last-write, next-read, who, events, output, hash, frames"},
                   {"WHAT", 0, 1, "address[,length], pc, symbol, kind or byte number"}},
    .example = {{"lockstep query run.lks last-write 0x30014,4",
                 "which instruction wrote this word last?"},
                {"lockstep query -t 50% run.lks events ecall:68",
                 "the next calls of op 68 in the second half"}},
    .about =
        "last-write ADDR[,LEN]  the last instruction before the position that wrote "
        "there\n\n"
        "next-read ADDR[,LEN]   the next one that reads there\n\n"
        "who PC                 when an instruction was executed last\n\n"
        "who SYMBOL[+N]         the same; ADDR may be a symbol, too\n\n"
        "events [KIND[:op]]     the events from the position on\n\n"
        "output N               when byte N of the output was written\n\n"
        "hash                   digest of the whole machine there\n\n"
        "frames                 of a capability kernel: the instances on its stack\n\n"
        "A position in the answer is one for `lockstep debug --at`.  A pc that runs "
        "Linux has the symbols of its kernel's own table, as in `lockstep debug`.",
    .exit_yes = "there is an answer",
    .exit_no = "there is none: not written, not read, not executed",
    .prints_json = true,
};

struct asking {
    struct cli *cli;
    struct cli_debug debug;
    struct cli_linux_names names;
    const struct options *options;
    const char *path, *what;
    uint64_t count;
};

/* ---- names ---- */

/* Open them where the guest stands; of other guests there are none. */
static int open_names(struct asking *a)
{
    const struct options *options = a->options;
    const struct replay_guest_ops *ops = a->debug.debug.guest.ops;
    if (options->modules && !ops->modules)
        return ui_usage(a->cli, "--modules: only a pc has some");
    if (options->no_kallsyms && !ops->symbols)
        return ui_usage(a->cli, "--no-kallsyms: only a pc has some");
    if (!options->no_kallsyms && ops->symbols && cli_symbols_far(a->debug.timeline))
        ui_note(a->cli,
                "the kernel unpacks itself before it has names; --no-kallsyms does "
                "not look for them");
    enum err err = cli_linux_names_open(&a->names, a->debug.timeline, options->modules,
                                        !options->no_kallsyms);
    if (err)
        return ui_fail(a->cli, err, options->modules ? options->modules : a->path);
    (void)cli_linux_names_look(&a->names, false);
    struct buf *complaints = &a->names.complaints;
    if (complaints->size)
        complaints->data[complaints->size - 1] = 0; /* its last line break */
    if (complaints->size)
        ui_note(a->cli, "%s", (const char *)complaints->data);
    return CLI_YES;
}

static bool read_address(const struct asking *a, const char *text,
                         uint64_t *ret_address)
{
    return cli_number(text, ret_address) ||
           cli_linux_names_address(&a->names, text, ret_address);
}

/* ---- answers ---- */

/* An offset in the program; where there are several, an address that tells which. */
static uint64_t shown_pc(const struct asking *a, const struct replay_answer *answer)
{
    const struct replay_guest_ops *ops = a->debug.debug.guest.ops;
    return ops->code ? answer->pc : answer->pc - ops->code_base;
}

static int print_json(struct asking *a, const struct replay_answer *answer)
{
    struct cli *cli = a->cli;
    struct buf name;
    buf_init(&name, NAME_SIZE_MAX);
    ui_json_begin(cli);
    ui_json_bool(cli, "found", answer->found);
    if (answer->found) {
        ui_json_u64(cli, "icount", answer->time.icount);
        if (answer->time.sub)
            ui_json_u64(cli, "sub", answer->time.sub);
        ui_json_u64(cli, "gas", answer->gas);
        ui_json_u64(cli, "pc", shown_pc(a, answer));
        if (cli_linux_names_put(&a->names, answer->pc, false, &name))
            ui_json_text(cli, "symbol", buf_string(&name));
        ui_json_text(cli, "instruction", answer->insn);
        ui_json_hex(cli, "before", bytes_of(answer->before, answer->size));
        ui_json_hex(cli, "after", bytes_of(answer->after, answer->size));
    }
    ui_json_end(cli);
    buf_fini(&name);
    return answer->found ? CLI_YES : CLI_NO;
}

static int print_answer(struct asking *a, const struct replay_answer *answer,
                        const char *none)
{
    struct cli *cli = a->cli;
    struct buf text;
    if (cli->json)
        return print_json(a, answer);
    if (!answer->found) {
        ui_out(cli, "%s\n", none);
        return CLI_NO;
    }
    buf_init(&text, 4096);
    buf_printf(&text, "icount %" PRIu64 "  gas %" PRIu64 "  pc 0x%" PRIx64 "  %s",
               answer->time.icount, answer->gas, shown_pc(a, answer), answer->insn);
    (void)cli_linux_names_put(&a->names, answer->pc, false, &text);
    buf_byte(&text, '\n');
    for (unsigned side = 0; answer->size && side < 2; side++) {
        const uint8_t *bytes = side ? answer->after : answer->before;
        buf_text(&text, side ? "after   " : "before  ");
        for (size_t i = 0; i < answer->size; i++)
            buf_printf(&text, "%02x", bytes[i]);
        buf_byte(&text, '\n');
    }
    buf_printf(&text, "again:  lockstep debug --at %" PRIu64, answer->time.icount);
    if (answer->time.sub)
        buf_printf(&text, "+%" PRIu64, answer->time.sub);
    ui_out(cli, "%s %s\n", buf_string(&text), a->path);
    buf_fini(&text);
    return CLI_YES;
}

static int no_question(struct asking *a, const char *wanted)
{
    return ui_usage(a->cli, "'%s' is no %s", a->what ? a->what : "", wanted);
}

/* ADDR[,LEN] */
static bool read_range(const struct asking *a, uint64_t *ret_address,
                       uint64_t *ret_size)
{
    char address[NAME_SIZE_MAX];
    const char *text = a->what;
    const char *comma = text ? strchr(text, ',') : NULL;
    size_t size = !text ? 0 : comma ? (size_t)(comma - text) : strlen(text);
    if (!size || size >= sizeof address)
        return false;
    memcpy(address, text, size);
    address[size] = 0;
    *ret_size = 1;
    return read_address(a, address, ret_address) &&
           (!comma || cli_number(comma + 1, ret_size)) && *ret_size;
}

static int range_question(struct asking *a, bool write)
{
    struct replay_answer answer;
    uint64_t address, size;
    if (!read_range(a, &address, &size))
        return no_question(a, "address[,length]");
    enum err err = (write ? replay_query_last_write : replay_query_next_read)(
        &a->debug.query, address, size, &answer);
    return err ? ui_fail(a->cli, err, a->path)
               : print_answer(a, &answer,
                              write ? "not written before" : "not read from there on");
}

static int ask_last_write(struct asking *a)
{
    return range_question(a, true);
}

static int ask_next_read(struct asking *a)
{
    return range_question(a, false);
}

/* Several functions may have one name: the last of all. */
static enum err who_is_named(struct asking *a, const char *name,
                             struct replay_answer *ret_answer)
{
    struct replay_answer answer;
    struct cli_linux_place place = {0};
    uint64_t pc;
    *ret_answer = (struct replay_answer){0};
    for (unsigned i = 0;
         i < PLACE_MAX && cli_linux_names_find(&a->names, name, &place, &pc); i++) {
        TRY(replay_query_who(&a->debug.query, pc, true, &answer));
        if (answer.found && (!ret_answer->found ||
                             replay_time_compare(answer.time, ret_answer->time) > 0))
            *ret_answer = answer;
    }
    return ERR_ok;
}

static int ask_who(struct asking *a)
{
    struct replay_answer answer;
    uint64_t pc, base = a->debug.debug.guest.ops->code_base;
    struct cli_linux_place place = {0};
    enum err err;
    if (a->what && cli_linux_names_find(&a->names, a->what, &place, &pc))
        err = who_is_named(a, a->what, &answer);
    else if (a->what && read_address(a, a->what, &pc))
        err = replay_query_who(&a->debug.query, pc < base ? pc + base : pc, true,
                               &answer);
    else
        return no_question(a, a->names.has_kernel ? "pc or symbol" : "pc");
    return err ? ui_fail(a->cli, err, a->path)
               : print_answer(a, &answer, "not executed before");
}

/* ---- events ---- */

static bool print_event(void *self, const struct trace_record *record)
{
    struct cli *cli = self;
    struct buf text;
    buf_init(&text, 1 << 16);
    replay_query_put_event(record, &text);
    if (cli->json) {
        ui_json_begin(cli);
        ui_json_u64(cli, "seq", record->seq);
        ui_json_u64(cli, "icount", record->clock.icount);
        ui_json_u64(cli, "gas", record->clock.gas);
        ui_json_text(cli, "kind", record->kind->wire);
        ui_json_text(cli, "text", buf_string(&text));
        ui_json_end(cli);
    } else {
        ui_out(cli, "%s\n", buf_string(&text));
    }
    buf_fini(&text);
    return true;
}

static int ask_events(struct asking *a)
{
    struct trace_record next;
    struct replay_query *query = &a->debug.query;
    uint64_t icount = replay_timeline_now(a->debug.timeline).icount;
    enum err err = replay_query_event(query, icount, true, &next);
    if (err == ERR_not_found)
        return CLI_NO;
    if (!err)
        err = replay_query_events(query, icount ? next.seq : 0, a->count, a->what,
                                  print_event, a->cli);
    return err ? ui_fail(a->cli, err, a->path) : CLI_YES;
}

/* ---- positions ---- */

static int print_here(struct asking *a, const uint8_t *hash)
{
    struct cli *cli = a->cli;
    const struct replay_guest *guest = replay_timeline_guest(a->debug.timeline);
    uint64_t icount = replay_timeline_now(a->debug.timeline).icount;
    char hex[65] = "";
    for (unsigned i = 0; hash && i < 32; i++) {
        static const char digit[] = "0123456789abcdef";
        hex[2 * i] = digit[hash[i] >> 4];
        hex[2 * i + 1] = digit[hash[i] & 15];
    }
    if (cli->json) {
        ui_json_begin(cli);
        ui_json_u64(cli, "icount", icount);
        ui_json_u64(cli, "gas", guest->ops->gas(guest->self));
        if (hash)
            ui_json_text(cli, "hash", hex);
        ui_json_end(cli);
    } else {
        ui_out(cli, "icount %" PRIu64 "  gas %" PRIu64 "%s%s\n", icount,
               guest->ops->gas(guest->self), hash ? "  " : "", hex);
    }
    return CLI_YES;
}

static int ask_output(struct asking *a)
{
    struct buf position;
    uint64_t offset;
    if (!a->what || !cli_number(a->what, &offset))
        return no_question(a, "byte number");
    buf_init(&position, 64);
    buf_printf(&position, "out:%" PRIu64, offset);
    enum err err = replay_query_go(&a->debug.query, buf_string(&position));
    buf_fini(&position);
    if (err == ERR_not_found) {
        ui_note(a->cli, "%s: there is less output", a->path);
        return CLI_NO;
    }
    return err ? ui_fail(a->cli, err, a->path) : print_here(a, NULL);
}

static int ask_hash(struct asking *a)
{
    const struct replay_guest *guest = replay_timeline_guest(a->debug.timeline);
    uint8_t hash[32];
    enum err err = guest->ops->hash(guest->self, hash);
    return err ? ui_fail(a->cli, err, a->path) : print_here(a, hash);
}

static int ask_frames(struct asking *a)
{
    const struct replay_guest *guest = replay_timeline_guest(a->debug.timeline);
    const struct replay_stack_ops *stack = &guest->ops->stack;
    struct buf text;
    if (!stack->put_frames)
        return ui_usage(a->cli, "only a capability kernel has frames");
    buf_init(&text, 1 << 20);
    stack->put_frames(guest->self, &text);
    if (a->cli->json) {
        ui_json_begin(a->cli);
        ui_json_u64(a->cli, "depth", stack->depth(guest->self));
        ui_json_text(a->cli, "text", buf_string(&text));
        ui_json_end(a->cli);
    } else {
        ui_out(a->cli, "%s", buf_string(&text));
    }
    buf_fini(&text);
    return CLI_YES;
}

/* Questions are about some instances only. */
static int restrict_to(struct asking *a, const char *text)
{
    const struct replay_guest *guest = replay_timeline_guest(a->debug.timeline);
    if (!guest->ops->stack.restrict_stops)
        return ui_usage(a->cli, "--in: only a capability kernel has instances");
    return guest->ops->stack.restrict_stops(guest->self, text)
               ? CLI_YES
               : ui_usage(a->cli, "--in: '%s' names no instance", text);
}

static const struct question {
    const char *name;
    int (*ask)(struct asking *a);
    const char *at; /* where, if --at does not say */
    bool has_names;
} question[] = {
    {"last-write", ask_last_write, "end", true},
    {"next-read", ask_next_read, "start", true},
    {"who", ask_who, "end", true},
    {"events", ask_events, "start", false},
    {"output", ask_output, "start", false},
    {"hash", ask_hash, "end", false},
    {"frames", ask_frames, "end", false},
};

static bool interrupted(void *self)
{
    (void)self;
    return os_interrupted();
}

int cmd_query(struct cli *cli, int argc, char **argv)
{
    const struct options *options = cli->options;
    const struct replay_timeline_options how = {.interrupted = interrupted};
    const struct question *chosen = NULL;
    struct asking a = {.cli = cli,
                       .options = options,
                       .path = argv[0],
                       .what = argc > 2 ? argv[2] : NULL,
                       .count = options->count};
    for (size_t i = 0; i < countof(question); i++) {
        if (strcmp(question[i].name, argv[1]) == 0)
            chosen = &question[i];
    }
    if (!chosen)
        return ui_usage(cli, "'%s' is no question; see lockstep query --help", argv[1]);
    os_catch_interrupts();
    cli_linux_names_init(&a.names);
    int status = cli_debug_open(cli, &a.debug, argv[0], options->parent, &how);
    if (!status)
        status = cli_debug_go(&a.debug, options->at ? options->at : chosen->at);
    if (!status && options->in)
        status = restrict_to(&a, options->in);
    if (!status && (chosen->has_names || options->modules || options->no_kallsyms))
        status = open_names(&a);
    if (!status)
        status = chosen->ask(&a);
    cli_linux_names_free(&a.names);
    cli_debug_close(&a.debug);
    return status;
}
