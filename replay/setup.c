/* SPDX-License-Identifier: MIT
 *
 * Setups: from a container, from a trace, and into an address space.
 */
#include "replay/setup.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- session.config (trace-replay.md 4.1) ---- */

enum config_kind { CONFIG_NUMBER, CONFIG_SWITCH, CONFIG_GAS_LOG };

/* Ascending keys.  An absent key means 0, off or none. */
static const struct config_row {
    const char *key;
    enum config_kind kind;
    size_t offset;
} config_row[] = {
    {"digest.every", CONFIG_NUMBER, offsetof(struct replay_setup, digest_every)},
    {"gas", CONFIG_GAS_LOG, offsetof(struct replay_setup, gas_log)},
    {"hash.every", CONFIG_NUMBER, offsetof(struct replay_setup, hash_every)},
    {"log.reads", CONFIG_SWITCH, offsetof(struct replay_setup, log_reads)},
    {"log.writes", CONFIG_SWITCH, offsetof(struct replay_setup, log_writes)},
};

static const char *const gas_log_word[] = {
    [PVM_GAS_LOG_NONE] = "",
    [PVM_GAS_LOG_LEDGER] = "ledger",
    [PVM_GAS_LOG_EACH] = "each",
    [PVM_GAS_LOG_SUMMARY] = "summary",
};

bool replay_setup_config_get(const struct replay_setup *setup, unsigned index,
                             const char **ret_key, char ret_value[SETUP_TEXT_SIZE])
{
    if (index >= countof(config_row))
        return false;
    const struct config_row *row = &config_row[index];
    const void *member = (const char *)setup + row->offset;
    uint64_t number = 0;
    *ret_key = row->key;
    ret_value[0] = 0;
    switch (row->kind) {
    case CONFIG_NUMBER:
        memcpy(&number, member, sizeof number);
        if (number)
            (void)snprintf(ret_value, SETUP_TEXT_SIZE, "%" PRIu64, number);
        break;
    case CONFIG_SWITCH:
        (void)snprintf(ret_value, SETUP_TEXT_SIZE, "%s",
                       *(const bool *)member ? "1" : "");
        break;
    case CONFIG_GAS_LOG:
        (void)snprintf(ret_value, SETUP_TEXT_SIZE, "%s",
                       gas_log_word[*(const enum pvm_gas_log *)member]);
        break;
    }
    return true;
}

/* A decimal number without leading zeros, not 0. */
static bool parse_number(const char *text, uint64_t *ret_number)
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
    return true;
}

static bool row_set(const struct config_row *row, void *member, const char *value)
{
    uint64_t number = 0;
    switch (row->kind) {
    case CONFIG_NUMBER:
        if (!parse_number(value, &number))
            return false;
        memcpy(member, &number, sizeof number);
        return true;
    case CONFIG_SWITCH:
        *(bool *)member = true;
        return strcmp(value, "1") == 0;
    case CONFIG_GAS_LOG:
    default:
        for (unsigned i = PVM_GAS_LOG_LEDGER; i < countof(gas_log_word); i++) {
            if (strcmp(gas_log_word[i], value) == 0) {
                *(enum pvm_gas_log *)member = (enum pvm_gas_log)i;
                return true;
            }
        }
        return false;
    }
}

bool replay_setup_config_set(struct replay_setup *setup, const char *key,
                             const char *value)
{
    for (unsigned i = 0; i < countof(config_row); i++) {
        if (strcmp(config_row[i].key, key) == 0)
            return row_set(&config_row[i], (char *)setup + config_row[i].offset, value);
    }
    return false;
}

/* ---- from a container ---- */

