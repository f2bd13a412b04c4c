/* SPDX-License-Identifier: MIT
 *
 * Configuration bytes, BAR decoding, INTx and the PCI_CFG window.
 */
#include "emu/virtio_pci.h"

#include <string.h>

enum {
    COMMAND = 0x04,
    STATUS = 0x06,
    CLASS = 0x09,
    BAR = 0x10,
    LINE = 0x3c,
    WINDOW_BAR = 0x78,
    WINDOW_OFFSET = 0x7c,
    WINDOW_SIZE = 0x80,
    WINDOW_DATA = 0x84,
};
enum { IO = 0x01, MASTER = 0x04, INTX_OFF = 0x04 }; /* the last in byte 5 */
enum { BAR_COUNT = 3 };

static const uint8_t bar_size[BAR_COUNT] = {64, 16, 16};

static const uint8_t reset_bytes[EMU_PCI_CONFIG_SIZE] = {
    /* 00 */ 0xf4,
    0x1a,
    0x7f,
    0x10,
    0,
    0,
    0x10,
    0,
    0x01,
    0x00,
    0x80,
    0x01,
    0,
    0,
    0,
    0,
    /* 10 */ 0x01,
    0,
    0,
    0,
    0x01,
    0,
    0,
    0,
    0x01,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    /* 20 */ 0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0xf4,
    0x1a,
    0x3f,
    0x00,
    /* 30 */ 0,
    0,
    0,
    0,
    0x40,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0x01,
    0,
    0,
    /* 40: COMMON_CFG */ 0x09,
    0x50,
    0x10,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0x40,
    0,
    0,
    0,
    /* 50: NOTIFY_CFG */ 0x09,
    0x64,
    0x14,
    2,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0x10,
    0,
    0,
    0,
    /* 60: its multiplier */ 2,
    0,
    0,
    0,
    /* 64: ISR_CFG */ 0x09,
    0x74,
    0x10,
    3,
    2,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0x10,
    0,
    0,
    0,
    /* 74: PCI_CFG */ 0x09,
    0x00,
    0x14,
    5};

static const uint8_t mask_bytes[EMU_PCI_CONFIG_SIZE] = {[COMMAND] = 0x07,
                                                        0x05,
                                                        [0x0c] = 0xff,
                                                        0xff,
                                                        [BAR] = 0xc0,
                                                        0xff,
                                                        0xff,
                                                        0xff,
                                                        0xf0,
                                                        0xff,
                                                        0xff,
                                                        0xff,
                                                        0xf0,
                                                        0xff,
                                                        0xff,
                                                        0xff,
                                                        [LINE] = 0xff,
                                                        [WINDOW_BAR] = 0xff,
                                                        [WINDOW_OFFSET] = 0xff,
                                                        0xff,
                                                        0xff,
                                                        0xff,
                                                        0xff,
                                                        0xff,
                                                        0xff,
                                                        0xff};

