/* SPDX-License-Identifier: MIT
 *
 * Paging: the architectural TLB (machine.md 4.6), page walks, and the host views that
 * are derived from the TLB.
 */
#include "emu/engine.h"

enum {
    ENTRY_PRESENT = 0x01,
    ENTRY_WRITABLE = 0x02,
    ENTRY_USER = 0x04,
    ENTRY_ACCESSED = 0x20,
    ENTRY_DIRTY = 0x40,
    ENTRY_BIG = 0x80,
    ENTRY_GLOBAL = 0x100,
};

enum { ERROR_PRESENT = 1, ERROR_WRITE = 2, ERROR_USER = 4, ERROR_RESERVED = 8 };

#define PAGE_MASK 0xfffff000u
#define BIG_MASK 0xffc00000u
#define NO_TAG 1u

struct access {
    uint32_t linear;
    bool write, user;
};

/* ---- walks ---- */

struct walk {
    uint32_t pde, pte; /* pte is the PDE again for a 4 MiB page */
    uint32_t pde_address, pte_address;
    uint32_t frame;  /* physical page */
    uint32_t rights; /* ENTRY_WRITABLE, ENTRY_USER */
    uint32_t error;  /* of the page fault, but for write and user */
    bool big;
};

static uint32_t read_entry(const struct emu_cpu *cpu, uint32_t physical)
{
    uint32_t entry = UINT32_MAX; /* open bus */
    if (emu_ram_has(cpu->ram, physical))
        memcpy(&entry, cpu->ram->bytes + physical, sizeof entry);
    return entry;
}

/* Read the tables, change nothing.  False: not mapped, see walk->error. */
static bool walk_tables(const struct emu_cpu *cpu, uint32_t linear, struct walk *w)
{
    w->error = 0;
    w->pde_address = (cpu->cr3 & PAGE_MASK) + (linear >> 22) * 4;
    w->pde = read_entry(cpu, w->pde_address);
    if (!(w->pde & ENTRY_PRESENT))
        return false;
    w->big = (w->pde & ENTRY_BIG) && (cpu->cr4 & EMU_CR4_PSE);
    if (w->big) {
        if (w->pde & ~BIG_MASK & PAGE_MASK) {
            w->error = ERROR_PRESENT | ERROR_RESERVED;
            return false;
        }
        w->pte = w->pde;
        w->pte_address = w->pde_address;
        w->frame = (w->pde & BIG_MASK) | (linear & ~BIG_MASK & PAGE_MASK);
    } else {
        w->pte_address = (w->pde & PAGE_MASK) + (linear >> 12 & 0x3ff) * 4;
        w->pte = read_entry(cpu, w->pte_address);
        if (!(w->pte & ENTRY_PRESENT))
            return false;
        w->frame = w->pte & PAGE_MASK;
    }
    w->rights = w->pde & w->pte & (ENTRY_WRITABLE | ENTRY_USER);
    w->error = ERROR_PRESENT;
    return true;
}

/* CPL and CR0.WP are applied here, at each use (4.6, rule 5). */
static bool is_permitted(const struct emu_cpu *cpu, bool writable, bool for_user,
                         const struct access *a)
{
    if (a->user)
        return for_user && (!a->write || writable);
    return !a->write || writable || !(cpu->cr0 & EMU_CR0_WP);
}

static void set_entry_bits(struct emu_cpu *cpu, uint32_t address, uint32_t old,
                           uint32_t bits)
{
    uint32_t entry = old | bits;
    if (entry != old)
        emu_ram_write(cpu->ram, address, &entry, sizeof entry);
}

/* Walk for an access; sets A and D and makes the entry, or notes the page fault. */
static bool walk(struct emu_cpu *cpu, const struct access *a,
                 struct emu_tlb_entry *ret_entry)
{
    struct walk w;
    bool mapped = walk_tables(cpu, a->linear, &w);
    if (!mapped ||
        !is_permitted(cpu, w.rights & ENTRY_WRITABLE, w.rights & ENTRY_USER, a)) {
        uint32_t error =
            w.error | (a->write ? ERROR_WRITE : 0u) | (a->user ? ERROR_USER : 0u);
        cpu->engine->fault.address = a->linear;
        return emu_fault(cpu, EMU_VECTOR_PF, error);
    }
    uint32_t leaf_bits = ENTRY_ACCESSED | (a->write ? ENTRY_DIRTY : 0u);
    if (w.big) {
        set_entry_bits(cpu, w.pde_address, w.pde, leaf_bits);
    } else {
        set_entry_bits(cpu, w.pde_address, w.pde, ENTRY_ACCESSED);
        /* The tables may overlap: the leaf as it is now. */
        set_entry_bits(cpu, w.pte_address, read_entry(cpu, w.pte_address), leaf_bits);
    }
    if (w.big)
        cpu->engine->has_big[a->linear >> 22] = 1;
    ret_entry->page = (a->linear & PAGE_MASK) | 1;
    ret_entry->frame =
        w.frame | (w.rights & ENTRY_USER ? EMU_TLB_USER : 0u) |
        (w.rights & ENTRY_WRITABLE ? EMU_TLB_WRITABLE : 0u) |
        (((w.pte | leaf_bits) & ENTRY_DIRTY) ? EMU_TLB_DIRTY : 0u) |
        ((w.pte & ENTRY_GLOBAL) && (cpu->cr4 & EMU_CR4_PGE) ? EMU_TLB_GLOBAL : 0u) |
        (w.big ? EMU_TLB_BIG : 0u);
    return true;
}

