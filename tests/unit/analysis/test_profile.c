/* SPDX-License-Identifier: MIT
 *
 * Profiles: tables that add up to the totals, call stacks against those that the
 * program really had, and their bounds.
 */
#include "analysis/analysis.h"

#include "tests/test.h"
#include "tests/unit/analysis/recorder.h"

#include <string.h>

#define MEMORY_MAX ((size_t)1 << 30)

struct profiled {
    struct arena arena;
    struct analysis_profile *profile;
    struct analysis_gas_totals totals;
    struct buf text; /* collapsed stacks */
};

static void profile(struct profiled *p, const struct trace_source *source,
                    unsigned parts, const struct analysis_symbols *symbols,
                    struct analysis_gas_options options)
{
    struct trace_reader *reader;
    struct analysis_gas_fault fault;
    memset(p, 0, sizeof *p);
    arena_init(&p->arena, MEMORY_MAX);
    buf_init(&p->text, MEMORY_MAX);
    assert_int_equal(trace_reader_open(&p->arena, source,
                                       &(struct trace_reader_options){0}, NULL,
                                       &reader),
                     0);
    assert_int_equal(analysis_profile_create(&p->arena, parts, symbols, &p->profile),
                     0);
    options.visitor = analysis_profile_visitor(p->profile);
    options.all_charges = parts & ANALYSIS_PROFILE_STACKS;
    options.list = true;
    enum err err = analysis_gas_walk(&p->arena, reader, &options, &p->totals, &fault);
    if (err)
        fail_msg("%s: %s", err_text(err), fault.text);
    assert_int_equal(analysis_profile_finish(p->profile, p->totals.insn_count), 0);
    trace_reader_close(reader);
}

static void done(struct profiled *p)
{
    analysis_profile_close(p->profile);
    buf_fini(&p->text);
    arena_fini(&p->arena);
}

static bool keep_line(void *self, struct bytes text)
{
    struct buf *buf = self;
    buf_put(buf, text.data, text.size);
    buf_byte(buf, '\n');
    return true;
}

static const char *collapsed(struct profiled *p, enum analysis_weight weight)
{
    buf_clear(&p->text);
    assert_int_equal(
        analysis_profile_collapsed(p->profile, weight, keep_line, &p->text), 0);
    assert_int_equal(p->text.err, 0);
    return buf_string(&p->text);
}

static struct analysis_profile_rows table(struct profiled *p,
                                          enum analysis_profile_by by)
{
    struct analysis_profile_rows rows;
    assert_int_equal(analysis_profile_table(p->profile, by, &p->arena, &rows), 0);
    for (size_t i = 1; i < rows.count; i++)
        assert_true(rows.row[i - 1].gas >= rows.row[i].gas);
    return rows;
}

/* The pc of a label of recorder_fib: the n-th instruction with this opcode. */
static uint32_t pc_of(const struct recording *rec, uint8_t op, unsigned nth)
{
    struct pvm_insn insn;
    for (uint32_t pc = 0; pc < rec->code.code.size; pc += insn.size) {
        assert_true(pvm_insn_decode(&rec->code, PVM_PROFILE_JAVM, pc, &insn));
        if (insn.op == op && nth-- == 0)
            return pc;
    }
    fail_msg("no such instruction");
    return 0;
}

/* ---- tables ---- */

