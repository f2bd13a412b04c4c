#!/bin/sh
# SPDX-License-Identifier: MIT
#
# cli.sh BUILD: every command answers --help; a wrong command line is one line and
# status 129; nothing that cannot be written is lost silently.
. "$(dirname "$0")/lib.sh"

commands()
{
    sed -n 's/^COMMAND(\([a-z0-9_]*\),.*/\1/p' "$root/cli/commands.def"
}

# call ARG…: run the program; sets $status, $out, $err.
call()
{
    "$program" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    status=$?
    out=$(cat "$tmp/out") err=$(cat "$tmp/err")
}

one_line() { [ "$(wc -l <"$tmp/err")" -eq 1 ]; }

# usage_error WORDS ARG…: status 129, one line on stderr with WORDS, silence on stdout.
usage_error()
{
    words=$1
    shift
    call "$@"
    [ "$status" -eq 129 ] || complain "lockstep $*: status $status, not 129"
    one_line || complain "lockstep $*: stderr is not one line: $err"
    [ -z "$out" ] || complain "lockstep $*: a usage error printed on stdout"
    case $err in
    "lockstep"*": "*"$words"*) ;;
    *) complain "lockstep $*: '$words' is not in: $err" ;;
    esac
}

check_help() # COMMAND
{
    call "$1" --help
    [ "$status" -eq 0 ] || complain "lockstep $1 --help: status $status"
    [ -z "$err" ] || complain "lockstep $1 --help: talks on stderr: $err"
    for words in "usage: lockstep $1" 'options:' 'examples:' 'exit status:' \
        '--color=' '--quiet' '    0  ' '  125  ' '  129  '; do
        case $out in
        *"$words"*) ;;
        *) complain "lockstep $1 --help: no '$words'" ;;
        esac
    done
    examples=$(grep -c '^  lockstep ' "$tmp/out")
    [ "$examples" -eq 2 ] || complain "lockstep $1 --help: $examples examples, not 2"
    wide=$(grep -nE '^.{101}' "$tmp/out" | head -n 1)
    [ -z "$wide" ] || complain "lockstep $1 --help: over 100 columns: $wide"
    help=$out
    check_exclusions "$1"
    call help "$1"
    [ "$out" = "$help" ] || complain "lockstep help $1 is not lockstep $1 --help"
    "$program" "$1" --help >/dev/full 2>/dev/null
    [ $? -eq 125 ] || complain "lockstep $1 --help >/dev/full: status is not 125"
}

# An option as the help in $tmp/help shows it, with some value: "--zstd=1".
option_with_value() # NAME
{
    shown=$(grep -oE "^ +(-., )?--$1(=[^ ]*|\[=[^ ]*)?( |\$)" "$tmp/help")
    case $shown in
    '') complain "--$1 is no option" ;;
    *\[=*) echo "--$1" ;;
    *=*\|*) echo "$shown" | sed 's/^.*--/--/;s/|.*//' ;;
    *=SIZE*) echo "--$1=1M" ;;
    *=*) echo "--$1=1" ;;
    *) echo "--$1" ;;
    esac
}

# Options that the help says not to give together are refused together.
check_exclusions() # COMMAND
{
    cp "$tmp/out" "$tmp/help"
    sed -n '/^Not together: /,/^$/p' "$tmp/help" | tr '.\n' '  ' |
        sed 's/^Not together: //;s/; */\n/g' >"$tmp/exclusions"
    echo >>"$tmp/exclusions"
    set -- "$1" 0
    while read -r one _ others; do
        for other in $(echo "$others" | tr -d ,); do
            usage_error "$one and $other exclude each other" "$1" \
                "$(option_with_value "${other#--}")" "$(option_with_value "${one#--}")"
            set -- "$1" $(($2 + 1))
        done
    done <"$tmp/exclusions"
    excluded=$((${excluded:-0} + $2))
}

check_command() # COMMAND
{
    check_help "$1"
    usage_error "unknown option '--no-such'" "$1" --no-such
    usage_error "unknown option '-%'" "$1" -%
    usage_error "did you mean '--quiet'" "$1" --quite
    usage_error "--color is one of auto, always, never" "$1" --color=red
    usage_error "--color needs a value" "$1" --color
    usage_error "--quiet takes no value" "$1" --quiet=1
    usage_error "--quiet and --verbose exclude each other" "$1" -v -q
    # An empty command line is fine, or a usage error; never a crash.
    call "$1"
    case $status in
    0 | 1 | 125) ;;
    129) one_line || complain "lockstep $1: stderr is not one line: $err" ;;
    *) complain "lockstep $1: status $status" ;;
    esac
}

