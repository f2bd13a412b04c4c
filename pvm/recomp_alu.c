/* SPDX-License-Identifier: MIT
 *
 * Emitters of instructions that only compute [3, 10.8].
 *
 * Every result whose definition says sx() ends in movsxd.  A destination may be any of
 * the operands: `three` settles that for two-operand host instructions.  Only rdx is
 * free; what needs rax or cl saves it.
 */
#include "pvm/native.h"

#include "base/os_code.h"

#define EMIT(name)                                                                     \
    static void emit_##name(struct native_compiler *c, const struct native_insn *i)

/* ---- shapes ---- */

/* Where the compiler shall know the operation and its width. */
#define SPECIAL static inline __attribute__((always_inline))

/* d = a op b for an op that may exchange its operands. */
SPECIAL void commute(struct x64 *as, unsigned w, enum x64_alu op, unsigned d,
                     unsigned a, unsigned b)
{
    if (d == b) {
        x64_alu(as, w, op, d, a);
        return;
    }
    if (d != a)
        x64_mov(as, d, a);
    x64_alu(as, w, op, d, b);
}

SPECIAL void add(struct x64 *as, unsigned w, unsigned d, unsigned a, unsigned b)
{
    if (d == a || d == b)
        commute(as, w, ALU_ADD, d, a, b);
    else
        x64_lea_index(as, w, d, a, b, 0, 0);
}

SPECIAL void subtract(struct x64 *as, unsigned w, unsigned d, unsigned a, unsigned b)
{
    if (d == b && d != a) { /* d = -(d - a) */
        x64_alu(as, w, ALU_SUB, d, a);
        x64_f7(as, w, 3, d);
        return;
    }
    if (d != a)
        x64_mov(as, d, a);
    x64_alu(as, w, ALU_SUB, d, b);
}

/* d = 1 if the flags say so, else 0. */
static void set(struct x64 *as, unsigned cond, unsigned d)
{
    x64_mov_imm32(as, d, 0); /* keeps the flags */
    x64_setcc(as, cond, d);
}

/* The same behind a comparison of two registers, or of one with an immediate; d is
 * cleared beforehand where it is not compared itself. */
static void compare_set(struct x64 *as, unsigned cond, unsigned d, unsigned a,
                        unsigned b)
{
    bool apart = d != a && d != b;
    if (apart)
        x64_load_imm(as, d, 0);
    x64_alu(as, W64, ALU_CMP, a, b);
    if (apart)
        x64_setcc(as, cond, d);
    else
        set(as, cond, d);
}

static void compare_imm_set(struct x64 *as, unsigned cond, unsigned d, unsigned b,
                            int64_t x)
{
    if (d != b)
        x64_load_imm(as, d, 0);
    x64_alu_imm(as, W64, ALU_CMP, b, (int32_t)x);
    if (d != b)
        x64_setcc(as, cond, d);
    else
        set(as, cond, d);
}

/* ---- moves and one operand ---- */

EMIT(load_imm)
{
    x64_load_imm(&c->as, i->a, (uint64_t)i->x);
}

EMIT(move_reg)
{
    if (i->d != i->a)
        x64_mov(&c->as, i->d, i->a);
}

EMIT(count_set_bits_64)
{
    x64_f3_rr(&c->as, W64, 0xb8, i->d, i->a);
}

EMIT(count_set_bits_32)
{
    x64_f3_rr(&c->as, W32, 0xb8, i->d, i->a);
}

EMIT(leading_zero_bits_64)
{
    x64_f3_rr(&c->as, W64, 0xbd, i->d, i->a);
}

EMIT(leading_zero_bits_32)
{
    x64_f3_rr(&c->as, MUTANT(native_clz_wide, W64, W32), 0xbd, i->d, i->a);
}

EMIT(trailing_zero_bits_64)
{
    x64_f3_rr(&c->as, W64, 0xbc, i->d, i->a);
}

EMIT(trailing_zero_bits_32)
{
    x64_f3_rr(&c->as, MUTANT(native_ctz_wide, W64, W32), 0xbc, i->d, i->a);
}

EMIT(sign_extend_8)
{
    x64_0f_rr(&c->as, W64, 0xbe, i->d, i->a); /* REX makes 4..7 the low bytes */
}

