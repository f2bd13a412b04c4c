/* SPDX-License-Identifier: MIT */
#include "analysis/progen.h"

#include "base/err.h"

#include <string.h>

enum {
    ADDRESS_REACH = 12, /* bytes around a page's edge */
    OFFSET_SIZE = 2,    /* of targets, so that they can be mended in place */
    GAS_MAX = 3000,     /* enough to visit a program, and loops end soon */
};

const uint64_t analysis_edge[ANALYSIS_EDGE_COUNT] = {
    0,
    1,
    2,
    3,
    31,
    32,
    33,
    63,
    64,
    65,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0x100000000,
    0x100000001,
    0xffffffff00000000,
    0xffffffff7fffffff,
    0xffffffff80000000,
    0xffffffffffff8000,
    0xffffffffffffff80,
    0x7fffffffffffffff,
    0x8000000000000000,
    0x8000000000000001,
    0xfffffffffffffffe,
    0xffffffffffffffff,
};

uint64_t analysis_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A case in the making. */
struct progen {
    struct analysis_case *c;
    uint64_t random;
    bool tight; /* few registers, and idioms that a recompiler emits as one */
    bool runs;  /* it begins with append_stack_run() */
};

static uint64_t next(struct progen *p)
{
    return analysis_random(&p->random);
}

static uint64_t below(struct progen *p, uint64_t bound)
{
    return next(p) % bound;
}

static bool chance(struct progen *p, unsigned percent)
{
    return below(p, 100) < percent;
}

static uint64_t value(struct progen *p)
{
    uint64_t v = analysis_edge[below(p, ANALYSIS_EDGE_COUNT)];
    return chance(p, 25) ? next(p) : chance(p, 25) ? v + below(p, 5) - 2 : v;
}

/* An address in or near a mapped page, mostly near its edges. */
static uint64_t address(struct progen *p)
{
    const struct analysis_case_region *region =
        &p->c->region[below(p, p->c->region_count)];
    uint64_t at = region->start, size = (uint64_t)region->page_count * PVM_PAGE_SIZE;
    if (chance(p, 60))
        at +=
            below(p, 2) ? size - 1 - below(p, ADDRESS_REACH) : below(p, ADDRESS_REACH);
    else
        at += below(p, size);
    if (chance(p, 10))
        at -= below(p, 16);
    return chance(p, 10) ? at | next(p) << 32 : at;
}

static uint8_t pick_op(struct progen *p)
{
    if (chance(p, 4))
        return PVM_OP_jump_ind;
    for (;;) {
        uint8_t op = (uint8_t)below(p, 231);
        unsigned flags = pvm_op_info[op].flags;
        if (!pvm_op_info[op].name)
            continue;
        if ((flags & (PVM_OP_SINK | PVM_OP_DYN | PVM_OP_CALL)) && chance(p, 60))
            continue; /* or programs would be short */
        return op;
    }
}

static struct pvm_insn pick_insn(struct progen *p, uint32_t pc)
{
    struct pvm_insn insn = {
        .pc = pc,
        .op = pick_op(p),
        .a = (uint8_t)below(p, PVM_REG_COUNT),
        .b = (uint8_t)below(p, PVM_REG_COUNT),
        .d = (uint8_t)below(p, PVM_REG_COUNT),
    };
    if (p->tight) {
        insn.a = (uint8_t)(7 + insn.a % 3);
        insn.b = (uint8_t)(7 + insn.b % 3);
        insn.d = (uint8_t)(7 + insn.d % 3);
    }
    if (chance(p, 30)) /* aliases */
        insn.b = insn.a;
    if (chance(p, 30))
        insn.d = insn.a;
    unsigned flags = pvm_op_info[insn.op].flags;
    uint64_t x = insn.op == PVM_OP_load_imm_64 ? value(p) : (uint64_t)(int32_t)value(p);
    if (flags & (PVM_OP_LOAD | PVM_OP_STORE))
        x = chance(p, 50) ? address(p) : below(p, 32) - 16;
    insn.x = insn.op == PVM_OP_load_imm_64 ? (int64_t)x : (int32_t)x;
    insn.y = (int32_t)value(p);
    if (flags & PVM_OP_DYN) { /* table addresses are even numbers from 2 */
        insn.x =
            chance(p, 80) ? (int64_t)(2 * below(p, ANALYSIS_CASE_JUMP_MAX)) : insn.x;
        insn.y =
            chance(p, 80) ? (int64_t)(2 * below(p, ANALYSIS_CASE_JUMP_MAX)) : insn.y;
        if (chance(p, 20)) /* return */
            insn.x = insn.y = 0;
    }
    insn.target = (int64_t)pc + (int64_t)below(p, 200) - 100;
    return insn;
}

