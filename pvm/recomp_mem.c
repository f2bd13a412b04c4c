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

/* Where an access is: [base + index * 2^scale + x], [base + x], or x alone. */
enum place_kind { ABSOLUTE, DIRECT, INDEXED };
struct place {
    enum place_kind kind;
    unsigned base, index, scale;
    int32_t x;
};

static struct place absolute(int64_t x)
{
    return (struct place){.kind = ABSOLUTE, .x = (int32_t)x};
}

static struct place direct(unsigned base, int64_t x)
{
    return (struct place){.kind = DIRECT, .base = base, .x = (int32_t)x};
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
    uint8_t imm_size; /* of an immediate behind it, or 0 */
};

/* modrm and what follows it for [base + index * 2^scale + x]. */
static void indexed_mem(struct x64 *as, unsigned reg, struct place place)
{
    int32_t x = MUTANT(native_indexed_31, place.x & INT32_MAX, place.x);
    bool small = x == (int8_t)x;
    unsigned mod = x == 0 && (place.base & 7) != RBP ? 0u : small ? 1u : 2u;
    x64_bytes(as,
              x64_modrm(mod, reg, 4) | x64_modrm(place.scale, place.index, place.base)
                                           << 8,
              2);
    x64_u32(as, (uint32_t)x);
    as->at -= mod == 0 ? 4 : mod == 1 ? 3 : 0;
}

/* Where the compiler shall know what an access looks like. */
#define SPECIAL static inline __attribute__((always_inline))

/* An opcode of `size` bytes, with REX's bits but for those of registers, on a place. */
SPECIAL void put_op(struct x64 *as, unsigned rex, unsigned opcode, unsigned size,
                    unsigned reg, struct place place)
{
    if (place.kind == DIRECT) {
        x64_op_mem(as, rex, opcode, size, reg, place.base, place.x);
        return;
    }
    x64_put(as, x64_rex_bits(rex, reg, place.index, place.base), opcode, size);
    if (place.kind == INDEXED)
        indexed_mem(as, reg, place);
    else
        x64_mem_absolute(
            as, reg,
            (uint32_t)MUTANT(native_absolute_31, place.x & INT32_MAX, place.x));
}

/* edx = the guest address of an access. */
static void load_address(struct x64 *as, struct place place)
{
    if (place.kind == ABSOLUTE) {
        x64_load_imm(as, SCRATCH, (uint32_t)place.x);
        return;
    }
    put_op(as, W32, 0x8d, 1, SCRATCH, place); /* lea */
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
    struct place at = {.kind = INDEXED, .base = BASE, .index = SCRATCH};
    if (place.kind == ABSOLUTE && (uint32_t)place.x <= INT32_MAX)
        return direct(BASE, place.x);
    if (place.kind != ABSOLUTE && reaches) {
        at.x = place.x;
        place.x = 0;
    }
    if (place.kind == DIRECT && !place.x)
        x64_mov32(as, SCRATCH, place.base);
    else
        load_address(as, place);
    return at;
}

/* The instruction alone; `segment` says gs and 32-bit addresses. */
SPECIAL void put_access(struct x64 *as, const struct access *access, bool segment,
                        unsigned reg, struct place place)
{
    unsigned rex = MUTANT(native_access_narrow, W32, access->w);
    bool low = access->byte_reg && (reg & 12) == RSP; /* wants REX, bits or not */
    rex |= MUTANT(native_access_high_byte, false, low) ? X64_REX : 0;
    if (segment)
        x64_bytes(as, MUTANT(native_address_64, 0x65, 0x6765),
                  MUTANT(native_address_64, 1, 2));
    if (MUTANT(native_access_no_prefix, false, access->prefix))
        x64_u8(as, access->prefix);
    unsigned opcode =
        MUTANT(native_load_i8_zero, access->opcode == 0xbe ? 0xb6 : access->opcode,
               access->opcode);
    unsigned bytes = access->escape ? 0x0f | opcode << 8 : opcode;
    unsigned size = access->escape ? 2 : 1;
    put_op(as, rex, bytes, size, reg, place);
}

/* And the immediate behind it. */
SPECIAL void put_imm(struct x64 *as, unsigned size, int32_t imm)
{
    if (size)
        x64_bytes(as, (uint32_t)imm, size);
}

/* What is not one instruction. */
static void guest_slow(struct native_compiler *c, const struct native_insn *first,
                       const struct access *access, unsigned reg, struct place place,
                       int32_t imm)
{
    struct native_site *site = c->site;
    if (c->way == BY_GS_CHECKED)
        check_rights(c, first, access->is_store, access->size, place);
    if (c->way == BY_BASE)
        place = based(&c->as, place);
    if (c->way != BY_GS_CHECKED)
        (void)native_site(c, first, 0);
    put_access(&c->as, access, c->way == BY_GS_CHECKED, reg, place);
    put_imm(&c->as, access->imm_size, imm);
    native_sites_end(c, site);
}

