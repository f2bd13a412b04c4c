/* SPDX-License-Identifier: MIT
 *
 * tests/diff/oracle_check.h - compare every engine with the oracle on one program.
 *
 * The programs come from seeds, so that a failure is a number.  One bench per process.
 */
#ifndef TESTS_DIFF_ORACLE_CHECK_H
#define TESTS_DIFF_ORACLE_CHECK_H

#include "analysis/trial.h"

#include <stdint.h>

/* Memory and an engine for what follows; failing to get them is a failed check(). */
void oracle_check_begin(void);
void oracle_check_end(void);

/* The generated program of this seed. */
void oracle_check_make(uint64_t seed, struct analysis_case *ret_case);

/* A program that has opcode `op`, which is assigned, many times. */
void oracle_check_make_dense(uint8_t op, uint64_t seed, struct analysis_case *ret_case);

/* Run a case on all engines.  NULL, or the name of the one that differs (static). */
const char *oracle_check_case(const struct analysis_case *c);

/* Do the loaders see the program of a case otherwise than the specification?  Then
 * *ret_text says how. */
bool oracle_load_differs(const struct analysis_case *c, char *ret_text, size_t size);

/* The first difference of the last case that had one, as text. */
const char *oracle_check_what(void);

/* Which kind of difference that was. */
enum analysis_group oracle_check_group(void);

#endif
