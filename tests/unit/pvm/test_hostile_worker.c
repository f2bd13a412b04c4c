/* SPDX-License-Identifier: MIT
 *
 * Whatever a worker says, the C side survives.  In place of pvm/recomp_sandbox.c this
 * file has a worker that lies: it never runs the code, and answers with contexts that
 * are possible, nearly possible, or noise.
 */
#include "tests/unit/pvm/machine.h"

#include "pvm/sandbox.h"

static const char text[] = ".jump table_a, table_b, table_c, @5\n"
                           "loop:\n"
                           "store_ind_u64 a1, [a0]\n"
                           "store_ind_u16 a1, [a0 + 0xfff]\n"
                           "load_ind_u32 a2, [a0 + 8]\n"
                           "branch_eq_imm a2, 9, @1\n" /* no instruction is there */
                           "branch_ne_imm a2, 0, table_b\n"
                           "ecalli 7\n"
                           "jump_ind t0, 0\n"
                           "table_a:\n"
                           "mul_64 a3, a2, a1\n"
                           "div_u_64 a3, a3, a4\n"
                           "branch_lt_u a3, a1, loop\n"
                           "table_b:\n"
                           "store_imm_ind_u8 [a4], 5\n"
                           "load_imm_jump_ind ra, a5, 6, 2\n"
                           "table_c:\n"
                           "ecalli 8\n"
                           "jump loop\n";

enum { CALL_COUNT_MAX = 400 };

struct pvm_sandbox {
    uint64_t random;
    unsigned call_count;
    uint64_t seen; /* something of all that the observer has been shown */
    const struct pvm_code *stubborn; /* of the program: see insist() */
    uint8_t stubborn_op;
    unsigned stubborn_count;
};

/* ---- in place of recomp_sandbox.c ---- */

uint64_t pvm_sandbox_new_id(void)
{
    return 1;
}

bool pvm_sandbox_prepare(struct pvm_sandbox *sandbox, const struct native_unit *unit,
                         struct pvm_mem *mem, bool guarded)
{
    (void)sandbox, (void)unit, (void)mem, (void)guarded;
    return true;
}

void pvm_sandbox_give_up(struct pvm_sandbox *sandbox)
{
    sandbox->call_count = CALL_COUNT_MAX;
}

enum err pvm_sandbox_err(const struct pvm_sandbox *sandbox)
{
    return sandbox->call_count == CALL_COUNT_MAX ? ERR_worker_lost : ERR_ok;
}

static uint64_t below(struct pvm_sandbox *s, uint64_t bound)
{
    return bound ? test_random(&s->random) % bound : 0;
}

static bool once_in(struct pvm_sandbox *s, unsigned count)
{
    return below(s, count) == 0;
}

static void lie_about_exit(struct pvm_sandbox *s, const struct native_unit *unit,
                           struct native_context *seen)
{
    uint64_t kind = below(s, 3);
    seen->exit = kind << EXIT_SHIFT |
                 below(s, kind == EXIT_GAS ? unit->block_count : unit->site_count);
    if (once_in(s, 20)) /* at the very end of the tables, and anywhere */
        seen->exit = once_in(s, 2)
                         ? test_random(&s->random)
                         : kind << EXIT_SHIFT | (kind == EXIT_GAS ? unit->block_count
                                                                  : unit->site_count);
}

