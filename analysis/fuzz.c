/* SPDX-License-Identifier: MIT
 *
 * The fuzzer's own side: start jobs, look after them, keep the place to go on at.
 */
#include "analysis/fuzz_private.h"

#include "base/os.h"
#include "base/os_jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LOOK_NS UINT64_C(20000000)
#define SAVE_NS UINT64_C(2000000000)
enum { STATE_SIZE_MAX = 4096 };

struct watch {
    struct fuzz_job job;
    struct os_job process;
    uint64_t programs; /* when it last made progress, and how many there were */
    uint64_t progress_ns;
    bool done;
};

struct fuzzer {
    const struct analysis_fuzz_setup *setup;
    struct analysis_fuzz_counts *counts;
    struct fuzz_shared *shared;
    size_t shared_size;
    struct watch watch[ANALYSIS_FUZZ_JOBS_MAX];
    uint64_t start_ns, saved_ns;
    uint64_t before; /* programs of earlier calls */
    bool stop;
};

/* ---- the place to go on at ---- */

static enum err state_path(const struct fuzzer *f, struct buf *path)
{
    const struct analysis_fuzz_setup *setup = f->setup;
    buf_printf(path, "%s/state.%" PRIu32 "-%" PRIu32, setup->corpus, setup->shard,
               setup->shard_count);
    return path->err;
}

static bool keeps_state(const struct fuzzer *f)
{
    return f->setup->corpus && !f->setup->exhaustive;
}

/* The first block that is not done. */
static uint64_t next_block(const struct fuzzer *f)
{
    uint64_t next = f->shared->next_block;
    next = next < f->shared->end_block ? next : f->shared->end_block;
    for (uint32_t i = 0; i < f->setup->jobs; i++) {
        const struct fuzz_slot *slot = &f->shared->slot[i];
        if (slot->index < ANALYSIS_FUZZ_BLOCK && slot->block < next)
            next = slot->block;
    }
    return next;
}

static enum err save_state(struct fuzzer *f)
{
    struct buf path, text;
    if (!keeps_state(f))
        return ERR_ok;
    buf_init(&path, ANALYSIS_FUZZ_PATH_MAX);
    buf_init(&text, STATE_SIZE_MAX);
    buf_printf(&text,
               "lockstep fuzz 1\nseed %" PRIu64 "\nblock %" PRIu64 "\nprograms %" PRIu64
               "\n",
               f->setup->seed, next_block(f), f->before + f->counts->programs);
    enum err err = state_path(f, &path);
    if (!err)
        err = os_file_write(buf_string(&path), buf_bytes(&text));
    buf_fini(&path);
    buf_fini(&text);
    return err;
}

/* Where an earlier call stopped; nothing where there was none. */
static enum err load_state(struct fuzzer *f)
{
    struct buf path, text;
    uint64_t seed = 0, block = 0, programs = 0;
    if (!keeps_state(f))
        return ERR_ok;
    buf_init(&path, ANALYSIS_FUZZ_PATH_MAX);
    buf_init(&text, STATE_SIZE_MAX);
    enum err err = state_path(f, &path);
    if (!err)
        err = os_file_read(buf_string(&path), &text);
    if (!err &&
        (sscanf(buf_string(&text),
                "lockstep fuzz 1 seed %" SCNu64 " block %" SCNu64 " programs %" SCNu64,
                &seed, &block, &programs) != 3 ||
         seed != f->setup->seed))
        err = ERR_case;
    if (!err) {
        f->shared->next_block = block;
        f->before = programs;
    }
    buf_fini(&path);
    buf_fini(&text);
    return err == ERR_not_found ? ERR_ok : err;
}

/* ---- jobs ---- */

static enum err start_job(struct fuzzer *f, uint32_t index)
{
    struct watch *watch = &f->watch[index];
    watch->job = (struct fuzz_job){f->setup, f->shared, &f->shared->slot[index]};
    watch->programs = watch->job.slot->programs;
    watch->progress_ns = os_clock_monotonic_ns();
    return os_job_start(&watch->process, analysis_fuzz_work, &watch->job, false, -1);
}

/* Tell of the case at which the job is, and have it go on behind it. */
static enum err take_finding(struct fuzzer *f, uint32_t index,
                             const struct analysis_verdict *verdict)
{
    struct fuzz_slot *slot = f->watch[index].job.slot;
    uint64_t block = slot->block * f->setup->shard_count + f->setup->shard;
    const struct analysis_finding finding = {
        .c = &slot->now,
        .verdict = verdict,
        .number = f->setup->seed + block * ANALYSIS_FUZZ_BLOCK + slot->index,
    };
    f->counts->differences++;
    slot->programs++;
    slot->index++;
    if (!f->setup->finding(f->setup->self, &finding)) {
        f->stop = true;
        return ERR_ok;
    }
    os_job_close(&f->watch[index].process);
    return start_job(f, index);
}

static enum err look_at_ended(struct fuzzer *f, uint32_t index)
{
    struct watch *watch = &f->watch[index];
    struct analysis_verdict verdict = {.group = ANALYSIS_CRASH};
    int status = watch->process.status;
    if (watch->process.state == OS_JOB_DIED) {
        (void)snprintf(verdict.text, sizeof verdict.text, "%s", os_signal_text(status));
        return take_finding(f, index, &verdict);
    }
    if (status == FUZZ_FOUND)
        return take_finding(f, index, &watch->job.slot->verdict);
    if (status == FUZZ_FAILED)
        return ERR_nomem;
    if (status != FUZZ_DONE) {
        (void)snprintf(verdict.text, sizeof verdict.text, "exit status %d", status);
        return take_finding(f, index, &verdict);
    }
    watch->done = true;
    return ERR_ok;
}

