/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tests/diff/i386_host.h"

#include "base/arena.h"
#include "emu/cpu.h"
#include "tests/diff/oracle32/encode.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSTEM 0xc0000000u /* where user mode cannot see the tables */

enum {
    PAGE_DIRECTORY = 0x1000,
    TABLE_DATA = 0x2000,
    TABLE_CODE = 0x3000,
    TABLE_LOW = 0x4000,
    GDT = 0x5000,
    LDT = 0x5800,
    IDT = 0x6000,
    TSS = 0x7000,
    KERNEL_STACK = 0x9000,
    HANDLERS = 0xa000, /* one HLT for each vector */
    DATA = 0x10000,
    CODE = 0x20000,
};

struct i386_host {
    struct arena arena;
    struct emu_ram *ram;
    struct emu_cpu *cpu;
    const char *oracle;
    pid_t pid;
    int to, from;
    uint8_t any_pool[CASE_POOL_SIZE], far_pool[CASE_POOL_SIZE];
};

/* ---- the emulator's side ---- */

static void put32(struct i386_host *h, uint32_t at, uint32_t value)
{
    emu_ram_write(h->ram, at, &value, 4);
}

static uint32_t get32(const struct i386_host *h, uint32_t at)
{
    uint32_t value;
    emu_ram_read(h->ram, at, &value, 4);
    return value;
}

static uint32_t port_read(void *context, uint16_t port, unsigned size)
{
    (void)context, (void)port, (void)size;
    return UINT32_MAX;
}

static void port_write(void *context, uint16_t port, uint32_t value, unsigned size)
{
    (void)context, (void)port, (void)value, (void)size;
}

static uint8_t acknowledge(void *context)
{
    (void)context;
    return 0;
}

static void fpu_error(void *context)
{
    (void)context;
}

/* The high word of a descriptor of case.h, without the base. */
static uint32_t ldt_high(const struct case_descriptor *d)
{
    uint32_t type = 0x10 | d->contents << 2 | 1;
    type |= d->flags & CASE_LDT_READ_ONLY ? 0 : 2;
    type |= 0x60 | (d->flags & CASE_LDT_ABSENT ? 0 : 0x80);
    return type << 8 | (d->limit & 0xf0000) | (d->flags & CASE_LDT_32 ? 0x400000u : 0) |
           (d->flags & CASE_LDT_PAGES ? 0x800000u : 0);
}

static void make_ldt(struct i386_host *h)
{
    for (unsigned i = 0; i < CASE_LDT_COUNT; i++) {
        const struct case_descriptor *d = &case_ldt[i];
        put32(h, LDT + 8 * i, (d->limit & 0xffff) | d->base << 16);
        put32(h, LDT + 8 * i + 4,
              ldt_high(d) | (d->base >> 16 & 0xff) | (d->base & 0xff000000));
    }
    emu_cpu_set_segment(h->cpu, EMU_LDTR, 0x38, SYSTEM + LDT, 8 * CASE_LDT_COUNT - 1,
                        0x82);
}

static void make_tables(struct i386_host *h)
{
    for (unsigned i = 0; i < 16; i++)
        put32(h, TABLE_LOW + 4 * i, i << 12 | 3);
    put32(h, PAGE_DIRECTORY + 4 * (SYSTEM >> 22), TABLE_LOW | 3);
    put32(h, PAGE_DIRECTORY + 4 * (CASE_DATA >> 22), TABLE_DATA | 7);
    put32(h, PAGE_DIRECTORY + 4 * (CASE_CODE >> 22), TABLE_CODE | 7);
    put32(h, TABLE_DATA, DATA | 7);
    put32(h, TABLE_DATA + 4, (DATA + 0x1000) | 7);
    put32(h, TABLE_CODE, CODE | 7);
    static const uint32_t high[] = {0, 0xcf9b00, 0xcf9300, 0, 0xcffb00, 0xcff300};
    for (unsigned i = 1; i < 6; i++) {
        put32(h, GDT + 8 * i, high[i] ? 0xffff : 0);
        put32(h, GDT + 8 * i + 4, high[i]);
    }
    /* As Linux has them: user mode may only INT3 and INTO. */
    for (unsigned i = 0; i < 256; i++) {
        put32(h, IDT + 8 * i, 8 << 16 | (HANDLERS + 16 * i));
        put32(h, IDT + 8 * i + 4, SYSTEM | (i == 3 || i == 4 ? 0xee00 : 0x8e00));
        put32(h, HANDLERS + 16 * i, 0xf4);
    }
    put32(h, TSS + 4, SYSTEM + KERNEL_STACK + 0x800);
    put32(h, TSS + 8, 0x10);
    put32(h, TSS + 0x64, 0x680000); /* no I/O bitmap */
}

