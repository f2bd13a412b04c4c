#!/bin/sh
# SPDX-License-Identifier: MIT
#
# symbols.sh BUILD: what the archives define and ask for, by nm.
. "$(dirname "$0")/lib.sh"

# folder: the prefixes of what it may define.
prefixes='
base: err_ arena_ buf_ bytes_ hash_ hash256_ os_ unpack
trace: trace_
pvm: pvm_
emu: emu_
v86fs: v86fs_
hostfs: hostfs_
link: link_
kernel: kernel_
nub: nub_
wasi: wasi_
replay: replay_
analysis: analysis_
cli: cli_ ui_ cmd_ dap_
'

# folder: what it may ask of other archives and libraries.  (os_ in pvm: layers.sh sees
# to it that only the recompiler gets at it.)
imports='
trace: msgpack_ ZSTD_
pvm: os_
emu:
v86fs: emu_virtio_
link: pvm_ kernel_
kernel: pvm_
wasi: pvm_ v86fs_tree_
'

# What every pure folder may ask for: base without os, memory and string functions that
# depend on nothing, and what a compiler or assert() adds on its own.
base_prefixes='err_ arena_ buf_ bytes_ hash_ hash256_ unpack'
allowed='memcpy memmove memset memcmp memchr bcmp strlen strnlen strcmp strncmp strchr
strrchr strstr __assert_fail __stack_chk_fail _GLOBAL_OFFSET_TABLE_ __popcountdi2
__udivti3 __umodti3 __udivmodti4 __divti3 __modti3 __multi3'

# Names that must not be asked for by a folder, although their prefix may.
forbidden='
analysis: pvm_step
'

has_prefix() # NAME PREFIXES
{
    for prefix in $2; do
        case $1 in "$prefix"*) return 0 ;; esac
    done
    return 1
}

has_word() { case " $2 " in *" $1 "*) return 0 ;; *) return 1 ;; esac }

row() { printf '%s\n' "$1" | sed -n "s/^$2: *//p"; }

check_defined() # FOLDER ARCHIVE
{
    for name in $(nm -g --defined-only "$2" 2>/dev/null | awk 'NF == 3 { print $3 }'); do
        has_prefix "$name" "$(row "$prefixes" "$1")" ||
            complain "$1: defines $name, which has none of its prefixes"
    done
}

check_asked() # FOLDER ARCHIVE
{
    defined=" $(nm -g --defined-only "$2" 2>/dev/null |
        awk 'NF == 3 { printf "%s ", $3 }')"
    words=$(printf '%s' "$allowed" | tr '\n' ' ')
    for name in $(nm -u "$2" 2>/dev/null | awk 'NF == 2 { print $2 }' | sort -u); do
        has_word "$name" "$defined" && continue
        has_word "$name" "$words" && continue
        has_prefix "$name" "$base_prefixes $(row "$imports" "$1")" && continue
        complain "$1: a pure folder asks for $name"
    done
}

check_forbidden() # FOLDER ARCHIVE
{
    for name in $(row "$forbidden" "$1"); do
        nm -u "$2" | grep -q " $name\$" && complain "$1: asks for $name"
    done
}

# Only cli/ui.c writes to stdout and stderr.
check_printing() # FOLDER ARCHIVE
{
    nm -A -u "$2" 2>/dev/null |
        grep -E ' (printf|vprintf|puts|putchar|fputs|fputc|putc|fprintf|vfprintf|perror|fwrite|__printf_chk|__fprintf_chk|stdout|stderr)$' |
        sed 's/^[^:]*:\([^:]*\):.* \([^ ]*\)$/\1 \2/' >"$list"
    while read -r member name; do
        case $1/$member in
        cli/ui.c.o | cli/ui.o | base/err.c.o | base/err.o) ;; # err.c: check() itself
        *) complain "$1: $member asks for $name; only cli/ui.c prints" ;;
        esac
    done <"$list"
}

