/* SPDX-License-Identifier: MIT
 *
 * A PVM program under the debugger: opening its trace, registers, memory, snapshots.
 */
#include "replay/debug_pvm.h"

#include "replay/checkpoint.h"
#include "replay/unwind.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX ((size_t)1 << 30)
#define EVENT_MEMORY ((size_t)96 << 20)

/* ---- registers (trace-replay.md 9.1) ---- */

enum {
    REG_PC = DEBUG_PVM_REG_PC,
    REG_GAS = DEBUG_PVM_REG_GAS,
    FLAG_WRITTEN = 1,
};

/* RISC-V's 32-bit-encoded names for 13 registers of ours; zero, gp and tp are 0. */
const struct replay_register replay_debug_pvm_reg[DEBUG_PVM_REG_COUNT] = {
    {"zero", 8}, {"ra", 8}, {"sp", 8}, {"gp", 8}, {"tp", 8}, {"t0", 8},
    {"t1", 8},   {"t2", 8}, {"s0", 8}, {"s1", 8}, {"a0", 8}, {"a1", 8},
    {"a2", 8},   {"a3", 8}, {"a4", 8}, {"a5", 8}, {"pc", 8}, {"gas", 8},
};

/* phi by register number; -1: always 0. */
static const int8_t phi_of[REG_PC] = {-1, 0, 1, -1, -1, 2,  3,  4,
                                      5,  6, 7, 8,  9,  10, 11, 12};

#define REG(name) "<reg name=\"" name "\" bitsize=\"64\"/>"
const char replay_debug_pvm_description[] =
    "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
    "<target><architecture>riscv:rv64</architecture><osabi>none</osabi>"
    "<feature name=\"org.gnu.gdb.riscv.cpu\">" REG("zero") REG("ra") REG("sp") REG("gp")
        REG("tp") REG("t0") REG("t1") REG("t2") REG("s0") REG("s1") REG("a0") REG("a1")
            REG("a2") REG("a3") REG("a4") REG(
                "a5") "<reg name=\"pc\" bitsize=\"64\" type=\"code_ptr\"/></feature>"
                      "<feature name=\"org.lockstep.pvm\">"
                      "<reg name=\"gas\" bitsize=\"64\" group=\"general\"/>"
                      "</feature></target>";
#undef REG

void replay_debug_pvm_register(const struct pvm_state *state, uint64_t code_base,
                               unsigned index, uint8_t *ret_bytes)
{
    uint64_t value = 0;
    if (index == REG_PC)
        value = code_base + state->pc;
    else if (index == REG_GAS)
        value = state->gas;
    else if (phi_of[index] >= 0)
        value = state->reg[phi_of[index]];
    for (unsigned i = 0; i < 8; i++)
        ret_bytes[i] = (uint8_t)(value >> (8 * i));
}

static void register_get(void *self, unsigned index, uint8_t *ret_bytes)
{
    struct debug_pvm *g = self;
    replay_debug_pvm_register(&g->session->state, DEBUG_PVM_CODE_BASE, index,
                              ret_bytes);
}

/* ---- memory: the guest's, and the code above it ---- */

static size_t read_code(struct debug_pvm *g, uint64_t pc, uint8_t *data, size_t size)
{
    struct bytes code = pvm_program_code(g->program)->code;
    if (pc >= code.size)
        return 0;
    size_t count = code.size - (size_t)pc < size ? code.size - (size_t)pc : size;
    memcpy(data, code.data + pc, count);
    return count;
}

size_t replay_debug_pvm_read(const struct pvm_mem *mem, uint64_t address, uint8_t *data,
                             size_t size)
{
    size_t done = 0;
    while (mem && done < size && address + done <= UINT32_MAX) {
        uint32_t at = (uint32_t)(address + done), offset = at % PVM_PAGE_SIZE;
        const uint8_t *page = pvm_mem_page(mem, at / PVM_PAGE_SIZE);
        size_t count = PVM_PAGE_SIZE - offset;
        if (!page)
            break;
        count = count < size - done ? count : size - done;
        memcpy(data + done, page + offset, count);
        done += count;
    }
    return done;
}

static size_t memory_read(void *self, uint64_t address, uint8_t *data, size_t size)
{
    struct debug_pvm *g = self;
    if (address >= DEBUG_PVM_CODE_BASE)
        return read_code(g, address - DEBUG_PVM_CODE_BASE, data, size);
    return replay_debug_pvm_read(g->session->state.mem, address, data, size);
}

