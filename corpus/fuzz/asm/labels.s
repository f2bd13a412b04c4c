; counts down, calls through the table
.jump_width 2
.jump back, @4096
start: load_imm a0, 10
loop:  add_imm_64 a0, a0, -1
       branch_ne_imm a0, 0, loop
       load_imm_jump ra, 2, helper
back:  trap
helper:
       store_ind_u64 a0, [sp - 8]
       load_ind_u32 a1, [sp + 0:1]
       load_u8 a2, [0xfffe0000]
       jump_ind ra, 0
