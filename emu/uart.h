/* SPDX-License-Identifier: MIT
 *
 * emu/uart.h - a 16550A serial port (machine.md 2.8).
 *
 * Sending takes no time: the byte leaves in the step of the OUT.  Received bytes wait
 * in a queue and move into the FIFO whenever there is room.  The baud rate is stored.
 * Source of the rules: National Semiconductor PC16550D data sheet.
 */
#ifndef EMU_UART_H
#define EMU_UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EMU_UART_FIFO_SIZE = 16, EMU_UART_QUEUE_SIZE = 1 << 16 };

struct emu_uart {
    uint8_t ier, fcr, lcr, mcr, scr;
    uint8_t msr_delta; /* low four bits of MSR */
    uint8_t msr_lines; /* high four bits as last seen, to find changes */
    uint8_t overrun;   /* LSR bit 1 */
    uint8_t receive;   /* what RBR shows when the FIFO is empty */
    uint16_t divisor;
    bool thre; /* the transmitter's interrupt is pending */
    uint8_t fifo_count;
    uint8_t fifo[EMU_UART_FIFO_SIZE]; /* oldest first */
    uint32_t queue_first, queue_count;
    uint8_t queue[EMU_UART_QUEUE_SIZE]; /* a ring */
};

void emu_uart_reset(struct emu_uart *uart);

/* Registers 0..7. */
uint8_t emu_uart_read(struct emu_uart *uart, unsigned offset);

/* True if a byte is sent: *ret_byte. */
bool emu_uart_write(struct emu_uart *uart, unsigned offset, uint8_t value,
                    uint8_t *ret_byte);

/* Queue received bytes; the number taken, less than `size` when the queue is full. */
size_t emu_uart_receive(struct emu_uart *uart, const uint8_t *data, size_t size);

/* The level of IRQ 4. */
bool emu_uart_line(const struct emu_uart *uart);

#endif
