/* SPDX-License-Identifier: MIT
 *
 * A session of the pc as bytes, and back (machine.md 7.3, v86fs.md 8).
 */
#include "replay/pc_private.h"

enum { CONSOLE_REST_MAX = 256 }; /* trace_console() holds less back */

void replay_pc_put(struct buf *buf, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        buf_byte(buf, (uint8_t)(value >> 8 * i));
}

bool replay_pc_take(struct bytes *from, unsigned size, uint64_t *ret)
{
    if (from->size < size)
        return false;
    *ret = 0;
    for (unsigned i = 0; i < size; i++)
        *ret |= (uint64_t)from->data[i] << 8 * i;
    *from = bytes_of(from->data + size, from->size - size);
    return true;
}

/* ---- save ---- */

static void save_console(const struct replay_pc *s, struct buf *buf)
{
    const struct trace_console_rest rest = trace_console_rest(s->options.trace);
    replay_pc_put(buf, rest.data.size, 2);
    if (!rest.data.size)
        return;
    replay_pc_put(buf, rest.dev, 4);
    replay_pc_put(buf, rest.clock.icount, 8);
    replay_pc_put(buf, rest.clock.sub, 8);
    buf_put(buf, rest.data.data, rest.data.size);
}

enum err replay_pc_save(struct replay_pc *s, struct buf *machine, struct buf *around)
{
    emu_pc_save(s->pc, machine);
    save_console(s, around);
    replay_pc_fs_save(s, around);
    TRY(machine->err);
    TRY(around->err);
    /* A replay has no trees that were outside. */
    if (!s->setup->fs.derived || !s->options.server || !s->options.trees.save)
        return ERR_ok;
    return s->options.trees.save(s->options.trees.self, around);
}

/* ---- load ---- */

bool replay_pc_take_console(struct bytes *around, struct pc_console_rest *ret)
{
    uint64_t size;
    *ret = (struct pc_console_rest){0};
    if (!replay_pc_take(around, 2, &size) || size >= CONSOLE_REST_MAX)
        return false;
    if (!size)
        return true;
    if (!replay_pc_take(around, 4, &ret->dev) ||
        !replay_pc_take(around, 8, &ret->icount) ||
        !replay_pc_take(around, 8, &ret->sub) || size > around->size)
        return false;
    ret->data = bytes_of(around->data, (size_t)size);
    *around = bytes_of(around->data + size, around->size - (size_t)size);
    return true;
}

/* The bytes are printed again, for an event that is still to come. */
static enum err load_console(struct replay_pc *s, struct bytes *around)
{
    struct pc_console_rest rest;
    if (!replay_pc_take_console(around, &rest))
        return ERR_state;
    if (!rest.data.size)
        return ERR_ok;
    struct trace *session[] = {s->options.trace, s->options.copy};
    for (unsigned i = 0; i < countof(session); i++) {
        struct trace *trace = session[i];
        if (!trace)
            continue;
        struct trace_clock clock = trace->clock;
        trace->clock = (struct trace_clock){.icount = rest.icount, .sub = rest.sub};
        TRY(trace_console(trace, rest.dev, rest.data));
        trace->clock = clock;
    }
    return ERR_ok;
}

static enum err load_trees(struct replay_pc *s, struct bytes state)
{
    if (s->setup->fs.derived && s->options.server && s->options.trees.load)
        return s->options.trees.load(s->options.trees.self, state);
    return state.size ? ERR_state : ERR_ok;
}

enum err replay_pc_load(struct replay_pc *s, struct bytes machine, struct bytes around)
{
    char field[64];
    TRY(load_console(s, &around));
    if (!replay_pc_fs_load(s, &around))
        return ERR_state;
    TRY(load_trees(s, around));
    TRY(emu_pc_load(s->pc, machine, field, sizeof field));
    return s->err;
}
