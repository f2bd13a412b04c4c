/* SPDX-License-Identifier: MIT
 *
 * Values as people read them.
 */
#include "trace/internal.h"

#include <inttypes.h>

static void put_hex(struct buf *buf, struct bytes bytes)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.size; i++) {
        buf_byte(buf, (uint8_t)digit[bytes.data[i] >> 4]);
        buf_byte(buf, (uint8_t)digit[bytes.data[i] & 15]);
    }
}

/* Control characters must not reach a terminal. */
static void put_quoted(struct buf *buf, struct bytes text)
{
    buf_byte(buf, '"');
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        bool c1 = byte == 0xc2 && i + 1 < text.size && text.data[i + 1] < 0xa0;
        if (byte < 0x20 || byte == 0x7f)
            buf_printf(buf, "\\x%02x", byte);
        else if (c1) /* U+0080..U+009F */
            buf_printf(buf, "\\x%02x", text.data[++i]);
        else if (byte == '"' || byte == '\\')
            buf_printf(buf, "\\%c", byte);
        else
            buf_byte(buf, byte);
    }
    buf_byte(buf, '"');
}

static void put_wide(const struct trace_value *value, struct buf *buf)
{
    struct wire wire = wire_of(value->blob);
    uint64_t number;
    buf_printf(buf, "<%" PRIu64 " bytes: blob", value->size);
    for (unsigned i = 0; wire_uint(&wire, &number); i++) {
        if (i == 4) {
            buf_text(buf, " ...");
            break;
        }
        buf_printf(buf, " %" PRIu64, number);
    }
    buf_byte(buf, '>');
}

void trace_value_text(const struct trace_value *value, struct buf *buf)
{
    switch (value->type) {
    case 'u':
    case 'd':
        if (value->show == 'x')
            buf_printf(buf, "0x%" PRIx64, value->number);
        else
            buf_printf(buf, "%" PRIu64, value->number);
        break;
    case 'i':
        buf_printf(buf, "%" PRId64, (int64_t)value->number);
        break;
    case 's':
        put_quoted(buf, value->bytes);
        break;
    default:
        if (value->blob_count)
            put_wide(value, buf);
        else if (value->bytes.size)
            put_hex(buf, value->bytes);
        else
            buf_byte(buf, '-');
        break;
    }
}
