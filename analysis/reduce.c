/* SPDX-License-Identifier: MIT */
#include "analysis/reduce.h"

#include "analysis/edit.h"
#include "base/os.h"

#include <string.h>

struct reducer {
    const struct analysis_reduce_setup *setup;
    struct analysis_reduce_report *report;
    struct analysis_case best, next;
    struct edit edit, trial_edit; /* of `best`; a changed one */
    uint64_t end_ns;
    bool stop;
    enum err err;
};

/* ---- one attempt ---- */

/* Does `next` still show it?  Then it is the best one. */
static bool attempt(struct reducer *r)
{
    const struct analysis_reduce_setup *setup = r->setup;
    struct analysis_verdict verdict;
    if (r->stop || memcmp(&r->best, &r->next, sizeof r->best) == 0)
        return false;
    if ((setup->interrupted && setup->interrupted()) ||
        (r->end_ns && os_clock_monotonic_ns() >= r->end_ns)) {
        r->stop = true;
        return false;
    }
    enum err err = analysis_trial_run(setup->trial, &r->next, &verdict);
    if (err) {
        r->stop = true;
        r->err = err == ERR_interrupted ? ERR_ok : err;
        return false;
    }
    r->report->attempts++;
    if (verdict.group != r->report->verdict.group)
        return false;
    r->report->verdict = verdict;
    r->best = r->next;
    if (setup->progress)
        setup->progress(setup->self, r->report->attempts,
                        analysis_case_insn_count(&r->best));
    return true;
}

/* ---- the way it is run ---- */

static void drop_runs(struct reducer *r)
{
    for (uint32_t runs = 1; runs < r->best.run_count; runs++) {
        r->next = r->best;
        r->next.run_count = runs;
        if (attempt(r))
            return;
    }
}

static void drop_manners(struct reducer *r)
{
    drop_runs(r);
    r->next = r->best;
    r->next.deadline = 0;
    (void)attempt(r);
    r->next = r->best;
    r->next.answers = false;
    (void)attempt(r);
    r->next = r->best;
    r->next.way.explicit_checks = false;
    (void)attempt(r);
    r->next = r->best;
    memset(r->next.way.interp_only, 0, sizeof r->next.way.interp_only);
    if (!attempt(r)) {
        for (unsigned op = 0; op < 256; op++) {
            r->next = r->best;
            r->next.way.interp_only[op / 64] &= ~((uint64_t)1 << op % 64);
            (void)attempt(r);
        }
    }
    static const enum pvm_gas_log logs[] = {PVM_GAS_LOG_NONE, PVM_GAS_LOG_EACH};
    for (size_t i = 0; i < countof(logs) && r->best.way.log != logs[i]; i++) {
        r->next = r->best;
        r->next.way.log = logs[i];
        if (attempt(r))
            return;
    }
}

/* Page gas, then the gas model of one unit per instruction. */
static void drop_model(struct reducer *r)
{
    r->next = r->best;
    r->next.config.model &= 255;
    (void)attempt(r);
    r->next = r->best;
    r->next.config.model &= ~(uint32_t)255;
    (void)attempt(r);
}

/* ---- instructions ---- */

/* Make the changed list the case to try; false: it cannot be. */
static bool try_edit(struct reducer *r)
{
    r->next = r->best;
    return analysis_edit_store(&r->trial_edit, &r->next) && attempt(r);
}

/* Delta debugging: leave out halves, quarters, … single ones. */
static void drop_insns(struct reducer *r)
{
    analysis_edit_load(&r->edit, &r->best);
    for (uint32_t size = (r->edit.count + 1) / 2; size && !r->stop; size /= 2) {
        /* From the end: what comes last has done its work before. */
        for (uint32_t end = r->edit.count; end && !r->stop;) {
            uint32_t first = end > size ? end - size : 0;
            r->trial_edit = r->edit;
            analysis_edit_remove(&r->trial_edit, first, end - first);
            if (try_edit(r))
                analysis_edit_load(&r->edit, &r->best);
            end = first < r->edit.count ? first : r->edit.count;
        }
    }
}

/* Two that only go together, such as a jump over one and its target. */
enum { PAIRS_MAX = 24 };
static void drop_pairs(struct reducer *r)
{
    analysis_edit_load(&r->edit, &r->best);
    if (r->edit.count > PAIRS_MAX)
        return;
    for (uint32_t j = r->edit.count; j-- > 1;) {
        for (uint32_t i = j; i-- > 0 && !r->stop;) {
            r->trial_edit = r->edit;
            analysis_edit_remove(&r->trial_edit, j, 1);
            analysis_edit_remove(&r->trial_edit, i, 1);
            if (!try_edit(r))
                continue;
            analysis_edit_load(&r->edit, &r->best);
            j = r->edit.count;
            break;
        }
    }
}

/* ---- operands ---- */

/* Try a change of item `index`; the item is that of a list that is loaded again. */
static bool try_item(struct reducer *r, uint32_t index, const struct edit_item *item)
{
    r->trial_edit = r->edit;
    r->trial_edit.item[index] = *item;
    r->trial_edit.item[index].changed = true;
    if (!try_edit(r))
        return false;
    analysis_edit_load(&r->edit, &r->best);
    return true;
}

static const int64_t plain_values[] = {0, 1, -1, 2, 0x80, INT32_MAX, INT32_MIN};

static void simplify_value(struct reducer *r, uint32_t index, bool second)
{
    for (size_t k = 0; k < countof(plain_values); k++) {
        struct edit_item item = r->edit.item[index];
        int64_t *value = second ? &item.insn.y : &item.insn.x;
        if (*value == plain_values[k])
            return;
        *value = plain_values[k];
        if (try_item(r, index, &item))
            return;
    }
}

