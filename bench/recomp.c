/* SPDX-License-Identifier: MIT
 *
 * How fast recompiled code is: against the same C source compiled for the machine it
 * runs on, against the interpreter, and what its gas costs.
 */
#include "bench/bench.h"

#include "base/os.h"

enum { A0 = 7 };

#define GOAL_METERED 1.35   /* pvm-exec.md G9 */
#define GOAL_UNMETERED 1.15 /* G10 */

enum way {
    METERED,
    UNMETERED,
    CHECKED,
    INTERPRETED,
    WAY_COUNT,
};

static const struct bench_way ways[WAY_COUNT] = {
    [METERED] = {.native = true},
    [UNMETERED] = {.native = true, .options = {.unmetered = true}},
    [CHECKED] = {.native = true, .options = {.explicit_checks = true}},
    [INTERPRETED] = {.native = false},
};
static const char *const way_name[WAY_COUNT] = {
    [METERED] = "recompiler/native",
    [UNMETERED] = "without gas/native",
    [CHECKED] = "explicit checks/native",
    [INTERPRETED] = "interpreter/native",
};
static const double way_goal[WAY_COUNT] = {
    [METERED] = GOAL_METERED, [UNMETERED] = GOAL_UNMETERED};

struct native_run {
    const struct bench_program *row;
    uint64_t result;
};

static void run_engine(void *self, uint64_t *ret_ns)
{
    struct bench_machine *m = self;
    bench_machine_reset(m);
    uint64_t start = os_clock_cpu_ns();
    struct pvm_outcome outcome = pvm_run(m->engine, m->program, &m->state, NULL, NULL);
    *ret_ns = os_clock_cpu_ns() - start;
    if (outcome.exit != PVM_EXIT_HALT)
        bench_die("%s ended with %s", m->row->name, pvm_exit_name(outcome.exit));
}

static void run_native(void *self, uint64_t *ret_ns)
{
    struct native_run *run = self;
    if (!bench_native(run->row, &run->result, ret_ns))
        bench_die("the native %s has gone", run->row->name);
}

static void measure(struct bench *bench, const struct bench_program *row,
                    struct bench_mean mean[WAY_COUNT])
{
    struct bench_machine machine[WAY_COUNT];
    struct bench_variant variant[WAY_COUNT + 1] = {{0}};
    struct native_run native = {.row = row};
    uint64_t ns;
    struct arena arena;
    arena_init(&arena, (size_t)1 << 30);
    for (unsigned w = 0; w < WAY_COUNT; w++) {
        machine[w] = bench_machine_create(&arena, row, &ways[w]);
        variant[w] = (struct bench_variant){.run = run_engine, .self = &machine[w]};
    }
    bool has_native = bench_native(row, &native.result, &ns);
    variant[WAY_COUNT] = (struct bench_variant){.run = run_native, .self = &native};
    bench_turns(bench, variant, WAY_COUNT + has_native);
    for (unsigned w = 0; w < WAY_COUNT; w++) {
        if (has_native && machine[w].state.reg[A0] != native.result)
            bench_die("%s: %s: a wrong result", row->name, way_name[w]);
        if (has_native)
            bench_mean_add(&mean[w], bench_say_ratio(bench, row->name, way_name[w],
                                                     &variant[w].series,
                                                     &variant[WAY_COUNT].series, 0));
        bench_machine_close(&machine[w]);
    }
    if (!has_native)
        bench_note(bench, "%s: there is no native program to compare with", row->name);
    arena_fini(&arena);
}

void bench_recomp(struct bench *bench)
{
    struct bench_program row[BENCH_PROGRAM_MAX];
    struct bench_mean mean[WAY_COUNT] = {{0}};
    struct arena arena;
    if (!pvm_recomp_available()) {
        bench_note(bench, "there is no recompiler for this machine");
        return;
    }
    arena_init(&arena, (size_t)1 << 30);
    size_t count = bench_programs(bench, &arena, row);
    for (size_t i = 0; i < count; i++) {
        if (row[i].counts)
            measure(bench, &row[i], mean);
    }
    for (unsigned w = 0; w < WAY_COUNT && mean[w].count; w++)
        bench_say(bench, &(struct bench_figure){.workload = "geometric mean",
                                                .what = way_name[w],
                                                .value = bench_mean_value(&mean[w]),
                                                .unit = "x",
                                                .goal = way_goal[w],
                                                .at_most = true});
    arena_fini(&arena);
}
