/* SPDX-License-Identifier: MIT
 *
 * Entries of a manifest's "caps": from files, or made here.
 */
#include "cli/manifest.h"

#include "base/os.h"
#include "kernel/encode.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

enum { CAP_FILE_MAX = 1 << 26, NAME_MAX_SIZE = 256, OVERLAY_MAX = 64 };

static bool put(struct cli_manifest *m, struct bytes wire, struct hash256 *ret_hash)
{
    enum kernel_status status;
    enum err err = replay_kernel_put(m->session, wire, &status, ret_hash);
    if (err)
        return cli_manifest_fail(m, err);
    return !status ||
           cli_manifest_bad(m, "a cap is refused: %s", kernel_status_name(status));
}

/* Put what is in the buffer, under this name. */
static bool put_named(struct cli_manifest *m, const char *name, struct buf *wire)
{
    struct hash256 hash;
    if (wire->err)
        return cli_manifest_fail(m, wire->err);
    return put(m, buf_bytes(wire), &hash) && cli_manifest_name(m, name, &hash);
}

/* A path of the manifest is relative to it. */
static bool read_file(struct cli_manifest *m, const char *path, struct buf *file)
{
    struct buf full;
    const char *slash = strrchr(m->path, '/');
    buf_init(&full, 1 << 16);
    if (slash && path[0] != '/')
        buf_put(&full, m->path, (size_t)(slash - m->path) + 1);
    buf_text(&full, path);
    enum err err = full.err;
    if (!err)
        err = m->read ? m->read(m->self, buf_string(&full), file)
                      : os_file_read(buf_string(&full), file);
    bool ok = !err || cli_manifest_bad(m, "%s: %s", path, err_text(err));
    buf_fini(&full);
    return ok;
}

/* ---- files ---- */

static bool name_part(struct cli_manifest *m, const char *name, const char *part,
                      const struct hash256 *hash)
{
    struct buf text;
    buf_init(&text, NAME_MAX_SIZE);
    buf_printf(&text, "%s%s", name, part);
    bool ok = text.err ? cli_manifest_bad(m, "a name is too long")
                       : cli_manifest_name(m, buf_string(&text), hash);
    buf_fini(&text);
    return ok;
}

/* {u32 size, encoding} until the end, as `lockstep link -f image` writes it. */
static bool put_bundle(struct cli_manifest *m, const char *name, struct bytes file)
{
    static const char *const part[] = {"", ".image", ".data", ".cnode", ".type"};
    while (file.size) {
        struct hash256 hash;
        uint32_t size = file.size >= 4 ? kernel_u32(file.data) : 0;
        if (!size || size > file.size - 4)
            return cli_manifest_bad(m, "%s: no list of caps", name);
        struct bytes wire = bytes_of(file.data + 4, size);
        if (!put(m, wire, &hash) || !name_part(m, name, part[wire.data[0]], &hash))
            return false;
        file = bytes_of(file.data + 4 + size, file.size - 4 - size);
    }
    return true;
}

static bool cap_file(struct cli_manifest *m, struct json_object *cap, const char *name)
{
    struct buf file;
    const char *path, *key = cli_manifest_get(cap, "caps") ? "caps" : "cap";
    if (!cli_manifest_text(m, cap, key, &path))
        return false;
    buf_init(&file, CAP_FILE_MAX);
    bool ok = read_file(m, path, &file) &&
              (!strcmp(key, "caps") ? put_bundle(m, name, buf_bytes(&file))
                                    : put_named(m, name, &file));
    buf_fini(&file);
    return ok;
}

/* ---- data ---- */

static bool cap_data(struct cli_manifest *m, struct json_object *cap, const char *name)
{
    struct buf content, wire;
    const char *text;
    bool is_file = cli_manifest_get(cap, "data_file") != NULL, ok;
    buf_init(&content, CAP_FILE_MAX);
    buf_init(&wire, CAP_FILE_MAX);
    ok = cli_manifest_text(m, cap, is_file ? "data_file" : "data", &text);
    if (ok && is_file)
        ok = read_file(m, text, &content);
    else if (ok)
        buf_text(&content, text);
    if (ok) {
        kernel_encode_data(buf_bytes(&content), &wire);
        ok = put_named(m, name, &wire);
    }
    buf_fini(&content);
    buf_fini(&wire);
    return ok;
}

static bool cap_type(struct cli_manifest *m, struct json_object *cap, const char *name)
{
    const char *text;
    struct hash256 chain;
    struct buf wire;
    if (!cli_manifest_text(m, cap, "type", &text) ||
        !cli_manifest_hash(m, text, &chain))
        return false;
    buf_init(&wire, 64);
    kernel_encode_type(&chain, &wire);
    bool ok = put_named(m, name, &wire);
    buf_fini(&wire);
    return ok;
}

/* ---- slots ---- */

static int by_slot(const void *a, const void *b)
{
    uint32_t x = ((const struct kernel_entry *)a)->slot;
    uint32_t y = ((const struct kernel_entry *)b)->slot;
    return (x > y) - (x < y);
}

