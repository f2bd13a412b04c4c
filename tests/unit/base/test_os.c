/* SPDX-License-Identifier: MIT
 *
 * Each test works in a fresh folder below $TMPDIR or /tmp.
 */
#define _GNU_SOURCE
#include "base/os.h"

#include "tests/test.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[200];

static const char *in_dir(const char *name)
{
    static char path[4][300];
    static unsigned next;
    next = (next + 1) % 4;
    (void)snprintf(path[next], sizeof path[next], "%s/%s", dir, name);
    return path[next];
}

static int setup(void **unused)
{
    (void)unused;
    const char *base = getenv("TMPDIR");
    (void)snprintf(dir, sizeof dir, "%s/lockstep-os-XXXXXX", base ? base : "/tmp");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **unused)
{
    (void)unused;
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void put_file(const char *path, const char *text)
{
    assert_int_equal(os_file_write(path, bytes_of(text, strlen(text))), ERR_ok);
}

static void expect_file(const char *path, const char *want)
{
    struct buf buf;
    buf_init(&buf, 1 << 20);
    assert_int_equal(os_file_read(path, &buf), ERR_ok);
    assert_string_equal(buf_string(&buf), want);
    buf_fini(&buf);
}

static unsigned count_entries(void)
{
    char command[300], text[32] = "";
    (void)snprintf(command, sizeof command, "ls -A '%s' | wc -l", dir);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(text, sizeof text, pipe));
    pclose(pipe);
    return (unsigned)strtoul(text, NULL, 10);
}

static void test_whole_file(void **unused)
{
    (void)unused;
    const char *path = in_dir("a");
    assert_false(os_file_exists(path));
    put_file(path, "one");
    expect_file(path, "one");
    put_file(path, "two");
    expect_file(path, "two");
    assert_true(os_file_exists(path));
    assert_int_equal(count_entries(), 1); /* no temporary file stays */
    put_file("/dev/null", "gone");
}

/* size_max is met exactly: a file of that size is read, one byte more is refused. */
static void test_read_limit(void **unused)
{
    (void)unused;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 200000};
    for (size_t i = 0; i < countof(sizes); i++) {
        struct buf content, buf;
        buf_init(&content, 1 << 20);
        (void)buf_extend(&content, sizes[i]);
        assert_int_equal(os_file_write(in_dir("f"), buf_bytes(&content)), ERR_ok);
        buf_init(&buf, sizes[i]);
        assert_int_equal(os_file_read(in_dir("f"), &buf), ERR_ok);
        assert_int_equal(buf.size, sizes[i]);
        buf_fini(&buf);
        if (sizes[i]) {
            buf_init(&buf, sizes[i] - 1);
            assert_int_equal(os_file_read(in_dir("f"), &buf), ERR_limit);
            buf_fini(&buf);
        }
        buf_fini(&content);
    }
    struct buf endless;
    buf_init(&endless, 100000);
    assert_int_equal(os_file_read("/dev/zero", &endless), ERR_limit);
    buf_fini(&endless);
}

static void test_errors(void **unused)
{
    (void)unused;
    int fd = -7;
    struct buf buf;
    buf_init(&buf, 100);
    assert_int_equal(os_file_read(in_dir("none"), &buf), ERR_not_found);
    assert_string_equal(os_error_text(), "No such file or directory");
    assert_int_equal(os_file_read(dir, &buf), ERR_io);
    assert_string_equal(os_error_text(), "Is a directory");
    assert_int_equal(os_open(in_dir("none"), OS_OPEN_READ, &fd), ERR_not_found);
    assert_int_equal(os_open(in_dir("none"), OS_OPEN_UPDATE, &fd), ERR_not_found);
    assert_int_equal(os_open(dir, OS_OPEN_READ, &fd), ERR_io);
    put_file(in_dir("file"), "");
    assert_int_equal(os_open(in_dir("file/x"), OS_OPEN_READ, &fd), ERR_not_found);
    assert_int_equal(os_open_dir(in_dir("file"), &fd), ERR_not_found);
    assert_int_equal(os_unlink(in_dir("none")), ERR_not_found);
    assert_int_equal(os_rename(in_dir("none"), in_dir("x")), ERR_not_found);
    assert_int_equal(fd, -7); /* out-parameters stay untouched */
    os_close(-1);
    buf_fini(&buf);
}

