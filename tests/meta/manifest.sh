#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Every tracked file of corpus/ has a row in corpus/MANIFEST, every row has a file, and
# what is not written by hand is what its row says.  `--update` writes the hashes anew;
# look at the difference before you commit it.
#
# The format is described at the top of corpus/MANIFEST.
. "$(dirname "$0")/lib.sh"

manifest=corpus/MANIFEST

# "row-number path" of each file: the first row that matches it; 0 for none.
assign()
{
    tracked | grep '^corpus/' | grep -vx "$manifest" | awk -F '|' -v rows="$root/$manifest" '
        function literal(s) { gsub(/[.+()^$?{}\[\]\\]/, "\\\\&", s); return s }
        BEGIN {
            while ((getline line < rows) > 0) {
                n++
                if (line ~ /^#/ || line == "") continue
                split(line, field, "|")
                path = field[1]
                gsub(/^[ \t]+|[ \t]+$/, "", path)
                pattern[n] = literal(path)
                gsub(/\*/, "[^/]*", pattern[n])
                pattern[n] = "^corpus/" pattern[n] (path ~ /\/$/ ? "" : "$")
            }
        }
        {
            hit = 0
            for (i = 1; i <= n && !hit; i++)
                if (i in pattern && $0 ~ pattern[i]) hit = i
            print hit, $0
        }'
}

# The hash of a row: of its file, or of the list of hashes of its files.
hash_of() # PATTERN FILE...
{
    pattern=$1
    shift
    case $pattern in
    */ | *'*'*) (cd "$root/corpus" && sha256sum "$@") | sha256sum | cut -c 1-64 ;;
    *) (cd "$root/corpus" && sha256sum "$1") | cut -c 1-64 ;;
    esac
}

# check_row NUMBER LINE: complain; on --update print the line as it should be.
check_row()
{
    number=$1
    line=$2
    path=$(field 1) hash=$(field 2) origin=$(field 3) licence=$(field 4) made=$(field 5)
    if [ -z "$origin" ] || [ -z "$licence" ] || [ -z "$made" ] || [ -n "$(field 6)" ]; then
        complain "$manifest:$number: a row is path | sha256 | origin | licence | how made"
    fi
    files=$(awk -v row="$number" '$1 == row { sub(/^[0-9]+ corpus\//, ""); print }' "$list")
    if [ -z "$files" ]; then
        # A folder may come later.
        [ "$path" != "${path%/}" ] || complain "$manifest:$number: no file is '$path'"
        return
    fi
    if [ "$hash" = - ]; then
        [ "$origin" = lockstep ] ||
            complain "$manifest:$number: '$path' comes from elsewhere and has no hash"
        return
    fi
    # shellcheck disable=SC2086 # file names of this tree have no spaces (paths.sh)
    real=$(hash_of "$path" $files)
    [ "$hash" = "$real" ] && return
    if [ "$update" = yes ]; then
        sed "${number}s/| *$hash *|/| $real |/" "$root/$manifest" >"$list.new" &&
            cat "$list.new" >"$root/$manifest"
        echo "$path: $real"
    else
        complain "$manifest:$number: '$path' is not what it was: $real;" \
            "if that is meant: sh tests/meta/manifest.sh --update"
    fi
}

# One field of $line, without the space around it.
field()
{
    printf '%s\n' "$line" | cut -d '|' -f "$1" | sed 's/^[ \t]*//; s/[ \t]*$//'
}

main()
{
    update=$1
    if [ ! -e "$root/$manifest" ]; then
        complain "no $manifest"
        finish manifest
    fi
    list=$(mktemp)
    trap 'rm -f "$list" "$list.new" "$list.rows"' EXIT
    assign >"$list"
    for file in $(sed -n 's/^0 //p' "$list"); do
        complain "$file: has no row in $manifest"
    done
    cp "$root/$manifest" "$list.rows"
    number=0
    while IFS= read -r row; do
        number=$((number + 1))
        case $row in
        '#'* | '') ;;
        *) check_row "$number" "$row" ;;
        esac
    done <"$list.rows"
    finish manifest
}

self_test()
{
    new_tree
    echo one | plant corpus/a/one
    echo two | plant corpus/a/two
    echo hand | plant corpus/hand.c
    one=$(printf 'one\n' | sha256sum | cut -c 1-64)
    group=$(cd "$tree/corpus" && sha256sum a/one a/two | sha256sum | cut -c 1-64)
    printf '# text\na/ | %s | there | MIT | copied\nhand.c | - | lockstep | MIT | by hand\n' \
        "$group" | plant corpus/MANIFEST
    expect 0 'manifest: ok'
    echo new | plant corpus/new
    expect 1 'corpus/new: has no row'
    rm "$tree/corpus/new"
    printf 'a/one|%s|there|CC0|copied\na/*|%s|there|MIT|copied\nhand.c|-|lockstep|MIT|x\n' \
        "$one" "$group" | plant corpus/MANIFEST
    expect 1 "MANIFEST:2: 'a/*' is not what it was"
    expect 0 'a/*: ' --update
    expect 0 'manifest: ok'
    echo three >"$tree/corpus/a/one"
    expect 1 "MANIFEST:1: 'a/one' is not what it was"
    printf 'a/|-|there|MIT|copied\nhand.c|-|lockstep|MIT|x\n' | plant corpus/MANIFEST
    expect 1 'comes from elsewhere and has no hash'
    printf 'a/|-|lockstep|MIT\nhand.c|-|lockstep|MIT|x\ngone|-|lockstep|MIT|x\n' |
        plant corpus/MANIFEST
    expect 1 'MANIFEST:1: a row is path'
    expect 1 "MANIFEST:3: no file is 'gone'"
    rm "$tree/corpus/MANIFEST"
    expect 1 'no corpus/MANIFEST'
    finish manifest-self-test
}

case ${1:-} in
--self-test) self_test ;;
--update) main yes ;;
*) main no ;;
esac
