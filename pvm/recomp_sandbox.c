/* SPDX-License-Identifier: MIT
 *
 * Native code in a worker process [10.4]: which objects it has, and calls into it.
 */
#include "base/os.h"
#include "base/os_worker.h"
#include "pvm/sandbox.h"

enum { UNIT_COUNT = 64, SPACE_COUNT = 8 };

/* What a worker maps; id 0: nothing. */
struct mapped {
    uint64_t id;
    uint8_t *start;
    size_t size;
};

struct pvm_sandbox {
    struct os_worker *worker;
    struct pvm_sandbox_options options;
    enum err err; /* the first, for good */
    bool locked;
    struct mapped unit[UNIT_COUNT], space[SPACE_COUNT];
    uint32_t unit_next, space_next; /* to be replaced */
};

uint64_t pvm_sandbox_new_id(void)
{
    static uint64_t last;
    return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

/* ---- life ---- */

static enum err worker_open(struct pvm_sandbox *sandbox)
{
    const struct os_worker_options options = {.without = sandbox->options.without_walls,
                                              .require =
                                                  sandbox->options.require_walls};
    return os_worker_open(&options, &sandbox->worker);
}

enum err pvm_sandbox_create(struct arena *arena,
                            const struct pvm_sandbox_options *options,
                            struct pvm_sandbox **ret_sandbox)
{
    struct pvm_sandbox *sandbox = arena_new(arena, struct pvm_sandbox);
    if (!sandbox)
        return ERR_nomem;
    if (options)
        sandbox->options = *options;
    TRY(worker_open(sandbox));
    *ret_sandbox = sandbox;
    return ERR_ok;
}

void pvm_sandbox_close(struct pvm_sandbox *sandbox)
{
    if (!sandbox)
        return;
    os_worker_close(sandbox->worker);
    sandbox->worker = NULL;
    sandbox->err = sandbox->err ? sandbox->err : ERR_worker_lost;
}

void pvm_sandbox_give_up(struct pvm_sandbox *sandbox)
{
    pvm_sandbox_close(sandbox);
}

enum err pvm_sandbox_err(const struct pvm_sandbox *sandbox)
{
    return sandbox->err;
}

int pvm_sandbox_worker_pid(const struct pvm_sandbox *sandbox)
{
    return sandbox->worker ? os_worker_pid(sandbox->worker) : 0;
}

/* A locked worker takes no new objects: begin with a new one. */
static enum err worker_renew(struct pvm_sandbox *sandbox)
{
    os_worker_close(sandbox->worker);
    sandbox->worker = NULL;
    sandbox->locked = false;
    memset(sandbox->unit, 0, sizeof sandbox->unit);
    memset(sandbox->space, 0, sizeof sandbox->space);
    return worker_open(sandbox);
}

/* ---- objects ---- */

static bool has(const struct mapped *list, uint32_t count, uint64_t id)
{
    for (uint32_t i = 0; i < count && id; i++) {
        if (list[i].id == id)
            return true;
    }
    return false;
}

static enum err drop(struct pvm_sandbox *sandbox, struct mapped *old)
{
    if (!old->id)
        return ERR_ok;
    old->id = 0;
    return os_worker_unmap(sandbox->worker, old->start, old->size);
}

/* Make room for a new entry: a slot, and its addresses, which an object that is gone
 * here may still have there. */
static enum err make_room(struct pvm_sandbox *sandbox, struct mapped *list,
                          uint32_t count, uint32_t *next, const struct mapped *wanted)
{
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].id && list[i].start < wanted->start + wanted->size &&
            wanted->start < list[i].start + list[i].size)
            TRY(drop(sandbox, &list[i]));
    }
    struct mapped *slot = &list[*next];
    *next = (*next + 1) % count;
    TRY(drop(sandbox, slot));
    *slot = *wanted;
    return ERR_ok;
}

static enum err map_unit(struct pvm_sandbox *sandbox, const struct native_unit *unit)
{
    const struct os_code *code = unit->memory;
    const struct mapped wanted = {unit->id, code->data, code->size};
    TRY(make_room(sandbox, sandbox->unit, UNIT_COUNT, &sandbox->unit_next, &wanted));
    return os_worker_map(sandbox->worker, &(struct os_worker_mapping){
                                              .fd = code->fd,
                                              .address = code->data,
                                              .size = code->size,
                                              .access = OS_WORKER_RX,
                                          });
}

/* ---- address spaces ---- */

#define GUEST_SIZE ((size_t)1 << 32)
enum {
    RIGHTS_OFFSET = NATIVE_AREA_SIZE, /* in the object */
    GUEST_OFFSET = NATIVE_AREA_SIZE + MEM_LINE_COUNT,
};
#define SPACE_SIZE (GUEST_OFFSET + GUEST_SIZE)

