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
#   FOLDER/more      the same of packages that only some tests want: a C library for
#                    i386 (sysroot), git with its libraries (programs), and of the
#                    kernel's package the modules of 9p; absent, with a remark, where
#                    they cannot be had
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

more=$folder/more
more_packages="musl-dev:i386 libgcc-12-dev:i386 git:i386 libc6:i386 libpcre2-8-0:i386
    zlib1g:i386"

complete() # FOLDER
{
    [ -s "$1/SHA256SUMS" ] && (cd "$1" && sha256sum -c --quiet SHA256SUMS)
}

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

# download FOLDER PACKAGE…: the packages and their digests; or not one of them.
download()
{
    rm -rf "$1.new"
    mkdir -p "$1.new"
    to=$1
    shift
    for package in "$@"; do
        printf 'guest: fetching %s\n' "$package"
        (cd "$to.new" && apt-get -q download "$package" >"$folder/apt/get.log" 2>&1) || {
            tail -n 3 "$folder/apt/get.log" >&2
            rm -rf "$to.new"
            return 1
        }
    done
    (cd "$to.new" && sha256sum -- *.deb >SHA256SUMS)
    rm -rf "$to"
    mv "$to.new" "$to"
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
    download "$pkgs" "$image:i386" "$headers:i386" "linux-headers-${release%-686}-common" \
        linux-kbuild-6.1:amd64 busybox-static:i386 || die 3 "cannot fetch $package"
    printf '%s\n' "$release" >"$pkgs/release"
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

# The C library as it is; of git what a program needs, the interpreter where the guest's
# link to it expects it.
unpack_more()
{
    rm -rf "$more/sysroot" "$more/programs" "$more/9p" "$more/virtiofs"
    mkdir -p "$more/sysroot" "$more/all" "$more/programs/bin" "$more/programs/lib"
    for deb in "$more/pkgs"/*.deb; do
        case ${deb##*/} in
        musl-* | libgcc-*) dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$more/sysroot" ;;
        *) dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$more/all" ;;
        esac
    done
    cp "$more/all/usr/bin/git" "$more/programs/bin/"
    for library in ld-linux.so.2 libc.so.6 libpthread.so.0 libpcre2-8.so.0 libz.so.1; do
        cp -L "$(find "$more/all" -name "$library" | head -n 1)" "$more/programs/lib/"
    done
    rm -rf "$more/all"
    # The peers that v86fs is measured against in QEMU.
    mkdir -p "$more/9p/lib/9p"
    release=$(cat "$folder/release")
    kernel=./lib/modules/$release/kernel
    dpkg-deb --fsys-tarfile "$pkgs"/linux-image-*.deb | tar -x -C "$more/9p/lib/9p" \
        --strip-components=7 "$kernel/fs/netfs/netfs.ko" "$kernel/fs/fscache/fscache.ko" \
        "$kernel/net/9p/9pnet.ko" "$kernel/net/9p/9pnet_virtio.ko" "$kernel/fs/9p/9p.ko"
    mkdir -p "$more/virtiofs/lib/virtiofs"
    dpkg-deb --fsys-tarfile "$pkgs"/linux-image-*.deb |
        tar -x -C "$more/virtiofs/lib/virtiofs" --strip-components=7 \
            "$kernel/fs/fuse/fuse.ko" "$kernel/fs/fuse/virtiofs.ko"
}

fetch_more()
{
    [ "$offline" != --offline ] && command -v apt-get >/dev/null &&
        [ -r "$keyring" ] && apt_root &&
        # shellcheck disable=SC2086 # a list of words
        mkdir -p "$more" && download "$more/pkgs" $more_packages && unpack_more
}

if ! complete "$pkgs"; then
    [ "$offline" != --offline ] ||
        die 3 "no copies of the guest's packages in $pkgs, and --offline was asked"
    fetch
    rm -rf "$folder/release" "$more/9p"
fi
[ -s "$folder/release" ] || unpack
if ! complete "$more/pkgs"; then
    # Asked once: a machine without a network should not wait at every build.
    if [ -e "$more/refused" ] || ! fetch_more; then
        echo "guest: git and a C library are missing, so some tests are skipped;" \
            "to try again: rm $more/refused" >&2
        mkdir -p "$more"
        [ "$offline" = --offline ] || : >"$more/refused"
    fi
elif [ ! -e "$more/9p/lib/9p/9p.ko" ] || [ ! -d "$more/sysroot" ] ||
    [ ! -e "$more/virtiofs/lib/virtiofs/virtiofs.ko" ]; then
    unpack_more
fi
printf 'guest: Linux %s\n' "$(cat "$folder/release")"
