/* SPDX-License-Identifier: MIT
 *
 * The opcode table as data, and decoding [1, 2].
 */
#include "pvm/pvm.h"

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
    [code] = {.name = #name_, .text = text_, .flags = flags_,                          \
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

/* `size` bytes of zeta at `at`, little-endian [1.1]: zero behind the code. */
static uint64_t zeta(const struct pvm_code *code, uint64_t at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        if (at + i < code->code.size)
            value |= (uint64_t)code->code.data[at + i] << (8 * i);
    }
    return value;
}

/* X_n: the same, sign-extended from 8n bits. */
static int64_t zeta_signed(const struct pvm_code *code, uint64_t at, unsigned size)
{
    if (!size)
        return 0;
    unsigned shift = 64 - 8 * size;
    return (int64_t)(zeta(code, at, size) << shift) >> shift;
}

uint64_t pvm_code_jump(const struct pvm_code *code, uint32_t index)
{
    uint64_t value = 0;
    const uint8_t *entry = code->jump + (size_t)index * code->jump_width;
    for (unsigned i = 0; i < code->jump_width; i++)
        value |= (uint64_t)entry[i] << (8 * i);
    return value;
}

uint32_t pvm_code_skip(const struct pvm_code *code, uint32_t pc)
{
    for (uint32_t j = 0; j < PVM_SKIP_MAX; j++) {
        uint64_t at = (uint64_t)pc + 1 + j;
        if (at >= code->code.size || pvm_code_marked(code, (uint32_t)at))
            return j;
    }
    return PVM_SKIP_MAX;
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

static uint8_t reg_of(uint64_t value)
{
    return (uint8_t)(value < 12 ? value : 12);
}

static unsigned min4(int64_t value)
{
    return value < 0 ? 0 : value > 4 ? 4 : (unsigned)value;
}

bool pvm_insn_decode(const struct pvm_code *code, enum pvm_profile profile, uint32_t pc,
                     struct pvm_insn *ret_insn)
{
    if (!pvm_code_ok(code, profile, pc))
        return false;
    int64_t skip = pvm_code_skip(code, pc);
    uint8_t op = code->code.data[pc];
    uint64_t b1 = zeta(code, (uint64_t)pc + 1, 1);
    uint64_t b2 = zeta(code, (uint64_t)pc + 2, 1);
    uint64_t at = (uint64_t)pc + 2; /* of X in most formats */
    uint8_t low = reg_of(b1 & 15), high = reg_of(b1 >> 4);
    unsigned x_size = min4(skip - 1);
    struct pvm_insn insn = {.pc = pc, .op = op, .size = (uint8_t)(1 + skip)};

    switch ((enum pvm_format)pvm_op_info[op].format) {
    case PVM_FORMAT_NONE:
        break;
    case PVM_FORMAT_X:
        insn.x = zeta_signed(code, (uint64_t)pc + 1, min4(skip));
        break;
    case PVM_FORMAT_A_X64:
        insn.a = low;
        insn.x = (int64_t)zeta(code, at, 8);
        break;
    case PVM_FORMAT_X_Y:
        x_size = min4((int64_t)(b1 & 7));
        insn.x = zeta_signed(code, at, x_size);
        insn.y = zeta_signed(code, at + x_size, min4(skip - (int64_t)x_size - 1));
        break;
    case PVM_FORMAT_T:
        insn.target = pc + zeta_signed(code, (uint64_t)pc + 1, min4(skip));
        break;
    case PVM_FORMAT_A_X:
        insn.a = low;
        insn.x = zeta_signed(code, at, x_size);
        break;
    case PVM_FORMAT_A_X_Y:
    case PVM_FORMAT_A_X_T:
        x_size = min4((int64_t)(b1 >> 4 & 7));
        insn.a = low;
        insn.x = zeta_signed(code, at, x_size);
        insn.y = zeta_signed(code, at + x_size, min4(skip - (int64_t)x_size - 1));
        if (pvm_op_info[op].format == PVM_FORMAT_A_X_T) {
            insn.target = pc + insn.y;
            insn.y = 0;
        }
        break;
    case PVM_FORMAT_D_A:
        insn.d = low;
        insn.a = high;
        break;
    case PVM_FORMAT_A_B_X:
        insn.a = low;
        insn.b = high;
        insn.x = zeta_signed(code, at, x_size);
        break;
    case PVM_FORMAT_A_B_T:
        insn.a = low;
        insn.b = high;
        insn.target = pc + zeta_signed(code, at, x_size);
        break;
    case PVM_FORMAT_A_B_X_Y:
        x_size = min4((int64_t)(b2 & 7));
        insn.a = low;
        insn.b = high;
        insn.x = zeta_signed(code, at + 1, x_size);
        insn.y = zeta_signed(code, at + 1 + x_size, min4(skip - (int64_t)x_size - 2));
        break;
    case PVM_FORMAT_D_A_B:
        insn.a = low;
        insn.b = high;
        insn.d = reg_of(b2);
        break;
    }
    *ret_insn = insn;
    return true;
}
