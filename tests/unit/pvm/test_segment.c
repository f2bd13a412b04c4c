/* SPDX-License-Identifier: MIT
 *
 * Segments of the gas ledger (trace-replay.md 5.3): every end, every split at its exact
 * limit, in both dispatch loops.
 */
#include "tests/unit/pvm/machine.h"

#include "pvm/engine.h"

enum { SEGMENT_MAX = 8 };

struct seen {
    struct pvm_segment segment[SEGMENT_MAX];
    uint8_t first_bits[SEGMENT_MAX][8], first_target[SEGMENT_MAX][8];
    uint64_t icount[SEGMENT_MAX];
    unsigned count;
};

static void on_segment(void *self, const struct pvm_state *state,
                       const struct pvm_segment *segment)
{
    struct seen *seen = self;
    assert_true(seen->count < SEGMENT_MAX);
    unsigned k = seen->count++;
    seen->segment[k] = *segment;
    seen->icount[k] = state->icount;
    if (segment->bits.size)
        memcpy(seen->first_bits[k], segment->bits.data,
               segment->bits.size < 8 ? segment->bits.size : 8);
    if (segment->targets.size)
        memcpy(seen->first_target[k], segment->targets.data,
               segment->targets.size < 8 ? segment->targets.size : 8);
}

static struct pvm_outcome run(struct machine *m, enum pvm_dispatch dispatch,
                              struct seen *seen)
{
    struct pvm_observer observer = {
        .self = seen, .segment = on_segment, .gas_stop = PVM_GAS_STOP_NEVER};
    memset(seen, 0, sizeof *seen);
    pvm_engine_set_dispatch(m->engine, dispatch);
    return pvm_run(m->engine, m->program, &m->state, NULL, &observer);
}

#define EACH_DISPATCH(d)                                                               \
    for (enum pvm_dispatch d = PVM_DISPATCH_LOOP; d <= PVM_DISPATCH_THREADED; d++)

/* The program of the specification's worked example (chapter 16). */
static const uint8_t example[] = {0x00, 0x00, 0x0c, 0x33, 0x08, 0x03, 0x01, 0x95, 0x88,
                                  0xff, 0x52, 0x08, 0xfd, 0x0a, 0x00, 0x99, 0x04};

static void example_init(struct machine *m, enum pvm_gas_log log)
{
    machine_init(m, PVM_PROFILE_JAVM, 0, log, "trap");
    assert_int_equal(pvm_code_parse(bytes_of(example, sizeof example), &m->code),
                     ERR_ok);
    assert_int_equal(
        pvm_program_create(&m->arena, &m->code, &m->config, log, &m->program), ERR_ok);
    m->state.gas = 1000;
    m->state.reg[7] = 42;
}

static void test_example(void **unused)
{
    (void)unused;
    static const uint8_t blocks[] = {0x00, 0x01, 0x02, 0x00, 0x04, 0x04, 0x12,
                                     0x02, 0x02, 0x06, 0x00, 0x06, 0x61, 0x01,
                                     0x04, 0x02, 0x02, 0x01, 0x01, 0x05, 0x00};
    EACH_DISPATCH(d)
    {
        struct machine m;
        struct seen seen;
        struct buf table;
        example_init(&m, PVM_GAS_LOG_LEDGER);
        buf_init(&table, 1000);
        pvm_program_put_blocks(m.program, 0, &table);
        assert_int_equal(table.size, sizeof blocks);
        assert_memory_equal(table.data, blocks, sizeof blocks);
        buf_fini(&table);

        struct pvm_outcome outcome = run(&m, d, &seen);
        assert_int_equal(outcome.exit, PVM_EXIT_HOST_CALL);
        assert_int_equal(m.state.pc, 12);
        assert_int_equal(m.state.gas, 848);
        assert_int_equal(m.state.icount, 9);
        assert_int_equal(seen.count, 1);
        assert_int_equal(seen.segment[0].n, 5);
        assert_int_equal(seen.segment[0].gas, 152);
        assert_int_equal(seen.segment[0].end, PVM_SEGMENT_ECALL);
        assert_int_equal(seen.segment[0].end_pc, 10);
        assert_int_equal(seen.segment[0].nbits, 3);
        assert_int_equal(seen.first_bits[0][0], 0xc0);
        machine_fini(&m);

        example_init(&m, PVM_GAS_LOG_SUMMARY);
        (void)run(&m, d, &seen);
        assert_int_equal(seen.segment[0].n, 5);
        assert_int_equal(seen.segment[0].gas, 152);
        assert_true(seen.segment[0].hash == 0x60006bad2f6042f9u);
        machine_fini(&m);
    }
}

/* A loop that evaluates a0 conditional branches, then traps. */
static const char counting[] = "loop:\n"
                               "add_imm_64 a0, a0, -1\n"
                               "branch_ne_imm a0, 0, loop\n"
                               "trap\n";

