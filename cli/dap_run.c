/* SPDX-License-Identifier: MIT
 *
 * Going forwards and backwards.  The answer to such a request goes out first; then the
 * guest runs; then an event says where it stopped.  While it runs the client may talk:
 * a pause ends the run, the rest waits.
 */
#include "cli/dap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    INSTRUCTION_SIZE_MAX = 4096, /* as text */
    LOAD_MAX = 1024,             /* modules of one run that are looked at */
};

/* ---- stopped ---- */

void dap_send_stopped(struct dap *dap, const char *reason, const char *text,
                      int64_t breakpoint)
{
    struct json_object *body = json_object_new_object();
    dap_put_text(body, "reason", reason);
    dap_put_number(body, "threadId", DAP_THREAD);
    dap_put_bool(body, "allThreadsStopped", true);
    if (text)
        dap_put_text(body, "description", text);
    if (breakpoint) {
        struct json_object *ids = json_object_new_array();
        (void)json_object_array_add(ids, json_object_new_int64(breakpoint));
        (void)json_object_object_add(body, "hitBreakpointIds", ids);
    }
    dap_send_event(dap, "stopped", body);
}

void dap_tell(struct dap *dap, enum err err, enum replay_end_kind end,
              const struct replay_stop *stop, bool backwards)
{
    if (err && err != ERR_interrupted)
        dap_send_stopped(dap, "exception", err_text(err), 0);
    else if (err || end == REPLAY_AT_BROKEN)
        dap_send_stopped(dap, "pause", NULL, 0);
    else if (end == REPLAY_AT_EDGE)
        dap_send_stopped(dap, "pause",
                         backwards ? "the beginning of the recording"
                                   : "the end of the recording",
                         0);
    else if (end == REPLAY_AT_LIMIT)
        dap_send_stopped(dap, "step", NULL, 0);
    else if (stop->kind == REPLAY_STOP_WATCH)
        dap_send_stopped(dap, "data breakpoint", NULL, dap_watch_id(dap, stop));
    else
        dap_send_stopped(
            dap, "breakpoint", NULL,
            dap_stops_id(dap, dap_register(dap, dap->debug.guest.ops->pc_reg)));
}

struct running {
    struct dap *dap;
    bool backwards;
    uint64_t loader; /* where the guest loads a module; 0: we need not know */
    unsigned loads;
    bool is_loading; /* the run has stopped there, and for nothing else */
};

static bool accept_break(void *self, const struct replay_stop *stop)
{
    struct running *running = self;
    struct dap *dap = running->dap;
    uint64_t pc = dap_register(dap, dap->debug.guest.ops->pc_reg);
    bool wanted = dap_stops_accept(dap, pc, running->backwards);
    running->is_loading = !wanted && running->loader &&
                          stop->kind == REPLAY_STOP_BREAK && pc == running->loader;
    return wanted || running->is_loading;
}

/* A function that is not known yet may be in a module that comes as the guest runs:
 * Linux has a function for what is done when its sections are in place. */
static uint64_t loader_of(const struct dap *dap, bool backwards)
{
    uint64_t address;
    return !backwards && dap->system.has_folder && dap_functions_pending(dap) &&
                   dap_symbol(dap, "do_init_module", &address)
               ? address
               : 0;
}

static void run(struct dap *dap, bool backwards)
{
    struct running running = {.dap = dap, .backwards = backwards};
    const struct replay_run how = {
        .limit = backwards ? (struct replay_time){0} : REPLAY_TIME_NEVER,
        .accept = accept_break,
        .accept_self = &running,
    };
    enum replay_end_kind end = REPLAY_AT_LIMIT;
    struct replay_stop stop = {0};
    enum err err;
    dap_stops_begin(dap);
    do {
        running.is_loading = false;
        running.loader = running.loads++ < LOAD_MAX ? loader_of(dap, backwards) : 0;
        err = dap_stops_apply(dap, &running.loader, running.loader != 0);
        if (!err)
            err = backwards ? replay_timeline_backward(dap->timeline, &how, &end, &stop)
                            : replay_timeline_forward(dap->timeline, &how, &end, &stop);
        if (running.is_loading)
            dap_names_look(dap, false);
    } while (!err && running.is_loading && end == REPLAY_AT_STOP);
    dap_tell(dap, err, end, &stop, backwards);
}

static void run_on(struct dap *dap, struct dap_request *request)
{
    (void)request;
    run(dap, false);
}

static void run_back(struct dap *dap, struct dap_request *request)
{
    (void)request;
    run(dap, true);
}

