/* SPDX-License-Identifier: MIT
 *
 * Test cases for single i386 instructions, made alike by the program that runs them on
 * the host's processor (oracle32.c) and by the one that emulates them (i386_host.c).
 *
 * A request names an instruction and a seed; a case is its registers and the bytes of
 * an area of memory that pointers lead to.  Freestanding: no library, no 64-bit
 * division.
 */
#ifndef TESTS_DIFF_ORACLE32_CASE_H
#define TESTS_DIFF_ORACLE32_CASE_H

#include <stdint.h>

/* Linear addresses of both sides. */
#define CASE_DATA 0x20000000u /* two pages */
#define CASE_DATA_SIZE 0x2000u
#define CASE_AREA (CASE_DATA + 0x0f00u) /* crosses the boundary of the pages */
#define CASE_AREA_SIZE 0x200u
#define CASE_AROUND 0x90u     /* fills the pages at the start of each request */
#define CASE_CODE 0x30000000u /* one page */

enum { CASE_DIGEST = 1, CASE_RESULTS = 2, CASE_QUIT = 3, CASE_PING = 4 };

/* How a case runs. */
#define CASE_STEP                                                                      \
    1u /* up to the first trap or fault, an INT3 behind it at the latest;              \
          all state compared, any of the segments below in use */
#define CASE_BASED 2u   /* SS DS ES begin at CASE_DATA and have 64 KiB */
#define CASE_CODE16 4u  /* 16-bit code that begins at CASE_CODE */
#define CASE_STACK16 8u /* SS.B is 0 */
#define CASE_FAR 16u    /* memory is full of selectors and of offsets of code */
#define CASE_TRAP 32u   /* with TF set and NOP behind it */
#define CASE_JUMPS 64u  /* registers are offsets of code */
/* What is not compared (docs/i386.md): memory after a fault, registers after a fault,
 * flags inside a REP. */
#define CASE_LOOSE_MEMORY 128u
#define CASE_LOOSE_REGISTERS 256u
#define CASE_LOOSE_FLAGS 512u

struct case_request {
    uint32_t kind;
    uint32_t length;
    uint8_t code[16];
    uint64_t seed;
    uint32_t count;
    uint32_t how;     /* CASE_STEP ... */
    uint8_t pointers; /* registers that point into the area; ESP always does */
    uint8_t smalls;   /* registers from 0 to 15 */
    uint8_t offsets;  /* registers from -512 to 511: bit offsets */
    uint8_t selectors;
    uint32_t padding;
};

#define CASE_FLAGS 0x00000cd5u      /* arithmetic and DF */
#define CASE_FLAGS_STEP 0x00247dd5u /* the same, TF IOPL NT AC ID */
#define CASE_FLAG_AC 0x00040000u
#define CASE_FLAG_TF 0x00000100u

struct case_state {
    uint32_t reg[8];
    uint32_t flags;  /* CASE_FLAGS, or CASE_FLAGS_STEP */
    uint32_t vector; /* 0xff: it ran; else a fault, with the state before it */
    uint32_t error;
    uint32_t address; /* of a page fault */
    /* With CASE_STEP only, else 0. */
    uint32_t eip;
    uint16_t segment[6]; /* ES CS SS DS FS GS */
};

/* ---- the LDT of both sides, as Linux' modify_ldt makes it ---- */

#define CASE_LDT_32 1u
#define CASE_LDT_READ_ONLY 2u /* for code: execute only */
#define CASE_LDT_PAGES 4u
#define CASE_LDT_ABSENT 8u

struct case_descriptor {
    uint32_t base, limit;
    uint32_t contents; /* 0 data, 1 expand-down, 2 code, 3 conforming code */
    uint32_t flags;
};

enum {
    CASE_LDT_CODE,
    CASE_LDT_DATA,
    CASE_LDT_CODE16,
    CASE_LDT_DATA16,
    CASE_LDT_BASED,
    CASE_LDT_SHORT,
    CASE_LDT_DOWN,
    CASE_LDT_CONST,
    CASE_LDT_FLAT_SHORT,
    CASE_LDT_FLAT_DOWN,
    CASE_LDT_FLAT_CONST,
    CASE_LDT_EXECUTE,
    CASE_LDT_CONFORMING,
    CASE_LDT_ABSENT_DATA,
    CASE_LDT_BASED_CODE,
    CASE_LDT_COUNT,
};

