#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Run the native builds of the corpus programs and compare with what is stored: the
# benchmarks with the column `expected` of corpus/pvm/programs.def, the programs with
# host calls with corpus/pvm/cases.
#
#   corpus_native.sh [--bless] FOLDER      where the programs native_NAME are
#
# A case is cases/NAME-CASE.* and runs in a copy of cases/files:
#   .args  one argument a line    .in   stdin
#   .out   stdout                 .err  stderr             .status  exit status
# What is missing is empty, or 0.  --bless writes .out, .err and .status; look at the
# difference before you commit it.
set -u
LC_ALL=C
export LC_ALL
bless=no
if [ "${1:-}" = --bless ]; then
    bless=yes
    shift
fi
[ $# -eq 1 ] || { echo "usage: corpus_native.sh [--bless] FOLDER" >&2; exit 2; }
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/../../corpus/pvm" || exit 1
pvm=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
count=0

complain()
{
    printf '%s\n' "$*"
    bad=$((bad + 1))
}

# name kind n_test expected, one program a line.
table()
{
    sed -n 's/^PROGRAM(\([a-z0-9_]*\), *\([a-z]*\), *\([0-9]*\), *[0-9]*, *\([0-9a-fx]*\),.*/\1 \2 \3 \4/p' \
        programs.def
}

check_result() # NAME KIND N EXPECTED
{
    count=$((count + 1))
    if [ "$2" = bench ]; then
        set -- "$@" "$("$folder/native_$1" "$3")"
    else
        set -- "$@" "$(cd cases/files && LOCKSTEP_RESULT=1 LOCKSTEP_FIXED_WORLD=1 \
            "$folder/native_$1" </dev/null 2>/dev/null | tail -n 1)"
    fi
    want="$1 $3 $(printf '%u' "$4")"
    [ "$5" = "$want" ] || complain "programs.def says '$want', native_$1 says '$5'"
}

# same WHAT STORED NEW
same()
{
    stored=$2
    [ -e "$stored" ] || stored=/dev/null
    cmp -s "$stored" "$3" && return 0
    if [ $bless = yes ]; then
        cp "$3" "$2"
        echo "wrote $2"
    else
        complain "$1 differs from $2:"
        diff "$stored" "$3" | head -n 10
    fi
}

check_case() # NAME-CASE
{
    count=$((count + 1))
    stem=$pvm/cases/$1
    input=/dev/null
    [ ! -e "$stem.in" ] || input=$stem.in
    set --
    if [ -e "$stem.args" ]; then
        while IFS= read -r arg; do
            set -- "$@" "$arg"
        done <"$stem.args"
    fi
    name=$(basename "$stem")
    status=0
    rm -rf "$work/files"
    cp -r cases/files "$work/files"
    (cd "$work/files" && LOCKSTEP_FIXED_WORLD=1 exec "$folder/native_${name%%-*}" "$@" \
        <"$input" >"$work/out" 2>"$work/err") || status=$?
    : >"$work/status"
    [ $status -eq 0 ] || echo $status >"$work/status"
    for what in out err status; do
        same "$name" "$stem.$what" "$work/$what"
    done
}

table >"$work/table"
while read -r row; do
    # shellcheck disable=SC2086 # four words
    check_result $row
done <"$work/table"
for name in $(find cases -maxdepth 1 -name '*-*.*' | sed 's|.*/||; s|\.[a-z]*$||' | sort -u); do
    check_case "$name"
done
echo "corpus_native: $count checks, $bad bad"
[ $count -gt 30 ] || complain "too few checks: is $pvm the corpus?"
[ $bad -eq 0 ]
