/* SPDX-License-Identifier: MIT
 *
 * tests/diff/oracle32/encode.h - random encodings of a row of i386.def.
 */
#ifndef TESTS_DIFF_ORACLE32_ENCODE_H
#define TESTS_DIFF_ORACLE32_ENCODE_H

#include "emu/decode.h"
#include "tests/diff/oracle32/case.h"

/* Write one encoding of `row`, 32-bit code, into request->code, and which registers it
 * needs to be pointers. */
void encode_row(const struct emu_row *row, uint64_t *seed,
                struct case_request *request);

#endif
