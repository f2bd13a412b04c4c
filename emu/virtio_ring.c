/* SPDX-License-Identifier: MIT
 *
 * Split virtqueues in guest memory (virtio 1.2, 2.7; v86fs.md 6.6 to 6.8).
 *
 * The driver may change the rings at any time, but the guest stands still during a
 * kick; even so every word is read once and checked after it was read.
 */
#include "emu/virtio.h"

#include <string.h>

enum { F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4, AVAIL_NO_INTERRUPT = 1 };

static uint16_t read16(struct emu_virtio *virtio, uint32_t pa)
{
    uint8_t b[2];
    virtio->dma.read(virtio->dma.self, pa, b, 2);
    return (uint16_t)(b[0] | b[1] << 8);
}

static uint64_t load(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static void store(uint8_t *at, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

bool emu_virtio_usable(const struct emu_virtio *virtio, unsigned queue)
{
    return virtio->status & EMU_VIRTIO_DRIVER_OK &&
           !(virtio->status & EMU_VIRTIO_NEEDS_RESET) && virtio->queue[queue].enabled &&
           virtio->master(virtio->bus_self);
}

static void raise_isr(struct emu_virtio *virtio, uint8_t bits)
{
    virtio->isr |= bits;
    virtio->changed(virtio->bus_self);
}

/* What was executed is published, then the device is silent until a reset (6.7). */
static void ring_error(struct emu_virtio *virtio, unsigned queue, unsigned cause)
{
    emu_virtio_flush(virtio, queue);
    virtio->status |= EMU_VIRTIO_NEEDS_RESET;
    raise_isr(virtio, EMU_VIRTIO_ISR_CONFIG);
    virtio->event(virtio->event_self,
                  &(struct emu_event){.type = EMU_EVENT_virtio_error,
                                      .dev = virtio->index,
                                      .cause = cause});
}

unsigned emu_virtio_available(struct emu_virtio *virtio, unsigned queue)
{
    struct emu_virtq *q = &virtio->queue[queue];
    uint16_t count = (uint16_t)(read16(virtio, q->avail + 2) - q->last_avail);
    if (count <= q->size)
        return count;
    ring_error(virtio, queue, EMU_VIRTIO_INDEX);
    return 0;
}

/* ---- chains ---- */

/* Add the descriptor's buffer to the chain; 0 or a cause. */
static unsigned add_segment(struct emu_virtio *virtio, struct emu_chain *chain,
                            const uint8_t descriptor[16])
{
    uint64_t address = load(descriptor, 8);
    uint32_t size = (uint32_t)load(descriptor + 8, 4);
    unsigned flags = (unsigned)load(descriptor + 12, 2);
    if (flags & F_INDIRECT)
        return EMU_VIRTIO_INDIRECT;
    if (address >> 32 || (size && !virtio->dma.in_ram(virtio->dma.self, address, size)))
        return EMU_VIRTIO_ADDRESS;
    if (!(flags & F_WRITE) && chain->write_count)
        return EMU_VIRTIO_DIRECTION;
    chain->segment[chain->read_count + chain->write_count] =
        (struct emu_chain_part){.address = (uint32_t)address, .size = size};
    if (flags & F_WRITE) {
        chain->write_count++;
        chain->write_size += size;
    } else {
        chain->read_count++;
        chain->read_size += size;
    }
    return 0;
}

/* Walk the chain from its head; 0 or a cause. */
static unsigned walk(struct emu_virtio *virtio, const struct emu_virtq *q,
                     struct emu_chain *chain)
{
    unsigned index = chain->head;
    for (unsigned length = 0; length < q->size; length++) {
        uint8_t descriptor[16];
        virtio->dma.read(virtio->dma.self, q->desc + 16 * index, descriptor, 16);
        unsigned cause = add_segment(virtio, chain, descriptor);
        if (cause)
            return cause;
        if (!(descriptor[12] & F_NEXT))
            return 0;
        index = (unsigned)load(descriptor + 14, 2);
        if (index >= q->size)
            return EMU_VIRTIO_NEXT;
    }
    return EMU_VIRTIO_LOOP;
}

static bool is_held(const struct emu_virtq *q, unsigned head)
{
    return q->held[head / 64] >> head % 64 & 1;
}

bool emu_virtio_pop(struct emu_virtio *virtio, unsigned queue, struct emu_chain *ret)
{
    struct emu_virtq *q = &virtio->queue[queue];
    uint16_t slot = q->last_avail & (uint16_t)(q->size - 1);
    unsigned cause;
    ret->head = read16(virtio, q->avail + 4 + 2u * slot);
    ret->read_count = ret->write_count = 0;
    ret->read_size = ret->write_size = 0;
    q->last_avail++;
    if (ret->head >= q->size)
        cause = EMU_VIRTIO_HEAD;
    else if (is_held(q, ret->head))
        cause = EMU_VIRTIO_DUPLICATE;
    else
        cause = walk(virtio, q, ret);
    if (cause)
        ring_error(virtio, queue, cause);
    return !cause;
}

void emu_virtio_gather(struct emu_virtio *virtio, const struct emu_chain *chain,
                       uint8_t *to, size_t size)
{
    for (unsigned i = 0; i < chain->read_count && size; i++) {
        size_t part = chain->segment[i].size;
        if (part > size)
            part = size;
        if (part)
            virtio->dma.read(virtio->dma.self, chain->segment[i].address, to, part);
        to += part;
        size -= part;
    }
}

void emu_virtio_scatter(struct emu_virtio *virtio, const struct emu_chain *chain,
                        struct bytes data)
{
    const struct emu_chain_part *segment = chain->segment + chain->read_count;
    for (unsigned i = 0; i < chain->write_count && data.size; i++) {
        size_t part = segment[i].size;
        if (part > data.size)
            part = data.size;
        if (part)
            virtio->dma.write(virtio->dma.self, segment[i].address, data.data, part);
        data = bytes_of(data.data + part, data.size - part);
    }
}

/* ---- used ring ---- */

void emu_virtio_hold(struct emu_virtio *virtio, unsigned queue, unsigned head)
{
    virtio->queue[queue].held[head / 64] |= UINT64_C(1) << head % 64;
}

void emu_virtio_push(struct emu_virtio *virtio, unsigned queue, unsigned head,
                     uint32_t size)
{
    struct emu_virtq *q = &virtio->queue[queue];
    uint8_t element[8];
    uint32_t slot = (uint32_t)(q->used_index + q->staged) & (q->size - 1u);
    store(element, 4, head);
    store(element + 4, 4, size);
    virtio->dma.write(virtio->dma.self, q->used + 4 + 8 * slot, element, 8);
    q->staged++;
    q->held[head / 64] &= ~(UINT64_C(1) << head % 64);
}

void emu_virtio_flush(struct emu_virtio *virtio, unsigned queue)
{
    struct emu_virtq *q = &virtio->queue[queue];
    struct emu_event event = {.type = EMU_EVENT_virtio_flush, .dev = virtio->index};
    uint8_t index[2];
    if (!q->staged)
        return;
    event.queue = queue;
    event.count = q->staged;
    q->used_index = (uint16_t)(q->used_index + q->staged);
    q->staged = 0;
    store(index, 2, q->used_index);
    virtio->dma.write(virtio->dma.self, q->used + 2, index, 2);
    if (!(read16(virtio, q->avail) & AVAIL_NO_INTERRUPT))
        raise_isr(virtio, EMU_VIRTIO_ISR_QUEUE);
    event.used_index = q->used_index;
    event.isr = virtio->isr;
    virtio->event(virtio->event_self, &event);
}
