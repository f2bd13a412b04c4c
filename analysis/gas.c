/* SPDX-License-Identifier: MIT
 *
 * The walk over a trace that tells every gas charge, in whatever form it was recorded
 * (trace-replay.md 5).
 *
 * Clocks.  A segment is written when it ends, so its own clock is that of its end.  It
 * began where the boundary event before it left the machine: at that event's clock,
 * one instruction later behind an ecall, which retires (trace-replay.md 1, point 3).
 * state.hash does not count: it may be written in the middle of a segment.  Behind a
 * gap, where the boundary event is missing, the beginning is the end less the path.
 */
#include "analysis/internal.h"
#include "trace/ledger.h"

#include <string.h>

enum { EVENT_MEMORY_MAX = 1 << 28 };

struct walk {
    struct arena *arena; /* programs */
    struct arena event;  /* one event's lists */
    struct trace_reader *reader;
    const struct analysis_gas_options *options;
    struct analysis_gas_totals *totals;
    struct analysis_gas_fault *fault;
    struct analysis_program **program;
    uint8_t *table_checked; /* by program */
    uint32_t program_count;
    struct analysis_program *current;

    bool ranged;
    bool is_kernel;  /* whose programs call each other */
    bool begun;      /* icount and gas are known */
    bool resumed;    /* the next segment begins behind a gap */
    uint64_t seq;    /* of the next event */
    uint64_t icount; /* where the next segment begins */
    uint64_t before; /* resumed: clock of the last event in front of the gap */
    uint64_t gas;    /* the gas clock by our own sum */
    uint64_t n;      /* charges so far */
    uint64_t hash;   /* rolling, of the run in progress */
    bool run_charged;

    /* the segment being expanded */
    struct analysis_charge charge;
    uint64_t origin; /* icount at the start of its first block, were that executed */
    uint64_t passed; /* instructions of the blocks before the one in progress */
};

const char *analysis_charge_name(uint64_t kind)
{
    static const char *const name[ANALYSIS_CHARGE_KINDS] = {
        [ANALYSIS_CHARGE_BLOCK] = "block",  [ANALYSIS_CHARGE_PAGE_IN] = "page-in",
        [ANALYSIS_CHARGE_COW] = "cow",      [ANALYSIS_CHARGE_UNIT] = "unit",
        [ANALYSIS_CHARGE_OPERATION] = "op", [ANALYSIS_CHARGE_FRAME] = "frame",
        [ANALYSIS_CHARGE_SIZE] = "size",    [ANALYSIS_CHARGE_CREDIT] = "credit",
    };
    return kind < ANALYSIS_CHARGE_KINDS ? name[kind] : "?";
}

static enum err wrong(struct walk *w, const char *text)
{
    w->fault->text = text;
    return ERR_trace_ledger;
}

/* ---- charges ---- */

/* Is a moment before (-) or behind the position? */
static bool reached(const struct analysis_position *at, uint64_t icount, uint64_t gas,
                    uint64_t seq)
{
    switch (at->clock) {
    case ANALYSIS_CLOCK_ICOUNT:
        return icount >= at->value;
    case ANALYSIS_CLOCK_GAS:
        return gas >= at->value;
    case ANALYSIS_CLOCK_SEQ:
        return seq >= at->value;
    case ANALYSIS_CLOCK_NONE:
        break;
    }
    return true;
}

static bool inside(const struct walk *w, uint64_t icount, uint64_t gas, uint64_t seq)
{
    const struct analysis_gas_options *o = w->options;
    return reached(&o->from, icount, gas, seq) &&
           (o->to.clock == ANALYSIS_CLOCK_NONE || !reached(&o->to, icount, gas, seq));
}

static bool told(struct walk *w)
{
    const struct analysis_gas_visitor *v = &w->options->visitor;
    return !v->charge || (!w->charge.inside && !w->options->all_charges) ||
           v->charge(v->self, &w->charge);
}

/* Count and tell w->charge, whose kind, where, cost, pc and icount are set. */
static bool tell(struct walk *w)
{
    struct analysis_charge *c = &w->charge;
    struct analysis_gas_totals *totals = w->totals;
    uint64_t before = w->gas;
    if (c->kind != ANALYSIS_CHARGE_CREDIT)
        w->gas += c->cost;
    c->gas = w->gas;
    c->n = ++w->n;
    c->inside = !w->ranged || inside(w, c->icount, before, c->seq);
    if (c->inside) {
        totals->count[c->kind]++;
        totals->cost[c->kind] += c->cost;
    }
    return told(w);
}

