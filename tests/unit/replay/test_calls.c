/* SPDX-License-Identifier: MIT
 *
 * Every host call with good and bad operands: what the guest gets, what the trace
 * holds, and that a replay without a host gives the same.
 */
#include "tests/unit/replay/run.h"

#include "base/os.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RW = 0x20000, RO = 0x30000, NOWHERE = 0x50000, MIB = 1 << 20 };

/* One call: operands, and what is expected. */
struct call {
    const char *name;
    uint32_t op;
    uint64_t a[3];
    int64_t answer;
    bool outside;  /* the host was asked */
    uint64_t read; /* bytes of guest memory read, written */
    uint64_t written;
};

#define CALL(name) REPLAY_CALL_##name
#define FAIL(name) (-(int64_t)REPLAY_HOST_##name)

static const struct call call[] = {
    {"args_size", CALL(args_size), {0}, 8, false, 0, 0},
    {"args", CALL(args), {RW, 8}, 8, false, 0, 8},
    {"args, more room", CALL(args), {RW, 4096}, 8, false, 0, 8},
    {"args, no room", CALL(args), {RW, 7}, FAIL(range), false, 0, 0},
    {"args, read only", CALL(args), {RO, 8}, FAIL(fault), false, 0, 0},
    {"args, at the end of a map",
     CALL(args),
     {RW + 0x1000 - 7, 8},
     FAIL(fault),
     false,
     0,
     0},
    {"args, last bytes of a map", CALL(args), {RW + 0x1000 - 8, 8}, 8, false, 0, 8},
    {"read", CALL(read), {0, RW, 5}, 5, true, 0, 5},
    {"read, short", CALL(read), {0, RW, 4096}, 11, true, 0, 11},
    {"read, nothing", CALL(read), {0, NOWHERE, 0}, 0, true, 0, 0},
    {"read, bad descriptor", CALL(read), {1, RW, 5}, FAIL(badf), true, 0, 0},
    {"read, huge descriptor",
     CALL(read),
     {(uint64_t)1 << 32, RW, 5},
     FAIL(badf),
     true,
     0,
     0},
    {"read, read only", CALL(read), {0, RO, 5}, FAIL(fault), false, 0, 0},
    {"read, nowhere", CALL(read), {0, NOWHERE, 1}, FAIL(fault), false, 0, 0},
    {"read, too much", CALL(read), {0, RW, 0x1001}, FAIL(fault), false, 0, 0},
    {"read, all of 2^64", CALL(read), {0, RW, UINT64_MAX}, FAIL(fault), false, 0, 0},
    {"read, at the top", CALL(read), {0, 0xfffffff0, 32}, FAIL(fault), false, 0, 0},
    {"write", CALL(write), {1, RO, 9}, 9, true, 9, 0},
    {"write, stderr", CALL(write), {2, RW, 9}, 9, true, 9, 0},
    {"write, nothing", CALL(write), {1, NOWHERE, 0}, 0, true, 0, 0},
    {"write, nowhere", CALL(write), {1, NOWHERE, 1}, FAIL(fault), false, 0, 0},
    {"write, bad descriptor", CALL(write), {7, RO, 9}, FAIL(badf), true, 9, 0},
    {"open", CALL(open), {RO, 4, 0}, 3, true, 4, 0},
    {"open, no path", CALL(open), {RO, 0, 0}, FAIL(inval), false, 0, 0},
    {"open, long path", CALL(open), {RO, 4096, 0}, FAIL(inval), false, 0, 0},
    {"open, bad flags", CALL(open), {RO, 4, 3}, FAIL(inval), false, 0, 0},
    {"open, NUL in the path", CALL(open), {RO, 32, 0}, FAIL(inval), false, 32, 0},
    {"open, nowhere", CALL(open), {NOWHERE, 4, 0}, FAIL(fault), false, 0, 0},
    {"close", CALL(close), {3}, 0, true, 0, 0},
    {"close, bad descriptor", CALL(close), {9}, FAIL(badf), true, 0, 0},
    {"seek", CALL(seek), {3, 10, 0}, 10, true, 0, 0},
    {"seek, bad whence", CALL(seek), {3, 10, 3}, FAIL(inval), false, 0, 0},
    {"seek, before the start", CALL(seek), {3, UINT64_MAX, 0}, FAIL(inval), true, 0, 0},
    {"clock", CALL(clock), {0}, 1001, true, 0, 0},
    {"clock of the run", CALL(clock), {1}, 1002, true, 0, 0},
    {"clock, bad id", CALL(clock), {2}, FAIL(inval), false, 0, 0},
    {"random", CALL(random), {RW, 33}, 33, true, 0, 33},
    {"random, nothing", CALL(random), {RW, 0}, 0, true, 0, 0},
    {"random, read only", CALL(random), {RO, 1}, FAIL(fault), false, 0, 0},
    {"unknown", 74, {1, 2, 3}, FAIL(nosys), false, 0, 0},
    {"unknown, of the kernel", 16, {1, 2, 3}, FAIL(nosys), false, 0, 0},
    {"unknown, highest", UINT32_MAX, {1, 2, 3}, FAIL(nosys), false, 0, 0},
};

