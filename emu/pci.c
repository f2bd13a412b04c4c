/* SPDX-License-Identifier: MIT
 *
 * The configuration space of all slots is bytes and masks; what is more than that is
 * left to the device of the slot.
 */
#include "emu/pci.h"

#include <stddef.h>
#include <string.h>

enum { ADDRESS = 0xcf8, DATA = 0xcfc, NO_ROUTE = 0x80, PIRQ = 0x60 };

/* Intel 440FX: Linux looks for a host bridge before it trusts mechanism 1. */
static const uint8_t host_reset[EMU_PCI_CONFIG_SIZE] = {
    0x86, 0x80, 0x37, 0x12, [0x08] = 0x02, [0x0b] = 0x06};
static const uint8_t host_mask[EMU_PCI_CONFIG_SIZE] = {0};

/* PIIX3: its router says which interrupt line a PIRQ is. */
static const uint8_t isa_reset[EMU_PCI_CONFIG_SIZE] = {
    0x86,          0x80,          0x00, 0x70, [0x0a] = 0x01,
    [0x0b] = 0x06, [0x60] = 0x0a, 0x0a, 0x0b, 0x0b};
static const uint8_t isa_mask[EMU_PCI_CONFIG_SIZE] = {[0x60] = 0x8f, 0x8f, 0x8f, 0x8f};

void emu_pci_add(struct emu_pci *pci, unsigned slot, const uint8_t *reset,
                 const uint8_t *mask, const struct emu_pci_ops *ops, void *self)
{
    struct emu_pci_slot *s = &pci->slot[slot];
    memcpy(s->config, reset, sizeof s->config);
    s->mask = mask;
    s->ops = ops;
    s->self = self;
}

void emu_pci_init(struct emu_pci *pci)
{
    memset(pci, 0, sizeof *pci);
    emu_pci_add(pci, 0, host_reset, host_mask, NULL, NULL);
    emu_pci_add(pci, EMU_PCI_ISA, isa_reset, isa_mask, NULL, NULL);
}

unsigned emu_pci_irq(const struct emu_pci *pci, unsigned slot)
{
    /* Pin A of slot n is PIRQ (n - 1) mod 4 (v86fs.md 6.1). */
    uint8_t route = pci->slot[EMU_PCI_ISA].config[PIRQ + ((slot + 3) & 3)];
    return route & NO_ROUTE ? 16 : route & 15;
}

uint16_t emu_pci_lines(const struct emu_pci *pci)
{
    uint32_t lines = 0;
    for (unsigned i = 0; i < EMU_PCI_SLOTS; i++) {
        if (pci->slot[i].line)
            lines |= 1u << emu_pci_irq(pci, i);
    }
    return (uint16_t)lines;
}

/* The slot that cf8 selects, or NULL. */
static struct emu_pci_slot *selected(struct emu_pci *pci)
{
    /* Enabled, bus 0, function 0. */
    if ((pci->address & 0x80ff0700) != 0x80000000)
        return NULL;
    struct emu_pci_slot *slot = &pci->slot[pci->address >> 11 & 31];
    return slot->mask ? slot : NULL;
}

static uint32_t read_config(struct emu_pci_slot *slot, unsigned offset, unsigned size)
{
    uint32_t value = 0;
    if (slot->ops && slot->ops->config_read &&
        slot->ops->config_read(slot->self, offset, size, &value))
        return value;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)slot->config[offset + i] << 8 * i;
    return value;
}

static void write_config(struct emu_pci_slot *slot, unsigned offset, unsigned size,
                         uint32_t value)
{
    if (slot->ops && slot->ops->config_write &&
        slot->ops->config_write(slot->self, offset, size, value))
        return;
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = slot->mask[offset + i], *byte = &slot->config[offset + i];
        *byte = (uint8_t)((*byte & ~mask) | ((value >> 8 * i) & mask));
    }
    if (slot->ops && slot->ops->config_changed)
        slot->ops->config_changed(slot->self);
}

/* An access may run over the end of the data port: what is behind cff is not here. */
static unsigned clip(uint16_t port, unsigned size)
{
    unsigned left = DATA + 4u - port;
    return size < left ? size : left;
}

static uint32_t ones(unsigned size)
{
    return size < 4 ? (1u << 8 * size) - 1 : UINT32_MAX;
}

uint32_t emu_pci_read(struct emu_pci *pci, uint16_t port, unsigned size)
{
    if (port == ADDRESS && size == 4)
        return pci->address;
    struct emu_pci_slot *slot = port >= DATA ? selected(pci) : NULL;
    if (!slot)
        return ones(size);
    unsigned there = clip(port, size);
    uint32_t value = read_config(slot, (pci->address & 0xfc) + (port & 3u), there);
    return value | (ones(size) & ~ones(there));
}

void emu_pci_write(struct emu_pci *pci, uint16_t port, unsigned size, uint32_t value)
{
    if (port == ADDRESS && size == 4)
        pci->address = value & 0x80fffffc;
    struct emu_pci_slot *slot = port >= DATA ? selected(pci) : NULL;
    if (slot)
        write_config(slot, (pci->address & 0xfc) + (port & 3u), clip(port, size),
                     value);
}
