/* SPDX-License-Identifier: MIT
 *
 * What the capability kernel's ecalls cost, without trace records, with them, and
 * recorded; and putting caps, against SHA-256 over the same bytes.
 */
#include "bench/bench.h"

#include "base/os.h"
#include "kernel/encode.h"
#include "replay/kernel.h"

#include <stdio.h>
#include <string.h>

enum { CALLS = 100000, CALLS_QUICK = 20000, PUT_SIZE = 1 << 20, PUT_COUNT = 16 };
enum { SLOT_DATA = 20, SLOT_CHILD = 21, SLOT_FREE = 30, QUOTA = 3, FILE_ID = 9 };

static void must(enum err err, const char *what)
{
    if (err)
        bench_die("kernel: %s: %s", what, err_text(err));
}

/* ---- a loop of ecalls ---- */

/* What is called: operands a0..a3 are set anew before each call. */
struct kind {
    const char *name;
    uint32_t op;
    int32_t operand[4];
};

static const struct kind kinds[] = {
    {"nothing (27)", 27, {0, 0, 0, 0}},
    {"COPY", 1, {SLOT_DATA, SLOT_FREE, 0, 0}},
    {"CNODE_SWAP", 4, {SLOT_FREE, SLOT_FREE + 1, 0, 0}},
    {"CNODE_MINT", 5, {SLOT_FREE, 4, 0, 0}},
    {"SAME_TYPE", 20, {SLOT_DATA, SLOT_CHILD, 0, 0}},
    {"TYPE_OF", 21, {SLOT_CHILD, SLOT_FREE, 0, 0}},
    {"READ_DATA_CAP, 64 bytes", 22, {SLOT_DATA, 0, 64, 0}},
    {"READ_DATA_CAP, a page", 22, {SLOT_DATA, 0, 4096, 0}},
    {"MINT_DATA_CAP, a page", 23, {0, 64, QUOTA, SLOT_FREE}},
    {"HOST_OPEN", 24, {FILE_ID, SLOT_FREE, 0, 0}},
    {"HOST_CALL round trip", 26, {SLOT_CHILD, 0, 0, 0}},
};

struct loop {
    const struct kind *kind;
    uint64_t count;
    enum replay_engine_kind engine;
    bool records, recorded;
    uint64_t ecall_count;
};

static void assemble(struct arena *arena, const char *text, struct pvm_code *ret_code)
{
    struct buf blob;
    struct pvm_asm_error error = {0};
    buf_init(&blob, 1 << 16);
    if (pvm_asm(bytes_of(text, strlen(text)), &blob, &error))
        bench_die("kernel: line %u: %s", error.line, error.message);
    must(pvm_code_parse(bytes_of(arena_copy(arena, blob.data, blob.size), blob.size),
                        ret_code),
         "parse");
    buf_fini(&blob);
}

static struct hash256 put(struct replay_kernel *session, struct buf *wire)
{
    enum kernel_status status;
    struct hash256 hash = {{0}};
    must(wire->err, "encode");
    must(replay_kernel_put(session, buf_bytes(wire), &status, &hash), "put");
    if (status)
        bench_die("kernel: put: %s", kernel_status_name(status));
    buf_clear(wire);
    return hash;
}

static struct hash256 put_instance(struct replay_kernel *session, struct arena *arena,
                                   const char *text, const struct kernel_entry *entry,
                                   uint32_t count)
{
    const struct hash256 chain = {{1}};
    const struct kernel_endpoint endpoint = {.entry_pc = 0};
    struct pvm_code code;
    struct buf wire;
    buf_init(&wire, 1 << 20);
    assemble(arena, text, &code);
    kernel_encode_image(&(struct kernel_image_parts){.code = &code,
                                                     .endpoint = &endpoint,
                                                     .endpoint_count = 1},
                        &wire);
    struct hash256 image = put(session, &wire);
    kernel_encode_cnode(8, entry, count, &wire);
    struct hash256 cnode = put(session, &wire);
    kernel_encode_instance(&(struct kernel_instance_parts){.chain = &chain,
                                                           .image = &image,
                                                           .root_cnode = &cnode,
                                                           .mem_size = PVM_PAGE_SIZE},
                           &wire);
    struct hash256 instance = put(session, &wire);
    buf_fini(&wire);
    return instance;
}

