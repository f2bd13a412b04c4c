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

/* HOST_SAVE makes a file each time, of which there are at most 65,536. */
enum { CALLS = 60000, CALLS_QUICK = 12000, PUT_SIZE = 1 << 20, PUT_COUNT = 16 };
enum { QUOTA = 3, FILE_ID = 9 };
enum {
    SLOT_CATCHER = 19,
    SLOT_DATA = 20,
    SLOT_CHILD = 21,
    SLOT_IMAGE = 22, /* the caller's own */
    SLOT_CNODE = 23,
    SLOT_FREE = 30
};

static void must(enum err err, const char *what)
{
    if (err)
        bench_die("kernel: %s: %s", what, err_text(err));
}

/* ---- a loop of ecalls ---- */

/* What is called: operands a0..a3 are set anew before each call.  A call that takes a
 * cap away gets it again, by a COPY. */
struct kind {
    const char *name;
    uint32_t op;
    int32_t operand[4];
    int32_t copy_from; /* to SLOT_FREE, or 0 */
};

enum { OP_COPY = 1, OP_YIELD = 16, OP_MINT = 23 };

static const struct kind kinds[] = {
    {"nothing (27)", 27, {0, 0, 0, 0}, 0},
    {"COPY", OP_COPY, {SLOT_DATA, SLOT_FREE, 0, 0}, 0},
    {"MOVE", 2, {SLOT_FREE, SLOT_FREE, 0, 0}, SLOT_DATA},
    {"DROP", 3, {SLOT_FREE, 0, 0, 0}, 0},
    {"CNODE_SWAP", 4, {SLOT_FREE, SLOT_FREE + 1, 0, 0}, 0},
    {"CNODE_MINT", 5, {SLOT_FREE, 4, 0, 0}, 0},
    {"HOST_YIELD, RESUME", OP_YIELD, {SLOT_DATA, 0, 0, 0}, 0},
    {"SET_IMAGE", 17, {SLOT_IMAGE, 0, 0, 0}, 0},
    {"COPY, DERIVE_SPAWN", 18, {SLOT_IMAGE, SLOT_FREE, SLOT_FREE, 0}, SLOT_CNODE},
    {"SAME_TYPE", 20, {SLOT_DATA, SLOT_CHILD, 0, 0}, 0},
    {"TYPE_OF", 21, {SLOT_CHILD, SLOT_FREE, 0, 0}, 0},
    {"READ_DATA, 64 bytes", 22, {SLOT_DATA, 0, 64, 0}, 0},
    {"READ_DATA, a page", 22, {SLOT_DATA, 0, 4096, 0}, 0},
    {"MINT_DATA, 64 bytes", OP_MINT, {0, 64, QUOTA, SLOT_FREE}, 0},
    {"MINT_DATA, a page", OP_MINT, {0, 4096, QUOTA, SLOT_FREE}, 0},
    {"HOST_OPEN", 24, {FILE_ID, SLOT_FREE, 0, 0}, 0},
    {"HOST_SAVE", 25, {SLOT_DATA, QUOTA, 0, 0}, 0},
    {"HOST_CALL, return", 26, {SLOT_CHILD, 0, 0, 0}, 0},
};

