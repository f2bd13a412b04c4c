/* SPDX-License-Identifier: MIT
 *
 * pvm/engine.h - predecoded programs and the state of a run.  Private to pvm/.
 *
 * A program is an array of 32-byte records in order of code.  Every straight run of
 * code (what follows a terminator, a position that is no instruction, or nothing) is
 * preceded by a header record that carries its cost; a jump goes to the header, pays,
 * and continues behind it.  A position that flow can reach but that is no instruction
 * has a trap record.  So an engine never looks at the code bytes or the bitmask.
 */
#ifndef PVM_ENGINE_H
#define PVM_ENGINE_H

#include "pvm/mem.h"
#include "pvm/pvm.h"

struct pvm_engine;
struct record;

/* A handler of the threaded loop.  Everything hot is in six registers: the record, the
 * engine (guest registers first), guest memory with its rights below, the gas on show,
 * the accumulator of the gas log (path bits, or the rolling hash), and the value that
 * the last EFFECT or LOAD_ before `ip` produced. */
typedef void threaded_fn(const struct record *ip, struct pvm_engine *e, uint8_t *mem,
                         uint64_t gas, uint64_t acc, uint64_t last);

/* Header records carry RECORD_HEADER as op, an opcode that no profile assigns. */
enum { RECORD_HEADER = 255 };

struct record {
    union {
        threaded_fn *threaded;
        uint64_t tick; /* header: TICK_BLOCK + instructions, a final trap included */
    };
    union {
        uint64_t x;
        struct { /* header */
            uint32_t need;
            uint32_t summary_term; /* t of trace-replay.md 5.6 for this charge */
        };
    };
    union {
        uint64_t y;
        const struct record *target; /* header of a static target; NULL: not valid */
        uint64_t need_reserve;       /* header: need plus reserve, or NEED_ASK */
    };
    uint8_t a, b, d; /* byte offsets into state.reg */
    uint8_t op;
    uint32_t pc;
};

/* What a block entry counts, in one addition: blocks above, instructions below.  Shown
 * gas is bounded so that pvm_enter_block() moves the sums on before either overflows.
 */
#define TICK_BLOCK ((uint64_t)1 << 40)
#define TICK_INSNS (TICK_BLOCK - 1)
#define GAS_SHOWN_MAX ((uint64_t)1 << 23)

/* need_reserve of a block too long or too dear for that: no gas on show is enough, and
 * pvm_enter_block() works its cost out. */
#define NEED_ASK UINT64_MAX
enum { FAST_VISITS_MAX = 1 << 14 };

struct pvm_program {
    const struct pvm_code *code;
    struct pvm_config config;
    enum pvm_gas_log log;
    struct native_unit *unit;    /* native code: then there are no records */
    struct pvm_sandbox *sandbox; /* where that runs; NULL: in this process */
    struct recomp_entry *shared; /* whose unit and `start` it is; NULL: our own */
    struct record *record;       /* record[0] is a header */
    uint32_t record_count;
    uint32_t *header; /* indices of the header records, ascending */
    uint32_t header_count;
    uint64_t *start; /* bit set of block starts, |c| + 1 bits */
    uint32_t start_count;
    uint32_t mark_count;        /* positions that may be instructions */
    const struct record **jump; /* by table index; NULL: panics */
    uint64_t *break_at;         /* a debugger's bit set of pcs; NULL: none yet */
};

enum {
    SEGMENT_BITS_MAX = 65536,
    SEGMENT_TARGETS_MAX = 4096,
    SEGMENT_EXTRA_MAX = 2048,
};

/* The open segment, appended to by every engine (trace-replay.md 5.5). */
struct segment {
    uint32_t pc, start;
    uint64_t n;
    uint64_t gas_begin;     /* remaining gas when it began */
    uint64_t extra_ordinal; /* n at the last extra entry */
    uint32_t bits_size;     /* whole 64-bit groups in `bits`, in bytes */
    uint32_t target_count;
    uint32_t packed_count; /* of these, the first; the others are in `target` */
    uint32_t leb_size;
    uint32_t extra_count;
    bool full; /* split at the next block entry */
    uint8_t bits[SEGMENT_BITS_MAX / 8 + 8];
    uint32_t target[SEGMENT_TARGETS_MAX];
    struct pvm_extra extra[SEGMENT_EXTRA_MAX];
    uint8_t leb[SEGMENT_TARGETS_MAX * 5];
};

