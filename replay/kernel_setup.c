/* SPDX-License-Identifier: MIT
 *
 * A kernel's configuration in a trace: session.config (trace-replay.md 4.1).
 */
#include "replay/kernel_session.h"
#include "replay/setup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum row_kind { ROW_GAS_LOG, ROW_SWITCH, ROW_U32, ROW_U64, ROW_MARK };

#define MEMBER(member) offsetof(struct replay_kernel_setup, member)

/* Ascending keys.  An absent key means 0 or off. */
static const struct row {
    const char *key;
    enum row_kind kind;
    size_t offset;
} row[] = {
    {"gas", ROW_GAS_LOG, MEMBER(gas_log)},
    {"log.caps", ROW_SWITCH, MEMBER(log_caps)},
    {"log.reads", ROW_SWITCH, MEMBER(log_reads)},
    {"log.writes", ROW_SWITCH, MEMBER(log_writes)},
    {"pvm.flags", ROW_U32, MEMBER(config.flags)},
    {"pvm.gas_table", ROW_U32, MEMBER(config.gas_table_id)},
    {"pvm.kernel", ROW_MARK, 0},
    {"pvm.max_assist", ROW_U32, MEMBER(config.max_assist_entries)},
    {"pvm.max_depth", ROW_U32, MEMBER(config.max_depth)},
    {"pvm.max_dir_bytes", ROW_U64, MEMBER(config.max_dir_bytes)},
    {"pvm.max_dir_caps", ROW_U32, MEMBER(config.max_dir_caps)},
    {"pvm.max_frame_mem", ROW_U64, MEMBER(config.max_frame_mem)},
    {"pvm.max_records", ROW_U32, MEMBER(config.max_trace_records)},
    {"pvm.max_stack_mem", ROW_U64, MEMBER(config.max_stack_mem)},
};

/* Version of what a kernel's session means: the value of pvm.kernel. */
#define KERNEL_VERSION "1"

static const char *const gas_log_word[] = {
    [PVM_GAS_LOG_NONE] = "",
    [PVM_GAS_LOG_LEDGER] = "ledger",
    [PVM_GAS_LOG_EACH] = "each",
    [PVM_GAS_LOG_SUMMARY] = "summary",
};

struct replay_kernel_setup replay_kernel_setup_default(void)
{
    return (struct replay_kernel_setup){.config = kernel_config_default(),
                                        .gas_log = PVM_GAS_LOG_LEDGER};
}

static uint64_t number_get(const struct row *r, const void *member)
{
    uint32_t narrow;
    uint64_t wide;
    if (r->kind == ROW_U64) {
        memcpy(&wide, member, sizeof wide);
        return wide;
    }
    memcpy(&narrow, member, sizeof narrow);
    return narrow;
}

bool replay_kernel_config_get(const struct replay_kernel_setup *setup, unsigned index,
                              const char **ret_key, char ret_value[KERNEL_TEXT_SIZE])
{
    if (index >= countof(row))
        return false;
    const struct row *r = &row[index];
    const void *member = (const char *)setup + r->offset;
    *ret_key = r->key;
    ret_value[0] = 0;
    if (r->kind == ROW_GAS_LOG)
        (void)snprintf(ret_value, KERNEL_TEXT_SIZE, "%s",
                       gas_log_word[*(const enum pvm_gas_log *)member]);
    else if (r->kind == ROW_MARK || (r->kind == ROW_SWITCH && *(const bool *)member))
        (void)snprintf(ret_value, KERNEL_TEXT_SIZE, "%s", KERNEL_VERSION);
    else if (r->kind != ROW_SWITCH && number_get(r, member))
        (void)snprintf(ret_value, KERNEL_TEXT_SIZE, "%" PRIu64, number_get(r, member));
    return true;
}

/* A decimal number without leading zeros, not 0. */
static bool parse_number(const char *text, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (*text < '1' || *text > '9')
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' ||
            __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (unsigned)(*text - '0'), &number))
            return false;
    }
    *ret_number = number;
    return number <= max;
}

