/* SPDX-License-Identifier: MIT
 *
 * Carries [10.9].  The guest has no flags and makes a carry by a comparison, e = a < b,
 * of a sum with a summand, and adds it, f = g + e.  The host has it in a flag, and may
 * keep it there across what does not change flags.
 */
#include "pvm/recomp_role.h"

/* d = a + b; e = d < a (or b, if that still is what it was). */
static bool is_sum(const struct native_insn *i)
{
    if (i[0].op != PVM_OP_add_64 || i[1].op != PVM_OP_set_lt_u || i[1].a != i[0].d ||
        i[1].d == i[0].d)
        return false;
    unsigned other = i[1].b;
    return MUTANT(fuse_carry_alias, true, other != i[0].d) &&
           (MUTANT(fuse_carry_any, true, other == i[0].a || other == i[0].b));
}

/* e = a < b; d = a - b. */
static bool is_borrow(const struct native_insn *i)
{
    return i[0].op == PVM_OP_set_lt_u && i[1].op == PVM_OP_sub_64 &&
           MUTANT(fuse_borrow_minuend, true, i[0].a == i[1].a) && i[0].b == i[1].b &&
           i[0].d != i[0].a && i[0].d != i[0].b &&
           MUTANT(fuse_borrow_alias, true, i[1].d != i[0].b) && i[1].d != i[0].d;
}

static bool is_comparison(const struct native_insn *i)
{
    return i->op == PVM_OP_set_lt_u || i->op == PVM_OP_set_lt_u_imm;
}

/* The register that takes the carry. */
static unsigned carry_of(const struct native_insn *i)
{
    return i->op == PVM_OP_set_lt_u ? i->d : i->a;
}

/* ---- what stands between a carry and its use ---- */

/* A load at i[at] may be done before all of the instructions in front of it. */
static bool can_go_first(const struct native_insn *i, uint32_t at)
{
    const struct native_insn *load = &i[at];
    if (load->a == load->b)
        return false;
    for (uint32_t k = 0; k < at; k++) {
        if (!native_names(&i[k], load->a) && !native_names(&i[k], load->b))
            continue;
        unsigned w = native_written(&i[k]);
        if (MUTANT(fuse_early_read, false, native_reads(&i[k], load->a)) ||
            w == load->a || MUTANT(fuse_early_address, false, w == load->b))
            return false;
    }
    return true;
}

/* Does i[at] leave the flags alone, or can go before what sets them?  e is the register
 * of the carry, which is not made. */
static bool can_stand_between(const struct native_insn *i, uint32_t at, unsigned e)
{
    const struct native_insn *m = &i[at];
    bool keeps_flags = m->op == PVM_OP_mul_upper_u_u || m->op == PVM_OP_move_reg;
    if (!keeps_flags && !native_is_load_ind(m))
        return false;
    if (native_names(m, e) && (MUTANT(fuse_between_reads, false, native_reads(m, e)) ||
                               native_written(m) == e))
        return false;
    return keeps_flags || can_go_first(i, at);
}

/* Is i[at] an addition of e (or, behind a bare comparison, a subtraction) to another
 * register? */
static bool is_use(const struct native_insn *i, unsigned e)
{
    if (i->op == PVM_OP_sub_64)
        return i->b == e && i->a != e;
    return i->op == PVM_OP_add_64 && (i->a == e) != (i->b == e);
}

/* Of t = p * q; d = t + u; e = d < u; m = p * q >> 64: can the host multiply but once,
 * which writes m before the sum is made? */
static bool is_one_product(const struct native_insn *i)
{
    const struct native_insn *mul = &i[0], *sum = &i[1], *high = &i[3];
    unsigned m = high->d, t = mul->d, e = i[2].d;
    bool same = (mul->a == high->a && mul->b == high->b) ||
                (mul->a == high->b && mul->b == high->a);
    if (high->op != PVM_OP_mul_upper_u_u || !same)
        return false;
    for (uint32_t k = 0; k < 3; k++) { /* operands stay */
        unsigned w = native_written(&i[k]);
        if (MUTANT(fuse_product_late, false, w == mul->a || w == mul->b))
            return false;
    }
    return MUTANT(fuse_product_early, true, m != sum->a && m != sum->b) &&
           m != sum->d && m != t && m != e;
}

/* The carry that is made at i[made] (and the instruction in front, if `sum`) and used.
 */
