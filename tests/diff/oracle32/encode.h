/* SPDX-License-Identifier: MIT
 *
 * tests/diff/oracle32/encode.h - random encodings of a row of i386.def.
 */
#ifndef TESTS_DIFF_ORACLE32_ENCODE_H
#define TESTS_DIFF_ORACLE32_ENCODE_H

#include "emu/decode.h"
#include "tests/diff/oracle32/case.h"

#include <stdbool.h>

/* Write one encoding of `row` into request->code, how it runs, and which registers it
 * needs to be pointers.  `stepped`: 16- and 32-bit code with any segments, prefixes and
 * forbidden encodings; else 32-bit code that plain calls can run. */
void encode_row(const struct emu_row *row, uint64_t *seed, bool stepped,
                struct case_request *request);

#endif
