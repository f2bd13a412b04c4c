/* SPDX-License-Identifier: MIT
 *
 * Emitters of control flow, the gas check, and the ways into and out of the code
 * [10.5-10.7].
 */
#include "pvm/native.h"

#include "base/os_code.h"

#include <stddef.h>

#define EMIT(name)                                                                     \
    static void emit_##name(struct native_compiler *c, const struct native_insn *i)

/* ---- the context: gs:[NATIVE_CONTEXT + offset], no address-size prefix ---- */

#define CONTEXT(member)                                                                \
    (uint32_t)(NATIVE_CONTEXT + (int)offsetof(struct native_context, member))

static void context_op(struct x64 *as, unsigned w, unsigned opcode, unsigned reg,
                       uint32_t at)
{
    x64_u8(as, 0x65);
    x64_rex(as, w, reg, 0, 0);
    x64_u8(as, opcode);
    x64_mem_absolute(as, reg, at);
}

static void context_load(struct x64 *as, unsigned reg, uint32_t at)
{
    context_op(as, W64, 0x8b, reg, at);
}

static void context_store(struct x64 *as, unsigned reg, uint32_t at)
{
    context_op(as, W64, 0x89, reg, at);
}

/* movq xmm, gs:[at] and back. */
static void context_xmm(struct x64 *as, unsigned xmm, bool is_store, uint32_t at)
{
    x64_bytes(as, is_store ? 0xd60f6665 : 0x7e0ff365, 4);
    x64_mem_absolute(as, xmm, at);
}

/* ---- in and out ---- */

static const uint8_t saved[] = {RBX, RBP, R12, R13, R14, R15};
enum { SAVED_COUNT = sizeof saved, PARKED = 3 /* xmm */ };
static const uint8_t guest_reg[PVM_REG_COUNT] = NATIVE_REG;
enum { RA = 0 };

static bool logs(const struct native_unit *unit)
{
    return unit->keeps_path || unit->keeps_hash;
}

/* mov between guest register k and where rdx says they are.  (Not by gs, which a CPU
 * stores by only once a cycle.) */
static void saved_reg(struct x64 *as, unsigned opcode, unsigned k)
{
    x64_op_mem(as, W64, opcode, 1, guest_reg[k], SCRATCH, (int32_t)(8 * k));
}

static void emit_enter(struct native_compiler *c)
{
    struct x64 *as = &c->as;
    for (unsigned k = 0; k < SAVED_COUNT; k++)
        x64_push(as, saved[k]);
    context_store(as, RSP, CONTEXT(host_rsp));
    context_load(as, RSP, CONTEXT(log_rsp));
    if (c->unit->keeps_hash) {
        context_xmm(as, 0, false, CONTEXT(meter));
        context_load(as, ACC, CONTEXT(acc));
    } else if (c->unit->keeps_path) {
        context_xmm(as, 0, false, CONTEXT(acc));
        x64_bytes(as, 0xd2760f66, 4);   /* pcmpeqd xmm2, xmm2 */
        x64_bytes(as, 0x3fd2730f66, 5); /* psrlq xmm2, 63: one outcome */
        context_load(as, METER, CONTEXT(meter));
    } else {
        context_load(as, METER, c->unit->based ? CONTEXT(base) : CONTEXT(meter));
    }
    context_load(as, SCRATCH, CONTEXT(regs));
    for (unsigned k = 0; k < PVM_REG_COUNT; k++)
        saved_reg(as, 0x8b, k);
    context_op(as, W32, 0xff, 4, CONTEXT(resume)); /* jmp [resume] */
}

/* What a fault becomes, right in front of what leaves: C knows whether this is what
 * else r15 would be. */
static void emit_faulted(struct native_compiler *c)
{
    context_xmm(&c->as, PARKED, true, CONTEXT(parked));
}

