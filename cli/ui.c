/* SPDX-License-Identifier: MIT
 *
 * All that the program prints.  stdout goes through stdio's buffer, so that a full
 * disk is noticed once, at the end, and cannot be overlooked by a command.
 */
#include "cli/cli.h"

#include "base/os.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_DEPTH_MAX = 16, LINE_SIZE_MAX = 1 << 16 };

struct ui_json {
    struct json_object *stack[JSON_DEPTH_MAX];
    unsigned depth;
};

void ui_init(struct cli *cli)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    bool dumb = term && strcmp(term, "dumb") == 0;
    cli->color = os_is_terminal(1) && !(no_color && *no_color) && !dumb;
    cli->progress_on = os_is_terminal(2) && !dumb;
}

/* ---- stdout ------------------------------------------------------------------------
 */

/* A reader that has gone, such as `head`, knows that it does: no words about that. */
static void out_lost(struct cli *cli)
{
    if (!cli->out_failed && errno != EPIPE)
        (void)snprintf(cli->out_error, sizeof cli->out_error, "%s", strerror(errno));
    cli->out_failed = true;
}

static void wipe_progress(struct cli *cli)
{
    if (cli->progress_shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    cli->progress_shown = false;
}

void ui_out_bytes(struct cli *cli, struct bytes bytes)
{
    wipe_progress(cli);
    if (bytes.size && fwrite(bytes.data, 1, bytes.size, stdout) != bytes.size)
        out_lost(cli);
}

void ui_out(struct cli *cli, const char *format, ...)
{
    va_list args;
    wipe_progress(cli);
    va_start(args, format);
    if (vprintf(format, args) < 0)
        out_lost(cli);
    va_end(args);
}

static void put_escaped(struct buf *buf, struct bytes bytes, bool lines)
{
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = bytes.data[i];
        if ((byte >= 0x20 && byte < 0x7f) || (lines && byte == '\n'))
            buf_byte(buf, byte);
        else
            buf_printf(buf, "\\x%02x", byte);
    }
}

void ui_out_escaped(struct cli *cli, struct bytes bytes, bool lines)
{
    struct buf piece;
    buf_init(&piece, LINE_SIZE_MAX);
    for (size_t at = 0; at < bytes.size;) {
        size_t size = bytes.size - at < 4096 ? bytes.size - at : 4096;
        put_escaped(&piece, bytes_of(bytes.data + at, size), lines);
        check(!piece.err);
        ui_out_bytes(cli, buf_bytes(&piece));
        buf_clear(&piece);
        at += size;
    }
    buf_fini(&piece);
}

void ui_flush(struct cli *cli)
{
    if (fflush(stdout) != 0)
        out_lost(cli);
}

int ui_fini(struct cli *cli, int status)
{
    check(!cli->object);
    wipe_progress(cli);
    ui_flush(cli);
    if (!cli->out_failed && ferror(stdout))
        out_lost(cli);
    if (!cli->out_failed)
        return status;
    if (cli->out_error[0])
        ui_error(cli, "standard output: %s", cli->out_error);
    return status == CLI_USAGE ? status : CLI_UNKNOWN;
}

/* ---- stderr ------------------------------------------------------------------------
 */

/* One line whatever the arguments hold: control characters are escaped, bytes above
 * ASCII pass, so that names in any script stay readable. */
static void say(struct cli *cli, const char *format, va_list args)
{
    char text[2048];
    struct buf line;
    (void)vsnprintf(text, sizeof text, format, args);
    buf_init(&line, LINE_SIZE_MAX);
    buf_printf(&line, "lockstep%s%s: ", cli->command ? " " : "",
               cli->command ? cli->command->name : "");
    for (const char *s = text; *s; s++) {
        uint8_t byte = (uint8_t)*s;
        if (byte < 0x20 || byte == 0x7f)
            buf_printf(&line, "\\x%02x", byte);
        else
            buf_byte(&line, byte);
    }
    buf_byte(&line, '\n');
    wipe_progress(cli);
    /* The answer so far comes first where both streams are one terminal. */
    ui_flush(cli);
    (void)fwrite(line.data, 1, line.size, stderr);
    fflush(stderr);
    buf_fini(&line);
}

void ui_error(struct cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(cli, format, args);
    va_end(args);
}

int ui_fail(struct cli *cli, enum err err, const char *subject)
{
    const char *why = os_error_text();
    if (err == ERR_io && *why)
        ui_error(cli, "%s: %s", subject, why);
    else
        ui_error(cli, "%s: %s", subject, err_text(err));
    return CLI_UNKNOWN;
}

int ui_usage(struct cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(cli, format, args);
    va_end(args);
    return CLI_USAGE;
}

void ui_note(struct cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!cli->quiet)
        say(cli, format, args);
    va_end(args);
}

void ui_verbose(struct cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (cli->verbose)
        say(cli, format, args);
    va_end(args);
}

const char *ui_color(const struct cli *cli, enum ui_color color)
{
    static const char *const escape[] = {
        [UI_PLAIN] = "\033[0m", [UI_BOLD] = "\033[1m",   [UI_DIM] = "\033[2m",
        [UI_RED] = "\033[31m",  [UI_GREEN] = "\033[32m", [UI_YELLOW] = "\033[33m",
        [UI_BLUE] = "\033[34m",
    };
    return cli->color ? escape[color] : "";
}

