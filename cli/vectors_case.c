/* SPDX-License-Identifier: MIT
 *
 * Reading the cases that run a program.
 */
#include "cli/vectors_case.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

const struct vectors_field_info cli_vectors_field_info[] = {
    [VECTORS_PC] = {"pc", "expected-pc", false, false},
    [VECTORS_GAS] = {"gas", "expected-gas", false, false},
    [VECTORS_CHARGED] = {"charged", NULL, false, true},
    [VECTORS_ICOUNT] = {"icount", NULL, false, false},
    [VECTORS_ID] = {"id", NULL, false, false},
    [VECTORS_ID_64] = {"id-64", NULL, true, false},
    [VECTORS_ADDRESS] = {"address", "expected-page-fault-address", true, false},
    [VECTORS_PAGE_GAS] = {"page-gas", NULL, false, false},
};

static bool read_status(struct cli_vectors *v, struct json_object *object,
                        const char *key, const char **ret_status)
{
    const char *status;
    if (!cli_vectors_text(v, object, key, &status))
        return false;
    for (unsigned exit = PVM_EXIT_HALT; exit <= PVM_EXIT_TRAP; exit++) {
        if (exit != 5 && !strcmp(status, pvm_exit_name((enum pvm_exit)exit))) {
            *ret_status = status;
            return true;
        }
    }
    return cli_vectors_bad(v, "%s \"%.20s\" is not known", key, status);
}

static bool read_fields(struct cli_vectors *v, struct json_object *object,
                        bool is_program, struct vectors_record *record)
{
    for (unsigned i = 0; i < VECTORS_FIELD_COUNT; i++) {
        const char *key = is_program ? cli_vectors_field_info[i].program
                                     : cli_vectors_field_info[i].edge;
        record->has[i] = key && cli_vectors_has(object, key);
        if (!record->has[i])
            continue;
        bool flag = false;
        if (cli_vectors_field_info[i].is_bool
                ? !cli_vectors_bool(v, object, key, &flag)
                : !cli_vectors_u64(v, object, key, UINT64_MAX, &record->value[i]))
            return false;
        if (cli_vectors_field_info[i].is_bool)
            record->value[i] = flag;
    }
    return true;
}

static bool read_written(struct cli_vectors *v, struct json_object *object,
                         struct vectors_record *record)
{
    struct json_object *list;
    size_t count;
    if (!cli_vectors_list(v, object, "pages-written", &list, &count))
        return false;
    uint64_t *page = arena_new_array(&v->arena, uint64_t, count ? count : 1);
    if (!page)
        return cli_vectors_bad(v, "%s", err_text(ERR_nomem));
    for (size_t i = 0; i < count; i++)
        if (!cli_vectors_u64(v, json_object_array_get_idx(list, i), NULL, UINT32_MAX,
                             &page[i]))
            return false;
    record->written = page;
    record->written_count = count;
    return true;
}

static bool read_record(struct cli_vectors *v, struct json_object *object,
                        bool is_program, struct vectors_record *record)
{
    const char *status = is_program ? "expected-status" : "status";
    const char *regs = is_program ? "expected-regs" : "regs";
    const char *memory = is_program ? "expected-memory" : "memory";
    record->has_regs = cli_vectors_has(object, regs);
    record->has_memory = cli_vectors_has(object, memory);
    record->has_written = !is_program && cli_vectors_has(object, "pages-written");
    if ((cli_vectors_has(object, status) &&
         !read_status(v, object, status, &record->status)) ||
        !read_fields(v, object, is_program, record) ||
        (record->has_regs && !cli_vectors_regs(v, object, regs, record->reg)) ||
        (record->has_memory &&
         !cli_vectors_contents(v, object, memory, &record->memory)) ||
        (record->has_written && !read_written(v, object, record)))
        return false;
    bool any = record->status || record->has_regs || record->has_memory;
    for (unsigned i = 0; i < VECTORS_FIELD_COUNT; i++)
        any = any || record->has[i];
    return any || cli_vectors_bad(v, "nothing is expected");
}

static bool read_resume(struct cli_vectors *v, struct json_object *object,
                        struct vectors_resume *resume)
{
    return (!cli_vectors_has(object, "map") ||
            cli_vectors_page_map(v, object, "map", &resume->map, &resume->map_count)) &&
           (!cli_vectors_has(object, "add-gas") ||
            cli_vectors_u64(v, object, "add-gas", UINT64_MAX, &resume->add_gas)) &&
           (!cli_vectors_has(object, "set-regs") ||
            cli_vectors_list(v, object, "set-regs", &resume->set_regs,
                             &resume->set_count));
}