EMIT(sign_extend_16)
{
    x64_0f_rr(&c->as, W64, 0xbf, i->d, i->a);
}

EMIT(zero_extend_16)
{
    x64_0f_rr(&c->as, W32, 0xb7, i->d, i->a);
}

EMIT(reverse_bytes)
{
    if (i->d != i->a)
        x64_mov(&c->as, i->d, i->a);
    x64_rex(&c->as, W64, 0, 0, i->d);
    x64_bytes(&c->as, 0x0f | (0xc8u | (i->d & 7)) << 8, 2);
}

/* ---- with an immediate: a = b op x ---- */

EMIT(add_imm_64)
{
    if (i->a == i->b)
        x64_alu_imm(&c->as, W64, ALU_ADD, i->a, (int32_t)i->x);
    else
        x64_lea(&c->as, W64, i->a, i->b, (int32_t)i->x);
}

EMIT(add_imm_32)
{
    if (i->x) {
        if (i->a == i->b)
            x64_alu_imm(&c->as, W32, ALU_ADD, i->a, (int32_t)i->x);
        else
            x64_lea(&c->as, W32, i->a, i->b, (int32_t)i->x);
        x64_movsxd(&c->as, i->a, i->a);
    } else {
        x64_movsxd(&c->as, i->a, i->b);
    }
}

static void logic_imm(struct native_compiler *c, const struct native_insn *i,
                      enum x64_alu op)
{
    if (i->a != i->b)
        x64_mov(&c->as, i->a, i->b);
    x64_alu_imm(&c->as, W64, op, i->a, (int32_t)i->x);
}

EMIT(and_imm)
{
    if (i->x == 0xff)
        x64_movzx8(&c->as, i->a, i->b);
    else
        logic_imm(c, i, ALU_AND);
}

EMIT(xor_imm)
{
    logic_imm(c, i, ALU_XOR);
}

EMIT(or_imm)
{
    logic_imm(c, i, ALU_OR);
}

EMIT(mul_imm_64)
{
    x64_imul_imm(&c->as, W64, i->a, i->b, (int32_t)i->x);
}

EMIT(mul_imm_32)
{
    x64_imul_imm(&c->as, W32, i->a, i->b, (int32_t)i->x);
    x64_movsxd(&c->as, i->a, i->a);
}

EMIT(set_lt_u_imm)
{
    compare_imm_set(&c->as, CC_B, i->a, i->b, i->x);
}

EMIT(set_lt_s_imm)
{
    compare_imm_set(&c->as, CC_L, i->a, i->b, i->x);
}

EMIT(set_gt_u_imm)
{
    compare_imm_set(&c->as, CC_A, i->a, i->b, i->x);
}

EMIT(set_gt_s_imm)
{
    compare_imm_set(&c->as, CC_G, i->a, i->b, i->x);
}

static void negate_add(struct native_compiler *c, const struct native_insn *i,
                       unsigned w)
{
    if (i->a != i->b)
        x64_mov(&c->as, i->a, i->b);
    x64_f7(&c->as, w, MUTANT(native_neg_add_not, 2, 3), i->a);
    if (i->x)
        x64_alu_imm(&c->as, w, MUTANT(native_neg_add_sub, ALU_SUB, ALU_ADD), i->a,
                    (int32_t)i->x);
    if (w == W32)
        x64_movsxd(&c->as, i->a, i->a);
}

EMIT(neg_add_imm_64)
{
    negate_add(c, i, W64);
}

EMIT(neg_add_imm_32)
{
    negate_add(c, i, W32);
}

static void cmov_imm(struct native_compiler *c, const struct native_insn *i,
                     unsigned cond)
{
    x64_load_imm(&c->as, SCRATCH, (uint64_t)i->x);
    x64_test(&c->as, MUTANT(native_cmov_imm_32, W32, W64), i->b, i->b);
    x64_cmov(&c->as, W64, MUTANT(native_cmov_imm_cond, cond ^ 1, cond), i->a, SCRATCH);
}

EMIT(cmov_iz_imm)
{
    cmov_imm(c, i, CC_E);
}

