/* SPDX-License-Identifier: MIT
 *
 * A pc under the debugger: opening its trace, registers, memory.
 */
#include "replay/debug_pc.h"

#include "replay/pc_setup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RAM, decoded code, images and inputs. */
#define MEMORY_MAX ((size_t)8 << 30)
#define EVENT_MEMORY ((size_t)96 << 20)
#define OUTPUT_SIZE_MAX ((size_t)4 << 30)
enum { STATE_SIZE_MAX = 8 << 20, MESSAGE = REPLAY_DEBUG_MESSAGE_SIZE };

/* ---- registers (trace-replay.md 9.1) ---- */

enum { REG_EIP = 8, REG_EFLAGS, REG_CS, REG_ST0 = 16, REG_FCTRL = 24, REG_CR0 = 32 };
enum { REG_CR3 = REG_CR0 + 1, REG_LINEAR_PC, REG_COUNT };

static const struct replay_register reg_row[REG_COUNT] = {
    {"eax", 4},   {"ecx", 4},  {"edx", 4},   {"ebx", 4},   {"esp", 4},
    {"ebp", 4},   {"esi", 4},  {"edi", 4},   {"eip", 4},   {"eflags", 4},
    {"cs", 4},    {"ss", 4},   {"ds", 4},    {"es", 4},    {"fs", 4},
    {"gs", 4},    {"st0", 10}, {"st1", 10},  {"st2", 10},  {"st3", 10},
    {"st4", 10},  {"st5", 10}, {"st6", 10},  {"st7", 10},  {"fctrl", 4},
    {"fstat", 4}, {"ftag", 4}, {"fiseg", 4}, {"fioff", 4}, {"foseg", 4},
    {"fooff", 4}, {"fop", 4},  {"cr0", 4},   {"cr3", 4},   {"linear_pc", 4},
};

#define REG(name, type) "<reg name=\"" name "\" bitsize=\"32\" type=\"" type "\"/>"
#define INT(name) REG(name, "int")
#define ST(name) "<reg name=\"" name "\" bitsize=\"80\" type=\"i387_ext\"/>"
#define FPU(name) "<reg name=\"" name "\" bitsize=\"32\" type=\"int\" group=\"float\"/>"
static const char description[] =
    "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
    "<target><architecture>i386</architecture><osabi>none</osabi>"
    "<feature name=\"org.gnu.gdb.i386.core\">" INT("eax") INT("ecx") INT("edx") INT(
        "ebx") REG("esp", "data_ptr") REG("ebp", "data_ptr") INT("esi") INT("edi")
        REG("eip", "code_ptr") INT("eflags") INT("cs") INT("ss") INT("ds") INT("es")
            INT("fs") INT("gs") ST("st0") ST("st1") ST("st2") ST("st3") ST("st4")
                ST("st5") ST("st6") ST("st7") FPU("fctrl") FPU("fstat") FPU("ftag")
                    FPU("fiseg") FPU("fioff") FPU("foseg") FPU("fooff") FPU(
                        "fop") "</feature><feature name=\"org.lockstep.pc\">" INT("cr0")
                        INT("cr3") REG("linear_pc", "code_ptr") "</feature></target>";
#undef REG
#undef INT
#undef ST
#undef FPU

/* The tag word of the 8087: 0 valid, 1 zero, 2 special, 3 empty, by physical register
 * (SDM volume 1, 8.1.7). */
static uint32_t full_tags(const struct emu_fpu *fpu)
{
    uint32_t word = 0;
    for (unsigned i = 0; i < 8; i++) {
        const struct emu_f80 *st = &fpu->st[i];
        unsigned exponent = st->sign_exponent & 0x7fffu, tag = 2;
        if (!(fpu->tags >> i & 1))
            tag = 3;
        else if (!exponent && !st->mantissa)
            tag = 1;
        else if (exponent && exponent != 0x7fff && st->mantissa >> 63)
            tag = 0;
        word |= tag << (2 * i);
    }
    return word;
}

