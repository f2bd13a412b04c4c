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
'

main()
{
    count=0
    for file in $(tracked | tr ' ' '?'); do
        count=$((count + 1))
        case $file in
        *[!A-Za-z0-9._/+-]*)
            complain "$file: a file name is made of A-Z a-z 0-9 . _ + -"
            continue
            ;;
        esac
        printf '%s\n' "$exceptions" | grep -qF "$file:" && continue
        pattern=$text_pattern
        if ! grep -qI . "$root/$file" && [ -s "$root/$file" ]; then
            pattern=$binary_pattern
        fi
        found=$(grep -aoE "$pattern[[:graph:]]{0,40}" "$root/$file" | head -n 1) || true
        [ -z "$found" ] || complain "$file: names a folder of a build machine: $found"
    done
    [ "$count" -gt 0 ] || complain "no files found at all"
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
