/* SPDX-License-Identifier: MIT
 *
 * Jumps, calls, returns, interrupts.
 */
#include "emu/exec.h"

/* emu_go and emu_go_indirect, on to the first handler of the block there. */
#define GO_TO(eip, link)                                                               \
    do {                                                                               \
        struct emu_block **link_ = (link), *block_ = *link_;                           \
        uint32_t eip_ = (eip);                                                         \
        if (likely(block_ && block_->cost <= cpu->budget) &&                           \
            (((eip_ ^ cpu->block_eip) & ~0xfffu) == 0 ||                               \
             emu_is_mapped(cpu, block_, eip_)))                                        \
            GO(emu_enter(cpu, block_, eip_));                                          \
        return emu_go_slow(cpu, eip_, link_);                                          \
    } while (0)

/* The end of a block that no jump ends. */
HANDLER(fall_through)
{
    GO_TO(cpu->block_eip + op->offset, &cpu->block->next[0]);
}

/* A near jump; beyond the limit it is the jump that faults. */
static inline const struct emu_op *jump(struct emu_cpu *cpu, const struct emu_op *op,
                                        uint32_t eip)
{
    if (unlikely(eip > cpu->segment[EMU_CS].limit))
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    return emu_go(cpu, eip, &cpu->block->next[1]);
}

/* What Jcc does, with `op` at it. */
#define BRANCH(condition)                                                              \
    do {                                                                               \
        uint32_t target = emu_next_eip(cpu, op);                                       \
        if (!emu_condition(cpu, condition))                                            \
            GO_TO(target, &cpu->block->next[0]);                                       \
        target += op->immediate;                                                       \
        if (unlikely(target > cpu->segment[EMU_CS].limit))                             \
            return emu_raise(cpu, op, EMU_VECTOR_GP, 0);                               \
        GO_TO(target, &cpu->block->next[1]);                                           \
    } while (0)

/* A comparison and the Jcc behind it in one handler: the op before keeps its operands,
 * the Jcc its place, so that nothing else has to know. */
#define DEFINE_FUSED(name, bits, operation, right, condition)                          \
    static const struct emu_op *fused_##name##_##condition(struct emu_cpu *cpu,        \
                                                           const struct emu_op *op)    \
    {                                                                                  \
        (void)emu_do_##operation(cpu, bits, REG_##bits(op->d), right);                 \
        op++;                                                                          \
        BRANCH(condition);                                                             \
    }

