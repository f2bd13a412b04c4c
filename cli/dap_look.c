/* SPDX-License-Identifier: MIT
 *
 * Looking at the guest: its one thread, its frames, registers, position, memory.
 */
#include "cli/dap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MEMORY_MAX = 1 << 16, FRAME_MAX = 64 };
enum { NAME_SIZE_MAX = 2048 };

static const struct replay_guest *guest_of(const struct dap *dap)
{
    return &dap->debug.guest;
}

static uint64_t pc_of(const struct dap *dap)
{
    return dap_register(dap, guest_of(dap)->ops->pc_reg);
}

/* ---- threads, frames, scopes ---- */

static void add_list(struct dap_request *request, const char *key,
                     struct json_object *list)
{
    if (!request->body)
        request->body = json_object_new_object();
    (void)json_object_object_add(request->body, key, list);
}

void dap_threads(struct dap_request *request)
{
    struct json_object *list = json_object_new_array();
    struct json_object *thread = json_object_new_object();
    dap_put_number(thread, "id", DAP_THREAD);
    dap_put_text(thread, "name", guest_of(request->dap)->ops->name);
    (void)json_object_array_add(list, thread);
    add_list(request, "threads", list);
}

struct json_object *dap_listing_source(void)
{
    struct json_object *source = json_object_new_object();
    dap_put_text(source, "name", "disassembly");
    dap_put_number(source, "sourceReference", DAP_SOURCE);
    return source;
}

static struct json_object *file_source(const struct dap *dap, uint32_t file)
{
    const char *path = dap_lines_file_at(&dap->lines, file)->path;
    const char *slash = strrchr(path, '/');
    struct json_object *source = json_object_new_object();
    dap_put_text(source, "name", slash ? slash + 1 : path);
    dap_put_text(source, "path", path);
    return source;
}

/* The function; without symbols, where it begins; else the address. */
static void put_frame_name(const struct dap *dap, struct json_object *frame,
                           uint64_t pc, uint64_t entry, bool is_caller)
{
    struct buf name;
    buf_init(&name, NAME_SIZE_MAX);
    if (!dap_put_name(dap, pc, is_caller, &name)) {
        bool is_known = entry && entry < pc;
        buf_printf(&name, "0x%" PRIx64, is_known ? entry : pc);
        if (is_known)
            buf_printf(&name, "+0x%" PRIx64, pc - entry);
    }
    dap_put_text(frame, "name", buf_string(&name));
    buf_fini(&name);
}

/* Of a caller, whose `pc` is behind a call, the line is that of the call.  `entry` is
 * where the function begins, or 0. */
static void add_frame(const struct dap *dap, struct json_object *list, uint64_t pc,
                      uint64_t entry)
{
    bool is_caller = json_object_array_length(list) != 0;
    uint64_t at = pc - is_caller;
    uint32_t line = dap_listing_line(&dap->listing, at);
    const struct dap_row *row = dap_lines_find(&dap->lines, at);
    struct json_object *frame = json_object_new_object();
    if (row && row->line)
        line = row->line;
    dap_put_number(frame, "id", DAP_FRAME + (int64_t)json_object_array_length(list));
    put_frame_name(dap, frame, pc, entry, is_caller);
    dap_put_number(frame, "line", line);
    dap_put_number(frame, "column", line ? 1 : 0);
    dap_put_address(frame, "instructionPointerReference", pc);
    if (row && row->line)
        (void)json_object_object_add(frame, "source", file_source(dap, row->file));
    else if (line)
        (void)json_object_object_add(frame, "source", dap_listing_source());
    (void)json_object_array_add(list, frame);
}

/* By frame pointers.  In front of the two instructions that make a frame, and where a
 * function is known to begin, the return address is on top of the stack. */