void dap_continue(struct dap_request *request)
{
    request->body = json_object_new_object();
    dap_put_bool(request->body, "allThreadsContinued", true);
    request->then = run_on;
}

void dap_reverse_continue(struct dap_request *request)
{
    request->then = run_back;
}

/* ---- one instruction ---- */

static void step(struct dap *dap, bool backwards)
{
    bool moved = false;
    enum err err = backwards ? replay_timeline_step_back(dap->timeline, &moved)
                             : replay_timeline_step(dap->timeline, &moved);
    dap_tell(dap, err, moved ? REPLAY_AT_LIMIT : REPLAY_AT_EDGE, NULL, backwards);
}

static void step_one(struct dap *dap, struct dap_request *request)
{
    (void)request;
    step(dap, false);
}

static void step_one_back(struct dap *dap, struct dap_request *request)
{
    (void)request;
    step(dap, true);
}

void dap_step_in(struct dap_request *request)
{
    request->then = dap_steps_lines(request) ? dap_step_line_in : step_one;
}

void dap_step_back(struct dap_request *request)
{
    request->then = dap_steps_lines(request) ? dap_step_line_back : step_one_back;
}

/* ---- over a call, and out of one ---- */

/* Where a run ends: at one of our own breakpoints with the stack at least this high, or
 * at any of the user's. */
struct landing {
    struct dap *dap;
    uint64_t sp_least;
    bool backwards;
};

static bool accept_landing(void *self, const struct replay_stop *stop)
{
    struct landing *landing = self;
    struct dap *dap = landing->dap;
    const struct replay_guest_ops *ops = dap->debug.guest.ops;
    if (stop->kind != REPLAY_STOP_BREAK ||
        dap_stops_accept(dap, dap_register(dap, ops->pc_reg), landing->backwards))
        return true;
    return dap_register(dap, ops->sp_reg) >= landing->sp_least;
}

static bool land(struct dap *dap, const uint64_t *address, size_t count,
                 uint64_t sp_least, bool backwards)
{
    enum replay_end_kind end = REPLAY_AT_LIMIT;
    struct replay_stop stop = {0};
    struct landing landing = {dap, sp_least, backwards};
    struct replay_run how = {
        .limit = backwards ? (struct replay_time){0} : REPLAY_TIME_NEVER,
        .accept = accept_landing,
        .accept_self = &landing,
    };
    enum err err = dap_stops_apply(dap, address, count);
    if (!err)
        err = backwards ? replay_timeline_backward(dap->timeline, &how, &end, &stop)
                        : replay_timeline_forward(dap->timeline, &how, &end, &stop);
    if (!err && end == REPLAY_AT_STOP && stop.kind == REPLAY_STOP_BREAK &&
        !dap_stops_id(dap, dap_register(dap, dap->debug.guest.ops->pc_reg)))
        return true;
    dap_tell(dap, err, end, &stop, backwards);
    return false;
}

bool dap_run_to(struct dap *dap, const uint64_t *address, size_t count,
                uint64_t sp_least)
{
    return land(dap, address, count, sp_least, false);
}

bool dap_run_back_to(struct dap *dap, uint64_t address, uint64_t sp_least)
{
    return land(dap, &address, 1, sp_least, true);
}

static void run_to(struct dap *dap, const uint64_t *address, size_t count,
                   uint64_t sp_least)
{
    dap_stops_begin(dap);
    if (dap_run_to(dap, address, count, sp_least))
        dap_tell(dap, ERR_ok, REPLAY_AT_LIMIT, NULL, false);
}

bool dap_is_call(const struct dap *dap, uint64_t address)
{
    struct bytes word = dap_listing_word(&dap->listing, address);
    static const char call[] = "load_imm_jump"; /* and load_imm_jump_ind */
    size_t size = sizeof call - 1;
    struct buf text;
    if (dap->listing.count)
        return word.size >= size && memcmp(word.data, call, size) == 0;
    buf_init(&text, INSTRUCTION_SIZE_MAX);
    bool is_call = dap_instruction(dap, address, &text) &&
                   strncmp(buf_string(&text), "call ", 5) == 0;
    buf_fini(&text);
    return is_call;
}

bool dap_address_behind(const struct dap *dap, uint64_t address, uint64_t *ret_address)
{
    struct buf text;
    if (dap->listing.count)
        return dap_listing_address(
            &dap->listing, dap_listing_line(&dap->listing, address) + 1, ret_address);
    buf_init(&text, INSTRUCTION_SIZE_MAX);
    unsigned size = dap_instruction(dap, address, &text);
    buf_fini(&text);
    if (size)
        *ret_address = address + size;
    return size != 0;
}

