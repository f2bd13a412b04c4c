/* SPDX-License-Identifier: MIT */
#include "analysis/exhaust.h"

#include "analysis/progen.h"

#include <string.h>

enum {
    PER_CASE = 64, /* combinations in one case, where each lets the next one run */
    VALUES = 32,
    REGS = 4,
    TARGETS = 2,
    RESULTS = 0x10000, /* where results are stored, a word for each combination */
    GAS = 1000000,
};

static const uint8_t regs[REGS] = {0, 10, 11, 12};

/* Around what make_regions() maps. */
static const uint64_t addresses[VALUES] = {
    0,          1,          0xff8,       0xff9,
    0xffc,      0xfff,      0x1000,      0xffff,
    0x10000,    0x10ff9,    0x10ffe,     0x11000,
    0x11ff8,    0x11ff9,    0x11fff,     0x12000,
    0x12ff9,    0x12fff,    0x13000,     0x13ff8,
    0x13ff9,    0x13fff,    0x14000,     0xffffeff9,
    0xffffefff, 0xfffff000, 0xfffffff8,  0xfffffff9,
    0xfffffffe, 0xffffffff, 0x100010000, 0xffffffff00010004,
};

static const int32_t offsets[VALUES] = {
    0,       1,         -1,        2,
    -2,      4,         -4,        7,
    8,       -8,        0x7f,      0x80,
    -0x80,   -0x81,     0xff,      0xfff,
    0x1000,  -0x1000,   0x1001,    0x7fff,
    0x8000,  -0x8000,   -0x8001,   0x10000,
    0xfffff, -0x10000,  1 << 23,   -(1 << 23),
    1 << 24, INT32_MAX, INT32_MIN, INT32_MIN + 1,
};

/* For jumps through the table: it has four entries. */
static const uint64_t table_addresses[VALUES] = {
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    0x7ffffffe,
    0x80000000,
    0x80000002,
    0xfffeffff,
    0xffff0000,
    0xffff0001,
    0xffff0002,
    0xfffffffe,
    0xffffffff,
    0x100000000,
    0x100000002,
    0x100000008,
    0x1ffff0000,
    0x10000000a,
    0xffffffff00000002,
    0xffffffffffff0000,
    0x8000000000000002,
    0xfffffffffffffffe,
    0x7fffffffffffffff,
};

/* ---- what an opcode is combined with ---- */

struct shape {
    bool has_a, has_b, has_d;
    bool has_va, has_vb, has_x, has_y, has_target;
    uint64_t size; /* combinations */
    uint32_t per_case;
};

static bool is_memory(uint8_t op)
{
    return pvm_op_info[op].flags & (PVM_OP_LOAD | PVM_OP_STORE);
}

static uint64_t times(bool has, uint64_t count)
{
    return has ? count : 1;
}

static struct shape shape_of(uint8_t op)
{
    const unsigned format = pvm_op_info[op].format, flags = pvm_op_info[op].flags;
    struct shape s = {.size = 1, .per_case = 1};
    s.has_a = format != PVM_FORMAT_NONE && format != PVM_FORMAT_X &&
              format != PVM_FORMAT_X_Y && format != PVM_FORMAT_T;
    s.has_b = format == PVM_FORMAT_A_B_X || format == PVM_FORMAT_A_B_T ||
              format == PVM_FORMAT_A_B_X_Y || format == PVM_FORMAT_D_A_B;
    s.has_d = format == PVM_FORMAT_D_A || format == PVM_FORMAT_D_A_B;
    s.has_x = format == PVM_FORMAT_X || format == PVM_FORMAT_A_X64 ||
              format == PVM_FORMAT_X_Y || format == PVM_FORMAT_A_X ||
              format == PVM_FORMAT_A_X_Y || format == PVM_FORMAT_A_X_T ||
              format == PVM_FORMAT_A_B_X || format == PVM_FORMAT_A_B_X_Y;
    s.has_y = format == PVM_FORMAT_X_Y;
    s.has_target = format == PVM_FORMAT_T || format == PVM_FORMAT_A_X_T ||
                   format == PVM_FORMAT_A_B_T;
    s.has_vb = s.has_b;
    /* A is the source, or the only one. */
    s.has_va = format == PVM_FORMAT_D_A || format == PVM_FORMAT_D_A_B ||
               format == PVM_FORMAT_A_X_T || format == PVM_FORMAT_A_B_T ||
               format == PVM_FORMAT_A_X_Y || op == PVM_OP_jump_ind;
    s.size = times(s.has_a, REGS) * times(s.has_b, REGS) * times(s.has_d, REGS) *
             times(s.has_va, VALUES) * times(s.has_vb, VALUES) *
             times(s.has_x, VALUES) * times(s.has_y, VALUES) *
             times(s.has_target, TARGETS);
    bool goes_on = !is_memory(op) && !s.has_target &&
                   !(flags & (PVM_OP_SINK | PVM_OP_DYN | PVM_OP_CALL));
    if (goes_on)
        s.per_case = PER_CASE;
    return s;
}

