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
    PLANT_STATE,
    PLANT_CHARGED,
    PLANT_LEDGER,
    PLANT_ECALL,
    PLANT_PC,
    PLANT_EXIT,
    PLANT_ARG,
    PLANT_RIGHTS
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

/* The observer and the host as engine 1 shows itself to them. */
struct liar {
    enum plant plant;
    const struct pvm_observer *observer;
    const struct pvm_host *host;
};

static void lie_segment(void *self, const struct pvm_state *state,
                        const struct pvm_segment *segment)
{
    const struct liar *liar = self;
    struct pvm_segment shown = *segment;
    if (liar->plant == PLANT_LEDGER && state->icount >= BAD_AT)
        shown.nbits++;
    liar->observer->segment(liar->observer->self, state, &shown);
}

static bool pass_deadline(void *self, struct pvm_state *state, int64_t *ret_gas_stop)
{
    const struct liar *liar = self;
    return liar->observer->deadline(liar->observer->self, state, ret_gas_stop);
}

static enum pvm_answer lie_ecall(void *self, struct pvm_state *state,
                                 enum pvm_exit kind, uint64_t number, uint32_t pc,
                                 struct pvm_outcome *ret_outcome)
{
    const struct liar *liar = self;
    number += liar->plant == PLANT_ECALL;
    return liar->host->ecall(liar->host->self, state, kind, number, pc, ret_outcome);
}

static void plant_in(enum plant plant, struct pvm_state *state,
                     struct pvm_outcome *outcome)
{
    uint8_t byte = 0xee;
    switch (plant) {
    case PLANT_NONE:
    case PLANT_LEDGER:
    case PLANT_ECALL:
        break;
    case PLANT_PC:
        state->pc++;
        break;
    case PLANT_EXIT:
        outcome->exit = PVM_EXIT_PANIC;
        break;
    case PLANT_ARG:
        outcome->arg++;
        break;
    case PLANT_RIGHTS:
        assert_int_equal(
            pvm_mem_protect(state->mem, FREE_PAGE, PVM_PAGE_SIZE, PVM_ACCESS_R), 0);
        break;
    case PLANT_CHARGED:
        state->charged = !state->charged;
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
}

static struct pvm_outcome run_wrong(void *self, struct pvm_engine *engine,
                                    const struct pvm_program *program,
                                    struct pvm_state *state,
                                    const struct pvm_host *host,
                                    const struct pvm_observer *observer)
{
    const enum plant *plant = self;
    bool before = state->icount < BAD_AT;
    struct liar liar = {*plant, observer, host};
    const struct pvm_observer liar_observer = {.self = &liar,
                                               .segment = lie_segment,
                                               .deadline = pass_deadline,
                                               .gas_stop = observer->gas_stop};
    const struct pvm_host liar_host = {.self = &liar, .ecall = lie_ecall};
    struct pvm_outcome outcome =
        pvm_run(engine, program, state, host ? &liar_host : NULL, &liar_observer);
    if (!before || state->icount < BAD_AT)
        return outcome;
    plant_in(*plant, state, &outcome);
    return outcome;
}

static enum err map(void *self, struct arena *arena, struct pvm_mem *mem)
{
    (void)self;
    (void)arena;
    return pvm_mem_map(mem, PAGE, 2 * PVM_PAGE_SIZE, PVM_ACCESS_RW, (struct bytes){0});
}

/* The host: every call ends the run. */
static void serve(void *self, const struct pvm_state *state, uint64_t number,
                  struct analysis_check_answer *ret_answer)
{
    (void)self;
    (void)state;
    *ret_answer = (struct analysis_check_answer){
        .answer = PVM_ANSWER_EXIT,
        .outcome = {.exit = PVM_EXIT_HOST_CALL, .arg = number}};
}

static void check_plant(enum plant plant, const char *field, uint64_t where, uint8_t op)
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
        .ecall = serve,
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
        if (op == PVM_OP_store_u64) /* that which retires as number BAD_AT */
            assert_int_equal(report.icount, BAD_AT - 1);
        assert_true(pvm_insn_decode(&code, PVM_PROFILE_VECTORS, report.pc, &insn));
        assert_int_equal(insn.op, op);
    }
    buf_fini(&blob);
}

static void same(void **unused)
{
    (void)unused;
    check_plant(PLANT_NONE, NULL, 0, 0);
}

static void planted(void **unused)
{
    (void)unused;
    check_plant(PLANT_REG, "a5", 0, PVM_OP_store_u64);
    check_plant(PLANT_GAS, "gas", 0, PVM_OP_store_u64);
    check_plant(PLANT_ICOUNT, "icount", 0, PVM_OP_store_u64);
    check_plant(PLANT_MEMORY, "memory", PAGE + 0x123, PVM_OP_store_u64);
    check_plant(PLANT_STATE, "page state", FREE_PAGE, PVM_OP_store_u64);
    check_plant(PLANT_CHARGED, "charged", 0, PVM_OP_store_u64);
    check_plant(PLANT_LEDGER, "ledger", 0, PVM_OP_store_u64);
    check_plant(PLANT_PC, "pc", 0, PVM_OP_store_u64);
    check_plant(PLANT_EXIT, "exit", 0, PVM_OP_store_u64);
    check_plant(PLANT_ARG, "arg", 0, PVM_OP_store_u64);
    check_plant(PLANT_RIGHTS, "page rights", FREE_PAGE, PVM_OP_store_u64);
    /* The call is the last instruction of its block. */
    check_plant(PLANT_ECALL, "ecall", 1, PVM_OP_ecalli);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same),
                                       cmocka_unit_test(planted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
