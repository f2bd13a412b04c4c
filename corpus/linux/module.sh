#!/bin/sh
# SPDX-License-Identifier: MIT
#
# module.sh GUEST FOLDER: build the module whose sources and Kbuild are in FOLDER against
# the headers in GUEST (fetch.sh); kbuild writes beside the sources.
set -eu
guest=$(cd "$1" && pwd)
root=$guest/root
folder=$(cd "$2" && pwd)
# These two variables are Debian's own and change what kbuild does.
env -u DEB_BUILD_ARCH -u DEB_HOST_ARCH make -s \
    -C "$root/usr/src/linux-headers-$(cat "$guest/release")" M="$folder" \
    KCFLAGS='-Wall -Werror' modules >"$folder.log" 2>&1 || {
    cat "$folder.log" >&2
    echo "guest: the module does not build" >&2
    exit 1
}
