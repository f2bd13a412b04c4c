/* SPDX-License-Identifier: MIT
 *
 * lockstep-bench - measure lockstep; see docs/bench.md.
 *
 *   lockstep-bench [--quick] [--rounds=N] [--json] [--only=PROGRAM]
 *                  [--engine=PLUG-IN.so]... [NAME...]
 *
 * Exit status: 0 measured, whatever came out; 1 with --strict when a goal was missed;
 * 125 when something could not be measured; 129 usage.
 */
#define _GNU_SOURCE
#include "bench/bench.h"

#include "bench/plugin.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef BENCH_COMPILER
#error "the build defines BENCH_COMPILER, BENCH_NATIVE_COMPILER"
#endif

enum { USAGE = 129, LINE_SIZE = 256 };

static const struct {
    const char *name;
    void (*run)(struct bench *bench);
} table[] = {
    {"pvm", bench_pvm},       {"record", bench_record}, {"trace", bench_trace},
    {"guest", bench_guest},   {"recomp", bench_recomp}, {"costs", bench_costs},
    {"worker", bench_worker}, {"debug", bench_debug},   {"nub", bench_nub},
    {"kernel", bench_kernel},
};

static _Noreturn void usage(const char *word)
{
    fprintf(stderr,
            "lockstep-bench: '%s'? usage: lockstep-bench [--quick] [--rounds=1..%d] "
            "[--json] [--strict] [--only=PROGRAM] [--engine=PLUG-IN.so]... [",
            word, BENCH_ROUNDS_MAX);
    for (size_t i = 0; i < countof(table); i++)
        fprintf(stderr, "%s%s", i ? "|" : "", table[i].name);
    fprintf(stderr, "]...\n");
    exit(USAGE);
}

/* ---- where it runs ---- */

/* The first line that `command` prints, without its newline; "" if there is none. */
static const char *answer_of(const char *command, char text[LINE_SIZE])
{
    FILE *pipe = popen(command, "r");
    text[0] = 0;
    if (pipe) {
        if (!fgets(text, LINE_SIZE, pipe))
            text[0] = 0;
        (void)pclose(pipe);
    }
    text[strcspn(text, "\n")] = 0;
    for (char *c = text; *c; c++) { /* it goes into JSON strings */
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ')
            *c = ' ';
    }
    return text;
}

static void say_machine(const struct bench *bench)
{
    char cpu[LINE_SIZE], commit[LINE_SIZE];
    answer_of("sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo", cpu);
    answer_of("git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null",
              commit);
    if (bench->json)
        printf("{\"schema\":\"lockstep.bench.machine.1\",\"cpu\":\"%s\","
               "\"compiler\":\"%s\",\"native\":\"%s\",\"commit\":\"%s\","
               "\"rounds\":%u,\"quick\":%s}\n",
               cpu, BENCH_COMPILER, BENCH_NATIVE_COMPILER, commit, bench->rounds,
               bench->quick ? "true" : "false");
    else
        printf("cpu       %s\nlockstep  %s, commit %s\nnative    %s\n"
               "CPU time, median of %u rounds in turn, behind it least-most%s\n",
               cpu, BENCH_COMPILER, commit, BENCH_NATIVE_COMPILER, bench->rounds,
               bench->quick ? "; --quick: a tenth of the work" : "");
    fflush(stdout);
}

/* Stay on the core we are on, children too: caches and clock rates do not change by
 * moving. */
static void pin(const struct bench *bench)
{
    cpu_set_t set;
    int core = sched_getcpu();
    CPU_ZERO(&set);
    if (core >= 0)
        CPU_SET((unsigned)core, &set);
    if (core < 0 || sched_setaffinity(0, sizeof set, &set) != 0)
        bench_note(bench, "could not stay on one core");
}

/* ---- options ---- */

static void add_engine(struct bench *bench, const char *path)
{
    const char *text = "";
    if (bench->engine_count == BENCH_ENGINE_MAX)
        bench_die("more than %d engines", BENCH_ENGINE_MAX);
    enum err err = bench_plugin_open(path, &bench->engine[bench->engine_count], &text);
    if (err)
        bench_die("%s: %s: %s", path, err_text(err), text);
    bench->engine_count++;
}

static bool parse_option(struct bench *bench, const char *word, bool *ret_strict)
{
    char *end;
    if (strcmp(word, "--quick") == 0) {
        bench->quick = true;
        bench->rounds = BENCH_ROUNDS_QUICK;
    } else if (strcmp(word, "--json") == 0) {
        bench->json = true;
    } else if (strcmp(word, "--strict") == 0) {
        *ret_strict = true;
    } else if (strncmp(word, "--only=", 7) == 0) {
        bench->only = word + 7;
    } else if (strncmp(word, "--engine=", 9) == 0) {
        add_engine(bench, word + 9);
    } else if (strncmp(word, "--rounds=", 9) == 0) {
        unsigned long rounds = strtoul(word + 9, &end, 10);
        if (!word[9] || *end || rounds < 1 || rounds > BENCH_ROUNDS_MAX)
            return false;
        bench->rounds = (unsigned)rounds;
    } else {
        return false;
    }
    return true;
}

static bool is_named(int argc, char **argv, const char *name)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-')
            continue;
        any = true;
        if (strcmp(argv[i], name) == 0)
            return true;
    }
    return !any;
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < countof(table); i++) {
        if (strcmp(table[i].name, name) == 0)
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    struct bench bench = {.rounds = BENCH_ROUNDS};
    bool strict = false;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-' ? !parse_option(&bench, argv[i], &strict)
                              : !is_known(argv[i]))
            usage(argv[i]);
    }
    say_machine(&bench);
    pin(&bench);
    for (size_t i = 0; i < countof(table); i++) {
        if (!is_named(argc, argv, table[i].name))
            continue;
        bench.name = table[i].name;
        if (!bench.json)
            printf("\n==== %s ====\n", bench.name);
        table[i].run(&bench);
    }
    if (bench.goal_count)
        bench_note(&bench, "\n%u of %u goals met",
                   bench.goal_count - bench.missed_count, bench.goal_count);
    return strict && bench.missed_count ? 1 : 0;
}
