/* SPDX-License-Identifier: MIT
 *
 * Paged data and working entries: H-02 to H-08, E-15, E-18, E-23, S-14 of
 * pvm-kernel.md 11, and ecalls on Refs.
 */
#include "tests/unit/kernel/fixture.h"

static struct arena arena;

static const struct kernel_page_given hello = {
    .state = KERNEL_PAGE_LOADED, .content = {(const uint8_t *)"hello", 5}};

static struct kernel_page_given missing(struct hash256 hash)
{
    return (struct kernel_page_given){.state = KERNEL_PAGE_MISSING, .hash = hash};
}

static struct kernel_paged paged_of(const struct kernel_page_given *given,
                                    uint32_t count)
{
    struct kernel_paged paged = {.count = 0};
    assert_int_equal(kernel_paged_make(&arena, PVM_PAGE_SIZE, given, count, &paged),
                     KERNEL_ERROR_None);
    return paged;
}

static struct hash256 paged_hash(const struct kernel_paged *paged)
{
    struct hash256 hash = {{0}};
    assert_int_equal(kernel_paged_hash(paged, &hash), KERNEL_ERROR_None);
    return hash;
}

#define same(a, b) assert_memory_equal((a).byte, (b).byte, HASH256_SIZE)

static void test_pages(void **unused)
{
    struct hash256 page = kernel_page_hash((const uint8_t *)"hello", 5), hash;
    struct kernel_page_given gone = missing(page), wrong = hello, zeros = hello;
    struct kernel_page_given empty = missing(kernel_zero_hash(7));
    struct kernel_paged a, b;
    (void)unused;
    arena_init(&arena, 1 << 20);
    a = paged_of(&hello, 1);
    b = paged_of(&gone, 1);
    same(paged_hash(&a), paged_hash(&b)); /* H-02 */
    zeros.content = bytes_of("\0\0", 2);
    a = paged_of(&zeros, 1);
    b = paged_of(&empty, 1);
    assert_true(a.page[0].state == KERNEL_PAGE_EMPTY &&
                b.page[0].state == KERNEL_PAGE_EMPTY); /* H-03 */
    wrong.hash_given = true;
    wrong.hash = filled(1);
    assert_int_equal(kernel_paged_make(&arena, 4096, &wrong, 1, &b),
                     KERNEL_ERROR_HashMismatch); /* H-04 */
    gone = missing(filled(0));
    assert_int_equal(kernel_paged_make(&arena, 4096, &gone, 1, &b),
                     KERNEL_ERROR_BadCap);
    assert_int_equal(kernel_paged_make(&arena, 0, &hello, 1, &b), KERNEL_ERROR_BadCap);
    assert_int_equal(kernel_paged_make(&arena, 4097, &hello, 1, &b),
                     KERNEL_ERROR_BadCap);
    /* H-05, and a copy whose pages stay as they were */
    a = paged_of(&hello, 1);
    struct hash256 before = paged_hash(&a);
    assert_int_equal(kernel_paged_copy(&arena, &a, &b), KERNEL_ERROR_None);
    assert_int_equal(kernel_paged_write(&arena, &b, 4, bytes_of("p!", 2)),
                     KERNEL_ERROR_None);
    assert_int_equal(kernel_paged_hash(&b, &hash), KERNEL_ERROR_DirtyPages);
    same(paged_hash(&a), before);
    kernel_paged_flush(&b);
    struct kernel_page_given help = {.state = KERNEL_PAGE_LOADED,
                                     .content = bytes_of("hellp!", 6)};
    struct kernel_paged want = paged_of(&help, 1);
    same(paged_hash(&b), paged_hash(&want));
    assert_int_equal(kernel_paged_write(&arena, &b, 0, bytes_of("\0\0\0\0\0\0", 6)),
                     KERNEL_ERROR_None);
    kernel_paged_flush(&b);
    assert_int_equal(b.page[0].state, KERNEL_PAGE_EMPTY);
    assert_int_equal(kernel_paged_write(&arena, &b, 4096, bytes_of("x", 1)),
                     KERNEL_ERROR_BadCap);
    gone = missing(page);
    b = paged_of(&gone, 1);
    assert_int_equal(kernel_paged_write(&arena, &b, 0, bytes_of("x", 1)),
                     KERNEL_ERROR_PageMissing);
    arena_fini(&arena);
}

