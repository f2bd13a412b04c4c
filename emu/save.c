/* SPDX-License-Identifier: MIT
 *
 * One walk over emu/state.def serves saving, loading and comparing.
 */
#include "emu/save.h"

#include "base/hash_tree.h"

#include <string.h>

enum part { PART_registers = 1, PART_devices = 2, PART_ALL = 3 };

struct walk {
    unsigned parts; /* enum part, or-ed */
    bool on;        /* the present part is wanted */
    const char *group;
    unsigned index;
    /* One field: `at` points to a number or bytes of `size`. */
    void (*field)(struct walk *walk, const char *name, void *at, size_t size,
                  bool number, uint64_t max);

    struct buf *out;        /* saving, comparing */
    struct bytes in, other; /* loading, comparing */
    const char *bad;        /* loading: the first field that is wrong */
    const char *bad_group;
    unsigned bad_index;
    uint64_t differ_count;
    unsigned count_max;
};

static struct emu_virtq *queue_at(struct emu_pc *pc, unsigned i)
{
    return &pc->fs[i / EMU_VIRTQ_COUNT].virtio.queue[i % EMU_VIRTQ_COUNT];
}

static void visit(struct walk *walk, const char *name, void *at, size_t size,
                  bool number, uint64_t max)
{
    if (walk->on)
        walk->field(walk, name, at, size, number, max);
}

static void walk_state(struct emu_pc *pc, struct walk *walk)
{
#define MARK(name) walk->on = walk->parts & PART_##name;
#define FIELD(name, lvalue, max)                                                       \
    visit(walk, name, &(lvalue), sizeof(lvalue), true, max);
#define BYTES(name, array) visit(walk, name, array, sizeof(array), false, 0);
#define EACH(name, type, pointer, count)                                               \
    for (unsigned i = 0; i < (count); i++) {                                           \
        type *e = (pointer);                                                           \
        walk->group = name;                                                            \
        walk->index = i;
#define END                                                                            \
    walk->group = NULL;                                                                \
    }
#include "emu/state.def"
}

/* ---- numbers ---- */

static uint64_t number_of(const void *at, size_t size)
{
    switch (size) {
    case 1:
        return *(const uint8_t *)at;
    case 2:
        return *(const uint16_t *)at;
    case 4:
        return *(const uint32_t *)at;
    default:
        return *(const uint64_t *)at;
    }
}

static void set_number(void *at, size_t size, uint64_t value)
{
    switch (size) {
    case 1:
        *(uint8_t *)at = (uint8_t)value;
        break;
    case 2:
        *(uint16_t *)at = (uint16_t)value;
        break;
    case 4:
        *(uint32_t *)at = (uint32_t)value;
        break;
    default:
        *(uint64_t *)at = value;
        break;
    }
}

