/* SPDX-License-Identifier: MIT
 *
 * The interpreter: slow paths of memory and jumps, and the loop's handlers [3, 5].
 */
#include "pvm/interp_ops.h"
#include "pvm/gas.h"

/* ---- memory ---- */

static const struct record *fault(struct pvm_engine *e, const struct record *ip,
                                  struct mem_result result)
{
    if (result.fault == MEM_WATCHED)
        return pvm_engine_exit(e, ip, PVM_EXIT_BREAK, 0, false);
    if (MUTANT(read_only_exit, false, result.fault == MEM_READ_ONLY) &&
        e->program->config.profile == PVM_PROFILE_VECTORS)
        return pvm_engine_exit(e, ip, PVM_EXIT_PANIC, 0, false);
    uint32_t address = result.page * (uint32_t)PVM_PAGE_SIZE;
    return pvm_engine_exit(e, ip, PVM_EXIT_PAGE_FAULT, address,
                           MUTANT(fault_retires, true, false));
}

/* A load; *ret_value is set when the answer is not NULL. */
static const struct record *load_slow(struct pvm_engine *e, const struct record *ip,
                                      uint32_t address, unsigned size,
                                      uint64_t *ret_value)
{
    struct mem_result result = pvm_mem_load(e->state.mem, address, size, ret_value);
    return result.fault ? fault(e, ip, result) : ip;
}

static void log_page(struct pvm_engine *e, const struct record *ip, uint32_t page)
{
    struct segment *seg = &e->segment;
    seg->extra[seg->extra_count++] = (struct pvm_extra){
        .dn = seg->n - seg->extra_ordinal,
        .dpc = ip->pc - pvm_program_block_of(e->program, ip->pc),
        .kind = PVM_CHARGE_COW,
        .where = page,
        .cost = PVM_GAS_COW,
    };
    seg->extra_ordinal = seg->n;
    if (seg->extra_count == SEGMENT_EXTRA_MAX) {
        pvm_segment_finish(e, PVM_SEGMENT_SPLIT_INSIDE, ip->pc);
        pvm_segment_begin(e, ip->pc, true, e->state.gas);
    }
}

/* Charge the first store into a page: the reserve makes sure that it can be paid. */
static void page_pay(struct pvm_engine *e, const struct record *ip, uint32_t page)
{
    struct pvm_state *s = &e->state;
    if (e->gas_shown < PVM_GAS_COW) {
        check(gas_true(e) >= PVM_GAS_COW);
        e->gas_hidden -= PVM_GAS_COW - e->gas_shown;
        e->gas_shown = PVM_GAS_COW;
    }
    e->gas_shown -= PVM_GAS_COW;
    if (e->program->log == PVM_GAS_LOG_NONE)
        return;
    uint64_t ahead = pvm_unretired(e, ip);
    ticks_fold(e);
    s->gas = gas_true(e);
    s->pc = ip->pc;
    s->charged = true;
    s->icount -= ahead; /* exact while an observer looks */
    pvm_log_charge(e, PVM_CHARGE_COW, page, PVM_GAS_COW);
    if (e->program->log == PVM_GAS_LOG_LEDGER)
        log_page(e, ip, page);
    s->icount += ahead;
}

/* A store of 1..8 bytes with all it takes: faults, page states, page gas. */
static const struct record *store_slow(struct pvm_engine *e, const struct record *ip,
                                       uint32_t address, unsigned size, uint64_t value)
{
    struct pvm_mem *mem = e->state.mem;
    struct mem_result result = pvm_mem_store_check(mem, address, size);
    if (result.fault)
        return fault(e, ip, result);
    bool pays = gas_charges_pages(&e->program->config);
    uint32_t low = address / PVM_PAGE_SIZE;
    uint32_t high = (uint32_t)(address + (size - 1)) / PVM_PAGE_SIZE;
    uint32_t first = MUTANT(page_order, high, low);
    uint32_t last = MUTANT(page_order, low, high);
    if ((pvm_mem_touch(mem, first) || MUTANT(page_pays_again, true, false)) && pays)
        page_pay(e, ip, first);
    if (last != first && pvm_mem_touch(mem, last) &&
        MUTANT(page_second_free, false, pays))
        page_pay(e, ip, last);
    pvm_mem_store(mem, address, MUTANT(store_wide, 8, size), value);
    return ip;
}

/* ---- control ---- */

static const struct record *table_header(struct pvm_engine *e, uint32_t index)
{
    if (e->jump)
        return e->jump[index];
    uint64_t target = pvm_code_jump(e->program->code, index);
    if (MUTANT(step_entry_32, false, target > UINT32_MAX) ||
        !pvm_program_block_start(e->program, (uint32_t)target))
        return NULL;
    e->step[2].pc = (uint32_t)target;
    return &e->step[2];
}

/* A table jump of `ip`: the header to enter. */
static const struct record *jump_dynamic(struct pvm_engine *e, const struct record *ip,
                                         uint32_t address)
{
    if (address == PVM_HALT_ADDRESS &&
        MUTANT(halt_never, false,
               MUTANT(halt_in_javm, true,
                      e->program->config.profile == PVM_PROFILE_VECTORS)))
        return pvm_engine_exit(e, ip, PVM_EXIT_HALT, 0,
                               MUTANT(halt_unretired, false, true));
    /* 0 and odd addresses become indices past any table. */
    uint32_t index = MUTANT(jump_odd, address >> 1, address >> 1 | address << 31) -
                     MUTANT(jump_index, 0, 1);
    const struct record *h = index < e->jump_count + MUTANT(jump_past_table, 1, 0)
                                 ? table_header(e, index)
                                 : NULL;
    if (!h)
        return pvm_engine_exit(e, ip, PVM_EXIT_PANIC, 0, false);
    if (e->program->log == PVM_GAS_LOG_LEDGER)
        pvm_segment_target(e, index);
    return h;
}

