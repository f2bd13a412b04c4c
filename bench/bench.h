/* SPDX-License-Identifier: MIT
 *
 * bench/bench.h - how lockstep is measured.
 *
 * Variants of a workload run in turn, A B A B ..., so that a slow phase of the machine
 * meets all of them; what counts is CPU time, the median of the rounds, and ratios.
 * Nothing here is installed.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "pvm/pvm.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    BENCH_ROUNDS = 9,
    BENCH_ROUNDS_QUICK = 3,
    BENCH_ROUNDS_MAX = 99,
    BENCH_ENGINE_MAX = 4
};

struct bench_engine; /* bench/engine.h */

struct bench {
    const char *name; /* of the benchmark that runs */
    unsigned rounds;
    bool quick;
    bool json;
    const char *only;                                    /* one workload, or NULL */
    const struct bench_engine *engine[BENCH_ENGINE_MAX]; /* plug-ins */
    unsigned engine_count;
    unsigned goal_count; /* goals looked at */
    unsigned missed_count;
};

/* ---- measuring ---- */

struct bench_series {
    uint64_t ns[BENCH_ROUNDS_MAX];
    unsigned count;
};

uint64_t bench_median(const struct bench_series *series);
uint64_t bench_least(const struct bench_series *series);
uint64_t bench_most(const struct bench_series *series);

/* One way to do the work.  `run` does it once and tells its CPU time. */
struct bench_variant {
    const char *name;
    void (*run)(void *self, uint64_t *ret_ns);
    void *self;
    struct bench_series series;
};

/* All variants in turn, bench->rounds times, after one round that does not count. */
void bench_turns(const struct bench *bench, struct bench_variant *variant,
                 size_t count);

/* A geometric mean in the making. */
struct bench_mean {
    double log_sum;
    unsigned count;
};
void bench_mean_add(struct bench_mean *mean, double value);
double bench_mean_value(const struct bench_mean *mean);

/* ---- saying ---- */

/* One number.  `goal` 0: none; `at_most` says which side of it is good.  Text: a line;
 * JSON: an object {"schema": "lockstep.bench.1", ...}. */
struct bench_figure {
    const char *workload; /* "fib", "geometric mean" */
    const char *what;     /* "interpreter", "ledger" */
    double value;
    const char *unit;
    double least, most; /* of the rounds; 0, 0: not known */
    double goal;
    bool at_most;
};
void bench_say(struct bench *bench, const struct bench_figure *figure);

/* The median of the rounds' quotients: what ran one behind the other met the same
 * machine.  Answers it.  `goal` is "at most". */
double bench_say_ratio(struct bench *bench, const char *workload, const char *what,
                       const struct bench_series *series,
                       const struct bench_series *base, double goal);

/* Run on all cores, or stay on the one where we are; processes that are started later
 * do the same. */
void bench_allow_cores(bool all);

/* A line of talk. */
void bench_note(const struct bench *bench, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What measuring cannot go on without. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- programs of the corpus ---- */

struct bench_program {
    const char *name;
    uint64_t n;
    bool counts; /* part of geometric means */
    struct bytes file;
    struct pvm_container container;
};

/* The rows of corpus/pvm/programs.def that are benchmarks, loaded; n is n_bench, with
 * --quick a tenth of it. */
enum { BENCH_PROGRAM_MAX = 64 };
size_t bench_programs(const struct bench *bench, struct arena *arena,
                      struct bench_program ret_program[BENCH_PROGRAM_MAX]);

/* Load one; dies when it is not there. */
struct bench_program bench_program_load(struct arena *arena, const char *name,
                                        uint64_t n);

/* A guest address space that is made anew for each run. */
struct bench_machine {
    struct pvm_engine *engine;
    const struct bench_program *row;
    struct pvm_program *program;
    void *reservation;
    struct pvm_state state;
};

/* How a program runs: interpreted, or recompiled with these options. */
struct bench_way {
    enum pvm_gas_log log;
    enum pvm_profile profile;
    bool native;
    struct pvm_recomp_options options;
};
struct bench_machine bench_machine_create(struct arena *arena,
                                          const struct bench_program *row,
                                          const struct bench_way *way);
void bench_machine_reset(struct bench_machine *machine);

/* `run` of a variant whose self is a machine: anew, to its end, with an answer to the
 * call that the program hostcall makes.  Dies unless it halts. */
void bench_machine_run(void *machine, uint64_t *ret_ns);

/* The same twice in one memory, of which the second run is measured, as it is of the
 * native program: pages have been touched. */
void bench_machine_run_again(void *machine, uint64_t *ret_ns);
void bench_machine_close(struct bench_machine *machine);

/* Run natively once: the folder of native programs is next to lockstep-bench.  False:
 * it is not there. */
bool bench_native(const struct bench_program *row, uint64_t *ret_result,
                  uint64_t *ret_ns);

/* The same as `run` of a variant; dies where the program is not there. */
struct bench_native_run {
    const struct bench_program *row;
    uint64_t result;
};
void bench_native_run(void *self, uint64_t *ret_ns);

/* ---- the benchmarks ---- */

void bench_pvm(struct bench *bench);
void bench_guest(struct bench *bench);
void bench_recomp(struct bench *bench);
void bench_costs(struct bench *bench);
void bench_record(struct bench *bench);
void bench_trace(struct bench *bench);
void bench_debug(struct bench *bench);
/* Parts of it: how long Ctrl-C takes, in a trace of guest pvm and in a boot. */
struct trace_source;
void bench_interrupt_program(struct bench *bench, const char *workload,
                             const struct trace_source *source);
void bench_interrupt_boot(struct bench *bench);
void bench_worker(struct bench *bench);
void bench_nub(struct bench *bench);
void bench_kernel(struct bench *bench);

#endif
