#!/bin/sh
# SPDX-License-Identifier: MIT
#
# gdb_sessions.sh LOCKSTEP [quick]: stock gdb-multiarch over recorded runs, forwards and
# backwards.  A session is a script for gdb and patterns that its output must have.  Run
# in the source root; without gdb-multiarch the status is 77 (skipped).
set -u
LC_ALL=C
export LC_ALL
lockstep=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
quick=${2:-}
root=$PWD
command -v gdb-multiarch >/dev/null || {
    echo "gdb_sessions.sh: SKIPPED: there is no gdb-multiarch"
    exit 77
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
. "$root/tests/conformance/gdb_lib.sh"

# ---- what is recorded ----

# Twelve laps: a1 is the square of a0, or 0 in the laps of a lost write.
cat >laps.s <<'END'
load_imm a0, 0
load_imm a1, 7
fallthrough
loop:
add_imm_64 a0, a0, 1
mul_64 a1, a0, a0
branch_lt_u_imm a0, 12, loop
add_64 a2, a0, a1
trap
END
"$lockstep" asm -o laps.pvm laps.s || exit 1
"$lockstep" record -q -o laps.lks --gas-log=ledger pvm laps.pvm --container=raw \
    --profile=javm --gas=10000 || exit 1
"$lockstep" link -g -f spi -o q.pvm "$root/corpus/pvm/obj/qsort.o" || exit 1
"$lockstep" record -q -o q.lks pvm q.pvm --reg a0=300 || exit 1
"$lockstep" record -q -o calc.lks pvm "$root/corpus/pvm/bin/calc.pvm" \
    --stdin "$root/corpus/pvm/cases/calc-good.in" >/dev/null || exit 1

# ---- registers, steps ----

session registers laps.lks <<'END'
p/x $pc
p $gas
p/d $zero
p/d $gp
info registers a1
p/x $sp
END
says '= 0x100000000' '= 10000' '^a1 *0x0'
counts 2 '= 0$'

session stepi laps.lks <<'END'
stepi
stepi
p $a1
stepi 3
p $a0
p $a1
monitor when
END
says '= 7$' '= 1$' 'icount 5 '

session reverse-stepi laps.lks <<'END'
stepi 10
p $a0
reverse-stepi 3
p $a0
monitor when
reverse-stepi 7
p/x $pc
END
says 'icount 7 ' '= 0x100000000'

session begin-of-log laps.lks <<'END'
stepi
reverse-stepi
reverse-stepi
reverse-continue
p/x $pc
END
says 'No more reverse-execution history' '= 0x100000000'

session end-of-log laps.lks <<'END'
continue
monitor when
stepi
continue
x/1xb $pc
p $a2
END
says 'No more reverse-execution history' 'icount 40 ' '= 156$'

if [ "$quick" != quick ]; then

session gas laps.lks <<'END'
p $gas
seek 20
p $gas
reverse-stepi 20
p $gas
END
counts 2 '= 10000$'

session seek laps.lks <<'END'
seek 20
monitor when
seek start
monitor when
seek end
monitor when
seek 50%
monitor when
seek +3
monitor when
seek -1
monitor when
END
says 'icount 20 ' 'icount 0 ' 'icount 40 ' 'icount 23 ' 'icount 22 '

session seek-event calc.lks <<'END'
monitor events -0 +40 ecall
seek e:12
monitor when
seek g:6000
monitor when
END
says 'event 1[0-2]' 'icount [0-9]* sub 0 gas 6[0-9]*'

session seek-output calc.lks <<'END'
seek out:0
monitor events +3
END
says 'console.out'

session seek-nowhere laps.lks <<'END'
seek rubbish
seek #nothing
monitor when
seek 99999999
monitor when
END
says "'rubbish' is no position here" "'#nothing' is no position here" 'icount 0 ' 'icount 40 '

name=write-refused sessions=$((sessions + 1))
printf 'set $a0 = 5\n' >script.gdb
if timeout 60 "$lockstep" debug --batch script.gdb q.lks >out 2>&1; then
    bad "a register was changed"
fi
says 'Could not write register'

# ---- breakpoints ----

session break-address laps.lks <<'END'
break *0x100000006
continue
p $a0
continue
p $a0
continue
END
says 'Breakpoint 1, '

session break-line laps.lks <<'END'
info line 5
break program.pvm.s:7
continue
p $a0
continue 3
p $a0
END
says 'Breakpoint 1, ' 'program.pvm.s:7'

session hbreak laps.lks <<'END'
hbreak *0x100000009
continue
continue
info breakpoints
END
says 'Breakpoint 1, ' 'breakpoint already hit 2 times'

session tbreak laps.lks <<'END'
tbreak program.pvm.s:6
continue
continue
END
says 'Temporary breakpoint 1, ' 'No more reverse-execution history'

session condition laps.lks <<'END'
break program.pvm.s:7 if $a0 == 9
continue
p $a0
p $a1
continue
END
says '= 9$' 'No more reverse-execution history'
counts 1 'Breakpoint 1, '

session condition-gas laps.lks <<'END'
break program.pvm.s:7 if $gas < 9950 && $a0 > 3
continue
p $gas < 9950
reverse-continue
END
says '= 1$'

session ignore laps.lks <<'END'
break program.pvm.s:7
ignore 1 4
continue
p $a0
END
says '= 5$'

session reverse-continue laps.lks <<'END'
break program.pvm.s:7
seek end
reverse-continue
p $a0
reverse-continue
p $a0
delete
reverse-continue
END
says '= 12$' '= 11$' 'No more reverse-execution history'

session reverse-condition laps.lks <<'END'
break program.pvm.s:7 if $a0 == 4
seek end
reverse-continue
p $a1
monitor when
END
says '= 16$\|= 9$' 'Breakpoint 1, '

session there-and-back laps.lks <<'END'
break program.pvm.s:7
continue
continue 4
p $a0
reverse-continue
reverse-continue
p $a0
continue
p $a0
END
says '= 5$' '= 3$' '= 4$'

session many-breakpoints laps.lks <<'END'
break *0x100000000
break *0x100000002
break *0x100000005
break *0x100000006
break *0x100000009
continue
continue
continue
reverse-continue
reverse-continue
info breakpoints
END
says 'Breakpoint 2, ' 'Breakpoint 3, ' 'Breakpoint 4, '

session commands laps.lks <<'END'
break program.pvm.s:7
commands
silent
printf "lap %d\n", $a0
continue
end
continue
END
counts 12 '^lap '

# ---- watchpoints ----

session watch-register laps.lks <<'END'
break program.pvm.s:7 if $a0 == 2
continue
watch $a0
continue
END
says 'New value = 3'

session watch q.lks --symbols q.pvm.dbg <<'END'
break bench
continue
watch list[5]
continue
continue
p list[5]
END
says 'Hardware watchpoint 2: list\[5\]' 'Old value = 0' 'New value = 1316748153' \
    'Old value = 1316748153'

session reverse-watch q.lks --symbols q.pvm.dbg <<'END'
seek end
p list[5]
watch list[5]
reverse-continue
p list[5]
info symbol $pc
reverse-continue
END
says 'Hardware watchpoint 1: list\[5\]' 'Old value' 'New value' 'sort\|swap'

session watch-back-to-the-first q.lks --symbols q.pvm.dbg <<'END'
seek end
watch list[299]
reverse-continue
reverse-continue
reverse-continue
reverse-continue
reverse-continue
reverse-continue
reverse-continue
reverse-continue
reverse-continue
reverse-continue
END
says 'New value = 0' 'No more reverse-execution history'

session rwatch q.lks --symbols q.pvm.dbg <<'END'
break sort
continue
rwatch list[7]
continue
END
says 'Hardware read watchpoint 2' 'Value = '

session awatch q.lks --symbols q.pvm.dbg <<'END'
awatch list[3]
continue
continue
END
says 'Hardware access (read/write) watchpoint' 'New value\|Value = '

session watch-large q.lks --symbols q.pvm.dbg <<'END'
watch *(char(*)[1200])&list
continue
info symbol $pc
END
says 'Hardware watchpoint 1' 'bench'

session watch-condition q.lks --symbols q.pvm.dbg <<'END'
watch list[5] if list[5] > 2000000000
continue
p list[5] > 2000000000
END
says 'watchpoint 1\|No more'

session watch-many q.lks --symbols q.pvm.dbg <<'END'
watch list[1]
watch list[50]
watch list[100]
watch list[150]
watch list[200]
watch list[250]
continue
continue
seek end
reverse-continue
END
says 'Hardware watchpoint 1' 'Hardware watchpoint 2: list\[50\]'

# ---- source level ----

session source q.lks --symbols q.pvm.dbg <<END
directory $root/corpus/pvm/src
break bench
continue
list
info args
next
step
info line
END
says 'bench (n=300) at corpus/pvm/src/qsort.c:66' 'pvm_panic' 'n = 300'

session reverse-step q.lks --symbols q.pvm.dbg <<END
directory $root/corpus/pvm/src
break bench
continue
next
next
next
reverse-next
reverse-step
END
says '69' '70'

session backtrace q.lks --symbols q.pvm.dbg <<'END'
break sort
continue
bt
info frame
END
says '#0 '
counts 0 '^#1 '

session listing calc.lks <<'END'
list 3,6
info line program.pvm.s:4
break program.pvm.s:5
continue
nexti
next
reverse-next
info symbol $pc
END
says '@5: *add_imm_64' 'starts at address 0x' 'Breakpoint 1'

# ---- monitor ----

session monitor-help laps.lks <<'END'
monitor help
monitor nonsense
monitor seek 5
monitor frames
monitor hash
monitor stats
END
says 'last-write' 'no such command' 'use: seek 5' 'program 0' 'snapshots' '^[0-9a-f]\{64\}$'

session last-write q.lks --symbols q.pvm.dbg <<'END'
seek end
monitor last-write 0x30014,4
monitor next-read 0x30014,4
monitor last-write 0x30000000
seek start
monitor next-read 0x30014,4
monitor last-write 0x30014,4
END
says 'icount [0-9]* gas .* store' 'use: seek' 'not read from here' 'not written before here' ' load'

session who laps.lks <<'END'
seek 20
monitor who 9
monitor who 0x100000000
END
says 'last: icount 1[0-9] ' 'next: icount 2[0-9] ' 'last: icount 0 ' 'next: never'

session ibreak laps.lks <<'END'
monitor ibreak 17
monitor ibreak 30
monitor ibreak
continue
monitor when
continue
monitor when
reverse-continue
monitor when
monitor ibreak none
continue
END
counts 2 'icount 17 '
says 'icount 30 ' 'No more reverse-execution'

session ebreak calc.lks <<'END'
monitor ebreak ecall:68
continue
monitor events -0 +2
continue
reverse-continue
monitor ebreak rubbish
monitor ebreak none
END
says 'pvm.ecall.*op=68' 'ebreak KIND'

session fence laps.lks <<'END'
seek 20
monitor fence 15
reverse-continue
monitor when
reverse-stepi
monitor when
END
counts 2 'icount 15 '

session checkpoint laps.lks <<'END'
seek 13
monitor checkpoint here
seek end
monitor info checkpoints
monitor restart here
seek #here
monitor when
monitor checkpoint
monitor back
END
says '#here icount 13' 'use: seek #here' 'checkpoint c2 at icount 13' 'use: seek 40'

cp laps.lks marked.lks
session bookmark marked.lks <<'END'
seek 21
monitor bookmark lap7
monitor bookmark bad/name
monitor bookmarks
END
says 'saved in the trace' '#lap7 icount 21' 'cannot: '
session bookmark-again marked.lks --at '#lap7' <<'END'
monitor when
seek start
seek #lap7
monitor when
END
counts 2 'icount 21 '
"$lockstep" verify -q marked.lks >out 2>&1 || bad "verify"

session diff q.lks <<'END'
monitor diff q.lks
monitor diff laps.lks
monitor diff missing.lks
END
says 'the events are the same' 'use: seek e:' 'no such file'

session disas laps.lks <<'END'
monitor disas
monitor disas 6
monitor disas 0x100000007
END
says 'add_imm_64 a0, a0, 1' 'mul_64 a1, a0, a0'

# ---- coming and going ----

# gdb looks up what code an address of data belongs to.
session data-pointers q.lks --symbols q.pvm.dbg <<'END'
seek 50%
backtrace
p/a 0x30000
x/2xg 0x30000
info symbol 0x30000
END
says '^#0 .*sort' '0x30000'
says_not 'not in symtab'

session branch calc.lks <<'END'
seek 60%
monitor when
monitor branch child.lks
monitor branch child.lks
monitor when
END
says 'branched at icount' 'is there already'
counts 2 '^icount 8161 '
"$lockstep" replay -q child.lks || bad 'the child does not replay'

session detach laps.lks <<'END'
stepi 3
detach
END
says ''

session at laps.lks --at 22 <<'END'
monitor when
END
says 'icount 22 '

fi

# ---- 10,000 steps back ----

steps=10000
[ "$quick" = quick ] && steps=300
session steps-back calc.lks <<END
seek end
set \$i = 0
while \$i < $steps
reverse-stepi
set \$i = \$i + 1
end
monitor when
END
says "icount $((13603 - steps)) "

finish gdb_sessions.sh
