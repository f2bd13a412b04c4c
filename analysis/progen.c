/* SPDX-License-Identifier: MIT */
#include "analysis/progen_private.h"

#include "base/err.h"

#include <string.h>

enum {
    ADDRESS_REACH = 12, /* bytes around a page's edge */
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

uint64_t analysis_progen_value(struct progen *p)
{
    static const uint64_t sharp[] = {0, 1, -1ull, 1ull << 63, 1ull << 31, -1ull << 31};
    uint64_t v = chance(p, 20) ? sharp[below(p, countof(sharp))]
                               : analysis_edge[below(p, ANALYSIS_EDGE_COUNT)];
    return chance(p, 25) ? next(p) : chance(p, 25) ? v + below(p, 5) - 2 : v;
}

uint64_t analysis_progen_address(struct progen *p)
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

/* The last instruction loses operands. */
static void cut_code(struct progen *p)
{
    struct analysis_case *c = p->c;
    for (uint64_t n = below(p, 4); n && c->code_size > 1; n--) {
        c->code[--c->code_size] = 0;
        mark(c, c->code_size, false);
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
    else if (kind == 9)
        cut_code(p);
    if (chance(p, kind < 7 || p->loose ? 50 : 35))
        analysis_progen_astray(p);
    if (kind > 6 && kind < 9)
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
            .access = chance(p, p->calm ? 80 : 70) ? PVM_ACCESS_RW : PVM_ACCESS_R,
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
    else if (c->gas < walk.need + reserve) /* or what needs much never begins */
        c->gas += walk.need + reserve;
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

/* What the program is to be like. */
static void make_taste(struct progen *p)
{
    p->tight = chance(p, 45);
    p->calm = p->tight && chance(p, 60);
    p->calls = !p->calm && chance(p, 20);
    p->loose = chance(p, 20);
    p->runs = p->tight && chance(p, 20);
    const bool usual = chance(p, 60);
    for (unsigned k = 0; k < PROGEN_POOL; k++) {
        bool again = true;
        while (again) {
            p->pool[k] = (uint8_t)(usual && k < 5 ? 7 + k : below(p, PVM_REG_COUNT));
            again = p->pool[k] == PROGEN_REG_SP;
            for (unsigned i = 0; i < k; i++)
                again |= p->pool[i] == p->pool[k];
        }
    }
    /* Neighbours in the table of opcodes are of a kind. */
    for (uint64_t runs = chance(p, 30) ? 1 + below(p, 4) : 0; runs; runs--) {
        unsigned op = (unsigned)below(p, 231), end = op + 1 + (unsigned)below(p, 6);
        for (; op < end; op++)
            if (pvm_op_info[op].name && p->palette_count < PROGEN_PALETTE_MAX)
                p->palette[p->palette_count++] = (uint8_t)op;
    }
}

/* Mostly well inside a page that can be written. */
static uint64_t stack_pointer(struct progen *p)
{
    enum { TRIES = 3, STEP = 64 };
    const struct analysis_case_region *region = &p->c->region[0];
    if (chance(p, p->calm ? 10 : 30))
        return analysis_progen_address(p);
    for (unsigned k = 0; k < TRIES; k++) {
        region = &p->c->region[below(p, p->c->region_count)];
        if (region->access == PVM_ACCESS_RW)
            break;
    }
    uint64_t steps = (uint64_t)region->page_count * (PVM_PAGE_SIZE / STEP);
    return region->start + STEP * below(p, steps) + STEP / 2;
}

static void make_registers(struct progen *p)
{
    struct analysis_case *c = p->c;
    for (unsigned r = 0; r < PVM_REG_COUNT; r++)
        c->reg[r] = chance(p, 10)   ? PVM_HALT_ADDRESS
                    : chance(p, 40) ? analysis_progen_address(p)
                                    : analysis_progen_value(p);
    if ((p->tight || p->calls) && chance(p, 90))
        c->reg[PROGEN_REG_SP] = stack_pointer(p);
    if (p->runs && chance(p, 70)) /* where little faults, but it may be an end */
        c->reg[PROGEN_REG_SP] =
            c->region[below(p, c->region_count)].start + below(p, 24);
}

void analysis_progen_make(struct analysis_case *c, uint64_t seed)
{
    struct progen p = {.c = c, .random = seed};
    memset(c, 0, sizeof *c);
    make_taste(&p);
    bool javm = chance(&p, 60);
    c->config = pvm_config_default(javm ? PVM_PROFILE_JAVM : PVM_PROFILE_VECTORS);
    if (javm && chance(&p, 50))
        c->config.model |= 256;
    make_regions(&p);
    analysis_progen_code(&p);
    make_unusual(&p);
    if (chance(&p, 10) && c->code_size)
        c->pc = (uint32_t)below(&p, c->code_size + 2);
    make_registers(&p);
    make_gas(&p);
    make_way(&p);
}
