/* SPDX-License-Identifier: MIT
 *
 * How fast the hashes are: they bound what recording and replaying cost.
 */
#include "base/hash.h"
#include "tests/bench/bench.h"

#include <stdio.h>

struct work {
    uint8_t *data;
    size_t size, count;
    uint64_t sum; /* keeps the compiler from leaving the work out */
};

static void run_blake2b(void *self)
{
    struct work *work = self;
    for (size_t i = 0; i < work->count; i++)
        work->sum += hash256_of(work->data, work->size).byte[0];
}

static void run_crc32c(void *self)
{
    struct work *work = self;
    for (size_t i = 0; i < work->count; i++)
        work->sum += hash_crc32c(0, work->data, work->size);
}

static void run_xxh3(void *self)
{
    struct work *work = self;
    for (size_t i = 0; i < work->count; i++)
        work->sum += hash_xxh3(work->data, work->size);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void *self);
    } hash[] = {
        {"blake2b-256", run_blake2b}, {"crc32c", run_crc32c}, {"xxh3", run_xxh3}};
    static const size_t sizes[] = {120, 4096, 65536};
    enum { TOTAL = 16 << 20 };
    struct work work = {.data = malloc(65536)};
    if (!work.data)
        return 1;
    os_random(work.data, 65536);
    printf("%-12s %8s %12s %8s\n", "hash", "bytes", "ns", "GB/s");
    for (size_t i = 0; i < countof(hash); i++) {
        for (size_t j = 0; j < countof(sizes); j++) {
            work.size = sizes[j];
            work.count = TOTAL / work.size;
            double ns = (double)bench_ns(hash[i].run, &work) / (double)work.count;
            printf("%-12s %8zu %12.1f %8.2f\n", hash[i].name, work.size, ns,
                   (double)work.size / ns);
        }
    }
    free(work.data);
    return work.sum == 0;
}
