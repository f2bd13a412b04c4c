#!/bin/sh
# SPDX-License-Identifier: MIT
#
# cli.sh LOCKSTEP: run, record and replay as a user does, with signals, other folders and
# environments, and files that are no traces.  Run from the root of the source.
set -u
lockstep=$(realpath "$1")
bin=$(realpath corpus/pvm/bin)
root=$(pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

complain()
{
    echo "cli.sh: $*" >&2
    failures=$((failures + 1))
}

# want STATUS COMMAND...: the exit status; output goes to $work/out and $work/err.
want()
{
    wanted=$1
    shift
    "$@" >"$work/out" 2>"$work/err"
    got=$?
    [ "$got" -eq "$wanted" ] || {
        complain "status $got, not $wanted: $*"
        cat "$work/out" "$work/err" >&2
    }
}

# says PATTERN: in what the last command printed.
says()
{
    cat "$work/out" "$work/err" | grep -q -e "$1" || {
        complain "no '$1' in:"
        cat "$work/out" "$work/err" >&2
    }
}

one_line()
{
    [ "$(wc -l <"$work/err")" -eq 1 ] || complain "not one line: $(cat "$work/err")"
}

id_of() { "$lockstep" replay --json "$1" | sed 's/.*"identity":"\([0-9a-f]*\)".*/\1/'; }

# ---- the same run has the same identity, wherever it happens ----

identities()
{
    mkdir -p "$work/in" "$work/a" "$work/deeper/b"
    printf 'some text\nin a file\n' >"$work/in/file.txt"
    set -- --raw --digest=1 --hash=1000 pvm "$bin/wc.pvm" --dir
    (cd "$work/a" && want 0 "$lockstep" record -o 1.lks "$@" "$work/in" -- file.txt)
    (cd "$work/deeper/b" &&
        want 0 env -i MALLOC_PERTURB_=170 TZ=Asia/Tokyo LC_ALL=C.UTF-8 X="$(seq 2000)" \
            "$lockstep" record -o 2.lks "$@" ../../in -- file.txt)
    (cd "$work" && want 0 setarch -R "$lockstep" record -o 3.lks "$@" in -- file.txt)
    cmp "$work/a/1.lks" "$work/deeper/b/2.lks" || complain "environment shows"
    cmp "$work/a/1.lks" "$work/3.lks" || complain "address layout shows"
    want 0 "$lockstep" record --volatile -o "$work/4.lks" "$@" "$work/in" -- file.txt
    want 0 "$lockstep" record --zstd=9 -o "$work/5.lks" --digest=1 --hash=1000 \
        pvm "$bin/wc.pvm" --dir "$work/in" -- file.txt
    for file in 4 5; do
        [ "$(id_of "$work/$file.lks")" = "$(id_of "$work/3.lks")" ] ||
            complain "$file.lks has another identity"
    done
}

# ---- checkpoints in the file ----

checkpoints()
{
    set -- -r a0=8 pvm "$bin/lz.pvm"
    want 0 "$lockstep" record -o "$work/c0.lks" "$@"
    want 0 "$lockstep" record --checkpoint=1000000 -o "$work/c1.lks" "$@"
    want 0 "$lockstep" verify "$work/c1.lks"
    [ "$(id_of "$work/c0.lks")" = "$(id_of "$work/c1.lks")" ] ||
        complain "checkpoints change the identity"
    want 0 "$lockstep" replay --to 90% "$work/c1.lks"
    says 'from the checkpoint at icount'
    grep -v checkpoint "$work/out" | sed 's/after.*//' >"$work/quick"
    want 0 "$lockstep" replay --from-start --to 90% "$work/c1.lks"
    sed 's/after.*//' "$work/out" | cmp - "$work/quick" ||
        complain "a replay from a checkpoint comes to another state"
    want 0 "$lockstep" checkpoint --remove -o "$work/c2.lks" "$work/c1.lks"
    cmp "$work/c0.lks" "$work/c2.lks" || complain "without checkpoints it is another file"
    want 0 "$lockstep" replay --add-checkpoints=3000000 "$work/c2.lks"
    says '[1-9] checkpoints'
    want 0 "$lockstep" checkpoint --json --every=3000000 "$work/c0.lks"
    says '"checkpoints":[1-9]'
    cmp "$work/c0.lks" "$work/c2.lks" || complain "the two commands differ"
    want 0 "$lockstep" replay "$work/c2.lks"
    want 129 "$lockstep" record --checkpoint=5 --ring=1M -o "$work/c3.lks" "$@"
    head -c 3000 "$work/c2.lks" >"$work/c3.lks"
    want 125 "$lockstep" checkpoint "$work/c3.lks"
    one_line
    [ ! -e "$work/c3.lks.part" ] || complain "a part is left"
}

# ---- a replay needs the trace alone ----

replays()
{
    rm -r "$work/in"
    (cd / && want 0 "$lockstep" replay "$work/3.lks" <&-)
    want 0 "$lockstep" replay --output "$work/3.lks"
    grep -q '2 *5 *20 file.txt' "$work/out" || complain "the guest's output is not there"
    want 0 "$lockstep" replay -j2 "$work/3.lks" "$work/4.lks" "$work/a/1.lks"
    [ "$(grep -c same "$work/out")" -eq 3 ] || complain "three replays, three lines"
    want 0 "$lockstep" replay -q "$work/3.lks"
    [ ! -s "$work/out" ] || complain "-q is not quiet"
    want 0 "$lockstep" replay --raw --record "$work/6.lks" "$work/3.lks"
    cmp "$work/3.lks" "$work/6.lks" || complain "the record of a replay is another file"
    want 129 "$lockstep" replay --record "$work/3.lks" "$work/3.lks"
    cmp "$work/3.lks" "$work/6.lks" || complain "--record has overwritten its input"
    want 0 "$lockstep" replay --to 50 "$work/3.lks"
    says 'at icount 50 '
    want 129 "$lockstep" replay --to 5x "$work/3.lks"
    one_line
}

# ---- every gas log replays; their identities differ ----

gas_logs()
{
    for log in ledger each summary; do
        want 0 "$lockstep" record --gas-log=$log -o "$work/$log.lks" \
            pvm "$bin/sieve.pvm" --reg a0=2000
        want 0 "$lockstep" replay "$work/$log.lks"
        id_of "$work/$log.lks"
    done >"$work/ids"
    [ "$(sort -u "$work/ids" | wc -l)" -eq 3 ] || complain "gas logs share an identity"
}

# ---- statuses ----

statuses()
{
    want 0 "$lockstep" run pvm "$bin/upcase.pvm" --stdin "$root/README.md"
    want 1 "$lockstep" run pvm "$bin/guess.pvm" --stdin /dev/null
    want 0 "$lockstep" record -o "$work/guess.lks" pvm "$bin/guess.pvm" --stdin /dev/null
    want 1 "$lockstep" record --exit-status -o "$work/guess.lks" pvm "$bin/guess.pvm" \
        --stdin /dev/null
    want 134 "$lockstep" run --gas 100 pvm "$bin/fib.pvm" --reg a0=20
    says out-of-gas
    want 125 "$lockstep" run pvm "$work/nothing.pvm"
    one_line
    want 125 "$lockstep" run pvm "$root/README.md"
    one_line
    want 129 "$lockstep" run emu "$bin/fib.pvm"
    want 129 "$lockstep" run pvm "$bin/fib.pvm" --reg x=1
    want 129 "$lockstep" run pvm "$bin/fib.pvm" --gas 0x8000000000000000
    want 129 "$lockstep" run pvm "$bin/fib.pvm" --model 3
    want 129 "$lockstep" run pvm "$bin/fib.pvm" --write
    want 129 "$lockstep" record -o "$work/guess.lks"
    cp "$bin/fib.pvm" "$work/precious.pvm"
    want 129 "$lockstep" record -o "$work/precious.pvm" pvm "$bin/fib.pvm"
    cmp "$bin/fib.pvm" "$work/precious.pvm" || complain "a program was overwritten"
    want 125 "$lockstep" record -o "$work/no/folder.lks" pvm "$bin/fib.pvm"
    one_line
}

bad_files()
{
    want 125 "$lockstep" replay "$work/nothing.lks"
    one_line
    want 125 "$lockstep" replay "$bin/fib.pvm"
    one_line
    want 125 "$lockstep" replay /dev/null
    one_line
    # One bit in the middle of the events.
    cp "$work/3.lks" "$work/bit.lks"
    size=$(wc -c <"$work/bit.lks")
    printf '\377' | dd of="$work/bit.lks" bs=1 seek=$((size - 700)) conv=notrunc 2>/dev/null
    want 125 "$lockstep" replay "$work/bit.lks"
    one_line
    says damaged
    head -c 3000 "$work/3.lks" >"$work/cut.lks"
    "$lockstep" replay "$work/cut.lks" >"$work/out" 2>"$work/err"
    [ $? -ne 1 ] || complain "half a file is no divergence"
    want 125 "$lockstep" replay "$work/3.lks" "$work/bit.lks"
}

# ---- signals ----

cat >"$work/loop.s" <<'END'
loop:
    load_imm a0, 1
    ecalli 72
    jump loop
END

# The recorder is gone in the middle: what it has written replays.
killed()
{
    "$lockstep" asm -o "$work/loop.pvm" "$work/loop.s"
    for delay in 0.1 0.2 0.4; do
        "$lockstep" record -q -o "$work/killed.lks" pvm "$work/loop.pvm" &
        pid=$!
        sleep $delay
        kill -KILL $pid
        wait $pid 2>"$work/ignored"
        want 0 "$lockstep" replay "$work/killed.lks"
        says ': open: the same as far as it goes: '
        want 0 "$lockstep" replay --record "$work/rest.lks" "$work/killed.lks"
        want 0 "$lockstep" replay "$work/rest.lks"
    done
}

# A trace that is being written: a replay follows it.
live()
{
    "$lockstep" record -q -o "$work/live.lks" pvm "$work/loop.pvm" &
    pid=$!
    sleep 0.2
    "$lockstep" replay "$work/live.lks" >"$work/out" 2>"$work/err" &
    follower=$!
    sleep 0.2
    kill -INT $pid
    wait $pid || complain "record after Ctrl-C: status $?"
    wait $follower || complain "replay of a live trace: status $?"
    says ': same: \|: open: '
    want 0 "$lockstep" replay "$work/live.lks"
    says 'the recording was stopped there'
}

# Ctrl-C in the middle of computing, and in a read that waits.
interrupted()
{
    printf 'loop:\n    jump loop\n' >"$work/busy.s"
    "$lockstep" asm -o "$work/busy.pvm" "$work/busy.s"
    for log in ledger summary; do
        "$lockstep" record -q --gas-log=$log -o "$work/busy.lks" pvm "$work/busy.pvm" &
        pid=$!
        sleep 0.2
        kill -INT $pid
        wait $pid || complain "record after Ctrl-C: status $?"
        want 0 "$lockstep" replay "$work/busy.lks"
        says 'the recording was stopped there'
    done
    mkfifo "$work/fifo"
    sleep 5 >"$work/fifo" &
    writer=$!
    "$lockstep" record -q -o "$work/wait.lks" pvm "$bin/wc.pvm" --stdin "$work/fifo" &
    pid=$!
    sleep 0.3
    kill -INT $pid
    wait $pid || complain "record after Ctrl-C in a read: status $?"
    kill $writer
    want 0 "$lockstep" replay "$work/wait.lks"
    says 'the recording was stopped there'
}

# A ring keeps its start and its end, and both replay.
rings()
{
    "$lockstep" asm -o "$work/loop.pvm" "$work/loop.s"
    want 0 "$lockstep" record --raw --ring=1M --gas-log=each -o "$work/ring.lks" \
        pvm "$bin/sieve.pvm" --reg a0=200000
    [ "$(wc -c <"$work/ring.lks")" -lt 3000000 ] || complain "a ring of 1 MiB is larger"
    want 0 "$lockstep" replay "$work/ring.lks"
    says ': same: [0-9]'
    want 0 "$lockstep" verify "$work/ring.lks"
    want 125 "$lockstep" replay --record "$work/again.lks" "$work/ring.lks"
    one_line
    for log in ledger summary; do
        want 0 "$lockstep" record --raw --ring=1M --gas-log=$log -o "$work/ring.lks" \
            pvm "$work/loop.pvm" --gas 300000
        [ "$(wc -c <"$work/ring.lks")" -lt 3000000 ] || complain "a ring is too large"
        want 0 "$lockstep" replay "$work/ring.lks"
        says ': same: [0-9]'
    done
    [ -z "$(ls "$work" | grep 'ring.lks.')" ] || complain "segments are left"
    touch "$work/ring.lks.000"
    want 129 "$lockstep" record --ring=1M -o "$work/ring.lks" pvm "$work/loop.pvm" \
        --gas 300000
    one_line
}

# A part of a trace.
cuts()
{
    want 0 "$lockstep" record -o "$work/whole.lks" pvm "$bin/sieve.pvm" \
        --reg a0=1000000
    want 0 "$lockstep" cut -o "$work/part.lks" "$work/whole.lks" 50%..
    want 0 "$lockstep" replay "$work/part.lks"
    says ': same: '
    want 0 "$lockstep" verify "$work/part.lks"
    want 0 "$lockstep" cut -o "$work/part.lks" "$work/whole.lks" 20%..+5000000
    want 0 "$lockstep" replay "$work/part.lks"
    says ': open: '
    want 129 "$lockstep" cut "$work/whole.lks" 20%..
    want 129 "$lockstep" cut -o "$work/whole.lks" "$work/whole.lks" 20%..
    want 129 "$lockstep" cut -o "$work/part.lks" "$work/whole.lks" 20%
    want 125 "$lockstep" cut -o "$work/part.lks" "$work/cut.lks" 20%..
    one_line
}

# The children of a process, whichever thread of it made them.
children() { cat /proc/"$1"/task/*/children 2>/dev/null; }

# A lost worker is an error; what was recorded before stays.
lost_worker()
{
    want 0 "$lockstep" record -o "$work/walls.lks" pvm "$bin/fib.pvm" --reg a0=20
    want 0 "$lockstep" replay --in-process "$work/walls.lks"
    says ': same: '
    want 0 "$lockstep" replay --engine=interp "$work/walls.lks"
    says ': same: '
    "$lockstep" record -o "$work/lost.lks" --gas 4000000000000 pvm "$bin/fib.pvm" \
        --reg a0=80 2>"$work/err" >"$work/out" &
    host=$!
    worker=
    for _ in $(seq 500); do
        worker=$(children $host | tr -d ' ')
        [ -n "$worker" ] && [ -s "$work/lost.lks" ] && break
        sleep 0.01
    done
    if [ -z "$worker" ]; then # no recompiler, or a kernel that does not tell
        kill -9 $host
        wait $host
        return
    fi
    sleep 0.2
    kill -9 "$worker"
    wait $host
    status=$?
    [ "$status" -eq 125 ] || complain "status $status after the worker was killed"
    one_line
    says 'sandboxed worker process was lost'
    want 0 "$lockstep" verify "$work/lost.lks"
    says ': whole: '
    want 0 "$lockstep" replay "$work/lost.lks"
    says ': open: '
}

# ---- branches: a child with its parent at hand, alone, and without ----

branches()
{
    mkdir "$work/family" "$work/away"
    printf 'one two\nthree\n' >"$work/first"
    seq 1 50 >"$work/second"
    want 0 "$lockstep" record -o "$work/family/p.lks" --seed 1 --stdin "$work/first" \
        pvm "$bin/guess.pvm"
    set -- "$work/family/p.lks" --at 50% --stdin "$work/second" --seed 2
    want 0 "$lockstep" branch "$@" -o "$work/family/c.lks"
    says 'branched at event'
    want 0 "$lockstep" branch "$@" --standalone -o "$work/away/alone.lks"
    want 0 "$lockstep" replay "$work/family/c.lks"
    says ': same: '
    [ "$(id_of "$work/family/c.lks")" = "$("$lockstep" id "$work/family/c.lks" | cut -c 1-64)" ] ||
        complain "a child has another identity when it is joined"
    want 0 "$lockstep" verify "$work/family/c.lks"
    want 0 "$lockstep" query -t end "$work/family/c.lks" hash
    cp "$work/family/c.lks" "$work/away/"
    want 125 "$lockstep" replay "$work/away/c.lks"
    says 'it needs its parent'
    one_line
    want 125 "$lockstep" replay --parent "$work/3.lks" "$work/away/c.lks"
    says 'not its parent'
    want 0 "$lockstep" replay --parent "$work/family/p.lks" "$work/away/c.lks"
    want 0 "$lockstep" replay "$work/away/alone.lks"
    want 129 "$lockstep" branch "$work/family/p.lks" -o "$work/away/x.lks"
    want 129 "$lockstep" branch "$work/family/p.lks" --at no -o "$work/away/x.lks"
    want 129 "$lockstep" branch "$work/family/p.lks" --at 1 -o "$work/family/p.lks"
    want 125 "$lockstep" branch "$work/away/c.lks" --at 1 -o "$work/away/x.lks"
    [ ! -e "$work/away/x.lks" ] || complain "a branch that failed has left a file"
}

identities
checkpoints
replays
gas_logs
statuses
bad_files
killed
live
interrupted
rings
cuts
branches
lost_worker
[ "$failures" -eq 0 ] || {
    echo "reproduce: ./dev test replay_cli" >&2
    exit 1
}
