/* SPDX-License-Identifier: MIT
 *
 * The first instruction of a divergence, as far as one trace tells it
 * (trace-replay.md 7.4): replay up to the last boundary before, then step, and hold
 * every conditional branch and table jump against the recorded path.
 *
 * Where both took the same path, or the trace has none, what differs was computed
 * somewhere between the last equal digest and the event; then the place is the event's.
 */
#include "replay/follow.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STEP_COUNT_MAX = 1 << 26 };

/* The recorded path of the segment that differs. */
struct path {
    const struct trace_pvm_segment *segment;
    uint64_t bit;
    struct bytes targets; /* left */
};

static bool next_bit(struct path *path, bool *ret_taken)
{
    const struct trace_pvm_segment *segment = path->segment;
    uint64_t i = path->bit++;
    if (i >= segment->nbits || i / 8 >= segment->bits.size)
        return false;
    *ret_taken = segment->bits.data[i / 8] >> (7 - i % 8) & 1;
    return true;
}

static bool next_target(struct path *path, uint64_t *ret_index)
{
    uint64_t value = 0;
    for (unsigned shift = 0; path->targets.size && shift < 63; shift += 7) {
        uint8_t byte = path->targets.data[0];
        path->targets = bytes_of(path->targets.data + 1, path->targets.size - 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_index = value;
            return true;
        }
    }
    return false;
}

/* ---- one instruction that has just run ---- */

static bool branch_differs(struct path *path, const struct pvm_insn *insn,
                           const struct pvm_state *state, bool panicked, char *what,
                           size_t what_size)
{
    uint64_t index = path->bit;
    bool want, got = panicked || (int64_t)state->pc == insn->target;
    if (!next_bit(path, &want)) {
        (void)snprintf(what, what_size,
                       "branch %" PRIu64 ": the recorded path has only %" PRIu64, index,
                       path->segment->nbits);
        return true;
    }
    /* A branch to the next instruction looks the same both ways. */
    if (want == got || (!panicked && insn->target == insn->pc + insn->size))
        return false;
    (void)snprintf(what, what_size, "branch %" PRIu64 ": recorded %s, replayed %s",
                   index, want ? "taken" : "not taken", got ? "taken" : "not taken");
    return true;
}

static bool jump_differs(struct path *path, const struct pvm_code *code,
                         const struct pvm_state *state, bool stopped, char *what,
                         size_t what_size)
{
    uint64_t index;
    if (stopped) /* halts and panics record no target */
        return false;
    if (!next_target(path, &index) || index >= code->jump_count) {
        (void)snprintf(what, what_size, "jump to 0x%" PRIx32 ": none was recorded here",
                       state->pc);
        return true;
    }
    uint64_t want = pvm_code_jump(code, (uint32_t)index);
    if (want == state->pc)
        return false;
    (void)snprintf(what, what_size,
                   "jump: recorded to 0x%" PRIx64 ", replayed to 0x%" PRIx32, want,
                   state->pc);
    return true;
}

/* ---- the search ---- */

static void put_listing(const struct follow *f, struct replay_place *place)
{
    const struct pvm_program *program = replay_session_program(f->session);
    const struct pvm_code *code = pvm_program_code(program);
    enum pvm_profile profile = pvm_program_config(program)->profile;
    uint32_t line[REPLAY_LISTING_MAX], count = 0, behind = 0;
    struct pvm_insn insn;
    for (uint32_t pc = place->block; behind <= REPLAY_LISTING_MAX / 2;
         pc += insn.size) {
        if (!pvm_insn_decode(code, profile, pc, &insn))
            break;
        if (count == REPLAY_LISTING_MAX) {
            memmove(line, line + 1, sizeof line - sizeof line[0]);
            count--;
        }
        line[count++] = pc;
        behind += pc >= place->pc;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct buf text;
        buf_init(&text, REPLAY_LINE_SIZE - 1);
        if (pvm_insn_decode(code, profile, line[i], &insn))
            pvm_insn_put_text(&insn, &text);
        place->listing_pc[i] = line[i];
        (void)snprintf(place->listing[i], REPLAY_LINE_SIZE, "%s", buf_string(&text));
        buf_fini(&text);
    }
    place->listing_count = count;
}

static void put_place(const struct follow *f, const struct pvm_state *before,
                      struct replay_place *place)
{
    place->present = true;
    place->clock = (struct trace_clock){.icount = before->icount,
                                        .gas = f->setup.gas - before->gas};
    place->pc = before->pc;
    place->block = pvm_program_block_of(replay_session_program(f->session), before->pc);
    memcpy(place->reg, before->reg, sizeof before->reg);
    put_listing(f, place);
}

