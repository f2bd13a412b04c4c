/* SPDX-License-Identifier: MIT
 *
 * Checkpoints (trace-replay.md 2.9): where a cut trace, or the rest of a ring, begins.
 */
#include "replay/checkpoint.h"

#include "base/hash.h"

#include <string.h>

enum { REGISTERS_SIZE = 8 * (PVM_REG_COUNT + 2), RUN_SIZE = 9, RUN_PAGES_MAX = 16 };
enum { ACCESS_MODE = 3, ACCESS_WRITTEN = 8 }; /* of a run's access byte (7.2) */

static void put_number(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_number(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* ---- take ---- */

static uint8_t access_of(const struct pvm_mem *mem, uint32_t page)
{
    unsigned written = pvm_mem_written(mem, page) ? ACCESS_WRITTEN : 0;
    return (uint8_t)((unsigned)pvm_mem_access(mem, page) | written);
}

/* Runs of pages with equal access: first page, count, access. */
static void put_access(const struct pvm_mem *mem, struct buf *runs)
{
    uint32_t page = pvm_mem_next_page(mem, 0);
    while (page < PVM_PAGE_COUNT) {
        uint8_t access = access_of(mem, page), run[RUN_SIZE];
        uint32_t first = page;
        while (page < PVM_PAGE_COUNT && access_of(mem, page) == access)
            page++;
        put_number(run, first, 4);
        put_number(run + 4, page - first, 4);
        run[8] = access;
        buf_put(runs, run, sizeof run);
        page = pvm_mem_next_page(mem, page);
    }
}

static bool is_zero(const uint8_t *page)
{
    return !page[0] && memcmp(page, page + 1, PVM_PAGE_SIZE - 1) == 0;
}

/* Append pages [first, first + count) as one record; begins a new part when one is
 * full. */
static void put_pages(struct checkpoint *c, uint32_t first, struct bytes bytes)
{
    if (!bytes.size)
        return;
    struct buf *part = &c->part[c->part_count - 1];
    if (part->size + bytes.size > CHECKPOINT_PART_SIZE - 64 &&
        c->part_count < CHECKPOINT_PART_COUNT) {
        part = &c->part[c->part_count++];
        buf_init(part, CHECKPOINT_PART_SIZE);
    }
    trace_checkpoint_put_pages(part, first, bytes);
    c->record_count[c->part_count - 1]++;
}

static void put_memory(const struct pvm_mem *mem, struct checkpoint *c)
{
    uint8_t run[RUN_PAGES_MAX * PVM_PAGE_SIZE];
    uint32_t first = 0, count = 0;
    for (uint32_t page = pvm_mem_next_page(mem, 0); page < PVM_PAGE_COUNT;
         page = pvm_mem_next_page(mem, page + 1)) {
        const uint8_t *bytes = pvm_mem_page(mem, page);
        if (is_zero(bytes))
            continue;
        if (page != first + count || count == RUN_PAGES_MAX) {
            put_pages(c, first, bytes_of(run, (size_t)count * PVM_PAGE_SIZE));
            first = page;
            count = 0;
        }
        memcpy(run + (size_t)count++ * PVM_PAGE_SIZE, bytes, PVM_PAGE_SIZE);
    }
    put_pages(c, first, bytes_of(run, (size_t)count * PVM_PAGE_SIZE));
}

static enum err part_errors(const struct checkpoint *c)
{
    for (size_t i = 0; i < c->part_count; i++)
        TRY(c->part[i].err);
    return ERR_ok;
}

void replay_checkpoint_fini(struct checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->part_count; i++)
        buf_fini(&checkpoint->part[i]);
    checkpoint->part_count = 0;
}

enum err replay_checkpoint_take(struct replay_session *s, const struct pvm_state *state,
                                struct checkpoint *ret_checkpoint)
{
    struct checkpoint *c = ret_checkpoint;
    struct buf runs;
    uint8_t registers[REGISTERS_SIZE] = {0};
    struct trace_pvm_checkpoint head = {
        .clock = {.icount = state->icount, .gas = s->setup->gas - state->gas},
        .registers = bytes_of(registers, sizeof registers),
        .charged = state->charged,
        .hash_at = s->setup->hash_every ? s->hash_at : 0,
        .digest_count = s->digest_count,
    };
    c->part_count = 1;
    c->record_count[0] = 1;
    buf_init(&c->part[0], CHECKPOINT_PART_SIZE);
    for (unsigned i = 0; i < PVM_REG_COUNT; i++)
        put_number(registers + 8 * i, state->reg[i], 8);
    put_number(registers + 8 * PVM_REG_COUNT, state->pc, 8);
    put_number(registers + 8 * (PVM_REG_COUNT + 1), state->gas, 8);
    buf_init(&runs, (size_t)PVM_PAGE_COUNT * RUN_SIZE);
    put_access(state->mem, &runs);
    enum err err = runs.err;
    if (!err)
        err = pvm_digest_machine(s->digest, state, &head.state_hash);
    if (!err) {
        head.access = buf_bytes(&runs);
        trace_checkpoint_put(&c->part[0], &head);
        put_memory(state->mem, c);
        err = part_errors(c);
    }
    buf_fini(&runs);
    if (err)
        replay_checkpoint_fini(c);
    return err;
}

bool replay_session_checkpoint(struct replay_session *session, struct buf *payload,
                               uint32_t *ret_record_count)
{
    struct checkpoint checkpoint;
    if (!session || !session->safe ||
        replay_checkpoint_take(session, session->safe, &checkpoint))
        return false;
    bool fits = checkpoint.part_count == 1;
    if (fits) {
        buf_put(payload, checkpoint.part[0].data, checkpoint.part[0].size);
        *ret_record_count = checkpoint.record_count[0];
    }
    replay_checkpoint_fini(&checkpoint);
    return fits;
}

/* ---- restore: hostile ---- */

/* Map zero pages; one that was written to is written to again. */
static enum err map_run(struct pvm_mem *mem, const uint8_t *run)
{
    uint64_t first = get_number(run, 4), count = get_number(run + 4, 4);
    unsigned mode = run[8] & ACCESS_MODE;
    bool written = run[8] & ACCESS_WRITTEN;
    static const uint8_t zero;
    if ((run[8] & ~(ACCESS_MODE | ACCESS_WRITTEN)) || first >= PVM_PAGE_COUNT ||
        !count || count > PVM_PAGE_COUNT - first ||
        (mode != PVM_ACCESS_R && mode != PVM_ACCESS_RW) ||
        (written && mode != PVM_ACCESS_RW))
        return ERR_trace_event;
    uint32_t start = (uint32_t)first * (uint32_t)PVM_PAGE_SIZE;
    TRY(pvm_mem_map(mem, start, count * PVM_PAGE_SIZE, (enum pvm_access)mode,
                    (struct bytes){0}));
    for (uint64_t i = 0; written && i < count; i++)
        TRY(pvm_mem_write(mem, start + (uint32_t)(i * PVM_PAGE_SIZE), &zero, 1, NULL));
    return ERR_ok;
}

/* `bytes` live as long as the session. */
static enum err restore_page(struct pvm_mem *mem, uint32_t page, const uint8_t *bytes)
{
    uint32_t address = page * (uint32_t)PVM_PAGE_SIZE;
    enum pvm_access access = pvm_mem_access(mem, page);
    if (access == PVM_ACCESS_NONE)
        return ERR_trace_event;
    if (pvm_mem_written(mem, page))
        return pvm_mem_write(mem, address, bytes, PVM_PAGE_SIZE, NULL);
    /* As initial contents, so that the page stays clean. */
    TRY(pvm_mem_unmap(mem, address, PVM_PAGE_SIZE));
    return pvm_mem_map(mem, address, PVM_PAGE_SIZE, access,
                       bytes_of(bytes, PVM_PAGE_SIZE));
}

/* Pages come before the access runs are known: keep them for then. */
struct kept {
    uint32_t page;
    uint32_t count;
    const uint8_t *bytes;
    struct kept *next;
};

struct keeper {
    struct arena *arena;
    struct kept *first, **last;
};

static enum err keep_pages(void *self, uint64_t first_page, struct bytes bytes)
{
    struct keeper *keeper = self;
    struct kept *kept = arena_new(keeper->arena, struct kept);
    if (!kept)
        return ERR_nomem;
    kept->page = (uint32_t)first_page;
    kept->count = (uint32_t)(bytes.size / PVM_PAGE_SIZE);
    kept->bytes = arena_copy(keeper->arena, bytes.data, bytes.size);
    *keeper->last = kept;
    keeper->last = &kept->next;
    return kept->bytes ? ERR_ok : ERR_nomem;
}

static enum err restore_memory(struct pvm_mem *mem,
                               const struct trace_pvm_checkpoint *head,
                               const struct kept *kept)
{
    if (head->access.size % RUN_SIZE)
        return ERR_trace_event;
    for (size_t i = 0; i < head->access.size; i += RUN_SIZE)
        TRY(map_run(mem, head->access.data + i));
    for (; kept; kept = kept->next) {
        for (uint32_t i = 0; i < kept->count; i++)
            TRY(restore_page(mem, kept->page + i,
                             kept->bytes + (size_t)i * PVM_PAGE_SIZE));
    }
    return ERR_ok;
}

static enum err restore_state(struct replay_session *s,
                              const struct trace_pvm_checkpoint *head)
{
    struct pvm_state *state = &s->state;
    const uint8_t *registers = head->registers.data;
    for (unsigned i = 0; i < PVM_REG_COUNT; i++)
        state->reg[i] = get_number(registers + 8 * i, 8);
    uint64_t pc = get_number(registers + 8 * PVM_REG_COUNT, 8);
    uint64_t gas = get_number(registers + 8 * (PVM_REG_COUNT + 1), 8);
    if (pc > UINT32_MAX || gas > s->setup->gas ||
        s->setup->gas - gas != head->clock.gas)
        return ERR_trace_event;
    state->pc = (uint32_t)pc;
    state->gas = gas;
    state->icount = head->clock.icount;
    state->charged = head->charged;
    if (s->setup->hash_every)
        s->hash_at = head->hash_at;
    s->digest_count = head->digest_count;
    return ERR_ok;
}

static enum err check_hash(struct replay_session *s,
                           const struct trace_pvm_checkpoint *head)
{
    struct hash256 hash;
    TRY(pvm_digest_machine(s->digest, &s->state, &hash));
    return hash256_equal(&hash, &head->state_hash) ? ERR_ok : ERR_trace_event;
}

enum err replay_checkpoint_restore(struct replay_session *s,
                                   const struct trace_source *source, uint64_t seq)
{
    struct trace_pvm_checkpoint head;
    struct keeper keeper = {.arena = s->arena, .last = &keeper.first};
    enum err err =
        trace_checkpoint_read(s->arena, source, seq, &head, keep_pages, &keeper);
    if (err == ERR_not_found)
        return ERR_trace_event;
    TRY(err);
    TRY(replay_session_new_memory(s));
    err = restore_memory(s->state.mem, &head, keeper.first);
    if (!err)
        err = restore_state(s, &head);
    if (!err)
        err = check_hash(s, &head);
    /* What mapping refuses is the checkpoint's fault. */
    return !err || err == ERR_nomem ? err : ERR_trace_event;
}
