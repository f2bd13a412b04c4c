#!/bin/sh
# SPDX-License-Identifier: MIT
#
# gas.sh LOCKSTEP: what `lockstep gas` prints of the worked example (trace-replay.md 16)
# and of recordings, and what it says when it cannot.  Run from the root of the source.
set -u
LC_ALL=C
export LC_ALL
lockstep=$1
example=corpus/trace/worked-example.lks
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

complain()
{
    printf 'gas.sh: %s\n' "$*"
    bad=$((bad + 1))
}

# prints ARG... <expected: on stdout, with status 0 and nothing on stderr.
prints()
{
    cat >"$work/want"
    "$lockstep" gas "$@" >"$work/got" 2>"$work/err"
    status=$?
    [ $status -eq 0 ] || complain "gas $*: status $status"
    cmp -s "$work/want" "$work/got" || {
        complain "gas $*:"
        diff "$work/want" "$work/got"
    }
    [ ! -s "$work/err" ] || complain "gas $* said: $(cat "$work/err")"
}

# refuses STATUS WORDS ARG...: that status, one line with these words, nothing printed.
refuses()
{
    status=$1 words=$2
    shift 2
    "$lockstep" gas "$@" >"$work/got" 2>"$work/err"
    got=$?
    [ $got -eq "$status" ] || complain "gas $*: status $got, not $status"
    grep -q -e "$words" "$work/err" || complain "gas $* said: $(cat "$work/err")"
    [ "$(wc -l <"$work/err")" -eq 1 ] || complain "gas $*: not one line"
    [ ! -s "$work/got" ] || complain "gas $* printed: $(head -n 3 "$work/got")"
}

forms()
{
    prints $example <<'END'
         n       icount            gas kind   where        cost
         1            0              1 block  0x0             1
         2            2             19 block  0x4            18
         3            4             37 block  0x4            18
         4            6             55 block  0x4            18
         5            8            152 block  0xa            97
END
    prints --csv $example <<'END'
n,icount,gas,kind,where,cost
1,0,1,block,0x0,1
2,2,19,block,0x4,18
3,4,37,block,0x4,18
4,6,55,block,0x4,18
5,8,152,block,0xa,97
END
    prints --json --from 8 $example <<'END'
{"schema":"lockstep.gas.1","n":5,"icount":8,"gas":152,"kind":"block","where":"0xa","cost":97}
END
    prints --sum $example <<'END'
instructions                    9
gas                           152
blocks                          5
runs                            1
hash           0x3d94fda229b6b4ed

kind          charges              gas
block               5              152
END
    prints --sum --json $example <<'END'
{"schema":"lockstep.gas.1","instructions":9,"gas":152,"blocks":5,"runs":1,"hash":"0x3d94fda229b6b4ed","kinds":{"block":{"charges":5,"gas":152}}}
END
    prints --verify $example <<'END'
ledger ok: 8 events, 5 blocks charged, gas 152, 1 block tables
END
    prints --verify --json $example <<'END'
{"schema":"lockstep.gas.1","instructions":9,"gas":152,"blocks":5,"runs":1,"hash":"0x3d94fda229b6b4ed","tables_checked":1,"kinds":{"block":{"charges":5,"gas":152}}}
END
}

tables()
{
    prints --by=block $example <<'END'
             gas   share      charges   instructions block
              97  63.82%            1              1 0xa
              54  35.53%            3              6 0x4
               1   0.66%            1              2 0x0
END
    prints --by --csv $example <<'END'
block,gas,charges,instructions,name
0xa,97,1,1,
0x4,54,3,6,
0x0,1,1,2,
END
    prints --by=function --json $example <<'END'
{"schema":"lockstep.gas.1","function":"0x0","name":"fn_0x0","prog":0,"gas":152,"calls":1,"instructions":9,"gas_below":152,"instructions_below":9}
END
    prints --by=op $example <<'END'
             gas   share        calls op
               0   0.00%            1 0 reply
END
    prints --by=page $example <<'END'
             gas   share      charges page
END
    prints --collapsed $example <<'END'
fn_0x0 152
END
    prints --collapsed=insn $example <<'END'
fn_0x0 9
END
    prints --collapsed=charges -o "$work/folded" $example </dev/null
    [ "$(cat "$work/folded")" = "fn_0x0 5" ] || complain "-o: $(cat "$work/folded")"
}

