/* SPDX-License-Identifier: MIT
 *
 * pvm/interp_control.h - jumps and branches of the threaded loop, included once per gas
 * log by interp_threaded.c (so it has no guard).  In: LOG_NAME, LOG_BLOCK, LOG_OUTCOME,
 * LOG_TARGET; all are undefined at the end.  Out: LOG_NAME(table), handlers by opcode.
 * Handlers with a static target are used where it is valid.
 */
#define CONTROL(name) static void LOG_NAME(name)(PARAMETERS)

CONTROL(fallthrough)
{
    ENTER(i + 1);
}

CONTROL(jump)
{
    ENTER(i->target);
}

CONTROL(load_imm_jump)
{
    A = X;
    ENTER(i->target);
}

/* The checks of jump_dynamic() as one comparison; whatever fails it goes there. */
CONTROL(jump_ind)
{
    uint32_t address = (uint32_t)(A + X);
    uint32_t index = (address >> 1 | address << 31) - 1;
    const struct record *header = index < e->jump_count ? e->jump[index] : NULL;
    if (unlikely(!header))
        TAIL rare(i, s, mem, gas, acc, e);
    LOG_TARGET(index);
    ENTER(header);
}

CONTROL(load_imm_jump_ind)
{
    uint32_t address = (uint32_t)(B + Y);
    uint32_t index = (address >> 1 | address << 31) - 1;
    const struct record *header = index < e->jump_count ? e->jump[index] : NULL;
    if (unlikely(!header))
        TAIL rare(i, s, mem, gas, acc, e);
    LOG_TARGET(index);
    A = X;
    ENTER(header);
}

#define BRANCH(name, condition)                                                        \
    CONTROL(name)                                                                      \
    {                                                                                  \
        if (condition) {                                                               \
            LOG_OUTCOME(1, i->target);                                                 \
            ENTER(i->target);                                                          \
        }                                                                              \
        LOG_OUTCOME(0, i + 1);                                                         \
        ENTER(i + 1);                                                                  \
    }
#include "pvm/effects.def"

static threaded_fn *const LOG_NAME(table)[256] = {
    [PVM_OP_fallthrough] = LOG_NAME(fallthrough),
    [PVM_OP_unlikely] = LOG_NAME(fallthrough),
    [PVM_OP_jump] = LOG_NAME(jump),
    [PVM_OP_load_imm_jump] = LOG_NAME(load_imm_jump),
    [PVM_OP_jump_ind] = LOG_NAME(jump_ind),
    [PVM_OP_load_imm_jump_ind] = LOG_NAME(load_imm_jump_ind),
#define BRANCH(name, condition) [PVM_OP_##name] = LOG_NAME(name),
#include "pvm/effects.def"
};

#undef CONTROL
#undef LOG_NAME
#undef LOG_BLOCK
#undef LOG_OUTCOME
#undef LOG_TARGET
