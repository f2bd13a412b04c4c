/* SPDX-License-Identifier: MIT
 *
 * The walk over the gas ledger: one list whatever the form, ranges, and every way in
 * which a ledger can contradict itself.
 */
#include "analysis/analysis.h"

#include "base/os.h"
#include "tests/test.h"
#include "tests/unit/analysis/recorder.h"

#include <string.h>

enum { LIST_MAX = 1 << 19 };
#define MEMORY_MAX ((size_t)1 << 30)

struct list {
    struct analysis_charge *item;
    size_t count;
};

static bool keep(void *self, const struct analysis_charge *charge)
{
    struct list *list = self;
    assert_true(list->count < LIST_MAX);
    list->item[list->count++] = *charge;
    return true;
}

struct walked {
    struct arena arena;
    struct list list;
    struct analysis_gas_totals totals;
    struct analysis_gas_fault fault;
    enum err err;
};

static void walk_with(struct walked *w, const struct trace_source *source,
                      struct analysis_gas_options options)
{
    struct trace_reader *reader;
    memset(w, 0, sizeof *w);
    arena_init(&w->arena, MEMORY_MAX);
    w->list.item = malloc(LIST_MAX * sizeof *w->list.item);
    assert_non_null(w->list.item);
    assert_int_equal(trace_reader_open(&w->arena, source,
                                       &(struct trace_reader_options){0}, NULL,
                                       &reader),
                     0);
    options.visitor.self = &w->list;
    options.visitor.charge = keep;
    w->err = analysis_gas_walk(&w->arena, reader, &options, &w->totals, &w->fault);
    trace_reader_close(reader);
}

static void walk(struct walked *w, const struct trace_source *source)
{
    walk_with(w, source, (struct analysis_gas_options){.list = true, .verify = true});
}

static void done(struct walked *w)
{
    free(w->list.item);
    arena_fini(&w->arena);
}

static void assert_same_charge(const struct analysis_charge *a,
                               const struct analysis_charge *b, size_t index)
{
    if (a->n != b->n || a->icount != b->icount || a->gas != b->gas ||
        a->kind != b->kind || a->where != b->where || a->cost != b->cost ||
        a->pc != b->pc)
        fail_msg("charge %zu: %llu %llu %llu %llu %#llx %llu, other form: %llu %llu "
                 "%llu %llu %#llx %llu",
                 index, (unsigned long long)a->n, (unsigned long long)a->icount,
                 (unsigned long long)a->gas, (unsigned long long)a->kind,
                 (unsigned long long)a->where, (unsigned long long)a->cost,
                 (unsigned long long)b->n, (unsigned long long)b->icount,
                 (unsigned long long)b->gas, (unsigned long long)b->kind,
                 (unsigned long long)b->where, (unsigned long long)b->cost);
}

static void assert_same_list(const struct list *a, const struct list *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        assert_same_charge(&a->item[i], &b->item[i], i);
}

/* ---- the worked example (trace-replay.md 16) ---- */

static void test_worked_example(void **unused)
{
    (void)unused;
    static const uint64_t want[][5] = {/* icount gas where cost; n is the index */
                                       {0, 1, 0, 1},
                                       {2, 19, 4, 18},
                                       {4, 37, 4, 18},
                                       {6, 55, 4, 18},
                                       {8, 152, 10, 97}};
    struct walked w;
    struct buf file;
    buf_init(&file, 1 << 20);
    assert_int_equal(os_file_read("corpus/trace/worked-example.lks", &file), 0);
    struct bytes bytes = buf_bytes(&file);
    struct trace_source source = trace_bytes_source(&bytes);
    walk(&w, &source);
    assert_int_equal(w.err, 0);
    assert_int_equal(w.list.count, countof(want));
    for (size_t i = 0; i < countof(want); i++) {
        const struct analysis_charge *c = &w.list.item[i];
        assert_int_equal(c->n, i + 1);
        assert_int_equal(c->icount, want[i][0]);
        assert_int_equal(c->gas, want[i][1]);
        assert_int_equal(c->where, want[i][2]);
        assert_int_equal(c->cost, want[i][3]);
        assert_int_equal(c->kind, ANALYSIS_CHARGE_BLOCK);
        assert_int_equal(c->seq, 4);
    }
    assert_string_equal(w.totals.config, "ledger");
    assert_int_equal(w.totals.forms, ANALYSIS_GAS_LEDGER);
    assert_int_equal(w.totals.event_count, 8);
    assert_int_equal(w.totals.insn_count, 9);
    assert_int_equal(w.totals.gas, 152);
    assert_int_equal(w.totals.block_count, 5);
    assert_int_equal(w.totals.run_count, 1);
    assert_int_equal(w.totals.table_count, 1);
    /* One run with the rolling hash that chapter 16 gives for --gas=summary. */
    assert_int_equal(w.totals.hash, 0x60006bad2f6042f9u * 0x517cc1b727220a95u);
    done(&w);
    buf_fini(&file);
}

