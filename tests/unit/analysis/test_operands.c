/* SPDX-License-Identifier: MIT
 *
 * Operands against the interpreter: what an instruction does not read has no influence,
 * what it does not write does not change.
 */
#include "analysis/operands.h"

#include "base/os.h"
#include "tests/test.h"

#include <string.h>

enum { PAGE = 0x10000 };

static struct arena arena;
static struct pvm_engine *engine;
static void *reservation;
static uint64_t seed = 7;

static uint64_t number(void)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return seed >> 33;
}

static uint64_t value(void)
{
    static const uint64_t special[] = {0, 2, 3, 64};
    uint64_t kind = number() % 8;
    return kind < 4 ? special[kind] : number() * number() * number();
}

/* One step from these registers, in a fresh page. */
static struct pvm_state step(const struct pvm_program *program,
                             const uint64_t reg[PVM_REG_COUNT], uint64_t *ret_memory,
                             struct pvm_outcome *ret_outcome)
{
    struct pvm_state state = {.gas = 1000};
    os_discard(reservation, PVM_MEM_RESERVE_SIZE);
    state.mem = pvm_mem_init(reservation);
    assert_int_equal(pvm_mem_map(state.mem, PAGE, PVM_PAGE_SIZE, PVM_ACCESS_RW,
                                 bytes_of("\x81\x92\xa3\xb4\xc5\xd6\xe7\xf8", 8)),
                     0);
    memcpy(state.reg, reg, sizeof state.reg);
    *ret_outcome = (struct pvm_outcome){.exit = PVM_EXIT_HALT};
    (void)pvm_step(engine, program, &state, ret_outcome);
    assert_int_equal(pvm_mem_read(state.mem, PAGE, 8, ret_memory), 0);
    return state;
}

/* From random registers, change one after the other. */
static void try_round(const struct pvm_program *program,
                      const struct analysis_operands *operands, bool page,
                      uint16_t *influence, uint16_t *changed)
{
    uint64_t reg[PVM_REG_COUNT], memory[2];
    struct pvm_outcome outcome[2];
    for (unsigned i = 0; i < PVM_REG_COUNT; i++)
        reg[i] = page ? PAGE : value();
    struct pvm_state a = step(program, reg, &memory[0], &outcome[0]);
    for (unsigned i = 0; i < PVM_REG_COUNT; i++) {
        uint64_t kept = reg[i];
        *changed |= (uint16_t)((a.reg[i] != kept) << i);
        reg[i] = value();
        struct pvm_state b = step(program, reg, &memory[1], &outcome[1]);
        bool differs = memory[0] != memory[1] || a.pc != b.pc ||
                       outcome[0].exit != outcome[1].exit ||
                       outcome[0].arg != outcome[1].arg;
        /* A destination that a condition may keep is a source. */
        bool keeps =
            (operands->written >> i & 1) != 0 && outcome[1].exit != PVM_EXIT_PAGE_FAULT;
        for (unsigned k = 0; k < PVM_REG_COUNT; k++)
            differs |= a.reg[k] != b.reg[k] && (k != i || keeps);
        *influence |= (uint16_t)(differs << i);
        reg[i] = kept;
    }
}

static void check_op(uint8_t op)
{
    uint8_t bytes[PVM_INSN_SIZE_MAX], mask[4] = {1};
    struct pvm_insn insn = {.op = op, .a = 3, .b = 5, .d = 9, .x = 0, .y = 1};
    enum pvm_format format = (enum pvm_format)pvm_op_info[op].format;
    const unsigned flags = pvm_op_info[op].flags;
    if (flags & PVM_OP_DYN)
        insn.y = 0;
    else if (!(flags & (PVM_OP_LOAD | PVM_OP_STORE)))
        insn.x = 3;
    else if (format == PVM_FORMAT_X_Y || format == PVM_FORMAT_A_X)
        insn.x = PAGE; /* the address */
    size_t size = 0;
    for (unsigned x_size = 0; !size && x_size <= 8; x_size += 4)
        for (unsigned y_size = 0; !size && y_size <= 1; y_size++)
            size = pvm_insn_encode(&insn, x_size, y_size, bytes);
    if (!size)
        fail_msg("%s: not encoded", pvm_op_info[op].name);
    /* The table's only entry, for address 2, leads back to the instruction. */
    const struct pvm_code code = {.code = bytes_of(bytes, size),
                                  .bitmask = mask,
                                  .jump = mask + 3,
                                  .jump_count = 1,
                                  .jump_width = 1};
    const struct pvm_config config = pvm_config_default(PVM_PROFILE_JAVM);
    struct pvm_program *program;
    assert_int_equal(
        pvm_program_create(&arena, &code, &config, PVM_GAS_LOG_NONE, &program), 0);
    assert_true(pvm_insn_decode(&code, PVM_PROFILE_JAVM, 0, &insn));
    struct analysis_operands operands = analysis_insn_operands(&insn);
    uint16_t influence = 0, changed = 0;
    for (unsigned round = 0; round < 48; round++)
        try_round(program, &operands, round % 4 == 0, &influence, &changed);
    if (influence != operands.read || changed != operands.written)
        fail_msg("%s: read 0x%x, has influence 0x%x; written 0x%x, changes 0x%x",
                 pvm_op_info[op].name, operands.read, influence, operands.written,
                 changed);
}

static void all_ops(void **unused)
{
    (void)unused;
    arena_init(&arena, (size_t)1 << 30);
    assert_int_equal(pvm_engine_create(&arena, &engine), 0);
    assert_int_equal(os_reserve(PVM_MEM_RESERVE_SIZE, &reservation), 0);
    for (unsigned op = 0; op < 256; op++) {
        if (pvm_op_info[op].name)
            check_op((uint8_t)op);
    }
    os_release(reservation, PVM_MEM_RESERVE_SIZE);
    arena_fini(&arena);
}

static void last_writer(void **unused)
{
    (void)unused;
    static const char text[] = "load_imm a0, 1\n"          /* 0 */
                               "load_imm a1, 2\n"          /* 3 */
                               "add_64 a0, a0, a1\n"       /* 6 */
                               "cmov_iz a2, a0, a1\n"      /* 9 */
                               "store_u8 a1, [0x10000]\n"; /* 12 */
    struct buf blob;
    struct pvm_code code;
    struct pvm_asm_error problem;
    uint32_t pc = 77;
    buf_init(&blob, 4096);
    assert_int_equal(pvm_asm(bytes_of(text, sizeof text - 1), &blob, &problem), 0);
    assert_int_equal(pvm_code_parse(buf_bytes(&blob), &code), 0);
    const enum pvm_profile profile = PVM_PROFILE_VECTORS;
    assert_false(analysis_last_writer(&code, profile, 0, 12, 0, &pc));
    assert_int_equal(pc, 77);
    assert_true(analysis_last_writer(&code, profile, 0, 9, 7, &pc));
    assert_int_equal(pc, 6);
    assert_true(analysis_last_writer(&code, profile, 0, 6, 7, &pc));
    assert_int_equal(pc, 0);
    assert_true(analysis_last_writer(&code, profile, 0, 12, 8, &pc));
    assert_int_equal(pc, 3);
    assert_false(analysis_last_writer(&code, profile, 6, 12, 8, &pc));
    buf_fini(&blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_ops),
                                       cmocka_unit_test(last_writer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
