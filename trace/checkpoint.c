/* SPDX-License-Identifier: MIT
 *
 * The records of a checkpoint [2.9]:
 *
 *   [version, full, icount, sub, gas, state_hash, machine]
 *   [space, first_page, bytes] ...     space 0: guest memory; whole pages, ascending
 *
 * machine of a PVM program: [registers, access, devices, charged, hash_at,
 * digest_count], of a pc: [state, fs, hash_at, digest_count, paged], of a kernel:
 * [state, images, caps_size, inside, begin_count, begin_icount, begin_sub, ecall_count,
 * invoke_count].
 */
#include "trace/checkpoint.h"
#include "trace/internal.h"

enum {
    VERSION = 1,
    SPACE_MEMORY = 0,
    PAGE_COUNT = 1 << 20,
    REGISTERS_SIZE = 120,
    NUMBERS_SIZE_MAX = 256, /* of all that is no bytes in a record */
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

void trace_pvm_machine_put(struct buf *machine, const struct trace_pvm_machine *m)
{
    struct packer packer =
        begin_record(machine, NUMBERS_SIZE_MAX + m->registers.size + m->access.size);
    if (packer.full)
        return;
    trace_pack_array(&packer, 6);
    trace_pack_bin(&packer, m->registers);
    trace_pack_bin(&packer, m->access);
    trace_pack_array(&packer, 0);
    trace_pack_uint(&packer, m->charged);
    trace_pack_uint(&packer, m->hash_at);
    trace_pack_uint(&packer, m->digest_count);
    end_record(machine, &packer);
}

void trace_pc_machine_put(struct buf *machine, const struct trace_pc_machine *m)
{
    struct packer packer =
        begin_record(machine, NUMBERS_SIZE_MAX + m->state.size + m->fs.size);
    if (packer.full)
        return;
    trace_pack_array(&packer, 5);
    trace_pack_bin(&packer, m->state);
    trace_pack_bin(&packer, m->fs);
    trace_pack_uint(&packer, m->hash_at);
    trace_pack_uint(&packer, m->digest_count);
    trace_pack_uint(&packer, m->paged);
    end_record(machine, &packer);
}

void trace_kernel_machine_put(struct buf *machine, const struct trace_kernel_machine *m)
{
    struct packer packer =
        begin_record(machine, NUMBERS_SIZE_MAX + m->state.size + m->images.size);
    if (packer.full)
        return;
    trace_pack_array(&packer, 9);
    trace_pack_bin(&packer, m->state);
    trace_pack_bin(&packer, m->images);
    trace_pack_uint(&packer, m->caps_size);
    trace_pack_uint(&packer, m->inside);
    trace_pack_uint(&packer, m->begin_count);
    trace_pack_uint(&packer, m->begin_icount);
    trace_pack_uint(&packer, m->begin_sub);
    trace_pack_uint(&packer, m->ecall_count);
    trace_pack_uint(&packer, m->invoke_count);
    end_record(machine, &packer);
}

void trace_checkpoint_put(struct buf *payload,
                          const struct trace_checkpoint *checkpoint)
{
    struct packer packer =
        begin_record(payload, NUMBERS_SIZE_MAX + checkpoint->machine.size);
    if (packer.full)
        return;
    trace_pack_array(&packer, 7);
    trace_pack_uint(&packer, VERSION);
    trace_pack_uint(&packer, checkpoint->full);
    trace_pack_uint(&packer, checkpoint->clock.icount);
    trace_pack_uint(&packer, checkpoint->clock.sub);
    trace_pack_uint(&packer, checkpoint->clock.gas);
    trace_pack_bin(&packer, bytes_of(checkpoint->state_hash.byte, HASH256_SIZE));
    memcpy(packer.at, checkpoint->machine.data, checkpoint->machine.size);
    packer.at += checkpoint->machine.size;
    end_record(payload, &packer);
}

void trace_checkpoint_put_pages(struct buf *payload, uint64_t first_page,
                                struct bytes bytes)
{
    struct packer packer = begin_record(payload, bytes.size + NUMBERS_SIZE_MAX);
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

enum err trace_pvm_machine_get(struct bytes machine, struct trace_pvm_machine *ret)
{
    struct wire wire = wire_of(machine);
    struct trace_pvm_machine m;
    if (!get_array(&wire, 6) || !get_bin(&wire, &m.registers) ||
        m.registers.size != REGISTERS_SIZE || !get_bin(&wire, &m.access) ||
        !get_array(&wire, 0) || !wire_uint(&wire, &m.charged) || m.charged > 1 ||
        !wire_uint(&wire, &m.hash_at) || !wire_uint(&wire, &m.digest_count) ||
        wire_left(&wire))
        return ERR_trace_canonical;
    *ret = m;
    return ERR_ok;
}

enum err trace_pc_machine_get(struct bytes machine, struct trace_pc_machine *ret)
{
    struct wire wire = wire_of(machine);
    struct trace_pc_machine m;
    if (!get_array(&wire, 5) || !get_bin(&wire, &m.state) || !get_bin(&wire, &m.fs) ||
        !wire_uint(&wire, &m.hash_at) || !wire_uint(&wire, &m.digest_count) ||
        !wire_uint(&wire, &m.paged) || (m.paged && m.fs.size) || wire_left(&wire))
        return ERR_trace_canonical;
    *ret = m;
    return ERR_ok;
}

enum err trace_kernel_machine_get(struct bytes machine,
                                  struct trace_kernel_machine *ret)
{
    struct wire wire = wire_of(machine);
    struct trace_kernel_machine m;
    if (!get_array(&wire, 9) || !get_bin(&wire, &m.state) ||
        !get_bin(&wire, &m.images) || m.images.size % HASH256_SIZE ||
        !wire_uint(&wire, &m.caps_size) || !wire_uint(&wire, &m.inside) ||
        m.inside > 1 || !wire_uint(&wire, &m.begin_count) ||
        !wire_uint(&wire, &m.begin_icount) || !wire_uint(&wire, &m.begin_sub) ||
        !wire_uint(&wire, &m.ecall_count) || !wire_uint(&wire, &m.invoke_count) ||
        wire_left(&wire))
        return ERR_trace_canonical;
    *ret = m;
    return ERR_ok;
}

/* The first record; `machine` points into it. */
static bool get_head(struct wire *wire, uint64_t seq, struct trace_checkpoint *ret)
{
    uint64_t version, full;
    struct bytes hash;
    struct trace_checkpoint c = {.seq = seq};
    if (!get_array(wire, 7) || !wire_uint(wire, &version) || version != VERSION ||
        !wire_uint(wire, &full) || full > 1 || !wire_uint(wire, &c.clock.icount) ||
        !wire_uint(wire, &c.clock.sub) || !wire_uint(wire, &c.clock.gas) ||
        !get_bin(wire, &hash) || hash.size != HASH256_SIZE)
        return false;
    const uint8_t *machine = wire->at;
    if (!trace_wire_skip(wire))
        return false;
    memcpy(c.state_hash.byte, hash.data, HASH256_SIZE);
    c.full = full;
    c.machine = bytes_of(machine, (size_t)(wire->at - machine));
    *ret = c;
    return true;
}

static enum err get_pages(struct wire *wire, uint64_t *next_page, trace_pages_fn *pages,
                          void *self)
{
    while (wire_left(wire)) {
        uint64_t space, first;
        struct bytes bytes;
        if (!get_array(wire, 3) || !wire_uint(wire, &space) || space != SPACE_MEMORY ||
            !wire_uint(wire, &first) || first < *next_page || first >= PAGE_COUNT ||
            !get_bin(wire, &bytes) || !bytes.size || bytes.size % TRACE_PAGE_SIZE ||
            bytes.size / TRACE_PAGE_SIZE > PAGE_COUNT - first)
            return ERR_trace_canonical;
        *next_page = first + bytes.size / TRACE_PAGE_SIZE;
        TRY(pages(self, first, bytes));
    }
    return ERR_ok;
}

/* The machine's bytes outlive the payload. */
static enum err keep_machine(struct arena *arena, struct trace_checkpoint *checkpoint)
{
    struct bytes *machine = &checkpoint->machine;
    machine->data = arena_copy(arena, machine->data, machine->size);
    return machine->data ? ERR_ok : ERR_nomem;
}

/* ---- where events go on ---- */

/* Find the first chunk of the checkpoint before event `seq`. */
static enum err find(struct walk *walk, uint64_t seq)
{
    for (;;) {
        bool end;
        TRY(trace_walk_next(walk, &end));
        if (end || (walk->chunk.kind == TRACE_CHUNK_EVENTS && walk->chunk.seq0 > seq))
            return ERR_not_found;
        bool goes_on = walk->chunk.flags & TRACE_CHUNK_BASE ||
                       walk->header.flags & TRACE_HEADER_RING;
        if (walk->chunk.kind == TRACE_CHUNK_CHECKPOINT && goes_on &&
            walk->chunk.seq0 == seq)
            return ERR_ok;
    }
}

/* All its chunks; they share seq0. */
static enum err read_parts(struct walk *walk, struct arena *arena, uint64_t seq,
                           struct trace_checkpoint *ret_checkpoint,
                           trace_pages_fn *pages, void *self)
{
    struct trace_checkpoint checkpoint;
    struct wire wire = wire_of(walk->payload);
    uint64_t next_page = 0;
    bool end = false;
    if (!get_head(&wire, seq, &checkpoint) || !checkpoint.full)
        return ERR_trace_canonical;
    TRY(keep_machine(arena, &checkpoint));
    while (!end && walk->chunk.kind == TRACE_CHUNK_CHECKPOINT &&
           walk->chunk.seq0 == seq) {
        TRY(get_pages(&wire, &next_page, pages, self));
        TRY(trace_walk_next(walk, &end));
        wire = wire_of(walk->payload);
    }
    *ret_checkpoint = checkpoint;
    return ERR_ok;
}

enum err trace_checkpoint_read(struct arena *arena, const struct trace_source *source,
                               uint64_t seq, struct trace_checkpoint *ret_checkpoint,
                               trace_pages_fn *pages, void *self)
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

/* ---- where a seek starts from ---- */

/* One row of the index [2.11]; false: not canonical. */
static bool get_row(struct wire *wire, struct trace_chunk *ret_row)
{
    uint64_t item[8];
    if (!get_array(wire, countof(item)))
        return false;
    for (size_t i = 0; i < countof(item); i++) {
        if (!wire_uint(wire, &item[i]))
            return false;
    }
    *ret_row = (struct trace_chunk){
        .kind = item[0] > UINT8_MAX ? UINT8_MAX : (uint8_t)item[0],
        .offset = item[1],
        .seq0 = item[2],
        .icount0 = item[3],
        .gas0 = item[5],
    };
    return true;
}

/* Collect the first chunk of each checkpoint; they must ascend. */
static enum err collect(struct bytes index, struct buf *refs)
{
    struct wire wire = wire_of(index);
    const struct trace_checkpoint_ref *last = NULL;
    while (wire_left(&wire)) {
        struct trace_chunk row;
        if (!get_row(&wire, &row))
            return ERR_trace_canonical;
        if (row.kind != TRACE_CHUNK_CHECKPOINT)
            continue;
        if (last && row.seq0 == last->seq && row.icount0 == last->clock.icount)
            continue; /* another part */
        if (last && row.icount0 <= last->clock.icount)
            return ERR_trace_sequence;
        const struct trace_checkpoint_ref ref = {
            row.offset, row.seq0, {.icount = row.icount0, .gas = row.gas0}};
        buf_put(refs, &ref, sizeof ref);
        TRY(refs->err);
        last = (const void *)(refs->data + refs->size - sizeof ref);
    }
    return ERR_ok;
}

/* BASE has the position of the events, which the state is behind: a seek there has the
 * start of the trace, which is that state. */
static enum err drop_base(struct walk *walk, struct buf *refs)
{
    struct trace_checkpoint_ref *ref = (void *)refs->data;
    size_t count = refs->size / sizeof *ref, kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct trace_chunk chunk;
        bool absent;
        TRY(trace_walk_read_header(walk, ref[i].offset, &chunk, &absent));
        if (chunk.kind != TRACE_CHUNK_CHECKPOINT || chunk.seq0 != ref[i].seq ||
            chunk.icount0 != ref[i].clock.icount)
            return ERR_trace_chunk;
        if (!(chunk.flags & TRACE_CHUNK_BASE))
            ref[kept++] = ref[i];
    }
    refs->size = kept * sizeof *ref;
    return ERR_ok;
}

static enum err list(struct walk *walk, const struct trace_source *source,
                     struct buf *refs)
{
    struct trace_ending ending;
    enum err err = trace_ending_read(walk, source, &ending);
    if (err == ERR_trace_truncated || (!err && walk->header.flags & TRACE_HEADER_RING))
        return ERR_ok;
    TRY(err);
    TRY(trace_walk_load(walk, &ending.index, &walk->raw));
    TRY(collect(buf_bytes(&walk->raw), refs));
    return drop_base(walk, refs);
}

static void init_buffers(struct walk *walk)
{
    buf_init(&walk->stored, RAW_SIZE_MAX + STORED_EXTRA_MAX);
    buf_init(&walk->raw, RAW_SIZE_MAX + STORED_EXTRA_MAX);
}

enum err trace_checkpoint_list(struct arena *arena, const struct trace_source *source,
                               struct trace_checkpoint_list *ret_list)
{
    struct walk walk = {0};
    struct buf refs;
    init_buffers(&walk);
    buf_init(&refs, RAW_SIZE_MAX);
    enum err err = list(&walk, source, &refs);
    size_t count = refs.size / sizeof(struct trace_checkpoint_ref);
    struct trace_checkpoint_ref *copy = NULL;
    if (!err && count) {
        copy = arena_new_array(arena, struct trace_checkpoint_ref, count);
        err = copy ? ERR_ok : ERR_nomem;
    }
    if (!err && count)
        memcpy(copy, refs.data, refs.size);
    if (!err)
        *ret_list = (struct trace_checkpoint_list){copy, count};
    buf_fini(&refs);
    trace_walk_fini(&walk);
    return err;
}

size_t trace_checkpoint_find(const struct trace_checkpoint_list *list, uint64_t icount)
{
    size_t low = 0, high = list->count; /* ref[low - 1] is not behind, ref[high] is */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->ref[middle].clock.icount > icount)
            high = middle;
        else
            low = middle + 1;
    }
    return low ? low - 1 : SIZE_MAX;
}