/* ---- host views ---- */

static void drop_view(struct emu_cpu *cpu, unsigned index)
{
    struct emu_engine *e = cpu->engine;
    for (unsigned i = 0; i < EMU_VIEW_CHECKED; i++)
        e->views[i][index].read = e->views[i][index].write = NO_TAG;
}

/* ---- watched memory: no views, so that each access comes by here ---- */

static bool is_watched_page(const struct emu_cpu *cpu, uint32_t page)
{
    const struct emu_engine *e = cpu->engine;
    uint32_t bit = page / EMU_PAGE_SIZE & (EMU_WATCH_PAGES - 1);
    if (!(e->watch_pages[bit / 64] >> bit % 64 & 1))
        return false;
    for (size_t i = 0; i < e->watch_count; i++)
        if (page >= (e->watches[i].first & PAGE_MASK) && page <= e->watches[i].last)
            return true;
    return false;
}

static bool is_watched_line(const struct emu_engine *e, uint32_t linear)
{
    uint32_t bit = linear >> EMU_WATCH_LINE_SHIFT & (EMU_WATCH_LINES - 1);
    return e->watch_lines[bit / 64] >> bit % 64 & 1;
}

static void note_access(struct emu_cpu *cpu, uint32_t linear, unsigned size, bool read,
                        bool write)
{
    struct emu_engine *e = cpu->engine;
    uint32_t last = linear + (size - 1);
    if (!is_watched_line(e, linear) && !is_watched_line(e, last))
        return; /* an access is no larger than a line */
    for (size_t i = 0; i < e->watch_count && !e->watch_hit.met; i++) {
        const struct emu_watch *w = &e->watches[i];
        if (!((read && w->read) || (write && w->write)))
            continue;
        /* An access may wrap at 4 GiB. */
        bool meets = linear <= last ? linear <= w->last && w->first <= last
                                    : linear <= w->last || w->first <= last;
        if (!meets)
            continue;
        bool inside = linear >= w->first && linear <= w->last;
        e->watch_hit =
            (struct emu_watch_hit){true, (uint32_t)i, inside ? linear : w->first};
        cpu->stop = true;
    }
}

/* Does [first, last], of one page, hold a byte of [physical, physical + size)? */
static bool page_written(const struct emu_cpu *cpu, uint32_t first, uint32_t last,
                         uint32_t physical, size_t size, uint32_t *ret_linear)
{
    uint32_t at;
    if (!emu_cpu_translate(cpu, first, &at))
        return false;
    uint64_t end = (uint64_t)physical + size,
             at_end = (uint64_t)at + (last - first) + 1;
    if (at >= end || physical >= at_end)
        return false;
    *ret_linear = first + (physical > at ? physical - at : 0);
    return true;
}

void emu_cpu_note_device_write(struct emu_cpu *cpu, uint32_t physical, size_t size)
{
    struct emu_engine *e = cpu->engine;
    for (size_t i = 0; i < e->watch_count && !e->watch_hit.met; i++) {
        const struct emu_watch *w = &e->watches[i];
        uint32_t linear = w->first, last = 0;
        for (bool more = w->write; more && !e->watch_hit.met; linear = last + 1) {
            last = linear | ~PAGE_MASK;
            more = last < w->last;
            last = more ? last : w->last;
            e->watch_hit.met =
                page_written(cpu, linear, last, physical, size, &e->watch_hit.address);
            e->watch_hit.index = (uint32_t)i;
        }
    }
    cpu->stop |= e->watch_hit.met;
}

