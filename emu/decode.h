/* SPDX-License-Identifier: MIT
 *
 * emu/decode.h - bytes to instructions, by emu/i386.def.
 *
 * Knows no processor state but the size of the code segment.  Used by the engine, by
 * tests and by whoever wants lengths and names.
 */
#ifndef EMU_DECODE_H
#define EMU_DECODE_H

#include <stdbool.h>
#include <stdint.h>

enum { EMU_INSN_SIZE_MAX = 15, EMU_NO_REGISTER = 8 };

/* The notation of i386.def: name, how it is encoded, size in bytes (0: none or by the
 * operand size). */
#define EMU_OPERANDS(_)                                                                \
    _(NO, NONE, 0)                                                                     \
    _(Eb, MODRM, 1)                                                                    \
    _(Ew, MODRM, 2)                                                                    \
    _(Ev, MODRM, 0)                                                                    \
    _(Ef, MODRM, 0)                                                                    \
    _(Gb, REG, 1)                                                                      \
    _(Gw, REG, 2)                                                                      \
    _(Gv, REG, 0)                                                                      \
    _(M, MEMORY, 0)                                                                    \
    _(Ma, MEMORY, 0)                                                                   \
    _(Mp, MEMORY, 0)                                                                   \
    _(Mq, MEMORY, 8)                                                                   \
    _(Ms, MEMORY, 6)                                                                   \
    _(Rd, MODRM_REG, 4)                                                                \
    _(Cd, CONTROL, 4)                                                                  \
    _(Dd, REG, 4)                                                                      \
    _(Sw, SEGMENT, 2)                                                                  \
    _(Ib, IMM8, 1)                                                                     \
    _(Iw, IMM16, 2)                                                                    \
    _(Iv, IMM, 0)                                                                      \
    _(Is, IMM8_SIGNED, 0)                                                              \
    _(Jb, IMM8_SIGNED, 0)                                                              \
    _(Jv, IMM, 0)                                                                      \
    _(Ob, OFFSET, 1)                                                                   \
    _(Ov, OFFSET, 0)                                                                   \
    _(Ap, FAR, 0)                                                                      \
    _(Zb, OPCODE_REG, 1)                                                               \
    _(Zv, OPCODE_REG, 0)                                                               \
    _(Xb, NONE, 1)                                                                     \
    _(Xv, NONE, 0)                                                                     \
    _(Yb, NONE, 1)                                                                     \
    _(Yv, NONE, 0)                                                                     \
    _(AL, ACCUMULATOR, 1)                                                              \
    _(AX, ACCUMULATOR, 0)                                                              \
    _(CL, NONE, 1)                                                                     \
    _(C1, NONE, 1)                                                                     \
    _(DX, NONE, 2)                                                                     \
    _(ES, FIXED_SEGMENT, 2)                                                            \
    _(CS, FIXED_SEGMENT, 2)                                                            \
    _(SS, FIXED_SEGMENT, 2)                                                            \
    _(DS, FIXED_SEGMENT, 2)                                                            \
    _(FS, FIXED_SEGMENT, 2)                                                            \
    _(GS, FIXED_SEGMENT, 2)

enum emu_operand {
#define KIND(name, encoding, size) EMU_OPERAND_##name,
    EMU_OPERANDS(KIND)
#undef KIND
};

enum emu_form {
    EMU_FORM_EG,
    EMU_FORM_GE,
    EMU_FORM_EI,
    EMU_FORM_ER,
    EMU_FORM_ES,
    EMU_FORM_GV,
    EMU_FORM_RV,
    EMU_FORM_CC,
    EMU_FORM_X
};

/* The traits of i386.def. */
enum {
    EMU_TRAIT_0 = 0,
    EMU_TRAIT_LOCK = 1,
    EMU_TRAIT_END = 2,
    EMU_TRAIT_CPL0 = 4,
    EMU_TRAIT_PROT = 8,
    EMU_TRAIT_IO = 16,
    EMU_TRAIT_FAULT = 32,
    EMU_TRAIT_NATIVE = 64,
    EMU_TRAIT_STEP = 128,
};

struct emu_row {
    uint16_t code;
    int8_t digit; /* -1 for none */
    uint8_t form;
    uint8_t operand[3];
    uint8_t traits;
    const char *name, *written, *undefined;
};

extern const struct emu_row emu_rows[];
extern const unsigned emu_row_count;

struct emu_insn {
    uint16_t row;   /* index into emu_rows */
    uint8_t length; /* bytes, prefixes included */
    uint8_t opcode; /* its last byte */
    uint8_t modrm;
    uint8_t repeat; /* 0, f2 or f3 */
    bool lock;
    bool memory;                /* a ModRM or offset operand is in memory: */
    uint8_t segment;            /* override or default; DS for string instructions */
    uint8_t base, index, scale; /* EMU_NO_REGISTER for none */
    uint32_t displacement;
    uint8_t operand_size; /* of v: 2 or 4 */
    uint8_t address_size; /* 2 or 4 */
    uint32_t immediate;   /* extended to 32 bits; the offset of a far pointer */
    uint32_t immediate2;  /* second one of ENTER; the selector of a far pointer */
};

enum emu_decoded {
    EMU_DECODED,
    EMU_DECODE_MORE,      /* the bytes end inside the instruction */
    EMU_DECODE_UNDEFINED, /* #UD */
    EMU_DECODE_TOO_LONG,  /* more than 15 bytes */
};

/* Decode one instruction from at most `size` bytes.  Reads no more of them than needed
 * to tell.  `ret_insn` is complete only with EMU_DECODED. */
enum emu_decoded emu_decode(const uint8_t *bytes, unsigned size, bool code32,
                            struct emu_insn *ret_insn);

#endif