static unsigned disassemble(void *self, uint64_t address, struct buf *text)
{
    struct debug_pvm *g = self;
    struct pvm_insn insn;
    uint64_t pc = address - DEBUG_PVM_CODE_BASE;
    if (pc > UINT32_MAX ||
        !pvm_insn_decode(pvm_program_code(g->program),
                         pvm_program_config(g->program)->profile, (uint32_t)pc, &insn))
        return 0;
    pvm_insn_put_text(&insn, text);
    return insn.size;
}

static size_t frames(void *self, struct replay_frame *frame, size_t max)
{
    struct debug_pvm *g = self;
    const struct pvm_state *state = &g->session->state;
    return replay_unwind_list(
        pvm_program_code(g->program), pvm_program_config(g->program)->profile, state,
        (struct replay_frame){.pc = DEBUG_PVM_CODE_BASE + state->pc}, frame, max);
}

static struct replay_time time_of(void *self)
{
    struct debug_pvm *g = self;
    return (struct replay_time){.icount = g->session->state.icount};
}

static uint64_t gas_of(void *self)
{
    return debug_pvm_clock(self);
}

static const struct pvm_program *program_of(void *self)
{
    return ((const struct debug_pvm *)self)->program;
}

/* ---- snapshots (8) ---- */

struct replay_snapshot {
    struct pvm_state state;
    struct pages_image image;
};

static enum err note_written(struct debug_pvm *g, uint32_t page)
{
    if (g->written_count == g->written_capacity) {
        size_t capacity = g->written_capacity ? 2 * g->written_capacity : 256;
        uint32_t *list = realloc(g->written, capacity * sizeof *list);
        if (!list)
            return ERR_nomem;
        g->written = list;
        g->written_capacity = capacity;
    }
    g->written[g->written_count++] = page;
    return ERR_ok;
}

/* Take what was written into the live image. */
static enum err sync(struct debug_pvm *g)
{
    struct pvm_mem *mem = g->session->state.mem;
    for (uint32_t page = pvm_mem_next_dirty(mem, 0); page < PVM_PAGE_COUNT;
         page = pvm_mem_next_dirty(mem, page + 1)) {
        uint8_t flags = pvm_mem_written(mem, page) ? FLAG_WRITTEN : 0;
        TRY(note_written(g, page));
        TRY(replay_pages_set(&g->live, page, pvm_mem_page(mem, page), flags,
                             &g->memory));
        pvm_mem_clean(mem, page);
    }
    return ERR_ok;
}

