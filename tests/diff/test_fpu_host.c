/* SPDX-License-Identifier: MIT
 *
 * The x87 of the emulator against the x87 of the host, all bits of FNSAVE's image,
 * memory, EFLAGS and AX.  It needs an Intel host that keeps FCS and FDS at 0 and sets
 * FDP by unmasked exceptions alone (CPUID.7.EBX bits 6 and 13), which is what model 1
 * is. Elsewhere it says that it skips; test_fpu_digest still runs there.
 *
 *   test_diff_fpu_host [CASES [ROW]]
 *
 * CASES per row of emu/fpu.def, 10000000 for a campaign; ROW alone: its name, or opcode
 * and modrm in hex.
 *
 * Not compared: C1 of the transcendental instructions when they round; their results
 * may differ by TOLERANCE units of the last place, since microcode versions differ.
 * FYL2XP1 outside of its domain; FISTTP, which is newer than model 1.
 */
#define _GNU_SOURCE
#include "tests/diff/fpu_cases.h"

#include "base/err.h"
#include "tests/test.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

/* All classes and modes once; slow builds take a quarter, which has all masked. */
#ifdef __OPTIMIZE__
enum { CASES_DEFAULT = FPU_CASES_ALL };
#else
enum { CASES_DEFAULT = FPU_CASES_ALL / 4 };
#endif
enum { STUB_SIZE = 32, TOLERANCE = 2, SHOWN_MAX = 3 };

/* Enter with the state of `image`, run one instruction, leave with its state. */
typedef void stub_function(const uint8_t *image, uint8_t *ret_image, uint8_t *memory,
                           uint64_t flags_and_ax[2]);

static uint8_t *stubs;
static uint64_t case_count = CASES_DEFAULT;
static const char *wanted_row;
static uint64_t seed;

/* Where the instruction is in a stub. */
static const uint8_t prologue[] = {
    0xdd, 0x27,       /* frstor [rdi] */
    0xff, 0x31,       /* push qword [rcx] */
    0x9d,             /* popfq */
    0x8b, 0x41, 0x08, /* mov eax, [rcx + 8] */
};
static const uint8_t epilogue[] = {
    0x9c,             /* pushfq */
    0x8f, 0x01,       /* pop qword [rcx] */
    0x89, 0x41, 0x08, /* mov [rcx + 8], eax */
    0xdd, 0x36,       /* fnsave [rsi] */
    0xc3,
};

static uint8_t *build_stub(uint8_t opcode, uint8_t modrm, bool operand16)
{
    uint8_t code[STUB_SIZE], *end = code;
    bool memory = modrm < 0xc0;
    memcpy(end, prologue, sizeof prologue);
    end += sizeof prologue;
    if (operand16)
        *end++ = 0x66;
    *end++ = opcode;
    *end++ = memory ? (uint8_t)((modrm & 0x38) | 2) : modrm; /* [rdx] */
    memcpy(end, epilogue, sizeof epilogue);
    unsigned index = (unsigned)(opcode & 7) * 256 + modrm;
    uint8_t *stub = stubs + ((size_t)index * 2 + operand16) * STUB_SIZE;
    memcpy(stub, code, sizeof code);
    return stub;
}

static void build_stubs(void)
{
    size_t size = (size_t)8 * 256 * 2 * STUB_SIZE;
    stubs = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(stubs != MAP_FAILED);
    for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++)
        for (unsigned modrm = 0; modrm < 256; modrm++)
            for (unsigned operand16 = 0; operand16 < 2; operand16++)
                build_stub((uint8_t)opcode, (uint8_t)modrm, operand16);
}

static uint8_t *find_stub(const struct fpu_case *c)
{
    unsigned index = (unsigned)(c->opcode & 7) * 256 + c->modrm;
    return stubs + ((size_t)index * 2 + c->operand16) * STUB_SIZE;
}

static void run_host(const struct fpu_case *c, struct fpu_result *ret_result,
                     uint32_t *ret_ip, uint32_t *ret_address)
{
    static uint8_t memory[108];
    uint8_t *stub = find_stub(c);
    uint64_t flags_and_ax[2] = {c->eflags | 2, c->ax};
    stub_function *run = NULL;
    memcpy(&run, &stub, sizeof run);
    memcpy(memory, c->memory, sizeof memory);
    run(c->image, ret_result->image, memory, flags_and_ax);
    memcpy(ret_result->memory, memory, sizeof memory);
    ret_result->eflags = (uint32_t)flags_and_ax[0] & 0x8d5;
    ret_result->ax = (uint16_t)flags_and_ax[1];
    *ret_ip = (uint32_t)(uintptr_t)(stub + sizeof prologue);
    *ret_address = (uint32_t)(uintptr_t)memory;
}

