/* SPDX-License-Identifier: MIT
 *
 * The state of a pc as a checkpoint (trace-replay.md 2.9), and back.
 */
#include "replay/checkpoint_parts.h"
#include "replay/pc_private.h"

#include <stdlib.h>
#include <string.h>

#define READ_MEMORY ((size_t)8 << 30)
#define AROUND_SIZE_MAX ((size_t)TRACE_PC_AROUND * EMU_PAGE_SIZE)
enum { AROUND_INLINE_MAX = 1024 }; /* what is larger goes into pages */

/* ---- take ---- */

static bool is_zero(const uint8_t *page)
{
    return !page[0] && memcmp(page, page + 1, EMU_PAGE_SIZE - 1) == 0;
}

/* Begin with the first record: all but pages. */
static enum err put_head(struct replay_pc *s, struct checkpoint *c, bool full,
                         struct bytes state, struct bytes around)
{
    struct buf machine;
    struct emu_place place = emu_pc_place(s->pc);
    const bool paged = around.size > AROUND_INLINE_MAX;
    const struct trace_pc_machine m = {.state = state,
                                       .fs = paged ? bytes_of(NULL, 0) : around,
                                       .hash_at = s->hash_at,
                                       .paged = paged ? around.size : 0};
    buf_init(&machine, PC_STATE_SIZE_MAX + AROUND_INLINE_MAX + 4096);
    trace_pc_machine_put(&machine, &m);
    enum err err = machine.err;
    if (!err) {
        const struct trace_checkpoint head = {
            .clock = {.icount = place.icount, .sub = place.sub},
            .full = full,
            .state_hash = emu_pc_hash(s->pc, s->ram_hash, &s->scratch),
            .machine = buf_bytes(&machine),
        };
        replay_checkpoint_begin(c, &head);
    }
    buf_fini(&machine);
    return err;
}

static void put_around(struct checkpoint *c, struct bytes around)
{
    if (around.size <= AROUND_INLINE_MAX)
        return;
    for (size_t at = 0; at < around.size; at += EMU_PAGE_SIZE) {
        uint8_t page[EMU_PAGE_SIZE] = {0};
        size_t left = around.size - at;
        memcpy(page, around.data + at, left < sizeof page ? left : sizeof page);
        replay_checkpoint_put_page(c, (uint32_t)(TRACE_PC_AROUND + at / sizeof page),
                                   page);
    }
}

static enum err put_ram(struct replay_pc *s, struct checkpoint *c, bool full,
                        bool series)
{
    const struct emu_ram *ram = s->pc->ram;
    for (uint32_t page = 0; page < ram->size / EMU_PAGE_SIZE; page++) {
        const uint8_t *bytes = ram->bytes + (size_t)page * EMU_PAGE_SIZE;
        if (series)
            TRY(replay_series_page(&s->series, c, full, page, bytes));
        else if (!is_zero(bytes))
            replay_checkpoint_put_page(c, page, bytes);
    }
    return ERR_ok;
}

static enum err take(struct replay_pc *s, struct checkpoint *c, bool full, bool series)
{
    struct buf state, around;
    buf_init(&state, PC_STATE_SIZE_MAX);
    buf_init(&around, AROUND_SIZE_MAX);
    enum err err = replay_pc_save(s, &state, &around);
    if (!err)
        err = put_head(s, c, full, buf_bytes(&state), buf_bytes(&around));
    if (!err)
        err = put_ram(s, c, full, series);
    if (!err)
        put_around(c, buf_bytes(&around));
    buf_fini(&around);
    buf_fini(&state);
    return err ? err : replay_checkpoint_end(c);
}

enum err replay_pc_checkpoint_take(struct replay_pc *s, struct checkpoint *ret)
{
    return take(s, ret, true, false);
}

enum err replay_pc_checkpoint_next(struct replay_pc *s)
{
    struct emu_place place = emu_pc_place(s->pc);
    const struct trace_clock clock = {.icount = place.icount, .sub = place.sub};
    bool full = !s->series.full_page_count;
    struct checkpoint *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_nomem;
    enum err err = take(s, c, full, true);
    if (!err && !full && replay_series_wants_full(&s->series, c)) {
        replay_checkpoint_fini(c);
        full = true;
        err = take(s, c, full, true);
    }
    if (!err)
        err =
            replay_series_put(&s->series, c, full, trace_seq(s->options.trace), &clock);
    replay_checkpoint_fini(c);
    free(c);
    return err;
}

enum err replay_pc_ring_checkpoint(struct replay_pc *s, trace_ring_put_fn *put,
                                   void *to)
{
    if (!s || !s->at_mark)
        return ERR_ok;
    struct checkpoint *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_nomem;
    enum err err = replay_pc_checkpoint_take(s, c);
    if (!err)
        err = replay_checkpoint_give(c, put, to);
    replay_checkpoint_fini(c);
    free(c);
    return err;
}

