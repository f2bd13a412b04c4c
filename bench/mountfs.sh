#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mountfs.sh LOCKSTEP [ROUNDS [FOLDER]]: what recording costs a mounted tree.  An archive
# of FOLDER (/usr/include) is unpacked into `lockstep mount mem`: not recorded, recorded
# with digests of the requests, with the requests, and with these uncompressed, in turn.
# Printed are the medians of the rounds' own quotients: time on the clock of the program
# that unpacks, CPU time of the server, and of both together.
set -eu
LC_ALL=C
export LC_ALL
lockstep=$(realpath "$1")
rounds=${2:-5}
folder=${3:-/usr/include}
work=$(mktemp -d)
mkdir "$work/m"
cleanup()
{
    umount "$work/m" 2>/dev/null || true
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 125' INT TERM
tar -C "$folder" -cf "$work/tar" .

die() { echo "bench mount: $*" >&2; exit 125; }

# The CPU seconds of the children of a shell whose `times` come in.
children()
{
    awk 'NR == 2 { split($1, u, "[ms]"); split($2, s, "[ms]")
        print u[1] * 60 + u[2] + s[1] * 60 + s[2] }'
}

unpack() # writes the seconds on the clock, and of the CPU
{
    begun=$(date +%s%N)
    tar -C "$work/m" -xf "$work/tar"
    echo "$(($(date +%s%N) - begun))" >"$work/wall"
    times >"$work/client"
}

# One session with OPTIONS; one line: its name, wall, client, server, trace bytes.
session() # NAME [OPTION…]
{
    name=$1
    shift
    rm -f "$work/t.lks"
    (
        "$lockstep" mount --quiet --foreground "$@" mem,quota=4G "$work/m" &
        tries=0
        until grep -q " $work/m fuse" /proc/mounts; do
            tries=$((tries + 1))
            [ $tries -lt 500 ] || die 'the mount does not appear'
            sleep 0.02
        done
        (unpack)
        kill -TERM $!
        wait $!
        times >"$work/both"
    )
    client=$(children <"$work/client")
    bytes=0
    [ ! -e "$work/t.lks" ] || bytes=$(stat -c %s "$work/t.lks")
    echo "$name $(cat "$work/wall") $client $(children <"$work/both") $bytes" |
        awk '{ print $1, $2 / 1e9, $3, $4 - $3, $5 }' >>"$work/times"
}

for count in $(seq 0 "$rounds"); do
    [ "$count" -ne 1 ] || rm "$work/times" # the first round warms up
    session plain
    session digests --record="$work/t.lks" --digests-only
    session requests --record="$work/t.lks"
    session raw --record="$work/t.lks" --raw
done

# The median of what comes in.
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# Of all rounds: the value of an awk expression over plain's columns p and this one's v.
over_rounds() # NAME EXPRESSION
{
    awk -v name="$1" '
        $1 == "plain" { p[2] = $2; p[3] = $3; p[4] = $4 }
        $1 == name { print '"$2"' }' "$work/times" | median
}

size=$(stat -c %s "$work/tar")
echo "untar of $size bytes, $(find "$folder" | wc -l) names; medians of $rounds rounds"
printf '%-10s %8s %8s %8s %8s %8s %8s %12s\n' record wall/s tar/s server/s \
    wall server both trace
for name in plain digests requests raw; do
    printf '%-10s %8.2f %8.2f %8.2f %8.2f %8.2f %8.2f %12d\n' $name \
        "$(over_rounds $name '$2')" "$(over_rounds $name '$3')" \
        "$(over_rounds $name '$4')" "$(over_rounds $name '$2 / p[2]')" \
        "$(over_rounds $name '$4 / p[4]')" \
        "$(over_rounds $name '($3 + $4) / (p[3] + p[4])')" "$(over_rounds $name '$5')"
done
