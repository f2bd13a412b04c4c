/* SPDX-License-Identifier: MIT
 *
 * Address spaces: mapping, checked access, page states [5, 7.6].
 */
#include "pvm/mem.h"
#include "pvm/mutant.h"

#include <string.h>

enum {
    /* The caller's reservation: our struct, page tables, rights, guest, guard, stack.
     */
    OFFSET_INFO = 1 << 20,
    OFFSET_TOUCHED = 2 << 20,
    OFFSET_SOURCE = 4 << 20,
    OFFSET_BASE = (16 << 20) + MEM_LINE_COUNT,
};
_Static_assert(OFFSET_BASE + MEM_GUARDED_SIZE + MEM_STACK_SIZE == PVM_MEM_RESERVE_SIZE,
               "the reservation is what is in it");

static uint32_t page_of(uint32_t address)
{
    return address / PVM_PAGE_SIZE;
}

/* Rights and base of a state that has no memory: no page has any right. */
static uint8_t no_memory[MEM_LINE_COUNT + PVM_PAGE_SIZE];

uint8_t *pvm_mem_base(struct pvm_mem *mem)
{
    return mem ? mem->base : no_memory + MEM_LINE_COUNT;
}

struct pvm_mem *pvm_mem_init(void *reservation)
{
    uint8_t *start = reservation;
    struct pvm_mem *mem = reservation;
    mem->info = start + OFFSET_INFO;
    mem->touched = (uint64_t *)(void *)(start + OFFSET_TOUCHED);
    mem->source = (const uint8_t **)(void *)(start + OFFSET_SOURCE);
    mem->base = start + OFFSET_BASE;
    return mem;
}

/* ---- many pages at once, so that zero pages cost next to nothing ---- */

#define EIGHT UINT64_C(0x0101010101010101)

/* Keep these flags of some pages, and set those. */
static void info_set(struct pvm_mem *mem, uint32_t first, uint32_t count, unsigned keep,
                     unsigned set)
{
    uint8_t *info = mem->info + first, *end = info + count;
    for (; end - info >= 8; info += 8) {
        uint64_t eight;
        memcpy(&eight, info, sizeof eight);
        eight = (eight & keep * EIGHT) | set * EIGHT;
        memcpy(info, &eight, sizeof eight);
    }
    for (; info < end; info++)
        *info = (uint8_t)((*info & keep) | set);
}

/* Where the pages end, from `first` to `end`, that are all alike. */
static uint32_t alike_until(const struct pvm_mem *mem, uint32_t first, uint32_t end)
{
    uint32_t page = first + 1;
    for (; end - page >= 8; page += 8) {
        uint64_t eight;
        memcpy(&eight, mem->info + page, sizeof eight);
        if (eight != mem->info[first] * EIGHT)
            break;
    }
    while (page < end && mem->info[page] == mem->info[first])
        page++;
    return page;
}

/* The page has something that pvm_mem_reset() must see to. */
static void page_mark(struct pvm_mem *mem, uint32_t page)
{
    mem->touched[page / 64] |= (uint64_t)1 << page % 64;
}

/* ---- rights ---- */

static bool may_read(uint8_t info)
{
    return (info & (PVM_ACCESS_R | MEM_FILLED)) == (PVM_ACCESS_R | MEM_FILLED);
}

static bool may_write(uint8_t info)
{
    const uint8_t all = MUTANT(rights_first_store, 0, MEM_WRITTEN) | PVM_ACCESS_RW |
                        MEM_FILLED | MEM_DIRTY;
    return (info & all) == all;
}

/* ---- page protection: the rights once more, for native code ---- */

static void guard_give_up(struct pvm_mem *mem)
{
    mem->unguardable = true;
    (void)mem->protect(mem, mem->base, (size_t)1 << 32, MEM_HOST);
    mem->protect = NULL;
}

static unsigned host_wanted(uint8_t info)
{
    return may_write(info) ? MEM_HOST
           : may_read(info)
               ? MUTANT(guard_writable, MEM_HOST, MEM_HOST_READ)
               : MUTANT(guard_gaps, info & MEM_ACCESS ? 0u : MEM_HOST_READ, 0u);
}

