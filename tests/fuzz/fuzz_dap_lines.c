/* SPDX-License-Identifier: MIT
 *
 * Hostile debug information: the line table that `lockstep dap` reads.  Whatever it is,
 * rows are ordered, belong to files that are there, and are found again.
 */
#include "cli/dap_lines.h"

#include "base/err.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dap_lines lines;
    dap_lines_init(&lines);
    enum err err = dap_lines_add(&lines, bytes_of(data, size), 1, "/src");
    check(err == ERR_ok || err == ERR_usage || err == ERR_not_found ||
          err == ERR_limit || err == ERR_nomem);
    look(&lines);
    dap_lines_free(&lines);
    return 0;
}
