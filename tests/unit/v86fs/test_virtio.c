/* SPDX-License-Identifier: MIT
 *
 * The virtio device without a CPU: a driver that does what Linux 6.1 does, register by
 * register (v86fs.md 6.9), then broken rings, late answers and notifications.
 */
#include "tests/unit/v86fs/world.h"

#include "emu/virtio_pci.h"
#include "v86fs/virtio_v86fs.h"

#include <string.h>

enum { RAM_SIZE = 1 << 20, RING = 0x10000, RING_STEP = 0x1000, BUFFERS = 0x20000 };
enum { COMMON = 0xf800, NOTIFY = 0xf900, ISR = 0xf700, EVENTS_MAX = 64 };

static struct world world;
static struct emu_pci pci;
static struct emu_virtio_pci device;
static struct v86fs_virtio_clock server_clock;
static struct v86fs_virtio *fs;
static uint8_t ram[RAM_SIZE];
static unsigned event_count;
static struct emu_event events[EVENTS_MAX];
static uint16_t posted[3];

/* ---- what the device sees of the machine ---- */

static bool in_ram(void *self, uint64_t pa, uint64_t size)
{
    (void)self;
    return pa <= RAM_SIZE && size <= RAM_SIZE - pa;
}

static void ram_read(void *self, uint32_t pa, void *to, size_t size)
{
    (void)self;
    assert_true(size && in_ram(NULL, pa, size));
    memcpy(to, ram + pa, size);
}

static void ram_write(void *self, uint32_t pa, const void *from, size_t size)
{
    (void)self;
    assert_true(size && in_ram(NULL, pa, size));
    memcpy(ram + pa, from, size);
}

static void on_event(void *self, const struct emu_event *event)
{
    (void)self;
    if (event_count < EVENTS_MAX)
        events[event_count] = *event;
    event_count++;
}

static uint64_t now_ns(void *self)
{
    return ((struct world *)self)->now_ns;
}

static void device_init(uint32_t features, uint32_t late_request_max)
{
    struct emu_virtio_pci_options options;
    struct v86fs_virtio_options fs_options;
    memset(ram, 0, sizeof ram);
    memset(posted, 0, sizeof posted);
    memset(&device, 0, sizeof device);
    event_count = 0;
    emu_pci_init(&pci);
    emu_virtio_pci_options_init(&options, 0);
    options.features = features;
    emu_virtio_pci_init(&device, &pci, &options);
    device.virtio.dma = (struct emu_dma){NULL, in_ram, ram_read, ram_write};
    device.virtio.event = on_event;
    server_clock = (struct v86fs_virtio_clock){
        .server = world.server, .self = &world, .now_ns = now_ns};
    v86fs_virtio_options_init(&fs_options);
    fs_options.backend = v86fs_virtio_server(&server_clock);
    fs_options.note_count_max = 32;
    fs_options.late_request_max = late_request_max;
    assert_int_equal(
        v86fs_virtio_create(&world.arena, &fs_options, &device.virtio, &fs), ERR_ok);
}

static int setup(void **unused)
{
    (void)unused;
    world_init(&world, NULL, NULL);
    device_init(0, 0);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    world_fini(&world);
    return 0;
}

/* ---- the driver ---- */

static uint32_t in(unsigned port, unsigned size)
{
    uint32_t value = 0xdeadbeef;
    assert_true(emu_virtio_pci_read(&device, (uint16_t)port, size, &value));
    return value;
}

static void out(unsigned port, unsigned size, uint32_t value)
{
    assert_true(emu_virtio_pci_write(&device, (uint16_t)port, size, value));
}

static uint32_t config_in(unsigned slot, unsigned offset, unsigned size)
{
    emu_pci_write(&pci, 0xcf8, 4, 0x80000000u | slot << 11 | (offset & 0xfc));
    return emu_pci_read(&pci, (uint16_t)(0xcfc + (offset & 3)), size);
}

static void config_out(unsigned slot, unsigned offset, unsigned size, uint32_t value)
{
    emu_pci_write(&pci, 0xcf8, 4, 0x80000000u | slot << 11 | (offset & 0xfc));
    emu_pci_write(&pci, (uint16_t)(0xcfc + (offset & 3)), size, value);
}

