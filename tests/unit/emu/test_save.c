/* SPDX-License-Identifier: MIT
 *
 * The state as bytes: a machine continued from them does what the first one does;
 * differences have names; impossible fields are refused (machine.md 7.3, B15).
 */
#include "tests/test.h"

#include "emu/boot.h"
#include "emu/save.h"

#include <string.h>

static struct arena arena;
static struct buf a, b, text;

static void console_out(void *self, uint32_t dev, uint8_t byte)
{
    (void)self, (void)dev, (void)byte;
}

static bool input_at(void *self, struct emu_place here, struct emu_place *ret_next,
                     struct emu_input *ret_input)
{
    (void)self, (void)here, (void)ret_next, (void)ret_input;
    return false;
}

static bool idle(void *self, uint64_t now, uint64_t deadline, uint64_t *ret_vns)
{
    (void)self, (void)now;
    *ret_vns = deadline;
    return deadline != EMU_NEVER;
}

static void event(void *self, const struct emu_event *event)
{
    (void)self, (void)event;
}

/* A periodic timer interrupt that counts in memory, for ever. */
static const uint8_t program[] = {
    0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x20, 0xe6, 0x21, 0xb0, 0x04, 0xe6, 0x21,
    0xb0, 0x01, 0xe6, 0x21, 0xb0, 0xfe, 0xe6, 0x21, 0xc7, 0x06, 0x80, 0x00,
    0x30, 0x7c, 0xc7, 0x06, 0x82, 0x00, 0x00, 0x00, 0xb0, 0x34, 0xe6, 0x43,
    0xb0, 0xa9, 0xe6, 0x40, 0xb0, 0x04, 0xe6, 0x40, 0xfb, 0xf4, 0xeb, 0xfd,
    0xff, 0x06, 0x00, 0x05, 0xb0, 0x20, 0xe6, 0x20, 0xcf};

static struct emu_pc *machine(void)
{
    struct emu_pc_config config;
    struct emu_boot boot = {.kind = EMU_BOOT_BOOT16,
                            .kernel = bytes_of(program, sizeof program)};
    struct emu_boot_problem problem;
    enum emu_boot_kind kind;
    const struct emu_host host = {NULL, console_out, input_at, idle, event};
    struct emu_pc *pc;
    emu_pc_config_init(&config);
    config.ram_size = 2u << 20;
    config.cache_size = 1u << 20;
    config.fs_count = 1;
    emu_virtio_pci_options_init(&config.fs[0], 0);
    assert_int_equal(emu_pc_create(&arena, &config, &host, &pc), ERR_ok);
    assert_int_equal(emu_boot_load(&arena, &boot, pc, &kind, &problem), ERR_ok);
    return pc;
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)256 << 20);
    buf_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    buf_init(&text, 1 << 16);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&text);
    return 0;
}

static void a_copy_goes_on_the_same_way(void **state)
{
    (void)state;
    char field[40];
    for (uint64_t at = 3; at < 400; at += 37) {
        struct emu_pc *first = machine(), *second = machine();
        assert_int_equal(emu_pc_run(first, at), EMU_PC_LIMIT);
        buf_clear(&a);
        emu_pc_save(first, &a);
        emu_ram_write(second->ram, 0, first->ram->bytes, 0xa0000);
        assert_int_equal(emu_pc_load(second, buf_bytes(&a), field, sizeof field),
                         ERR_ok);
        assert_int_equal(emu_pc_run(first, 500), EMU_PC_LIMIT);
        assert_int_equal(emu_pc_run(second, 500), EMU_PC_LIMIT);
        buf_clear(&a);
        buf_clear(&b);
        emu_pc_save(first, &a);
        emu_pc_save(second, &b);
        assert_int_equal(emu_pc_diff(first, buf_bytes(&a), buf_bytes(&b), 9, &text), 0);
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.data, b.data, a.size);
        assert_memory_equal(first->ram->bytes, second->ram->bytes, 0xa0000);
        assert_true(first->ram->bytes[0x500] > 5);
    }
}

