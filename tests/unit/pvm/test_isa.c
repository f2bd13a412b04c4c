/* SPDX-License-Identifier: MIT
 *
 * Decoding and encoding against pvm-exec.md chapter 2, which is written down here a
 * second time, format by format, the slow way.
 */
#include "pvm/pvm.h"

#include "tests/test.h"

#include <string.h>

enum { CODE_SIZE_MAX = 64 };

struct blob {
    uint8_t code[CODE_SIZE_MAX];
    uint8_t mask[CODE_SIZE_MAX / 8];
    struct pvm_code view;
};

static void blob_random(struct blob *blob, uint64_t *random, unsigned density)
{
    size_t size = test_random(random) % (CODE_SIZE_MAX + 1);
    memset(blob->mask, 0, sizeof blob->mask);
    for (size_t i = 0; i < size; i++) {
        blob->code[i] = (uint8_t)test_random(random);
        if (test_random(random) % density == 0)
            blob->mask[i / 8] |= (uint8_t)(1u << (i % 8));
    }
    blob->view =
        (struct pvm_code){.code = bytes_of(blob->code, size), .bitmask = blob->mask};
}

/* ---- the slow model ---- */

static unsigned model_byte(const struct pvm_code *code, size_t at)
{
    return at < code->code.size ? code->code.data[at] : 0;
}

static int64_t model_imm(const struct pvm_code *code, size_t at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value += (uint64_t)model_byte(code, at + i) << (8 * i);
    if (size && size < 8 && model_byte(code, at + size - 1) >= 128)
        value -= (uint64_t)1 << (8 * size);
    return (int64_t)value;
}

static unsigned model_skip(const struct pvm_code *code, size_t i)
{
    for (unsigned j = 0; j < 24; j++) {
        size_t at = i + 1 + j;
        if (at >= code->code.size || (code->bitmask[at / 8] >> (at % 8) & 1))
            return j;
    }
    return 24;
}

static uint8_t r(unsigned value)
{
    return (uint8_t)(value > 12 ? 12 : value);
}

static unsigned least4(int value)
{
    return value < 0 ? 0 : value > 4 ? 4 : (unsigned)value;
}

static struct pvm_insn model_decode(const struct pvm_code *code, uint32_t pc)
{
    int l = (int)model_skip(code, pc);
    unsigned op = model_byte(code, pc), b1 = model_byte(code, pc + 1);
    unsigned b2 = model_byte(code, pc + 2);
    unsigned low_size = least4((int)(b1 % 8)), high_size = least4((int)((b1 >> 4) % 8));
    unsigned two_size = least4((int)(b2 % 8));
    struct pvm_insn want = {.pc = pc, .op = (uint8_t)op, .size = (uint8_t)(l + 1)};
    if (op == 10) {
        want.x = model_imm(code, pc + 1, least4(l));
    } else if (op == 20) {
        want.a = r(b1 & 15);
        want.x = model_imm(code, pc + 2, 8);
    } else if (op >= 30 && op <= 33) {
        want.x = model_imm(code, pc + 2, low_size);
        want.y = model_imm(code, pc + 2 + low_size, least4(l - (int)low_size - 1));
    } else if (op == 40) {
        want.target = pc + model_imm(code, pc + 1, least4(l));
    } else if (op >= 50 && op <= 62) {
        want.a = r(b1 & 15);
        want.x = model_imm(code, pc + 2, least4(l - 1));
    } else if (op >= 70 && op <= 90) {
        want.a = r(b1 & 15);
        want.x = model_imm(code, pc + 2, high_size);
        int64_t y = model_imm(code, pc + 2 + high_size, least4(l - (int)high_size - 1));
        *(op < 80 ? &want.y : &want.target) = op < 80 ? y : pc + y;
    } else if (op >= 100 && op <= 111) {
        want.d = r(b1 & 15);
        want.a = r(b1 >> 4);
    } else if (op >= 120 && op <= 175) {
        want.a = r(b1 & 15);
        want.b = r(b1 >> 4);
        int64_t x = model_imm(code, pc + 2, least4(l - 1));
        *(op < 170 ? &want.x : &want.target) = op < 170 ? x : pc + x;
    } else if (op == 180) {
        want.a = r(b1 & 15);
        want.b = r(b1 >> 4);
        want.x = model_imm(code, pc + 3, two_size);
        want.y = model_imm(code, pc + 3 + two_size, least4(l - (int)two_size - 2));
    } else if (op >= 190 && op <= 230) {
        want.a = r(b1 & 15);
        want.b = r(b1 >> 4);
        want.d = r(b2);
    }
    return want;
}

