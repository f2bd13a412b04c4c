/* SPDX-License-Identifier: MIT
 *
 * The dispatcher: request frames in, response frames out (pvm-kernel.md 9, 11.5, 12;
 * the ids of its checklist are in the comments).
 */
#include "kernel/cap.h"
#include "nub/server.h"
#include "tests/test.h"
#include "tests/unit/nub/kat.h"

#include <string.h>

struct fixture {
    struct nub_server *server;
    uint8_t *frame;
    uint32_t seq;
    /* The last answer. */
    struct nub_header header;
    struct bytes payload;
};

static int setup(void **state)
{
    static struct fixture f;
    struct kernel_config config = kernel_config_default();
    config.max_assist_entries = 8;
    f = (struct fixture){.frame = malloc(NUB_FRAME_MAX)};
    assert_non_null(f.frame);
    assert_int_equal(nub_server_open(&config, &f.server), ERR_ok);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    nub_server_close(f->server);
    free(f->frame);
    return 0;
}

/* Serve a request with this header; its status. */
static uint32_t serve(struct fixture *f, struct nub_header header, const void *payload,
                      size_t size, bool descriptors)
{
    struct bytes response;
    header.seq = ++f->seq;
    header.size = (uint32_t)size;
    nub_header_encode(&header, f->frame);
    if (size)
        memcpy(f->frame + NUB_HEADER_SIZE, payload, size);
    assert_int_equal(nub_server_serve(f->server,
                                      bytes_of(f->frame, NUB_HEADER_SIZE + size),
                                      descriptors, &response),
                     ERR_ok);
    assert_true(response.size >= NUB_HEADER_SIZE);
    assert_true(nub_header_decode(response.data, &f->header));
    assert_true(nub_header_answers(&f->header, &header));
    assert_int_equal(response.size - NUB_HEADER_SIZE, f->header.size);
    f->payload = bytes_of(response.data + NUB_HEADER_SIZE, f->header.size);
    return f->header.status;
}

static uint32_t call(struct fixture *f, uint32_t fn, const void *payload, size_t size)
{
    return serve(f, (struct nub_header){.fn = fn}, payload, size, false);
}

static void expect_u64(struct fixture *f, uint64_t want)
{
    assert_int_equal(f->payload.size, 8);
    assert_int_equal(kernel_u64(f->payload.data), want);
}

static void expect_result(struct fixture *f, uint32_t reason, uint32_t arg)
{
    struct kernel_result result;
    assert_true(nub_result_decode(f->payload, &result));
    assert_int_equal(result.exit_reason, reason);
    assert_int_equal(result.exit_arg, arg);
}

static void expect_put_refused(struct fixture *f)
{
    assert_int_equal(f->payload.size, HASH256_SIZE);
    for (size_t i = 0; i < HASH256_SIZE; i++)
        assert_int_equal(f->payload.data[i], 0xff);
}

static enum kernel_error last_error(struct fixture *f)
{
    struct kernel_outcome outcome;
    assert_int_equal(call(f, NUB_FN_last_outcome, NULL, 0), KERNEL_STATUS_OK);
    assert_true(nub_outcome_decode(f->payload, &outcome));
    return outcome.error;
}

/* The steps of a scenario, as far as `count`. */
static void play(struct fixture *f, const char *name, size_t count)
{
    struct json_object *inputs = kat_get(kat_vector(name), "inputs");
    struct json_object *steps = kat_get(inputs, "steps");
    for (size_t i = 0; i < json_object_array_length(steps) && i < count; i++) {
        struct json_object *step = json_object_array_get_idx(steps, i);
        struct bytes payload;
        enum nub_fn fn = kat_request(step, &payload);
        uint32_t status = call(f, fn, payload.data, payload.size);
        kat_expect(step, status, f->payload);
    }
}

/* */
static void test_smoke_and_unknown(void **state)
{
    static const uint32_t unknown[] = {1, 2, 6, 7, 8, 15, 27, UINT32_MAX};
    struct fixture *f = *state;
    assert_int_equal(call(f, NUB_FN_smoke, NULL, 0), KERNEL_STATUS_OK);
    expect_u64(f, 42);
    assert_int_equal(call(f, NUB_FN_smoke, "whatever", 8), KERNEL_STATUS_OK);
    expect_u64(f, 42);
    for (size_t i = 0; i < countof(unknown); i++) {
        assert_int_equal(call(f, unknown[i], "x", 1), KERNEL_STATUS_UNKNOWN_FN);
        assert_int_equal(f->payload.size, 0);
    }
}

