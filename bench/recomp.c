/* SPDX-License-Identifier: MIT
 *
 * How fast recompiled code is: against the same C source compiled for the machine it
 * runs on, against the interpreter, and what its gas costs.
 */
#include "bench/bench.h"

#include "base/os.h"
#include "bench/plugin.h"

#include <stdio.h>
#include <string.h>

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

/* A plug-in on a program; `run` of a variant. */
struct plugin_run {
    struct bench_plugin_machine machine;
    const struct bench_program *row;
    uint64_t result;
};

static void run_plugin(void *self, uint64_t *ret_ns)
{
    struct plugin_run *run = self;
    int exit = bench_plugin_run(&run->machine, run->row->n, &run->result, ret_ns);
    if (exit != BENCH_ENGINE_HALT)
        bench_die("%s: %s ended with %d", run->row->name, run->machine.engine->name,
                  exit);
}

static struct plugin_run open_plugin(const struct bench_engine *engine,
                                     const struct bench_program *row)
{
    struct plugin_run run = {.row = row};
    if (bench_plugin_load(engine, &row->container, &run.machine))
        bench_die("%s: %s cannot load it", row->name, engine->name);
    return run;
}

enum { VARIANT_MAX = WAY_COUNT + BENCH_ENGINE_MAX + 1 };

struct comparison {
    const struct bench_program *row;
    struct bench_machine machine[WAY_COUNT];
    struct plugin_run plugin[BENCH_ENGINE_MAX];
    struct bench_native_run native;
    struct bench_variant variant[VARIANT_MAX]; /* ways, plug-ins, the native program */
    unsigned count;                            /* without the latter */
};

static void open_comparison(struct bench *bench, struct arena *arena,
                            struct comparison *c)
{
    for (unsigned w = 0; w < WAY_COUNT; w++) {
        c->machine[w] = bench_machine_create(arena, c->row, &ways[w]);
        c->variant[w] = (struct bench_variant){.run = bench_machine_run_again,
                                               .self = &c->machine[w]};
    }
    for (unsigned k = 0; k < bench->engine_count; k++) {
        c->plugin[k] = open_plugin(bench->engine[k], c->row);
        c->variant[WAY_COUNT + k] =
            (struct bench_variant){.run = run_plugin, .self = &c->plugin[k]};
    }
    c->count = WAY_COUNT + bench->engine_count;
    c->native.row = c->row;
    c->variant[c->count] =
        (struct bench_variant){.run = bench_native_run, .self = &c->native};
}

/* The result and the name of variant `v`. */
static uint64_t result_of(const struct bench *bench, const struct comparison *c,
                          unsigned v, char ret_what[64])
{
    if (v < WAY_COUNT) {
        (void)snprintf(ret_what, 64, "%s", way_name[v]);
        return c->machine[v].state.reg[A0];
    }
    (void)snprintf(ret_what, 64, "%s/native", bench->engine[v - WAY_COUNT]->name);
    return c->plugin[v - WAY_COUNT].result;
}

