/* SPDX-License-Identifier: MIT
 *
 * pvm/interp_control.h - jumps and branches of the threaded loop, included once per gas
 * log and operand variant by interp_variants.h (so it has no guard).  In: NAME, A, B,
 * LOG_BLOCK, LOG_OUTCOME, LOG_TARGET.  Out: NAME(control), handlers by opcode.  Those
 * with a static target are used where it is valid.
 */
static void NAME(fallthrough)(PARAMETERS)
{
    ENTER(i + 1);
}

static void NAME(jump)(PARAMETERS)
{
    ENTER(i->target);
}

static void NAME(load_imm_jump)(PARAMETERS)
{
    OPERAND(a) = X;
    ENTER(i->target);
}

/* The checks of jump_dynamic() as one comparison; whatever fails it goes there. */
static void NAME(jump_ind)(PARAMETERS)
{
    uint32_t address = (uint32_t)(A + X);
    uint32_t index = (address >> 1 | address << 31) - 1;
    const struct record *header = index < e->jump_count ? e->jump[index] : NULL;
    if (unlikely(!header))
        TAIL rare(i, e, mem, gas, acc, last);
    LOG_TARGET(index);
    ENTER(header);
}

static void NAME(load_imm_jump_ind)(PARAMETERS)
{
    uint32_t address = (uint32_t)(B + Y);
    uint32_t index = (address >> 1 | address << 31) - 1;
    const struct record *header = index < e->jump_count ? e->jump[index] : NULL;
    if (unlikely(!header))
        TAIL rare(i, e, mem, gas, acc, last);
    LOG_TARGET(index);
    OPERAND(a) = X;
    ENTER(header);
}

#define BRANCH(name, condition)                                                        \
    static void NAME(name)(PARAMETERS)                                                 \
    {                                                                                  \
        if (condition) {                                                               \
            LOG_OUTCOME(1, i->target);                                                 \
            ENTER(i->target);                                                          \
        }                                                                              \
        LOG_OUTCOME(0, i + 1);                                                         \
        ENTER(i + 1);                                                                  \
    }
#include "pvm/effects.def"

static threaded_fn *const NAME(control)[256] = {
    [PVM_OP_fallthrough] = NAME(fallthrough),
    [PVM_OP_unlikely] = NAME(fallthrough),
    [PVM_OP_jump] = NAME(jump),
    [PVM_OP_load_imm_jump] = NAME(load_imm_jump),
    [PVM_OP_jump_ind] = NAME(jump_ind),
    [PVM_OP_load_imm_jump_ind] = NAME(load_imm_jump_ind),
#define BRANCH(name, condition) [PVM_OP_##name] = NAME(name),
#include "pvm/effects.def"
};
