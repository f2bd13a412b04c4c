/* SPDX-License-Identifier: MIT
 *
 * Random requests to the file server and to a plain model of it; every reply byte has
 * to be equal.  Now and then the server goes on as another one that was loaded from its
 * saved state.  LOCKSTEP_FS_ROUNDS=1000000 runs more than the ordinary slice.
 */
#include "tests/diff/fs_model.h"
#include "tests/test.h"
#include "v86fs/v86fs.h"

#include <string.h>

enum { ROUNDS = 60000, EPOCH_ROUNDS = 4000, RELOAD_ROUNDS = 331 };

/* A server and its store. */
struct side {
    struct arena arena;
    struct v86fs_ids ids;
    struct v86fs_mem *mem;
    struct v86fs_server *server;
};

struct pair {
    struct side *side;
    struct model *model;
    uint64_t random;
    uint64_t now_ns;
    uint32_t features;
    uint64_t digest;
};

static uint64_t below(struct pair *pair, uint64_t limit)
{
    return test_random(&pair->random) % limit;
}

static struct side *side_create(void)
{
    struct v86fs_mem_options mem = {.node_count_max = MODEL_NODES,
                                    .quota = MODEL_QUOTA,
                                    .file_size_max = MODEL_FILE_SIZE};
    struct v86fs_server_options options;
    uint64_t root;
    struct side *side = calloc(1, sizeof *side);
    assert_non_null(side);
    v86fs_server_options_init(&options);
    options.handle_count_max = MODEL_HANDLES;
    arena_init(&side->arena, 1 << 24);
    v86fs_ids_init(&side->ids);
    assert_int_equal(v86fs_mem_create(&side->arena, &mem, &side->ids, &side->mem),
                     ERR_ok);
    assert_int_equal(v86fs_mem_root(side->mem, 0755, 0, &root), ERR_ok);
    v86fs_ids_start(&side->ids, 100);
    assert_int_equal(
        v86fs_server_create(&side->arena, &options, &side->ids, &side->server), ERR_ok);
    assert_int_equal(v86fs_server_export(side->server, bytes_of("", 0),
                                         v86fs_mem_tree(side->mem), root, false),
                     ERR_ok);
    return side;
}

static void side_free(struct side *side)
{
    arena_fini(&side->arena);
    free(side);
}

static void side_save(const struct side *side, struct buf *server, struct buf *mem)
{
    struct arena scratch;
    arena_init(&scratch, 1 << 24);
    buf_init(server, 1 << 24);
    buf_init(mem, 1 << 24);
    assert_int_equal(v86fs_server_save(side->server, server), ERR_ok);
    assert_int_equal(v86fs_mem_save(side->mem, &scratch, mem), ERR_ok);
    arena_fini(&scratch);
}

static void assert_bufs_equal(const struct buf *a, const struct buf *b)
{
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->data, b->data, a->size);
}

/* Go on with a copy that was made of the saved bytes; it saves itself as the same. */
static void pair_reload(struct pair *pair)
{
    struct buf server, mem, server_again, mem_again;
    struct arena scratch;
    struct side *copy = side_create();
    side_save(pair->side, &server, &mem);
    arena_init(&scratch, 1 << 24);
    assert_int_equal(v86fs_server_load(copy->server, buf_bytes(&server)), ERR_ok);
    assert_int_equal(v86fs_mem_load(copy->mem, &scratch, buf_bytes(&mem)), ERR_ok);
    side_save(copy, &server_again, &mem_again);
    assert_bufs_equal(&server, &server_again);
    assert_bufs_equal(&mem, &mem_again);
    side_free(pair->side);
    pair->side = copy;
    arena_fini(&scratch);
    buf_fini(&server);
    buf_fini(&mem);
    buf_fini(&server_again);
    buf_fini(&mem_again);
}

static void pair_init(struct pair *pair, uint64_t seed)
{
    *pair = (struct pair){.side = side_create(), .random = seed, .now_ns = 1000000000};
    pair->model = model_create();
}