struct pvm_engine {
    struct pvm_state state;   /* the running one; first, for the handlers' sake */
    struct pvm_state *caller; /* whom it belongs to: complete while the host looks */
    const struct pvm_program *program;
    const struct pvm_observer *observer;
    const struct record *const *jump; /* of the program, at hand for table jumps */
    uint32_t jump_count;
    enum pvm_dispatch dispatch;
    /* Gas: what the guest has is shown + hidden.  Handlers test and debit what is
     * shown; it runs out early at a deadline or a split, and block_pay() sorts that
     * out. */
    uint64_t gas_shown, gas_hidden;
    uint64_t ticks; /* block entries that state.icount and segment.n do not know yet */
    uint64_t acc;
    bool armed;        /* a deadline is set */
    uint64_t gas_stop; /* its gas value */
    /* How the run ended.  exit_ip is NULL at an unpaid block entry (pc is set). */
    struct pvm_outcome outcome;
    const struct record *exit_ip;
    bool exit_retired;
    /* An instruction that has no record in its program (there is none at a position
     * that is not ok, and recompiled programs have none at all), the header that it
     * flows on to, and that of its static or table target. */
    struct record step[3];
    uint64_t step_left; /* visits of its block from step[0] on, itself included */
    /* Native code: where it goes on behind the call that ended the run, if it was one,
     * and the `charged` that it left; 0: it was none. */
    uint32_t site_next;
    bool call_charged;
    struct segment segment;
};

/* Copy guest registers one by one: a wide load of what has just been stored in narrow
 * pieces would wait until the stores have reached the cache, at each call of a host. */
static inline void regs_copy(uint64_t *to, const uint64_t *from)
{
#pragma GCC unroll 13
    for (unsigned r = 0; r < PVM_REG_COUNT; r++) {
        uint64_t value = from[r];
        __asm__("" : "+r"(value)); /* or the compiler makes it wide again */
        to[r] = value;
    }
}

static inline void state_copy(struct pvm_state *to, const struct pvm_state *from)
{
    regs_copy(to->reg, from->reg);
    to->gas = from->gas;
    to->icount = from->icount;
    to->pc = from->pc;
    to->charged = from->charged;
    to->mem = from->mem;
}

/* The accumulator of an empty group of path bits: the sentinel of 5.5, which marks how
 * many outcomes are below it. */
#define ACC_EMPTY ((uint64_t)1)

static inline uint32_t pending_outcomes(uint64_t acc)
{
    return 63u - (uint32_t)__builtin_clzll(acc);
}

/* ---- shared slow paths (run.c, interp.c, segment.c) ----
 * Those that answer a record: the one to go on with, or NULL after pvm_engine_exit().
 * Gas and accumulator are in the engine, pc and gas of the state are not current. */

/* End the run at `ip`; answers NULL. */
const struct record *pvm_engine_exit(struct pvm_engine *e, const struct record *ip,
                                     enum pvm_exit exit, uint64_t arg, bool retired);

/* Arrive at header `h`, uncharged: split, deadline, gas check, charge, log. */
const struct record *pvm_enter_block(struct pvm_engine *e, const struct record *h);

/* What entering a straight run costs and counts. */
struct block_entry {
    uint32_t block;       /* the pc that is charged */
    uint64_t visit_count; /* instructions that now follow, a final trap included */
    uint64_t need, need_reserve;
};

/* The same for an entry at `pc` that is described; false after pvm_engine_exit(). */
bool pvm_pay_block(struct pvm_engine *e, const struct block_entry *entry, uint32_t pc);

/* The cost of the block at `block`, entered where `visit_count` visits follow. */
struct block_entry pvm_block_entry(const struct pvm_program *program, uint32_t block,
                                   uint64_t visit_count);

/* Report a charge that has been debited, to a summary or an observer of each. */
void pvm_log_charge(struct pvm_engine *e, enum pvm_charge_kind kind, uint32_t where,
                    uint64_t cost);

/* Instructions of the current straight run that have not retired before `ip`. */
uint64_t pvm_unretired(const struct pvm_engine *e, const struct record *ip);

/* Set up e->step for the instruction at `pc`, a trap where there is none. */
void pvm_step_decode(struct pvm_engine *e, uint32_t pc, uint64_t left);

/* Bring state.icount and segment.n up to date. */
static inline void ticks_fold(struct pvm_engine *e)
{
    e->state.icount += e->ticks & TICK_INSNS;
    e->segment.n += e->ticks / TICK_BLOCK;
    e->ticks = 0;
}

/* Show the engine's handlers as much of `gas` as they may use unasked. */
void pvm_gas_show(struct pvm_engine *e, uint64_t gas);

static inline uint64_t gas_true(const struct pvm_engine *e)
{
    return e->gas_shown + e->gas_hidden;
}

/* Make the next block entry take the slow path. */
static inline void gas_hide(struct pvm_engine *e)
{
    e->gas_hidden += e->gas_shown;
    e->gas_shown = 0;
}

