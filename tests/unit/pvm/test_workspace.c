/* SPDX-License-Identifier: MIT
 *
 * A workspace of the recompiler: programs that are compiled into it one after the other
 * and beside each other run as if they had memory of their own, and it stays.
 */
#include "tests/unit/pvm/machine.h"

enum { A0 = 7, A1 = 8 };

/* a0 = a0 + `add` * a1, with `padding` instructions behind that nobody executes. */
static void begin(struct machine *m, int add, unsigned padding)
{
    static char text[1 << 16];
    int size = snprintf(text, sizeof text,
                        "load_imm t0, 2\n"
                        "jump_ind t0, 0\n"
                        "loop:\n"
                        "add_imm_64 a0, a0, %d\n"
                        "add_imm_64 a1, a1, -1\n"
                        "store_u64 a0, [0x20000]\n"
                        "branch_ne_imm a1, 0, loop\n"
                        "trap\n"
                        ".jump loop\n",
                        add);
    for (unsigned k = 0; k < padding; k++)
        size += snprintf(text + size, sizeof text - (size_t)size, "fallthrough\n");
    machine_init(m, PVM_PROFILE_JAVM, 0, PVM_GAS_LOG_NONE, text);
    machine_map(m, 0x20000, 1, PVM_ACCESS_RW);
}

static struct pvm_program *open(struct machine *m, struct pvm_recomp_workspace *space)
{
    struct pvm_program *program = NULL;
    const struct pvm_recomp_options options = {.workspace = space};
    assert_int_equal(pvm_program_recompile(&m->arena, &m->code, &m->config,
                                           PVM_GAS_LOG_NONE, &options, &program),
                     ERR_ok);
    return program;
}

static const void *address(const struct pvm_program *program)
{
    const void *at = NULL;
    assert_true(pvm_program_native_code(program, &at).size > 0);
    return at;
}

static void check_run(struct machine *m, const struct pvm_program *program, int add)
{
    struct pvm_state state[2];
    for (unsigned k = 0; k < 2; k++) {
        state[k] = m->state;
        state[k].reg[A0] = 5;
        state[k].reg[A1] = 7;
        struct pvm_outcome outcome =
            pvm_run(m->engine, k ? program : m->program, &state[k], NULL, NULL);
        assert_int_equal(outcome.exit, PVM_EXIT_TRAP);
    }
    assert_int_equal(state[1].reg[A0], 5 + add * 7);
    assert_memory_equal(&state[0], &state[1], sizeof state[0]);
}

static struct pvm_recomp_workspace *workspace(struct arena *arena)
{
    struct pvm_recomp_workspace *space = NULL;
    if (!pvm_recomp_available())
        skip();
    assert_int_equal(pvm_recomp_workspace_create(arena, &space), ERR_ok);
    return space;
}

static void test_one_after_the_other(void **unused)
{
    (void)unused;
    struct arena arena;
    arena_init(&arena, 1 << 16);
    struct pvm_recomp_workspace *space = workspace(&arena);
    static const unsigned padding[] = {3, 0, 200, 2000, 1, 1999};
    const void *at = NULL;
    for (unsigned k = 0; k < countof(padding); k++) {
        struct machine m;
        begin(&m, (int)k + 2, padding[k]);
        struct pvm_program *program = open(&m, space);
        if (k == 1 || k == 4 || k == 5)
            assert_ptr_equal(address(program), at);
        at = address(program);
        check_run(&m, program, (int)k + 2);
        pvm_program_close(program);
        machine_fini(&m);
    }
    pvm_recomp_workspace_close(space);
    pvm_recomp_workspace_close(space);
    arena_fini(&arena);
}

static void test_beside_each_other(void **unused)
{
    (void)unused;
    struct arena arena;
    struct machine m[3];
    struct pvm_program *program[3];
    arena_init(&arena, 1 << 16);
    struct pvm_recomp_workspace *space = workspace(&arena);
    for (unsigned k = 0; k < 3; k++) {
        begin(&m[k], (int)k + 10, k);
        program[k] = open(&m[k], space);
    }
    const void *at = address(program[0]);
    for (unsigned k = 0; k < 3; k++)
        check_run(&m[k], program[k], (int)k + 10);
    pvm_program_close(program[0]);
    program[0] = open(&m[0], space);
    assert_ptr_equal(address(program[0]), at);
    for (unsigned k = 3; k-- > 0;) {
        check_run(&m[k], program[k], (int)k + 10);
        pvm_program_close(program[k]);
        machine_fini(&m[k]);
    }
    pvm_recomp_workspace_close(space);
    pvm_recomp_workspace_close(NULL);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_beside_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
