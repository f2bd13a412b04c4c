#!/bin/sh
# SPDX-License-Identifier: MIT
#
# jar.sh LOCKSTEP [--bless]: the scenarios of corpus/jar.  Every step answers what its
# manifest says; each engine records the same trace, whose identity is that of
# corpus/jar/identities; each engine replays it; verify and gas find nothing wrong.  Run
# in the source root.
set -u
LC_ALL=C
export LC_ALL
lockstep=$1
bless=${2:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

wrong()
{
    echo "jar.sh: $*"
    status=1
}

engines='interp recomp'
"$lockstep" record --engine recomp kernel corpus/jar/writer.json -o "$work/x.lks" \
    >/dev/null 2>&1 || engines=interp

for name in store calls scheduler writer upgrade evil; do
    want=$(sed -n "s/^$name //p" corpus/jar/identities)
    for engine in $engines; do
        trace=$work/$name.$engine.lks
        "$lockstep" record --engine "$engine" kernel "corpus/jar/$name.json" -o "$trace" \
            >"$work/out" 2>&1 || { wrong "$name: $engine:"; grep expected "$work/out"; }
        got=$("$lockstep" id "$trace")
        [ "$bless" != --bless ] || want=$got
        [ "$got" = "$want" ] || wrong "$name: $engine gives $got, not $want"
    done
    "$lockstep" replay --in-process "$trace" >"$work/out" 2>&1 ||
        { wrong "$name: replay in this process:"; cat "$work/out"; }
    [ "$bless" != --bless ] || echo "$name $want" >>"$work/identities"
    trace=$work/$name.interp.lks
    for engine in $engines; do
        "$lockstep" replay --engine "$engine" "$trace" >"$work/out" 2>&1 ||
            { wrong "$name: replay by $engine:"; cat "$work/out"; }
    done
    "$lockstep" verify "$trace" >"$work/out" 2>&1 || { wrong "$name:"; cat "$work/out"; }
    "$lockstep" gas --verify "$trace" >"$work/out" 2>&1 ||
        { wrong "$name: gas:"; cat "$work/out"; }
    for form in each summary; do
        "$lockstep" record --gas-log "$form" kernel "corpus/jar/$name.json" \
            -o "$work/$form.lks" >/dev/null 2>&1 || wrong "$name: $form"
        "$lockstep" replay "$work/$form.lks" >/dev/null 2>&1 || wrong "$name: $form"
    done
done

# Checkpoints change nothing; a part and a branch replay, alone or with their parent.
for name in calls scheduler; do
    trace=$work/$name.interp.lks
    "$lockstep" record --checkpoint 50 kernel "corpus/jar/$name.json" -o "$work/c.lks" \
        >/dev/null 2>&1 || wrong "$name: --checkpoint"
    [ "$("$lockstep" id "$work/c.lks")" = "$("$lockstep" id "$trace")" ] ||
        wrong "$name: --checkpoint gives another identity"
    "$lockstep" replay --to 90% "$work/c.lks" 2>&1 | grep -q 'from the checkpoint' ||
        wrong "$name: no checkpoint was used"
    for at in 20% 50% e:60; do
        "$lockstep" cut "$trace" "$at.." -o "$work/p.lks" >"$work/out" 2>&1 &&
            "$lockstep" verify "$work/p.lks" >"$work/out" 2>&1 &&
            "$lockstep" gas --verify "$work/p.lks" >"$work/out" 2>&1 &&
            "$lockstep" replay "$work/p.lks" >"$work/out" 2>&1 ||
            { wrong "$name: cut at $at:"; cat "$work/out"; }
        "$lockstep" branch "$trace" --at "$at" --manifest "corpus/jar/$name.json" \
            -o "$work/b.lks" >"$work/out" 2>&1
        grep -q ': branched at event' "$work/out" &&
            "$lockstep" replay --parent "$trace" "$work/b.lks" >"$work/out" 2>&1 ||
            { wrong "$name: branch at $at:"; cat "$work/out"; }
    done
done
# What is left of a ring.
"$lockstep" record --ring 1M --raw --gas-log each --gas 1000000 kernel \
    corpus/jar/evil.json --invoke evil:0:40 --invoke evil:0:40 --invoke evil:0:40 \
    --invoke evil:2 -o "$work/r.lks" >"$work/out" 2>&1 || { wrong ring:; cat "$work/out"; }
"$lockstep" info "$work/r.lks" | grep -q 'guest pvm, ring' || wrong "ring: not one"
for engine in $engines; do
    "$lockstep" replay --engine "$engine" "$work/r.lks" >"$work/out" 2>&1 ||
        { wrong "ring: replay by $engine:"; cat "$work/out"; }
done
"$lockstep" query -t start "$work/r.lks" hash >"$work/out" 2>&1
grep -q '^icount 0 ' "$work/out" && wrong "ring: nothing was dropped"
grep -q '^icount ' "$work/out" || { wrong "ring: no state"; cat "$work/out"; }
"$lockstep" branch "$work/store.interp.lks" --at end --standalone --invoke nobody:0 \
    -o "$work/n.lks" >"$work/out" 2>&1 && wrong "a branch that names nobody"
grep -q 'nobody' "$work/out" || wrong "a branch that names nobody says nothing"

# --invoke takes the place of the manifest's steps.
"$lockstep" record kernel corpus/jar/store.json -o "$work/i.lks" --invoke store:0:7,5 \
    --invoke store:1:7 --json >"$work/out" 2>&1 || wrong "--invoke"
grep -q '"what":"store:1",.*"value":5,' "$work/out" || wrong "--invoke: no value 5"

# Each engine stops at the same place in the same state.
for engine in $engines; do
    "$lockstep" replay --engine "$engine" --to 70% "$work/evil.interp.lks" \
        >"$work/to.$engine" 2>&1 || wrong "replay --to by $engine"
done
grep -q 'at icount 59111 ' "$work/to.interp" || wrong "replay --to: $(cat "$work/to.interp")"
[ ! -e "$work/to.recomp" ] || cmp -s "$work/to.interp" "$work/to.recomp" ||
    wrong "replay --to: the engines differ"

# What is not possible says so.
"$lockstep" cut "$work/i.lks" 5+1..9 -o "$work/cut.lks" >"$work/out" 2>&1 &&
    wrong "cut makes a part of it"
grep -q 'by its event' "$work/out" || wrong "cut: $(cat "$work/out")"
echo '{"caps": [{"name": "x", "cnode": {"3": "nobody"}}]}' >"$work/bad.json"
"$lockstep" record kernel "$work/bad.json" -o "$work/bad.lks" >"$work/out" 2>&1 &&
    wrong "a bad manifest is taken"
grep -q "bad.json: 'nobody' is no name" "$work/out" || wrong "manifest: $(cat "$work/out")"

if [ "$bless" = --bless ]; then
    cp "$work/identities" corpus/jar/identities
fi
exit $status
