#!/bin/sh
# SPDX-License-Identifier: MIT
#
# debug_qemu.sh LOCKSTEP [STEPS]: the last instructions of a recorded boot of the Linux
# guest backwards, one `reverse-stepi` of stock gdb after the other, in lockstep and in
# QEMU: medians and their ratio.  STEPS (default 5) are QEMU's; lockstep takes a hundred
# times as many.  QEMU is tried with the snapshot of the beginning only and with one that
# is taken shortly before the place where gdb stops.  What takes longer than LIMIT seconds
# (environment, default 60) is given up: that is a result, too.
set -eu
lockstep=$1
steps=${2:-5}
limit=${LIMIT:-60}
guest=build/guest
# Without nokaslr QEMU's kernel would be elsewhere; lockstep loads the ELF file in it.
line="console=ttyS0 cryptomgr.notests=1 noisapnp reboot=p nokaslr run=marker"
case $steps in
'' | 0 | *[!0-9]*)
    echo "bench debug_qemu: '$steps' is no number of steps" >&2
    exit 1
    ;;
esac
for program in qemu-system-i386 qemu-img gdb; do
    command -v $program >/dev/null || {
        echo "bench debug_qemu: SKIPPED: there is no $program"
        exit 0
    }
done
gdb -nx -batch -ex 'python import time' >/dev/null 2>&1 || {
    echo "bench debug_qemu: SKIPPED: gdb has no Python to read the clock with"
    exit 0
}
[ -s $guest/initramfs.cpio ] || {
    echo "bench debug_qemu: SKIPPED: no Linux guest; run ./dev guest first"
    exit 0
}
work=$(mktemp -d)
pid=
# shellcheck disable=SC2329 # called by trap
leave()
{
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    rm -rf "$work"
}
trap leave EXIT
trap 'exit 1' INT TERM

qemu() # MODE OPTION…
{
    mode=$1
    shift
    exec qemu-system-i386 -M pc -cpu pentium3,-apic,-sse,-mmx -m 128 -display none \
        -serial stdio -no-reboot -nic none -kernel $guest/vmlinuz \
        -initrd $guest/initramfs.cpio -append "$line" \
        -device isa-debug-exit,iobase=0xf4,iosize=1 \
        -icount "shift=3,rr=$mode,rrfile=$work/rr,rrsnapshot=init" \
        -drive "file=$work/rr.qcow2,if=none,id=rr" "$@"
}

# gdb's part: `count` steps back, the milliseconds of each in a line of file `name`, at
# once: what was done before the time is over counts.
cat >"$work/steps.py" <<'END'
import gdb, time


def pc():
    return int(gdb.parse_and_eval("$eip")) & 0xFFFFFFFF


def step_back(name, count):
    with open(name, "w", buffering=1) as out:
        for k in range(count):
            before, start = pc(), time.perf_counter()
            gdb.execute("reverse-stepi", to_string=True)
            spent = (time.perf_counter() - start) * 1000
            if pc() == before:
                break
            out.write("%.3f\n" % spent)
END

# median NAME: median and most of a file of times, and how many; nothing if there are none.
median()
{
    [ -s "$work/$1" ] && sort -n "$work/$1" | awk '{ t[NR] = $1 } END {
        print t[int((NR + 1) / 2)], t[NR], NR }'
}

# report NAME TEXT: a row, and the ratio to lockstep's median.  Times of another place
# than lockstep's do not count.
report()
{
    if [ "$(cat "$work/$1.at" 2>/dev/null)" != "$place" ]; then
        printf '%-32s did not come to the place within %s s\n' "$2" "$limit"
    elif values=$(median "$1"); then
        echo "$values $(median ours)" | awk -v name="$2" '{
            printf "%-32s %9.2f ms median %9.2f ms most %5d steps %7.0f times\n",
                name, $1, $2, $3, $1 / $4 }'
    else
        printf '%-32s did not answer within %s s\n' "$2" "$limit"
    fi
}

# ---- both recordings ----

"$lockstep" record -q -o "$work/boot.lks" pc --kernel $guest/vmlinuz \
    --initrd $guest/initramfs.cpio --append "$line" </dev/null >"$work/out" 2>&1 || true
grep -q 'lockstep marker' "$work/out" || {
    echo "bench debug_qemu: lockstep's boot did not come to its end" >&2
    exit 1
}
qemu-img create -q -f qcow2 "$work/rr.qcow2" 512M
(qemu record </dev/null >"$work/out" 2>&1) || true
grep -q 'lockstep marker' "$work/out" || {
    echo "bench debug_qemu: QEMU did not record the boot" >&2
    exit 1
}

# ---- lockstep ----

# The last instruction writes the port that ends the machine.  It is executed once, so
# that its address is the same place in QEMU's run.
cat >"$work/ours.gdb" <<END
source $work/steps.py
seek end
reverse-stepi
python open("$work/ours.at", "w").write("0x%x" % pc())
python step_back("$work/ours", $steps * 100)
seek end
seek -$((steps + 10))
python open("$work/before", "w").write("0x%x" % pc())
END
timeout -k 5 "$limit" "$lockstep" debug --batch "$work/ours.gdb" "$work/boot.lks" \
    >"$work/out" 2>&1 </dev/null || true
median ours >/dev/null || {
    cat "$work/out" >&2
    exit 1
}
place=$(cat "$work/ours.at") before=$(cat "$work/before")
echo "reverse-stepi of gdb from $place, the last instruction of the boot"
report ours lockstep

# ---- QEMU ----

# theirs NAME [SNAPSHOT]: run to the place, with a snapshot at an address before, and
# step back.
theirs()
{
    name=$1
    qemu replay -S -gdb "unix:$work/socket,server=on,wait=off" </dev/null \
        >"$work/out" 2>&1 &
    pid=$!
    for _ in $(seq 100); do
        [ -S "$work/socket" ] && break
        sleep 0.1
    done
    {
        echo "source $work/steps.py"
        echo 'set confirm off'
        echo 'set architecture i386'
        echo "target remote $work/socket"
        if [ $# -gt 1 ]; then
            echo "tbreak *$2"
            echo 'continue'
            echo 'monitor savevm near'
            echo 'monitor info snapshots'
        fi
        echo "tbreak *$place"
        echo 'continue'
        echo "python open('$work/$name.at', 'w').write('0x%x' % pc())"
        echo "python step_back('$work/$name', $steps)"
        echo 'kill'
    } >"$work/theirs.gdb"
    timeout -k 5 "$limit" gdb -q -nx -batch -x "$work/theirs.gdb" </dev/null \
        >"$work/$name.log" 2>&1 || true
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    pid=
    rm -f "$work/socket"
    [ -s "$work/$name" ] || tail -n 5 "$work/$name.log" "$work/out" >&2
}

theirs begin
report begin 'QEMU, snapshot of the beginning'
theirs near "$before"
report near 'QEMU, one more right before'
