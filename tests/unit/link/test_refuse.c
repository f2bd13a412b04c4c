/* SPDX-License-Identifier: MIT
 *
 * What the linker refuses, and in which words (guest-toolchain.md chapter 10, 11.5).
 */
#include "tests/test.h"

#include "tests/unit/link/world.h"

#include <string.h>

enum { /* relocations of the psABI, by number: no table of the linker */
       REL_32 = 1,
       REL_64 = 2,
       REL_BRANCH = 16,
       REL_JAL = 17,
       REL_CALL_PLT = 19,
       REL_PCREL_LO12_I = 24,
       REL_HI20 = 26,
       REL_LO12_I = 27,
       REL_TPREL_HI20 = 29,
       REL_RVC_JUMP = 45,
       REL_SET8 = 54,
};

/* An object with a function `f`, export 0, in .text.f, still without code. */
struct sample {
    struct world world;
    struct object object;
    uint32_t text, f;
};

static void sample_init(struct sample *s)
{
    world_init(&s->world);
    object_init(&s->object);
    s->text = object_section(&s->object, ".text.f", SHT_PROGBITS, SHF_A | SHF_X, 4);
    s->f = object_symbol(&s->object, "f", STB_GLOBAL, STT_FUNC, s->text, 0, 0);
    object_export(&s->object, s->f, 0);
}

static void word(struct sample *s, uint32_t bits)
{
    object_u32(&s->object, s->text, bits);
}

static void check_lines(struct world *world, enum err err, const char *const *line)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->problems.count && line[i]; i++)
        assert_string_equal(world->problems.list[i].text, line[i]);
    while (line[count])
        count++;
    assert_int_equal(world->problems.count, count);
    assert_int_equal(world->err, err);
}

/* Link the sample as x.o; it must be refused with this line alone. */
static void refused(struct sample *s, enum err err, const char *line)
{
    const char *const lines[] = {line, NULL};
    world_add(&s->world, "x.o", &s->object);
    world_link(&s->world);
    check_lines(&s->world, err, lines);
    world_fini(&s->world);
}

/* ---- files ---- */

static void refused_bytes(const char *name, struct bytes content, const char *line)
{
    struct world world;
    const char *const lines[] = {line, NULL};
    world_init(&world);
    world.input[0] = (struct link_input){.name = name, .content = content};
    world.input_count = 1;
    world_link(&world);
    world.input_count = 0; /* not ours to free */
    check_lines(&world, ERR_link_elf, lines);
    world_fini(&world);
}

static void test_files(void **state)
{
    (void)state;
    refused_bytes("e.o", bytes_of(NULL, 0),
                  "e.o: not an ELF object; give what clang-19 -c writes");
    refused_bytes("t.c", bytes_of("int x;", 6),
                  "t.c: not an ELF object; give what clang-19 -c writes");
    refused_bytes("l.a", bytes_of("!<arch>\nxxxx", 12),
                  "l.a: archive; join its objects with ld.lld-19 -r");
    refused_bytes("l.a", bytes_of("!<thin>\nxxxx", 12),
                  "l.a: archive; join its objects with ld.lld-19 -r");
    refused_bytes("b.o", bytes_of("BC\xc0\xde", 4),
                  "b.o: LLVM bitcode; compile without -flto");
    refused_bytes("b.o", bytes_of("\xde\xc0\x17\x0b", 4),
                  "b.o: LLVM bitcode; compile without -flto");
}

/* Change bytes of a good object before it is linked. */
static void refused_patch(size_t at, uint8_t value, enum err err, const char *line)
{
    struct sample s;
    const char *const lines[] = {line, NULL};
    sample_init(&s);
    word(&s, RV_RET);
    world_add(&s.world, "x.o", &s.object);
    s.world.file[0].data[at] = value;
    world_link(&s.world);
    check_lines(&s.world, err, lines);
    world_fini(&s.world);
}

static void test_headers(void **state)
{
    (void)state;
    refused_patch(16, 2, ERR_link_elf,
                  "x.o: executable (ET_EXEC); link the objects themselves");
    refused_patch(16, 3, ERR_link_elf,
                  "x.o: shared object (ET_DYN); link the objects themselves");
    refused_patch(
        16, 4, ERR_link_elf,
        "x.o: not a relocatable object (ET_REL); give what clang-19 -c writes");
    refused_patch(4, 1, ERR_link_elf,
                  "x.o: not 64-bit little-endian ELF; compile with "
                  "--target=riscv64-unknown-none-elf");
    refused_patch(5, 2, ERR_link_elf,
                  "x.o: not 64-bit little-endian ELF; compile with "
                  "--target=riscv64-unknown-none-elf");
    refused_patch(18, 62, ERR_link_abi,
                  "x.o: machine 62 is not RISC-V; compile with "
                  "--target=riscv64-unknown-none-elf");
}

