/* SPDX-License-Identifier: MIT
 *
 * Exports (guest-toolchain.md chapter 3), what is reachable from them, and the checks
 * that every reference of a kept section has to pass (4.1, 4.2).
 */
#include "link/elf.h"

#include <inttypes.h>
#include <string.h>

enum { RECORD_SIZE = 16, NEAR_NAME_SIZE_MAX = 40 };

/* ---- undefined symbols ---- */

/* Levenshtein distance of two names of at most NEAR_NAME_SIZE_MAX bytes. */
static unsigned distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    unsigned row[NEAR_NAME_SIZE_MAX + 1];
    for (unsigned j = 0; j <= b_size; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a_size; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b_size; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = least < change ? least : change;
        }
    }
    return row[b_size];
}

/* The defined name that looks most like `name`, if one does. */
static const char *nearest(const struct link *link, const char *name)
{
    const char *best = NULL;
    size_t size = strlen(name);
    if (size > NEAR_NAME_SIZE_MAX)
        return NULL;
    size_t limit = size < 4 ? 1 : size < 8 ? 2 : 3;
    for (uint32_t i = 0; i < link->global_count; i++) {
        const struct link_symbol *symbol = link->global[i];
        size_t other = strlen(symbol->name);
        if (symbol->definition != symbol || other > size + limit ||
            size > other + limit || other > NEAR_NAME_SIZE_MAX)
            continue;
        unsigned far = distance(name, size, symbol->name, other);
        if (far <= limit && far < size) {
            best = symbol->name;
            limit = far ? far - 1 : 0;
            if (!far)
                break;
        }
    }
    return best;
}

/* Is this a routine of the compiler's soft-float library? */
static bool soft_float(const char *name)
{
    static const char *const verb[] = {
        "add", "sub", "mul", "div",   "neg", "eq",    "ne",     "lt",    "le",
        "gt",  "ge",  "cmp", "unord", "fix", "float", "extend", "trunc", "pow"};
    static const char *const mode[] = {"sf", "df", "tf", "hf"};
    bool verb_fits = false, mode_fits = false;
    if (strncmp(name, "__", 2) != 0)
        return false;
    for (size_t i = 0; i < countof(verb); i++)
        verb_fits |= strncmp(name + 2, verb[i], strlen(verb[i])) == 0;
    for (size_t i = 0; i < countof(mode); i++)
        mode_fits |= strstr(name + 2, mode[i]) != NULL;
    return verb_fits && mode_fits;
}

static void report_undefined(struct link *link, const struct link_section *section,
                             uint64_t offset, struct link_symbol *symbol)
{
    if (symbol->reported)
        return;
    symbol->reported = true;
    struct buf *text = link_problem_open(link, section->object, section, offset);
    const char *near = nearest(link, symbol->name);
    if (soft_float(symbol->name))
        buf_printf(text, "floating point is not supported (calls %.200s)",
                   symbol->name);
    else if (symbol->bind == LINK_BIND_LOCAL)
        buf_printf(text,
                   "refers to %.200s of a section group that another object has too; "
                   "compile both alike",
                   symbol->name[0] ? symbol->name : "a section");
    else if (near)
        buf_printf(text, "undefined symbol %.200s; did you mean %.200s?", symbol->name,
                   near);
    else
        buf_printf(text, "undefined symbol %.200s; link the object that defines it",
                   symbol->name);
    link_problem_close(link, ERR_link_symbol);
}

/* ---- exports ---- */

static const char *root_name(struct link_symbol *symbol, int64_t addend)
{
    if (symbol->name[0])
        return symbol->name;
    const struct link_section *section = link_section_of(symbol);
    const struct link_symbol *function =
        section ? link_symbol_at(section, symbol->value + (uint64_t)addend) : NULL;
    return function ? function->name : "?";
}

static void add_root(struct link *link, const struct link_root *root)
{
    struct buf *text;
    if (root->number >= LINK_EXPORT_COUNT_MAX) {
        text = link_problem_open(link, root->section ? root->section->object : NULL,
                                 root->section, root->offset);
        buf_printf(text, "export %.200s has number %" PRIu32 "; the limit is %d",
                   root->name, root->number, LINK_EXPORT_COUNT_MAX - 1);
        link_problem_close(link, ERR_link_export);
        return;
    }
    for (uint32_t i = 0; i < link->root_count; i++) {
        if (link->root[i].number != root->number)
            continue;
        text = link_problem_open(link, root->section ? root->section->object : NULL,
                                 root->section, root->offset);
        buf_printf(text,
                   "export %.200s has number %" PRIu32
                   ", which %.200s has already; choose another",
                   root->name, root->number, link->root[i].name);
        link_problem_close(link, ERR_link_export);
        return;
    }
    link->root[link->root_count++] = *root;
}

