/* SPDX-License-Identifier: MIT
 *
 * Instructions about descriptors: LLDT, LTR, LAR, LSL, VERR, VERW, ARPL.
 */
#include "emu/exec.h"

#define REQUIRE_PROTECTED                                                              \
    do {                                                                               \
        if (!emu_is_protected(cpu))                                                    \
            return emu_raise(cpu, op, EMU_VECTOR_UD, 0);                               \
    } while (0)

enum { TYPE_TSS16 = 1, TYPE_LDT = 2, TYPE_TSS32 = 9, TYPE_BUSY = 2 };

static const struct emu_op *store_selector(struct emu_cpu *cpu, const struct emu_op *op,
                                           unsigned segment)
{
    REQUIRE_PROTECTED;
    unsigned size = op->flags & EMU_OP_MEMORY ? 2 : op->size;
    if (!emu_write_operand(cpu, op, op->d, size, cpu->segment[segment].selector))
        FAULT;
    NEXT;
}

HANDLER(sldt)
{
    return store_selector(cpu, op, EMU_LDTR);
}

HANDLER(str)
{
    return store_selector(cpu, op, EMU_TR);
}

/* The operand of LLDT and LTR, after the checks that both share. */
static bool read_system_selector(struct emu_cpu *cpu, const struct emu_op *op,
                                 uint32_t *ret_selector)
{
    if (cpu->privilege != 0)
        return emu_fault(cpu, EMU_VECTOR_GP, 0);
    if (!emu_read_operand(cpu, op, op->d, 2, ret_selector))
        return false;
    return !(*ret_selector & 4) ||
           emu_fault(cpu, EMU_VECTOR_GP, *ret_selector & 0xfffc);
}

HANDLER(lldt)
{
    uint32_t selector;
    struct emu_descriptor d;
    REQUIRE_PROTECTED;
    if (!read_system_selector(cpu, op, &selector))
        FAULT;
    struct emu_segment ldt = {.selector = (uint16_t)selector};
    if (selector & 0xfffc) {
        if (!emu_read_descriptor(cpu, (uint16_t)selector, EMU_VECTOR_GP, &d, NULL))
            FAULT;
        if (emu_descriptor_type(&d) != TYPE_LDT)
            return emu_raise(cpu, op, EMU_VECTOR_GP, selector & 0xfffc);
        if (!emu_descriptor_present(&d))
            return emu_raise(cpu, op, EMU_VECTOR_NP, selector & 0xfffc);
        ldt = emu_segment_of(&d, (uint16_t)selector);
    }
    emu_install_segment(cpu, EMU_LDTR, &ldt);
    return emu_leave(cpu, op, emu_next_eip(cpu, op));
}

HANDLER(ltr)
{
    uint32_t selector;
    struct emu_descriptor d;
    REQUIRE_PROTECTED;
    if (!read_system_selector(cpu, op, &selector))
        FAULT;
    if (!(selector & 0xfffc))
        return emu_raise(cpu, op, EMU_VECTOR_GP, 0);
    if (!emu_read_descriptor(cpu, (uint16_t)selector, EMU_VECTOR_GP, &d, NULL))
        FAULT;
    unsigned type = emu_descriptor_type(&d);
    if (type != TYPE_TSS16 && type != TYPE_TSS32)
        return emu_raise(cpu, op, EMU_VECTOR_GP, selector & 0xfffc);
    if (!emu_descriptor_present(&d))
        return emu_raise(cpu, op, EMU_VECTOR_NP, selector & 0xfffc);
    uint8_t busy = (uint8_t)(d.high >> 8 | TYPE_BUSY);
    if (!emu_write_system(cpu, d.address + 5, &busy, 1))
        FAULT;
    d.high |= TYPE_BUSY << 8;
    struct emu_segment tr = emu_segment_of(&d, (uint16_t)selector);
    emu_install_segment(cpu, EMU_TR, &tr);
    return emu_leave(cpu, op, emu_next_eip(cpu, op));
}

/* The descriptor, if the selector names one that this privilege may see.  `types` has a
 * bit for each system type that counts. */
static bool find_visible(struct emu_cpu *cpu, uint16_t selector, uint32_t types,
                         struct emu_descriptor *ret_descriptor, bool *ret_visible)
{
    *ret_visible = false;
    if (!(selector & 0xfffc))
        return true;
    bool found;
    if (!emu_read_descriptor(cpu, selector, EMU_VECTOR_GP, ret_descriptor, &found))
        return false;
    if (!found)
        return true;
    unsigned type = emu_descriptor_type(ret_descriptor);
    unsigned dpl = emu_descriptor_dpl(ret_descriptor);
    bool conforming =
        emu_descriptor_is_code(ret_descriptor) && (type & EMU_ATTRIBUTE_CONFORMING);
    if (!(type & EMU_ATTRIBUTE_S) && !(types >> type & 1))
        return true;
    *ret_visible = conforming || (dpl >= cpu->privilege && dpl >= (selector & 3u));
    return true;
}

/* System types that LAR and LSL accept (SDM 2A). */
#define LAR_TYPES 0x1a3eu /* TSS, LDT, call gates, task gate */
#define LSL_TYPES 0x0a0eu /* TSS, LDT */

HANDLER(lar)
{
    uint32_t selector;
    struct emu_descriptor d = {0};
    bool visible;
    REQUIRE_PROTECTED;
    if (!emu_read_operand(cpu, op, op->s, 2, &selector) ||
        !find_visible(cpu, (uint16_t)selector, LAR_TYPES, &d, &visible))
        FAULT;
    if (visible)
        emu_put_register(cpu, op->d, op->size, d.high & 0x00ffff00);
    emu_set_flag_z(cpu, visible);
    NEXT;
}

HANDLER(lsl)
{
    uint32_t selector;
    struct emu_descriptor d = {0};
    bool visible;
    REQUIRE_PROTECTED;
    if (!emu_read_operand(cpu, op, op->s, 2, &selector) ||
        !find_visible(cpu, (uint16_t)selector, LSL_TYPES, &d, &visible))
        FAULT;
    if (visible)
        emu_put_register(cpu, op->d, op->size,
                         emu_segment_of(&d, (uint16_t)selector).limit);
    emu_set_flag_z(cpu, visible);
    NEXT;
}

static const struct emu_op *verify(struct emu_cpu *cpu, const struct emu_op *op,
                                   bool write)
{
    uint32_t selector;
    struct emu_descriptor d = {0};
    bool visible;
    REQUIRE_PROTECTED;
    if (!emu_read_operand(cpu, op, op->d, 2, &selector) ||
        !find_visible(cpu, (uint16_t)selector, 0, &d, &visible))
        FAULT;
    bool code = emu_descriptor_is_code(&d);
    bool bit = emu_descriptor_type(&d) & EMU_ATTRIBUTE_WRITABLE;
    emu_set_flag_z(cpu, visible && (write ? !code && bit : !code || bit));
    NEXT;
}

HANDLER(verr)
{
    return verify(cpu, op, false);
}

HANDLER(verw)
{
    return verify(cpu, op, true);
}

/* It writes only what it changes: a read-only operand may be as it should be. */
HANDLER(arpl)
{
    uint32_t value, rpl = cpu->half[op->s * 2] & 3u;
    REQUIRE_PROTECTED;
    if (!emu_read_operand(cpu, op, op->d, 2, &value))
        FAULT;
    bool lower = (value & 3) < rpl;
    if (lower && !emu_write_operand(cpu, op, op->d, 2, (value & ~3u) | rpl))
        FAULT;
    emu_set_flag_z(cpu, lower);
    NEXT;
}
