/* SPDX-License-Identifier: MIT
 *
 * pvm/x64.h - an x86-64 assembler for the recompiler.  Private to pvm/.
 *
 * One function per shape of instruction; the caller passes the opcode byte of the
 * manual (Intel SDM volume 2).  An instruction is built in one 64-bit word (prefixes
 * first) and stored with one write, so whoever calls keeps 32 bytes free behind
 * `at`.  Registers are numbered as in the encoding.
 */
#ifndef PVM_X64_H
#define PVM_X64_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum x64_reg {
    RAX,
    RCX,
    RDX,
    RBX,
    RSP,
    RBP,
    RSI,
    RDI,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
};

/* Condition codes: the low nibble of jcc, setcc and cmovcc.  Odd ones negate. */
enum x64_cond {
    CC_B = 2,
    CC_AE = 3,
    CC_E = 4,
    CC_NE = 5,
    CC_BE = 6,
    CC_A = 7,
    CC_S = 8,
    CC_NS = 9,
    CC_L = 12,
    CC_GE = 13,
    CC_LE = 14,
    CC_G = 15,
};

/* Register-to-register ALU: opcode of "op r/m, r"; its digit in 81 /n. */
enum x64_alu {
    ALU_ADD = 0,
    ALU_OR = 1,
    ALU_AND = 4,
    ALU_SUB = 5,
    ALU_XOR = 6,
    ALU_CMP = 7,
};

enum { W32 = 0, W64 = 8 }; /* REX.W */
enum { X64_REX = 0x40 };

struct x64 {
    uint8_t *at;
};

static inline void x64_bytes(struct x64 *as, uint64_t bytes, unsigned size)
{
    uint8_t *at = as->at; /* what is written may not be taken for this pointer */
    memcpy(at, &bytes, 8);
    as->at = at + size;
}

static inline void x64_u32(struct x64 *as, uint32_t value)
{
    uint8_t *at = as->at;
    memcpy(at, &value, 4);
    as->at = at + 4;
}

static inline void x64_u8(struct x64 *as, unsigned value)
{
    uint8_t *at = as->at;
    *at = (uint8_t)value;
    as->at = at + 1;
}

/* What a register's number is in an instruction of one byte of opcode with a REX prefix
 * in front: as `reg` of modrm, and as `rm`. */
enum { X64_MODRM = 16 }; /* bits before modrm */
#define X64_REG(r) ((r) >> 3 << 2 | ((r)&7u) << 3 << X64_MODRM)
#define X64_RM(r) ((r) >> 3 | ((r)&7u) << X64_MODRM)
#define X64_REGS(FIELD)                                                                \
    {                                                                                  \
        FIELD(0u), FIELD(1u), FIELD(2u), FIELD(3u), FIELD(4u), FIELD(5u), FIELD(6u),   \
            FIELD(7u), FIELD(8u), FIELD(9u), FIELD(10u), FIELD(11u), FIELD(12u),       \
            FIELD(13u), FIELD(14u), FIELD(15u)                                         \
    }
static const uint32_t x64_reg_fields[16] = X64_REGS(X64_REG);
static const uint32_t x64_rm_fields[16] = X64_REGS(X64_RM);

/* The same of an instruction between two registers. */
static inline uint32_t x64_rr_fields(unsigned w, unsigned reg, unsigned rm)
{
    return x64_reg_fields[reg] | x64_rm_fields[rm] | 3u << 6 << X64_MODRM | w;
}

static inline unsigned x64_modrm(unsigned mod, unsigned reg, unsigned rm)
{
    return mod << 6 | (reg & 7) << 3 | (rm & 7);
}

/* The low bits of a REX prefix; 0: none is needed. */
static inline unsigned x64_rex_bits(unsigned w, unsigned reg, unsigned index,
                                    unsigned rm)
{
    return w | (reg >> 3) << 2 | (index >> 3) << 1 | rm >> 3;
}

/* Bytes with a REX prefix in front where one is needed, or X64_REX is among its bits:
 * `at` is read and written once. */
static inline void x64_put(struct x64 *as, unsigned rex, uint64_t bytes, unsigned size)
{
    uint8_t *at = as->at;
    *at = (uint8_t)(0x40 | rex);
    at += rex != 0;
    memcpy(at, &bytes, 8);
    as->at = at + size;
}

/* A REX prefix where one is needed. */
static inline void x64_rex(struct x64 *as, unsigned w, unsigned reg, unsigned index,
                           unsigned rm)
{
    unsigned rex = x64_rex_bits(w, reg, index, rm);
    uint8_t *at = as->at;
    *at = (uint8_t)(0x40 | rex);
    as->at = at + (rex != 0);
}

