/* SPDX-License-Identifier: MIT
 *
 * analysis/analysis.h - what a trace tells: the gas ledger, profiles, call stacks.
 *
 * Source of every rule: trace-replay.md ("[5.4]" names its section).  The library reads
 * traces; it never runs a guest.  Of the PVM it knows names, formats and the block
 * table, nothing of its engines.
 *
 * Determinism: an answer depends on the trace alone, order included.
 *
 * Limits: traces are hostile.  Memory comes from the caller's arena, whose size_max is
 * the limit; the number of charges has none, they are never held.
 *
 * Threads: an object belongs to one thread.
 */
#ifndef ANALYSIS_ANALYSIS_H
#define ANALYSIS_ANALYSIS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "pvm/pvm.h"
#include "trace/ledger.h"
#include "trace/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- programs of a trace ----------------------------------------------------------
 */

#define ANALYSIS_NO_ROW UINT32_MAX

enum { ANALYSIS_PROGRAMS_MAX = 4096 };

/* A pvm.program event, ready to be asked.  Lives in the walk's arena. */
struct analysis_program {
    uint64_t number; /* `prog` of the events */
    uint32_t index;  /* 0, 1, ... in order of appearance */
    struct pvm_config config;
    struct bytes raw;   /* the program as recorded */
    struct bytes table; /* its block table as recorded */
    struct pvm_code code;
    struct trace_pvm_ledger ledger;
    const uint32_t *row_at; /* row of the block at each pc up to the end of the code */
    const uint32_t *rank;   /* instructions before each 512th position */
};

/* Index of the row whose block contains pc, or ANALYSIS_NO_ROW. */
uint32_t analysis_program_row(const struct analysis_program *program, uint64_t pc);

/* Number of instruction starts below `pc`. */
uint32_t analysis_program_rank(const struct analysis_program *program, uint64_t pc);

/* Decode what the event holds, which the program borrows.  ERR_trace_ledger for a bad
 * block table, ERR_unsupported for an image, the errors of pvm_code_parse, nomem. */
ERR_MUST_CHECK enum err analysis_program_create(struct arena *arena,
                                                const struct trace_pvm_program *event,
                                                uint32_t index,
                                                struct analysis_program **ret_program);

/* Compute the block table from the code, for a run that starts at `start_pc`, and
 * compare: ERR_trace_ledger when it is another one, then *ret_offset is the first byte
 * that differs.  Uses `arena` for the predecoded program. */
ERR_MUST_CHECK enum err
analysis_program_check_table(const struct analysis_program *program, uint32_t start_pc,
                             struct arena *arena, size_t *ret_offset);

/* ---- the gas ledger [5] -------------------------------------------------------------
 */

enum {
    ANALYSIS_CHARGE_KINDS = 8, /* 5.1 */
    ANALYSIS_CHARGE_BLOCK = 0,
    ANALYSIS_CHARGE_PAGE_IN = 1,
    ANALYSIS_CHARGE_COW = 2,
    ANALYSIS_CHARGE_UNIT = 3,
    ANALYSIS_CHARGE_OPERATION = 4,
    ANALYSIS_CHARGE_FRAME = 5,
    ANALYSIS_CHARGE_SIZE = 6,
    ANALYSIS_CHARGE_CREDIT = 7, /* not part of the gas clock */
};

/* "block", "page-in", "copy-on-write", ...; "?" for a number that is no kind. */
const char *analysis_charge_name(uint64_t kind);

/* One charge, in whatever form it was recorded. */
struct analysis_charge {
    const struct analysis_program *program; /* NULL before the first one */
    uint64_t seq;                           /* the event that holds it */
    uint64_t n;                             /* its number in the trace, from 1 */
    uint64_t icount;                        /* instructions retired before it */
    uint64_t gas;                           /* clock, this charge included */
    uint64_t kind;
    uint64_t where; /* pc of the block, page number or operation */
    uint64_t cost;
    uint64_t pc; /* pc of the block, the touching or the calling instruction */
    bool inside; /* in the range that was asked for */
};

