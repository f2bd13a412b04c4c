/* SPDX-License-Identifier: MIT
 *
 * What the recompiler asks of an opcode, as a table [2, 3].
 */
#include "pvm/recomp_role.h"

/* ---- of formats: the register written, those read, the one of an address ---- */

enum {
#define ROW(format, written, reads, address)                                           \
    WRITTEN_##format = ROLE_##written, READS_OF_##format = (reads),                    \
    ADDRESS_##format = (address),
    ROW(NONE, A, 0, 0) ROW(X, A, 0, 0) ROW(A_X64, A, 0, 0) ROW(X_Y, A, 0, 0)
        ROW(T, A, 0, 0) ROW(A_X, A, 0, 0) ROW(A_X_Y, A, 0, ROLE_A) ROW(A_X_T, A, 0, 0)
            ROW(D_A, D, READS_A, 0) ROW(A_B_X, A, READS_B, ROLE_B) ROW(A_B_T, A, 0, 0)
                ROW(A_B_X_Y, A, 0, 0) ROW(D_A_B, D, READS_A | READS_B, 0)
#undef ROW
};

/* ---- of opcodes ---- */

#define IS(op, name) ((op) == PVM_OP_##name)
#define IS_BITWISE(op) (IS(op, and) || IS(op, or) || IS(op, xor))
#define IS_LOAD_IND(op) ((op) >= PVM_OP_load_ind_u8 && (op) <= PVM_OP_load_ind_u64)
#define IS_CMOV(op)                                                                    \
    (IS(op, cmov_iz) || IS(op, cmov_nz) || IS(op, cmov_iz_imm) || IS(op, cmov_nz_imm))
#define IS_BETWEEN(op) /* a comparison and the use of its carry */                     \
    (IS(op, mul_upper_u_u) || IS(op, move_reg) || IS_LOAD_IND(op))

#define ACCESS_SIZE(op)                                                                \
    (IS(op, load_ind_u8) || IS(op, load_ind_i8) || IS(op, store_ind_u8) ||             \
             IS(op, store_imm_ind_u8)                                                  \
         ? 1                                                                           \
     : IS(op, load_ind_u16) || IS(op, load_ind_i16) || IS(op, store_ind_u16) ||        \
             IS(op, store_imm_ind_u16)                                                 \
         ? 2                                                                           \
     : IS(op, load_ind_u32) || IS(op, load_ind_i32) || IS(op, store_ind_u32) ||        \
             IS(op, store_imm_ind_u32)                                                 \
         ? 4                                                                           \
         : 8)

#define BEGINS(op)                                                                     \
    ((IS(op, load_ind_u64) ? PAIR_LOAD_COMPUTE : 0) |                                  \
     (IS(op, shlo_l_imm_64) ? PAIR_SHIFT_ADD | PAIR_LEFT_RIGHT : 0) |                  \
     (IS(op, shlo_r_imm_64) ? PAIR_RIGHT_LEFT : 0) |                                   \
     (IS(op, add_64) ? PAIR_ADD_LOAD | PAIR_ADD_COMPARE : 0) |                         \
     (IS(op, load_imm) ? PAIR_CONSTANT : 0) |                                          \
     (IS(op, mul_64) ? PAIR_LOW_HIGH | PAIR_PRODUCT_ADD : 0) |                         \
     (IS(op, mul_upper_u_u) ? PAIR_HIGH_LOW : 0) |                                     \
     (IS(op, set_lt_u) || IS(op, set_lt_u_imm) ? PAIR_COMPARE : 0) |                   \
     (IS(op, rot_r_32_imm) ? PAIR_TURN : 0))

#define FOLLOWS(op)                                                                    \
    ((IS(op, add_64) || IS(op, sub_64) ? PAIR_LOAD_COMPUTE | PAIR_COMPARE : 0) |       \
     (IS_BITWISE(op) ? PAIR_LOAD_COMPUTE : 0) |                                        \
     (IS(op, add_64) ? PAIR_SHIFT_ADD | PAIR_PRODUCT_ADD : 0) |                        \
     (IS_LOAD_IND(op) ? PAIR_ADD_LOAD : 0) |                                           \
     (IS(op, set_lt_u) ? PAIR_ADD_COMPARE : 0) |                                       \
     (IS(op, add_imm_64) || IS(op, add_imm_32) ? PAIR_CONSTANT : 0) |                  \
     (IS(op, shlo_r_imm_64) || IS(op, shar_r_imm_64) ? PAIR_LEFT_RIGHT : 0) |          \
     (IS(op, shlo_l_imm_64) ? PAIR_RIGHT_LEFT : 0) |                                   \
     (IS(op, mul_upper_u_u) ? PAIR_LOW_HIGH : 0) |                                     \
     (IS(op, mul_64) ? PAIR_HIGH_LOW : 0) | (IS_BETWEEN(op) ? PAIR_COMPARE : 0) |      \
     (IS(op, rot_r_32_imm) || IS(op, xor) ? PAIR_TURN : 0))

#define NO_ADDRESS(flags, address)                                                     \
    ((flags) & (PVM_OP_LOAD | PVM_OP_STORE) && (address) ? 0 : NATIVE_NO_REGISTER)

const uint16_t pvm_native_begins[256] = {
#define OP(code, name, format, flags_, text) [code] = BEGINS(code),
#include "pvm/opcodes.def"
};

const uint16_t pvm_native_follows[256] = {
#define OP(code, name, format, flags_, text) [code] = FOLLOWS(code),
#include "pvm/opcodes.def"
};

const struct native_role pvm_native_role[256] = {
#define T PVM_OP_T
#define TJ PVM_OP_TJ
#define JAVM PVM_OP_JAVM
#define LOAD PVM_OP_LOAD
#define STORE PVM_OP_STORE
#define COND PVM_OP_COND
#define JUMP PVM_OP_JUMP
#define DYN PVM_OP_DYN
#define CALL PVM_OP_CALL
#define SINK PVM_OP_SINK
#define OP(code, name, format, flags_, text)                                           \
    [code] = {                                                                         \
        .flags = flags_,                                                               \
        .written = WRITTEN_##format,                                                   \
        .no_written = (flags_)&STORE ? NATIVE_NO_REGISTER : 0,                         \
        .address = ADDRESS_##format,                                                   \
        .no_address = NO_ADDRESS(flags_, ADDRESS_##format),                            \
        .reads = READS_OF_##format | (IS_CMOV(code) ? READS_WRITTEN : 0),              \
        .access_size = ACCESS_SIZE(code),                                              \
    },
#include "pvm/opcodes.def"
};
