#!/bin/sh
# SPDX-License-Identifier: MIT
#
# No tracked file, text or binary, names a folder of the machine that made it; file
# names are plain.
. "$(dirname "$0")/lib.sh"

# Written so that this file does not match itself.
text_pattern='/(wor[k]|hom[e]|roo[t]|User[s])/'
binary_pattern='/(wor[k]|hom[e]|roo[t]|User[s]|tm[p])/'

# file: why it may.
exceptions='
tests/unit/base/test_os.c: /proc/self/root is a path that the sandbox must refuse
tests/unit/hostfs/test_escape.c: a temporary folder has one named root in it
'

report() # PATTERN <list of files
{
    (cd "$root" && xargs grep -aoHE "$1[[:graph:]]{0,40}") 2>/dev/null >"$found"
    while IFS=: read -r file text; do
        printf '%s\n' "$exceptions" | grep -qF "$file:" ||
            complain "$file: names a folder of a build machine: $text"
    done <"$found"
}

main()
{
    list=$(mktemp) binary=$(mktemp) found=$(mktemp)
    trap 'rm -f "$list" "$binary" "$found"' EXIT
    tracked >"$list"
    [ -s "$list" ] || complain "no files found at all"
    if grep '[^A-Za-z0-9._/+-]' "$list" >"$found"; then
        complain "a file name is made of A-Z a-z 0-9 . _ + -:" "$(cat "$found")"
        finish paths
    fi
    (cd "$root" && xargs grep -IL .) <"$list" >"$binary"
    report "$text_pattern" <"$list"
    report "$binary_pattern" <"$binary"
    finish paths
}

self_test()
{
    new_tree
    echo 'int x; /* /usr/include, /tmp/x */' | plant base/a.c
    expect 0 'paths: ok'
    printf 'see /%s/me/x.h\n' home | plant base/b.c
    expect 1 'base/b.c: names a folder'
    printf 'a\000b/%s/build/x.o' tmp | plant base/b.c
    expect 1 'base/b.c: names a folder'
    rm "$tree/base/b.c"
    echo 'x' | plant 'base/a b.c'
    expect 1 'a file name is made of'
    finish paths-self-test
}

case ${1:-} in
--self-test) self_test ;;
*) main ;;
esac
