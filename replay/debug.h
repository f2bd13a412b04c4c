/* SPDX-License-Identifier: MIT
 *
 * replay/debug.h - what a debugger asks of a guest that is replayed.
 *
 * One table of functions per kind of guest.  The time line (replay/timeline.h), the
 * queries and the gdb stub know guests through this table only; a new guest is a new
 * table.  Specification: trace-replay.md 1, 8, 9.
 *
 * A guest has a state at each of its positions.  That state depends on the trace alone,
 * not on the way by which the position was reached.
 *
 * Threads: a guest belongs to one.
 */
#ifndef REPLAY_DEBUG_H
#define REPLAY_DEBUG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "pvm/pvm.h"
#include "replay/linux_modules.h"
#include "replay/linux_symbols.h"
#include "trace/checkpoint.h"

#include <stdbool.h>
#include <stdint.h>

/* A position: instructions retired, and what lies between two of them (1). */
struct replay_time {
    uint64_t icount;
    uint64_t sub;
};
#define REPLAY_TIME_NEVER ((struct replay_time){UINT64_MAX, UINT64_MAX})

static inline int replay_time_compare(struct replay_time a, struct replay_time b)
{
    if (a.icount != b.icount)
        return a.icount < b.icount ? -1 : 1;
    return a.sub < b.sub ? -1 : a.sub > b.sub;
}

enum replay_stop_kind {
    REPLAY_STOP_TIME,      /* where the run was to end */
    REPLAY_STOP_BREAK,     /* in front of an instruction with a breakpoint */
    REPLAY_STOP_WATCH,     /* in front of an instruction that meets a watchpoint */
    REPLAY_STOP_INTERRUPT, /* somewhere: it was asked to */
};

enum { REPLAY_WATCH_READ = 1, REPLAY_WATCH_WRITE = 2 };

struct replay_watch {
    uint64_t address, size;
    unsigned access; /* REPLAY_WATCH_… */
};

struct replay_stop {
    enum replay_stop_kind kind;
    struct replay_time time;
    uint64_t address; /* WATCH: of the watchpoint */
    unsigned access;  /* WATCH: that of the watchpoint */
};

/* A guest that runs asks `interrupted` whenever so many instructions have passed, or
 * sooner: what a slow host does in a few milliseconds. */
enum { REPLAY_INTERRUPT_EVERY = 1 << 18 };

/* How far to run, and what not to stop for. */
struct replay_until {
    struct replay_time time; /* the first position at or behind it */
    uint64_t gas;            /* or the first block entry with this gas clock */
    bool stops;              /* heed breakpoints and watchpoints */
    /* Of the first instruction, ignore these. */
    bool pass_break, pass_watch;
    bool (*interrupted)(void *self);
    void *interrupted_self;
};

/* The state of a guest, kept.  The guest's own business. */
struct replay_snapshot;

/* Pages of guest memory, ascending. */
struct replay_page_list {
    const uint32_t *page;
    size_t count;
};

struct replay_register {
    const char *name;
    uint8_t size; /* bytes */
};

/* A function that is under way. */
struct replay_frame {
    uint64_t pc; /* where it goes on, as a code address */
    uint64_t sp;
    uint64_t entry; /* where it begins, as its caller has it; 0: that is not known */
    uint32_t depth; /* of its instance (replay_stack_ops); else 0 */
};

struct replay_guest_ops {
    const char *name;
    const char *gdb; /* the program that knows its processor */
    /* Pages that save() lists are those of addresses, and it lists all. */
    bool lists_written;
    /* A watchpoint stops gdb in front of the access, going forwards, and behind it,
     * going backwards; else the other way round (9.3). */
    bool watch_before;
    bool has_sub; /* there are positions inside instructions */
    bool has_gas; /* else the gas clock stands at 0 */

    /* Registers in the order of the target description; the first `general_count` go
     * into one packet. */
    const struct replay_register *reg;
    unsigned reg_count, general_count, pc_reg, sp_reg;
    unsigned code_reg;       /* the same as pc_reg, as an address of memory_read() */
    const char *description; /* target.xml (9.1) */

