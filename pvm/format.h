/* SPDX-License-Identifier: MIT
 *
 * pvm/format.h - private to pvm/: the instruction formats of pvm-exec.md chapter 2 as
 * data, so that decoder, encoder, disassembler and assembler cannot disagree.
 */
#ifndef PVM_FORMAT_H
#define PVM_FORMAT_H

#include "pvm/mutant.h"
#include "pvm/pvm.h"

/* Which field of struct pvm_insn a register nibble or byte stands for. */
enum pvm_role {
    PVM_ROLE_NONE,
    PVM_ROLE_A,
    PVM_ROLE_B,
    PVM_ROLE_D,
};

/* Where the size of X comes from. */
enum pvm_x_size {
    PVM_X_NONE,  /* there is no X */
    PVM_X_REST,  /* what the skip leaves, at most 4 */
    PVM_X_LOW1,  /* bits 0..2 of byte 1 */
    PVM_X_HIGH1, /* bits 4..6 of byte 1 */
    PVM_X_LOW2,  /* bits 0..2 of byte 2 */
    PVM_X_FIXED, /* 8 bytes */
};

struct pvm_format_info {
    uint8_t low1, high1, byte2; /* enum pvm_role */
    uint8_t head_size;          /* bytes before X */
    uint8_t x_size;             /* enum pvm_x_size */
    bool has_y;
    bool target; /* the last immediate is an offset */
    /* The same for the decoder, which looks at the first three bytes as one number, the
     * opcode in its low byte: where registers and the size of X are (24: nowhere). */
    uint8_t a_shift, b_shift, d_shift, d_mask;
    uint8_t size_shift, size_mask;
    uint8_t rest_mask;  /* 255 for PVM_X_REST */
    uint8_t fixed_size; /* 8 for PVM_X_FIXED */
};

extern const struct pvm_format_info pvm_format_info[];

static inline const struct pvm_format_info *pvm_format_of(uint8_t op)
{
    return &pvm_format_info[pvm_op_info[op].format];
}

/* For struct pvm_op_class's `spare`: heads of 0 to 2 bytes, skips of up to 31. */
enum { PVM_PLAIN_ROWS = 3, PVM_PLAIN_SKIPS = 32 };

/* What walks over code ask of an opcode. */
struct pvm_op_class {
    uint8_t assigned; /* pvm_op_assigned(), as bit 1 << profile */
    uint8_t ends;     /* pvm_op_terminates(), likewise */
    /* It is plain and ends nothing, likewise: no Y, no target, and X is what the skip
     * leaves, if there is one. */
    uint8_t inner;
    uint8_t format;
    uint8_t stores; /* 1: it stores to memory */
    /* For decoding without a look at the format. */
    uint8_t head_size;
    uint8_t spare; /* PVM_PLAIN_SKIPS times the bytes in front of an X that is what the
                      skip leaves; 0: there is none */
    uint8_t d_shift; /* 32: the low nibble is D, the high one A; 0: they are A and B */
    uint8_t d_large; /* the bits of the byte D that name the last register */
    bool plain;
    uint8_t unused[6];
};
extern const struct pvm_op_class pvm_op_class[256];

static inline bool op_class_ends(const struct pvm_op_class *op,
                                 enum pvm_profile profile)
{
    return (op->ends &
            1u << MUTANT(ends_tj_never, 0, MUTANT(ends_tj_always, 1, profile))) != 0;
}

static inline bool pvm_op_ends(enum pvm_profile profile, uint8_t op)
{
    return op_class_ends(&pvm_op_class[op], profile);
}

/*
 * The operands of an instruction in text, one character each, for the disassembler and
 * the assembler:
 *
 *   a b d   a register            x y   an immediate of 0..4 bytes
 *   w       X with 64 bits        t     the target, "@24" or a label
 *   M       "[X]"                 I J   "[A + X]", "[B + X]"
 */
const char *pvm_op_operands(uint8_t op);

/* Bytes of a label's name; no digit in front. */
static inline bool pvm_asm_name_byte(uint8_t byte, bool inner)
{
    bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    bool digit = byte >= '0' && byte <= '9';
    return letter || byte == '_' || byte == '.' || byte == '$' || (inner && digit);
}

/* The bytes that X and Y of the instruction occupy when `skip` follows its opcode and
 * `b1`, `b2` are the two bytes behind it. */
void pvm_insn_sizes(const struct pvm_format_info *format, uint32_t skip, uint8_t b1,
                    uint8_t b2, unsigned *ret_x_size, unsigned *ret_y_size);

#endif
