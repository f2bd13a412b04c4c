/* SPDX-License-Identifier: MIT
 *
 * The gas ledger's decoder on hand-made tables: every way a segment can end, every
 * split, and every requirement broken (trace-replay.md 5).
 */
#include "tests/test.h"
#include "trace/ledger.h"
#include "trace/trace.h"

#include <string.h>

/* A row of a hand-made block table. */
struct row {
    uint32_t pc;
    uint64_t cost;
    uint32_t insn_count;
    uint8_t kind;
    uint32_t next;
    int64_t target;
};

static void put_leb128(struct buf *buf, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_byte(buf, (uint8_t)(value | 0x80));
    buf_byte(buf, (uint8_t)value);
}

static void put_rows(struct buf *table, const struct row *row, size_t count)
{
    uint32_t before = 0;
    for (size_t i = 0; i < count; i++, row++) {
        put_leb128(table, row->pc - before);
        put_leb128(table, row->cost);
        put_leb128(table, row->insn_count);
        buf_byte(table, row->kind);
        put_leb128(table, row->next - row->pc);
        int64_t distance = row->target - (int64_t)row->pc;
        if ((row->kind & 7) == 1 || (row->kind & 7) == 2)
            put_leb128(table, (uint64_t)distance << 1 ^ (uint64_t)(distance >> 63));
        before = row->pc;
    }
}

/* What an expansion yields. */
struct list {
    struct trace_charge charge[64];
    uint64_t count;
    uint64_t sum;
    uint64_t hash;
};

static bool on_charge(void *self, const struct trace_charge *charge)
{
    struct list *list = self;
    if (list->count < countof(list->charge))
        list->charge[list->count] = *charge;
    list->count++;
    list->sum += charge->cost;
    list->hash =
        trace_ledger_hash(list->hash, charge->kind, charge->where, charge->cost);
    return true;
}

struct world {
    struct arena arena;
    struct trace_pvm_ledger ledger;
    struct list list;
    struct trace_ledger_fault fault;
};

static void world_init(struct world *world, const struct row *row, size_t count,
                       const uint64_t *jump, size_t jump_count)
{
    struct buf table;
    memset(world, 0, sizeof *world);
    arena_init(&world->arena, 1 << 20);
    buf_init(&table, 1 << 20);
    put_rows(&table, row, count);
    assert_int_equal(
        trace_blocks_parse(&world->arena, buf_bytes(&table), &world->ledger.blocks),
        ERR_ok);
    assert_int_equal(world->ledger.blocks.count, count);
    for (size_t i = 0; i < count; i++) {
        const struct trace_block *block = &world->ledger.blocks.block[i];
        assert_int_equal(block->pc, row[i].pc);
        assert_int_equal(block->cost, row[i].cost);
        assert_int_equal(block->insn_count, row[i].insn_count);
        assert_int_equal(block->kind, row[i].kind);
        assert_int_equal(block->next, row[i].next);
        if ((row[i].kind & 7) == 1 || (row[i].kind & 7) == 2)
            assert_true(block->target == row[i].target);
    }
    world->ledger.jump = jump;
    world->ledger.jump_count = jump_count;
    buf_fini(&table);
}

static void world_fini(struct world *world)
{
    arena_fini(&world->arena);
}

/* Expand with and without a listener: both agree. */
static enum err expand(struct world *world, const struct trace_pvm_segment *segment)
{
    struct trace_ledger_fault quiet;
    memset(&world->list, 0, sizeof world->list);
    world->fault = (struct trace_ledger_fault){0};
    enum err err = trace_ledger_expand(&world->ledger, segment, on_charge, &world->list,
                                       &world->fault);
    assert_int_equal(trace_ledger_expand(&world->ledger, segment, NULL, NULL, &quiet),
                     err);
    if (err)
        assert_non_null(world->fault.text);
    return err;
}

