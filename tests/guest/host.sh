#!/bin/sh
# SPDX-License-Identifier: MIT
#
# host.sh LOCKSTEP WHAT: the behaviours of v86fs.md 11.1 for which the host has to act,
# on Debian's kernel, typed at its console.  Each session is recorded and replayed when
# the files are gone.
#
#   notes    changed files and folders are seen, and caches are used: 2 3 10 13 19
#   late     the same with replies that come later
#   mounts   a mount by name; the host makes the guest mount and unmount: 12 18
#   root     the root file system is one of ours: 17
#   remote   another process serves, and changes a file: 14 15
#   branch   another session from the middle of one, with other files: 16
set -u
lockstep=$(realpath "$1")
what=$2
guest=build/guest
line='console=ttyS0 cryptomgr.notests=1 noisapnp reboot=p quiet'
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

if [ ! -s $guest/initramfs.cpio ]; then
    echo "host: SKIPPED: no Linux guest; ./dev guest tells why"
    exit 77
fi

fail()
{
    echo "host: $*"
    tail -n 30 "$dir/out"
    exit 1
}

# type_ COMMAND: at the prompt, up to the end of what it prints.  The mark is written so
# that its echo is none.  The first command behind begin has the number 0.
marks=0
type_() { printf 'send %s; echo ma""rk%03d\nexpect mark%03d\n' "$1" $marks $marks; marks=$((marks + 1)); }
begin()
{
    marks=0
    printf 'expect / # \n'
    type_ true
}

# record TRACE OPTION…: what script.txt types; the console in $dir/out.
record()
{
    trace=$1
    shift
    "$lockstep" record -o "$trace" --exit-status pc --kernel $guest/vmlinuz \
        --initrd $guest/initramfs.cpio --max-insns=4000000000 --log-bytes \
        --console "script=$dir/script.txt" "$@" \
        >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
    tr -d '\r' <"$dir/out" >"$dir/text"
    [ $status -eq 7 ] || fail "status $status, not 7: $(tail -n 2 "$dir/err")"
}

# The lines that were printed between two marks.
between() # NUMBER: behind the mark before it, up to it
{
    awk -v to="^mark$(printf %03d $(($1 + 1)))" -v from="^mark$(printf %03d "$1")" '
        $0 ~ to { exit } inside && !/# / && !/ma""rk/ { print } $0 ~ from { inside = 1 }' "$dir/text"
}

prints() # NUMBER TEXT
{
    [ "$(between "$1")" = "$2" ] || fail "mark $1: '$(between "$1")', not '$2'"
}

# Requests of a type (its number) between two marks of the trace.
requests() # NUMBER TYPE
{
    "$lockstep" dump "$dir/t.lks" | awk -v to="$(hex_mark $(($1 + 1)))" \
        -v from="$(hex_mark "$1")" -v op=" op=$2( |\$)" '
        /console.out/ && index($0, to) { exit }
        inside && /virtio.request/ && $0 ~ op { n++ }
        /console.out/ && index($0, from) { inside = 1 }
        END { print n + 0 }'
}
hex_mark() { printf 'mark%03d' "$1" | od -An -tx1 | tr -d ' \n'; }

replayed() # TRACE
{
    rm -rf "$dir/tree"
    "$lockstep" replay "$1" >"$dir/out" 2>&1 || fail "replay"
    grep -q ': same: ' "$dir/out" || fail "replay: not the same"
    echo "host: $what: $(sed 's/.*: same: //' "$dir/out")"
}

notes_script() # LATE
{
    tree=$dir/tree
    begin
    type_ 'mount -t v86fs none /mnt'      # 0
    [ -z "$1" ] || printf 'late %s\n' "$1"
    type_ 'cat /mnt/hello; ls /mnt/added' # 1
    printf 'host echo changed >%s/hello\ninvalidate /hello\nwait 1000000\n' "$tree"
    type_ 'cat /mnt/hello' # 2
    type_ 'cat /mnt/hello' # 3
    printf 'host echo new >%s/added\ninvalidate-dir /\nwait 1000000\n' "$tree"
    type_ 'cat /mnt/added'         # 4
    type_ 'md5sum /mnt/pages' # 5
    printf 'host printf X | dd of=%s/pages bs=1 seek=4096 conv=notrunc 2>/dev/null\n' \
        "$tree"
    printf 'invalidate /pages 4096 4096\nwait 1000000\n'
    type_ 'for i in 0 4096 8192; do dd if=/mnt/pages bs=1 skip=$i count=1 2>/dev/null; done; echo' # 6
    type_ 'wc -c </mnt/big'  # 7
    type_ 'md5sum /mnt/big'  # 8
    printf 'send umount /mnt; exit 7\n'
}

