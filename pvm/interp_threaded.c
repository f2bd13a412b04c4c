/* SPDX-License-Identifier: MIT
 *
 * The threaded loop: the handlers of interp.c again, each ending in a jump to the
 * next one.
 *
 * Why it is fast: what every instruction needs (record, state, memory base, gas, path
 * accumulator, engine) is passed from handler to handler in six registers and never
 * stored; each handler ends in its own indirect jump, so that the CPU predicts them
 * apart; blocks are paid for inside the jump that enters them; whatever is rare goes
 * through the loop's handler of the same record (`rare`), also by a tail call, so that
 * no handler needs a stack frame.
 *
 * This needs the compiler to turn calls in tail position into jumps: clang promises it
 * by musttail, gcc does it whenever it optimises.  Otherwise this file builds to
 * nothing and the loop runs.
 */
#include "pvm/interp_ops.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_UNDEFINED__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SANITIZED 1
#endif
#endif

#if !defined(SANITIZED) && defined(__OPTIMIZE__) && defined(__x86_64__)

/* ISO C forbids `return f();` in a void function. */
#pragma GCC diagnostic ignored "-Wpedantic"
#ifdef __clang__
#define TAIL __attribute__((musttail)) return
#else
#define TAIL return
#endif

#define PARAMETERS                                                                     \
    const struct record *i, struct pvm_engine *e, uint8_t *mem, uint64_t gas,          \
        uint64_t acc, uint64_t last
#define NEXT(ip)                                                                       \
    do {                                                                               \
        const struct record *next_ = (ip);                                             \
        TAIL next_->threaded(next_, e, mem, gas, acc, last);                           \
    } while (0)

/* ---- what the previous instructions produced ---- */

/* Which register field holds the result of an opcode: 'a', 'd', or 0 for none. */
static const char result_field[256] = {
#define EFFECT(name, dest, value) [PVM_OP_##name] = #dest[0],
#define LOAD_(name, type, address) [PVM_OP_##name] = 'a',
#include "pvm/effects.def"
};

enum { NO_RESULT = 255 }; /* no byte offset of a register */

/* The register that holds `last` behind `ip`, given the one before it.  Stores keep
 * it; whatever else may change registers ends it. */
static uint8_t result_behind(const struct record *ip, uint8_t before)
{
    if (ip->op == RECORD_HEADER)
        return NO_RESULT;
    if (pvm_op_info[ip->op].flags & PVM_OP_STORE)
        return before;
    char field = result_field[ip->op];
    return field == 'a' ? ip->a : field == 'd' ? ip->d : NO_RESULT;
}

/* `last` for a run that continues at `ip`. */
static uint64_t last_before(const struct pvm_engine *e, const struct record *ip)
{
    const struct record *before = ip - 1;
    while (before->op != RECORD_HEADER &&
           (pvm_op_info[before->op].flags & PVM_OP_STORE))
        before--;
    uint8_t offset = result_behind(before, NO_RESULT);
    return offset == NO_RESULT ? 0 : e->state.reg[offset / 8];
}

void pvm_threaded_run(const struct record *ip, struct pvm_engine *e)
{
    ip->threaded(ip, e, pvm_mem_base(e->state.mem), e->gas_shown, e->acc,
                 last_before(e, ip));
}

/* Let the loop's handler do it, with gas and accumulator in the engine, then go on.
 * A header arrives at its block, unpaid. */
__attribute__((noinline)) static void rare(PARAMETERS)
{
    e->gas_shown = gas;
    e->acc = acc;
    const struct record *ip = pvm_loop_handler[i->op](i, e);
    if (ip && ip->op == RECORD_HEADER)
        ip = pvm_enter_block(e, ip);
    if (!ip)
        return;
    gas = e->gas_shown;
    acc = e->acc;
    last = last_before(e, ip);
    NEXT(ip);
}

/* ---- instructions as inline functions of their operands ----
 *
 * step_NAME: false, with nothing changed, when mem.c has to be asked.
 * condition_NAME: is the branch taken? */

#define STEP(name)                                                                     \
    __attribute__((always_inline)) static inline bool step_##name(                     \
        const struct record *i, struct pvm_engine *e, uint8_t *mem, uint64_t A,        \
        uint64_t B, uint64_t *last)
#define STEP_UNUSED (void)i, (void)e, (void)mem, (void)A, (void)B, (void)last

#define EFFECT(name, dest, value)                                                      \
    STEP(name)                                                                         \
    {                                                                                  \
        STEP_UNUSED;                                                                   \
        *last = (uint64_t)(value);                                                     \
        OPERAND(dest) = *last;                                                         \
        return true;                                                                   \
    }