static uint64_t count_of(uint8_t op)
{
    if (!pvm_op_info[op].name)
        return 0;
    struct shape s = shape_of(op);
    return (s.size + s.per_case - 1) / s.per_case;
}

uint64_t analysis_exhaust_count(unsigned op)
{
    if (op < ANALYSIS_EXHAUST_ALL)
        return count_of((uint8_t)op);
    uint64_t count = 0;
    for (unsigned k = 0; k < 256; k++)
        count += count_of((uint8_t)k);
    return count;
}

/* ---- one combination ---- */

static uint64_t take(uint64_t *index, uint64_t bound)
{
    uint64_t digit = *index % bound;
    *index /= bound;
    return digit;
}

struct combination {
    struct pvm_insn insn;
    uint64_t va, vb;
    bool bad_target;
};

/* Put an address into what the access is relative to. */
static void aim(struct combination *it, const struct shape *s, uint64_t address,
                int32_t offset)
{
    const bool relative = pvm_op_info[it->insn.op].flags & PVM_OP_DYN || s->has_b ||
                          pvm_op_info[it->insn.op].format == PVM_FORMAT_A_X_Y;
    if (!relative) {
        it->insn.x = (int32_t)address;
        return;
    }
    it->insn.x = offset;
    if (pvm_op_info[it->insn.op].format == PVM_FORMAT_A_B_X_Y)
        it->insn.y = offset;
    *(s->has_b ? &it->vb : &it->va) = address - (uint64_t)(int64_t)offset;
}

static struct combination combine(uint8_t op, const struct shape *s, uint64_t index)
{
    const unsigned flags = pvm_op_info[op].flags;
    uint64_t mix = index;
    uint64_t other = analysis_edge[analysis_random(&mix) % VALUES];
    struct combination it = {.insn = {.op = op}, .va = other, .vb = other};
    it.insn.a = s->has_a ? regs[take(&index, REGS)] : 0;
    it.insn.b = s->has_b ? regs[take(&index, REGS)] : 0;
    it.insn.d = s->has_d ? regs[take(&index, REGS)] : 0;
    uint64_t va = s->has_va ? take(&index, VALUES) : 0;
    uint64_t vb = s->has_vb ? take(&index, VALUES) : 0;
    uint64_t x = s->has_x ? take(&index, VALUES) : 0;
    uint64_t y = s->has_y ? take(&index, VALUES) : 0;
    it.bad_target = s->has_target && take(&index, TARGETS);
    it.va = s->has_va ? analysis_edge[va] : it.va;
    it.vb = s->has_vb ? analysis_edge[vb] : it.vb;
    it.insn.x = pvm_op_info[op].format == PVM_FORMAT_A_X64 ? (int64_t)analysis_edge[x]
                                                           : (int32_t)analysis_edge[x];
    it.insn.y = (int32_t)(s->has_y ? analysis_edge[y] : other);
    uint64_t which = s->has_b ? vb : s->has_va ? va : x;
    if (is_memory(op))
        aim(&it, s, addresses[which], offsets[x]);
    else if (flags & PVM_OP_DYN)
        aim(&it, s, table_addresses[which], offsets[x]);
    return it;
}

/* ---- the case around it ---- */

static void append(struct analysis_case *c, struct pvm_insn insn)
{
    const unsigned format = pvm_op_info[insn.op].format;
    uint8_t bytes[PVM_INSN_SIZE_MAX];
    unsigned x_size = pvm_imm_size(insn.x), y_size = pvm_imm_size(insn.y);
    size_t size = 0;
    insn.pc = c->code_size;
    if (format == PVM_FORMAT_A_X64)
        x_size = 8;
    if (format == PVM_FORMAT_T || format == PVM_FORMAT_A_B_T)
        x_size = 2;
    if (format == PVM_FORMAT_A_X_T)
        y_size = 2;
    for (unsigned k = 0; !size && k < 4; k++) /* formats without X or Y want 0 */
        size = pvm_insn_encode(&insn, k & 1 ? 0 : x_size, k & 2 ? 0 : y_size, bytes);
    check(size && c->code_size + size <= ANALYSIS_CASE_CODE_MAX);
    memcpy(c->code + c->code_size, bytes, size);
    c->bitmask[c->code_size / 8] |= (uint8_t)(1u << c->code_size % 8);
    c->code_size += (uint32_t)size;
}

