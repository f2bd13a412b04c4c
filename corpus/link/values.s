# SPDX-License-Identifier: MIT
#
# Absolute symbols at the limits of what lui and addi reach; the other objects refer to
# them, so that each reference is a relocation.
    .globl v0, v7ff, v800, vfff, v1000, vm1, vmin, vmax, v12345678, vmax32
    .set v0, 0
    .set v7ff, 0x7ff
    .set v800, 0x800
    .set vfff, 0xfff
    .set v1000, 0x1000
    .set vm1, -1
    .set vmin, -0x80000000
    .set vmax, 0x7ffff7ff
    .set v12345678, 0x12345678
    .set vmax32, 0xffffffff