static void refused_flags(uint32_t flags, const char *first, const char *second)
{
    struct sample s;
    const char *const lines[] = {first, second, NULL};
    sample_init(&s);
    word(&s, RV_RET);
    s.object.e_flags = flags;
    world_add(&s.world, "fd.o", &s.object);
    world_link(&s.world);
    check_lines(&s.world, ERR_link_abi, lines);
    world_fini(&s.world);
}

static void test_abi(void **state)
{
    (void)state;
    const char *compressed = "fd.o: compressed instructions; leave c out of -march";
    refused_flags(4, "fd.o: built for lp64d (e_flags 0x4); compile with -mabi=lp64e",
                  NULL);
    refused_flags(2, "fd.o: built for lp64f (e_flags 0x2); compile with -mabi=lp64e",
                  NULL);
    refused_flags(6, "fd.o: built for lp64q (e_flags 0x6); compile with -mabi=lp64e",
                  NULL);
    refused_flags(0, "fd.o: built for lp64 (e_flags 0x0); compile with -mabi=lp64e",
                  NULL);
    refused_flags(9, compressed, NULL);
    refused_flags(5, "fd.o: built for lp64d (e_flags 0x5); compile with -mabi=lp64e",
                  compressed);
    refused_flags(0x18,
                  "fd.o: built for total store order (e_flags 0x18); "
                  "leave ztso out of -march",
                  NULL);
}

/* ---- sections ---- */

static void refused_section(const char *name, uint32_t type, uint64_t flags,
                            enum err err, const char *line)
{
    struct sample s;
    sample_init(&s);
    word(&s, RV_RET);
    uint32_t section = object_section(&s.object, name, type, flags, 8);
    s.object.section[section].size = 8;
    object_u64(&s.object, section, 0);
    refused(&s, err, line);
}

static void test_sections(void **state)
{
    (void)state;
    const char *tail = "constructors and destructors are not run; call such functions "
                       "yourself";
    char line[160];
    snprintf(line, sizeof line, "x.o: .init_array+0x0: %s", tail);
    refused_section(".init_array", 14, SHF_A | SHF_W, ERR_link_elf, line);
    snprintf(line, sizeof line, "x.o: .ctors.1+0x0: %s", tail);
    refused_section(".ctors.1", SHT_PROGBITS, SHF_A | SHF_W, ERR_link_elf, line);
    refused_section(".both", SHT_PROGBITS, SHF_A | SHF_W | SHF_X, ERR_link_elf,
                    "x.o: .both+0x0: writable code; keep code and data apart");
    refused_section(".tdata", SHT_PROGBITS, SHF_A | SHF_W | 0x400, ERR_link_reloc,
                    "x.o: .tdata+0x0: thread-local storage (SHF_TLS); "
                    "guests have one thread, use static");
    refused_section(".strange", 0x1234, SHF_A, ERR_link_elf,
                    "x.o: .strange+0x0: section type 4660 is not supported; "
                    "leave it out");
}

/* ---- instructions ---- */

static void refused_word(uint32_t bits, const char *line)
{
    struct sample s;
    sample_init(&s);
    word(&s, RV_NOP);
    word(&s, bits);
    word(&s, RV_RET);
    refused(&s, ERR_link_insn, line);
}

