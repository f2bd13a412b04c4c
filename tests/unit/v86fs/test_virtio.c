/* SPDX-License-Identifier: MIT
 *
 * The virtio device behind its registers: what Linux does with it, broken rings, late
 * answers, notifications and its saved state (v86fs.md 6.2 to 8).
 */
#include "tests/unit/v86fs/driver.h"

#include <string.h>

/* ---- registers and requests ---- */

static void linux_talks_to_it(void **unused)
{
    (void)unused;
    driver_start(0);
    uint32_t reply = driver_post(0, 0, driver_getattr_frame(WORLD_HELLO), 64);
    driver_kick(0);
    assert_int_equal(driver_load(driver_used(0) + 2, 2), 1);
    assert_int_equal(driver_load(driver_used(0) + 4, 4), 0);
    assert_int_equal(driver_load(driver_used(0) + 8, 4), 35);
    assert_int_equal(driver_load(reply, 4), 35);
    assert_int_equal(driver.ram[reply + 4], 0x82);
    assert_int_equal(driver_load(reply + 5, 2), 0x1234);
    assert_int_equal(driver_load(reply + 7, 4), 0);
    assert_int_equal(driver_load(reply + 15, 8), 12);
    assert_int_equal(driver_in(DRIVER_ISR, 1), 1);
    assert_int_equal(driver.event_count, 3);
    assert_int_equal(driver.events[0].type, EMU_EVENT_virtio_request);
    assert_int_equal(driver.events[0].read_size, 15);
    assert_int_equal(driver.events[0].write_size, 64);
    assert_int_equal(driver.events[0].op, 2);
    assert_int_equal(driver.events[1].type, EMU_EVENT_virtio_reply);
    assert_int_equal(driver.events[1].data.size, 35);
    assert_int_equal(driver.events[2].type, EMU_EVENT_virtio_flush);
    assert_int_equal(driver.events[2].used_index, 1);
    assert_int_equal(driver.events[2].isr, 1);
    driver_play("W8 14=0 R8 14:0");
    assert_int_equal(driver.events[3].type, EMU_EVENT_virtio_reset);
}

static void features_are_checked(void **unused)
{
    (void)unused;
    driver_config_out(14, 4, 2, 7);
    driver_play(
        "W8 14=3 W32 08=0 W32 0c=1 W32 08=1 W32 0c=1 W8 14=b R8 14:3"); /* F0 unknown */
    driver_play("W8 14=0 W8 14=3 W32 08=1 W32 0c=0 W8 14=b R8 14:3"); /* no VERSION_1 */
    driver_play("W8 14=7 R8 14:3");                                   /* DRIVER_OK */
    driver_init(V86FS_FEATURES, 0);
    driver_start(V86FS_FEATURES);
    driver_play("W32 08=0 W32 0c=0 R32 0c:33"); /* fixed after FEATURES_OK */
    uint32_t reply = driver_post(0, 0, driver_getattr_frame(WORLD_HELLO), 128);
    driver_kick(0);
    assert_int_equal(driver_load(reply, 4), 83);
}

static void queue_fields(void **unused)
{
    (void)unused;
    driver_config_out(14, 4, 2, 7);
    driver_play("W16 16=0 W16 18=3 R16 18:80 W16 18=100 R16 18:80 W16 18=2 R16 18:2");
    driver_play("W32 20=10008 W16 1c=1 R16 1c:0"); /* not aligned */
    driver_play("W32 20=10000 W32 24=1 W16 1c=1 R16 1c:0");
    driver_play("W32 24=0 W32 28=fffff W16 1c=1 R16 1c:0");
    driver_play("W32 28=ffffc W16 1c=1 R16 1c:0"); /* 10 bytes do not fit */
    driver_play("W32 28=ffff0 W32 30=20000 W16 1c=1 R16 1c:1");
    driver_play("W16 18=4 R16 18:2 W32 20=0 R32 20:10000"); /* fixed while enabled */
    driver_play("W16 16=3 R16 18:0 R32 20:0 R16 1e:0 W16 18=4 R16 18:0");
    driver_play("W8 14=0 W16 16=0 R16 18:80 R16 1c:0 R32 20:0");
    driver_play("R8 15:0 R16 10:ffff R32 14:0 R32 38:0");
    assert_true(driver.device.virtio.counters.enables_refused == 4);
}