static void test_tables_add_up(void **unused)
{
    (void)unused;
    enum pvm_gas_log log[] = {PVM_GAS_LOG_LEDGER, PVM_GAS_LOG_EACH};
    for (size_t i = 0; i < countof(log); i++) {
        struct recording rec;
        struct profiled p;
        struct recorder_options o = recorder_options(log[i]);
        record(&rec, recorder_fib, &o);
        profile(&p, &rec.source,
                ANALYSIS_PROFILE_BLOCKS | ANALYSIS_PROFILE_PAGES |
                    ANALYSIS_PROFILE_OPS | ANALYSIS_PROFILE_STACKS,
                NULL, (struct analysis_gas_options){.verify = true});
        struct analysis_profile_rows blocks = table(&p, ANALYSIS_BY_BLOCK);
        struct analysis_profile_rows functions = table(&p, ANALYSIS_BY_FUNCTION);
        struct analysis_profile_rows pages = table(&p, ANALYSIS_BY_PAGE);
        struct analysis_profile_rows ops = table(&p, ANALYSIS_BY_OP);
        uint64_t gas = 0, insns = 0, count = 0;
        for (size_t r = 0; r < blocks.count; r++) {
            gas += blocks.row[r].gas;
            insns += blocks.row[r].insn_count;
            count += blocks.row[r].count;
        }
        assert_int_equal(gas, p.totals.cost[ANALYSIS_CHARGE_BLOCK]);
        assert_int_equal(count, p.totals.block_count);
        assert_int_equal(insns, rec.insn_count);
        gas = insns = 0;
        for (size_t r = 0; r < functions.count; r++) {
            gas += functions.row[r].gas;
            insns += functions.row[r].insn_count;
        }
        assert_int_equal(gas, rec.gas);
        assert_int_equal(insns, rec.insn_count);
        /* The stack's page and the global's. */
        assert_int_equal(pages.count, 2);
        assert_int_equal(pages.row[0].where, 0x20);
        assert_int_equal(pages.row[0].gas, PVM_GAS_COW);
        assert_int_equal(pages.row[1].where, 0x21);
        assert_int_equal(ops.count, 2);
        assert_int_equal(ops.row[0].where, RECORDER_OP_COSTS);
        assert_int_equal(ops.row[0].gas, RECORDER_OP_COST);
        assert_int_equal(ops.row[0].count, 1);
        assert_int_equal(ops.row[1].where, RECORDER_OP_REPLY);
        done(&p);
        recording_fini(&rec);
    }
}

static uint64_t fib_calls(unsigned n)
{
    return n < 2 ? 1 : 1 + fib_calls(n - 1) + fib_calls(n - 2);
}

static void test_functions(void **unused)
{
    (void)unused;
    struct recording rec;
    struct profiled p;
    struct recorder_options o = recorder_options(PVM_GAS_LOG_LEDGER);
    record(&rec, recorder_fib, &o);
    uint32_t fib = pc_of(&rec, PVM_OP_branch_lt_u_imm, 0);
    profile(&p, &rec.source, ANALYSIS_PROFILE_STACKS, NULL,
            (struct analysis_gas_options){0});
    struct analysis_profile_rows rows = table(&p, ANALYSIS_BY_FUNCTION);
    assert_int_equal(rows.count, 3); /* start, wrap, fib */
    assert_int_equal(rows.row[0].where, fib);
    assert_int_equal(rows.row[0].count, fib_calls(6));
    for (size_t i = 0; i < rows.count; i++) {
        /* fib calls nobody else: all that is below is its own, recursion or not. */
        bool is_fib = rows.row[i].where == fib, is_start = rows.row[i].where == 0;
        if (is_fib)
            assert_int_equal(rows.row[i].gas, rows.row[i].gas_below);
        if (is_start) {
            assert_int_equal(rows.row[i].gas_below, rec.gas);
            assert_int_equal(rows.row[i].insn_below, rec.insn_count);
        }
        if (!is_fib)
            assert_int_equal(rows.row[i].count, 1);
    }
    done(&p);
    recording_fini(&rec);
}

/* ---- stacks ---- */

/* The depth of the deepest line, and the sum of its weights. */
static uint64_t weigh(const char *text, unsigned *ret_depth)
{
    uint64_t sum = 0;
    *ret_depth = 0;
    while (*text) {
        unsigned depth = 1;
        for (; *text != ' '; text++)
            depth += *text == ';';
        sum += strtoull(text, (char **)(uintptr_t)&text, 10);
        assert_int_equal(*text, '\n');
        text++;
        if (depth > *ret_depth)
            *ret_depth = depth;
    }
    return sum;
}

