/* SPDX-License-Identifier: MIT
 *
 * Disassembler and assembler: every blob comes back from its listing, text becomes
 * the bytes it says, and what is wrong is named with its line.
 */
#include "pvm/pvm.h"

#include "base/os.h"
#include "tests/test.h"

#include <string.h>

enum { TEXT_SIZE_MAX = 1 << 26 };

static void expect_same(struct bytes got, struct bytes want)
{
    assert_int_equal(got.size, want.size);
    assert_memory_equal(got.data, want.data, want.size);
}

/* Listing and back: the same blob; and the same listing again. */
static void round_trip(struct bytes blob, enum pvm_profile profile)
{
    struct pvm_code code;
    assert_int_equal(pvm_code_parse(blob, &code), ERR_ok);
    struct buf text, back, again;
    buf_init(&text, TEXT_SIZE_MAX);
    buf_init(&back, TEXT_SIZE_MAX);
    buf_init(&again, TEXT_SIZE_MAX);
    pvm_disasm(&code, profile, &text);
    assert_int_equal(text.err, ERR_ok);
    struct pvm_asm_error error = {0};
    enum err err = pvm_asm(buf_bytes(&text), &back, &error);
    if (err)
        fail_msg("line %u: %s\n%s", error.line, error.message, buf_string(&text));
    expect_same(buf_bytes(&back), blob);
    assert_int_equal(pvm_code_parse(buf_bytes(&back), &code), ERR_ok);
    pvm_disasm(&code, profile, &again);
    assert_string_equal(buf_string(&again), buf_string(&text));
    buf_fini(&text);
    buf_fini(&back);
    buf_fini(&again);
}

static void blob_of(const struct pvm_code *code, struct buf *blob)
{
    buf_init(blob, TEXT_SIZE_MAX);
    pvm_code_put(code, blob);
    assert_int_equal(blob->err, ERR_ok);
}

/* ---- any program
 * --------------------------------------------------------------------- */

enum { RANDOM_SIZE = 200 };

static void random_program(uint64_t *random, struct buf *blob)
{
    uint8_t bytes[RANDOM_SIZE], mask[RANDOM_SIZE / 8 + 1] = {0}, jump[64];
    uint64_t r = test_random(random);
    size_t size = r % (RANDOM_SIZE + 1);
    unsigned density = 1 + (unsigned)(r >> 8) % 40;
    bool small = r >> 16 & 1; /* small operands make canonical instructions likely */
    for (size_t i = 0; i < size; i++) {
        uint64_t s = test_random(random);
        bytes[i] = (uint8_t)(small && s >> 8 & 1 ? s % 13 : s);
        if ((s >> 16) % density == 0)
            mask[i / 8] |= (uint8_t)(1u << (i % 8));
    }
    for (size_t i = 0; i < sizeof jump; i++)
        jump[i] = (uint8_t)test_random(random);
    struct pvm_code code = {.code = bytes_of(bytes, size),
                            .bitmask = mask,
                            .jump = jump,
                            .jump_width = (uint8_t)((r >> 20) % 9),
                            .jump_count = (uint32_t)((r >> 24) % 8)};
    blob_of(&code, blob);
}

static void test_random_programs(void **state)
{
    (void)state;
    uint64_t seed = test_seed(6), random = seed;
    test_reproduce("pvm_asm", seed);
    for (unsigned round = 0; round < 20000; round++) {
        struct buf blob;
        random_program(&random, &blob);
        round_trip(buf_bytes(&blob), round & 1);
        buf_fini(&blob);
    }
}

/* Every opcode byte with every length of what follows: nibbles, immediates in all
 * sizes, shortest or not, complete or cut by the end of the code. */