static void kicks_that_do_not_count(void **unused)
{
    (void)unused;
    driver_start(0);
    driver_post(0, 0, driver_getattr_frame(1), 64);
    driver_out(DRIVER_NOTIFY, 2, 1);     /* another queue's number */
    driver_out(DRIVER_NOTIFY, 4, 0);     /* another width */
    driver_out(DRIVER_NOTIFY + 6, 2, 3); /* no such queue */
    driver_config_out(14, 4, 1, 3);
    driver_kick(0); /* no bus master */
    assert_int_equal(driver.event_count, 0);
    assert_int_equal(driver_load(driver_used(0) + 2, 2), 0);
    assert_int_equal(driver_in(DRIVER_NOTIFY, 2), 0xffff);
    driver_config_out(14, 4, 1, 7);
    driver_kick(0);
    assert_int_equal(driver_load(driver_used(0) + 2, 2), 1);
    assert_int_equal(driver.device.virtio.counters.kicks_ignored, 4);
}

static void segments_of_any_shape(void **unused)
{
    (void)unused;
    driver_start(0);
    struct bytes frame = driver_getattr_frame(WORLD_HELLO);
    memcpy(driver.ram + DRIVER_BUFFERS, frame.data, frame.size);
    driver_descriptor(1, 5, DRIVER_BUFFERS, 3, 1, 7);
    driver_descriptor(1, 7, 0xfffffff0, 0, 1, 9); /* empty, nowhere */
    driver_descriptor(1, 9, DRIVER_BUFFERS + 3, 12, 1, 2);
    driver_descriptor(1, 2, DRIVER_BUFFERS + 0x100, 10, 3, 1);
    driver_descriptor(1, 1, DRIVER_BUFFERS + 0x200, 0, 3, 0);
    driver_descriptor(1, 0, DRIVER_BUFFERS + 0x300, 100, 2, 0);
    driver_offer(1, 5);
    driver_kick(1);
    assert_int_equal(driver_load(driver_used(1) + 4, 4), 5);
    assert_int_equal(driver_load(driver_used(1) + 8, 4), 35);
    assert_int_equal(driver_load(DRIVER_BUFFERS + 0x100, 4), 35);
    assert_int_equal(driver_load(DRIVER_BUFFERS + 0x300 + 5, 8), 12);
    assert_int_equal(driver.ram[DRIVER_BUFFERS + 0x300 + 25],
                     0); /* not behind the reply */
}

static void a_kick_serves_all_and_wraps(void **unused)
{
    (void)unused;
    driver_start(0);
    unsigned total = 0;
    while (total < 70000) {
        for (unsigned i = 0; i < 60; i++, total++)
            driver_post(0, i, driver_getattr_frame(i % 3 + 1), 64);
        driver.event_count = 0;
        driver_kick(0);
        assert_int_equal(driver.event_count, 121);
        assert_int_equal(driver_load(driver_used(0) + 2, 2), total & 0xffff);
    }
    driver_store(DRIVER_RING + 0x800, 2, 1); /* VRING_AVAIL_F_NO_INTERRUPT */
    (void)driver_in(DRIVER_ISR, 1);
    driver_post(0, 0, driver_getattr_frame(1), 64);
    driver_kick(0);
    assert_int_equal(driver_load(driver_used(0) + 2, 2), (total + 1) & 0xffff);
    assert_int_equal(driver_in(DRIVER_ISR, 1), 0);
}

static void bad_frames_return_their_chain(void **unused)
{
    (void)unused;
    driver_start(0);
    driver_post(0, 0, bytes_of("abc", 3), 64);
    driver_post(0, 1, driver_getattr_frame(1), 20);
    driver_kick(0);
    assert_int_equal(driver_load(driver_used(0) + 2, 2), 2);
    assert_int_equal(driver_load(driver_used(0) + 8, 4), 0);
    assert_int_equal(driver_load(driver_used(0) + 16, 4), 0);
    assert_int_equal(driver.events[0].op, 256);
    assert_int_equal(driver.events[1].data.size, 0);
}

/* X24: more than a frame is readable, and the header alone would be a good request. */
static void too_long_requests_are_refused(void **unused)
{
    (void)unused;
    driver_start(0);
    memset(driver.ram + DRIVER_BUFFERS, 0, 0x8000);
    driver_store(DRIVER_BUFFERS, 4, 7);
    driver.ram[DRIVER_BUFFERS + 4] = V86FS_MSG_STATFS;
    for (unsigned i = 0; i < 120; i++)
        driver_descriptor(0, i, DRIVER_BUFFERS, 0x4000, 1, i + 1);
    driver_descriptor(0, 120, DRIVER_BUFFERS + 0x8000, 64, 2, 0);
    driver_offer(0, 0);
    driver_kick(0);
    assert_int_equal(driver_load(driver_used(0) + 8, 4), 55);
    assert_int_equal(driver_load(DRIVER_BUFFERS + 0x8000 + 7, 4), 22); /* EINVAL */
    assert_int_equal(driver.events[0].read_size, 120 * 0x4000);
}

