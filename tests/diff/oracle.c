/* SPDX-License-Identifier: MIT
 *
 * The oracle's reading of code: decoding, blocks, gas [1, 2, 4, 7].
 */
#include "tests/diff/oracle.h"

#include <string.h>

static unsigned reg(uint64_t value)
{
    return value > 12 ? 12 : (unsigned)value;
}

uint64_t oracle_byte(const struct oracle *o, uint64_t at)
{
    return at < o->size ? o->code[at] : 0;
}

bool oracle_marked(const struct oracle *o, int64_t at)
{
    if (at < 0 || (uint64_t)at >= o->size)
        return false;
    return o->mask[at / 8] & (1 << (at % 8));
}

uint64_t oracle_skip(const struct oracle *o, uint64_t at)
{
    uint64_t j = 0;
    while (j < 24 && at + 1 + j < o->size && !oracle_marked(o, (int64_t)(at + 1 + j)))
        j++;
    return j;
}

static bool within(unsigned op, unsigned first, unsigned last)
{
    return first <= op && op <= last;
}

static bool assigned(const struct oracle *o, unsigned op)
{
    return op == 0 || op == 1 || (o->javm && (op == 2 || op == 3)) || op == 10 ||
           op == 20 || within(op, 30, 33) || op == 40 || within(op, 50, 62) ||
           within(op, 70, 73) || within(op, 80, 90) || within(op, 100, 111) ||
           within(op, 120, 161) || within(op, 170, 175) || op == 180 ||
           within(op, 190, 230);
}

bool oracle_terminates(const struct oracle *o, unsigned op)
{
    if (o->javm && (op == 2 || op == 3 || op == 10))
        return true;
    return op == 0 || op == 1 || op == 40 || op == 50 || op == 180 ||
           within(op, 80, 90) || within(op, 170, 175);
}

bool oracle_ok(const struct oracle *o, uint64_t at)
{
    return at < o->size && oracle_marked(o, (int64_t)at) && assigned(o, o->code[at]);
}

bool oracle_start(const struct oracle *o, uint64_t at)
{
    if (!oracle_ok(o, at))
        return false;
    if (at == 0)
        return true;
    for (uint64_t n = at > 25 ? at - 25 : 0; n < at; n++)
        if (oracle_marked(o, (int64_t)n) && oracle_terminates(o, o->code[n]) &&
            n + 1 + oracle_skip(o, n) == at)
            return true;
    return false;
}

uint64_t oracle_block_of(const struct oracle *o, uint64_t pc)
{
    if (!oracle_ok(o, pc))
        return pc;
    int64_t b = (int64_t)pc;
    while (b >= 0 && !oracle_start(o, (uint64_t)b))
        b--;
    if (b < 0)
        return pc;
    for (uint64_t i = (uint64_t)b;; i += 1 + oracle_skip(o, i)) {
        if (i == pc)
            return (uint64_t)b;
        if (i > pc || !oracle_ok(o, i) || oracle_terminates(o, o->code[i]))
            return pc;
    }
}

/* X_n(at) */
static uint64_t immediate(const struct oracle *o, uint64_t n, uint64_t at)
{
    oracle_wide_u value = 0, scale = 1;
    for (uint64_t i = 0; i < n; i++, scale *= 256)
        value += scale * oracle_byte(o, at + i);
    if (n && oracle_byte(o, at + n - 1) >= 128)
        value -= scale;
    return (uint64_t)value;
}

static uint64_t up_to_4(int64_t n)
{
    return n <= 0 ? 0 : n >= 4 ? 4 : (uint64_t)n;
}

/* X of `lx` bytes at `at`, Y of what the skip leaves behind `head` bytes and X. */
static void two_immediates(const struct oracle *o, struct oracle_insn *i, uint64_t lx,
                           uint64_t at, int64_t head)
{
    uint64_t ly = up_to_4((int64_t)i->skip - (int64_t)lx - head);
    i->x = immediate(o, lx, at);
    i->y = immediate(o, ly, at + lx);
}

