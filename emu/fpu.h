/* SPDX-License-Identifier: MIT
 *
 * emu/fpu.h - the x87 FPU of the i386 machine: every instruction d8 to df, and FWAIT.
 *
 * It knows neither the CPU nor memory.  The CPU decodes the ModRM byte, checks CR0.EM
 * and CR0.TS, asks emu_fpu_access() for the memory operand, moves its bytes, and calls
 * emu_fpu_execute() with them.  A store that faults must leave the FPU unchanged, so
 * the CPU probes the whole operand for writing before it calls.
 *
 * Arithmetic is soft float on integers (emu/f80.h); the same input gives the same bits
 * on every host.  Nothing is allocated, there is no global state.
 *
 * Rules: Intel SDM volume 1 chapter 8 and volume 2; what they leave open is fixed by
 * section 4.4 of the machine specification, after an Intel server CPU.
 */
#ifndef EMU_FPU_H
#define EMU_FPU_H

#include "emu/f80.h"

#include <stdbool.h>
#include <stdint.h>

/* The whole state; plain data.  An empty register keeps its bits (spec 7.3). */
struct emu_fpu {
    struct emu_f80 st[8]; /* by physical register; ST(i) is st[(TOP + i) & 7] */
    uint16_t control;     /* bit 6 reads 1, bits 7 and 13-15 read 0 */
    uint16_t status;      /* TOP in bits 11-13; B (15) always equals ES (7) */
    uint16_t opcode;      /* FOP, 11 bits */
    uint8_t tags;    /* bit i: st[i] holds a value; full tags exist in images only */
    uint16_t cs, ds; /* FCS, FDS: 0 for ever in model 1 (spec 4.4) */
    uint32_t ip, dp; /* FIP, FDP */
};

/* The largest memory operand: FNSAVE and FRSTOR in the 32-bit format. */
enum { EMU_FPU_OPERAND_SIZE_MAX = 108 };

/* Set `fpu` to its state after power-on: control 0040, all registers +0 (SDM 3A 9-1).
 */
void emu_fpu_init(struct emu_fpu *fpu);

/* Is an unmasked exception waiting?  For FWAIT, which is EMU_FPU_PENDING then. */
static inline bool emu_fpu_pending(const struct emu_fpu *fpu)
{
    return fpu->status & 0x80;
}

/* The memory operand of an instruction: none has size 0.  None is both read and
 * written. */
struct emu_fpu_access {
    uint8_t size; /* bytes, at most EMU_FPU_OPERAND_SIZE_MAX */
    bool reads;
    bool writes; /* perhaps: see emu_fpu_insn.stores */
};

/*
 * The memory operand of `opcode` (d8 to df) with `modrm`; `operand16` is the effective
 * operand size, which matters to FLDENV, FNSTENV, FRSTOR, FNSAVE alone.  Undefined
 * instructions and register forms have none.
 */
struct emu_fpu_access emu_fpu_access(uint8_t opcode, uint8_t modrm, bool operand16);

struct emu_fpu_insn {
    uint8_t opcode;      /* d8 to df */
    uint8_t modrm;       /* a memory operand if below c0 */
    bool operand16;      /* effective operand size is 16 bits */
    bool protected_mode; /* CR0.PE and not EFLAGS.VM: the format of environments */
    uint16_t cs;         /* code selector; model 1 does not keep it */
    uint16_t ds;         /* selector of the memory operand; likewise */
    uint32_t ip;         /* EIP of the first byte, prefixes included */
    uint32_t address;    /* offset of the memory operand in its segment */
    uint32_t eflags; /* in: for FCMOVcc; out: FCOMI family changes CF PF AF ZF SF OF */
    uint16_t ax;     /* out: FNSTSW AX */
    bool writes_ax;  /* out: put `ax` into AX */
    bool stores;     /* out: write the bytes of `memory` to the guest.  An unmasked
                        exception can keep a store from happening. */
};

enum emu_fpu_outcome {
    EMU_FPU_DONE,      /* executed; exceptions it raised wait in the status word */
    EMU_FPU_PENDING,   /* an earlier unmasked exception: #MF or FERR, nothing changed */
    EMU_FPU_UNDEFINED, /* #UD, nothing changed */
};

/*
 * Execute one instruction.  `memory` holds the bytes that emu_fpu_access() wants read,
 * receives those that it wants written (if insn->stores), and may be NULL when there is
 * no operand.  The FPU and `memory` change only if the answer is EMU_FPU_DONE.  All
 * outputs of `insn` are set by every call; without a change `eflags` stays.
 */
enum emu_fpu_outcome emu_fpu_execute(struct emu_fpu *fpu, struct emu_fpu_insn *insn,
                                     uint8_t *memory);

#endif
