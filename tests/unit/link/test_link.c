/* SPDX-License-Identifier: MIT
 *
 * The shape of what the linker makes: entry, blocks, symbols, layout, formats
 * (guest-toolchain.md 4.1, 5, 7, 8, 11.4).
 */
#include "tests/test.h"

#include "tests/unit/link/world.h"

#include <string.h>

enum {
    REL_64 = 2,
    REL_BRANCH = 16,
    REL_CALL_PLT = 19,
    REL_HI20 = 26,
    REL_LO12_I = 27,
    A0 = 7,
    RV_LD = 0x3003,
};

/* One object in the making, with a code section. */
struct sample {
    struct object object;
    uint32_t text;
};

static void sample_init(struct sample *s)
{
    object_init(&s->object);
    s->text = object_section(&s->object, ".text", SHT_PROGBITS, SHF_A | SHF_X, 4);
}

static uint32_t here(struct sample *s, const char *name, unsigned bind)
{
    return object_symbol(&s->object, name, bind, STT_FUNC, s->text,
                         s->object.section[s->text].content.size, 4);
}

static void word(struct sample *s, uint32_t bits)
{
    object_u32(&s->object, s->text, bits);
}

/* lui and addi of a symbol into a0. */
static void address_of(struct sample *s, uint32_t symbol)
{
    uint64_t at = s->object.section[s->text].content.size;
    word(s, RV_LUI | 10 << 7);
    word(s, rv_i(RV_ADDI, 10, 10, 0));
    object_reloc(&s->object, s->text, at, REL_HI20, symbol, 0);
    object_reloc(&s->object, s->text, at + 4, REL_LO12_I, symbol, 0);
}

static void call(struct sample *s, uint32_t symbol, unsigned link_register)
{
    uint64_t at = s->object.section[s->text].content.size;
    word(s, RV_AUIPC | 6 << 7);
    word(s, rv_i(RV_JALR, link_register, 6, 0));
    object_reloc(&s->object, s->text, at, REL_CALL_PLT, symbol, 0);
}

static void code_is(const struct world *world, const uint8_t *code, size_t size)
{
    assert_int_equal(world->result.code.code.size, size);
    assert_memory_equal(world->result.code.code.data, code, size);
}

static uint64_t run_at(struct world *world, const struct pvm_state *start, uint32_t pc,
                       enum pvm_exit want)
{
    struct pvm_state state = *start;
    state.pc = pc;
    struct pvm_outcome outcome = world_run(world, &state);
    assert_int_equal(outcome.exit, want);
    return state.reg[A0];
}

/* ---- entry ---- */

static void test_dispatch_row(void **state)
{
    (void)state;
    struct world world;
    struct sample s;
    world_init(&world);
    sample_init(&s);
    object_export(&s.object, here(&s, "f", STB_GLOBAL), 2);
    word(&s, RV_RET);
    object_export(&s.object, here(&s, "g", STB_LOCAL), 0);
    word(&s, RV_EBREAK);
    world_add(&world, "x.o", &s.object);
    world_link_ok(&world);
    static const uint8_t code[] = {40, 17, 0, 0, 0, /* 0: jump g */
                                   0,  0,  0, 0, 0, /* 1: traps */
                                   40, 5,  0, 0, 0, /* 2: jump f */
                                   50, 0,           /* f: jump_ind ra */
                                   0};              /* g: trap */
    code_is(&world, code, sizeof code);
    assert_int_equal(world.result.code.jump_count, 0);
    assert_int_equal(world.result.code.jump_width, 0);
    assert_int_equal(world.result.entry_count, 2);
    assert_string_equal(world.result.entry_list[0].name, "g");
    assert_int_equal(world.result.entry_list[0].pc, 0);
    assert_string_equal(world.result.entry_list[1].name, "f");
    assert_int_equal(world.result.entry_list[1].pc, 10);
    world_fini(&world);
}

