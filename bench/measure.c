/* SPDX-License-Identifier: MIT
 *
 * Rounds, medians, and the lines that tell them.
 */
#define _GNU_SOURCE
#include "bench/bench.h"

#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static struct bench_series sorted(const struct bench_series *series)
{
    struct bench_series copy = *series;
    check(copy.count > 0);
    qsort(copy.ns, copy.count, sizeof copy.ns[0], by_value);
    return copy;
}

uint64_t bench_median(const struct bench_series *series)
{
    struct bench_series s = sorted(series);
    return s.ns[s.count / 2];
}

uint64_t bench_least(const struct bench_series *series)
{
    return sorted(series).ns[0];
}

uint64_t bench_most(const struct bench_series *series)
{
    struct bench_series s = sorted(series);
    return s.ns[s.count - 1];
}

void bench_turns(const struct bench *bench, struct bench_variant *variant, size_t count)
{
    for (unsigned round = 0; round <= bench->rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            uint64_t ns = 0;
            variant[i].run(variant[i].self, &ns);
            if (round > 0)
                variant[i].series.ns[variant[i].series.count++] = ns ? ns : 1;
        }
    }
}

void bench_mean_add(struct bench_mean *mean, double value)
{
    mean->log_sum += log(value);
    mean->count++;
}

double bench_mean_value(const struct bench_mean *mean)
{
    return mean->count ? exp(mean->log_sum / mean->count) : 0;
}

static const char *verdict(struct bench *bench, const struct bench_figure *f)
{
    if (f->goal == 0)
        return "";
    bool pass = f->at_most ? f->value <= f->goal : f->value >= f->goal;
    bench->goal_count++;
    bench->missed_count += !pass;
    return pass ? "PASS" : "MISS";
}

static void say_json(const struct bench *bench, const struct bench_figure *f,
                     const char *result)
{
    printf("{\"schema\":\"lockstep.bench.1\",\"bench\":\"%s\",\"workload\":\"%s\","
           "\"what\":\"%s\",\"value\":%.6g,\"unit\":\"%s\"",
           bench->name, f->workload, f->what, f->value, f->unit);
    if (f->most > 0)
        printf(",\"least\":%.6g,\"most\":%.6g", f->least, f->most);
    if (f->goal > 0)
        printf(",\"goal\":%.6g,\"side\":\"%s\",\"result\":\"%s\"", f->goal,
               f->at_most ? "at most" : "at least", result);
    printf("}\n");
}

/* Four digits are all that a median of nine is worth. */
static unsigned places(double value)
{
    return value < 0.1 ? 5 : value < 10 ? 3 : value < 100 ? 2 : value < 1000 ? 1 : 0;
}

void bench_say(struct bench *bench, const struct bench_figure *f)
{
    const char *result = verdict(bench, f);
    if (bench->json) {
        say_json(bench, f, result);
    } else {
        printf("%-15s %-22s %10.*f %-12s", f->workload, f->what, (int)places(f->value),
               f->value, f->unit);
        if (f->most > 0)
            printf(" %.*f-%.*f", (int)places(f->least), f->least, (int)places(f->most),
                   f->most);
        if (f->goal > 0)
            printf("  goal %s %g: %s", f->at_most ? "<=" : ">=", f->goal, result);
        printf("\n");
    }
    fflush(stdout);
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_say_ratio(struct bench *bench, const char *workload, const char *what,
                       const struct bench_series *series,
                       const struct bench_series *base, double goal)
{
    double quotient[BENCH_ROUNDS_MAX];
    unsigned count = series->count;
    check(count > 0 && count == base->count);
    for (unsigned i = 0; i < count; i++)
        quotient[i] = (double)series->ns[i] / (double)base->ns[i];
    qsort(quotient, count, sizeof quotient[0], by_number);
    bench_say(bench, &(struct bench_figure){.workload = workload,
                                            .what = what,
                                            .value = quotient[count / 2],
                                            .unit = "x",
                                            .least = quotient[0],
                                            .most = quotient[count - 1],
                                            .goal = goal,
                                            .at_most = true});
    return quotient[count / 2];
}

void bench_note(const struct bench *bench, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(bench->json ? stderr : stdout, format, args);
    va_end(args);
    fputc('\n', bench->json ? stderr : stdout);
    fflush(stdout);
}

void bench_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("lockstep-bench: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(125);
}

/* ---- cores ---- */

void bench_allow_cores(bool all)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (unsigned i = 0; i < CPU_SETSIZE && all; i++)
        CPU_SET(i, &set);
    if (!all)
        CPU_SET((unsigned)sched_getcpu(), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        bench_die("cannot choose cores");
}
