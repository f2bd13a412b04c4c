/* SPDX-License-Identifier: MIT
 *
 * .polkavm files, import only [6.4].  Opcodes are translated to this project's
 * numbers in a copy of the code section; everything else points into the file.
 */
#include "pvm/container.h"
#include "pvm/mutant.h"

#include <string.h>

enum polkavm_section {
    SECTION_END = 0,
    SECTION_MEMORY = 1,
    SECTION_RO_DATA = 2,
    SECTION_RW_DATA = 3,
    SECTION_IMPORTS = 4,
    SECTION_EXPORTS = 5,
    SECTION_CODE = 6,
    SECTION_DEBUG = 128, /* and above: skipped */
};

enum polkavm_isa {
    ISA_LATEST64 = 2,
    ISA_JAM_V1 = 3,
};

enum {
    IMPORT_COUNT_MAX = 1024,
    JUMP_WIDTH_MAX = 4,
    OP_UNASSIGNED = 255,
    RW_GAP = 0x20000,
    LOW_GAPS = 0x30000,
    RO_START = 0x10000,
};
#define STACK_END 0xfffe0000u

struct polkavm {
    struct arena *arena;
    enum pvm_profile profile;
    uint64_t isa;
    uint64_t ro_size, rw_size, stack_size;
    struct bytes ro, rw;
    bool has_code;
    struct pvm_container out;
};

/* Numbers of this format fit 32 bits. */
static enum err take_u32(struct bytes *input, uint64_t *ret_value)
{
    uint64_t value;
    TRY(pvm_varint_get(input, &value));
    if (value > UINT32_MAX)
        return ERR_pvm_varint;
    *ret_value = value;
    return ERR_ok;
}

static enum err take_sized(struct bytes *input, struct bytes *ret_bytes)
{
    uint64_t size;
    TRY(take_u32(input, &size));
    return pvm_take(input, size, ret_bytes);
}

static enum err parse_memory(struct polkavm *p, struct bytes *body)
{
    TRY(take_u32(body, &p->ro_size));
    TRY(take_u32(body, &p->rw_size));
    return take_u32(body, &p->stack_size);
}

static enum err parse_data(struct bytes *body, uint64_t size_max,
                           struct bytes *ret_data)
{
    if (body->size > size_max)
        return ERR_pvm_limit;
    return pvm_take(body, body->size, ret_data);
}

/* Start offsets, then the symbols; each ends where the next begins. */
static enum err parse_imports(struct polkavm *p, struct bytes *body)
{
    uint64_t count;
    struct bytes offsets, symbols;
    TRY(take_u32(body, &count));
    if (count > IMPORT_COUNT_MAX)
        return ERR_pvm_limit;
    TRY(pvm_take(body, count * 4, &offsets));
    TRY(pvm_take(body, body->size, &symbols));
    struct bytes *list = arena_new_array(p->arena, struct bytes, (size_t)count);
    if (count && !list)
        return ERR_nomem;
    uint64_t end = symbols.size;
    for (uint64_t i = count; i-- > 0;) {
        struct bytes at = bytes_of(offsets.data + 4 * i, 4);
        uint64_t start;
        TRY(pvm_take_number(&at, 4, &start));
        if (start > symbols.size)
            return ERR_pvm_truncated;
        if (start > end)
            return ERR_pvm_section;
        if (end > start)
            list[i] = bytes_of(symbols.data + start, (size_t)(end - start));
        end = start;
    }
    p->out.import_list = list;
    p->out.import_count = (uint32_t)count;
    return ERR_ok;
}

static enum err parse_exports(struct polkavm *p, struct bytes *body)
{
    uint64_t count;
    TRY(take_u32(body, &count));
    if (count > body->size / 2) /* an export takes two bytes at least */
        return ERR_pvm_truncated;
    struct pvm_export *list =
        arena_new_array(p->arena, struct pvm_export, (size_t)count);
    if (count && !list)
        return ERR_nomem;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t pc;
        TRY(take_u32(body, &pc));
        TRY(take_sized(body, &list[i].name));
        list[i].pc = (uint32_t)pc;
    }
    p->out.export_list = list;
    p->out.export_count = (uint32_t)count;
    return ERR_ok;
}

/* The table of [6.4]. */
static enum err translate(const struct polkavm *p, uint8_t op, uint8_t *ret_op)
{
    uint8_t unlikely =
        p->profile == PVM_PROFILE_JAVM ? PVM_OP_unlikely : PVM_OP_fallthrough;
    if (p->isa == ISA_LATEST64) {
        if (op == 2)
            return ERR_pvm_opcode;
        *ret_op = op == 3 ? unlikely : op;
    } else if (MUTANT(load_jam_as_ours, false, op >= 101 && op <= 110)) {
        *ret_op = (uint8_t)(op + 1);
    } else if (op == 3 || op == 111) {
        *ret_op = OP_UNASSIGNED;
    } else {
        *ret_op = op == 2 ? unlikely : op;
    }
    return ERR_ok;
}