static bool read_resumes(struct cli_vectors *v, struct json_object *object,
                         struct vectors_case *c)
{
    struct json_object *list;
    if (!cli_vectors_has(object, "resume"))
        return true;
    if (!cli_vectors_list(v, object, "resume", &list, &c->resume_count))
        return false;
    c->resume = arena_new_array(&v->arena, struct vectors_resume, c->resume_count + 1);
    if (!c->resume)
        return cli_vectors_bad(v, "%s", err_text(ERR_nomem));
    for (size_t i = 0; i < c->resume_count; i++)
        if (!read_resume(v, json_object_array_get_idx(list, i), &c->resume[i]))
            return false;
    return true;
}

static bool read_start(struct cli_vectors *v, struct json_object *object,
                       struct vectors_case *c)
{
    struct bytes blob;
    uint64_t pc;
    if (!cli_vectors_bytes(v, object, "program", &blob) ||
        !cli_vectors_regs(v, object, "initial-regs", c->reg) ||
        !cli_vectors_u64(v, object, "initial-pc", UINT32_MAX, &pc) ||
        !cli_vectors_u64(v, object, "initial-gas", UINT64_MAX, &c->gas) ||
        !cli_vectors_page_map(v, object, "initial-page-map", &c->map, &c->map_count) ||
        !cli_vectors_contents(v, object, "initial-memory", &c->memory))
        return false;
    c->pc = (uint32_t)pc;
    enum err err = pvm_code_parse(blob, &c->code);
    if (err)
        return cli_vectors_bad(v, "program: %s", err_text(err));
    return cli_vectors_compare_code(v, object, &c->code, blob);
}

bool cli_vectors_read_program(struct cli_vectors *v, struct json_object *object,
                              struct vectors_case *ret_case)
{
    *ret_case = (struct vectors_case){.is_program = true, .record_count = 1};
    ret_case->config = pvm_config_default(PVM_PROFILE_VECTORS);
    ret_case->record = arena_new(&v->arena, struct vectors_record);
    if (!ret_case->record)
        return cli_vectors_bad(v, "%s", err_text(ERR_nomem));
    return read_start(v, object, ret_case) &&
           read_record(v, object, true, ret_case->record);
}

bool cli_vectors_read_edge(struct cli_vectors *v, struct json_object *object,
                           struct vectors_case *ret_case)
{
    *ret_case = (struct vectors_case){0};
    return read_start(v, object, ret_case) && read_resumes(v, object, ret_case);
}

static bool read_config(struct cli_vectors *v, struct json_object *object,
                        enum pvm_profile profile, struct pvm_config *ret_config)
{
    uint64_t mem_cycles, page_gas;
    if (!cli_vectors_u64(v, object, "mem-cycles", UINT32_MAX, &mem_cycles) ||
        !cli_vectors_u64(v, object, "page-gas-model", 255, &page_gas))
        return false;
    *ret_config = pvm_config_default(profile);
    if (profile == PVM_PROFILE_JAVM)
        ret_config->mem_cycles = (uint32_t)mem_cycles;
    ret_config->model += 256 * (uint32_t)page_gas;
    return true;
}

static bool read_records(struct cli_vectors *v, struct json_object *expect,
                         const char *profile, struct vectors_case *c)
{
    struct json_object *list;
    if (!cli_vectors_list(v, expect, profile, &list, &c->record_count))
        return false;
    if (!c->record_count || c->record_count > c->resume_count + 1)
        return cli_vectors_bad(v, "expect has %zu records", c->record_count);
    c->record = arena_new_array(&v->arena, struct vectors_record, c->record_count);
    if (!c->record)
        return cli_vectors_bad(v, "%s", err_text(ERR_nomem));
    for (size_t i = 0; i < c->record_count; i++)
        if (!read_record(v, json_object_array_get_idx(list, i), false, &c->record[i]))
            return false;
    return true;
}

bool cli_vectors_read_profile(struct cli_vectors *v, struct json_object *object,
                              enum pvm_profile profile, struct vectors_case *ret_case,
                              bool *ret_any)
{
    const char *name = pvm_profile_name(profile);
    struct json_object *expect, *valid;
    if (!json_object_object_get_ex(object, "expect", &expect))
        return cli_vectors_bad(v, "expect is missing");
    *ret_any = cli_vectors_has(expect, name);
    if (!*ret_any)
        return true;
    ret_case->has_valid = json_object_object_get_ex(object, "valid", &valid) &&
                          cli_vectors_has(valid, name);
    return read_config(v, object, profile, &ret_case->config) &&
           read_records(v, expect, name, ret_case) &&
           (!ret_case->has_valid || cli_vectors_bool(v, valid, name, &ret_case->valid));
}
