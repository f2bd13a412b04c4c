#!/bin/sh
# SPDX-License-Identifier: MIT
#
# docs.sh BUILD [--bless]: docs/reference/ is what the tables generate; --bless writes
# it.
. "$(dirname "$0")/lib.sh"

# compare NAME COMMAND…: the command's output is docs/reference/NAME.md.
compare()
{
    name=$1 file=$root/docs/reference/$1.md
    shift
    if ! "$@" >"$fresh"; then
        complain "$name: $* failed"
        return
    fi
    if [ "$bless" = yes ]; then
        mkdir -p "$root/docs/reference"
        cp "$fresh" "$file"
    elif [ ! -e "$file" ]; then
        complain "docs/reference/$name.md is missing; run ./dev docs"
    elif ! cmp -s "$fresh" "$file"; then
        complain "docs/reference/$name.md is stale; run ./dev docs:" \
            "$(diff "$file" "$fresh" | head -n 4)"
    fi
}

main() # BUILD
{
    fresh=$(mktemp)
    trap 'rm -f "$fresh"' EXIT
    gendocs=$1/tests/meta/gendocs
    names=$("$gendocs") || complain "$gendocs does not run"
    for name in $names; do
        compare "$name" "$gendocs" "$name"
    done
    compare commands "$1/lockstep" help --format=markdown
    for file in "$root"/docs/reference/*; do
        name=$(basename "$file" .md)
        case " commands $(printf '%s' "$names" | tr '\n' ' ') " in
        *" $name "*) ;;
        *) complain "docs/reference/$name.md: nothing generates it" ;;
        esac
    done
    finish docs
}

self_test() # BUILD
{
    new_tree
    mkdir "$tree/docs"
    expect 1 'commands.md is missing' "$1"
    expect 0 'docs: ok' "$1" --bless
    expect 0 'docs: ok' "$1"
    echo 'edited' >>"$tree/docs/reference/errors.md"
    expect 1 'errors.md is stale' "$1"
    expect 0 'docs: ok' "$1" --bless
    expect 0 'docs: ok' "$1"
    echo 'x' >"$tree/docs/reference/orphan.md"
    expect 1 'nothing generates it' "$1"
    finish docs-self-test
}

bless=no
[ "${2:-}" = --bless ] && bless=yes
case ${1:-} in
--self-test) self_test "$2" ;;
*) main "$1" ;;
esac
