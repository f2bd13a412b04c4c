# SPDX-License-Identifier: MIT
#
# Sessions of the Debug Adapter Protocol, request by request: for tests that have set
# $lockstep.  They use $dir, and count in $passed and $failed.
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
passed=0
failed=0
seq=0

complain()
{
    failed=$((failed + 1))
    echo "$*"
}

# ask COMMAND [ARGUMENTS]: another request of the session.
ask()
{
    seq=$((seq + 1))
    text='{"seq":'$seq',"type":"request","command":"'$1'","arguments":'${2:-"{}"}'}'
    printf 'Content-Length: %d\r\n\r\n%s' ${#text} "$text" >"$dir/ask.$seq"
    case $1 in
    configurationDone | continue | reverseContinue | next | step* | goto)
        echo stops >"$dir/kind.$seq"
        ;;
    esac
}

count() { grep -o "$1" "$dir/raw" | wc -l; }

# As a client does: the next request when the last one is answered and what it set
# going has stopped.
client()
{
    stops=0
    for n in $(seq "$seq"); do
        cat "$dir/ask.$n"
        [ ! -e "$dir/kind.$n" ] || stops=$((stops + 1))
        [ "$n" -lt "$seq" ] || break
        tries=0
        while [ "$(count '"type":"response"')" -lt "$n" ] ||
            [ "$(count '"event":"stopped"')" -lt "$stops" ]; do
            tries=$((tries + 1))
            [ "$tries" -lt 2000 ] || return
            sleep 0.01
        done
    done
}

# session STATUS ARG…: run it; messages one per line in $dir/out.
session()
{
    want=$1
    shift
    : >"$dir/raw"
    client | "$lockstep" dap "$@" >"$dir/raw" 2>"$dir/err"
    got=$?
    passed=$((passed + 1))
    [ "$got" = "$want" ] || complain "lockstep dap $*: status $got, not $want"
    tr -d '\r' <"$dir/raw" | sed 's/Content-Length: [0-9]*/\
/g' | grep '^{' >"$dir/out"
    rm -f "$dir"/ask.* "$dir"/kind.*
    seq=0
}

# answer N WORDS: the answer to request N has these words; event N: the Nth event.
answer()
{
    passed=$((passed + 1))
    grep '"type":"response"' "$dir/out" | grep "\"request_seq\":$1," |
        grep -qF -e "$2" || complain "answer $1 has no '$2'"
}
event()
{
    passed=$((passed + 1))
    grep '"event":"stopped"' "$dir/out" | sed -n "$1p" | grep -qF -e "$2" ||
        complain "stop $1 has no '$2': $(grep '"event":"stopped"' "$dir/out" | sed -n "$1p")"
}