EMIT(cmov_nz_imm)
{
    cmov_imm(c, i, CC_NE);
}

/* ---- shifts and rotates ---- */

enum { DIGIT_ROL = 0, DIGIT_ROR = 1, DIGIT_SHL = 4, DIGIT_SHR = 5, DIGIT_SAR = 7 };

static void shift_imm(struct native_compiler *c, const struct native_insn *i,
                      unsigned w, unsigned digit)
{
    unsigned amount = (unsigned)i->x & MUTANT(native_shift_31, 31u, w ? 63u : 31u);
    if (w == W64 && i->a != i->b)
        x64_mov(&c->as, i->a, i->b);
    if (w == W32 && i->a != i->b)
        x64_mov32(&c->as, i->a, i->b);
    if (amount)
        x64_shift_imm(&c->as, w, digit, i->a, amount);
    /* A logical right shift by 1 or more leaves bit 31 clear, and the upper half. */
    if (w == W32 &&
        !(digit == DIGIT_SHR && MUTANT(native_shift_0_zero, true, amount != 0)))
        x64_movsxd(&c->as, i->a, i->a);
}

EMIT(shlo_l_imm_32)
{
    shift_imm(c, i, W32, DIGIT_SHL);
}

EMIT(shlo_r_imm_32)
{
    shift_imm(c, i, W32, DIGIT_SHR);
}

EMIT(shar_r_imm_32)
{
    shift_imm(c, i, W32, DIGIT_SAR);
}

EMIT(shlo_l_imm_64)
{
    shift_imm(c, i, W64, DIGIT_SHL);
}

EMIT(shlo_r_imm_64)
{
    shift_imm(c, i, W64, DIGIT_SHR);
}

EMIT(shar_r_imm_64)
{
    shift_imm(c, i, W64, DIGIT_SAR);
}

EMIT(rot_r_64_imm)
{
    x64_rotate_imm(&c->as, c->features & OS_CPU_BMI2, W64, i->a, i->b,
                   (unsigned)i->x & 63);
}

EMIT(rot_r_32_imm)
{
    unsigned right = (unsigned)i->x & 31;
    x64_rotate_imm(&c->as, c->features & OS_CPU_BMI2, W32, i->a, i->b,
                   MUTANT(native_rotate_left, (32 - right) & 31, right));
    x64_movsxd(&c->as, i->a, i->a);
}

/* BMI2: any register holds the amount, and the CPU reduces it. */
static void shift(struct native_compiler *c, unsigned w, enum x64_shift kind,
                  unsigned d, unsigned value, unsigned amount)
{
    x64_shiftx(&c->as, MUTANT(native_shift_narrow, W32, w), kind, d, value, amount);
    if (MUTANT(native_shift_zero_extends, false, w == W32))
        x64_movsxd(&c->as, d, d);
}

#define SHIFT(name, w, kind)                                                           \
    EMIT(name)                                                                         \
    {                                                                                  \
        shift(c, w, kind, i->d, i->a, i->b);                                           \
    }
SHIFT(shlo_l_32, W32, SHIFT_LEFT)
SHIFT(shlo_r_32, W32, SHIFT_RIGHT)
SHIFT(shar_r_32, W32, SHIFT_ARITHMETIC)
SHIFT(shlo_l_64, W64, SHIFT_LEFT)
SHIFT(shlo_r_64, W64, SHIFT_RIGHT)
SHIFT(shar_r_64, W64, SHIFT_ARITHMETIC)
#undef SHIFT

#define SHIFT_ALT(name, w, kind)                                                       \
    EMIT(name)                                                                         \
    {                                                                                  \
        x64_load_imm(&c->as, SCRATCH, (uint64_t)i->x);                                 \
        shift(c, w, kind, i->a, MUTANT(native_alt_exchanged, i->b, SCRATCH),           \
              MUTANT(native_alt_exchanged, SCRATCH, i->b));                            \
    }
SHIFT_ALT(shlo_l_imm_alt_32, W32, SHIFT_LEFT)
SHIFT_ALT(shlo_r_imm_alt_32, W32, SHIFT_RIGHT)
SHIFT_ALT(shar_r_imm_alt_32, W32, SHIFT_ARITHMETIC)
SHIFT_ALT(shlo_l_imm_alt_64, W64, SHIFT_LEFT)
SHIFT_ALT(shlo_r_imm_alt_64, W64, SHIFT_RIGHT)
SHIFT_ALT(shar_r_imm_alt_64, W64, SHIFT_ARITHMETIC)
#undef SHIFT_ALT