static struct emu_f80 get_f80(const uint8_t *bytes)
{
    struct emu_f80 a;
    memcpy(&a.mantissa, bytes, 8);
    memcpy(&a.sign_exponent, bytes + 8, 2);
    return a;
}

/* Distance in units of the last place: encodings of one sign are in order. */
static uint64_t distance(struct emu_f80 a, struct emu_f80 b)
{
    int32_t x = a.sign_exponent & 0x7fff, y = b.sign_exponent & 0x7fff;
    uint64_t high = a.mantissa, low = b.mantissa;
    if ((a.sign_exponent ^ b.sign_exponent) >> 15)
        return ~(uint64_t)0;
    x += !x; /* a denormal has the exponent 1 */
    y += !y;
    if (x < y || (x == y && high < low)) {
        int32_t swap = x;
        x = y, y = swap;
        high = b.mantissa, low = a.mantissa;
    }
    if (x == y)
        return high - low;
    if (x - y > 1)
        return ~(uint64_t)0;
    return high - ((uint64_t)1 << 63) + (0 - low);
}

static uint64_t worst;

/* Give `got` the host's value of ST(i) if they are close, and what hangs on it: the tag
 * and underflow where one is a denormal and the other is not. */
static void tolerate_register(const struct fpu_result *want, struct fpu_result *got,
                              unsigned i)
{
    const uint8_t *value = want->image + 28 + 10 * i;
    uint8_t *bytes = got->image + 28 + 10 * i;
    uint64_t d = distance(get_f80(value), get_f80(bytes));
    if (d == 0 || d > TOLERANCE)
        return;
    if (d > worst)
        worst = d;
    memcpy(bytes, value, 10);
    if ((get_f80(value).sign_exponent & 0x7fff) > 1)
        return;
    unsigned index = ((want->image[5] >> 3) + i) & 7;
    uint8_t tag = (uint8_t)(3 << (index % 4 * 2));
    uint8_t *tags = &got->image[8 + index / 4];
    *tags = (uint8_t)((*tags & ~tag) | (want->image[8 + index / 4] & tag));
    got->image[4] = (uint8_t)((got->image[4] & ~EMU_F80_UNDERFLOW) |
                              (want->image[4] & EMU_F80_UNDERFLOW));
}

static void tolerate(const struct fpu_result *want, struct fpu_result *got)
{
    for (unsigned i = 0; i < 2; i++)
        tolerate_register(want, got, i);
    if (want->image[4] & EMU_F80_INEXACT)
        got->image[5] = (uint8_t)((got->image[5] & ~2) | (want->image[5] & 2));
}

/* FYL2XP1 is defined for |x| < 1 - sqrt(1/2) (SDM 2); beyond hardware does as it likes.
 */
static bool is_outside(const struct fpu_case_row *row, const struct fpu_case *c)
{
    struct emu_f80 x = get_f80(c->image + 28);
    return row->opcode == 0xd9 && row->modrm == 0xf9 &&
           emu_f80_classify(x) != EMU_F80_CLASS_NAN &&
           (x.sign_exponent & 0x7fff) >= 0x3ffd;
}

static void show_state(const char *what, const uint8_t *image)
{
    print_message(
        "  %-6s cw %02x%02x sw %02x%02x tw %02x%02x ip %02x%02x%02x%02x op %02x%02x dp "
        "%02x%02x%02x%02x\n        ",
        what, image[1], image[0], image[5], image[4], image[9], image[8], image[15],
        image[14], image[13], image[12], image[19], image[18], image[23], image[22],
        image[21], image[20]);
    for (unsigned i = 0; i < 8; i++) {
        struct emu_f80 a = get_f80(image + 28 + 10 * i);
        print_message("%04x:%016llx%s", a.sign_exponent, (unsigned long long)a.mantissa,
                      i == 3 ? "\n        " : " ");
    }
    print_message("\n");
}

static void show_memory(const char *what, const uint8_t *memory, uint32_t eflags,
                        uint16_t ax)
{
    print_message("  %-6s flags %03x ax %04x memory", what, eflags, ax);
    for (unsigned i = 0; i < 10; i++)
        print_message(" %02x", memory[i]);
    print_message("\n");
}

static void show(const struct fpu_case_row *row, uint64_t number,
                 const struct fpu_case *c, const struct fpu_result *want,
                 const struct fpu_result *got)
{
    print_message("%s %02x %02x%s, case %llu\n", row->name, c->opcode, c->modrm,
                  c->operand16 ? " 16" : "", (unsigned long long)number);
    show_state("before", c->image);
    show_state("want", want->image);
    show_state("got", got->image);
    show_memory("before", c->memory, c->eflags, c->ax);
    show_memory("want", want->memory, want->eflags, want->ax);
    show_memory("got", got->memory, got->eflags, got->ax);
    print_message("reproduce: LOCKSTEP_SEED=0x%llx "
                  "build/release/tests/diff/test_diff_fpu_host %llu %02x%02x\n",
                  (unsigned long long)seed, (unsigned long long)number + 1, row->opcode,
                  row->modrm);
}

