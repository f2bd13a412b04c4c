/* SPDX-License-Identifier: MIT
 *
 * An example of bench/engine.h: our own interpreter as a plug-in.  Its figure beside
 * that of the interpreter that is linked in tells what the plug-in costs.
 */
#include "bench/engine.h"

#include "base/os.h"
#include "pvm/pvm.h"

#include <stdlib.h>
#include <string.h>

enum { REGION_MAX = 16 };
#define ARENA_MAX ((size_t)1 << 30)

struct loaded {
    struct arena arena;
    struct pvm_code code;
    struct pvm_region region[REGION_MAX];
    uint32_t region_count;
    struct pvm_engine *engine;
    struct pvm_program *program;
    void *reservation;
    struct pvm_mem *mem;
};

static void unload(void *self)
{
    struct loaded *l = self;
    if (!l)
        return;
    pvm_program_close(l->program);
    os_release(l->reservation, PVM_MEM_RESERVE_SIZE);
    arena_fini(&l->arena);
    free(l);
}

static enum err open_program(struct loaded *l)
{
    const struct pvm_config config = pvm_config_default(PVM_PROFILE_VECTORS);
    TRY(pvm_program_create(&l->arena, &l->code, &config, PVM_GAS_LOG_NONE,
                           &l->program));
    TRY(pvm_engine_create(&l->arena, &l->engine));
    return os_reserve(PVM_MEM_RESERVE_SIZE, &l->reservation);
}

static void *load(const struct bench_engine_program *program)
{
    struct loaded *l = calloc(1, sizeof *l);
    if (!l || program->region_count > REGION_MAX || program->jump_width > 8) {
        free(l);
        return NULL;
    }
    arena_init(&l->arena, ARENA_MAX);
    l->code = (struct pvm_code){
        .code = bytes_of(program->code, program->code_size),
        .bitmask = program->bitmask,
        .jump = program->jump,
        .jump_count = program->jump_count,
        .jump_width = (uint8_t)program->jump_width,
    };
    l->region_count = program->region_count;
    for (uint32_t i = 0; i < program->region_count; i++) {
        const struct bench_engine_region *region = &program->region[i];
        l->region[i] = (struct pvm_region){
            .start = region->start,
            .size = region->size,
            .access = region->writable ? PVM_ACCESS_RW : PVM_ACCESS_R,
            .data = bytes_of(region->data, region->data_size),
        };
    }
    if (open_program(l)) {
        unload(l);
        return NULL;
    }
    return l;
}

static int prepare(void *self)
{
    struct loaded *l = self;
    os_discard(l->reservation, PVM_MEM_RESERVE_SIZE);
    l->mem = pvm_mem_init(l->reservation);
    for (uint32_t i = 0; i < l->region_count; i++) {
        const struct pvm_region *region = &l->region[i];
        if (pvm_mem_map(l->mem, region->start, region->size, region->access,
                        region->data))
            return 0;
    }
    return 1;
}

static enum pvm_answer on_ecall(void *self, struct pvm_state *state, enum pvm_exit kind,
                                uint64_t number, uint32_t pc,
                                struct pvm_outcome *ret_outcome)
{
    struct bench_engine_run *run = self;
    (void)kind;
    (void)pc;
    memcpy(run->reg, state->reg, sizeof run->reg);
    *ret_outcome = (struct pvm_outcome){PVM_EXIT_PANIC, 0};
    if (!run->call(run->self, number, run))
        return PVM_ANSWER_EXIT;
    memcpy(state->reg, run->reg, sizeof state->reg);
    return PVM_ANSWER_CONTINUE;
}

static int run_program(void *self, struct bench_engine_run *run)
{
    struct loaded *l = self;
    const struct pvm_host host = {.ecall = on_ecall, .self = run};
    struct pvm_state state = {.gas = run->gas, .mem = l->mem};
    memcpy(state.reg, run->reg, sizeof state.reg);
    struct pvm_outcome outcome = pvm_run(l->engine, l->program, &state, &host, NULL);
    memcpy(run->reg, state.reg, sizeof run->reg);
    run->gas = state.gas;
    return outcome.exit == PVM_EXIT_HALT         ? BENCH_ENGINE_HALT
           : outcome.exit == PVM_EXIT_OUT_OF_GAS ? BENCH_ENGINE_OUT_OF_GAS
           : outcome.exit == PVM_EXIT_PAGE_FAULT ? BENCH_ENGINE_PAGE_FAULT
                                                 : BENCH_ENGINE_PANIC;
}

__attribute__((visibility("default"))) const struct bench_engine *bench_engine(void)
{
    static const struct bench_engine engine = {
        .version = BENCH_ENGINE_VERSION,
        .name = "interp-plug-in",
        .load = load,
        .prepare = prepare,
        .run = run_program,
        .unload = unload,
    };
    return &engine;
}
