/* SPDX-License-Identifier: MIT
 *
 * What to load: the kind of an image, the layout of low memory and the entry state.
 * ELF files and bzImages are taken apart in boot_image.c.
 */
#include "emu/boot_image.h"

#include <string.h>

enum {
    GDT = 0x8f000,
    PARAMS = 0x90000,
    CMDLINE = 0x99000,
    SETUP_DATA = 0x9a000,
    LOW_RAM_END = 0x9f000,
    HIGH = 0x100000,
    CODE = 0x10,
    DATA = 0x18,
    BOOT16_AT = 0x7c00,
    ROM_END = 0x100000,
    SMALL_SIZE_MAX = 0x10000,
    IRET_AT = 0xfff53, /* f000:ff53 */
    SEED_NODE = 9,     /* SETUP_RNG_SEED */
};

static void put(uint8_t *at, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

enum err emu_boot_refuse(struct emu_boot_problem *problem, const char *text,
                         uint64_t value)
{
    problem->text = text;
    problem->value = value;
    return ERR_image;
}

/* ---- protected mode (3.2, 3.3 flat) ---- */

static void write_gdt(struct emu_pc *pc)
{
    uint8_t gdt[32] = {0};
    put(gdt + CODE, 8, UINT64_C(0x00cf9b000000ffff));
    put(gdt + DATA, 8, UINT64_C(0x00cf93000000ffff));
    emu_ram_write(pc->ram, GDT, gdt, sizeof gdt);
    pc->cpu->gdtr = (struct emu_table){.base = GDT, .limit = sizeof gdt - 1};
    pc->cpu->idtr = (struct emu_table){0};
}

static void enter_protected(struct emu_pc *pc, uint32_t entry)
{
    struct emu_cpu *cpu = pc->cpu;
    write_gdt(pc);
    memset(cpu->reg, 0, sizeof cpu->reg);
    cpu->cr0 = EMU_CR0_PE | EMU_CR0_ET;
    cpu->eflags = 2;
    cpu->eip = entry;
    emu_cpu_set_segment(cpu, EMU_CS, CODE, 0, UINT32_MAX, 0xc09b);
    static const unsigned data[] = {EMU_DS, EMU_ES, EMU_SS, EMU_FS, EMU_GS};
    for (size_t i = 0; i < countof(data); i++)
        emu_cpu_set_segment(cpu, data[i], DATA, 0, UINT32_MAX, 0xc093);
}

static void write_cmdline(struct emu_pc *pc, struct bytes cmdline)
{
    static const uint8_t end = 0;
    if (cmdline.size)
        emu_ram_write(pc->ram, CMDLINE, cmdline.data, cmdline.size);
    emu_ram_write(pc->ram, CMDLINE + (uint32_t)cmdline.size, &end, 1);
}

static void load_segments(struct emu_pc *pc, const struct emu_boot_image *image)
{
    static const uint8_t zeros[EMU_PAGE_SIZE];
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct emu_boot_segment *s = &image->segment[i];
        if (s->data.size)
            emu_ram_write(pc->ram, s->address, s->data.data, s->data.size);
        uint32_t at = s->address + (uint32_t)s->data.size;
        for (uint32_t left = s->size - (uint32_t)s->data.size; left;) {
            uint32_t part = left < sizeof zeros ? left : (uint32_t)sizeof zeros;
            emu_ram_write(pc->ram, at, zeros, part);
            at += part;
            left -= part;
        }
    }
}

static enum err boot_flat(const struct emu_boot *boot, struct emu_pc *pc,
                          struct emu_boot_problem *problem)
{
    struct emu_boot_image image;
    TRY(emu_boot_read_elf(boot->kernel, pc->ram, &image, problem));
    load_segments(pc, &image);
    write_cmdline(pc, boot->cmdline);
    enter_protected(pc, image.entry);
    pc->cpu->reg[EMU_ESP] = GDT;
    pc->cpu->reg[EMU_EBX] = CMDLINE;
    return ERR_ok;
}

