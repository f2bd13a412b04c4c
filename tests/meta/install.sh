#!/bin/sh
# SPDX-License-Identifier: MIT
#
# install.sh BUILD: an installed tree, moved to another place, serves a program outside
# of it through find_package and through pkg-config.
. "$(dirname "$0")/lib.sh"

write_consumer()
{
    mkdir -p "$tmp/consumer"
    cat >"$tmp/consumer/main.c" <<'EOF'
#include "base/hash.h"
#include "pvm/pvm.h"
#include <stdio.h>
#include <string.h>
int main(void)
{
    struct hash256 hash = hash256_of("abc", 3);
    struct pvm_code code;
    /* No jump table, one byte of code (trap), bitmask 1. */
    enum err err = pvm_code_parse(bytes_of("\0\0\1\0\1", 5), &code);
    printf("%02x%02x %s %s\n", hash.byte[0], hash.byte[1], err_name(err),
           pvm_op_info[code.code.data[0]].name);
    return 0;
}
EOF
    cat >"$tmp/consumer/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.20)
project(consumer LANGUAGES C)
find_package(lockstep 0.1 REQUIRED)
add_executable(consumer main.c)
target_link_libraries(consumer PRIVATE lockstep::pvm)
EOF
}

expect_output() # PROGRAM
{
    got=$("$1" 2>&1)
    [ "$got" = 'bddd ok trap' ] || complain "the consumer printed: $got"
}

by_cmake() # PREFIX BUILD
{
    generator=$(sed -n 's/^CMAKE_GENERATOR:INTERNAL=//p' "$2/CMakeCache.txt")
    if cmake -G "$generator" -S "$tmp/consumer" -B "$tmp/consumer/build" -DCMAKE_PREFIX_PATH="$1" \
        >"$tmp/log" 2>&1 && cmake --build "$tmp/consumer/build" >>"$tmp/log" 2>&1; then
        expect_output "$tmp/consumer/build/consumer"
    else
        complain "find_package(lockstep) does not work:" \
            "$(grep -iE -A3 'error' "$tmp/log" | head -n 8)"
    fi
}

by_pkg_config() # PREFIX
{
    pc=$(find "$1" -name lockstep.pc)
    [ -n "$pc" ] || { complain "no lockstep.pc"; return; }
    flags=$(PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --cflags --libs lockstep) ||
        { complain "pkg-config refuses lockstep.pc"; return; }
    # shellcheck disable=SC2086 # a list of flags
    if ${CC:-cc} -o "$tmp/consumer/by-pc" "$tmp/consumer/main.c" $flags >"$tmp/log" 2>&1
    then
        expect_output "$tmp/consumer/by-pc"
    else
        complain "a program does not link by lockstep.pc:" "$(head -n 4 "$tmp/log")"
    fi
}

check_headers() # PREFIX
{
    for header in $(cd "$1/include/lockstep" && find . -name '*.h' | sed 's|^\./||'); do
        printf '#include "%s"\n' "$header" >"$tmp/h.c"
        ${CC:-cc} -std=gnu11 -fsyntax-only -I"$1/include/lockstep" "$tmp/h.c" \
            >"$tmp/log" 2>&1 ||
            complain "installed $header does not compile:" "$(head -n 2 "$tmp/log")"
    done
}

check_paths() # PREFIX BUILD
{
    source=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$2/CMakeCache.txt")
    for file in $(find "$1" -name '*.cmake' -o -name '*.pc'); do
        ! grep -qF -e "$source" -e "$tmp/first" "$file" ||
            complain "${file##*/} names a folder of the build"
    done
}

install_moved() # BUILD
{
    if ! cmake --install "$1" --prefix "$tmp/first" >"$tmp/log" 2>&1; then
        complain "cmake --install fails:" "$(tail -n 3 "$tmp/log")"
        finish install
    fi
    mv "$tmp/first" "$tmp/moved"
}

consume() # PREFIX BUILD
{
    write_consumer
    check_headers "$1"
    by_cmake "$1" "$2"
    by_pkg_config "$1"
    check_paths "$1" "$2"
    "$1/bin/lockstep" --version >/dev/null || complain "bin/lockstep does not run"
    [ -e "$1/share/man/man1/lockstep-help.1" ] || complain "no manual pages"
    [ -e "$1/share/bash-completion/completions/lockstep" ] || complain "no completion"
}

self_test() # BUILD
{
    install_moved "$1"
    mv "$tmp/moved/include/lockstep/base/err.def" "$tmp/"
    consume "$tmp/moved" "$1" >"$tmp/said"
    [ "$bad" -ge 3 ] || { cat "$tmp/said"; echo "a missing header was not found"; exit 1; }
    bad=0
    mv "$tmp/err.def" "$tmp/moved/include/lockstep/base/"
    rm "$tmp"/moved/lib*/liblockstep-base.a "$tmp"/moved/lib/*/liblockstep-base.a 2>/dev/null
    rm -rf "$tmp/consumer"
    consume "$tmp/moved" "$1" >"$tmp/said"
    [ "$bad" -ge 2 ] || { cat "$tmp/said"; echo "a missing archive was not found"; exit 1; }
    bad=0
    finish install-self-test
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
case ${1:-} in
--self-test) self_test "$2" ;;
*)
    install_moved "$1"
    consume "$tmp/moved" "$1"
    finish install
    ;;
esac
