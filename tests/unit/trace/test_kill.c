/* SPDX-License-Identifier: MIT
 *
 * Crash safety and live reading (trace-replay.md 15, rows 5 and 6): a child records,
 * is killed at a random moment, and every record it had completed is there, once.
 */
#include "tests/test.h"

#include "base/os.h"
#include "replay/sink_file.h"
#include "trace/checkpoint.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A sanitizer makes reading ten times slower and finds nothing new in repetition. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KILL_COUNT 150
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define KILL_COUNT 150
#endif
#ifndef KILL_COUNT
#define KILL_COUNT 1000
#endif

enum { LIVE_EVERY = 10, EVENT_COUNT_MAX = 200000 };

/* What child and parent share besides the file. */
struct shared {
    uint64_t completed; /* events whose put has returned */
    uint64_t ready;     /* the file is open */
};

static char path[64];
static uint64_t seed;

static void event_of(uint64_t seq, struct trace_clock *clock,
                     struct trace_console_out *event, uint8_t data[1500])
{
    uint64_t random = seq * 0x9e3779b97f4a7c15u;
    uint64_t bits = test_random(&random);
    /* Some long steps, so that chunks of all sizes are cut; some blobs, half known. */
    clock->icount += seq % 500 == 499 ? 1 << 24 : seq % 7;
    clock->gas += seq % 11;
    size_t size = seq % 50 == 0 ? 600 + bits % 900 : bits % 60;
    memset(data, (int)(seq % 100 == 0 ? seq : seq % 3), size);
    *event = (struct trace_console_out){.dev = seq, .data = bytes_of(data, size)};
}

/* A checkpoint now and then, which lies over the old window: some of a page, some of
 * more than the free place before it. */
static void put_checkpoint(struct trace_writer *writer, uint64_t seq,
                           const struct trace_clock *clock)
{
    static uint8_t page[TRACE_PAGE_SIZE];
    struct buf payload;
    struct trace_checkpoint head = {.seq = seq, .clock = *clock, .full = true};
    uint32_t count = seq % 3 ? 1 : 600;
    static const uint8_t machine = 0x90;
    head.machine = bytes_of(&machine, 1);
    buf_init(&payload, (size_t)8 << 20);
    trace_checkpoint_put(&payload, &head);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t random = seq + i; /* nothing that gets smaller by compression */
        for (size_t at = 0; at < sizeof page; at += 8) {
            uint64_t bits = test_random(&random);
            memcpy(page + at, &bits, 8);
        }
        trace_checkpoint_put_pages(&payload, i, bytes_of(page, sizeof page));
    }
    const struct trace_base_part part = {buf_bytes(&payload), 1 + count};
    trace_writer_checkpoint(writer, clock, &part, 1);
    buf_fini(&payload);
}

/* Write until killed; the file stays of a bearable size. */
static void child(struct shared *shared, unsigned level)
{
    struct arena arena;
    struct replay_sink_file file;
    struct trace_writer *writer;
    struct trace_writer_options options = {.guest = TRACE_GUEST_PVM,
                                           .zstd_level = level};
    struct trace_clock clock = {0};
    uint8_t data[1500];
    arena_init(&arena, 1 << 20);
    if (replay_sink_file_open(&file, path, false))
        _exit(1);
    struct trace_sink sink = replay_sink_file(&file);
    if (trace_writer_create(&arena, &sink, &options, &writer))
        _exit(2);
    __atomic_store_n(&shared->ready, 1, __ATOMIC_RELEASE);
    for (uint64_t seq = 0; seq < EVENT_COUNT_MAX; seq++) {
        struct trace_console_out event;
        event_of(seq, &clock, &event, data);
        trace_put_console_out(writer, &clock, &event);
        if (seq % 700 == 699)
            put_checkpoint(writer, seq + 1, &clock);
        if (trace_writer_error(writer))
            _exit(3);
        __atomic_store_n(&shared->completed, seq + 1, __ATOMIC_RELEASE);
    }
    for (;;)
        pause();
}