/* ---- broken rings ---- */

static void ring_errors(void **unused)
{
    (void)unused;
    driver_start(0);
    driver_store(DRIVER_RING + 0x802, 2, 129);
    driver_kick(0);
    driver_expect_error(1);

    driver_init(0, 0), driver_start(0);
    driver_offer(0, 128);
    driver_kick(0);
    driver_expect_error(2);

    driver_init(0, 0), driver_start(0);
    driver_descriptor(0, 0, DRIVER_BUFFERS, 7, 1, 128);
    driver_offer(0, 0);
    driver_kick(0);
    driver_expect_error(3);

    driver_init(0, 0), driver_start(0);
    driver_descriptor(0, 0, DRIVER_BUFFERS, 7, 1, 1);
    driver_descriptor(0, 1, DRIVER_BUFFERS, 7, 1, 0);
    driver_offer(0, 0);
    driver_kick(0);
    driver_expect_error(4);

    driver_init(0, 0), driver_start(0);
    driver_descriptor(0, 0, DRIVER_BUFFERS, 32, 4, 0);
    driver_offer(0, 0);
    driver_kick(0);
    driver_expect_error(5);

    driver_init(0, 0), driver_start(0);
    driver_descriptor(0, 0, DRIVER_BUFFERS, 7, 3, 1);
    driver_descriptor(0, 1, DRIVER_BUFFERS, 7, 0, 0);
    driver_offer(0, 0);
    driver_kick(0);
    driver_expect_error(6);

    static const struct {
        uint64_t address;
        uint32_t size;
    } outside[] = {{DRIVER_RAM_SIZE - 6, 7}, {(uint64_t)1 << 32, 0}, {0xffffffff, 2}};
    for (unsigned i = 0; i < 3; i++) {
        driver_init(0, 0), driver_start(0);
        driver_descriptor(0, 0, outside[i].address, outside[i].size, 0, 0);
        driver_offer(0, 0);
        driver_kick(0);
        driver_expect_error(7);
    }
}

static void what_was_executed_is_published(void **unused)
{
    (void)unused;
    driver_start(0);
    driver_post(0, 0, driver_getattr_frame(1), 64);
    driver_offer(0, 200);
    driver_kick(0);
    assert_int_equal(driver_load(driver_used(0) + 2, 2), 1);
    assert_int_equal(driver.events[2].type, EMU_EVENT_virtio_flush);
    assert_int_equal(driver.device.virtio.isr, 3);
    driver_expect_error(2);
}

/* ---- notifications ---- */

static void buffers(unsigned count, uint32_t size)
{
    for (unsigned i = 0; i < count; i++) {
        driver_descriptor(2, i, DRIVER_BUFFERS + 0x400 * i, size, 2, 0);
        driver_offer(2, i);
    }
}

static enum v86fs_note_result invalidate(uint64_t ino)
{
    uint8_t frame[31];
    size_t size = v86fs_invalidate_encode(ino, 0, 0, frame, sizeof frame);
    return v86fs_virtio_notify(driver.fs, bytes_of(frame, size));
}

static void notifications_wait_for_buffers(void **unused)
{
    (void)unused;
    assert_int_equal(invalidate(1), V86FS_NOTE_NO_DRIVER);
    driver_start(0);
    buffers(16, 256);
    driver_kick(2);
    assert_int_equal(driver_load(driver_used(2) + 2, 2), 0);
    for (unsigned i = 0; i < 18; i++)
        assert_int_equal(invalidate(100 + i), V86FS_NOTE_QUEUED);
    assert_int_equal(driver_load(driver_used(2) + 2, 2), 16);
    assert_int_equal(driver_load(DRIVER_BUFFERS + 0x400 * 15 + 7, 8), 115);
    buffers(1, 256);
    driver_kick(2);
    assert_int_equal(driver_load(driver_used(2) + 2, 2), 17);
    assert_int_equal(driver_load(DRIVER_BUFFERS + 7, 8), 116);
    buffers(1, 20); /* too small: dropped, and goes back empty */
    driver_kick(2);
    assert_int_equal(driver_load(driver_used(2) + 2, 2), 18);
    assert_int_equal(driver_load(driver_used(2) + 4 + 8 * 17 + 4, 4), 0);
    assert_int_equal(v86fs_virtio_counters(driver.fs)->notes_dropped, 1);
    driver_play("W8 14=0");
    assert_int_equal(invalidate(1), V86FS_NOTE_NO_DRIVER);
}

