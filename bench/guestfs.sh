#!/bin/sh
# SPDX-License-Identifier: MIT
#
# guestfs.sh LOCKSTEP [ROUNDS]: file operations of a Linux guest, in lockstep on v86fs
# and in QEMU (TCG) on 9p and on virtiofs, in turn.  A figure is the CPU time of the
# machine's process, and of the one that serves virtiofs, for a session with the work less
# that of one without it, so it has the guest's side, the device and the server.  tmpfs
# shows what the machine itself takes for the same calls.
set -eu
lockstep=$1
rounds=${2:-3}
guest=build/guest
meta=1000 # rounds of eight operations
data=10   # times 16 MiB, written and read
line='console=ttyS0 cryptomgr.notests=1 noisapnp reboot=p quiet run=ops'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ -x $guest/bin/ops ] || {
    echo 'bench guestfs: no guest with a C library; ./dev guest tells why' >&2
    exit 1
}

ours() # WORDS OPTION…
{
    words=$1
    shift
    "$lockstep" "$@" pc --kernel $guest/vmlinuz --initrd $guest/initramfs.cpio \
        --append "$line $words" $export
}

qemu() # WORDS OPTION…
{
    words=$1
    shift
    qemu-system-i386 -M pc -cpu pentium3,-apic,-sse,-mmx -m 128 -display none \
        -serial stdio -no-reboot -nic none -kernel $guest/vmlinuz \
        -initrd "$work/initramfs.cpio" -append "$line $words" \
        -device isa-debug-exit,iobase=0xf4,iosize=1 "$@"
}

# The server that QEMU 7 brings; it wants to be root, and to share the guest's memory.
virtiofsd=/usr/lib/qemu/virtiofsd

qemu_virtiofs() # WORDS
{
    rm -f "$work/socket"
    "$virtiofsd" --socket-path="$work/socket" -o "source=$work/tree,sandbox=chroot" \
        -o cache=none &
    server=$!
    tries=0
    until [ -S "$work/socket" ] || [ $tries -ge 100 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    qemu "$1" -machine memory-backend=shared \
        -object memory-backend-memfd,id=shared,size=128M,share=on \
        -chardev "socket,id=server,path=$work/socket" \
        -device vhost-user-fs-pci,chardev=server,tag=host
    kill "$server" 2>/dev/null # has ended, unless QEMU never came
    wait                       # its time is ours then
}

# One session: MACHINE-FS, work and count.
session() # WAY WORK
{
    export=
    case $1 in
    ours-mem) export='--fs-extensions --fs mem' ;;
    ours-dir | ours-record) export="--fs-extensions --fs dir:$work/tree" ;;
    esac
    case $1 in
    ours-tmpfs) ours "fs=tmpfs $2" run -q ;;
    ours-record) ours "$2" record -q -o "$work/trace.lks" ;;
    ours-*) ours "$2" run -q ;;
    qemu-virtiofs) qemu_virtiofs "fs=virtiofs $2" ;;
    qemu-*)
        qemu "fs=${1#qemu-} $2" \
            -virtfs "local,path=$work/tree,mount_tag=host,security_model=none"
        ;;
    esac
}

# CPU seconds, user and system, of a session and what it starts.
measure() # WAY WORK
{
    rm -rf "$work/tree"
    mkdir "$work/tree"
    (
        session "$1" "$2" </dev/null >"$work/out" 2>&1 || true
        times >"$work/clock"
    )
    grep -q 'ops done' "$work/out" || {
        echo "bench guestfs: $1 $2: $(tail -n 3 "$work/out")" >&2
        return 1
    }
    awk 'NR == 2 { split($1, u, "[ms]"); split($2, s, "[ms]")
        print u[1] * 60 + u[2] + s[1] * 60 + s[2] }' "$work/clock"
}

# A round of one machine: idle first, then each file system with each work.
round() # MACHINE FS…
{
    machine=$1
    shift
    for fs in "$@"; do
        idle=$(measure "$machine-$fs" ops=none,0) || continue
        for what in "meta,$meta" "data,$data"; do
            busy=$(measure "$machine-$fs" "ops=$what") || continue
            echo "$machine-$fs ${what%,*} $idle $busy" >>"$work/times"
        done
    done
}

machines=ours
if command -v qemu-system-i386 >/dev/null; then
    machines="$machines qemu"
    for modules in 9p virtiofs; do
        sh corpus/linux/initramfs.sh $guest/more/$modules >"$work/$modules.cpio"
    done
    cat $guest/initramfs.cpio "$work/9p.cpio" "$work/virtiofs.cpio" \
        >"$work/initramfs.cpio"
    if [ -x $virtiofsd ] && [ "$(id -u)" -eq 0 ]; then
        peers='tmpfs 9p 9p-loose virtiofs'
    else
        peers='tmpfs 9p 9p-loose'
        echo "bench guestfs: without virtiofs, which needs $virtiofsd and root" >&2
    fi
fi
for count in $(seq "$rounds"); do
    for machine in $machines; do
        case $machine in
        ours) round ours tmpfs mem dir record ;;
        qemu)
            # shellcheck disable=SC2086 # a list of words
            round qemu $peers
            ;;
        esac
    done
done
echo "CPU time of the machine's process, medians of $rounds"
printf '%-14s %16s %12s\n' '' 'us/operation' 'MB/s'
for way in ours-tmpfs ours-mem ours-dir ours-record qemu-tmpfs qemu-9p qemu-9p-loose \
    qemu-virtiofs; do
    for what in meta data; do
        awk -v w="$way" -v k="$what" '$1 == w && $2 == k { print $4 - $3 }' \
            "$work/times" | sort -n | awk '{ t[NR] = $1 } END { print NR ? t[int((NR + 1) / 2)] : "-" }'
    done | awk -v way="$way" -v meta="$meta" -v data="$data" '
        NR == 1 { m = $1 } NR == 2 && m != "-" {
            printf "%-14s %16.1f %12.1f\n", way, m * 1e6 / (meta * 8),
                2 * 16 * data * 1.048576 / $1 }'
done
