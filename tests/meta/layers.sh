#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Includes only point down.  The tables are data; the rest checks them.
. "$(dirname "$0")/lib.sh"

# folder: what it may include of the tree besides itself.  A path with a dot is one
# header, a name before "=" the only file that may.
layers='
base:
trace: base
pvm: base
emu: base
v86fs: base virtio_v86fs.c=emu/virtio.h
hostfs: base v86fs
link: base pvm kernel
kernel: base pvm
nub: base pvm kernel
wasi: base pvm v86fs/tree.h
replay: base trace pvm kernel nub emu v86fs hostfs wasi
analysis: base trace pvm emu
cli: base trace pvm kernel nub emu v86fs hostfs link wasi replay analysis
bench: base trace pvm kernel nub emu v86fs hostfs link wasi replay analysis corpus
tests: base trace pvm kernel nub emu v86fs hostfs link wasi replay analysis cli corpus bench
'

# Pure folders see no system; hosted ones see it through base/os.h only.
pure='trace pvm kernel emu v86fs link wasi'
hosted='hostfs nub replay analysis'
# Hosted folders may also format text (symbols.sh sees to it that they do not print).
hosted_headers='stdarg.h stdio.h stdlib.h'
pure_headers='assert.h inttypes.h limits.h stdalign.h stdbool.h stddef.h stdint.h string.h'

# header pattern: where it may be included.  "/" at the end means the whole folder.
libraries='
blake2.h base/hash.c
xxhash.h base/hash.c
openssl/* base/hash.c
msgpack.h trace/
msgpack/* trace/
zstd.h trace/ base/unpack.c
lzma.h base/unpack.c
zstd_errors.h trace/ base/unpack.c
seccomp.h base/os_worker_filter.c
capstone/* analysis/
json-c/* cli/
fuse3/* cli/mount
cmocka.h tests/
'

# Every include as "file kind path line", kind q for quotes and s for <>.
includes()
{
    tracked | grep -E '^[a-z0-9]+/.*\.(c|h|def)$' |
        grep -v -e '^corpus/' -e '^v86fs/guest-linux/' |
        while read -r file; do
            sed -n -e 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/q \1/p' \
                -e 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*<\([^>]*\)>.*/s \1/p' \
                "$root/$file" | sed "s|^|$file |"
        done
}

has_word() { case " $2 " in *" $1 "*) return 0 ;; *) return 1 ;; esac }

check_quoted() # FILE PATH
{
    folder=${1%%/*} target=${2%%/*}
    if [ ! -e "$root/$2" ]; then
        complain "$1: \"$2\" is not written from the root of the tree"
        return
    fi
    allowed=$(printf '%s\n' "$layers" | sed -n "s/^$folder: *//p")
    if ! printf '%s\n' "$layers" | grep -q "^$folder:"; then
        complain "$1: folder $folder is not in the layer table"
        return
    fi
    case $1:$2 in
    pvm/recomp*.c:base/os*.h) ;; # native code needs the operating system [10.4]
    *:base/os*.h)
        if has_word "$folder" "$pure"; then
            complain "$1: a pure folder includes $2"
            return
        fi
        ;;
    esac
    [ "$folder" = "$target" ] && return
    has_word "$target" "$allowed" && return
    has_word "$2" "$allowed" && return
    has_word "${1#"$folder"/}=$2" "$allowed" && return
    complain "$1: $folder may not include $2"
}

library_home() # HEADER
{
    printf '%s\n' "$libraries" | while read -r pattern home; do
        [ -n "$pattern" ] || continue
        # shellcheck disable=SC2254 # a pattern
        case $1 in $pattern) printf '%s\n' "$home" ;; esac
    done
}

check_system() # FILE HEADER
{
    folder=${1%%/*}
    [ "$folder" = tests ] && return
    home=$(library_home "$2")
    if [ -n "$home" ]; then
        for place in $home; do
            case $1 in "$place"*) return ;; esac
        done
        complain "$1: <$2> belongs into $home alone"
        return
    fi
    has_word "$folder" "$hosted" && has_word "$2" "$hosted_headers" && return
    if has_word "$folder" "$pure $hosted" && ! has_word "$2" "$pure_headers"; then
        complain "$1: $folder may not include <$2>"
    fi
}

check_cycles()
{
    loop=$(printf '%s\n' "$all" | awk '$2 == "q" && $1 != $3 { print $1, $3 }' |
        tsort 2>&1 >/dev/null) || complain "includes form a cycle:" "$loop"
}

# The planted tree: clean but for one file that a case replaces.
plant_clean()
{
    new_tree
    echo '#include <stdio.h>' | plant base/err.c
    echo '#include <stdint.h>' | plant base/err.h
    echo '#include "base/err.h"' | plant base/os.h
    printf '#include "base/err.h"\n#include <msgpack.h>\n' | plant trace/trace.h
    echo '#include "base/err.h"' | plant base/os_code.h
    echo '#include "base/err.h"' | plant pvm/pvm.h
    echo '#include "base/os_code.h"' | plant pvm/recomp.c
    printf '#include "trace/trace.h"\n#include "base/os.h"\n' | plant replay/replay.c
    echo '#include "emu/virtio.h"' | plant v86fs/virtio_v86fs.c
    echo '#include <stdint.h>' | plant emu/virtio.h
}

violate() # WORDS FILE INCLUDE
{
    plant_clean
    mkdir -p "$tree/$(dirname "$2")"
    printf '#include %s\n' "$3" >>"$tree/$2"
    expect 1 "$1"
}

self_test()
{
    plant_clean
    expect 0 'layers: ok'
    violate 'pvm may not include trace/trace.h' pvm/pvm.h '"trace/trace.h"'
    violate 'base may not include pvm/pvm.h' base/err.h '"pvm/pvm.h"'
    violate 'pure folder includes base/os.h' trace/reader.c '"base/os.h"'
    violate 'pure folder includes base/os_code.h' pvm/interp.c '"base/os_code.h"'
    violate 'pvm may not include <stdio.h>' pvm/interp.c '<stdio.h>'
    violate 'pvm may not include <time.h>' pvm/interp.c '   <time.h>'
    violate 'replay may not include <unistd.h>' replay/replay.c '<unistd.h>'
    violate '<msgpack.h> belongs into trace/' replay/replay.c '<msgpack.h>'
    violate '<blake2.h> belongs into base/hash.c' base/err.c '<blake2.h>'
    violate 'not written from the root' pvm/interp.c '"pvm.h"'
    violate 'v86fs may not include emu/virtio.h' v86fs/server.c '"emu/virtio.h"'
    violate 'not in the layer table' misc/x.c '"base/err.h"'
    violate 'form a cycle' base/err.h '"base/os.h"'
    finish layers-self-test
}

main()
{
    list=$(mktemp)
    trap 'rm -f "$list"' EXIT
    all=$(includes)
    printf '%s\n' "$all" >"$list"
    while read -r file kind path; do
        case $kind in
        q) check_quoted "$file" "$path" ;;
        s) check_system "$file" "$path" ;;
        esac
    done <"$list"
    check_cycles
    [ -n "$all" ] || complain "no includes found at all"
    finish layers
}

case ${1:-} in
--self-test) self_test ;;
*) main ;;
esac
