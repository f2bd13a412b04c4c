#!/bin/sh
# SPDX-License-Identifier: MIT
#
# dap_cli.sh LOCKSTEP [ELF]: a session of the Debug Adapter Protocol, request by request.
# ELF is tests/system/debuggee.S, for a pc with callers.
set -u
LC_ALL=C
export LC_ALL
lockstep=$1
elf=${2:-}
. tests/golden/dap_lib.sh

# refused WORDS: the bytes of $dir/in end the session with an error that has them.
refused()
{
    "$lockstep" dap "$dir/fib.lks" <"$dir/in" >/dev/null 2>"$dir/err"
    got=$?
    passed=$((passed + 1))
    [ "$got" = 125 ] || complain "nonsense ends with status $got"
    grep -qF -e "$1" "$dir/err" || complain "nonsense is not called '$1'"
}

"$lockstep" record -q --reg a0=9 -o "$dir/fib.lks" pvm corpus/pvm/bin/fib.pvm ||
    complain 'no trace'
"$lockstep" disasm corpus/pvm/bin/fib.pvm | grep '^@' >"$dir/listing"
call=$(grep -n 'load_imm_jump ra' "$dir/listing" | cut -d : -f 1)
first=$(grep -n 'add_imm_64 sp, sp, -24' "$dir/listing" | cut -d : -f 1)

# ---- to the end and back ----
ask initialize '{"adapterID":"test"}'
ask launch '{"trace":"'"$dir/fib.lks"'"}'
ask configurationDone
ask threads
ask stackTrace '{"threadId":1}'
ask source '{"sourceReference":1}'
ask continue '{"threadId":1}'
ask variables '{"variablesReference":2}'
ask stepBack '{"threadId":1}'
ask reverseContinue '{"threadId":1}'
ask variables '{"variablesReference":2}'
ask disconnect
session 0
answer 1 '"supportsStepBack":true'
answer 2 '"success":true'
grep -q '"event":"initialized"' "$dir/out" || complain 'no initialized event'
event 1 '"reason":"entry"'
answer 4 '"name":"pvm"'
answer 5 '"instructionPointerReference":"0x100000000"'
answer 6 '@0:     jump @5'
event 2 'the end of the recording'
end=$(grep '"request_seq":8,' "$dir/out" | sed 's/.*"end","value":"\([0-9]*\)".*/\1/')
answer 8 '"name":"icount","value":"'"$end"'"'
event 3 '"reason":"step"'
event 4 'the beginning of the recording'
answer 11 '"name":"icount","value":"0"'

# ---- a capability kernel: from one program to another, and back ----
"$lockstep" record -q -o "$dir/calls.lks" kernel corpus/jar/calls.json 2>/dev/null ||
    complain 'no trace of a kernel'
ask launch '{"trace":"'"$dir/calls.lks"'"}'
ask setInstructionBreakpoints '{"breakpoints":[{"instructionReference":"0x200000005"}]}'
ask configurationDone
ask threads
ask source '{"sourceReference":1}'
ask continue '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask stepBack '{"threadId":1,"granularity":"instruction"}'
ask stepBack '{"threadId":1,"granularity":"instruction"}'
ask stackTrace '{"threadId":1}'
ask disconnect
session 0
answer 4 '"name":"kernel"'
answer 5 '@0:     jump @10'
answer 5 '1@34:   ecalli 22'
answer 7 '"instructionPointerReference":"0x200000005"'
answer 7 '"name":"called by the instance at depth 0"'
answer 7 '"presentationHint":"label"},{'
answer 7 '"instructionPointerReference":"0x1000000'
answer 10 '"instructionPointerReference":"0x1'

# ---- breakpoints, steps over and out ----
ask launch
ask setBreakpoints '{"source":{"sourceReference":1},"breakpoints":[{"line":'"$call"'},{"line":99999}]}'
ask setBreakpoints '{"source":{"path":"/x.c"},"breakpoints":[{"line":1}]}'
ask continue '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask setBreakpoints '{"source":{"sourceReference":1},"breakpoints":[]}'
ask next '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask stepBack '{"threadId":1}'
ask evaluate '{"expression":"seek start"}'
echo stops >"$dir/kind.$seq"
ask goto '{"targetId":'"$call"'}'
ask stepIn '{"threadId":1}'
ask stepIn '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask stepOut '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask setInstructionBreakpoints '{"breakpoints":[{"instructionReference":"0x100000007"},{"instructionReference":"here"}]}'
ask reverseContinue '{"threadId":1}'
ask disconnect
session 0 "$dir/fib.lks"
answer 1 '"success":true'
answer 2 '"verified":true,"id":1'
answer 2 'there is no instruction in this line'
answer 3 'this trace knows no such source'
event 1 '"hitBreakpointIds":[1]'
answer 5 '"line":'"$call"','
event 2 '"reason":"step"'
answer 8 '"line":'$((call + 1))','
event 4 '"reason":"goto"'
event 5 '"reason":"step"'
answer 14 '"line":'$((first + 1))','
behind=$(sed -n "$((call + 1))s/^@\([0-9]*\):.*/\1/p" "$dir/listing")
answer 14 '"line":'"$call"','
answer 14 '"instructionPointerReference":"'"$(printf 0x1%08x "$behind")"'"'
answer 14 '"name":"'"$(printf 0x1%08x+ "$(sed -n "${first}s/^@\([0-9]*\):.*/\1/p" "$dir/listing")")"
answer 14 '"totalFrames":2'
answer 16 '"line":'$((call + 1))','
answer 17 '"id":4097'
answer 17 'this is no address'
event 9 '"hitBreakpointIds":[4097]'