void pvm_segment_begin(struct pvm_engine *e, uint32_t pc, bool charged, uint64_t gas);

/* Close the open segment and report it; e->state must be complete. */
void pvm_segment_finish(struct pvm_engine *e, enum pvm_segment_end end,
                        uint32_t end_pc);

/* Append an outcome of a conditional branch, a table index. */
void pvm_segment_bit(struct pvm_engine *e, bool taken);
void pvm_segment_target(struct pvm_engine *e, uint32_t index);

/* Append table indices that native code has pushed, a word each, downwards from `high`
 * to `low`; the caller knows that there is room. */
void pvm_segment_pushed(struct segment *seg, const uint64_t *low, const uint64_t *high);

/* Store the 64 outcomes in e->acc, whose sentinel has just been shifted out. */
void pvm_segment_flush(struct pvm_engine *e);

/* Store 64 outcomes. */
void pvm_segment_put_bits(struct pvm_engine *e, uint64_t bits);

/* The rolling hash of a summary (trace-replay.md 5.6): a charge's term, and a step. */
static inline uint32_t summary_term(uint32_t kind, uint32_t where, uint64_t cost)
{
    uint64_t sum = where + cost * 0x9e3779b1u + kind * (uint64_t)0x85ebca6bu;
    return (uint32_t)(sum & 0x7fffffff);
}

#define SUMMARY_FACTOR 0x517cc1b727220a95u

static inline uint64_t summary_step(uint64_t hash, uint32_t term)
{
    return ((hash << 5 | hash >> 59) ^ term) * SUMMARY_FACTOR;
}

/* Visits of walk(pc). */
uint64_t pvm_visits_from(const struct pvm_program *program, uint32_t pc);

/* Begin at the state's pc without records: pay for its block where that is due, and
 * decode into e->step; false after pvm_engine_exit(). */
bool pvm_step_resume(struct pvm_engine *e);

/* ---- dispatch ---- */

/* A call of pvm_run() for a recompiled program: what the thread's native code worked on
 * before, and now.  Calls may be nested, from a host's handler. */
struct native_session {
    const struct native_unit *outer_unit;
    struct pvm_mem *outer_mem;
    void *outer_gs;
    struct pvm_mem *mem;
    const struct pvm_host *host; /* to ask without leaving: nobody observes */
    struct pvm_outcome outcome;
};

enum native_result {
    NATIVE_EXIT,  /* as an interpreted run ends */
    NATIVE_ENDED, /* by the host: session->outcome; the caller's state is complete */
    NATIVE_MOVED, /* the host has changed where the caller's state goes on */
};
void pvm_native_begin(struct native_session *session, const struct pvm_host *host);
void pvm_native_end(const struct native_session *session);

/* Run from the state's pc until an exit. */
enum native_result pvm_native_run(struct pvm_engine *e, struct native_session *session);

/* The loop's handlers by opcode: the definition of the machine.  Answers as above; a
 * header means "arrived there, not paid". */
typedef const struct record *loop_fn(const struct record *ip, struct pvm_engine *e);
extern loop_fn *const pvm_loop_handler[256];

/* Choose the threaded loop's handlers of a program's records; does nothing if that loop
 * is not built or the gas log does without it. */
void pvm_threaded_set_handlers(struct pvm_program *program);

/* The same for one record and the one before, which must not run it unasked, after a
 * breakpoint was set or cleared there. */
void pvm_threaded_set_break(struct pvm_program *program, struct record *ip);

/* Run from `ip`, which has a threaded handler, until an exit. */
void pvm_threaded_run(const struct record *ip, struct pvm_engine *e);

/* A program with its block starts, and neither records nor native code yet. */
ERR_MUST_CHECK enum err pvm_program_begin(struct arena *arena,
                                          const struct pvm_code *code,
                                          const struct pvm_config *config,
                                          enum pvm_gas_log log,
                                          struct pvm_program **ret_program);

/* The header of the straight run of code that `ip` belongs to. */
const struct record *pvm_program_header_of(const struct pvm_program *program,
                                           const struct record *ip);

/* Does a debugger want to stop in front of this record? */
static inline bool pvm_program_breaks(const struct pvm_program *program,
                                      const struct record *ip)
{
    return ip->op != RECORD_HEADER && pvm_code_marked(program->code, ip->pc) &&
           (program->break_at[ip->pc / 64] >> ip->pc % 64 & 1);
}

/* The record for a run at `pc`; NULL where pc is not ok. */
const struct record *pvm_program_record_at(const struct pvm_program *program,
                                           uint32_t pc);

#endif