size_t dap_callers(const struct dap *dap, uint64_t *ret_pc, size_t max)
{
    unsigned ebp, esp;
    uint64_t pc = pc_of(dap), code = 0, caller = 0, start = 0, frame, stack;
    size_t count = 0;
    if (!dap_register_named(dap, "ebp", &ebp) || !dap_register_named(dap, "esp", &esp))
        return 0;
    frame = dap_register(dap, ebp);
    stack = dap_register(dap, esp);
    (void)dap_memory_number(dap, pc, 3, &code);
    bool is_start = cli_linux_names_start(&dap->system, pc, &start) && start == pc;
    bool is_push = (code & 0xff) == 0x55, is_move = (code & 0xffff) == 0xe589;
    if (max && (is_start || is_push || is_move) &&
        dap_memory_number(dap, stack + (is_move ? 4 : 0), 4, &caller))
        ret_pc[count++] = caller;
    while (count < max && frame >= stack && frame &&
           dap_memory_number(dap, frame + 4, 4, &caller) && caller) {
        ret_pc[count++] = caller;
        stack = frame + 8;
        if (!dap_memory_number(dap, frame, 4, &frame))
            break;
    }
    return count;
}

static void add_callers(const struct dap *dap, struct json_object *list)
{
    uint64_t pc[FRAME_MAX];
    size_t count = dap_callers(dap, pc, FRAME_MAX - 1);
    for (size_t i = 0; i < count; i++)
        add_frame(dap, list, pc[i], 0);
}

/* Between a callee and its caller in another instance. */
static void add_label(struct json_object *list, uint32_t depth)
{
    char name[48];
    struct json_object *frame = json_object_new_object();
    (void)snprintf(name, sizeof name, "called by the instance at depth %" PRIu32,
                   depth);
    dap_put_number(frame, "id", DAP_FRAME + (int64_t)json_object_array_length(list));
    dap_put_text(frame, "name", name);
    dap_put_number(frame, "line", 0);
    dap_put_number(frame, "column", 0);
    dap_put_text(frame, "presentationHint", "label");
    (void)json_object_array_add(list, frame);
}

static void add_guest_frames(const struct dap *dap, struct json_object *list)
{
    const struct replay_guest *guest = guest_of(dap);
    struct replay_frame frame[FRAME_MAX];
    size_t count = guest->ops->frames(guest->self, frame, FRAME_MAX);
    for (size_t i = 0; i < count; i++) {
        if (i && frame[i].depth != frame[i - 1].depth)
            add_label(list, frame[i].depth);
        add_frame(dap, list, frame[i].pc, frame[i].entry);
    }
}

void dap_stack_trace(struct dap_request *request)
{
    struct dap *dap = request->dap;
    struct json_object *list = json_object_new_array();
    uint64_t pc = pc_of(dap);
    dap_names_look(dap, false);
    if (guest_of(dap)->ops->frames) {
        add_guest_frames(dap, list);
    } else {
        add_frame(dap, list, pc, 0);
        add_callers(dap, list);
    }
    add_list(request, "stackFrames", list);
    dap_put_number(request->body, "totalFrames",
                   (int64_t)json_object_array_length(list));
}

static void add_scope(struct json_object *list, const char *name, int64_t reference,
                      const char *hint)
{
    struct json_object *scope = json_object_new_object();
    dap_put_text(scope, "name", name);
    dap_put_number(scope, "variablesReference", reference);
    dap_put_bool(scope, "expensive", false);
    if (hint)
        dap_put_text(scope, "presentationHint", hint);
    (void)json_object_array_add(list, scope);
}

void dap_scopes(struct dap_request *request)
{
    struct json_object *list = json_object_new_array();
    add_scope(list, "Registers", DAP_REF_REGISTERS, "registers");
    add_scope(list, "Position", DAP_REF_POSITION, NULL);
    add_list(request, "scopes", list);
}

/* ---- variables ---- */

static void add_variable(struct json_object *list, const char *name, const char *value)
{
    struct json_object *variable = json_object_new_object();
    dap_put_text(variable, "name", name);
    dap_put_text(variable, "value", value);
    dap_put_number(variable, "variablesReference", 0);
    (void)json_object_array_add(list, variable);
}

uint64_t dap_register(const struct dap *dap, unsigned index)
{
    uint8_t bytes[64] = {0};
    uint64_t value = 0;
    const struct replay_guest *guest = guest_of(dap);
    check(guest->ops->reg[index].size <= sizeof bytes);
    guest->ops->register_get(guest->self, index, bytes);
    for (unsigned k = 8; k-- > 0;)
        value = value << 8 | bytes[k];
    return value;
}

