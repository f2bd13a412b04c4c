/* SPDX-License-Identifier: MIT
 *
 * Every row of link/rv64.def: all operand patterns (each operand zero, all aliases, sp
 * and ra among them) and boundary values; what the lowered code does in the interpreter
 * against an evaluator of RISC-V (guest-toolchain.md 11.1).
 */
#include "tests/test.h"

#include "tests/unit/link/world.h"

#include <inttypes.h>
#include <string.h>

enum form { R3, CMOV, R2, ORC_B, I, SH5, SH6, LOAD, STORE, BRANCH, LUI, OTHER };
#define AUIPC OTHER
#define JAL OTHER
#define JALR OTHER
#define HOST OTHER
#define NONE OTHER

struct row {
    const char *name;
    uint32_t match;
    enum form form;
};

static const struct row row[] = {
#define RV(name, mask, match, form, op, z1, z2, zz) {#name, match, form},
#include "link/rv64.def"
};

enum { TAKEN_CALL = 5, SP = 2, SNIPPET_MAX = 512 };

/* One instruction under test. */
struct snippet {
    uint32_t word;
    unsigned rd, rs1, rs2;
    int32_t imm;
    uint32_t pc; /* once linked */
};

static const unsigned reg_choice[] = {0, 10, 11, SP, 1};

static const uint64_t value_choice[] = {
    0,
    1,
    2,
    31,
    64,
    UINT64_MAX,
    UINT64_MAX - 1,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0x100000000,
    INT64_MAX,
    (uint64_t)INT64_MIN,
    0x0123456789abcdef,
    0x00ff80010080007f,
};

static size_t imm_choices(enum form form, const int32_t **ret_list)
{
    static const int32_t one[] = {0};
    static const int32_t arithmetic[] = {0, 1, -1, 2, 0x7f, 0x80, 2047, -2048};
    static const int32_t shift6[] = {0, 1, 7, 31, 32, 63};
    static const int32_t shift5[] = {0, 1, 15, 31};
    static const int32_t memory[] = {0, 1, -1, 8, 2047, -2048};
    static const int32_t upper[] = {0, 0x1000, 0x7ffff000, INT32_MIN, -4096};
    *ret_list = one;
    switch (form) {
    case I:
        *ret_list = arithmetic;
        return countof(arithmetic);
    case SH6:
        *ret_list = shift6;
        return countof(shift6);
    case SH5:
        *ret_list = shift5;
        return countof(shift5);
    case LOAD:
    case STORE:
        *ret_list = memory;
        return countof(memory);
    case LUI:
        *ret_list = upper;
        return countof(upper);
    case R3:
    case CMOV:
    case R2:
    case ORC_B:
    case BRANCH:
    case OTHER:
        break;
    }
    return 1;
}

static void encode(const struct row *r, struct snippet *s)
{
    switch (r->form) {
    case R3:
    case CMOV:
        s->word = rv_r(r->match, s->rd, s->rs1, s->rs2);
        return;
    case R2:
    case ORC_B:
        s->word = rv_r(r->match, s->rd, s->rs1, 0);
        return;
    case I:
    case SH5:
    case SH6:
    case LOAD:
        s->word = rv_i(r->match, s->rd, s->rs1, s->imm);
        return;
    case STORE:
        s->word = rv_s(r->match, s->rs2, s->rs1, s->imm);
        return;
    case BRANCH:
        s->word = rv_b(r->match, s->rs1, s->rs2, 8);
        return;
    case LUI:
        s->word = r->match | s->rd << 7 | (uint32_t)s->imm;
        return;
    case OTHER:
        break;
    }
    fail();
}

