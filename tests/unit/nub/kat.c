/* SPDX-License-Identifier: MIT */
#include "tests/unit/nub/kat.h"

#include "kernel/cap.h"
#include "tests/test.h"

#include <string.h>

#define KAT "corpus/kernel/pvm-kernel-kat.json"

enum { WIRE_MAX = 1 << 20 };

static struct json_object *file;

int kat_open(void **unused)
{
    (void)unused;
    file = json_object_from_file(KAT);
    return file ? 0 : -1;
}

int kat_close(void **unused)
{
    (void)unused;
    json_object_put(file);
    return 0;
}

struct json_object *kat_get(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;
    (void)json_object_object_get_ex(object, key, &value);
    return value;
}

const char *kat_text(struct json_object *object, const char *key)
{
    struct json_object *value = kat_get(object, key);
    return value ? json_object_get_string(value) : NULL;
}

uint64_t kat_number(struct json_object *object, const char *key)
{
    return (uint64_t)json_object_get_int64(kat_get(object, key));
}

struct json_object *kat_vectors(void)
{
    return kat_get(file, "vectors");
}

struct json_object *kat_vector(const char *name)
{
    struct json_object *vectors = kat_vectors();
    for (size_t i = 0; i < json_object_array_length(vectors); i++) {
        struct json_object *vector = json_object_array_get_idx(vectors, i);
        if (!strcmp(kat_text(vector, "name"), name))
            return vector;
    }
    fail_msg("no vector %s", name);
    return NULL;
}

size_t kat_unhex(const char *hex, uint8_t *ret_bytes, size_t size_max)
{
    size_t size = strlen(hex) / 2;
    assert_true(size <= size_max);
    for (size_t i = 0; i < size; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        ret_bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return size;
}

struct hash256 kat_hash(const char *hex)
{
    struct hash256 hash;
    assert_int_equal(kat_unhex(hex, hash.byte, HASH256_SIZE), HASH256_SIZE);
    return hash;
}

struct bytes kat_wire(struct json_object *object)
{
    static uint8_t wire[WIRE_MAX];
    const char *hex = kat_text(object, "encoding");
    if (!hex)
        hex = kat_text(object, "encoding_prefix");
    memset(wire, 0, sizeof wire);
    size_t size = kat_unhex(hex, wire, sizeof wire);
    if (kat_get(object, "encoding_len"))
        size = kat_number(object, "encoding_len");
    assert_true(size <= sizeof wire);
    return bytes_of(wire, size);
}

static struct bytes invoke_payload(struct json_object *step)
{
    static uint8_t payload[NUB_INVOKE_SIZE];
    struct nub_invoke invoke = {.instance = kat_hash(kat_text(step, "instance")),
                                .endpoint = (uint32_t)kat_number(step, "endpoint"),
                                .gas = kat_number(step, "gas")};
    for (size_t i = 0; i < 4; i++)
        invoke.args[i] = (uint64_t)json_object_get_int64(
            json_object_array_get_idx(kat_get(step, "args"), i));
    nub_invoke_encode(&invoke, payload);
    return bytes_of(payload, sizeof payload);
}

static struct bytes resume_payload(struct json_object *step)
{
    static uint8_t payload[NUB_RESUME_SIZE];
    struct nub_resume resume = {.flags = (uint32_t)kat_number(step, "flags"),
                                .topup = kat_number(step, "gas_topup")};
    if (kat_text(step, "scratch"))
        resume.scratch = kat_hash(kat_text(step, "scratch"));
    nub_resume_encode(&resume, payload);
    return bytes_of(payload, sizeof payload);
}

static struct bytes catcher_payload(struct json_object *step)
{
    static uint8_t payload[72];
    struct hash256 catcher = kat_hash(kat_text(step, "catcher"));
    struct hash256 marker = kat_hash(kat_text(step, "marker"));
    memcpy(payload + 8, catcher.byte, HASH256_SIZE);
    memcpy(payload + 40, marker.byte, HASH256_SIZE);
    return bytes_of(payload, sizeof payload);
}

enum nub_fn kat_request(struct json_object *step, struct bytes *ret_payload)
{
    const char *what = kat_text(step, "do");
    *ret_payload = bytes_of("", 0);
    if (!strcmp(what, "put")) {
        *ret_payload = kat_wire(step);
        return NUB_FN_put_cap;
    }
    if (!strcmp(what, "invoke")) {
        *ret_payload = invoke_payload(step);
        return NUB_FN_invoke;
    }
    if (!strcmp(what, "resume")) {
        *ret_payload = resume_payload(step);
        return NUB_FN_resume;
    }
    if (!strcmp(what, "add_catcher")) {
        *ret_payload = catcher_payload(step);
        return NUB_FN_add_catcher;
    }
    assert_string_equal(what, "new_catcher");
    return NUB_FN_new_catcher;
}

void kat_expect(struct json_object *step, uint32_t status, struct bytes payload)
{
    struct json_object *want = kat_get(step, "expect");
    assert_int_equal(status, KERNEL_STATUS_OK);
    if (!want)
        return;
    if (json_object_is_type(want, json_type_string)) {
        struct hash256 hash = kat_hash(json_object_get_string(want));
        assert_int_equal(payload.size, HASH256_SIZE);
        assert_memory_equal(payload.data, hash.byte, HASH256_SIZE);
        return;
    }
    struct kernel_result result;
    assert_true(nub_result_decode(payload, &result));
    assert_int_equal(result.exit_reason, kat_number(want, "exit_reason"));
    assert_int_equal(result.exit_arg, kat_number(want, "exit_arg"));
    assert_int_equal(result.return_value, kat_number(want, "return_value"));
}

struct bytes kat_configure(uint32_t flags, enum kernel_engine engine)
{
    static uint8_t payload[NUB_CONFIG_SIZE];
    struct kernel_config config = kernel_config_default();
    config.flags = flags;
    config.engine = engine;
    nub_config_encode(&config, payload);
    return bytes_of(payload, sizeof payload);
}
