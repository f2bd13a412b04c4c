/* SPDX-License-Identifier: MIT
 *
 * A hostile client of the gdb stub: any bytes, in pieces, with the connection lost in
 * between.  The first byte says how large the pieces are.  Afterwards an honest client
 * finds the guest as it was recorded.
 */
#include "tests/fuzz/gdb_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECE_COUNT_MAX = 64, OUT_SIZE_MAX = 32 << 20 };

static struct gdb_target target;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gdb_target *t = &target;
    struct buf out;
    if (!t->gdb)
        gdb_target_open(t);
    if (!size)
        return 0;
    size_t piece = data[0] ? data[0] : size;
    bool drops = data[0] & 1;
    buf_init(&out, OUT_SIZE_MAX);
    replay_gdb_connect(t->gdb);
    data++;
    size--;
    for (unsigned i = 0; size && i < PIECE_COUNT_MAX; i++) {
        size_t count = size < piece || i + 1 == PIECE_COUNT_MAX ? size : piece;
        t->polls = 0;
        if (!replay_gdb_input(t->gdb, bytes_of(data, count), &out) ||
            (drops && i % 8 == 7))
            replay_gdb_connect(t->gdb);
        buf_clear(&out);
        data += count;
        size -= count;
    }
    gdb_target_check_honest(t, &out);
    buf_fini(&out);
    return 0;
}
