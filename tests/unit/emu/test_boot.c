/* SPDX-License-Identifier: MIT
 *
 * The loader: entry states, boot_params, compressed kernels, hostile headers
 * (machine.md 3 and 11, B1 to B5).
 */
#include "tests/test.h"

#include "base/unpack.h"
#include "emu/boot.h"

#include <lzma.h>
#include <string.h>
#include <zstd.h>

enum { ELF_SIZE = 52 + 2 * 32 + 5000, KERNEL = 0x200000, RAM = 16 << 20 };

static struct arena arena, scratch;
static struct emu_pc *pc;
static struct emu_boot_problem problem;
static uint8_t elf[ELF_SIZE], image[200000];
static size_t image_size;

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
    return false;
}

static void event(void *self, const struct emu_event *event)
{
    (void)self, (void)event;
}

static void store(uint8_t *at, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static void segment(unsigned index, uint32_t offset, uint32_t address,
                    uint32_t file_size, uint32_t size)
{
    uint8_t *at = elf + 52 + 32 * index;
    store(at, 4, 1);
    store(at + 4, 4, offset);
    store(at + 8, 4, address + 0xc0000000);
    store(at + 12, 4, address);
    store(at + 16, 4, file_size);
    store(at + 20, 4, size);
}

static int setup(void **state)
{
    (void)state;
    struct emu_pc_config config;
    const struct emu_host host = {NULL, console_out, input_at, idle, event};
    memset(elf, 0, sizeof elf);
    memcpy(elf, "\177ELF\1\1\1", 7);
    store(elf + 16, 2, 2);
    store(elf + 18, 2, 3);
    store(elf + 24, 4, KERNEL + 4);
    store(elf + 28, 4, 52);
    store(elf + 42, 2, 32);
    store(elf + 44, 2, 2);
    segment(0, 116, KERNEL, 4000, 4000);
    segment(1, 4116, KERNEL + 0x2000, 1000, 0x3000);
    for (unsigned i = 116; i < sizeof elf; i++)
        elf[i] = (uint8_t)(i * 13 + 1);
    arena_init(&arena, (size_t)64 << 20);
    arena_init(&scratch, (size_t)64 << 20);
    emu_pc_config_init(&config);
    config.ram_size = RAM;
    config.cache_size = 1u << 20;
    assert_int_equal(emu_pc_create(&arena, &config, &host, &pc), ERR_ok);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    arena_fini(&scratch);
    return 0;
}

static enum err load(struct emu_boot *boot)
{
    enum emu_boot_kind kind;
    return emu_boot_load(&scratch, boot, pc, &kind, &problem);
}

static struct emu_boot the_elf(void)
{
    return (struct emu_boot){.kernel = bytes_of(elf, sizeof elf)};
}

static uint64_t peek(uint32_t address, unsigned size)
{
    uint8_t bytes[8] = {0};
    uint64_t value = 0;
    emu_ram_read(pc->ram, address, bytes, size);
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

static void expect_kernel(void)
{
    for (unsigned i = 0; i < 4000; i += 8)
        assert_memory_equal(&(uint64_t){peek(KERNEL + i, 8)}, elf + 116 + i, 8);
    assert_int_equal(peek(KERNEL + 0x2000, 1), elf[4116]);
    assert_int_equal(peek(KERNEL + 0x2000 + 1000, 8), 0);
}

static void expect_flat_segments(void)
{
    const struct emu_cpu *cpu = pc->cpu;
    assert_int_equal(cpu->cr0, 0x11);
    assert_int_equal(cpu->eflags, 2);
    assert_int_equal(cpu->gdtr.base, 0x8f000);
    assert_int_equal(peek(0x8f010, 8), 0x00cf9b000000ffff);
    assert_int_equal(peek(0x8f018, 8), 0x00cf93000000ffff);
    assert_int_equal(cpu->segment[EMU_CS].selector, 0x10);
    assert_int_equal(cpu->segment[EMU_SS].selector, 0x18);
    assert_int_equal(cpu->segment[EMU_GS].limit, 0xffffffff);
}

/* ---- entries ---- */

static void flat_entry(void **state)
{
    (void)state;
    struct emu_boot boot = the_elf();
    boot.kind = EMU_BOOT_FLAT;
    boot.cmdline = bytes_of("a=b", 3);
    assert_int_equal(load(&boot), ERR_ok);
    expect_kernel();
    expect_flat_segments();
    assert_int_equal(pc->cpu->eip, KERNEL + 4);
    assert_int_equal(pc->cpu->reg[EMU_ESP], 0x8f000);
    assert_int_equal(pc->cpu->reg[EMU_EBX], 0x99000);
    assert_int_equal(peek(0x99000, 4), 0x00623d61);
}

static void linux_entry(void **state)
{
    (void)state;
    struct emu_boot boot = the_elf();
    boot.cmdline = bytes_of("quiet", 5);
    boot.initrd = bytes_of("initramfs!", 10);
    memset(boot.seed, 0x77, sizeof boot.seed);
    assert_int_equal(load(&boot), ERR_ok);
    expect_kernel();
    expect_flat_segments();
    assert_int_equal(pc->cpu->reg[EMU_ESI], 0x90000);
    assert_int_equal(pc->cpu->reg[EMU_ESP], 0);
    assert_int_equal(peek(0x90000 + 0x1fe, 2), 0xaa55);
    assert_int_equal(peek(0x90000 + 0x202, 4), 0x53726448);
    assert_int_equal(peek(0x90000 + 0x206, 2), 0x020f);
    assert_int_equal(peek(0x90000 + 0x210, 2), 0x81ff);
    uint32_t at = RAM - 0x1000 - 0x1000;
    assert_int_equal(peek(0x90000 + 0x218, 4), at);
    assert_int_equal(peek(0x90000 + 0x21c, 4), 10);
    assert_int_equal(peek(at + 8, 2), 0x2173);
    assert_int_equal(peek(0x90000 + 0x228, 4), 0x99000);
    assert_int_equal(peek(0x90000 + 0x238, 4), 2047);
    assert_int_equal(peek(0x99000, 6), 0x7465697571);
    assert_int_equal(peek(0x90000 + 0x250, 8), 0x9a000);
    assert_int_equal(peek(0x9a008, 8), 0x2000000009);
    assert_int_equal(peek(0x9a010, 8), 0x7777777777777777);
    assert_int_equal(peek(0x90000 + 0x1e8, 1), 2);
    assert_int_equal(peek(0x90000 + 0x2d8, 8), 0x9f000);
    assert_int_equal(peek(0x90000 + 0x2e4, 8), 0x100000);
    assert_int_equal(peek(0x90000 + 0x2ec, 8), RAM - 0x100000);
}

static void real_mode_entries(void **state)
{
    (void)state;
    struct emu_boot boot = {.kind = EMU_BOOT_BOOT16, .kernel = bytes_of("\xeb\xfe", 2)};
    assert_int_equal(load(&boot), ERR_ok);
    assert_int_equal(pc->cpu->eip, 0x7c00);
    assert_int_equal(pc->cpu->segment[EMU_CS].base, 0);
    assert_int_equal(pc->cpu->reg[EMU_ESP], 0x7c00);
    assert_int_equal(pc->cpu->reg[EMU_EDX], 0x80);
    assert_int_equal(peek(0x3fc, 4), 0xf000ff53);
    assert_int_equal(peek(0xfff53, 1), 0xcf);
    assert_int_equal(peek(0x7c00, 2), 0xfeeb);
    teardown(NULL), setup(NULL);
    boot.kind = EMU_BOOT_ROM;
    boot.kernel = bytes_of(elf, 0x1000);
    assert_int_equal(load(&boot), ERR_ok);
    assert_int_equal(peek(0xff000, 4), 0x464c457f);
    assert_int_equal(pc->cpu->segment[EMU_CS].base, 0xf0000);
    assert_int_equal(pc->cpu->eip, 0xfff0);
    assert_int_equal(pc->cpu->reg[EMU_EDX], 0x633);
}

/* ---- compressed kernels ---- */

enum { SETUP = 1024 };

/* A bzImage around packed bytes, whose trailer says `size`. */
static void make_image(const uint8_t *packed, size_t packed_size, uint32_t size)
{
    memset(image, 0, SETUP + 16);
    image[0x1f1] = 1;
    store(image + 0x1fe, 2, 0xaa55);
    image[0x201] = 0x6a;
    memcpy(image + 0x202, "HdrS", 4);
    store(image + 0x206, 2, 0x020f);
    image[0x211] = 1;
    store(image + 0x22c, 4, 0x7fffffff);
    store(image + 0x238, 4, 2047);
    store(image + 0x248, 4, 16);
    store(image + 0x24c, 4, packed_size + 4);
    store(image + 0x258, 8, 0x400000);
    store(image + 0x260, 4, 0x300000);
    memcpy(image + SETUP + 16, packed, packed_size);
    store(image + SETUP + 16 + packed_size, 4, size);
    image_size = SETUP + 16 + packed_size + 4;
}

static size_t pack_zstd(uint8_t *packed)
{
    size_t size = ZSTD_compress(packed, 100000, elf, sizeof elf, 3);
    assert_false(ZSTD_isError(size));
    return size;
}

/* As the kernel's build does it: x86 BCJ, LZMA2, CRC32. */
static size_t pack_xz(uint8_t *packed)
{
    lzma_options_lzma options;
    size_t size = 0;
    assert_false(lzma_lzma_preset(&options, 6));
    lzma_filter filters[] = {{LZMA_FILTER_X86, NULL},
                             {LZMA_FILTER_LZMA2, &options},
                             {LZMA_VLI_UNKNOWN, NULL}};
    assert_int_equal(lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, NULL, elf,
                                               sizeof elf, packed, &size, 100000),
                     LZMA_OK);
    return size;
}

static struct emu_boot the_image(void)
{
    return (struct emu_boot){.kernel = bytes_of(image, image_size)};
}

static void compressed_kernels(void **state)
{
    (void)state;
    static uint8_t packed[100000];
    for (unsigned i = 0; i < 2; i++) {
        teardown(NULL), setup(NULL);
        size_t size = i ? pack_xz(packed) : pack_zstd(packed);
        make_image(packed, size, sizeof elf);
        struct emu_boot boot = the_image();
        assert_int_equal(load(&boot), ERR_ok);
        expect_kernel();
        assert_int_equal(pc->cpu->eip, KERNEL + 4);
        assert_int_equal(peek(0x90000 + 0x1f1, 1), 1);
        assert_int_equal(peek(0x90000 + 0x260, 4), 0x300000);
        /* Any damaged byte is noticed, or harmless. */
        for (size_t at = 0; at < size; at += 7) {
            make_image(packed, size, sizeof elf);
            image[SETUP + 16 + at] ^= 0x10;
            arena_clear(&scratch);
            enum err err = load(&boot);
            assert_true(err == ERR_image || err == ERR_ok);
            if (i)
                assert_int_equal(err, ERR_image);
        }
        make_image(packed, size, sizeof elf - 1);
        assert_int_equal(load(&boot), ERR_image);
        make_image(packed, size, sizeof elf + 1);
        assert_int_equal(load(&boot), ERR_image);
    }
}

static void other_compressions_are_named(void **state)
{
    (void)state;
    make_image((const uint8_t *)"\x1f\x8b\x08\x00\x00\x00\x00\x00", 8, 100);
    struct emu_boot boot = the_image();
    assert_int_equal(load(&boot), ERR_image);
    assert_string_equal(problem.name, "gzip");
    assert_string_equal(unpack_format(bytes_of("BZh9", 4)), "bzip2");
    assert_null(unpack_format(bytes_of("", 0)));
}

static void the_image_itself(void **state)
{
    (void)state;
    make_image((const uint8_t *)"12345678", 8, 100);
    struct emu_boot boot = the_image();
    boot.as_bzimage = true;
    boot.initrd = bytes_of("i", 1);
    assert_int_equal(load(&boot), ERR_ok);
    assert_int_equal(pc->cpu->eip, 0x100000);
    assert_int_equal(peek(0x100010, 8), 0x3837363534333231);
    store(image + 0x260, 4, 0xb00000); /* ends 1 MiB below the top: does not fit */
    assert_int_equal(load(&boot), ERR_ok);
    store(image + 0x260, 4, 0xc00000 - 0x1000);
    assert_int_equal(load(&boot), ERR_image);
    assert_int_equal(problem.value, 1);
    store(image + 0x260, 4, 0xd00000);
    assert_int_equal(load(&boot), ERR_image);
}

/* ---- hostile headers ---- */

static const struct {
    unsigned at, size;
    uint64_t value;
} bad_elf[] = {
    {4, 1, 2},           /* 64 bits */
    {5, 1, 2},           /* big-endian */
    {16, 2, 3},          /* a shared object */
    {18, 2, 62},         /* x86-64 */
    {42, 2, 31},         /* e_phentsize */
    {44, 2, 0},          /* nothing to load */
    {44, 2, 0xffff},     /* table outside */
    {28, 4, 0xfffffff0}, /* table outside */
    {56, 4, 0xffffffff}, /* p_offset */
    {68, 4, 0xffffffff}, /* p_filesz */
    {72, 4, 3999},       /* p_memsz below it */
    {72, 4, 0xffffffff}, /* over 4 GiB */
    {64, 4, RAM - 100},  /* outside RAM */
    {64, 4, 0x9f800},    /* into the hole */
    {64, 4, 0x8e800},    /* over the boot data */
};

static void hostile_elf_files(void **state)
{
    (void)state;
    struct emu_boot boot = the_elf();
    uint8_t good[ELF_SIZE];
    memcpy(good, elf, sizeof good);
    for (size_t i = 0; i < sizeof bad_elf / sizeof bad_elf[0]; i++) {
        memcpy(elf, good, sizeof good);
        store(elf + bad_elf[i].at, bad_elf[i].size, bad_elf[i].value);
        boot.kind = i % 2 ? EMU_BOOT_LINUX : EMU_BOOT_FLAT;
        if (load(&boot) != ERR_image)
            fail_msg("row %zu was accepted", i);
        assert_non_null(problem.text);
        assert_int_equal(peek(KERNEL, 8), 0); /* no partial load */
    }
    memcpy(elf, good, sizeof good);
    for (size_t size = 0; size < sizeof elf; size += size < 200 ? 1 : 97) {
        boot.kernel.size = size;
        assert_int_equal(load(&boot), ERR_image);
    }
}

static void hostile_images(void **state)
{
    (void)state;
    struct emu_boot boot;
    static const struct {
        unsigned at, size;
        uint64_t value;
    } bad[] = {{0x1f1, 1, 255},        {0x206, 2, 0x0209},     {0x211, 1, 0},
               {0x248, 4, 0xffffffff}, {0x24c, 4, 0xffffffff}, {0x24c, 4, 7}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        make_image((const uint8_t *)"12345678", 8, 100);
        store(image + bad[i].at, bad[i].size, bad[i].value);
        boot = the_image();
        assert_int_equal(load(&boot), ERR_image);
    }
    make_image((const uint8_t *)"12345678", 8, 0xffffffff);
    boot = the_image();
    assert_int_equal(load(&boot), ERR_image);
    boot.as_bzimage = true;
    store(image + 0x258, 8, UINT64_MAX);
    assert_int_equal(load(&boot), ERR_image);
}

static void the_rest_of_the_request(void **state)
{
    (void)state;
    struct emu_boot boot = the_elf();
    static char line[2049];
    memset(line, 'x', sizeof line);
    boot.cmdline = bytes_of(line, 2048);
    assert_int_equal(load(&boot), ERR_usage);
    boot.cmdline = bytes_of("a\0b", 3);
    assert_int_equal(load(&boot), ERR_usage);
    boot.cmdline = bytes_of(line, 2047);
    assert_int_equal(load(&boot), ERR_ok);
    boot.initrd = bytes_of(line, (size_t)64 << 20); /* refused by its size alone */
    assert_int_equal(load(&boot), ERR_image);
    assert_int_equal(problem.value, 51);
    boot = (struct emu_boot){.kernel = bytes_of("hello", 5)};
    assert_int_equal(load(&boot), ERR_image);
    boot.kind = EMU_BOOT_BOOT16;
    boot.kernel = bytes_of(line, 65537);
    assert_int_equal(load(&boot), ERR_image);
    boot.kernel.size = 0;
    assert_int_equal(load(&boot), ERR_image);
    boot.kind = EMU_BOOT_ROM;
    boot.kernel.size = 15;
    assert_int_equal(load(&boot), ERR_image);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(flat_entry),         T(linux_entry),      T(real_mode_entries),
        T(compressed_kernels), T(the_image_itself), T(other_compressions_are_named),
        T(hostile_elf_files),  T(hostile_images),   T(the_rest_of_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