# ---- conditions, counts, positions of events ----
ask launch
ask setBreakpoints '{"source":{"sourceReference":1},"breakpoints":[{"line":'"$call"',"condition":"icount >= 30"},{"line":'"$call"',"condition":"a0 ="},{"line":'"$call"',"hitCondition":"0"}]}'
ask continue '{"threadId":1}'
ask variables '{"variablesReference":2}'
ask setBreakpoints '{"source":{"sourceReference":1},"breakpoints":[{"line":'"$call"',"hitCondition":"4"}]}'
ask evaluate '{"expression":"seek start"}'
echo stops >"$dir/kind.$seq"
ask continue '{"threadId":1}'
ask variables '{"variablesReference":2}'
ask setBreakpoints '{"source":{"sourceReference":1},"breakpoints":[{"line":'"$call"'}]}'
ask reverseContinue '{"threadId":1}'
ask reverseContinue '{"threadId":1}'
ask reverseContinue '{"threadId":1}'
ask variables '{"variablesReference":2}'
ask reverseContinue '{"threadId":1}'
ask evaluate '{"expression":"seek e:8"}'
echo stops >"$dir/kind.$seq"
ask evaluate '{"expression":"seek e:99"}'
ask evaluate '{"expression":"seek nowhere"}'
ask disconnect
session 0 "$dir/fib.lks"
answer 2 '"verified":true,"id":1'
answer 2 'a condition is A OP B'
answer 2 'a hit condition is N'
event 1 '"hitBreakpointIds":[1]'
icount_of() # REQUEST
{
    grep "\"request_seq\":$1," "$dir/out" | sed 's/.*"icount","value":"\([0-9]*\)".*/\1/'
}
passed=$((passed + 1))
[ "$(icount_of 4)" -ge 30 ] || complain 'a condition was not heeded'
event 3 '"hitBreakpointIds":[1]'
event 6 '"hitBreakpointIds":[1]'
passed=$((passed + 1))
[ "$(icount_of 13)" -lt "$(icount_of 8)" ] || complain 'the fourth hit is not the fourth'
event 7 'the beginning of the recording'
answer 16 'there is no such position'
answer 17 'this is no position'

# ---- a pc: the callers of `square`, at its first instruction and in its frame ----
if [ -s "$elf" ]; then
    "$lockstep" record -q -o "$dir/pc.lks" pc --boot flat -k "$elf" </dev/null \
        >/dev/null || complain 'no trace of a pc'
    # Assemblers choose their own lengths of instructions.
    square=0x$(objdump -d "$elf" | sed -n 's/^0*\([0-9a-f]*\) <square>:$/\1/p')
    behind=0x$(objdump -d "$elf" |
        sed -n '/call .*<square>/{n;s/^ *\([0-9a-f]*\):.*/\1/p;}')
    ask launch
    ask setInstructionBreakpoints '{"breakpoints":[{"instructionReference":"'"$square"'"}]}'
    ask continue '{"threadId":1}'
    ask stackTrace '{"threadId":1}'
    ask stepIn '{"threadId":1}'
    ask stepIn '{"threadId":1}'
    ask stackTrace '{"threadId":1}'
    ask disconnect
    session 0 "$dir/pc.lks"
    for n in 4 7; do
        answer $n '"instructionPointerReference":"'"$behind"'"'
        answer $n '"instructionPointerReference":"0x100027"'
        answer $n '"totalFrames":3'
    done
else
    echo 'no 32-bit compiler: callers of a pc are skipped'
fi