static uint32_t match_use(struct native_compiler *c, const struct native_insn *i,
                          uint32_t count)
{
    enum { BETWEEN_MAX = 2 };
    uint32_t made = c->carry.made;
    unsigned e = carry_of(&i[made]);
    uint32_t load = 0;
    for (uint32_t at = made + 1; at < count && at <= made + 1 + BETWEEN_MAX; at++) {
        if (native_names(&i[at], e) && is_use(&i[at], e)) {
            bool seen = i[at].d != e && !pvm_native_is_dead(c, e, i, at + 1, count);
            if (MUTANT(fuse_carry_seen, false, seen))
                return 0;
            c->carry.use = at;
            c->carry.load = load;
            return at + 1;
        }
        if (!can_stand_between(i, at, e) || (load && native_is_load_ind(&i[at])))
            return 0;
        if (native_is_load_ind(&i[at]))
            load = at;
    }
    return 0;
}

uint32_t pvm_native_match_carry(struct native_compiler *c, const struct native_insn *i,
                                uint32_t count)
{
    struct native_carry *carry = &c->carry;
    uint32_t used = 0;
    *carry = (struct native_carry){0};
    if (i->op == PVM_OP_mul_64) {
        carry->product = count >= 5 && is_sum(&i[1]) && is_one_product(i);
        carry->made = 2;
        used = carry->product ? match_use(c, i, count) : 0;
    } else if (is_borrow(i)) {
        used = 2;
    } else if (is_sum(i)) {
        carry->sum = true;
        carry->made = 1;
        used = match_use(c, i, count);
        used = used ? used : 2;
    } else if (is_comparison(i)) {
        used = match_use(c, i, count);
    }
    return used ? used : 1;
}

/* ---- emitting ---- */

/* d = a + b, with the carry in the flags. */
static void add_with_flags(struct x64 *as, const struct native_insn *i)
{
    if (i->d == i->b) {
        x64_alu(as, W64, ALU_ADD, i->d, i->a);
        return;
    }
    if (i->d != i->a)
        x64_mov(as, i->d, i->a);
    x64_alu(as, W64, ALU_ADD, i->d, i->b);
}

/* d = the carry flag. */
static void set_carry(struct x64 *as, unsigned d)
{
    x64_mov_imm32(as, d, 0);
    x64_setcc(as, CC_B, d);
}

/* f = g + the carry flag, or less it.  A carry of the sum is in the flags, then. */
static void use_carry(struct native_compiler *c, const struct native_insn *i,
                      unsigned e)
{
    enum { DIGIT_ADC = 2, DIGIT_SBB = 3 };
    bool adds = MUTANT(fuse_compare_adds, true, i->op == PVM_OP_add_64);
    unsigned g = i->a == e ? i->b : i->a;
    if (i->d != g)
        x64_mov(&c->as, i->d, g);
    x64_rr(&c->as, W64, 0x83, adds ? DIGIT_ADC : DIGIT_SBB, i->d);
    x64_u8(&c->as, 0);
    if (adds && i->d != g) {
        c->flags_at = c->as.at;
        c->flags_sum = i->d;
        c->flags_summand = g;
    }
}

static void compare(struct native_compiler *c, const struct native_insn *i)
{
    bool known =
        MUTANT(fuse_flags_stale, c->flags_at != NULL, c->flags_at == c->as.at) &&
        i->op == PVM_OP_set_lt_u && i->a == c->flags_sum && i->b == c->flags_summand;
    if (known)
        return;
    if (i->op == PVM_OP_set_lt_u)
        x64_alu(&c->as, W64, ALU_CMP, i->a, i->b);
    else
        x64_alu_imm(&c->as, W64, ALU_CMP, i->b, (int32_t)i->x);
}

static void emit_borrow(struct native_compiler *c, const struct native_insn *i)
{
    if (i[1].d != i[1].a)
        x64_mov(&c->as, i[1].d, i[1].a);
    x64_alu(&c->as, W64, ALU_SUB, i[1].d, i[1].b);
    set_carry(&c->as, i[0].d);
}

void pvm_native_emit_carry(struct native_compiler *c, const struct native_insn *i,
                           uint32_t count)
{
    (void)count;
    const struct native_carry *carry = &c->carry;
    if (!carry->use && !carry->sum) {
        emit_borrow(c, i);
        return;
    }
    if (carry->load)
        pvm_native_load(c, i, &i[carry->load]);
    if (carry->product) {
        x64_mov(&c->as, SCRATCH, i->a);
        x64_mulx(&c->as, i[3].d, i->d, i->b);
    }
    if (carry->product || carry->sum)
        add_with_flags(&c->as, &i[carry->made - 1]);
    else
        compare(c, i);
    if (!carry->use) {
        set_carry(&c->as, i[1].d);
        return;
    }
    for (uint32_t k = carry->made + 1 + carry->product; k < carry->use; k++) {
        if (k != carry->load)
            c->emitter[i[k].op](c, &i[k]);
    }
    use_carry(c, &i[carry->use], carry_of(&i[carry->made]));
}
