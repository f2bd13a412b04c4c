/* SPDX-License-Identifier: MIT
 *
 * Instructions that belong together: what a recompiler may emit as one, and functions.
 */
#include "analysis/progen_private.h"

#include "base/err.h"

#include <string.h>

static struct pvm_insn three(uint8_t op, unsigned d, unsigned a, unsigned b)
{
    return (struct pvm_insn){
        .op = op, .a = (uint8_t)a, .b = (uint8_t)b, .d = (uint8_t)d};
}

static struct pvm_insn with_imm(uint8_t op, unsigned a, unsigned b, int64_t x)
{
    return (struct pvm_insn){.op = op, .a = (uint8_t)a, .b = (uint8_t)b, .x = x};
}

enum { IDIOM_MAX = 6 };

/* Different ones, mostly all but two of them; or any of the first `few` of the pool. */
static void pick_registers(struct progen *p, unsigned *r, unsigned count, unsigned few)
{
    unsigned from[PROGEN_POOL];
    for (unsigned k = 0; k < PROGEN_POOL; k++)
        from[k] = p->pool[k];
    for (unsigned k = 0; k < count; k++) {
        unsigned other = k + (unsigned)below(p, PROGEN_POOL - k);
        r[k] = from[other];
        from[other] = from[k];
    }
    if (chance(p, 60))
        r[below(p, count)] = r[below(p, count)];
    for (unsigned k = chance(p, 20) ? 0 : count; k < count; k++)
        r[k] = pick_pool(p, few);
}

/* Something that nearly is what the list was. */
static void perturb(struct progen *p, struct pvm_insn *insn, uint32_t count)
{
    uint32_t at = (uint32_t)below(p, count);
    struct pvm_insn moved = insn[at];
    switch (below(p, 5)) {
    case 0:
        insn[at].a = (uint8_t)pick_pool(p, PROGEN_POOL);
        break;
    case 1:
        insn[at].b = (uint8_t)pick_pool(p, PROGEN_POOL);
        break;
    case 2:
        insn[at].d = (uint8_t)pick_pool(p, PROGEN_POOL);
        break;
    case 3:
        insn[at] = insn[count - 1];
        insn[count - 1] = moved;
        break;
    default:
        insn[at] = analysis_progen_insn(p, 0);
    }
}

/* Somebody who reads or writes a result: a recompiler asks who else sees it.  Some read
 * the register that others of their format only write. */
static uint32_t append_end(struct progen *p, const struct pvm_insn *insn, uint32_t pc)
{
    bool has_d = pvm_op_info[insn->op].format == PVM_FORMAT_D_A_B;
    uint8_t result = has_d ? insn->d : insn->a;
    static const uint8_t readers[] = {PVM_OP_cmov_iz,       PVM_OP_cmov_nz,
                                      PVM_OP_cmov_iz_imm,   PVM_OP_cmov_nz_imm,
                                      PVM_OP_store_ind_u64, PVM_OP_store_ind_u32};
    struct pvm_insn end = analysis_progen_insn(p, pc);
    if (chance(p, 40)) {
        end.op = readers[below(p, countof(readers))];
        end.x = (int64_t)below(p, 16);
        end.b = (uint8_t)(chance(p, 50) ? PROGEN_REG_SP : end.b);
    }
    end.a = end.d = result;
    if (chance(p, 30)) {
        end.a = insn->a;
        end.b = result;
    }
    uint32_t size = analysis_progen_append(p, &end, pc);
    struct pvm_insn kill = with_imm(PVM_OP_load_imm, result, 0, 5);
    return size + (chance(p, 50) ? analysis_progen_append(p, &kill, pc + size) : 0);
}

/* Some lists are not quite what they should be, some have an instruction more, or one
 * that has to do with a result. */
static uint32_t append_all(struct progen *p, const struct pvm_insn *insn, uint32_t pc)
{
    struct pvm_insn list[IDIOM_MAX];
    uint32_t size = 0, count = 0;
    while (count < IDIOM_MAX && insn[count].op)
        count++;
    memcpy(list, insn, count * sizeof *list);
    if (chance(p, 15))
        perturb(p, list, count);
    uint32_t more = chance(p, 10) ? (uint32_t)below(p, count) : count;
    uint32_t ends = chance(p, 25) ? (uint32_t)below(p, count) : count;
    for (uint32_t n = 0; n < count; n++) {
        if (n == more) {
            struct pvm_insn between = analysis_progen_insn(p, pc + size);
            size += analysis_progen_append(p, &between, pc + size);
        }
        if (n + 1 == count && ends < n)
            size += append_end(p, &list[ends], pc + size);
        size += analysis_progen_append(p, &list[n], pc + size);
    }
    return size;
}