/* ---- equality of the forms ---- */

static void assert_forms_agree(const char *text, const struct recorder_options *base)
{
    struct recording rec[3];
    struct walked w[3];
    for (unsigned i = 0; i < 3; i++) {
        struct recorder_options o = *base;
        o.log = (enum pvm_gas_log)(PVM_GAS_LOG_LEDGER + i);
        record(&rec[i], text, &o);
        walk_with(&w[i], &rec[i].source,
                  (struct analysis_gas_options){.list = i != 2, .verify = true});
        if (w[i].err)
            fail_msg("form %u: %s at event %llu, bit %llu: %s", i, err_text(w[i].err),
                     (unsigned long long)w[i].fault.seq,
                     (unsigned long long)w[i].fault.bit, w[i].fault.text);
        assert_int_equal(w[i].totals.insn_count, rec[i].insn_count);
        assert_int_equal(w[i].totals.gas, rec[i].gas);
        assert_int_equal(w[i].totals.block_count, w[0].totals.block_count);
        assert_int_equal(w[i].totals.run_count, w[0].totals.run_count);
        assert_int_equal(w[i].totals.hash, w[0].totals.hash);
    }
    assert_same_list(&w[0].list, &w[1].list);
    assert_int_equal(w[0].totals.forms, ANALYSIS_GAS_LEDGER);
    assert_int_equal(w[1].totals.forms, w[1].list.count ? ANALYSIS_GAS_EACH : 0);
    assert_int_equal(w[2].totals.forms, ANALYSIS_GAS_SUMMARY);
    for (unsigned i = 0; i < 3; i++) {
        done(&w[i]);
        recording_fini(&rec[i]);
    }
}

static void test_forms_fib(void **unused)
{
    (void)unused;
    struct recorder_options o = recorder_options(PVM_GAS_LOG_LEDGER);
    assert_forms_agree(recorder_fib, &o);
    o.config.model = 1; /* no page gas */
    assert_forms_agree(recorder_fib, &o);
    o.config = pvm_config_default(PVM_PROFILE_VECTORS);
    assert_forms_agree(recorder_fib, &o);
}

/* A run may begin inside a block, and pays for all of it. */
static void test_forms_start_inside(void **unused)
{
    (void)unused;
    struct recorder_options o = recorder_options(PVM_GAS_LOG_LEDGER);
    const char *text = "    load_imm a0, 1\n"
                       "    store_imm_u8 [0x20000], 1\n"
                       "    add_imm_64 a0, a0, 1\n"
                       "    store_imm_u8 [0x21000], 1\n"
                       "    fallthrough\n"
                       "    ecalli 3\n"
                       "    store_imm_u8 [0x21000], 1\n"
                       "    ecalli 0\n"
                       "    trap\n";
    struct recording rec;
    record(&rec, text, &o);
    unsigned count = 0;
    for (uint32_t pc = 0; pc < rec.code.code.size; pc++) {
        if (!pvm_code_ok(&rec.code, PVM_PROFILE_JAVM, pc))
            continue;
        o.pc = pc;
        assert_forms_agree(text, &o);
        count++;
    }
    assert_int_equal(count, 9);
    recording_fini(&rec);
}

/* Every end: trap, panic, page fault, halt; and out of gas at each possible place. */
static void test_forms_ends(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        enum pvm_exit exit;
    } row[] = {
        {"load_imm a0, 5\n trap\n", PVM_EXIT_TRAP},
        {"load_imm a0, 5\n", PVM_EXIT_TRAP},
        {"load_imm a0, 5\n load_imm a1, 6\n jump_ind a0, 0\n", PVM_EXIT_PANIC},
        /* into the middle of load_imm: the outcome counts (5.3 rule 1) */
        {"load_imm a0, 5\n branch_eq_imm a0, 5, @1\n trap\n", PVM_EXIT_PANIC},
        {"load_imm a0, 5\n load_u8 a1, [0x30000]\n trap\n", PVM_EXIT_PAGE_FAULT},
        {"store_u8 a1, [0x20fff]\n store_u64 a1, [0x21ffc]\n trap\n",
         PVM_EXIT_PAGE_FAULT},
        {"ecalli 9\n ecalli 0\n trap\n", PVM_EXIT_HALT},
    };
    struct recorder_options o = recorder_options(PVM_GAS_LOG_LEDGER);
    for (size_t i = 0; i < countof(row); i++) {
        struct recording rec;
        record(&rec, row[i].text, &o);
        if (rec.exit != row[i].exit)
            fail_msg("row %zu ends with %s", i, pvm_exit_name(rec.exit));
        recording_fini(&rec);
        assert_forms_agree(row[i].text, &o);
    }
    o.config = pvm_config_default(PVM_PROFILE_VECTORS);
    assert_forms_agree("load_imm_64 a0, 0xffff0000\n jump_ind a0, 0\n", &o);
}