/* In: edx is what to tell. */
static void emit_leave(struct native_compiler *c)
{
    struct x64 *as = &c->as;
    context_store(as, SCRATCH, CONTEXT(exit));
    unsigned count = MUTANT(native_leave_12, PVM_REG_COUNT - 1, PVM_REG_COUNT);
    if (logs(c->unit))
        context_xmm(as, 0, true, c->unit->keeps_path ? CONTEXT(acc) : CONTEXT(meter));
    context_store(as, METER, c->unit->keeps_hash ? CONTEXT(acc) : CONTEXT(meter));
    context_load(as, SCRATCH, CONTEXT(regs));
    for (unsigned k = 0; k < count; k++)
        saved_reg(as, 0x89, k);
    context_store(as, RSP, CONTEXT(log_rsp));
    context_load(as, RSP, CONTEXT(host_rsp));
    for (unsigned k = SAVED_COUNT; k-- > 0;)
        x64_pop(as, saved[k]);
    x64_u8(as, 0xc3);
}

/* cmp reg, gs:[at] */
static void context_compare(struct x64 *as, unsigned reg, uint32_t at)
{
    context_op(as, W64, 0x3b, reg, at);
}

/* Put the outcomes away; in rcx: room for more, whose flags say whether there is any.
 */
static void put_path(struct x64 *as, uint8_t **ret_list_full)
{
    x64_bytes(as, 0xc07e0f4866, 5); /* movq rax, xmm0 */
    context_load(as, RCX, CONTEXT(path));
    x64_bytes(as, 0x018948, 3); /* mov [rcx], rax */
    x64_alu_imm(as, W64, ALU_ADD, RCX, 8);
    context_store(as, RCX, CONTEXT(path));
    x64_bytes(as, 0xc0bd0f48, 4); /* bsr rax, rax: their number */
    x64_bytes(as, 0xc26f0f66, 4); /* movdqa xmm0, xmm2: the sentinel alone */
    context_compare(as, RCX, CONTEXT(path_end));
    *ret_list_full = x64_jcc(as, CC_E);
    context_load(as, RCX, CONTEXT(path_room));
    x64_alu(as, W64, ALU_SUB, RCX, RAX);
    context_store(as, RCX, CONTEXT(path_room));
}

/* A routine of the code, called by the stub of a gas check of a unit that keeps a path:
 * the gas does not suffice, or it is time to put the outcomes away.  If only the
 * latter, do so and return.  Then the meter has been lowered, but with page gas, where
 * the entry tries again.  In: edx is what to tell C otherwise. */
static void emit_flush(struct native_compiler *c)
{
    struct x64 *as = &c->as;
    uint8_t *out[4];
    x64_push(as, RAX);
    x64_push(as, RCX);
    x64_mov(as, RAX, METER);
    x64_shift_imm(as, W64, 5, RAX, METER_PATH_SHIFT);
    x64_alu_imm(as, W32, ALU_CMP, RAX, c->unit->pages_cost ? 0 : 127);
    out[0] = x64_jcc(as, CC_NE);
    put_path(as, &out[1]);
    out[2] = x64_jcc(as, CC_E);
    context_load(as, RAX, CONTEXT(path_slice)); /* blocks: that, or the room */
    x64_alu(as, W64, ALU_CMP, RCX, RAX);
    x64_bytes(as, 0xc1420f48, 4); /* cmovb rax, rcx */
    x64_mov(as, RCX, METER);
    x64_shift_imm(as, W64, 4, RCX, 64 - METER_PATH_SHIFT);
    x64_shift_imm(as, W64, 5, RCX, 64 - METER_PATH_SHIFT + METER_GAS_SHIFT);
    context_compare(as, RCX, CONTEXT(path_low));
    uint8_t *rich = x64_jcc_short(as, CC_AE);
    x64_load_imm(as, RAX, 1);
    context_compare(as, RAX, CONTEXT(path_more));
    out[3] = x64_jcc(as, CC_E);
    x64_patch_short(rich, as->at);
    x64_shift_imm(as, W64, 4, RAX, METER_PATH_SHIFT);
    x64_alu(as, W64, ALU_ADD, METER, RAX);
    x64_pop(as, RCX);
    x64_pop(as, RAX);
    x64_u8(as, 0xc3);
    for (unsigned k = 0; k < 4; k++)
        x64_patch(out[k], as->at);
    x64_pop(as, RCX);
    x64_pop(as, RAX);
    x64_lea(as, W64, RSP, RSP, 8);
    x64_patch(x64_jmp(as), c->unit->code + c->unit->leave);
}