/* One line of a transcript: "W8 14=f", "R16 12:3", offsets in BAR0, all hex. */
static void play(const char *line)
{
    while (*line) {
        char direction = line[0], *end;
        unsigned size = (unsigned)strtoul(line + 1, &end, 10) / 8;
        unsigned offset = (unsigned)strtoul(end, &end, 16);
        char mark = *end;
        uint32_t value = (uint32_t)strtoul(end + 1, &end, 16);
        if (direction == 'W' && mark == '=')
            out(COMMON + offset, size, value);
        else if (in(COMMON + offset, size) != value)
            fail_msg("%s: read %x", line, in(COMMON + offset, size));
        line = end;
        while (*line == ' ')
            line++;
    }
}

static void start_queue(unsigned i)
{
    char line[200];
    unsigned d = RING + i * RING_STEP;
    (void)snprintf(
        line, sizeof line,
        "R16 12:3 W16 16=%x R16 18:80 W16 16=%x R16 1c:0 W16 16=%x W16 18=80 "
        "W16 16=%x W32 20=%x W32 24=0 W32 28=%x W32 2c=0 W32 30=%x W32 34=0 "
        "W16 16=%x R16 1e:%x",
        i, i, i, i, d, d + 0x800, d + 0x940, i, i);
    play(line);
}

/* The transcript of v86fs.md 6.9 up to "ready". */
static void start(uint32_t features)
{
    char line[200];
    config_out(14, 4, 2, 0x0007);
    play("W8 14=0 R8 14:0 R8 14:0 W8 14=1 R8 14:1 R8 14:1 W8 14=3");
    (void)snprintf(line, sizeof line,
                   "W32 00=0 R32 04:%x W32 00=1 R32 04:1 W32 08=0 W32 0c=%x W32 08=1 "
                   "W32 0c=1 R8 14:3 W8 14=b R8 14:b",
                   features, features);
    play(line);
    for (unsigned i = 0; i < 3; i++)
        start_queue(i);
    for (unsigned i = 0; i < 3; i++) {
        out(COMMON + 0x16, 2, i);
        out(COMMON + 0x1c, 2, 1);
        assert_int_equal(in(COMMON + 0x1c, 2), 1);
    }
    play("R8 14:b W8 14=f R8 14:f");
    event_count = 0;
}

static void store(uint32_t pa, unsigned size, uint64_t value)
{
    v86fs_store(ram + pa, size, value);
}

static uint64_t load(uint32_t pa, unsigned size)
{
    return v86fs_load(ram + pa, size);
}

static void descriptor(unsigned queue, unsigned index, uint64_t address, uint32_t size,
                       unsigned flags, unsigned next)
{
    uint32_t at = (uint32_t)(RING + queue * RING_STEP + 16 * index);
    store(at, 8, address);
    store(at + 8, 4, size);
    store(at + 12, 2, flags);
    store(at + 14, 2, next);
}

/* Make a head available, without a kick. */
static void offer(unsigned queue, unsigned head)
{
    uint32_t avail = (uint32_t)(RING + queue * RING_STEP + 0x800);
    store(avail + 4 + 2 * (posted[queue] % 128u), 2, head);
    posted[queue]++;
    store(avail + 2, 2, posted[queue]);
}

static void kick(unsigned queue)
{
    out(NOTIFY + 2 * queue, 2, queue);
}

static uint32_t used(unsigned queue)
{
    return (uint32_t)(RING + queue * RING_STEP + 0x940);
}

/* Post request `bytes` and a reply buffer at descriptors 2*slot and 2*slot+1. */
static uint32_t post(unsigned queue, unsigned slot, struct bytes bytes, uint32_t room)
{
    uint32_t at = BUFFERS + slot % 32 * 0x4000;
    if (bytes.size)
        memcpy(ram + at, bytes.data, bytes.size);
    descriptor(queue, 2 * slot, at, (uint32_t)bytes.size, 1, 2 * slot + 1);
    descriptor(queue, 2 * slot + 1, at + 0x2000, room, 2, 0);
    offer(queue, 2 * slot);
    return at + 0x2000;
}