static void test_bit_splits(void **unused)
{
    (void)unused;
    EACH_DISPATCH(d)
    {
        for (uint32_t outcomes = 65535; outcomes <= 65537; outcomes++) {
            struct machine m;
            struct seen seen;
            machine_init(&m, PVM_PROFILE_VECTORS, 0, PVM_GAS_LOG_LEDGER, counting);
            m.state.reg[7] = outcomes;
            assert_int_equal(run(&m, d, &seen).exit, PVM_EXIT_TRAP);
            assert_int_equal(seen.count, outcomes < 65536 ? 1 : 2);
            const struct pvm_segment *first = &seen.segment[0];
            const struct pvm_segment *last = &seen.segment[seen.count - 1];
            assert_int_equal(first->nbits, outcomes < 65536 ? outcomes : 65536);
            assert_int_equal(last->end, PVM_SEGMENT_TRAP);
            if (outcomes >= 65536) {
                assert_int_equal(first->end, PVM_SEGMENT_SPLIT_BLOCK);
                assert_int_equal(first->n, 65536);
                assert_int_equal(first->end_pc, outcomes == 65536 ? last->end_pc : 0);
                assert_int_equal(last->nbits, outcomes - 65536);
                assert_int_equal(last->start, 0);
                assert_int_equal(last->n, outcomes - 65536 + 1);
            }
            assert_int_equal(first->gas + (seen.count > 1 ? last->gas : 0),
                             1000000 - m.state.gas);
            machine_fini(&m);
        }
    }
}

/* The 65,536th outcome is a taken branch to a target that is no block start. */
static void test_last_outcome_panics(void **unused)
{
    (void)unused;
    EACH_DISPATCH(d)
    {
        struct machine m;
        struct seen seen;
        machine_init(&m, PVM_PROFILE_VECTORS, 0, PVM_GAS_LOG_LEDGER,
                     "loop:\n"
                     "add_imm_64 a0, a0, -1\n"
                     "branch_ne_imm a0, 0, loop\n"
                     "branch_eq_imm a0, 0, @9999\n"
                     "trap\n");
        m.state.reg[7] = 65535;
        assert_int_equal(run(&m, d, &seen).exit, PVM_EXIT_PANIC);
        assert_int_equal(seen.count, 1);
        assert_int_equal(seen.segment[0].nbits, 65536);
        assert_int_equal(seen.segment[0].end, PVM_SEGMENT_PANIC);
        assert_int_equal(seen.segment[0].n, 65536);
        machine_fini(&m);
    }
}

/* A full segment, and then no gas for the next block. */
static void test_split_then_out_of_gas(void **unused)
{
    (void)unused;
    EACH_DISPATCH(d)
    {
        struct machine m;
        struct seen seen;
        machine_init(&m, PVM_PROFILE_VECTORS, 0, PVM_GAS_LOG_LEDGER, counting);
        m.state.reg[7] = 100000;
        m.state.gas = 2 * 65536;
        assert_int_equal(run(&m, d, &seen).exit, PVM_EXIT_OUT_OF_GAS);
        assert_int_equal(seen.count, 2);
        assert_int_equal(seen.segment[1].n, 0);
        assert_int_equal(seen.segment[1].end, PVM_SEGMENT_OUT_OF_GAS);
        assert_int_equal(seen.segment[1].end_pc, 0);
        assert_int_equal(m.state.gas, 0);
        assert_int_equal(m.state.pc, 0);
        assert_false(m.state.charged);
        machine_fini(&m);
    }
}

static void test_target_splits(void **unused)
{
    (void)unused;
    EACH_DISPATCH(d)
    {
        for (uint32_t jumps = 4095; jumps <= 4097; jumps++) {
            struct machine m;
            struct seen seen;
            machine_init(&m, PVM_PROFILE_VECTORS, 0, PVM_GAS_LOG_LEDGER,
                         ".jump loop\n"
                         "loop:\n"
                         "add_imm_64 a0, a0, -1\n"
                         "branch_eq_imm a0, 0, done\n"
                         "jump_ind a1, 0\n"
                         "done:\n"
                         "trap\n");
            m.state.reg[7] = jumps + 1;
            m.state.reg[8] = 2;
            assert_int_equal(run(&m, d, &seen).exit, PVM_EXIT_TRAP);
            assert_int_equal(seen.count, jumps < 4096 ? 1 : 2);
            assert_int_equal(seen.segment[0].targets.size, jumps < 4096 ? jumps : 4096);
            if (jumps >= 4096) {
                assert_int_equal(seen.segment[0].end, PVM_SEGMENT_SPLIT_BLOCK);
                assert_int_equal(seen.segment[0].end_pc, 0);
                assert_int_equal(seen.segment[1].targets.size, jumps - 4096);
            }
            machine_fini(&m);
        }
    }
}

