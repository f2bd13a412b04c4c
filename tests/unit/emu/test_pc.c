/* SPDX-License-Identifier: MIT
 *
 * The board with small real-mode programs: how runs end, time, interrupts, input and
 * exact stops (machine.md 2.10 and 5).
 */
#include "tests/test.h"

#include "emu/boot.h"

#include <string.h>

enum { EVENTS_MAX = 1024, OUT_MAX = 1000 };

static struct arena arena;
static struct emu_pc *pc;
static struct {
    struct emu_event event[EVENTS_MAX];
    struct emu_place place[EVENTS_MAX];
    unsigned event_count;
    char out[OUT_MAX + 1];
    unsigned out_count;
    struct emu_place input_place; /* of `input`, once */
    const char *input;
    bool no_idle;
} world;

static void console_out(void *self, uint32_t dev, uint8_t byte)
{
    (void)self;
    assert_int_equal(dev, 0);
    if (world.out_count < OUT_MAX)
        world.out[world.out_count++] = (char)byte;
}

static bool input_at(void *self, struct emu_place here, struct emu_place *ret_next,
                     struct emu_input *ret_input)
{
    (void)self;
    if (!world.input)
        return false;
    if (emu_place_before(here, world.input_place)) {
        *ret_next = world.input_place;
        return false;
    }
    *ret_input = (struct emu_input){.kind = EMU_INPUT_CONSOLE,
                                    .data = bytes_of(world.input, strlen(world.input))};
    world.input = NULL;
    return true;
}

static bool idle(void *self, uint64_t now, uint64_t deadline, uint64_t *ret_vns)
{
    (void)self;
    assert_true(deadline > now);
    *ret_vns = deadline;
    return deadline != EMU_NEVER && !world.no_idle;
}

static void event(void *self, const struct emu_event *event)
{
    (void)self;
    if (pc && world.event_count < EVENTS_MAX) {
        world.place[world.event_count] = emu_pc_place(pc);
        world.event[world.event_count++] = *event;
    }
}

static void boot16(const void *code, size_t size)
{
    struct emu_pc_config config;
    struct emu_boot boot = {.kind = EMU_BOOT_BOOT16, .kernel = bytes_of(code, size)};
    struct emu_boot_problem problem;
    enum emu_boot_kind kind;
    const struct emu_host host = {NULL, console_out, input_at, idle, event};
    arena_fini(&arena);
    arena_init(&arena, (size_t)64 << 20);
    memset(&world, 0, sizeof world);
    emu_pc_config_init(&config);
    config.ram_size = 2u << 20;
    config.cache_size = 1u << 20;
    assert_int_equal(emu_pc_create(&arena, &config, &host, &pc), ERR_ok);
    assert_int_equal(emu_boot_load(&arena, &boot, pc, &kind, &problem), ERR_ok);
}

#define BOOT16(...)                                                                    \
    do {                                                                               \
        static const uint8_t code_[] = {__VA_ARGS__};                                  \
        boot16(code_, sizeof code_);                                                   \
    } while (0)

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    pc = NULL;
    return 0;
}

static void expect_end(enum emu_reset_cause cause, unsigned code, uint64_t icount)
{
    assert_int_equal(emu_pc_run(pc, 1000000), EMU_PC_ENDED);
    assert_int_equal(pc->cause, cause);
    assert_int_equal(pc->code, code);
    assert_int_equal(pc->cpu->icount, icount);
    assert_int_equal(world.event_count, 1);
    assert_int_equal(world.event[0].type, EMU_EVENT_reset);
    assert_int_equal(world.event[0].cause, cause);
    assert_int_equal(emu_pc_run(pc, 2000000), EMU_PC_ENDED); /* for good */
    assert_int_equal(pc->cpu->icount, icount);
}

static void runs_end(void **state)
{
    (void)state;
    BOOT16(0xb0, 0x2a, 0xe6, 0xf4); /* mov al, 42; out f4, al */
    expect_end(EMU_RESET_PORT, 42, 2);
    BOOT16(0xb0, 0xfe, 0xe6, 0x64); /* fe to the keyboard controller */
    expect_end(EMU_RESET_KEYBOARD, 0, 2);
    BOOT16(0xba, 0xf9, 0x0c, 0xb0, 0x02, 0xee, 0xb0, 0x06, 0xee); /* cf9 */
    expect_end(EMU_RESET_PORT, 0, 5);
    BOOT16(0xb0, 0x01, 0xe6, 0x92);
    expect_end(EMU_RESET_PORT, 0, 2);
    BOOT16(0xf4); /* hlt with IF = 0 */
    expect_end(EMU_RESET_POWER_OFF, 0, 1);
    /* lidt of six zeros at 7c20, int3 */
    BOOT16(0x0f, 0x01, 0x1e, 0x20, 0x7c, 0xcc);
    expect_end(EMU_RESET_TRIPLE_FAULT, 255, 1);
    /* A word to f3 reaches f4 with its second byte. */
    BOOT16(0xb8, 0xff, 0x07, 0xe7, 0xf3);
    expect_end(EMU_RESET_PORT, 7, 2);
}

