/* SPDX-License-Identifier: MIT
 *
 * Cases that run a program: run one in every mode, compare all that the file expects
 * and all that the gas logs say.
 */
#include "cli/vectors_case.h"

#include "base/os.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

/* ---- a run -------------------------------------------------------------------------
 */

struct mode {
    enum pvm_gas_log log;
    enum pvm_dispatch dispatch;
    bool step;
    bool listen; /* with observer functions, whose sums are compared too */
    const char *name;
    bool native; /* the recompiler */
};

/* Steps first: only they can be counted, and the other modes do as many.  In order of
 * engine and `log`: each form of a program is made once. */
static const struct mode mode_list[] = {
    {PVM_GAS_LOG_NONE, PVM_DISPATCH_LOOP, true, false, "step", false},
    {PVM_GAS_LOG_NONE, PVM_DISPATCH_LOOP, false, false, "loop", false},
    {PVM_GAS_LOG_NONE, PVM_DISPATCH_THREADED, false, false, "threaded", false},
    {PVM_GAS_LOG_LEDGER, PVM_DISPATCH_LOOP, false, false, "loop ledger unheard", false},
    {PVM_GAS_LOG_LEDGER, PVM_DISPATCH_LOOP, false, true, "loop ledger", false},
    {PVM_GAS_LOG_LEDGER, PVM_DISPATCH_THREADED, false, true, "threaded ledger", false},
    {PVM_GAS_LOG_EACH, PVM_DISPATCH_LOOP, false, false, "loop each unheard", false},
    {PVM_GAS_LOG_EACH, PVM_DISPATCH_LOOP, false, true, "loop each", false},
    {PVM_GAS_LOG_EACH, PVM_DISPATCH_THREADED, false, true, "threaded each", false},
    {PVM_GAS_LOG_SUMMARY, PVM_DISPATCH_LOOP, false, false, "loop summary unheard",
     false},
    {PVM_GAS_LOG_SUMMARY, PVM_DISPATCH_LOOP, false, true, "loop summary", false},
    {PVM_GAS_LOG_SUMMARY, PVM_DISPATCH_THREADED, false, true, "threaded summary",
     false},
    {PVM_GAS_LOG_NONE, PVM_DISPATCH_AUTO, true, false, "recomp step", true},
    {PVM_GAS_LOG_NONE, PVM_DISPATCH_AUTO, false, false, "recomp", true},
    {PVM_GAS_LOG_LEDGER, PVM_DISPATCH_AUTO, false, true, "recomp ledger", true},
    {PVM_GAS_LOG_EACH, PVM_DISPATCH_AUTO, false, true, "recomp each", true},
    {PVM_GAS_LOG_SUMMARY, PVM_DISPATCH_AUTO, false, true, "recomp summary", true},
};

/* What the observer heard. */
struct heard {
    uint64_t gas;
    uint64_t page_gas;
};

static void hear_segment(void *self, const struct pvm_state *state,
                         const struct pvm_segment *segment)
{
    (void)state;
    struct heard *heard = self;
    heard->gas += segment->gas;
    for (uint32_t i = 0; i < segment->extra_count; i++)
        heard->page_gas += segment->extra[i].cost;
}

static void hear_charge(void *self, const struct pvm_state *state,
                        enum pvm_charge_kind kind, uint32_t where, uint64_t cost)
{
    (void)state;
    (void)where;
    struct heard *heard = self;
    heard->gas += cost;
    heard->page_gas += kind == PVM_CHARGE_COW ? cost : 0;
}

static enum err map_piece(struct pvm_mem *mem, uint64_t from, uint64_t to,
                          enum pvm_access access, struct bytes initial)
{
    return from < to ? pvm_mem_map(mem, (uint32_t)from, to - from, access, initial)
                     : ERR_ok;
}

