/* SPDX-License-Identifier: MIT
 *
 * The file server over a directory of the host against the same calls of the system,
 * what recording a session costs, and what a bridge to another process.  Both sides of
 * a ratio run in turn; the median of the rounds' own quotients is printed.
 */
#define _GNU_SOURCE
#include "base/os_stream.h"
#include "hostfs/bridge.h"
#include "hostfs/hostfs.h"
#include "replay/fs.h"
#include "replay/sink_file.h"
#include "tests/bench/bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TURNS = 2000, LISTED = 1000, BIG = 65536, MESSAGES = 20000 };

/* One thing done through the server and by the system. */
struct pair {
    const char *name;
    void (*served)(void);
    void (*system)(void);
    unsigned turns;
    uint64_t size; /* bytes moved per turn, for MB/s */
};

static struct {
    char folder[64];
    int dir_fd, file_fd;
    struct arena arena;
    struct v86fs_ids ids;
    struct hostfs_dir *dir;
    struct v86fs_server *server;
    uint64_t root, file, list;
    struct buf frame;
    uint8_t reply[V86FS_FRAME_MAX];
    uint8_t data[BIG];
} b;

static uint64_t ask(uint8_t type, const struct v86fs_ask *ask)
{
    const struct v86fs_message *message = v86fs_message_of(type);
    struct v86fs_answer answer;
    struct bytes tail;
    uint32_t status;
    uint64_t token;
    size_t size;
    buf_clear(&b.frame);
    v86fs_request_encode(message, V86FS_FEATURES, 1, ask, &b.frame);
    v86fs_server_serve(b.server, 1700000000000000000, buf_bytes(&b.frame), b.reply,
                       sizeof b.reply, &size, &token);
    check(v86fs_reply_decode(message, V86FS_FEATURES, 1, bytes_of(b.reply, size),
                             &status, &answer, &tail) &&
          !status);
    return answer.attr.node;
}

#define ASK(type, ...) ask(V86FS_MSG_##type, &(struct v86fs_ask){__VA_ARGS__})

static struct bytes name(void)
{
    return bytes_of("new", 3);
}