static void test_every_opcode(void **state)
{
    (void)state;
    uint64_t seed = test_seed(7), random = seed;
    test_reproduce("pvm_asm", seed);
    for (unsigned op = 0; op < 256; op++) {
        for (unsigned round = 0; round < 300; round++) {
            uint8_t bytes[64], mask[9] = {1};
            size_t size = 1 + test_random(&random) % 30;
            uint8_t limit = round & 1 ? 255 : (uint8_t)test_random(&random);
            for (size_t i = 0; i < size; i++)
                bytes[i] = (uint8_t)test_random(&random) & limit;
            bytes[0] = (uint8_t)op;
            size_t next = test_random(&random) % 30;
            if (next && next < size)
                mask[next / 8] |= (uint8_t)(1u << (next % 8));
            struct pvm_code code = {.code = bytes_of(bytes, size), .bitmask = mask};
            struct buf blob;
            blob_of(&code, &blob);
            round_trip(buf_bytes(&blob), op & 1);
            round_trip(buf_bytes(&blob), ~op & 1);
            buf_fini(&blob);
        }
    }
}

/* What the encoder writes with the least sizes is shown as text without sizes. */
static void test_canonical_is_text(void **state)
{
    (void)state;
    uint64_t seed = test_seed(8), random = seed;
    test_reproduce("pvm_asm", seed);
    for (unsigned round = 0; round < 256 * 100; round++) {
        uint8_t bytes[PVM_INSN_SIZE_MAX], mask[4] = {1};
        unsigned shift = (unsigned)(33 + test_random(&random) % 31);
        struct pvm_insn insn = {
            .op = (uint8_t)round,
            .a = (uint8_t)(test_random(&random) % 13),
            .b = (uint8_t)(test_random(&random) % 13),
            .d = (uint8_t)(test_random(&random) % 13),
            .x = (int64_t)test_random(&random) >> shift,
            .y = (int64_t)test_random(&random) >> shift,
            .target = (int64_t)test_random(&random) >> shift,
        };
        size_t size = 0;
        for (unsigned sizes = 0; sizes < 90 && !size; sizes++)
            size = pvm_insn_encode(&insn, sizes / 10, sizes % 10, bytes);
        if (!size) /* not assigned, or an X that the format lacks */
            continue;
        struct pvm_code code = {.code = bytes_of(bytes, size), .bitmask = mask};
        struct buf text;
        buf_init(&text, 4096);
        assert_int_equal(pvm_disasm_line(&code, PVM_PROFILE_JAVM, 0, &text), size);
        const char *rest = strchr(buf_string(&text), ':') + 1;
        if (strchr(rest, '.') || strchr(rest, ':'))
            fail_msg("%s", buf_string(&text));
        buf_fini(&text);
    }
}

static void test_conformance_programs(void **state)
{
    (void)state;
    struct buf names;
    buf_init(&names, 1 << 20);
    assert_int_equal(os_folder_list("corpus/vectors/pvm", &names), ERR_ok);
    unsigned count = 0;
    for (size_t at = 0; at < names.size; at += strlen((char *)names.data + at) + 1) {
        char path[300];
        (void)snprintf(path, sizeof path, "corpus/vectors/pvm/%s",
                       (char *)names.data + at);
        if (!strstr(path, ".json"))
            continue;
        struct buf json, blob;
        buf_init(&json, 1 << 20);
        buf_init(&blob, 1 << 20);
        assert_int_equal(os_file_read(path, &json), ERR_ok);
        const char *s = strstr(buf_string(&json), "\"program\":");
        assert_non_null(s);
        for (s = strchr(s, '['); *s != ']'; s += strspn(s, "0123456789"))
            if (*(s += 1 + strspn(s + 1, " \n\r\t")) != ']')
                buf_byte(&blob, (uint8_t)strtoul(s, NULL, 10));
            else
                break;
        round_trip(buf_bytes(&blob), PVM_PROFILE_VECTORS);
        count++;
        buf_fini(&json);
        buf_fini(&blob);
    }
    buf_fini(&names);
    assert_int_equal(count, 208);
}

/* ---- text to bytes
 * --------------------------------------------------------------------- */

/* The code (or the whole blob) that text becomes, in hex, and its mask. */
static void expect_code(const char *text, const char *hex, const char *mask)
{
    struct buf blob, got;
    struct pvm_asm_error error = {0};
    struct pvm_code code;
    buf_init(&blob, TEXT_SIZE_MAX);
    buf_init(&got, TEXT_SIZE_MAX);
    if (pvm_asm(bytes_of(text, strlen(text)), &blob, &error))
        fail_msg("%s\nline %u: %s", text, error.line, error.message);
    assert_int_equal(pvm_code_parse(buf_bytes(&blob), &code), ERR_ok);
    for (size_t i = 0; i < code.code.size; i++)
        buf_printf(&got, "%02x", code.code.data[i]);
    assert_string_equal(buf_string(&got), hex);
    buf_clear(&got);
    for (uint32_t i = 0; i < code.code.size; i++)
        buf_byte(&got, pvm_code_marked(&code, i) ? '1' : '0');
    assert_string_equal(buf_string(&got), mask);
    buf_fini(&blob);
    buf_fini(&got);
}

