/* SPDX-License-Identifier: MIT
 *
 * A RISC-V evaluator for tests, written from the ISA manual: one instruction of
 * RV64IM_Zbb and XTheadCondMov at a time.  It shares nothing with link/.
 */
#ifndef TESTS_UNIT_LINK_RV_EVAL_H
#define TESTS_UNIT_LINK_RV_EVAL_H

#include <stdbool.h>
#include <stdint.h>

/* Memory is three windows of the 32-bit address space; an access elsewhere fails the
 * test that makes it. */
enum { RV_WINDOW_SIZE = 0x3000 };
#define RV_LOW 0x00000000u
#define RV_MIDDLE 0x00020000u
#define RV_HIGH 0xffffd000u

struct rv_memory {
    uint8_t low[RV_WINDOW_SIZE], middle[RV_WINDOW_SIZE], high[RV_WINDOW_SIZE];
};

enum rv_next { RV_ON, RV_TAKEN, RV_UNKNOWN };

/* Execute; x[0] stays 0.  Branches answer whether they are taken. */
enum rv_next rv_eval(uint32_t word, uint64_t x[32], struct rv_memory *memory);

/* The byte at a 32-bit address, NULL outside of the windows. */
uint8_t *rv_byte(struct rv_memory *memory, uint32_t address);

#endif
