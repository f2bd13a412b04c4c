/* SPDX-License-Identifier: MIT
 *
 * Machine code as text: sizes, jump targets, and bytes that are no instruction.
 */
#include "analysis/x86.h"

#include "tests/test.h"

#include <string.h>

static struct analysis_x86 *open_x86(void)
{
    struct analysis_x86 *x86 = NULL;
    assert_int_equal(analysis_x86_open(&x86), ERR_ok);
    return x86;
}

/* Encodings of Intel's manual. */
static const struct {
    const char *bytes;
    size_t size;
    const char *text;
} known[] = {
    {"\xc3", 1, "ret"},
    {"\x48\x01\xd8", 3, "add rax, rbx"},
    {"\x4c\x8d\x2c\x03", 4, "lea r13, [rbx + rax]"},
    {"\x48\xb8\x88\x77\x66\x55\x44\x33\x22\x11", 10, "movabs rax, 0x1122334455667788"},
    {"\xeb\x10", 2, "jmp 0x1012"}, /* from 0x1000 */
    {"\x0f\x84\xfa\xff\xff\xff", 6, "je 0x1000"},
};

static void instructions(void **unused)
{
    (void)unused;
    struct analysis_x86 *x86 = open_x86();
    char text[ANALYSIS_X86_TEXT_SIZE];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint8_t code[17];
        memset(code, 0x90, sizeof code);
        memcpy(code, known[i].bytes, known[i].size);
        assert_int_equal(analysis_x86_next(x86, bytes_of(code, 17), 0x1000, text),
                         known[i].size);
        assert_string_equal(text, known[i].text);
    }
    analysis_x86_close(x86);
}

/* The same bytes are other instructions for an i386. */
static void instructions_of_an_i386(void **unused)
{
    static const uint8_t code[] = {0x48, 0x01, 0xd8, 0xe8, 0xf8, 0xff, 0xff, 0xff};
    struct analysis_x86 *x86 = NULL;
    char text[ANALYSIS_X86_TEXT_SIZE];
    (void)unused;
    assert_int_equal(analysis_x86_open_i386(&x86), ERR_ok);
    assert_int_equal(analysis_x86_next(x86, bytes_of(code, 8), 0xc1000000, text), 1);
    assert_string_equal(text, "dec eax");
    assert_int_equal(analysis_x86_next(x86, bytes_of(code + 3, 5), 0xc1000003, text),
                     5);
    assert_string_equal(text, "call 0xc1000000");
    analysis_x86_close(x86);
}

static void no_instruction(void **unused)
{
    (void)unused;
    struct analysis_x86 *x86 = open_x86();
    char text[ANALYSIS_X86_TEXT_SIZE] = "untouched";
    assert_int_equal(analysis_x86_next(x86, bytes_of("", 0), 0, text), 0);
    assert_string_equal(text, "untouched");
    /* No opcode in 64-bit mode, and the front of a long instruction. */
    assert_int_equal(analysis_x86_next(x86, bytes_of("\x06\x90", 2), 0, text), 1);
    assert_string_equal(text, ".byte 0x06");
    assert_int_equal(analysis_x86_next(x86, bytes_of("\x48\xb8\x01", 3), 0, text), 1);
    assert_string_equal(text, ".byte 0x48");
    analysis_x86_close(x86);
    analysis_x86_close(NULL);
}

/* Any bytes: every call moves on, never past the end. */
static void any_bytes(void **unused)
{
    (void)unused;
    struct analysis_x86 *x86 = open_x86();
    uint64_t seed = 1;
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t code[40];
        for (size_t i = 0; i < sizeof code; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            code[i] = (uint8_t)(seed >> 56);
        }
        for (size_t at = 0; at < sizeof code;) {
            char text[ANALYSIS_X86_TEXT_SIZE];
            struct bytes rest = bytes_of(code + at, sizeof code - at);
            size_t size = analysis_x86_next(x86, rest, at, text);
            assert_true(size > 0 && size <= 15 && size <= rest.size);
            assert_true(strlen(text) > 0);
            at += size;
        }
    }
    analysis_x86_close(x86);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instructions), cmocka_unit_test(instructions_of_an_i386),
        cmocka_unit_test(no_instruction), cmocka_unit_test(any_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
