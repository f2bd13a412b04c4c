/* SPDX-License-Identifier: MIT
 *
 * keccak - n permutations Keccak-f[1600] (FIPS 202): logic and rotations of 64 bits,
 * more state than registers.
 */
#include "bench.h"

static const uint64_t keccak_iota[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};

static inline uint64_t keccak_rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

/* Theta: add to each lane the parities of the columns left and (turned) right of it. */
static inline void keccak_theta(uint64_t a[25])
{
    uint64_t c0 = a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20];
    uint64_t c1 = a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21];
    uint64_t c2 = a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22];
    uint64_t c3 = a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23];
    uint64_t c4 = a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24];
    uint64_t d0 = c4 ^ keccak_rotate(c1, 1);
    uint64_t d1 = c0 ^ keccak_rotate(c2, 1);
    uint64_t d2 = c1 ^ keccak_rotate(c3, 1);
    uint64_t d3 = c2 ^ keccak_rotate(c4, 1);
    uint64_t d4 = c3 ^ keccak_rotate(c0, 1);
    for (unsigned y = 0; y < 25; y += 5) {
        a[y] ^= d0;
        a[y + 1] ^= d1;
        a[y + 2] ^= d2;
        a[y + 3] ^= d3;
        a[y + 4] ^= d4;
    }
}

/* Rho and pi: the lanes but the first go round in one cycle, each turned on the way. */
static inline void keccak_rho_pi(uint64_t a[25])
{
    uint64_t first = a[1];
#define MOVE(to, from, n) a[to] = keccak_rotate(a[from], n)
    MOVE(1, 6, 44), MOVE(6, 9, 20), MOVE(9, 22, 61), MOVE(22, 14, 39);
    MOVE(14, 20, 18), MOVE(20, 2, 62), MOVE(2, 12, 43), MOVE(12, 13, 25);
    MOVE(13, 19, 8), MOVE(19, 23, 56), MOVE(23, 15, 41), MOVE(15, 4, 27);
    MOVE(4, 24, 14), MOVE(24, 21, 2), MOVE(21, 8, 55), MOVE(8, 16, 45);
    MOVE(16, 5, 36), MOVE(5, 3, 28), MOVE(3, 18, 21), MOVE(18, 17, 15);
    MOVE(17, 11, 10), MOVE(11, 7, 6), MOVE(7, 10, 3);
#undef MOVE
    a[10] = keccak_rotate(first, 1);
}

/* Chi: the only step that is not linear, row by row. */
static inline void keccak_chi(uint64_t a[25])
{
    for (unsigned y = 0; y < 25; y += 5) {
        uint64_t a0 = a[y], a1 = a[y + 1], a2 = a[y + 2], a3 = a[y + 3], a4 = a[y + 4];
        a[y] = a0 ^ (~a1 & a2);
        a[y + 1] = a1 ^ (~a2 & a3);
        a[y + 2] = a2 ^ (~a3 & a4);
        a[y + 3] = a3 ^ (~a4 & a0);
        a[y + 4] = a4 ^ (~a0 & a1);
    }
}

static void keccak_permute(uint64_t a[25])
{
    for (unsigned round = 0; round < 24; round++) {
        keccak_theta(a);
        keccak_rho_pi(a);
        keccak_chi(a);
        a[0] ^= keccak_iota[round];
    }
}

uint64_t bench(uint64_t n)
{
    uint64_t a[25] = {0};
    for (uint64_t i = 0; i < n; i++)
        keccak_permute(a);
    return bench_digest(a, sizeof a);
}

PVM_EXPORT(0, bench);