#define LOAD_(name, type, address)                                                     \
    STEP(name)                                                                         \
    {                                                                                  \
        STEP_UNUSED;                                                                   \
        uint32_t at = (uint32_t)(address);                                             \
        type value;                                                                    \
        if (unlikely(!access_fast(mem, at, sizeof value, MEM_READ, MEM_READ_ON)))      \
            return false;                                                              \
        memcpy(&value, mem + at, sizeof value);                                        \
        *last = (uint64_t)value;                                                       \
        OPERAND(a) = *last;                                                            \
        return true;                                                                   \
    }
#define STORE_(name, type, address, what)                                              \
    STEP(name)                                                                         \
    {                                                                                  \
        STEP_UNUSED;                                                                   \
        uint32_t at = (uint32_t)(address);                                             \
        type value = (type)(what);                                                     \
        if (unlikely(!access_fast(mem, at, sizeof value, MEM_WRITE, MEM_WRITE_ON)))    \
            return false;                                                              \
        memcpy(mem + at, &value, sizeof value);                                        \
        return true;                                                                   \
    }
#define BRANCH(name, condition)                                                        \
    __attribute__((always_inline)) static inline bool condition_##name(                \
        const struct record *i, uint64_t A, uint64_t B)                                \
    {                                                                                  \
        (void)i, (void)B;                                                              \
        return (condition);                                                            \
    }
#include "pvm/effects.def"

/* ---- straight code: the same for every gas log ---- */

#define LOG straight
#define HANDLERS "pvm/interp_straight.h"
#include "pvm/interp_variants.h"

/* ---- control: once per gas log ---- */

#define ENTER(header_)                                                                 \
    do {                                                                               \
        const struct record *h = (header_);                                            \
        if (unlikely(gas < h->need_reserve))                                           \
            TAIL rare(h, e, mem, gas, acc, last);                                      \
        gas -= h->need;                                                                \
        e->ticks += h->tick;                                                           \
        LOG_BLOCK(h);                                                                  \
        NEXT(h + 1);                                                                   \
    } while (0)

#define LOG_BLOCK(h) (void)0
#define LOG_OUTCOME(taken, header) (void)0
#define LOG_TARGET(index) (void)0
#define LOG plain
#define HANDLERS "pvm/interp_control.h"
#include "pvm/interp_variants.h"
#undef LOG_BLOCK

/* A summary needs no path. */
#define LOG_BLOCK(h) (void)(acc = summary_step(acc, h->summary_term))
#define LOG summary
#define HANDLERS "pvm/interp_control.h"
#include "pvm/interp_variants.h"
#undef LOG_BLOCK
#undef LOG_OUTCOME
#undef LOG_TARGET

#define LOG_BLOCK(h) (void)0

/* The 64th outcome has been shifted in: store the group, then enter header `i`.  A full
 * segment shows no gas, so that the entry goes the long way and splits. */
__attribute__((noinline)) static void flush(PARAMETERS)
{
    e->gas_shown = gas;
    e->acc = acc;
    pvm_segment_flush(e);
    gas = e->gas_shown;
    acc = e->acc;
    ENTER(i);
}

#define LOG_OUTCOME(taken, header)                                                     \
    do {                                                                               \
        if (unlikely((int64_t)acc < 0)) /* the sentinel is at the top: test, js */     \
            TAIL flush(header, e, mem, gas, acc << 1 | (taken), last);                 \
        acc = acc << 1 | (taken);                                                      \
    } while (0)
#define LOG_TARGET(index)                                                              \
    do {                                                                               \
        if (unlikely(e->segment.target_count == SEGMENT_TARGETS_MAX - 1))              \
            TAIL rare(i, e, mem, gas, acc, last);                                      \
        e->segment.target[e->segment.target_count++] = (index);                        \
    } while (0)
#define LOG ledger
#define HANDLERS "pvm/interp_control.h"
#include "pvm/interp_variants.h"

/* ---- choosing ---- */

/* By variant: A from last counts 1, B from last counts 2. */
#define VARIANTS(log, table)                                                           \
    {                                                                                  \
        log##_rr_##table, log##_lr_##table, log##_rl_##table, log##_ll_##table         \
    }

static threaded_fn *const *const straight_table[4] = VARIANTS(straight, straight);
static threaded_fn *const *const control_table[][4] = {
    [PVM_GAS_LOG_NONE] = VARIANTS(plain, control),
    [PVM_GAS_LOG_LEDGER] = VARIANTS(ledger, control),
    [PVM_GAS_LOG_SUMMARY] = VARIANTS(summary, control),
};

static threaded_fn *const (*const fused_table[4])[4] = VARIANTS(straight, fused);
static threaded_fn *const (*const fused_branch_table[][4])[4] = {
    [PVM_GAS_LOG_NONE] = VARIANTS(plain, fused),
    [PVM_GAS_LOG_LEDGER] = VARIANTS(ledger, fused),
    [PVM_GAS_LOG_SUMMARY] = VARIANTS(summary, fused),
};

