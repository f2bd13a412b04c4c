#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each header compiles alone and twice, with gcc and clang; its guard is its path.
. "$(dirname "$0")/lib.sh"

# No headers by nature: files read several times with other macros; the reason.
exceptions='
pvm/interp_control.h: read once for each way of logging
pvm/interp_straight.h: read once for each dispatch loop
pvm/interp_variants.h: reads another header once for each way of logging
'

library_flags()
{
    pkg-config --cflags libb2 libxxhash libzstd json-c cmocka 2>/dev/null
    pkg-config --cflags msgpack-c 2>/dev/null || pkg-config --cflags msgpack 2>/dev/null
}

headers()
{
    tracked | grep -E '^[a-z0-9]+/.*\.h$' |
        grep -v -e '^corpus/' -e '^v86fs/guest-linux/' | while read -r header; do
        printf '%s\n' "$exceptions" | grep -qF "$header:" || printf '%s\n' "$header"
    done
}

main()
{
    source=$(mktemp -d)
    trap 'rm -rf "$source"' EXIT
    flags=$(library_flags | tr '\n' ' ')
    for header in $(headers); do
        guard=$(printf '%s' "$header" | tr 'a-z./-' 'A-Z___')
        grep -q "^#ifndef $guard\$" "$root/$header" ||
            complain "$header: its include guard is not $guard"
        printf '#include "%s"\n#include "%s"\nint x_;\n' "$header" "$header" \
            >"$source/x.c"
        for compiler in gcc clang; do
            command -v "$compiler" >/dev/null || continue
            # shellcheck disable=SC2086 # a list of flags
            message=$($compiler -std=gnu11 -Wall -Wextra -Wno-unused-function -Werror \
                $flags -fsyntax-only -I"$root" "$source/x.c" 2>&1) ||
                complain "$header: does not compile alone and twice with $compiler:" \
                    "$(printf '%s' "$message" | head -n 3)"
        done
    done
    [ -n "$(headers)" ] || complain "no headers found at all"
    finish headers
}

self_test()
{
    new_tree
    printf '#ifndef BASE_A_H\n#define BASE_A_H\nstruct a { int b; };\n#endif\n' |
        plant base/a.h
    expect 0 'headers: ok'
    printf '#ifndef BASE_B_H\n#define BASE_B_H\nsize_t b;\n#endif\n' | plant base/b.h
    expect 1 'base/b.h: does not compile'
    printf '#ifndef BASE_B_H\n#endif\nstruct b { int c; };\n' | plant base/b.h
    expect 1 'base/b.h: does not compile'
    printf '#ifndef B_H\n#define B_H\n#endif\n' | plant base/b.h
    expect 1 'guard is not BASE_B_H'
    finish headers-self-test
}

case ${1:-} in
--self-test) self_test ;;
*) main ;;
esac