static void served_lookup(void)
{
    (void)ASK(LOOKUP, .node = b.root, .name = bytes_of("file", 4));
}
static void system_lookup(void)
{
    struct stat st;
    check(fstatat(b.dir_fd, "file", &st, AT_SYMLINK_NOFOLLOW) == 0);
}
static void served_getattr(void)
{
    (void)ASK(GETATTR, .node = b.file);
}
static void system_getattr(void)
{
    struct stat st;
    check(fstat(b.file_fd, &st) == 0);
}
static void served_create(void)
{
    (void)ASK(CREATE, .node = b.root, .name = name(), .mode = 0644);
    (void)ASK(UNLINK, .node = b.root, .name = name());
}
static void system_create(void)
{
    int fd = openat(b.dir_fd, "new", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
    check(fd >= 0 && close(fd) == 0 && unlinkat(b.dir_fd, "new", 0) == 0);
}
static void served_read(void)
{
    (void)ASK(READ, .node = b.file, .count = 4096);
}
static void system_read(void)
{
    check(pread(b.file_fd, b.data, 4096, 0) == 4096);
}
static void served_write(void)
{
    (void)ASK(WRITE, .node = b.file, .count = 4096, .data = bytes_of(b.data, 4096));
}
static void system_write(void)
{
    check(pwrite(b.file_fd, b.data, 4096, 0) == 4096);
}
static void served_read_big(void)
{
    (void)ASK(READ, .node = b.file, .count = BIG);
}
static void system_read_big(void)
{
    check(pread(b.file_fd, b.data, BIG, 0) == BIG);
}
static void served_write_big(void)
{
    (void)ASK(WRITE, .node = b.file, .count = BIG, .data = bytes_of(b.data, BIG));
}
static void system_write_big(void)
{
    check(pwrite(b.file_fd, b.data, BIG, 0) == BIG);
}
static void served_list(void)
{
    (void)ASK(READDIR, .node = b.list);
}
static void system_list(void)
{
    int fd = openat(b.dir_fd, "list", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fdopendir(fd);
    struct stat st;
    check(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        check(fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0);
    check(closedir(dir) == 0);
}

static void prepare(void)
{
    struct hostfs_dir_options options;
    struct v86fs_server_options server;
    char command[256];
    (void)snprintf(b.folder, sizeof b.folder, "/tmp/lockstep-bench-XXXXXX");
    check(mkdtemp(b.folder));
    (void)snprintf(command, sizeof command,
                   "cd %s && head -c 65536 /dev/zero >file && mkdir list &&"
                   "cd list && seq 1 %d | xargs touch",
                   b.folder, LISTED);
    check(system(command) == 0);
    hostfs_dir_options_init(&options);
    v86fs_server_options_init(&server);
    arena_init(&b.arena, (size_t)8 << 30);
    buf_init(&b.frame, V86FS_FRAME_MAX);
    v86fs_ids_init(&b.ids);
    check(!hostfs_dir_open(&b.arena, &options, b.folder, &b.ids, &b.dir));
    check(!v86fs_server_create(&b.arena, &server, &b.ids, &b.server));
    b.root = hostfs_dir_root(b.dir);
    check(!v86fs_server_export(b.server, bytes_of("", 0), hostfs_dir_tree(b.dir),
                               b.root, false));
    v86fs_server_negotiate(b.server, V86FS_FEATURES);
    b.dir_fd = open(b.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    b.file_fd = openat(b.dir_fd, "file", O_RDWR | O_CLOEXEC);
    check(b.dir_fd >= 0 && b.file_fd >= 0);
    b.file = ASK(LOOKUP, .node = b.root, .name = bytes_of("file", 4));
    b.list = ASK(LOOKUP, .node = b.root, .name = bytes_of("list", 4));
}

static uint64_t time_of(void (*body)(void), unsigned turns)
{
    uint64_t start = os_clock_cpu_ns();
    for (unsigned i = 0; i < turns; i++)
        body();
    return (os_clock_cpu_ns() - start) / turns;
}

static void compare(const struct pair *pair)
{
    uint64_t served[BENCH_ROUNDS], system[BENCH_ROUNDS], ratio[BENCH_ROUNDS];
    (void)time_of(pair->served, 10);
    for (unsigned i = 0; i < BENCH_ROUNDS; i++) {
        served[i] = time_of(pair->served, pair->turns);
        system[i] = time_of(pair->system, pair->turns);
        ratio[i] = served[i] * 100 / (system[i] ? system[i] : 1);
    }
    qsort(served, BENCH_ROUNDS, sizeof *served, bench_by_value);
    qsort(system, BENCH_ROUNDS, sizeof *system, bench_by_value);
    qsort(ratio, BENCH_ROUNDS, sizeof *ratio, bench_by_value);
    uint64_t ns = served[BENCH_ROUNDS / 2];
    printf("dir %-22s %8.2f us  system %8.2f us  ratio %5.2f", pair->name,
           (double)ns / 1000, (double)system[BENCH_ROUNDS / 2] / 1000,
           (double)ratio[BENCH_ROUNDS / 2] / 100);
    if (pair->size)
        printf("  %6.0f MB/s", (double)pair->size * 1000 / (double)ns);
    printf("\n");
}

/* ---- recording ---- */

/* A session over memory: per turn LOOKUP, GETATTR, OPEN, READ of a page, CLOSE; a WRITE
 * of a page each eighth turn.  CPU time per message; the size of the trace. */
static uint64_t session(const char *path, bool requests, uint64_t *ret_bytes)
{
    struct arena arena;
    struct v86fs_ids ids;
    struct v86fs_mem_options mem;
    struct v86fs_server_options options;
    struct v86fs_mem *store;
    struct v86fs_server *server;
    struct replay_sink_file file = {.fd = -1};
    struct trace_writer *writer = NULL;
    struct trace *trace = NULL;
    struct replay_fs *fs;
    uint64_t root, handle = 1 + (UINT64_C(1) << 32), count = 0;
    size_t size;
    const struct replay_fs_setup setup = {.tick_ns = 1000,
                                          .features = V86FS_FEATURES,
                                          .handle_count_max = 65536,
                                          .derived = true,
                                          .requests = requests,
                                          .export = {{"", "mem", false, {{0}}, {0}}},
                                          .export_count = 1};
    v86fs_mem_options_init(&mem);
    v86fs_server_options_init(&options);
    arena_init(&arena, (size_t)8 << 30);
    v86fs_ids_init(&ids);
    check(!v86fs_mem_create(&arena, &mem, &ids, &store));
    check(!v86fs_mem_root(store, 0755, 0, &root));
    v86fs_ids_start(&ids, 100);
    check(!v86fs_server_create(&arena, &options, &ids, &server));
    check(!v86fs_server_export(server, bytes_of("", 0), v86fs_mem_tree(store), root,
                               false));
    uint64_t start = os_clock_cpu_ns();
    if (path) {
        const struct trace_writer_options how = {.guest = TRACE_GUEST_PC,
                                                 .zstd_level = 1};
        check(!replay_sink_file_open(&file, path, false));
        struct trace_sink sink = replay_sink_file(&file);
        check(!trace_writer_create(&arena, &sink, &how, &writer));
        check(!trace_record_create(&arena, writer, true, &trace));
    }
    check(!replay_fs_create(&arena, &setup, server, trace, &fs));
#define SEND(type, ...)                                                                \
    do {                                                                               \
        buf_clear(&b.frame);                                                           \
        v86fs_request_encode(v86fs_message_of(V86FS_MSG_##type), V86FS_FEATURES,       \
                             (uint16_t)count, &(struct v86fs_ask){__VA_ARGS__},        \
                             &b.frame);                                                \
        check(!replay_fs_serve(fs, count++ * 30, buf_bytes(&b.frame), b.reply,         \
                               sizeof b.reply, &size));                                \
        check(v86fs_load(b.reply + 7, 4) == 0);                                        \
    } while (0)
    SEND(CREATE, .node = 1, .name = name(), .mode = 0644);
    while (count < MESSAGES) {
        if (count % 40 < 5) {
            v86fs_store(b.data, 8, count);
            SEND(WRITE, .node = 100, .count = 4096, .data = bytes_of(b.data, 4096));
        }
        SEND(LOOKUP, .node = 1, .name = name());
        SEND(GETATTR, .node = 100);
        SEND(OPEN, .node = 100);
        SEND(READ, .node = handle, .count = 4096);
        SEND(CLOSE, .node = handle++);
    }
    if (trace) {
        check(!replay_fs_end(fs, 0));
        trace_close(trace);
        check(!trace_writer_finish(writer, NULL));
        check(!os_size(file.fd, ret_bytes));
    }
    uint64_t ns = os_clock_cpu_ns() - start;
    replay_sink_file_close(&file);
    arena_fini(&arena);
    return ns / count;
}

static void record(const char *what, bool requests)
{
    char path[96];
    uint64_t ratio[BENCH_ROUNDS], added[BENCH_ROUNDS], bytes = 0;
    (void)snprintf(path, sizeof path, "%s/t.lks", b.folder);
    for (unsigned i = 0; i < BENCH_ROUNDS; i++) {
        uint64_t plain = session(NULL, requests, &bytes);
        uint64_t recorded = session(path, requests, &bytes);
        ratio[i] = recorded * 100 / plain;
        added[i] = recorded > plain ? recorded - plain : 0;
    }
    qsort(ratio, BENCH_ROUNDS, sizeof *ratio, bench_by_value);
    qsort(added, BENCH_ROUNDS, sizeof *added, bench_by_value);
    printf("record %-19s %8.2f us more per message  ratio %5.2f  %5.1f bytes per "
           "message\n",
           what, (double)added[BENCH_ROUNDS / 2] / 1000,
           (double)ratio[BENCH_ROUNDS / 2] / 100, (double)bytes / MESSAGES);
}

/* ---- another process ---- */

/* Serves a tree in memory until it is told goodbye. */
_Noreturn static void serve_bridge(int fd)
{
    struct v86fs_mem_options mem;
    struct v86fs_server_options options;
    struct v86fs_mem *store;
    struct v86fs_server *server;
    struct v86fs_ids ids;
    struct arena arena;
    struct hostfs_channel channel = {.fd = fd};
    struct hostfs_envelope envelope;
    struct hostfs_hello hello;
    uint64_t root, token;
    size_t size;
    v86fs_mem_options_init(&mem);
    v86fs_server_options_init(&options);
    arena_init(&arena, (size_t)8 << 30);
    v86fs_ids_init(&ids);
    channel.in = arena_alloc(&arena, HOSTFS_RECORD_MAX, 8);
    channel.out = arena_alloc(&arena, HOSTFS_RECORD_MAX, 8);
    check(!v86fs_mem_create(&arena, &mem, &ids, &store));
    check(!v86fs_mem_root(store, 0755, 0, &root));
    check(!v86fs_server_create(&arena, &options, &ids, &server));
    check(!v86fs_server_export(server, bytes_of("", 0), v86fs_mem_tree(store), root,
                               false));
    check(!hostfs_channel_welcome(&channel, V86FS_FEATURES, UINT64_MAX, &hello));
    v86fs_server_negotiate(server, hello.features);
    while (!hostfs_channel_receive(&channel, UINT64_MAX, &envelope) &&
           envelope.kind == HOSTFS_REQ) {
        v86fs_server_serve(server, 0, envelope.payload, b.reply, envelope.capacity,
                           &size, &token);
        const struct hostfs_envelope answer = {.kind = HOSTFS_REP,
                                               .seq = envelope.seq,
                                               .payload = bytes_of(b.reply, size)};
        if (hostfs_channel_send(&channel, &answer, UINT64_MAX))
            break;
    }
    _exit(0);
}

/* Time, not CPU time: of a GETATTR and its answer. */
static void bridge(const char *what, bool shared)
{
    struct hostfs_remote_options options;
    struct hostfs_remote *remote;
    struct v86fs_ids ids;
    struct arena arena;
    uint64_t taken[BENCH_ROUNDS];
    char attachment[20];
    int ends[2];
    check(!os_stream_pair(ends));
    fflush(stdout);
    if (fork() == 0)
        serve_bridge(ends[1]);
    os_close(ends[1]);
    (void)snprintf(attachment, sizeof attachment, "fd:%d", ends[0]);
    hostfs_remote_options_init(&options);
    options.shared = shared;
    arena_init(&arena, (size_t)8 << 30);
    v86fs_ids_init(&ids);
    check(!hostfs_remote_open(&arena, &options, attachment, &ids, &remote));
    struct v86fs_tree tree = hostfs_remote_tree(remote);
    for (unsigned i = 0; i < BENCH_ROUNDS; i++) {
        uint64_t start = os_clock_monotonic_ns();
        for (unsigned k = 0; k < TURNS; k++) {
            struct v86fs_call call = {.in.node = hostfs_remote_root(remote)};
            check(!tree.ops->getattr(tree.self, &call));
        }
        taken[i] = (os_clock_monotonic_ns() - start) / TURNS;
    }
    qsort(taken, BENCH_ROUNDS, sizeof *taken, bench_by_value);
    printf("bridge %-19s %8.2f us per request (best %.2f)\n", what,
           (double)taken[BENCH_ROUNDS / 2] / 1000, (double)taken[0] / 1000);
    hostfs_remote_close(remote);
    arena_fini(&arena);
}

int main(void)
{
    static const struct pair pairs[] = {
        {"LOOKUP, stat", served_lookup, system_lookup, TURNS, 0},
        {"GETATTR, fstat", served_getattr, system_getattr, TURNS, 0},
        {"CREATE and UNLINK", served_create, system_create, TURNS, 0},
        {"READ 4 KiB", served_read, system_read, TURNS, 4096},
        {"WRITE 4 KiB", served_write, system_write, TURNS, 4096},
        {"READ 64 KiB", served_read_big, system_read_big, TURNS / 4, BIG},
        {"WRITE 64 KiB", served_write_big, system_write_big, TURNS / 4, BIG},
        {"READDIR of 1000", served_list, system_list, TURNS / 100, 0},
    };
    char command[96];
    prepare();
    for (unsigned i = 0; i < countof(pairs); i++)
        compare(&pairs[i]);
    record("digests", false);
    record("requests", true);
    bridge("socket", false);
    bridge("shared memory", true);
    hostfs_dir_close(b.dir);
    (void)snprintf(command, sizeof command, "rm -rf %s", b.folder);
    return system(command);
}