static void test_words(void **state)
{
    (void)state;
    refused_word(0x20c5a533, "x.o: .text.f+0x4 (f): 0x20c5a533 is not "
                             "RV64EM_Zbb_XTheadCondMov; check -march");
    refused_word(0, "x.o: .text.f+0x4 (f): 0x00000000 is not "
                    "RV64EM_Zbb_XTheadCondMov; check -march");
    refused_word(0x0000100f, "x.o: .text.f+0x4 (f): 0x0000100f is not "
                             "RV64EM_Zbb_XTheadCondMov; check -march"); /* fence.i */
    refused_word(0x0000302b, "x.o: .text.f+0x4 (f): 0x0000302b is not "
                             "RV64EM_Zbb_XTheadCondMov; check -march");
    refused_word(0x00000073, "x.o: .text.f+0x4 (f): ecall: use pvm_ecalli");
    refused_word(0x0000102b, "x.o: .text.f+0x4 (f): ecall with a number in a register; "
                             "give --profile=javm");
    refused_word(rv_i(RV_ADDI, 17, 10, 0),
                 "x.o: .text.f+0x4 (f): register x17 (a7); compile with -march=rv64em");
    refused_word(rv_i(RV_ADDI, 10, 31, 0),
                 "x.o: .text.f+0x4 (f): register x31 (t6); compile with -march=rv64em");
    refused_word(rv_r(0x33, 10, 11, 3),
                 "x.o: .text.f+0x4 (f): register x3 (gp); leave gp and tp alone");
    refused_word(rv_s(0x23, 4, 2, 0),
                 "x.o: .text.f+0x4 (f): register x4 (tp); leave gp and tp alone");
    refused_word(
        rv_i(RV_JALR, 1, 0, 8),
        "x.o: .text.f+0x4 (f): jalr through zero: code has no fixed addresses; "
        "call a function");
    refused_word(RV_AUIPC | 10 << 7,
                 "x.o: .text.f+0x4 (f): auipc without a relocation; use the flags of "
                 "docs/guest-c.md");
    refused_word(rv_j(0, 64), "x.o: .text.f+0x4 (f): jumps to no instruction of its "
                              "section (+64); use labels and functions");
    refused_word(rv_b(0x63, 10, 11, -8),
                 "x.o: .text.f+0x4 (f): jumps to no instruction of its section (-8); "
                 "use labels and functions");
    refused_word(rv_b(0x63, 10, 11, 2),
                 "x.o: .text.f+0x4 (f): jumps to no instruction of its section (+2); "
                 "use labels and functions");
}

static void test_odd_size(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    word(&s, RV_RET);
    buf_byte(&s.object.section[s.text].content, 1);
    buf_byte(&s.object.section[s.text].content, 0);
    refused(&s, ERR_link_insn,
            "x.o: .text.f+0x6 (f): code size is not a multiple of 4; "
            "leave c out of -march");
}

/* ---- relocations ---- */

/* `bits`, then ret, with a relocation on the first. */
static void refused_reloc(uint32_t bits, uint32_t type, const char *symbol,
                          unsigned bind, uint64_t value, int64_t addend, enum err err,
                          const char *line)
{
    struct sample s;
    sample_init(&s);
    word(&s, bits);
    word(&s, RV_RET);
    uint32_t index = s.f;
    if (symbol)
        index = object_symbol(&s.object, symbol, bind, STT_NOTYPE,
                              value ? SHN_ABS : SHN_UNDEF, value, 0);
    object_reloc(&s.object, s.text, 0, type, index, addend);
    refused(&s, err, line);
}

static void test_relocs(void **state)
{
    (void)state;
    const uint32_t lui = RV_LUI | 10 << 7;
    refused_reloc(lui, REL_TPREL_HI20, "t", STB_GLOBAL, 0, 0, ERR_link_reloc,
                  "x.o: .text.f+0x0 (f): thread-local storage (R_RISCV_TPREL_HI20); "
                  "guests have one thread, use static");
    refused_reloc(
        lui, REL_RVC_JUMP, NULL, 0, 0, 0, ERR_link_reloc,
        "x.o: .text.f+0x0 (f): relocation R_RISCV_RVC_JUMP is not supported in "
        "code; use the flags of docs/guest-c.md");
    refused_reloc(lui, REL_64, NULL, 0, 0, 0, ERR_link_reloc,
                  "x.o: .text.f+0x0 (f): relocation R_RISCV_64 is not supported in "
                  "code; use the flags of docs/guest-c.md");
    refused_reloc(lui, 200, NULL, 0, 0, 0, ERR_link_reloc,
                  "x.o: .text.f+0x0 (f): relocation type 200 is not supported; use the "
                  "flags of docs/guest-c.md");
    refused_reloc(
        lui, REL_LO12_I, NULL, 0, 0, 0, ERR_link_reloc,
        "x.o: .text.f+0x0 (f): relocation R_RISCV_LO12_I on lui; use the flags "
        "of docs/guest-c.md");
    refused_reloc(
        rv_i(RV_ADDI, 10, 10, 0), REL_PCREL_LO12_I, NULL, 0, 0, 0, ERR_link_reloc,
        "x.o: .text.f+0x0 (f): relocation R_RISCV_PCREL_LO12_I does not name an "
        "auipc of this section; use the flags of docs/guest-c.md");
    refused_reloc(lui, REL_HI20, "big", STB_GLOBAL, 0x7ffff800, 0, ERR_link_reloc,
                  "x.o: .text.f+0x0 (f): value 0x7ffff800 of big+0 does not fit "
                  "R_RISCV_HI20; the limit is 0x7ffff7ff");
    refused_reloc(lui, REL_HI20, "big", STB_GLOBAL, 0x80000000, 4, ERR_link_reloc,
                  "x.o: .text.f+0x0 (f): value 0x80000004 of big+4 does not fit "
                  "R_RISCV_HI20; the limit is 0x7ffff7ff");
    refused_reloc(
        RV_AUIPC | 10 << 7, REL_CALL_PLT, NULL, 0, 0, 0, ERR_link_insn,
        "x.o: .text.f+0x0 (f): auipc of a call without its jalr; use the flags "
        "of docs/guest-c.md");
}

