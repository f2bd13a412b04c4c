/* SPDX-License-Identifier: MIT
 *
 * The cache of native code: what it takes for the same program, what goes when, and
 * that programs which share an entry do not notice.
 */
#include "tests/unit/pvm/machine.h"

/* a0 = a0 + 3 * a1, by way of the table and of memory. */
static const char adding[] = "load_imm t0, 2\n"
                             "jump_ind t0, 0\n"
                             "loop:\n"
                             "add_imm_64 a0, a0, 3\n"
                             "add_imm_64 a1, a1, -1\n"
                             "store_u64 a0, [0x20000]\n"
                             "branch_ne_imm a1, 0, loop\n"
                             "trap\n"
                             ".jump loop\n";

enum { A0 = 7, A1 = 8, SIZE_ENOUGH = 1 << 24 };

static void begin(struct machine *m)
{
    if (!pvm_recomp_available())
        skip();
    machine_init(m, PVM_PROFILE_JAVM, 0, PVM_GAS_LOG_NONE, adding);
    machine_map(m, 0x20000, 1, PVM_ACCESS_RW);
}

static struct pvm_recomp_cache *cache_of(struct machine *m, size_t size_max)
{
    struct pvm_recomp_cache *cache = NULL;
    assert_int_equal(pvm_recomp_cache_create(&m->arena, size_max, &cache), ERR_ok);
    return cache;
}

static struct pvm_program *open_log(struct machine *m, enum pvm_gas_log log,
                                    struct pvm_recomp_options options)
{
    struct pvm_program *program = NULL;
    assert_int_equal(
        pvm_program_recompile(&m->arena, &m->code, &m->config, log, &options, &program),
        ERR_ok);
    return program;
}

static struct pvm_program *open(struct machine *m, struct pvm_recomp_cache *cache)
{
    return open_log(m, PVM_GAS_LOG_NONE, (struct pvm_recomp_options){.cache = cache});
}

static const void *address(const struct pvm_program *program)
{
    const void *at = NULL;
    assert_true(pvm_program_native_code(program, &at).size > 0);
    return at;
}

/* Run it on the machine's memory, and compare with the interpreter. */
static void check_run(struct machine *m, const struct pvm_program *program)
{
    struct pvm_state state[2];
    struct pvm_outcome outcome[2];
    for (unsigned k = 0; k < 2; k++) {
        state[k] = m->state;
        state[k].reg[A0] = 5;
        state[k].reg[A1] = 7;
        outcome[k] =
            pvm_run(m->engine, k ? program : m->program, &state[k], NULL, NULL);
    }
    assert_int_equal(outcome[0].exit, PVM_EXIT_TRAP);
    assert_int_equal(outcome[1].exit, PVM_EXIT_TRAP);
    assert_int_equal(state[1].reg[A0], 5 + 3 * 7);
    assert_memory_equal(&state[0], &state[1], sizeof state[0]);
}

static void check_counts(const struct pvm_recomp_cache *cache, uint64_t hits,
                         uint64_t misses, uint32_t count)
{
    struct pvm_recomp_cache_counts counts = pvm_recomp_cache_counts(cache);
    assert_int_equal(counts.hits, hits);
    assert_int_equal(counts.misses, misses);
    assert_int_equal(counts.count, count);
    assert_int_equal(counts.size == 0, count == 0);
}

static void test_hits(void **unused)
{
    (void)unused;
    struct machine m, other;
    begin(&m);
    begin(&other); /* the same bytes elsewhere */
    struct pvm_recomp_cache *cache = cache_of(&m, SIZE_ENOUGH);
    struct pvm_program *first = open(&other, cache);
    check_run(&other, first);
    struct pvm_program *second = open(&m, cache);
    check_counts(cache, 1, 1, 1);
    assert_ptr_equal(address(first), address(second));
    assert_ptr_equal(pvm_program_code(second), &m.code);
    check_run(&m, second);
    check_run(&other, first);
    pvm_program_close(first);
    machine_fini(&other); /* and with it the code that was compiled */
    check_run(&m, second);
    pvm_program_close(second);
    second = open(&m, cache);
    check_counts(cache, 2, 1, 1);
    check_run(&m, second);
    pvm_program_close(second);
    pvm_recomp_cache_close(cache);
    check_counts(cache, 2, 1, 0);
    pvm_recomp_cache_close(cache);
    pvm_recomp_cache_close(NULL);
    machine_fini(&m);
}

