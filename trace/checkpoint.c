/* SPDX-License-Identifier: MIT
 *
 * Checkpoints of a pvm guest [2.9].  Records of the payload:
 *
 *   [version, full, icount, sub, gas, state_hash, machine]
 *   [space, first_page, bytes] ...     space 0: guest memory; whole pages, ascending
 *
 * machine = [registers, access, devices, charged, hash_at, digest_count]: the canonical
 * state of 7.2 without memory, and where the recorder stood with its state hashes.
 */
#include "trace/checkpoint.h"
#include "trace/internal.h"

enum {
    VERSION = 1,
    FULL = 1,
    SPACE_MEMORY = 0,
    PAGE_SIZE = 4096,
    PAGE_COUNT = 1 << 20,
    REGISTERS_SIZE = 120,
    HEAD_SIZE_MAX = 512,
};

/* ---- writing ---- */

/* Room for a record of at most `size` bytes; the packer is full when there is none. */
static struct packer begin_record(struct buf *payload, size_t size)
{
    uint8_t *at = buf_extend(payload, size);
    if (!at)
        return (struct packer){.full = true};
    return (struct packer){.at = at, .end = at + size};
}

static void end_record(struct buf *payload, const struct packer *packer)
{
    if (!packer->full)
        payload->size = (size_t)(packer->at - payload->data);
}

void trace_checkpoint_put(struct buf *payload,
                          const struct trace_pvm_checkpoint *checkpoint)
{
    struct packer packer =
        begin_record(payload, HEAD_SIZE_MAX + checkpoint->access.size);
    const struct bytes hash = bytes_of(checkpoint->state_hash.byte, HASH256_SIZE);
    if (packer.full)
        return;
    trace_pack_array(&packer, 7);
    trace_pack_uint(&packer, VERSION);
    trace_pack_uint(&packer, FULL);
    trace_pack_uint(&packer, checkpoint->clock.icount);
    trace_pack_uint(&packer, checkpoint->clock.sub);
    trace_pack_uint(&packer, checkpoint->clock.gas);
    trace_pack_bin(&packer, hash);
    trace_pack_array(&packer, 6);
    trace_pack_bin(&packer, checkpoint->registers);
    trace_pack_bin(&packer, checkpoint->access);
    trace_pack_array(&packer, 0);
    trace_pack_uint(&packer, checkpoint->charged);
    trace_pack_uint(&packer, checkpoint->hash_at);
    trace_pack_uint(&packer, checkpoint->digest_count);
    end_record(payload, &packer);
}

void trace_checkpoint_put_pages(struct buf *payload, uint64_t first_page,
                                struct bytes bytes)
{
    struct packer packer = begin_record(payload, bytes.size + 32);
    if (packer.full)
        return;
    trace_pack_array(&packer, 3);
    trace_pack_uint(&packer, SPACE_MEMORY);
    trace_pack_uint(&packer, first_page);
    trace_pack_bin(&packer, bytes);
    end_record(payload, &packer);
}

/* ---- reading: hostile, but canonical (the walk has checked that) ---- */

static bool get_bin(struct wire *wire, struct bytes *ret_bytes)
{
    struct wire_item item;
    if (!wire_next(wire, &item) || item.class != WIRE_BIN)
        return false;
    *ret_bytes = item.bytes;
    return true;
}

static bool get_array(struct wire *wire, uint64_t count)
{
    uint64_t number;
    return wire_array(wire, &number) && number == count;
}

