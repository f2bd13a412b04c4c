/* SPDX-License-Identifier: MIT
 *
 * The runner of conformance data on any file: a case is run or the file is malformed,
 * and neither endless programs nor giant page maps are followed.  What a file expects
 * may differ from what happens, but then it does so in the first mode, single steps:
 * a difference in a later one says that the modes differ from each other.
 */
#include "cli/vectors.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEP_MAX = 1 << 12, PAGE_MAX = 1 << 9 };

static void on_difference(void *self, const struct cli_vectors_difference *difference)
{
    uint64_t *count = self;
    (*count)++;
    check(difference->name && difference->mode && difference->field);
    check(strcmp(difference->expected, difference->actual) != 0);
    /* With listeners only: what a file says of page charges that the model has not. */
    bool late = strstr(difference->mode, "loop") || strstr(difference->mode, "thread");
    check(!late || !strcmp(difference->field, "page gas in the log"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cli_vectors vectors;
    static uint64_t difference_count;
    if (!vectors.engine) {
        vectors.differs = on_difference;
        vectors.self = &difference_count;
        check(!cli_vectors_init(&vectors));
        vectors.step_max = STEP_MAX;
        vectors.page_max = PAGE_MAX;
    }
    vectors.pass_count = vectors.fail_count = difference_count = 0;
    bool ok = cli_vectors_run(&vectors, "input", bytes_of(data, size));
    check(ok == !vectors.error[0]);
    if (ok)
        check(vectors.pass_count + vectors.fail_count > 0);
    check(!vectors.fail_count || difference_count >= vectors.fail_count);
    return 0;
}
