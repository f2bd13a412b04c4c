/* SPDX-License-Identifier: MIT
 *
 * pvm/decode.h - the decoder [2], to be inlined where every instruction counts.
 * Private to pvm/; pvm_insn_decode() and its neighbours are made of this.
 *
 * There are no branches on the instruction: what formats differ in comes as shifts and
 * masks, because a walk over code sees them in an order that no CPU predicts.
 */
#ifndef PVM_DECODE_H
#define PVM_DECODE_H

#include "pvm/format.h"
#include "pvm/mutant.h"

#include <string.h>

/* Tables by the byte behind an opcode: ROW(high nibble, low nibble) 256 times. */
#define PVM_NIBBLES(ROW)                                                               \
    PVM_NIBBLES_OF(ROW, 0), PVM_NIBBLES_OF(ROW, 1), PVM_NIBBLES_OF(ROW, 2),            \
        PVM_NIBBLES_OF(ROW, 3), PVM_NIBBLES_OF(ROW, 4), PVM_NIBBLES_OF(ROW, 5),        \
        PVM_NIBBLES_OF(ROW, 6), PVM_NIBBLES_OF(ROW, 7), PVM_NIBBLES_OF(ROW, 8),        \
        PVM_NIBBLES_OF(ROW, 9), PVM_NIBBLES_OF(ROW, 10), PVM_NIBBLES_OF(ROW, 11),      \
        PVM_NIBBLES_OF(ROW, 12), PVM_NIBBLES_OF(ROW, 13), PVM_NIBBLES_OF(ROW, 14),     \
        PVM_NIBBLES_OF(ROW, 15)
#define PVM_NIBBLES_OF(ROW, high)                                                      \
    ROW(high, 0), ROW(high, 1), ROW(high, 2), ROW(high, 3), ROW(high, 4),              \
        ROW(high, 5), ROW(high, 6), ROW(high, 7), ROW(high, 8), ROW(high, 9),          \
        ROW(high, 10), ROW(high, 11), ROW(high, 12), ROW(high, 13), ROW(high, 14),     \
        ROW(high, 15)

/* The longest reach of a read: 3 bytes of head, 4 of X, and 8 where Y begins. */
enum { DECODE_WINDOW = 24 };

/* Behind an instruction with more bytes of code than this behind its opcode, neither
 * that nor the bitmask ends in what decoding it reads. */
enum { DECODE_INNER = 64 };

/* The code from `pc`, which is less than that, with the zeros that follow it. */
const uint8_t *pvm_code_end(const struct pvm_code *code, uint32_t pc,
                            uint8_t ret_window[DECODE_WINDOW]);

static inline const uint8_t *code_bytes(const struct pvm_code *code, uint32_t pc,
                                        uint8_t window[DECODE_WINDOW])
{
    return code->code.size - pc < DECODE_WINDOW ? pvm_code_end(code, pc, window)
                                                : code->code.data + pc;
}

/* mask_behind(first - 1) anywhere. */
uint32_t pvm_mask_behind_slow(const struct pvm_code *code, uint64_t first);

/* The first 25 mask bits behind pc, bit 0 first; bits behind the code are ones. */
static inline uint32_t mask_behind(const struct pvm_code *code, uint64_t pc)
{
    uint64_t first = pc + 1;
    if (first + 64 > code->code.size)
        return pvm_mask_behind_slow(code, first);
    uint64_t bits;
    memcpy(&bits, code->bitmask + (first >> 3), 8);
    return (uint32_t)(bits >> (first & 7));
}

static inline uint32_t mask_skip(uint32_t mask)
{
    return (uint32_t)__builtin_ctz(
        mask | 1u << MUTANT(skip_25, PVM_SKIP_MAX + 1, PVM_SKIP_MAX));
}

static inline uint32_t code_skip(const struct pvm_code *code, uint32_t pc)
{
    return mask_skip(mask_behind(code, pc));
}

/* The same with DECODE_INNER bytes behind pc. */
static inline uint32_t code_skip_inner(const uint8_t *bitmask, uint32_t pc)
{
    uint64_t bits;
    memcpy(&bits, bitmask + (pc + 1) / 8, 8);
    return mask_skip((uint32_t)(bits >> (pc + 1) % 8));
}

/* The bits that are set, without an instruction for it that not all CPUs have, and
 * inline. */