/* Open what is not in the cache. */
static void check_misses(struct machine *m, enum pvm_gas_log log,
                         struct pvm_recomp_options options)
{
    struct pvm_recomp_cache_counts before = pvm_recomp_cache_counts(options.cache);
    for (unsigned k = 0; k < 2; k++) { /* and then is */
        pvm_program_close(open_log(m, log, options));
        struct pvm_recomp_cache_counts now = pvm_recomp_cache_counts(options.cache);
        assert_int_equal(now.misses, before.misses + 1);
        assert_int_equal(now.hits, before.hits + k);
        assert_int_equal(now.count, before.count + 1);
    }
}

/* Each part of a key alone [11.3, M56]. */
static void test_keys(void **unused)
{
    (void)unused;
    struct machine m;
    begin(&m);
    struct pvm_recomp_options options = {.cache = cache_of(&m, SIZE_ENOUGH)};
    struct pvm_recomp_options changed = options;
    check_misses(&m, PVM_GAS_LOG_NONE, options);
    check_misses(&m, PVM_GAS_LOG_LEDGER, options);
    check_misses(&m, PVM_GAS_LOG_SUMMARY, options);
    changed.interp_only[PVM_OP_add_imm_64 / 64] = (uint64_t)1 << PVM_OP_add_imm_64 % 64;
    check_misses(&m, PVM_GAS_LOG_NONE, changed);
    changed = options;
    changed.explicit_checks = true;
    check_misses(&m, PVM_GAS_LOG_NONE, changed);
    changed = options;
    changed.unmetered = true;
    check_misses(&m, PVM_GAS_LOG_NONE, changed);
    changed = options;
    changed.keep_map = true;
    check_misses(&m, PVM_GAS_LOG_NONE, changed);
    m.config.mem_cycles++;
    check_misses(&m, PVM_GAS_LOG_NONE, options);
    m.config.model = 0;
    check_misses(&m, PVM_GAS_LOG_NONE, options);
    m.config.model = 256;
    check_misses(&m, PVM_GAS_LOG_NONE, options);
    m.config = pvm_config_default(PVM_PROFILE_VECTORS);
    check_misses(&m, PVM_GAS_LOG_NONE, options);
    m.config.model = 0;
    uint8_t jump[8] = {0}, mask[64] = {0}, code[64] = {0};
    memcpy(jump, m.code.jump, m.code.jump_width);
    memcpy(mask, m.code.bitmask, (m.code.code.size + 7) / 8);
    memcpy(code, m.code.code.data, m.code.code.size);
    m.code.jump = jump;
    jump[0]++;
    check_misses(&m, PVM_GAS_LOG_NONE, options);
    m.code.jump_count = 0;
    check_misses(&m, PVM_GAS_LOG_NONE, options);
    m.code.bitmask = mask;
    mask[0] ^= 2;
    check_misses(&m, PVM_GAS_LOG_NONE, options);
    m.code.code = bytes_of(code, m.code.code.size);
    code[m.code.code.size - 1]++;
    check_misses(&m, PVM_GAS_LOG_NONE, options);
    m.code.code.size--;
    check_misses(&m, PVM_GAS_LOG_NONE, options);
    pvm_recomp_cache_close(options.cache);
    machine_fini(&m);
}

/* The program with another latency of memory is another one, of the same size. */
static struct pvm_program *open_nth(struct machine *m, struct pvm_recomp_cache *cache,
                                    uint32_t n)
{
    m->config.mem_cycles = 100 + n;
    return open(m, cache);
}

static size_t size_of_one(struct machine *m)
{
    struct pvm_recomp_cache *cache = cache_of(m, SIZE_ENOUGH);
    pvm_program_close(open_nth(m, cache, 0));
    size_t size = pvm_recomp_cache_counts(cache).size;
    pvm_recomp_cache_close(cache);
    return size;
}

