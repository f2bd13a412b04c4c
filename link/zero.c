/* SPDX-License-Identifier: MIT
 *
 * `zero` operands, and the forms that need a spare register (guest-toolchain.md 6 and
 * 6.1).
 */
#include "link/lower.h"

enum { SP = 1 };

static void put_imm(struct link *link, uint8_t rd, int64_t x)
{
    link_item_put(link, (struct link_item){.op = PVM_OP_load_imm, .a = rd, .x = x});
}

static void put_op_imm(struct link *link, uint8_t op, uint8_t rd, uint8_t rs, int64_t x)
{
    link_item_put(link, (struct link_item){.op = op, .a = rd, .b = rs, .x = x});
}

static void put_op(struct link *link, uint8_t op, uint8_t rd, uint8_t a, uint8_t b)
{
    link_item_put(link, (struct link_item){.op = op, .d = rd, .a = a, .b = b});
}

const struct link_zero *link_zero_of(const struct link_word *word,
                                     const struct link_rv_info *info)
{
    bool second = link_form_operands((enum link_form)info->form) & 4;
    if (!second || word->rs2)
        return &info->z1;
    return word->rs1 ? &info->z2 : &info->zz;
}

/* rd = 0 / o: -1 where o is 0, else 0. */
static void put_div0(struct link *link, uint8_t rd, uint8_t o, bool word_form)
{
    if (word_form) { /* only the low half of o counts */
        put_op_imm(link, PVM_OP_add_imm_32, rd, o, 0);
        o = rd;
    }
    put_op_imm(link, PVM_OP_set_lt_u_imm, rd, o, 1);
    put_op_imm(link, PVM_OP_neg_add_imm_64, rd, rd, 0);
}

/* rd = max or min of o and 0; `keep` is the branch taken when o stays. */
static void put_clamp(struct link *link, uint8_t op, uint8_t keep, uint8_t rd,
                      uint8_t o)
{
    if (rd != o) {
        put_imm(link, rd, 0);
        put_op(link, op, rd, o, rd);
        return;
    }
    /* The fallthrough makes what follows a block start, whatever it is. */
    link_item_put(
        link, (struct link_item){.op = keep, .a = rd, .target = link->item_count + 3});
    put_imm(link, rd, 0);
    link_item_put(link, (struct link_item){.op = PVM_OP_fallthrough});
}

void link_zero_put(struct link *link, const struct link_word *word,
                   const struct link_zero *zero, int64_t x)
{
    uint8_t rd = link_phi(word->rd);
    uint8_t o = link_phi(word->rs1 ? word->rs1 : word->rs2);
    switch ((enum link_zero_kind)zero->kind) {
    case LINK_ZERO_IMM:
        put_imm(link, rd, zero->imm);
        return;
    case LINK_ZERO_SELF:
        put_imm(link, rd, x);
        return;
    case LINK_ZERO_LT_S:
        put_imm(link, rd, 0 < x);
        return;
    case LINK_ZERO_LT_U:
        put_imm(link, rd, x != 0);
        return;
    case LINK_ZERO_COPY:
        if (rd != o)
            link_item_put(link,
                          (struct link_item){.op = PVM_OP_move_reg, .d = rd, .a = o});
        return;
    case LINK_ZERO_OPI:
        put_op_imm(link, zero->op, rd, o, zero->imm);
        return;
    case LINK_ZERO_USE: /* cmov_iz_imm, cmov_nz_imm: o is the condition */
        put_op_imm(link, zero->op, rd, o, 0);
        return;
    case LINK_ZERO_DIV0:
    case LINK_ZERO_DIV0W:
        put_div0(link, rd, o, zero->kind == LINK_ZERO_DIV0W);
        return;
    case LINK_ZERO_CLAMP:
        put_clamp(link, link_rv_info[word->row].op, zero->op, rd, o);
        return;
    case LINK_ZERO_NOTHING:
        return;
    case LINK_ZERO_NA:
    case LINK_ZERO_ALWAYS:
    case LINK_ZERO_NEVER:
        break;
    }
    check(false); /* the actions above are those that compute something */
}

uint8_t link_spare(const struct link *link, const struct link_word *word, unsigned n)
{
    (void)link;
    unsigned named = 1u << SP;
    unsigned operands[] = {word->rd, word->rs1, word->rs2};
    for (unsigned i = 0; i < 3; i++)
        named |= operands[i] ? 1u << link_phi(operands[i]) : 0;
    for (unsigned reg = 0; reg < PVM_REG_COUNT; reg++) {
        if (!(named >> reg & 1) && n-- == 0)
            return (uint8_t)reg;
    }
    check(false); /* a word names at most three registers */
    return 0;
}

/* The ABI has no red zone: memory below sp is dead. */
void link_spare_save(struct link *link, uint8_t reg, unsigned n)
{
    put_op_imm(link, PVM_OP_store_ind_u64, reg, SP, -8 * ((int64_t)n + 1));
}

void link_spare_restore(struct link *link, uint8_t reg, unsigned n)
{
    put_op_imm(link, PVM_OP_load_ind_u64, reg, SP, -8 * ((int64_t)n + 1));
}

/* t = the low seven bits of each byte + 7f, or the byte, or 7f: bit 7 of each byte
 * tells whether the byte was not 0; no carry leaves a byte. */
void link_orc_b_put(struct link *link, const struct link_word *word)
{
    uint8_t rd = link_phi(word->rd), rs = link_phi(word->rs1);
    uint8_t t = link_spare(link, word, 0), u = link_spare(link, word, 1);
    link_spare_save(link, t, 0);
    link_spare_save(link, u, 1);
    link_item_put(link, (struct link_item){
                            .op = PVM_OP_load_imm_64, .a = t, .x = 0x7f7f7f7f7f7f7f7f});
    put_op(link, PVM_OP_and, u, rs, t);
    put_op(link, PVM_OP_add_64, u, u, t);
    put_op(link, PVM_OP_or, u, u, rs);
    put_op(link, PVM_OP_and_inv, u, u, t);
    put_op_imm(link, PVM_OP_shlo_r_imm_64, t, u, 7);
    link_spare_restore(link, u, 1);
    if (rd != SP) {
        put_op_imm(link, PVM_OP_mul_imm_64, rd, t, 255);
        link_spare_restore(link, t, 0);
        return;
    }
    /* The result goes where the save's address is: exchange the two, then load. */
    put_op_imm(link, PVM_OP_mul_imm_64, t, t, 255);
    put_op(link, PVM_OP_xor, SP, SP, t);
    put_op(link, PVM_OP_xor, t, t, SP);
    put_op(link, PVM_OP_xor, SP, SP, t);
    put_op_imm(link, PVM_OP_load_ind_u64, t, t, -8);
}