/* The same with an opcode in `word`, REX's bits in its low byte. */
static inline void x64_word(struct x64 *as, unsigned w, uint64_t word, unsigned size)
{
    if (w == W64) /* the prefix is needed in any case */
        x64_bytes(as, word | X64_REX, size);
    else
        x64_put(as, word & 255, word >> 8, size - 1);
}

/* op reg, rm between registers. */
static inline void x64_rr(struct x64 *as, unsigned w, unsigned opcode, unsigned reg,
                          unsigned rm)
{
    x64_word(as, w, x64_rr_fields(w, reg, rm) | opcode << 8, 3);
}

/* The same with an immediate behind it, of one byte where that is enough: `opcode` is
 * that for one of four, which `to_small` turns into the other. */
static inline void x64_rr_imm(struct x64 *as, unsigned w, unsigned opcode,
                              unsigned to_small, unsigned reg, unsigned rm, int32_t imm)
{
    bool small = imm == (int8_t)imm;
    uint32_t head = x64_rr_fields(w, reg, rm) | opcode << 8;
    head ^= small ? to_small << 8 : 0;
    x64_word(as, w, head | (uint64_t)(uint32_t)imm << 24, small ? 4 : 7);
}

/* 0f op reg, rm. */
static inline void x64_0f_rr(struct x64 *as, unsigned w, unsigned opcode, unsigned reg,
                             unsigned rm)
{
    uint32_t fields = x64_rr_fields(w, reg, rm);
    x64_put(as, fields & 255, 0x0f | opcode << 8 | (fields & 255u << X64_MODRM), 3);
}

/* f3 0f op reg, rm: popcnt, lzcnt, tzcnt. */
static inline void x64_f3_rr(struct x64 *as, unsigned w, unsigned opcode, unsigned reg,
                             unsigned rm)
{
    x64_u8(as, 0xf3);
    x64_0f_rr(as, w, opcode, reg, rm);
}

static inline void x64_mov(struct x64 *as, unsigned d, unsigned s)
{
    x64_rr(as, W64, 0x8b, d, s);
}

static inline void x64_mov32(struct x64 *as, unsigned d, unsigned s)
{
    x64_rr(as, W32, 0x8b, d, s);
}

/* Sign-extend the low half. */
static inline void x64_movsxd(struct x64 *as, unsigned d, unsigned s)
{
    x64_rr(as, W64, 0x63, d, s);
}

/* d = d op s. */
static inline void x64_alu(struct x64 *as, unsigned w, enum x64_alu op, unsigned d,
                           unsigned s)
{
    x64_rr(as, w, (unsigned)op << 3 | 3, d, s);
}

static inline void x64_alu_imm(struct x64 *as, unsigned w, enum x64_alu op, unsigned d,
                               int32_t imm)
{
    x64_rr_imm(as, w, 0x81, 0x81 ^ 0x83, (unsigned)op, d, imm);
}

static inline void x64_test(struct x64 *as, unsigned w, unsigned a, unsigned b)
{
    x64_rr(as, w, 0x85, b, a);
}

/* d = an immediate of 64 bits, in the shortest form; changes flags. */
static inline void x64_load_imm(struct x64 *as, unsigned d, uint64_t value)
{
    if (!value) {
        x64_rr(as, W32, 0x33, d, d);
    } else if (value <= UINT32_MAX) {
        x64_put(as, x64_rex_bits(W32, 0, 0, d), 0xb8 | (d & 7) | value << 8, 5);
    } else if ((int64_t)value == (int32_t)value) {
        x64_put(as, x64_rex_bits(W64, 0, 0, d),
                0xc7 | x64_modrm(3, 0, d) << 8 | value << 16, 6);
    } else {
        x64_rex(as, W64, 0, 0, d);
        x64_u8(as, 0xb8 | (d & 7));
        x64_bytes(as, value, 8);
    }
}

/* d = an immediate of 32 bits; changes no flags. */
static inline void x64_mov_imm32(struct x64 *as, unsigned d, uint32_t value)
{
    x64_put(as, x64_rex_bits(W32, 0, 0, d), 0xb8 | (d & 7) | (uint64_t)value << 8, 5);
}

/* Shifts and rotates by an immediate: digit 0 rol, 1 ror, 4 shl, 5 shr, 7 sar. */
static inline void x64_shift_imm(struct x64 *as, unsigned w, unsigned digit, unsigned d,
                                 unsigned amount)
{
    x64_word(as, w, x64_rr_fields(w, digit, d) | 0xc1 << 8 | (uint64_t)amount << 24, 4);
}