check_top()
{
    call --version
    [ "$status" -eq 0 ] || complain "lockstep --version: status $status"
    case $out in
    'lockstep '[0-9]*.[0-9]*.[0-9]*) ;;
    *) complain "lockstep --version: $out" ;;
    esac
    call --help
    [ "$status" -eq 0 ] || complain "lockstep --help: status $status"
    for command in $(commands); do
        case $out in
        *"  $command "*) ;;
        *) complain "lockstep help does not list $command" ;;
        esac
    done
    usage_error 'no command'
    usage_error "did you mean 'help'?" hepl
    usage_error "unknown command 'frobnicate'" frobnicate
    usage_error "unknown option '--frob'" --frob
    usage_error 'unknown command' "$(printf 'a\nb\033[31m')"
    usage_error "did you mean 'help'?" help hepl
    call help --format=bash
    if command -v bash >/dev/null; then
        got=$(bash -c '. "$1"; COMP_WORDS=(lockstep hel) COMP_CWORD=1
            _lockstep lockstep hel lockstep; echo "${COMPREPLY[@]}"
            COMP_WORDS=(lockstep help --fo) COMP_CWORD=2
            _lockstep lockstep --format=m help; echo "${COMPREPLY[@]}"' - "$tmp/out" 2>&1)
        want=$(printf 'help\n--format=man --format=markdown')
        [ "$got" = "$want" ] || complain "bash completes to: $got"
    fi
    call help --format=man
    [ "$status" -eq 0 ] || complain "lockstep help --format=man: status $status"
}

main() # BUILD
{
    program=$1/lockstep
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    [ -x "$program" ] || complain "$program is not there"
    check_top
    for command in $(commands); do
        check_command "$command"
    done
    [ -n "$(commands)" ] || complain "no commands found"
    [ "$excluded" -gt 0 ] || complain "no options exclude each other"
    finish cli
}

# A program that answers everything like the real one but for one fault.
fake() # SHELL-TEXT
{
    {
        echo '#!/bin/sh'
        printf '%s\n' "$1"
        printf 'exec "%s" "$@"\n' "$real"
    } >"$tree/lockstep"
    chmod +x "$tree/lockstep"
}

self_test() # BUILD
{
    real=$(cd "$1" && pwd)/lockstep
    here=$root
    new_tree
    mkdir "$tree/cli"
    grep '^COMMAND(\(help\|link\),' "$here/cli/commands.def" >"$tree/cli/commands.def"
    fake ''
    expect 0 'cli: ok' "$tree"
    fake '[ "$2" = --help ] && exit 1'
    expect 1 'help --help: status 1' "$tree"
    fake '[ "$2" = --no-such ] && { echo "lockstep x: unknown option"; exit 129; }'
    expect 1 'printed on stdout' "$tree"
    fake '[ "$2" = --no-such ] && printf "lockstep x: unknown option\nusage:\n" >&2 && exit 129'
    expect 1 'stderr is not one line' "$tree"
    fake '[ "$2" = --no-such ] && exit 2'
    expect 1 'status 2, not 129' "$tree"
    fake '[ "$2" = --help ] && { echo "usage: lockstep $1"; exit 0; }'
    expect 1 '0 examples, not 2' "$tree"
    fake '[ "$1.$3" = link.--image ] && exit 0'
    expect 1 'link --format=raw --image: status 0, not 129' "$tree"
    fake ''
    echo 'COMMAND(missing, OTHER, "is not there")' >>"$tree/cli/commands.def"
    expect 1 'does not list missing' "$tree"
    finish cli-self-test
}

case ${1:-} in
--self-test) self_test "$2" ;;
*) main "$1" ;;
esac