static uint8_t *space_start(const struct pvm_mem *mem)
{
    return mem->base - GUEST_OFFSET;
}

static bool is_zero(const uint8_t *page)
{
    uint64_t word, any = 0;
    for (size_t i = 0; i < PVM_PAGE_SIZE && !any; i += sizeof word) {
        memcpy(&word, page + i, sizeof word);
        any |= word;
    }
    return !any;
}

/* All that differs from zero, into a view of the object: rights of mapped pages, and
 * pages whose bytes are their own. */
static void copy_space(const struct pvm_mem *mem, uint8_t *view)
{
    const uint8_t *start = space_start(mem);
    for (uint32_t page = pvm_mem_next_page(mem, 0); page < PVM_PAGE_COUNT;
         page = pvm_mem_next_page(mem, page + 1)) {
        size_t lines = RIGHTS_OFFSET + (size_t)page * MEM_PAGE_LINES;
        size_t bytes = GUEST_OFFSET + (size_t)page * PVM_PAGE_SIZE;
        memcpy(view + lines, start + lines, MEM_PAGE_LINES);
        if ((mem->info[page] & MEM_CONTENT) && !is_zero(start + bytes))
            memcpy(view + bytes, start + bytes, PVM_PAGE_SIZE);
    }
}

static enum err map_parts(struct pvm_sandbox *sandbox, struct pvm_mem *mem, int fd)
{
    const struct {
        size_t offset, size;
        enum os_worker_access access;
    } parts[] = {
        {0, NATIVE_AREA_SIZE, OS_WORKER_RW},
        {RIGHTS_OFFSET, MEM_LINE_COUNT, OS_WORKER_R},
        {GUEST_OFFSET, GUEST_SIZE, OS_WORKER_RW},
    };
    for (size_t i = 0; i < countof(parts); i++)
        TRY(os_worker_map(sandbox->worker,
                          &(struct os_worker_mapping){
                              .fd = fd,
                              .offset = parts[i].offset,
                              .address = space_start(mem) + parts[i].offset,
                              .size = parts[i].size,
                              .access = parts[i].access,
                          }));
    return ERR_ok;
}

/* Put the object in the place of what was there: here, then in the worker. */
static enum err share_through(struct pvm_sandbox *sandbox, struct pvm_mem *mem, int fd)
{
    void *view, *placed;
    TRY(os_object_map(fd, 0, SPACE_SIZE, NULL, &view));
    copy_space(mem, view);
    os_unmap(view, SPACE_SIZE);
    TRY(os_object_map(fd, 0, SPACE_SIZE, space_start(mem), &placed));
    return map_parts(sandbox, mem, fd);
}

static enum err map_space(struct pvm_sandbox *sandbox, struct pvm_mem *mem)
{
    mem->space = pvm_sandbox_new_id();
    const struct mapped wanted = {mem->space, space_start(mem), SPACE_SIZE};
    TRY(make_room(sandbox, sandbox->space, SPACE_COUNT, &sandbox->space_next, &wanted));
    int fd;
    TRY(os_object_create(SPACE_SIZE, &fd));
    enum err err = share_through(sandbox, mem, fd);
    os_close(fd);
    mem->change_count = 0;
    mem->change_all = true;
    return err;
}

/* ---- page protection in the worker ---- */

/* mem.c wants this: remember it for the next call. */
static bool protect_later(struct pvm_mem *mem, void *start, size_t size, unsigned host)
{
    const struct mem_change change = {start, size, host};
    struct mem_change *last =
        mem->change_count ? &mem->change[mem->change_count - 1] : NULL;
    if (mem->change_all)
        return true; /* it is in the tables */
    if (last && last->start == start && last->size == size)
        *last = change;
    else if (mem->change_count < MEM_CHANGE_MAX)
        mem->change[mem->change_count++] = change;
    else
        mem->change_all = true;
    return true;
}

static enum os_worker_access access_of(unsigned host)
{
    return host == MEM_HOST        ? OS_WORKER_RW
           : host == MEM_HOST_READ ? OS_WORKER_R
                                   : OS_WORKER_NONE;
}

struct ranges {
    struct os_worker_range range[OS_WORKER_RANGE_COUNT_MAX];
    size_t count;
};

static enum err ranges_send(struct pvm_sandbox *sandbox, struct ranges *ranges)
{
    const struct os_worker_call call = {.ranges = ranges->range,
                                        .range_count = ranges->count};
    struct os_worker_result result;
    ranges->count = 0;
    return os_worker_call(sandbox->worker, &call, &result);
}

static enum err ranges_add(struct pvm_sandbox *sandbox, struct ranges *ranges,
                           void *start, size_t size, unsigned host)
{
    if (ranges->count == OS_WORKER_RANGE_COUNT_MAX)
        TRY(ranges_send(sandbox, ranges));
    ranges->range[ranges->count++] =
        (struct os_worker_range){start, size, access_of(host)};
    return ERR_ok;
}

