/* SPDX-License-Identifier: MIT
 *
 * Relocations: the stored objects of corpus/link, one for each kind of reference, with
 * values at the limits of its range (guest-toolchain.md 4.2, 11.5).  Every export of an
 * object is run; its answer is in a0 when it traps.
 */
#include "tests/test.h"

#include "tests/unit/link/world.h"

#include <inttypes.h>
#include <string.h>

enum { A0 = 7, ANSWER_MAX = 16 };

struct answers {
    const char *object;
    const char *with; /* a second object */
    uint64_t answer[ANSWER_MAX];
    unsigned count;
};

/* Writable data of a standard program with at most 64 KiB of read-only data. */
#define DATA_RO 0x30000ull

static const struct answers answers[] = {
    {"hi20",
     "values",
     {0, 0x7ff, 0x800, 0xfff, 0x1000, UINT64_MAX, 0xffffffff80000000, 0x7ffff7ff,
      0x12345678, 3010, 77, 77, 0x7ff},
     13},
    {"pcrel",
     "values",
     {0, 0x800, UINT64_MAX, 0xffffffff80000000, 0x7ffff7ff, 33, 77},
     7},
    {"got", "values", {42, 0, 77, 0xffffffff80000000}, 4},
    {"call", NULL, {121, 1002, 1003, 4, 5, 1006}, 6},
    {"branch", NULL, {7, 30, 8}, 3},
    {"data",
     "values",
     {DATA_RO + 0x11, 4, DATA_RO + 0x20 + 4, 0xffffffff80000000, 0xffffffff, 0x20 + 3,
      0x1000 + 0x2d, (uint64_t)-0x2f, 0x100000038, 0, DATA_RO, 77, 77, 3},
     14},
    {"align", NULL, {5}, 1},
    {"norelax", NULL, {103, 7}, 2},
};

static void add(struct world *world, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "corpus/link/%s.o", name);
    world_add_file(world, path, strrchr(path, '/') + 1);
}

static void run_object(const struct answers *a, enum link_format format)
{
    struct world world;
    world_init(&world);
    world.options.format = format;
    add(&world, a->object);
    if (a->with)
        add(&world, a->with);
    world_link_ok(&world);
    assert_int_equal(world.result.entry_count, a->count);
    struct pvm_state start;
    world_load(&world, &start);
    for (unsigned i = 0; i < a->count; i++) {
        struct pvm_state state = start;
        state.pc = 5 * i;
        struct pvm_outcome outcome = world_run(&world, &state);
        if (outcome.exit != PVM_EXIT_TRAP || state.reg[A0] != a->answer[i])
            fail_msg("%s, export %u: exit %s, want 0x%" PRIx64 ", got 0x%" PRIx64,
                     a->object, i, pvm_exit_name(outcome.exit), a->answer[i],
                     state.reg[A0]);
    }
    world_fini(&world);
}

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(answers); i++) {
        run_object(&answers[i], LINK_FORMAT_SPI);
        run_object(&answers[i], LINK_FORMAT_POLKAVM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
