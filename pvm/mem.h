/* SPDX-License-Identifier: MIT
 *
 * pvm/mem.h - the inside of an address space.  Private to pvm/.
 *
 * Guest memory is flat: byte a of the guest is base[a].  Right below it stand the
 * rights, one byte per line of 64 bytes, so that an engine needs one register for both:
 * base[a / 64 - MEM_LINE_COUNT].  A right that is set means "go ahead"; one that is not
 * means "ask mem.c", which knows why: not mapped, a zero page that was never loaded
 * from, contents not copied yet, page still clean, or not stored to since the last
 * digest.  All lines of a page are alike but the last, from which an access may reach
 * the next page; lines are small so that hardly any access (of a stack, say, which ends
 * where nothing is mapped) starts there.
 */
#ifndef PVM_MEM_H
#define PVM_MEM_H

#include "pvm/pvm.h"

enum {
    MEM_LINE_SIZE = 64,
    MEM_LINE_COUNT = 1 << 26,
    MEM_PAGE_LINES = PVM_PAGE_SIZE / MEM_LINE_SIZE,
    /* Behind guest memory: what is never accessible while there is protection, and a
     * stack for native code, which grows down to there. */
    MEM_STACK_SIZE = 1 << 16,
    MEM_GUARD_SIZE = (4 << 20) - MEM_STACK_SIZE,
};
#define MEM_GUARDED_SIZE (((size_t)1 << 32) + MEM_GUARD_SIZE)

enum mem_right {
    MEM_READ = 1,     /* loads within this page */
    MEM_READ_ON = 2,  /* loads that start in this line, wherever they end */
    MEM_WRITE = 4,    /* stores within this page: writable, filled, written, dirty */
    MEM_WRITE_ON = 8, /* stores that start in this line, wherever they end */
};

enum mem_info {
    MEM_ACCESS = 3,  /* enum pvm_access */
    MEM_FILLED = 4,  /* the initial bytes have been copied */
    MEM_WRITTEN = 8, /* page state of [7.6] */
    MEM_DIRTY = 16,  /* stored to since the last digest */
    /* The page protection that is in force, while there is one. */
    MEM_HOST_READ = 32,
    MEM_HOST_WRITE = 64,
    MEM_HOST = MEM_HOST_READ | MEM_HOST_WRITE,
    MEM_CONTENT = 128, /* may hold other bytes than zeros */
};

struct pvm_mem;

/* Let the CPU that runs native code read, or read and write, or not touch some pages;
 * MEM_HOST flags.  False: the host cannot. */
typedef bool mem_protect_fn(struct pvm_mem *mem, void *start, size_t size,
                            unsigned host);

/* A change of protection that a worker has not been told of yet. */
struct mem_change {
    void *start;
    size_t size;
    unsigned host;
};
enum { MEM_CHANGE_MAX = 32 };

enum { MEM_GROUP_SIZE = 1024, MEM_GROUP_COUNT = PVM_PAGE_COUNT / MEM_GROUP_SIZE };

struct pvm_mem {
    uint8_t *base;
    uint8_t *info;
    uint64_t *touched;       /* a bit per page: it may have bytes, a source, rights */
    const uint8_t **source;  /* initial bytes of a page that is not filled; or NULL */
    mem_protect_fn *protect; /* NULL: every page is open to the host's CPU */
    bool unguardable;        /* `protect` has failed once */
    bool stale;              /* the protection of some group is not up to date */
    /* For sandbox.h: the object that this is, 0 for none, and changes; or too many. */
    uint64_t space;
    struct mem_change change[MEM_CHANGE_MAX];
    uint32_t change_count;
    bool change_all;
    /* Of a debugger: lines that they lie in have no rights, so that accesses ask. */
    const struct pvm_watch *watch;
    size_t watch_count;
    /* Groups of pages: one is dirty, or does not have the protection that it should;
     * the number of mapped ones. */
    bool group_dirty[MEM_GROUP_COUNT], group_stale[MEM_GROUP_COUNT];
    uint16_t group_mapped[MEM_GROUP_COUNT];
};

/* The base to run with; serves a state without memory too. */
uint8_t *pvm_mem_base(struct pvm_mem *mem);

static inline uint8_t *mem_rights(struct pvm_mem *mem)
{
    return mem->base - MEM_LINE_COUNT;
}

/* From now on let the host's CPU at a page only as far as its rights go, so that native
 * code needs no tests of its own [10.4].  False: the host cannot; then everything stays
 * open, and `unguardable` says so. */
bool pvm_mem_guard(struct pvm_mem *mem, mem_protect_fn *protect);

/* Open everything again, as before. */
void pvm_mem_unguard(struct pvm_mem *mem);

/* What is wrong with an access, if anything [5.2]. */
enum mem_fault { MEM_OK, MEM_UNMAPPED, MEM_READ_ONLY, MEM_WATCHED };

struct mem_result {
    enum mem_fault fault;
    uint32_t page; /* the first bad one in access order */
};

/* A load of 1..8 bytes, whatever pages it touches. */
struct mem_result pvm_mem_load(struct pvm_mem *mem, uint32_t address, unsigned size,
                               uint64_t *ret_value);

/* Check a store of 1..8 bytes; moves nothing. */
struct mem_result pvm_mem_store_check(struct pvm_mem *mem, uint32_t address,
                                      unsigned size);

/* Mark the page as stored to; true if it was clean [7.6]. */
bool pvm_mem_touch(struct pvm_mem *mem, uint32_t page);

/* Store after pvm_mem_store_check and pvm_mem_touch of every page. */
void pvm_mem_store(struct pvm_mem *mem, uint32_t address, unsigned size,
                   uint64_t value);

#endif
