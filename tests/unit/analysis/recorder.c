/* SPDX-License-Identifier: MIT */
#include "tests/unit/analysis/recorder.h"

#include "base/os.h"
#include "tests/test.h"
#include "trace/checkpoint.h"

#include <string.h>

enum { OP_GAP = 8, FILE_SIZE_MAX = 1 << 28, MAP_START = 0x20000, MAP_SIZE = 0x2000 };

struct recorder {
    const struct recorder_options *options;
    struct trace_writer *writer;
    struct trace_clock clock;
    struct trace_clock shift; /* what edits have added to the clock */
    struct trace_uuuuu extra[2048];
    bool gap; /* events are left out now */
    uint64_t left_out;
};

const char *const recorder_fib = "    load_imm a0, 6\n"
                                 "    load_imm sp, 0x22000\n"
                                 "    load_imm s0, 10\n" /* jump-table entry 4: fib */
                                 "    load_imm_jump ra, 2, wrap\n"
                                 "back0:\n"
                                 "    store_u64 a0, [0x20000]\n"
                                 "    ecalli 5\n"
                                 "    ecalli 0\n"
                                 "    trap\n"
                                 "wrap:\n"
                                 "    add_imm_64 sp, sp, -16\n"
                                 "    store_ind_u64 ra, [sp]\n"
                                 "    load_imm_jump_ind ra, s0, 8, 0\n"
                                 "back3:\n"
                                 "    load_ind_u64 ra, [sp]\n"
                                 "    add_imm_64 sp, sp, 16\n"
                                 "    jump_ind ra, 0\n"
                                 "fib:\n"
                                 "    branch_lt_u_imm a0, 2, leaf\n"
                                 "    add_imm_64 sp, sp, -32\n"
                                 "    store_ind_u64 ra, [sp]\n"
                                 "    store_ind_u64 a0, [sp + 8]\n"
                                 "    add_imm_64 a0, a0, -1\n"
                                 "    load_imm_jump ra, 4, fib\n"
                                 "back1:\n"
                                 "    store_ind_u64 a0, [sp + 16]\n"
                                 "    load_ind_u64 a0, [sp + 8]\n"
                                 "    add_imm_64 a0, a0, -2\n"
                                 "    load_imm_jump ra, 6, fib\n"
                                 "back2:\n"
                                 "    load_ind_u64 t0, [sp + 16]\n"
                                 "    add_64 a0, a0, t0\n"
                                 "    load_ind_u64 ra, [sp]\n"
                                 "    add_imm_64 sp, sp, 32\n"
                                 "    jump_ind ra, 0\n"
                                 "leaf:\n"
                                 "    jump_ind ra, 0\n"
                                 "    trap\n" /* nobody comes here */
                                 ".jump back0, back1, back2, back3, fib\n";

struct recorder_options recorder_options(enum pvm_gas_log log)
{
    return (struct recorder_options){
        .config = {.profile = PVM_PROFILE_JAVM, .model = 257, .mem_cycles = 25},
        .log = log,
        .gas = 1000000000,
    };
}

/* ---- what the engine tells ---- */

static void set_clock(struct recorder *r, uint64_t icount, uint64_t gas)
{
    r->clock.icount = icount + r->shift.icount;
    r->clock.gas = r->options->gas - gas + r->shift.gas;
}

/* Is this event to be left out? */
static bool left_out(struct recorder *r)
{
    r->left_out += r->gap;
    return r->gap;
}

/* The run goes on from a checkpoint; what it says is nobody's business here. */
static void put_checkpoint(struct recorder *r, const struct pvm_state *state)
{
    struct buf payload, machine;
    uint8_t registers[120] = {0};
    buf_init(&payload, 1 << 16);
    buf_init(&machine, 1 << 16);
    trace_pvm_machine_put(&machine, &(struct trace_pvm_machine){
                                        .registers = {registers, sizeof registers}});
    set_clock(r, state->icount - 1, state->gas); /* of the call, the last event */
    trace_checkpoint_put(
        &payload, &(struct trace_checkpoint){
                      .clock = r->clock, .full = true, .machine = buf_bytes(&machine)});
    struct trace_base_part part = {buf_bytes(&payload), 1};
    trace_writer_base(r->writer, trace_writer_seq(r->writer) + r->left_out, &r->clock,
                      &part, 1);
    assert_int_equal(trace_writer_error(r->writer), 0);
    buf_fini(&payload);
    buf_fini(&machine);
}

