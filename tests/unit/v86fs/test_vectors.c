/* SPDX-License-Identifier: MIT
 *
 * corpus/v86fs/seed.json, all requests in order against one server, and the
 * examples of v86fs.md 2.3.
 */
#include "tests/unit/v86fs/world.h"

#include <json-c/json.h>
#include <string.h>

#define VECTORS "corpus/v86fs/seed.json"

static struct json_object *get(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;
    json_object_object_get_ex(object, key, &value);
    return value;
}

static unsigned digit(char c)
{
    const char *at = strchr("0123456789abcdef", c);
    assert_true(c && at);
    return (unsigned)(at - "0123456789abcdef");
}

static size_t unhex(const char *hex, uint8_t *data)
{
    size_t size = 0;
    for (; *hex; hex += 2)
        data[size++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
    return size;
}

static void check_reply(const struct world *world, const char *hex, const char *name)
{
    uint8_t want[4096];
    size_t size = hex ? unhex(hex, want) : 0;
    if (size == world->reply_size && !memcmp(want, world->reply, size))
        return;
    print_error("%s: want %s\ngot ", name, hex ? hex : "nothing");
    for (size_t i = 0; i < world->reply_size; i++)
        print_error("%02x", world->reply[i]);
    print_error("\n");
    fail_msg("%s", name);
}

static void test_seed_vectors(void **unused)
{
    (void)unused;
    static struct world world;
    struct json_object *file = json_object_from_file(VECTORS);
    struct json_object *vectors = get(file, "vectors");
    size_t count = json_object_array_length(vectors);
    assert_int_equal(count, 112);
    world_init(&world, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        struct json_object *vector = json_object_array_get_idx(vectors, i);
        struct json_object *send = get(vector, "send");
        char name[128];
        uint8_t request[4096];
        snprintf(name, sizeof name, "vector %d %s",
                 json_object_get_int(get(vector, "n")),
                 json_object_get_string(get(vector, "name")));
        size_t size = unhex(
            json_object_get_string(send ? send : get(vector, "request")), request);
        world_serve(&world, bytes_of(request, size));
        check_reply(&world, json_object_get_string(get(vector, "expected_reply")),
                    name);
    }
    json_object_put(file);
    world_fini(&world);
}

/* One example of 2.3 with its feature alone. */
static void check_example(struct world *world, uint32_t features, const char *request,
                          const char *reply)
{
    uint8_t frame[4096];
    size_t size = unhex(request, frame);
    world_features(world, features);
    world_serve(world, bytes_of(frame, size));
    check_reply(world, reply, request);
}

static void test_examples(void **unused)
{
    (void)unused;
    static struct world world;
    world_init(&world, NULL, NULL);
    for (world.capacity = 43; world.capacity < 60; world.capacity++)
        check_example(&world, V86FS_F0_READDIR_PAGED,
                      "1700000003010001000000000000000000000000000000",
                      "2b00000083010000000000010000000100000000000000020000000000000008"
                      "090068656c6c6f2e747874");
    check_example(&world, V86FS_F0_READDIR_PAGED,
                  "1700000003020001000000000000000100000000000000",
                  "2800000083020000000000010000000000000000000000030000000000000004"
                  "0600737562646972");
    world.capacity = 42; /* not even the first entry fits */
    check_example(&world, V86FS_F0_READDIR_PAGED,
                  "1700000003010001000000000000000000000000000000",
                  "1700000083010016000000000000000000000000000000");
    world.capacity = V86FS_FRAME_MAX;
    check_example(&world, V86FS_F1_ATTR2, "0f0000000203000200000000000000",
                  "5300000082030000000000a48100000c00000000000000e06a0366000000000000"
                  "0000010000000000000000000000000000000800000000000000e06a0366000000"
                  "0000000000e06a03660000000000000000");
    check_example(&world, V86FS_F1_ATTR2,
                  "3f0000000a04000200000000000000260100000000000000000000000000"
                  "00e8030000e8030000000000000000000000000000d2029649000000000500"
                  "0000",
                  "0b0000008a040000000000");
    assert_int_equal(ask(&world, GETATTR, .node = WORLD_HELLO), 0);
    assert_int_equal(world.answer.attr.uid, 1000);
    assert_int_equal(world.answer.attr.gid, 1000);
    assert_int_equal(world.answer.attr.mtime.s, 1234567890);
    assert_int_equal(world.answer.attr.mtime.ns, 5);
    assert_int_equal(world.answer.attr.atime.s, 1711500000);
    assert_int_equal(world.answer.attr.ctime.s, 1700000000);
    world_features(&world, 0);
    assert_int_equal(ask(&world, CREATE, .node = 1, .name = text("a")), 0);
    check_example(&world, V86FS_F4_RENAME_FLAGS,
                  "210000000d05000100000000000000010061010000000000000001006201000000",
                  "0b0000008d050000000000");
    check_example(&world, V86FS_F5_RMDIR,
                  "1b0000000c06000100000000000000060073756264697200020000",
                  "0b0000008c060000000000");
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seed_vectors),
        cmocka_unit_test(test_examples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