static void expect_ok(struct world *world, const struct trace_pvm_segment *segment)
{
    enum err err = expand(world, segment);
    if (err)
        print_message("%s at bit %llu\n", world->fault.text,
                      (unsigned long long)world->fault.bit);
    assert_int_equal(err, ERR_ok);
    assert_int_equal(world->list.sum, segment->gas);
}

static void expect_fault(struct world *world, const struct trace_pvm_segment *segment,
                         const char *text)
{
    assert_int_equal(expand(world, segment), ERR_trace_ledger);
    assert_string_equal(world->fault.text, text);
}

/* ---- the worked example [16] ---- */

static const struct row example[] = {{0, 1, 2, 0, 4, 0},
                                     {4, 18, 2, 2, 10, 4},
                                     {10, 97, 1, 4, 12, 0},
                                     {12, 1, 1, 5, 12, 0}};

static struct trace_pvm_segment example_segment(const uint8_t *bits)
{
    return (struct trace_pvm_segment){.n = 5,
                                      .gas = 152,
                                      .end = TRACE_SEGMENT_ECALL,
                                      .end_pc = 10,
                                      .nbits = 3,
                                      .bits = {bits, 1}};
}

static void test_example(void **state)
{
    (void)state;
    static const uint8_t blocks[] = {0, 1,  2, 0, 4, 4, 18, 2, 2, 6, 0,
                                     6, 97, 1, 4, 2, 2, 1,  1, 5, 0};
    struct world world;
    struct buf table;
    buf_init(&table, 100);
    put_rows(&table, example, countof(example));
    assert_int_equal(table.size, sizeof blocks);
    assert_memory_equal(table.data, blocks, sizeof blocks);
    buf_fini(&table);
    world_init(&world, example, countof(example), NULL, 0);
    const uint8_t bits = 0xc0;
    struct trace_pvm_segment segment = example_segment(&bits);
    expect_ok(&world, &segment);
    static const uint64_t where[] = {0, 4, 4, 4, 10};
    assert_int_equal(world.list.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(world.list.charge[i].where, where[i]);
        assert_int_equal(world.list.charge[i].n, i + 1);
        assert_int_equal(world.list.charge[i].insn_count, 2 * i);
        assert_int_equal(world.list.charge[i].kind, 0);
    }
    /* "The same run under --gas=summary: n 5, gas 152, hash 60006bad2f6042f9." */
    assert_true(world.list.hash == 0x60006bad2f6042f9);
    world_fini(&world);
}

/* ---- every requirement ---- */

static void test_requirements(void **state)
{
    (void)state;
    struct world world;
    uint8_t bits = 0xc0;
    static const uint8_t target = 0;
    const struct trace_uuuuu page = {1, 0, 1, 5, 9};
    world_init(&world, example, countof(example), NULL, 0);
    const struct trace_pvm_segment good = example_segment(&bits);
    struct trace_pvm_segment s = good;
    s.gas = 151;
    expect_fault(&world, &s, "charges exceed the segment's gas");
    s.gas = 153;
    expect_fault(&world, &s, "charges do not add up to the segment's gas");
    s = good;
    s.n = 6;
    s.gas = 153;
    expect_fault(&world, &s, "execution goes on behind a block that stops");
    s = good;
    s.n = 4;
    expect_fault(&world, &s, "end_pc is in another block");
    s = good;
    s.end_pc = 9;
    expect_fault(&world, &s, "end_pc is in another block");
    s = good;
    s.nbits = 2;
    expect_fault(&world, &s, "an outcome is missing");
    s.nbits = 4;
    expect_fault(&world, &s, "outcomes are left over");
    s.nbits = 9;
    expect_fault(&world, &s, "bits has the wrong size");
    s.nbits = 65537;
    expect_fault(&world, &s, "the segment should have been split");
    s = good;
    bits = 0xc1;
    expect_fault(&world, &s, "unused bits are not zero");
    bits = 0xc0;
    s = good;
    s.targets = bytes_of(&target, 1);
    expect_fault(&world, &s, "jump targets are left over");
    s = good;
    s.extra.item = &page;
    s.extra.count = 1;
    s.gas += 9;
    expect_ok(&world, &s);
    struct trace_uuuuu bad = page;
    s.extra.item = &bad;
    bad.b = 4; /* block 0 has 4 bytes */
    expect_fault(&world, &s, "a page charge is outside its block");
    bad = page;
    bad.c = 0;
    expect_fault(&world, &s, "a page charge is outside its block");
    bad = page;
    bad.a = 6; /* there is no sixth block */
    expect_fault(&world, &s, "page charges are left over");
    s = good;
    s.start = 2;
    expect_fault(&world, &s, "start or end has no meaning");
    s = good;
    s.end = 9;
    expect_fault(&world, &s, "start or end has no meaning");
    world_fini(&world);
    /* No table at all. */
    world_init(&world, NULL, 0, NULL, 0);
    expect_fault(&world, &good, "pc is in no block");
    world_fini(&world);
}