static bool set_host(struct pvm_mem *mem, uint32_t first, uint32_t count, unsigned host)
{
    if (!mem->protect(mem, mem->base + (size_t)first * PVM_PAGE_SIZE,
                      (size_t)count * PVM_PAGE_SIZE, host)) {
        guard_give_up(mem);
        return false;
    }
    info_set(mem, first, count, 0xff & ~(unsigned)MEM_HOST, host);
    return true;
}

/* Does a page lack `host`, or, with `closes`, have more? */
static bool host_differs(uint8_t info, unsigned host, bool closes)
{
    return (host & ~(unsigned)info) || (closes && (info & MEM_HOST) != host);
}

/* Give some pages the protection that they want, in runs of equal ones; those that have
 * more lose it only if it `closes`. */
static void guard_runs(struct pvm_mem *mem, uint32_t first, uint32_t count, bool closes)
{
    uint32_t end = first + count;
    while (mem->protect && first < end) {
        unsigned host = host_wanted(mem->info[first]);
        bool differs = host_differs(mem->info[first], host, closes);
        uint32_t run = alike_until(mem, first, end);
        while (differs && run < end && host_wanted(mem->info[run]) == host &&
               host_differs(mem->info[run], host, closes))
            run = alike_until(mem, run, end);
        if (differs && !set_host(mem, first, run - first, host))
            return;
        first = run;
    }
}

static void guard_update(struct pvm_mem *mem, uint32_t first, uint32_t count)
{
    guard_runs(mem, first, count, true);
}

/* We are about to write to pages that the guest may not. */
static void guard_open(struct pvm_mem *mem, uint32_t first, uint32_t count)
{
    uint32_t end = first + count;
    while (mem->protect && first < end) {
        uint32_t run = first;
        while (run < end && (mem->info[run] & MEM_HOST) != MEM_HOST)
            run++;
        if (run > first && !set_host(mem, first, run - first, MEM_HOST))
            return;
        first = run > first ? run : first + 1;
    }
}

void pvm_mem_unguard(struct pvm_mem *mem)
{
    if (!mem->protect)
        return;
    (void)mem->protect(mem, mem->base, (size_t)1 << 32, MEM_HOST);
    mem->protect = NULL;
    info_set(mem, 0, PVM_PAGE_COUNT, 0xff & ~(unsigned)MEM_HOST, 0);
}

/* Bring pages up to date that pvm_mem_reset() and pvm_mem_map() left as they were: by
 * now most of them are mapped again, and want what they have. */
static void guard_stale(struct pvm_mem *mem)
{
    if (!mem->stale)
        return;
    const bool *stale = mem->group_stale;
    while ((stale = memchr(stale, true,
                           (size_t)(mem->group_stale + MEM_GROUP_COUNT - stale)))) {
        uint32_t group = (uint32_t)(stale - mem->group_stale);
        guard_update(mem, group * MEM_GROUP_SIZE, MEM_GROUP_SIZE);
        mem->group_stale[group] = false;
    }
    mem->stale = false;
}

bool pvm_mem_guard(struct pvm_mem *mem, mem_protect_fn *protect)
{
    if (mem->unguardable)
        return false;
    if (mem->protect == protect) {
        guard_stale(mem);
        return !mem->unguardable;
    }
    pvm_mem_unguard(mem);
    mem->protect = protect;
    if (!protect(mem, mem->base, MEM_GUARDED_SIZE, 0)) {
        guard_give_up(mem);
        return false;
    }
    for (uint32_t page = pvm_mem_next_page(mem, 0); page < PVM_PAGE_COUNT;
         page = pvm_mem_next_page(mem, page)) {
        uint32_t group_end = (page / MEM_GROUP_SIZE + 1) * MEM_GROUP_SIZE;
        guard_update(mem, page, group_end - page);
        page = group_end;
    }
    return !mem->unguardable;
}

/* Take the rights of watched bytes away: of each line that they lie in, and of the line
 * before to reach on. */