static void test_places(void **state)
{
    (void)state;
    refused_reloc(rv_j(0, 0), REL_JAL, NULL, 0, 0, 2, ERR_link_symbol,
                  "x.o: .text.f+0x0 (f): f+2 is inside an instruction; "
                  "code pointers have no tags");
    refused_reloc(rv_j(0, 0), REL_JAL, NULL, 0, 0, 12, ERR_link_symbol,
                  "x.o: .text.f+0x0 (f): f+12 is outside of its section; "
                  "jump to functions and labels only");
    refused_reloc(rv_j(0, 0), REL_JAL, NULL, 0, 0, -4, ERR_link_symbol,
                  "x.o: .text.f+0x0 (f): f-4 is outside of its section; "
                  "jump to functions and labels only");
    refused_reloc(rv_j(0, 0), REL_JAL, "abs", STB_GLOBAL, 64, 0, ERR_link_symbol,
                  "x.o: .text.f+0x0 (f): abs+0 is not code; "
                  "jump to functions and labels only");
    refused_reloc(rv_b(0x63, 10, 0, 0), REL_BRANCH, "weak", STB_WEAK, 0, 0,
                  ERR_link_symbol,
                  "x.o: .text.f+0x0 (f): branch to undefined weak symbol weak; "
                  "test its address first");
    struct sample s;
    sample_init(&s);
    word(&s, RV_AUIPC | 1 << 7);
    word(&s, rv_i(RV_JALR, 1, 1, 0));
    word(&s, rv_j(0, -4));
    object_reloc(&s.object, s.text, 0, REL_CALL_PLT, s.f, 0);
    object_reloc(&s.object, s.text, 8, REL_JAL, s.f, 4);
    refused(&s, ERR_link_symbol,
            "x.o: .text.f+0x8 (f): f+4 is between the two words of a call; "
            "jump to its start");
}

/* Code values in data, and fields of data. */
static void refused_data(uint32_t type, const char *symbol, uint64_t value,
                         int64_t addend, enum err err, const char *line)
{
    struct sample s;
    sample_init(&s);
    word(&s, RV_LUI | 10 << 7);
    word(&s, RV_RET);
    uint32_t data = object_section(&s.object, ".data", SHT_PROGBITS, SHF_A | SHF_W, 8);
    object_u64(&s.object, data, 0);
    object_u64(&s.object, data, 0);
    uint32_t d = object_symbol(&s.object, "d", STB_GLOBAL, STT_OBJECT, data, 0, 16);
    uint32_t index = s.f;
    if (symbol)
        index =
            object_symbol(&s.object, symbol, STB_GLOBAL, STT_NOTYPE, SHN_ABS, value, 0);
    object_reloc(&s.object, s.text, 0, REL_HI20, d, 0);
    object_reloc(&s.object, data, 8, type, index, addend);
    s.world.options.format = LINK_FORMAT_SPI;
    refused(&s, err, line);
}