/* The limits of the short ones end inside the area, expand-down ones begin there. */
static const struct case_descriptor case_ldt[CASE_LDT_COUNT] = {
    [CASE_LDT_CODE] = {0, 0xfffff, 2, CASE_LDT_32 | CASE_LDT_PAGES},
    [CASE_LDT_DATA] = {0, 0xfffff, 0, CASE_LDT_32 | CASE_LDT_PAGES},
    [CASE_LDT_CODE16] = {CASE_CODE, 0x2fff, 2, 0},
    [CASE_LDT_DATA16] = {CASE_DATA, 0xffff, 0, 0},
    [CASE_LDT_BASED] = {CASE_DATA, 0xffff, 0, CASE_LDT_32},
    [CASE_LDT_SHORT] = {CASE_DATA, 0x1007, 0, 0},
    [CASE_LDT_DOWN] = {CASE_DATA, 0x0fff, 1, 0},
    [CASE_LDT_CONST] = {CASE_DATA, 0xffff, 0, CASE_LDT_READ_ONLY},
    [CASE_LDT_FLAT_SHORT] = {0, 0x20000, 0, CASE_LDT_32 | CASE_LDT_PAGES},
    [CASE_LDT_FLAT_DOWN] = {0, 0x20000, 1, CASE_LDT_32 | CASE_LDT_PAGES},
    [CASE_LDT_FLAT_CONST] = {0, 0xfffff, 0,
                             CASE_LDT_32 | CASE_LDT_PAGES | CASE_LDT_READ_ONLY},
    [CASE_LDT_EXECUTE] = {0, 0xfffff, 2,
                          CASE_LDT_32 | CASE_LDT_PAGES | CASE_LDT_READ_ONLY},
    [CASE_LDT_CONFORMING] = {0, 0xfffff, 3,
                             CASE_LDT_32 | CASE_LDT_PAGES | CASE_LDT_ABSENT},
    [CASE_LDT_ABSENT_DATA] = {CASE_DATA, 0xffff, 0, CASE_LDT_ABSENT},
    [CASE_LDT_BASED_CODE] = {CASE_CODE, 0x2fff, 2, CASE_LDT_32},
};

#define CASE_SELECTOR(entry) ((uint16_t)((entry) << 3 | 7))

/* ---- random values ---- */

static inline uint64_t case_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A value near an edge, or any. */
static inline uint32_t case_value(uint64_t *seed)
{
    uint64_t r = case_random(seed);
    uint32_t any = (uint32_t)(r >> 32), bit = (uint32_t)1 << (r >> 8 & 31);
    switch (r & 7) {
    case 0:
        return 0;
    case 1:
        return UINT32_MAX;
    case 2:
        return bit;
    case 3:
        return bit - 1;
    case 4:
        return any & 0xff;
    case 5:
        return 0u - (any & 0xff);
    default:
        return any;
    }
}

/* Mostly of the LDT, some beyond it, some null. */
static inline uint16_t case_selector(uint64_t *seed)
{
    uint32_t r = (uint32_t)(case_random(seed) >> 32);
    switch (r & 15) {
    case 0:
        return r & 16 ? 0 : 3;
    case 1:
        return 0x23;
    case 2:
        return 0x2b;
    default:
        return (uint16_t)((r >> 4 & 0xffff) % (CASE_LDT_COUNT + 1) << 3 | 4 |
                          (r & 128 ? 3 : r >> 24 & 3));
    }
}

/* A half of a far pointer or of a return frame.  Offsets are not those of the
 * instruction itself, selectors not those of Linux, NT stays clear: it is for tasks. */
static inline uint16_t case_far_half(uint64_t *seed)
{
    uint32_t r = (uint32_t)(case_random(seed) >> 32);
    switch (r & 3) {
    case 0:
    case 1:
        return case_selector(seed);
    case 2:
        return (r >> 4 & 0xfff) | 0x90;
    default:
        return (uint16_t)((r >> 8 & 0xbfff) | 0x90);
    }
}

