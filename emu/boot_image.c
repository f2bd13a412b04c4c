/* SPDX-License-Identifier: MIT
 *
 * ELF32 executables and bzImages (System V ABI chapter 4; Linux
 * Documentation/arch/x86/boot.rst).  Every number is checked before it is used, in 64
 * bits.
 */
#include "emu/boot_image.h"

#include "base/unpack.h"

#include <string.h>

enum {
    ELF_HEADER_SIZE = 52,
    ELF_SEGMENT_SIZE = 32,
    ELF_EXEC = 2,
    ELF_386 = 3,
    PT_LOAD = 1,
};

/* Fields of the setup header, by their offset in the file. */
enum {
    SETUP_SECTS = 0x1f1,
    BOOT_FLAG = 0x1fe,
    JUMP = 0x201,
    MAGIC = 0x202,
    VERSION = 0x206,
    LOADFLAGS = 0x211,
    INITRD_MAX = 0x22c,
    CMDLINE_SIZE = 0x238,
    PAYLOAD_OFFSET = 0x248,
    PAYLOAD_LENGTH = 0x24c,
    PREF_ADDRESS = 0x258,
    INIT_SIZE = 0x260,
    SETUP_SIZE_MIN = 0x264,
};

enum { KERNEL_AT = 0x100000, BOOT_AREA = 0x8f000, BOOT_AREA_END = 0x9b000 };
#define UNPACKED_MAX (UINT64_C(256) << 20)

static uint64_t load(struct bytes file, uint64_t at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)file.data[at + i] << 8 * i;
    return value;
}

/* ---- ELF ---- */

bool emu_boot_is_elf(struct bytes file)
{
    return file.size >= 4 && memcmp(file.data, "\177ELF", 4) == 0;
}

static enum err check_elf(struct bytes file, struct emu_boot_problem *problem)
{
    if (file.size < ELF_HEADER_SIZE || !emu_boot_is_elf(file))
        return emu_boot_refuse(problem, "no ELF file; size", file.size);
    if (file.data[4] != 1)
        return emu_boot_refuse(problem, "a 64-bit ELF file; class at offset", 4);
    if (file.data[5] != 1)
        return emu_boot_refuse(problem, "a big-endian ELF file; at offset", 5);
    if (load(file, 18, 2) != ELF_386)
        return emu_boot_refuse(problem, "not for i386: e_machine", load(file, 18, 2));
    if (load(file, 16, 2) != ELF_EXEC)
        return emu_boot_refuse(problem, "no executable: e_type", load(file, 16, 2));
    if (load(file, 42, 2) != ELF_SEGMENT_SIZE)
        return emu_boot_refuse(problem, "bad e_phentsize", load(file, 42, 2));
    uint64_t table = load(file, 28, 4), size = load(file, 44, 2) * ELF_SEGMENT_SIZE;
    if (table > file.size || size > file.size - table)
        return emu_boot_refuse(problem, "program headers outside the file at offset",
                               table);
    return ERR_ok;
}

static bool overlap(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
    return a < b_end && b < a_end;
}

/* Add the PT_LOAD segment whose header is at `at`. */
static enum err add_segment(struct bytes file, uint64_t at, const struct emu_ram *ram,
                            struct emu_boot_image *image,
                            struct emu_boot_problem *problem)
{
    uint64_t offset = load(file, at + 4, 4), address = load(file, at + 12, 4);
    uint64_t file_size = load(file, at + 16, 4), size = load(file, at + 20, 4);
    uint64_t end = address + size;
    if (image->segment_count == EMU_BOOT_SEGMENTS_MAX)
        return emu_boot_refuse(problem, "more than 64 segments; at offset", at);
    if (offset > file.size || file_size > file.size - offset)
        return emu_boot_refuse(problem, "segment outside the file; header at offset",
                               at);
    if (file_size > size)
        return emu_boot_refuse(problem, "p_filesz above p_memsz; header at offset", at);
    if (end > ram->size || overlap(address, end, EMU_RAM_HOLE, EMU_RAM_HOLE_END))
        return emu_boot_refuse(problem, "segment outside RAM; it ends at", end);
    if (overlap(address, end, BOOT_AREA, BOOT_AREA_END))
        return emu_boot_refuse(
            problem, "segment over the boot data 8f000-9afff; it begins at", address);
    image->segment[image->segment_count++] = (struct emu_boot_segment){
        .address = (uint32_t)address,
        .size = (uint32_t)size,
        .data = bytes_of(file.data + offset, (size_t)file_size)};
    if (image->end < end)
        image->end = end;
    return ERR_ok;
}

/* A bare ELF has no setup header: what Linux wants to see of one (3.2). */
static void plain_header(struct emu_boot_image *image)
{
    image->header_size = SETUP_SIZE_MIN - SETUP_SECTS;
    uint8_t *header = image->header;
    memset(header, 0, sizeof image->header);
    image->initrd_max = 0x7fffffff;
    header[BOOT_FLAG - SETUP_SECTS] = 0x55;
    header[BOOT_FLAG + 1 - SETUP_SECTS] = 0xaa;
    memcpy(header + MAGIC - SETUP_SECTS, "HdrS", 4);
    header[VERSION - SETUP_SECTS] = 0x0f;
    header[VERSION + 1 - SETUP_SECTS] = 0x02;
    header[CMDLINE_SIZE - SETUP_SECTS] = 0xff;
    header[CMDLINE_SIZE + 1 - SETUP_SECTS] = 0x07;
}