static void pair_fini(struct pair *pair)
{
    model_free(pair->model);
    side_free(pair->side);
}

static uint64_t some_id(struct pair *pair)
{
    switch (below(pair, 16)) {
    case 0:
        return below(pair, model_next_id(pair->model) + 3);
    case 1:
        return test_random(&pair->random);
    case 2:
        return 1;
    default:
        return model_some_node(pair->model, below(pair, 1000));
    }
}

static struct bytes some_name(struct pair *pair)
{
    static const char *const names[] = {"a", "b", "c",  "d",   "e",      "f",
                                        "",  ".", "..", "x/y", "caf\xe9"};
    static char longer[300];
    uint64_t choice = below(pair, 40);
    if (choice < 33) {
        const char *name = names[choice < 27 ? choice % 6 : choice - 22];
        return bytes_of(name, strlen(name));
    }
    memset(longer, 'n', sizeof longer);
    longer[0] = (char)('a' + below(pair, 2));
    static const size_t sizes[] = {63, 64, 65, 128, 255, 256, 129};
    return bytes_of(longer, sizes[choice - 33]);
}

static uint8_t pool[70000];

static void some_ask(struct pair *pair, struct v86fs_ask *in)
{
    static const uint32_t valid[] = {1, 8, 0x20, 0x10, 0x41, 0x2068, 6, 0x1a6, 0x90};
    *in = (struct v86fs_ask){.node = some_id(pair), .new_parent = some_id(pair)};
    in->name = some_name(pair);
    in->new_name = some_name(pair);
    in->target =
        bytes_of(pool, below(pair, 10) ? 1 + below(pair, 200) : below(pair, 4200));
    in->offset = below(pair, 20) ? below(pair, 12) * 4096 + below(pair, 3)
                                 : test_random(&pair->random);
    in->cookie = below(pair, 12);
    in->count = (uint32_t)(below(pair, 4) ? below(pair, 300) : below(pair, 13000));
    in->data = bytes_of(pool + below(pair, 50000), in->count);
    in->size = below(pair, 10) ? below(pair, 11) * 4000 : test_random(&pair->random);
    in->valid = below(pair, 8) ? valid[below(pair, countof(valid))]
                               : (uint32_t)test_random(&pair->random);
    in->mode = (uint32_t)test_random(&pair->random);
    in->uid = (uint32_t)below(pair, 3);
    in->gid = (uint32_t)below(pair, 3);
    in->atime.s = (int64_t)test_random(&pair->random);
    in->atime.ns = (uint32_t)below(pair, 1100000000);
    in->mtime.s = (int64_t)below(pair, 5);
    in->mtime.ns = (uint32_t)below(pair, 1100000000);
}

/* Flags mean something else in each message. */
static uint32_t some_flags(struct pair *pair, uint8_t type)
{
    switch (type) {
    case V86FS_MSG_OPEN:
        return below(pair, 2) ? V86FS_OPEN_DIRECTORY : (uint32_t)below(pair, 3);
    case V86FS_MSG_UNLINK:
        return below(pair, 20) ? (uint32_t)below(pair, 2) * V86FS_REMOVEDIR : 1;
    default:
        return (uint32_t)below(pair, below(pair, 8) ? 3 : 5);
    }
}

static size_t some_capacity(struct pair *pair)
{
    switch (below(pair, 8)) {
    case 0:
        return below(pair, 100);
    case 1:
        return below(pair, MODEL_REPLY);
    default:
        return MODEL_REPLY;
    }
}

