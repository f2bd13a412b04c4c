/* SPDX-License-Identifier: MIT
 *
 * The ELF for gdb (guest-toolchain.md chapter 9, 11.6): its line tables are run by an
 * interpreter of this test, its location lists walked; every address must be the start
 * of an instruction of the program.
 */
#include "tests/test.h"

#include "tests/unit/link/world.h"

#include <string.h>

#define CODE_BASE 0x100000000ull

struct part {
    const uint8_t *data;
    uint64_t size, address;
    uint32_t type, link, info;
};

static uint64_t get(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* The section with this name; size 0 if there is none. */
static struct part find(struct bytes elf, const char *name)
{
    const uint8_t *table = elf.data + get(elf.data + 40, 8);
    unsigned count = (unsigned)get(elf.data + 60, 2);
    const uint8_t *names = elf.data + get(table + 64 * get(elf.data + 62, 2) + 24, 8);
    for (unsigned i = 1; i < count; i++) {
        const uint8_t *at = table + 64 * i;
        if (strcmp((const char *)names + get(at, 4), name) == 0)
            return (struct part){.data = elf.data + get(at + 24, 8),
                                 .size = get(at + 32, 8),
                                 .address = get(at + 16, 8),
                                 .type = (uint32_t)get(at + 4, 4),
                                 .link = (uint32_t)get(at + 40, 4),
                                 .info = (uint32_t)get(at + 44, 4)};
    }
    return (struct part){0};
}

static void assert_start(const struct world *world, uint64_t address)
{
    const struct pvm_code *code = &world->result.code;
    assert_true(address >= CODE_BASE);
    uint64_t pc = address - CODE_BASE;
    assert_true(pc <= code->code.size);
    if (pc < code->code.size)
        assert_true(pvm_code_marked(code, (uint32_t)pc));
}

static uint64_t leb(const uint8_t **at)
{
    uint64_t value = 0;
    unsigned shift = 0;
    do
        value |= (uint64_t)(**at & 127) << shift, shift += 7;
    while (*(*at)++ & 128);
    return value;
}

/* What the line tables of a program say. */
struct rows {
    const struct world *world;
    unsigned count, sequences;
    uint64_t first_line_of[8]; /* line of the first row of each live sequence */
    uint64_t address_of[8];
};

static void row(struct rows *rows, uint64_t address, uint64_t last, int64_t line,
                bool first)
{
    if (address < CODE_BASE)
        return; /* of a dropped function */
    assert_start(rows->world, address);
    assert_true(first || address >= last);
    assert_true(line >= 0); /* 0: code that no line made */
    rows->count++;
    if (first && rows->sequences < countof(rows->address_of)) {
        rows->first_line_of[rows->sequences] = (uint64_t)line;
        rows->address_of[rows->sequences] = address;
    }
    rows->sequences += first;
}

/* One program of DWARF 2 to 4; the header's opcode lengths are the standard ones. */
static void run_line_program(struct rows *rows, const uint8_t *at, const uint8_t *end,
                             const uint8_t *header)
{
    unsigned opcode_base = header[2];
    uint64_t address = 0, last = 0;
    int64_t line = 1;
    bool first = true;
    while (at < end) {
        unsigned op = *at++;
        if (op >= opcode_base) {
            fail_msg("a special opcode: it would advance in RISC-V bytes");
        } else if (op == 0) {
            uint64_t size = leb(&at);
            unsigned extended = at[0];
            if (extended == 2)
                address = get(at + 1, 8);
            if (extended == 1) {
                row(rows, address, last, line, false);
                line = 1;
                first = true;
                address = 0;
            }
            at += size;
        } else if (op == 1) {
            row(rows, address, last, line, first);
            last = address;
            first = false;
        } else if (op == 3) {
            uint64_t raw = 0;
            unsigned shift = 0;
            uint8_t byte;
            do {
                byte = *at++;
                raw |= (uint64_t)(byte & 127) << shift;
                shift += 7;
            } while (byte & 128);
            if (shift < 64 && (byte & 64))
                raw |= ~0ull << shift;
            line += (int64_t)raw;
        } else if (op == 9) {
            address += get(at, 2);
            at += 2;
        } else {
            static const uint8_t operands[] = {0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1};
            assert_true(op < countof(operands) && op != 2 && op != 8);
            for (unsigned i = 0; i < operands[op]; i++)
                (void)leb(&at);
        }
    }
}

static void run_lines(struct rows *rows)
{
    struct part line = find(rows->world->result.debug, ".debug_line");
    assert_true(line.size > 0);
    for (const uint8_t *at = line.data; at < line.data + line.size;) {
        const uint8_t *end = at + 4 + get(at, 4);
        unsigned version = (unsigned)get(at + 4, 2);
        assert_in_range(version, 2, 4);
        const uint8_t *program = at + 10 + get(at + 6, 4);
        run_line_program(rows, program, end, at + 10 + (version == 4 ? 3 : 2));
        at = end;
    }
}

/* Location lists stand one behind the other. */
static unsigned walk_locations(const struct world *world)
{
    struct part loc = find(world->result.debug, ".debug_loc");
    uint64_t base = 0;
    unsigned count = 0;
    for (uint64_t at = 0; at < loc.size;) {
        uint64_t begin = get(loc.data + at, 8), end = get(loc.data + at + 8, 8);
        at += 16;
        if (begin == UINT64_MAX) {
            base = end;
            continue;
        }
        if (!begin && !end) {
            base = 0;
            continue;
        }
        if (base >= CODE_BASE) {
            assert_start(world, base + begin);
            assert_start(world, base + end);
            assert_true(begin <= end);
            count++;
        }
        at += 2 + get(loc.data + at, 2);
    }
    return count;
}

static void debug_init(struct world *world, const char *path)
{
    world_init(world);
    world->options.format = LINK_FORMAT_SPI;
    world->options.debug = true;
    world_add_file(world, path, "x.o");
}

static void test_shape(void **state)
{
    (void)state;
    struct world world;
    debug_init(&world, "corpus/link/debug.o");
    world_link_ok(&world);
    struct bytes elf = world.result.debug;
    assert_memory_equal(elf.data, "\177ELF\2\1\1", 7);
    assert_int_equal(get(elf.data + 16, 2), 2);
    assert_int_equal(get(elf.data + 18, 2), 243);
    assert_int_equal(get(elf.data + 48, 4), 0); /* e_flags */
    struct part text = find(elf, ".text");
    assert_int_equal(text.address, CODE_BASE);
    assert_int_equal(text.size, world.result.code.code.size);
    assert_int_equal(text.type, SHT_NOBITS);
    /* Version 3 CIE: CFA = sp + 0, ra undefined; one FDE for all of the code. */
    static const uint8_t cie[] = {20, 0, 0, 0, 255, 255, 255, 255, 3,
                                  0,  1, 1, 1, 12,  2,   0,   7,   1};
    struct part frame = find(elf, ".debug_frame");
    assert_int_equal(frame.size, 48);
    assert_memory_equal(frame.data, cie, sizeof cie);
    assert_int_equal(get(frame.data + 32, 8), CODE_BASE);
    assert_int_equal(get(frame.data + 40, 8), text.size);
    world_fini(&world);
}

/* Symbols: functions with pc and size, data with its address; nothing dropped. */
static void test_symbols(void **state)
{
    (void)state;
    struct world world;
    debug_init(&world, "corpus/link/debug.o");
    world_link_ok(&world);
    struct part table = find(world.result.debug, ".symtab");
    struct part names = find(world.result.debug, ".strtab");
    uint64_t end = CODE_BASE + 5;
    unsigned functions = 0, objects = 0;
    for (uint64_t i = 1; i < table.size / 24; i++) {
        const uint8_t *at = table.data + 24 * i;
        const char *name = (const char *)names.data + get(at, 4);
        uint64_t value = get(at + 8, 8), size = get(at + 16, 8);
        assert_string_not_equal(name, "dropped");
        assert_int_equal(i >= table.info, at[4] >> 4 != 0); /* local ones first */
        if ((at[4] & 15) == STT_FUNC) {
            assert_int_equal(value, end); /* leaf, then start */
            end = value + size;
            functions++;
        } else if (strcmp(name, "total") == 0) {
            assert_int_equal(value, 0x20000);
            assert_int_equal(size, 8);
            objects++;
        }
    }
    assert_int_equal(functions, 2);
    assert_int_equal(objects, 1);
    assert_int_equal(end, CODE_BASE + world.result.code.code.size);
    world_fini(&world);
}

static void test_lines(void **state)
{
    (void)state;
    struct world world;
    struct rows rows = {.world = &world};
    debug_init(&world, "corpus/link/debug.o");
    world_link_ok(&world);
    run_lines(&rows);
    assert_int_equal(rows.sequences, 2);
    assert_int_equal(rows.address_of[0], CODE_BASE + 5);
    assert_int_equal(rows.first_line_of[0], 24); /* leaf */
    assert_int_equal(rows.first_line_of[1], 35); /* start */
    assert_true(rows.count > 15);
    assert_int_equal(walk_locations(&world), 8);
    world_fini(&world);
}

/* A line table without a unit gets one, with its name, its ranges and its lines. */
static void test_own_unit(void **state)
{
    (void)state;
    struct world world;
    struct rows rows = {.world = &world};
    debug_init(&world, "corpus/link/lines.o");
    world_link_ok(&world);
    run_lines(&rows);
    assert_int_equal(rows.sequences, 1);
    assert_int_equal(rows.count, 5);
    assert_int_equal(rows.first_line_of[0], 10);
    struct part info = find(world.result.debug, ".debug_info");
    struct part ranges = find(world.result.debug, ".debug_ranges");
    assert_int_equal(get(info.data, 4), info.size - 4);
    assert_string_equal((const char *)info.data + 28, "lines.src");
    assert_int_equal(ranges.size, 32);
    assert_int_equal(get(ranges.data, 8), CODE_BASE + 5);
    assert_int_equal(get(ranges.data + 8, 8), CODE_BASE + 12);
    world_fini(&world);
}

/* Programs of the corpus, with pvmlib. */
static void test_programs(void **state)
{
    (void)state;
    unsigned locations = 0;
    static const char *const program[] = {"sha256", "qsort", "mixed", "interp",
                                          "ed25519"};
    for (size_t i = 0; i < countof(program); i++) {
        struct world world;
        struct rows rows = {.world = &world};
        char path[64];
        snprintf(path, sizeof path, "corpus/pvm/obj/%s.o", program[i]);
        debug_init(&world, path);
        world_add_file(&world, "corpus/pvm/obj/pvm.o", "pvm.o");
        world_link_ok(&world);
        assert_int_equal(world.problems.warning_count, 0);
        run_lines(&rows);
        assert_true(rows.count > 50);
        locations += walk_locations(&world);
        world_fini(&world);
    }
    assert_true(locations > 1000);
}

/* What cannot pass is dropped with a word, and the program is the same. */
static void test_dropped(void **state)
{
    (void)state;
    struct world world;
    debug_init(&world, "corpus/link/debug5.o");
    world_link_ok(&world);
    assert_int_equal(world.problems.warning_count, 1);
    assert_string_equal(world.problems.warning_list[0].text,
                        "x.o: debug information is dropped; use -gdwarf-4, "
                        "not compressed");
    assert_int_equal(find(world.result.debug, ".debug_info").size, 0);
    assert_true(find(world.result.debug, ".symtab").size > 24);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape),    cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_lines),    cmocka_unit_test(test_own_unit),
        cmocka_unit_test(test_programs), cmocka_unit_test(test_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
