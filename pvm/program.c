/* SPDX-License-Identifier: MIT
 *
 * Predecoding: code bytes to records, once per program [4, 10.2].
 */
#include "pvm/decode.h"
#include "pvm/engine.h"
#include "pvm/gas.h"
#include "pvm/mutant.h"

#include <string.h>

/* ---- block starts [4.1] ---- */

bool pvm_program_block_start(const struct pvm_program *program, uint32_t pc)
{
    return pc < program->code->code.size && (program->start[pc / 64] >> pc % 64 & 1);
}

/* Of 64 positions those that follow an end: the next marked one, where a skip reaches
 * it.  What is reached goes on over gaps, 24 in all. */
static inline uint64_t following(uint64_t ends, uint64_t marked)
{
    uint64_t at = ends << 1, gap = MUTANT(starts_sticky, ~(uint64_t)0, ~marked);
    uint64_t gap2 = gap & gap >> 1, gap4 = gap2 & gap2 >> 2; /* so many in a row */
    uint64_t gap8 = gap4 & gap4 >> 4, gap9 = gap8 & gap >> 8;
    at |= (at & gap) << 1;
    at |= (at & gap2) << 2;
    at |= (at & gap4) << 4;
    at |= (at & gap8) << 8;
    at |= (at & gap9) << 9;
    at |= MUTANT(starts_skip_25, (at & gap) << 1, 0u);
    return at & marked;
}
_Static_assert(1 + 2 + 4 + 8 + 9 == PVM_SKIP_MAX, "a skip reaches no further");

/* 64 bits of the bitmask from `at`, a multiple of 64; what is behind the code is 0. */
static inline uint64_t mask_at(const struct pvm_code *code, size_t at)
{
    uint64_t bits = 0;
    size_t left = code->code.size - at;
    if (left >= 64) {
        memcpy(&bits, code->bitmask + at / 8, 8);
        return bits;
    }
    memcpy(&bits, code->bitmask + at / 8, (left + 7) / 8);
    return bits & (((uint64_t)1 << left) - 1);
}

/* Those of up to 64 positions whose opcodes end a block. */
static inline uint64_t ends_of(const uint8_t *bytes, uint64_t marked,
                               const uint8_t is_end[256])
{
    uint64_t ends = 0;
    for (; marked; marked &= marked - 1) {
        unsigned k = (unsigned)__builtin_ctzll(marked);
        ends |= (uint64_t)is_end[bytes[k]] << k;
    }
    return ends;
}

/* And those that have assigned ones, of which there are few to ask about. */
static inline uint64_t assigned_of(const uint8_t *bytes, uint64_t starts,
                                   enum pvm_profile profile)
{
    uint64_t rest = starts;
    for (; rest; rest &= rest - 1) {
        uint8_t op = bytes[__builtin_ctzll(rest)];
        if (MUTANT(starts_unassigned, false,
                   !(pvm_op_class[op].assigned >> profile & 1)))
            starts ^= rest & (0 - rest);
    }
    return starts;
}

static void find_block_starts(struct pvm_program *program)
{
    const struct pvm_code *code = program->code;
    enum pvm_profile profile = program->config.profile;
    size_t reached = 0; /* a mark up to here follows an end in the word before */
    uint8_t is_end[256];
    for (unsigned op = 0; op < 256; op++)
        is_end[op] = pvm_op_ends(profile, (uint8_t)op);
    for (size_t at = 0; at < code->code.size; at += 64) {
        const uint8_t *bytes = code->code.data + at;
        uint64_t marked = mask_at(code, at);
        if (!marked)
            continue;
        uint64_t ends = ends_of(bytes, marked, is_end);
        uint64_t starts = following(ends, marked);
        if (at + (unsigned)__builtin_ctzll(marked) <= reached)
            starts |= marked & (0 - marked);
        starts = MUTANT(starts_everywhere, marked, starts);
        starts = assigned_of(bytes, starts, profile);
        unsigned last = 63 - (unsigned)__builtin_clzll(marked);
        reached = ends >> last ? at + last + 1 + PVM_SKIP_MAX : 0;
        program->start[at / 64] = starts;
        program->start_count += mask_count(starts);
        program->mark_count += mask_count(marked);
    }
}

/* The greatest block start <= pc; UINT32_MAX: there is none. */
static uint32_t start_before(const struct pvm_program *program, uint32_t pc)
{
    uint32_t word = pc / 64;
    uint64_t starts = program->start[word] << (63 - pc % 64) >> (63 - pc % 64);
    while (!starts && word)
        starts = program->start[--word];
    return starts ? word * 64 + 63 - (uint32_t)__builtin_clzll(starts) : UINT32_MAX;
}

/* ---- records ---- */

