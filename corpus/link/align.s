# SPDX-License-Identifier: MIT
#
# R_RISCV_RELAX and R_RISCV_ALIGN: padding is nops, and a nop lowers to nothing.
    .include "common.inc"
    function 0, aligned
    li a0, 0
    .p2align 5
1:  addi a0, a0, 1
    li a1, 4
    .p2align 4
    bne a0, a1, 1b
    call inc
    ebreak
    .section .text.inc, "ax", @progbits
    .p2align 4
    .globl inc
inc:
    addi a0, a0, 1
    ret