static void seed(struct replay_kernel *session, const struct hash256 *file)
{
    uint8_t quota[24] = {0}, open[40];
    struct replay_kernel_answer answer;
    kernel_u64_put(quota + 8, QUOTA);
    kernel_u64_put(quota + 16, UINT64_MAX);
    kernel_u64_put(open, FILE_ID);
    memcpy(open + 8, file->byte, HASH256_SIZE);
    must(replay_kernel_request(session, REPLAY_KERNEL_SEED_QUOTA,
                               bytes_of(quota, sizeof quota), &answer),
         "seed");
    must(replay_kernel_request(session, REPLAY_KERNEL_SEED_FILE,
                               bytes_of(open, sizeof open), &answer),
         "seed");
}

/* The instance that calls, its child and its data. */
static struct hash256 publish(struct replay_kernel *session, struct arena *arena,
                              const struct loop *loop)
{
    char text[400];
    const struct kind *kind = loop->kind;
    struct buf wire;
    buf_init(&wire, 1 << 16);
    kernel_encode_data(bytes_of("benchmark", 9), &wire);
    struct kernel_entry entry[] = {{SLOT_DATA, put(session, &wire)},
                                   {SLOT_CHILD, {{0}}}};
    buf_fini(&wire);
    seed(session, &entry[0].hash);
    entry[1].hash = put_instance(session, arena, "ecalli 0", NULL, 0);
    (void)snprintf(
        text, sizeof text,
        "load_imm s0, %llu\nfallthrough\nloop:\nload_imm a0, %d\nload_imm a1, %d\n"
        "load_imm a2, %d\nload_imm a3, %d\necalli %u\n"
        "add_imm_64 s0, s0, -1\nbranch_ne_imm s0, 0, loop\necalli 0",
        (unsigned long long)loop->count, kind->operand[0], kind->operand[1],
        kind->operand[2], kind->operand[3], kind->op);
    return put_instance(session, arena, text, entry, 2);
}

static void run_session(struct loop *loop, struct arena *arena, struct trace *trace,
                        uint64_t *ret_ns)
{
    struct replay_kernel_setup setup = replay_kernel_setup_default();
    const struct replay_kernel_options options = {
        .trace = trace, .engine = {.kind = loop->engine, .in_process = true}};
    struct replay_kernel *session;
    struct kernel_result result;
    if (!loop->records)
        setup.config.flags &= ~(uint32_t)KERNEL_TRACE;
    setup.config.max_trace_records = 1000; /* the rest is dropped, but digested */
    must(replay_kernel_create(arena, &setup, &options, &session), "create");
    struct replay_kernel_invocation invocation = {
        .instance = publish(session, arena, loop), .gas = REPLAY_GAS_MAX};
    uint64_t start = os_clock_cpu_ns();
    must(replay_kernel_invoke(session, &invocation, &result), "invoke");
    *ret_ns = os_clock_cpu_ns() - start;
    if (result.exit_reason != KERNEL_EXIT_HALT)
        bench_die("kernel: %s ends with %u", loop->kind->name, result.exit_reason);
    loop->ecall_count = replay_kernel_totals(session).ecall_count;
    must(replay_kernel_finish(session, 0), "finish");
    replay_kernel_close(session);
}

static void run_loop(void *self, uint64_t *ret_ns)
{
    struct loop *loop = self;
    struct arena arena;
    struct trace_memory memory;
    struct trace_writer *writer = NULL;
    struct trace *trace = NULL;
    arena_init(&arena, (size_t)1 << 31);
    trace_memory_init(&memory, (size_t)1 << 31);
    if (loop->recorded) {
        const struct trace_writer_options how = {.guest = TRACE_GUEST_PVM,
                                                 .zstd_level = 1};
        struct trace_sink sink = trace_memory_sink(&memory);
        must(trace_writer_create(&arena, &sink, &how, &writer), "trace");
        must(trace_record_create(&arena, writer, true, &trace), "trace");
    }
    run_session(loop, &arena, trace, ret_ns);
    trace_close(trace);
    if (writer)
        must(trace_writer_finish(writer, NULL), "trace");
    trace_memory_fini(&memory);
    arena_fini(&arena);
}

static void say_ns(struct bench *bench, const char *workload, const char *what,
                   const struct bench_variant *variant, uint64_t count)
{
    const struct bench_series *series = &variant->series;
    double scale = 1.0 / (double)count;
    bench_say(bench,
              &(struct bench_figure){.workload = workload,
                                     .what = what,
                                     .value = (double)bench_median(series) * scale,
                                     .unit = "ns",
                                     .least = (double)bench_least(series) * scale,
                                     .most = (double)bench_most(series) * scale});
}

