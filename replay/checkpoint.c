/* SPDX-License-Identifier: MIT
 *
 * Checkpoints of a PVM program (trace-replay.md 2.9): where a cut trace, or the rest of
 * a ring, begins, and where a seek may start.
 */
#include "replay/checkpoint.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { REGISTERS_SIZE = 8 * (PVM_REG_COUNT + 2), RUN_SIZE = 9 };
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

/* Pages of the checkpoint; without a series: all that are not zero. */
static enum err put_memory(const struct pvm_mem *mem, struct checkpoint_series *series,
                           bool full, struct checkpoint *c)
{
    static const uint8_t zeros[PVM_PAGE_SIZE];
    for (uint32_t page = pvm_mem_next_page(mem, 0); page < PVM_PAGE_COUNT;
         page = pvm_mem_next_page(mem, page + 1)) {
        const uint8_t *bytes = pvm_mem_page(mem, page);
        if (series)
            TRY(replay_series_page(series, c, full, page, bytes));
        else if (memcmp(bytes, zeros, sizeof zeros) != 0)
            replay_checkpoint_put_page(c, page, bytes);
    }
    return ERR_ok;
}

/* All of the head but whether it is full. */
static enum err take_head(struct replay_session *s, const struct pvm_state *state,
                          struct buf *machine, struct trace_checkpoint *ret_head)
{
    struct buf runs;
    uint8_t registers[REGISTERS_SIZE] = {0};
    struct trace_pvm_machine m = {
        .registers = bytes_of(registers, sizeof registers),
        .charged = state->charged,
        .hash_at = s->setup->hash_every ? s->hash_at : 0,
        .digest_count = s->digest_count,
    };
    *ret_head = (struct trace_checkpoint){
        .clock = {.icount = state->icount, .gas = s->setup->gas - state->gas}};
    for (unsigned i = 0; i < PVM_REG_COUNT; i++)
        put_number(registers + 8 * i, state->reg[i], 8);
    put_number(registers + 8 * PVM_REG_COUNT, state->pc, 8);
    put_number(registers + 8 * (PVM_REG_COUNT + 1), state->gas, 8);
    buf_init(&runs, (size_t)PVM_PAGE_COUNT * RUN_SIZE);
    put_access(state->mem, &runs);
    m.access = buf_bytes(&runs);
    trace_pvm_machine_put(machine, &m);
    enum err err = runs.err ? runs.err : machine->err;
    if (!err)
        err = pvm_digest_machine(s->digest, state, &ret_head->state_hash);
    ret_head->machine = buf_bytes(machine);
    buf_fini(&runs);
    return err;
}

static enum err take(struct replay_session *s, const struct pvm_state *state,
                     struct checkpoint_series *series, bool full, struct checkpoint *c)
{
    struct trace_checkpoint head;
    struct buf machine;
    buf_init(&machine, CHECKPOINT_PART_SIZE);
    enum err err = take_head(s, state, &machine, &head);
    head.full = full;
    replay_checkpoint_begin(c, &head);
    if (!err)
        err = put_memory(state->mem, series, full, c);
    enum err ended = replay_checkpoint_end(c);
    err = err ? err : ended;
    buf_fini(&machine);
    if (err)
        replay_checkpoint_fini(c);
    return err;
}

enum err replay_checkpoint_take(struct replay_session *s, const struct pvm_state *state,
                                struct checkpoint *ret_checkpoint)
{
    return take(s, state, NULL, true, ret_checkpoint);
}

enum err replay_checkpoint_next(struct replay_session *s, const struct pvm_state *state)
{
    struct checkpoint_series *series = &s->series;
    const struct trace_clock clock = {.icount = state->icount,
                                      .gas = s->setup->gas - state->gas};
    bool full = !series->full_page_count;
    struct checkpoint *c = malloc(sizeof *c);
    if (!c)
        return ERR_nomem;
    enum err err = take(s, state, series, full, c);
    if (!err && !full && replay_series_wants_full(series, c)) {
        replay_checkpoint_fini(c);
        full = true;
        err = take(s, state, series, full, c);
    }
    if (!err) {
        err = replay_series_put(series, c, full, trace_seq(s->trace), &clock);
        replay_checkpoint_fini(c);
    }
    free(c);
    return err;
}

enum err replay_session_checkpoint(struct replay_session *session,
                                   trace_ring_put_fn *put, void *to)
{
    if (!session || !session->safe)
        return ERR_ok;
    struct checkpoint *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_nomem;
    enum err err = replay_checkpoint_take(session, session->safe, c);
    if (!err)
        err = replay_checkpoint_give(c, put, to);
    replay_checkpoint_fini(c);
    free(c);
    return err;
}

/* ---- restore: hostile ---- */

