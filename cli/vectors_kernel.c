/* SPDX-License-Identifier: MIT
 *
 * Conformance data of the kernel: hashes, encodings, refusals.
 */
#include "cli/vectors_kernel.h"

#include "base/os.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

enum { WIRE_MAX = 1 << 25, PAGES_MAX = 1 << 10, DEPTH_MAX = 32 };

/* ---- reading and comparing ---- */

bool cli_vectors_hash(struct cli_vectors *v, struct json_object *object,
                      const char *key, struct hash256 *ret_hash)
{
    struct bytes bytes;
    if (!cli_vectors_bytes(v, object, key, &bytes))
        return false;
    if (bytes.size != HASH256_SIZE)
        return cli_vectors_bad(v, "%s is no hash", key);
    *ret_hash = kernel_hash_at(bytes.data);
    return true;
}

bool cli_vectors_hash_or_null(struct cli_vectors *v, struct json_object *object,
                              const char *key, bool *ret_present,
                              struct hash256 *ret_hash)
{
    struct json_object *value = NULL;
    *ret_present = json_object_object_get_ex(object, key, &value) && value != NULL;
    return !*ret_present || cli_vectors_hash(v, object, key, ret_hash);
}

static void hash_text(const struct hash256 *hash, char ret_text[65])
{
    for (int i = 0; i < HASH256_SIZE; i++)
        (void)snprintf(ret_text + 2 * i, 3, "%02x", hash->byte[i]);
}

void cli_vectors_compare_hash(struct cli_vectors *v, const char *field,
                              const struct hash256 *expected,
                              const struct hash256 *actual)
{
    char want[65], got[65];
    if (hash256_equal(expected, actual))
        return;
    hash_text(expected, want);
    hash_text(actual, got);
    cli_vectors_differ(v, field, want, got);
}

bool cli_vectors_wire(struct cli_vectors *v, struct json_object *object,
                      struct bytes *ret_wire)
{
    bool whole = cli_vectors_has(object, "encoding");
    uint64_t size = 0;
    if (!cli_vectors_bytes(v, object, whole ? "encoding" : "encoding_prefix", ret_wire))
        return false;
    if (whole || !cli_vectors_has(object, "encoding_len"))
        return true;
    if (!cli_vectors_u64(v, object, "encoding_len", WIRE_MAX, &size) ||
        size < ret_wire->size)
        return cli_vectors_bad(v, "encoding_len is out of range");
    uint8_t *wire = arena_alloc(&v->arena, size + 1, 1);
    if (!wire)
        return cli_vectors_bad(v, "%s", err_text(ERR_nomem));
    memcpy(wire, ret_wire->data, ret_wire->size);
    *ret_wire = bytes_of(wire, size);
    return true;
}

/* ---- a kernel ---- */

static void *space_take(void *self)
{
    void *space = NULL;
    (void)self;
    return os_reserve(PVM_MEM_RESERVE_SIZE, &space) ? NULL : space;
}

static void space_give(void *self, void *space)
{
    (void)self;
    os_release(space, PVM_MEM_RESERVE_SIZE);
}

static enum err kernel_open(const struct kernel_config *config,
                            enum cli_vectors_engine engine,
                            struct cli_vectors_kernel *k)
{
    struct kernel_host host = {.space_take = space_take, .space_give = space_give};
    k->memory_size = kernel_memory_size(config);
    TRY(os_reserve(k->memory_size, &k->memory));
    if (engine == CLI_VECTORS_SANDBOX)
        TRY(pvm_sandbox_create(&k->arena, NULL, &k->sandbox));
    host.recomp.sandbox = k->sandbox;
    return kernel_create(&k->arena, config, k->memory, &host, &k->kernel);
}

