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

/* ---- what others see of a register ---- */

/* Can nothing leave the code at `i`, and is it emitted? */
static bool only_computes(const struct native_compiler *c, const struct native_insn *i)
{
    unsigned flags = pvm_op_info[i->op].flags;
    unsigned leaves = PVM_OP_T | PVM_OP_TJ | PVM_OP_LOAD | PVM_OP_STORE | PVM_OP_CALL;
    return !(flags & MUTANT(fuse_dead_leaves, PVM_OP_T, leaves)) && c->emitter[i->op];
}

static bool is_cmov(uint8_t op)
{
    return op == PVM_OP_cmov_iz || op == PVM_OP_cmov_nz || op == PVM_OP_cmov_iz_imm ||
           op == PVM_OP_cmov_nz_imm;
}

/* Of an instruction that only computes: the register it writes, and does it read r? */
static unsigned written(const struct native_insn *i)
{
    uint8_t format = pvm_op_info[i->op].format;
    return format == PVM_FORMAT_D_A || format == PVM_FORMAT_D_A_B ? i->d : i->a;
}

static bool reads(const struct native_insn *i, unsigned r)
{
    if (MUTANT(fuse_cmov_reads, false, is_cmov(i->op)) && written(i) == r)
        return true;
    switch (pvm_op_info[i->op].format) {
    case PVM_FORMAT_D_A:
        return i->a == r;
    case PVM_FORMAT_A_B_X:
        return i->b == r;
    case PVM_FORMAT_D_A_B:
        return i->a == r || i->b == r;
    default:
        return false;
    }
}

/* Is r overwritten before anybody can see it?  False where the window ends. */
static bool is_dead(const struct native_compiler *c, unsigned r,
                    const struct native_insn *i, uint32_t count)
{
    for (uint32_t k = 0; k < count && only_computes(c, &i[k]); k++) {
        if (reads(&i[k], r))
            return false;
        if (written(&i[k]) == r)
            return true;
    }
    return MUTANT(fuse_dead_at_end, true, false);
}

/* ---- x << k, + y ---- */

/* t = x << k (1..3); t = y + t.  The sum replaces the shifted value. */
static bool is_scaled_add(const struct native_insn *i)
{
    if (i[0].op != PVM_OP_shlo_l_imm_64 || i[1].op != PVM_OP_add_64 || i[0].x < 1 ||
        i[0].x > 3)
        return false;
    unsigned t = i[0].a;
    return i[1].d == t && MUTANT(fuse_scaled_twice, i[1].a == t || i[1].b == t,
                                 (i[1].a == t) != (i[1].b == t));
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
    return is_load_ind(load) && load->b == t &&
           MUTANT(fuse_load_any, true, load->a == t);
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
    if (MUTANT(fuse_constant_wide, false, i[1].op == PVM_OP_add_imm_32))
        value = (uint64_t)(int64_t)(int32_t)value;
    x64_load_imm(&c->as, i[0].a, value);
}

/* ---- extension by two shifts ---- */

static bool is_extension(const struct native_insn *i)
{
    bool right = i[1].op == PVM_OP_shlo_r_imm_64 || i[1].op == PVM_OP_shar_r_imm_64;
    return i[0].op == PVM_OP_shlo_l_imm_64 && right && i[1].a == i[0].a &&
           i[1].b == i[0].a && MUTANT(fuse_extension_any, true, i[0].x == i[1].x) &&
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
           MUTANT(fuse_product_same, true, i[0].d != i[1].d) &&
           MUTANT(fuse_product_alias, true, i[0].d != i[0].a && i[0].d != i[0].b);
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
    return MUTANT(fuse_carry_alias, true, other != i[0].d) &&
           (MUTANT(fuse_carry_any, true, other == i[0].a || other == i[0].b));
}

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
    x64_rex(as, W32, 0, 0, d); /* mov keeps the flags */
    x64_u8(as, 0xb8 | (d & 7));
    x64_u32(as, 0);
    x64_setcc(as, CC_B, d);
}

static void emit_carry(struct native_compiler *c, const struct native_insn *i)
{
    add_with_flags(&c->as, i);
    set_carry(&c->as, i[1].d);
}

/* The carry is added to g: f = e + g, and e is not seen again. */
static bool is_carry_add(const struct native_compiler *c, const struct native_insn *i,
                         uint32_t count)
{
    unsigned e = i[1].d;
    if (!is_carry(i) || i[2].op != PVM_OP_add_64 || (i[2].a == e) == (i[2].b == e))
        return false;
    return i[2].d == e ||
           MUTANT(fuse_carry_seen, true, is_dead(c, e, i + 3, count - 3));
}

static void emit_carry_add(struct native_compiler *c, const struct native_insn *i)
{
    unsigned f = i[2].d, g = summand(&i[2], i[1].d);
    add_with_flags(&c->as, i);
    if (f != g)
        x64_mov(&c->as, f, g);
    x64_rr(&c->as, W64, 0x83, 2, f); /* adc f, 0 */
    x64_u8(&c->as, 0);
}

/* ---- a difference and its borrow ---- */

/* e = a < b; d = a - b. */
static bool is_borrow(const struct native_insn *i)
{
    return i[0].op == PVM_OP_set_lt_u && i[1].op == PVM_OP_sub_64 &&
           MUTANT(fuse_borrow_minuend, true, i[0].a == i[1].a) && i[0].b == i[1].b &&
           i[0].d != i[0].a && i[0].d != i[0].b &&
           MUTANT(fuse_borrow_alias, true, i[1].d != i[0].b) && i[1].d != i[0].d;
}

static void emit_borrow(struct native_compiler *c, const struct native_insn *i)
{
    if (i[1].d != i[1].a)
        x64_mov(&c->as, i[1].d, i[1].a);
    x64_alu(&c->as, W64, ALU_SUB, i[1].d, i[1].b);
    set_carry(&c->as, i[0].d);
}

/* ---- choosing ---- */

/* How many neighbours a row matches whose first opcode is that of `i`; 1: none. */
static uint32_t matched(const struct native_compiler *c, const struct native_insn *i,
                        uint32_t count)
{
    switch (i->op) {
    case PVM_OP_shlo_l_imm_64:
        if (count >= 3 && is_scaled_load(i) && c->emitter[i[2].op])
            return 3;
        return is_scaled_add(i) || is_extension(i) ? 2 : 1;
    case PVM_OP_add_64:
        if (count >= 3 && is_carry_add(c, i, count) && c->emitter[i[2].op])
            return 3;
        return is_add_load(i) || is_carry(i) ? 2 : 1;
    case PVM_OP_load_imm:
        return is_constant(i) ? 2 : 1;
    case PVM_OP_mul_64:
    case PVM_OP_mul_upper_u_u:
        return is_product(c, i) ? 2 : 1;
    case PVM_OP_set_lt_u:
        return is_borrow(i) ? 2 : 1;
    default:
        return 1;
    }
}

uint32_t pvm_native_fusable(const struct native_compiler *c,
                            const struct native_insn *i, uint32_t count)
{
    uint32_t fused = count < 2 ? 1 : matched(c, i, count);
    bool native = fused == 1 || (c->emitter[i[0].op] && c->emitter[i[1].op]);
    return native ? fused : 1;
}

void pvm_native_emit_fused(struct native_compiler *c, const struct native_insn *i,
                           uint32_t count)
{
    if (count == 3 && is_carry(i))
        emit_carry_add(c, i);
    else if (count == 3)
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
    else if (is_borrow(i))
        emit_borrow(c, i);
    else
        emit_product(c, i);
}
