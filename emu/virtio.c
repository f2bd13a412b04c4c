/* SPDX-License-Identifier: MIT
 *
 * Registers of the common configuration, the status protocol and kicks; the rings are
 * in virtio_ring.c.
 */
#include "emu/virtio.h"

#include <string.h>

enum { VERSION_1 = 1 }; /* feature bit 32, in word 1 */

enum {
    DEVICE_FEATURE_SELECT = 0x00,
    DEVICE_FEATURE = 0x04,
    DRIVER_FEATURE_SELECT = 0x08,
    DRIVER_FEATURE = 0x0c,
    MSIX_CONFIG = 0x10,
    NUM_QUEUES = 0x12,
    STATUS = 0x14,
    QUEUE_SELECT = 0x16,
    QUEUE_SIZE = 0x18,
    QUEUE_MSIX = 0x1a,
    QUEUE_ENABLE = 0x1c,
    NOTIFY_OFF = 0x1e,
    DESC = 0x20,
    AVAIL = 0x28,
    USED = 0x30,
    COMMON_SIZE = 0x38,
};

static void queues_init(struct emu_virtio *virtio)
{
    memset(virtio->queue, 0, sizeof virtio->queue);
    for (unsigned i = 0; i < EMU_VIRTQ_COUNT; i++)
        virtio->queue[i].size = EMU_VIRTQ_SIZE_MAX;
}

void emu_virtio_init(struct emu_virtio *virtio)
{
    virtio->device_feature_select = virtio->driver_feature_select = 0;
    memset(virtio->driver_feature, 0, sizeof virtio->driver_feature);
    virtio->status = virtio->isr = 0;
    virtio->queue_select = 0;
    queues_init(virtio);
}

static void emit(struct emu_virtio *virtio, struct emu_event *event)
{
    event->dev = virtio->index;
    virtio->event(virtio->event_self, event);
}

/* ---- reading ---- */

