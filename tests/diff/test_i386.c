/* SPDX-License-Identifier: MIT
 *
 * Every row of i386.def against the host's processor (machine.md 8.2).
 *
 *   test_diff_i386 ORACLE32 [ENCODINGS [CASES]]
 *
 * For each row: random encodings, each with random cases.  Both sides make the same
 * cases from a seed, so only a digest comes back; on a mismatch the cases are run again
 * and the first one that differs is shown.
 */
#define _GNU_SOURCE
#include "tests/test.h"

#include "base/arena.h"
#include "emu/cpu.h"
#include "tests/diff/oracle32/encode.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned encodings = 20, cases = 24;
static const char *oracle_path;
static int to_oracle, from_oracle;

/* ---- the emulator's side ---- */

enum {
    PAGE_DIRECTORY = 0x1000,
    TABLE_DATA = 0x2000,
    TABLE_CODE = 0x3000,
    TABLE_LOW = 0x4000,
    GDT = 0x5000,
    IDT = 0x6000,
    TSS = 0x7000,
    KERNEL_STACK = 0x9000,
    HANDLERS = 0xa000,
    DATA = 0x10000,
    CODE = 0x20000,
};

static struct arena arena;
static struct emu_ram *ram;
static struct emu_cpu *cpu;

static void put32(uint32_t at, uint32_t value)
{
    emu_ram_write(ram, at, &value, 4);
}

