/* SPDX-License-Identifier: MIT
 *
 * Call stacks from the sequence of blocks (trace-replay.md 5.7).
 *
 * A stack is a node of a tree: a function below its caller's stack.  Beside the tree
 * goes the list of return addresses that have been pushed and not yet popped, each with
 * the node to come back to.  Both are bounded; beyond a bound calls are counted, so
 * that returns still match.
 */
#include "analysis/internal.h"
#include "trace/ledger.h"

#include <string.h>

enum { FRAMES_MAX = 1024, FUNCTIONS_SIZE_MAX = 1 << 26, RA = 0 };

enum row_flag {
    ROW_CALL = 1 << 0,   /* ends with a call; `back` is where it returns to */
    ROW_JUMP = 1 << 1,   /* ends with an indirect jump that is no call */
    ROW_BACK = 1 << 2,   /* some call returns here */
    ROW_SYMBOL = 1 << 3, /* a function of the map begins here */
};

struct row_info {
    uint32_t back; /* row */
    uint32_t function;
    uint8_t flags;
};

struct program_info {
    const struct analysis_program *program;
    struct row_info *row;
};

struct pushed {
    uint32_t node; /* of the caller */
    uint32_t row;  /* where it goes on */
    const struct row_info *info;
};

struct stack {
    struct arena *arena;
    const struct analysis_symbols *symbols;
    struct program_info *program; /* by index; ANALYSIS_PROGRAMS_MAX of them */
    struct buf nodes;             /* struct stack_node */
    struct buf functions;         /* struct stack_function */
    uint32_t *hash;               /* node + 1 by (parent, function); 0: free */
    uint32_t hash_mask;
    struct pushed *pushed;
    uint32_t pushed_count;
    uint64_t overflow; /* calls beyond pushed[] */
    uint32_t deep;     /* function "[deep]" */
    uint32_t top;
    uint64_t lost_count;

    const struct row_info *info; /* of the program that runs */
    const struct row_info *last; /* the block before, or NULL */
    uint64_t frame;
    struct {
        uint32_t pushed_count; /* of the frames below */
        uint32_t caller;
    } base[FRAMES_MAX];
};

/* ---- growing tables ---- */

static struct stack_node *node_of(const struct stack *stack, uint32_t index)
{
    return (struct stack_node *)(void *)stack->nodes.data + index;
}

static struct stack_function *function_of(const struct stack *stack, uint32_t index)
{
    return (struct stack_function *)(void *)stack->functions.data + index;
}

size_t analysis_stack_node_count(const struct stack *stack)
{
    return stack->nodes.size / sizeof(struct stack_node);
}

const struct stack_node *analysis_stack_node_at(const struct stack *stack, size_t index)
{
    return node_of(stack, (uint32_t)index);
}

size_t analysis_stack_function_count(const struct stack *stack)
{
    return stack->functions.size / sizeof(struct stack_function);
}

const struct stack_function *analysis_stack_function_at(const struct stack *stack,
                                                        size_t index)
{
    return function_of(stack, (uint32_t)index);
}

uint64_t analysis_stack_lost_count(const struct stack *stack)
{
    return stack->lost_count;
}

struct stack_node *analysis_stack_top(struct stack *stack)
{
    return node_of(stack, stack->top);
}

static uint32_t add_function(struct stack *stack,
                             const struct analysis_program *program, uint32_t pc)
{
    size_t index = analysis_stack_function_count(stack);
    struct stack_function function = {.program = program, .pc = pc};
    buf_put(&stack->functions, &function, sizeof function);
    return stack->functions.err ? STACK_NONE : (uint32_t)index;
}

/* ---- the tree ---- */

static uint32_t hash_slot(uint32_t parent, uint32_t function, uint32_t mask)
{
    uint64_t key = (uint64_t)parent << 32 | function;
    return (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 32) & mask;
}

static void hash_insert(struct stack *stack, uint32_t index)
{
    const struct stack_node *node = node_of(stack, index);
    uint32_t slot = hash_slot(node->parent, node->function, stack->hash_mask);
    while (stack->hash[slot])
        slot = (slot + 1) & stack->hash_mask;
    stack->hash[slot] = index + 1;
}

static bool hash_grow(struct stack *stack, uint32_t size)
{
    uint32_t *hash = arena_new_array(stack->arena, uint32_t, size);
    if (!hash)
        return false;
    stack->hash = hash;
    stack->hash_mask = size - 1;
    for (uint32_t i = 0; i < analysis_stack_node_count(stack); i++)
        hash_insert(stack, i);
    return true;
}

static uint32_t add_node(struct stack *stack, uint32_t parent, uint32_t function)
{
    uint32_t index = (uint32_t)analysis_stack_node_count(stack);
    struct stack_node node = {
        .parent = parent,
        .function = function,
        .depth = parent == STACK_NONE ? 0 : node_of(stack, parent)->depth + 1,
    };
    buf_put(&stack->nodes, &node, sizeof node);
    if (stack->nodes.err)
        return STACK_NONE;
    /* At most half full. */
    if (index * 2 >= stack->hash_mask) {
        if (!hash_grow(stack, (stack->hash_mask + 1) * 2))
            return STACK_NONE;
    } else {
        hash_insert(stack, index);
    }
    return index;
}

