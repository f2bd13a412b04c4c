/* SPDX-License-Identifier: MIT
 *
 * The opcode and format tables as data, and decoding [1, 2].
 */
#include "pvm/pvm.h"

#include "pvm/decode.h"
#include "pvm/mutant.h"

#include <string.h>

const struct pvm_op_info pvm_op_info[256] = {
#define T PVM_OP_T
#define TJ PVM_OP_TJ
#define JAVM PVM_OP_JAVM
#define LOAD PVM_OP_LOAD
#define STORE PVM_OP_STORE
#define COND PVM_OP_COND
#define JUMP PVM_OP_JUMP
#define DYN PVM_OP_DYN
#define CALL PVM_OP_CALL
#define SINK PVM_OP_SINK
#define OP(code, name_, format_, flags_, text_)                                        \
    [code] = {.name = #name_,                                                          \
              .text = text_,                                                           \
              .flags = flags_,                                                         \
              .format = PVM_FORMAT_##format_},
#include "pvm/opcodes.def"
};

/* ---- formats ---- */

/* Where the size of X is written, if it is. */
enum {
    SIZE_SHIFT_NONE = 0,
    SIZE_SHIFT_REST = 0,
    SIZE_SHIFT_FIXED = 0,
    SIZE_SHIFT_LOW1 = 8,
    SIZE_SHIFT_HIGH1 = 12,
    SIZE_SHIFT_LOW2 = 16,
};

#define A PVM_ROLE_A
#define B PVM_ROLE_B
#define D PVM_ROLE_D
#define SHIFT(role, low1, high1, byte2)                                                \
    ((low1) == (role) ? 8 : (high1) == (role) ? 12 : (byte2) == (role) ? 16 : 24)

/* ROW(format, low1, high1, byte2, head_size, x_size, has_y, target) */
#define FORMATS                                                                        \
    ROW(NONE, 0, 0, 0, 1, NONE, false, false)                                          \
    ROW(X, 0, 0, 0, 1, REST, false, false)                                             \
    ROW(A_X64, A, 0, 0, 2, FIXED, false, false)                                        \
    ROW(X_Y, 0, 0, 0, 2, LOW1, true, false)                                            \
    ROW(T, 0, 0, 0, 1, REST, false, true)                                              \
    ROW(A_X, A, 0, 0, 2, REST, false, false)                                           \
    ROW(A_X_Y, A, 0, 0, 2, HIGH1, true, false)                                         \
    ROW(A_X_T, A, 0, 0, 2, HIGH1, true, true)                                          \
    ROW(D_A, D, A, 0, 2, NONE, false, false)                                           \
    ROW(A_B_X, A, B, 0, 2, REST, false, false)                                         \
    ROW(A_B_T, A, B, 0, 2, REST, false, true)                                          \
    ROW(A_B_X_Y, A, B, 0, 3, LOW2, true, false)                                        \
    ROW(D_A_B, A, B, D, 3, NONE, false, false)

/* What rows of opcodes take over of their formats. */
enum {
#define ROW(name, low1_, high1_, byte2_, head_size_, x_size_, has_y_, target_)         \
    HEAD_SIZE_##name = head_size_,                                                     \
    PLAIN_##name = !(has_y_) && !(target_) && PVM_X_##x_size_ <= PVM_X_REST,           \
    SPARE_##name = PVM_X_##x_size_ == PVM_X_REST ? (head_size_)*PVM_PLAIN_SKIPS : 0,   \
    D_SHIFT_##name = (low1_) == D ? 32 : 0, D_LARGE_##name = (byte2_) == D ? 0xf0 : 0,
    FORMATS
#undef ROW
};

/* ---- opcodes ---- */

enum { VECTORS = 1 << PVM_PROFILE_VECTORS, BOTH = VECTORS | 1 << PVM_PROFILE_JAVM };

/* The profiles that assign an opcode, and those in which it ends a block. */
#define ASSIGNED(flags) ((flags)&JAVM ? BOTH & ~VECTORS : BOTH)
#define ENDS(flags)                                                                    \
    (ASSIGNED(flags) & ((flags)&T ? BOTH : (flags)&TJ ? BOTH & ~VECTORS : 0))

const struct pvm_op_class pvm_op_class[256] = {
#define OP(code, name_, format_, flags_, text_)                                        \
    [code] = {                                                                         \
        .assigned = ASSIGNED(flags_),                                                  \
        .ends = ENDS(flags_),                                                          \
        .format = PVM_FORMAT_##format_,                                                \
        .stores = ((flags_)&STORE) != 0,                                               \
        .head_size = HEAD_SIZE_##format_,                                              \
        .plain = PLAIN_##format_,                                                      \
        .inner = PLAIN_##format_ ? ASSIGNED(flags_) & ~ENDS(flags_) : 0,               \
        .spare = SPARE_##format_,                                                      \
        .d_large = D_LARGE_##format_,                                                  \
        .d_shift = D_SHIFT_##format_,                                                  \
    },
#include "pvm/opcodes.def"
#undef ASSIGNED
#undef ENDS
#undef T
#undef TJ
#undef JAVM
#undef LOAD
#undef STORE
#undef COND
#undef JUMP
#undef DYN
#undef CALL
#undef SINK
};

const char *pvm_op_operands(uint8_t op)
{
    static const char *const plain[] = {
        [PVM_FORMAT_NONE] = "",     [PVM_FORMAT_X] = "x",
        [PVM_FORMAT_A_X64] = "aw",  [PVM_FORMAT_X_Y] = "xy",
        [PVM_FORMAT_T] = "t",       [PVM_FORMAT_A_X] = "ax",
        [PVM_FORMAT_A_X_Y] = "axy", [PVM_FORMAT_A_X_T] = "axt",
        [PVM_FORMAT_D_A] = "da",    [PVM_FORMAT_A_B_X] = "abx",
        [PVM_FORMAT_A_B_T] = "abt", [PVM_FORMAT_A_B_X_Y] = "abxy",
        [PVM_FORMAT_D_A_B] = "dab",
    };
    static const char *const memory[] = {
        [PVM_FORMAT_X_Y] = "My",
        [PVM_FORMAT_A_X] = "aM",
        [PVM_FORMAT_A_X_Y] = "Iy",
        [PVM_FORMAT_A_B_X] = "aJ",
    };
    const struct pvm_op_info *info = &pvm_op_info[op];
    if (info->flags & (PVM_OP_LOAD | PVM_OP_STORE))
        return memory[info->format];
    return plain[info->format];
}

const char *const pvm_reg_name[PVM_REG_COUNT] = {
    "ra", "sp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
};

const char *pvm_profile_name(enum pvm_profile profile)
{
    return profile == PVM_PROFILE_JAVM ? "javm" : "vectors";
}

bool pvm_op_assigned(enum pvm_profile profile, uint8_t op)
{
    return pvm_op_class[op].assigned >> profile & 1;
}

bool pvm_op_terminates(enum pvm_profile profile, uint8_t op)
{
    return pvm_op_ends(profile, op);
}

const struct pvm_format_info pvm_format_info[] = {
#define ROW(name, low1_, high1_, byte2_, head_size_, x_size_, has_y_, target_)         \
    [PVM_FORMAT_##name] = {                                                            \
        .low1 = low1_,                                                                 \
        .high1 = high1_,                                                               \
        .byte2 = byte2_,                                                               \
        .head_size = head_size_,                                                       \
        .x_size = PVM_X_##x_size_,                                                     \
        .has_y = has_y_,                                                               \
        .target = target_,                                                             \
        .a_shift = SHIFT(A, low1_, high1_, byte2_),                                    \
        .b_shift = SHIFT(B, low1_, high1_, byte2_),                                    \
        .d_shift = SHIFT(D, low1_, high1_, byte2_),                                    \
        .d_mask = (byte2_) == D ? 255 : 15, /* a whole byte names a register, too */   \
        .size_shift = SIZE_SHIFT_##x_size_,                                            \
        .size_mask = SIZE_SHIFT_##x_size_ ? 7 : 0,                                     \
        .rest_mask = PVM_X_##x_size_ == PVM_X_REST ? 255 : 0,                          \
        .fixed_size = PVM_X_##x_size_ == PVM_X_FIXED ? 8 : 0,                          \
    },
    FORMATS
#undef ROW
};
#undef A
#undef B
#undef D
#undef SHIFT
#undef FORMATS

uint64_t pvm_code_jump(const struct pvm_code *code, uint32_t index)
{
    uint64_t value = 0;
    const uint8_t *entry = code->jump + (size_t)index * code->jump_width;
    for (unsigned i = 0; i < code->jump_width; i++)
        value |= (uint64_t)entry[i] << (8 * i);
    return MUTANT(table_entry_32, (uint32_t)value, value);
}

uint32_t pvm_mask_behind_slow(const struct pvm_code *code, uint64_t first)
{
    uint64_t size = code->code.size;
    if (first >= size)
        return UINT32_MAX;
    uint64_t bits = 0;
    size_t byte = (size_t)(first >> 3), byte_count = (size_t)((size + 7) >> 3);
    for (unsigned i = 0; i < 5 && byte + i < byte_count; i++)
        bits |= (uint64_t)code->bitmask[byte + i] << (8 * i);
    bits >>= first & 7;
    if (size - first < 32)
        bits |= MUTANT(skip_no_end, 0, UINT64_MAX << (size - first));
    return (uint32_t)bits;
}

uint32_t pvm_code_skip(const struct pvm_code *code, uint32_t pc)
{
    return code_skip(code, pc);
}

bool pvm_code_ok(const struct pvm_code *code, enum pvm_profile profile, uint32_t pc)
{
    return pvm_code_marked(code, pc) && pvm_op_assigned(profile, code->code.data[pc]);
}

bool pvm_code_valid(const struct pvm_code *code, enum pvm_profile profile)
{
    uint32_t pc = 0;
    while (pc == 0 || pc != code->code.size) {
        if (!pvm_code_ok(code, profile, pc))
            return false;
        pc += 1 + pvm_code_skip(code, pc);
    }
    return true;
}

void pvm_insn_sizes(const struct pvm_format_info *format, uint32_t skip, uint8_t b1,
                    uint8_t b2, unsigned *ret_x_size, unsigned *ret_y_size)
{
    uint32_t head = (uint32_t)b1 << 8 | (uint32_t)b2 << 16;
    *ret_x_size = insn_x_size(format, skip, head);
    *ret_y_size = insn_y_size(format, skip, *ret_x_size);
}

const uint8_t *pvm_code_end(const struct pvm_code *code, uint32_t pc,
                            uint8_t ret_window[DECODE_WINDOW])
{
    memset(
        ret_window,
        MUTANT(decode_tail_ones, 0xff, MUTANT(decode_tail_stale, *code->code.data, 0)),
        DECODE_WINDOW);
    memcpy(ret_window, code->code.data + pc, code->code.size - pc);
    return ret_window;
}

bool pvm_insn_decode(const struct pvm_code *code, enum pvm_profile profile, uint32_t pc,
                     struct pvm_insn *ret_insn)
{
    uint32_t head;
    return insn_decode(code, profile, pc, ret_insn, &head);
}