/* What areas are filled from: the same for each request. */
enum { CASE_POOL_SIZE = 16384 };

static inline void case_make_pools(uint8_t *ret_any, uint8_t *ret_far)
{
    uint64_t seed = 386;
    for (unsigned i = 0; i < CASE_POOL_SIZE; i += 4) {
        uint32_t any = case_value(&seed);
        uint32_t far = case_far_half(&seed) | (uint32_t)case_far_half(&seed) << 16;
        if ((uint32_t)case_random(&seed) % 3 == 0)
            far = (case_random(&seed) & 1 ? CASE_CODE : 0) + ((far & 0xfff) | 0x90);
        for (unsigned k = 0; k < 4; k++) {
            ret_any[i + k] = (uint8_t)(any >> (8 * k));
            ret_far[i + k] = (uint8_t)(far >> (8 * k));
        }
    }
}

/* With CASE_STEP the instruction is not at the start: that is where jumps to 0 go. */
#define CASE_OFFSET(how) ((how)&CASE_STEP ? 0x80u : 0u)

/* EIP of the instruction. */
static inline uint32_t case_code(const struct case_request *request)
{
    return (request->how & CASE_BASED ? 0 : CASE_CODE) + CASE_OFFSET(request->how);
}

static inline uint32_t case_pointer(const struct case_request *request, uint32_t value,
                                    uint32_t r, unsigned reg)
{
    uint32_t pointer = CASE_AREA + 0xc0 + (value & 0x7f);
    /* Frames must be read whole, or NT gets in. */
    uint32_t aligned = request->how & CASE_FAR ? ~3u : ~0u;
    if (!(request->how & CASE_BASED))
        return pointer & aligned;
    pointer -= CASE_DATA;
    /* Where only 16 bits count, the others may be anything. */
    if ((r >> 8 & 7) == 0 || (reg == 4 && (request->how & CASE_STACK16) && (r & 256)))
        pointer |= r & 0xffff0000;
    /* Anywhere; but ESP may be read as a selector, and those of Linux are not ours. */
    if ((r >> 12 & 31) == 0)
        pointer = r >> 16 | (request->how & CASE_FAR ? 0x90 : 0);
    return pointer & aligned;
}

static inline void case_make_segments(const struct case_request *request,
                                      uint64_t *seed, struct case_state *ret_state)
{
    static const uint8_t flat[] = {CASE_LDT_FLAT_SHORT, CASE_LDT_FLAT_DOWN,
                                   CASE_LDT_FLAT_CONST, CASE_LDT_DATA};
    static const uint8_t based[] = {CASE_LDT_SHORT, CASE_LDT_DOWN, CASE_LDT_CONST,
                                    CASE_LDT_BASED};
    uint32_t how = request->how;
    const uint8_t *odd = how & CASE_BASED ? based : flat;
    unsigned data = how & CASE_BASED ? CASE_LDT_DATA16 : CASE_LDT_DATA;
    uint64_t r = case_random(seed);
    for (unsigned i = 0; i < 6; i++, r >>= 5) {
        unsigned entry = (r & 7) ? data : odd[r >> 3 & 3];
        if (i == 1)
            entry = how & CASE_CODE16  ? CASE_LDT_CODE16
                    : how & CASE_BASED ? CASE_LDT_BASED_CODE
                                       : CASE_LDT_CODE;
        if (i == 2) /* only writable ones; SS.B by the request */
            entry = (how & CASE_STACK16)
                        ? ((r & 7) ? CASE_LDT_DATA16
                                   : (r & 8 ? CASE_LDT_SHORT : CASE_LDT_DOWN))
                    : how & CASE_BASED ? CASE_LDT_BASED
                    : (r & 7)          ? CASE_LDT_DATA
                                       : odd[r >> 3 & 1];
        ret_state->segment[i] = CASE_SELECTOR(entry);
    }
    if ((r & 7) == 0)
        ret_state->segment[4] = 0;
}