/* All its bytes, the highest first. */
static void register_text(const struct dap *dap, unsigned index, char ret_text[40])
{
    uint8_t bytes[64] = {0};
    const struct replay_guest *guest = guest_of(dap);
    unsigned size = guest->ops->reg[index].size;
    if (size <= 8) {
        (void)snprintf(ret_text, 40, "0x%" PRIx64, dap_register(dap, index));
        return;
    }
    guest->ops->register_get(guest->self, index, bytes);
    char *at = ret_text + snprintf(ret_text, 40, "0x");
    for (unsigned k = size < 16 ? size : 16; k-- > 0; at += 2)
        (void)snprintf(at, 3, "%02x", bytes[k]);
}

static void add_registers(const struct dap *dap, struct json_object *list)
{
    char text[40];
    const struct replay_guest_ops *ops = guest_of(dap)->ops;
    for (unsigned k = 0; k < ops->reg_count; k++) {
        register_text(dap, k, text);
        add_variable(list, ops->reg[k].name, text);
    }
}

static void add_number(struct json_object *list, const char *name, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    add_variable(list, name, text);
}

static void add_position(const struct dap *dap, struct json_object *list)
{
    const struct replay_guest *guest = guest_of(dap);
    struct replay_time now = replay_timeline_now(dap->timeline);
    add_number(list, "icount", now.icount);
    if (guest->ops->has_sub)
        add_number(list, "sub", now.sub);
    add_number(list, "gas", guest->ops->gas(guest->self));
    add_number(list, "end", replay_timeline_end(dap->timeline).icount);
}

void dap_variables(struct dap_request *request)
{
    struct json_object *list = json_object_new_array();
    switch (dap_number(request->arguments, "variablesReference", 0)) {
    case DAP_REF_REGISTERS:
        add_registers(request->dap, list);
        break;
    case DAP_REF_POSITION:
        add_position(request->dap, list);
        break;
    }
    add_list(request, "variables", list);
}

/* ---- evaluate: a register, a position, or bytes of memory ---- */

bool dap_register_named(const struct dap *dap, const char *name, unsigned *ret_index)
{
    const struct replay_guest_ops *ops = guest_of(dap)->ops;
    if (*name == '$')
        name++;
    for (unsigned k = 0; k < ops->reg_count; k++) {
        if (strcmp(ops->reg[k].name, name) == 0) {
            *ret_index = k;
            return true;
        }
    }
    return false;
}

bool dap_memory_number(const struct dap *dap, uint64_t address, unsigned size,
                       uint64_t *ret_value)
{
    uint8_t bytes[8];
    const struct replay_guest *guest = guest_of(dap);
    if (guest->ops->memory_read(guest->self, address, bytes, size) != size)
        return false;
    *ret_value = 0;
    for (unsigned k = size; k-- > 0;)
        *ret_value = *ret_value << 8 | bytes[k];
    return true;
}

/* Eight bytes at an address, as a number. */
static bool memory_text(const struct dap *dap, uint64_t address, char ret_text[40])
{
    uint64_t value;
    if (!dap_memory_number(dap, address, 8, &value))
        return false;
    (void)snprintf(ret_text, 40, "0x%" PRIx64, value);
    return true;
}

static void evaluate_seek(struct dap_request *request, const char *position)
{
    char text[64];
    request->error = dap_seek(request->dap, position);
    if (request->error)
        return;
    dap_names_look(request->dap, true);
    (void)snprintf(text, sizeof text, "at %" PRIu64,
                   replay_timeline_now(request->dap->timeline).icount);
    request->body = json_object_new_object();
    dap_put_text(request->body, "result", text);
    dap_put_number(request->body, "variablesReference", 0);
}

static void tell_moved(struct dap *dap, struct dap_request *request)
{
    (void)request;
    dap_send_stopped(dap, "goto", NULL, 0);
}