/* ---- one call, recorded ---- */

static const struct trace_uuu map[] = {{RW, 0x1000, PVM_ACCESS_RW},
                                       {RO, 0x1000, PVM_ACCESS_R}};

static struct replay_setup call_setup(struct arena *arena, const struct call *c)
{
    struct replay_setup setup =
        setup_of(assemble(arena, "ecall\ntrap\n"), PVM_PROFILE_JAVM);
    static const struct trace_uw mem[] = {{RO, {(const uint8_t *)"path/or text", 12}}};
    static const struct bytes argv[] = {{(const uint8_t *)"one", 3},
                                        {(const uint8_t *)"two", 3}};
    setup.maps = (struct trace_list_uuu){map, countof(map)};
    setup.mem = (struct trace_list_uw){mem, countof(mem)};
    setup.argv = (struct trace_list_b){argv, countof(argv)};
    setup.reg[7] = c->a[0];
    setup.reg[8] = c->a[1];
    setup.reg[9] = c->a[2];
    setup.reg[11] = c->op;
    setup.digest_every = 1;
    setup.hash_every = 1000000;
    return setup;
}

/* The one ecall of a recording. */
static struct trace_pvm_ecall ecall_of(const struct recording *r, struct arena *arena)
{
    struct bytes file = recording_bytes(r);
    struct trace_source source = trace_bytes_source(&file);
    struct trace_reader *reader;
    struct trace_pvm_ecall event = {0};
    assert_int_equal(trace_reader_open(arena, &source, NULL, NULL, &reader), ERR_ok);
    for (;;) {
        struct trace_record record;
        bool end;
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        assert_false(end);
        if (record.kind->id != TRACE_ID_pvm_ecall)
            continue;
        assert_int_equal(trace_decode_pvm_ecall(reader, &record, arena, &event),
                         ERR_ok);
        event.rbytes.data = arena_copy(arena, event.rbytes.data, event.rbytes.size);
        event.wbytes.data = arena_copy(arena, event.wbytes.data, event.wbytes.size);
        break;
    }
    trace_reader_close(reader);
    return event;
}

static uint64_t sum(struct trace_list_uu list)
{
    uint64_t size = 0;
    for (size_t i = 0; i < list.count; i++)
        size += list.item[i].b;
    return size;
}

static void check_event(const struct call *c, const struct trace_pvm_ecall *event,
                        bool reads, bool writes)
{
    assert_int_equal(event->op, c->op);
    assert_int_equal(event->pc, 0);
    assert_int_equal(event->origin, c->outside);
    assert_int_equal(event->outcome, 0);
    assert_int_equal(event->out.count, 1);
    assert_int_equal(event->out.item[0].a, 7);
    assert_int_equal(event->out.item[0].b, c->answer);
    assert_int_equal(sum(event->reads), c->read);
    assert_int_equal(sum(event->writes), c->written);
    assert_int_equal(event->rdig != 0, c->read != 0);
    assert_int_equal(event->wdig != 0, c->written != 0);
    assert_int_equal(event->rbytes.size, reads ? c->read : 0);
    assert_int_equal(event->wbytes.size, writes || c->outside ? c->written : 0);
    assert_int_equal(event->charges.count, 0);
}

