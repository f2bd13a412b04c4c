/* SPDX-License-Identifier: MIT
 *
 * From a decoded instruction to an op: which handler, and where its operands are.
 */
#include "emu/exec.h"

#include "base/err.h"

/* Handlers of a row: by size (8, 16, 32) and by register or memory; see pick(). */
struct handlers {
    emu_run_fn *run[17];
};

#define SIX(name)                                                                      \
    {                                                                                  \
        {                                                                              \
            emu_op_##name##_r8, emu_op_##name##_m8, emu_op_##name##_r16,               \
                emu_op_##name##_m16, emu_op_##name##_r32, emu_op_##name##_m32,         \
                emu_flat_##name##_m8, emu_flat_##name##_m16, emu_flat_##name##_m32     \
        }                                                                              \
    }
#define FOUR(name)                                                                     \
    {                                                                                  \
        {                                                                              \
            NULL, NULL, emu_op_##name##_r16, emu_op_##name##_m16, emu_op_##name##_r32, \
                emu_op_##name##_m32                                                    \
        }                                                                              \
    }
#define FOUR_FLAT(name)                                                                \
    {                                                                                  \
        {                                                                              \
            NULL, NULL, emu_op_##name##_r16, emu_op_##name##_m16, emu_op_##name##_r32, \
                emu_op_##name##_m32, NULL, emu_flat_##name##_m16,                      \
                emu_flat_##name##_m32                                                  \
        }                                                                              \
    }
#define FORM_EG(name) SIX(name##_EG)
#define FORM_GE(name) SIX(name##_GE)
#define FORM_EI(name) SIX(name##_EI)
#define FORM_ER(name) SIX(name)
#define FORM_GV(name) FOUR_FLAT(name)
#define FORM_RV(name) FOUR(name)
#define FORM_ES(name)                                                                  \
    {                                                                                  \
        {                                                                              \
            emu_op_##name##_any, emu_op_##name##_i32                                   \
        }                                                                              \
    }
#define FORM_X(name)                                                                   \
    {                                                                                  \
        {                                                                              \
            emu_op_##name                                                              \
        }                                                                              \
    }
#define FORM_CC(name)                                                                  \
    {                                                                                  \
        {                                                                              \
            emu_op_##name##_0, emu_op_##name##_1, emu_op_##name##_2,                   \
                emu_op_##name##_3, emu_op_##name##_4, emu_op_##name##_5,               \
                emu_op_##name##_6, emu_op_##name##_7, emu_op_##name##_8,               \
                emu_op_##name##_9, emu_op_##name##_10, emu_op_##name##_11,             \
                emu_op_##name##_12, emu_op_##name##_13, emu_op_##name##_14,            \
                emu_op_##name##_15, emu_op_##name##_16                                 \
        }                                                                              \
    }

static const struct handlers handlers[] = {
#define INSN(code, name, form, a, b, c, written, undefined, traits) FORM_##form(name),
#define INSN_GROUP(code, digit, name, form, a, b, c, written, undefined, traits)       \
    FORM_##form(name),
#include "emu/i386.def"
};

static const uint8_t operand_size[] = {
#define KIND(name, encoding, size) [EMU_OPERAND_##name] = size,
    EMU_OPERANDS(KIND)
#undef KIND
};

/* A byte register as an index into cpu->byte: AL CL DL BL AH CH DH BH. */
static uint8_t register_index(unsigned number, unsigned size)
{
    return (uint8_t)(size == 1 ? (number & 3) * 4 + (number >> 2) : number);
}

/* The register or segment that an operand names; 0 if it names none. */
static uint8_t operand_register(const struct emu_insn *insn, enum emu_operand operand,
                                unsigned size)
{
    unsigned rm = insn->modrm & 7, reg = insn->modrm >> 3 & 7;
    switch ((int)operand) {
    case EMU_OPERAND_Eb:
    case EMU_OPERAND_Ew:
    case EMU_OPERAND_Ev:
    case EMU_OPERAND_Rd:
        return register_index(rm, size);
    case EMU_OPERAND_Gb:
    case EMU_OPERAND_Gw:
    case EMU_OPERAND_Gv:
    case EMU_OPERAND_Cd:
    case EMU_OPERAND_Dd:
    case EMU_OPERAND_Sw:
        return register_index(reg, size);
    case EMU_OPERAND_Zb:
    case EMU_OPERAND_Zv:
        return register_index(insn->opcode & 7, size);
    case EMU_OPERAND_ES:
        return EMU_ES;
    case EMU_OPERAND_CS:
        return EMU_CS;
    case EMU_OPERAND_SS:
        return EMU_SS;
    case EMU_OPERAND_DS:
        return EMU_DS;
    case EMU_OPERAND_FS:
        return EMU_FS;
    case EMU_OPERAND_GS:
        return EMU_GS;
    default:
        return 0;
    }
}

static bool has_operand(const struct emu_row *row, enum emu_operand operand)
{
    return row->operand[0] == operand || row->operand[1] == operand ||
           row->operand[2] == operand;
}

