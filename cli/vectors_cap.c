/* SPDX-License-Identifier: MIT
 *
 * Conformance data of the kernel: a cap as JSON describes it, in its encoding.
 */
#include "cli/vectors_kernel.h"

#include <json-c/json.h>

enum { REPEAT_MAX = 1 << 16, CONTENT_MAX = 1 << 24, PATH_MAX_COUNT = 8 };

static void put_u32(struct buf *buf, uint64_t value)
{
    uint8_t bytes[4];
    kernel_u32_put(bytes, (uint32_t)value);
    buf_put(buf, bytes, sizeof bytes);
}

static void put_u64(struct buf *buf, uint64_t value)
{
    uint8_t bytes[8];
    kernel_u64_put(bytes, value);
    buf_put(buf, bytes, sizeof bytes);
}

/* A part whose offset stands at `slot` of the fixed part that begins at `base`. */
static void begin_part(struct buf *buf, size_t base, size_t slot)
{
    kernel_u32_put(buf->data + base + slot, (uint32_t)(buf->size - base));
}

static bool put_hash(struct cli_vectors *v, struct json_object *object, const char *key,
                     struct buf *buf)
{
    struct hash256 hash;
    if (!cli_vectors_hash(v, object, key, &hash))
        return false;
    buf_put(buf, hash.byte, HASH256_SIZE);
    return true;
}

static bool put_number(struct cli_vectors *v, struct json_object *object,
                       const char *key, unsigned size, struct buf *buf)
{
    uint64_t value, max = size == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * size) - 1;
    uint8_t bytes[8];
    if (!cli_vectors_u64(v, object, key, max, &value))
        return false;
    kernel_u64_put(bytes, value);
    buf_put(buf, bytes, size);
    return true;
}

static bool put_regs(struct cli_vectors *v, struct json_object *object, const char *key,
                     struct buf *buf)
{
    uint64_t reg[PVM_REG_COUNT];
    if (!cli_vectors_regs(v, object, key, reg))
        return false;
    for (int i = 0; i < PVM_REG_COUNT; i++)
        put_u64(buf, reg[i]);
    return true;
}

/* "content", repeated, then zeros up to "total_len". */
static bool put_content(struct cli_vectors *v, struct json_object *object,
                        struct buf *buf)
{
    struct bytes content;
    uint64_t repeat = 1, total = 0;
    if (!cli_vectors_bytes(v, object, "content", &content) ||
        (cli_vectors_has(object, "repeat") &&
         !cli_vectors_u64(v, object, "repeat", REPEAT_MAX, &repeat)) ||
        (cli_vectors_has(object, "total_len") &&
         !cli_vectors_u64(v, object, "total_len", CONTENT_MAX, &total)))
        return false;
    size_t begin = buf->size;
    for (uint64_t i = 0; i < repeat && !buf->err; i++)
        buf_put(buf, content.data, content.size);
    if (buf->size - begin < total)
        (void)buf_extend(buf, total - (buf->size - begin));
    return true;
}

