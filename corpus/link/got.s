# SPDX-License-Identifier: MIT
#
# R_RISCV_GOT_HI20: -fPIC, and weak undefined symbols.
    .include "common.inc"
    .weak nowhere

    function 0, twice
1:  auipc a0, %got_pcrel_hi(object)
    ld a0, %pcrel_lo(1b)(a0)
2:  auipc a1, %got_pcrel_hi(object)
    ld a1, %pcrel_lo(2b)(a1)
    ld a0, 0(a0)
    ld a1, 0(a1)
    add a0, a0, a1
    ebreak

    function 1, weak
1:  auipc a0, %got_pcrel_hi(nowhere)
    ld a0, %pcrel_lo(1b)(a0)
    ebreak

    function 2, pointer
1:  auipc a1, %got_pcrel_hi(there)
    ld a1, %pcrel_lo(1b)(a1)
    jr a1

    function 3, absolute
1:  auipc a0, %got_pcrel_hi(vmin)
    ld a0, %pcrel_lo(1b)(a0)
    ebreak

    .section .text.there, "ax", @progbits
    .p2align 2
    .globl there
there:
    li a0, 77
    ebreak

    .section .data.object, "aw", @progbits
    .p2align 3
    .globl object
object:
    .quad 21
