/* SPDX-License-Identifier: MIT
 *
 * Running: deadlines, handlers, resuming, memory and digests (pvm-exec.md 5, 7.6, 9).
 */
#include "tests/unit/pvm/machine.h"

#include "base/hash.h"
#include "pvm/mem.h"

/* ---- deadlines ---- */

static const char counting[] = "loop:\n"
                               "add_imm_64 a0, a0, -1\n"
                               "branch_ne_imm a0, 0, loop\n"
                               "trap\n";

struct deadline {
    uint64_t every; /* gas */
    uint64_t seen[64];
    uint64_t icount[64];
    unsigned count, stop_after;
};

static bool on_deadline(void *self, struct pvm_state *state, int64_t *ret_gas_stop)
{
    struct deadline *d = self;
    assert_true(d->count < countof(d->seen));
    assert_false(state->charged);
    d->seen[d->count] = state->gas;
    d->icount[d->count] = state->icount;
    d->count++;
    /* The next multiple of `every` below what is left. */
    *ret_gas_stop = (int64_t)((state->gas - 1) / d->every * d->every);
    return d->count != d->stop_after;
}

static void test_deadlines(void **unused)
{
    (void)unused;
    for (enum pvm_gas_log log = PVM_GAS_LOG_NONE; log <= PVM_GAS_LOG_SUMMARY; log++) {
        for (uint64_t every = 1; every < 8; every++) {
            struct machine m;
            struct deadline d = {.every = every};
            struct pvm_observer observer = {
                .self = &d, .deadline = on_deadline, .gas_stop = 20 - 1};
            machine_init(&m, PVM_PROFILE_VECTORS, 0, log, counting);
            m.state.gas = 20;
            m.state.reg[7] = 9;
            assert_int_equal(
                pvm_run(m.engine, m.program, &m.state, NULL, &observer).exit,
                PVM_EXIT_TRAP);
            /* Blocks are entered with 20, 18, … 2 left; a deadline is due at the first
             * entry at or below its mark. */
            unsigned count = 0;
            uint64_t mark = 19;
            for (uint64_t gas = 20; gas >= 2; gas -= 2) {
                if (gas > mark)
                    continue;
                assert_int_equal(d.seen[count], gas);
                assert_int_equal(d.icount[count], 20 - gas);
                count++;
                mark = (gas - 1) / every * every;
            }
            assert_int_equal(d.count, count);
            assert_int_equal(m.state.gas, 1);
            machine_fini(&m);
        }
    }
}

static void test_deadline_stops(void **unused)
{
    (void)unused;
    for (enum pvm_dispatch dispatch = PVM_DISPATCH_LOOP;
         dispatch <= PVM_DISPATCH_THREADED; dispatch++) {
        struct machine m;
        struct deadline d = {.every = 10, .stop_after = 3};
        struct pvm_observer observer = {
            .self = &d, .deadline = on_deadline, .gas_stop = 990};
        machine_init(&m, PVM_PROFILE_VECTORS, 0, PVM_GAS_LOG_NONE, counting);
        pvm_engine_set_dispatch(m.engine, dispatch);
        m.state.gas = 1000;
        m.state.reg[7] = 100000;
        struct pvm_outcome outcome =
            pvm_run(m.engine, m.program, &m.state, NULL, &observer);
        assert_int_equal(outcome.exit, PVM_EXIT_STOPPED);
        assert_int_equal(m.state.gas, 970);
        assert_int_equal(m.state.pc, 0);
        assert_int_equal(m.state.icount, 30);
        assert_false(m.state.charged);
        /* It goes on as if nothing had happened. */
        assert_int_equal(pvm_run(m.engine, m.program, &m.state, NULL, NULL).exit,
                         PVM_EXIT_OUT_OF_GAS);
        assert_int_equal(m.state.icount, 1000);
        machine_fini(&m);
    }
}

/* ---- handlers ---- */

