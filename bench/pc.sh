#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pc.sh LOCKSTEP [ROUNDS [marker|bench]]: the boot of the Linux guest to a marker, or to
# the end of some work in it, in lockstep and in QEMU, in turn; user time, medians and
# ratios (machine.md 6.4).  Without QEMU only lockstep's own ways are compared.
set -eu
lockstep=$1
rounds=${2:-5}
guest=build/guest
script=${3:-marker}
case $script in
marker) end='lockstep marker' ;;
bench) end='bench done' ;;
*)
    echo "bench pc: no script '$script'" >&2
    exit 1
    ;;
esac
line="console=ttyS0 cryptomgr.notests=1 noisapnp reboot=p run=$script"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ -s $guest/initramfs.cpio ] || {
    echo "bench pc: no Linux guest; run ./dev guest first" >&2
    exit 1
}

ours() # COMMAND OPTION…
{
    command=$1
    shift
    "$lockstep" "$command" -q "$@" pc --kernel $guest/vmlinuz \
        --initrd $guest/initramfs.cpio --append "$line"
}

qemu() # OPTION…
{
    qemu-system-i386 -M pc -cpu pentium3,-apic,-sse,-mmx -m 128 -display none \
        -serial stdio -no-reboot -nic none -kernel $guest/vmlinuz \
        -initrd $guest/initramfs.cpio -append "$line" \
        -device isa-debug-exit,iobase=0xf4,iosize=1 "$@"
}

way() # NAME
{
    case $1 in
    run) ours run ;;
    record) ours record -o "$work/boot.lks" ;;
    replay) "$lockstep" replay -q "$work/boot.lks" ;;
    qemu) qemu ;;
    icount) qemu -icount shift=3 ;;
    rr-record) qemu -icount "shift=3,rr=record,rrfile=$work/rr" ;;
    rr-replay) qemu -icount "shift=3,rr=replay,rrfile=$work/rr" ;;
    esac
}

# User seconds of a way, its children included.
measure()
{
    (
        way "$1" </dev/null >"$work/out" 2>&1 || true
        times >"$work/clock" # in this shell, whose children are meant
    )
    sed -n '2s/^\([0-9]*\)m\([0-9.]*\)s .*/\1 \2/p' "$work/clock" |
        awk '{ print $1 * 60 + $2 }'
}

ways='run record replay'
if command -v qemu-system-i386 >/dev/null; then
    ways="$ways qemu icount rr-record rr-replay"
fi
for round in $(seq "$rounds"); do
    for name in $ways; do
        seconds=$(measure "$name")
        if [ "$name" != replay ] && ! grep -q "$end" "$work/out"; then
            echo "bench pc: $name did not come to its end in round $round" >&2
            continue
        fi
        echo "$name $seconds" >>"$work/times"
    done
done
for name in $ways; do
    grep "^$name " "$work/times" | awk '{ print $2 }' | sort -n |
        awk -v name="$name" '{ t[NR] = $1 } END {
            if (NR) print name, t[int((NR + 1) / 2)], t[1], t[NR] }'
done | awk 'NR == 1 { base = $2 }
    { printf "%-10s %6.2f s user (%.2f-%.2f)  %5.2f of run\n", $1, $2, $3, $4, $2 / base }'
