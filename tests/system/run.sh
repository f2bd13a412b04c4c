#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh LOCKSTEP ELF: the program must end with code 0, with decoded blocks and without,
# and with all that the engine derives forgotten at random; its trace must be the same.
lockstep=$1
elf=$2
if [ ! -s "$elf" ]; then
    echo "skipped: no 32-bit compiler"
    exit 77
fi
trace=$(mktemp)
trap 'rm -f "$trace"' EXIT
identity=
for option in --verbose --one-by-one --engine-stress=1 --engine-stress=2; do
    output=$("$lockstep" record pc --boot flat -k "$elf" --max-insns 1000000 "$option" \
        -o "$trace" --exit-status </dev/null 2>&1)
    status=$?
    if [ "$status" -ne 0 ]; then
        printf '%s\n' "$output"
        echo "$option: status $status; numbers: line, vector, error, two operands"
        echo "reproduce: $lockstep run pc --boot flat -k $elf $option"
        exit 1
    fi
    new=$(printf '%s\n' "$output" | sed -n 's/.* id \([0-9a-f]*\)$/\1/p')
    if [ -z "$new" ] || [ "${identity:-$new}" != "$new" ]; then
        printf '%s\n' "$output"
        echo "$option: not the trace $identity"
        exit 1
    fi
    identity=$new
done
