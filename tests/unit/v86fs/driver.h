/* SPDX-License-Identifier: MIT
 *
 * A virtio driver without a CPU, which does what Linux 6.1 does, register by register
 * (v86fs.md 6.9), and the machine that its device sees: memory, a clock, the fixture of
 * world.h behind a v86fs device in slot 14.
 */
#ifndef TESTS_UNIT_V86FS_DRIVER_H
#define TESTS_UNIT_V86FS_DRIVER_H

#include "emu/virtio_pci.h"
#include "tests/unit/v86fs/world.h"
#include "v86fs/virtio_v86fs.h"

enum { DRIVER_RAM_SIZE = 1 << 20, DRIVER_EVENTS_MAX = 64 };

/* Where things are: rings of queue i, buffers, and the ports of the three BARs. */
enum {
    DRIVER_RING = 0x10000,
    DRIVER_RING_STEP = 0x1000,
    DRIVER_BUFFERS = 0x20000,
    DRIVER_COMMON = 0xf800,
    DRIVER_NOTIFY = 0xf900,
    DRIVER_ISR = 0xf700,
};

struct driver {
    struct world world;
    struct emu_pci pci;
    struct emu_virtio_pci device;
    struct v86fs_virtio_clock clock;
    struct v86fs_virtio *fs;
    uint8_t ram[DRIVER_RAM_SIZE];
    unsigned event_count; /* since the start; the first of them are kept */
    struct emu_event events[DRIVER_EVENTS_MAX];
    uint16_t posted[3]; /* heads made available, by queue */
};

/* The one of the test at hand. */
extern struct driver driver;

/* Around each test: a machine with a device that offers nothing. */
int driver_setup(void **unused);
int driver_teardown(void **unused);

/* The machine again, with other features; room for that many late requests. */
void driver_init(uint32_t features, uint32_t late_request_max);

/* Ports and configuration space. */
uint32_t driver_in(unsigned port, unsigned size);
void driver_out(unsigned port, unsigned size, uint32_t value);
uint32_t driver_config_in(unsigned slot, unsigned offset, unsigned size);
void driver_config_out(unsigned slot, unsigned offset, unsigned size, uint32_t value);

/* One line of a transcript: "W8 14=f", "R16 12:3", offsets in BAR0, all hex. */
void driver_play(const char *line);

/* The transcript of v86fs.md 6.9 up to "ready"; counts events from here. */
void driver_start(uint32_t features);

/* Little-endian words of the memory. */
void driver_store(uint32_t pa, unsigned size, uint64_t value);
uint64_t driver_load(uint32_t pa, unsigned size);

void driver_descriptor(unsigned queue, unsigned index, uint64_t address, uint32_t size,
                       unsigned flags, unsigned next);

/* Make a head available, without a kick. */
void driver_offer(unsigned queue, unsigned head);

void driver_kick(unsigned queue);

/* Where the used ring is. */
uint32_t driver_used(unsigned queue);

/* Post request `bytes` and a reply buffer at descriptors 2*slot and 2*slot+1; returns
 * where the reply comes. */
uint32_t driver_post(unsigned queue, unsigned slot, struct bytes bytes, uint32_t room);

/* A GETATTR with tag 0x1234, valid until the next. */
struct bytes driver_getattr_frame(uint64_t ino);

/* The device has stopped with `cause` and says nothing until it is reset. */
void driver_expect_error(unsigned cause);

#endif