static void test_named_export(void **state)
{
    (void)state;
    static const struct link_export list[] = {{"g", -1}, {"f", 5}, {"f", -1}};
    struct world world;
    struct sample s;
    world_init(&world);
    sample_init(&s);
    object_export(&s.object, here(&s, "f", STB_GLOBAL), 0);
    word(&s, RV_RET);
    here(&s, "g", STB_GLOBAL);
    word(&s, RV_EBREAK);
    world.options.export_list = list;
    world.options.export_count = 3;
    world_add(&world, "x.o", &s.object);
    world_link_ok(&world);
    assert_int_equal(world.result.entry_count, 3);
    assert_string_equal(world.result.entry_list[1].name, "g");
    assert_int_equal(world.result.entry_list[1].number, 1);
    assert_string_equal(world.result.entry_list[2].name, "f");
    assert_int_equal(world.result.entry_list[2].pc, 25);
    world_fini(&world);
}

/* JAVM enters through a stub that answers with ecalli 0. */
static void test_stubs(void **state)
{
    (void)state;
    struct world world;
    struct sample s;
    world_init(&world);
    world.options.profile = PVM_PROFILE_JAVM;
    sample_init(&s);
    object_export(&s.object, here(&s, "f", STB_GLOBAL), 0);
    word(&s, rv_i(RV_ADDI, 10, 10, 5));
    word(&s, 0x0000202b); /* unlikely */
    word(&s, RV_RET);
    object_export(&s.object, here(&s, "g", STB_GLOBAL), 1);
    word(&s, rv_i(RV_ADDI, 14, 0, 77));
    word(&s, 0x0000102b); /* ecall, number in a4 */
    world_add(&world, "x.o", &s.object);
    world_link_ok(&world);
    assert_int_equal(world.result.code.jump_count, 2);
    struct pvm_state start;
    world_load(&world, &start);
    struct pvm_state run = start;
    run.reg[A0] = 100;
    struct pvm_outcome outcome = world_run(&world, &run);
    assert_int_equal(outcome.exit, PVM_EXIT_HOST_CALL);
    assert_int_equal(outcome.arg, 0);
    assert_int_equal(run.reg[A0], 105);
    run = start;
    run.pc = 5;
    outcome = world_run(&world, &run);
    assert_int_equal(outcome.exit, PVM_EXIT_ECALL);
    assert_int_equal(outcome.arg, 77);
    world_fini(&world);
}

/* ---- blocks ---- */

static void test_blocks(void **state)
{
    (void)state;
    struct world world;
    struct sample s;
    world_init(&world);
    sample_init(&s);
    object_export(&s.object, here(&s, "f", STB_GLOBAL), 0);
    word(&s, rv_i(RV_ADDI, 10, 10, 1));
    word(&s, rv_i(RV_ADDI, 10, 10, 2)); /* the loop starts here */
    word(&s, rv_b(0x1063, 10, 11, -4)); /* bne */
    word(&s, 0x0000202b);               /* unlikely: nothing in VECTORS */
    word(&s, rv_i(RV_ADDI, 10, 10, 3));
    world_add(&world, "x.o", &s.object);
    world_link_ok(&world);
    static const uint8_t code[] = {40,  5,    0,    0, 0, /* jump f */
                                   149, 0x77, 1,          /* a0 += 1 */
                                   1,                     /* fallthrough */
                                   149, 0x77, 2,          /* a0 += 2 */
                                   171, 0x87, 0xfd,       /* bne a0, a1, -3 */
                                   149, 0x77, 3,          /* a0 += 3 */
                                   0};                    /* the end is closed */
    code_is(&world, code, sizeof code);
    world_fini(&world);
}