/* Pages with contents are mapped one by one, what is between them at once. */
static enum err map_initial(const struct vectors_case *c, struct pvm_mem *mem)
{
    for (size_t i = 0; i < c->map_count; i++) {
        const struct vectors_map *map = &c->map[i];
        uint64_t at = map->address, end = at + map->size;
        if (at % PVM_PAGE_SIZE || map->size % PVM_PAGE_SIZE || !map->size)
            return ERR_pvm_align;
        if (end > (uint64_t)1 << 32)
            return ERR_pvm_limit;
        for (size_t j = 0; j < c->memory.count; j++) {
            uint64_t page = (uint64_t)c->memory.item[j].page << 12;
            if (page < at || page >= end)
                continue;
            TRY(map_piece(mem, at, page, map->access, (struct bytes){0}));
            TRY(map_piece(mem, page, page + PVM_PAGE_SIZE, map->access,
                          bytes_of(c->memory.item[j].bytes, PVM_PAGE_SIZE)));
            at = page + PVM_PAGE_SIZE;
        }
        TRY(map_piece(mem, at, end, map->access, (struct bytes){0}));
    }
    for (size_t j = 0; j < c->memory.count; j++)
        if (pvm_mem_access(mem, c->memory.item[j].page) == PVM_ACCESS_NONE)
            return ERR_pvm_access;
    return ERR_ok;
}

/* A resume's page map: what is mapped changes its mode, the rest becomes zero pages. */
static enum err map_further(const struct vectors_map *map, struct pvm_mem *mem)
{
    uint64_t end = map->address + map->size;
    if (map->address % PVM_PAGE_SIZE || map->size % PVM_PAGE_SIZE)
        return ERR_pvm_align;
    if (end > (uint64_t)1 << 32)
        return ERR_pvm_limit;
    for (uint64_t at = map->address; at < end; at += PVM_PAGE_SIZE) {
        uint32_t page = (uint32_t)(at >> 12);
        if (pvm_mem_access(mem, page) == PVM_ACCESS_NONE)
            TRY(pvm_mem_map(mem, (uint32_t)at, PVM_PAGE_SIZE, map->access,
                            (struct bytes){0}));
        else
            TRY(pvm_mem_protect(mem, (uint32_t)at, PVM_PAGE_SIZE, map->access));
    }
    return ERR_ok;
}

static bool apply_resume(struct cli_vectors *v, const struct vectors_resume *resume,
                         struct pvm_state *state)
{
    for (size_t i = 0; i < resume->map_count; i++) {
        enum err err = map_further(&resume->map[i], state->mem);
        if (err)
            return cli_vectors_bad(v, "resume: %s", err_text(err));
    }
    for (size_t i = 0; i < resume->set_count; i++) {
        struct json_object *pair;
        size_t count;
        uint64_t index, value;
        if (!cli_vectors_list(v, json_object_array_get_idx(resume->set_regs, i), NULL,
                              &pair, &count))
            return false;
        if (!cli_vectors_u64(v, json_object_array_get_idx(pair, 0), NULL,
                             PVM_REG_COUNT - 1, &index) ||
            !cli_vectors_u64(v, json_object_array_get_idx(pair, 1), NULL, UINT64_MAX,
                             &value))
            return false;
        state->reg[index] = value;
    }
    state->gas += resume->add_gas;
    return true;
}

/* ---- comparing ---------------------------------------------------------------------
 */

static void compare_memory(struct cli_vectors *v, const struct vectors_pages *expected,
                           const struct pvm_mem *mem)
{
    static const uint8_t zero[PVM_PAGE_SIZE];
    size_t i = 0;
    for (uint32_t page = pvm_mem_next_page(mem, 0); page < PVM_PAGE_COUNT;
         page = pvm_mem_next_page(mem, page + 1)) {
        for (; i < expected->count && expected->item[i].page < page; i++)
            cli_vectors_compare_page(v, expected->item[i].page, expected->item[i].bytes,
                                     NULL);
        bool here = i < expected->count && expected->item[i].page == page;
        cli_vectors_compare_page(v, page, here ? expected->item[i++].bytes : zero,
                                 pvm_mem_page(mem, page));
    }
    for (; i < expected->count; i++)
        cli_vectors_compare_page(v, expected->item[i].page, expected->item[i].bytes,
                                 NULL);
}

static void compare_written(struct cli_vectors *v, const struct vectors_record *record,
                            const struct pvm_mem *mem, uint64_t *ret_count)
{
    uint64_t count = 0;
    for (uint32_t page = pvm_mem_next_page(mem, 0); page < PVM_PAGE_COUNT;
         page = pvm_mem_next_page(mem, page + 1)) {
        if (!pvm_mem_written(mem, page))
            continue;
        if (record->has_written && count < record->written_count)
            cli_vectors_compare(v, "pages-written", record->written[count],
                                (uint64_t)page << 12, true);
        count++;
    }
    if (record->has_written)
        cli_vectors_compare(v, "number of pages-written", record->written_count, count,
                            false);
    *ret_count = count;
}

