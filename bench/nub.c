/* SPDX-License-Identifier: MIT
 *
 * One request to a capability kernel: in this process, and across the boundary to a
 * worker on the same core and on another one (wall time, since two processes work).
 */
#include "base/os.h"
#include "bench/bench.h"
#include "kernel/cap.h"
#include "nub/nub.h"

#include <string.h>

enum { DATA_SIZE = 1 << 20 };

static void must(enum err err)
{
    if (err)
        bench_die("nub: %s", err_text(err));
}

/* ---- requests ---- */

struct run {
    struct nub *nub;
    struct hash256 instance;
    void (*request)(struct run *run);
    unsigned count;
    uint8_t *data; /* a cap of DATA_SIZE bytes */
};

static void ask_smoke(struct run *run)
{
    struct bytes answer;
    must(nub_call(run->nub, NUB_FN_smoke, bytes_of("", 0), &answer));
}

static void ask_invoke(struct run *run)
{
    struct kernel_result result;
    const struct nub_invoke invoke = {.instance = run->instance, .gas = 1000};
    must(nub_invoke(run->nub, &invoke, &result));
    if (result.exit_reason != KERNEL_EXIT_HALT)
        bench_die("nub: the guest does not halt");
}

/* The same cap again is hashed and found, so that the directory does not fill up. */
static void ask_put(struct run *run)
{
    struct hash256 hash;
    must(nub_put(run->nub, bytes_of(run->data, 5 + DATA_SIZE), &hash));
}

static void run_requests(void *self, uint64_t *ret_ns)
{
    struct run *run = self;
    uint64_t start = os_clock_monotonic_ns();
    for (unsigned i = 0; i < run->count; i++)
        run->request(run);
    *ret_ns = os_clock_monotonic_ns() - start;
}

static void run_sha256(void *self, uint64_t *ret_ns)
{
    const struct run *run = self;
    uint64_t start = os_clock_monotonic_ns();
    for (unsigned i = 0; i < run->count; i++)
        (void)hash_sha256(run->data, 5 + DATA_SIZE);
    *ret_ns = os_clock_monotonic_ns() - start;
}

/* ---- kernels ---- */

static void put_file(struct nub *nub, const char *path, struct hash256 *ret_hash)
{
    struct buf file;
    buf_init(&file, 1 << 20);
    must(os_file_read(path, &file));
    must(nub_put(nub, buf_bytes(&file), ret_hash));
    buf_fini(&file);
}

static struct run run_open(bool worker)
{
    struct run run = {.nub = NULL};
    struct kernel_config config = kernel_config_default();
    const struct nub_options options = {.config = &config, .timeout_ns = 10000000000};
    config.engine = KERNEL_ENGINE_RECOMP;
    must((worker ? nub_open_worker : nub_open)(&options, &run.nub));
    put_file(run.nub, "corpus/kernel/load42/image.cap", &run.instance);
    put_file(run.nub, "corpus/kernel/load42/cnode.cap", &run.instance);
    put_file(run.nub, "corpus/kernel/load42/instance.cap", &run.instance);
    return run;
}

static void say(struct bench *bench, const char *workload,
                const struct bench_variant *variant, unsigned count)
{
    const struct bench_series *series = &variant->series;
    double per = count * 1000.0;
    bench_say(bench, &(struct bench_figure){.workload = workload,
                                            .what = variant->name,
                                            .value = (double)bench_median(series) / per,
                                            .unit = "us",
                                            .least = (double)bench_least(series) / per,
                                            .most = (double)bench_most(series) / per});
}

enum { IN_PROCESS, ONE_CORE, TWO_CORES, SHA256, WAY_COUNT };

static void measure(struct bench *bench, struct run run[WAY_COUNT],
                    const char *workload, void (*request)(struct run *run),
                    unsigned count)
{
    struct bench_variant variant[WAY_COUNT] = {
        {.name = "in process", .run = run_requests},
        {.name = "worker, one core", .run = run_requests},
        {.name = "worker, two cores", .run = run_requests},
        {.name = "plain SHA-256", .run = run_sha256},
    };
    size_t ways = request == ask_put ? WAY_COUNT : SHA256;
    if (bench->quick)
        count /= 10;
    for (size_t i = 0; i < ways; i++) {
        run[i].request = request;
        run[i].count = count;
        variant[i].self = &run[i];
    }
    bench_turns(bench, variant, ways);
    for (size_t i = 0; i < ways; i++)
        say(bench, workload, &variant[i], count);
    for (size_t i = ONE_CORE; i <= TWO_CORES; i++)
        (void)bench_say_ratio(bench, workload, variant[i].name, &variant[i].series,
                              &variant[IN_PROCESS].series, 0);
    if (ways > SHA256)
        (void)bench_say_ratio(bench, workload, "in process / SHA-256",
                              &variant[IN_PROCESS].series, &variant[SHA256].series, 0);
}

void bench_nub(struct bench *bench)
{
    static uint8_t data[5 + DATA_SIZE];
    struct run run[WAY_COUNT];
    if (bench->only)
        return;
    data[0] = KERNEL_KIND_DATA;
    kernel_u32_put(data + 1, 4);
    for (size_t i = 5; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 131 >> 3);
    run[IN_PROCESS] = run_open(false);
    run[ONE_CORE] = run_open(true); /* where bench.c has pinned us */
    bench_allow_cores(true);
    run[TWO_CORES] = run_open(true);
    bench_allow_cores(false);
    run[SHA256] = (struct run){.nub = NULL};
    for (size_t i = 0; i < WAY_COUNT; i++)
        run[i].data = data;
    measure(bench, run, "smoke", ask_smoke, 20000);
    measure(bench, run, "invoke", ask_invoke, 2000);
    measure(bench, run, "put 1 MiB", ask_put, 20);
    for (size_t i = 0; i < WAY_COUNT; i++)
        nub_close(run[i].nub);
}
