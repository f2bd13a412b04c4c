/* SPDX-License-Identifier: MIT */
#include "cli/check_print.h"

#include "analysis/operands.h"
#include "cli/native.h"

#include <inttypes.h>

enum { LINES_BEFORE = 4, LINES_BEHIND = 2, LINE_SIZE_MAX = 4096 };
#define NATIVE_SIZE_MAX ((size_t)1 << 32)

struct report {
    struct cli *cli;
    const struct cli_check_case *it;
    const struct analysis_check_report *found;
    struct cli_native native;
    uint32_t native_pc; /* whose native code does what the bad instruction does */
    bool has_native;
};

/* ---- PVM ---- */

/* The positions to show: those before the bad one are of its block. */
static size_t list_around(const struct report *r,
                          uint32_t ret_pc[LINES_BEFORE + 1 + LINES_BEHIND])
{
    const struct pvm_code *code = r->it->code;
    const uint32_t bad = r->found->pc;
    size_t count = 0;
    struct pvm_insn insn;
    uint32_t pc = r->found->block;
    for (; pc < bad && pvm_insn_decode(code, r->it->config.profile, pc, &insn);
         pc += insn.size) {
        if (count == LINES_BEFORE) {
            for (size_t i = 1; i < count; i++)
                ret_pc[i - 1] = ret_pc[i];
            count--;
        }
        ret_pc[count++] = pc;
    }
    pc = bad;
    for (unsigned i = 0; i <= LINES_BEHIND && pc < code->code.size; i++) {
        ret_pc[count++] = pc;
        if (!pvm_insn_decode(code, r->it->config.profile, pc, &insn))
            break;
        pc += insn.size;
    }
    return count;
}

/* The line at `pc` without its newline, until the next call. */
static const char *line_at(const struct report *r, uint32_t pc, struct buf *line)
{
    buf_clear(line);
    if (pc >= r->it->code->code.size)
        return "behind the end of the code";
    (void)pvm_disasm_line(r->it->code, r->it->config.profile, pc, line);
    if (line->err || !line->size)
        return "";
    line->data[line->size - 1] = 0;
    return (const char *)line->data;
}

static void print_listing(const struct report *r, struct buf *line)
{
    uint32_t list[LINES_BEFORE + 1 + LINES_BEHIND];
    const uint32_t bad = r->found->pc;
    size_t count = list_around(r, list);
    if (r->it->code->code.size <= bad)
        ui_out(r->cli, "  > behind the end of the code\n");
    for (size_t i = 0; i < count; i++)
        ui_out(r->cli, "  %s %s\n", list[i] == bad ? ">" : " ",
               line_at(r, list[i], line));
}

static struct analysis_operands bad_operands(const struct report *r)
{
    struct pvm_insn insn;
    if (!pvm_insn_decode(r->it->code, r->it->config.profile, r->found->pc, &insn))
        return (struct analysis_operands){0};
    return analysis_insn_operands(&insn);
}

static bool writer_of(const struct report *r, unsigned reg, uint32_t *ret_pc)
{
    return analysis_last_writer(r->it->code, r->it->config.profile, r->found->block,
                                r->found->pc, reg, ret_pc);
}

static void print_writers(const struct report *r, struct buf *line)
{
    struct analysis_operands operands = bad_operands(r);
    for (unsigned reg = 0; reg < PVM_REG_COUNT; reg++) {
        uint32_t pc;
        if (!(operands.read >> reg & 1))
            continue;
        if (writer_of(r, reg, &pc))
            ui_out(r->cli, "  it reads %s, last written by %s\n", pvm_reg_name[reg],
                   line_at(r, pc, line));
        else
            ui_out(r->cli, "  it reads %s, written before the block\n",
                   pvm_reg_name[reg]);
    }
}

static void print_registers(const struct report *r)
{
    ui_out(r->cli, "registers behind it: %s, %s\n", r->it->engine[0], r->it->engine[1]);
    for (unsigned i = 0; i < PVM_REG_COUNT; i++) {
        uint64_t a = r->found->reg[0][i], b = r->found->reg[1][i];
        ui_out(r->cli, "  %-3s 0x%016" PRIx64 "  0x%016" PRIx64 "%s\n", pvm_reg_name[i],
               a, b, a == b ? "" : "  differs");
    }
}

/* ---- native code ---- */

/* Fused instructions have their code at the first of them; some need none. */
static bool find_native(struct report *r)
{
    struct pvm_insn insn;
    const uint32_t bad = r->found->pc;
    bool found = false;
    for (uint32_t pc = r->found->block; pc <= bad; pc += insn.size) {
        uint32_t offset, size;
        if (pvm_program_native_range(r->native.program, pc, &offset, &size) && size) {
            r->native_pc = pc;
            found = true;
        }
        if (!pvm_insn_decode(r->it->code, r->it->config.profile, pc, &insn))
            break;
    }
    return found;
}

static void print_native(const struct report *r)
{
    struct cli_native_line line;
    if (!cli_native_find(&r->native, r->native_pc, &line))
        return;
    ui_out(r->cli, "native code of @%" PRIu32 "%s:\n", r->native_pc,
           r->native_pc == r->found->pc
               ? ""
               : " (nothing was emitted for the bad one itself)");
    while (cli_native_next(&r->native, &line))
        ui_out(r->cli, "  +0x%04" PRIx32 "  %s\n", line.offset, line.text);
}