static void measure(struct bench *bench, const struct bench_program *row,
                    struct bench_mean mean[VARIANT_MAX])
{
    struct comparison c = {.row = row};
    char what[64];
    uint64_t ns;
    struct arena arena;
    arena_init(&arena, (size_t)1 << 30);
    open_comparison(bench, &arena, &c);
    bool has_native = bench_native(row, &c.native.result, &ns);
    bench_turns(bench, c.variant, c.count + has_native);
    for (unsigned v = 0; v < c.count && has_native; v++) {
        if (result_of(bench, &c, v, what) != c.native.result)
            bench_die("%s: %s: a wrong result", row->name, what);
        bench_mean_add(&mean[v],
                       bench_say_ratio(bench, row->name, what, &c.variant[v].series,
                                       &c.variant[c.count].series, 0));
    }
    if (!has_native)
        bench_note(bench, "%s: there is no native program to compare with", row->name);
    for (unsigned w = 0; w < WAY_COUNT; w++)
        bench_machine_close(&c.machine[w]);
    for (unsigned k = 0; k < bench->engine_count; k++)
        bench_plugin_unload(&c.plugin[k].machine);
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

/* A program to compile: into new memory each time, or into a workspace, or with a
 * cache, so that it is there. */
struct compile {
    struct bench_program row;
    struct pvm_recomp_cache *cache;
    struct pvm_recomp_workspace *workspace;
    enum pvm_profile profile; /* VECTORS: flat gas */
};

static void run_compile(void *self, uint64_t *ret_ns)
{
    const struct compile *compile = self;
    const struct bench_program *row = &compile->row;
    const struct pvm_recomp_options options = {.cache = compile->cache,
                                               .workspace = compile->workspace};
    struct pvm_config config = pvm_config_default(compile->profile);
    uint64_t start = os_clock_cpu_ns();
    for (unsigned k = 0; k < COMPILE_REPEATS; k++) {
        struct pvm_program *program = NULL;
        struct arena arena;
        arena_init(&arena, (size_t)1 << 28);
        if (pvm_program_recompile(&arena, &row->container.code, &config,
                                  PVM_GAS_LOG_NONE, &options, &program))
            bench_die("%s: cannot be compiled", row->name);
        pvm_program_close(program);
        arena_fini(&arena);
    }
    *ret_ns = (os_clock_cpu_ns() - start) / COMPILE_REPEATS;
}

static void say_compile(struct bench *bench, const struct compile *compile,
                        const struct bench_series *series, const char *where)
{
    char what[64];
    double us = (double)bench_median(series) / 1000.0;
    double kib = (double)compile->row.container.code.code.size / 1024.0;
    bool small = kib < 1,
         aims = compile->cache ||
                (compile->workspace && compile->profile == PVM_PROFILE_JAVM);
    (void)snprintf(what, sizeof what, "compile%s%s", where, small ? "" : ", per KiB");
    bench_say(bench, &(struct bench_figure){.workload = compile->row.name,
                                            .what = what,
                                            .value = small ? us : us / kib,
                                            .unit = "us",
                                            .goal = !aims   ? 0
                                                    : small ? GOAL_FIXED
                                                            : GOAL_COMPILE,
                                            .at_most = true});
}

/* Into a workspace, with gas model 1 and flat gas, and into new memory, in turn. */
static void measure_compile(struct bench *bench, struct arena *arena,
                            const struct bench_program *row)
{
    static const char *const where[] = {"", ", flat gas", " in new memory"};
    struct compile compile[3];
    struct bench_variant variant[countof(compile)];
    struct pvm_recomp_workspace *workspace;
    if (pvm_recomp_workspace_create(arena, &workspace))
        bench_die("out of memory");
    for (unsigned k = 0; k < countof(compile); k++) {
        compile[k] = (struct compile){
            .row = *row,
            .workspace = k < 2 ? workspace : NULL,
            .profile = k == 1 ? PVM_PROFILE_VECTORS : PVM_PROFILE_JAVM,
        };
        variant[k] = (struct bench_variant){.run = run_compile, .self = &compile[k]};
    }
    bench_turns(bench, variant, countof(variant));
    for (unsigned k = 0; k < countof(compile); k++)
        say_compile(bench, &compile[k], &variant[k].series, where[k]);
    pvm_recomp_workspace_close(workspace);
}

static void bench_compile(struct bench *bench, struct arena *arena, const char *name)
{
    struct bench_program row = bench_program_load(arena, name, 0);
    measure_compile(bench, arena, &row);
}

/* Append a program's code to another; it is compiled, but not run. */
static void append_code(const struct pvm_code *from, uint8_t *code, uint8_t *mask,
                        size_t at)
{
    memcpy(code + at, from->code.data, from->code.size);
    for (uint32_t k = 0; k < from->code.size; k++) {
        if (pvm_code_marked(from, k))
            mask[(at + k) / 8] |= (uint8_t)(1 << (at + k) % 8);
    }
}

/* As large as the goal wants it: the programs of the corpus, one behind the other.  And
 * once more, when a cache has it. */
static void bench_compile_large(struct bench *bench, struct arena *arena)
{
    static const char *const name[] = {"ed25519", "secp256k1", "deflate", "mixed",
                                       "lz",      "blake2b",   "sha256",  "keccak"};
    enum { SIZE_MAX_CODE = 160 << 10 };
    uint8_t *code = arena_new_array(arena, uint8_t, SIZE_MAX_CODE);
    uint8_t *mask = arena_new_array(arena, uint8_t, SIZE_MAX_CODE / 8);
    struct compile compile = {.row = {.name = "160 KiB"}, .profile = PVM_PROFILE_JAVM};
    struct bench_variant variant = {.run = run_compile, .self = &compile};
    size_t size = 0;
    if (!code || !mask || pvm_recomp_cache_create(arena, 1 << 24, &compile.cache))
        bench_die("out of memory");
    for (unsigned k = 0;; k++) {
        struct bench_program row =
            bench_program_load(arena, name[k % countof(name)], 0);
        if (size + row.container.code.code.size > SIZE_MAX_CODE)
            break;
        append_code(&row.container.code, code, mask, size);
        size += row.container.code.code.size;
    }
    compile.row.container.code =
        (struct pvm_code){.code = bytes_of(code, size), .bitmask = mask};
    measure_compile(bench, arena, &compile.row);
    bench_turns(bench, &variant, 1);
    say_compile(bench, &compile, &variant.series, " when cached");
    pvm_recomp_cache_close(compile.cache);
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
    struct bench_mean mean[VARIANT_MAX] = {{0}};
    char what[64];
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
    static const struct comparison none;
    for (unsigned v = 0; v < WAY_COUNT + bench->engine_count && mean[v].count; v++) {
        (void)result_of(bench, &none, v, what);
        bench_say(bench, &(struct bench_figure){.workload = "geometric mean",
                                                .what = what,
                                                .value = bench_mean_value(&mean[v]),
                                                .unit = "x",
                                                .goal = v < WAY_COUNT ? way_goal[v] : 0,
                                                .at_most = true});
    }
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
    bench_compile_large(bench, &arena);
    bench_instance(bench, &arena, "empty");
    bench_instance(bench, &arena, "sieve");
    arena_fini(&arena);
}