enum fuse_pair {
#define FUSE(first, second) FUSE_##first##_##second,
#include "pvm/fuse.def"
};
enum fuse_branch_pair {
#define FUSE_BRANCH(first, second) FUSE_BRANCH_##first##_##second,
#include "pvm/fuse.def"
};

/* Index of a pair plus one, by both opcodes; 0: not fused. */
static const uint8_t fuse_index[256 * 256] = {
#define FUSE(first, second)                                                            \
    [PVM_OP_##first * 256 + PVM_OP_##second] = 1 + FUSE_##first##_##second,
#define FUSE_BRANCH(first, second)                                                     \
    [PVM_OP_##first * 256 + PVM_OP_##second] = 1 + FUSE_BRANCH_##first##_##second,
#include "pvm/fuse.def"
};

static unsigned variant_of(const struct record *ip, uint8_t result)
{
    return (ip->a == result ? 1u : 0u) | (ip->b == result ? 2u : 0u);
}

/* The handler for `ip` and the record behind it, or NULL. */
static threaded_fn *choose_fused(enum pvm_gas_log log, const struct record *ip,
                                 uint8_t result)
{
    unsigned index = fuse_index[ip[0].op * 256 + ip[1].op];
    if (!index)
        return NULL;
    unsigned first = variant_of(ip, result);
    unsigned second = variant_of(
        ip + 1, MUTANT(threaded_pair_result, result, result_behind(ip, result)));
    if (!(pvm_op_info[ip[1].op].flags & PVM_OP_COND))
        return fused_table[first][index - 1][second];
    return ip[1].target ? fused_branch_table[log][first][index - 1][second] : NULL;
}

static threaded_fn *choose(enum pvm_gas_log log, const struct record *ip,
                           uint8_t result)
{
    threaded_fn *fused = choose_fused(log, ip, result);
    if (fused)
        return fused;
    unsigned variant = variant_of(ip, result);
    if (straight_table[variant][ip->op])
        return straight_table[variant][ip->op];
    unsigned flags = pvm_op_info[ip->op].flags;
    if ((flags & (PVM_OP_COND | PVM_OP_JUMP)) && !ip->target)
        return rare;
    threaded_fn *handler = control_table[log][variant][ip->op];
    return handler ? handler : rare;
}

void pvm_threaded_set_handlers(struct pvm_program *program)
{
    if (program->log == PVM_GAS_LOG_EACH)
        return; /* it stops at every block: the loop's business */
    uint8_t result = NO_RESULT;
    for (uint32_t k = 0; k < program->record_count; k++) {
        struct record *ip = &program->record[k];
        if (ip->op != RECORD_HEADER)
            ip->threaded = choose(program->log, ip, result);
        result = result_behind(ip, result);
    }
}

/* A breakpoint: leave in front of the instruction. */
static void stop(PARAMETERS)
{
    (void)mem, (void)last;
    e->gas_shown = gas;
    e->acc = acc;
    pvm_engine_exit(e, i, PVM_EXIT_BREAK, 0, false);
}

/* The register that holds `last` in front of `ip`, as pvm_threaded_set_handlers() and
 * last_before() see it. */
static uint8_t result_before(const struct record *ip)
{
    const struct record *before = ip - 1;
    while (before->op != RECORD_HEADER &&
           (pvm_op_info[before->op].flags & PVM_OP_STORE))
        before--;
    return result_behind(before, NO_RESULT);
}

/* The handler for `ip` as the breakpoints at it and behind it demand. */
static void choose_again(const struct pvm_program *program, struct record *ip)
{
    uint8_t result = result_before(ip);
    if (pvm_program_breaks(program, ip)) {
        ip->threaded = stop;
    } else if (ip + 1 < program->record + program->record_count &&
               pvm_program_breaks(program, ip + 1)) {
        struct record alone[2] = {*ip, {.op = RECORD_HEADER}};
        ip->threaded = choose(program->log, alone, result);
    } else {
        ip->threaded = choose(program->log, ip, result);
    }
}

void pvm_threaded_set_break(struct pvm_program *program, struct record *ip)
{
    if (program->log == PVM_GAS_LOG_EACH)
        return;
    choose_again(program, ip);
    if (ip[-1].op != RECORD_HEADER)
        choose_again(program, ip - 1);
}

#else

void pvm_threaded_set_handlers(struct pvm_program *program)
{
    (void)program;
}

void pvm_threaded_set_break(struct pvm_program *program, struct record *ip)
{
    (void)program;
    (void)ip;
}

void pvm_threaded_run(const struct record *ip, struct pvm_engine *e)
{
    (void)ip;
    (void)e;
    check(false); /* no record has a handler */
}

#endif
