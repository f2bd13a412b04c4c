/* SPDX-License-Identifier: MIT
 *
 * The guests that can be debugged.
 */
#include "replay/debug_kernel.h"
#include "replay/debug_pc.h"
#include "replay/debug_pvm.h"
#include "replay/kernel.h"

#include <stdio.h>

static const struct row {
    enum trace_guest guest;
    bool kernel; /* that of a capability kernel */
    enum err (*open)(const struct trace_source *source, struct replay_debug *debug,
                     char *message);
    void (*close)(void *self);
} row[] = {
    {TRACE_GUEST_PVM, false, replay_debug_pvm_open, replay_debug_pvm_close},
    {TRACE_GUEST_PVM, true, replay_debug_kernel_open, replay_debug_kernel_close},
    {TRACE_GUEST_PC, false, replay_debug_pc_open, replay_debug_pc_close},
};

/* Which row a trace belongs to. */
static enum err find_row(const struct trace_source *source, const struct row **ret_row,
                         char *message)
{
    struct arena arena;
    struct trace_reader *reader;
    arena_init(&arena, (size_t)64 << 20);
    enum err err = trace_reader_open(&arena, source, NULL, NULL, &reader);
    if (err) {
        arena_fini(&arena);
        return err;
    }
    enum trace_guest guest = trace_reader_header(reader)->guest;
    trace_reader_close(reader);
    arena_fini(&arena);
    bool kernel = replay_kernel_is(source);
    for (size_t i = 0; i < countof(row); i++) {
        if (row[i].guest == guest && row[i].kernel == kernel) {
            *ret_row = &row[i];
            return ERR_ok;
        }
    }
    (void)snprintf(message, REPLAY_DEBUG_MESSAGE_SIZE,
                   "a trace of guest %s, which has no debugger yet",
                   trace_guest_name(guest));
    return ERR_unsupported;
}

enum err replay_debug_open(const struct trace_source *source,
                           struct replay_debug *ret_debug, char *message)
{
    const struct row *found = NULL;
    struct replay_debug debug = {0};
    message[0] = 0;
    enum err err = find_row(source, &found, message);
    if (!err) {
        debug.close = found->close;
        err = found->open(source, &debug, message);
    }
    if (err) {
        replay_debug_close(&debug);
        if (!message[0])
            (void)snprintf(message, REPLAY_DEBUG_MESSAGE_SIZE, "%s", err_text(err));
        return err;
    }
    *ret_debug = debug;
    return ERR_ok;
}

void replay_debug_close(struct replay_debug *debug)
{
    if (debug->close)
        debug->close(debug->guest.self);
    *debug = (struct replay_debug){0};
}
