/* SPDX-License-Identifier: MIT
 *
 * DERIVE_SPAWN with mappings: E-11, E-12, E-15 to E-17 of pvm-kernel.md 11.3, whose
 * hashes are those of the specification's vectors; and E-28.
 */
#include "tests/unit/kernel/programs.h"

static struct hash256 hash_text(const char *text)
{
    struct hash256 hash;
    for (int i = 0; i < HASH256_SIZE; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], 0};
        hash.byte[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return hash;
}

static const struct kernel_mapping two[] = {
    {.start = 0, .size = 4096, .path = {1}, .path_size = 1},
    {.start = 4096, .size = 4096, .path = {2}, .path_size = 1}};

struct spawned {
    struct hash256 hash;
    struct kernel_cap instance, cnode;
};

/* Spawn in a fresh frame's slots: image 3, cnode 4, to 7. */
static struct spawned spawn(struct fixture *f, struct hash256 image,
                            struct hash256 cnode)
{
    set(f, 3, image);
    set(f, 4, cnode);
    expect(f, None, 18, 3, 4, 7, 0);
    struct spawned s = {.hash = top(f)->cnode.slot[7].hash};
    s.instance = cap_at(f, s.hash);
    s.cnode = cap_at(f, s.instance.instance.root_cnode);
    return s;
}

static struct hash256 mapped_image(struct fixture *f, struct hash256 pinned,
                                   struct hash256 initial)
{
    const struct kernel_entry in = {1, initial}, pin = {2, pinned};
    /* As the vectors have it; the assembler would leave the zero out. */
    const struct pvm_code code = {.code = bytes_of("\x0a\0", 2),
                                  .bitmask = (const uint8_t *)"\1"};
    return put_program(f, "ecalli 0",
                       &(struct kernel_image_parts){.code = &code,
                                                    .mapping = two,
                                                    .mapping_count = 2,
                                                    .pinned = &pin,
                                                    .pinned_count = 1,
                                                    .initial = &in,
                                                    .initial_count = 1});
}

static void test_mapped(void **unused)
{
    struct fixture f;
    (void)unused;
    start(&f, false);
    struct hash256 data = put_data(&f, "\1\2\3\4\5\6\7\x08", 1);
    struct hash256 hello = put_data(&f, "hello", 1);
    struct hash256 image = mapped_image(&f, data, hello);
    struct hash256 want =
        hash_text("5e110cc44a786713ca59073f27fe3db1f4016eca4ef709ee6be778e865049a53");
    assert_memory_equal(&image, &want, sizeof want);       /* image_mapped */
    struct spawned s = spawn(&f, image, put_cnode(&f, 4)); /* E-11 */
    want =
        hash_text("505d5afa3a7c4ed411330117549e9151c404f83e907484e1823d7d29c3b49492");
    assert_memory_equal(&s.hash, &want, sizeof want);
    want =
        hash_text("b48e782b8f203247ac63fede9fc353b7082b19585c9228d10f1c43c9ca1a49e6");
    assert_memory_equal(&s.instance.instance.root_cnode, &want, sizeof want);
    /* E-12: initial gives way to what is there, pinned does not. */
    struct hash256 other = put_data(&f, "other", 1);
    struct kernel_entry both[] = {{1, other}, {2, other}};
    s = spawn(&f, image, put_slots(&f, both, 2));
    struct hash256 got = kernel_entry_hash(s.cnode.cnode.entries, 0);
    assert_memory_equal(&got, &other, sizeof got);
    got = kernel_entry_hash(s.cnode.cnode.entries, 1);
    assert_memory_equal(&got, &data, sizeof got);
    stop(&f);
}

static void test_sources(void **unused)
{
    const struct kernel_page_given page = {.state = KERNEL_PAGE_EMPTY};
    struct kernel_paged paged;
    struct fixture f;
    struct hash256 paged_hash;
    (void)unused;
    start(&f, false);
    struct hash256 image =
        put_program(&f, "ecalli 0",
                    &(struct kernel_image_parts){.mapping = two, .mapping_count = 2});
    /* E-15: paged, and a hash without a cap; then nothing at all. */
    assert_int_equal(kernel_paged_make(&f.arena, 4096, &page, 1, &paged),
                     KERNEL_ERROR_None);
    assert_int_equal(kernel_put_paged(f.k, &paged, &paged_hash), KERNEL_ERROR_None);
    struct kernel_entry entry[] = {{1, paged_hash}, {2, kernel_id("oog_marker")}};
    struct spawned s = spawn(&f, image, put_slots(&f, entry, 2));
    assert_int_equal(s.instance.instance.overlay_count, 0);
    assert_int_equal(s.instance.instance.mem_size, 8192);
    s = spawn(&f, image, put_cnode(&f, 4));
    assert_int_equal(s.instance.instance.overlay_count, 0);
    assert_int_equal(s.instance.instance.mem_size, 8192);
    /* E-16: all bytes, whatever the size of the mapping. */
    entry[0].hash = put_data(&f, "long", 3);
    s = spawn(&f, image, put_slots(&f, entry, 1));
    assert_int_equal(s.instance.instance.overlay_count, 1);
    assert_int_equal(kernel_instance_overlay(&s.instance.instance, 0).bytes.size,
                     3 * PVM_PAGE_SIZE);
    /* E-17 */
    const struct kernel_mapping huge = {
        .start = (uint64_t)256 << 20, .size = 4096, .path = {1}, .path_size = 1};
    set(&f, 3,
        put_program(
            &f, "ecalli 0",
            &(struct kernel_image_parts){.mapping = &huge, .mapping_count = 1}));
    set(&f, 4, put_cnode(&f, 4));
    uint32_t count = kernel_cap_count(f.k);
    expect(&f, LimitExceeded, 18, 3, 4, 7, 0);
    assert_int_equal(kernel_cap_count(f.k), count);
    stop(&f);
}

/* E-28: minting reads what the guest may only read. */
static void test_mint_read_only(void **unused)
{
    struct fixture f;
    uint64_t value;
    (void)unused;
    start(&f, false);
    map_memory(&f);
    assert_int_equal(kernel_quota_seed(f.k, 0, 4096, &value), KERNEL_STATUS_OK);
    assert_int_equal(pvm_mem_write(top(&f)->state.mem, 0, "ro", 2, NULL), ERR_ok);
    assert_int_equal(
        pvm_mem_protect(top(&f)->state.mem, 0, PVM_PAGE_SIZE, PVM_ACCESS_R), ERR_ok);
    expect(&f, None, 23, 0, 2, 0, 6);
    assert_true(holds(&f, 6, put_data(&f, "ro", 1)));
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapped),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_mint_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
