/* SPDX-License-Identifier: MIT
 *
 * lockstep gas: the gas ledger of a trace (trace-replay.md 5.4, 5.7).
 */
#include "cli/gas.h"

#include "base/os.h"
#include "replay/position.h"

#include <string.h>

enum {
    MAP_SIZE_MAX = 1 << 24,
    POLL_EVERY = 1 << 16, /* charges between looks at Ctrl-C */
};
#define WORK_SIZE_MAX ((size_t)1 << 30)

static const char *const weight_word[] = {
    [ANALYSIS_WEIGHT_GAS] = "gas",
    [ANALYSIS_WEIGHT_INSN] = "insn",
    [ANALYSIS_WEIGHT_CHARGES] = "charges",
    NULL,
};

static const struct cli_option option[] = {
    CLI_FLAG(struct cli_gas_options, csv, "csv", 0, "comma-separated values"),
    CLI_FLAG(struct cli_gas_options, sum, "sum", 0, "sums instead of charges"),
    CLI_CHOICE(struct cli_gas_options, by, "by", 0, cli_gas_by_word,
               "a table of sums, the largest first (bare: by block)"),
    CLI_STRING(struct cli_gas_options, from, "from", 0, "POS",
               "begin here: N, e:N, g:N, N%, start"),
    CLI_STRING(struct cli_gas_options, to, "to", 0, "POS",
               "end before this; also +N, end"),
    CLI_CHOICE(struct cli_gas_options, collapsed, "collapsed", 0, weight_word,
               "call stacks for flame graphs, weighted (bare: by gas)"),
    CLI_STRING(struct cli_gas_options, map, "map", 0, "FILE",
               "names of functions: what lockstep link --map wrote"),
    CLI_STRING(struct cli_gas_options, output, "output", 'o', "FILE",
               "write there instead of stdout"),
    CLI_FLAG(struct cli_gas_options, verify, "verify", 0,
             "check block tables, costs, paths and clocks"),
    CLI_END,
};

const struct cli_spec cli_spec_gas = {
    .option = option,
    .options_size = sizeof(struct cli_gas_options),
    .positional = {{"FILE", 1, 1, "a trace"}},
    .example = {{"lockstep gas --by=function --map fib.map fib.lks",
                 "which functions the gas went to"},
                {"lockstep gas --collapsed -o fib.folded fib.lks",
                 "input for flamegraph.pl or speedscope"}},
    .exclude = {{"sum", "by collapsed csv"},
                {"by", "collapsed"},
                {"csv", "json collapsed"},
                {"json", "collapsed output"}},
    .about =
        "Without a form, every charge is listed: its number, the instructions "
        "retired before it, the gas clock behind it, its kind, place and cost.  A "
        "ledger is expanded from the recorded path and the block table; nothing is "
        "executed.  A summary has sums only.  See docs/gas.md.",
    .exit_yes = "printed; with --verify: the ledger is consistent",
    .prints_json = true,
};

/* ---- the walk ---- */

/* Sums only: a look at Ctrl-C now and then. */
static bool list_nothing(void *self, const struct analysis_charge *c)
{
    (void)self;
    return c->n % POLL_EVERY || !os_interrupted();
}

static enum err open_reader(struct cli_gas *gas, struct arena *arena,
                            struct trace_reader **ret_reader)
{
    struct trace_source source = replay_source_file(&gas->file);
    struct trace_reader_options none = {0};
    return trace_reader_open(arena, &source, &none, NULL, ret_reader);
}

/* The icount that `percent` of the trace is. */
static enum err find_percent(struct cli_gas *gas, uint64_t percent,
                             uint64_t *ret_icount)
{
    struct arena arena;
    struct trace_reader *reader = NULL;
    struct replay_position end = {.kind = REPLAY_AT_END};
    struct trace_clock clock = {0};
    uint64_t seq;
    arena_init(&arena, WORK_SIZE_MAX);
    enum err err = open_reader(gas, &arena, &reader);
    if (!err)
        err = replay_position_find(reader, &end, 0, &seq, &clock);
    trace_reader_close(reader);
    arena_fini(&arena);
    *ret_icount = clock.icount / 100 * percent + clock.icount % 100 * percent / 100;
    return err;
}

