/* SPDX-License-Identifier: MIT
 *
 * Emitters of loads and stores [5, 10.4].
 *
 * An access is one instruction, gs:[r32 + disp32] with the address-size prefix, and no
 * register changes unless it succeeds.  What may not go ahead is stopped by the page
 * protection, or by the test of the page's rights in front of it (explicit checks);
 * either way the interpreter then executes the instruction.
 */
#include "pvm/native.h"

#define EMIT(name)                                                                     \
    static void emit_##name(struct native_compiler *c, const struct native_insn *i)

enum { NO_BASE = 16 };

/* Where an access is: [base + index * 2^scale + x]; without a base, x alone. */
struct place {
    uint8_t base, index, scale;
    bool indexed;
    int32_t x;
};

static struct place at(unsigned base, int64_t x)
{
    return (struct place){.base = (uint8_t)base, .x = (int32_t)x};
}

/* How the host spells an access: opcode bytes, and what is in front of them. */
struct access {
    uint8_t size;   /* bytes */
    uint8_t prefix; /* 66, or 0 */
    uint8_t w;      /* W32, W64 */
    bool escape;    /* 0f in front of the opcode */
    uint8_t opcode;
    bool byte_reg; /* names a byte register: 4..7 want REX */
    bool is_store;
};

/* modrm and what follows it for [base + index * 2^scale + x]. */
static void indexed_mem(struct x64 *as, unsigned reg, struct place place)
{
    int32_t x = place.x;
    bool small = x == (int8_t)x;
    unsigned mod = x == 0 && (place.base & 7) != RBP ? 0u : small ? 1u : 2u;
    x64_bytes(as,
              x64_modrm(mod, reg, 4) | x64_modrm(place.scale, place.index, place.base)
                                           << 8,
              2);
    x64_u32(as, (uint32_t)x);
    as->at -= mod == 0 ? 4 : mod == 1 ? 3 : 0;
}

static void put_mem(struct x64 *as, unsigned reg, struct place place)
{
    if (place.indexed)
        indexed_mem(as, reg, place);
    else if (place.base == NO_BASE)
        x64_mem_absolute(
            as, reg,
            (uint32_t)MUTANT(native_absolute_31, place.x & INT32_MAX, place.x));
    else
        x64_mem(as, reg, place.base, place.x);
}

/* edx = the guest address of an access. */
static void load_address(struct x64 *as, struct place place)
{
    if (place.base == NO_BASE) {
        x64_load_imm(as, SCRATCH, (uint32_t)place.x);
        return;
    }
    x64_rex(as, W32, SCRATCH, place.indexed ? place.index : 0, place.base);
    x64_u8(as, 0x8d); /* lea */
    put_mem(as, SCRATCH, place);
}

/* Test a right of the line that an access begins in: test byte gs:[rdx - lines], right.
 */
static void test_right(struct x64 *as, struct place place, unsigned right)
{
    load_address(as, place);
    x64_shift_imm(as, W32, 5, SCRATCH, __builtin_ctz(MEM_LINE_SIZE));
    x64_bytes(as, 0xf665 | (uint64_t)x64_modrm(2, 0, SCRATCH) << 16, 3);
    x64_u32(as, (uint32_t)-MEM_LINE_COUNT);
    x64_u8(as, right);
}

/* The tests of access_fast(): a right for the access wherever it ends, or one for this
 * page where it does not end in the next. */
static void check_rights(struct native_compiler *c, const struct native_insn *first,
                         bool is_store, unsigned size, struct place place)
{
    struct x64 *as = &c->as;
    unsigned within = is_store ? MEM_WRITE : MEM_READ;
    unsigned onwards = is_store ? MEM_WRITE_ON : MEM_READ_ON;
    if (size > 1) {
        test_right(as, place, onwards);
        uint8_t *good = x64_jcc_short(as, CC_NE);
        load_address(as, place);
        x64_alu_imm(as, W32, ALU_AND, SCRATCH, PVM_PAGE_SIZE - 1);
        x64_alu_imm(as, W32, ALU_CMP, SCRATCH, (int32_t)(PVM_PAGE_SIZE - size));
        pvm_native_ask_if(c, first, CC_A);
        test_right(as, place, within);
        pvm_native_ask_if(c, first, CC_E);
        x64_patch_short(good, as->at);
    } else {
        test_right(as, place, within);
        pvm_native_ask_if(c, first, CC_E);
    }
}

/* With guest memory based on a register: put the address into edx, but for what of X
 * the guard behind guest memory makes harmless, and answer where that is. */
