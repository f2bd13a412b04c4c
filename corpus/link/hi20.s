# SPDX-License-Identifier: MIT
#
# R_RISCV_HI20, R_RISCV_LO12_I, R_RISCV_LO12_S.
    .include "common.inc"
    .macro value number, symbol
    function \number, f_\symbol
    lui a0, %hi(\symbol)
    addi a0, a0, %lo(\symbol)
    ebreak
    .size f_\symbol, . - f_\symbol
    .endm
    value 0, v0
    value 1, v7ff
    value 2, v800
    value 3, vfff
    value 4, v1000
    value 5, vm1
    value 6, vmin
    value 7, vmax
    value 8, v12345678

    # One lui, several LO12, in other registers and with other addends.
    function 9, several
    lui a1, %hi(object)
    ld a0, %lo(object)(a1)
    addi a2, a1, %lo(object)
    ld a3, %lo(object + 8)(a1)
    add a0, a0, a3
    li a4, 5
    sd a4, %lo(object + 16)(a1)
    ld a5, 16(a2)
    add a0, a0, a5
    sb a4, %lo(object + 23)(a1)
    lbu a5, 23(a2)
    add a0, a0, a5
    ebreak

    # A function's address by lui and addi is its dynamic address: jump there.
    function 10, pointer
    lui a1, %hi(there)
    addi a1, a1, %lo(there)
    jr a1
    # The jump may take the low part itself.
    function 11, pointer_low
    lui a1, %hi(there)
    jalr zero, %lo(there)(a1)

    # No base at all: small absolute addresses.
    function 12, no_base
    addi a0, zero, %lo(v7ff)
    ebreak

    .section .text.there, "ax", @progbits
    .p2align 2
there:
    li a0, 77
    ebreak

    .section .data.object, "aw", @progbits
    .p2align 3
    .space 0x7e0
object:
    .quad 1000, 2000, 0, 0
