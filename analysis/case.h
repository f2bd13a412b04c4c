/* SPDX-License-Identifier: MIT
 *
 * analysis/case.h - one program with all that a run of it depends on, to be run on two
 * engines: what the fuzzer makes, the reducer shrinks and corpus/regress/ keeps.
 *
 * A case has no pointers, so it may be copied and lie in memory that processes share.
 * Its text form (docs/fuzz-pvm.md) is lines of words, then the program as the assembler
 * reads it; it comes from outside and is checked.
 */
#ifndef ANALYSIS_CASE_H
#define ANALYSIS_CASE_H

#include "base/buf.h"
#include "base/err.h"
#include "pvm/pvm.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ANALYSIS_CASE_CODE_MAX = 4096,
    ANALYSIS_CASE_JUMP_MAX = 64,
    ANALYSIS_CASE_REGION_MAX = 4,
    ANALYSIS_CASE_PAGES_MAX = 16, /* of a region */
    ANALYSIS_CASE_RUNS_MAX = 6,
    ANALYSIS_CASE_TEXT_MAX = 1 << 20,
    ANALYSIS_CASE_DATA_SIZE = PVM_PAGE_SIZE,
};

struct analysis_case_region {
    uint32_t start;
    uint32_t page_count;
    enum pvm_access access;
    /* Its first bytes: a part of the case's data, on its first page. */
    uint32_t data_from, data_size;
};

/* How engines run it.  None of this may make a difference. */
struct analysis_way {
    enum pvm_gas_log log;
    enum pvm_dispatch dispatch; /* of the interpreter */
    bool explicit_checks;       /* the rest is the recompiler's */
    uint64_t interp_only[4];
};

struct analysis_case {
    uint8_t code[ANALYSIS_CASE_CODE_MAX];
    uint8_t bitmask[ANALYSIS_CASE_CODE_MAX / 8];
    uint8_t jump[ANALYSIS_CASE_JUMP_MAX * 8];
    uint32_t code_size, jump_count, jump_width;
    struct pvm_config config;
    struct analysis_case_region region[ANALYSIS_CASE_REGION_MAX];
    uint32_t region_count;
    uint8_t data[ANALYSIS_CASE_DATA_SIZE];
    uint64_t reg[PVM_REG_COUNT];
    uint64_t gas;
    uint32_t pc;
    uint32_t run_count; /* the first run, and resumes of it: 1..RUNS_MAX */
    uint32_t deadline;  /* gas between two stops by the observer; 0: none */
    bool answers;       /* a host answers calls; else they are exits */
    struct analysis_way way;
};

/* The program, which points into the case. */
struct pvm_code analysis_case_code(const struct analysis_case *c);

/* A region as pvm_mem_map() wants it, its bytes in the case. */
struct pvm_region analysis_case_region(const struct analysis_case *c, uint32_t index);

/* A fresh address space with the case's regions, whatever was mapped before. */
void analysis_case_map(const struct analysis_case *c, struct pvm_mem *mem);

/* Instructions and other lines of its listing: how large a reduced case is. */
uint32_t analysis_case_insn_count(const struct analysis_case *c);

/* Append the text form.  Its errors stick to `buf`. */
void analysis_case_put(const struct analysis_case *c, struct buf *buf);

/* What is wrong with a text, and where. */
struct analysis_case_error {
    uint32_t line; /* from 1 */
    char message[160];
};

/* Read the text form of a case from hostile bytes.  ERR_case with *ret_error filled,
 * ERR_nomem. */
ERR_MUST_CHECK enum err analysis_case_parse(struct bytes text,
                                            struct analysis_case *ret_case,
                                            struct analysis_case_error *ret_error);

#endif