enum err replay_args_join(struct arena *arena, const struct trace_list_b *argv,
                          struct bytes *ret_args)
{
    size_t size = 0;
    for (size_t i = 0; i < argv->count; i++)
        size += argv->item[i].size + 1;
    uint8_t *args = arena_alloc(arena, size, 1);
    if (!args)
        return ERR_nomem;
    *ret_args = bytes_of(args, size);
    for (size_t i = 0; i < argv->count; i++) {
        if (argv->item[i].size)
            memcpy(args, argv->item[i].data, argv->item[i].size);
        args += argv->item[i].size + 1; /* the arena's zero is the NUL */
    }
    return ERR_ok;
}

enum err replay_setup_container(struct arena *arena,
                                const struct pvm_container *container,
                                struct replay_setup *ret_setup)
{
    struct trace_uuu *map =
        arena_new_array(arena, struct trace_uuu, PVM_REGION_COUNT_MAX);
    struct trace_uw *mem =
        arena_new_array(arena, struct trace_uw, PVM_REGION_COUNT_MAX);
    if (!map || !mem)
        return ERR_nomem;
    *ret_setup = (struct replay_setup){
        .code = container->raw,
        .gas = REPLAY_GAS_DEFAULT,
        .maps = {map, container->region_count},
        .mem = {mem, 0},
        .gas_log = PVM_GAS_LOG_LEDGER,
        .hash_every = REPLAY_HASH_EVERY,
        .digest_every = REPLAY_DIGEST_EVERY,
    };
    memcpy(ret_setup->reg, container->reg, sizeof container->reg);
    for (uint32_t i = 0; i < container->region_count; i++) {
        const struct pvm_region *region = &container->region[i];
        map[i] = (struct trace_uuu){region->start, region->size, region->access};
        if (region->data.size)
            mem[ret_setup->mem.count++] =
                (struct trace_uw){region->start, region->data};
    }
    return ERR_ok;
}

/* ---- from a trace ---- */

struct setup_reader {
    struct arena *arena;
    struct trace_reader *reader;
    struct replay_setup *setup;
    struct replay_refusal *refusal;
    struct trace_record record;
};

static enum err next(struct setup_reader *r)
{
    return replay_setup_next(r->reader, &r->record);
}

static enum err expect(struct setup_reader *r, enum trace_id id)
{
    if (r->record.kind->id == (uint32_t)id)
        return ERR_ok;
    return replay_refuse(r->refusal, REPLAY_DAMAGED,
                         "event %" PRIu64 " is %.32s, expected %s", r->record.seq,
                         r->record.kind->wire, trace_kind_of(id)->wire);
}

static enum err read_begin(struct setup_reader *r)
{
    struct trace_session_begin begin;
    TRY(next(r));
    TRY(expect(r, TRACE_ID_session_begin));
    TRY(trace_decode_session_begin(r->reader, &r->record, r->arena, &begin));
    if (begin.spec != TRACE_SPEC)
        return replay_refuse(r->refusal, REPLAY_OTHER_VERSION,
                             "event specification %" PRIu64 ", this version knows %d",
                             begin.spec, TRACE_SPEC);
    if (begin.seed)
        return replay_refuse(r->refusal, REPLAY_OTHER_VERSION, "recorded with chaos");
    r->setup->epoch_ns = begin.epoch;
    return next(r);
}

static bool set_key(void *self, const char *key, const char *value)
{
    return replay_setup_config_set(self, key, value);
}

static enum err read_config(struct setup_reader *r)
{
    return replay_setup_keys(r->arena, r->reader, &r->record, set_key, r->setup,
                             r->refusal);
}

static enum err read_args(struct setup_reader *r)
{
    struct trace_input_args args;
    if (r->record.kind->id != TRACE_ID_input_args)
        return ERR_ok;
    TRY(trace_decode_input_args(r->reader, &r->record, r->arena, &args));
    if (args.env.count)
        return replay_refuse(r->refusal, REPLAY_OTHER_VERSION,
                             "the guest was given an environment");
    r->setup->argv = args.argv;
    /* The bytes point into the record. */
    struct bytes *item = arena_new_array(r->arena, struct bytes, args.argv.count);
    if (!item)
        return ERR_nomem;
    for (size_t i = 0; i < args.argv.count; i++) {
        struct bytes arg = args.argv.item[i];
        item[i] = bytes_of(arena_copy(r->arena, arg.data, arg.size), arg.size);
        if (!item[i].data)
            return ERR_nomem;
    }
    r->setup->argv.item = item;
    return next(r);
}