static void malformed_notifications(void **unused)
{
    (void)unused;
    driver_start(0);
    uint8_t frame[64];
    size_t size = v86fs_mount_notify_encode(text("ws"), text("/mnt"), frame, 64);
    assert_int_equal(v86fs_virtio_notify(driver.fs, bytes_of(frame, size)),
                     V86FS_NOTE_QUEUED);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(v86fs_virtio_notify(driver.fs, bytes_of(frame, cut)),
                         V86FS_NOTE_INVALID);
    frame[7] = 200;
    assert_int_equal(v86fs_virtio_notify(driver.fs, bytes_of(frame, size)),
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
    assert_int_equal(v86fs_virtio_create(&driver.world.arena, &options,
                                         &driver.device.virtio, &driver.fs),
                     ERR_ok);
}

static void late_init(void)
{
    driver_init(0, 0);
    late_create();
    driver_start(0);
}

static void late_answers_keep_their_order(void **unused)
{
    (void)unused;
    late_init();
    uint32_t first = driver_post(0, 0, bytes_of("ab", 2), 8);
    uint32_t second = driver_post(0, 1, bytes_of("ab", 2), 8);
    uint32_t third = driver_post(0, 2, bytes_of("a", 1), 8); /* at once */
    uint32_t other = driver_post(1, 0, bytes_of("a", 1), 8);
    driver_kick(0);
    assert_int_equal(driver_load(driver_used(0) + 2, 2), 0);
    late_ready = 1u << 2;
    assert_false(v86fs_virtio_complete(driver.fs)); /* the second waits for the first */
    late_ready |= 1u << 1;
    assert_true(v86fs_virtio_complete(driver.fs));
    assert_int_equal(driver_load(driver_used(0) + 2, 2), 3);
    assert_int_equal(driver_load(driver_used(0) + 4, 4), 0);
    assert_int_equal(driver_load(driver_used(0) + 12, 4), 2);
    assert_int_equal(driver_load(driver_used(0) + 20, 4), 4);
    assert_int_equal(driver.ram[first], 1);
    assert_int_equal(driver.ram[second], 2);
    assert_int_equal(driver.ram[third], 0x55);
    driver_kick(1); /* another queue does not wait */
    assert_int_equal(driver.ram[other], 0x55);
    assert_int_equal(driver_load(driver_used(1) + 2, 2), 1);
}

static void a_pending_head_is_an_error(void **unused)
{
    (void)unused;
    late_init();
    driver_post(0, 0, bytes_of("ab", 2), 8);
    driver_kick(0);
    driver_offer(0, 0);
    driver_kick(0);
    driver_expect_error(8);
    assert_int_equal(late_resets, 2);
    late_ready = 1u << 1;
    assert_false(
        v86fs_virtio_complete(driver.fs)); /* nothing is pending after a reset */
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
    const struct emu_virtio *virtio = &driver.device.virtio;
    virtio->ops->save(virtio->ops_self, &before);
    assert_int_equal(before.size, 0);
    uint32_t first = driver_post(0, 0, bytes_of("ab", 2), 8);
    uint32_t second = driver_post(0, 1, bytes_of("a", 1), 8); /* at once, but waits */
    uint32_t other = driver_post(1, 5, bytes_of("xyz", 3), 8);
    driver_kick(0), driver_kick(1);
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
    assert_true(v86fs_virtio_complete(driver.fs));
    assert_int_equal(driver_load(driver_used(0) + 2, 2), 2);
    assert_int_equal(driver_load(driver_used(1) + 2, 2), 1);
    assert_int_equal(driver.ram[first], 1);
    assert_int_equal(driver.ram[second], 0x55);
    assert_int_equal(driver.ram[other], 2);
    assert_int_equal(v86fs_virtio_pending(driver.fs), 0);
    buffers(3, 256);
    driver_kick(2);
    assert_int_equal(driver_load(driver_used(2) + 2, 2), 3);
    assert_int_equal(driver_load(DRIVER_BUFFERS + 0x400 * 2 + 7, 8), 102);
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
    driver_post(0, 0, bytes_of("ab", 2), 8);
    driver_post(1, 5, bytes_of("xyz", 3), 8);
    driver_kick(0), driver_kick(1);
    (void)invalidate(100);
    const struct emu_virtio *virtio = &driver.device.virtio;
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
#define T(test) cmocka_unit_test_setup_teardown(test, driver_setup, driver_teardown)
    const struct CMUnitTest tests[] = {
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
