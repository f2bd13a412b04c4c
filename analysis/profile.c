/* SPDX-License-Identifier: MIT
 *
 * Sums over a walk (trace-replay.md 5.7): what each block, page and operation cost, and
 * what each stack did.
 *
 * Instructions have no charge of their own: those between one block charge and the next
 * belong to the block charged first, and to the stack that was on top.
 */
#include "analysis/internal.h"

#include <string.h>

enum { OPS_MAX = 4096 };

struct block_sum {
    uint64_t count;
    uint64_t gas;
    uint64_t insn_count;
};

struct page_sum {
    uint64_t count;
    uint64_t gas;
};

struct op_sum {
    uint64_t op;
    uint64_t count; /* calls */
    uint64_t gas;
};

struct analysis_profile {
    struct arena *arena;
    unsigned parts;
    const struct analysis_symbols *symbols;
    struct stack *stack;
    const struct analysis_program **program; /* by index */
    struct block_sum **block;                /* by index of the program */
    uint32_t program_count;
    struct page_sum *page; /* PVM_PAGE_COUNT of them */
    struct op_sum *op;
    uint32_t op_count;
    uint64_t lost_count;
    bool out_of_memory;

    const struct analysis_program *current;
    struct block_sum *sum;  /* of the current program */
    struct block_sum *last; /* block in progress */
    bool entered;
    bool last_inside;
    uint64_t last_icount;
};

/* ---- listening ---- */

static bool fail(struct analysis_profile *p)
{
    p->out_of_memory = true;
    return false;
}

static bool use_program(struct analysis_profile *p,
                        const struct analysis_program *program)
{
    uint32_t index = program->index;
    if (!p->block[index]) {
        p->block[index] =
            arena_new_array(p->arena, struct block_sum, program->ledger.blocks.count);
        if (!p->block[index])
            return fail(p);
        p->program[index] = program;
        if (index >= p->program_count)
            p->program_count = index + 1;
    }
    p->current = program;
    p->sum = p->block[index];
    return true;
}

/* Instructions up to here belong to the block in progress. */
static void settle(struct analysis_profile *p, uint64_t icount)
{
    if (p->last_inside && icount > p->last_icount) {
        uint64_t count = icount - p->last_icount;
        if (p->last)
            p->last->insn_count += count;
        if (p->stack && p->entered)
            analysis_stack_top(p->stack)->insn_count += count;
    }
    p->last_icount = icount;
}

static bool on_enter(void *self, const struct analysis_entry *entry)
{
    struct analysis_profile *p = self;
    settle(p, entry->before);
    p->last_icount = entry->icount;
    if (entry->begin)
        p->last = NULL;
    if (entry->program != p->current && !use_program(p, entry->program))
        return false;
    if (p->stack && !analysis_stack_enter(p->stack, entry))
        return fail(p);
    p->entered = true;
    return true;
}

/* A slice of a trace may begin in the middle of a run. */
static bool enter_middle(struct analysis_profile *p, const struct analysis_charge *c)
{
    struct analysis_entry entry = {.program = c->program,
                                   .pc = c->pc,
                                   .icount = c->icount,
                                   .before = c->icount,
                                   .begin = true};
    return on_enter(p, &entry);
}

static bool on_block(struct analysis_profile *p, const struct analysis_charge *c)
{
    uint32_t row = analysis_program_row(c->program, c->where);
    if (row == ANALYSIS_NO_ROW)
        return true;
    settle(p, c->icount);
    if (p->stack && !analysis_stack_block(p->stack, c->program, row))
        return fail(p);
    p->last = &p->sum[row];
    p->last_inside = c->inside;
    if (c->inside) {
        p->last->count++;
        p->last->gas += c->cost;
    }
    return true;
}

static struct op_sum *op_of(struct analysis_profile *p, uint64_t op)
{
    for (uint32_t i = 0; i < p->op_count; i++) {
        if (p->op[i].op == op)
            return &p->op[i];
    }
    if (p->op_count == OPS_MAX) {
        p->lost_count++;
        return &p->op[OPS_MAX - 1];
    }
    p->op[p->op_count].op = op;
    return &p->op[p->op_count++];
}

static void on_other(struct analysis_profile *p, const struct analysis_charge *c)
{
    bool page = c->kind == ANALYSIS_CHARGE_PAGE_IN || c->kind == ANALYSIS_CHARGE_COW ||
                c->kind == ANALYSIS_CHARGE_UNIT;
    if (page && p->page) {
        struct page_sum *sum = &p->page[c->where % PVM_PAGE_COUNT];
        sum->count++;
        sum->gas += c->cost;
    } else if (!page && p->op && c->kind != ANALYSIS_CHARGE_CREDIT) {
        op_of(p, c->where)->gas += c->cost;
    }
}