static struct bytes getattr_frame(uint64_t ino)
{
    static uint8_t frame[15];
    v86fs_store(frame, 4, 15);
    frame[4] = V86FS_MSG_GETATTR;
    v86fs_store(frame + 5, 2, 0x1234);
    v86fs_store(frame + 7, 8, ino);
    return bytes_of(frame, 15);
}

static void expect_error(unsigned cause)
{
    assert_int_equal(in(COMMON + 0x14, 1), 0x4f);
    assert_true(device.virtio.isr & 2);
    assert_int_equal(events[event_count - 1].type, EMU_EVENT_virtio_error);
    assert_int_equal(events[event_count - 1].cause, cause);
    /* Silence until a reset. */
    unsigned before = event_count;
    kick(0);
    kick(1);
    assert_int_equal(event_count, before);
    play("W8 14=0 R8 14:0");
    assert_int_equal(device.virtio.isr, 0);
}

/* ---- PCI ---- */

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
        assert_int_equal(config_in(14, 4 * i, 4), want[i]);
    assert_int_equal(config_in(0, 0, 4), 0x12378086);
    assert_int_equal(config_in(1, 0, 4), 0x70008086);
    assert_int_equal(config_in(1, 0x61, 1), 0x0a);
    assert_int_equal(config_in(2, 0, 4), 0xffffffff);
    emu_pci_write(&pci, 0xcf8, 4, 0x80010000); /* bus 1 */
    assert_int_equal(emu_pci_read(&pci, 0xcfc, 4), 0xffffffff);
    assert_int_equal(emu_pci_read(&pci, 0xcf8, 4), 0x80010000);
    emu_pci_write(&pci, 0xcf8, 1, 0);
    assert_int_equal(emu_pci_read(&pci, 0xcf8, 4), 0x80010000);
}

/* The sizing sequence of Linux. */
static void bars_are_sized(void **unused)
{
    (void)unused;
    static const uint32_t size[] = {0xffffffc1, 0xfffffff1, 0xfffffff1, 0, 0, 0};
    config_out(14, 4, 2, 0);
    for (unsigned i = 0; i < 6; i++) {
        uint32_t was = config_in(14, 0x10 + 4 * i, 4);
        config_out(14, 0x10 + 4 * i, 4, 0xffffffff);
        assert_int_equal(config_in(14, 0x10 + 4 * i, 4), size[i]);
        config_out(14, 0x10 + 4 * i, 4, was);
        assert_int_equal(config_in(14, 0x10 + 4 * i, 4), was);
    }
    config_out(14, 0x30, 4, 0xffffffff);
    assert_int_equal(config_in(14, 0x30, 4), 0);
    config_out(14, 4, 2, 0xffff);
    assert_int_equal(config_in(14, 4, 2), 0x0507);
}

static void bars_move(void **unused)
{
    (void)unused;
    uint32_t value;
    assert_false(emu_virtio_pci_read(&device, COMMON + 0x12, 2, &value));
    config_out(14, 4, 2, 1);
    assert_int_equal(in(COMMON + 0x12, 2), 3);
    config_out(14, 0x10, 4, 0xc000);
    assert_false(emu_virtio_pci_read(&device, COMMON + 0x12, 2, &value));
    assert_int_equal(in(0xc012, 2), 3);
    config_out(14, 0x12, 2, 1); /* above 64 KiB */
    assert_false(emu_virtio_pci_read(&device, 0xc012, 2, &value));
}

static void the_window_reaches_the_bars(void **unused)
{
    (void)unused;
    config_out(14, 0x78, 1, 0);
    config_out(14, 0x7c, 4, 0x12);
    config_out(14, 0x80, 4, 2);
    assert_int_equal(config_in(14, 0x84, 2), 3);
    config_out(14, 0x7c, 4, 0x14);
    config_out(14, 0x80, 4, 1);
    config_out(14, 0x84, 1, 3);
    assert_int_equal(config_in(14, 0x84, 1), 3);
    config_out(14, 0x7c, 4, 0x3e); /* runs over the end */
    config_out(14, 0x80, 4, 4);
    assert_int_equal(config_in(14, 0x84, 4), 0);
}