static void test_each_call(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(call); i++) {
        for (int log = 0; log < 4; log++) {
            struct arena arena;
            struct recording r;
            struct script script = {
                .input = "hello world", .open_answer = 3, .clock = 1000};
            struct replay_host host = script_host(&script);
            arena_init(&arena, (size_t)1 << 26);
            print_message("%s\n", call[i].name);
            struct replay_setup setup = call_setup(&arena, &call[i]);
            setup.log_reads = log & 1;
            setup.log_writes = log & 2;
            check_setup(&setup, &host, &r);
            assert_int_equal(r.result.outcome.exit, PVM_EXIT_TRAP);
            assert_int_equal((int64_t)r.state.reg[7], call[i].answer);
            assert_int_equal(script.call_count != 0, call[i].outside);
            struct trace_pvm_ecall event = ecall_of(&r, &arena);
            check_event(&call[i], &event, setup.log_reads, setup.log_writes);
            recording_fini(&r);
            buf_fini(&script.output);
            arena_fini(&arena);
        }
    }
}

/* Rows of pvm/hostcalls.def that no case above calls (exit ends the run). */
static void test_every_row_is_tried(void **state)
{
    (void)state;
    static const uint32_t row[] = {
#define HOSTCALL(number, name, signature, text) number,
#include "pvm/hostcalls.def"
    };
    for (size_t i = 0; i < countof(row); i++) {
        bool tried = row[i] == CALL(exit);
        for (size_t k = 0; k < countof(call); k++)
            tried |= call[k].op == row[i];
        assert_true(tried);
    }
}

static void test_exit(void **state)
{
    (void)state;
    const struct call exits = {.op = CALL(exit), .a = {UINT64_C(0xabcdef0100000003)}};
    struct arena arena;
    struct recording r;
    struct pvm_state end;
    arena_init(&arena, (size_t)1 << 26);
    struct replay_setup setup = call_setup(&arena, &exits);
    check_setup(&setup, NULL, &r);
    assert_true(r.result.exited);
    assert_int_equal(r.result.status, 3);
    struct trace_pvm_ecall event = ecall_of(&r, &arena);
    assert_int_equal(event.outcome, 1);
    assert_int_equal(event.arg, 3);
    assert_int_equal(event.origin, 0);
    struct replay_result off = run_only(&setup, NULL, &end);
    assert_true(off.exited);
    assert_int_equal(off.status, 3);
    recording_fini(&r);
    arena_fini(&arena);
}

/* The bytes reach the guest: what was read is written again. */
static void test_bytes_arrive(void **state)
{
    (void)state;
    static const char text[] = "load_imm a0, 0\n"
                               "load_imm a1, 0x20000\n"
                               "load_imm a2, 4096\n"
                               "ecalli 67\n"
                               "move_reg a2, a0\n"
                               "load_imm a0, 1\n"
                               "ecalli 68\n"
                               "load_imm a0, 2\n"
                               "ecalli 68\n"
                               "trap\n";
    for (size_t piece = 1; piece < 13; piece++) {
        struct arena arena;
        struct recording r;
        struct script script = {.input = "hello\nworld", .piece = piece};
        struct replay_host host = script_host(&script);
        arena_init(&arena, (size_t)1 << 26);
        struct replay_setup setup = setup_of(assemble(&arena, text), PVM_PROFILE_JAVM);
        setup.maps = (struct trace_list_uuu){map, 1};
        setup.hash_every = 1;
        check_setup(&setup, &host, &r);
        size_t size = piece < 11 ? piece : 11;
        assert_int_equal(script.output.size, 2 * size);
        assert_memory_equal(script.output.data, "hello\nworld", size);
        recording_fini(&r);
        buf_fini(&script.output);
        arena_fini(&arena);
    }
}

static void collect(void *self, uint64_t dev, struct bytes data)
{
    struct buf *out = self;
    if (dev == 33)
        buf_put(out, data.data, data.size);
}

