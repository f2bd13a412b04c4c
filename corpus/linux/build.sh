#!/bin/sh
# SPDX-License-Identifier: MIT
#
# build.sh FOLDER [--offline]: all that a Linux guest needs, in FOLDER:
#
#   vmlinuz          Debian's kernel for i386, as published
#   v86fs.ko         the file system of v86fs/guest-linux/, built against its headers
#   initramfs.cpio   a static busybox, the virtio modules, v86fs.ko, the programs of
#                    src/, init and run/; with a C library also tests/mount/posix.c and
#                    the programs of libc/
#   more/programs    git, to be served to the guest
#   release          6.1.0-NN-686
#
# Exit status 3: the packages cannot be had here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
folder=$1
sh "$here/fetch.sh" "$@"
folder=$(cd "$folder" && pwd)
root=$folder/root
release=$(cat "$folder/release")

# kbuild writes beside the sources: build a copy.
module()
{
    rm -rf "$folder/module"
    mkdir -p "$folder/module"
    cp "$top"/v86fs/guest-linux/*.[ch] "$top/v86fs/guest-linux/Kbuild" "$folder/module/"
    sh "$here/module.sh" "$folder" "$folder/module"
    strip -g -o "$folder/v86fs.ko" "$folder/module/v86fs.ko"
}

# A link for each applet; busybox tells their places itself, but an i386 program may not
# run here.  These are what scripts and people use.
applets='[ ash awk basename cat chmod chown cmp cp cttyhack cut date dd df diff dirname
dmesg du echo env expr false find free grep gunzip gzip head hexdump hostname id insmod
kill less ln ls lsmod md5sum mkdir mkfifo mknod mktemp mount mv nproc od poweroff printf
ps pwd readlink realpath reboot rm rmdir rmmod sed seq setsid sh sha256sum sleep sort
stat stty switch_root sync tail tar tee test time touch tr true truncate tty umount uname
uniq usleep vi wc which xargs xxd yes zcat'

# Programs of our own: without a C library, so that gcc for amd64 can make them.
programs()
{
    mkdir -p "$folder/bin"
    for source in "$here"/src/*.c; do
        name=${source##*/}
        gcc -m32 -std=c11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-builtin \
            -fno-tree-loop-distribute-patterns -fno-stack-protector -fno-pie -no-pie \
            -nostdlib -static -o "$folder/bin/${name%.c}" "$source"
    done
    if [ -e "$musl/lib/i386-linux-musl/libc.a" ]; then
        with_library posix "$top/tests/mount/posix.c" "$top/tests/mount/calls.c"
        for list in base dir dir-open full mem read-only; do
            cp "$top/tests/mount/expected/$list" "$folder/bin/posix.$list"
        done
        for source in "$here"/libc/*.c; do
            name=${source##*/}
            with_library "${name%.c}" "$source"
        done
    fi
}

# Programs that want a C library: musl's, which makes them small.
musl=$folder/more/sysroot/usr
with_library() # NAME SOURCE…
{
    name=$1
    shift
    library=$musl/lib/i386-linux-musl
    gcc -m32 -march=i686 -std=c11 -O2 -Wall -Wextra -Werror -fno-pie -no-pie -static \
        -fno-stack-protector -U_FORTIFY_SOURCE -nostdinc -nostdlib -I "$top" \
        -isystem "$musl/include/i386-linux-musl" \
        -isystem "$(gcc -print-file-name=include)" -o "$folder/bin/$name" \
        "$library/crt1.o" "$library/crti.o" "$@" "$library/libc.a" \
        "$musl/lib/gcc/i686-linux-gnu/12/libgcc.a" "$library/libc.a" "$library/crtn.o"
    strip "$folder/bin/$name"
}

initramfs()
{
    tree=$folder/tree
    rm -rf "$tree"
    mkdir -p "$tree/bin" "$tree/dev" "$tree/lib/modules" "$tree/mnt" "$tree/proc" \
        "$tree/run" "$tree/sys" "$tree/tmp"
    cp "$root/bin/busybox" "$tree/bin/"
    for applet in $applets; do
        ln -s busybox "$tree/bin/$applet"
    done
    cp "$root/lib/modules/$release/kernel/drivers/virtio/"*.ko "$tree/lib/modules/"
    cp "$folder/v86fs.ko" "$tree/lib/modules/"
    cp "$here/init" "$tree/init"
    chmod 755 "$tree/init"
    cp "$folder/bin/"* "$tree/bin/"
    cp "$here/run/"* "$tree/run/"
    sh "$here/initramfs.sh" "$tree" >"$folder/initramfs.cpio.new"
    mv "$folder/initramfs.cpio.new" "$folder/initramfs.cpio"
}

# Nothing in the places named is younger than FILE.
fresh() # FILE PLACE…
{
    [ -e "$1" ] && [ -z "$(find "$@" -newer "$1" -print | head -n 1)" ]
}

cp "$root/boot/vmlinuz-$release" "$folder/vmlinuz"
fresh "$folder/v86fs.ko" "$top/v86fs/guest-linux" "$folder/release" || module
fresh "$folder/initramfs.cpio" "$here" "$folder/v86fs.ko" "$top/tests/mount" \
    "$folder/more/pkgs/SHA256SUMS" || {
    programs
    initramfs
}
echo "guest: $folder has vmlinuz, v86fs.ko and initramfs.cpio"