/* Too much has changed to be listed: say it all, in runs of equal pages. */
static enum err protect_all(struct pvm_sandbox *sandbox, struct pvm_mem *mem,
                            struct ranges *ranges)
{
    bool guards = mem->protect != NULL;
    TRY(ranges_add(sandbox, ranges, space_start(mem) + NATIVE_STACK_GUARD,
                   PVM_PAGE_SIZE, 0));
    TRY(ranges_add(sandbox, ranges, mem->base, GUEST_SIZE, guards ? 0u : MEM_HOST));
    uint32_t page = guards ? pvm_mem_next_page(mem, 0) : PVM_PAGE_COUNT;
    while (page < PVM_PAGE_COUNT) {
        unsigned host = mem->info[page] & MEM_HOST;
        uint32_t end = page + 1;
        while (end < PVM_PAGE_COUNT && (mem->info[end] & MEM_HOST) == host)
            end++;
        if (host)
            TRY(ranges_add(sandbox, ranges, mem->base + (size_t)page * PVM_PAGE_SIZE,
                           (size_t)(end - page) * PVM_PAGE_SIZE, host));
        page = pvm_mem_next_page(mem, end);
    }
    return ERR_ok;
}

/* The ranges to send with the next call; more than fit are sent ahead. */
static enum err changes_take(struct pvm_sandbox *sandbox, struct pvm_mem *mem,
                             struct ranges *ranges)
{
    enum err err = ERR_ok;
    if (mem->change_all)
        err = protect_all(sandbox, mem, ranges);
    for (uint32_t i = 0; i < mem->change_count && !mem->change_all && !err; i++) {
        const struct mem_change *change = &mem->change[i];
        /* The guard behind the guest's 4 GiB is not mapped there at all. */
        size_t most = GUEST_SIZE - (size_t)((uint8_t *)change->start - mem->base);
        err = ranges_add(sandbox, ranges, change->start,
                         change->size < most ? change->size : most, change->host);
    }
    mem->change_count = 0;
    mem->change_all = false;
    return err;
}

/* ---- runs ---- */

static enum err prepare(struct pvm_sandbox *sandbox, const struct native_unit *unit,
                        struct pvm_mem *mem)
{
    bool has_unit = has(sandbox->unit, UNIT_COUNT, unit->id);
    bool has_space = has(sandbox->space, SPACE_COUNT, mem->space);
    if (has_unit && has_space)
        return ERR_ok;
    if (sandbox->locked) {
        TRY(worker_renew(sandbox));
        has_unit = has_space = false;
    }
    if (!has_unit)
        TRY(map_unit(sandbox, unit));
    if (!has_space)
        TRY(map_space(sandbox, mem));
    if (!sandbox->options.single)
        return ERR_ok;
    sandbox->locked = true;
    return os_worker_lock(sandbox->worker);
}

bool pvm_sandbox_prepare(struct pvm_sandbox *sandbox, const struct native_unit *unit,
                         struct pvm_mem *mem, bool guarded)
{
    if (sandbox->err)
        return false;
    if (mem->protect && mem->protect != protect_later)
        pvm_mem_unguard(mem); /* the parent's view is what it looks at */
    sandbox->err = prepare(sandbox, unit, mem);
    return !sandbox->err && (!guarded || pvm_mem_guard(mem, protect_later));
}

bool pvm_sandbox_enter(struct pvm_sandbox *sandbox, const struct native_unit *unit,
                       struct pvm_mem *mem, const struct native_context *sent,
                       struct native_context *ret_seen, uint64_t *ret_fault_ip)
{
    struct native_context *context = (void *)(mem->base + NATIVE_CONTEXT);
    struct ranges ranges = {.count = 0};
    struct os_worker_result result;
    enum err err = changes_take(sandbox, mem, &ranges);
    memcpy(context, sent, sizeof *sent);
    const struct os_worker_call call = {
        .ranges = ranges.range,
        .range_count = ranges.count,
        .entry = (uintptr_t)unit->code + unit->enter,
        .gs_base = mem->base,
        .fault_start = (uintptr_t)unit->code,
        .fault_size = unit->options.explicit_checks ? 0 : unit->code_size,
        .fault_resume = (uintptr_t)unit->code + unit->faulted,
        .timeout_ns = sandbox->options.timeout_ns,
    };
    if (!err)
        err = os_worker_call(sandbox->worker, &call, &result);
    sandbox->err = err;
    if (err)
        return false;
    memcpy(ret_seen, context, sizeof *ret_seen);
    *ret_fault_ip = result.signal ? result.fault_ip : 0;
    return true;
}