static enum err look_at(struct fuzzer *f, uint32_t index, uint64_t wait_ns)
{
    struct watch *watch = &f->watch[index];
    enum os_job_state state = os_job_wait(&watch->process, wait_ns);
    uint64_t programs = __atomic_load_n(&watch->job.slot->programs, __ATOMIC_RELAXED);
    uint64_t now = os_clock_monotonic_ns();
    if (state != OS_JOB_RUNS)
        return look_at_ended(f, index);
    if (programs != watch->programs) {
        watch->programs = programs;
        watch->progress_ns = now;
    } else if (now - watch->progress_ns > f->setup->hang_ns) {
        struct analysis_verdict verdict = {.group = ANALYSIS_HANG};
        (void)snprintf(verdict.text, sizeof verdict.text, "no end within %.1f s",
                       (double)f->setup->hang_ns * 1e-9);
        os_job_close(&watch->process);
        return take_finding(f, index, &verdict);
    }
    return ERR_ok;
}

/* ---- all of it ---- */

static void count(struct fuzzer *f)
{
    struct analysis_fuzz_counts *counts = f->counts;
    counts->programs = counts->icount = 0;
    for (uint32_t i = 0; i < f->setup->jobs; i++) {
        const struct fuzz_slot *slot = &f->shared->slot[i];
        counts->programs += __atomic_load_n(&slot->programs, __ATOMIC_RELAXED);
        counts->icount += slot->icount;
        if (slot->features > counts->features)
            counts->features = slot->features;
        if (slot->corpus > counts->corpus)
            counts->corpus = slot->corpus;
    }
    counts->next = next_block(f);
    counts->time_ns = os_clock_monotonic_ns() - f->start_ns;
}

/* Look at each job once; true while any runs. */
static enum err look(struct fuzzer *f, bool *ret_runs)
{
    bool runs = false;
    for (uint32_t i = 0; i < f->setup->jobs && !f->stop; i++) {
        if (f->watch[i].done)
            continue;
        TRY(look_at(f, i, runs ? 0 : LOOK_NS));
        runs |= !f->watch[i].done;
    }
    *ret_runs = runs && !f->stop;
    return ERR_ok;
}

static enum err run(struct fuzzer *f)
{
    const struct analysis_fuzz_setup *setup = f->setup;
    bool runs = true;
    for (uint32_t i = 0; i < setup->jobs; i++)
        TRY(start_job(f, i));
    while (runs) {
        TRY(look(f, &runs));
        count(f);
        if ((setup->interrupted && setup->interrupted()) ||
            (setup->time_ns && f->counts->time_ns >= setup->time_ns))
            __atomic_store_n(&f->shared->stop, 1, __ATOMIC_RELAXED);
        if (setup->progress)
            setup->progress(setup->self, f->counts);
        if (f->counts->time_ns - f->saved_ns >= SAVE_NS) {
            f->saved_ns = f->counts->time_ns;
            TRY(save_state(f));
        }
    }
    return ERR_ok;
}

/* Blocks, and where jobs begin: all of them with nothing in hand. */
static void plan(struct fuzzer *f)
{
    const struct analysis_fuzz_setup *setup = f->setup;
    const uint64_t per_block = ANALYSIS_FUZZ_BLOCK, shards = setup->shard_count;
    uint64_t first = f->shared->next_block, blocks = UINT64_MAX / per_block / shards;
    f->shared->end_block = blocks;
    if (setup->exhaustive) {
        uint64_t all = analysis_exhaust_count(setup->op);
        f->counts->total = all / shards;
        f->shared->end_block = (all + per_block * shards - 1) / (per_block * shards);
    }
    if (setup->count) {
        uint64_t wanted = (setup->count + per_block - 1) / per_block;
        f->counts->total = wanted * per_block;
        if (wanted < f->shared->end_block - first)
            f->shared->end_block = first + wanted;
    }
    for (uint32_t i = 0; i < setup->jobs; i++)
        f->shared->slot[i].index = ANALYSIS_FUZZ_BLOCK;
}

static enum err open_fuzzer(struct fuzzer *f)
{
    void *shared = NULL;
    for (unsigned i = 0; i < 2; i++) {
        if (f->setup->engine[i] == ANALYSIS_ENGINE_RECOMP && !pvm_recomp_available())
            return ERR_unsupported;
    }
    f->shared_size = sizeof *f->shared + f->setup->jobs * sizeof *f->shared->slot;
    TRY(os_shared_create(f->shared_size, &shared));
    f->shared = shared;
    TRY(load_state(f));
    plan(f);
    f->start_ns = os_clock_monotonic_ns();
    return ERR_ok;
}

enum err analysis_fuzz(const struct analysis_fuzz_setup *setup,
                       struct analysis_fuzz_counts *ret_counts)
{
    struct arena arena;
    *ret_counts = (struct analysis_fuzz_counts){0};
    if (!setup->jobs || setup->jobs > ANALYSIS_FUZZ_JOBS_MAX || !setup->shard_count ||
        setup->shard >= setup->shard_count)
        return ERR_usage;
    arena_init(&arena, sizeof(struct fuzzer) + PVM_PAGE_SIZE);
    struct fuzzer *f = arena_new(&arena, struct fuzzer);
    if (!f)
        return ERR_nomem;
    f->setup = setup;
    f->counts = ret_counts;
    enum err err = open_fuzzer(f);
    if (!err) {
        err = run(f);
        for (uint32_t i = 0; i < setup->jobs; i++)
            os_job_close(&f->watch[i].process);
        count(f);
        enum err saved = save_state(f);
        err = err ? err : saved;
    }
    if (f->shared)
        os_unmap(f->shared, f->shared_size);
    arena_fini(&arena);
    return err;
}
