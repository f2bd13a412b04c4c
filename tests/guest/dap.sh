#!/bin/sh
# SPDX-License-Identifier: MIT
#
# dap.sh LOCKSTEP: an editor over a recorded boot of Linux knows the names of the kernel
# and of its module: in frames, code, breakpoints and expressions, forwards and
# backwards; so does `lockstep query`.  Run in the source root; without a guest the
# status is 77 (skipped).
set -u
LC_ALL=C
export LC_ALL
lockstep=$(realpath "$1")
guest=$PWD/build/guest
if [ ! -s build/guest/initramfs.cpio ]; then
    echo "dap: SKIPPED: no Linux guest; ./dev guest tells why"
    exit 77
fi
. tests/golden/dap_lib.sh
. tests/conformance/doc_lib.sh
section docs/debug.md 'The same names elsewhere' >"$dir/page"
ln -s "$PWD/build" "$dir/build"
mkdir "$dir/bin"
ln -s "$lockstep" "$dir/bin/lockstep"

# ---- the page: what it types is typed, what it shows is shown ----
plain()
{
    sed -e 's/0x[0-9a-f]*/ADDRESS/g' -e 's/^icount [0-9]*/icount N/' \
        -e 's/--at [0-9+]*/--at N/' -e 's/^before .*/before BYTES/'
}
block console <"$dir/page" | awk '
    /^\$ / { more = 1; sub(/^\$ /, "") }
    more { print; more = /\\$/ }' >"$dir/commands"
block console <"$dir/page" | awk '
    /^\$ / { more = 1 }
    !more { print }
    { more = more && /\\$/ }' | plain >"$dir/want"
(cd "$dir" && PATH=$dir/bin:$PATH sh -e commands </dev/null) >"$dir/shown.all" 2>&1 || {
    echo "dap: the page: $(tail -n 5 "$dir/shown.all" "$dir/console.txt")"
    exit 1
}
plain <"$dir/shown.all" >"$dir/shown"
passed=$((passed + 1))
lost=$(missing "$dir/want" "$dir/shown")
[ -z "$lost" ] || complain "the page: not shown: $lost
$(cat "$dir/shown.all")"
[ -s "$dir/want" ] || complain 'the page shows nothing'

# json N: the page's Nth.
json()
{
    block json <"$dir/page" | sed -n "$1p"
}

# answer_is N REGEX: as answer.
answer_is()
{
    passed=$((passed + 1))
    grep '"type":"response"' "$dir/out" | grep "\"request_seq\":$1," |
        grep -q -e "$2" || complain "answer $1 has no '$2':
$(grep "\"request_seq\":$1," "$dir/out" | cut -c 1-600)"
}

# ---- the kernel: a function by name, its callers, its code ----
ask initialize '{"adapterID":"test"}'
ask launch
ask evaluate '{"expression":"vfs_read"}'
ask setFunctionBreakpoints '{"breakpoints":[{"name":"vfs_read"},{"name":"no_such_name"},{"name":"do_exit","hitCondition":"x"}]}'
ask configurationDone
ask continue '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask next '{"threadId":1,"granularity":"instruction"}'
ask stepIn '{"threadId":1,"granularity":"instruction"}'
ask stackTrace '{"threadId":1}'
ask setFunctionBreakpoints '{"breakpoints":[]}'
ask stepOut '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask evaluate '{"expression":"vfs_read+0x5"}'
ask evaluate '{"expression":"no_such_name"}'
ask evaluate '{"expression":"*&vfs_read"}'
ask dataBreakpointInfo '{"name":"vfs_read","bytes":4}'
ask setFunctionBreakpoints '{"breakpoints":[{"name":"vfs_read"}]}'
ask reverseContinue '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask disconnect
session 0 "$dir/boot.lks"
vfs_read=$(grep '"request_seq":3,' "$dir/out" |
    sed 's/.*"result":"\(0x[0-9a-f]*\)".*/\1/')