/* A full disk is an error, not a short file that looks complete. */
static void test_full_disk(void **unused)
{
    (void)unused;
    assert_int_equal(os_file_write("/dev/full", bytes_of("x", 1)), ERR_io);
    assert_string_equal(os_error_text(), "No space left on device");
}

static void test_positions(void **unused)
{
    (void)unused;
    int fd;
    size_t size = 99;
    uint64_t value = 99;
    char data[16] = "";
    assert_int_equal(os_open(in_dir("p"), OS_OPEN_CREATE, &fd), ERR_ok);
    assert_int_equal(os_pwrite(fd, 5, "hello", 5), ERR_ok);
    assert_int_equal(os_size(fd, &value), ERR_ok);
    assert_int_equal(value, 10);
    assert_int_equal(os_pread(fd, 3, data, sizeof data, &size), ERR_ok);
    assert_int_equal(size, 7); /* how much there was */
    assert_memory_equal(data, "\0\0hello", 7);
    assert_int_equal(os_pread(fd, 10, data, 1, &size), ERR_ok);
    assert_int_equal(size, 0);
    assert_int_equal(os_pread(fd, UINT64_MAX, data, 1, &size), ERR_io);
    assert_int_equal(os_seek(fd, -2, 2, &value), ERR_ok);
    assert_int_equal(value, 8);
    assert_int_equal(os_read(fd, data, sizeof data, &size), ERR_ok);
    assert_int_equal(size, 2);
    assert_memory_equal(data, "lo", 2);
    assert_int_equal(os_seek(fd, 1, 0, &value), ERR_ok);
    assert_int_equal(os_seek(fd, 2, 1, &value), ERR_ok);
    assert_int_equal(value, 3);
    assert_int_equal(os_seek(fd, -1, 0, &value), ERR_io);
    assert_int_equal(value, 3);
    assert_int_equal(os_truncate(fd, 6), ERR_ok);
    assert_int_equal(os_allocate(fd, 0, 8192), ERR_ok);
    assert_int_equal(os_size(fd, &value), ERR_ok);
    assert_int_equal(value, 8192);
    assert_int_equal(os_datasync(fd), ERR_ok);
    os_close(fd);
    assert_int_equal(os_open(in_dir("p"), OS_OPEN_READ, &fd), ERR_ok);
    assert_int_equal(os_pwrite(fd, 0, "x", 1), ERR_io);
    os_close(fd);
}

static void test_map(void **unused)
{
    (void)unused;
    int fd;
    void *data;
    char got[5];
    size_t size;
    assert_int_equal(os_open(in_dir("m"), OS_OPEN_CREATE, &fd), ERR_ok);
    assert_int_equal(os_truncate(fd, 8192), ERR_ok);
    assert_int_equal(os_map_shared(fd, 4096, 4096, &data), ERR_ok);
    memcpy(data, "mapped", 6);
    assert_int_equal(os_map_sync(data, 4096), ERR_ok);
    assert_int_equal(os_pread(fd, 4097, got, sizeof got, &size), ERR_ok);
    assert_memory_equal(got, "apped", 5);
    os_unmap(data, 4096);
    os_unmap(NULL, 4096);
    os_close(fd);
}

static void test_folder_list(void **unused)
{
    (void)unused;
    struct buf names;
    buf_init(&names, 4096);
    assert_true(os_folder_exists(dir));
    assert_false(os_folder_exists(in_dir("b")));
    put_file(in_dir("b"), "");
    put_file(in_dir("B"), "");
    put_file(in_dir(".hidden"), "");
    assert_int_equal(mkdir(in_dir("a"), 0777), 0);
    assert_int_equal(symlink("a", in_dir("link")), 0);
    assert_int_equal(symlink("nowhere", in_dir("dangling")), 0);
    assert_false(os_folder_exists(in_dir("b")));
    assert_int_equal(os_folder_list(dir, &names), ERR_ok);
    static const char want[] = ".hidden\0B\0a/\0b\0dangling\0link/";
    assert_int_equal(names.size, sizeof want);
    assert_memory_equal(names.data, want, sizeof want);
    buf_clear(&names);
    assert_int_equal(os_folder_list(in_dir("a"), &names), ERR_ok);
    assert_int_equal(names.size, 0);
    assert_int_equal(os_folder_list(in_dir("none"), &names), ERR_not_found);
    buf_fini(&names);
    buf_init(&names, 5);
    assert_int_equal(os_folder_list(dir, &names), ERR_limit);
    buf_fini(&names);
}

