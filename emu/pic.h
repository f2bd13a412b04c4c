/* SPDX-License-Identifier: MIT
 *
 * emu/pic.h - the pair of 8259A interrupt controllers (machine.md 2.5).
 *
 * Master at ports 20 and 21, slave at a0 and a1 on line 2 of the master, trigger modes
 * (ELCR) at 4d0 and 4d1.  Source of the rules: Intel 8259A data sheet 231468; the ELCR
 * as in Intel's PIIX 290550, 2.5.
 *
 * An edge request lasts while its line is high; if it falls before the acknowledge, the
 * controller answers line 7, the spurious interrupt.  No clock, no memory of its own.
 */
#ifndef EMU_PIC_H
#define EMU_PIC_H

#include <stdbool.h>
#include <stdint.h>

struct emu_pic {
    uint8_t lines;     /* levels of the inputs */
    uint8_t irr;       /* requests, latched (edge) or followed (level) */
    uint8_t isr;       /* in service */
    uint8_t imr;       /* masked; ff after a reset */
    uint8_t elcr;      /* 1: level triggered */
    uint8_t base;      /* ICW2: vector of line 0 */
    uint8_t cascade;   /* ICW3, stored only: the wiring is fixed */
    uint8_t lowest;    /* the line of lowest priority, 7 unless rotated */
    uint8_t icw_next;  /* 2..4 while initialising: the word that comes next; else 0 */
    bool ready;        /* initialised once */
    bool icw4_follows; /* bit 0 of ICW1 */
    bool single;       /* bit 1 of ICW1: no ICW3 */
    bool level_all;    /* bit 3 of ICW1: all lines level triggered */
    bool auto_eoi;     /* ICW4 bit 1 */
    bool nested_fully; /* ICW4 bit 4 */
    bool rotate_aeoi;  /* OCW2: rotate at automatic end of interrupt */
    bool special_mask; /* OCW3 */
    bool poll;         /* the next read of port 0 is a poll */
    bool read_isr;     /* port 0 reads ISR, else IRR */
};

struct emu_pics {
    struct emu_pic master, slave;
};

/* Power-on state: nothing initialised, every line masked and low. */
void emu_pics_reset(struct emu_pics *pics);

/* Set the level of IRQ 0..15 (2 is the cascade and has no other source). */
void emu_pics_set_line(struct emu_pics *pics, unsigned irq, bool level);

/* Does the master ask the CPU for an interrupt? */
bool emu_pics_intr(const struct emu_pics *pics);

/* The CPU acknowledges: the vector; *ret_irq is the line 0..15 it belongs to, 7 or 15
 * also when it is spurious. */
uint8_t emu_pics_acknowledge(struct emu_pics *pics, unsigned *ret_irq);

/* Ports 20 21 a0 a1 4d0 4d1.  Reads of a poll acknowledge. */
uint8_t emu_pics_read(struct emu_pics *pics, uint16_t port);
void emu_pics_write(struct emu_pics *pics, uint16_t port, uint8_t value);

#endif
