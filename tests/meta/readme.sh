#!/bin/sh
# SPDX-License-Identifier: MIT
#
# readme.sh BUILD: what README.md and the pages below tell people to type works.  Blocks
# that begin with ```sh are run in a tree that has the corpus and this build; lines
# `./dev …` are only checked to name a command of ./dev.  A line that ends with
# `# status N` must exit so.
. "$(dirname "$0")/lib.sh"

# What docs/guest-c.md needs; a machine without leaves that page out, and says so.
has_compiler()
{
    command -v clang-19 >/dev/null && command -v gdb-multiarch >/dev/null
}

pages()
{
    for page in README.md docs/check.md docs/gas.md docs/nub.md docs/record-replay.md; do
        [ ! -e "$root/$page" ] || echo "$root/$page"
    done
    if [ -e "$root/docs/guest-c.md" ] && has_compiler; then
        echo "$root/docs/guest-c.md"
    fi
}

block() # LANGUAGE PAGE
{
    sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/p" "$2" | grep -v '^```'
}

# The lines of all sh blocks; a line that is continued is one.
extract()
{
    pages | while read -r page; do
        block sh "$page" | sed -e ':more' -e '/\\$/{N;s/\\\n *//;b more' -e '}'
    done
}

# Blocks of C that begin with their name in a comment, as files in FOLDER.
write_sources() # FOLDER
{
    pages | while read -r page; do
        source=$(block c "$page" | sed -n 's|^/\* \([a-z]*\.c\) \*/$|\1|p')
        [ -z "$source" ] || block c "$page" >"$1/$source"
    done
}

script_of()
{
    extract | grep -v '^\./dev' | while IFS= read -r line; do
        want=$(printf '%s' "$line" | sed -n 's/.*# status \([0-9]*\).*/\1/p')
        [ -n "$line" ] || continue
        printf '%s\n' "$line"
        printf 'status=$?; [ $status -eq %s ] || echo "VIOLATION: status $status: %s"\n' \
            "${want:-0}" "$(printf '%s' "$line" | tr -d '"$`\\')"
    done
}

check_dev()
{
    extract | sed -n 's|^\./dev \([a-z-]*\).*|\1|p' >"$tmp/verbs"
    while read -r verb; do
        "$root/dev" help | grep -q "^  $verb" || complain "./dev $verb: no such command"
    done <"$tmp/verbs"
}

main() # BUILD
{
    build=$(cd "$1" && pwd)
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    mkdir -p "$tmp/tree/build"
    ln -s "$build" "$tmp/tree/build/release"
    ln -s "$root/corpus" "$tmp/tree/corpus"
    write_sources "$tmp/tree"
    has_compiler || echo "readme: SKIPPED docs/guest-c.md: no clang-19 or gdb-multiarch"
    check_dev
    script_of >"$tmp/script"
    [ -s "$tmp/script" ] || complain "README.md has no commands"
    (cd "$tmp/tree" && PATH=$build:$PATH sh "$tmp/script") >"$tmp/output" 2>&1 </dev/null
    if grep '^VIOLATION' "$tmp/output"; then
        complain "$(cat "$tmp/output")"
    fi
    finish readme
}

self_test() # BUILD
{
    new_tree
    mkdir "$tree/corpus"
    cp "$root/dev" "$tree/"
    printf '# x\n```sh\n./dev demo\n\nexport PATH=$PWD/build/release:$PATH\nlockstep help\nfalse # status 1\n```\n' |
        plant README.md
    expect 0 'readme: ok' "$1"
    printf '```sh\nlockstep hepl\n```\n' | plant README.md
    expect 1 'VIOLATION: status' "$1"
    printf '```sh\ntrue # status 1\n```\n' | plant README.md
    expect 1 'VIOLATION: status 0' "$1"
    printf '# x\n```sh\ntrue\n```\n' | plant README.md
    printf '```sh\nlockstep check nothing.pvm\n```\n' | plant docs/check.md
    expect 1 'VIOLATION: status 125: lockstep check nothing.pvm' "$1"
    rm "$tree/docs/check.md"
    printf '```sh\ntrue && \\\n    false\n```\n' | plant docs/gas.md
    expect 1 'VIOLATION: status 1: true && false' "$1"
    rm "$tree/docs/gas.md"
    if has_compiler; then
        printf '```c\n/* a.c */\nint a;\n```\n```sh\ngrep -q b a.c\n```\n' |
            plant docs/guest-c.md
        expect 1 'VIOLATION: status 1: grep -q b a.c' "$1"
        rm "$tree/docs/guest-c.md"
    fi
    printf '```sh\n./dev nothing\ntrue\n```\n' | plant README.md
    expect 1 './dev nothing: no such command' "$1"
    finish readme-self-test
}

case ${1:-} in
--self-test) self_test "$2" ;;
*) main "$1" ;;
esac