/* ---- every end ---- */

/* 0: falls to 3; 3: branch to 0, else 6; 6: indirect; 9: jump to nowhere valid;
 * 12: branch to nowhere valid, else 15; 15: trap; 18: jump to itself. */
static const struct row ends[] = {{0, 10, 1, 0, 3, 0},     {3, 20, 1, 2, 6, 0},
                                  {6, 30, 1, 3, 9, 0},     {9, 40, 1, 9, 12, -5},
                                  {12, 50, 2, 10, 15, 16}, {15, 60, 1, 5, 18, 0},
                                  {18, 70, 1, 1, 20, 18}};
static const uint64_t jump[] = {0, 9, 12, 15, 18, 4};

static void test_ends(void **state)
{
    (void)state;
    struct world world;
    uint8_t bits = 0, target = 0;
    world_init(&world, ends, countof(ends), jump, countof(jump));
    struct trace_pvm_segment s = {.n = 2, .gas = 30, .end_pc = 3};
    /* inside a block: trap, page fault, panic, halt, ecall, split */
    for (unsigned end = 1; end <= 7; end++) {
        s.end = end;
        if (end != TRACE_SEGMENT_OUT_OF_GAS)
            expect_ok(&world, &s);
    }
    /* at a block entry: split, out of gas, stopped; the branch is in `bits` */
    static const unsigned at_entry[] = {0, 6, 8};
    for (size_t i = 0; i < countof(at_entry); i++) {
        s = (struct trace_pvm_segment){.n = 2,
                                       .gas = 30,
                                       .end = at_entry[i],
                                       .end_pc = 6,
                                       .nbits = 1,
                                       .bits = {&bits, 1}};
        expect_ok(&world, &s);
        s.end_pc = 0;
        expect_fault(&world, &s, "end_pc is another block");
        bits = 0x80; /* taken: back to 0 */
        expect_ok(&world, &s);
        bits = 0;
        /* not even the first block was paid */
        s = (struct trace_pvm_segment){.end = at_entry[i], .pc = 3, .end_pc = 3};
        if (at_entry[i])
            expect_ok(&world, &s);
        else
            expect_fault(&world, &s, "a segment without blocks");
        s.end_pc = 6;
        expect_fault(&world, &s, "a segment without blocks");
        s.end_pc = 3;
        s.gas = 1;
        s.end = 6;
        expect_fault(&world, &s, "charges do not add up to the segment's gas");
    }
    /* a panic at an invalid branch: rule 1 */
    s = (struct trace_pvm_segment){.pc = 12,
                                   .n = 1,
                                   .gas = 50,
                                   .end = TRACE_SEGMENT_PANIC,
                                   .end_pc = 14,
                                   .nbits = 1,
                                   .bits = {&bits, 1}};
    bits = 0x80;
    expect_ok(&world, &s);
    s.end = TRACE_SEGMENT_TRAP;
    expect_fault(&world, &s, "outcomes are left over");
    bits = 0;
    s.end = TRACE_SEGMENT_PANIC;
    expect_fault(&world, &s, "outcomes are left over");
    /* an indirect jump that panics records no target: rule 2 */
    s = (struct trace_pvm_segment){
        .pc = 6, .n = 1, .gas = 30, .end = TRACE_SEGMENT_PANIC, .end_pc = 8};
    expect_ok(&world, &s);
    /* and one that is dispatched does */
    s = (struct trace_pvm_segment){.pc = 6,
                                   .n = 2,
                                   .gas = 90,
                                   .end = TRACE_SEGMENT_TRAP,
                                   .end_pc = 15,
                                   .targets = {&target, 1}};
    target = 3;
    expect_ok(&world, &s);
    target = 5; /* jump[5] = 4 is inside a block */
    expect_fault(&world, &s, "a block is entered in its middle");
    target = 6;
    expect_fault(&world, &s, "an indirect jump is outside the jump table");
    target = 0x80; /* LEB128 that does not end */
    expect_fault(&world, &s, "an indirect jump's target is missing");
    s.targets.size = 0;
    expect_fault(&world, &s, "an indirect jump's target is missing");
    /* execution cannot go on behind what panics */
    s = (struct trace_pvm_segment){
        .pc = 9, .n = 2, .gas = 90, .end = TRACE_SEGMENT_TRAP, .end_pc = 12};
    expect_fault(&world, &s, "execution goes on behind an invalid jump");
    bits = 0x80;
    s = (struct trace_pvm_segment){.pc = 12,
                                   .n = 2,
                                   .gas = 110,
                                   .end = TRACE_SEGMENT_TRAP,
                                   .end_pc = 15,
                                   .nbits = 1,
                                   .bits = {&bits, 1}};
    expect_fault(&world, &s, "execution goes on behind an invalid branch");
    world_fini(&world);
}

