/* SPDX-License-Identifier: MIT
 *
 * Gas block files: starts, costs and stores of the blocks, costs of odd entries.
 */
#include "cli/vectors.h"

#include <json-c/json.h>
#include <stdio.h>

/* A list of `size` numbers. */
static bool read_row(struct cli_vectors *v, struct json_object *row, size_t size,
                     uint64_t *ret_number)
{
    struct json_object *list;
    size_t count;
    if (!cli_vectors_list(v, row, NULL, &list, &count))
        return false;
    if (count != size)
        return cli_vectors_bad(v, "a row has %zu numbers", count);
    for (size_t i = 0; i < size; i++)
        if (!cli_vectors_u64(v, json_object_array_get_idx(list, i), NULL, UINT64_MAX,
                             &ret_number[i]))
            return false;
    return true;
}

static uint32_t next_start(const struct pvm_program *program, uint32_t pc, size_t size)
{
    while (pc < size && !pvm_program_block_start(program, pc))
        pc++;
    return pc;
}

static bool compare_blocks(struct cli_vectors *v, struct json_object *object,
                           const struct pvm_program *program)
{
    const struct pvm_code *code = pvm_program_code(program);
    const struct pvm_config *config = pvm_program_config(program);
    struct json_object *list;
    size_t count;
    uint64_t row[3];
    if (!cli_vectors_list(v, object, "blocks", &list, &count))
        return false;
    uint32_t pc = 0;
    for (size_t i = 0; i < count; i++, pc++) {
        if (!read_row(v, json_object_array_get_idx(list, i), 3, row))
            return false;
        pc = next_start(program, pc, code->code.size);
        cli_vectors_compare(v, "block start", row[0], pc, false);
        if (row[0] != pc)
            return true;
        char field[48];
        struct pvm_walk walk = pvm_code_walk(code, config, pc);
        (void)snprintf(field, sizeof field, "cost of block %u", pc);
        cli_vectors_compare(v, field, row[1], walk.need, false);
        (void)snprintf(field, sizeof field, "stores of block %u", pc);
        cli_vectors_compare(v, field, row[2], walk.store_count, false);
    }
    pc = next_start(program, pc, code->code.size);
    cli_vectors_compare(v, "end of the last block", code->code.size, pc, false);
    return true;
}

static bool compare_entries(struct cli_vectors *v, struct json_object *object,
                            const struct pvm_program *program)
{
    struct json_object *list;
    size_t count;
    uint64_t row[3];
    if (!cli_vectors_has(object, "entries"))
        return true;
    if (!cli_vectors_list(v, object, "entries", &list, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!read_row(v, json_object_array_get_idx(list, i), 3, row))
            return false;
        if (row[0] > UINT32_MAX)
            return cli_vectors_bad(v, "an entry is out of range");
        char field[48];
        uint32_t start = pvm_program_block_of(program, (uint32_t)row[0]);
        struct pvm_walk walk = pvm_code_walk(pvm_program_code(program),
                                             pvm_program_config(program), start);
        (void)snprintf(field, sizeof field, "block of %u", (uint32_t)row[0]);
        cli_vectors_compare(v, field, row[1], start, false);
        (void)snprintf(field, sizeof field, "cost at entry %u", (uint32_t)row[0]);
        cli_vectors_compare(v, field, row[2], walk.need, false);
    }
    return true;
}

bool cli_vectors_run_gas(struct cli_vectors *v, struct json_object *object)
{
    struct bytes code_bytes, bitmask;
    uint64_t mem_cycles;
    if (!cli_vectors_bytes(v, object, "code", &code_bytes) ||
        !cli_vectors_bytes(v, object, "bitmask", &bitmask) ||
        !cli_vectors_u64(v, object, "mem-cycles", UINT32_MAX, &mem_cycles))
        return false;
    if (code_bytes.size > PVM_CODE_SIZE_MAX ||
        bitmask.size != (code_bytes.size + 7) / 8)
        return cli_vectors_bad(v, "%s", err_text(ERR_pvm_bitmask_size));
    if (code_bytes.size % 8 && bitmask.data[bitmask.size - 1] >> (code_bytes.size % 8))
        return cli_vectors_bad(v, "%s", err_text(ERR_pvm_bitmask_pad));
    struct pvm_code code = {.code = code_bytes, .bitmask = bitmask.data};
    struct pvm_config config = pvm_config_default(PVM_PROFILE_JAVM);
    config.mem_cycles = (uint32_t)mem_cycles;
    struct pvm_program *program;
    enum err err =
        pvm_program_create(&v->arena, &code, &config, PVM_GAS_LOG_NONE, &program);
    if (err)
        return cli_vectors_bad(v, "%s", err_text(err));
    return compare_blocks(v, object, program) && compare_entries(v, object, program);
}