enum err emu_boot_read_elf(struct bytes file, const struct emu_ram *ram,
                           struct emu_boot_image *ret_image,
                           struct emu_boot_problem *problem)
{
    struct emu_boot_image *image = ret_image;
    TRY(check_elf(file, problem));
    memset(image, 0, sizeof *image);
    plain_header(image);
    uint64_t table = load(file, 28, 4), count = load(file, 44, 2);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = table + i * ELF_SEGMENT_SIZE;
        if (load(file, at, 4) == PT_LOAD && load(file, at + 20, 4))
            TRY(add_segment(file, at, ram, image, problem));
    }
    if (!image->segment_count)
        return emu_boot_refuse(problem, "nothing to load; e_phnum", count);
    image->entry = (uint32_t)load(file, 24, 4);
    return ERR_ok;
}

/* ---- bzImage ---- */

bool emu_boot_is_bzimage(struct bytes file)
{
    return file.size >= SETUP_SIZE_MIN && file.data[BOOT_FLAG] == 0x55 &&
           file.data[BOOT_FLAG + 1] == 0xaa &&
           memcmp(file.data + MAGIC, "HdrS", 4) == 0;
}

static void copy_header(struct bytes file, struct emu_boot_image *image)
{
    size_t end = (size_t)MAGIC + file.data[JUMP];
    if (end > SETUP_SECTS + sizeof image->header)
        end = SETUP_SECTS + sizeof image->header;
    image->header_size = end - SETUP_SECTS;
    memset(image->header, 0, sizeof image->header);
    memcpy(image->header, file.data + SETUP_SECTS,
           image->header_size < file.size - SETUP_SECTS ? image->header_size
                                                        : file.size - SETUP_SECTS);
    image->initrd_max = (uint32_t)load(file, INITRD_MAX, 4);
}

/* The image as it is: its own code unpacks it. */
static enum err whole_image(struct bytes file, uint64_t setup,
                            const struct emu_ram *ram, struct emu_boot_image *image,
                            struct emu_boot_problem *problem)
{
    memset(image, 0, sizeof *image);
    struct bytes code = bytes_of(file.data + setup, file.size - (size_t)setup);
    uint64_t end = load(file, PREF_ADDRESS, 8), init = load(file, INIT_SIZE, 4);
    if (end > UINT32_MAX)
        return emu_boot_refuse(problem, "bad pref_address", end);
    end += init;
    if (end < KERNEL_AT + (uint64_t)code.size)
        end = KERNEL_AT + (uint64_t)code.size;
    if (end > ram->size)
        return emu_boot_refuse(problem, "the kernel does not fit pc.ram; it ends at",
                               end);
    image->segment[0] = (struct emu_boot_segment){
        .address = KERNEL_AT, .size = (uint32_t)code.size, .data = code};
    image->segment_count = 1;
    image->entry = KERNEL_AT;
    image->end = end;
    copy_header(file, image);
    return ERR_ok;
}

/* Unpack `packed`, whose last four bytes are the size of the result. */
static enum err unpack_payload(struct arena *arena, struct bytes packed,
                               const struct emu_ram *ram, struct bytes *ret,
                               struct emu_boot_problem *problem)
{
    if (packed.size < 8)
        return emu_boot_refuse(problem, "payload too short: bytes", packed.size);
    uint64_t want = load(packed, packed.size - 4, 4);
    packed.size -= 4;
    if (want > UNPACKED_MAX || want > ram->size)
        return emu_boot_refuse(problem, "unpacked kernel too large: bytes", want);
    const char *format = unpack_format(packed);
    uint8_t *data = arena_alloc(arena, (size_t)want + 1, 8);
    size_t size;
    if (!data)
        return ERR_nomem;
    enum err err = unpack(packed, data, (size_t)want, &size);
    problem->name = format;
    if (err == ERR_unsupported)
        return emu_boot_refuse(problem,
                               ": the kernel is not compressed with xz or zstd; magic",
                               load(packed, 0, 4));
    problem->name = NULL;
    if (err == ERR_nomem)
        return err;
    if (err || size != want)
        return emu_boot_refuse(problem, "damaged payload; unpacked size should be",
                               want);
    *ret = bytes_of(data, size);
    return ERR_ok;
}

enum err emu_boot_read_bzimage(struct arena *arena, struct bytes file, bool as_bzimage,
                               const struct emu_ram *ram,
                               struct emu_boot_image *ret_image,
                               struct emu_boot_problem *problem)
{
    uint64_t sectors = file.data[SETUP_SECTS] ? file.data[SETUP_SECTS] : 4;
    uint64_t setup = (sectors + 1) * 512;
    struct bytes payload, kernel;
    if (setup >= file.size)
        return emu_boot_refuse(problem, "setup code outside the file; it ends at",
                               setup);
    if (load(file, VERSION, 2) < 0x020a)
        return emu_boot_refuse(
            problem, "boot protocol older than 2.10:", load(file, VERSION, 2));
    if (!(file.data[LOADFLAGS] & 1))
        return emu_boot_refuse(problem, "a zImage, not a bzImage; loadflags",
                               file.data[LOADFLAGS]);
    if (as_bzimage)
        return whole_image(file, setup, ram, ret_image, problem);
    uint64_t at = setup + load(file, PAYLOAD_OFFSET, 4);
    uint64_t size = load(file, PAYLOAD_LENGTH, 4);
    if (at > file.size || size > file.size - at)
        return emu_boot_refuse(problem, "payload outside the file; it begins at", at);
    payload = bytes_of(file.data + at, (size_t)size);
    TRY(unpack_payload(arena, payload, ram, &kernel, problem));
    TRY(emu_boot_read_elf(kernel, ram, ret_image, problem));
    copy_header(file, ret_image);
    return ERR_ok;
}