/* All patterns of operands that the row has. */
static size_t snippets(const struct row *r, struct snippet *list)
{
    bool rd = r->form != STORE && r->form != BRANCH, rs1 = r->form != LUI;
    bool rs2 =
        r->form == R3 || r->form == CMOV || r->form == STORE || r->form == BRANCH;
    const int32_t *imm;
    size_t imm_count = imm_choices(r->form, &imm), count = 0, n = countof(reg_choice);
    for (size_t i = 0; i < imm_count; i++) {
        for (size_t d = 0; d < (rd ? n : 1); d++) {
            for (size_t a = 0; a < (rs1 ? n : 1); a++) {
                for (size_t b = 0; b < (rs2 ? n : 1); b++) {
                    struct snippet s = {.rd = reg_choice[d],
                                        .rs1 = reg_choice[a],
                                        .rs2 = reg_choice[b],
                                        .imm = imm[i]};
                    encode(r, &s);
                    assert_true(count < SNIPPET_MAX);
                    list[count++] = s;
                }
            }
        }
    }
    return count;
}

/* Each snippet ends with a trap; a branch has a second way, which calls the host. */
static void link_snippets(struct world *world, const struct row *r,
                          struct snippet *list, size_t count)
{
    struct object object;
    object_init(&object);
    uint32_t text = object_section(&object, ".text.f", SHT_PROGBITS, SHF_A | SHF_X, 4);
    uint32_t f = object_symbol(&object, "f", STB_GLOBAL, STT_FUNC, text, 0, 0);
    object_export(&object, f, 0);
    for (size_t i = 0; i < count; i++) {
        object_u32(&object, text, list[i].word);
        object_u32(&object, text, RV_EBREAK);
        if (r->form != BRANCH)
            continue;
        object_u32(&object, text, rv_i(RV_ECALLI, 0, 0, TAKEN_CALL));
        object_u32(&object, text, RV_EBREAK);
    }
    world_add(world, "rows.o", &object);
    world_link_ok(world);
    world_prepare(world);
    const struct pvm_code *code = &world->result.code;
    uint32_t pc = 5; /* behind the dispatch row */
    for (size_t i = 0; i < count; i++) {
        list[i].pc = pc;
        for (unsigned traps = r->form == BRANCH ? 2 : 1; traps; traps--) {
            while (code->code.data[pc] != PVM_OP_trap)
                pc += 1 + pvm_code_skip(code, pc);
            pc++;
        }
    }
    assert_int_equal(pc, code->code.size);
}

/* ---- one run ---- */

struct run {
    struct world *world;
    const struct row *row;
    const struct snippet *snippet;
    uint64_t seed;
    bool memory; /* the row reads or writes memory, or needs a spare register */
};

static bool uses_spare(const struct run *run)
{
    return run->snippet->rd == 0 ? run->row->form == LOAD : run->row->form == ORC_B;
}

static void complain(const struct run *run, const char *what, uint64_t want,
                     uint64_t got)
{
    test_reproduce("link_rows", run->seed);
    fail_msg("%s rd=x%u rs1=x%u rs2=x%u imm=%" PRId32 ": %s: want %" PRIx64
             ", got %" PRIx64,
             run->row->name, run->snippet->rd, run->snippet->rs1, run->snippet->rs2,
             run->snippet->imm, what, want, got);
}

static void compare_memory(const struct run *run, const uint64_t before[32],
                           struct rv_memory *want)
{
    static struct rv_memory got;
    world_get_memory(run->world, &got);
    for (uint32_t i = 0; uses_spare(run) && i < 16; i++) {
        uint32_t dead = (uint32_t)before[SP] - 16 + i;
        *rv_byte(want, dead) = *rv_byte(&got, dead);
    }
    const uint8_t *w = (const uint8_t *)want, *g = (const uint8_t *)&got;
    for (size_t i = 0; i < sizeof got; i++) {
        if (w[i] != g[i])
            complain(run, "memory", w[i], g[i]);
    }
}

