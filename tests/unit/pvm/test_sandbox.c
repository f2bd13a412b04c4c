/* SPDX-License-Identifier: MIT
 *
 * Programs in a sandbox: the same results, and an orderly end when it is lost.  That
 * results are the same for random programs is tests/diff/test_engines.c's business.
 */
#define _GNU_SOURCE
#include "tests/unit/pvm/machine.h"

#include <signal.h>
#include <sys/wait.h>

/* Adds a0 to a word in memory, a1 times, with a call each time. */
static const char adding[] = "loop:\n"
                             "load_u64 a2, [0x20000]\n"
                             "add_64 a2, a2, a0\n"
                             "store_u64 a2, [0x20000]\n"
                             "ecalli 5\n"
                             "add_imm_64 a1, a1, -1\n"
                             "branch_ne_imm a1, 0, loop\n"
                             "trap\n";
static const char endless[] = "loop:\n"
                              "jump loop\n";

static void need_recompiler(void)
{
    if (!pvm_recomp_available())
        skip();
}

/* The program of `m` once more, for the sandbox. */
static void recompile(struct machine *m, enum pvm_gas_log log,
                      struct pvm_sandbox *sandbox, bool unmetered)
{
    struct pvm_recomp_options options = {.sandbox = sandbox, .unmetered = unmetered};
    assert_int_equal(pvm_program_recompile(&m->arena, &m->code, &m->config, log,
                                           &options, &m->program),
                     ERR_ok);
}

static void machine_begin(struct machine *m, enum pvm_gas_log log)
{
    machine_init(m, PVM_PROFILE_JAVM, 0, log, adding);
    machine_map(m, 0x20000, 1, PVM_ACCESS_RW);
    m->state.reg[7] = 3;
    m->state.reg[8] = 10;
}

static uint64_t word_of(struct machine *m)
{
    uint64_t word;
    assert_int_equal(pvm_mem_read(m->mem, 0x20000, sizeof word, &word), ERR_ok);
    return word;
}

/* ---- a host that kills the worker at a certain call ---- */

struct killer {
    struct pvm_sandbox *sandbox;
    unsigned kill_at, calls, segments;
    struct pvm_state last;
};

static enum pvm_answer on_ecall(void *self, struct pvm_state *state, enum pvm_exit kind,
                                uint64_t number, uint32_t pc,
                                struct pvm_outcome *ret_outcome)
{
    struct killer *k = self;
    (void)kind, (void)number, (void)pc, (void)ret_outcome;
    k->last = *state;
    if (++k->calls == k->kill_at) {
        siginfo_t info;
        int pid = pvm_sandbox_worker_pid(k->sandbox);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | __WALL),
                         0);
    }
    return PVM_ANSWER_CONTINUE;
}

static void on_segment(void *self, const struct pvm_state *state,
                       const struct pvm_segment *segment)
{
    (void)state, (void)segment;
    ((struct killer *)self)->segments++;
}

static struct pvm_outcome run(struct machine *m, struct killer *k)
{
    struct pvm_host host = {.ecall = on_ecall, .self = k};
    struct pvm_observer observer = {.segment = on_segment, .self = k, .gas_stop = -1};
    return pvm_run(m->engine, m->program, &m->state, &host, &observer);
}

static void test_runs(void **unused)
{
    (void)unused;
    need_recompiler();
    for (unsigned single = 0; single < 2; single++) {
        struct machine m;
        struct killer k = {.kill_at = 0};
        struct pvm_sandbox_options options = {.single = single};
        machine_begin(&m, PVM_GAS_LOG_LEDGER);
        assert_int_equal(pvm_sandbox_create(&m.arena, &options, &k.sandbox), ERR_ok);
        recompile(&m, PVM_GAS_LOG_LEDGER, k.sandbox, false);
        assert_int_equal(run(&m, &k).exit, PVM_EXIT_TRAP);
        assert_int_equal(word_of(&m), 30);
        assert_int_equal(k.calls, 10);
        assert_int_equal(k.segments, 11);
        assert_int_equal(pvm_sandbox_err(k.sandbox), ERR_ok);
        /* Another program in the same space; where it is locked, in a new process. */
        int pid = pvm_sandbox_worker_pid(k.sandbox);
        pvm_program_close(m.program);
        recompile(&m, PVM_GAS_LOG_LEDGER, k.sandbox, false);
        m.state.pc = 0;
        m.state.charged = false;
        m.state.reg[8] = 4;
        assert_int_equal(run(&m, &k).exit, PVM_EXIT_TRAP);
        assert_int_equal(word_of(&m), 42);
        assert_int_equal(pid != pvm_sandbox_worker_pid(k.sandbox), single);
        pvm_program_close(m.program);
        pvm_sandbox_close(k.sandbox);
        pvm_sandbox_close(k.sandbox);
        machine_fini(&m);
    }
}

