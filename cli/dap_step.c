/* SPDX-License-Identifier: MIT
 *
 * Steps by lines of the source: instruction by instruction, over calls where that is
 * wanted, until a place of another line begins.  Pause ends them as it ends a run.
 */
#include "cli/dap.h"

#include <string.h>

static uint64_t pc_of(const struct dap *dap)
{
    return dap_register(dap, dap->debug.guest.ops->pc_reg);
}

static uint64_t sp_of(const struct dap *dap)
{
    return dap_register(dap, dap->debug.guest.ops->sp_reg);
}

static const struct dap_row *row_here(const struct dap *dap)
{
    return dap_lines_find(&dap->lines, pc_of(dap));
}

static bool same_line(const struct dap_row *a, const struct dap_row *b)
{
    return a->file == b->file && a->line == b->line;
}

bool dap_steps_lines(const struct dap_request *request)
{
    const char *granularity = dap_text(request->arguments, "granularity");
    const struct dap_row *row = row_here(request->dap);
    return row && row->line &&
           !(granularity && strcmp(granularity, "instruction") == 0);
}

/* ---- forwards ---- */

/* One instruction, or a call as a whole: one that `into` does not want, or whose
 * function has no lines.  False: it has ended elsewhere, and the client knows. */
static bool advance(struct dap *dap, bool into)
{
    bool moved = false;
    uint64_t behind, pc = pc_of(dap), sp = sp_of(dap);
    bool call = dap_is_call(dap, pc) && dap_address_behind(dap, pc, &behind);
    if (call && !into)
        return dap_run_to(dap, &behind, 1, sp);
    enum err err = dap_interrupted(dap) ? ERR_interrupted
                                        : replay_timeline_step(dap->timeline, &moved);
    if (err || !moved) {
        dap_tell(dap, err, REPLAY_AT_EDGE, NULL, false);
        return false;
    }
    return !call || row_here(dap) || dap_run_to(dap, &behind, 1, sp);
}

static bool at_break(struct dap *dap, bool backwards)
{
    struct replay_stop stop = {.kind = REPLAY_STOP_BREAK};
    if (!dap_stops_accept(dap, pc_of(dap), backwards))
        return false;
    dap_tell(dap, ERR_ok, REPLAY_AT_STOP, &stop, backwards);
    return true;
}

static void step_line(struct dap *dap, bool into)
{
    const struct dap_row *from = row_here(dap);
    dap_stops_begin(dap);
    while (advance(dap, into)) {
        const struct dap_row *row = row_here(dap);
        if (at_break(dap, false))
            return;
        /* Calls return into the middle of a line. */
        if (row && (same_line(from, row) || !row->line || !row->statement ||
                    row->address != pc_of(dap)))
            continue;
        dap_send_stopped(dap, "step", NULL, 0);
        return;
    }
}

void dap_step_line_in(struct dap *dap, struct dap_request *request)
{
    (void)request;
    step_line(dap, true);
}

void dap_step_line_over(struct dap *dap, struct dap_request *request)
{
    (void)request;
    step_line(dap, false);
}

/* ---- backwards ---- */

/* One instruction back, or all of a call that has just returned; as advance(). */
static bool go_back(struct dap *dap)
{
    bool moved = false;
    uint64_t before, pc = pc_of(dap), sp = sp_of(dap);
    bool call = dap_address_before(dap, pc, &before) && dap_is_call(dap, before);
    enum err err = dap_interrupted(dap)
                       ? ERR_interrupted
                       : replay_timeline_step_back(dap->timeline, &moved);
    if (err || !moved) {
        dap_tell(dap, err, REPLAY_AT_EDGE, NULL, true);
        return false;
    }
    /* A jump may lead behind a call, too; the listing is text that ends with a NUL. */
    static const char returns[] = "jump_ind ra,";
    const char *word = (const char *)dap_listing_word(&dap->listing, pc_of(dap)).data;
    if (!call || strncmp(word, returns, sizeof returns - 1) != 0)
        return true;
    return dap_run_back_to(dap, before, sp);
}

/* To the beginning of the line, or, from there, of the one that ran before. */
void dap_step_line_back(struct dap *dap, struct dap_request *request)
{
    const struct dap_row *line = row_here(dap);
    (void)request;
    if (line->address == pc_of(dap))
        line = NULL; /* not yet known */
    for (bool first = true;; first = false) {
        struct replay_time here = replay_timeline_now(dap->timeline);
        if (!go_back(dap))
            return;
        const struct dap_row *row = row_here(dap);
        if (!row || (line && !same_line(line, row))) {
            /* One too far: the line began where we came from. */
            enum err err = first ? ERR_ok : replay_timeline_seek(dap->timeline, here);
            dap_tell(dap, err, REPLAY_AT_LIMIT, NULL, true);
            return;
        }
        if (at_break(dap, true))
            return;
        if (!line && row->line)
            line = row;
    }
}