answer 1 '"supportsFunctionBreakpoints":true'
answer_is 3 '"result":"0xc1[0-9a-f]*"'
answer_is 3 '"memoryReference":"0xc1[0-9a-f]*"'
answer 4 '"verified":true,"id":8193,"instructionReference":"'"$vfs_read"'"'
answer 4 'nothing of this name is known yet'
answer 4 'a hit condition is N'
event 2 '"reason":"breakpoint"'
event 2 '"hitBreakpointIds":[8193]'
answer_is 7 '"name":"vfs_read",.*"name":"ksys_read+0x[0-9a-f]*",'
answer_is 10 '"name":"vfs_read+0x[0-9a-f]*",.*"name":"ksys_read+0x'
answer_is 13 '"stackFrames":\[{"id":1,"name":"ksys_read+0x'
answer_is 14 '"result":"0xc1'
answer 15 'a register, *ADDRESS, a symbol'
answer_is 16 '"result":"0x[0-9a-f]\{10,\}"'
answer 17 '"dataId":"'"$vfs_read"',4"'
answer_is 20 '"name":"vfs_read",'

# ---- its code, with the names of what it calls; backwards from its middle ----
objdump_like() # REQUEST: address and text of each instruction
{
    grep "\"request_seq\":$1," "$dir/out" | sed 's/{"address":/\
&/g' | sed -n 's/^{"address":"\([^"]*\)","instruction":"\([^"]*\)".*/\1 \2/p'
}
ask launch
ask evaluate '{"expression":"seek end"}'
echo stops >"$dir/kind.$seq"
ask disassemble '{"memoryReference":"'"$vfs_read"'","instructionCount":60}'
ask disassemble '{"memoryReference":"'"$vfs_read"'","offset":1,"instructionOffset":-1,"instructionCount":2}'
ask disassemble '{"memoryReference":"'"$vfs_read"'","instructionOffset":-1,"instructionCount":2}'
ask disassemble '{"memoryReference":"'"$vfs_read"'","instructionOffset":2,"instructionCount":2}'
ask evaluate '{"expression":"'"$vfs_read"'"}'
ask evaluate '{"expression":"0x1000"}'
ask disconnect
session 0 "$dir/boot.lks"
answer_is 3 '\[{"address":"'"$vfs_read"'","instruction":"[^"]*","symbol":"vfs_read"}'
answer_is 3 '"instruction":"push ebp","symbol":"vfs_read+0x[0-9]"}'
answer_is 3 '"instruction":"call 0x[0-9a-f]* <[a-z_]*>"'
answer_is 3 '"instruction":"j[a-z]* 0x[0-9a-f]* <vfs_read+0x[0-9a-f]*>"'
answer_is 4 '"instruction":"??","presentationHint":"invalid"},.*"symbol":"vfs_read+0x1"}'
answer_is 5 '\[{"address":"0xc[^"]*","instruction":"[^?"]*","symbol":"[a-uw-z][^"]*"},{"address":"'"$vfs_read"'"'
answer_is 6 '\[{"address":"0xc[^"]*","instruction":"mov ebp, esp","symbol":"vfs_read+0x'
answer 7 '"result":"vfs_read"'
answer 8 'no function is known to be there'
objdump_like 3 >"$dir/code"
far=$(sed -n '31s/ .*//p' "$dir/code")
ask launch
ask evaluate '{"expression":"seek end"}'
echo stops >"$dir/kind.$seq"
ask disassemble '{"memoryReference":"'"$far"'","instructionOffset":-10,"instructionCount":20}'
ask disconnect
session 0 "$dir/boot.lks"
objdump_like 3 >"$dir/part"
sed -n 21,40p "$dir/code" >"$dir/want"
passed=$((passed + 1))
cmp -s "$dir/want" "$dir/part" || complain "backwards: $(cat "$dir/part")"

