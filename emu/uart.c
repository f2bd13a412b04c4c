/* SPDX-License-Identifier: MIT
 *
 * Interrupt conditions are computed from the registers; only the transmitter's, which
 * a read of IIR takes away, is stored.
 */
#include "emu/uart.h"

#include <string.h>

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { DLAB = 0x80 };
enum { MCR_OUT2 = 0x08, MCR_LOOP = 0x10 };
enum { IER_DATA = 1, IER_THRE = 2, IER_LINE = 4, IER_MODEM = 8 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RECEIVE = 2 };
enum {
    CAUSE_MODEM = 0x00,
    CAUSE_NONE = 0x01,
    CAUSE_THRE = 0x02,
    CAUSE_DATA = 0x04,
    CAUSE_LINE = 0x06,
    CAUSE_TIMEOUT = 0x0c,
};

/* CTS, DSR and DCD are on, unless looped back. */
static uint8_t lines_of(uint8_t mcr)
{
    if (!(mcr & MCR_LOOP))
        return 0xb0;
    return (uint8_t)((mcr & 0x0c) << 4 | (mcr & 0x02) << 3 | (mcr & 0x01) << 5);
}

void emu_uart_reset(struct emu_uart *uart)
{
    memset(uart, 0, sizeof *uart);
    uart->msr_lines = lines_of(0);
    uart->divisor = 12; /* 9600 baud */
}

/* ---- receiving ---- */

static unsigned room(const struct emu_uart *uart)
{
    return uart->fcr & FCR_ENABLE ? EMU_UART_FIFO_SIZE : 1;
}

/* From the queue into the FIFO; not while the line is looped back. */
static void refill(struct emu_uart *uart)
{
    while (uart->queue_count && uart->fifo_count < room(uart) &&
           !(uart->mcr & MCR_LOOP)) {
        uart->fifo[uart->fifo_count++] = uart->queue[uart->queue_first];
        uart->queue_first = (uart->queue_first + 1) % EMU_UART_QUEUE_SIZE;
        uart->queue_count--;
    }
}

size_t emu_uart_receive(struct emu_uart *uart, const uint8_t *data, size_t size)
{
    size_t taken = 0;
    while (taken < size && uart->queue_count < EMU_UART_QUEUE_SIZE) {
        uint32_t at = (uart->queue_first + uart->queue_count) % EMU_UART_QUEUE_SIZE;
        uart->queue[at] = data[taken++];
        uart->queue_count++;
    }
    refill(uart);
    return taken;
}

static uint8_t take_byte(struct emu_uart *uart)
{
    if (!uart->fifo_count)
        return uart->receive;
    uart->receive = uart->fifo[0];
    uart->fifo_count--;
    memmove(uart->fifo, uart->fifo + 1, uart->fifo_count);
    refill(uart);
    return uart->receive;
}

/* A byte sent while looped back comes in at once. */
static void loop_back(struct emu_uart *uart, uint8_t byte)
{
    if (uart->fifo_count < room(uart)) {
        uart->fifo[uart->fifo_count++] = byte;
        return;
    }
    uart->overrun = 2;
    if (!(uart->fcr & FCR_ENABLE))
        uart->fifo[0] = byte;
}

/* ---- interrupts ---- */

static unsigned trigger(const struct emu_uart *uart)
{
    static const uint8_t level[4] = {1, 4, 8, 14};
    return uart->fcr & FCR_ENABLE ? level[uart->fcr >> 6] : 1;
}

/* The pending cause of highest priority.  Below the trigger level the time-out is due
 * at once: nothing more comes in at this virtual instant. */
static uint8_t cause(const struct emu_uart *uart)
{
    if (uart->ier & IER_LINE && uart->overrun)
        return CAUSE_LINE;
    if (uart->ier & IER_DATA && uart->fifo_count)
        return uart->fifo_count >= trigger(uart) ? CAUSE_DATA : CAUSE_TIMEOUT;
    if (uart->ier & IER_THRE && uart->thre)
        return CAUSE_THRE;
    if (uart->ier & IER_MODEM && uart->msr_delta)
        return CAUSE_MODEM;
    return CAUSE_NONE;
}