static uint32_t get32(uint32_t at)
{
    uint32_t value;
    emu_ram_read(ram, at, &value, 4);
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

static void make_tables(void)
{
    for (unsigned i = 0; i < 16; i++)
        put32(TABLE_LOW + 4 * i, i << 12 | 3);
    put32(PAGE_DIRECTORY, TABLE_LOW | 3);
    put32(PAGE_DIRECTORY + 4 * (CASE_DATA >> 22), TABLE_DATA | 7);
    put32(PAGE_DIRECTORY + 4 * (CASE_CODE >> 22), TABLE_CODE | 7);
    put32(TABLE_DATA, DATA | 7);
    put32(TABLE_DATA + 4, (DATA + 0x1000) | 7);
    put32(TABLE_CODE, CODE | 7);
    static const uint32_t high[] = {0, 0xcf9b00, 0xcf9300, 0, 0xcffb00, 0xcff300};
    for (unsigned i = 1; i < 6; i++) {
        put32(GDT + 8 * i, 0xffff);
        put32(GDT + 8 * i + 4, high[i]);
    }
    for (unsigned i = 0; i < 32; i++) {
        put32(IDT + 8 * i, 8 << 16 | (HANDLERS + 16 * i));
        put32(IDT + 8 * i + 4, 0xee00);
    }
    put32(TSS + 4, KERNEL_STACK + 0x800);
    put32(TSS + 8, 0x10);
}

static void enter_user_mode(void)
{
    emu_cpu_set_segment(cpu, EMU_CS, 0x23, 0, UINT32_MAX, 0xc0fb);
    emu_cpu_set_segment(cpu, EMU_SS, 0x2b, 0, UINT32_MAX, 0xc0f3);
    emu_cpu_set_segment(cpu, EMU_DS, 0x2b, 0, UINT32_MAX, 0xc0f3);
    emu_cpu_set_segment(cpu, EMU_ES, 0x2b, 0, UINT32_MAX, 0xc0f3);
    emu_cpu_set_segment(cpu, EMU_FS, 0, 0, 0, 0);
    emu_cpu_set_segment(cpu, EMU_GS, 0, 0, 0, 0);
}

static void make_machine(void)
{
    static const struct emu_cpu_bus bus = {NULL, port_read, port_write, acknowledge,
                                           fpu_error};
    struct emu_cpu_config config = {.ns_per_insn = 10, .features = EMU_FEATURES_ALL};
    arena_init(&arena, (size_t)64 << 20);
    assert_int_equal(emu_ram_create(&arena, 1 << 20, &ram), ERR_ok);
    assert_int_equal(emu_cpu_create(&arena, &config, ram, &bus, 1 << 20, &cpu), ERR_ok);
    make_tables();
    cpu->cr0 = EMU_CR0_PG | EMU_CR0_PE | EMU_CR0_ET;
    cpu->cr3 = PAGE_DIRECTORY;
    cpu->gdtr = (struct emu_table){.base = GDT, .limit = 0xff};
    cpu->idtr = (struct emu_table){.base = IDT, .limit = 0xff};
    emu_cpu_set_segment(cpu, EMU_TR, 0x30, TSS, 0x67, 0x8b);
    enter_user_mode();
    emu_cpu_loaded(cpu);
}

/* The state before a fault, from the kernel's stack frame. */
static void take_fault(struct case_state *state)
{
    uint32_t frame = cpu->reg[EMU_ESP];
    state->vector = (cpu->eip - HANDLERS) / 16;
    if (state->vector >= 10 && state->vector <= 17 && state->vector != 16) {
        state->error = get32(frame);
        frame += 4;
    }
    if (state->vector == 14)
        state->address = cpu->cr2;
    state->flags = get32(frame + 8);
    state->reg[EMU_ESP] = get32(frame + 12);
    enter_user_mode();
}

/* Run one case; the area is in RAM before and after. */
static void emulate(struct case_state *state)
{
    for (unsigned i = 0; i < 8; i++)
        cpu->reg[i] = state->reg[i];
    cpu->eip = CASE_CODE;
    cpu->eflags = state->flags | 0x202;
    (void)emu_cpu_run(cpu, cpu->icount + 1);
    for (unsigned i = 0; i < 8; i++)
        state->reg[i] = cpu->reg[i];
    state->flags = cpu->eflags;
    if (cpu->eip >= HANDLERS && cpu->eip < HANDLERS + 0x1000)
        take_fault(state);
    state->flags &= CASE_FLAGS;
}

/* ---- comparison ---- */

static void move_all(int fd, void *data, size_t size, bool write_it)
{
    uint8_t *at = data;
    while (size) {
        ssize_t n = write_it ? write(fd, at, size) : read(fd, at, size);
        if (n <= 0)
            fail_msg("oracle32 ended");
        at += n;
        size -= (size_t)n;
    }
}

static void print_state(const char *who, const struct case_state *s)
{
    print_message(
        "  %s: eax %08x ecx %08x edx %08x ebx %08x esp %08x ebp %08x esi %08x "
        "edi %08x flags %03x vector %x error %x address %x\n",
        who, s->reg[0], s->reg[1], s->reg[2], s->reg[3], s->reg[4], s->reg[5],
        s->reg[6], s->reg[7], s->flags, s->vector, s->error, s->address);
}

/* Say how the first differing case of a request differs. */
static void explain(struct case_request request)
{
    uint64_t seed = request.seed;
    uint8_t area[CASE_AREA_SIZE], want_area[CASE_AREA_SIZE], got_area[CASE_AREA_SIZE];
    request.kind = CASE_RESULTS;
    move_all(to_oracle, &request, sizeof request, true);
    bool shown = false;
    for (uint32_t i = 0; i < request.count; i++) {
        struct case_state in, want, got;
        case_make(&request, &seed, &in, area);
        move_all(from_oracle, &want, sizeof want, false);
        move_all(from_oracle, want_area, sizeof want_area, false);
        emu_ram_write(ram, DATA + CASE_AREA - CASE_DATA, area, sizeof area);
        got = in;
        emulate(&got);
        emu_ram_read(ram, DATA + CASE_AREA - CASE_DATA, got_area, sizeof got_area);
        if (shown || (!memcmp(&want, &got, sizeof got) &&
                      !memcmp(want_area, got_area, sizeof got_area)))
            continue;
        shown = true;
        print_state("before", &in);
        print_state("host  ", &want);
        print_state("emu   ", &got);
        for (unsigned k = 0; k < CASE_AREA_SIZE; k++)
            if (want_area[k] != got_area[k]) {
                print_message("  memory %08x: was %02x, host %02x, emu %02x\n",
                              CASE_AREA + k, area[k], want_area[k], got_area[k]);
                break;
            }
    }
}

static bool check_encoding(const struct emu_row *row, struct case_request *request)
{
    uint64_t seed = request->seed, want, got = 0;
    uint8_t area[CASE_AREA_SIZE];
    request->kind = CASE_DIGEST;
    request->count = cases;
    move_all(to_oracle, request, sizeof *request, true);
    emu_ram_write(ram, CODE, request->code, sizeof request->code);
    for (uint32_t i = 0; i < request->count; i++) {
        struct case_state state;
        case_make(request, &seed, &state, area);
        emu_ram_write(ram, DATA + CASE_AREA - CASE_DATA, area, sizeof area);
        emulate(&state);
        emu_ram_read(ram, DATA + CASE_AREA - CASE_DATA, area, sizeof area);
        got = case_digest(got, &state, area);
    }
    move_all(from_oracle, &want, sizeof want, false);
    if (want == got)
        return true;
    print_message("%s (%x/%d):", row->name, row->code, row->digit);
    for (unsigned i = 0; i < request->length; i++)
        print_message(" %02x", request->code[i]);
    print_message("\n");
    explain(*request);
    return false;
}

/* Can the host run 32-bit programs, and was there a compiler for one? */
static bool has_oracle(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(0);
        execl(oracle_path, oracle_path, (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) && WEXITSTATUS(status) < 2;
}

static void start_oracle(void)
{
    int in[2], out[2];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        execl(oracle_path, oracle_path, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_oracle = in[1];
    from_oracle = out[0];
}

static void test_rows(void **unused)
{
    (void)unused;
    uint64_t seed = test_seed(0x1386);
    unsigned bad = 0;
    signal(SIGPIPE, SIG_IGN);
    if (!has_oracle()) {
        print_message("skipped: no 32-bit mode\n");
        skip();
    }
    make_machine();
    start_oracle();
    for (unsigned i = 0; i < emu_row_count; i++) {
        const struct emu_row *row = &emu_rows[i];
        if (!(row->traits & EMU_TRAIT_NATIVE))
            continue;
        bool ok = true;
        for (unsigned k = 0; k < encodings && ok; k++) {
            struct case_request request = {.seed = case_random(&seed)};
            encode_row(row, &seed, &request);
            ok = check_encoding(row, &request);
        }
        bad += !ok;
    }
    struct case_request quit = {.kind = CASE_QUIT};
    move_all(to_oracle, &quit, sizeof quit, true);
    (void)wait(NULL);
    arena_fini(&arena);
    if (bad) {
        test_reproduce("diff_i386", test_seed(0x1386));
        fail_msg("%u rows differ from the host", bad);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s ORACLE32 [ENCODINGS [CASES]]\n", argv[0]);
        return 2;
    }
    oracle_path = argv[1];
    if (argc > 2)
        encodings = (unsigned)strtoul(argv[2], NULL, 0);
    if (argc > 3)
        cases = (unsigned)strtoul(argv[3], NULL, 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
