/* SPDX-License-Identifier: MIT */
#include "tests/unit/replay/run.h"

#include "base/os.h"

#include <string.h>

/* ---- the scripted host ---- */

static bool interrupted(struct script *script)
{
    return ++script->call_count == script->interrupt_at;
}

static int64_t script_read(void *self, uint64_t fd, void *data, size_t size)
{
    struct script *script = self;
    if (interrupted(script))
        return REPLAY_HOST_INTERRUPTED;
    if (fd)
        return -REPLAY_HOST_badf;
    size_t left = script->input ? strlen(script->input) : 0;
    if (script->piece && size > script->piece)
        size = script->piece;
    if (size > left)
        size = left;
    if (!size)
        return 0;
    memcpy(data, script->input, size);
    script->input += size;
    return (int64_t)size;
}

static int64_t script_write(void *self, uint64_t fd, const void *data, size_t size)
{
    struct script *script = self;
    if (interrupted(script))
        return REPLAY_HOST_INTERRUPTED;
    if (fd != 1 && fd != 2)
        return -REPLAY_HOST_badf;
    buf_put(&script->output, data, size);
    return (int64_t)size;
}

static int64_t script_open(void *self, const char *path, uint64_t flags)
{
    struct script *script = self;
    (void)path;
    (void)flags;
    script->call_count++;
    return script->open_answer;
}

static int64_t script_close(void *self, uint64_t fd)
{
    struct script *script = self;
    script->call_count++;
    return fd < 4 ? 0 : -REPLAY_HOST_badf;
}

static int64_t script_seek(void *self, uint64_t fd, int64_t offset, uint64_t whence)
{
    struct script *script = self;
    (void)fd;
    (void)whence;
    script->call_count++;
    return offset < 0 ? -REPLAY_HOST_inval : offset;
}

static int64_t script_clock(void *self, uint64_t id)
{
    struct script *script = self;
    script->call_count++;
    return (int64_t)(script->clock += 1 + id);
}

static int64_t script_random(void *self, void *data, size_t size)
{
    struct script *script = self;
    uint64_t state = script->clock++;
    script->call_count++;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = (uint8_t)test_random(&state);
    return (int64_t)size;
}

struct replay_host script_host(struct script *script)
{
    if (!script->output.size_max)
        buf_init(&script->output, (size_t)64 << 20);
    return (struct replay_host){
        .self = script,
        .read = script_read,
        .write = script_write,
        .open = script_open,
        .close = script_close,
        .seek = script_seek,
        .clock = script_clock,
        .random = script_random,
    };
}

/* ---- setups ---- */

struct replay_setup setup_of(struct bytes blob, enum pvm_profile profile)
{
    return (struct replay_setup){
        .config = pvm_config_default(profile),
        .code = blob,
        .gas = 1000000,
        .gas_log = PVM_GAS_LOG_LEDGER,
    };
}

struct bytes assemble(struct arena *arena, const char *text)
{
    struct buf blob;
    struct pvm_asm_error error = {0};
    buf_init(&blob, (size_t)1 << 26);
    if (pvm_asm(bytes_of(text, strlen(text)), &blob, &error))
        fail_msg("line %u: %s", error.line, error.message);
    struct bytes bytes = bytes_of(arena_copy(arena, blob.data, blob.size), blob.size);
    buf_fini(&blob);
    assert_non_null(bytes.data);
    return bytes;
}

struct replay_setup setup_program(struct arena *arena, const char *name,
                                  const char *const *argv, size_t argc)
{
    char path[256];
    struct buf file;
    struct pvm_container container;
    struct replay_setup setup;
    struct bytes args, *item = arena_new_array(arena, struct bytes, argc + 1);
    for (size_t i = 0; i < argc; i++)
        item[i] = bytes_of(argv[i], strlen(argv[i]));
    struct trace_list_b list = {item, argc};
    assert_int_equal(replay_args_join(arena, &list, &args), ERR_ok);
    (void)snprintf(path, sizeof path, "corpus/pvm/bin/%s.pvm", name);
    buf_init(&file, (size_t)1 << 26);
    if (os_file_read(path, &file))
        fail_msg("cannot read %s", path);
    struct bytes bytes = bytes_of(arena_copy(arena, file.data, file.size), file.size);
    buf_fini(&file);
    assert_int_equal(pvm_container_load(arena, PVM_CONTAINER_SPI, PVM_PROFILE_VECTORS,
                                        bytes, args, &container),
                     ERR_ok);
    assert_int_equal(replay_setup_container(arena, &container, &setup), ERR_ok);
    setup.argv = list;
    return setup;
}

