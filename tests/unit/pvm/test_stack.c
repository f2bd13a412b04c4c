/* SPDX-License-Identifier: MIT
 *
 * Blocks with so many accesses near sp that recompiled code addresses the stack by a
 * register of the host: with sp anywhere, moved in between, accesses that fault or
 * wrap, and exits in the middle, against the interpreter.
 */
#include "tests/unit/pvm/machine.h"

#include <stdlib.h>

enum {
    SP = 1,
    A0 = 7,
    ACCESS_COUNT = 40,
    TURNS = 3,
    LOW = 0, /* pages that are mapped, 2 each */
    MIDDLE = 0x20000,
    FAR = 5 << 20, /* behind it, more than native code has a guard for */
    RUNS_MAX = 40,
};
#define HIGH 0xffffe000u

/* How a block is made. */
struct shape {
    int32_t x;          /* of the accesses, and each 8 more than the one before */
    const char *middle; /* instructions in the middle of it */
    enum pvm_profile profile;
    uint32_t page_gas;
};

static char text[8192];

/* Three turns of a loop of one block. */
static void make_text(const struct shape *shape)
{
    size_t size = (size_t)snprintf(text, sizeof text, "loop:\n");
    for (int32_t k = 0; k < ACCESS_COUNT; k++) {
        int32_t x = shape->x + 8 * (k / 2 % 8);
        size +=
            (size_t)snprintf(text + size, sizeof text - size,
                             k % 2 ? "load_ind_u64 a%d, [sp %c %d]\nadd_64 a1, a1, a0"
                                     "\n%s"
                                   : "store_ind_u64 a%d, [sp %c %d]\n%s",
                             k % 2 ? 2 + k % 4 : 1 + k % 4, x < 0 ? '-' : '+', abs(x),
                             k == ACCESS_COUNT / 2 ? shape->middle : "");
    }
    (void)snprintf(text + size, sizeof text - size,
                   "add_imm_64 a0, a0, -1\nbranch_ne_imm a0, 0, loop\ntrap\n");
}

static void map(struct machine *m, uint64_t sp)
{
    machine_map(m, LOW, 2, PVM_ACCESS_RW);
    machine_map(m, MIDDLE, 2, PVM_ACCESS_RW);
    machine_map(m, HIGH, 2, PVM_ACCESS_RW);
    for (unsigned r = 0; r < PVM_REG_COUNT; r++)
        m->state.reg[r] = 0x0123456789abcdefu * (r + 1);
    m->state.reg[SP] = sp;
    m->state.reg[A0] = TURNS;
}

static void compare(const struct machine *want, const struct machine *got)
{
    static const uint32_t pages[] = {LOW, MIDDLE, FAR, HIGH};
    assert_memory_equal(got->state.reg, want->state.reg, sizeof want->state.reg);
    assert_int_equal(got->state.pc, want->state.pc);
    assert_int_equal(got->state.gas, want->state.gas);
    assert_int_equal(got->state.icount, want->state.icount);
    assert_int_equal(got->state.charged, want->state.charged);
    for (size_t k = 0; k < 2 * countof(pages); k++) {
        uint32_t page = pages[k / 2] / PVM_PAGE_SIZE + k % 2;
        const uint8_t *bytes = pvm_mem_page(want->mem, page);
        assert_int_equal(bytes != NULL, pvm_mem_page(got->mem, page) != NULL);
        if (bytes)
            assert_memory_equal(pvm_mem_page(got->mem, page), bytes, PVM_PAGE_SIZE);
    }
}

/* What a host does between two runs. */
static void mend(struct machine *m, struct pvm_outcome outcome)
{
    if (outcome.exit == PVM_EXIT_PAGE_FAULT)
        machine_map(m, (uint32_t)outcome.arg, 1, PVM_ACCESS_RW);
    else if (outcome.exit == PVM_EXIT_OUT_OF_GAS)
        m->state.gas += 5000;
    else
        m->state.reg[A0 + 1]++;
}

/* Both engines, until the program ends; answers how often they were resumed. */
static unsigned run_both(const struct shape *shape, uint64_t sp, uint64_t gas,
                         enum pvm_gas_log log, const struct pvm_recomp_options *options)
{
    struct machine want, got;
    struct pvm_program *native = NULL;
    if (!pvm_recomp_available())
        skip();
    make_text(shape);
    machine_init(&want, shape->profile, shape->page_gas, log, text);
    machine_init(&got, shape->profile, shape->page_gas, log, text);
    assert_int_equal(pvm_program_recompile(&got.arena, &got.code, &got.config, log,
                                           options, &native),
                     ERR_ok);
    map(&want, sp);
    map(&got, sp);
    want.state.gas = got.state.gas = gas;
    unsigned runs = 0;
    for (bool ended = false; !ended; runs++) {
        assert_true(runs < RUNS_MAX);
        struct pvm_outcome outcome =
            pvm_run(want.engine, want.program, &want.state, NULL, NULL);
        struct pvm_outcome seen = pvm_run(got.engine, native, &got.state, NULL, NULL);
        assert_int_equal(seen.exit, outcome.exit);
        assert_int_equal(seen.arg, outcome.arg);
        compare(&want, &got);
        ended = outcome.exit == PVM_EXIT_TRAP || outcome.exit == PVM_EXIT_PANIC;
        if (!ended) {
            mend(&want, outcome);
            mend(&got, outcome);
        }
    }
    pvm_program_close(native);
    machine_fini(&want);
    machine_fini(&got);
    return runs - 1;
}