static void interrupts_are_routed(void **unused)
{
    (void)unused;
    assert_int_equal(emu_pci_irq(&pci, 14), 10);
    start(0);
    post(0, 0, getattr_frame(1), 64);
    kick(0);
    assert_int_equal(emu_pci_lines(&pci), 1u << 10);
    assert_int_equal(config_in(14, 6, 2), 0x18);
    config_out(14, 5, 1, 4); /* INTx off */
    assert_int_equal(emu_pci_lines(&pci), 0);
    config_out(14, 5, 1, 0);
    config_out(1, 0x61, 1, 0x0b);
    assert_int_equal(emu_pci_lines(&pci), 1u << 11);
    config_out(1, 0x61, 1, 0x80);
    assert_int_equal(emu_pci_lines(&pci), 0);
    assert_int_equal(in(ISR, 1), 1);
    config_out(1, 0x61, 1, 0x0a);
    assert_int_equal(emu_pci_lines(&pci), 0);
    assert_int_equal(in(ISR, 1), 0);
}

/* ---- registers and requests ---- */

static void linux_talks_to_it(void **unused)
{
    (void)unused;
    start(0);
    uint32_t reply = post(0, 0, getattr_frame(WORLD_HELLO), 64);
    kick(0);
    assert_int_equal(load(used(0) + 2, 2), 1);
    assert_int_equal(load(used(0) + 4, 4), 0);
    assert_int_equal(load(used(0) + 8, 4), 35);
    assert_int_equal(load(reply, 4), 35);
    assert_int_equal(ram[reply + 4], 0x82);
    assert_int_equal(load(reply + 5, 2), 0x1234);
    assert_int_equal(load(reply + 7, 4), 0);
    assert_int_equal(load(reply + 15, 8), 12);
    assert_int_equal(in(ISR, 1), 1);
    assert_int_equal(event_count, 3);
    assert_int_equal(events[0].type, EMU_EVENT_virtio_request);
    assert_int_equal(events[0].read_size, 15);
    assert_int_equal(events[0].write_size, 64);
    assert_int_equal(events[0].op, 2);
    assert_int_equal(events[1].type, EMU_EVENT_virtio_reply);
    assert_int_equal(events[1].data.size, 35);
    assert_int_equal(events[2].type, EMU_EVENT_virtio_flush);
    assert_int_equal(events[2].used_index, 1);
    assert_int_equal(events[2].isr, 1);
    play("W8 14=0 R8 14:0");
    assert_int_equal(events[3].type, EMU_EVENT_virtio_reset);
}

static void features_are_checked(void **unused)
{
    (void)unused;
    config_out(14, 4, 2, 7);
    play(
        "W8 14=3 W32 08=0 W32 0c=1 W32 08=1 W32 0c=1 W8 14=b R8 14:3"); /* F0 unknown */
    play("W8 14=0 W8 14=3 W32 08=1 W32 0c=0 W8 14=b R8 14:3"); /* no VERSION_1 */
    play("W8 14=7 R8 14:3");                                   /* DRIVER_OK */
    device_init(V86FS_FEATURES, 0);
    start(V86FS_FEATURES);
    play("W32 08=0 W32 0c=0 R32 0c:33"); /* fixed after FEATURES_OK */
    uint32_t reply = post(0, 0, getattr_frame(WORLD_HELLO), 128);
    kick(0);
    assert_int_equal(load(reply, 4), 83);
}

static void queue_fields(void **unused)
{
    (void)unused;
    config_out(14, 4, 2, 7);
    play("W16 16=0 W16 18=3 R16 18:80 W16 18=100 R16 18:80 W16 18=2 R16 18:2");
    play("W32 20=10008 W16 1c=1 R16 1c:0"); /* not aligned */
    play("W32 20=10000 W32 24=1 W16 1c=1 R16 1c:0");
    play("W32 24=0 W32 28=fffff W16 1c=1 R16 1c:0");
    play("W32 28=ffffc W16 1c=1 R16 1c:0"); /* 10 bytes do not fit */
    play("W32 28=ffff0 W32 30=20000 W16 1c=1 R16 1c:1");
    play("W16 18=4 R16 18:2 W32 20=0 R32 20:10000"); /* fixed while enabled */
    play("W16 16=3 R16 18:0 R32 20:0 R16 1e:0 W16 18=4 R16 18:0");
    play("W8 14=0 W16 16=0 R16 18:80 R16 1c:0 R32 20:0");
    play("R8 15:0 R16 10:ffff R32 14:0 R32 38:0");
    assert_true(device.virtio.counters.enables_refused == 4);
}