struct oracle_insn oracle_decode(const struct oracle *o, uint64_t pc)
{
    uint64_t b1 = oracle_byte(o, pc + 1), b2 = oracle_byte(o, pc + 2);
    struct oracle_insn i = {.op = (unsigned)oracle_byte(o, pc),
                            .skip = (unsigned)oracle_skip(o, pc),
                            .a = reg(b1 % 16),
                            .b = reg(b1 / 16),
                            .d = reg(b2)};
    int64_t skip = (int64_t)i.skip;
    uint64_t behind_reg = up_to_4(skip - 1);
    if (i.op == 10 || i.op == 40) {
        i.x = immediate(o, up_to_4(skip), pc + 1);
        i.target = (int64_t)(pc + i.x);
    } else if (i.op == 20) {
        i.x = immediate(o, 8, pc + 2);
    } else if (within(i.op, 30, 33)) {
        two_immediates(o, &i, up_to_4((int64_t)(b1 % 8)), pc + 2, 1);
    } else if (within(i.op, 50, 62) || within(i.op, 120, 161)) {
        i.x = immediate(o, behind_reg, pc + 2);
    } else if (within(i.op, 70, 90)) {
        two_immediates(o, &i, up_to_4((int64_t)(b1 / 16 % 8)), pc + 2, 1);
        i.target = (int64_t)(pc + i.y);
    } else if (within(i.op, 170, 175)) {
        i.target = (int64_t)(pc + immediate(o, behind_reg, pc + 2));
    } else if (i.op == 180) {
        two_immediates(o, &i, up_to_4((int64_t)(b2 % 8)), pc + 3, 2);
    }
    return i;
}

/* ---- gas ---- */

/* Cycles: a number, MEM or BR.  Slots: a number; "ov" and "sh" rules choose x over y.
 * Registers by their letters in [7.3]. */
enum { MEM = 1000, BR = 1001 };
struct cost {
    unsigned first, last, cycles;
    char rule; /* 'o', 's', or '=' for y */
    unsigned x, y;
    const char *src;
    bool dst;
};
static const struct cost costs[] = {
    {0, 1, 2, '=', 0, 1, "", false},         {2, 2, 40, '=', 0, 1, "", false},
    {3, 3, 100, '=', 0, 4, "", false},       {10, 10, 100, '=', 0, 4, "", false},
    {20, 20, 1, '=', 0, 2, "", true},        {30, 33, MEM, '=', 0, 1, "", false},
    {40, 40, 15, '=', 0, 1, "", false},      {50, 50, 22, '=', 0, 1, "", false},
    {51, 51, 1, '=', 0, 1, "", true},        {52, 58, MEM, '=', 0, 1, "b", true},
    {124, 130, MEM, '=', 0, 1, "b", true},   {59, 62, MEM, '=', 0, 1, "ab", false},
    {120, 123, MEM, '=', 0, 1, "ab", false}, {70, 73, MEM, '=', 0, 1, "a", false},
    {80, 80, 15, '=', 0, 1, "", true},       {81, 90, BR, '=', 0, 1, "a", false},
    {101, 101, 2, '=', 0, 1, "", false},     {102, 105, 1, '=', 0, 1, "b", true},
    {108, 109, 1, '=', 0, 1, "b", true},     {111, 111, 1, '=', 0, 1, "b", true},
    {106, 107, 2, '=', 0, 1, "b", true},     {110, 110, 1, 'o', 1, 2, "b", true},
    {132, 134, 1, 'o', 1, 2, "b", true},     {149, 149, 1, 'o', 1, 2, "b", true},
    {151, 153, 1, 'o', 1, 2, "b", true},     {158, 158, 1, 'o', 1, 2, "b", true},
    {131, 131, 2, 'o', 2, 3, "b", true},     {138, 140, 2, 'o', 2, 3, "b", true},
    {160, 160, 2, 'o', 2, 3, "b", true},     {135, 135, 4, 'o', 2, 3, "b", true},
    {136, 137, 3, '=', 0, 3, "b", true},     {142, 143, 3, '=', 0, 3, "b", true},
    {141, 141, 3, '=', 0, 4, "b", true},     {144, 146, 2, '=', 0, 4, "b", true},
    {161, 161, 2, '=', 0, 4, "b", true},     {147, 148, 2, '=', 0, 3, "b", true},
    {150, 150, 3, 'o', 1, 2, "b", true},     {154, 154, 2, '=', 0, 3, "b", true},
    {155, 157, 1, '=', 0, 3, "b", true},     {159, 159, 1, '=', 0, 3, "b", true},
    {170, 175, BR, '=', 0, 1, "ab", false},  {180, 180, 22, '=', 0, 1, "b", true},
    {190, 191, 2, 'o', 2, 3, "bd", true},    {192, 192, 4, 'o', 2, 3, "bd", true},
    {193, 196, 60, '=', 0, 4, "bd", true},   {203, 206, 60, '=', 0, 4, "bd", true},
    {197, 199, 2, 's', 3, 4, "bd", true},    {221, 221, 2, 's', 3, 4, "bd", true},
    {223, 223, 2, 's', 3, 4, "bd", true},    {200, 201, 1, 'o', 1, 2, "bd", true},
    {210, 212, 1, 'o', 1, 2, "bd", true},    {202, 202, 3, 'o', 1, 2, "bd", true},
    {207, 209, 1, 's', 2, 3, "bd", true},    {220, 220, 1, 's', 2, 3, "bd", true},
    {222, 222, 1, 's', 2, 3, "bd", true},    {213, 214, 4, '=', 0, 4, "bd", true},
    {215, 215, 6, '=', 0, 4, "bd", true},    {216, 217, 3, '=', 0, 3, "bd", true},
    {218, 219, 2, '=', 0, 2, "bd", true},    {224, 225, 2, '=', 0, 3, "bd", true},
    {226, 226, 2, 'o', 2, 3, "bd", true},    {227, 230, 3, 'o', 2, 3, "bd", true},
};

