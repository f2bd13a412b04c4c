/* SPDX-License-Identifier: MIT */
#include "analysis/mutate.h"

#include "analysis/progen.h"

#include <string.h>

enum { CHANGES_MAX = 4, SPLICE_MAX = 6 };

struct mutation {
    struct analysis_case *c;
    struct edit *edit, *other;
    uint64_t random;
};

static uint64_t below(struct mutation *m, uint64_t bound)
{
    return analysis_random(&m->random) % bound;
}

static uint64_t value(struct mutation *m)
{
    return analysis_edge[below(m, ANALYSIS_EDGE_COUNT)] + below(m, 3) - 1;
}

/* An instruction of the list to change; NULL: it has none. */
static struct edit_item *pick(struct mutation *m)
{
    if (!m->edit->count)
        return NULL;
    struct edit_item *item = &m->edit->item[below(m, m->edit->count)];
    return item->insn.size ? item : NULL;
}

static void change_value(struct mutation *m)
{
    struct edit_item *item = pick(m);
    if (!item)
        return;
    item->insn.x =
        item->insn.op == PVM_OP_load_imm_64 ? (int64_t)value(m) : (int32_t)value(m);
    item->insn.y = (int32_t)value(m);
    item->changed = true;
}

static void change_registers(struct mutation *m)
{
    struct edit_item *item = pick(m);
    if (!item)
        return;
    uint8_t *const reg[] = {&item->insn.a, &item->insn.b, &item->insn.d};
    uint64_t from = below(m, 3), to = below(m, 3);
    *reg[to] = from == to ? (uint8_t)below(m, PVM_REG_COUNT) : *reg[from];
    item->changed = true;
}

/* Another opcode of the same format. */
static void change_op(struct mutation *m)
{
    struct edit_item *item = pick(m);
    uint8_t op = (uint8_t)below(m, 256);
    if (!item || !pvm_op_assigned(m->c->config.profile, op) ||
        pvm_op_info[op].format != pvm_op_info[item->insn.op].format)
        return;
    item->insn.op = op;
    item->changed = true;
}

static void change_target(struct mutation *m)
{
    struct edit_item *item = pick(m);
    if (item && item->target != EDIT_NOWHERE)
        item->target = (int32_t)below(m, m->edit->count + 1);
}

static void drop_insns(struct mutation *m)
{
    if (!m->edit->count)
        return;
    uint32_t first = (uint32_t)below(m, m->edit->count);
    uint32_t count = 1 + (uint32_t)below(m, SPLICE_MAX);
    uint32_t left = m->edit->count - first;
    analysis_edit_remove(m->edit, first, count < left ? count : left);
}

/* Some instructions of the other program, or some of this one again. */
static void splice(struct mutation *m)
{
    const struct edit *from = below(m, 4) ? m->other : m->edit;
    struct edit_item piece[SPLICE_MAX];
    if (!from->count)
        return;
    uint32_t first = (uint32_t)below(m, from->count);
    uint32_t count = 1 + (uint32_t)below(m, SPLICE_MAX);
    count = count < from->count - first ? count : from->count - first;
    memcpy(piece, from->item + first, count * sizeof *piece);
    uint32_t at = (uint32_t)below(m, m->edit->count + 1);
    if (!analysis_edit_insert(m->edit, at, count))
        return;
    for (uint32_t i = 0; i < count; i++) {
        piece[i].target = piece[i].target == EDIT_NOWHERE
                              ? EDIT_NOWHERE
                              : (int32_t)below(m, m->edit->count + 1);
        m->edit->item[at + i] = piece[i];
    }
}

static void change_start(struct mutation *m)
{
    uint64_t reg = below(m, PVM_REG_COUNT);
    m->c->reg[reg] = below(m, 2) ? value(m) : m->c->reg[below(m, PVM_REG_COUNT)];
}

/* Also just enough, or not, for what comes first. */
static void change_gas(struct mutation *m)
{
    const struct pvm_code code = analysis_case_code(m->c);
    struct pvm_walk walk = pvm_code_walk(&code, &m->c->config, m->c->pc);
    m->c->gas = below(m, 2) ? below(m, 3000) : walk.need - below(m, 2);
}

static void change_region(struct mutation *m)
{
    if (!m->c->region_count)
        return;
    struct analysis_case_region *region = &m->c->region[below(m, m->c->region_count)];
    region->access = region->access == PVM_ACCESS_RW ? PVM_ACCESS_R : PVM_ACCESS_RW;
}

static void change_way(struct mutation *m)
{
    struct analysis_case *c = m->c;
    c->way.log = (enum pvm_gas_log)below(m, 4);
    c->way.dispatch = below(m, 2) ? PVM_DISPATCH_LOOP : PVM_DISPATCH_THREADED;
    c->way.explicit_checks = !below(m, 4);
    c->answers = !below(m, 3);
    c->deadline = below(m, 4) ? 0 : 1 + (uint32_t)below(m, 60);
    memset(c->way.interp_only, 0, sizeof c->way.interp_only);
    c->run_count = ANALYSIS_CASE_RUNS_MAX;
}

static void change_program(struct mutation *m)
{
    static void (*const change[])(struct mutation * m) = {
        change_value,  change_value, change_registers, change_registers, change_op,
        change_target, drop_insns,   splice,           splice,
    };
    change[below(m, countof(change))](m);
}

static void change_machine(struct mutation *m)
{
    static void (*const change[])(struct mutation * m) = {
        change_start, change_start, change_start, change_gas, change_region, change_way,
    };
    change[below(m, countof(change))](m);
}

void analysis_mutate(struct analysis_case *c, const struct analysis_case *other,
                     uint64_t seed, struct edit edit[2])
{
    struct mutation m = {.c = c, .edit = &edit[0], .other = &edit[1], .random = seed};
    analysis_edit_load(m.edit, c);
    analysis_edit_load(m.other, other);
    uint64_t count = 1 + below(&m, CHANGES_MAX);
    for (uint64_t i = 0; i < count; i++)
        change_program(&m);
    /* A program that cannot be laid out is another one, with nothing in it to find. */
    if (!analysis_edit_store(m.edit, c)) {
        c->code_size = c->jump_count = 0;
        memset(c->code, 0, sizeof c->code);
        memset(c->bitmask, 0, sizeof c->bitmask);
    }
    while (below(&m, 2))
        change_machine(&m);
}