/* ---- one of them ---- */

static enum err load_chunk(struct walk *walk, uint64_t offset,
                           const struct trace_checkpoint_ref *ref, bool *ret_belongs)
{
    bool absent;
    enum err err = trace_walk_read_header(walk, offset, &walk->chunk, &absent);
    const struct trace_chunk *chunk = &walk->chunk;
    *ret_belongs = !err && chunk->kind == TRACE_CHUNK_CHECKPOINT &&
                   chunk->seq0 == ref->seq && chunk->icount0 == ref->clock.icount;
    if (!*ret_belongs)
        return err && !err_is_damage(err) ? err : ERR_ok;
    TRY(trace_walk_load(walk, chunk, &walk->raw));
    walk->payload = buf_bytes(&walk->raw);
    return ERR_ok;
}

/* The first record; `wire` then stands at the pages. */
static enum err load_head(struct walk *walk, const struct trace_checkpoint_ref *ref,
                          struct wire *wire, struct trace_checkpoint *ret_checkpoint)
{
    bool belongs;
    TRY(load_chunk(walk, ref->offset, ref, &belongs));
    if (!belongs)
        return ERR_trace_chunk;
    *wire = wire_of(walk->payload);
    if (!get_head(wire, ref->seq, ret_checkpoint) ||
        ret_checkpoint->clock.icount != ref->clock.icount)
        return ERR_trace_canonical;
    return ERR_ok;
}

