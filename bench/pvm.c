/* SPDX-License-Identifier: MIT
 *
 * How fast the interpreter is: in million instructions per second, and against the same
 * C source compiled for the machine it runs on.
 */
#include "bench/bench.h"

#include "base/os.h"

enum { A0 = 7, DISPATCHES = 2 };

#define GOAL_MIPS 900.0
#define GOAL_RATIO 10.0

struct engine_run {
    struct bench_machine machine;
    enum pvm_dispatch dispatch;
};

static void run_engine(void *self, uint64_t *ret_ns)
{
    struct engine_run *run = self;
    pvm_engine_set_dispatch(run->machine.engine, run->dispatch);
    bench_machine_run(&run->machine, ret_ns);
}

/* ---- one program ---- */

struct measured {
    struct bench_variant variant[1 + DISPATCHES]; /* native last */
    struct engine_run engine[DISPATCHES];
    struct bench_native_run native;
    bool has_native;
    uint64_t insn_count;
};

static void measure(const struct bench *bench, const struct bench_program *row,
                    const enum pvm_dispatch *dispatch, size_t dispatch_count,
                    struct measured *m)
{
    uint64_t ns;
    struct arena arena;
    arena_init(&arena, (size_t)1 << 30);
    *m = (struct measured){.native = {.row = row}};
    for (size_t i = 0; i < dispatch_count; i++) {
        m->engine[i] = (struct engine_run){
            .machine = bench_machine_create(&arena, row, &(struct bench_way){0}),
            .dispatch = dispatch[i]};
        m->variant[i] =
            (struct bench_variant){.run = run_engine, .self = &m->engine[i]};
    }
    m->has_native = bench_native(row, &m->native.result, &ns);
    m->variant[dispatch_count] =
        (struct bench_variant){.run = bench_native_run, .self = &m->native};
    bench_turns(bench, m->variant, dispatch_count + m->has_native);
    for (size_t i = 0; i < dispatch_count; i++) {
        m->insn_count = m->engine[i].machine.state.icount;
        if (m->has_native && m->engine[i].machine.state.reg[A0] != m->native.result)
            bench_die("%s: the interpreter's result is not the native one", row->name);
        bench_machine_close(&m->engine[i].machine);
    }
    arena_fini(&arena);
}

static double mips(uint64_t insn_count, uint64_t ns)
{
    return (double)insn_count * 1000.0 / (double)ns;
}

static double say_mips(struct bench *bench, const struct bench_program *row,
                       const char *what, const struct measured *m, size_t index)
{
    const struct bench_series *s = &m->variant[index].series;
    double value = mips(m->insn_count, bench_median(s));
    bench_say(bench,
              &(struct bench_figure){.workload = row->name,
                                     .what = what,
                                     .value = value,
                                     .unit = "MIPS",
                                     .least = mips(m->insn_count, bench_most(s)),
                                     .most = mips(m->insn_count, bench_least(s))});
    return value;
}

static double say_ratio(struct bench *bench, const struct bench_program *row,
                        const char *what, const struct measured *m, size_t index,
                        size_t native)
{
    return bench_say_ratio(bench, row->name, what, &m->variant[index].series,
                           &m->variant[native].series, 0);
}

/* ---- the benchmarks ---- */

static void warn_no_native(const struct bench *bench, bool *said)
{
    if (!*said)
        bench_note(bench, "no native programs here: no ratios (build the target "
                          "lockstep-bench)");
    *said = true;
}

void bench_pvm(struct bench *bench)
{
    static const enum pvm_dispatch dispatch[] = {PVM_DISPATCH_AUTO};
    struct bench_program row[BENCH_PROGRAM_MAX];
    struct bench_mean speed = {0}, ratio = {0};
    struct measured m;
    struct arena arena;
    bool said = false;
    arena_init(&arena, (size_t)1 << 30);
    size_t count = bench_programs(bench, &arena, row);
    for (size_t i = 0; i < count; i++) {
        if (!row[i].counts)
            continue;
        measure(bench, &row[i], dispatch, 1, &m);
        bench_mean_add(&speed, say_mips(bench, &row[i], "interpreter", &m, 0));
        if (m.has_native)
            bench_mean_add(&ratio,
                           say_ratio(bench, &row[i], "interpreter/native", &m, 0, 1));
        else
            warn_no_native(bench, &said);
    }
    bench_say(bench, &(struct bench_figure){.workload = "geometric mean",
                                            .what = "interpreter",
                                            .value = bench_mean_value(&speed),
                                            .unit = "MIPS",
                                            .goal = GOAL_MIPS});
    if (ratio.count)
        bench_say(bench, &(struct bench_figure){.workload = "geometric mean",
                                                .what = "interpreter/native",
                                                .value = bench_mean_value(&ratio),
                                                .unit = "x",
                                                .goal = GOAL_RATIO,
                                                .at_most = true});
    arena_fini(&arena);
}

void bench_guest(struct bench *bench)
{
    static const enum pvm_dispatch dispatch[DISPATCHES] = {PVM_DISPATCH_THREADED,
                                                           PVM_DISPATCH_LOOP};
    static const char *const name[DISPATCHES] = {"threaded/native", "loop/native"};
    static const char *const speed_name[DISPATCHES] = {"threaded", "loop"};
    struct bench_program row[BENCH_PROGRAM_MAX];
    struct bench_mean ratio[DISPATCHES] = {{0}};
    struct measured m;
    struct arena arena;
    bool said = false;
    arena_init(&arena, (size_t)1 << 30);
    size_t count = bench_programs(bench, &arena, row);
    for (size_t i = 0; i < count; i++) {
        measure(bench, &row[i], dispatch, DISPATCHES, &m);
        for (size_t d = 0; d < DISPATCHES; d++) {
            (void)say_mips(bench, &row[i], speed_name[d], &m, d);
            if (!m.has_native) {
                warn_no_native(bench, &said);
                continue;
            }
            double value = say_ratio(bench, &row[i], name[d], &m, d, DISPATCHES);
            if (row[i].counts)
                bench_mean_add(&ratio[d], value);
        }
    }
    for (size_t d = 0; d < DISPATCHES && ratio[d].count; d++)
        bench_say(bench, &(struct bench_figure){.workload = "geometric mean",
                                                .what = name[d],
                                                .value = bench_mean_value(&ratio[d]),
                                                .unit = "x"});
    arena_fini(&arena);
}