static bool row_set(const struct row *r, void *member, const char *value)
{
    uint64_t number;
    switch (r->kind) {
    case ROW_GAS_LOG:
        for (unsigned i = PVM_GAS_LOG_LEDGER; i < countof(gas_log_word); i++) {
            if (strcmp(gas_log_word[i], value) == 0) {
                *(enum pvm_gas_log *)member = (enum pvm_gas_log)i;
                return true;
            }
        }
        return false;
    case ROW_SWITCH:
        *(bool *)member = true;
        return strcmp(value, "1") == 0;
    case ROW_U32:
        if (!parse_number(value, UINT32_MAX, &number))
            return false;
        memcpy(member, &(uint32_t){(uint32_t)number}, sizeof(uint32_t));
        return true;
    case ROW_U64:
        return parse_number(value, UINT64_MAX, &number) &&
               memcpy(member, &number, sizeof number);
    case ROW_MARK:
        break;
    }
    return strcmp(value, KERNEL_VERSION) == 0;
}

bool replay_kernel_config_set(struct replay_kernel_setup *setup, const char *key,
                              const char *value)
{
    for (unsigned i = 0; i < countof(row); i++) {
        if (strcmp(row[i].key, key) == 0)
            return row_set(&row[i], (char *)setup + row[i].offset, value);
    }
    return false;
}

/* ---- from a trace ---- */

static enum err read_begin(struct arena *arena, struct trace_reader *reader,
                           struct replay_refusal *refusal)
{
    struct trace_record record;
    struct trace_session_begin begin;
    TRY(replay_setup_next(reader, &record));
    if (record.kind->id != TRACE_ID_session_begin)
        return replay_refuse(refusal, REPLAY_DAMAGED, "the first event is %.32s",
                             record.kind->wire);
    TRY(trace_decode_session_begin(reader, &record, arena, &begin));
    if (begin.spec != TRACE_SPEC || begin.seed)
        return replay_refuse(refusal, REPLAY_OTHER_VERSION,
                             "event specification %" PRIu64 ", this version knows %d",
                             begin.spec, TRACE_SPEC);
    return ERR_ok;
}

static bool set_key(void *self, const char *key, const char *value)
{
    return replay_kernel_config_set(self, key, value);
}

enum err replay_kernel_setup_read(struct arena *arena, struct trace_reader *reader,
                                  struct replay_kernel_setup *ret_setup,
                                  struct replay_refusal *ret_refusal)
{
    struct replay_kernel_setup setup = {.gas_log = PVM_GAS_LOG_NONE};
    struct trace_record record;
    TRY(read_begin(arena, reader, ret_refusal));
    TRY(replay_setup_next(reader, &record));
    TRY(replay_setup_keys(arena, reader, &record, set_key, &setup, ret_refusal));
    if (kernel_config_check(&setup.config) || !setup.gas_log)
        return replay_refuse(ret_refusal, REPLAY_OTHER_CONFIGURATION,
                             "a configuration that this version does not accept");
    *ret_setup = setup;
    return ERR_ok;
}

bool replay_kernel_is(const struct trace_source *source)
{
    struct arena arena;
    struct trace_reader *reader;
    struct trace_record record;
    struct trace_session_config config = {0};
    bool is_kernel = false;
    arena_init(&arena, (size_t)96 << 20);
    if (!trace_reader_open(&arena, source, NULL, NULL, &reader)) {
        enum err err = replay_setup_next(reader, &record);
        while (!err && !is_kernel && record.seq <= countof(row)) {
            is_kernel =
                record.kind->id == TRACE_ID_session_config &&
                !trace_decode_session_config(reader, &record, &arena, &config) &&
                config.key && strcmp(config.key, "pvm.kernel") == 0;
            err = replay_setup_next(reader, &record);
        }
        trace_reader_close(reader);
    }
    arena_fini(&arena);
    return is_kernel;
}