/* An entry that lowers to nothing keeps a place of its own. */
static void test_entries_are_apart(void **state)
{
    (void)state;
    struct world world;
    struct sample s;
    world_init(&world);
    world.options.format = LINK_FORMAT_SPI;
    sample_init(&s);
    uint32_t data = object_section(&s.object, ".data", SHT_PROGBITS, SHF_A | SHF_W, 8);
    uint32_t table = object_symbol(&s.object, "t", STB_LOCAL, STT_OBJECT, data, 0, 24);
    object_export(&s.object, here(&s, "f", STB_GLOBAL), 0);
    address_of(&s, table);
    word(&s, rv_i(RV_LD, 11, 10, 0));
    word(&s, rv_i(RV_JALR, 0, 11, 0));
    for (unsigned i = 0; i < 3; i++) {
        char name[] = {'l', (char)('0' + i), 0};
        object_reloc(&s.object, data, 8 * i, REL_64, here(&s, name, STB_LOCAL), 0);
        object_u64(&s.object, data, 0);
        word(&s, RV_NOP);
    }
    word(&s, rv_i(RV_ADDI, 10, 0, 9));
    word(&s, RV_EBREAK);
    world_add(&world, "x.o", &s.object);
    world_link_ok(&world);
    const struct pvm_code *code = &world.result.code;
    assert_int_equal(code->jump_count, 3);
    for (uint32_t i = 1; i < 3; i++)
        assert_true(pvm_code_jump(code, i - 1) < pvm_code_jump(code, i));
    struct pvm_state start;
    world_load(&world, &start);
    assert_int_equal(run_at(&world, &start, 0, PVM_EXIT_TRAP), 9);
    world_fini(&world);
}

/* Far jumps get longer offsets, near ones none that they do not need. */
static void test_offsets(void **state)
{
    (void)state;
    static const unsigned distance[] = {0, 10, 40, 100, 8000, 9000};
    for (size_t i = 0; i < countof(distance); i++) {
        struct world world;
        struct sample s;
        world_init(&world);
        sample_init(&s);
        object_export(&s.object, here(&s, "f", STB_GLOBAL), 0);
        word(&s, rv_j(0, 4 * (int32_t)distance[i] + 4));
        for (unsigned n = 0; n < distance[i]; n++)
            word(&s, rv_i(RV_ADDI, 10, 10, 100)); /* three bytes... */
        uint64_t branch = object_u32(&s.object, s.text, rv_b(0x63, 10, 11, 0));
        object_reloc(&s.object, s.text, branch, REL_BRANCH, 1, 0);
        word(&s, rv_i(RV_ADDI, 10, 0, 1));
        word(&s, RV_EBREAK);
        world_add(&world, "x.o", &s.object);
        world_link_ok(&world);
        const struct pvm_code *code = &world.result.code;
        uint32_t at = 5;
        struct pvm_insn jump, back;
        assert_true(pvm_insn_decode(code, PVM_PROFILE_VECTORS, 5, &jump));
        while (code->code.data[at] != PVM_OP_branch_eq)
            at += 1 + pvm_code_skip(code, at);
        assert_true(pvm_insn_decode(code, PVM_PROFILE_VECTORS, at, &back));
        assert_int_equal(jump.target, at);
        assert_int_equal(back.target, 5);
        assert_int_equal(jump.size, 1 + pvm_imm_size(jump.target - 5));
        assert_int_equal(back.size, 2 + pvm_imm_size(5 - (int64_t)at));
        world_fini(&world);
    }
}

/* jalr in every shape: the target is read before rd is written. */
static void test_jalr(void **state)
{
    (void)state;
    static const unsigned reg[] = {1, 2, 10, 11};
    for (unsigned n = 0; n < countof(reg) * countof(reg) * 2; n++) {
        unsigned rd = reg[n / 2 % 4], rs = reg[n / 8];
        int32_t imm = n & 1 ? -2 : 0;
        struct world world;
        struct sample s;
        world_init(&world);
        sample_init(&s);
        object_export(&s.object, here(&s, "f", STB_GLOBAL), 0);
        word(&s, rv_i(RV_JALR, rd, rs, imm));
        word(&s, RV_EBREAK);
        uint32_t there = here(&s, "there", STB_LOCAL);
        word(&s, rv_i(RV_ECALLI, 0, 0, 3));
        word(&s, RV_EBREAK);
        object_export(&s.object, here(&s, "g", STB_GLOBAL), 1);
        address_of(&s,
                   there); /* so that it has an address: entry 1, behind the call's */
        world_add(&world, "x.o", &s.object);
        world_link_ok(&world);
        assert_int_equal(world.result.code.jump_count, 2);
        world_prepare(&world);
        struct pvm_state run = {.gas = 1000, .mem = world.mem};
        run.reg[world_phi(rs)] = 4 - (uint64_t)(int64_t)imm;
        struct pvm_outcome outcome = world_run(&world, &run);
        assert_int_equal(outcome.exit, PVM_EXIT_HOST_CALL);
        assert_int_equal(run.reg[world_phi(rd)], 2);
        /* The address in rd leads behind the jalr. */
        run.pc = (uint32_t)pvm_code_jump(&world.result.code, 0);
        run.charged = false;
        assert_int_equal(world_run(&world, &run).exit, PVM_EXIT_TRAP);
        world_fini(&world);
    }
}