/* Append an instruction with offsets of two bytes, so that they can be mended. */
static uint32_t append(struct progen *p, const struct pvm_insn *insn, uint32_t pc)
{
    uint8_t bytes[PVM_INSN_SIZE_MAX];
    unsigned x_size = pvm_imm_size(insn->x), y_size = pvm_imm_size(insn->y);
    unsigned format = pvm_op_info[insn->op].format;
    if (format == PVM_FORMAT_A_X64)
        x_size = 8;
    else if (format == PVM_FORMAT_T || format == PVM_FORMAT_A_B_T)
        x_size = OFFSET_SIZE;
    if (format == PVM_FORMAT_A_X_T)
        y_size = OFFSET_SIZE;
    size_t size = 0;
    /* Formats without X or Y want size 0 for it. */
    for (unsigned k = 0; !size && k < 4; k++)
        size = pvm_insn_encode(insn, k & 1 ? 0 : x_size, k & 2 ? 0 : y_size, bytes);
    if (!size || pc + size > ANALYSIS_CASE_CODE_MAX - 8)
        return 0;
    memcpy(p->c->code + pc, bytes, size);
    p->c->bitmask[pc >> 3] |= (uint8_t)(1u << (pc & 7));
    return (uint32_t)size;
}

static struct pvm_insn three(uint8_t op, unsigned d, unsigned a, unsigned b)
{
    return (struct pvm_insn){
        .op = op, .a = (uint8_t)a, .b = (uint8_t)b, .d = (uint8_t)d};
}

static struct pvm_insn with_imm(uint8_t op, unsigned a, unsigned b, int64_t x)
{
    return (struct pvm_insn){.op = op, .a = (uint8_t)a, .b = (uint8_t)b, .x = x};
}

static int64_t table_address(struct progen *p)
{
    return 2 + 2 * (int64_t)below(p, ANALYSIS_CASE_JUMP_MAX);
}

enum { IDIOM_MAX = 6, REG_SP = 1 };

static uint32_t append_all(struct progen *p, const struct pvm_insn *insn, uint32_t pc)
{
    uint32_t size = 0;
    for (unsigned n = 0; n < IDIOM_MAX && insn[n].op; n++)
        size += append(p, &insn[n], pc + size);
    return size;
}

/* A load or store of a register near sp, or some pages away, or rarely anywhere. */
static struct pvm_insn spill(struct progen *p, unsigned r)
{
    bool loads = chance(p, 50);
    int64_t at = 8 * (int64_t)below(p, 4) - 8;
    uint8_t op = (uint8_t)(loads ? PVM_OP_load_ind_u64 : PVM_OP_store_ind_u64);
    if (chance(p, 30))
        at += PVM_PAGE_SIZE * ((int64_t)below(p, 5) - 2);
    else if (chance(p, 5))
        at = (int32_t)address(p);
    if (chance(p, 20))
        op = (uint8_t)((loads ? PVM_OP_load_ind_u8 : PVM_OP_store_ind_u8) +
                       below(p, loads ? 7 : 4));
    return with_imm(op, r, chance(p, 90) ? REG_SP : r, at);
}

/* The same where carries are made and used, words are shifted, and results go to the
 * stack. */