static void put(uint8_t *at, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static void put_queue(const struct emu_virtio *virtio, uint8_t *bytes)
{
    const struct emu_virtq *queue = &virtio->queue[virtio->queue_select];
    put(bytes + QUEUE_SIZE, 2, queue->size);
    put(bytes + QUEUE_MSIX, 2, 0xffff);
    put(bytes + QUEUE_ENABLE, 2, queue->enabled);
    put(bytes + NOTIFY_OFF, 2, virtio->queue_select);
    put(bytes + DESC, 8, queue->desc | (uint64_t)queue->desc_high << 32);
    put(bytes + AVAIL, 8, queue->avail | (uint64_t)queue->avail_high << 32);
    put(bytes + USED, 8, queue->used | (uint64_t)queue->used_high << 32);
}

uint32_t emu_virtio_common_read(const struct emu_virtio *virtio, unsigned offset,
                                unsigned size)
{
    uint8_t bytes[COMMON_SIZE + 4] = {0};
    uint32_t select = virtio->device_feature_select, value = 0;
    if (offset >= COMMON_SIZE)
        return 0;
    put(bytes + DEVICE_FEATURE_SELECT, 4, select);
    put(bytes + DEVICE_FEATURE, 4,
        select == 0   ? virtio->features
        : select == 1 ? VERSION_1
                      : 0);
    put(bytes + DRIVER_FEATURE_SELECT, 4, virtio->driver_feature_select);
    if (virtio->driver_feature_select < 2)
        put(bytes + DRIVER_FEATURE, 4,
            virtio->driver_feature[virtio->driver_feature_select]);
    put(bytes + MSIX_CONFIG, 2, 0xffff);
    put(bytes + NUM_QUEUES, 2, EMU_VIRTQ_COUNT);
    put(bytes + STATUS, 1, virtio->status);
    put(bytes + QUEUE_SELECT, 2, virtio->queue_select);
    if (virtio->queue_select < EMU_VIRTQ_COUNT)
        put_queue(virtio, bytes);
    for (unsigned i = 0; i < size && i < 4; i++)
        value |= (uint32_t)bytes[offset + i] << 8 * i;
    return value;
}

/* ---- status ---- */

static void reset(struct emu_virtio *virtio)
{
    emu_virtio_init(virtio);
    virtio->epoch++;
    virtio->changed(virtio->bus_self);
    virtio->ops->reset(virtio->ops_self);
    emit(virtio, &(struct emu_event){.type = EMU_EVENT_virtio_reset});
}

static bool features_good(const struct emu_virtio *virtio)
{
    return !(virtio->driver_feature[0] & ~virtio->features) &&
           virtio->driver_feature[1] == VERSION_1;
}

static void ready(struct emu_virtio *virtio)
{
    struct emu_event event = {.type = EMU_EVENT_virtio_ready};
    event.features = virtio->driver_feature[0] | (uint64_t)VERSION_1 << 32;
    for (unsigned i = 0; i < EMU_VIRTQ_COUNT; i++)
        event.queue_size[i] = virtio->queue[i].size;
    emit(virtio, &event);
    virtio->ops->ready(virtio->ops_self);
}

static void set_status(struct emu_virtio *virtio, uint8_t value)
{
    uint8_t old = virtio->status;
    if (value == 0) {
        reset(virtio);
        return;
    }
    value |= old & EMU_VIRTIO_NEEDS_RESET;
    if (value & EMU_VIRTIO_FEATURES_OK && !features_good(virtio))
        value &= (uint8_t)~EMU_VIRTIO_FEATURES_OK;
    if (!(value & EMU_VIRTIO_FEATURES_OK))
        value &= (uint8_t)~EMU_VIRTIO_DRIVER_OK;
    virtio->status = value;
    if (value & ~old & EMU_VIRTIO_FEATURES_OK)
        virtio->ops->features(virtio->ops_self, virtio->driver_feature[0]);
    if (value & ~old & EMU_VIRTIO_DRIVER_OK)
        ready(virtio);
}

/* ---- queue fields ---- */

static bool area_good(const struct emu_virtio *virtio, uint32_t low, uint32_t high,
                      uint32_t align, uint32_t size)
{
    return !high && low % align == 0 && virtio->dma.in_ram(virtio->dma.self, low, size);
}

static bool rings_good(const struct emu_virtio *virtio, const struct emu_virtq *queue)
{
    uint32_t n = queue->size;
    return area_good(virtio, queue->desc, queue->desc_high, 16, 16 * n) &&
           area_good(virtio, queue->avail, queue->avail_high, 2, 6 + 2 * n) &&
           area_good(virtio, queue->used, queue->used_high, 4, 6 + 8 * n);
}

bool emu_virtio_queue_good(const struct emu_virtio *virtio, unsigned index)
{
    const struct emu_virtq *queue = &virtio->queue[index];
    return queue->size >= 2 && !(queue->size & (queue->size - 1)) &&
           (!queue->enabled || rings_good(virtio, queue));
}

static void enable(struct emu_virtio *virtio, struct emu_virtq *queue)
{
    if (queue->enabled)
        return;
    if (rings_good(virtio, queue))
        queue->enabled = true;
    else
        virtio->counters.enables_refused++;
}

static void set_queue_size(struct emu_virtq *queue, uint32_t value)
{
    if (!queue->enabled && value >= 2 && value <= EMU_VIRTQ_SIZE_MAX &&
        !(value & (value - 1)))
        queue->size = (uint16_t)value;
}

/* The address word at `offset`, or NULL. */
static uint32_t *address_word(struct emu_virtq *queue, unsigned offset)
{
    switch (offset) {
    case DESC:
        return &queue->desc;
    case DESC + 4:
        return &queue->desc_high;
    case AVAIL:
        return &queue->avail;
    case AVAIL + 4:
        return &queue->avail_high;
    case USED:
        return &queue->used;
    case USED + 4:
        return &queue->used_high;
    default:
        return NULL;
    }
}

/* False if there is no such field. */
static bool write_queue(struct emu_virtio *virtio, unsigned offset, unsigned size,
                        uint32_t value)
{
    if (virtio->queue_select >= EMU_VIRTQ_COUNT)
        return false;
    struct emu_virtq *queue = &virtio->queue[virtio->queue_select];
    uint32_t *word = address_word(queue, offset);
    if (word && size == 4) {
        if (!queue->enabled)
            *word = value;
        return true;
    }
    if (size != 2)
        return false;
    if (offset == QUEUE_SIZE)
        set_queue_size(queue, value);
    else if (offset == QUEUE_ENABLE && value == 1)
        enable(virtio, queue);
    else
        return offset == QUEUE_ENABLE || offset == QUEUE_MSIX;
    return true;
}

static void set_driver_feature(struct emu_virtio *virtio, uint32_t value)
{
    if (virtio->driver_feature_select < 2 && !(virtio->status & EMU_VIRTIO_FEATURES_OK))
        virtio->driver_feature[virtio->driver_feature_select] = value;
}

void emu_virtio_common_write(struct emu_virtio *virtio, unsigned offset, unsigned size,
                             uint32_t value)
{
    if (offset == STATUS && size == 1)
        set_status(virtio, (uint8_t)value);
    else if (offset == DEVICE_FEATURE_SELECT && size == 4)
        virtio->device_feature_select = value;
    else if (offset == DRIVER_FEATURE_SELECT && size == 4)
        virtio->driver_feature_select = value;
    else if (offset == DRIVER_FEATURE && size == 4)
        set_driver_feature(virtio, value);
    else if (offset == QUEUE_SELECT && size == 2)
        virtio->queue_select = (uint16_t)value;
    else if (!write_queue(virtio, offset, size, value))
        virtio->counters.writes_ignored++;
}

/* ---- kicks and ISR ---- */

void emu_virtio_notify_write(struct emu_virtio *virtio, unsigned offset, unsigned size,
                             uint32_t value)
{
    unsigned queue = offset / 2;
    if (size == 2 && !(offset & 1) && queue < EMU_VIRTQ_COUNT && value == queue &&
        emu_virtio_usable(virtio, queue))
        virtio->ops->kick(virtio->ops_self, queue);
    else
        virtio->counters.kicks_ignored++;
}

uint8_t emu_virtio_isr_read(struct emu_virtio *virtio)
{
    uint8_t isr = virtio->isr;
    virtio->isr = 0;
    if (isr)
        virtio->changed(virtio->bus_self);
    return isr;
}
