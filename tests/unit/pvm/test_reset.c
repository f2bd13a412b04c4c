/* SPDX-License-Identifier: MIT
 *
 * Address spaces that are emptied and used again: each owner finds what he would find
 * in a new one, whoever runs the code, against a model of pages.
 */
#include "tests/unit/pvm/machine.h"

enum { OWNERS = 60, ACCESSES = 40, SPOTS = 16, LARGE = 5000 };

/* Stores a1 at a0, or loads it from there into a2. */
static const char text[] = "    branch_eq_imm a3, 0, other\n"
                           "    fallthrough\n"
                           "    store_ind_u64 a1, [a0]\n"
                           "    trap\n"
                           "other:\n"
                           "    load_ind_u64 a2, [a0]\n"
                           "    trap\n";

/* Pages side by side, at the ends of groups of pages, and at both ends of memory. */
static const uint32_t spot[SPOTS] = {
    0,     1,     2,       0x10,    0x11,    0x3ff,   0x400,   0x401,
    0x7ff, 0x800, 0x20000, 0x20001, 0xffbff, 0xffc00, 0xffffe, 0xfffff};

struct model {
    enum pvm_access access[SPOTS];
    uint8_t bytes[SPOTS][PVM_PAGE_SIZE];
};

struct owner {
    struct machine m;
    struct model *model;
    const struct pvm_program *program;
    uint32_t random;
};

static uint32_t next(struct owner *o, uint32_t below)
{
    o->random = o->random * 1664525 + 1013904223;
    return (o->random >> 8) % below;
}

static int spot_of(uint64_t address)
{
    uint32_t page = (uint32_t)address / PVM_PAGE_SIZE; /* the address wraps */
    for (int i = 0; i < SPOTS; i++) {
        if (spot[i] == page)
            return i;
    }
    return -1;
}

static uint8_t *byte_of(struct owner *o, uint64_t address)
{
    return &o->model->bytes[spot_of(address)][address % PVM_PAGE_SIZE];
}

/* The first page of an access that may not be, or -1. */
static int64_t bad_page(struct owner *o, uint32_t address, bool store)
{
    for (unsigned i = 0; i < 8; i += 7) {
        uint32_t page = (address + i) / PVM_PAGE_SIZE;
        int s = spot_of(address + i);
        if (s < 0 || !o->model->access[s] ||
            (store && o->model->access[s] != PVM_ACCESS_RW))
            return (int64_t)page * PVM_PAGE_SIZE;
    }
    return -1;
}

static void map_some(struct owner *o)
{
    static uint8_t initial[PVM_PAGE_SIZE];
    memset(o->model, 0, sizeof *o->model);
    for (int i = 0; i < SPOTS; i++) {
        size_t size = next(o, 3) ? 0 : next(o, 2) ? PVM_PAGE_SIZE : next(o, 4096);
        if (next(o, 3) == 0)
            continue;
        o->model->access[i] = next(o, 4) ? PVM_ACCESS_RW : PVM_ACCESS_R;
        memset(initial, 0xc3, sizeof initial);
        memset(o->model->bytes[i], 0xc3, size);
        assert_int_equal(pvm_mem_map(o->m.mem, spot[i] * PVM_PAGE_SIZE, PVM_PAGE_SIZE,
                                     o->model->access[i], bytes_of(initial, size)),
                         ERR_ok);
    }
    if (o->model->access[3] && next(o, 2)) { /* unmapped before the reset */
        o->model->access[3] = PVM_ACCESS_NONE;
        assert_int_equal(
            pvm_mem_unmap(o->m.mem, spot[3] * PVM_PAGE_SIZE, PVM_PAGE_SIZE), ERR_ok);
    }
}

static void access_one(struct owner *o)
{
    bool store = next(o, 2);
    uint32_t address = spot[next(o, SPOTS)] * PVM_PAGE_SIZE + next(o, 4090);
    if (next(o, 4) == 0)
        address = spot[next(o, SPOTS)] * PVM_PAGE_SIZE + 4089 + next(o, 7);
    uint64_t value = 0;
    int64_t bad = bad_page(o, address, store);
    o->m.state = (struct pvm_state){.gas = 1000, .mem = o->m.mem};
    o->m.state.reg[7] = address;
    o->m.state.reg[8] = 0x0123456789abcdef + address;
    o->m.state.reg[10] = store;
    struct pvm_outcome end = pvm_run(o->m.engine, o->program, &o->m.state, NULL, NULL);
    assert_int_equal(end.exit, bad >= 0 ? PVM_EXIT_PAGE_FAULT : PVM_EXIT_TRAP);
    if (bad >= 0) {
        assert_int_equal(end.arg, bad);
        return;
    }
    for (unsigned i = 0; i < 8 && store; i++)
        *byte_of(o, (uint32_t)(address + i)) = (uint8_t)(o->m.state.reg[8] >> (8 * i));
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)*byte_of(o, (uint32_t)(address + i)) << (8 * i);
    if (!store)
        assert_int_equal(o->m.state.reg[9], value);
}

