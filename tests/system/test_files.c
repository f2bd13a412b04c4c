/* SPDX-License-Identifier: MIT
 *
 * Recordings of a pc whose files answer late and change (tests/system/files.S): they
 * replay, with the trees and without; a state taken anywhere, also with requests in
 * flight, goes on the same way; parts and branches replay.
 */
#include "tests/test.h"

#include "base/os.h"
#include "emu/save.h"
#include "replay/branch.h"
#include "replay/pc.h"

#include <string.h>

enum { NOTE_COUNT = 12, STEPS_MAX = 400000, STATE_SIZE_MAX = 16 << 20 };

static struct arena images;
static struct bytes program;

/* ---- a server with a tree in memory ---- */

struct trees {
    struct v86fs_ids ids;
    struct v86fs_mem *mem;
    struct v86fs_server *server;
};

static void trees_init(struct trees *trees, struct arena *arena)
{
    struct v86fs_mem_options mem;
    struct v86fs_server_options options;
    uint64_t root;
    v86fs_mem_options_init(&mem);
    mem.node_count_max = 200;
    mem.quota = 1 << 20;
    v86fs_server_options_init(&options);
    options.handle_count_max = 16;
    v86fs_ids_init(&trees->ids);
    assert_int_equal(v86fs_mem_create(arena, &mem, &trees->ids, &trees->mem), ERR_ok);
    assert_int_equal(v86fs_mem_root(trees->mem, 0755, 0, &root), ERR_ok);
    v86fs_ids_start(&trees->ids, 100);
    assert_int_equal(v86fs_server_create(arena, &options, &trees->ids, &trees->server),
                     ERR_ok);
    assert_int_equal(v86fs_server_export(trees->server, bytes_of("", 0),
                                         v86fs_mem_tree(trees->mem), root, false),
                     ERR_ok);
}

static enum err trees_save(void *self, struct buf *buf)
{
    const struct trees *trees = self;
    struct arena scratch;
    struct buf part;
    arena_init(&scratch, 1 << 24);
    buf_init(&part, 1 << 20);
    enum err err = v86fs_server_save(trees->server, &part);
    uint64_t size = part.size;
    buf_put(buf, &size, sizeof size);
    buf_put(buf, part.data, part.size);
    buf_fini(&part);
    if (!err)
        err = v86fs_mem_save(trees->mem, &scratch, buf);
    arena_fini(&scratch);
    return err ? err : buf->err;
}

static enum err trees_load(void *self, struct bytes state)
{
    struct trees *trees = self;
    struct arena scratch;
    uint64_t size;
    if (state.size < sizeof size)
        return ERR_v86fs_state;
    memcpy(&size, state.data, sizeof size);
    state = bytes_of(state.data + sizeof size, state.size - sizeof size);
    if (size > state.size)
        return ERR_v86fs_state;
    TRY(v86fs_server_load(trees->server, bytes_of(state.data, (size_t)size)));
    arena_init(&scratch, 1 << 24);
    enum err err = v86fs_mem_load(
        trees->mem, &scratch, bytes_of(state.data + size, state.size - (size_t)size));
    arena_fini(&scratch);
    return err;
}

/* ---- the world ---- */

struct world {
    struct arena arena;
    struct trees trees;
    struct replay_pc *session;
    struct emu_pc *pc;
    uint64_t note_at[NOTE_COUNT]; /* steps */
    unsigned note_next;
    struct buf out;
};

static void console_out(void *self, uint32_t dev, uint8_t byte)
{
    struct world *world = self;
    (void)dev;
    buf_byte(&world->out, byte);
}

/* One notification, and replies that come later or at once from here on. */
static void act(void *self)
{
    struct world *world = self;
    unsigned n = world->note_next++;
    uint8_t frame[64];
    size_t size = n % 3 ? v86fs_invalidate_encode(1 + n, 0, 0, frame, sizeof frame)
                        : v86fs_invalidate_dir_encode(1 + n, frame, sizeof frame);
    assert_int_equal(replay_pc_notify(world->session, bytes_of(frame, size)),
                     V86FS_NOTE_QUEUED);
    replay_pc_delay(world->session, n % 4 == 3 ? 0 : 20000 * n + 1);
}