static void test_forms_out_of_gas(void **unused)
{
    (void)unused;
    struct recorder_options o = recorder_options(PVM_GAS_LOG_LEDGER);
    for (o.gas = 0; o.gas < 3000; o.gas += 101)
        assert_forms_agree(recorder_fib, &o);
}

/* Segments split: 65,536 outcomes, 4,096 targets; the list does not show it. */
static void test_forms_splits(void **unused)
{
    (void)unused;
    struct recorder_options o = recorder_options(PVM_GAS_LOG_LEDGER);
    static const uint32_t rounds[] = {4094, 4095, 4096, 4097, 65535, 65536, 65537};
    for (size_t i = 0; i < countof(rounds); i++) {
        char text[400];
        (void)snprintf(text, sizeof text,
                       "    load_imm a0, %u\n"
                       "    load_imm a1, 2\n"
                       "    fallthrough\n"
                       "loop:\n"
                       "    add_imm_64 a0, a0, -1\n"
                       "    jump_ind a1, 0\n"
                       "next:\n"
                       "    branch_ne_imm a0, 0, loop\n"
                       "    ecalli 0\n"
                       "    trap\n"
                       ".jump next\n",
                       (unsigned)rounds[i]);
        assert_forms_agree(text, &o);
    }
}

/* ---- ranges ---- */

static void assert_range(const struct recording *rec, const struct list *all,
                         struct analysis_position from, struct analysis_position to,
                         bool (*wanted)(const struct analysis_charge *charge,
                                        uint64_t from, uint64_t to))
{
    struct walked w;
    walk_with(&w, &rec->source,
              (struct analysis_gas_options){.list = true, .from = from, .to = to});
    assert_int_equal(w.err, 0);
    size_t count = 0;
    uint64_t gas = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (!wanted(&all->item[i], from.value, to.value))
            continue;
        assert_true(count < w.list.count);
        assert_same_charge(&all->item[i], &w.list.item[count++], i);
        gas += all->item[i].cost;
    }
    assert_int_equal(w.list.count, count);
    assert_int_equal(w.totals.gas, gas);
    done(&w);
}

static bool by_icount(const struct analysis_charge *c, uint64_t from, uint64_t to)
{
    return c->icount >= from && c->icount < to;
}

static bool by_gas(const struct analysis_charge *c, uint64_t from, uint64_t to)
{
    return c->gas - c->cost >= from && c->gas - c->cost < to;
}

static bool by_seq(const struct analysis_charge *c, uint64_t from, uint64_t to)
{
    return c->seq >= from && c->seq < to;
}

static void test_ranges(void **unused)
{
    (void)unused;
    static const struct {
        enum analysis_clock clock;
        bool (*wanted)(const struct analysis_charge *, uint64_t, uint64_t);
    } kind[] = {{ANALYSIS_CLOCK_ICOUNT, by_icount},
                {ANALYSIS_CLOCK_GAS, by_gas},
                {ANALYSIS_CLOCK_SEQ, by_seq}};
    uint64_t seed = test_seed(5);
    for (unsigned form = 0; form < 2; form++) {
        struct recording rec;
        struct walked all;
        struct recorder_options o =
            recorder_options(form ? PVM_GAS_LOG_EACH : PVM_GAS_LOG_LEDGER);
        record(&rec, recorder_fib, &o);
        walk(&all, &rec.source);
        for (unsigned i = 0; i < 200; i++) {
            unsigned k = i % 3;
            uint64_t limit = k == 0   ? rec.insn_count
                             : k == 1 ? rec.gas
                                      : all.totals.event_count;
            struct analysis_position from = {kind[k].clock, test_random(&seed) % limit};
            struct analysis_position to = {
                kind[k].clock, from.value + test_random(&seed) % (limit + 3)};
            assert_range(&rec, &all.list, from, to, kind[k].wanted);
        }
        done(&all);
        recording_fini(&rec);
    }
}

