#!/bin/sh
# SPDX-License-Identifier: MIT
#
# trace_cli.sh LOCKSTEP: info, dump, id, verify and recover as they are typed: output,
# messages and exit statuses, on whole, damaged, unfinished and ring traces.  Run in the
# source root.
set -u
LC_ALL=C
export LC_ALL
lockstep=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
[ -x "$lockstep" ] || { echo "trace_cli.sh: no program $1" >&2 && exit 1; }
bin=$PWD/corpus/pvm/bin
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
passed=0
failed=0

good() { passed=$((passed + 1)); }
bad()
{
    failed=$((failed + 1))
    echo "$*"
}

# same NAME GOT WANT: two files with the same bytes.
same()
{
    if cmp -s "$2" "$3"; then
        good
    else
        bad "$1: differs (< wanted, > got)"
        diff "$3" "$2" | head -20
    fi
}

# run STATUS ARG…: lockstep's stdout in out, stderr in err.  What ends in a line of its
# own is kept for the check of JSON.
run()
{
    want=$1
    shift
    "$lockstep" "$@" >out 2>err </dev/null
    got=$?
    if [ "$got" = "$want" ]; then
        good
    else
        bad "lockstep $*: exit status $got, not $want"
        cat err
    fi
    case " $* " in *' --json '*) cat out >>all.json ;; esac
}

# out NAME, err NAME: stdout or stderr of the last run is stdin here.
out() { cat >want; same "$1" out want; }
err() { cat >want; same "$1" err want; }
# silent NAME: nothing on stdout.
silent() { out "$1" </dev/null; }

