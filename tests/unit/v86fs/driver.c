/* SPDX-License-Identifier: MIT */
#include "tests/unit/v86fs/driver.h"

#include <string.h>

struct driver driver;

/* ---- what the device sees of the machine ---- */

static bool in_ram(void *self, uint64_t pa, uint64_t size)
{
    (void)self;
    return pa <= DRIVER_RAM_SIZE && size <= DRIVER_RAM_SIZE - pa;
}

static void ram_read(void *self, uint32_t pa, void *to, size_t size)
{
    (void)self;
    assert_true(size && in_ram(NULL, pa, size));
    memcpy(to, driver.ram + pa, size);
}

static void ram_write(void *self, uint32_t pa, const void *from, size_t size)
{
    (void)self;
    assert_true(size && in_ram(NULL, pa, size));
    memcpy(driver.ram + pa, from, size);
}

static void on_event(void *self, const struct emu_event *event)
{
    (void)self;
    if (driver.event_count < DRIVER_EVENTS_MAX)
        driver.events[driver.event_count] = *event;
    driver.event_count++;
}

static uint64_t now_ns(void *self)
{
    return ((struct world *)self)->now_ns;
}

void driver_init(uint32_t features, uint32_t late_request_max)
{
    struct emu_virtio_pci_options options;
    struct v86fs_virtio_options fs_options;
    memset(driver.ram, 0, sizeof driver.ram);
    memset(driver.posted, 0, sizeof driver.posted);
    memset(&driver.device, 0, sizeof driver.device);
    driver.event_count = 0;
    emu_pci_init(&driver.pci);
    emu_virtio_pci_options_init(&options, 0);
    options.features = features;
    emu_virtio_pci_init(&driver.device, &driver.pci, &options);
    driver.device.virtio.dma = (struct emu_dma){NULL, in_ram, ram_read, ram_write};
    driver.device.virtio.event = on_event;
    driver.clock = (struct v86fs_virtio_clock){
        .server = driver.world.server, .self = &driver.world, .now_ns = now_ns};
    v86fs_virtio_options_init(&fs_options);
    fs_options.backend = v86fs_virtio_server(&driver.clock);
    fs_options.note_count_max = 32;
    fs_options.late_request_max = late_request_max;
    assert_int_equal(v86fs_virtio_create(&driver.world.arena, &fs_options,
                                         &driver.device.virtio, &driver.fs),
                     ERR_ok);
}

int driver_setup(void **unused)
{
    (void)unused;
    world_init(&driver.world, NULL, NULL);
    driver_init(0, 0);
    return 0;
}

int driver_teardown(void **unused)
{
    (void)unused;
    world_fini(&driver.world);
    return 0;
}

/* ---- the driver ---- */

uint32_t driver_in(unsigned port, unsigned size)
{
    uint32_t value = 0xdeadbeef;
    assert_true(emu_virtio_pci_read(&driver.device, (uint16_t)port, size, &value));
    return value;
}

void driver_out(unsigned port, unsigned size, uint32_t value)
{
    assert_true(emu_virtio_pci_write(&driver.device, (uint16_t)port, size, value));
}

uint32_t driver_config_in(unsigned slot, unsigned offset, unsigned size)
{
    emu_pci_write(&driver.pci, 0xcf8, 4, 0x80000000u | slot << 11 | (offset & 0xfc));
    return emu_pci_read(&driver.pci, (uint16_t)(0xcfc + (offset & 3)), size);
}

void driver_config_out(unsigned slot, unsigned offset, unsigned size, uint32_t value)
{
    emu_pci_write(&driver.pci, 0xcf8, 4, 0x80000000u | slot << 11 | (offset & 0xfc));
    emu_pci_write(&driver.pci, (uint16_t)(0xcfc + (offset & 3)), size, value);
}

void driver_play(const char *line)
{
    while (*line) {
        char direction = line[0], *end;
        unsigned size = (unsigned)strtoul(line + 1, &end, 10) / 8;
        unsigned offset = (unsigned)strtoul(end, &end, 16);
        char mark = *end;
        uint32_t value = (uint32_t)strtoul(end + 1, &end, 16);
        if (direction == 'W' && mark == '=')
            driver_out(DRIVER_COMMON + offset, size, value);
        else if (driver_in(DRIVER_COMMON + offset, size) != value)
            fail_msg("%s: read %x", line, driver_in(DRIVER_COMMON + offset, size));
        line = end;
        while (*line == ' ')
            line++;
    }
}