static void test_page_slots(void **unused)
{
    uint8_t bytes[KERNEL_PAGE_SLOT_MAX];
    struct kernel_page page;
    (void)unused;
    arena_init(&arena, 1 << 20);
    struct kernel_paged a = paged_of(&hello, 1);
    assert_int_equal(kernel_page_slot_put(&a.page[0], bytes), sizeof bytes);
    struct bytes slot = bytes_of(bytes, sizeof bytes);
    assert_int_equal(kernel_page_slot_get(slot, &page), KERNEL_ERROR_None);
    same(page.hash, a.page[0].hash);
    bytes[1] ^= 1;
    assert_int_equal(kernel_page_slot_get(slot, &page), KERNEL_ERROR_HashMismatch);
    for (size_t size = 0; size < sizeof bytes; size++) {
        if (size != 33) /* which byte 0 says is none */
            assert_int_equal(kernel_page_slot_get(bytes_of(bytes, size), &page),
                             KERNEL_ERROR_BadCap);
    }
    assert_int_equal(kernel_paged_write(&arena, &a, 0, bytes_of("x", 1)),
                     KERNEL_ERROR_None);
    assert_int_equal(kernel_page_slot_put(&a.page[0], bytes), 0); /* Dirty */
    arena_fini(&arena);
}

/* ---- in the directory ---- */

static void test_paged_blob(void **unused)
{
    struct fixture f;
    struct bytes wire;
    struct hash256 hash;
    uint64_t value;
    uint8_t got[PVM_PAGE_SIZE];
    const struct kernel_page_given pages[] = {
        {.state = KERNEL_PAGE_EMPTY}, missing(filled(5)), hello};
    (void)unused;
    arena_init(&arena, 1 << 20);
    start(&f, false);
    map_memory(&f);
    struct kernel_paged paged = paged_of(pages, 3);
    uint64_t used = f.k->directory.used;
    assert_int_equal(kernel_put_paged(f.k, &paged, &hash), KERNEL_ERROR_None);
    assert_int_equal(f.k->directory.used - used, 64 + 3 * 40 + 4096); /* 2.6 */
    same(hash, paged_hash(&paged));
    assert_int_equal(kernel_get(f.k, &hash, &wire), KERNEL_STATUS_NOT_ENCODABLE);
    set(&f, 3, hash);
    memset(got, 1, sizeof got);
    assert_int_equal(pvm_mem_write(top(&f)->state.mem, 0, got, sizeof got, NULL),
                     ERR_ok);
    expect(&f, PageMissing, 22, 3, 0, 4097, 0); /* E-23 */
    expect(&f, None, 22, 3, 0, 4096, 0);
    assert_int_equal(pvm_mem_read(top(&f)->state.mem, 0, sizeof got, got), ERR_ok);
    for (size_t i = 0; i < sizeof got; i++)
        assert_int_equal(got[i], 0);
    /* The last page follows a Missing one: its bytes are found nevertheless. */
    const struct kernel_page_given loaded[] = {{.state = KERNEL_PAGE_EMPTY}, hello};
    paged = paged_of(loaded, 2);
    assert_int_equal(kernel_put_paged(f.k, &paged, &hash), KERNEL_ERROR_None);
    set(&f, 3, hash);
    expect(&f, None, 22, 3, 0, UINT64_MAX, 0);
    assert_int_equal(top(&f)->state.reg[7], 2 * PVM_PAGE_SIZE);
    assert_int_equal(pvm_mem_read(top(&f)->state.mem, 4096, 6, got), ERR_ok);
    assert_memory_equal(got, "hello", 6);
    assert_int_equal(kernel_quota_seed(f.k, 0, 8192, &value), KERNEL_STATUS_OK);
    expect(&f, None, 25, 3, 0, 0, 0); /* a file of 8192 bytes */
    assert_int_equal(kernel_quota(f.k, 0), 0);
    assert_false(hash256_equal(&hash, kernel_file(f.k, 7) ? kernel_file(f.k, 7)
                                                          : &(struct hash256){{0}}));
    /* H-08 */
    paged = paged_of(&hello, 1);
    struct hash256 inlined = put_data(&f, "hello", 1), other = paged_hash(&paged);
    assert_false(hash256_equal(&inlined, &other));
    stop(&f);
    arena_fini(&arena);
}

/* ---- working entries ---- */