/* A load or store of a register near sp, or some pages away, or rarely anywhere. */
static struct pvm_insn spill(struct progen *p, unsigned r)
{
    bool loads = chance(p, 50);
    int64_t at = 8 * (int64_t)below(p, 4) - 8;
    uint8_t op = (uint8_t)(loads ? PVM_OP_load_ind_u64 : PVM_OP_store_ind_u64);
    if (chance(p, p->calm ? 8 : 30))
        at += PVM_PAGE_SIZE * ((int64_t)below(p, 5) - 2);
    else if (chance(p, p->calm ? 1 : 5))
        at = (int32_t)analysis_progen_address(p);
    if (chance(p, 20))
        op = (uint8_t)((loads ? PVM_OP_load_ind_u8 : PVM_OP_store_ind_u8) +
                       below(p, loads ? 7 : 4));
    return with_imm(op, r, chance(p, p->calm ? 98 : 90) ? PROGEN_REG_SP : r, at);
}

/* The same where carries are made and used, words are shifted, and results go to the
 * stack. */
static uint32_t append_wide_idiom(struct progen *p, uint32_t pc)
{
    unsigned r[8];
    pick_registers(p, r, countof(r), 5);
    int64_t k = 1 + (int64_t)below(p, 63);
    uint8_t use = chance(p, 70) ? PVM_OP_add_64 : PVM_OP_sub_64;
    static const uint8_t ops[] = {PVM_OP_add_64, PVM_OP_sub_64, PVM_OP_and, PVM_OP_or,
                                  PVM_OP_xor};
    uint8_t op = ops[below(p, countof(ops))];
    struct pvm_insn high = three(PVM_OP_mul_upper_u_u, r[3], r[4], r[5]);
    struct pvm_insn load =
        with_imm(PVM_OP_load_ind_u64, chance(p, 50) ? r[3] : r[1],
                 chance(p, p->calm ? 90 : 70) ? PROGEN_REG_SP : r[0], 0);
    struct pvm_insn between = chance(p, 40)   ? load
                              : chance(p, 30) ? three(PVM_OP_move_reg, r[3], r[4], 0)
                                              : high;
    struct pvm_insn sum = three(PVM_OP_add_64, r[0], r[1], r[2]);
    struct pvm_insn carry =
        three(PVM_OP_set_lt_u, r[6], r[0], chance(p, 50) ? r[1] : r[2]);
    struct pvm_insn added = three(use, r[7], chance(p, 50) ? r[3] : r[7], r[6]);
    struct pvm_insn again = three(PVM_OP_set_lt_u, r[5], r[7], r[3]);
    struct pvm_insn end =
        chance(p, 70) ? with_imm(PVM_OP_load_imm, r[6], 0, 5) : spill(p, r[6]);
    struct pvm_insn idiom[][IDIOM_MAX] = {
        {sum, carry, between, added, end},
        {sum, carry, between, added, end},
        {three(PVM_OP_mul_64, r[0], r[4], r[5]), sum, carry, high, added, end},
        {carry, added, again, three(PVM_OP_add_64, r[4], r[4], r[5]), end},
        {carry, three(PVM_OP_add_64, r[6], r[3], r[6]), between,
         three(PVM_OP_set_lt_u, r[5], r[6], r[3]),
         three(PVM_OP_add_64, r[4], r[4], r[5]), with_imm(PVM_OP_load_imm, r[5], 0, 5)},
        {with_imm(PVM_OP_set_lt_u_imm, r[6], r[0], (int32_t)analysis_progen_value(p)),
         added, end},
        {with_imm(PVM_OP_shlo_l_imm_64, r[0], r[1], k),
         with_imm(PVM_OP_shlo_r_imm_64, r[2], r[3], chance(p, 60) ? 64 - k : k),
         three(PVM_OP_or, r[2], r[0], r[2]), with_imm(PVM_OP_load_imm, r[0], 0, 5)},
        {with_imm(PVM_OP_rot_r_32_imm, r[0], r[1], k),
         with_imm(PVM_OP_rot_r_32_imm, r[2], r[3], k),
         three(PVM_OP_xor, r[4], r[0], chance(p, 60) ? r[2] : r[5])},
        {with_imm(PVM_OP_rot_r_32_imm, r[0], r[1], k),
         with_imm(PVM_OP_rot_r_32_imm, r[2], r[3], k),
         three(PVM_OP_xor, r[2], r[0], r[2]),
         with_imm(PVM_OP_rot_r_32_imm, r[0], r[1], k / 2),
         three(PVM_OP_xor, r[2], r[2], r[0]), spill(p, r[0])},
        {with_imm(PVM_OP_shlo_r_imm_64, r[0], r[1], k),
         with_imm(PVM_OP_shlo_l_imm_64, r[2], r[3], 64 - k),
         three(PVM_OP_or, r[4], r[2], r[0]), spill(p, r[0]), spill(p, r[2])},
        {with_imm(PVM_OP_load_ind_u64, r[0], PROGEN_REG_SP, 0),
         chance(p, 50) ? three(op, r[1], r[1], r[0]) : three(op, r[1], r[0], r[1]),
         chance(p, 50) ? with_imm(PVM_OP_load_imm, r[0], 0, 5) : spill(p, r[0])},
    };
    return append_all(p, idiom[below(p, countof(idiom))], pc);
}