/* The value of an expression; a problem, or NULL. */
static const char *evaluate(const struct dap *dap, const char *expression,
                            struct json_object *body)
{
    struct buf name;
    char text[40];
    unsigned index;
    uint64_t address;
    if (dap_register_named(dap, expression, &index)) {
        register_text(dap, index, text);
    } else if (*expression == '*' &&
               dap_number_or_symbol(dap, expression + 1, &address)) {
        if (!memory_text(dap, address, text))
            return "this memory cannot be read";
    } else if (cli_number(expression, &address)) {
        buf_init(&name, NAME_SIZE_MAX);
        bool is_known = dap_put_name(dap, address, false, &name);
        dap_put_text(body, "result", buf_string(&name));
        dap_put_address(body, "memoryReference", address);
        buf_fini(&name);
        return is_known ? NULL : "no function is known to be there";
    } else if (dap_symbol(dap, expression, &address)) {
        (void)snprintf(text, sizeof text, "0x%" PRIx64, address);
        dap_put_address(body, "memoryReference", address);
    } else {
        return "a register, *ADDRESS, a symbol, or seek POSITION";
    }
    dap_put_text(body, "result", text);
    return NULL;
}

void dap_evaluate(struct dap_request *request)
{
    const char *expression = dap_text(request->arguments, "expression");
    if (expression && strncmp(expression, "seek ", 5) == 0) {
        evaluate_seek(request, expression + 5);
        if (!request->error)
            request->then = tell_moved;
        return;
    }
    dap_names_look(request->dap, false);
    request->body = json_object_new_object();
    request->error =
        evaluate(request->dap, expression ? expression : "", request->body);
    if (!request->error)
        dap_put_number(request->body, "variablesReference", 0);
}

/* ---- memory ---- */

static void put_base64(struct json_object *object, const char *key, const uint8_t *data,
                       size_t size)
{
    static const char digit[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct buf text;
    buf_init(&text, 2 * (size_t)MEMORY_MAX);
    for (size_t at = 0; at < size; at += 3) {
        size_t left = size - at;
        uint32_t group = (uint32_t)data[at] << 16;
        group |= left > 1 ? (uint32_t)data[at + 1] << 8 : 0;
        group |= left > 2 ? data[at + 2] : 0;
        buf_byte(&text, (uint8_t)digit[group >> 18]);
        buf_byte(&text, (uint8_t)digit[group >> 12 & 63]);
        buf_byte(&text, left > 1 ? (uint8_t)digit[group >> 6 & 63] : '=');
        buf_byte(&text, left > 2 ? (uint8_t)digit[group & 63] : '=');
    }
    dap_put_text(object, key, buf_string(&text));
    buf_fini(&text);
}

void dap_read_memory(struct dap_request *request)
{
    static uint8_t data[MEMORY_MAX];
    const struct replay_guest *guest = guest_of(request->dap);
    uint64_t address;
    int64_t count = dap_number(request->arguments, "count", 0);
    if (!dap_address(request->arguments, "memoryReference", &address)) {
        request->error = "memoryReference is no address";
        return;
    }
    address += (uint64_t)dap_number(request->arguments, "offset", 0);
    if (count < 0)
        count = 0;
    size_t size = count < MEMORY_MAX ? (size_t)count : MEMORY_MAX;
    size_t got = size ? guest->ops->memory_read(guest->self, address, data, size) : 0;
    request->body = json_object_new_object();
    dap_put_address(request->body, "address", address);
    if ((int64_t)got < count)
        dap_put_number(request->body, "unreadableBytes", count - (int64_t)got);
    put_base64(request->body, "data", data, got);
}

/* ---- sources ---- */

void dap_source(struct dap_request *request)
{
    struct json_object *source = NULL;
    int64_t reference = dap_number(request->arguments, "sourceReference", 0);
    if (json_object_object_get_ex(request->arguments, "source", &source) && !reference)
        reference = dap_number(source, "sourceReference", 0);
    if (reference != DAP_SOURCE || !request->dap->listing.count) {
        request->error = "there is no such source";
        return;
    }
    request->body = json_object_new_object();
    dap_put_text(request->body, "content", buf_string(&request->dap->listing.text));
}

void dap_loaded_sources(struct dap_request *request)
{
    struct json_object *list = json_object_new_array();
    if (request->dap->listing.count)
        (void)json_object_array_add(list, dap_listing_source());
    const struct dap *dap = request->dap;
    for (uint32_t file = 0; file < dap_lines_file_count(&dap->lines); file++)
        (void)json_object_array_add(list, file_source(dap, file));
    add_list(request, "sources", list);
}