/* What accesses through `entry` may go directly to host memory. */
static void fill_view(struct emu_cpu *cpu, const struct emu_tlb_entry *entry)
{
    uint32_t page = entry->page & PAGE_MASK, frame = entry->frame & PAGE_MASK;
    unsigned index = page >> 12 & (EMU_DTLB_SIZE - 1);
    if (!emu_ram_has(cpu->ram, frame) ||
        (cpu->engine->watch_count && is_watched_page(cpu, page))) {
        drop_view(cpu, index);
        return;
    }
    uint32_t number = frame / EMU_PAGE_SIZE;
    bool writable = entry->frame & EMU_TLB_WRITABLE, user = entry->frame & EMU_TLB_USER;
    bool store = (entry->frame & EMU_TLB_DIRTY) && cpu->ram->dirty[number] &&
                 !cpu->ram->code[number];
    uintptr_t addend = (uintptr_t)(cpu->ram->bytes + frame) - page;
    struct emu_view *supervisor = &cpu->engine->views[EMU_VIEW_SUPERVISOR][index];
    supervisor->addend = addend;
    supervisor->read = page;
    supervisor->write = store && (writable || !(cpu->cr0 & EMU_CR0_WP)) ? page : NO_TAG;
    struct emu_view *unprivileged = &cpu->engine->views[EMU_VIEW_USER][index];
    unprivileged->addend = addend;
    unprivileged->read = user ? page : NO_TAG;
    unprivileged->write = store && user && writable ? page : NO_TAG;
}

void emu_views_flush(struct emu_cpu *cpu)
{
    struct emu_engine *e = cpu->engine;
    for (unsigned i = 0; i < EMU_VIEW_COUNT; i++)
        for (unsigned k = 0; k < EMU_DTLB_SIZE; k++)
            e->views[i][k].read = e->views[i][k].write = NO_TAG;
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < EMU_ITLB_SIZE; k++)
            e->fetches[i][k].page = NO_TAG;
}

void emu_views_drop_writes(struct emu_cpu *cpu)
{
    struct emu_engine *e = cpu->engine;
    for (unsigned i = 0; i < EMU_VIEW_CHECKED; i++)
        for (unsigned k = 0; k < EMU_DTLB_SIZE; k++)
            e->views[i][k].write = NO_TAG;
}

void emu_views_drop_page(struct emu_cpu *cpu, uint32_t physical)
{
    struct emu_engine *e = cpu->engine;
    uintptr_t host = (uintptr_t)(cpu->ram->bytes + (physical & PAGE_MASK));
    for (unsigned i = 0; i < EMU_VIEW_CHECKED; i++)
        for (unsigned k = 0; k < EMU_DTLB_SIZE; k++) {
            struct emu_view *v = &e->views[i][k];
            if (v->write != NO_TAG && v->addend + v->write == host)
                v->write = NO_TAG;
        }
}

/* ---- the TLB ---- */

/* The entry that permits the access, by lookup or walk. */
static bool look_up(struct emu_cpu *cpu, struct emu_tlb_entry *slot,
                    const struct access *a)
{
    uint32_t page = (a->linear & PAGE_MASK) | 1;
    if (slot->page == page &&
        is_permitted(cpu, slot->frame & EMU_TLB_WRITABLE, slot->frame & EMU_TLB_USER,
                     a) &&
        (!a->write || (slot->frame & EMU_TLB_DIRTY)))
        return true;
    struct emu_tlb_entry entry;
    if (!walk(cpu, a, &entry)) {
        if (slot->page == page)
            slot->page = slot->frame = 0;
        return false;
    }
    *slot = entry;
    return true;
}

/* Physical address of a data access. */
static bool translate(struct emu_cpu *cpu, uint32_t linear, bool write, bool user,
                      uint32_t *ret_physical)
{
    struct access a = {.linear = linear, .write = write, .user = user};
    struct emu_tlb_entry flat = {
        .page = linear | 1,
        .frame = (linear & PAGE_MASK) | EMU_TLB_USER | EMU_TLB_WRITABLE | EMU_TLB_DIRTY,
    };
    struct emu_tlb_entry *slot = &flat;
    if (cpu->cr0 & EMU_CR0_PG) {
        slot = &cpu->dtlb[linear >> 12 & (EMU_DTLB_SIZE - 1)];
        if (!look_up(cpu, slot, &a)) {
            drop_view(cpu, linear >> 12 & (EMU_DTLB_SIZE - 1));
            return false;
        }
    }
    fill_view(cpu, slot);
    *ret_physical = (slot->frame & PAGE_MASK) | (linear & ~PAGE_MASK);
    return true;
}

