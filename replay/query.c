/* SPDX-License-Identifier: MIT
 *
 * Positions and events.
 */
#include "replay/query.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Between two looks for an interrupt; an event takes a microsecond. */
enum { READS_PER_POLL = 1024 };
enum { LINE_SIZE_MAX = 400, VALUE_SIZE_MAX = 64 };

/* ---- names ---- */

static struct replay_name *find_name(const struct replay_query *query, const char *name)
{
    for (size_t i = 0; i < query->name_count; i++) {
        if (strcmp(query->name[i].name, name) == 0)
            return &query->name[i];
    }
    return NULL;
}

static bool is_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_.";
    size_t size = strlen(name);
    return size && size < sizeof((struct replay_name *)0)->name &&
           strspn(name, allowed) == size;
}

static enum err set_name(struct replay_query *query, const char *name,
                         struct replay_time time)
{
    struct replay_name *known = find_name(query, name);
    if (!known) {
        if (query->name_count == REPLAY_NAME_COUNT_MAX)
            return ERR_limit;
        known = realloc(query->name, (query->name_count + 1) * sizeof *known);
        if (!known)
            return ERR_nomem;
        query->name = known;
        known += query->name_count++;
    }
    memset(known->name, 0, sizeof known->name);
    memcpy(known->name, name, strlen(name));
    known->time = time;
    return ERR_ok;
}

enum err replay_query_name(struct replay_query *query, const char *name)
{
    return is_name(name) ? set_name(query, name, replay_timeline_now(query->timeline))
                         : ERR_usage;
}

/* ---- life ---- */

/* Bookmarks that the trace holds, as names; what is no name is not one. */
static void take_bookmark(void *self, const struct trace_chunk *chunk,
                          const struct trace_record *record)
{
    struct replay_query *query = self;
    struct trace_bookmark bookmark;
    struct arena arena;
    (void)chunk;
    if (record->kind->id != TRACE_ID_bookmark)
        return;
    arena_init(&arena, 1 << 20);
    if (!trace_decode_bookmark(query->reader, record, &arena, &bookmark) &&
        bookmark.name && is_name(bookmark.name))
        (void)!set_name(query, bookmark.name,
                        (struct replay_time){bookmark.icount, bookmark.sub});
    arena_fini(&arena);
}

enum err replay_query_init(struct replay_query *query,
                           const struct trace_source *source,
                           const struct replay_debug *debug,
                           struct replay_timeline *timeline)
{
    *query =
        (struct replay_query){.source = source, .debug = debug, .timeline = timeline};
    arena_init(&query->arena, (size_t)256 << 20);
    enum err err = trace_reader_open(&query->arena, source, NULL, NULL, &query->reader);
    if (!err) { /* of a damaged trace: those in front of the damage */
        (void)!trace_annotations(query->reader, take_bookmark, query);
        return ERR_ok;
    }
    replay_query_fini(query);
    return err;
}

void replay_query_fini(struct replay_query *query)
{
    trace_reader_close(query->reader);
    free(query->name);
    arena_fini(&query->arena);
    *query = (struct replay_query){0};
}

/* ---- events ---- */

static enum err next(struct replay_query *query, struct trace_record *ret_record)
{
    bool end;
    if (++query->read_count % READS_PER_POLL == 0 &&
        replay_timeline_interrupted(query->timeline))
        return ERR_interrupted;
    TRY(trace_reader_next(query->reader, ret_record, &end));
    return end || ret_record->seq > query->debug->last_seq ? ERR_not_found : ERR_ok;
}

enum err replay_query_event(struct replay_query *query, uint64_t icount, bool inclusive,
                            struct trace_record *ret_record)
{
    TRY(trace_reader_seek_icount(query->reader, icount));
    do
        TRY(next(query, ret_record));
    while (ret_record->clock.icount < icount ||
           (!inclusive && ret_record->clock.icount == icount));
    return ERR_ok;
}

