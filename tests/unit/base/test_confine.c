/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/os_confine.h"

#include "base/os.h"
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static int make_world(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/lockstep-test-XXXXXX");
    assert_int_equal(os_folder_create_private(folder), ERR_ok);
    assert_int_equal(chdir(folder), 0);
    return system("mkdir -p in/a in/b out && echo secret >out/f && echo x >in/a/f");
}

static int drop_world(void **state)
{
    char line[100];
    (void)state;
    assert_int_equal(chdir("/"), 0);
    (void)snprintf(line, sizeof line, "rm -rf %s", folder);
    return system(line);
}

/* What each step says: 0, or the errno. */
static int try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    int failed = fd < 0 ? errno : 0;
    os_close(fd);
    return failed;
}

static int said(int result)
{
    return result == 0 ? 0 : errno;
}

/* In a process of its own; the line of the first step that goes wrong. */
static int confined(void)
{
    int in = open("in", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int open_before = open("out/f", O_RDWR | O_CLOEXEC);
    char bytes[8] = "";
    enum err err = os_confine_files(&in, 1);
    if (err == ERR_unsupported)
        return 255;
#define STEP(condition)                                                                \
    if (!(condition))                                                                  \
    return __LINE__ - 60
    STEP(!err);
    STEP(try_open("out/f", O_RDONLY) == EACCES);
    STEP(try_open("in/../out/f", O_RDONLY) == EACCES);
    STEP(try_open("out/new", O_WRONLY | O_CREAT) == EACCES);
    STEP(try_open("/etc/passwd", O_RDONLY) == EACCES);
    STEP(try_open("out", O_RDONLY | O_DIRECTORY) == EACCES);
    STEP(said(mkdir("out/d", 0700)) == EACCES);
    STEP(said(unlink("out/f")) == EACCES);
    STEP(said(rename("in/a/f", "out/g")) == EXDEV || errno == EACCES);
    STEP(said(mkfifo("in/fifo", 0600)) == EACCES);
    STEP(said(mount("none", "in", "tmpfs", 0, NULL)) == EPERM);
    STEP(said(execl("/bin/true", "true", (char *)NULL)) == EACCES);
    STEP(try_open("in/a/f", O_RDWR) == 0);
    STEP(said(rename("in/a/f", "in/b/g")) == 0);
    STEP(try_open("in/new", O_RDWR | O_CREAT) == 0);
    STEP(said(symlink("../out/f", "in/l")) == 0);
    STEP(try_open("in/l", O_RDONLY) == EACCES);
    STEP(pread(open_before, bytes, 6, 0) == 6 && !strcmp(bytes, "secret"));
    return 0;
}

static void test_confined(void **state)
{
    int status;
    (void)state;
    pid_t process = fork();
    assert_true(process >= 0);
    if (process == 0)
        _exit(confined());
    assert_int_equal(waitpid(process, &status, 0), process);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 255) {
        print_message("no Landlock here\n");
        skip();
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_confined, make_world, drop_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
