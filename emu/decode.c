/* SPDX-License-Identifier: MIT
 *
 * The instruction decoder.  All that it knows of single instructions is i386.def.
 */
#include "emu/decode.h"

#include "base/err.h"
#include "emu/cpu.h"

#include <string.h>

enum encoding {
    ENCODING_NONE,
    ENCODING_MODRM,
    ENCODING_REG,
    ENCODING_MEMORY,
    ENCODING_MODRM_REG,
    ENCODING_CONTROL,
    ENCODING_SEGMENT,
    ENCODING_IMM8,
    ENCODING_IMM16,
    ENCODING_IMM,
    ENCODING_IMM8_SIGNED,
    ENCODING_OFFSET,
    ENCODING_FAR,
    ENCODING_OPCODE_REG,
    ENCODING_ACCUMULATOR,
    ENCODING_FIXED_SEGMENT,
};

static const uint8_t operand_encoding[] = {
#define KIND(name, encoding, size) [EMU_OPERAND_##name] = ENCODING_##encoding,
    EMU_OPERANDS(KIND)
#undef KIND
};

/* i386.def writes traits without a prefix. */
enum {
    LOCK = EMU_TRAIT_LOCK,
    END = EMU_TRAIT_END,
    CPL0 = EMU_TRAIT_CPL0,
    PROT = EMU_TRAIT_PROT,
    IO = EMU_TRAIT_IO,
    FAULT = EMU_TRAIT_FAULT,
    NATIVE = EMU_TRAIT_NATIVE,
    STEP = EMU_TRAIT_STEP,
};