    /* The bytes of register `index`, little-endian. */
    void (*register_get)(void *self, unsigned index, uint8_t *ret_bytes);
    /* Readable bytes from `address` on; answers how many there are. */
    size_t (*memory_read)(void *self, uint64_t address, uint8_t *ret_data, size_t size);
    struct replay_time (*time)(void *self);
    uint64_t (*gas)(void *self);
    /* Append the text of the instruction at `address`; answers its size, 0: none. */
    unsigned (*disassemble)(void *self, uint64_t address, struct buf *text);

    /* Code addresses begin here; a smaller one is meant as an offset. */
    uint64_t code_base;
    /* The program, for listings; NULL: this guest has none. */
    const struct pvm_program *(*program)(void *self);
    /* Guests that run several programs, number k of which has its code at
     * (k + 1) * code_base; else NULL.  False: there is no such program. */
    bool (*code)(void *self, uint32_t number, struct pvm_code *ret_code,
                 enum pvm_profile *ret_profile);

    /* Guests with a stack of instances, of which the last one runs; else all NULL. */
    struct replay_stack_ops {
        uint32_t (*depth)(void *self); /* of the one that is shown */
        /* Append lines about the stack, and about the one that is shown. */
        void (*put_frames)(void *self, struct buf *text);
        void (*put_instance)(void *self, struct buf *text);
        /* Stops are for some instances only, or for "any" (debug.md says how they are
         * named).  False: the text does not name any. */
        bool (*restrict_stops)(void *self, const char *text);
    } stack;
    /* The functions that are under way, the innermost first, through all instances;
     * answers how many, at most `max`, which is not 0.  NULL: the processor's frame
     * pointers tell. */
    size_t (*frames)(void *self, struct replay_frame *ret_frame, size_t max);
    /* The modules that the system in it has loaded; NULL: no system is known. */
    enum err (*modules)(void *self, struct arena *arena,
                        struct replay_module_list *ret_list);
    /* The symbols of its kernel, at this moment; NULL: no system is known. */
    enum err (*symbols)(void *self, struct arena *arena,
                        struct replay_symbol_list *ret_list);
    /* Where an event of the trace stands, when its icount alone does not tell (there
     * are positions inside instructions); NULL: {icount, 0}. */
    struct replay_time (*event_time)(void *self, uint64_t seq, uint64_t icount);

    /* Breakpoints and watchpoints that runs with `stops` heed; copied.  ERR_nomem. */
    enum err (*set_stops)(void *self, const uint64_t *break_address, size_t break_count,
                          const struct replay_watch *watch, size_t watch_count);
    /* Run forwards.  ERR_trace_diverged, ERR_trace_event, reader errors: the state is
     * that in front of what cannot be replayed. */
    enum err (*run)(void *self, const struct replay_until *until,
                    struct replay_stop *ret_stop);

    /* Keep the state and go back to it.  save() also lists the pages that were written
     * since the last save or load, valid until the next one.  ERR_nomem. */
    enum err (*save)(void *self, struct replay_snapshot **ret_snapshot,
                     struct replay_page_list *ret_written);
    void (*load)(void *self, const struct replay_snapshot *snapshot);
    void (*drop)(void *self, struct replay_snapshot *snapshot);
    /* Bytes that all snapshots hold. */
    uint64_t (*snapshot_memory)(void *self);

    /* Load checkpoint `index` of the trace (2.9) as a snapshot, where the guest then
     * stands.  NULL: there are none.  ERR_trace_event: it makes no sense or has another
     * hash than it says; reader errors, ERR_nomem.  After an error the guest stands
     * nowhere until load(). */
    enum err (*stored)(void *self, size_t index, struct replay_snapshot **ret_snapshot,
                       struct replay_time *ret_time);

    /* Digest of the whole machine (7.2).  ERR_nomem. */
    enum err (*hash)(void *self, uint8_t ret_hash[32]);
};

struct replay_guest {
    const struct replay_guest_ops *ops;
    void *self;
    struct replay_time start, end; /* the positions that can be visited */
    struct trace_checkpoint_list stored;
    /* Of a guest with ops->symbols: they are there after so many instructions, or
     * never; 0: never. */
    uint64_t symbols_after;
};

#endif
