/* SPDX-License-Identifier: MIT
 *
 * Every program of the w3f conformance set, recorded with each gas log and replayed:
 * recording changes no result, and neither does replaying.
 */
#include "tests/unit/replay/run.h"

#include "base/os.h"

#include <json-c/json.h>
#include <string.h>

#define FOLDER "corpus/vectors/pvm/"

static struct json_object *member(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;
    if (!json_object_object_get_ex(object, key, &value))
        fail_msg("no %s", key);
    return value;
}

static uint64_t number(struct json_object *object, const char *key)
{
    return json_object_get_uint64(member(object, key));
}

static struct bytes bytes(struct arena *arena, struct json_object *array)
{
    size_t size = json_object_array_length(array);
    uint8_t *data = arena_alloc(arena, size, 1);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)json_object_get_int(json_object_array_get_idx(array, i));
    return bytes_of(data, size);
}

static struct trace_list_uuu maps(struct arena *arena, struct json_object *array)
{
    size_t count = json_object_array_length(array);
    struct trace_uuu *map = arena_new_array(arena, struct trace_uuu, count);
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(array, i);
        bool writable = json_object_get_boolean(member(item, "is-writable"));
        map[i] = (struct trace_uuu){number(item, "address"), number(item, "length"),
                                    writable ? PVM_ACCESS_RW : PVM_ACCESS_R};
    }
    return (struct trace_list_uuu){map, count};
}

static struct trace_list_uw memory(struct arena *arena, struct json_object *array)
{
    size_t count = json_object_array_length(array);
    struct trace_uw *mem = arena_new_array(arena, struct trace_uw, count);
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(array, i);
        mem[i] = (struct trace_uw){number(item, "address"),
                                   bytes(arena, member(item, "contents"))};
    }
    return (struct trace_list_uw){mem, count};
}

static struct replay_setup setup_from(struct arena *arena, struct json_object *test)
{
    struct json_object *regs = member(test, "initial-regs");
    struct replay_setup setup =
        setup_of(bytes(arena, member(test, "program")), PVM_PROFILE_VECTORS);
    setup.gas = number(test, "initial-gas");
    setup.pc = (uint32_t)number(test, "initial-pc");
    setup.maps = maps(arena, member(test, "initial-page-map"));
    setup.mem = memory(arena, member(test, "initial-memory"));
    for (size_t i = 0; i < PVM_REG_COUNT; i++)
        setup.reg[i] = json_object_get_uint64(json_object_array_get_idx(regs, i));
    setup.hash_every = 5;
    setup.digest_every = 1;
    return setup;
}

static void check_end(const struct recording *r, struct json_object *test)
{
    const char *status = json_object_get_string(member(test, "expected-status"));
    struct json_object *regs = member(test, "expected-regs");
    enum pvm_exit exit = r->result.outcome.exit;
    const char *got = exit == PVM_EXIT_TRAP         ? "panic"
                      : exit == PVM_EXIT_PAGE_FAULT ? "page-fault"
                                                    : pvm_exit_name(exit);
    assert_string_equal(got, status);
    assert_int_equal(r->state.pc, number(test, "expected-pc"));
    assert_int_equal(r->state.gas, number(test, "expected-gas"));
    for (size_t i = 0; i < PVM_REG_COUNT; i++)
        assert_int_equal(r->state.reg[i],
                         json_object_get_uint64(json_object_array_get_idx(regs, i)));
}

static void run_vector(const char *name)
{
    char path[256];
    struct arena arena;
    (void)snprintf(path, sizeof path, FOLDER "%s", name);
    struct json_object *test = json_object_from_file(path);
    if (!test)
        fail_msg("cannot read %s", path);
    arena_init(&arena, (size_t)1 << 26);
    struct replay_setup setup = setup_from(&arena, test);
    for (int log = PVM_GAS_LOG_LEDGER; log <= PVM_GAS_LOG_SUMMARY; log++) {
        struct recording r;
        setup.gas_log = (enum pvm_gas_log)log;
        check_setup(&setup, NULL, &r);
        check_end(&r, test);
        recording_fini(&r);
    }
    arena_fini(&arena);
    json_object_put(test);
}

static void test_vectors(void **state)
{
    (void)state;
    struct buf names;
    unsigned count = 0;
    buf_init(&names, 1 << 20);
    assert_int_equal(os_folder_list(FOLDER, &names), ERR_ok);
    for (size_t at = 0; at < names.size;) {
        const char *name = (const char *)names.data + at;
        size_t size = strlen(name);
        at += size + 1;
        if (size < 5 || strcmp(name + size - 5, ".json") != 0)
            continue;
        run_vector(name);
        count++;
    }
    assert_int_equal(count, 208);
    buf_fini(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
