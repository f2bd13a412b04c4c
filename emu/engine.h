/* SPDX-License-Identifier: MIT
 *
 * emu/engine.h - what the files of the processor share; private to emu/.
 *
 * An instruction becomes an op: a handler with its operands resolved.  Ops stand in
 * blocks, one straight line of code each.  A handler gets its op and returns the next
 * one, or NULL to go back to the run loop.
 *
 * Where things are while a block runs: EIP is block_eip + op->offset, the number of
 * steps is what emu_sync_clock() computes from the budget, arithmetic flags are lazy.
 * cpu->eip, cpu->icount and the arithmetic bits of cpu->eflags are stale until then.
 */
#ifndef EMU_ENGINE_H
#define EMU_ENGINE_H

#include "emu/cpu.h"
#include "emu/decode.h"

#include <string.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* ---- ops and blocks ---- */

struct emu_op;
typedef const struct emu_op *emu_run_fn(struct emu_cpu *cpu, const struct emu_op *op);

#define EMU_OP_MEMORY 1u   /* the operand E is in memory */
#define EMU_OP_REP 2u      /* any rep prefix */
#define EMU_OP_REPNE 4u    /* it was f2 */
#define EMU_OP_IMPLICIT 8u /* the count is in CL, the port in DX */
#define EMU_OP_IMMEDIATE 16u

struct emu_op {
    emu_run_fn *run;
    uint8_t d, s;               /* first and second register operand; byte registers as
                                   an index into cpu->byte */
    uint8_t base, index, scale; /* of the address */
    uint8_t segment;
    uint8_t size;  /* of the operands: 1, 2, 4 */
    uint8_t flags; /* EMU_OP_* */
    uint32_t displacement;
    uint32_t immediate;
    uint32_t address_mask; /* ffff or ffffffff */
    uint16_t offset;       /* from the first byte of the block */
    uint8_t number;        /* steps of the block before this one */
    uint8_t length;
};

enum { EMU_BLOCK_OPS_MAX = 64 };
#define EMU_BLOCK_DEAD UINT32_MAX

/* What a block's meaning depends on besides its bytes: the default sizes, whether CS is
 * so plain that jumps need neither limit check nor page arithmetic, and whether linear
 * addresses are just offsets, without checks, in ES, SS and DS (6.2). */
#define EMU_MODE_CODE32 1u
#define EMU_MODE_PLAIN 2u
#define EMU_MODE_FLAT 4u

/* Decoded code, keyed by the physical address of its first byte and the mode.  All
 * within one page. */
struct emu_block {
    struct emu_block *next[2]; /* successors: 0 falls through, 1 jumps */
    struct emu_block *hash_next;
    uint32_t cost; /* its steps; EMU_BLOCK_DEAD once its bytes changed */
    uint32_t steps;
    uint32_t address;
    uint16_t size;               /* bytes */
    uint8_t mode;                /* EMU_MODE_* */
    struct emu_block *page_next; /* another block of this page */
    struct emu_op ops[];         /* steps, then one that falls through */
};

/* ---- host views: which accesses need no translation (6.1) ----
 *
 * Tags are the linear page or 1, which never matches.  An entry is derived from the TLB
 * entry of the same index and dropped with it.  A write tag stands only for a page that
 * is dirty already and has no decoded code. */
struct emu_view {
    uint32_t read, write;
    uintptr_t addend; /* host address minus linear address */
};

struct emu_fetch {
    uint32_t page; /* linear page, or 1 */
    uint32_t frame;
};

enum { EMU_VIEW_SUPERVISOR, EMU_VIEW_USER, EMU_VIEW_CHECKED, EMU_VIEW_COUNT };

/* ---- faults ---- */

enum {
    EMU_VECTOR_DE = 0,
    EMU_VECTOR_DB = 1,
    EMU_VECTOR_BP = 3,
    EMU_VECTOR_OF = 4,
    EMU_VECTOR_BR = 5,
    EMU_VECTOR_UD = 6,
    EMU_VECTOR_NM = 7,
    EMU_VECTOR_DF = 8,
    EMU_VECTOR_TS = 10,
    EMU_VECTOR_NP = 11,
    EMU_VECTOR_SS = 12,
    EMU_VECTOR_GP = 13,
    EMU_VECTOR_PF = 14,
    EMU_VECTOR_MF = 16,
    EMU_VECTOR_AC = 17,
    EMU_VECTOR_NONE = 0xff,
};