/* d = the value in rdx rotated by a register: cl holds the amount for a moment.  The
 * value has been read, so the amount may be in any register, d too. */
static void rotate(struct native_compiler *c, unsigned w, unsigned digit, unsigned d,
                   unsigned amount)
{
    struct x64 *as = &c->as;
    if (MUTANT(native_rotate_no_xchg, amount > RDX, amount != RCX))
        x64_rr(as, W64, 0x87, RCX, amount); /* xchg */
    x64_shift_cl(as, w, digit, SCRATCH);
    if (MUTANT(native_rotate_keeps_cl, false, amount != RCX))
        x64_rr(as, W64, 0x87, RCX, amount);
    if (MUTANT(native_rotate_zero_extends, false, w == W32))
        x64_movsxd(as, d, SCRATCH);
    else
        x64_mov(as, d, SCRATCH);
}

#define ROTATE(name, w, digit)                                                         \
    EMIT(name)                                                                         \
    {                                                                                  \
        x64_mov(&c->as, SCRATCH, i->a);                                                \
        rotate(c, w, digit, i->d, i->b);                                               \
    }
ROTATE(rot_l_64, W64, DIGIT_ROL)
ROTATE(rot_l_32, W32, DIGIT_ROL)
ROTATE(rot_r_64, W64, DIGIT_ROR)
ROTATE(rot_r_32, W32, DIGIT_ROR)
#undef ROTATE

#define ROTATE_ALT(name, w)                                                            \
    EMIT(name)                                                                         \
    {                                                                                  \
        x64_load_imm(&c->as, SCRATCH,                                                  \
                     MUTANT(native_rotate_imm_32, (uint32_t)i->x, (uint64_t)i->x));    \
        rotate(c, w, DIGIT_ROR, i->a, i->b);                                           \
    }
ROTATE_ALT(rot_r_64_imm_alt, W64)
ROTATE_ALT(rot_r_32_imm_alt, W32)
#undef ROTATE_ALT

/* ---- three registers: d = a op b ---- */

EMIT(add_64)
{
    add(&c->as, W64, i->d, i->a, i->b);
}

EMIT(add_32)
{
    add(&c->as, W32, i->d, i->a, i->b);
    x64_movsxd(&c->as, i->d, i->d);
}

EMIT(sub_64)
{
    subtract(&c->as, W64, i->d, i->a, i->b);
}

EMIT(sub_32)
{
    subtract(&c->as, W32, i->d, i->a, i->b);
    x64_movsxd(&c->as, i->d, i->d);
}

EMIT(and)
{
    commute(&c->as, W64, ALU_AND, i->d, i->a, i->b);
}

EMIT(xor)
{
    commute(&c->as, W64, ALU_XOR, i->d, i->a, i->b);
}

EMIT(or)
{
    commute(&c->as, W64, ALU_OR, i->d, i->a, i->b);
}

EMIT(and_inv)
{
    x64_andn(&c->as, i->d, i->b, i->a);
}

EMIT(or_inv)
{
    x64_mov(&c->as, SCRATCH, i->b);
    x64_f7(&c->as, W64, 2, SCRATCH);
    commute(&c->as, W64, ALU_OR, i->d, i->a, SCRATCH);
}

EMIT(xnor)
{
    commute(&c->as, W64, ALU_XOR, i->d, i->a, i->b);
    x64_f7(&c->as, W64, 2, i->d);
}

SPECIAL void multiply(struct x64 *as, unsigned w, unsigned d, unsigned a, unsigned b)
{
    if (d == b) {
        x64_imul(as, w, d, a);
        return;
    }
    if (d != a)
        x64_mov(as, d, a);
    x64_imul(as, w, d, b);
}

EMIT(mul_64)
{
    multiply(&c->as, W64, i->d, i->a, i->b);
}

