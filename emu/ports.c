/* SPDX-License-Identifier: MIT
 *
 * The I/O address space (machine.md 2.4): a table of ports, the few that belong to no
 * chip, and behind them the BARs of the virtio functions.
 *
 * All devices of the table are a byte wide; wider accesses are split, low address
 * first.  PCI and virtio see the access as it is.
 */
#include "emu/pc.h"

enum { COM1 = 0x3f8, PCI_ADDRESS = 0xcf8, RESET_CONTROL = 0xcf9, PCI_DATA = 0xcfc };

struct row {
    uint16_t first, last;
    uint8_t (*read)(struct emu_pc *pc, uint16_t port);
    void (*write)(struct emu_pc *pc, uint16_t port, uint8_t value);
};

static uint8_t read_ones(struct emu_pc *pc, uint16_t port)
{
    (void)pc;
    (void)port;
    return 0xff;
}

static void ignore(struct emu_pc *pc, uint16_t port, uint8_t value)
{
    (void)pc;
    (void)port;
    (void)value;
}

/* ---- chips ---- */

static uint8_t pic_read(struct emu_pc *pc, uint16_t port)
{
    uint8_t value = emu_pics_read(&pc->pics, port);
    emu_pc_update_lines(pc); /* a poll acknowledges */
    return value;
}

static void pic_write(struct emu_pc *pc, uint16_t port, uint8_t value)
{
    emu_pics_write(&pc->pics, port, value);
    emu_pc_update_lines(pc);
}

static uint8_t pit_read(struct emu_pc *pc, uint16_t port)
{
    return emu_pit_read(&pc->pit, port, emu_cpu_vns(pc->cpu));
}

static void pit_write(struct emu_pc *pc, uint16_t port, uint8_t value)
{
    uint64_t vns = emu_cpu_vns(pc->cpu);
    emu_pit_write(&pc->pit, port, value, vns);
    emu_pics_set_line(&pc->pics, 0, emu_pit_line(&pc->pit, vns));
    emu_pc_update_lines(pc);
    emu_pc_update_deadlines(pc);
}

static uint8_t rtc_read(struct emu_pc *pc, uint16_t port)
{
    uint8_t value = emu_rtc_read(&pc->rtc, port, emu_cpu_vns(pc->cpu));
    emu_pc_update_lines(pc);
    emu_pc_update_deadlines(pc);
    return value;
}

static void rtc_write(struct emu_pc *pc, uint16_t port, uint8_t value)
{
    emu_rtc_write(&pc->rtc, port, value, emu_cpu_vns(pc->cpu));
    emu_pc_update_lines(pc);
    emu_pc_update_deadlines(pc);
}

static uint8_t uart_read(struct emu_pc *pc, uint16_t port)
{
    uint8_t value = emu_uart_read(&pc->uart, port - COM1);
    /* Without a FIFO the next byte arrives after this one was taken: a new edge. */
    if (port == COM1 && !(pc->uart.fcr & 1))
        emu_pics_set_line(&pc->pics, 4, false);
    emu_pc_update_lines(pc);
    return value;
}

static void uart_write(struct emu_pc *pc, uint16_t port, uint8_t value)
{
    uint8_t byte;
    if (emu_uart_write(&pc->uart, port - COM1, value, &byte))
        pc->host.console_out(pc->host.self, 0, byte);
    emu_pc_update_lines(pc);
}

/* ---- ports without a chip ---- */

static uint8_t control_read(struct emu_pc *pc, uint16_t port)
{
    uint64_t vns = emu_cpu_vns(pc->cpu);
    (void)port;
    return (uint8_t)(pc->system.control | (vns / 15000 & 1) << 4 |
                     (uint64_t)emu_pit_out(&pc->pit, 2, vns) << 5);
}

static void control_write(struct emu_pc *pc, uint16_t port, uint8_t value)
{
    (void)port;
    pc->system.control = value & 3;
    emu_pit_set_gate(&pc->pit, value & 1, emu_cpu_vns(pc->cpu));
}

static void keyboard_write(struct emu_pc *pc, uint16_t port, uint8_t value)
{
    (void)port;
    if (value == 0xfe)
        emu_pc_end(pc, EMU_RESET_KEYBOARD, 0);
}

static uint8_t gate_read(struct emu_pc *pc, uint16_t port)
{
    (void)pc;
    (void)port;
    return 0x02; /* A20 is open */
}

static void gate_write(struct emu_pc *pc, uint16_t port, uint8_t value)
{
    (void)port;
    bool rises = value & ~pc->system.gate & 1;
    pc->system.gate = value & 1;
    if (rises)
        emu_pc_end(pc, EMU_RESET_PORT, 0);
}