static void put_summary(struct recorder *r, const struct pvm_segment *s)
{
    trace_put_pvm_summary(r->writer, &r->clock,
                          &(struct trace_pvm_summary){.pc = s->pc,
                                                      .start = s->start,
                                                      .n = s->n,
                                                      .gas = s->gas,
                                                      .end = s->end,
                                                      .end_pc = s->end_pc,
                                                      .hash = s->hash});
}

static void on_segment(void *self, const struct pvm_state *state,
                       const struct pvm_segment *s)
{
    struct recorder *r = self;
    if (left_out(r))
        return;
    set_clock(r, state->icount - (s->end == PVM_SEGMENT_ECALL), state->gas);
    if (r->options->log == PVM_GAS_LOG_SUMMARY) {
        put_summary(r, s);
        return;
    }
    for (uint32_t i = 0; i < s->extra_count; i++)
        r->extra[i] =
            (struct trace_uuuuu){s->extra[i].dn, s->extra[i].dpc, s->extra[i].kind,
                                 s->extra[i].where, s->extra[i].cost};
    struct trace_pvm_segment event = {.pc = s->pc,
                                      .start = s->start,
                                      .n = s->n,
                                      .gas = s->gas,
                                      .end = s->end,
                                      .end_pc = s->end_pc,
                                      .nbits = s->nbits,
                                      .bits = s->bits,
                                      .targets = s->targets,
                                      .extra = {r->extra, s->extra_count}};
    if (r->options->edit_segment) {
        struct trace_clock before = r->clock;
        r->options->edit_segment(&event, &r->clock);
        r->shift.icount += r->clock.icount - before.icount;
        r->shift.gas += r->clock.gas - before.gas;
    }
    trace_put_pvm_segment(r->writer, &r->clock, &event);
}

static void on_charge(void *self, const struct pvm_state *state,
                      enum pvm_charge_kind kind, uint32_t where, uint64_t cost)
{
    struct recorder *r = self;
    if (left_out(r))
        return;
    set_clock(r, state->icount, state->gas);
    trace_put_pvm_charge(
        r->writer, &r->clock,
        &(struct trace_pvm_charge){.kind = kind,
                                   .where = where,
                                   .cost = cost,
                                   .pc = kind == PVM_CHARGE_BLOCK ? where : state->pc});
}

static enum pvm_answer on_ecall(void *self, struct pvm_state *state, enum pvm_exit kind,
                                uint64_t number, uint32_t pc,
                                struct pvm_outcome *ret_outcome)
{
    struct recorder *r = self;
    const struct trace_uuu charge = {PVM_CHARGE_OPERATION, number, RECORDER_OP_COST};
    bool costs = number == RECORDER_OP_COSTS;
    (void)kind;
    set_clock(r, state->icount - 1, state->gas);
    if (costs)
        assert_true(pvm_state_debit(state, RECORDER_OP_COST));
    if (!left_out(r))
        trace_put_pvm_ecall(
            r->writer, &r->clock,
            &(struct trace_pvm_ecall){
                .pc = pc, .op = number, .charges = {&charge, costs ? 1u : 0u}});
    if (r->options->gap && number == OP_GAP) {
        r->gap = !r->gap;
        if (!r->gap)
            put_checkpoint(r, state);
    }
    *ret_outcome = (struct pvm_outcome){PVM_EXIT_HALT, 0};
    return number == RECORDER_OP_REPLY ? PVM_ANSWER_EXIT : PVM_ANSWER_CONTINUE;
}

/* ---- recording ---- */

