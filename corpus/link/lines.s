# SPDX-License-Identifier: MIT
#
# A line table without a compile unit: assembler with .loc.
    .include "common.inc"
    .file "lines.src"
    .file 1 "lines.src"
    function 0, lines
    .loc 1 10
    addi a0, a0, 1
    .loc 1 11
    nop
    .loc 1 12
    addi a0, a0, 2
    .loc 1 13
    ebreak
    .size lines, . - lines