/* ---- Linux (3.2) ---- */

/* Where the initramfs goes: as high as it may. */
static enum err place_initrd(const struct emu_boot *boot, const struct emu_pc *pc,
                             const struct emu_boot_image *image, uint32_t *ret_address,
                             struct emu_boot_problem *problem)
{
    uint64_t size = boot->initrd.size, top = pc->ram->size - UINT64_C(0x1000);
    *ret_address = 0;
    if (!size)
        return ERR_ok;
    if (top > (uint64_t)image->initrd_max + 1)
        top = (uint64_t)image->initrd_max + 1;
    uint64_t low = image->end > HIGH ? image->end : HIGH;
    uint64_t needed =
        (low + 0xfff) / 0x1000 * 0x1000 + (size + 0xfff) / 0x1000 * 0x1000;
    if (needed > top) {
        uint64_t missing = (needed - top + 0xfffff) >> 20;
        return emu_boot_refuse(
            problem, "no room for the initramfs; more MiB of pc.ram needed", missing);
    }
    *ret_address = (uint32_t)((top - size) & ~UINT64_C(0xfff));
    return ERR_ok;
}

static void write_params(const struct emu_boot *boot, struct emu_pc *pc,
                         const struct emu_boot_image *image, uint32_t initrd)
{
    uint8_t params[0x1000] = {0};
    memcpy(params + 0x1f1, image->header, image->header_size);
    put(params + 0x1fa, 2, 0xffff); /* vid_mode: normal */
    params[0x210] = 0xff;           /* a loader without a number */
    params[0x211] |= 0x81;          /* LOADED_HIGH, CAN_USE_HEAP */
    put(params + 0x214, 4, HIGH);
    put(params + 0x218, 4, initrd);
    put(params + 0x21c, 4, initrd ? boot->initrd.size : 0);
    put(params + 0x224, 2, 0);
    put(params + 0x228, 4, CMDLINE);
    put(params + 0x250, 8, SETUP_DATA);
    params[0x1e8] = 2;
    put(params + 0x2d0, 8, 0);
    put(params + 0x2d8, 8, LOW_RAM_END);
    put(params + 0x2e0, 4, 1);
    put(params + 0x2e4, 8, HIGH);
    put(params + 0x2ec, 8, pc->ram->size - HIGH);
    put(params + 0x2f4, 4, 1);
    emu_ram_write(pc->ram, PARAMS, params, sizeof params);

    uint8_t node[16 + EMU_BOOT_SEED_SIZE] = {0};
    put(node + 8, 4, SEED_NODE);
    put(node + 12, 4, EMU_BOOT_SEED_SIZE);
    memcpy(node + 16, boot->seed, EMU_BOOT_SEED_SIZE);
    emu_ram_write(pc->ram, SETUP_DATA, node, sizeof node);
}

static enum err boot_linux(struct arena *arena, const struct emu_boot *boot,
                           struct emu_pc *pc, struct emu_boot_problem *problem)
{
    struct emu_boot_image image;
    uint32_t initrd;
    if (emu_boot_is_bzimage(boot->kernel))
        TRY(emu_boot_read_bzimage(arena, boot->kernel, boot->as_bzimage, pc->ram,
                                  &image, problem));
    else
        TRY(emu_boot_read_elf(boot->kernel, pc->ram, &image, problem));
    TRY(place_initrd(boot, pc, &image, &initrd, problem));
    load_segments(pc, &image);
    if (initrd)
        emu_ram_write(pc->ram, initrd, boot->initrd.data, boot->initrd.size);
    write_cmdline(pc, boot->cmdline);
    write_params(boot, pc, &image, initrd);
    enter_protected(pc, image.entry);
    pc->cpu->reg[EMU_ESI] = PARAMS;
    return ERR_ok;
}

/* ---- real mode (3.3) ---- */