/* What tools see: access, bytes, page states. */
static void look(struct owner *o, bool fresh)
{
    for (int i = 0; i < SPOTS; i++) {
        const uint8_t *bytes = pvm_mem_page(o->m.mem, spot[i]);
        assert_int_equal(pvm_mem_access(o->m.mem, spot[i]), o->model->access[i]);
        assert_int_equal(bytes != NULL, o->model->access[i] != PVM_ACCESS_NONE);
        if (bytes)
            assert_memory_equal(bytes, o->model->bytes[i], PVM_PAGE_SIZE);
        if (fresh)
            assert_false(pvm_mem_written(o->m.mem, spot[i]));
    }
}

static void use_again(const struct pvm_recomp_options *options)
{
    struct owner o = {.random = 7};
    struct pvm_program *native = NULL;
    machine_init(&o.m, PVM_PROFILE_JAVM, 0, PVM_GAS_LOG_NONE, text);
    o.model = arena_new(&o.m.arena, struct model);
    o.program = o.m.program;
    if (options) {
        assert_int_equal(pvm_program_recompile(&o.m.arena, &o.m.code, &o.m.config,
                                               PVM_GAS_LOG_NONE, options, &native),
                         ERR_ok);
        o.program = native;
    }
    for (unsigned i = 0; i < OWNERS; i++) {
        map_some(&o);
        look(&o, true);
        for (unsigned k = 0; k < ACCESSES; k++)
            access_one(&o);
        look(&o, false);
        assert_true(pvm_mem_reset(o.m.mem));
        assert_int_equal(pvm_mem_next_page(o.m.mem, 0), PVM_PAGE_COUNT);
        assert_int_equal(pvm_mem_next_dirty(o.m.mem, 0), PVM_PAGE_COUNT);
    }
    if (native)
        pvm_program_close(native);
    machine_fini(&o.m);
}

static void test_interpreted(void **unused)
{
    (void)unused;
    use_again(NULL);
}

static void test_native(void **unused)
{
    (void)unused;
    if (!pvm_recomp_available())
        skip();
    use_again(&(struct pvm_recomp_options){.explicit_checks = false});
    use_again(&(struct pvm_recomp_options){.explicit_checks = true});
    use_again(&(struct pvm_recomp_options){.interpret_first = true});
}

static void test_sandboxed(void **unused)
{
    struct arena arena;
    struct pvm_recomp_options options = {.sandbox = NULL};
    (void)unused;
    if (!pvm_recomp_available())
        skip();
    arena_init(&arena, 1 << 20);
    assert_int_equal(pvm_sandbox_create(&arena, NULL, &options.sandbox), ERR_ok);
    use_again(&options);
    options.interpret_first = true;
    use_again(&options);
    assert_int_equal(pvm_sandbox_err(options.sandbox), ERR_ok);
    pvm_sandbox_close(options.sandbox);
    arena_fini(&arena);
}

/* One with many pages in use is not worth it, and stays as it is; zero pages do not
 * count. */
static void test_large(void **unused)
{
    struct machine m;
    (void)unused;
    machine_init(&m, PVM_PROFILE_JAVM, 0, PVM_GAS_LOG_NONE, text);
    machine_map(&m, 0, LARGE, PVM_ACCESS_RW);
    assert_true(pvm_mem_reset(m.mem));
    assert_int_equal(pvm_mem_access(m.mem, LARGE - 1), PVM_ACCESS_NONE);
    machine_map(&m, 0, LARGE, PVM_ACCESS_RW);
    for (uint32_t page = 0; page < 1025; page++)
        assert_int_equal(pvm_mem_write(m.mem, page * PVM_PAGE_SIZE, "x", 1, NULL),
                         ERR_ok);
    assert_false(pvm_mem_reset(m.mem));
    assert_int_equal(pvm_mem_access(m.mem, LARGE - 1), PVM_ACCESS_RW);
    assert_int_equal(pvm_mem_page(m.mem, 1024)[0], 'x');
    machine_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interpreted),
        cmocka_unit_test(test_native),
        cmocka_unit_test(test_sandboxed),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
