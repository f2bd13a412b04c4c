/* SPDX-License-Identifier: MIT
 *
 * Trace records, their digest and their buffer; the state as bytes (pvm-kernel.md 9.5,
 * 9.8, 9.9; R-17, K of DUMP_STATE).
 */
#include "tests/unit/kernel/fixture.h"

enum { DRAIN_HEAD = 24, RECORD_HEAD = 256 };

/* All records of a buffer, one by one. */
struct drained {
    struct buf bytes;
    size_t at;
};

static void drain(struct fixture *f, struct drained *d, uint32_t max)
{
    buf_init(&d->bytes, 1 << 20);
    kernel_trace_drain(f->k, max, &d->bytes);
    assert_int_equal(d->bytes.err, ERR_ok);
    d->at = DRAIN_HEAD;
}

static const uint8_t *next(struct drained *d)
{
    if (d->at == d->bytes.size)
        return NULL;
    const uint8_t *record = d->bytes.data + d->at;
    d->at += kernel_u32(record);
    assert_true(d->at <= d->bytes.size);
    return record;
}

static uint16_t u16_at(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static void check_counts(const uint8_t *r, unsigned slots, unsigned published,
                         unsigned assist, unsigned memory)
{
    assert_int_equal(u16_at(r + 248), slots);
    assert_int_equal(u16_at(r + 250), published);
    assert_int_equal(u16_at(r + 252), assist);
    assert_int_equal(u16_at(r + 254), memory);
    assert_int_equal(kernel_u32(r), RECORD_HEAD + 72 * slots + 32 * published +
                                        64 * assist + 40 * memory);
}

static void test_records(void **unused)
{
    struct fixture f;
    struct drained d;
    uint64_t value;
    (void)unused;
    start(&f, false);
    map_memory(&f);
    set(&f, 3, put_data(&f, "hello", 1));
    assert_int_equal(kernel_quota_seed(f.k, 4, 8192, &value), KERNEL_STATUS_OK);
    expect(&f, None, 4, 2, 7, 0, 0);   /* both slots change */
    expect(&f, None, 4, 8, 8, 0, 0);   /* nothing does */
    expect(&f, None, 22, 3, 16, 8, 0); /* READ */
    expect(&f, None, 23, 16, 4, 4, 6); /* MINT */
    expect(&f, SourceEmpty, 1, 9, 5, 0, 0);
    drain(&f, &d, UINT32_MAX);
    assert_int_equal(kernel_u64(d.bytes.data), 0);
    assert_int_equal(kernel_u64(d.bytes.data + 8), 0);
    const uint8_t *r = next(&d);
    check_counts(r, 2, 0, 0, 0);
    assert_int_equal(kernel_u32(r + 8), 4);
    assert_int_equal(kernel_u64(r + 32), 1000);
    assert_int_equal(kernel_u64(r + 40 + 8 * 8), 7); /* phi8 before */
    assert_int_equal(kernel_u32(r + 256), 2);        /* slot 2: AA, then empty */
    assert_true(r[262] == 1 && r[263] == 0 && r[264] == 0xaa && r[296] == 0);
    assert_int_equal(kernel_u32(r + 328), 7);
    assert_true(r[334] == 0 && r[335] == 1 && r[336 + 32] == 0xaa);
    check_counts(next(&d), 0, 0, 0, 0);
    r = next(&d);
    check_counts(r, 0, 0, 0, 1);
    assert_int_equal(kernel_u64(r + 144 + 8 * 7), 8); /* phi7 after */
    struct hash256 hash = hash_sha256("hello\0\0\0", 8);
    assert_int_equal(kernel_u32(r + 256), 16);
    assert_int_equal(kernel_u32(r + 260), 8);
    assert_memory_equal(r + 264, hash.byte, HASH256_SIZE);
    r = next(&d);
    check_counts(r, 1, 1, 2, 0);
    assert_memory_equal(r + 256 + 40, r + 256 + 72,
                        HASH256_SIZE); /* slot: the new cap */
    const uint8_t *assist = r + 256 + 72 + 32;
    assert_true(u16_at(assist) == 1 && u16_at(assist + 2) == 1);
    assert_int_equal(kernel_u64(assist + 8), 4);
    assert_int_equal(kernel_u64(assist + 24), 8192);
    assert_true(u16_at(assist + 64) == 2 && kernel_u64(assist + 64 + 16) == 4096);
    r = next(&d);
    check_counts(r, 0, 0, 0, 0);
    assert_int_equal(r[5], KERNEL_EVENT_TRAP);
    assert_int_equal(kernel_u32(r + 12), KERNEL_ERROR_SourceEmpty);
    assert_int_equal(kernel_u64(r + 16), 4);
    assert_null(next(&d));
    buf_fini(&d.bytes);
    stop(&f);
}

/* R-17; a drain that is not complete; the digest does not depend on the buffer. */
static void test_buffer(void **unused)
{
    struct fixture f;
    struct hash256 want;
    struct drained d;
    (void)unused;
    for (int small = 0; small < 2; small++) {
        create(&f, small ? 10 : 1000, KERNEL_ENGINE_INTERP);
        f.k->stack_size = 1;
        *top(&f) = (struct frame){.call_slot = NO_SLOT, .cnode.size_log = 4};
        for (int i = 0; i < 1000; i++)
            expect(&f, None, 30, (uint64_t)i, 0, 0, 0);
        assert_int_equal(kernel_trace_count(f.k), 1000);
        struct hash256 got = kernel_trace_digest(f.k);
        if (small)
            assert_memory_equal(&got, &want, sizeof got);
        want = got;
        drain(&f, &d, 2 * RECORD_HEAD + 1);
        assert_int_equal(kernel_u64(d.bytes.data + 8), small ? 8 : 998);
        assert_int_equal(kernel_u64(d.bytes.data + 16), small ? 990 : 0);
        assert_true(next(&d) && next(&d) && !next(&d));
        buf_fini(&d.bytes);
        drain(&f, &d, UINT32_MAX);
        assert_int_equal(kernel_u64(d.bytes.data), 2);
        assert_int_equal(kernel_u64(next(&d) + 16), 2);
        buf_fini(&d.bytes);
        stop(&f);
    }
    struct hash256 digest = {{0}};
    create(&f, 1000, KERNEL_ENGINE_INTERP);
    expect(&f, None, 64, 0, 0, 0, 0);
    expect(&f, CallStackEmpty, 3, 0, 0, 0, 0);
    drain(&f, &d, UINT32_MAX);
    for (const uint8_t *r = next(&d); r; r = next(&d)) {
        uint8_t both[HASH256_SIZE + RECORD_HEAD];
        memcpy(both, digest.byte, HASH256_SIZE);
        memcpy(both + HASH256_SIZE, r, RECORD_HEAD);
        digest = hash_sha256(both, sizeof both);
    }
    want = kernel_trace_digest(f.k);
    assert_memory_equal(&digest, &want, sizeof want);
    buf_fini(&d.bytes);
    stop(&f);
}

static void test_dump(void **unused)
{
    struct fixture f;
    struct buf dump;
    uint64_t value;
    uint32_t count;
    struct hash256 late = filled(1), early = filled(9), catcher, blob;
    (void)unused;
    create(&f, 0, KERNEL_ENGINE_INTERP);
    f.k->stack_size = 1;
    *top(&f) = (struct frame){.chain = filled(7), .call_slot = NO_SLOT};
    map_memory(&f);
    blob = put_type(&f, 1);
    assert_int_equal(kernel_quota_seed(f.k, 7, 5, &value), KERNEL_STATUS_OK);
    assert_int_equal(kernel_quota_seed(f.k, 6, 5, &value), KERNEL_STATUS_OK);
    assert_int_equal(kernel_quota_seed(f.k, 6, 0, &value), KERNEL_STATUS_OK); /* */
    assert_int_equal(kernel_file_seed(f.k, 3, &late, &value), KERNEL_STATUS_OK);
    assert_int_equal(kernel_catcher_new(f.k, &catcher), KERNEL_STATUS_OK);
    assert_int_equal(kernel_catcher_add(f.k, &catcher, &early, &count), 0);
    assert_int_equal(kernel_catcher_add(f.k, &catcher, &late, &count), 0);
    buf_init(&dump, 1 << 16);
    kernel_state_dump(f.k, &dump);
    const uint8_t *p = dump.data;
    assert_int_equal(dump.size,
                     20 + 4 + 44 + 8 + 8 + 4 + 32 + 4 + 64 + 8 + 32 + 4 + 256);
    assert_int_equal(kernel_u32(p), 1);
    assert_int_equal(kernel_u64(p + 4), 7);
    assert_int_equal(kernel_u64(p + 12), 5);
    assert_int_equal(kernel_u32(p + 20), 0);
    assert_int_equal(kernel_u64(p + 28), 3);
    assert_int_equal(kernel_u64(p + 68), 4); /* next_file_id */
    assert_int_equal(kernel_u64(p + 76), 1);
    assert_int_equal(kernel_u32(p + 120), 2);
    assert_true(p[124] == 9 && p[156] == 1); /* in order of insertion */
    struct hash256 digest = hash_sha256(blob.byte, HASH256_SIZE);
    assert_memory_equal(p + 196, digest.byte, HASH256_SIZE);
    const uint8_t *entry = p + 232;
    struct hash256 memory = kernel_mem_digest(f.k, top(&f));
    assert_int_equal(kernel_u32(entry + 12), UINT32_MAX);
    assert_true(entry[48] == 7);
    assert_memory_equal(entry + 224, memory.byte, HASH256_SIZE);
    buf_fini(&dump);
    stop(&f);
}

/* The blob digest does not depend on the order in which caps came. */
static void test_dump_order(void **unused)
{
    struct hash256 digest[2];
    (void)unused;
    for (int round = 0; round < 2; round++) {
        struct fixture f;
        struct buf dump;
        create(&f, 0, KERNEL_ENGINE_INTERP);
        for (int i = 0; i < 50; i++)
            (void)put_type(&f, (uint8_t)(round ? i : 49 - i));
        buf_init(&dump, 1 << 16);
        kernel_state_dump(f.k, &dump);
        digest[round] = hash_sha256(dump.data, dump.size);
        buf_fini(&dump);
        stop(&f);
    }
    assert_memory_equal(&digest[0], &digest[1], sizeof digest[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_buffer),
        cmocka_unit_test(test_dump),
        cmocka_unit_test(test_dump_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
