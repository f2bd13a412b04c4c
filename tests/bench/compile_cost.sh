#!/bin/sh
# SPDX-License-Identifier: MIT
#
# compile_cost.sh COMPILE_COST [BOUND]: what compiling takes, in instructions of the host
# for each of the guest's, counted by callgrind; not a time, so the same on a busy
# machine.  Exit status 1 when it is more than the bound and 5 % of it; 77 without
# valgrind.

# The bound, measured with gcc 12 -O2.  Who makes compiling cheaper lowers it.
bound=277

program=$1
bound=${2:-$bound}
set -- corpus/pvm/bin/secp256k1.pvm corpus/pvm/bin/ed25519.pvm

if ! command -v valgrind >/dev/null; then
    echo "compile_cost: SKIPPED: there is no valgrind, so nothing holds the cost of" \
        "compiling down (apt-get install valgrind)"
    exit 77
fi
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
valgrind --tool=callgrind --toggle-collect=pvm_program_recompile \
    --callgrind-out-file="$folder/out" "$program" "$@" \
    >"$folder/count" 2>"$folder/log" || {
    status=$?
    cat "$folder/log"
    echo "compile_cost: valgrind $program: exit status $status"
    exit "$status"
}
guest=$(cat "$folder/count")
host=$(sed -n 's/^summary: *//p; s/^totals: *//p' "$folder/out" | head -n 1)
awk -v host="$host" -v guest="$guest" -v bound="$bound" 'BEGIN {
    if (host + 0 < 1 || guest + 0 < 1) {
        print "compile_cost: callgrind saw no call of pvm_program_recompile()"
        exit 1
    }
    cost = host / guest
    printf "compile_cost: %.1f instructions of the host for each of the guest" \
           " (%d / %d); the bound is %g, and 5 %%\n", cost, host, guest, bound
    if (cost < 0.95 * bound)
        print "compile_cost: lower the bound in tests/bench/compile_cost.sh"
    if (cost > 1.05 * bound) {
        print "compile_cost: too much; what takes it: docs/bench.md, \"What does my" \
              " change cost\""
        exit 1
    }
}'
