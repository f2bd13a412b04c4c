/* SPDX-License-Identifier: MIT
 *
 * Any code on any state of the i386 processor: decoded blocks and single instructions
 * must come to the same state, registers, TLB and memory, wherever a run is cut and
 * whatever the engine forgets meanwhile.
 *
 * Input: one byte of mode, eight bytes of seed, then code.  Tables and page tables are
 * in reach of the code, so it also runs under what it made of them.
 */
#include "base/arena.h"
#include "emu/cpu.h"
#include "emu/decode.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAM_SIZE = 1 << 20, STEPS = 400, CALLS_MAX = 2000 };
enum {
    GDT = 0x1000,
    IDT = 0x1800,
    TSS = 0x2000,
    DIRECTORY = 0x3000,
    TABLE = 0x4000,
    HANDLERS = 0x5000,
    STACK = 0x7000,
    CODE = 0x8000,
};
enum { MODE_PROTECTED = 1, MODE_PAGING = 2, MODE_USER = 4, MODE_CODE16 = 8 };

struct machine {
    struct emu_ram *ram;
    struct emu_cpu *cpu;
};

static struct machine blocks, single;

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t port_read(void *context, uint16_t port, unsigned size)
{
    (void)context;
    return port * 0x9e3779b1u >> (size & 1);
}

static void port_write(void *context, uint16_t port, uint32_t value, unsigned size)
{
    (void)context, (void)port, (void)value, (void)size;
}

static uint8_t acknowledge(void *context)
{
    (void)context;
    return 0x20;
}

static void fpu_error(void *context)
{
    (void)context;
}

static void create(struct machine *m)
{
    static struct arena arena;
    static const struct emu_cpu_bus bus = {NULL, port_read, port_write, acknowledge,
                                           fpu_error};
    struct emu_cpu_config config = {.ns_per_insn = 10, .features = EMU_FEATURES_ALL};
    if (!arena.size_max)
        arena_init(&arena, (size_t)64 << 20);
    check(emu_ram_create(&arena, RAM_SIZE, &m->ram) == ERR_ok);
    check(emu_cpu_create(&arena, &config, m->ram, &bus, 1 << 16, &m->cpu) == ERR_ok);
}

static void put32(struct machine *m, uint32_t at, uint32_t value)
{
    emu_ram_write(m->ram, at, &value, 4);
}

static void make_tables(struct machine *m)
{
    static const uint32_t high[] = {0,        0xcf9b00, 0xcf9300, 0xcffb00,
                                    0xcff300, 0x009b00, 0x009300, 0x008900};
    for (unsigned i = 1; i < 8; i++) {
        put32(m, GDT + 8 * i, i == 7 ? TSS << 16 | 0x67 : 0xffff);
        put32(m, GDT + 8 * i + 4, high[i]);
    }
    for (unsigned i = 0; i < 64; i++) {
        put32(m, IDT + 8 * i, 8 << 16 | (HANDLERS + 4 * i));
        put32(m, IDT + 8 * i + 4, 0xee00);
        put32(m, HANDLERS + 4 * i, 0xcfcf0158); /* pop eax, add edi, ecx; iret */
    }
    put32(m, TSS + 4, STACK);
    put32(m, TSS + 8, 0x10);
    for (unsigned i = 0; i < 256; i++)
        put32(m, TABLE + 4 * i, i << 12 | 7);
    put32(m, DIRECTORY, TABLE | 7);
    put32(m, DIRECTORY + 4, 0x87);
}

static void set_segments(struct emu_cpu *cpu, unsigned mode)
{
    static const uint8_t data[] = {EMU_ES, EMU_SS, EMU_DS, EMU_FS, EMU_GS};
    bool user = mode & MODE_USER;
    uint16_t dpl = user ? 0x60 : 0, rpl = user ? 3 : 0;
    uint16_t wide = mode & MODE_CODE16 ? 0x8000 : 0xc000;
    if (!(mode & MODE_PROTECTED)) {
        emu_cpu_set_segment(cpu, EMU_CS, 0, 0, 0xffff, 0x93);
        return;
    }
    emu_cpu_set_segment(cpu, EMU_CS, (uint16_t)((user ? 0x18 : 0x08) | rpl), 0,
                        UINT32_MAX, (uint16_t)(0x9b | dpl | wide));
    for (unsigned i = 0; i < sizeof data; i++)
        emu_cpu_set_segment(cpu, data[i], (uint16_t)((user ? 0x20 : 0x10) | rpl), 0,
                            UINT32_MAX, (uint16_t)(0x93 | dpl | wide));
    emu_cpu_set_segment(cpu, EMU_TR, 0x38, TSS, 0x67, 0x8b);
}