static bool field_is(const struct trace_record *record, const char *text)
{
    for (uint32_t i = 0; i < record->kind->field_count; i++) {
        if (strcmp(record->kind->field[i].name, "op") != 0)
            continue;
        struct trace_values values = trace_record_values(record, i);
        struct trace_value value;
        uint64_t number = trace_values_next(&values, &value) ? value.number : 0;
        char *end;
        return strtoull(text, &end, 0) == number && end != text && !*end;
    }
    return false;
}

bool replay_query_matches(const struct trace_record *record, const char *pattern)
{
    const char *colon = strchr(pattern, ':'), *wire = record->kind->wire;
    const char *dot = strrchr(wire, '.');
    size_t size = colon ? (size_t)(colon - pattern) : strlen(pattern);
    bool whole = strlen(wire) == size && memcmp(wire, pattern, size) == 0;
    bool last = dot && strlen(dot + 1) == size && memcmp(dot + 1, pattern, size) == 0;
    return (whole || last) && (!colon || field_is(record, colon + 1));
}

/* The last match before `icount`, looking from `from` on. */
static enum err last_match(struct replay_query *query, uint64_t from, uint64_t icount,
                           const char *pattern, uint64_t *ret_icount)
{
    struct trace_record record;
    bool found = false;
    enum err err = trace_reader_seek_icount(query->reader, from);
    while (!err && !(err = next(query, &record)) && record.clock.icount < icount) {
        if (record.clock.icount >= from && replay_query_matches(&record, pattern)) {
            *ret_icount = record.clock.icount;
            found = true;
        }
    }
    if (err && err != ERR_not_found)
        return err;
    return found ? ERR_ok : ERR_not_found;
}

enum err replay_query_next(struct replay_query *query, uint64_t icount, bool backward,
                           const char *pattern, uint64_t *ret_icount)
{
    struct trace_record record;
    if (backward) { /* longer and longer stretches */
        for (uint64_t size = 10000;; size *= 8) {
            uint64_t from = icount > size ? icount - size : 0;
            enum err err = last_match(query, from, icount, pattern, ret_icount);
            if (err != ERR_not_found || !from)
                return err;
        }
    }
    TRY(replay_query_event(query, icount, false, &record));
    while (!replay_query_matches(&record, pattern))
        TRY(next(query, &record));
    *ret_icount = record.clock.icount;
    return ERR_ok;
}

enum err replay_query_events(
    struct replay_query *query, uint64_t seq, uint64_t count, const char *pattern,
    bool (*each)(void *self, const struct trace_record *record), void *self)
{
    enum err err = trace_reader_seek_seq(query->reader, seq);
    while (!err && count) {
        struct trace_record record;
        err = next(query, &record);
        if (err || (pattern && !replay_query_matches(&record, pattern)))
            continue;
        count--;
        if (!each(self, &record))
            break;
    }
    return err == ERR_not_found ? ERR_ok : err;
}

/* A value, cut: a line is for people. */
static void put_value(const struct trace_value *value, struct buf *text)
{
    size_t start = text->size;
    trace_value_text(value, text);
    if (text->err || text->size - start <= VALUE_SIZE_MAX)
        return;
    text->size = start + VALUE_SIZE_MAX;
    buf_text(text, "…");
}

void replay_query_put_event(const struct trace_record *record, struct buf *text)
{
    size_t start = text->size;
    buf_printf(text, "e:%" PRIu64 " icount %" PRIu64 " gas %" PRIu64 " %s", record->seq,
               record->clock.icount, record->clock.gas, record->kind->wire);
    for (uint32_t i = 0; i < record->kind->field_count; i++) {
        struct trace_values values = trace_record_values(record, i);
        struct trace_value value;
        for (unsigned k = 0; trace_values_next(&values, &value); k++) {
            if (text->size - start > LINE_SIZE_MAX) {
                buf_text(text, " …");
                return;
            }
            if (k)
                buf_byte(text, ',');
            else
                buf_printf(text, " %s=", record->kind->field[i].name);
            put_value(&value, text);
        }
    }
}

/* ---- positions ---- */

