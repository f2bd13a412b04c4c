/* SPDX-License-Identifier: MIT
 *
 * What the host cannot show: power-on, waiting exceptions, the real-mode formats, the
 * seam with the CPU.  Values are those of the manual's figures and tables.
 */
#include "emu/fpu.h"

#include "base/err.h"
#include "tests/test.h"

#include <string.h>

enum { C2 = 0x400 };

static enum emu_fpu_outcome run(struct emu_fpu *fpu, unsigned code, uint8_t *memory)
{
    struct emu_fpu_insn insn = {.opcode = (uint8_t)(code >> 8),
                                .modrm = (uint8_t)code,
                                .protected_mode = true,
                                .ip = 0x401000,
                                .address = 0x8000};
    return emu_fpu_execute(fpu, &insn, memory);
}

static struct emu_fpu initialized(void)
{
    struct emu_fpu fpu;
    emu_fpu_init(&fpu);
    assert_int_equal(run(&fpu, 0xdbe3, NULL), EMU_FPU_DONE);
    return fpu;
}

static void test_power_on(void **unused)
{
    (void)unused;
    struct emu_fpu fpu;
    memset(&fpu, 0xff, sizeof fpu);
    emu_fpu_init(&fpu);
    assert_int_equal(fpu.control, 0x40);
    assert_int_equal(fpu.status, 0);
    assert_int_equal(fpu.tags, 0xff);
    for (unsigned i = 0; i < 8; i++)
        assert_true(fpu.st[i].mantissa == 0 && fpu.st[i].sign_exponent == 0);
    fpu = initialized();
    assert_int_equal(fpu.control, 0x37f);
    assert_int_equal(fpu.tags, 0);
}

/* 1 / 0 with the exception unmasked: it waits, and only waiting instructions see it. */
static void test_pending(void **unused)
{
    (void)unused;
    struct emu_fpu fpu = initialized(), before;
    fpu.control = 0x37b;
    run(&fpu, 0xd9e8, NULL);
    run(&fpu, 0xd9ee, NULL);
    assert_int_equal(run(&fpu, 0xdcf9, NULL), EMU_FPU_DONE); /* ST(1) = ST(1) / ST(0) */
    assert_true(emu_fpu_pending(&fpu));
    assert_int_equal(fpu.status & 0x80ff, 0x8084);
    assert_int_equal(fpu.opcode, 0x4f9);
    assert_int_equal(fpu.ip, 0x401000);
    assert_true(fpu.st[7].sign_exponent == 0x3fff); /* the operand stayed */
    before = fpu;
    uint8_t memory[108] = {0};
    assert_int_equal(run(&fpu, 0xd9e8, NULL), EMU_FPU_PENDING);
    assert_int_equal(run(&fpu, 0xd928, memory), EMU_FPU_PENDING); /* FLDCW */
    assert_int_equal(run(&fpu, 0xd920, memory), EMU_FPU_PENDING); /* FLDENV */
    assert_int_equal(run(&fpu, 0xdd20, memory), EMU_FPU_PENDING); /* FRSTOR */
    assert_memory_equal(&fpu, &before, sizeof fpu);
    assert_int_equal(run(&fpu, 0xd938, memory), EMU_FPU_DONE); /* FNSTCW */
    assert_int_equal(run(&fpu, 0xdfe0, NULL), EMU_FPU_DONE);   /* FNSTSW AX */
    assert_int_equal(run(&fpu, 0xdbe2, NULL), EMU_FPU_DONE);   /* FNCLEX */
    assert_false(emu_fpu_pending(&fpu));
}

/* Unmasking a flag that is set makes it wait; masking it again ends that. */
static void test_control_word(void **unused)
{
    (void)unused;
    struct emu_fpu fpu = initialized();
    fpu.status = 0x20;
    uint8_t word[2] = {0x1f, 0xff};
    run(&fpu, 0xd928, word);
    assert_int_equal(fpu.control, 0x1f5f);
    assert_int_equal(fpu.status, 0x80a0);
    uint8_t env[28];
    run(&fpu, 0xd930, env); /* FNSTENV saves, then masks */
    assert_int_equal(env[0], 0x5f);
    assert_int_equal(env[4], 0xa0);
    assert_int_equal(fpu.control, 0x1f7f);
    assert_int_equal(fpu.status, 0x20);
}

static void get_env(struct emu_fpu fpu, bool operand16, bool protected_mode,
                    uint8_t env[28])
{
    struct emu_fpu_insn insn = {.opcode = 0xd9,
                                .modrm = 0x30,
                                .operand16 = operand16,
                                .protected_mode = protected_mode};
    memset(env, 0, 28);
    assert_int_equal(emu_fpu_execute(&fpu, &insn, env), EMU_FPU_DONE);
    assert_true(insn.stores);
}

static void set_env(struct emu_fpu *fpu, bool operand16, bool protected_mode,
                    uint8_t env[28])
{
    struct emu_fpu_insn insn = {.opcode = 0xd9,
                                .modrm = 0x20,
                                .operand16 = operand16,
                                .protected_mode = protected_mode};
    assert_int_equal(emu_fpu_execute(fpu, &insn, env), EMU_FPU_DONE);
}

