#!/bin/sh
# SPDX-License-Identifier: MIT
#
# ring.sh LOCKSTEP: a pc that makes more events than a ring keeps: what is left of it
# replays from its first checkpoint on, can be looked at, and survives the recorder.
lockstep=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failures=0
complain()
{
    failures=$((failures + 1))
    echo "ring.sh: $*" >&2
}

# A boot sector: 140,000 times 256 steps of nothing, a byte to port 80 and one counted
# in memory; every 256 times a '.' for the console.  Then exit with 5.
for byte in 31 db  b9 00 01  e2 fe  89 d8  e6 80  43  66 ff 06 00 70 \
    84 db  75 06  ba f8 03  b0 2e  ee  66 81 3e 00 70 e0 22 02 00  72 dc \
    b0 05 e6 f4; do
    printf "\\$(printf %03o "0x$byte")"
done >sector
record() # OPTION…
{
    "$lockstep" record --raw --sync=chunk --ring=1M -o ring.lks "$@" pc --boot boot16 -k sector \
        -m 1M --log-ports --embed </dev/null >out 2>err
}
record || complain "record: $(cat err)"
[ "$(ls)" = 'err
out
ring.lks
sector' ] || complain "files: $(ls)"
[ "$(wc -c <ring.lks)" -lt 2000000 ] || complain 'it keeps too much'
"$lockstep" verify ring.lks >out || complain "verify: $(cat out)"
"$lockstep" info ring.lks | grep -q 'guest pc, ring' || complain 'info'
"$lockstep" replay ring.lks >out || complain "replay: $(cat out)"
grep -q 'same: [0-9]* instructions' out || complain "replay says $(cat out)"
"$lockstep" replay --to 99% ring.lks | grep -q 'at icount' || complain 'replay --to'
"$lockstep" replay --to 20000000 ring.lks 2>err && complain 'replay --to what is gone'
grep -q 'what the trace holds begins at icount 335544' err || complain "$(cat err)"

# Under the debugger: the last state is the recorded one.
want=$("$lockstep" dump -q --kind state.hash ring.lks | sed -n '$s/.*hash=//p')
"$lockstep" query -t end ring.lks hash | grep -q "$want\$" || complain 'query hash'
"$lockstep" query ring.lks last-write 0x7000,4 | grep -q '^before  df220200' ||
    complain "last-write: $("$lockstep" query ring.lks last-write 0x7000,4)"

# What is too small, or too much.
"$lockstep" record --ring=1M pc -k sector --boot boot16 </dev/null 2>err &&
    complain 'a ring smaller than the memory'
grep -q 'at least --mem' err || complain "small: $(cat err)"
record --checkpoint=1000000 && complain '--ring and --checkpoint'

# A recorder that is killed leaves segments.
rm ring.lks
"$lockstep" record -q --raw --ring=1M -o ring.lks pc --boot boot16 -k sector -m 1M \
    --log-ports --embed </dev/null >out 2>err &
tries=0
while [ ! -e ring.lks.002 ] && [ $tries -lt 400 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
kill -9 $!
wait $! 2>/dev/null
[ -e ring.lks ] || "$lockstep" recover ring.lks >out || complain "recover: $(cat out)"
"$lockstep" replay ring.lks >out 2>&1
grep -q -e 'same: ' -e 'open, ' out || complain "replay of what was killed: $(cat out)"

[ $failures -eq 0 ] || exit 1
echo 'ring.sh: ok'