struct handler {
    unsigned calls;
    uint64_t number[8];
    uint32_t pc[8], next_pc[8];
    uint64_t icount[8];
    uint32_t jump_to; /* set pc to this, when not 0 */
    bool exits;
};

static enum pvm_answer on_ecall(void *self, struct pvm_state *state, enum pvm_exit kind,
                                uint64_t number, uint32_t pc,
                                struct pvm_outcome *ret_outcome)
{
    struct handler *h = self;
    assert_true(kind == PVM_EXIT_HOST_CALL || kind == PVM_EXIT_ECALL);
    h->number[h->calls] = number;
    h->pc[h->calls] = pc;
    h->next_pc[h->calls] = state->pc;
    h->icount[h->calls++] = state->icount;
    state->reg[7] += 1;
    assert_true(pvm_state_debit(state, 3));
    if (h->jump_to) {
        state->pc = h->jump_to;
        state->charged = false;
    }
    if (!h->exits)
        return PVM_ANSWER_CONTINUE;
    *ret_outcome = (struct pvm_outcome){.exit = PVM_EXIT_HALT, .arg = 5};
    return PVM_ANSWER_EXIT;
}

static const char calling[] = "load_imm a0, 10\n"        /* 0 */
                              "ecalli 65\n"              /* 3 */
                              "add_imm_64 a0, a0, 100\n" /* 5 */
                              "ecalli -1\n"              /* 8 */
                              "trap\n";                  /* 10 */

static void test_handler(void **unused)
{
    (void)unused;
    for (enum pvm_profile profile = PVM_PROFILE_VECTORS; profile <= PVM_PROFILE_JAVM;
         profile++) {
        for (enum pvm_dispatch d = PVM_DISPATCH_LOOP; d <= PVM_DISPATCH_THREADED; d++) {
            struct machine m;
            struct handler h = {0};
            struct pvm_host host = {.ecall = on_ecall, .self = &h};
            machine_init(&m, profile, 0, PVM_GAS_LOG_LEDGER, calling);
            pvm_engine_set_dispatch(m.engine, d);
            assert_int_equal(pvm_run(m.engine, m.program, &m.state, &host, NULL).exit,
                             PVM_EXIT_TRAP);
            assert_int_equal(h.calls, 2);
            assert_int_equal(h.number[0], 65);
            assert_true(h.number[1] == UINT64_MAX);
            assert_int_equal(h.pc[0], 3);
            assert_int_equal(h.next_pc[0], 5);
            assert_int_equal(h.icount[0], 2);
            assert_int_equal(h.icount[1], 4);
            assert_int_equal(m.state.reg[7], 112);
            assert_int_equal(m.state.icount, 4);
            /* VECTORS: one block of five; JAVM: two ending in ecalli, and a trap. */
            uint64_t gas = profile == PVM_PROFILE_VECTORS ? 5 : 97 + 97 + 1;
            assert_int_equal(m.state.gas, 1000000 - gas - 6);
            machine_fini(&m);
        }
    }
}

static void test_handler_exits_and_moves(void **unused)
{
    (void)unused;
    struct machine m;
    struct handler h = {.exits = true};
    struct pvm_host host = {.ecall = on_ecall, .self = &h};
    machine_init(&m, PVM_PROFILE_JAVM, 0, PVM_GAS_LOG_NONE, calling);
    struct pvm_outcome outcome = pvm_run(m.engine, m.program, &m.state, &host, NULL);
    assert_int_equal(outcome.exit, PVM_EXIT_HALT);
    assert_int_equal(outcome.arg, 5);
    assert_int_equal(m.state.pc, 5);
    machine_fini(&m);

    h = (struct handler){.jump_to = 10};
    machine_init(&m, PVM_PROFILE_JAVM, 0, PVM_GAS_LOG_NONE, calling);
    outcome = pvm_run(m.engine, m.program, &m.state, &host, NULL);
    assert_int_equal(outcome.exit, PVM_EXIT_TRAP);
    assert_int_equal(h.calls, 1);
    assert_int_equal(m.state.pc, 10);
    machine_fini(&m);
}

