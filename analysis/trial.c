/* SPDX-License-Identifier: MIT */
#include "analysis/trial.h"

#include "base/os.h"
#include "base/os_jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Shared with the process of a trial. */
struct analysis_trial_page {
    struct analysis_verdict verdict;
    uint32_t done;
};

const char *analysis_group_name(enum analysis_group group)
{
    static const char *const name[] = {
        [ANALYSIS_SAME] = "same", [ANALYSIS_VALUE] = "value",
        [ANALYSIS_FLOW] = "flow", [ANALYSIS_GAS] = "gas",
        [ANALYSIS_CALL] = "call", [ANALYSIS_CRASH] = "crash",
        [ANALYSIS_HANG] = "hang",
    };
    return name[group];
}

enum analysis_group analysis_group_of(const char *field)
{
    static const struct {
        const char *field;
        enum analysis_group group;
    } row[] = {
        {"exit", ANALYSIS_FLOW},        {"arg", ANALYSIS_FLOW},
        {"pc", ANALYSIS_FLOW},          {"icount", ANALYSIS_FLOW},
        {"gas", ANALYSIS_GAS},          {"charged", ANALYSIS_GAS},
        {"ledger", ANALYSIS_GAS},       {"deadline", ANALYSIS_GAS},
        {"page state", ANALYSIS_GAS},   {"ecall", ANALYSIS_CALL},
        {"ecall count", ANALYSIS_CALL},
    };
    if (!field)
        return ANALYSIS_SAME;
    for (size_t i = 0; i < countof(row); i++) {
        if (!strcmp(field, row[i].field))
            return row[i].group;
    }
    return ANALYSIS_VALUE;
}

void analysis_verdict_fill(struct analysis_verdict *verdict,
                           const struct analysis_pair_report *report)
{
    *verdict = (struct analysis_verdict){.group = analysis_group_of(report->field)};
    if (!report->field)
        return;
    char where[32] = "";
    if (report->where)
        (void)snprintf(where, sizeof where, " at 0x%" PRIx64, report->where);
    (void)snprintf(verdict->text, sizeof verdict->text,
                   "%s%s in run %" PRIu32 ": 0x%" PRIx64 ", 0x%" PRIx64, report->field,
                   where, report->run + 1, report->value[0], report->value[1]);
}

void analysis_pair_judge(void *pair, const struct analysis_case *c,
                         struct analysis_verdict *ret_verdict)
{
    struct analysis_pair_report report;
    /* Without memory for it a case shows nothing. */
    if (analysis_pair_run(pair, c, &report))
        report.field = NULL;
    analysis_verdict_fill(ret_verdict, &report);
}

enum err analysis_trial_open(struct analysis_trial *trial)
{
    void *page = NULL;
    TRY(os_shared_create(sizeof *trial->page, &page));
    trial->page = page;
    return ERR_ok;
}

void analysis_trial_close(struct analysis_trial *trial)
{
    if (trial->page)
        os_unmap(trial->page, sizeof *trial->page);
    trial->page = NULL;
}

struct work {
    struct analysis_trial *trial;
    const struct analysis_case *c;
};

static int judge(void *self)
{
    struct work *work = self;
    struct analysis_trial_page *page = work->trial->page;
    work->trial->judge(work->trial->self, work->c, &page->verdict);
    page->done = 1;
    return 0;
}

enum err analysis_trial_run(struct analysis_trial *trial, const struct analysis_case *c,
                            struct analysis_verdict *ret_verdict)
{
    struct work work = {trial, c};
    struct os_job job;
    struct analysis_verdict verdict = {.group = ANALYSIS_CRASH};
    trial->page->done = 0;
    TRY(os_job_start(&job, judge, &work, trial->quiet, -1));
    enum os_job_state state = os_job_wait(&job, trial->timeout_ns);
    int status = job.status;
    os_job_close(&job);
    if (state == OS_JOB_RUNS && os_interrupted())
        return ERR_interrupted;
    if (state == OS_JOB_RUNS) {
        verdict.group = ANALYSIS_HANG;
        (void)snprintf(verdict.text, sizeof verdict.text, "no end within %.1f s",
                       (double)trial->timeout_ns * 1e-9);
    } else if (state == OS_JOB_DIED) {
        (void)snprintf(verdict.text, sizeof verdict.text, "%s", os_signal_text(status));
    } else if (!trial->page->done) {
        (void)snprintf(verdict.text, sizeof verdict.text, "exit status %d", status);
    } else {
        verdict = trial->page->verdict;
    }
    *ret_verdict = verdict;
    return ERR_ok;
}
