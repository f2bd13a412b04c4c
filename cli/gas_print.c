/* SPDX-License-Identifier: MIT
 *
 * How `lockstep gas` prints: charges, sums, tables.
 */
#include "cli/gas.h"

#include "base/os.h"

#include <string.h>

enum {
    PIECE_SIZE = 1 << 16, /* output is held back up to here */
    LINE_SIZE_MAX = 160,
};

const char *const cli_gas_by_word[] = {
    [ANALYSIS_BY_BLOCK] = "block",
    [ANALYSIS_BY_FUNCTION] = "function",
    [ANALYSIS_BY_OP] = "op",
    [ANALYSIS_BY_PAGE] = "page",
    NULL,
};
/* ---- charges ---- */

void cli_gas_list_head(struct cli_gas *gas)
{
    buf_text(&gas->out, gas->options->csv
                            ? "n,icount,gas,kind,where,cost\n"
                            : "         n       icount            gas kind   "
                              "where        cost\n");
}

void cli_gas_flush(struct cli_gas *gas)
{
    struct bytes bytes = buf_bytes(&gas->out);
    if (gas->out_fd < 0)
        ui_out_bytes(gas->cli, bytes);
    else if (!gas->out_failed && os_write_all(gas->out_fd, bytes.data, bytes.size))
        gas->out_failed = true;
    buf_clear(&gas->out);
}

/* Between lines: is there still somebody to write for? */
bool cli_gas_ready(struct cli_gas *gas)
{
    if (gas->out.size < PIECE_SIZE)
        return true;
    cli_gas_flush(gas);
    return !gas->out_failed && !gas->cli->out_failed && !os_interrupted();
}

static char *put_text(char *at, const char *text)
{
    size_t size = strlen(text);
    memcpy(at, text, size);
    return at + size;
}