static uint32_t load(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

static uint8_t *config(const struct emu_virtio_pci *device)
{
    return device->pci->slot[device->slot].config;
}

void emu_virtio_pci_update(struct emu_virtio_pci *device)
{
    struct emu_pci_slot *slot = &device->pci->slot[device->slot];
    bool pending = device->virtio.isr != 0;
    slot->config[STATUS] = (uint8_t)(0x10 | pending << 3);
    slot->line = pending && !(slot->config[COMMAND + 1] & INTX_OFF);
    if (device->lines_changed)
        device->lines_changed(device->lines_self);
}

/* ---- structures ---- */

static uint32_t ones(unsigned size)
{
    return size < 4 ? (1u << 8 * size) - 1 : UINT32_MAX;
}

static uint32_t bar_read(struct emu_virtio_pci *device, unsigned bar, unsigned offset,
                         unsigned size)
{
    if (bar == 0)
        return emu_virtio_common_read(&device->virtio, offset, size);
    if (bar == 1)
        return ones(size);
    return offset == 0 && size == 1 ? emu_virtio_isr_read(&device->virtio) : 0;
}

static void bar_write(struct emu_virtio_pci *device, unsigned bar, unsigned offset,
                      unsigned size, uint32_t value)
{
    if (bar == 0)
        emu_virtio_common_write(&device->virtio, offset, size, value);
    else if (bar == 1)
        emu_virtio_notify_write(&device->virtio, offset, size, value);
}

/* The BAR that decodes a port, or BAR_COUNT. */
static unsigned decode(const struct emu_virtio_pci *device, uint16_t port,
                       unsigned *ret_offset)
{
    const uint8_t *bytes = config(device);
    if (!(bytes[COMMAND] & IO))
        return BAR_COUNT;
    for (unsigned i = 0; i < BAR_COUNT; i++) {
        uint32_t base = load(bytes + BAR + 4 * i) & ~UINT32_C(3);
        if (base <= port && port - base < bar_size[i]) {
            *ret_offset = port - base;
            return i;
        }
    }
    return BAR_COUNT;
}

/* An access that leaves its BAR reads zeros or writes nothing behind it: the offsets
 * there belong to no field. */
bool emu_virtio_pci_read(struct emu_virtio_pci *device, uint16_t port, unsigned size,
                         uint32_t *ret_value)
{
    unsigned offset, bar = decode(device, port, &offset);
    if (bar < BAR_COUNT)
        *ret_value = bar_read(device, bar, offset, size);
    return bar < BAR_COUNT;
}

bool emu_virtio_pci_write(struct emu_virtio_pci *device, uint16_t port, unsigned size,
                          uint32_t value)
{
    unsigned offset, bar = decode(device, port, &offset);
    if (bar < BAR_COUNT)
        bar_write(device, bar, offset, size, value);
    return bar < BAR_COUNT;
}

/* ---- configuration space ---- */

/* Where the PCI_CFG window looks; false while it looks at nothing. */
static bool window(const struct emu_virtio_pci *device, unsigned *ret_bar,
                   unsigned *ret_offset, unsigned *ret_size)
{
    const uint8_t *bytes = config(device);
    uint32_t offset = load(bytes + WINDOW_OFFSET), size = load(bytes + WINDOW_SIZE);
    *ret_bar = bytes[WINDOW_BAR];
    *ret_offset = offset;
    *ret_size = size;
    return *ret_bar < BAR_COUNT && (size == 1 || size == 2 || size == 4) &&
           offset < bar_size[*ret_bar] && size <= bar_size[*ret_bar] - offset;
}

static bool config_read(void *self, unsigned offset, unsigned size, uint32_t *ret)
{
    struct emu_virtio_pci *device = self;
    unsigned bar, at, width;
    if (offset != WINDOW_DATA || !window(device, &bar, &at, &width))
        return false;
    *ret = bar_read(device, bar, at, width) & ones(size);
    return true;
}

static bool config_write(void *self, unsigned offset, unsigned size, uint32_t value)
{
    struct emu_virtio_pci *device = self;
    unsigned bar, at, width;
    if (offset != WINDOW_DATA || !window(device, &bar, &at, &width))
        return false;
    bar_write(device, bar, at, width, value & ones(size) & ones(width));
    return true;
}

static void config_changed(void *self)
{
    emu_virtio_pci_update(self);
}

static const struct emu_pci_ops pci_ops = {config_read, config_write, config_changed};

/* ---- wiring ---- */

static bool master(void *self)
{
    return config(self)[COMMAND] & MASTER;
}

static void changed(void *self)
{
    emu_virtio_pci_update(self);
}

void emu_virtio_pci_options_init(struct emu_virtio_pci_options *options, uint32_t index)
{
    uint16_t room = (uint16_t)(0x40 * index);
    *options = (struct emu_virtio_pci_options){
        .slot = 0x0e - index,
        .bar = {(uint16_t)(0xf800 + room), (uint16_t)(0xf900 + room),
                (uint16_t)(0xf700 + room)},
        .class_code = 0x018000,
        .index = index,
    };
}

void emu_virtio_pci_init(struct emu_virtio_pci *device, struct emu_pci *pci,
                         const struct emu_virtio_pci_options *options)
{
    device->pci = pci;
    device->slot = options->slot;
    emu_pci_add(pci, options->slot, reset_bytes, mask_bytes, &pci_ops, device);
    uint8_t *bytes = config(device);
    for (unsigned i = 0; i < BAR_COUNT; i++) {
        bytes[BAR + 4 * i] = (uint8_t)(options->bar[i] | 1);
        bytes[BAR + 4 * i + 1] = (uint8_t)(options->bar[i] >> 8);
    }
    for (unsigned i = 0; i < 3; i++)
        bytes[CLASS + i] = (uint8_t)(options->class_code >> 8 * i);
    bytes[LINE] = (uint8_t)emu_pci_irq(pci, options->slot);
    device->virtio.features = options->features;
    device->virtio.index = options->index;
    device->virtio.master = master;
    device->virtio.changed = changed;
    device->virtio.bus_self = device;
    emu_virtio_init(&device->virtio);
}
