/* SPDX-License-Identifier: MIT
 *
 * Control instructions: the control and status words, and the images of the environment
 * and the whole state in four formats (SDM 1 figures 8-9 to 8-12).
 */
#include "emu/f80.h"
#include "emu/fpu_private.h"

enum {
    CONTROL_READ_ONE = 0x0040,
    CONTROL_WRITABLE = 0x1f3f,
    CONTROL_DEFAULT = 0x037f,
    OPCODE_MASK = 0x7ff,
    REGISTER_SIZE = 10,
};

static void set_control(struct emu_fpu *fpu, uint64_t control)
{
    fpu->control = (uint16_t)((control & CONTROL_WRITABLE) | CONTROL_READ_ONE);
    emu_fpu_update_summary(fpu);
}

static void initialize(struct emu_fpu *fpu)
{
    fpu->control = CONTROL_DEFAULT;
    fpu->status = 0;
    fpu->opcode = 0;
    fpu->tags = 0;
    fpu->cs = 0;
    fpu->ds = 0;
    fpu->ip = 0;
    fpu->dp = 0;
}

/* The two bits that images have for each physical register. */
static unsigned full_tag(const struct emu_fpu *fpu, unsigned index)
{
    if (!(fpu->tags >> index & 1))
        return 3;
    switch (emu_f80_classify(fpu->st[index])) {
    case EMU_F80_CLASS_NORMAL:
        return 0;
    case EMU_F80_CLASS_ZERO:
        return 1;
    case EMU_F80_CLASS_UNSUPPORTED:
    case EMU_F80_CLASS_NAN:
    case EMU_F80_CLASS_INFINITY:
    case EMU_F80_CLASS_DENORMAL:
        break;
    }
    return 2;
}

/* The seven words of an environment, wide enough for either size.  In the real format
 * the pointers are linear addresses, of which FCS and FDS being 0 leaves the offset. */
static void gather(const struct emu_fpu_step *step, uint32_t word[7])
{
    const struct emu_fpu *fpu = step->fpu;
    bool protected_mode = step->insn->protected_mode;
    uint32_t tags = 0;
    for (unsigned i = 0; i < 8; i++)
        tags |= full_tag(fpu, i) << (2 * i);
    word[0] = 0xffff0000 | fpu->control;
    word[1] = 0xffff0000 | fpu->status;
    word[2] = 0xffff0000 | tags;
    word[3] = fpu->ip;
    word[4] = (uint32_t)fpu->opcode << 16 | fpu->cs;
    word[5] = fpu->dp;
    word[6] = 0xffff0000 | fpu->ds;
    if (protected_mode)
        return;
    uint32_t ip = fpu->ip + ((uint32_t)fpu->cs << 4);
    uint32_t dp = fpu->dp + ((uint32_t)fpu->ds << 4);
    word[3] = 0xffff0000 | (ip & 0xffff);
    word[4] = (ip >> 16 << 12) | fpu->opcode;
    word[5] = 0xffff0000 | (dp & 0xffff);
    word[6] = dp >> 16 << 12;
}

/* Bytes of each of the seven words. */
static unsigned word_size(const struct emu_fpu_step *step)
{
    return step->insn->operand16 ? 2 : 4;
}

static void save_env(struct emu_fpu_step *step)
{
    uint32_t word[7];
    unsigned size = word_size(step);
    gather(step, word);
    for (unsigned i = 0; i < 7; i++)
        emu_fpu_put_bytes(step->memory + size * i, size, word[i]);
    step->insn->stores = true;
}

static void load_pointers(struct emu_fpu_step *step, const uint32_t word[7])
{
    struct emu_fpu *fpu = step->fpu;
    fpu->cs = 0;
    fpu->ds = 0;
    if (!step->insn->protected_mode) {
        fpu->ip = (word[3] & 0xffff) | (word[4] >> 12 << 16);
        fpu->opcode = word[4] & OPCODE_MASK;
        fpu->dp = (word[5] & 0xffff) | (word[6] >> 12 << 16);
        return;
    }
    fpu->ip = word[3];
    /* The 16-bit protected format has no opcode. */
    fpu->opcode = word[4] >> 16 & OPCODE_MASK;
    fpu->dp = word[5];
}

static void restore_env(struct emu_fpu_step *step)
{
    struct emu_fpu *fpu = step->fpu;
    uint32_t word[7];
    unsigned size = word_size(step);
    for (unsigned i = 0; i < 7; i++)
        word[i] = (uint32_t)emu_fpu_get_bytes(step->memory + size * i, size);
    fpu->tags = 0;
    for (unsigned i = 0; i < 8; i++)
        if ((word[2] >> (2 * i) & 3) != 3)
            fpu->tags |= (uint8_t)(1u << i);
    load_pointers(step, word);
    fpu->status = (uint16_t)word[1];
    set_control(fpu, word[0]);
}

void emu_fpu_load_env(struct emu_fpu_step *step)
{
    restore_env(step);
}

/* FNSTENV masks all exceptions afterwards. */
void emu_fpu_store_env(struct emu_fpu_step *step)
{
    save_env(step);
    set_control(step->fpu, step->fpu->control | EMU_FPU_EXCEPTIONS);
}

void emu_fpu_load_state(struct emu_fpu_step *step)
{
    restore_env(step);
    const uint8_t *bytes = step->memory + 7 * word_size(step);
    for (unsigned i = 0; i < 8; i++, bytes += REGISTER_SIZE)
        step->fpu->st[emu_fpu_index(step->fpu, i)] = emu_fpu_get_f80(bytes);
}

void emu_fpu_store_state(struct emu_fpu_step *step)
{
    save_env(step);
    uint8_t *bytes = step->memory + 7 * word_size(step);
    for (unsigned i = 0; i < 8; i++, bytes += REGISTER_SIZE)
        emu_fpu_put_f80(bytes, emu_fpu_get(step->fpu, i));
    initialize(step->fpu);
}

void emu_fpu_load_control(struct emu_fpu_step *step)
{
    set_control(step->fpu, emu_fpu_get_bytes(step->memory, 2));
}

void emu_fpu_store_control(struct emu_fpu_step *step)
{
    emu_fpu_put_bytes(step->memory, 2, step->fpu->control);
    step->insn->stores = true;
}

void emu_fpu_store_status(struct emu_fpu_step *step)
{
    emu_fpu_put_bytes(step->memory, 2, step->fpu->status);
    step->insn->stores = true;
}

void emu_fpu_status_ax(struct emu_fpu_step *step)
{
    step->insn->ax = step->fpu->status;
    step->insn->writes_ax = true;
}

void emu_fpu_init_control(struct emu_fpu_step *step)
{
    initialize(step->fpu);
}

void emu_fpu_clear(struct emu_fpu_step *step)
{
    emu_fpu_set_status(
        step->fpu,
        EMU_FPU_EXCEPTIONS | EMU_FPU_STACK_FAULT | EMU_FPU_SUMMARY | EMU_FPU_BUSY, 0);
}

void emu_fpu_ignore(struct emu_fpu_step *step)
{
    (void)step;
}