void ui_progress(struct cli *cli, const char *what, uint64_t done, uint64_t total)
{
    if (!cli->progress_on || cli->quiet)
        return;
    uint64_t now = os_clock_monotonic_ns();
    if (cli->progress_ns && now - cli->progress_ns < 100000000u)
        return;
    cli->progress_ns = now;
    cli->progress_shown = true;
    if (total)
        fprintf(stderr, "\r\033[K%s %3u%%", what,
                (unsigned)((double)done * 100 / (double)total));
    else
        fprintf(stderr, "\r\033[K%s %llu", what, (unsigned long long)done);
    fflush(stderr);
}

/* ---- JSON --------------------------------------------------------------------------
 */

/* Size of the UTF-8 sequence at the start of `text`, 0 if there is none (RFC 3629). */
static size_t utf8_size(struct bytes text)
{
    const uint8_t *s = text.data;
    size_t size = s[0] < 0x80   ? 1
                  : s[0] < 0xc2 ? 0
                  : s[0] < 0xe0 ? 2
                  : s[0] < 0xf0 ? 3
                  : s[0] < 0xf5 ? 4
                                : 0;
    if (!size || size > text.size)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return size;
}

static struct json_object *json_text(struct bytes text)
{
    struct buf clean;
    buf_init(&clean, text.size * 3 + 1);
    while (text.size) {
        size_t size = utf8_size(text);
        if (size)
            buf_put(&clean, text.data, size);
        else
            buf_text(&clean, "\xef\xbf\xbd");
        text.data += size ? size : 1;
        text.size -= size ? size : 1;
    }
    check(!clean.err && clean.size <= INT32_MAX);
    struct json_object *object =
        json_object_new_string_len(buf_string(&clean), (int)clean.size);
    buf_fini(&clean);
    return object;
}

/* `value` NULL is JSON's null. */
static void json_add(struct cli *cli, const char *key, struct json_object *value)
{
    check(cli->object && cli->object->depth);
    struct json_object *top = cli->object->stack[cli->object->depth - 1];
    bool in_array = json_object_is_type(top, json_type_array);
    check(in_array == !key);
    int status = in_array ? json_object_array_add(top, value)
                          : json_object_object_add(top, key, value);
    check(status == 0);
}

static void json_push(struct cli *cli, struct json_object *object)
{
    check(object && cli->object->depth < JSON_DEPTH_MAX);
    cli->object->stack[cli->object->depth++] = object;
}

void ui_json_begin(struct cli *cli)
{
    char schema[64];
    check(!cli->object && cli->command);
    if (!cli->object_kept)
        cli->object_kept = arena_new(&cli->arena, struct ui_json);
    check(cli->object_kept);
    cli->object = cli->object_kept;
    cli->object->depth = 0;
    json_push(cli, json_object_new_object());
    (void)snprintf(schema, sizeof schema, "lockstep.%s.1", cli->command->name);
    ui_json_text(cli, "schema", schema);
}

void ui_json_end(struct cli *cli)
{
    check(cli->object && cli->object->depth == 1);
    struct json_object *root = cli->object->stack[0];
    const char *text = json_object_to_json_string_ext(
        root, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    check(text);
    ui_out(cli, "%s\n", text);
    json_object_put(root);
    cli->object = NULL;
}

void ui_json_text(struct cli *cli, const char *key, const char *text)
{
    json_add(cli, key, json_text(bytes_of(text, strlen(text))));
}

void ui_json_text_bytes(struct cli *cli, const char *key, struct bytes text)
{
    json_add(cli, key, json_text(text));
}

void ui_json_u64(struct cli *cli, const char *key, uint64_t value)
{
    json_add(cli, key, json_object_new_uint64(value));
}

void ui_json_i64(struct cli *cli, const char *key, int64_t value)
{
    json_add(cli, key, json_object_new_int64(value));
}

void ui_json_double(struct cli *cli, const char *key, double value)
{
    json_add(cli, key, json_object_new_double(value));
}

void ui_json_bool(struct cli *cli, const char *key, bool value)
{
    json_add(cli, key, json_object_new_boolean(value));
}

void ui_json_null(struct cli *cli, const char *key)
{
    json_add(cli, key, NULL);
}

void ui_json_hex(struct cli *cli, const char *key, struct bytes bytes)
{
    struct buf hex;
    buf_init(&hex, bytes.size * 2 + 1);
    for (size_t i = 0; i < bytes.size; i++)
        buf_printf(&hex, "%02x", bytes.data[i]);
    ui_json_text_bytes(cli, key, buf_bytes(&hex));
    buf_fini(&hex);
}

void ui_json_object(struct cli *cli, const char *key)
{
    struct json_object *object = json_object_new_object();
    json_add(cli, key, object);
    json_push(cli, object);
}

void ui_json_array(struct cli *cli, const char *key)
{
    struct json_object *array = json_object_new_array();
    json_add(cli, key, array);
    json_push(cli, array);
}

void ui_json_close(struct cli *cli)
{
    check(cli->object && cli->object->depth > 1);
    cli->object->depth--;
}
