#!/bin/sh
# SPDX-License-Identifier: MIT
#
# fetch.sh FOLDER [--offline]: Debian's i386 kernel, its headers and a static busybox
# into FOLDER, through an apt root of its own, so that the system's packages and
# architectures stay as they are (machine.md 3.6, v86fs.md 10.2).
#
#   FOLDER/pkgs      the packages and SHA256SUMS; kept, so that a second run needs no
#                    network
#   FOLDER/root      what is used of them
#   FOLDER/release   the kernel's release, 6.1.0-NN-686
#
# Exit status 3: the packages cannot be had here (no network and no copies, or no apt).
set -eu

die() # STATUS TEXT
{
    printf 'guest: %s\n' "$2" >&2
    exit "$1"
}

[ $# -ge 1 ] || die 2 "usage: fetch.sh FOLDER [--offline]"
mkdir -p "$1"
folder=$(cd "$1" && pwd)
offline=${2:-}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mirror=${LOCKSTEP_DEBIAN_MIRROR:-http://deb.debian.org/debian}
pkgs=$folder/pkgs
root=$folder/root

complete() { [ -s "$pkgs/SHA256SUMS" ] && (cd "$pkgs" && sha256sum -c --quiet SHA256SUMS); }

# A private apt root.  The status of `update` is not asked: a mirror whose index of
# another suite is being written answers with an error although all is there.
apt_root()
{
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial"
    : >"$folder/apt/status"
    echo "deb [arch=amd64,i386 signed-by=$keyring] $mirror bookworm main" \
        >"$folder/apt/sources.list"
    cat >"$folder/apt/apt.conf" <<END
APT::Architecture "amd64";
APT::Architectures { "amd64"; "i386"; };
APT::Update::Post-Invoke-Success "";
APT::Sandbox::User "";
DPkg::Post-Invoke "";
Dir::State "$folder/apt";
Dir::State::status "$folder/apt/status";
Dir::State::lists "$folder/apt/lists";
Dir::Cache "$folder/apt/cache";
Dir::Etc::sourcelist "$folder/apt/sources.list";
Dir::Etc::sourceparts "-";
Acquire::Languages "none";
Acquire::Retries "2";
END
    APT_CONFIG=$folder/apt/apt.conf
    export APT_CONFIG
    apt-get -q update >"$folder/apt/update.log" 2>&1 || true
}

# The package that a metapackage names, without its architecture.
named_by() # METAPACKAGE PREFIX
{
    apt-cache depends "$1:i386" 2>/dev/null |
        sed -n "s/^ *Depends: \($2[^: ]*\).*/\1/p" | head -n 1
}

fetch()
{
    command -v apt-get >/dev/null && [ -r "$keyring" ] ||
        die 3 "the guest's packages need apt-get and Debian's keyring"
    apt_root
    image=$(named_by linux-image-686 linux-image-)
    headers=$(named_by linux-headers-686 linux-headers-)
    if [ -z "$image" ] || [ -z "$headers" ]; then
        tail -n 3 "$folder/apt/update.log" >&2
        die 3 "no kernel of Debian bookworm for i386 at $mirror"
    fi
    release=${image#linux-image-}
    mkdir -p "$pkgs.new"
    for package in "$image:i386" "$headers:i386" \
        "linux-headers-${release%-686}-common" linux-kbuild-6.1:amd64 \
        busybox-static:i386; do
        printf 'guest: fetching %s\n' "$package"
        (cd "$pkgs.new" && apt-get -q download "$package" >"$folder/apt/get.log" 2>&1) || {
            tail -n 3 "$folder/apt/get.log" >&2
            die 3 "cannot fetch $package"
        }
    done
    (cd "$pkgs.new" && sha256sum -- *.deb >SHA256SUMS)
    printf '%s\n' "$release" >"$pkgs.new/release"
    rm -rf "$pkgs"
    mv "$pkgs.new" "$pkgs"
}

# The parts that are used.  The image package is 300 MB unpacked; seven files are wanted.
unpack()
{
    release=$(cat "$pkgs/release")
    drivers=./lib/modules/$release/kernel/drivers/virtio
    rm -rf "$root"
    mkdir -p "$root"
    for deb in "$pkgs"/*.deb; do
        case ${deb##*/} in
        linux-image-*)
            dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" \
                "./boot/vmlinuz-$release" "$drivers/virtio.ko" \
                "$drivers/virtio_ring.ko" "$drivers/virtio_pci_legacy_dev.ko" \
                "$drivers/virtio_pci_modern_dev.ko" "$drivers/virtio_pci.ko"
            ;;
        *) dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" ;;
        esac
    done
    # The package names the common headers by an absolute path.
    echo "include $root/usr/src/linux-headers-${release%-686}-common/Makefile" \
        >"$root/usr/src/linux-headers-$release/Makefile"
    printf '%s\n' "$release" >"$folder/release"
}

if ! complete; then
    [ "$offline" != --offline ] ||
        die 3 "no copies of the guest's packages in $pkgs, and --offline was asked"
    rm -rf "$pkgs.new"
    fetch
    rm -f "$folder/release"
fi
[ -s "$folder/release" ] || unpack
printf 'guest: Linux %s\n' "$(cat "$folder/release")"