static bool get_head(struct wire *wire, struct trace_pvm_checkpoint *ret)
{
    uint64_t version, full;
    struct bytes hash;
    struct trace_pvm_checkpoint c = {0};
    if (!get_array(wire, 7) || !wire_uint(wire, &version) || version != VERSION ||
        !wire_uint(wire, &full) || full != FULL || !wire_uint(wire, &c.clock.icount) ||
        !wire_uint(wire, &c.clock.sub) || !wire_uint(wire, &c.clock.gas) ||
        !get_bin(wire, &hash) || hash.size != HASH256_SIZE || !get_array(wire, 6) ||
        !get_bin(wire, &c.registers) || c.registers.size != REGISTERS_SIZE ||
        !get_bin(wire, &c.access) || !get_array(wire, 0) ||
        !wire_uint(wire, &c.charged) || c.charged > 1 || !wire_uint(wire, &c.hash_at) ||
        !wire_uint(wire, &c.digest_count))
        return false;
    memcpy(c.state_hash.byte, hash.data, HASH256_SIZE);
    *ret = c;
    return true;
}

static enum err get_pages(struct wire *wire, uint64_t *next_page,
                          enum err (*pages)(void *self, uint64_t first_page,
                                            struct bytes bytes),
                          void *self)
{
    while (wire_left(wire)) {
        uint64_t space, first;
        struct bytes bytes;
        if (!get_array(wire, 3) || !wire_uint(wire, &space) || space != SPACE_MEMORY ||
            !wire_uint(wire, &first) || first < *next_page || first >= PAGE_COUNT ||
            !get_bin(wire, &bytes) || !bytes.size || bytes.size % PAGE_SIZE ||
            bytes.size / PAGE_SIZE > PAGE_COUNT - first)
            return ERR_trace_canonical;
        *next_page = first + bytes.size / PAGE_SIZE;
        TRY(pages(self, first, bytes));
    }
    return ERR_ok;
}

/* Find the first chunk of the checkpoint before event `seq`. */
static enum err find(struct walk *walk, uint64_t seq)
{
    for (;;) {
        bool end;
        TRY(trace_walk_next(walk, &end));
        if (end || (walk->chunk.kind == TRACE_CHUNK_EVENTS && walk->chunk.seq0 > seq))
            return ERR_not_found;
        if (walk->chunk.kind == TRACE_CHUNK_CHECKPOINT && walk->chunk.seq0 == seq)
            return ERR_ok;
    }
}

/* All its chunks; they share seq0. */
static enum err read_parts(struct walk *walk, struct arena *arena, uint64_t seq,
                           struct trace_pvm_checkpoint *ret_checkpoint,
                           enum err (*pages)(void *self, uint64_t first_page,
                                             struct bytes bytes),
                           void *self)
{
    struct trace_pvm_checkpoint checkpoint;
    struct wire wire = wire_of(walk->payload);
    uint64_t next_page = 0;
    bool end = false;
    if (!get_head(&wire, &checkpoint))
        return ERR_trace_canonical;
    checkpoint.registers.data =
        arena_copy(arena, checkpoint.registers.data, checkpoint.registers.size);
    checkpoint.access.data =
        arena_copy(arena, checkpoint.access.data, checkpoint.access.size);
    if (!checkpoint.registers.data || !checkpoint.access.data)
        return ERR_nomem;
    while (!end && walk->chunk.kind == TRACE_CHUNK_CHECKPOINT &&
           walk->chunk.seq0 == seq) {
        TRY(get_pages(&wire, &next_page, pages, self));
        TRY(trace_walk_next(walk, &end));
        wire = wire_of(walk->payload);
    }
    *ret_checkpoint = checkpoint;
    return ERR_ok;
}

enum err trace_checkpoint_read(
    struct arena *arena, const struct trace_source *source, uint64_t seq,
    struct trace_pvm_checkpoint *ret_checkpoint,
    enum err (*pages)(void *self, uint64_t first_page, struct bytes bytes), void *self)
{
    struct walk walk = {0};
    struct trace_fault fault;
    enum err err = trace_walk_open(&walk, arena, source, &fault);
    if (!err) {
        walk.thorough = true; /* or the payloads of a ring's checkpoints are skipped */
        err = find(&walk, seq);
    }
    if (!err)
        err = read_parts(&walk, arena, seq, ret_checkpoint, pages, self);
    trace_walk_fini(&walk);
    return err;
}