struct loop {
    const struct kind *kind;
    uint64_t count;
    enum replay_engine_kind engine;
    bool sandboxed, records, recorded;
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

/* An instance with a page of memory, full or zero; its image is in SLOT_IMAGE, too. */
static struct hash256 put_instance(struct replay_kernel *session, struct arena *arena,
                                   const char *text, const struct kernel_entry *entry,
                                   uint32_t count, bool full)
{
    const struct hash256 chain = {{1}};
    const struct kernel_endpoint endpoint = {.entry_pc = 0};
    static uint8_t page[PVM_PAGE_SIZE];
    const struct kernel_overlay overlay = {.bytes = bytes_of(page, sizeof page)};
    struct kernel_entry all[8];
    struct pvm_code code;
    struct buf wire;
    uint32_t all_count = 0;
    for (size_t i = 0; i < sizeof page; i++)
        page[i] = (uint8_t)(i * 131 >> 3 | 1);
    buf_init(&wire, 1 << 20);
    assemble(arena, text, &code);
    kernel_encode_image(&(struct kernel_image_parts){.code = &code,
                                                     .endpoint = &endpoint,
                                                     .endpoint_count = 1,
                                                     .has_yield_slot = true,
                                                     .yield_slot = SLOT_CATCHER},
                        &wire);
    struct hash256 image = put(session, &wire);
    for (uint32_t i = 0; i < count; i++) {
        if (entry[i].slot != SLOT_IMAGE)
            all[all_count++] = entry[i];
        else
            all[all_count++] = (struct kernel_entry){SLOT_IMAGE, image};
    }
    kernel_encode_cnode(8, all, all_count, &wire);
    struct hash256 cnode = put(session, &wire);
    kernel_encode_instance(&(struct kernel_instance_parts){.chain = &chain,
                                                           .image = &image,
                                                           .root_cnode = &cnode,
                                                           .overlay = &overlay,
                                                           .overlay_count = full,
                                                           .mem_size = PVM_PAGE_SIZE},
                           &wire);
    struct hash256 instance = put(session, &wire);
    buf_fini(&wire);
    return instance;
}

static struct replay_kernel_answer request(struct replay_kernel *session,
                                           enum replay_kernel_fn fn,
                                           const void *payload, size_t size)
{
    struct replay_kernel_answer answer;
    must(replay_kernel_request(session, fn, bytes_of(payload, size), &answer), "seed");
    if (answer.status)
        bench_die("kernel: %s", kernel_status_name(answer.status));
    return answer;
}

/* Quota, file, and a catcher of the data's hash. */
static struct hash256 seed(struct replay_kernel *session, const struct hash256 *data)
{
    uint8_t quota[24] = {0}, file[40], catcher[72] = {0};
    struct hash256 id;
    kernel_u64_put(quota + 8, QUOTA);
    kernel_u64_put(quota + 16, UINT64_MAX);
    kernel_u64_put(file, FILE_ID);
    memcpy(file + 8, data->byte, HASH256_SIZE);
    (void)request(session, REPLAY_KERNEL_SEED_QUOTA, quota, sizeof quota);
    (void)request(session, REPLAY_KERNEL_SEED_FILE, file, sizeof file);
    memcpy(id.byte, request(session, REPLAY_KERNEL_NEW_CATCHER, NULL, 0).bytes,
           HASH256_SIZE);
    memcpy(catcher + 8, id.byte, HASH256_SIZE);
    memcpy(catcher + 40, data->byte, HASH256_SIZE);
    (void)request(session, REPLAY_KERNEL_ADD_CATCHER, catcher, sizeof catcher);
    return id;
}

/* The program that calls. */
static void loop_text(const struct loop *loop, char *text, size_t size)
{
    char copy[100] = "";
    const struct kind *kind = loop->kind;
    if (kind->copy_from)
        (void)snprintf(copy, sizeof copy,
                       "load_imm a0, %d\nload_imm a1, %d\necalli %d\n", kind->copy_from,
                       SLOT_FREE, OP_COPY);
    (void)snprintf(text, size,
                   "load_imm s0, "
                   "%llu\nfallthrough\nloop:\n%sload_imm a0, %d\nload_imm a1, %d\n"
                   "load_imm a2, %d\nload_imm a3, %d\necalli %u\n"
                   "add_imm_64 s0, s0, -1\nbranch_ne_imm s0, 0, loop\necalli 0",
                   (unsigned long long)loop->count, copy, kind->operand[0],
                   kind->operand[1], kind->operand[2], kind->operand[3], kind->op);
}

/* The instance that calls, its child and its data.  What yields needs somebody below
 * who catches it. */
static struct hash256 publish(struct replay_kernel *session, struct arena *arena,
                              const struct loop *loop)
{
    char text[500], call[100];
    struct buf wire;
    buf_init(&wire, 1 << 16);
    kernel_encode_data(bytes_of("benchmark", 9), &wire);
    struct hash256 data = put(session, &wire);
    kernel_encode_cnode(8, NULL, 0, &wire);
    struct kernel_entry entry[] = {
        {SLOT_CATCHER, seed(session, &data)},
        {SLOT_DATA, data},
        {SLOT_CHILD, put_instance(session, arena, "ecalli 0", NULL, 0, false)},
        {SLOT_IMAGE, {{0}}},
        {SLOT_CNODE, put(session, &wire)}};
    buf_fini(&wire);
    loop_text(loop, text, sizeof text);
    struct hash256 caller = put_instance(session, arena, text, entry, countof(entry),
                                         loop->kind->op == OP_MINT);
    if (loop->kind->op != OP_YIELD)
        return caller;
    (void)snprintf(call, sizeof call,
                   "load_imm a0, %d\nload_imm a1, 0\necalli 26\necalli 0", SLOT_CHILD);
    entry[2].hash = caller;
    return put_instance(session, arena, call, entry, countof(entry), false);
}

static void run_session(struct loop *loop, struct arena *arena, struct trace *trace,
                        uint64_t *ret_ns)
{
    struct replay_kernel_setup setup = replay_kernel_setup_default();
    const struct replay_kernel_options options = {
        .trace = trace,
        .engine = {.kind = loop->engine, .in_process = !loop->sandboxed}};
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
    while (result.exit_reason == KERNEL_EXIT_PAUSED)
        must(replay_kernel_resume(session, false, NULL, 0, &result), "resume");
    *ret_ns = os_clock_cpu_ns() - start;
    if (result.exit_reason != KERNEL_EXIT_HALT)
        bench_die("kernel: %s ends with %u", loop->kind->name, result.exit_reason);
    must(replay_kernel_finish(session, 0), "finish");
    replay_kernel_close(session);
}

/* A trace in memory, compressed. */
struct tape {
    struct trace_memory memory;
    struct trace_writer *writer;
    struct trace *trace;
};

static void tape_open(struct tape *tape, struct arena *arena)
{
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PVM, .zstd_level = 1};
    trace_memory_init(&tape->memory, (size_t)1 << 31);
    struct trace_sink sink = trace_memory_sink(&tape->memory);
    must(trace_writer_create(arena, &sink, &how, &tape->writer), "trace");
    must(trace_record_create(arena, tape->writer, true, &tape->trace), "trace");
}

