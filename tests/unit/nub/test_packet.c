/* SPDX-License-Identifier: MIT
 *
 * Packets byte for byte: the known answers, what comes back, and what is refused.
 */
#include "kernel/cap.h"
#include "tests/test.h"
#include "tests/unit/nub/kat.h"

#include <string.h>

static size_t expected(struct json_object *vector, uint8_t *ret_bytes, size_t size_max)
{
    return kat_unhex(kat_text(vector, "expected"), ret_bytes, size_max);
}

/* K-06: the packets of the known answers. */
static void test_packets(void **unused)
{
    (void)unused;
    uint8_t want[512] = {0}, got[512];
    struct bytes all = bytes_of(want, 0);
    struct nub_invoke invoke;
    struct nub_resume resume;
    struct kernel_result result;
    struct nub_boot_info info;

    all.size = expected(kat_vector("invoke_packet_load42"), want, sizeof want);
    assert_true(nub_invoke_decode(all, &invoke));
    assert_int_equal(invoke.gas, 1000);
    assert_int_equal(invoke.instance.byte[0], 0x7b);
    nub_invoke_encode(&invoke, got);
    assert_memory_equal(got, want, all.size);

    all.size =
        expected(kat_vector("resume_packet_scratch_ab_topup500"), want, sizeof want);
    assert_true(nub_resume_decode(all, &resume));
    assert_int_equal(resume.flags, 1);
    assert_int_equal(resume.topup, 500);
    nub_resume_encode(&resume, got);
    assert_memory_equal(got, want, all.size);

    all.size = expected(kat_vector("result_halt42_gas903"), want, sizeof want);
    assert_true(nub_result_decode(all, &result));
    assert_int_equal(result.return_value, 42);
    assert_int_equal(result.gas_remaining, 903);
    nub_result_encode(&result, got);
    assert_memory_equal(got, want, all.size);

    all.size = expected(kat_vector("boot_info"), want, sizeof want);
    assert_true(nub_boot_info_decode(all, &info));
    nub_boot_info_encode(got);
    assert_int_equal(all.size, NUB_BOOT_INFO_SIZE);
    assert_memory_equal(got, want, all.size);
}

/* K-06: the frames. */
static void test_frames(void **unused)
{
    (void)unused;
    struct json_object *vectors = kat_vectors();
    unsigned count = 0;
    for (size_t i = 0; i < json_object_array_length(vectors); i++) {
        struct json_object *vector = json_object_array_get_idx(vectors, i);
        if (strcmp(kat_text(vector, "kind"), "frame") != 0)
            continue;
        struct json_object *in = kat_get(vector, "inputs");
        uint8_t want[512], got[512];
        size_t size = expected(vector, want, sizeof want);
        struct nub_header seen, header = {.flags = (uint16_t)kat_number(in, "flags"),
                                          .fn = (uint32_t)kat_number(in, "fn_id"),
                                          .seq = (uint32_t)kat_number(in, "seq"),
                                          .status = (uint32_t)kat_number(in, "status")};
        header.size = (uint32_t)kat_unhex(kat_text(in, "payload"),
                                          got + NUB_HEADER_SIZE, sizeof got - 24);
        nub_header_encode(&header, got);
        assert_int_equal(NUB_HEADER_SIZE + header.size, size);
        assert_memory_equal(got, want, size);
        assert_true(nub_header_decode(want, &seen));
        nub_header_encode(&seen, got);
        assert_memory_equal(got, want, size);
        count++;
    }
    assert_int_equal(count, 8);
}

/* a host refuses each altered field of BootInfo, but not another token. */
static void test_boot_info_altered(void **unused)
{
    (void)unused;
    uint8_t bytes[NUB_BOOT_INFO_SIZE + 1] = {0};
    struct nub_boot_info info;
    nub_boot_info_encode(bytes);
    for (size_t i = 0; i < NUB_BOOT_INFO_SIZE; i++) {
        bool token = i >= 8 && i < 16;
        bytes[i] ^= 1;
        bool good = nub_boot_info_decode(bytes_of(bytes, NUB_BOOT_INFO_SIZE), &info);
        assert_int_equal(good, token && i != 8);
        bytes[i] ^= 1;
    }
    assert_false(nub_boot_info_decode(bytes_of(bytes, NUB_BOOT_INFO_SIZE - 1), &info));
    assert_false(nub_boot_info_decode(bytes_of(bytes, NUB_BOOT_INFO_SIZE + 1), &info));
}

