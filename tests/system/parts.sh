#!/bin/sh
# SPDX-License-Identifier: MIT
#
# parts.sh LOCKSTEP ELF: parts and branches of a recorded driver of the file device,
# under the debugger: they are what the whole is at the same places.
lockstep=$1
elf=$2
[ -s "$elf" ] || {
    echo "skipped: no 32-bit compiler"
    exit 77
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failures=0
complain()
{
    failures=$((failures + 1))
    echo "parts.sh: $*" >&2
}
hash() # TRACE POSITION [OPTION…]
{
    trace=$1 position=$2
    shift 2
    "$lockstep" query --json "$@" -t "$position" "$trace" hash |
        sed 's/.*"icount":\([0-9]*\).*"hash":"\([0-9a-f]*\)".*/\1 \2/'
}
same() # WHAT TRACE POSITION…
{
    what=$1 trace=$2
    shift 2
    for position in "$@"; do
        a=$(hash whole.lks "$position") b=$(hash "$trace" "$position")
        [ -n "$a" ] && [ "$a" = "$b" ] || complain "$what at $position: '$a', '$b'"
    done
}

cp "$elf" files.elf
"$lockstep" record -q -o whole.lks pc --boot flat -k files.elf -m 4M --log-bytes \
    --fs-delay=40000 --fs mem,quota=262144,nodes=100 </dev/null >out || exit 1
"$lockstep" cut -q whole.lks 50%.. -o part.lks || complain 'cut'
same part part.lks 50% 65500 80% 99% end
"$lockstep" query part.lks events -n 1 | grep -q '^e:[1-9][0-9][0-9] ' ||
    complain 'the first event of the part'
a=$("$lockstep" query whole.lks last-write 0x7ff00,0x100)
b=$("$lockstep" query part.lks last-write 0x7ff00,0x100)
[ "$(echo "$a" | head -1)" = "$(echo "$b" | head -1)" ] || complain "last-write: $a, $b"
printf 'stepi\nreverse-stepi\nreverse-continue\nprintf "eip %%x\\n", $eip\n' >script
if command -v gdb >/dev/null; then
    timeout 60 "$lockstep" debug --batch script part.lks >out 2>&1 || complain 'gdb'
    grep -q '^eip ' out || complain "gdb: $(cat out)"
fi

# A branch with its parent beside it, elsewhere, and none.
for kind in '' --standalone; do
    "$lockstep" branch -q whole.lks --at 70% --fs-delay=40000 $kind -o child.lks \
        </dev/null >out || complain "branch $kind"
    same "branch $kind" child.lks 70% 92000
    [ -n "$(hash child.lks end)" ] || complain "the end of the branch $kind"
    rm child.lks
done
mkdir away
"$lockstep" branch -q whole.lks --at 70% -o child.lks </dev/null >out
a=$(hash child.lks end)
mv whole.lks away
"$lockstep" query child.lks hash 2>err && complain 'a child without its parent'
grep -q 'needs its parent' err || complain "no parent: $(cat err)"
b=$(hash child.lks end --parent away/whole.lks)
[ -n "$a" ] && [ "$a" = "$b" ] || complain "--parent: '$a', '$b'"
"$lockstep" query --parent part.lks child.lks hash 2>err && complain 'a wrong parent'
grep -q 'not its parent' err || complain "wrong parent: $(cat err)"
"$lockstep" debug --batch script --parent part.lks child.lks >out 2>&1 &&
    complain 'debug with a wrong parent'
message() { printf 'Content-Length: %d\r\n\r\n%s' ${#1} "$1"; }
{
    message '{"seq":1,"type":"request","command":"initialize","arguments":{}}'
    arguments='{"trace":"child.lks","parent":"away/whole.lks"}'
    message '{"seq":2,"type":"request","command":"launch","arguments":'"$arguments}"
    message '{"seq":3,"type":"request","command":"disconnect"}'
} | "$lockstep" dap >out 2>err || complain "dap: $(cat err)"
grep -q '"event":"initialized"' out || complain "dap: $(cat out)"
[ "$("$lockstep" dap --parent away/whole.lks child.lks </dev/null 2>&1)" = '' ] ||
    complain 'dap --parent'

[ $failures -eq 0 ] || exit 1
echo 'parts.sh: ok'
