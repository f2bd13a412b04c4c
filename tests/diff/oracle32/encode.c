/* SPDX-License-Identifier: MIT
 *
 * Random encodings of a row, with memory operands that stay in the area of case.h.
 */
#include "tests/diff/oracle32/encode.h"

#include "emu/cpu.h"

#include <string.h>

struct encoder {
    struct case_request *request;
    uint64_t *seed;
    bool wide;    /* v is 32 bits */
    bool aligned; /* split locks are slow or forbidden on some hosts */
};

static uint32_t below(struct encoder *e, uint32_t limit)
{
    return (uint32_t)((case_random(e->seed) >> 32) * limit >> 32);
}

static void put(struct encoder *e, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        e->request->code[e->request->length++] = (uint8_t)(value >> (8 * i));
}

static bool has(const struct emu_row *row, unsigned operand)
{
    return row->operand[0] == operand || row->operand[1] == operand ||
           row->operand[2] == operand;
}

static uint32_t area_address(struct encoder *e)
{
    return CASE_AREA + (e->aligned ? below(e, 0x30) * 8 : below(e, 0x180));
}

/* [base + index * scale + displacement]; the index is small and not the base. */
static void put_sib(struct encoder *e, unsigned reg, unsigned avoid)
{
    unsigned base = below(e, 8), index = below(e, 8), scale = below(e, 4);
    while (base == avoid)
        base = below(e, 8);
    while (index == base || index == 4 || index == avoid)
        index = below(e, 8);
    put(e, 0x44 | reg << 3, 1);
    put(e, scale << 6 | index << 3 | base, 1);
    put(e, below(e, 64) - 32, 1);
    e->request->pointers |= (uint8_t)(1 << base);
    e->request->smalls |= (uint8_t)(1 << index);
}

static void put_memory(struct encoder *e, unsigned reg, unsigned avoid)
{
    unsigned base = below(e, 8);
    unsigned form = e->aligned ? 0 : below(e, 3);
    if (form == 0) {
        put(e, 0x05 | reg << 3, 1);
        put(e, area_address(e), 4);
    } else if (form == 1 && base != 4 && base != avoid) {
        put(e, 0x80 | reg << 3 | base, 1);
        put(e, below(e, 64) - 32, 4);
        e->request->pointers |= (uint8_t)(1 << base);
    } else {
        put_sib(e, reg, avoid);
    }
}

static void put_modrm(struct encoder *e, const struct emu_row *row)
{
    unsigned reg = row->digit >= 0 ? (unsigned)row->digit : below(e, 8);
    bool string = !strcmp(row->name, "bt") || !strcmp(row->name, "bts") ||
                  !strcmp(row->name, "btr") || !strcmp(row->name, "btc");
    bool memory_only = has(row, EMU_OPERAND_M) || has(row, EMU_OPERAND_Mq);
    if (has(row, EMU_OPERAND_Sw))
        reg = below(e, 6);
    if (!memory_only && (!strcmp(row->name, "hint") || below(e, 2))) {
        put(e, 0xc0 | reg << 3 | below(e, 8), 1);
        return;
    }
    unsigned avoid = 8;
    if (string) {
        while (reg == 4)
            reg = below(e, 8);
        avoid = reg;
        e->request->offsets |= (uint8_t)(1 << reg);
    }
    put_memory(e, reg, avoid);
}

static void put_operand(struct encoder *e, const struct emu_row *row, unsigned operand)
{
    uint32_t value = case_value(e->seed);
    /* A frame that fits: processors write some of it before they find that the rest
     * does not, where ours writes nothing (machine.md 4.2). */
    if (!strcmp(row->name, "enter") && operand == EMU_OPERAND_Iw)
        value &= 0x3ff;
    switch (operand) {
    case EMU_OPERAND_Ib:
    case EMU_OPERAND_Is:
        put(e, value, 1);
        break;
    case EMU_OPERAND_Iw:
        put(e, value, 2);
        break;
    case EMU_OPERAND_Iv:
        put(e, value, e->wide ? 4 : 2);
        break;
    case EMU_OPERAND_Ob:
    case EMU_OPERAND_Ov:
        put(e, area_address(e), 4);
        break;
    default:
        break;
    }
}

static bool has_modrm(const struct emu_row *row)
{
    static const uint8_t kinds[] = {EMU_OPERAND_Eb, EMU_OPERAND_Ew, EMU_OPERAND_Ev,
                                    EMU_OPERAND_M, EMU_OPERAND_Mq};
    for (unsigned i = 0; i < sizeof kinds; i++)
        if (has(row, kinds[i]))
            return true;
    return false;
}

static bool is_string(const struct emu_row *row)
{
    return row->code >= 0xa4 && row->code <= 0xaf && row->code != 0xa8 &&
           row->code != 0xa9;
}

/* Registers that the row uses without naming them. */
static void set_implicit(struct encoder *e, const struct emu_row *row)
{
    if (is_string(row))
        e->request->pointers |= 1 << EMU_ESI | 1 << EMU_EDI;
    if (!strcmp(row->name, "xlat"))
        e->request->pointers |= 1 << EMU_EBX;
    if (!strcmp(row->name, "leave") || !strcmp(row->name, "enter"))
        e->request->pointers |= 1 << EMU_EBP;
}

void encode_row(const struct emu_row *row, uint64_t *seed, struct case_request *request)
{
    struct encoder e = {.request = request, .seed = seed};
    request->length = 0;
    request->pointers = request->smalls = request->offsets = request->padding = 0;
    memset(request->code, 0, sizeof request->code);
    e.wide = below(&e, 3) != 0;
    bool locked = (row->traits & EMU_TRAIT_LOCK) && below(&e, 4) == 0;
    e.aligned = locked || !strcmp(row->name, "xchg");
    if (!e.wide)
        put(&e, 0x66, 1);
    if (is_string(row) && below(&e, 2)) {
        put(&e, 0xf2 + below(&e, 2), 1);
        request->smalls |= 1 << EMU_ECX;
    }
    size_t prefixes = request->length;
    if (row->code >= 0x100)
        put(&e, row->code >> 8, 1);
    put(&e, row->code, 1);
    if (has_modrm(row))
        put_modrm(&e, row);
    for (unsigned i = 0; i < 3; i++)
        put_operand(&e, row, row->operand[i]);
    set_implicit(&e, row);
    size_t modrm = prefixes + (row->code >= 0x100 ? 2 : 1);
    if (locked && has_modrm(row) && request->code[modrm] < 0xc0) {
        memmove(request->code + 1, request->code, request->length);
        request->code[0] = 0xf0;
        request->length++;
    }
}