/* */
static void test_boot_info(void **state)
{
    struct fixture *f = *state;
    uint8_t first[NUB_BOOT_INFO_SIZE];
    struct nub_boot_info info;
    assert_int_equal(call(f, NUB_FN_get_boot_info, "?", 1), KERNEL_STATUS_OK);
    assert_true(nub_boot_info_decode(f->payload, &info));
    memcpy(first, f->payload.data, sizeof first);
    play(f, "sc01_halt42", 1);
    assert_int_equal(call(f, NUB_FN_get_boot_info, NULL, 0), KERNEL_STATUS_OK);
    assert_memory_equal(f->payload.data, first, sizeof first);
}

/* */
static void test_invoke(void **state)
{
    static const size_t sizes[] = {79, 81, 0};
    struct fixture *f = *state;
    uint8_t packet[81] = {0}, result[NUB_RESULT_SIZE];
    struct bytes payload;
    play(f, "sc01_halt42", 3);
    for (size_t i = 0; i < countof(sizes); i++) {
        assert_int_equal(call(f, NUB_FN_invoke, packet, sizes[i]), KERNEL_STATUS_OK);
        expect_result(f, UINT32_MAX, 10);
        assert_int_equal(last_error(f), KERNEL_ERROR_BadPacket);
    }
    struct json_object *steps =
        kat_get(kat_get(kat_vector("sc01_halt42"), "inputs"), "steps");
    (void)kat_request(json_object_array_get_idx(steps, 3), &payload);
    memcpy(packet, payload.data, payload.size);
    assert_int_equal(call(f, NUB_FN_invoke, packet, 80), KERNEL_STATUS_OK);
    expect_result(f, KERNEL_EXIT_HALT, 0);
    memcpy(result, f->payload.data, sizeof result);
    kernel_u32_put(packet + 36, UINT32_MAX);
    assert_int_equal(call(f, NUB_FN_invoke, packet, 80), KERNEL_STATUS_OK);
    assert_memory_equal(f->payload.data, result, sizeof result);
    kernel_u32_put(packet + 32, 256);
    assert_int_equal(call(f, NUB_FN_invoke, packet, 80), KERNEL_STATUS_OK);
    expect_result(f, UINT32_MAX, 25);
    memset(packet, 0xee, HASH256_SIZE);
    assert_int_equal(call(f, NUB_FN_invoke, packet, 80), KERNEL_STATUS_OK);
    expect_result(f, UINT32_MAX, 21);
}

/* The number of the step behind which an invocation is paused. */
static size_t steps_to_pause(const char *name)
{
    struct json_object *steps = kat_get(kat_get(kat_vector(name), "inputs"), "steps");
    for (size_t i = 0; i < json_object_array_length(steps); i++) {
        struct json_object *step = json_object_array_get_idx(steps, i);
        struct json_object *want = kat_get(step, "expect");
        if (want && json_object_is_type(want, json_type_object) &&
            kat_number(want, "exit_reason") == KERNEL_EXIT_PAUSED)
            return i + 1;
    }
    fail_msg("%s never pauses", name);
    return 0;
}

/* what is wrong with a RESUME leaves the invocation paused. */
static void test_resume(void **state)
{
    struct fixture *f = *state;
    uint8_t packet[NUB_RESUME_SIZE + 1] = {0};
    uint8_t invoke[NUB_INVOKE_SIZE] = {0};
    assert_int_equal(call(f, NUB_FN_resume, packet, 48), KERNEL_STATUS_OK);
    expect_result(f, UINT32_MAX, 99);
    assert_int_equal(last_error(f), KERNEL_ERROR_NotPaused);
    play(f, "sc08_yield_caught_resume", steps_to_pause("sc08_yield_caught_resume"));
    packet[0] = 4;
    (void)call(f, NUB_FN_resume, packet, 48);
    expect_result(f, UINT32_MAX, 10);
    packet[0] = 0;
    packet[4] = 1;
    (void)call(f, NUB_FN_resume, packet, 48);
    expect_result(f, UINT32_MAX, 10);
    packet[4] = 0;
    (void)call(f, NUB_FN_resume, packet, 47);
    expect_result(f, UINT32_MAX, 10);
    (void)call(f, NUB_FN_resume, packet, 49);
    expect_result(f, UINT32_MAX, 10);
    (void)call(f, NUB_FN_invoke, invoke, 80);
    expect_result(f, UINT32_MAX, 99);
    assert_int_equal(last_error(f), KERNEL_ERROR_PausedOutstanding);
    packet[0] = KERNEL_RESUME_DROP;
    (void)call(f, NUB_FN_resume, packet, 48);
    expect_result(f, KERNEL_EXIT_DROPPED, 0);
}