/* op [table + rdx * 8]: ff /4 jumps, ff /2 calls. */
static void table_op(struct native_compiler *c, unsigned digit)
{
    x64_bytes(&c->as, 0xd500ff | (uint64_t)x64_modrm(0, digit, 4) << 8, 3);
    x64_u32(&c->as, c->jump_table);
}

/* cmp qword [table + rdx * 8], 0 */
static void table_test(struct native_compiler *c)
{
    x64_bytes(&c->as, 0xd53c8348, 4);
    x64_u32(&c->as, c->jump_table);
    x64_u8(&c->as, 0);
}

/* Where returns go that the stack did not know.  In: edx is what to tell C if the jump
 * must be interpreted, ra where to. */
static void emit_returns(struct native_compiler *c)
{
    struct x64 *as = &c->as;
    c->unit->underflow = (uint32_t)(as->at - c->unit->code);
    x64_lea(as, W64, RSP, RSP, -8); /* our own address remains at the bottom */
    c->unit->strayed = (uint32_t)(as->at - c->unit->code);
    x64_bytes(as, 0x6e0f66 | (uint64_t)x64_modrm(3, 1, SCRATCH) << 24, 4); /* movd */
    x64_mov32(as, SCRATCH, guest_reg[RA]);
    x64_shift_imm(as, W32, 1, SCRATCH, 1);
    x64_alu_imm(as, W32, ALU_SUB, SCRATCH, MUTANT(native_return_index, 2, 1));
    x64_alu_imm(as, W32, ALU_CMP, SCRATCH, (int32_t)c->program->code->jump_count);
    uint8_t *past = x64_jcc_short(as, CC_AE);
    table_test(c);
    uint8_t *hole = x64_jcc_short(as, CC_E);
    table_op(c, 4);
    x64_patch_short(past, as->at);
    x64_patch_short(hole, as->at);
    x64_bytes(as, 0x7e0f66 | (uint64_t)x64_modrm(3, 1, SCRATCH) << 24, 4);
    x64_patch(x64_jmp(as), c->unit->code + c->unit->leave);
}

void pvm_native_frame(struct native_compiler *c)
{
    c->unit->enter = (uint32_t)(c->as.at - c->unit->code);
    emit_enter(c);
    c->unit->faulted = (uint32_t)(c->as.at - c->unit->code);
    emit_faulted(c);
    c->unit->leave = (uint32_t)(c->as.at - c->unit->code);
    emit_leave(c);
    c->unit->flush = (uint32_t)(c->as.at - c->unit->code);
    if (c->unit->keeps_path)
        emit_flush(c);
    if (c->unit->pairs)
        emit_returns(c);
}

/* ---- the stack in a register ---- */

/* movq between xmm3 and r15. */
static void parked_move(struct x64 *as, unsigned opcode)
{
    x64_bytes(as, 0x0f4966 | (uint64_t)opcode << 24, 4);
    x64_u8(as, x64_modrm(3, PARKED, STACK));
}

void pvm_native_park(struct native_compiler *c)
{
    parked_move(&c->as, 0x6e);
}

void pvm_native_unpark(struct native_compiler *c)
{
    parked_move(&c->as, 0x7e);
}

void pvm_native_point(struct native_compiler *c)
{
    x64_mov32(&c->as, STACK, SP);
    context_op(&c->as, W64, 0x03, STACK, CONTEXT(base)); /* add */
}

/* ---- asking ---- */

static void add_stub(struct native_compiler *c, uint8_t *jump, enum native_exit exit,
                     uint32_t index)
{
    c->stub[c->stub_count++] = (struct native_stub){
        (uint32_t)(jump - c->unit->code), (uint32_t)exit << EXIT_SHIFT | index};
}

void pvm_native_ask_if(struct native_compiler *c, const struct native_insn *i,
                       unsigned cond)
{
    uint32_t site = native_site_number(c, native_site(c, i, 0));
    add_stub(c, x64_jcc(&c->as, cond), EXIT_STEP, site);
}