# ---- memory and data ----
ask launch
ask evaluate '{"expression":"seek 50%"}'
echo stops >"$dir/kind.$seq"
ask evaluate '{"expression":"sp"}'
ask evaluate '{"expression":"1+1"}'
ask readMemory '{"memoryReference":"0xfefdffe8","count":10}'
ask readMemory '{"memoryReference":"0x10","count":10}'
ask dataBreakpointInfo '{"name":"0xfefdffe8","bytes":8}'
ask dataBreakpointInfo '{"variablesReference":1,"name":"a0"}'
ask setDataBreakpoints '{"breakpoints":[{"dataId":"0xfefdffe8,8","accessType":"write"},{"dataId":"x"}]}'
ask reverseContinue '{"threadId":1}'
ask disassemble '{"memoryReference":"0x100000007","instructionOffset":-3,"instructionCount":6}'
ask bogus
ask disconnect
session 0 "$dir/fib.lks"
answer 3 '"result":"0xfef'
answer 4 'a register, *ADDRESS'
answer 5 '"data":"'
answer 6 '"unreadableBytes":10'
answer 7 '"dataId":"0xfefdffe8,8"'
answer 8 '"dataId":null'
answer 9 '"verified":true,"id":12289'
answer 9 'did not come from dataBreakpointInfo'
event 2 '"reason":"data breakpoint"'
event 2 '"hitBreakpointIds":[12289]'
answer 11 '"presentationHint":"invalid"'
answer 11 '"instruction":"add_imm_64 sp, sp, -24"'
answer 12 'does not know the request'

# ---- lines of C: breakpoints, steps, and their way back ----
"$lockstep" link -q -g -f spi -o "$dir/debug.pvm" corpus/link/debug.o 2>"$dir/err" &&
    "$lockstep" record -q --reg a0=3 -o "$dir/debug.lks" pvm "$dir/debug.pvm" ||
    complain "no trace of debug.o: $(cat "$dir/err")"
frame_line() # REQUEST LINE: the innermost frame is in this line of debug.c
{
    answer "$1" '"path":"'"$dir/debug.c"'"'
    answer "$1" '"line":'"$2"','
}
ask launch '{"trace":"'"$dir/debug.lks"'","symbols":"'"$dir/debug.pvm.dbg"'"}'
ask loadedSources
ask stackTrace '{"threadId":1}'
ask setBreakpoints '{"source":{"path":"'"$dir/debug.c"'"},"breakpoints":[{"line":34},{"line":42},{"line":36,"condition":"a0 ="}]}'
ask continue '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask next '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask stepIn '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask stepBack '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask stepIn '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask stepBack '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask next '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask stepBack '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask stepBack '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask stepIn '{"threadId":1,"granularity":"instruction"}'
ask stackTrace '{"threadId":1}'
ask disconnect
session 0
answer 2 '"path":"'"$dir/debug.c"'"'
answer 3 '"sourceReference":1'
answer 4 '"verified":true,"id":1,"instructionReference":"0x100000029","line":35'
answer 4 'there is no code in or behind this line'
answer 4 'a condition is A OP B'
event 1 '"hitBreakpointIds":[1]'
frame_line 6 35
frame_line 8 36
frame_line 10 24
answer 3 '"name":"0x100000000"'
answer 6 '"name":"start"'
answer 10 '"name":"leaf"'
answer 10 '"name":"start+0xf"'
frame_line 12 36
frame_line 14 24
frame_line 16 36
frame_line 18 37
frame_line 20 36
frame_line 22 35
frame_line 24 35

# ---- a function by its name, and names in expressions and code ----
ask launch '{"trace":"'"$dir/debug.lks"'","symbols":"'"$dir/debug.pvm.dbg"'"}'
ask setFunctionBreakpoints '{"breakpoints":[{"name":"leaf","hitCondition":"2"},{"name":"nobody"},{}]}'
ask evaluate '{"expression":"leaf"}'
ask continue '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask setFunctionBreakpoints '{"breakpoints":[{"name":"leaf"}]}'
ask reverseContinue '{"threadId":1}'
ask setFunctionBreakpoints '{"breakpoints":[]}'
ask continue '{"threadId":1}'
ask disassemble '{"memoryReference":"0x100000029","instructionCount":1}'
ask evaluate '{"expression":"0x100000029"}'
ask disconnect
session 0
answer 1 '"success":true'
answer 2 '"verified":true,"id":8193,"instructionReference":"0x1000000'
answer 2 '"verified":false,"message":"nothing of this name is known yet'
answer 2 '"message":"which function?"'
answer 3 '"result":"0x1000000'
event 1 '"hitBreakpointIds":[8193]'
answer 5 '"name":"leaf","line"'
event 2 '"hitBreakpointIds":[8193]'
event 3 'the end of the recording'
answer 10 '"symbol":"start'
answer 11 '"result":"start'
ask launch '{"trace":"'"$dir/debug.lks"'","modules":"."}'
ask disconnect
session 0
answer 1 'only a pc has modules and kallsyms'
session 125 --no-kallsyms "$dir/debug.lks"