/* The record at `offset`, whose relocation is `reloc` or NULL. */
static void read_record(struct link *link, struct link_section *section,
                        uint64_t offset, const struct link_reloc *reloc)
{
    const uint8_t *at = section->content.data + offset;
    if (!reloc || reloc->type != R_RISCV_64 || reloc->offset != offset) {
        link_problem(link, ERR_link_export, section->object, section, offset,
                     "export record without a function; use PVM_EXPORT");
        return;
    }
    if (link_get(at + 12, 4) != 0) {
        link_problem(link, ERR_link_export, section->object, section, offset,
                     "export flags 0x%" PRIx64 " are not 0; use PVM_EXPORT",
                     link_get(at + 12, 4));
        return;
    }
    if (!link_definition(reloc->symbol)) {
        report_undefined(link, section, offset, reloc->symbol);
        return;
    }
    struct link_root root = {.symbol = reloc->symbol,
                             .addend = reloc->addend,
                             .name = root_name(reloc->symbol, reloc->addend),
                             .section = section,
                             .offset = offset,
                             .number = (uint32_t)link_get(at + 8, 4)};
    add_root(link, &root);
}

static void read_records(struct link *link, struct link_section *section)
{
    uint32_t r = 0;
    if (section->size % RECORD_SIZE) {
        link_problem(link, ERR_link_export, section->object, section, section->size,
                     "pvm_exports is not a list of 16-byte records; use PVM_EXPORT");
        return;
    }
    for (uint64_t at = 0; at < section->size; at += RECORD_SIZE) {
        const struct link_reloc *reloc = NULL;
        for (; r < section->reloc_count && section->reloc[r].offset < at + RECORD_SIZE;
             r++) {
            if (link_reloc_info(section->reloc[r].type)->where != LINK_RELOC_NOTE)
                reloc = &section->reloc[r];
        }
        if (link_problems_full(link))
            return;
        read_record(link, section, at, reloc);
    }
}

static uint32_t free_number(const struct link *link)
{
    uint32_t number = 0;
    for (uint32_t i = 0; i < link->root_count; i++) {
        if (link->root[i].number == number) {
            number++;
            i = UINT32_MAX; /* start again: the list is short and not sorted yet */
        }
    }
    return number;
}

/* One --export NAME[=N]. */
static void add_named(struct link *link, const struct link_export *export)
{
    struct link_symbol *symbol = link_find(link, export->name);
    if (!symbol) {
        const char *near = nearest(link, export->name);
        link_problem(link, ERR_link_export, NULL, NULL, 0,
                     "--export %.200s: undefined symbol %.200s; %s%.200s%s",
                     export->name, export->name,
                     near ? "did you mean " : "link the object that defines it",
                     near ? near : "", near ? "?" : "");
        return;
    }
    for (uint32_t i = 0; export->number < 0 && i < link->root_count; i++) {
        if (link_definition(link->root[i].symbol) == symbol)
            return; /* exported already, and no other number was asked for */
    }
    struct link_root root = {.symbol = symbol, .name = symbol->name};
    root.number = export->number < 0 ? free_number(link) : (uint32_t) export->number;
    add_root(link, &root);
}

