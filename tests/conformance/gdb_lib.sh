# SPDX-License-Identifier: MIT
#
# gdb_lib.sh: scripted sessions of gdb, for scripts that source it.  A session is a script
# for gdb and patterns that its output must have.  `lockstep` is the program; the working
# folder is the caller's own.

passed=0 failed=0 sessions=0 name=

bad()
{
    failed=$((failed + 1))
    echo "session $name: $*"
    sed 's/^/    /' out | head -60
}

# session NAME TRACE [OPTION…]: run the script on stdin.
session()
{
    name=$1 trace=$2
    shift 2
    cat >script.gdb
    sessions=$((sessions + 1))
    timeout 60 "$lockstep" debug --batch script.gdb "$@" "$trace" >out 2>&1 ||
        bad "status $?"
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
