/* SPDX-License-Identifier: MIT
 *
 * Saved servers and stores (v86fs.md 8): what comes back, and bytes that must not.
 */
#include "tests/unit/v86fs/world.h"

#include <string.h>

/* Names, a link, a sparse file, an open file without a name, an open directory. */
static void populate(struct world *world)
{
    uint8_t data[5000];
    memset(data, 'x', sizeof data);
    assert_int_equal(ask(world, SYMLINK, .node = WORLD_ROOT, .name = text("link"),
                         .target = text("subdir/far")),
                     0);
    assert_int_equal(
        ask(world, CREATE, .node = WORLD_SUBDIR, .name = text("far"), .mode = 0600), 0);
    uint64_t far = world->answer.attr.node;
    assert_int_equal(ask(world, WRITE, .node = far, .offset = (uint64_t)1 << 33,
                         .count = sizeof data, .data = bytes_of(data, sizeof data)),
                     0);
    assert_int_equal(
        ask(world, CREATE, .node = WORLD_ROOT, .name = text("gone"), .mode = 0644), 0);
    uint64_t gone = world->answer.attr.node;
    assert_int_equal(ask(world, WRITE, .node = gone, .count = 4, .data = text("kept")),
                     0);
    assert_int_equal(ask(world, OPEN, .node = gone), 0);
    assert_int_equal(ask(world, OPEN, .node = WORLD_ROOT, .flags = 0200000), 0);
    assert_int_equal(ask(world, UNLINK, .node = WORLD_ROOT, .name = text("gone")), 0);
    assert_int_equal(ask(world, MOUNT, .name = text("unknown")), 0);
}

struct state {
    struct buf server, mem;
};

static void save(const struct world *world, struct state *state)
{
    struct arena scratch;
    arena_init(&scratch, 1 << 20);
    buf_init(&state->server, 1 << 20);
    buf_init(&state->mem, 1 << 20);
    assert_int_equal(v86fs_server_save(world->server, &state->server), ERR_ok);
    assert_int_equal(v86fs_mem_save(world->mem, &scratch, &state->mem), ERR_ok);
    arena_fini(&scratch);
}

static void state_free(struct state *state)
{
    buf_fini(&state->server);
    buf_fini(&state->mem);
}

static enum err load_mem(struct world *world, struct bytes bytes)
{
    struct arena scratch;
    arena_init(&scratch, 1 << 20);
    enum err err = v86fs_mem_load(world->mem, &scratch, bytes);
    arena_fini(&scratch);
    return err;
}

static void test_comes_back(void **unused)
{
    (void)unused;
    static struct world one, two;
    struct state state;
    world_init(&one, NULL, NULL);
    world_init(&two, NULL, NULL);
    populate(&one);
    save(&one, &state);
    assert_int_equal(v86fs_server_load(two.server, buf_bytes(&state.server)), ERR_ok);
    assert_int_equal(load_mem(&two, buf_bytes(&state.mem)), ERR_ok);

    /* The open file without a name is still there, and goes with its handle. */
    uint64_t handle = ((uint64_t)1 << 32) + 1;
    assert_int_equal(ask(&two, READ, .node = handle, .count = 10), 0);
    assert_int_equal(two.tail.size, 4);
    assert_memory_equal(two.tail.data, "kept", 4);
    assert_int_equal(v86fs_server_handle_count(two.server), 2);
    assert_int_equal(ask(&two, CLOSE, .node = handle), 0);
    assert_int_equal(ask(&two, READ, .node = handle, .count = 10), V86FS_EBADF);

    /* New ids and entry numbers go on where the old ones ended. */
    assert_int_equal(
        ask(&one, CREATE, .node = WORLD_ROOT, .name = text("n"), .mode = 0), 0);
    assert_int_equal(
        ask(&two, CREATE, .node = WORLD_ROOT, .name = text("n"), .mode = 0), 0);
    assert_int_equal(one.answer.attr.node, two.answer.attr.node);
    state_free(&state);
    world_fini(&one);
    world_fini(&two);
}

