/* SPDX-License-Identifier: MIT
 *
 * The gas ledger, decoded: a segment holds what the program cannot tell, expand() walks
 * the block table along it [5.4].
 */
#include "trace/internal.h"
#include "trace/ledger.h"

enum { BIT_COUNT_MAX = 65536, TARGET_COUNT_MAX = 4096, EXTRA_COUNT_MAX = 2048 };

/* ---- block table [5.2] ---- */

static bool leb128(struct wire *wire, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (unsigned shift = 0; wire->at < wire->end && shift < 64; shift += 7) {
        uint8_t byte = *wire->at++;
        uint64_t part = byte & 0x7fu;
        if (shift == 63 && part > 1)
            return false;
        number |= part << shift;
        if (byte < 0x80) {
            *ret_number = number;
            return byte || !shift; /* the shortest form only */
        }
    }
    return false;
}

static bool has_target(uint8_t kind)
{
    kind &= (uint8_t)~TRACE_BLOCK_BAD_TARGET;
    return kind == TRACE_BLOCK_JUMP || kind == TRACE_BLOCK_CONDITIONAL;
}

static bool row_parse(struct wire *wire, uint64_t pc_before, bool first,
                      struct trace_block *ret_block)
{
    uint64_t step, cost, insn_count, length, zigzag = 0;
    if (!leb128(wire, &step) || !leb128(wire, &cost) || !leb128(wire, &insn_count) ||
        wire->at >= wire->end || (!first && !step))
        return false;
    uint8_t kind = *wire->at++;
    bool bad = kind & TRACE_BLOCK_BAD_TARGET;
    if ((kind & ~TRACE_BLOCK_BAD_TARGET) > TRACE_BLOCK_STOP ||
        (bad && !has_target(kind)) || !leb128(wire, &length) ||
        (has_target(kind) && !leb128(wire, &zigzag)))
        return false;
    if (step > UINT32_MAX || pc_before + step > UINT32_MAX || length > UINT32_MAX ||
        pc_before + step + length > UINT32_MAX || insn_count > UINT32_MAX)
        return false;
    uint64_t pc = pc_before + step;
    int64_t distance = (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
    int64_t target;
    if (__builtin_add_overflow((int64_t)pc, distance, &target))
        return false;
    *ret_block = (struct trace_block){
        .pc = (uint32_t)pc,
        .next = (uint32_t)(pc + length),
        .target = has_target(kind) ? target : 0,
        .insn_count = (uint32_t)insn_count,
        .cost = cost,
        .kind = kind,
    };
    return true;
}

/* Where the row begins that begins at `pc`: its index plus 1, or 0. */
static uint32_t row_index(const struct trace_blocks *blocks, uint64_t pc)
{
    const struct trace_block *row = trace_blocks_containing(blocks, pc);
    return row && row->pc == pc && blocks->count < UINT32_MAX
               ? (uint32_t)(row - blocks->block) + 1
               : 0;
}

enum err trace_blocks_parse(struct arena *arena, struct bytes table,
                            struct trace_blocks *ret_blocks)
{
    struct wire count_wire = wire_of(table), wire = count_wire;
    struct trace_block block = {0};
    size_t count = 0;
    for (; wire_left(&count_wire); count++) {
        if (!row_parse(&count_wire, block.pc, !count, &block))
            return ERR_trace_ledger;
    }
    struct trace_block *row = arena_new_array(arena, struct trace_block, count);
    if (!row)
        return ERR_nomem;
    for (size_t i = 0; i < count; i++)
        (void)row_parse(&wire, i ? row[i - 1].pc : 0, !i, &row[i]);
    struct trace_blocks blocks = {.block = row, .count = count};
    for (size_t i = 0; i < count; i++) {
        row[i].next_row = row_index(&blocks, row[i].next);
        if (has_target(row[i].kind) && row[i].target >= 0)
            row[i].target_row = row_index(&blocks, (uint64_t)row[i].target);
    }
    *ret_blocks = blocks;
    return ERR_ok;
}

const struct trace_block *trace_blocks_containing(const struct trace_blocks *blocks,
                                                  uint64_t pc)
{
    size_t low = 0, high = blocks->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (blocks->block[middle].pc <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &blocks->block[low - 1] : NULL;
}

/* ---- expand [5.4] ---- */

/* A place in a stretch without outcomes: coming back to it means the laps from now on
 * are all alike, until an extra entry or the end. */
struct anchor {
    const struct trace_block *row;
    uint64_t n;
    uint64_t sum;
    uint64_t insn_count;
    uint64_t reach; /* move the anchor after so many blocks (Brent) */
};

struct expander {
    const struct trace_pvm_ledger *ledger;
    const struct trace_pvm_segment *segment;
    bool (*charge)(void *self, const struct trace_charge *charge);
    void *self;
    const struct trace_block *row; /* the block in progress */
    uint64_t n;
    uint64_t bit;        /* outcomes used */
    struct wire targets; /* not used yet */
    size_t target_count; /* used */
    size_t extra;        /* entries used */
    uint64_t extra_n;    /* ordinal of the next one */
    uint64_t sum;
    uint64_t insn_count;
    struct anchor anchor;
    const char *fault;
};

static enum err inconsistent(struct expander *e, const char *text)
{
    e->fault = text;
    return ERR_trace_ledger;
}

static enum err emit(struct expander *e, uint64_t kind, uint64_t where, uint64_t cost,
                     uint64_t pc)
{
    const struct trace_charge charge = {.n = e->n,
                                        .insn_count = e->insn_count,
                                        .kind = kind,
                                        .where = where,
                                        .cost = cost,
                                        .pc = pc};
    if (__builtin_add_overflow(e->sum, cost, &e->sum) || e->sum > e->segment->gas)
        return inconsistent(e, "charges exceed the segment's gas");
    return e->charge && !e->charge(e->self, &charge) ? ERR_interrupted : ERR_ok;
}

static enum err enter_block(struct expander *e, const struct trace_block *row)
{
    e->row = row;
    e->n++;
    return emit(e, 0, row->pc, row->cost, row->pc);
}

/* Page charges of the block in progress. */
static enum err emit_extra(struct expander *e)
{
    const struct trace_list_uuuuu *extra = &e->segment->extra;
    while (e->extra < extra->count && e->extra_n == e->n) {
        const struct trace_uuuuu *entry = &extra->item[e->extra];
        if (entry->b >= e->row->next - e->row->pc || entry->c < 1 || entry->c > 3)
            return inconsistent(e, "a page charge is outside its block");
        TRY(emit(e, entry->c, entry->d, entry->e, e->row->pc + entry->b));
        e->extra++;
        if (e->extra < extra->count &&
            __builtin_add_overflow(e->extra_n, extra->item[e->extra].a, &e->extra_n))
            return inconsistent(e, "page charges are out of order");
    }
    return ERR_ok;
}

static bool outcome(const struct expander *e, uint64_t bit)
{
    return e->segment->bits.data[bit / 8] >> (7 - bit % 8) & 1;
}

/* Where control goes at the end of the block in progress, and which row that is, plus
 * 1; 0: to be looked up. */
static enum err successor(struct expander *e, uint64_t *ret_pc, uint32_t *ret_row)
{
    const struct trace_block *row = e->row;
    bool bad = row->kind & TRACE_BLOCK_BAD_TARGET;
    uint64_t index;
    *ret_row = row->next_row;
    switch (row->kind & ~TRACE_BLOCK_BAD_TARGET) {
    case TRACE_BLOCK_NEXT:
        *ret_pc = row->next;
        return ERR_ok;
    case TRACE_BLOCK_JUMP:
        if (bad)
            return inconsistent(e, "execution goes on behind an invalid jump");
        *ret_pc = (uint64_t)row->target;
        *ret_row = row->target_row;
        return ERR_ok;
    case TRACE_BLOCK_CONDITIONAL:
        if (e->bit >= e->segment->nbits)
            return inconsistent(e, "an outcome is missing");
        if (!outcome(e, e->bit++)) {
            *ret_pc = row->next;
            return ERR_ok;
        }
        if (bad)
            return inconsistent(e, "execution goes on behind an invalid branch");
        *ret_pc = (uint64_t)row->target;
        *ret_row = row->target_row;
        return ERR_ok;
    case TRACE_BLOCK_INDIRECT:
        if (!leb128(&e->targets, &index))
            return inconsistent(e, "an indirect jump's target is missing");
        if (++e->target_count > TARGET_COUNT_MAX || index >= e->ledger->jump_count)
            return inconsistent(e, "an indirect jump is outside the jump table");
        *ret_pc = e->ledger->jump[index];
        *ret_row = 0;
        return ERR_ok;
    default:
        return inconsistent(e, "execution goes on behind a block that stops");
    }
}

/* Nobody listens: leap over laps that are all like the last one, but not past `n_max`.
 * Called in front of `next`. */
static void skip_laps(struct expander *e, const struct trace_block *next,
                      uint64_t n_max)
{
    struct anchor *anchor = &e->anchor;
    struct anchor here = {next, e->n, e->sum, e->insn_count, 1};
    if (e->row->kind != TRACE_BLOCK_NEXT && e->row->kind != TRACE_BLOCK_JUMP) {
        anchor->row = NULL;
        return;
    }
    if (anchor->row != next) {
        here.reach = anchor->row ? anchor->reach * 2 : 1;
        if (!anchor->row || e->n - anchor->n >= anchor->reach)
            *anchor = here;
        return;
    }
    if (e->extra < e->segment->extra.count && e->extra_n - 1 < n_max)
        n_max = e->extra_n - 1;
    uint64_t lap = e->n - anchor->n, cost = e->sum - anchor->sum;
    uint64_t laps = n_max > e->n ? (n_max - e->n) / lap : 0;
    if (cost && laps > (e->segment->gas - e->sum) / cost)
        laps = (e->segment->gas - e->sum) / cost;
    e->n += laps * lap;
    e->sum += laps * cost;
    e->insn_count += laps * (e->insn_count - anchor->insn_count);
    anchor->row = NULL;
}

/* Does the segment end in front of a block? */
static bool ends_at_entry(const struct trace_pvm_segment *segment)
{
    return segment->end == TRACE_SEGMENT_SPLIT_BLOCK ||
           segment->end == TRACE_SEGMENT_OUT_OF_GAS ||
           segment->end == TRACE_SEGMENT_STOPPED;
}

static bool inside(const struct expander *e, uint64_t pc)
{
    return trace_blocks_containing(&e->ledger->blocks, pc) == e->row;
}

/* From the block in progress to the end of the segment. */
static enum err walk_blocks(struct expander *e)
{
    const struct trace_pvm_segment *segment = e->segment;
    bool at_entry = ends_at_entry(segment);
    for (;;) {
        const struct trace_blocks *blocks = &e->ledger->blocks;
        uint64_t pc;
        uint32_t known;
        TRY(emit_extra(e));
        if (e->n == segment->n && !at_entry)
            return inside(e, segment->end_pc)
                       ? ERR_ok
                       : inconsistent(e, "end_pc is in another block");
        TRY(successor(e, &pc, &known));
        const struct trace_block *row =
            known ? &blocks->block[known - 1] : trace_blocks_containing(blocks, pc);
        if (!row || row->pc != pc)
            return inconsistent(e, "a block is entered in its middle");
        e->insn_count += e->row->insn_count;
        if (!e->charge)
            skip_laps(e, row, at_entry ? segment->n : segment->n - 1);
        if (e->n == segment->n)
            return pc == segment->end_pc ? ERR_ok
                                         : inconsistent(e, "end_pc is another block");
        TRY(enter_block(e, row));
    }
}

/* Rule 1: the branch that panicked has its outcome recorded. */
static void take_last_outcome(struct expander *e)
{
    const struct trace_pvm_segment *segment = e->segment;
    if (segment->end == TRACE_SEGMENT_PANIC && e->bit + 1 == segment->nbits &&
        e->row->kind == (TRACE_BLOCK_CONDITIONAL | TRACE_BLOCK_BAD_TARGET) &&
        outcome(e, e->bit))
        e->bit++;
}

static enum err check_form(struct expander *e)
{
    const struct trace_pvm_segment *segment = e->segment;
    uint64_t rest = segment->nbits % 8;
    if (segment->start > 1 || segment->end > TRACE_SEGMENT_STOPPED)
        return inconsistent(e, "start or end has no meaning");
    if (segment->nbits > BIT_COUNT_MAX || segment->extra.count > EXTRA_COUNT_MAX)
        return inconsistent(e, "the segment should have been split");
    if (segment->bits.size != (segment->nbits + 7) / 8)
        return inconsistent(e, "bits has the wrong size");
    if (rest && segment->bits.data[segment->bits.size - 1] & (0xff >> rest))
        return inconsistent(e, "unused bits are not zero");
    return ERR_ok;
}

static enum err check_used(struct expander *e)
{
    const struct trace_pvm_segment *segment = e->segment;
    if (e->bit != segment->nbits)
        return inconsistent(e, "outcomes are left over");
    if (wire_left(&e->targets))
        return inconsistent(e, "jump targets are left over");
    if (e->extra != segment->extra.count)
        return inconsistent(e, "page charges are left over");
    if (e->sum != segment->gas)
        return inconsistent(e, "charges do not add up to the segment's gas");
    return ERR_ok;
}

static enum err expand(struct expander *e)
{
    const struct trace_pvm_segment *segment = e->segment;
    TRY(check_form(e));
    if (segment->start == 0 && segment->n == 0) { /* not even one block was paid */
        if ((segment->end != TRACE_SEGMENT_OUT_OF_GAS &&
             segment->end != TRACE_SEGMENT_STOPPED) ||
            segment->pc != segment->end_pc)
            return inconsistent(e, "a segment without blocks");
        return check_used(e);
    }
    e->row = trace_blocks_containing(&e->ledger->blocks, segment->pc);
    if (!e->row)
        return inconsistent(e, "pc is in no block");
    if (segment->start == 0)
        TRY(enter_block(e, e->row));
    TRY(walk_blocks(e));
    take_last_outcome(e);
    return check_used(e);
}

enum err trace_ledger_expand(const struct trace_pvm_ledger *ledger,
                             const struct trace_pvm_segment *segment,
                             bool (*charge)(void *self,
                                            const struct trace_charge *charge),
                             void *self, struct trace_ledger_fault *fault)
{
    struct expander e = {
        .ledger = ledger,
        .segment = segment,
        .charge = charge,
        .self = self,
        .targets = wire_of(segment->targets),
        .extra_n = segment->extra.count ? segment->extra.item[0].a : 0,
    };
    enum err err = expand(&e);
    if (err && fault)
        *fault = (struct trace_ledger_fault){.text = e.fault, .bit = e.bit};
    return err;
}
