/* SPDX-License-Identifier: MIT */
#include "cli/native.h"

enum err cli_native_open(struct arena *arena, const struct pvm_code *code,
                         const struct pvm_config *config, enum pvm_gas_log log,
                         const struct pvm_recomp_options *options,
                         struct cli_native *ret_native)
{
    struct pvm_recomp_options how = *options;
    const void *address = NULL;
    how.keep_map = true;
    *ret_native = (struct cli_native){0};
    TRY(pvm_program_recompile(arena, code, config, log, &how, &ret_native->program));
    ret_native->code = pvm_program_native_code(ret_native->program, &address);
    return analysis_x86_open(&ret_native->x86);
}

void cli_native_close(struct cli_native *native)
{
    pvm_program_close(native->program);
    analysis_x86_close(native->x86);
}

bool cli_native_find(const struct cli_native *native, uint32_t pc,
                     struct cli_native_line *ret_line)
{
    uint32_t offset, size;
    if (!pvm_program_native_range(native->program, pc, &offset, &size))
        return false;
    *ret_line = (struct cli_native_line){.offset = offset, .end = offset + size};
    return true;
}

bool cli_native_next(const struct cli_native *native, struct cli_native_line *line)
{
    line->offset += (uint32_t)line->bytes.size;
    struct bytes rest =
        bytes_of(native->code.data + line->offset, line->end - line->offset);
    size_t size = analysis_x86_next(native->x86, rest, line->offset, line->text);
    line->bytes = bytes_of(rest.data, size);
    return size > 0;
}

void cli_native_json(struct cli *cli, const struct cli_native *native, uint32_t pc)
{
    struct cli_native_line line;
    ui_json_array(cli, "native");
    if (cli_native_find(native, pc, &line)) {
        while (cli_native_next(native, &line)) {
            ui_json_object(cli, NULL);
            ui_json_u64(cli, "offset", line.offset);
            ui_json_hex(cli, "bytes", line.bytes);
            ui_json_text(cli, "text", line.text);
            ui_json_close(cli);
        }
    }
    ui_json_close(cli);
}