/* Step along the recorded path to the first difference. */
static void walk(const struct follow *f, struct path *path, struct replay_place *place)
{
    const struct pvm_state *state = replay_session_state(f->session);
    const struct pvm_program *program = replay_session_program(f->session);
    const struct pvm_code *code = pvm_program_code(program);
    enum pvm_profile profile = pvm_program_config(program)->profile;
    struct pvm_state before = *state;
    bool runs = true, differs = false;
    while (runs && !differs && place->step_count < STEP_COUNT_MAX) {
        struct pvm_insn insn = {0};
        struct pvm_outcome outcome = {0};
        before = *state;
        bool known = pvm_insn_decode(code, profile, before.pc, &insn);
        unsigned flags = known ? pvm_op_info[insn.op].flags : 0;
        runs = replay_session_step(f->session, &outcome);
        place->step_count++;
        bool panicked = !runs && outcome.exit == PVM_EXIT_PANIC;
        if ((flags & PVM_OP_COND) && (runs || panicked))
            differs = branch_differs(path, &insn, state, panicked, place->what,
                                     sizeof place->what);
        else if (flags & PVM_OP_DYN)
            differs =
                jump_differs(path, code, state, !runs, place->what, sizeof place->what);
    }
    place->exact = differs;
    if (!differs)
        (void)snprintf(place->what, sizeof place->what, "%s",
                       runs ? "the search was given up here"
                            : "the path is the recorded one up to here");
    put_place(f, &before, place);
}

/* The path is no help: the event's own place. */
static void walk_to(const struct follow *f, uint64_t icount, struct replay_place *place)
{
    const struct pvm_state *state = replay_session_state(f->session);
    struct pvm_state before = *state;
    struct pvm_outcome outcome;
    while (state->icount < icount && place->step_count < STEP_COUNT_MAX &&
           replay_session_step(f->session, &outcome)) {
        place->step_count++;
        before = *state;
    }
    (void)snprintf(place->what, sizeof place->what,
                   "what differs was computed before, behind the last equal digest");
    put_place(f, &before, place);
}

/* The recorded segment with this number, if that is what it is. */
static bool read_segment(struct follow *f, uint64_t seq,
                         struct trace_pvm_segment *ret_segment)
{
    struct trace_reader *reader;
    struct trace_record record;
    bool end = true, found = false;
    if (trace_reader_open(&f->arena, f->source, NULL, NULL, &reader))
        return false;
    if (!trace_reader_seek_seq(reader, seq) &&
        !trace_reader_next(reader, &record, &end) && !end && record.seq == seq &&
        !trace_decode_pvm_segment(reader, &record, &f->arena, ret_segment)) {
        /* The bytes point into the record. */
        struct bytes *bits = &ret_segment->bits, *targets = &ret_segment->targets;
        bits->data = arena_copy(&f->arena, bits->data, bits->size);
        targets->data = arena_copy(&f->arena, targets->data, targets->size);
        found = bits->data && targets->data;
    }
    trace_reader_close(reader);
    return found;
}

/* Where to begin stepping: the last boundary before the event that differs. */
static bool stop_before(const struct follow *diverged, struct follow *f,
                        struct follow_stop *ret_stop)
{
    const struct trace_divergence *divergence = &diverged->report->divergence;
    arena_init(&f->arena, (size_t)1 << 30);
    bool found = !replay_follow_find_stop(f, UINT64_MAX, divergence->seq, ret_stop);
    arena_fini(&f->arena);
    return found;
}

void replay_follow_locate(const struct follow *diverged)
{
    const struct trace_divergence *divergence = &diverged->report->divergence;
    struct replay_place *place = &diverged->report->place;
    struct replay_report scratch = {0};
    struct replay_result result;
    struct follow f = {
        .source = diverged->source, .options = diverged->options, .report = &scratch};
    struct follow_stop stop;
    struct trace_pvm_segment segment;
    if (!divergence->produced_name || !stop_before(diverged, &f, &stop))
        return;
    if (!replay_follow_open(&f, &stop.limit, true) &&
        !replay_session_run(f.session, &result) && result.end == REPLAY_END_STOPPED) {
        bool is_path = strcmp(divergence->produced_name, "pvm.segment") == 0;
        uint64_t icount = divergence->produced_clock.icount;
        if (is_path && read_segment(&f, divergence->seq, &segment)) {
            struct path path = {.segment = &segment, .targets = segment.targets};
            walk(&f, &path, place);
        } else {
            /* A charge is made on entry: the instruction before went there. */
            bool charge = strcmp(divergence->produced_name, "pvm.charge") == 0;
            walk_to(&f, charge && icount ? icount - 1 : icount, place);
        }
    }
    replay_follow_close(&f);
}
