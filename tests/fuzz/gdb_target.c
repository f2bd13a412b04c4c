/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/gdb_target.h"

#include "replay/replay.h"

#include <string.h>

enum { POLL_COUNT_MAX = 64 };

static const char text[] = "load_imm t0, 0x20000\nfallthrough\nloop:\n"
                           "add_imm_64 a0, a0, 1\nstore_ind_u32 a0, [t0 + 64]\n"
                           "branch_lt_u_imm a0, 300, loop\ntrap\n";

/* A run takes as long as the client wants, which is too long here. */
static bool interrupted(void *self)
{
    struct gdb_target *t = self;
    return ++t->polls > POLL_COUNT_MAX;
}

static void record(struct gdb_target *t)
{
    static const struct trace_uuu map = {0x20000, 0x2000, PVM_ACCESS_RW};
    const struct trace_writer_options options = {.guest = TRACE_GUEST_PVM};
    struct pvm_asm_error error;
    struct buf blob;
    struct trace_writer *writer;
    struct replay_session *session;
    struct replay_session_options how = {.limit = REPLAY_NO_LIMIT};
    struct replay_result result;
    buf_init(&blob, 1 << 16);
    check(!pvm_asm(bytes_of(text, sizeof text - 1), &blob, &error));
    const struct replay_setup setup = {
        .config = pvm_config_default(PVM_PROFILE_JAVM),
        .code = buf_bytes(&blob),
        .gas = 1000000,
        .maps = {&map, 1},
        .gas_log = PVM_GAS_LOG_LEDGER,
    };
    trace_memory_init(&t->memory, 8 << 20);
    struct trace_sink sink = trace_memory_sink(&t->memory);
    check(!trace_writer_create(&t->arena, &sink, &options, &writer));
    check(!trace_record_create(&t->arena, writer, true, &how.trace));
    check(!replay_session_create(&t->arena, &setup, &how, &session));
    check(!replay_session_run(session, &result));
    replay_session_close(session);
    trace_close(how.trace);
    check(!trace_writer_finish(writer, NULL));
    buf_fini(&blob);
}

void gdb_target_open(struct gdb_target *t)
{
    char message[REPLAY_DEBUG_MESSAGE_SIZE];
    const struct replay_timeline_options how = {
        .spacing = 200, .interrupted = interrupted, .interrupted_self = t};
    arena_init(&t->arena, (size_t)64 << 20);
    record(t);
    t->file = buf_bytes(&t->memory.file);
    t->source = trace_bytes_source(&t->file);
    check(!replay_debug_open(&t->source, &t->debug, message));
    check(!replay_timeline_create(&t->debug.guest, &how, &t->timeline));
    check(!replay_query_init(&t->query, &t->source, &t->debug, t->timeline));
    check(!replay_gdb_create(&t->query, NULL, &t->gdb));
}

void gdb_target_close(struct gdb_target *t)
{
    replay_gdb_close(t->gdb);
    replay_query_fini(&t->query);
    replay_timeline_close(t->timeline);
    replay_debug_close(&t->debug);
    trace_memory_fini(&t->memory);
    arena_fini(&t->arena);
}

void gdb_target_check_honest(struct gdb_target *t, struct buf *out)
{
    static const char packets[] = "$QStartNoAckMode#b0$vRun;;30#00$p11#00";
    replay_gdb_connect(t->gdb);
    t->polls = 0;
    buf_clear(out);
    check(replay_gdb_input(t->gdb, bytes_of(packets, sizeof packets - 1), out));
    check(strstr(buf_string(out), "10:0000000001000000;"));
    check(strstr(buf_string(out), "$40420f0000000000#"));
}