static uint32_t append_wide_idiom(struct progen *p, uint32_t pc)
{
    unsigned r[8];
    for (unsigned k = 0; k < countof(r); k++)
        r[k] = 7 + (unsigned)below(p, 5);
    int64_t k = 1 + (int64_t)below(p, 63);
    uint8_t use = chance(p, 70) ? PVM_OP_add_64 : PVM_OP_sub_64;
    static const uint8_t ops[] = {PVM_OP_add_64, PVM_OP_sub_64, PVM_OP_and, PVM_OP_or,
                                  PVM_OP_xor};
    uint8_t op = ops[below(p, countof(ops))];
    struct pvm_insn high = three(PVM_OP_mul_upper_u_u, r[3], r[4], r[5]);
    struct pvm_insn load = with_imm(PVM_OP_load_ind_u64, chance(p, 50) ? r[3] : r[1],
                                    chance(p, 70) ? REG_SP : r[0], 0);
    struct pvm_insn between = chance(p, 40)   ? load
                              : chance(p, 30) ? three(PVM_OP_move_reg, r[3], r[4], 0)
                                              : high;
    struct pvm_insn sum = three(PVM_OP_add_64, r[0], r[1], r[2]);
    struct pvm_insn carry =
        three(PVM_OP_set_lt_u, r[6], r[0], chance(p, 50) ? r[1] : r[2]);
    struct pvm_insn added = three(use, r[7], chance(p, 50) ? r[3] : r[7], r[6]);
    struct pvm_insn again = three(PVM_OP_set_lt_u, r[5], r[7], r[3]);
    struct pvm_insn end =
        chance(p, 70) ? with_imm(PVM_OP_load_imm, r[6], 0, 5) : spill(p, r[6]);
    struct pvm_insn idiom[][IDIOM_MAX] = {
        {sum, carry, between, added, end},
        {sum, carry, between, added, end},
        {three(PVM_OP_mul_64, r[0], r[4], r[5]), sum, carry, high, added, end},
        {carry, added, again, three(PVM_OP_add_64, r[4], r[4], r[5]), end},
        {carry, three(PVM_OP_add_64, r[6], r[3], r[6]), between,
         three(PVM_OP_set_lt_u, r[5], r[6], r[3]),
         three(PVM_OP_add_64, r[4], r[4], r[5]), with_imm(PVM_OP_load_imm, r[5], 0, 5)},
        {with_imm(PVM_OP_set_lt_u_imm, r[6], r[0], (int32_t)value(p)), added, end},
        {with_imm(PVM_OP_shlo_l_imm_64, r[0], r[1], k),
         with_imm(PVM_OP_shlo_r_imm_64, r[2], r[3], chance(p, 60) ? 64 - k : k),
         three(PVM_OP_or, r[2], r[0], r[2]), with_imm(PVM_OP_load_imm, r[0], 0, 5)},
        {with_imm(PVM_OP_rot_r_32_imm, r[0], r[1], k),
         with_imm(PVM_OP_rot_r_32_imm, r[2], r[3], k),
         three(PVM_OP_xor, r[4], r[0], chance(p, 60) ? r[2] : r[5])},
        {with_imm(PVM_OP_rot_r_32_imm, r[0], r[1], k),
         with_imm(PVM_OP_rot_r_32_imm, r[2], r[3], k),
         three(PVM_OP_xor, r[2], r[0], r[2]),
         with_imm(PVM_OP_rot_r_32_imm, r[0], r[1], k / 2),
         three(PVM_OP_xor, r[2], r[2], r[0]), spill(p, r[0])},
        {with_imm(PVM_OP_shlo_r_imm_64, r[0], r[1], k),
         with_imm(PVM_OP_shlo_l_imm_64, r[2], r[3], 64 - k),
         three(PVM_OP_or, r[4], r[2], r[0]), spill(p, r[0]), spill(p, r[2])},
        {with_imm(PVM_OP_load_ind_u64, r[0], REG_SP, 0),
         chance(p, 50) ? three(op, r[1], r[1], r[0]) : three(op, r[1], r[0], r[1]),
         chance(p, 50) ? with_imm(PVM_OP_load_imm, r[0], 0, 5) : spill(p, r[0])},
    };
    return append_all(p, idiom[below(p, countof(idiom))], pc);
}

/* A carry that only an access near sp shows, behind others by the same sp, or by one
 * that has moved. */