/* A million ecalls in one block must not cost a walk over the block each. */
static void test_many_calls_in_a_block(void **unused)
{
    (void)unused;
    struct buf text;
    struct machine m;
    struct pvm_outcome outcome = {.exit = PVM_EXIT_HOST_CALL};
    unsigned calls = 0;
    buf_init(&text, 1 << 24);
    for (unsigned i = 0; i < 100000; i++)
        buf_text(&text, "ecalli 64\n");
    machine_init(&m, PVM_PROFILE_VECTORS, 0, PVM_GAS_LOG_NONE, buf_string(&text));
    buf_fini(&text);
    while (outcome.exit == PVM_EXIT_HOST_CALL && calls <= 100000) {
        outcome = pvm_run(m.engine, m.program, &m.state, NULL, NULL);
        calls += outcome.exit == PVM_EXIT_HOST_CALL;
    }
    assert_int_equal(calls, 100000);
    assert_int_equal(m.state.icount, 100000);
    assert_int_equal(m.state.gas, 1000000 - 100001);
    machine_fini(&m);
}

/* Deep recursion of the host would overflow its stack here: tail calls must be jumps.
 */
static void test_long_run(void **unused)
{
    (void)unused;
    struct machine m;
    machine_init(&m, PVM_PROFILE_VECTORS, 0, PVM_GAS_LOG_LEDGER, counting);
    m.state.reg[7] = 20000000;
    m.state.gas = 100000000;
    assert_int_equal(pvm_run(m.engine, m.program, &m.state, NULL, NULL).exit,
                     PVM_EXIT_TRAP);
    assert_int_equal(m.state.icount, 40000000);
    machine_fini(&m);
}

/* ---- memory ---- */

static void test_mapping(void **unused)
{
    (void)unused;
    struct machine m;
    struct bytes none = {0};
    uint8_t bytes[16] = "0123456789abcdef", got[16];
    uint32_t cow = 99;
    machine_init(&m, PVM_PROFILE_JAVM, 0, PVM_GAS_LOG_NONE, "trap\n");
    assert_int_equal(pvm_mem_map(m.mem, 1, 4096, PVM_ACCESS_R, none), ERR_pvm_align);
    assert_int_equal(pvm_mem_map(m.mem, 4096, 5, PVM_ACCESS_R, none), ERR_pvm_align);
    assert_int_equal(pvm_mem_map(m.mem, 4096, 0, PVM_ACCESS_R, none), ERR_pvm_align);
    assert_int_equal(pvm_mem_map(m.mem, 0xfffff000, 8192, PVM_ACCESS_R, none),
                     ERR_pvm_limit);
    machine_map(&m, 0xfffff000, 1, PVM_ACCESS_RW);
    machine_map(&m, 0x10000, 2, PVM_ACCESS_RW);
    assert_int_equal(pvm_mem_map(m.mem, 0x11000, 8192, PVM_ACCESS_R, none),
                     ERR_pvm_overlap);

    assert_int_equal(pvm_mem_write(m.mem, 0x10ff8, bytes, 16, &cow), ERR_ok);
    assert_int_equal(cow, 2);
    assert_int_equal(pvm_mem_write(m.mem, 0x10ff8, bytes, 16, &cow), ERR_ok);
    assert_int_equal(cow, 0);
    assert_int_equal(pvm_mem_read(m.mem, 0x10ff8, 16, got), ERR_ok);
    assert_memory_equal(got, bytes, 16);
    /* All or nothing, and no wrapping. */
    assert_int_equal(pvm_mem_write(m.mem, 0x11ff8, bytes, 16, &cow), ERR_pvm_access);
    assert_int_equal(pvm_mem_page(m.mem, 0x11)[4095], 0);
    assert_int_equal(pvm_mem_read(m.mem, 0xfffffff8, 16, got), ERR_pvm_access);
    assert_int_equal(pvm_mem_read(m.mem, 0x50000, 0, got), ERR_ok);

    assert_int_equal(pvm_mem_protect(m.mem, 0x10000, 4096, PVM_ACCESS_R), ERR_ok);
    assert_int_equal(pvm_mem_write(m.mem, 0x10000, bytes, 1, NULL), ERR_pvm_access);
    assert_true(pvm_mem_written(m.mem, 0x10)); /* a change of mode keeps the state */
    assert_int_equal(pvm_mem_protect(m.mem, 0x10000, 3 * 4096, PVM_ACCESS_R),
                     ERR_pvm_access);
    assert_int_equal(pvm_mem_unmap(m.mem, 0x10000, 4096), ERR_ok);
    assert_int_equal(pvm_mem_next_page(m.mem, 0), 0x11);
    assert_int_equal(pvm_mem_next_page(m.mem, 0x12), 0xfffff);
    machine_map(&m, 0x10000, 1, PVM_ACCESS_RW);
    assert_false(pvm_mem_written(m.mem, 0x10)); /* unmapping forgets */
    assert_int_equal(pvm_mem_page(m.mem, 0x10)[0xff8], 0);
    machine_fini(&m);
}

