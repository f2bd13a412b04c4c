/* SPDX-License-Identifier: MIT
 *
 * fib - the n-th Fibonacci number, recursively: calls and returns.
 */
#include "bench.h"

/* Not inlined into itself, so that a call stays a call. */
static __attribute__((noinline)) uint64_t fib(uint64_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

uint64_t bench(uint64_t n)
{
    return fib(n);
}

PVM_EXPORT(0, bench);