enum err replay_access_each(struct bytes runs,
                            enum err (*each)(void *self, uint32_t first, uint32_t count,
                                             unsigned mode, bool written),
                            void *self)
{
    if (runs.size % RUN_SIZE)
        return ERR_trace_event;
    for (size_t i = 0; i < runs.size; i += RUN_SIZE) {
        const uint8_t *run = runs.data + i;
        uint64_t first = get_number(run, 4), count = get_number(run + 4, 4);
        unsigned mode = run[8] & ACCESS_MODE;
        bool written = run[8] & ACCESS_WRITTEN;
        if ((run[8] & ~(ACCESS_MODE | ACCESS_WRITTEN)) || first >= PVM_PAGE_COUNT ||
            !count || count > PVM_PAGE_COUNT - first ||
            (mode != PVM_ACCESS_R && mode != PVM_ACCESS_RW) ||
            (written && mode != PVM_ACCESS_RW))
            return ERR_trace_event;
        TRY(each(self, (uint32_t)first, (uint32_t)count, mode, written));
    }
    return ERR_ok;
}

/* Map zero pages; one that was written to is written to again. */
static enum err map_run(void *self, uint32_t first, uint32_t count, unsigned mode,
                        bool written)
{
    static const uint8_t zero;
    struct pvm_mem *mem = self;
    uint32_t start = first * (uint32_t)PVM_PAGE_SIZE;
    TRY(pvm_mem_map(mem, start, (uint64_t)count * PVM_PAGE_SIZE, (enum pvm_access)mode,
                    (struct bytes){0}));
    for (uint32_t i = 0; written && i < count; i++)
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
                               const struct trace_pvm_machine *machine,
                               const struct kept *kept)
{
    TRY(replay_access_each(machine->access, map_run, mem));
    for (; kept; kept = kept->next) {
        for (uint32_t i = 0; i < kept->count; i++)
            TRY(restore_page(mem, kept->page + i,
                             kept->bytes + (size_t)i * PVM_PAGE_SIZE));
    }
    return ERR_ok;
}

enum err replay_checkpoint_registers(const struct trace_checkpoint *checkpoint,
                                     const struct trace_pvm_machine *machine,
                                     uint64_t gas, struct pvm_state *state)
{
    const uint8_t *registers = machine->registers.data;
    uint64_t pc = get_number(registers + 8 * PVM_REG_COUNT, 8);
    uint64_t left = get_number(registers + 8 * (PVM_REG_COUNT + 1), 8);
    if (pc > UINT32_MAX || left > gas || gas - left != checkpoint->clock.gas)
        return ERR_trace_event;
    for (unsigned i = 0; i < PVM_REG_COUNT; i++)
        state->reg[i] = get_number(registers + 8 * i, 8);
    state->pc = (uint32_t)pc;
    state->gas = left;
    state->icount = checkpoint->clock.icount;
    state->charged = machine->charged;
    return ERR_ok;
}

static enum err check_hash(struct replay_session *s,
                           const struct trace_checkpoint *checkpoint)
{
    struct hash256 hash;
    TRY(pvm_digest_machine(s->digest, &s->state, &hash));
    return hash256_equal(&hash, &checkpoint->state_hash) ? ERR_ok : ERR_trace_event;
}

static enum err restore(struct replay_session *s,
                        const struct trace_checkpoint *checkpoint,
                        const struct kept *kept)
{
    struct trace_pvm_machine machine;
    TRY(trace_pvm_machine_get(checkpoint->machine, &machine));
    TRY(replay_session_new_memory(s));
    enum err err = restore_memory(s->state.mem, &machine, kept);
    if (!err)
        err =
            replay_checkpoint_registers(checkpoint, &machine, s->setup->gas, &s->state);
    if (!err && s->setup->hash_every)
        s->hash_at = machine.hash_at;
    s->digest_count = machine.digest_count;
    if (!err)
        err = check_hash(s, checkpoint);
    /* What mapping refuses is the checkpoint's fault. */
    return !err || err == ERR_nomem ? err : ERR_trace_event;
}

enum err replay_checkpoint_restore(struct replay_session *s,
                                   const struct trace_source *source, uint64_t seq)
{
    struct trace_checkpoint checkpoint;
    struct keeper keeper = {.arena = s->arena, .last = &keeper.first};
    enum err err =
        trace_checkpoint_read(s->arena, source, seq, &checkpoint, keep_pages, &keeper);
    if (err == ERR_not_found)
        return ERR_trace_event;
    TRY(err);
    return restore(s, &checkpoint, keeper.first);
}

enum err replay_checkpoint_restore_at(struct replay_session *s,
                                      const struct trace_source *source,
                                      const struct trace_checkpoint_list *list,
                                      size_t index)
{
    struct trace_checkpoint checkpoint;
    struct keeper keeper = {.arena = s->arena, .last = &keeper.first};
    TRY(trace_checkpoint_load(s->arena, source, list, index, &checkpoint, keep_pages,
                              &keeper));
    return restore(s, &checkpoint, keeper.first);
}
