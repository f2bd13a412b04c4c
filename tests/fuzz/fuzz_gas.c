/* SPDX-License-Identifier: MIT
 *
 * Hostile ledgers: records in the open tail of a file whose checksums are right, so
 * that the walk over the gas ledger and the profiles meet any field and any order of
 * events. The first byte's bits choose: 1 verify, 2 a range, 4 names of functions, 8 a
 * list.
 */
#include "analysis/analysis.h"

#include "base/hash.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHARGES_MAX = 1 << 14, MEMORY_MAX = 256 << 20, FILE_MAX = 8 << 20 };
enum { COMMIT_WORD = 104, RECORDS = 112, CAPACITY = 524288 }; /* trace-replay.md 2.6 */
enum { VERIFY = 1, RANGE = 2, NAMES = 4, LIST = 8, PAGES = 16 };

static const char map[] = "export  0 0x00000000 main\n"
                          "function 0x00000000      5 start a.o .text\n"
                          "function 0x00000007     40 next a.o .text\n";

/* The bytes of a trace that has these records and has not been finished. */
static struct bytes wrap(struct bytes records)
{
    static struct trace_memory memory;
    static uint64_t window;
    if (!memory.file.data) {
        struct arena arena;
        struct trace_writer *writer;
        arena_init(&arena, 1 << 24);
        trace_memory_init(&memory, FILE_MAX);
        struct trace_sink sink = trace_memory_sink(&memory);
        check(!trace_writer_create(
            &arena, &sink, &(struct trace_writer_options){.guest = TRACE_GUEST_PVM},
            &writer));
        trace_memory_flush(&memory);
        window = memory.window_offset;
        trace_writer_abandon(writer);
        arena_fini(&arena);
    }
    if (records.size > CAPACITY - RECORDS)
        records.size = CAPACITY - RECORDS;
    uint8_t *tail = memory.file.data + window;
    uint64_t commit =
        (uint64_t)hash_crc32c(0, records.data, records.size) << 32 | records.size;
    for (unsigned i = 0; i < 8; i++)
        tail[COMMIT_WORD + i] = (uint8_t)(commit >> (8 * i));
    if (records.size)
        memcpy(tail + RECORDS, records.data, records.size);
    return buf_bytes(&memory.file);
}

/* A profile that has enough at some point: a ledger may name 2^64 charges. */
struct listener {
    struct analysis_gas_visitor profile;
    uint64_t count;
    uint64_t gas;
};

static bool on_enter(void *self, const struct analysis_entry *entry)
{
    struct listener *l = self;
    return l->profile.enter(l->profile.self, entry);
}

static bool on_charge(void *self, const struct analysis_charge *charge)
{
    struct listener *l = self;
    if (charge->inside && charge->kind != ANALYSIS_CHARGE_CREDIT)
        l->gas += charge->cost;
    return l->profile.charge(l->profile.self, charge) && ++l->count < CHARGES_MAX;
}

static bool on_ecall(void *self, uint64_t op, bool inside)
{
    struct listener *l = self;
    return l->profile.ecall(l->profile.self, op, inside);
}

static bool count_line(void *self, struct bytes text)
{
    uint64_t *size = self;
    *size += text.size;
    return *size < 1 << 20;
}

static void look(struct analysis_profile *profile, unsigned flags, struct arena *arena)
{
    uint64_t size = 0;
    unsigned last = flags & PAGES ? ANALYSIS_BY_PAGE : ANALYSIS_BY_OP;
    for (unsigned by = ANALYSIS_BY_BLOCK; by <= last; by++) {
        struct analysis_profile_rows rows;
        enum err err =
            analysis_profile_table(profile, (enum analysis_profile_by)by, arena, &rows);
        check(!err || err == ERR_nomem);
    }
    for (unsigned w = ANALYSIS_WEIGHT_GAS; w <= ANALYSIS_WEIGHT_CHARGES; w++)
        (void)!analysis_profile_collapsed(profile, (enum analysis_weight)w, count_line,
                                          &size);
}

static void walk(struct trace_reader *reader, unsigned flags, struct arena *arena)
{
    struct analysis_symbols symbols;
    struct analysis_profile *profile;
    struct analysis_gas_totals totals;
    struct analysis_gas_fault fault;
    uint32_t line;
    check(
        !analysis_symbols_parse(arena, bytes_of(map, sizeof map - 1), &symbols, &line));
    unsigned parts = ANALYSIS_PROFILE_BLOCKS | ANALYSIS_PROFILE_OPS |
                     ANALYSIS_PROFILE_STACKS |
                     (flags & PAGES ? ANALYSIS_PROFILE_PAGES : 0);
    check(!analysis_profile_create(arena, parts, flags & NAMES ? &symbols : NULL,
                                   &profile));
    struct listener listener = {.profile = analysis_profile_visitor(profile)};
    struct analysis_gas_options options = {.list = flags & LIST,
                                           .all_charges = true,
                                           .verify = flags & VERIFY,
                                           .visitor = {.self = &listener,
                                                       .enter = on_enter,
                                                       .charge = on_charge,
                                                       .ecall = on_ecall}};
    if (flags & RANGE) {
        options.from = (struct analysis_position){ANALYSIS_CLOCK_ICOUNT, 3};
        options.to = (struct analysis_position){ANALYSIS_CLOCK_GAS, 1000};
    }
    enum err err = analysis_gas_walk(arena, reader, &options, &totals, &fault);
    check(err != ERR_trace_ledger || fault.text);
    if (!err && !(totals.forms & ANALYSIS_GAS_SUMMARY))
        check(totals.gas == listener.gas);
    if (!analysis_profile_finish(profile, totals.insn_count))
        look(profile, flags, arena);
    analysis_profile_close(profile);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct bytes file = wrap(bytes_of(data + 1, size - 1));
    struct trace_source source = trace_bytes_source(&file);
    struct trace_reader *reader = NULL;
    struct arena arena;
    arena_init(&arena, MEMORY_MAX);
    check(!trace_reader_open(&arena, &source, &(struct trace_reader_options){0}, NULL,
                             &reader));
    walk(reader, data[0], &arena);
    trace_reader_close(reader);
    arena_fini(&arena);
    return 0;
}