# at FILE OFFSET OCTAL: change one byte.
at() { printf "\\$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }

# count NAME WANT: lines of stdout.
count()
{
    lines=$(wc -l <out)
    if [ "$lines" -eq "$2" ]; then good; else bad "$1: $lines lines, not $2"; fi
}

# first_last NAME: first and last line, first 50 columns.
first_last()
{
    { head -n 1 out; tail -n 1 out; } | cut -c1-50 >ends
    cat >want
    same "$1" ends want
}

# ---- what is recorded: sizes are those of --raw, a codec's may change ----
printf 'hello\nworld\n' >text
run 0 record -q --raw -o up.lks --stdin text --clock=1000 --seed=7 pvm "$bin/upcase.pvm"
printf 'HELLO\nWORLD\n' | out record
# Three chunks of events, one event for each charge.
run 0 record -q --raw --gas-log=each -o life.lks --clock=1 --seed=3 \
    pvm "$bin/life.pvm" 20 10 60

# ---- info ----
run 0 info up.lks
out info <<'EOF'
format     1.0, guest pvm
state      closed
identity   0c9f2107249d96028699b1280555f498802267edcbbc432973064b3ec648606d
clocks     563 instructions, 563 gas
size       7408 bytes: 3 chunks, 7004 bytes raw, 7004 stored, 2 blobs
events     20
         1 session.begin
         3 session.config
         1 session.end
         1 state.hash
         2 console.out
         1 pvm.program
         1 pvm.start
         5 pvm.segment
         4 pvm.ecall
         1 pvm.exit
config     digest.every = 16
config     gas = ledger
config     hash.every = 16777216
EOF
run 0 info --json up.lks
out 'info --json' <<'EOF'
{"schema":"lockstep.info.1","file":"up.lks","major":1,"minor":0,"guest":"pvm","parent":null,"parent_seq":0,"ring":false,"cut":false,"state":"closed","identity":"0c9f2107249d96028699b1280555f498802267edcbbc432973064b3ec648606d","events":20,"icount":563,"gas":563,"file_size":7408,"raw_size":7004,"stored_size":7004,"chunks":3,"blobs":2,"defects":0,"kinds":{"session.begin":1,"session.config":3,"session.end":1,"state.hash":1,"console.out":2,"pvm.program":1,"pvm.start":1,"pvm.segment":5,"pvm.ecall":4,"pvm.exit":1},"config":{"digest.every":"16","gas":"ledger","hash.every":"16777216"}}
EOF

# ---- dump ----
run 0 dump up.lks
sed 's/\(mem=\[0x10000:7570\)[0-9a-f]*/\1.../' out >cut && mv cut out
out dump <<'EOF'
       0            0            0  session.begin spec=1 epoch=1000
       1            0            0  session.config key="digest.every" value="16"
       2            0            0  session.config key="gas" value="ledger"
       3            0            0  session.config key="hash.every" value="16777216"
       4            0            0  pvm.program hash=9859bba566ebe7d68bd2fb4a59b226c4a57f215fa062addf18334a947afdee7d code=<2956 bytes: blob 0> blocks=<1307 bytes: blob 1>
       5            0            0  pvm.start gas=1000000000000000 regs=[0xffff0000 0xfefe0000 0x0 0x0 0x0 0x0 0x0 0xfeff0000] maps=[0x10000:4096:1 0x30000:77824:3 0xfefd0000:65536:3] mem=[0x10000:7570... 0x30000:01]
       6            7            9  pvm.segment n=2 gas=9 end=2 end_pc=0x1c
       7            7            9  pvm.ecall pc=0x1c op=66 in=[0xfefdfed4 0x100] out=[7:0x0]
       8           28           39  pvm.segment pc=0x1e start=1 n=5 gas=30 end=2 end_pc=0xec nbits=4 bits=40
       9           28           39  pvm.ecall pc=0xec op=67 in=[0x0 0x31039 0x1000 0x0 0x31018] origin=1 out=[7:0xc] writes=[0x31039:12] wdig=0x642f46e1b195a45e wbytes=68656c6c6f0a776f726c640a
      10          518          530  pvm.segment pc=0xee start=1 n=78 gas=491 end=2 end_pc=0x3d1 nbits=52 bits=5ddddc6eeeee00
      11          518          530  pvm.ecall pc=0x3d1 op=67 in=[0x0 0x31039 0x1000 0x0 0x0 0x31018] origin=1 out=[7:0x0]
      12          543          546  pvm.segment pc=0x3d3 start=1 n=5 gas=16 end=2 end_pc=0x471 nbits=3 bits=40
      13          543          546  pvm.ecall pc=0x471 op=68 in=[0x1 0x30018 0xc 0x0 0x30000 0x30000] origin=1 out=[7:0xc] reads=[0x30018:12] rdig=0x1fd7872f890527bc
      14          543          546  console.out dev=33 data=48454c4c4f0a
      15          543          546  console.out dev=33 data=574f524c440a
      16          563          563  pvm.segment pc=0x473 start=1 n=5 gas=17 end=3 end_pc=0x454 nbits=4 bits=60
      17          563          563  pvm.exit pc=0x454 gas=999999999999437
      18          563          563  state.hash hash=d2401c067212b44340936534ca9d88bb64afc69fb232ee0f791622a32364ffee
      19          563          563  session.end
EOF
run 0 dump --json --from e:6 --to e:8 up.lks
out 'dump --json' <<'EOF'
{"schema":"lockstep.dump.1","seq":6,"icount":7,"gas":9,"kind":"pvm.segment","fields":{"frame":0,"prog":0,"pc":"0x0","start":0,"n":2,"gas":9,"end":2,"end_pc":"0x1c","nbits":0,"bits":"","targets":"","extra":[]}}
{"schema":"lockstep.dump.1","seq":7,"icount":7,"gas":9,"kind":"pvm.ecall","fields":{"frame":0,"pc":"0x1c","op":66,"in":["0xfefdfed4","0x100"],"origin":0,"outcome":0,"arg":0,"out":[7,"0x0"],"reads":[],"rdig":"0x0","rbytes":"","writes":[],"wdig":"0x0","wbytes":"","charges":[],"slots":[]}}
EOF
run 0 dump --json up.lks
count 'dump --json of all' 20
run 0 dump --kind pvm.ecall -k console.out up.lks
count 'dump --kind' 6
run 0 dump --from 28 --to 543 up.lks
first_last 'dump by instructions' <<'EOF'
       8           28           39  pvm.segment pc
      11          518          530  pvm.ecall pc=0
EOF
run 0 dump --from 50% --to end up.lks
first_last 'dump by percent' <<'EOF'
      10          518          530  pvm.segment pc
      19          563          563  session.end
EOF
run 0 dump --from g:530 --to g:546 up.lks
first_last 'dump by gas' <<'EOF'
      10          518          530  pvm.segment pc
      11          518          530  pvm.ecall pc=0
EOF
run 0 dump --from start --to e:1 up.lks
first_last 'dump of one event' <<'EOF'
       0            0            0  session.begin 
       0            0            0  session.begin 
EOF
run 0 dump --from end up.lks
silent 'dump from the end'
run 0 dump --from e:20 up.lks
silent 'dump from behind the last event'
run 0 dump --from e:9 --to e:9 up.lks
silent 'dump of nothing'
# As many JSON objects as it takes.
run 0 dump --json life.lks
count 'dump --json of many' 53362

for position in x e: g: 101% +5 -5 -- 1.5 e:-1 18446744073709551616 ''; do
    run 129 dump --from="$position" up.lks
    echo "lockstep dump: '$position' is no position: N, e:N, g:N, N%, start, end" |
        err "dump --from=$position"
    silent "dump --from=$position"
    run 129 dump --to="$position" up.lks
done
run 129 dump --kind pvm.ecal up.lks
echo "lockstep dump: 'pvm.ecal' is no kind of event of this trace" | err 'dump --kind'
run 129 dump
run 129 dump up.lks life.lks
run 129 dump --kind

# ---- id ----
run 0 id up.lks
echo 0c9f2107249d96028699b1280555f498802267edcbbc432973064b3ec648606d | out id
run 0 id --json up.lks
echo '{"schema":"lockstep.id.1","file":"up.lks","identity":"0c9f2107249d96028699b1280555f498802267edcbbc432973064b3ec648606d"}' | out 'id --json'
cp up.lks copy.lks
run 0 id up.lks copy.lks
out 'id of two' <<'EOF'
0c9f2107249d96028699b1280555f498802267edcbbc432973064b3ec648606d  up.lks
0c9f2107249d96028699b1280555f498802267edcbbc432973064b3ec648606d  copy.lks
EOF
run 1 id up.lks life.lks
out 'id of others' <<'EOF'
0c9f2107249d96028699b1280555f498802267edcbbc432973064b3ec648606d  up.lks
e14b47e639273467e2d803689f7d51afe53318abf8702604e65329ffc6ce9f7b  life.lks
EOF
run 0 record -q -o packed.lks --stdin text --clock=1000 --seed=7 pvm "$bin/upcase.pvm"
run 0 id up.lks packed.lks
run 125 id up.lks missing.lks
run 129 id up.lks up.lks up.lks

# ---- verify ----
run 0 verify up.lks life.lks
out verify <<'EOF'
up.lks: whole: 20 events, 95 charges, identity 0c9f2107249d96028699b1280555f498802267edcbbc432973064b3ec648606d
life.lks: whole: 53362 events, 53314 charges, identity e14b47e639273467e2d803689f7d51afe53318abf8702604e65329ffc6ce9f7b
EOF
err verify </dev/null
run 0 verify --json up.lks
out 'verify --json' <<'EOF'
{"schema":"lockstep.verify.1","file":"up.lks","whole":true,"state":"whole","defects":0,"events":20,"charges":95,"not_expanded":0,"not_compared":0,"identity":"0c9f2107249d96028699b1280555f498802267edcbbc432973064b3ec648606d"}
EOF
run 129 verify

# ---- a file without damage only gets a new index ----
run 0 recover -o again.lks up.lks
echo 'again.lks: identity 0c9f2107249d96028699b1280555f498802267edcbbc432973064b3ec648606d' | out 'recover of a whole file'
err 'recover of a whole file' </dev/null
same 'recover of a whole file' again.lks up.lks
run 0 recover --json -o again.lks up.lks
echo '{"schema":"lockstep.recover.1","file":"again.lks","identity":"0c9f2107249d96028699b1280555f498802267edcbbc432973064b3ec648606d","stopped_by":"ok","offset":0}' |
    out 'recover --json'

# ---- one bit in the middle chunk ----
cp life.lks flip.lks
byte=$(od -An -tu1 -j300000 -N1 flip.lks)
at flip.lks 300000 "$(printf %03o $((byte ^ 1)))"
run 1 verify flip.lks
out 'verify of a flipped bit' <<'EOF'
flip.lks: at 264120: trace chunk is damaged (crc32c)
flip.lks: damaged: 1 defect, 21266 events readable
EOF
run 1 verify --json flip.lks
out 'verify --json of a flipped bit' <<'EOF'
{"schema":"lockstep.verify.1","file":"flip.lks","error":"trace_crc","offset":264120,"payload_offset":0,"text":"trace chunk is damaged (crc32c)"}
{"schema":"lockstep.verify.1","file":"flip.lks","whole":false,"state":"damaged","defects":1,"events":21266,"charges":21249,"not_expanded":0,"not_compared":0,"identity":null}
EOF
run 1 verify up.lks flip.lks up.lks
count 'verify goes on' 4
run 0 info flip.lks
head -n 3 out >few && mv few out
out 'info of a flipped bit' <<'EOF'
format     1.0, guest pvm
state      damaged; lockstep verify says what is wrong
identity   -
EOF
run 125 dump flip.lks
first_last 'dump up to the damage' <<'EOF'
       0            0            0  session.begin 
   21265       198108       198110  pvm.charge whe
EOF
echo 'lockstep dump: flip.lks: trace chunk is damaged (crc32c)' | err 'dump of damage'
run 1 dump --salvage flip.lks
count 'dump --salvage' 31526
first_last 'dump --salvage' <<'EOF'
       0            0            0  session.begin 
   53361       494598       494598  session.end
EOF
echo 'lockstep dump: damage before event 43102: some are missing' | err 'dump --salvage'
run 1 dump --salvage --from 400000 flip.lks
first_last 'dump --salvage from behind the damage' <<'EOF'
   43102       401376       401380  pvm.charge whe
   53361       494598       494598  session.end
EOF
echo 'lockstep dump: damage on the way to event 43102: some may be missing' |
    err 'dump --salvage from behind the damage'
run 0 dump --salvage up.lks
count 'dump --salvage of a whole file' 20
run 125 replay -q flip.lks
run 0 recover flip.lks
echo 'flip.recovered.lks: identity c85aea212d1ffc1d6a39249b7b3804277cc05464095a534d5b263e2fab5c0861' | out 'recover of a flipped bit'
echo 'lockstep recover: flip.recovered.lks ends where the original is damaged, at byte 264120: trace chunk is damaged (crc32c)' |
    err 'recover of a flipped bit'
run 0 verify flip.recovered.lks
run 0 replay -q flip.recovered.lks

# ---- the end is missing ----
head -c 2000 up.lks >short.lks
run 1 verify short.lks
out 'verify of a part' <<'EOF'
short.lks: at 1864: trace ends in the middle of a chunk
short.lks: at 2000: trace is not finished: no index and trailer
short.lks: damaged: 2 defects, 0 events readable
EOF
run 125 dump short.lks
silent 'dump of a part'
run 0 recover -o short2.lks short.lks
err 'recover of a part' <<'EOF'
lockstep recover: the original ends without index and trailer, at byte 1864; all that is complete in it was kept
EOF
run 0 verify short2.lks
run 125 id short.lks
echo 'lockstep id: short.lks: not finished; lockstep recover closes it' |
    err 'id of a part'
size=$(wc -c <up.lks)
head -c $((size - 48)) up.lks >bare.lks
run 1 verify bare.lks
run 0 dump bare.lks
count 'dump without trailer' 20
run 0 recover -o bare2.lks bare.lks
same 'recover of what only had no trailer' bare2.lks up.lks

# ---- what is no trace ----
: >empty.lks
head -c 5 up.lks >five.lks
mkdir folder
for verb in info id dump recover; do
    for file in empty.lks five.lks text; do
        run 125 $verb $file
        silent "$verb $file"
        echo "lockstep $verb: $file: not a lockstep trace" | err "$verb $file"
    done
done
for file in empty.lks five.lks text; do
    run 1 verify $file
    out "verify $file" <<EOF
$file: at 0: not a lockstep trace
$file: damaged: 1 defect, 0 events readable
EOF
done
for verb in info id dump recover verify 'verify --json' 'info --json'; do
    # shellcheck disable=SC2086 # a verb and an option
    run 125 $verb folder
    silent "$verb folder"
    echo "lockstep ${verb% *}: folder: Is a directory" | err "$verb folder"
    # shellcheck disable=SC2086
    run 125 $verb missing.lks
    silent "$verb missing.lks"
    echo "lockstep ${verb% *}: missing.lks: no such file" | err "$verb missing.lks"
done
[ ! -e five.recovered.lks ] || bad 'recover left a file that is no trace'
run 125 verify up.lks missing.lks flip.lks

# A newer format is not judged.
cp up.lks newer.lks
at newer.lks 8 002
for verb in info id dump recover verify 'verify --json'; do
    # shellcheck disable=SC2086
    run 125 $verb newer.lks
    silent "$verb of a newer format"
    echo "lockstep ${verb% *}: newer.lks: trace format 2.0, this version reads 1.x" |
        err "$verb of a newer format"
done

# ---- recover never destroys anything but traces ----
ln -s up.lks link.lks
for file in up.lks ./up.lks link.lks; do
    run 129 recover -o $file up.lks
    echo 'lockstep recover: -o would overwrite up.lks' | err "recover -o $file"
done
run 129 recover -o text up.lks
echo 'lockstep recover: text exists and is no trace; not overwritten' |
    err 'recover -o text'
same 'recover onto itself' up.lks copy.lks
run 125 recover -o copy.lks five.lks
same 'recover of no trace' up.lks copy.lks
run 125 recover -o nowhere/x.lks up.lks

# ---- a killed recorder: the guest waits for a third line ----
# wait_for FILE SIZE: the recorder has come so far.
wait_for()
{
    tries=0
    until [ "$("$lockstep" dump -q "$1" 2>/dev/null | grep -c "$2")" -gt 0 ]; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] || return 1
        sleep 0.05
    done
}
"$lockstep" record -q -o reader.lks pvm "$bin/fib.pvm" --reg a0=9
mkfifo pipe
"$lockstep" record -q --raw -o kill.lks --stdin pipe --clock=1000 --seed=7 \
    pvm "$bin/guess.pvm" >/dev/null 2>&1 &