static void lie_about_log(struct pvm_sandbox *s, const struct native_context *sent,
                          struct native_context *seen)
{
    uint64_t room = (sent->log_start - sent->log_end) / 8;
    seen->log_rsp = sent->log_start - 8 * below(s, once_in(s, 4) ? room + 1 : 3);
    for (uint64_t at = seen->log_rsp; at < sent->log_start; at += 8)
        *(uint64_t *)(uintptr_t)at = test_random(&s->random);
    if (once_in(s, 40))
        seen->log_rsp -= below(s, 8);
    if (once_in(s, 40)) /* more than fit */
        seen->log_rsp = sent->log_end - 8 * (1 + below(s, SEGMENT_TARGETS_MAX));
    if (once_in(s, 40))
        seen->log_rsp = test_random(&s->random);
    if (once_in(s, 40))
        seen->log_start = test_random(&s->random);
    uint64_t words = (sent->path_end - sent->path) / 8;
    seen->path = sent->path + 8 * below(s, once_in(s, 20) ? words + 1 : 3);
    for (uint64_t at = sent->path; at < seen->path; at += 8)
        *(uint64_t *)(uintptr_t)at = test_random(&s->random);
    if (once_in(s, 40))
        seen->path += below(s, 8);
    if (once_in(s, 10)) /* all that fit, as they are there */
        seen->path = sent->path_end;
    if (once_in(s, 40)) /* more than fit, or less than none */
        seen->path = once_in(s, 2) ? sent->path_end + 8 : sent->path - 8;
    if (once_in(s, 40))
        seen->path = test_random(&s->random);
    seen->acc = once_in(s, 2) ? sent->acc << below(s, 64) | below(s, 1 << 20)
                              : test_random(&s->random) | (uint64_t)1 << 63;
    if (once_in(s, 40))
        seen->acc = 0;
}

/* The same instruction again and again, without a block entry, at which a full segment
 * would end; then a call, which shows the segment. */
static bool insist(struct pvm_sandbox *s, const struct native_unit *unit,
                   struct native_context *seen)
{
    enum { MORE_THAN_FIT = SEGMENT_TARGETS_MAX + 100 };
    uint8_t want = s->stubborn_count < MORE_THAN_FIT ? s->stubborn_op : PVM_OP_ecalli;
    uint32_t site = 0;
    while (site + 1 < unit->site_count &&
           s->stubborn->code.data[unit->site[site].pc] != want)
        site++;
    s->stubborn_count++;
    seen->exit = (uint64_t)EXIT_STEP << EXIT_SHIFT | site;
    if (s->stubborn_op == PVM_OP_branch_eq_imm)
        seen->acc = (uint64_t)1 << 63; /* with as many outcomes as fit */
    seen->reg[9] = 0;                  /* a2: the branch is not taken */
    seen->reg[2] = 2;                  /* t0: a valid jump */
    return s->stubborn_count < MORE_THAN_FIT + 10;
}

bool pvm_sandbox_enter(struct pvm_sandbox *s, const struct native_unit *unit,
                       struct pvm_mem *mem, const struct native_context *sent,
                       struct native_context *ret_seen, uint64_t *ret_fault_ip)
{
    *ret_fault_ip = 0;
    if (s->call_count >= CALL_COUNT_MAX)
        return false;
    *ret_seen = *sent;
    if (s->stubborn)
        return insist(s, unit, ret_seen);
    s->call_count++;
    for (unsigned i = 0; i < PVM_REG_COUNT; i++)
        ret_seen->reg[i] = once_in(s, 4) ? test_random(&s->random)
                                         : 0x20000 + below(s, 9 * PVM_PAGE_SIZE);
    ret_seen->reg[2] = 2 * below(s, 6); /* t0: the table */
    ret_seen->reg[12] = once_in(s, 2) ? 0 : 2 * below(s, 6);
    ret_seen->meter = sent->meter - below(s, once_in(s, 4) ? UINT64_MAX : 1 << 10);
    lie_about_exit(s, unit, ret_seen);
    ret_seen->acc = test_random(&s->random);
    if (unit->keeps_path)
        lie_about_log(s, sent, ret_seen);
    if (once_in(s, 5))
        *ret_fault_ip = (uintptr_t)unit->code +
                        (once_in(s, 10) ? test_random(&s->random)
                                        : unit->site[below(s, unit->site_count)].at);
    (void)mem;
    return true;
}

/* ---- the host ---- */

static enum pvm_answer on_ecall(void *self, struct pvm_state *state, enum pvm_exit kind,
                                uint64_t number, uint32_t pc,
                                struct pvm_outcome *ret_outcome)
{
    (void)self, (void)state, (void)kind, (void)number, (void)pc, (void)ret_outcome;
    return PVM_ANSWER_CONTINUE;
}

