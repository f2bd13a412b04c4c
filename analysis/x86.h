/* SPDX-License-Identifier: MIT
 *
 * analysis/x86.h - x86-64 and i386 machine code as text, one instruction at a time.
 *
 * For listings of the recompiler's code, and of a pc's.  It knows nothing of the PVM;
 * the library that decodes is named in analysis/x86.c alone.  The text (Intel's syntax)
 * is for people: another version of the library may spell an instruction differently.
 *
 * Threads: a decoder belongs to one.
 */
#ifndef ANALYSIS_X86_H
#define ANALYSIS_X86_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { ANALYSIS_X86_TEXT_SIZE = 200 };

struct analysis_x86;

/* ERR_nomem; ERR_unsupported: the library was built without x86. */
ERR_MUST_CHECK enum err analysis_x86_open(struct analysis_x86 **ret_x86);

/* The same for 32-bit code of an i386. */
ERR_MUST_CHECK enum err analysis_x86_open_i386(struct analysis_x86 **ret_x86);

/* NULL is fine. */
void analysis_x86_close(struct analysis_x86 *x86);

/*
 * Write the text of the first instruction of `code`, which stands at `address`:
 * relative jumps show where they lead.  Bytes that are no instruction, or the front of
 * one, come one by one as ".byte 0x..".  Answers the size of the instruction; 0 at the
 * end.
 */
size_t analysis_x86_next(struct analysis_x86 *x86, struct bytes code, uint64_t address,
                         char ret_text[ANALYSIS_X86_TEXT_SIZE]);

#endif