# ---- the module: before it is loaded, forwards and backwards ----
ask launch '{"trace":"'"$dir/boot.lks"'","modules":"'"$guest/module"'"}'
ask setFunctionBreakpoints '{"breakpoints":[{"name":"v86fs_init"},{"name":"v86fs:v86fs_create"}]}'
ask continue '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask stepIn '{"threadId":1,"granularity":"instruction"}'
ask stackTrace '{"threadId":1}'
ask evaluate '{"expression":"seek end"}'
echo stops >"$dir/kind.$seq"
ask evaluate '{"expression":"v86fs_request_call"}'
ask reverseContinue '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask disconnect
session 0
answer 2 '"verified":false,"message":"nothing of this name is known yet'
passed=$((passed + 1))
[ "$(grep -c '"event":"breakpoint"' "$dir/out")" = 2 ] ||
    complain 'a module came, and its functions are not reported'
grep '"event":"breakpoint"' "$dir/out" | grep -q '"verified":true,"id":8193' ||
    complain 'v86fs_init is not found'
event 1 '"hitBreakpointIds":[8193]'
answer_is 4 '"name":"v86fs_init \[v86fs\]",.*"name":"do_one_initcall+0x'
answer_is 6 '"name":"v86fs_init+0x[0-9a-f]* \[v86fs\]"'
answer_is 8 '"result":"0xc[0-9a-f]*"'
answer_is 10 '"name":"v86fs_[a-z]* \[v86fs\]"'

# ---- the page's own session ----
(
    cd "$dir" || exit 1
    ask launch "$(json 1)"
    ask setFunctionBreakpoints "$(json 2)"
    ask configurationDone
    ask continue '{"threadId":1}'
    ask stepIn '{"threadId":1,"granularity":"instruction"}'
    ask stackTrace '{"threadId":1}'
    ask disconnect
    failed=0
    session 0
    [ "$failed" -eq 0 ]
) || complain 'the session of the page'
grep '"request_seq":6,' "$dir/out" | sed 's/"name":/\
&/g' | sed -n 's/^"name":"\([^"]*\)".*/\1/p' | sed 's/0x[0-9a-f]*/ADDRESS/' >"$dir/shown"
block text <"$dir/page" | sed 's/0x[0-9a-f]*/ADDRESS/' >"$dir/want"
passed=$((passed + 1))
[ -s "$dir/want" ] && [ "$(head -n 4 "$dir/shown")" = "$(cat "$dir/want")" ] ||
    complain "the page's stack is: $(cat "$dir/shown")"

# ---- query ----
asked() # WANT ARG…
{
    want=$1
    shift
    passed=$((passed + 1))
    "$lockstep" query "$@" >"$dir/answer" 2>&1
    grep -q -e "$want" "$dir/answer" || complain "query $*: no '$want':
$(cat "$dir/answer")"
}
asked "pc $vfs_read  vfs_read$" "$dir/boot.lks" who "$vfs_read"
asked 'v86fs_init+0x5 \[v86fs\]$' --modules "$guest/module" "$dir/boot.lks" \
    who v86fs_init+0x5
asked '"symbol":"v86fs_init \[v86fs\]"' --json --modules "$guest/module" \
    "$dir/boot.lks" who v86fs:v86fs_init
asked 'not executed before' -t start "$dir/boot.lks" who vfs_read
asked 'is no pc or symbol' -t 20000000 "$dir/boot.lks" who no_such_name
asked 'is no pc$' --no-kallsyms -t 0 "$dir/boot.lks" who vfs_read
asked 'is no address' -t 20000000 "$dir/boot.lks" last-write no_such_name,4
asked '/no/such/folder' --modules /no/such/folder -t 0 "$dir/boot.lks" who vfs_read

# ---- not where they are not wanted; what is refused ----
ask launch
ask evaluate '{"expression":"vfs_read"}'
ask disconnect
session 0 --no-kallsyms "$dir/boot.lks"
answer 2 'a register, *ADDRESS'
ask launch '{"trace":"'"$dir/boot.lks"'","modules":"/no/such/folder"}'
ask launch '{"trace":"'"$dir/boot.lks"'","kallsyms":false}'
ask evaluate '{"expression":"vfs_read"}'
ask disconnect
session 0
answer 1 'the folder of modules cannot be read'
answer 2 '"success":true'
answer 3 'a register, *ADDRESS'

echo "dap.sh: $passed checks, $failed failed"
[ "$failed" -eq 0 ]