/* R-09 and 9.6. */
static void test_configure(void **state)
{
    struct fixture *f = *state;
    struct kernel_config config;
    uint8_t bytes[NUB_CONFIG_SIZE];
    struct bytes wanted = kat_configure(KERNEL_STRICT_RETURN, KERNEL_ENGINE_INTERP);
    (void)call(f, NUB_FN_smoke, NULL, 0);
    (void)call(f, NUB_FN_get_boot_info, NULL, 0);
    (void)call(f, NUB_FN_last_outcome, NULL, 0);
    assert_int_equal(call(f, NUB_FN_configure, NULL, 0), KERNEL_STATUS_OK);
    assert_true(nub_config_decode(f->payload, &config));
    assert_int_equal(config.max_assist_entries, 8);
    assert_int_equal(call(f, NUB_FN_configure, wanted.data, wanted.size),
                     KERNEL_STATUS_OK);
    assert_memory_equal(f->payload.data, wanted.data, wanted.size);
    assert_int_equal(call(f, NUB_FN_configure, wanted.data, wanted.size),
                     KERNEL_STATUS_STATE);
    assert_int_equal(f->payload.size, 0);
    play(f, "sc01_halt42", 1);
    assert_int_equal(call(f, NUB_FN_configure, wanted.data, wanted.size),
                     KERNEL_STATUS_STATE);
    assert_int_equal(call(f, NUB_FN_configure, NULL, 0), KERNEL_STATUS_OK);
    assert_memory_equal(f->payload.data, wanted.data, wanted.size);
    assert_int_equal(call(f, NUB_FN_configure, wanted.data, 63),
                     KERNEL_STATUS_MALFORMED);
    memcpy(bytes, wanted.data, sizeof bytes);
    bytes[56] = 1;
    assert_int_equal(call(f, NUB_FN_configure, bytes, 64), KERNEL_STATUS_MALFORMED);
}

/* Each bad configuration, on a server that has not begun to work. */
static void test_configure_refused(void **state)
{
    static const struct {
        uint32_t at, value;
    } bad[] = {{0, 2},      {4, 16},   {8, 0},  {8, 4097},       {12, 77},
               {16, 0xfff}, {24, 100}, {52, 2}, {44, UINT32_MAX}};
    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        void *fresh;
        uint8_t bytes[NUB_CONFIG_SIZE];
        setup(&fresh);
        struct fixture *f = fresh;
        memcpy(bytes, kat_configure(12, KERNEL_ENGINE_INTERP).data, sizeof bytes);
        kernel_u32_put(bytes + bad[i].at, bad[i].value);
        assert_int_equal(call(f, NUB_FN_configure, bytes, sizeof bytes),
                         KERNEL_STATUS_BAD_VALUE);
        assert_int_equal(call(f, NUB_FN_configure, NULL, 0), KERNEL_STATUS_OK);
        assert_int_equal(kernel_u32(f->payload.data + 44), 8); /* as it was */
        teardown(&fresh);
    }
}

/* R-10, and the tables' limits. */
static void test_quotas(void **state)
{
    struct fixture *f = *state;
    uint8_t p[24] = {0};
    p[8] = 5;
    p[16] = 100;
    assert_int_equal(call(f, NUB_FN_seed_quota, p, 24), KERNEL_STATUS_OK);
    expect_u64(f, 0);
    p[16] = 7;
    assert_int_equal(call(f, NUB_FN_seed_quota, p, 24), KERNEL_STATUS_OK);
    expect_u64(f, 100);
    p[0] = 1; /* the meters are another table */
    assert_int_equal(call(f, NUB_FN_seed_quota, p, 24), KERNEL_STATUS_OK);
    expect_u64(f, 0);
    p[0] = 2;
    assert_int_equal(call(f, NUB_FN_seed_quota, p, 24), KERNEL_STATUS_BAD_VALUE);
    p[0] = 0;
    p[4] = 1;
    assert_int_equal(call(f, NUB_FN_seed_quota, p, 24), KERNEL_STATUS_MALFORMED);
    p[4] = 0;
    assert_int_equal(call(f, NUB_FN_seed_quota, p, 23), KERNEL_STATUS_MALFORMED);
    for (p[8] = 6; p[8] < 13; p[8]++)
        assert_int_equal(call(f, NUB_FN_seed_quota, p, 24), KERNEL_STATUS_OK);
    assert_int_equal(call(f, NUB_FN_seed_quota, p, 24), KERNEL_STATUS_LIMIT);
    p[8] = 5;
    p[16] = 0;
    assert_int_equal(call(f, NUB_FN_seed_quota, p, 24), KERNEL_STATUS_OK);
    expect_u64(f, 7);
    p[16] = 1;
    assert_int_equal(call(f, NUB_FN_seed_quota, p, 24), KERNEL_STATUS_OK);
}

