#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The same program with the same inputs gives the same trace, byte for byte
# (trace-replay.md, "Guarantee").
#
#   determinism.sh PART BUILD       BUILD has the program lockstep
#
# PART  world   recorded again under other ASLR, environment, folder, malloc contents,
#               and with options that must not change events
#       builds  recorded by the other builds next to BUILD (gcc and clang, -O2 and -O0,
#               sanitizers), where they are as new as the sources
#       replay  replayed without program and inputs; the recording of the replay
#       gas     the gas ledger of every program in its three forms
#
# Exit status 77: what could be compared is equal, but something was not there.
set -u
LC_ALL=C
export LC_ALL
root=$(cd "$(dirname "$0")/../.." && pwd)
part=${1:-}
build=$(cd "${2:-.}" && pwd) || exit 1
lockstep=$build/lockstep
[ -x "$lockstep" ] || { echo "usage: determinism.sh PART BUILD" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
bad=0
compared=0
skipped=no

complain()
{
    printf '%s\n' "$*"
    bad=$((bad + 1))
}

skip()
{
    printf 'determinism: SKIP: %s\n' "$*"
    skipped=yes
}

finish()
{
    if [ "$bad" -gt 0 ]; then
        printf 'determinism %s: %d difference(s)\n' "$part" "$bad"
        printf 'reproduce: sh tests/determinism/determinism.sh %s %s\n' "$part" "$build"
        exit 1
    fi
    [ "$compared" -gt 0 ] || {
        printf 'determinism %s: nothing was compared\n' "$part"
        [ $skipped = no ] || exit 77
        exit 1
    }
    printf 'determinism %s: %d comparisons, all equal\n' "$part" "$compared"
    [ $skipped = no ] || exit 77
    exit 0
}

# ---- the fixed set -----------------------------------------------------------------

# "name n_test" of the benchmarks in corpus/pvm/programs.def.
benches()
{
    sed -n 's/^PROGRAM(\([a-z0-9_]*\), *bench, *\([0-9]*\),.*/\1 \2/p' \
        "$root/corpus/pvm/programs.def"
}

# Cases of programs with host calls: NAME-CASE.
cases()
{
    find "$root/corpus/pvm/cases" -maxdepth 1 -type f -name '*-*' |
        sed 's|.*/||; s|\.[a-z]*$||' | sort -u
}

# record LOCKSTEP FILE [OPTION...] pvm ...: a recording, or a complaint.
record()
{
    program=$1 file=$2
    shift 2
    "$program" record -q -o "$file" "$@" >/dev/null 2>"$work/said" </dev/null ||
        complain "record $*: $(cat "$work/said")"
}

# record_benches LOCKSTEP BIN OUT [OPTION...]
record_benches()
{
    by=$1 bin=$2 out=$3
    shift 3
    benches >"$work/benches"
    while read -r name n; do
        record "$by" "$out/$name.lks" "$@" pvm "$bin/$name.pvm" --reg "a0=$n"
    done <"$work/benches"
    # Another profile: pipelined block costs, copy-on-write charges.
    for name in fib qsort mixed; do
        n=$(sed -n "s/^$name //p" "$work/benches")
        record "$by" "$out/$name-javm.lks" "$@" --profile javm --page-gas \
            pvm "$bin/$name.pvm" --reg "a0=$n"
    done
}

# record_cases LOCKSTEP PVM OUT [OPTION...]: clock and randomness are fixed; PVM holds
# bin/ and cases/, and is not written to.
record_cases()
{
    by=$1 pvm=$2 out=$3
    shift 3
    for case in $(cases); do
        stem=$pvm/cases/$case
        input=/dev/null
        [ ! -e "$stem.in" ] || input=$stem.in
        rm -rf "$out/files"
        cp -r "$pvm/cases/files" "$out/files"
        (
            if [ -e "$stem.args" ]; then
                # One argument a line, none is empty.
                while IFS= read -r arg; do
                    set -- "$@" --args "$arg"
                done <"$stem.args"
            fi
            record "$by" "$out/$case.lks" "$@" --stdin "$input" --dir "$out/files" \
                --write --clock 946684800000000000 --seed 0 \
                pvm "$pvm/bin/${case%%-*}.pvm"
            [ "$bad" -eq 0 ]
        ) || bad=$((bad + 1))
    done
    rm -rf "$out/files"
}

# record_all LOCKSTEP PVM OUT [OPTION...]
record_all()
{
    mkdir -p "$3"
    record_cases "$@"
    by=$1 pvm=$2 out=$3
    shift 3
    record_benches "$by" "$pvm/bin" "$out" "$@"
}

# same WHAT A B: equal folders of traces, file by file.
same()
{
    count=0
    for file in "$2"/*.lks; do
        name=${file##*/}
        count=$((count + 1))
        cmp "$file" "$3/$name" || complain "$1: $name differs"
    done
    [ "$(find "$3" -name '*.lks' | wc -l)" -eq "$count" ] ||
        complain "$1: not the same set of traces"
    [ "$count" -ge 40 ] || complain "$1: only $count traces were recorded"
    compared=$((compared + count))
}