/* Reads on from where it was, checking each event. */
struct follower {
    struct arena arena;
    struct replay_source_file file;
    struct trace_reader *reader;
    struct arena event;
    struct trace_clock clock;
    uint64_t seq;
};

static void follower_open(struct follower *follower)
{
    *follower = (struct follower){.file = {.fd = -1}};
    arena_init(&follower->arena, 16 << 20);
    arena_init(&follower->event, 1 << 20);
    assert_int_equal(replay_source_file_open(&follower->file, path), ERR_ok);
    struct trace_source source = replay_source_file(&follower->file);
    assert_int_equal(
        trace_reader_open(&follower->arena, &source, NULL, NULL, &follower->reader),
        ERR_ok);
}

static void follower_close(struct follower *follower)
{
    trace_reader_close(follower->reader);
    replay_source_file_close(&follower->file);
    arena_fini(&follower->arena);
    arena_fini(&follower->event);
}

/* Everything there is now, as far as it can be read before `until`. */
static void follow(struct follower *follower, uint64_t until)
{
    struct trace_record record;
    uint8_t data[1500];
    bool end = false;
    for (;;) {
        struct trace_console_out want, got;
        if (follower->seq % 64 == 0 && os_clock_monotonic_ns() > until)
            return;
        enum err err = trace_reader_next(follower->reader, &record, &end);
        if (err) {
            struct trace_fault fault = trace_reader_fault(follower->reader);
            print_message("%s at %llu+%llu, event %llu\n", err_name(err),
                          (unsigned long long)fault.chunk_offset,
                          (unsigned long long)fault.payload_offset,
                          (unsigned long long)follower->seq);
            fail();
        }
        if (end)
            return;
        assert_int_equal(record.seq, follower->seq);
        event_of(follower->seq++, &follower->clock, &want, data);
        assert_memory_equal(&record.clock, &follower->clock, sizeof record.clock);
        arena_clear(&follower->event);
        assert_int_equal(
            trace_decode_console_out(follower->reader, &record, &follower->event, &got),
            ERR_ok);
        assert_int_equal(got.dev, want.dev);
        assert_int_equal(got.data.size, want.data.size);
        if (want.data.size)
            assert_memory_equal(got.data.data, want.data.data, want.data.size);
    }
}

static void pause_ns(uint64_t duration)
{
    struct timespec left = {.tv_nsec = (long)duration};
    nanosleep(&left, NULL);
}

/* One run: *ret_events is what was read behind the kill. */
static void run_and_kill(struct shared *shared, uint64_t *random, bool live,
                         uint64_t *ret_events)
{
    struct follower follower;
    memset(shared, 0, sizeof *shared);
    unsigned level = (unsigned)(test_random(random) % 2);
    uint64_t wait_ns = test_random(random) % (live ? 40000000 : 4000000);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        child(shared, level);
    }
    while (!__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE)) {
        int status;
        assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
        pause_ns(10000);
    }
    if (live) {
        uint64_t until = os_clock_monotonic_ns() + wait_ns;
        follower_open(&follower);
        while (os_clock_monotonic_ns() < until)
            follow(&follower, until);
    } else {
        pause_ns(wait_ns);
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    uint64_t completed = __atomic_load_n(&shared->completed, __ATOMIC_ACQUIRE);
    if (!live)
        follower_open(&follower);
    follow(&follower, UINT64_MAX);
    assert_int_equal(trace_reader_state(follower.reader), TRACE_READER_OPEN);
    if (follower.seq < completed) {
        print_message("%llu events completed, %llu there\n",
                      (unsigned long long)completed, (unsigned long long)follower.seq);
        test_reproduce("trace_kill", seed);
        fail();
    }
    assert_true(follower.seq <= completed + 1); /* stored, put not yet back */
    *ret_events = follower.seq;
    follower_close(&follower);
}

