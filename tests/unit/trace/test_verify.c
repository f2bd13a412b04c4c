/* SPDX-License-Identifier: MIT
 *
 * One trace for each thing that verify has to find, with the defect it must report.
 */
#include "tests/test.h"
#include "tests/unit/trace/craft.h"
#include "tests/unit/trace/example.h"

#include <string.h>

enum { FILE_SIZE_MAX = 64 << 20 };

struct defects {
    unsigned count;
    char text[8][80];
    struct trace_fault fault[8];
};

static void on_defect(void *self, const struct trace_fault *fault, const char *text)
{
    struct defects *defects = self;
    if (defects->count < countof(defects->text)) {
        (void)snprintf(defects->text[defects->count], 80, "%s", text);
        defects->fault[defects->count] = *fault;
    }
    defects->count++;
}

/* The example's program has an empty jump table. */
static enum err no_jumps(void *self, const struct trace_pvm_program *program,
                         struct arena *arena, const uint64_t **ret_jump,
                         size_t *ret_count)
{
    (void)self;
    (void)program;
    (void)arena;
    *ret_jump = NULL;
    *ret_count = 0;
    return ERR_ok;
}

static struct trace_summary verify_with(const struct trace_source *source,
                                        struct trace_verify_options options,
                                        struct defects *defects)
{
    options.jump_table = no_jumps;
    struct trace_summary summary;
    struct arena arena;
    memset(defects, 0, sizeof *defects);
    arena_init(&arena, 64 << 20);
    assert_int_equal(
        trace_verify(&arena, source, &options, on_defect, defects, &summary), ERR_ok);
    assert_int_equal(summary.defect_count, defects->count);
    arena_fini(&arena);
    return summary;
}

static struct trace_summary verify(const struct trace_source *source,
                                   struct defects *defects)
{
    return verify_with(source, (struct trace_verify_options){0}, defects);
}

static void expect(const struct trace_source *source, const char *text)
{
    struct defects defects;
    (void)verify(source, &defects);
    if (!text && !defects.count)
        return;
    if (!text || !defects.count || strcmp(defects.text[0], text) != 0) {
        print_message("want: %s\n", text ? text : "nothing");
        for (unsigned i = 0; i < defects.count && i < 8; i++)
            print_message("got: %s\n", defects.text[i]);
        fail();
    }
}

/* ---- rules between events ---- */

/* The worked example with one thing changed. */
struct changes {
    struct trace_session_begin begin;
    struct trace_session_config config[2];
    size_t config_count;
    struct trace_pvm_program program;
    struct trace_pvm_start start;
    struct trace_pvm_segment segment;
    struct trace_pvm_ecall ecall;
    struct trace_pvm_exit frame_exit;
    uint64_t gas; /* clock of the segment */
    bool twice;   /* session.end */
    bool no_begin;
    bool two_programs; /* the second like the first */
};

static const uint64_t regs[] = {0, 0, 0, 0, 0, 0, 0, 42, 0};
static const uint64_t in[] = {42, 0};
static const uint8_t bits = 0xc0;

static struct changes unchanged(void)
{
    return (struct changes){
        .begin = {.spec = TRACE_SPEC},
        .config = {{.key = "gas", .value = "ledger"}},
        .config_count = 1,
        .program = {.hash =
                        trace_hash_of(hash256_of(example_code.data, example_code.size)),
                    .profile = 1,
                    .model = 1,
                    .mem_cycles = 25,
                    .code = example_code,
                    .blocks = example_blocks},
        .start = {.gas = 1000, .regs = {regs, 8}},
        .segment = {.n = 5,
                    .gas = 152,
                    .end = 2,
                    .end_pc = 10,
                    .nbits = 3,
                    .bits = {&bits, 1}},
        .ecall = {.pc = 10, .in = {in, 1}, .outcome = 1},
        .frame_exit = {.pc = 12, .value = 42, .gas = 848},
        .gas = 152,
    };
}