/* Initial bytes are shared until they are touched, and the owner's stay as they are. */
/* Of the first and the last line of a page, which may reach the next page. */
static unsigned rights_of(struct machine *m, uint32_t page, bool last)
{
    return mem_rights(m->mem)[page * MEM_PAGE_LINES + (last ? MEM_PAGE_LINES - 1 : 0)];
}

/* Zero pages get their rights by the first load, and lose them by unmapping. */
static void test_rights_come_with_loads(void **unused)
{
    (void)unused;
    struct machine m;
    uint64_t value = 1;
    machine_init(&m, PVM_PROFILE_JAVM, 0, PVM_GAS_LOG_NONE, "trap\n");
    machine_map(&m, 0x10000, 4, PVM_ACCESS_RW);
    assert_int_equal(rights_of(&m, 0x12, false), 0);
    assert_int_equal(pvm_mem_load(m.mem, 0x12ffc, 8, &value).fault, MEM_OK);
    assert_int_equal(value, 0);
    for (uint32_t page = 0x12; page <= 0x13; page++)
        assert_int_equal(rights_of(&m, page, false), MEM_READ | MEM_READ_ON);
    assert_int_equal(rights_of(&m, 0x12, true), MEM_READ | MEM_READ_ON);
    assert_int_equal(rights_of(&m, 0x13, true), MEM_READ); /* nothing is behind it */

    /* A new neighbour is known at once, in front and behind. */
    machine_map(&m, 0x14000, 2, PVM_ACCESS_RW);
    assert_int_equal(rights_of(&m, 0x13, true), MEM_READ | MEM_READ_ON);
    assert_int_equal(pvm_mem_unmap(m.mem, 0x13000, 4096), ERR_ok);
    assert_int_equal(rights_of(&m, 0x13, false), 0);
    assert_int_equal(rights_of(&m, 0x12, true), MEM_READ);
    assert_int_equal(pvm_mem_load(m.mem, 0x12ffc, 8, &value).fault, MEM_UNMAPPED);
    machine_fini(&m);
}

