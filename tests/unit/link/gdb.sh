#!/bin/sh
# SPDX-License-Identifier: MIT
#
# gdb.sh LOCKSTEP: what stock gdb says about `link -g` (guest-toolchain.md 11.6).
# Skipped where there is no gdb for RISC-V.
set -eu
LC_ALL=C
export LC_ALL
lockstep=$1
gdb=
for name in gdb-multiarch gdb; do
    command -v "$name" >/dev/null || continue
    "$name" -batch -nx -ex 'set architecture riscv:rv64' 2>&1 | grep -q 'set to' || continue
    gdb=$name
    break
done
[ -n "$gdb" ] || {
    echo "SKIP: no gdb for RISC-V (apt install gdb-multiarch)"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$lockstep" link -g -f spi -o "$work/d.pvm" corpus/link/debug.o
"$lockstep" link -g -f spi -o "$work/i.pvm" corpus/pvm/obj/interp.o corpus/pvm/obj/pvm.o
"$lockstep" link -g -f raw -o "$work/l.pvm" corpus/link/lines.o
status=0

# ask FILE COMMAND WORDS: one line of the answer must match.
ask()
{
    "$gdb" -batch -nx -ex "directory corpus/link" -ex "$2" "$work/$1.pvm.dbg" \
        >"$work/answer" 2>&1
    grep -q -- "$3" "$work/answer" && return 0
    echo "gdb: $2: no line matches '$3':"
    cat "$work/answer"
    status=1
}

ask d 'info line leaf' 'Line 24 .* starts at address 0x100000005 <leaf>'
ask d 'info line *0x100000029' 'Line 35 .* starts at address 0x100000029 <start>'
ask d 'info symbol 0x100000030' 'start + 7 in section .text'
ask d 'info address total' 'static storage at address 0x20000'
ask d 'info scope leaf' 'Symbol sum is multi-location'
ask d 'info scope leaf' 'Range 0x10000000d-0x100000023: a variable in $a1'
ask d 'info scope start' 'Range 0x100000029-0x100000038: a variable in $a0'
ask d 'list leaf' 'static u64 leaf(u64 n)'
ask d 'ptype struct export' 'unsigned int number;'
ask d 'info functions -n' '^File .*debug.c'
# One function: its lists are relative to the unit.
ask i 'info scope bench' 'Range 0x100000005-0x10000001e: a variable in $a0'
ask i 'info line bench' 'starts at address 0x100000005 <bench>'
# A line table without a unit.
ask l 'info line 12' 'Line 12 of "lines.src" starts at address 0x100000008'
exit $status
