/* SPDX-License-Identifier: MIT
 *
 * empty - nothing: what a call, an instance and a start cost.
 */
#include "bench.h"

uint64_t bench(uint64_t n)
{
    return n;
}

PVM_EXPORT(0, bench);