static int compare_page(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static struct replay_page_list list_written(struct debug_pvm *g)
{
    size_t count = 0;
    if (g->written_count)
        qsort(g->written, g->written_count, sizeof *g->written, compare_page);
    for (size_t i = 0; i < g->written_count; i++) {
        if (!count || g->written[count - 1] != g->written[i])
            g->written[count++] = g->written[i];
    }
    g->written_count = 0;
    return (struct replay_page_list){g->written, count};
}

static enum err save(void *self, struct replay_snapshot **ret_snapshot,
                     struct replay_page_list *ret_written)
{
    struct debug_pvm *g = self;
    struct replay_snapshot *snapshot = malloc(sizeof *snapshot);
    enum err err = snapshot ? sync(g) : ERR_nomem;
    if (err) {
        free(snapshot);
        return err;
    }
    g->memory += sizeof *snapshot;
    snapshot->state = g->session->state;
    replay_pages_copy(&snapshot->image, &g->live);
    *ret_written = list_written(g);
    *ret_snapshot = snapshot;
    return ERR_ok;
}

static void restore_page(void *self, uint32_t page, const uint8_t *bytes, uint8_t flags)
{
    struct pvm_mem *mem = self;
    if (pvm_mem_access(mem, page) != PVM_ACCESS_NONE)
        pvm_mem_restore(mem, page, bytes, flags & FLAG_WRITTEN);
}

static void load(void *self, const struct replay_snapshot *snapshot)
{
    struct debug_pvm *g = self;
    struct pvm_mem *mem = g->session->state.mem;
    for (uint32_t page = pvm_mem_next_dirty(mem, 0); page < PVM_PAGE_COUNT;
         page = pvm_mem_next_dirty(mem, page + 1)) {
        uint8_t flags;
        const uint8_t *bytes = replay_pages_get(&snapshot->image, page, &flags);
        restore_page(mem, page, bytes, flags);
    }
    replay_pages_diff(&g->live, &snapshot->image, restore_page, mem);
    replay_pages_fini(&g->live, &g->memory);
    replay_pages_copy(&g->live, &snapshot->image);
    g->session->state = snapshot->state;
    g->written_count = 0;
}

static void drop(void *self, struct replay_snapshot *snapshot)
{
    struct debug_pvm *g = self;
    replay_pages_fini(&snapshot->image, &g->memory);
    g->memory -= sizeof *snapshot;
    free(snapshot);
}

static uint64_t snapshot_memory(void *self)
{
    return ((const struct debug_pvm *)self)->memory;
}

static enum err hash(void *self, uint8_t ret_hash[32])
{
    struct debug_pvm *g = self;
    struct arena arena;
    struct pvm_digest *digest;
    struct hash256 whole;
    TRY(sync(g)); /* the digest cleans pages */
    arena_init(&arena, MEMORY_MAX);
    pvm_mem_dirty_all(g->session->state.mem);
    enum err err = pvm_digest_create(&arena, g->session->state.mem, &digest);
    if (!err)
        err = pvm_digest_machine(digest, &g->session->state, &whole);
    arena_fini(&arena);
    if (!err)
        memcpy(ret_hash, whole.byte, sizeof whole.byte);
    return err;
}

/* ---- checkpoints of the trace ---- */

struct storing {
    struct debug_pvm *g;
    struct pages_image *image;
};

static enum err store_pages(void *self, uint64_t first_page, struct bytes bytes)
{
    struct storing *s = self;
    const struct pvm_mem *mem = s->g->session->state.mem;
    for (size_t i = 0; i < bytes.size / PVM_PAGE_SIZE; i++) {
        uint32_t page = (uint32_t)(first_page + i);
        if (pvm_mem_access(mem, page) == PVM_ACCESS_NONE)
            return ERR_trace_event;
        TRY(replay_pages_set(s->image, page, bytes.data + i * PVM_PAGE_SIZE, 0,
                             &s->g->memory));
    }
    return ERR_ok;
}

/* The page map of a program never changes; what has been written to does. */
static enum err store_run(void *self, uint32_t first, uint32_t count, unsigned mode,
                          bool written)
{
    struct storing *s = self;
    for (uint32_t page = first; page < first + count; page++) {
        uint8_t flags;
        if (pvm_mem_access(s->g->session->state.mem, page) != (enum pvm_access)mode)
            return ERR_trace_event;
        if (written)
            TRY(replay_pages_set(s->image, page,
                                 replay_pages_get(s->image, page, &flags), FLAG_WRITTEN,
                                 &s->g->memory));
    }
    return ERR_ok;
}

static enum err check_stored(struct debug_pvm *g, const struct trace_checkpoint *c)
{
    uint8_t digest[HASH256_SIZE];
    TRY(hash(g, digest));
    return memcmp(digest, c->state_hash.byte, sizeof digest) == 0 ? ERR_ok
                                                                  : ERR_trace_event;
}

/* Fill a snapshot, go there, and see whether it is what it says. */
static enum err take_stored(struct debug_pvm *g, size_t index,
                            struct replay_snapshot *snapshot)
{
    struct storing storing = {g, &snapshot->image};
    struct trace_checkpoint checkpoint;
    struct trace_pvm_machine machine;
    arena_clear(&g->event);
    g->reader_icount = UINT64_MAX;
    TRY(trace_checkpoint_load(&g->event, g->source, &g->stored, index, &checkpoint,
                              store_pages, &storing));
    TRY(trace_pvm_machine_get(checkpoint.machine, &machine));
    TRY(replay_access_each(machine.access, store_run, &storing));
    snapshot->state = g->session->state;
    TRY(replay_checkpoint_registers(&checkpoint, &machine, g->setup.gas,
                                    &snapshot->state));
    load(g, snapshot);
    TRY(check_stored(g, &checkpoint));
    replay_debug_pvm_settle(g);
    snapshot->state = g->session->state;
    return ERR_ok;
}

static enum err stored(void *self, size_t index, struct replay_snapshot **ret_snapshot,
                       struct replay_time *ret_time)
{
    struct debug_pvm *g = self;
    struct replay_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot)
        return ERR_nomem;
    g->memory += sizeof *snapshot;
    enum err err = take_stored(g, index, snapshot);
    if (err) {
        drop(g, snapshot);
        return err;
    }
    *ret_time = time_of(g);
    *ret_snapshot = snapshot;
    return ERR_ok;
}

static const struct replay_guest_ops ops = {
    .name = "pvm",
    .gdb = "gdb-multiarch",
    .lists_written = true,
    .watch_before = true,
    .has_gas = true,
    .reg = replay_debug_pvm_reg,
    .reg_count = DEBUG_PVM_REG_COUNT,
    .general_count = REG_GAS,
    .pc_reg = REG_PC,
    .code_reg = REG_PC,
    .sp_reg = DEBUG_PVM_REG_SP,
    .description = replay_debug_pvm_description,
    .register_get = register_get,
    .memory_read = memory_read,
    .time = time_of,
    .gas = gas_of,
    .disassemble = disassemble,
    .frames = frames,
    .code_base = DEBUG_PVM_CODE_BASE,
    .program = program_of,
    .set_stops = replay_debug_pvm_set_stops,
    .run = replay_debug_pvm_run,
    .save = save,
    .load = load,
    .drop = drop,
    .snapshot_memory = snapshot_memory,
    .stored = stored,
    .hash = hash,
};

