/* SPDX-License-Identifier: MIT
 *
 * The state of a pc as a checkpoint (trace-replay.md 2.9), and back.
 */
#include "replay/checkpoint_parts.h"
#include "replay/pc_private.h"

#include <stdlib.h>
#include <string.h>

#define READ_MEMORY ((size_t)8 << 30)
#define AROUND_SIZE_MAX ((size_t)4 << 30)

/* ---- take ---- */

static bool is_zero(const uint8_t *page)
{
    return !page[0] && memcmp(page, page + 1, EMU_PAGE_SIZE - 1) == 0;
}

/* Begin with the first record: all but RAM. */
static enum err begin(struct replay_pc *s, struct checkpoint *c, bool full)
{
    struct buf state, around, machine;
    struct emu_place place = emu_pc_place(s->pc);
    buf_init(&state, PC_STATE_SIZE_MAX);
    buf_init(&around, AROUND_SIZE_MAX);
    buf_init(&machine, AROUND_SIZE_MAX);
    enum err err = replay_pc_save(s, &state, &around);
    if (!err) {
        const struct trace_pc_machine m = {.state = buf_bytes(&state),
                                           .fs = buf_bytes(&around),
                                           .hash_at = s->hash_at};
        trace_pc_machine_put(&machine, &m);
        err = machine.err;
    }
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
    buf_fini(&around);
    buf_fini(&state);
    return err;
}

enum err replay_pc_checkpoint_take(struct replay_pc *s, struct checkpoint *ret)
{
    const struct emu_ram *ram = s->pc->ram;
    TRY(begin(s, ret, true));
    for (uint32_t page = 0; page < ram->size / EMU_PAGE_SIZE; page++) {
        const uint8_t *bytes = ram->bytes + (size_t)page * EMU_PAGE_SIZE;
        if (!is_zero(bytes))
            replay_checkpoint_put_page(ret, page, bytes);
    }
    return replay_checkpoint_end(ret);
}

static enum err take_of_series(struct replay_pc *s, struct checkpoint *c, bool full)
{
    const struct emu_ram *ram = s->pc->ram;
    enum err err = begin(s, c, full);
    for (uint32_t page = 0; !err && page < ram->size / EMU_PAGE_SIZE; page++)
        err = replay_series_page(&s->series, c, full, page,
                                 ram->bytes + (size_t)page * EMU_PAGE_SIZE);
    return err ? err : replay_checkpoint_end(c);
}

enum err replay_pc_checkpoint_next(struct replay_pc *s)
{
    struct emu_place place = emu_pc_place(s->pc);
    const struct trace_clock clock = {.icount = place.icount, .sub = place.sub};
    bool full = !s->series.full_page_count;
    struct checkpoint *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_nomem;
    enum err err = take_of_series(s, c, full);
    if (!err && !full && replay_series_wants_full(&s->series, c)) {
        replay_checkpoint_fini(c);
        full = true;
        err = take_of_series(s, c, full);
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

void replay_pc_clear_ram(struct emu_ram *ram)
{
    static const uint8_t zeros[EMU_PAGE_SIZE];
    for (uint32_t at = 0; at < ram->size; at += EMU_PAGE_SIZE) {
        if (emu_ram_has(ram, at) && !is_zero(ram->bytes + at))
            emu_ram_write(ram, at, zeros, EMU_PAGE_SIZE);
    }
}

enum err replay_pc_restore_pages(void *self, uint64_t first, struct bytes bytes)
{
    struct emu_ram *ram = self;
    uint64_t count = bytes.size / EMU_PAGE_SIZE, end = ram->size / EMU_PAGE_SIZE;
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

/* RAM is in place; the rest. */
static enum err restore(struct replay_pc *s, const struct trace_checkpoint *head)
{
    struct trace_pc_machine machine;
    TRY(trace_pc_machine_get(head->machine, &machine));
    TRY(replay_pc_load(s, machine.state, machine.fs));
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
    struct trace_checkpoint head;
    arena_init(&arena, READ_MEMORY);
    replay_pc_clear_ram(s->pc->ram);
    enum err err = trace_checkpoint_read(&arena, source, seq, &head,
                                         replay_pc_restore_pages, s->pc->ram);
    if (!err)
        err = restore(s, &head);
    arena_fini(&arena);
    return verdict(err);
}

enum err replay_pc_checkpoint_start(struct replay_pc *s,
                                    const struct trace_source *source,
                                    const struct trace_checkpoint_list *list,
                                    size_t index)
{
    struct arena arena;
    struct trace_checkpoint head;
    arena_init(&arena, READ_MEMORY);
    replay_pc_clear_ram(s->pc->ram);
    enum err err = trace_checkpoint_load(&arena, source, list, index, &head,
                                         replay_pc_restore_pages, s->pc->ram);
    if (!err)
        err = restore(s, &head);
    arena_fini(&arena);
    return verdict(err);
}
