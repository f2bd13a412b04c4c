/* SPDX-License-Identifier: MIT
 *
 * Hostile debug information: the line table and the names that `lockstep dap` reads.
 * Whatever they are, rows are ordered, belong to files that are there, and are found
 * again, and names are text for people.
 */
#include "cli/dap_lines.h"

#include "base/err.h"
#include "cli/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct dap_lines *lines)
{
    const struct dap_row *row = (const struct dap_row *)(const void *)lines->rows.data;
    size_t count = lines->rows.size / sizeof *row;
    uint32_t found, at = 0;
    uint64_t address;
    for (size_t i = 0; i < count; i++) {
        check(row[i].address < row[i].end);
        check(row[i].file < dap_lines_file_count(lines));
        check(i == 0 || row[i - 1].address <= row[i].address);
        const struct dap_row *here = dap_lines_find(lines, row[i].address);
        check(!here || (here->address <= row[i].address && row[i].address < here->end));
    }
    if (!count)
        return;
    check(dap_lines_file(lines, dap_lines_file_at(lines, row->file)->path, &found));
    uint32_t line = dap_lines_next(lines, found, 1);
    check(!line || dap_lines_mark(lines, found, line, &at, &address));
}

static void look_at_names(const struct cli_names *names)
{
    for (uint64_t pc = (uint64_t)2 << 32; pc < ((uint64_t)2 << 32) + 256; pc++) {
        struct buf text;
        buf_init(&text, 2048);
        bool known = cli_names_put(names, pc, pc % 2, &text);
        check(!text.err && known == (text.size != 0));
        for (size_t i = 0; i < text.size; i++)
            check(text.data[i] > ' ' && text.data[i] <= '~');
        buf_fini(&text);
    }
}

static void check_err(enum err err)
{
    check(err == ERR_ok || err == ERR_usage || err == ERR_not_found ||
          err == ERR_limit || err == ERR_nomem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dap_lines lines;
    struct cli_names names;
    dap_lines_init(&lines);
    check_err(dap_lines_add(&lines, bytes_of(data, size), 1, "/src"));
    look(&lines);
    dap_lines_free(&lines);
    cli_names_init(&names);
    check_err(cli_names_add(&names, bytes_of(data, size), 1));
    look_at_names(&names);
    cli_names_free(&names);
    return 0;
}
