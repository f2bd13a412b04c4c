/* SPDX-License-Identifier: MIT
 *
 * Instructions that are emitted as one [10.9]; those with carries are in
 * recomp_carry.c.
 *
 * A row matches two or three neighbours in a block whose intermediate result nobody can
 * see: it is overwritten by the last of them, or the host makes it as well.  What may
 * fault is the last one; the interpreter then executes all of them, so none of their
 * results may have been written before the access succeeds.
 */
#include "pvm/recomp_role.h"

#include "base/os_code.h"

/* ---- x << k, + y ---- */

/* t = x << k (1..3); t = y + t.  The sum replaces the shifted value. */
static bool is_scaled_add(const struct native_insn *i)
{
    unsigned t = i[0].a;
    return i[0].x >= 1 && i[0].x <= 3 && i[1].d == t &&
           MUTANT(fuse_scaled_twice, i[1].a == t || i[1].b == t,
                  (i[1].a == t) != (i[1].b == t));
}

/* The other summand. */
static unsigned summand(const struct native_insn *add, unsigned t)
{
    return add->a == t ? add->b : add->a;
}

static void emit_scaled_add(struct native_compiler *c, const struct native_insn *i,
                            uint32_t count)
{
    (void)count;
    x64_lea_index(&c->as, W64, i[0].a, summand(&i[1], i[0].a), i[0].b, (unsigned)i[0].x,
                  0);
}

/* ---- a load whose address is a sum that nobody else sees ---- */

/* Is i[at] a load by t, the last to see it? */
static bool is_last_use(struct native_compiler *c, unsigned t,
                        const struct native_insn *i, uint32_t at, uint32_t count)
{
    return native_is_load_ind(&i[at]) && i[at].b == t &&
           (MUTANT(fuse_load_any, true, i[at].a == t) ||
            pvm_native_is_dead(c, t, i, at + 1, count));
}

/* Behind a scaled addition. */
static bool is_scaled_load(struct native_compiler *c, const struct native_insn *i,
                           uint32_t count)
{
    return count >= 3 && is_last_use(c, i[0].a, i, 2, count);
}

static void emit_add_load(struct native_compiler *c, const struct native_insn *i,
                          uint32_t count)
{
    (void)count;
    pvm_native_load_indexed(c, i, &i[1], i[0].a, i[0].b, 0);
}

static void emit_scaled_load(struct native_compiler *c, const struct native_insn *i,
                             uint32_t count)
{
    (void)count;
    pvm_native_load_indexed(c, i, &i[2], summand(&i[1], i[0].a), i[0].b,
                            (unsigned)i[0].x);
}

/* ---- constants in two steps ---- */

/* a = x; a = a + x'. */
static bool is_constant(const struct native_insn *i)
{
    return i[1].a == i[0].a && i[1].b == i[0].a;
}

static void emit_constant(struct native_compiler *c, const struct native_insn *i,
                          uint32_t count)
{
    (void)count;
    uint64_t value = (uint64_t)i[0].x + (uint64_t)i[1].x;
    if (MUTANT(fuse_constant_wide, false, i[1].op == PVM_OP_add_imm_32))
        value = (uint64_t)(int64_t)(int32_t)value;
    x64_load_imm(&c->as, i[0].a, value);
}

/* ---- extension by two shifts ---- */

static bool is_extension(const struct native_insn *i)
{
    return i[1].a == i[0].a && i[1].b == i[0].a &&
           MUTANT(fuse_extension_any, true, i[0].x == i[1].x) &&
           (i[0].x == 32 || i[0].x == 48 || i[0].x == 56);
}

static void emit_extension(struct native_compiler *c, const struct native_insn *i,
                           uint32_t count)
{
    (void)count;
    struct x64 *as = &c->as;
    bool is_signed = i[1].op == PVM_OP_shar_r_imm_64;
    if (i[0].x == 32 && is_signed)
        x64_movsxd(as, i[0].a, i[0].b);
    else if (i[0].x == 32)
        x64_mov32(as, i[0].a, i[0].b);
    else if (is_signed)
        x64_0f_rr(as, W64, i[0].x == 48 ? 0xbf : 0xbe, i[0].a, i[0].b);
    else if (i[0].x == 48)
        x64_0f_rr(as, W32, 0xb7, i[0].a, i[0].b);
    else
        x64_movzx8(as, i[0].a, i[0].b);
}

/* ---- both halves of a product ---- */

static bool is_product(struct native_compiler *c, const struct native_insn *i)
{
    bool same = (i[0].a == i[1].a && i[0].b == i[1].b) ||
                (i[0].a == i[1].b && i[0].b == i[1].a);
    return same && (c->features & OS_CPU_BMI2) &&
           MUTANT(fuse_product_same, true, i[0].d != i[1].d) &&
           MUTANT(fuse_product_alias, true, i[0].d != i[0].a && i[0].d != i[0].b);
}

static void emit_product(struct native_compiler *c, const struct native_insn *i,
                         uint32_t count)
{
    (void)count;
    bool low_first = i[0].op == PVM_OP_mul_64;
    x64_mov(&c->as, SCRATCH, i[0].a);
    x64_mulx(&c->as, low_first ? i[1].d : i[0].d, low_first ? i[0].d : i[1].d, i[0].b);
}

