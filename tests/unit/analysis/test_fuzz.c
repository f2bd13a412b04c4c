/* SPDX-License-Identifier: MIT
 *
 * The fuzzer: counts, shards, a folder that a second call goes on with; and a part of
 * the exhaustive cases.  That it finds what is wrong: tests/diff/mutants.c.
 */
#include "analysis/exhaust.h"
#include "analysis/fuzz.h"

#include "base/os.h"
#include "tests/test.h"

#include <string.h>
#include <unistd.h>

#define LONG_NS UINT64_C(60000000000)

static char folder[] = "/tmp/lockstep-fuzz-XXXXXX";

static bool on_finding(void *self, const struct analysis_finding *finding)
{
    (void)self;
    print_message("program %llu: %s\n", (unsigned long long)finding->number,
                  finding->verdict->text);
    return false;
}

static struct analysis_fuzz_setup setup_of(uint64_t count)
{
    return (struct analysis_fuzz_setup){
        .engine = {ANALYSIS_ENGINE_INTERP, pvm_recomp_available()
                                               ? ANALYSIS_ENGINE_RECOMP
                                               : ANALYSIS_ENGINE_OTHER},
        .seed = test_seed(1),
        .count = count,
        .jobs = 1,
        .shard_count = 1,
        .op = ANALYSIS_EXHAUST_ALL,
        .hang_ns = LONG_NS,
        .finding = on_finding,
    };
}

static struct analysis_fuzz_counts fuzz(const struct analysis_fuzz_setup *setup)
{
    struct analysis_fuzz_counts counts;
    assert_int_equal(analysis_fuzz(setup, &counts), ERR_ok);
    assert_int_equal(counts.differences, 0);
    return counts;
}

static void test_counts(void **unused)
{
    (void)unused;
    struct analysis_fuzz_setup setup = setup_of(1000);
    struct analysis_fuzz_counts one = fuzz(&setup), again = fuzz(&setup);
    assert_int_equal(one.programs, 1024);
    assert_int_equal(one.next, 4);
    assert_true(one.features > 1000 && one.corpus > 100);
    assert_true(one.icount > 10000);
    /* One job's programs are the same every time. */
    assert_int_equal(one.icount, again.icount);
    assert_int_equal(one.features, again.features);
    setup.jobs = 3;
    assert_int_equal(fuzz(&setup).programs, 1024);
    setup.seed++;
    setup.jobs = 1;
    assert_int_not_equal(fuzz(&setup).icount, one.icount);
}

static uint64_t kept_files(void)
{
    struct buf names;
    uint64_t count = 0;
    buf_init(&names, 1 << 20);
    assert_int_equal(os_folder_list(folder, &names), ERR_ok);
    for (size_t at = 0; at < names.size; count++)
        at += strlen((const char *)names.data + at) + 1;
    buf_fini(&names);
    return count;
}

static void test_folder(void **unused)
{
    (void)unused;
    struct analysis_fuzz_setup setup = setup_of(512);
    setup.corpus = folder;
    struct analysis_fuzz_counts first = fuzz(&setup);
    assert_int_equal(first.programs, 512);
    assert_int_equal(first.next, 2);
    assert_int_equal(kept_files(), first.corpus + 1);
    struct analysis_fuzz_counts second = fuzz(&setup);
    /* What was kept runs once more, and is known. */
    assert_int_equal(second.programs, 512 + first.corpus);
    assert_int_equal(second.next, 4);
    assert_true(second.features > first.features);
    setup.seed++;
    struct analysis_fuzz_counts counts;
    assert_int_equal(analysis_fuzz(&setup, &counts), ERR_case);
}

static void test_shards(void **unused)
{
    (void)unused;
    struct analysis_fuzz_setup setup = setup_of(0);
    uint64_t programs = 0, icount = 0;
    setup.exhaustive = true;
    setup.op = PVM_OP_xor;
    setup.jobs = 2;
    struct analysis_fuzz_counts all = fuzz(&setup);
    assert_int_equal(all.programs, analysis_exhaust_count(PVM_OP_xor));
    setup.shard_count = 3;
    for (setup.shard = 0; setup.shard < 3; setup.shard++) {
        struct analysis_fuzz_counts counts = fuzz(&setup);
        programs += counts.programs;
        icount += counts.icount;
    }
    assert_int_equal(programs, all.programs);
    assert_int_equal(icount, all.icount);
    struct analysis_fuzz_counts counts;
    assert_int_equal(analysis_fuzz(&setup, &counts), ERR_usage); /* shard 3 of 0..2 */
}

static bool always(void)
{
    return true;
}

static void test_ends(void **unused)
{
    (void)unused;
    struct analysis_fuzz_setup setup = setup_of(0);
    setup.interrupted = always;
    assert_true(fuzz(&setup).programs < 100000);
    setup.interrupted = NULL;
    setup.time_ns = 50000000;
    struct analysis_fuzz_counts counts = fuzz(&setup);
    assert_true(counts.time_ns >= setup.time_ns);
}

/* Some of each opcode's cases. */
static void test_exhaustive(void **unused)
{
    (void)unused;
    enum { OF_EACH = 12 };
    const enum analysis_engine engine[2] = {
        ANALYSIS_ENGINE_INTERP,
        pvm_recomp_available() ? ANALYSIS_ENGINE_RECOMP : ANALYSIS_ENGINE_OTHER};
    static struct analysis_case c;
    struct analysis_pair *pair;
    struct arena arena;
    uint64_t all = 0, random = test_seed(1);
    arena_init(&arena, 64 << 20);
    assert_int_equal(analysis_pair_create(&arena, engine, &pair), ERR_ok);
    for (unsigned op = 0; op < 256; op++) {
        uint64_t count = analysis_exhaust_count(op);
        assert_int_equal(count != 0, pvm_op_info[op].name != NULL);
        for (uint64_t k = 0; k < OF_EACH && k < count; k++) {
            struct analysis_pair_report report;
            uint64_t index = count <= OF_EACH ? k : test_random(&random) % count;
            analysis_exhaust_make(op, index, &c);
            assert_int_equal(analysis_pair_run(pair, &c, &report), ERR_ok);
            if (report.field)
                fail_msg("opcode %u, case %llu: %s: 0x%llx, 0x%llx", op,
                         (unsigned long long)index, report.field,
                         (unsigned long long)report.value[0],
                         (unsigned long long)report.value[1]);
        }
        all += count;
    }
    assert_int_equal(all, analysis_exhaust_count(ANALYSIS_EXHAUST_ALL));
    analysis_pair_close(pair);
    arena_fini(&arena);
}

static int make_folder(void **unused)
{
    (void)unused;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **unused)
{
    (void)unused;
    struct buf names;
    buf_init(&names, 1 << 20);
    if (os_folder_list(folder, &names))
        return 1;
    for (size_t at = 0; at < names.size;) {
        char path[4096];
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        (void)snprintf(path, sizeof path, "%s/%s", folder, name);
        (void)unlink(path);
    }
    buf_fini(&names);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),     cmocka_unit_test(test_folder),
        cmocka_unit_test(test_shards),     cmocka_unit_test(test_ends),
        cmocka_unit_test(test_exhaustive),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
