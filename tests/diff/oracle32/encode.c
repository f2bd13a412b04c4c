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
    bool stepped;
    bool wide;      /* v is 32 bits */
    bool address16; /* addresses are */
    bool aligned;   /* split locks are slow or forbidden on some hosts */
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

static bool has_any(const struct emu_row *row, const uint8_t *operands, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (has(row, operands[i]))
            return true;
    return false;
}

static bool is_named(const struct emu_row *row, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(row->name, names[i]))
            return true;
    return false;
}

static uint32_t area_address(struct encoder *e)
{
    uint32_t area = e->request->how & CASE_BASED ? CASE_AREA - CASE_DATA : CASE_AREA;
    return area + (e->aligned ? below(e, 0x30) * 8 : below(e, 0x180));
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

static void put_memory32(struct encoder *e, unsigned reg, unsigned avoid)
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

static void put_memory16(struct encoder *e, unsigned reg, unsigned avoid)
{
    static const uint8_t base[] = {EMU_EBX, EMU_EBX, EMU_EBP, EMU_EBP,
                                   EMU_ESI, EMU_EDI, EMU_EBP, EMU_EBX};
    unsigned rm = below(e, 8), mod = below(e, 3), index = rm & 1 ? EMU_EDI : EMU_ESI;
    if (e->aligned || base[rm] == avoid || (rm < 4 && index == avoid) ||
        (mod == 0 && rm == 6)) {
        put(e, 0x06 | reg << 3, 1);
        put(e, area_address(e), 2);
        return;
    }
    put(e, mod << 6 | reg << 3 | rm, 1);
    put(e, below(e, 64) - 32, mod);
    e->request->pointers |= (uint8_t)(1 << base[rm]);
    if (rm < 4)
        e->request->smalls |= (uint8_t)(1 << index);
}

static void put_memory(struct encoder *e, unsigned reg, unsigned avoid)
{
    if (e->address16)
        put_memory16(e, reg, avoid);
    else
        put_memory32(e, reg, avoid);
}

/* Register forms of what has memory only are #UD, but for newer instructions at 0f01:
 * now and then. */
static bool takes_register(struct encoder *e, const struct emu_row *row)
{
    static const uint8_t memory_only[] = {EMU_OPERAND_M, EMU_OPERAND_Mq, EMU_OPERAND_Ma,
                                          EMU_OPERAND_Mp, EMU_OPERAND_Ms};
    static const uint8_t register_only[] = {EMU_OPERAND_Rd};
    if (has_any(row, register_only, sizeof register_only))
        return true;
    if (has_any(row, memory_only, sizeof memory_only))
        return e->stepped && row->code != 0x0f01 && below(e, 16) == 0;
    return !strcmp(row->name, "hint") || below(e, 2);
}

static void put_modrm(struct encoder *e, const struct emu_row *row)
{
    static const char *const bit_strings[] = {"bt", "bts", "btr", "btc"};
    unsigned reg = row->digit >= 0 ? (unsigned)row->digit : below(e, 8);
    if (has(row, EMU_OPERAND_Sw) && !e->stepped)
        reg = below(e, 6);
    if (takes_register(e, row)) {
        unsigned rm = below(e, 8);
        if ((e->request->how & CASE_JUMPS) && rm == 4)
            rm = 0; /* ESP points to data, which is no code */
        put(e, 0xc0 | reg << 3 | rm, 1);
        return;
    }
    unsigned avoid = 8;
    if (is_named(row, bit_strings, 4)) {
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
    /* 80 is Linux' system call. */
    if (!strcmp(row->name, "int") && (value & 0xff) == 0x80)
        value++;
    switch (operand) {
    case EMU_OPERAND_Ib:
    case EMU_OPERAND_Is:
        put(e, value, 1);
        break;
    case EMU_OPERAND_Jb: /* not to itself */
        put(e, value & 0x80 ? value & 0xef : value | 16, 1);
        break;
    case EMU_OPERAND_Iw:
        put(e, value, 2);
        break;
    case EMU_OPERAND_Jv:
        put(e, below(e, 2) ? (value & 0xfff) | 0x90 : value & 0xffffffef,
            e->wide ? 4 : 2);
        break;
    case EMU_OPERAND_Iv:
        put(e, value, e->wide ? 4 : 2);
        break;
    case EMU_OPERAND_Ob:
    case EMU_OPERAND_Ov:
        put(e, area_address(e), e->address16 ? 2 : 4);
        break;
    case EMU_OPERAND_Ap:
        value = (below(e, 2) ? CASE_CODE : 0) + ((value & 0xfff) | 0x90);
        put(e, value, e->wide ? 4 : 2);
        put(e, case_selector(e->seed), 2);
        break;
    default:
        break;
    }
}

static bool has_modrm(const struct emu_row *row)
{
    static const uint8_t kinds[] = {EMU_OPERAND_Eb, EMU_OPERAND_Ew, EMU_OPERAND_Ev,
                                    EMU_OPERAND_M,  EMU_OPERAND_Mq, EMU_OPERAND_Ma,
                                    EMU_OPERAND_Mp, EMU_OPERAND_Ms, EMU_OPERAND_Rd};
    return has_any(row, kinds, sizeof kinds);
}

static bool is_string(const struct emu_row *row)
{
    return (row->code >= 0xa4 && row->code <= 0xaf && row->code != 0xa8 &&
            row->code != 0xa9) ||
           (row->code >= 0x6c && row->code <= 0x6f);
}

/* Registers that the row uses without naming them. */
static void set_implicit(struct encoder *e, const struct emu_row *row)
{
    struct case_request *request = e->request;
    if (is_string(row))
        request->pointers |= 1 << EMU_ESI | 1 << EMU_EDI;
    if (!strcmp(row->name, "xlat"))
        request->pointers |= 1 << EMU_EBX;
    if (!strcmp(row->name, "leave") || !strcmp(row->name, "enter"))
        request->pointers |= 1 << EMU_EBP;
}

/* Rows that want selectors, and rows whose faults leave traces. */
static void set_kind(struct encoder *e, const struct emu_row *row)
{
    static const char *const far[] = {
        "mov_to_sreg", "pop_sreg",  "load_far", "call_far", "call_far_m",
        "jmp_far",     "jmp_far_m", "ret_far",  "iret",     "popf",
        "arpl",        "lar",       "lsl",      "verr",     "verw",
        "jmp_e",       "call_e",    "ret",      "ret_i"};
    static const char *const jumps[] = {"jmp_e", "call_e"};
    static const char *const stores[] = {"pusha",  "enter",    "call",
                                         "call_e", "call_far", "call_far_m"};
    if (e->stepped && is_named(row, far, sizeof far / sizeof far[0])) {
        e->request->how |= CASE_FAR;
        if (is_named(row, jumps, sizeof jumps / sizeof jumps[0]))
            e->request->how |= CASE_JUMPS;
        else
            e->request->selectors = 0xff;
        e->aligned = true;
    }
    if (is_named(row, stores, sizeof stores / sizeof stores[0]))
        e->request->how |= CASE_LOOSE_MEMORY;
    if (!strcmp(row->name, "popa"))
        e->request->how |= CASE_LOOSE_REGISTERS;
    if (e->stepped && below(e, 8) == 0)
        e->request->how |= CASE_TRAP;
}

/* What surrounds the instruction, and the prefixes for its sizes. */
static void put_setting(struct encoder *e)
{
    static const uint8_t settings[] = {
        CASE_STEP,
        CASE_STEP | CASE_BASED | CASE_STACK16,
        CASE_STEP | CASE_BASED | CASE_CODE16 | CASE_STACK16,
        CASE_STEP | CASE_BASED | CASE_CODE16,
    };
    static const uint8_t overrides[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    e->request->how = e->stepped ? settings[below(e, 4)] : 0;
    bool code16 = e->request->how & CASE_CODE16;
    bool other_size = below(e, 3) == 0;
    e->wide = code16 == other_size;
    e->address16 = code16;
    if (other_size)
        put(e, 0x66, 1);
    if (!e->stepped)
        return;
    if ((e->request->how & CASE_BASED) && below(e, 5) == 0) {
        e->address16 = !code16;
        put(e, 0x67, 1);
    }
    if (below(e, 6) == 0)
        put(e, overrides[below(e, 6)], 1);
}

/* A LOCK in front: where it is allowed, and sometimes where it is not. */
static void put_lock(struct encoder *e)
{
    struct case_request *request = e->request;
    memmove(request->code + 1, request->code, request->length);
    request->code[0] = 0xf0;
    request->length++;
}

void encode_row(const struct emu_row *row, uint64_t *seed, bool stepped,
                struct case_request *request)
{
    struct encoder e = {.request = request, .seed = seed, .stepped = stepped};
    request->length = request->padding = 0;
    request->pointers = request->smalls = request->offsets = request->selectors = 0;
    memset(request->code, 0, sizeof request->code);
    bool locked = below(&e, row->traits & EMU_TRAIT_LOCK ? 4 : 16) == 0;
    e.aligned = locked || !strcmp(row->name, "xchg");
    put_setting(&e);
    set_kind(&e, row);
    if (is_string(row) && below(&e, 2)) {
        put(&e, 0xf2 + below(&e, 2), 1);
        request->smalls |= 1 << EMU_ECX;
        if (stepped && (row->code & 0xf6) == 0xa6)
            request->how |= CASE_LOOSE_FLAGS;
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
    bool lockable =
        (row->traits & EMU_TRAIT_LOCK) && has_modrm(row) && request->code[modrm] < 0xc0;
    if (locked && (lockable || stepped) && request->length < 15)
        put_lock(&e);
}