static inline uint32_t mask_count(uint64_t word)
{
    const uint64_t pairs = 0x5555555555555555, fours = 0x3333333333333333;
    const uint64_t bytes = 0x0f0f0f0f0f0f0f0f, sum = 0x0101010101010101;
    word -= word >> 1 & pairs;
    word = (word & fours) + (word >> 2 & fours);
    return (uint32_t)(((word + (word >> 4)) & bytes) * sum >> 56);
}

static inline unsigned insn_rest(const struct pvm_format_info *format, uint32_t skip)
{
    return skip + 1 < format->head_size ? 0 : skip + 1 - format->head_size;
}

static inline unsigned insn_x_size(const struct pvm_format_info *format, uint32_t skip,
                                   uint32_t head)
{
    unsigned size = insn_rest(format, skip) & format->rest_mask;
    unsigned mask =
        MUTANT(decode_x_nibble, format->size_mask ? 15 : 0, format->size_mask);
    size |= head >> format->size_shift & mask;
    unsigned whole = MUTANT(
        decode_offset_four, format->target && format->rest_mask ? 4 : size,
        MUTANT(decode_x_limited,
               mask && size > insn_rest(format, skip) ? insn_rest(format, skip) : size,
               size));
    return MUTANT(decode_x_seven, whole < 8 ? whole : 4, whole < 4 ? whole : 4) |
           format->fixed_size;
}

static inline unsigned insn_y_size(const struct pvm_format_info *format, uint32_t skip,
                                   unsigned x_size)
{
    unsigned before = format->head_size + x_size;
    if (!format->has_y || skip + 1 < before)
        return 0;
    unsigned size = skip + 1 - before;
    return size < 4 ? size : 4;
}

static inline uint8_t insn_reg(uint32_t value)
{
    return (uint8_t)MUTANT(decode_reg_mod_13, value % 13, value < 12 ? value : 12);
}

/* `size` bytes, sign-extended; there are 8 bytes to read. */
static inline int64_t insn_imm(const uint8_t *bytes, unsigned size)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    unsigned spare = 64 - 8 * size;
    return size ? (int64_t)(value << (spare & 63)) >> (spare & 63) : 0;
}

/* The immediates of any. */
struct insn_imms {
    int64_t x, y, target;
};

static inline struct insn_imms insn_imms(const struct pvm_format_info *format,
                                         uint32_t pc, uint32_t skip, uint32_t head,
                                         const uint8_t *imm)
{
    unsigned x_size = insn_x_size(format, skip, head);
    struct insn_imms imms = {.x = insn_imm(imm, x_size)};
    if (format->has_y)
        imms.y = insn_imm(imm + x_size, insn_y_size(format, skip, x_size));
    if (format->target) { /* the last immediate */
        imms.target = MUTANT(decode_target_next, (int64_t)pc + 1 + skip, (int64_t)pc) +
                      (format->has_y ? imms.y : imms.x);
        imms.x = format->has_y ? imms.x : 0;
        imms.y = 0;
    }
    return imms;
}

/* pvm_insn_decode(); *ret_head is the first three bytes, as in struct pvm_format_info.
 */
static inline bool insn_decode(const struct pvm_code *code, enum pvm_profile profile,
                               uint32_t pc, struct pvm_insn *ret_insn,
                               uint32_t *ret_head)
{
    if (!pvm_code_marked(code, pc))
        return false;
    uint8_t window[DECODE_WINDOW];
    const uint8_t *bytes = code_bytes(code, pc, window);
    uint32_t head;
    memcpy(&head, bytes, 4);
    head &= 0xffffff;
    const struct pvm_op_class *op = &pvm_op_class[head & 255];
    if (!(op->assigned >> profile & 1))
        return false;
    const struct pvm_format_info *format = &pvm_format_info[op->format];
    uint32_t skip = code_skip(code, pc);
    struct insn_imms imms =
        insn_imms(format, pc, skip, head, bytes + format->head_size);
    *ret_insn = (struct pvm_insn){
        .pc = pc,
        .op = (uint8_t)head,
        .size = (uint8_t)(1 + skip),
        .a = insn_reg(head >> format->a_shift & 15),
        .b = insn_reg(head >> format->b_shift & 15),
        .d = insn_reg(head >> format->d_shift &
                      MUTANT(decode_d_nibble, 15, format->d_mask)),
        .x = imms.x,
        .y = imms.y,
        .target = imms.target,
    };
    *ret_head = head;
    return true;
}

#endif
