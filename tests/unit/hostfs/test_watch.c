/* SPDX-License-Identifier: MIT
 *
 * What others do to a host directory is told, what the guest does is not.
 */
#define _GNU_SOURCE
#include "tests/unit/hostfs/world.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOTE_MAX = 64 };

static struct v86fs_note notes[NOTE_MAX];
static unsigned note_count, lost_count;
static bool keeps = true; /* notes; else they are only counted */

static void on_note(void *self, struct bytes frame)
{
    struct v86fs_note note;
    (void)self;
    assert_true(v86fs_note_decode(frame, &note));
    if (!keeps)
        return;
    assert_true(note_count < NOTE_MAX);
    notes[note_count++] = note;
}

static void on_lost(void *self)
{
    (void)self;
    lost_count++;
}

static void watch_init(struct world *w)
{
    struct hostfs_dir_options options;
    hostfs_dir_options_init(&options);
    options.node_count_max = 1000;
    options.watch = true;
    options.note = on_note;
    options.lost = on_lost;
    world_init(w, &options);
    note_count = lost_count = 0;
    world_shell(w, "cd root; echo one >f; mkdir d; echo x >d/g; ln -s f l");
}

static bool was_told(uint8_t type, uint64_t ino)
{
    for (unsigned i = 0; i < note_count; i++) {
        if (notes[i].type == type && notes[i].ino == ino)
            return true;
    }
    return false;
}

/* Do something outside and see what is told: an INVALIDATE of `file`, an INVALIDATE_DIR
 * of `folder` (0: none), and nothing else. */
static void expect(struct world *w, const char *command, uint64_t file, uint64_t folder)
{
    world_shell(w, command);
    note_count = 0;
    hostfs_dir_poll(w->dir);
    if (file && !was_told(V86FS_MSG_INVALIDATE, file))
        fail_msg("%s: no INVALIDATE", command);
    if (folder && !was_told(V86FS_MSG_INVALIDATE_DIR, folder))
        fail_msg("%s: no INVALIDATE_DIR", command);
    for (unsigned i = 0; i < note_count; i++) {
        bool names = notes[i].type == V86FS_MSG_INVALIDATE_DIR;
        if (notes[i].ino != (names ? folder : file))
            fail_msg("%s: told of %d %d", command, notes[i].type, (int)notes[i].ino);
    }
}

static void test_others(void **state)
{
    struct world world, *w = &world;
    (void)state;
    watch_init(w);
    expect(w, "echo never >root/not-looked-at", 0, 0);
    uint64_t f = world_node(w, "f"), d = world_node(w, "d"), g = world_node(w, "d/g");
    expect(w, "echo two >>root/f", f, 0);
    expect(w, "chmod 600 root/f", f, 0);
    expect(w, "echo y >>root/d/g", g, 0);
    expect(w, "echo new >root/h", 0, w->root);
    expect(w, "mv root/h root/i", 0, w->root);
    expect(w, "rm root/i", 0, w->root);
    expect(w, "mkdir root/e", 0, w->root);
    expect(w, "chmod 700 root/d", d, 0);
    expect(w, "true", 0, 0);
    expect(w, "cat root/f root/d/g >/dev/null; ls -la root root/d >/dev/null", 0, 0);
    /* Replaced by another file: the name is told, and the new one is found. */
    expect(w, "echo other >root/other; mv root/other root/f", 0, w->root);
    assert_int_not_equal(world_node(w, "f"), f);
    /* A name that comes back, and a folder that goes. */
    expect(w, "rm root/d/g", 0, d);
    expect(w, "rmdir root/d", 0, w->root);
    world_shell(w, "mkdir root/d; echo z >root/d/g");
    hostfs_dir_poll(w->dir);
    g = world_node(w, "d/g");
    expect(w, "echo z >>root/d/g", g, 0);
    assert_int_equal(lost_count, 0);
    world_fini(w);
}

static uint64_t make(struct world *w, uint64_t parent, const char *name)
{
    assert_int_equal(ask(w, CREATE, .node = parent, .name = text(name), .mode = 0644),
                     0);
    return w->answer.attr.node;
}