EMIT(mul_32)
{
    multiply(&c->as, W32, i->d, i->a, i->b);
    x64_movsxd(&c->as, i->d, i->d);
}

EMIT(mul_upper_u_u)
{
    x64_mov(&c->as, SCRATCH, i->a);
    x64_mulx(&c->as, i->d, SCRATCH, MUTANT(native_mulh_square, i->a, i->b));
}

/* The unsigned product, less b where a is negative. */
EMIT(mul_upper_s_u)
{
    struct x64 *as = &c->as;
    x64_mov(as, SCRATCH, i->a);
    x64_mulx(as, SCRATCH, SCRATCH, i->b);
    x64_test(as, W64, MUTANT(native_mulh_su_swapped, i->b, i->a), i->a);
    uint8_t *skip = x64_jcc_short(as, CC_NS);
    x64_alu(as, W64, ALU_SUB, SCRATCH, i->b);
    x64_patch_short(skip, as->at);
    x64_mov(as, i->d, SCRATCH);
}

EMIT(mul_upper_s_s)
{
    struct x64 *as = &c->as;
    unsigned other = MUTANT(native_mulh_rax, i->b, i->b == RAX ? i->a : i->b);
    x64_push(as, RAX);
    if (i->a != RAX && i->b != RAX)
        x64_mov(as, RAX, i->a);
    x64_f7(as, W64, MUTANT(native_mulh_unsigned, 4, 5), other);
    x64_pop(as, RAX);
    x64_mov(as, i->d, SCRATCH);
}

#define SET(name, cond)                                                                \
    EMIT(name)                                                                         \
    {                                                                                  \
        compare_set(&c->as, cond, i->d, i->a, i->b);                                   \
    }
SET(set_lt_u, CC_B)
SET(set_lt_s, CC_L)
#undef SET

#define CMOV(name, cond)                                                               \
    EMIT(name)                                                                         \
    {                                                                                  \
        x64_test(&c->as, MUTANT(native_cmov_32, W32, W64), i->b, i->b);                \
        x64_cmov(&c->as, MUTANT(native_cmov_narrow, W32, W64), cond, i->d, i->a);      \
    }
CMOV(cmov_iz, CC_E)
CMOV(cmov_nz, CC_NE)
#undef CMOV

/* d = a where `a cond b`, else b. */
static void choose(struct native_compiler *c, const struct native_insn *i,
                   unsigned cond)
{
    struct x64 *as = &c->as;
    x64_alu(as, W64, ALU_CMP, i->a, i->b);
    if (i->d == i->a) {
        x64_cmov(as, W64, MUTANT(native_choose_alias, cond, cond ^ 1), i->d, i->b);
        return;
    }
    if (i->d != i->b)
        x64_mov(as, i->d, i->b);
    x64_cmov(as, W64, cond, i->d, i->a);
}

#define CHOOSE(name, cond)                                                             \
    EMIT(name)                                                                         \
    {                                                                                  \
        choose(c, i, cond);                                                            \
    }
CHOOSE(max, CC_G)
CHOOSE(max_u, CC_A)
CHOOSE(min, CC_L)
CHOOSE(min_u, CC_B)
#undef CHOOSE

/* ---- division: rax and rdx are the CPU's ---- */

struct division {
    unsigned w;
    bool is_signed;
    bool remainder;
};

/* d = a, at the operation's width, sign-extended. */
static void take(struct x64 *as, unsigned w, unsigned d, unsigned s)
{
    if (w == W32)
        x64_movsxd(as, d, s);
    else if (d != s)
        x64_mov(as, d, s);
}

/* The result for a divisor of 0, or (signed) of -1, which faults on the host. */
static void divide_specially(struct x64 *as, const struct native_insn *i,
                             struct division how)
{
    uint8_t *done = NULL;
    if (how.is_signed) {
        x64_test(as, how.w, i->b, i->b);
        uint8_t *zero = x64_jcc_short(as, CC_E);
        if (how.remainder) {
            x64_load_imm(as, i->d, MUTANT(native_rem_minus, UINT64_MAX, 0));
        } else {
            take(as, how.w, i->d, i->a);
            x64_f7(as, how.w, 3, i->d);
            take(as, how.w, i->d, i->d);
        }
        done = x64_jmp_short(as);
        x64_patch_short(zero, as->at);
    }
    if (how.remainder)
        take(as, MUTANT(native_rem_zero_wide, W64, how.w), i->d, i->a);
    else
        x64_load_imm(as, i->d, MUTANT(native_div_zero, 0, UINT64_MAX));
    if (done)
        x64_patch_short(done, as->at);
}

