/* SPDX-License-Identifier: MIT
 *
 * The queue of notifications (v86fs.md 7).
 */
#include "tests/unit/v86fs/world.h"

#include <string.h>

enum { ROOM = 4 };

static struct arena arena;
static struct v86fs_notes *notes;

static int setup(void **unused)
{
    (void)unused;
    arena_init(&arena, 1 << 20);
    return v86fs_notes_create(&arena, ROOM, &notes) == ERR_ok ? 0 : -1;
}

static int teardown(void **unused)
{
    (void)unused;
    arena_fini(&arena);
    return 0;
}

/* The oldest frame is INVALIDATE of this. */
static void check_range(uint64_t ino, uint64_t offset, uint64_t size)
{
    struct bytes frame = v86fs_notes_first(notes);
    assert_int_equal(frame.size, 31);
    assert_int_equal(v86fs_load(frame.data, 4), 31);
    assert_int_equal(frame.data[4], V86FS_MSG_INVALIDATE);
    assert_int_equal(v86fs_load(frame.data + 5, 2), 0);
    assert_int_equal(v86fs_load(frame.data + 7, 8), ino);
    assert_int_equal(v86fs_load(frame.data + 15, 8), offset);
    assert_int_equal(v86fs_load(frame.data + 23, 8), size);
    v86fs_notes_drop_first(notes);
}

static void test_driver(void **unused)
{
    (void)unused;
    assert_int_equal(v86fs_notes_invalidate(notes, 2, 0, 0), V86FS_NOTE_NO_DRIVER);
    v86fs_notes_start(notes, 256);
    assert_int_equal(v86fs_notes_invalidate(notes, 2, 1, 2), V86FS_NOTE_QUEUED);
    v86fs_notes_stop(notes);
    assert_int_equal(v86fs_notes_first(notes).size, 0);
    v86fs_notes_start(notes, 256);
    assert_int_equal(v86fs_notes_count(notes), 0);
    v86fs_notes_drop_first(notes);
}

static void test_order_and_known(void **unused)
{
    (void)unused;
    v86fs_notes_start(notes, 256);
    assert_int_equal(v86fs_notes_invalidate(notes, 2, 0, 10), V86FS_NOTE_QUEUED);
    assert_int_equal(v86fs_notes_invalidate(notes, 2, 0, 10), V86FS_NOTE_QUEUED);
    assert_int_equal(v86fs_notes_count(notes), 1);
    assert_int_equal(v86fs_notes_invalidate(notes, 2, 0, 0), V86FS_NOTE_QUEUED);
    assert_int_equal(v86fs_notes_invalidate(notes, 2, 5, 5), V86FS_NOTE_QUEUED);
    assert_int_equal(v86fs_notes_count(notes), 2); /* the last one is covered */
    assert_int_equal(v86fs_notes_invalidate_dir(notes, 2), V86FS_NOTE_QUEUED);
    assert_int_equal(v86fs_notes_invalidate_dir(notes, 2), V86FS_NOTE_QUEUED);
    assert_int_equal(v86fs_notes_invalidate(notes, 3, 5, 5), V86FS_NOTE_QUEUED);
    assert_int_equal(v86fs_notes_count(notes), 4);
    check_range(2, 0, 10);
    check_range(2, 0, 0);
    assert_int_equal(v86fs_notes_first(notes).data[4], V86FS_MSG_INVALIDATE_DIR);
    v86fs_notes_drop_first(notes);
    check_range(3, 5, 5);
    assert_int_equal(v86fs_notes_count(notes), 0);
}

static void test_full(void **unused)
{
    (void)unused;
    v86fs_notes_start(notes, 256);
    assert_int_equal(v86fs_notes_invalidate_dir(notes, 1), V86FS_NOTE_QUEUED);
    assert_int_equal(v86fs_notes_invalidate(notes, 2, 0, 1), V86FS_NOTE_QUEUED);
    assert_int_equal(v86fs_notes_invalidate(notes, 3, 0, 1), V86FS_NOTE_QUEUED);
    assert_int_equal(v86fs_notes_invalidate(notes, 2, 9, 1), V86FS_NOTE_QUEUED);
    /* One range of 3 collapses to nothing less; two of 2 do. */
    assert_int_equal(v86fs_notes_invalidate(notes, 3, 9, 1), V86FS_NOTE_FULL);
    assert_int_equal(v86fs_notes_invalidate_dir(notes, 9), V86FS_NOTE_FULL);
    assert_int_equal(v86fs_notes_invalidate(notes, 2, 5, 1), V86FS_NOTE_QUEUED);
    assert_int_equal(v86fs_notes_count(notes), 3);
    v86fs_notes_drop_first(notes);
    check_range(2, 0, 0);
    check_range(3, 0, 1);
}

static void test_mounts(void **unused)
{
    (void)unused;
    char path[300] = "/";
    memset(path + 1, 'p', sizeof path - 1);
    v86fs_notes_start(notes, 256);
    assert_int_equal(v86fs_notes_mount(notes, text("n"), text("rel")),
                     V86FS_NOTE_INVALID);
    assert_int_equal(v86fs_notes_mount(notes, bytes_of("a\0", 2), text("/x")),
                     V86FS_NOTE_INVALID);
    assert_int_equal(v86fs_notes_umount(notes, text("")), V86FS_NOTE_INVALID);
    assert_int_equal(v86fs_notes_umount(notes, bytes_of(path, 247)), V86FS_NOTE_QUEUED);
    assert_int_equal(v86fs_notes_umount(notes, bytes_of(path, 248)),
                     V86FS_NOTE_TOO_LONG);
    v86fs_notes_drop_first(notes);
    v86fs_notes_start(notes, 512);
    assert_int_equal(v86fs_notes_umount(notes, bytes_of(path, 248)), V86FS_NOTE_QUEUED);
    v86fs_notes_drop_first(notes);
    /* Mount frames are never dropped as known. */
    assert_int_equal(v86fs_notes_mount(notes, text("n"), text("/mnt")),
                     V86FS_NOTE_QUEUED);
    assert_int_equal(v86fs_notes_mount(notes, text("n"), text("/mnt")),
                     V86FS_NOTE_QUEUED);
    assert_int_equal(v86fs_notes_count(notes), 2);
    struct bytes frame = v86fs_notes_first(notes);
    static const uint8_t want[] = "\x10\0\0\0\x22\0\0\1\0n\4\0/mnt";
    assert_int_equal(frame.size, sizeof want - 1);
    assert_memory_equal(frame.data, want, sizeof want - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(driver),
        TEST(order_and_known),
        TEST(full),
        TEST(mounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