# ---- out of a function by lines, into the middle of a line; and backwards over a call ----
ask launch '{"trace":"'"$dir/debug.lks"'","symbols":"'"$dir/debug.pvm.dbg"'"}'
ask setInstructionBreakpoints '{"breakpoints":[{"instructionReference":"0x10000001f"}]}'
ask continue '{"threadId":1}'
ask setInstructionBreakpoints '{"breakpoints":[]}'
ask stackTrace '{"threadId":1}'
ask next '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask next '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask stepBack '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask setBreakpoints '{"source":{"path":"'"$dir/debug.c"'"},"breakpoints":[{"line":24}]}'
ask next '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask disconnect
session 0
frame_line 5 26
frame_line 7 37
frame_line 9 38
frame_line 11 37
answer 11 '"instructionPointerReference":"0x100000042"'
event 5 '"hitBreakpointIds":[1]'
frame_line 14 24

# ---- all places of a line have one id and one count; each file its own breakpoints ----
ask launch '{"trace":"'"$dir/debug.lks"'","symbols":["'"$dir/debug.pvm.dbg"'"],"sourceRoot":"/src"}'
ask setBreakpoints '{"source":{"path":"/src/debug.c"},"breakpoints":[{"line":25,"hitCondition":"4"}]}'
ask setBreakpoints '{"source":{"sourceReference":1},"breakpoints":[{"line":1}]}'
ask setBreakpoints '{"source":{"sourceReference":1},"breakpoints":[]}'
ask continue '{"threadId":1}'
ask stackTrace '{"threadId":1}'
ask setBreakpoints '{"source":{"path":"/elsewhere/debug.c"},"breakpoints":[]}'
ask continue '{"threadId":1}'
ask disconnect
session 0
answer 2 '"verified":true,"id":1,'
event 1 '"hitBreakpointIds":[1]'
answer 6 '"path":"/src/debug.c"'
answer 6 '"line":25,'
answer 6 '"instructionPointerReference":"0x100000019"'
event 2 'the end of the recording'

# ---- a loop in one line is one step, and one back ----
if command -v clang-19 >/dev/null; then
    cat >"$dir/loop.c" <<'END'
#include "pvm.h"
static volatile uint64_t n = 7, sum;
static void main_(void)
{
    sum = 1;
    do sum = sum * 3 + n; while (--n);
    sum++;
}
PVM_EXPORT(0, main_);
END
    "$lockstep" cc -q -g -O1 -f spi --lib=corpus/pvm/lib -o "$dir/loop.pvm" \
        "$dir/loop.c" &&
        "$lockstep" record -q -o "$dir/loop.lks" pvm "$dir/loop.pvm" ||
        complain 'no trace of a loop'
    ask launch '{"trace":"'"$dir/loop.lks"'","symbols":"'"$dir/loop.pvm.dbg"'"}'
    ask setBreakpoints '{"source":{"path":"'"$dir/loop.c"'"},"breakpoints":[{"line":5}]}'
    ask continue '{"threadId":1}'
    ask next '{"threadId":1}'
    ask stackTrace '{"threadId":1}'
    ask next '{"threadId":1}'
    ask stackTrace '{"threadId":1}'
    ask stepBack '{"threadId":1}'
    ask stackTrace '{"threadId":1}'
    ask stepBack '{"threadId":1}'
    ask stackTrace '{"threadId":1}'
    ask disconnect
    session 0
    answer 5 '"line":6,'
    answer 7 '"line":7,'
    answer 9 '"line":6,'
    answer 11 '"line":5,'
else
    echo 'no clang-19: the loop in one line is skipped'
fi

# ---- debug information that is none ----
ask launch '{"trace":"'"$dir/debug.lks"'","symbols":"'"$dir/none"'"}'
ask launch '{"trace":"'"$dir/debug.lks"'","symbols":"'"$dir/debug.pvm"'"}'
ask launch '{"trace":"'"$dir/debug.lks"'","symbols":"corpus/link/got.o"}'
ask disconnect
session 0
answer 1 'cannot be read'
answer 2 'is no OUT.dbg'
answer 3 'has no lines and names'

# ---- what cannot be ----
ask stackTrace
ask launch
ask launch '{"trace":"'"$dir/none.lks"'"}'
ask disconnect
session 0
answer 1 'no trace is open'
answer 2 'which trace?'
answer 3 '"success":false'
session 125 "$dir/none.lks"
printf 'Content-Length: 5\r\n\r\n{"a":' >"$dir/in"
refused 'no JSON object'
printf 'Content-Length: 99999999999\r\n\r\n' >"$dir/in"
refused 'Content-Length'
printf 'Content-Type: x\r\n\r\n' >"$dir/in"
refused 'Content-Length'
head -c 5000 /dev/zero | tr '\000' 'x' >"$dir/in"
refused 'does not end'

echo "$passed checks, $failed failed"
[ "$failed" -eq 0 ]
