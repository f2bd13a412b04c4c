/* SPDX-License-Identifier: MIT
 *
 * A manifest: reading it, and publishing what it describes.
 */
#include "cli/manifest.h"

#include "base/os.h"
#include "kernel/cap.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FILE_MAX = 1 << 24, JSON_DEPTH_MAX = 16 };
#define ARENA_MAX ((size_t)1 << 30)

struct manifest_name {
    struct manifest_name *next;
    const char *text;
    struct hash256 hash;
};

bool cli_manifest_bad(struct cli_manifest *m, const char *format, ...)
{
    va_list args;
    if (m->status)
        return false;
    va_start(args, format);
    (void)vsnprintf(m->message, sizeof m->message, format, args);
    va_end(args);
    m->status = CLI_UNKNOWN;
    if (m->cli)
        ui_error(m->cli, "%s: %s", m->path, m->message);
    return false;
}

bool cli_manifest_fail(struct cli_manifest *m, enum err err)
{
    if (m->status)
        return false;
    m->status = CLI_UNKNOWN;
    (void)snprintf(m->message, sizeof m->message, "%s", err_text(err));
    if (m->cli)
        m->status = ui_fail(m->cli, err, m->path);
    return false;
}

/* ---- names ---- */

bool cli_manifest_name(struct cli_manifest *m, const char *name,
                       const struct hash256 *hash)
{
    struct manifest_name *own = arena_new(&m->arena, struct manifest_name);
    char *text = arena_copy(&m->arena, name, strlen(name) + 1);
    if (!own || !text)
        return cli_manifest_fail(m, ERR_nomem);
    *own = (struct manifest_name){.next = m->name, .text = text, .hash = *hash};
    m->name = own;
    return true;
}

static bool hex_hash(const char *text, struct hash256 *ret_hash)
{
    struct hash256 hash;
    if (strlen(text) != 2 * HASH256_SIZE)
        return false;
    for (size_t i = 0; i < HASH256_SIZE; i++) {
        unsigned byte = 0;
        for (size_t j = 0; j < 2; j++) {
            const char *digits = "0123456789abcdef";
            const char *at = strchr(digits, text[2 * i + j]);
            if (!at)
                return false;
            byte = byte << 4 | (unsigned)(at - digits);
        }
        hash.byte[i] = (uint8_t)byte;
    }
    *ret_hash = hash;
    return true;
}

bool cli_manifest_hash(struct cli_manifest *m, const char *text,
                       struct hash256 *ret_hash)
{
    for (const struct manifest_name *n = m->name; n; n = n->next) {
        if (strcmp(n->text, text) == 0) {
            *ret_hash = n->hash;
            return true;
        }
    }
    for (int i = 0; i < KERNEL_ID_COUNT; i++) {
        if (!strncmp(text, "kernel:", 7) && !strcmp(text + 7, kernel_id_name[i])) {
            *ret_hash = kernel_id(text + 7);
            return true;
        }
    }
    return hex_hash(text, ret_hash) ||
           cli_manifest_bad(m, "'%.60s' is no name, hash or kernel id", text);
}

/* ---- JSON ---- */

struct json_object *cli_manifest_get(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;
    (void)json_object_object_get_ex(object, key, &value);
    return value;
}

bool cli_manifest_text(struct cli_manifest *m, struct json_object *object,
                       const char *key, const char **ret_text)
{
    struct json_object *value = cli_manifest_get(object, key);
    if (!json_object_is_type(value, json_type_string) ||
        strlen(json_object_get_string(value)) !=
            (size_t)json_object_get_string_len(value))
        return cli_manifest_bad(m, "\"%s\" is missing, or no text", key);
    *ret_text = json_object_get_string(value);
    return true;
}

bool cli_manifest_u64(struct cli_manifest *m, struct json_object *object,
                      const char *key, uint64_t absent, uint64_t max,
                      uint64_t *ret_value)
{
    struct json_object *value = key ? cli_manifest_get(object, key) : object;
    if (!value && key) {
        *ret_value = absent;
        return true;
    }
    uint64_t number = json_object_get_uint64(value);
    if (!json_object_is_type(value, json_type_int) ||
        json_object_get_int64(value) < 0 || number > max)
        return cli_manifest_bad(m, "%s is no number from 0 to %llu",
                                key ? key : "an item", (unsigned long long)max);
    *ret_value = number;
    return true;
}