static void simplify_insns(struct reducer *r)
{
    analysis_edit_load(&r->edit, &r->best);
    for (uint32_t i = 0; i < r->edit.count && !r->stop; i++) {
        if (!r->edit.item[i].insn.size)
            continue;
        struct edit_item item = r->edit.item[i];
        (void)try_item(r, i, &item); /* the shortest spelling */
        unsigned format = pvm_op_info[item.insn.op].format;
        if (format == PVM_FORMAT_NONE || format == PVM_FORMAT_T || i >= r->edit.count)
            continue;
        simplify_value(r, i, false);
        simplify_value(r, i, true);
    }
}

/* ---- the machine ---- */

static void simplify_number(struct reducer *r, uint64_t *of_next,
                            const uint64_t *of_best)
{
    static const uint64_t plain[] = {0,          1,          2,          0x80,
                                     0x7fffffff, 0x80000000, UINT32_MAX, UINT64_MAX};
    for (size_t k = 0; k < countof(plain) && *of_best != plain[k]; k++) {
        r->next = r->best;
        *of_next = plain[k];
        if (attempt(r))
            return;
    }
}

static void simplify_registers(struct reducer *r)
{
    r->next = r->best;
    memset(r->next.reg, 0, sizeof r->next.reg);
    if (attempt(r))
        return;
    for (unsigned k = 0; k < PVM_REG_COUNT; k++)
        simplify_number(r, &r->next.reg[k], &r->best.reg[k]);
}

static void simplify_gas(struct reducer *r)
{
    static const uint64_t plain[] = {100, 1000, 10000, 100000, 1000000};
    for (size_t k = 0; k < countof(plain) && r->best.gas != plain[k]; k++) {
        r->next = r->best;
        r->next.gas = plain[k];
        if (attempt(r))
            return;
    }
}

static void simplify_table(struct reducer *r)
{
    uint32_t count = 0;
    while (count < r->best.jump_count && !r->stop) {
        r->next = r->best;
        r->next.jump_count = count;
        memset(r->next.jump + (size_t)count * r->next.jump_width, 0,
               sizeof r->next.jump - (size_t)count * r->next.jump_width);
        if (attempt(r))
            return;
        count = count ? 2 * count : 1;
    }
    if (!r->best.jump_count) {
        r->next = r->best;
        r->next.jump_width = 0;
        (void)attempt(r);
    }
}

static void drop_regions(struct reducer *r)
{
    for (uint32_t i = r->best.region_count; i-- > 0;) {
        r->next = r->best;
        r->next.region_count--;
        memmove(r->next.region + i, r->next.region + i + 1,
                (r->next.region_count - i) * sizeof *r->next.region);
        memset(&r->next.region[r->next.region_count], 0, sizeof *r->next.region);
        (void)attempt(r);
    }
    for (uint32_t i = 0; i < r->best.region_count; i++) {
        r->next = r->best;
        r->next.region[i].data_from = r->next.region[i].data_size = 0;
        (void)attempt(r);
        r->next = r->best;
        r->next.region[i].page_count = 1;
        (void)attempt(r);
        for (uint32_t size = r->best.region[i].data_size / 2; size; size /= 2) {
            r->next = r->best;
            r->next.region[i].data_size = size;
            (void)attempt(r);
        }
    }
    r->next = r->best;
    memset(r->next.data, 0, sizeof r->next.data);
    (void)attempt(r);
}

/* Bytes that no region takes mean nothing. */
static void forget_data(struct analysis_case *c)
{
    size_t used = 0;
    for (uint32_t i = 0; i < c->region_count; i++) {
        size_t end = c->region[i].data_from + c->region[i].data_size;
        used = end > used ? end : used;
    }
    memset(c->data + used, 0, sizeof c->data - used);
}

/* ---- all of it ---- */

static void reduce(struct reducer *r)
{
    struct analysis_case before;
    do {
        before = r->best;
        drop_insns(r);
        drop_manners(r);
        drop_model(r);
        simplify_table(r);
        drop_regions(r);
        simplify_gas(r);
        drop_insns(r);
        simplify_registers(r);
        simplify_insns(r);
        drop_pairs(r);
    } while (!r->stop && memcmp(&before, &r->best, sizeof before) != 0);
}

enum err analysis_reduce(const struct analysis_reduce_setup *setup,
                         struct analysis_case *ret_case,
                         struct analysis_reduce_report *ret_report)
{
    struct arena arena;
    arena_init(&arena, (size_t)16 << 20);
    struct reducer *r = arena_new(&arena, struct reducer);
    if (!r)
        return ERR_nomem;
    *ret_report = (struct analysis_reduce_report){0};
    r->setup = setup;
    r->report = ret_report;
    r->best = *setup->start;
    if (setup->time_ns)
        r->end_ns = os_clock_monotonic_ns() + setup->time_ns;
    ret_report->insn_count[0] = analysis_case_insn_count(&r->best);
    enum err err = analysis_trial_run(setup->trial, &r->best, &ret_report->verdict);
    if (!err && ret_report->verdict.group != ANALYSIS_SAME)
        reduce(r);
    ret_report->insn_count[1] = analysis_case_insn_count(&r->best);
    ret_report->complete = !r->stop;
    forget_data(&r->best);
    *ret_case = r->best;
    err = err ? err : r->err;
    arena_fini(&arena);
    return err;
}