static bool input_at(void *self, struct emu_place here, struct emu_place *ret_next,
                     struct emu_input *ret_input)
{
    struct world *world = self;
    if (world->note_next == NOTE_COUNT)
        return false;
    uint64_t at = world->note_at[world->note_next];
    if (here.icount < at) {
        *ret_next = (struct emu_place){at, 0};
        return false;
    }
    *ret_input =
        (struct emu_input){.kind = EMU_INPUT_CALL, .call = act, .call_self = world};
    return true;
}

static bool idle(void *self, uint64_t now, uint64_t deadline, uint64_t *ret_vns)
{
    (void)self, (void)now;
    *ret_vns = deadline;
    return deadline != EMU_NEVER;
}

static void setup_init(struct replay_pc_setup *setup, bool derived)
{
    *setup = (struct replay_pc_setup){
        .kernel_name = "files.elf", .embed = true, .has_fs = true};
    emu_pc_config_init(&setup->config);
    setup->config.ram_size = 4u << 20;
    setup->config.cache_size = 1u << 20;
    setup->boot.kind = EMU_BOOT_FLAT;
    setup->boot.kernel = program;
    setup->fs = (struct replay_fs_setup){.epoch_ns = setup->config.epoch,
                                         .tick_ns = 1,
                                         .handle_count_max = 16,
                                         .derived = derived,
                                         .export = {{.name = "", .spec = "mem"}},
                                         .export_count = 1};
}

static void world_init(struct world *world, const struct replay_pc_setup *setup,
                       const struct emu_host *host, struct trace *trace)
{
    struct emu_boot_problem problem;
    trees_init(&world->trees, &world->arena);
    const struct replay_pc_options options = {
        .host = host,
        .trace = trace,
        .server = world->trees.server,
        .trees = {&world->trees, trees_save, trees_load},
        .hashes = true};
    buf_init(&world->out, 1 << 16);
    for (unsigned i = 0; i < NOTE_COUNT; i++)
        world->note_at[i] = 3000 + 7001 * i;
    assert_int_equal(
        replay_pc_create(&world->arena, setup, &options, &world->session, &problem),
        ERR_ok);
    world->pc = replay_pc_machine(world->session);
}

static void world_fini(struct world *world)
{
    replay_pc_close(world->session);
    buf_fini(&world->out);
    arena_fini(&world->arena);
    memset(world, 0, sizeof *world);
}

static struct hash256 machine_hash(const struct world *world)
{
    struct emu_ram_hash *pages;
    struct arena arena;
    struct buf scratch;
    arena_init(&arena, 1 << 24);
    buf_init(&scratch, STATE_SIZE_MAX);
    memset(world->pc->ram->dirty, 1, world->pc->ram->size / EMU_PAGE_SIZE);
    assert_int_equal(emu_ram_hash_create(&arena, world->pc->ram, &pages), ERR_ok);
    struct hash256 hash = emu_pc_hash(world->pc, pages, &scratch);
    buf_fini(&scratch);
    arena_fini(&arena);
    return hash;
}

/* ---- record and replay ---- */

static struct world world;
static struct trace_memory memory;
static struct hash256 identity, final;
static struct buf printed;