static uint32_t append_stack_idiom(struct progen *p, uint32_t pc)
{
    enum { E = 10, F = 9 };
    int64_t pages = PVM_PAGE_SIZE * (chance(p, 50) ? 4 : (int64_t)below(p, 9) - 4);
    struct pvm_insn carry = three(PVM_OP_set_lt_u, E, 7, 8);
    struct pvm_insn added = three(PVM_OP_add_64, F, F, E);
    struct pvm_insn end = with_imm(PVM_OP_load_imm, E, 0, 5);
    uint8_t first = chance(p, 50) ? PVM_OP_load_ind_u64 : PVM_OP_store_ind_u64;
    uint8_t last = chance(p, 30) ? PVM_OP_load_ind_u64 : PVM_OP_store_ind_u64;
    struct pvm_insn near = with_imm(first, 11, REG_SP, 0);
    struct pvm_insn far =
        with_imm(first, 11, REG_SP, chance(p, 40) ? pages : 8 * (int64_t)below(p, 4));
    struct pvm_insn move =
        with_imm(PVM_OP_add_imm_64, REG_SP, REG_SP, chance(p, 50) ? pages : 8);
    struct pvm_insn seen =
        with_imm(last, chance(p, 30) ? E : 11, REG_SP, chance(p, 50) ? 0 : far.x / 2);
    struct pvm_insn part = {.op = chance(p, 50) ? PVM_OP_fallthrough : PVM_OP_jump,
                            .target = pc};
    struct pvm_insn idiom[][IDIOM_MAX] = {
        {near, far, carry, added, seen, end},
        {near, move, carry, added, seen, end},
        {near, part, carry, added, seen, end},
    };
    return append_all(p, idiom[below(p, countof(idiom))], pc);
}

/* Many accesses near sp and not much else, a few of them below it, and some so far that
 * they come out above all memory; sp moves now and then. */
static uint32_t append_stack_run(struct progen *p, uint32_t pc)
{
    enum { COUNT = 48, FAR = 4 << 20 };
    uint32_t size = 0;
    for (unsigned k = 0; k < COUNT; k++) {
        unsigned r = 7 + (unsigned)below(p, 5);
        struct pvm_insn insn =
            with_imm(chance(p, 50) ? PVM_OP_load_ind_u64 : PVM_OP_store_ind_u64, r,
                     REG_SP, 8 * (int64_t)below(p, 8) - (chance(p, 5) ? 16 : 0));
        if (chance(p, 4))
            insn.x += FAR - (int64_t)below(p, 16 * PVM_PAGE_SIZE);
        else if (chance(p, 2))
            insn = spill(p, r);
        else if (chance(p, 5))
            insn = with_imm(PVM_OP_add_imm_64, REG_SP, REG_SP,
                            8 * (int64_t)below(p, 5) - 16);
        else if (chance(p, 20))
            insn = three(PVM_OP_add_64, r, r, 7);
        else if (chance(p, 1))
            insn = with_imm(PVM_OP_ecalli, 0, 0, 5);
        size += append(p, &insn, pc + size);
    }
    return size;
}

/* Neighbours that a recompiler may emit as one, on few registers, so that now and then
 * they only look so. */
