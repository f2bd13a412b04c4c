/* SPDX-License-Identifier: MIT
 *
 * The programs of the corpus that use the host, end to end: each case of
 * corpus/pvm/cases is run with the live host (a fixed clock and seed, a copy of the
 * folder cases/files) while it is recorded.  It prints what its native build prints;
 * replayed without the host it gives the same trace.  Files of a case: see
 * corpus_native.sh.
 */
#define _GNU_SOURCE
#include "tests/unit/replay/run.h"

#include "base/os.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CASES "corpus/pvm/cases/"

enum {
    TEXT_SIZE_MAX = 1 << 20,
    NAME_SIZE = 64,
    PATH_SIZE = 256,
    ARG_COUNT_MAX = 16,
    STREAM_COUNT = 3
};

/* What a file of the case holds; nothing when there is none. */
static struct buf case_file(const char *name, const char *suffix)
{
    char path[128];
    struct buf text;
    (void)snprintf(path, sizeof path, CASES "%s.%s", name, suffix);
    buf_init(&text, TEXT_SIZE_MAX);
    enum err err = os_file_read(path, &text);
    if (err && err != ERR_not_found)
        fail_msg("%s: %s", path, err_text(err));
    return text;
}

/* One argument a line, in place. */
static size_t split_lines(struct buf *text, const char *argv[ARG_COUNT_MAX])
{
    size_t argc = 0;
    char *line = (char *)text->data;
    for (char *end; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        assert_true(argc < ARG_COUNT_MAX);
        argv[argc++] = line;
    }
    return argc;
}

/* ---- the folder that the program may use ---- */

static char folder[] = "/tmp/lockstep-cases-XXXXXX";

/* Do `action` to each file of `from`. */
static void each_file(const char *from,
                      void (*action)(const char *from, const char *name))
{
    struct buf names;
    buf_init(&names, TEXT_SIZE_MAX);
    assert_int_equal(os_folder_list(from, &names), ERR_ok);
    const char *name = (const char *)names.data, *end = name + names.size;
    for (; name < end; name += strlen(name) + 1)
        action(from, name);
    buf_fini(&names);
}

static void copy_file(const char *from, const char *name)
{
    char path[PATH_SIZE];
    struct buf content;
    buf_init(&content, TEXT_SIZE_MAX);
    (void)snprintf(path, sizeof path, "%s/%s", from, name);
    assert_int_equal(os_file_read(path, &content), ERR_ok);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(os_file_write(path, buf_bytes(&content)), ERR_ok);
    buf_fini(&content);
}

static void remove_file(const char *from, const char *name)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/%s", from, name);
    assert_int_equal(unlink(path), 0);
}

/* ---- one case ---- */

static int stream_of(struct bytes content)
{
    int fd = memfd_create("stream", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.data, content.size), (ssize_t)content.size);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* What was written to `fd` is in the case's file. */
static void check_stream(const char *name, const char *suffix, int fd)
{
    static char got[TEXT_SIZE_MAX];
    struct buf want = case_file(name, suffix);
    ssize_t size = pread(fd, got, sizeof got, 0);
    assert_true(size >= 0);
    if ((size_t)size != want.size ||
        (want.size > 0 && memcmp(got, want.data, want.size) != 0)) {
        print_message("reproduce: ./dev test corpus_cases\n");
        fail_msg("%s: printed is not %s.%s but:\n%.*s", name, name, suffix, (int)size,
                 got);
    }
    buf_fini(&want);
}

static void check_status(const char *name, const struct replay_result *result)
{
    struct buf text = case_file(name, "status");
    uint32_t want = text.size > 0 ? (uint32_t)strtoul((char *)text.data, NULL, 10) : 0;
    assert_int_equal(result->end, REPLAY_END_GUEST);
    assert_int_equal(result->outcome.exit, PVM_EXIT_HALT);
    uint32_t got = result->exited ? result->status : 0;
    if (got != want)
        fail_msg("%s: status %u, not %u", name, got, want);
    buf_fini(&text);
}

static void run_case(const char *name, const char *program)
{
    const char *argv[ARG_COUNT_MAX];
    struct buf in = case_file(name, "in"), args = case_file(name, "args");
    size_t argc = split_lines(&args, argv);
    int fd[STREAM_COUNT] = {stream_of(buf_bytes(&in)), stream_of(bytes_of(NULL, 0)),
                            stream_of(bytes_of(NULL, 0))};
    const struct replay_live_options options = {
        .stdin_fd = fd[0],
        .stdout_fd = fd[1],
        .stderr_fd = fd[2],
        .dir = folder,
        .write = true,
        .clock_fixed = true,
        .clock_ns = 946684800000000000, /* as in world.h */
        .random_fixed = true,
    };
    struct arena arena;
    struct recording recording;
    struct replay_live *live;
    each_file(CASES "files", copy_file);
    arena_init(&arena, (size_t)1 << 28);
    assert_int_equal(replay_live_create(&arena, &options, &live), ERR_ok);
    struct replay_host host = replay_live_host(live);
    struct replay_setup setup = setup_program(&arena, program, argv, argc);
    check_setup(&setup, &host, &recording);
    check_stream(name, "out", fd[1]);
    check_stream(name, "err", fd[2]);
    check_status(name, &recording.result);
    recording_fini(&recording);
    replay_live_close(live);
    each_file(folder, remove_file);
    arena_fini(&arena);
    for (unsigned i = 0; i < STREAM_COUNT; i++)
        close(fd[i]);
    buf_fini(&in);
    buf_fini(&args);
}

/* The names of a case's files differ behind the dot; the list is in order. */
static void test_cases(void **state)
{
    (void)state;
    struct buf names;
    char last[NAME_SIZE] = "";
    unsigned count = 0;
    buf_init(&names, TEXT_SIZE_MAX);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(os_folder_list("corpus/pvm/cases", &names), ERR_ok);
    const char *next = (const char *)names.data;
    for (; next < (const char *)names.data + names.size; next += strlen(next) + 1) {
        char name[NAME_SIZE], program[NAME_SIZE];
        size_t size = strcspn(next, "."), program_size = strcspn(next, "-");
        if (next[size] != '.' || program_size > size || size >= NAME_SIZE)
            continue;
        (void)snprintf(name, sizeof name, "%.*s", (int)size, next);
        (void)snprintf(program, sizeof program, "%.*s", (int)program_size, next);
        if (strcmp(name, last) == 0)
            continue;
        (void)snprintf(last, sizeof last, "%s", name);
        run_case(name, program);
        count++;
    }
    buf_fini(&names);
    assert_int_equal(rmdir(folder), 0);
    assert_true(count >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
