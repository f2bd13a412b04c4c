/* SPDX-License-Identifier: MIT
 *
 * crc32 - CRC-32 (reflected, polynomial EDB88320h) over n KiB, a byte at a time: a
 * chain of dependent table look-ups.
 */
#include "bench.h"

static uint32_t crc32_table[256];
static uint8_t data[16][1024];

static void crc32_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        crc32_table[i] = crc;
    }
}

/* The CRC of what `crc` covers and `size` bytes behind it; start with 0. */
static uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, uint64_t size)
{
    crc = ~crc;
    for (uint64_t i = 0; i < size; i++)
        crc = crc >> 8 ^ crc32_table[(crc ^ bytes[i]) & 255];
    return ~crc;
}

uint64_t bench(uint64_t n)
{
    uint64_t seed = BENCH_SEED;
    bench_fill(data, sizeof data, &seed);
    crc32_init();
    uint32_t crc = 0;
    for (uint64_t i = 0; i < n; i++)
        crc = crc32_update(crc, data[i % 16], sizeof data[0]);
    return crc;
}

PVM_EXPORT(0, bench);