static const struct record *jump_static(struct pvm_engine *e, const struct record *ip)
{
    return ip->target ? ip->target
                      : pvm_engine_exit(e, ip, PVM_EXIT_PANIC, 0,
                                        MUTANT(panic_retires, true, false));
}

/* ---- the loop's handlers: one per opcode, the definition ---- */

#define A OPERAND(a)
#define B OPERAND(b)
#define HANDLER(name)                                                                  \
    static const struct record *loop_##name(const struct record *i,                    \
                                            struct pvm_engine *e)
#define OP(code, name, format, flags, text) HANDLER(name);
#include "pvm/opcodes.def"

#define UNUSED (void)i, (void)e

#define EFFECT(name, dest, value)                                                      \
    HANDLER(name)                                                                      \
    {                                                                                  \
        OPERAND(dest) = (uint64_t)(value);                                             \
        return i + 1;                                                                  \
    }
#define LOAD_(name, type, address)                                                     \
    HANDLER(name)                                                                      \
    {                                                                                  \
        uint64_t value = 0;                                                            \
        if (!load_slow(e, i,                                                           \
                       (uint32_t)MUTANT(load_address_64,                               \
                                        (address) >> 32 ? 0 : (address), (address)),   \
                       sizeof(type), &value))                                          \
            return MUTANT(load_fault_clears, (A = 0, NULL), NULL);                     \
        A = MUTANT(load_zero_extends, value, (uint64_t)(type)value);                   \
        return i + 1;                                                                  \
    }
#define STORE_(name, type, address, value)                                             \
    HANDLER(name)                                                                      \
    {                                                                                  \
        if (!store_slow(e, i,                                                          \
                        (uint32_t)MUTANT(store_address_64,                             \
                                         (address) >> 32 ? 0 : (address), (address)),  \
                        sizeof(type), (value)))                                        \
            return NULL;                                                               \
        return i + 1;                                                                  \
    }
#define BRANCH(name, condition)                                                        \
    HANDLER(name)                                                                      \
    {                                                                                  \
        bool taken = (condition);                                                      \
        if (e->program->log == PVM_GAS_LOG_LEDGER)                                     \
            pvm_segment_bit(e, taken);                                                 \
        taken |= MUTANT(untaken_panics, !i->target, false);                            \
        taken |= MUTANT(untaken_pair_panics,                                           \
                        !i->target && PVM_OP_##name >= PVM_OP_branch_eq, false);       \
        return taken ? jump_static(e, i) : i + 1;                                      \
    }
#include "pvm/effects.def"

HANDLER(trap)
{
    UNUSED;
    return pvm_engine_exit(e, i, MUTANT(trap_panics, PVM_EXIT_PANIC, PVM_EXIT_TRAP), 0,
                           MUTANT(trap_retires, true, false));
}

HANDLER(fallthrough)
{
    UNUSED;
    return i + 1;
}

HANDLER(unlikely)
{
    UNUSED;
    return i + 1;
}

HANDLER(ecall)
{
    UNUSED;
    return pvm_engine_exit(
        e, i, PVM_EXIT_ECALL,
        MUTANT(ecall_register, (uint32_t)e->state.reg[12],
               MUTANT(ecall_wide, e->state.reg[11], (uint32_t)e->state.reg[11])),
        true);
}

HANDLER(ecalli)
{
    UNUSED;
    return pvm_engine_exit(e, i, PVM_EXIT_HOST_CALL,
                           MUTANT(ecalli_zero_extended, (uint32_t)X, X), true);
}

HANDLER(sbrk)
{
    UNUSED;
    return pvm_engine_exit(e, i, PVM_EXIT_PANIC, 0, false);
}

HANDLER(jump)
{
    UNUSED;
    return jump_static(e, i);
}

HANDLER(load_imm_jump)
{
    UNUSED;
    A = MUTANT(jump_panic_keeps, i->target ? X : A, X);
    return jump_static(e, i);
}

HANDLER(jump_ind)
{
    UNUSED;
    return jump_dynamic(e, i, (uint32_t)(A + X));
}

HANDLER(load_imm_jump_ind)
{
    UNUSED;
    /* Of the old B: A may be the same register. */
    uint64_t base = MUTANT(jump_new_base, i->a == i->b ? X : B, B);
    uint32_t address = (uint32_t)(base + Y);
    A = MUTANT(jump_ind_panic_keeps, address / 2 <= e->jump_count ? X : A, X);
    return jump_dynamic(e, i, address);
}

static const struct record *loop_header(const struct record *i, struct pvm_engine *e)
{
    return pvm_enter_block(e, i);
}

loop_fn *const pvm_loop_handler[256] = {
#define OP(code, name, format, flags, text) [code] = loop_##name,
#include "pvm/opcodes.def"
    [RECORD_HEADER] = loop_header,
};
