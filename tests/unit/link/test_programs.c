/* SPDX-License-Identifier: MIT
 *
 * The programs of corpus/pvm: every format carries the same instructions and runs the
 * same, and each listing assembles back to its blob (guest-toolchain.md 11.3).
 */
#include "tests/test.h"

#include "tests/unit/link/world.h"

#include <string.h>

enum { A0 = 7, LISTING_MAX = 1 << 26 };

struct program {
    const char *name, *kind;
    uint64_t n, expected;
};

static const struct program program[] = {
#define PROGRAM(name, kind, n_test, n_bench, expected, text)                           \
    {#name, #kind, n_test, expected},
#include "corpus/pvm/programs.def"
};

static void link_program(struct world *world, const struct program *p,
                         enum link_format format)
{
    char path[64];
    world_init(world);
    world->options.format = format;
    world->options.json = format == LINK_FORMAT_RAW;
    snprintf(path, sizeof path, "corpus/pvm/obj/%s.o", p->name);
    world_add_file(world, path, p->name);
    world_add_file(world, "corpus/pvm/obj/pvm.o", "pvm.o");
    world_link_ok(world);
}

static void assert_same_code(const struct pvm_code *a, const struct pvm_code *b)
{
    assert_int_equal(a->code.size, b->code.size);
    assert_memory_equal(a->code.data, b->code.data, a->code.size);
    assert_memory_equal(a->bitmask, b->bitmask, (a->code.size + 7) / 8);
    assert_int_equal(a->jump_count, b->jump_count);
    assert_int_equal(a->jump_width, b->jump_width);
    assert_memory_equal(a->jump, b->jump, (size_t)a->jump_count * a->jump_width);
}

static void test_formats(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(program); i++) {
        struct world raw, spi, polkavm;
        link_program(&raw, &program[i], LINK_FORMAT_RAW);
        link_program(&spi, &program[i], LINK_FORMAT_SPI);
        link_program(&polkavm, &program[i], LINK_FORMAT_POLKAVM);
        assert_true(pvm_code_valid(&spi.result.code, PVM_PROFILE_VECTORS));
        assert_true(pvm_code_valid(&spi.result.code, PVM_PROFILE_JAVM));
        assert_same_code(&raw.result.code, &spi.result.code);
        assert_same_code(&polkavm.result.code, &spi.result.code);
        world_fini(&raw);
        world_fini(&spi);
        world_fini(&polkavm);
    }
}

static void test_listing(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(program); i++) {
        struct world world;
        struct buf listing, blob;
        struct pvm_asm_error error;
        link_program(&world, &program[i], LINK_FORMAT_RAW);
        buf_init(&listing, LISTING_MAX);
        buf_init(&blob, LISTING_MAX);
        pvm_disasm(&world.result.code, PVM_PROFILE_VECTORS, &listing);
        assert_int_equal(listing.err, ERR_ok);
        assert_int_equal(pvm_asm(buf_bytes(&listing), &blob, &error), ERR_ok);
        assert_int_equal(blob.size, world.result.output.size);
        assert_memory_equal(blob.data, world.result.output.data, blob.size);
        buf_fini(&listing);
        buf_fini(&blob);
        world_fini(&world);
    }
}

/* a0 and the number of instructions. */
static uint64_t run(const struct program *p, enum link_format format,
                    uint64_t *ret_icount)
{
    struct world world;
    struct pvm_state start;
    link_program(&world, p, format);
    world_load(&world, &start);
    start.reg[A0] = p->n;
    struct pvm_outcome outcome = world_run(&world, &start);
    if (outcome.exit != PVM_EXIT_HALT)
        fail_msg("%s: exit %s at pc %u", p->name, pvm_exit_name(outcome.exit),
                 (unsigned)start.pc);
    *ret_icount = start.icount;
    world_fini(&world);
    return start.reg[A0];
}

static void test_runs(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(program); i++) {
        const struct program *p = &program[i];
        uint64_t spi_icount, polkavm_icount;
        if (strcmp(p->kind, "bench") != 0 || strcmp(p->name, "hostcall") == 0)
            continue; /* those need a host: tests/conformance runs them */
        if (run(p, LINK_FORMAT_SPI, &spi_icount) != p->expected)
            fail_msg("%s: wrong answer", p->name);
        assert_int_equal(run(p, LINK_FORMAT_POLKAVM, &polkavm_icount), p->expected);
        assert_int_equal(spi_icount, polkavm_icount);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_listing),
        cmocka_unit_test(test_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