/* The node of `function` below `parent`; STACK_NONE when memory is out. */
static uint32_t child_of(struct stack *stack, uint32_t parent, uint32_t function)
{
    if (parent != STACK_NONE) {
        const struct stack_node *node = node_of(stack, parent);
        if (node->function == stack->deep)
            return parent;
        if (node->depth + 1 == STACK_DEPTH_MAX)
            function = stack->deep;
    }
    uint32_t slot = hash_slot(parent, function, stack->hash_mask);
    for (; stack->hash[slot]; slot = (slot + 1) & stack->hash_mask) {
        const struct stack_node *node = node_of(stack, stack->hash[slot] - 1);
        if (node->parent == parent && node->function == function)
            return stack->hash[slot] - 1;
    }
    if (analysis_stack_node_count(stack) >= STACK_NODE_MAX && parent != STACK_NONE) {
        stack->lost_count++;
        return parent;
    }
    return add_node(stack, parent, function);
}

/* ---- what each block ends with ---- */

/* The row at which a call's return address lands, or ANALYSIS_NO_ROW. */
static uint32_t return_row(const struct analysis_program *program, int64_t address)
{
    uint64_t value = (uint64_t)address & UINT32_MAX; /* djump: pvm-exec.md 4.2 */
    if (!value || value % 2 || value / 2 > program->code.jump_count)
        return ANALYSIS_NO_ROW;
    uint64_t pc = pvm_code_jump(&program->code, (uint32_t)(value / 2 - 1));
    uint32_t row = analysis_program_row(program, pc);
    if (row == ANALYSIS_NO_ROW || program->ledger.blocks.block[row].pc != pc)
        return ANALYSIS_NO_ROW;
    return row;
}

/* Look at the last instruction of a block. */
static void look_at_end(const struct analysis_program *program,
                        const struct pvm_insn *i, uint32_t row, struct row_info *info)
{
    if (i->op == PVM_OP_jump_ind)
        info[row].flags |= ROW_JUMP;
    if (i->op != PVM_OP_load_imm_jump && i->op != PVM_OP_load_imm_jump_ind)
        return;
    uint32_t back = i->a == RA ? return_row(program, i->x) : ANALYSIS_NO_ROW;
    if (back != ANALYSIS_NO_ROW) {
        info[row].flags |= ROW_CALL;
        info[row].back = back;
        info[back].flags |= ROW_BACK;
    } else if (i->op == PVM_OP_load_imm_jump_ind) {
        info[row].flags |= ROW_JUMP;
    }
}

static void look_at_blocks(const struct analysis_program *program,
                           struct row_info *info)
{
    const struct trace_blocks *blocks = &program->ledger.blocks;
    for (uint32_t row = 0; row < blocks->count; row++) {
        uint32_t pc = blocks->block[row].pc, end = blocks->block[row].next;
        struct pvm_insn insn;
        bool decoded = false;
        while (pc < end &&
               pvm_insn_decode(&program->code, program->config.profile, pc, &insn)) {
            decoded = true;
            pc += insn.size;
            if (pvm_op_terminates(program->config.profile, insn.op))
                break;
        }
        if (decoded)
            look_at_end(program, &insn, row, info);
    }
}

static void mark_symbols(const struct stack *stack,
                         const struct analysis_program *program, struct row_info *info)
{
    if (!stack->symbols || program->index != 0)
        return;
    for (size_t i = 0; i < stack->symbols->count; i++) {
        uint32_t pc = stack->symbols->symbol[i].pc;
        uint32_t row = analysis_program_row(program, pc);
        if (row != ANALYSIS_NO_ROW && program->ledger.blocks.block[row].pc == pc)
            info[row].flags |= ROW_SYMBOL;
    }
}

static const struct row_info *info_of(struct stack *stack,
                                      const struct analysis_program *program)
{
    struct program_info *p = &stack->program[program->index];
    if (p->program == program)
        return p->row;
    size_t count = program->ledger.blocks.count;
    struct row_info *info = arena_new_array(stack->arena, struct row_info, count + 1);
    if (!info)
        return NULL;
    for (size_t i = 0; i < count; i++)
        info[i].function = STACK_NONE;
    look_at_blocks(program, info);
    mark_symbols(stack, program, info);
    p->program = program;
    p->row = info;
    return info;
}

/* The function that begins with this row. */
static uint32_t function_at(struct stack *stack, const struct analysis_program *program,
                            const struct row_info *info, uint32_t row)
{
    struct row_info *writable = &stack->program[program->index].row[row];
    if (info[row].function == STACK_NONE)
        writable->function =
            add_function(stack, program, program->ledger.blocks.block[row].pc);
    return info[row].function;
}

/* ---- following the run ---- */

static void push(struct stack *stack, uint32_t back)
{
    if (stack->pushed_count == STACK_RETURN_MAX) {
        stack->overflow++;
        stack->lost_count++;
        return;
    }
    stack->pushed[stack->pushed_count++] =
        (struct pushed){.node = stack->top, .row = back, .info = stack->info};
}