bool emu_uart_line(const struct emu_uart *uart)
{
    /* OUT2 drives the gate; looped back it is disconnected. */
    return (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2 && cause(uart) != CAUSE_NONE;
}

/* ---- registers ---- */

static uint8_t read_iir(struct emu_uart *uart)
{
    uint8_t value = cause(uart);
    if (value == CAUSE_THRE)
        uart->thre = false;
    return uart->fcr & FCR_ENABLE ? value | 0xc0 : value;
}

static uint8_t read_lsr(struct emu_uart *uart)
{
    uint8_t value = (uint8_t)(0x60 | uart->overrun | (uart->fifo_count != 0));
    uart->overrun = 0;
    return value;
}

static uint8_t read_msr(struct emu_uart *uart)
{
    uint8_t value = uart->msr_lines | uart->msr_delta;
    uart->msr_delta = 0;
    return value;
}

uint8_t emu_uart_read(struct emu_uart *uart, unsigned offset)
{
    bool dlab = uart->lcr & DLAB;
    switch (offset & 7) {
    case RBR:
        return dlab ? (uint8_t)uart->divisor : take_byte(uart);
    case IER:
        return dlab ? (uint8_t)(uart->divisor >> 8) : uart->ier;
    case IIR:
        return read_iir(uart);
    case LCR:
        return uart->lcr;
    case MCR:
        return uart->mcr;
    case LSR:
        return read_lsr(uart);
    case MSR:
        return read_msr(uart);
    default:
        return uart->scr;
    }
}

static void write_fcr(struct emu_uart *uart, uint8_t value)
{
    bool toggled = (value ^ uart->fcr) & FCR_ENABLE;
    if (toggled || value & FCR_CLEAR_RECEIVE)
        uart->fifo_count = 0;
    uart->fcr = value & FCR_ENABLE ? value & 0xc9 : 0;
    refill(uart);
}

static void write_mcr(struct emu_uart *uart, uint8_t value)
{
    uart->mcr = value & 0x1f;
    uint8_t lines = lines_of(uart->mcr);
    uint8_t changed = lines ^ uart->msr_lines;
    uint8_t delta = changed >> 4 & 0x0b;
    if (changed & 0x40 && !(lines & 0x40))
        delta |= 0x04; /* the ring indicator counts when it ends */
    uart->msr_delta |= delta;
    uart->msr_lines = lines;
    refill(uart);
}

static void write_ier(struct emu_uart *uart, uint8_t value)
{
    /* Enabling the transmitter's interrupt raises it: the holding register is empty. */
    if (value & IER_THRE && !(uart->ier & IER_THRE))
        uart->thre = true;
    uart->ier = value & 0x0f;
}

static bool write_thr(struct emu_uart *uart, uint8_t value, uint8_t *ret_byte)
{
    uart->thre = true;
    if (uart->mcr & MCR_LOOP) {
        loop_back(uart, value);
        return false;
    }
    *ret_byte = value;
    return true;
}

bool emu_uart_write(struct emu_uart *uart, unsigned offset, uint8_t value,
                    uint8_t *ret_byte)
{
    bool dlab = uart->lcr & DLAB;
    switch (offset & 7) {
    case RBR:
        if (!dlab)
            return write_thr(uart, value, ret_byte);
        uart->divisor = (uint16_t)((uart->divisor & 0xff00) | value);
        break;
    case IER:
        if (dlab)
            uart->divisor = (uint16_t)((uart->divisor & 0x00ff) | value << 8);
        else
            write_ier(uart, value);
        break;
    case IIR:
        write_fcr(uart, value);
        break;
    case LCR:
        uart->lcr = value;
        break;
    case MCR:
        write_mcr(uart, value);
        break;
    case SCR:
        uart->scr = value;
        break;
    default: /* LSR and MSR are read only */
        break;
    }
    return false;
}