static void fpu_write(struct emu_pc *pc, uint16_t port, uint8_t value)
{
    (void)port;
    (void)value;
    pc->system.fpu_error = false;
    emu_pc_update_lines(pc);
}

static void exit_write(struct emu_pc *pc, uint16_t port, uint8_t value)
{
    (void)port;
    emu_pc_end(pc, EMU_RESET_PORT, value);
}

static uint8_t reset_read(struct emu_pc *pc, uint16_t port)
{
    (void)port;
    return pc->system.reset;
}

static void reset_write(struct emu_pc *pc, uint16_t port, uint8_t value)
{
    (void)port;
    bool rises = value & ~pc->system.reset & 4;
    pc->system.reset = value;
    if (rises)
        emu_pc_end(pc, EMU_RESET_PORT, 0);
}

/* ---- the table ---- */

/* First row wins.  The serial port, timer and PIC come first: they are what a boot
 * uses. */
static const struct row rows[] = {
    {COM1, COM1 + 7, uart_read, uart_write},
    {0x40, 0x43, pit_read, pit_write},
    {0x20, 0x21, pic_read, pic_write},
    {0xa0, 0xa1, pic_read, pic_write},
    {0x80, 0x80, read_ones, ignore},
    {0xed, 0xed, read_ones, ignore},
    {0x70, 0x71, rtc_read, rtc_write},
    {0x61, 0x61, control_read, control_write},
    {0x60, 0x60, read_ones, ignore},
    {0x64, 0x64, read_ones, keyboard_write},
    {0x92, 0x92, gate_read, gate_write},
    {0xf0, 0xf1, read_ones, fpu_write},
    {0xf4, 0xf4, read_ones, exit_write},
    {0x4d0, 0x4d1, pic_read, pic_write},
    {RESET_CONTROL, RESET_CONTROL, reset_read, reset_write},
};

static const struct row *row_of(uint16_t port)
{
    for (unsigned i = 0; i < countof(rows); i++) {
        if (port >= rows[i].first && port <= rows[i].last)
            return &rows[i];
    }
    return NULL;
}

static bool is_pci(uint16_t port, unsigned size)
{
    return (port == PCI_ADDRESS && size == 4) ||
           (port >= PCI_DATA && port < PCI_DATA + 4);
}

static void tell_port(struct emu_pc *pc, uint16_t port, unsigned size, bool out,
                      uint32_t value)
{
    if (pc->log_ports)
        pc->host.event(pc->host.self, &(struct emu_event){.type = EMU_EVENT_port,
                                                          .port = port,
                                                          .width = (uint16_t)size,
                                                          .out = out,
                                                          .value = value});
}

/* Byte by byte; a port that no row has reads ones.  Only in an access without any row
 * the virtio functions are asked: the table wins (B12). */
static uint32_t read_port(struct emu_pc *pc, uint16_t port, unsigned size)
{
    uint32_t value = 0;
    if (is_pci(port, size))
        return emu_pci_read(&pc->pci, port, size);
    for (uint32_t i = 0; !row_of(port) && i < pc->config.fs_count; i++) {
        if (emu_virtio_pci_read(&pc->fs[i], port, size, &value))
            return value;
    }
    for (unsigned i = 0; i < size; i++) {
        uint16_t at = (uint16_t)(port + i);
        const struct row *row = row_of(at);
        value |= (uint32_t)(row ? row->read(pc, at) : 0xff) << 8 * i;
    }
    return value;
}

uint32_t emu_pc_port_read(void *self, uint16_t port, unsigned size)
{
    struct emu_pc *pc = self;
    uint32_t value = read_port(pc, port, size);
    tell_port(pc, port, size, false, value);
    return value;
}

static void write_port(struct emu_pc *pc, uint16_t port, uint32_t value, unsigned size)
{
    if (is_pci(port, size)) {
        emu_pci_write(&pc->pci, port, size, value);
        emu_pc_update_lines(pc); /* routes may have changed */
        return;
    }
    for (uint32_t i = 0; !row_of(port) && i < pc->config.fs_count; i++) {
        if (emu_virtio_pci_write(&pc->fs[i], port, size, value))
            return;
    }
    for (unsigned i = 0; i < size && pc->cause == EMU_RESET_NONE; i++) {
        uint16_t at = (uint16_t)(port + i);
        const struct row *row = row_of(at);
        if (row)
            row->write(pc, at, (uint8_t)(value >> 8 * i));
    }
}

void emu_pc_port_write(void *self, uint16_t port, uint32_t value, unsigned size)
{
    struct emu_pc *pc = self;
    tell_port(pc, port, size, true, value);
    write_port(pc, port, value, size);
}
