#!/bin/sh
# SPDX-License-Identifier: MIT
#
# debug_doc.sh LOCKSTEP: the session with a program that docs/debug.md shows is what
# happens.  Its C source is compiled, its gdb commands are typed, and each answer it shows
# must come, in order.  Run in the source root; without gdb-multiarch or clang-19 the
# status is 77 (skipped).
set -u
LC_ALL=C
export LC_ALL
lockstep=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
root=$PWD
for tool in gdb-multiarch clang-19; do
    command -v $tool >/dev/null || {
        echo "debug_doc.sh: SKIPPED: there is no $tool"
        exit 77
    }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
bad()
{
    echo "debug_doc.sh: $*" >&2
    failed=1
}

. "$root/tests/conformance/doc_lib.sh"
section "$root/docs/debug.md" 'A session: who has lost the washers?' >"$dir/page"
block c <"$dir/page" >"$dir/stock.c"
block gdb <"$dir/page" >"$dir/session"
sed -n 's/^(gdb) //p' "$dir/session" >"$dir/look.gdb"
[ -s "$dir/look.gdb" ] || bad "the page has no session"

"$lockstep" cc -q -g -O1 -f spi --lib="$root/corpus/pvm/lib" -o "$dir/stock.pvm" \
    "$dir/stock.c" || bad "it does not compile"
cd "$dir" || exit 1
"$lockstep" record -q -o stock.lks pvm stock.pvm >output || bad "it does not record"
block console <page | grep -qx "$(cat output)" || bad "the output is $(cat output)"
timeout 60 "$lockstep" debug --symbols stock.pvm.dbg --batch look.gdb stock.lks \
    >answers 2>&1 || bad "gdb failed"
# gdb shows the path that the compiler was given.
sed "s|$dir/||g" answers >shown
grep -v '^(gdb) ' session >wanted
lost=$(missing wanted shown)
[ -z "$lost" ] || bad "not among the answers, or not in its place: $lost" "$(cat shown)"
# The word that the last command asks for was written where gdb stood first.
"$lockstep" query stock.lks last-write 0x3102c,4 >answer || bad "the query fails"
grep -q '^icount ' answer || bad "no answer: $(cat answer)"
[ "$failed" -eq 0 ] && echo "debug_doc.sh: $(wc -l <look.gdb) commands ok"
exit "$failed"