static void test_files(void **state)
{
    struct fixture *f = *state;
    uint8_t p[41] = {9};
    assert_int_equal(call(f, NUB_FN_seed_file, p, 40), KERNEL_STATUS_OK);
    expect_u64(f, 10);
    memset(p, 0xff, 8);
    assert_int_equal(call(f, NUB_FN_seed_file, p, 40), KERNEL_STATUS_BAD_VALUE);
    assert_int_equal(call(f, NUB_FN_seed_file, p, 41), KERNEL_STATUS_MALFORMED);
    p[0] = 0xfe;
    assert_int_equal(call(f, NUB_FN_seed_file, p, 40), KERNEL_STATUS_OK);
    expect_u64(f, UINT64_MAX);
}

/* */
static void test_catchers(void **state)
{
    struct fixture *f = *state;
    uint8_t p[72] = {0}, quota[24] = {[8] = 1, [16] = 1};
    assert_int_equal(call(f, NUB_FN_new_catcher, "x", 1), KERNEL_STATUS_MALFORMED);
    assert_int_equal(call(f, NUB_FN_new_catcher, NULL, 0), KERNEL_STATUS_OK);
    assert_int_equal(f->payload.data[0], 0x81);
    memcpy(p + 8, f->payload.data, HASH256_SIZE);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(call(f, NUB_FN_add_catcher, p, 72), KERNEL_STATUS_OK);
        assert_int_equal(kernel_u32(f->payload.data), 1);
        assert_int_equal(f->payload.size, 4);
    }
    p[0] = 1;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(call(f, NUB_FN_add_catcher, p, 72), KERNEL_STATUS_OK);
        assert_int_equal(kernel_u32(f->payload.data), 0);
    }
    p[0] = 2;
    assert_int_equal(call(f, NUB_FN_add_catcher, p, 72), KERNEL_STATUS_BAD_VALUE);
    p[0] = 0;
    p[7] = 1;
    assert_int_equal(call(f, NUB_FN_add_catcher, p, 72), KERNEL_STATUS_MALFORMED);
    (void)call(f, NUB_FN_seed_quota, quota, 24);
    assert_int_equal(call(f, NUB_FN_reset_block, NULL, 0), KERNEL_STATUS_OK);
    assert_int_equal(f->payload.size, 0);
    (void)call(f, NUB_FN_seed_quota, quota, 24);
    expect_u64(f, 0);
    (void)call(f, NUB_FN_new_catcher, NULL, 0); /* the nonce goes on */
    assert_int_equal(f->payload.data[0], 0x1d);
}

/* H-16, and the rest of GET_CAP. */
static void test_get_cap(void **state)
{
    struct fixture *f = *state;
    uint8_t p[48] = {0}, whole[64];
    size_t at = 0;
    memset(whole, 0xaa, sizeof whole);
    whole[0] = KERNEL_KIND_TYPE;
    assert_int_equal(call(f, NUB_FN_put_cap, whole, 33), KERNEL_STATUS_OK);
    memcpy(p, f->payload.data, HASH256_SIZE);
    p[40] = 10;
    while (at < 33) {
        p[32] = (uint8_t)at;
        assert_int_equal(call(f, NUB_FN_get_cap, p, 48), KERNEL_STATUS_OK);
        assert_int_equal(kernel_u64(f->payload.data), 33);
        assert_int_equal(kernel_u64(f->payload.data + 8), at);
        size_t got = f->payload.size - NUB_CAP_PART_HEADER;
        assert_int_equal(got, at + 10 < 33 ? 10 : 33 - at);
        assert_memory_equal(f->payload.data + NUB_CAP_PART_HEADER, whole + at, got);
        at += got;
    }
    p[32] = 33;
    assert_int_equal(call(f, NUB_FN_get_cap, p, 48), KERNEL_STATUS_OK);
    assert_int_equal(f->payload.size, NUB_CAP_PART_HEADER);
    p[32] = 34;
    assert_int_equal(call(f, NUB_FN_get_cap, p, 48), KERNEL_STATUS_BAD_VALUE);
    p[32] = 0;
    memset(p + 40, 0xff, 4);
    assert_int_equal(call(f, NUB_FN_get_cap, p, 48), KERNEL_STATUS_OK);
    assert_int_equal(f->payload.size, NUB_CAP_PART_HEADER + 33);
    p[44] = 1;
    assert_int_equal(call(f, NUB_FN_get_cap, p, 48), KERNEL_STATUS_MALFORMED);
    p[44] = 0;
    p[0] ^= 1;
    assert_int_equal(call(f, NUB_FN_get_cap, p, 48), KERNEL_STATUS_NOT_FOUND);
}

