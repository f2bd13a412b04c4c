/* SPDX-License-Identifier: MIT
 *
 * emu/virtio_pci.h - the PCI function in front of a virtio device (v86fs.md 6.1).
 *
 * A modern device with its structures in three I/O BARs: common configuration,
 * notification, ISR.  INTx only.
 */
#ifndef EMU_VIRTIO_PCI_H
#define EMU_VIRTIO_PCI_H

#include "emu/pci.h"
#include "emu/virtio.h"

struct emu_virtio_pci {
    struct emu_virtio virtio;
    struct emu_pci *pci;
    unsigned slot;
    void (*lines_changed)(void *self); /* the level of INTA may have changed */
    void *lines_self;
};

struct emu_virtio_pci_options {
    unsigned slot;       /* 2..31; the first device's is 0e */
    uint16_t bar[3];     /* I/O addresses after reset */
    uint32_t class_code; /* 018000, or 000200 */
    uint32_t features;   /* extension bits offered */
    uint32_t index;      /* `dev` of events */
};

/* Options of device `index`: slot 0e - index, class 018000, BARs that do not meet. */
void emu_virtio_pci_options_init(struct emu_virtio_pci_options *options,
                                 uint32_t index);

/* Put the function into its slot.  dma, ops and event of device->virtio are set by the
 * caller before the guest runs. */
void emu_virtio_pci_init(struct emu_virtio_pci *device, struct emu_pci *pci,
                         const struct emu_virtio_pci_options *options);

/* An access to an I/O port; false if no BAR of this function decodes it. */
bool emu_virtio_pci_read(struct emu_virtio_pci *device, uint16_t port, unsigned size,
                         uint32_t *ret_value);
bool emu_virtio_pci_write(struct emu_virtio_pci *device, uint16_t port, unsigned size,
                          uint32_t value);

/* Recompute the line and status from ISR, after loading a state. */
void emu_virtio_pci_update(struct emu_virtio_pci *device);

#endif