/* {slot, hash} of a list. */
static bool put_entries(struct cli_vectors *v, struct json_object *object,
                        const char *key, struct buf *buf)
{
    struct json_object *list;
    size_t count;
    if (!cli_vectors_list(v, object, key, &list, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        if (!put_number(v, item, "slot", 4, buf) || !put_hash(v, item, "hash", buf))
            return false;
    }
    return true;
}

/* ---- instance ---- */

static bool put_overlays(struct cli_vectors *v, struct json_object *object,
                         struct buf *buf)
{
    struct json_object *list;
    size_t count, base = buf->size;
    if (!cli_vectors_list(v, object, "rw_overlays", &list, &count))
        return false;
    if (count)
        (void)buf_extend(buf, 4 * count);
    for (size_t i = 0; i < count && !buf->err; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        begin_part(buf, base, 4 * i);
        if (!put_number(v, item, "start", 4, buf))
            return false;
        put_u32(buf, 8);
        if (!put_content(v, item, buf))
            return false;
    }
    return true;
}

static bool put_instance(struct cli_vectors *v, struct json_object *inputs,
                         struct buf *buf)
{
    return put_hash(v, inputs, "image_hash_chain", buf) &&
           put_hash(v, inputs, "image_hash", buf) &&
           put_hash(v, inputs, "root_cnode", buf) && (put_u32(buf, 224), true) &&
           put_number(v, inputs, "mem_size", 4, buf) &&
           put_regs(v, inputs, "regs", buf) && put_number(v, inputs, "pc", 8, buf) &&
           put_number(v, inputs, "gas_remaining", 8, buf) &&
           put_overlays(v, inputs, buf);
}

/* ---- image ---- */

static bool put_bytes(struct cli_vectors *v, struct json_object *inputs,
                      const char *key, struct buf *buf)
{
    struct bytes bytes;
    if (!cli_vectors_bytes(v, inputs, key, &bytes))
        return false;
    buf_put(buf, bytes.data, bytes.size);
    return true;
}

static bool put_jumps(struct cli_vectors *v, struct json_object *inputs,
                      struct buf *buf)
{
    struct json_object *list;
    size_t count;
    if (!cli_vectors_list(v, inputs, "jump_table", &list, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!put_number(v, json_object_array_get_idx(list, i), NULL, 4, buf))
            return false;
    }
    return true;
}

static bool put_endpoints(struct cli_vectors *v, struct json_object *inputs,
                          struct buf *buf)
{
    struct json_object *list;
    size_t count;
    if (!cli_vectors_list(v, inputs, "endpoints", &list, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        uint64_t repeat = 1;
        if (cli_vectors_has(item, "repeat") &&
            !cli_vectors_u64(v, item, "repeat", REPEAT_MAX, &repeat))
            return false;
        for (uint64_t j = 0; j < repeat && !buf->err; j++) {
            if (!put_number(v, item, "entry_pc", 8, buf) ||
                !put_number(v, item, "stack_top", 8, buf) ||
                !put_number(v, item, "arg_cnode_slot", 4, buf) ||
                !put_number(v, item, "arg_cnode_size", 1, buf) ||
                !put_regs(v, item, "initial_regs", buf))
                return false;
        }
    }
    return true;
}

static bool put_mappings(struct cli_vectors *v, struct json_object *inputs,
                         struct buf *buf)
{
    struct json_object *list, *path;
    size_t count, path_count;
    if (!cli_vectors_list(v, inputs, "mappings", &list, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        if (!put_number(v, item, "start", 8, buf) ||
            !put_number(v, item, "size", 8, buf) ||
            !cli_vectors_list(v, item, "source_path", &path, &path_count))
            return false;
        if (path_count > PATH_MAX_COUNT)
            return cli_vectors_bad(v, "source_path is too long");
        for (size_t j = 0; j < path_count; j++) {
            if (!put_number(v, json_object_array_get_idx(path, j), NULL, 4, buf))
                return false;
        }
        if (path_count < PATH_MAX_COUNT)
            (void)buf_extend(buf, 4 * (PATH_MAX_COUNT - path_count));
        buf_byte(buf, (uint8_t)path_count);
    }
    return true;
}

static bool put_yield_slot(struct cli_vectors *v, struct json_object *inputs,
                           struct buf *buf)
{
    struct json_object *slot = NULL;
    bool some =
        json_object_object_get_ex(inputs, "yield_marker_slot", &slot) && slot != NULL;
    buf_byte(buf, some);
    return !some || put_number(v, inputs, "yield_marker_slot", 4, buf);
}

static bool put_pinned(struct cli_vectors *v, struct json_object *inputs,
                       struct buf *buf)
{
    return put_entries(v, inputs, "pinned", buf);
}

static bool put_initial(struct cli_vectors *v, struct json_object *inputs,
                        struct buf *buf)
{
    return put_entries(v, inputs, "initial", buf);
}

static bool put_code(struct cli_vectors *v, struct json_object *inputs, struct buf *buf)
{
    return put_bytes(v, inputs, "code", buf);
}

static bool put_bitmask(struct cli_vectors *v, struct json_object *inputs,
                        struct buf *buf)
{
    return put_bytes(v, inputs, "bitmask", buf);
}

static bool put_image(struct cli_vectors *v, struct json_object *inputs,
                      struct buf *buf)
{
    static bool (*const part[])(struct cli_vectors *, struct json_object *,
                                struct buf *) = {
        put_code,     put_bitmask, put_jumps,   put_endpoints,
        put_mappings, put_pinned,  put_initial, put_yield_slot};
    size_t base = buf->size;
    (void)buf_extend(buf, 4 * countof(part));
    for (size_t i = 0; i < countof(part); i++) {
        if (buf->err)
            return true;
        begin_part(buf, base, 4 * i);
        if (!part[i](v, inputs, buf))
            return false;
    }
    return true;
}

/* ---- any cap ---- */

static bool put_cap(struct cli_vectors *v, struct json_object *inputs,
                    enum kernel_kind kind, struct buf *buf)
{
    switch (kind) {
    case KERNEL_KIND_INSTANCE:
        return put_instance(v, inputs, buf);
    case KERNEL_KIND_IMAGE:
        return put_image(v, inputs, buf);
    case KERNEL_KIND_DATA:
        put_u32(buf, 4);
        return put_content(v, inputs, buf);
    case KERNEL_KIND_CNODE:
        if (!put_number(v, inputs, "size_log", 1, buf))
            return false;
        put_u32(buf, 5);
        return put_entries(v, inputs, "slots", buf);
    case KERNEL_KIND_TYPE:
        break;
    }
    return put_hash(v, inputs, "image_hash_chain", buf);
}

bool cli_vectors_cap(struct cli_vectors *v, struct json_object *inputs,
                     enum kernel_kind kind, struct buf *wire)
{
    buf_byte(wire, (uint8_t)kind);
    if (!put_cap(v, inputs, kind, wire))
        return false;
    return !wire->err || cli_vectors_bad(v, "%s", err_text(wire->err));
}