bool cli_vectors_kernel_open(struct cli_vectors *v, uint32_t flags,
                             enum cli_vectors_engine engine,
                             struct cli_vectors_kernel *ret_kernel)
{
    struct kernel_config config = kernel_config_default();
    *ret_kernel = (struct cli_vectors_kernel){.kernel = NULL};
    config.flags = flags;
    config.engine =
        engine == CLI_VECTORS_INTERP ? KERNEL_ENGINE_INTERP : KERNEL_ENGINE_RECOMP;
    arena_init(&ret_kernel->arena, (size_t)1 << 28);
    enum err err = kernel_open(&config, engine, ret_kernel);
    if (err)
        cli_vectors_kernel_close(ret_kernel);
    return !err || cli_vectors_bad(v, "%s", err_text(err));
}

void cli_vectors_kernel_close(struct cli_vectors_kernel *k)
{
    kernel_close(k->kernel);
    pvm_sandbox_close(k->sandbox);
    if (k->memory)
        os_release(k->memory, k->memory_size);
    arena_fini(&k->arena);
    k->memory = NULL;
}

/* What a fresh kernel says to this cap. */
static bool put_status(struct cli_vectors *v, struct bytes wire, const char *expected)
{
    struct cli_vectors_kernel k;
    struct hash256 hash;
    if (!cli_vectors_kernel_open(v, KERNEL_TRACE, CLI_VECTORS_INTERP, &k))
        return false;
    const char *status = kernel_status_name(kernel_put(k.kernel, wire, &hash));
    if (strcmp(status, expected) != 0)
        cli_vectors_differ(v, "status", expected, status);
    cli_vectors_compare(v, "caps", 0, kernel_cap_count(k.kernel), false);
    cli_vectors_kernel_close(&k);
    return true;
}

/* ---- pages ---- */

static bool read_page(struct cli_vectors *v, struct json_object *item,
                      struct kernel_page_given *ret_page)
{
    *ret_page = (struct kernel_page_given){.state = KERNEL_PAGE_EMPTY};
    if (cli_vectors_has(item, "empty"))
        return true;
    if (cli_vectors_has(item, "loaded")) {
        ret_page->state = KERNEL_PAGE_LOADED;
        return cli_vectors_bytes(v, item, "loaded", &ret_page->content);
    }
    /* A root as it is, of a wrong answer: the code makes a page of it that is right. */
    const char *key = cli_vectors_has(item, "raw_root") ? "raw_root" : "missing";
    ret_page->state = KERNEL_PAGE_MISSING;
    return cli_vectors_hash(v, item, key, &ret_page->hash);
}

static bool run_paged(struct cli_vectors *v, struct json_object *inputs,
                      struct hash256 *ret_hash)
{
    struct json_object *list;
    size_t count;
    uint64_t page_size;
    struct kernel_paged paged;
    if (!cli_vectors_u64(v, inputs, "page_size", UINT32_MAX, &page_size) ||
        !cli_vectors_list(v, inputs, "pages", &list, &count))
        return false;
    if (count > PAGES_MAX)
        return cli_vectors_bad(v, "too many pages");
    struct kernel_page_given *given =
        arena_new_array(&v->arena, struct kernel_page_given, count + 1);
    if (!given)
        return cli_vectors_bad(v, "%s", err_text(ERR_nomem));
    for (size_t i = 0; i < count; i++) {
        if (!read_page(v, json_object_array_get_idx(list, i), &given[i]))
            return false;
    }
    enum kernel_error error = kernel_paged_make(&v->arena, (uint32_t)page_size, given,
                                                (uint32_t)count, &paged);
    if (!error)
        error = kernel_paged_hash(&paged, ret_hash);
    return !error || cli_vectors_bad(v, "%s", kernel_error_name(error));
}

