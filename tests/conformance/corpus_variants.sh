#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The same programs from other objects: every optimisation level, code models and flags
# that the linker has to take, and objects that ld.lld joined.  Each must give the result
# of the stored one (guest-toolchain.md 11, 2 and 3).
#
#   corpus_variants.sh TEST_CORPUS FOLDER      the built test_corpus; where objects go
#
# Programs that take the compiler long are left out, unless LOCKSTEP_SLOW is set.
# Skipped (77) without clang-19; the joined objects are left out without ld.lld-19.
set -u
LC_ALL=C
export LC_ALL
test_corpus=$1
work=$2/variants
cd "$(dirname "$0")/../.." || exit 1
clang=${CLANG:-clang-19}
command -v "$clang" >/dev/null || {
    echo "corpus_variants: SKIP: no $clang here (apt install clang-19)" >&2
    exit 77
}
lld=$(command -v ld.lld-19 || true)
names=$(sed -n 's/^PROGRAM(\([a-z0-9_]*\),.*/\1/p' corpus/pvm/programs.def)
[ -n "${LOCKSTEP_SLOW:-}" ] ||
    names=$(printf '%s\n' "$names" | grep -vxE 'ed25519|secp256k1|deflate|wc|calc|life|guess')
bad=0
count=0

common="--target=riscv64-unknown-none-elf -mabi=lp64e -nostdlibinc -I corpus/pvm/lib -w
    -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-ident
    -fno-addrsig"

compile() # FLAGS: all programs and the library into $work
{
    rm -rf "$work"
    mkdir -p "$work"
    # shellcheck disable=SC2086 # lists of flags
    "$clang" $common $1 -ffreestanding -fno-builtin -c corpus/pvm/lib/pvm.c \
        -o "$work/pvm.o" || return 1
    for name in $names; do
        # shellcheck disable=SC2086
        "$clang" $common $1 -c "corpus/pvm/src/$name.c" -o "$work/$name.o" || return 1
    done
}

check() # WHAT
{
    count=$((count + 1))
    if ! "$test_corpus" "$work" >"$work/log" 2>&1; then
        bad=$((bad + 1))
        printf '%s:\n' "$1"
        grep -v '^\[ ' "$work/log" | head -n 8
    fi
}

full=-march=rv64em_zbb_xtheadcondmov
while read -r flags; do
    compile "$flags" || bad=$((bad + 1))
    check "$flags"
done <<END
$full -O0 -mno-strict-align
$full -O1 -mno-strict-align
$full -O3 -mno-strict-align
$full -Os -mno-strict-align
$full -Oz -mno-strict-align
$full -O2 -mno-strict-align -mcmodel=medany
$full -O2 -mno-strict-align -fPIC
$full -O2 -mno-strict-align -mno-relax
$full -O2 -mstrict-align -fno-jump-tables
-march=rv64em -O2 -mno-strict-align
$full -O2 -g -gdwarf-4 -fasynchronous-unwind-tables -fno-function-sections
END

# One object for each program: what is in pvm.o is joined with it, and the second input
# is an object that defines nothing.
if [ -n "$lld" ]; then
    compile "$full -O2 -mno-strict-align"
    mv "$work/pvm.o" "$work/library.o"
    : | "$clang" --target=riscv64-unknown-none-elf -march=rv64em -mabi=lp64e -x c -c - \
        -o "$work/pvm.o"
    for name in $names; do
        mv "$work/$name.o" "$work/first.o"
        "$lld" -r "$work/first.o" "$work/library.o" -o "$work/$name.o" || bad=$((bad + 1))
    done
    check "ld.lld -r"
else
    echo "corpus_variants: no ld.lld-19 here: joined objects are left out" >&2
fi
rm -rf "$work"
echo "corpus_variants: $count variants, $bad bad"
[ $count -ge 11 ] && [ $bad -eq 0 ]