static void leave_with(struct native_compiler *c, enum native_exit exit, uint32_t index)
{
    x64_load_imm(&c->as, SCRATCH, (uint32_t)exit << EXIT_SHIFT | index);
    x64_patch(x64_jmp(&c->as), c->unit->code + c->unit->leave);
}

/* Leave with what makes C look at `site`. */
static void leave_at(struct native_compiler *c, enum native_exit exit,
                     struct native_site *site)
{
    leave_with(c, exit, native_site_number(c, site));
    native_sites_end(c, site);
}

/* Somebody else acts: behind `i` nothing is known of the stack. */
static void forget_stack(struct native_compiler *c, const struct native_insn *i)
{
    c->readable = c->writable = NATIVE_NOWHERE;
    c->noted = i + 1;
}

void pvm_native_ask(struct native_compiler *c, const struct native_insn *i)
{
    forget_stack(c, i);
    pvm_native_stack_leave(c);
    leave_at(c, EXIT_STEP, native_site(c, i, 0));
}

static void call(struct native_compiler *c, const struct native_insn *i)
{
    pvm_native_stack_leave(c);
    struct native_site *site = native_site(c, i, 0);
    forget_stack(c, i); /* the host may unmap */
    site->op = i->op;
    site->call = c->unit->call_count++;
    c->unit->call[site->call] = (struct native_call){
        .block = c->block,
        .x = (int32_t)MUTANT(native_ecalli_16, (uint16_t)i->x, i->x),
        .left = c->visits ? (uint32_t)c->visits - native_index(c, i) : 0,
        .size = i->size,
        .ends = pvm_op_terminates(c->program->config.profile, i->op),
    };
    leave_at(c, EXIT_CALL, site);
}

EMIT(ecalli)
{
    call(c, i);
}

EMIT(ecall)
{
    call(c, i);
}

void pvm_native_flow_to(struct native_compiler *c, uint32_t pc)
{
    struct native_site *site = native_site_add(c, pc, c->before, 0);
    site->pc = pc;
    leave_with(c, EXIT_GOTO, native_site_number(c, site));
}

/* ---- the gas check ---- */

/* op reg, [the current block's cost]: the tables are below 2 GiB. */
static void cost_op(struct native_compiler *c, unsigned w, unsigned opcode,
                    unsigned reg, unsigned offset)
{
    const void *cost = native_cost(c->unit, c->block);
    x64_rex(&c->as, w, reg, 0, 0);
    x64_u8(&c->as, opcode);
    x64_mem_absolute(&c->as, reg, (uint32_t)(uintptr_t)cost + offset);
}

/* psubq xmmN, [cost]. */
static void meter_lower(struct native_compiler *c, unsigned xmm, unsigned offset)
{
    x64_bytes(&c->as, 0xfb0f66, 3);
    x64_mem_absolute(&c->as, xmm,
                     (uint32_t)(uintptr_t)native_cost(c->unit, c->block) + offset);
}

/* Jump out if xmmN has become negative. */
static void meter_test(struct native_compiler *c, unsigned xmm)
{
    struct x64 *as = &c->as; /* movmskpd edx, xmm; test dl, 1 */
    x64_bytes(as, 0x500f66 | (uint64_t)x64_modrm(3, SCRATCH, xmm) << 24, 4);
    x64_bytes(as, 0x01c2f6, 3);
    add_stub(c, x64_jcc(as, CC_NE), EXIT_GAS, c->block);
}

static void check_hashed(struct native_compiler *c)
{
    if (c->unit->pages_cost) {
        x64_bytes(&c->as, 0xc86f0f66, 4); /* movdqa xmm1, xmm0 */
        meter_lower(c, 1, 16);
        meter_test(c, 1);
        meter_lower(c, 0, 0);
    } else {
        meter_lower(c, 0, 0);
        meter_test(c, 0);
    }
    x64_shift_imm(&c->as, W64, 0, ACC, 5);
    cost_op(c, W64, 0x33, ACC, 8);
    x64_rex(&c->as, W64, ACC, 0, 0);
    x64_bytes(&c->as, 0xaf0f, 2);
    x64_mem_absolute(&c->as, ACC, (uint32_t)(uintptr_t)c->unit->hash_factor);
}