/* Where a run enters the engine.  `begin`: a new run, not the continuation of one. */
struct analysis_entry {
    const struct analysis_program *program;
    uint64_t frame;
    uint64_t pc;
    uint64_t icount;
    uint64_t before; /* icount where what came before ended: less, behind a gap */
    bool begin;
};

/* Who listens.  Members may be NULL; false stops the walk with ERR_interrupted. */
struct analysis_gas_visitor {
    void *self;
    bool (*enter)(void *self, const struct analysis_entry *entry);
    bool (*charge)(void *self, const struct analysis_charge *charge);
    /* A call that the host served, before its charges. */
    bool (*ecall)(void *self, uint64_t op, bool inside);
};

/* A place of the range: charges with clock >= it are behind it. */
enum analysis_clock {
    ANALYSIS_CLOCK_NONE, /* no limit */
    ANALYSIS_CLOCK_ICOUNT,
    ANALYSIS_CLOCK_GAS, /* the gas clock before the charge */
    ANALYSIS_CLOCK_SEQ, /* the event that holds the charge */
};
struct analysis_position {
    enum analysis_clock clock;
    uint64_t value;
};

struct analysis_gas_options {
    struct analysis_position from, to; /* from <= charge < to */
    bool list;        /* charges are wanted one by one: a summary is ERR_unsupported */
    bool all_charges; /* tell the visitor those outside the range, too */
    bool verify;      /* block tables, costs, clocks */
    struct analysis_gas_visitor visitor;
};

enum analysis_gas_form {
    ANALYSIS_GAS_LEDGER = 1 << 0,
    ANALYSIS_GAS_EACH = 1 << 1,
    ANALYSIS_GAS_SUMMARY = 1 << 2,
};

struct analysis_gas_totals {
    unsigned forms;     /* enum analysis_gas_form, or-ed: the records seen */
    const char *config; /* session.config's `gas`, in the arena; "" */
    uint64_t event_count;
    uint64_t insn_count; /* the clock at the last event */
    uint64_t gas;        /* charges of kinds 0..6 */
    uint64_t block_count;
    /* Runs from one boundary event to the next that charged anything, and their rolling
     * hashes [5.6] rolled into one: equal in all three forms, where no range is set. */
    uint64_t run_count;
    uint64_t hash;
    /* By kind; not known of what is a summary. */
    uint64_t count[ANALYSIS_CHARGE_KINDS];
    uint64_t cost[ANALYSIS_CHARGE_KINDS];
    uint64_t table_count; /* block tables checked */
};

/* Why a walk ended early.  `bit` counts the outcomes used, where a segment is wrong. */
struct analysis_gas_fault {
    uint64_t seq;
    uint64_t bit;
    const char *text; /* static; NULL when the error says it all */
};

/*
 * Read the trace to its end (or to `to`) and tell every charge.  ERR_trace_ledger: the
 * ledger contradicts itself or the program, *ret_fault says where; ERR_interrupted: the
 * visitor had enough; ERR_unsupported: see `list`, a program that is an image, or
 * single charges of a kernel, which do not name their program; else the reader's
 * errors, pvm_code_parse's, nomem.  *ret_totals is filled as far as the walk came,
 * *ret_fault on errors.
 */
ERR_MUST_CHECK enum err analysis_gas_walk(struct arena *arena,
                                          struct trace_reader *reader,
                                          const struct analysis_gas_options *options,
                                          struct analysis_gas_totals *ret_totals,
                                          struct analysis_gas_fault *ret_fault);

/* ---- names of functions -------------------------------------------------------------
 */

struct analysis_symbol {
    uint32_t pc;
    uint32_t size;
    struct bytes name;
};

/* Functions of one program in ascending order of pc. */
struct analysis_symbols {
    const struct analysis_symbol *symbol;
    size_t count;
};

/* Parse a map of `lockstep link --map`; names are copied.  ERR_usage when no line of it
 * is a function or one is malformed; then *ret_line is its number. */
ERR_MUST_CHECK enum err analysis_symbols_parse(struct arena *arena, struct bytes map,
                                               struct analysis_symbols *ret_symbols,
                                               uint32_t *ret_line);