/* All chunks of one checkpoint; of the last one wanted also the machine. */
static enum err load_parts(struct walk *walk, struct arena *arena,
                           const struct trace_checkpoint_ref *ref,
                           struct trace_checkpoint *ret_checkpoint,
                           trace_pages_fn *pages, void *self)
{
    struct wire wire;
    uint64_t next_page = 0;
    bool belongs = true;
    TRY(load_head(walk, ref, &wire, ret_checkpoint));
    if (arena)
        TRY(keep_machine(arena, ret_checkpoint));
    while (belongs) {
        TRY(get_pages(&wire, &next_page, pages, self));
        TRY(load_chunk(walk, chunk_end(&walk->chunk), ref, &belongs));
        wire = wire_of(walk->payload);
    }
    return ERR_ok;
}

enum err trace_checkpoint_load(struct arena *arena, const struct trace_source *source,
                               const struct trace_checkpoint_list *list, size_t index,
                               struct trace_checkpoint *ret_checkpoint,
                               trace_pages_fn *pages, void *self)
{
    struct walk walk = {.source = *source};
    struct trace_fault fault;
    struct trace_checkpoint checkpoint = {0};
    struct wire wire;
    size_t first = index + 1;
    init_buffers(&walk);
    enum err err = trace_header_read(source, &fault, &walk.header);
    while (!err && !checkpoint.full) {
        err = first ? load_head(&walk, &list->ref[--first], &wire, &checkpoint)
                    : ERR_trace_canonical;
    }
    for (; !err && first <= index; first++)
        err = load_parts(&walk, first == index ? arena : NULL, &list->ref[first],
                         &checkpoint, pages, self);
    if (!err)
        *ret_checkpoint = checkpoint;
    trace_walk_fini(&walk);
    return err;
}