/* A w value that is short points into the record too. */
static enum err keep(struct setup_reader *r, struct bytes *bytes)
{
    struct bytes wire = r->record.wire;
    if (!bytes->size || bytes->data < wire.data || bytes->data >= wire.data + wire.size)
        return ERR_ok;
    bytes->data = arena_copy(r->arena, bytes->data, bytes->size);
    return bytes->data ? ERR_ok : ERR_nomem;
}

static enum err read_program(struct setup_reader *r)
{
    struct trace_pvm_program program;
    TRY(expect(r, TRACE_ID_pvm_program));
    TRY(trace_decode_pvm_program(r->reader, &r->record, r->arena, &program));
    struct replay_setup *setup = r->setup;
    TRY(keep(r, &program.code));
    if (program.prog || program.kind)
        return replay_refuse(r->refusal, REPLAY_OTHER_VERSION,
                             "program %" PRIu64 " of kind %" PRIu64, program.prog,
                             program.kind);
    struct hash256 hash = hash256_of(program.code.data, program.code.size);
    if (!program.hash.present || !hash256_equal(&program.hash.hash, &hash))
        return replay_refuse(
            r->refusal, REPLAY_OTHER_PROGRAM,
            "the code of program 0 does not have the hash it is named by");
    struct pvm_code code;
    enum err err = pvm_code_parse(program.code, &code);
    if (err)
        return replay_refuse(r->refusal, REPLAY_OTHER_PROGRAM, "program 0: %s",
                             err_text(err));
    setup->code = program.code;
    setup->config = (struct pvm_config){
        .profile = (enum pvm_profile)program.profile,
        .model = (uint32_t)program.model,
        .mem_cycles = (uint32_t)program.mem_cycles,
    };
    if (program.profile > PVM_PROFILE_JAVM || program.model > UINT32_MAX ||
        program.mem_cycles > UINT32_MAX || pvm_config_check(&setup->config))
        return replay_refuse(r->refusal, REPLAY_OTHER_CONFIGURATION,
                             "profile %" PRIu64 ", gas model %" PRIu64
                             ", mem_cycles %" PRIu64 " are not known to this version",
                             program.profile, program.model, program.mem_cycles);
    return next(r);
}

static enum err read_start(struct setup_reader *r)
{
    struct trace_pvm_start start;
    TRY(expect(r, TRACE_ID_pvm_start));
    TRY(trace_decode_pvm_start(r->reader, &r->record, r->arena, &start));
    struct replay_setup *setup = r->setup;
    if (start.prog || start.pc > UINT32_MAX || start.gas > REPLAY_GAS_MAX ||
        start.regs.count > PVM_REG_COUNT || start.maps.count > SETUP_MAP_COUNT_MAX ||
        start.mem.count > SETUP_MAP_COUNT_MAX)
        return replay_refuse(r->refusal, REPLAY_DAMAGED, "pvm.start makes no sense");
    setup->pc = (uint32_t)start.pc;
    setup->gas = start.gas;
    for (size_t i = 0; i < start.regs.count; i++)
        setup->reg[i] = start.regs.item[i];
    setup->maps = start.maps;
    struct trace_uw *mem = arena_new_array(r->arena, struct trace_uw, start.mem.count);
    if (!mem)
        return ERR_nomem;
    setup->mem = (struct trace_list_uw){mem, start.mem.count};
    for (size_t i = 0; i < start.mem.count; i++) {
        mem[i] = start.mem.item[i];
        TRY(keep(r, &mem[i].b));
    }
    return ERR_ok;
}