/* ---- gaps ---- */

/* What a cut or a ring left out is not there; the rest has its old clocks. */
static void test_gap(void **unused)
{
    (void)unused;
    const char *text = "    load_imm a0, 10\n"
                       "    ecalli 8\n"
                       "loop:\n"
                       "    add_imm_64 a0, a0, -1\n"
                       "    branch_ne_imm a0, 0, loop\n"
                       "    ecalli 3\n"
                       "    load_imm a0, 5\n"
                       "    ecalli 8\n"
                       "more:\n"
                       "    store_imm_u8 [0x20000], 1\n"
                       "    add_imm_64 a0, a0, -1\n"
                       "    branch_ne_imm a0, 0, more\n"
                       "    ecalli 5\n"
                       "    ecalli 0\n"
                       "    trap\n";
    for (unsigned form = 0; form < 2; form++) {
        struct recording whole, cut;
        struct walked all, rest;
        struct recorder_options o =
            recorder_options(form ? PVM_GAS_LOG_EACH : PVM_GAS_LOG_LEDGER);
        record(&whole, text, &o);
        o.gap = true;
        record(&cut, text, &o);
        walk(&all, &whole.source);
        walk(&rest, &cut.source);
        assert_int_equal(all.err, 0);
        if (rest.err)
            fail_msg("event %llu: %s", (unsigned long long)rest.fault.seq,
                     rest.fault.text);
        size_t skipped = all.list.count - rest.list.count;
        assert_int_equal(skipped,
                         10 + 2); /* laps, behind ecalli 3 and in front of it */
        for (size_t i = 0; i < rest.list.count; i++) {
            struct analysis_charge want = all.list.item[i < 1 ? i : i + skipped];
            want.n = i + 1;
            assert_same_charge(&want, &rest.list.item[i], i);
            assert_int_equal(want.seq, rest.list.item[i].seq);
        }
        assert_int_equal(rest.totals.insn_count, whole.insn_count);
        done(&all);
        done(&rest);
        recording_fini(&whole);
        recording_fini(&cut);
    }
}

/* ---- a summary has no list ---- */

static void test_summary_has_no_list(void **unused)
{
    (void)unused;
    struct recording rec;
    struct walked w;
    struct recorder_options o = recorder_options(PVM_GAS_LOG_SUMMARY);
    record(&rec, recorder_fib, &o);
    walk(&w, &rec.source);
    assert_int_equal(w.err, ERR_unsupported);
    assert_int_equal(w.totals.forms, ANALYSIS_GAS_SUMMARY);
    assert_int_equal(w.list.count, 0);
    done(&w);
    recording_fini(&rec);
}

/* ---- defects ---- */

static uint8_t edited_bytes[8192];

static void first_only(struct trace_pvm_segment *s)
{
    memcpy(edited_bytes, s->bits.data, s->bits.size);
    s->bits.data = edited_bytes;
}

static void flip_bit(struct trace_pvm_segment *s, struct trace_clock *clock)
{
    (void)clock;
    if (s->nbits < 3)
        return;
    first_only(s);
    edited_bytes[0] ^= 0x80;
}

static void less_bits(struct trace_pvm_segment *s, struct trace_clock *clock)
{
    (void)clock;
    if (s->nbits < 9)
        return;
    s->nbits = 8;
    s->bits.size = 1;
}

static void more_n(struct trace_pvm_segment *s, struct trace_clock *clock)
{
    (void)clock;
    s->n++;
}

static void more_gas(struct trace_pvm_segment *s, struct trace_clock *clock)
{
    clock->gas++;
    s->gas++;
}

static void later_gas(struct trace_pvm_segment *s, struct trace_clock *clock)
{
    (void)s;
    clock->gas++;
}

static void later_icount(struct trace_pvm_segment *s, struct trace_clock *clock)
{
    (void)s;
    clock->icount++;
}

static void no_extra(struct trace_pvm_segment *s, struct trace_clock *clock)
{
    (void)clock;
    s->extra.count = 0;
}

static void other_program(struct trace_pvm_segment *s, struct trace_clock *clock)
{
    (void)clock;
    s->prog = 3;
}

static void other_end(struct trace_pvm_segment *s, struct trace_clock *clock)
{
    (void)clock;
    s->end_pc++;
}

static void block_extra(struct trace_pvm_segment *s, struct trace_clock *clock)
{
    static struct trace_uuuuu entry[2048];
    (void)clock;
    if (!s->extra.count)
        return;
    memcpy(entry, s->extra.item, s->extra.count * sizeof *entry);
    entry[0].c = 0;
    s->extra.item = entry;
}