/* Every gas log, and holes. */
static unsigned run_all(const struct shape *shape, uint64_t sp)
{
    static const enum pvm_gas_log logs[] = {PVM_GAS_LOG_NONE, PVM_GAS_LOG_EACH,
                                            PVM_GAS_LOG_LEDGER, PVM_GAS_LOG_SUMMARY};
    struct pvm_recomp_options holes = {.explicit_checks = false};
    holes.interp_only[PVM_OP_add_64 / 64] |= (uint64_t)1 << PVM_OP_add_64 % 64;
    unsigned resumed = 0;
    for (size_t k = 0; k < countof(logs); k++) {
        resumed = run_both(shape, sp, 1000000, logs[k], NULL);
        assert_int_equal(run_both(shape, sp, 1000000, logs[k], &holes), resumed);
    }
    return resumed;
}

static void test_near(void **unused)
{
    const struct shape shape = {.middle = "", .profile = PVM_PROFILE_JAVM};
    (void)unused;
    assert_int_equal(run_all(&shape, MIDDLE + 64), 0);
    /* The upper half of sp does not matter. */
    assert_int_equal(run_all(&shape, 0xfedcba9800000000u + MIDDLE), 0);
}

/* At both ends of the addresses, and around them; far, a page that the host maps. */
static void test_wraps(void **unused)
{
    const struct shape near = {.middle = ""}, below = {.x = -32, .middle = ""},
                       far = {.x = FAR + PVM_PAGE_SIZE, .middle = ""},
                       guard = {.x = 3 << 20, .middle = ""};
    (void)unused;
    assert_int_equal(run_all(&near, 0xffffffffu - 39), 0);
    assert_int_equal(run_all(&below, 0), 0);
    assert_int_equal(run_all(&below, 20), 0);
    assert_int_equal(run_all(&far, HIGH + PVM_PAGE_SIZE), 1);
    assert_int_equal(run_all(&guard, HIGH + PVM_PAGE_SIZE), 1);
}

/* By a sum, a copy, and what the stack says. */
static void test_sp_moves(void **unused)
{
    static const char *const middle[] = {
        "add_imm_64 sp, sp, 4096\nadd_imm_64 a0, a0, 0\n",
        "add_imm_64 a5, sp, 64\nmove_reg sp, a5\n",
        "store_ind_u64 sp, [sp + 8]\nload_ind_u64 sp, [sp + 8]\n",
        "load_imm s0, 64\nadd_64 sp, s0, sp\nload_imm s0, 1\n",
    };
    (void)unused;
    for (size_t k = 0; k < countof(middle); k++) {
        const struct shape shape = {.middle = middle[k]};
        assert_true(run_all(&shape, MIDDLE) <= 2);
    }
}

/* The first page faults in the middle of the block; then the host maps it. */
static void test_faults(void **unused)
{
    const struct shape shape = {.middle = "load_ind_u64 a5, [sp + 8192]\n",
                                .profile = PVM_PROFILE_JAVM,
                                .page_gas = 1};
    const struct shape by_other = {.middle = "load_ind_u64 a5, [a1]\n"};
    (void)unused;
    assert_int_equal(run_all(&shape, MIDDLE), 1);
    assert_true(run_all(&by_other, MIDDLE) >= 1);
    for (uint64_t gas = 0; gas < 3000; gas += 171)
        (void)run_both(&shape, MIDDLE, gas, PVM_GAS_LOG_LEDGER, NULL);
}

static void test_calls(void **unused)
{
    const struct shape shape = {.middle = "ecalli 7\nload_ind_u64 a5, [sp + 8]\n",
                                .profile = PVM_PROFILE_VECTORS};
    (void)unused;
    assert_int_equal(run_all(&shape, MIDDLE), TURNS);
}

static void test_sandbox(void **unused)
{
    const struct shape shape = {.middle = "load_ind_u64 a5, [sp + 8192]\n",
                                .profile = PVM_PROFILE_JAVM,
                                .page_gas = 1};
    struct pvm_recomp_options options = {.explicit_checks = false};
    struct arena arena;
    (void)unused;
    arena_init(&arena, 1 << 20);
    if (pvm_sandbox_create(&arena, NULL, &options.sandbox)) {
        arena_fini(&arena);
        skip();
    }
    assert_int_equal(run_both(&shape, MIDDLE, 1000000, PVM_GAS_LOG_NONE, &options), 1);
    assert_int_equal(run_both(&shape, MIDDLE, 1000000, PVM_GAS_LOG_LEDGER, &options),
                     1);
    assert_int_equal(run_both(&shape, MIDDLE, 1000000, PVM_GAS_LOG_SUMMARY, &options),
                     1);
    pvm_sandbox_close(options.sandbox);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_near),     cmocka_unit_test(test_wraps),
        cmocka_unit_test(test_sp_moves), cmocka_unit_test(test_faults),
        cmocka_unit_test(test_calls),    cmocka_unit_test(test_sandbox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