/* A divisor that is neither.  rax is saved, the divisor too if it is there. */
static void divide_plainly(struct x64 *as, const struct native_insn *i,
                           struct division how)
{
    bool in_memory = MUTANT(native_div_by_rax, false, i->b == RAX);
    bool save = MUTANT(native_div_no_save, false, i->d != RAX);
    if (save || in_memory)
        x64_push(as, RAX);
    if (i->a != RAX)
        x64_mov(as, RAX, i->a);
    if (how.is_signed)
        x64_bytes(as, how.w ? 0x9948 : 0x99, how.w ? 2 : 1); /* cqo, cdq */
    else
        x64_load_imm(as, RDX, 0);
    unsigned digit = how.is_signed ? 7 : 6;
    if (in_memory) { /* div [rsp] */
        x64_rex(as, how.w, 0, 0, 0);
        x64_bytes(as, 0xf7 | x64_modrm(0, digit, RSP) << 8 | 0x24u << 16, 3);
    } else {
        x64_f7(as, how.w, digit, i->b);
    }
    unsigned result = how.remainder ? RDX : RAX;
    if (save && result == RAX)
        x64_mov(as, RDX, RAX);
    if (save)
        x64_pop(as, RAX);
    else if (in_memory)
        x64_lea(as, W64, RSP, RSP, 8);
    take(as, how.w, i->d, save ? RDX : result);
}

static void divide(struct native_compiler *c, const struct native_insn *i,
                   struct division how)
{
    struct x64 *as = &c->as;
    if (how.is_signed) { /* 0 and -1: b + 1 is at most 1 */
        x64_lea(as, MUTANT(native_div_s_wide, W64, how.w), SCRATCH, i->b, 1);
        x64_alu_imm(as, MUTANT(native_div_s_wide, W64, how.w), ALU_CMP, SCRATCH, 1);
    } else {
        x64_test(as, MUTANT(native_div_u_wide, W64, how.w), i->b, i->b);
    }
    uint8_t *plain = x64_jcc_short(
        as, MUTANT(native_div_no_minus, CC_NE, how.is_signed ? CC_A : CC_NE));
    divide_specially(as, i, how);
    uint8_t *done = x64_jmp_short(as);
    x64_patch_short(plain, as->at);
    divide_plainly(as, i, how);
    x64_patch_short(done, as->at);
}

#define DIVIDE(name, w, is_signed, remainder)                                          \
    EMIT(name)                                                                         \
    {                                                                                  \
        divide(c, i, (struct division){w, is_signed, remainder});                      \
    }
DIVIDE(div_u_32, W32, false, false)
DIVIDE(div_s_32, W32, true, false)
DIVIDE(rem_u_32, W32, false, true)
DIVIDE(rem_s_32, W32, true, true)
DIVIDE(div_u_64, W64, false, false)
DIVIDE(div_s_64, W64, true, false)
DIVIDE(rem_u_64, W64, false, true)
DIVIDE(rem_s_64, W64, true, true)
#undef DIVIDE

/* ---- the table ---- */

struct row {
    uint8_t op;
    uint8_t features; /* that the CPU must have */
    native_emit_fn *emit;
};