/* SDM 1 figures 8-9 to 8-12. */
static void test_formats(void **unused)
{
    (void)unused;
    struct emu_fpu fpu = initialized(), back;
    run(&fpu, 0xd9e8, NULL);
    fpu.ip = 0x00098765;
    fpu.dp = 0x000abcde;
    fpu.opcode = 0x432;
    uint8_t env[28];
    static const uint8_t protected32[28] = {0x7f, 0x03, 0xff, 0xff, 0x00, 0x38, 0xff,
                                            0xff, 0xff, 0x3f, 0xff, 0xff, 0x65, 0x87,
                                            0x09, 0x00, 0x00, 0x00, 0x32, 0x04, 0xde,
                                            0xbc, 0x0a, 0x00, 0x00, 0x00, 0xff, 0xff};
    static const uint8_t real32[28] = {0x7f, 0x03, 0xff, 0xff, 0x00, 0x38, 0xff,
                                       0xff, 0xff, 0x3f, 0xff, 0xff, 0x65, 0x87,
                                       0xff, 0xff, 0x32, 0x94, 0x00, 0x00, 0xde,
                                       0xbc, 0xff, 0xff, 0x00, 0xa0, 0x00, 0x00};
    static const uint8_t protected16[14] = {0x7f, 0x03, 0x00, 0x38, 0xff, 0x3f, 0x65,
                                            0x87, 0x00, 0x00, 0xde, 0xbc, 0x00, 0x00};
    static const uint8_t real16[14] = {0x7f, 0x03, 0x00, 0x38, 0xff, 0x3f, 0x65,
                                       0x87, 0x32, 0x94, 0xde, 0xbc, 0x00, 0xa0};
    get_env(fpu, false, true, env);
    assert_memory_equal(env, protected32, sizeof protected32);
    get_env(fpu, false, false, env);
    assert_memory_equal(env, real32, sizeof real32);
    back = initialized();
    set_env(&back, false, false, env);
    assert_true(back.ip == fpu.ip && back.dp == fpu.dp && back.opcode == fpu.opcode);
    assert_true(back.status == fpu.status && back.tags == fpu.tags);
    get_env(fpu, true, true, env);
    assert_memory_equal(env, protected16, sizeof protected16);
    set_env(&back, true, true, env);
    assert_true(back.ip == 0x8765 && back.dp == 0xbcde && back.opcode == 0);
    get_env(fpu, true, false, env);
    assert_memory_equal(env, real16, sizeof real16);
    set_env(&back, true, false, env);
    assert_true(back.ip == fpu.ip && back.dp == fpu.dp && back.opcode == fpu.opcode);
}

static void test_access(void **unused)
{
    (void)unused;
    static const struct {
        uint16_t code;
        uint8_t size, size16;
        bool reads, writes;
    } want[] = {
        {0xd800, 4, 4, true, false},    {0xdd18, 8, 8, false, true},
        {0xdb28, 10, 10, true, false},  {0xdf30, 10, 10, false, true},
        {0xd930, 28, 14, false, true},  {0xdd20, 108, 94, true, false},
        {0xdd30, 108, 94, false, true}, {0xdd38, 2, 2, false, true},
        {0xdf00, 2, 2, true, false},    {0xdb08, 0, 0, false, false},
        {0xd8c0, 0, 0, false, false},
    };
    for (unsigned i = 0; i < countof(want); i++)
        for (unsigned operand16 = 0; operand16 < 2; operand16++) {
            struct emu_fpu_access got = emu_fpu_access(
                (uint8_t)(want[i].code >> 8), (uint8_t)want[i].code, operand16);
            assert_int_equal(got.size, operand16 ? want[i].size16 : want[i].size);
            assert_int_equal(got.reads, want[i].reads);
            assert_int_equal(got.writes, want[i].writes);
        }
}

/* An unmasked exception keeps FIST from storing and popping. */
static void test_no_store(void **unused)
{
    (void)unused;
    struct emu_fpu fpu = initialized();
    fpu.control = 0x37e;
    uint8_t memory[4] = {1, 2, 3, 4};
    const uint8_t nan[4] = {0, 0, 0xc0, 0x7f};
    memcpy(memory, nan, sizeof memory);
    run(&fpu, 0xd900, memory);
    struct emu_fpu_insn insn = {.opcode = 0xdb, .modrm = 0x18, .protected_mode = true};
    assert_int_equal(emu_fpu_execute(&fpu, &insn, memory), EMU_FPU_DONE);
    assert_false(insn.stores);
    assert_memory_equal(memory, nan, sizeof memory);
    assert_int_equal(fpu.status, 0xb881);
    assert_int_equal(fpu.tags, 0x80);
}

/* SDM 1 8.3.8: 2^63 and more are out of range, and nothing else happens. */
static void test_trig_range(void **unused)
{
    (void)unused;
    static const uint8_t modrm[] = {0xf2, 0xfb, 0xfe, 0xff};
    for (unsigned i = 0; i < countof(modrm); i++) {
        struct emu_fpu fpu = initialized();
        uint8_t big[10] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0x3e, 0x40};
        run(&fpu, 0xdb28, big);
        run(&fpu, 0xd900u | modrm[i], NULL);
        assert_int_equal(fpu.status & (C2 | 0x3f), C2);
        assert_true(fpu.tags == 0x80 && fpu.st[7].sign_exponent == 0x403e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_on),     cmocka_unit_test(test_pending),
        cmocka_unit_test(test_control_word), cmocka_unit_test(test_formats),
        cmocka_unit_test(test_access),       cmocka_unit_test(test_no_store),
        cmocka_unit_test(test_trig_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
