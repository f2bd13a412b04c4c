/* SPDX-License-Identifier: MIT
 *
 * hostfs/ring.h - one direction of the shared memory of a bridge (v86fs.md 4.6).
 *
 * Records are envelopes, padded to 8 bytes, that wrap at the end of the ring.  `tail`
 * counts the bytes written and `head` those taken, both modulo 2^32; a record is there
 * as a whole or not at all.  Both sides can write all of the memory at any time, so
 * nothing in it is believed: each side counts for itself, and looks at a record only
 * after it has copied it.
 *
 * Knows neither the system nor what a record means.
 */
#ifndef HOSTFS_RING_H
#define HOSTFS_RING_H

#include "hostfs/bridge.h"

enum {
    HOSTFS_SHARED_MAGIC = 0x53463638,
    HOSTFS_RING_SIZE = 4 << 20, /* of each; at least two envelopes, a power of two */
    HOSTFS_SHARED_SIZE = 4096 + 2 * HOSTFS_RING_SIZE,
};

/* Write what stands before the rings. */
void hostfs_rings_init(uint8_t *memory);

/* The rings in `memory`, of `size` bytes, for a side: the asking one writes the first
 * and reads the second.  False: no such memory. */
bool hostfs_rings_open(uint8_t *memory, uint64_t size, bool asks,
                       struct hostfs_ring *ret_in, struct hostfs_ring *ret_out);

/* Write a record.  False: there is no room now. */
bool hostfs_ring_put(struct hostfs_ring *ring, struct bytes record);

/* Copy the oldest record out, at most HOSTFS_RECORD_MAX bytes; *ret_size 0: there is
 * none.  ERR_v86fs_bridge: a counter or a length that cannot be. */
ERR_MUST_CHECK enum err hostfs_ring_take(struct hostfs_ring *ring, uint8_t *record,
                                         size_t *ret_size);

/* Is there a record, or something that is none? */
bool hostfs_ring_ready(const struct hostfs_ring *ring);

#endif
