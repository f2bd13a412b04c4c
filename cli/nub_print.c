/* SPDX-License-Identifier: MIT */
#include "cli/nub_print.h"

#include "cli/guest.h"
#include "kernel/cap.h"

#include <inttypes.h>

const char *cli_nub_exit_name(uint32_t exit_reason)
{
    switch (exit_reason) {
    case KERNEL_EXIT_HALT:
        return "halt";
    case KERNEL_EXIT_PANIC:
        return "panic";
    case KERNEL_EXIT_OUT_OF_GAS:
        return "out of gas";
    case KERNEL_EXIT_PAGE_FAULT:
        return "page fault";
    case KERNEL_EXIT_TRAP:
        return "trap";
    case KERNEL_EXIT_PAUSED:
        return "paused";
    case KERNEL_EXIT_DROPPED:
        return "dropped";
    case (uint32_t)KERNEL_EXIT_ERROR:
        return "kernel error";
    default:
        return "?";
    }
}

/* ---- outcomes ---- */

static void out_hash(struct cli *cli, const char *name, bool present,
                     const struct hash256 *hash)
{
    char text[CLI_HASH_TEXT_SIZE];
    if (!present)
        return;
    cli_hash_text(hash, text);
    ui_out(cli, "%-9s %s\n", name, text);
}

static void json_hash(struct cli *cli, const char *name, bool present,
                      const struct hash256 *hash)
{
    if (present)
        ui_json_hex(cli, name, bytes_of(hash->byte, HASH256_SIZE));
    else
        ui_json_null(cli, name);
}

static void json_outcome(struct cli *cli, const struct kernel_result *result,
                         const struct kernel_outcome *o)
{
    ui_json_text(cli, "exit", cli_nub_exit_name(result->exit_reason));
    ui_json_u64(cli, "exit_reason", result->exit_reason);
    ui_json_u64(cli, "exit_arg", result->exit_arg);
    ui_json_u64(cli, "return_value", result->return_value);
    ui_json_u64(cli, "gas_remaining", result->gas_remaining);
    ui_json_u64(cli, "gas_used", o->gas_used);
    ui_json_text(cli, "error", kernel_error_name(o->error));
    ui_json_u64(cli, "stack", o->stack_size);
    ui_json_u64(cli, "pc", o->pc);
    json_hash(cli, "post_instance", o->has_post_instance, &o->post_instance);
    json_hash(cli, "slot0", o->has_slot0, &o->slot0);
    json_hash(cli, "marker", o->has_marker, &o->marker);
    ui_json_hex(cli, "mem_digest", bytes_of(o->mem_digest.byte, HASH256_SIZE));
    ui_json_u64(cli, "trace_count", o->trace_count);
    ui_json_hex(cli, "trace_digest", bytes_of(o->trace_digest.byte, HASH256_SIZE));
}

void cli_nub_print_outcome(struct cli *cli, const struct kernel_result *result,
                           const struct kernel_outcome *o)
{
    if (cli->json) {
        ui_json_begin(cli);
        json_outcome(cli, result, o);
        ui_json_end(cli);
        return;
    }
    ui_out(cli, "exit      %s", cli_nub_exit_name(result->exit_reason));
    if (result->exit_reason == KERNEL_EXIT_HALT)
        ui_out(cli, ", value %" PRIu64, result->return_value);
    else if (result->exit_reason == KERNEL_EXIT_PAGE_FAULT)
        ui_out(cli, " at 0x%" PRIx32, result->exit_arg);
    else if (result->exit_reason == KERNEL_EXIT_PAUSED)
        ui_out(cli, " for the catcher at position %" PRIu32, result->exit_arg);
    if (o->error)
        ui_out(cli, ", %s", kernel_error_name(o->error));
    ui_out(cli, "\ngas       %" PRIu64 " used, %" PRIu64 " left\n", o->gas_used,
           result->gas_remaining);
    out_hash(cli, "instance", o->has_post_instance, &o->post_instance);
    out_hash(cli, "slot 0", o->has_slot0, &o->slot0);
    out_hash(cli, "marker", o->has_marker, &o->marker);
}

/* ---- everything else ---- */

static uint64_t count_of(struct bytes list, size_t size)
{
    return list.size / size;
}

static void out_amounts(struct cli *cli, const char *name, struct bytes list)
{
    for (size_t at = 0; at < list.size; at += NUB_AMOUNT_SIZE)
        ui_out(cli, "%s %" PRIu64 ": %" PRIu64 "\n", name, kernel_u64(list.data + at),
               kernel_u64(list.data + at + 8));
}

static void out_files(struct cli *cli, struct bytes list)
{
    for (size_t at = 0; at < list.size; at += NUB_FILE_SIZE) {
        char text[CLI_HASH_TEXT_SIZE];
        struct hash256 hash = kernel_hash_at(list.data + at + 8);
        cli_hash_text(&hash, text);
        ui_out(cli, "file %" PRIu64 ": %s\n", kernel_u64(list.data + at), text);
    }
}