static void record(bool derived)
{
    static struct replay_pc_setup setup;
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PC, .zstd_level = 1};
    const struct emu_host host = {&world, console_out, input_at, idle, NULL};
    struct trace_writer *writer;
    struct trace *trace;
    arena_init(&world.arena, (size_t)1 << 30);
    trace_memory_init(&memory, 64 << 20);
    buf_init(&printed, 1 << 16);
    struct trace_sink sink = trace_memory_sink(&memory);
    setup_init(&setup, derived);
    assert_int_equal(trace_writer_create(&world.arena, &sink, &how, &writer), ERR_ok);
    assert_int_equal(trace_record_create(&world.arena, writer, true, &trace), ERR_ok);
    world_init(&world, &setup, &host, trace);
    assert_int_equal(replay_pc_run(world.session, STEPS_MAX), EMU_PC_ENDED);
    assert_int_equal(replay_pc_end(world.session, EMU_PC_ENDED), ERR_ok);
    final = machine_hash(&world);
    trace_close(trace);
    assert_int_equal(trace_writer_finish(writer, &identity), ERR_ok);
    trace_memory_flush(&memory);
    buf_put(&printed, world.out.data, world.out.size);
    assert_int_equal(world.note_next, NOTE_COUNT);
    assert_true(printed.size > 40);
    assert_non_null(memchr(printed.data, 'n', printed.size));
    world_fini(&world);
}

static void record_fini(void)
{
    trace_memory_fini(&memory);
    buf_fini(&printed);
}

/* What a replay needs of trees: none, or those of the recording's start. */
struct followed {
    struct arena arena;
    struct trees trees;
    struct buf out;
};

static enum err followed_open(void *self, const struct replay_fs_setup *setup,
                              struct v86fs_server **ret_server, char ret_detail[120])
{
    struct followed *followed = self;
    (void)setup, (void)ret_detail;
    trees_init(&followed->trees, &followed->arena);
    *ret_server = followed->trees.server;
    return ERR_ok;
}

static enum err followed_save(void *self, struct buf *buf)
{
    return trees_save(&((struct followed *)self)->trees, buf);
}

static enum err followed_load(void *self, struct bytes state)
{
    return trees_load(&((struct followed *)self)->trees, state);
}

static void followed_out(void *self, uint64_t dev, struct bytes data)
{
    struct followed *followed = self;
    (void)dev;
    buf_put(&followed->out, data.data, data.size);
}

static struct replay_pc_follow_options follow(struct followed *followed)
{
    arena_init(&followed->arena, (size_t)1 << 30);
    buf_init(&followed->out, 1 << 16);
    return (struct replay_pc_follow_options){.open = followed_open,
                                             .open_self = followed,
                                             .save = followed_save,
                                             .load = followed_load,
                                             .output = followed_out,
                                             .output_self = followed};
}

static void followed_fini(struct followed *followed)
{
    buf_fini(&followed->out);
    arena_fini(&followed->arena);
}

static struct replay_pc_report replay(struct bytes file)
{
    struct followed followed;
    struct replay_pc_report report;
    const struct replay_pc_follow_options how = follow(&followed);
    struct trace_source source = trace_bytes_source(&file);
    replay_pc_trace(&source, &how, &report);
    if (report.class == REPLAY_SAME)
        assert_memory_equal(followed.out.data,
                            printed.data + printed.size - followed.out.size,
                            followed.out.size);
    followed_fini(&followed);
    return report;
}

static uint64_t kind_count(struct bytes file, enum trace_id id)
{
    struct trace_summary summary;
    struct arena arena;
    struct trace_source source = trace_bytes_source(&file);
    const struct trace_verify_options how = {.quick = true};
    arena_init(&arena, (size_t)1 << 28);
    assert_int_equal(trace_verify(&arena, &source, &how, NULL, NULL, &summary), ERR_ok);
    assert_int_equal(summary.defect_count, 0);
    arena_fini(&arena);
    return summary.kind_count[id];
}

static void late_replies_and_notifications_replay(void **state)
{
    (void)state;
    for (unsigned derived = 0; derived < 2; derived++) {
        record(derived);
        struct bytes file = buf_bytes(&memory.file);
        assert_true(kind_count(file, TRACE_ID_virtio_complete) > 30);
        assert_int_equal(kind_count(file, TRACE_ID_virtio_notify), NOTE_COUNT);
        struct replay_pc_report report = replay(file);
        if (report.diverged)
            print_error("event %u %s: %s %s, %s\n", (unsigned)report.divergence.seq,
                        report.divergence.recorded_name, report.divergence.field,
                        report.divergence.recorded, report.divergence.produced);
        assert_string_equal(report.detail, "");
        assert_int_equal(report.class, REPLAY_SAME);
        assert_true(hash256_equal(&report.identity, &identity));
        record_fini();
    }
}