static void prepare(struct machine *m, unsigned mode, uint64_t seed,
                    const uint8_t *code, size_t size)
{
    static const uint8_t zero[RAM_SIZE / 4];
    struct emu_cpu *cpu = m->cpu;
    for (unsigned i = 0; i < 4; i++)
        emu_ram_write(m->ram, i * sizeof zero, zero, sizeof zero);
    make_tables(m);
    emu_ram_write(m->ram, CODE, code, size < 0x2000 ? size : 0x2000);
    emu_cpu_reset(cpu);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t r = next_random(&seed);
        cpu->reg[i] = r & 3 ? CODE + (r >> 8 & 0x3fff) : (uint32_t)(r >> 32);
    }
    cpu->reg[EMU_ESP] = STACK + (seed & 0xfff);
    cpu->eip = CODE;
    cpu->eflags = (uint32_t)next_random(&seed) & 0xcd5;
    cpu->gdtr = (struct emu_table){.base = GDT, .limit = 0x3f};
    if (mode & MODE_PROTECTED) {
        cpu->idtr = (struct emu_table){.base = IDT, .limit = 0x1ff};
        cpu->cr0 |= EMU_CR0_PE;
        if (mode & MODE_PAGING) {
            cpu->cr0 |= EMU_CR0_PG | EMU_CR0_WP;
            cpu->cr3 = DIRECTORY;
            cpu->cr4 = EMU_CR4_PSE | EMU_CR4_PGE;
        }
    }
    set_segments(cpu, mode);
    emu_cpu_set_intr(cpu, mode & 16);
    emu_cpu_loaded(cpu);
}

/* Run to STEPS in pieces of random size; all at once for seed 0.  False inside a `rep`
 * that is too long to wait for. */
static bool run(struct machine *m, uint64_t seed)
{
    for (unsigned calls = 0; calls < CALLS_MAX && m->cpu->icount < STEPS; calls++) {
        uint64_t limit = seed ? m->cpu->icount + 1 + next_random(&seed) % 97 : STEPS;
        enum emu_run_reason reason = emu_cpu_run(m->cpu, limit < STEPS ? limit : STEPS);
        if (reason == EMU_RUN_YIELD)
            return false;
        if (reason == EMU_RUN_HALTED || reason == EMU_RUN_TRIPLE_FAULT)
            return true;
    }
    return m->cpu->icount >= STEPS;
}

static void compare(void)
{
    const struct emu_cpu *a = blocks.cpu, *b = single.cpu;
    check(a->icount == b->icount && a->sub == b->sub);
    check(!memcmp(a->reg, b->reg, sizeof a->reg));
    check(a->eip == b->eip && a->eflags == b->eflags);
    for (unsigned i = 0; i < EMU_SEGMENT_COUNT; i++)
        check(!memcmp(&a->segment[i], &b->segment[i], sizeof a->segment[i]));
    check(a->cr0 == b->cr0 && a->cr2 == b->cr2 && a->cr3 == b->cr3 && a->cr4 == b->cr4);
    check(!memcmp(a->dr, b->dr, sizeof a->dr));
    check(a->shadow == b->shadow && a->halted == b->halted);
    check(a->tsc_offset == b->tsc_offset);
    check(!memcmp(a->itlb, b->itlb, sizeof a->itlb));
    check(!memcmp(a->dtlb, b->dtlb, sizeof a->dtlb));
    check(!memcmp(blocks.ram->bytes, single.ram->bytes, RAM_SIZE));
}

static void check_decoder(const uint8_t *code, size_t size)
{
    struct emu_insn insn, shorter;
    unsigned window = size < 32 ? (unsigned)size : 32;
    for (unsigned wide = 0; wide < 2; wide++) {
        enum emu_decoded result = emu_decode(code, window, wide, &insn);
        if (result != EMU_DECODED)
            continue;
        check(insn.length >= 1 && insn.length <= EMU_INSN_SIZE_MAX);
        check(insn.length <= window && insn.row < emu_row_count);
        check(emu_decode(code, insn.length, wide, &shorter) == EMU_DECODED);
        check(emu_decode(code, insn.length - 1u, wide, &shorter) == EMU_DECODE_MORE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t seed;
    if (size < 1 + sizeof seed)
        return 0;
    if (!blocks.cpu) {
        create(&blocks);
        create(&single);
        emu_cpu_one_by_one(single.cpu, true);
    }
    unsigned mode = data[0];
    memcpy(&seed, data + 1, sizeof seed);
    const uint8_t *code = data + 1 + sizeof seed;
    size -= 1 + sizeof seed;
    check_decoder(code, size);
    prepare(&blocks, mode, seed, code, size);
    prepare(&single, mode, seed, code, size);
    emu_cpu_stress(blocks.cpu, mode & 64 ? seed | 1 : 0);
    bool done = run(&blocks, mode & 32 ? seed | 1 : 0);
    if (run(&single, 0) && done)
        compare();
    return 0;
}