static void test_text(void **state)
{
    (void)state;
    expect_code("", "", "");
    expect_code("; nothing\n\n   \n", "", "");
    expect_code("trap", "00", "1");
    expect_code("  fallthrough ; comment\r\n\ttrap\r\n", "0100", "11");
    expect_code("ecalli 64", "0a40", "10");
    expect_code("ecalli 0", "0a", "1");
    expect_code("ecalli 0:1", "0a00", "10");
    expect_code("load_imm_64 a0, 0x1122334455667788", "14078877665544332211",
                "1000000000");
    expect_code("load_imm_64 ra,-1", "1400ffffffffffffffff", "1000000000");
    expect_code("store_imm_u8 [0x20000], 5", "1e0300000205", "100000");
    expect_code("store_imm_u8 [0xfffe0000], -5", "1e030000fefb", "100000");
    expect_code("store_imm_u8 [-0x20000], -5", "1e030000fefb", "100000");
    expect_code("load_imm a1, 0x100", "33080001", "1000");
    expect_code("load_imm a1, 1:4", "330801000000", "100000");
    expect_code("load_u8 a0, [4]", "340704", "100");
    expect_code("store_imm_ind_u16 [sp + 8], 1", "47110801", "1000");
    expect_code("store_imm_ind_u16 [ sp-8 ] , 1", "4711f801", "1000");
    expect_code("branch_ne_imm a0, 0, @24", "520718", "100");
    expect_code("load_imm_jump ra, 2, @0:2", "5010020000", "10000");
    expect_code("move_reg t0, s1", "6462", "10");
    expect_code("add_imm_64 a1, sp, 0x100", "95180001", "1000");
    expect_code("load_ind_u32 a0, [sp + 8]", "801708", "100");
    expect_code("load_ind_u32 a0, [sp]", "8017", "10");
    expect_code("store_ind_u64 a0, [sp - 0x80000000]", "7b1700000080", "100000");
    expect_code("branch_eq a0, a1, @5", "aa8705", "100");
    expect_code("branch_eq a0, a1, @-5:4", "aa87fbffffff", "100000");
    expect_code("load_imm_jump_ind ra, a0, 1, 2", "b470010102", "10000");
    expect_code("add_64 a0, a1, a2", "c89807", "100");
    expect_code(".insn ff 0011", "ff0011", "100");
    expect_code(".data ff00\n.insn 01", "ff0001", "001");
}

static void test_labels(void **state)
{
    (void)state;
    expect_code("loop: add_imm_64 a0, a0, -1\nbranch_ne_imm a0, 0, loop\n",
                "9577ff5207fd", "100100");
    expect_code("jump end\nend: trap", "280200", "101");
    expect_code("a: b: c:\njump b", "28", "1");
    expect_code("jump on:3\non:", "28040000", "1000");
    /* @24: is a claim about a position, and a target is a position */
    expect_code("@0: trap\n@1: jump @0\n@3: trap", "0028ff00", "1101");
    expect_code("trap: trap\njump trap", "0028ff", "110");
}

/* A jump over 126..130 bytes: the offset grows exactly when it must, and one that
 * grows pushes the other over the edge. */
