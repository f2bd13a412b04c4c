/* SPDX-License-Identifier: MIT
 *
 * The oracle's execution: one instruction at a time, by the words of [1.3, 3, 4.2, 5].
 */
#include "tests/diff/oracle.h"

#include <string.h>

static uint64_t sx(uint64_t value)
{
    value &= 0xffffffff;
    return value & 0x80000000 ? value | 0xffffffff00000000 : value;
}

/* The same bits as a signed number, in more bits than any operation needs. */
static oracle_wide signed_of(uint64_t value)
{
    return value >> 63 ? (oracle_wide)value - ((oracle_wide)1 << 64)
                       : (oracle_wide)value;
}

static oracle_wide floor_half(oracle_wide value)
{
    return value < 0 ? (value - (value & 1)) / 2 : value / 2;
}

static uint64_t shift_right_signed(uint64_t value, unsigned amount)
{
    oracle_wide v = signed_of(value);
    while (amount--)
        v = floor_half(v);
    return (uint64_t)v;
}

static uint64_t rotate_right(uint64_t value, unsigned width, unsigned amount)
{
    while (amount--)
        value = value >> 1 | (value & 1) << (width - 1);
    return value;
}

/* Division of numbers that fit into 64 bits either way; quotient or remainder. */
static uint64_t divide(oracle_wide p, oracle_wide q, bool remainder)
{
    if (q == 0)
        return remainder ? (uint64_t)p : UINT64_MAX;
    return (uint64_t)(remainder ? p % q : p / q);
}

static uint64_t compute_32(unsigned op, uint64_t p, uint64_t q)
{
    uint64_t lp = p & 0xffffffff, lq = q & 0xffffffff;
    unsigned amount = (unsigned)(q % 32);
    switch (op) {
    case 190:
        return sx(p + q);
    case 191:
        return sx(p - q);
    case 192:
        return sx(p * q);
    case 193:
    case 195:
        return sx(divide((oracle_wide)lp, (oracle_wide)lq, op == 195));
    case 194:
    case 196:
        return sx(divide(signed_of(sx(p)), signed_of(sx(q)), op == 196));
    case 197:
        return sx(lp << amount);
    case 198:
        return sx(lp >> amount);
    case 199:
        return shift_right_signed(sx(p), amount);
    case 221:
        return sx(rotate_right(lp, 32, (32 - amount) % 32));
    default: /* 223 */
        return sx(rotate_right(lp, 32, amount));
    }
}

static uint64_t compute_64(unsigned op, uint64_t p, uint64_t q)
{
    unsigned amount = (unsigned)(q % 64);
    switch (op) {
    case 200:
        return p + q;
    case 201:
        return p - q;
    case 202:
        return p * q;
    case 203:
    case 205:
        return divide((oracle_wide)p, (oracle_wide)q, op == 205);
    case 204:
    case 206:
        return divide(signed_of(p), signed_of(q), op == 206);
    case 207:
        return p << amount;
    case 208:
        return p >> amount;
    case 209:
        return shift_right_signed(p, amount);
    case 220:
        return rotate_right(p, 64, (64 - amount) % 64);
    default: /* 222 */
        return rotate_right(p, 64, amount);
    }
}

static uint64_t compute_logic(unsigned op, uint64_t p, uint64_t q)
{
    bool less_s = signed_of(p) < signed_of(q);
    switch (op) {
    case 210:
        return p & q;
    case 211:
        return p ^ q;
    case 212:
        return p | q;
    case 213:
        return (uint64_t)((signed_of(p) * signed_of(q)) >> 64);
    case 214:
        return (uint64_t)(((oracle_wide_u)p * q) >> 64);
    case 215: /* a negative p counts 2^64 less */
        return (uint64_t)(((oracle_wide_u)p * q) >> 64) - (p >> 63 ? q : 0);
    case 216:
        return p < q;
    case 217:
        return less_s;
    case 224:
        return p & ~q;
    case 225:
        return p | ~q;
    case 226:
        return ~(p ^ q);
    case 227:
        return less_s ? q : p;
    case 228:
        return p < q ? q : p;
    case 229:
        return less_s ? p : q;
    default: /* 230 */
        return p < q ? p : q;
    }
}

uint64_t oracle_compute(unsigned op, uint64_t p, uint64_t q)
{
    if (op <= 199 || op == 221 || op == 223)
        return compute_32(op, p, q);
    if (op <= 209 || op == 220 || op == 222)
        return compute_64(op, p, q);
    return compute_logic(op, p, q);
}

