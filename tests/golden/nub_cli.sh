#!/bin/sh
# SPDX-License-Identifier: MIT
#
# nub_cli.sh LOCKSTEP: lockstep serve and lockstep nub as they are typed: answers,
# statuses, messages, a worker that is killed, signals, and the trace of it all.
. "$(dirname "$0")/cli_lib.sh"
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$dir"' EXIT
socket=$dir/kernel.sock
caps=corpus/kernel/load42

nub() # STATUS ARG…
{
    want=$1
    shift
    run "$want" nub -s "$socket" "$@"
}

start() # ARG…
{
    "$lockstep" serve --json "$@" "$socket" >"$dir/serve" 2>"$dir/talk" &
    server=$!
    nub 0 --wait=20 boot-info
}

# stop STATUS: by SIGTERM.
stop()
{
    kill "$server"
    wait "$server"
    got=$?
    server=
    [ "$got" = "$1" ] || complain "serve: exit status $got, not $1: $(cat "$dir/talk")"
    [ ! -e "$socket" ] || complain "serve: leaves its socket behind"
}

told() { grep -qF -e "$1" "$dir/serve" || complain "serve does not tell $1"; }

# ---- command lines ----
run 129 serve
run 129 serve --engine=fast "$socket"
run 129 nub frob
says err "is no verb"
run 129 nub put -s "$socket"
says err "needs more arguments"
run 129 nub stats
says err "-s PATH is needed"
run 125 nub stats -s "$socket"
says err "no such file"
run 125 serve "$dir/$(printf '%0200d' 0)"
says err "too long for a socket"
: >"$dir/file"
run 125 serve "$dir/file"
says err "is in use, or no socket"

# ---- a session ----
start --record "$dir/t.lks"
told '"event":"ready"'
run 125 serve "$socket"
says err "is in use"
nub 0 put $caps/image.cap $caps/cnode.cap $caps/instance.cap
instance=$(sed -n 's/ .*instance.cap$//p' "$dir/out")
nub 0 put --json $caps/instance.cap
says out "\"hash\":\"$instance\""
nub 125 put "$dir/none"
printf "\011" >"$dir/bad"
nub 1 put "$dir/bad"
says err "BAD_KIND"
nub 0 invoke "$instance"
says out "halt, value 42"
nub 0 invoke "$instance:0" 1 2 0x3 4 --gas=500 --json
says out '"exit":"halt","exit_reason":0,"exit_arg":0,"return_value":42'
nub 1 invoke "$instance" --gas=3
says out "out of gas"
nub 1 invoke "$instance:1"
says out "EndpointOutOfRange"
nub 129 invoke "$instance" 1 2 3 4 5
says err "one argument too many"
nub 129 invoke "$instance" one
nub 129 invoke "${instance}0"
nub 129 invoke "$instance:x"
nub 1 resume --topup=5
says out "NotPaused"
nub 129 resume --scratch=12
nub 0 get "$instance" -o "$dir/cap"
cmp "$dir/cap" $caps/instance.cap || complain "get: another cap"
nub 1 get "$(printf '%064d' 7)"
says err "NOT_FOUND"
nub 129 get --json "$instance"
nub 0 call smoke
says out "2a00000000000000"
nub 0 call 0 ff --json
says out '"payload":"2a00000000000000"'
nub 1 call 7
says err "UNKNOWN_FN"
nub 129 call smoke f
nub 129 call frob
nub 0 call seed_quota 00000000000000000700000000000000ff00000000000000
nub 0 stats
says out "quota 7: 255"

# ---- a worker that is killed ----
kill -9 "$(sed -n 's/.*"worker":\([0-9]*\).*/\1/p' "$dir/serve")"
nub 125 stats
says err "gone"
nub 0 stats --json
says out '"quotas":[{"id":7,"value":255}]'
nub 0 invoke "$instance"
stop 0
told '"event":"worker lost","error":"closed","status":137'
told '"event":"rebuilt"'
told '"workers_lost":1'

# ---- the trace: of requests that were answered, each once ----
for engine in interp recomp; do
    run 0 replay --engine=$engine "$dir/t.lks"
done
"$lockstep" dump "$dir/t.lks" >"$dir/out"
count=$(grep -c ' pvm.invoke ' "$dir/out")
[ "$count" = 5 ] || complain "the trace has $count invocations, not 5"
says out "pvm.request fn=19"

# ---- in this process or through a worker, by either engine: the same trace ----
cat >"$dir/session.json" <<EOF
{"caps": [{"name": "image", "cap": "$PWD/$caps/image.cap"},
          {"name": "cnode", "cap": "$PWD/$caps/cnode.cap"},
          {"name": "it", "cap": "$PWD/$caps/instance.cap"}],
 "quotas": [{"id": 7, "value": 255}],
 "run": [{"invoke": "it", "gas": 1000}, {"invoke": "it", "gas": 10}]}
EOF
# The second step names the instance that the first one left.
left=418ee0000047e94708e5bb807da5f597fbb6393f5d102dc5aa1f2470c8607236
for engine in interp recomp; do
    run 0 record kernel --json --engine=$engine -o "$dir/here.lks" "$dir/session.json"
    here=$(sed -n 's/.*"identity":"\([0-9a-f]*\)".*/\1/p' "$dir/out")
    start --engine=$engine --record "$dir/there.lks"
    for cap in image cnode instance; do
        nub 0 put "$caps/$cap.cap"
    done
    nub 0 call seed_quota 00000000000000000700000000000000ff00000000000000
    nub 0 invoke "$instance" --gas=1000
    nub 1 invoke $left --gas=10
    stop 0
    told "\"identity\":\"$here\""
    [ "$here" = "${first:=$here}" ] || complain "$engine: another trace: $here"
done

# ---- a fresh one, with its choices, and a trace that cannot be written ----
start --engine=interp --stateful-children --strict-return
nub 0 stats
says out "engine    interp, gas table 257, flags 0xf"
stop 0
run 125 serve --record "$dir/none/t.lks" "$socket"
run 129 serve --record "$lockstep" "$socket"

echo "$passed commands, $failed complaints"
[ "$failed" = 0 ]