static void test_stacks(void **unused)
{
    (void)unused;
    struct recording rec;
    struct profiled p;
    unsigned depth;
    struct recorder_options o = recorder_options(PVM_GAS_LOG_LEDGER);
    record(&rec, recorder_fib, &o);
    profile(&p, &rec.source, ANALYSIS_PROFILE_STACKS, NULL,
            (struct analysis_gas_options){0});
    assert_int_equal(weigh(collapsed(&p, ANALYSIS_WEIGHT_GAS), &depth), rec.gas);
    assert_int_equal(depth, 2 + 6); /* start, wrap, fib(6) .. fib(1) */
    assert_int_equal(weigh(collapsed(&p, ANALYSIS_WEIGHT_INSN), &depth),
                     rec.insn_count);
    uint64_t charges = weigh(collapsed(&p, ANALYSIS_WEIGHT_CHARGES), &depth);
    assert_int_equal(charges, p.totals.block_count + 3);
    char wrap[80];
    (void)snprintf(wrap, sizeof wrap, "fn_0x0;fn_0x%x 3\n", /* entry, page, return */
                   (unsigned)pc_of(&rec, PVM_OP_add_imm_64, 0));
    assert_non_null(strstr(buf_string(&p.text), wrap));
    assert_int_equal(analysis_profile_lost_count(p.profile), 0);
    done(&p);
    recording_fini(&rec);
}

/* A jump to the start of a function is a call in the caller's place; only names tell.
 */
static void test_tail_call(void **unused)
{
    (void)unused;
    static const char *const text = "    load_imm_jump ra, 2, first\n"
                                    "back:\n"
                                    "    ecalli 0\n"
                                    "    trap\n"
                                    "first:\n"
                                    "    jump second\n"
                                    "second:\n"
                                    "    fallthrough\n"
                                    "    jump_ind ra, 0\n"
                                    ".jump back\n";
    struct recording rec;
    struct profiled p;
    struct arena arena;
    struct analysis_symbols symbols;
    uint32_t line;
    struct recorder_options o = recorder_options(PVM_GAS_LOG_LEDGER);
    record(&rec, text, &o);
    uint32_t first = pc_of(&rec, PVM_OP_jump, 0);
    uint32_t second = pc_of(&rec, PVM_OP_fallthrough, 0);
    char map[200];
    (void)snprintf(map, sizeof map,
                   "code 0x00000000 30\nexport  0 0x00000000 go\n"
                   "function 0x%08x %u first a.o .text\n"
                   "function 0x%08x %u second a.o .text\n",
                   (unsigned)first, (unsigned)(second - first), (unsigned)second, 20u);
    arena_init(&arena, 1 << 20);
    assert_int_equal(
        analysis_symbols_parse(&arena, bytes_of(map, strlen(map)), &symbols, &line), 0);
    profile(&p, &rec.source, ANALYSIS_PROFILE_STACKS, NULL,
            (struct analysis_gas_options){0});
    const char *got = collapsed(&p, ANALYSIS_WEIGHT_CHARGES);
    char want[100];
    (void)snprintf(want, sizeof want, "fn_0x0 2\nfn_0x0;fn_0x%x 3\n", (unsigned)first);
    assert_string_equal(got, want);
    done(&p);
    profile(&p, &rec.source, ANALYSIS_PROFILE_STACKS, &symbols,
            (struct analysis_gas_options){0});
    assert_string_equal(collapsed(&p, ANALYSIS_WEIGHT_CHARGES),
                        "export:go 2\nexport:go;first 1\nexport:go;second 2\n");
    done(&p);
    arena_fini(&arena);
    recording_fini(&rec);
}

/* A jump that skips frames (longjmp) pops them all; one that lands where nobody is to
 * return to pops none. */
static void test_long_return(void **unused)
{
    (void)unused;
    static const char *const text = "    load_imm_jump ra, 2, outer\n"
                                    "back0:\n"
                                    "    ecalli 0\n"
                                    "    trap\n"
                                    "outer:\n"
                                    "    move_reg s0, ra\n"
                                    "    load_imm_jump ra, 4, inner\n"
                                    "back1:\n"
                                    "    trap\n"
                                    "inner:\n"
                                    "    load_imm t0, 6\n"
                                    "    jump_ind t0, 0\n"
                                    "table:\n"
                                    "    jump_ind s0, 0\n"
                                    ".jump back0, back1, table\n";
    struct recording rec;
    struct profiled p;
    struct recorder_options o = recorder_options(PVM_GAS_LOG_LEDGER);
    record(&rec, text, &o);
    assert_int_equal(rec.exit, PVM_EXIT_HALT);
    profile(&p, &rec.source, ANALYSIS_PROFILE_STACKS, NULL,
            (struct analysis_gas_options){0});
    uint32_t outer = pc_of(&rec, PVM_OP_move_reg, 0);
    uint32_t inner = pc_of(&rec, PVM_OP_load_imm, 0);
    char want[200];
    (void)snprintf(want, sizeof want,
                   "fn_0x0 2\nfn_0x0;fn_0x%x 1\nfn_0x0;fn_0x%x;fn_0x%x 2\n",
                   (unsigned)outer, (unsigned)outer, (unsigned)inner);
    assert_string_equal(collapsed(&p, ANALYSIS_WEIGHT_CHARGES), want);
    done(&p);
    recording_fini(&rec);
}

