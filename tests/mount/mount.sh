#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mount.sh LOCKSTEP BUILD CASE: real programs on a file tree that is mounted through
# FUSE.  Skipped, with the reason, where this machine cannot mount.
set -eu
lockstep=$(realpath "$1")
tools=$(realpath "$2")
here=$(realpath "$(dirname "$0")")
source=$(realpath "$here/../..")
operations=${LOCKSTEP_FSX_OPERATIONS:-5000}

# Other users may come in where the owner of the mount is root.
others=
[ "$(id -u)" -ne 0 ] || others=--allow-other

work=$(mktemp -d "${TMPDIR:-/tmp}/lockstep-mount-XXXXXX")
mkdir "$work/m" "$work/d"
server=

cleanup()
{
    cd /
    if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then
        wait "$server" || true
    fi
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT

die() { echo "mount: $*" >&2; exit 1; }
skip() { echo "SKIPPED: $*" >&2; exit 77; }

mounted() { grep -q " $work/m fuse" /proc/mounts; }

# Serve SPEC and further options in the background; wait until the mount stands.
start() # SPEC [OPTION…]
{
    "$lockstep" mount --foreground $others "$@" "$work/m" 2>"$work/err" &
    server=$!
    tries=0
    until mounted; do
        if ! kill -0 "$server" 2>/dev/null; then
            server=
            grep -qE 'not permitted|No such device|not found|/dev/fuse' "$work/err" &&
                skip "cannot mount here: $(head -n 1 "$work/err")"
            die "$(cat "$work/err")"
        fi
        tries=$((tries + 1))
        [ $tries -lt 5000 ] || die "the mount does not appear"
        sleep 0.02
    done
}

# SIGTERM unmounts and ends with status 0.
stop()
{
    kill -TERM "$server"
    status=0
    wait "$server" || status=$?
    server=
    [ $status -eq 0 ] || die "the server ended with $status: $(cat "$work/err")"
    ! mounted || die "still mounted"
}

# Who serves a directory has no other files, and can do all that there is to do.
case_confine()
{
    "$lockstep" mount --confine=always mem "$work/m" 2>/dev/null &&
        die "confined to nothing"
    "$lockstep" mount --foreground --confine=always "dir:$work/d" "$work/m" \
        2>"$work/err" &
    until mounted || grep -q 'not supported' "$work/err"; do sleep 0.02; done
    ! grep -q 'not supported' "$work/err" || skip "no Landlock"
    kill -TERM $!
    wait $! || die "confined, the server ends with $?"
    ! mounted || die "still mounted"
    start --confine=always --record="$work/t.lks" "dir:$work/d,watch"
    mkdir -p "$work/m/a/b" "$work/m/c"
    grep -q 'NoNewPrivs:.*1' "/proc/$server/status" || die "not confined"
    echo hello >"$work/m/a/b/f"
    mv "$work/m/a/b/f" "$work/m/c/g"
    ln -s "$work/err" "$work/m/l"
    echo more >>"$work/m/c/g"
    [ "$(cat "$work/d/c/g" | tr '\n' ' ')" = "hello more " ] || die "confine: content"
    rm -r "$work/m/a"
    stop
    "$lockstep" replay -q "$work/t.lks" || die "replay: $?"
    start --confine=never "dir:$work/d"
    ls "$work/m" >/dev/null
    grep -q 'NoNewPrivs:.*0' "/proc/$server/status" || die "confined all the same"
    stop
}

# The server ends while a program still reads a directory; nothing of it may leak.
case_listing()
{
    command -v python3 >/dev/null || skip "no python3"
    start mem
    mkdir "$work/m/a" "$work/m/b"
    mkfifo "$work/ready" "$work/go"
    python3 -c 'import os, sys
with os.scandir(sys.argv[1]) as entries:
    next(entries)
    open(sys.argv[2], "w").close()
    open(sys.argv[3]).close()' "$work/m" "$work/ready" "$work/go" &
    reader=$!
    : <"$work/ready"
    stop
    : >"$work/go"
    wait $reader || die "the reader: $?"
}

# Checks of single calls, then random operations on one file.
case_calls() # EXPECTED SPEC
{
    start "$2"
    "$tools/posix" "$work/m" "$here/expected/$1"
    "$tools/fsx" "$work/m/f" "$operations"
    stop
}

# The errors of trees that take no writes, and of one that is full.
case_refusing()
{
    mkdir "$work/d/dir"
    printf text >"$work/d/file"
    : >"$work/d/dir/file"
    ln -s file "$work/d/link"
    for tree in "image:$work/d" "dir:$work/d,ro" "overlay:$work/d,ro"; do
        start "$tree"
        "$tools/posix" "$work/m" "$here/expected/read-only" read-only
        stop
    done
    start mem,quota=128K
    "$tools/posix" "$work/m" "$here/expected/full" full
    stop
}

case_git()
{
    command -v git >/dev/null || skip "no git"
    start "$1"
    (
        export HOME="$work" GIT_CONFIG_NOSYSTEM=1
        cd "$work/m"
        git init -q repository
        cd repository
        git config user.name test
        git config user.email test@example.org
        cp -R "$source/v86fs" "$source/hostfs" .
        git add .
        git commit -q -m first
        echo more >>v86fs/tree.h
        git mv v86fs/ids.c v86fs/moved.c
        git commit -q -a -m second
        [ -z "$(git status --porcelain)" ] || die "git status: $(git status --porcelain)"
        git fsck --strict 2>&1 | grep -v '^notice' && die "git fsck complains"
        git gc -q
        git checkout -q HEAD~
        [ -e v86fs/ids.c ] || die "git checkout"
        cmp v86fs/tree.h "$source/v86fs/tree.h"
        [ "$(git log --oneline --all | wc -l)" -eq 2 ] || die "git log"
    )
    stop
}

case_sqlite()
{
    command -v sqlite3 >/dev/null || skip "no sqlite3"
    start "$1"
    for mode in delete wal; do
        result=$(sqlite3 "$work/m/$mode.db" "pragma journal_mode=$mode;
            create table t(n integer primary key, text);
            with recursive c(n) as (select 1 union all select n + 1 from c where n < 5000)
                insert into t select n, hex(randomblob(20)) from c;
            delete from t where n % 3 = 0; vacuum;
            select count(*), sum(n) from t; pragma integrity_check;")
        [ "$(echo $result)" = "$mode 3334|8336667 ok" ] || die "sqlite3: $result"
    done
    stop
}

# The sources of this project, packed and unpacked, and read again from a second mount.
case_tar()
{
    folders="base trace v86fs hostfs" # some 140 files
    # shellcheck disable=SC2086 # a list of words
    tar -C "$source" -cf "$work/source.tar" $folders
    start mem
    tar -C "$work/m" -xf "$work/source.tar"
    for folder in $folders; do
        diff -r "$source/$folder" "$work/m/$folder" || die "tar: $folder differs"
    done
    # shellcheck disable=SC2086 # a list of words
    tar -C "$work/m" -cf "$work/again.tar" $folders
    rm -r "$work/m/base"
    [ ! -e "$work/m/base" ] || die "rm -r"
    stop
    start "image:$work/again.tar"
    diff -r "$source/base" "$work/m/base" || die "image: base differs"
    ! touch "$work/m/new" 2>/dev/null || die "an image can be written"
    stop
    start "overlay:$work/again.tar"
    echo new >"$work/m/base/arena.c"
    rm "$work/m/base/arena.h"
    [ "$(cat "$work/m/base/arena.c")" = new ] || die "overlay: write"
    [ "$(ls "$work/m/base" | wc -l)" -eq "$(($(ls "$source/base" | wc -l) - 1))" ] ||
        die "overlay: listing"
    cmp "$work/m/trace/trace.h" "$source/trace/trace.h"
    stop
}

# In the background: the command returns when the mount stands, and umount ends it.
case_daemon()
{
    start mem
    stop
    "$lockstep" mount "dir:$work/d" "$work/m"
    mounted || die "not mounted when the command returned"
    echo hello >"$work/m/f"
    [ "$(cat "$work/d/f")" = hello ] || die "the file is not in the directory"
    umount "$work/m" 2>/dev/null || fusermount3 -u "$work/m"
    ! mounted || die "still mounted"
    # A signal ends it, too.  The folder's name tells it from those of other tests.
    (cd "$work/.." && "$lockstep" mount mem "${work##*/}/m")
    for daemon in $(grep -lsF "${work##*/}/m" /proc/[0-9]*/cmdline); do
        daemon=${daemon%/cmdline}
        [ "$(readlink "$daemon/cwd")" != / ] || server=${daemon#/proc/}
    done
    kill -TERM "$server"
    server=
    tries=0
    while mounted; do
        tries=$((tries + 1))
        [ $tries -lt 1000 ] || die "a signal does not unmount"
        sleep 0.02
    done
    status=0
    "$lockstep" mount mem "$work/none" 2>/dev/null || status=$?
    [ $status -eq 125 ] || die "a missing folder: $status"
    "$lockstep" mount men "$work/m" 2>/dev/null || status=$?
    [ $status -eq 129 ] || die "a bad spec: $status"
}

# A recorded session is replayed without its tree, and its messages have names.
case_record() # SPEC CLASS
{
    start --record="$work/t.lks" "$1"
    "$tools/posix" "$work/m" "$here/expected/$2" >/dev/null
    (cd "$work/m" && mkdir a && echo hello >a/b && mv a/b c && cat c >/dev/null)
    stop
    rm -rf "$work/d"
    "$lockstep" replay "$work/t.lks" >"$work/out" || die "$(cat "$work/out")"
    "$lockstep" verify -q "$work/t.lks"
    status=0
    "$lockstep" replay --mode=exec "$work/t.lks" >"$work/exec" 2>&1 || status=$?
    if [ "$2" != dir ]; then # the tree as the session left it
        start "trace:$work/t.lks"
        [ "$(cat "$work/m/c")" = hello ] || die "the tree of the trace"
        echo more >>"$work/m/c"
        stop
    fi
    case $2 in
    dir)
        grep -q 'replies from the trace' "$work/out" || die "$(cat "$work/out")"
        [ $status -eq 125 ] || die "exec over a host directory: $status"
        ;;
    *)
        grep -q 'computed again' "$work/out" || die "$(cat "$work/out")"
        [ $status -eq 0 ] || die "$(cat "$work/exec")"
        ;;
    esac
    "$lockstep" dump "$work/t.lks" >"$work/dump"
    grep -q '  MKDIR node=1 name="a" mode=0755$' "$work/dump" || die "no MKDIR in the dump"
    grep -q '  WRITE node=[0-9]* offset=0 count=6$' "$work/dump" || die "no WRITE"
    "$lockstep" dump --json "$work/t.lks" | grep -q '"message":"MOUNT name' ||
        die "no message in JSON"
}

# Another process serves: the example in Python, in its limits.
case_bridge() # OPTIONS
{
    command -v python3 >/dev/null || skip "no python3"
    start "remote:exec:python3 $source/corpus/v86fs/bridge.py,hello=100$1"
    "$tools/fsx" "$work/m/f" 500
    (
        cd "$work/m"
        mkdir a
        echo hello >a/b
        mv a/b c
        ln -s c l
        [ "$(cat l)" = hello ] || die "bridge: cat"
        ! rmdir a/none 2>/dev/null || die "bridge: rmdir"
        [ "$(ls | tr '\n' ' ')" = 'a c f l ' ] || die "bridge: ls"
        rm c l f
        rmdir a
    )
    stop
}

# The server of files is killed: EIO once, then there is another one with another tree.
case_restart()
{
    cd "$source"
    command -v python3 >/dev/null || skip "no python3"
    start --record="$work/t.lks" \
        "remote:exec:exec python3 corpus/v86fs/bridge.py,hello=100,shm,on-death=restart"
    for round in 1 2; do
        [ -z "$(ls "$work/m")" ] || die "restart: the old tree"
        echo hello >"$work/m/f"
        [ "$(cat "$work/m/f")" = hello ] || die "restart: cat"
        kill -KILL "$(cat "/proc/$server/task/$server/children")"
        sleep 1.1 # until the kernel asks again
        ! cat "$work/m/f" 2>/dev/null || die "restart: a file of the dead"
    done
    stop
    grep -q 'is lost: the other side' "$work/err" || die "$(cat "$work/err")"
    grep -q 'another server' "$work/err" || die "$(cat "$work/err")"
    [ "$(grep -a -o -E 'server of files is lost|another server of files' "$work/t.lks" |
        wc -l)" -eq 4 ] || die "restart: no notes in the trace"
    "$lockstep" verify -q "$work/t.lks"
    "$lockstep" replay -q "$work/t.lks" || die "replay: $?"
}

# A session behind a socket, recorded, and mounted by somebody else.
case_socket() # SPEC OPTIONS
{
    "$lockstep" record -q -o "$work/t.lks" --fs "$1" --listen "$work/s" v86fs &
    recorder=$!
    start "remote:unix:$work/s,hello=100$2"
    "$tools/fsx" "$work/m/f" 300
    (cd "$work/m" && mkdir a && echo hello >a/b && [ "$(cat a/b)" = hello ])
    stop
    wait $recorder || die "record: $?"
    [ ! -e "$work/s" ] || die "the socket is still there"
    "$lockstep" replay -q "$work/t.lks" >/dev/null || die "replay: $?"
    "$lockstep" dump "$work/t.lks" | grep -q 'MKDIR node=[0-9]* name="a"' || die "dump"
}

# Others write to an open file, and rename one that was looked up: does the kernel know
# before what it was told of them grows old (a second)?
watch_round()
{
    printf one >"$work/d/f"
    echo x >"$work/d/s/a"
    sleep 1.1
    exec 4<"$work/m/f" 5<"$work/m/f" 6<"$work/m/f" 7<"$work/m/f"
    begun=$(date +%s%N)
    { [ "$(head -c 3 "$work/m/f")" = one ] && [ -e "$work/m/s/a" ]; } || die "watch: cat"
    printf two | dd of="$work/d/f" conv=notrunc 2>/dev/null
    mv "$work/d/s/a" "$work/d/s/b"
    for file in 4 5 6 7; do # a descriptor is read once
        sleep 0.05
        seen=$(head -c 3 <&$file)
        [ "$seen" != two ] || [ -e "$work/m/s/a" ] || break
    done
    exec 4<&- 5<&- 6<&- 7<&-
    [ "$seen" = two ] && [ ! -e "$work/m/s/a" ] &&
        [ $(($(date +%s%N) - begun)) -lt 900000000 ]
}

case_watch()
{
    start --record="$work/t.lks" "dir:$work/d,watch"
    printf one >"$work/d/f"
    mkdir "$work/d/s"
    [ -e "$work/m/f" ] && [ -e "$work/m/s" ] || die "watch: looking"
    rounds=0
    until watch_round; do # a busy machine may be late
        rounds=$((rounds + 1))
        [ $rounds -lt 20 ] || die "watch: the kernel has old names or old bytes"
    done
    for i in 1 2 3 4 5 6 7 8 9; do echo $i >"$work/m/s/own$i"; done
    kill -STOP "$server" # and more than the system keeps
    i=0
    while [ $i -lt 20000 ]; do
        : >"$work/d/f"
        : >"$work/d/s/b"
        i=$((i + 1))
    done
    kill -CONT "$server"
    [ -z "$(cat "$work/m/f")" ] || die "watch: after an overflow"
    sleep 0.5
    stop
    "$lockstep" replay -q "$work/t.lks" || die "replay: $?"
    "$lockstep" dump "$work/t.lks" | grep -o '  INVALIDATE.*' >"$work/notes"
    # From the root on all nodes, in the order of their ids; not those that wait still.
    sed -n '/DIR ino=1$/,$s/.*ino=\([0-9]*\).*/\1/p' "$work/notes" >"$work/ids"
    { sort -n -c "$work/ids" && grep -q '^101$' "$work/ids" &&
        grep -q '^111$' "$work/ids"; } || die "$(cat "$work/notes")"
    [ "$(wc -l <"$work/notes")" -lt $((40 + 10 * rounds)) ] ||
        die "watch: own changes are told"
}

# Notifications through the bridge, and again from the trace without the directory.
case_client_watch()
{
    command -v python3 >/dev/null || skip "no python3"
    "$lockstep" record -q -o "$work/t.lks" --fs "dir:$work/d,watch" --listen "$work/s" \
        v86fs &
    recorder=$!
    python3 "$here/client.py" "$work/s" hello "$work/d" || die "client"
    wait $recorder || die "record: $?"
    rm -rf "$work/d"
    "$lockstep" replay -q --listen "$work/s" "$work/t.lks" &
    player=$!
    python3 "$here/client.py" "$work/s" hello "$work/d" || die "client in replay"
    wait $player || die "replay with the same client: $?"
    "$lockstep" replay -q "$work/t.lks" || die "replay: $?"
}

# The client is run again instead of the recorded requests.
case_client() # SPEC
{
    command -v python3 >/dev/null || skip "no python3"
    for stored in '' --digests-only; do
        rm -rf "$work/d" "$work/t.lks"
        mkdir "$work/d"
        "$lockstep" record -q $stored -o "$work/t.lks" --fs "$1" --listen "$work/s" v86fs &
        recorder=$!
        python3 "$here/client.py" "$work/s" hello || die "client"
        wait $recorder || die "record: $?"
        rm -rf "$work/d"
        "$lockstep" replay -q --listen "$work/s" "$work/t.lks" &
        player=$!
        python3 "$here/client.py" "$work/s" hello || die "client in replay"
        wait $player || die "replay with the same client: $?"
        "$lockstep" replay -q --listen "$work/s" "$work/t.lks" >"$work/out" &
        player=$!
        ! python3 "$here/client.py" "$work/s" hallo 2>/dev/null || die "another client"
        status=0
        wait $player || status=$?
        [ $status -eq 1 ] || die "replay with another client: $status"
        grep -q 'request    WRITE node=' "$work/out" || die "$(cat "$work/out")"
    done
}

# What ./dev pjdfstest makes of a suite, with a suite of three files.
case_suite()
{
    [ "$(id -u)" -eq 0 ] || skip "the suite is run as root"
    suite=$work/suite
    judge() # STATUS TEXT
    {
        status=0
        sh "$here/pjdfstest.sh" "$lockstep" "$suite" mem >"$work/out" 2>&1 || status=$?
        [ $status -eq "$1" ] || die "pjdfstest: $status, not $1: $(cat "$work/out")"
        grep -q "$2" "$work/out" || die "pjdfstest: no '$2' in $(cat "$work/out")"
    }
    lines() # FILE FAILED PASSED
    {
        echo "echo 1..$(($2 + $3)); touch here || echo not ok; rm -f here"
        yes 'echo not ok 1 - x' | head -n "$2"
        yes 'echo ok 2' | head -n "$3"
    }
    judge 125 'no folder'
    mkdir -p "$suite/tests/mkdir" "$suite/tests/rename" "$suite/tests/link"
    judge 125 'no program'
    : >"$suite/pjdfstest"
    chmod +x "$suite/pjdfstest"
    judge 125 'is it a pjdfstest'
    : >"$suite/tests/misc.sh"
    judge 125 'no tests'
    lines mkdir/00 0 36 >"$suite/tests/mkdir/00.t"
    lines rename/00 74 48 >"$suite/tests/rename/00.t" # as listed
    lines link/00 9 0 >"$suite/tests/link/00.t"       # does not apply
    judge 0 '2 files, 158 checks, 0 files not as expected'
    lines rename/00 73 49 >"$suite/tests/rename/00.t"
    judge 1 'rename/00: 73 of 122 fail, expected 74/122'
    lines rename/00 74 48 | sed 1s/122/123/ >"$suite/tests/rename/00.t"
    judge 1 'planned were 123'
    lines rename/00 74 48 >"$suite/tests/rename/00.t"
    echo 'echo not ok 37' >>"$suite/tests/mkdir/00.t"
    judge 1 'mkdir/00: 1, and planned were 36, of 37 fail, expected 0'
}

case $3 in
client-mem)
    case_client mem
    exit
    ;;
