/* SPDX-License-Identifier: MIT
 *
 * matmul - n products of 96x96 matrices of u64: multiply-add, loads with a stride.
 */
#include "bench.h"

enum { SIZE = 96 };

static uint64_t left[SIZE][SIZE], right[SIZE][SIZE], product[SIZE][SIZE];

static void multiply(void)
{
    for (unsigned i = 0; i < SIZE; i++) {
        for (unsigned j = 0; j < SIZE; j++) {
            uint64_t sum = 0;
            for (unsigned k = 0; k < SIZE; k++)
                sum += left[i][k] * right[k][j];
            product[i][j] = sum;
        }
    }
}

/* Each product is the left operand of the next.  right is odd on the diagonal and even
 * below it, so it is invertible and no product fades to zero. */
uint64_t bench(uint64_t n)
{
    uint64_t seed = BENCH_SEED;
    bench_fill(left, sizeof left, &seed);
    bench_fill(right, sizeof right, &seed);
    for (unsigned i = 0; i < SIZE; i++) {
        right[i][i] |= 1;
        for (unsigned j = 0; j < i; j++)
            right[i][j] &= ~(uint64_t)1;
    }
    for (uint64_t i = 0; i < n; i++) {
        multiply();
        memcpy(left, product, sizeof left);
    }
    return bench_digest(left, sizeof left);
}

PVM_EXPORT(0, bench);
