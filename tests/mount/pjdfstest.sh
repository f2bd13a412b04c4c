#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pjdfstest.sh LOCKSTEP DIR [TREE [FILE…]]: the applicable files of a pjdfstest that
# somebody unpacked and built in DIR (https://github.com/pjd/pjdfstest, BSD), through a
# mount of TREE (mem or dir; default: both), compared with expected/pjdfstest-TREE.  FILE
# is a name like rename/09.
#
# Exit status 0: as listed; 1: not; 125: cannot tell.
set -eu
lockstep=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
# Without what has no message (link, mkfifo, mknod) and other systems' calls (chflags,
# granular, posix_fallocate).
subjects='chmod chown ftruncate mkdir open rename rmdir symlink truncate unlink utimensat'

die() { echo "pjdfstest: $*" >&2; exit 125; }

[ $# -ge 2 ] || die 'which folder? ./dev pjdfstest DIR'
[ -d "$2" ] || die "no folder '$2'; it has to hold an unpacked, built pjdfstest"
suite=$(realpath "$2")
[ -x "$suite/pjdfstest" ] || die "no program '$suite/pjdfstest'; build it there first"
[ -r "$suite/tests/misc.sh" ] || die "no '$suite/tests/misc.sh': is it a pjdfstest?"
[ "$(id -u)" -eq 0 ] || die 'the suite changes users: run it as root'
[ -e /dev/fuse ] || die 'no /dev/fuse here'
shift 2
trees=${1:-mem dir}
[ $# -eq 0 ] || shift

work=$(mktemp -d)
chmod 755 "$work"
mkdir "$work/m" "$work/tree"
chmod 755 "$work/m" "$work/tree"
cleanup()
{
    cd /
    umount "$work/m" 2>/dev/null || true
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 125' INT TERM

# One file: counts of its lines in $bad and $all.  What is marked TODO does not count.
run_file() # PATH
{
    (cd "$work/m" && sh "$1") >"$work/out" 2>/dev/null || true
    bad=$(grep '^not ok' "$work/out" | grep -vc '# TODO') || true
    all=$(grep -cE '^(not )?ok' "$work/out") || true
    plan=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$work/out" | head -n 1)
    [ "${plan:-none}" = "$all" ] || bad="$bad, and planned were ${plan:-none},"
}

# Compare with the list: "FILE FAILED/ALL reason"; what is not listed has no failures.
judge() # TREE NAME
{
    want=$(sed -n "s|^$2  *\([0-9]*/[0-9]*\) .*|\1|p" "$here/expected/pjdfstest-$1")
    files=$((files + 1))
    total=$((total + all))
    if [ "${want:-0/$all}" != "$bad/$all" ]; then
        wrong=$((wrong + 1))
        echo "pjdfstest: $1: $2: $bad of $all fail, expected ${want:-0}"
        grep '^not ok' "$work/out" | grep -v '# TODO' | head -n 3 | cut -c 1-160
    fi
}

run_tree() # TREE FILE…
{
    tree=$1 files=0 total=0 wrong=0
    shift
    case $tree in
    mem) spec=mem ;;
    dir) spec=dir:$work/tree,special-bits,umask=0 ;;
    *) die "no list for a tree '$tree': mem, dir" ;;
    esac
    "$lockstep" mount --allow-other "$spec" "$work/m" || die "cannot mount $spec"
    [ $# -gt 0 ] || set -- $(cd "$suite/tests" && for subject in $subjects; do
        find "$subject" -name '*.t' 2>/dev/null | sort
    done | sed 's/\.t$//')
    [ $# -gt 0 ] || die "no tests of $subjects in '$suite/tests'"
    for name in "$@"; do
        [ -r "$suite/tests/$name.t" ] || die "no '$suite/tests/$name.t'"
        run_file "$suite/tests/$name.t"
        judge "$tree" "$name"
    done
    umount "$work/m"
    echo "pjdfstest: $tree: $files files, $total checks, $wrong files not as expected"
    [ $wrong -eq 0 ] || status=1
}

status=0
for each in $trees; do
    run_tree "$each" "$@"
done
exit $status
