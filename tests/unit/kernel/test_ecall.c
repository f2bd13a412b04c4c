/* SPDX-License-Identifier: MIT
 *
 * Each ecall with the handler called directly: the base dispatch tests and the edges of
 * the kernel's specification (11.1, 11.3), whose ids are in the comments; and random
 * ecalls, of which those that fail must change nothing at all.
 */
#include "tests/unit/kernel/fixture.h"

#include <string.h>

/* ---- slots: B-01..03, B-06..10, B-20, E-01..08 ---- */

static void test_slots(void **unused)
{
    struct fixture f;
    struct hash256 aa = filled(0xaa), bb = filled(0xbb);
    (void)unused;
    start(&f, true);
    expect(&f, None, 1, 2, 7, 0, 0);
    assert_true(holds(&f, 2, aa) && holds(&f, 7, aa));
    expect(&f, None, 2, 7, 9, 0, 0);
    assert_true(!top(&f)->cnode.slot[7].used && holds(&f, 9, aa));
    expect(&f, None, 3, 9, 0, 0, 0);
    assert_false(top(&f)->cnode.slot[9].used);
    set(&f, 3, bb);
    expect(&f, None, 4, 2, 3, 0, 0);
    assert_true(holds(&f, 2, bb) && holds(&f, 3, aa));
    expect(&f, None, 3, 0x100000003, 0, 0, 0); /* E-05 */
    assert_false(top(&f)->cnode.slot[3].used);
    expect(&f, None, 0, 0, 0, 0, 0);
    assert_int_equal(last.exit, PVM_EXIT_HALT);
    for (uint32_t op = 6; op <= 15; op++)
        expect(&f, UnknownOp, op, 0, 0, 0, 0);
    expect(&f, UnknownOp, 19, 0, 0, 0, 0);
    for (uint32_t op = 27; op <= 64; op++)
        expect(&f, None, op, 0, 0, 0, 0);
    expect(&f, None, 0xffffffff, 0, 0, 0, 0);
    for (uint32_t op = 21; op <= 26; op++)
        expect(&f, NoDirectory, op, 0, 0, 0, 0); /* B-21 */
    f.k->stack_size = 0;
    expect(&f, CallStackEmpty, 3, 2, 0, 0, 0);
    f.k->stack_size = 1;
    stop(&f);
}

static void test_slot_edges(void **unused)
{
    struct fixture f;
    struct hash256 aa = filled(0xaa);
    (void)unused;
    start(&f, true);
    top(&f)->pinned[5] = true;
    set(&f, 5, filled(5));
    expect(&f, None, 1, 2, 2, 0, 0); /* E-01 */
    expect(&f, None, 1, 5, 6, 0, 0);
    assert_true(holds(&f, 6, filled(5)));
    expect(&f, SlotPinned, 1, 2, 5, 0, 0);
    expect(&f, SourceEmpty, 1, 9, 3, 0, 0);
    expect(&f, SlotOutOfRange, 1, 2, 16, 0, 0);
    expect(&f, None, 2, 2, 2, 0, 0); /* E-02 */
    assert_true(holds(&f, 2, aa));
    expect(&f, SlotPinned, 2, 5, 3, 0, 0);
    expect(&f, SlotPinned, 2, 2, 5, 0, 0);
    expect(&f, SlotOutOfRange, 2, 2, 16, 0, 0);
    expect(&f, SourceEmpty, 2, 9, 3, 0, 0);
    assert_true(holds(&f, 2, aa));
    expect(&f, None, 4, 2, 2, 0, 0); /* E-03 */
    expect(&f, None, 4, 2, 8, 0, 0);
    assert_true(holds(&f, 8, aa) && !top(&f)->cnode.slot[2].used);
    expect(&f, SlotOutOfRange, 4, 8, 16, 0, 0);
    assert_true(holds(&f, 8, aa));
    expect(&f, None, 3, 11, 0, 0, 0); /* E-04 */
    expect(&f, SlotPinned, 3, 5, 0, 0, 0);
    expect(&f, SlotOutOfRange, 3, 16, 0, 0, 0);
    set(&f, 3, aa); /* B-14, E-18 */
    expect(&f, None, 20, 3, 8, 0, 0);
    assert_int_equal(top(&f)->state.reg[7], 1);
    expect(&f, None, 20, 3, 5, 0, 0);
    assert_int_equal(top(&f)->state.reg[7], 0);
    expect(&f, SlotEmpty, 20, 3, 9, 0, 0);
    stop(&f);
}

