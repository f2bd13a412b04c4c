#!/bin/sh
# SPDX-License-Identifier: MIT
#
# modules.sh LOCKSTEP: gdb over a recorded boot of Linux knows the names of the module
# v86fs without being told where it is: going backwards, going forwards from before it
# was loaded, and while it is being loaded.  It knows those of the kernel from the
# kernel's own table.  Run in the source root; without gdb or a guest the status is 77
# (skipped).
set -u
LC_ALL=C
export LC_ALL
lockstep=$(realpath "$1")
root=$PWD
if [ ! -s build/guest/initramfs.cpio ]; then
    echo "modules: SKIPPED: no Linux guest; ./dev guest tells why"
    exit 77
fi
command -v gdb >/dev/null || {
    echo "modules: SKIPPED: there is no gdb"
    exit 77
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
. "$root/tests/conformance/gdb_lib.sh"
limit=600
guest=$root/build/guest
"$lockstep" record -q -o boot.lks pc --kernel "$guest/vmlinuz" \
    --initrd "$guest/initramfs.cpio" --fs mem \
    --append 'console=ttyS0 cryptomgr.notests=1 noisapnp quiet run=marker' \
    --log-bytes </dev/null >console 2>&1 || {
    echo "modules: the boot: $(tail -n 5 console)"
    exit 1
}

session names boot.lks --modules "$guest/module" <<'END'
monitor modules
seek end
monitor modules
break v86fs_init
reverse-continue
backtrace 1
monitor modules
p/x $eip == (unsigned)&v86fs_init
seek start
continue
monitor when
delete
continue
END
says '^no modules are found here' '^v86fs 0xc[0-9a-f]*000 size [0-9]* live' \
    '^virtio_ring 0xc' '^Breakpoint 1 at .*device.c' '^#0  v86fs_init .*device.c' \
    '^v86fs 0xc[0-9a-f]*000 size [0-9]* coming' '= 0x1$' 'No more reverse-execution'
counts 2 '^Breakpoint 1, v86fs_init'
counts 1 '^add symbol table'

# Another module of that name has other names at other places.
mkdir other
objcopy --remove-section .note.gnu.build-id "$guest/module/v86fs.ko" other/plain.ko
cp other/plain.ko other/v86fs.ko
printf '\004\0\0\0\024\0\0\0\003\0\0\0GNU\0another build of it' >id
objcopy --add-section .note.gnu.build-id=id other/v86fs.ko
session another-build boot.lks --at end --modules other <<'END'
monitor modules load
END
says 'v86fs.ko is not what the guest has loaded: another build'
says_not 'add symbol table'

# The kernel's own names, from before it has mapped itself.  By them, a call and its
# return are where the kernel's code has them.
session kernel boot.lks <<'END'
monitor kallsyms
break vfs_read
continue
info symbol $pc
x/2i $pc
backtrace 2
monitor kallsyms vfs_read
monitor kallsyms no_such_name
monitor kallsyms
info symbol &_etext
info symbol (char *)&_etext + 0x100
break do_exit
continue
seek end
delete
break vfs_read
reverse-continue
p/x $eip == (unsigned)&vfs_read
delete
seek start
break start_kernel
continue
reverse-stepi
info symbol $pc
END
says '^no symbols are found here' '^Breakpoint 1 at 0xc1' \
    '^Breakpoint 1, 0xc1[0-9a-f]* in vfs_read' '^vfs_read in section .text' \
    '^=> 0xc1[0-9a-f]* <vfs_read>:' '^#1  0xc1[0-9a-f]* in ksys_read' \
    '^0xc1[0-9a-f]* T vfs_read' '^there is no symbol no_such_name here' \
    '^[0-9]* symbols, 0xc1000000 to 0xc1' '^No symbol matches' \
    '^Breakpoint 2, 0xc1[0-9a-f]* in do_exit' \
    '^Breakpoint 3, 0xc1[0-9a-f]* in vfs_read' '= 0x1$' \
    '^Breakpoint 4, 0xc1[0-9a-f]* in start_kernel' \
    '^i386_start_kernel + [0-9]* in section .init.text'

# Not where they are not wanted, and not beside those of a file.
session without boot.lks --no-kallsyms <<'END'
monitor kallsyms load
break vfs_read
END
says 'gdb is not told' 'No symbol table is loaded'
session file boot.lks --symbols "$guest/v86fs.ko" <<'END'
break vfs_read
END
says 'Function "vfs_read" not defined'

finish modules.sh