/* {"5": "name", …} over the entries that a cnode has already. */
static bool read_slots(struct cli_manifest *m, struct json_object *slots,
                       struct kernel_entry **ret_entry, uint32_t *count)
{
    size_t more = (size_t)json_object_object_length(slots);
    struct kernel_entry *entry =
        arena_new_array(&m->arena, struct kernel_entry, *count + more + 1);
    if (!entry)
        return cli_manifest_fail(m, ERR_nomem);
    if (*count)
        memcpy(entry, *ret_entry, *count * sizeof *entry);
    json_object_object_foreach(slots, key, value)
    {
        uint64_t slot;
        struct hash256 hash;
        uint32_t i = 0;
        if (!cli_number(key, &slot) || slot > UINT16_MAX ||
            !json_object_is_type(value, json_type_string))
            return cli_manifest_bad(m, "slot \"%.20s\": a number and a name", key);
        if (!cli_manifest_hash(m, json_object_get_string(value), &hash))
            return false;
        while (i < *count && entry[i].slot != slot)
            i++;
        entry[i] = (struct kernel_entry){(uint32_t)slot, hash};
        *count += i == *count;
    }
    qsort(entry, *count, sizeof *entry, by_slot);
    *ret_entry = entry;
    return true;
}

static bool cap_cnode(struct cli_manifest *m, struct json_object *cap, const char *name)
{
    struct kernel_entry *entry = NULL;
    uint32_t count = 0;
    uint64_t size_log;
    struct buf wire;
    struct json_object *slots = cli_manifest_get(cap, "cnode");
    if (!json_object_is_type(slots, json_type_object))
        return cli_manifest_bad(m, "\"cnode\" is no object of slots");
    if (!cli_manifest_u64(m, cap, "size_log", 8, KERNEL_CNODE_LOG_MAX, &size_log) ||
        !read_slots(m, slots, &entry, &count))
        return false;
    buf_init(&wire, CAP_FILE_MAX);
    kernel_encode_cnode((uint8_t)size_log, entry, count, &wire);
    bool ok = put_named(m, name, &wire);
    buf_fini(&wire);
    return ok;
}

/* ---- an instance like another one, with more in its slots ---- */

static bool find_cap(struct cli_manifest *m, const struct hash256 *hash,
                     enum kernel_kind kind, struct kernel_cap *ret_cap)
{
    struct bytes wire;
    if (kernel_get(replay_kernel_of(m->session), hash, &wire))
        return cli_manifest_bad(m, "an instance is not complete");
    check(!kernel_wire_decode(wire, ret_cap));
    return ret_cap->kind == kind || cli_manifest_bad(m, "\"instance\" names none");
}

static bool put_like(struct cli_manifest *m, const struct kernel_instance *like,
                     const struct hash256 *cnode, const char *name)
{
    struct kernel_overlay overlay[OVERLAY_MAX];
    struct kernel_instance_parts parts = {.chain = &like->chain,
                                          .image = &like->image,
                                          .root_cnode = cnode,
                                          .overlay = overlay,
                                          .overlay_count = like->overlay_count,
                                          .mem_size = like->mem_size};
    if (like->overlay_count > OVERLAY_MAX)
        return cli_manifest_bad(m, "an instance has too many overlays");
    for (uint32_t i = 0; i < like->overlay_count; i++)
        overlay[i] = kernel_instance_overlay(like, i);
    for (int i = 0; i < PVM_REG_COUNT; i++)
        parts.reg[i] = kernel_u64(like->reg + 8 * i);
    struct buf wire;
    buf_init(&wire, (size_t)1 << 30);
    kernel_encode_instance(&parts, &wire);
    bool ok = put_named(m, name, &wire);
    buf_fini(&wire);
    return ok;
}

static bool cap_instance(struct cli_manifest *m, struct json_object *cap,
                         const char *name)
{
    const char *like;
    struct hash256 hash;
    struct kernel_cap instance, cnode;
    struct json_object *slots = cli_manifest_get(cap, "slots");
    if (!cli_manifest_text(m, cap, "instance", &like) ||
        !cli_manifest_hash(m, like, &hash) ||
        !find_cap(m, &hash, KERNEL_KIND_INSTANCE, &instance) ||
        !find_cap(m, &instance.instance.root_cnode, KERNEL_KIND_CNODE, &cnode))
        return false;
    if (!json_object_is_type(slots, json_type_object))
        return cli_manifest_bad(m, "\"slots\" is no object");
    uint32_t count = cnode.cnode.entries.count;
    struct kernel_entry *entry =
        arena_new_array(&m->arena, struct kernel_entry, count + 1);
    if (!entry)
        return cli_manifest_fail(m, ERR_nomem);
    for (uint32_t i = 0; i < count; i++)
        entry[i] = (struct kernel_entry){kernel_entry_slot(cnode.cnode.entries, i),
                                         kernel_entry_hash(cnode.cnode.entries, i)};
    if (!read_slots(m, slots, &entry, &count))
        return false;
    struct buf wire;
    buf_init(&wire, CAP_FILE_MAX);
    kernel_encode_cnode(cnode.cnode.size_log, entry, count, &wire);
    bool ok = put(m, buf_bytes(&wire), &hash);
    buf_fini(&wire);
    return ok && put_like(m, &instance.instance, &hash, name);
}

bool cli_manifest_cap(struct cli_manifest *m, struct json_object *cap)
{
    static const struct {
        const char *key;
        bool (*put)(struct cli_manifest *m, struct json_object *cap, const char *name);
    } kind[] = {{"caps", cap_file},        {"cap", cap_file},    {"data", cap_data},
                {"data_file", cap_data},   {"cnode", cap_cnode}, {"type", cap_type},
                {"instance", cap_instance}};
    const char *name;
    if (!cli_manifest_text(m, cap, "name", &name))
        return false;
    for (size_t i = 0; i < countof(kind); i++) {
        if (cli_manifest_get(cap, kind[i].key))
            return kind[i].put(m, cap, name);
    }
    return cli_manifest_bad(m,
                            "cap %.60s: caps, cap, data, data_file, cnode, type or "
                            "instance",
                            name);
}
