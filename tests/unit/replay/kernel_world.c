/* SPDX-License-Identifier: MIT */
#include "tests/unit/replay/kernel_world.h"

#include "kernel/encode.h"

#include <stdio.h>
#include <string.h>

enum { QUOTA = 7, CHILD_SLOT = 9, MARKER_SLOT = 8, CATCHER_SLOT = 5 };

/* Calls the child three times, mints and reads back what it has, yields, replies. */
static const char parent_text[] = "load_imm s0, 0\nfallthrough\nagain:\n"
                                  "add_imm_64 s0, s0, 1\nstore_u64 s0, [0x2000]\n"
                                  "load_imm a0, 9\nload_imm a1, 0\necalli 26\n"
                                  "store_u64 a0, [0x2010]\nadd_64 s1, s1, a0\n"
                                  "branch_lt_u_imm s0, 3, again\n"
                                  "load_imm a0, 0x2000\nload_imm a1, 16\n"
                                  "load_imm a2, 7\nload_imm a3, 12\necalli 23\n"
                                  "load_imm a0, 12\nload_imm a1, 0x3000\n"
                                  "load_imm a2, 16\necalli 22\nload_u64 a4, [0x3010]\n"
                                  "load_imm a0, 8\necalli 16\nadd_imm_64 a0, s1, 0\n"
                                  "ecalli 0\n";
static const char child_text[] = "load_u64 a1, [0x1000]\nadd_imm_64 a1, a1, 3\n"
                                 "store_u64 a1, [0x1000]\nload_imm s0, 0\nfallthrough\n"
                                 "more:\nadd_imm_64 s0, s0, 1\nstore_u64 s0, [0x2008]\n"
                                 "branch_lt_u_imm s0, 5, more\nadd_64 a0, a1, s0\n"
                                 "ecalli 0\n";
static const char caller_text[] = "load_imm a0, 9\nload_imm a1, 0\necalli 26\n"
                                  "add_imm_64 a0, a0, 1\necalli 0\n";
static const char busy_text[] = "fallthrough\nmore:\nadd_imm_64 s0, s0, 1\n"
                                "store_u64 s0, [0x2008]\n"
                                "branch_lt_u_imm s0, 60, more\necalli 0\n";
static const char trap_text[] = "trap\n";
static const char before_text[] = "load_imm a0, 10\necalli 17\nload_imm a0, 1\n"
                                  "ecalli 0\n";
static const char after_text[] = "load_imm a0, 10\necalli 17\nload_imm a0, 2\n"
                                 "ecalli 0\n";

static struct arena arena; /* of programs */

static struct hash256 put(struct replay_kernel *s, struct buf *wire)
{
    enum kernel_status status;
    struct hash256 hash = {{0}};
    assert_int_equal(wire->err, ERR_ok);
    assert_int_equal(replay_kernel_put(s, buf_bytes(wire), &status, &hash), ERR_ok);
    assert_int_equal(status, KERNEL_STATUS_OK);
    buf_clear(wire);
    return hash;
}

static struct hash256 put_image(struct replay_kernel *s, const char *text,
                                struct buf *wire)
{
    struct pvm_code code;
    const struct kernel_endpoint endpoint = {.entry_pc = 0};
    /* What an instance keeps when it is settled. */
    const struct kernel_mapping all_of_it = {
        .size = 0x4000, .path = {14}, .path_size = 1};
    assert_int_equal(pvm_code_parse(assemble(&arena, text), &code), ERR_ok);
    kernel_encode_image(&(struct kernel_image_parts){.code = &code,
                                                     .endpoint = &endpoint,
                                                     .endpoint_count = 1,
                                                     .mapping = &all_of_it,
                                                     .mapping_count = 1,
                                                     .has_yield_slot = true,
                                                     .yield_slot = CATCHER_SLOT},
                        wire);
    return put(s, wire);
}

static struct hash256 put_instance(struct replay_kernel *s, const char *text,
                                   const struct kernel_entry *entry, uint32_t count,
                                   struct buf *wire)
{
    static const uint8_t content[3] = {100, 1, 0};
    const struct hash256 chain = {{1}};
    const struct kernel_overlay overlay = {0x1000, bytes_of(content, sizeof content)};
    struct hash256 image = put_image(s, text, wire);
    kernel_encode_cnode(4, entry, count, wire);
    struct hash256 cnode = put(s, wire);
    kernel_encode_instance(&(struct kernel_instance_parts){.chain = &chain,
                                                           .image = &image,
                                                           .root_cnode = &cnode,
                                                           .overlay = &overlay,
                                                           .overlay_count = 1,
                                                           .mem_size = 0x4000},
                           wire);
    return put(s, wire);
}

