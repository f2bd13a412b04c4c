#!/bin/sh
# SPDX-License-Identifier: MIT
#
# build.sh GUEST: what the session of docs/debug.md with a module needs, in GUEST/owner.
# GUEST is what corpus/linux/build.sh made.
#
#   v86fs.ko        the module with the error of owner.patch, and debug information
#   initramfs.cpio  GUEST's, with this module and the script run=owner
#   repaired.cpio   the same with the module as it is
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
top=$(cd "$here/../../.." && pwd)
if [ ! -s "$1/initramfs.cpio" ]; then
    echo "owner: SKIPPED: no Linux guest; ./dev guest tells why"
    exit 77
fi
guest=$(cd "$1" && pwd -P)
folder=$guest/owner
made=$folder/repaired.cpio # the last thing that is made

if [ -e "$made" ] && [ -z "$(find "$here" "$top/v86fs/guest-linux" "$guest/initramfs.cpio" \
    -newer "$made" -print | head -n 1)" ]; then
    exit 0
fi
rm -rf "$folder"
mkdir -p "$folder/module" "$folder/tree/dev" "$folder/tree/run"
cp "$top"/v86fs/guest-linux/*.[ch] "$top/v86fs/guest-linux/Kbuild" "$folder/module/"
# Without the ceiling git takes the names of the patch as those of this repository.
GIT_CEILING_DIRECTORIES=$folder git -C "$folder/module" apply "$here/owner.patch"
sh "$top/corpus/linux/module.sh" "$guest" "$folder/module"
mv "$folder/module/v86fs.ko" "$folder/"

# The kernel unpacks one archive behind the other; the later file of a name stays.
cp "$here/run" "$folder/tree/run/owner"
sh "$top/corpus/linux/initramfs.sh" "$folder/tree" >"$folder/script.cpio"
mkdir -p "$folder/tree/lib/modules"
strip -g -o "$folder/tree/lib/modules/v86fs.ko" "$folder/v86fs.ko"
sh "$top/corpus/linux/initramfs.sh" "$folder/tree" >"$folder/both.cpio"
cat "$guest/initramfs.cpio" "$folder/both.cpio" >"$folder/initramfs.cpio"
cat "$guest/initramfs.cpio" "$folder/script.cpio" >"$made"
