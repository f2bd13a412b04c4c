/* SPDX-License-Identifier: MIT
 *
 * emu/save.h - the machine's state as canonical bytes, digests of it, and the names of
 * what differs (machine.md 7.3).
 *
 * Registers and devices come from emu/state.def; RAM is hashed by page, and pages that
 * were not written since the last time are not read again.  What a device behind a
 * virtio function has in flight is part of it (emu_virtio_ops.save); the file server
 * behind that saves itself (v86fs/v86fs.h).
 */
#ifndef EMU_SAVE_H
#define EMU_SAVE_H

#include "base/hash.h"
#include "emu/pc.h"

/* Append the state without RAM.  Equal states give equal bytes. */
void emu_pc_save(const struct emu_pc *pc, struct buf *buf);

/* Take a state over; RAM comes by other ways and is in place already.  ERR_state: a
 * field is out of its range or the size is wrong; *ret_field (static storage of the
 * caller, `size` bytes) names it, and the machine is of no use. */
ERR_MUST_CHECK enum err emu_pc_load(struct emu_pc *pc, struct bytes state,
                                    char *ret_field, size_t field_size);

/* Append a line "pit[0].load 1193, 1192" for each field that differs between two
 * states of machines configured as `pc`, at most `count_max`.  The number of all. */
uint64_t emu_pc_diff(const struct emu_pc *pc, struct bytes a, struct bytes b,
                     unsigned count_max, struct buf *text);

/* Digests of emu_pc_save()'s parts (`buf` is scratch memory). */
struct hash256 emu_pc_hash_registers(const struct emu_pc *pc, struct buf *buf);
struct hash256 emu_pc_hash_devices(const struct emu_pc *pc, struct buf *buf);

/* A Merkle tree over RAM's pages, kept up to date (base/hash_tree.h). */
struct emu_ram_hash;
ERR_MUST_CHECK enum err emu_ram_hash_create(struct arena *arena, struct emu_ram *ram,
                                            struct emu_ram_hash **ret_hash);

/* The root of the tree (trace-replay.md 7.2; the hole is zeros).  Begins a new interval
 * of dirty tracking. */
struct hash256 emu_ram_hash(struct emu_ram_hash *hash);

/* The whole machine (trace-replay.md 7.2).  No page of a pc has access or presence
 * state, so its access digest is that of no runs. */
struct hash256 emu_pc_hash(const struct emu_pc *pc, struct emu_ram_hash *ram,
                           struct buf *buf);

#endif