/* The same for a charge of a run: it is part of the run's hash. */
static bool tell_run(struct walk *w)
{
    const struct analysis_charge *c = &w->charge;
    w->hash = trace_ledger_hash(w->hash, c->kind, c->where, c->cost);
    w->run_charged = true;
    return tell(w);
}

/* Roll the finished run's hash into the total. */
static void end_run(struct walk *w, bool charged, uint64_t hash)
{
    struct analysis_gas_totals *t = w->totals;
    if (charged) {
        t->hash = ((t->hash << 5 | t->hash >> 59) ^ hash) * 0x517cc1b727220a95u;
        t->run_count++;
    }
    w->hash = 0;
    w->run_charged = false;
}

static enum err tell_list(struct walk *w, const struct trace_list_uuu *charges,
                          uint64_t icount, uint64_t pc)
{
    struct analysis_charge *c = &w->charge;
    for (size_t i = 0; i < charges->count; i++) {
        if (charges->item[i].a >= ANALYSIS_CHARGE_KINDS)
            return wrong(w, "a charge of unknown kind");
        c->kind = charges->item[i].a;
        c->where = charges->item[i].b;
        c->cost = charges->item[i].c;
        c->icount = icount;
        c->pc = pc;
        if (!tell(w))
            return ERR_interrupted;
    }
    return ERR_ok;
}

/* ---- programs ---- */

static enum err find_program(struct walk *w, uint64_t number)
{
    if (w->current && w->current->number == number)
        return ERR_ok;
    for (uint32_t i = 0; i < w->program_count; i++) {
        if (w->program[i]->number == number) {
            w->current = w->program[i];
            w->charge.program = w->current;
            return ERR_ok;
        }
    }
    return wrong(w, "the program was never introduced");
}

static enum err check_table(struct walk *w, uint64_t pc)
{
    uint32_t index = w->current->index;
    if (!w->options->verify || w->table_checked[index])
        return ERR_ok;
    struct arena arena;
    arena_init(&arena, w->arena->size_max);
    size_t offset;
    enum err err =
        analysis_program_check_table(w->current, (uint32_t)pc, &arena, &offset);
    arena_fini(&arena);
    w->table_checked[index] = 1;
    w->totals->table_count++;
    if (err == ERR_trace_ledger)
        return wrong(w, "the block table is not that of the code");
    return err;
}

/* Short bytes point into the record, which goes when the reader moves on. */
static enum err keep_bytes(struct walk *w, struct bytes *bytes)
{
    const void *copy = arena_copy(w->arena, bytes->data, bytes->size);
    if (!copy)
        return ERR_nomem;
    bytes->data = copy;
    return ERR_ok;
}

static enum err on_program(struct walk *w, const struct trace_record *record)
{
    struct trace_pvm_program event;
    TRY(trace_decode_pvm_program(w->reader, record, &w->event, &event));
    TRY(keep_bytes(w, &event.code));
    TRY(keep_bytes(w, &event.blocks));
    if (w->program_count == ANALYSIS_PROGRAMS_MAX)
        return ERR_limit;
    for (uint32_t i = 0; i < w->program_count; i++) {
        if (w->program[i]->number == event.prog)
            return wrong(w, "the program is introduced twice");
    }
    if (w->options->verify && event.hash.present && event.kind == 0) {
        struct hash256 hash = hash256_of(event.code.data, event.code.size);
        if (!hash256_equal(&hash, &event.hash.hash))
            return wrong(w, "the program does not have the recorded hash");
    }
    enum err err = analysis_program_create(w->arena, &event, w->program_count,
                                           &w->program[w->program_count]);
    if (err == ERR_trace_ledger)
        return wrong(w, "the block table is malformed");
    TRY(err);
    w->program_count++;
    return ERR_ok;
}

/* ---- runs ---- */

static enum err enter(struct walk *w, uint64_t frame, uint64_t pc, bool is_new)
{
    const struct analysis_gas_visitor *v = &w->options->visitor;
    struct analysis_entry entry = {.program = w->current,
                                   .frame = frame,
                                   .pc = pc,
                                   .icount = w->icount,
                                   .before = w->resumed ? w->before : w->icount,
                                   .begin = is_new || w->resumed};
    w->resumed = false;
    return !v->enter || v->enter(v->self, &entry) ? ERR_ok : ERR_interrupted;
}