static void measure_kind(struct bench *bench, const struct kind *kind)
{
    static const char *const name[] = {"interpreter", "recompiler", "with records",
                                       "recorded"};
    struct loop loop[countof(name)];
    struct bench_variant variant[countof(name)];
    for (size_t i = 0; i < countof(name); i++) {
        loop[i] =
            (struct loop){.kind = kind,
                          .count = bench->quick ? CALLS_QUICK : CALLS,
                          .engine = i == 0 ? REPLAY_ENGINE_INTERP : REPLAY_ENGINE_AUTO,
                          .records = i >= 2,
                          .recorded = i == 3};
        variant[i] =
            (struct bench_variant){.name = name[i], .run = run_loop, .self = &loop[i]};
    }
    bench_turns(bench, variant, countof(name));
    for (size_t i = 0; i < countof(name); i++)
        say_ns(bench, kind->name, name[i], &variant[i], loop[i].count);
    (void)bench_say_ratio(bench, kind->name, "recorded over recompiler",
                          &variant[3].series, &variant[1].series, 0);
}

/* ---- putting caps ---- */

struct puts {
    uint8_t *wire; /* a data cap */
    bool plain;
};

static void change(struct puts *puts, uint32_t number)
{
    kernel_u32_put(puts->wire + 5, number);
}

static void run_plain(struct puts *puts, uint64_t *ret_ns)
{
    uint64_t start = os_clock_cpu_ns();
    struct hash256 all = {{0}};
    for (uint32_t i = 0; i < PUT_COUNT; i++) {
        change(puts, i);
        struct hash256 hash = hash_sha256(puts->wire + 5, PUT_SIZE);
        all.byte[0] ^= hash.byte[0];
    }
    *ret_ns = os_clock_cpu_ns() - start;
}

static void run_puts(void *self, uint64_t *ret_ns)
{
    struct puts *puts = self;
    const struct replay_kernel_setup setup = replay_kernel_setup_default();
    const struct replay_kernel_options options = {
        .engine = {.kind = REPLAY_ENGINE_INTERP}};
    struct replay_kernel *session;
    struct arena arena;
    struct hash256 hash;
    if (puts->plain) {
        run_plain(puts, ret_ns);
        return;
    }
    arena_init(&arena, (size_t)1 << 30);
    must(replay_kernel_create(&arena, &setup, &options, &session), "create");
    uint64_t start = os_clock_cpu_ns();
    for (uint32_t i = 0; i < PUT_COUNT; i++) {
        change(puts, i);
        enum kernel_status status = kernel_put(
            replay_kernel_of(session), bytes_of(puts->wire, 5 + PUT_SIZE), &hash);
        if (status)
            bench_die("kernel: put: %s", kernel_status_name(status));
    }
    *ret_ns = os_clock_cpu_ns() - start;
    replay_kernel_close(session);
    arena_fini(&arena);
}

static void measure_puts(struct bench *bench)
{
    struct buf wire;
    buf_init(&wire, 2 * PUT_SIZE);
    buf_put(&wire, "\2\4\0\0\0", 5);
    uint8_t *bytes = buf_extend(&wire, PUT_SIZE);
    if (!bytes)
        bench_die("kernel: no memory");
    for (size_t i = 0; i < PUT_SIZE; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    struct puts puts = {.wire = wire.data}, plain = {.wire = wire.data, .plain = true};
    struct bench_variant variant[] = {{.run = run_puts, .self = &puts},
                                      {.run = run_puts, .self = &plain}};
    bench_turns(bench, variant, countof(variant));
    static const char *const name[] = {"put_cap", "plain SHA-256"};
    for (size_t i = 0; i < countof(variant); i++) {
        double mega = (double)PUT_COUNT * PUT_SIZE * 1e3;
        const struct bench_series *s = &variant[i].series;
        bench_say(bench, &(struct bench_figure){.workload = "1 MiB of data",
                                                .what = name[i],
                                                .value = mega / (double)bench_median(s),
                                                .unit = "MB/s",
                                                .least = mega / (double)bench_most(s),
                                                .most = mega / (double)bench_least(s)});
    }
    (void)bench_say_ratio(bench, "1 MiB of data", "put_cap over plain SHA-256",
                          &variant[0].series, &variant[1].series, 0);
    buf_fini(&wire);
}

void bench_kernel(struct bench *bench)
{
    for (size_t i = 0; i < countof(kinds); i++)
        measure_kind(bench, &kinds[i]);
    measure_puts(bench);
}
