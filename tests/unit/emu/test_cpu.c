/* SPDX-License-Identifier: MIT
 *
 * The processor as the board drives it: `rep` cut at any iteration, interrupts inside,
 * code that it overwrites, stops exactly where they were asked for.
 */
#include "tests/test.h"

#include "base/arena.h"
#include "emu/cpu.h"

#include <string.h>

enum {
    RAM_SIZE = 1 << 20,
    IDT = 0x1000,
    GDT = 0x1800,
    HANDLER = 0x2000,
    STACK = 0x4000,
    CODE = 0x5000,
    FROM = 0x10000,
    TO = 0x20000,
    COUNT = 5000,
};

struct machine {
    struct arena arena;
    struct emu_ram *ram;
    struct emu_cpu *cpu;
};

static uint32_t port_read(void *context, uint16_t port, unsigned size)
{
    (void)context, (void)port, (void)size;
    return 0;
}

static void port_write(void *context, uint16_t port, uint32_t value, unsigned size)
{
    (void)context, (void)port, (void)value, (void)size;
}

/* The line falls when the interrupt is taken. */
static uint8_t acknowledge(void *context)
{
    struct machine *m = context;
    emu_cpu_set_intr(m->cpu, false);
    return 0x20;
}

static void fpu_error(void *context)
{
    (void)context;
}

static void put32(struct machine *m, uint32_t at, uint32_t value)
{
    emu_ram_write(m->ram, at, &value, 4);
}

static uint32_t get32(const struct machine *m, uint32_t at)
{
    uint32_t value;
    emu_ram_read(m->ram, at, &value, 4);
    return value;
}

/* Flat protected mode, interrupts on, `code` at CODE, an IRET at HANDLER. */
static void create(struct machine *m, const void *code, size_t size)
{
    struct emu_cpu_config config = {.ns_per_insn = 10, .features = EMU_FEATURES_ALL};
    struct emu_cpu_bus bus = {m, port_read, port_write, acknowledge, fpu_error};
    arena_init(&m->arena, (size_t)16 << 20);
    assert_int_equal(emu_ram_create(&m->arena, RAM_SIZE, &m->ram), ERR_ok);
    assert_int_equal(emu_cpu_create(&m->arena, &config, m->ram, &bus, 1 << 20, &m->cpu),
                     ERR_ok);
    struct emu_cpu *cpu = m->cpu;
    put32(m, GDT + 8, 0xffff);
    put32(m, GDT + 12, 0xcf9b00);
    put32(m, IDT + 8 * 0x20, 8 << 16 | HANDLER);
    put32(m, IDT + 8 * 0x20 + 4, 0x8e00);
    put32(m, HANDLER, 0xcf);
    emu_ram_write(m->ram, CODE, code, size);
    cpu->cr0 |= EMU_CR0_PE;
    cpu->gdtr = (struct emu_table){.base = GDT, .limit = 15};
    cpu->idtr = (struct emu_table){.base = IDT, .limit = 0x7ff};
    emu_cpu_set_segment(cpu, EMU_CS, 8, 0, UINT32_MAX, 0xc09b);
    for (unsigned i = 0; i < 6; i++)
        if (i != EMU_CS)
            emu_cpu_set_segment(cpu, i, 16, 0, UINT32_MAX, 0xc093);
    cpu->eip = CODE;
    cpu->eflags = EMU_FLAG_IF | 2;
    cpu->reg[EMU_ESP] = STACK;
    for (uint32_t i = 0; i < COUNT; i += 4)
        put32(m, FROM + i, i * 0x9e3779b1u);
    cpu->reg[EMU_ESI] = FROM;
    cpu->reg[EMU_EDI] = TO;
    cpu->reg[EMU_ECX] = COUNT;
    emu_cpu_loaded(cpu);
}

static void assert_copied(const struct machine *m, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(m->ram->bytes[TO + i], m->ram->bytes[FROM + i]);
    assert_int_equal(m->ram->bytes[TO + count], 0);
}

static const uint8_t rep_movs[] = {0xf3, 0xa4, 0x90, 0x90}; /* rep movsb; nop; nop */

/* Runs end at (icount, sub), wherever that is, and go on from there. */
static void test_rep_is_cut(void **unused)
{
    (void)unused;
    static const uint64_t places[] = {1, 2, 17, 4095, 4096, 4097, COUNT - 1};
    struct machine m;
    create(&m, rep_movs, sizeof rep_movs);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct emu_place limit = {.icount = 0, .sub = places[i]};
        while (emu_cpu_run_to(m.cpu, limit) == EMU_RUN_YIELD)
            continue;
        assert_int_equal(m.cpu->icount, 0);
        assert_int_equal(m.cpu->sub, places[i]);
        assert_int_equal(m.cpu->eip, CODE);
        assert_int_equal(m.cpu->reg[EMU_ECX], COUNT - places[i]);
        assert_int_equal(m.cpu->reg[EMU_ESI], FROM + places[i]);
        assert_int_equal(m.cpu->reg[EMU_EDI], TO + places[i]);
        assert_copied(&m, (uint32_t)places[i]);
    }
    while (emu_cpu_run(m.cpu, 1) == EMU_RUN_YIELD)
        continue;
    assert_int_equal(m.cpu->icount, 1);
    assert_int_equal(m.cpu->sub, 0);
    assert_int_equal(m.cpu->eip, CODE + 2);
    assert_copied(&m, COUNT);
    arena_fini(&m.arena);
}

