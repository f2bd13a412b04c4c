/* SPDX-License-Identifier: MIT
 *
 * emu/boot.h - put an image into a machine and point its processor at it (machine.md
 * 3).
 *
 * Images are hostile: everything is checked with 64-bit sums before the first byte of
 * guest memory is written.
 */
#ifndef EMU_BOOT_H
#define EMU_BOOT_H

#include "emu/pc.h"

enum emu_boot_kind {
    EMU_BOOT_AUTO, /* by content (3.1) */
    EMU_BOOT_LINUX,
    EMU_BOOT_FLAT,
    EMU_BOOT_BOOT16,
    EMU_BOOT_ROM,
};

enum { EMU_BOOT_SEED_SIZE = 32, EMU_BOOT_CMDLINE_MAX = 2047 };

struct emu_boot {
    enum emu_boot_kind kind;
    bool as_bzimage; /* run the image's own decompressor */
    struct bytes kernel;
    struct bytes initrd;  /* size 0: none */
    struct bytes cmdline; /* without NUL */
    uint8_t seed[EMU_BOOT_SEED_SIZE];
};

/* Why an image was refused. */
struct emu_boot_problem {
    const char *name; /* of a compression; NULL: none */
    const char *text; /* static storage; NULL: none */
    uint64_t value;   /* an offset in the image, a size or an address, as text says */
};

/*
 * Load into `pc`, which has not run.  `arena` holds the unpacked kernel and may be
 * freed afterwards.  *ret_kind is the kind that was booted.
 *
 * ERR_image: *ret_problem says what is wrong.  ERR_usage: the command line is too long
 * or holds a NUL.  ERR_nomem.  After an error the machine is of no use.
 */
ERR_MUST_CHECK enum err emu_boot_load(struct arena *arena, const struct emu_boot *boot,
                                      struct emu_pc *pc, enum emu_boot_kind *ret_kind,
                                      struct emu_boot_problem *ret_problem);

#endif
