/* SPDX-License-Identifier: MIT
 *
 * cli/vectors_case.h - private to cli/vectors*.c: a case that runs a program, as read
 * from its file.
 */
#ifndef CLI_VECTORS_CASE_H
#define CLI_VECTORS_CASE_H

#include "cli/vectors.h"

enum vectors_field {
    VECTORS_PC,
    VECTORS_GAS,
    VECTORS_CHARGED,
    VECTORS_ICOUNT,
    VECTORS_ID,
    VECTORS_ID_64,
    VECTORS_ADDRESS,
    VECTORS_PAGE_GAS,
    VECTORS_FIELD_COUNT,
};

struct vectors_field_info {
    const char *edge;
    const char *program; /* NULL: the w3f format does not have it */
    bool hex;
    bool is_bool;
};
extern const struct vectors_field_info cli_vectors_field_info[];

/* What is expected after one run. */
struct vectors_record {
    const char *status; /* NULL: not said */
    bool has[VECTORS_FIELD_COUNT];
    uint64_t value[VECTORS_FIELD_COUNT];
    bool has_regs, has_memory, has_written;
    uint64_t reg[PVM_REG_COUNT];
    struct vectors_pages memory;
    uint64_t *written; /* page addresses */
    size_t written_count;
};

/* What the caller does before a further run. */
struct vectors_resume {
    struct vectors_map *map;
    size_t map_count;
    uint64_t add_gas;
    struct json_object *set_regs;
    size_t set_count;
};

struct vectors_case {
    bool is_program; /* the w3f format, where TRAP is called panic */
    struct pvm_code code;
    struct pvm_config config;
    uint64_t reg[PVM_REG_COUNT];
    uint64_t gas;
    uint32_t pc;
    struct vectors_map *map;
    size_t map_count;
    struct vectors_pages memory;
    struct vectors_resume *resume;
    size_t resume_count;
    struct vectors_record *record;
    size_t record_count;
    bool has_valid, valid; /* program_valid [4.4] */
};

/* Read the two kinds of file: everything but, for edge files, the expectations. */
bool cli_vectors_read_program(struct cli_vectors *v, struct json_object *object,
                              struct vectors_case *ret_case);
bool cli_vectors_read_edge(struct cli_vectors *v, struct json_object *object,
                           struct vectors_case *ret_case);

/* Read an edge file's expectations for a profile: config, record and whether the
 * program is valid; *ret_any is false when there are none. */
bool cli_vectors_read_profile(struct cli_vectors *v, struct json_object *object,
                              enum pvm_profile profile, struct vectors_case *ret_case,
                              bool *ret_any);

#endif