/* ---- os_open_beneath: the sandbox of a guest's files -------------------------------
 */

static void test_beneath_stays_inside(void **unused)
{
    (void)unused;
    /* dir/outside, dir/box/{in, sub/deep, links that leave and links that stay} */
    assert_int_equal(mkdir(in_dir("box"), 0777), 0);
    assert_int_equal(mkdir(in_dir("box/sub"), 0777), 0);
    put_file(in_dir("outside"), "secret");
    put_file(in_dir("box/in"), "inside");
    put_file(in_dir("box/sub/deep"), "deep");
    assert_int_equal(symlink("../outside", in_dir("box/up")), 0);
    assert_int_equal(symlink(in_dir("outside"), in_dir("box/absolute")), 0);
    assert_int_equal(symlink("..", in_dir("box/parent")), 0);
    assert_int_equal(symlink("sub/deep", in_dir("box/stays")), 0);
    assert_int_equal(symlink("loop", in_dir("box/loop")), 0);
    static const char *const refused[] = {
        "../outside",
        "sub/../../outside",
        "up",
        "absolute",
        "parent/outside",
        "parent/box/in",
        "loop",
        "/etc/passwd",
        "sub/../../box/in",
        "..",
        "/proc/self/root/etc/passwd",
    };
    static const char *const allowed[] = {"in", "./in", "sub/deep", "sub/../in",
                                          "stays"};
    static const enum os_open_mode modes[] = {OS_OPEN_READ, OS_OPEN_CREATE,
                                              OS_OPEN_UPDATE};
    int box, fd = -7;
    assert_int_equal(os_open_dir(in_dir("box"), &box), ERR_ok);
    for (size_t i = 0; i < countof(refused); i++) {
        for (size_t mode = 0; mode < countof(modes); mode++) {
            enum err err = os_open_beneath(box, refused[i], modes[mode], &fd);
            if (!err)
                fail_msg("%s was opened", refused[i]);
            assert_int_equal(fd, -7);
        }
    }
    for (size_t i = 0; i < countof(allowed); i++) {
        assert_int_equal(os_open_beneath(box, allowed[i], OS_OPEN_READ, &fd), ERR_ok);
        os_close(fd);
    }
    expect_file(in_dir("outside"), "secret");
    expect_file(in_dir("box/in"), "inside");
    os_close(box);
}

static void test_beneath_regular_only(void **unused)
{
    (void)unused;
    int box, fd = -7;
    assert_int_equal(mkdir(in_dir("sub"), 0777), 0);
    assert_int_equal(mkfifo(in_dir("fifo"), 0666), 0);
    assert_int_equal(os_open_dir(dir, &box), ERR_ok);
    assert_int_equal(os_open_beneath(box, "fifo", OS_OPEN_READ, &fd), ERR_access);
    assert_int_equal(os_open_beneath(box, "sub", OS_OPEN_READ, &fd), ERR_access);
    assert_int_not_equal(os_open_beneath(box, "sub", OS_OPEN_UPDATE, &fd), ERR_ok);
    assert_int_equal(os_open_beneath(box, "none", OS_OPEN_READ, &fd), ERR_not_found);
    assert_int_not_equal(os_open_beneath(box, "", OS_OPEN_READ, &fd), ERR_ok);
    assert_int_equal(fd, -7);
    os_close(box);
}

static void test_beneath_create(void **unused)
{
    (void)unused;
    int box, fd;
    put_file(in_dir("old"), "old content");
    assert_int_equal(os_open_dir(dir, &box), ERR_ok);
    assert_int_equal(os_open_beneath(box, "old", OS_OPEN_CREATE, &fd), ERR_ok);
    assert_int_equal(os_write_all(fd, "n", 1), ERR_ok);
    os_close(fd);
    expect_file(in_dir("old"), "n"); /* truncated */
    assert_int_equal(os_open_beneath(box, "old", OS_OPEN_UPDATE, &fd), ERR_ok);
    assert_int_equal(os_pwrite(fd, 1, "ew", 2), ERR_ok);
    os_close(fd);
    expect_file(in_dir("old"), "new");
    assert_int_equal(os_open_beneath(box, "fresh", OS_OPEN_CREATE, &fd), ERR_ok);
    os_close(fd);
    expect_file(in_dir("fresh"), "");
    os_close(box);
}

