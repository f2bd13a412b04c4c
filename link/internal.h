/* SPDX-License-Identifier: MIT
 *
 * link/internal.h - what the passes of the linker share.  Not for other folders.
 *
 * The passes, in order: read (elf.c), resolve (symbol.c), collect exports and mark what
 * is reachable (keep.c), decode code and find its targets (scan.c), place data
 * (layout.c), lower to PVM items (lower.c, zero.c), find offsets and encode (emit.c),
 * apply data relocations (data.c), write (write.c, text.c, dbg_*.c).
 *
 * A pass returns an operating error of ours (nomem); what is wrong with the input goes
 * to link->problems, and the driver (link.c) stops behind the pass that found it.
 */
#ifndef LINK_INTERNAL_H
#define LINK_INTERNAL_H

#include "link/link.h"

enum {
    LINK_NAME_SIZE_MAX = 4095,
    LINK_ALIGN_MAX = 65536,
    LINK_REGION_ALIGN = 65536,
    LINK_DATA_SIZE_MAX = (1 << 24) - 1, /* E_3 of a standard program */
    LINK_RO_BASE = 0x10000,
};
#define LINK_NONE UINT32_MAX
#define LINK_STATIC_END 0x7ffff800u /* hi(V) stays below 2^31 (8) */

/* ---- instructions ---- */

enum link_form {
    LINK_FORM_R3,
    LINK_FORM_CMOV,
    LINK_FORM_R2,
    LINK_FORM_ORC_B,
    LINK_FORM_I,
    LINK_FORM_SH5,
    LINK_FORM_SH6,
    LINK_FORM_LOAD,
    LINK_FORM_STORE,
    LINK_FORM_BRANCH,
    LINK_FORM_LUI,
    LINK_FORM_AUIPC,
    LINK_FORM_JAL,
    LINK_FORM_JALR,
    LINK_FORM_HOST,
    LINK_FORM_NONE,
};

enum link_zero_kind {
    LINK_ZERO_NA,
    LINK_ZERO_IMM,
    LINK_ZERO_SELF,
    LINK_ZERO_LT_S,
    LINK_ZERO_LT_U,
    LINK_ZERO_COPY,
    LINK_ZERO_OPI,
    LINK_ZERO_USE,
    LINK_ZERO_ALWAYS,
    LINK_ZERO_NEVER,
    LINK_ZERO_DIV0,
    LINK_ZERO_DIV0W,
    LINK_ZERO_CLAMP,
    LINK_ZERO_NOTHING,
};

/* What an instruction becomes when a source is `zero`. */
struct link_zero {
    uint8_t kind;
    uint8_t op;
    int8_t imm;
};

enum link_rv {
#define RV(name, mask, match, form, op, z1, z2, zz) LINK_RV_##name,
#include "link/rv64.def"
    LINK_RV_COUNT,
    LINK_RV_END = LINK_RV_COUNT, /* the place behind a section's last word */
};

struct link_rv_info {
    const char *name;
    uint32_t mask, match;
    uint8_t form;
    uint8_t op;
    struct link_zero z1, z2, zz;
};
extern const struct link_rv_info link_rv_info[LINK_RV_COUNT];

enum link_word_flag {
    LINK_WORD_START = 1 << 0, /* must start a block */
    LINK_WORD_ENTRY = 1 << 1, /* has an entry in the jump table */
    LINK_WORD_TAIL = 1 << 2,  /* the jalr of an auipc: part of the word before */
    LINK_WORD_CALL = 1 << 3,  /* an auipc that is one call with the next word */
    LINK_WORD_LOST = 1 << 4,  /* its target is an undefined weak symbol */
};

struct link_reloc;

/* One RISC-V instruction. */
struct link_word {
    uint8_t row; /* enum link_rv */
    uint8_t rd, rs1, rs2;
    uint8_t flags;
    int32_t imm;
    const struct link_reloc *reloc; /* NULL: none that matters */
    uint32_t target;                /* index of a word, or LINK_NONE */
    uint32_t item;                  /* its first item, once lowered */
    uint32_t entry;                 /* its index in the jump table */
    uint32_t got;                   /* its GOT slot */
};

/* Decode; false: not an instruction of rv64.def.  Sets row, registers and imm. */
bool link_rv_decode(uint32_t bits, struct link_word *ret_word);

/* Bit set of the operands that a form has: 1 rd, 2 rs1, 4 rs2. */
unsigned link_form_operands(enum link_form form);

/* ---- relocations ---- */

enum link_reloc_where {
    LINK_RELOC_UNKNOWN,
    LINK_RELOC_NOTE,
    LINK_RELOC_CODE,
    LINK_RELOC_DATA,
    LINK_RELOC_DEBUG,
    LINK_RELOC_TLS,
    LINK_RELOC_NEVER,
};