/* `text` is --from or --to; relative ones count from `base`. */
static int set_position(struct cli_gas *gas, const char *text,
                        const struct analysis_position *base,
                        struct analysis_position *ret_position)
{
    struct replay_position p;
    uint64_t value;
    if (!text)
        return CLI_YES;
    if (!replay_position_parse(text, &p))
        return ui_usage(gas->cli, "'%s' is no position: N, e:N, g:N, N%%, start, end",
                        text);
    enum err err = ERR_ok;
    enum analysis_clock clock = ANALYSIS_CLOCK_ICOUNT;
    value = p.value;
    switch (p.kind) {
    case REPLAY_AT_START:
        value = 0;
        break;
    case REPLAY_AT_END:
        clock = ANALYSIS_CLOCK_NONE;
        break;
    case REPLAY_AT_ICOUNT:
        break;
    case REPLAY_AT_EVENT:
        clock = ANALYSIS_CLOCK_SEQ;
        break;
    case REPLAY_AT_GAS:
        clock = ANALYSIS_CLOCK_GAS;
        break;
    case REPLAY_AT_PERCENT:
        err = find_percent(gas, p.value, &value);
        break;
    case REPLAY_AT_FORWARD:
    case REPLAY_AT_BACKWARD:
        if (!base || p.kind == REPLAY_AT_BACKWARD)
            return ui_usage(gas->cli, "'%s': only --to=+N counts from another position",
                            text);
        clock = base->clock == ANALYSIS_CLOCK_NONE ? clock : base->clock;
        value = base->value + p.value < p.value ? UINT64_MAX : base->value + p.value;
        break;
    }
    *ret_position = (struct analysis_position){.clock = clock, .value = value};
    return err ? ui_fail(gas->cli, err, gas->path) : CLI_YES;
}

static int walk_failed(struct cli_gas *gas, enum err err)
{
    struct cli *cli = gas->cli;
    unsigned long long seq = (unsigned long long)gas->fault.seq;
    if (gas->out_failed)
        return ui_fail(cli, ERR_io, gas->options->output);
    if (cli->out_failed)
        return CLI_UNKNOWN;
    if (err == ERR_trace_ledger)
        ui_error(cli, "%s: ledger inconsistent at event %llu, bit %llu: %s", gas->path,
                 seq, (unsigned long long)gas->fault.bit,
                 gas->fault.text ? gas->fault.text : err_text(err));
    else if (err == ERR_unsupported && (gas->totals.forms & ANALYSIS_GAS_SUMMARY))
        ui_error(cli,
                 "%s: recorded with --gas-log=summary: it has no charges to list, "
                 "only --sum and --verify",
                 gas->path);
    else
        ui_error(cli, "%s: event %llu: %s", gas->path, seq,
                 gas->fault.text ? gas->fault.text : err_text(err));
    return CLI_UNKNOWN;
}

static int walk(struct cli_gas *gas)
{
    struct trace_reader *reader;
    enum err err = open_reader(gas, &gas->arena, &reader);
    if (err)
        return ui_fail(gas->cli, err, gas->path);
    err = analysis_gas_walk(&gas->arena, reader, &gas->walk, &gas->totals, &gas->fault);
    if (err == ERR_interrupted && gas->profile &&
        analysis_profile_finish(gas->profile, 0) == ERR_nomem)
        err = ERR_nomem;
    if (err == ERR_unsupported) /* no list: no head of a list */
        buf_clear(&gas->out);
    cli_gas_flush(gas);
    if (!err && trace_reader_state(reader) == TRACE_READER_OPEN)
        ui_note(gas->cli,
                "%s: the trace is not finished: still being recorded, or the "
                "recorder was killed",
                gas->path);
    trace_reader_close(reader);
    return err ? walk_failed(gas, err) : CLI_YES;
}

/* ---- the command ---- */

static int read_map(struct cli_gas *gas)
{
    struct buf map;
    uint32_t line;
    const char *path = gas->options->map;
    if (!path)
        return CLI_YES;
    buf_init(&map, MAP_SIZE_MAX);
    enum err err = os_file_read(path, &map);
    int status = err ? ui_fail(gas->cli, err, path) : CLI_YES;
    if (!err) {
        err =
            analysis_symbols_parse(&gas->arena, buf_bytes(&map), &gas->symbols, &line);
        if (err == ERR_usage) {
            ui_error(gas->cli, "%s:%u: not a map of lockstep link --map", path,
                     (unsigned)line);
            status = CLI_UNKNOWN;
        } else if (err) {
            status = ui_fail(gas->cli, err, path);
        }
    }
    buf_fini(&map);
    return status;
}

static enum err make_profile(struct cli_gas *gas)
{
    static const unsigned part[] = {
        [ANALYSIS_BY_BLOCK] = ANALYSIS_PROFILE_BLOCKS,
        [ANALYSIS_BY_FUNCTION] = ANALYSIS_PROFILE_STACKS,
        [ANALYSIS_BY_OP] = ANALYSIS_PROFILE_OPS,
        [ANALYSIS_BY_PAGE] = ANALYSIS_PROFILE_PAGES,
    };
    const struct cli_gas_options *o = gas->options;
    unsigned parts = o->collapsed ? ANALYSIS_PROFILE_STACKS : part[o->by - 1];
    TRY(analysis_profile_create(
        &gas->arena, parts, gas->symbols.count ? &gas->symbols : NULL, &gas->profile));
    gas->walk.visitor = analysis_profile_visitor(gas->profile);
    gas->walk.all_charges = parts & ANALYSIS_PROFILE_STACKS;
    return ERR_ok;
}

