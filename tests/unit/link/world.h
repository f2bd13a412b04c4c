/* SPDX-License-Identifier: MIT
 *
 * Linking and running in one place, for the tests of the linker.
 */
#ifndef TESTS_UNIT_LINK_WORLD_H
#define TESTS_UNIT_LINK_WORLD_H

#include "link/link.h"
#include "tests/unit/link/object.h"
#include "tests/unit/link/rv_eval.h"

enum { WORLD_INPUT_MAX = 8 };

struct world {
    struct arena arena;
    struct link_options options;
    struct link_input input[WORLD_INPUT_MAX];
    struct buf file[WORLD_INPUT_MAX];
    size_t input_count;
    struct link_problems problems;
    struct link_result result;
    enum err err;
    /* for running */
    struct pvm_program *program;
    struct pvm_engine *engine;
    void *reservation;
    struct pvm_mem *mem;
};

void world_init(struct world *world);
void world_fini(struct world *world);

/* Add an object made by hand (it is finished and freed), or a stored one. */
void world_add(struct world *world, const char *name, struct object *object);
void world_add_file(struct world *world, const char *path, const char *name);

/* Link; the outcome is in world->err, problems and result. */
void world_link(struct world *world);

/* The same, and the link must succeed: otherwise the test fails with the problems. */
void world_link_ok(struct world *world);

/* Prepare to run the linked code, with the windows of rv_eval.h as memory. */
void world_prepare(struct world *world);

/* Prepare to run the linked output in its own container. */
void world_load(struct world *world, struct pvm_state *ret_state);

/* Run from `state`, without a host. */
struct pvm_outcome world_run(struct world *world, struct pvm_state *state);

/* Write and read the windows. */
void world_set_memory(struct world *world, const struct rv_memory *memory);
void world_get_memory(struct world *world, struct rv_memory *ret_memory);

/* RISC-V words. */
uint32_t rv_i(uint32_t match, unsigned rd, unsigned rs1, int32_t imm);
uint32_t rv_s(uint32_t match, unsigned rs2, unsigned rs1, int32_t imm);
uint32_t rv_b(uint32_t match, unsigned rs1, unsigned rs2, int32_t offset);
uint32_t rv_j(unsigned rd, int32_t offset);
uint32_t rv_r(uint32_t match, unsigned rd, unsigned rs1, unsigned rs2);

enum {
    RV_EBREAK = 0x00100073,
    RV_NOP = 0x00000013,
    RV_RET = 0x00008067,
    RV_ADDI = 0x13,
    RV_LUI = 0x37,
    RV_AUIPC = 0x17,
    RV_JALR = 0x67,
    RV_ECALLI = 0x2b,
};

/* phi of a RISC-V register. */
unsigned world_phi(unsigned reg);

#endif