/* One space in this process, in a sandbox, here again, and in another one. */
static void test_space_moves(void **unused)
{
    (void)unused;
    need_recompiler();
    struct machine m;
    machine_begin(&m, PVM_GAS_LOG_NONE);
    struct pvm_sandbox *sandbox[2];
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pvm_sandbox_create(&m.arena, NULL, &sandbox[i]), ERR_ok);
    for (unsigned i = 0; i < 12; i++) {
        struct killer k = {.sandbox = i % 3 == 2 ? NULL : sandbox[i % 3]};
        recompile(&m, PVM_GAS_LOG_NONE, k.sandbox, false);
        m.state.pc = 0;
        m.state.charged = false;
        m.state.reg[8] = 2;
        assert_int_equal(run(&m, &k).exit, PVM_EXIT_TRAP);
        assert_int_equal(word_of(&m), 6 * (i + 1));
        pvm_program_close(m.program);
    }
    pvm_sandbox_close(sandbox[0]);
    pvm_sandbox_close(sandbox[1]);
    machine_fini(&m);
}

/* More pages than one call can speak of, in a pattern. */
static void test_many_pages(void **unused)
{
    (void)unused;
    need_recompiler();
    static const char touching[] = "loop:\n"
                                   "store_ind_u64 a1, [a0]\n"
                                   "add_imm_64 a0, a0, 0x2000\n"
                                   "branch_lt_u a0, a2, loop\n"
                                   "trap\n";
    struct machine m;
    struct killer k = {.kill_at = 0};
    machine_init(&m, PVM_PROFILE_JAVM, 0, PVM_GAS_LOG_NONE, touching);
    for (uint32_t page = 0; page < 400; page += 2)
        machine_map(&m, 0x100000 + page * PVM_PAGE_SIZE, 1, PVM_ACCESS_RW);
    assert_int_equal(pvm_sandbox_create(&m.arena, NULL, &k.sandbox), ERR_ok);
    recompile(&m, PVM_GAS_LOG_NONE, k.sandbox, false);
    m.state.reg[7] = 0x100000;
    m.state.reg[8] = 99;
    m.state.reg[9] = 0x100000 + 400 * PVM_PAGE_SIZE;
    assert_int_equal(run(&m, &k).exit, PVM_EXIT_TRAP);
    for (uint32_t page = 0; page < 400; page += 2)
        assert_true(pvm_mem_written(m.mem, 0x100 + page));
    m.state.reg[7] = 0x101000; /* not mapped */
    m.state.pc = 0;
    m.state.charged = false;
    struct pvm_outcome outcome = run(&m, &k);
    assert_int_equal(outcome.exit, PVM_EXIT_PAGE_FAULT);
    assert_int_equal(outcome.arg, 0x101000);
    pvm_program_close(m.program);
    pvm_sandbox_close(k.sandbox);
    machine_fini(&m);
}

static void test_lost(void **unused)
{
    (void)unused;
    need_recompiler();
    struct machine m;
    struct killer k = {.kill_at = 4};
    machine_begin(&m, PVM_GAS_LOG_LEDGER);
    assert_int_equal(pvm_sandbox_create(&m.arena, NULL, &k.sandbox), ERR_ok);
    recompile(&m, PVM_GAS_LOG_LEDGER, k.sandbox, false);
    assert_int_equal(run(&m, &k).exit, PVM_EXIT_LOST);
    assert_int_equal(pvm_sandbox_err(k.sandbox), ERR_worker_lost);
    assert_int_equal(k.calls, 4);
    assert_int_equal(k.segments, 4); /* none for what was lost */
    assert_memory_equal(&m.state.reg, &k.last.reg, sizeof m.state.reg);
    assert_int_equal(m.state.gas, k.last.gas);
    assert_int_equal(m.state.icount, k.last.icount);
    assert_int_equal(m.state.pc, k.last.pc);
    assert_int_equal(run(&m, &k).exit, PVM_EXIT_LOST); /* it stays lost */
    pvm_program_close(m.program);
    pvm_sandbox_close(k.sandbox);
    /* The memory is as it was, and another sandbox goes on with it. */
    k.kill_at = 0;
    assert_int_equal(pvm_sandbox_create(&m.arena, NULL, &k.sandbox), ERR_ok);
    recompile(&m, PVM_GAS_LOG_LEDGER, k.sandbox, false);
    assert_int_equal(run(&m, &k).exit, PVM_EXIT_TRAP);
    assert_int_equal(word_of(&m), 30);
    pvm_program_close(m.program);
    pvm_sandbox_close(k.sandbox);
    machine_fini(&m);
}

static void test_timeout(void **unused)
{
    (void)unused;
    need_recompiler();
    struct machine m;
    struct killer k = {.kill_at = 0};
    struct pvm_sandbox_options options = {.timeout_ns = 20000000};
    machine_init(&m, PVM_PROFILE_JAVM, 0, PVM_GAS_LOG_NONE, endless);
    assert_int_equal(pvm_sandbox_create(&m.arena, &options, &k.sandbox), ERR_ok);
    recompile(&m, PVM_GAS_LOG_NONE, k.sandbox, true);
    assert_int_equal(run(&m, &k).exit, PVM_EXIT_LOST);
    assert_int_equal(pvm_sandbox_err(k.sandbox), ERR_worker_timeout);
    pvm_program_close(m.program);
    pvm_sandbox_close(k.sandbox);
    machine_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),       cmocka_unit_test(test_space_moves),
        cmocka_unit_test(test_many_pages), cmocka_unit_test(test_lost),
        cmocka_unit_test(test_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