static void kicks_that_do_not_count(void **unused)
{
    (void)unused;
    start(0);
    post(0, 0, getattr_frame(1), 64);
    out(NOTIFY, 2, 1);     /* another queue's number */
    out(NOTIFY, 4, 0);     /* another width */
    out(NOTIFY + 6, 2, 3); /* no such queue */
    config_out(14, 4, 1, 3);
    kick(0); /* no bus master */
    assert_int_equal(event_count, 0);
    assert_int_equal(load(used(0) + 2, 2), 0);
    assert_int_equal(in(NOTIFY, 2), 0xffff);
    config_out(14, 4, 1, 7);
    kick(0);
    assert_int_equal(load(used(0) + 2, 2), 1);
    assert_int_equal(device.virtio.counters.kicks_ignored, 4);
}

static void segments_of_any_shape(void **unused)
{
    (void)unused;
    start(0);
    struct bytes frame = getattr_frame(WORLD_HELLO);
    memcpy(ram + BUFFERS, frame.data, frame.size);
    descriptor(1, 5, BUFFERS, 3, 1, 7);
    descriptor(1, 7, 0xfffffff0, 0, 1, 9); /* empty, nowhere */
    descriptor(1, 9, BUFFERS + 3, 12, 1, 2);
    descriptor(1, 2, BUFFERS + 0x100, 10, 3, 1);
    descriptor(1, 1, BUFFERS + 0x200, 0, 3, 0);
    descriptor(1, 0, BUFFERS + 0x300, 100, 2, 0);
    offer(1, 5);
    kick(1);
    assert_int_equal(load(used(1) + 4, 4), 5);
    assert_int_equal(load(used(1) + 8, 4), 35);
    assert_int_equal(load(BUFFERS + 0x100, 4), 35);
    assert_int_equal(load(BUFFERS + 0x300 + 5, 8), 12);
    assert_int_equal(ram[BUFFERS + 0x300 + 25], 0); /* not behind the reply */
}

static void a_kick_serves_all_and_wraps(void **unused)
{
    (void)unused;
    start(0);
    unsigned total = 0;
    while (total < 70000) {
        for (unsigned i = 0; i < 60; i++, total++)
            post(0, i, getattr_frame(i % 3 + 1), 64);
        event_count = 0;
        kick(0);
        assert_int_equal(event_count, 121);
        assert_int_equal(load(used(0) + 2, 2), total & 0xffff);
    }
    store(RING + 0x800, 2, 1); /* VRING_AVAIL_F_NO_INTERRUPT */
    (void)in(ISR, 1);
    post(0, 0, getattr_frame(1), 64);
    kick(0);
    assert_int_equal(load(used(0) + 2, 2), (total + 1) & 0xffff);
    assert_int_equal(in(ISR, 1), 0);
}

static void bad_frames_return_their_chain(void **unused)
{
    (void)unused;
    start(0);
    post(0, 0, bytes_of("abc", 3), 64);
    post(0, 1, getattr_frame(1), 20);
    kick(0);
    assert_int_equal(load(used(0) + 2, 2), 2);
    assert_int_equal(load(used(0) + 8, 4), 0);
    assert_int_equal(load(used(0) + 16, 4), 0);
    assert_int_equal(events[0].op, 256);
    assert_int_equal(events[1].data.size, 0);
}

/* X24: more than a frame is readable, and the header alone would be a good request. */
static void too_long_requests_are_refused(void **unused)
{
    (void)unused;
    start(0);
    memset(ram + BUFFERS, 0, 0x8000);
    store(BUFFERS, 4, 7);
    ram[BUFFERS + 4] = V86FS_MSG_STATFS;
    for (unsigned i = 0; i < 120; i++)
        descriptor(0, i, BUFFERS, 0x4000, 1, i + 1);
    descriptor(0, 120, BUFFERS + 0x8000, 64, 2, 0);
    offer(0, 0);
    kick(0);
    assert_int_equal(load(used(0) + 8, 4), 55);
    assert_int_equal(load(BUFFERS + 0x8000 + 7, 4), 22); /* EINVAL */
    assert_int_equal(events[0].read_size, 120 * 0x4000);
}