/* ---- restore: hostile ---- */

static void clear_ram(struct emu_ram *ram)
{
    static const uint8_t zeros[EMU_PAGE_SIZE];
    for (uint32_t at = 0; at < ram->size; at += EMU_PAGE_SIZE) {
        if (emu_ram_has(ram, at) && !is_zero(ram->bytes + at))
            emu_ram_write(ram, at, zeros, EMU_PAGE_SIZE);
    }
}

void replay_pc_pages_init(struct pc_pages *pages, struct emu_ram *ram)
{
    pages->ram = ram;
    buf_init(&pages->around, AROUND_SIZE_MAX);
    clear_ram(ram);
}

void replay_pc_pages_fini(struct pc_pages *pages)
{
    buf_fini(&pages->around);
}

/* Checkpoints before the one that is meant may have had some too. */
static enum err keep_around(struct pc_pages *pages, uint64_t first, struct bytes bytes)
{
    if (first == TRACE_PC_AROUND)
        buf_clear(&pages->around);
    if (first - TRACE_PC_AROUND != pages->around.size / EMU_PAGE_SIZE)
        return ERR_trace_event;
    buf_put(&pages->around, bytes.data, bytes.size);
    return pages->around.err;
}

enum err replay_pc_pages_take(void *self, uint64_t first, struct bytes bytes)
{
    struct pc_pages *pages = self;
    struct emu_ram *ram = pages->ram;
    uint64_t count = bytes.size / EMU_PAGE_SIZE, end = ram->size / EMU_PAGE_SIZE;
    if (first >= TRACE_PC_AROUND)
        return keep_around(pages, first, bytes);
    if (first > end || count > end - first)
        return ERR_trace_event;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t address = (uint32_t)(first + i) * EMU_PAGE_SIZE;
        if (!emu_ram_has(ram, address))
            return ERR_trace_event;
        emu_ram_write(ram, address, bytes.data + i * EMU_PAGE_SIZE, EMU_PAGE_SIZE);
    }
    return ERR_ok;
}

bool replay_pc_pages_around(const struct pc_pages *pages,
                            const struct trace_pc_machine *machine,
                            struct bytes *ret_around)
{
    *ret_around = machine->fs;
    if (!machine->paged)
        return true;
    size_t size = pages->around.size;
    *ret_around = bytes_of(pages->around.data, (size_t)machine->paged);
    return machine->paged <= size && size - machine->paged < EMU_PAGE_SIZE;
}

/* RAM is in place; the rest. */
static enum err restore(struct replay_pc *s, const struct pc_pages *pages,
                        const struct trace_checkpoint *head)
{
    struct trace_pc_machine machine;
    struct bytes around;
    TRY(trace_pc_machine_get(head->machine, &machine));
    if (!replay_pc_pages_around(pages, &machine, &around))
        return ERR_trace_event;
    TRY(replay_pc_load(s, machine.state, around));
    struct emu_place place = emu_pc_place(s->pc);
    if (place.icount != head->clock.icount || place.sub != head->clock.sub ||
        machine.hash_at > place.icount + PC_HASH_EVERY || machine.digest_count)
        return ERR_trace_event;
    s->hash_at = machine.hash_at;
    struct hash256 hash = emu_pc_hash(s->pc, s->ram_hash, &s->scratch);
    return hash256_equal(&hash, &head->state_hash) ? ERR_ok : ERR_trace_event;
}

static enum err verdict(enum err err)
{
    bool hostile = err == ERR_not_found || err == ERR_state || err == ERR_v86fs_state;
    return hostile ? ERR_trace_event : err;
}

enum err replay_pc_checkpoint_restore(struct replay_pc *s,
                                      const struct trace_source *source, uint64_t seq)
{
    struct arena arena;
    struct pc_pages pages;
    struct trace_checkpoint head;
    arena_init(&arena, READ_MEMORY);
    replay_pc_pages_init(&pages, s->pc->ram);
    enum err err =
        trace_checkpoint_read(&arena, source, seq, &head, replay_pc_pages_take, &pages);
    if (!err)
        err = restore(s, &pages, &head);
    replay_pc_pages_fini(&pages);
    arena_fini(&arena);
    return verdict(err);
}

enum err replay_pc_checkpoint_start(struct replay_pc *s,
                                    const struct trace_source *source,
                                    const struct trace_checkpoint_list *list,
                                    size_t index)
{
    struct arena arena;
    struct pc_pages pages;
    struct trace_checkpoint head;
    arena_init(&arena, READ_MEMORY);
    replay_pc_pages_init(&pages, s->pc->ram);
    enum err err = trace_checkpoint_load(&arena, source, list, index, &head,
                                         replay_pc_pages_take, &pages);
    if (!err)
        err = restore(s, &pages, &head);
    replay_pc_pages_fini(&pages);
    arena_fini(&arena);
    return verdict(err);
}
