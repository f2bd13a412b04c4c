# SPDX-License-Identifier: MIT
#
# R_RISCV_32, R_RISCV_64, R_RISCV_ADD8..64 and R_RISCV_SUB8..64 in loaded data.
    .include "common.inc"
    .macro read number, name, load
    function \number, read_\name
    lui a1, %hi(\name)
    addi a1, a1, %lo(\name)
    \load a0, 0(a1)
    ebreak
    .endm
    read 0, r64, ld
    read 1, r64_code, ld
    read 2, r32, lwu
    read 3, r32_least, lw
    read 4, r32_most, lwu
    read 5, d8, lbu
    read 6, d16, lhu
    read 7, d32, lw
    read 8, d64, ld
    read 9, none, ld
    read 10, odd, ld

    # A jump table: 32-bit entries, and (as PIC has it) distances from the table.
    function 11, table32
    lui a1, %hi(table)
    addi a1, a1, %lo(table)
    lw a1, 4(a1)
    jr a1
    function 12, table_pic
    lui a1, %hi(distances)
    addi a1, a1, %lo(distances)
    lw a2, 4(a1)
    add a1, a1, a2
    jr a1
    # Equal functions have equal addresses, others do not.
    function 13, equal
    lui a1, %hi(r64_code)
    addi a1, a1, %lo(r64_code)
    ld a2, 0(a1)
    ld a3, 8(a1)
    ld a4, 16(a1)
    xor a2, a2, a3
    seqz a2, a2
    xor a3, a3, a4
    snez a3, a3
    slli a3, a3, 1
    or a0, a2, a3
    ebreak

    .section .text.there, "ax", @progbits
    .p2align 2
here:
    li a0, 55
    ebreak
there:
    li a0, 77
    ebreak

    .section .data.all, "aw", @progbits
    .weak nowhere
r64: .quad r64 + 0x11
r64_code: .quad there, there, here
r32: .word r32 + 4
r32_least: .word vmin
r32_most: .word vmax32
    # The assembler folds such differences where nothing lies between; so by hand, on
    # top of what is there.
d8: .byte 3
    .reloc d8, R_RISCV_ADD8, r32
    .reloc d8, R_RISCV_SUB8, r64
d16: .half 0x1000
    .reloc d16, R_RISCV_ADD16, d16
    .reloc d16, R_RISCV_SUB16, r64
d32: .word 0
    .reloc d32, R_RISCV_ADD32, r64
    .reloc d32, R_RISCV_SUB32, d32
    .p2align 3
d64: .quad 0x100000000
    .reloc d64, R_RISCV_ADD64, d64
    .reloc d64, R_RISCV_SUB64, r64
none: .quad nowhere
    .byte 0
odd: .quad r64
    .section .rodata.table, "a", @progbits
    .p2align 2
table: .word here, there
distances: .word here - distances, there - distances