static struct replay_kernel_answer request(struct replay_kernel *s,
                                           enum replay_kernel_fn fn,
                                           const uint8_t *payload, size_t size)
{
    struct replay_kernel_answer answer;
    assert_int_equal(replay_kernel_request(s, fn, bytes_of(payload, size), &answer),
                     ERR_ok);
    assert_int_equal(answer.status, KERNEL_STATUS_OK);
    return answer;
}

/* A catcher of this marker and of want of gas. */
static struct hash256 put_catcher(struct replay_kernel *s, const struct hash256 *marker)
{
    struct hash256 catcher, oog = kernel_id("oog_marker");
    uint8_t packet[72] = {0};
    struct replay_kernel_answer answer = request(s, REPLAY_KERNEL_NEW_CATCHER, NULL, 0);
    memcpy(catcher.byte, answer.bytes, sizeof catcher.byte);
    memcpy(packet + 8, catcher.byte, sizeof catcher.byte);
    memcpy(packet + 40, marker->byte, sizeof marker->byte);
    (void)request(s, REPLAY_KERNEL_ADD_CATCHER, packet, sizeof packet);
    memcpy(packet + 40, oog.byte, sizeof oog.byte);
    (void)request(s, REPLAY_KERNEL_ADD_CATCHER, packet, sizeof packet);
    return catcher;
}

static void seed_quota(struct replay_kernel *s, uint64_t id)
{
    uint8_t packet[24] = {0};
    kernel_u64_put(packet + 8, id);
    kernel_u64_put(packet + 16, 100000);
    (void)request(s, REPLAY_KERNEL_SEED_QUOTA, packet, sizeof packet);
}

static void invoke(struct replay_kernel *s, struct hash256 instance, uint64_t gas,
                   uint32_t want)
{
    struct kernel_result result;
    const struct replay_kernel_invocation invocation = {.instance = instance,
                                                        .gas = gas};
    assert_int_equal(replay_kernel_invoke(s, &invocation, &result), ERR_ok);
    assert_int_equal(result.exit_reason, want);
}

static void resume(struct replay_kernel *s, bool drop, const struct hash256 *scratch,
                   uint64_t gas, uint32_t want)
{
    struct kernel_result result;
    assert_int_equal(replay_kernel_resume(s, drop, scratch, gas, &result), ERR_ok);
    assert_int_equal(result.exit_reason, want);
}

static void invocations(struct replay_kernel *s, const struct hash256 *instance,
                        const struct hash256 *marker)
{
    enum { PARENT, CALLER, TRAP, TRAP_CALLER, REPLACED };
    struct hash256 nobody = {{9}};
    invoke(s, nobody, 5, (uint32_t)KERNEL_EXIT_ERROR);
    invoke(s, instance[TRAP], 1000, KERNEL_EXIT_TRAP);
    invoke(s, instance[PARENT], 100000, KERNEL_EXIT_PAUSED);
    invoke(s, instance[PARENT], 100000, (uint32_t)KERNEL_EXIT_ERROR);
    resume(s, false, marker, 5, KERNEL_EXIT_HALT);
    seed_quota(s, QUOTA + 1);
    (void)put_catcher(s, &nobody);
    invoke(s, instance[TRAP_CALLER], 1000, KERNEL_EXIT_TRAP);
    invoke(s, instance[TRAP], 0, KERNEL_EXIT_OUT_OF_GAS);
    invoke(s, instance[CALLER], 1500, KERNEL_EXIT_PAUSED);
    resume(s, false, NULL, 0, KERNEL_EXIT_PAUSED);
    resume(s, false, NULL, 400, KERNEL_EXIT_PAUSED);
    resume(s, true, NULL, 0, KERNEL_EXIT_DROPPED);
    invoke(s, instance[CALLER], 1500, KERNEL_EXIT_PAUSED);
    resume(s, false, NULL, 1000000, KERNEL_EXIT_HALT);
    invoke(s, instance[REPLACED], 100000, KERNEL_EXIT_HALT);
    invoke(s, instance[PARENT], 100000, KERNEL_EXIT_PAUSED);
    resume(s, false, NULL, 0, KERNEL_EXIT_HALT);
    invoke(s, instance[TRAP_CALLER], 1000, KERNEL_EXIT_TRAP);
}

