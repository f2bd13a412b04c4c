#!/bin/sh
# SPDX-License-Identifier: MIT
#
# program_text.sh LOCKSTEP: asm, disasm and vectors as they are typed: output, messages
# and exit statuses.  Run in the source root.
. "$(dirname "$0")/cli_lib.sh"

# same NAME GOT WANT: two files with the same bytes.
same()
{
    if cmp -s "$2" "$3"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$1: differs (< wanted, > got)"
        diff "$3" "$2" | head -20
    fi
}

# out NAME, err NAME: stdout or stderr of the last run is stdin here.
out() { cat >"$dir/want"; same "$1" "$dir/out" "$dir/want"; }
err() { cat >"$dir/want"; same "$1" "$dir/err" "$dir/want"; }

# ---- asm and disasm ----
cat >"$dir/loop.s" <<'EOF'
; counts down from ten
.jump back
        load_imm a0, 10
loop:   add_imm_64 a0, a0, -1
        branch_ne_imm a0, 0, loop
        load_imm_jump ra, 2, done:2
back:   .insn 33 d7 05
        .data ff
done:   ecalli 64
EOF
run 0 asm -o "$dir/loop.pvm" "$dir/loop.s"
out asm </dev/null
err asm </dev/null
run 0 disasm "$dir/loop.pvm"
out disasm <<'EOF'
; raw: 20 bytes of code, 1 jump table entries
.jump_width 1
.jump @14
@0:     load_imm a0, 10
@3:     add_imm_64 a0, a0, -1
@6:     branch_ne_imm a0, 0, @3
@9:     load_imm_jump ra, 2, @18:2
@14:    .insn 33 d7 05 ff ; load_imm a0, -251
@18:    ecalli 64
EOF
run 0 disasm --json "$dir/loop.pvm"
head -n 3 "$dir/out" >"$dir/first" && mv "$dir/first" "$dir/out"
out 'disasm --json' <<'EOF'
{"schema":"lockstep.disasm.1","format":"raw","code_size":20,"jump_width":1,"jump":[14],"memory":[],"exports":[],"imports":[]}
{"schema":"lockstep.disasm.1","pc":0,"ok":true,"bytes":"33070a","text":"load_imm a0, 10"}
{"schema":"lockstep.disasm.1","pc":3,"ok":true,"bytes":"9577ff","text":"add_imm_64 a0, a0, -1"}
EOF
run 0 disasm corpus/fuzz/container/polkavm_full
out 'disasm of .polkavm' <<'EOF'
; polkavm: 4 bytes of code, 1 jump table entries
; memory 0x00010000, 0x2000 bytes, r, 2 given
; memory 0x00030000, 0x12000 bytes, rw, 1 given
; memory 0xfffde000, 0x2000 bytes, rw, 0 given
; ra = 0xffff0000
; sp = 0xfffe0000
; import 0 is abc
.jump_width 1
.jump @3
main:
@0:     load_imm ra, 5
x:
@3:     trap
EOF
# What ecall is depends on the profile.
printf 'ecall\n' >"$dir/ecall.s"
run 0 asm -o "$dir/ecall.pvm" "$dir/ecall.s"
run 0 disasm --profile=vectors "$dir/ecall.pvm"
out 'disasm --profile=vectors' <<'EOF'
; raw: 1 bytes of code, 0 jump table entries
@0:     .insn 03 ; opcode 3 is not assigned
EOF

printf 'trap\n  jump nowhere\n' >"$dir/bad.s"
run 125 asm -o "$dir/bad.pvm" "$dir/bad.s"
sed "s|$dir/||" "$dir/err" >"$dir/short" && mv "$dir/short" "$dir/err"
err 'asm error' <<'EOF'
lockstep asm: bad.s:2: label is not defined: 'nowhere'
EOF
[ ! -e "$dir/bad.pvm" ] || { echo 'asm wrote a bad program' && failed=$((failed + 1)); }
run 125 asm -o "$dir/x.pvm" "$dir/missing.s"
run 125 disasm "$dir/bad.s"
run 125 disasm -f polkavm "$dir/loop.pvm"
run 129 disasm
run 129 disasm -f elf "$dir/loop.pvm"

# ---- disasm --native ----
fib=corpus/pvm/bin/fib.pvm
for option in --gas-log=each --explicit-checks --model=0 --mem-cycles=3 --interp-only=jump
do
    run 129 disasm "$option" "$fib"
done
run 129 disasm --native --interp-only=hop "$fib"
run 129 disasm --native --model=77 "$fib"

