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

#ifdef __clang__
#define TAIL __attribute__((musttail)) return
#else
#define TAIL return
#pragma GCC diagnostic ignored "-Wpedantic" /* ISO C: no `return f();` in void */
#endif

#define PARAMETERS                                                                     \
    const struct record *i, struct pvm_state *s, uint8_t *mem, uint64_t gas,           \
        uint64_t acc, struct pvm_engine *e
#define NEXT(ip)                                                                       \
    do {                                                                               \
        const struct record *next_ = (ip);                                             \
        TAIL next_->threaded(next_, s, mem, gas, acc, e);                              \
    } while (0)

/* Let the loop's handler do it, with gas and accumulator in the engine, then go on.
 * `header` arrives at an unpaid block. */
__attribute__((noinline)) static void rare(PARAMETERS)
{
    e->gas_shown = gas;
    e->acc = acc;
    const struct record *ip = loop_handler[i->op](i, s, mem, e);
    if (ip && ip->op == RECORD_HEADER)
        ip = enter_block(e, s, ip);
    if (!ip)
        return;
    gas = e->gas_shown;
    acc = e->acc;
    NEXT(ip);
}

/* The 64th outcome has been shifted in: store the group, then enter header `i`. */
__attribute__((noinline)) static void flush(PARAMETERS)
{
    e->gas_shown = gas;
    e->acc = acc;
    segment_flush(e);
    const struct record *ip = enter_block(e, s, i);
    if (!ip)
        return;
    gas = e->gas_shown;
    acc = e->acc;
    NEXT(ip);
}

/* ---- straight code: the same for every gas log ---- */

#define HANDLER(name) static void threaded_##name(PARAMETERS)

#define EFFECT(name, statement)                                                        \
    HANDLER(name)                                                                      \
    {                                                                                  \
        statement;                                                                     \
        NEXT(i + 1);                                                                   \
    }
#define LOAD_(name, type, address, dest)                                               \
    HANDLER(name)                                                                      \
    {                                                                                  \
        uint32_t at = (uint32_t)(address);                                             \
        type value;                                                                    \
        if (unlikely(!access_fast(mem, at, sizeof value, MEM_READ, MEM_READ_ON)))      \
            TAIL rare(i, s, mem, gas, acc, e);                                         \
        memcpy(&value, mem + at, sizeof value);                                        \
        dest = (uint64_t)value;                                                        \
        NEXT(i + 1);                                                                   \
    }
#define STORE_(name, type, address, what)                                              \
    HANDLER(name)                                                                      \
    {                                                                                  \
        uint32_t at = (uint32_t)(address);                                             \
        type value = (type)(what);                                                     \
        if (unlikely(!access_fast(mem, at, sizeof value, MEM_WRITE, MEM_WRITE_ON)))    \
            TAIL rare(i, s, mem, gas, acc, e);                                         \
        memcpy(mem + at, &value, sizeof value);                                        \
        NEXT(i + 1);                                                                   \
    }
#include "pvm/effects.def"

/* ---- control: once per gas log ---- */

#define ENTER(header_)                                                                 \
    do {                                                                               \
        const struct record *h = (header_);                                            \
        if (unlikely(gas < h->need_reserve))                                           \
            TAIL rare(h, s, mem, gas, acc, e);                                         \
        gas -= h->need;                                                                \
        s->icount += h->visit_count;                                                   \
        LOG_BLOCK(h);                                                                  \
        NEXT(h + 1);                                                                   \
    } while (0)

#define LOG_NAME(name) plain_##name
#define LOG_BLOCK(h) (void)0
#define LOG_OUTCOME(taken, header) (void)0
#define LOG_TARGET(index) (void)0
#include "pvm/interp_control.h"

#define LOG_NAME(name) ledger_##name
#define LOG_BLOCK(h) (void)e->segment.n++
#define LOG_OUTCOME(taken, header)                                                     \
    do {                                                                               \
        bool full = acc >> 63;                                                         \
        acc = acc << 1 | (taken);                                                      \
        if (unlikely(full))                                                            \
            TAIL flush(header, s, mem, gas, acc, e);                                   \
    } while (0)
#define LOG_TARGET(index)                                                              \
    do {                                                                               \
        if (unlikely(e->segment.target_count == SEGMENT_TARGETS_MAX - 1))              \
            TAIL rare(i, s, mem, gas, acc, e);                                         \
        e->segment.target[e->segment.target_count++] = (index);                        \
    } while (0)
#include "pvm/interp_control.h"

#define LOG_NAME(name) summary_##name
#define LOG_BLOCK(h)                                                                   \
    do {                                                                               \
        e->segment.n++;                                                                \
        acc = summary_add(acc, PVM_CHARGE_BLOCK, h->pc, h->need);                      \
    } while (0)
#define LOG_OUTCOME(taken, header) (void)0
#define LOG_TARGET(index) (void)0
#include "pvm/interp_control.h"

/* ---- the tables ---- */

static threaded_fn *const straight[256] = {
#define EFFECT(name, statement) [PVM_OP_##name] = threaded_##name,
#define LOAD_(name, type, address, dest) [PVM_OP_##name] = threaded_##name,
#define STORE_(name, type, address, value) [PVM_OP_##name] = threaded_##name,
#include "pvm/effects.def"
};

static threaded_fn *const *const control[] = {
    [PVM_GAS_LOG_NONE] = plain_table,
    [PVM_GAS_LOG_LEDGER] = ledger_table,
    [PVM_GAS_LOG_SUMMARY] = summary_table,
};

threaded_fn *threaded_handler(enum pvm_gas_log log, const struct record *ip)
{
    if (log == PVM_GAS_LOG_EACH)
        return NULL; /* stops at every block: the loop's business */
    if (straight[ip->op])
        return straight[ip->op];
    unsigned flags = pvm_op_info[ip->op].flags;
    if ((flags & (PVM_OP_COND | PVM_OP_JUMP)) && !ip->target)
        return rare;
    threaded_fn *handler = control[log][ip->op];
    return handler ? handler : rare;
}

#else

threaded_fn *threaded_handler(enum pvm_gas_log log, const struct record *ip)
{
    (void)log;
    (void)ip;
    return NULL;
}

#endif