static void on_segment(void *self, const struct pvm_state *state,
                       const struct pvm_segment *segment)
{
    struct pvm_sandbox *s = self;
    const struct bytes parts[] = {segment->bits, segment->targets};
    s->seen += state->gas + segment->n;
    for (size_t i = 0; i < countof(parts); i++)
        for (size_t k = 0; k < parts[i].size; k++)
            s->seen += parts[i].data[k];
    for (uint32_t i = 0; i < segment->extra_count; i++)
        s->seen += segment->extra[i].where;
    assert_true(segment->gas <= 1000000);
    assert_true(segment->nbits <= SEGMENT_BITS_MAX);
}

static void run_against(uint64_t seed, enum pvm_gas_log log, uint32_t page_gas,
                        unsigned ends[32])
{
    struct machine m;
    struct pvm_sandbox sandbox = {.random = seed};
    struct pvm_recomp_options options = {.sandbox = &sandbox};
    machine_init(&m, PVM_PROFILE_JAVM, page_gas, log, text);
    machine_map(&m, 0x20000, 8, PVM_ACCESS_RW);
    assert_int_equal(
        pvm_program_recompile(&m.arena, &m.code, &m.config, log, &options, &m.program),
        ERR_ok);
    m.state.gas = below(&sandbox, 2) ? 1000000 : below(&sandbox, 3 * PVM_GAS_COW);
    struct pvm_host host = {.ecall = on_ecall, .self = &sandbox};
    struct pvm_observer observer = {
        .segment = on_segment, .self = &sandbox, .gas_stop = -1};
    ends[pvm_run(m.engine, m.program, &m.state, &host, &observer).exit]++;
    pvm_program_close(m.program);
    machine_fini(&m);
}

static void test_lies(void **unused)
{
    (void)unused;
    if (!pvm_recomp_available())
        skip();
    uint64_t seed = test_seed(1), count = getenv("LOCKSTEP_SEED") ? 1 : 400;
    unsigned ends[32] = {0};
    for (uint64_t i = 0; i < count; i++) {
        for (unsigned way = 0; way < 8; way++)
            run_against(seed + i, (enum pvm_gas_log)(way / 2), way % 2, ends);
    }
    if (count > 1) { /* not only noticed at once */
        assert_true(ends[PVM_EXIT_LOST] > 100);
        assert_true(ends[PVM_EXIT_PANIC] + ends[PVM_EXIT_TRAP] > 100);
        assert_true(ends[PVM_EXIT_PAGE_FAULT] > 100);
    }
}

static void run_stubborn(uint8_t op, unsigned most)
{
    struct machine m;
    struct pvm_sandbox sandbox = {.random = 1, .stubborn_op = op};
    struct pvm_recomp_options options = {.sandbox = &sandbox};
    machine_init(&m, PVM_PROFILE_JAVM, 0, PVM_GAS_LOG_LEDGER, text);
    machine_map(&m, 0x20000, 8, PVM_ACCESS_RW);
    sandbox.stubborn = &m.code;
    assert_int_equal(pvm_program_recompile(&m.arena, &m.code, &m.config,
                                           PVM_GAS_LOG_LEDGER, &options, &m.program),
                     ERR_ok);
    struct pvm_observer observer = {
        .segment = on_segment, .self = &sandbox, .gas_stop = -1};
    assert_int_equal(pvm_run(m.engine, m.program, &m.state, NULL, &observer).exit,
                     PVM_EXIT_LOST);
    assert_true(sandbox.stubborn_count > 1000 && sandbox.stubborn_count <= most);
    pvm_program_close(m.program);
    machine_fini(&m);
}

static void test_full_segment(void **unused)
{
    (void)unused;
    if (!pvm_recomp_available())
        skip();
    run_stubborn(PVM_OP_branch_eq_imm, SEGMENT_BITS_MAX / 32);
    run_stubborn(PVM_OP_jump_ind, SEGMENT_TARGETS_MAX + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lies),
                                       cmocka_unit_test(test_full_segment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
