/* SPDX-License-Identifier: MIT
 *
 * tests/unit/pvm/machine.h - a PVM with everything around it, for tests of the engine.
 */
#ifndef TESTS_UNIT_PVM_MACHINE_H
#define TESTS_UNIT_PVM_MACHINE_H

#include "base/os.h"
#include "pvm/pvm.h"
#include "tests/test.h"

#include <string.h>

struct machine {
    struct arena arena;
    void *reservation;
    struct buf blob;
    struct pvm_code code;
    struct pvm_config config;
    struct pvm_program *program;
    struct pvm_engine *engine;
    struct pvm_mem *mem;
    struct pvm_state state;
};

/* Assemble `text`, predecode it for `log`, and give it a million gas. */
static inline void machine_init(struct machine *m, enum pvm_profile profile,
                                uint32_t page_gas, enum pvm_gas_log log,
                                const char *text)
{
    struct pvm_asm_error error = {0};
    memset(m, 0, sizeof *m);
    arena_init(&m->arena, 256 << 20);
    buf_init(&m->blob, 1 << 24);
    if (pvm_asm(bytes_of(text, strlen(text)), &m->blob, &error))
        fail_msg("line %u: %s", error.line, error.message);
    assert_int_equal(pvm_code_parse(buf_bytes(&m->blob), &m->code), ERR_ok);
    m->config = pvm_config_default(profile);
    m->config.model |= page_gas << 8;
    assert_int_equal(
        pvm_program_create(&m->arena, &m->code, &m->config, log, &m->program), ERR_ok);
    assert_int_equal(pvm_engine_create(&m->arena, &m->engine), ERR_ok);
    assert_int_equal(os_reserve(PVM_MEM_RESERVE_SIZE, &m->reservation), ERR_ok);
    m->mem = pvm_mem_init(m->reservation);
    m->state = (struct pvm_state){.gas = 1000000, .mem = m->mem};
}

static inline void machine_fini(struct machine *m)
{
    os_release(m->reservation, PVM_MEM_RESERVE_SIZE);
    buf_fini(&m->blob);
    arena_fini(&m->arena);
}

static inline void machine_map(struct machine *m, uint32_t start, uint32_t page_count,
                               enum pvm_access access)
{
    assert_int_equal(pvm_mem_map(m->mem, start, (uint64_t)page_count * PVM_PAGE_SIZE,
                                 access, (struct bytes){0}),
                     ERR_ok);
}

#endif
