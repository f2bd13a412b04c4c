# SPDX-License-Identifier: MIT
#
# gdb_lib.sh: sessions of gdb with `lockstep debug`, for scripts that source this in a
# folder of their own, with $lockstep set.
passed=0 failed=0 sessions=0 name= expect=0

bad()
{
    failed=$((failed + 1))
    echo "session $name: $*"
    sed 's/^/    /' out | head -60
}

# session NAME TRACE [OPTION…]: run the script on stdin.  It ends with status $expect,
# which is then 0 again; gdb ends with 1 at the first error.
# $limit: seconds, else 60.
session()
{
    name=$1 trace=$2
    shift 2
    cat >script.gdb
    sessions=$((sessions + 1))
    timeout "${limit:-60}" "$lockstep" debug --batch script.gdb "$@" "$trace" >out 2>&1
    status=$?
    [ "$status" -eq "$expect" ] || bad "status $status"
    expect=0
}

# says PATTERN…: each is in the output.
says()
{
    for pattern; do
        if grep -q -e "$pattern" out; then
            passed=$((passed + 1))
        else
            bad "no '$pattern' in:"
        fi
    done
}

says_not()
{
    if grep -q -e "$1" out; then bad "'$1' is in:"; else passed=$((passed + 1)); fi
}

# counts N PATTERN
counts()
{
    got=$(grep -c -e "$2" out)
    if [ "$got" = "$1" ]; then passed=$((passed + 1)); else bad "$got times '$2', not $1"; fi
}

# The last words: how it went.
finish() # SCRIPT
{
    echo "$1: $sessions sessions, $passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