/* An instruction that goes to the one behind it, or nowhere. */
static void append_aimed(struct analysis_case *c, const struct combination *it)
{
    struct pvm_insn insn = it->insn;
    const struct analysis_case before = {.code_size = c->code_size};
    insn.target = (int64_t)c->code_size + 1; /* inside of it: no block start */
    append(c, insn);
    if (it->bad_target)
        return;
    insn.target = c->code_size;
    c->code_size = before.code_size;
    append(c, insn);
}

static void append_combination(struct analysis_case *c, const struct combination *it,
                               const struct shape *s, uint32_t slot)
{
    append(c, (struct pvm_insn){
                  .op = PVM_OP_load_imm_64, .a = it->insn.a, .x = (int64_t)it->va});
    if (s->has_b && (it->insn.b != it->insn.a || !s->has_va))
        append(c, (struct pvm_insn){
                      .op = PVM_OP_load_imm_64, .a = it->insn.b, .x = (int64_t)it->vb});
    append_aimed(c, it);
    append(c, (struct pvm_insn){.op = PVM_OP_store_u64,
                                .a = s->has_d ? it->insn.d : it->insn.a,
                                .x = RESULTS + (int64_t)slot * 8});
}

static void make_regions(struct analysis_case *c)
{
    static const struct analysis_case_region region[] = {
        {.start = 0, .page_count = 1, .access = PVM_ACCESS_RW, .data_size = 4096},
        {.start = 0x10000, .page_count = 2, .access = PVM_ACCESS_RW, .data_size = 4096},
        {.start = 0x13000, .page_count = 1, .access = PVM_ACCESS_R, .data_size = 4096},
        {.start = 0xfffff000, .page_count = 1, .access = PVM_ACCESS_RW},
    };
    memcpy(c->region, region, sizeof region);
    c->region_count = countof(region);
    for (size_t i = 0; i < sizeof c->data; i++)
        c->data[i] = (uint8_t)(i * 167 + (i >> 8));
}

/* Both profiles, page gas, all logs, and the recompiler's manners in turn. */
static void make_way(struct analysis_case *c, uint64_t index)
{
    uint64_t mix = index;
    uint64_t random = analysis_random(&mix);
    bool javm = random % 2;
    c->config = pvm_config_default(javm ? PVM_PROFILE_JAVM : PVM_PROFILE_VECTORS);
    if (javm && random & 4)
        c->config.model |= 256;
    c->way.log = (enum pvm_gas_log)(random >> 8 & 3);
    c->way.dispatch = random & 16 ? PVM_DISPATCH_LOOP : PVM_DISPATCH_THREADED;
    c->way.explicit_checks = random & 32;
    c->answers = random & 64;
    c->run_count = 2;
}

static void make_table(struct analysis_case *c)
{
    append(c, (struct pvm_insn){.op = PVM_OP_fallthrough});
    const uint16_t entry[] = {(uint16_t)c->code_size, (uint16_t)(c->code_size + 1), 1,
                              0xffff};
    append(c, (struct pvm_insn){.op = PVM_OP_trap});
    c->jump_count = countof(entry);
    c->jump_width = 2;
    memcpy(c->jump, entry, sizeof entry);
}

void analysis_exhaust_make(unsigned op, uint64_t index, struct analysis_case *c)
{
    memset(c, 0, sizeof *c);
    make_way(c, index);
    if (op == ANALYSIS_EXHAUST_ALL) {
        for (op = 0; index >= count_of((uint8_t)op); op++)
            index -= count_of((uint8_t)op);
    }
    struct shape s = shape_of((uint8_t)op);
    make_regions(c);
    c->gas = GAS;
    for (unsigned r = 0; r < PVM_REG_COUNT; r++)
        c->reg[r] = UINT64_C(0x5eed5eed00000000) + r;
    for (uint32_t k = 0; k < s.per_case; k++) {
        uint64_t which = index * s.per_case + k;
        if (which >= s.size)
            break;
        struct combination it = combine((uint8_t)op, &s, which);
        append_combination(c, &it, &s, k);
    }
    make_table(c);
}
