/* SPDX-License-Identifier: MIT
 *
 * hostcall - n host calls that add 1: what the way to the host and back costs.
 *
 * Whoever runs this benchmark answers call 100 with a0 + 1; it is no call of
 * pvm/hostcalls.def.
 */
#include "bench.h"

enum { HOST_ADD_ONE = 100 };

uint64_t bench(uint64_t n)
{
    uint64_t value = 0;
    for (uint64_t i = 0; i < n; i++)
        value = pvm_ecalli(HOST_ADD_ONE, value).a0;
    return value;
}

PVM_EXPORT(0, bench);