recorder=$!
exec 4>pipe
printf '50\n' >&4
if wait_for kill.lks 'pvm.ecall.*3530'; then good; else bad 'kill.lks has no input'; fi
# While it is being written.
run 1 verify kill.lks
run 0 info kill.lks
sed -n 2p out >few && mv few out
echo 'state      open; lockstep recover closes it' | out 'info of an open file'
kill -9 $recorder
wait $recorder 2>/dev/null
exec 4>&-
run 1 verify kill.lks
sed 's/ [0-9][0-9]* events/ N events/; s/at [0-9]*/at N/' out >few && mv few out
out 'verify of an open file' <<'EOF'
kill.lks: at N: trace is not finished: no index and trailer
kill.lks: not finished: N events; lockstep recover closes it
EOF
run 1 verify --json kill.lks
tail -n 1 out | grep -q '"state":"open",.*"identity":null}' && good ||
    bad 'verify --json of an open file'
run 0 info --json kill.lks
grep -q '"state":"open","identity":null,' out && good || bad 'info --json of an open file'
run 125 id kill.lks
run 0 dump kill.lks
cp out kill.dump
grep -q 'wbytes=35300a' kill.dump && good || bad 'the input is not in the open file'
run 0 recover kill.lks
run 0 dump kill.recovered.lks
same 'recover keeps every event' out kill.dump
run 0 verify kill.recovered.lks
run 0 id kill.recovered.lks
run 0 replay -q kill.recovered.lks
run 0 replay -q kill.lks

