/* SPDX-License-Identifier: MIT
 *
 * Trees over bytes, with zero pages and without, are those of their leaves.
 */
#include "kernel/ssz.h"
#include "tests/test.h"

#include <string.h>

enum { PAGE = 4096, PAGES = 5, DEPTH = 27 };

/* Level by level, as the definition says. */
static struct hash256 by_leaves(const uint8_t *data, size_t size)
{
    static struct hash256 node[PAGES * PAGE / HASH256_SIZE];
    size_t count = (size + HASH256_SIZE - 1) / HASH256_SIZE;
    struct hash256 zero = {{0}};
    memset(node, 0, sizeof node);
    memcpy(node, data, size);
    for (unsigned level = 0; level < DEPTH; level++) {
        for (size_t i = 0; i < count; i += 2)
            node[i / 2] =
                hash_sha256_pair(&node[i], i + 1 < count ? &node[i + 1] : &zero);
        zero = hash_sha256_pair(&zero, &zero);
        count = (count + 1) / 2;
    }
    return count ? node[0] : zero;
}

static void test_bytes(void **unused)
{
    static uint8_t data[PAGES * PAGE];
    uint64_t first = test_seed(31), seed = first;
    (void)unused;
    test_reproduce("kernel_ssz", first);
    for (int round = 0; round < 200; round++) {
        size_t size = test_random(&seed) % (sizeof data + 1);
        if (round % 2)
            size = test_random(&seed) % (PAGES + 1) * PAGE;
        memset(data, 0, sizeof data);
        for (uint64_t i = test_random(&seed) % 5; i; i--)
            data[test_random(&seed) % sizeof data] = (uint8_t)test_random(&seed);
        for (unsigned i = 0; round % 4 == 0 && i < PAGE; i++)
            data[i] = (uint8_t)test_random(&seed);
        struct hash256 want = by_leaves(data, size);
        struct hash256 got = kernel_tree_bytes(data, size, DEPTH);
        assert_memory_equal(&got, &want, sizeof got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
