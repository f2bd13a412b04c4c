/* SPDX-License-Identifier: MIT
 *
 * replay/gdb_packet.h - the framing of gdb's remote protocol: bytes to packets and
 * back.  Private to replay/; knows no guest.
 *
 * A packet is `$` data `#` two hex digits; `}` in front of a byte xor 0x20 escapes.
 * Between packets come acknowledgements and the interrupt byte 0x03, which means
 * nothing special inside one.  Input is hostile.
 */
#ifndef REPLAY_GDB_PACKET_H
#define REPLAY_GDB_PACKET_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum { GDB_PACKET_SIZE = 0x20000 };

enum gdb_input {
    GDB_NOTHING,   /* more bytes are needed */
    GDB_PACKET,    /* one is complete: data[0..size), NUL behind it */
    GDB_INTERRUPT, /* byte 0x03 */
    GDB_BAD,       /* wrong checksum, or too long: ask for it again */
    GDB_AGAIN,     /* the other side asks for our last packet again */
};

struct gdb_parser {
    enum { GDB_OUTSIDE, GDB_INSIDE, GDB_ESCAPE, GDB_CHECK_1, GDB_CHECK_2 } state;
    uint8_t sum, wanted;
    bool overlong;
    size_t size;
    uint8_t data[GDB_PACKET_SIZE + 1];
};

/* Take one byte.  `checked`: acknowledgements are on, so checksums count. */
enum gdb_input replay_gdb_parse(struct gdb_parser *parser, uint8_t byte, bool checked);

/* Append `data` as a packet. */
void replay_gdb_put_packet(struct buf *out, struct bytes data);

/* -1: no hex digit. */
int replay_gdb_digit(uint8_t c);

/* A hex number at *text, which moves behind it; false: none, or over 64 bits. */
bool replay_gdb_number(const char **text, uint64_t *ret_value);
void replay_gdb_put_hex(struct buf *out, const void *data, size_t size);

#endif