/* ---- broken rings ---- */

static void ring_errors(void **unused)
{
    (void)unused;
    start(0);
    store(RING + 0x802, 2, 129);
    kick(0);
    expect_error(1);

    device_init(0, 0), start(0);
    offer(0, 128);
    kick(0);
    expect_error(2);

    device_init(0, 0), start(0);
    descriptor(0, 0, BUFFERS, 7, 1, 128);
    offer(0, 0);
    kick(0);
    expect_error(3);

    device_init(0, 0), start(0);
    descriptor(0, 0, BUFFERS, 7, 1, 1);
    descriptor(0, 1, BUFFERS, 7, 1, 0);
    offer(0, 0);
    kick(0);
    expect_error(4);

    device_init(0, 0), start(0);
    descriptor(0, 0, BUFFERS, 32, 4, 0);
    offer(0, 0);
    kick(0);
    expect_error(5);

    device_init(0, 0), start(0);
    descriptor(0, 0, BUFFERS, 7, 3, 1);
    descriptor(0, 1, BUFFERS, 7, 0, 0);
    offer(0, 0);
    kick(0);
    expect_error(6);

    static const struct {
        uint64_t address;
        uint32_t size;
    } outside[] = {{RAM_SIZE - 6, 7}, {(uint64_t)1 << 32, 0}, {0xffffffff, 2}};
    for (unsigned i = 0; i < 3; i++) {
        device_init(0, 0), start(0);
        descriptor(0, 0, outside[i].address, outside[i].size, 0, 0);
        offer(0, 0);
        kick(0);
        expect_error(7);
    }
}

static void what_was_executed_is_published(void **unused)
{
    (void)unused;
    start(0);
    post(0, 0, getattr_frame(1), 64);
    offer(0, 200);
    kick(0);
    assert_int_equal(load(used(0) + 2, 2), 1);
    assert_int_equal(events[2].type, EMU_EVENT_virtio_flush);
    assert_int_equal(device.virtio.isr, 3);
    expect_error(2);
}

/* ---- notifications ---- */

static void buffers(unsigned count, uint32_t size)
{
    for (unsigned i = 0; i < count; i++) {
        descriptor(2, i, BUFFERS + 0x400 * i, size, 2, 0);
        offer(2, i);
    }
}

static enum v86fs_note_result invalidate(uint64_t ino)
{
    uint8_t frame[31];
    size_t size = v86fs_invalidate_encode(ino, 0, 0, frame, sizeof frame);
    return v86fs_virtio_notify(fs, bytes_of(frame, size));
}

static void notifications_wait_for_buffers(void **unused)
{
    (void)unused;
    assert_int_equal(invalidate(1), V86FS_NOTE_NO_DRIVER);
    start(0);
    buffers(16, 256);
    kick(2);
    assert_int_equal(load(used(2) + 2, 2), 0);
    for (unsigned i = 0; i < 18; i++)
        assert_int_equal(invalidate(100 + i), V86FS_NOTE_QUEUED);
    assert_int_equal(load(used(2) + 2, 2), 16);
    assert_int_equal(load(BUFFERS + 0x400 * 15 + 7, 8), 115);
    buffers(1, 256);
    kick(2);
    assert_int_equal(load(used(2) + 2, 2), 17);
    assert_int_equal(load(BUFFERS + 7, 8), 116);
    buffers(1, 20); /* too small: dropped, and goes back empty */
    kick(2);
    assert_int_equal(load(used(2) + 2, 2), 18);
    assert_int_equal(load(used(2) + 4 + 8 * 17 + 4, 4), 0);
    assert_int_equal(v86fs_virtio_counters(fs)->notes_dropped, 1);
    play("W8 14=0");
    assert_int_equal(invalidate(1), V86FS_NOTE_NO_DRIVER);
}

