/* SPDX-License-Identifier: MIT
 *
 * The state of a pc as a checkpoint (trace-replay.md 2.9), and back.
 */
#include "replay/checkpoint_parts.h"
#include "replay/pc_private.h"

#include <string.h>

#define READ_MEMORY ((size_t)8 << 30)
#define AROUND_SIZE_MAX ((size_t)4 << 30)

/* ---- take ---- */

static bool is_zero(const uint8_t *page)
{
    return !page[0] && memcmp(page, page + 1, EMU_PAGE_SIZE - 1) == 0;
}

static enum err put_machine(struct replay_pc *s, struct checkpoint *c,
                            struct bytes machine)
{
    const struct emu_ram *ram = s->pc->ram;
    struct emu_place place = emu_pc_place(s->pc);
    const struct trace_checkpoint head = {
        .clock = {.icount = place.icount, .sub = place.sub},
        .full = true,
        .state_hash = emu_pc_hash(s->pc, s->ram_hash, &s->scratch),
        .machine = machine,
    };
    replay_checkpoint_begin(c, &head);
    for (uint32_t page = 0; page < ram->size / EMU_PAGE_SIZE; page++) {
        const uint8_t *bytes = ram->bytes + (size_t)page * EMU_PAGE_SIZE;
        if (!is_zero(bytes))
            replay_checkpoint_put_page(c, page, bytes);
    }
    return replay_checkpoint_end(c);
}

enum err replay_pc_checkpoint_take(struct replay_pc *s, struct checkpoint *ret)
{
    struct buf state, around, machine;
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
    if (!err)
        err = put_machine(s, ret, buf_bytes(&machine));
    buf_fini(&machine);
    buf_fini(&around);
    buf_fini(&state);
    return err;
}

/* ---- restore: hostile ---- */

struct restoring {
    struct emu_ram *ram;
    uint32_t next; /* the page behind those that have come */
};

static void clear_pages(struct restoring *r, uint32_t end)
{
    static const uint8_t zeros[EMU_PAGE_SIZE];
    for (; r->next < end; r->next++) {
        uint32_t address = r->next * EMU_PAGE_SIZE;
        if (emu_ram_has(r->ram, address) && !is_zero(r->ram->bytes + address))
            emu_ram_write(r->ram, address, zeros, EMU_PAGE_SIZE);
    }
}

static enum err restore_pages(void *self, uint64_t first, struct bytes bytes)
{
    struct restoring *r = self;
    uint64_t count = bytes.size / EMU_PAGE_SIZE;
    uint32_t end = r->ram->size / EMU_PAGE_SIZE;
    if (first < r->next || first > end || count > end - first)
        return ERR_trace_event;
    clear_pages(r, (uint32_t)first);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t address = (uint32_t)(first + i) * EMU_PAGE_SIZE;
        if (!emu_ram_has(r->ram, address))
            return ERR_trace_event;
        emu_ram_write(r->ram, address, bytes.data + i * EMU_PAGE_SIZE, EMU_PAGE_SIZE);
    }
    r->next = (uint32_t)(first + count);
    return ERR_ok;
}

static enum err restore(struct replay_pc *s, struct arena *arena,
                        const struct trace_source *source, uint64_t seq)
{
    struct restoring r = {.ram = s->pc->ram};
    struct trace_checkpoint head;
    struct trace_pc_machine machine;
    TRY(trace_checkpoint_read(arena, source, seq, &head, restore_pages, &r));
    clear_pages(&r, r.ram->size / EMU_PAGE_SIZE);
    TRY(trace_pc_machine_get(head.machine, &machine));
    TRY(replay_pc_load(s, machine.state, machine.fs));
    struct emu_place place = emu_pc_place(s->pc);
    if (place.icount != head.clock.icount || place.sub != head.clock.sub ||
        machine.hash_at > place.icount + PC_HASH_EVERY || machine.digest_count)
        return ERR_trace_event;
    s->hash_at = machine.hash_at;
    struct hash256 hash = emu_pc_hash(s->pc, s->ram_hash, &s->scratch);
    return hash256_equal(&hash, &head.state_hash) ? ERR_ok : ERR_trace_event;
}

enum err replay_pc_checkpoint_restore(struct replay_pc *s,
                                      const struct trace_source *source, uint64_t seq)
{
    struct arena arena;
    arena_init(&arena, READ_MEMORY);
    enum err err = restore(s, &arena, source, seq);
    arena_fini(&arena);
    bool hostile = err == ERR_not_found || err == ERR_state || err == ERR_v86fs_state;
    return hostile ? ERR_trace_event : err;
}