static enum err on_start(struct walk *w, const struct trace_record *record)
{
    struct trace_pvm_start event;
    TRY(trace_decode_pvm_start(w->reader, record, &w->event, &event));
    TRY(find_program(w, event.prog));
    if (event.pc > UINT32_MAX)
        return wrong(w, "a program counter beyond 32 bits");
    TRY(check_table(w, event.pc));
    end_run(w, w->run_charged, w->hash);
    w->icount = record->clock.icount;
    TRY(enter(w, 0, event.pc, true));
    return tell_list(w, &event.charges, record->clock.icount, event.pc);
}

/* pvm.ecall and what else has `op`, `pc` and `charges`. */
static enum err on_ecall(struct walk *w, const struct trace_record *record)
{
    struct trace_pvm_ecall event;
    TRY(trace_decode_pvm_ecall(w->reader, record, &w->event, &event));
    const struct analysis_gas_visitor *v = &w->options->visitor;
    end_run(w, w->run_charged, w->hash);
    bool in = !w->ranged || inside(w, record->clock.icount, w->gas, record->seq);
    if (v->ecall && !v->ecall(v->self, event.op, in))
        return ERR_interrupted;
    TRY(tell_list(w, &event.charges, record->clock.icount, event.pc));
    w->icount = record->clock.icount + 1;
    return ERR_ok;
}

static enum err on_exit(struct walk *w, const struct trace_record *record)
{
    end_run(w, w->run_charged, w->hash);
    w->icount = record->clock.icount;
    return ERR_ok;
}

/* ---- the three forms ---- */

/* Instructions before pc in its block. */
static uint64_t rank_in_block(const struct analysis_program *program, uint64_t pc)
{
    uint32_t row = analysis_program_row(program, pc);
    uint64_t start = row == ANALYSIS_NO_ROW ? 0 : program->ledger.blocks.block[row].pc;
    return analysis_program_rank(program, pc) - analysis_program_rank(program, start);
}

static bool on_segment_charge(void *self, const struct trace_charge *t)
{
    struct walk *w = self;
    struct analysis_charge *c = &w->charge;
    c->kind = t->kind;
    c->where = t->where;
    c->cost = t->cost;
    c->pc = t->pc;
    if (t->kind == ANALYSIS_CHARGE_BLOCK) {
        /* A run may begin inside the first block. */
        c->icount = t->insn_count ? w->origin + t->insn_count : w->icount;
        w->passed = t->insn_count;
    } else {
        c->icount = w->origin + t->insn_count + rank_in_block(w->current, t->pc);
    }
    return tell_run(w);
}

/* The icount at which an expanded segment ended, by its path. */
static uint64_t segment_icount(const struct walk *w, const struct trace_pvm_segment *s)
{
    const struct analysis_program *p = w->current;
    if (s->n == 0 && s->start == 0)
        return w->icount; /* nothing was paid, nothing ran */
    if (s->end != TRACE_SEGMENT_SPLIT_BLOCK && s->end != TRACE_SEGMENT_OUT_OF_GAS &&
        s->end != TRACE_SEGMENT_STOPPED)
        return w->origin + w->passed + rank_in_block(p, s->end_pc);
    /* The last block was passed: the last one charged, or the one it began in. */
    bool charged = s->n > 0;
    uint32_t row = analysis_program_row(p, charged ? w->charge.where : s->pc);
    uint64_t insns =
        row == ANALYSIS_NO_ROW ? 0 : p->ledger.blocks.block[row].insn_count;
    return w->origin + w->passed + insns;
}

/* Only the path counts: where is the last block, and what lies before it? */
static bool on_path(void *self, const struct trace_charge *t)
{
    struct walk *w = self;
    if (t->kind == ANALYSIS_CHARGE_BLOCK) {
        w->passed = t->insn_count;
        w->charge.where = t->pc;
    }
    return true;
}

static enum err expand(struct walk *w, const struct trace_pvm_segment *segment,
                       bool (*charge)(void *self, const struct trace_charge *charge))
{
    struct trace_ledger_fault fault = {0};
    w->origin = w->icount - rank_in_block(w->current, segment->pc);
    w->passed = 0;
    enum err err = trace_ledger_expand(&w->current->ledger, segment, charge, w, &fault);
    if (err == ERR_trace_ledger) {
        w->fault->bit = fault.bit;
        return wrong(w, fault.text);
    }
    return err;
}

static bool check_kinds(const struct trace_pvm_segment *segment)
{
    for (size_t i = 0; i < segment->extra.count; i++) {
        uint64_t kind = segment->extra.item[i].c;
        if (kind == ANALYSIS_CHARGE_BLOCK || kind >= ANALYSIS_CHARGE_OPERATION)
            return false;
    }
    return true;
}

