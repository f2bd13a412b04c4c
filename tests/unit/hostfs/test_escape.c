/* SPDX-License-Identifier: MIT
 *
 * Ways out of an exported directory (v86fs.md 4.4, pitfalls a to p): each test tries to
 * reach `outside` or to hang the server.  All run with openat2 and without.
 */
#define _GNU_SOURCE
#include "tests/unit/hostfs/world.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CREATE(w, parent, called)                                                      \
    ask(w, CREATE, .node = (parent), .name = text(called), .mode = 0644)
#define READ(w, file) ask(w, READ, .node = (file), .count = 4096)

static bool without_openat2;

static void assert_outside_untouched(struct world *w)
{
    world_shell(w, "test \"$(ls -A outside)\" = secret");
    assert_string_equal(world_content(w, "outside/secret"), "secret\n");
}

/* (a) names that are paths, or no names at all */
static void test_names(void **state)
{
    struct world *w = *state;
    static const uint8_t nul[] = {'a', 0, 'b'};
    uint8_t longest[256];
    memset(longest, 'n', sizeof longest);
    static const char *const bad[] = {"a/b", "../outside", "/etc/passwd", "d/..", "/"};
    world_shell(w, "mkdir root/d");
    for (unsigned i = 0; i < countof(bad); i++) {
        assert_int_equal(ask(w, LOOKUP, .node = w->root, .name = text(bad[i])),
                         V86FS_EINVAL);
        assert_int_equal(CREATE(w, w->root, bad[i]), V86FS_EINVAL);
    }
    assert_int_equal(ask(w, LOOKUP, .node = w->root, .name = text("..")), V86FS_ENOENT);
    assert_int_equal(CREATE(w, w->root, ".."), V86FS_EEXIST);
    assert_int_equal(
        ask(w, UNLINK, .node = w->root, .name = text(".."), .flags = V86FS_REMOVEDIR),
        V86FS_EINVAL);
    assert_int_equal(ask(w, CREATE, .node = w->root, .name = bytes_of(nul, 3)),
                     V86FS_EINVAL);
    assert_int_equal(ask(w, CREATE, .node = w->root, .name = bytes_of(longest, 256)),
                     V86FS_ENAMETOOLONG);
    assert_int_equal(ask(w, CREATE, .node = w->root, .name = bytes_of(longest, 255)),
                     0);
    assert_int_equal(CREATE(w, w->root, "\xff\xfe\xc3"), 0); /* no UTF-8: bytes */
    uint64_t node = w->answer.attr.node;
    assert_int_equal(world_node(w, "\xff\xfe\xc3"), node);
    assert_outside_untouched(w);
}

/* (b) links that lead out, as the last part and as a parent */
static void test_symlinks(void **state)
{
    struct world *w = *state;
    world_shell(w, "ln -s ../outside root/rel; ln -s \"$PWD/outside\" root/abs;"
                   "ln -s rel root/nested; ln -s ../outside/secret root/file");
    static const char *const links[] = {"rel", "abs", "nested", "file"};
    for (unsigned i = 0; i < countof(links); i++) {
        uint64_t node = world_node(w, links[i]);
        assert_int_equal(w->answer.attr.mode, 0120777);
        assert_int_equal(ask(w, LOOKUP, .node = node, .name = text("secret")),
                         V86FS_ENOTDIR);
        assert_int_equal(ask(w, READDIR, .node = node), V86FS_ENOTDIR);
        assert_int_equal(CREATE(w, node, "new"), V86FS_ENOTDIR);
        assert_int_equal(READ(w, node), V86FS_EINVAL);
        assert_int_equal(ask(w, OPEN, .node = node), V86FS_ELOOP);
        assert_int_equal(ask(w, WRITE, .node = node, .count = 1, .data = text("x")),
                         V86FS_EINVAL);
        assert_int_equal(ask(w, SETATTR, .node = node, .valid = V86FS_SET_SIZE),
                         V86FS_EINVAL);
        assert_int_equal(ask(w, SETATTR, .node = node, .valid = V86FS_SET_MTIME), 0);
        assert_int_equal(CREATE(w, w->root, links[i]), V86FS_EEXIST);
    }
    assert_int_equal(ask(w, UNLINK, .node = w->root, .name = text("file")), 0);
    assert_outside_untouched(w);
}