client-dir)
    case_client "dir:$work/d"
    exit
    ;;
client-watch)
    case_client_watch
    exit
    ;;
esac
[ -e /dev/fuse ] || skip "no /dev/fuse"
case $3 in
mem) case_calls mem mem ;;
dir) case_calls dir "dir:$work/d" ;;
dir-open) case_calls dir-open "dir:$work/d,umask=0,special-bits,host-times" ;;
overlay) case_calls overlay "overlay:$work/d" ;;
overlay-dir) case_calls overlay "overlay:dir:$work/d" ;;
refusing) case_refusing ;;
suite) case_suite ;;
git-mem) case_git mem ;;
git-dir) case_git "dir:$work/d" ;;
sqlite-mem) case_sqlite mem ;;
sqlite-dir) case_sqlite "dir:$work/d" ;;
tar) case_tar ;;
watch) case_watch ;;
confine) case_confine ;;
listing) case_listing ;;
daemon) case_daemon ;;
bridge) case_bridge "" ;;
bridge-shm) case_bridge ,shm ;;
bridge-restart) case_restart ;;
socket-mem) case_socket mem "" ;;
socket-dir) case_socket "dir:$work/d" "" ;;
socket-shm) case_socket "dir:$work/d" ,shm ;;
record-mem) case_record mem mem ;;
record-dir) case_record "dir:$work/d" dir ;;
record-overlay) case_record "overlay:$source/v86fs" overlay ;;
*) die "no case $3" ;;
esac