/* Deeper than all bounds, and back again: the frames above are right. */
static void test_deep(void **unused)
{
    (void)unused;
    static const char *const form = "    load_imm a0, %u\n"
                                    "    load_imm_jump ra, 2, down\n"
                                    "back0:\n"
                                    "    ecalli 0\n"
                                    "    trap\n"
                                    "down:\n"
                                    "    branch_eq_imm a0, 0, up\n"
                                    "    add_imm_64 a0, a0, -1\n"
                                    "    load_imm_jump ra, 4, down\n"
                                    "back1:\n"
                                    "    add_imm_64 a1, a1, -1\n"
                                    "    branch_ne_imm a1, 0, again\n"
                                    "    load_imm ra, 2\n"
                                    "    jump_ind ra, 0\n"
                                    "again:\n"
                                    "    load_imm ra, 4\n"
                                    "    jump_ind ra, 0\n"
                                    "up:\n"
                                    "    load_imm a1, %u\n"
                                    "    load_imm ra, 4\n"
                                    "    jump_ind ra, 0\n"
                                    ".jump back0, back1\n";
    static const uint32_t depths[] = {1, 1022, 1023, 1024, 65535, 65536, 100000};
    for (size_t i = 0; i < countof(depths); i++) {
        struct recording rec;
        struct profiled p;
        char text[1000];
        unsigned depth;
        struct recorder_options o = recorder_options(PVM_GAS_LOG_LEDGER);
        (void)snprintf(text, sizeof text, form, (unsigned)depths[i],
                       (unsigned)depths[i]);
        record(&rec, text, &o);
        assert_int_equal(rec.exit, PVM_EXIT_HALT);
        profile(&p, &rec.source, ANALYSIS_PROFILE_STACKS, NULL,
                (struct analysis_gas_options){0});
        const char *got = collapsed(&p, ANALYSIS_WEIGHT_GAS);
        assert_int_equal(weigh(got, &depth), rec.gas);
        assert_int_equal(depth, depths[i] + 2 < 1025 ? depths[i] + 2 : 1025);
        assert_int_equal(strstr(got, "[deep]") != NULL, depths[i] + 2 > 1024);
        /* Entry, and what comes behind the return: nothing else is at the bottom. */
        assert_memory_equal(collapsed(&p, ANALYSIS_WEIGHT_CHARGES), "fn_0x0 2\n", 9);
        assert_int_equal(analysis_profile_lost_count(p.profile) > 0,
                         depths[i] + 1 > 65536);
        done(&p);
        recording_fini(&rec);
    }
}

/* What is outside the range weighs nothing, but the stack is right from the start. */
static void test_range(void **unused)
{
    (void)unused;
    struct recording rec;
    struct profiled p;
    unsigned depth;
    struct recorder_options o = recorder_options(PVM_GAS_LOG_LEDGER);
    record(&rec, recorder_fib, &o);
    uint64_t sum = 0, insns = 0, step = 10;
    for (uint64_t at = 0; at < rec.insn_count; at += step) {
        struct analysis_gas_options range = {.from = {ANALYSIS_CLOCK_ICOUNT, at},
                                             .to = {ANALYSIS_CLOCK_ICOUNT, at + step}};
        profile(&p, &rec.source, ANALYSIS_PROFILE_STACKS, NULL, range);
        sum += weigh(collapsed(&p, ANALYSIS_WEIGHT_GAS), &depth);
        insns += weigh(collapsed(&p, ANALYSIS_WEIGHT_INSN), &depth);
        done(&p);
    }
    assert_int_equal(sum, rec.gas);
    assert_int_equal(insns, rec.insn_count);
    recording_fini(&rec);
}