static void differences_have_names(void **state)
{
    (void)state;
    struct emu_pc *pc = machine();
    emu_pc_save(pc, &a);
    pc->pit.channel[0].load = 1193;
    pc->cpu->reg[EMU_EBX] = 7;
    pc->rtc.cmos[0x40] = 1;
    pc->fs[0].virtio.queue[2].size = 64;
    emu_pc_save(pc, &b);
    assert_int_equal(emu_pc_diff(pc, buf_bytes(&a), buf_bytes(&b), 10, &text), 4);
    assert_string_equal(buf_string(&text),
                        "ebx 0, 7\npit[0].load 0, 1193\ncmos+64 0, 1\n"
                        "virtq[2].size 128, 64\n");
    struct buf scratch;
    buf_init(&scratch, 1 << 20);
    struct hash256 one = emu_pc_hash_devices(pc, &scratch);
    pc->cpu->reg[EMU_EBX] = 8;
    struct hash256 two = emu_pc_hash_devices(pc, &scratch);
    assert_true(hash256_equal(&one, &two));
    pc->uart.scr ^= 1;
    two = emu_pc_hash_devices(pc, &scratch);
    assert_false(hash256_equal(&one, &two));
    buf_fini(&scratch);
}

static void impossible_fields_are_refused(void **state)
{
    (void)state;
    char field[40];
    struct emu_pc *pc = machine();
    pc->pit.channel[1].mode = 6;
    emu_pc_save(pc, &a);
    assert_int_equal(emu_pc_load(machine(), buf_bytes(&a), field, sizeof field),
                     ERR_state);
    assert_string_equal(field, "pit[1].mode");
    pc->pit.channel[1].mode = 3;
    pc->fs[0].virtio.queue[1].size = 48;
    buf_clear(&a);
    emu_pc_save(pc, &a);
    assert_int_equal(emu_pc_load(machine(), buf_bytes(&a), field, sizeof field),
                     ERR_state);
    pc->fs[0].virtio.queue[1].size = 64;
    pc->fs[0].virtio.queue[1].enabled = true;
    pc->fs[0].virtio.queue[1].used = 0x7ffffffc;
    buf_clear(&a);
    emu_pc_save(pc, &a);
    assert_int_equal(emu_pc_load(machine(), buf_bytes(&a), field, sizeof field),
                     ERR_state);
    pc = machine();
    buf_clear(&a);
    emu_pc_save(pc, &a);
    struct emu_pc *other = machine();
    for (size_t size = 0; size < a.size; size += 1 + size / 7)
        assert_int_equal(
            emu_pc_load(other, bytes_of(a.data, size), field, sizeof field), ERR_state);
    buf_byte(&a, 0);
    assert_int_equal(emu_pc_load(other, buf_bytes(&a), field, sizeof field), ERR_state);
    assert_string_equal(field, "size");
}

static void ram_is_hashed_by_page(void **state)
{
    (void)state;
    struct emu_pc *pc = machine();
    struct emu_ram_hash *kept, *fresh;
    assert_int_equal(emu_ram_hash_create(&arena, pc->ram, &kept), ERR_ok);
    struct hash256 before = emu_ram_hash(kept), now = emu_ram_hash(kept);
    assert_true(hash256_equal(&before, &now));
    emu_ram_write(pc->ram, 0x123456, "x", 1);
    now = emu_ram_hash(kept);
    assert_false(hash256_equal(&before, &now));
    emu_ram_write(pc->ram, 0x123456, "\0", 1);
    now = emu_ram_hash(kept);
    assert_true(hash256_equal(&before, &now));
    /* The same from scratch, and against the definition. */
    memset(pc->ram->dirty, 1, pc->ram->size / EMU_PAGE_SIZE);
    assert_int_equal(emu_ram_hash_create(&arena, pc->ram, &fresh), ERR_ok);
    now = emu_ram_hash(fresh);
    assert_true(hash256_equal(&before, &now));
    static struct hash256 node[512];
    for (unsigned i = 0; i < 512; i++)
        node[i] = hash256_of(pc->ram->bytes + 4096 * i, 4096);
    for (unsigned count = 256; count; count /= 2) {
        for (unsigned i = 0; i < count; i++)
            node[i] = hash256_of(&node[2 * i], 2 * sizeof *node);
    }
    assert_true(hash256_equal(&before, &node[0]));
    /* The whole machine. */
    struct buf scratch, whole;
    buf_init(&scratch, 1 << 20);
    buf_init(&whole, 1 << 20);
    now = emu_pc_hash(pc, fresh, &scratch);
    const struct hash256 part[] = {emu_pc_hash_registers(pc, &scratch), node[0],
                                   hash256_of("", 0),
                                   emu_pc_hash_devices(pc, &scratch)};
    buf_text(&whole, "lockstep.state.1");
    buf_put(&whole, part, sizeof part);
    before = hash256_of(whole.data, whole.size);
    assert_true(hash256_equal(&before, &now));
    buf_fini(&whole);
    buf_fini(&scratch);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_copy_goes_on_the_same_way),
        T(differences_have_names),
        T(impossible_fields_are_refused),
        T(ram_is_hashed_by_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