static bool on_charge(void *self, const struct analysis_charge *c)
{
    struct analysis_profile *p = self;
    if (!c->program)
        return true;
    if ((!p->entered || c->program != p->current) && !enter_middle(p, c))
        return false;
    if (c->kind == ANALYSIS_CHARGE_BLOCK) {
        if (!on_block(p, c))
            return false;
    } else if (c->inside) {
        on_other(p, c);
    }
    if (p->stack && c->inside && c->kind != ANALYSIS_CHARGE_CREDIT) {
        struct stack_node *top = analysis_stack_top(p->stack);
        top->count++;
        top->gas += c->cost;
    }
    return true;
}

static bool on_ecall(void *self, uint64_t op, bool inside)
{
    struct analysis_profile *p = self;
    if (p->op && inside)
        op_of(p, op)->count++;
    return true;
}

struct analysis_gas_visitor analysis_profile_visitor(struct analysis_profile *profile)
{
    return (struct analysis_gas_visitor){
        .self = profile, .enter = on_enter, .charge = on_charge, .ecall = on_ecall};
}

/* ---- life ---- */

enum err analysis_profile_create(struct arena *arena, unsigned parts,
                                 const struct analysis_symbols *symbols,
                                 struct analysis_profile **ret_profile)
{
    struct analysis_profile *p = arena_new(arena, struct analysis_profile);
    if (!p)
        return ERR_nomem;
    p->arena = arena;
    p->parts = parts;
    p->symbols = symbols;
    p->program =
        arena_new_array(arena, const struct analysis_program *, ANALYSIS_PROGRAMS_MAX);
    p->block = arena_new_array(arena, struct block_sum *, ANALYSIS_PROGRAMS_MAX);
    if (!p->program || !p->block)
        return ERR_nomem;
    if (parts & ANALYSIS_PROFILE_PAGES &&
        !(p->page = arena_new_array(arena, struct page_sum, PVM_PAGE_COUNT)))
        return ERR_nomem;
    if (parts & ANALYSIS_PROFILE_OPS &&
        !(p->op = arena_new_array(arena, struct op_sum, OPS_MAX)))
        return ERR_nomem;
    if (parts & ANALYSIS_PROFILE_STACKS)
        TRY(analysis_stack_create(arena, symbols, &p->stack));
    *ret_profile = p;
    return ERR_ok;
}

void analysis_profile_close(struct analysis_profile *profile)
{
    if (profile)
        analysis_stack_close(profile->stack);
}

enum err analysis_profile_finish(struct analysis_profile *profile, uint64_t icount)
{
    if (profile->out_of_memory)
        return ERR_nomem;
    if (profile->entered)
        settle(profile, icount);
    return ERR_ok;
}

uint64_t analysis_profile_lost_count(const struct analysis_profile *profile)
{
    return profile->lost_count +
           (profile->stack ? analysis_stack_lost_count(profile->stack) : 0);
}

/* ---- tables ---- */

static size_t fill_blocks(const struct analysis_profile *p,
                          struct analysis_profile_row *row)
{
    size_t count = 0;
    for (uint32_t i = 0; i < p->program_count; i++) {
        const struct analysis_program *program = p->program[i];
        for (size_t b = 0; program && b < program->ledger.blocks.count; b++) {
            const struct block_sum *sum = &p->block[i][b];
            if (!sum->count)
                continue;
            if (row)
                row[count] = (struct analysis_profile_row){
                    .program = program,
                    .where = program->ledger.blocks.block[b].pc,
                    .count = sum->count,
                    .gas = sum->gas,
                    .insn_count = sum->insn_count};
            count++;
        }
    }
    return count;
}

static size_t fill_pages(const struct analysis_profile *p,
                         struct analysis_profile_row *row)
{
    size_t count = 0;
    for (uint32_t i = 0; i < PVM_PAGE_COUNT; i++) {
        if (!p->page[i].count)
            continue;
        if (row)
            row[count] = (struct analysis_profile_row){
                .where = i, .count = p->page[i].count, .gas = p->page[i].gas};
        count++;
    }
    return count;
}

static size_t fill_ops(const struct analysis_profile *p,
                       struct analysis_profile_row *row)
{
    for (uint32_t i = 0; row && i < p->op_count; i++)
        row[i] = (struct analysis_profile_row){
            .where = p->op[i].op, .count = p->op[i].count, .gas = p->op[i].gas};
    return p->op_count;
}

static size_t fill_functions(const struct analysis_profile *p,
                             struct analysis_profile_row *row)
{
    size_t count = analysis_stack_function_count(p->stack);
    for (size_t i = 0; row && i < count; i++) {
        const struct stack_function *function = analysis_stack_function_at(p->stack, i);
        row[i] = (struct analysis_profile_row){.program = function->program,
                                               .where = function->pc,
                                               .count = function->call_count};
    }
    return count;
}

/* Does the function of `node` stand above it, too?  Then recursion: count once. */
static bool recursive(const struct stack *stack, const struct stack_node *node)
{
    for (uint32_t up = node->parent; up != STACK_NONE;) {
        const struct stack_node *above = analysis_stack_node_at(stack, up);
        if (above->function == node->function)
            return true;
        up = above->parent;
    }
    return false;
}