static void create_machine(struct i386_host *h)
{
    static const struct emu_cpu_bus bus = {NULL, port_read, port_write, acknowledge,
                                           fpu_error};
    struct emu_cpu_config config = {.ns_per_insn = 10, .features = EMU_FEATURES_ALL};
    arena_init(&h->arena, (size_t)64 << 20);
    check(emu_ram_create(&h->arena, 1 << 20, &h->ram) == ERR_ok);
    check(emu_cpu_create(&h->arena, &config, h->ram, &bus, 1 << 20, &h->cpu) == ERR_ok);
    struct emu_cpu *cpu = h->cpu;
    make_tables(h);
    cpu->cr0 = EMU_CR0_PG | EMU_CR0_PE | EMU_CR0_ET | EMU_CR0_NE | EMU_CR0_AM;
    cpu->cr3 = PAGE_DIRECTORY;
    cpu->gdtr = (struct emu_table){.base = SYSTEM + GDT, .limit = 0x2f};
    cpu->idtr = (struct emu_table){.base = SYSTEM + IDT, .limit = 0x7ff};
    emu_cpu_set_segment(cpu, EMU_TR, 0x30, SYSTEM + TSS, 0x67, 0x8b);
    make_ldt(h);
    emu_cpu_loaded(cpu);
    case_make_pools(h->any_pool, h->far_pool);
}

/* As plain calls on the host find them. */
static void set_flat_segments(struct emu_cpu *cpu)
{
    emu_cpu_set_segment(cpu, EMU_CS, 0x23, 0, UINT32_MAX, 0xc0fb);
    emu_cpu_set_segment(cpu, EMU_SS, 0x2b, 0, UINT32_MAX, 0xc0f3);
    emu_cpu_set_segment(cpu, EMU_DS, 0x2b, 0, UINT32_MAX, 0xc0f3);
    emu_cpu_set_segment(cpu, EMU_ES, 0x2b, 0, UINT32_MAX, 0xc0f3);
    emu_cpu_set_segment(cpu, EMU_FS, 0, 0, 0, 0);
    emu_cpu_set_segment(cpu, EMU_GS, 0, 0, 0, 0);
}

static void set_segments(struct emu_cpu *cpu, const struct case_state *state)
{
    for (unsigned i = 0; i < 6; i++) {
        uint16_t selector = state->segment[i];
        if (!(selector & 4)) {
            emu_cpu_set_segment(cpu, i, selector, 0, 0, 0);
            continue;
        }
        const struct case_descriptor *d = &case_ldt[selector >> 3];
        uint32_t high = ldt_high(d), limit = d->limit;
        if (d->flags & CASE_LDT_PAGES)
            limit = limit << 12 | 0xfff;
        emu_cpu_set_segment(cpu, i, selector, d->base, limit, high >> 8 & 0xf0ff);
    }
}

/* The state before a fault or trap, from the kernel's stack frame. */
static void take_fault(struct i386_host *h, struct case_state *state)
{
    struct emu_cpu *cpu = h->cpu;
    uint32_t frame = cpu->reg[EMU_ESP] - SYSTEM;
    state->vector = (cpu->eip - SYSTEM - HANDLERS) / 16;
    if (state->vector >= 10 && state->vector <= 17 && state->vector != 16) {
        state->error = get32(h, frame);
        frame += 4;
    }
    if (state->vector == 14)
        state->address = cpu->cr2;
    state->eip = get32(h, frame);
    state->segment[EMU_CS] = (uint16_t)get32(h, frame + 4);
    state->flags = get32(h, frame + 8);
    state->reg[EMU_ESP] = get32(h, frame + 12);
    state->segment[EMU_SS] = (uint16_t)get32(h, frame + 16);
}

static void put_registers(struct emu_cpu *cpu, const struct case_state *state)
{
    memcpy(cpu->reg, state->reg, sizeof state->reg);
    cpu->shadow = 0;
    cpu->sub = 0;
    cpu->halted = false;
}