static void malformed_notifications(void **unused)
{
    (void)unused;
    start(0);
    uint8_t frame[64];
    size_t size = v86fs_mount_notify_encode(text("ws"), text("/mnt"), frame, 64);
    assert_int_equal(v86fs_virtio_notify(fs, bytes_of(frame, size)), V86FS_NOTE_QUEUED);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(v86fs_virtio_notify(fs, bytes_of(frame, cut)),
                         V86FS_NOTE_INVALID);
    frame[7] = 200;
    assert_int_equal(v86fs_virtio_notify(fs, bytes_of(frame, size)),
                     V86FS_NOTE_INVALID);
}

/* ---- late answers ---- */

/* A backend that answers when the test says so: the reply is one byte, the token. */
static uint64_t late_next, late_ready;
static unsigned late_resets;

static void late_serve(void *self, unsigned queue, unsigned head, struct bytes request,
                       uint8_t *reply, size_t reply_size_max, size_t *ret_size,
                       uint64_t *ret_token)
{
    (void)self, (void)queue, (void)head, (void)reply, (void)reply_size_max;
    *ret_size = 0;
    *ret_token = 0;
    if (request.size == 1) {
        reply[0] = 0x55;
        *ret_size = 1;
    } else {
        *ret_token = ++late_next;
    }
}

static bool late_take(void *self, uint64_t token, uint8_t *reply, size_t reply_size_max,
                      size_t *ret_size)
{
    (void)self, (void)reply_size_max;
    if (!(late_ready >> token & 1))
        return false;
    reply[0] = (uint8_t)token;
    *ret_size = 1;
    return true;
}

static bool late_due(void *self, uint64_t token)
{
    (void)self;
    return late_ready >> token & 1;
}

static struct bytes late_adopted;

static uint64_t late_adopt(void *self, unsigned queue, unsigned head,
                           struct bytes request, size_t reply_size_max)
{
    (void)self, (void)queue, (void)head, (void)reply_size_max;
    late_adopted = request;
    return ++late_next;
}

static void late_negotiate(void *self, uint32_t features)
{
    (void)self, (void)features;
}

static void late_reset(void *self)
{
    (void)self;
    late_resets++;
}

static void late_create(void)
{
    struct v86fs_virtio_options options;
    late_next = late_ready = late_resets = 0;
    v86fs_virtio_options_init(&options);
    options.backend = (struct v86fs_virtio_backend){
        NULL, late_serve, late_take, late_negotiate, late_reset, late_due, late_adopt};
    options.late_request_max = 64;
    assert_int_equal(v86fs_virtio_create(&world.arena, &options, &device.virtio, &fs),
                     ERR_ok);
}

static void late_init(void)
{
    device_init(0, 0);
    late_create();
    start(0);
}

static void late_answers_keep_their_order(void **unused)
{
    (void)unused;
    late_init();
    uint32_t first = post(0, 0, bytes_of("ab", 2), 8);
    uint32_t second = post(0, 1, bytes_of("ab", 2), 8);
    uint32_t third = post(0, 2, bytes_of("a", 1), 8); /* at once */
    uint32_t other = post(1, 0, bytes_of("a", 1), 8);
    kick(0);
    assert_int_equal(load(used(0) + 2, 2), 0);
    late_ready = 1u << 2;
    assert_false(v86fs_virtio_complete(fs)); /* the second waits for the first */
    late_ready |= 1u << 1;
    assert_true(v86fs_virtio_complete(fs));
    assert_int_equal(load(used(0) + 2, 2), 3);
    assert_int_equal(load(used(0) + 4, 4), 0);
    assert_int_equal(load(used(0) + 12, 4), 2);
    assert_int_equal(load(used(0) + 20, 4), 4);
    assert_int_equal(ram[first], 1);
    assert_int_equal(ram[second], 2);
    assert_int_equal(ram[third], 0x55);
    kick(1); /* another queue does not wait */
    assert_int_equal(ram[other], 0x55);
    assert_int_equal(load(used(1) + 2, 2), 1);
}

static void a_pending_head_is_an_error(void **unused)
{
    (void)unused;
    late_init();
    post(0, 0, bytes_of("ab", 2), 8);
    kick(0);
    offer(0, 0);
    kick(0);
    expect_error(8);
    assert_int_equal(late_resets, 2);
    late_ready = 1u << 1;
    assert_false(v86fs_virtio_complete(fs)); /* nothing is pending after a reset */
}

/* What is in flight goes into a state, and comes out of it: a device that took it over
 * goes on the same way. */