struct emu_fault {
    uint8_t vector; /* EMU_VECTOR_NONE while there is none */
    uint32_t error;
    uint32_t address; /* CR2 of a page fault */
};

/* A read-modify-write access that the fast path does not do in place. */
struct emu_bounce {
    uint8_t bytes[16];
    uint32_t physical[2]; /* of the first byte, and of the second page */
    uint8_t first_size;   /* bytes in the first page */
    uint8_t size;
};

/* An instruction that was executed alone, with the bytes it was decoded from: it is
 * what those bytes still mean.  Many of them cross pages and are in no block. */
enum { EMU_SINGLE_COUNT = 1024, EMU_SINGLE_BYTES = 16 };
struct emu_single {
    uint32_t address; /* physical, of the first byte */
    uint8_t length;   /* 0: none */
    bool code32;
    uint8_t bytes[EMU_SINGLE_BYTES];
    struct emu_op op;
};

struct emu_cache; /* emu/block.c */

/* Where near calls came from: a return to that place finds its block by a link of the
 * block that called, instead of the table of all blocks. */
struct emu_return {
    struct emu_block *caller; /* its next[0] is what comes behind the call; or NULL */
    uint32_t eip;
};
enum { EMU_RETURN_COUNT = 16 };
enum { EMU_WATCH_LINE_SHIFT = 6, EMU_WATCH_LINES = 8192, EMU_WATCH_PAGES = 1024 };

struct emu_engine {
    struct emu_view views[EMU_VIEW_COUNT][EMU_DTLB_SIZE];
    struct emu_fetch fetches[2][EMU_ITLB_SIZE];
    /* For each 4 MiB of linear addresses: the TLB may have entries of a big page. */
    uint8_t has_big[1024];
    struct emu_fault fault;
    struct emu_bounce bounce;
    struct emu_cache *cache;
    struct emu_block *scratch; /* for one op that is not kept */
    uint64_t limit_icount;     /* where the budget ends */
    struct emu_place limit;    /* where the run ends */
    uint64_t rep_budget;       /* iterations until the next EMU_RUN_YIELD */
    uint32_t ram_epoch;
    uint32_t dropped; /* code of the running block was overwritten */
    bool yield;
    bool one_by_one; /* never use blocks */
    uint64_t stress; /* of emu_cpu_stress: state of its random numbers, 0 off */
    bool triple;
    bool delivered; /* the instruction entered a handler: INT n */
    bool keep_eip;  /* a fault belongs to the new task already */
    bool external;  /* faults now arise in a delivery: EXT of error codes */
    const uint32_t *breakpoints; /* ascending */
    size_t breakpoint_count;
    const struct emu_watch *watches;
    size_t watch_count;
    /* Which lines and pages may be watched, by the low bits of their numbers. */
    uint64_t watch_lines[EMU_WATCH_LINES / 64], watch_pages[EMU_WATCH_PAGES / 64];
    struct emu_watch_hit watch_hit;
    struct emu_undefined undefined;
    struct emu_single singles[EMU_SINGLE_COUNT];
    const struct emu_single *current; /* the one that runs, if block is scratch */
    uint32_t current_second;          /* physical address of its second page */
};

static inline struct emu_single *emu_single_at(const struct emu_cpu *cpu,
                                               uint32_t physical)
{
    return &cpu->engine->singles[(physical ^ physical >> 12) & (EMU_SINGLE_COUNT - 1)];
}

/* Were the bytes of the instruction that runs alone overwritten?  Then a `rep` ends
 * here and what stands there now is executed, as with blocks. */
bool emu_single_changed(const struct emu_cpu *cpu);

/* Was the instruction there in two pages when it was last executed? */
static inline bool emu_is_straddler(const struct emu_cpu *cpu, uint32_t physical)
{
    const struct emu_single *single = emu_single_at(cpu, physical);
    return single->address == physical &&
           single->length > EMU_PAGE_SIZE - (physical & (EMU_PAGE_SIZE - 1));
}

/* Note a fault; always false, so that a bool function can return it. */
bool emu_fault(struct emu_cpu *cpu, uint8_t vector, uint32_t error);

/* ---- leaving a block ---- */

