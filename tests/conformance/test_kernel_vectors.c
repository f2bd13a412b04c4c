/* SPDX-License-Identifier: MIT
 *
 * The known answers of the capability kernel: encodings with their hashes, encodings
 * that must be refused, ids, and scenarios.
 */
#include "base/os.h"
#include "kernel/cap.h"

#include "tests/test.h"

#include <json-c/json.h>
#include <string.h>

#define KAT "corpus/kernel/pvm-kernel-kat.json"

enum { WIRE_MAX = 1 << 20 };

static struct json_object *file;

/* ---- a kernel in this process ---- */

struct fixture {
    struct arena arena;
    struct kernel *kernel;
    void *memory;
    size_t memory_size;
    int space_count;
};

static void *space_take(void *self)
{
    struct fixture *f = self;
    void *space = NULL;
    if (os_reserve(PVM_MEM_RESERVE_SIZE, &space) == ERR_ok)
        f->space_count++;
    return space;
}

static void space_give(void *self, void *space)
{
    struct fixture *f = self;
    f->space_count--;
    os_release(space, PVM_MEM_RESERVE_SIZE);
}

static void fixture_init(struct fixture *f, uint32_t flags)
{
    *f = (struct fixture){.kernel = NULL};
    struct kernel_config config = kernel_config_default();
    struct kernel_host host = {
        .self = f, .space_take = space_take, .space_give = space_give};
    config.flags = flags;
    f->memory_size = kernel_memory_size(&config);
    arena_init(&f->arena, 64 << 20);
    assert_int_equal(os_reserve(f->memory_size, &f->memory), ERR_ok);
    assert_int_equal(kernel_create(&f->arena, &config, f->memory, &host, &f->kernel),
                     ERR_ok);
}

static void fixture_fini(struct fixture *f)
{
    kernel_close(f->kernel);
    assert_int_equal(f->space_count, 0);
    os_release(f->memory, f->memory_size);
    arena_fini(&f->arena);
}

/* ---- JSON ---- */

static struct json_object *get(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;
    (void)json_object_object_get_ex(object, key, &value);
    return value;
}

static const char *text(struct json_object *object, const char *key)
{
    struct json_object *value = get(object, key);
    return value ? json_object_get_string(value) : NULL;
}

static uint64_t number(struct json_object *object, const char *key)
{
    return (uint64_t)json_object_get_int64(get(object, key));
}