static void json_amounts(struct cli *cli, const char *name, struct bytes list)
{
    ui_json_array(cli, name);
    for (size_t at = 0; at < list.size; at += NUB_AMOUNT_SIZE) {
        ui_json_object(cli, NULL);
        ui_json_u64(cli, "id", kernel_u64(list.data + at));
        ui_json_u64(cli, "value", kernel_u64(list.data + at + 8));
        ui_json_close(cli);
    }
    ui_json_close(cli);
}

static void json_files(struct cli *cli, struct bytes list)
{
    ui_json_array(cli, "files");
    for (size_t at = 0; at < list.size; at += NUB_FILE_SIZE) {
        ui_json_object(cli, NULL);
        ui_json_u64(cli, "id", kernel_u64(list.data + at));
        ui_json_hex(cli, "hash", bytes_of(list.data + at + 8, HASH256_SIZE));
        ui_json_close(cli);
    }
    ui_json_close(cli);
}

static const char *engine_name(enum kernel_engine engine)
{
    return engine == KERNEL_ENGINE_RECOMP ? "recomp" : "interp";
}

static void json_stats(struct cli *cli, const struct kernel_config *config,
                       const struct nub_state *state, const struct kernel_outcome *o)
{
    ui_json_begin(cli);
    ui_json_text(cli, "engine", engine_name(config->engine));
    ui_json_u64(cli, "flags", config->flags);
    ui_json_u64(cli, "gas_table", config->gas_table_id);
    ui_json_u64(cli, "max_depth", config->max_depth);
    ui_json_u64(cli, "max_dir_bytes", config->max_dir_bytes);
    ui_json_u64(cli, "max_dir_caps", config->max_dir_caps);
    ui_json_u64(cli, "caps", state->cap_count);
    ui_json_hex(cli, "caps_digest", bytes_of(state->caps.byte, HASH256_SIZE));
    json_amounts(cli, "quotas", state->quotas);
    json_amounts(cli, "meters", state->meters);
    json_files(cli, state->files);
    ui_json_u64(cli, "next_file", state->file_next);
    ui_json_u64(cli, "catchers", state->catcher_count);
    ui_json_u64(cli, "markers", state->marker_count);
    ui_json_u64(cli, "stack", count_of(state->stack, NUB_FRAME_STATE_SIZE));
    ui_json_u64(cli, "trace_count", o->trace_count);
    ui_json_end(cli);
}

void cli_nub_print_stats(struct cli *cli, const struct kernel_config *config,
                         const struct nub_state *state, const struct kernel_outcome *o)
{
    if (cli->json) {
        json_stats(cli, config, state, o);
        return;
    }
    char caps[CLI_HASH_TEXT_SIZE];
    cli_hash_text(&state->caps, caps);
    ui_out(cli, "engine    %s, gas table %" PRIu32 ", flags 0x%" PRIx32 "\n",
           engine_name(config->engine), config->gas_table_id, config->flags);
    ui_out(cli, "caps      %" PRIu64 " of %" PRIu32 ", digest %s\n", state->cap_count,
           config->max_dir_caps, caps);
    ui_out(cli, "tables    %" PRIu64 " quotas, %" PRIu64 " meters, %" PRIu64 " files, ",
           count_of(state->quotas, NUB_AMOUNT_SIZE),
           count_of(state->meters, NUB_AMOUNT_SIZE),
           count_of(state->files, NUB_FILE_SIZE));
    ui_out(cli, "%" PRIu32 " catchers with %" PRIu32 " markers\n", state->catcher_count,
           state->marker_count);
    ui_out(cli, "stack     %" PRIu64 " of %" PRIu32 " entries\n",
           count_of(state->stack, NUB_FRAME_STATE_SIZE), config->max_depth);
    ui_out(cli, "last      %s, %" PRIu64 " trace records so far\n",
           o->variant ? cli_nub_exit_name(o->result.exit_reason) : "nothing invoked",
           o->trace_count);
    out_amounts(cli, "quota", state->quotas);
    out_amounts(cli, "meter", state->meters);
    out_files(cli, state->files);
}

void cli_nub_print_boot_info(struct cli *cli, const struct nub_boot_info *info)
{
    if (cli->json) {
        ui_json_begin(cli);
        ui_json_u64(cli, "directory_token", info->token);
        ui_json_u64(cli, "directory_type_id", info->type_id);
        ui_json_u64(cli, "guest_va_base", info->va_base);
        ui_json_end(cli);
        return;
    }
    ui_out(cli, "directory token   %" PRIu64 "\n", info->token);
    ui_out(cli, "directory type    %" PRIu64 "\n", info->type_id);
    ui_out(cli, "guest va base     0x%" PRIx64 "\n", info->va_base);
}