/* Rule 5: going on inside a block charges nothing; starting inside one charges it. */
static void test_starts(void **state)
{
    (void)state;
    struct world world;
    uint8_t bits = 0;
    const struct trace_uuuuu pages[] = {
        {0, 1, 1, 7, 64}, {0, 2, 2, 8, 256}, {1, 0, 2, 9, 256}};
    world_init(&world, ends, countof(ends), jump, countof(jump));
    struct trace_pvm_segment s = {.pc = 4, .start = 1, .end = 4, .end_pc = 5};
    expect_ok(&world, &s);
    assert_int_equal(world.list.count, 0);
    s = (struct trace_pvm_segment){.pc = 4,
                                   .start = 1,
                                   .n = 1,
                                   .gas = 30 + 64 + 256 + 256,
                                   .end = 4,
                                   .end_pc = 7,
                                   .nbits = 1,
                                   .bits = {&bits, 1},
                                   .extra = {pages, 3}};
    expect_ok(&world, &s);
    /* two pages in the block that goes on, the new block, one page in it */
    assert_int_equal(world.list.count, 4);
    assert_int_equal(world.list.charge[0].pc, 4);
    assert_int_equal(world.list.charge[1].kind, 2);
    assert_int_equal(world.list.charge[1].n, 0);
    assert_int_equal(world.list.charge[2].where, 6);
    assert_int_equal(world.list.charge[3].where, 9);
    assert_int_equal(world.list.charge[3].n, 1);
    s = (struct trace_pvm_segment){.pc = 5, .n = 1, .gas = 20, .end = 4, .end_pc = 5};
    expect_ok(&world, &s);
    assert_int_equal(world.list.charge[0].where, 3);
    world_fini(&world);
}

/* ---- splits [5.3 rule 6, 15] ---- */

