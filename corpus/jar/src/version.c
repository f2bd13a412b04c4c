/* SPDX-License-Identifier: MIT
 *
 * version - an instance that replaces its image.  Memory, registers and the position in
 * the code stay, so both versions are made of this source: they differ in one number.
 */
#include "jar.h"

enum { NEXT = 10, OTHER = 11 };

static uint64_t upgrades;

__attribute__((noinline)) static uint64_t number(void)
{
    uint64_t answer = VARIANT;
    __asm__ volatile("" : "+r"(answer)); /* or the caller would know it beforehand */
    return answer;
}

/* Begins in one version and ends in the next one. */
static uint64_t upgrade(void)
{
    uint64_t before = number();
    jar_set_image(NEXT);
    return before << 32 | ++upgrades << 16 | number();
}

/* To code that has nothing at this position. */
static uint64_t derail(void)
{
    jar_set_image(OTHER);
    return number();
}

PVM_EXPORT(0, number);
PVM_EXPORT(1, upgrade);
PVM_EXPORT(2, derail);