static uint32_t append_idiom(struct progen *p, uint32_t pc)
{
    unsigned r[6];
    for (unsigned k = 0; k < countof(r); k++)
        r[k] = 7 + (unsigned)below(p, 4);
    static const uint8_t ks[] = {0, 1, 2, 3, 4, 32, 48, 56};
    int64_t k = ks[below(p, countof(ks))];
    uint8_t right = chance(p, 50) ? PVM_OP_shlo_r_imm_64 : PVM_OP_shar_r_imm_64;
    uint8_t load = (uint8_t)(PVM_OP_load_ind_u8 + below(p, 7));
    struct pvm_insn idiom[][IDIOM_MAX] = {
        {three(PVM_OP_add_64, r[0], r[1], r[2]),
         three(PVM_OP_set_lt_u, r[3], r[0], chance(p, 50) ? r[1] : r[2]),
         chance(p, 50) ? three(PVM_OP_add_64, r[4], r[3], r[5])
                       : three(PVM_OP_add_64, r[4], r[5], r[3])},
        {with_imm(PVM_OP_shlo_l_imm_64, r[0], r[1], k),
         chance(p, 50) ? three(PVM_OP_add_64, r[0], r[0], r[2])
                       : three(PVM_OP_add_64, r[0], r[2], r[0]),
         with_imm(load, r[0], r[0], (int64_t)below(p, 32) - 16)},
        {three(PVM_OP_add_64, r[0], r[1], r[2]), with_imm(load, r[0], r[0], 0)},
        {three(PVM_OP_mul_64, r[0], r[1], r[2]),
         three(PVM_OP_mul_upper_u_u, r[3], r[1], r[2])},
        {three(PVM_OP_mul_upper_u_u, r[0], r[1], r[2]),
         three(PVM_OP_mul_64, r[3], r[2], r[1])},
        {three(PVM_OP_set_lt_u, r[0], r[1], r[2]),
         three(PVM_OP_sub_64, r[3], r[1], r[2])},
        {with_imm(PVM_OP_shlo_l_imm_64, r[0], r[1], k), with_imm(right, r[0], r[0], k)},
        {with_imm(PVM_OP_load_imm, r[0], 0, (int32_t)value(p)),
         with_imm(chance(p, 50) ? PVM_OP_add_imm_64 : PVM_OP_add_imm_32, r[0], r[0],
                  (int32_t)value(p))},
        /* Calls and returns; mend_calls() gives the table what a call wants. */
        {{.op = PVM_OP_load_imm_jump, .x = table_address(p), .target = pc}},
        {{.op = PVM_OP_load_imm_jump_ind,
          .b = (uint8_t)(chance(p, 80) ? r[0] : 0),
          .x = table_address(p),
          .y = table_address(p)}},
        {with_imm(PVM_OP_jump_ind, 0, 0, chance(p, 80) ? 0 : table_address(p))},
        {with_imm(PVM_OP_add_imm_64, 0, 0, chance(p, 50) ? 2 : -2),
         with_imm(PVM_OP_jump_ind, 0, 0, 0)},
    };
    return append_all(p, idiom[below(p, countof(idiom))], pc);
}

/* Let most jumps land on block starts. */
static void mend_targets(struct progen *p)
{
    struct analysis_case *c = p->c;
    const struct pvm_code code = analysis_case_code(c);
    const enum pvm_profile profile = c->config.profile;
    uint32_t starts[ANALYSIS_CASE_CODE_MAX], count = 0;
    struct pvm_insn insn;
    starts[count++] = 0;
    for (uint32_t pc = 0; pc < c->code_size; pc++) {
        if (pvm_insn_decode(&code, profile, pc, &insn) &&
            pvm_op_terminates(profile, insn.op) &&
            pvm_code_ok(&code, profile, pc + insn.size))
            starts[count++] = pc + insn.size;
    }
    for (uint32_t pc = 0; pc < c->code_size; pc++) {
        if (!pvm_insn_decode(&code, profile, pc, &insn) ||
            !(pvm_op_info[insn.op].flags & (PVM_OP_COND | PVM_OP_JUMP)) || chance(p, 5))
            continue;
        insn.target = starts[below(p, count)];
        (void)append(p, &insn, pc);
    }
    for (uint32_t i = 0; i < ANALYSIS_CASE_JUMP_MAX; i++) {
        uint32_t target = chance(p, 95) ? starts[below(p, count)] : (uint32_t)value(p);
        memcpy(c->jump + 4 * (size_t)i, &target, 4);
    }
}

/* Let most of the addresses that calls put into ra be those behind them. */
static void mend_calls(struct progen *p)
{
    struct analysis_case *c = p->c;
    const struct pvm_code code = analysis_case_code(c);
    struct pvm_insn insn;
    for (uint32_t pc = 0; pc < c->code_size; pc++) {
        if (!pvm_insn_decode(&code, c->config.profile, pc, &insn) || insn.a != 0 ||
            (insn.op != PVM_OP_load_imm_jump && insn.op != PVM_OP_load_imm_jump_ind))
            continue;
        uint64_t index = (uint64_t)insn.x / 2 - 1;
        uint32_t behind = pc + insn.size;
        if (index < ANALYSIS_CASE_JUMP_MAX && chance(p, 90))
            memcpy(c->jump + 4 * (size_t)index, &behind, 4);
    }
}