static void test_label_sizes(void **state)
{
    (void)state;
    for (unsigned fill = 120; fill < 135; fill++) {
        struct buf text, blob;
        struct pvm_asm_error error;
        struct pvm_code code;
        struct pvm_insn insn;
        buf_init(&text, 1 << 16);
        buf_init(&blob, 1 << 16);
        buf_text(&text, "jump far\nback: jump far\n");
        for (unsigned i = 0; i < fill; i++)
            buf_text(&text, "fallthrough\n");
        buf_text(&text, "far: trap\njump back\n");
        assert_int_equal(pvm_asm(buf_bytes(&text), &blob, &error), ERR_ok);
        assert_int_equal(pvm_code_parse(buf_bytes(&blob), &code), ERR_ok);
        /* second jump at p: 2 + fill <= 127, first: 2 + second + fill <= 127 */
        unsigned second = 2 + fill <= 127 ? 2 : 3;
        unsigned first = 2 + second + fill <= 127 ? 2 : 3;
        uint32_t far = first + second + fill;
        assert_true(pvm_insn_decode(&code, PVM_PROFILE_JAVM, 0, &insn));
        assert_int_equal(insn.size, first);
        assert_int_equal(insn.target, far);
        assert_true(pvm_insn_decode(&code, PVM_PROFILE_JAVM, first, &insn));
        assert_int_equal(insn.size, second);
        assert_int_equal(insn.target, far);
        assert_true(pvm_insn_decode(&code, PVM_PROFILE_JAVM, far + 1, &insn));
        assert_int_equal(insn.target, first);
        buf_fini(&text);
        buf_fini(&blob);
    }
}

/* `size` bytes of instructions that are nothing to jump over but their size. */
static void put_filler(struct buf *text, unsigned size)
{
    for (; size; size -= size < 20 ? size : 20) {
        buf_text(text, ".insn 01");
        for (unsigned i = 1; i < size && i < 20; i++)
            buf_text(text, " 00");
        buf_text(text, "\n");
    }
}

/* A chain of jumps over exactly 127 bytes, but for the last one's 128: that has to
 * grow, which pushes the target of the one before it over the edge, and so on. */
static void check_chain(unsigned count, unsigned first_size)
{
    struct buf text, blob;
    struct pvm_asm_error error;
    struct pvm_code code;
    struct pvm_insn insn;
    buf_init(&text, TEXT_SIZE_MAX);
    buf_init(&blob, TEXT_SIZE_MAX);
    for (unsigned i = 0; i < count; i++) {
        buf_printf(&text, "jump l%u\n", i);
        put_filler(&text, 23);
        if (i)
            buf_printf(&text, "l%u:\n", i - 1);
        put_filler(&text, 77);
    }
    put_filler(&text, 26);
    buf_printf(&text, "l%u: trap\n", count - 1);
    assert_int_equal(pvm_asm(buf_bytes(&text), &blob, &error), ERR_ok);
    assert_int_equal(pvm_code_parse(buf_bytes(&blob), &code), ERR_ok);

    uint32_t target = 0; /* of the jump before */
    for (uint32_t pc = 0, i = 0; pc < code.code.size; pc += insn.size) {
        assert_true(pvm_insn_decode(&code, PVM_PROFILE_VECTORS, pc, &insn));
        if (insn.op != PVM_OP_jump)
            continue;
        assert_int_equal(insn.size, first_size);
        assert_true(i == 0 || target == pc + insn.size + 23);
        target = (uint32_t)insn.target;
        i++;
    }
    assert_int_equal(target, code.code.size - 1);
    buf_fini(&text);
    buf_fini(&blob);
}

/* A chain takes a pass for each jump.  A long one is cut short by giving every jump
 * four bytes, as a hostile text must not take a minute. */
static void test_label_chain(void **state)
{
    (void)state;
    check_chain(5, 3);
    check_chain(25, 3);
    check_chain(5000, 5);
}

static void test_jump_table(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned count, width;
        uint64_t last;
    } row[] = {
        {".jump @0\ntrap", 1, 1, 0},
        {".jump @1, @255, end\ntrap\nend:", 3, 1, 1},
        {".jump @0x100", 1, 2, 256},
        {".jump @18446744073709551615", 1, 8, UINT64_MAX},
        {".jump_width 4", 0, 4, 0},
        {".jump_width 0\n.jump @0, @0", 2, 0, 0},
        {".jump @7\n.jump_width 3\n.jump @8", 2, 3, 8},
    };
    for (size_t i = 0; i < countof(row); i++) {
        struct buf blob;
        struct pvm_code code;
        struct pvm_asm_error error;
        buf_init(&blob, 4096);
        assert_int_equal(
            pvm_asm(bytes_of(row[i].text, strlen(row[i].text)), &blob, &error), ERR_ok);
        assert_int_equal(pvm_code_parse(buf_bytes(&blob), &code), ERR_ok);
        assert_int_equal(code.jump_count, row[i].count);
        assert_int_equal(code.jump_width, row[i].width);
        if (code.jump_count)
            assert_true(pvm_code_jump(&code, code.jump_count - 1) == row[i].last);
        buf_fini(&blob);
    }
}

