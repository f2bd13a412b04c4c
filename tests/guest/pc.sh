#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pc.sh LOCKSTEP WHAT: sessions of Debian's kernel on the pc guest.
#
#   marker   it boots, runs a program and ends with its status
#   mem      work with files on a tree in memory, base protocol and extensions
#   dir      the same on a directory of this machine; the files are there afterwards
#   fsx      random operations with mappings
#   calls    single system calls, with the lists of tests/mount/expected
#   git      Debian's git, run from one mounted folder, keeps a repository on another;
#            the session is recorded and comes back after both folders are gone
#   replay   a recorded session on a directory comes back after the directory is gone,
#            and three recordings of one boot are the same
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

record() # TRACE SCRIPT OPTION…
{
    trace=$1 script=$2
    shift 2
    "$lockstep" record -o "$trace" pc --kernel $guest/vmlinuz \
        --initrd $guest/initramfs.cpio --append "$line run=$script" \
        --max-insns=6000000000 "$@" >"$dir/out" 2>"$dir/err" </dev/null ||
        fail "record $script: $(cat "$dir/err")"
}

replayed() # TRACE
{
    "$lockstep" replay "$1" >"$dir/out" 2>&1 || fail "replay $1"
    grep -q ': same: ' "$dir/out" || fail "replay $1"
    echo "pc: $(sed 's/.*: same: //' "$dir/out")"
}

# Single system calls; TREES are words for the kernel's command line (run/posix).
calls() # TREES OPTION…
{
    trees=$1
    shift
    session 0 "posix $trees" "$@"
    grep -q '^failed: 0' "$dir/out" || fail "$trees: $(grep '^posix' "$dir/out")"
    count=$(grep -c '^posix:.*checks, 0 not as expected' "$dir/out")
    [ "$count" -eq "$(echo $trees | wc -w)" ] || fail "$trees: $count have run"
    echo "pc: $trees: as expected"
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
replay)
    mkdir "$dir/tree" "$dir/other"
    record "$dir/a.lks" files --fs "dir:$dir/tree" --fs-extensions
    rm -r "$dir/tree"
    replayed "$dir/a.lks"
    # The debugger has no tree either: there, and back to a place on the way.
    want=$("$lockstep" dump "$dir/a.lks" | sed -n 's/.*state.hash hash=//p' | tail -1)
    "$lockstep" query --json -t end "$dir/a.lks" hash | grep -q "\"$want\"" ||
        fail 'the debugger comes to another end'
    record "$dir/mem.lks" files --fs mem --fs-extensions
    "$lockstep" replay --mode=exec "$dir/mem.lks" >"$dir/out" 2>&1 ||
        fail 'the replay with its tree differs'
    record "$dir/one.lks" marker
    MALLOC_PERTURB_=85 record "$dir/two.lks" marker
    OTHER=environment record "$dir/other/three.lks" marker
    "$lockstep" id "$dir/one.lks" "$dir/two.lks" >/dev/null || fail 'one is not two'
    "$lockstep" id "$dir/one.lks" "$dir/other/three.lks" >/dev/null ||
        fail 'one is not three'
    ;;
git)
    [ -x $guest/more/programs/bin/git ] || {
        echo 'pc: SKIPPED: no git for the guest; ./dev guest fetches it'
        exit 77
    }
    mkdir "$dir/tree"
    cp -R $guest/more/programs "$dir/programs"
    record "$dir/git.lks" git --fs "programs=dir:$dir/programs,ro" \
        --fs "work=dir:$dir/tree" --fs-extensions
    grep -q '^failed: 0' "$dir/out" || fail "run=git: $(grep '^not ok' "$dir/out")"
    echo "pc: run=git: $(grep -c '^ok' "$dir/out") checks"
    if command -v git >/dev/null; then
        git -c safe.directory='*' -C "$dir/tree/repository" fsck --strict \
            >"$dir/out" 2>&1 || fail 'git of this machine does not like the repository'
    fi
    rm -r "$dir/tree" "$dir/programs"
    replayed "$dir/git.lks"
    ;;
fsx) passes fsx --fs mem --fs-extensions ;;
calls)
    [ -x $guest/bin/posix ] || {
        echo 'pc: SKIPPED: the guest was built without a C library'
        exit 77
    }
    mkdir "$dir/tree" "$dir/tree/dir" "$dir/ro" "$dir/ro/dir"
    printf text >"$dir/ro/file"
    : >"$dir/ro/dir/file"
    ln -s file "$dir/ro/link"
    # On tmpfs nothing fails: all of it is so on Linux.
    calls 'posix=tmpfs,full posix=,base' --fs mem
    calls "posix=mem,mem posix=over,mem posix=dir,dir posix=ro,read-only,read-only \
posix=small,full,full" --fs-extensions --fs mem=mem --fs "over=overlay:$dir/ro" \
        --fs "dir=dir:$dir/tree" --fs "ro=dir:$dir/ro,ro" --fs small=mem,quota=128K
    ;;
*) fail "what is '$what'?" ;;
esac
