/* SPDX-License-Identifier: MIT
 *
 * Breakpoints by line of the listing, by address, by function, and on data.
 */
#include "cli/dap.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FUNCTION_NAME_MAX = 1000 };

static size_t count_of(const struct buf *buf, size_t size)
{
    return buf->size / size;
}

static void empty(struct buf *buf, size_t size)
{
    buf_fini(buf);
    buf_init(buf, DAP_STOP_MAX * size);
}

void dap_stops_free(struct dap_stops *stops)
{
    for (unsigned k = 0; k < DAP_STOP_SOURCES; k++)
        buf_fini(&stops->list[k]);
    buf_fini(&stops->watch);
    buf_fini(&stops->names);
}

/* ---- ids: by kind and position ---- */

static int64_t id_of(unsigned kind, size_t at)
{
    return (int64_t)(kind * DAP_STOP_MAX + at + 1);
}

static struct dap_break *breaks_of(const struct dap *dap, unsigned source)
{
    return (struct dap_break *)(void *)dap->stops.list[source].data;
}

static size_t break_count(const struct dap *dap, unsigned source)
{
    return count_of(&dap->stops.list[source], sizeof(struct dap_break));
}

/* Has it an address where the guest stops? */
static bool is_set(const struct dap_break *b)
{
    return b->used && !b->pending;
}

int64_t dap_stops_id(const struct dap *dap, uint64_t address)
{
    for (unsigned k = 0; k < DAP_STOP_SOURCES; k++) {
        for (size_t at = 0; at < break_count(dap, k); at++) {
            const struct dap_break *b = &breaks_of(dap, k)[at];
            if (is_set(b) && b->address == address)
                return id_of(k, b->first);
        }
    }
    return 0;
}

void dap_stops_begin(struct dap *dap)
{
    for (unsigned k = 0; k < DAP_STOP_SOURCES; k++) {
        for (size_t at = 0; at < break_count(dap, k); at++)
            breaks_of(dap, k)[at].hit_count = 0;
    }
}

bool dap_stops_accept(struct dap *dap, uint64_t address, bool backwards)
{
    bool accepted = false;
    for (unsigned k = 0; k < DAP_STOP_SOURCES; k++) {
        for (size_t at = 0; at < break_count(dap, k); at++) {
            struct dap_break *b = &breaks_of(dap, k)[at];
            if (!is_set(b) || b->address != address ||
                !dap_condition_holds(dap, &b->condition))
                continue;
            struct dap_break *first = &breaks_of(dap, k)[b->first];
            /* Backwards stretches are searched forwards: there is no order to count. */
            accepted |= backwards || dap_hits_hold(&b->hits, ++first->hit_count);
        }
    }
    return accepted;
}

int64_t dap_watch_id(const struct dap *dap, const struct replay_stop *stop)
{
    const struct buf *buf = &dap->stops.watch;
    for (size_t at = 0; at < count_of(buf, sizeof(struct replay_watch)); at++) {
        struct replay_watch watch;
        memcpy(&watch, buf->data + at * sizeof watch, sizeof watch);
        if (watch.address == stop->address && watch.access == stop->access)
            return id_of(DAP_STOP_SOURCES, at);
    }
    return 0;
}

/* ---- the time line ---- */

enum err dap_stops_apply(struct dap *dap, const uint64_t *extra, size_t extra_count)
{
    struct buf all;
    struct dap_stops *stops = &dap->stops;
    buf_init(&all, (size_t)1 << 26);
    for (unsigned k = 0; k < DAP_STOP_SOURCES; k++) {
        for (size_t at = 0; at < break_count(dap, k); at++) {
            if (is_set(&breaks_of(dap, k)[at]))
                buf_put(&all, &breaks_of(dap, k)[at].address, sizeof(uint64_t));
        }
    }
    buf_put(&all, extra, extra_count * sizeof *extra);
    enum err err = all.err;
    if (!err)
        err = replay_timeline_set_stops(
            dap->timeline, (const uint64_t *)(const void *)all.data,
            count_of(&all, sizeof(uint64_t)),
            (const struct replay_watch *)(const void *)stops->watch.data,
            count_of(&stops->watch, sizeof(struct replay_watch)));
    buf_fini(&all);
    return err;
}

/* ---- requests ---- */

static struct json_object *list_of(const struct dap_request *request, const char *key)
{
    struct json_object *list = NULL;
    if (!json_object_object_get_ex(request->arguments, key, &list) ||
        !json_object_is_type(list, json_type_array))
        return NULL;
    return list;
}

/* One breakpoint of the answer. */
static struct json_object *answer(int64_t id, const char *problem)
{
    struct json_object *object = json_object_new_object();
    dap_put_bool(object, "verified", !problem);
    if (problem)
        dap_put_text(object, "message", problem);
    else
        dap_put_number(object, "id", id);
    return object;
}

