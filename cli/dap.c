/* SPDX-License-Identifier: MIT
 *
 * The session: a table of requests, and the order in which things are said.
 */
#include "cli/dap.h"

#include "base/os.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- JSON in short ---- */

const char *dap_text(const struct json_object *object, const char *key)
{
    struct json_object *value = NULL;
    if (!json_object_object_get_ex(object, key, &value) ||
        !json_object_is_type(value, json_type_string))
        return NULL;
    return json_object_get_string(value);
}

int64_t dap_number(const struct json_object *object, const char *key, int64_t otherwise)
{
    struct json_object *value = NULL;
    if (!json_object_object_get_ex(object, key, &value) ||
        !json_object_is_type(value, json_type_int))
        return otherwise;
    return json_object_get_int64(value);
}

bool dap_address(const struct json_object *object, const char *key,
                 uint64_t *ret_address)
{
    const char *text = dap_text(object, key);
    return text && cli_number(text, ret_address);
}

void dap_put_text(struct json_object *object, const char *key, const char *text)
{
    (void)json_object_object_add(object, key, json_object_new_string(text));
}

void dap_put_number(struct json_object *object, const char *key, int64_t value)
{
    (void)json_object_object_add(object, key, json_object_new_int64(value));
}

void dap_put_address(struct json_object *object, const char *key, uint64_t address)
{
    char text[24];
    (void)snprintf(text, sizeof text, "0x%" PRIx64, address);
    dap_put_text(object, key, text);
}

void dap_put_bool(struct json_object *object, const char *key, bool value)
{
    (void)json_object_object_add(object, key, json_object_new_boolean(value));
}

void dap_send_event(struct dap *dap, const char *event, struct json_object *body)
{
    struct json_object *message = json_object_new_object();
    dap_put_text(message, "type", "event");
    dap_put_text(message, "event", event);
    if (body)
        (void)json_object_object_add(message, "body", body);
    dap_wire_send(&dap->wire, message);
}

/* ---- the trace ---- */

/* Polled while the guest runs: whatever the client wants is heard, and a pause or a
 * farewell ends the run. */
bool dap_interrupted(struct dap *dap)
{
    struct json_object *message = dap_wire_next(&dap->wire, false);
    bool stop = dap->wire.closed || os_interrupted() ||
                json_object_array_length(dap->waiting) >= DAP_WAITING_MAX;
    if (message) {
        const char *command = dap_text(message, "command");
        (void)json_object_array_add(dap->waiting, message);
        stop |= command &&
                (strcmp(command, "pause") == 0 || strcmp(command, "disconnect") == 0 ||
                 strcmp(command, "terminate") == 0);
    }
    return stop;
}

static bool interrupted(void *self)
{
    return dap_interrupted(self);
}

static void close_source(struct dap *dap)
{
    cli_family_close(&dap->family);
    replay_source_file_close(&dap->file);
}

static void close_names(struct dap *dap)
{
    cli_linux_names_free(&dap->system);
    cli_linux_names_init(&dap->system);
    analysis_x86_close(dap->x86);
    dap->x86 = NULL;
}

/* The names of a Linux guest; a problem, or NULL. */
static const char *open_names(struct dap *dap, const struct dap_start *start)
{
    enum err err = cli_linux_names_open(&dap->system, dap->timeline, start->modules,
                                        !start->no_kallsyms);
    if (err == ERR_unsupported)
        return "only a pc has modules and kallsyms";
    if (!err && strcmp(dap->debug.guest.ops->name, "pc") == 0)
        err = analysis_x86_open_i386(&dap->x86);
    return err && start->modules && err != ERR_nomem
               ? "the folder of modules cannot be read"
           : err ? err_text(err)
                 : NULL;
}