/* ---- all of it ---- */

static void print_text(const struct report *r)
{
    const struct analysis_check_report *found = r->found;
    struct buf line;
    ui_out(r->cli,
           "%s: engine defect: %s at 0x%" PRIx64 ": %s 0x%" PRIx64 ", %s 0x%" PRIx64
           "\n",
           r->it->path, found->field, found->where, r->it->engine[0], found->value[0],
           r->it->engine[1], found->value[1]);
    if (found->found) {
        buf_init(&line, LINE_SIZE_MAX);
        ui_out(r->cli,
               "first bad instruction: icount %" PRIu64 "  pc %" PRIu32
               "  block %" PRIu32 "\n",
               found->icount, found->pc, found->block);
        print_listing(r, &line);
        print_writers(r, &line);
        print_registers(r);
        if (r->has_native)
            print_native(r);
        buf_fini(&line);
    } else {
        ui_out(r->cli,
               "  the difference did not come again from the last equal place\n");
    }
    ui_out(r->cli, "reproduce: %s\n", r->it->command);
}

static void json_listing(const struct report *r, struct buf *line)
{
    uint32_t list[LINES_BEFORE + 1 + LINES_BEHIND];
    size_t count = list_around(r, list);
    ui_json_array(r->cli, "listing");
    for (size_t i = 0; i < count; i++)
        ui_json_text(r->cli, NULL, line_at(r, list[i], line));
    ui_json_close(r->cli);
}

static void json_place(const struct report *r)
{
    struct cli *cli = r->cli;
    struct buf line;
    struct analysis_operands operands = bad_operands(r);
    buf_init(&line, LINE_SIZE_MAX);
    json_listing(r, &line);
    buf_fini(&line);
    ui_json_array(cli, "reads");
    for (unsigned reg = 0; reg < PVM_REG_COUNT; reg++) {
        uint32_t pc;
        if (!(operands.read >> reg & 1))
            continue;
        ui_json_object(cli, NULL);
        ui_json_text(cli, "reg", pvm_reg_name[reg]);
        if (writer_of(r, reg, &pc))
            ui_json_u64(cli, "writer", pc);
        else
            ui_json_null(cli, "writer");
        ui_json_close(cli);
    }
    ui_json_close(cli);
    ui_json_object(cli, "reg");
    for (unsigned i = 0; i < PVM_REG_COUNT; i++) {
        ui_json_array(cli, pvm_reg_name[i]);
        ui_json_u64(cli, NULL, r->found->reg[0][i]);
        ui_json_u64(cli, NULL, r->found->reg[1][i]);
        ui_json_close(cli);
    }
    ui_json_close(cli);
    if (r->has_native) {
        ui_json_u64(cli, "native_pc", r->native_pc);
        cli_native_json(cli, &r->native, r->native_pc);
    }
}

static void print_json(const struct report *r)
{
    const struct analysis_check_report *found = r->found;
    struct cli *cli = r->cli;
    ui_json_begin(cli);
    ui_json_text(cli, "file", r->it->path);
    ui_json_bool(cli, "same", found->same);
    ui_json_array(cli, "engines");
    ui_json_text(cli, NULL, r->it->engine[0]);
    ui_json_text(cli, NULL, r->it->engine[1]);
    ui_json_close(cli);
    ui_json_u64(cli, "icount", found->found ? found->icount : found->state.icount);
    if (!found->same) {
        ui_json_text(cli, "field", found->field);
        ui_json_u64(cli, "where", found->where);
        ui_json_array(cli, "value");
        ui_json_u64(cli, NULL, found->value[0]);
        ui_json_u64(cli, NULL, found->value[1]);
        ui_json_close(cli);
        ui_json_bool(cli, "found", found->found);
        if (found->found) {
            ui_json_u64(cli, "pc", found->pc);
            ui_json_u64(cli, "block", found->block);
            json_place(r);
        }
        ui_json_text(cli, "reproduce", r->it->command);
    }
    ui_json_end(cli);
}

void cli_check_print(struct cli *cli, const struct cli_check_case *it,
                     const struct analysis_check_report *report)
{
    struct report r = {.cli = cli, .it = it, .found = report};
    struct arena arena;
    if (report->same && !cli->json) {
        ui_verbose(cli, "%s: same: %s, %" PRIu64 " instructions", it->path,
                   pvm_exit_name(report->outcome.exit), report->state.icount);
        return;
    }
    arena_init(&arena, NATIVE_SIZE_MAX);
    if (!report->same && report->found && it->recomp && pvm_recomp_available()) {
        enum err err = cli_native_open(&arena, it->code, &it->config,
                                       PVM_GAS_LOG_LEDGER, it->recomp, &r.native);
        r.has_native = !err && find_native(&r);
        if (err)
            (void)ui_fail(cli, err, "native code");
    }
    if (cli->json)
        print_json(&r);
    else
        print_text(&r);
    cli_native_close(&r.native);
    arena_fini(&arena);
}