static void rights_watch(struct pvm_mem *mem, uint32_t page)
{
    uint8_t *lines = mem_rights(mem) + (size_t)page * MEM_PAGE_LINES;
    int64_t base = (int64_t)page * MEM_PAGE_LINES;
    for (size_t i = 0; i < mem->watch_count; i++) {
        const struct pvm_watch *watch = &mem->watch[i];
        unsigned on = (watch->access & PVM_WATCH_LOAD ? MEM_READ_ON : 0u) |
                      (watch->access & PVM_WATCH_STORE ? MEM_WRITE_ON : 0u);
        unsigned within = (watch->access & PVM_WATCH_LOAD ? MEM_READ : 0u) |
                          (watch->access & PVM_WATCH_STORE ? MEM_WRITE : 0u);
        int64_t low = (int64_t)(watch->first / MEM_LINE_SIZE) - base;
        int64_t high = (int64_t)(watch->last / MEM_LINE_SIZE) - base;
        for (int64_t line = low > 0 ? low - 1 : 0;
             line <= high && line < MEM_PAGE_LINES; line++)
            lines[line] &= (uint8_t) ~(on | within);
    }
}

static void rights_update_one(struct pvm_mem *mem, uint32_t page)
{
    uint8_t info = mem->info[page];
    /* The last page has no neighbour: an access that wraps goes the long way. */
    uint8_t next = page + 1 < PVM_PAGE_COUNT ? mem->info[page + 1]
                                             : MUTANT(rights_last_page, info, 0);
    uint8_t *lines = mem_rights(mem) + (size_t)page * MEM_PAGE_LINES;
    unsigned read = may_read(info) ? MEM_READ : 0u;
    unsigned write = may_write(info) ? MEM_WRITE : 0u;
    unsigned read_on = read ? MEM_READ_ON : 0u, write_on = write ? MEM_WRITE_ON : 0u;
    memset(lines, (int)(read | write | read_on | write_on), MEM_PAGE_LINES - 1);
    read_on = may_read(next) ? read_on : 0;
    write_on = MUTANT(rights_straddle, true, may_write(next)) ? write_on : 0;
    lines[MEM_PAGE_LINES - 1] = (uint8_t)(read | write | read_on | write_on);
    if (read)
        page_mark(mem, page);
    if (mem->watch_count)
        rights_watch(mem, page);
}

static void rights_update(struct pvm_mem *mem, uint32_t page)
{
    rights_update_one(mem, page);
    if (page)
        rights_update_one(mem, page - 1);
}

/* Rights of fresh zero pages come with the first load: see pvm_mem_map(). */
static void rights_show(struct pvm_mem *mem, uint32_t page)
{
    if (!(mem_rights(mem)[(size_t)page * MEM_PAGE_LINES] & MEM_READ))
        rights_update(mem, page);
}

static void page_fill(struct pvm_mem *mem, uint32_t page)
{
    if (mem->info[page] & MEM_FILLED)
        return;
    guard_open(mem, page, 1);
    if (mem->source[page])
        memcpy(mem->base + (size_t)page * PVM_PAGE_SIZE, mem->source[page],
               PVM_PAGE_SIZE);
    mem->info[page] |= MEM_FILLED | MEM_CONTENT;
    rights_update(mem, page);
    guard_update(mem, page, 1);
}

bool pvm_mem_touch(struct pvm_mem *mem, uint32_t page)
{
    page_fill(mem, page);
    bool clean = !(mem->info[page] & MEM_WRITTEN);
    mem->info[page] |=
        MEM_CONTENT | MUTANT(page_state_lost, MEM_DIRTY, MEM_WRITTEN | MEM_DIRTY);
    mem->group_dirty[page / MEM_GROUP_SIZE] = true;
    rights_update(mem, page);
    guard_update(mem, page, 1);
    return clean;
}

void pvm_mem_clean(struct pvm_mem *mem, uint32_t page)
{
    mem->info[page] &= (uint8_t)~MEM_DIRTY;
    rights_update(mem, page);
    guard_update(mem, page, 1);
}

/* ---- finding pages ---- */

/* The least mapped page in [page, end), or end; eight at a time where none is. */
static uint32_t next_page_until(const struct pvm_mem *mem, uint32_t page, uint32_t end)
{
    const uint64_t access = MEM_ACCESS * EIGHT;
    while (page < end) {
        uint64_t info;
        if (page % 8 == 0) {
            memcpy(&info, mem->info + page, 8);
            if (!(info & access)) {
                page += 8;
                continue;
            }
        }
        if (mem->info[page] & MEM_ACCESS)
            return page;
        page++;
    }
    return end;
}

/* The least group >= `group` that has a mapped page, four at a time where none has. */
static uint32_t next_group(const struct pvm_mem *mem, uint32_t group)
{
    while (group < MEM_GROUP_COUNT && !mem->group_mapped[group]) {
        uint64_t four;
        memcpy(&four, mem->group_mapped + group / 4 * 4, sizeof four);
        group = four ? group + 1 : (group / 4 + 1) * 4;
    }
    return group;
}