static void fail_reply(uint64_t seed, unsigned round, uint8_t type, const uint8_t *want,
                       size_t want_size, const uint8_t *got, size_t got_size)
{
    print_error("round %u, %s: want %zu bytes, got %zu\n", round, v86fs_type_name(type),
                want_size, got_size);
    for (size_t i = 0; i < want_size && i < 64; i++)
        print_error("%02x%s", want[i], i == 10 ? " " : "");
    print_error("\n");
    for (size_t i = 0; i < got_size && i < 64; i++)
        print_error("%02x%s", got[i], i == 10 ? " " : "");
    print_error("\n");
    test_reproduce("diff_fs", seed);
    fail_msg("replies differ");
}

static void one_round(struct pair *pair, uint64_t seed, unsigned round)
{
    /* More creations than removals, or nothing grows. */
    static const uint8_t types[] = {0,  1,  2,  3,  3,  4,  4,  5,  5,  6,
                                    6,  7,  7,  7,  8,  8,  8,  9,  9,  9,
                                    10, 10, 11, 12, 13, 13, 13, 14, 15, 16};
    uint8_t want[MODEL_REPLY], got[MODEL_REPLY];
    struct v86fs_ask in;
    struct buf frame;
    size_t got_size;
    uint64_t token;
    uint8_t type = types[below(pair, sizeof types)];
    uint16_t tag = (uint16_t)test_random(&pair->random);
    some_ask(pair, &in);
    in.flags = some_flags(pair, type);
    if ((type == V86FS_MSG_CLOSE || type == V86FS_MSG_READ) && below(pair, 2))
        in.node = model_last_handle(pair->model) - below(pair, 2 * MODEL_HANDLES);
    if (type == V86FS_MSG_MOUNT)
        in.name.size = 0;
    size_t capacity = some_capacity(pair);
    pair->now_ns += below(pair, 3) * 500000000;
    buf_init(&frame, 1 << 17);
    v86fs_request_encode(v86fs_message_of(type), pair->features, tag, &in, &frame);
    v86fs_server_serve(pair->side->server, pair->now_ns, buf_bytes(&frame), got,
                       capacity, &got_size, &token);
    size_t want_size = model_serve(pair->model, pair->features, pair->now_ns, type, tag,
                                   &in, capacity, want);
    if (got_size != want_size || memcmp(got, want, got_size) != 0)
        fail_reply(seed, round, type, want, want_size, got, got_size);
    pair->digest =
        hash_xxh3(got, got_size) + pair->digest * UINT64_C(0x9e3779b97f4a7c15);
    buf_fini(&frame);
}

static uint64_t run(uint64_t seed, unsigned rounds)
{
    struct pair pair;
    pair_init(&pair, seed);
    for (unsigned round = 0; round < rounds; round++) {
        if (round % EPOCH_ROUNDS == 0) {
            static const uint32_t sets[] = {0, V86FS_FEATURES, V86FS_F5_RMDIR, 0,
                                            V86FS_F0_READDIR_PAGED | V86FS_F1_ATTR2};
            v86fs_server_reset(pair.side->server);
            model_reset(pair.model);
            pair.features = sets[below(&pair, countof(sets))];
            v86fs_server_negotiate(pair.side->server, pair.features);
        }
        one_round(&pair, seed, round);
        if (round % RELOAD_ROUNDS == RELOAD_ROUNDS - 1)
            pair_reload(&pair);
    }
    uint64_t digest = pair.digest;
    pair_fini(&pair);
    return digest;
}

static void test_model(void **unused)
{
    (void)unused;
    uint64_t seed = test_seed(1);
    const char *text = getenv("LOCKSTEP_FS_ROUNDS");
    unsigned rounds = text ? (unsigned)strtoul(text, NULL, 0) : ROUNDS;
    for (size_t i = 0; i < sizeof pool; i++)
        pool[i] = (uint8_t)(1 + test_random(&(uint64_t){i}) % 255);
    (void)run(seed, rounds);
}

/* The same stream twice gives the same bytes. */
static void test_twice(void **unused)
{
    (void)unused;
    assert_int_equal(run(7, 5000), run(7, 5000));
    assert_int_not_equal(run(7, 5000), run(8, 5000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