static void put_begin(struct recorder *r, const struct pvm_program *program,
                      const struct buf *blob)
{
    static const char *const mode[] = {[PVM_GAS_LOG_NONE] = "none",
                                       [PVM_GAS_LOG_LEDGER] = "ledger",
                                       [PVM_GAS_LOG_EACH] = "each",
                                       [PVM_GAS_LOG_SUMMARY] = "summary"};
    const struct recorder_options *o = r->options;
    struct buf table;
    buf_init(&table, FILE_SIZE_MAX);
    pvm_program_put_blocks(program, o->pc, &table);
    struct trace_pvm_program event = {
        .hash = trace_hash_of(hash256_of(blob->data, blob->size)),
        .profile = o->config.profile,
        .model = o->config.model,
        .mem_cycles = o->config.mem_cycles,
        .code = buf_bytes(blob),
        .blocks = buf_bytes(&table)};
    if (o->edit_program)
        o->edit_program(&event);
    trace_put_session_begin(r->writer, &r->clock,
                            &(struct trace_session_begin){.spec = TRACE_SPEC});
    trace_put_session_config(
        r->writer, &r->clock,
        &(struct trace_session_config){.key = "gas", .value = mode[o->log]});
    trace_put_pvm_program(r->writer, &r->clock, &event);
    trace_put_pvm_start(r->writer, &r->clock,
                        &(struct trace_pvm_start){.pc = o->pc, .gas = o->gas});
    buf_fini(&table);
}

static void run(struct recorder *r, struct recording *recording,
                struct pvm_program *program)
{
    struct pvm_engine *engine;
    void *reservation;
    assert_int_equal(pvm_engine_create(&recording->arena, &engine), 0);
    assert_int_equal(os_reserve(PVM_MEM_RESERVE_SIZE, &reservation), 0);
    struct pvm_mem *mem = pvm_mem_init(reservation);
    assert_int_equal(
        pvm_mem_map(mem, MAP_START, MAP_SIZE, PVM_ACCESS_RW, bytes_of(NULL, 0)), 0);
    struct pvm_state state = {.gas = r->options->gas, .pc = r->options->pc, .mem = mem};
    struct pvm_host host = {.ecall = on_ecall, .self = r};
    struct pvm_observer observer = {.self = r,
                                    .segment = on_segment,
                                    .charge = on_charge,
                                    .gas_stop = PVM_GAS_STOP_NEVER};
    struct pvm_outcome outcome = pvm_run(engine, program, &state, &host, &observer);
    set_clock(r, state.icount, state.gas);
    trace_put_pvm_exit(r->writer, &r->clock,
                       &(struct trace_pvm_exit){.reason = outcome.exit,
                                                .pc = state.pc,
                                                .value = state.reg[7],
                                                .gas = state.gas});
    trace_put_session_end(r->writer, &r->clock, &(struct trace_session_end){0});
    recording->insn_count = state.icount;
    recording->gas = r->options->gas - state.gas;
    recording->exit = outcome.exit;
    os_release(reservation, PVM_MEM_RESERVE_SIZE);
}

void record(struct recording *ret_recording, const char *text,
            const struct recorder_options *options)
{
    struct recording *rec = ret_recording;
    struct pvm_asm_error error;
    struct pvm_program *program;
    static struct recorder recorder;
    struct buf blob;
    memset(rec, 0, sizeof *rec);
    recorder = (struct recorder){.options = options};
    arena_init(&rec->arena, (size_t)1 << 30);
    buf_init(&blob, FILE_SIZE_MAX);
    if (pvm_asm(bytes_of(text, strlen(text)), &blob, &error))
        fail_msg("line %u: %s", (unsigned)error.line, error.message);
    const uint8_t *copy = arena_copy(&rec->arena, blob.data, blob.size);
    assert_int_equal(pvm_code_parse(bytes_of(copy, blob.size), &rec->code), 0);
    assert_int_equal(pvm_program_create(&rec->arena, &rec->code, &options->config,
                                        options->log, &program),
                     0);
    trace_memory_init(&rec->memory, FILE_SIZE_MAX);
    struct trace_sink sink = trace_memory_sink(&rec->memory);
    struct trace_writer_options o = {.guest = TRACE_GUEST_PVM};
    assert_int_equal(trace_writer_create(&rec->arena, &sink, &o, &recorder.writer), 0);
    put_begin(&recorder, program, &blob);
    run(&recorder, rec, program);
    assert_int_equal(trace_writer_finish(recorder.writer, NULL), 0);
    rec->bytes = buf_bytes(&rec->memory.file);
    rec->source = trace_bytes_source(&rec->bytes);
    buf_fini(&blob);
}

void recording_fini(struct recording *recording)
{
    trace_memory_fini(&recording->memory);
    arena_fini(&recording->arena);
}
