/* SPDX-License-Identifier: MIT
 *
 * The loaders on the program of a case: containers written as pvm-exec.md 6 says, and
 * each of them with one thing wrong, beside the error that belongs to it.
 */
#include "tests/diff/oracle_check.h"

#include "base/arena.h"
#include "base/buf.h"
#include "pvm/pvm.h"

#include <stdio.h>
#include <string.h>

enum { CONTAINER_MAX = 3 * ANALYSIS_CASE_CODE_MAX, ISA_LATEST = 2, ISA_JAM = 3 };

static struct {
    struct arena arena;
    const struct analysis_case *c;
    char *text;
    size_t text_size;
} load;

/* What is wrong with a blob. */
enum fault { NONE, TRAILING, CUT, LONG_NUMBER, PADDING, WIDTH, COUNT, FAULT_COUNT };

static const struct {
    const char *name;
    enum err err;
} faults[FAULT_COUNT] = {
    [NONE] = {"blob", ERR_ok},
    [TRAILING] = {"a byte more", ERR_pvm_trailing},
    [CUT] = {"a byte less", ERR_pvm_truncated},
    [LONG_NUMBER] = {"a longer number", ERR_pvm_varint},
    [PADDING] = {"a bit behind the mask", ERR_pvm_bitmask_pad},
    [WIDTH] = {"wide entries", ERR_pvm_jump_width},
    [COUNT] = {"entries that wrap around", ERR_pvm_limit},
};

static bool differ(const char *what, uint64_t want, uint64_t got)
{
    if (want != got)
        (void)snprintf(load.text, load.text_size, "load: %s: want %llu, got %llu", what,
                       (unsigned long long)want, (unsigned long long)got);
    return want != got;
}

static void put_fixed(struct buf *buf, uint64_t value, unsigned size)
{
    for (unsigned k = 0; k < size; k++)
        buf_byte(buf, (uint8_t)(value >> 8 * k));
}

/* E(x) of 6.1 with `more` bytes than it needs. */
static void put_number(struct buf *buf, uint64_t x, unsigned more)
{
    unsigned l = more;
    while (l < 8 && x >> 7 * (l - more + 1))
        l++;
    buf_byte(buf, (uint8_t)(l == 8 ? 255 : 256u - (256u >> l) + (x >> 8 * l)));
    put_fixed(buf, x, l);
}

/* The raw blob of 6.2. */
static void put_blob(struct buf *buf, enum fault fault)
{
    const struct analysis_case *c = load.c;
    size_t mask_size = (c->code_size + 7) / 8;
    uint64_t count = fault == COUNT ? (uint64_t)1 << 61 : c->jump_count;
    put_number(buf, count, 0);
    buf_byte(buf, (uint8_t)(fault == WIDTH ? 9 : fault == COUNT ? 8 : c->jump_width));
    put_number(buf, c->code_size, fault == LONG_NUMBER);
    if (fault != COUNT)
        buf_put(buf, c->jump, (size_t)c->jump_count * c->jump_width);
    buf_put(buf, c->code, c->code_size);
    buf_put(buf, c->bitmask, mask_size);
    uint8_t unused = (uint8_t)(c->code_size % 8 ? 0xff << c->code_size % 8 : 0);
    if (unused)
        buf->data[buf->size - 1] &= (uint8_t)~unused;
    if (unused && fault == PADDING)
        buf->data[buf->size - 1] |= 0x80;
    if (fault == TRAILING)
        buf_byte(buf, 0);
    buf->size -= fault == CUT;
}

/* Does a code come out as it is in the case, but for the opcodes in `want`? */
static bool code_differs(const struct pvm_code *got, const uint8_t *want)
{
    const struct analysis_case *c = load.c;
    if (differ("code size", c->code_size, got->code.size) ||
        differ("entries", c->jump_count, got->jump_count) ||
        differ("entry size", c->jump_width, got->jump_width))
        return true;
    for (uint32_t pc = 0; pc < c->code_size; pc++) {
        bool marked = c->bitmask[pc / 8] >> pc % 8 & 1;
        if (differ("byte", want[pc], got->code.data[pc]) ||
            differ("mask", marked, got->bitmask[pc / 8] >> pc % 8 & 1))
            return true;
    }
    return memcmp(c->jump, got->jump, (size_t)c->jump_count * c->jump_width) &&
           differ("table", 0, 1);
}