/* ---- record ---- */

static void run_recording(struct recording *r, const struct replay_setup *setup,
                          const struct replay_host *host, struct trace *trace)
{
    struct replay_session *session;
    const struct replay_session_options options = {
        .trace = trace, .host = host, .limit = REPLAY_NO_LIMIT};
    assert_int_equal(replay_session_create(&r->arena, setup, &options, &session),
                     ERR_ok);
    assert_int_equal(replay_session_run(session, &r->result), ERR_ok);
    r->state = *replay_session_state(session);
    r->state.mem = NULL;
    r->event_count = trace_seq(trace);
    replay_session_close(session);
}

void record(struct recording *r, const struct replay_setup *setup,
            const struct replay_host *host, bool kill)
{
    const struct trace_writer_options options = {.guest = TRACE_GUEST_PVM};
    struct trace_writer *writer;
    struct trace *trace;
    *r = (struct recording){0};
    arena_init(&r->arena, (size_t)1 << 30);
    trace_memory_init(&r->memory, (size_t)256 << 20);
    struct trace_sink sink = trace_memory_sink(&r->memory);
    assert_int_equal(trace_writer_create(&r->arena, &sink, &options, &writer), ERR_ok);
    assert_int_equal(trace_record_create(&r->arena, writer, true, &trace), ERR_ok);
    run_recording(r, setup, host, trace);
    if (kill) {
        trace_memory_flush(&r->memory);
        trace_writer_abandon(writer);
    } else {
        trace_close(trace);
        assert_int_equal(trace_writer_finish(writer, &r->identity), ERR_ok);
    }
}

void recording_fini(struct recording *r)
{
    trace_memory_fini(&r->memory);
    arena_fini(&r->arena);
}

struct bytes recording_bytes(const struct recording *r)
{
    return buf_bytes(&r->memory.file);
}

/* ---- replay ---- */

struct replay_report replay_bytes(struct bytes file,
                                  const struct replay_options *options)
{
    static const struct replay_options none = {0};
    struct replay_report report;
    struct trace_source source = trace_bytes_source(&file);
    replay_trace(&source, options ? options : &none, &report);
    return report;
}

struct replay_result run_only(const struct replay_setup *setup,
                              const struct replay_host *host,
                              struct pvm_state *ret_state)
{
    struct arena arena;
    struct replay_session *session;
    struct replay_result result;
    const struct replay_session_options options = {.host = host,
                                                   .limit = REPLAY_NO_LIMIT};
    arena_init(&arena, (size_t)1 << 30);
    assert_int_equal(replay_session_create(&arena, setup, &options, &session), ERR_ok);
    assert_int_equal(replay_session_run(session, &result), ERR_ok);
    *ret_state = *replay_session_state(session);
    ret_state->mem = NULL;
    replay_session_close(session);
    arena_fini(&arena);
    return result;
}

/* ---- all of it ---- */

static void check_copy(const struct recording *r)
{
    const struct trace_writer_options options = {.guest = TRACE_GUEST_PVM};
    struct arena arena;
    struct trace_memory memory;
    struct hash256 identity;
    struct trace_writer *writer;
    arena_init(&arena, (size_t)1 << 30);
    trace_memory_init(&memory, (size_t)256 << 20);
    struct trace_sink sink = trace_memory_sink(&memory);
    assert_int_equal(trace_writer_create(&arena, &sink, &options, &writer), ERR_ok);
    const struct replay_options replay = {.copy = writer};
    struct replay_report report = replay_bytes(recording_bytes(r), &replay);
    assert_int_equal(report.class, REPLAY_SAME);
    assert_int_equal(trace_writer_finish(writer, &identity), ERR_ok);
    assert_memory_equal(&identity, &r->identity, sizeof identity);
    assert_int_equal(memory.file.size, r->memory.file.size);
    assert_memory_equal(memory.file.data, r->memory.file.data, memory.file.size);
    trace_memory_fini(&memory);
    arena_fini(&arena);
}

