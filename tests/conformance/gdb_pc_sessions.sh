#!/bin/sh
# SPDX-License-Identifier: MIT
#
# gdb_pc_sessions.sh LOCKSTEP ELF FILES: stock gdb over a recorded pc (ELF is
# tests/system/debuggee.S, FILES a driver of the file device), forwards and backwards.  Run in the source root; without gdb or the program the status
# is 77 (skipped).
set -u
LC_ALL=C
export LC_ALL
lockstep=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
elf=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
files=$(cd "$(dirname "$3")" && pwd)/$(basename "$3")
root=$PWD
command -v gdb >/dev/null || {
    echo "gdb_pc_sessions.sh: SKIPPED: there is no gdb"
    exit 77
}
[ -s "$elf" ] && [ -s "$files" ] || {
    echo "gdb_pc_sessions.sh: SKIPPED: no 32-bit compiler"
    exit 77
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
. "$root/tests/conformance/gdb_lib.sh"
"$lockstep" record -q -o pc.lks pc --boot flat -k "$elf" </dev/null >/dev/null || exit 1
"$lockstep" record -q -o files.lks pc --boot flat -k "$files" --fs mem --log-bytes \
    </dev/null >/dev/null || exit 1

# pc NAME: a session with symbols.
pc()
{
    session "$1" pc.lks --symbols "$elf"
}

# ---- registers, memory, code ----

pc registers <<'END'
p/x $eip
p/x $cs
break paged
continue
p/x $cr0 & 0x80000001
p/x $cr3 == &directory
p/x $linear_pc == $eip
info registers eflags
END
says '= 0x100000$' '= 0x80000001$' '^eflags  *0x' 'Breakpoint 1'
counts 2 '= 0x1$'

pc fpu <<'END'
seek end
p $st0
p $st1
p/x $ftag
END
says '= 3.14159265358979' '= 1$' '= 0xfff$'

expect=1
pc memory <<'END'
seek end
x/4dw &table
p *(int *)((char *)&table + 36)
x/s &copy
x/2xw 0xfffff000
END
says '0	1	4	9' '= 81$' '"The quick brown fox jumps over the lazy' 'Cannot access memory'

pc two-addresses <<'END'
seek end
p/x *(int *)0x400000
p/x *(int *)&shared
p/x *(int *)0x400004
seek start
x/1xw 0x400000
END
says '= 0x1234$' '= 0x5678$' '0x400000:	0x00000000'
counts 2 '= 0x1234$'

pc code <<'END'
x/2i square
info symbol $eip
disassemble outer,+3
END
says 'push   %ebp' '_start in section .text'

# ---- steps ----

pc steps <<'END'
stepi 4
monitor when
reverse-stepi 2
monitor when
reverse-stepi 5
END
says '^icount 4 sub 0' '^icount 2 sub 0' 'No more reverse-execution'

pc inside-rep <<'END'
break copying
continue
delete
p $ecx
stepi
p $ecx
stepi 3
p $ecx
monitor when
reverse-stepi 2
p $ecx
p *((char *)$edi - 1)
END
says '= 40$' '= 39$' '= 36$' 'sub 4 ' '= 38$' "= 104 'h'"

pc stepping-out-of-rep <<'END'
break copying
continue
delete
set $n = 0
while $eip == (int)&copying
stepi
set $n = $n + 1
end
p $n
reverse-stepi
p $ecx
END
says '= 40$' '= 1$'

pc step-over-call <<'END'
break *&fill + 2
continue
nexti
p $eax
reverse-nexti
p $eip == (int)&fill + 2
END
says '= 1$'

pc finish <<'END'
break square if $esi == 7
continue
finish
p $eax
reverse-stepi
p $eip >= (int)&square
END
says '= 49$' '= 1$'

pc reverse-finish <<'END'
break *&square + 6
ignore 1 4
continue
p *(int *)($ebp + 8)
reverse-finish
p $esi
x/i $eip
END
says '= 4$' 'call .*square'

# ---- frames ----

pc backtrace <<'END'
break *&square + 3
continue
backtrace
up
p/x $eip == (int)&outer + 14
END
says '^#0 .*square' '^#1 .*outer' '^#2 .*fill'

# ---- breakpoints ----

pc breakpoints <<'END'
break square
hbreak outer
continue
continue
continue
info breakpoints
delete 1
continue
p $esi
reverse-continue
reverse-continue
p $esi
END
says 'hw breakpoint' 'already hit 2 times' '= 2$' '= 0$'

pc condition <<'END'
break square if $esi == 12
continue
p $esi
condition 1 $esi == 3
reverse-continue
p $esi
reverse-continue
END
says '= 12$' '= 3$' 'No more reverse-execution'

pc ignore-count <<'END'
break square
ignore 1 9
continue
p $esi
END
says '= 9$'

pc many-breakpoints <<'END'
set $i = 0
while $i < 300
break *(0x200000 + $i * 16)
set $i = $i + 1
end
break square
continue
p $esi
p $bpnum
reverse-continue
END
says '= 301$' '= 0$' 'No more reverse-execution'

pc temporary <<'END'
tbreak done
continue
reverse-continue
p/x $eip
END
says 'Temporary breakpoint 1' '= 0x100000$'

# ---- watchpoints ----

# Forwards behind the store, backwards in front of it.
pc who-broke-the-table <<'END'
seek end
p/x ((int *)&table)[11]
watch ((int *)&table)[11]
reverse-continue
p ((int *)&table)[11]
x/i $eip
reverse-continue
p $esi
reverse-continue
END
says '= 0xbad$' 'Old value = 2989' '= 121$' 'movl .*0xbad' '= 11$' 'No more reverse-exec'

pc watch-forwards <<'END'
watch *(int *)&ticks
continue
continue
delete
reverse-stepi
p *(int *)&ticks
END
says 'New value = 1' 'New value = 2' '= 1$'

pc read-and-access-watches <<'END'
rwatch *(char *)&message
continue
x/i $eip
delete
awatch *(int *)&ticks
reverse-continue
p $eip > (int)&sleeping
END
says 'read watchpoint' 'Value = 97' 'acc.* watchpoint 2'

pc watch-in-rep <<'END'
watch *((char *)&copy + 7)
continue
p $ecx
monitor when
reverse-continue
p (int)*((char *)&copy + 7)
END
says "New value = 99 'c'" '= 32$' 'sub 8 ' '= 0$'

pc large-watch <<'END'
watch -l *(char (*)[64])&table
continue
p $esi
continue
p $esi
END
says '= 1$' '= 2$'

pc hundred-watches <<'END'
set $i = 0
while $i < 100
eval "watch *(int *)%u", 0x300000 + $i * 4
set $i = $i + 1
end
watch *(int *)&ticks
continue
delete
p *(int *)&ticks
END
says 'watchpoint 101' '= 1$'

# The first reply is written by the device, while the guest tells it of the request.
session device-writes files.lks --symbols "$files" <<'END'
watch *(int *)0x310400
continue
monitor when
reverse-continue
x/i $eip
p *(int *)0x310400
END
says 'Old value = 0' '^icount 358 ' 'out  *%ax,(%dx)' '= 0$'

# ---- interrupts and sleep ----

pc interrupts <<'END'
break timer
continue
x/i ((int *)$esp)[0] - 1
continue
p *(int *)&ticks
monitor events -0 +1 pc.irq
reverse-continue
p *(int *)&ticks
END
says 'hlt' 'pc.irq'
counts 1 '= 1$'

pc asleep <<'END'
break sleeping
continue
delete
stepi
monitor when
stepi
monitor when
stepi
p/x $eip == (int)&timer
reverse-stepi 3
p/x $eip == (int)&sleeping
END
says 'sub 0 ' 'sub [1-9][0-9]* '
counts 2 '= 0x1$'

# ---- monitor, positions ----

pc last-write <<'END'
seek end
monitor last-write 0x10
monitor hash
monitor stats
monitor checkpoint there
seek 50%
monitor info checkpoints
seek #there
monitor when
END
says 'not written before here' '#there icount' '^icount [0-9]* sub 0 .*(100%'

pc output <<'END'
seek out:3
monitor when
x/i $eip
break done
continue
seek e:5
monitor events -0 +2
END
says 'out ' '^icount'

pc no-gas <<'END'
seek g:100
monitor when
END
says 'is no position here' '^icount 0 sub 0'

# gdb waits for a seek that takes minutes.
pc long-seek <<'END'
show remotetimeout
END
says 'is 3600'

pc fence <<'END'
break fill
continue
monitor fence 6
reverse-continue
monitor when
END
says '^icount 6 sub 0'

expect=1
pc read-only-registers <<'END'
set $eax = 5
END
says 'Could not write register'

expect=1
pc read-only-memory <<'END'
set *(int *)&ticks = 9
END
says 'Cannot access memory'

finish gdb_pc_sessions.sh