/* ---- guest access of up to 8 bytes: at most two pages, in access order ---- */

static uint32_t last_page(uint32_t address, unsigned size)
{
    return page_of(MUTANT(mem_no_wrap, address, address + (size - 1))); /* wraps */
}

struct mem_result pvm_mem_load(struct pvm_mem *mem, uint32_t address, unsigned size,
                               uint64_t *ret_value)
{
    uint32_t pages[2] = {page_of(address), last_page(address, size)};
    for (unsigned i = 0; i < 2; i++) {
        if (!mem || !(mem->info[pages[MUTANT(load_last_first, 1 - i, i)]] & MEM_ACCESS))
            return (struct mem_result){MEM_UNMAPPED,
                                       pages[MUTANT(load_fault_base, 0, i)]};
    }
    if (pvm_mem_watched(mem, address, size, PVM_WATCH_LOAD))
        return (struct mem_result){MEM_WATCHED, pages[0]};
    for (unsigned i = 0; i < 2; i++) {
        page_fill(mem, pages[i]);
        rights_show(mem, pages[i]);
    }
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)mem->base[MUTANT(load_beyond, (size_t)address + i,
                                            (uint32_t)(address + i))]
                 << (8 * i);
    *ret_value = value;
    return (struct mem_result){MEM_OK, 0};
}

struct mem_result pvm_mem_store_check(struct pvm_mem *mem, uint32_t address,
                                      unsigned size)
{
    uint32_t pages[2] = {page_of(address), last_page(address, size)};
    for (unsigned i = 0; i < MUTANT(store_first_page, 1u, 2u); i++) {
        unsigned access = mem ? mem->info[pages[i]] & MEM_ACCESS : 0;
        if (!access)
            return (struct mem_result){MEM_UNMAPPED,
                                       pages[MUTANT(store_fault_base, 0, i)]};
        if (MUTANT(store_read_only, false, access != PVM_ACCESS_RW))
            return (struct mem_result){MEM_READ_ONLY, pages[i]};
    }
    if (pvm_mem_watched(mem, address, size, PVM_WATCH_STORE))
        return (struct mem_result){MEM_WATCHED, pages[0]};
    return (struct mem_result){MEM_OK, 0};
}

void pvm_mem_store(struct pvm_mem *mem, uint32_t address, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        mem->base[MUTANT(store_beyond, (size_t)address + i, (uint32_t)(address + i))] =
            (uint8_t)(value >> (8 * i));
}

/* ---- mapping ---- */

static enum err range_check(uint32_t start, uint64_t size)
{
    if (start % PVM_PAGE_SIZE || size % PVM_PAGE_SIZE || !size)
        return ERR_pvm_align;
    if (size > ((uint64_t)1 << 32) - start)
        return ERR_pvm_limit;
    return ERR_ok;
}

/* The whole pages of the owner's bytes, which are shared with him. */
static void map_shared(struct pvm_mem *mem, uint32_t first, uint32_t count,
                       const uint8_t *bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        mem->source[first + i] = bytes + (size_t)i * PVM_PAGE_SIZE;
        page_mark(mem, first + i);
    }
}

/* Pages of the group may be more open than they want until native code runs: those
 * that are stored to first need none. */
static void group_leave(struct pvm_mem *mem, uint32_t group)
{
    mem->group_stale[group] |= mem->protect != NULL;
    mem->stale |= mem->protect != NULL;
}

/* Note that the pages are mapped, and that the digest has not seen the first `dirty`.
 */
static void groups_map(struct pvm_mem *mem, uint32_t first, uint32_t count,
                       uint32_t dirty)
{
    for (uint32_t done = 0; done < count;) {
        uint32_t group = (first + done) / MEM_GROUP_SIZE;
        uint32_t run = (group + 1) * MEM_GROUP_SIZE - (first + done);
        run = run < count - done ? run : count - done;
        mem->group_mapped[group] = (uint16_t)(mem->group_mapped[group] + run);
        mem->group_dirty[group] |= done < dirty;
        group_leave(mem, group);
        done += run;
    }
}

