/* SPDX-License-Identifier: MIT
 *
 * cli/elf32.h - sections of an ELF32 file, little endian, as a module of a Linux guest
 * is one.  The file is hostile.
 */
#ifndef CLI_ELF32_H
#define CLI_ELF32_H

#include "base/buf.h"

#include <stdint.h>

/* What a section holds, as a part of `elf`; nothing: this is no such file, or it has no
 * section of that name, or none that is whole. */
struct bytes cli_elf32_section(struct bytes elf, const char *name);

/* The name of section `index`, with its NUL, as a part of `elf`; NULL: there is none.
 */
const char *cli_elf32_section_name(struct bytes elf, uint32_t index);

#endif