/* ---- caps: B-04, B-05, B-11..13, B-15, B-22, E-06, E-09, E-13, E-14, E-19 ---- */

static void test_caps(void **unused)
{
    struct fixture f;
    struct hash256 aa = filled(0xaa), one = filled(1);
    (void)unused;
    start(&f, true);
    struct hash256 extended = kernel_chain_extend(&one, &aa);
    expect(&f, None, 18, 2, 5, 0, 0);
    assert_true(holds(&f, 5, extended));
    expect(&f, None, 17, 2, 0, 0, 0);
    assert_memory_equal(&top(&f)->chain, &extended, sizeof extended);
    assert_memory_equal(&top(&f)->image_hash, &aa, sizeof aa);
    stop(&f);

    start(&f, false);
    expect(&f, None, 5, 5, 3, 0, 0);
    assert_true(holds(&f, 5, put_cnode(&f, 3)));
    assert_int_equal(kernel_cap_count(f.k), 1);
    expect(&f, None, 5, 5, 16, 0, 0);
    expect(&f, InvalidCNodeSize, 5, 5, 17, 0, 0);
    top(&f)->pinned[6] = true;
    expect(&f, SlotPinned, 5, 6, 7, 0, 0);
    assert_int_equal(kernel_cap_count(f.k), 2);
    expect(&f, SlotEmpty, 17, 9, 0, 0, 0);
    expect(&f, ImageNotFound, 17, 2, 0, 0, 0);
    set(&f, 3, put_data(&f, "x", 1));
    expect(&f, NotAnImage, 17, 3, 0, 0, 0);
    expect(&f, NotAnInstance, 21, 3, 8, 0, 0);
    expect(&f, InstanceNotFound, 21, 2, 8, 0, 0);
    assert_memory_equal(&top(&f)->chain, &one, sizeof one);
    struct hash256 image = put_image(&f, 64, NULL, 0);
    assert_int_equal(image.byte[0], 0xa6); /* image_ecalli0 */
    set(&f, 3, image);
    expect(&f, None, 17, 3, 0, 0, 0);
    assert_int_equal(last.arg, 17);
    set(&f, 4, put_instance(&f, filled(0x42), image, put_cnode(&f, 4)));
    expect(&f, None, 21, 4, 8, 0, 0);
    assert_true(holds(&f, 8, put_type(&f, 0x42)));
    stop(&f);
}

static void test_spawn(void **unused)
{
    struct fixture f;
    (void)unused;
    start(&f, false);
    struct hash256 image = put_image(&f, 64, NULL, 0), cnode = put_cnode(&f, 4);
    top(&f)->chain = filled(0xc1);
    struct hash256 chain = kernel_chain_extend(&top(&f)->chain, &image);
    set(&f, 3, image);
    set(&f, 4, cnode);
    top(&f)->pinned[6] = true;
    uint32_t before = kernel_cap_count(f.k);
    expect(&f, SlotPinned, 18, 3, 4, 6, 0);
    struct hash256 type = put_type(&f, 7);
    set(&f, 9, put_image(&f, 1, &type, 5));
    set(&f, 10, put_cnode(&f, 2));
    expect(&f, SlotOutOfRange, 18, 9, 10, 7, 0);
    assert_int_equal(kernel_cap_count(f.k), before + 3);
    assert_true(top(&f)->cnode.slot[10].used && holds(&f, 4, cnode));
    expect(&f, None, 18, 3, 4, 7, 0);
    assert_false(top(&f)->cnode.slot[4].used);
    assert_true(holds(&f, 7, put_instance(&f, chain, image, cnode)));
    stop(&f);
}

/* ---- data: B-16..19, E-20..31 ---- */

