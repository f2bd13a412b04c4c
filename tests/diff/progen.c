/* SPDX-License-Identifier: MIT */
#include "tests/diff/progen.h"

#include "base/err.h"
#include "tests/test.h"

#include <string.h>

static uint64_t next(struct progen *p)
{
    return test_random(&p->random);
}

static uint64_t below(struct progen *p, uint64_t bound)
{
    return next(p) % bound;
}

static bool chance(struct progen *p, unsigned percent)
{
    return below(p, 100) < percent;
}

static const uint64_t edges[] = {
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
    0x7fffffffffffffff,
    0x8000000000000000,
    0x8000000000000001,
    0xfffffffffffffffe,
    0xffffffffffffffff,
};

static uint64_t value(struct progen *p)
{
    uint64_t v = edges[below(p, countof(edges))];
    return chance(p, 25) ? next(p) : chance(p, 25) ? v + below(p, 5) - 2 : v;
}

/* An address in or near a mapped page, mostly near its edges. */
static uint64_t address(struct progen *p)
{
    const struct pvm_region *region = &p->region[below(p, p->region_count)];
    uint64_t at = region->start;
    if (chance(p, 60))
        at += below(p, 2) ? region->size - 1 - below(p, 12) : below(p, 12);
    else
        at += below(p, region->size);
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
        insn.x = chance(p, 80) ? (int64_t)(2 * below(p, PROGEN_JUMP_MAX)) : insn.x;
        insn.y = chance(p, 80) ? (int64_t)(2 * below(p, PROGEN_JUMP_MAX)) : insn.y;
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
        x_size = 2;
    if (format == PVM_FORMAT_A_X_T)
        y_size = 2;
    size_t size = 0;
    /* Formats without X or Y want size 0 for it. */
    for (unsigned k = 0; !size && k < 4; k++)
        size = pvm_insn_encode(insn, k & 1 ? 0 : x_size, k & 2 ? 0 : y_size, bytes);
    if (!size || pc + size > PROGEN_CODE_MAX - 8)
        return 0;
    memcpy(p->code + pc, bytes, size);
    p->bitmask[pc >> 3] |= (uint8_t)(1u << (pc & 7));
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
    struct pvm_insn idiom[][3] = {
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
    };
    const struct pvm_insn *chosen = idiom[below(p, countof(idiom))];
    uint32_t size = 0;
    for (unsigned n = 0; n < 3 && chosen[n].op; n++)
        size += append(p, &chosen[n], pc + size);
    return size;
}

/* Let most jumps land on block starts. */
static void mend_targets(struct progen *p)
{
    uint32_t starts[PROGEN_CODE_MAX], count = 0;
    struct pvm_insn insn;
    starts[count++] = 0;
    for (uint32_t pc = 0; pc < p->program.code.size; pc++) {
        if (pvm_insn_decode(&p->program, p->config.profile, pc, &insn) &&
            pvm_op_terminates(p->config.profile, insn.op) &&
            pvm_code_ok(&p->program, p->config.profile, pc + insn.size))
            starts[count++] = pc + insn.size;
    }
    for (uint32_t pc = 0; pc < p->program.code.size; pc++) {
        if (!pvm_insn_decode(&p->program, p->config.profile, pc, &insn) ||
            !(pvm_op_info[insn.op].flags & (PVM_OP_COND | PVM_OP_JUMP)) || chance(p, 5))
            continue;
        insn.target = starts[below(p, count)];
        (void)append(p, &insn, pc);
    }
    for (uint32_t i = 0; i < PROGEN_JUMP_MAX; i++) {
        uint32_t target = chance(p, 95) ? starts[below(p, count)] : (uint32_t)value(p);
        memcpy(p->jump + 4 * (size_t)i, &target, 4);
    }
}

static void make_code(struct progen *p)
{
    uint32_t size = 0, want = 1 + (uint32_t)below(p, chance(p, 20) ? 400 : 40);
    for (uint32_t i = 0; i < want; i++) {
        struct pvm_insn insn = pick_insn(p, size);
        size +=
            p->tight && chance(p, 60) ? append_idiom(p, size) : append(p, &insn, size);
    }
    p->program = (struct pvm_code){
        .code = bytes_of(p->code, size),
        .bitmask = p->bitmask,
        .jump = p->jump,
        .jump_count = (uint32_t)below(p, PROGEN_JUMP_MAX + 1),
        .jump_width = 4,
    };
    mend_targets(p);
    if (chance(p, 15)) /* damage */
        for (uint32_t i = 0; i < 4 && size; i++)
            p->code[below(p, size)] = (uint8_t)next(p);
    if (chance(p, 15))
        for (uint32_t i = 0; i < 4 && size; i++) {
            uint64_t bit = below(p, size);
            p->bitmask[bit >> 3] ^= (uint8_t)(1u << (bit & 7));
        }
}

static void make_regions(struct progen *p)
{
    static const uint32_t starts[] = {0, 0x10000, 0x20000, 0x24000, 0xfffff000};
    for (size_t i = 0; i < sizeof p->initial; i++)
        p->initial[i] = (uint8_t)next(p);
    uint32_t at = (uint32_t)below(p, countof(starts) - PROGEN_REGION_MAX + 1);
    for (uint32_t i = 0; i < PROGEN_REGION_MAX; i++) {
        uint32_t pages = starts[at + i] == 0xfffff000 ? 1 : 1 + (uint32_t)below(p, 3);
        p->region[i] = (struct pvm_region){
            .start = starts[at + i],
            .size = (uint64_t)pages * PVM_PAGE_SIZE,
            .access = chance(p, 70) ? PVM_ACCESS_RW : PVM_ACCESS_R,
            .data =
                bytes_of(p->initial, chance(p, 50) ? below(p, PVM_PAGE_SIZE + 1) : 0),
        };
    }
    p->region_count = PROGEN_REGION_MAX;
}

void progen_make(struct progen *p, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    p->random = seed;
    p->tight = chance(p, 30);
    bool javm = chance(p, 60);
    p->config = pvm_config_default(javm ? PVM_PROFILE_JAVM : PVM_PROFILE_VECTORS);
    if (javm && chance(p, 50))
        p->config.model |= 256;
    make_regions(p);
    make_code(p);
    p->start.gas = chance(p, 20) ? below(p, 200) : below(p, 100000);
    if (chance(p, 10) && p->program.code.size)
        p->start.pc = (uint32_t)below(p, p->program.code.size + 2);
    for (unsigned r = 0; r < PVM_REG_COUNT; r++)
        p->start.reg[r] = chance(p, 10)   ? PVM_HALT_ADDRESS
                          : chance(p, 40) ? address(p)
                                          : value(p);
}

void progen_map(const struct progen *p, struct pvm_mem *mem)
{
    for (uint32_t page = pvm_mem_next_page(mem, 0); page < PVM_PAGE_COUNT;
         page = pvm_mem_next_page(mem, page))
        check(!pvm_mem_unmap(mem, page * (uint32_t)PVM_PAGE_SIZE, PVM_PAGE_SIZE));
    for (uint32_t i = 0; i < p->region_count; i++)
        check(!pvm_mem_map(mem, p->region[i].start, p->region[i].size,
                           p->region[i].access, p->region[i].data));
}