static void limits_are_exact(void **state)
{
    (void)state;
    BOOT16(0x40, 0xeb, 0xfd); /* inc ax; jmp */
    for (uint64_t limit = 1; limit < 300000; limit = limit * 3 + 1) {
        assert_int_equal(emu_pc_run(pc, limit), EMU_PC_LIMIT);
        assert_int_equal(pc->cpu->icount, limit);
        assert_int_equal(pc->cpu->reg[EMU_EAX] & 0xffff, (limit + 1) / 2 & 0xffff);
    }
}

/* Five timer interrupts, 1193 ticks apart, each waking a hlt. */
static const uint8_t timer_program[] = {
    0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x20, 0xe6, 0x21, /* ICW1, ICW2: vectors 20.. */
    0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21, /* ICW3, ICW4 */
    0xb0, 0xfe, 0xe6, 0x21,                         /* all masked but IRQ 0 */
    0xc7, 0x06, 0x80, 0x00, 0x32, 0x7c,             /* mov [80], handler */
    0xc7, 0x06, 0x82, 0x00, 0x00, 0x00,             /* mov [82], 0 */
    0xb0, 0x34, 0xe6, 0x43, 0xb0, 0xa9, 0xe6, 0x40, /* channel 0, mode 2, 4a9 */
    0xb0, 0x04, 0xe6, 0x40, 0x31, 0xc9,             /* xor cx, cx */
    0xfb, 0xf4, 0xeb, 0xfd,                         /* sti; hlt; jmp hlt */
    0x41, 0x83, 0xf9, 0x05, 0x74, 0x05,             /* 7c32: inc cx; cmp cx, 5; je */
    0xb0, 0x20, 0xe6, 0x20, 0xcf,                   /* EOI; iret */
    0x88, 0xc8, 0xe6, 0xf4};                        /* exit with cl */

static void time_jumps_while_halted(void **state)
{
    (void)state;
    boot16(timer_program, sizeof timer_program);
    assert_int_equal(emu_pc_run(pc, 1000000), EMU_PC_ENDED);
    assert_int_equal(pc->code, 5);
    assert_int_equal(world.event_count, 6);
    uint64_t last = 0;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(world.event[i].type, EMU_EVENT_irq);
        assert_int_equal(world.event[i].line, 0);
        assert_int_equal(world.event[i].vector, 0x20);
        if (i)
            assert_int_equal(world.place[i].icount - last, 9);
        last = world.place[i].icount;
    }
    /* Five periods of 1193 ticks from the load, rounded up to a step. */
    uint64_t load = 21 * 10, end = emu_pit_tick_vns(emu_pit_tick(load) + 5 * 1193);
    uint64_t vns = emu_cpu_vns(pc->cpu);
    assert_true(vns >= end && vns < end + 100);
    assert_int_equal(vns, pc->cpu->icount * 10 + pc->cpu->halted_ns);
}

/* However a run is cut, the same things happen at the same places. */
static void cuts_change_nothing(void **state)
{
    (void)state;
    boot16(timer_program, sizeof timer_program);
    assert_int_equal(emu_pc_run(pc, 1000000), EMU_PC_ENDED);
    struct emu_place want[6];
    memcpy(want, world.place, sizeof want);
    uint64_t halted_ns = pc->cpu->halted_ns;
    for (unsigned step = 1; step < 12; step++) {
        enum emu_pc_status status = EMU_PC_LIMIT;
        boot16(timer_program, sizeof timer_program);
        for (uint64_t limit = step; status == EMU_PC_LIMIT; limit += step)
            status = emu_pc_run(pc, limit);
        assert_int_equal(status, EMU_PC_ENDED);
        assert_int_equal(world.event_count, 6);
        assert_memory_equal(world.place, want, sizeof want);
        assert_int_equal(pc->cpu->halted_ns, halted_ns);
    }
}

static void a_sleep_without_an_alarm_is_idle(void **state)
{
    (void)state;
    BOOT16(0xfb, 0xf4, 0xeb, 0xfd); /* sti; hlt */
    assert_int_equal(emu_pc_run(pc, 1000000), EMU_PC_IDLE);
    assert_int_equal(pc->cpu->icount, 2);
    assert_int_equal(pc->cpu->halted_ns, 0);
    /* A timer whose interrupt is masked wakes nobody: the same with channel 0 in mode
     * 2 behind a controller that was never initialised. */
    BOOT16(0xb0, 0x14, 0xe6, 0x43, 0xb0, 0x10, 0xe6, 0x40, 0xfb, 0xf4, 0xeb, 0xfd);
    assert_int_equal(emu_pc_run(pc, 1000000), EMU_PC_IDLE);
    assert_int_equal(pc->cpu->icount, 6);
}