/* The function that contains pc, or NULL. */
const struct analysis_symbol *analysis_symbol_at(const struct analysis_symbols *symbols,
                                                 uint64_t pc);

/* ---- profiles [5.7] -----------------------------------------------------------------
 */

/*
 * Sums of a walk by block, function, operation and page, and call stacks.
 *
 * Stacks are inferred: a block that ends with load_imm_jump (or load_imm_jump_ind) into
 * ra calls the block behind it; an indirect jump to a return address on the stack pops
 * to it.  With symbols, a jump to the start of another function replaces the frame (a
 * tail call).  A function is named by its symbol, or fn_0x1a2c after its entry.
 *
 * Bounds: stacks deeper than 1024 frames end in a frame "[deep]"; beyond 2^20 different
 * stacks, new ones count as their callers.
 */
struct analysis_profile;

enum analysis_profile_part {
    ANALYSIS_PROFILE_BLOCKS = 1 << 0,
    ANALYSIS_PROFILE_PAGES = 1 << 1,
    ANALYSIS_PROFILE_OPS = 1 << 2,
    ANALYSIS_PROFILE_STACKS = 1 << 3, /* functions are folded from stacks */
};

/* `symbols` (of the first program) are borrowed and may be NULL.  ERR_nomem. */
ERR_MUST_CHECK enum err analysis_profile_create(struct arena *arena, unsigned parts,
                                                const struct analysis_symbols *symbols,
                                                struct analysis_profile **ret_profile);

/* NULL is fine. */
void analysis_profile_close(struct analysis_profile *profile);

/* Give this to analysis_gas_walk, with `all_charges` for stacks. */
struct analysis_gas_visitor analysis_profile_visitor(struct analysis_profile *profile);

/* The walk is over, at this icount.  What a listener could not say: ERR_nomem. */
ERR_MUST_CHECK enum err analysis_profile_finish(struct analysis_profile *profile,
                                                uint64_t icount);

/* One line of a table, by falling gas, then by rising program and `where`. */
struct analysis_profile_row {
    const struct analysis_program *program; /* NULL: of no program */
    uint64_t where; /* pc, page number, operation, entry of the function */
    uint64_t count; /* charges; calls of an operation or function */
    uint64_t gas;
    uint64_t insn_count; /* retired; of blocks and functions */
    uint64_t gas_below;  /* functions: gas of the callees, too */
    uint64_t insn_below;
};
struct analysis_profile_rows {
    const struct analysis_profile_row *row;
    size_t count;
};

enum analysis_profile_by {
    ANALYSIS_BY_BLOCK,
    ANALYSIS_BY_FUNCTION,
    ANALYSIS_BY_OP,
    ANALYSIS_BY_PAGE,
};

/* The table, in `arena`; its part must have been asked for.  ERR_nomem. */
ERR_MUST_CHECK enum err analysis_profile_table(const struct analysis_profile *profile,
                                               enum analysis_profile_by by,
                                               struct arena *arena,
                                               struct analysis_profile_rows *ret_rows);

/* Append the name of the function that begins at, or contains, pc: "main",
 * "main+0x12" (where it is not the entry), "fn_0x1a2c". */
void analysis_profile_put_name(const struct analysis_profile *profile,
                               const struct analysis_program *program, uint64_t pc,
                               struct buf *buf);

enum analysis_weight {
    ANALYSIS_WEIGHT_GAS,
    ANALYSIS_WEIGHT_INSN,
    ANALYSIS_WEIGHT_CHARGES,
};

/* Stacks as "frame;frame;frame weight", in order of their first appearance; stacks of
 * weight 0 are left out.  `line` (without newline) is borrowed during the call; false
 * stops with ERR_interrupted. */
ERR_MUST_CHECK enum err
analysis_profile_collapsed(const struct analysis_profile *profile,
                           enum analysis_weight weight,
                           bool (*line)(void *self, struct bytes text), void *self);

/* What the bounds above cost: stacks that were not told apart, frames not kept. */
uint64_t analysis_profile_lost_count(const struct analysis_profile *profile);

#endif
