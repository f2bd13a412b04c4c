/* SPDX-License-Identifier: MIT
 *
 * The overlay: writes stay above, the lower tree is only read, and what a client sees
 * is what it would see of a plain copy.
 */
#include "tests/unit/v86fs/world.h"

#include <string.h>

enum { ROUNDS = 20000, LONG = 9000 };

struct side {
    struct arena arena;
    struct v86fs_ids ids;
    struct v86fs_mem *mem;
    struct v86fs_tree tree;
    uint64_t root;
};

static void side_init(struct side *side)
{
    struct v86fs_mem_options options;
    v86fs_mem_options_init(&options);
    options.node_count_max = 200;
    options.quota = 1 << 20;
    memset(side, 0, sizeof *side);
    arena_init(&side->arena, 1 << 26);
    v86fs_ids_init(&side->ids);
    assert_int_equal(v86fs_mem_create(&side->arena, &options, &side->ids, &side->mem),
                     ERR_ok);
    side->tree = v86fs_mem_tree(side->mem);
}

static uint64_t add(const struct side *side, uint64_t parent, const char *name,
                    enum v86fs_op op)
{
    struct v86fs_call call = {.now_ns = 7000000000,
                              .in = {.node = parent,
                                     .name = text(name),
                                     .mode = 0644,
                                     .target = text("some/where")}};
    assert_int_equal(v86fs_tree_call(side->tree, op, &call), 0);
    return call.out.attr.node;
}

/* In bytewise order, so that a copy and an overlay number the entries alike. */
static void populate(struct side *side)
{
    static uint8_t data[LONG];
    for (size_t i = 0; i < LONG; i++)
        data[i] = (uint8_t)(i * 7 + 1);
    assert_int_equal(v86fs_mem_root(side->mem, 0755, 7000000000, &side->root), ERR_ok);
    uint64_t a = add(side, side->root, "a", V86FS_OP_mkdir);
    uint64_t file = add(side, a, "file", V86FS_OP_create);
    struct v86fs_call call = {
        .now_ns = 7000000000,
        .in = {.node = file, .count = LONG, .data = bytes_of(data, LONG)}};
    assert_int_equal(side->tree.ops->write(side->tree.self, &call), 0);
    (void)add(side, a, "link", V86FS_OP_symlink);
    (void)add(side, side->root, "b", V86FS_OP_mkdir);
    (void)add(side, side->root, "c", V86FS_OP_create);
}

struct pair {
    struct side lower, over, plain;
};

static void pair_init(struct pair *pair)
{
    side_init(&pair->lower);
    side_init(&pair->over);
    side_init(&pair->plain);
    populate(&pair->lower);
    populate(&pair->plain);
    assert_int_equal(v86fs_mem_overlay(pair->over.mem, pair->lower.tree,
                                       pair->lower.root, &pair->over.root),
                     ERR_ok);
}

static void pair_fini(struct pair *pair)
{
    arena_fini(&pair->lower.arena);
    arena_fini(&pair->over.arena);
    arena_fini(&pair->plain.arena);
}

/* ---- everything that a client can see, without ids, as text ---- */

struct listing {
    const struct side *side;
    struct buf *out;
    uint64_t node[64];
    char name[64][8];
    uint32_t mode[64];
    unsigned count;
};

static bool list_entry(struct v86fs_call *call, const struct v86fs_dirent *entry)
{
    struct listing *listing = call->entry_self;
    assert_true(listing->count < 64 && entry->name.size < 8);
    memcpy(listing->name[listing->count], entry->name.data, entry->name.size);
    listing->mode[listing->count] = entry->mode;
    listing->node[listing->count++] = entry->node;
    return true;
}

static void see(const struct side *side, uint64_t node, struct buf *out)
{
    static uint8_t data[1 << 17];
    struct v86fs_call call = {.in = {.node = node}};
    assert_int_equal(side->tree.ops->getattr(side->tree.self, &call), 0);
    const struct v86fs_attr *attr = &call.out.attr;
    buf_printf(out, " %o %u %llu %lld %lld", attr->mode, attr->nlink,
               (unsigned long long)attr->size, (long long)attr->mtime.s,
               (long long)attr->ctime.s);
    struct v86fs_call read = {.in = {.node = node, .count = sizeof data},
                              .data = data,
                              .data_size_max = sizeof data};
    if ((attr->mode & V86FS_TYPE_MASK) == V86FS_REGULAR) {
        assert_int_equal(side->tree.ops->read(side->tree.self, &read), 0);
        buf_printf(out, " %llx", (unsigned long long)hash_xxh3(data, read.out.count));
    } else if ((attr->mode & V86FS_TYPE_MASK) == V86FS_SYMLINK) {
        assert_int_equal(side->tree.ops->readlink(side->tree.self, &read), 0);
        buf_put(out, data, read.out.count);
    } else {
        struct listing *listing = calloc(1, sizeof *listing);
        struct v86fs_call list = {
            .in = {.node = node}, .entry = list_entry, .entry_self = listing};
        assert_non_null(listing);
        assert_int_equal(side->tree.ops->readdir(side->tree.self, &list), 0);
        for (unsigned i = 0; i < listing->count; i++) {
            buf_printf(out, "\n%s %o", listing->name[i], listing->mode[i]);
            see(side, listing->node[i], out);
        }
        buf_text(out, "\n;");
        free(listing);
    }
}

static void check_same(const struct side *a, const struct side *b, uint64_t seed)
{
    struct buf one, two;
    buf_init(&one, 1 << 20);
    buf_init(&two, 1 << 20);
    see(a, a->root, &one);
    see(b, b->root, &two);
    if (strcmp(buf_string(&one), buf_string(&two)) != 0) {
        print_error("%s\n---\n%s\n", buf_string(&one), buf_string(&two));
        test_reproduce("v86fs_overlay", seed);
        fail_msg("an overlay differs from a copy");
    }
    buf_fini(&one);
    buf_fini(&two);
}