static void test_data(void **state)
{
    (void)state;
    refused_data(REL_64, NULL, 0, 2, ERR_link_symbol,
                 "x.o: .data+0x8: f+2 is inside an instruction; "
                 "code pointers have no tags");
    refused_data(REL_32, "big", 0x100000000, 0, ERR_link_reloc,
                 "x.o: .data+0x8: value 0x100000000 of big+0 does not fit R_RISCV_32; "
                 "the limit is 0xffffffff");
    refused_data(
        REL_SET8, "v", 1, 0, ERR_link_reloc,
        "x.o: .data+0x8: relocation R_RISCV_SET8 is not supported in data; use "
        "the flags of docs/guest-c.md");
    refused_data(
        REL_CALL_PLT, "v", 1, 0, ERR_link_reloc,
        "x.o: .data+0x8: relocation R_RISCV_CALL_PLT is not supported in data; "
        "use the flags of docs/guest-c.md");
}

/* ---- symbols ---- */

static void refused_call(const char *name, const char *line)
{
    struct sample s;
    sample_init(&s);
    word(&s, RV_NOP);
    word(&s, RV_NOP);
    word(&s, RV_AUIPC | 1 << 7);
    word(&s, rv_i(RV_JALR, 1, 1, 0));
    word(&s, RV_RET);
    uint32_t symbol =
        object_symbol(&s.object, name, STB_GLOBAL, STT_NOTYPE, SHN_UNDEF, 0, 0);
    object_symbol(&s.object, "my_memory", STB_GLOBAL, STT_FUNC, s.text, 0, 0);
    object_reloc(&s.object, s.text, 8, REL_CALL_PLT, symbol, 0);
    refused(&s, ERR_link_symbol, line);
}

static void test_undefined(void **state)
{
    (void)state;
    refused_call("printf", "x.o: .text.f+0x8 (f): undefined symbol printf; "
                           "link the object that defines it");
    refused_call("my_memroy", "x.o: .text.f+0x8 (f): undefined symbol my_memroy; "
                              "did you mean my_memory?");
    refused_call(
        "__mulsf3",
        "x.o: .text.f+0x8 (f): floating point is not supported (calls __mulsf3)");
    refused_call("__floatundidf",
                 "x.o: .text.f+0x8 (f): floating point is not supported "
                 "(calls __floatundidf)");
    refused_call("bad\nname\x80", "x.o: .text.f+0x8 (f): undefined symbol bad?name?; "
                                  "link the object that defines it");
}

static void test_two_strong(void **state)
{
    (void)state;
    struct sample a, b;
    const char *const lines[] = {
        "b.o: symbol f is defined twice, first in a.o; make one static or rename it",
        NULL};
    sample_init(&a);
    sample_init(&b);
    word(&a, RV_RET);
    word(&b, RV_RET);
    world_add(&a.world, "a.o", &a.object);
    world_add(&a.world, "b.o", &b.object);
    world_link(&a.world);
    check_lines(&a.world, ERR_link_symbol, lines);
    world_fini(&a.world);
    world_fini(&b.world);
}

/* ---- exports ---- */

static void test_exports(void **state)
{
    (void)state;
    struct sample s;
    world_init(&s.world);
    object_init(&s.object);
    s.text = object_section(&s.object, ".text", SHT_PROGBITS, SHF_A | SHF_X, 4);
    word(&s, RV_RET);
    refused(&s, ERR_link_export,
            "no export; mark a function with PVM_EXPORT or give --export NAME");

    sample_init(&s);
    word(&s, RV_RET);
    uint32_t g = object_symbol(&s.object, "g", STB_GLOBAL, STT_FUNC, s.text, 0, 0);
    object_export(&s.object, g, 0);
    refused(&s, ERR_link_export,
            "x.o: pvm_exports+0x10: export g has number 0, which f has already; "
            "choose another");

    sample_init(&s);
    word(&s, RV_RET);
    g = object_symbol(&s.object, "g", STB_GLOBAL, STT_FUNC, s.text, 0, 0);
    object_export(&s.object, g, 64);
    refused(&s, ERR_link_export,
            "x.o: pvm_exports+0x10: export g has number 64; the limit is 63");

    sample_init(&s);
    word(&s, RV_RET);
    g = object_symbol(&s.object, "g", STB_GLOBAL, STT_FUNC, SHN_UNDEF, 0, 0);
    object_export(&s.object, g, 1);
    refused(&s, ERR_link_symbol,
            "x.o: pvm_exports+0x10: undefined symbol g; "
            "link the object that defines it");

    sample_init(&s);
    word(&s, RV_RET);
    object_u64(&s.object, s.text + 1, 0);
    refused(&s, ERR_link_export,
            "x.o: pvm_exports+0x18: pvm_exports is not a list of 16-byte records; "
            "use PVM_EXPORT");

    sample_init(&s);
    word(&s, RV_RET);
    object_u64(&s.object, s.text + 1, 0);
    object_u64(&s.object, s.text + 1, 1);
    refused(&s, ERR_link_export,
            "x.o: pvm_exports+0x10: export record without a function; use PVM_EXPORT");

    sample_init(&s);
    word(&s, RV_RET);
    s.object.section[s.text + 1].content.data[12] = 3;
    refused(&s, ERR_link_export,
            "x.o: pvm_exports+0x0: export flags 0x3 are not 0; use PVM_EXPORT");
}