notes()
{
    mkdir "$dir/tree"
    echo hello >"$dir/tree/hello"
    head -c 65536 /dev/urandom >"$dir/tree/big"
    { head -c 4096 /dev/zero | tr '\0' A; head -c 4096 /dev/zero | tr '\0' B; } >"$dir/tree/pages"
    head -c 4096 /dev/zero | tr '\0' C >>"$dir/tree/pages"
    notes_script "$1" >"$dir/script.txt"
    sum=$(md5sum <"$dir/tree/big" | cut -d ' ' -f 1)
    record "$dir/t.lks" --append "$line" --fs "dir:$dir/tree" --fs-extensions
    between 1 | grep -q '^hello$' || fail 'no hello'
    between 1 | grep -q 'No such file' || fail 'added is there too early'
    prints 2 changed
    prints 3 changed
    [ "$(requests 2 6)" -ge 1 ] || fail 'the changed file was not read'
    [ "$(requests 3 6)" -eq 0 ] || fail 'the second cat has read'
    prints 4 new
    prints 6 AXC
    [ "$(requests 6 6)" -ge 1 ] || fail 'the changed page was not read'
    [ "$(requests 7 6)" -ge 2 ] || fail 'no readahead'
    prints 8 "$sum  /mnt/big"
    [ "$(requests 8 6)" -eq 0 ] || fail 'a cached file was read again'
    "$lockstep" dump "$dir/t.lks" | grep -q virtio.notify || fail 'no virtio.notify'
    replayed "$dir/t.lks"
}

# A helper that the module starts, since nobody here listens for events.
mounts_script()
{
    begin
    type_ 'mount -t v86fs none /mnt -o name=workspace; ls /mnt; umount /mnt' # 0
    type_ "rmmod v86fs; echo '#!/bin/sh' >/tmp/h"                                 # 1
    type_ "echo '[ \$1 = umount ] && exec umount \$2' >>/tmp/h"                   # 2
    type_ "echo 'mkdir -p \$2; mount -t v86fs none \$2 -o name=\$3' >>/tmp/h"     # 3
    type_ 'chmod 755 /tmp/h; insmod /lib/modules/v86fs.ko mount_helper=/tmp/h' # 4
    printf 'mount workspace /tmp/there\nwait 50000000\n'
    type_ 'ls /tmp/there; grep -c there /proc/mounts' # 5
    printf 'umount /tmp/there\nwait 50000000\n'
    type_ 'ls /tmp/there; grep -c there /proc/mounts' # 6
    printf 'send exit 7\n'
}

mounts()
{
    mkdir "$dir/tree"
    : >"$dir/tree/in-workspace"
    mounts_script >"$dir/script.txt"
    record "$dir/t.lks" --append "$line" --fs mem --fs "workspace=dir:$dir/tree"
    between 0 | grep -q '^in-workspace$' || fail 'no workspace'
    # MOUNT, and the name it arrives with.
    "$lockstep" dump "$dir/t.lks" |
        grep -q "virtio.request.* data=[0-9a-f]*0900$(printf workspace | od -An -tx1 | tr -d ' \n')" ||
        fail 'another name was mounted'
    prints 5 "$(printf 'in-workspace\n1')"
    prints 6 0
    replayed "$dir/t.lks"
}

