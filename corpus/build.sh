#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Build the C programs of corpus/pvm: obj/NAME.o with clang-19 and bin/NAME.pvm with
# `lockstep link`.  The table is corpus/pvm/programs.def.  The same for the instances of
# corpus/jar, as bin/NAME.caps; their table is corpus/jar/programs.def.
#
#   corpus/build.sh [--check] [--lockstep FILE] [NAME...]
#
# Without --lockstep it is build/release/lockstep that links.
# --check writes nothing; it builds aside and compares with what is stored, and exits
# with 1 when something differs.  77 (skipped): all is well as far as it went, but the
# compiler or the linker was not there.  CLANG names another compiler.
set -eu
LC_ALL=C
export LC_ALL
from=$PWD
cd "$(dirname "$0")/.."

clang=${CLANG:-clang-19}
check=no
lockstep=
names=
while [ $# -gt 0 ]; do
    case $1 in
    --check) check=yes ;;
    --lockstep)
        [ $# -gt 1 ] || { echo "build.sh: --lockstep needs a file" >&2; exit 2; }
        case $2 in
        /*) lockstep=$2 ;;
        *) lockstep=$from/$2 ;;
        esac
        shift
        ;;
    -*) echo "build.sh: unknown option $1" >&2; exit 2 ;;
    *) names="$names $1" ;;
    esac
    shift
done
all=$(sed -n 's/^PROGRAM(\([a-z0-9_]*\),.*/\1/p' corpus/pvm/programs.def)
jars=$(sed -n 's/^JAR(\([a-z0-9_]*\),.*/\1/p' corpus/jar/programs.def)
[ -z "$names" ] || jars=
names=${names:-$all}

# jar NAME COLUMN: of its row, from 2 on.
jar()
{
    sed -n "s/^JAR($1, *\\([a-z0-9_]*\\), *\\([0-9]*\\), *\\([-0-9]*\\),.*/\\$(($2 - 1))/p" \
        corpus/jar/programs.def
}

# guest-toolchain.md 1.  The objects carry line tables, so that `link -g` works where
# there is no compiler; the code is the same without.  (The warning is about atomics
# that become calls, which is what pvm.c is for.)
flags="--target=riscv64-unknown-none-elf -march=rv64em_zbb_xtheadcondmov -mabi=lp64e
    -mcmodel=medlow -fno-pic -O2 -mno-strict-align -mrelax -ffunction-sections
    -fdata-sections -fno-asynchronous-unwind-tables -fno-ident -fno-addrsig
    -ffile-prefix-map=$PWD=. -nostdlibinc -I corpus/pvm/lib -I corpus/pvm/include -g -gdwarf-4
    -Wall -Wextra -Wshadow -Wconversion -Wno-atomic-alignment -Werror"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
skipped=no
different=no

# keep NEW STORED: put it there, or compare.
keep()
{
    if cmp -s "$1" "$2"; then
        return 0
    fi
    if [ $check = yes ]; then
        echo "build.sh: $2 is not what its sources give; run corpus/build.sh" >&2
        different=yes
    else
        cp "$1" "$2"
        echo "$2"
    fi
}

compile() # SOURCE OBJECT [FLAG...]
{
    source=$1
    object=$2
    shift 2
    # shellcheck disable=SC2086 # a list of flags
    "$clang" $flags "$@" -c "$source" -o "$object"
}

if command -v "$clang" >/dev/null; then
    compile corpus/pvm/lib/pvm.c "$work/pvm.o" -ffreestanding -fno-builtin
    keep "$work/pvm.o" corpus/pvm/obj/pvm.o
    for name in $names; do
        compile "corpus/pvm/src/$name.c" "$work/$name.o"
        keep "$work/$name.o" "corpus/pvm/obj/$name.o"
    done
    for name in $jars; do
        compile "corpus/jar/src/$(jar "$name" 2).c" "$work/$name.o" \
            "-DVARIANT=$(jar "$name" 3)"
        keep "$work/$name.o" "corpus/jar/obj/$name.o"
    done
else
    echo "build.sh: SKIP: no $clang here, objects not rebuilt (apt install clang-19)" >&2
    skipped=yes
fi

# A check without --lockstep is about objects; tests/conformance/test_corpus.c links.
if [ -z "$lockstep" ] && [ $check = no ]; then
    lockstep=build/release/lockstep
    if [ ! -x $lockstep ]; then
        echo "build.sh: no $lockstep: the programs are not linked" >&2
        lockstep=
        skipped=yes
    fi
fi
if [ -n "$lockstep" ]; then
    for name in $names; do
        "$lockstep" link -f spi -o "$work/$name.pvm" \
            "corpus/pvm/obj/$name.o" corpus/pvm/obj/pvm.o
        keep "$work/$name.pvm" "corpus/pvm/bin/$name.pvm"
    done
    for name in $jars; do
        slot=$(jar "$name" 4)
        set -- --stack 16K --heap 0
        [ "$slot" = - ] || set -- "$@" --yield-slot "$slot"
        "$lockstep" link --image "$@" -o "$work/$name.caps" \
            "corpus/jar/obj/$name.o" corpus/pvm/obj/pvm.o
        keep "$work/$name.caps" "corpus/jar/bin/$name.caps"
    done
fi

[ $different = no ] || exit 1
[ $skipped = no ] || exit 77