static void write_events(const struct changes *c, struct trace_memory *memory)
{
    struct arena arena;
    struct trace_writer *w;
    struct trace_writer_options options = {.guest = TRACE_GUEST_PVM};
    struct trace_clock clock = {0};
    struct trace_session_end end = {0};
    arena_init(&arena, 1 << 20);
    trace_memory_init(memory, FILE_SIZE_MAX);
    struct trace_sink sink = trace_memory_sink(memory);
    assert_int_equal(trace_writer_create(&arena, &sink, &options, &w), ERR_ok);
    if (!c->no_begin)
        trace_put_session_begin(w, &clock, &c->begin);
    for (size_t i = 0; i < c->config_count; i++)
        trace_put_session_config(w, &clock, &c->config[i]);
    trace_put_pvm_program(w, &clock, &c->program);
    if (c->two_programs) {
        struct trace_pvm_program second = c->program;
        second.prog++;
        trace_put_pvm_program(w, &clock, &second);
    }
    trace_put_pvm_start(w, &clock, &c->start);
    clock = (struct trace_clock){.icount = 8, .gas = c->gas};
    trace_put_pvm_segment(w, &clock, &c->segment);
    trace_put_pvm_ecall(w, &clock, &c->ecall);
    clock.icount = 9;
    trace_put_pvm_exit(w, &clock, &c->frame_exit);
    trace_put_session_end(w, &clock, &end);
    if (c->twice)
        trace_put_session_end(w, &clock, &end);
    assert_int_equal(trace_writer_finish(w, NULL), ERR_ok);
    arena_fini(&arena);
}

