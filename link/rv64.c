/* SPDX-License-Identifier: MIT
 *
 * The instruction and relocation tables as data, and decoding.
 */
#include "link/internal.h"

#define NA                                                                             \
    {                                                                                  \
        LINK_ZERO_NA, 0, 0                                                             \
    }
#define IMM(c)                                                                         \
    {                                                                                  \
        LINK_ZERO_IMM, 0, c                                                            \
    }
#define SELF                                                                           \
    {                                                                                  \
        LINK_ZERO_SELF, 0, 0                                                           \
    }
#define LT_S                                                                           \
    {                                                                                  \
        LINK_ZERO_LT_S, 0, 0                                                           \
    }
#define LT_U                                                                           \
    {                                                                                  \
        LINK_ZERO_LT_U, 0, 0                                                           \
    }
#define COPY                                                                           \
    {                                                                                  \
        LINK_ZERO_COPY, 0, 0                                                           \
    }
#define OPI(op, c)                                                                     \
    {                                                                                  \
        LINK_ZERO_OPI, PVM_OP_##op, c                                                  \
    }
#define USE(op)                                                                        \
    {                                                                                  \
        LINK_ZERO_USE, PVM_OP_##op, 0                                                  \
    }
#define ALWAYS                                                                         \
    {                                                                                  \
        LINK_ZERO_ALWAYS, 0, 0                                                         \
    }
#define NEVER                                                                          \
    {                                                                                  \
        LINK_ZERO_NEVER, 0, 0                                                          \
    }
#define DIV0                                                                           \
    {                                                                                  \
        LINK_ZERO_DIV0, 0, 0                                                           \
    }
#define DIV0W                                                                          \
    {                                                                                  \
        LINK_ZERO_DIV0W, 0, 0                                                          \
    }
#define CLAMP(op)                                                                      \
    {                                                                                  \
        LINK_ZERO_CLAMP, PVM_OP_##op, 0                                                \
    }
#define NOTHING                                                                        \
    {                                                                                  \
        LINK_ZERO_NOTHING, 0, 0                                                        \
    }

const struct link_rv_info link_rv_info[LINK_RV_COUNT] = {
#define RV(name_, mask_, match_, form_, op_, z1_, z2_, zz_)                            \
    [LINK_RV_##name_] = {.name = #name_,                                               \
                         .mask = mask_,                                                \
                         .match = match_,                                              \
                         .form = LINK_FORM_##form_,                                    \
                         .op = PVM_OP_##op_,                                           \
                         .z1 = z1_,                                                    \
                         .z2 = z2_,                                                    \
                         .zz = zz_},
#include "link/rv64.def"
};

#undef NEVER
const struct link_reloc_info *link_reloc_info(uint32_t type)
{
    static const struct link_reloc_info info[LINK_RELOC_COUNT] = {
#define RELOC(number, name_, where_, width_)                                           \
    [number] = {                                                                       \
        .name = "R_RISCV_" #name_, .where = LINK_RELOC_##where_, .width = width_},
#include "link/reloc.def"
    };
    static const struct link_reloc_info unknown = {.name = "?"};
    return type < LINK_RELOC_COUNT && info[type].name ? &info[type] : &unknown;
}

unsigned link_form_operands(enum link_form form)
{
    switch (form) {
    case LINK_FORM_R3:
    case LINK_FORM_CMOV:
        return 7;
    case LINK_FORM_R2:
    case LINK_FORM_ORC_B:
    case LINK_FORM_I:
    case LINK_FORM_SH5:
    case LINK_FORM_SH6:
    case LINK_FORM_LOAD:
    case LINK_FORM_JALR:
        return 3;
    case LINK_FORM_STORE:
    case LINK_FORM_BRANCH:
        return 6;
    case LINK_FORM_LUI:
    case LINK_FORM_AUIPC:
    case LINK_FORM_JAL:
        return 1;
    case LINK_FORM_HOST:
    case LINK_FORM_NONE:
        break;
    }
    return 0;
}

static int32_t sign_extend(uint32_t value, unsigned bits)
{
    return (int32_t)(value << (32 - bits)) >> (32 - bits);
}

static uint32_t field(uint32_t bits, unsigned low, unsigned size)
{
    return bits >> low & ((1u << size) - 1);
}

static int32_t immediate(uint32_t bits, enum link_form form)
{
    switch (form) {
    case LINK_FORM_I:
    case LINK_FORM_LOAD:
    case LINK_FORM_JALR:
    case LINK_FORM_HOST:
        return sign_extend(field(bits, 20, 12), 12);
    case LINK_FORM_SH5:
        return (int32_t)field(bits, 20, 5);
    case LINK_FORM_SH6:
        return (int32_t)field(bits, 20, 6);
    case LINK_FORM_STORE:
        return sign_extend(field(bits, 25, 7) << 5 | field(bits, 7, 5), 12);
    case LINK_FORM_BRANCH:
        return sign_extend(field(bits, 31, 1) << 12 | field(bits, 7, 1) << 11 |
                               field(bits, 25, 6) << 5 | field(bits, 8, 4) << 1,
                           13);
    case LINK_FORM_LUI:
    case LINK_FORM_AUIPC:
        return (int32_t)(bits & 0xfffff000u);
    case LINK_FORM_JAL:
        return sign_extend(field(bits, 31, 1) << 20 | field(bits, 12, 8) << 12 |
                               field(bits, 20, 1) << 11 | field(bits, 21, 10) << 1,
                           21);
    case LINK_FORM_R3:
    case LINK_FORM_CMOV:
    case LINK_FORM_R2:
    case LINK_FORM_ORC_B:
    case LINK_FORM_NONE:
        break;
    }
    return 0;
}

bool link_rv_decode(uint32_t bits, struct link_word *ret_word)
{
    unsigned row = 0;
    while (row < LINK_RV_COUNT &&
           (bits & link_rv_info[row].mask) != link_rv_info[row].match)
        row++;
    if (row == LINK_RV_COUNT)
        return false;
    enum link_form form = (enum link_form)link_rv_info[row].form;
    unsigned operands = link_form_operands(form);
    ret_word->row = (uint8_t)row;
    ret_word->rd = operands & 1 ? (uint8_t)field(bits, 7, 5) : 0;
    ret_word->rs1 = operands & 2 ? (uint8_t)field(bits, 15, 5) : 0;
    ret_word->rs2 = operands & 4 ? (uint8_t)field(bits, 20, 5) : 0;
    ret_word->imm = immediate(bits, form);
    return true;
}
