/* SPDX-License-Identifier: MIT
 *
 * Decoding into the window [2], and what a block costs [7], in one loop.
 *
 * Most instructions are plain ones in the middle of a block and of the code.  For those
 * there are no branches on the instruction, since a walk over code sees them in an
 * order that no CPU predicts.
 */
#include "pvm/gas.h"
#include "pvm/native.h"

#include <string.h>

/* ---- registers ---- */

/* The host registers of a guest's, by its number: seven in each word. */
#define ROW(reg) HOST_AT_##reg,
enum { NATIVE_REGS(ROW) HOST_COUNT };
#undef ROW
#define LOW(reg) | (HOST_AT_##reg < 7 ? (int)(reg) << 4 * (HOST_AT_##reg % 7) : 0)
#define HIGH(reg) | (HOST_AT_##reg < 7 ? 0 : (int)(reg) << 4 * (HOST_AT_##reg % 7))
enum { HOST_LOW = 0 NATIVE_REGS(LOW), HOST_HIGH = 0 NATIVE_REGS(HIGH) };
#undef LOW
#undef HIGH
#define NUMBER(nibble) ((nibble) < HOST_COUNT ? (nibble) : HOST_COUNT - 1)
#define HOST(nibble)                                                                   \
    ((uint32_t)(NUMBER(nibble) < 7 ? HOST_LOW : HOST_HIGH) >>                          \
         4 * (NUMBER(nibble) % 7) &                                                    \
     15)

#define PAIR(high, low)                                                                \
    (HOST(low) << GAS_A | HOST(high) << GAS_B | GAS_SAME(HOST, high, low) |            \
     (uint64_t)(HOST(low) << GAS_D | HOST(high) << GAS_A | HOST(high) << GAS_B) << 32)
#define THIRD(high, low) HOST(low) << GAS_D
/* X is what is left behind `head` bytes. */
#define SPARE(head)                                                                    \
    [(head)*PVM_PLAIN_SKIPS...(head) * PVM_PLAIN_SKIPS +                               \
        (head)-1] = 63,                                                                \
        55, 47, 39,                                                                    \
        [(head)*PVM_PLAIN_SKIPS + (head) + 3 ...(head) * PVM_PLAIN_SKIPS +             \
            PVM_PLAIN_SKIPS - 1] = 31

/* Ranges of an array are no ISO C. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
static const struct {
    /* By the byte behind an opcode, twice the first four bytes of struct native_insn,
     * without the opcode: with A and B of its nibbles, and what the gas model wants to
     * know of them; and above that with D and A (and B). */
    uint64_t pair[256];
    /* By the byte behind that: D, as its low nibble. */
    uint32_t third[256];
    /* Where there is one X at most, and it is what the skip leaves: how many of 63 bits
     * behind the first one are not X's, by struct pvm_op_class's `spare` and skip. */
    uint8_t spare[PVM_PLAIN_ROWS * PVM_PLAIN_SKIPS];
} table = {
    {PVM_NIBBLES(PAIR)},
    {PVM_NIBBLES(THIRD)},
    {[0 ... PVM_PLAIN_SKIPS - 1] = 63, SPARE(1), SPARE(2)},
};
#pragma GCC diagnostic pop

_Static_assert(offsetof(struct native_insn, a) * 8 == GAS_A, "registers of the gas");
_Static_assert(offsetof(struct native_insn, b) * 8 == GAS_B, "registers of the gas");
_Static_assert(offsetof(struct native_insn, d) * 8 == GAS_D, "registers of the gas");

/* What bytes would be if nibbles above 12 named the first registers. */
__attribute__((unused)) static inline unsigned wrapped(unsigned byte)
{
    return (byte >> 4) % 13 << 4 | (byte & 15) % 13;
}

/* The registers that the two bytes behind an opcode name. */
static inline uint64_t registers_of(unsigned byte1, unsigned byte2)
{
    return table.pair[MUTANT(decode_reg_mod_13, wrapped(byte1), byte1)] |
           table.third[MUTANT(decode_reg_mod_13, wrapped(byte2), byte2)];
}

/* ---- decoding ---- */

/* What decoding reads, for the loop to have at hand. */
struct source {
    const uint8_t *code, *bitmask;
    enum pvm_profile profile;
};