/* Nobody executed the instructions of a gap. */
static void test_gap(void **unused)
{
    (void)unused;
    static const char *const text = "    load_imm a0, 10\n"
                                    "    ecalli 8\n"
                                    "loop:\n"
                                    "    add_imm_64 a0, a0, -1\n"
                                    "    branch_ne_imm a0, 0, loop\n"
                                    "    ecalli 8\n"
                                    "    load_imm a0, 5\n"
                                    "    ecalli 0\n"
                                    "    trap\n";
    for (unsigned form = 0; form < 2; form++) {
        struct recording rec;
        struct profiled p;
        unsigned depth;
        struct recorder_options o =
            recorder_options(form ? PVM_GAS_LOG_EACH : PVM_GAS_LOG_LEDGER);
        o.gap = true;
        record(&rec, text, &o);
        profile(&p, &rec.source, ANALYSIS_PROFILE_STACKS, NULL,
                (struct analysis_gas_options){.verify = true});
        uint64_t insns = weigh(collapsed(&p, ANALYSIS_WEIGHT_INSN), &depth);
        /* The calls at both ends of the gap have no event behind them. */
        assert_in_range(insns, rec.insn_count - 20 - 2, rec.insn_count - 20);
        assert_int_equal(weigh(collapsed(&p, ANALYSIS_WEIGHT_GAS), &depth),
                         p.totals.gas);
        done(&p);
        recording_fini(&rec);
    }
}

/* ---- symbols ---- */

static enum err parse(struct arena *arena, const char *map,
                      struct analysis_symbols *symbols, uint32_t *line)
{
    return analysis_symbols_parse(arena, bytes_of(map, strlen(map)), symbols, line);
}

static void test_symbols(void **unused)
{
    (void)unused;
    struct arena arena;
    struct analysis_symbols s;
    uint32_t line = 0;
    arena_init(&arena, 1 << 20);
    assert_int_equal(parse(&arena,
                           "code 0x00000000    100\n"
                           "export  0 0x00000000 main\n"
                           "function 0x00000005     10 main a.o .text\n"
                           "function 0x0000000f      0 label a.o .text\n"
                           "function 0x00000020     16 odd;name b.o .text.x\n"
                           "function 0x00000020     16 alias b.o .text.x\n"
                           "data 0x00020000     16 b.o .data\n"
                           "entry 0x00000002 0x0000000f\n",
                           &s, &line),
                     0);
    assert_int_equal(s.count, 4);
    assert_int_equal(analysis_symbol_at(&s, 4)->pc, 0);
    assert_int_equal(analysis_symbol_at(&s, 5)->pc, 5);
    assert_int_equal(analysis_symbol_at(&s, 14)->pc, 5);
    assert_int_equal(analysis_symbol_at(&s, 15)->pc, 15);
    assert_null(analysis_symbol_at(&s, 16));
    assert_int_equal(analysis_symbol_at(&s, 0x2f)->pc, 0x20);
    assert_null(analysis_symbol_at(&s, 0x30));
    assert_null(analysis_symbol_at(&s, UINT64_MAX));
    assert_int_equal(s.symbol[3].name.size, 8);
    assert_memory_equal(s.symbol[3].name.data, "odd_name", 8);
    arena_fini(&arena);
}

static void test_symbols_refused(void **unused)
{
    (void)unused;
    static const struct {
        const char *map;
        uint32_t line;
    } row[] = {{"", 1},
               {"code 0x0 1\n", 2},
               {"function\n", 1},
               {"function 0x1g 2 a b c\n", 1},
               {"code 0x0 1\nfunction 0x100000000 1 a b c\n", 2},
               {"function 0x1 1\n", 1},
               {"function 0x1 -1 a b c\n", 1},
               {"export 0 a\n", 1}};
    for (size_t i = 0; i < countof(row); i++) {
        struct arena arena;
        struct analysis_symbols s;
        uint32_t line = 0;
        arena_init(&arena, 1 << 20);
        if (parse(&arena, row[i].map, &s, &line) != ERR_usage || line != row[i].line)
            fail_msg("row %zu: line %u", i, (unsigned)line);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_add_up), cmocka_unit_test(test_functions),
        cmocka_unit_test(test_stacks),        cmocka_unit_test(test_tail_call),
        cmocka_unit_test(test_long_return),   cmocka_unit_test(test_deep),
        cmocka_unit_test(test_gap),           cmocka_unit_test(test_range),
        cmocka_unit_test(test_symbols),       cmocka_unit_test(test_symbols_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