/* Own sums of functions, and those of everything below them. */
static enum err fold_stacks(const struct analysis_profile *p, struct arena *arena,
                            struct analysis_profile_row *row)
{
    struct sum {
        uint64_t gas, insn_count;
    };
    size_t count = analysis_stack_node_count(p->stack);
    struct sum *below = arena_new_array(arena, struct sum, count);
    if (!below)
        return ERR_nomem;
    /* Parents come before their children. */
    for (size_t i = count; i-- > 0;) {
        const struct stack_node *node = analysis_stack_node_at(p->stack, i);
        struct analysis_profile_row *r = &row[node->function];
        below[i].gas += node->gas;
        below[i].insn_count += node->insn_count;
        r->gas += node->gas;
        r->insn_count += node->insn_count;
        if (!recursive(p->stack, node)) {
            r->gas_below += below[i].gas;
            r->insn_below += below[i].insn_count;
        }
        if (node->parent != STACK_NONE) {
            below[node->parent].gas += below[i].gas;
            below[node->parent].insn_count += below[i].insn_count;
        }
    }
    return ERR_ok;
}

/* "[deep]" is often empty. */
static size_t drop_empty(struct analysis_profile_row *row, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (row[i].count || row[i].gas || row[i].insn_count)
            row[kept++] = row[i];
    }
    return kept;
}

enum err analysis_profile_table(const struct analysis_profile *profile,
                                enum analysis_profile_by by, struct arena *arena,
                                struct analysis_profile_rows *ret_rows)
{
    typedef size_t fill_fn(const struct analysis_profile *,
                           struct analysis_profile_row *);
    static fill_fn *const fill[] = {
        [ANALYSIS_BY_BLOCK] = fill_blocks,
        [ANALYSIS_BY_FUNCTION] = fill_functions,
        [ANALYSIS_BY_OP] = fill_ops,
        [ANALYSIS_BY_PAGE] = fill_pages,
    };
    size_t count = fill[by](profile, NULL);
    struct analysis_profile_row *row =
        arena_new_array(arena, struct analysis_profile_row, count);
    if (!row)
        return ERR_nomem;
    (void)fill[by](profile, row);
    if (by == ANALYSIS_BY_FUNCTION) {
        TRY(fold_stacks(profile, arena, row));
        count = drop_empty(row, count);
    }
    analysis_rows_sort(row, count);
    *ret_rows = (struct analysis_profile_rows){.row = row, .count = count};
    return ERR_ok;
}

/* ---- names and stacks as text ---- */

void analysis_profile_put_name(const struct analysis_profile *profile,
                               const struct analysis_program *program, uint64_t pc,
                               struct buf *buf)
{
    if (!program) {
        buf_text(buf, "[deep]");
        return;
    }
    const struct analysis_symbol *symbol =
        profile->symbols && program->index == 0
            ? analysis_symbol_at(profile->symbols, pc)
            : NULL;
    if (program->index != 0)
        buf_printf(buf, "p%llu:", (unsigned long long)program->number);
    if (!symbol) {
        buf_printf(buf, "fn_0x%llx", (unsigned long long)pc);
        return;
    }
    buf_put(buf, symbol->name.data, symbol->name.size);
    if (symbol->pc != pc)
        buf_printf(buf, "+0x%llx", (unsigned long long)(pc - symbol->pc));
}

static void put_stack(const struct analysis_profile *p, uint32_t index, struct buf *buf)
{
    uint32_t path[STACK_DEPTH_MAX + 1];
    size_t depth = 0;
    for (uint32_t i = index; i != STACK_NONE;
         i = analysis_stack_node_at(p->stack, i)->parent) {
        check(depth < countof(path));
        path[depth++] = i;
    }
    while (depth-- > 0) {
        const struct stack_node *node = analysis_stack_node_at(p->stack, path[depth]);
        const struct stack_function *f =
            analysis_stack_function_at(p->stack, node->function);
        analysis_profile_put_name(p, f->program, f->pc, buf);
        if (depth)
            buf_byte(buf, ';');
    }
}

static uint64_t weight_of(const struct stack_node *node, enum analysis_weight weight)
{
    switch (weight) {
    case ANALYSIS_WEIGHT_GAS:
        return node->gas;
    case ANALYSIS_WEIGHT_INSN:
        return node->insn_count;
    case ANALYSIS_WEIGHT_CHARGES:
        break;
    }
    return node->count;
}

enum err analysis_profile_collapsed(const struct analysis_profile *profile,
                                    enum analysis_weight weight,
                                    bool (*line)(void *self, struct bytes text),
                                    void *self)
{
    struct buf buf;
    buf_init(&buf, (size_t)1 << 24);
    enum err err = ERR_ok;
    for (uint32_t i = 0; !err && i < analysis_stack_node_count(profile->stack); i++) {
        uint64_t value = weight_of(analysis_stack_node_at(profile->stack, i), weight);
        if (!value)
            continue;
        buf_clear(&buf);
        put_stack(profile, i, &buf);
        buf_printf(&buf, " %llu", (unsigned long long)value);
        err = buf.err;
        if (!err && !line(self, buf_bytes(&buf)))
            err = ERR_interrupted;
    }
    buf_fini(&buf);
    return err;
}