static void test_copy_on_write(void **unused)
{
    (void)unused;
    struct machine m;
    static uint8_t initial[2 * PVM_PAGE_SIZE + 100];
    for (size_t i = 0; i < sizeof initial; i++)
        initial[i] = (uint8_t)(i * 7);
    machine_init(&m, PVM_PROFILE_VECTORS, 0, PVM_GAS_LOG_NONE,
                 "load_ind_u64 a1, [a0 + 0xffc]\n"
                 "store_ind_u64 a2, [a0 + 0xffc]\n"
                 "trap\n");
    assert_int_equal(pvm_mem_map(m.mem, 0x20000, 4 * PVM_PAGE_SIZE, PVM_ACCESS_RW,
                                 bytes_of(initial, sizeof initial)),
                     ERR_ok);
    assert_ptr_equal(pvm_mem_page(m.mem, 0x20), initial);
    m.state.reg[7] = 0x20000;
    m.state.reg[9] = 0x1122334455667788;
    assert_int_equal(pvm_run(m.engine, m.program, &m.state, NULL, NULL).exit,
                     PVM_EXIT_TRAP);
    uint64_t want;
    memcpy(&want, initial + 0xffc, 8);
    assert_true(m.state.reg[8] == want);
    assert_int_equal(pvm_mem_page(m.mem, 0x20)[0xfff], 0x55);
    assert_int_equal(pvm_mem_page(m.mem, 0x21)[0], 0x44);
    assert_int_equal(initial[0xfff], (uint8_t)(0xfff * 7));
    assert_int_equal(pvm_mem_page(m.mem, 0x22)[99], (uint8_t)((0x2000 + 99) * 7));
    assert_int_equal(pvm_mem_page(m.mem, 0x23)[0], 0);
    machine_fini(&m);
}

/* ---- digests ---- */

static void digest_of(struct machine *m, struct hash256 *ret_memory,
                      struct hash256 *ret_machine)
{
    struct pvm_digest *digest;
    assert_int_equal(pvm_digest_create(&m->arena, m->mem, &digest), ERR_ok);
    assert_int_equal(pvm_digest_memory(digest, ret_memory), ERR_ok);
    assert_int_equal(pvm_digest_machine(digest, &m->state, ret_machine), ERR_ok);
}

/* The root by the definition: hash everything, zero pages included. */
static struct hash256 slow_root(const struct machine *m, uint32_t first,
                                unsigned height)
{
    static const uint8_t zeros[PVM_PAGE_SIZE];
    if (height == 0) {
        const uint8_t *page = pvm_mem_page(m->mem, first);
        return hash256_of(page ? page : zeros, PVM_PAGE_SIZE);
    }
    uint32_t half = 1u << (height - 1);
    if (pvm_mem_next_page(m->mem, first) >= first + 2 * half) {
        struct hash256 zero = hash256_of(zeros, PVM_PAGE_SIZE);
        for (unsigned i = 0; i < height; i++) {
            uint8_t both[64];
            memcpy(both, zero.byte, 32);
            memcpy(both + 32, zero.byte, 32);
            zero = hash256_of(both, 64);
        }
        return zero;
    }
    struct hash256 left = slow_root(m, first, height - 1);
    struct hash256 right = slow_root(m, first + half, height - 1);
    uint8_t both[64];
    memcpy(both, left.byte, 32);
    memcpy(both + 32, right.byte, 32);
    return hash256_of(both, 64);
}

static void test_digest(void **unused)
{
    (void)unused;
    struct machine m;
    struct hash256 memory, machine, want, other;
    uint8_t byte = 7;
    machine_init(&m, PVM_PROFILE_VECTORS, 0, PVM_GAS_LOG_NONE, "trap\n");
    struct pvm_digest *digest;
    assert_int_equal(pvm_digest_create(&m.arena, m.mem, &digest), ERR_ok);
    machine_map(&m, 0, 3, PVM_ACCESS_RW);
    machine_map(&m, 0x3ff000, 4, PVM_ACCESS_RW); /* over the edge of a group */
    machine_map(&m, 0xfffff000, 1, PVM_ACCESS_RW);
    static const uint32_t places[] = {5, 0x3ff010, 0x400000, 0x400fff, 0xffffffff, 5};
    for (unsigned k = 0; k < countof(places); k++) {
        byte++;
        assert_int_equal(pvm_mem_write(m.mem, places[k], &byte, 1, NULL), ERR_ok);
        assert_int_equal(pvm_digest_memory(digest, &memory), ERR_ok);
        want = slow_root(&m, 0, 20);
        assert_true(hash256_equal(&memory, &want));
    }
    /* Unmapped pages count as zeros again. */
    assert_int_equal(pvm_mem_unmap(m.mem, 0xfffff000, 4096), ERR_ok);
    assert_int_equal(pvm_digest_memory(digest, &memory), ERR_ok);
    want = slow_root(&m, 0, 20);
    assert_true(hash256_equal(&memory, &want));

    /* The machine's covers registers, gas, pc and access; icount is not state. */
    assert_int_equal(pvm_digest_machine(digest, &m.state, &machine), ERR_ok);
    m.state.icount++;
    assert_int_equal(pvm_digest_machine(digest, &m.state, &other), ERR_ok);
    assert_true(hash256_equal(&machine, &other));
    m.state.gas--;
    assert_int_equal(pvm_digest_machine(digest, &m.state, &other), ERR_ok);
    assert_false(hash256_equal(&machine, &other));
    m.state.gas++;
    assert_int_equal(pvm_mem_protect(m.mem, 0, 4096, PVM_ACCESS_R), ERR_ok);
    assert_int_equal(pvm_digest_machine(digest, &m.state, &other), ERR_ok);
    assert_false(hash256_equal(&machine, &other));
    machine_fini(&m);
}

