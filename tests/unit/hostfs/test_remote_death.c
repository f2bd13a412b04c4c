/* SPDX-License-Identifier: MIT
 *
 * A bridge whose other side has died: it starts again, or is waited for.
 */
#define _GNU_SOURCE
#include "tests/unit/hostfs/other.h"

#include "base/os.h"
#include "base/os_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static enum err last_told;
static unsigned told_count;

static void keep_told(void *self, enum err err)
{
    (void)self;
    last_told = err;
    told_count++;
}

static void ours_attach(struct ours *w, const char *attachment,
                        enum hostfs_death on_death)
{
    struct hostfs_remote_options options;
    memset(w, 0, sizeof *w);
    hostfs_remote_options_init(&options);
    options.node_count_max = 50;
    options.request_ns = UINT64_C(5000000000);
    options.shared = other_shared;
    options.on_death = on_death;
    options.told = keep_told;
    told_count = 0;
    arena_init(&w->arena, 1 << 28);
    v86fs_ids_init(&w->ids);
    assert_int_equal(
        hostfs_remote_open(&w->arena, &options, attachment, &w->ids, &w->remote),
        ERR_ok);
    w->tree = hostfs_remote_tree(w->remote);
    w->root = hostfs_remote_root(w->remote);
}

static void ours_detach(struct ours *w)
{
    hostfs_remote_close(w->remote);
    arena_fini(&w->arena);
}

/* This program as a server, started by the bridge: "serve WRONG AT". */
_Noreturn static void serve_on_3(char **argv)
{
    struct other other = {.wrong = (enum other_wrong)atoi(argv[2]),
                          .at = (unsigned)atoi(argv[3]),
                          .features = V86FS_FEATURES,
                          .channel.fd = 3};
    other_run(&other);
}

/* Another server has another tree: what the guest knew of the old one is stale. */
static void test_restart(void **state)
{
    struct ours ours, *w = &ours;
    char self[400], attachment[500];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    (void)state;
    assert_true(size > 0);
    self[size] = 0;
    (void)snprintf(attachment, sizeof attachment, "exec:exec '%s' serve %d 4", self,
                   OTHER_KILLED);
    ours_attach(w, attachment, HOSTFS_DEATH_RESTART);
    assert_int_equal(CALL(w, create, .node = w->root, .name = text("f")), 0);
    uint64_t f = w->call.out.attr.node;
    assert_int_equal(CALL(w, open, .node = f), 0);
    uint64_t opaque = w->call.out.opaque;
    assert_int_equal(CALL(w, getattr, .node = f), V86FS_EIO); /* the fourth: it dies */
    assert_int_equal(told_count, 1);
    assert_int_equal(last_told, ERR_closed);
    assert_int_equal(CALL(w, getattr, .node = f), V86FS_ESTALE);
    assert_int_equal(told_count, 2);
    assert_int_equal(last_told, ERR_ok);
    assert_int_equal(CALL(w, read, .node = f, .opaque = opaque, .count = 1), V86FS_EIO);
    assert_int_equal(CALL(w, close, .node = f, .opaque = opaque), 0);
    assert_int_equal(hostfs_remote_root(w->remote), w->root);
    assert_int_equal(CALL(w, lookup, .node = w->root, .name = text("f")), V86FS_ENOENT);
    assert_int_equal(CALL(w, create, .node = w->root, .name = text("f")), 0);
    assert_true(w->call.out.attr.node > f); /* never the same id again */
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(hostfs_remote_counters(w->remote)->restarts, i);
        assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
        assert_int_equal(CALL(w, getattr, .node = w->root), 0);
        assert_int_equal(CALL(w, getattr, .node = w->root), 0);
    }
    assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
    assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
    assert_int_equal(hostfs_remote_counters(w->remote)->restarts, 3);
    ours_detach(w);
}

/* A server behind a path, from `delay_ms` on, that dies of its third request. */
static pid_t serve_path(const char *path, unsigned delay_ms)
{
    pid_t process = fork();
    assert_true(process >= 0);
    if (process)
        return process;
    struct other other = {.wrong = OTHER_KILLED, .at = 3, .features = V86FS_FEATURES};
    int listener;
    os_sleep_ns(delay_ms * UINT64_C(1000000));
    check(!os_stream_listen(path, &listener));
    check(!os_stream_accept(listener, OS_STREAM_NEVER, &other.channel.fd));
    other_run(&other);
}

/* The next request waits for a server to be there again. */
static void test_pause(void **state)
{
    struct ours ours, *w = &ours;
    char folder[] = "/tmp/lockstep-test-XXXXXX", path[60], attachment[80];
    (void)state;
    assert_int_equal(os_folder_create_private(folder), ERR_ok);
    (void)snprintf(path, sizeof path, "%s/s", folder);
    (void)snprintf(attachment, sizeof attachment, "unix:%s", path);
    pid_t first = serve_path(path, 0);
    ours_attach(w, attachment, HOSTFS_DEATH_PAUSE);
    assert_int_equal(CALL(w, getattr, .node = w->root), 0);
    assert_int_equal(CALL(w, getattr, .node = w->root), V86FS_EIO);
    assert_int_equal(waitpid(first, NULL, 0), first);
    uint64_t start = os_clock_monotonic_ns();
    pid_t second = serve_path(path, 100);
    assert_int_equal(CALL(w, getattr, .node = w->root), 0);
    assert_true(os_clock_monotonic_ns() - start >= 100000000);
    assert_int_equal(told_count, 2);
    ours_detach(w);
    assert_int_equal(waitpid(second, NULL, 0), second);
    assert_int_equal(os_unlink(path), ERR_ok);
    assert_int_equal(os_folder_remove(folder), ERR_ok);
}

int main(int argc, char **argv)
{
#define BOTH(test)                                                                     \
    cmocka_unit_test_setup(test, other_with_socket),                                   \
        cmocka_unit_test_setup(test, other_with_memory)
    const struct CMUnitTest tests[] = {
        BOTH(test_restart),
        BOTH(test_pause),
    };
    if (argc == 4 && strcmp(argv[1], "serve") == 0)
        serve_on_3(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