bool dap_address_before(const struct dap *dap, uint64_t address, uint64_t *ret_address)
{
    uint32_t line = dap_listing_line(&dap->listing, address);
    return line > 1 && dap_listing_address(&dap->listing, line - 1, ret_address);
}

static void step_over(struct dap *dap, struct dap_request *request)
{
    (void)request;
    const struct replay_guest_ops *ops = dap->debug.guest.ops;
    uint64_t behind, pc = dap_register(dap, ops->pc_reg);
    if (dap_is_call(dap, pc) && dap_address_behind(dap, pc, &behind))
        run_to(dap, &behind, 1, dap_register(dap, ops->sp_reg));
    else
        step(dap, false);
}

void dap_next(struct dap_request *request)
{
    request->then = dap_steps_lines(request) ? dap_step_line_over : step_over;
}

/* Every place that a call returns to, in `ret_sites`. */
static enum err return_sites(const struct dap *dap, struct buf *ret_sites)
{
    uint64_t address, behind;
    buf_init(ret_sites, (size_t)1 << 26);
    for (uint32_t line = 1; dap_listing_address(&dap->listing, line, &address);
         line++) {
        if (dap_is_call(dap, address) &&
            dap_listing_address(&dap->listing, line + 1, &behind))
            buf_put(ret_sites, &behind, sizeof behind);
    }
    return ret_sites->err;
}

/* A function that has set up its frame is left where the stack is higher. */
static void leave_function(struct dap *dap, struct dap_request *request)
{
    (void)request;
    struct buf sites;
    uint64_t sp = dap_register(dap, dap->debug.guest.ops->sp_reg);
    enum err err = return_sites(dap, &sites);
    if (err)
        dap_send_stopped(dap, "exception", err_text(err), 0);
    else
        run_to(dap, (const uint64_t *)(const void *)sites.data,
               sites.size / sizeof(uint64_t), sp + 1);
    buf_fini(&sites);
}

/* One of an i386 returns to its caller, whose stack is higher by then. */
static void return_to_caller(struct dap *dap, struct dap_request *request)
{
    uint64_t caller, sp = dap_register(dap, dap->debug.guest.ops->sp_reg);
    (void)request;
    if (dap_callers(dap, &caller, 1))
        run_to(dap, &caller, 1, sp + 1);
}

void dap_step_out(struct dap_request *request)
{
    uint64_t caller;
    if (request->dap->listing.count)
        request->then = leave_function;
    else if (dap_callers(request->dap, &caller, 1))
        request->then = return_to_caller;
    else
        request->error = "calls of this guest are not known";
}

/* ---- to a place ---- */

/* A target is an address; going there is running to its next execution. */
void dap_goto_targets(struct dap_request *request)
{
    struct json_object *targets = json_object_new_array();
    struct json_object *source = NULL;
    uint64_t address;
    int64_t line = dap_number(request->arguments, "line", 0);
    (void)json_object_object_get_ex(request->arguments, "source", &source);
    if (dap_number(source, "sourceReference", 0) == DAP_SOURCE && line > 0 &&
        line <= UINT32_MAX &&
        dap_listing_address(&request->dap->listing, (uint32_t)line, &address)) {
        struct json_object *target = json_object_new_object();
        dap_put_number(target, "id", line);
        dap_put_text(target, "label", "the next time that this is executed");
        dap_put_number(target, "line", line);
        dap_put_address(target, "instructionPointerReference", address);
        (void)json_object_array_add(targets, target);
    }
    request->body = json_object_new_object();
    (void)json_object_object_add(request->body, "targets", targets);
}

static void run_to_line(struct dap *dap, struct dap_request *request)
{
    uint64_t address = 0;
    uint32_t line = (uint32_t)dap_number(request->arguments, "targetId", 0);
    if (dap_listing_address(&dap->listing, line, &address))
        run_to(dap, &address, 1, 0);
}

void dap_goto(struct dap_request *request)
{
    uint64_t address;
    int64_t line = dap_number(request->arguments, "targetId", 0);
    if (line < 1 || line > UINT32_MAX ||
        !dap_listing_address(&request->dap->listing, (uint32_t)line, &address))
        request->error = "there is no such target";
    else
        request->then = run_to_line;
}

/* ---- to a position ---- */

const char *dap_seek(struct dap *dap, const char *text)
{
    enum err err = replay_query_go(&dap->query, text);
    if (err == ERR_usage)
        return "this is no position: N, e:N, g:N, out:N, N%, start, end, +N, -N, #NAME";
    return err == ERR_not_found ? "there is no such position"
           : err                ? err_text(err)
                                : NULL;
}
