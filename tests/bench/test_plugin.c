/* SPDX-License-Identifier: MIT
 *
 * Engines as plug-ins: the example runs programs of the corpus and gives their results;
 * what is no engine is refused.
 *
 *   test_bench_plugin ENGINE.so OLD-ENGINE.so
 */
#include "bench/plugin.h"

#include "base/os.h"
#include "tests/test.h"

#include <string.h>

static const char *path, *old_path;

static const struct row {
    const char *name;
    uint64_t n;
    uint64_t expected;
} rows[] = {
#define PROGRAM(name, kind, n_test, n_bench, expected, text) {#name, n_test, expected},
#include "corpus/pvm/programs.def"
};

static void run_row(const struct bench_engine *engine, const struct row *row)
{
    struct bench_plugin_machine machine;
    struct pvm_container container;
    struct arena arena;
    struct buf file;
    char name[128];
    arena_init(&arena, 64 << 20);
    buf_init(&file, 16 << 20);
    (void)snprintf(name, sizeof name, "corpus/pvm/bin/%s.pvm", row->name);
    assert_int_equal(os_file_read(name, &file), ERR_ok);
    assert_int_equal(pvm_container_load(&arena, pvm_container_detect(buf_bytes(&file)),
                                        PVM_PROFILE_VECTORS, buf_bytes(&file),
                                        (struct bytes){0}, &container),
                     ERR_ok);
    assert_int_equal(bench_plugin_load(engine, &container, &machine), ERR_ok);
    for (unsigned round = 0; round < 2; round++) {
        uint64_t result = 0, ns = 0;
        assert_int_equal(bench_plugin_run(&machine, row->n, &result, &ns),
                         BENCH_ENGINE_HALT);
        assert_int_equal(result, row->expected);
    }
    bench_plugin_unload(&machine);
    buf_fini(&file);
    arena_fini(&arena);
}

static void test_programs(void **unused)
{
    (void)unused;
    static const char *const wanted[] = {"fib", "sieve", "hostcall"};
    const struct bench_engine *engine;
    const char *text;
    assert_int_equal(bench_plugin_open(path, &engine, &text), ERR_ok);
    assert_string_equal(engine->name, "interp-plug-in");
    unsigned ran = 0;
    for (size_t i = 0; i < countof(rows); i++) {
        for (size_t k = 0; k < countof(wanted); k++) {
            if (!strcmp(rows[i].name, wanted[k])) {
                run_row(engine, &rows[i]);
                ran++;
            }
        }
    }
    assert_int_equal(ran, countof(wanted));
}

/* Ends other than a halt. */
static void test_ends(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        int exit;
    } row[] = {
        {"trap\n", BENCH_ENGINE_PANIC},
        {"ecalli 7\n", BENCH_ENGINE_PANIC},
        {"load_u8 a0, [0x100000]\n", BENCH_ENGINE_PAGE_FAULT},
    };
    const struct bench_engine *engine;
    const char *text;
    assert_int_equal(bench_plugin_open(path, &engine, &text), ERR_ok);
    for (size_t i = 0; i < countof(row); i++) {
        struct pvm_container container = {.kind = PVM_CONTAINER_RAW};
        struct bench_plugin_machine machine;
        struct pvm_asm_error error;
        struct buf blob;
        uint64_t result, ns;
        buf_init(&blob, 4096);
        assert_int_equal(
            pvm_asm(bytes_of(row[i].text, strlen(row[i].text)), &blob, &error), ERR_ok);
        assert_int_equal(pvm_code_parse(buf_bytes(&blob), &container.code), ERR_ok);
        assert_int_equal(bench_plugin_load(engine, &container, &machine), ERR_ok);
        assert_int_equal(bench_plugin_run(&machine, 0, &result, &ns), row[i].exit);
        bench_plugin_unload(&machine);
        buf_fini(&blob);
    }
}

static void test_refused(void **unused)
{
    (void)unused;
    const struct bench_engine *engine = NULL;
    const char *text = NULL;
    assert_int_equal(bench_plugin_open("/nowhere/x.so", &engine, &text), ERR_io);
    assert_non_null(text);
    assert_int_equal(bench_plugin_open("libm.so.6", &engine, &text), ERR_unsupported);
    assert_non_null(strstr(text, "bench_engine"));
    assert_int_equal(bench_plugin_open(old_path, &engine, &text), ERR_unsupported);
    assert_non_null(strstr(text, "version"));
    assert_null(engine);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_refused),
    };
    check(argc == 3);
    path = argv[1];
    old_path = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