/* The number of cases that differ. */
static uint64_t compare_row(const struct fpu_case_row *row, uint64_t count)
{
    uint64_t wrong = 0;
    worst = 0;
    for (uint64_t number = 0; number < count; number++) {
        struct fpu_case c;
        struct fpu_result want, got;
        uint32_t ip, address;
        memset(&want, 0, sizeof want);
        fpu_case_make(&c, row, number, seed);
        if (is_outside(row, &c))
            continue;
        run_host(&c, &want, &ip, &address);
        fpu_case_emulate(&c, ip, address, &got);
        if (fpu_case_is_transcendental(row))
            tolerate(&want, &got);
        if (!memcmp(&want, &got, sizeof want))
            continue;
        if (++wrong <= SHOWN_MAX)
            show(row, number, &c, &want, &got);
    }
    if (fpu_case_is_transcendental(row))
        print_message("%s: at most %llu ulp from the host\n", row->name,
                      (unsigned long long)worst);
    return wrong;
}

static bool is_wanted(const struct fpu_case_row *row)
{
    char hex[8];
    (void)snprintf(hex, sizeof hex, "%02x%02x", row->opcode, row->modrm);
    return !wanted_row || !strcmp(wanted_row, row->name) || !strcmp(wanted_row, hex);
}

static bool is_model_1(void)
{
    unsigned a, b, c, d;
    char vendor[13] = "";
    if (!__get_cpuid(0, &a, &b, &c, &d))
        return false;
    memcpy(vendor, &b, 4);
    memcpy(vendor + 4, &d, 4);
    memcpy(vendor + 8, &c, 4);
    return !strcmp(vendor, "GenuineIntel") && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (b & 1 << 6) && (b & 1 << 13);
}

static void need_model_1(void)
{
    if (is_model_1())
        return;
    print_message("skipped: the host's x87 is not that of model 1\n");
    skip();
}

static void test_rows(void **unused)
{
    (void)unused;
    need_model_1();
    uint64_t wrong = 0;
    for (unsigned i = 0; i < fpu_case_row_count; i++) {
        const struct fpu_case_row *row = &fpu_case_rows[i];
        if (!is_wanted(row))
            continue;
        uint64_t here = compare_row(row, case_count);
        if (here)
            print_message("%s (%02x %02x): %llu of %llu cases differ\n", row->name,
                          row->opcode, row->modrm, (unsigned long long)here,
                          (unsigned long long)case_count);
        wrong += here;
    }
    assert_int_equal(wrong, 0);
}

static sigjmp_buf undefined;

static void on_undefined(int number)
{
    siglongjmp(undefined, number);
}

/* FISTTP came with SSE3; model 1 is older. */
static bool is_newer(unsigned opcode, unsigned modrm)
{
    return modrm < 0xc0 && (modrm >> 3 & 7) == 1 &&
           (opcode == 0xdb || opcode == 0xdd || opcode == 0xdf);
}

static bool host_defines(const struct fpu_case *c)
{
    struct fpu_result result;
    uint32_t ip, address;
    if (sigsetjmp(undefined, 1))
        return false;
    run_host(c, &result, &ip, &address);
    return true;
}

static void test_undefined(void **unused)
{
    (void)unused;
    need_model_1();
    struct sigaction action = {.sa_handler = on_undefined}, before;
    sigaction(SIGILL, &action, &before);
    for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++)
        for (unsigned modrm = 0; modrm < 256; modrm += modrm < 0xc0 ? 8 : 1) {
            struct fpu_case c = {.opcode = (uint8_t)opcode, .modrm = (uint8_t)modrm};
            c.image[0] = 0x7f, c.image[1] = 3;
            struct emu_fpu fpu;
            uint8_t memory[108] = {0};
            emu_fpu_init(&fpu);
            fpu.control = 0x37f;
            struct emu_fpu_insn insn = {.opcode = c.opcode, .modrm = c.modrm};
            bool defined = emu_fpu_execute(&fpu, &insn, memory) != EMU_FPU_UNDEFINED;
            if (defined != (host_defines(&c) && !is_newer(opcode, modrm)))
                fail_msg("%02x %02x is %s here", opcode, modrm,
                         defined ? "defined" : "undefined");
        }
    sigaction(SIGILL, &before, NULL);
}

int main(int argc, char **argv)
{
    seed = test_seed(0xf80);
    if (argc > 1)
        case_count = strtoull(argv[1], NULL, 0);
    if (argc > 2)
        wanted_row = argv[2];
    build_stubs();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_undefined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void test_rows(void **unused)
{
    (void)unused;
    print_message("skipped: the host has no x87\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
