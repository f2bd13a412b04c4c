/* SPDX-License-Identifier: MIT
 *
 * Instructions that are emitted as one [10.9].
 *
 * A row matches two or three neighbours in a block whose intermediate result nobody can
 * see: it is overwritten by the last of them, or the host makes it as well.  What may
 * fault is the last one; the interpreter then executes all of them, so none of their
 * results may have been written before the access succeeds.
 */
#include "pvm/native.h"

#include "base/os_code.h"

/* ---- x << k, + y ---- */

/* t = x << k (1..3); t = y + t.  The sum replaces the shifted value. */
static bool is_scaled_add(const struct native_insn *i)
{
    if (i[0].op != PVM_OP_shlo_l_imm_64 || i[1].op != PVM_OP_add_64 || i[0].x < 1 ||
        i[0].x > 3)
        return false;
    unsigned t = i[0].a;
    return i[1].d == t && (i[1].a == t) != (i[1].b == t);
}

/* The other summand. */
static unsigned summand(const struct native_insn *add, unsigned t)
{
    return add->a == t ? add->b : add->a;
}

static void emit_scaled_add(struct native_compiler *c, const struct native_insn *i)
{
    x64_lea_index(&c->as, W64, i[0].a, summand(&i[1], i[0].a), i[0].b, (unsigned)i[0].x,
                  0);
}

/* ---- a load whose address is a sum, and replaces it ---- */

static bool is_load_ind(const struct native_insn *i)
{
    return i->op >= PVM_OP_load_ind_u8 && i->op <= PVM_OP_load_ind_u64;
}

static bool replaces(const struct native_insn *load, unsigned t)
{
    return is_load_ind(load) && load->b == t && load->a == t;
}

static bool is_add_load(const struct native_insn *i)
{
    return i[0].op == PVM_OP_add_64 && replaces(&i[1], i[0].d);
}

static bool is_scaled_load(const struct native_insn *i)
{
    return is_scaled_add(i) && replaces(&i[2], i[0].a);
}

/* ---- constants in two steps ---- */

/* a = x; a = a + x'. */
static bool is_constant(const struct native_insn *i)
{
    return i[0].op == PVM_OP_load_imm &&
           (i[1].op == PVM_OP_add_imm_64 || i[1].op == PVM_OP_add_imm_32) &&
           i[1].a == i[0].a && i[1].b == i[0].a;
}

static void emit_constant(struct native_compiler *c, const struct native_insn *i)
{
    uint64_t value = (uint64_t)i[0].x + (uint64_t)i[1].x;
    if (i[1].op == PVM_OP_add_imm_32)
        value = (uint64_t)(int64_t)(int32_t)value;
    x64_load_imm(&c->as, i[0].a, value);
}

/* ---- extension by two shifts ---- */

static bool is_extension(const struct native_insn *i)
{
    bool right = i[1].op == PVM_OP_shlo_r_imm_64 || i[1].op == PVM_OP_shar_r_imm_64;
    return i[0].op == PVM_OP_shlo_l_imm_64 && right && i[1].a == i[0].a &&
           i[1].b == i[0].a && i[0].x == i[1].x &&
           (i[0].x == 32 || i[0].x == 48 || i[0].x == 56);
}

static void emit_extension(struct native_compiler *c, const struct native_insn *i)
{
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

static bool is_product(const struct native_compiler *c, const struct native_insn *i)
{
    bool low_first = i[0].op == PVM_OP_mul_64 && i[1].op == PVM_OP_mul_upper_u_u;
    bool high_first = i[0].op == PVM_OP_mul_upper_u_u && i[1].op == PVM_OP_mul_64;
    bool same = (i[0].a == i[1].a && i[0].b == i[1].b) ||
                (i[0].a == i[1].b && i[0].b == i[1].a);
    return (c->features & OS_CPU_BMI2) && (low_first || high_first) && same &&
           i[0].d != i[1].d && i[0].d != i[0].a && i[0].d != i[0].b;
}

static void emit_product(struct native_compiler *c, const struct native_insn *i)
{
    bool low_first = i[0].op == PVM_OP_mul_64;
    x64_mov(&c->as, SCRATCH, i[0].a);
    x64_mulx(&c->as, low_first ? i[1].d : i[0].d, low_first ? i[0].d : i[1].d, i[0].b);
}

/* ---- a sum and its carry ---- */

/* d = a + b; e = d < a (or b, if that still is what it was). */
static bool is_carry(const struct native_insn *i)
{
    if (i[0].op != PVM_OP_add_64 || i[1].op != PVM_OP_set_lt_u || i[1].a != i[0].d ||
        i[1].d == i[0].d)
        return false;
    unsigned other = i[1].b;
    return other != i[0].d && (other == i[0].a || other == i[0].b);
}

static void emit_carry(struct native_compiler *c, const struct native_insn *i)
{
    struct x64 *as = &c->as;
    unsigned d = i[0].d, a = i[0].a, b = i[0].b;
    if (d == b) {
        x64_alu(as, W64, ALU_ADD, d, a);
    } else {
        if (d != a)
            x64_mov(as, d, a);
        x64_alu(as, W64, ALU_ADD, d, b);
    }
    x64_rex(as, W32, 0, 0, i[1].d); /* mov keeps the flags */
    x64_u8(as, 0xb8 | (i[1].d & 7));
    x64_u32(as, 0);
    x64_setcc(as, CC_B, i[1].d);
}

/* ---- choosing ---- */

static bool all_native(const struct native_compiler *c, const struct native_insn *i,
                       uint32_t count)
{
    for (uint32_t k = 0; k < count; k++) {
        if (!c->emitter[i[k].op])
            return false;
    }
    return true;
}

uint32_t pvm_native_fusable(const struct native_compiler *c,
                            const struct native_insn *i, uint32_t count)
{
    if (count >= 3 && is_scaled_load(i) && all_native(c, i, 3))
        return 3;
    bool two = count >= 2 && (is_add_load(i) || is_scaled_add(i) || is_constant(i) ||
                              is_extension(i) || is_product(c, i) || is_carry(i));
    return two && all_native(c, i, 2) ? 2 : 1;
}

void pvm_native_emit_fused(struct native_compiler *c, const struct native_insn *i,
                           uint32_t count)
{
    if (count == 3)
        pvm_native_load_indexed(c, i, &i[2], summand(&i[1], i[0].a), i[0].b,
                                (unsigned)i[0].x);
    else if (is_add_load(i))
        pvm_native_load_indexed(c, i, &i[1], i[0].a, i[0].b, 0);
    else if (is_scaled_add(i))
        emit_scaled_add(c, i);
    else if (is_constant(i))
        emit_constant(c, i);
    else if (is_extension(i))
        emit_extension(c, i);
    else if (is_carry(i))
        emit_carry(c, i);
    else
        emit_product(c, i);
}
