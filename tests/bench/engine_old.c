/* SPDX-License-Identifier: MIT
 *
 * An engine of another version, which must not be taken.
 */
#include "bench/engine.h"

const struct bench_engine *bench_engine(void)
{
    static const struct bench_engine engine = {.version = BENCH_ENGINE_VERSION + 1,
                                               .name = "old"};
    return &engine;
}
