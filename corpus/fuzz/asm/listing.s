.jump_width 1
.jump @0, @30
@0:     load_imm a0, 0x12345
@5:     load_imm a0, 5:4
@11:    .insn 33 d7 05 ; load_imm a0, 5
@14:    .insn fe 01 ; opcode 254 is not assigned
@16:    store_imm_ind_u8 [sp - 4], -1
@20:    load_u8 a0, [0xfffe0000]
@25:    branch_lt_s_imm t0, -0x100, @0
@30:    ecalli 64
@32:    load_imm_64 a0, 0x1122334455667788
@42:    load_imm_jump_ind ra, a0, 1, 2
@47:    cmov_iz a0, a1, a2
@50:    .insn 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 ; trap
@75:    .data 01 02