/* A carry that only an access near sp shows, behind others by the same sp, or by one
 * that has moved. */
static uint32_t append_stack_idiom(struct progen *p, uint32_t pc)
{
    const unsigned e = p->pool[3], f = p->pool[2], other = p->pool[4];
    int64_t pages = PVM_PAGE_SIZE * (chance(p, 50) ? 4 : (int64_t)below(p, 9) - 4);
    struct pvm_insn carry = three(PVM_OP_set_lt_u, e, p->pool[0], p->pool[1]);
    struct pvm_insn added = three(PVM_OP_add_64, f, f, e);
    struct pvm_insn end = with_imm(PVM_OP_load_imm, e, 0, 5);
    uint8_t first = chance(p, 50) ? PVM_OP_load_ind_u64 : PVM_OP_store_ind_u64;
    uint8_t last = chance(p, 30) ? PVM_OP_load_ind_u64 : PVM_OP_store_ind_u64;
    struct pvm_insn near = with_imm(first, other, PROGEN_REG_SP, 0);
    struct pvm_insn far =
        with_imm(first, other, PROGEN_REG_SP,
                 chance(p, p->calm ? 30 : 60) ? pages : 8 * (int64_t)below(p, 4));
    struct pvm_insn move = with_imm(PVM_OP_add_imm_64, PROGEN_REG_SP, PROGEN_REG_SP,
                                    chance(p, p->calm ? 5 : 50) ? pages : 8);
    struct pvm_insn seen = with_imm(last, chance(p, 30) ? e : other, PROGEN_REG_SP,
                                    chance(p, 50) ? 0 : far.x / 2);
    struct pvm_insn part = {.op = p->calm || chance(p, 50) ? PVM_OP_fallthrough
                                                           : PVM_OP_jump,
                            .target = pc};
    struct pvm_insn idiom[][IDIOM_MAX] = {
        {near, far, carry, added, seen, end},
        {near, move, carry, added, seen, end},
        {near, part, carry, added, seen, end},
    };
    return append_all(p, idiom[below(p, countof(idiom))], pc);
}

/* Neighbours that a recompiler may emit as one, on few registers, so that now and then
 * they only look so. */
