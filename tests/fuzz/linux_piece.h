/* SPDX-License-Identifier: MIT
 *
 * tests/fuzz/linux_piece.h - memory of a guest of which only a piece is there.
 */
#ifndef TESTS_FUZZ_LINUX_PIECE_H
#define TESTS_FUZZ_LINUX_PIECE_H

#include "base/buf.h"

#include <string.h>

struct linux_piece {
    uint32_t base; /* its address */
    struct bytes bytes;
};

/* struct replay_linux_memory, read. */
static inline size_t linux_piece_read(void *self, uint64_t address, uint8_t *ret_data,
                                      size_t size)
{
    const struct linux_piece *piece = self;
    if (address < piece->base || address - piece->base >= piece->bytes.size)
        return 0;
    size_t at = (size_t)(address - piece->base), there = piece->bytes.size - at;
    size = size < there ? size : there;
    memcpy(ret_data, piece->bytes.data + at, size);
    return size;
}

#endif
