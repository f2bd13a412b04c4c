#!/bin/sh
# SPDX-License-Identifier: MIT
#
# ends.sh LOCKSTEP: the ways in which a pc ends (machine.md 2.10, 11), also those of
# guests that mean no good: the status of run and record, and each recording replays.
set -u
lockstep=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failures=0

complain()
{
    echo "ends.sh: $*" >&2
    failures=$((failures + 1))
}

# sector HEX: a boot sector of these bytes.
sector()
{
    for byte in $1; do
        printf "\\$(printf '%03o' "0x$byte")"
    done >"$dir/sector"
}

# ends STATUS WORDS OPTION…: run, record with and without --exit-status, replay.
ends()
{
    want=$1 words=$2
    shift 2
    set -- pc --boot boot16 -k "$dir/sector" --max-insns 3000000 "$@"
    "$lockstep" run "$@" </dev/null >"$dir/out" 2>"$dir/err"
    got=$?
    [ $got -eq "$want" ] || complain "run: $got, not $want: $*: $(cat "$dir/err")"
    grep -q "$words" "$dir/err" || complain "no '$words': $(cat "$dir/err")"
    "$lockstep" record -q --exit-status -o "$dir/t.lks" "$@" </dev/null >"$dir/out" 2>&1
    got=$?
    [ $got -eq "$want" ] || complain "record --exit-status: $got, not $want: $*"
    "$lockstep" record -q --embed -o "$dir/t.lks" "$@" </dev/null >"$dir/out" 2>&1
    got=$?
    [ $got -eq 0 ] || complain "record: $got, not 0: $*"
    mv "$dir/sector" "$dir/gone"
    "$lockstep" replay "$dir/t.lks" >"$dir/out" 2>&1 || complain "replay: $(cat "$dir/out")"
    grep -q ': same: ' "$dir/out" || complain "replay: $(cat "$dir/out")"
    "$lockstep" verify -q "$dir/t.lks" >/dev/null || complain "verify: $*"
    mv "$dir/gone" "$dir/sector"
}

sector 'b0 2a e6 f4' # exit port
ends 42 'exit or reset by a port'
sector 'b0 fe e6 64' # keyboard controller
ends 0 'reset by the keyboard controller'
sector 'fa f4' # cli; hlt
ends 0 'halted for ever'
sector 'fb f4' # sti; hlt, and no timer
ends 124 'input that cannot come'
sector '31 c0 8e d8 0f 01 1e 00 05 cc' # an empty interrupt table, int3
ends 255 'triple fault'
ends 0 'triple fault' --triple-fault-ok
sector 'fa eb fe' # a loop without interrupts
ends 124 'max-insns' --max-insns 3000000
sector 'b0 41 ba f8 03 ee eb fd' # a flood
ends 124 'max-console' --max-console 100K
sector '66 b9 ff ff ff ff 67 f3 a4 eb f5' # rep movs without an end
ends 124 'max-insns' --max-insns 100000
sector '0f ff eb fe' # an undefined instruction, whose handler returns to it
ends 124 'max-insns' --max-insns 100000
sector 'b0 68 ba f8 03 ee b0 69 ee f4' # prints "hi"
ends 0 'printed the text' --until hi

# A seed is a number or drawn, and recorded in either case.
sector 'b0 00 e6 f4'
for seed in 7 random; do
    "$lockstep" record -q --embed --seed $seed -o "$dir/$seed.lks" pc --boot boot16 \
        -k "$dir/sector" </dev/null || complain "--seed $seed"
    "$lockstep" replay "$dir/$seed.lks" >/dev/null || complain "replay of --seed $seed"
done
"$lockstep" record -q --embed --seed random -o "$dir/other.lks" pc --boot boot16 \
    -k "$dir/sector" </dev/null
seed_of() { "$lockstep" dump "$dir/$1.lks" | grep 'key="pc.rng_seed"'; }
seed_of 7 >/dev/null || complain 'no pc.rng_seed'
[ "$(seed_of random)" != "$(seed_of other)" ] || complain 'the same random seed twice'
"$lockstep" run pc --seed x -k "$dir/sector" </dev/null 2>"$dir/err"
[ $? -eq 129 ] || complain '--seed x'
"$lockstep" record -q --epoch now --embed -o "$dir/now.lks" pc --boot boot16 \
    -k "$dir/sector" </dev/null && "$lockstep" replay "$dir/now.lks" >/dev/null ||
    complain '--epoch now'

[ $failures -eq 0 ] || exit 1
echo 'ends.sh: ok'