static struct place based(struct x64 *as, struct place place)
{
    bool reaches = place.x >= 0 && place.x <= MEM_GUARD_SIZE - 8;
    struct place at = {.base = BASE, .index = SCRATCH, .indexed = true};
    if (place.base == NO_BASE && (uint32_t)place.x <= INT32_MAX)
        return (struct place){.base = BASE, .x = place.x};
    if (place.base != NO_BASE && reaches) {
        at.x = place.x;
        place.x = 0;
    }
    if (place.base != NO_BASE && !place.indexed && !place.x)
        x64_mov32(as, SCRATCH, place.base);
    else
        load_address(as, place);
    return at;
}

/* Where the compiler shall know what an access looks like. */
#define SPECIAL static inline __attribute__((always_inline))

/* The instruction alone; `segment` says gs and 32-bit addresses.  What comes in front
 * of modrm is one word. */
SPECIAL void put_access(struct x64 *as, const struct access *access, bool segment,
                        unsigned reg, const struct place *place)
{
    unsigned rm = place->base == NO_BASE ? 0 : place->base;
    unsigned index = place->indexed ? place->index : 0;
    unsigned rex =
        x64_rex_bits(MUTANT(native_access_narrow, W32, access->w), reg, index, rm);
    bool low = access->byte_reg && reg >= RSP && reg < R8 && !(rm & 8);
    bool has_prefix = MUTANT(native_access_no_prefix, false, access->prefix != 0);
    bool has_rex = rex || MUTANT(native_access_high_byte, false, low);
    unsigned opcode =
        MUTANT(native_load_i8_zero, access->opcode == 0xbe ? 0xb6 : access->opcode,
               access->opcode);
    uint64_t bytes = access->escape ? 0x0f | opcode << 8 : opcode;
    unsigned size = access->escape ? 2 : 1;
    bytes = has_rex ? bytes << 8 | 0x40 | rex : bytes;
    bytes = has_prefix ? bytes << 8 | access->prefix : bytes;
    size += has_rex + has_prefix;
    if (segment) {
        bytes = bytes << 16 | 0x6765;
        size += MUTANT(native_address_64, 1, 2);
        bytes = MUTANT(native_address_64, bytes >> 8, bytes);
    }
    x64_bytes(as, bytes, size);
    if (place->base != NO_BASE && !place->indexed)
        x64_mem(as, reg, place->base, place->x);
    else
        put_mem(as, reg, *place);
}

/* What is not one instruction. */
static void guest_slow(struct native_compiler *c, const struct native_insn *first,
                       const struct access *access, unsigned reg, struct place place)
{
    if (c->way == BY_GS_CHECKED)
        check_rights(c, first, access->is_store, access->size, place);
    if (c->way == BY_BASE)
        place = based(&c->as, place);
    if (c->way != BY_GS_CHECKED)
        (void)native_site(c, first);
    put_access(&c->as, access, c->way == BY_GS_CHECKED, reg, &place);
}

/* op reg, [STACK + x], which always has a REX prefix. */
static __attribute__((noinline)) void guest_near(struct native_compiler *c,
                                                 const struct native_insn *first,
                                                 const struct access *access,
                                                 unsigned reg, int32_t x)
{
    unsigned opcode = access->escape ? 0x0f | access->opcode << 8 : access->opcode;
    if (c->stack != STACK_HERE)
        pvm_native_stack_take(c);
    (void)native_site(c, first);
    if (access->prefix)
        x64_u8(&c->as, access->prefix);
    x64_op_mem(&c->as, x64_rex_bits(access->w, reg, 0, STACK), opcode,
               1 + access->escape, reg, STACK, x);
}

/* op reg, [place] in guest memory, with everything that belongs in front of it; the
 * immediate of a store of one is the caller's. */
SPECIAL void guest(struct native_compiler *c, const struct native_insn *first,
                   const struct access *access, unsigned reg, const struct place *place)
{
    if (c->way != BY_GS) {
        if (c->way != BY_STACK) {
            guest_slow(c, first, access, reg, *place);
            return;
        }
        if (place->base == SP && !place->indexed && native_is_near(place->x)) {
            guest_near(c, first, access, reg, place->x);
            return;
        }
    }
    (void)native_site(c, first);
    put_access(&c->as, access, true, reg, place);
}

static const struct access load_u8 = {1, 0, W32, true, 0xb6, false, false};
static const struct access load_i8 = {1, 0, W64, true, 0xbe, false, false};
static const struct access load_u16 = {2, 0, W32, true, 0xb7, false, false};
static const struct access load_i16 = {2, 0, W64, true, 0xbf, false, false};
static const struct access load_u32 = {4, 0, W32, false, 0x8b, false, false};
static const struct access load_i32 = {4, 0, W64, false, 0x63, false, false};
static const struct access load_u64 = {8, 0, W64, false, 0x8b, false, false};

static const struct access store_u8 = {1, 0, W32, false, 0x88, true, true};
static const struct access store_u16 = {2, 0x66, W32, false, 0x89, false, true};
static const struct access store_u32 = {4, 0, W32, false, 0x89, false, true};
static const struct access store_u64 = {8, 0, W64, false, 0x89, false, true};