static uint64_t new_cnode(struct fixture *f, struct kernel_ref ref)
{
    static const uint8_t wire[] = {3, 4, 5, 0, 0, 0};
    uint64_t id = 0;
    const struct kernel_work_cap cap = {
        .wire = bytes_of(wire, sizeof wire), .ref = &ref, .ref_count = ref.id != 0};
    assert_int_equal(kernel_work_new(f->k, &cap, &id), KERNEL_ERROR_None);
    return id;
}

static enum kernel_error settle(struct fixture *f, uint64_t id, struct hash256 *hash)
{
    return kernel_work_settle(f->k, &(struct kernel_target){.present = true, .ref = id},
                              hash);
}

static void test_entries(void **unused)
{
    struct fixture f;
    struct hash256 hash = {{0}}, inner;
    (void)unused;
    arena_init(&arena, 1 << 20);
    start(&f, false);
    uint64_t a = new_cnode(&f, (struct kernel_ref){3, 2});
    assert_int_equal(a, 1);
    assert_int_equal(kernel_work_hash(f.k, a, &hash),
                     KERNEL_ERROR_Unsettled); /* H-06 */
    assert_int_equal(settle(&f, a, &hash), KERNEL_ERROR_WorkingMissing);
    uint64_t b = new_cnode(&f, (struct kernel_ref){5, a});
    assert_int_equal(settle(&f, a, &hash), KERNEL_ERROR_RefCycle); /* H-07 */
    assert_int_equal(settle(&f, a, &hash), KERNEL_ERROR_RefCycle);
    assert_int_equal(kernel_cap_count(f.k), 0);
    const struct kernel_work_cap empty = {.wire = bytes_of("\3\2\5\0\0", 6)};
    assert_int_equal(kernel_work_replace(f.k, b, &empty), KERNEL_ERROR_None);
    assert_int_equal(kernel_work_replace(f.k, 99, &empty), KERNEL_ERROR_WorkingMissing);
    assert_int_equal(settle(&f, a, &hash), KERNEL_ERROR_None);
    assert_int_equal(kernel_cap_count(f.k), 2);
    assert_int_equal(kernel_work_hash(f.k, b, &inner), KERNEL_ERROR_None);
    /* The same as a cnode that never was a working entry. */
    struct buf wire;
    buf_init(&wire, 100);
    buf_put(&wire, "\3\4\5\0\0\0\3\0\0\0", 10);
    buf_put(&wire, inner.byte, HASH256_SIZE);
    same(put(&f, &wire), hash);
    buf_fini(&wire);
    /* Nobody names them. */
    assert_int_equal(kernel_work_count(f.k), 2);
    kernel_work_sweep(f.k);
    assert_int_equal(kernel_work_count(f.k), 0);
    assert_int_equal(kernel_work_promote(f.k, &hash, &a), KERNEL_ERROR_None);
    assert_int_equal(a, 3); /* never reused */
    assert_int_equal(kernel_work_hash(f.k, a, &inner), KERNEL_ERROR_None);
    same(inner, hash);
    inner = filled(0x77);
    assert_int_equal(kernel_work_promote(f.k, &inner, &a), KERNEL_ERROR_WorkingMissing);
    const struct kernel_ref refs[] = {{3, 7}, {3, 8}};
    struct kernel_work_cap bad = empty;
    bad.ref = refs;
    bad.ref_count = 2;
    assert_int_equal(kernel_work_new(f.k, &bad, &a), KERNEL_ERROR_BadCap);
    bad.ref = &(const struct kernel_ref){4, 7}; /* of 4 slots */
    bad.ref_count = 1;
    assert_int_equal(kernel_work_new(f.k, &bad, &a), KERNEL_ERROR_BadCap);
    stop(&f);
    arena_fini(&arena);
}