static void tape_close(struct tape *tape)
{
    trace_close(tape->trace);
    if (tape->writer)
        must(trace_writer_finish(tape->writer, NULL), "trace");
    trace_memory_fini(&tape->memory);
}

static void run_loop(void *self, uint64_t *ret_ns)
{
    struct loop *loop = self;
    struct arena arena;
    struct tape tape = {.trace = NULL};
    arena_init(&arena, (size_t)1 << 31);
    if (loop->recorded)
        tape_open(&tape, &arena);
    run_session(loop, &arena, tape.trace, ret_ns);
    tape_close(&tape);
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

enum { INTERPRETED, NATIVE, RECORDS, RECORDED, SANDBOXED, WAY_COUNT };
enum { OP_NOTHING = 27, OP_HOST_CALL = 26 };

static void measure_kind(struct bench *bench, const struct kind *kind)
{
    static const char *const name[] = {"interpreter", "recompiler", "with records",
                                       "recorded", "in a sandbox"};
    /* A call out of the worker costs the same whatever it is. */
    bool sandboxed = kind->op == OP_NOTHING || kind->op == OP_HOST_CALL;
    size_t ways = sandboxed ? WAY_COUNT : SANDBOXED;
    struct loop loop[WAY_COUNT];
    struct bench_variant variant[WAY_COUNT];
    for (size_t i = 0; i < WAY_COUNT; i++) {
        loop[i] = (struct loop){.kind = kind,
                                .count = bench->quick ? CALLS_QUICK : CALLS,
                                .engine = i == INTERPRETED ? REPLAY_ENGINE_INTERP
                                                           : REPLAY_ENGINE_AUTO,
                                .sandboxed = i == SANDBOXED,
                                .records = i == RECORDS || i == RECORDED,
                                .recorded = i == RECORDED};
        variant[i] =
            (struct bench_variant){.name = name[i], .run = run_loop, .self = &loop[i]};
    }
    bench_turns(bench, variant, ways);
    for (size_t i = 0; i < ways; i++)
        say_ns(bench, kind->name, name[i], &variant[i], loop[i].count);
    double native = (double)bench_median(&variant[NATIVE].series);
    double recorded = (double)bench_median(&variant[RECORDED].series);
    double count = (double)loop[NATIVE].count;
    bench_say(bench, &(struct bench_figure){.workload = kind->name,
                                            .what = "ecalls per second",
                                            .value = count * 1e3 / native,
                                            .unit = "million/s"});
    bench_say(bench, &(struct bench_figure){.workload = kind->name,
                                            .what = "recording adds",
                                            .value = (recorded - native) / count,
                                            .unit = "ns"});
    (void)bench_say_ratio(bench, kind->name, "recorded / recompiler",
                          &variant[RECORDED].series, &variant[NATIVE].series, 0);
}

/* ---- putting caps ---- */

struct puts {
    uint8_t *wire; /* a data cap */
    bool plain, recorded;
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
    struct replay_kernel_options options = {.engine = {.kind = REPLAY_ENGINE_INTERP}};
    struct replay_kernel *session;
    struct arena arena;
    struct tape tape = {.trace = NULL};
    enum kernel_status status;
    struct hash256 hash;
    if (puts->plain) {
        run_plain(puts, ret_ns);
        return;
    }
    arena_init(&arena, (size_t)1 << 31);
    if (puts->recorded)
        tape_open(&tape, &arena);
    options.trace = tape.trace;
    must(replay_kernel_create(&arena, &setup, &options, &session), "create");
    uint64_t start = os_clock_cpu_ns();
    for (uint32_t i = 0; i < PUT_COUNT; i++) {
        change(puts, i);
        must(replay_kernel_put(session, bytes_of(puts->wire, 5 + PUT_SIZE), &status,
                               &hash),
             "put");
        if (status)
            bench_die("kernel: put: %s", kernel_status_name(status));
    }
    *ret_ns = os_clock_cpu_ns() - start;
    must(replay_kernel_finish(session, 0), "finish");
    replay_kernel_close(session);
    tape_close(&tape);
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
    struct puts recorded = {.wire = wire.data, .recorded = true};
    struct bench_variant variant[] = {{.run = run_puts, .self = &puts},
                                      {.run = run_puts, .self = &plain},
                                      {.run = run_puts, .self = &recorded}};
    bench_turns(bench, variant, countof(variant));
    static const char *const name[] = {"put_cap", "plain SHA-256", "put_cap recorded"};
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
    (void)bench_say_ratio(bench, "1 MiB of data", "put_cap / SHA-256",
                          &variant[0].series, &variant[1].series, 0);
    (void)bench_say_ratio(bench, "1 MiB of data", "recorded / not", &variant[2].series,
                          &variant[0].series, 0);
    buf_fini(&wire);
}

void bench_kernel(struct bench *bench)
{
    for (size_t i = 0; i < countof(kinds); i++) {
        if (!bench->only || strcmp(bench->only, kinds[i].name) == 0)
            measure_kind(bench, &kinds[i]);
    }
    if (!bench->only)
        measure_puts(bench);
}