/* 9.8: whole records, oldest first, each taken once. */
static void test_drain_trace(void **state)
{
    struct fixture *f = *state;
    uint8_t all[8] = {0xff, 0xff, 0xff, 0xff}, few[8] = {200}, bad[8] = {1, 0, 0, 0, 1};
    play(f, "sc03_nested_return", SIZE_MAX);
    assert_int_equal(call(f, NUB_FN_drain_trace, bad, 8), KERNEL_STATUS_MALFORMED);
    assert_int_equal(call(f, NUB_FN_drain_trace, all, 7), KERNEL_STATUS_MALFORMED);
    assert_int_equal(call(f, NUB_FN_drain_trace, few, 8), KERNEL_STATUS_OK);
    assert_int_equal(f->payload.size, NUB_TRACE_HEADER);
    uint64_t left = kernel_u64(f->payload.data + 8);
    assert_true(left > 2);
    assert_int_equal(call(f, NUB_FN_drain_trace, all, 8), KERNEL_STATUS_OK);
    assert_int_equal(kernel_u64(f->payload.data), 0);
    assert_int_equal(kernel_u64(f->payload.data + 8), 0);
    size_t at = NUB_TRACE_HEADER;
    for (uint64_t i = 0; i < left; i++) {
        assert_true(at + 256 <= f->payload.size);
        assert_int_equal(kernel_u64(f->payload.data + at + 16), i);
        at += kernel_u32(f->payload.data + at);
    }
    assert_int_equal(at, f->payload.size);
    assert_int_equal(call(f, NUB_FN_drain_trace, all, 8), KERNEL_STATUS_OK);
    assert_int_equal(f->payload.size, NUB_TRACE_HEADER);
    assert_int_equal(kernel_u64(f->payload.data), left);
}

/* 9.9, and no part of it is taken for the whole. */
static void test_dump_state(void **state)
{
    struct fixture *f = *state;
    struct nub_state dump;
    uint8_t quota[24] = {[8] = 3, [16] = 4}, file[40] = {6}, whole[2048];
    play(f, "sc08_yield_caught_resume", steps_to_pause("sc08_yield_caught_resume"));
    (void)call(f, NUB_FN_seed_quota, quota, 24);
    (void)call(f, NUB_FN_seed_file, file, 40);
    assert_int_equal(call(f, NUB_FN_dump_state, "x", 1), KERNEL_STATUS_MALFORMED);
    assert_int_equal(call(f, NUB_FN_dump_state, NULL, 0), KERNEL_STATUS_OK);
    assert_true(nub_state_decode(f->payload, &dump));
    assert_int_equal(dump.quotas.size, NUB_AMOUNT_SIZE);
    assert_int_equal(kernel_u64(dump.quotas.data + 8), 4);
    assert_int_equal(dump.meters.size, 0);
    assert_int_equal(dump.files.size, NUB_FILE_SIZE);
    assert_int_equal(dump.file_next, 7);
    assert_int_equal(dump.catcher_count, 1);
    assert_int_equal(dump.marker_count, 1);
    assert_int_equal(dump.catcher_nonce, 1);
    assert_int_equal(dump.stack.size, 3 * NUB_FRAME_STATE_SIZE);
    assert_int_equal(kernel_u32(dump.stack.data + 2 * NUB_FRAME_STATE_SIZE), 1);
    size_t size = f->payload.size;
    assert_true(size < sizeof whole);
    memcpy(whole, f->payload.data, size);
    for (size_t cut = 0; cut <= size + 1; cut++)
        assert_int_equal(nub_state_decode(bytes_of(whole, cut), &dump), cut == size);
}