static void driver_start_queue(unsigned i)
{
    char line[200];
    unsigned d = DRIVER_RING + i * DRIVER_RING_STEP;
    (void)snprintf(
        line, sizeof line,
        "R16 12:3 W16 16=%x R16 18:80 W16 16=%x R16 1c:0 W16 16=%x W16 18=80 "
        "W16 16=%x W32 20=%x W32 24=0 W32 28=%x W32 2c=0 W32 30=%x W32 34=0 "
        "W16 16=%x R16 1e:%x",
        i, i, i, i, d, d + 0x800, d + 0x940, i, i);
    driver_play(line);
}

void driver_start(uint32_t features)
{
    char line[200];
    driver_config_out(14, 4, 2, 0x0007);
    driver_play("W8 14=0 R8 14:0 R8 14:0 W8 14=1 R8 14:1 R8 14:1 W8 14=3");
    (void)snprintf(line, sizeof line,
                   "W32 00=0 R32 04:%x W32 00=1 R32 04:1 W32 08=0 W32 0c=%x W32 08=1 "
                   "W32 0c=1 R8 14:3 W8 14=b R8 14:b",
                   features, features);
    driver_play(line);
    for (unsigned i = 0; i < 3; i++)
        driver_start_queue(i);
    for (unsigned i = 0; i < 3; i++) {
        driver_out(DRIVER_COMMON + 0x16, 2, i);
        driver_out(DRIVER_COMMON + 0x1c, 2, 1);
        assert_int_equal(driver_in(DRIVER_COMMON + 0x1c, 2), 1);
    }
    driver_play("R8 14:b W8 14=f R8 14:f");
    driver.event_count = 0;
}

void driver_store(uint32_t pa, unsigned size, uint64_t value)
{
    v86fs_store(driver.ram + pa, size, value);
}

uint64_t driver_load(uint32_t pa, unsigned size)
{
    return v86fs_load(driver.ram + pa, size);
}

void driver_descriptor(unsigned queue, unsigned index, uint64_t address, uint32_t size,
                       unsigned flags, unsigned next)
{
    uint32_t at = (uint32_t)(DRIVER_RING + queue * DRIVER_RING_STEP + 16 * index);
    driver_store(at, 8, address);
    driver_store(at + 8, 4, size);
    driver_store(at + 12, 2, flags);
    driver_store(at + 14, 2, next);
}

void driver_offer(unsigned queue, unsigned head)
{
    uint32_t avail = (uint32_t)(DRIVER_RING + queue * DRIVER_RING_STEP + 0x800);
    driver_store(avail + 4 + 2 * (driver.posted[queue] % 128u), 2, head);
    driver.posted[queue]++;
    driver_store(avail + 2, 2, driver.posted[queue]);
}

void driver_kick(unsigned queue)
{
    driver_out(DRIVER_NOTIFY + 2 * queue, 2, queue);
}

uint32_t driver_used(unsigned queue)
{
    return (uint32_t)(DRIVER_RING + queue * DRIVER_RING_STEP + 0x940);
}

uint32_t driver_post(unsigned queue, unsigned slot, struct bytes bytes, uint32_t room)
{
    uint32_t at = DRIVER_BUFFERS + slot % 32 * 0x4000;
    if (bytes.size)
        memcpy(driver.ram + at, bytes.data, bytes.size);
    driver_descriptor(queue, 2 * slot, at, (uint32_t)bytes.size, 1, 2 * slot + 1);
    driver_descriptor(queue, 2 * slot + 1, at + 0x2000, room, 2, 0);
    driver_offer(queue, 2 * slot);
    return at + 0x2000;
}

struct bytes driver_getattr_frame(uint64_t ino)
{
    static uint8_t frame[15];
    v86fs_store(frame, 4, 15);
    frame[4] = V86FS_MSG_GETATTR;
    v86fs_store(frame + 5, 2, 0x1234);
    v86fs_store(frame + 7, 8, ino);
    return bytes_of(frame, 15);
}

void driver_expect_error(unsigned cause)
{
    assert_int_equal(driver_in(DRIVER_COMMON + 0x14, 1), 0x4f);
    assert_true(driver.device.virtio.isr & 2);
    assert_int_equal(driver.events[driver.event_count - 1].type,
                     EMU_EVENT_virtio_error);
    assert_int_equal(driver.events[driver.event_count - 1].cause, cause);
    /* Silence until a reset. */
    unsigned before = driver.event_count;
    driver_kick(0);
    driver_kick(1);
    assert_int_equal(driver.event_count, before);
    driver_play("W8 14=0 R8 14:0");
    assert_int_equal(driver.device.virtio.isr, 0);
}
