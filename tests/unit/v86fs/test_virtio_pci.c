/* SPDX-License-Identifier: MIT
 *
 * The virtio device as PCI shows it: configuration space, BARs, the window, interrupts
 * (v86fs.md 6.1).
 */
#include "tests/unit/v86fs/driver.h"

static void configuration_bytes(void **unused)
{
    (void)unused;
    static const uint32_t want[] = {
        0x107f1af4, 0x00100000, 0x01800001, 0, 0x0000f801, 0x0000f901, 0x0000f701,
        0,          0,          0,          0, 0x003f1af4, 0,          0x40,
        0,          0x10a,      0x01105009, 0, 0,          0x40,       0x02146409,
        1,          0,          0x10,       2, 0x03107409, 2,          0,
        0x10,       0x05140009, 0,          0, 0};
    for (unsigned i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_int_equal(driver_config_in(14, 4 * i, 4), want[i]);
    assert_int_equal(driver_config_in(0, 0, 4), 0x12378086);
    assert_int_equal(driver_config_in(1, 0, 4), 0x70008086);
    assert_int_equal(driver_config_in(1, 0x61, 1), 0x0a);
    assert_int_equal(driver_config_in(2, 0, 4), 0xffffffff);
    emu_pci_write(&driver.pci, 0xcf8, 4, 0x80010000); /* bus 1 */
    assert_int_equal(emu_pci_read(&driver.pci, 0xcfc, 4), 0xffffffff);
    assert_int_equal(emu_pci_read(&driver.pci, 0xcf8, 4), 0x80010000);
    emu_pci_write(&driver.pci, 0xcf8, 1, 0);
    assert_int_equal(emu_pci_read(&driver.pci, 0xcf8, 4), 0x80010000);
}

/* The sizing sequence of Linux. */
static void bars_are_sized(void **unused)
{
    (void)unused;
    static const uint32_t size[] = {0xffffffc1, 0xfffffff1, 0xfffffff1, 0, 0, 0};
    driver_config_out(14, 4, 2, 0);
    for (unsigned i = 0; i < 6; i++) {
        uint32_t was = driver_config_in(14, 0x10 + 4 * i, 4);
        driver_config_out(14, 0x10 + 4 * i, 4, 0xffffffff);
        assert_int_equal(driver_config_in(14, 0x10 + 4 * i, 4), size[i]);
        driver_config_out(14, 0x10 + 4 * i, 4, was);
        assert_int_equal(driver_config_in(14, 0x10 + 4 * i, 4), was);
    }
    driver_config_out(14, 0x30, 4, 0xffffffff);
    assert_int_equal(driver_config_in(14, 0x30, 4), 0);
    driver_config_out(14, 4, 2, 0xffff);
    assert_int_equal(driver_config_in(14, 4, 2), 0x0507);
}

static void bars_move(void **unused)
{
    (void)unused;
    uint32_t value;
    assert_false(emu_virtio_pci_read(&driver.device, DRIVER_COMMON + 0x12, 2, &value));
    driver_config_out(14, 4, 2, 1);
    assert_int_equal(driver_in(DRIVER_COMMON + 0x12, 2), 3);
    driver_config_out(14, 0x10, 4, 0xc000);
    assert_false(emu_virtio_pci_read(&driver.device, DRIVER_COMMON + 0x12, 2, &value));
    assert_int_equal(driver_in(0xc012, 2), 3);
    driver_config_out(14, 0x12, 2, 1); /* above 64 KiB */
    assert_false(emu_virtio_pci_read(&driver.device, 0xc012, 2, &value));
}

static void the_window_reaches_the_bars(void **unused)
{
    (void)unused;
    driver_config_out(14, 0x78, 1, 0);
    driver_config_out(14, 0x7c, 4, 0x12);
    driver_config_out(14, 0x80, 4, 2);
    assert_int_equal(driver_config_in(14, 0x84, 2), 3);
    driver_config_out(14, 0x7c, 4, 0x14);
    driver_config_out(14, 0x80, 4, 1);
    driver_config_out(14, 0x84, 1, 3);
    assert_int_equal(driver_config_in(14, 0x84, 1), 3);
    driver_config_out(14, 0x7c, 4, 0x3e); /* runs over the end */
    driver_config_out(14, 0x80, 4, 4);
    assert_int_equal(driver_config_in(14, 0x84, 4), 0);
}

static void interrupts_are_routed(void **unused)
{
    (void)unused;
    assert_int_equal(emu_pci_irq(&driver.pci, 14), 10);
    driver_start(0);
    driver_post(0, 0, driver_getattr_frame(1), 64);
    driver_kick(0);
    assert_int_equal(emu_pci_lines(&driver.pci), 1u << 10);
    assert_int_equal(driver_config_in(14, 6, 2), 0x18);
    driver_config_out(14, 5, 1, 4); /* INTx off */
    assert_int_equal(emu_pci_lines(&driver.pci), 0);
    driver_config_out(14, 5, 1, 0);
    driver_config_out(1, 0x61, 1, 0x0b);
    assert_int_equal(emu_pci_lines(&driver.pci), 1u << 11);
    driver_config_out(1, 0x61, 1, 0x80);
    assert_int_equal(emu_pci_lines(&driver.pci), 0);
    assert_int_equal(driver_in(DRIVER_ISR, 1), 1);
    driver_config_out(1, 0x61, 1, 0x0a);
    assert_int_equal(emu_pci_lines(&driver.pci), 0);
    assert_int_equal(driver_in(DRIVER_ISR, 1), 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, driver_setup, driver_teardown)
    const struct CMUnitTest tests[] = {
        T(configuration_bytes),         T(bars_are_sized),        T(bars_move),
        T(the_window_reaches_the_bars), T(interrupts_are_routed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