/* X where `spare` says how long it is, without branches. */
static inline int64_t plain_x(const struct pvm_op_class *op, size_t skip,
                              const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes + op->head_size, sizeof value);
    /* And one more bit: the CPU shifts by 63 at most. */
    unsigned spare = table.spare[op->spare + skip];
    return (int64_t)(value << 1 << spare) >> 1 >> spare;
}

/* The first four bytes of an instruction. */
static inline void put_registers(struct native_insn *i, const struct pvm_op_class *op,
                                 uint64_t registers, uint8_t opcode)
{
    uint32_t word = ((uint32_t)(registers >> op->d_shift) & ~255u) | opcode;
    memcpy(i, &word, 4);
}

/* A plain instruction at `bytes` = code + pc that is marked, ends no block and is not
 * near the end of the code; it gets neither Y nor a target.  Answers its size; 0, and
 * nothing is done: it is none. */
static inline size_t decode_plain(struct source source, const uint8_t *bytes,
                                  uint32_t pc, struct native_insn *i,
                                  uint64_t *ret_registers)
{
    const struct pvm_op_class *op = &pvm_op_class[bytes[0]];
    size_t skip = code_skip_inner(source.bitmask, pc);
    if (!(op->inner >> source.profile & 1) || bytes[2] & op->d_large ||
        skip >= PVM_SKIP_MAX)
        return 0;
    *ret_registers = registers_of(bytes[1], bytes[2]);
    put_registers(i, op, *ret_registers, bytes[0]);
    i->pc = pc;
    i->size = (uint8_t)(1 + skip);
    i->x = plain_x(op, skip, bytes);
    return 1 + skip;
}

/* The same for others: those that end blocks, and those with two immediates.  0 also
 * for formats that are seldom used. */
static inline size_t decode_more(struct source source, const uint8_t *bytes,
                                 uint32_t pc, struct native_insn *i,
                                 uint64_t *ret_registers)
{
    const struct pvm_op_class *op = &pvm_op_class[bytes[0]];
    size_t skip = code_skip_inner(source.bitmask, pc);
    bool two = op->format == PVM_FORMAT_A_X_T || op->format == PVM_FORMAT_A_X_Y;
    if (!(op->assigned >> source.profile & 1) || bytes[2] & op->d_large ||
        skip >= PVM_SKIP_MAX || !(two || op->plain || op->spare))
        return 0;
    int64_t x = 0, last;
    if (two) {
        unsigned size = bytes[1] >> 4 & 7, behind = 2 + (size < 4 ? size : 4);
        unsigned rest = skip + 1 > behind ? (unsigned)skip + 1 - behind : 0;
        x = insn_imm(bytes + 2, behind - 2);
        last = insn_imm(bytes + behind, rest < 4 ? rest : 4);
    } else {
        last = plain_x(op, skip, bytes);
    }
    *ret_registers = registers_of(bytes[1], bytes[2]);
    put_registers(i, op, *ret_registers, bytes[0]);
    i->pc = pc;
    i->size = (uint8_t)(1 + skip);
    i->x = op->plain ? last : x;
    i->y = (int32_t)last; /* or a target */
    i->target = pc + last;
    return 1 + skip;
}

/* The same anywhere; a trap where there is no instruction. */
static void decode_outer(const struct pvm_code *code, enum pvm_profile profile,
                         uint32_t pc, struct native_insn *ret_insn,
                         uint64_t *ret_registers)
{
    static const uint8_t host[PVM_REG_COUNT] = NATIVE_REG;
    struct pvm_insn insn;
    uint32_t head;
    *ret_registers = 0;
    *ret_insn = (struct native_insn){.pc = pc}; /* opcode 0: no emitter */
    if (!insn_decode(code, profile, pc, &insn, &head))
        return;
    *ret_registers = registers_of(head >> 8 & 255, head >> 16);
    *ret_insn = (struct native_insn){
        .op = insn.op,
        .a = host[insn.a],
        .b = host[insn.b],
        .d = host[insn.d],
        .size = insn.size,
        .pc = insn.pc,
        .x = insn.x,
        .y = (int32_t)insn.y,
        .target = insn.target,
    };
}

/* ---- the window ---- */