static void compare_record(struct cli_vectors *v, const struct vectors_case *c,
                           const struct vectors_record *record,
                           const struct pvm_state *state, struct pvm_outcome outcome)
{
    bool trap = outcome.exit == PVM_EXIT_TRAP && c->is_program;
    const char *status = pvm_exit_name(trap ? PVM_EXIT_PANIC : outcome.exit);
    uint64_t written;
    compare_written(v, record, state->mem, &written);
    uint64_t actual[VECTORS_FIELD_COUNT] = {
        [VECTORS_PC] = state->pc,
        [VECTORS_GAS] = state->gas,
        [VECTORS_CHARGED] = state->charged,
        [VECTORS_ICOUNT] = state->icount,
        [VECTORS_ID] = (uint32_t)outcome.arg,
        [VECTORS_ID_64] = outcome.arg,
        [VECTORS_ADDRESS] = outcome.arg,
        [VECTORS_PAGE_GAS] = written * PVM_GAS_COW,
    };
    if (record->status && strcmp(record->status, status) != 0)
        cli_vectors_differ(v, "status", record->status, status);
    for (unsigned i = 0; i < VECTORS_FIELD_COUNT; i++)
        if (record->has[i])
            cli_vectors_compare(v, cli_vectors_field_info[i].edge, record->value[i],
                                actual[i], cli_vectors_field_info[i].hex);
    for (unsigned i = 0; record->has_regs && i < PVM_REG_COUNT; i++) {
        char field[16];
        (void)snprintf(field, sizeof field, "regs[%u]", i);
        cli_vectors_compare(v, field, record->reg[i], state->reg[i], true);
    }
    if (record->has_memory)
        compare_memory(v, &record->memory, state->mem);
}

/* ---- all modes ---------------------------------------------------------------------
 */

static bool run_steps(struct cli_vectors *v, const struct pvm_program *program,
                      struct pvm_state *state, uint64_t *left,
                      struct pvm_outcome *ret_outcome)
{
    while (pvm_step(v->engine, program, state, ret_outcome))
        if (!(*left)--)
            return cli_vectors_bad(v, "more than %" PRIu64 " instructions",
                                   v->step_max);
    return true;
}

static struct pvm_outcome run_once(struct cli_vectors *v, const struct mode *mode,
                                   const struct pvm_program *program,
                                   struct pvm_state *state, struct heard *heard)
{
    struct pvm_observer observer = {.self = heard, .gas_stop = PVM_GAS_STOP_NEVER};
    if (mode->listen) {
        observer.segment = hear_segment;
        observer.charge = hear_charge;
    }
    pvm_engine_set_dispatch(v->engine, mode->dispatch);
    return pvm_run(v->engine, program, state, NULL,
                   mode->log == PVM_GAS_LOG_NONE ? NULL : &observer);
}

static void set_mode(struct cli_vectors *v, const struct vectors_case *c,
                     const struct mode *mode, size_t run)
{
    const char *profile = c->is_program ? "" : pvm_profile_name(c->config.profile);
    int at = snprintf(v->mode, sizeof v->mode, "%s%s%s", profile,
                      c->is_program ? "" : " ", mode->name);
    if (c->record_count > 1)
        (void)snprintf(v->mode + at, sizeof v->mode - (size_t)at, " run %zu", run + 1);
}

static bool run_mode(struct cli_vectors *v, const struct vectors_case *c,
                     const struct mode *mode, const struct pvm_program *program)
{
    os_discard(v->reservation, PVM_MEM_RESERVE_SIZE);
    struct pvm_state state = {.gas = c->gas, .pc = c->pc};
    state.mem = pvm_mem_init(v->reservation);
    memcpy(state.reg, c->reg, sizeof state.reg);
    enum err err = map_initial(c, state.mem);
    if (err)
        return cli_vectors_bad(v, "page map: %s", err_text(err));
    uint64_t given = c->gas;
    struct heard heard = {0};
    uint64_t steps_left = v->step_max;
    for (size_t i = 0; i < c->record_count && !v->differing; i++) {
        if (i) {
            if (!apply_resume(v, &c->resume[i - 1], &state))
                return false;
            given += c->resume[i - 1].add_gas;
        }
        set_mode(v, c, mode, i);
        struct pvm_outcome outcome;
        if (!mode->step)
            outcome = run_once(v, mode, program, &state, &heard);
        else if (!run_steps(v, program, &state, &steps_left, &outcome))
            return false;
        compare_record(v, c, &c->record[i], &state, outcome);
        if (!mode->listen)
            continue;
        cli_vectors_compare(v, "gas in the log", given - state.gas, heard.gas, false);
        /* A summary has page charges in its sum and hash only. */
        if (c->record[i].has[VECTORS_PAGE_GAS] && mode->log != PVM_GAS_LOG_SUMMARY)
            cli_vectors_compare(v, "page gas in the log",
                                c->record[i].value[VECTORS_PAGE_GAS], heard.page_gas,
                                false);
    }
    return true;
}

