/* SPDX-License-Identifier: MIT
 *
 * A stable merge sort: the pure folders have no qsort, and its order of equals would
 * be the C library's.
 */
#include "link/internal.h"

#include <string.h>

/* Merge the runs [low, middle) and [middle, high) of `from` into `to`. */
static void merge(const uint8_t *from, uint8_t *to, size_t size, size_t low,
                  size_t middle, size_t high, link_compare *compare)
{
    size_t a = low, b = middle;
    for (size_t i = low; i < high; i++) {
        bool left =
            b == high || (a < middle && compare(from + a * size, from + b * size) <= 0);
        size_t taken = left ? a++ : b++;
        memcpy(to + i * size, from + taken * size, size);
    }
}

static bool sorted(const uint8_t *base, size_t count, size_t size,
                   link_compare *compare)
{
    for (size_t i = 1; i < count; i++) {
        if (compare(base + (i - 1) * size, base + i * size) > 0)
            return false;
    }
    return true;
}

enum err link_sort(struct arena *arena, void *base, size_t count, size_t size,
                   link_compare *compare)
{
    if (sorted(base, count, size, compare))
        return ERR_ok;
    uint8_t *spare = arena_alloc_array(arena, count, size, 16);
    if (!spare)
        return ERR_nomem;
    uint8_t *from = base, *to = spare;
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t low = 0; low < count; low += 2 * run) {
            size_t middle = count - low < run ? count : low + run;
            size_t high = count - low < 2 * run ? count : low + 2 * run;
            merge(from, to, size, low, middle, high, compare);
        }
        uint8_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != base)
        memcpy(base, from, count * size);
    return ERR_ok;
}
