/* SPDX-License-Identifier: MIT
 *
 * Questions whose answer is found by running the guest (trace-replay.md 12).
 */
#include "replay/query.h"

#include <stdio.h>

/* The range's first bytes, and where the guest stands. */
static size_t peek(const struct replay_guest *guest, uint64_t address, uint64_t size,
                   uint8_t ret_bytes[16])
{
    return guest->ops->memory_read(guest->self, address, ret_bytes,
                                   size < 16 ? (size_t)size : 16);
}

static void describe(const struct replay_guest *guest, struct replay_answer *answer)
{
    uint8_t pc[8] = {0};
    struct buf text;
    guest->ops->register_get(guest->self, guest->ops->code_reg, pc);
    answer->pc = 0;
    for (unsigned i = 8; i-- > 0;)
        answer->pc = answer->pc << 8 | pc[i];
    answer->gas = guest->ops->gas(guest->self);
    answer->time = guest->ops->time(guest->self);
    buf_init(&text, sizeof answer->insn - 1);
    (void)guest->ops->disassemble(guest->self, answer->pc, &text);
    (void)snprintf(answer->insn, sizeof answer->insn, "%s", buf_string(&text));
    buf_fini(&text);
}

/* The guest stands in front of the instruction: what does it do to the range? */
static enum err observe(struct replay_query *query, uint64_t address, uint64_t size,
                        struct replay_answer *answer)
{
    const struct replay_guest *guest = replay_timeline_guest(query->timeline);
    bool moved;
    answer->found = true;
    describe(guest, answer);
    answer->size = peek(guest, address, size, answer->before);
    TRY(replay_timeline_step(query->timeline, &moved));
    (void)peek(guest, address, size, answer->after);
    return ERR_ok;
}

struct search {
    uint64_t pc; /* without a watchpoint */
    struct replay_watch watch;
    bool backward;
};

static enum err run(struct replay_query *query, const struct search *search,
                    bool *ret_found)
{
    struct replay_timeline *t = query->timeline;
    const struct replay_guest *guest = replay_timeline_guest(t);
    struct replay_run how = {.limit = REPLAY_TIME_NEVER};
    enum replay_end_kind end;
    struct replay_stop stop;
    bool watches = search->watch.size != 0, moved;
    TRY(replay_timeline_set_stops(t, &search->pc, !watches, &search->watch, watches));
    if (search->backward)
        how.limit = (struct replay_time){0};
    TRY((search->backward ? replay_timeline_backward
                          : replay_timeline_forward)(t, &how, &end, &stop));
    if (end == REPLAY_AT_BROKEN)
        return ERR_interrupted;
    *ret_found = end == REPLAY_AT_STOP;
    /* To the front of an access that was reported behind it. */
    bool behind = guest->ops->watch_before == search->backward;
    if (*ret_found && watches && behind)
        return replay_timeline_step_back(t, &moved);
    return ERR_ok;
}

static enum err ask(struct replay_query *query, const struct search *search,
                    uint64_t address, uint64_t size, struct replay_answer *ret_answer)
{
    struct replay_timeline *t = query->timeline;
    struct replay_time now = replay_timeline_now(t);
    bool found = false;
    *ret_answer = (struct replay_answer){0};
    TRY(replay_timeline_mark(t));
    enum err err = run(query, search, &found);
    if (!err && found)
        err = observe(query, address, size, ret_answer);
    enum err cleared = replay_timeline_set_stops(t, NULL, 0, NULL, 0);
    enum err back = replay_timeline_return(t, now);
    return err ? err : cleared ? cleared : back;
}

enum err replay_query_last_write(struct replay_query *query, uint64_t address,
                                 uint64_t size, struct replay_answer *ret_answer)
{
    const struct search search = {.watch = {address, size, REPLAY_WATCH_WRITE},
                                  .backward = true};
    return size ? ask(query, &search, address, size, ret_answer) : ERR_usage;
}

enum err replay_query_next_read(struct replay_query *query, uint64_t address,
                                uint64_t size, struct replay_answer *ret_answer)
{
    const struct search search = {.watch = {address, size, REPLAY_WATCH_READ}};
    return size ? ask(query, &search, address, size, ret_answer) : ERR_usage;
}

enum err replay_query_who(struct replay_query *query, uint64_t pc, bool backward,
                          struct replay_answer *ret_answer)
{
    const struct search search = {.pc = pc, .backward = backward};
    return ask(query, &search, 0, 0, ret_answer);
}