static bool model_assigned(enum pvm_profile profile, unsigned op)
{
    static const uint8_t range[][2] = {
        {0, 1},   {10, 10},   {20, 20},   {30, 33},   {40, 40},   {50, 62},  {70, 73},
        {80, 90}, {100, 111}, {120, 161}, {170, 175}, {180, 180}, {190, 230}};
    for (size_t i = 0; i < countof(range); i++)
        if (op >= range[i][0] && op <= range[i][1])
            return true;
    return profile == PVM_PROFILE_JAVM && (op == 2 || op == 3);
}

static bool model_terminates(enum pvm_profile profile, unsigned op)
{
    bool both = op <= 1 || op == 40 || op == 50 || (op >= 80 && op <= 90) ||
                (op >= 170 && op <= 175) || op == 180;
    return both || (profile == PVM_PROFILE_JAVM && (op == 2 || op == 3 || op == 10));
}

/* ---- tests ---- */

static void test_table(void **state)
{
    (void)state;
    for (unsigned profile = 0; profile < 2; profile++) {
        for (unsigned op = 0; op < 256; op++) {
            assert_int_equal(pvm_op_assigned(profile, (uint8_t)op),
                             model_assigned(profile, op));
            assert_int_equal(pvm_op_terminates(profile, (uint8_t)op),
                             model_terminates(profile, op));
        }
    }
}

static void expect_insn(const struct pvm_insn *got, const struct pvm_insn *want)
{
    assert_int_equal(got->pc, want->pc);
    assert_int_equal(got->op, want->op);
    assert_int_equal(got->size, want->size);
    assert_int_equal(got->a, want->a);
    assert_int_equal(got->b, want->b);
    assert_int_equal(got->d, want->d);
    assert_int_equal(got->x, want->x);
    assert_int_equal(got->y, want->y);
    assert_int_equal(got->target, want->target);
}

static void test_decode(void **state)
{
    (void)state;
    uint64_t seed = test_seed(1), random = seed;
    test_reproduce("pvm_isa", seed);
    struct blob blob;
    unsigned decoded = 0;
    for (unsigned round = 0; round < 40000; round++) {
        blob_random(&blob, &random, 1 + round % 40);
        enum pvm_profile profile = round & 1;
        for (uint32_t pc = 0; pc < blob.view.code.size + 3; pc++) {
            assert_int_equal(pvm_code_skip(&blob.view, pc), model_skip(&blob.view, pc));
            struct pvm_insn got, poison;
            memset(&got, 0xa5, sizeof got);
            poison = got;
            bool ok = pvm_insn_decode(&blob.view, profile, pc, &got);
            bool want_ok = pc < blob.view.code.size &&
                           (blob.mask[pc / 8] >> (pc % 8) & 1) &&
                           model_assigned(profile, blob.code[pc]);
            assert_int_equal(ok, want_ok);
            assert_int_equal(pvm_code_ok(&blob.view, profile, pc), want_ok);
            if (!ok) {
                assert_memory_equal(&got, &poison, sizeof got);
                continue;
            }
            decoded++;
            struct pvm_insn want = model_decode(&blob.view, pc);
            expect_insn(&got, &want);
        }
    }
    assert_true(decoded > 50000);
}

static void test_imm_size(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        unsigned size;
    } row[] = {
        {0, 0},         {1, 1},          {-1, 1},          {127, 1},
        {-128, 1},      {128, 2},        {-129, 2},        {32767, 2},
        {-32768, 2},    {32768, 3},      {-32769, 3},      {8388607, 3},
        {-8388608, 3},  {8388608, 4},    {-8388609, 4},    {INT32_MAX, 4},
        {INT32_MIN, 4}, {2147483648, 5}, {-2147483649, 5}, {INT64_MAX, 5},
        {INT64_MIN, 5},
    };
    for (size_t i = 0; i < countof(row); i++)
        assert_int_equal(pvm_imm_size(row[i].value), row[i].size);
}

static int64_t random_imm(uint64_t *random)
{
    unsigned shift = (unsigned)(32 + test_random(random) % 32);
    return (int64_t)test_random(random) >> shift;
}

/* Fill the fields that the format of `op` has, from the slow model's view. */
static struct pvm_insn random_insn(uint8_t op, uint64_t *random)
{
    uint8_t bytes[32];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)test_random(random);
    bytes[0] = op;
    uint8_t mask[4] = {1};
    struct pvm_code code = {.code = bytes_of(bytes, sizeof bytes), .bitmask = mask};
    struct pvm_insn insn = model_decode(&code, 0);
    bool target = (op >= 80 && op <= 90) || op == 40 || (op >= 170 && op <= 175);
    bool x = op != 40 && op != 20 && insn.x;
    insn.pc = (uint32_t)(test_random(random) & 0xffffff);
    insn.x = x ? random_imm(random) : insn.x;
    insn.y = insn.y ? random_imm(random) : 0;
    insn.target = target ? insn.pc + random_imm(random) : 0;
    return insn;
}

