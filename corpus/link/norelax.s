# SPDX-License-Identifier: MIT
#
# -mno-relax: branches and calls of static functions without any relocation.
    .include "common.inc"
    function 0, main
    li a0, 1
    call inc
    call inc
    j 1f
    unimp
1:  beqz zero, 2f
    unimp
2:  jal t0, 3f
    ebreak
3:  addi a0, a0, 100
    jr t0
inc:
    addi a0, a0, 1
    ret
    function 1, forward
    li a0, 5
    call next
    ebreak
next:
    addi a0, a0, 2
    ret