bool cli_manifest_list(struct cli_manifest *m, struct json_object *object,
                       const char *key, struct json_object **ret_list,
                       size_t *ret_count)
{
    struct json_object *list = cli_manifest_get(object, key);
    *ret_list = list;
    *ret_count = 0;
    if (!list)
        return true;
    if (!json_object_is_type(list, json_type_array))
        return cli_manifest_bad(m, "\"%s\" is no list", key);
    *ret_count = json_object_array_length(list);
    for (size_t i = 0; i < *ret_count; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        if (!json_object_is_type(item, json_type_object) &&
            !json_object_is_type(item, json_type_int) &&
            !json_object_is_type(item, json_type_string))
            return cli_manifest_bad(m, "\"%s\" has an item of a wrong kind", key);
    }
    return true;
}

static struct json_object *parse(struct cli_manifest *m, struct bytes json)
{
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
    struct json_object *root = NULL;
    if (!tokener) {
        (void)cli_manifest_fail(m, ERR_nomem);
        return NULL;
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    root = json_tokener_parse_ex(tokener, (const char *)json.data, (int)json.size);
    enum json_tokener_error error = json_tokener_get_error(tokener);
    size_t end = json_tokener_get_parse_end(tokener);
    if (error != json_tokener_success || !json_object_is_type(root, json_type_object)) {
        const char *why = error == json_tokener_success ? "another kind of value"
                          : error == json_tokener_continue
                              ? "it ends too early"
                              : json_tokener_error_desc(error);
        (void)cli_manifest_bad(m, "no JSON object: %s at byte %zu", why, end);
        json_object_put(root);
        root = NULL;
    }
    json_tokener_free(tokener);
    return root;
}

static void open(struct cli *cli, const char *path, struct cli_manifest *m)
{
    m->cli = cli;
    m->path = path;
    arena_init(&m->arena, ARENA_MAX);
}

int cli_manifest_parse(struct cli *cli, const char *path, struct bytes json,
                       struct cli_manifest *m)
{
    open(cli, path, m);
    m->root = parse(m, json);
    return m->status;
}

int cli_manifest_open(struct cli *cli, const char *path, struct cli_manifest *m)
{
    struct buf json;
    buf_init(&json, FILE_MAX);
    enum err err = os_file_read(path, &json);
    open(cli, path, m);
    if (err)
        (void)cli_manifest_fail(m, err);
    else
        m->root = parse(m, buf_bytes(&json));
    buf_fini(&json);
    return m->status;
}

void cli_manifest_close(struct cli_manifest *m)
{
    json_object_put(m->root);
    m->root = NULL;
    arena_fini(&m->arena);
}

/* ---- configuration ---- */

static bool set_flag(struct cli_manifest *m, struct json_object *config,
                     const char *key, uint32_t flag, uint32_t *flags)
{
    struct json_object *value = cli_manifest_get(config, key);
    if (!value)
        return true;
    if (!json_object_is_type(value, json_type_boolean))
        return cli_manifest_bad(m, "%s is neither true nor false", key);
    *flags = json_object_get_boolean(value) ? *flags | flag : *flags & ~flag;
    return true;
}

static bool set_u32(struct cli_manifest *m, struct json_object *config, const char *key,
                    uint32_t *member)
{
    uint64_t value;
    if (!cli_manifest_u64(m, config, key, *member, UINT32_MAX, &value))
        return false;
    *member = (uint32_t)value;
    return true;
}

static bool set_config(struct cli_manifest *m, struct json_object *config,
                       struct kernel_config *c)
{
    return set_flag(m, config, "stateful_children", KERNEL_STATEFUL_CHILDREN,
                    &c->flags) &&
           set_flag(m, config, "strict_return", KERNEL_STRICT_RETURN, &c->flags) &&
           set_flag(m, config, "trace", KERNEL_TRACE, &c->flags) &&
           set_flag(m, config, "mem_digest", KERNEL_MEM_DIGEST, &c->flags) &&
           set_u32(m, config, "max_depth", &c->max_depth) &&
           set_u32(m, config, "gas_table", &c->gas_table_id) &&
           set_u32(m, config, "max_dir_caps", &c->max_dir_caps) &&
           set_u32(m, config, "max_assist", &c->max_assist_entries) &&
           set_u32(m, config, "max_records", &c->max_trace_records) &&
           cli_manifest_u64(m, config, "max_frame_mem", c->max_frame_mem, UINT64_MAX,
                            &c->max_frame_mem) &&
           cli_manifest_u64(m, config, "max_stack_mem", c->max_stack_mem, UINT64_MAX,
                            &c->max_stack_mem) &&
           cli_manifest_u64(m, config, "max_dir_bytes", c->max_dir_bytes, UINT64_MAX,
                            &c->max_dir_bytes);
}

int cli_manifest_setup(struct cli_manifest *m, struct replay_kernel_setup *setup)
{
    struct json_object *config = cli_manifest_get(m->root, "config");
    if (config && set_config(m, config, &setup->config) &&
        kernel_config_check(&setup->config))
        (void)cli_manifest_bad(m, "\"config\" is not what a kernel accepts");
    return m->status;
}

/* ---- publishing ---- */

/* A request that must be accepted. */
static bool request(struct cli_manifest *m, enum replay_kernel_fn fn, const void *bytes,
                    size_t size, struct replay_kernel_answer *ret_answer)
{
    enum err err =
        replay_kernel_request(m->session, fn, bytes_of(bytes, size), ret_answer);
    if (err)
        return cli_manifest_fail(m, err);
    return !ret_answer->status ||
           cli_manifest_bad(m, "request %d is refused: %s", (int)fn,
                            kernel_status_name(ret_answer->status));
}

static bool new_catcher(struct cli_manifest *m, struct json_object *item)
{
    struct replay_kernel_answer answer;
    const char *name;
    if (!cli_manifest_text(m, item, "name", &name) ||
        !request(m, REPLAY_KERNEL_NEW_CATCHER, NULL, 0, &answer))
        return false;
    struct hash256 id = kernel_hash_at(answer.bytes);
    return cli_manifest_name(m, name, &id);
}

static bool add_markers(struct cli_manifest *m, struct json_object *item)
{
    struct json_object *list;
    size_t count;
    const char *name;
    struct hash256 catcher, marker;
    if (!cli_manifest_text(m, item, "name", &name) ||
        !cli_manifest_hash(m, name, &catcher) ||
        !cli_manifest_list(m, item, "markers", &list, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_object *text = json_object_array_get_idx(list, i);
        uint8_t packet[72] = {0};
        struct replay_kernel_answer answer;
        if (!json_object_is_type(text, json_type_string))
            return cli_manifest_bad(m, "\"markers\" are names");
        if (!cli_manifest_hash(m, json_object_get_string(text), &marker))
            return false;
        memcpy(packet + 8, catcher.byte, HASH256_SIZE);
        memcpy(packet + 40, marker.byte, HASH256_SIZE);
        if (!request(m, REPLAY_KERNEL_ADD_CATCHER, packet, sizeof packet, &answer))
            return false;
    }
    return true;
}

static bool seed_amount(struct cli_manifest *m, struct json_object *item,
                        uint32_t table)
{
    uint8_t packet[24] = {0};
    uint64_t id, value;
    struct replay_kernel_answer answer;
    if (!cli_manifest_u64(m, item, "id", 0, UINT64_MAX, &id) ||
        !cli_manifest_u64(m, item, "value", 0, UINT64_MAX, &value))
        return false;
    kernel_u32_put(packet, table);
    kernel_u64_put(packet + 8, id);
    kernel_u64_put(packet + 16, value);
    return request(m, REPLAY_KERNEL_SEED_QUOTA, packet, sizeof packet, &answer);
}

static bool seed_quota(struct cli_manifest *m, struct json_object *item)
{
    return seed_amount(m, item, 0);
}

static bool seed_meter(struct cli_manifest *m, struct json_object *item)
{
    return seed_amount(m, item, 1);
}

static bool seed_file(struct cli_manifest *m, struct json_object *item)
{
    uint8_t packet[40];
    uint64_t id;
    const char *name;
    struct hash256 hash;
    struct replay_kernel_answer answer;
    if (!cli_manifest_u64(m, item, "id", 0, UINT64_MAX, &id) ||
        !cli_manifest_text(m, item, "cap", &name) || !cli_manifest_hash(m, name, &hash))
        return false;
    kernel_u64_put(packet, id);
    memcpy(packet + 8, hash.byte, HASH256_SIZE);
    return request(m, REPLAY_KERNEL_SEED_FILE, packet, sizeof packet, &answer);
}

static bool for_each(struct cli_manifest *m, const char *key,
                     bool (*each)(struct cli_manifest *m, struct json_object *item))
{
    struct json_object *list;
    size_t count;
    if (!cli_manifest_list(m, m->root, key, &list, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        if (!json_object_is_type(item, json_type_object))
            return cli_manifest_bad(m, "\"%s\" has an item that is no object", key);
        if (!each(m, item))
            return false;
    }
    return true;
}

int cli_manifest_publish(struct cli_manifest *m)
{
    (void)(!m->status && for_each(m, "catchers", new_catcher) &&
           for_each(m, "caps", cli_manifest_cap) &&
           for_each(m, "catchers", add_markers) && for_each(m, "quotas", seed_quota) &&
           for_each(m, "meters", seed_meter) && for_each(m, "files", seed_file));
    return m->status;
}