/* A tail call leaves ra alone; a call that ends a section returns to a trap. */
static void test_calls(void **state)
{
    (void)state;
    struct world world;
    struct sample s, t;
    world_init(&world);
    sample_init(&s);
    uint32_t out =
        object_symbol(&s.object, "g", STB_GLOBAL, STT_NOTYPE, SHN_UNDEF, 0, 0);
    object_export(&s.object, here(&s, "tail", STB_GLOBAL), 0);
    call(&s, out, 0);
    object_export(&s.object, here(&s, "last", STB_GLOBAL), 1);
    call(&s, out, 1);
    world_add(&world, "s.o", &s.object);
    sample_init(&t);
    here(&t, "g", STB_GLOBAL);
    word(&t, rv_i(RV_ADDI, 10, 10, 1));
    word(&t, RV_RET);
    world_add(&world, "t.o", &t.object);
    world_link_ok(&world);
    assert_int_equal(world.result.code.jump_count, 1);
    struct pvm_state start;
    world_load(&world, &start);
    start.reg[A0] = 6;
    assert_int_equal(run_at(&world, &start, 0, PVM_EXIT_HALT), 7);
    assert_int_equal(run_at(&world, &start, 5, PVM_EXIT_TRAP), 7);
    world_fini(&world);
}

/* ---- symbols ---- */

/* An object whose function `name` answers `value`. */
static void add_answer(struct world *world, const char *file, const char *name,
                       unsigned bind, int32_t value)
{
    struct sample s;
    sample_init(&s);
    here(&s, name, bind);
    word(&s, rv_i(RV_ADDI, 10, 0, value));
    word(&s, RV_RET);
    world_add(world, file, &s.object);
}

static void add_caller(struct world *world)
{
    struct sample s;
    sample_init(&s);
    uint32_t g = object_symbol(&s.object, "g", STB_GLOBAL, STT_NOTYPE, SHN_UNDEF, 0, 0);
    object_export(&s.object, here(&s, "f", STB_GLOBAL), 0);
    call(&s, g, 0);
    world_add(world, "f.o", &s.object);
}

static void test_weak(void **state)
{
    (void)state;
    struct world world;
    struct pvm_state start;
    world_init(&world);
    add_answer(&world, "w.o", "g", STB_WEAK, 1);
    add_caller(&world);
    add_answer(&world, "s.o", "g", STB_GLOBAL, 2);
    world_link_ok(&world);
    world_load(&world, &start);
    assert_int_equal(run_at(&world, &start, 0, PVM_EXIT_HALT), 2);
    world_fini(&world);

    world_init(&world);
    add_caller(&world);
    add_answer(&world, "w1.o", "g", STB_WEAK, 3);
    add_answer(&world, "w2.o", "g", STB_WEAK, 4);
    world_link_ok(&world);
    world_load(&world, &start);
    assert_int_equal(run_at(&world, &start, 0, PVM_EXIT_HALT), 3);
    world_fini(&world);
}

/* Two copies of a COMDAT group with a strong symbol: the first stays. */
static void add_comdat(struct world *world, const char *file, int32_t value)
{
    struct sample s;
    object_init(&s.object);
    uint32_t group = object_section(&s.object, ".group", SHT_GROUP, 0, 4);
    s.text =
        object_section(&s.object, ".text.g", SHT_PROGBITS, SHF_A | SHF_X | 0x200, 4);
    object_u32(&s.object, group, 1);
    object_u32(&s.object, group, s.text);
    s.object.section[group].info = here(&s, "g", STB_GLOBAL);
    word(&s, rv_i(RV_ADDI, 10, 0, value));
    word(&s, RV_RET);
    world_add(world, file, &s.object);
}