/* ---- states ---- */

/* Run to a place, save, and let another machine go on. */
static void go_on_from(const struct replay_pc_setup *setup, struct emu_place place,
                       uint64_t *in_flight)
{
    static struct world other;
    const struct emu_host host = {&world, console_out, input_at, idle, NULL};
    const struct emu_host other_host = {&other, console_out, input_at, idle, NULL};
    struct buf state, around;
    buf_init(&state, STATE_SIZE_MAX);
    buf_init(&around, STATE_SIZE_MAX);
    arena_init(&world.arena, (size_t)1 << 30);
    arena_init(&other.arena, (size_t)1 << 30);
    world_init(&world, setup, &host, NULL);
    world_init(&other, setup, &other_host, NULL);
    replay_pc_stop_at(world.session, place);
    assert_int_equal(replay_pc_run(world.session, STEPS_MAX), EMU_PC_STOPPED);
    assert_int_equal(replay_pc_save(world.session, &state, &around), ERR_ok);
    for (unsigned i = 0; i < 2; i++)
        *in_flight += world.pc->fs[0].virtio.queue[i].held[0] != 0;
    for (uint32_t at = 0; at < world.pc->ram->size; at += EMU_PAGE_SIZE)
        emu_ram_write(other.pc->ram, at, world.pc->ram->bytes + at, EMU_PAGE_SIZE);
    assert_int_equal(
        replay_pc_load(other.session, buf_bytes(&state), buf_bytes(&around)), ERR_ok);
    other.note_next = world.note_next;
    if (other.note_next)
        replay_pc_delay(other.session, (other.note_next - 1) % 4 == 3
                                           ? 0
                                           : 20000 * (other.note_next - 1) + 1);
    assert_int_equal(replay_pc_run(other.session, STEPS_MAX), EMU_PC_ENDED);
    struct hash256 hash = machine_hash(&other);
    assert_true(hash256_equal(&hash, &final));
    assert_memory_equal(printed.data + printed.size - other.out.size, other.out.data,
                        other.out.size);
    buf_fini(&state);
    buf_fini(&around);
    world_fini(&world);
    world_fini(&other);
}

/* Places in the sleep before a late reply comes. */
static unsigned sleeps(struct emu_place *place, unsigned count_max)
{
    struct bytes file = buf_bytes(&memory.file);
    struct trace_source source = trace_bytes_source(&file);
    struct trace_reader *reader;
    struct trace_record record;
    struct arena arena;
    unsigned count = 0;
    bool end = false;
    arena_init(&arena, (size_t)1 << 28);
    assert_int_equal(trace_reader_open(&arena, &source, NULL, NULL, &reader), ERR_ok);
    while (count < count_max) {
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        if (end)
            break;
        if (record.kind->id == TRACE_ID_virtio_complete && record.clock.sub > 1)
            place[count++] =
                (struct emu_place){record.clock.icount, record.clock.sub / 2};
    }
    trace_reader_close(reader);
    arena_fini(&arena);
    return count;
}

static void a_state_goes_on_the_same_way(void **state)
{
    (void)state;
    static struct replay_pc_setup setup;
    struct emu_place place[20];
    uint64_t in_flight = 0;
    record(true);
    setup_init(&setup, true);
    for (uint64_t at = 100; at < 100000; at += 6661)
        go_on_from(&setup, (struct emu_place){at, at % 5000}, &in_flight);
    unsigned count = sleeps(place, countof(place));
    assert_true(count > 10);
    for (unsigned i = 0; i < count; i++)
        go_on_from(&setup, place[i], &in_flight);
    assert_true(in_flight >= count);
    record_fini();
}

