#!/bin/sh
# SPDX-License-Identifier: MIT
#
# debug.sh LOCKSTEP ELF: stock gdb over a recorded run of the self-checking paging
# program: symbols, positions, breakpoints and watchpoints, forwards and backwards.
lockstep=$1
elf=$2
command -v gdb >/dev/null || {
    echo "skipped: there is no gdb"
    exit 77
}
[ -s "$elf" ] || {
    echo "skipped: no 32-bit compiler"
    exit 77
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
"$lockstep" record -q -o "$dir/run.lks" pc --boot flat -k "$elf" </dev/null || exit 1
end=$("$lockstep" query --json -t end "$dir/run.lks" hash)

cat >"$dir/script" <<'E2'
printf "start %x\n", $eip
break program
continue
printf "program %x\n", $linear_pc
set $program = $eip
stepi
stepi
reverse-stepi
reverse-stepi
printf "again %d\n", $eip == $program
delete
hbreak pass
continue
printf "cr0 %x cs %x\n", $cr0, $cs
delete
watch *(int *)&want_vector
reverse-continue
printf "last %d\n", (int)want_vector
set $store = $eip
stepi
printf "stored %d\n", (int)want_vector
reverse-continue
printf "store %d\n", $eip == $store
delete
seek 50%
monitor when
seek end
monitor hash
continue
seek start
reverse-continue
printf "first %x\n", $eip
print $st0
E2
timeout 60 "$lockstep" debug --symbols "$elf" --batch "$dir/script" "$dir/run.lks" \
    >"$dir/out" 2>&1 || failed=1
hash=$(printf '%s\n' "$end" | sed 's/.*"hash":"\([0-9a-f]*\)".*/\1/')
icount=$(printf '%s\n' "$end" | sed 's/.*"icount":\([0-9]*\).*/\1/')
for pattern in '^start 100000$' '^program 100599$' '^again 1$' \
    '^Hardware assisted breakpoint' '^cr0 800[0-9a-f]*1 cs 8$' '^Hardware watchpoint' \
    '^store 1$' "^icount $((icount / 2)) sub 0" "^$hash\$" '^No more reverse' \
    '^first 100000$'; do
    grep -q -e "$pattern" "$dir/out" || {
        echo "debug.sh: no '$pattern'"
        failed=1
    }
done
last=$(sed -n 's/^last //p' "$dir/out")
stored=$(sed -n 's/^stored //p' "$dir/out")
[ -n "$last" ] && [ "$last" != "$stored" ] || {
    echo "debug.sh: want_vector is '$last' in front of the store, '$stored' behind it"
    failed=1
}
[ "$failed" -eq 0 ] || cat "$dir/out"
exit "$failed"