/* K-05: the kernel lives on after each refused cap. */
static void test_put_refused(void **state)
{
    struct fixture *f = *state;
    struct json_object *vectors = kat_vectors();
    unsigned count = 0;
    for (size_t i = 0; i < json_object_array_length(vectors); i++) {
        struct json_object *vector = json_object_array_get_idx(vectors, i);
        if (strcmp(kat_text(vector, "kind"), "wire_reject") != 0)
            continue;
        struct bytes wire = kat_wire(kat_get(vector, "inputs"));
        uint32_t status = call(f, NUB_FN_put_cap, wire.data, wire.size);
        assert_string_equal(kernel_status_name((enum kernel_status)status),
                            kat_text(vector, "expected"));
        expect_put_refused(f);
        count++;
    }
    assert_int_equal(count, 34);
    play(f, "sc01_halt42", 4);
}

/* 12: a header with a status, unknown flags, descriptors. */
static void test_malformed_header(void **state)
{
    struct fixture *f = *state;
    const uint8_t type[33] = {KERNEL_KIND_TYPE};
    const struct nub_header status = {.fn = NUB_FN_smoke, .status = 1};
    const struct nub_header flags = {.fn = NUB_FN_invoke, .flags = 2};
    const struct nub_header large = {.fn = NUB_FN_put_cap, .flags = 1};
    const struct nub_header unknown = {.fn = 6, .flags = 0x8000};
    const struct nub_header plain = {.fn = NUB_FN_put_cap};
    assert_int_equal(serve(f, status, NULL, 0, false), KERNEL_STATUS_MALFORMED);
    assert_int_equal(f->payload.size, 0);
    assert_int_equal(serve(f, flags, NULL, 0, false), KERNEL_STATUS_MALFORMED);
    assert_int_equal(f->payload.size, 0);
    assert_int_equal(serve(f, large, type, 33, false), KERNEL_STATUS_MALFORMED);
    expect_put_refused(f);
    assert_int_equal(serve(f, unknown, NULL, 0, false), KERNEL_STATUS_MALFORMED);
    assert_int_equal(serve(f, plain, type, 33, true), KERNEL_STATUS_MALFORMED);
    expect_put_refused(f);
    assert_int_equal(serve(f, plain, type, 33, false), KERNEL_STATUS_OK);
}

/* 12: what ends the stream. */
static void test_protocol(void **state)
{
    struct fixture *f = *state;
    struct nub_header header = {.fn = NUB_FN_smoke};
    struct bytes response;
    for (size_t size = 0; size < NUB_HEADER_SIZE + 2; size++) {
        nub_header_encode(&header, f->frame);
        enum err err =
            nub_server_serve(f->server, bytes_of(f->frame, size), false, &response);
        assert_int_equal(err, size == NUB_HEADER_SIZE ? ERR_ok : ERR_nub_protocol);
    }
    header.size = 1;
    nub_header_encode(&header, f->frame);
    assert_int_equal(nub_server_serve(f->server, bytes_of(f->frame, NUB_HEADER_SIZE),
                                      false, &response),
                     ERR_nub_protocol);
    f->frame[0] = 'Q';
    assert_int_equal(nub_server_serve(f->server, bytes_of(f->frame, NUB_HEADER_SIZE),
                                      false, &response),
                     ERR_nub_protocol);
    assert_int_equal(call(f, NUB_FN_smoke, NULL, 0), KERNEL_STATUS_OK);
}

static void test_open_refused(void **state)
{
    struct kernel_config config = kernel_config_default();
    struct nub_server *server = NULL;
    (void)state;
    config.max_depth = 0;
    assert_int_equal(nub_server_open(&config, &server), ERR_usage);
    assert_null(server);
    nub_server_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_smoke_and_unknown),
        TEST(test_boot_info),
        TEST(test_invoke),
        TEST(test_resume),
        TEST(test_configure),
        cmocka_unit_test(test_configure_refused),
        TEST(test_quotas),
        TEST(test_files),
        TEST(test_catchers),
        TEST(test_get_cap),
        TEST(test_drain_trace),
        TEST(test_dump_state),
        TEST(test_put_refused),
        TEST(test_malformed_header),
        TEST(test_protocol),
        cmocka_unit_test(test_open_refused),
    };
    return cmocka_run_group_tests(tests, kat_open, kat_close);
}
