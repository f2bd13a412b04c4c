/* SPDX-License-Identifier: MIT
 *
 * analysis/check.h - two engines in lockstep on one program (pvm-exec.md 10.1).
 *
 * Both run at full speed from one gas deadline to the next; there everything that an
 * engine shows is compared.  After a difference both go back to the last equal place,
 * and bisection over gas finds the block, bisection over programs that trap earlier
 * and earlier in that block the instruction.
 *
 * The host is asked once; the second engine gets the first one's answers.
 *
 * Threads: a check belongs to one; checks are independent of each other.
 */
#ifndef ANALYSIS_CHECK_H
#define ANALYSIS_CHECK_H

#include "base/arena.h"
#include "base/err.h"
#include "pvm/pvm.h"

#include <stdbool.h>
#include <stdint.h>

/* What the host does to a guest that called it. */
struct analysis_check_answer {
    enum pvm_answer answer;
    struct pvm_outcome outcome; /* PVM_ANSWER_EXIT */
    bool has_reg;               /* `reg` becomes `value` */
    uint32_t reg;
    uint64_t value;
    uint32_t address; /* where `bytes` go; borrowed until the next call */
    struct bytes bytes;
};

struct analysis_check_engine {
    const char *name;
    void *self;
    /* Make a program; it is closed with pvm_program_close(). */
    enum err (*make)(void *self, struct arena *arena, const struct pvm_code *code,
                     const struct pvm_config *config, enum pvm_gas_log log,
                     struct pvm_program **ret_program);
    /* As pvm_run(); NULL: that one. */
    struct pvm_outcome (*run)(void *self, struct pvm_engine *engine,
                              const struct pvm_program *program,
                              struct pvm_state *state, const struct pvm_host *host,
                              const struct pvm_observer *observer);
};

struct analysis_check_setup {
    struct analysis_check_engine engine[2]; /* [0] asks the host */
    const struct pvm_code *code;
    struct pvm_config config;
    struct pvm_state start; /* `mem` is not looked at */
    uint64_t interval;      /* gas between comparisons, > 0 */
    void *self;             /* of the functions below */
    /* Build the address space at the start; what it borrows lives in `arena`. */
    enum err (*map)(void *self, struct arena *arena, struct pvm_mem *mem);
    /* Answer a call; the state may not be changed.  NULL: calls end the run. */
    void (*ecall)(void *self, const struct pvm_state *state, uint64_t number,
                  struct analysis_check_answer *ret_answer);
    bool (*interrupted)(void); /* NULL: never */
};

enum { ANALYSIS_CHECK_LISTING_MAX = 5 };

struct analysis_check_report {
    bool same;
    struct pvm_outcome outcome; /* of engine 0 */
    struct pvm_state state;     /* of engine 0 at the end; `mem` is NULL */
    uint64_t ecall_count;
    /* The difference, where it was first seen. */
    const char *field; /* "a0", "gas", "memory", "page state", "ledger", "ecall", … */
    uint64_t where;    /* address of a byte or page; else 0 */
    uint64_t value[2]; /* by engine */
    /* Where it comes from. */
    bool found; /* else it did not come again when both were run once more */
    uint32_t block;
    uint32_t pc;
    uint64_t icount;                /* before the instruction */
    uint64_t reg[2][PVM_REG_COUNT]; /* behind it */
};

/* Run both engines to their end.  ERR_interrupted, ERR_nomem, what `make` and `map`
 * answer; a difference is no error. */
ERR_MUST_CHECK enum err analysis_check(const struct analysis_check_setup *setup,
                                       struct analysis_check_report *ret_report);

#endif