/* A state that is taken saves itself as the very bytes: nothing is guessed. */
static void assert_refused_or_same(struct world *world, struct bytes bytes)
{
    struct buf again;
    struct arena scratch;
    enum err err = load_mem(world, bytes);
    if (err) {
        assert_int_equal(err, ERR_v86fs_state);
        return;
    }
    arena_init(&scratch, 1 << 20);
    buf_init(&again, 1 << 20);
    assert_int_equal(v86fs_mem_save(world->mem, &scratch, &again), ERR_ok);
    assert_int_equal(again.size, bytes.size);
    assert_memory_equal(again.data, bytes.data, bytes.size);
    buf_fini(&again);
    arena_fini(&scratch);
}

static void test_damaged_store(void **unused)
{
    (void)unused;
    static struct world world;
    struct state state;
    world_init(&world, NULL, NULL);
    populate(&world);
    save(&world, &state);
    struct bytes good = buf_bytes(&state.mem);
    uint8_t *copy = malloc(good.size + 1);
    assert_non_null(copy);
    for (size_t size = 0; size < good.size; size += size < 1200 ? 1 : 977)
        assert_int_equal(load_mem(&world, bytes_of(good.data, size)), ERR_v86fs_state);
    memcpy(copy, good.data, good.size);
    copy[good.size] = 0;
    assert_int_equal(load_mem(&world, bytes_of(copy, good.size + 1)), ERR_v86fs_state);
    for (size_t at = 0; at < good.size && at < 1200; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            copy[at] ^= (uint8_t)(1 << bit);
            assert_refused_or_same(&world, bytes_of(copy, good.size));
            copy[at] = good.data[at];
        }
    }
    assert_int_equal(load_mem(&world, good), ERR_ok);
    free(copy);
    state_free(&state);
    world_fini(&world);
}

static void test_damaged_server(void **unused)
{
    (void)unused;
    static struct world world;
    struct state state, again;
    world_init(&world, NULL, NULL);
    populate(&world);
    save(&world, &state);
    struct buf copy = state.server;
    for (size_t size = 0; size < copy.size; size++)
        assert_int_equal(v86fs_server_load(world.server, bytes_of(copy.data, size)),
                         ERR_v86fs_state);
    for (size_t at = 0; at < copy.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            copy.data[at] ^= (uint8_t)(1 << bit);
            if (!v86fs_server_load(world.server, buf_bytes(&copy))) {
                buf_init(&again.server, 1 << 20);
                assert_int_equal(v86fs_server_save(world.server, &again.server),
                                 ERR_ok);
                assert_int_equal(again.server.size, copy.size);
                assert_memory_equal(again.server.data, copy.data, copy.size);
                buf_fini(&again.server);
            }
            copy.data[at] ^= (uint8_t)(1 << bit);
        }
    }
    state_free(&state);
    world_fini(&world);
}

/* A state of other exports, or of more than there is room for, is not taken. */
static void test_does_not_fit(void **unused)
{
    (void)unused;
    static struct world one, two;
    struct state state;
    struct v86fs_mem_options small;
    v86fs_mem_options_init(&small);
    small.node_count_max = 5000;
    small.quota = 5 * 4096;
    world_init(&one, NULL, NULL);
    populate(&one);
    save(&one, &state);
    world_init(&two, &small, NULL);
    assert_int_equal(v86fs_server_export(two.server, text("more"),
                                         v86fs_mem_tree(two.mem), WORLD_ROOT, false),
                     ERR_ok);
    assert_int_equal(v86fs_server_load(two.server, buf_bytes(&state.server)),
                     ERR_v86fs_state);
    two.ids = one.ids;
    assert_int_equal(load_mem(&two, buf_bytes(&state.mem)), ERR_ok);
    world_fini(&two);
    small.quota = 4 * 4096;
    world_init(&two, &small, NULL);
    two.ids = one.ids;
    assert_int_equal(load_mem(&two, buf_bytes(&state.mem)), ERR_v86fs_state);
    world_fini(&two);
    small.quota = 1 << 20;
    small.node_count_max = 5;
    world_init(&two, &small, NULL);
    two.ids = one.ids;
    assert_int_equal(load_mem(&two, buf_bytes(&state.mem)), ERR_v86fs_state);
    world_fini(&two);
    world_fini(&one);
    state_free(&state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_damaged_store),
        cmocka_unit_test(test_damaged_server),
        cmocka_unit_test(test_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
