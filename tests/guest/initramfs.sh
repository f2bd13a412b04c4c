#!/bin/sh
# SPDX-License-Identifier: MIT
#
# corpus/linux/initramfs.sh: a small tree comes out as the bytes of the newc format, in
# order and padded; another copy of the tree gives the same bytes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail()
{
    printf 'initramfs: %s\n' "$*" >&2
    exit 1
}

plant() # FOLDER
{
    mkdir -p "$1/bin" "$1/dev"
    printf 'hello' >"$1/bin/a"
    printf '#!/bin/sh\n' >"$1/init"
    chmod 755 "$1/init"
    ln -s a "$1/bin/link"
}

# The headers of an archive: inode, mode, size, major, minor, name.
list()
{
    at=0
    total=$(stat -c %s "$1")
    while [ "$at" -lt "$total" ]; do
        header=$(dd if="$1" bs=1 skip="$at" count=110 2>/dev/null)
        [ "$(printf '%s' "$header" | cut -c 1-6)" = 070701 ] || fail "no header at $at"
        field() { printf '%s' "$header" | cut -c $((7 + 8 * $1))-$((14 + 8 * $1)); }
        size=$((0x$(field 6)))
        length=$((0x$(field 11)))
        name=$(dd if="$1" bs=1 skip=$((at + 110)) count=$((length - 1)) 2>/dev/null)
        printf '%d %o %d %d:%d %s\n' $((0x$(field 0))) $((0x$(field 1))) "$size" \
            $((0x$(field 9))) $((0x$(field 10))) "$name"
        at=$(((at + 110 + length + 3) / 4 * 4))
        at=$(((at + size + 3) / 4 * 4))
    done
}

plant "$work/one"
sh corpus/linux/initramfs.sh "$work/one" >"$work/one.cpio"
touch -d 2001-01-01 "$work/one/init"
plant "$work/two"
sh corpus/linux/initramfs.sh "$work/two" >"$work/two.cpio"
cmp "$work/one.cpio" "$work/two.cpio" || fail "equal trees, other bytes"
list "$work/one.cpio" >"$work/got"
cat >"$work/want" <<'END'
1 40755 0 0:0 bin
2 100644 5 0:0 bin/a
3 120777 1 0:0 bin/link
4 40755 0 0:0 dev
5 20600 0 5:1 dev/console
6 100755 10 0:0 init
1 0 0 0:0 TRAILER!!!
END
diff "$work/want" "$work/got" || fail "other headers than expected"
echo "initramfs: ok"