/* The same by cl. */
static inline void x64_shift_cl(struct x64 *as, unsigned w, unsigned digit, unsigned d)
{
    x64_rr(as, w, 0xd3, digit, d);
}

/* f7 /digit: 2 not, 3 neg, 4 mul, 5 imul, 6 div, 7 idiv. */
static inline void x64_f7(struct x64 *as, unsigned w, unsigned digit, unsigned rm)
{
    x64_rr(as, w, 0xf7, digit, rm);
}

static inline void x64_imul(struct x64 *as, unsigned w, unsigned d, unsigned s)
{
    x64_0f_rr(as, w, 0xaf, d, s);
}

static inline void x64_imul_imm(struct x64 *as, unsigned w, unsigned d, unsigned s,
                                int32_t imm)
{
    x64_rr_imm(as, w, 0x69, 0x69 ^ 0x6b, d, s, imm);
}

static inline void x64_push(struct x64 *as, unsigned r)
{
    x64_put(as, x64_rex_bits(W32, 0, 0, r), 0x50 | (r & 7), 1);
}

static inline void x64_pop(struct x64 *as, unsigned r)
{
    x64_put(as, x64_rex_bits(W32, 0, 0, r), 0x58 | (r & 7), 1);
}

/* d's low byte = condition. */
static inline void x64_setcc(struct x64 *as, unsigned cond, unsigned d)
{
    x64_bytes(as,
              X64_REX | d >> 3 | 0x0f << 8 | (0x90 | cond) << 16 |
                  x64_modrm(3, 0, d) << 24, /* with REX, 4..7 are spl, bpl, sil, dil */
              4);
}

static inline void x64_movzx8(struct x64 *as, unsigned d, unsigned s)
{
    x64_u8(as, 0x40 | (d >> 3) << 2 | s >> 3);
    x64_bytes(as, 0x0f | 0xb6 << 8 | x64_modrm(3, d, s) << 16, 3);
}

static inline void x64_cmov(struct x64 *as, unsigned w, unsigned cond, unsigned d,
                            unsigned s)
{
    x64_0f_rr(as, w, 0x40 | cond, d, s);
}

/* Pad with long no-operations (SDM 2B, NOP) to a multiple of `alignment`. */
static inline void x64_align(struct x64 *as, unsigned alignment)
{
    static const uint64_t nop[9] = {0,        0x90,       0x9066,   0x1f0f,  0x401f0f,
                                    0x441f0f, 0x441f0f66, 0x801f0f, 0x841f0f};
    unsigned left = (unsigned)(0 - (uintptr_t)as->at) & (alignment - 1);
    while (left) {
        unsigned size = left < 8 ? left : 8;
        x64_bytes(as, nop[size], size);
        left -= size;
    }
}

/* ---- VEX: three operands (BMI1, BMI2) ---- */

/* pp: 0 none, 1 66, 2 f3, 3 f2; map: 2 = 0f38, 3 = 0f3a. */
static inline void x64_vex(struct x64 *as, unsigned w, unsigned map, unsigned pp,
                           unsigned opcode, unsigned reg, unsigned vvvv, unsigned rm)
{
    uint64_t p1 = (~reg >> 3 & 1) << 7 | 1u << 6 | (~rm >> 3 & 1) << 5 | map;
    uint64_t p2 = (w ? 0x80u : 0u) | (~vvvv & 15) << 3 | pp;
    x64_bytes(as,
              0xc4 | p1 << 8 | p2 << 16 | (uint64_t)opcode << 24 |
                  (uint64_t)x64_modrm(3, reg, rm) << 32,
              5);
}

enum x64_shift { SHIFT_LEFT = 1, SHIFT_ARITHMETIC = 2, SHIFT_RIGHT = 3 };

/* shlx, sarx, shrx: d = s shifted by amount. */
static inline void x64_shiftx(struct x64 *as, unsigned w, enum x64_shift kind,
                              unsigned d, unsigned s, unsigned amount)
{
    x64_vex(as, w, 2, kind, 0xf7, d, amount, s);
}

static inline void x64_rorx(struct x64 *as, unsigned w, unsigned d, unsigned s,
                            unsigned amount)
{
    x64_vex(as, w, 3, 3, 0xf0, d, 0, s);
    x64_u8(as, amount);
}

/* d = s rotated right, at once where the CPU can. */
static inline void x64_rotate_imm(struct x64 *as, bool bmi2, unsigned w, unsigned d,
                                  unsigned s, unsigned amount)
{
    if (d != s && bmi2) {
        x64_rorx(as, w, d, s, amount);
        return;
    }
    if (d != s)
        x64_mov(as, d, s);
    x64_shift_imm(as, w, 1, d, amount);
}