root()
{
    mkdir "$dir/tree"
    cp -a $guest/tree/bin "$dir/tree/"
    mkdir "$dir/tree/dev" "$dir/tree/proc" "$dir/tree/tmp"
    {
        begin
        type_ 'mount -t proc p /proc; mount -t sysfs s /sys; for i in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci v86fs; do insmod /lib/modules/$i.ko; done'
        type_ 'mkdir /newroot; mount -t v86fs none /newroot; mount -t devtmpfs d /newroot/dev'
        printf 'send exec switch_root -c /dev/console /newroot /bin/sh\n'
        printf 'wait 300000000\n'
        type_ 'cd /; echo made >/file; ls /; mount -t proc p /proc; grep " / v86fs" /proc/mounts' # 2
        printf "send printf '%s' | dd of=/dev/port bs=1 seek=244\n" '\\007'
    } >"$dir/script.txt"
    record "$dir/t.lks" --append "$line rdinit=/bin/sh" --fs "dir:$dir/tree" --fs-extensions
    grep -q 'none / v86fs' "$dir/text" || fail 'the root is another one'
    [ "$(cat "$dir/tree/file")" = made ] || fail 'the file is not there'
    replayed "$dir/t.lks"
}

remote()
{
    command -v python3 >/dev/null || {
        echo "host: SKIPPED: no python3"
        exit 77
    }
    {
        begin
        type_ 'mount -t v86fs none /mnt; ls /mnt; cat /mnt/news'                 # 0
        type_ 'echo text >/mnt/a; cat /mnt/a; mkdir /mnt/d; mv /mnt/a /mnt/d/b; ls /mnt /mnt/d' # 1
        type_ 'touch /mnt/trigger; usleep 300000; cat /mnt/news' # 2
        printf 'send umount /mnt; exit 7\n'
    } >"$dir/script.txt"
    record "$dir/t.lks" --append "$line" --fs 'remote:exec:exec python3 tests/guest/adapter.py'
    prints 0 "$(printf 'news\nold news')"
    between 1 | grep -q '^text$' || fail 'what was written is not read back'
    between 1 | grep -q '^b$' || fail 'the renamed file is not there'
    prints 2 'new news'
    "$lockstep" dump "$dir/t.lks" | grep -q virtio.notify || fail 'no virtio.notify'
    replayed "$dir/t.lks"
}

branch()
{
    mkdir "$dir/tree" "$dir/other"
    echo first >"$dir/tree/hello"
    {
        begin
        type_ 'mount -t v86fs none /mnt; cat /mnt/hello' # 0
        printf 'wait 1000000\n'
        type_ 'cat /mnt/hello; echo end' # 1
        printf 'send umount /mnt; exit 7\n'
    } >"$dir/script.txt"
    record "$dir/t.lks" --append "$line" --fs "dir:$dir/tree" --fs-extensions
    prints 0 first
    rm -r "$dir/tree"
    # Before the last cat is typed.
    at=$("$lockstep" dump "$dir/t.lks" | awk '/pc.input/ && ++n == 3 { print $2 - 1 }')
    echo second >"$dir/other/hello"
    {
        type_ 'cat /mnt/hello' # 2
        for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
            printf 'host echo %s >%s/hello\ninvalidate /hello\nwait 200000\n' $i "$dir/other"
        done
        type_ 'cat /mnt/hello' # 3
        printf 'send umount /mnt; exit 7\n'
    } >"$dir/script.txt"
    for how in '' --standalone; do
        echo second >"$dir/other/hello"
        "$lockstep" branch "$dir/t.lks" --at "$at" $how -o "$dir/child.lks" --exit-status \
            --console "script=$dir/script.txt" --fs "dir:$dir/other" \
            >"$dir/out" 2>"$dir/err" </dev/null
        status=$?
        [ $status -eq 7 ] || fail "branch: status $status, not 7: $(tail -n 2 "$dir/err")"
        tr -d '\r' <"$dir/out" >"$dir/text"
        [ "$(grep -c '^second$' "$dir/text")" -eq 1 ] || fail 'the old file is still there'
        prints 3 20
        [ -z "$how" ] || mv "$dir/t.lks" "$dir/t"
        replayed "$dir/child.lks"
    done
}

case $what in
notes) notes '' ;;
late) notes 3000000 ;;
mounts | root | remote | branch) $what ;;
*) fail "what is '$what'?" ;;
esac