static void test_oldest_goes(void **unused)
{
    (void)unused;
    enum { FIT = 4, ROUNDS = 5 };
    struct machine m;
    begin(&m);
    size_t one = size_of_one(&m);
    struct pvm_recomp_cache *cache = cache_of(&m, FIT * one + one / 2);
    uint64_t misses = 0;
    for (uint32_t n = 0; n < FIT; n++, misses++)
        pvm_program_close(open_nth(&m, cache, n));
    check_counts(cache, 0, misses, FIT);
    for (uint32_t n = 0; n < ROUNDS; n++, misses++) {
        pvm_program_close(open_nth(&m, cache, 0)); /* used, so it stays */
        pvm_program_close(open_nth(&m, cache, FIT + n));
        check_counts(cache, n + 1, misses + 1, FIT);
        assert_true(pvm_recomp_cache_counts(cache).size <= FIT * one + one / 2);
        assert_int_equal(pvm_recomp_cache_counts(cache).evictions, n + 1);
    }
    pvm_program_close(open_nth(&m, cache, 1)); /* is gone */
    check_counts(cache, ROUNDS, misses + 1, FIT);
    pvm_recomp_cache_close(cache);
    machine_fini(&m);
}

static void test_used_stays(void **unused)
{
    (void)unused;
    enum { OPEN = 5 };
    struct machine m;
    begin(&m);
    struct pvm_recomp_cache *cache = cache_of(&m, size_of_one(&m) * 2);
    struct pvm_program *program[OPEN];
    for (uint32_t n = 0; n < OPEN; n++)
        program[n] = open_nth(&m, cache, n);
    check_counts(cache, 0, OPEN, OPEN); /* more than fit */
    m.config = pvm_config_default(PVM_PROFILE_JAVM);
    for (uint32_t n = 0; n < OPEN; n++) {
        struct pvm_state state = m.state;
        state.reg[A1] = 1;
        assert_int_equal(pvm_run(m.engine, program[n], &state, NULL, NULL).exit,
                         PVM_EXIT_TRAP);
        assert_int_equal(state.reg[A0], 3);
    }
    for (uint32_t n = 0; n < OPEN; n++)
        pvm_program_close(program[n]);
    check_counts(cache, 0, OPEN, 2); /* and went when they were not in use */
    pvm_program_close(open_nth(&m, cache, OPEN - 1));
    check_counts(cache, 1, OPEN, 2);
    pvm_recomp_cache_close(cache);
    machine_fini(&m);
}

/* A cache for nothing, and one with all its places taken. */
static void test_no_room(void **unused)
{
    (void)unused;
    enum { PLACES = 256, MORE = 3 };
    struct machine m;
    begin(&m);
    struct pvm_recomp_cache *cache = cache_of(&m, 0);
    struct pvm_program *program[PLACES + MORE];
    program[0] = open(&m, cache);
    check_run(&m, program[0]);
    pvm_program_close(program[0]);
    check_counts(cache, 0, 1, 0);
    pvm_recomp_cache_close(cache);

    cache = cache_of(&m, SIZE_ENOUGH);
    for (uint32_t n = 0; n < PLACES + MORE; n++)
        program[n] = open_nth(&m, cache, n);
    check_counts(cache, 0, PLACES + MORE, PLACES);
    for (uint32_t n = 0; n < PLACES + MORE; n++)
        pvm_program_close(program[n]);
    check_counts(cache, 0, PLACES + MORE, PLACES);
    assert_int_equal(pvm_recomp_cache_counts(cache).evictions, 0);
    pvm_recomp_cache_close(cache);
    machine_fini(&m);
}

/* One worker after the other runs what was compiled for the first. */
static void test_sandboxes(void **unused)
{
    (void)unused;
    struct machine m;
    begin(&m);
    struct pvm_recomp_options options = {.cache = cache_of(&m, SIZE_ENOUGH)};
    struct pvm_program *here = open(&m, options.cache);
    for (unsigned k = 0; k < 2; k++) {
        assert_int_equal(pvm_sandbox_create(&m.arena, NULL, &options.sandbox), ERR_ok);
        struct pvm_program *there = open_log(&m, PVM_GAS_LOG_NONE, options);
        check_counts(options.cache, k, 2, 2);
        assert_ptr_not_equal(address(here), address(there));
        check_run(&m, there);
        pvm_program_close(there);
        pvm_sandbox_close(options.sandbox);
    }
    check_run(&m, here);
    pvm_program_close(here);
    pvm_recomp_cache_close(options.cache);
    machine_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits),        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_oldest_goes), cmocka_unit_test(test_used_stays),
        cmocka_unit_test(test_no_room),     cmocka_unit_test(test_sandboxes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