static void make_code(struct progen *p)
{
    struct analysis_case *c = p->c;
    uint32_t size = 0, want = 1 + (uint32_t)below(p, chance(p, 5) ? 300 : 40);
    p->runs = p->tight && chance(p, 20);
    if (p->runs)
        size = append_stack_run(p, size);
    for (uint32_t i = 0; i < want; i++) {
        struct pvm_insn insn = pick_insn(p, size);
        if (!p->tight || chance(p, 40))
            size += append(p, &insn, size);
        else
            size += chance(p, 40)   ? append_idiom(p, size)
                    : chance(p, 60) ? append_wide_idiom(p, size)
                                    : append_stack_idiom(p, size);
    }
    c->code_size = size;
    c->jump_count = (uint32_t)below(p, ANALYSIS_CASE_JUMP_MAX + 1);
    c->jump_width = 4;
    mend_targets(p);
    mend_calls(p);
}

/* ---- programs that no compiler makes ---- */

static void mark(struct analysis_case *c, size_t at, bool on)
{
    uint8_t bit = (uint8_t)(1u << (at % 8));
    c->bitmask[at / 8] = (uint8_t)((c->bitmask[at / 8] & ~bit) | (on ? bit : 0));
}

static void damage_code(struct progen *p)
{
    for (uint32_t i = 0; i < 4 && p->c->code_size; i++)
        p->c->code[below(p, p->c->code_size)] = (uint8_t)next(p);
}

static void damage_mask(struct progen *p)
{
    for (uint32_t i = 0; i < 4 && p->c->code_size; i++) {
        uint64_t at = below(p, p->c->code_size);
        mark(p->c, at, !(p->c->bitmask[at / 8] >> at % 8 & 1));
    }
}

/* Random bytes with a random mask. */
static void make_raw(struct progen *p)
{
    struct analysis_case *c = p->c;
    c->code_size = 1 + (uint32_t)below(p, 120);
    memset(c->bitmask, 0, sizeof c->bitmask);
    for (size_t i = 0; i < c->code_size; i++) {
        c->code[i] = (uint8_t)next(p);
        mark(c, i, i == 0 || chance(p, 33));
    }
}

/* Spellings that no encoder makes: any byte for registers and sizes; an instruction
 * with a skip of about 24 and more. */
static void misspell(struct progen *p)
{
    struct analysis_case *c = p->c;
    const struct pvm_code code = analysis_case_code(c);
    for (uint32_t pc = 0; pc + 1 < c->code_size; pc++) {
        if (!pvm_code_marked(&code, pc))
            continue;
        uint64_t kind = below(p, 16);
        bool ends = pvm_op_terminates(c->config.profile, c->code[pc]);
        if (kind < 2) {
            c->code[pc + 1] = (uint8_t)next(p);
        } else if (kind == 2) { /* nibbles that all mean register 12 */
            c->code[pc + 1] = (uint8_t)(0xcc | next(p));
        } else if ((kind == 3 || (ends && kind < 8)) && pc + 28 < c->code_size) {
            uint32_t skip = ends ? 24 + (uint32_t)kind % 2 : 5 + (uint32_t)below(p, 22);
            for (uint32_t i = 1; i <= skip; i++)
                mark(c, pc + i, false);
            uint32_t target = pc + skip + 1;
            mark(c, target, true);
            c->code[target] = PVM_OP_fallthrough;
            for (size_t i = 0; i < ANALYSIS_CASE_JUMP_MAX; i += 3)
                memcpy(c->jump + 4 * i, &target, 4);
        }
    }
}

/* Entries of 1 to 8 bytes, some with something in the upper half. */
static void widen_table(struct progen *p)
{
    struct analysis_case *c = p->c;
    uint8_t narrow[ANALYSIS_CASE_JUMP_MAX * 4];
    unsigned width = 1 + (unsigned)below(p, 8);
    memcpy(narrow, c->jump, sizeof narrow);
    memset(c->jump, 0, sizeof c->jump);
    for (size_t i = 0; i < ANALYSIS_CASE_JUMP_MAX; i++) {
        uint8_t *entry = c->jump + i * width;
        memcpy(entry, narrow + 4 * i, width < 4 ? width : 4);
        if (width > 4 && chance(p, 25))
            entry[width - 1] = (uint8_t)next(p);
    }
    c->jump_width = width;
}

static void make_unusual(struct progen *p)
{
    uint64_t kind = below(p, 20);
    if (kind == 0)
        make_raw(p);
    else if (kind < 3)
        damage_code(p);
    else if (kind < 5)
        damage_mask(p);
    else if (kind < 7)
        misspell(p);
    else if (kind < 9)
        widen_table(p);
}