static void test_comdat(void **state)
{
    (void)state;
    struct world world;
    struct pvm_state start;
    world_init(&world);
    add_caller(&world);
    add_comdat(&world, "a.o", 11);
    add_comdat(&world, "b.o", 12);
    world_link_ok(&world);
    world_load(&world, &start);
    assert_int_equal(run_at(&world, &start, 0, PVM_EXIT_HALT), 11);
    world_fini(&world);
}

/* Common symbols: the largest size and alignment; a definition wins. */
static void test_common(void **state)
{
    (void)state;
    struct world world;
    struct sample s, t;
    struct pvm_state start;
    world_init(&world);
    world.options.format = LINK_FORMAT_SPI;
    sample_init(&s);
    uint32_t c =
        object_symbol(&s.object, "c", STB_GLOBAL, STT_OBJECT, SHN_COMMON, 8, 8);
    uint32_t d =
        object_symbol(&s.object, "d", STB_GLOBAL, STT_OBJECT, SHN_COMMON, 8, 8);
    object_export(&s.object, here(&s, "f", STB_GLOBAL), 0);
    address_of(&s, c);
    word(&s, RV_RET);
    object_export(&s.object, here(&s, "g", STB_GLOBAL), 1);
    address_of(&s, d);
    word(&s, rv_i(RV_LD, 10, 10, 0));
    word(&s, RV_RET);
    object_symbol(&s.object, "unused", STB_GLOBAL, STT_OBJECT, SHN_COMMON, 8, 1 << 20);
    world_add(&world, "s.o", &s.object);
    sample_init(&t);
    object_symbol(&t.object, "c", STB_GLOBAL, STT_OBJECT, SHN_COMMON, 64, 40);
    uint32_t data = object_section(&t.object, ".data", SHT_PROGBITS, SHF_A | SHF_W, 8);
    object_symbol(&t.object, "d", STB_GLOBAL, STT_OBJECT, data, 0, 8);
    object_u64(&t.object, data, 4711);
    world_add(&world, "t.o", &t.object);
    world.options.map = true;
    world_link_ok(&world);
    world_load(&world, &start);
    assert_int_equal(run_at(&world, &start, 0, PVM_EXIT_HALT), 0x20040);
    assert_int_equal(run_at(&world, &start, 5, PVM_EXIT_HALT), 4711);
    assert_non_null(strstr((const char *)world.result.map.data,
                           "common 0x00020040     40 s.o c\n"));
    assert_null(strstr((const char *)world.result.map.data, "unused"));
    world_fini(&world);
}

/* What no export reaches is dropped, undefined references and all; --keep keeps. */
static void test_keep(void **state)
{
    (void)state;
    static const char *const keep[] = {"dead"};
    struct world world;
    for (unsigned kept = 0; kept < 2; kept++) {
        struct sample s;
        world_init(&world);
        sample_init(&s);
        object_export(&s.object, here(&s, "f", STB_GLOBAL), 0);
        word(&s, RV_RET);
        uint32_t text = s.text;
        s.text =
            object_section(&s.object, ".text.dead", SHT_PROGBITS, SHF_A | SHF_X, 4);
        here(&s, "dead", STB_GLOBAL);
        call(&s, object_symbol(&s.object, "nowhere", STB_GLOBAL, 0, SHN_UNDEF, 0, 0),
             1);
        s.text = text;
        world_add(&world, "x.o", &s.object);
        world.options.keep_list = keep;
        world.options.keep_count = kept;
        world_link(&world);
        assert_int_equal(world.err, kept ? ERR_link_symbol : ERR_ok);
        if (!kept)
            assert_int_equal(world.result.code.code.size, 7);
        world_fini(&world);
    }
}

