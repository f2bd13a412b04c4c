/* SPDX-License-Identifier: MIT
 *
 * cli/vectors.h - run conformance data against the engine, the loaders and the gas
 * model.  The kinds of file, told apart by their content, are described in
 * corpus/vectors/pvm/README.md:
 *
 *   one program    the w3f conformance format, VECTORS profile
 *   edge cases     "format": "lockstep-pvm-edge", both profiles, and loader cases
 *   gas blocks     "format": "lockstep-pvm-gas-singlepass"
 *   kernel         "format": "lockstep-pvm-kernel-kat"; its packets and frames are not
 * run
 *
 * A case is run in every mode (single steps, dispatch loops, gas logs), whose results
 * must not differ.  An expected field that is absent is not compared.
 * Nothing is printed here; what differs goes to `differs`.
 */
#ifndef CLI_VECTORS_H
#define CLI_VECTORS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "pvm/pvm.h"
#include "replay/replay.h"

struct json_object;

/* One thing that was not as expected.  Borrowed during the call. */
struct cli_vectors_difference {
    const char *file;
    const char *name; /* of the case */
    const char *mode; /* "javm loop ledger run 2"; "" where there is one way only */
    const char *field;
    const char *expected;
    const char *actual;
};

/* What a case may need; more makes the file malformed.  Gas cannot be the bound: cases
 * with the largest gas are among the best. */
enum { CLI_VECTORS_STEP_MAX = 1 << 24, CLI_VECTORS_PAGE_MAX = 1 << 16 };

struct cli_vectors {
    void (*differs)(void *self, const struct cli_vectors_difference *difference);
    void *self;
    uint64_t step_max; /* instructions in a profile; the constants above, or less */
    struct replay_engine tested; /* AUTO: both engines */
    uint64_t page_max;           /* in page maps, those of resumes included */

    /* cases so far; a case with any difference is failed */
    uint64_t pass_count;
    uint64_t fail_count;
    char error[200]; /* why a file could not be run; "" if it could */

    /* private */
    struct arena engine_arena;
    struct arena arena; /* of the case */
    struct pvm_engine *engine;
    struct pvm_recomp_cache *cache;
    void *reservation;
    const char *file;
    const char *name;
    char mode[64];
    bool differing;
};

/* Sets the limits and the private part.  ERR_nomem. */
ERR_MUST_CHECK enum err cli_vectors_init(struct cli_vectors *vectors);
void cli_vectors_fini(struct cli_vectors *vectors);

/* Run all cases of one file.  False when that could not be done to the end: the file
 * is malformed, of no known kind, or without a case; then `error` says why. */
bool cli_vectors_run(struct cli_vectors *vectors, const char *file, struct bytes json);

/* ---- private to cli/vectors*.c ----------------------------------------------------
 */

/* Say that the file is malformed; the first message stays.  Answers false. */
bool cli_vectors_bad(struct cli_vectors *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Report a difference of the case. */
void cli_vectors_differ(struct cli_vectors *v, const char *field, const char *expected,
                        const char *actual);
/* The same for numbers, unless they are equal; `hex` is how they are shown. */
void cli_vectors_compare(struct cli_vectors *v, const char *field, uint64_t expected,
                         uint64_t actual, bool hex);

/*
 * Reading.  Each answers false and calls cli_vectors_bad() when the value has another
 * type or range.  `key` NULL means `object` is the value itself; a missing key is an
 * error, except where `cli_vectors_has` was asked first.
 */
bool cli_vectors_has(struct json_object *object, const char *key);
bool cli_vectors_u64(struct cli_vectors *v, struct json_object *object, const char *key,
                     uint64_t max, uint64_t *ret_value);
bool cli_vectors_bool(struct cli_vectors *v, struct json_object *object,
                      const char *key, bool *ret_value);
bool cli_vectors_text(struct cli_vectors *v, struct json_object *object,
                      const char *key, const char **ret_text);
bool cli_vectors_list(struct cli_vectors *v, struct json_object *object,
                      const char *key, struct json_object **ret_list,
                      size_t *ret_count);
/* Bytes as a list of numbers or as hex; in the case's arena. */
bool cli_vectors_bytes(struct cli_vectors *v, struct json_object *object,
                       const char *key, struct bytes *ret_bytes);
/* Thirteen registers. */
bool cli_vectors_regs(struct cli_vectors *v, struct json_object *object,
                      const char *key, uint64_t ret_reg[PVM_REG_COUNT]);

/* Memory contents as pages in ascending order, zero where nothing is said. */
struct vectors_page {
    uint32_t page;
    uint8_t *bytes; /* PVM_PAGE_SIZE */
};
struct vectors_pages {
    struct vectors_page *item;
    size_t count;
};
bool cli_vectors_contents(struct cli_vectors *v, struct json_object *object,
                          const char *key, struct vectors_pages *ret_pages);

/* One mapping of a page map; address and size are as the file says. */
struct vectors_map {
    uint64_t address;
    uint64_t size;
    enum pvm_access access;
};
bool cli_vectors_page_map(struct cli_vectors *v, struct json_object *object,
                          const char *key, struct vectors_map **ret_map,
                          size_t *ret_count);

/* Compare a page of memory (NULL: not mapped) with what a file expects of it. */
void cli_vectors_compare_page(struct cli_vectors *v, uint32_t page,
                              const uint8_t *expected, const uint8_t *actual);

/* Compare a program with its parts, those that the file gives: `code`, `bitmask`,
 * `jump-table`; and with the raw blob it was parsed from. */
bool cli_vectors_compare_code(struct cli_vectors *v, struct json_object *object,
                              const struct pvm_code *code, struct bytes raw);

/* One case of each kind: false when it is malformed. */
bool cli_vectors_run_program(struct cli_vectors *v, struct json_object *object);
bool cli_vectors_run_edge(struct cli_vectors *v, struct json_object *object);
bool cli_vectors_run_loader(struct cli_vectors *v, struct json_object *object);
bool cli_vectors_run_gas(struct cli_vectors *v, struct json_object *object);

#endif