/* Of a unit that keeps a path: unit->flush returns behind the check, or, where it has
 * lowered nothing yet, to it. */
static void check_path(struct native_compiler *c)
{
    struct x64 *as = &c->as;
    bool pages = c->unit->pages_cost;
    cost_op(c, W64, pages ? 0x3b : 0x2b, METER, pages ? 16 : 0); /* cmp, or sub */
    add_stub(c, x64_jcc(as, CC_B), EXIT_GAS, c->block);
    if (pages)
        cost_op(c, W64, 0x2b, METER, 0);
}

/* Patch the jumps that have been waiting for a place in the code. */
static void land(struct native_compiler *c, uint32_t jump, uint32_t place)
{
    while (jump) {
        uint8_t *at = c->unit->code + jump;
        memcpy(&jump, at, 4);
        x64_patch(at, c->unit->code + place);
    }
}

void pvm_native_check(struct native_compiler *c)
{
    struct native_block *block = &c->unit->block[c->block];
    uint32_t jump = block->label;
    block->label = (uint32_t)(c->as.at - c->unit->code);
    if (c->unit->options.unmetered) {
        /* nothing */
    } else if (c->unit->keeps_path) {
        check_path(c);
    } else if (c->unit->keeps_hash) {
        check_hashed(c);
    } else if (c->unit->plain_meter) {
        x64_rr(&c->as, W64, c->check_size == 1 ? 0x83 : 0x81, ALU_SUB, METER);
        c->check_cost = c->as.at;
        c->as.at += c->check_size;
        add_stub(c, x64_jcc(&c->as, MUTANT(native_gas_plain, CC_E, CC_B)), EXIT_GAS,
                 c->block);
    } else if (c->unit->pages_cost) {
        cost_op(c, W64, 0x3b, METER, 8); /* cmp */
        add_stub(c, x64_jcc(&c->as, MUTANT(native_gas_pages, CC_E, CC_B)), EXIT_GAS,
                 c->block);
        cost_op(c, W64, 0x2b, METER, MUTANT(native_reserve_debited, 8, 0)); /* sub */
    } else {
        cost_op(c, W64, 0x2b, METER, 0);
        add_stub(c, x64_jcc(&c->as, MUTANT(native_gas_packed, CC_E, CC_B)), EXIT_GAS,
                 c->block);
    }
    block->entry = (uint32_t)(c->as.at - c->unit->code);
    land(c, jump, MUTANT(native_forward_free, block->entry, block->label));
}

/* ---- jumps ---- */

static bool valid_target(const struct native_compiler *c, int64_t target)
{
    return target >= 0 && target <= UINT32_MAX &&
           MUTANT(native_target_marked,
                  pvm_code_marked(c->program->code, (uint32_t)target),
                  pvm_program_block_start(c->program, (uint32_t)target));
}

/* Aim a displacement at a block: now, or when its code is there. */
static void aim(struct native_compiler *c, uint8_t *jump, uint32_t pc)
{
    uint32_t number = native_block_at(c->program, pc);
    struct native_block *block = &c->unit->block[number];
    if (number <= c->block) {
        x64_patch(jump,
                  c->unit->code + MUTANT(native_back_free, block->entry, block->label));
        return;
    }
    memcpy(jump, &block->label, 4);
    block->label = (uint32_t)(jump - c->unit->code);
}

/* A jump that is taken with nothing left to do for this instruction. */
static void jump_to(struct native_compiler *c, int64_t target)
{
    aim(c, x64_jmp(&c->as), (uint32_t)target);
}

EMIT(jump)
{
    if (valid_target(c, i->target))
        jump_to(c, i->target);
    else
        pvm_native_ask(c, i);
}

/* Does the instruction put the address of the block behind it into ra? */
static bool is_call(const struct native_compiler *c, const struct native_insn *i)
{
    const struct pvm_code *code = c->program->code;
    uint32_t x = (uint32_t)i->x, next = i->pc + i->size;
    return c->unit->pairs && i->a == guest_reg[RA] && x && x % 2 == 0 &&
           x / 2 - 1 < code->jump_count && pvm_code_jump(code, x / 2 - 1) == next &&
           pvm_program_block_start(c->program, next) &&
           native_block_at(c->program, next) == c->block + 1;
}