static inline uint32_t emu_op_eip(const struct emu_cpu *cpu, const struct emu_op *op)
{
    return cpu->block_eip + op->offset;
}

static inline uint32_t emu_next_eip(const struct emu_cpu *cpu, const struct emu_op *op)
{
    return cpu->block_eip + op->offset + op->length;
}

/* Leave before `op`: it is not counted and EIP names it.  For faults and interrupted
 * `rep`. */
const struct emu_op *emu_abandon(struct emu_cpu *cpu, const struct emu_op *op);

/* Leave after `op`, at `eip`. */
const struct emu_op *emu_leave(struct emu_cpu *cpu, const struct emu_op *op,
                               uint32_t eip);

/* Leave before `op` with a fault. */
const struct emu_op *emu_raise(struct emu_cpu *cpu, const struct emu_op *op,
                               uint8_t vector, uint32_t error);

/* Make icount exact for a device that `op` asks. */
static inline void emu_sync_clock(struct emu_cpu *cpu, const struct emu_op *op)
{
    cpu->icount =
        cpu->engine->limit_icount - cpu->budget - (cpu->block->steps - op->number);
}

/* ---- arithmetic flags ----
 *
 * flag_result is the last result, sign-extended to 32 bits.  Bit 31 of flag_carries is
 * CF, bit 30 CF ^ OF, bit 3 AF; bit 0 inverts SF; bits 8-15 are xored into the byte
 * whose parity is PF.  For additions and subtractions these are just the carries out of
 * each bit, moved to the top. */

static inline bool emu_flag_c(const struct emu_cpu *cpu)
{
    return cpu->flag_carries >> 31;
}

static inline bool emu_flag_o(const struct emu_cpu *cpu)
{
    return (cpu->flag_carries + 0x40000000u) >> 31;
}

static inline bool emu_flag_z(const struct emu_cpu *cpu)
{
    return cpu->flag_result == 0;
}

static inline bool emu_flag_s(const struct emu_cpu *cpu)
{
    return ((cpu->flag_result >> 31) ^ cpu->flag_carries) & 1;
}

static inline bool emu_flag_a(const struct emu_cpu *cpu)
{
    return cpu->flag_carries >> 3 & 1;
}

static inline bool emu_flag_p(const struct emu_cpu *cpu)
{
    uint32_t x = (cpu->flag_result ^ cpu->flag_carries >> 8) & 0xff;
    x ^= x >> 4;
    return 0x9669u >> (x & 15) & 1;
}

/* The condition of Jcc, SETcc, CMOVcc: the low four bits of the opcode. */
static inline bool emu_condition(const struct emu_cpu *cpu, unsigned condition)
{
    bool value;
    switch (condition >> 1 & 7) {
    case 0:
        value = emu_flag_o(cpu);
        break;
    case 1:
        value = emu_flag_c(cpu);
        break;
    case 2:
        value = emu_flag_z(cpu);
        break;
    case 3:
        value = emu_flag_c(cpu) || emu_flag_z(cpu);
        break;
    case 4:
        value = emu_flag_s(cpu);
        break;
    case 5:
        value = emu_flag_p(cpu);
        break;
    case 6:
        value = emu_flag_s(cpu) != emu_flag_o(cpu);
        break;
    default:
        value = emu_flag_z(cpu) || (emu_flag_s(cpu) != emu_flag_o(cpu));
        break;
    }
    return value ^ (condition & 1);
}

/* CF and OF alone. */
static inline void emu_set_flags_co(struct emu_cpu *cpu, bool c, bool o)
{
    cpu->flag_carries =
        (cpu->flag_carries & 0x3fffffffu) | (uint32_t)c << 31 | (uint32_t)(c ^ o) << 30;
}

/* All of EFLAGS, arithmetic flags included. */
static inline uint32_t emu_flags(const struct emu_cpu *cpu)
{
    uint32_t flags = cpu->eflags & ~EMU_FLAGS_ARITH;
    return flags | (emu_flag_c(cpu) ? EMU_FLAG_CF : 0) |
           (emu_flag_p(cpu) ? EMU_FLAG_PF : 0) | (emu_flag_a(cpu) ? EMU_FLAG_AF : 0) |
           (emu_flag_z(cpu) ? EMU_FLAG_ZF : 0) | (emu_flag_s(cpu) ? EMU_FLAG_SF : 0) |
           (emu_flag_o(cpu) ? EMU_FLAG_OF : 0);
}