enum err pvm_mem_map(struct pvm_mem *mem, uint32_t start, uint64_t size,
                     enum pvm_access access, struct bytes initial)
{
    TRY(range_check(start, size));
    if (initial.size > size)
        return ERR_pvm_limit;
    uint32_t first = page_of(start), count = (uint32_t)(size / PVM_PAGE_SIZE);
    if (next_page_until(mem, first, first + count) < first + count)
        return ERR_pvm_overlap;
    const unsigned keep = MUTANT(page_state_kept, MEM_HOST | MEM_WRITTEN, MEM_HOST);
    uint32_t whole = (uint32_t)(initial.size / PVM_PAGE_SIZE);
    size_t rest = initial.size % PVM_PAGE_SIZE;
    uint32_t with_contents = whole + (rest != 0);
    map_shared(mem, first, whole, initial.data);
    info_set(mem, first, whole, keep, access | MEM_DIRTY);
    if (rest) { /* the owner's bytes end inside this page, so it cannot be shared */
        guard_open(mem, first + whole, 1);
        memcpy(mem->base + start + (size_t)whole * PVM_PAGE_SIZE,
               initial.data + (size_t)whole * PVM_PAGE_SIZE, rest);
        info_set(mem, first + whole, 1, keep,
                 access | MEM_FILLED | MEM_CONTENT | MEM_DIRTY);
    }
    info_set(mem, first + with_contents, count - with_contents, keep,
             access | MEM_FILLED); /* zero, as reserved */
    groups_map(mem, first, count, with_contents);
    /* Zero pages ask for their rights when they are loaded from: most of a large heap
     * never is.  The first one's neighbour learns that it is there.  A shared page asks
     * for its bytes. */
    for (uint32_t i = whole; i <= with_contents && i < count; i++)
        rights_update(mem, first + i);
    guard_runs(mem, first, count, false);
    return ERR_ok;
}

/* Zero what pages of a range hold. */
static void pages_zero(struct pvm_mem *mem, uint32_t first, uint32_t end)
{
    while (first < end) {
        uint32_t run = first;
        while (run < end && mem->info[run] & MEM_CONTENT)
            run++;
        if (run > first) {
            guard_open(mem, first, run - first);
            memset(mem->base + (size_t)first * PVM_PAGE_SIZE, 0,
                   (size_t)(run - first) * PVM_PAGE_SIZE);
        }
        first = run > first ? run : first + 1;
    }
}

enum err pvm_mem_unmap(struct pvm_mem *mem, uint32_t start, uint64_t size)
{
    TRY(range_check(start, size));
    uint32_t first = page_of(start), count = (uint32_t)(size / PVM_PAGE_SIZE);
    pages_zero(mem, first, first + count);
    for (uint32_t page = first; page - first < count; page++) {
        if (!(mem->info[page] & MEM_ACCESS))
            continue;
        /* Its digest changes to that of zeros. */
        mem->info[page] =
            (uint8_t)(MEM_DIRTY |
                      (mem->info[page] &
                       MUTANT(page_state_kept, MEM_HOST | MEM_WRITTEN, MEM_HOST)));
        mem->source[page] = NULL;
        mem->group_mapped[page / MEM_GROUP_SIZE]--;
        mem->group_dirty[page / MEM_GROUP_SIZE] = true;
        rights_update(mem, page);
    }
    guard_update(mem, first, count);
    return ERR_ok;
}

/* Bytes, sources and rights are only where a page has been marked. */
static void group_reset(struct pvm_mem *mem, uint32_t group)
{
    uint32_t first = group * MEM_GROUP_SIZE;
    for (uint32_t page = first; page < first + MEM_GROUP_SIZE; page += 64) {
        uint64_t left = mem->touched[page / 64];
        mem->touched[page / 64] = 0;
        for (; left; left &= left + (left & -left)) { /* the lowest run of marks */
            uint32_t begin = (uint32_t)__builtin_ctzll(left);
            uint64_t behind = ~(left >> begin);
            uint32_t run = behind ? (uint32_t)__builtin_ctzll(behind) : 64;
            begin += page;
            pages_zero(mem, begin, begin + run);
            memset(mem->source + begin, 0, run * sizeof mem->source[0]);
            memset(mem_rights(mem) + (size_t)begin * MEM_PAGE_LINES, 0,
                   (size_t)run * MEM_PAGE_LINES);
        }
    }
    info_set(mem, first, MEM_GROUP_SIZE, MEM_HOST, 0);
    group_leave(mem, group);
    mem->group_dirty[group] = false;
    mem->group_mapped[group] = 0;
}

