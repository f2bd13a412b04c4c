#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pc.sh LOCKSTEP WHAT: sessions of Debian's kernel on the pc guest.
#
#   marker   it boots, runs a program and ends with its status
#   mem      work with files on a tree in memory, base protocol and extensions
#   dir      the same on a directory of this machine; the files are there afterwards
#   fsx      random operations with mappings
#   record   a session on a directory; the directory is deleted, the replay is the same;
#            three recordings on a tree in memory have one identity
set -u
lockstep=$1
what=$2
guest=build/guest
line='console=ttyS0 cryptomgr.notests=1 noisapnp reboot=p quiet'
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

if [ ! -s $guest/initramfs.cpio ]; then
    echo "pc: SKIPPED: no Linux guest; ./dev guest tells why"
    exit 77
fi

fail()
{
    echo "pc: $*"
    tail -n 20 "$dir/out"
    exit 1
}

# session STATUS SCRIPT OPTION…: its console in $dir/out.
session()
{
    want=$1 script=$2
    shift 2
    "$lockstep" run pc --kernel $guest/vmlinuz --initrd $guest/initramfs.cpio \
        --append "$line run=$script" --max-insns=6000000000 "$@" \
        >"$dir/out" 2>"$dir/err" </dev/null
    got=$?
    [ $got -eq "$want" ] || fail "run=$script $*: status $got, not $want"
}

passes() # SCRIPT OPTION…
{
    session 0 "$@"
    grep -q '^failed: 0' "$dir/out" || fail "run=$1: $(grep '^not ok' "$dir/out")"
    echo "pc: run=$*: $(grep -c '^ok' "$dir/out") checks"
}

case $what in
marker)
    session 42 marker
    grep -q '^lockstep marker: Linux i686' "$dir/out" || fail 'no marker'
    ;;
mem)
    passes files --fs mem
    passes files --fs mem --fs-extensions
    ;;
dir)
    mkdir "$dir/tree"
    passes files --fs "dir:$dir/tree" --fs-extensions
    [ -z "$(ls -A "$dir/tree")" ] || fail "left behind: $(ls -A "$dir/tree")"
    ;;
fsx) passes fsx --fs mem --fs-extensions ;;
record)
    # record NAME SCRIPT OPTION…
    record()
    {
        trace=$dir/$1.lks script=$2
        shift 2
        "$lockstep" record -q --exit-status -o "$trace" pc --kernel $guest/vmlinuz \
            --initrd $guest/initramfs.cpio --append "$line run=$script" \
            --max-insns=6000000000 "$@" >"$dir/out" 2>"$dir/err" </dev/null ||
            fail "record run=$script $*"
    }
    mkdir "$dir/tree"
    record host files --fs "dir:$dir/tree" --fs-extensions
    rm -r "$dir/tree"
    "$lockstep" replay "$dir/host.lks" >"$dir/out" 2>&1 || fail 'the replay differs'
    for n in 1 2 3; do
        record mem$n files --fs mem --fs-extensions
    done
    "$lockstep" id "$dir/mem1.lks" "$dir/mem2.lks" >"$dir/out" 2>&1 || fail 'two identities'
    "$lockstep" id "$dir/mem1.lks" "$dir/mem3.lks" >"$dir/out" 2>&1 || fail 'two identities'
    "$lockstep" replay --mode=exec "$dir/mem1.lks" >"$dir/out" 2>&1 ||
        fail 'the replay with its tree differs'
    ;;
*) fail "what is '$what'?" ;;
esac