/* TwoReg, without sbrk. */
static uint64_t compute_one(unsigned op, uint64_t v)
{
    bool narrow = op == 103 || op == 105 || op == 107;
    unsigned width = narrow ? 32 : 64, count = 0;
    uint64_t swapped = 0;
    switch (op) {
    case 100:
        return v;
    case 102:
    case 103:
        for (unsigned i = 0; i < width; i++)
            count += v >> i & 1;
        return count;
    case 104:
    case 105:
        while (count < width && !(v >> (width - 1 - count) & 1))
            count++;
        return count;
    case 106:
    case 107:
        while (count < width && !(v >> count & 1))
            count++;
        return count;
    case 108:
        return (v & 0xff) - (v & 0x80 ? 0x100 : 0);
    case 109:
        return (v & 0xffff) - (v & 0x8000 ? 0x10000 : 0);
    case 110:
        return v & 0xffff;
    default: /* 111 */
        for (unsigned i = 0; i < 8; i++)
            swapped = swapped << 8 | (v >> (8 * i) & 0xff);
        return swapped;
    }
}

/* TwoRegImm 131..161 by the ThreeReg operation: `swap` puts X first. */
struct imm_form {
    unsigned op;
    bool swap;
};
static const struct imm_form imm_forms[] = {
    {190, false}, {210, false}, {211, false}, {212, false}, {192, false}, {216, false},
    {217, false}, {197, false}, {198, false}, {199, false}, {191, true},  {216, true},
    {217, true},  {197, true},  {198, true},  {199, true},  {0, false},   {0, false},
    {200, false}, {202, false}, {207, false}, {208, false}, {209, false}, {201, true},
    {207, true},  {208, true},  {209, true},  {222, false}, {222, true},  {223, false},
    {223, true},
};

/* ---- memory ---- */

struct oracle_page *oracle_page_find(struct oracle *o, uint32_t number)
{
    for (unsigned i = 0; i < o->page_count; i++)
        if (o->page[i].number == number)
            return &o->page[i];
    return NULL;
}

static void end(struct oracle *o, enum oracle_exit exit, uint64_t arg)
{
    o->exit = exit;
    o->arg = arg;
}

/* Test every byte of the access in its order; false: the run has ended. */
static bool access_test(struct oracle *o, uint64_t address, unsigned size, bool store)
{
    for (unsigned t = 0; t < size; t++) {
        uint32_t at = (uint32_t)(address + t);
        struct oracle_page *page = oracle_page_find(o, at / 4096);
        if (page && (page->writable || !store))
            continue;
        if (page && !o->javm)
            end(o, ORACLE_PANIC, 0);
        else
            end(o, ORACLE_PAGE_FAULT, at / 4096 * 4096);
        return false;
    }
    return true;
}

static bool load(struct oracle *o, uint64_t address, unsigned size, bool sign,
                 uint64_t *ret_value)
{
    if (!access_test(o, address, size, false))
        return false;
    uint64_t value = 0;
    for (unsigned t = size; t-- > 0;) {
        uint32_t at = (uint32_t)(address + t);
        value = value << 8 | oracle_page_find(o, at / 4096)->byte[at % 4096];
    }
    if (sign && size < 8 && value >> (8 * size - 1))
        value -= (uint64_t)1 << (8 * size);
    *ret_value = value;
    return true;
}

static void store(struct oracle *o, uint64_t address, unsigned size, uint64_t value)
{
    if (!access_test(o, address, size, true))
        return;
    for (unsigned t = 0; t < size; t++) {
        uint32_t at = (uint32_t)(address + t);
        struct oracle_page *page = oracle_page_find(o, at / 4096);
        if (!page->written && o->page_gas) {
            o->gas -= 256;
            if (o->charge)
                o->charge(o->self, 2, page->number, 256);
        }
        page->written = true;
        page->byte[at % 4096] = (uint8_t)(value >> (8 * t));
    }
}

/* ---- instructions ---- */

static void branch(struct oracle *o, bool taken, int64_t target, uint64_t *next)
{
    if (!taken)
        return;
    if (target < 0 || !oracle_start(o, (uint64_t)target))
        end(o, ORACLE_PANIC, 0);
    else
        *next = (uint64_t)target;
}

static void jump_dynamic(struct oracle *o, uint64_t address, uint64_t *next)
{
    uint64_t a = address & 0xffffffff;
    if (!o->javm && a == 0xffff0000) {
        end(o, ORACLE_HALT, 0);
        return;
    }
    if (a == 0 || a % 2 == 1 || a > 2 * o->jump_count) {
        end(o, ORACLE_PANIC, 0);
        return;
    }
    uint64_t entry = 0;
    for (unsigned i = o->jump_width; i-- > 0;)
        entry = entry << 8 | o->jump[(a / 2 - 1) * o->jump_width + i];
    if (!oracle_start(o, entry))
        end(o, ORACLE_PANIC, 0);
    else
        *next = entry;
}

static bool condition_imm(unsigned op, uint64_t p, uint64_t q)
{
    oracle_wide s = signed_of(p), t = signed_of(q);
    const bool holds[] = {p == q, p != q, p<q, p <= q, p >= q, p> q,
                          s<t, s <= t, s >= t, s> t};
    return holds[op - 81];
}

