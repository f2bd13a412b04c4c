/* SPDX-License-Identifier: MIT
 *
 * The open segment of the gas ledger, shared by all engines (trace-replay.md 5.3, 5.5).
 */
#include "pvm/engine.h"

#include <string.h>

void pvm_segment_begin(struct pvm_engine *e, uint32_t pc, bool charged, uint64_t gas)
{
    struct segment *seg = &e->segment;
    seg->pc = pc;
    seg->start = charged;
    seg->n = 0;
    seg->gas_begin = gas;
    seg->extra_ordinal = 0;
    seg->bits_size = 0;
    seg->target_count = 0;
    seg->extra_count = 0;
    seg->full = false;
    e->acc = e->program->log == PVM_GAS_LOG_LEDGER ? ACC_EMPTY : 0;
}

static void store_bits(struct segment *seg, uint64_t bits)
{
    uint64_t big_endian = __builtin_bswap64(bits);
    memcpy(seg->bits + seg->bits_size, &big_endian, sizeof big_endian);
}

void pvm_segment_flush(struct pvm_engine *e)
{
    pvm_segment_put_bits(e, e->acc);
    e->acc = ACC_EMPTY;
}

void pvm_segment_put_bits(struct pvm_engine *e, uint64_t bits)
{
    struct segment *seg = &e->segment;
    store_bits(seg, bits);
    seg->bits_size += 8;
    if (seg->bits_size == SEGMENT_BITS_MAX / 8) {
        seg->full = true;
        gas_hide(e);
    }
}

void pvm_segment_bit(struct pvm_engine *e, bool taken)
{
    bool full = e->acc >> 63;
    e->acc = e->acc << 1 | taken;
    if (full)
        pvm_segment_flush(e);
}

void pvm_segment_target(struct pvm_engine *e, uint32_t index)
{
    struct segment *seg = &e->segment;
    seg->target[seg->target_count++] = index;
    if (seg->target_count == SEGMENT_TARGETS_MAX) {
        seg->full = true;
        gas_hide(e);
    }
}

/* One or two bytes, as is the rule, without a branch: which of them is anybody's guess.
 * (The second is written in any case; there is room.) */
static uint8_t *put_leb128(uint8_t *at, uint32_t value)
{
    if (value < 1 << 14) {
        uint32_t more = value >= 0x80;
        at[0] = (uint8_t)((value & 0x7f) | more << 7);
        at[1] = (uint8_t)(value >> 7);
        return at + 1 + more;
    }
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

typedef int words __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));
typedef char octets __attribute__((vector_size(16)));

/* As many of the first indices as are below 0x80, as is the rule, in whole groups of
 * sixteen: a byte each.  How many. */
static uint32_t pack_small(const uint32_t *target, uint32_t count, uint8_t *at)
{
    uint32_t done = 0;
#if defined(__SSE2__)
    for (; count - done >= 16; done += 16) {
        words w[4];
        memcpy(w, target + done, sizeof w);
        halves all = (halves)(w[0] | w[1] | w[2] | w[3]);
        if ((all[0] | all[1]) & 0xffffff80ffffff80u)
            break;
        octets packed =
            __builtin_ia32_packuswb128(__builtin_ia32_packssdw128(w[0], w[1]),
                                       __builtin_ia32_packssdw128(w[2], w[3]));
        memcpy(at + done, &packed, sizeof packed);
    }
#else
    (void)target, (void)count, (void)at;
#endif
    return done;
}

static size_t pack_targets(struct segment *seg)
{
    uint8_t *at = seg->leb;
    uint32_t i = 0;
    while (i < seg->target_count) {
        uint32_t small = pack_small(seg->target + i, seg->target_count - i, at);
        at += small;
        i += small;
        uint32_t left = seg->target_count - i, end = i + (left < 16 ? left : 16);
        while (i < end)
            at = put_leb128(at, seg->target[i++]);
    }
    return (size_t)(at - seg->leb);
}

void pvm_segment_finish(struct pvm_engine *e, enum pvm_segment_end end, uint32_t end_pc)
{
    struct segment *seg = &e->segment;
    enum pvm_gas_log log = e->program->log;
    if (!e->observer || !e->observer->segment ||
        (log != PVM_GAS_LOG_LEDGER && log != PVM_GAS_LOG_SUMMARY))
        return;
    struct pvm_segment out = {
        .pc = seg->pc,
        .start = seg->start,
        .n = seg->n,
        .gas = seg->gas_begin - e->state.gas,
        .end = end,
        .end_pc = end_pc,
    };
    if (log == PVM_GAS_LOG_SUMMARY) {
        out.hash = e->acc;
    } else {
        uint32_t pending = pending_outcomes(e->acc);
        if (pending)
            store_bits(seg, e->acc << (64 - pending));
        out.nbits = seg->bits_size * 8 + pending;
        out.bits = bytes_of(seg->bits, seg->bits_size + (pending + 7) / 8);
        out.targets = bytes_of(seg->leb, pack_targets(seg));
        out.extra = seg->extra;
        out.extra_count = seg->extra_count;
    }
    *e->caller = e->state;
    e->observer->segment(e->observer->self, e->caller, &out);
}