static uint32_t fpu_register(const struct emu_fpu *fpu, unsigned index)
{
    switch (index) {
    case 0:
        return fpu->control;
    case 1:
        return fpu->status;
    case 2:
        return full_tags(fpu);
    case 3:
        return fpu->cs;
    case 4:
        return fpu->ip;
    case 5:
        return fpu->ds;
    case 6:
        return fpu->dp;
    default:
        return fpu->opcode;
    }
}

static uint32_t system_register(const struct emu_cpu *cpu, unsigned index)
{
    static const uint8_t segment[] = {EMU_CS, EMU_SS, EMU_DS, EMU_ES, EMU_FS, EMU_GS};
    switch (index) {
    case REG_EIP:
        return cpu->eip;
    case REG_EFLAGS:
        return cpu->eflags;
    case REG_CR0:
        return cpu->cr0;
    case REG_CR3:
        return cpu->cr3;
    case REG_LINEAR_PC:
        return cpu->segment[EMU_CS].base + cpu->eip;
    default:
        return cpu->segment[segment[index - REG_CS]].selector;
    }
}

static void put(uint8_t *bytes, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static void register_get(void *self, unsigned index, uint8_t *ret_bytes)
{
    const struct debug_pc *g = self;
    const struct emu_cpu *cpu = g->pc->cpu;
    const struct emu_fpu *fpu = &cpu->fpu;
    if (index < REG_EIP) {
        put(ret_bytes, cpu->reg[index], 4);
    } else if (index >= REG_ST0 && index < REG_FCTRL) {
        const struct emu_f80 *st =
            &fpu->st[((fpu->status >> 11) + (index - REG_ST0)) & 7];
        put(ret_bytes, st->mantissa, 8);
        put(ret_bytes + 8, st->sign_exponent, 2);
    } else if (index >= REG_FCTRL && index < REG_CR0) {
        put(ret_bytes, fpu_register(fpu, index - REG_FCTRL), 4);
    } else {
        put(ret_bytes, system_register(cpu, index), 4);
    }
}

/* ---- memory, by linear address ---- */

static size_t memory_read(void *self, uint64_t address, uint8_t *data, size_t size)
{
    const struct debug_pc *g = self;
    if (address > UINT32_MAX)
        return 0;
    uint64_t room = UINT64_C(0x100000000) - address;
    return emu_cpu_peek(g->pc->cpu, (uint32_t)address, data,
                        size < room ? size : (size_t)room);
}

static enum err modules(void *self, struct arena *arena,
                        struct replay_module_list *ret_list)
{
    const struct replay_linux_memory memory = {memory_read, self, REPLAY_LINUX_FIRST};
    return replay_linux_modules(&memory, arena, ret_list);
}

static enum err symbols(void *self, struct arena *arena,
                        struct replay_symbol_list *ret_list)
{
    const struct replay_linux_memory memory = {memory_read, self, REPLAY_LINUX_FIRST};
    return replay_linux_symbols(&memory, arena, ret_list);
}

/* A kernel that the host has unpacked needs its page tables only; one that unpacks
 * itself takes 2.3 * 10^9 instructions (Debian's 6.1). */
static uint64_t symbols_after(const struct debug_pc *g)
{
    if (g->boot_kind != EMU_BOOT_LINUX)
        return 0;
    return (uint64_t)1 << (g->setup.boot.as_bzimage ? 32 : 24);
}

/* gdb knows the processor. */
static unsigned disassemble(void *self, uint64_t address, struct buf *text)
{
    (void)self, (void)address, (void)text;
    return 0;
}

static uint64_t gas(void *self)
{
    (void)self;
    return 0;
}

static uint64_t snapshot_memory(void *self)
{
    return ((const struct debug_pc *)self)->memory;
}

static const struct replay_guest_ops ops = {
    .name = "pc",
    .gdb = "gdb",
    .has_sub = true,
    .reg = reg_row,
    .reg_count = REG_COUNT,
    .general_count = REG_CR0,
    .pc_reg = REG_EIP,
    .code_reg = REG_LINEAR_PC,
    .sp_reg = EMU_ESP,
    .description = description,
    .register_get = register_get,
    .memory_read = memory_read,
    .time = replay_debug_pc_time,
    .gas = gas,
    .disassemble = disassemble,
    .modules = modules,
    .symbols = symbols,
    .set_stops = replay_debug_pc_set_stops,
    .run = replay_debug_pc_run,
    .save = replay_debug_pc_save,
    .load = replay_debug_pc_load,
    .drop = replay_debug_pc_drop,
    .snapshot_memory = snapshot_memory,
    .hash = replay_debug_pc_hash,
};

/* ---- open ---- */

static enum err refuse(char *message, const char *text)
{
    (void)snprintf(message, MESSAGE, "%s", text);
    return ERR_unsupported;
}

/* Room for one more item of a growing list. */
static enum err grow(void **list, size_t count, size_t *capacity, size_t item_size)
{
    if (count < *capacity)
        return ERR_ok;
    size_t more = *capacity ? 2 * *capacity : 256;
    void *items = realloc(*list, more * item_size);
    if (!items)
        return ERR_nomem;
    *list = items;
    *capacity = more;
    return ERR_ok;
}

static enum err keep_input(struct debug_pc *g, const struct trace_record *record,
                           struct debug_pc_input input)
{
    TRY(grow((void **)&g->input, g->input_count, &g->input_capacity, sizeof *g->input));
    const uint8_t *copy = arena_copy(&g->arena, input.data.data, input.data.size);
    if (!copy)
        return ERR_nomem;
    input.id = (enum trace_id)record->kind->id;
    input.time = (struct replay_time){record->clock.icount, record->clock.sub};
    input.data.data = copy;
    g->input[g->input_count++] = input;
    return ERR_ok;
}

static enum err add_input(struct debug_pc *g, const struct trace_record *record)
{
    struct trace_pc_input keys;
    struct trace_virtio_complete complete;
    struct trace_virtio_notify note;
    struct debug_pc_input input = {0};
    switch (record->kind->id) {
    case TRACE_ID_pc_input:
        TRY(trace_decode_pc_input(g->reader, record, &g->event, &keys));
        input.dev = keys.dev;
        input.data = keys.data;
        return keep_input(g, record, input);
    case TRACE_ID_virtio_complete:
        TRY(trace_decode_virtio_complete(g->reader, record, &g->event, &complete));
        input.queue = complete.queue;
        input.head = complete.head;
        return keep_input(g, record, input);
    case TRACE_ID_virtio_notify:
        TRY(trace_decode_virtio_notify(g->reader, record, &g->event, &note));
        input.data = note.data;
        return keep_input(g, record, input);
    default:
        return ERR_ok;
    }
}

static enum err add_reply(struct debug_pc *g, const struct trace_record *record,
                          char *message)
{
    struct trace_virtio_reply event;
    TRY(trace_decode_virtio_reply(g->reader, record, &g->event, &event));
    if (event.used && !event.data.size)
        return refuse(message, "its trees were in memory, and their replies are not in "
                               "the trace: record it with --log-bytes");
    TRY(grow((void **)&g->reply, g->reply_count, &g->reply_capacity, sizeof *g->reply));
    g->reply[g->reply_count++] =
        (struct debug_pc_reply){.time = {record->clock.icount, record->clock.sub},
                                .seq = record->seq,
                                .queue = event.queue,
                                .head = event.head};
    return ERR_ok;
}

static enum err take_record(struct debug_pc *g, const struct trace_record *record,
                            char *message)
{
    arena_clear(&g->event);
    TRY(add_input(g, record));
    if (record->kind->id == TRACE_ID_virtio_reply)
        TRY(add_reply(g, record, message));
    return replay_debug_pc_expect(g, record);
}

/* Forget what is in front of a gap. */
static void forget(struct debug_pc *g)
{
    g->input_count = g->reply_count = g->derived_count = 0;
    buf_clear(&g->output);
}

/* Read all events from the first one behind the setup, which is `record`.  Of a trace
 * with gaps, a part or what is left of a ring, we take what is behind the last one. */
static enum err survey(struct debug_pc *g, struct replay_debug *debug,
                       struct trace_record record, char *message)
{
    enum err err = ERR_ok;
    bool end = false;
    debug->setup_count = record.seq;
    uint64_t next = g->setup_end;
    do {
        if (record.seq != next) {
            g->gap_seq = record.seq;
            forget(g);
        }
        next = record.seq + 1;
        TRY(take_record(g, &record, message));
        g->end = (struct replay_time){record.clock.icount, record.clock.sub};
        debug->last_seq = record.seq;
        err = trace_reader_next(g->reader, &record, &end);
    } while (!err && !end);
    debug->damage = err; /* what is readable can be debugged */
    debug->finished = !err && trace_reader_state(g->reader) == TRACE_READER_CLOSED;
    g->finished = debug->finished;
    return ERR_ok;
}

static enum err read_setup(struct debug_pc *g, struct trace_record *ret_next,
                           char *message)
{
    struct replay_refusal refusal = {0};
    enum err err =
        replay_pc_setup_read(&g->arena, g->reader, &g->setup, ret_next, &refusal);
    if (err == ERR_trace_end)
        (void)snprintf(message, MESSAGE, "it ends before the first instruction");
    else if (err)
        (void)snprintf(message, MESSAGE, "%s",
                       refusal.text[0] ? refusal.text : err_text(err));
    return err;
}

/* The events of the setup have no gaps; *next is the one behind them, read again. */
static enum err count_setup(struct debug_pc *g, struct trace_record *next)
{
    const uint64_t seq = next->seq;
    bool end = false;
    TRY(trace_reader_seek_seq(g->reader, 0));
    for (g->setup_end = 0;; g->setup_end++) {
        TRY(trace_reader_next(g->reader, next, &end));
        if (end)
            return ERR_trace_end;
        if (next->seq == seq)
            return ERR_ok;
    }
}

static enum err create(struct debug_pc *g, char *message)
{
    struct emu_boot_problem problem = {0};
    enum err err = replay_debug_pc_create(g, &problem);
    if (err == ERR_image)
        (void)snprintf(message, MESSAGE, "%s %" PRIu64, problem.text, problem.value);
    if (err || !g->gap_seq)
        return err;
    err = replay_debug_pc_cross_gap(g);
    if (err)
        (void)snprintf(message, MESSAGE,
                       "the checkpoint in front of event %" PRIu64 ": %s", g->gap_seq,
                       err_text(err));
    return err;
}

void replay_debug_pc_close(void *self)
{
    struct debug_pc *g = self;
    if (!g)
        return;
    replay_pages_fini(&g->live, &g->memory);
    free(g->input);
    free(g->reply);
    free(g->derived);
    buf_fini(&g->output);
    free(g->break_linear);
    free(g->watch);
    free(g->watch_access);
    buf_fini(&g->scratch);
    trace_reader_close(g->reader);
    arena_fini(&g->event);
    arena_fini(&g->arena);
    free(g);
}

enum err replay_debug_pc_open(const struct trace_source *source,
                              struct replay_debug *debug, char *message)
{
    struct trace_fault fault;
    struct trace_record next;
    struct debug_pc *g = calloc(1, sizeof *g);
    if (!g)
        return ERR_nomem;
    debug->guest.self = g;
    debug->guest.ops = &ops;
    g->source = source;
    g->reader_seq = UINT64_MAX;
    arena_init(&g->arena, MEMORY_MAX);
    arena_init(&g->event, EVENT_MEMORY);
    buf_init(&g->scratch, STATE_SIZE_MAX);
    buf_init(&g->output, OUTPUT_SIZE_MAX);
    TRY(trace_reader_open(&g->arena, source, NULL, &fault, &g->reader));
    TRY(read_setup(g, &next, message));
    TRY(count_setup(g, &next));
    TRY(survey(g, debug, next, message));
    TRY(create(g, message));
    debug->guest.start = replay_debug_pc_time(g);
    debug->guest.symbols_after = symbols_after(g);
    debug->guest.end = g->end;
    return ERR_ok;
}
