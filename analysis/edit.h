/* SPDX-License-Identifier: MIT
 *
 * analysis/edit.h - a case's program as a list that can be changed.  Private to
 * analysis/: what mutates and what reduces programs share it.
 *
 * An item is an instruction with its bytes, or one byte that is none.  Targets of jumps
 * and entries of the table that lead to an item follow it; all else keeps its value.
 */
#ifndef ANALYSIS_EDIT_H
#define ANALYSIS_EDIT_H

#include "analysis/case.h"

enum { EDIT_NOWHERE = -1 };

struct edit_item {
    struct pvm_insn insn; /* size 0: a byte that is no instruction */
    uint8_t bytes[PVM_INSN_SIZE_MAX];
    uint8_t size;
    bool marked;
    bool changed;   /* `insn` counts; else `bytes` */
    int32_t target; /* the item that a static target leads to, count: the end; or
                       EDIT_NOWHERE */
};

struct edit {
    struct edit_item item[ANALYSIS_CASE_CODE_MAX];
    uint32_t count;
    int32_t jump[ANALYSIS_CASE_JUMP_MAX]; /* as target */
    uint64_t jump_value[ANALYSIS_CASE_JUMP_MAX];
    uint32_t jump_count;
    int32_t start; /* where the case's pc is */
};

/* Take the program of a case apart. */
void analysis_edit_load(struct edit *edit, const struct analysis_case *c);

/* Lay it out again into the case, whose other parts stay.  False, and the case is
 * undefined: it does not fit. */
bool analysis_edit_store(const struct edit *edit, struct analysis_case *c);

/* Remove some items; what led to them leads behind them. */
void analysis_edit_remove(struct edit *edit, uint32_t first, uint32_t count);

/* Put `count` fresh items in front of item `at`; false: there is no room. */
bool analysis_edit_insert(struct edit *edit, uint32_t at, uint32_t count);

#endif
