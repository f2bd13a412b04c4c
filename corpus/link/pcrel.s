# SPDX-License-Identifier: MIT
#
# R_RISCV_PCREL_HI20, R_RISCV_PCREL_LO12_I, R_RISCV_PCREL_LO12_S: -mcmodel=medany.
    .include "common.inc"
    .macro value number, symbol
    function \number, f_\symbol
1:  auipc a0, %pcrel_hi(\symbol)
    addi a0, a0, %pcrel_lo(1b)
    ebreak
    .endm
    value 0, v0
    value 1, v800
    value 2, vm1
    value 3, vmin
    value 4, vmax

    function 5, memory
1:  auipc a1, %pcrel_hi(object + 8)
    li a2, 33
    sd a2, %pcrel_lo(1b)(a1)
    ld a0, %pcrel_lo(1b)(a1)
    ebreak

    function 6, pointer
1:  auipc a1, %pcrel_hi(there)
    addi a1, a1, %pcrel_lo(1b)
    jr a1

    .section .text.there, "ax", @progbits
    .p2align 2
there:
    li a0, 77
    ebreak

    .section .bss.object, "aw", @nobits
    .p2align 3
object:
    .space 24
