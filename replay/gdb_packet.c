/* SPDX-License-Identifier: MIT */
#include "replay/gdb_packet.h"

int replay_gdb_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool replay_gdb_number(const char **text, uint64_t *ret_value)
{
    const char *at = *text;
    uint64_t value = 0;
    for (; replay_gdb_digit((uint8_t)*at) >= 0; at++) {
        if (value >> 60)
            return false;
        value = value << 4 | (unsigned)replay_gdb_digit((uint8_t)*at);
    }
    if (at == *text)
        return false;
    *text = at;
    *ret_value = value;
    return true;
}

void replay_gdb_put_hex(struct buf *out, const void *data, size_t size)
{
    static const char digit[] = "0123456789abcdef";
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        buf_byte(out, (uint8_t)digit[bytes[i] >> 4]);
        buf_byte(out, (uint8_t)digit[bytes[i] & 15]);
    }
}

static bool is_special(uint8_t byte)
{
    return byte == '$' || byte == '#' || byte == '}' || byte == '*';
}

void replay_gdb_put_packet(struct buf *out, struct bytes data)
{
    uint8_t sum = 0;
    buf_byte(out, '$');
    for (size_t i = 0; i < data.size; i++) {
        uint8_t byte = data.data[i];
        if (is_special(byte)) {
            buf_byte(out, '}');
            sum = (uint8_t)(sum + '}');
            byte ^= 0x20;
        }
        buf_byte(out, byte);
        sum = (uint8_t)(sum + byte);
    }
    buf_byte(out, '#');
    replay_gdb_put_hex(out, &sum, 1);
}

/* ---- input ---- */

static enum gdb_input outside(struct gdb_parser *p, uint8_t byte)
{
    if (byte == '$') {
        p->state = GDB_INSIDE;
        p->size = 0;
        p->sum = 0;
        p->overlong = false;
        return GDB_NOTHING;
    }
    if (byte == 3)
        return GDB_INTERRUPT;
    return byte == '-' ? GDB_AGAIN : GDB_NOTHING;
}

static void add(struct gdb_parser *p, uint8_t byte)
{
    if (p->size < GDB_PACKET_SIZE)
        p->data[p->size++] = byte;
    else
        p->overlong = true;
}

static enum gdb_input finish(struct gdb_parser *p, uint8_t byte, bool checked)
{
    int low = replay_gdb_digit(byte);
    p->state = GDB_OUTSIDE;
    p->data[p->size] = 0;
    if (p->overlong || (checked && (low < 0 || (p->wanted | low) != p->sum)))
        return GDB_BAD;
    return GDB_PACKET;
}

enum gdb_input replay_gdb_parse(struct gdb_parser *p, uint8_t byte, bool checked)
{
    int high;
    switch (p->state) {
    case GDB_OUTSIDE:
        return outside(p, byte);
    case GDB_INSIDE:
        if (byte == '#') {
            p->state = GDB_CHECK_1;
            return GDB_NOTHING;
        }
        if (byte == '$') /* the packet before was cut off */
            return outside(p, byte);
        p->sum = (uint8_t)(p->sum + byte);
        if (byte == '}')
            p->state = GDB_ESCAPE;
        else
            add(p, byte);
        return GDB_NOTHING;
    case GDB_ESCAPE:
        p->sum = (uint8_t)(p->sum + byte);
        p->state = GDB_INSIDE;
        add(p, byte ^ 0x20);
        return GDB_NOTHING;
    case GDB_CHECK_1:
        high = replay_gdb_digit(byte);
        p->overlong |= checked && high < 0;
        p->wanted = high < 0 ? 0 : (uint8_t)(high << 4);
        p->state = GDB_CHECK_2;
        return GDB_NOTHING;
    case GDB_CHECK_2:
    default:
        return finish(p, byte, checked);
    }
}