/* --output: a replay gives the guest's output again. */
static void test_output(void **state)
{
    (void)state;
    static const char *const argv[] = {"-t"};
    struct arena arena;
    struct recording r;
    struct buf out;
    struct script script = {.input = "a line\nanother one\nno end"};
    struct replay_host host = script_host(&script);
    arena_init(&arena, (size_t)1 << 26);
    struct replay_setup setup = setup_program(&arena, "upcase", argv, 0);
    record(&r, &setup, &host, false);
    buf_init(&out, 1 << 20);
    const struct replay_options options = {.output = collect, .output_self = &out};
    struct replay_report report = replay_bytes(recording_bytes(&r), &options);
    assert_int_equal(report.class, REPLAY_SAME);
    assert_true(out.size > 10);
    assert_int_equal(out.size, script.output.size);
    assert_memory_equal(out.data, script.output.data, out.size);
    buf_fini(&out);
    buf_fini(&script.output);
    recording_fini(&r);
    arena_fini(&arena);
}

/* Ctrl-C in a blocking read: the call is not recorded, the trace is whole. */
static void test_interrupted_call(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 6; at++) {
        struct arena arena;
        struct recording r;
        struct script script = {
            .input = "some\nlines\nof text\n", .piece = 4, .interrupt_at = at};
        struct replay_host host = script_host(&script);
        arena_init(&arena, (size_t)1 << 26);
        struct replay_setup setup = setup_program(&arena, "wc", NULL, 0);
        record(&r, &setup, &host, false);
        assert_int_equal(r.result.end, REPLAY_END_USER);
        struct replay_report report = replay_bytes(recording_bytes(&r), NULL);
        assert_int_equal(report.class, REPLAY_SAME);
        assert_int_equal(report.result.reason, 1);
        assert_int_equal(report.event_count, r.event_count);
        assert_memory_equal(&report.identity, &r.identity, sizeof r.identity);
        buf_fini(&script.output);
        recording_fini(&r);
        arena_fini(&arena);
    }
}

/* ---- the live host ---- */

static char folder[] = "/tmp/lockstep-test.XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(os_file_write(path, bytes_of(text, strlen(text))), ERR_ok);
}

static int make_folder(void **state)
{
    char path[256];
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/inside", folder);
    if (mkdir(path, 0700))
        return -1;
    write_file("outside.txt", "outside");
    write_file("inside/file.txt", "0123456789");
    (void)snprintf(path, sizeof path, "%s/inside/out", folder);
    if (symlink("../outside.txt", path))
        return -1;
    (void)snprintf(path, sizeof path, "%s/inside/root", folder);
    if (symlink("/etc/passwd", path))
        return -1;
    (void)snprintf(path, sizeof path, "%s/inside/alias", folder);
    if (symlink("file.txt", path))
        return -1;
    (void)snprintf(path, sizeof path, "%s/inside/fifo", folder);
    return mkfifo(path, 0600);
}

static int remove_folder(void **state)
{
    char command[300];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static struct replay_host live_host(struct arena *arena, bool write,
                                    struct replay_live **ret_live)
{
    char *path = arena_alloc(arena, 256, 1);
    (void)snprintf(path, 256, "%s/inside", folder);
    const struct replay_live_options options = {.stdin_fd = -1,
                                                .stdout_fd = -1,
                                                .stderr_fd = -1,
                                                .dir = path,
                                                .write = write,
                                                .clock_fixed = true,
                                                .clock_ns = 5000,
                                                .random_fixed = true,
                                                .seed = 1};
    assert_int_equal(replay_live_create(arena, &options, ret_live), ERR_ok);
    return replay_live_host(*ret_live);
}

static void test_live_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        uint64_t flags;
        int64_t answer;
    } open[] = {
        {"file.txt", 0, 3},
        {"alias", 0, 4},
        {"./file.txt", 0, 5},
        {"../inside/file.txt", 0, FAIL(access)},
        {"../outside.txt", 0, FAIL(access)},
        {"/etc/passwd", 0, FAIL(access)},
        {"out", 0, FAIL(access)},
        {"root", 0, FAIL(access)},
        {"fifo", 0, FAIL(access)},
        {".", 0, FAIL(access)},
        {"nothing", 0, FAIL(noent)},
        {"file.txt/x", 0, FAIL(noent)},
        {"file.txt", 2, FAIL(access)},
        {"nothing", 2, FAIL(noent)},
        {"new.txt", 1, FAIL(access)},
    };
    struct arena arena;
    struct replay_live *live;
    arena_init(&arena, 1 << 20);
    struct replay_host host = live_host(&arena, false, &live);
    for (size_t i = 0; i < countof(open); i++) {
        print_message("%s %llu\n", open[i].path, (unsigned long long)open[i].flags);
        assert_int_equal(host.open(host.self, open[i].path, open[i].flags),
                         open[i].answer);
    }
    replay_live_close(live);
    arena_fini(&arena);
}

