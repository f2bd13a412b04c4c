/* SPDX-License-Identifier: MIT
 *
 * cli/elf64.h - sections of an ELF64 file, little endian, as the debug information of
 * PVM programs is one.  The file is hostile.
 */
#ifndef CLI_ELF64_H
#define CLI_ELF64_H

#include "base/buf.h"
#include "base/err.h"

/* What a section holds, as a part of `elf`.  ERR_usage: this is no such file;
 * ERR_not_found: it has no section of that name. */
ERR_MUST_CHECK enum err cli_elf64_section(struct bytes elf, const char *name,
                                          struct bytes *ret_section);

#endif
