/* SPDX-License-Identifier: MIT
 *
 * The opcode and format tables as data, and decoding [1, 2].
 */
#include "pvm/pvm.h"

#include "pvm/format.h"

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
    const struct pvm_op_info *info = &pvm_op_info[op];
    return info->name && (profile == PVM_PROFILE_JAVM || !(info->flags & PVM_OP_JAVM));
}

bool pvm_op_terminates(enum pvm_profile profile, uint8_t op)
{
    unsigned ends = PVM_OP_T | (profile == PVM_PROFILE_JAVM ? PVM_OP_TJ : 0u);
    return pvm_op_assigned(profile, op) && (pvm_op_info[op].flags & ends);
}

const struct pvm_format_info pvm_format_info[] = {
#define A PVM_ROLE_A
#define B PVM_ROLE_B
#define D PVM_ROLE_D
    /* low1, high1, byte2, head_size, x_size, has_y, target */
    [PVM_FORMAT_NONE] = {0, 0, 0, 1, PVM_X_NONE, false, false},
    [PVM_FORMAT_X] = {0, 0, 0, 1, PVM_X_REST, false, false},
    [PVM_FORMAT_A_X64] = {A, 0, 0, 2, PVM_X_FIXED, false, false},
    [PVM_FORMAT_X_Y] = {0, 0, 0, 2, PVM_X_LOW1, true, false},
    [PVM_FORMAT_T] = {0, 0, 0, 1, PVM_X_REST, false, true},
    [PVM_FORMAT_A_X] = {A, 0, 0, 2, PVM_X_REST, false, false},
    [PVM_FORMAT_A_X_Y] = {A, 0, 0, 2, PVM_X_HIGH1, true, false},
    [PVM_FORMAT_A_X_T] = {A, 0, 0, 2, PVM_X_HIGH1, true, true},
    [PVM_FORMAT_D_A] = {D, A, 0, 2, PVM_X_NONE, false, false},
    [PVM_FORMAT_A_B_X] = {A, B, 0, 2, PVM_X_REST, false, false},
    [PVM_FORMAT_A_B_T] = {A, B, 0, 2, PVM_X_REST, false, true},
    [PVM_FORMAT_A_B_X_Y] = {A, B, 0, 3, PVM_X_LOW2, true, false},
    [PVM_FORMAT_D_A_B] = {A, B, D, 3, PVM_X_NONE, false, false},
#undef A
#undef B
#undef D
};

uint64_t pvm_code_jump(const struct pvm_code *code, uint32_t index)
{
    uint64_t value = 0;
    const uint8_t *entry = code->jump + (size_t)index * code->jump_width;
    for (unsigned i = 0; i < code->jump_width; i++)
        value |= (uint64_t)entry[i] << (8 * i);
    return value;
}

/* The first 25 mask bits behind pc, bit 0 first; bits behind the code are ones. */
static uint32_t mask_behind(const struct pvm_code *code, uint64_t pc)
{
    uint64_t first = pc + 1, size = code->code.size;
    if (first >= size)
        return UINT32_MAX;
    uint64_t bits = 0;
    size_t byte = (size_t)(first >> 3), byte_count = (size_t)((size + 7) >> 3);
    if (byte + 8 <= byte_count && size - first >= 32) {
        memcpy(&bits, code->bitmask + byte, 8);
        return (uint32_t)(bits >> (first & 7));
    }
    for (unsigned i = 0; i < 5 && byte + i < byte_count; i++)
        bits |= (uint64_t)code->bitmask[byte + i] << (8 * i);
    bits >>= first & 7;
    if (size - first < 32)
        bits |= UINT64_MAX << (size - first);
    return (uint32_t)bits;
}

uint32_t pvm_code_skip(const struct pvm_code *code, uint32_t pc)
{
    uint32_t bits = mask_behind(code, pc) | 1u << PVM_SKIP_MAX;
    return (uint32_t)__builtin_ctz(bits);
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

static uint8_t reg_of(uint8_t value)
{
    return value < 12 ? value : 12;
}

static unsigned min4(int64_t value)
{
    return value < 0 ? 0 : value > 4 ? 4 : (unsigned)value;
}

void pvm_insn_sizes(const struct pvm_format_info *format, uint32_t skip, uint8_t b1,
                    uint8_t b2, unsigned *ret_x_size, unsigned *ret_y_size)
{
    int64_t rest = (int64_t)skip + 1 - format->head_size;
    unsigned x_size = 0;
    switch ((enum pvm_x_size)format->x_size) {
    case PVM_X_NONE:
        break;
    case PVM_X_REST:
        x_size = min4(rest);
        break;
    case PVM_X_LOW1:
        x_size = min4(b1 & 7);
        break;
    case PVM_X_HIGH1:
        x_size = min4(b1 >> 4 & 7);
        break;
    case PVM_X_LOW2:
        x_size = min4(b2 & 7);
        break;
    case PVM_X_FIXED:
        x_size = 8;
        break;
    }
    *ret_x_size = x_size;
    *ret_y_size = format->has_y ? min4(rest - (int64_t)x_size) : 0;
}

/* X_n of 8 available bytes: the low n, sign-extended; X_0 = 0. */
/* `size` bytes, sign-extended; there are 8 bytes to read. */
static int64_t imm_of(const uint8_t *bytes, unsigned size)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    unsigned spare = 64 - 8 * size;
    return size ? (int64_t)(value << spare) >> spare : 0;
}

bool pvm_insn_decode(const struct pvm_code *code, enum pvm_profile profile, uint32_t pc,
                     struct pvm_insn *ret_insn)
{
    if (!pvm_code_ok(code, profile, pc))
        return false;
    /* The longest reach is head 3 + X 4 + Y 4; zeta is zero behind the code. */
    uint8_t window[24] = {0};
    size_t left = code->code.size - pc;
    if (left >= 16)
        memcpy(window, code->code.data + pc, 16);
    else
        memcpy(window, code->code.data + pc, left);

    const struct pvm_format_info *format = pvm_format_of(window[0]);
    uint32_t skip = pvm_code_skip(code, pc);
    struct pvm_insn insn = {.pc = pc, .op = window[0], .size = (uint8_t)(1 + skip)};
    uint8_t role[4] = {0};
    role[format->low1] = reg_of(window[1] & 15);
    role[format->high1] = reg_of(window[1] >> 4);
    role[format->byte2] = reg_of(window[2]);
    insn.a = role[PVM_ROLE_A];
    insn.b = role[PVM_ROLE_B];
    insn.d = role[PVM_ROLE_D];

    unsigned x_size, y_size;
    pvm_insn_sizes(format, skip, window[1], window[2], &x_size, &y_size);
    insn.x = imm_of(window + format->head_size, x_size);
    insn.y = imm_of(window + format->head_size + x_size, y_size);
    if (format->target) {
        int64_t *offset = format->has_y ? &insn.y : &insn.x;
        insn.target = (int64_t)pc + *offset;
        *offset = 0;
    }
    *ret_insn = insn;
    return true;
}
