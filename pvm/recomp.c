/* SPDX-License-Identifier: MIT
 *
 * Recompiled programs: making them, their memory, and questions about them
 * [10.3, 10.5].
 */
#include "base/os_code.h"
#include "pvm/gas.h"
#include "pvm/recomp_cache.h"
#include "pvm/recomp_workspace.h"
#include "pvm/sandbox.h"

bool pvm_recomp_available(void)
{
#ifdef __x86_64__
    return true;
#else
    return false;
#endif
}

/* Compile into memory that was just made; the unit keeps what it needs. */
static enum err compile(struct native_compiler *c,
                        struct pvm_recomp_workspace *workspace)
{
    struct native_unit *unit = c->unit;
    size_t tables_size = pvm_native_tables(c, NULL);
    TRY(pvm_native_memory_take(unit, workspace, tables_size, pvm_native_code_size(c)));
    (void)pvm_native_tables(c, unit->tables);
    unit->code = unit->memory->data;
    c->limit = unit->code + unit->memory->size;
    if (!pvm_native_compile(c))
        return ERR_nomem;
    TRY(pvm_native_memory_seal(unit));
    unit->id = pvm_sandbox_new_id();
    return ERR_ok;
}

enum err pvm_recomp_take_faults(const struct pvm_recomp_options *options)
{
    return options->explicit_checks || options->sandbox ? ERR_ok
                                                        : pvm_native_take_faults();
}

static void choose_emitters(struct native_compiler *c)
{
    const uint64_t *off = c->unit->options.interp_only;
    pvm_native_emitters(c->features, c->emitter);
    for (unsigned op = 0; op < 256; op++) {
        if (off[op / 64] >> op % 64 & 1)
            c->emitter[op] = pvm_native_ask;
    }
}

/* What options, configuration and gas log ask of the code. */
static void choose_code(struct native_unit *unit, const struct recomp_key *key)
{
    unit->options = *key->options;
    unit->options.sandbox = NULL;
    unit->options.cache = NULL;
    unit->options.workspace = NULL;
    unit->sandboxed = key->options->sandbox != NULL;
    unit->keeps_path = key->log == PVM_GAS_LOG_LEDGER;
    unit->keeps_hash = key->log == PVM_GAS_LOG_SUMMARY;
    unit->pages_cost = gas_charges_pages(key->config);
    unit->plain_meter =
        !unit->keeps_path && !unit->keeps_hash && key->config->model == 0;
    unit->pairs = !unit->keeps_path && !unit->options.explicit_checks;
    unit->based = unit->options.unmetered && !unit->options.explicit_checks;
}

enum err pvm_recomp_make(struct arena *arena, const struct recomp_key *key,
                         struct pvm_program **ret_program)
{
    struct pvm_program *program = NULL;
    TRY(pvm_program_begin(arena, key->code, key->config, key->log, &program));
    struct native_unit *unit = arena_new(arena, struct native_unit);
    struct os_code *memory = arena_new(arena, struct os_code);
    if (!unit || !memory)
        return ERR_nomem;
    unit->memory = memory;
    choose_code(unit, key);
    program->unit = unit;
    program->sandbox = key->options->sandbox;
    struct native_compiler c = {
        .program = program, .unit = unit, .features = os_cpu_features()};
    choose_emitters(&c);
    enum err err = compile(&c, key->options->workspace);
    if (!err)
        err = pvm_recomp_take_faults(key->options);
    if (err) {
        pvm_native_memory_give(unit);
        return err;
    }
    *ret_program = program;
    return ERR_ok;
}

enum err pvm_program_recompile(struct arena *arena, const struct pvm_code *code,
                               const struct pvm_config *config, enum pvm_gas_log log,
                               const struct pvm_recomp_options *options,
                               struct pvm_program **ret_program)
{
    static const struct pvm_recomp_options usual;
    const struct recomp_key key = {code, config, log, options ? options : &usual};
    if (!pvm_recomp_available())
        return ERR_unsupported;
    if (key.options->unmetered &&
        (gas_charges_pages(config) || log != PVM_GAS_LOG_NONE))
        return ERR_usage;
    return key.options->cache ? pvm_recomp_cache_take(arena, &key, ret_program)
                              : pvm_recomp_make(arena, &key, ret_program);
}

void pvm_program_close(struct pvm_program *program)
{
    if (program && program->shared)
        pvm_recomp_cache_give(program->shared);
    else if (program && program->unit)
        pvm_native_memory_give(program->unit);
}

bool pvm_program_native_range(const struct pvm_program *program, uint32_t pc,
                              uint32_t *ret_offset, uint32_t *ret_size)
{
    const struct native_unit *unit = program->unit;
    uint32_t low = 0, high = unit ? unit->place_count : 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (unit->place[middle].pc < pc)
            low = middle + 1;
        else
            high = middle;
    }
    if (!unit || low == unit->place_count || unit->place[low].pc != pc)
        return false;
    *ret_offset = unit->place[low].at;
    *ret_size = unit->place[low].end - unit->place[low].at;
    return true;
}

bool pvm_program_native(const struct pvm_program *program)
{
    return program->unit != NULL;
}

struct bytes pvm_program_native_code(const struct pvm_program *program,
                                     const void **ret_address)
{
    const struct native_unit *unit = program->unit;
    if (!unit)
        return (struct bytes){0};
    *ret_address = unit->code;
    return bytes_of(unit->code, unit->code_size);
}