/* high:low = rdx * s; with high == low the high half stays. */
static inline void x64_mulx(struct x64 *as, unsigned high, unsigned low, unsigned s)
{
    x64_vex(as, W64, 2, 3, 0xf6, high, low, s);
}

/* d = ~a & b. */
static inline void x64_andn(struct x64 *as, unsigned d, unsigned a, unsigned b)
{
    x64_vex(as, W64, 2, 0, 0xf2, d, a, b);
}

/* ---- memory operands ---- */

/* Of a register in [base + disp]: as in x64_rm_fields, with sib behind modrm where one
 * is needed; the bytes of the two, and modrm's mod without a displacement. */
struct x64_base {
    uint32_t fields;
    uint8_t size, mod_least;
};
#define X64_BASE(r)                                                                    \
    {                                                                                  \
        X64_RM(r) | (((r)&7) == RSP ? 0x24u << 8 << X64_MODRM : 0),                    \
            ((r)&7) == RSP ? 2 : 1, ((r)&7) == RBP                                     \
    }
static const struct x64_base x64_base[16] = X64_REGS(X64_BASE);

/* An opcode of `size` bytes, 1 or 2, with REX's bits but for those of registers, and
 * modrm, sib and displacement for [base + disp]. */
static inline void x64_op_mem(struct x64 *as, unsigned rex, unsigned opcode,
                              unsigned size, unsigned reg, unsigned base, int32_t disp)
{
    unsigned small = disp == (int8_t)disp;
    unsigned mod = (unsigned)(x64_base[base].mod_least | (disp != 0)) + 1 - small;
    uint32_t fields = x64_reg_fields[reg] | x64_base[base].fields;
    fields |= mod << 6 << X64_MODRM | rex;
    if (size == 1)
        x64_word(as, rex, fields | opcode << 8, 2);
    else
        x64_put(as, fields & 255, opcode | fields >> X64_MODRM << X64_MODRM, 2);
    uint8_t *at = as->at + x64_base[base].size;
    memcpy(at, &disp, 4);
    as->at = at + mod * mod;
}

/* For an absolute address of 32 bits (no base, no rip). */
static inline void x64_mem_absolute(struct x64 *as, unsigned reg, uint32_t address)
{
    x64_bytes(as, x64_modrm(0, reg, 4) | 0x25 << 8, 2);
    x64_u32(as, address);
}

/* lea d, [base + disp]. */
static inline void x64_lea(struct x64 *as, unsigned w, unsigned d, unsigned base,
                           int32_t disp)
{
    x64_op_mem(as, w, 0x8d, 1, d, base, disp);
}

/* lea d, [base + index * 2^scale + disp8]; index is not rsp. */
static inline void x64_lea_index(struct x64 *as, unsigned w, unsigned d, unsigned base,
                                 unsigned index, unsigned scale, int8_t disp)
{
    bool with_disp = disp || (base & 7) == RBP;
    uint32_t word = x64_reg_fields[d] | 4u << X64_MODRM | 0x8d << 8 | w;
    word |= (index >> 3) << 1 | base >> 3 | (unsigned)with_disp << 6 << X64_MODRM;
    word |= scale << 30 | (index & 7) << 27 | (base & 7) << 24;
    x64_word(as, w, word | (uint64_t)(uint8_t)disp << 32, 4 + with_disp);
}

/* ---- jumps; the displacement counts from behind the instruction ---- */

/* Append a jump with four bytes of displacement to patch; answers where they are. */
static inline uint8_t *x64_jcc(struct x64 *as, unsigned cond)
{
    x64_bytes(as, 0x0f | (0x80 | cond) << 8, 6);
    return as->at - 4;
}

static inline uint8_t *x64_jmp(struct x64 *as)
{
    x64_bytes(as, 0xe9, 5);
    return as->at - 4;
}

static inline uint8_t *x64_call(struct x64 *as)
{
    x64_bytes(as, 0xe8, 5);
    return as->at - 4;
}

static inline void x64_patch(uint8_t *site, const uint8_t *target)
{
    int32_t distance = (int32_t)(target - (site + 4));
    memcpy(site, &distance, 4);
}

/* A jump of one byte over what comes now, to patch at its end. */
static inline uint8_t *x64_jcc_short(struct x64 *as, unsigned cond)
{
    x64_bytes(as, 0x70 | cond, 2);
    return as->at - 1;
}

static inline uint8_t *x64_jmp_short(struct x64 *as)
{
    x64_bytes(as, 0xeb, 2);
    return as->at - 1;
}

static inline void x64_patch_short(uint8_t *site, const uint8_t *target)
{
    *site = (uint8_t)(target - (site + 1));
}

#endif