/* What is left recovers to a clean file with the same events. */
static void recover(uint64_t events)
{
    struct arena arena;
    struct trace_memory memory;
    struct replay_source_file file;
    struct trace_summary summary;
    arena_init(&arena, 64 << 20);
    trace_memory_init(&memory, (size_t)1 << 30);
    assert_int_equal(replay_source_file_open(&file, path), ERR_ok);
    struct trace_source source = replay_source_file(&file);
    struct trace_sink sink = trace_memory_sink(&memory);
    assert_int_equal(trace_recover(&arena, &source, &sink, NULL, NULL), ERR_ok);
    struct bytes bytes = buf_bytes(&memory.file);
    source = trace_bytes_source(&bytes);
    assert_int_equal(trace_verify(&arena, &source, NULL, NULL, NULL, &summary), ERR_ok);
    assert_int_equal(summary.state, TRACE_READER_CLOSED);
    assert_int_equal(summary.event_count, events);
    /* No session.begin in these traces; nothing else is wrong. */
    assert_int_equal(summary.defect_count, events ? 1 : 0);
    replay_source_file_close(&file);
    trace_memory_fini(&memory);
    arena_fini(&arena);
}

static void test_sigkill(void **state)
{
    (void)state;
    uint64_t random = seed = test_seed(0x1e5);
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    (void)snprintf(path, sizeof path, "/tmp/lockstep-kill-%ld.lks", (long)getpid());
    uint64_t total = 0;
    for (unsigned i = 0; i < (unsigned)KILL_COUNT; i++) {
        uint64_t events;
        run_and_kill(shared, &random, i % LIVE_EVERY == 0, &events);
        total += events;
        if (i % 50 == 0)
            recover(events);
    }
    assert_true(total > 100000); /* it did something */
    print_message("%u kills, %llu events\n", (unsigned)KILL_COUNT,
                  (unsigned long long)total);
    (void)unlink(path);
    munmap(shared, sizeof *shared);
}

/* A reader that follows a recording to its clean end sees the end, and the identity. */
static void test_live_to_the_end(void **state)
{
    (void)state;
    struct arena arena;
    struct replay_sink_file file;
    struct trace_writer *writer;
    struct trace_writer_options options = {.guest = TRACE_GUEST_PVM, .zstd_level = 1};
    struct trace_clock clock = {0};
    struct follower follower;
    struct hash256 identity;
    uint8_t data[1500];
    arena_init(&arena, 1 << 20);
    (void)snprintf(path, sizeof path, "/tmp/lockstep-live-%ld.lks", (long)getpid());
    assert_int_equal(replay_sink_file_open(&file, path, false), ERR_ok);
    struct trace_sink sink = replay_sink_file(&file);
    assert_int_equal(trace_writer_create(&arena, &sink, &options, &writer), ERR_ok);
    follower_open(&follower);
    follow(&follower, UINT64_MAX);
    assert_int_equal(trace_reader_state(follower.reader), TRACE_READER_OPEN);
    for (uint64_t seq = 0; seq < 20000; seq++) {
        struct trace_console_out event;
        event_of(seq, &clock, &event, data);
        trace_put_console_out(writer, &clock, &event);
        if (seq % 3 == 0 || seq > 19000) {
            follow(&follower, UINT64_MAX);
            assert_int_equal(follower.seq, seq + 1);
        }
    }
    assert_int_equal(trace_writer_finish(writer, &identity), ERR_ok);
    follow(&follower, UINT64_MAX);
    assert_int_equal(trace_reader_state(follower.reader), TRACE_READER_CLOSED);
    struct hash256 chain = trace_reader_chain(follower.reader);
    assert_true(hash256_equal(&chain, &identity));
    struct trace_source source = replay_source_file(&follower.file);
    assert_int_equal(trace_identity(&source, &chain), ERR_ok);
    assert_true(hash256_equal(&chain, &identity));
    follower_close(&follower);
    replay_sink_file_close(&file);
    (void)unlink(path);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_to_the_end),
        cmocka_unit_test(test_sigkill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