static enum err parse_code(struct polkavm *p, struct bytes *body)
{
    struct pvm_code code;
    TRY(pvm_code_parse_limited(*body, UINT32_MAX, JUMP_WIDTH_MAX, &code));
    uint8_t *copy = arena_copy(p->arena, body->data, body->size);
    if (!copy)
        return ERR_nomem;
    uint8_t *ops = copy + (code.code.data - body->data);
    for (uint32_t pc = 0; pc < code.code.size; pc++)
        if (MUTANT(load_jam_operands, true, pvm_code_marked(&code, pc)))
            TRY(translate(p, ops[pc], &ops[pc]));
    p->has_code = true;
    p->out.raw = bytes_of(copy, body->size);
    TRY(pvm_code_parse(p->out.raw, &p->out.code));
    return pvm_take(body, body->size, &(struct bytes){0});
}

static enum err parse_section(struct polkavm *p, uint64_t id, struct bytes body)
{
    switch (id) {
    case SECTION_MEMORY:
        TRY(parse_memory(p, &body));
        break;
    case SECTION_RO_DATA:
        TRY(parse_data(&body, p->ro_size, &p->ro));
        break;
    case SECTION_RW_DATA:
        TRY(parse_data(&body, p->rw_size, &p->rw));
        break;
    case SECTION_IMPORTS:
        TRY(parse_imports(p, &body));
        break;
    case SECTION_EXPORTS:
        TRY(parse_exports(p, &body));
        break;
    case SECTION_CODE:
        TRY(parse_code(p, &body));
        break;
    default:
        return id >= SECTION_DEBUG ? ERR_ok : ERR_pvm_section;
    }
    return body.size ? ERR_pvm_trailing : ERR_ok;
}

static enum err parse_sections(struct polkavm *p, struct bytes file)
{
    for (uint64_t last = SECTION_END;;) {
        uint64_t id;
        struct bytes body;
        TRY(pvm_take_number(&file, 1, &id));
        if (id == SECTION_END)
            break;
        if (id <= last || (id > SECTION_CODE && id < SECTION_DEBUG))
            return ERR_pvm_section;
        TRY(take_sized(&file, &body));
        TRY(parse_section(p, id, body));
        last = id;
    }
    if (file.size)
        return ERR_pvm_trailing;
    return p->has_code ? ERR_ok : ERR_pvm_section;
}

static enum err parse_header(struct polkavm *p, struct bytes *file)
{
    uint64_t stated, size = file->size;
    size_t seen =
        file->size < PVM_POLKAVM_MAGIC_SIZE ? file->size : PVM_POLKAVM_MAGIC_SIZE;
    struct bytes magic;
    if (seen && memcmp(file->data, PVM_POLKAVM_MAGIC, seen))
        return ERR_pvm_magic;
    TRY(pvm_take(file, PVM_POLKAVM_MAGIC_SIZE, &magic));
    TRY(pvm_take_number(file, 1, &p->isa));
    if (p->isa != ISA_LATEST64 && p->isa != ISA_JAM_V1)
        return ERR_pvm_isa;
    TRY(pvm_take_number(file, 8, &stated));
    return stated == size ? ERR_ok : ERR_pvm_blob_size;
}

/* Sizes are below 2^32 (+ rounding), so no sum of them overflows 64 bits. */
static enum err lay_out(struct polkavm *p)
{
    uint64_t low =
        LOW_GAPS + pvm_round_segment(p->ro_size) + pvm_round_segment(p->rw_size);
    if (low + pvm_round_segment(p->stack_size) > STACK_END)
        return ERR_pvm_layout;
    uint64_t stack_size = pvm_round_page(p->stack_size);
    pvm_container_add_region(&p->out, RO_START, pvm_round_page(p->ro_size),
                             PVM_ACCESS_R, p->ro);
    pvm_container_add_region(&p->out, RW_GAP + pvm_round_segment(p->ro_size),
                             pvm_round_page(p->rw_size), PVM_ACCESS_RW, p->rw);
    pvm_container_add_region(&p->out, STACK_END - stack_size, stack_size, PVM_ACCESS_RW,
                             (struct bytes){0});
    p->out.reg[0] = PVM_HALT_ADDRESS;
    p->out.reg[1] = STACK_END;
    return ERR_ok;
}

enum err pvm_polkavm_load(struct arena *arena, enum pvm_profile profile,
                          struct bytes file, struct pvm_container *ret_container)
{
    struct polkavm p = {
        .arena = arena, .profile = profile, .out.kind = PVM_CONTAINER_POLKAVM};
    TRY(parse_header(&p, &file));
    TRY(parse_sections(&p, file));
    TRY(lay_out(&p));
    *ret_container = p.out;
    return ERR_ok;
}