static inline void case_make(const struct case_request *request, uint64_t *seed,
                             const uint8_t *pool, struct case_state *ret_state,
                             uint8_t *ret_area)
{
    for (unsigned i = 0; i < 8; i++) {
        uint32_t value = case_value(seed);
        if (i == 4 || (request->pointers >> i & 1))
            value = case_pointer(request, value, (uint32_t)case_random(seed), i);
        else if (request->smalls >> i & 1)
            value &= 15;
        else if (request->offsets >> i & 1)
            value = (value & 1023) - 512;
        else if (request->selectors >> i & 1)
            value = (value & 0xffff0000) | case_selector(seed);
        else if (request->how & CASE_JUMPS)
            value = (value & 0x7000 ? case_code(request) & ~0xffu
                                    : 0x40000000 | (value & 0x0fff0000)) |
                    (value & 0xfff) | 0x90;
        ret_state->reg[i] = value;
    }
    uint64_t r = case_random(seed);
    ret_state->flags = (uint32_t)r & CASE_FLAGS;
    ret_state->vector = 0xff;
    ret_state->error = ret_state->address = ret_state->eip = 0;
    for (unsigned i = 0; i < 6; i++)
        ret_state->segment[i] = 0;
    if (request->how & CASE_STEP) {
        if ((r >> 32 & 7) == 0)
            ret_state->flags |= CASE_FLAG_AC;
        if (request->how & CASE_TRAP)
            ret_state->flags |= CASE_FLAG_TF;
        case_make_segments(request, seed, ret_state);
    }
    const uint32_t places = (CASE_POOL_SIZE - CASE_AREA_SIZE) / 4;
    const uint8_t *from = pool + (uint32_t)(r >> 36) % places * 4;
    __builtin_memcpy(ret_area, from, CASE_AREA_SIZE);
}

/* ---- digests ---- */

static inline uint64_t case_mix(uint64_t digest, uint32_t value)
{
    digest = (digest ^ value) * 0x9fb21c651e98df25u;
    return digest ^ digest >> 29;
}

/* Behind the instruction. */
#define CASE_FILL(how) ((how)&CASE_TRAP ? 0x90 : 0xcc)

/* Drop what is not compared. */
static inline void case_loosen(const struct case_request *request,
                               struct case_state *state, uint8_t *area)
{
    uint32_t how = request->how;
    if ((how & CASE_LOOSE_FLAGS) && state->vector != 3)
        state->flags &= ~CASE_FLAGS;
    if (state->vector == 1 || state->vector == 3 || state->vector == 0xff)
        return;
    for (unsigned i = 0; (how & CASE_LOOSE_REGISTERS) && i < 8; i++)
        state->reg[i] = 0;
    for (unsigned i = 0; (how & CASE_LOOSE_MEMORY) && i < CASE_AREA_SIZE; i++)
        area[i] = 0;
}

/* Add a result: registers, flags, fault, memory. */
static inline uint64_t case_digest(uint64_t digest, const struct case_state *state,
                                   const uint8_t *area)
{
    uint32_t lane[4] = {state->reg[0], state->reg[1], state->reg[2], state->reg[3]};
    const uint32_t k = 0x9e3779b1u;
    for (unsigned i = 0; i < CASE_AREA_SIZE; i += 16) {
        uint32_t word[4];
        __builtin_memcpy(word, area + i, 16);
        for (unsigned l = 0; l < 4; l++)
            lane[l] = (lane[l] ^ word[l]) * k + (lane[l] >> 15);
    }
    for (unsigned l = 0; l < 4; l++) {
        digest = case_mix(digest, lane[l]);
        digest = case_mix(digest, state->reg[4 + l]);
    }
    digest = case_mix(digest, state->flags);
    digest = case_mix(digest, state->vector ^ state->error << 8);
    digest = case_mix(digest, state->address);
    digest = case_mix(digest, state->eip);
    for (unsigned i = 0; i < 6; i += 2)
        digest =
            case_mix(digest, state->segment[i] | (uint32_t)state->segment[i + 1] << 16);
    return digest;
}

#endif