/* All that a guest can change. */
static void change_all(struct world *w)
{
    uint64_t root = w->root, d = world_node(w, "d"), f = world_node(w, "f");
    uint64_t a = make(w, root, "a"), b = make(w, d, "b");
    assert_int_equal(ask(w, WRITE, .node = a, .count = 1, .data = text("x")), 0);
    assert_int_equal(ask(w, WRITE, .node = f, .count = 1, .data = text("x")), 0);
    assert_int_equal(ask(w, SETATTR, .node = b, .valid = V86FS_SET_SIZE, .size = 99),
                     0);
    assert_int_equal(ask(w, SETATTR, .node = d, .valid = V86FS_SET_MODE, .mode = 0700),
                     0);
    assert_int_equal(ask(w, SETATTR, .node = f, .valid = V86FS_SET_MTIME), 0);
    assert_int_equal(ask(w, MKDIR, .node = d, .name = text("e"), .mode = 0755), 0);
    assert_int_equal(ask(w, SYMLINK, .node = d, .name = text("s"), .target = text("x")),
                     0);
    assert_int_equal(ask(w, RENAME, .node = root, .name = text("a"), .new_parent = d,
                         .new_name = text("c")),
                     0);
    assert_int_equal(ask(w, RENAME, .node = d, .name = text("c"), .new_parent = d,
                         .new_name = text("b")),
                     0); /* replaces */
    assert_int_equal(ask(w, UNLINK, .node = d, .name = text("b")), 0);
    assert_int_equal(ask(w, UNLINK, .node = d, .name = text("s")), 0);
    assert_int_equal(
        ask(w, UNLINK, .node = d, .name = text("e"), .flags = V86FS_REMOVEDIR), 0);
    assert_int_equal(ask(w, OPEN, .node = f, .flags = 2), 0);
    assert_int_equal(ask(w, FSYNC, .node = f), 0);
    assert_int_equal(ask(w, READ, .node = f, .count = 10), 0);
    assert_int_equal(ask(w, READDIR, .node = d), 0);
}

static void test_own(void **state)
{
    struct world world, *w = &world;
    (void)state;
    watch_init(w);
    (void)world_node(w, "d/g");
    change_all(w);
    hostfs_dir_poll(w->dir);
    assert_int_equal(note_count, 0);
    /* What others did before is told, although we change the same folder. */
    world_shell(w, "echo theirs >root/d/theirs");
    uint64_t d = world_node(w, "d");
    (void)make(w, d, "ours");
    assert_int_equal(note_count, 1);
    assert_int_equal(notes[0].type, V86FS_MSG_INVALIDATE_DIR);
    assert_int_equal(notes[0].ino, d);
    world_fini(w);
}

/* More than the system keeps: one word, and it goes on. */
static void test_overflow(void **state)
{
    enum { MANY = 40000 };
    struct world world, *w = &world;
    char path[100];
    (void)state;
    watch_init(w);
    (void)world_node(w, "d/g");
    keeps = false;
    for (unsigned i = 0; i < MANY; i++) { /* the same twice in a row is one event */
        (void)snprintf(path, sizeof path, "%.79s/%s", w->folder,
                       i % 2 ? "root/f" : "root/d/g");
        assert_int_equal(chmod(path, 0600), 0);
    }
    hostfs_dir_poll(w->dir);
    keeps = true;
    assert_int_equal(lost_count, 1);
    expect(w, "echo y >>root/d/g", world_node(w, "d/g"), 0);
    world_fini(w);
}

static void test_options(void **state)
{
    struct hostfs_dir_options options;
    struct hostfs_dir *dir;
    struct v86fs_ids ids;
    struct arena arena;
    (void)state;
    hostfs_dir_options_init(&options);
    options.watch = true; /* and nobody to tell */
    arena_init(&arena, (size_t)8 << 30);
    v86fs_ids_init(&ids);
    assert_int_equal(hostfs_dir_open(&arena, &options, "/tmp", &ids, &dir), ERR_usage);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