static enum err boot_boot16(const struct emu_boot *boot, struct emu_pc *pc,
                            struct emu_boot_problem *problem)
{
    struct emu_cpu *cpu = pc->cpu;
    uint8_t vectors[1024];
    if (!boot->kernel.size || boot->kernel.size > SMALL_SIZE_MAX)
        return emu_boot_refuse(problem, "a boot sector has 1 to 65536 bytes, not",
                               boot->kernel.size);
    for (unsigned i = 0; i < 256; i++)
        put(vectors + 4 * i, 4, 0xf000ff53);
    emu_ram_write(pc->ram, 0, vectors, sizeof vectors);
    emu_ram_write(pc->ram, IRET_AT, "\xcf", 1);
    emu_ram_write(pc->ram, BOOT16_AT, boot->kernel.data, boot->kernel.size);
    memset(cpu->reg, 0, sizeof cpu->reg);
    cpu->reg[EMU_ESP] = BOOT16_AT;
    cpu->reg[EMU_EDX] = 0x80;
    cpu->eip = BOOT16_AT;
    cpu->eflags = 2;
    for (unsigned i = EMU_ES; i <= EMU_GS; i++)
        emu_cpu_set_segment(cpu, i, 0, 0, 0xffff, i == EMU_CS ? 0x9b : 0x93);
    return ERR_ok;
}

static enum err boot_rom(const struct emu_boot *boot, struct emu_pc *pc,
                         struct emu_boot_problem *problem)
{
    if (boot->kernel.size < 16 || boot->kernel.size > SMALL_SIZE_MAX)
        return emu_boot_refuse(problem, "a ROM has 16 to 65536 bytes, not",
                               boot->kernel.size);
    emu_ram_write(pc->ram, ROM_END - (uint32_t)boot->kernel.size, boot->kernel.data,
                  boot->kernel.size);
    return ERR_ok; /* the processor is at its reset vector */
}

/* ---- all ---- */

static enum emu_boot_kind kind_of(const struct emu_boot *boot)
{
    if (boot->kind != EMU_BOOT_AUTO)
        return boot->kind;
    if (emu_boot_is_bzimage(boot->kernel))
        return EMU_BOOT_LINUX;
    if (!emu_boot_is_elf(boot->kernel))
        return EMU_BOOT_AUTO;
    return boot->cmdline.size || boot->initrd.size ? EMU_BOOT_LINUX : EMU_BOOT_FLAT;
}

static enum err load(struct arena *arena, const struct emu_boot *boot,
                     enum emu_boot_kind kind, struct emu_pc *pc,
                     struct emu_boot_problem *problem)
{
    switch (kind) {
    case EMU_BOOT_LINUX:
        return boot_linux(arena, boot, pc, problem);
    case EMU_BOOT_FLAT:
        return boot_flat(boot, pc, problem);
    case EMU_BOOT_BOOT16:
        return boot_boot16(boot, pc, problem);
    case EMU_BOOT_ROM:
        return boot_rom(boot, pc, problem);
    case EMU_BOOT_AUTO:
        break;
    }
    return emu_boot_refuse(problem,
                           "neither an ELF file nor a bzImage; is it boot16 or rom? "
                           "size",
                           boot->kernel.size);
}

enum err emu_boot_load(struct arena *arena, const struct emu_boot *boot,
                       struct emu_pc *pc, enum emu_boot_kind *ret_kind,
                       struct emu_boot_problem *ret_problem)
{
    struct bytes line = boot->cmdline;
    *ret_problem = (struct emu_boot_problem){0};
    if (line.size > EMU_BOOT_CMDLINE_MAX ||
        (line.size && memchr(line.data, 0, line.size)))
        return ERR_usage;
    enum emu_boot_kind kind = kind_of(boot);
    TRY(load(arena, boot, kind, pc, ret_problem));
    emu_pc_loaded(pc);
    *ret_kind = kind;
    return ERR_ok;
}
