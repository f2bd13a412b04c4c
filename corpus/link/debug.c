/* SPDX-License-Identifier: MIT
 *
 * A program for the test of debug information: a leaf function, whose lengths the
 * assembler folds, one that is inlined, one that is dropped, and calls.
 */
typedef unsigned long u64;

struct export
{
    void (*function)(void);
    unsigned number, flags;
};

static u64 total;

static inline u64 square(u64 x)
{
    return x * x;
}

__attribute__((noinline)) static u64 leaf(u64 n)
{
    u64 sum = 0;
    for (u64 i = 0; i < n; i++)
        sum += square(i) ^ sum >> 3;
    return sum;
}

__attribute__((noinline)) u64 dropped(u64 n)
{
    return leaf(n) + 1;
}

u64 start(u64 n)
{
    total += leaf(n);
    total += leaf(total & 15);
    return total;
}

static const struct export export_start
    __attribute__((section("pvm_exports"), used, retain)) = {(void (*)(void))start, 0,
                                                             0};