/* ---- open ---- */

/* Give the machine its state in front of event `seq`, behind a gap. */
static enum err cross_gap(struct debug_pvm *g, uint64_t seq, char *message)
{
    enum err err = replay_checkpoint_restore(g->session, g->source, seq);
    if (err)
        (void)snprintf(message, REPLAY_DEBUG_MESSAGE_SIZE,
                       "the checkpoint in front of event %" PRIu64 ": %s", seq,
                       err_text(err));
    return err;
}

/* Read all events behind the setup: where the trace begins and ends.  Of a trace with
 * gaps we take what is behind the last one, which is why it was recorded that way. */
static enum err survey(struct debug_pvm *g, struct replay_debug *debug, char *message)
{
    struct trace_record record;
    bool end = false;
    enum err err = ERR_ok;
    uint64_t next_seq = debug->setup_count, gap_seq = 0;
    while (!(err = trace_reader_next(g->reader, &record, &end)) && !end) {
        if (record.seq != next_seq)
            gap_seq = record.seq;
        next_seq = record.seq + 1;
        g->end.icount = record.clock.icount;
        debug->last_seq = record.seq;
    }
    debug->damage = err; /* what is readable can be debugged */
    debug->finished = !err && trace_reader_state(g->reader) == TRACE_READER_CLOSED;
    if (gap_seq)
        TRY(cross_gap(g, gap_seq, message));
    if (g->end.icount < g->session->state.icount)
        g->end.icount = g->session->state.icount;
    return ERR_ok;
}

static enum err read_setup(struct debug_pvm *g, struct replay_debug *debug,
                           char *message)
{
    struct replay_refusal refusal = {0};
    enum err err = replay_setup_read(&g->arena, g->reader, &g->setup, &refusal);
    if (err)
        (void)snprintf(message, REPLAY_DEBUG_MESSAGE_SIZE, "%s",
                       refusal.text[0] ? refusal.text : err_text(err));
    /* The number of the first event behind: those of the setup have no gaps. */
    struct trace_record record;
    bool end = true;
    debug->setup_count = 0;
    if (!err)
        err = trace_reader_seek_seq(g->reader, 0);
    while (!err && !(err = trace_reader_next(g->reader, &record, &end)) && !end) {
        debug->setup_count++;
        if (record.kind->id == TRACE_ID_pvm_start)
            break;
    }
    return err;
}

static enum err create_session(struct debug_pvm *g, char *message)
{
    const struct replay_session_options options = {
        .limit = REPLAY_NO_LIMIT,
        .engine = {.kind = REPLAY_ENGINE_INTERP},
    };
    enum err err = replay_session_create(&g->arena, &g->setup, &options, &g->session);
    if (!err) {
        g->program = g->session->program;
        err = replay_debug_pvm_measure(g);
    }
    if (err)
        (void)snprintf(message, REPLAY_DEBUG_MESSAGE_SIZE, "pvm.start: %s",
                       err_text(err));
    return err;
}

void replay_debug_pvm_close(void *self)
{
    struct debug_pvm *g = self;
    if (!g)
        return;
    replay_pages_fini(&g->live, &g->memory);
    free(g->written);
    free(g->break_pc);
    free(g->watch);
    replay_session_close(g->session);
    trace_reader_close(g->reader);
    arena_fini(&g->event);
    arena_fini(&g->arena);
    free(g);
}

enum err replay_debug_pvm_open(const struct trace_source *source,
                               struct replay_debug *debug, char *message)
{
    struct trace_fault fault;
    struct debug_pvm *g = calloc(1, sizeof *g);
    if (!g)
        return ERR_nomem;
    debug->guest.self = g;
    debug->guest.ops = &ops;
    g->source = source;
    arena_init(&g->arena, MEMORY_MAX);
    arena_init(&g->event, EVENT_MEMORY);
    TRY(trace_reader_open(&g->arena, source, NULL, &fault, &g->reader));
    TRY(read_setup(g, debug, message));
    TRY(create_session(g, message));
    TRY(survey(g, debug, message));
    replay_debug_pvm_settle(g);
    g->reader_icount = UINT64_MAX;
    if (trace_checkpoint_list(&g->arena, source, &g->stored))
        g->stored = (struct trace_checkpoint_list){0}; /* they only save time */
    debug->guest.stored = g->stored;
    debug->guest.start.icount = g->session->state.icount;
    debug->guest.end = g->end;
    return ERR_ok;
}
