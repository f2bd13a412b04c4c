/* SPDX-License-Identifier: MIT */
#include "tests/diff/fpu_cases.h"

#include "base/err.h"
#include "tests/test.h"

#include <string.h>

enum kind { nowait, wait, operate };

const struct fpu_case_row fpu_case_rows[] = {
#define MEM(opcode, reg, name, format, kind, handler)                                  \
    {#name, opcode, 8 * (reg), true, false, (kind) != nowait},
#define REG(opcode, reg, name, kind, handler)                                          \
    {#name, opcode, 0xc0 + 8 * (reg), false, true, (kind) != nowait},
#define ONE(opcode, modrm, name, kind, handler)                                        \
    {#name, opcode, modrm, false, false, (kind) != nowait},
#include "emu/fpu.def"
};

const unsigned fpu_case_row_count = countof(fpu_case_rows);

bool fpu_case_is_transcendental(const struct fpu_case_row *row)
{
    unsigned modrm = row->modrm;
    return row->opcode == 0xd9 && ((modrm >= 0xf0 && modrm <= 0xf3) || modrm == 0xf9 ||
                                   modrm == 0xfb || modrm >= 0xfe);
}

static uint64_t below(uint64_t *state, uint64_t limit)
{
    return test_random(state) % limit;
}

/* 64 bits: random, sparse, runs of ones, or close to where 24 and 53 bits end. */
static uint64_t random_sig(uint64_t *state)
{
    uint64_t r = test_random(state), bits = 0;
    switch (below(state, 8)) {
    case 0:
        return r;
    case 1:
        return (uint64_t)1 << (r & 63) | (uint64_t)1 << (r >> 8 & 63);
    case 2:
        return ~(uint64_t)0 << (r & 63);
    case 3:
        return ~(uint64_t)0 >> (r & 63);
    case 4: /* a few bits at the top */
        return r << (below(state, 60));
    case 5:
        bits = (uint64_t)1 << 39;
        return (r & ~(bits * 2 - 1)) + bits + below(state, 3) - 1;
    case 6:
        bits = (uint64_t)1 << 10;
        return (r & ~(bits * 2 - 1)) + bits + below(state, 3) - 1;
    default:
        return below(state, 5) - 2;
    }
}

static unsigned random_exponent(uint64_t *state)
{
    uint64_t r = test_random(state);
    switch (below(state, 8)) {
    case 0:
        return 1 + (unsigned)(r % 0x7ffe);
    case 1:
        return 1 + (unsigned)(r % 70);
    case 2:
        return 0x7ffe - (unsigned)(r % 70);
    case 3: /* around the limits of the shorter formats */
        return 0x3fff + (unsigned)(r & 1 ? 0xff80 : 0xfc00) % 0x400 -
               (unsigned)(r >> 8) % 80;
    case 4:
        return (r & 1 ? 0x3fffu - 0x3ff : 0x3fffu - 0x7f) + 30 -
               (unsigned)(r >> 8) % 90;
    case 5:
        return (r & 1 ? 0x3fffu + 0x3ff : 0x3fffu + 0x7f) + 3 - (unsigned)(r >> 8) % 6;
    default:
        return 0x3fff - 66 + (unsigned)(r % 132);
    }
}

/* A number of a class: zero, denormal, pseudo-denormal, unnormal (and pseudo-infinity,
 * pseudo-NaN), normal, infinity, QNaN, SNaN, and whatever an empty register holds. */
static struct emu_f80 random_of_class(uint64_t *state, unsigned class)
{
    uint64_t top = (uint64_t)1 << 63, quiet = (uint64_t)1 << 62;
    uint64_t sig = random_sig(state);
    uint16_t sign = (uint16_t)(below(state, 2) << 15);
    uint16_t exponent = (uint16_t)random_exponent(state);
    switch (class) {
    case 0:
        return (struct emu_f80){0, sign};
    case 1:
        return (struct emu_f80){sig & ~top ? sig & ~top : 1, sign};
    case 2:
        return (struct emu_f80){sig | top, sign};
    case 3:
        if (below(state, 4) == 0)
            exponent = 0x7fff;
        return (struct emu_f80){sig & ~top, sign | exponent};
    case 5:
        return (struct emu_f80){top, sign | 0x7fff};
    case 6:
        return (struct emu_f80){sig | top | quiet, sign | 0x7fff};
    case 7:
        sig = (sig | top) & ~quiet;
        return (struct emu_f80){sig == top ? sig | 1 : sig, sign | 0x7fff};
    default:
        return (struct emu_f80){sig | top, sign | exponent};
    }
}

/* Close to `a`, so that sums cancel, quotients are short and compares are near. */
static struct emu_f80 near_to(uint64_t *state, struct emu_f80 a)
{
    unsigned exponent = (a.sign_exponent & 0x7fff) + (unsigned)below(state, 5) - 2;
    if (exponent - 1 >= 0x7ffe)
        return a;
    a.sign_exponent = (uint16_t)(below(state, 2) << 15 | exponent);
    a.mantissa += below(state, 5) - 2;
    a.mantissa |= (uint64_t)1 << 63;
    return a;
}

static void put(uint8_t *bytes, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++, value >>= 8)
        bytes[i] = (uint8_t)value;
}

static void put_f80(uint8_t *bytes, struct emu_f80 a)
{
    put(bytes, 8, a.mantissa);
    put(bytes + 8, 2, a.sign_exponent);
}

/* Numbers whose conversion or function is interesting: small integers, halves, limits
 * of integers, and for the functions arguments of middling size. */
static struct emu_f80 telling(uint64_t *state)
{
    struct emu_f80 a;
    uint64_t r = test_random(state);
    switch (r & 3) {
    case 0:
        a = emu_f80_from_int((int64_t)(r >> 8) % 70 - 35);
        break;
    case 1: {
        static const uint8_t bit[] = {15, 16, 31, 32, 63, 62};
        uint64_t value = ((uint64_t)1 << bit[(r >> 8) % 6]) + (r >> 16) % 3 - 1;
        a = emu_f80_from_int((int64_t)value);
        break;
    }
    case 2:
        a = emu_f80_from_int(999999999999999999 + (int64_t)((r >> 8) % 5) - 2);
        break;
    default:
        a = random_of_class(state, 4);
        a.sign_exponent =
            (uint16_t)((a.sign_exponent & 0x8000) | (0x3ffa + (r >> 8) % 8));
        break;
    }
    /* Halves and just beside them. */
    if (a.mantissa && (r >> 40 & 1)) {
        unsigned integer_bits = (a.sign_exponent & 0x7fffu) - 0x3ffe;
        if (integer_bits < 63)
            a.mantissa |= (uint64_t)1 << (63 - integer_bits);
        a.mantissa += below(state, 3) - 1;
        a.mantissa |= (uint64_t)1 << 63;
    }
    return a;
}

/* Small multiples of one power of two: exact quotients and ties. */
static void make_ratio(uint64_t *state, struct emu_f80 *a, struct emu_f80 *b)
{
    static const int8_t divisor[] = {1, 2, 2, -2, 3, 4, -4, 6};
    uint16_t power = (uint16_t)below(state, 40);
    *a = emu_f80_from_int((int64_t)below(state, 41) - 20);
    *b = emu_f80_from_int(divisor[below(state, countof(divisor))]);
    if (!a->mantissa)
        return;
    a->sign_exponent = (uint16_t)(a->sign_exponent + power);
    b->sign_exponent = (uint16_t)(b->sign_exponent + power);
}

static unsigned random_masks(uint64_t *state, unsigned kind)
{
    switch (kind) {
    case 0:
    case 1:
        return 0x3f;
    case 2:
        return 0x3f & ~(1u << below(state, 6));
    default:
        return (unsigned)below(state, 64);
    }
}

static void make_memory(struct fpu_case *c, uint64_t *state, struct emu_f80 b)
{
    for (unsigned i = 0; i < sizeof c->memory; i++)
        c->memory[i] = (uint8_t)test_random(state);
    struct emu_f80_env env = {64, EMU_F80_NEAREST, 0x3f, false, 0};
    unsigned kind = (unsigned)below(state, 4);
    struct emu_fpu_access access = emu_fpu_access(c->opcode, c->modrm, c->operand16);
    if (access.writes || kind == 0)
        return;
    if (access.size == 4 && (c->opcode == 0xd8 || c->opcode == 0xd9))
        put(c->memory, 4, emu_f80_to_f32(&env, b) & ~(kind == 1 ? 1u << 22 : 0));
    else if (access.size == 8 && c->opcode != 0xdf)
        put(c->memory, 8,
            emu_f80_to_f64(&env, b) & ~(kind == 1 ? (uint64_t)1 << 51 : 0));
    else if (access.size == 10 && c->opcode == 0xdb)
        put_f80(c->memory, b);
    else if (access.size <= 8)
        put(c->memory, access.size, below(state, 200) - 100);
}

/* The registers, TOP and tags; bits 0 and 1 of `empty` are for the operands. */
static void make_registers(struct fpu_case *c, uint64_t *state, struct emu_f80 a,
                           struct emu_f80 b, unsigned empty)
{
    unsigned top = (unsigned)below(state, 8), i = c->modrm & 7;
    unsigned tags = 0;
    for (unsigned k = 0; k < 8; k++) {
        put_f80(c->image + 28 + 10 * k,
                random_of_class(state, (unsigned)below(state, 9)));
        if (below(state, 3) == 0)
            tags |= 3u << (2 * k);
    }
    put_f80(c->image + 28, a);
    if (c->modrm >= 0xc0) {
        bool implied = c->opcode == 0xd9 && c->modrm >= 0xd0;
        unsigned other = implied || c->modrm == 0xe9 || c->modrm == 0xd9 ? 1 : i;
        if (other)
            put_f80(c->image + 28 + 10 * other, b);
        tags &= ~(3u << (2 * ((top + other) & 7)));
        tags |= (empty & 2 ? 3u : 0) << (2 * ((top + other) & 7));
    }
    tags &= ~(3u << (2 * top));
    tags |= (empty & 1 ? 3u : 0) << (2 * top);
    /* What needs room finds it, most of the time. */
    if (below(state, 8))
        tags |= 3u << (2 * ((top + 7) & 7));
    put(c->image + 8, 4, tags);
    unsigned control = (unsigned)(c->image[0] | c->image[1] << 8);
    unsigned status = (unsigned)test_random(state) & 0x4740;
    status |= (unsigned)test_random(state) & control & 0x3f;
    put(c->image + 4, 4, status | top << 11);
}

void fpu_case_make(struct fpu_case *c, const struct fpu_case_row *row, uint64_t number,
                   uint64_t seed)
{
    uint64_t state = seed ^ (number << 16 | (uint64_t)row->opcode << 8 | row->modrm);
    unsigned x = (unsigned)(number % 9), y = (unsigned)(number / 9 % 9);
    memset(c, 0, sizeof *c);
    c->opcode = row->opcode;
    c->modrm = row->modrm;
    if (row->any_register)
        c->modrm |= (uint8_t)below(&state, 8);
    if (row->memory)
        c->modrm |= 2; /* [edx], [rdx]: FOP shows it */
    c->operand16 = row->memory && below(&state, 2);
    c->eflags = (uint32_t)test_random(&state) & 0x8d5;
    c->ax = (uint16_t)test_random(&state);
    struct emu_f80 a = random_of_class(&state, x);
    struct emu_f80 b = random_of_class(&state, y);
    if (x == 4 && below(&state, 3) == 0)
        a = telling(&state);
    if (y == 4 && below(&state, 3) == 0)
        b = below(&state, 2) ? near_to(&state, a) : telling(&state);
    if (x == 4 && y == 4 && below(&state, 2))
        make_ratio(&state, &a, &b);
    unsigned control =
        random_masks(&state, number / 1296 % 4) | (unsigned)(number / 81 % 4) << 8 |
        (unsigned)(number / 324 % 4) << 10 | (unsigned)below(&state, 2) << 12 | 0x40;
    put(c->image, 4, control);
    put(c->image + 12, 4, test_random(&state));
    put(c->image + 18, 2, test_random(&state) & 0x7ff);
    put(c->image + 20, 4, test_random(&state));
    make_memory(c, &state, b);
    make_registers(c, &state, a, b, (x == 8 ? 1u : 0) | (y == 8 ? 2u : 0));
}

static void run(struct emu_fpu *fpu, struct emu_fpu_insn insn, uint8_t *memory)
{
    check(emu_fpu_execute(fpu, &insn, memory) == EMU_FPU_DONE);
}

void fpu_case_emulate(const struct fpu_case *c, uint32_t ip, uint32_t address,
                      struct fpu_result *ret_result)
{
    struct emu_fpu fpu;
    uint8_t image[108];
    memcpy(image, c->image, sizeof image);
    memset(ret_result, 0, sizeof *ret_result);
    emu_fpu_init(&fpu);
    run(&fpu,
        (struct emu_fpu_insn){.opcode = 0xdd, .modrm = 0x20, .protected_mode = true},
        image);
    struct emu_fpu_insn insn = {
        .opcode = c->opcode,
        .modrm = c->modrm,
        .operand16 = c->operand16,
        .protected_mode = true,
        .ip = ip,
        .address = address,
        .eflags = c->eflags,
    };
    uint8_t memory[108];
    memcpy(memory, c->memory, sizeof memory);
    memcpy(ret_result->memory, c->memory, sizeof memory);
    check(emu_fpu_execute(&fpu, &insn, memory) == EMU_FPU_DONE);
    if (insn.stores)
        memcpy(ret_result->memory, memory, sizeof memory);
    ret_result->eflags = insn.eflags;
    ret_result->ax = insn.writes_ax ? insn.ax : c->ax;
    run(&fpu,
        (struct emu_fpu_insn){.opcode = 0xdd, .modrm = 0x30, .protected_mode = true},
        ret_result->image);
}
