#!/bin/sh
# SPDX-License-Identifier: MIT
#
# cli.sh LOCKSTEP: `lockstep link` as a command: files, exit status, and the same bytes
# in other directories, locales and under other names (guest-toolchain.md 10, 11.4).
set -u
case $1 in /*) lockstep=$1 ;; *) lockstep=$PWD/$1 ;; esac
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# expect STATUS WORDS ARG…: run link; its status, and what it says on stderr.
expect()
{
    want=$1 words=$2
    shift 2
    "$lockstep" link "$@" >"$work/out" 2>"$work/err"
    got=$?
    if [ $got -ne "$want" ] ||
        { [ -n "$words" ] && ! grep -qF -- "$words" "$work/err"; } || [ -s "$work/out" ]; then
        echo "link $*: status $got, want $want and '$words'; it said:"
        cat "$work/out" "$work/err"
        status=1
    fi
}

fib=corpus/pvm/obj/fib.o pvm=corpus/pvm/obj/pvm.o values=corpus/link/values.o
expect 0 "a: 90 bytes, code 63" -v -f spi -o "$work/a" "$fib" "$pvm"
expect 0 "b: 75 bytes" -v -o "$work/b" --map "$work/map" "$fib"
expect 0 "" -o "$work/c" --json "$work/json" -g corpus/link/data.o "$values"
expect 0 "" -f polkavm --stack 1M --heap 0 --keep v0 \
    -o "$work/d" "$fib" "$values" --export bench=9
grep -q '^function 0x00000007     56 fib corpus/pvm/obj/fib.o .text.fib$' "$work/map" || {
    echo "the map has no line for fib:"
    cat "$work/map"
    status=1
}
for file in a b c c.dbg d map json; do
    [ -s "$work/$file" ] || { echo "$file was not written"; status=1; }
done

expect 2 "link: corpus/link/data.o: .data.all+0x0: raw has no memory for data" \
    -o "$work/no" corpus/link/data.o "$values"
expect 2 "link: corpus/link/got.o: .text.absolute+0x0 (absolute): undefined symbol vmin" \
    -f spi -o "$work/no" corpus/link/got.o
expect 2 "link: README.md: not an ELF object" -o "$work/no" README.md
expect 125 "link: nowhere.o: no such file" -o "$work/no" nowhere.o
expect 125 "link: $work/none/x: " -o "$work/none/x" "$fib"
expect 129 "--export takes NAME or NAME=0..63, not 'f=64'" --export f=64 "$fib"
expect 129 "--export takes NAME or NAME=N, not '=3'" --export =3 "$fib"
expect 129 "-f image: slots are 0 to 255" -f image --ro-slot 2 -o "$work/no" "$fib"
expect 129 "--profile=javm goes with -f raw only" --profile javm -f spi "$fib"
expect 129 "" -o "$work/no"
[ ! -e "$work/no" ] || { echo "something was written in spite of a problem"; status=1; }

# `cc` is clang-19 and the same linker; its objects go away.
if command -v clang-19 >/dev/null; then
    "$lockstep" cc -f spi -o "$work/cc" corpus/pvm/src/fib.c || status=1
    cmp "$work/cc" "$work/a" || status=1
    echo 'int nowhere(void); int f(void) { return nowhere(); }' >"$work/u.c"
    "$lockstep" cc -O0 --export f -o "$work/no" "$work/u.c" "$fib" 2>"$work/err"
    [ $? -eq 2 ] && grep -q 'undefined symbol nowhere' "$work/err" || {
        echo "cc of an undefined symbol said:"
        cat "$work/err"
        status=1
    }
    [ -z "$(find "$work" -name '*.cc*')" ] || { echo "cc left objects"; status=1; }
fi
"$lockstep" cc --cc no-such-compiler -o "$work/no" corpus/pvm/src/fib.c 2>"$work/err"
[ $? -eq 125 ] && grep -q 'no-such-compiler is not installed' "$work/err" || {
    echo "cc without a compiler said:"
    cat "$work/err"
    status=1
}

# The same program from other places.
mkdir "$work/elsewhere"
cp "$fib" "$work/elsewhere/other.o"
cp "$pvm" "$work/elsewhere/lib.o"
cd "$work/elsewhere" || exit 1
for locale in C C.UTF-8 de_DE.UTF-8; do
    LC_ALL=$locale TZ=Asia/Tokyo "$lockstep" link -f spi -o again other.o lib.o
    cmp again "$work/a" || status=1
done
cd "$root" || exit 1
exit $status