/* Does no charge of the segment interest anybody?  Then it need not be expanded. */
static bool may_skip(const struct walk *w, const struct trace_record *record,
                     uint64_t gas)
{
    const struct analysis_gas_options *o = w->options;
    if (!w->ranged || o->all_charges || o->verify)
        return false;
    /* Its last charge lies at or before its end; in gas, before it. */
    uint64_t gas_last = record->clock.gas - (gas ? 1 : 0);
    return !reached(&o->from, record->clock.icount, gas_last, record->seq);
}

static enum err on_segment(struct walk *w, const struct trace_record *record)
{
    struct trace_pvm_segment s;
    TRY(trace_decode_pvm_segment(w->reader, record, &w->event, &s));
    w->totals->forms |= ANALYSIS_GAS_LEDGER;
    TRY(find_program(w, s.prog));
    TRY(check_table(w, s.pc));
    if (!check_kinds(&s))
        return wrong(w, "a page charge of another kind");
    /* A halting jump retires, and nothing comes between it and the record. */
    uint64_t halted = s.end == TRACE_SEGMENT_HALT;
    if (w->resumed) {
        TRY(expand(w, &s, on_path));
        w->icount += record->clock.icount - segment_icount(w, &s) - halted;
        w->gas = record->clock.gas - s.gas;
    }
    TRY(enter(w, s.frame, s.pc, false));
    if (record->clock.gas - s.gas != w->gas)
        return wrong(w, "the gas clock is not the sum of the charges");
    if (may_skip(w, record, s.gas)) {
        w->n += s.n + s.extra.count;
        w->gas += s.gas;
    } else {
        TRY(expand(w, &s, on_segment_charge));
        if (segment_icount(w, &s) + halted != record->clock.icount)
            return wrong(w, "the clock does not fit the path");
    }
    w->icount = record->clock.icount;
    if (s.end != TRACE_SEGMENT_SPLIT_BLOCK && s.end != TRACE_SEGMENT_SPLIT_INSIDE)
        end_run(w, w->run_charged, w->hash);
    return ERR_ok;
}

static enum err on_charge(struct walk *w, const struct trace_record *record)
{
    struct trace_pvm_charge e;
    TRY(trace_decode_pvm_charge(w->reader, record, &w->event, &e));
    w->totals->forms |= ANALYSIS_GAS_EACH;
    if (w->is_kernel) { /* only segments and summaries have numbers of programs */
        w->fault->text = "the charges of a kernel do not say which program pays; "
                         "record it with --gas-log=ledger";
        return ERR_unsupported;
    }
    if (e.kind >= ANALYSIS_CHARGE_OPERATION)
        return wrong(w, "a charge of another kind");
    if (!w->current)
        return wrong(w, "a charge before the first program");
    if (e.kind == ANALYSIS_CHARGE_BLOCK) {
        const struct trace_blocks *blocks = &w->current->ledger.blocks;
        uint32_t row = analysis_program_row(w->current, e.where);
        if (row == ANALYSIS_NO_ROW || blocks->block[row].pc != e.where ||
            blocks->block[row].cost != e.cost)
            return wrong(w, "a block charge that the block table does not have");
    }
    if (w->resumed) {
        w->gas = record->clock.gas - e.cost;
        w->icount = record->clock.icount;
        TRY(enter(w, 0, e.pc, true));
    }
    if (record->clock.gas - e.cost != w->gas)
        return wrong(w, "the gas clock is not the sum of the charges");
    w->charge.seq = record->seq;
    w->charge.kind = e.kind;
    w->charge.where = e.where;
    w->charge.cost = e.cost;
    w->charge.pc = e.pc;
    w->charge.icount = record->clock.icount;
    return tell_run(w) ? ERR_ok : ERR_interrupted;
}

static enum err on_summary(struct walk *w, const struct trace_record *record)
{
    struct trace_pvm_summary s;
    TRY(trace_decode_pvm_summary(w->reader, record, &w->event, &s));
    w->totals->forms |= ANALYSIS_GAS_SUMMARY;
    if (w->options->list || w->ranged)
        return ERR_unsupported;
    TRY(find_program(w, s.prog));
    TRY(check_table(w, s.pc));
    if (w->resumed)
        w->gas = record->clock.gas - s.gas;
    TRY(enter(w, s.frame, s.pc, false));
    if (record->clock.gas - s.gas != w->gas)
        return wrong(w, "the gas clock is not the sum of the charges");
    w->gas += s.gas;
    w->totals->gas += s.gas;
    w->n += s.n;
    w->totals->count[ANALYSIS_CHARGE_BLOCK] += s.n;
    w->icount = record->clock.icount;
    end_run(w, s.n || s.gas, s.hash);
    return ERR_ok;
}