# What runs in a worker process has nothing but its own section (base/os_worker_child.c):
# no relocation of it may lead elsewhere.
check_worker() # OBJECT
{
    objdump -r -j os_worker_code "$1" | awk '$2 ~ /^R_/ { sub("[-+].*", "", $3); print $3 }' |
        sort -u >"$list"
    objdump -t "$1" | awk '/ os_worker_code/ { print $NF }' >"$list.own"
    for name in $(cat "$list"); do
        grep -qx "$name" "$list.own" || complain "base: worker code asks for $name"
    done
    rm -f "$list.own"
}

main() # BUILD
{
    list=$(mktemp)
    trap 'rm -f "$list"' EXIT
    seen=0
    for folder in $(printf '%s\n' "$prefixes" | sed -n 's/:.*//p'); do
        archive=$1/$folder/liblockstep-$folder.a
        [ -e "$archive" ] || continue
        seen=$((seen + 1))
        check_defined "$folder" "$archive"
        printf '%s\n' "$imports" | grep -q "^$folder:" && check_asked "$folder" "$archive"
        check_forbidden "$folder" "$archive"
        check_printing "$folder" "$archive"
    done
    for object in "$1"/base/CMakeFiles/lockstep-base.dir/os_worker_child.c.o; do
        [ ! -e "$object" ] || check_worker "$object"
    done
    [ "$seen" -gt 1 ] || complain "found $seen archives in $1"
    finish symbols
}

# planted FOLDER <C text: compile it into the archive of that folder.
planted()
{
    mkdir -p "$tree/$1"
    cat >"$tree/$1/x.c"
    ${CC:-cc} -O2 -w -c -o "$tree/$1/x.o" "$tree/$1/x.c" &&
        ar rc "$tree/$1/liblockstep-$1.a" "$tree/$1/x.o"
}

violate() # WORDS FOLDER TEXT
{
    rm -rf "$tree/$2"
    echo "$3" | planted "$2"
    expect 1 "$1" "$tree"
    rm -rf "$tree/$2"
}

self_test()
{
    new_tree
    echo 'int err_x; int os_y(void){ return err_x; }' | planted base
    echo 'int hash_x(int); int trace_x(int a){ return hash_x(a); }' | planted trace
    expect 0 'symbols: ok' "$tree"
    violate 'defines helper' pvm 'int helper(void){ return 1; }'
    violate 'pure folder asks for malloc' pvm \
        'void *malloc(unsigned long); void *pvm_x(int n){ return malloc(n); }'
    violate 'pure folder asks for os_open' link \
        'int os_open(void); int link_x(void){ return os_open(); }'
    violate 'pure folder asks for trace_x' pvm \
        'int trace_x(int); int pvm_x(void){ return trace_x(3); }'
    violate 'analysis: asks for pvm_step' analysis \
        'int pvm_step(void); int analysis_x(void){ return pvm_step(); }'
    violate 'only cli/ui.c prints' replay \
        'int puts(const char *); int replay_x(void){ return puts("x"); }'
    object=base/CMakeFiles/lockstep-base.dir/os_worker_child.c.o
    mkdir -p "$tree/${object%/*}"
    for body in 'return 1' 'return x[n]' 'return memcmp(&n, &n, n)'; do
        echo 'int memcmp(const void *, const void *, unsigned long); extern int x[];
            __attribute__((section("os_worker_code"))) int os_y(int n) { '"$body; }" |
            ${CC:-cc} -O2 -fno-builtin -w -c -x c -o "$tree/$object" -
        case $body in
        *x*) expect 1 'worker code asks for x' "$tree" ;;
        *memcmp*) expect 1 'worker code asks for memcmp' "$tree" ;;
        *) expect 0 'symbols: ok' "$tree" ;;
        esac
    done
    rm "$tree/$object"
    rm -rf "$tree/trace"
    expect 1 'found 1 archives' "$tree"
    finish symbols-self-test
}

case ${1:-} in
--self-test) self_test ;;
*) main "$1" ;;
esac