/* ---- a shift of two words ---- */

/* t = x << k; u = y >> 64 - k (or the other way round); d = t | u; t and u are not
 * seen, but for d. */
static bool may_shift_twice(const struct native_insn *i, uint32_t count)
{
    return count >= 3 && i[1].op != PVM_OP_shar_r_imm_64 && i[2].op == PVM_OP_or;
}

static bool is_double_shift(struct native_compiler *c, const struct native_insn *i,
                            uint32_t count)
{
    unsigned t = i[0].a, u = i[1].a;
    if (t == u || MUTANT(fuse_shift_alias, false, i[1].b == t))
        return false;
    bool both = (i[2].a == t && i[2].b == u) || (i[2].a == u && i[2].b == t);
    bool whole = MUTANT(fuse_shift_any, true,
                        (i[0].x & 63) && (i[0].x & 63) + (i[1].x & 63) == 64);
    return both && whole && (i[2].d == t || pvm_native_is_dead(c, t, i, 3, count)) &&
           (i[2].d == u || pvm_native_is_dead(c, u, i, 3, count));
}

static void emit_double_shift(struct native_compiler *c, const struct native_insn *i,
                              uint32_t count)
{
    (void)count;
    struct x64 *as = &c->as;
    const struct native_insn *high = i[0].op == PVM_OP_shlo_l_imm_64 ? &i[0] : &i[1];
    const struct native_insn *low = high == &i[0] ? &i[1] : &i[0];
    unsigned d = i[2].d;
    bool shrd = d == low->b;
    if (!shrd && d != high->b)
        x64_mov(as, d, high->b);
    x64_0f_rr(as, W64, shrd ? 0xac : 0xa4, shrd ? high->b : low->b, d);
    x64_u8(as, (unsigned)(shrd ? low : high)->x & 63);
}

/* ---- a load that is an operand and nothing else ---- */

/* The opcode of op r64, m64, for a PAIR_LOAD_COMPUTE. */
static unsigned memory_opcode(uint8_t op)
{
    switch (op) {
    case PVM_OP_add_64:
        return 0x03;
    case PVM_OP_sub_64:
        return 0x2b;
    case PVM_OP_and:
        return 0x23;
    case PVM_OP_or:
        return 0x0b;
    case PVM_OP_xor:
        return 0x33;
    default:
        return 0;
    }
}

/* t = u64[...]; d = d op t, and t is not seen again. */
static bool may_load_op(const struct native_insn *i)
{
    unsigned t = i[0].a, d = i[1].d;
    bool joins = i[1].a == d && i[1].b == t;
    bool turned = i[1].op != PVM_OP_sub_64 && i[1].a == t && i[1].b == d;
    return d != t &&
           (joins || MUTANT(fuse_load_minuend, i[1].a == t && i[1].b == d, turned));
}

static bool is_load_op(struct native_compiler *c, const struct native_insn *i,
                       uint32_t count)
{
    return MUTANT(fuse_operand_seen, true, pvm_native_is_dead(c, i[0].a, i, 2, count));
}

static void emit_load_op(struct native_compiler *c, const struct native_insn *i,
                         uint32_t count)
{
    (void)count;
    pvm_native_combine(c, i, memory_opcode(i[1].op), i[1].d);
}

/* ---- rotations of 32 bits that are xored ---- */

static bool wrote(const struct native_insn *i, uint32_t count, unsigned r)
{
    for (uint32_t k = 0; k < count; k++) {
        if (native_written(&i[k]) == r)
            return true;
    }
    return false;
}

/* Rotations, and xors of their results with each other: all of these are sign-extended,
 * and nothing of them looks at an upper half, so that it suffices to extend in the end.
 * Answers how many; 1: not worth it. */
static uint32_t turns(const struct native_insn *i, uint32_t count)
{
    uint32_t k = 1, xors = 0;
    for (; k < count && k < NATIVE_FUSED_MAX; k++) {
        bool inner = wrote(i, k, i[k].a) && wrote(i, k, i[k].b);
        if (i[k].op == PVM_OP_xor && MUTANT(fuse_turns_any, true, inner))
            xors++;
        else if (i[k].op != PVM_OP_rot_r_32_imm)
            break;
    }
    return xors ? k : 1;
}

static void emit_turns(struct native_compiler *c, const struct native_insn *i,
                       uint32_t count)
{
    struct x64 *as = &c->as;
    for (uint32_t k = 0; k < count; k++) {
        if (i[k].op == PVM_OP_xor) {
            unsigned other = i[k].d == i[k].b ? i[k].a : i[k].b;
            if (i[k].d != i[k].a && i[k].d != i[k].b)
                x64_mov(as, i[k].d, i[k].a);
            x64_alu(as, W64, ALU_XOR, i[k].d, other);
        } else {
            x64_rotate_imm(as, c->features & OS_CPU_BMI2, W32, i[k].a, i[k].b,
                           (unsigned)i[k].x & 31);
        }
    }
    for (uint32_t k = 0; k < count; k++) {
        unsigned r = native_written(&i[k]);
        if (!wrote(i, k, r) && !(c->dead >> r & 1))
            x64_movsxd(as, r, r);
    }
}