bool emu_fetch_page(struct emu_cpu *cpu, uint32_t linear, uint32_t *ret_physical)
{
    unsigned index = linear >> 12 & (EMU_ITLB_SIZE - 1);
    uint32_t frame = (linear & PAGE_MASK) | EMU_TLB_USER;
    if (cpu->cr0 & EMU_CR0_PG) {
        struct access a = {.linear = linear, .user = emu_is_user(cpu)};
        for (unsigned i = 0; i < 2; i++)
            cpu->engine->fetches[i][index].page = NO_TAG;
        if (!look_up(cpu, &cpu->itlb[index], &a))
            return false;
        frame = cpu->itlb[index].frame;
    }
    for (unsigned i = 0; i < 2; i++) {
        struct emu_fetch *f = &cpu->engine->fetches[i][index];
        f->frame = frame & PAGE_MASK;
        f->page = i == 0 || (frame & EMU_TLB_USER) ? linear & PAGE_MASK : NO_TAG;
    }
    *ret_physical = (frame & PAGE_MASK) | (linear & ~PAGE_MASK);
    return true;
}

static void flush_table(struct emu_tlb_entry *table, unsigned count, bool global)
{
    for (unsigned i = 0; i < count; i++)
        if (global || !(table[i].frame & EMU_TLB_GLOBAL))
            table[i].page = table[i].frame = 0;
}

void emu_tlb_flush(struct emu_cpu *cpu, bool global)
{
    bool all = global || !(cpu->cr4 & EMU_CR4_PGE);
    flush_table(cpu->itlb, EMU_ITLB_SIZE, all);
    flush_table(cpu->dtlb, EMU_DTLB_SIZE, all);
    if (all)
        memset(cpu->engine->has_big, 0, sizeof cpu->engine->has_big);
    emu_views_flush(cpu);
}

/* Does INVLPG of `linear` drop this entry? */
static bool is_named(const struct emu_tlb_entry *entry, uint32_t linear)
{
    uint32_t difference = entry->page ^ (linear | 1);
    bool big = (entry->frame & EMU_TLB_BIG) && !(difference & (BIG_MASK | 1));
    return big || !(difference & (PAGE_MASK | 1));
}

static void drop_data(struct emu_cpu *cpu, unsigned index)
{
    cpu->dtlb[index] = (struct emu_tlb_entry){0};
    drop_view(cpu, index);
}

static void drop_code(struct emu_cpu *cpu, unsigned index)
{
    cpu->itlb[index] = (struct emu_tlb_entry){0};
    cpu->engine->fetches[0][index].page = cpu->engine->fetches[1][index].page = NO_TAG;
}

/* Entries of a 4 MiB page may be anywhere; a small page has its place. */
void emu_tlb_drop(struct emu_cpu *cpu, uint32_t linear)
{
    unsigned data = linear >> 12 & (EMU_DTLB_SIZE - 1);
    unsigned code = linear >> 12 & (EMU_ITLB_SIZE - 1);
    linear &= PAGE_MASK;
    if (!cpu->engine->has_big[linear >> 22]) {
        if (is_named(&cpu->dtlb[data], linear))
            drop_data(cpu, data);
        if (is_named(&cpu->itlb[code], linear))
            drop_code(cpu, code);
        return;
    }
    for (unsigned i = 0; i < EMU_DTLB_SIZE; i++)
        if (is_named(&cpu->dtlb[i], linear))
            drop_data(cpu, i);
    for (unsigned i = 0; i < EMU_ITLB_SIZE; i++)
        if (is_named(&cpu->itlb[i], linear))
            drop_code(cpu, i);
}

void emu_tlb_loaded(struct emu_cpu *cpu)
{
    uint8_t *has_big = cpu->engine->has_big;
    memset(has_big, 0, sizeof cpu->engine->has_big);
    for (unsigned i = 0; i < EMU_DTLB_SIZE; i++)
        has_big[cpu->dtlb[i].page >> 22] |= (cpu->dtlb[i].frame & EMU_TLB_BIG) != 0;
    for (unsigned i = 0; i < EMU_ITLB_SIZE; i++)
        has_big[cpu->itlb[i].page >> 22] |= (cpu->itlb[i].frame & EMU_TLB_BIG) != 0;
    emu_views_flush(cpu);
}

/* ---- accesses ---- */

static bool is_misaligned(const struct emu_cpu *cpu, uint32_t linear, unsigned size,
                          bool user)
{
    return user && (cpu->cr0 & EMU_CR0_AM) && (cpu->eflags & EMU_FLAG_AC) &&
           (size == 2 || size == 4 || size == 8) && (linear & (size - 1));
}

