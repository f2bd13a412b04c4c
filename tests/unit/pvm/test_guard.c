/* SPDX-License-Identifier: MIT
 *
 * The host refuses to protect a page (its limit of mappings, say): native code comes to
 * its end there, and the run goes on interpreted, with the same results [10.4].
 */
#include "base/hash.h"
#include "base/os_code.h"
#include "tests/unit/pvm/machine.h"

enum { DATA = 0x20000, DATA_PAGES = 8, READ_ONLY = 0x10000, REFUSALS = 16 };

/* Stores to one page after the other, then one that must not succeed, which it does
 * where no page is protected and native code runs on. */
static const char text[] = "    load_imm a0, 0x20000\n"
                           "    load_imm a1, 8\n"
                           "    store_ind_u8 a1, [a0 + 64]\n"
                           "    fallthrough\n"
                           "loop:\n"
                           "    store_ind_u64 a1, [a0]\n"
                           "    load_ind_u64 a2, [a0 + 8]\n"
                           "    add_imm_64 a0, a0, 4096\n"
                           "    add_imm_64 a1, a1, -1\n"
                           "    branch_ne_imm a1, 0, loop\n"
                           "    store_u8 a0, [0x10000]\n"
                           "    load_imm a3, 1\n"
                           "    trap\n";

static int left; /* calls that protect pages and may still succeed */

/* The linker puts this in the place of os_protect(). */
enum err __real_os_protect(void *start, size_t size, enum os_protection protection);
enum err __wrap_os_protect(void *start, size_t size, enum os_protection protection);

enum err __wrap_os_protect(void *start, size_t size, enum os_protection protection)
{
    /* The whole of an address space is one mapping, so that never fails. */
    if (size < (size_t)1 << 31 && left-- <= 0)
        return ERR_nomem;
    return __real_os_protect(start, size, protection);
}

/* What a recorder does: memory work at each deadline. */
static bool on_deadline(void *self, struct pvm_state *state, int64_t *ret_gas_stop)
{
    struct hash256 hash;
    assert_int_equal(pvm_digest_memory(self, &hash), ERR_ok);
    *ret_gas_stop = (int64_t)state->gas - 7;
    return true;
}

static struct pvm_outcome run(struct machine *m, const struct pvm_program *program,
                              uint32_t pc, bool charged)
{
    struct pvm_digest *digest = NULL;
    assert_int_equal(pvm_digest_create(&m->arena, m->mem, &digest), ERR_ok);
    const struct pvm_observer observer = {
        .self = digest, .deadline = on_deadline, .gas_stop = 1000000 - 20};
    m->state.pc = pc;
    m->state.charged = charged;
    m->state.reg[7] = DATA;
    m->state.reg[8] = 8;
    return pvm_run(m->engine, program, &m->state, NULL, &observer);
}

static void map(struct machine *m)
{
    machine_map(m, DATA, DATA_PAGES, PVM_ACCESS_RW);
    machine_map(m, READ_ONLY, 1, PVM_ACCESS_R);
}

static void compare(struct machine *want, struct machine *got)
{
    assert_memory_equal(got->state.reg, want->state.reg, sizeof want->state.reg);
    assert_int_equal(got->state.pc, want->state.pc);
    assert_int_equal(got->state.gas, want->state.gas);
    assert_int_equal(got->state.icount, want->state.icount);
    assert_int_equal(got->state.charged, want->state.charged);
    for (uint32_t page = READ_ONLY / PVM_PAGE_SIZE;
         page < DATA / PVM_PAGE_SIZE + DATA_PAGES; page++) {
        const uint8_t *bytes = pvm_mem_page(want->mem, page);
        if (bytes)
            assert_memory_equal(pvm_mem_page(got->mem, page), bytes, PVM_PAGE_SIZE);
    }
}

static void refuse_after(int count, uint32_t pc, bool charged)
{
    struct machine want, got;
    struct pvm_program *native = NULL;
    machine_init(&want, PVM_PROFILE_VECTORS, 0, PVM_GAS_LOG_NONE, text);
    machine_init(&got, PVM_PROFILE_VECTORS, 0, PVM_GAS_LOG_NONE, text);
    assert_int_equal(pvm_program_recompile(&got.arena, &got.code, &got.config,
                                           PVM_GAS_LOG_NONE, NULL, &native),
                     ERR_ok);
    map(&want);
    map(&got);
    struct pvm_outcome outcome = run(&want, want.program, pc, charged);
    assert_int_equal(outcome.exit, PVM_EXIT_PANIC);
    left = count;
    outcome = run(&got, native, pc, charged);
    assert_int_equal(outcome.exit, PVM_EXIT_PANIC);
    compare(&want, &got);
    pvm_program_close(native);
    machine_fini(&want);
    machine_fini(&got);
}

/* The pc of the n-th instruction. */
static uint32_t pc_of(unsigned n)
{
    struct machine m;
    machine_init(&m, PVM_PROFILE_VECTORS, 0, PVM_GAS_LOG_NONE, text);
    uint32_t pc = 0;
    while (n--)
        pc += 1 + pvm_code_skip(&m.code, pc);
    machine_fini(&m);
    return pc;
}

static void test_refusals(void **state)
{
    (void)state;
    if (!pvm_recomp_available())
        skip();
    const struct {
        uint32_t pc;
        bool charged;
    } begins[] = {{0, false}, {pc_of(2), true}, {pc_of(2), false}, {pc_of(6), true}};
    for (size_t b = 0; b < countof(begins); b++) {
        for (int count = 0; count < REFUSALS; count++)
            refuse_after(count, begins[b].pc, begins[b].charged);
        refuse_after(INT32_MAX, begins[b].pc, begins[b].charged);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