static struct json_object *answers_begin(struct dap_request *request)
{
    struct json_object *answers = json_object_new_array();
    request->body = json_object_new_object();
    (void)json_object_object_add(request->body, "breakpoints", answers);
    return answers;
}

/* Where the next breakpoint goes: a free place, or behind the others. */
static size_t free_place(const struct dap *dap, enum dap_stop_source kind)
{
    size_t at = 0, count = break_count(dap, kind);
    while (at < count && breaks_of(dap, kind)[at].used)
        at++;
    return at;
}

static void put_break(struct dap *dap, enum dap_stop_source kind, size_t at,
                      const struct dap_break *b)
{
    if (at == break_count(dap, kind))
        buf_put(&dap->stops.list[kind], b, sizeof *b);
    else
        breaks_of(dap, kind)[at] = *b;
}

/* What a request says about a breakpoint; or the reason why it makes none. */
static const char *parse(const struct dap *dap, const struct json_object *item,
                         struct dap_break *ret_break)
{
    const char *condition = dap_text(item, "condition");
    const char *hits = dap_text(item, "hitCondition");
    *ret_break = (struct dap_break){.used = true};
    if (condition && condition[0] &&
        !dap_condition_parse(dap, condition, &ret_break->condition))
        return "a condition is A OP B: registers, numbers, *ADDRESS, icount";
    if (hits && hits[0] && !dap_hits_parse(hits, &ret_break->hits))
        return "a hit condition is N, % N, or a comparison such as >= N";
    return NULL;
}

/* Take a breakpoint in, or say why not. */
static struct json_object *take(struct dap *dap, enum dap_stop_source kind,
                                const struct json_object *item, uint64_t address)
{
    struct dap_break b;
    const char *problem = parse(dap, item, &b);
    size_t at = free_place(dap, kind);
    if (at == DAP_STOP_MAX)
        return answer(0, "there are too many breakpoints");
    if (problem)
        return answer(0, problem);
    b.address = address;
    b.first = (uint32_t)at;
    put_break(dap, kind, at, &b);
    struct json_object *object = answer(id_of(kind, at), NULL);
    dap_put_address(object, "instructionReference", address);
    return object;
}

/* ---- by line ---- */

/* Those of one source: a request replaces them. */
static void drop_source(struct dap *dap, uint32_t source)
{
    for (size_t at = 0; at < break_count(dap, DAP_BY_LINE); at++) {
        struct dap_break *b = &breaks_of(dap, DAP_BY_LINE)[at];
        b->used &= b->source != source;
    }
}

/* All places of one breakpoint, which was one too many. */
static void drop_line(struct dap *dap, uint32_t first)
{
    for (size_t at = 0; at < break_count(dap, DAP_BY_LINE); at++) {
        struct dap_break *b = &breaks_of(dap, DAP_BY_LINE)[at];
        b->used &= b->first != first;
    }
}

static struct json_object *take_listing_line(struct dap *dap,
                                             const struct json_object *item)
{
    uint64_t address;
    int64_t line = dap_number(item, "line", 0);
    if (line < 1 || line > UINT32_MAX ||
        !dap_listing_address(&dap->listing, (uint32_t)line, &address))
        return answer(0, "there is no instruction in this line");
    struct json_object *object = take(dap, DAP_BY_LINE, item, address);
    dap_put_number(object, "line", line);
    return object;
}

/* All places of the line, or of the next one that has code. */
static struct json_object *take_line(struct dap *dap, const struct json_object *item,
                                     uint32_t file)
{
    struct dap_break b;
    uint64_t address;
    uint32_t mark = 0, found = 0;
    const char *problem = parse(dap, item, &b);
    int64_t wanted = dap_number(item, "line", 0);
    uint32_t line = wanted > 0 && wanted <= UINT32_MAX
                        ? dap_lines_next(&dap->lines, file, (uint32_t)wanted)
                        : 0;
    if (problem || !line)
        return answer(0, problem ? problem : "there is no code in or behind this line");
    b.source = file + 1;
    while (dap_lines_mark(&dap->lines, file, line, &mark, &address)) {
        size_t at = free_place(dap, DAP_BY_LINE);
        if (at == DAP_STOP_MAX) {
            drop_line(dap, found ? b.first : DAP_STOP_MAX);
            return answer(0, "there are too many breakpoints");
        }
        b.first = found++ ? b.first : (uint32_t)at;
        b.address = address;
        put_break(dap, DAP_BY_LINE, at, &b);
    }
    struct json_object *object = answer(id_of(DAP_BY_LINE, b.first), NULL);
    dap_put_address(object, "instructionReference",
                    breaks_of(dap, DAP_BY_LINE)[b.first].address);
    dap_put_number(object, "line", line);
    return object;
}

