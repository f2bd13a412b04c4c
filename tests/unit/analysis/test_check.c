/* SPDX-License-Identifier: MIT
 *
 * Lockstep check with a second engine that is wrong on purpose: the difference must be
 * named, and traced back to the instruction that makes it.
 */
#include "analysis/check.h"

#include "tests/test.h"

#include <string.h>

/* What the second engine does wrong once that many instructions have retired. */
enum plant {
    PLANT_NONE,
    PLANT_REG,
    PLANT_GAS,
    PLANT_ICOUNT,
    PLANT_MEMORY,
    PLANT_STATE
};

enum { BAD_AT = 24, PAGE = 0x10000, FREE_PAGE = 0x11000 };

static const char text[] = "        load_imm a0, 1000\n        fallthrough\n"
                           "loop:   add_imm_64 a1, a1, 3\n"
                           "        store_u64 a1, [0x10008]\n"
                           "        xor_imm a2, a1, 5\n"
                           "        add_imm_64 a0, a0, -1\n"
                           "        branch_ne_imm a0, 0, loop\n"
                           "        ecalli 64\n";

static enum err make(void *self, struct arena *arena, const struct pvm_code *code,
                     const struct pvm_config *config, enum pvm_gas_log log,
                     struct pvm_program **ret_program)
{
    (void)self;
    return pvm_program_create(arena, code, config, log, ret_program);
}

static struct pvm_outcome run_wrong(void *self, struct pvm_engine *engine,
                                    const struct pvm_program *program,
                                    struct pvm_state *state,
                                    const struct pvm_host *host,
                                    const struct pvm_observer *observer)
{
    const enum plant *plant = self;
    bool before = state->icount < BAD_AT;
    struct pvm_outcome outcome = pvm_run(engine, program, state, host, observer);
    if (!before || state->icount < BAD_AT)
        return outcome;
    uint8_t byte = 0xee;
    switch (*plant) {
    case PLANT_NONE:
        break;
    case PLANT_REG:
        state->reg[12] ^= 1;
        break;
    case PLANT_GAS:
        state->gas--;
        break;
    case PLANT_ICOUNT:
        state->icount++;
        break;
    case PLANT_MEMORY:
        assert_int_equal(pvm_mem_write(state->mem, PAGE + 0x123, &byte, 1, NULL), 0);
        break;
    case PLANT_STATE:
        byte = 0;
        assert_int_equal(pvm_mem_write(state->mem, FREE_PAGE, &byte, 1, NULL), 0);
        break;
    }
    return outcome;
}

static enum err map(void *self, struct arena *arena, struct pvm_mem *mem)
{
    (void)self;
    (void)arena;
    return pvm_mem_map(mem, PAGE, 2 * PVM_PAGE_SIZE, PVM_ACCESS_RW, (struct bytes){0});
}

static void check_plant(enum plant plant, const char *field, uint64_t where)
{
    struct buf blob;
    struct pvm_code code;
    struct pvm_asm_error problem;
    struct analysis_check_report report;
    buf_init(&blob, 4096);
    assert_int_equal(pvm_asm(bytes_of(text, sizeof text - 1), &blob, &problem), 0);
    assert_int_equal(pvm_code_parse(buf_bytes(&blob), &code), 0);
    const struct analysis_check_setup setup = {
        .engine = {{.name = "right", .make = make},
                   {.name = "wrong", .self = &plant, .make = make, .run = run_wrong}},
        .code = &code,
        .config = pvm_config_default(PVM_PROFILE_VECTORS),
        .start = {.gas = 100000},
        .interval = 1000,
        .map = map,
    };
    assert_int_equal(analysis_check(&setup, &report), 0);
    assert_int_equal(report.same, plant == PLANT_NONE);
    if (plant == PLANT_NONE) {
        assert_int_equal(report.outcome.exit, PVM_EXIT_HOST_CALL);
    } else {
        struct pvm_insn insn;
        assert_true(report.found);
        assert_string_equal(report.field, field);
        assert_int_equal(report.where, where);
        /* The instruction that retires as number BAD_AT. */
        assert_int_equal(report.icount, BAD_AT - 1);
        assert_true(pvm_insn_decode(&code, PVM_PROFILE_VECTORS, report.pc, &insn));
        assert_int_equal(insn.op, PVM_OP_store_u64);
    }
    buf_fini(&blob);
}

static void same(void **unused)
{
    (void)unused;
    check_plant(PLANT_NONE, NULL, 0);
}

static void planted(void **unused)
{
    (void)unused;
    check_plant(PLANT_REG, "a5", 0);
    check_plant(PLANT_GAS, "gas", 0);
    check_plant(PLANT_ICOUNT, "icount", 0);
    check_plant(PLANT_MEMORY, "memory", PAGE + 0x123);
    check_plant(PLANT_STATE, "page state", FREE_PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same),
                                       cmocka_unit_test(planted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