/* An interrupt at any iteration: RF and the EIP of the `rep` are pushed, the delivery
 * is a step, and the rest is done behind the handler. */
static void test_rep_is_interrupted(void **unused)
{
    (void)unused;
    uint64_t seed = test_seed(20);
    for (unsigned i = 0; i < 50; i++) {
        struct machine m;
        uint64_t at = 1 + test_random(&seed) % (COUNT - 1);
        create(&m, rep_movs, sizeof rep_movs);
        if (i & 1)
            emu_cpu_stress(m.cpu, seed | 1);
        while (emu_cpu_run_to(m.cpu, (struct emu_place){.sub = at}) == EMU_RUN_YIELD)
            continue;
        emu_cpu_set_intr(m.cpu, true);
        assert_int_equal(emu_cpu_run(m.cpu, 1), EMU_RUN_LIMIT);
        assert_int_equal(m.cpu->eip, HANDLER);
        assert_int_equal(m.cpu->reg[EMU_ECX], COUNT - at);
        assert_int_equal(get32(&m, STACK - 12), CODE);
        assert_int_equal(get32(&m, STACK - 4), 0x10202);
        assert_copied(&m, (uint32_t)at);
        while (emu_cpu_run(m.cpu, 4) == EMU_RUN_YIELD)
            continue;
        assert_int_equal(m.cpu->eip, CODE + 3); /* IRET, the rest, NOP */
        assert_int_equal(m.cpu->reg[EMU_ECX], 0);
        assert_int_equal(m.cpu->eflags & EMU_FLAG_RF, 0);
        assert_copied(&m, COUNT);
        arena_fini(&m.arena);
    }
}

/* `rep stosb` over the code behind it, over itself, and in the page of both. */
static void test_rep_writes_code(void **unused)
{
    (void)unused;
    static const uint8_t code[] = {
        0xf3, 0xaa,       /* rep stosb */
        0x90, 0x90, 0x90, /* becomes inc ecx */
        0xeb, 0xfe,       /* jmp . */
    };
    for (uint64_t stress = 0; stress < 8; stress++) {
        struct machine m;
        create(&m, code, sizeof code);
        emu_cpu_stress(m.cpu, stress);
        m.cpu->reg[EMU_EAX] = 0x41;
        m.cpu->reg[EMU_EDI] = CODE + 2;
        m.cpu->reg[EMU_ECX] = 3;
        while (emu_cpu_run(m.cpu, 4) == EMU_RUN_YIELD)
            continue;
        assert_int_equal(m.cpu->reg[EMU_ECX], 3);
        assert_int_equal(m.cpu->eip, CODE + 5);
        arena_fini(&m.arena);
        /* Over the prefix: what stands there then is executed. */
        create(&m, code, sizeof code);
        emu_cpu_stress(m.cpu, stress);
        m.cpu->reg[EMU_EAX] = 0x41;
        m.cpu->reg[EMU_EDI] = CODE;
        m.cpu->reg[EMU_ECX] = 3;
        while (emu_cpu_run(m.cpu, 2) == EMU_RUN_YIELD)
            continue;
        /* One iteration, then inc ecx; stosb. */
        assert_int_equal(m.cpu->reg[EMU_ECX], 3);
        assert_int_equal(m.cpu->reg[EMU_EDI], CODE + 2);
        assert_int_equal(m.cpu->eip, CODE + 2);
        arena_fini(&m.arena);
    }
}

/* A loop that patches its own next instruction: each engine sees it at once. */
static void test_code_is_patched(void **unused)
{
    (void)unused;
    static const uint8_t code[] = {
        0xff, 0x05, 9,    0x50, 0, 0,    /* inc dword [CODE + 9]: the operand of */
        0x90, 0x90, 0x68, 0,    0, 0, 0, /* push 0 */
        0x5a, 0x01, 0xd0,                /* pop edx; add eax, edx */
        0x49, 0x75, 0xed,                /* dec ecx; jnz CODE */
        0xeb, 0xfe,                      /* jmp . */
    };
    enum { ROUNDS = 100, STEPS = 8 * ROUNDS };
    for (uint64_t way = 0; way < 6; way++) {
        struct machine m;
        create(&m, code, sizeof code);
        emu_cpu_one_by_one(m.cpu, way == 1);
        emu_cpu_stress(m.cpu, way > 1 ? way : 0);
        m.cpu->reg[EMU_ECX] = ROUNDS;
        while (emu_cpu_run(m.cpu, STEPS) == EMU_RUN_YIELD)
            continue;
        assert_int_equal(m.cpu->reg[EMU_EAX], ROUNDS * (ROUNDS + 1) / 2);
        assert_int_equal(m.cpu->eip, CODE + sizeof code - 2);
        arena_fini(&m.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rep_is_cut),
        cmocka_unit_test(test_rep_is_interrupted),
        cmocka_unit_test(test_rep_writes_code),
        cmocka_unit_test(test_code_is_patched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