/* Where a call comes back to: is it the block behind, which follows here, that ra
 * means?  In: edx is what a return leaves. */
static void behind_call(struct native_compiler *c, const struct native_insn *i)
{
    x64_alu_imm(&c->as, W32, ALU_CMP, i->a, (int32_t)i->x);
    x64_patch(x64_jcc(&c->as, MUTANT(native_return_any, CC_B, CC_NE)),
              c->unit->code + c->unit->strayed);
}

EMIT(load_imm_jump)
{
    if (!valid_target(c, i->target)) {
        pvm_native_ask(c, i);
        return;
    }
    x64_load_imm(&c->as, i->a,
                 MUTANT(native_jump_imm_32, (uint32_t)i->x, (uint64_t)i->x));
    if (!is_call(c, i)) {
        jump_to(c, i->target);
        return;
    }
    struct native_site *site = native_site(c, i, 0);
    aim(c, x64_call(&c->as), (uint32_t)i->target);
    behind_call(c, i);
    native_sites_end(c, site);
}

EMIT(fallthrough)
{
    (void)c, (void)i;
}

/* Shift in "taken", which is 0 here (recomp_run.c turns the bits over).  There is room,
 * since the gas check of each block sees to that. */
static void path_taken(struct native_compiler *c)
{
    x64_bytes(&c->as, 0xc0d40f66, 4); /* paddq xmm0, xmm0 */
}

/* In front of the comparison of a branch whose path is kept, so that the way that is
 * taken has nothing else to do. */
static void guess_taken(struct native_compiler *c, const struct native_insn *i)
{
    if (c->unit->keeps_path && valid_target(c, i->target))
        path_taken(c);
}

/* Behind the comparison. */
static void branch(struct native_compiler *c, const struct native_insn *i,
                   unsigned cond)
{
    struct x64 *as = &c->as;
    bool valid = valid_target(c, i->target);
    struct native_site *site = c->site;
    if (valid)
        aim(c, x64_jcc(as, cond), (uint32_t)i->target);
    else
        pvm_native_ask_if(c, i, MUTANT(native_invalid_untaken, cond ^ 1, cond));
    if (c->unit->keeps_path) {
        if (!valid)
            path_taken(c);
        x64_bytes(as, 0xc2eb0f66, 4); /* por xmm0, xmm2: not taken, after all */
    }
    if (!valid)
        native_sites_end(c, site);
}

static void branch_imm(struct native_compiler *c, const struct native_insn *i,
                       unsigned cond)
{
    guess_taken(c, i);
    if (MUTANT(native_branch_test, true, i->x == 0) && (cond == CC_E || cond == CC_NE))
        x64_test(&c->as, W64, i->a, i->a);
    else
        x64_alu_imm(&c->as, W64, ALU_CMP, i->a, (int32_t)i->x);
    branch(c, i, cond);
}

static void branch_reg(struct native_compiler *c, const struct native_insn *i,
                       unsigned cond)
{
    guess_taken(c, i);
    x64_alu(&c->as, W64, ALU_CMP, i->a, i->b);
    branch(c, i, cond);
}

#define BRANCH(shape, name, cond)                                                      \
    EMIT(name)                                                                         \
    {                                                                                  \
        branch_##shape(c, i, cond);                                                    \
    }
#define BRANCHES                                                                       \
    BRANCH(imm, branch_eq_imm, CC_E)                                                   \
    BRANCH(imm, branch_ne_imm, CC_NE)                                                  \
    BRANCH(imm, branch_lt_u_imm, CC_B)                                                 \
    BRANCH(imm, branch_le_u_imm, CC_BE)                                                \
    BRANCH(imm, branch_ge_u_imm, CC_AE)                                                \
    BRANCH(imm, branch_gt_u_imm, CC_A)                                                 \
    BRANCH(imm, branch_lt_s_imm, CC_L)                                                 \
    BRANCH(imm, branch_le_s_imm, CC_LE)                                                \
    BRANCH(imm, branch_ge_s_imm, CC_GE)                                                \
    BRANCH(imm, branch_gt_s_imm, CC_G)                                                 \
    BRANCH(reg, branch_eq, CC_E)                                                       \
    BRANCH(reg, branch_ne, CC_NE)                                                      \
    BRANCH(reg, branch_lt_u, CC_B)                                                     \
    BRANCH(reg, branch_lt_s, CC_L)                                                     \
    BRANCH(reg, branch_ge_u, CC_AE)                                                    \
    BRANCH(reg, branch_ge_s, CC_GE)