/* (b) a directory that became a link since the guest heard of it */
static void test_replaced_by_link(void **state)
{
    struct world *w = *state;
    world_shell(w, "mkdir root/d; echo in >root/d/secret; echo in >root/f");
    world_list(w, w->root, 0); /* nodes without descriptors */
    assert_int_equal(ask(w, READDIR, .node = w->root), 0);
    struct v86fs_dirent d, f;
    struct bytes entries = w->tail;
    assert_true(v86fs_dirent_decode(&entries, &d) && v86fs_dirent_decode(&entries, &f));
    world_shell(w, "mv root/d was; ln -s ../outside root/d;"
                   "rm root/f; ln -s ../outside/secret root/f");
    assert_int_equal(ask(w, LOOKUP, .node = d.node, .name = text("secret")),
                     V86FS_ESTALE);
    assert_int_equal(CREATE(w, d.node, "new"), V86FS_ESTALE);
    assert_int_equal(READ(w, f.node), V86FS_ESTALE);
    assert_int_equal(ask(w, OPEN, .node = f.node, .flags = 1), V86FS_ESTALE);
    assert_outside_untouched(w);
}

/* ---- races ---- */

static pid_t swapper; /* runs a loop until it is told to stop */

static void start_swapper(struct world *w, const char *loop)
{
    swapper = fork();
    if (swapper == 0) {
        char command[1024];
        (void)snprintf(command, sizeof command, "cd '%s' && while :; do %s; done",
                       w->folder, loop);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    assert_true(swapper > 0);
}

static void stop_swapper(void)
{
    assert_int_equal(kill(swapper, SIGKILL), 0);
    assert_int_equal(waitpid(swapper, NULL, 0), swapper);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void assert_no_secret(const struct world *w)
{
    if (w->tail.size >= 6 && memcmp(w->tail.data, "secret", 6) == 0)
        fail_msg("read the secret");
}

/* What a guest would try with a node that is a directory now and then. */
static void attack_directory(struct world *w, uint64_t node)
{
    (void)CREATE(w, node, "new");
    if (!ask(w, LOOKUP, .node = node, .name = text("secret"))) {
        uint64_t secret = w->answer.attr.node;
        if (!READ(w, secret))
            assert_no_secret(w);
        (void)ask(w, WRITE, .node = secret, .count = 2, .data = text("in"));
    }
    (void)ask(w, SYMLINK, .node = node, .name = text("l"), .target = text("x"));
    (void)ask(w, RENAME, .node = node, .name = text("l"), .new_parent = node,
              .new_name = text("m"));
    (void)ask(w, UNLINK, .node = node, .name = text("m"));
    (void)ask(w, UNLINK, .node = node, .name = text("new"));
}

/* (b) swapped in between check and use */
static void test_swapped_directory(void **state)
{
    struct world *w = *state;
    uint64_t node[2] = {0}, tries = 0, end = now_ms() + 300;
    world_shell(w, "mkdir root/d; echo in >root/d/secret; ln -s ../outside link");
    node[0] = world_node(w, "d");
    start_swapper(w, "mv root/d dir; mv link root/d; mv root/d link; mv dir root/d");
    for (; now_ms() < end; tries++) {
        if (!ask(w, LOOKUP, .node = w->root, .name = text("d")))
            node[1] = w->answer.attr.node;
        attack_directory(w, node[0]);
        attack_directory(w, node[1]);
    }
    stop_swapper();
    assert_true(tries > 10);
    assert_outside_untouched(w);
}

/* (b, e) a file that is a link, a FIFO, or a directory now and then */
static void test_swapped_file(void **state)
{
    struct world *w = *state;
    uint64_t tries = 0, end = now_ms() + 300;
    world_shell(w, "echo in >root/f; ln -s ../outside/secret link; mkfifo pipe");
    start_swapper(w, "mv root/f file; mv link root/f; mv root/f link; mv pipe root/f;"
                     "mv root/f pipe; mv file root/f");
    for (; now_ms() < end; tries++) {
        if (ask(w, LOOKUP, .node = w->root, .name = text("f")))
            continue;
        uint64_t node = w->answer.attr.node;
        if (!READ(w, node))
            assert_no_secret(w);
        (void)ask(w, WRITE, .node = node, .count = 3, .data = text("in\n"));
        (void)ask(w, SETATTR, .node = node, .valid = V86FS_SET_MTIME | V86FS_SET_MODE,
                  .mode = 0600);
        if (!ask(w, OPEN, .node = node, .flags = 2))
            (void)ask(w, CLOSE, .node = w->answer.opaque);
    }
    stop_swapper();
    assert_true(tries > 10);
    assert_outside_untouched(w);
}

/* ---- directories that leave ---- */

/* (f) an open directory is moved out: it may be read, not changed */
static void test_moved_out(void **state)
{
    struct world *w = *state;
    world_shell(w, "mkdir -p root/a/d; echo in >root/a/d/f; mkdir away");
    uint64_t d = world_node(w, "a/d");
    assert_int_equal(READ(w, world_node(w, "a/d/f")), 0); /* now it has descriptors */
    assert_int_equal(CREATE(w, d, "before"), 0);
    world_shell(w, "mv root/a away/a");
    assert_int_equal(CREATE(w, d, "new"), V86FS_ESTALE);
    assert_int_equal(ask(w, MKDIR, .node = d, .name = text("new")), V86FS_ESTALE);
    assert_int_equal(ask(w, UNLINK, .node = d, .name = text("f")), V86FS_ESTALE);
    assert_int_equal(ask(w, RENAME, .node = d, .name = text("f"), .new_parent = w->root,
                         .new_name = text("f")),
                     V86FS_ESTALE);
    assert_int_equal(ask(w, SYMLINK, .node = d, .name = text("l"), .target = text("x")),
                     V86FS_ESTALE);
    world_shell(w, "test \"$(ls away/a/d | tr '\\n' ' ')\" = 'before f '");
    world_shell(w, "mv away/a root/b"); /* back under another name */
    assert_int_equal(CREATE(w, d, "new"), 0);
}

/* ---- what is no file ---- */

/* (e) FIFO, socket, device: not there, and never opened */
static void test_special_files(void **state)
{
    struct world *w = *state;
    world_shell(w, "mkfifo root/pipe; touch root/plain");
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", w->folder, "root/null");
    bool device = mknod(path, S_IFCHR | 0666, makedev(1, 3)) == 0;
    assert_string_equal(world_list(w, w->root, 0), "plain");
    const char *const names[] = {"pipe", "null"};
    for (unsigned i = 0; i < (device ? 2 : 1); i++) {
        struct bytes name = text(names[i]);
        assert_int_equal(ask(w, LOOKUP, .node = w->root, .name = name), V86FS_ENOENT);
        assert_int_equal(ask(w, UNLINK, .node = w->root, .name = name), V86FS_ENOENT);
        assert_int_equal(CREATE(w, w->root, names[i]), V86FS_EEXIST);
        assert_int_equal(ask(w, RENAME, .node = w->root, .name = name,
                             .new_parent = w->root, .new_name = text("x")),
                         V86FS_ENOENT);
        assert_int_equal(ask(w, RENAME, .node = w->root, .name = text("plain"),
                             .new_parent = w->root, .new_name = name),
                         V86FS_EEXIST);
    }
    assert_int_equal(ask(w, READDIR, .node = w->root), 0);
    struct v86fs_dirent plain;
    assert_true(v86fs_dirent_decode(&w->tail, &plain));
    world_shell(w, "rm root/plain; mkfifo root/plain");
    assert_int_equal(READ(w, plain.node), V86FS_ESTALE); /* and does not wait */
    if (!device)
        print_message("device nodes: not tested, mknod: %s\n", strerror(errno));
}

/* (d) what is mounted below is not part of the export */
static void test_mount_points(void **state)
{
    struct world *w = *state;
    char path[128];
    world_shell(w, "mkdir root/m root/n");
    uint64_t m = world_node(w, "m");
    (void)snprintf(path, sizeof path, "%s/%s", w->folder, "root/m");
    if (mount("none", path, "tmpfs", 0, "size=64k") != 0) {
        print_message("mount points: not tested, mount: %s\n", strerror(errno));
        skip();
    }
    char command[256];
    (void)snprintf(command, sizeof command, "echo secret >'%s'/s", path);
    int made = system(command);
    uint32_t lookup = ask(w, LOOKUP, .node = w->root, .name = text("m"));
    uint32_t inside = ask(w, LOOKUP, .node = m, .name = text("s"));
    uint32_t gone =
        ask(w, UNLINK, .node = w->root, .name = text("m"), .flags = V86FS_REMOVEDIR);
    uint32_t listed = ask(w, READDIR, .node = w->root);
    struct v86fs_dirent only;
    bool hidden = !listed && v86fs_dirent_decode(&w->tail, &only) && !w->tail.size &&
                  only.name.data[0] == 'n';
    assert_int_equal(umount(path), 0);
    assert_int_equal(made, 0);
    assert_int_equal(lookup, V86FS_EXDEV);
    assert_true(inside == V86FS_ESTALE || inside == V86FS_EXDEV ||
                inside == V86FS_ENOENT);
    assert_int_equal(gone, V86FS_EXDEV);
    assert_true(hidden);
}

/* (c) links of /proc that are more than text */
static void test_magic_links(void **state)
{
    (void)state;
    struct arena arena;
    struct v86fs_ids ids;
    struct hostfs_dir *dir;
    struct hostfs_dir_options options;
    hostfs_dir_options_init(&options);
    options.node_count_max = 1000;
    options.no_openat2 = without_openat2;
    arena_init(&arena, (size_t)1 << 30);
    v86fs_ids_init(&ids);
    assert_int_equal(hostfs_dir_open(&arena, &options, "/proc/self", &ids, &dir),
                     ERR_ok);
    struct v86fs_tree tree = hostfs_dir_tree(dir);
    struct v86fs_call call = {
        .in = {.node = hostfs_dir_root(dir), .name = text("root")}};
    assert_int_equal(tree.ops->lookup(tree.self, &call), 0);
    assert_int_equal(call.out.attr.mode, 0120777);
    call.in = (struct v86fs_ask){.node = call.out.attr.node, .name = text("etc")};
    assert_int_equal(tree.ops->lookup(tree.self, &call), V86FS_ENOTDIR);
    hostfs_dir_close(dir);
    arena_fini(&arena);
}

/* ---- options and resources ---- */

/* (i, j) names of files elsewhere; links for others to follow */
static void test_options(void **state)
{
    (void)state;
    struct world world, *w = &world;
    struct hostfs_dir_options options;
    hostfs_dir_options_init(&options);
    options.node_count_max = 100;
    options.refuse_links = options.safe_symlinks = true;
    options.no_openat2 = without_openat2;
    world_init(w, &options);
    world_shell(w, "ln outside/secret root/hard");
    uint64_t hard = world_node(w, "hard");
    assert_int_equal(ask(w, WRITE, .node = hard, .count = 1, .data = text("x")),
                     V86FS_EPERM);
    assert_int_equal(ask(w, SETATTR, .node = hard, .valid = V86FS_SET_SIZE),
                     V86FS_EPERM);
    static const char *const bad[] = {"/etc", "..", "../x", "a/../b", "a/.."};
    static const char *const good[] = {"a", "..a/b", "a..", "a/b/c..d"};
    for (unsigned i = 0; i < countof(bad); i++)
        assert_int_equal(
            ask(w, SYMLINK, .node = w->root, .name = text("l"), .target = text(bad[i])),
            V86FS_EPERM);
    for (unsigned i = 0; i < countof(good); i++) {
        assert_int_equal(ask(w, SYMLINK, .node = w->root, .name = text("l"),
                             .target = text(good[i])),
                         0);
        assert_int_equal(ask(w, UNLINK, .node = w->root, .name = text("l")), 0);
    }
    assert_outside_untouched(w);
    world_fini(w);
}

/* (m, o) a file that grows beyond what the process may write */
static void test_file_size_signal(void **state)
{
    struct world *w = *state;
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(CREATE(w, w->root, "big"), 0);
    uint64_t node = w->answer.attr.node;
    small = before;
    small.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    uint32_t status =
        ask(w, WRITE, .node = node, .offset = 1 << 20, .count = 1, .data = text("x"));
    uint32_t grown =
        ask(w, SETATTR, .node = node, .valid = V86FS_SET_SIZE, .size = 2 << 20);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, V86FS_EFBIG);
    assert_int_equal(grown, V86FS_EFBIG);
}

/* (n) a child process gets none of the descriptors */
static void test_no_leaked_descriptors(void **state)
{
    struct world *w = *state;
    world_shell(w, "mkdir root/d; echo x >root/d/f");
    assert_int_equal(READ(w, world_node(w, "d/f")), 0);
    assert_true(hostfs_dir_fd_count(w->dir) >= 3);
    world_shell(w, "! ls -l /proc/self/fd | grep -q \"$PWD/root\"");
}

static int setup(void **state)
{
    struct hostfs_dir_options options;
    hostfs_dir_options_init(&options);
    options.node_count_max = 20000;
    options.no_openat2 = without_openat2;
    *state = malloc(sizeof(struct world));
    if (!*state)
        return -1;
    world_init(*state, &options);
    return 0;
}

static int teardown(void **state)
{
    world_fini(*state);
    free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names),
        TEST(test_symlinks),
        TEST(test_replaced_by_link),
        TEST(test_swapped_directory),
        TEST(test_swapped_file),
        TEST(test_moved_out),
        TEST(test_special_files),
        TEST(test_mount_points),
        cmocka_unit_test(test_magic_links),
        cmocka_unit_test(test_options),
        TEST(test_file_size_signal),
        TEST(test_no_leaked_descriptors),
    };
    alarm(120); /* a server that waits for a FIFO must not hang the suite */
    int failed = cmocka_run_group_tests_name("openat2", tests, NULL, NULL);
    without_openat2 = true;
    return failed + cmocka_run_group_tests_name("openat", tests, NULL, NULL);
}