struct pipeline {
    uint64_t done[13], cycle, used, max;
};

static uint64_t cycles_of(const struct oracle *o, const struct cost *row, uint64_t at)
{
    if (row->cycles == MEM)
        return o->mem_cycles;
    if (row->cycles != BR)
        return row->cycles;
    int64_t target = oracle_decode(o, at).target;
    if (!oracle_marked(o, target))
        return 20;
    return o->code[target] == 0 || o->code[target] == 2 ? 1 : 20;
}

static void pipeline_slots(struct pipeline *p, uint64_t slots)
{
    if (p->used >= 4) {
        p->cycle++;
        p->used = 0;
    }
    p->used += slots;
}

static void pipeline_visit(const struct oracle *o, struct pipeline *p, uint64_t at)
{
    bool ok = oracle_ok(o, at);
    unsigned op = ok ? o->code[at] : 0;
    uint64_t low = ok ? oracle_byte(o, at + 1) % 16 : 0;
    uint64_t high = ok ? oracle_byte(o, at + 1) / 16 : 0;
    unsigned a = reg(low), b = reg(high), d = reg(oracle_byte(o, at + 2) % 16);
    if (op == 100) {
        pipeline_slots(p, 1);
        p->done[a] = p->done[b];
        return;
    }
    const struct cost *row = costs;
    while (!within(op, row->first, row->last))
        row++;
    bool among = false;
    uint64_t ready = 0;
    for (const char *s = row->src; *s; s++) {
        unsigned r = *s == 'a' ? a : *s == 'b' ? b : d;
        among = among || r == a;
        ready = p->done[r] > ready ? p->done[r] : ready;
    }
    bool first = (row->rule == 'o' && among) || (row->rule == 's' && low == high);
    pipeline_slots(p, first ? row->x : row->y);
    uint64_t end = (ready > p->cycle ? ready : p->cycle) + cycles_of(o, row, at);
    if (row->dst)
        p->done[a] = end;
    p->max = end > p->max ? end : p->max;
}

static bool stores(unsigned op)
{
    return within(op, 30, 33) || within(op, 59, 62) || within(op, 70, 73) ||
           within(op, 120, 123);
}

void oracle_price(const struct oracle *o, uint64_t at, uint64_t *ret_need,
                  uint64_t *ret_reserve)
{
    struct pipeline p = {0};
    uint64_t visits = 0, store_count = 0;
    for (;; at += 1 + oracle_skip(o, at)) {
        visits++;
        pipeline_visit(o, &p, at);
        if (!oracle_ok(o, at))
            break;
        store_count += stores(o->code[at]);
        if (oracle_terminates(o, o->code[at]))
            break;
    }
    *ret_need = !o->single_pass ? visits : p.max > 3 ? p.max - 3 : 1;
    *ret_reserve = o->page_gas ? 2 * 256 * store_count : 0;
}
