#!/bin/sh
# SPDX-License-Identifier: MIT
#
# debug_doc.sh LOCKSTEP: the session with the guest's module that docs/debug.md shows is
# what happens.  Its commands are typed, in order, and each answer it shows must come, in
# order; addresses, counts and the numbers of source lines may be others.  Run in the
# source root; without gdb or a guest the status is 77 (skipped).
set -u
LC_ALL=C
export LC_ALL
lockstep=$(realpath "$1")
root=$PWD
. "$root/tests/conformance/doc_lib.sh"
if [ ! -s build/guest/initramfs.cpio ]; then
    echo "debug_doc: SKIPPED: no Linux guest; ./dev guest tells why"
    exit 77
fi
for tool in gdb git; do
    command -v $tool >/dev/null || {
        echo "debug_doc: SKIPPED: there is no $tool"
        exit 77
    }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail()
{
    printf "debug_doc: %s\n" "$*"
    exit 1
}

# What may be another: with other kernels, other compilers and after other changes.
plain()
{
    sed -e 's/\r//' -e 's/0x[0-9a-f]\{6,\}/ADDRESS/g' -e 's/^[0-9]*	/LINE	/' \
        -e 's/\.c:[0-9]*/.c:LINE/' -e 's/, line [0-9]*/, line LINE/' \
        -e 's/^e:[0-9]* icount [0-9]*/EVENT/'
}

# agrees LANGUAGE: the answers that such blocks show are in the output.
agrees()
{
    block "$1" <page | awk '/^(\$|\(gdb\)) / { more = 1 }
        !more { print }
        { more = more && /\\$/ }' | plain >want
    lost=$(missing want shown)
    [ -z "$lost" ] || fail "not among the answers, or not in its place: $lost
$(cat output)"
}

# The commands of the console, with a gdb that reads what the page types.
commands()
{
    block console <page | awk '
        /^\$ / { more = 1; sub(/^\$ /, "") }
        more { print; more = /\\$/ }' | sed 's/^lockstep debug /&--batch look.gdb /'
}

cd "$dir" || exit 1
ln -s "$root/build" "$root/tests" .
mkdir bin
ln -s "$lockstep" bin/lockstep
PATH=$dir/bin:$PATH
section "$root/docs/debug.md" 'A session: the file that could not be made' >page
block gdb <page | sed -n 's/^(gdb) //p' >look.gdb
commands >commands.sh
[ -s look.gdb ] && [ -s commands.sh ] || fail "the page has no session"
timeout 600 sh -e commands.sh >output 2>&1 ||
    fail "status $?: $(cat output)"
plain <output >shown
agrees console
agrees gdb
echo "debug_doc: $(cat look.gdb commands.sh | wc -l) commands ok"