const struct emu_row emu_rows[] = {
#define INSN(code, name, form, a, b, c, written, undefined, traits)                    \
    {code,                                                                             \
     -1,                                                                               \
     EMU_FORM_##form,                                                                  \
     {EMU_OPERAND_##a, EMU_OPERAND_##b, EMU_OPERAND_##c},                              \
     (uint8_t)(traits),                                                                \
     #name,                                                                            \
     written,                                                                          \
     undefined},
#define INSN_GROUP(code, digit, name, form, a, b, c, written, undefined, traits)       \
    {code,                                                                             \
     digit,                                                                            \
     EMU_FORM_##form,                                                                  \
     {EMU_OPERAND_##a, EMU_OPERAND_##b, EMU_OPERAND_##c},                              \
     (uint8_t)(traits),                                                                \
     #name,                                                                            \
     written,                                                                          \
     undefined},
#include "emu/i386.def"
};

const unsigned emu_row_count = countof(emu_rows);

enum row_id {
    ROW_none,
#define INSN(code, name, form, a, b, c, written, undefined, traits) ROW_##code,
#define INSN_GROUP(code, digit, name, form, a, b, c, written, undefined, traits)       \
    ROW_##code##_##digit,
#include "emu/i386.def"
};

/* One-byte opcodes, then those after 0f; by the digit of ModRM.  0 is undefined, else
 * the row's index plus one. */
#define PLACE(code) ((code) < 0x100 ? (code) : 0x100 + ((code)&0xff))
static const uint16_t row_of[512][8] = {
#define INSN(code, name, form, a, b, c, written, undefined, traits)                    \
    [PLACE(code)] = {ROW_##code, ROW_##code, ROW_##code, ROW_##code,                   \
                     ROW_##code, ROW_##code, ROW_##code, ROW_##code},
#define INSN_GROUP(code, digit, name, form, a, b, c, written, undefined, traits)       \
    [PLACE(code)][digit] = ROW_##code##_##digit,
#include "emu/i386.def"
};

struct reader {
    const uint8_t *bytes;
    unsigned size, at;
    enum emu_decoded result; /* EMU_DECODED while all is well */
};

static uint8_t next_byte(struct reader *r)
{
    if (r->result != EMU_DECODED)
        return 0;
    if (r->at == EMU_INSN_SIZE_MAX)
        r->result = EMU_DECODE_TOO_LONG;
    else if (r->at == r->size)
        r->result = EMU_DECODE_MORE;
    else
        return r->bytes[r->at++];
    return 0;
}

static uint32_t next_number(struct reader *r, unsigned size)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)next_byte(r) << (8 * i);
    return value;
}

static uint32_t sign_extend_8(uint32_t value)
{
    return (uint32_t)(int32_t)(int8_t)value;
}

/* Prefixes, then the first byte that is none. */
static uint8_t read_prefixes(struct reader *r, bool code32, struct emu_insn *insn,
                             int *segment)
{
    insn->operand_size = insn->address_size = code32 ? 4 : 2;
    for (;;) {
        uint8_t byte = next_byte(r);
        switch (byte) {
        case 0x66:
            insn->operand_size = code32 ? 2 : 4;
            break;
        case 0x67:
            insn->address_size = code32 ? 2 : 4;
            break;
        case 0xf0:
            insn->lock = true;
            break;
        case 0xf2:
        case 0xf3:
            insn->repeat = byte;
            break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
            *segment = byte >> 3 & 3;
            break;
        case 0x64:
        case 0x65:
            *segment = byte - 0x64 + EMU_FS;
            break;
        default:
            return byte;
        }
    }
}

static void read_memory_16(struct reader *r, struct emu_insn *insn)
{
    static const uint8_t bases[] = {EMU_EBX, EMU_EBX, EMU_EBP, EMU_EBP,
                                    EMU_ESI, EMU_EDI, EMU_EBP, EMU_EBX};
    static const uint8_t indices[] = {EMU_ESI, EMU_EDI, EMU_ESI, EMU_EDI, 8, 8, 8, 8};
    unsigned mod = insn->modrm >> 6, rm = insn->modrm & 7;
    insn->base = bases[rm];
    insn->index = indices[rm];
    if (mod == 0 && rm == 6) {
        insn->base = EMU_NO_REGISTER;
        insn->displacement = next_number(r, 2);
    } else if (mod == 1) {
        insn->displacement = sign_extend_8(next_byte(r));
    } else if (mod == 2) {
        insn->displacement = next_number(r, 2);
    }
}

static void read_memory_32(struct reader *r, struct emu_insn *insn)
{
    unsigned mod = insn->modrm >> 6, rm = insn->modrm & 7;
    insn->base = (uint8_t)rm;
    if (rm == 4) {
        uint8_t sib = next_byte(r);
        insn->base = sib & 7;
        if ((sib >> 3 & 7) != 4) {
            insn->index = sib >> 3 & 7;
            insn->scale = sib >> 6;
        }
    }
    if (mod == 0 && insn->base == EMU_EBP) {
        insn->base = EMU_NO_REGISTER;
        insn->displacement = next_number(r, 4);
    } else if (mod == 1) {
        insn->displacement = sign_extend_8(next_byte(r));
    } else if (mod == 2) {
        insn->displacement = next_number(r, 4);
    }
}

static void read_modrm(struct reader *r, struct emu_insn *insn)
{
    insn->memory = insn->modrm < 0xc0;
    insn->base = insn->index = EMU_NO_REGISTER;
    insn->segment = EMU_DS;
    if (!insn->memory)
        return;
    if (insn->address_size == 4)
        read_memory_32(r, insn);
    else
        read_memory_16(r, insn);
    if (insn->base == EMU_EBP || insn->base == EMU_ESP)
        insn->segment = EMU_SS;
}

static void read_immediate(struct reader *r, enum encoding encoding,
                           struct emu_insn *insn)
{
    switch ((int)encoding) {
    case ENCODING_IMM8:
        insn->immediate2 = insn->immediate;
        insn->immediate = next_byte(r);
        break;
    case ENCODING_IMM8_SIGNED:
        insn->immediate = sign_extend_8(next_byte(r));
        break;
    case ENCODING_IMM16:
        insn->immediate = next_number(r, 2);
        break;
    case ENCODING_IMM:
        insn->immediate = next_number(r, insn->operand_size);
        if (insn->operand_size == 2)
            insn->immediate = (uint32_t)(int32_t)(int16_t)insn->immediate;
        break;
    case ENCODING_FAR:
        insn->immediate = next_number(r, insn->operand_size);
        insn->immediate2 = next_number(r, 2);
        break;
    case ENCODING_OFFSET:
        insn->memory = true;
        insn->displacement = next_number(r, insn->address_size);
        break;
    default:
        break;
    }
}

static bool has_modrm(const struct emu_row *row)
{
    for (unsigned i = 0; i < 3; i++) {
        uint8_t encoding = operand_encoding[row->operand[i]];
        if (encoding >= ENCODING_MODRM && encoding <= ENCODING_SEGMENT)
            return true;
    }
    return row->digit >= 0;
}

/* Encodings that ModRM makes undefined: memory required, registers that do not exist.
 */
static bool modrm_is_undefined(const struct emu_row *row, uint8_t modrm)
{
    unsigned reg = modrm >> 3 & 7;
    for (unsigned i = 0; i < 3; i++) {
        uint8_t encoding = operand_encoding[row->operand[i]];
        if (encoding == ENCODING_MEMORY && modrm >= 0xc0)
            return true;
        if (encoding == ENCODING_CONTROL && (reg == 1 || reg > 4))
            return true;
        if (encoding == ENCODING_SEGMENT && (reg > 5 || (i == 0 && reg == EMU_CS)))
            return true;
    }
    return false;
}

/* The row, once its ModRM byte is read if it has one. */
static const struct emu_row *find_row(struct reader *r, uint8_t first,
                                      struct emu_insn *insn)
{
    unsigned place = first;
    if (first == 0x0f)
        place = 0x100u + next_byte(r);
    if (r->result != EMU_DECODED)
        return NULL;
    insn->opcode = (uint8_t)place;
    const uint16_t *rows = row_of[place];
    unsigned any = 0;
    for (unsigned i = 0; i < 8; i++)
        any |= rows[i];
    if (!any) {
        r->result = EMU_DECODE_UNDEFINED;
        return NULL;
    }
    unsigned id = rows[0];
    if (!id || emu_rows[id - 1].digit >= 0 || has_modrm(&emu_rows[id - 1])) {
        insn->modrm = next_byte(r);
        id = rows[insn->modrm >> 3 & 7];
        if (r->result == EMU_DECODED &&
            (!id || modrm_is_undefined(&emu_rows[id - 1], insn->modrm)))
            r->result = EMU_DECODE_UNDEFINED;
        if (r->result != EMU_DECODED)
            return NULL;
        if (operand_encoding[emu_rows[id - 1].operand[0]] == ENCODING_MODRM_REG ||
            operand_encoding[emu_rows[id - 1].operand[1]] == ENCODING_MODRM_REG)
            insn->modrm |= 0xc0;
        read_modrm(r, insn);
    }
    insn->row = (uint16_t)(id - 1);
    return &emu_rows[id - 1];
}

enum emu_decoded emu_decode(const uint8_t *bytes, unsigned size, bool code32,
                            struct emu_insn *ret_insn)
{
    struct reader r = {.bytes = bytes, .size = size, .result = EMU_DECODED};
    struct emu_insn *insn = ret_insn;
    int segment = -1;
    memset(insn, 0, sizeof *insn);
    insn->base = insn->index = EMU_NO_REGISTER;
    insn->segment = EMU_DS;
    uint8_t first = read_prefixes(&r, code32, insn, &segment);
    const struct emu_row *row = find_row(&r, first, insn);
    if (!row)
        return r.result;
    if (insn->lock && (!(row->traits & LOCK) || !insn->memory))
        return EMU_DECODE_UNDEFINED;
    for (unsigned i = 0; i < 3; i++)
        read_immediate(&r, operand_encoding[row->operand[i]], insn);
    if (segment >= 0)
        insn->segment = (uint8_t)segment;
    insn->length = (uint8_t)r.at;
    return r.result;
}