/* Right aligned in `width`. */
static char *put_decimal(char *at, uint64_t value, unsigned width)
{
    char digit[20];
    unsigned count = 0;
    do {
        digit[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (; width > count; width--)
        *at++ = ' ';
    while (count > 0)
        *at++ = digit[--count];
    return at;
}

static char *put_hex(char *at, uint64_t value)
{
    unsigned shift = value ? (63u - (unsigned)__builtin_clzll(value)) / 4 * 4 : 0;
    at = put_text(at, "0x");
    for (;; shift -= 4) {
        *at++ = "0123456789abcdef"[value >> shift & 15];
        if (!shift)
            return at;
    }
}

static bool is_place(uint64_t kind)
{
    return kind < ANALYSIS_CHARGE_OPERATION;
}

static char *put_spaces(char *at, char *until)
{
    while (at < until)
        *at++ = ' ';
    return at;
}

bool cli_gas_list_text(void *self, const struct analysis_charge *c)
{
    struct cli_gas *gas = self;
    char line[LINE_SIZE_MAX], *at = line;
    at = put_decimal(at, c->n, 10);
    *at++ = ' ';
    at = put_decimal(at, c->icount, 12);
    *at++ = ' ';
    at = put_decimal(at, c->gas, 14);
    *at++ = ' ';
    at = put_spaces(put_text(at, analysis_charge_name(c->kind)), at + 7);
    char *where = at;
    at = is_place(c->kind) ? put_hex(at, c->where) : put_decimal(at, c->where, 0);
    at = put_spaces(at, where + 10);
    *at++ = ' ';
    at = put_decimal(at, c->cost, 6);
    *at++ = '\n';
    buf_put(&gas->out, line, (size_t)(at - line));
    return cli_gas_ready(gas);
}

bool cli_gas_list_csv(void *self, const struct analysis_charge *c)
{
    struct cli_gas *gas = self;
    char line[LINE_SIZE_MAX], *at = line;
    at = put_decimal(at, c->n, 0);
    *at++ = ',';
    at = put_decimal(at, c->icount, 0);
    *at++ = ',';
    at = put_decimal(at, c->gas, 0);
    *at++ = ',';
    at = put_text(at, analysis_charge_name(c->kind));
    *at++ = ',';
    at = is_place(c->kind) ? put_hex(at, c->where) : put_decimal(at, c->where, 0);
    *at++ = ',';
    at = put_decimal(at, c->cost, 0);
    *at++ = '\n';
    buf_put(&gas->out, line, (size_t)(at - line));
    return cli_gas_ready(gas);
}

static void json_hex(struct cli *cli, const char *key, uint64_t value)
{
    char text[24];
    *put_hex(text, value) = 0;
    ui_json_text(cli, key, text);
}

bool cli_gas_list_json(void *self, const struct analysis_charge *c)
{
    struct cli_gas *gas = self;
    ui_json_begin(gas->cli);
    ui_json_u64(gas->cli, "n", c->n);
    ui_json_u64(gas->cli, "icount", c->icount);
    ui_json_u64(gas->cli, "gas", c->gas);
    ui_json_text(gas->cli, "kind", analysis_charge_name(c->kind));
    if (is_place(c->kind))
        json_hex(gas->cli, "where", c->where);
    else
        ui_json_u64(gas->cli, "where", c->where);
    ui_json_u64(gas->cli, "cost", c->cost);
    ui_json_end(gas->cli);
    return !gas->cli->out_failed && !os_interrupted();
}

/* ---- sums ---- */

static bool whole(const struct cli_gas *gas)
{
    return gas->walk.from.clock == ANALYSIS_CLOCK_NONE &&
           gas->walk.to.clock == ANALYSIS_CLOCK_NONE;
}

static bool has_kinds(const struct cli_gas *gas)
{
    return !(gas->totals.forms & ANALYSIS_GAS_SUMMARY);
}

void cli_gas_sum_json(struct cli_gas *gas)
{
    const struct analysis_gas_totals *t = &gas->totals;
    struct cli *cli = gas->cli;
    ui_json_begin(cli);
    if (whole(gas))
        ui_json_u64(cli, "instructions", t->insn_count);
    ui_json_u64(cli, "gas", t->gas);
    ui_json_u64(cli, "blocks", t->block_count);
    if (whole(gas)) {
        ui_json_u64(cli, "runs", t->run_count);
        json_hex(cli, "hash", t->hash);
    }
    if (gas->options->verify)
        ui_json_u64(cli, "tables_checked", t->table_count);
    if (has_kinds(gas)) {
        ui_json_object(cli, "kinds");
        for (unsigned i = 0; i < ANALYSIS_CHARGE_KINDS; i++) {
            if (!t->count[i])
                continue;
            ui_json_object(cli, analysis_charge_name(i));
            ui_json_u64(cli, "charges", t->count[i]);
            ui_json_u64(cli, "gas", t->cost[i]);
            ui_json_close(cli);
        }
        ui_json_close(cli);
    }
    ui_json_end(cli);
}

void cli_gas_sum_text(struct cli_gas *gas)
{
    const struct analysis_gas_totals *t = &gas->totals;
    struct buf *out = &gas->out;
    if (whole(gas))
        buf_printf(out, "instructions %20llu\n", (unsigned long long)t->insn_count);
    buf_printf(out, "gas          %20llu\n", (unsigned long long)t->gas);
    buf_printf(out, "blocks       %20llu\n", (unsigned long long)t->block_count);
    if (whole(gas))
        buf_printf(out, "runs         %20llu\nhash           0x%016llx\n",
                   (unsigned long long)t->run_count, (unsigned long long)t->hash);
    if (has_kinds(gas))
        buf_printf(out, "\n%-8s %12s %16s\n", "kind", "charges", "gas");
    for (unsigned i = 0; i < ANALYSIS_CHARGE_KINDS && has_kinds(gas); i++) {
        if (t->count[i])
            buf_printf(out, "%-8s %12llu %16llu\n", analysis_charge_name(i),
                       (unsigned long long)t->count[i], (unsigned long long)t->cost[i]);
    }
    cli_gas_flush(gas);
}

/* ---- tables ---- */

static const char *op_name(uint64_t op)
{
    switch (op) {
    case 0:
        return "reply";
#define HOSTCALL(number, name, signature, text)                                        \
    case number:                                                                       \
        return #name;
#include "pvm/hostcalls.def"
    default:
        return "";
    }
}

/* The name column of a row. */
static void put_row_name(struct cli_gas *gas, enum analysis_profile_by by,
                         const struct analysis_profile_row *row, struct buf *buf)
{
    if (by == ANALYSIS_BY_OP)
        buf_text(buf, op_name(row->where));
    else if (by == ANALYSIS_BY_FUNCTION ||
             (by == ANALYSIS_BY_BLOCK && gas->symbols.count))
        analysis_profile_put_name(gas->profile, row->program, row->where, buf);
}

static void row_json(struct cli_gas *gas, enum analysis_profile_by by,
                     const struct analysis_profile_row *row, const char *name)
{
    struct cli *cli = gas->cli;
    ui_json_begin(cli);
    if (by == ANALYSIS_BY_OP)
        ui_json_u64(cli, cli_gas_by_word[by], row->where);
    else
        json_hex(cli, cli_gas_by_word[by], row->where);
    if (*name)
        ui_json_text(cli, "name", name);
    if (row->program)
        ui_json_u64(cli, "prog", row->program->number);
    ui_json_u64(cli, "gas", row->gas);
    ui_json_u64(
        cli, by == ANALYSIS_BY_OP || by == ANALYSIS_BY_FUNCTION ? "calls" : "charges",
        row->count);
    if (by == ANALYSIS_BY_BLOCK || by == ANALYSIS_BY_FUNCTION)
        ui_json_u64(cli, "instructions", row->insn_count);
    if (by == ANALYSIS_BY_FUNCTION) {
        ui_json_u64(cli, "gas_below", row->gas_below);
        ui_json_u64(cli, "instructions_below", row->insn_below);
    }
    ui_json_end(cli);
}

static void row_csv(struct cli_gas *gas, enum analysis_profile_by by,
                    const struct analysis_profile_row *row, const char *name)
{
    struct buf *out = &gas->out;
    buf_printf(out, by == ANALYSIS_BY_OP ? "%llu," : "0x%llx,",
               (unsigned long long)row->where);
    buf_printf(out, "%llu,%llu,", (unsigned long long)row->gas,
               (unsigned long long)row->count);
    if (by == ANALYSIS_BY_BLOCK || by == ANALYSIS_BY_FUNCTION)
        buf_printf(out, "%llu,", (unsigned long long)row->insn_count);
    if (by == ANALYSIS_BY_FUNCTION)
        buf_printf(out, "%llu,%llu,", (unsigned long long)row->gas_below,
                   (unsigned long long)row->insn_below);
    for (; *name; name++) /* names of a map may hold anything printable */
        buf_byte(out, (uint8_t)(*name == ',' || *name == '"' ? '_' : *name));
    buf_byte(out, '\n');
}

static void row_text(struct cli_gas *gas, enum analysis_profile_by by,
                     const struct analysis_profile_row *row, const char *name)
{
    struct buf *out = &gas->out;
    double total = gas->totals.gas ? (double)gas->totals.gas : 1;
    buf_printf(out, "%16llu %6.2f%%", (unsigned long long)row->gas,
               100.0 * (double)row->gas / total);
    if (by == ANALYSIS_BY_FUNCTION)
        buf_printf(out, " %6.2f%%", 100.0 * (double)row->gas_below / total);
    buf_printf(out, " %12llu", (unsigned long long)row->count);
    if (by == ANALYSIS_BY_BLOCK || by == ANALYSIS_BY_FUNCTION)
        buf_printf(out, " %14llu", (unsigned long long)row->insn_count);
    buf_printf(out, by == ANALYSIS_BY_OP ? " %llu" : " 0x%llx",
               (unsigned long long)row->where);
    buf_printf(out, "%s%s\n", *name ? " " : "", name);
}

static void table_head(struct cli_gas *gas, enum analysis_profile_by by)
{
    static const char *const csv[] = {
        [ANALYSIS_BY_BLOCK] = "block,gas,charges,instructions,name\n",
        [ANALYSIS_BY_FUNCTION] =
            "function,gas,calls,instructions,gas_below,instructions_below,name\n",
        [ANALYSIS_BY_OP] = "op,gas,calls,name\n",
        [ANALYSIS_BY_PAGE] = "page,gas,charges,name\n",
    };
    static const char *const text[] = {
        [ANALYSIS_BY_BLOCK] =
            "             gas   share      charges   instructions block\n",
        [ANALYSIS_BY_FUNCTION] =
            "             gas    self    total        calls   instructions function\n",
        [ANALYSIS_BY_OP] = "             gas   share        calls op\n",
        [ANALYSIS_BY_PAGE] = "             gas   share      charges page\n",
    };
    buf_text(&gas->out, gas->options->csv ? csv[by] : text[by]);
}

enum err cli_gas_print_table(struct cli_gas *gas)
{
    enum analysis_profile_by by = (enum analysis_profile_by)(gas->options->by - 1);
    struct analysis_profile_rows rows;
    struct buf name;
    TRY(analysis_profile_table(gas->profile, by, &gas->arena, &rows));
    if (!gas->cli->json)
        table_head(gas, by);
    buf_init(&name, 1 << 16);
    for (size_t i = 0; i < rows.count && cli_gas_ready(gas); i++) {
        buf_clear(&name);
        put_row_name(gas, by, &rows.row[i], &name);
        if (gas->cli->json)
            row_json(gas, by, &rows.row[i], buf_string(&name));
        else if (gas->options->csv)
            row_csv(gas, by, &rows.row[i], buf_string(&name));
        else
            row_text(gas, by, &rows.row[i], buf_string(&name));
    }
    buf_fini(&name);
    cli_gas_flush(gas);
    return ERR_ok;
}
