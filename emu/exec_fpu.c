/* SPDX-License-Identifier: MIT
 *
 * What the processor does around x87 instructions.
 */
#include "emu/exec.h"

HANDLER(fpu)
{
    if (cpu->cr0 & (EMU_CR0_EM | EMU_CR0_TS))
        return emu_raise(cpu, op, EMU_VECTOR_NM, 0);
    return emu_raise(cpu, op, EMU_VECTOR_UD, 0);
}

HANDLER(wait)
{
    if ((cpu->cr0 & EMU_CR0_MP) && (cpu->cr0 & EMU_CR0_TS))
        return emu_raise(cpu, op, EMU_VECTOR_NM, 0);
    NEXT;
}