static void test_data(void **unused)
{
    struct fixture f;
    char got[16];
    uint64_t value;
    (void)unused;
    start(&f, false);
    struct hash256 hello = put_data(&f, "hello", 1);
    set(&f, 3, hello);
    expect(&f, None, 22, 3, 0xffffffff, 0, 0); /* E-20 */
    map_memory(&f);
    expect(&f, None, 22, 3, 16, 8, 0);
    assert_int_equal(top(&f)->state.reg[7], 8);
    assert_int_equal(pvm_mem_read(top(&f)->state.mem, 16, 8, got), ERR_ok);
    assert_memory_equal(got, "hello\0\0\0", 8);
    expect(&f, None, 22, 3, 0, UINT64_MAX, 0); /* E-21 */
    assert_int_equal(top(&f)->state.reg[7], PVM_PAGE_SIZE);
    expect(&f, MemoryFault, 22, 3, PVM_PAGE_SIZE + 1, UINT64_MAX, 0);
    expect(&f, DataNotFound, 22, 2, 0, 8, 0);
    expect(&f, None, 22, 3, 16, 5, 0);
    assert_int_equal(kernel_quota_seed(f.k, 0, 8192, &value), KERNEL_STATUS_OK);
    expect(&f, None, 23, 0, PVM_PAGE_SIZE, 0, 6); /* all of page 0 */
    assert_int_equal(kernel_quota(f.k, 0), 4096);
    expect(&f, QuotaExhausted, 23, 0, PVM_PAGE_SIZE + 1, 0, 6); /* E-25 */
    expect(&f, MemoryFault, 23, 0, (uint64_t)1 << 63, 0, 6);    /* E-26 */
    expect(&f, MemoryFault, 23, 0xffffffff, 2, 0, 6);
    top(&f)->pinned[1] = true;
    expect(&f, SlotPinned, 23, 0, 1, 0, 1); /* E-27 */
    assert_int_equal(kernel_quota(f.k, 0), 4096);
    expect(&f, None, 23, 0xffffffff, 0, 0, 7); /* E-24 */
    assert_int_equal(kernel_quota(f.k, 0), 0);
    assert_true(holds(&f, 7, put_data(&f, "", 1)));
    assert_int_equal(
        pvm_mem_protect(top(&f)->state.mem, 0, PVM_PAGE_SIZE, PVM_ACCESS_R), ERR_ok);
    expect(&f, MemoryFault, 22, 3, 0, 1, 0); /* E-22 */
    stop(&f);
}

static void test_files(void **unused)
{
    struct fixture f;
    uint64_t value;
    (void)unused;
    start(&f, false);
    struct hash256 data = put_data(&f, "stored", 1), type = put_type(&f, 9);
    set(&f, 3, data);
    expect(&f, QuotaExhausted, 25, 3, 0, 0, 0);
    assert_int_equal(kernel_quota_seed(f.k, 0, 4095, &value), KERNEL_STATUS_OK);
    expect(&f, QuotaExhausted, 25, 3, 0, 0, 0);
    assert_int_equal(kernel_quota_seed(f.k, 0, 4096, &value), KERNEL_STATUS_OK);
    assert_int_equal(value, 4095);
    assert_int_equal(kernel_file_seed(f.k, 9, &type, &value), KERNEL_STATUS_OK);
    expect(&f, None, 25, 3, 0, 0, 0); /* E-31 */
    assert_int_equal(top(&f)->state.reg[7], 10);
    assert_int_equal(kernel_quota(f.k, 0), 0);
    expect(&f, None, 24, 10, 6, 0, 0);
    assert_true(holds(&f, 6, data));
    expect(&f, UnknownFile, 24, 11, 6, 0, 0); /* E-29 */
    expect(&f, NotData, 24, 9, 6, 0, 0);
    data = filled(0xdd);
    assert_int_equal(kernel_file_seed(f.k, 9, &data, &value), KERNEL_STATUS_OK);
    expect(&f, DataNotFound, 24, 9, 6, 0, 0);
    assert_int_equal(kernel_file_seed(f.k, UINT64_MAX, &data, &value),
                     KERNEL_STATUS_BAD_VALUE);
    stop(&f);
}

/* ---- calls: B-23, E-32, S-14, S-15, S-27 ---- */