static uint32_t append_pair_idiom(struct progen *p, uint32_t pc)
{
    unsigned r[6];
    pick_registers(p, r, countof(r), 4);
    static const uint8_t ks[] = {0, 1, 2, 3, 4, 32, 48, 56};
    int64_t k = ks[below(p, countof(ks))];
    uint8_t right = chance(p, 50) ? PVM_OP_shlo_r_imm_64 : PVM_OP_shar_r_imm_64;
    uint8_t load = (uint8_t)(PVM_OP_load_ind_u8 + below(p, 7));
    struct pvm_insn idiom[][IDIOM_MAX] = {
        {three(PVM_OP_add_64, r[0], r[1], r[2]),
         three(PVM_OP_set_lt_u, r[3], r[0], chance(p, 50) ? r[1] : r[2]),
         chance(p, 50) ? three(PVM_OP_add_64, r[4], r[3], r[5])
                       : three(PVM_OP_add_64, r[4], r[5], r[3])},
        {three(PVM_OP_mul_64, r[0], r[1], r[2]),
         three(PVM_OP_mul_upper_u_u, r[3], r[1], r[2])},
        {three(PVM_OP_mul_upper_u_u, r[0], r[1], r[2]),
         three(PVM_OP_mul_64, r[3], r[2], r[1])},
        {three(PVM_OP_set_lt_u, r[0], r[1], r[2]),
         three(PVM_OP_sub_64, r[3], r[1], r[2])},
        {with_imm(PVM_OP_shlo_l_imm_64, r[0], r[1], k), with_imm(right, r[0], r[0], k)},
        {with_imm(PVM_OP_load_imm, r[0], 0, (int32_t)analysis_progen_value(p)),
         with_imm(chance(p, 50) ? PVM_OP_add_imm_64 : PVM_OP_add_imm_32, r[0], r[0],
                  (int32_t)analysis_progen_value(p))},
        /* From here on not what calm programs want. */
        {with_imm(PVM_OP_shlo_l_imm_64, r[0], r[1], k),
         chance(p, 50) ? three(PVM_OP_add_64, r[0], r[0], r[2])
                       : three(PVM_OP_add_64, r[0], r[2], r[0]),
         with_imm(load, r[0], r[0], (int64_t)below(p, 32) - 16)},
        {three(PVM_OP_add_64, r[0], r[1], r[2]), with_imm(load, r[0], r[0], 0)},
        /* Calls and returns; mend_calls() gives the table what a call wants. */
        {{.op = PVM_OP_load_imm_jump,
          .x = analysis_progen_table_address(p),
          .target = pc}},
        {{.op = PVM_OP_load_imm_jump_ind,
          .b = (uint8_t)(chance(p, 80) ? r[0] : 0),
          .x = analysis_progen_table_address(p),
          .y = analysis_progen_table_address(p)}},
        {with_imm(PVM_OP_jump_ind, 0, 0,
                  chance(p, 80) ? 0 : analysis_progen_table_address(p))},
        {with_imm(PVM_OP_add_imm_64, 0, 0, chance(p, 50) ? 2 : -2),
         with_imm(PVM_OP_jump_ind, 0, 0, 0)},
    };
    const bool calm = p->calm && chance(p, 95);
    const unsigned wild_count = 6;
    return append_all(p, idiom[below(p, countof(idiom) - (calm ? wild_count : 0))], pc);
}

uint32_t analysis_progen_idiom(struct progen *p, uint32_t pc)
{
    return chance(p, 40)   ? append_pair_idiom(p, pc)
           : chance(p, 65) ? append_wide_idiom(p, pc)
                           : append_stack_idiom(p, pc);
}

uint32_t analysis_progen_run(struct progen *p, uint32_t pc)
{
    enum { COUNT = 48, FAR = 4 << 20, FAR_PAGES = 16 };
    uint32_t size = 0;
    for (unsigned k = 0; k < COUNT; k++) {
        unsigned r = pick_pool(p, 5);
        struct pvm_insn insn =
            with_imm(chance(p, 50) ? PVM_OP_load_ind_u64 : PVM_OP_store_ind_u64, r,
                     PROGEN_REG_SP, 8 * (int64_t)below(p, 8) - (chance(p, 5) ? 16 : 0));
        if (chance(p, 4))
            insn.x += FAR - (int64_t)below(p, FAR_PAGES * PVM_PAGE_SIZE);
        else if (chance(p, 2))
            insn = spill(p, r);
        else if (chance(p, 5))
            insn = with_imm(PVM_OP_add_imm_64, PROGEN_REG_SP, PROGEN_REG_SP,
                            8 * (int64_t)below(p, 5) - 16);
        else if (chance(p, 20))
            insn = three(PVM_OP_add_64, r, r, p->pool[0]);
        else if (chance(p, 1))
            insn = with_imm(PVM_OP_ecalli, 0, 0, 5);
        size += analysis_progen_append(p, &insn, pc + size);
    }
    return size;
}

/* ---- functions ---- */

enum { NESTED_MAX = 2, BODY_MAX = 3 };

/* What a function does to its return address before it goes there; mostly nothing. */
static uint32_t append_change(struct progen *p, int64_t address, uint32_t pc)
{
    enum { RA = PROGEN_REG_RA };
    static const int8_t steps[] = {-4, -2, -1, 1, 2, 4};
    struct pvm_insn change = {.op = PVM_OP_move_reg, .a = (uint8_t)pick_pool(p, 3)};
    switch (below(p, 12)) {
    case 0:
    case 1:
        change = with_imm(PVM_OP_add_imm_64, RA, RA, steps[below(p, countof(steps))]);
        break;
    case 2:
        change = with_imm(PVM_OP_load_imm, RA, 0, analysis_progen_table_address(p));
        break;
    case 3: /* the upper half does not matter */
        change = with_imm(PVM_OP_load_imm_64, RA, 0,
                          (int64_t)(next(p) << 32 | (uint64_t)address));
        break;
    case 4:
        change = with_imm(PVM_OP_load_imm, RA, 0, (int32_t)PVM_HALT_ADDRESS);
        break;
    case 5:
        break;
    default:
        return 0;
    }
    return analysis_progen_append(p, &change, pc);
}