/* ---- parts and branches ---- */

static void parts_replay(void **state)
{
    (void)state;
    for (unsigned derived = 0; derived < 2; derived++) {
        record(derived);
        struct bytes file = buf_bytes(&memory.file);
        for (unsigned percent = 0; percent < 100; percent += 7) {
            struct followed followed;
            const struct replay_pc_follow_options pc = follow(&followed);
            const struct replay_cut_options how = {
                .from = {.kind = REPLAY_AT_PERCENT, .value = percent}, .pc = &pc};
            struct replay_cut_report cut;
            struct trace_memory part;
            struct trace_source source = trace_bytes_source(&file);
            trace_memory_init(&part, 64 << 20);
            struct trace_sink sink = trace_memory_sink(&part);
            replay_cut(&source, &sink, &how, &cut);
            followed_fini(&followed);
            assert_string_equal(cut.detail, "");
            struct replay_pc_report report = replay(buf_bytes(&part.file));
            assert_string_equal(report.detail, "");
            assert_int_equal(report.class, REPLAY_SAME);
            assert_true(hash256_equal(&report.identity, &cut.identity));
            assert_true(hash256_equal(&cut.parent, &identity));
            trace_memory_fini(&part);
        }
        record_fini();
    }
}

/* The processor at a position of a trace. */
static struct replay_pc_report look(struct bytes file, const struct replay_position *at)
{
    struct followed followed;
    struct replay_pc_report report;
    struct replay_pc_follow_options how = follow(&followed);
    struct trace_source source = trace_bytes_source(&file);
    how.to = *at;
    replay_pc_trace(&source, &how, &report);
    assert_string_equal(report.detail, "");
    assert_int_equal(report.class, REPLAY_STOPPED);
    followed_fini(&followed);
    return report;
}

static void checkpoints_spare_the_way(void **state)
{
    (void)state;
    for (unsigned derived = 0; derived < 2; derived++) {
        struct followed followed;
        struct replay_add_report added;
        struct trace_memory more;
        record(derived);
        struct bytes file = buf_bytes(&memory.file);
        struct trace_source source = trace_bytes_source(&file);
        const struct replay_pc_follow_options pc = follow(&followed);
        const struct replay_add_options how = {.pc = &pc, .every = 7000};
        trace_memory_init(&more, 64 << 20);
        struct trace_sink sink = trace_memory_sink(&more);
        replay_add_checkpoints(&source, &sink, &how, &added);
        followed_fini(&followed);
        assert_int_equal(added.replay.class, REPLAY_SAME);
        assert_in_range(added.checkpoint_count, 6, 100);
        struct bytes with = buf_bytes(&more.file);
        struct replay_pc_report report = replay(with);
        assert_int_equal(report.class, REPLAY_SAME);
        assert_true(hash256_equal(&report.identity, &identity));
        for (unsigned percent = 1; percent < 100; percent += 9) {
            const struct replay_position at = {.kind = REPLAY_AT_PERCENT,
                                               .value = percent};
            struct replay_pc_report slow = look(file, &at), quick = look(with, &at);
            assert_int_equal(slow.place.icount, quick.place.icount);
            assert_int_equal(slow.eip, quick.eip);
            assert_memory_equal(slow.reg, quick.reg, sizeof slow.reg);
            assert_true(slow.place.icount < 9000 ||
                        quick.event_count < slow.event_count);
        }
        trace_memory_fini(&more);
        record_fini();
    }
}

static enum err live_open(void *self, struct replay_pc *session,
                          const struct replay_pc_setup *setup,
                          struct emu_host *ret_host, struct v86fs_server **ret_server)
{
    struct world *live = self;
    (void)setup;
    live->session = session;
    *ret_host = (struct emu_host){live, console_out, input_at, idle, NULL};
    *ret_server = NULL;
    return ERR_ok;
}

