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
    seg->target_count = seg->packed_count = seg->leb_size = 0;
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

/* Sixteen indices; below 0x80, as is the rule, they are a byte each. */
static inline uint8_t *put_sixteen(uint8_t *at, const words index[4])
{
    uint32_t value[16];
#if defined(__SSE2__)
    halves all = (halves)(index[0] | index[1] | index[2] | index[3]);
    if (!((all[0] | all[1]) & 0xffffff80ffffff80u)) {
        octets packed =
            __builtin_ia32_packuswb128(__builtin_ia32_packssdw128(index[0], index[1]),
                                       __builtin_ia32_packssdw128(index[2], index[3]));
        memcpy(at, &packed, sizeof packed);
        return at + sizeof packed;
    }
#endif
    memcpy(value, index, sizeof value);
    for (unsigned i = 0; i < 16; i++)
        at = put_leb128(at, value[i]);
    return at;
}

/* Pack the table jumps that are not yet packed. */
static void pack_targets(struct segment *seg)
{
    const uint32_t *target = seg->target + seg->packed_count;
    const uint32_t *end = seg->target + seg->target_count;
    uint8_t *at = seg->leb + seg->leb_size;
    for (; end - target >= 16; target += 16) {
        words index[4];
        memcpy(index, target, sizeof index);
        at = put_sixteen(at, index);
    }
    while (target < end)
        at = put_leb128(at, *target++);
    seg->packed_count = seg->target_count;
    seg->leb_size = (uint32_t)(at - seg->leb);
}

void pvm_segment_pushed(struct segment *seg, const uint64_t *low, const uint64_t *high)
{
    pack_targets(seg);
    uint8_t *at = seg->leb + seg->leb_size;
    seg->target_count += (uint32_t)(high - low);
    while (high - low >= 16) {
        words index[4];
        for (unsigned k = 0; k < 4; k++) {
            words first, second;
            high -= 4;
            memcpy(&second, high, sizeof second);
            memcpy(&first, high + 2, sizeof first);
            index[k] = __builtin_shufflevector(first, second, 2, 0, 6, 4);
        }
        at = put_sixteen(at, index);
    }
    while (high > low)
        at = put_leb128(at, (uint32_t) * --high);
    seg->packed_count = seg->target_count;
    seg->leb_size = (uint32_t)(at - seg->leb);
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
        pack_targets(seg);
        out.targets = bytes_of(seg->leb, seg->leb_size);
        out.extra = seg->extra;
        out.extra_count = seg->extra_count;
    }
    *e->caller = e->state;
    e->observer->segment(e->observer->self, e->caller, &out);
}