enum err replay_setup_read(struct arena *arena, struct trace_reader *reader,
                           struct replay_setup *ret_setup,
                           struct replay_refusal *ret_refusal)
{
    struct replay_setup setup = {0};
    struct setup_reader r = {
        .arena = arena, .reader = reader, .setup = &setup, .refusal = ret_refusal};
    TRY(read_begin(&r));
    TRY(read_config(&r));
    TRY(read_args(&r));
    TRY(read_program(&r));
    TRY(read_start(&r));
    *ret_setup = setup;
    return ERR_ok;
}

/* ---- into an address space ---- */

/* Bytes that share pages: entries [first, end) of `mem` as one run of whole pages. */
struct run {
    size_t first, end;
    uint64_t start, stop; /* page aligned, page aligned */
    uint64_t data_stop;
};

static uint64_t page_floor(uint64_t address)
{
    return address & ~(uint64_t)(PVM_PAGE_SIZE - 1);
}

static uint64_t page_ceil(uint64_t address)
{
    return page_floor(address + PVM_PAGE_SIZE - 1);
}

static struct run run_at(const struct trace_list_uw *mem, size_t first)
{
    const struct trace_uw *item = &mem->item[first];
    struct run run = {.first = first, .end = first + 1, .start = page_floor(item->a)};
    run.data_stop = item->a + item->b.size;
    run.stop = page_ceil(run.data_stop);
    while (run.end < mem->count && mem->item[run.end].a < run.stop) {
        item = &mem->item[run.end++];
        run.data_stop = item->a + item->b.size;
        run.stop = page_ceil(run.data_stop);
    }
    return run;
}

/* Ascending, no overlap, nothing empty, inside the address space. */
static bool mem_is_ordered(const struct trace_list_uw *mem)
{
    uint64_t stop = 0;
    for (size_t i = 0; i < mem->count; i++) {
        const struct trace_uw *item = &mem->item[i];
        uint64_t limit = (uint64_t)1 << 32;
        if (item->a < stop || item->a >= limit || !item->b.size ||
            item->b.size > limit - item->a)
            return false;
        stop = item->a + item->b.size;
    }
    return true;
}

static enum err map_zero(struct pvm_mem *mem, uint64_t start, uint64_t stop,
                         enum pvm_access access)
{
    if (start == stop)
        return ERR_ok;
    return pvm_mem_map(mem, (uint32_t)start, stop - start, access, (struct bytes){0});
}

static enum err map_run(const struct trace_list_uw *list, const struct run *run,
                        enum pvm_access access, struct arena *arena,
                        struct pvm_mem *mem)
{
    struct bytes data = list->item[run->first].b;
    if (run->end - run->first > 1 || list->item[run->first].a != run->start) {
        size_t size = (size_t)(run->data_stop - run->start);
        uint8_t *joined = arena_alloc(arena, size, 1);
        if (!joined)
            return ERR_nomem;
        for (size_t i = run->first; i < run->end; i++)
            memcpy(joined + (list->item[i].a - run->start), list->item[i].b.data,
                   list->item[i].b.size);
        data = bytes_of(joined, size);
    }
    return pvm_mem_map(mem, (uint32_t)run->start, run->stop - run->start, access, data);
}

