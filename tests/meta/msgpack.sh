#!/bin/sh
# SPDX-License-Identifier: MIT
#
# trace-replay.md 3.6: one value has one encoding, so only msgpack-c's typed packers
# that choose the shortest form are used, and none of its other types.
. "$(dirname "$0")/lib.sh"

forbidden='msgpack_pack_fix_|msgpack_pack_v4raw|msgpack_pack_(float|double|nil|true|false|map|ext|timestamp)|msgpack_pack_object'

main()
{
    for file in $(tracked | grep -E '^[a-z0-9]+/.*\.(c|h|def)$'); do
        found=$(grep -nE "$forbidden" "$root/$file" | head -n 1) || true
        [ -z "$found" ] || complain "$file:$found"
    done
    finish msgpack
}

self_test()
{
    new_tree
    echo 'msgpack_pack_uint64(p, 1); msgpack_pack_bin_body(p, b, 2);' | plant trace/a.c
    expect 0 'msgpack: ok'
    for name in fix_uint64 v4raw float nil true map ext timestamp; do
        echo "msgpack_pack_$name(p, 1);" | plant trace/b.c
        expect 1 "trace/b.c:1:msgpack_pack_$name"
    done
    finish msgpack-self-test
}

case ${1:-} in
--self-test) self_test ;;
*) main ;;
esac
