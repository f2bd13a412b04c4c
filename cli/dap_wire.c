/* SPDX-License-Identifier: MIT
 *
 * Frames: header lines, an empty line, JSON of the announced size.
 */
#include "cli/dap.h"

#include "base/os.h"

#include <string.h>

enum { HEADER_SIZE_MAX = 4096, DEPTH_MAX = 32, READ_SIZE = 16384 };

void dap_wire_init(struct dap_wire *wire, int in, int out)
{
    *wire = (struct dap_wire){.in = in, .out = out};
    buf_init(&wire->input, HEADER_SIZE_MAX + DAP_MESSAGE_SIZE_MAX + READ_SIZE);
}

void dap_wire_fini(struct dap_wire *wire)
{
    buf_fini(&wire->input);
}

/* Behind the empty line that ends the header; 0: it is not there yet. */
static size_t header_size(struct bytes input)
{
    for (size_t i = 3; i < input.size && i < HEADER_SIZE_MAX; i++) {
        if (memcmp(input.data + i - 3, "\r\n\r\n", 4) == 0)
            return i + 1;
    }
    return 0;
}

static bool same_letter(uint8_t a, char b)
{
    return (a | (a >= 'A' && a <= 'Z' ? 32 : 0)) == (uint8_t)b;
}

/* The number behind "content-length:" in the header.  False: there is none. */
static bool content_length(struct bytes header, uint64_t *ret_size)
{
    static const char name[] = "content-length:";
    size_t name_size = sizeof name - 1;
    for (size_t line = 0; line + name_size < header.size; line++) {
        size_t at = 0;
        if (line && header.data[line - 1] != '\n')
            continue;
        while (at < name_size && same_letter(header.data[line + at], name[at]))
            at++;
        if (at < name_size)
            continue;
        uint64_t size = 0;
        size_t digits = 0;
        for (at += line; at < header.size && header.data[at] == ' ';)
            at++;
        for (; header.data[at] >= '0' && header.data[at] <= '9' && digits < 9;
             at++, digits++)
            size = size * 10 + (uint64_t)(header.data[at] - '0');
        *ret_size = size;
        return digits && header.data[at] == '\r';
    }
    return false;
}

static struct json_object *parse_json(struct bytes text)
{
    struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
    if (!tokener)
        return NULL;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *object =
        json_tokener_parse_ex(tokener, (const char *)text.data, (int)text.size);
    bool whole = json_tokener_get_error(tokener) == json_tokener_success;
    json_tokener_free(tokener);
    if (whole && json_object_is_type(object, json_type_object))
        return object;
    json_object_put(object);
    return NULL;
}

int dap_frame_parse(struct bytes input, struct json_object **ret_message,
                    size_t *ret_size, const char **ret_complaint)
{
    uint64_t size;
    size_t header = header_size(input);
    *ret_complaint = NULL;
    if (!header) {
        if (input.size < HEADER_SIZE_MAX)
            return 0;
        *ret_complaint = "a header that does not end";
        return -1;
    }
    if (!content_length(bytes_of(input.data, header), &size) ||
        size > DAP_MESSAGE_SIZE_MAX) {
        *ret_complaint = "a header without a sensible Content-Length";
        return -1;
    }
    if (input.size - header < size)
        return 0;
    *ret_message = parse_json(bytes_of(input.data + header, (size_t)size));
    *ret_size = header + (size_t)size;
    if (*ret_message)
        return 1;
    *ret_complaint = "a message that is no JSON object";
    return -1;
}

/* Drop what has been taken, read some more. */
static void fill(struct dap_wire *wire)
{
    uint8_t data[READ_SIZE];
    size_t size = 0, left = wire->input.size - wire->input_at;
    if (wire->input_at) {
        memmove(wire->input.data, wire->input.data + wire->input_at, left);
        wire->input.size = left;
        wire->input_at = 0;
    }
    enum err err = os_read(wire->in, data, sizeof data, &size);
    if (err || !size) {
        wire->closed = true;
        wire->complaint = err ? err_text(err) : NULL;
        return;
    }
    buf_put(&wire->input, data, size);
    if (wire->input.err) {
        wire->closed = true;
        wire->complaint = err_text(wire->input.err);
    }
}

struct json_object *dap_wire_next(struct dap_wire *wire, bool wait)
{
    while (!wire->closed) {
        struct json_object *message = NULL;
        size_t size = 0;
        struct bytes input = {0};
        if (wire->input.size > wire->input_at)
            input = bytes_of(wire->input.data + wire->input_at,
                             wire->input.size - wire->input_at);
        int got = dap_frame_parse(input, &message, &size, &wire->complaint);
        if (got < 0)
            wire->closed = true;
        wire->input_at += size;
        if (got > 0)
            return message;
        if (got == 0 && !wait && !os_readable(wire->in))
            return NULL;
        if (got == 0)
            fill(wire);
    }
    return NULL;
}

void dap_wire_send(struct dap_wire *wire, struct json_object *message)
{
    struct buf frame;
    dap_put_number(message, "seq", (int64_t)++wire->seq);
    const char *text = json_object_to_json_string_ext(
        message, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    buf_init(&frame, 1 << 26);
    buf_printf(&frame, "Content-Length: %zu\r\n\r\n", strlen(text));
    buf_text(&frame, text);
    if (frame.err || os_write_all(wire->out, frame.data, frame.size))
        wire->closed = true;
    buf_fini(&frame);
    json_object_put(message);
}