static bool blobs_differ(struct buf *buf)
{
    for (enum fault fault = NONE; fault < FAULT_COUNT; fault++) {
        struct pvm_code code;
        if (fault == PADDING && load.c->code_size % 8 == 0)
            continue;
        buf_clear(buf);
        put_blob(buf, fault);
        enum err err = pvm_code_parse(buf_bytes(buf), &code);
        if (differ(faults[fault].name, faults[fault].err, err) ||
            (!err && code_differs(&code, load.c->code)))
            return true;
    }
    return false;
}

/* A standard program around it, of 6.3. */
static bool standard_differs(struct buf *buf, bool trailing)
{
    enum { RO = 5, RW = 3, HEAP_PAGES = 1, STACK = 4097 };
    struct pvm_container got;
    struct buf blob;
    buf_init(&blob, CONTAINER_MAX);
    put_blob(&blob, NONE);
    buf_clear(buf);
    put_fixed(buf, RO, 3);
    put_fixed(buf, RW, 3);
    put_fixed(buf, HEAP_PAGES, 2);
    put_fixed(buf, STACK, 3);
    buf_put(buf, load.c->data, RO + RW);
    put_fixed(buf, blob.size, 4);
    buf_put(buf, blob.data, blob.size);
    buf_fini(&blob);
    if (trailing)
        buf_byte(buf, 0);
    enum err err =
        pvm_container_load(&load.arena, PVM_CONTAINER_SPI, PVM_PROFILE_VECTORS,
                           buf_bytes(buf), (struct bytes){0}, &got);
    if (trailing || err)
        return differ("standard program", trailing ? ERR_pvm_trailing : ERR_ok, err);
    return differ("regions", 3, got.region_count) ||
           differ("data at", 0x30000, got.region[1].start) ||
           differ("data size", 8192, got.region[1].size) ||
           differ("stack size", 8192, got.region[2].size) ||
           code_differs(&got.code, load.c->code);
}

/* The table of 6.4.  False: such a program is refused. */
static bool translate(unsigned isa, uint8_t op, uint8_t *ret_op)
{
    bool javm = load.c->config.profile == PVM_PROFILE_JAVM;
    *ret_op = op;
    if (isa == ISA_LATEST) {
        if (op == 3)
            *ret_op = javm ? 2 : 1;
        return op != 2;
    }
    if (op == 2)
        *ret_op = javm ? 2 : 1;
    else if (op == 3 || op == 111)
        *ret_op = 255;
    else if (op > 100 && op < 111)
        *ret_op = (uint8_t)(op + 1);
    return true;
}

static bool polkavm_differs(struct buf *buf, unsigned isa)
{
    const struct analysis_case *c = load.c;
    uint8_t want[ANALYSIS_CASE_CODE_MAX];
    enum err want_err = c->jump_width > 4 ? ERR_pvm_jump_width : ERR_ok;
    struct pvm_container got;
    struct buf blob;
    buf_init(&blob, CONTAINER_MAX);
    put_blob(&blob, NONE);
    buf_clear(buf);
    buf_put(buf, "PVM", 4);
    buf_byte(buf, (uint8_t)isa);
    put_fixed(buf, 0, 8);
    buf_byte(buf, 6);
    put_number(buf, blob.size, 0);
    buf_put(buf, blob.data, blob.size);
    buf_byte(buf, 0);
    buf_fini(&blob);
    for (unsigned k = 0; k < 8; k++)
        buf->data[5 + k] = (uint8_t)(buf->size >> 8 * k);
    memcpy(want, c->code, sizeof want);
    for (uint32_t pc = 0; pc < c->code_size && !want_err; pc++)
        if ((c->bitmask[pc / 8] >> pc % 8 & 1) && !translate(isa, want[pc], &want[pc]))
            want_err = ERR_pvm_opcode;
    enum err err =
        pvm_container_load(&load.arena, PVM_CONTAINER_POLKAVM, c->config.profile,
                           buf_bytes(buf), (struct bytes){0}, &got);
    return differ(isa == ISA_JAM ? "JamV1" : "Latest64", want_err, err) ||
           (!err && code_differs(&got.code, want));
}

bool oracle_load_differs(const struct analysis_case *c, char *ret_text, size_t size)
{
    struct buf buf;
    load.c = c;
    load.text = ret_text;
    load.text_size = size;
    arena_init(&load.arena, 1 << 20);
    buf_init(&buf, CONTAINER_MAX);
    bool differs = blobs_differ(&buf) || standard_differs(&buf, false) ||
                   standard_differs(&buf, true) || polkavm_differs(&buf, ISA_JAM) ||
                   polkavm_differs(&buf, ISA_LATEST);
    buf_fini(&buf);
    arena_fini(&load.arena);
    return differs;
}