enum {
#define RELOC(number, name, where, width) R_RISCV_##name = number,
#include "link/reloc.def"
    LINK_RELOC_COUNT = 66,
};

struct link_reloc_info {
    const char *name; /* "R_RISCV_32" */
    uint8_t where;
    uint8_t width;
};

/* The row of a type; one with where UNKNOWN if there is none. */
const struct link_reloc_info *link_reloc_info(uint32_t type);

struct link_symbol;

struct link_reloc {
    uint64_t offset;
    int64_t addend;
    struct link_symbol *symbol;
    uint32_t type;
};

/* ---- objects ---- */

enum link_section_kind {
    LINK_SECTION_DROP,
    LINK_SECTION_CODE,
    LINK_SECTION_RO,
    LINK_SECTION_RW,
    LINK_SECTION_BSS,
    LINK_SECTION_EXPORTS,
    LINK_SECTION_DEBUG,
    LINK_SECTION_TLS,
};

struct link_section {
    struct link_object *object;
    const char *name;
    uint32_t index;
    uint32_t type;
    enum link_section_kind kind;
    bool live;
    bool discarded; /* its COMDAT group lost */
    uint64_t flags;
    uint64_t size;
    uint64_t align;
    struct bytes content; /* empty for NOBITS */
    uint32_t link, info;
    uint64_t entry_size;
    struct link_reloc *reloc; /* ascending by offset */
    uint32_t reloc_count;
    uint64_t address;    /* data, once placed; debug: offset in its output */
    uint32_t word_start; /* code: index of its first word */
    uint32_t word_count; /* without the END */
};

enum link_place {
    LINK_PLACE_UNDEFINED,
    LINK_PLACE_SECTION,
    LINK_PLACE_ABSOLUTE,
    LINK_PLACE_COMMON, /* value is the alignment; address once placed */
};

enum { LINK_BIND_LOCAL = 0, LINK_BIND_GLOBAL = 1, LINK_BIND_WEAK = 2 };
enum { LINK_TYPE_NONE = 0, LINK_TYPE_OBJECT = 1, LINK_TYPE_FUNC = 2 };
enum { LINK_TYPE_SECTION = 3, LINK_TYPE_FILE = 4, LINK_TYPE_TLS = 6 };

struct link_symbol {
    const char *name;
    struct link_object *object;     /* NULL: the linker's own */
    struct link_section *section;   /* place SECTION */
    struct link_symbol *definition; /* what a reference means; NULL: undefined */
    uint64_t value, size;
    uint64_t address; /* of a common symbol */
    uint32_t index;   /* in its object */
    uint8_t place;
    uint8_t bind, type;
    bool reported; /* as undefined */
    bool live;     /* common: something refers to it */
};

struct link_object {
    const char *name;
    struct bytes content;
    uint32_t index; /* in order of the inputs */
    struct link_section *section;
    uint32_t section_count;
    struct link_symbol *symbol;
    uint32_t symbol_count;
    bool tls_reported;
    bool debug_dropped;
};

/* ---- the link ---- */

/* An export, in order of its number once collected. */
struct link_root {
    struct link_symbol *symbol; /* the reference */
    int64_t addend;
    const char *name;
    struct link_section *section; /* of the record; NULL: the command line */
    uint64_t offset;
    uint32_t number;
    uint32_t target; /* word */
    uint32_t entry;  /* JAVM: the jump-table entry of its stub's return site */
    uint32_t item;   /* JAVM: the first item of its stub */
};

/* One PVM instruction; `target` is an index of link->item (of link->word while
 * lowering, when `target_is_word`). */
struct link_item {
    int64_t x, y;
    uint32_t target;
    uint32_t pc;
    uint8_t op, a, b, d;
    uint8_t x_size, y_size;
    bool target_is_word;
    bool fixed; /* keep the size of its offset */
};

struct link_slot {
    struct link_symbol *symbol; /* a definition, or an undefined weak reference */
    int64_t addend;
    struct link_word *word;
    uint32_t order;
};

enum link_own { /* symbols that the linker defines (2) */
                LINK_OWN_HEAP_START,
                LINK_OWN_HEAP_END,
                LINK_OWN_STACK_LOW,
                LINK_OWN_STACK_HIGH,
                LINK_OWN_COUNT,
};

struct link_layout {
    uint64_t got;     /* address of the GOT, in RO */
    uint64_t ro_size; /* sections and GOT */
    uint64_t ro_base;
    uint64_t rw_base, rw_size; /* initialised part */
    uint64_t bss_end;
    uint64_t heap_start, heap_end;
    uint64_t stack_low, stack_high;
};