static bool run_page_slot(struct cli_vectors *v, struct json_object *object)
{
    struct json_object *inputs = NULL, *page = NULL;
    struct kernel_page_given given;
    struct kernel_paged paged;
    struct kernel_page again;
    uint8_t slot[KERNEL_PAGE_SLOT_MAX];
    struct bytes want;
    (void)json_object_object_get_ex(object, "inputs", &inputs);
    (void)json_object_object_get_ex(inputs, "page", &page);
    if (!read_page(v, page, &given))
        return false;
    bool prefix = cli_vectors_has(object, "encoding_prefix");
    if (prefix ? !cli_vectors_wire(v, object, &want)
               : !cli_vectors_bytes(v, object, "expected", &want))
        return false;
    enum kernel_error error =
        kernel_paged_make(&v->arena, PVM_PAGE_SIZE, &given, 1, &paged);
    if (error)
        return cli_vectors_bad(v, "%s", kernel_error_name(error));
    size_t size = kernel_page_slot_put(&paged.page[0], slot);
    cli_vectors_compare(v, "size", want.size, size, false);
    if (size != want.size || memcmp(slot, want.data, size) != 0)
        cli_vectors_differ(v, "encoding", "as the file says", "another");
    const char *back = kernel_error_name(kernel_page_slot_get(want, &again));
    if (strcmp(back, "None") != 0 || again.state != paged.page[0].state)
        cli_vectors_differ(v, "decoding", "None", back);
    return true;
}

/* ---- plain hashes ---- */

static bool run_page_hash(struct cli_vectors *v, struct json_object *inputs,
                          struct hash256 *ret_hash)
{
    struct bytes content;
    uint64_t repeat = 1;
    struct buf bytes;
    if (!cli_vectors_bytes(v, inputs, "content", &content) ||
        (cli_vectors_has(inputs, "repeat") &&
         !cli_vectors_u64(v, inputs, "repeat", 1 << 16, &repeat)))
        return false;
    buf_init(&bytes, WIRE_MAX);
    for (uint64_t i = 0; i < repeat && !bytes.err; i++)
        buf_put(&bytes, content.data, content.size);
    bool ok = !bytes.err || cli_vectors_bad(v, "%s", err_text(bytes.err));
    if (ok)
        *ret_hash = kernel_page_hash(bytes.data, bytes.size);
    buf_fini(&bytes);
    return ok;
}

static bool run_zero(struct cli_vectors *v, struct json_object *inputs,
                     struct hash256 *ret_hash)
{
    uint64_t depth;
    if (!cli_vectors_u64(v, inputs, "depth", DEPTH_MAX, &depth))
        return false;
    *ret_hash = kernel_zero_hash((unsigned)depth);
    return true;
}

static bool run_kernel_id(struct cli_vectors *v, struct json_object *inputs,
                          struct hash256 *ret_hash)
{
    const char *label;
    if (!cli_vectors_text(v, inputs, "label", &label))
        return false;
    if (strncmp(label, "kernel:", 7) != 0)
        return cli_vectors_bad(v, "label does not begin with kernel:");
    *ret_hash = kernel_id(label + 7);
    return true;
}

static bool run_catcher_id(struct cli_vectors *v, struct json_object *inputs,
                           struct hash256 *ret_hash)
{
    uint64_t nonce;
    if (!cli_vectors_u64(v, inputs, "nonce", UINT64_MAX, &nonce))
        return false;
    *ret_hash = kernel_catcher_id(nonce);
    return true;
}

static bool run_extend(struct cli_vectors *v, struct json_object *inputs,
                       struct hash256 *ret_hash)
{
    struct hash256 chain, image;
    if (!cli_vectors_hash(v, inputs, "chain", &chain) ||
        !cli_vectors_hash(v, inputs, "image_hash", &image))
        return false;
    *ret_hash = kernel_chain_extend(&chain, &image);
    return true;
}

static bool run_blake2b(struct cli_vectors *v, struct json_object *inputs,
                        struct hash256 *ret_hash)
{
    struct bytes input;
    if (!cli_vectors_bytes(v, inputs, "input", &input))
        return false;
    *ret_hash = hash256_of(input.data, input.size);
    return true;
}