static void test_defects(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        void (*edit)(struct trace_pvm_segment *s, struct trace_clock *clock);
    } row[] = {
        {"flip_bit", flip_bit},   {"less_bits", less_bits},
        {"more_n", more_n},       {"more_gas", more_gas},
        {"later_gas", later_gas}, {"later_icount", later_icount},
        {"no_extra", no_extra},   {"other_program", other_program},
        {"other_end", other_end}, {"block_extra", block_extra},
    };
    for (size_t i = 0; i < countof(row); i++) {
        struct recording rec;
        struct walked w;
        struct recorder_options o = recorder_options(PVM_GAS_LOG_LEDGER);
        o.edit_segment = row[i].edit;
        record(&rec, recorder_fib, &o);
        walk(&w, &rec.source);
        if (w.err != ERR_trace_ledger || !w.fault.text || w.fault.seq < 4)
            fail_msg("%s: %s", row[i].name, err_text(w.err));
        done(&w);
        recording_fini(&rec);
    }
}

static uint8_t edited_table[4096];

static void other_cost(struct trace_pvm_program *p)
{
    memcpy(edited_table, p->blocks.data, p->blocks.size);
    edited_table[1]++; /* of the first row; the run pays it, so sums would be wrong too
                        */
    p->blocks.data = edited_table;
}

static void other_last_row(struct trace_pvm_program *p)
{
    memcpy(edited_table, p->blocks.data, p->blocks.size);
    edited_table[p->blocks.size - 4]++; /* a row that nobody enters */
    p->blocks.data = edited_table;
}

static void cut_table(struct trace_pvm_program *p)
{
    p->blocks.size--;
}

static void other_hash(struct trace_pvm_program *p)
{
    p->hash.hash.byte[7] ^= 1;
}

static void test_table_defects(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        void (*edit)(struct trace_pvm_program *p);
        const char *words;
        bool always; /* noticed without --verify, too */
    } row[] = {
        {"other_cost", other_cost, "block table is not that of the code", true},
        {"other_last_row", other_last_row, "block table is not that of the code",
         false},
        {"cut_table", cut_table, "block table is malformed", true},
        {"other_hash", other_hash, "does not have the recorded hash", false},
    };
    for (size_t i = 0; i < countof(row); i++) {
        struct recording rec;
        struct walked w;
        struct recorder_options o = recorder_options(PVM_GAS_LOG_LEDGER);
        o.edit_program = row[i].edit;
        record(&rec, recorder_fib, &o);
        walk(&w, &rec.source);
        assert_int_equal(w.err, ERR_trace_ledger);
        if (!strstr(w.fault.text, row[i].words))
            fail_msg("%s: %s", row[i].name, w.fault.text);
        done(&w);
        walk_with(&w, &rec.source, (struct analysis_gas_options){.list = true});
        assert_int_equal(w.err, row[i].always ? ERR_trace_ledger : ERR_ok);
        done(&w);
        recording_fini(&rec);
    }
}

/* ---- memory ---- */

static void test_all_arenas(void **unused)
{
    (void)unused;
    struct recording rec;
    struct recorder_options o = recorder_options(PVM_GAS_LOG_LEDGER);
    record(&rec, recorder_fib, &o);
    enum err err = ERR_nomem;
    size_t reader_max = (size_t)1 << 28;
    for (size_t max = 0; err == ERR_nomem && max < reader_max; max += 512) {
        struct arena reader_arena, arena;
        struct trace_reader *reader;
        struct analysis_gas_totals totals;
        struct analysis_gas_fault fault;
        struct analysis_gas_options options = {.list = true};
        arena_init(&reader_arena, reader_max);
        arena_init(&arena, max);
        assert_int_equal(trace_reader_open(&reader_arena, &rec.source,
                                           &(struct trace_reader_options){0}, NULL,
                                           &reader),
                         0);
        err = analysis_gas_walk(&arena, reader, &options, &totals, &fault);
        trace_reader_close(reader);
        arena_fini(&arena);
        arena_fini(&reader_arena);
    }
    assert_int_equal(err, 0);
    recording_fini(&rec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worked_example),
        cmocka_unit_test(test_forms_fib),
        cmocka_unit_test(test_forms_start_inside),
        cmocka_unit_test(test_forms_ends),
        cmocka_unit_test(test_forms_out_of_gas),
        cmocka_unit_test(test_forms_splits),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_summary_has_no_list),
        cmocka_unit_test(test_defects),
        cmocka_unit_test(test_table_defects),
        cmocka_unit_test(test_all_arenas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
