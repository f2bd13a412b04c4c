#!/bin/sh
# SPDX-License-Identifier: MIT
#
# demo.sh LOCKSTEP [FOLDER]: record a real program, replay it, and prove what that is
# worth.  Every claim is checked; the first that fails ends the demo with status 1.
set -eu
cd "$(dirname "$0")/.."
lockstep=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
programs=$PWD/corpus/pvm/bin
guest=$PWD/build/guest
if [ $# -gt 1 ]; then
    folder=$2
    mkdir -p "$folder"
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
cd "$folder"

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] || say() { printf '\n# %s\n' "$*"; }

wrong()
{
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

# lockstep STATUS ARG…: show the command, run it, check its status.
exec 3>&1 2>&1
lockstep()
{
    want=$1 status=0
    shift
    printf '$ lockstep %s\n' "$*" | sed "s|$programs/||g" >&3
    "$lockstep" "$@" 2>&3 || status=$?
    [ "$status" -eq "$want" ] || wrong "status $status, not $want"
}

say 'A program that never does the same twice: random start, clock readings.'
lockstep 0 record -o life.lks pvm "$programs/life.pvm" 40 10 30 >life.txt
cat life.txt

say 'Replay needs neither the random numbers nor the clock: they are in the trace.'
lockstep 0 replay --output life.lks >again.txt
cmp life.txt again.txt || wrong 'the replay printed something else'
sed -n '1p;$p' again.txt
echo '(the same output, byte for byte)'

say 'Every byte of a trace is under a checksum and a hash chain.'
lockstep 0 verify life.lks
cp life.lks damaged.lks
byte=$(od -An -tu1 -j4000 -N1 life.lks)
# shellcheck disable=SC2059 # an escape sequence
printf "\\$(printf %03o $((byte ^ 1)))" |
    dd of=damaged.lks bs=1 seek=4000 conv=notrunc 2>/dev/null
echo '(one bit of damaged.lks is flipped)'
lockstep 1 verify damaged.lks

say 'Another run is another trace; the identity of a run says so at once.'
lockstep 0 record -q -o other.lks pvm "$programs/life.pvm" 40 10 30 >/dev/null
lockstep 1 id life.lks other.lks
lockstep 0 dump life.lks >life.events
lockstep 0 dump other.lks >other.events
echo '$ diff life.events other.events'
diff life.events other.events >difference || true
{ grep '^<' difference | head -n 1; grep '^>' difference | head -n 1; } | cut -c1-100
echo '(the first difference: what the clock answered)'
grep '^<' difference | head -n 1 | grep -q 'op=72 ' || wrong 'another first difference'

say 'A recorder that is killed loses nothing that had happened.'
"$lockstep" record -q -o killed.lks pvm "$programs/life.pvm" 64 64 1000000 \
    >/dev/null 2>&1 &
recorder=$!
sleep 1
kill -9 "$recorder"
wait "$recorder" 2>/dev/null || true
echo '$ kill -9 (while it records)'
lockstep 0 replay killed.lks
lockstep 0 recover -o whole.lks killed.lks
lockstep 0 verify whole.lks

say 'The trace holds each gas charge and the path of each branch.'
lockstep 0 record -q -o sha256.lks pvm "$programs/sha256.pvm" --reg a0=64 >/dev/null
lockstep 0 replay sha256.lks
lockstep 0 gas --by=block sha256.lks >profile
head -n 6 profile

say 'Interpreter and recompiler do the same, in all that can be seen.'
lockstep 0 check life.lks
lockstep 0 check "$programs/sha256.pvm" --reg a0=64

if [ -s "$guest/initramfs.cpio" ]; then
    say 'The kernel of Debian on our PC, at work in a folder of this machine.'
    mkdir tree
    echo 'a file of the host' >tree/hello
    printf '$ lockstep record -o linux.lks pc --kernel vmlinuz … --fs dir:tree\n'
    "$lockstep" record -q --exit-status -o linux.lks pc --kernel "$guest/vmlinuz" \
        --initrd "$guest/initramfs.cpio" --fs dir:tree --fs-extensions --append \
        'console=ttyS0 cryptomgr.notests=1 noisapnp reboot=p quiet run=demo' \
        </dev/null >linux.txt || wrong 'the session failed'
    sed -n '/^# uname/,$p' linux.txt
    echo '$ cat tree/folder/made-by-linux'
    cat tree/folder/made-by-linux

    say 'The folder is deleted. The replay does not need it.'
    rm -r tree
    lockstep 0 replay linux.lks
    lockstep 0 dump linux.lks >linux.events
    grep 'virtio.re.* \(MKDIR\|RENAME\)' linux.events | sed 's/  */ /g;s/data=[^ ]* *//'
else
    say 'No Linux guest here (./dev guest tells why): its part is left out.'
fi

say 'Done: recorded, replayed, verified, compared.'
