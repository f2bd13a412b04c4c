/* SPDX-License-Identifier: MIT
 *
 * tests/unit/analysis/recorder.h - a small recorder: assembly text is run and recorded
 * into memory, in any form of the gas log.
 *
 * Its host: call 0 ends the run, call 5 costs 7 gas (a charge of kind 4), others do
 * nothing.  Memory: two writable pages at 0x20000.
 */
#ifndef TESTS_UNIT_ANALYSIS_RECORDER_H
#define TESTS_UNIT_ANALYSIS_RECORDER_H

#include "pvm/pvm.h"
#include "trace/trace.h"

enum { RECORDER_OP_COST = 7, RECORDER_OP_COSTS = 5, RECORDER_OP_REPLY = 0 };

struct recorder_options {
    struct pvm_config config;
    enum pvm_gas_log log;
    uint64_t gas;
    uint32_t pc;
    /* Change what is recorded, before it is written; may be NULL. */
    void (*edit_segment)(struct trace_pvm_segment *segment, struct trace_clock *clock);
    void (*edit_program)(struct trace_pvm_program *program);
    /* Leave out the events between two calls of the host with number 8, as a cut does:
     * the second one is followed by a checkpoint. */
    bool gap;
};

struct recording {
    struct trace_memory memory;
    struct bytes bytes;
    struct trace_source source; /* of the finished trace */
    uint64_t insn_count;
    uint64_t gas;
    enum pvm_exit exit;
    struct arena arena;
    struct pvm_code code;
};

/* Copy on write, JAVM: block costs are pipelined, the first store to a page costs. */
struct recorder_options recorder_options(enum pvm_gas_log log);

void record(struct recording *ret_recording, const char *text,
            const struct recorder_options *options);
void recording_fini(struct recording *recording);

/* Recursive Fibonacci of 6, with stores, host calls and a call through a pointer. */
extern const char *const recorder_fib;

#endif