# same_id WHAT A B: the same for what may differ as a file.
same_id()
{
    for file in "$2"/*.lks; do
        name=${file##*/}
        a=$("$lockstep" id "$file") || complain "$1: no id of $file"
        b=$("$lockstep" id "$3/$name") || complain "$1: no id of $3/$name"
        [ -n "$a" ] && [ "$a" = "$b" ] || complain "$1: $name has another identity"
        compared=$((compared + 1))
    done
}

# ---- parts -------------------------------------------------------------------------

part_world()
{
    pvm=$root/corpus/pvm
    long=$(printf '%020000d' 0)
    record_all "$lockstep" "$pvm" "$work/a" --raw
    (
        cd / || exit 1
        LONG=$long MALLOC_PERTURB_=85 TZ=Asia/Kathmandu LANG=tr_TR.UTF-8
        export LONG MALLOC_PERTURB_ TZ LANG
        record_all "$lockstep" "$pvm" "$work/b" --raw
        [ "$bad" -eq 0 ]
    ) || bad=$((bad + 1))
    same 'environment, folder, malloc' "$work/a" "$work/b"
    if setarch -R true 2>/dev/null; then
        printf '#!/bin/sh\nexec env -i MALLOC_PERTURB_=170 setarch -R "%s" "$@"\n' \
            "$lockstep" >"$work/no-aslr"
        chmod +x "$work/no-aslr"
        record_all "$work/no-aslr" "$pvm" "$work/c" --raw
        same 'without ASLR, empty environment' "$work/a" "$work/c"
    else
        skip "setarch -R does not work here: ASLR was always on"
    fi
    record_all "$lockstep" "$pvm" "$work/d" --zstd 3 --sync chunk --volatile
    same_id 'compressed, synced, with facts about the host' "$work/a" "$work/d"
}

# Is every source of the program older than FILE?
fresh()
{
    newer=$(cd "$root" && find base trace pvm link replay analysis cli -newer "$1" \
        \( -name '*.c' -o -name '*.h' -o -name '*.def' \) | head -n 1)
    [ -z "$newer" ]
}

part_builds()
{
    pvm=$root/corpus/pvm
    record_all "$lockstep" "$pvm" "$work/own" --raw
    for other in release clang dev asan; do
        folder=$(dirname "$build")/$other
        [ "$folder" != "$build" ] || continue
        if [ ! -x "$folder/lockstep" ]; then
            skip "no build $other"
        elif ! fresh "$folder/lockstep"; then
            skip "build $other is older than $newer"
        else
            record_all "$folder/lockstep" "$pvm" "$work/$other" --raw
            same "build $other" "$work/own" "$work/$other"
        fi
    done
}

part_replay()
{
    mkdir "$work/copy" "$work/again"
    cp -r "$root/corpus/pvm/bin" "$root/corpus/pvm/cases" "$work/copy"
    record_all "$lockstep" "$work/copy" "$work/traces" --raw
    rm -rf "$work/copy"
    cd / || exit 1
    for file in "$work"/traces/*.lks; do
        name=${file##*/}
        "$lockstep" replay -q --raw --record="$work/again/$name" "$file" \
            >"$work/said" 2>&1 </dev/null || complain "replay $name: $(cat "$work/said")"
    done
    same 'recording of the replay' "$work/traces" "$work/again"
    same_id 'recording of the replay' "$work/traces" "$work/again"
}

# same_gas NAME: the traces NAME in ledger/ each/ summary/ tell the same charges.
same_gas()
{
    for form in ledger each summary; do
        "$lockstep" gas --verify "$work/$form/$1" >/dev/null || complain "$form: $1"
        "$lockstep" gas --sum "$work/$form/$1" | head -n 5 >"$work/$form.sum"
    done
    for form in ledger each; do
        "$lockstep" gas --csv -o "$work/$form.csv" "$work/$form/$1" ||
            complain "$form: $1: no list"
    done
    cmp "$work/ledger.csv" "$work/each.csv" || complain "$1: another list of charges"
    cmp "$work/ledger.sum" "$work/each.sum" || complain "$1: each: other sums"
    cmp "$work/ledger.sum" "$work/summary.sum" || complain "$1: summary: other sums"
    [ "$(wc -l <"$work/ledger.csv")" -gt 1 ] || complain "$1: no charges at all"
    compared=$((compared + 3))
}

part_gas()
{
    for form in ledger each summary; do
        record_all "$lockstep" "$root/corpus/pvm" "$work/$form" --gas-log "$form"
    done
    for file in "$work"/ledger/*.lks; do
        same_gas "${file##*/}"
    done
}

case $part in
world | builds | replay | gas) "part_$part" ;;
*) echo "determinism.sh: no part '$part'" >&2; exit 2 ;;
esac
finish