static void a_state_holds_what_is_in_flight(void **unused)
{
    (void)unused;
    struct buf before, after;
    buf_init(&before, 1 << 16);
    buf_init(&after, 1 << 16);
    late_init();
    const struct emu_virtio *virtio = &device.virtio;
    virtio->ops->save(virtio->ops_self, &before);
    assert_int_equal(before.size, 0);
    uint32_t first = post(0, 0, bytes_of("ab", 2), 8);
    uint32_t second = post(0, 1, bytes_of("a", 1), 8); /* at once, but waits */
    uint32_t other = post(1, 5, bytes_of("xyz", 3), 8);
    kick(0), kick(1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(invalidate(100 + i), V86FS_NOTE_QUEUED);
    virtio->ops->save(virtio->ops_self, &before);
    assert_true(before.size > 100);
    late_create();
    assert_true(virtio->ops->load(virtio->ops_self, buf_bytes(&before)));
    assert_int_equal(late_adopted.size, 3);
    assert_memory_equal(late_adopted.data, "xyz", 3);
    virtio->ops->save(virtio->ops_self, &after);
    assert_int_equal(before.size, after.size);
    assert_memory_equal(before.data, after.data, after.size);
    late_ready = 6;
    assert_true(v86fs_virtio_complete(fs));
    assert_int_equal(load(used(0) + 2, 2), 2);
    assert_int_equal(load(used(1) + 2, 2), 1);
    assert_int_equal(ram[first], 1);
    assert_int_equal(ram[second], 0x55);
    assert_int_equal(ram[other], 2);
    assert_int_equal(v86fs_virtio_pending(fs), 0);
    buffers(3, 256);
    kick(2);
    assert_int_equal(load(used(2) + 2, 2), 3);
    assert_int_equal(load(BUFFERS + 0x400 * 2 + 7, 8), 102);
    buf_fini(&before);
    buf_fini(&after);
}

/* Refused, or it is the state of a device: saved again it is the same. */
static bool takes(const struct emu_virtio *virtio, struct bytes state)
{
    struct buf again;
    if (!virtio->ops->load(virtio->ops_self, state))
        return false;
    buf_init(&again, 1 << 16);
    virtio->ops->save(virtio->ops_self, &again);
    assert_int_equal(again.size, state.size);
    assert_memory_equal(again.data, state.data, state.size);
    buf_fini(&again);
    return true;
}

static void hostile_states_are_refused(void **unused)
{
    (void)unused;
    struct buf state;
    unsigned refused = 0;
    buf_init(&state, 1 << 16);
    late_init();
    post(0, 0, bytes_of("ab", 2), 8);
    post(1, 5, bytes_of("xyz", 3), 8);
    kick(0), kick(1);
    (void)invalidate(100);
    const struct emu_virtio *virtio = &device.virtio;
    virtio->ops->save(virtio->ops_self, &state);
    assert_false(takes(virtio, bytes_of(NULL, 0)));
    for (size_t size = 1; size < state.size; size++)
        refused += !takes(virtio, bytes_of(state.data, size));
    assert_int_equal(refused, state.size - 2); /* without the notification it is good */
    for (size_t i = 0; i < state.size * 8; i++) {
        state.data[i / 8] ^= (uint8_t)(1u << i % 8);
        refused += !takes(virtio, buf_bytes(&state));
        state.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_true(refused > 2 * state.size);
    assert_true(takes(virtio, buf_bytes(&state)));
    buf_fini(&state);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(configuration_bytes),
        T(bars_are_sized),
        T(bars_move),
        T(the_window_reaches_the_bars),
        T(interrupts_are_routed),
        T(linux_talks_to_it),
        T(features_are_checked),
        T(queue_fields),
        T(kicks_that_do_not_count),
        T(segments_of_any_shape),
        T(a_kick_serves_all_and_wraps),
        T(bad_frames_return_their_chain),
        T(too_long_requests_are_refused),
        T(ring_errors),
        T(what_was_executed_is_published),
        T(notifications_wait_for_buffers),
        T(malformed_notifications),
        T(late_answers_keep_their_order),
        T(a_pending_head_is_an_error),
        T(a_state_holds_what_is_in_flight),
        T(hostile_states_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