static uint64_t load(const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static void advance(struct bytes *bytes, size_t size)
{
    *bytes = bytes_of(bytes->data + size, bytes->size - size);
}

/* ---- save ---- */

static void save_field(struct walk *walk, const char *name, void *at, size_t size,
                       bool number, uint64_t max)
{
    (void)name;
    (void)max;
    if (!number) {
        buf_put(walk->out, at, size);
        return;
    }
    uint8_t bytes[8];
    uint64_t value = number_of(at, size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    buf_put(walk->out, bytes, size);
}

/* ---- what is in flight behind the queues: index, size, bytes of each device that has
 * something ---- */

enum { FLIGHT_HEAD = 8 };

static void put_number(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static void save_flight(const struct emu_virtio *virtio, uint32_t index,
                        struct buf *buf)
{
    size_t start = buf->size;
    if (!virtio->ops || !virtio->ops->save || !buf_extend(buf, FLIGHT_HEAD))
        return;
    virtio->ops->save(virtio->ops_self, buf);
    if (buf->err)
        return;
    size_t size = buf->size - start - FLIGHT_HEAD;
    put_number(buf->data + start, index);
    put_number(buf->data + start + 4, (uint32_t)size);
    if (!size)
        buf->size = start;
}

/* Everything in it is for a device, in rising order; a device without has nothing. */
static bool load_flights(struct emu_pc *pc, struct bytes in)
{
    for (uint32_t i = 0; i < pc->config.fs_count; i++) {
        const struct emu_virtio *virtio = &pc->fs[i].virtio;
        struct bytes state = {0};
        if (in.size >= FLIGHT_HEAD && load(in.data, 4) == i) {
            uint64_t size = load(in.data + 4, 4);
            if (!size || size > in.size - FLIGHT_HEAD)
                return false;
            state = bytes_of(in.data + FLIGHT_HEAD, (size_t)size);
            advance(&in, FLIGHT_HEAD + (size_t)size);
        }
        if (virtio->ops && virtio->ops->load
                ? !virtio->ops->load(virtio->ops_self, state)
                : state.size != 0)
            return false;
    }
    return !in.size;
}

static void save_parts(const struct emu_pc *pc, unsigned parts, struct buf *buf)
{
    struct walk walk = {.parts = parts, .field = save_field, .out = buf};
    /* The walk is the same for writing; saving does not write. */
    walk_state((struct emu_pc *)(uintptr_t)pc, &walk);
    for (uint32_t i = 0; parts & PART_devices && i < pc->config.fs_count; i++)
        save_flight(&pc->fs[i].virtio, i, buf);
}

void emu_pc_save(const struct emu_pc *pc, struct buf *buf)
{
    save_parts(pc, PART_ALL, buf);
}

/* ---- load ---- */

static void load_field(struct walk *walk, const char *name, void *at, size_t size,
                       bool number, uint64_t max)
{
    if (walk->bad)
        return;
    bool good = walk->in.size >= size;
    if (good && number) {
        uint64_t value = load(walk->in.data, size);
        good = value <= max;
        if (good)
            set_number(at, size, value);
    } else if (good) {
        memcpy(at, walk->in.data, size);
    }
    if (good) {
        advance(&walk->in, size);
        return;
    }
    walk->bad = name;
    walk->bad_group = walk->group;
    walk->bad_index = walk->index;
}

static void put_name(struct buf *text, const char *group, unsigned index,
                     const char *name)
{
    if (group)
        buf_printf(text, "%s[%u].%s", group, index, name);
    else
        buf_text(text, name);
}

static enum err bad_field(const struct walk *walk, char *ret_field, size_t field_size)
{
    struct buf text;
    buf_init(&text, field_size);
    put_name(&text, walk->bad_group, walk->bad_index, walk->bad ? walk->bad : "size");
    size_t size = text.size < field_size ? text.size : field_size - 1;
    memcpy(ret_field, buf_string(&text), size);
    ret_field[size] = 0;
    buf_fini(&text);
    return ERR_state;
}

/* Sizes of queues are powers of two, whatever the range says; their rings are in RAM.
 */
static bool queues_good(const struct emu_pc *pc)
{
    for (uint32_t i = 0; i < pc->config.fs_count; i++) {
        for (unsigned q = 0; q < EMU_VIRTQ_COUNT; q++) {
            if (!emu_virtio_queue_good(&pc->fs[i].virtio, q))
                return false;
        }
    }
    return true;
}

enum err emu_pc_load(struct emu_pc *pc, struct bytes state, char *ret_field,
                     size_t field_size)
{
    struct walk walk = {.parts = PART_ALL, .field = load_field, .in = state};
    walk_state(pc, &walk);
    if (!walk.bad && !queues_good(pc))
        walk.bad = "virtq";
    if (!walk.bad && !load_flights(pc, walk.in))
        walk.bad = walk.in.size < FLIGHT_HEAD ? "size" : "in flight";
    if (walk.bad)
        return bad_field(&walk, ret_field, field_size);
    pc->cause = EMU_RESET_NONE;
    emu_pc_loaded(pc);
    return ERR_ok;
}

/* ---- compare ---- */

static void diff_field(struct walk *walk, const char *name, void *at, size_t size,
                       bool number, uint64_t max)
{
    (void)at;
    (void)max;
    if (walk->in.size < size || walk->other.size < size)
        return;
    if (memcmp(walk->in.data, walk->other.data, size) != 0 &&
        walk->differ_count++ < walk->count_max) {
        put_name(walk->out, walk->group, walk->index, name);
        size_t first = 0;
        while (!number && walk->in.data[first] == walk->other.data[first])
            first++;
        if (!number)
            buf_printf(walk->out, "+%zu", first);
        size_t part = number ? size : 1;
        buf_printf(walk->out, " %llu, %llu\n",
                   (unsigned long long)load(walk->in.data + first, part),
                   (unsigned long long)load(walk->other.data + first, part));
    }
    advance(&walk->in, size);
    advance(&walk->other, size);
}

uint64_t emu_pc_diff(const struct emu_pc *pc, struct bytes a, struct bytes b,
                     unsigned count_max, struct buf *text)
{
    struct walk walk = {.parts = PART_ALL,
                        .field = diff_field,
                        .in = a,
                        .other = b,
                        .out = text,
                        .count_max = count_max};
    walk_state((struct emu_pc *)(uintptr_t)pc, &walk);
    if ((walk.in.size != walk.other.size ||
         (walk.in.size && memcmp(walk.in.data, walk.other.data, walk.in.size) != 0)) &&
        walk.differ_count++ < count_max)
        buf_printf(text, "in flight %zu bytes, %zu bytes\n", walk.in.size,
                   walk.other.size);
    return walk.differ_count;
}

/* ---- digests ---- */

static struct hash256 hash_parts(const struct emu_pc *pc, unsigned parts,
                                 struct buf *buf)
{
    buf_clear(buf);
    save_parts(pc, parts, buf);
    check(buf->err == ERR_ok);
    return hash256_of(buf->data, buf->size);
}

struct hash256 emu_pc_hash_registers(const struct emu_pc *pc, struct buf *buf)
{
    return hash_parts(pc, PART_registers, buf);
}

struct hash256 emu_pc_hash_devices(const struct emu_pc *pc, struct buf *buf)
{
    return hash_parts(pc, PART_devices, buf);
}

struct emu_ram_hash {
    struct emu_ram *ram;
    struct hash256_tree *tree;
};

/* Room for all leaves now, so that hashing cannot fail. */
enum err emu_ram_hash_create(struct arena *arena, struct emu_ram *ram,
                             struct emu_ram_hash **ret_hash)
{
    struct emu_ram_hash *hash = arena_new(arena, struct emu_ram_hash);
    uint32_t page_count = ram->size / EMU_PAGE_SIZE;
    unsigned levels = 0;
    if (!hash)
        return ERR_nomem;
    hash->ram = ram;
    while (1u << levels < page_count)
        levels++;
    /* RAM began as zeros, and every store since then has marked its page. */
    TRY(hash256_tree_create(arena, levels, &hash->tree));
    for (uint32_t page = 0; page < page_count; page += HASH256_TREE_GROUP)
        TRY(hash256_tree_reserve(hash->tree, page));
    *ret_hash = hash;
    return ERR_ok;
}

enum { BATCH = 64 };

static void hash_batch(struct emu_ram_hash *hash, const uint32_t *pages, size_t count)
{
    const uint8_t *data[BATCH] = {0};
    struct hash256 result[BATCH];
    for (size_t i = 0; i < count; i++)
        data[i] = hash->ram->bytes + (size_t)pages[i] * EMU_PAGE_SIZE;
    hash256_of_many(data, count, EMU_PAGE_SIZE, result);
    for (size_t i = 0; i < count; i++)
        hash256_tree_set(hash->tree, pages[i], &result[i]);
}

struct hash256 emu_ram_hash(struct emu_ram_hash *hash)
{
    uint32_t pages[BATCH];
    size_t count = 0;
    for (uint32_t i = 0; i < hash->ram->size / EMU_PAGE_SIZE; i++) {
        if (!hash->ram->dirty[i])
            continue;
        pages[count++] = i;
        if (count == BATCH) {
            hash_batch(hash, pages, count);
            count = 0;
        }
    }
    hash_batch(hash, pages, count);
    emu_ram_clear_dirty(hash->ram);
    return hash256_tree_root(hash->tree);
}

struct hash256 emu_pc_hash(const struct emu_pc *pc, struct emu_ram_hash *ram,
                           struct buf *buf)
{
    const struct hash256 registers = emu_pc_hash_registers(pc, buf),
                         memory = emu_ram_hash(ram),
                         access = hash256_of(NULL, 0), /* its pages are all alike */
        devices = emu_pc_hash_devices(pc, buf);
    return hash256_of_state(&registers, &memory, &access, &devices);
}
