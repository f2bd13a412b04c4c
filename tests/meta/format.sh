#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Tracked C files are as clang-format 14 leaves them (Debian 12's; other versions
# differ in details, so without this one the test is skipped).
. "$(dirname "$0")/lib.sh"

formatter()
{
    for name in clang-format-14 clang-format; do
        if "$name" --version 2>/dev/null | grep -q 'version 14\.'; then
            echo "$name"
            return
        fi
    done
}

main()
{
    list=$(mktemp)
    trap 'rm -f "$list"' EXIT
    format=$(formatter)
    if [ -z "$format" ]; then
        echo "format: SKIPPED: no clang-format 14 here"
        exit 77
    fi
    files=$(tracked | grep -E '^[a-z0-9]+/.*\.(c|h)$')
    [ -n "$files" ] || complain "no sources found at all"
    # shellcheck disable=SC2086 # a list of words
    (cd "$root" && "$format" --dry-run -Werror $files 2>&1) |
        sed -n 's/^\([^: ]*\):[0-9].*error:.*/\1/p' | sort -u >"$list"
    while read -r file; do
        complain "$file: run $format -i $file"
    done <"$list"
    finish format
}

self_test()
{
    [ -n "$(formatter)" ] || exit 77
    here=$root
    new_tree
    cp "$here/.clang-format" "$tree/"
    printf 'int x(void)\n{\n    return 1;\n}\n' | plant base/a.c
    expect 0 'format: ok'
    printf 'int x(void) {\n  return 1;\n}\n' | plant base/a.c
    expect 1 'base/a.c: run'
    finish format-self-test
}

case ${1:-} in
--self-test) self_test ;;
*) main ;;
esac
