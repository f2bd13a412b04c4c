#!/bin/sh
# SPDX-License-Identifier: MIT
#
# fuzz_cli.sh LOCKSTEP: lockstep fuzz, reduce, and check of cases as they are typed.
. "$(dirname "$0")/cli_lib.sh"

engines=interp,recomp
"$lockstep" fuzz pvm --count=1 -o "$dir" >/dev/null 2>&1 || engines=interp,other

# ---- fuzz ----
run 129 fuzz wasm
says err "what can be fuzzed is 'pvm'"
for shard in 0/2 3/2 1 1/2x; do
    run 129 fuzz pvm --shard=$shard
    says err '--shard is I/N'
done
run 129 fuzz pvm --opcode=add_64
says err '--opcode needs --exhaustive'
run 129 fuzz pvm --exhaustive --opcode=nop
says err "'nop' is no instruction"
run 129 fuzz pvm --engines=interp
says err '--engines takes two'
run 125 fuzz pvm --count=1 --corpus="$dir/no/where"
run 0 fuzz pvm --engines=$engines --count=300 --jobs=2 --corpus="$dir/corpus" -o "$dir"
says out '512 programs, '
says out '; 0 differences, 0 findings'
run 0 fuzz pvm --engines=$engines --count=1 --json --corpus="$dir/corpus" -o "$dir"
says out '"next_block":3'
run 125 fuzz pvm --seed=9 --count=1 --corpus="$dir/corpus" -o "$dir"
says err 'keeps the state of another seed'
run 0 fuzz pvm --engines=interp,other --exhaustive --opcode=jump_ind -o "$dir"
says out '4096 programs, '

# ---- check of cases ----
run 0 check --engines=interp,interp "$dir/corpus" --jobs=4
same=$(sed -n 's/ same, 0 differ$//p' "$dir/out")
[ "${same:-0}" -gt 50 ] || complain "few cases in the corpus: $same"
run 0 check --json --engines=interp,interp corpus/fuzz/case
says out '"group":"same"'
echo 'lockstep case 1' >"$dir/bad.case"
run 125 check "$dir/bad.case"
says err "line 1: no 'code'"

# ---- reduce ----
run 129 reduce
run 125 reduce "$dir/none.case"
run 125 reduce "$dir/bad.case"
run 1 reduce --engines=interp,other -o "$dir" corpus/fuzz/case/memory.case
says err 'the engines do not differ'
[ ! -e "$dir/memory.case" ] || complain 'nothing to reduce, yet it was written'
run 125 reduce --engines=interp,other -o corpus/fuzz/case corpus/fuzz/case/memory.case
says err 'file exists already'

echo "$passed calls, $failed failures"
[ "$failed" -eq 0 ]