/* Price an instruction that may be a branch. */
static inline void visit(const struct pvm_code *code, struct gas_meter *m,
                         struct gas_pace *pace, const struct native_insn *i,
                         uint64_t registers)
{
    const struct gas_row *row = gas_row_of(i->op);
    gas_visit(pace, m->done, row, (uint32_t)registers, m->mem_cycles,
              gas_branches(row) ? gas_branch(code, i->target) : 0);
}

/* Decode anything anywhere. */
static NATIVE_NOINLINE void fill_one(const struct native_compiler *c,
                                     struct gas_meter *m, uint32_t pc,
                                     struct native_insn *i)
{
    uint64_t registers;
    decode_outer(c->program->code, c->program->config.profile, pc, i, &registers);
    if (m->model == 1)
        visit(c->program->code, m, &m->pace, i, registers);
}

/* How many instructions from `pc` on, `most` at most, are inner ones for sure: as many
 * as decoding from there to the end of the code can read. */
static inline size_t inner_count(const struct pvm_code *code, uint32_t pc, size_t most)
{
    size_t reach = (size_t)pc + DECODE_INNER + most * (1 + PVM_SKIP_MAX);
    if (reach < code->code.size)
        return most;
    return pc + DECODE_INNER < code->code.size; /* and one at a time */
}

/* From pc on as many of `count` instructions as decode_plain() takes, and one more of
 * decode_more(), `timed` by model 1; answers behind the last. */
#define INLINE static inline __attribute__((always_inline))
INLINE struct native_insn *fill_inner(const struct pvm_code *code, struct source source,
                                      struct gas_meter *m, uint32_t pc,
                                      struct native_insn *i, size_t count, bool timed)
{
    struct gas_pace pace = m->pace;
    uint64_t memory = m->mem_cycles, registers;
    const struct native_insn *end = i + count;
    const uint8_t *bytes = source.code + pc;
    size_t size = 1;
    while (i < end && (size = decode_plain(source, bytes, pc, i, &registers)) != 0) {
        if (timed)
            gas_visit(&pace, m->done, &pvm_gas_row[bytes[0]], (uint32_t)registers,
                      memory, 0);
        bytes += size;
        pc += (uint32_t)size;
        i++;
    }
    if (!size && decode_more(source, bytes, pc, i, &registers)) {
        if (timed)
            visit(code, m, &pace, i, registers);
        i++;
    }
    m->pace = pace;
    return i;
}

INLINE bool fill(const struct native_compiler *c, struct native_window *w, uint32_t pc,
                 bool marked, bool timed)
{
    const struct pvm_code *code = c->program->code;
    const struct source source = {code->code.data, code->bitmask,
                                  c->program->config.profile};
    struct native_insn *first = &w->insn[w->end], *i = first;
    const struct native_insn *end = &w->insn[NATIVE_WINDOW_SIZE];
    do {
        struct native_insn *before = i;
        size_t count = marked ? inner_count(code, pc, (size_t)(end - i)) : 0;
        i = fill_inner(code, source, &w->meter, pc, i, count, timed);
        if (i == before)
            fill_one(c, &w->meter, pc, i++);
        pc = i[-1].pc + i[-1].size;
        marked = i[-1].size <= PVM_SKIP_MAX; /* then the skip ended at a mark */
    } while (i < end && !pvm_op_ends(source.profile, i[-1].op));
    w->meter.visits += (uint32_t)(i - first);
    w->end = (uint32_t)(i - w->insn);
    return pvm_op_ends(source.profile, i[-1].op);
}

static NATIVE_NOINLINE bool fill_timed(const struct native_compiler *c,
                                       struct native_window *w, uint32_t pc,
                                       bool marked)
{
    return fill(c, w, pc, marked, true);
}

static NATIVE_NOINLINE bool fill_untimed(const struct native_compiler *c,
                                         struct native_window *w, uint32_t pc,
                                         bool marked)
{
    return fill(c, w, pc, marked, false);
}

bool pvm_native_window_fill(const struct native_compiler *c, struct native_window *w,
                            uint32_t pc, bool marked)
{
    uint32_t first = w->end;
    bool timed = w->meter.model == 1;
    bool ended = (timed ? fill_timed : fill_untimed)(c, w, pc, marked);
    for (uint32_t k = first; gas_charges_pages(&c->program->config) && k < w->end; k++)
        w->stores += pvm_op_class[w->insn[k].op].stores;
    return ended;
}
