/* SPDX-License-Identifier: MIT
 *
 * Two 8259A as one device: the slave's output is line 2 of the master after every
 * change, so nobody else has to know of the cascade.
 */
#include "emu/pic.h"

#include <string.h>

enum { CASCADE = 2, NONE = 8 };

/* The bits of ELCR that can be set: 0, 1, 2, 8 and 13 are edge triggered for ever. */
enum { ELCR_MASTER = 0xf8, ELCR_SLAVE = 0xde };

static uint8_t bit(unsigned line)
{
    return (uint8_t)(1u << line);
}

static bool is_level(const struct emu_pic *pic, unsigned line)
{
    return pic->level_all || (pic->elcr & bit(line));
}

/* The line of highest priority in `set`, NONE if it is empty. */
static unsigned first_of(const struct emu_pic *pic, uint8_t set)
{
    for (unsigned i = 1; i <= 8; i++) {
        unsigned line = (pic->lowest + i) & 7;
        if (set & bit(line))
            return line;
    }
    return NONE;
}

static unsigned rank(const struct emu_pic *pic, unsigned line)
{
    return line == NONE ? NONE : (line - pic->lowest - 1) & 7;
}

/* The request that would be acknowledged now, or NONE. */
static unsigned request(const struct emu_pic *pic, bool is_master)
{
    if (!pic->ready || pic->icw_next)
        return NONE;
    unsigned line = first_of(pic, pic->irr & (uint8_t)~pic->imr);
    uint8_t served = pic->isr;
    if (pic->special_mask)
        served &= (uint8_t)~pic->imr;
    /* Fully nested: the slave may interrupt its own service. */
    if (pic->nested_fully && is_master && line == CASCADE)
        served &= (uint8_t)~bit(CASCADE);
    return rank(pic, line) < rank(pic, first_of(pic, served)) ? line : NONE;
}

static void set_line(struct emu_pic *pic, unsigned line, bool level)
{
    bool was = pic->lines & bit(line);
    if (level) {
        pic->lines |= bit(line);
        if (!was || is_level(pic, line))
            pic->irr |= bit(line);
    } else {
        pic->lines &= (uint8_t)~bit(line);
        pic->irr &= (uint8_t)~bit(line);
    }
}

static void update_cascade(struct emu_pics *pics)
{
    bool wanted = request(&pics->slave, false) != NONE;
    if (wanted != (bool)(pics->master.lines & bit(CASCADE)))
        set_line(&pics->master, CASCADE, wanted);
}

static void reset(struct emu_pic *pic, uint8_t elcr)
{
    *pic = (struct emu_pic){.imr = 0xff, .lowest = 7, .elcr = elcr};
}

void emu_pics_reset(struct emu_pics *pics)
{
    reset(&pics->master, 0x00);
    reset(&pics->slave, 0x0c); /* IRQ 10 and 11: PCI (machine.md 2.4) */
}

void emu_pics_set_line(struct emu_pics *pics, unsigned irq, bool level)
{
    if (irq >= 8)
        set_line(&pics->slave, irq - 8, level);
    else if (irq != CASCADE)
        set_line(&pics->master, irq, level);
    update_cascade(pics);
}

bool emu_pics_intr(const struct emu_pics *pics)
{
    return request(&pics->master, true) != NONE;
}

/* Take the request into service.  A slave that interrupted again while the master's
 * line stayed high is offered anew by update_cascade(). */
static void take(struct emu_pic *pic, unsigned line)
{
    if (!is_level(pic, line))
        pic->irr &= (uint8_t)~bit(line);
    if (!pic->auto_eoi)
        pic->isr |= bit(line);
    else if (pic->rotate_aeoi)
        pic->lowest = (uint8_t)line;
}

/* The cascade request follows the slave's output, it is no edge of its own: after the
 * acknowledge of one slave line another one may be waiting. */
static void settle(struct emu_pics *pics)
{
    set_line(&pics->master, CASCADE, false);
    update_cascade(pics);
}

static uint8_t acknowledge_slave(struct emu_pics *pics, unsigned *ret_irq)
{
    unsigned line = request(&pics->slave, false);
    if (line != NONE)
        take(&pics->slave, line);
    else
        line = 7;
    settle(pics);
    *ret_irq = 8 + line;
    return (uint8_t)(pics->slave.base + line);
}