/* Ecalls on slots that hold Refs. */
static void test_refs(void **unused)
{
    struct fixture f;
    uint64_t data, value;
    struct hash256 hash;
    (void)unused;
    arena_init(&arena, 1 << 20);
    start(&f, false);
    map_memory(&f);
    struct kernel_paged paged = paged_of(&hello, 1);
    const struct kernel_work_cap cap = {.paged = &paged};
    assert_int_equal(kernel_work_new(f.k, &cap, &data), KERNEL_ERROR_None);
    const struct kernel_target ref = {.present = true, .ref = data};
    assert_int_equal(kernel_work_give(f.k, 0, 3, &ref), KERNEL_ERROR_None);
    assert_int_equal(kernel_work_give(f.k, 0, 16, &ref), KERNEL_ERROR_SlotOutOfRange);
    assert_int_equal(kernel_work_give(f.k, 1, 3, &ref), KERNEL_ERROR_CallStackEmpty);
    expect(&f, SlotKindMismatch, 16, 3, 0, 0, 0); /* S-14 */
    expect(&f, SlotKindMismatch, 17, 3, 0, 0, 0);
    expect(&f, SlotEmpty, 20, 3, 2, 0, 0); /* E-18 */
    expect(&f, SlotEmpty, 20, 2, 3, 0, 0);
    expect(&f, NotAnInstance, 21, 3, 5, 0, 0);
    expect(&f, None, 1, 3, 4, 0, 0);
    assert_int_equal(top(&f)->cnode.slot[4].ref, data);
    kernel_work_sweep(f.k);
    assert_int_equal(kernel_work_count(f.k), 1); /* named by two slots */
    assert_int_equal(kernel_work_write(f.k, data, 0, bytes_of("J", 1)),
                     KERNEL_ERROR_None);
    expect(&f, None, 22, 3, 0, 5, 0);
    assert_memory_equal(pvm_mem_page(top(&f)->state.mem, 0), "Jello", 5);
    assert_int_equal(kernel_quota_seed(f.k, 0, 4096, &value), KERNEL_STATUS_OK);
    expect(&f, DirtyPages, 25, 3, 0, 0, 0);
    assert_int_equal(kernel_quota(f.k, 0), 4096);
    assert_int_equal(kernel_work_flush(f.k, data), KERNEL_ERROR_None);
    expect(&f, None, 25, 3, 0, 0, 0);
    assert_int_equal(kernel_work_hash(f.k, data, &hash), KERNEL_ERROR_None);
    same(*kernel_file(f.k, 1), hash);
    assert_int_equal(top(&f)->cnode.slot[3].ref, data); /* the slot keeps it */
    expect(&f, None, 22, 4, 0, 5, 0);                   /* a blob by now */
    stop(&f);
    arena_fini(&arena);
}

/* A call to a working instance whose root cnode is a Ref; its end settles. */
static void test_ref_call(void **unused)
{
    static const uint64_t args[4] = {7, 0, 0, 0};
    struct fixture f;
    struct kernel_result result;
    uint64_t instance, inner;
    (void)unused;
    start(&f, false);
    struct hash256 image = put_image(&f, 1, NULL, 0), cnode = put_cnode(&f, 4);
    struct hash256 plain = put_instance(&f, filled(3), image, cnode), hash;
    inner =
        new_cnode(&f, (struct kernel_ref){9, new_cnode(&f, (struct kernel_ref){0})});
    struct bytes wire;
    assert_int_equal(kernel_get(f.k, &plain, &wire), KERNEL_STATUS_OK);
    const struct kernel_work_cap cap = {.wire = wire, .root_ref = inner};
    assert_int_equal(kernel_work_new(f.k, &cap, &instance), KERNEL_ERROR_None);
    const struct kernel_target ref = {.present = true, .ref = instance};
    assert_int_equal(kernel_work_give(f.k, 0, 5, &ref), KERNEL_ERROR_None);
    expect(&f, None, 21, 5, 6, 0, 0);
    assert_true(holds(&f, 6, put_type(&f, 3)));
    expect(&f, None, 26, 5, 0, 0, 0);
    assert_int_equal(kernel_stack_size(f.k), 2);
    assert_int_not_equal(top(&f)->cnode.slot[9].ref, 0);
    top(&f)->state.reg[5] = 1;
    assert_int_equal(kernel_settle(f.k, top(&f), &hash), KERNEL_ERROR_None);
    assert_int_equal(top(&f)->cnode.slot[9].ref, 0);
    while (f.k->stack_size)
        (void)kernel_pop(f.k);
    /* A settled entry is only a snapshot while it is an instance. */
    uint32_t count = kernel_cap_count(f.k);
    assert_int_equal(settle(&f, instance, &hash), KERNEL_ERROR_None);
    assert_null(kernel_directory_find(&f.k->directory, &hash));
    assert_int_equal(kernel_cap_count(f.k), count); /* its cnode is the frame's */
    assert_int_equal(kernel_invoke(f.k, &plain, 0, args, 1000, &result), ERR_ok);
    assert_int_equal(result.return_value, 7);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),      cmocka_unit_test(test_page_slots),
        cmocka_unit_test(test_paged_blob), cmocka_unit_test(test_entries),
        cmocka_unit_test(test_refs),       cmocka_unit_test(test_ref_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
