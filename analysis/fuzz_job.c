/* SPDX-License-Identifier: MIT
 *
 * What one job of a fuzzer does.
 */
#include "analysis/fuzz_private.h"

#include "analysis/coverage.h"
#include "analysis/mutate.h"
#include "analysis/progen.h"
#include "base/hash.h"
#include "base/os.h"

#include <inttypes.h>
#include <string.h>

#define ARENA_MAX ((size_t)64 << 20)
#define WRITE_NS UINT64_C(5000000000)
enum { NAMES_SIZE_MAX = 1 << 26 };

/* A program that showed something new; `written`: it is in the folder, if any. */
struct kept {
    struct analysis_case *c;
    bool written;
};

struct worker {
    const struct fuzz_job *job;
    struct arena arena;
    struct analysis_pair *pair;
    struct coverage coverage;
    struct edit edit[2];
    struct kept kept[ANALYSIS_FUZZ_CORPUS_MAX];
    uint32_t kept_count;
    uint64_t written_ns;
    struct buf path, text;
};

/* ---- the programs that are kept ---- */

enum err analysis_case_path(const char *folder, const struct analysis_case *c,
                            struct buf *ret_path, struct buf *ret_text)
{
    buf_clear(ret_path);
    buf_clear(ret_text);
    analysis_case_put(c, ret_text);
    buf_printf(ret_path, "%s/%016" PRIx64 ".case", folder,
               hash_xxh3(ret_text->data, ret_text->size));
    return ret_text->err ? ret_text->err : ret_path->err;
}

/* A folder that cannot be written to any more only means that less is kept. */
static void write_kept(struct worker *w, struct kept *kept)
{
    const char *folder = w->job->setup->corpus;
    if (!analysis_case_path(folder, kept->c, &w->path, &w->text))
        (void)!os_file_write(buf_string(&w->path), buf_bytes(&w->text));
    kept->written = true;
}

static void remove_kept(struct worker *w, const struct kept *kept)
{
    const char *folder = w->job->setup->corpus;
    if (!analysis_case_path(folder, kept->c, &w->path, &w->text))
        (void)!os_unlink(buf_string(&w->path));
}

/* Now and then, because at first nearly every program is new, and few of them stay. */
static void write_all_kept(struct worker *w)
{
    for (uint32_t i = 0; w->job->setup->corpus && i < w->kept_count; i++) {
        if (!w->kept[i].written)
            write_kept(w, &w->kept[i]);
    }
    w->written_ns = os_clock_monotonic_ns();
}

/* Keep a program; when there are enough, in place of a random one, so that what is
 * rare and comes late has its turn. */
static void keep(struct worker *w, const struct analysis_case *c, uint64_t random,
                 bool written)
{
    struct kept *kept = &w->kept[random % ANALYSIS_FUZZ_CORPUS_MAX];
    if (w->kept_count < ANALYSIS_FUZZ_CORPUS_MAX) {
        kept = &w->kept[w->kept_count];
        kept->c = arena_new(&w->arena, struct analysis_case);
        if (!kept->c)
            return;
        w->kept_count++;
    } else if (kept->written) {
        remove_kept(w, kept);
    }
    *kept->c = *c;
    kept->written = written;
    w->job->slot->corpus = w->kept_count;
}

static bool ends_in(const char *name, const char *end)
{
    size_t size = strlen(name), end_size = strlen(end);
    return size > end_size && strcmp(name + size - end_size, end) == 0;
}

/* ---- one program ---- */

/* Run the slot's case; true: a difference, which is in the slot. */
static bool run_now(struct worker *w, uint64_t random, bool known)
{
    struct fuzz_slot *slot = w->job->slot;
    struct analysis_pair_report report;
    if (analysis_pair_run(w->pair, &slot->now, &report))
        return false; /* no memory for it: it shows nothing */
    slot->icount += report.icount;
    if (report.field) {
        analysis_verdict_fill(&slot->verdict, &report);
        return true;
    }
    if (w->job->setup->exhaustive)
        return false;
    uint32_t fresh = analysis_coverage_add(&w->coverage, w->pair, &slot->now, &report);
    if (fresh || known)
        keep(w, &slot->now, random, known);
    slot->features = w->coverage.count;
    return false;
}