static void branch(const struct replay_position *at, bool standalone,
                   struct trace_memory *child, struct replay_branch_report *report)
{
    struct followed followed;
    struct bytes file = buf_bytes(&memory.file);
    const struct replay_pc_follow_options pc = follow(&followed);
    struct world live = {.note_next = NOTE_COUNT};
    const struct replay_branch_options how = {
        .at = *at,
        .standalone = standalone,
        .pc = &pc,
        .live = {.self = &live, .open = live_open}};
    struct trace_source source = trace_bytes_source(&file);
    trace_memory_init(child, 64 << 20);
    struct trace_sink sink = trace_memory_sink(child);
    buf_init(&live.out, 1 << 16);
    replay_branch(&source, &sink, &how, report);
    assert_string_equal(report->detail, "");
    assert_int_equal(report->status, EMU_PC_ENDED);
    buf_clear(&printed);
    buf_put(&printed, live.out.data, live.out.size);
    buf_fini(&live.out);
    followed_fini(&followed);
}

static void join(struct bytes child_file, struct trace_memory *joined)
{
    struct followed followed;
    struct bytes file = buf_bytes(&memory.file);
    struct trace_source parent = trace_bytes_source(&file);
    struct trace_source child = trace_bytes_source(&child_file);
    const struct replay_pc_follow_options pc = follow(&followed);
    const struct replay_join_options how = {.pc = &pc};
    struct hash256 named;
    char detail[160];
    assert_true(replay_branch_is_child(&child, &named));
    assert_true(hash256_equal(&named, &identity));
    trace_memory_init(joined, 64 << 20);
    struct trace_sink sink = trace_memory_sink(joined);
    enum err err = replay_branch_join(&parent, &child, &sink, &how, detail);
    assert_string_equal(detail, "");
    assert_int_equal(err, ERR_ok);
    followed_fini(&followed);
}

static void branches_replay(void **state)
{
    (void)state;
    record(true);
    for (unsigned percent = 3; percent < 100; percent += 13) {
        const struct replay_position at = {.kind = REPLAY_AT_PERCENT, .value = percent};
        struct replay_branch_report one, two;
        struct trace_memory child, alone, joined;
        branch(&at, false, &child, &one);
        join(buf_bytes(&child.file), &joined);
        struct replay_pc_report report = replay(buf_bytes(&joined.file));
        assert_string_equal(report.detail, "");
        assert_int_equal(report.class, REPLAY_SAME);
        branch(&at, true, &alone, &two);
        assert_int_equal(one.event_count, two.event_count);
        report = replay(buf_bytes(&alone.file));
        assert_int_equal(report.class, REPLAY_SAME);
        /* Joined with its parent it is the standalone one. */
        struct trace_source source[2];
        struct bytes file[2] = {buf_bytes(&joined.file), buf_bytes(&alone.file)};
        struct hash256 id[2];
        for (unsigned i = 0; i < 2; i++) {
            source[i] = trace_bytes_source(&file[i]);
            assert_int_equal(trace_identity(&source[i], &id[i]), ERR_ok);
        }
        assert_true(hash256_equal(&id[0], &id[1]));
        trace_memory_fini(&child);
        trace_memory_fini(&alone);
        trace_memory_fini(&joined);
    }
    record_fini();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_replies_and_notifications_replay),
        cmocka_unit_test(a_state_goes_on_the_same_way),
        cmocka_unit_test(parts_replay),
        cmocka_unit_test(checkpoints_spare_the_way),
        cmocka_unit_test(branches_replay),
    };
    struct buf file;
    buf_init(&file, 1 << 20);
    if (argc < 2 || os_file_read(argv[1], &file) || !file.size) {
        print_message("skipped: no 32-bit compiler\n");
        return 77;
    }
    arena_init(&images, 1 << 22);
    program = bytes_of(arena_copy(&images, file.data, file.size), file.size);
    buf_fini(&file);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&images);
    return failed;
}