static void run_once(const struct run *run, uint64_t x[32])
{
    static struct rv_memory memory;
    uint64_t before[32], seed = run->seed;
    memcpy(before, x, sizeof before);
    for (size_t i = 0; run->memory && i < sizeof memory; i += 8) {
        uint64_t random = test_random(&seed);
        memcpy((uint8_t *)&memory + i, &random, 8);
    }
    struct pvm_state state = {.gas = 1000000, .pc = run->snippet->pc};
    state.mem = run->world->mem;
    if (run->memory)
        world_set_memory(run->world, &memory);
    for (unsigned i = 1; i < 16; i++) {
        if (i != 3 && i != 4)
            state.reg[world_phi(i)] = x[i];
    }
    enum rv_next next = rv_eval(run->snippet->word, x, &memory);
    struct pvm_outcome outcome = world_run(run->world, &state);
    if (next == RV_UNKNOWN)
        complain(run, "the evaluator does not know it", 0, run->snippet->word);
    enum pvm_exit want = next == RV_TAKEN ? PVM_EXIT_HOST_CALL : PVM_EXIT_TRAP;
    if (outcome.exit != want)
        complain(run, "exit", want, outcome.exit);
    for (unsigned i = 1; i < 16; i++) {
        if (i != 3 && i != 4 && state.reg[world_phi(i)] != x[i]) {
            char name[8];
            snprintf(name, sizeof name, "x%u", i);
            complain(run, name, x[i], state.reg[world_phi(i)]);
        }
    }
    if (run->memory)
        compare_memory(run, before, &memory);
}

/* sp is a stack address where the lowered code may need one; at its lowest in one run
 * of two (6.1). */
static void run_values(struct run *run, uint64_t va, uint64_t vb)
{
    const struct snippet *s = run->snippet;
    bool address = run->row->form == LOAD || run->row->form == STORE;
    uint64_t x[32] = {0};
    run->seed++;
    uint64_t seed = run->seed;
    for (unsigned i = 1; i < 16; i++)
        x[i] = test_random(&seed);
    x[SP] = run->seed & 1 ? RV_MIDDLE + 16 : RV_MIDDLE + 0x1800;
    uint64_t stack = x[SP];
    x[s->rs2] = vb;
    x[s->rs1] =
        address ? RV_MIDDLE + 0x1800 + (va & 7) + (va & 0xff) * 0x100000000 : va;
    if (uses_spare(run) && !(address && s->rs1 == SP))
        x[SP] = stack;
    x[0] = 0;
    run_once(run, x);
}

static void test_row(const struct row *r, uint64_t seed)
{
    static struct snippet list[SNIPPET_MAX];
    struct world world;
    world_init(&world);
    size_t count = snippets(r, list), values = countof(value_choice);
    link_snippets(&world, r, list, count);
    for (size_t i = 0; i < count; i++) {
        struct run run = {.world = &world, .row = r, .snippet = &list[i], .seed = seed};
        run.memory = r->form == LOAD || r->form == STORE || r->form == ORC_B;
        bool both = list[i].rs2 && list[i].rs2 != list[i].rs1;
        for (size_t a = 0; a < (list[i].rs1 ? values : 1); a++) {
            for (size_t b = 0; b < (both ? values : 1); b++) {
                if (run.memory && both && (a + b) % 4)
                    continue; /* the value of a store needs no full square */
                run_values(&run, value_choice[a], value_choice[b]);
            }
        }
        seed = run.seed;
    }
    world_fini(&world);
}

static void test_rows(void **state)
{
    (void)state;
    uint64_t seed = test_seed(1);
    for (size_t i = 0; i < countof(row); i++) {
        if (row[i].form != OTHER)
            test_row(&row[i], seed);
    }
}

/* A row must not hide another one: each is decoded as itself (a word of two rows would
 * go to the first). */
static void test_rows_are_apart(void **state)
{
    (void)state;
    static const uint32_t mask[] = {
#define RV(name, mask, match, form, op, z1, z2, zz) mask,
#include "link/rv64.def"
    };
    for (size_t i = 0; i < countof(row); i++) {
        assert_int_equal(row[i].match & ~mask[i], 0);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal((row[i].match ^ row[j].match) & mask[i] & mask[j], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_apart),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
