/* SPDX-License-Identifier: MIT */
#include "tests/unit/replay/pc_world.h"

#include <string.h>

enum { COPIED_AT = 0x46 }; /* in the program: how many bytes it copies */

static const uint8_t program[] = {
    0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x20, 0xe6, 0x21, /* PIC: vectors 20 .. */
    0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21, /* */
    0xb0, 0xee, 0xe6, 0x21,                         /* IRQ 0 and 4 are open */
    0xc7, 0x06, 0x80, 0x00, 0x53, 0x7c,             /* vector 20: 7c53 */
    0xc7, 0x06, 0x82, 0x00, 0x00, 0x00,             /* */
    0xc7, 0x06, 0x90, 0x00, 0x66, 0x7c,             /* vector 24: 7c66 */
    0xc7, 0x06, 0x92, 0x00, 0x00, 0x00,             /* */
    0xba, 0xf9, 0x03, 0xb0, 0x01, 0xee,             /* UART: IER 1 */
    0xba, 0xfc, 0x03, 0xb0, 0x08, 0xee,             /* MCR 8 */
    0xb0, 0x34, 0xe6, 0x43, 0xb0, 0xa9, 0xe6, 0x40, /* PIT: 1193 ticks */
    0xb0, 0x04, 0xe6, 0x40, 0xfb,                   /* sti */
    0xb9, 0x00, 0x00, 0xbe, 0x00, 0x00,             /* 7c45: some bytes from 0 */
    0xbf, 0x00, 0x80, 0xf3, 0xa4, 0xf4,             /* to 8000: rep movsb; hlt */
    0xeb, 0xf2,                                     /* jmp 7c45 */
    0x50, 0xb0, 0x2e, 0x52, 0xba, 0xf8, 0x03,       /* 7c53: print a dot */
    0xff, 0x06, 0x00, 0x90,                         /* inc word [9000] */
    0xee, 0x5a, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf, /* EOI; iret */
    0x50, 0x52, 0xba, 0xf8, 0x03, 0xec, 0xee,       /* 7c66: echo */
    0x3c, 0x71, 0x74, 0x07,                         /* 'q' ends: 7c78 */
    0xb0, 0x20, 0xe6, 0x20, 0x5a, 0x58, 0xcf,       /* EOI; iret */
    0xb0, 0x05, 0xe6, 0xf4};                        /* 7c78: exit 5 */

static void console_out(void *self, uint32_t dev, uint8_t byte)
{
    struct pc_world *world = self;
    (void)dev;
    buf_byte(&world->out, byte);
}

static bool input_at(void *self, struct emu_place here, struct emu_place *ret_next,
                     struct emu_input *ret_input)
{
    struct pc_world *world = self;
    if (world->next == PC_WORLD_INPUTS)
        return false;
    if (emu_place_before(here, world->place[world->next])) {
        *ret_next = world->place[world->next];
        return false;
    }
    const char *text = world->text[world->next++];
    *ret_input = (struct emu_input){.kind = EMU_INPUT_CONSOLE,
                                    .data = bytes_of(text, strlen(text))};
    return true;
}

static bool idle(void *self, uint64_t now, uint64_t deadline, uint64_t *ret_vns)
{
    (void)self, (void)now;
    *ret_vns = deadline;
    return deadline != EMU_NEVER;
}

void pc_world_init(struct pc_world *world)
{
    *world = (struct pc_world){.text = {"a", "bcd", "q"}};
    arena_init(&world->arena, (size_t)1 << 30);
    trace_memory_init(&world->memory, 64 << 20);
    buf_init(&world->out, 1 << 20);
}

void pc_world_fini(struct pc_world *world)
{
    trace_memory_fini(&world->memory);
    buf_fini(&world->out);
    arena_fini(&world->arena);
}

void pc_world_setup(uint16_t copied, struct replay_pc_setup *setup)
{
    static uint8_t code[sizeof program]; /* as long as the setup is used */
    memcpy(code, program, sizeof code);
    code[COPIED_AT] = (uint8_t)copied;
    code[COPIED_AT + 1] = (uint8_t)(copied >> 8);
    *setup = (struct replay_pc_setup){.kernel_name = "no/such/file", .embed = true};
    emu_pc_config_init(&setup->config);
    setup->config.ram_size = 1u << 20;
    setup->config.cache_size = 1u << 20;
    setup->boot.kind = EMU_BOOT_BOOT16;
    setup->boot.kernel = bytes_of(code, sizeof code);
}

enum emu_pc_status pc_world_record(struct pc_world *world,
                                   const struct replay_pc_setup *setup, uint64_t limit,
                                   bool finish)
{
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PC, .zstd_level = 1};
    const struct emu_host host = {world, console_out, input_at, idle, NULL};
    struct trace_sink sink = trace_memory_sink(&world->memory);
    struct replay_pc_options options = {.host = &host, .hashes = true};
    struct arena *arena = &world->arena;
    struct emu_boot_problem problem;
    struct trace_writer *writer;
    struct replay_pc *session;
    assert_int_equal(trace_writer_create(arena, &sink, &how, &writer), ERR_ok);
    assert_int_equal(trace_record_create(arena, writer, true, &options.trace), ERR_ok);
    assert_int_equal(replay_pc_create(arena, setup, &options, &session, &problem),
                     ERR_ok);
    enum emu_pc_status status = replay_pc_run(session, limit);
    assert_int_equal(replay_pc_error(session), ERR_ok);
    if (finish)
        assert_int_equal(replay_pc_end(session, status), ERR_ok);
    replay_pc_close(session);
    trace_close(options.trace);
    if (finish)
        assert_int_equal(trace_writer_finish(writer, &world->identity), ERR_ok);
    else
        trace_writer_abandon(writer);
    trace_memory_flush(&world->memory);
    return status;
}