static bool condition_reg(unsigned op, uint64_t p, uint64_t q)
{
    oracle_wide s = signed_of(p), t = signed_of(q);
    const bool holds[] = {p == q, p != q, p < q, s < t, p >= q, s >= t};
    return holds[op - 170];
}

/* Load forms 52..58 and 124..130 by their distance from the first. */
static void load_form(struct oracle *o, unsigned form, unsigned a, uint64_t address)
{
    static const unsigned sizes[] = {1, 1, 2, 2, 4, 4, 8};
    uint64_t value;
    if (load(o, address, sizes[form], form % 2 == 1, &value))
        o->reg[a] = value;
}

static void execute_imm(struct oracle *o, const struct oracle_insn *i)
{
    const struct imm_form *form = &imm_forms[i->op - 131];
    uint64_t b = o->reg[i->b];
    if (i->op == 147 || i->op == 148)
        o->reg[i->a] = (b == 0) == (i->op == 147) ? i->x : o->reg[i->a];
    else
        o->reg[i->a] = form->swap ? oracle_compute(form->op, i->x, b)
                                  : oracle_compute(form->op, b, i->x);
}

/* Control flow and calls; false: another kind of instruction. */
static bool execute_control(struct oracle *o, const struct oracle_insn *i,
                            uint64_t *next)
{
    uint64_t a = o->reg[i->a], b = o->reg[i->b];
    if (i->op == 0)
        end(o, ORACLE_TRAP, 0);
    else if (i->op == 3)
        end(o, ORACLE_ECALL, o->reg[11] & 0xffffffff);
    else if (i->op == 10)
        end(o, ORACLE_HOST_CALL, i->x);
    else if (i->op == 40)
        branch(o, true, i->target, next);
    else if (i->op == 50)
        jump_dynamic(o, a + i->x, next);
    else if (i->op == 80) {
        o->reg[i->a] = i->x;
        branch(o, true, i->target, next);
    } else if (i->op >= 81 && i->op <= 90)
        branch(o, condition_imm(i->op, a, i->x), i->target, next);
    else if (i->op == 101)
        end(o, ORACLE_PANIC, 0);
    else if (i->op >= 170 && i->op <= 175)
        branch(o, condition_reg(i->op, a, b), i->target, next);
    else if (i->op == 180) {
        o->reg[i->a] = i->x;
        jump_dynamic(o, b + i->y, next);
    } else
        return i->op == 1 || i->op == 2;
    return true;
}

static void execute(struct oracle *o, const struct oracle_insn *i)
{
    unsigned op = i->op;
    uint64_t a = o->reg[i->a], b = o->reg[i->b];
    if (op == 20 || op == 51)
        o->reg[i->a] = i->x;
    else if (op <= 33)
        store(o, i->x, 1u << (op - 30), i->y);
    else if (op <= 58)
        load_form(o, op - 52, i->a, i->x);
    else if (op <= 62)
        store(o, i->x, 1u << (op - 59), a);
    else if (op <= 73)
        store(o, a + i->x, 1u << (op - 70), i->y);
    else if (op <= 111) /* D is the low nibble here */
        o->reg[i->a] = compute_one(op, b);
    else if (op <= 123)
        store(o, b + i->x, 1u << (op - 120), a);
    else if (op <= 130)
        load_form(o, op - 124, i->a, b + i->x);
    else if (op <= 161)
        execute_imm(o, i);
    else if (op == 218 || op == 219)
        o->reg[i->d] = (b == 0) == (op == 218) ? a : o->reg[i->d];
    else
        o->reg[i->d] = oracle_compute(op, a, b);
}

static bool enter_block(struct oracle *o)
{
    uint64_t block = oracle_block_of(o, o->pc), need, reserve;
    oracle_price(o, block, &need, &reserve);
    if (o->gas < need + reserve) {
        end(o, ORACLE_OUT_OF_GAS, 0);
        return false;
    }
    o->gas -= need;
    o->charged = true;
    if (o->charge)
        o->charge(o->self, 0, block, need);
    return true;
}

void oracle_run(struct oracle *o)
{
    o->exit = ORACLE_RUNS;
    o->arg = 0;
    while (o->exit == ORACLE_RUNS) {
        if (!o->charged && !enter_block(o))
            return;
        if (!oracle_ok(o, o->pc)) {
            end(o, ORACLE_TRAP, 0);
            return;
        }
        struct oracle_insn i = oracle_decode(o, o->pc);
        uint64_t next = o->pc + 1 + i.skip;
        if (!execute_control(o, &i, &next))
            execute(o, &i);
        bool call = o->exit == ORACLE_HOST_CALL || o->exit == ORACLE_ECALL;
        bool halt = o->exit == ORACLE_HALT;
        if (o->exit != ORACLE_RUNS && !call && !halt)
            return;
        o->icount++;
        if (halt) /* retires, but pc and the block stay [1.3] */
            return;
        o->pc = next;
        if (oracle_terminates(o, i.op))
            o->charged = false;
    }
}