void dap_set_breakpoints(struct dap_request *request)
{
    struct dap *dap = request->dap;
    struct json_object *source = NULL, *list = list_of(request, "breakpoints");
    struct json_object *answers = answers_begin(request);
    (void)json_object_object_get_ex(request->arguments, "source", &source);
    const char *path = dap_text(source, "path");
    uint32_t file = 0;
    bool is_listing = dap_number(source, "sourceReference", 0) == DAP_SOURCE;
    bool is_file = !is_listing && path && dap_lines_file(&dap->lines, path, &file);
    if (!dap->stops.list[DAP_BY_LINE].size_max)
        empty(&dap->stops.list[DAP_BY_LINE], sizeof(struct dap_break));
    if (is_listing || is_file)
        drop_source(dap, is_file ? file + 1 : 0);
    for (size_t k = 0; list && k < json_object_array_length(list); k++) {
        struct json_object *item = json_object_array_get_idx(list, k);
        struct json_object *object = is_listing ? take_listing_line(dap, item)
                                     : is_file
                                         ? take_line(dap, item, file)
                                         : answer(0, "this trace knows no such source");
        (void)json_object_array_add(answers, object);
    }
}

void dap_set_instruction_breakpoints(struct dap_request *request)
{
    struct dap *dap = request->dap;
    struct json_object *list = list_of(request, "breakpoints");
    struct json_object *answers = answers_begin(request);
    empty(&dap->stops.list[DAP_BY_ADDRESS], sizeof(struct dap_break));
    for (size_t k = 0; list && k < json_object_array_length(list); k++) {
        uint64_t address;
        struct json_object *item = json_object_array_get_idx(list, k);
        struct json_object *object;
        if (dap_address(item, "instructionReference", &address))
            object = take(dap, DAP_BY_ADDRESS, item,
                          address + (uint64_t)dap_number(item, "offset", 0));
        else
            object = answer(0, "this is no address");
        (void)json_object_array_add(answers, object);
    }
}

/* ---- by function ---- */

static const char *name_of(const struct dap *dap, const struct dap_break *b)
{
    return (const char *)dap->stops.names.data + b->name;
}

/* Set a function's breakpoint at all places of its name; it is pending while there are
 * none. */
static void find_function(struct dap *dap, uint32_t first)
{
    struct dap_break b = breaks_of(dap, DAP_BY_FUNCTION)[first];
    struct dap_place place = {0};
    const char *name = name_of(dap, &b);
    size_t at = first;
    b.pending = true;
    while (at < DAP_STOP_MAX && dap_find(dap, name, &place, &b.address)) {
        b.pending = false;
        put_break(dap, DAP_BY_FUNCTION, at, &b);
        at = free_place(dap, DAP_BY_FUNCTION);
    }
    if (b.pending)
        put_break(dap, DAP_BY_FUNCTION, first, &b);
}

/* What the client is told of it. */
static struct json_object *function_answer(const struct dap *dap, uint32_t first)
{
    const struct dap_break *b = &breaks_of(dap, DAP_BY_FUNCTION)[first];
    struct json_object *object = answer(
        id_of(DAP_BY_FUNCTION, first),
        b->pending ? "nothing of this name is known yet; it is looked for at each stop"
                   : NULL);
    if (b->pending)
        dap_put_number(object, "id", id_of(DAP_BY_FUNCTION, first));
    else
        dap_put_address(object, "instructionReference", b->address);
    return object;
}

static struct json_object *take_function(struct dap *dap,
                                         const struct json_object *item)
{
    struct dap_break b;
    struct buf *names = &dap->stops.names;
    const char *name = dap_text(item, "name");
    const char *problem = parse(dap, item, &b);
    size_t at = free_place(dap, DAP_BY_FUNCTION);
    if (!problem && (!name || !*name || strlen(name) > FUNCTION_NAME_MAX))
        problem = "which function?";
    if (!problem && at == DAP_STOP_MAX)
        problem = "there are too many breakpoints";
    if (problem)
        return answer(0, problem);
    b.name = (uint32_t)names->size;
    b.first = (uint32_t)at;
    b.pending = true;
    buf_put(names, name, strlen(name) + 1);
    put_break(dap, DAP_BY_FUNCTION, at, &b);
    find_function(dap, b.first);
    return function_answer(dap, b.first);
}

void dap_set_function_breakpoints(struct dap_request *request)
{
    struct dap *dap = request->dap;
    struct json_object *list = list_of(request, "breakpoints");
    struct json_object *answers = answers_begin(request);
    empty(&dap->stops.list[DAP_BY_FUNCTION], sizeof(struct dap_break));
    empty(&dap->stops.names, FUNCTION_NAME_MAX + 1);
    dap_names_look(dap, true);
    for (size_t k = 0; list && k < json_object_array_length(list); k++)
        (void)json_object_array_add(
            answers, take_function(dap, json_object_array_get_idx(list, k)));
}

