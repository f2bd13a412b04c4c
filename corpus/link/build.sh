#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Assemble the objects of this folder with clang-19.  --check writes nothing: it fails
# when a stored object is not what its source gives, and is skipped (77) without the
# compiler.  CLANG names another one.
set -eu
cd "$(dirname "$0")"
clang=${CLANG:-clang-19}
check=no
[ "${1:-}" = --check ] && check=yes
command -v "$clang" >/dev/null || {
    echo "build.sh: SKIP: no $clang here (apt install clang-19)" >&2
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
for source in *.s *.c; do
    name=${source%.*}
    flags="-march=rv64em_zbb_xtheadcondmov -mabi=lp64e"
    case $name in
    norelax) flags="$flags -mno-relax" ;;
    lines) flags="$flags -fdebug-default-version=4" ;;
    debug*)
        flags="$flags -mcmodel=medlow -fno-pic -O2 -mno-strict-align -ffunction-sections
            -fdata-sections -fno-asynchronous-unwind-tables -fno-ident -fno-addrsig
            -ffile-prefix-map=$PWD=. -g -gdwarf-4"
        [ "$name" = debug ] || flags="$flags -gdwarf-5"
        ;;
    esac
    # shellcheck disable=SC2086 # a list of flags
    "$clang" --target=riscv64-unknown-none-elf $flags -c "$source" -o "$work/$name.o"
    cmp -s "$work/$name.o" "$name.o" && continue
    if [ $check = yes ]; then
        echo "build.sh: corpus/link/$name.o is not what $source gives" >&2
        status=1
    else
        cp "$work/$name.o" "$name.o"
        echo "$name.o"
    fi
done
exit $status
