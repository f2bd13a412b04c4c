/* SPDX-License-Identifier: MIT
 *
 * qsort - quicksort of n u32, median of three, recursive: branches nobody can predict.
 */
#include "bench.h"

enum { COUNT_MAX = 200000, INSERTION_MAX = 12 };

static uint32_t list[COUNT_MAX];

static inline void swap(uint32_t *a, uint32_t *b)
{
    uint32_t old = *a;
    *a = *b;
    *b = old;
}

static void sort_by_insertion(uint32_t *first, uint32_t *last)
{
    for (uint32_t *i = first + 1; i <= last; i++) {
        uint32_t value = *i, *j = i;
        for (; j > first && j[-1] > value; j--)
            *j = j[-1];
        *j = value;
    }
}

/* Put the median of first, middle and last into the middle and answer it; first and
 * last then stop the scans of the partition. */
static uint32_t median(uint32_t *first, uint32_t *last)
{
    uint32_t *middle = first + (last - first) / 2;
    if (*middle < *first)
        swap(middle, first);
    if (*last < *middle) {
        swap(last, middle);
        if (*middle < *first)
            swap(middle, first);
    }
    return *middle;
}

/* Recurse into the left part, go on with the right one. */
static void sort(uint32_t *first, uint32_t *last)
{
    while (last - first >= INSERTION_MAX) {
        uint32_t pivot = median(first, last);
        uint32_t *i = first, *j = last;
        while (i <= j) {
            while (*i < pivot)
                i++;
            while (*j > pivot)
                j--;
            if (i <= j)
                swap(i++, j--);
        }
        sort(first, j);
        first = i;
    }
    sort_by_insertion(first, last);
}

/* A digest of the sorted list; 0 if it is not sorted. */
uint64_t bench(uint64_t n)
{
    if (n > COUNT_MAX)
        pvm_panic();
    uint64_t seed = BENCH_SEED, digest = 1;
    for (uint64_t i = 0; i < n; i++)
        list[i] = (uint32_t)bench_random(&seed);
    if (n > 1)
        sort(list, list + n - 1);
    for (uint64_t i = 0; i < n; i++) {
        if (i > 0 && list[i - 1] > list[i])
            return 0;
        digest = bench_mix(digest, list[i]);
    }
    return digest;
}

PVM_EXPORT(0, bench);