static void test_named_exports(void **state)
{
    (void)state;
    struct sample s;
    static const struct link_export missing = {"bensch", -1}, twice = {"g", 0};
    static const struct link_export data = {"d", 3};
    static const char *const keep = "nothing";
    sample_init(&s);
    word(&s, RV_RET);
    object_symbol(&s.object, "bench", STB_GLOBAL, STT_FUNC, s.text, 0, 0);
    s.world.options.export_list = &missing;
    s.world.options.export_count = 1;
    refused(&s, ERR_link_export,
            "--export bensch: undefined symbol bensch; did you mean bench?");

    sample_init(&s);
    word(&s, RV_RET);
    object_symbol(&s.object, "g", STB_GLOBAL, STT_FUNC, s.text, 0, 0);
    s.world.options.export_list = &twice;
    s.world.options.export_count = 1;
    refused(&s, ERR_link_export,
            "export g has number 0, which f has already; choose another");

    sample_init(&s);
    word(&s, RV_RET);
    object_symbol(&s.object, "d", STB_GLOBAL, STT_OBJECT, SHN_ABS, 4, 0);
    s.world.options.export_list = &data;
    s.world.options.export_count = 1;
    refused(&s, ERR_link_export, "--export d: not a function; export functions only");

    sample_init(&s);
    word(&s, RV_RET);
    s.world.options.keep_list = &keep;
    s.world.options.keep_count = 1;
    refused(&s, ERR_link_symbol,
            "--keep nothing: undefined symbol nothing; "
            "link the object that defines it");
}

/* ---- layout and limits ---- */

/* f refers to `size` bytes of data `d`. */
static void refused_size(struct sample *s, const char *name, uint32_t type,
                         uint64_t flags, uint64_t size, enum err err, const char *line)
{
    word(s, RV_LUI | 10 << 7);
    word(s, RV_RET);
    uint32_t data = object_section(&s->object, name, type, flags, 16);
    s->object.section[data].size = size;
    if (type == SHT_PROGBITS)
        (void)buf_extend(&s->object.section[data].content, size);
    uint32_t d = object_symbol(&s->object, "d", STB_GLOBAL, STT_OBJECT, data, 0, size);
    object_reloc(&s->object, s->text, 0, REL_HI20, d, 0);
    refused(s, err, line);
}

static void test_layout(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    refused_size(&s, ".rodata.d", SHT_PROGBITS, SHF_A, 8, ERR_link_layout,
                 "x.o: .rodata.d+0x0: raw has no memory for data; "
                 "choose -f spi or --json");
    sample_init(&s);
    refused_size(&s, ".bss.d", SHT_NOBITS, SHF_A | SHF_W, 8, ERR_link_layout,
                 "x.o: .bss.d+0x0: raw has no memory for data; "
                 "choose -f spi or --json");
    sample_init(&s);
    s.world.options.format = LINK_FORMAT_SPI;
    refused_size(
        &s, ".bss.d", SHT_NOBITS, SHF_A | SHF_W, 0x10000000, ERR_link_layout,
        "x.o: .bss.d+0x0: d: data ends at 0x10020000; the limit is 0x1001f000, "
        "make it smaller");
    sample_init(&s);
    s.world.options.format = LINK_FORMAT_POLKAVM;
    refused_size(
        &s, ".bss.d", SHT_NOBITS, SHF_A | SHF_W, 0x80000000, ERR_link_layout,
        "x.o: .bss.d+0x0: d: data ends at 0x80020000; the limit is 0x7ffff000, "
        "make it smaller");
    sample_init(&s);
    s.world.options.format = LINK_FORMAT_SPI;
    s.world.options.heap_size = 0x10000000;
    word(&s, RV_RET);
    refused(&s, ERR_link_layout,
            "--heap 268435456: memory ends at 0x10020000; the limit is 0x1001f000");
}