static bool has_immediate(const struct emu_row *row)
{
    static const uint8_t kinds[] = {EMU_OPERAND_Ib, EMU_OPERAND_Iw, EMU_OPERAND_Iv,
                                    EMU_OPERAND_Is, EMU_OPERAND_Jb, EMU_OPERAND_Jv,
                                    EMU_OPERAND_Ap};
    for (unsigned i = 0; i < countof(kinds); i++)
        if (has_operand(row, kinds[i]))
            return true;
    return false;
}

static unsigned size_of(const struct emu_insn *insn, enum emu_operand operand)
{
    return operand_size[operand] ? operand_size[operand] : insn->operand_size;
}

/* The size of the whole operation: that of its first operand, if it is one of a general
 * register or of memory. */
static unsigned operation_size(const struct emu_insn *insn, const struct emu_row *row)
{
    unsigned first = row->operand[0], second = row->operand[1];
    if (first == EMU_OPERAND_Xb || first == EMU_OPERAND_Yb || first == EMU_OPERAND_Eb ||
        first == EMU_OPERAND_Gb || first == EMU_OPERAND_AL || first == EMU_OPERAND_Zb ||
        first == EMU_OPERAND_Ob || second == EMU_OPERAND_AL)
        return 1;
    return insn->operand_size;
}

static emu_run_fn *pick(const struct emu_insn *insn, const struct emu_row *row,
                        const struct emu_op *op)
{
    emu_run_fn *const *run = handlers[insn->row].run;
    switch (row->form) {
    case EMU_FORM_X:
        return run[0];
    case EMU_FORM_CC:
        return run[op->size == 4 ? insn->opcode & 15 : 16];
    case EMU_FORM_ES:
        return run[op->size == 4 && !insn->memory && !(op->flags & EMU_OP_IMPLICIT) &&
                   op->immediate != 0];
    default:
        return run[(op->size == 4 ? 4 : op->size == 2 ? 2 : 0) + insn->memory];
    }
}

/* The handlers for flat segments (EMU_MODE_FLAT): of memory operands without an index,
 * and of the stack.  The general one if there is none. */
static emu_run_fn *pick_flat(const struct emu_insn *insn, const struct emu_row *row,
                             const struct emu_op *op)
{
    static const struct {
        emu_run_fn *general, *flat;
    } stack[] = {
        {emu_op_push_r32, emu_flat_push_r32},
        {emu_op_pop_r32, emu_flat_pop_r32},
        {emu_op_call, emu_flat_call},
        {emu_op_ret, emu_flat_ret},
    };
    emu_run_fn *flat = NULL;
    if (row->form == EMU_FORM_X || row->form == EMU_FORM_RV) {
        for (unsigned i = 0; i < countof(stack) && op->size == 4; i++)
            if (stack[i].general == op->run)
                return stack[i].flat;
    } else if (row->form != EMU_FORM_CC && row->form != EMU_FORM_ES && insn->memory &&
               insn->index == EMU_NO_REGISTER && insn->address_size == 4 &&
               (insn->segment == EMU_DS || insn->segment == EMU_ES ||
                insn->segment == EMU_SS)) {
        flat = handlers[insn->row].run[op->size == 4 ? 8 : op->size == 2 ? 7 : 6];
    }
    return flat ? flat : op->run;
}

static void set_address(const struct emu_insn *insn, struct emu_op *op)
{
    op->base = insn->base;
    op->index = insn->index;
    op->scale = insn->scale;
    op->segment = insn->segment;
    op->displacement = insn->displacement;
    op->address_mask = insn->address_size == 4 ? UINT32_MAX : 0xffff;
    if (insn->memory)
        op->flags |= EMU_OP_MEMORY;
}

void emu_translate(const struct emu_insn *insn, bool flat, struct emu_op *op)
{
    const struct emu_row *row = &emu_rows[insn->row];
    memset(op, 0, sizeof *op);
    set_address(insn, op);
    op->size = (uint8_t)operation_size(insn, row);
    op->length = insn->length;
    op->d = operand_register(insn, row->operand[0], size_of(insn, row->operand[0]));
    op->s = operand_register(insn, row->operand[1], size_of(insn, row->operand[1]));
    if (row->operand[2] >= EMU_OPERAND_ES)
        op->s = operand_register(insn, row->operand[2], 2);
    if (insn->repeat)
        op->flags |= EMU_OP_REP;
    if (insn->repeat == 0xf2)
        op->flags |= EMU_OP_REPNE;
    if (has_operand(row, EMU_OPERAND_CL) || has_operand(row, EMU_OPERAND_DX))
        op->flags |= EMU_OP_IMPLICIT;
    if (has_immediate(row)) {
        op->flags |= EMU_OP_IMMEDIATE;
        op->immediate = insn->immediate;
        if (row->form == EMU_FORM_CC)
            op->s = insn->opcode & 15;
    } else {
        op->immediate = insn->opcode | (uint32_t)insn->modrm << 8;
    }
    if (has_operand(row, EMU_OPERAND_C1))
        op->immediate = 1;
    if (row->form == EMU_FORM_ES)
        op->immediate &= 31;
    /* Two immediates: the second one has the place of the displacement. */
    if (has_operand(row, EMU_OPERAND_Ap) || has_operand(row, EMU_OPERAND_Iw))
        op->displacement = insn->immediate2;
    op->run = pick(insn, row, op);
    if (flat)
        op->run = pick_flat(insn, row, op);
}