static void make_now(struct worker *w, uint64_t number, uint64_t *random)
{
    const struct analysis_fuzz_setup *setup = w->job->setup;
    struct analysis_case *now = &w->job->slot->now;
    *random = setup->seed + number;
    if (setup->exhaustive) {
        analysis_exhaust_make(setup->op, number, now);
        return;
    }
    uint64_t choice = analysis_random(random);
    if (!w->kept_count || choice % 2) {
        analysis_progen_make(now, setup->seed + number);
        return;
    }
    *now = *w->kept[(choice >> 8) % w->kept_count].c;
    analysis_mutate(now, w->kept[(choice >> 32) % w->kept_count].c,
                    analysis_random(random), w->edit);
}

/* What was kept before, in order of names.  True: a difference. */
static bool run_kept(struct worker *w)
{
    const char *folder = w->job->setup->corpus;
    struct analysis_case_error error;
    struct buf names, file;
    bool found = false;
    buf_init(&names, NAMES_SIZE_MAX);
    buf_init(&file, ANALYSIS_CASE_TEXT_MAX);
    if (os_folder_list(folder, &names))
        names.size = 0;
    for (size_t at = 0; !found && at < names.size && !os_interrupted();) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        if (!ends_in(name, ".case") || w->kept_count == ANALYSIS_FUZZ_CORPUS_MAX)
            continue;
        buf_clear(&w->path);
        buf_clear(&file);
        buf_printf(&w->path, "%s/%s", folder, name);
        /* Another job may just have removed it. */
        if (w->path.err || os_file_read(buf_string(&w->path), &file) ||
            analysis_case_parse(buf_bytes(&file), &w->job->slot->now, &error))
            continue;
        found = run_now(w, 0, true);
        w->job->slot->programs++;
    }
    buf_fini(&names);
    buf_fini(&file);
    return found;
}

/* ---- all of them ---- */

static uint64_t total(const struct analysis_fuzz_setup *setup)
{
    return setup->exhaustive ? analysis_exhaust_count(setup->op) : UINT64_MAX;
}

/* The blocks that this job takes; true: a difference. */
static bool run_blocks(struct worker *w)
{
    const struct analysis_fuzz_setup *setup = w->job->setup;
    struct fuzz_shared *shared = w->job->shared;
    struct fuzz_slot *slot = w->job->slot;
    const uint64_t end = total(setup);
    for (;;) {
        for (; slot->index < ANALYSIS_FUZZ_BLOCK; slot->index++) {
            uint64_t block = slot->block * setup->shard_count + setup->shard, random;
            uint64_t number = block * ANALYSIS_FUZZ_BLOCK + slot->index;
            if (os_interrupted() || __atomic_load_n(&shared->stop, __ATOMIC_RELAXED) ||
                number >= end)
                return false;
            make_now(w, number, &random);
            if (run_now(w, random, false))
                return true;
            __atomic_store_n(&slot->programs, slot->programs + 1, __ATOMIC_RELAXED);
        }
        uint64_t next = __atomic_fetch_add(&shared->next_block, 1, __ATOMIC_RELAXED);
        if (next >= shared->end_block)
            return false;
        slot->block = next;
        slot->index = 0;
        if (os_clock_monotonic_ns() - w->written_ns > WRITE_NS)
            write_all_kept(w);
    }
}

int analysis_fuzz_work(void *self)
{
    const struct fuzz_job *job = self;
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    struct worker *w = arena_new(&arena, struct worker);
    if (!w)
        return FUZZ_FAILED;
    w->job = job;
    arena_init(&w->arena, ARENA_MAX);
    w->written_ns = os_clock_monotonic_ns();
    buf_init(&w->path, ANALYSIS_FUZZ_PATH_MAX);
    buf_init(&w->text, ANALYSIS_CASE_TEXT_MAX);
    if (analysis_pair_create(&w->arena, job->setup->engine, &w->pair))
        return FUZZ_FAILED;
    bool found = job->setup->corpus && !job->setup->exhaustive && run_kept(w);
    found = found || run_blocks(w);
    write_all_kept(w);
    /* The process ends here, and with it all that it has. */
    return found ? FUZZ_FOUND : FUZZ_DONE;
}
