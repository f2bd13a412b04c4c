#!/bin/sh
# SPDX-License-Identifier: MIT
#
# debug_cli.sh LOCKSTEP: the questions of `lockstep query` and the options of `lockstep
# debug`, on whole traces, parts of traces, rings and damaged ones.  No gdb is needed.
# Run in the source root.
set -u
LC_ALL=C
export LC_ALL
lockstep=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
bin=$PWD/corpus/pvm/bin
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
passed=0 failed=0

bad()
{
    failed=$((failed + 1))
    echo "debug_cli.sh: $*"
    head -c 2000 out err
}

# run STATUS ARG…
run()
{
    want=$1
    shift
    timeout 60 "$lockstep" "$@" >out 2>err </dev/null
    got=$?
    [ "$got" -eq "$want" ] || bad "status $got, not $want: $*"
}

# says PATTERN…: in stdout or stderr.
says()
{
    for pattern; do
        if cat out err | grep -q -e "$pattern"; then
            passed=$((passed + 1))
        else
            bad "no '$pattern'"
        fi
    done
}

hash_at() { "$lockstep" query --json "$1" -t "$2" hash 2>/dev/null | sed 's/.*"hash":"//'; }
equal() { if [ "$2" = "$3" ]; then passed=$((passed + 1)); else bad "$1: $2, not $3"; fi; }

"$lockstep" record -q -o a.lks pvm "$bin/qsort.pvm" --reg a0=300 >/dev/null || exit 1
"$lockstep" record -q -o io.lks pvm "$bin/wc.pvm" --stdin "$bin/../cases/wc-stdin.in" \
    >output || exit 1

# ---- answers ----

run 0 query a.lks last-write 0x30014,4
says '^icount [0-9]*  gas' 'store' '^before  [0-9a-f]\{8\}$' '^again:  lockstep debug --at'
at=$(sed -n 's/^icount \([0-9]*\) .*/\1/p' out)
run 0 query --json -t "$at" a.lks last-write 0x30014,4
says '"found":true' '"instruction":"store'
[ "$(sed 's/.*"icount":\([0-9]*\).*/\1/' out)" -lt "$at" ] || bad "not before $at"
run 0 query -t "$at" a.lks next-read 0x30014,4
says 'load'
run 1 query a.lks last-write 0x5
says 'not written'
run 1 query --json a.lks next-read 0x5
says '"found":false'
run 0 query a.lks who 5
run 1 query a.lks who 0xfffff
run 0 query -n 2 io.lks events ecall
[ "$(wc -l <out)" -eq 2 ] || bad "not two events"
run 0 query -n 3 --json io.lks events
says '"kind":"session.begin"' '"seq":2'
run 0 query io.lks output 0
says '^icount'
run 1 query io.lks output 1000000
says 'less output'
run 0 query a.lks hash

# The end's digest is the one that was recorded.
want=$("$lockstep" dump a.lks | sed -n 's/.*state.hash hash=//p' | tail -1)
equal 'hash at the end' "$(hash_at a.lks end | tr -d '"}')" "$want"

# ---- parts ----

"$lockstep" record -q -o big.lks pvm "$bin/lz.pvm" --reg a0=2 >/dev/null || exit 1
"$lockstep" cut -q big.lks 60%.. -o part.lks || exit 1
first=$("$lockstep" query --json -t start part.lks hash | sed 's/.*"icount":\([0-9]*\).*/\1/')
[ "$first" -gt 100000 ] || bad "the part begins at $first"
for position in "$first" $((first + 1)) $((first + 12345)) end; do
    equal "part at $position" "$(hash_at part.lks "$position")" \
        "$(hash_at big.lks "$position")"
done
"$lockstep" record -q --ring=1M --raw -o ring.lks pvm "$bin/lz.pvm" --reg a0=60 >/dev/null ||
    exit 1
want=$("$lockstep" dump ring.lks 2>/dev/null | sed -n 's/.*state.hash hash=//p' | tail -1)
equal 'ring at its end' "$(hash_at ring.lks end | tr -d '"}')" "$want"
head -c $(($(wc -c <ring.lks) * 9 / 10)) ring.lks >torn.lks
run 0 query -t start torn.lks hash
says 'can be visited'

# ---- instances of the capability kernel ----

"$lockstep" record -q -o kernel.lks kernel "$bin/../../jar/calls.json" 2>/dev/null || exit 1
run 0 query -t 49 kernel.lks frames
says '^> 1: instance .* program 1 pc 0x0 ' '^  0: instance '
run 0 query -t 49 --json kernel.lks frames
says '"depth":1'
run 0 query -t 57 kernel.lks last-write 0x3ff8,8
says '^icount 56 ' 'pc 0x200000022' 'ecalli 22'
run 0 query -t 57 --in depth:0 kernel.lks last-write 0x3ff8,8
says '^icount 39 '
run 1 query -t 57 --in 1234567890 kernel.lks last-write 0x3ff8,8
run 0 query kernel.lks who 0x200000022
says 'pc 0x200000022'
run 0 query -n 1 -t 60% kernel.lks events exit
says 'pvm.exit'
equal "positions" "$(hash_at kernel.lks e:49)" "$(hash_at kernel.lks 48)"
equal "percent" "$(hash_at kernel.lks 50%)" "$(hash_at kernel.lks 215)"
[ "$(hash_at kernel.lks 48)" != "$(hash_at kernel.lks 49)" ] || bad "one hash for two states"
# In a trace of many chunks too.
"$lockstep" record -q --gas-log each -o each.lks kernel "$bin/../../jar/scheduler.json" \
    --invoke sched:1 --invoke sched:1 --invoke sched:1 --invoke sched:1 2>/dev/null || exit 1
run 0 query each.lks who 0x100000005
says 'pc 0x100000005  jump' '^again:  lockstep debug --at [0-9]*+1 each.lks'
run 0 replay --to 50% kernel.lks
says 'at icount 215 ' 'program 0, frame 0'
run 0 replay --to e:50 --json kernel.lks
says '"class":"stopped"' '"events":50' '"icount":49' '"detail":"program 1, frame 1"'
run 0 replay --to g:1273 kernel.lks
says 'at icount 49 '
run 0 replay --to 431 kernel.lks
says 'at icount 431 '
run 0 replay --to 401+1 kernel.lks
says 'at icount 401 ' 'after 181 equal events; program 0, frame 0'
run 0 replay --to 432 kernel.lks
says 'same: 210 events'

# ---- what makes no sense ----

run 129 query a.lks nonsense
run 129 query a.lks last-write
run 129 query a.lks last-write 1,0
run 129 query a.lks who x
run 129 query -t nowhere a.lks hash
run 125 query -t e:99999 a.lks hash
says 'there is no position'
run 125 query missing.lks hash
run 125 query output hash
says 'not a lockstep trace'
run 129 query a.lks frames
run 129 query --in program:0 a.lks hash
run 129 query --in nobody kernel.lks hash
run 125 debug missing.lks
run 125 debug --gdb no-such-gdb a.lks
says 'install the package gdb-multiarch'
run 125 debug --batch missing.gdb a.lks
run 125 debug --symbols missing.dbg a.lks
run 129 debug --server 70000 a.lks
run 129 debug --server 0 --batch output a.lks
run 129 debug --at nowhere a.lks
run 125 debug --server /no/such/folder/socket a.lks
run 0 debug --gdb true a.lks # ends at once, without a word
run 1 debug --gdb false a.lks

echo "debug_cli.sh: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