struct link {
    struct arena *arena;
    const struct link_options *options;
    struct link_problems *problems;
    struct buf text; /* of the problem being written */
    struct link_object *object;
    uint32_t object_count;
    struct link_symbol **global; /* non-local symbols, by name, then input order */
    uint32_t global_count;
    struct link_symbol own[LINK_OWN_COUNT];
    struct link_symbol **common; /* chosen common definitions, in input order */
    uint32_t common_count;
    struct link_root root[LINK_EXPORT_COUNT_MAX];
    uint32_t root_count;
    struct link_word *word;
    uint32_t word_count;
    struct link_slot *slot; /* GOT, in order of its addresses */
    uint32_t slot_count;
    uint32_t entry_count;
    uint32_t *entry_word; /* word of each entry; LINK_NONE: a stub's return site */
    struct link_layout layout;
    struct link_item *item;
    uint32_t item_count, item_capacity;
    struct link_item item_spare;
    bool item_failed; /* no memory for items */
    struct buf code;  /* bytes; bitmask and table are made from the items */
    uint8_t *bitmask;
    uint8_t *jump;
    struct pvm_code program;
    int64_t ecalli_max; /* largest number used, -1: none */
    int64_t ecalli_min;
    uint8_t *ro, *rw; /* relocated bytes */
    uint64_t rw_used; /* rw without its zero tail */
};

/* The passes. */
ERR_MUST_CHECK enum err link_read(struct link *link, struct link_object *object);
ERR_MUST_CHECK enum err link_read_symbols(struct link *link,
                                          struct link_object *object);
ERR_MUST_CHECK enum err link_read_relocs(struct link *link, struct link_object *object);
ERR_MUST_CHECK enum err link_resolve(struct link *link);
ERR_MUST_CHECK enum err link_collect_exports(struct link *link);
ERR_MUST_CHECK enum err link_mark(struct link *link);
ERR_MUST_CHECK enum err link_scan(struct link *link);
ERR_MUST_CHECK enum err link_collect_slots(struct link *link);
ERR_MUST_CHECK enum err link_place(struct link *link);
ERR_MUST_CHECK enum err link_lower(struct link *link);
ERR_MUST_CHECK enum err link_emit(struct link *link);
ERR_MUST_CHECK enum err link_data(struct link *link);
ERR_MUST_CHECK enum err link_write(struct link *link, struct buf *buf);

/* -f image (image.c). */
void link_write_image(struct link *link, struct buf *output);
void link_write_json(const struct link *link, struct buf *buf);
ERR_MUST_CHECK enum err link_write_map(const struct link *link, struct buf *buf);
ERR_MUST_CHECK enum err link_write_debug(struct link *link, struct buf *buf);

/* ---- helpers ---- */

/* symbol.c: what the reference means; NULL if nothing defines it. */
struct link_symbol *link_definition(struct link_symbol *symbol);

/* symbol.c: the global definition with this name, or NULL. */
struct link_symbol *link_find(struct link *link, const char *name);

/* symbol.c: the section where a reference leads, NULL if not into a section. */
struct link_section *link_section_of(struct link_symbol *symbol);

/* scan.c: the word at symbol + addend, or LINK_NONE with a problem reported for
 * `section` + `offset`. */
uint32_t link_locate(struct link *link, struct link_section *section, uint64_t offset,
                     struct link_symbol *symbol, int64_t addend);

/* layout.c: V of 4.2. */
uint64_t link_value(const struct link *link, struct link_symbol *symbol,
                    int64_t addend);

/* data.c: change a field as the relocation says; false if the value does not fit. */
bool link_apply(uint8_t *at, uint32_t type, uint64_t value);

/* emit.c: where a place of a code section is in the program; the end of the section
 * is a place.  0 for what was dropped. */
uint32_t link_pc(const struct link *link, const struct link_section *section,
                 uint64_t offset);

/* sort.c: stable merge sort of pointers or records of `size` bytes. */
typedef int link_compare(const void *a, const void *b);
ERR_MUST_CHECK enum err link_sort(struct arena *arena, void *base, size_t count,
                                  size_t size, link_compare *compare);

/* problem.c: start a line with its place, as far as given; the caller writes the rest
 * to the result and closes.  A line that is too much goes nowhere. */
struct buf *link_problem_open(struct link *link, const struct link_object *object,
                              const struct link_section *section, uint64_t offset);
void link_problem_close(struct link *link, enum err err);
void link_warning_close(struct link *link);

/* problem.c: is the list full?  Passes may stop then. */
bool link_problems_full(const struct link *link);

/* problem.c: the function (or label) that covers a place; NULL: none. */
const struct link_symbol *link_symbol_at(const struct link_section *section,
                                         uint64_t offset);

/* problem.c: make what was put behind `from` printable ASCII. */
void link_clean(struct buf *buf, size_t from);

#define link_problem(link, err, object, section, offset, ...)                          \
    do {                                                                               \
        buf_printf(link_problem_open((link), (object), (section), (offset)),           \
                   __VA_ARGS__);                                                       \
        link_problem_close((link), (err));                                             \
    } while (0)

static inline uint64_t link_round(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

#endif