/* An undefined weak symbol is 0; its sections' addresses are where the format says. */
static void test_own_symbols(void **state)
{
    (void)state;
    static const char *const name[] = {"__pvm_heap_start", "__pvm_heap_end",
                                       "__pvm_stack_low", "__pvm_stack_high"};
    static const uint64_t spi[] = {0x20000, 0x23000, 0xfefde000, 0xfefe0000};
    static const uint64_t polkavm[] = {0x20000, 0x23000, 0xfffde000, 0xfffe0000};
    for (unsigned format = 0; format < 2; format++) {
        struct world world;
        struct sample s;
        struct pvm_state start;
        world_init(&world);
        world.options.format = format ? LINK_FORMAT_POLKAVM : LINK_FORMAT_SPI;
        world.options.heap_size = 0x2001;
        world.options.stack_size = 0x1001;
        sample_init(&s);
        for (unsigned i = 0; i < countof(name); i++) {
            uint32_t symbol =
                object_symbol(&s.object, name[i], STB_GLOBAL, 0, SHN_UNDEF, 0, 0);
            char export[] = {'f', (char)('0' + i), 0};
            object_export(&s.object, here(&s, export, STB_GLOBAL), i);
            address_of(&s, symbol);
            word(&s, RV_RET);
        }
        world_add(&world, "x.o", &s.object);
        world_link_ok(&world);
        world_load(&world, &start);
        for (unsigned i = 0; i < countof(name); i++)
            assert_int_equal(run_at(&world, &start, 5 * i, PVM_EXIT_HALT),
                             (format ? polkavm : spi)[i]);
        assert_int_equal(start.reg[1], spi[3] + (format ? 0x1000000 : 0));
        assert_true(pvm_mem_accessible(world.mem, 0x20000, 0x3000, PVM_ACCESS_RW));
        assert_false(pvm_mem_accessible(world.mem, 0x23000, 1, PVM_ACCESS_R));
        world_fini(&world);
    }
}

/* ---- formats ---- */

static void add_features(struct world *world)
{
    world_add_file(world, "corpus/link/data.o", "data.o");
    world_add_file(world, "corpus/link/values.o", "values.o");
}

/* Header fields of a standard program; a zero tail is not stored. */
static void test_spi(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world.options.format = LINK_FORMAT_SPI;
    world.options.heap_size = 0;
    add_features(&world);
    world_link_ok(&world);
    const uint8_t *at = world.result.output.data;
    static const uint8_t head[] = {16, 0, 0, 76, 0, 0, 0, 0, 0, 0, 1};
    assert_memory_equal(at, head, sizeof head);
    struct pvm_container c;
    assert_int_equal(pvm_container_load(&world.arena, PVM_CONTAINER_SPI,
                                        PVM_PROFILE_VECTORS, world.result.output,
                                        bytes_of("", 0), &c),
                     ERR_ok);
    assert_int_equal(c.code.code.size, world.result.code.code.size);
    assert_memory_equal(c.code.code.data, world.result.code.code.data,
                        c.code.code.size);
    world_fini(&world);
}

/* All formats carry the same instructions; exports and imports by name. */
static void test_polkavm(void **state)
{
    (void)state;
    struct world world;
    struct sample s;
    world_init(&world);
    world.options.format = LINK_FORMAT_POLKAVM;
    sample_init(&s);
    object_export(&s.object, here(&s, "f", STB_GLOBAL), 0);
    for (unsigned op = 0; op < 11; op++) { /* opcodes that have other numbers there */
        static const uint32_t unary[] = {0x60001013, 0x60101013, 0x60201013, 0x6000101b,
                                         0x6010101b, 0x6020101b, 0x60401013, 0x60501013,
                                         0x0800403b, 0x6b805013, 0x00000013};
        word(&s, rv_r(unary[op], 11, 10, 0));
    }
    word(&s, rv_i(RV_ECALLI, 0, 0, 2));
    word(&s, RV_RET);
    world_add(&world, "x.o", &s.object);
    world_link_ok(&world);
    struct pvm_container c;
    assert_int_equal(pvm_container_load(&world.arena, PVM_CONTAINER_POLKAVM,
                                        PVM_PROFILE_VECTORS, world.result.output,
                                        bytes_of("", 0), &c),
                     ERR_ok);
    assert_int_equal(c.code.code.size, world.result.code.code.size);
    assert_memory_equal(c.code.code.data, world.result.code.code.data,
                        c.code.code.size);
    assert_int_equal(c.export_count, 1);
    assert_int_equal(c.export_list[0].pc, 0);
    assert_int_equal(c.export_list[0].name.size, 1);
    assert_int_equal(c.import_count, 3);
    assert_memory_equal(c.import_list[2].data, "ecalli_2", 8);
    world_fini(&world);
}