/* ---- bytes to text
 * --------------------------------------------------------------------- */

static void test_listing(void **state)
{
    (void)state;
    static const char text[] = ".jump_width 1\n"
                               ".jump @0, @30\n"
                               "@0:     load_imm a0, 0x12345\n"
                               "@5:     load_imm a0, 5:4\n"
                               "@11:    .insn 33 d7 05 ; load_imm a0, 5\n"
                               "@14:    .insn fe 01 ; opcode 254 is not assigned\n"
                               "@16:    store_imm_ind_u8 [sp - 4], -1\n"
                               "@20:    load_u8 a0, [0xfffe0000]\n"
                               "@25:    branch_lt_s_imm t0, -0x100, @0\n"
                               "@30:    ecalli 64\n"
                               "@32:    trap\n";
    struct buf blob, back;
    struct pvm_code code;
    struct pvm_asm_error error;
    buf_init(&blob, 4096);
    buf_init(&back, 4096);
    if (pvm_asm(bytes_of(text, strlen(text)), &blob, &error))
        fail_msg("line %u: %s", error.line, error.message);
    assert_int_equal(pvm_code_parse(buf_bytes(&blob), &code), ERR_ok);
    pvm_disasm(&code, PVM_PROFILE_JAVM, &back);
    assert_string_equal(buf_string(&back), text);
    buf_fini(&blob);
    buf_fini(&back);
}

static void test_listing_labels(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {51, 7, 5, 0}, mask[] = {9};
    struct pvm_code code = {.code = bytes_of(bytes, 4), .bitmask = mask};
    const struct pvm_export label[] = {
        {0, bytes_of("main", 4)}, {0, bytes_of("a b", 3)}, {1, bytes_of("inside", 6)},
        {3, bytes_of("x\n:", 3)}, {4, bytes_of("end", 3)}, {9, bytes_of("out", 3)},
    };
    struct buf text, blob;
    struct pvm_asm_error error;
    buf_init(&text, 4096);
    buf_init(&blob, 4096);
    pvm_disasm_labels(&code, PVM_PROFILE_JAVM, label, countof(label), &text);
    assert_string_equal(buf_string(&text), "main:\n"
                                           "; @0 is a b\n"
                                           "; @1 is inside\n"
                                           "@0:     load_imm a0, 5\n"
                                           "; @3 is x?:\n"
                                           "@3:     trap\n"
                                           "end:\n"
                                           "; @9 is out\n");
    assert_int_equal(pvm_asm(buf_bytes(&text), &blob, &error), ERR_ok);
    buf_fini(&text);
    buf_fini(&blob);
}