/* The arithmetic ones of `flags`. */
static inline void emu_set_arithmetic(struct emu_cpu *cpu, uint32_t flags)
{
    uint32_t c = flags & EMU_FLAG_CF, o = flags >> 11 & 1;
    cpu->flag_result = flags & EMU_FLAG_ZF ? 0 : 0x100;
    cpu->flag_carries = c << 31 | (c ^ o) << 30 | (flags & EMU_FLAG_AF) >> 1 |
                        (flags >> 7 & 1) | (flags & EMU_FLAG_PF ? 0 : 0x100);
}

/* ZF alone. */
static inline void emu_set_flag_z(struct emu_cpu *cpu, bool z)
{
    emu_set_arithmetic(cpu, (emu_flags(cpu) & ~EMU_FLAG_ZF) | (z ? EMU_FLAG_ZF : 0));
}

/* The flags of a logical result: CF OF AF 0. */
static inline void emu_set_logic(struct emu_cpu *cpu, uint32_t extended_result)
{
    cpu->flag_result = extended_result;
    cpu->flag_carries = 0;
}

static inline uint32_t emu_sign_extend(uint32_t value, unsigned size)
{
    return size == 4   ? value
           : size == 2 ? (uint32_t)(int32_t)(int16_t)value
                       : (uint32_t)(int32_t)(int8_t)value;
}

static inline uint32_t emu_size_mask(unsigned size)
{
    return UINT32_MAX >> (32 - 8 * size);
}

/* All of EFLAGS that POPF, IRET and friends may change, by `mask`. */
void emu_set_flags(struct emu_cpu *cpu, uint32_t flags, uint32_t mask);

/* ---- memory ----
 *
 * emu_linear adds the segment; then the access itself.  All return false or NULL with
 * the fault noted. */

#define EMU_ACCESS_READ 1u
#define EMU_ACCESS_WRITE 2u
#define EMU_ACCESS_BOTH 3u

/* Slow path of emu_linear: limits, types, presence (emu/seg.c). */
bool emu_check_segment(struct emu_cpu *cpu, unsigned segment, uint32_t offset,
                       uint32_t size, unsigned access);

static inline bool emu_linear(struct emu_cpu *cpu, unsigned segment, uint32_t offset,
                              uint32_t size, unsigned access, uint32_t *ret_linear)
{
    const struct emu_segment *s = &cpu->segment[segment];
    if (unlikely((s->unchecked & access) != access) &&
        !emu_check_segment(cpu, segment, offset, size, access))
        return false;
    *ret_linear = offset + s->base;
    return true;
}

/* Any access, with pages crossed and faults found (emu/mmu.c).  `user` is the privilege
 * of the access.  Nothing is stored unless all of it can be. */
bool emu_read_slow(struct emu_cpu *cpu, uint32_t linear, void *ret_data, unsigned size,
                   bool user);
bool emu_write_slow(struct emu_cpu *cpu, uint32_t linear, const void *data,
                    unsigned size, bool user);
/* Would a write succeed?  Fills the TLB as the write will. */
bool emu_probe_write(struct emu_cpu *cpu, uint32_t linear, unsigned size, bool user);
/* The bounce buffer with the bytes there, translated with write intent. */
uint8_t *emu_modify_slow(struct emu_cpu *cpu, uint32_t linear, unsigned size);
/* Write the bounce buffer back; cannot fail. */
void emu_modify_finish(struct emu_cpu *cpu);

/* The slow paths of small loads and stores at the current privilege, by value, so that
 * no local variable of a handler has to live in memory.  The load answers
 * EMU_VALUE_FAULT instead of a value. */
#define EMU_VALUE_FAULT UINT64_MAX
uint64_t emu_read_value(struct emu_cpu *cpu, uint32_t linear, unsigned size);
bool emu_write_value(struct emu_cpu *cpu, uint32_t linear, uint32_t value,
                     unsigned size);

static inline bool emu_is_user(const struct emu_cpu *cpu)
{
    return cpu->privilege == 3;
}

