/* SPDX-License-Identifier: MIT
 *
 * Any sequence of x87 instructions on any state: the first 108 bytes are an image for
 * FRSTOR, then come instructions of opcode, modrm, flags and the memory they read.
 * Checked after each: reserved bits, ES and B, what must not change, the same result
 * twice, and that an image brings the state back.
 */
#include "base/err.h"
#include "emu/fpu.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { IMAGE_SIZE = EMU_FPU_OPERAND_SIZE_MAX, HEADER_SIZE = 3, FILL = 0xa5 };

struct outcome {
    struct emu_fpu fpu;
    struct emu_fpu_insn insn;
    uint8_t memory[IMAGE_SIZE];
    enum emu_fpu_outcome outcome;
};

static bool same_state(const struct emu_fpu *a, const struct emu_fpu *b)
{
    for (unsigned i = 0; i < 8; i++)
        if (a->st[i].mantissa != b->st[i].mantissa ||
            a->st[i].sign_exponent != b->st[i].sign_exponent)
            return false;
    return a->control == b->control && a->status == b->status && a->tags == b->tags &&
           a->opcode == b->opcode && a->ip == b->ip && a->dp == b->dp &&
           a->cs == b->cs && a->ds == b->ds;
}

static void check_state(const struct emu_fpu *fpu)
{
    bool pending = fpu->status & ~fpu->control & 0x3f;
    check((fpu->control & 0xe0c0) == 0x40);
    check((fpu->status >> 15) == pending);
    check(emu_fpu_pending(fpu) == pending);
    check(fpu->opcode <= 0x7ff);
    check(!fpu->cs && !fpu->ds);
}

/* FNSAVE and FRSTOR in the 32-bit protected format lose nothing. */
static void check_image(const struct emu_fpu *fpu)
{
    struct emu_fpu copy = *fpu;
    uint8_t image[IMAGE_SIZE];
    struct emu_fpu_insn save = {.opcode = 0xdd, .modrm = 0x30, .protected_mode = true};
    struct emu_fpu_insn load = {.opcode = 0xdd, .modrm = 0x20, .protected_mode = true};
    check(emu_fpu_execute(&copy, &save, image) == EMU_FPU_DONE);
    check(emu_fpu_execute(&copy, &load, image) == EMU_FPU_DONE);
    check(same_state(&copy, fpu));
}

static void run(struct outcome *o)
{
    o->outcome = emu_fpu_execute(&o->fpu, &o->insn, o->memory);
}

static void check_outcome(const struct outcome *before, const struct outcome *after,
                          struct emu_fpu_access access)
{
    check_state(&after->fpu);
    if (after->outcome != EMU_FPU_DONE)
        check(same_state(&before->fpu, &after->fpu));
    if (after->outcome == EMU_FPU_PENDING)
        check(emu_fpu_pending(&before->fpu));
    if (after->outcome == EMU_FPU_UNDEFINED)
        check(!access.size);
    check(!after->insn.stores || access.writes);
    size_t kept = after->insn.stores ? access.size : 0;
    check(!memcmp(before->memory + kept, after->memory + kept, IMAGE_SIZE - kept));
    check(!((before->insn.eflags ^ after->insn.eflags) & ~0x8d5u));
}

/* The bytes that one instruction takes from `data`, or 0 at the end. */
static size_t step(struct emu_fpu *fpu, const uint8_t *data, size_t size)
{
    if (size < HEADER_SIZE)
        return 0;
    struct outcome before = {.fpu = *fpu};
    before.insn = (struct emu_fpu_insn){
        .opcode = 0xd8 | (data[0] & 7),
        .modrm = data[1],
        .operand16 = data[2] & 1,
        .protected_mode = data[2] & 2,
        .cs = 0x10,
        .ds = 0x18,
        .ip = 0x12345678,
        .address = 0x9abcdef0,
        .eflags = (uint32_t)data[2] << 4 | (data[2] & 0xd5),
    };
    struct emu_fpu_access access =
        emu_fpu_access(before.insn.opcode, before.insn.modrm, before.insn.operand16);
    check(access.size <= IMAGE_SIZE && !(access.reads && access.writes));
    size_t wanted = access.reads ? access.size : 0;
    if (wanted > size - HEADER_SIZE)
        return 0;
    memset(before.memory, FILL, sizeof before.memory);
    memcpy(before.memory, data + HEADER_SIZE, wanted);
    struct outcome after = before, again = before;
    run(&after);
    run(&again);
    check(same_state(&after.fpu, &again.fpu) && after.outcome == again.outcome);
    check(!memcmp(after.memory, again.memory, sizeof after.memory));
    check_outcome(&before, &after, access);
    check_image(&after.fpu);
    *fpu = after.fpu;
    return HEADER_SIZE + wanted;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct emu_fpu fpu;
    emu_fpu_init(&fpu);
    if (size < IMAGE_SIZE)
        return 0;
    uint8_t image[IMAGE_SIZE];
    memcpy(image, data, sizeof image);
    struct emu_fpu_insn load = {.opcode = 0xdd, .modrm = 0x20, .protected_mode = true};
    check(emu_fpu_execute(&fpu, &load, image) == EMU_FPU_DONE);
    check_state(&fpu);
    for (size_t at = IMAGE_SIZE, taken = 1; taken; at += taken)
        taken = step(&fpu, data + at, size - at);
    return 0;
}