static bool run_endpoint(struct cli_vectors *v, struct json_object *inputs,
                         struct hash256 *ret_hash)
{
    uint8_t endpoint[KERNEL_ENDPOINT_SIZE] = {0};
    static const struct {
        const char *key;
        unsigned at;
        uint64_t max;
    } field[] = {{"entry_pc", 0, UINT64_MAX},
                 {"stack_top", 8, UINT64_MAX},
                 {"arg_cnode_slot", 16, UINT32_MAX},
                 {"arg_cnode_size", 20, 255}};
    uint64_t value, reg[PVM_REG_COUNT];
    for (size_t i = 0; i < countof(field); i++) {
        if (!cli_vectors_u64(v, inputs, field[i].key, field[i].max, &value))
            return false;
        kernel_u64_put(endpoint + field[i].at, value); /* the next one overwrites */
    }
    if (!cli_vectors_regs(v, inputs, "initial_regs", reg))
        return false;
    for (int i = 0; i < PVM_REG_COUNT; i++)
        kernel_u64_put(endpoint + 21 + 8 * i, reg[i]);
    *ret_hash = kernel_endpoint_hash(endpoint);
    return true;
}

/* The slab form is not ours, but made of the same trees [3.3]: its leaves are a list
 * whose depth its own length gives. */
static bool run_slab(struct cli_vectors *v, struct json_object *inputs,
                     struct hash256 *ret_hash)
{
    struct json_object *list;
    size_t count;
    uint64_t size;
    if (!cli_vectors_u64(v, inputs, "size", UINT64_MAX, &size) ||
        !cli_vectors_list(v, inputs, "page_roots", &list, &count))
        return false;
    struct hash256 *root = arena_new_array(&v->arena, struct hash256, count + 1);
    if (!root || count > PAGES_MAX)
        return cli_vectors_bad(v, "too many pages");
    for (size_t i = 0; i < count; i++) {
        struct json_object *wrap = json_object_new_object();
        json_object_object_add(wrap, "root",
                               json_object_get(json_object_array_get_idx(list, i)));
        bool ok = cli_vectors_hash(v, wrap, "root", &root[i]);
        json_object_put(wrap);
        if (!ok)
            return false;
    }
    *ret_hash = kernel_slab_hash(size, root, (uint32_t)count);
    return true;
}

/* ---- caps ---- */

static bool hash_cap(struct cli_vectors *v, struct bytes wire, struct hash256 *ret_hash)
{
    struct kernel_cap cap;
    enum kernel_status status = kernel_wire_decode(wire, &cap);
    if (status)
        return cli_vectors_bad(v, "its encoding is refused: %s",
                               kernel_status_name(status));
    *ret_hash = kernel_cap_hash(&cap);
    return true;
}

static bool run_cap(struct cli_vectors *v, struct json_object *inputs,
                    enum kernel_kind kind, const char *rejected,
                    struct hash256 *ret_hash)
{
    struct buf wire;
    buf_init(&wire, WIRE_MAX);
    bool ok = cli_vectors_cap(v, inputs, kind, &wire) &&
              hash_cap(v, buf_bytes(&wire), ret_hash) &&
              (!rejected || put_status(v, buf_bytes(&wire), rejected));
    buf_fini(&wire);
    return ok;
}

static bool run_instance(struct cli_vectors *v, struct json_object *inputs,
                         struct hash256 *ret_hash)
{
    return run_cap(v, inputs, KERNEL_KIND_INSTANCE, NULL, ret_hash);
}

static bool run_image(struct cli_vectors *v, struct json_object *inputs,
                      struct hash256 *ret_hash)
{
    return run_cap(v, inputs, KERNEL_KIND_IMAGE, NULL, ret_hash);
}

static bool run_data(struct cli_vectors *v, struct json_object *inputs,
                     struct hash256 *ret_hash)
{
    return run_cap(v, inputs, KERNEL_KIND_DATA, NULL, ret_hash);
}

static bool run_cnode(struct cli_vectors *v, struct json_object *inputs,
                      struct hash256 *ret_hash)
{
    return run_cap(v, inputs, KERNEL_KIND_CNODE, NULL, ret_hash);
}