/* ---- random changes by path ---- */

/* The node of "x" or "x/y" below the root; 0 if there is none. */
static uint64_t walk(const struct side *side, const char *first, const char *second)
{
    struct v86fs_call call = {.in = {.node = side->root, .name = text(first)}};
    if (side->tree.ops->lookup(side->tree.self, &call))
        return 0;
    if (!second)
        return call.out.attr.node;
    call.in = (struct v86fs_ask){.node = call.out.attr.node, .name = text(second)};
    return side->tree.ops->lookup(side->tree.self, &call) ? 0 : call.out.attr.node;
}

static uint32_t change(const struct side *side, uint64_t random)
{
    static const char *const first[] = {"a", "b", "c", "d"};
    static const char *const second[] = {"file", "link", "x", "y"};
    static uint8_t data[5000];
    const char *dir = first[random % 4], *other = first[random / 4 % 4];
    const char *name = second[random / 16 % 4], *new_name = second[random / 64 % 4];
    struct v86fs_call call = {.now_ns = 9000000000 + (random >> 60) * 1000000000,
                              .in = {.node = walk(side, dir, NULL),
                                     .new_parent = walk(side, other, NULL),
                                     .name = text(name),
                                     .new_name = text(new_name),
                                     .target = text("else"),
                                     .mode = 0600}};
    static const enum v86fs_op ops[] = {
        V86FS_OP_create, V86FS_OP_mkdir, V86FS_OP_symlink, V86FS_OP_unlink,
        V86FS_OP_rename, V86FS_OP_write, V86FS_OP_write,   V86FS_OP_setattr};
    enum v86fs_op op = ops[random / 256 % 8];
    if (op == V86FS_OP_rename && random / 2048 % 4 == 0) {
        call.in.node = call.in.new_parent = side->root; /* directories themselves */
        call.in.name = text(dir);
        call.in.new_name = text(other);
    }
    if (op == V86FS_OP_write || op == V86FS_OP_setattr) {
        call.in.node = walk(side, dir, name);
        call.in.offset = random / 8192 % 12000;
        call.in.count = (uint32_t)(random >> 40) % sizeof data;
        memset(data, (int)(random >> 50), sizeof data);
        call.in.data = bytes_of(data, call.in.count);
        call.in.valid = V86FS_SET_SIZE | V86FS_SET_MODE;
        call.in.size = random / 8192 % 12000;
    }
    return v86fs_tree_call(side->tree, op, &call);
}

static void test_equals_copy(void **unused)
{
    (void)unused;
    uint64_t seed = test_seed(3), state = seed;
    for (unsigned i = 0; i < ROUNDS / 200; i++) {
        static struct pair pair;
        struct buf before, after;
        buf_init(&before, 1 << 20);
        buf_init(&after, 1 << 20);
        pair_init(&pair);
        see(&pair.lower, pair.lower.root, &before);
        for (unsigned j = 0; j < 200; j++) {
            uint64_t random = test_random(&state);
            bool over = change(&pair.over, random) == 0;
            bool plain = change(&pair.plain, random) == 0;
            assert_int_equal(over, plain);
            if (j % 20 == 0)
                check_same(&pair.over, &pair.plain, seed);
        }
        check_same(&pair.over, &pair.plain, seed);
        see(&pair.lower, pair.lower.root, &after);
        assert_string_equal(buf_string(&before), buf_string(&after));
        assert_int_equal(v86fs_mem_lower_changed(pair.over.mem), 0);
        pair_fini(&pair);
        buf_fini(&before);
        buf_fini(&after);
    }
}

/* A lower file that changes after it was seen is an error, not a guess. */
static void test_lower_changed(void **unused)
{
    (void)unused;
    static struct pair pair;
    uint8_t data[8];
    pair_init(&pair);
    uint64_t file = walk(&pair.over, "a", "file");
    struct v86fs_call read = {
        .in = {.node = file, .count = 8}, .data = data, .data_size_max = 8};
    assert_int_equal(pair.over.tree.ops->read(pair.over.tree.self, &read), 0);
    struct v86fs_call write = {
        .now_ns = 99000000000,
        .in = {.node = walk(&pair.lower, "a", "file"), .count = 1, .data = text("x")}};
    assert_int_equal(pair.lower.tree.ops->write(pair.lower.tree.self, &write), 0);
    assert_int_equal(pair.over.tree.ops->read(pair.over.tree.self, &read), V86FS_EIO);
    write.in.node = file;
    assert_int_equal(pair.over.tree.ops->write(pair.over.tree.self, &write), V86FS_EIO);
    assert_true(v86fs_mem_lower_changed(pair.over.mem) > 0);
    pair_fini(&pair);
}

/* A listing that does not fit leaves nothing behind. */
static void test_no_room(void **unused)
{
    (void)unused;
    static struct pair pair;
    pair_init(&pair);
    while (v86fs_mem_root(pair.over.mem, 0, 0, &(uint64_t){0}) == ERR_ok)
        continue;
    uint64_t used = v86fs_mem_used(pair.over.mem);
    struct v86fs_call call = {.in = {.node = pair.over.root, .name = text("a")}};
    assert_int_equal(pair.over.tree.ops->lookup(pair.over.tree.self, &call),
                     V86FS_ENFILE);
    assert_int_equal(v86fs_mem_used(pair.over.mem), used);
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_copy),
        cmocka_unit_test(test_lower_changed),
        cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