static int by_number(const void *a, const void *b)
{
    const struct link_root *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

enum err link_collect_exports(struct link *link)
{
    for (uint32_t i = 0; i < link->object_count; i++) {
        struct link_object *object = &link->object[i];
        for (uint32_t s = 1; s < object->section_count; s++) {
            struct link_section *section = &object->section[s];
            if (section->kind == LINK_SECTION_EXPORTS && !section->discarded)
                read_records(link, section);
        }
    }
    for (uint32_t i = 0; i < link->options->export_count; i++)
        add_named(link, &link->options->export_list[i]);
    if (!link->root_count && !link->problems->count)
        link_problem(
            link, ERR_link_export, NULL, NULL, 0,
            "no export; mark a function with PVM_EXPORT or give --export NAME");
    return link_sort(link->arena, link->root, link->root_count, sizeof *link->root,
                     by_number);
}

/* ---- reachability ---- */

struct marker {
    struct link *link;
    struct link_section **stack; /* live, references not followed yet */
    uint32_t count;
};

static bool loaded(enum link_section_kind kind)
{
    return kind == LINK_SECTION_CODE || kind == LINK_SECTION_RO ||
           kind == LINK_SECTION_RW || kind == LINK_SECTION_BSS;
}

static void mark_symbol(struct marker *marker, struct link_symbol *symbol)
{
    struct link_symbol *definition = link_definition(symbol);
    if (!definition)
        return;
    definition->live = true;
    struct link_section *section = link_section_of(symbol);
    if (!section || section->live || !loaded(section->kind))
        return;
    section->live = true;
    marker->stack[marker->count++] = section;
}

static void report_tls(struct link *link, struct link_section *section,
                       const struct link_reloc *reloc)
{
    section->object->tls_reported = true;
    link_problem(link, ERR_link_reloc, section->object, section, reloc->offset,
                 "thread-local storage (%s); guests have one thread, use static",
                 link_reloc_info(reloc->type)->name);
}

/* May this relocation stand in this section?  Otherwise a problem. */
static bool type_fits(struct link *link, struct link_section *section,
                      const struct link_reloc *reloc)
{
    const struct link_reloc_info *info = link_reloc_info(reloc->type);
    enum link_reloc_where where = (enum link_reloc_where)info->where;
    bool code = section->kind == LINK_SECTION_CODE;
    if (where == (code ? LINK_RELOC_CODE : LINK_RELOC_DATA))
        return true;
    if (where == LINK_RELOC_TLS)
        report_tls(link, section, reloc);
    else if (where == LINK_RELOC_UNKNOWN)
        link_problem(link, ERR_link_reloc, section->object, section, reloc->offset,
                     "relocation type %" PRIu32
                     " is not supported; use the flags of docs/guest-c.md",
                     reloc->type);
    else
        link_problem(link, ERR_link_reloc, section->object, section, reloc->offset,
                     "relocation %s is not supported %s; use the flags of "
                     "docs/guest-c.md",
                     info->name, code ? "in code" : "in data");
    return false;
}

static void follow(struct marker *marker, struct link_section *section,
                   const struct link_reloc *reloc)
{
    struct link *link = marker->link;
    struct link_symbol *symbol = reloc->symbol;
    if (link_reloc_info(reloc->type)->where == LINK_RELOC_NOTE ||
        !type_fits(link, section, reloc))
        return;
    if (!link_definition(symbol)) {
        if (symbol->bind != LINK_BIND_WEAK)
            report_undefined(link, section, reloc->offset, symbol);
        return;
    }
    const struct link_section *target = link_section_of(symbol);
    if (target && target->kind == LINK_SECTION_TLS) {
        report_tls(link, section, reloc);
    } else if (target && !loaded(target->kind)) {
        link_problem(link, ERR_link_symbol, section->object, section, reloc->offset,
                     "refers to section %.200s, which is not loaded; leave that out",
                     target->name);
    } else {
        mark_symbol(marker, symbol);
    }
}

static enum err mark_roots(struct marker *marker)
{
    struct link *link = marker->link;
    for (uint32_t i = 0; i < link->root_count; i++)
        mark_symbol(marker, link->root[i].symbol);
    for (uint32_t i = 0; i < link->options->keep_count; i++) {
        const char *name = link->options->keep_list[i];
        struct link_symbol *symbol = link_find(link, name);
        if (symbol)
            mark_symbol(marker, symbol);
        else
            link_problem(link, ERR_link_symbol, NULL, NULL, 0,
                         "--keep %.200s: undefined symbol %.200s; "
                         "link the object that defines it",
                         name, name);
    }
    return ERR_ok;
}

enum err link_mark(struct link *link)
{
    size_t section_count = 1;
    for (uint32_t i = 0; i < link->object_count; i++)
        section_count += link->object[i].section_count;
    struct marker marker = {.link = link};
    marker.stack = arena_new_array(link->arena, struct link_section *, section_count);
    if (!marker.stack)
        return ERR_nomem;
    TRY(mark_roots(&marker));
    while (marker.count && !link_problems_full(link)) {
        struct link_section *section = marker.stack[--marker.count];
        for (uint32_t r = 0; r < section->reloc_count && !link_problems_full(link); r++)
            follow(&marker, section, &section->reloc[r]);
    }
    for (uint32_t i = 0; i < link->object_count; i++) {
        struct link_object *object = &link->object[i];
        for (uint32_t s = 1; s < object->section_count; s++) {
            struct link_section *section = &object->section[s];
            if (section->kind != LINK_SECTION_TLS || !section->size ||
                object->tls_reported)
                continue;
            object->tls_reported = true;
            link_problem(link, ERR_link_reloc, object, section, 0,
                         "thread-local storage (SHF_TLS); guests have one thread, "
                         "use static");
        }
    }
    return ERR_ok;
}