static void test_options(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    word(&s, RV_RET);
    s.world.options.format = LINK_FORMAT_IMAGE;
    s.world.options.rw_slot = 256;
    refused(&s, ERR_usage,
            "-f image: slots are 0 to 255, and read-only and writable data need one "
            "each");
    sample_init(&s);
    word(&s, RV_RET);
    s.world.options.format = LINK_FORMAT_IMAGE;
    s.world.options.heap_size = (uint64_t)256 << 20;
    refused(&s, ERR_link_layout,
            "--heap 268435456: memory ends at 0x10010000; the limit is 0x10000000");
    sample_init(&s);
    word(&s, RV_RET);
    s.world.options.format = LINK_FORMAT_SPI;
    s.world.options.profile = PVM_PROFILE_JAVM;
    refused(&s, ERR_usage,
            "--profile=javm goes with -f raw only; spi is a VECTORS program");
    sample_init(&s);
    word(&s, RV_RET);
    s.world.options.format = LINK_FORMAT_POLKAVM;
    s.world.options.json = true;
    refused(&s, ERR_usage, "--json goes with -f raw only; polkavm has its own memory");
    sample_init(&s);
    word(&s, RV_RET);
    s.world.options.stack_size = 1 << 24;
    refused(&s, ERR_usage, "--stack 16777216: the limit is 16777215");
}

static void test_ecalli_of_polkavm(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    word(&s, rv_i(RV_ECALLI, 0, 0, 1024));
    s.world.options.format = LINK_FORMAT_POLKAVM;
    refused(&s, ERR_link_limit, "ecalli 1024: imports of a .polkavm are 0 to 1023");
    sample_init(&s);
    word(&s, rv_i(RV_ECALLI, 0, 0, -1));
    s.world.options.format = LINK_FORMAT_POLKAVM;
    refused(&s, ERR_link_limit, "ecalli -1: imports of a .polkavm are 0 to 1023");
}

/* One orc.b is 41 bytes of PVM code; one call needs one entry. */
static void test_limits(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    for (unsigned i = 0; i < 420000; i++)
        word(&s, rv_r(0x28705013, 10, 11, 0));
    world_add(&s.world, "x.o", &s.object);
    world_link(&s.world);
    assert_int_equal(s.world.err, ERR_link_limit);
    assert_int_equal(s.world.problems.count, 1);
    const char *text = s.world.problems.list[0].text, *tail;
    assert_int_equal(strncmp(text, "code of ", 8), 0);
    tail = strstr(text, " bytes; the limit is 16777216");
    assert_non_null(tail);
    assert_string_equal(tail, " bytes; the limit is 16777216");
    world_fini(&s.world);

    sample_init(&s);
    for (unsigned i = 0; i < (1 << 20) + 1; i++)
        word(&s, rv_j(1, 0));
    refused(&s, ERR_link_limit, "jump table of 1048577 entries; the limit is 1048576");
}

/* Not more than 20 lines. */
static void test_twenty(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    for (unsigned i = 0; i < 30; i++)
        word(&s, 0xffffffff);
    world_add(&s.world, "x.o", &s.object);
    world_link(&s.world);
    assert_int_equal(s.world.err, ERR_link_insn);
    assert_int_equal(s.world.problems.count, LINK_PROBLEM_COUNT_MAX);
    assert_string_equal(s.world.problems.list[19].text,
                        "x.o: .text.f+0x4c (f): 0xffffffff is not "
                        "RV64EM_Zbb_XTheadCondMov; check -march");
    world_fini(&s.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),         cmocka_unit_test(test_headers),
        cmocka_unit_test(test_abi),           cmocka_unit_test(test_sections),
        cmocka_unit_test(test_words),         cmocka_unit_test(test_odd_size),
        cmocka_unit_test(test_relocs),        cmocka_unit_test(test_places),
        cmocka_unit_test(test_data),          cmocka_unit_test(test_undefined),
        cmocka_unit_test(test_two_strong),    cmocka_unit_test(test_exports),
        cmocka_unit_test(test_named_exports), cmocka_unit_test(test_layout),
        cmocka_unit_test(test_options),       cmocka_unit_test(test_ecalli_of_polkavm),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_twenty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
