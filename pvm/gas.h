/* SPDX-License-Identifier: MIT
 *
 * pvm/gas.h - what a block costs, one visited position at a time [7].
 * Private to pvm/: program.c adds visits while it predecodes, pvm_code_walk() while it
 * walks.
 */
#ifndef PVM_GAS_H
#define PVM_GAS_H

#include "pvm/pvm.h"

struct gas_meter {
    uint32_t model; /* gas model only, without page gas */
    uint32_t mem_cycles;
    uint64_t visits;
    uint64_t cycle, used, last; /* model 1: `last` is the specification's max */
    uint64_t done[16];          /* of registers; the last one is no register, and 0 */
};

void pvm_gas_meter_begin(struct gas_meter *meter, const struct pvm_config *config);

/* Visit `count` instructions of a block, given their first three bytes (decode.h), 0
 * for a position that is not ok; `target` is that of the last one if it is a branch. */
void pvm_gas_meter_visit(struct gas_meter *meter, const struct pvm_code *code,
                         const uint32_t *head, uint32_t count, int64_t target);

/* need(i) of the visits so far; at least one. */
uint64_t pvm_gas_meter_need(const struct gas_meter *meter);

/* The reserve of a block with so many stores [7.6]. */
uint64_t pvm_gas_reserve(const struct pvm_config *config, uint64_t store_count);

static inline bool gas_charges_pages(const struct pvm_config *config)
{
    return config->model >> 8 == 1;
}

#endif
