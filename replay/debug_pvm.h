/* SPDX-License-Identifier: MIT
 *
 * replay/debug_pvm.h - a PVM program under the debugger.  Private to replay/.
 */
#ifndef REPLAY_DEBUG_PVM_H
#define REPLAY_DEBUG_PVM_H

#include "replay/debug.h"
#include "replay/pages.h"
#include "replay/session.h"
#include "replay/timeline.h"

/* Code as the debugger sees it (trace-replay.md 9.1): program 0. */
#define DEBUG_PVM_CODE_BASE ((uint64_t)1 << 32)

enum { DEBUG_PVM_BREAK_MAX = 1 << 16, DEBUG_PVM_WATCH_MAX = 4096 };

struct debug_pvm {
    struct arena arena; /* of setup, session and reader */
    struct arena event; /* of the recorded call that is being served */
    const struct trace_source *source;
    struct replay_setup setup;
    struct replay_session *session; /* without a trace: the engine and the machine */
    struct pvm_program *program;    /* of the session */
    struct trace_reader *reader;    /* the recorded calls */
    uint64_t reader_icount;         /* all calls before it have been read */
    struct trace_checkpoint_list stored;
    struct replay_time end;

    /* How to stop at an icount, when an engine stops at gas: see debug_pvm_run.c. */
    uint64_t insns_per_gas_16;
    uint64_t insns_max;

    /* Stops, and whether the machine heeds them now. */
    uint32_t *break_pc; /* ascending */
    size_t break_count;
    struct pvm_watch *watch;
    size_t watch_count;
    bool armed;

    /* The run that is under way. */
    const struct replay_until *until;
    bool testing; /* watchpoints apply to a call */
    enum { CALL_NONE, CALL_WATCHED, CALL_FAILED, CALL_ENDED } call;
    enum err err;
    struct replay_stop stop;

    /* Memory as of the last save or load, and what was written since. */
    struct pages_image live;
    uint32_t *written;
    size_t written_count, written_capacity;
    uint64_t memory;
};

/* What every guest of PVM programs shows (trace-replay.md 9.1): its registers, with the
 * place of its code, and memory. */
enum {
    DEBUG_PVM_REG_COUNT = 18,
    DEBUG_PVM_REG_SP = 2,
    DEBUG_PVM_REG_PC = 16,
    DEBUG_PVM_REG_GAS = 17,
};
extern const struct replay_register replay_debug_pvm_reg[DEBUG_PVM_REG_COUNT];
extern const char replay_debug_pvm_description[];
void replay_debug_pvm_register(const struct pvm_state *state, uint64_t code_base,
                               unsigned index, uint8_t *ret_bytes);
/* `mem` may be NULL; answers how many bytes there are. */
size_t replay_debug_pvm_read(const struct pvm_mem *mem, uint64_t address, uint8_t *data,
                             size_t size);

/* A watchpoint in guest memory; false: there is none, as in code, which cannot be
 * written. */
bool replay_debug_pvm_watch(const struct replay_watch *from, struct pvm_watch *to);

/* The watchpoint that the instruction at the state's pc meets; there is one. */
void replay_debug_pvm_watch_met(const struct pvm_program *program,
                                const struct pvm_state *state,
                                struct replay_stop *ret_stop);

/* The gas clock of a state. */
static inline uint64_t debug_pvm_clock(const struct debug_pvm *g)
{
    return g->setup.gas - g->session->state.gas;
}

/* The state at a block entry is the one before its charge, however it was reached. */
void replay_debug_pvm_settle(struct debug_pvm *g);

/* Work out how instructions relate to gas in this program. */
ERR_MUST_CHECK enum err replay_debug_pvm_measure(struct debug_pvm *g);

/* As replay_debug_open() and _close(), for a trace of guest pvm. */
ERR_MUST_CHECK enum err replay_debug_pvm_open(const struct trace_source *source,
                                              struct replay_debug *debug,
                                              char *message);
void replay_debug_pvm_close(void *self);

/* Members of the table (debug_pvm_run.c). */
enum err replay_debug_pvm_run(void *self, const struct replay_until *until,
                              struct replay_stop *ret_stop);
enum err replay_debug_pvm_set_stops(void *self, const uint64_t *break_address,
                                    size_t break_count,
                                    const struct replay_watch *watch,
                                    size_t watch_count);

#endif
