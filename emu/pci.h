/* SPDX-License-Identifier: MIT
 *
 * emu/pci.h - PCI configuration mechanism 1 and interrupt routing (machine.md 2.9).
 *
 * One bus, function 0 of 32 slots.  Slot 0 is the host bridge, slot 1 the ISA bridge
 * whose registers 60-63 route PIRQ A-D to interrupt lines.  Writes reach only the bits
 * of a slot's mask; anything that is not there reads all ones.
 */
#ifndef EMU_PCI_H
#define EMU_PCI_H

#include <stdbool.h>
#include <stdint.h>

enum { EMU_PCI_SLOTS = 32, EMU_PCI_CONFIG_SIZE = 256, EMU_PCI_ISA = 1 };

/* What a device does besides holding bytes; entries may be NULL. */
struct emu_pci_ops {
    /* Answer a read or write of a whole access in the device's own way; false: it is
     * bytes like all others. */
    bool (*config_read)(void *self, unsigned offset, unsigned size, uint32_t *ret);
    bool (*config_write)(void *self, unsigned offset, unsigned size, uint32_t value);
    void (*config_changed)(void *self); /* bytes were written */
};

struct emu_pci_slot {
    /* state */
    uint8_t config[EMU_PCI_CONFIG_SIZE];
    bool line; /* level of INTA, derived by the device */
    /* wiring */
    const uint8_t *mask; /* EMU_PCI_CONFIG_SIZE bytes; NULL: the slot is empty */
    const struct emu_pci_ops *ops;
    void *self;
};

struct emu_pci {
    uint32_t address; /* cf8 */
    struct emu_pci_slot slot[EMU_PCI_SLOTS];
};

/* Only the two bridges are there. */
void emu_pci_init(struct emu_pci *pci);

/* Put a function into a slot: its reset bytes and writable bits, borrowed. */
void emu_pci_add(struct emu_pci *pci, unsigned slot, const uint8_t *reset,
                 const uint8_t *mask, const struct emu_pci_ops *ops, void *self);

/* The interrupt line that the slot's pin A is routed to now, or 16 for none. */
unsigned emu_pci_irq(const struct emu_pci *pci, unsigned slot);

/* The lines that the slots drive high now, a bit each. */
uint16_t emu_pci_lines(const struct emu_pci *pci);

/* Ports cf8 and cfc-cff; `size` 1, 2 or 4.  cf8 is a dword or nothing. */
uint32_t emu_pci_read(struct emu_pci *pci, uint16_t port, unsigned size);
void emu_pci_write(struct emu_pci *pci, uint16_t port, unsigned size, uint32_t value);

#endif