BRANCHES
#undef BRANCH

/* ---- table jumps ---- */

/* edx = ror32(base + x, 1). */
static void turn_address(struct native_compiler *c, unsigned base, int32_t x)
{
    if (!x && (c->features & OS_CPU_BMI2)) {
        x64_rorx(&c->as, W32, SCRATCH, base, MUTANT(native_jump_odd_x, 0, 1));
        return;
    }
    x64_lea(&c->as, W32, SCRATCH, base, x);
    x64_shift_imm(&c->as, W32, MUTANT(native_jump_odd, 5, 1), SCRATCH, 1);
}

/* In: edx is the address, turned.  The index is ror32(address, 1) - 1, which is past
 * any table for 0 and odd addresses; entries that are no block start, and whatever else
 * is wrong, have been pointed at code that asks. */
static void jump_table(struct native_compiler *c, const struct native_insn *i,
                       bool loads)
{
    struct x64 *as = &c->as;
    struct native_site *site = c->site;
    x64_alu_imm(as, W32, ALU_SUB, SCRATCH, MUTANT(native_jump_index, 2, 1));
    x64_alu_imm(as, W32, ALU_CMP, SCRATCH, (int32_t)c->program->code->jump_count);
    pvm_native_ask_if(c, i, MUTANT(native_jump_bound, CC_A, CC_AE));
    if (MUTANT(native_jump_holes, false, c->unit->table_has_holes)) {
        table_test(c);
        pvm_native_ask_if(c, i, CC_E);
    }
    if (c->unit->keeps_path) { /* is there room in the list? */
        context_op(as, W64, 0x3b, RSP, CONTEXT(log_end));
        pvm_native_ask_if(c, i, CC_BE);
        x64_push(as, SCRATCH);
    }
    if (loads)
        x64_load_imm(as, i->a, (uint64_t)i->x);
    if (loads && i->a != i->b && is_call(c, i)) {
        (void)native_site(c, i, 0);
        table_op(c, 2);
        behind_call(c, i);
    } else {
        table_op(c, 4);
    }
    native_sites_end(c, site);
}

EMIT(jump_ind)
{
    if (c->unit->pairs && i->a == guest_reg[RA] &&
        MUTANT(native_return_x, true, i->x == 0)) {
        struct native_site *site = native_site(c, i, 0);
        x64_load_imm(&c->as, SCRATCH,
                     (uint32_t)EXIT_STEP << EXIT_SHIFT | native_site_number(c, site));
        x64_u8(&c->as, 0xc3); /* ret */
        native_sites_end(c, site);
        return;
    }
    turn_address(c, i->a, (int32_t)i->x);
    jump_table(c, i, false);
}

EMIT(load_imm_jump_ind)
{
    turn_address(c, MUTANT(native_jump_ind_a, i->a, i->b), (int32_t)i->y);
    jump_table(c, i, true);
}

void pvm_native_control_emitters(native_emit_fn *emitter[256])
{
#define OP(name) emitter[PVM_OP_##name] = emit_##name;
#define BRANCH(shape, name, cond) OP(name)
    BRANCHES
    OP(jump)
    OP(load_imm_jump)
    OP(jump_ind)
    OP(load_imm_jump_ind)
#undef BRANCH
#undef OP
    emitter[PVM_OP_ecalli] = emit_ecalli;
    emitter[PVM_OP_ecall] = emit_ecall;
    emitter[PVM_OP_fallthrough] = emit_fallthrough;
    emitter[PVM_OP_unlikely] = emit_fallthrough;
}