/* Beyond this, the kernel's work on a new reservation is less than ours on an old one,
 * and keeping it would keep much memory.  Zero pages that nobody asked for do not
 * count. */
enum { RESET_PAGE_MAX = 1024 };

/* The least group >= `group` with anything to reset, four at a time. */
static uint32_t next_group_used(const struct pvm_mem *mem, uint32_t group)
{
    while (group < MEM_GROUP_COUNT && !mem->group_mapped[group] &&
           !mem->group_dirty[group]) {
        uint64_t mapped;
        uint32_t dirty;
        memcpy(&mapped, mem->group_mapped + group / 4 * 4, sizeof mapped);
        memcpy(&dirty, mem->group_dirty + group / 4 * 4, sizeof dirty);
        group = mapped || dirty ? group + 1 : (group / 4 + 1) * 4;
    }
    return group;
}

bool pvm_mem_reset(struct pvm_mem *mem)
{
    uint32_t touched = 0;
    for (uint32_t g = next_group(mem, 0); g < MEM_GROUP_COUNT;
         g = next_group(mem, g + 1)) {
        for (uint32_t i = 0; i < MEM_GROUP_SIZE / 64; i++)
            touched += (uint32_t)__builtin_popcountll(
                mem->touched[g * (MEM_GROUP_SIZE / 64) + i]);
    }
    if (touched > RESET_PAGE_MAX || mem->unguardable)
        return false;
    for (uint32_t g = next_group_used(mem, 0); g < MEM_GROUP_COUNT;
         g = next_group_used(mem, g + 1))
        group_reset(mem, g);
    mem->watch = NULL;
    mem->watch_count = 0;
    return true;
}

enum err pvm_mem_protect(struct pvm_mem *mem, uint32_t start, uint64_t size,
                         enum pvm_access access)
{
    TRY(range_check(start, size));
    if (access == PVM_ACCESS_NONE)
        return ERR_usage;
    if (!pvm_mem_accessible(mem, start, size, PVM_ACCESS_R))
        return ERR_pvm_access;
    uint32_t first = page_of(start), count = (uint32_t)(size / PVM_PAGE_SIZE);
    for (uint32_t page = first; page - first < count; page++) {
        mem->info[page] = (uint8_t)((mem->info[page] & ~(unsigned)MEM_ACCESS) | access);
        rights_update(mem, page);
    }
    guard_update(mem, first, count);
    return ERR_ok;
}

/* ---- host access [5.4] ---- */

bool pvm_mem_accessible(const struct pvm_mem *mem, uint32_t address, uint64_t size,
                        enum pvm_access access)
{
    if (!size)
        return true;
    if (!mem || size > ((uint64_t)1 << 32) - address)
        return false;
    uint32_t last = page_of((uint32_t)(address + (size - 1)));
    for (uint32_t page = page_of(address); page <= last; page++) {
        if ((mem->info[page] & (unsigned)access) != (unsigned)access)
            return false;
    }
    return true;
}

enum err pvm_mem_read(struct pvm_mem *mem, uint32_t address, size_t size,
                      void *ret_bytes)
{
    if (!pvm_mem_accessible(mem, address, size, PVM_ACCESS_R))
        return ERR_pvm_access;
    if (!size)
        return ERR_ok;
    for (uint32_t page = page_of(address);
         page <= page_of((uint32_t)(address + (size - 1))); page++)
        page_fill(mem, page);
    memcpy(ret_bytes, mem->base + address, size);
    return ERR_ok;
}

enum err pvm_mem_write(struct pvm_mem *mem, uint32_t address, const void *bytes,
                       size_t size, uint32_t *ret_cow_count)
{
    if (!pvm_mem_accessible(mem, address, size, PVM_ACCESS_RW))
        return ERR_pvm_access;
    uint32_t count = 0;
    if (size) {
        uint32_t last = page_of((uint32_t)(address + (size - 1)));
        for (uint32_t page = page_of(address); page <= last; page++)
            count += pvm_mem_touch(mem, page);
        memcpy(mem->base + address, bytes, size);
    }
    if (ret_cow_count)
        *ret_cow_count = count;
    return ERR_ok;
}

