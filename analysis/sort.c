/* SPDX-License-Identifier: MIT */
#include "analysis/internal.h"

/* Does a stand behind b? */
static bool behind(const struct analysis_profile_row *a,
                   const struct analysis_profile_row *b)
{
    if (a->gas != b->gas)
        return a->gas < b->gas;
    if (a->count != b->count)
        return a->count < b->count;
    if (a->program != b->program) {
        if (!a->program || !b->program)
            return !a->program;
        return a->program->index > b->program->index;
    }
    return a->where > b->where;
}

static void sift(struct analysis_profile_row *row, size_t root, size_t count)
{
    struct analysis_profile_row moving = row[root];
    for (;;) {
        size_t child = 2 * root + 1;
        if (child >= count)
            break;
        if (child + 1 < count && behind(&row[child + 1], &row[child]))
            child++;
        if (!behind(&row[child], &moving))
            break;
        row[root] = row[child];
        root = child;
    }
    row[root] = moving;
}

/* Heapsort: no memory, no bad case, and the order is total. */
void analysis_rows_sort(struct analysis_profile_row *row, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(row, i, count);
    for (size_t end = count; end > 1; end--) {
        struct analysis_profile_row first = row[0];
        row[0] = row[end - 1];
        row[end - 1] = first;
        sift(row, 0, end - 1);
    }
}