/* Waits for bytes on COM1, sends them back, ends at 'q'. */
static const uint8_t echo_program[] = {0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74,
                                       0xfb, 0xba, 0xf8, 0x03, 0xec, 0xee, 0x3c,
                                       'q',  0x75, 0xef, 0xb0, 0x00, 0xe6, 0xf4};

static void input_lands_at_its_place(void **state)
{
    (void)state;
    uint64_t end[7];
    for (unsigned i = 0; i < 7; i++) {
        boot16(echo_program, sizeof echo_program);
        world.input = "hi q";
        world.input_place = (struct emu_place){.icount = 1000 + i};
        assert_int_equal(emu_pc_run(pc, 1000000), EMU_PC_ENDED);
        assert_string_equal(world.out, "hi q");
        end[i] = pc->cpu->icount;
        if (i >= 3) /* a loop of three steps */
            assert_int_equal(end[i], end[i - 3] + 3);
    }
}

static void input_wakes_a_sleeper(void **state)
{
    (void)state;
    /* IER 1, MCR 8, PIC with IRQ 4 open, vector 24 to 7c34, sti; hlt; there: exit 9 */
    BOOT16(0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x20, 0xe6, 0x21, 0xb0, 0x04, 0xe6, 0x21, 0xb0,
           0x01, 0xe6, 0x21, 0xb0, 0xef, 0xe6, 0x21, 0xc7, 0x06, 0x90, 0x00, 0x34, 0x7c,
           0xc7, 0x06, 0x92, 0x00, 0x00, 0x00, 0xba, 0xf9, 0x03, 0xb0, 0x01, 0xee, 0xba,
           0xfc, 0x03, 0xb0, 0x08, 0xee, 0xfb, 0xf4, 0xeb, 0xfd, 0x90, 0x90, 0x90, 0x90,
           0xb0, 0x09, 0xe6, 0xf4);
    world.input = "x";
    world.input_place = (struct emu_place){.icount = 20, .sub = 12345};
    assert_int_equal(emu_pc_run(pc, 1000000), EMU_PC_ENDED);
    assert_int_equal(pc->code, 9);
    assert_int_equal(pc->cpu->halted_ns, 12345);
    assert_int_equal(world.event[0].line, 4);
    assert_int_equal(world.event[0].vector, 0x24);
}

static void a_poll_of_com1_finds_what_linux_wants(void **state)
{
    (void)state;
    /* mov dx, 3fd; in al, dx; out f4, al */
    BOOT16(0xba, 0xfd, 0x03, 0xec, 0xe6, 0xf4);
    expect_end(EMU_RESET_PORT, 0x60, 3);
    BOOT16(0xe4, 0x92, 0xe6, 0xf4);
    expect_end(EMU_RESET_PORT, 0x02, 2);
    BOOT16(0xe4, 0x87, 0xe6, 0xf4); /* nothing there */
    expect_end(EMU_RESET_PORT, 0xff, 2);
    /* The refresh bit of port 61 follows virtual time: 1500 steps are 15 us. */
    BOOT16(0xb9, 0xdc, 0x05, 0xe2, 0xfe, 0xe4, 0x61, 0xe6, 0xf4);
    expect_end(EMU_RESET_PORT, 0x30, 1503);
}

static void configurations_have_limits(void **state)
{
    (void)state;
    const struct emu_host host = {NULL, console_out, input_at, idle, event};
    struct emu_pc_config config;
    struct emu_pc *other;
    arena_init(&arena, (size_t)64 << 20);
    for (unsigned i = 0; i < 6; i++) {
        emu_pc_config_init(&config);
        config.ram_size = i == 0 ? 12345 : i == 1 ? 0 : 1u << 20;
        config.ns_per_insn = i == 2 ? 0 : i == 3 ? 1001 : 10;
        config.cpu = i == 4 ? 2 : EMU_FEATURES_ALL;
        config.fs_count = i == 5 ? EMU_PC_FS_MAX + 1 : 0;
        assert_int_equal(emu_pc_create(&arena, &config, &host, &other), ERR_usage);
    }
    emu_pc_config_init(&config); /* 128 MiB do not fit the arena */
    assert_int_equal(emu_pc_create(&arena, &config, &host, &other), ERR_nomem);
}

int main(void)
{
#define T(test) cmocka_unit_test_teardown(test, teardown)
    const struct CMUnitTest tests[] = {
        T(runs_end),
        T(limits_are_exact),
        T(time_jumps_while_halted),
        T(cuts_change_nothing),
        T(a_sleep_without_an_alarm_is_idle),
        T(input_lands_at_its_place),
        T(input_wakes_a_sleeper),
        T(a_poll_of_com1_finds_what_linux_wants),
        T(configurations_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
