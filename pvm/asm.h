/* SPDX-License-Identifier: MIT
 *
 * pvm/asm.h - private to pvm/: the assembler's text and what is made of it.
 *
 * Text is lines; ';' begins a comment.  A line holds any number of labels, then at
 * most one statement:
 *
 *   loop:                     a label; letters, digits and _ . $, no digit first
 *   @24:                      a claim: this position is 24, else the line is an error
 *   add_imm_64 a1, sp, 0x100  an instruction; operands as in pvm/opcodes.def's format
 *   load_ind_u32 a0, [sp - 8]
 *   branch_eq a0, a1, loop    a target is a label or an absolute position: @24
 *   .insn ff 00 01            an instruction as bytes: the mask is set at the first
 *   .data 00 01               bytes where the mask is not set
 *   .jump loop, @24           further entries of the jump table, of any value
 *   .jump_width 2             bytes of an entry (0..8); without it, the least
 *
 * Immediates and offsets take the least number of bytes that holds them; ":n" behind
 * one asks for n bytes (0..4): "load_imm a0, 5:4", "jump @24:2".
 *
 * Positions do not depend on labels' names, and text without labels is laid out in one
 * way only; that is why listings use positions.  Offsets to labels grow until all fit.
 */
#ifndef PVM_ASM_H
#define PVM_ASM_H

#include "pvm/format.h"
#include "pvm/pvm.h"

enum { PVM_ASM_SIZE_AUTO = 0xff };

enum pvm_asm_kind {
    PVM_ASM_INSN,
    PVM_ASM_BYTES,
    PVM_ASM_LABEL,
    PVM_ASM_CLAIM,
};

/* A name in the text. */
struct pvm_asm_name {
    uint32_t at;
    uint32_t size;
};

/* One thing of the text, in order. */
struct pvm_asm_item {
    uint32_t line;
    uint32_t pc; /* as laid out */
    uint8_t kind;
    uint8_t op, a, b, d;
    uint8_t x_size, y_size;
    bool auto_size; /* the target's size may be chosen */
    bool to_label;  /* the target is `name`, and from layout on `label` */
    bool marked;    /* bytes: .insn */
    int64_t x;
    union {
        int64_t y; /* or the target, or the claimed position */
        struct pvm_asm_name name;
        uint32_t label; /* index of an item */
        struct {
            uint32_t at, size; /* in the raw bytes */
        } raw;
    };
};

/* One entry of the jump table. */
struct pvm_asm_jump {
    uint64_t value;
    struct pvm_asm_name name; /* size 0: it is `value` */
    uint32_t line;
};

struct pvm_asm {
    struct bytes text;
    uint32_t line;
    struct buf item;     /* struct pvm_asm_item */
    struct buf jump;     /* struct pvm_asm_jump */
    struct buf raw;      /* the bytes of .insn and .data */
    unsigned jump_width; /* PVM_ASM_SIZE_AUTO */
    struct pvm_asm_error *error;
    uint8_t by_name[256]; /* assigned opcodes in order of their names */
    unsigned name_count;
};

/* Fill the error: "message 'detail'", or the message alone for an empty detail.
 * Answers ERR_pvm_asm. */
enum err pvm_asm_fail(struct pvm_asm *a, uint32_t line, const char *message,
                      struct bytes detail);

/* Text to items. */
ERR_MUST_CHECK enum err pvm_asm_parse(struct pvm_asm *a);

#endif