static void test_map(void **state)
{
    (void)state;
    struct world world;
    struct sample s;
    world_init(&world);
    world.options.format = LINK_FORMAT_SPI;
    world.options.map = true;
    sample_init(&s);
    uint32_t data = object_section(&s.object, ".rodata", SHT_PROGBITS, SHF_A, 8);
    object_u64(&s.object, data, 1);
    uint32_t d = object_symbol(&s.object, "d", STB_LOCAL, STT_OBJECT, data, 0, 8);
    object_export(&s.object, here(&s, "f", STB_GLOBAL), 1);
    word(&s, RV_NOP);
    uint32_t g = here(&s, "g", STB_LOCAL);
    call(&s, g, 1);
    address_of(&s, d);
    world_add(&world, "x.o", &s.object);
    world_link_ok(&world);
    assert_string_equal((const char *)world.result.map.data,
                        "code 0x00000000     21\n"
                        "export  1 0x00000005 f\n"
                        "function 0x0000000a      0 f x.o .text\n"
                        "function 0x0000000a      3 g x.o .text\n"
                        "rodata 0x00010000      8 x.o .rodata\n"
                        "heap 0x00030000  65536\n"
                        "stack 0xfefd0000  65536\n"
                        "entry 0x00000002 0x0000000d\n");
    world_fini(&world);
}

/* One slot of the GOT per symbol and addend, whoever asks. */
static void test_got(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world.options.format = LINK_FORMAT_SPI;
    world.options.map = true;
    world_add_file(&world, "corpus/link/got.o", "got.o");
    world_add_file(&world, "corpus/link/values.o", "values.o");
    world_link_ok(&world);
    assert_non_null(
        strstr((const char *)world.result.map.data, "\ngot 0x00010000     32\n"));
    world_fini(&world);
}

/* ---- determinism ---- */

static struct bytes link_named(struct world *world, const char *name,
                               enum link_format format, bool everything)
{
    world_init(world);
    world->options.format = format;
    world->options.json = everything && format == LINK_FORMAT_RAW;
    world->options.map = everything;
    world_add_file(world, "corpus/link/data.o", name);
    world_add_file(world, "corpus/link/values.o", name);
    world_link_ok(world);
    return world->result.output;
}

/* Names of inputs and what else is asked for do not change the program. */
static void test_determinism(void **state)
{
    (void)state;
    static const enum link_format format[] = {LINK_FORMAT_RAW, LINK_FORMAT_SPI,
                                              LINK_FORMAT_POLKAVM};
    for (size_t i = 0; i < countof(format); i++) {
        struct world a, b;
        bool raw = format[i] == LINK_FORMAT_RAW;
        struct bytes x = link_named(&a, "a.o", format[i], raw);
        struct bytes y = link_named(&b, "some/where/else.o", format[i], true);
        assert_int_equal(x.size, y.size);
        assert_memory_equal(x.data, y.data, x.size);
        world_fini(&a);
        world_fini(&b);
    }
}

/* Whatever the arena allows: a clean ERR_nomem, or the whole result. */
static void test_memory(void **state)
{
    (void)state;
    struct world world;
    link_named(&world, "a.o", LINK_FORMAT_SPI, true);
    bool done = false;
    for (size_t size = 0; !done; size += size / 40 + 16) {
        struct arena arena;
        struct link_problems problems;
        struct link_result result;
        arena_init(&arena, size);
        enum err err = link_objects(&arena, world.input, world.input_count,
                                    &world.options, &problems, &result);
        if (err == ERR_ok) {
            assert_int_equal(result.output.size, world.result.output.size);
            assert_memory_equal(result.output.data, world.result.output.data,
                                result.output.size);
            done = true;
        } else {
            assert_int_equal(err, ERR_nomem);
        }
        arena_fini(&arena);
        assert_true(size < (size_t)1 << 30);
    }
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dispatch_row),
        cmocka_unit_test(test_named_export),
        cmocka_unit_test(test_stubs),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_entries_are_apart),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_jalr),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_weak),
        cmocka_unit_test(test_comdat),
        cmocka_unit_test(test_common),
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_own_symbols),
        cmocka_unit_test(test_spi),
        cmocka_unit_test(test_polkavm),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_got),
        cmocka_unit_test(test_determinism),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