enum pvm_access pvm_mem_access(const struct pvm_mem *mem, uint32_t page)
{
    return mem ? (enum pvm_access)(mem->info[page] & MEM_ACCESS) : PVM_ACCESS_NONE;
}

bool pvm_mem_written(const struct pvm_mem *mem, uint32_t page)
{
    return mem && (mem->info[page] & MEM_WRITTEN);
}

const uint8_t *pvm_mem_page(const struct pvm_mem *mem, uint32_t page)
{
    if (!mem || !(mem->info[page] & MEM_ACCESS))
        return NULL;
    if (!(mem->info[page] & MEM_FILLED))
        return mem->source[page];
    return mem->base + (size_t)page * PVM_PAGE_SIZE;
}

uint32_t pvm_mem_next_page(const struct pvm_mem *mem, uint32_t page)
{
    while (mem && page < PVM_PAGE_COUNT) {
        uint32_t group = next_group(mem, page / MEM_GROUP_SIZE);
        uint32_t first = group * MEM_GROUP_SIZE, end = first + MEM_GROUP_SIZE;
        if (group == MEM_GROUP_COUNT)
            break;
        page = next_page_until(mem, page > first ? page : first, end);
        if (page < end)
            return page;
    }
    return PVM_PAGE_COUNT;
}

/* ---- under a debugger ---- */

uint32_t pvm_mem_next_dirty(struct pvm_mem *mem, uint32_t page)
{
    while (mem && page < PVM_PAGE_COUNT) {
        uint32_t group = page / MEM_GROUP_SIZE, first = page;
        uint32_t end = (group + 1) * MEM_GROUP_SIZE;
        for (; mem->group_dirty[group] && page < end; page++) {
            if (mem->info[page] & MEM_DIRTY)
                return page;
        }
        if (first % MEM_GROUP_SIZE == 0)
            mem->group_dirty[group] = false;
        page = end;
    }
    return PVM_PAGE_COUNT;
}

void pvm_mem_dirty_all(struct pvm_mem *mem)
{
    for (uint32_t page = pvm_mem_next_page(mem, 0); page < PVM_PAGE_COUNT;
         page = pvm_mem_next_page(mem, page + 1)) {
        mem->info[page] |= MEM_DIRTY;
        mem->group_dirty[page / MEM_GROUP_SIZE] = true;
    }
}

void pvm_mem_restore(struct pvm_mem *mem, uint32_t page, const uint8_t *bytes,
                     bool written)
{
    uint8_t *to = mem->base + (size_t)page * PVM_PAGE_SIZE;
    check(mem->info[page] & MEM_ACCESS);
    guard_open(mem, page, 1);
    if (bytes)
        memcpy(to, bytes, PVM_PAGE_SIZE);
    else
        memset(to, 0, PVM_PAGE_SIZE);
    mem->info[page] &= (uint8_t) ~(MEM_DIRTY | MEM_WRITTEN);
    mem->info[page] |= MEM_FILLED | MEM_CONTENT | (written ? MEM_WRITTEN : 0);
    rights_update(mem, page);
    guard_update(mem, page, 1);
}

/* Pages whose lines a watched range takes rights from. */
static void watch_update(struct pvm_mem *mem, const struct pvm_watch *watch,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (uint32_t page = pvm_mem_next_page(mem, page_of(watch[i].first));
             page <= page_of(watch[i].last); page = pvm_mem_next_page(mem, page + 1))
            rights_update(mem, page);
    }
}

void pvm_mem_watch(struct pvm_mem *mem, const struct pvm_watch *watch, size_t count)
{
    const struct pvm_watch *before = mem->watch;
    size_t before_count = mem->watch_count;
    mem->watch = watch;
    mem->watch_count = count;
    watch_update(mem, before, before_count);
    watch_update(mem, watch, count);
}

const struct pvm_watch *pvm_mem_watched(const struct pvm_mem *mem, uint32_t address,
                                        uint64_t size, unsigned access)
{
    if (!size)
        return NULL;
    for (size_t i = 0; i < mem->watch_count; i++) {
        const struct pvm_watch *watch = &mem->watch[i];
        /* Distances that wrap as addresses do. */
        if ((watch->access & access) &&
            ((uint32_t)(watch->first - address) < size ||
             (uint32_t)(address - watch->first) <= watch->last - watch->first))
            return watch;
    }
    return NULL;
}