static void test_calls(void **unused)
{
    struct fixture f;
    (void)unused;
    start(&f, false);
    struct hash256 image = put_image(&f, 1, NULL, 0);
    struct hash256 child = put_instance(&f, filled(0xcc), image, put_cnode(&f, 4));
    set(&f, 0, filled(0xab));
    set(&f, 9, child);
    set(&f, 3, put_data(&f, "x", 1));
    expect(&f, SlotEmpty, 26, 8, 0, 0, 0);
    expect(&f, NotAnInstance, 26, 3, 0, 0, 0);
    expect(&f, InstanceNotFound, 26, 2, 0, 0, 0);
    expect(&f, EndpointOutOfRange, 26, 9, 1, 0, 0);
    assert_true(holds(&f, 0, filled(0xab)));
    expect(&f, SlotEmpty, 16, 8, 0, 0, 0);
    expect(&f, UnhandledMarker, 16, 2, 0, 0, 0);
    expect(&f, None, 26, 9, 0, 0, 0);
    assert_int_equal(last.arg, 26);
    assert_int_equal(kernel_stack_size(f.k), 2);
    assert_true(holds(&f, 0, filled(0xab)));
    assert_false(f.k->stack[0].cnode.slot[0].used);
    assert_int_equal(kernel_push_reference(f.k, 2), KERNEL_ERROR_ReferenceOutOfRange);
    assert_int_equal(kernel_push_reference(f.k, 0), KERNEL_ERROR_None);
    assert_int_equal(kernel_push_reference(f.k, 0), KERNEL_ERROR_CallStackFull);
    while (kernel_stack_size(f.k))
        assert_int_equal(kernel_pop(f.k), KERNEL_ERROR_None);
    assert_int_equal(kernel_pop(f.k), KERNEL_ERROR_CallStackEmpty);
    stop(&f);
}

/* ---- directory and invocations: H-09..15, S-24, S-26, S-28 ---- */

static enum kernel_status put_slot(struct fixture *f, struct hash256 hash)
{
    struct buf wire;
    struct hash256 ignored;
    buf_init(&wire, 1 << 10);
    buf_put(&wire, "\x03\x04\x05\0\0\0\x02\0\0\0", 10);
    buf_put(&wire, hash.byte, HASH256_SIZE);
    enum kernel_status status = kernel_put(f->k, buf_bytes(&wire), &ignored);
    buf_fini(&wire);
    return status;
}

static void test_directory(void **unused)
{
    struct fixture f;
    uint8_t wire[33] = {4, 0xaa};
    struct hash256 hash, other = filled(1);
    enum kernel_status status;
    (void)unused;
    start(&f, false);
    struct bytes type = bytes_of(wire, sizeof wire);
    assert_int_equal(kernel_put_with_hash(f.k, &other, type, &status),
                     KERNEL_ERROR_HashMismatch);
    assert_int_equal(kernel_cap_count(f.k), 0);
    assert_int_equal(kernel_put(f.k, type, &hash), KERNEL_STATUS_OK);
    assert_int_equal(kernel_put(f.k, type, &hash), KERNEL_STATUS_OK);
    assert_int_equal(kernel_cap_count(f.k), 1);
    assert_int_equal(kernel_put_with_hash(f.k, &other, type, &status),
                     KERNEL_ERROR_HashMismatch);
    assert_int_equal(put_slot(&f, filled(0xee)), KERNEL_STATUS_CHILD_MISSING);
    assert_int_equal(put_slot(&f, hash), KERNEL_STATUS_OK);
    assert_int_equal(put_slot(&f, kernel_id("oog_marker")), KERNEL_STATUS_OK);
    assert_int_equal(kernel_catcher_new(f.k, &other), KERNEL_STATUS_OK);
    assert_int_equal(put_slot(&f, other), KERNEL_STATUS_OK);
    for (uint8_t i = 0; kernel_cap_count(f.k) < 64; i++)
        (void)put_type(&f, i);
    wire[2] = 0xbb;
    assert_int_equal(kernel_put(f.k, type, &other), KERNEL_STATUS_DIRECTORY_FULL);
    wire[2] = 0;
    assert_int_equal(kernel_put(f.k, type, &other), KERNEL_STATUS_OK);
    assert_memory_equal(&other, &hash, sizeof hash);
    expect(&f, DirectoryFull, 5, 5, 3, 0, 0);
    assert_false(top(&f)->cnode.slot[5].used);
    stop(&f);
}

static void test_invocation(void **unused)
{
    static const uint64_t args[4] = {77, 1, 2, 3};
    struct fixture f;
    struct kernel_result result;
    (void)unused;
    start(&f, false);
    (void)kernel_pop(f.k);
    struct hash256 image = put_image(&f, 1, NULL, 0);
    struct hash256 instance = put_instance(&f, filled(3), image, put_cnode(&f, 4));
    assert_int_equal(kernel_invoke(f.k, &instance, 0, args, UINT64_MAX, &result),
                     ERR_ok);
    assert_int_equal(result.exit_reason, KERNEL_EXIT_HALT);
    assert_int_equal(result.return_value, 77);
    const struct kernel_outcome *o = kernel_last_outcome(f.k);
    assert_true(o->has_post_instance && !o->has_slot0);
    assert_int_equal(o->gas_used, UINT64_MAX - result.gas_remaining);
    assert_true(o->gas_used > 0);
    assert_int_equal(kernel_resume(f.k, 0, NULL, 0, &result), ERR_ok);
    assert_int_equal(o->error, KERNEL_ERROR_NotPaused);
    /* No room for the settled instance: an error, and an empty stack. */
    for (uint8_t i = 0; kernel_cap_count(f.k) < 64; i++)
        (void)put_type(&f, i);
    assert_int_equal(kernel_invoke(f.k, &instance, 0, args, 500, &result), ERR_ok);
    assert_int_equal(result.exit_reason, (uint32_t)KERNEL_EXIT_ERROR);
    assert_int_equal(o->error, KERNEL_ERROR_DirectoryFull);
    assert_int_equal(kernel_stack_size(f.k), 0);
    stop(&f);
}