/* One map: zero pages, and runs of pages with bytes between them. */
static enum err map_one(const struct replay_setup *setup, const struct trace_uuu *map,
                        struct arena *arena, struct pvm_mem *mem, size_t *ret_used)
{
    const uint64_t limit = (uint64_t)1 << 32;
    if (map->c != PVM_ACCESS_R && map->c != PVM_ACCESS_RW)
        return ERR_usage;
    if (map->a % PVM_PAGE_SIZE || map->b % PVM_PAGE_SIZE || !map->b)
        return ERR_pvm_align;
    if (map->a >= limit || map->b > limit - map->a)
        return ERR_pvm_limit;
    enum pvm_access access = (enum pvm_access)map->c;
    uint64_t at = map->a, stop = map->a + map->b;
    for (size_t i = 0; i < setup->mem.count;) {
        struct run run = run_at(&setup->mem, i);
        i = run.end;
        if (run.start < at || run.start >= stop)
            continue;
        if (run.stop > stop)
            return ERR_usage;
        TRY(map_zero(mem, at, run.start, access));
        TRY(map_run(&setup->mem, &run, access, arena, mem));
        at = run.stop;
        *ret_used += run.end - run.first;
    }
    return map_zero(mem, at, stop, access);
}

enum err replay_setup_map(const struct replay_setup *setup, struct arena *arena,
                          struct pvm_mem *mem)
{
    size_t used = 0;
    if (!mem_is_ordered(&setup->mem))
        return ERR_usage;
    for (size_t i = 0; i < setup->maps.count; i++)
        TRY(map_one(setup, &setup->maps.item[i], arena, mem, &used));
    return used == setup->mem.count ? ERR_ok : ERR_usage;
}

/* ---- of any guest ---- */

enum err replay_refuse(struct replay_refusal *refusal, enum replay_class class,
                       const char *format, ...)
{
    va_list list;
    va_start(list, format);
    refusal->class = (uint8_t) class;
    (void)vsnprintf(refusal->text, sizeof refusal->text, format, list);
    va_end(list);
    return ERR_trace_event;
}

enum err replay_setup_next(struct trace_reader *reader, struct trace_record *ret_record)
{
    bool end;
    TRY(trace_reader_next(reader, ret_record, &end));
    return end ? ERR_trace_end : ERR_ok;
}

enum err replay_setup_keys(struct arena *arena, struct trace_reader *reader,
                           struct trace_record *record,
                           bool (*set)(void *self, const char *key, const char *value),
                           void *self, struct replay_refusal *refusal)
{
    char last[64] = "";
    while (record->kind->id == TRACE_ID_session_config) {
        struct trace_session_config config = {0};
        TRY(trace_decode_session_config(reader, record, arena, &config));
        const char *key = config.key ? config.key : "";
        const char *value = config.value ? config.value : "";
        if (strcmp(key, last) <= 0)
            return replay_refuse(refusal, REPLAY_DAMAGED, "key %.40s is out of order",
                                 key);
        if (!set(self, key, value))
            return replay_refuse(refusal, REPLAY_OTHER_CONFIGURATION,
                                 "key %.40s, value %.40s: not known to this version",
                                 key, value);
        (void)snprintf(last, sizeof last, "%s", key);
        TRY(replay_setup_next(reader, record));
    }
    return ERR_ok;
}

static bool config_has(struct trace_reader *reader, struct arena *arena,
                       const char *key)
{
    struct trace_record record;
    bool end = false;
    while (!trace_reader_next(reader, &record, &end) && !end) {
        struct trace_session_config config = {0};
        if (record.kind->id == TRACE_ID_session_begin)
            continue;
        if (record.kind->id != TRACE_ID_session_config ||
            trace_decode_session_config(reader, &record, arena, &config))
            break;
        if (config.key && strcmp(config.key, key) == 0)
            return true;
    }
    return false;
}

bool replay_setup_has_key(const struct trace_source *source, enum trace_guest guest,
                          const char *key)
{
    enum { CONFIG_MEMORY_MAX = 256 << 20 };
    struct trace_reader *reader = NULL;
    struct arena arena;
    arena_init(&arena, CONFIG_MEMORY_MAX);
    bool has = !trace_reader_open(&arena, source, NULL, NULL, &reader) &&
               trace_reader_header(reader)->guest == guest &&
               config_has(reader, &arena, key);
    trace_reader_close(reader);
    arena_fini(&arena);
    return has;
}
