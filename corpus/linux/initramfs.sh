#!/bin/sh
# SPDX-License-Identifier: MIT
#
# initramfs.sh FOLDER >ARCHIVE: the tree below FOLDER as a newc cpio archive, with one
# device node, dev/console, which making files for would need root.  Equal trees give
# equal bytes: names in bytewise order, inode numbers from 1, owner and time 0.
set -eu
LC_ALL=C
export LC_ALL
cd "$1"
inode=0 # counts in the loop's own shell; the trailer has number 1 again

# N zero bytes, at most three.
zeros()
{
    case $1 in
    1) printf '\000' ;;
    2) printf '\000\000' ;;
    3) printf '\000\000\000' ;;
    esac
}

# entry NAME MODE SIZE MAJOR MINOR: a header and the name, padded to four bytes.
entry()
{
    inode=$((inode + 1))
    printf '070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X' "$inode" \
        "$2" 0 0 1 0 "$3" 0 0 "$4" "$5" $((${#1} + 1)) 0
    printf '%s\000' "$1"
    zeros $(((4 - (110 + ${#1} + 1) % 4) % 4))
}

{
    find . -mindepth 1 | sed 's|^\./||'
    echo dev/console
} | sort | while read -r name; do
    if [ "$name" = dev/console ]; then
        entry "$name" 0020600 0 5 1
    elif [ -L "$name" ]; then
        target=$(readlink "$name")
        entry "$name" 0120777 ${#target} 0 0
        printf '%s' "$target"
        zeros $(((4 - ${#target} % 4) % 4))
    elif [ -d "$name" ]; then
        entry "$name" 0040755 0 0 0
    else
        mode=0100644
        [ ! -x "$name" ] || mode=0100755
        size=$(stat -c %s "$name")
        entry "$name" $mode "$size" 0 0
        cat "$name"
        zeros $(((4 - size % 4) % 4))
    fi
done
entry 'TRAILER!!!' 0 0 0 0