static void test_split_sizes(void **state)
{
    (void)state;
    struct world world;
    static uint8_t bits[8193], targets[3 * 4097];
    static struct trace_uuuuu pages[2049];
    /* 0: branch to itself, else 3; 3: indirect to 3 */
    static const struct row rows[] = {{0, 1, 1, 2, 3, 0}, {3, 1, 1, 3, 6, 0}};
    static const uint64_t to_3[] = {3};
    world_init(&world, rows, countof(rows), to_3, 1);
    memset(bits, 0xff, sizeof bits);
    for (unsigned nbits = 65535; nbits <= 65537; nbits++) {
        uint64_t rest = nbits % 8;
        struct trace_pvm_segment s = {
            .n = nbits, .gas = nbits, .nbits = nbits, .bits = {bits, (nbits + 7) / 8}};
        bits[s.bits.size - 1] = rest ? (uint8_t)(0xff00 >> rest) : 0xff;
        if (nbits <= 65536)
            expect_ok(&world, &s);
        else
            expect_fault(&world, &s, "the segment should have been split");
        bits[s.bits.size - 1] = 0xff;
    }
    for (unsigned count = 4095; count <= 4097; count++) {
        struct trace_pvm_segment s = {.pc = 3,
                                      .n = count,
                                      .gas = count,
                                      .end_pc = 3,
                                      .targets = {targets, count}};
        if (count <= 4096)
            expect_ok(&world, &s);
        else
            expect_fault(&world, &s, "an indirect jump is outside the jump table");
    }
    for (size_t i = 0; i < countof(pages); i++)
        pages[i] = (struct trace_uuuuu){i == 0, 1, 2, i, 256};
    for (unsigned count = 2047; count <= 2049; count++) {
        struct trace_pvm_segment s = {.pc = 3,
                                      .n = 1,
                                      .gas = 1 + 256 * count,
                                      .end = TRACE_SEGMENT_SPLIT_INSIDE,
                                      .end_pc = 4,
                                      .extra = {pages, count}};
        if (count <= 2048)
            expect_ok(&world, &s);
        else
            expect_fault(&world, &s, "the segment should have been split");
    }
    world_fini(&world);
}

/* The 65,536th outcome belongs to a branch that panics. */
static void test_last_outcome_panics(void **state)
{
    (void)state;
    struct world world;
    static uint8_t bits[8192];
    static const struct row rows[] = {{0, 1, 1, 2, 3, 0}, {3, 1, 1, 10, 6, 99}};
    world_init(&world, rows, countof(rows), NULL, 0);
    memset(bits, 0xff, sizeof bits);
    bits[8191] = 0xfd; /* 65,534 laps, then not taken, then taken */
    struct trace_pvm_segment s = {.n = 65536,
                                  .gas = 65536,
                                  .end = TRACE_SEGMENT_PANIC,
                                  .end_pc = 3,
                                  .nbits = 65536,
                                  .bits = {bits, sizeof bits}};
    expect_ok(&world, &s);
    assert_int_equal(world.fault.bit, 0);
    world_fini(&world);
}