/* op reg, [STACK + x] (and the immediate): there always is a REX prefix. */
static NATIVE_NOINLINE void guest_near(struct native_compiler *c,
                                       const struct native_insn *first,
                                       const struct access *access, unsigned reg,
                                       int32_t x, int32_t imm)
{
    unsigned opcode = access->opcode;
    opcode = access->escape ? 0x0f | opcode << 8 : opcode;
    if (c->stack != STACK_HERE)
        pvm_native_stack_take(c);
    struct native_site *site = native_site(c, first, 0);
    if (access->prefix)
        x64_u8(&c->as, access->prefix);
    x64_op_mem(&c->as, access->w, opcode, 1 + access->escape, reg, STACK, x);
    put_imm(&c->as, access->imm_size, imm);
    native_sites_end(c, site);
}

/* op reg, [place] (and the immediate, if it has one) in guest memory, with everything
 * that belongs in front of it. */
SPECIAL void guest(struct native_compiler *c, const struct native_insn *first,
                   const struct access *access, unsigned reg, struct place place,
                   int32_t imm)
{
    if (c->way == BY_STACK) {
        if (place.kind == DIRECT && place.base == SP && native_is_near(place.x)) {
            guest_near(c, first, access, reg, place.x, imm);
            return;
        }
    } else if (c->way != BY_GS) {
        /* A copy, so that the parts of the other are in registers. */
        struct place copy = {place.kind, place.base, place.index, place.scale, place.x};
        guest_slow(c, first, access, reg, copy, imm);
        return;
    }
    struct x64 as = c->as;
    put_access(&as, access, true, reg, place);
    put_imm(&as, access->imm_size, imm);
    unsigned size = (unsigned)(as.at - c->as.at);
    (void)native_site(c, first, MUTANT(native_site_next, 0, size));
    c->as = as;
}

static const struct access load_u8 = {1, 0, W32, true, 0xb6, false, false, 0};
static const struct access load_i8 = {1, 0, W64, true, 0xbe, false, false, 0};
static const struct access load_u16 = {2, 0, W32, true, 0xb7, false, false, 0};
static const struct access load_i16 = {2, 0, W64, true, 0xbf, false, false, 0};
static const struct access load_u32 = {4, 0, W32, false, 0x8b, false, false, 0};
static const struct access load_i32 = {4, 0, W64, false, 0x63, false, false, 0};
static const struct access load_u64 = {8, 0, W64, false, 0x8b, false, false, 0};

static const struct access store_u8 = {1, 0, W32, false, 0x88, true, true, 0};
static const struct access store_u16 = {2, 0x66, W32, false, 0x89, false, true, 0};
static const struct access store_u32 = {4, 0, W32, false, 0x89, false, true, 0};
static const struct access store_u64 = {8, 0, W64, false, 0x89, false, true, 0};

static const struct access store_imm_u8 = {1, 0, W32, false, 0xc6, false, true, 1};
static const struct access store_imm_u16 = {2, 0x66, W32, false, 0xc7, false, true, 2};
static const struct access store_imm_u32 = {4, 0, W32, false, 0xc7, false, true, 4};
static const struct access store_imm_u64 = {8, 0, W64, false, 0xc7, false, true, 4};

SPECIAL void load(struct native_compiler *c, const struct native_insn *i,
                  const struct access *access, struct place place)
{
    guest(c, i, access, i->a, place, 0);
}

SPECIAL void store(struct native_compiler *c, const struct native_insn *i,
                   const struct access *access, struct place place)
{
    guest(c, i, access, MUTANT(native_store_rax, RAX, i->a), place, 0);
}

/* Y fits 32 bits, and the host extends it as the definition does. */
SPECIAL void store_imm(struct native_compiler *c, const struct native_insn *i,
                       const struct access *access, struct place place)
{
    guest(c, i, access, 0, place, MUTANT(native_store_imm_15, i->y & 0x7fff, i->y));
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
    struct place place = direct(i->b, i->x);
    guest(c, first, load_by(i->op), i->a, place, 0);
}

void pvm_native_load_indexed(struct native_compiler *c, const struct native_insn *first,
                             const struct native_insn *i, unsigned base, unsigned index,
                             unsigned scale)
{
    struct place place = {.kind = INDEXED,
                          .base = base,
                          .index = index,
                          .scale = scale,
                          .x = (int32_t)i->x};
    guest(c, first, load_by(i->op), i->a, place, 0);
}

void pvm_native_combine(struct native_compiler *c, const struct native_insn *i,
                        unsigned opcode, unsigned d)
{
    struct access how = load_u64;
    struct place place = direct(i->b, i->x);
    how.opcode = (uint8_t)opcode;
    guest(c, i, &how, d, place, 0);
}

#define LOAD(type)                                                                     \
    EMIT(load_##type)                                                                  \
    {                                                                                  \
        load(c, i, &load_##type, absolute(i->x));                                      \
    }                                                                                  \
    EMIT(load_ind_##type)                                                              \
    {                                                                                  \
        load(c, i, &load_##type, direct(i->b, i->x));                                  \
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
        store(c, i, &store_##type, absolute(i->x));                                    \
    }                                                                                  \
    EMIT(store_ind_##type)                                                             \
    {                                                                                  \
        store(c, i, &store_##type, direct(i->b, i->x));                                \
    }                                                                                  \
    EMIT(store_imm_##type)                                                             \
    {                                                                                  \
        store_imm(c, i, &store_imm_##type, absolute(i->x));                            \
    }                                                                                  \
    EMIT(store_imm_ind_##type)                                                         \
    {                                                                                  \
        store_imm(c, i, &store_imm_##type, direct(i->a, i->x));                        \
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