/* An indirect jump arrived at a place where calls return to. */
static void pop(struct stack *stack, uint32_t row)
{
    if (stack->overflow) {
        stack->overflow--;
        return;
    }
    uint32_t bottom = stack->base[stack->frame].pushed_count;
    for (uint32_t i = stack->pushed_count; i > bottom; i--) {
        if (stack->pushed[i - 1].row == row &&
            stack->pushed[i - 1].info == stack->info) {
            stack->top = stack->pushed[i - 1].node;
            stack->pushed_count = i - 1;
            return;
        }
    }
}

static bool go_to(struct stack *stack, uint32_t parent, uint32_t function)
{
    if (function == STACK_NONE)
        return false;
    uint32_t node = child_of(stack, parent, function);
    if (node == STACK_NONE)
        return false;
    function_of(stack, function)->call_count++;
    stack->top = node;
    return true;
}

bool analysis_stack_block(struct stack *stack, const struct analysis_program *program,
                          uint32_t row)
{
    const struct row_info *info = stack->info, *last = stack->last;
    stack->last = &info[row];
    if (!last)
        return true;
    if (last->flags & ROW_CALL) {
        push(stack, last->back);
        return go_to(stack, stack->top, function_at(stack, program, info, row));
    }
    if ((last->flags & ROW_JUMP) && (info[row].flags & ROW_BACK)) {
        pop(stack, row);
        return true;
    }
    if (info[row].flags & ROW_SYMBOL) {
        uint32_t function = function_at(stack, program, info, row);
        const struct stack_node *top = analysis_stack_top(stack);
        if (top->function != function && top->function != stack->deep)
            return go_to(stack, top->parent, function);
    }
    return true;
}

/* A run begins: forget the stack of this frame. */
static bool enter_new(struct stack *stack, const struct analysis_entry *entry,
                      uint32_t caller)
{
    uint64_t from = entry->frame > stack->frame ? stack->frame + 1 : entry->frame;
    for (uint64_t frame = from; frame <= entry->frame; frame++) {
        stack->base[frame].pushed_count = stack->pushed_count;
        stack->base[frame].caller = caller;
    }
    stack->frame = entry->frame;
    stack->overflow = 0;
    stack->last = NULL;
    uint32_t row = analysis_program_row(entry->program, entry->pc);
    uint32_t function = row == ANALYSIS_NO_ROW
                            ? add_function(stack, entry->program, (uint32_t)entry->pc)
                            : function_at(stack, entry->program, stack->info, row);
    return go_to(stack, caller, function);
}

bool analysis_stack_enter(struct stack *stack, const struct analysis_entry *entry)
{
    struct analysis_entry e = *entry;
    bool known = stack->info != NULL;
    const struct row_info *info = info_of(stack, entry->program);
    if (!info)
        return false;
    if (e.frame >= FRAMES_MAX)
        e.frame = FRAMES_MAX - 1;
    if (entry->begin || !known) {
        stack->info = info;
        stack->pushed_count = 0;
        return enter_new(stack, &e, STACK_NONE);
    }
    if (e.frame > stack->frame) { /* a call of another instance */
        stack->info = info;
        push(stack, ANALYSIS_NO_ROW);
        return enter_new(stack, &e, stack->top);
    }
    if (e.frame < stack->frame) {
        stack->top = stack->base[e.frame + 1].caller;
        stack->pushed_count = stack->base[e.frame + 1].pushed_count;
        stack->frame = e.frame;
        stack->last = NULL;
        stack->overflow = 0;
    } else if (info != stack->info) { /* the program was replaced */
        stack->info = info;
        stack->pushed_count = stack->base[e.frame].pushed_count;
        return enter_new(stack, &e, stack->base[e.frame].caller);
    }
    stack->info = info;
    return true;
}

enum err analysis_stack_create(struct arena *arena,
                               const struct analysis_symbols *symbols,
                               struct stack **ret_stack)
{
    struct stack *stack = arena_new(arena, struct stack);
    if (!stack)
        return ERR_nomem;
    stack->arena = arena;
    stack->symbols = symbols;
    buf_init(&stack->nodes, (size_t)STACK_NODE_MAX * 2 * sizeof(struct stack_node));
    buf_init(&stack->functions, FUNCTIONS_SIZE_MAX);
    stack->pushed = arena_new_array(arena, struct pushed, STACK_RETURN_MAX);
    stack->program = arena_new_array(arena, struct program_info, ANALYSIS_PROGRAMS_MAX);
    if (!stack->pushed || !stack->program || !hash_grow(stack, 1024))
        return ERR_nomem;
    stack->deep = add_function(stack, NULL, 0);
    if (stack->deep == STACK_NONE)
        return ERR_nomem;
    *ret_stack = stack;
    return ERR_ok;
}

void analysis_stack_close(struct stack *stack)
{
    if (!stack)
        return;
    buf_fini(&stack->nodes);
    buf_fini(&stack->functions);
}
