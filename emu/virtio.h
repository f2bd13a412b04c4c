/* SPDX-License-Identifier: MIT
 *
 * emu/virtio.h - a virtio device behind registers and split virtqueues (v86fs.md 6).
 *
 * It knows guest memory through a table, queues and status; it knows neither the PCI
 * function in front of it (emu/virtio_pci.h) nor what the frames in the queues mean
 * (v86fs/virtio_v86fs.c).  The order of its accesses to guest memory is fixed by
 * v86fs.md 6.8.
 *
 * Nothing that a driver writes can make it fail: a broken ring sets NEEDS_RESET.
 * Source of the rules: virtio 1.2, chapters 2 and 4.1; differences in v86fs.md 6.
 */
#ifndef EMU_VIRTIO_H
#define EMU_VIRTIO_H

#include "emu/host.h"

#include <stddef.h>

enum { EMU_VIRTQ_COUNT = 3, EMU_VIRTQ_SIZE_MAX = 128 };

/* Guest memory as devices see it.  `in_ram`: are all `size` bytes at `pa` memory?  The
 * others are called with such ranges only, of at least one byte. */
struct emu_dma {
    void *self;
    bool (*in_ram)(void *self, uint64_t pa, uint64_t size);
    void (*read)(void *self, uint32_t pa, void *to, size_t size);
    void (*write)(void *self, uint32_t pa, const void *from, size_t size);
};

/* device_status bits. */
enum {
    EMU_VIRTIO_FEATURES_OK = 0x08,
    EMU_VIRTIO_DRIVER_OK = 0x04,
    EMU_VIRTIO_NEEDS_RESET = 0x40,
};

enum { EMU_VIRTIO_ISR_QUEUE = 1, EMU_VIRTIO_ISR_CONFIG = 2 };

/* Causes of virtio.error (6.7). */
enum emu_virtio_cause {
    EMU_VIRTIO_INDEX = 1,     /* avail.idx ran ahead of the ring */
    EMU_VIRTIO_HEAD = 2,      /* head outside the table */
    EMU_VIRTIO_NEXT = 3,      /* next outside the table */
    EMU_VIRTIO_LOOP = 4,      /* chain longer than the table */
    EMU_VIRTIO_INDIRECT = 5,  /* not offered */
    EMU_VIRTIO_DIRECTION = 6, /* readable behind writable */
    EMU_VIRTIO_ADDRESS = 7,   /* not in RAM */
    EMU_VIRTIO_DUPLICATE = 8, /* the head is still pending */
};

struct emu_virtq {
    uint32_t desc, avail, used;                /* low words of the addresses */
    uint32_t desc_high, avail_high, used_high; /* stored; must be 0 to enable */
    uint16_t size;
    uint16_t last_avail;
    uint16_t used_index;
    uint16_t staged; /* used elements not published yet; 0 outside a kick */
    bool enabled;
    uint64_t held[EMU_VIRTQ_SIZE_MAX / 64]; /* heads that are answered later */
};

/* Diagnostics, no part of the state. */
struct emu_virtio_counters {
    uint64_t kicks_ignored, writes_ignored, enables_refused;
};

/* What is behind the queues.  `self` is the device's. */
struct emu_virtio_ops {
    void (*features)(void *self, uint32_t features); /* FEATURES_OK was accepted */
    void (*ready)(void *self);                       /* DRIVER_OK has risen */
    void (*reset)(void *self);                       /* status 0 was written */
    void (*kick)(void *self, unsigned queue);
    /* Append the state behind the queues, which is nothing while nothing is in flight;
     * and take it over again, behind the queues' own: hostile, false if it makes no
     * sense.  Both may be NULL. */
    void (*save)(void *self, struct buf *buf);
    bool (*load)(void *self, struct bytes state);
};

struct emu_virtio {
    /* state */
    uint32_t device_feature_select, driver_feature_select;
    uint32_t driver_feature[2];
    uint8_t status, isr;
    uint16_t queue_select;
    uint64_t epoch; /* raised by each reset */
    struct emu_virtq queue[EMU_VIRTQ_COUNT];

    /* wiring, set before the guest runs */
    uint32_t index;    /* `dev` of its events */
    uint32_t features; /* extension bits offered (0..23) */
    struct emu_dma dma;
    const struct emu_virtio_ops *ops;
    void *ops_self;
    bool (*master)(void *self);  /* may it touch guest memory? */
    void (*changed)(void *self); /* ISR has changed */
    void *bus_self;
    void (*event)(void *self, const struct emu_event *event);
    void *event_self;

    struct emu_virtio_counters counters;
};

/* Registers to their reset values; wiring and epoch stay. */
void emu_virtio_init(struct emu_virtio *virtio);

/* Can a queue have these fields: a size that a driver can set and, if it is enabled,
 * rings in RAM?  For state from outside. */
bool emu_virtio_queue_good(const struct emu_virtio *virtio, unsigned queue);

/* Common configuration: the little-endian bytes at `offset`; writes of a whole field
 * (6.2). */
uint32_t emu_virtio_common_read(const struct emu_virtio *virtio, unsigned offset,
                                unsigned size);
void emu_virtio_common_write(struct emu_virtio *virtio, unsigned offset, unsigned size,
                             uint32_t value);

/* A write to the notification structure (6.4). */
void emu_virtio_notify_write(struct emu_virtio *virtio, unsigned offset, unsigned size,
                             uint32_t value);

/* Read and clear ISR (6.5). */
uint8_t emu_virtio_isr_read(struct emu_virtio *virtio);

/* ---- for the device behind it ---- */

struct emu_chain_part {
    uint32_t address, size;
};

/* One chain, checked: first the readable segments, then the writable ones. */
struct emu_chain {
    uint16_t head;
    uint16_t read_count, write_count;
    uint64_t read_size, write_size;
    struct emu_chain_part segment[EMU_VIRTQ_SIZE_MAX];
};

/* May the queue be used now: enabled, driver ready, ring sane, bus master on? */
bool emu_virtio_usable(const struct emu_virtio *virtio, unsigned queue);

/* Chains the driver has made available, avail.idx read once; 0 also after a ring
 * error. */
unsigned emu_virtio_available(struct emu_virtio *virtio, unsigned queue);

/* Take one of them.  False: the ring is broken, the kick is over. */
bool emu_virtio_pop(struct emu_virtio *virtio, unsigned queue, struct emu_chain *ret);

/* Copy the first `size` readable bytes out, or `data` into the writable ones; at most
 * what the chain has. */
void emu_virtio_gather(struct emu_virtio *virtio, const struct emu_chain *chain,
                       uint8_t *to, size_t size);
void emu_virtio_scatter(struct emu_virtio *virtio, const struct emu_chain *chain,
                        struct bytes data);

/* Write a used element, not yet visible; then publish all of them (6.8 step 3). */
void emu_virtio_push(struct emu_virtio *virtio, unsigned queue, unsigned head,
                     uint32_t size);
void emu_virtio_flush(struct emu_virtio *virtio, unsigned queue);

/* The chain stays with the device; emu_virtio_push() gives it back. */
void emu_virtio_hold(struct emu_virtio *virtio, unsigned queue, unsigned head);

#endif