# ---- a killed ring recording ----
"$lockstep" record -q --raw --gas-log=each --ring=1M -o ring.lks --clock=1 --seed=3 \
    pvm "$bin/life.pvm" 64 24 1000000 >/dev/null 2>&1 &
recorder=$!
tries=0
while [ ! -e ring.lks.009 ] && [ $tries -lt 400 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
kill -9 $recorder
wait $recorder 2>/dev/null
[ ! -e ring.lks.001 ] && [ ! -e ring.lks ] && good || bad 'the ring did not turn'
run 129 recover -o other.lks ring.lks
echo 'lockstep recover: a ring recording is joined under its own name' |
    err 'recover -o of a ring'
run 0 recover ring.lks
ls ring.lks* >out
echo ring.lks | out 'segments of a joined ring'
run 0 verify ring.lks
run 0 info ring.lks
head -n 2 out >few && mv few out
out 'info of a ring' <<'EOF'
format     1.0, guest pvm, ring
state      closed
EOF
run 0 replay -q ring.lks

# ---- every line of JSON is one ----
if command -v python3 >/dev/null; then
    python3 - all.json <<'EOF' && good || bad 'JSON: see above'
import json, sys
def pairs(items):
    keys = [key for key, _ in items]
    assert len(keys) == len(set(keys)), keys
    return dict(items)
count = 0
for line in open(sys.argv[1], encoding='utf-8'):
    value = json.loads(line, object_pairs_hook=pairs)
    assert value['schema'].startswith('lockstep.'), line
    count += 1
assert count > 50000, count
EOF
else
    echo 'trace_cli: SKIPPED the check of JSON: there is no python3'
fi

# ---- a reader that goes early, as head does, is told nothing ----
"$lockstep" record -q -o reader.lks pvm "$bin/fib.pvm" --reg a0=9
mkfifo reader.pipe
: <reader.pipe &
reader=$!
exec 3>reader.pipe
wait "$reader"
"$lockstep" gas reader.lks >&3 2>err
got=$?
exec 3>&-
[ "$got" = 125 ] && [ ! -s err ] && good || bad "nobody reads: status $got, $(cat err)"

echo "trace_cli: $passed passed, $failed failed"
[ "$failed" = 0 ]