static const char *open_trace(struct dap *dap, const struct dap_start *start)
{
    static char message[REPLAY_DEBUG_MESSAGE_SIZE];
    struct replay_timeline_options options = {.interrupted = interrupted,
                                              .interrupted_self = dap};
    enum err err = replay_source_file_open(&dap->file, start->trace);
    if (err)
        return err_text(err);
    dap->source = replay_source_file(&dap->file);
    if (cli_family_open(start->trace, start->parent, &dap->source, &dap->family,
                        message) ||
        replay_debug_open(&dap->source, &dap->debug, message)) {
        close_source(dap);
        return message;
    }
    err = replay_timeline_create(&dap->debug.guest, &options, &dap->timeline);
    if (!err)
        err = replay_query_init(&dap->query, &dap->source, &dap->debug, dap->timeline);
    if (!err)
        err = dap_listing_make(&dap->debug.guest, &dap->listing);
    const char *problem = err ? err_text(err) : open_names(dap, start);
    if (!problem)
        return NULL;
    close_names(dap);
    dap_listing_free(&dap->listing);
    replay_query_fini(&dap->query);
    if (dap->timeline)
        replay_timeline_close(dap->timeline);
    dap->timeline = NULL;
    replay_debug_close(&dap->debug);
    close_source(dap);
    return problem;
}

static void close_trace(struct dap *dap)
{
    if (!dap->timeline)
        return;
    close_names(dap);
    replay_query_fini(&dap->query);
    replay_timeline_close(dap->timeline);
    replay_debug_close(&dap->debug);
    close_source(dap);
    dap_listing_free(&dap->listing);
    dap->timeline = NULL;
}

/* ---- debug information ---- */

enum { SYMBOL_SIZE_MAX = 1 << 26, PROGRAM_MAX = 100 };

static void forget_symbols(struct dap *dap)
{
    dap_lines_free(&dap->lines);
    dap_lines_init(&dap->lines);
    cli_names_free(&dap->names);
    cli_names_init(&dap->names);
}

/* What one file says about the code of a program. */
static const char *add_symbols(struct dap *dap, const char *path, uint32_t program,
                               const char *root)
{
    struct buf elf, folder;
    const char *slash = strrchr(path, '/');
    buf_init(&elf, SYMBOL_SIZE_MAX);
    buf_init(&folder, SYMBOL_SIZE_MAX);
    if (root)
        buf_text(&folder, root);
    else if (slash)
        buf_put(&folder, path, (size_t)(slash - path));
    else
        buf_text(&folder, ".");
    enum err err = os_file_read(path, &elf);
    const char *problem = err ? "\"symbols\" cannot be read" : NULL;
    if (!err)
        err = folder.err ? folder.err
                         : dap_lines_add(&dap->lines, buf_bytes(&elf), program,
                                         buf_string(&folder));
    if (!err)
        err = cli_names_add(&dap->names, buf_bytes(&elf), program);
    if (err && !problem)
        problem = err == ERR_not_found
                      ? "\"symbols\" has no lines and names: link with -g"
                  : err == ERR_usage ? "\"symbols\" is no OUT.dbg of lockstep link -g"
                                     : err_text(err);
    buf_fini(&elf);
    buf_fini(&folder);
    return problem;
}

/* "symbols": FILE, or a list of them, of program 0 and on; "" for none. */
static const char *open_symbols(struct dap *dap, struct json_object *arguments)
{
    struct json_object *list = NULL;
    const char *problem = NULL, *root = dap_text(arguments, "sourceRoot");
    const char *path = dap_text(arguments, "symbols");
    forget_symbols(dap);
    if (path)
        problem = add_symbols(dap, path, 0, root);
    (void)json_object_object_get_ex(arguments, "symbols", &list);
    if (!json_object_is_type(list, json_type_array))
        list = NULL;
    for (size_t k = 0; list && !problem && k < json_object_array_length(list); k++) {
        path = json_object_get_string(json_object_array_get_idx(list, k));
        if (k == PROGRAM_MAX)
            problem = "there are too many \"symbols\"";
        else if (path && *path)
            problem = add_symbols(dap, path, (uint32_t)k, root);
    }
    if (problem)
        forget_symbols(dap);
    return problem;
}