/* ---- errors
 * ---------------------------------------------------------------------------- */

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t line;
        const char *message;
    } row[] = {
        {"trap\nfoo", 2, "unknown instruction 'foo'"},
        {"trap trap", 1, "unexpected at the end of the line: 'trap'"},
        {"\n\nload_imm", 3, "a register is expected here: 'end of line'"},
        {"load_imm a6, 1", 1, "a register is expected here: 'a6, 1'"},
        {"load_imm a00, 1", 1, "a register is expected here: 'a00, 1'"},
        {"load_imm a0 1", 1, "',' is expected here: '1'"},
        {"load_imm a0, 0x80000000", 1, "the number does not fit: '0x80000000'"},
        {"load_imm a0, -0x80000001", 1, "the number does not fit: '-0x80000001'"},
        {"load_imm a0, 18446744073709551616", 1, "the number does not fit 64 bits '6'"},
        {"load_imm a0, 1x", 1, "a number is expected here: 'x'"},
        {"load_imm a0, 0x", 1, "a number is expected here: 'end of line'"},
        {"load_imm a0, 128:1", 1, "the value does not fit as many bytes: '1'"},
        {"load_imm a0, 1:5", 1, "the number does not fit: '5'"},
        {"load_imm_64 a0, -9223372036854775809", 1,
         "the number does not fit: '-9223372036854775809'"},
        {"load_u8 a0, 5", 1, "'[' is expected here: '5'"},
        {"load_u8 a0, [5", 1, "']' is expected here: 'end of line'"},
        {"load_u8 a0, [0x100000000]", 1, "the number does not fit: '0x100000000]'"},
        {"load_ind_u8 a0, [sp * 4]", 1, "']' is expected here: '* 4]'"},
        {"jump", 1, "a target is expected here: 'end of line'"},
        {"jump 5", 1, "a target is expected here: '5'"},
        {"jump nowhere", 1, "label is not defined: 'nowhere'"},
        {".jump nowhere", 1, "label is not defined: 'nowhere'"},
        {"a: trap\nb: trap\na: trap", 3, "label is defined twice: 'a'"},
        {"jump @1000:1", 1, "the target is too far away"},
        {"jump @2164260862", 1, "the target is too far away"},
        {"trap\n@2: trap", 2, "this is another position: '@1'"},
        {"@0 trap", 1, "':' is expected here: 'trap'"},
        {".insn", 1, "there are no bytes 'end of line'"},
        {".insn 0", 1, "two hex digits are expected here: '0'"},
        {".insn 0g", 1, "two hex digits are expected here: '0g'"},
        {".jump", 1, "a target is expected here: 'end of line'"},
        {".jump @-1", 1, "the number does not fit: '-1'"},
        {".jump_width 9", 1, "the number does not fit: '9'"},
        {".jump_width 1\n.jump_width 1", 2, "the width was given before '1'"},
        {".jump_width 1\n.jump @255\n.jump @256", 3,
         "the entry does not fit .jump_width"},
        {"\x01\xff", 1,
         "an instruction or a label is expected here: '?"
         "?'"},
        {"trap ; fine\n 7", 2, "an instruction or a label is expected here: '7'"},
    };
    for (size_t i = 0; i < countof(row); i++) {
        struct buf blob;
        struct pvm_asm_error error = {0};
        buf_init(&blob, 4096);
        struct bytes text = bytes_of(row[i].text, strlen(row[i].text));
        assert_int_equal(pvm_asm(text, &blob, &error), ERR_pvm_asm);
        assert_string_equal(error.message, row[i].message);
        assert_int_equal(error.line, row[i].line);
        assert_int_equal(blob.size, 0);
        buf_fini(&blob);
    }
}

/* A program may have 2^20 jumps and 2^24 bytes, and not one more. */
static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        size_t most;
    } row[] = {
        {".jump @0,@0,@0,@0,@0,@0,@0,@0\n", PVM_JUMP_COUNT_MAX / 8},
        {".data 000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\n",
         PVM_CODE_SIZE_MAX / 32}};
    for (size_t i = 0; i < countof(row); i++) {
        struct buf text, blob;
        struct pvm_code code;
        struct pvm_asm_error error = {0};
        buf_init(&text, (size_t)1 << 28);
        buf_init(&blob, TEXT_SIZE_MAX);
        for (size_t n = 0; n < row[i].most; n++)
            buf_text(&text, row[i].line);
        assert_int_equal(pvm_asm(buf_bytes(&text), &blob, &error), ERR_ok);
        assert_int_equal(pvm_code_parse(buf_bytes(&blob), &code), ERR_ok);
        buf_clear(&blob);
        buf_text(&text, i ? "trap" : ".jump @0");
        assert_int_equal(pvm_asm(buf_bytes(&text), &blob, &error), ERR_pvm_limit);
        assert_true(error.line >= row[i].most);
        assert_int_equal(blob.size, 0);
        buf_fini(&text);
        buf_fini(&blob);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_programs),
        cmocka_unit_test(test_every_opcode),
        cmocka_unit_test(test_canonical_is_text),
        cmocka_unit_test(test_conformance_programs),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_label_sizes),
        cmocka_unit_test(test_label_chain),
        cmocka_unit_test(test_jump_table),
        cmocka_unit_test(test_listing),
        cmocka_unit_test(test_listing_labels),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests_name("pvm_asm", tests, NULL, NULL);
}