uint8_t emu_pics_acknowledge(struct emu_pics *pics, unsigned *ret_irq)
{
    unsigned line = request(&pics->master, true);
    if (line == NONE) {
        *ret_irq = 7;
        return (uint8_t)(pics->master.base + 7);
    }
    take(&pics->master, line);
    if (line == CASCADE)
        return acknowledge_slave(pics, ret_irq);
    *ret_irq = line;
    return (uint8_t)(pics->master.base + line);
}

/* ---- ports ---- */

/* A poll is an acknowledge without a vector (data sheet, "Poll Command"). */
static uint8_t poll(struct emu_pics *pics, struct emu_pic *pic)
{
    unsigned line = request(pic, pic == &pics->master);
    pic->poll = false;
    if (line == NONE)
        return 0x07;
    take(pic, line);
    settle(pics);
    return (uint8_t)(0x80 | line);
}

static void icw1(struct emu_pic *pic, uint8_t value)
{
    struct emu_pic fresh = {.lines = pic->lines, .elcr = pic->elcr, .lowest = 7};
    fresh.icw4_follows = value & 0x01;
    fresh.single = value & 0x02;
    fresh.level_all = value & 0x08;
    fresh.icw_next = 2;
    fresh.ready = true;
    /* The edge detector is cleared; a level that is high is a request again. */
    fresh.irr = fresh.level_all ? fresh.lines : (uint8_t)(fresh.lines & fresh.elcr);
    *pic = fresh;
}

static void icw_more(struct emu_pic *pic, uint8_t value)
{
    unsigned word = pic->icw_next;
    if (word == 2) {
        pic->base = value & 0xf8;
        pic->icw_next = !pic->single ? 3 : pic->icw4_follows ? 4 : 0;
    } else if (word == 3) {
        pic->cascade = value;
        pic->icw_next = pic->icw4_follows ? 4 : 0;
    } else {
        pic->auto_eoi = value & 0x02;
        pic->nested_fully = value & 0x10;
        pic->icw_next = 0;
    }
}

static void ocw2(struct emu_pic *pic, uint8_t value)
{
    unsigned command = value >> 5, line = value & 7;
    uint8_t served = pic->isr;
    if (pic->special_mask)
        served &= (uint8_t)~pic->imr;
    switch (command) {
    case 0: /* rotate in automatic EOI: clear, set */
    case 4:
        pic->rotate_aeoi = command == 4;
        break;
    case 1: /* non-specific EOI, with rotation */
    case 5:
        line = first_of(pic, served);
        if (line == NONE)
            break;
        pic->isr &= (uint8_t)~bit(line);
        if (command == 5)
            pic->lowest = (uint8_t)line;
        break;
    case 3: /* specific EOI, with rotation */
    case 7:
        pic->isr &= (uint8_t)~bit(line);
        if (command == 7)
            pic->lowest = (uint8_t)line;
        break;
    case 6: /* set priority */
        pic->lowest = (uint8_t)line;
        break;
    default: /* 2: no operation */
        break;
    }
}

static void ocw3(struct emu_pic *pic, uint8_t value)
{
    if (value & 0x04)
        pic->poll = true;
    if (value & 0x02)
        pic->read_isr = value & 0x01;
    if (value & 0x40)
        pic->special_mask = value & 0x20;
}

static void set_elcr(struct emu_pic *pic, uint8_t value)
{
    pic->elcr = value;
    /* A line that is high and has become level triggered is a request. */
    pic->irr |= (uint8_t)(pic->lines & value);
}

uint8_t emu_pics_read(struct emu_pics *pics, uint16_t port)
{
    if (port == 0x4d0 || port == 0x4d1)
        return port == 0x4d0 ? pics->master.elcr : pics->slave.elcr;
    struct emu_pic *pic = port & 0x80 ? &pics->slave : &pics->master;
    if (pic->poll)
        return poll(pics, pic);
    if (port & 1)
        return pic->imr;
    return pic->read_isr ? pic->isr : pic->irr;
}

void emu_pics_write(struct emu_pics *pics, uint16_t port, uint8_t value)
{
    struct emu_pic *pic = port & 0x80 ? &pics->slave : &pics->master;
    if (port == 0x4d0)
        set_elcr(&pics->master, value & ELCR_MASTER);
    else if (port == 0x4d1)
        set_elcr(&pics->slave, value & ELCR_SLAVE);
    else if (port & 1 && pic->icw_next)
        icw_more(pic, value);
    else if (port & 1)
        pic->imr = value;
    else if (value & 0x10)
        icw1(pic, value);
    else if (value & 0x08)
        ocw3(pic, value);
    else
        ocw2(pic, value);
    settle(pics);
}