/* ---- the requests that begin and end ---- */

static void send_initialized(struct dap *dap, struct dap_request *request)
{
    (void)request;
    dap_send_event(dap, "initialized", NULL);
}

static void initialize(struct dap_request *request)
{
    static const char *const can[] = {
        "supportsConfigurationDoneRequest", "supportsStepBack",
        "supportsInstructionBreakpoints",   "supportsDataBreakpoints",
        "supportsDataBreakpointBytes",      "supportsReadMemoryRequest",
        "supportsDisassembleRequest",       "supportsSteppingGranularity",
        "supportsGotoTargetsRequest",       "supportsLoadedSourcesRequest",
        "supportsEvaluateForHovers",        "supportTerminateDebuggee",
        "supportsConditionalBreakpoints",   "supportsHitConditionalBreakpoints",
        "supportsFunctionBreakpoints",
    };
    request->body = json_object_new_object();
    for (size_t k = 0; k < sizeof can / sizeof can[0]; k++)
        dap_put_bool(request->body, can[k], true);
}

static void launch(struct dap_request *request)
{
    struct dap *dap = request->dap;
    const struct json_object *own = request->arguments;
    struct json_object *entry = NULL, *kallsyms = NULL;
    struct dap_start start = dap->start;
    const char *parent = dap_text(own, "parent"), *modules = dap_text(own, "modules");
    start.trace = dap_text(own, "trace");
    start.parent = parent ? parent : start.parent;
    start.modules = modules ? modules : start.modules;
    if (json_object_object_get_ex(own, "kallsyms", &kallsyms))
        start.no_kallsyms = !json_object_get_boolean(kallsyms);
    if (json_object_object_get_ex(own, "stopOnEntry", &entry))
        dap->stop_on_entry = json_object_get_boolean(entry);
    if (dap->timeline && start.trace)
        request->error = "a trace is open already";
    else if (!dap->timeline && !start.trace)
        request->error = "which trace? give \"trace\": FILE";
    else
        request->error = open_symbols(dap, request->arguments);
    if (!request->error && start.trace)
        request->error = open_trace(dap, &start);
    if (!request->error)
        request->then = send_initialized;
}

static void begin(struct dap *dap, struct dap_request *request)
{
    if (dap->stop_on_entry) {
        dap_send_stopped(dap, "entry", NULL, 0);
        return;
    }
    dap_continue(request);
    request->then(dap, request);
}

static void configuration_done(struct dap_request *request)
{
    request->then = begin;
}

static void pause_guest(struct dap_request *request)
{
    (void)request; /* it stands already, or this would not be read */
}

static void disconnect(struct dap_request *request)
{
    request->dap->ended = true;
}

static void send_terminated(struct dap *dap, struct dap_request *request)
{
    (void)request;
    dap_send_event(dap, "terminated", NULL);
}

static void terminate(struct dap_request *request)
{
    request->then = send_terminated;
}

static void set_exception_breakpoints(struct dap_request *request)
{
    (void)request; /* there are no filters to choose from */
}

/* ---- the table ---- */

static const struct {
    const char *name;
    void (*handle)(struct dap_request *request);
    bool needs_trace;
} commands[] = {
    {"initialize", initialize, false},
    {"launch", launch, false},
    {"attach", launch, false},
    {"configurationDone", configuration_done, true},
    {"disconnect", disconnect, false},
    {"terminate", terminate, false},
    {"setBreakpoints", dap_set_breakpoints, true},
    {"setInstructionBreakpoints", dap_set_instruction_breakpoints, true},
    {"setFunctionBreakpoints", dap_set_function_breakpoints, true},
    {"setExceptionBreakpoints", set_exception_breakpoints, false},
    {"dataBreakpointInfo", dap_data_breakpoint_info, true},
    {"setDataBreakpoints", dap_set_data_breakpoints, true},
    {"continue", dap_continue, true},
    {"reverseContinue", dap_reverse_continue, true},
    {"next", dap_next, true},
    {"stepIn", dap_step_in, true},
    {"stepOut", dap_step_out, true},
    {"stepBack", dap_step_back, true},
    {"gotoTargets", dap_goto_targets, true},
    {"goto", dap_goto, true},
    {"pause", pause_guest, true},
    {"threads", dap_threads, true},
    {"stackTrace", dap_stack_trace, true},
    {"scopes", dap_scopes, true},
    {"variables", dap_variables, true},
    {"evaluate", dap_evaluate, true},
    {"readMemory", dap_read_memory, true},
    {"disassemble", dap_disassemble, true},
    {"source", dap_source, true},
    {"loadedSources", dap_loaded_sources, true},
};