static struct pvm_insn spill_ra(uint8_t op)
{
    return with_imm(op, PROGEN_REG_RA, PROGEN_REG_SP, 0);
}

static uint32_t append_function(struct progen *p, uint32_t pc, unsigned depth);

/* Some instructions, maybe a call that saves the return address on the stack. */
static uint32_t append_body(struct progen *p, uint32_t pc, unsigned depth)
{
    uint32_t size = 0;
    for (uint64_t n = below(p, BODY_MAX); n; n--) {
        struct pvm_insn insn = analysis_progen_insn(p, pc + size);
        size += analysis_progen_append(p, &insn, pc + size);
    }
    if (depth == NESTED_MAX || !chance(p, 30))
        return size;
    struct pvm_insn save = spill_ra(PVM_OP_store_ind_u64);
    struct pvm_insn restore = spill_ra(PVM_OP_load_ind_u64);
    size += analysis_progen_append(p, &save, pc + size);
    size += append_function(p, pc + size, depth + 1);
    if (chance(p, 80))
        size += analysis_progen_append(p, &restore, pc + size);
    return size;
}

/* The call, by a jump or by the table, to what is not there yet. */
static uint32_t append_call(struct progen *p, int64_t address, uint32_t pc,
                            int64_t *ret_entry)
{
    struct pvm_insn call = {
        .op = PVM_OP_load_imm_jump, .x = address, .pc = pc, .target = pc};
    if (!chance(p, 90))
        call.a = (uint8_t)pick_pool(p, 3);
    *ret_entry = 0;
    if (chance(p, 70))
        return analysis_progen_append(p, &call, pc);
    call.op = PVM_OP_load_imm_jump_ind;
    call.b = (uint8_t)pick_pool(p, 3);
    *ret_entry = analysis_progen_table_address(p);
    struct pvm_insn pointer = with_imm(PVM_OP_load_imm, call.b, 0, *ret_entry);
    uint32_t size = analysis_progen_append(p, &pointer, pc);
    return size + analysis_progen_append(p, &call, pc + size);
}

/* Lead the call that ends at `behind` to `pc`. */
static void lead_call(struct progen *p, uint32_t call, int64_t entry, uint32_t pc)
{
    if (!entry) {
        analysis_progen_aim(p, call, pc);
        p->kept[call / 8] |= (uint8_t)(1u << call % 8);
    } else if (p->entry_count < PROGEN_ENTRY_MAX) {
        p->entry[p->entry_count].index = (uint32_t)(entry / 2 - 1);
        p->entry[p->entry_count++].pc = pc;
    }
}

/* call, some instructions, a jump elsewhere, the function, its return. */
static uint32_t append_function(struct progen *p, uint32_t pc, unsigned depth)
{
    int64_t address = analysis_progen_table_address(p), entry;
    uint32_t size = append_call(p, address, pc, &entry);
    if (!size)
        return 0;
    for (uint64_t n = below(p, BODY_MAX); n; n--) {
        struct pvm_insn insn = analysis_progen_insn(p, pc + size);
        size += analysis_progen_append(p, &insn, pc + size);
    }
    struct pvm_insn away = {.op = PVM_OP_jump, .target = pc};
    uint32_t skip = pc + size;
    size += analysis_progen_append(p, &away, skip);
    uint32_t begin = pc + size;
    size += append_body(p, begin, depth);
    size += append_change(p, address, pc + size);
    struct pvm_insn back = with_imm(PVM_OP_jump_ind, PROGEN_REG_RA, 0,
                                    chance(p, 85) ? 0 : 2 * (int64_t)below(p, 5) - 4);
    size += analysis_progen_append(p, &back, pc + size);
    if (begin == skip)
        return size; /* there was no room for it */
    p->c->code_size = pc + size;
    lead_call(p, pc, entry, begin);
    if (chance(p, 60)) { /* on behind the function */
        analysis_progen_aim(p, skip, pc + size);
        p->kept[skip / 8] |= (uint8_t)(1u << skip % 8);
    }
    return size;
}

uint32_t analysis_progen_function(struct progen *p, uint32_t pc)
{
    return append_function(p, pc, 0);
}