bool dap_functions_pending(const struct dap *dap)
{
    for (size_t at = 0; at < break_count(dap, DAP_BY_FUNCTION); at++) {
        if (breaks_of(dap, DAP_BY_FUNCTION)[at].pending)
            return true;
    }
    return false;
}

static void send_function(struct dap *dap, uint32_t first)
{
    struct json_object *body = json_object_new_object();
    dap_put_text(body, "reason", "changed");
    (void)json_object_object_add(body, "breakpoint", function_answer(dap, first));
    dap_send_event(dap, "breakpoint", body);
}

void dap_functions_again(struct dap *dap)
{
    size_t count = break_count(dap, DAP_BY_FUNCTION);
    for (uint32_t at = 0; at < count; at++) {
        struct dap_break *b = &breaks_of(dap, DAP_BY_FUNCTION)[at];
        b->used &= b->first == at;
    }
    for (uint32_t at = 0; at < count; at++) {
        const struct dap_break before = breaks_of(dap, DAP_BY_FUNCTION)[at];
        if (!before.used || before.first != at)
            continue;
        find_function(dap, at);
        const struct dap_break *now = &breaks_of(dap, DAP_BY_FUNCTION)[at];
        if (now->pending != before.pending ||
            (!now->pending && now->address != before.address))
            send_function(dap, at);
    }
}

/* ---- data: the id of a breakpoint is "ADDRESS,SIZE" ---- */

void dap_data_breakpoint_info(struct dap_request *request)
{
    char id[48], text[80];
    uint64_t address;
    int64_t size = dap_number(request->arguments, "bytes", 8);
    const char *name = dap_text(request->arguments, "name");
    struct json_object *kinds = json_object_new_array();
    request->body = json_object_new_object();
    if (dap_number(request->arguments, "variablesReference", 0) || !name ||
        !dap_number_or_symbol(request->dap, name, &address) || size < 1) {
        (void)json_object_object_add(request->body, "dataId", NULL);
        dap_put_text(request->body, "description",
                     "only memory can be watched: give an address or a symbol");
        json_object_put(kinds);
        return;
    }
    (void)snprintf(id, sizeof id, "0x%" PRIx64 ",%" PRId64, address, size);
    (void)snprintf(text, sizeof text, "%" PRId64 " bytes at 0x%" PRIx64, size, address);
    dap_put_text(request->body, "dataId", id);
    dap_put_text(request->body, "description", text);
    (void)json_object_array_add(kinds, json_object_new_string("read"));
    (void)json_object_array_add(kinds, json_object_new_string("write"));
    (void)json_object_array_add(kinds, json_object_new_string("readWrite"));
    (void)json_object_object_add(request->body, "accessTypes", kinds);
}

static unsigned access_of(const char *text)
{
    if (text && strcmp(text, "read") == 0)
        return REPLAY_WATCH_READ;
    if (text && strcmp(text, "readWrite") == 0)
        return REPLAY_WATCH_READ | REPLAY_WATCH_WRITE;
    return REPLAY_WATCH_WRITE;
}

static bool parse_id(const char *id, struct replay_watch *ret_watch)
{
    char *end;
    if (!id)
        return false;
    ret_watch->address = strtoull(id, &end, 0);
    if (*end != ',')
        return false;
    ret_watch->size = strtoull(end + 1, &end, 0);
    return !*end && ret_watch->size > 0;
}

void dap_set_data_breakpoints(struct dap_request *request)
{
    struct dap *dap = request->dap;
    struct buf *buf = &dap->stops.watch;
    struct json_object *list = list_of(request, "breakpoints");
    struct json_object *answers = answers_begin(request);
    empty(buf, sizeof(struct replay_watch));
    for (size_t k = 0; list && k < json_object_array_length(list); k++) {
        struct json_object *item = json_object_array_get_idx(list, k);
        struct replay_watch watch = {.access = access_of(dap_text(item, "accessType"))};
        size_t at = count_of(buf, sizeof watch);
        struct json_object *object;
        if (!parse_id(dap_text(item, "dataId"), &watch)) {
            object = answer(0, "this id did not come from dataBreakpointInfo");
        } else if (at == DAP_STOP_MAX) {
            object = answer(0, "there are too many breakpoints");
        } else {
            buf_put(buf, &watch, sizeof watch);
            object = answer(id_of(DAP_STOP_SOURCES, at), NULL);
        }
        (void)json_object_array_add(answers, object);
    }
}
