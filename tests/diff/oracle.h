/* SPDX-License-Identifier: MIT
 *
 * tests/diff/oracle.h - a second machine, plain and slow, written from pvm-exec.md
 * alone.
 *
 * It shares no code and no table with pvm/: it decodes each instruction each time,
 * looks for block starts by the definition, and prices a block at each entry.  Engines
 * are compared with it, so a rule that pvm/ got wrong everywhere still shows.
 */
#ifndef TESTS_DIFF_ORACLE_H
#define TESTS_DIFF_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

/* Wide enough that no operation of the machine overflows. */
__extension__ typedef __int128 oracle_wide;
__extension__ typedef unsigned __int128 oracle_wide_u;

enum { ORACLE_PAGE_MAX = 32 };

/* Exit codes of pvm-exec.md 8. */
enum oracle_exit {
    ORACLE_RUNS = -1,
    ORACLE_HALT = 0,
    ORACLE_PANIC = 1,
    ORACLE_OUT_OF_GAS = 2,
    ORACLE_PAGE_FAULT = 3,
    ORACLE_HOST_CALL = 4,
    ORACLE_ECALL = 6,
    ORACLE_TRAP = 7,
};

struct oracle_page {
    uint32_t number;
    bool writable;
    bool written;
    uint8_t byte[4096];
};

/* A machine; the caller fills in all but `exit` and `arg`. */
struct oracle {
    /* the program, borrowed; one mask bit per code byte, packed */
    const uint8_t *code;
    const uint8_t *mask;
    const uint8_t *jump;
    uint64_t size;
    uint64_t jump_count;
    unsigned jump_width;
    /* the configuration */
    bool javm;
    bool single_pass;
    bool page_gas;
    uint64_t mem_cycles;
    /* the state */
    uint64_t reg[13];
    uint64_t gas;
    uint64_t icount;
    uint64_t pc;
    bool charged;
    struct oracle_page page[ORACLE_PAGE_MAX];
    unsigned page_count;
    /* how the last run ended */
    enum oracle_exit exit;
    uint64_t arg;
    /* Told of each charge: kind 0 a block (where: its start), kind 2 a page (where: its
     * number).  May be NULL. */
    void (*charge)(void *self, unsigned kind, uint64_t where, uint64_t cost);
    void *self;
};

/* Run until an exit; ecalls are exits.  [1.3] */
void oracle_run(struct oracle *o);

/* The page with this number, or NULL where nothing is mapped. */
struct oracle_page *oracle_page_find(struct oracle *o, uint32_t number);

/* ---- private to tests/diff/oracle*.c ---- */

struct oracle_insn {
    unsigned op, skip;
    unsigned a, b, d; /* register fields of the format, named as in [2] */
    uint64_t x, y;
    int64_t target;
};

uint64_t oracle_byte(const struct oracle *o, uint64_t at);
uint64_t oracle_skip(const struct oracle *o, uint64_t at);
bool oracle_marked(const struct oracle *o, int64_t at);
bool oracle_ok(const struct oracle *o, uint64_t at);
bool oracle_terminates(const struct oracle *o, unsigned op);
bool oracle_start(const struct oracle *o, uint64_t at);
uint64_t oracle_block_of(const struct oracle *o, uint64_t pc);
struct oracle_insn oracle_decode(const struct oracle *o, uint64_t pc);

/* need and reserve of the block that begins at `at` [7]. */
void oracle_price(const struct oracle *o, uint64_t at, uint64_t *ret_need,
                  uint64_t *ret_reserve);

/* The value of the operation that ThreeReg opcode `op` names, of p and q [3]. */
uint64_t oracle_compute(unsigned op, uint64_t p, uint64_t q);

#endif