/* Where the emitter stands; `record` NULL only counts. */
struct emitter {
    struct pvm_program *program;
    struct record *record;
    uint32_t *header;
    uint32_t record_count, header_count;
    bool open; /* the last record flows on */
    struct gas_meter meter;
    struct record *open_header;
    uint64_t store_count;
};

static void close_run(struct emitter *em)
{
    struct record *h = em->open_header;
    em->open_header = NULL;
    em->open = false;
    if (!h)
        return;
    uint64_t need = pvm_gas_meter_need(&em->meter);
    h->tick = TICK_BLOCK + em->meter.visits - MUTANT(records_visits, 1, 0);
    h->need_reserve = need + pvm_gas_reserve(&em->program->config, em->store_count);
    if (em->meter.visits > FAST_VISITS_MAX || need > UINT32_MAX) {
        h->need_reserve = NEED_ASK;
        return;
    }
    h->need = (uint32_t)need;
    h->summary_term = summary_term(PVM_CHARGE_BLOCK, h->pc, need);
}

static void emit_header(struct emitter *em, uint32_t pc)
{
    close_run(em);
    if (em->record) {
        em->header[em->header_count] = em->record_count;
        em->open_header = &em->record[em->record_count];
        em->open_header->op = RECORD_HEADER;
        em->open_header->pc = pc;
        pvm_gas_meter_begin(&em->meter, &em->program->config);
        em->store_count = 0;
    }
    em->header_count++;
    em->record_count++;
    em->open = true;
}

/* A position that flow reaches and that is no instruction. */
static void emit_trap(struct emitter *em, uint32_t pc)
{
    if (!em->open)
        emit_header(em, pc);
    if (em->record) {
        em->record[em->record_count] = (struct record){.op = PVM_OP_trap, .pc = pc};
        pvm_gas_meter_visit(&em->meter, em->program->code, 0, 0);
    }
    em->record_count++;
    close_run(em);
}

static void emit_insn(struct emitter *em, const struct pvm_insn *insn, uint32_t head)
{
    const struct pvm_program *program = em->program;
    unsigned flags = pvm_op_info[insn->op].flags;
    if (!em->open)
        emit_header(em, insn->pc);
    if (em->record) {
        em->record[em->record_count] = (struct record){
            .x = (uint64_t)insn->x,
            .y = (uint64_t)insn->y,
            .a = (uint8_t)(insn->a * 8),
            .b = (uint8_t)(insn->b * 8),
            .d = (uint8_t)(insn->d * 8),
            .op = insn->op,
            .pc = insn->pc,
        };
        pvm_gas_meter_visit(&em->meter, program->code, head, insn->target);
        em->store_count = MUTANT(reserve_once, (flags & PVM_OP_STORE) != 0,
                                 em->store_count + ((flags & PVM_OP_STORE) != 0));
    }
    em->record_count++;
    if (pvm_op_terminates(program->config.profile, insn->op))
        close_run(em);
}

/* Can control get behind this terminator without a jump? */
static bool flows_on(unsigned flags)
{
    return !(flags & (PVM_OP_SINK | PVM_OP_JUMP | PVM_OP_DYN));
}

static void emit_all(struct emitter *em)
{
    const struct pvm_code *code = em->program->code;
    enum pvm_profile profile = em->program->config.profile;
    uint32_t size = (uint32_t)code->code.size;
    struct pvm_insn insn;
    uint32_t head;
    if (!pvm_code_marked(code, 0)) /* record[0] is a header, whatever comes */
        emit_trap(em, 0);
    for (uint32_t pc = 0; pc < size; pc++) {
        if (!pvm_code_marked(code, pc))
            continue;
        if (!insn_decode(code, profile, pc, &insn, &head)) {
            emit_trap(em, pc);
            continue;
        }
        emit_insn(em, &insn, head);
        uint32_t next = pc + insn.size;
        unsigned flags = pvm_op_info[insn.op].flags;
        bool ends = pvm_op_terminates(profile, insn.op);
        if (!pvm_code_marked(code, next) && (!ends || flows_on(flags)))
            emit_trap(em, MUTANT(records_end_pc, next - 1, next));
        pc = next - 1;
    }
    close_run(em);
}

