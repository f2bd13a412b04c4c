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
    LEDGER,
    SUMMARY,
    INTERPRETED,
    WAY_COUNT,
};

static const struct bench_way ways[WAY_COUNT] = {
    [METERED] = {.native = true},
    [UNMETERED] = {.native = true, .options = {.unmetered = true}},
    [CHECKED] = {.native = true, .options = {.explicit_checks = true}},
    [LEDGER] = {.native = true, .log = PVM_GAS_LOG_LEDGER},
    [SUMMARY] = {.native = true, .log = PVM_GAS_LOG_SUMMARY},
    [INTERPRETED] = {.native = false},
};
static const char *const way_name[WAY_COUNT] = {
    [METERED] = "recompiler/native",      [UNMETERED] = "without gas/native",
    [CHECKED] = "explicit checks/native", [LEDGER] = "with a ledger/native",
    [SUMMARY] = "with a summary/native",  [INTERPRETED] = "interpreter/native",
};
static const double way_goal[WAY_COUNT] = {
    [METERED] = GOAL_METERED, [UNMETERED] = GOAL_UNMETERED};

static void measure(struct bench *bench, const struct bench_program *row,
                    struct bench_mean mean[WAY_COUNT])
{
    struct bench_machine machine[WAY_COUNT];
    struct bench_variant variant[WAY_COUNT + 1] = {{0}};
    struct bench_native_run native = {.row = row};
    uint64_t ns;
    struct arena arena;
    arena_init(&arena, (size_t)1 << 30);
    for (unsigned w = 0; w < WAY_COUNT; w++) {
        machine[w] = bench_machine_create(&arena, row, &ways[w]);
        variant[w] =
            (struct bench_variant){.run = bench_machine_run, .self = &machine[w]};
    }
    bool has_native = bench_native(row, &native.result, &ns);
    variant[WAY_COUNT] =
        (struct bench_variant){.run = bench_native_run, .self = &native};
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

/* ---- costs that are no workload ---- */

enum { COMPILE_REPEATS = 20, INSTANCE_REPEATS = 200 };

#define GOAL_COMPILE 3.0   /* G11: us per KiB, of programs of 100 KB and more */
#define GOAL_FIXED 20.0    /* us, of the smallest program */
#define GOAL_ECALLI 9.0    /* G13: ns */
#define GOAL_INSTANCE 10.0 /* G14: us */

static void bench_ecalli(struct bench *bench, struct arena *arena)
{
    struct bench_program row =
        bench_program_load(arena, "hostcall", bench->quick ? 100000 : 1000000);
    struct bench_machine m = bench_machine_create(arena, &row, &ways[METERED]);
    struct bench_variant variant = {.run = bench_machine_run, .self = &m};
    bench_turns(bench, &variant, 1);
    double n = (double)row.n;
    bench_say(bench,
              &(struct bench_figure){.workload = "hostcall",
                                     .what = "ecalli",
                                     .value = (double)bench_median(&variant.series) / n,
                                     .unit = "ns",
                                     .least = (double)bench_least(&variant.series) / n,
                                     .most = (double)bench_most(&variant.series) / n,
                                     .goal = GOAL_ECALLI,
                                     .at_most = true});
    bench_machine_close(&m);
}

static void run_compile(void *self, uint64_t *ret_ns)
{
    const struct bench_program *row = self;
    struct pvm_config config = pvm_config_default(PVM_PROFILE_JAVM);
    uint64_t start = os_clock_cpu_ns();
    for (unsigned k = 0; k < COMPILE_REPEATS; k++) {
        struct pvm_program *program = NULL;
        struct arena arena;
        arena_init(&arena, (size_t)1 << 28);
        if (pvm_program_recompile(&arena, &row->container.code, &config,
                                  PVM_GAS_LOG_NONE, NULL, &program))
            bench_die("%s: cannot be compiled", row->name);
        pvm_program_close(program);
        arena_fini(&arena);
    }
    *ret_ns = (os_clock_cpu_ns() - start) / COMPILE_REPEATS;
}

static void bench_compile(struct bench *bench, struct arena *arena, const char *name)
{
    struct bench_program row = bench_program_load(arena, name, 0);
    struct bench_variant variant = {.run = run_compile, .self = &row};
    bench_turns(bench, &variant, 1);
    double us = (double)bench_median(&variant.series) / 1000.0;
    double kib = (double)row.container.code.code.size / 1024.0;
    bool small = kib < 1;
    bench_say(bench,
              &(struct bench_figure){.workload = name,
                                     .what = small ? "compile" : "compile, per KiB",
                                     .value = small ? us : us / kib,
                                     .unit = "us",
                                     .goal = small ? GOAL_FIXED : GOAL_COMPILE,
                                     .at_most = true});
}

/* A new address space, mapped, run and given back. */
static void run_instance(void *self, uint64_t *ret_ns)
{
    struct bench_machine *m = self;
    uint64_t start = os_clock_cpu_ns();
    for (unsigned k = 0; k < INSTANCE_REPEATS; k++) {
        bench_machine_reset(m);
        (void)pvm_run(m->engine, m->program, &m->state, NULL, NULL);
    }
    *ret_ns = (os_clock_cpu_ns() - start) / INSTANCE_REPEATS;
}

static void bench_instance(struct bench *bench, struct arena *arena, const char *name)
{
    struct bench_program row = bench_program_load(arena, name, 0);
    struct bench_machine m = bench_machine_create(arena, &row, &ways[METERED]);
    struct bench_variant variant = {.run = run_instance, .self = &m};
    bench_turns(bench, &variant, 1);
    bench_say(bench, &(struct bench_figure){
                         .workload = name,
                         .what = "new instance",
                         .value = (double)bench_median(&variant.series) / 1000.0,
                         .unit = "us",
                         .goal = GOAL_INSTANCE,
                         .at_most = true});
    bench_machine_close(&m);
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

void bench_costs(struct bench *bench)
{
    struct arena arena;
    if (!pvm_recomp_available()) {
        bench_note(bench, "there is no recompiler for this machine");
        return;
    }
    arena_init(&arena, (size_t)1 << 30);
    bench_ecalli(bench, &arena);
    bench_compile(bench, &arena, "empty");
    bench_compile(bench, &arena, "secp256k1");
    bench_compile(bench, &arena, "ed25519");
    bench_instance(bench, &arena, "empty");
    bench_instance(bench, &arena, "sieve");
    arena_fini(&arena);
}