/* Run one case; the area is in RAM before and after. */
static void emulate_call(struct i386_host *h, struct case_state *state)
{
    struct emu_cpu *cpu = h->cpu;
    put_registers(cpu, state);
    cpu->eip = CASE_CODE;
    cpu->eflags = state->flags | 0x202;
    (void)emu_cpu_run(cpu, cpu->icount + 1);
    memcpy(state->reg, cpu->reg, sizeof state->reg);
    state->flags = cpu->eflags;
    if (cpu->eip >= SYSTEM) {
        take_fault(h, state);
        set_flat_segments(cpu);
        memset(state->segment, 0, sizeof state->segment);
        state->eip = 0;
    }
    state->flags &= CASE_FLAGS;
}

/* The same until a handler halts. */
static void emulate_step(struct i386_host *h, struct case_state *state, uint32_t eip)
{
    enum { STEPS_MAX = 64 }; /* usually the instruction, INT3, HLT */
    struct emu_cpu *cpu = h->cpu;
    put_registers(cpu, state);
    cpu->eip = eip;
    cpu->eflags = state->flags | 0x202;
    set_segments(cpu, state);
    (void)emu_cpu_run(cpu, cpu->icount + STEPS_MAX);
    memcpy(state->reg, cpu->reg, sizeof state->reg);
    for (unsigned i = 0; i < 6; i++)
        state->segment[i] = cpu->segment[i].selector;
    cpu->eip -= cpu->halted;
    take_fault(h, state);
    state->flags &= CASE_FLAGS_STEP;
}

/* Make the next case of a request and run it. */
static void emulate(struct i386_host *h, const struct case_request *request,
                    uint64_t *seed, struct case_state *ret_before,
                    struct case_state *ret_state, uint8_t *ret_area)
{
    bool far = request->how & CASE_FAR;
    case_make(request, seed, far ? h->far_pool : h->any_pool, ret_before, ret_area);
    emu_ram_write(h->ram, DATA + CASE_AREA - CASE_DATA, ret_area, CASE_AREA_SIZE);
    *ret_state = *ret_before;
    if (request->how & CASE_STEP)
        emulate_step(h, ret_state, case_code(request));
    else
        emulate_call(h, ret_state);
    emu_ram_read(h->ram, DATA + CASE_AREA - CASE_DATA, ret_area, CASE_AREA_SIZE);
    case_loosen(request, ret_state, ret_area);
}

/* ---- the host's side ---- */