static bool run_type(struct cli_vectors *v, struct json_object *inputs,
                     struct hash256 *ret_hash)
{
    return run_cap(v, inputs, KERNEL_KIND_TYPE, NULL, ret_hash);
}

static const struct {
    const char *kind;
    bool (*run)(struct cli_vectors *v, struct json_object *inputs,
                struct hash256 *ret_hash);
} hashed[] = {
    {"zero_hash", run_zero},         {"page_content_hash", run_page_hash},
    {"kernel_id", run_kernel_id},    {"catcher_id", run_catcher_id},
    {"chain_extend", run_extend},    {"blake2b256", run_blake2b},
    {"endpoint_root", run_endpoint}, {"cap_type", run_type},
    {"cap_cnode", run_cnode},        {"cap_data_inline", run_data},
    {"cap_data_paged", run_paged},   {"cap_data_slab", run_slab},
    {"cap_instance", run_instance},  {"cap_image", run_image},
    {"cap_image_9field", run_image},
};

/* A vector that ends in a hash; what its status demands. */
static bool run_hashed(struct cli_vectors *v, struct json_object *object,
                       struct json_object *inputs, size_t row)
{
    struct hash256 want, got;
    const char *status;
    if (!cli_vectors_text(v, object, "status", &status) ||
        !cli_vectors_hash(v, object, "expected", &want) ||
        !hashed[row].run(v, inputs, &got))
        return false;
    if (strcmp(status, "negative") != 0)
        cli_vectors_compare_hash(v, "hash", &want, &got);
    else if (hash256_equal(&want, &got))
        cli_vectors_differ(v, "hash", "another", "the well-known wrong one");
    if (!strcmp(status, "hash-only"))
        return run_cap(v, inputs, KERNEL_KIND_IMAGE, "BAD_VALUE", &got);
    return true;
}

static bool run_wire_cap(struct cli_vectors *v, struct json_object *object)
{
    struct bytes wire;
    struct hash256 want, want_digest, got;
    if (!cli_vectors_wire(v, object, &wire) ||
        !cli_vectors_hash(v, object, "expected", &want) ||
        !cli_vectors_hash(v, object, "encoding_sha256", &want_digest) ||
        !hash_cap(v, wire, &got))
        return false;
    struct hash256 digest = hash_sha256(wire.data, wire.size);
    cli_vectors_compare_hash(v, "encoding_sha256", &want_digest, &digest);
    cli_vectors_compare_hash(v, "hash", &want, &got);
    return true;
}

/* ---- any vector ---- */

bool cli_vectors_kernel_skips(struct cli_vectors *v, struct json_object *object)
{
    const char *kind;
    return cli_vectors_text(v, object, "kind", &kind) &&
           (!strcmp(kind, "packet") || !strcmp(kind, "frame"));
}

bool cli_vectors_run_kernel(struct cli_vectors *v, struct json_object *object)
{
    const char *kind, *expected;
    struct json_object *inputs = NULL;
    struct bytes wire;
    if (!cli_vectors_text(v, object, "kind", &kind))
        return false;
    if (!strcmp(kind, "wire_cap"))
        return run_wire_cap(v, object);
    if (!json_object_object_get_ex(object, "inputs", &inputs))
        return cli_vectors_bad(v, "inputs is missing");
    for (size_t i = 0; i < countof(hashed); i++) {
        if (!strcmp(kind, hashed[i].kind))
            return run_hashed(v, object, inputs, i);
    }
    if (!strcmp(kind, "page_slot_encoding"))
        return run_page_slot(v, object);
    if (!strcmp(kind, "scenario"))
        return cli_vectors_run_scenario(v, inputs);
    if (strcmp(kind, "wire_reject") != 0)
        return cli_vectors_bad(v, "kind %.40s is not known", kind);
    return cli_vectors_wire(v, inputs, &wire) &&
           cli_vectors_text(v, object, "expected", &expected) &&
           put_status(v, wire, expected);
}
