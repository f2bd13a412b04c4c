#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh LOCKSTEP ELF: the program must end with code 0, with decoded blocks and without,
# after equally many instructions.
lockstep=$1
elf=$2
if [ ! -s "$elf" ]; then
    echo "skipped: no 32-bit compiler"
    exit 77
fi
steps=
for option in --verbose --one-by-one; do
    output=$("$lockstep" run pc --boot flat -k "$elf" --max-insns 1000000 "$option" \
        </dev/null 2>&1)
    status=$?
    if [ "$status" -ne 0 ]; then
        printf '%s\n' "$output"
        echo "$option: status $status; numbers: line, vector, error, two operands"
        echo "reproduce: $lockstep run pc --boot flat -k $elf $option"
        exit 1
    fi
    new=$(printf '%s\n' "$output" | sed -n 's/.*port, \([0-9]*\) instructions.*/\1/p')
    if [ -n "$steps" ] && [ -n "$new" ] && [ "$steps" != "$new" ]; then
        echo "$steps instructions with blocks, $new without"
        exit 1
    fi
    steps=$new
done