/* Which of the results nobody sees. */
static unsigned dead_of(struct native_compiler *c, const struct native_insn *i,
                        uint32_t fused, uint32_t count)
{
    unsigned dead = 0;
    for (uint32_t k = 0; k < fused; k++) {
        unsigned r = native_written(&i[k]);
        if (MUTANT(fuse_turns_dead, true, pvm_native_is_dead(c, r, i, fused, count)))
            dead |= 1u << r;
    }
    return dead;
}

/* ---- choosing ---- */

typedef void fuse_fn(struct native_compiler *c, const struct native_insn *i,
                     uint32_t count);

/* Emit what has been matched, unless a hole is among it. */
static uint32_t fuse(struct native_compiler *c, const struct native_insn *i,
                     uint32_t count, fuse_fn *emit)
{
    struct native_site *site = c->site;
    for (uint32_t k = 0; k < count; k++) {
        if (native_is_hole(c, i[k].op))
            return 1;
    }
    emit(c, i, count);
    native_sites_end(c, site);
    for (; site < c->site; site++)
        site->count = count & 127;
    return count;
}

/* What follows is not inlined, so that most pairs, which no row matches, are found out
 * without a stack frame. */

static NATIVE_NOINLINE uint32_t fuse_scaled_add(struct native_compiler *c,
                                                const struct native_insn *i,
                                                uint32_t count)
{
    if (is_scaled_load(c, i, count))
        return fuse(c, i, 3, emit_scaled_load);
    return fuse(c, i, 2, emit_scaled_add);
}

static NATIVE_NOINLINE uint32_t fuse_double_shift(struct native_compiler *c,
                                                  const struct native_insn *i,
                                                  uint32_t count)
{
    return is_double_shift(c, i, count) ? fuse(c, i, 3, emit_double_shift) : 1;
}

static NATIVE_NOINLINE uint32_t fuse_add_load(struct native_compiler *c,
                                              const struct native_insn *i,
                                              uint32_t count)
{
    return is_last_use(c, i[0].d, i, 1, count) ? fuse(c, i, 2, emit_add_load) : 1;
}

static NATIVE_NOINLINE uint32_t fuse_load_op(struct native_compiler *c,
                                             const struct native_insn *i,
                                             uint32_t count)
{
    return is_load_op(c, i, count) ? fuse(c, i, 2, emit_load_op) : 1;
}

static NATIVE_NOINLINE uint32_t fuse_carry(struct native_compiler *c,
                                           const struct native_insn *i, uint32_t count)
{
    uint32_t fused = pvm_native_match_carry(c, i, count);
    return fused > 1 ? fuse(c, i, fused, pvm_native_emit_carry) : 1;
}

static NATIVE_NOINLINE uint32_t fuse_turns(struct native_compiler *c,
                                           const struct native_insn *i, uint32_t count)
{
    uint32_t fused = turns(i, count);
    if (fused > 1)
        c->dead = dead_of(c, i, fused, count);
    return fused > 1 ? fuse(c, i, fused, emit_turns) : 1;
}

uint32_t pvm_native_fuse(struct native_compiler *c, const struct native_insn *i,
                         uint32_t count)
{
    switch (i[0].op) {
    case PVM_OP_shlo_l_imm_64:
        if (i[1].op == PVM_OP_add_64)
            return is_scaled_add(i) ? fuse_scaled_add(c, i, count) : 1;
        if (is_extension(i))
            return fuse(c, i, 2, emit_extension);
        return may_shift_twice(i, count) ? fuse_double_shift(c, i, count) : 1;
    case PVM_OP_shlo_r_imm_64:
        return may_shift_twice(i, count) ? fuse_double_shift(c, i, count) : 1;
    case PVM_OP_add_64:
        if (i[1].op != PVM_OP_set_lt_u)
            return i[1].b == i[0].d ? fuse_add_load(c, i, count) : 1;
        return i[1].a == i[0].d ? fuse_carry(c, i, count) : 1;
    case PVM_OP_load_imm:
        return is_constant(i) ? fuse(c, i, 2, emit_constant) : 1;
    case PVM_OP_mul_64:
        if (i[1].op == PVM_OP_mul_upper_u_u)
            return is_product(c, i) ? fuse(c, i, 2, emit_product) : 1;
        return count >= 4 && i[2].op == PVM_OP_set_lt_u ? fuse_carry(c, i, count) : 1;
    case PVM_OP_mul_upper_u_u:
        return is_product(c, i) ? fuse(c, i, 2, emit_product) : 1;
    case PVM_OP_set_lt_u:
    case PVM_OP_set_lt_u_imm:
        return fuse_carry(c, i, count);
    case PVM_OP_rot_r_32_imm:
        return fuse_turns(c, i, count);
    case PVM_OP_load_ind_u64:
        return may_load_op(i) ? fuse_load_op(c, i, count) : 1;
    default:
        return 1;
    }
}
