/* SPDX-License-Identifier: MIT
 *
 * Snapshots of a pc: its registers and devices, how far the trace has been read, and
 * RAM as an image that shares pages.  Only pages that were written are copied.
 */
#include "replay/debug_pc.h"

#include "replay/pc_private.h"

#include <stdlib.h>
#include <string.h>

struct replay_snapshot {
    struct pages_image image;
    size_t input_next, reply_next, derived_next, output_next;
    size_t state_size;
    uint8_t state[];
};

/* Take what was written into the live image. */
static enum err sync(struct debug_pc *g)
{
    struct emu_ram *ram = g->pc->ram;
    uint32_t count = ram->size / EMU_PAGE_SIZE;
    bool any = false;
    for (uint32_t page = 0; page < count; page++) {
        const uint8_t *bytes = ram->bytes + (size_t)page * EMU_PAGE_SIZE;
        if (!ram->dirty[page])
            continue;
        TRY(replay_pages_set(&g->live, page, bytes, 0, &g->memory));
        any = true;
    }
    if (any)
        emu_ram_clear_dirty(ram);
    return ERR_ok;
}

enum err replay_debug_pc_save(void *self, struct replay_snapshot **ret_snapshot,
                              struct replay_page_list *ret_written)
{
    struct debug_pc *g = self;
    TRY(sync(g));
    buf_clear(&g->scratch);
    emu_pc_save(g->pc, &g->scratch);
    TRY(g->scratch.err);
    struct replay_snapshot *snapshot = malloc(sizeof *snapshot + g->scratch.size);
    if (!snapshot)
        return ERR_nomem;
    snapshot->input_next = g->input_next;
    snapshot->reply_next = g->reply_next;
    snapshot->derived_next = g->derived_next;
    snapshot->output_next = g->output_next;
    snapshot->state_size = g->scratch.size;
    memcpy(snapshot->state, g->scratch.data, g->scratch.size);
    replay_pages_copy(&snapshot->image, &g->live);
    g->memory += sizeof *snapshot + snapshot->state_size;
    *ret_written = (struct replay_page_list){0};
    *ret_snapshot = snapshot;
    return ERR_ok;
}

/* Through the door of all stores, which drops decoded code. */
static void restore_page(void *self, uint32_t page, const uint8_t *bytes, uint8_t flags)
{
    static const uint8_t zeros[EMU_PAGE_SIZE];
    struct emu_ram *ram = self;
    uint32_t address = page * EMU_PAGE_SIZE;
    (void)flags;
    bytes = bytes ? bytes : zeros;
    if (memcmp(ram->bytes + address, bytes, EMU_PAGE_SIZE) != 0)
        emu_ram_write(ram, address, bytes, EMU_PAGE_SIZE);
}

void replay_debug_pc_load(void *self, const struct replay_snapshot *snapshot)
{
    struct debug_pc *g = self;
    struct emu_ram *ram = g->pc->ram;
    char field[64];
    for (uint32_t page = 0; page < ram->size / EMU_PAGE_SIZE; page++) {
        uint8_t flags;
        if (ram->dirty[page])
            restore_page(ram, page, replay_pages_get(&snapshot->image, page, &flags),
                         0);
    }
    replay_pages_diff(&g->live, &snapshot->image, restore_page, ram);
    replay_pages_fini(&g->live, &g->memory);
    replay_pages_copy(&g->live, &snapshot->image);
    emu_ram_clear_dirty(ram);
    g->input_next = snapshot->input_next;
    g->reply_next = snapshot->reply_next;
    g->derived_next = snapshot->derived_next;
    g->output_next = snapshot->output_next;
    /* It was this machine's state. */
    check(!emu_pc_load(g->pc, bytes_of(snapshot->state, snapshot->state_size), field,
                       sizeof field));
}

void replay_debug_pc_drop(void *self, struct replay_snapshot *snapshot)
{
    struct debug_pc *g = self;
    replay_pages_fini(&snapshot->image, &g->memory);
    g->memory -= sizeof *snapshot + snapshot->state_size;
    free(snapshot);
}

enum err replay_debug_pc_hash(void *self, uint8_t ret_hash[32])
{
    struct debug_pc *g = self;
    struct emu_ram *ram = g->pc->ram;
    struct emu_ram_hash *pages;
    struct arena arena;
    TRY(sync(g));
    arena_init(&arena, (size_t)256 << 20);
    enum err err = emu_ram_hash_create(&arena, ram, &pages);
    /* It begins with zeros; what is none has to be read. */
    for (uint32_t page = 0; !err && page < ram->size / EMU_PAGE_SIZE; page++) {
        uint8_t flags;
        ram->dirty[page] = replay_pages_get(&g->live, page, &flags) != NULL;
    }
    if (!err) {
        struct hash256 hash = emu_pc_hash(g->pc, pages, &g->scratch);
        memcpy(ret_hash, hash.byte, sizeof hash.byte);
    }
    arena_fini(&arena);
    return err;
}

/* ---- from a checkpoint in the trace: hostile ---- */

/* What was printed, and is an event only behind the gap, is behind us. */
static bool pass_console(struct debug_pc *g, struct bytes around)
{
    struct pc_console_rest rest;
    if (!replay_pc_take_console(&around, &rest))
        return false;
    for (size_t i = 0; i < rest.data.size; i++) {
        if (!replay_debug_pc_fits_output(g, (uint32_t)rest.dev, rest.data.data[i]))
            return false;
    }
    return true;
}

static enum err take_over(struct debug_pc *g, const struct pc_pages *pages,
                          const struct trace_checkpoint *head)
{
    struct trace_pc_machine machine;
    struct bytes around;
    struct hash256 hash;
    char field[64];
    TRY(trace_pc_machine_get(head->machine, &machine));
    if (!replay_pc_pages_around(pages, &machine, &around) || !pass_console(g, around) ||
        emu_pc_load(g->pc, machine.state, field, sizeof field) || g->err)
        return ERR_trace_event;
    struct replay_time now = replay_debug_pc_time(g);
    if (now.icount != head->clock.icount || now.sub != head->clock.sub)
        return ERR_trace_event;
    if (replay_time_compare(g->end, now) < 0)
        g->end = now;
    TRY(replay_debug_pc_hash(g, hash.byte));
    return hash256_equal(&hash, &head->state_hash) ? ERR_ok : ERR_trace_event;
}

enum err replay_debug_pc_cross_gap(struct debug_pc *g)
{
    struct trace_checkpoint head;
    struct pc_pages pages;
    replay_pc_pages_init(&pages, g->pc->ram);
    enum err err = trace_checkpoint_read(&g->arena, g->source, g->gap_seq, &head,
                                         replay_pc_pages_take, &pages);
    if (!err)
        err = take_over(g, &pages, &head);
    replay_pc_pages_fini(&pages);
    return err == ERR_not_found || err == ERR_trace_canonical ? ERR_trace_event : err;
}