/* Translate all of an access, the low page first (4.2, rule 3). */
static bool translate_all(struct emu_cpu *cpu, uint32_t linear, unsigned size,
                          bool write, bool user, struct emu_bounce *ret)
{
    if (is_misaligned(cpu, linear, size, user))
        return emu_fault(cpu, EMU_VECTOR_AC, 0);
    uint32_t rest = EMU_PAGE_SIZE - linear % EMU_PAGE_SIZE;
    ret->size = (uint8_t)size;
    ret->first_size = (uint8_t)(size < rest ? size : rest);
    if (!translate(cpu, linear, write, user, &ret->physical[0]))
        return false;
    return ret->first_size == size ||
           translate(cpu, linear + rest, write, user, &ret->physical[1]);
}

static void write_all(struct emu_cpu *cpu, const struct emu_bounce *b,
                      const uint8_t *data)
{
    emu_ram_write(cpu->ram, b->physical[0], data, b->first_size);
    if (b->first_size < b->size)
        emu_ram_write(cpu->ram, b->physical[1], data + b->first_size,
                      (size_t)(b->size - b->first_size));
}

static void read_all(const struct emu_cpu *cpu, const struct emu_bounce *b,
                     uint8_t *ret_data)
{
    emu_ram_read(cpu->ram, b->physical[0], ret_data, b->first_size);
    if (b->first_size < b->size)
        emu_ram_read(cpu->ram, b->physical[1], ret_data + b->first_size,
                     (size_t)(b->size - b->first_size));
}

bool emu_read_slow(struct emu_cpu *cpu, uint32_t linear, void *ret_data, unsigned size,
                   bool user)
{
    struct emu_bounce b;
    if (!translate_all(cpu, linear, size, false, user, &b))
        return false;
    if (unlikely(cpu->engine->watch_count))
        note_access(cpu, linear, size, true, false);
    read_all(cpu, &b, ret_data);
    return true;
}

bool emu_write_slow(struct emu_cpu *cpu, uint32_t linear, const void *data,
                    unsigned size, bool user)
{
    struct emu_bounce b;
    if (!translate_all(cpu, linear, size, true, user, &b))
        return false;
    if (unlikely(cpu->engine->watch_count))
        note_access(cpu, linear, size, false, true);
    write_all(cpu, &b, data);
    return true;
}

uint64_t emu_read_value(struct emu_cpu *cpu, uint32_t linear, unsigned size)
{
    uint8_t bytes[4] = {0};
    if (!emu_read_slow(cpu, linear, bytes, size, emu_is_user(cpu)))
        return EMU_VALUE_FAULT;
    return emu_get(bytes, 4);
}

bool emu_write_value(struct emu_cpu *cpu, uint32_t linear, uint32_t value,
                     unsigned size)
{
    return emu_write_slow(cpu, linear, &value, size, emu_is_user(cpu));
}

bool emu_probe_write(struct emu_cpu *cpu, uint32_t linear, unsigned size, bool user)
{
    struct emu_bounce b;
    return translate_all(cpu, linear, size, true, user, &b);
}

uint8_t *emu_modify_slow(struct emu_cpu *cpu, uint32_t linear, unsigned size)
{
    struct emu_bounce *b = &cpu->engine->bounce;
    if (!translate_all(cpu, linear, size, true, emu_is_user(cpu), b))
        return NULL;
    if (unlikely(cpu->engine->watch_count))
        note_access(cpu, linear, size, true, true);
    read_all(cpu, b, b->bytes);
    return b->bytes;
}

void emu_modify_finish(struct emu_cpu *cpu)
{
    write_all(cpu, &cpu->engine->bounce, cpu->engine->bounce.bytes);
}

/* ---- the debugger's accesses ---- */

bool emu_cpu_translate(const struct emu_cpu *cpu, uint32_t linear,
                       uint32_t *ret_physical)
{
    if (!(cpu->cr0 & EMU_CR0_PG)) {
        *ret_physical = linear;
        return true;
    }
    struct walk w;
    if (!walk_tables(cpu, linear, &w))
        return false;
    *ret_physical = w.frame | (linear & ~PAGE_MASK);
    return true;
}

size_t emu_cpu_peek(const struct emu_cpu *cpu, uint32_t linear, void *ret_data,
                    size_t size)
{
    uint8_t *to = ret_data;
    for (size_t done = 0; done < size;) {
        uint32_t physical, at = linear + (uint32_t)done;
        size_t piece = EMU_PAGE_SIZE - (at & ~PAGE_MASK);
        if (!emu_cpu_translate(cpu, at, &physical))
            return done;
        piece = piece < size - done ? piece : size - done;
        emu_ram_read(cpu->ram, physical, to + done, piece);
        done += piece;
    }
    return size;
}
