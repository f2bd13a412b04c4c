/* SPDX-License-Identifier: MIT
 *
 * cli/gas.h - what the two files of `lockstep gas` share: cmd_gas.c walks, gas_print.c
 * prints.
 */
#ifndef CLI_GAS_H
#define CLI_GAS_H

#include "analysis/analysis.h"
#include "cli/cli.h"
#include "replay/sink_file.h"

struct cli_gas_options {
    bool csv, sum, verify;
    unsigned by;        /* 1 + enum analysis_profile_by */
    unsigned collapsed; /* 1 + enum analysis_weight */
    const char *from, *to, *map, *output;
};

struct cli_gas {
    struct cli *cli;
    const struct cli_gas_options *options;
    const char *path;
    struct arena arena;
    struct replay_source_file file;
    int out_fd; /* -1: stdout */
    struct buf out;
    bool out_failed;
    struct analysis_symbols symbols;
    struct analysis_profile *profile;
    struct analysis_gas_options walk;
    struct analysis_gas_totals totals;
    struct analysis_gas_fault fault;
};

/* Words of --by, by enum analysis_profile_by. */
extern const char *const cli_gas_by_word[];

/* Everything goes through `out`: write it; and between two lines: is there still
 * somebody to write for? */
void cli_gas_flush(struct cli_gas *gas);
bool cli_gas_ready(struct cli_gas *gas);

/* The listing: its head, and the visitor that prints each charge. */
void cli_gas_list_head(struct cli_gas *gas);
bool cli_gas_list_text(void *self, const struct analysis_charge *charge);
bool cli_gas_list_csv(void *self, const struct analysis_charge *charge);
bool cli_gas_list_json(void *self, const struct analysis_charge *charge);

/* Sums, and the table of --by. */
void cli_gas_sum_text(struct cli_gas *gas);
void cli_gas_sum_json(struct cli_gas *gas);
ERR_MUST_CHECK enum err cli_gas_print_table(struct cli_gas *gas);

#endif
