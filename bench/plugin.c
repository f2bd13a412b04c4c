/* SPDX-License-Identifier: MIT */
#include "bench/plugin.h"

#include "base/os.h"
#include "base/os_plugin.h"

#include <string.h>

enum { A0 = 7 };
#define GAS ((uint64_t)1 << 60)

enum err bench_plugin_open(const char *path, const struct bench_engine **ret_engine,
                           const char **ret_text)
{
    void (*function)(void);
    TRY(os_plugin_open(path, "bench_engine", &function, ret_text));
    const struct bench_engine *engine =
        ((const struct bench_engine *(*)(void))function)();
    *ret_text = "it has another version of bench/engine.h";
    if (!engine || engine->version != BENCH_ENGINE_VERSION)
        return ERR_unsupported;
    *ret_engine = engine;
    return ERR_ok;
}

enum err bench_plugin_load(const struct bench_engine *engine,
                           const struct pvm_container *container,
                           struct bench_plugin_machine *ret_machine)
{
    struct bench_engine_region region[PVM_REGION_COUNT_MAX];
    const struct pvm_code *code = &container->code;
    for (uint32_t i = 0; i < container->region_count; i++) {
        const struct pvm_region *r = &container->region[i];
        region[i] = (struct bench_engine_region){
            .start = r->start,
            .size = r->size,
            .writable = r->access == PVM_ACCESS_RW,
            .data = r->data.data,
            .data_size = r->data.size,
        };
    }
    const struct bench_engine_program program = {
        .code = code->code.data,
        .code_size = code->code.size,
        .bitmask = code->bitmask,
        .jump = code->jump,
        .jump_count = code->jump_count,
        .jump_width = code->jump_width,
        .region = region,
        .region_count = container->region_count,
    };
    void *loaded = engine->load(&program);
    if (!loaded)
        return ERR_unsupported;
    *ret_machine = (struct bench_plugin_machine){engine, container, loaded};
    return ERR_ok;
}

void bench_plugin_unload(struct bench_plugin_machine *machine)
{
    if (machine->loaded)
        machine->engine->unload(machine->loaded);
    machine->loaded = NULL;
}

static int on_call(void *self, uint64_t number, struct bench_engine_run *run)
{
    (void)self;
    run->reg[A0] += number == BENCH_CALL_ADD_ONE;
    return number == BENCH_CALL_ADD_ONE;
}

static int run_once(const struct bench_plugin_machine *machine, uint64_t n,
                    uint64_t *ret_result, uint64_t *ret_ns)
{
    struct bench_engine_run run = {.gas = GAS, .call = on_call};
    memcpy(run.reg, machine->container->reg, sizeof run.reg);
    run.reg[A0] = n;
    uint64_t start = os_clock_cpu_ns();
    int exit = machine->engine->run(machine->loaded, &run);
    *ret_ns = os_clock_cpu_ns() - start;
    *ret_result = run.reg[A0];
    return exit;
}

int bench_plugin_run(const struct bench_plugin_machine *machine, uint64_t n,
                     uint64_t *ret_result, uint64_t *ret_ns)
{
    if (!machine->engine->prepare(machine->loaded))
        return BENCH_ENGINE_FAILED;
    int exit = run_once(machine, n, ret_result, ret_ns);
    return exit == BENCH_ENGINE_HALT ? run_once(machine, n, ret_result, ret_ns) : exit;
}
