/* SPDX-License-Identifier: MIT
 *
 * The serial port: what Linux probes, the FIFO, and each interrupt (machine.md 2.8).
 */
#include "tests/test.h"

#include "emu/uart.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static struct emu_uart uart;

static int setup(void **state)
{
    (void)state;
    emu_uart_reset(&uart);
    return 0;
}

static void put(unsigned offset, uint8_t value)
{
    uint8_t byte;
    assert_false(emu_uart_write(&uart, offset, value, &byte));
}

static void send(uint8_t value)
{
    uint8_t byte = 0;
    assert_true(emu_uart_write(&uart, RBR, value, &byte));
    assert_int_equal(byte, value);
}

static void expect(unsigned offset, uint8_t want)
{
    assert_int_equal(emu_uart_read(&uart, offset), want);
}

static void receive(const char *text, size_t size)
{
    assert_int_equal(emu_uart_receive(&uart, (const uint8_t *)text, size), size);
}

static void reset_values(void **state)
{
    (void)state;
    expect(LSR, 0x60);
    expect(MSR, 0xb0);
    expect(IIR, 0x01);
    expect(IER, 0x00);
    assert_false(emu_uart_line(&uart));
}

/* The questions of the 8250 driver, and answers that mean "16550A". */
static void linux_finds_a_16550a(void **state)
{
    (void)state;
    put(IER, 0x00);
    expect(IER, 0x00);
    put(IER, 0xff);
    expect(IER, 0x0f);
    put(IER, 0x00);
    put(MCR, 0x1a); /* loopback, RTS and OUT2 */
    assert_int_equal(emu_uart_read(&uart, MSR) & 0xf0, 0x90);
    put(MCR, 0x00);
    put(IIR, 0x01);
    assert_int_equal(emu_uart_read(&uart, IIR) >> 6, 3);
    put(LCR, 0x80);
    assert_int_not_equal(emu_uart_read(&uart, IIR), 0);
    put(IIR, 0x21);
    assert_int_equal(emu_uart_read(&uart, IIR) >> 5, 6); /* no 64-byte FIFO */
    put(RBR, 0x34);
    put(IER, 0x12);
    expect(RBR, 0x34);
    expect(IER, 0x12);
    put(LCR, 0x03);
    expect(LCR, 0x03);
    expect(IER, 0x00);
    put(SCR, 0x5a);
    expect(SCR, 0x5a);
}

static void sending_takes_no_time(void **state)
{
    (void)state;
    put(MCR, 0x08);
    send('a');
    expect(LSR, 0x60);
    assert_false(emu_uart_line(&uart));
    put(IER, 0x02);
    assert_true(emu_uart_line(&uart));
    expect(IIR, 0x02);
    assert_false(emu_uart_line(&uart)); /* reading IIR took it */
    expect(IIR, 0x01);
    send('b');
    assert_true(emu_uart_line(&uart));
    put(IER, 0x00);
    put(IER, 0x02);
    expect(IIR, 0x02);
}

static void out2_gates_the_line(void **state)
{
    (void)state;
    put(IER, 0x02);
    assert_false(emu_uart_line(&uart));
    put(MCR, 0x0b);
    assert_true(emu_uart_line(&uart));
    put(MCR, 0x1b);
    assert_false(emu_uart_line(&uart));
}

static void the_fifo_has_a_trigger_level(void **state)
{
    (void)state;
    put(MCR, 0x08);
    put(IIR, 0x81); /* 8 bytes */
    put(IER, 0x01);
    receive("1234567", 7);
    assert_true(emu_uart_line(&uart));
    expect(IIR, 0xcc); /* below the level: time-out */
    receive("8", 1);
    expect(IIR, 0xc4);
    for (char c = '1'; c <= '8'; c++) {
        expect(LSR, 0x61);
        expect(RBR, (uint8_t)c);
    }
    expect(LSR, 0x60);
    expect(IIR, 0xc1);
    assert_false(emu_uart_line(&uart));
    expect(RBR, '8'); /* an empty FIFO shows the last byte */
}

static void the_queue_follows_the_fifo(void **state)
{
    (void)state;
    static uint8_t many[EMU_UART_QUEUE_SIZE + 100];
    put(IIR, 0x01);
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = (uint8_t)(i * 7);
    size_t taken = emu_uart_receive(&uart, many, sizeof many);
    assert_int_equal(taken, EMU_UART_QUEUE_SIZE);
    assert_int_equal(uart.fifo_count, 16);
    for (size_t i = 0; i < taken; i++)
        expect(RBR, many[i]);
    expect(LSR, 0x60);
    receive("xy", 2); /* behind the wrap */
    expect(RBR, 'x');
    expect(RBR, 'y');
}

static void without_fifo_one_byte_at_a_time(void **state)
{
    (void)state;
    put(IER, 0x01);
    receive("ab", 2);
    expect(IIR, 0x04);
    assert_int_equal(uart.fifo_count, 1);
    expect(RBR, 'a');
    expect(RBR, 'b');
    expect(IIR, 0x01);
    receive("c", 1);
    put(IIR, 0x01); /* switching the FIFO on clears it */
    expect(LSR, 0x60);
}

static void loopback(void **state)
{
    (void)state;
    put(MCR, 0x10);
    put(RBR, 'l'); /* does not leave */
    expect(LSR, 0x61);
    receive("q", 1); /* waits outside */
    put(RBR, 'm');
    put(IER, 0x04);
    expect(IIR, 0x06); /* overrun */
    expect(LSR, 0x63);
    expect(RBR, 'm');
    expect(LSR, 0x60);
    put(MCR, 0x00);
    expect(RBR, 'q');
}

static void modem_lines_have_deltas(void **state)
{
    (void)state;
    put(IER, 0x08);
    put(MCR, 0x10); /* all lines fall */
    expect(IIR, 0x00);
    expect(MSR, 0x0b);
    expect(IIR, 0x01);
    put(MCR, 0x14); /* ring begins */
    expect(MSR, 0x40);
    put(MCR, 0x10); /* and ends */
    expect(MSR, 0x04);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reset_values, setup),
        cmocka_unit_test_setup(linux_finds_a_16550a, setup),
        cmocka_unit_test_setup(sending_takes_no_time, setup),
        cmocka_unit_test_setup(out2_gates_the_line, setup),
        cmocka_unit_test_setup(the_fifo_has_a_trigger_level, setup),
        cmocka_unit_test_setup(the_queue_follows_the_fifo, setup),
        cmocka_unit_test_setup(without_fifo_one_byte_at_a_time, setup),
        cmocka_unit_test_setup(loopback, setup),
        cmocka_unit_test_setup(modem_lines_have_deltas, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