/* ---- memory, time, signals ---------------------------------------------------------
 */

static void test_reserve(void **unused)
{
    (void)unused;
    size_t size = (size_t)4 << 30;
    void *data;
    assert_int_equal(os_reserve(size, &data), ERR_ok);
    uint8_t *bytes = data;
    assert_int_equal(bytes[size - 1], 0);
    bytes[size - 1] = 1;
    bytes[4096] = 2;
    os_discard(bytes + 4096, 4096);
    assert_int_equal(bytes[4096], 0);
    assert_int_equal(bytes[size - 1], 1);
    os_release(data, size);
    os_release(NULL, size);
    void *huge = &size;
    assert_int_equal(os_reserve(SIZE_MAX / 2, &huge), ERR_nomem);
    assert_ptr_equal(huge, &size);
}

static void test_world(void **unused)
{
    (void)unused;
    uint64_t before = os_clock_monotonic_ns(), cpu = os_clock_cpu_ns();
    os_sleep_ns(2000000);
    uint64_t after = os_clock_monotonic_ns();
    assert_true(after - before >= 2000000);
    assert_true(os_clock_cpu_ns() >= cpu);
    assert_true(os_clock_realtime_ns() > 1600000000u * UINT64_C(1000000000));
    assert_true(os_cpu_count() >= 1);
    uint8_t a[300], b[300];
    os_random(a, sizeof a);
    os_random(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    assert_false(os_is_terminal(fd[0]));
    close(fd[0]);
    close(fd[1]);
}

struct tasks {
    _Atomic unsigned next;
    unsigned char done[1000];
};

static void do_tasks(void *self)
{
    struct tasks *tasks = self;
    for (unsigned i = tasks->next++; i < sizeof tasks->done; i = tasks->next++)
        tasks->done[i]++;
}

/* However many threads: every task is done, once, before the call returns. */
static void test_threads(void **unused)
{
    (void)unused;
    static const unsigned counts[] = {0, 1, 2, 7, 257, 5000};
    for (size_t i = 0; i < countof(counts); i++) {
        struct tasks tasks = {0};
        os_threads_run(counts[i], do_tasks, &tasks);
        for (size_t j = 0; j < sizeof tasks.done; j++)
            assert_int_equal(tasks.done[j], 1);
    }
}

static void test_run(void **unused)
{
    (void)unused;
    int status = -7;
    assert_int_equal(os_run((const char *[]){"sh", "-c", "exit 42", NULL}, &status),
                     ERR_ok);
    assert_int_equal(status, 42);
    assert_int_equal(os_run((const char *[]){"sh", "-c", "kill -9 $$", NULL}, &status),
                     ERR_ok);
    assert_int_equal(status, 128 + 9);
    assert_int_equal(os_run((const char *[]){"no-such-program", NULL}, &status),
                     ERR_not_found);
    assert_int_equal(status, 128 + 9);
}

/* The first signal ends a blocking read and sets the flag, the second the process. */
static void test_interrupts(void **unused)
{
    (void)unused;
    int fd[2], status;
    assert_int_equal(pipe(fd), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        size_t size;
        os_catch_interrupts();
        if (os_interrupted())
            _exit(10);
        int gone[2];
        if (pipe(gone) != 0 || close(gone[0]) != 0 ||
            os_write_all(gone[1], "x", 1) != ERR_io) /* no SIGPIPE */
            _exit(12);
        (void)alarm(20);
        pid_t self = getpid();
        pid_t killer = fork();
        if (killer == 0) {
            os_sleep_ns(50000000);
            kill(self, SIGINT);
            os_sleep_ns(50000000);
            kill(self, SIGTERM);
            _exit(0);
        }
        if (os_read(fd[0], &byte, 1, &size) != ERR_interrupted || !os_interrupted())
            _exit(11);
        for (;;)
            pause();
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 130);
    close(fd[0]);
    close(fd[1]);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_DIR(test_whole_file),
        IN_DIR(test_read_limit),
        IN_DIR(test_errors),
        cmocka_unit_test(test_full_disk),
        IN_DIR(test_positions),
        IN_DIR(test_map),
        IN_DIR(test_folder_list),
        IN_DIR(test_beneath_stays_inside),
        IN_DIR(test_beneath_regular_only),
        IN_DIR(test_beneath_create),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_world),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_interrupts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