static void dispatch(struct dap_request *request, const char *command)
{
    for (size_t k = 0; k < sizeof commands / sizeof commands[0]; k++) {
        if (strcmp(commands[k].name, command) != 0)
            continue;
        if (commands[k].needs_trace && !request->dap->timeline)
            request->error = "no trace is open";
        else
            commands[k].handle(request);
        return;
    }
    request->error = "this adapter does not know the request";
}

static void serve(struct dap *dap, struct json_object *message)
{
    struct dap_request request = {.dap = dap, .message = message};
    const char *type = dap_text(message, "type");
    const char *command = dap_text(message, "command");
    if (!type || strcmp(type, "request") != 0 || !command)
        return; /* an answer, to nothing that was asked */
    (void)json_object_object_get_ex(message, "arguments", &request.arguments);
    dispatch(&request, command);
    struct json_object *response = json_object_new_object();
    dap_put_text(response, "type", "response");
    dap_put_number(response, "request_seq", dap_number(message, "seq", 0));
    dap_put_text(response, "command", command);
    dap_put_bool(response, "success", !request.error);
    if (request.error) {
        dap_put_text(response, "message", request.error);
        json_object_put(request.body);
    } else if (request.body) {
        (void)json_object_object_add(response, "body", request.body);
    }
    dap_wire_send(&dap->wire, response);
    request.body = NULL;
    if (!request.error && request.then)
        request.then(dap, &request);
    json_object_put(request.body);
}

/* The requests that came while the guest ran go first. */
static struct json_object *next_message(struct dap *dap)
{
    if (json_object_array_length(dap->waiting)) {
        struct json_object *message =
            json_object_get(json_object_array_get_idx(dap->waiting, 0));
        (void)json_object_array_del_idx(dap->waiting, 0, 1);
        return message;
    }
    return dap_wire_next(&dap->wire, true);
}

static int report(struct cli *cli, const struct dap *dap)
{
    if (!dap->wire.complaint)
        return CLI_YES;
    ui_error(cli, "the client: %s", dap->wire.complaint);
    return CLI_UNKNOWN;
}

int dap_run(struct cli *cli, const struct dap_start *start, int in, int out)
{
    struct dap dap = {.cli = cli, .start = *start, .stop_on_entry = true};
    const char *problem = NULL;
    dap_wire_init(&dap.wire, in, out);
    dap_lines_init(&dap.lines);
    cli_names_init(&dap.names);
    cli_linux_names_init(&dap.system);
    dap.waiting = json_object_new_array();
    if (start->trace)
        problem = open_trace(&dap, start);
    if (problem) {
        ui_error(cli, "%s: %s", start->trace, problem);
        dap.ended = true;
    }
    while (!dap.ended && !dap.wire.closed) {
        struct json_object *message = next_message(&dap);
        if (message)
            serve(&dap, message);
        json_object_put(message);
    }
    int status = problem ? CLI_UNKNOWN : report(cli, &dap);
    close_trace(&dap);
    dap_stops_free(&dap.stops);
    dap_lines_free(&dap.lines);
    cli_names_free(&dap.names);
    cli_linux_names_free(&dap.system);
    json_object_put(dap.waiting);
    dap_wire_fini(&dap.wire);
    return status;
}