static void test_page_splits(void **unused)
{
    (void)unused;
    EACH_DISPATCH(d)
    {
        for (uint32_t pages = 2047; pages <= 2049; pages++) {
            struct machine m;
            struct seen seen;
            machine_init(&m, PVM_PROFILE_JAVM, 1, PVM_GAS_LOG_LEDGER,
                         "loop:\n"
                         "add_imm_64 a0, a0, -1\n"
                         "store_ind_u8 a0, [a1]\n"
                         "add_imm_64 a1, a1, 0x1000\n"
                         "branch_ne_imm a0, 0, loop\n"
                         "trap\n");
            machine_map(&m, 0x100000, pages, PVM_ACCESS_RW);
            m.state.reg[7] = pages;
            m.state.reg[8] = 0x100000;
            m.state.gas = 10000000;
            assert_int_equal(run(&m, d, &seen).exit, PVM_EXIT_TRAP);
            assert_int_equal(seen.count, pages < 2048 ? 1 : 2);
            const struct pvm_segment *first = &seen.segment[0];
            assert_int_equal(first->extra_count, pages < 2048 ? pages : 2048);
            if (pages >= 2048) {
                assert_int_equal(first->end, PVM_SEGMENT_SPLIT_INSIDE);
                assert_int_equal(first->end_pc, 3);
                assert_int_equal(seen.segment[1].start, 1);
                assert_int_equal(seen.segment[1].pc, 3);
                assert_int_equal(seen.segment[1].extra_count, pages - 2048);
                assert_int_equal(seen.icount[0], 2047 * 4 + 1);
            }
            machine_fini(&m);
        }
    }
}

/* Each way for a segment to end that is left. */
static void test_ends(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        enum pvm_exit exit;
        enum pvm_segment_end end;
        uint32_t end_pc;
    } rows[] = {
        {"trap\n", PVM_EXIT_TRAP, PVM_SEGMENT_TRAP, 0},
        {"jump_ind ra, 0\n", PVM_EXIT_HALT, PVM_SEGMENT_HALT, 0},
        {"sbrk a0, a0\n", PVM_EXIT_PANIC, PVM_SEGMENT_PANIC, 0},
        {"load_imm a0, 1\nload_u8 a0, [0x5000]\ntrap\n", PVM_EXIT_PAGE_FAULT,
         PVM_SEGMENT_PAGE_FAULT, 3},
        {"load_imm a0, 1\necalli 7\ntrap\n", PVM_EXIT_HOST_CALL, PVM_SEGMENT_ECALL, 3},
        {"load_imm a0, 1\n", PVM_EXIT_TRAP, PVM_SEGMENT_TRAP, 3},
    };
    EACH_DISPATCH(d)
    {
        for (unsigned k = 0; k < countof(rows); k++) {
            struct machine m;
            struct seen seen;
            machine_init(&m, PVM_PROFILE_VECTORS, 0, PVM_GAS_LOG_LEDGER, rows[k].text);
            m.state.reg[0] = PVM_HALT_ADDRESS;
            assert_int_equal(run(&m, d, &seen).exit, rows[k].exit);
            assert_int_equal(seen.count, 1);
            assert_int_equal(seen.segment[0].end, rows[k].end);
            assert_int_equal(seen.segment[0].end_pc, rows[k].end_pc);
            machine_fini(&m);
        }
    }
}

static size_t put_leb128(uint8_t *at, uint32_t value)
{
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        at[size++] = (uint8_t)(value | 0x80);
    at[size++] = (uint8_t)value;
    return size;
}

/* Table indices of all sizes, some from the interpreter, some pushed by native code. */
static void test_pushed_targets(void **unused)
{
    (void)unused;
    static struct segment seg;
    static uint8_t want[SEGMENT_TARGETS_MAX * 5];
    uint64_t seed = test_seed(1), word[100];
    for (unsigned round = 0; round < 300; round++) {
        size_t size = 0;
        uint32_t count = 0;
        memset(&seg, 0, sizeof seg);
        while (count + countof(word) <= SEGMENT_TARGETS_MAX) {
            uint32_t some = (uint32_t)(test_random(&seed) % countof(word));
            bool pushed = test_random(&seed) % 2;
            unsigned bits = test_random(&seed) % 4 ? 7 : (unsigned)(seed % 33);
            for (uint32_t i = 0; i < some; i++) {
                uint32_t index =
                    (uint32_t)(test_random(&seed) & (((uint64_t)1 << bits) - 1));
                word[countof(word) - 1 - i] = index;
                if (!pushed)
                    seg.target[seg.target_count++] = index;
                size += put_leb128(want + size, index);
            }
            if (pushed)
                pvm_segment_pushed(&seg, word + countof(word) - some,
                                   word + countof(word));
            count += some;
        }
        pvm_segment_pushed(&seg, word, word);
        assert_int_equal(seg.target_count, count);
        assert_int_equal(seg.packed_count, count);
        assert_int_equal(seg.leb_size, size);
        assert_memory_equal(seg.leb, want, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_bit_splits),
        cmocka_unit_test(test_last_outcome_panics),
        cmocka_unit_test(test_split_then_out_of_gas),
        cmocka_unit_test(test_target_splits),
        cmocka_unit_test(test_page_splits),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_pushed_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
