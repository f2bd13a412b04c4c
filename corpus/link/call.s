# SPDX-License-Identifier: MIT
#
# R_RISCV_CALL_PLT as call and as jump, R_RISCV_JAL both ways, weak undefined ones.
    .include "common.inc"
    .weak nowhere

    function 0, calls
    li a0, 1
    call add_ten
    call add_ten
    jal t0, add_hundred
    ebreak

    function 1, tails
    li a0, 2
    tail end_here
    function 2, jumps
    li a0, 3
    j end_here
    function 3, weak_call
    li a0, 4
    call nowhere
    function 4, weak_jump
    li a0, 5
    j nowhere

    .section .text.add_ten, "ax", @progbits
    .p2align 2
    .globl add_ten
add_ten:
    addi a0, a0, 10
    ret
    .section .text.add_hundred, "ax", @progbits
    .p2align 2
    .globl add_hundred
add_hundred:
    addi a0, a0, 100
    jr t0
    .section .text.end_here, "ax", @progbits
    .p2align 2
    .globl end_here
end_here:
    addi a0, a0, 1000
    ebreak
    # R_RISCV_CALL, which older assemblers write.
    function 5, old_style
    li a0, 6
old_call:
    auipc t1, 0
    jalr zero, 0(t1)
    .reloc old_call, R_RISCV_CALL, end_here