/* ---- random ecalls ---- */

/* Everything that an ecall may change, as bytes. */
struct snapshot {
    struct slots cnode;
    struct pvm_state state;
    struct hash256 chain, image;
    uint32_t stack_size, cap_count, file_count;
    uint64_t used, quota, file_next;
    struct hash256 memory;
};

static void snapshot_take(struct fixture *f, struct snapshot *s)
{
    memset(s, 0, sizeof *s);
    memcpy(&s->cnode, &top(f)->cnode, sizeof s->cnode);
    memcpy(&s->state, &top(f)->state, sizeof s->state);
    s->chain = top(f)->chain;
    s->image = top(f)->image_hash;
    s->stack_size = f->k->stack_size;
    s->cap_count = kernel_cap_count(f->k);
    s->file_count = f->k->assist.file_count;
    s->used = f->k->directory.used;
    s->quota = kernel_quota(f->k, 0);
    s->file_next = f->k->assist.file_next;
    s->memory = kernel_mem_digest(f->k, top(f));
}

static uint64_t random_operand(uint64_t *seed)
{
    uint64_t value = test_random(seed);
    switch (value >> 61) {
    case 0:
        return value & 0x3fff;
    case 1:
        return (uint64_t)0 - (value & 0xff);
    default:
        return value & 15;
    }
}

static void random_step(struct fixture *f, uint64_t *seed, unsigned count[2])
{
    struct snapshot before, after;
    static const uint32_t ops[] = {1,  2,  3,  4,  5,  17, 18, 20, 21,
                                   22, 23, 24, 25, 26, 16, 6,  30};
    uint32_t op = ops[test_random(seed) % countof(ops)];
    uint64_t r[4], previous;
    for (int i = 0; i < 4; i++)
        r[i] = random_operand(seed);
    if (!(test_random(seed) & 15))
        (void)kernel_quota_seed(f->k, 0, test_random(seed) & 0xffff, &previous);
    memcpy(top(f)->state.reg + 7, r, sizeof r);
    snapshot_take(f, &before);
    enum kernel_error error = call(f, op, r[0], r[1], r[2], r[3]);
    count[error != KERNEL_ERROR_None]++;
    if (error) {
        snapshot_take(f, &after);
        assert_memory_equal(&before, &after, sizeof before);
    }
    while (f->k->stack_size > 1)
        (void)kernel_pop(f->k);
}

static void test_random_calls(void **unused)
{
    struct fixture f;
    uint64_t first = test_seed(5), seed = first;
    unsigned count[2] = {0, 0};
    (void)unused;
    test_reproduce("kernel_ecall", first);
    for (int round = 0; round < 20; round++) {
        start(&f, false);
        map_memory(&f);
        struct hash256 image = put_image(&f, 2, NULL, 0), cnode = put_cnode(&f, 4);
        set(&f, 3, image);
        set(&f, 4, cnode);
        set(&f, 5, put_instance(&f, filled(0xcc), image, cnode));
        set(&f, 6, put_data(&f, "random", 2));
        top(&f)->pinned[6] = top(&f)->pinned[3] = true;
        for (int i = 0; i < 200; i++)
            random_step(&f, &seed, count);
        stop(&f);
    }
    assert_true(count[0] > 500 && count[1] > 500); /* both kinds were tested */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots),     cmocka_unit_test(test_slot_edges),
        cmocka_unit_test(test_caps),      cmocka_unit_test(test_spawn),
        cmocka_unit_test(test_data),      cmocka_unit_test(test_files),
        cmocka_unit_test(test_calls),     cmocka_unit_test(test_random_calls),
        cmocka_unit_test(test_directory), cmocka_unit_test(test_invocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
