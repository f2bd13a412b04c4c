/* SPDX-License-Identifier: MIT
 *
 * Specs of file trees: names, kinds, options, commas in paths, and what is refused.
 */
#include "cli/fs.h"

#include "tests/test.h"

#include <string.h>

static struct arena arena;
static char error[CLI_FS_ERROR_SIZE];

static struct cli_fs_spec good(const char *text)
{
    struct cli_fs_spec spec;
    if (!cli_fs_parse(&arena, text, &spec, error))
        fail_msg("%s: %s", text, error);
    return spec;
}

static void bad(const char *text, const char *words)
{
    struct cli_fs_spec spec;
    if (cli_fs_parse(&arena, text, &spec, error))
        fail_msg("%s: accepted", text);
    if (!strstr(error, words))
        fail_msg("%s: '%s' is not in '%s'", text, words, error);
}

static void test_kinds(void **state)
{
    (void)state;
    struct cli_fs_spec spec = good("mem");
    assert_int_equal(spec.kind, CLI_FS_MEM);
    assert_string_equal(spec.name, "");
    assert_int_equal(spec.quota, 1 << 30);
    spec = good("work=dir:/a=b:c");
    assert_int_equal(spec.kind, CLI_FS_DIR);
    assert_string_equal(spec.name, "work");
    assert_string_equal(spec.path, "/a=b:c");
    assert_int_equal(spec.dir.umask_bits, 022);
    spec = good("dir:/a=b");
    assert_string_equal(spec.name, "");
    spec = good("=image:x.tar,mtime=7");
    assert_int_equal(spec.kind, CLI_FS_IMAGE);
    assert_true(spec.image.set_mtime && spec.image.mtime == 7);
    assert_false(good("image:x,mtime=keep").image.set_mtime);
    assert_true(good("image:x,mtime=zero").image.set_mtime);
    spec = good("overlay:dir:/x,umask=0,quota=2M");
    assert_int_equal(spec.kind, CLI_FS_OVERLAY_DIR);
    assert_int_equal(spec.dir.umask_bits, 0);
    assert_int_equal(spec.quota, 2 << 20);
    assert_int_equal(good("overlay:x").kind, CLI_FS_OVERLAY);
    spec = good("remote:exec:serve -x,on-death=restart,shm,timeout=7,hello=8");
    assert_int_equal(spec.kind, CLI_FS_REMOTE);
    assert_string_equal(spec.path, "exec:serve -x");
    assert_int_equal(spec.on_death, HOSTFS_DEATH_RESTART);
    assert_true(spec.shared && !spec.mounts);
    assert_int_equal(spec.timeout_s, 7);
    assert_int_equal(spec.hello_s, 8);
    assert_int_equal(good("remote:unix:s").hello_s, 5);
    assert_int_equal(good("remote:fd:3,on-death=pause").on_death, HOSTFS_DEATH_PAUSE);
    assert_true(good("dir:x,watch").dir.watch);
    spec = good("dir:a\\,ro\\,b\\c,ro,trust-host");
    assert_string_equal(spec.path, "a,ro,b\\c");
    assert_true(spec.read_only && spec.dir.trust_host);
}

static void test_refused(void **state)
{
    (void)state;
    bad("", "not mem");
    bad("men", "not mem");
    bad("memory", "not mem");
    bad("dir:", "path is missing");
    bad("overlay:dir:", "path is missing");
    bad("mem,umask=0", "no option");
    bad("dir:x,quota=1M", "no option");
    bad("dir:x,umask=8", "no good value");
    bad("dir:x,umask=1000", "no good value");
    bad("dir:x,umask", "value is missing");
    bad("dir:x,ro=1", "no good value");
    bad("mem,quota=0", "no good value");
    bad("mem,nodes=x", "no good value");
    bad("mem,", "no option");
    bad("image:x,mtime=-1", "no good value");
    bad("image:x,ro", "no option");
    bad("overlay:dir:x,watch", "no option");
    bad("remote:fd:3,on-death=die", "no good value");
    bad("remote:fd:3,on-death", "value is missing");
    bad("dir:x,shm", "no option");
    char text[400] = "";
    memset(text, 'n', 256);
    strcpy(text + 256, "=mem");
    bad(text, "too long");
}

/* What is written into a trace is read as it was. */
static void test_put(void **state)
{
    (void)state;
    static const char *const specs[] = {
        "mem",
        "mem,ro,quota=5M,nodes=77",
        "dir:x,ro,umask=7,entries=9,names=10",
        "dir:x,host-times,special-bits,safe-symlinks,refuse-links,no-fsync",
        "image:x",
        "overlay:x,quota=1M",
        "overlay:dir:x,nodes=5,names=6",
        "dir:x,watch",
        "remote:x,on-death=pause,shm,mounts"};
    for (size_t i = 0; i < countof(specs); i++) {
        struct buf first, second;
        buf_init(&first, 1000);
        buf_init(&second, 1000);
        struct cli_fs_spec a = good(specs[i]);
        cli_fs_put(&a, &first);
        struct cli_fs_spec b = good(buf_string(&first));
        cli_fs_put(&b, &second);
        assert_string_equal(buf_string(&first), buf_string(&second));
        assert_int_equal(a.kind, b.kind);
        assert_int_equal(a.quota, b.quota);
        assert_int_equal(a.node_count_max, b.node_count_max);
        assert_int_equal(a.read_only, b.read_only);
        assert_int_equal(a.on_death, b.on_death);
        assert_int_equal(a.shared, b.shared);
        assert_int_equal(a.mounts, b.mounts);
        assert_memory_equal(&a.dir, &b.dir, sizeof a.dir);
        buf_fini(&first);
        buf_fini(&second);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_put),
    };
    arena_init(&arena, 1 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&arena);
    return failed;
}