void kernel_world_session(struct replay_kernel *s)
{
    arena_init(&arena, (size_t)64 << 20);
    struct buf wire;
    const struct hash256 type = {{0xab}};
    buf_init(&wire, 1 << 20);
    kernel_encode_type(&type, &wire);
    struct hash256 marker = put(s, &wire);
    struct hash256 catcher = put_catcher(s, &marker);
    struct hash256 child = put_instance(s, child_text, NULL, 0, &wire);
    struct hash256 busy = put_instance(s, busy_text, NULL, 0, &wire);
    struct hash256 trap = put_instance(s, trap_text, NULL, 0, &wire);
    struct hash256 after = put_image(s, after_text, &wire);
    const struct kernel_entry parents[] = {
        {2, catcher}, {MARKER_SLOT, marker}, {CHILD_SLOT, child}};
    const struct kernel_entry callers[] = {{CATCHER_SLOT, catcher}, {CHILD_SLOT, busy}};
    const struct kernel_entry trapped[] = {{CHILD_SLOT, trap}};
    const struct kernel_entry replaced[] = {{10, after}};
    const struct kernel_entry catching[] = {
        {CATCHER_SLOT, catcher}, {MARKER_SLOT, marker}, {CHILD_SLOT, child}};
    struct hash256 parent = put_instance(s, parent_text, parents, 3, &wire);
    const struct kernel_entry outer[] = {{CATCHER_SLOT, catcher}, {CHILD_SLOT, parent}};
    const struct hash256 instance[] = {
        put_instance(s, caller_text, outer, 2, &wire),
        put_instance(s, caller_text, callers, 2, &wire),
        trap,
        put_instance(s, caller_text, trapped, 1, &wire),
        put_instance(s, before_text, replaced, 1, &wire),
    };
    (void)put_instance(s, parent_text, catching, 3, &wire);
    seed_quota(s, QUOTA);
    invocations(s, instance, &marker);
    buf_fini(&wire);
    arena_fini(&arena);
}

void kernel_world_programs(struct replay_kernel *s)
{
    arena_init(&arena, (size_t)64 << 20);
    struct hash256 instance[KERNEL_WORLD_PROGRAMS];
    struct buf wire;
    char text[80];
    buf_init(&wire, 1 << 20);
    for (unsigned i = 0; i < KERNEL_WORLD_PROGRAMS; i++) {
        (void)snprintf(text, sizeof text,
                       "load_imm s0, %u\nstore_u64 s0, [0x2008]\necalli 0\n", i);
        instance[i] = put_instance(s, text, NULL, 0, &wire);
    }
    for (unsigned i = 0; i < KERNEL_WORLD_RUNS; i++)
        invoke(s, instance[i % KERNEL_WORLD_PROGRAMS], i % 3 ? UINT64_MAX : 1000,
               KERNEL_EXIT_HALT);
    invoke(s, put_instance(s, busy_text, NULL, 0, &wire), UINT64_MAX, KERNEL_EXIT_HALT);
    buf_fini(&wire);
    arena_fini(&arena);
}

/* ---- a recording ---- */

static enum err put_checkpoint(void *self, uint64_t seq,
                               const struct trace_clock *clock,
                               const struct trace_base_part *part, size_t part_count)
{
    (void)seq;
    trace_writer_checkpoint(self, clock, part, part_count);
    return ERR_ok;
}

struct hash256 kernel_world_record(const struct kernel_world *how,
                                   struct trace_memory *memory)
{
    struct replay_kernel_setup setup = replay_kernel_setup_default();
    const struct trace_writer_options writing = {.guest = TRACE_GUEST_PVM,
                                                 .ring = how->ring};
    struct replay_kernel_options options = {.engine = how->engine};
    struct hash256 identity;
    struct arena own;
    struct trace_writer *writer;
    struct replay_kernel *s;
    struct trace_sink sink = trace_memory_sink(memory);
    arena_init(&own, (size_t)1 << 30);
    setup.gas_log = how->log;
    setup.config.flags |= KERNEL_STATEFUL_CHILDREN | how->flags;
    setup.config.max_depth = how->depth;
    assert_int_equal(trace_writer_create(&own, &sink, &writing, &writer), ERR_ok);
    assert_int_equal(trace_record_create(&own, writer, true, &options.trace), ERR_ok);
    options.checkpoints =
        (struct replay_checkpoints){how->checkpoint, put_checkpoint, writer};
    assert_int_equal(replay_kernel_create(&own, &setup, &options, &s), ERR_ok);
    if (how->session)
        *how->session = s;
    how->run(s);
    assert_int_equal(replay_kernel_finish(s, 0), ERR_ok);
    replay_kernel_close(s);
    trace_close(options.trace);
    assert_int_equal(trace_writer_finish(writer, &identity), ERR_ok);
    trace_memory_flush(memory);
    arena_fini(&own);
    return identity;
}

enum err kernel_world_copy_pages(void *self, uint64_t first_page, struct bytes bytes)
{
    struct kernel_world_pages *pages = self;
    trace_checkpoint_put_pages(pages->payload, first_page, bytes);
    pages->record_count++;
    return ERR_ok;
}
