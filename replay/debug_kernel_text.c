/* SPDX-License-Identifier: MIT
 *
 * The call stack of a kernel in words.
 */
#include "replay/debug_kernel.h"
#include "replay/unwind.h"

#include <inttypes.h>

enum { SHORT_HASH = 8, SLOT_COUNT = 256 };

uint32_t replay_debug_kernel_depth(void *self)
{
    struct kernel_frame_view view;
    uint32_t depth = 0;
    (void)replay_debug_kernel_shown(self, &view, &depth);
    return depth;
}

static void put_hash(struct buf *text, const struct hash256 *hash, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        buf_printf(text, "%02x", hash->byte[i]);
}

static void put_program(const struct debug_kernel *g, const struct hash256 *image,
                        uint32_t pc, struct buf *text)
{
    uint32_t prog = replay_debug_kernel_program_of(g, image);
    if (prog == DEBUG_KERNEL_NO_PROGRAM)
        buf_printf(text, "a program that never runs, pc 0x%" PRIx32, pc);
    else
        buf_printf(text, "program %" PRIu32 " pc 0x%" PRIx32 " (0x%" PRIx64 ")", prog,
                   pc, DEBUG_KERNEL_CODE_BASE * (prog + 1) + pc);
}

static void put_caller(const struct kernel_frame_view *view, struct buf *text)
{
    if (view->call_slot < 0)
        buf_text(text, ", called by the host");
    else
        buf_printf(text, ", called through slot %" PRId32, view->call_slot);
}

/* One line; the frame that is shown is marked. */
static void put_frame(struct debug_kernel *g, uint32_t depth, bool shown,
                      struct buf *text)
{
    struct kernel_frame_view view;
    (void)kernel_frame_look(g->kernel, depth, &view);
    buf_printf(text, "%c %" PRIu32 ": ", shown ? '>' : ' ', depth);
    if (view.reference) {
        buf_printf(text, "paused; frame %" PRIu32 " catches\n", view.target);
        return;
    }
    buf_text(text, "instance ");
    put_hash(text, &view.called, SHORT_HASH);
    buf_text(text, " ");
    put_program(g, &view.image, view.state->pc, text);
    put_caller(&view, text);
    buf_text(text, "\n");
}

void replay_debug_kernel_put_frames(void *self, struct buf *text)
{
    struct debug_kernel *g = self;
    uint32_t depth = replay_debug_kernel_depth(g);
    for (uint32_t i = g->frame_count; i-- > 0;)
        put_frame(g, i, i == depth, text);
    if (!g->frame_count)
        buf_text(text, "no instance\n");
}

size_t replay_debug_kernel_list_frames(void *self, struct replay_frame *frame,
                                       size_t max)
{
    struct debug_kernel *g = self;
    size_t count = 0;
    for (uint32_t i = g->frame_count; i-- > 0 && count < max;) {
        struct kernel_frame_view view;
        if (!kernel_frame_look(g->kernel, i, &view) || view.reference)
            continue;
        uint32_t prog = replay_debug_kernel_program_of(g, &view.image);
        struct replay_frame at = {.depth = i};
        at.pc = DEBUG_KERNEL_CODE_BASE * ((uint64_t)prog + 1) + view.state->pc;
        if (prog != DEBUG_KERNEL_NO_PROGRAM)
            count += replay_unwind_list(&g->program[prog].code, PVM_PROFILE_JAVM,
                                        view.state, at, frame + count, max - count);
    }
    return count;
}

/* Why it does not go on, if it does not. */
static void put_exit(const struct debug_kernel *g, struct buf *text)
{
    if (g->place.mode != DEBUG_KERNEL_PENDING)
        return;
    const struct pvm_outcome *exit = &g->place.exit;
    bool yields = exit->exit == PVM_EXIT_HOST_CALL;
    buf_printf(text, "  here the invocation %s: %s\n", yields ? "pauses" : "ends",
               yields ? "yield" : pvm_exit_name(exit->exit));
}

static void put_slots(const struct debug_kernel *g, uint32_t depth, struct buf *text)
{
    struct hash256 hash;
    for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
        if (!kernel_frame_slot(g->kernel, depth, slot, &hash))
            continue;
        buf_printf(text, "  slot %" PRIu32 " ", slot);
        put_hash(text, &hash, SHORT_HASH);
        buf_text(text, "\n");
    }
}

void replay_debug_kernel_put_instance(void *self, struct buf *text)
{
    struct debug_kernel *g = self;
    struct kernel_frame_view view;
    uint32_t depth;
    if (!replay_debug_kernel_shown(g, &view, &depth)) {
        buf_text(text, "no instance\n");
        return;
    }
    put_frame(g, depth, true, text);
    put_exit(g, text);
    buf_text(text, "  instance ");
    put_hash(text, &view.called, HASH256_SIZE);
    buf_text(text, "\n  type     ");
    put_hash(text, &view.chain, HASH256_SIZE);
    buf_text(text, "\n  image    ");
    put_hash(text, &view.image, HASH256_SIZE);
    buf_text(text, "\n");
    put_slots(g, depth, text);
    buf_printf(text, "  stops are for %s\n",
               g->only == DEBUG_KERNEL_ANY ? "any instance" : g->only_text);
}