ranges()
{
    prints --csv --from 50% $example <<'END'
n,icount,gas,kind,where,cost
3,4,37,block,0x4,18
4,6,55,block,0x4,18
5,8,152,block,0xa,97
END
    prints --csv --from 3 --to=+3 $example <<'END'
n,icount,gas,kind,where,cost
3,4,37,block,0x4,18
END
    prints --csv --from g:1 --to g:37 $example <<'END'
n,icount,gas,kind,where,cost
2,2,19,block,0x4,18
3,4,37,block,0x4,18
END
    prints --csv --from e:5 $example <<'END'
n,icount,gas,kind,where,cost
END
    prints --sum --from start --to 2 $example <<'END'
gas                             1
blocks                          1

kind          charges              gas
block               1                1
END
}

names()
{
    printf 'code 0x00000000 12\nexport  0 0x00000000 main\n%s\n%s\n' \
        'function 0x00000000      4 start a.o .text' \
        'function 0x00000004      8 loop a.o .text' >"$work/map"
    prints --collapsed --map "$work/map" $example <<'END'
export:main 1
loop 151
END
    prints --by=block --csv --map "$work/map" $example <<'END'
block,gas,charges,instructions,name
0xa,97,1,1,loop+0x6
0x4,54,3,6,loop
0x0,1,1,2,export:main
END
}

# A called program, and names of host calls, in all three logs.
recordings()
{
    for form in ledger each summary; do
        "$lockstep" record -q --gas-log $form -o "$work/$form.lks" --seed 0 --clock 0 \
            --stdin corpus/pvm/cases/upcase-plain.in pvm corpus/pvm/bin/upcase.pvm \
            >/dev/null || complain "record --gas-log $form"
        "$lockstep" gas --sum "$work/$form.lks" | head -n 5 >"$work/$form.sum"
    done
    cmp "$work/ledger.sum" "$work/each.sum" || complain "each: other sums"
    cmp "$work/ledger.sum" "$work/summary.sum" || complain "summary: other sums"
    "$lockstep" gas --by=op "$work/ledger.lks" >"$work/ops"
    for name in read write args; do
        grep -q " $name\$" "$work/ops" || complain "--by=op: no $name"
    done
    for form in "" --csv --json --by --collapsed --by=op; do
        # shellcheck disable=SC2086 # one word or none
        refuses 125 'recorded with --gas-log=summary' $form "$work/summary.lks"
    done
}

refusals()
{
    refuses 129 'exclude each other' --sum --by $example
    refuses 129 'exclude each other' --csv --json $example
    refuses 129 'exclude each other' --collapsed --csv $example
    refuses 129 'no position' --from x $example
    refuses 129 'only --to=+N' --from +3 $example
    refuses 129 '--by is one of' --by=color $example
    refuses 129 '--json and --output exclude each other' --json -o x $example
    refuses 125 'no such file' "$work/nothing.lks"
    refuses 125 'not a lockstep trace' CMakeLists.txt
    refuses 125 'not a map' --map CMakeLists.txt $example
    refuses 125 'no such file' --map "$work/nothing" $example
    refuses 125 'no such file' -o "$work/no/folder" $example
}

# The segment is at 1075; a changed bit is found by the crc first.  A whole file with a
# wrong ledger comes from the unit test.
damage()
{
    cp $example "$work/bad.lks"
    printf '\001' | dd of="$work/bad.lks" bs=1 seek=1080 conv=notrunc 2>/dev/null
    refuses 125 'crc32c' "$work/bad.lks" --sum
    head -c 1000 $example >"$work/cut.lks"
    "$lockstep" gas --sum "$work/cut.lks" >"$work/got" 2>"$work/err" &&
        ! grep -q 'not finished' "$work/err" && complain "a cut trace passes as whole"
}

# Programs of a kernel call each other, and a charge does not say which one pays.
kernels()
{
    for form in ledger each; do
        "$lockstep" record -q --gas-log=$form -o "$work/calls.$form.lks" \
            kernel corpus/jar/calls.json 2>/dev/null || complain "no trace of a kernel"
    done
    "$lockstep" gas --verify "$work/calls.ledger.lks" >/dev/null ||
        complain 'the ledger of a kernel is not verified'
    for option in --csv --sum --verify; do
        refuses 125 'record it with --gas-log=ledger' $option "$work/calls.each.lks"
    done
}

forms
tables
ranges
names
recordings
refusals
kernels
damage
[ $bad -eq 0 ] || { echo "reproduce: sh tests/unit/analysis/gas.sh $lockstep"; exit 1; }
echo "gas.sh: ok"