static bool count_pages(struct cli_vectors *v, const struct vectors_map *map,
                        size_t count, uint64_t *left)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t pages = map[i].size / PVM_PAGE_SIZE;
        if (pages > *left)
            return cli_vectors_bad(v, "more than %" PRIu64 " pages", v->page_max);
        *left -= pages;
    }
    return true;
}

static bool check_pages(struct cli_vectors *v, const struct vectors_case *c)
{
    uint64_t left = v->page_max;
    if (!count_pages(v, c->map, c->map_count, &left))
        return false;
    for (size_t i = 0; i < c->resume_count; i++)
        if (!count_pages(v, c->resume[i].map, c->resume[i].map_count, &left))
            return false;
    return true;
}

/* Is this mode one of the engines asked for? */
static bool is_wanted(const struct cli_vectors *v, const struct mode *mode)
{
    if (mode->native)
        return v->tested.kind != REPLAY_ENGINE_INTERP && pvm_recomp_available();
    /* The counted steps bound what the other modes can take. */
    return v->tested.kind != REPLAY_ENGINE_RECOMP || mode == &mode_list[0];
}

/* The program for a mode, instead of the one for the mode before. */
static bool make_program(struct cli_vectors *v, const struct vectors_case *c,
                         const struct mode *mode, struct pvm_program **program)
{
    struct replay_engine engine = v->tested;
    engine.kind = mode->native ? REPLAY_ENGINE_RECOMP : REPLAY_ENGINE_INTERP;
    engine.recomp.cache = v->cache;
    if (*program && pvm_program_native(*program) == mode->native &&
        pvm_program_gas_log(*program) == mode->log)
        return true;
    pvm_program_close(*program);
    *program = NULL;
    enum err err = replay_program_create(&v->arena, &engine, &c->code, &c->config,
                                         mode->log, program);
    return !err || cli_vectors_bad(v, "%s", err_text(err));
}

/* Stops at the first mode that differs: the rest would say the same again. */
static bool run_modes(struct cli_vectors *v, const struct vectors_case *c)
{
    struct pvm_program *program = NULL;
    bool good = check_pages(v, c);
    for (size_t i = 0; i < countof(mode_list) && good && !v->differing; i++) {
        const struct mode *mode = &mode_list[i];
        good = !is_wanted(v, mode) ||
               (make_program(v, c, mode, &program) && run_mode(v, c, mode, program));
    }
    pvm_program_close(program);
    return good;
}

bool cli_vectors_run_program(struct cli_vectors *v, struct json_object *object)
{
    struct vectors_case c;
    return cli_vectors_read_program(v, object, &c) && run_modes(v, &c);
}

bool cli_vectors_run_edge(struct cli_vectors *v, struct json_object *object)
{
    struct vectors_case c;
    bool any = false;
    if (!cli_vectors_read_edge(v, object, &c))
        return false;
    for (unsigned i = 0; i <= PVM_PROFILE_JAVM; i++) {
        bool here;
        if (!cli_vectors_read_profile(v, object, (enum pvm_profile)i, &c, &here))
            return false;
        if (!here)
            continue;
        any = true;
        (void)snprintf(v->mode, sizeof v->mode, "%s",
                       pvm_profile_name(c.config.profile));
        if (c.has_valid)
            cli_vectors_compare(v, "valid", c.valid,
                                pvm_code_valid(&c.code, c.config.profile), false);
        if (!run_modes(v, &c))
            return false;
    }
    return any || cli_vectors_bad(v, "expect names no profile");
}
