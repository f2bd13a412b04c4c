#!/bin/sh
# SPDX-License-Identifier: MIT
#
# gdb_kernel.sh LOCKSTEP: stock gdb-multiarch over recorded runs of the capability kernel:
# from instance to instance, and from invocation to invocation, forwards and backwards.
# Run in the source root; without gdb-multiarch the status is 77 (skipped).
set -u
LC_ALL=C
export LC_ALL
lockstep=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
root=$PWD
command -v gdb-multiarch >/dev/null || {
    echo "gdb_kernel.sh: SKIPPED: there is no gdb-multiarch"
    exit 77
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
. "$root/tests/conformance/gdb_lib.sh"

# ---- what is recorded ----

mkdir bin
for program in counter parent store; do
    "$lockstep" link -q -g -f image -o bin/$program.caps \
        "$root/corpus/jar/obj/$program.o" || exit 1
done
for scenario in calls store; do
    cp "$root/corpus/jar/$scenario.json" .
    "$lockstep" record -q -o $scenario.lks kernel $scenario.json 2>log ||
        { cat log; exit 1; }
done
for scenario in scheduler upgrade evil; do
    "$lockstep" record -q -o $scenario.lks kernel "$root/corpus/jar/$scenario.json" 2>log ||
        { cat log; exit 1; }
done

# at TRACE KIND [PATTERN]: the number of the first event of this kind.
at() { "$lockstep" dump "$1" | grep -e " $2 .*${3:-}" | awk '{print $1; exit}'; }
# clock TRACE EVENT: its icount.
clock() { "$lockstep" dump "$1" | awk -v seq="$2" '$1 == seq {print $2}'; }

# ---- where are we ----

session frames calls.lks <<'END'
monitor instance
monitor frames
p/x $pc
p $gas
break *0x200000000
continue
monitor frames
monitor instance
monitor backtrace
END
says '^#0 0x200000000 sp 0x' '^    -- called from another instance' \
    '^#1 0x1000000[0-9a-f]* sp 0x.* in 0x1000000[0-9a-f]*+0x'
says 'slot 10 ' 'stops are for any instance' '= 0x100000000' '= 1000000000000000' \
    '> 1: instance .* program 1 pc 0x0 (0x200000000), called through slot 20' \
    '  0: instance .* program 0 pc 0x[0-9a-f]* .*, called by the host' '  slot 0 '

call=$(at calls.lks pvm.ecall op=26)
session stepi-into-a-call calls.lks <<END
seek e:$call
monitor disas
p/x (long)\$pc >> 32
stepi
p/x \$pc
monitor when
reverse-stepi
p/x (long)\$pc >> 32
monitor when
END
says 'ecalli 26' '= 0x200000000' "icount $(($(clock calls.lks "$call") + 1)) .* frame 1 " \
    "icount $(clock calls.lks "$call") .* frame 0 "
counts 2 '= 0x1$'

back=$(at calls.lks pvm.ecall 'frame=1 .*outcome=1')
session stepi-out-of-a-call calls.lks <<END
seek e:$back
p/x (long)\$pc >> 32
monitor disas
p \$a0
stepi
p/x (long)\$pc >> 32
p \$a0
reverse-stepi
p/x (long)\$pc >> 32
reverse-stepi 2
stepi 3
monitor frames
END
says 'ecalli 0' '> 0: instance .* program 0 '
counts 2 '= 0x2$'
counts 1 '= 0x1$'

# The caller's memory, while the callee runs.
session memory-of-a-frame calls.lks <<END
seek e:$call
set \$at = (long)\$sp + 8
p/x *(long *)\$at
stepi
p/x *(long *)\$at
p/x *(long *)(0x8000000000000000 + \$at)
END
counts 2 '= 0x1$'
counts 1 '= 0x0$'

# ---- an invocation pauses, and goes on ----

yield=$(at scheduler.lks pvm.ecall op=16)
session yield scheduler.lks <<END
seek e:$yield
stepi
monitor when
monitor frames
monitor instance
stepi
monitor when
p/x \$pc
monitor frames
reverse-stepi
monitor when
monitor instance
reverse-stepi
monitor when
monitor disas
END
says 'paused; frame 0 catches' 'here the invocation pauses: yield' \
    "icount $(($(clock scheduler.lks "$yield") + 1)) sub 1 " 'ecalli 16' \
    "icount $(clock scheduler.lks "$yield") sub 0"
counts 2 "icount $(($(clock scheduler.lks "$yield") + 1)) sub 0 "
counts 2 'here the invocation pauses'

# Out of gas, refused again with none, and on with more: one instruction count.
gas=$(at scheduler.lks pvm.outcome cause=2)
session out-of-gas scheduler.lks <<END
seek e:$gas
p \$gas
stepi
p \$gas
stepi
p \$gas
monitor when
stepi
monitor when
reverse-stepi
reverse-stepi
monitor when
END
says '= 1000007$' "icount $(clock scheduler.lks "$gas") sub 2 " \
    "icount $(clock scheduler.lks "$gas") sub 1 " \
    "icount $(($(clock scheduler.lks "$gas") + 1)) sub 0 "
counts 2 '= 7$'

# The host invokes again what has halted: the end of one is in front of the other.
halt=$(at store.lks pvm.exit)
session from-invocation-to-invocation store.lks <<END
seek e:$halt
monitor instance
stepi
monitor when
p \$a0
p \$a1
reverse-stepi
monitor instance
continue
monitor when
END
says "icount $(clock store.lks "$halt") sub 1" '= 7$' '= 43$' \
    'No more reverse-execution history' 'icount 877 sub 0'
counts 2 'here the invocation ends: halt'

trap=$(at evil.lks pvm.outcome variant=2)
session behind-a-trap evil.lks <<END
seek e:$trap
monitor instance
stepi
monitor when
reverse-stepi
monitor instance
END
says "icount $(clock evil.lks "$trap") sub 1"
counts 2 'here the invocation ends: trap'

# ---- stops ----

session break-in-every-instance calls.lks --symbols bin/parent.caps.dbg \
    --symbols 1=bin/counter.caps.dbg <<'END'
break add
commands
silent
printf "sum %d, in %d\n", sum, (long)$pc >> 32
monitor frames
continue
end
continue
END
says '^sum 5, in 2' '> 1: instance'
counts "$("$lockstep" dump calls.lks | grep -c ' pvm.ecall frame=1 .*op=23')" '^sum '

session in-one-instance calls.lks <<'END'
break *0x200000005
break *0x10000000a
break *0x100000022
monitor in program:0
continue
p/x (long)$pc >> 32
monitor in depth:9
continue
seek start
monitor in program:1
continue
p/x (long)$pc >> 32
monitor in nobody
monitor in any
monitor instance
END
says 'stops are for program:0' 'No more reverse-execution history' 'stops are for program:1' \
    'where stops are heeded' 'stops are for any instance'
counts 1 '= 0x1$'
counts 1 '= 0x2$'

session reverse-continue-into-a-call calls.lks <<'END'
tbreak *0x200000000
seek end
reverse-continue
monitor frames
p/x $pc
END
says '= 0x200000000'

session break-line calls.lks <<'END'
break program1.pvm.s:3
continue
info symbol $pc
reverse-stepi
monitor when
END
says 'program1.pvm.s:3' 'No more reverse-execution history\|icount [1-9]'

# ---- watchpoints: the writer was another instance ----

session who-wrote-it store.lks --symbols bin/store.caps.dbg <<'END'
seek end
monitor frames
p count
watch count
reverse-continue
monitor frames
info symbol $pc
p count
reverse-continue
p count
END
says 'Old value = 3' 'New value = 2' 'make\|put_cap\|freeze' 'New value = 1'
sed -n 's/^> 0: instance \([0-9a-f]*\) .*/\1/p' out | uniq >writers
[ "$(wc -l <writers)" = 2 ] || bad "the writer is the same instance: $(cat writers)"

write=$(at calls.lks pvm.ecall 'frame=1 .*writes')
range=$("$lockstep" dump calls.lks | awk -v seq="$write" '$1 == seq' |
    sed 's/.*writes=\[\(0x[0-9a-f]*\):.*/\1/')
session a-call-writes calls.lks <<END
seek e:$write
stepi
watch *(long *)$range
reverse-continue
monitor disas
monitor frames
monitor when
seek end
monitor last-write $range,8
END
says 'ecalli 22' '> 1: instance' "icount $(clock calls.lks "$write") " 'use: seek'

# The caller's own value: what the callee does at that address in its memory is passed.
session watch-one-instance calls.lks <<END
seek e:$write
watch *(long *)$range
monitor in depth:0
reverse-continue
monitor frames
END
says '> 0: instance'

session questions calls.lks --symbols bin/parent.caps.dbg --symbols 1=bin/counter.caps.dbg <<'END'
break add
continue
continue
watch sum
continue
p sum
reverse-continue
p sum
monitor backtrace
monitor who 0x200000019
monitor next-read 0x20000,8
END
says 'Hardware watchpoint 2: sum' 'Old value = 5' 'New value = ' 'last: icount' 'next: icount' \
    '^#0 0x2000000[0-9a-f]* sp 0x[0-9a-f]* in add+0x' '^#[1-9] 0x1000000[0-9a-f]* .* in run+0x'

# ---- code that changes ----

image=$("$lockstep" dump upgrade.lks | awk '/ pvm.ecall .*op=17/ && ++n == 2 {print $1}')
session another-image upgrade.lks <<END
seek e:$image
p/x \$pc
monitor instance
stepi
p/x \$pc
monitor instance
reverse-stepi
p/x \$pc
END
sed -n 's/^  image *\([0-9a-f]*\)/\1/p' out | sort -u >images
[ "$(wc -l <images)" = 2 ] || bad "the image stays the same"
sed -n 's/^\$[0-9]* = \(0x[0-9a-f]*\)$/\1/p' out | sort -u >pcs
[ "$(wc -l <pcs)" = 2 ] || bad "the code stays the same"
says '= 0x[12]0000003a' '= 0x[1-3]0000003c'

# ---- the state is the same whatever way leads there ----

session hash scheduler.lks <<'END'
seek 50
monitor hash
seek end
seek 7000
reverse-stepi
reverse-stepi
seek start
seek 49
stepi
monitor hash
seek 60
reverse-stepi 10
monitor hash
END
grep -E '^[0-9a-f]{64}$' out | sort | uniq -c >hashes
grep -q '^ *3 ' hashes || bad "different hashes: $(cat hashes)"

session positions calls.lks <<'END'
monitor events -0 +3 exit
seek e:61
monitor when
seek g:2000
monitor when
seek 50%
monitor when
monitor bookmark half
seek start
seek #half
monitor when
seek 400+7
monitor when
END
says 'pvm.exit frame=1' 'icount 82 ' 'icount 215 ' 'icount 401 '

echo "gdb_kernel.sh: $sessions sessions: $passed passed, $failed failed"
[ "$failed" = 0 ]