static void test_header_refused(void **unused)
{
    (void)unused;
    uint8_t bytes[NUB_HEADER_SIZE];
    struct nub_header seen, header = {.fn = 4, .seq = 7, .size = NUB_PAYLOAD_MAX};
    nub_header_encode(&header, bytes);
    assert_true(nub_header_decode(bytes, &seen));
    for (size_t i = 0; i < 6; i++) { /* magic and version */
        bytes[i] ^= 0x10;
        assert_false(nub_header_decode(bytes, &seen));
        bytes[i] ^= 0x10;
    }
    kernel_u32_put(bytes + 20, NUB_PAYLOAD_MAX + 1);
    assert_false(nub_header_decode(bytes, &seen));
    kernel_u32_put(bytes + 20, UINT32_MAX);
    assert_false(nub_header_decode(bytes, &seen));
}

static void test_header_answers(void **unused)
{
    (void)unused;
    const struct nub_header request = {.fn = 4, .seq = 7};
    struct nub_header response = {.fn = 4, .seq = 7, .status = 20, .size = 32};
    assert_true(nub_header_answers(&response, &request));
    response.seq++;
    assert_false(nub_header_answers(&response, &request));
    response.seq--;
    response.fn++;
    assert_false(nub_header_answers(&response, &request));
    response.fn--;
    response.flags = 1;
    assert_false(nub_header_answers(&response, &request));
}

/* Any valid bytes come back from decode and encode as they were. */
static void test_outcome_and_config(void **unused)
{
    (void)unused;
    uint64_t seed = test_seed(1);
    for (unsigned round = 0; round < 500; round++) {
        uint8_t bytes[NUB_OUTCOME_SIZE], again[NUB_OUTCOME_SIZE];
        struct kernel_outcome outcome;
        struct kernel_config config;
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)test_random(&seed);
        kernel_u32_put(bytes, round % 6);
        kernel_u32_put(bytes + 4, round % 8);
        kernel_u32_put(bytes + 44, round % 3);
        assert_true(nub_outcome_decode(bytes_of(bytes, sizeof bytes), &outcome));
        nub_outcome_encode(&outcome, again);
        assert_memory_equal(again, bytes, sizeof bytes);
        kernel_u32_put(bytes + 44, 3);
        assert_false(nub_outcome_decode(bytes_of(bytes, sizeof bytes), &outcome));

        kernel_u32_put(bytes, 1);
        kernel_u32_put(bytes + 52, round % 2);
        kernel_u64_put(bytes + 56, 0);
        assert_true(nub_config_decode(bytes_of(bytes, NUB_CONFIG_SIZE), &config));
        nub_config_encode(&config, again);
        assert_memory_equal(again, bytes, NUB_CONFIG_SIZE);
        kernel_u32_put(bytes, 2);
        assert_false(nub_config_decode(bytes_of(bytes, NUB_CONFIG_SIZE), &config));
    }
}

static void test_names(void **unused)
{
    (void)unused;
    enum nub_fn fn = NUB_FN_smoke;
    assert_string_equal(nub_fn_name(4), "put_cap");
    assert_string_equal(nub_fn_name(2), "?");
    assert_true(nub_fn_find("configure", &fn));
    assert_int_equal(fn, 24);
    assert_false(nub_fn_find("conf", &fn));
    assert_int_equal(fn, 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packets),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_boot_info_altered),
        cmocka_unit_test(test_header_refused),
        cmocka_unit_test(test_header_answers),
        cmocka_unit_test(test_outcome_and_config),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, kat_open, kat_close);
}
