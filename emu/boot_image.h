/* SPDX-License-Identifier: MIT
 *
 * emu/boot_image.h - what the files of the loader share: an image taken apart.
 */
#ifndef EMU_BOOT_IMAGE_H
#define EMU_BOOT_IMAGE_H

#include "emu/boot.h"

enum { EMU_BOOT_SEGMENTS_MAX = 64, EMU_BOOT_HEADER_MAX = 0x90 };

struct emu_boot_segment {
    uint32_t address, size; /* wholly in RAM */
    struct bytes data;      /* the first bytes; the rest is zero */
};

struct emu_boot_image {
    struct emu_boot_segment segment[EMU_BOOT_SEGMENTS_MAX];
    unsigned segment_count;
    uint32_t entry;
    uint64_t end;                        /* the kernel uses memory up to here */
    uint32_t initrd_max;                 /* the last byte an initramfs may have */
    uint8_t header[EMU_BOOT_HEADER_MAX]; /* boot_params from 1f1 */
    size_t header_size;
};

bool emu_boot_is_elf(struct bytes file);
bool emu_boot_is_bzimage(struct bytes file);

/* Take an image apart; the result points into `file` or `arena`.  ERR_image,
 * ERR_nomem. */
ERR_MUST_CHECK enum err emu_boot_read_elf(struct bytes file, const struct emu_ram *ram,
                                          struct emu_boot_image *ret_image,
                                          struct emu_boot_problem *problem);
ERR_MUST_CHECK enum err emu_boot_read_bzimage(struct arena *arena, struct bytes file,
                                              bool as_bzimage,
                                              const struct emu_ram *ram,
                                              struct emu_boot_image *ret_image,
                                              struct emu_boot_problem *problem);

/* Fill in the problem; always ERR_image. */
ERR_MUST_CHECK enum err emu_boot_refuse(struct emu_boot_problem *problem,
                                        const char *text, uint64_t value);

#endif
