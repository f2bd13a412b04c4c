/* SPDX-License-Identifier: MIT
 *
 * analysis/internal.h - what the files of analysis/ share.
 */
#ifndef ANALYSIS_INTERNAL_H
#define ANALYSIS_INTERNAL_H

#include "analysis/analysis.h"

/* ---- call stacks (stack.c) ---- */

enum {
    STACK_DEPTH_MAX = 1024,   /* frames told apart */
    STACK_RETURN_MAX = 65536, /* return addresses kept */
    STACK_NODE_MAX = 1 << 20,
};

/* A function: where it begins in which program. */
struct stack_function {
    const struct analysis_program *program; /* NULL: "[deep]" */
    uint32_t pc;
    uint64_t call_count;
};

/* A stack: a function below the stack of its caller. */
struct stack_node {
    uint32_t parent; /* STACK_NONE: a root */
    uint32_t function;
    uint32_t depth;
    uint64_t count; /* charges while it was on top */
    uint64_t gas;
    uint64_t insn_count;
};

#define STACK_NONE UINT32_MAX

struct stack;
ERR_MUST_CHECK enum err analysis_stack_create(struct arena *arena,
                                              const struct analysis_symbols *symbols,
                                              struct stack **ret_stack);
void analysis_stack_close(struct stack *stack);

/* Follow the run; false when memory is out. */
bool analysis_stack_enter(struct stack *stack, const struct analysis_entry *entry);
bool analysis_stack_block(struct stack *stack, const struct analysis_program *program,
                          uint32_t row);

/* The node on top; never NULL after analysis_stack_enter() or analysis_stack_block().
 */
struct stack_node *analysis_stack_top(struct stack *stack);

size_t analysis_stack_node_count(const struct stack *stack);
const struct stack_node *analysis_stack_node_at(const struct stack *stack,
                                                size_t index);
size_t analysis_stack_function_count(const struct stack *stack);
const struct stack_function *analysis_stack_function_at(const struct stack *stack,
                                                        size_t index);
uint64_t analysis_stack_lost_count(const struct stack *stack);

/* ---- tables (table.c) ---- */

/* Order rows as analysis.h says. */
void analysis_rows_sort(struct analysis_profile_row *row, size_t count);

#endif
