/* SPDX-License-Identifier: MIT
 *
 * tests/diff/oracle_check.h - compare every engine with the oracle on one program.
 *
 * The programs come from seeds, so that a failure is a number.  One bench per process.
 */
#ifndef TESTS_DIFF_ORACLE_CHECK_H
#define TESTS_DIFF_ORACLE_CHECK_H

#include <stdint.h>

/* Memory and an engine for what follows; failing to get them is a failed check(). */
void oracle_check_begin(void);
void oracle_check_end(void);

/* Run the generated program of this seed.  NULL, or the name of the engine that differs
 * (static). */
const char *oracle_check_seed(uint64_t seed);

/* The same for a program that has opcode `op`, which is assigned, many times. */
const char *oracle_check_opcode(uint8_t op, uint64_t seed);

/* The first difference of the last program that had one, as text. */
const char *oracle_check_what(void);

#endif