/* The event in which console byte number `offset` left the guest. */
static enum err find_output(struct replay_query *query, uint64_t offset,
                            uint64_t *ret_icount)
{
    struct trace_record record;
    uint64_t size = 0;
    TRY(trace_reader_seek_seq(query->reader, 0));
    for (;;) {
        TRY(next(query, &record));
        if (record.kind->id != TRACE_ID_console_out)
            continue;
        struct trace_console_out out;
        struct arena arena;
        arena_init(&arena, (size_t)1 << 20);
        enum err err = trace_decode_console_out(query->reader, &record, &arena, &out);
        size += err ? 0 : out.data.size;
        arena_fini(&arena);
        TRY(err);
        *ret_icount = record.clock.icount;
        if (size > offset)
            return ERR_ok;
    }
}

static enum err time_of(struct replay_query *query,
                        const struct replay_position *position,
                        struct replay_time *ret_time)
{
    uint64_t now = replay_timeline_now(query->timeline).icount;
    struct replay_time last = replay_timeline_end(query->timeline);
    uint64_t end = last.icount;
    const struct replay_guest *guest = replay_timeline_guest(query->timeline);
    uint64_t value = position->value;
    struct trace_record record;
    switch (position->kind) {
    case REPLAY_AT_START:
        ret_time->icount = 0;
        return ERR_ok;
    case REPLAY_AT_ICOUNT:
        ret_time->icount = value;
        return ERR_ok;
    case REPLAY_AT_EVENT:
        TRY(trace_reader_seek_seq(query->reader, value));
        TRY(next(query, &record));
        ret_time->icount = record.clock.icount;
        if (guest->ops->event_time)
            *ret_time =
                guest->ops->event_time(guest->self, record.seq, record.clock.icount);
        return ERR_ok;
    case REPLAY_AT_PERCENT:
        ret_time->icount = end / 100 * value + end % 100 * value / 100;
        return ERR_ok;
    case REPLAY_AT_FORWARD:
        ret_time->icount = value > UINT64_MAX - now ? UINT64_MAX : now + value;
        return ERR_ok;
    case REPLAY_AT_BACKWARD:
        ret_time->icount = now > value ? now - value : 0;
        return ERR_ok;
    case REPLAY_AT_GAS:
    case REPLAY_AT_END:
    default:
        *ret_time = last;
        return ERR_ok;
    }
}

/* "out:N" and "N+S", which only a debugger takes. */
static bool special(const char *text, const char *prefix, uint64_t *ret_number)
{
    char *end;
    size_t size = strlen(prefix);
    if (strncmp(text, prefix, size) != 0 || text[size] < '0' || text[size] > '9')
        return false;
    *ret_number = strtoull(text + size, &end, 0);
    return !*end;
}

enum err replay_query_position(struct replay_query *query, const char *text,
                               struct replay_time *ret_time, uint64_t *ret_gas)
{
    struct replay_position position;
    struct replay_time to = {0};
    const char *plus = strchr(text, '+');
    uint64_t number;
    *ret_gas = UINT64_MAX;
    if (text[0] == '#') {
        const struct replay_name *known = find_name(query, text + 1);
        if (!known)
            return ERR_not_found;
        to = known->time;
    } else if (special(text, "out:", &number)) {
        TRY(find_output(query, number, &to.icount));
    } else if (plus && plus != text) {
        char *end;
        to.icount = strtoull(text, &end, 0);
        if (end != plus || !special(plus, "+", &to.sub))
            return ERR_usage;
    } else if (!replay_position_parse(text, &position)) {
        return ERR_usage;
    } else if (position.kind == REPLAY_AT_GAS) {
        if (!replay_timeline_guest(query->timeline)->ops->has_gas)
            return ERR_not_found;
        *ret_gas = position.value;
    } else {
        TRY(time_of(query, &position, &to));
    }
    *ret_time = to;
    return ERR_ok;
}

enum err replay_query_go(struct replay_query *query, const char *text)
{
    struct replay_time to;
    uint64_t gas;
    TRY(replay_query_position(query, text, &to, &gas));
    if (gas != UINT64_MAX)
        return replay_timeline_seek_gas(query->timeline, gas);
    return replay_timeline_seek(query->timeline, to);
}