static void test_encode(void **state)
{
    (void)state;
    uint64_t seed = test_seed(2), random = seed;
    test_reproduce("pvm_isa", seed);
    for (unsigned round = 0; round < 300 * 256; round++) {
        uint8_t op = (uint8_t)round;
        struct pvm_insn insn = random_insn(op, &random);
        uint8_t code[2 * PVM_INSN_SIZE_MAX] = {0};
        unsigned accepted = 0;
        for (unsigned size = 0; size < 100; size++) {
            unsigned x_size = size / 10, y_size = size % 10;
            size_t got = pvm_insn_encode(&insn, x_size, y_size, code);
            if (!got)
                continue;
            accepted++;
            /* What decodes again behind the same pc is what was meant. */
            uint8_t mask[8] = {1};
            struct pvm_code view = {.code = bytes_of(code, got), .bitmask = mask};
            struct pvm_insn back, want = insn;
            assert_true(pvm_insn_decode(&view, PVM_PROFILE_JAVM, 0, &back));
            want.size = (uint8_t)got;
            back.target +=
                op == 40 || (op >= 80 && op <= 90) || (op >= 170 && op <= 175) ? insn.pc
                                                                               : 0;
            back.pc = insn.pc;
            expect_insn(&back, &want);
        }
        assert_int_equal(accepted > 0, model_assigned(PVM_PROFILE_JAVM, op));
    }
}

static void test_encode_refuses(void **state)
{
    (void)state;
    uint8_t bytes[PVM_INSN_SIZE_MAX];
    struct pvm_insn insn = {.op = PVM_OP_add_imm_64, .a = 1, .b = 2, .x = 128};
    assert_int_equal(pvm_insn_encode(&insn, 1, 0, bytes), 0);
    assert_int_equal(pvm_insn_encode(&insn, 2, 0, bytes), 4);
    assert_int_equal(pvm_insn_encode(&insn, 4, 0, bytes), 6);
    assert_int_equal(pvm_insn_encode(&insn, 5, 0, bytes), 0);
    assert_int_equal(pvm_insn_encode(&insn, 2, 1, bytes), 0);
    insn.b = 13;
    assert_int_equal(pvm_insn_encode(&insn, 2, 0, bytes), 0);
    insn = (struct pvm_insn){.op = 4};
    assert_int_equal(pvm_insn_encode(&insn, 0, 0, bytes), 0);
    insn = (struct pvm_insn){.op = PVM_OP_jump, .pc = 1, .target = INT64_MIN};
    assert_int_equal(pvm_insn_encode(&insn, 4, 0, bytes), 0);
    insn = (struct pvm_insn){.op = PVM_OP_load_imm_64, .x = INT64_MIN};
    assert_int_equal(pvm_insn_encode(&insn, 4, 0, bytes), 0);
    assert_int_equal(pvm_insn_encode(&insn, 8, 0, bytes), 10);
}

static void test_valid(void **state)
{
    (void)state;
    /* The walk of [4.4], from the text of the rule. */
    uint64_t seed = test_seed(3), random = seed;
    test_reproduce("pvm_isa", seed);
    static const uint8_t common[] = {0, 1, 51, 100, 200, 10, 2};
    struct blob blob;
    unsigned valid = 0;
    for (unsigned round = 0; round < 40000; round++) {
        blob_random(&blob, &random, 1 + round % 4);
        for (size_t i = 0; i < blob.view.code.size; i++)
            if (test_random(&random) % 16)
                blob.code[i] = common[test_random(&random) % sizeof common];
        blob.mask[0] |= round & 1 ? blob.view.code.size > 0 : 0;
        enum pvm_profile profile = round >> 1 & 1;
        bool want = false;
        for (size_t i = 0;;) {
            if (i > 0 && i == blob.view.code.size) {
                want = true;
                break;
            }
            if (!pvm_code_ok(&blob.view, profile, (uint32_t)i))
                break;
            i += 1 + model_skip(&blob.view, i);
        }
        valid += want;
        assert_int_equal(pvm_code_valid(&blob.view, profile), want);
    }
    assert_true(valid > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),          cmocka_unit_test(test_decode),
        cmocka_unit_test(test_imm_size),       cmocka_unit_test(test_encode),
        cmocka_unit_test(test_encode_refuses), cmocka_unit_test(test_valid),
    };
    return cmocka_run_group_tests_name("pvm_isa", tests, NULL, NULL);
}
