# SPDX-License-Identifier: MIT
#
# Shared by the tests that type commands: they source it with the program in $1.  Each
# counts in $passed and $failed, and has a folder $dir that goes at the end.
set -u
LC_ALL=C
export LC_ALL
lockstep=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
passed=0
failed=0

complain()
{
    failed=$((failed + 1))
    echo "$*"
    head -n 3 "$dir/out" "$dir/err"
}

# run STATUS ARG…: lockstep's stdout in $dir/out, stderr in $dir/err.
run()
{
    want=$1
    shift
    "$lockstep" "$@" >"$dir/out" 2>"$dir/err" </dev/null
    got=$?
    passed=$((passed + 1))
    [ "$got" = "$want" ] || complain "lockstep $*: exit status $got, not $want"
}

# says out|err WORDS: that stream of the last run has them.
says() { grep -qF -e "$2" "$dir/$1" || complain "no '$2' on $1"; }