static int prepare(struct cli_gas *gas)
{
    const struct cli_gas_options *o = gas->options;
    int status = read_map(gas);
    if (status == CLI_YES)
        status = set_position(gas, o->from, NULL, &gas->walk.from);
    if (status == CLI_YES)
        status = set_position(gas, o->to, &gas->walk.from, &gas->walk.to);
    if (status != CLI_YES)
        return status;
    bool list = !o->sum && !o->verify && !o->by && !o->collapsed;
    gas->walk.verify = o->verify;
    gas->walk.list = list || o->by || o->collapsed || o->csv;
    gas->walk.visitor =
        (struct analysis_gas_visitor){.self = gas,
                                      .charge = !gas->walk.list  ? list_nothing
                                                : gas->cli->json ? cli_gas_list_json
                                                : o->csv         ? cli_gas_list_csv
                                                                 : cli_gas_list_text};
    if (o->by || o->collapsed) {
        enum err err = make_profile(gas);
        return err ? ui_fail(gas->cli, err, gas->path) : CLI_YES;
    }
    if (gas->walk.list && !gas->cli->json)
        cli_gas_list_head(gas);
    return CLI_YES;
}

static bool stack_line(void *self, struct bytes text)
{
    struct cli_gas *gas = self;
    buf_put(&gas->out, text.data, text.size);
    buf_byte(&gas->out, '\n');
    return cli_gas_ready(gas);
}

static enum err print_profile(struct cli_gas *gas)
{
    TRY(analysis_profile_finish(gas->profile, gas->totals.insn_count));
    if (gas->options->by)
        TRY(cli_gas_print_table(gas));
    else
        TRY(analysis_profile_collapsed(
            gas->profile, (enum analysis_weight)(gas->options->collapsed - 1),
            stack_line, gas));
    cli_gas_flush(gas);
    uint64_t lost = analysis_profile_lost_count(gas->profile);
    if (lost)
        ui_note(gas->cli, "%llu calls exceeded the limits for stacks: see docs/gas.md",
                (unsigned long long)lost);
    return ERR_ok;
}

static void print_verdict(struct cli_gas *gas)
{
    const struct analysis_gas_totals *t = &gas->totals;
    if (!gas->options->verify || gas->cli->json || gas->options->by ||
        gas->options->collapsed || gas->options->csv || gas->options->sum)
        return;
    ui_out(gas->cli,
           "ledger ok: %llu events, %llu blocks charged, gas %llu, "
           "%llu block tables\n",
           (unsigned long long)t->event_count, (unsigned long long)t->block_count,
           (unsigned long long)t->gas, (unsigned long long)t->table_count);
}

static int run(struct cli_gas *gas)
{
    const struct cli_gas_options *o = gas->options;
    enum err err = replay_source_file_open(&gas->file, gas->path);
    if (err)
        return ui_fail(gas->cli, err, gas->path);
    int status = prepare(gas);
    if (status != CLI_YES)
        return status;
    if (o->output && (err = os_open(o->output, OS_OPEN_CREATE, &gas->out_fd)))
        return ui_fail(gas->cli, err, o->output);
    status = walk(gas);
    if (status != CLI_YES)
        return status;
    if (gas->profile)
        err = print_profile(gas);
    else if (gas->cli->json && !gas->walk.list)
        cli_gas_sum_json(gas);
    else if (o->sum)
        cli_gas_sum_text(gas);
    print_verdict(gas);
    if (err || gas->out_failed)
        return walk_failed(gas, err);
    return CLI_YES;
}

int cmd_gas(struct cli *cli, int argc, char **argv)
{
    check(argc == 1);
    struct cli_gas gas = {.cli = cli,
                          .options = cli->options,
                          .path = argv[0],
                          .file = {.fd = -1},
                          .out_fd = -1};
    arena_init(&gas.arena, WORK_SIZE_MAX);
    buf_init(&gas.out, (size_t)1 << 25);
    os_catch_interrupts();
    int status = run(&gas);
    analysis_profile_close(gas.profile);
    buf_fini(&gas.out);
    arena_fini(&gas.arena);
    os_close(gas.out_fd);
    replay_source_file_close(&gas.file);
    return status;
}
