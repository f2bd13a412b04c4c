/* SPDX-License-Identifier: MIT */
#include "tests/unit/trace/example.h"
#include "trace/ledger.h"

const enum trace_id example_kinds[EXAMPLE_EVENT_COUNT] = {
    TRACE_ID_session_begin, TRACE_ID_session_config, TRACE_ID_session_end,
    TRACE_ID_pvm_program,   TRACE_ID_pvm_start,      TRACE_ID_pvm_segment,
    TRACE_ID_pvm_ecall,     TRACE_ID_pvm_exit};

static const uint8_t code[] = {0x00, 0x00, 0x0c, 0x33, 0x08, 0x03, 0x01, 0x95, 0x88,
                               0xff, 0x52, 0x08, 0xfd, 0x0a, 0x00, 0x99, 0x04};
static const uint8_t blocks[] = {0x00, 0x01, 0x02, 0x00, 0x04, 0x04, 0x12,
                                 0x02, 0x02, 0x06, 0x00, 0x06, 0x61, 0x01,
                                 0x04, 0x02, 0x02, 0x01, 0x01, 0x05, 0x00};
const struct bytes example_code = {code, sizeof code};
const struct bytes example_blocks = {blocks, sizeof blocks};

static enum err begin(struct trace *trace)
{
    struct trace_session_begin session_begin = {.spec = TRACE_SPEC};
    struct trace_session_config config = {.key = "gas", .value = "ledger"};
    struct trace_pvm_program program = {
        .prog = 0,
        .hash = trace_hash_of(hash256_of(code, sizeof code)),
        .profile = 1,
        .model = 1,
        .mem_cycles = 25,
        .code = example_code,
        .blocks = example_blocks,
    };
    const uint64_t regs[] = {0, 0, 0, 0, 0, 0, 0, 42};
    struct trace_pvm_start start = {.gas = 1000, .regs = {regs, countof(regs)}};
    TRY(trace_session_begin(trace, &session_begin));
    TRY(trace_session_config(trace, &config));
    TRY(trace_pvm_program(trace, &program));
    return trace_pvm_start(trace, &start);
}

enum err example_run(struct trace *trace)
{
    const uint8_t bits = 0xc0;
    struct trace_pvm_segment segment = {.n = 5,
                                        .gas = 152,
                                        .end = TRACE_SEGMENT_ECALL,
                                        .end_pc = 10,
                                        .nbits = 3,
                                        .bits = {&bits, 1}};
    const uint64_t in[] = {42};
    struct trace_pvm_ecall ecall = {.pc = 10, .in = {in, 1}, .outcome = 1};
    struct trace_pvm_exit frame_exit = {.pc = 12, .value = 42, .gas = 848};
    struct trace_session_end end = {0};
    TRY(begin(trace));
    trace->clock = (struct trace_clock){.icount = 8, .gas = 152};
    TRY(trace_pvm_segment(trace, &segment));
    TRY(trace_pvm_ecall(trace, &ecall));
    trace->clock.icount = 9;
    TRY(trace_pvm_exit(trace, &frame_exit));
    return trace_session_end(trace, &end);
}

struct trace_writer_options example_options(void)
{
    return (struct trace_writer_options){.guest = TRACE_GUEST_PVM,
                                         .kind_ids = example_kinds,
                                         .kind_id_count = countof(example_kinds)};
}

enum err example_record(struct arena *arena, const struct trace_sink *sink,
                        const struct trace_writer_options *options,
                        struct hash256 *ret_identity)
{
    struct trace_writer *writer;
    struct trace *trace;
    TRY(trace_writer_create(arena, sink, options, &writer));
    enum err err = trace_record_create(arena, writer, true, &trace);
    if (!err) {
        err = example_run(trace);
        trace_close(trace);
    }
    if (err) {
        trace_writer_abandon(writer);
        return err;
    }
    return trace_writer_finish(writer, ret_identity);
}