static void expect_events(const struct changes *c, const char *text)
{
    struct trace_memory memory;
    write_events(c, &memory);
    struct bytes bytes = buf_bytes(&memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    expect(&source, text);
    trace_memory_fini(&memory);
}

static void test_nothing(void **state)
{
    (void)state;
    struct changes c = unchanged();
    expect_events(&c, NULL);
}

static void test_session_rules(void **state)
{
    (void)state;
    struct changes c = unchanged();
    c.no_begin = true;
    expect_events(&c, "first event is not session.begin");
    c = unchanged();
    c.twice = true;
    expect_events(&c, "events behind session.end");
    c = unchanged();
    c.config_count = 2;
    c.config[1] = (struct trace_session_config){"hash.every", "5"};
    expect_events(&c, NULL);
    c.config[1].key = "gas";
    expect_events(&c, "options are not sorted, or there twice");
    c.config[1].key = "digest.every";
    expect_events(&c, "options are not sorted, or there twice");
}

static void test_programs(void **state)
{
    (void)state;
    static const uint8_t no_table[] = {0, 1};
    struct changes c = unchanged();
    c.program.prog = 1;
    expect_events(&c, "programs are not numbered 0, 1, ...");
    c = unchanged();
    c.program.hash.hash.byte[5] ^= 1;
    expect_events(&c, "program hash is not that of its code");
    c = unchanged();
    c.program.hash.present = false;
    expect_events(&c, "program hash is not that of its code");
    c.program.kind = 1; /* an image: the hash is a cap's */
    expect_events(&c, NULL);
    c = unchanged();
    c.program.blocks = bytes_of(no_table, sizeof no_table);
    expect_events(&c, "block table is malformed");
    c = unchanged();
    c.segment.prog = 1;
    expect_events(&c, "segment of a program that is not there");
}

static void test_ledger(void **state)
{
    (void)state;
    const struct trace_uuu charges[] = {{4, 0, 10}, {7, 0, 99}, {9, 0, 1}};
    struct changes c = unchanged();
    c.segment.nbits = 2;
    c.segment.bits.size = 1;
    expect_events(&c, "ledger inconsistent at bit 2: an outcome is missing");
    c = unchanged();
    c.gas = 153;
    expect_events(&c, "charges do not add up to the gas clock");
    c.gas = 151;
    expect_events(&c, "charges do not add up to the gas clock");
    c.config[0].value = "summary"; /* every mode has sums */
    expect_events(&c, "charges do not add up to the gas clock");
    c.config[0].value = "none";
    expect_events(&c, NULL);
    /* Charges of the call count, too; a credit does not. */
    c = unchanged();
    c.ecall.charges = (struct trace_list_uuu){charges, 2};
    expect_events(&c, "charges do not add up to the gas clock");
    c.gas = 162;
    expect_events(&c, NULL);
    c.ecall.charges.count = 3;
    expect_events(&c, "a charge has an unknown kind");
}

/* A segment of a program behind the limit is not expanded, but counted; so what is
 * wrong in it stays unseen. */
static void test_program_limit(void **state)
{
    (void)state;
    const struct trace_verify_options one = {.program_count_max = 1};
    struct changes c = unchanged();
    struct trace_memory memory;
    struct defects defects;
    c.two_programs = true;
    c.segment.prog = 1;
    c.segment.nbits = 2; /* an outcome is missing */
    write_events(&c, &memory);
    struct bytes bytes = buf_bytes(&memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    struct trace_summary summary = verify_with(&source, one, &defects);
    assert_int_equal(defects.count, 0);
    assert_int_equal(summary.unexpanded_count, 1);
    summary = verify(&source, &defects);
    assert_int_equal(defects.count, 1);
    assert_int_equal(summary.unexpanded_count, 0);
    trace_memory_fini(&memory);
    /* The program at the limit is still looked into. */
    c.segment.prog = 0;
    write_events(&c, &memory);
    bytes = buf_bytes(&memory.file);
    summary = verify_with(&source, one, &defects);
    assert_int_equal(defects.count, 1);
    assert_int_equal(summary.unexpanded_count, 0);
    trace_memory_fini(&memory);
}

static void test_lists(void **state)
{
    (void)state;
    static const struct trace_uu sorted[] = {{7, 1}, {8, 1}},
                                 unsorted[] = {{8, 1}, {7, 1}},
                                 twice[] = {{7, 1}, {7, 2}};
    static const struct trace_uu ranges[] = {{0x1000, 16}, {0x1010, 16}},
                                 overlap[] = {{0x1000, 17}, {0x1010, 16}};
    static const struct trace_uuh slots[] = {{1, 2, {{{0}}, false}},
                                             {1, 3, {{{0}}, false}}},
                                  bad_slots[] = {{1, 3, {{{0}}, false}},
                                                 {1, 3, {{{0}}, false}}};
    struct changes c = unchanged();
    c.ecall.out = (struct trace_list_uu){sorted, 2};
    c.ecall.reads = (struct trace_list_uu){ranges, 2};
    c.ecall.writes = (struct trace_list_uu){ranges, 2};
    c.ecall.slots = (struct trace_list_uuh){slots, 2};
    expect_events(&c, NULL);
    c.ecall.out.item = unsorted;
    expect_events(&c, "registers are out of order");
    c.ecall.out.item = twice;
    expect_events(&c, "registers are out of order");
    c.ecall.out.item = sorted;
    c.ecall.reads.item = overlap;
    expect_events(&c, "memory ranges are out of order");
    c.ecall.reads.item = ranges;
    c.ecall.writes.item = overlap;
    expect_events(&c, "memory ranges are out of order");
    c.ecall.writes.item = ranges;
    c.ecall.slots.item = bad_slots;
    expect_events(&c, "slots are out of order");
    c = unchanged();
    c.ecall.in.count = 2;
    expect_events(&c, "a register list ends in zeros");
    c = unchanged();
    c.start.regs.count = 9;
    expect_events(&c, "a register list ends in zeros");
}

/* ---- blobs ---- */

static void put_blob(struct packer *packer, uint8_t content, size_t size)
{
    static uint8_t data[65536];
    memset(data, content, sizeof data);
    trace_pack_array(packer, 4);
    for (unsigned i = 0; i < 3; i++)
        trace_pack_uint(packer, i ? 0 : 1);
    trace_pack_bin(packer, bytes_of(data, size));
}

/* console.out of `size` bytes in the blobs `number`. */
static void put_use(struct packer *packer, uint64_t size, const uint64_t *number,
                    size_t count)
{
    trace_pack_array(packer, 5);
    trace_pack_uint(packer, TRACE_ID_console_out);
    for (unsigned i = 0; i < 3; i++)
        trace_pack_uint(packer, 0);
    trace_pack_array(packer, 1 + count);
    trace_pack_uint(packer, size);
    for (size_t i = 0; i < count; i++)
        trace_pack_uint(packer, number[i]);
}

static void expect_payload(struct packer *packer, uint8_t *start, uint32_t record_count,
                           uint32_t blobs, const char *text)
{
    struct craft craft;
    assert_false(packer->full);
    craft_begin(&craft, (struct bytes){0}, 0);
    craft_events(&craft, bytes_of(start, (size_t)(packer->at - start)), record_count,
                 record_count - blobs, 0, 0, blobs);
    craft_end(&craft);
    expect(&craft.source, text);
    craft_fini(&craft);
    packer->at = start;
}

static void test_blobs(void **state)
{
    (void)state;
    static uint8_t room[1 << 18];
    static const uint64_t n0[] = {0}, n01[] = {0, 1}, n10[] = {1, 0};
    struct packer p = {room, room + sizeof room, false};
    static const uint8_t begin[] = {0x94, 2, 0, 0, 1};
    uint8_t *start = p.at;
#define BEGIN() (memcpy(p.at, begin, sizeof begin), p.at += sizeof begin)
    BEGIN();
    put_blob(&p, 1, 600);
    put_use(&p, 600, n0, 1);
    put_use(&p, 600, n0, 1);
    expect_payload(&p, start, 4, 1, NULL);
    BEGIN();
    put_blob(&p, 1, 600);
    put_use(&p, 601, n0, 1);
    expect_payload(&p, start, 3, 1, "blob has the wrong size for its place");
    BEGIN();
    put_blob(&p, 1, 65536);
    put_blob(&p, 2, 10);
    put_use(&p, 65546, n01, 2);
    expect_payload(&p, start, 4, 2, NULL);
    BEGIN();
    put_blob(&p, 1, 65535);
    put_blob(&p, 2, 11);
    put_use(&p, 65546, n01, 2);
    expect_payload(&p, start, 4, 2, "blob has the wrong size for its place");
    BEGIN();
    put_blob(&p, 1, 10);
    put_blob(&p, 2, 65536);
    put_use(&p, 65546, n10, 2);
    expect_payload(&p, start, 4, 2, "blobs are used out of order");
    BEGIN();
    put_blob(&p, 1, 600);
    put_blob(&p, 2, 600);
    put_use(&p, 600, n0, 1);
    expect_payload(&p, start, 4, 2, "blob is not used by the event behind it");
    BEGIN();
    put_blob(&p, 1, 600);
    put_use(&p, 600, n0, 1);
    put_blob(&p, 1, 600);
    put_use(&p, 600, n01 + 1, 1);
    expect_payload(&p, start, 5, 2, "blob is stored twice");
}

/* Blobs behind the limit are not compared, but counted; so the third one may repeat the
 * first. */
static void test_blob_limit(void **state)
{
    (void)state;
    static uint8_t room[1 << 16];
    static const uint64_t n[] = {0, 1, 2};
    static const uint8_t begin[] = {0x94, 2, 0, 0, 1};
    struct packer p = {room, room + sizeof room, false};
    BEGIN();
    for (unsigned k = 0; k < 3; k++) {
        put_blob(&p, (uint8_t)(k == 2 ? 1 : k + 1), 600);
        put_use(&p, 600, &n[k], 1);
    }
    struct craft craft;
    struct defects defects;
    craft_begin(&craft, (struct bytes){0}, 0);
    craft_events(&craft, bytes_of(room, (size_t)(p.at - room)), 7, 4, 0, 0, 3);
    craft_end(&craft);
    struct trace_summary summary = verify_with(
        &craft.source, (struct trace_verify_options){.blob_count_max = 2}, &defects);
    assert_int_equal(defects.count, 0);
    assert_int_equal(summary.uncompared_count, 1);
    summary = verify(&craft.source, &defects);
    assert_int_equal(defects.count, 1);
    assert_int_equal(summary.uncompared_count, 0);
    craft_fini(&craft);
}

/* ---- the container ---- */

#define RECORDS(...)                                                                   \
    bytes_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define SESSION_BEGIN 0x94, 2, 0, 0, 1

static void test_cut_rule(void **state)
{
    (void)state;
    struct craft craft;
    /* dt = 2^24 ends the chunk */
    craft_begin(&craft, (struct bytes){0}, 0);
    craft_events(&craft, RECORDS(SESSION_BEGIN, 0x93, 7, 0xce, 1, 0, 0, 0, 0), 2, 2,
                 1 << 24, 0, 0);
    craft_events(&craft, RECORDS(0x93, 7, 0, 0), 1, 1, 0, 0, 0);
    craft_end(&craft);
    expect(&craft.source, NULL);
    craft_fini(&craft);
    craft_begin(&craft, (struct bytes){0}, 0);
    craft_events(&craft, RECORDS(SESSION_BEGIN), 1, 1, 0, 0, 0);
    craft_events(&craft, RECORDS(0x93, 7, 0, 0), 1, 1, 0, 0, 0);
    craft_end(&craft);
    expect(&craft.source, "chunk was cut too early");
    craft_fini(&craft);
    craft_begin(&craft, (struct bytes){0}, 0);
    craft_events(&craft,
                 RECORDS(SESSION_BEGIN, 0x93, 7, 0xce, 1, 0, 0, 0, 0, 0x93, 7, 0, 0), 3,
                 3, 1 << 24, 0, 0);
    craft_end(&craft);
    expect(&craft.source, "chunk was cut too late");
    craft_fini(&craft);
}

static void test_index(void **state)
{
    (void)state;
    for (unsigned change = 0; change < 4; change++) {
        struct craft craft;
        craft_begin(&craft, (struct bytes){0}, 0);
        craft_events(&craft, RECORDS(SESSION_BEGIN), 1, 1, 0, 0, 0);
        if (change == 1)
            craft.tail.index.data[1] = TRACE_CHUNK_VOLATILE; /* kind of the first row */
        if (change == 2) {                                   /* a row too few */
            craft.tail.index.size = 9;
            craft.tail.index_count = 1;
        }
        if (change == 3)
            craft.position.seq++; /* the index chunk's own position */
        craft_end(&craft);
        static const char *const want[] = {
            NULL, "index does not match the chunks", "index does not match the chunks",
            "chunk has another position than the events before it"};
        expect(&craft.source, want[change]);
        craft_fini(&craft);
    }
}

static void test_unfinished(void **state)
{
    (void)state;
    struct craft craft;
    struct defects defects;
    craft_begin(&craft, (struct bytes){0}, 0);
    craft_events(&craft, RECORDS(SESSION_BEGIN), 1, 1, 0, 0, 0);
    uint64_t end = craft.tail.end;
    craft_end(&craft);
    craft.bytes.size = (size_t)end;
    struct trace_summary summary = verify(&craft.source, &defects);
    assert_int_equal(summary.state, TRACE_READER_OPEN);
    assert_int_equal(defects.count, 1);
    assert_string_equal(defects.text[0], "trace is not finished: no index and trailer");
    assert_int_equal(defects.fault[0].chunk_offset, end);
    craft_fini(&craft);
}

/* A damaged chunk in the middle is one defect, and what follows it is still checked. */
static void test_goes_on_behind_damage(void **state)
{
    (void)state;
    struct craft craft;
    struct defects defects;
    craft_begin(&craft, (struct bytes){0}, 0);
    uint64_t at[3];
    for (unsigned i = 0; i < 3; i++) {
        at[i] = craft.tail.end;
        craft_events(&craft, RECORDS(0x93, 7, 0xce, 1, 0, 0, 0, 0), 1, 1, 1 << 24, 0,
                     0);
    }
    craft_end(&craft);
    uint8_t *file = craft.memory.file.data;
    file[at[0] + 104] ^= 1;
    file[at[2] + 30] ^= 1;
    (void)verify(&craft.source, &defects);
    assert_int_equal(defects.count, 2);
    assert_int_equal(defects.fault[0].err, ERR_trace_crc);
    assert_int_equal(defects.fault[0].chunk_offset, at[0]);
    assert_int_equal(defects.fault[1].err, ERR_trace_crc);
    assert_int_equal(defects.fault[1].chunk_offset, at[2]);
    craft_fini(&craft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_session_rules),
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_ledger),
        cmocka_unit_test(test_program_limit),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_blobs),
        cmocka_unit_test(test_blob_limit),
        cmocka_unit_test(test_cut_rule),
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_unfinished),
        cmocka_unit_test(test_goes_on_behind_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