/* A loop without outcomes is as long as it likes; nobody walks it lap by lap. */
static void test_long_loop(void **state)
{
    (void)state;
    struct world world;
    const struct trace_uuuuu pages[] = {{5, 0, 1, 1, 1}, {1000000, 0, 1, 2, 1}};
    static const struct row rows[] = {
        {0, 1, 1, 0, 2, 0}, {2, 2, 1, 0, 4, 0}, {4, 3, 1, 1, 6, 2}, {6, 1, 1, 5, 6, 0}};
    world_init(&world, rows, countof(rows), NULL, 0);
    const uint64_t laps = (uint64_t)1 << 60;
    struct trace_pvm_segment s = {
        .n = 1 + 2 * laps, .gas = 1 + 5 * laps, .end = 6, .end_pc = 2};
    struct trace_ledger_fault fault;
    assert_int_equal(trace_ledger_expand(&world.ledger, &s, NULL, NULL, &fault),
                     ERR_ok);
    s.gas--;
    assert_int_equal(trace_ledger_expand(&world.ledger, &s, NULL, NULL, &fault),
                     ERR_trace_ledger);
    s.gas++;
    s.end = 4;
    s.end_pc = 4; /* the last block charged is the second of a lap */
    assert_int_equal(trace_ledger_expand(&world.ledger, &s, NULL, NULL, &fault),
                     ERR_ok);
    s.end_pc = 2;
    assert_int_equal(trace_ledger_expand(&world.ledger, &s, NULL, NULL, &fault),
                     ERR_trace_ledger);
    s.end_pc = 4;
    s.extra = (struct trace_list_uuuuu){pages, 2};
    s.gas += 2;
    assert_int_equal(trace_ledger_expand(&world.ledger, &s, NULL, NULL, &fault),
                     ERR_ok);
    /* Small ones, where every lap is walked, say the same. */
    for (uint64_t n = 2; n < 60; n++) {
        for (unsigned end = 0; end < 9; end++) {
            uint64_t gas = 1;
            for (uint64_t k = 1; k < n; k++)
                gas += k % 2 ? 2 : 3;
            bool entry = end == 0 || end == 6 || end == 8;
            s = (struct trace_pvm_segment){.n = n,
                                           .gas = gas,
                                           .end = end,
                                           .end_pc = (n % 2 != 0) == entry ? 2 : 4};
            expect_ok(&world, &s);
            s.gas++;
            assert_int_equal(expand(&world, &s), ERR_trace_ledger);
        }
    }
    world_fini(&world);
}

/* ---- block tables ---- */

static void test_bad_tables(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[12];
        size_t size;
    } bad[] = {
        {{0}, 1},
        {{0, 1, 2, 0}, 4},    /* no next */
        {{0, 1, 2, 6, 4}, 5}, /* unknown kind */
        {{0, 1, 2, 8, 4}, 5}, /* +8 without a target */
        {{0, 1, 2, 13, 4}, 5},
        {{0, 1, 2, 1, 4}, 5},                 /* no target */
        {{0, 1, 2, 0, 4, 0, 1, 2, 0, 4}, 10}, /* rows do not ascend */
        {{0x80, 0, 1, 2, 0, 4}, 6},           /* not the shortest form */
        {{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 1}, 12},
        {{0xff, 0xff, 0xff, 0xff, 0x1f, 1, 2, 0, 4}, 9}, /* pc above 32 bits */
    };
    for (size_t i = 0; i < countof(bad); i++) {
        struct arena arena;
        struct trace_blocks blocks = {0};
        arena_init(&arena, 1 << 16);
        assert_int_equal(
            trace_blocks_parse(&arena, bytes_of(bad[i].bytes, bad[i].size), &blocks),
            ERR_trace_ledger);
        assert_null(blocks.block);
        arena_fini(&arena);
    }
}

static bool stop_at_two(void *self, const struct trace_charge *charge)
{
    (void)charge;
    return ++*(unsigned *)self < 2;
}

static void test_interrupted(void **state)
{
    (void)state;
    struct world world;
    const uint8_t bits = 0xc0;
    unsigned count = 0;
    world_init(&world, example, countof(example), NULL, 0);
    struct trace_pvm_segment s = example_segment(&bits);
    assert_int_equal(trace_ledger_expand(&world.ledger, &s, stop_at_two, &count, NULL),
                     ERR_interrupted);
    assert_int_equal(count, 2);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),     cmocka_unit_test(test_requirements),
        cmocka_unit_test(test_ends),        cmocka_unit_test(test_starts),
        cmocka_unit_test(test_split_sizes), cmocka_unit_test(test_last_outcome_panics),
        cmocka_unit_test(test_long_loop),   cmocka_unit_test(test_bad_tables),
        cmocka_unit_test(test_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