/* The first record with at least this pc. */
static uint32_t record_search(const struct pvm_program *program, uint32_t pc)
{
    uint32_t low = 0, high = program->record_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (program->record[middle].pc < pc)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct record *target_header(const struct pvm_program *program,
                                          uint64_t target)
{
    if (MUTANT(records_entry_32, false, target > UINT32_MAX) ||
        !pvm_program_block_start(program, (uint32_t)target))
        return NULL;
    const struct record *h = &program->record[record_search(program, (uint32_t)target)];
    check(h->op == RECORD_HEADER && h->pc == target);
    return h;
}

static void resolve_jumps(struct pvm_program *program)
{
    struct pvm_insn insn;
    for (uint32_t i = 0; i < program->record_count; i++) {
        struct record *r = &program->record[i];
        if (r->op == RECORD_HEADER)
            continue;
        if (!(pvm_op_info[r->op].flags & (PVM_OP_COND | PVM_OP_JUMP)))
            continue;
        check(pvm_insn_decode(program->code, program->config.profile, r->pc, &insn));
        r->target = target_header(program, (uint64_t)insn.target);
    }
    for (uint32_t i = 0; i < program->code->jump_count; i++)
        program->jump[i] = target_header(program, pvm_code_jump(program->code, i));
}

enum err pvm_program_begin(struct arena *arena, const struct pvm_code *code,
                           const struct pvm_config *config, enum pvm_gas_log log,
                           struct pvm_program **ret_program)
{
    TRY(pvm_config_check(config));
    if (code->code.size > PVM_CODE_SIZE_MAX || code->jump_count > PVM_JUMP_COUNT_MAX)
        return ERR_pvm_limit;
    struct pvm_program *program = arena_new(arena, struct pvm_program);
    if (!program)
        return ERR_nomem;
    program->code = code;
    program->config = *config;
    program->log = log;
    program->start = arena_new_array(arena, uint64_t, code->code.size / 64 + 1);
    if (!program->start)
        return ERR_nomem;
    find_block_starts(program);
    *ret_program = program;
    return ERR_ok;
}

enum err pvm_program_create(struct arena *arena, const struct pvm_code *code,
                            const struct pvm_config *config, enum pvm_gas_log log,
                            struct pvm_program **ret_program)
{
    struct pvm_program *program = NULL;
    TRY(pvm_program_begin(arena, code, config, log, &program));
    program->jump = arena_new_array(arena, const struct record *, code->jump_count);
    if (!program->jump)
        return ERR_nomem;
    struct emitter em = {.program = program};
    emit_all(&em);
    /* Two spare records: fused handlers look one record ahead. */
    program->record = arena_new_array(arena, struct record, em.record_count + 2u);
    program->header = arena_new_array(arena, uint32_t, em.header_count);
    if (!program->record || !program->header)
        return ERR_nomem;
    program->record_count = em.record_count;
    program->header_count = em.header_count;
    em = (struct emitter){
        .program = program, .record = program->record, .header = program->header};
    emit_all(&em);
    check(em.record_count == program->record_count);
    resolve_jumps(program);
    pvm_threaded_set_handlers(program);
    *ret_program = program;
    return ERR_ok;
}

enum err pvm_program_break(struct pvm_program *program, struct arena *arena,
                           uint32_t pc, bool on)
{
    const struct record *found =
        program->unit ? NULL : pvm_program_record_at(program, pc);
    if (!found)
        return ERR_usage;
    if (!program->break_at)
        program->break_at =
            arena_new_array(arena, uint64_t, program->code->code.size / 64 + 1);
    if (!program->break_at)
        return ERR_nomem;
    uint64_t bit = (uint64_t)1 << pc % 64;
    program->break_at[pc / 64] =
        on ? program->break_at[pc / 64] | bit : program->break_at[pc / 64] & ~bit;
    pvm_threaded_set_break(program, &program->record[found - program->record]);
    return ERR_ok;
}

/* ---- questions ---- */

const struct pvm_code *pvm_program_code(const struct pvm_program *program)
{
    return program->code;
}

const struct pvm_config *pvm_program_config(const struct pvm_program *program)
{
    return &program->config;
}

enum pvm_gas_log pvm_program_gas_log(const struct pvm_program *program)
{
    return program->log;
}

const struct record *pvm_program_header_of(const struct pvm_program *program,
                                           const struct record *ip)
{
    uint32_t index = (uint32_t)(ip - program->record);
    uint32_t low = 0, high = program->header_count; /* header[low] <= index */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (program->header[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    return &program->record[program->header[low]];
}

const struct record *pvm_program_record_at(const struct pvm_program *program,
                                           uint32_t pc)
{
    if (!pvm_code_ok(program->code, program->config.profile, pc))
        return NULL;
    uint32_t index = record_search(program, pc);
    if (program->record[index].op == RECORD_HEADER)
        index++;
    check(index < program->record_count && program->record[index].pc == pc);
    return &program->record[index];
}

/* Does walk(start) visit pc? */
static bool walk_visits(const struct pvm_program *program, uint32_t start, uint32_t pc)
{
    struct pvm_insn insn;
    while (start < pc) {
        if (!pvm_insn_decode(program->code, program->config.profile, start, &insn) ||
            pvm_op_terminates(program->config.profile, insn.op))
            return false;
        start += insn.size;
    }
    return start == pc;
}

uint32_t pvm_program_block_of(const struct pvm_program *program, uint32_t pc)
{
    if (!pvm_code_ok(program->code, program->config.profile, pc))
        return pc;
    uint32_t start = start_before(program, pc);
    return start != UINT32_MAX &&
                   MUTANT(block_of_unwalked, true, walk_visits(program, start, pc))
               ? start
               : pc;
}

/* ---- the block table (trace-replay.md 5.2) ---- */

enum {
    BLOCK_NEXT = 0,
    BLOCK_JUMP = 1,
    BLOCK_COND = 2,
    BLOCK_INDIRECT = 3,
    BLOCK_ECALL = 4,
    BLOCK_STOP = 5,
    BLOCK_BAD_TARGET = 8,
};

static void put_leb128(struct buf *buf, uint64_t value)
{
    while (value >= 0x80) {
        buf_byte(buf, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    buf_byte(buf, (uint8_t)value);
}

static unsigned block_kind(const struct pvm_program *program,
                           const struct pvm_insn *last)
{
    unsigned flags = last ? pvm_op_info[last->op].flags : PVM_OP_SINK;
    if (!last || !pvm_op_terminates(program->config.profile, last->op) ||
        (flags & PVM_OP_SINK))
        return BLOCK_STOP;
    if (flags & PVM_OP_DYN)
        return BLOCK_INDIRECT;
    if (flags & PVM_OP_CALL)
        return BLOCK_ECALL;
    if (!(flags & (PVM_OP_COND | PVM_OP_JUMP)))
        return BLOCK_NEXT;
    unsigned kind = flags & PVM_OP_COND ? BLOCK_COND : BLOCK_JUMP;
    bool valid = last->target >= 0 && last->target <= UINT32_MAX &&
                 pvm_program_block_start(program, (uint32_t)last->target);
    return kind + (valid ? 0u : BLOCK_BAD_TARGET);
}

static void put_block(const struct pvm_program *program, uint32_t pc,
                      uint32_t *previous_pc, struct buf *buf)
{
    struct pvm_insn insn;
    struct pvm_walk walk = pvm_code_walk(program->code, &program->config, pc);
    bool ok = pvm_insn_decode(program->code, program->config.profile, walk.last, &insn);
    const struct pvm_insn *last = ok ? &insn : NULL;
    unsigned kind = block_kind(program, last);
    put_leb128(buf, pc - *previous_pc);
    put_leb128(buf, walk.need);
    put_leb128(buf, walk.visit_count);
    buf_byte(buf, (uint8_t)kind);
    put_leb128(buf, walk.end - pc);
    if (last && ((kind & 7) == BLOCK_JUMP || (kind & 7) == BLOCK_COND)) {
        int64_t offset = last->target - pc;
        put_leb128(buf, (uint64_t)offset << 1 ^ (uint64_t)(offset >> 63));
    }
    *previous_pc = pc;
}

/* Does control reach `next`, which is no instruction, from the terminator at `pc`? */
static bool falls_off(const struct pvm_program *program, uint32_t pc, uint32_t next)
{
    struct pvm_insn insn;
    enum pvm_profile profile = program->config.profile;
    return !pvm_code_ok(program->code, profile, next) &&
           pvm_insn_decode(program->code, profile, pc, &insn) &&
           flows_on(pvm_op_info[insn.op].flags);
}

/* The rows in ascending order, the extra one among them. */
struct block_rows {
    const struct pvm_program *program;
    struct buf *buf;
    uint32_t previous_pc;
    uint32_t extra;
    bool pending; /* the extra row is still to come */
};

static void put_row(struct block_rows *rows, uint32_t pc)
{
    if (rows->pending && rows->extra < pc)
        put_block(rows->program, rows->extra, &rows->previous_pc, rows->buf);
    rows->pending = rows->pending && rows->extra > pc;
    if (pc != UINT32_MAX)
        put_block(rows->program, pc, &rows->previous_pc, rows->buf);
}

/* A charge can occur at block starts, and where control falls behind a terminator onto
 * a position that is no instruction. */
void pvm_program_put_blocks(const struct pvm_program *program, uint32_t start_pc,
                            struct buf *buf)
{
    const struct pvm_code *code = program->code;
    struct block_rows rows = {.program = program, .buf = buf};
    rows.extra = pvm_program_block_of(program, start_pc);
    rows.pending = !pvm_program_block_start(program, rows.extra);
    if (pvm_program_block_start(program, 0))
        put_row(&rows, 0);
    for (uint32_t pc = 0; pc < code->code.size; pc++) {
        if (!pvm_code_marked(code, pc) ||
            !pvm_op_terminates(program->config.profile, code->code.data[pc]))
            continue;
        uint32_t next = pc + 1 + pvm_code_skip(code, pc);
        if (pvm_program_block_start(program, next) || falls_off(program, pc, next))
            put_row(&rows, next);
    }
    put_row(&rows, UINT32_MAX);
}
