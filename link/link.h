/* SPDX-License-Identifier: MIT
 *
 * link/link.h - RISC-V objects to PVM programs.
 *
 * Takes what clang makes of C for rv64em_zbb_xtheadcondmov, lp64e (ELF64 relocatable
 * objects, bytes in memory) and gives a PVM program, on request with a map, a w3f test
 * case and an ELF for gdb.  Source of every rule: guest-toolchain.md ("4.2" names its
 * chapter).  The library knows no file and no compiler; names of inputs are only text
 * for messages.
 *
 * Determinism: the output is a function of the inputs' bytes, their order and the
 * options; names of inputs appear in messages, the map and the debug file only.
 *
 * Limits: objects are hostile bytes.  Everything is checked before use, nothing
 * recurses, memory is bounded by the arena.  Symbol names up to 4,095 bytes; code
 * 16 MiB; jump table 2^20 entries; initialised data 16 MiB read-only and 16 MiB
 * writable.
 *
 * Threads: calls share nothing.
 */
#ifndef LINK_LINK_H
#define LINK_LINK_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "pvm/pvm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One object; both members are borrowed until the result is no longer used. */
struct link_input {
    const char *name;
    struct bytes content;
};

enum link_format {
    LINK_FORMAT_RAW,     /* raw blob, no memory */
    LINK_FORMAT_SPI,     /* standard program */
    LINK_FORMAT_POLKAVM, /* .polkavm, JamV1 */
    LINK_FORMAT_IMAGE,   /* caps for the capability kernel; see link_options */
};

/* "raw", "spi", "polkavm", "image". */
const char *link_format_name(enum link_format format);

enum {
    LINK_EXPORT_COUNT_MAX = 64,
    LINK_PROBLEM_COUNT_MAX = 20,
    LINK_STACK_SIZE_DEFAULT = 64 * 1024,
    LINK_HEAP_SIZE_DEFAULT = 16 * PVM_PAGE_SIZE,
};

/* An export that the command line adds; number -1: the least that is free. */
struct link_export {
    const char *name;
    int32_t number;
};

struct link_options {
    enum link_format format;
    enum pvm_profile profile; /* JAVM only with raw */
    const struct link_export *export_list;
    uint32_t export_count;
    const char *const *keep_list; /* more roots, by symbol name */
    uint32_t keep_count;
    uint64_t stack_size; /* bytes, rounded up to pages */
    uint64_t heap_size;  /* bytes behind bss, rounded up to pages */
    bool map;
    bool json;  /* with raw: a w3f case, and then data is allowed */
    bool debug; /* make the ELF for gdb */
    /* image: slots of the caps with read-only and with writable data, which differ; of
     * the catcher (-1: none).  The output is {u32 size, encoding} per cap in the order
     * in which they are put; the last one is an instance. */
    uint32_t ro_slot, rw_slot;
    int32_t yield_slot;
};

/* Defaults: raw, VECTORS, 64 KiB of stack, 16 pages of heap, slots 1 and 2, nothing
 * else. */
void link_options_init(struct link_options *options);

/* One line about the input, "FILE: SECTION+OFFSET (FUNCTION): what; what to do"
 * (chapter 10), printable ASCII, no newline. */
struct link_problem {
    enum err err;
    const char *text;
};

/* Problems in order of discovery, the first 20 of them; warnings do not fail. */
struct link_problems {
    struct link_problem list[LINK_PROBLEM_COUNT_MAX];
    uint32_t count;
    struct link_problem warning_list[LINK_PROBLEM_COUNT_MAX];
    uint32_t warning_count;
};

/* Where an export is entered: pc is 5 * number (7.2). */
struct link_entry {
    const char *name;
    uint32_t number;
    uint32_t pc;
};

struct link_result {
    struct bytes output; /* the program in its format */
    struct bytes map;    /* text; empty unless asked for, as json and debug */
    struct bytes json;
    struct bytes debug;
    struct pvm_code code; /* the program itself, the same in every format */
    const struct link_entry *entry_list;
    uint32_t entry_count;
};

/*
 * Link.  `*problems` is filled whatever the outcome; its texts and the result live in
 * `arena`.
 *
 *   ERR_ok       the program is in *ret_result
 *   link_ rows   problems->count > 0; the value is the first problem's
 *   ERR_nomem    the arena's limit was met; problems may be incomplete
 *   ERR_usage, ERR_unsupported   the options; problems->list[0] says why
 */
ERR_MUST_CHECK enum err link_objects(struct arena *arena,
                                     const struct link_input *input, size_t input_count,
                                     const struct link_options *options,
                                     struct link_problems *problems,
                                     struct link_result *ret_result);

/*
 * For a program without debug information: append its disassembly to `listing` and, to
 * `elf`, an ELF for gdb in which each instruction leads to its line of the file `name`
 * (trace-replay.md 9.6).  ERR_limit, ERR_nomem.
 */
ERR_MUST_CHECK enum err link_listing(const struct pvm_code *code,
                                     enum pvm_profile profile, const char *name,
                                     struct buf *listing, struct buf *elf);

#endif