static void test_live_files(void **state)
{
    (void)state;
    char data[16] = "";
    struct arena arena;
    struct replay_live *live;
    arena_init(&arena, 1 << 20);
    struct replay_host host = live_host(&arena, true, &live);
    void *self = host.self;
    assert_int_equal(host.open(self, "file.txt", 0), 3);
    assert_int_equal(host.read(self, 3, data, 4), 4);
    assert_memory_equal(data, "0123", 4);
    assert_int_equal(host.seek(self, 3, -2, 2), 8);
    assert_int_equal(host.read(self, 3, data, 16), 2);
    assert_int_equal(host.read(self, 3, data, 16), 0);
    assert_int_equal(host.seek(self, 3, -1, 0), FAIL(inval));
    assert_int_equal(host.write(self, 3, "x", 1), FAIL(badf));
    assert_int_equal(host.open(self, "new.txt", 1), 4);
    assert_int_equal(host.write(self, 4, "text", 4), 4);
    assert_int_equal(host.seek(self, 4, 1, 0), 1);
    assert_int_equal(host.read(self, 4, data, 16), 3);
    assert_memory_equal(data, "ext", 3);
    assert_int_equal(host.open(self, "../new.txt", 1), FAIL(access));
    assert_int_equal(host.open(self, "out", 1), FAIL(access));
    assert_int_equal(host.close(self, 4), 0);
    assert_int_equal(host.close(self, 4), FAIL(badf));
    assert_int_equal(host.read(self, 4, data, 1), FAIL(badf));
    for (int i = 1; i < REPLAY_OPEN_MAX; i++)
        assert_int_equal(host.open(self, "file.txt", 2), 3 + i);
    assert_int_equal(host.open(self, "file.txt", 0), FAIL(mfile));
    assert_int_equal(host.close(self, UINT64_MAX), FAIL(badf));
    assert_int_equal(host.close(self, 1), FAIL(badf)); /* not there from the start */
    replay_live_close(live);
    arena_fini(&arena);
}

static void test_live_fixed(void **state)
{
    (void)state;
    uint8_t a[20], b[20];
    struct arena arena;
    struct replay_live *live;
    arena_init(&arena, 1 << 20);
    struct replay_host host = live_host(&arena, false, &live);
    assert_int_equal(host.clock(host.self, 0), 6000);
    assert_int_equal(host.clock(host.self, 1), 2000);
    assert_int_equal(host.random(host.self, a, sizeof a), sizeof a);
    replay_live_close(live);
    host = live_host(&arena, false, &live);
    assert_int_equal(host.random(host.self, b, sizeof b), sizeof b);
    assert_memory_equal(a, b, sizeof a);
    /* SplitMix64 from 1: the first number. */
    assert_memory_equal(a, "\xc1\x5c\x02\x89\xec\x2d\x0a\x91", 8);
    replay_live_close(live);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_call),    cmocka_unit_test(test_every_row_is_tried),
        cmocka_unit_test(test_exit),         cmocka_unit_test(test_bytes_arrive),
        cmocka_unit_test(test_output),       cmocka_unit_test(test_interrupted_call),
        cmocka_unit_test(test_live_escapes), cmocka_unit_test(test_live_files),
        cmocka_unit_test(test_live_fixed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
