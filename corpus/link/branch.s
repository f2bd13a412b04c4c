# SPDX-License-Identifier: MIT
#
# R_RISCV_BRANCH: every condition, both directions, into another section, and near the
# limit of the instruction's own reach.
    .include "common.inc"
    function 0, conditions
    li a0, 0
    li a1, -1
    li a2, 1
    beq a1, a2, wrong
    bne a1, a1, wrong
    blt a2, a1, wrong
    bge a1, a2, wrong
    bltu a1, a2, wrong
    bgeu a2, a1, wrong
    bne a1, a2, 1f
    j wrong
1:  blt a1, a2, 2f
    j wrong
2:  bltu a2, a1, 3f
    j wrong
3:  bge a2, a1, 4f
    j wrong
4:  bgeu a1, a2, 5f
    j wrong
5:  beq a0, zero, other
wrong:
    li a0, 99
    ebreak

    function 1, loop
    li a0, 0
    li a1, 10
1:  addi a0, a0, 3
    addi a1, a1, -1
    bnez a1, 1b
    ebreak

    function 2, far
    beqz zero, 1f
    .rept 1000
    unimp
    .endr
1:  li a0, 8
    bnez a0, 2f
    .rept 1000
    unimp
    .endr
2:  ebreak

    .section .text.other, "ax", @progbits
    .p2align 2
other:
    li a0, 7
    ebreak
