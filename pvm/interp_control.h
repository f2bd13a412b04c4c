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

/* The checks of jump_dynamic() in interp.c as one comparison; whatever fails it goes
 * there. */
static void NAME(jump_ind)(PARAMETERS)
{
    uint32_t address = (uint32_t)(A + X);
    uint32_t index =
        MUTANT(threaded_jump_odd, address >> 1, address >> 1 | address << 31) - 1;
    const struct record *header = index < e->jump_count ? e->jump[index] : NULL;
    if (unlikely(!header))
        TAIL rare(i, e, mem, gas, acc, last);
    LOG_TARGET(index);
    ENTER(header);
}

static void NAME(load_imm_jump_ind)(PARAMETERS)
{
    uint32_t address =
        (uint32_t)(MUTANT(threaded_jump_new_base, i->a == i->b ? X : B, B) + Y);
    uint32_t index =
        MUTANT(threaded_jump_odd, address >> 1, address >> 1 | address << 31) - 1;
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
        if (condition_##name(i, A, B)) {                                               \
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

#define PAIR(first, second, variant, a2, b2)                                           \
    static void NAME(first##_##second##_##variant)(PARAMETERS)                         \
    {                                                                                  \
        if (unlikely(!step_##first(i, e, mem, A, B, &last)))                           \
            TAIL rare(i, e, mem, gas, acc, last);                                      \
        i++;                                                                           \
        if (condition_##second(i, a2, b2)) {                                           \
            LOG_OUTCOME(1, i->target);                                                 \
            ENTER(i->target);                                                          \
        }                                                                              \
        LOG_OUTCOME(0, i + 1);                                                         \
        ENTER(i + 1);                                                                  \
    }
#define FUSE_BRANCH(first, second)                                                     \
    PAIR(first, second, rr, OPERAND(a), OPERAND(b))                                    \
    PAIR(first, second, lr, last, OPERAND(b))                                          \
    PAIR(first, second, rl, OPERAND(a), last)                                          \
    PAIR(first, second, ll, last, last)
#include "pvm/fuse.def"
#undef PAIR

static threaded_fn *const NAME(fused)[][4] = {
#define FUSE_BRANCH(first, second)                                                     \
    {NAME(first##_##second##_rr), NAME(first##_##second##_lr),                         \
     NAME(first##_##second##_rl), NAME(first##_##second##_ll)},
#include "pvm/fuse.def"
};