static const struct access store_imm_u8 = {1, 0, W32, false, 0xc6, false, true};
static const struct access store_imm_u16 = {2, 0x66, W32, false, 0xc7, false, true};
static const struct access store_imm_u32 = {4, 0, W32, false, 0xc7, false, true};
static const struct access store_imm_u64 = {8, 0, W64, false, 0xc7, false, true};

SPECIAL void load(struct native_compiler *c, const struct native_insn *i,
                  const struct access *access, unsigned base)
{
    struct place place = at(base, i->x);
    guest(c, i, access, i->a, &place);
}

SPECIAL void store(struct native_compiler *c, const struct native_insn *i,
                   const struct access *access, unsigned base)
{
    struct place place = at(base, i->x);
    guest(c, i, access, MUTANT(native_store_rax, RAX, i->a), &place);
}

/* Y fits 32 bits, and the host extends it as the definition does. */
static void store_imm(struct native_compiler *c, const struct native_insn *i,
                      const struct access *access, unsigned base)
{
    struct place place = at(base, i->x);
    guest(c, i, access, 0, &place);
    x64_u32(&c->as, (uint32_t)MUTANT(native_store_imm_15, i->y & 0x7fff, i->y));
    c->as.at -= access->size == 1 ? 3 : access->size == 2 ? 2 : 0;
}

static const struct access *load_by(uint8_t op)
{
    static const struct access *const access[] = {
        &load_u8, &load_i8, &load_u16, &load_i16, &load_u32, &load_i32, &load_u64};
    return access[op - PVM_OP_load_ind_u8];
}

void pvm_native_load(struct native_compiler *c, const struct native_insn *first,
                     const struct native_insn *i)
{
    struct place place = at(i->b, i->x);
    guest(c, first, load_by(i->op), i->a, &place);
}

void pvm_native_load_indexed(struct native_compiler *c, const struct native_insn *first,
                             const struct native_insn *i, unsigned base, unsigned index,
                             unsigned scale)
{
    struct place place = {.base = (uint8_t)base,
                          .index = (uint8_t)index,
                          .scale = (uint8_t)scale,
                          .indexed = true,
                          .x = (int32_t)i->x};
    guest(c, first, load_by(i->op), i->a, &place);
}

void pvm_native_combine(struct native_compiler *c, const struct native_insn *i,
                        unsigned opcode, unsigned d)
{
    struct access how = load_u64;
    struct place place = at(i->b, i->x);
    how.opcode = (uint8_t)opcode;
    guest(c, i, &how, d, &place);
}

#define LOAD(type)                                                                     \
    EMIT(load_##type)                                                                  \
    {                                                                                  \
        load(c, i, &load_##type, NO_BASE);                                             \
    }                                                                                  \
    EMIT(load_ind_##type)                                                              \
    {                                                                                  \
        load(c, i, &load_##type, i->b);                                                \
    }
LOAD(u8)
LOAD(i8)
LOAD(u16)
LOAD(i16)
LOAD(u32)
LOAD(i32)
LOAD(u64)
#undef LOAD

#define STORE(type)                                                                    \
    EMIT(store_##type)                                                                 \
    {                                                                                  \
        store(c, i, &store_##type, NO_BASE);                                           \
    }                                                                                  \
    EMIT(store_ind_##type)                                                             \
    {                                                                                  \
        store(c, i, &store_##type, i->b);                                              \
    }                                                                                  \
    EMIT(store_imm_##type)                                                             \
    {                                                                                  \
        store_imm(c, i, &store_imm_##type, NO_BASE);                                   \
    }                                                                                  \
    EMIT(store_imm_ind_##type)                                                         \
    {                                                                                  \
        store_imm(c, i, &store_imm_##type, i->a);                                      \
    }
STORE(u8)
STORE(u16)
STORE(u32)
STORE(u64)
#undef STORE

void pvm_native_memory_emitters(native_emit_fn *emitter[256])
{
#define OP(name) emitter[PVM_OP_##name] = emit_##name
#define LOAD(type)                                                                     \
    OP(load_##type);                                                                   \
    OP(load_ind_##type)
    LOAD(u8);
    LOAD(i8);
    LOAD(u16);
    LOAD(i16);
    LOAD(u32);
    LOAD(i32);
    LOAD(u64);
#undef LOAD
#define STORE(type)                                                                    \
    OP(store_##type);                                                                  \
    OP(store_ind_##type);                                                              \
    OP(store_imm_##type);                                                              \
    OP(store_imm_ind_##type)
    STORE(u8);
    STORE(u16);
    STORE(u32);
    STORE(u64);
#undef STORE
#undef OP
}
