# SPDX-License-Identifier: MIT
#
# Shared by the meta tests.  Each of them looks at the tree below $root and prints one
# line per violation; `--self-test` makes small trees with planted violations and
# checks that each is found and that a clean tree passes.
set -u
LC_ALL=C
export LC_ALL
self=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
root=${META_ROOT:-$(cd "$(dirname "$0")/../.." && pwd)}
bad=0

# complain TEXT: a violation.
complain()
{
    printf '%s\n' "$*"
    bad=$((bad + 1))
}

# The tracked files; without git (a tarball, a planted tree) all files but builds.
tracked()
{
    if [ -e "$root/.git" ] && git -C "$root" ls-files >/dev/null 2>&1; then
        # Files that a change removes are still listed until it is committed.
        (cd "$root" && git ls-files | while read -r file; do
            [ -e "$file" ] && printf '%s\n' "$file"
        done)
    else
        (cd "$root" && find . -path ./build -prune -o -path ./.git -prune -o \
            -type f -print | sed 's|^\./||' | sort)
    fi
}

# finish NAME: the closing line and the exit status.
finish()
{
    if [ "$bad" -gt 0 ]; then
        printf '%s: %d violation(s)\n' "$1" "$bad"
        exit 1
    fi
    printf '%s: ok\n' "$1"
    exit 0
}

# ---- self-tests --------------------------------------------------------------------

# plant PATH <text: a file of the planted tree $tree.
plant()
{
    mkdir -p "$tree/$(dirname "$1")"
    cat >"$tree/$1"
}

# expect STATUS WORDS [ARG…]: run this script on $tree; its exit status must be STATUS
# and its output must have WORDS.
expect()
{
    want=$1 words=$2
    shift 2
    output=$(META_ROOT=$tree sh "$self" "$@" 2>&1)
    got=$?
    if [ "$got" -ne "$want" ]; then
        complain "self-test: status $got, not $want, for '$words':" "$output"
        return
    fi
    case $output in
    *"$words"*) ;;
    *) complain "self-test: no '$words' in:" "$output" ;;
    esac
}

new_tree()
{
    [ -z "${tree:-}" ] || rm -rf "$tree"
    tree=$(mktemp -d)
    trap 'rm -rf "$tree"' EXIT
}