/* ---- the walk ---- */

static enum err on_config(struct walk *w, const struct trace_record *record)
{
    struct trace_session_config event;
    TRY(trace_decode_session_config(w->reader, record, &w->event, &event));
    if (event.key && strcmp(event.key, "pvm.kernel") == 0)
        w->is_kernel = true;
    if (!event.key || strcmp(event.key, "gas") != 0 || !event.value)
        return ERR_ok;
    const char *copy = arena_copy(w->arena, event.value, strlen(event.value) + 1);
    if (!copy)
        return ERR_nomem;
    w->totals->config = copy;
    return ERR_ok;
}

/* The first record, or the first behind a gap (a dropped ring segment, a cut), where
 * the run goes on from a checkpoint. */
static void begin(struct walk *w)
{
    struct trace_chunk chunk = trace_reader_chunk(w->reader);
    end_run(w, w->run_charged, w->hash);
    w->before = w->totals->insn_count;
    w->icount = chunk.icount0;
    w->gas = chunk.gas0;
    w->resumed = w->begun;
    w->begun = true;
}

static enum err on_record(struct walk *w, const struct trace_record *record)
{
    if (!w->begun || record->seq != w->seq)
        begin(w);
    w->seq = record->seq + 1;
    w->totals->event_count++;
    if (record->clock.icount > w->totals->insn_count)
        w->totals->insn_count = record->clock.icount;
    w->charge.seq = record->seq;
    switch (record->kind->id) {
    case TRACE_ID_session_config:
        return on_config(w, record);
    case TRACE_ID_pvm_program:
        return on_program(w, record);
    case TRACE_ID_pvm_start:
        return on_start(w, record);
    case TRACE_ID_pvm_segment:
        return on_segment(w, record);
    case TRACE_ID_pvm_charge:
        return on_charge(w, record);
    case TRACE_ID_pvm_summary:
        return on_summary(w, record);
    case TRACE_ID_pvm_ecall:
        return on_ecall(w, record);
    case TRACE_ID_pvm_exit:
    case TRACE_ID_session_end:
        return on_exit(w, record);
    default:
        return ERR_ok;
    }
}

/* Nothing at or behind `to` is wanted. */
static bool over(const struct walk *w)
{
    const struct analysis_position *to = &w->options->to;
    return to->clock != ANALYSIS_CLOCK_NONE && !w->options->verify &&
           reached(to, w->icount, w->gas, w->seq);
}

static enum err read_all(struct walk *w)
{
    struct trace_record record;
    bool end = false;
    while (!over(w)) {
        w->fault->seq = w->seq;
        TRY(trace_reader_next(w->reader, &record, &end));
        if (end)
            break;
        w->fault->seq = record.seq;
        TRY(on_record(w, &record));
        arena_clear(&w->event);
    }
    end_run(w, w->run_charged, w->hash);
    return ERR_ok;
}

enum err analysis_gas_walk(struct arena *arena, struct trace_reader *reader,
                           const struct analysis_gas_options *options,
                           struct analysis_gas_totals *ret_totals,
                           struct analysis_gas_fault *ret_fault)
{
    *ret_totals = (struct analysis_gas_totals){.config = ""};
    *ret_fault = (struct analysis_gas_fault){0};
    struct walk w = {
        .arena = arena,
        .reader = reader,
        .options = options,
        .totals = ret_totals,
        .fault = ret_fault,
        .program =
            arena_new_array(arena, struct analysis_program *, ANALYSIS_PROGRAMS_MAX),
        .table_checked = arena_new_array(arena, uint8_t, ANALYSIS_PROGRAMS_MAX),
        .ranged = options->from.clock != ANALYSIS_CLOCK_NONE ||
                  options->to.clock != ANALYSIS_CLOCK_NONE,
    };
    if (!w.program || !w.table_checked)
        return ERR_nomem;
    arena_init(&w.event, EVENT_MEMORY_MAX);
    enum err err = read_all(&w);
    arena_fini(&w.event);
    ret_totals->block_count = ret_totals->count[ANALYSIS_CHARGE_BLOCK];
    for (unsigned i = 0; i < ANALYSIS_CHARGE_CREDIT; i++)
        ret_totals->gas += ret_totals->cost[i];
    return err;
}