/* ---- the machine around it ---- */

static void make_regions(struct progen *p)
{
    static const uint32_t starts[] = {0, 0x10000, 0x20000, 0x24000, 0xfffff000};
    enum { COUNT = 3 };
    struct analysis_case *c = p->c;
    for (size_t i = 0; i < sizeof c->data; i += 8) {
        uint64_t word = next(p);
        memcpy(c->data + i, &word, 8);
    }
    uint32_t at = (uint32_t)below(p, countof(starts) - COUNT + 1);
    for (uint32_t i = 0; i < COUNT; i++) {
        bool last = starts[at + i] == 0xfffff000;
        c->region[i] = (struct analysis_case_region){
            .start = starts[at + i],
            .page_count = last ? 1 : 1 + (uint32_t)below(p, 3),
            .access = chance(p, 70) ? PVM_ACCESS_RW : PVM_ACCESS_R,
            .data_size = chance(p, 50) ? (uint32_t)below(p, PVM_PAGE_SIZE + 1) : 0,
        };
    }
    c->region_count = COUNT;
}

/* Much, little, exactly what the first block costs, one less, and so much that a sign
 * or the upper half of a number shows. */
static void make_gas(struct progen *p)
{
    struct analysis_case *c = p->c;
    const struct pvm_code code = analysis_case_code(c);
    uint64_t kind = below(p, 20);
    c->gas = below(p, kind < 3 ? 200 : GAS_MAX);
    if (kind < 6)
        return;
    struct pvm_walk walk = pvm_code_walk(&code, &c->config, c->pc);
    uint64_t reserve = c->config.model >> 8 ? 2 * PVM_GAS_COW * walk.store_count : 0;
    if (kind < 8)
        c->gas = walk.need + reserve - (kind == 7);
}

static void make_way(struct progen *p)
{
    static const enum pvm_gas_log logs[] = {
        PVM_GAS_LOG_EACH,   PVM_GAS_LOG_EACH,    PVM_GAS_LOG_LEDGER,
        PVM_GAS_LOG_LEDGER, PVM_GAS_LOG_SUMMARY, PVM_GAS_LOG_NONE,
    };
    struct analysis_case *c = p->c;
    c->way.log = logs[below(p, countof(logs))];
    c->way.dispatch = chance(p, 50) ? PVM_DISPATCH_LOOP : PVM_DISPATCH_THREADED;
    c->way.explicit_checks = chance(p, 25);
    c->answers = chance(p, 30);
    c->run_count = ANALYSIS_CASE_RUNS_MAX;
    if (chance(p, 25))
        c->deadline = 1 + (uint32_t)below(p, 60);
    if (!chance(p, 10))
        return;
    for (unsigned op = 0; op < 256; op++) {
        if (pvm_op_info[op].name && chance(p, 25))
            c->way.interp_only[op / 64] |= (uint64_t)1 << op % 64;
    }
}

void analysis_progen_make(struct analysis_case *c, uint64_t seed)
{
    struct progen p = {.c = c, .random = seed};
    memset(c, 0, sizeof *c);
    p.tight = chance(&p, 30);
    bool javm = chance(&p, 60);
    c->config = pvm_config_default(javm ? PVM_PROFILE_JAVM : PVM_PROFILE_VECTORS);
    if (javm && chance(&p, 50))
        c->config.model |= 256;
    make_regions(&p);
    make_code(&p);
    make_unusual(&p);
    if (chance(&p, 10) && c->code_size)
        c->pc = (uint32_t)below(&p, c->code_size + 2);
    for (unsigned r = 0; r < PVM_REG_COUNT; r++) {
        bool is_stack = p.tight && r == REG_SP;
        c->reg[r] = chance(&p, 10)                   ? PVM_HALT_ADDRESS
                    : chance(&p, is_stack ? 90 : 40) ? address(&p)
                                                     : value(&p);
    }
    if (p.runs && chance(&p, 70)) /* where little faults, but it may be an end */
        c->reg[REG_SP] = c->region[below(&p, c->region_count)].start + below(&p, 24);
    make_gas(&p);
    make_way(&p);
}
