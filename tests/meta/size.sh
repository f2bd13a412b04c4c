#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A function has at most 70 lines, a file 800; tests, .def files and data are free.
# Each file of ours opens with its licence.
. "$(dirname "$0")/lib.sh"

# What may be larger: "path" for a file, "path:function" for a function; the reason.
exceptions='
trace/trace.h one public header for a folder; two thirds of it are contract
'

excused()
{
    printf '%s\n' "$exceptions" | grep -qF "$1 "
}

sources()
{
    tracked | grep -E '^([a-z0-9]+/.*\.(c|h)|dev)$' | grep -vE '^(tests|corpus)/'
}

# "function lines" of each body: from its { to its } in the first column.  The name is
# the last word before "(" in the lines since the last blank one.
bodies()
{
    awk '
        /^\{/ { start = NR; name = head; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
        /^\}/ && start { print name, NR - start + 1; start = 0 }
        !start {
            if ($0 == "" || /^[#}]/ || /\*\/$/ || /;$/) head = ""
            else head = head == "" ? $0 : head " " $0
        }' "$1"
}

main()
{
    list=$(mktemp)
    trap 'rm -f "$list"' EXIT
    for file in $(sources); do
        lines=$(wc -l <"$root/$file")
        if [ "$lines" -gt 800 ] && ! excused "$file"; then
            complain "$file: $lines lines"
        fi
        bodies "$root/$file" >"$list"
        while read -r name count; do
            if [ "$count" -gt 70 ] && ! excused "$file:$name"; then
                complain "$file: $name() has $count lines"
            fi
        done <"$list"
    done
    for file in $(tracked | grep -E '^[a-z0-9]+/.*\.(c|h|sh)$'); do
        head -n 3 "$root/$file" | grep -q 'SPDX-License-Identifier: ' ||
            complain "$file: no SPDX line at its top"
    done
    [ -n "$(sources)" ] || complain "no sources found at all"
    finish size
}

# A file with a function whose body, braces included, has $1 lines.
with_function()
{
    echo '/* SPDX-License-Identifier: MIT */'
    printf 'static int\nlong_one(int a,\n         int b)\n{\n'
    i=2
    while [ "$i" -lt "$1" ]; do
        echo '    a++;'
        i=$((i + 1))
    done
    echo '}'
}

self_test()
{
    new_tree
    with_function 70 | plant base/a.c
    expect 0 'size: ok'
    with_function 71 | plant base/a.c
    expect 1 'base/a.c: long_one() has 71 lines'
    with_function 71 | plant tests/a.c
    with_function 3 | plant base/a.c
    expect 0 'size: ok'
    { with_function 3; yes '' | head -n 800; } | plant base/a.c
    expect 1 'base/a.c: 807 lines'
    echo 'int x;' | plant base/a.c
    expect 1 'no SPDX line'
    finish size-self-test
}

case ${1:-} in
--self-test) self_test ;;
*) main ;;
esac