#define ROW(name, features) {PVM_OP_##name, features, emit_##name},
static const struct row rows[] = {
    {PVM_OP_load_imm_64, 0, emit_load_imm},
    ROW(load_imm, 0) ROW(move_reg, 0) ROW(count_set_bits_64, OS_CPU_POPCNT) ROW(
        count_set_bits_32, OS_CPU_POPCNT) ROW(leading_zero_bits_64, OS_CPU_LZCNT)
        ROW(leading_zero_bits_32, OS_CPU_LZCNT) ROW(trailing_zero_bits_64, OS_CPU_BMI1)
            ROW(trailing_zero_bits_32, OS_CPU_BMI1) ROW(sign_extend_8, 0) ROW(
                sign_extend_16, 0) ROW(zero_extend_16, 0) ROW(reverse_bytes, 0)
                ROW(add_imm_64, 0) ROW(add_imm_32, 0) ROW(and_imm, 0) ROW(
                    xor_imm, 0) ROW(or_imm, 0) ROW(mul_imm_64, 0) ROW(mul_imm_32, 0)
                    ROW(set_lt_u_imm, 0) ROW(set_lt_s_imm, 0) ROW(set_gt_u_imm, 0) ROW(
                        set_gt_s_imm, 0) ROW(neg_add_imm_64, 0) ROW(neg_add_imm_32, 0)
                        ROW(cmov_iz_imm, 0) ROW(cmov_nz_imm, 0) ROW(shlo_l_imm_32, 0)
                            ROW(shlo_r_imm_32, 0) ROW(shar_r_imm_32, 0) ROW(
                                shlo_l_imm_64, 0) ROW(shlo_r_imm_64,
                                                      0) ROW(shar_r_imm_64, 0)
                                ROW(rot_r_64_imm, 0) ROW(rot_r_32_imm, 0) ROW(
                                    shlo_l_32,
                                    OS_CPU_BMI2) ROW(shlo_r_32,
                                                     OS_CPU_BMI2) ROW(shar_r_32,
                                                                      OS_CPU_BMI2)
                                    ROW(shlo_l_64,
                                        OS_CPU_BMI2) ROW(shlo_r_64,
                                                         OS_CPU_BMI2) ROW(shar_r_64,
                                                                          OS_CPU_BMI2)
                                        ROW(shlo_l_imm_alt_32, OS_CPU_BMI2) ROW(
                                            shlo_r_imm_alt_32,
                                            OS_CPU_BMI2) ROW(shar_r_imm_alt_32,
                                                             OS_CPU_BMI2)
                                            ROW(shlo_l_imm_alt_64, OS_CPU_BMI2) ROW(
                                                shlo_r_imm_alt_64,
                                                OS_CPU_BMI2) ROW(shar_r_imm_alt_64,
                                                                 OS_CPU_BMI2)
                                                ROW(rot_l_64, 0) ROW(rot_l_32, 0) ROW(
                                                    rot_r_64,
                                                    0) ROW(rot_r_32,
                                                           0) ROW(rot_r_64_imm_alt,
                                                                  0) ROW(rot_r_32_imm_alt,
                                                                         0) ROW(add_64, 0)
                                                    ROW(add_32, 0) ROW(sub_64, 0) ROW(
                                                        sub_32,
                                                        0) ROW(and,
                                                               0) ROW(xor,
                                                                      0) ROW(or, 0)
                                                        ROW(and_inv, OS_CPU_BMI1) ROW(
                                                            or_inv,
                                                            0) ROW(xnor,
                                                                   0) ROW(mul_64,
                                                                          0) ROW(mul_32,
                                                                                 0)
                                                            ROW(mul_upper_u_u, OS_CPU_BMI2) ROW(
                                                                mul_upper_s_u,
                                                                OS_CPU_BMI2) ROW(mul_upper_s_s,
                                                                                 0) ROW(set_lt_u,
                                                                                        0)
                                                                ROW(set_lt_s, 0) ROW(
                                                                    cmov_iz,
                                                                    0) ROW(cmov_nz,
                                                                           0) ROW(max,
                                                                                  0)
                                                                    ROW(max_u, 0) ROW(
                                                                        min,
                                                                        0) ROW(min_u, 0)
                                                                        ROW(div_u_32, 0) ROW(
                                                                            div_s_32,
                                                                            0) ROW(rem_u_32,
                                                                                   0)
                                                                            ROW(rem_s_32, 0) ROW(
                                                                                div_u_64,
                                                                                0) ROW(div_s_64,
                                                                                       0)
                                                                                ROW(rem_u_64,
                                                                                    0)
                                                                                    ROW(rem_s_64,
                                                                                        0)};

void pvm_native_alu_emitters(unsigned features, native_emit_fn *emitter[256])
{
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        if (!(rows[k].features & ~features))
            emitter[rows[k].op] = rows[k].emit;
    }
}
