/* SPDX-License-Identifier: MIT
 *
 * The 8259A pair against its data sheet: priorities, rotation, cascade, spurious
 * vectors, modes (machine.md 2.5).
 */
#include "tests/test.h"

#include "emu/pic.h"

enum { MASTER = 0x20, SLAVE = 0xa0, EOI = 0x20 };

static struct emu_pics pics;

/* As Linux does it: vectors 30 and 38, nothing masked. */
static int setup(void **state)
{
    (void)state;
    emu_pics_reset(&pics);
    static const struct {
        uint16_t port;
        uint8_t value;
    } words[] = {{0x20, 0x11}, {0x21, 0x30}, {0x21, 0x04}, {0x21, 0x01}, {0xa0, 0x11},
                 {0xa1, 0x38}, {0xa1, 0x02}, {0xa1, 0x01}, {0x21, 0x00}, {0xa1, 0x00}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        emu_pics_write(&pics, words[i].port, words[i].value);
    return 0;
}

static void raise_line(unsigned irq)
{
    emu_pics_set_line(&pics, irq, false);
    emu_pics_set_line(&pics, irq, true);
}

static void expect_vector(uint8_t want, unsigned want_irq)
{
    unsigned irq = 99;
    assert_true(emu_pics_intr(&pics));
    assert_int_equal(emu_pics_acknowledge(&pics, &irq), want);
    assert_int_equal(irq, want_irq);
}

static void nothing_before_initialisation(void **state)
{
    (void)state;
    emu_pics_reset(&pics);
    raise_line(0);
    assert_false(emu_pics_intr(&pics));
    assert_int_equal(emu_pics_read(&pics, 0x21), 0xff);
    emu_pics_write(&pics, MASTER, 0x11);
    assert_false(emu_pics_intr(&pics)); /* ICW2 is still to come */
}

static void lower_lines_come_first(void **state)
{
    (void)state;
    raise_line(4);
    raise_line(1);
    expect_vector(0x31, 1);
    assert_false(emu_pics_intr(&pics)); /* 4 waits for the end of 1 */
    raise_line(0);
    expect_vector(0x30, 0); /* but 0 does not */
    emu_pics_write(&pics, MASTER, EOI);
    assert_false(emu_pics_intr(&pics));
    emu_pics_write(&pics, MASTER, EOI);
    expect_vector(0x34, 4);
}

static void masked_lines_wait(void **state)
{
    (void)state;
    emu_pics_write(&pics, 0x21, 0x10);
    raise_line(4);
    assert_false(emu_pics_intr(&pics));
    assert_int_equal(emu_pics_read(&pics, 0x20), 0x10); /* IRR is the default */
    emu_pics_write(&pics, 0x21, 0x00);
    expect_vector(0x34, 4);
    emu_pics_write(&pics, MASTER, 0x0b);
    assert_int_equal(emu_pics_read(&pics, 0x20), 0x10); /* ISR */
    emu_pics_write(&pics, MASTER, 0x0a);
    assert_int_equal(emu_pics_read(&pics, 0x20), 0x00);
}

static void an_edge_counts_once(void **state)
{
    (void)state;
    raise_line(4);
    expect_vector(0x34, 4);
    emu_pics_write(&pics, MASTER, EOI);
    assert_false(emu_pics_intr(&pics)); /* the line is still high */
    raise_line(4);
    expect_vector(0x34, 4);
}

static void the_slave_comes_through_line_2(void **state)
{
    (void)state;
    raise_line(3);
    raise_line(8);
    raise_line(12);
    expect_vector(0x38, 8);
    assert_false(emu_pics_intr(&pics)); /* 12 is lower than 8, 3 than the cascade */
    emu_pics_write(&pics, SLAVE, EOI);
    assert_false(emu_pics_intr(&pics)); /* the master still serves the cascade */
    emu_pics_write(&pics, MASTER, EOI);
    expect_vector(0x3c, 12);
    emu_pics_write(&pics, SLAVE, 0x60 | 4);
    emu_pics_write(&pics, MASTER, 0x60 | 2);
    expect_vector(0x33, 3);
}

static void spurious_vectors(void **state)
{
    (void)state;
    raise_line(4);
    emu_pics_set_line(&pics, 4, false);
    assert_false(emu_pics_intr(&pics));
    unsigned irq;
    assert_int_equal(emu_pics_acknowledge(&pics, &irq), 0x37);
    assert_int_equal(irq, 7);
    emu_pics_write(&pics, MASTER, 0x0b);
    assert_int_equal(emu_pics_read(&pics, 0x20), 0); /* nothing is in service */

    /* The slave's request is gone, but the master has latched the cascade. */
    raise_line(10);
    pics.slave.irr = 0;
    assert_int_equal(emu_pics_acknowledge(&pics, &irq), 0x3f);
    assert_int_equal(irq, 15);
}

static void levels_stay_requested(void **state)
{
    (void)state;
    assert_int_equal(emu_pics_read(&pics, 0x4d1), 0x0c); /* IRQ 10 and 11 */
    emu_pics_set_line(&pics, 10, true);
    expect_vector(0x3a, 10);
    emu_pics_write(&pics, SLAVE, EOI);
    emu_pics_write(&pics, MASTER, EOI);
    expect_vector(0x3a, 10); /* still high */
    emu_pics_set_line(&pics, 10, false);
    emu_pics_write(&pics, SLAVE, EOI);
    emu_pics_write(&pics, MASTER, EOI);
    assert_false(emu_pics_intr(&pics));
}

static void elcr_keeps_fixed_lines(void **state)
{
    (void)state;
    emu_pics_write(&pics, 0x4d0, 0xff);
    emu_pics_write(&pics, 0x4d1, 0xff);
    assert_int_equal(emu_pics_read(&pics, 0x4d0), 0xf8);
    assert_int_equal(emu_pics_read(&pics, 0x4d1), 0xde);
}

static void rotation(void **state)
{
    (void)state;
    raise_line(1);
    expect_vector(0x31, 1);
    emu_pics_write(&pics, MASTER, 0xa0); /* EOI, and 1 becomes the lowest */
    raise_line(1);
    raise_line(4);
    expect_vector(0x34, 4);
    emu_pics_write(&pics, MASTER, 0xe0 | 4); /* specific, and 4 becomes the lowest */
    raise_line(5);
    expect_vector(0x35, 5);
    emu_pics_write(&pics, MASTER, EOI);
    expect_vector(0x31, 1);
    emu_pics_write(&pics, MASTER, EOI);
    emu_pics_write(&pics, MASTER, 0xc0 | 7); /* the order after a reset */
    raise_line(5);
    raise_line(0);
    expect_vector(0x30, 0);
}

static void automatic_end(void **state)
{
    (void)state;
    emu_pics_write(&pics, 0x20, 0x11);
    emu_pics_write(&pics, 0x21, 0x30);
    emu_pics_write(&pics, 0x21, 0x04);
    emu_pics_write(&pics, 0x21, 0x03);
    raise_line(4);
    expect_vector(0x34, 4);
    raise_line(5);
    expect_vector(0x35, 5); /* 4 is not in service */
    emu_pics_write(&pics, 0x20, 0x80);
    raise_line(4);
    expect_vector(0x34, 4); /* rotates: 4 becomes the lowest */
    raise_line(4);
    raise_line(5);
    expect_vector(0x35, 5);
}

static void special_mask_lets_lower_lines_in(void **state)
{
    (void)state;
    raise_line(1);
    expect_vector(0x31, 1);
    raise_line(6);
    emu_pics_write(&pics, 0x21, 0x02);
    assert_false(emu_pics_intr(&pics));
    emu_pics_write(&pics, MASTER, 0x68);
    expect_vector(0x36, 6);
}

static void a_poll_acknowledges(void **state)
{
    (void)state;
    emu_pics_write(&pics, MASTER, 0x0c);
    assert_int_equal(emu_pics_read(&pics, 0x20), 0x07);
    raise_line(6);
    emu_pics_write(&pics, MASTER, 0x0c);
    assert_int_equal(emu_pics_read(&pics, 0x20), 0x86);
    assert_false(emu_pics_intr(&pics));
    emu_pics_write(&pics, MASTER, 0x0b);
    assert_int_equal(emu_pics_read(&pics, 0x20), 0x40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_before_initialisation, setup),
        cmocka_unit_test_setup(lower_lines_come_first, setup),
        cmocka_unit_test_setup(masked_lines_wait, setup),
        cmocka_unit_test_setup(an_edge_counts_once, setup),
        cmocka_unit_test_setup(the_slave_comes_through_line_2, setup),
        cmocka_unit_test_setup(spurious_vectors, setup),
        cmocka_unit_test_setup(levels_stay_requested, setup),
        cmocka_unit_test_setup(elcr_keeps_fixed_lines, setup),
        cmocka_unit_test_setup(rotation, setup),
        cmocka_unit_test_setup(automatic_end, setup),
        cmocka_unit_test_setup(special_mask_lets_lower_lines_in, setup),
        cmocka_unit_test_setup(a_poll_acknowledges, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