void check_setup(const struct replay_setup *setup, const struct replay_host *host,
                 struct recording *r)
{
    record(r, setup, host, false);
    struct replay_report report = replay_bytes(recording_bytes(r), NULL);
    if (report.class != REPLAY_SAME)
        fail_msg("%s: %s, event %llu: %s.%s: recorded %s, produced %s",
                 replay_class_name(report.class), report.detail,
                 (unsigned long long)report.divergence.seq,
                 report.divergence.recorded_name ? report.divergence.recorded_name
                                                 : "-",
                 report.divergence.field, report.divergence.recorded,
                 report.divergence.produced);
    assert_true(report.finished);
    assert_memory_equal(&report.identity, &r->identity, sizeof r->identity);
    assert_int_equal(report.event_count, r->event_count);
    assert_memory_equal(report.state.reg, r->state.reg, sizeof r->state.reg);
    assert_int_equal(report.state.gas, r->state.gas);
    assert_int_equal(report.state.icount, r->state.icount);
    assert_int_equal(report.state.pc, r->state.pc);
    assert_int_equal(report.result.outcome.exit, r->result.outcome.exit);
    assert_int_equal(report.result.status, r->result.status);
    assert_int_equal(report.result.ecall_count, r->result.ecall_count);
    check_copy(r);
}

/* ---- a program that reads, writes and waits ---- */

const char reader_input[] = "one\ntwo\nxyzabcdefghijklmn";

static const char reader_text[] = "    load_imm s1, 6\n"
                                  "    fallthrough\n"
                                  "again:\n"
                                  "    load_imm a0, 0\n"
                                  "    load_imm a1, 0x20000\n"
                                  "    load_imm a2, 4\n"
                                  "    ecalli 67\n"
                                  "    load_u32 a3, [0x20000]\n"
                                  "    store_u32 a3, [0x22000]\n"
                                  "    load_imm a0, 1\n"
                                  "    load_imm a1, 0x22000\n"
                                  "    load_imm a2, 4\n"
                                  "    ecalli 68\n"
                                  "    load_imm a5, 300\n"
                                  "    fallthrough\n"
                                  "wait:\n"
                                  "    add_imm_64 a5, a5, -1\n"
                                  "    branch_ne_imm a5, 0, wait\n"
                                  "    add_imm_64 s1, s1, -1\n"
                                  "    branch_ne_imm s1, 0, again\n"
                                  "    load_u8 a0, [0x30005]\n"
                                  "    trap\n";

void record_reader(struct arena *arena, struct recording *r, enum pvm_profile profile,
                   enum pvm_gas_log log)
{
    static const struct trace_uuu map[] = {{0x20000, 0x3000, PVM_ACCESS_RW},
                                           {0x30000, 0x2000, PVM_ACCESS_R}};
    static const struct trace_uw mem[] = {{0x21000, {(const uint8_t *)"clean", 5}},
                                          {0x30003, {(const uint8_t *)"constant", 8}}};
    struct script script = {.input = reader_input};
    struct replay_host host = script_host(&script);
    struct replay_setup setup = setup_of(assemble(arena, reader_text), profile);
    setup.maps = (struct trace_list_uuu){map, countof(map)};
    setup.mem = (struct trace_list_uw){mem, countof(mem)};
    setup.gas_log = log;
    setup.hash_every = 997;
    setup.digest_every = 3;
    record(r, &setup, &host, false);
    assert_int_equal(r->result.outcome.exit, PVM_EXIT_TRAP);
    buf_fini(&script.output);
}