/* Initial bytes that nobody has touched are part of the memory. */
static void test_digest_of_untouched(void **unused)
{
    (void)unused;
    struct machine m;
    struct hash256 memory, machine, want;
    static uint8_t initial[PVM_PAGE_SIZE * 2 + 5];
    memset(initial, 3, sizeof initial);
    machine_init(&m, PVM_PROFILE_VECTORS, 0, PVM_GAS_LOG_NONE, "trap\n");
    assert_int_equal(pvm_mem_map(m.mem, 0x30000, 4 * PVM_PAGE_SIZE, PVM_ACCESS_R,
                                 bytes_of(initial, sizeof initial)),
                     ERR_ok);
    digest_of(&m, &memory, &machine);
    want = slow_root(&m, 0, 20);
    assert_true(hash256_equal(&memory, &want));
    machine_fini(&m);
}

/* ---- limits ---- */

static void test_arena_of_every_size(void **unused)
{
    (void)unused;
    struct machine m;
    machine_init(&m, PVM_PROFILE_JAVM, 0, PVM_GAS_LOG_LEDGER, calling);
    enum err err = ERR_nomem;
    for (size_t size = 0; err; size += 16) {
        struct arena arena;
        struct pvm_program *program = NULL;
        arena_init(&arena, size);
        err = pvm_program_create(&arena, &m.code, &m.config, PVM_GAS_LOG_LEDGER,
                                 &program);
        assert_true(err == ERR_ok || err == ERR_nomem);
        assert_int_equal(program != NULL, err == ERR_ok);
        arena_fini(&arena);
    }
    machine_fini(&m);
}

static void test_config(void **unused)
{
    (void)unused;
    struct pvm_config config = pvm_config_default(PVM_PROFILE_JAVM);
    assert_int_equal(pvm_config_check(&config), ERR_ok);
    config.model = 257;
    assert_int_equal(pvm_config_check(&config), ERR_ok);
    config.model = 2;
    assert_int_equal(pvm_config_check(&config), ERR_unsupported);
    config.model = 513;
    assert_int_equal(pvm_config_check(&config), ERR_unsupported);
    config = (struct pvm_config){.profile = PVM_PROFILE_VECTORS, .model = 256};
    assert_int_equal(pvm_config_check(&config), ERR_usage);
    config = (struct pvm_config){.profile = PVM_PROFILE_JAVM, .model = 1};
    assert_int_equal(pvm_config_check(&config), ERR_usage); /* mem_cycles 0 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_deadline_stops),
        cmocka_unit_test(test_handler),
        cmocka_unit_test(test_handler_exits_and_moves),
        cmocka_unit_test(test_many_calls_in_a_block),
        cmocka_unit_test(test_long_run),
        cmocka_unit_test(test_mapping),
        cmocka_unit_test(test_rights_come_with_loads),
        cmocka_unit_test(test_copy_on_write),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_digest_of_untouched),
        cmocka_unit_test(test_arena_of_every_size),
        cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