static inline const uint8_t *emu_view_read(const struct emu_cpu *cpu, uint32_t linear,
                                           unsigned size)
{
    const struct emu_view *v = &cpu->view[linear >> 12 & (EMU_DTLB_SIZE - 1)];
    if (likely(((linear + size - 1) & ~0xfffu) == v->read))
        return (const uint8_t *)(v->addend + linear);
    return NULL;
}

static inline uint8_t *emu_view_write(const struct emu_cpu *cpu, uint32_t linear,
                                      unsigned size)
{
    const struct emu_view *v = &cpu->view[linear >> 12 & (EMU_DTLB_SIZE - 1)];
    if (likely(((linear + size - 1) & ~0xfffu) == v->write))
        return (uint8_t *)(v->addend + linear);
    return NULL;
}

#define EMU_ACCESSORS(bits)                                                            \
    static inline bool emu_load_##bits(struct emu_cpu *cpu, uint32_t linear,           \
                                       uint##bits##_t *ret)                            \
    {                                                                                  \
        const uint8_t *host = emu_view_read(cpu, linear, bits / 8);                    \
        if (unlikely(!host)) {                                                         \
            uint64_t value = emu_read_value(cpu, linear, bits / 8);                    \
            *ret = (uint##bits##_t)value;                                              \
            return value != EMU_VALUE_FAULT;                                           \
        }                                                                              \
        memcpy(ret, host, bits / 8);                                                   \
        return true;                                                                   \
    }                                                                                  \
    static inline bool emu_store_##bits(struct emu_cpu *cpu, uint32_t linear,          \
                                        uint##bits##_t value)                          \
    {                                                                                  \
        uint8_t *host = emu_view_write(cpu, linear, bits / 8);                         \
        if (unlikely(!host))                                                           \
            return emu_write_value(cpu, linear, value, bits / 8);                      \
        memcpy(host, &value, bits / 8);                                                \
        return true;                                                                   \
    }
EMU_ACCESSORS(8)
EMU_ACCESSORS(16)
EMU_ACCESSORS(32)

/* Where to modify `size` bytes in place: guest memory or the bounce buffer. */
static inline uint8_t *emu_modify(struct emu_cpu *cpu, uint32_t linear, unsigned size)
{
    uint8_t *host = emu_view_write(cpu, linear, size);
    return likely(host) ? host : emu_modify_slow(cpu, linear, size);
}

/* After the modification. */
static inline void emu_modified(struct emu_cpu *cpu, const uint8_t *host)
{
    if (unlikely(host == cpu->engine->bounce.bytes))
        emu_modify_finish(cpu);
}

/* ---- operands of handlers that take any size ---- */

static inline uint32_t emu_address(const struct emu_cpu *cpu, const struct emu_op *op)
{
    return (cpu->reg[op->base] + (cpu->reg[op->index] << op->scale) +
            op->displacement) &
           op->address_mask;
}

static inline uint32_t emu_get(const uint8_t *at, unsigned size)
{
    uint32_t value = 0;
    uint16_t half;
    switch (size) {
    case 1:
        return *at;
    case 2:
        memcpy(&half, at, 2);
        return half;
    case 4:
        memcpy(&value, at, 4);
        return value;
    default:
        memcpy(&value, at, size);
        return value;
    }
}

static inline void emu_put(uint8_t *at, unsigned size, uint32_t value)
{
    uint16_t half = (uint16_t)value;
    switch (size) {
    case 1:
        *at = (uint8_t)value;
        break;
    case 2:
        memcpy(at, &half, 2);
        break;
    default:
        memcpy(at, &value, 4);
        break;
    }
}

/* The register, as bytes. */
static inline uint8_t *emu_register(struct emu_cpu *cpu, unsigned number, unsigned size)
{
    return size == 1 ? &cpu->byte[number] : &cpu->byte[number * 4];
}

static inline uint32_t emu_get_register(struct emu_cpu *cpu, unsigned number,
                                        unsigned size)
{
    return emu_get(emu_register(cpu, number, size), size);
}

static inline void emu_put_register(struct emu_cpu *cpu, unsigned number, unsigned size,
                                    uint32_t value)
{
    emu_put(emu_register(cpu, number, size), size, value);
}

/* `size` bytes at segment:offset with the current privilege. */
bool emu_load(struct emu_cpu *cpu, unsigned segment, uint32_t offset, unsigned size,
              uint32_t *ret_value);
bool emu_store(struct emu_cpu *cpu, unsigned segment, uint32_t offset, unsigned size,
               uint32_t value);

/* Operand E, which is memory or register `number`. */
bool emu_read_operand(struct emu_cpu *cpu, const struct emu_op *op, unsigned number,
                      unsigned size, uint32_t *ret_value);
bool emu_write_operand(struct emu_cpu *cpu, const struct emu_op *op, unsigned number,
                       unsigned size, uint32_t value);
/* The bytes of operand E in place; then emu_modified(). */
uint8_t *emu_modify_operand(struct emu_cpu *cpu, const struct emu_op *op,
                            unsigned number, unsigned size);

/* ---- the stack ---- */

/* Push and pop through an offset that the caller commits: nothing changes on a fault.
 */
bool emu_push_at(struct emu_cpu *cpu, uint32_t *esp, unsigned size, uint32_t value);
bool emu_pop_at(struct emu_cpu *cpu, uint32_t *esp, unsigned size, uint32_t *ret_value);

/* ESP plus `change`, in the width of the stack. */
static inline uint32_t emu_stack_move(const struct emu_cpu *cpu, uint32_t esp,
                                      uint32_t change)
{
    return (esp & ~cpu->stack_mask) | ((esp + change) & cpu->stack_mask);
}

/* ---- emu/mmu.c ---- */

/* Instruction fetch at a linear address (4.6, rule 3). */
bool emu_fetch_page(struct emu_cpu *cpu, uint32_t linear, uint32_t *ret_physical);
void emu_tlb_flush(struct emu_cpu *cpu, bool global);
void emu_tlb_drop(struct emu_cpu *cpu, uint32_t linear);
/* Recompute what is derived from the TLB after somebody wrote it. */
void emu_tlb_loaded(struct emu_cpu *cpu);
/* Write views of pages that got code or lost their dirty bit. */
void emu_views_drop_writes(struct emu_cpu *cpu);
void emu_views_drop_page(struct emu_cpu *cpu, uint32_t physical);
void emu_views_flush(struct emu_cpu *cpu);

/* System structures: supervisor accesses whatever the privilege. */
static inline bool emu_read_system(struct emu_cpu *cpu, uint32_t linear, void *ret_data,
                                   unsigned size)
{
    return emu_read_slow(cpu, linear, ret_data, size, false);
}
static inline bool emu_write_system(struct emu_cpu *cpu, uint32_t linear,
                                    const void *data, unsigned size)
{
    return emu_write_slow(cpu, linear, data, size, false);
}

/* ---- emu/seg.c ---- */

#define EMU_ATTRIBUTE_TYPE 0x0fu
#define EMU_ATTRIBUTE_ACCESSED 0x01u
#define EMU_ATTRIBUTE_WRITABLE 0x02u /* data */
#define EMU_ATTRIBUTE_READABLE 0x02u /* code */
#define EMU_ATTRIBUTE_DOWN 0x04u     /* data: expand-down */
#define EMU_ATTRIBUTE_CONFORMING 0x04u
#define EMU_ATTRIBUTE_CODE 0x08u
#define EMU_ATTRIBUTE_S 0x10u
#define EMU_ATTRIBUTE_PRESENT 0x80u
#define EMU_ATTRIBUTE_BIG 0x4000u
#define EMU_ATTRIBUTE_GRANULAR 0x8000u

struct emu_descriptor {
    uint32_t low, high;
    uint32_t address; /* linear, of the entry */
    uint16_t selector;
};

static inline unsigned emu_descriptor_type(const struct emu_descriptor *d)
{
    return d->high >> 8 & 0x1f; /* S included */
}
static inline unsigned emu_descriptor_dpl(const struct emu_descriptor *d)
{
    return d->high >> 13 & 3;
}
static inline bool emu_descriptor_present(const struct emu_descriptor *d)
{
    return d->high >> 15 & 1;
}
static inline bool emu_descriptor_is_code(const struct emu_descriptor *d)
{
    return (emu_descriptor_type(d) & 0x18) == 0x18;
}
static inline bool emu_descriptor_is_data(const struct emu_descriptor *d)
{
    return (emu_descriptor_type(d) & 0x18) == 0x10;
}

/* Read the entry that a selector names.  A selector outside its table raises `vector`
 * with the selector; `ret_found` instead of that if it is not NULL. */
bool emu_read_descriptor(struct emu_cpu *cpu, uint16_t selector, uint8_t vector,
                         struct emu_descriptor *ret_descriptor, bool *ret_found);
/* The cached form of a descriptor. */
struct emu_segment emu_segment_of(const struct emu_descriptor *descriptor,
                                  uint16_t selector);
/* Set the accessed bit in the table if it is clear. */
bool emu_mark_accessed(struct emu_cpu *cpu, struct emu_descriptor *descriptor);
/* Is there room for emu_push_frame?  For checks between that and the stores. */
bool emu_check_frame(struct emu_cpu *cpu, const struct emu_segment *ss, bool user,
                     uint32_t esp, unsigned size, unsigned count, uint32_t error);
/* Push `count` values, the first one first, on a stack that is perhaps not the current
 * one.  All or nothing; #SS with `error`.  `esp` moves in the width of `ss`. */
bool emu_push_frame(struct emu_cpu *cpu, const struct emu_segment *ss, bool user,
                    uint32_t *esp, unsigned size, const uint32_t *values,
                    unsigned count, uint32_t error);
/* Put a segment in place and recompute what depends on it. */
void emu_install_segment(struct emu_cpu *cpu, unsigned number,
                         const struct emu_segment *segment);
/* MOV, POP, Lxx to a data or stack segment register, with all checks. */
bool emu_load_segment(struct emu_cpu *cpu, unsigned number, uint16_t selector);
/* Checks of a stack segment for a privilege, raising `vector`. */
bool emu_check_stack_segment(struct emu_cpu *cpu, uint16_t selector, unsigned privilege,
                             uint8_t vector, struct emu_descriptor *ret_descriptor);
struct emu_segment emu_real_segment(const struct emu_cpu *cpu, unsigned number,
                                    uint16_t selector);
/* CPL, stack width, views: after CS, SS, CR0 or EFLAGS changed. */
void emu_mode_changed(struct emu_cpu *cpu);

static inline bool emu_is_protected(const struct emu_cpu *cpu)
{
    return (cpu->cr0 & EMU_CR0_PE) && !(cpu->eflags & EMU_FLAG_VM);
}

/* May the port be accessed? */
bool emu_check_io(struct emu_cpu *cpu, uint16_t port, unsigned size);

/* ---- emu/gate.c, emu/far.c, emu/task.c ---- */

struct emu_event {
    uint8_t vector;
    bool software; /* INT n, INT3, INTO: the gate's DPL is checked */
    bool has_error;
    bool resume; /* RF is set in the pushed flags */
    uint32_t error;
};

/* Enter the handler of an event; cpu->eip is the return address. */
bool emu_deliver(struct emu_cpu *cpu, const struct emu_event *event);
/* Deliver the noted fault, as #DF if it must be.  False: triple fault. */
bool emu_deliver_fault(struct emu_cpu *cpu);

/* Far transfers from `eip` of the next instruction; they set cpu->eip. */
bool emu_far_jump(struct emu_cpu *cpu, uint16_t selector, uint32_t offset,
                  uint32_t next_eip);
bool emu_far_call(struct emu_cpu *cpu, uint16_t selector, uint32_t offset,
                  unsigned size, uint32_t next_eip);
bool emu_far_return(struct emu_cpu *cpu, unsigned size, uint32_t release);
bool emu_interrupt_return(struct emu_cpu *cpu, unsigned size, uint32_t next_eip);
/* The code segment that a far transfer through no gate may enter. */
bool emu_check_offset(struct emu_cpu *cpu, const struct emu_segment *cs,
                      uint32_t offset);
/* Null or drop segments that an outer privilege may not keep. */
void emu_drop_inner_segments(struct emu_cpu *cpu);

enum emu_task_cause { EMU_TASK_JUMP, EMU_TASK_CALL, EMU_TASK_RETURN };
/* Switch tasks; cpu->eip is where the old task continues. */
bool emu_task_switch(struct emu_cpu *cpu, const struct emu_descriptor *tss,
                     enum emu_task_cause cause);
/* SS:ESP of an inner privilege, from the current TSS. */
bool emu_task_stack(struct emu_cpu *cpu, unsigned privilege, uint16_t *ret_ss,
                    uint32_t *ret_esp);

/* ---- emu/translate.c, emu/block.c, emu/exec.c ---- */

/* Fill an op from an instruction, but for offset and number; `flat` if it is for a
 * block of EMU_MODE_FLAT. */
void emu_translate(const struct emu_insn *insn, bool flat, struct emu_op *op);

/* One handler for a comparison and the 32-bit Jcc behind it; NULL if there is none. */
emu_run_fn *emu_fused(emu_run_fn *comparison, unsigned condition);

enum err emu_cache_create(struct arena *arena, struct emu_cpu *cpu,
                          size_t size) ERR_MUST_CHECK;
/* Grows with each flush: pointers to blocks from before are dead. */
uint32_t emu_cache_generation(const struct emu_cpu *cpu);
/* The block at a physical address, decoded now if it is not known; NULL if its first
 * instruction leaves the page or is not valid. */
struct emu_block *emu_cache_get(struct emu_cpu *cpu, uint32_t physical, unsigned mode);
void emu_cache_flush(struct emu_cpu *cpu);

/* Ends each block: go on behind it. */
emu_run_fn emu_op_fall_through;
/* Stands in for every op of a block whose bytes changed. */
emu_run_fn emu_op_stale;
void emu_end_block(struct emu_op *op, unsigned offset, unsigned steps);

/* Go to `eip` by a successor link of the running block, which is set if it can be.
 * NULL, with EIP there, if the run loop has to look. */
const struct emu_op *emu_go_slow(struct emu_cpu *cpu, uint32_t eip,
                                 struct emu_block **link);

static inline const struct emu_op *emu_enter(struct emu_cpu *cpu,
                                             struct emu_block *block, uint32_t eip)
{
    cpu->budget -= block->cost;
    cpu->block = block;
    cpu->block_eip = eip;
    return block->ops;
}

/* Is `block` what instruction fetch at `eip` finds?  For plain code segments. */
static inline bool emu_is_mapped(const struct emu_cpu *cpu,
                                 const struct emu_block *block, uint32_t eip)
{
    uint32_t page = (eip + cpu->segment[EMU_CS].base) & ~0xfffu;
    const struct emu_fetch *f = &cpu->fetch[page >> 12 & (EMU_ITLB_SIZE - 1)];
    return f->page == page && f->frame == (block->address & ~0xfffu);
}

/* Links exist only between blocks of plain code segments, so EIP needs no check, and
 * none within a page. */
static inline const struct emu_op *emu_go(struct emu_cpu *cpu, uint32_t eip,
                                          struct emu_block **link)
{
    struct emu_block *next = *link;
    if (likely(next && next->cost <= cpu->budget) &&
        (((eip ^ cpu->block_eip) & ~0xfffu) == 0 || emu_is_mapped(cpu, next, eip)))
        return emu_enter(cpu, next, eip);
    return emu_go_slow(cpu, eip, link);
}

/* The known blocks, by a hash of their address. */
enum { EMU_BLOCK_TABLE_SIZE = 65536 };
static inline unsigned emu_block_slot(uint32_t physical)
{
    return (physical ^ physical >> 16) & (EMU_BLOCK_TABLE_SIZE - 1);
}

/* The block at an `eip` that is not known before, for returns and indirect jumps; NULL
 * if it takes more to tell. */
static inline struct emu_block *emu_find_target(const struct emu_cpu *cpu, uint32_t eip)
{
    uint32_t linear = eip + cpu->segment[EMU_CS].base;
    const struct emu_fetch *f = &cpu->fetch[linear >> 12 & (EMU_ITLB_SIZE - 1)];
    if (unlikely(f->page != (linear & ~0xfffu) || !(cpu->code_mode & EMU_MODE_PLAIN)))
        return NULL;
    uint32_t physical = f->frame | (linear & 0xfff);
    struct emu_block *block = cpu->blocks[emu_block_slot(physical)];
    return likely(block && block->address == physical &&
                  block->mode == cpu->code_mode && block->cost <= cpu->budget)
               ? block
               : NULL;
}

static inline const struct emu_op *emu_go_indirect(struct emu_cpu *cpu, uint32_t eip)
{
    struct emu_block *block = emu_find_target(cpu, eip);
    return likely(block) ? emu_enter(cpu, block, eip) : emu_go_slow(cpu, eip, NULL);
}

#endif