#define DEFINE_JCC(condition)                                                          \
    HANDLER(jcc_##condition)                                                           \
    {                                                                                  \
        BRANCH(condition);                                                             \
    }                                                                                  \
    DEFINE_FUSED(cmp_rr, 32, sub, cpu->reg[op->s], condition)                          \
    DEFINE_FUSED(cmp_ri, 32, sub, op->immediate, condition)                            \
    DEFINE_FUSED(cmp_bi, 8, sub, (uint8_t)op->immediate, condition)                    \
    DEFINE_FUSED(test_rr, 32, and, cpu->reg[op->s], condition)                         \
    DEFINE_FUSED(test_bb, 8, and, cpu->byte[op->s], condition)
DEFINE_JCC(0)
DEFINE_JCC(1)
DEFINE_JCC(2)
DEFINE_JCC(3)
DEFINE_JCC(4)
DEFINE_JCC(5)
DEFINE_JCC(6)
DEFINE_JCC(7)
DEFINE_JCC(8)
DEFINE_JCC(9)
DEFINE_JCC(10)
DEFINE_JCC(11)
DEFINE_JCC(12)
DEFINE_JCC(13)
DEFINE_JCC(14)
DEFINE_JCC(15)

#define CONDITIONS(name)                                                               \
    {                                                                                  \
        name##_0, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6,          \
            name##_7, name##_8, name##_9, name##_10, name##_11, name##_12, name##_13,  \
            name##_14, name##_15                                                       \
    }

emu_run_fn *emu_fused(emu_run_fn *comparison, unsigned condition)
{
    static const struct {
        emu_run_fn *comparison, *fused[16];
    } pair[] = {
        {emu_op_cmp_EG_r32, CONDITIONS(fused_cmp_rr)},
        {emu_op_cmp_GE_r32, CONDITIONS(fused_cmp_rr)},
        {emu_op_cmp_EI_r32, CONDITIONS(fused_cmp_ri)},
        {emu_op_cmp_EI_r8, CONDITIONS(fused_cmp_bi)},
        {emu_op_test_EG_r32, CONDITIONS(fused_test_rr)},
        {emu_op_test_EG_r8, CONDITIONS(fused_test_bb)},
    };
    for (unsigned i = 0; i < countof(pair); i++)
        if (pair[i].comparison == comparison)
            return pair[i].fused[condition];
    return NULL;
}

/* The target of a relative jump in the width of the operand. */
static inline uint32_t target_of(const struct emu_cpu *cpu, const struct emu_op *op)
{
    return (emu_next_eip(cpu, op) + op->immediate) & emu_size_mask(op->size);
}

static const struct emu_op *jump_if_any(struct emu_cpu *cpu, const struct emu_op *op,
                                        bool taken)
{
    if (!taken)
        return emu_go(cpu, emu_next_eip(cpu, op), &cpu->block->next[0]);
    return jump(cpu, op, target_of(cpu, op));
}

HANDLER(jcc_16)
{
    return jump_if_any(cpu, op, emu_condition(cpu, op->s));
}

HANDLER(jmp)
{
    uint32_t eip = target_of(cpu, op);
    if (unlikely(eip > cpu->segment[EMU_CS].limit))
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    GO_TO(eip, &cpu->block->next[1]);
}

HANDLER(jcxz)
{
    return jump_if_any(cpu, op, (cpu->reg[EMU_ECX] & op->address_mask) == 0);
}

/* LOOP, LOOPE, LOOPNE; the count changes only if the jump does not fault. */
static const struct emu_op *loop_if(struct emu_cpu *cpu, const struct emu_op *op,
                                    bool condition)
{
    uint32_t mask = op->address_mask, count = (cpu->reg[EMU_ECX] - 1) & mask;
    bool taken = count && condition;
    if (taken && target_of(cpu, op) > cpu->segment[EMU_CS].limit)
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    cpu->reg[EMU_ECX] = (cpu->reg[EMU_ECX] & ~mask) | count;
    return jump_if_any(cpu, op, taken);
}

HANDLER(loop)
{
    return loop_if(cpu, op, true);
}

HANDLER(loope)
{
    return loop_if(cpu, op, emu_flag_z(cpu));
}

HANDLER(loopne)
{
    return loop_if(cpu, op, !emu_flag_z(cpu));
}

/* Push the return address.  A target beyond the limit is a fault, after those of the
 * push (measured); nothing is stored then. */
static inline bool push_return(struct emu_cpu *cpu, const struct emu_op *op,
                               uint32_t target)
{
    uint32_t at = emu_stack_move(cpu, cpu->reg[EMU_ESP], 0u - op->size);
    uint32_t eip = emu_next_eip(cpu, op), linear;
    if (unlikely(target > cpu->segment[EMU_CS].limit))
        return emu_check_frame(cpu, &cpu->segment[EMU_SS], emu_is_user(cpu),
                               cpu->reg[EMU_ESP], op->size, 1, 0) &&
               emu_fault(cpu, EMU_VECTOR_GP, 0);
    if (unlikely(op->size == 2)) {
        if (!emu_store(cpu, EMU_SS, at & cpu->stack_mask, 2, eip))
            return false;
    } else if (!emu_linear(cpu, EMU_SS, at & cpu->stack_mask, 4, EMU_ACCESS_WRITE,
                           &linear) ||
               !emu_store_32(cpu, linear, eip)) {
        return false;
    }
    cpu->reg[EMU_ESP] = at;
    return true;
}

SLOW_HANDLER(call)
{
    uint32_t target = target_of(cpu, op);
    if (!push_return(cpu, op, target))
        FAULT;
    return emu_go(cpu, target, &cpu->block->next[1]);
}

HANDLER(call)
{
    uint32_t target = emu_next_eip(cpu, op) + op->immediate, eip;
    uint32_t at = emu_stack_move(cpu, cpu->reg[EMU_ESP], 0u - 4);
    if (unlikely(op->size != 4 || target > cpu->segment[EMU_CS].limit))
        return slow_call(cpu, op);
    FAST_STACK(host, at, 32, WRITE, slow_call);
    eip = emu_next_eip(cpu, op);
    memcpy(host, &eip, 4);
    cpu->reg[EMU_ESP] = at;
    GO_TO(target, &cpu->block->next[1]);
}

FLAT_HANDLER(call)
{
    uint32_t eip = emu_next_eip(cpu, op), at = cpu->reg[EMU_ESP] - 4;
    FLAT_VIEW(host, at, 32, WRITE, slow_call);
    memcpy(host, &eip, 4);
    cpu->reg[EMU_ESP] = at;
    cpu->return_top = (cpu->return_top + 1) % EMU_RETURN_COUNT;
    cpu->returns[cpu->return_top] =
        (struct emu_return){.caller = cpu->block, .eip = eip};
    GO_TO(eip + op->immediate, &cpu->block->next[1]);
}

HANDLER(call_e)
{
    uint32_t target;
    if (!emu_read_operand(cpu, op, op->d, op->size, &target) ||
        !push_return(cpu, op, target))
        FAULT;
    return emu_go_indirect(cpu, target);
}

HANDLER(jmp_e)
{
    uint32_t target;
    if (!emu_read_operand(cpu, op, op->d, op->size, &target))
        FAULT;
    if (target > cpu->segment[EMU_CS].limit)
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    return emu_go_indirect(cpu, target);
}

static inline const struct emu_op *
near_return(struct emu_cpu *cpu, const struct emu_op *op, uint32_t release)
{
    uint32_t target, esp = cpu->reg[EMU_ESP], linear;
    if (unlikely(op->size == 2)) {
        if (!emu_load(cpu, EMU_SS, esp & cpu->stack_mask, 2, &target))
            FAULT;
    } else if (!emu_linear(cpu, EMU_SS, esp & cpu->stack_mask, 4, EMU_ACCESS_READ,
                           &linear) ||
               !emu_load_32(cpu, linear, &target)) {
        FAULT;
    }
    if (unlikely(target > cpu->segment[EMU_CS].limit))
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    cpu->reg[EMU_ESP] = emu_stack_move(cpu, esp, op->size + release);
    return emu_go_indirect(cpu, target);
}

SLOW_HANDLER(ret)
{
    return near_return(cpu, op, 0);
}

HANDLER(ret)
{
    uint32_t esp = cpu->reg[EMU_ESP], target;
    FAST_STACK(host, esp, 32, READ, slow_ret);
    memcpy(&target, host, 4);
    if (unlikely(op->size != 4 || target > cpu->segment[EMU_CS].limit))
        return slow_ret(cpu, op);
    cpu->reg[EMU_ESP] = emu_stack_move(cpu, esp, 4);
    struct emu_block *block = emu_find_target(cpu, target);
    if (likely(block))
        GO(emu_enter(cpu, block, target));
    return emu_go_slow(cpu, target, NULL);
}

FLAT_HANDLER(ret)
{
    uint32_t esp = cpu->reg[EMU_ESP], target;
    FLAT_VIEW(host, esp, 32, READ, slow_ret);
    memcpy(&target, host, 4);
    cpu->reg[EMU_ESP] = esp + 4;
    const struct emu_return *from = &cpu->returns[cpu->return_top];
    struct emu_block *block;
    if (likely(from->eip == target && from->caller)) {
        cpu->return_top = (cpu->return_top - 1) % EMU_RETURN_COUNT;
        block = from->caller->next[0];
        if (likely(block && block->cost <= cpu->budget &&
                   block->mode == cpu->code_mode && emu_is_mapped(cpu, block, target)))
            GO(emu_enter(cpu, block, target));
        return emu_go_slow(cpu, target, &from->caller->next[0]);
    }
    block = emu_find_target(cpu, target);
    if (likely(block))
        GO(emu_enter(cpu, block, target));
    return emu_go_slow(cpu, target, NULL);
}

HANDLER(ret_i)
{
    return near_return(cpu, op, op->immediate);
}

/* ---- far transfers ---- */

static const struct emu_op *finish_far(struct emu_cpu *cpu, const struct emu_op *op,
                                       bool ok)
{
    if (!ok)
        FAULT;
    return emu_leave(cpu, op, cpu->eip);
}

HANDLER(jmp_far)
{
    return finish_far(cpu, op,
                      emu_far_jump(cpu, (uint16_t)op->displacement,
                                   op->immediate & emu_size_mask(op->size),
                                   emu_next_eip(cpu, op)));
}

HANDLER(call_far)
{
    return finish_far(cpu, op,
                      emu_far_call(cpu, (uint16_t)op->displacement,
                                   op->immediate & emu_size_mask(op->size), op->size,
                                   emu_next_eip(cpu, op)));
}

static bool read_far_pointer(struct emu_cpu *cpu, const struct emu_op *op,
                             uint32_t *ret_selector, uint32_t *ret_offset)
{
    uint32_t at = emu_address(cpu, op);
    return emu_load(cpu, op->segment, at, op->size, ret_offset) &&
           emu_load(cpu, op->segment, (at + op->size) & op->address_mask, 2,
                    ret_selector);
}

HANDLER(jmp_far_m)
{
    uint32_t selector, offset;
    return finish_far(
        cpu, op,
        read_far_pointer(cpu, op, &selector, &offset) &&
            emu_far_jump(cpu, (uint16_t)selector, offset, emu_next_eip(cpu, op)));
}

HANDLER(call_far_m)
{
    uint32_t selector, offset;
    return finish_far(cpu, op,
                      read_far_pointer(cpu, op, &selector, &offset) &&
                          emu_far_call(cpu, (uint16_t)selector, offset, op->size,
                                       emu_next_eip(cpu, op)));
}

HANDLER(ret_far)
{
    uint32_t release = op->flags & EMU_OP_IMMEDIATE ? op->immediate : 0;
    return finish_far(cpu, op, emu_far_return(cpu, op->size, release));
}

/* ---- interrupts ---- */

static const struct emu_op *interrupt(struct emu_cpu *cpu, const struct emu_op *op,
                                      uint8_t vector, bool software)
{
    struct emu_event event = {.vector = vector, .software = software};
    cpu->eip = emu_next_eip(cpu, op);
    return finish_far(cpu, op, emu_deliver(cpu, &event));
}

HANDLER(int)
{
    if ((cpu->eflags & EMU_FLAG_VM) && (cpu->eflags & EMU_FLAG_IOPL) != EMU_FLAG_IOPL)
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    return interrupt(cpu, op, (uint8_t)op->immediate, true);
}

HANDLER(int3)
{
    return interrupt(cpu, op, EMU_VECTOR_BP, true);
}

HANDLER(into)
{
    if (!emu_flag_o(cpu))
        return emu_leave(cpu, op, emu_next_eip(cpu, op));
    return interrupt(cpu, op, EMU_VECTOR_OF, true);
}

HANDLER(icebp)
{
    return interrupt(cpu, op, EMU_VECTOR_DB, false);
}

HANDLER(iret)
{
    return finish_far(cpu, op,
                      emu_interrupt_return(cpu, op->size, emu_next_eip(cpu, op)));
}

/* The upper bound is not even read for an index below the lower one (measured). */
HANDLER(bound)
{
    uint32_t low, high, at = emu_address(cpu, op);
    if (!emu_load(cpu, op->segment, at, op->size, &low))
        FAULT;
    int32_t index =
        (int32_t)emu_sign_extend(emu_get_register(cpu, op->d, op->size), op->size);
    if (index < (int32_t)emu_sign_extend(low, op->size))
        return emu_raise(cpu, op, EMU_VECTOR_BR, 0);
    if (!emu_load(cpu, op->segment, (at + op->size) & op->address_mask, op->size,
                  &high))
        FAULT;
    if (index > (int32_t)emu_sign_extend(high, op->size))
        return emu_raise(cpu, op, EMU_VECTOR_BR, 0);
    NEXT;
}

HANDLER(ud)
{
    return emu_raise(cpu, op, EMU_VECTOR_UD, 0);
}