# native ARG…: the left side is the listing without --native, the right side is x86-64
# that follows on itself.  $dir/out is left as it came.
native()
{
    run 0 disasm --profile=vectors "$fib"
    grep -v '^\.jump' "$dir/out" >"$dir/plain"
    run 0 disasm --profile=vectors --native "$@" "$fib"
    grep -v '^; native code: [0-9]* bytes$' "$dir/out" |
        sed -e '/^ /d' -e 's/  *+0x[0-9a-f]*  [a-z].*//' >"$dir/left"
    same "disasm --native $*: left" "$dir/left" "$dir/plain"
    grep -cE '^(@| ).{39} \+0x[0-9a-f]{4,}  [a-z]+( |$)' "$dir/out" >"$dir/rows"
    [ "$(cat "$dir/rows")" -gt 30 ] || same 'rows of native code' "$dir/rows" /dev/null
    cp "$dir/out" "$dir/text"
    run 0 disasm --json --profile=vectors --native "$@" "$fib"
    # Each row of one instruction begins where the one before it ended.
    sed -n 's/.*"native":\[\(.*\)\]}$/\1/p' "$dir/out" | sed 's/},{/}\n{/g; s/$/\n/' |
        sed -e 's/{"offset":\([0-9]*\),"bytes":"\([0-9a-f]*\)".*/\1 \2/' |
        awk 'NF == 2 { if (at && $1 != at) print "gap at", $1
            at = $1 + length($2) / 2; rows++ } NF < 2 { at = 0 } END { print rows }' \
            >"$dir/chain"
    same "disasm --native --json $*: offsets" "$dir/chain" "$dir/rows"
    cp "$dir/text" "$dir/out"
}

"$lockstep" disasm --native "$fib" >"$dir/out" 2>"$dir/err"
if [ $? = 125 ]; then
    echo 'program_text: no recompiler here: disasm --native only says so'
    echo 'lockstep disasm: recompiler: not supported here' | err 'no recompiler'
else
    native
    cp "$dir/rows" "$dir/fewer"
    for option in --gas-log=ledger --gas-log=each --explicit-checks --interp-only=add_64
    do
        native "$option"
        cmp -s "$dir/text" "$dir/fewer" && same "$option changes code" "$dir/rows" /dev/null
        [ "$option" = --gas-log=each ] || [ "$(cat "$dir/rows")" -gt "$(cat "$dir/fewer")" ] ||
            same "$option: more code" "$dir/rows" "$dir/fewer"
    done
fi

# Every program of the corpus comes back from its listing.
for program in corpus/pvm/bin/*.pvm; do
    run 0 disasm "$program"
    cp "$dir/out" "$dir/one.s"
    run 0 asm -o "$dir/one.pvm" "$dir/one.s"
    run 0 disasm -f raw "$dir/one.pvm"
    grep -v '^;' "$dir/out" >"$dir/got"
    grep -v -e '^;' -e '^[A-Za-z_.$][A-Za-z0-9_.$]*:$' "$dir/one.s" >"$dir/want"
    same "$program" "$dir/got" "$dir/want"
done

# ---- vectors ----
case=corpus/vectors/pvm/inst_add_32.json
run 0 vectors "$case"
echo '1 passed, 0 failed' | out vectors
run 0 vectors corpus/vectors
echo '2374 passed, 0 failed' | out 'vectors of a folder'
mkdir -p "$dir/set/sub"
cp "$case" "$dir/set/sub/good.json"
echo '{}' >"$dir/set/read.me"
sed 's/"expected-pc": [0-9]*/"expected-pc": 77/' "$case" >"$dir/set/wrong.json"
run 1 vectors "$dir/set"
sed "s|$dir/||" "$dir/out" >"$dir/short" && mv "$dir/short" "$dir/out"
out 'vectors that fail' <<'EOF'
set/wrong.json: inst_add_32 [step]: pc: expected 77, got 3
1 passed, 1 failed
EOF
run 1 vectors --json "$dir/set"
sed "s|$dir/||" "$dir/out" >"$dir/short" && mv "$dir/short" "$dir/out"
out 'vectors --json' <<'EOF'
{"schema":"lockstep.vectors.1","file":"set/wrong.json","case":"inst_add_32","mode":"step","field":"pc","expected":"77","actual":"3"}
{"schema":"lockstep.vectors.1","passed":1,"failed":1}
EOF
run 125 vectors "$dir/set/read.me" "$case"
run 125 vectors "$dir/missing.json"
# A file can ask for more than anybody has.
cat >"$dir/endless.json" <<'EOF'
{"name": "endless", "program": [0, 0, 2, 40, 0, 1],
 "initial-regs": [0,0,0,0,0,0,0,0,0,0,0,0,0], "initial-pc": 0,
 "initial-gas": 18446744073709551615, "initial-page-map": [], "initial-memory": [],
 "expected-status": "halt"}
EOF
run 125 vectors "$dir/endless.json"
sed "s|$dir/||" "$dir/err" >"$dir/short" && mv "$dir/short" "$dir/err"
err 'endless' <<'EOF'
lockstep vectors: endless.json: case endless: more than 16777216 instructions
EOF
sed -e 's/18446744073709551615/1000/' -e 's/"initial-page-map": \[\]/"initial-page-map": [{"address": 0, "length": 4294967296, "is-writable": true}]/' \
    "$dir/endless.json" >"$dir/giant.json"
run 125 vectors "$dir/giant.json"
sed "s|$dir/||" "$dir/err" >"$dir/short" && mv "$dir/short" "$dir/err"
err 'giant' <<'EOF'
lockstep vectors: giant.json: case endless: more than 65536 pages
EOF
run 125 vectors docs
run 129 vectors --engine=none "$case"
run 129 vectors

echo "program_text: $passed passed, $failed failed"
[ "$failed" = 0 ]