static size_t unhex(const char *hex, uint8_t *ret_bytes)
{
    size_t size = strlen(hex) / 2;
    assert_true(size <= WIRE_MAX);
    for (size_t i = 0; i < size; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        ret_bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return size;
}

static struct hash256 hash_in(const char *hex)
{
    struct hash256 hash;
    assert_int_equal(strlen(hex), 2 * HASH256_SIZE);
    (void)unhex(hex, hash.byte);
    return hash;
}

static const char *hash_text(const struct hash256 *hash)
{
    static char hex[2 * HASH256_SIZE + 1];
    for (int i = 0; i < HASH256_SIZE; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", hash->byte[i]);
    return hex;
}

/* "encoding", or "encoding_prefix" with zeros up to "encoding_len". */
static struct bytes wire_in(struct json_object *object)
{
    static uint8_t wire[WIRE_MAX];
    const char *hex = text(object, "encoding");
    if (!hex)
        hex = text(object, "encoding_prefix");
    memset(wire, 0, sizeof wire);
    size_t size = unhex(hex, wire);
    if (get(object, "encoding_len"))
        size = number(object, "encoding_len");
    return bytes_of(wire, size);
}

/* ---- hashes and encodings ---- */

static bool run_hash(const char *kind, struct json_object *inputs,
                     struct hash256 *ret_hash)
{
    uint8_t bytes[2 * PVM_PAGE_SIZE] = {0};
    if (!strcmp(kind, "zero_hash")) {
        *ret_hash = kernel_zero_hash((unsigned)number(inputs, "depth"));
    } else if (!strcmp(kind, "page_content_hash")) {
        size_t size = unhex(text(inputs, "content"), bytes);
        uint64_t repeat = get(inputs, "repeat") ? number(inputs, "repeat") : 1;
        assert_true(size * repeat <= sizeof bytes);
        for (size_t at = size; at < size * repeat; at++)
            bytes[at] = bytes[at - size];
        size *= repeat;
        *ret_hash = kernel_page_hash(bytes, size);
    } else if (!strcmp(kind, "kernel_id")) {
        *ret_hash = kernel_id(text(inputs, "label") + strlen("kernel:"));
    } else if (!strcmp(kind, "catcher_id")) {
        *ret_hash = kernel_catcher_id(number(inputs, "nonce"));
    } else if (!strcmp(kind, "chain_extend")) {
        struct hash256 chain = hash_in(text(inputs, "chain"));
        struct hash256 image = hash_in(text(inputs, "image_hash"));
        *ret_hash = kernel_chain_extend(&chain, &image);
    } else {
        return false;
    }
    return true;
}

static void run_wire_cap(struct json_object *vector)
{
    struct bytes wire = wire_in(vector);
    struct hash256 digest = hash_sha256(wire.data, wire.size);
    struct kernel_cap cap;
    assert_string_equal(hash_text(&digest), text(vector, "encoding_sha256"));
    assert_int_equal(kernel_wire_decode(wire, &cap), KERNEL_STATUS_OK);
    struct hash256 hash = kernel_cap_hash(&cap);
    assert_string_equal(hash_text(&hash), text(vector, "expected"));
}

static void run_wire_reject(struct json_object *vector)
{
    struct fixture f;
    struct hash256 hash;
    fixture_init(&f, 12);
    enum kernel_status status =
        kernel_put(f.kernel, wire_in(get(vector, "inputs")), &hash);
    assert_string_equal(kernel_status_name(status), text(vector, "expected"));
    assert_int_equal(kernel_cap_count(f.kernel), 0);
    fixture_fini(&f);
}

/* ---- scenarios ---- */

static void expect_hash(struct json_object *object, const char *key, bool present,
                        const struct hash256 *hash)
{
    if (!json_object_object_get_ex(object, key, NULL))
        return;
    const char *want = text(object, key);
    assert_int_equal(present, want != NULL);
    if (want)
        assert_string_equal(hash_text(hash), want);
}

static void load(const struct fixture *f, const struct hash256 *hash,
                 struct kernel_cap *ret_cap)
{
    struct bytes wire;
    assert_int_equal(kernel_get(f->kernel, hash, &wire), KERNEL_STATUS_OK);
    assert_int_equal(kernel_wire_decode(wire, ret_cap), KERNEL_STATUS_OK);
    struct hash256 again = kernel_cap_hash(ret_cap);
    assert_memory_equal(&again, hash, sizeof again);
}

/* Slot 5 of the post instance's cnode: a hash, or the child that was settled there. */
static void expect_call_slot(const struct fixture *f, struct json_object *want,
                             const struct kernel_outcome *outcome)
{
    struct kernel_cap instance, cnode, child;
    struct hash256 hash = {{0}};
    load(f, &outcome->post_instance, &instance);
    load(f, &instance.instance.root_cnode, &cnode);
    for (uint32_t i = 0; i < cnode.cnode.entries.count; i++) {
        if (kernel_entry_slot(cnode.cnode.entries, i) == 5)
            hash = kernel_entry_hash(cnode.cnode.entries, i);
    }
    if (json_object_is_type(want, json_type_string)) {
        assert_string_equal(hash_text(&hash), json_object_get_string(want));
        return;
    }
    load(f, &hash, &child);
    if (get(want, "pc"))
        assert_int_equal(child.instance.pc, number(want, "pc"));
    assert_int_equal(kernel_u64(child.instance.reg + 56), 42);
}

static void expect_outcome(const struct fixture *f, struct json_object *want)
{
    static const char *const variant[] = {"none",   "halt",  "faulted",
                                          "paused", "error", "dropped"};
    const struct kernel_outcome *o = kernel_last_outcome(f->kernel);
    assert_string_equal(variant[o->variant], text(want, "variant"));
    if (get(want, "stack_len"))
        assert_int_equal(o->stack_size, number(want, "stack_len"));
    if (get(want, "error_kind"))
        assert_string_equal(kernel_error_name(o->error), text(want, "error_kind"));
    if (get(want, "pause_cause"))
        assert_int_equal(o->cause, number(want, "pause_cause"));
    expect_hash(want, "reflected_slot0", o->has_slot0, &o->slot0);
    expect_hash(want, "marker_payload", o->has_marker, &o->marker);
    expect_hash(want, "image_hash_chain", true, &o->chain);
    if (get(want, "call_slot_5"))
        expect_call_slot(f, get(want, "call_slot_5"), o);
}

static void run_packet(struct fixture *f, struct json_object *step)
{
    struct kernel_result result;
    if (!strcmp(text(step, "do"), "invoke")) {
        struct hash256 instance = hash_in(text(step, "instance"));
        uint64_t args[4];
        for (size_t i = 0; i < 4; i++)
            args[i] = (uint64_t)json_object_get_int64(
                json_object_array_get_idx(get(step, "args"), i));
        assert_int_equal(kernel_invoke(f->kernel, &instance,
                                       (uint32_t)number(step, "endpoint"), args,
                                       number(step, "gas"), &result),
                         ERR_ok);
    } else {
        const char *hex = text(step, "scratch");
        struct hash256 scratch = {{0}};
        if (hex)
            scratch = hash_in(hex);
        assert_int_equal(kernel_resume(f->kernel, (uint32_t)number(step, "flags"),
                                       &scratch, number(step, "gas_topup"), &result),
                         ERR_ok);
    }
    struct json_object *want = get(step, "expect");
    assert_int_equal(result.exit_reason, number(want, "exit_reason"));
    assert_int_equal(result.exit_arg, number(want, "exit_arg"));
    assert_int_equal(result.return_value, number(want, "return_value"));
    expect_outcome(f, get(step, "outcome"));
}

static void run_step(struct fixture *f, struct json_object *step)
{
    const char *what = text(step, "do");
    struct hash256 hash;
    if (!strcmp(what, "put")) {
        assert_int_equal(kernel_put(f->kernel, wire_in(step), &hash), KERNEL_STATUS_OK);
        assert_string_equal(hash_text(&hash), text(step, "expect"));
    } else if (!strcmp(what, "new_catcher")) {
        assert_int_equal(kernel_catcher_new(f->kernel, &hash), KERNEL_STATUS_OK);
        assert_string_equal(hash_text(&hash), text(step, "expect"));
    } else if (!strcmp(what, "add_catcher")) {
        struct hash256 catcher = hash_in(text(step, "catcher"));
        struct hash256 marker = hash_in(text(step, "marker"));
        uint32_t count;
        assert_int_equal(kernel_catcher_add(f->kernel, &catcher, &marker, &count),
                         KERNEL_STATUS_OK);
    } else {
        run_packet(f, step);
    }
}

static void run_scenario(struct json_object *inputs)
{
    struct fixture f;
    fixture_init(&f, (uint32_t)number(inputs, "config_flags"));
    struct json_object *steps = get(inputs, "steps");
    for (size_t i = 0; i < json_object_array_length(steps); i++)
        run_step(&f, json_object_array_get_idx(steps, i));
    fixture_fini(&f);
}

/* ---- the file ---- */

enum group { HASHES, WIRE, REJECT, SCENARIO };

static unsigned run_group(enum group group)
{
    struct json_object *vectors = get(file, "vectors");
    unsigned count = 0;
    for (size_t i = 0; i < json_object_array_length(vectors); i++) {
        struct json_object *vector = json_object_array_get_idx(vectors, i);
        struct json_object *inputs = get(vector, "inputs");
        const char *kind = text(vector, "kind");
        struct hash256 hash;
        if (group == HASHES && run_hash(kind, inputs, &hash))
            assert_string_equal(hash_text(&hash), text(vector, "expected"));
        else if (group == WIRE && !strcmp(kind, "wire_cap"))
            run_wire_cap(vector);
        else if (group == REJECT && !strcmp(kind, "wire_reject"))
            run_wire_reject(vector);
        else if (group == SCENARIO && !strcmp(kind, "scenario"))
            run_scenario(inputs);
        else
            continue;
        count++;
    }
    return count;
}

static void test_hashes(void **unused)
{
    (void)unused;
    assert_int_equal(run_group(HASHES), 35);
}

static void test_wire(void **unused)
{
    (void)unused;
    assert_int_equal(run_group(WIRE), 9);
}

static void test_reject(void **unused)
{
    (void)unused;
    assert_int_equal(run_group(REJECT), 34);
}

static void test_scenario(void **unused)
{
    (void)unused;
    assert_int_equal(run_group(SCENARIO), 24);
}

static int load_file(void **unused)
{
    (void)unused;
    file = json_object_from_file(KAT);
    return file ? 0 : -1;
}

static int free_file(void **unused)
{
    (void)unused;
    json_object_put(file);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_wire),
        cmocka_unit_test(test_reject),
        cmocka_unit_test(test_scenario),
    };
    return cmocka_run_group_tests(tests, load_file, free_file);
}
