#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check_cli.sh LOCKSTEP: the choice of engines as it is typed, and lockstep check on
# folders.  What a difference looks like is in tests/unit/cli/test_check_print.c.
. "$(dirname "$0")/cli_lib.sh"
fib=corpus/pvm/bin/fib.pvm

# ---- --engine and --interp-only ----
for command in run record; do
    run 129 $command --engine=fast -o "$dir/x.lks" pvm "$fib"
    run 129 $command --engine=fast pvm "$fib"
    says err '--engine is one of interp, recomp, auto'
    run 129 $command --interp-only=jump,hop pvm "$fib"
    says err "--interp-only: 'hop' is no instruction"
    run 129 $command --engine=interp --interp-only=jump pvm "$fib"
    says err 'not --engine=interp'
done
[ ! -e "$dir/x.lks" ] || complain 'a wrong command line wrote a trace'
for command in replay vectors; do
    run 129 $command --engine=fast "$dir/x"
    says err '--engine is one of'
    run 129 $command --interp-only=hop "$dir/x"
    says err "'hop' is no instruction"
done
for log in ledger each summary; do
    run 0 record --engine=auto --gas-log=$log --reg a0=9 -o "$dir/auto.lks" pvm "$fib"
    run 0 record --engine=interp --gas-log=$log --reg a0=9 -o "$dir/interp.lks" pvm "$fib"
    run 0 id "$dir/auto.lks" "$dir/interp.lks"
    run 0 replay --engine=auto "$dir/auto.lks"
    run 0 replay --engine=auto --interp-only=add_64 "$dir/auto.lks"
done

# ---- check ----
run 129 check --engines=interp "$fib"
says err '--engines takes two of interp and recomp'
for engines in '' , interp, fast,interp interp,auto interp,recomp,recomp interprecomp; do
    run 129 check "--engines=$engines" "$fib"
done
run 129 check --engines=interp,interp --interp-only=jump "$fib"
says err 'not --engines=interp,interp'
run 129 check --interp-only=hop "$fib"
run 0 check --engines=interp,interp -v "$fib"
says out '1 same, 0 differ'
says err "$fib: same: page-fault, 27305 instructions"
run 125 check --engines=interp,interp "$dir/missing.pvm" "$fib"
says out '1 same, 0 differ'
says err missing.pvm
mkdir -p "$dir/set/sub/deep"
run 125 check --engines=interp,interp "$dir/set"
cp "$fib" "$dir/set/sub/deep/one.pvm"
cp "$fib" "$dir/set/two.pvm"
cp "$dir/auto.lks" "$dir/set/sub/three.lks"
echo 'no program' >"$dir/set/read.me"
run 0 check --engines=interp,interp "$dir/set"
says out '3 same, 0 differ'
run 0 check --engines=interp,interp --json "$dir/set/two.pvm"
says out '"same":true,"engines":["interp","interp"],"icount":27305}'
says out '{"schema":"lockstep.check.1","same_count":1,"differ_count":0}'
# A link that leads back ends somewhere.
mkdir "$dir/loop"
ln -s . "$dir/loop/again"
run 125 check --engines=interp,interp "$dir/loop"

"$lockstep" check "$fib" >"$dir/out" 2>"$dir/err"
if [ $? = 125 ]; then
    says err 'recompiler: not supported here'
else
    for engines in interp,recomp recomp,interp recomp,recomp; do
        run 0 check --engines=$engines --interval=50 --interp-only=add_64 "$dir/set"
        says out '3 same, 0 differ'
    done
fi

echo "check_cli: $passed runs, $failed failed"
[ "$failed" = 0 ]