static bool move_all(int fd, void *data, size_t size, bool write_it)
{
    uint8_t *at = data;
    while (size) {
        ssize_t n = write_it ? write(fd, at, size) : read(fd, at, size);
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static void start_oracle(struct i386_host *h)
{
    int in[2], out[2];
    check(pipe(in) == 0 && pipe(out) == 0);
    h->pid = fork();
    check(h->pid >= 0);
    if (h->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        execl(h->oracle, h->oracle, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    h->to = in[1];
    h->from = out[0];
}

/* Its exit status; 256 plus the signal that ended it. */
static int stop_oracle(struct i386_host *h)
{
    struct case_request quit = {.kind = CASE_QUIT};
    int status = 0;
    (void)move_all(h->to, &quit, sizeof quit, true);
    close(h->to);
    close(h->from);
    (void)waitpid(h->pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

struct i386_host *i386_host_start(const char *oracle, bool *ret_steps)
{
    struct i386_host *h = calloc(1, sizeof *h);
    struct case_request ping = {.kind = CASE_PING};
    uint32_t no_ldt;
    check(h != NULL);
    h->oracle = oracle;
    signal(SIGPIPE, SIG_IGN);
    start_oracle(h);
    if (!move_all(h->to, &ping, sizeof ping, true) ||
        !move_all(h->from, &no_ldt, sizeof no_ldt, false)) {
        (void)stop_oracle(h);
        free(h);
        return NULL;
    }
    *ret_steps = !no_ldt;
    create_machine(h);
    return h;
}

void i386_host_stop(struct i386_host *host)
{
    (void)stop_oracle(host);
    arena_fini(&host->arena);
    free(host);
}

/* ---- comparison ---- */

static void print_state(const char *who, const struct case_state *s)
{
    printf("  %s: eax %08x ecx %08x edx %08x ebx %08x esp %08x ebp %08x esi %08x "
           "edi %08x\n          eip %08x flags %06x es %02x cs %02x ss %02x ds %02x "
           "fs %02x gs %02x vector %x error %x address %x\n",
           who, s->reg[0], s->reg[1], s->reg[2], s->reg[3], s->reg[4], s->reg[5],
           s->reg[6], s->reg[7], s->eip, s->flags, s->segment[0], s->segment[1],
           s->segment[2], s->segment[3], s->segment[4], s->segment[5], s->vector,
           s->error, s->address);
}

static void print_memory(const uint8_t *before, const uint8_t *host, const uint8_t *emu)
{
    for (unsigned i = 0; i < CASE_AREA_SIZE; i++)
        if (host[i] != emu[i]) {
            printf("  memory %08x: was %02x, host %02x, emu %02x\n", CASE_AREA + i,
                   before[i], host[i], emu[i]);
            return;
        }
}

/* Memory as both sides have it when a request begins. */
static void put_memory(struct i386_host *h, const struct case_request *request)
{
    uint8_t code[0x1000], around[CASE_DATA_SIZE];
    memset(around, CASE_AROUND, sizeof around);
    emu_ram_write(h->ram, DATA, around, sizeof around);
    memset(code, CASE_FILL(request->how), sizeof code);
    memcpy(code + CASE_OFFSET(request->how), request->code, request->length);
    /* Plain calls look at the instruction alone. */
    size_t size = request->how & CASE_STEP ? sizeof code : sizeof request->code;
    emu_ram_write(h->ram, CODE, code, size);
}

/* Say how the first differing case of a request differs. */
static void explain(struct i386_host *h, struct case_request request)
{
    uint64_t seed = request.seed;
    uint8_t before[CASE_AREA_SIZE], want_area[CASE_AREA_SIZE], area[CASE_AREA_SIZE];
    bool shown = false;
    request.kind = CASE_RESULTS;
    if (!move_all(h->to, &request, sizeof request, true))
        return;
    put_memory(h, &request);
    for (uint32_t i = 0; i < request.count; i++) {
        struct case_state in, want, got;
        uint64_t again = seed;
        case_make(&request, &again, request.how & CASE_FAR ? h->far_pool : h->any_pool,
                  &in, before);
        emulate(h, &request, &seed, &in, &got, area);
        if (!move_all(h->from, &want, sizeof want, false) ||
            !move_all(h->from, want_area, sizeof want_area, false))
            return;
        if (shown ||
            (!memcmp(&want, &got, sizeof got) && !memcmp(want_area, area, sizeof area)))
            continue;
        shown = true;
        print_state("before", &in);
        print_state("host  ", &want);
        print_state("emu   ", &got);
        print_memory(before, want_area, area);
    }
}

enum outcome { SAME, DIFFERENT, ORACLE_ENDED };

static enum outcome run_request(struct i386_host *h, struct case_request *request)
{
    uint64_t seed = request->seed, want, got = 0;
    uint8_t area[CASE_AREA_SIZE];
    request->kind = CASE_DIGEST;
    if (!move_all(h->to, request, sizeof *request, true))
        return ORACLE_ENDED;
    put_memory(h, request);
    if (!(request->how & CASE_STEP))
        set_flat_segments(h->cpu);
    for (uint32_t i = 0; i < request->count; i++) {
        struct case_state before, state;
        emulate(h, request, &seed, &before, &state, area);
        got = case_digest(got, &state, area);
    }
    if (!move_all(h->from, &want, sizeof want, false))
        return ORACLE_ENDED;
    return want == got ? SAME : DIFFERENT;
}

bool i386_host_has(const struct emu_row *row)
{
    return row->traits & (EMU_TRAIT_NATIVE | EMU_TRAIT_STEP);
}

bool i386_host_calls(const struct emu_row *row)
{
    return row->traits & EMU_TRAIT_NATIVE;
}

static void print_request(const struct emu_row *row, const struct case_request *request)
{
    printf("%s (%x/%d), how %x:", row->name, row->code, row->digit, request->how);
    for (unsigned i = 0; i < request->length; i++)
        printf(" %02x", request->code[i]);
    printf("\n");
}

enum i386_verdict i386_host_check(struct i386_host *host, const struct emu_row *row,
                                  uint64_t seed, uint32_t count, bool stepped)
{
    struct case_request request = {.seed = case_random(&seed), .count = count};
    encode_row(row, &seed, stepped, &request);
    enum outcome outcome = run_request(host, &request);
    if (outcome == SAME)
        return I386_SAME;
    print_request(row, &request);
    if (outcome == DIFFERENT)
        explain(host, request);
    else
        printf("  the oracle ended with %d; started again\n", stop_oracle(host));
    fflush(stdout);
    if (outcome == DIFFERENT)
        return I386_DIFFERENT;
    start_oracle(host);
    return I386_LOST;
}
