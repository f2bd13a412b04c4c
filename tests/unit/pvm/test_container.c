/* SPDX-License-Identifier: MIT
 *
 * Container loaders: what the conformance data (corpus/vectors/pvm-edge.json, run by
 * the vectors test) leaves open: which error comes first, every truncation, arenas of
 * every size, and sizes that lie.
 */
#include "pvm/pvm.h"

#include "tests/test.h"

#include <string.h>

/* Bytes of a file being put together. */
struct file {
    uint8_t data[512];
    size_t size;
};

static void put(struct file *file, const void *data, size_t size)
{
    assert_true(file->size + size <= sizeof file->data);
    memcpy(file->data + file->size, data, size);
    file->size += size;
}

static void put_le(struct file *file, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        put(file, &byte, 1);
    }
}

static void put_number(struct file *file, uint64_t value)
{
    struct buf buf;
    buf_init(&buf, 16);
    pvm_varint_put(&buf, value);
    put(file, buf.data, buf.size);
    buf_fini(&buf);
}

/* load_imm a0, 5; trap; with a table of two entries. */
static const uint8_t raw_blob[] = {0x02, 0x01, 0x04, 0x00, 0x03,
                                   0x33, 0x00, 0x05, 0x00, 0x09};

static void section(struct file *file, uint8_t id, const void *body, size_t size)
{
    put(file, &id, 1);
    put_number(file, size);
    put(file, body, size);
}

static void polkavm_begin(struct file *file)
{
    file->size = 0;
    put(file, "PVM\0\2", 5);
    put_le(file, 0, 8);
}

static struct bytes polkavm_end(struct file *file)
{
    put(file, "", 1);
    for (unsigned i = 0; i < 8; i++)
        file->data[5 + i] = (uint8_t)(file->size >> (8 * i));
    return bytes_of(file->data, file->size);
}

static enum err load(enum pvm_container_kind kind, struct bytes file,
                     struct pvm_container *ret_container)
{
    static struct arena arena; /* what points into it dies with the next call */
    arena_fini(&arena);
    arena_init(&arena, 1 << 20);
    return pvm_container_load(&arena, kind, PVM_PROFILE_JAVM, file, (struct bytes){0},
                              ret_container);
}

static void expect_err(enum pvm_container_kind kind, struct bytes file, enum err want)
{
    struct pvm_container container, poison;
    memset(&container, 0x5a, sizeof container);
    poison = container;
    enum err got = load(kind, file, &container);
    assert_string_equal(err_name(got), err_name(want));
    assert_memory_equal(&container, &poison, sizeof container);
}

/* ---- numbers --------------------------------------------------------------------- */

static void test_varint(void **state)
{
    (void)state;
    uint64_t seed = test_seed(4), random = seed;
    test_reproduce("pvm_container", seed);
    for (unsigned round = 0; round < 200000; round++) {
        uint64_t value = test_random(&random) >> (test_random(&random) & 63);
        if (round < 64 * 3)
            value = ((uint64_t)1 << (round / 3)) + round % 3 - 1;
        struct buf buf;
        buf_init(&buf, 16);
        pvm_varint_put(&buf, value);
        unsigned l = 0;
        while (l < 8 && (l == 8 || value >> (7 * (l + 1))))
            l++;
        assert_int_equal(buf.size, 1 + l);
        struct bytes input = buf_bytes(&buf);
        uint64_t back = ~value;
        assert_int_equal(pvm_varint_get(&input, &back), ERR_ok);
        assert_int_equal(input.size, 0);
        assert_true(back == value);
        for (size_t cut = 0; cut < buf.size; cut++) {
            struct bytes part = bytes_of(buf.data, cut);
            back = 7;
            assert_int_equal(pvm_varint_get(&part, &back), ERR_pvm_truncated);
            assert_int_equal(back, 7);
            assert_int_equal(part.size, cut);
        }
        buf_fini(&buf);
    }
}

/* A number has one encoding: whatever is read is written back the same. */
static void test_varint_canonical(void **state)
{
    (void)state;
    uint64_t seed = test_seed(5), random = seed;
    test_reproduce("pvm_container", seed);
    unsigned read = 0, refused = 0;
    for (unsigned round = 0; round < 300000; round++) {
        uint8_t bytes[9];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)test_random(&random);
        bytes[0] = (uint8_t) ~(255u >> (round % 9));
        bytes[round % 9 ? round % 9 : 1] &= (uint8_t)test_random(&random) & 1;
        struct bytes input = bytes_of(bytes, sizeof bytes);
        uint64_t value;
        enum err err = pvm_varint_get(&input, &value);
        if (err) {
            assert_int_equal(err, ERR_pvm_varint);
            refused++;
            continue;
        }
        read++;
        struct buf buf;
        buf_init(&buf, 16);
        pvm_varint_put(&buf, value);
        assert_int_equal(buf.size, sizeof bytes - input.size);
        assert_memory_equal(buf.data, bytes, buf.size);
        buf_fini(&buf);
    }
    assert_true(read > 1000 && refused > 1000);
}

/* ---- raw blobs ---------------------------------------------------------------------
 */

static void test_raw_order_of_errors(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        enum err err;
    } row[] = {
        /* a number that cannot be read comes before any limit and the width */
        {"\xd0\x01\x00\x09", 4, ERR_pvm_truncated},
        {"\xd0\x01\x00\x09\x80\x00", 6, ERR_pvm_varint},
        /* limits come before the width, the width before the length */
        {"\xd0\x01\x00\x09\x01", 5, ERR_pvm_limit},
        {"\x00\x09\xe1\x01\x00\x00", 6, ERR_pvm_limit},
        {"\x00\x09\xe1\x00\x00\x00", 6, ERR_pvm_jump_width},
        {"\x01\x09\x01", 3, ERR_pvm_jump_width},
        /* the length comes before the padding */
        {"\x00\x00\x01\x00\xff\x00", 6, ERR_pvm_trailing},
        {"\x00\x00\x01\x00\xff", 5, ERR_pvm_bitmask_pad},
        {"\x00\x00\x01\x00", 4, ERR_pvm_truncated},
        /* 2^20 entries are allowed, if they are there */
        {"\xd0\x00\x00\x00\x01", 5, ERR_pvm_truncated},
    };
    for (size_t i = 0; i < countof(row); i++)
        expect_err(PVM_CONTAINER_RAW, bytes_of(row[i].bytes, row[i].size), row[i].err);
}

static void test_raw_round_trip(void **state)
{
    (void)state;
    struct pvm_container container;
    struct bytes blob = bytes_of(raw_blob, sizeof raw_blob);
    assert_int_equal(load(PVM_CONTAINER_RAW, blob, &container), ERR_ok);
    assert_int_equal(container.region_count, 0);
    assert_int_equal(container.code.jump_count, 2);
    assert_int_equal(pvm_code_jump(&container.code, 1), 3);
    struct buf back;
    buf_init(&back, 64);
    pvm_code_put(&container.code, &back);
    assert_int_equal(back.size, sizeof raw_blob);
    assert_memory_equal(back.data, raw_blob, sizeof raw_blob);
    buf_fini(&back);
    for (size_t cut = 0; cut < sizeof raw_blob; cut++)
        expect_err(PVM_CONTAINER_RAW, bytes_of(raw_blob, cut), ERR_pvm_truncated);
}

/* The largest program there may be, and one byte more. */
static void test_raw_largest(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, (size_t)1 << 26);
    pvm_varint_put(&buf, PVM_JUMP_COUNT_MAX);
    buf_byte(&buf, 1);
    pvm_varint_put(&buf, PVM_CODE_SIZE_MAX);
    (void)buf_extend(&buf,
                     PVM_JUMP_COUNT_MAX + PVM_CODE_SIZE_MAX + PVM_CODE_SIZE_MAX / 8);
    assert_int_equal(buf.err, ERR_ok);
    struct pvm_code code;
    assert_int_equal(pvm_code_parse(buf_bytes(&buf), &code), ERR_ok);
    assert_int_equal(code.code.size, PVM_CODE_SIZE_MAX);
    assert_int_equal(pvm_code_skip(&code, PVM_CODE_SIZE_MAX - 1), 0);
    assert_int_equal(pvm_code_skip(&code, 0), PVM_SKIP_MAX);
    buf_byte(&buf, 0);
    assert_int_equal(pvm_code_parse(buf_bytes(&buf), &code), ERR_pvm_trailing);
    buf_fini(&buf);
}

/* ---- standard programs
 * --------------------------------------------------------------- */

static struct bytes spi_file(struct file *file)
{
    file->size = 0;
    put_le(file, 3, 3); /* read-only data */
    put_le(file, 2, 3); /* data */
    put_le(file, 1, 2); /* heap pages */
    put_le(file, 4097, 3);
    put(file, "rodda", 5);
    put_le(file, sizeof raw_blob, 4);
    put(file, raw_blob, sizeof raw_blob);
    return bytes_of(file->data, file->size);
}

static void expect_region(const struct pvm_region *region, uint32_t start,
                          uint64_t size, enum pvm_access access, const char *data)
{
    assert_int_equal(region->start, start);
    assert_int_equal(region->size, size);
    assert_int_equal(region->access, access);
    assert_int_equal(region->data.size, strlen(data));
    if (*data)
        assert_memory_equal(region->data.data, data, strlen(data));
}

static void test_spi(void **state)
{
    (void)state;
    struct file file;
    struct bytes spi = spi_file(&file);
    struct pvm_container container;
    assert_int_equal(load(PVM_CONTAINER_SPI, spi, &container), ERR_ok);
    assert_int_equal(container.region_count, 3);
    expect_region(&container.region[0], 0x10000, 4096, PVM_ACCESS_R, "rod");
    expect_region(&container.region[1], 0x30000, 8192, PVM_ACCESS_RW, "da");
    expect_region(&container.region[2], 0xfefe0000 - 8192, 8192, PVM_ACCESS_RW, "");
    assert_int_equal(pvm_container_detect(spi), PVM_CONTAINER_SPI);
    for (size_t cut = 0; cut < spi.size; cut++)
        expect_err(PVM_CONTAINER_SPI, bytes_of(spi.data, cut), ERR_pvm_truncated);
    file.data[spi.size] = 0;
    expect_err(PVM_CONTAINER_SPI, bytes_of(spi.data, spi.size + 1), ERR_pvm_trailing);
}

static void test_spi_arguments(void **state)
{
    (void)state;
    struct file file;
    struct bytes spi = spi_file(&file);
    struct buf args;
    buf_init(&args, (size_t)1 << 26);
    (void)buf_extend(&args, PVM_ARGS_SIZE_MAX);
    struct pvm_container container;
    assert_int_equal(pvm_container_load(NULL, PVM_CONTAINER_SPI, PVM_PROFILE_VECTORS,
                                        spi, buf_bytes(&args), &container),
                     ERR_ok);
    assert_int_equal(container.region[3].start, 0xfeff0000);
    assert_int_equal(container.region[3].size, PVM_ARGS_SIZE_MAX);
    assert_int_equal(container.reg[8], PVM_ARGS_SIZE_MAX);
    buf_byte(&args, 0);
    assert_int_equal(pvm_container_load(NULL, PVM_CONTAINER_SPI, PVM_PROFILE_VECTORS,
                                        spi, buf_bytes(&args), &container),
                     ERR_pvm_limit);
    buf_fini(&args);
}

/* ---- .polkavm
 * ------------------------------------------------------------------------ */

static struct bytes polkavm_full(struct file *file)
{
    polkavm_begin(file);
    section(file, 1, "\x05\x90\x00\x03", 4); /* sizes 5, 0x1000, 3 */
    section(file, 2, "ro", 2);
    section(file, 3, "data", 4);
    section(file, 4, "\x02\x00\x00\x00\x00\x01\x00\x00\x00xyz", 12);
    section(file, 5, "\x02\x00\x04main\x03\x00", 9);
    section(file, 6, raw_blob, sizeof raw_blob);
    section(file, 200, "debug", 5);
    return polkavm_end(file);
}

static void test_polkavm(void **state)
{
    (void)state;
    struct file file;
    struct bytes bytes = polkavm_full(&file);
    struct pvm_container container;
    assert_int_equal(load(PVM_CONTAINER_POLKAVM, bytes, &container), ERR_ok);
    assert_int_equal(container.import_count, 2);
    assert_int_equal(container.import_list[0].size, 1);
    assert_memory_equal(container.import_list[0].data, "x", 1);
    assert_memory_equal(container.import_list[1].data, "yz", 2);
    assert_int_equal(container.export_count, 2);
    assert_memory_equal(container.export_list[0].name.data, "main", 4);
    assert_int_equal(container.export_list[1].pc, 3);
    assert_int_equal(container.export_list[1].name.size, 0);
    assert_int_equal(container.region_count, 3);
    expect_region(&container.region[0], 0x10000, 4096, PVM_ACCESS_R, "ro");
    expect_region(&container.region[1], 0x30000, 4096, PVM_ACCESS_RW, "data");
    expect_region(&container.region[2], 0xfffdf000, 4096, PVM_ACCESS_RW, "");
    assert_int_equal(pvm_container_detect(bytes), PVM_CONTAINER_POLKAVM);
}

/* A file cut anywhere is refused, also when its stated size is put right. */
static void test_polkavm_cut(void **state)
{
    (void)state;
    struct file file;
    struct bytes bytes = polkavm_full(&file);
    for (size_t cut = 0; cut < bytes.size; cut++) {
        struct pvm_container container;
        enum err want = cut < 13 ? ERR_pvm_truncated : ERR_pvm_blob_size;
        expect_err(PVM_CONTAINER_POLKAVM, bytes_of(bytes.data, cut), want);
        if (cut < 13)
            continue;
        struct file copy = file;
        for (unsigned i = 0; i < 8; i++)
            copy.data[5 + i] = (uint8_t)(cut >> (8 * i));
        assert_int_equal(
            load(PVM_CONTAINER_POLKAVM, bytes_of(copy.data, cut), &container),
            ERR_pvm_truncated);
    }
}

static void expect_section(uint8_t id, const void *body, size_t size, enum err want)
{
    struct file file;
    polkavm_begin(&file);
    if (id > 1)
        section(&file, 1, "\x01\x01\x01", 3);
    section(&file, id, body, size);
    if (id < 6)
        section(&file, 6, raw_blob, sizeof raw_blob);
    expect_err(PVM_CONTAINER_POLKAVM, polkavm_end(&file), want);
}

static void test_polkavm_refuses(void **state)
{
    (void)state;
    expect_section(1, "\x01\x01\x01\x00", 4, ERR_pvm_trailing);
    expect_section(1, "\x01\x01", 2, ERR_pvm_truncated);
    expect_section(2, "ab", 2, ERR_pvm_limit);
    expect_section(3, "ab", 2, ERR_pvm_limit);
    /* imports: too many, offsets beyond the symbols, offsets that go down */
    expect_section(4, "\x84\x01", 2, ERR_pvm_limit);
    expect_section(4, "\x83\xff", 2, ERR_pvm_truncated);
    expect_section(4, "\x01\x03\x00\x00\x00xy", 7, ERR_pvm_truncated);
    expect_section(4, "\x02\x02\x00\x00\x00\x01\x00\x00\x00xy", 11, ERR_pvm_section);
    /* exports: more than fit, a name beyond the section, a byte too much */
    expect_section(5, "\xf0\xff\xff\xff\xff\x00\x00", 7, ERR_pvm_truncated);
    expect_section(5, "\x01\x00\x05main", 7, ERR_pvm_truncated);
    expect_section(5, "\x01\x00\x03main", 7, ERR_pvm_trailing);
    expect_section(5, "\x01\xf1\x00\x00\x00\x00\x00", 7, ERR_pvm_varint);
    /* code: entries of 5 bytes, numbers of 33 bits, sections in between */
    expect_section(6, "\x00\x05\x01\x00\x01", 5, ERR_pvm_jump_width);
    expect_section(6, "\x00\x00\xf1\x00\x00\x00\x00\x00", 8, ERR_pvm_varint);
    expect_section(6, "\x00\x00\xf0\x00\x00\x00\x10\x00", 8, ERR_pvm_limit);
    expect_section(7, "", 0, ERR_pvm_section);
    expect_section(127, "", 0, ERR_pvm_section);
    expect_section(128, "", 0, ERR_pvm_section);
    /* sizes that do not fit the address space: alone, and together */
    expect_section(1, "\xf0\xff\xff\xff\xff\x00\x00", 7, ERR_pvm_layout);
    expect_section(1, "\x00\xf0\xff\xff\xff\xff\x00", 7, ERR_pvm_layout);
    expect_section(1, "\x00\x00\xf0\xff\xff\xff\xff", 7, ERR_pvm_layout);
    expect_section(1, "\xf0\x00\x00\x00\x7f\xf0\x00\x00\x00\x7f\xe2\x00\x00\x00", 14,
                   ERR_pvm_layout);
}

static void test_polkavm_magic(void **state)
{
    (void)state;
    expect_err(PVM_CONTAINER_POLKAVM, bytes_of("", 0), ERR_pvm_truncated);
    expect_err(PVM_CONTAINER_POLKAVM, bytes_of("PV", 2), ERR_pvm_truncated);
    expect_err(PVM_CONTAINER_POLKAVM, bytes_of("PX", 2), ERR_pvm_magic);
    expect_err(PVM_CONTAINER_POLKAVM, bytes_of("PVM\0\0", 5), ERR_pvm_isa);
    expect_err(PVM_CONTAINER_POLKAVM, bytes_of("PVM\0\1", 5), ERR_pvm_isa);
    expect_err(PVM_CONTAINER_POLKAVM, bytes_of("PVM\0\3", 5), ERR_pvm_truncated);
}

/* Every arena size up to the one that suffices ends in nomem, nothing else. */
static void test_polkavm_arena(void **state)
{
    (void)state;
    struct file file;
    struct bytes bytes = polkavm_full(&file);
    enum err err = ERR_nomem;
    size_t size = 0;
    for (; err == ERR_nomem && size < 100000; size++) {
        struct arena arena;
        struct pvm_container container;
        arena_init(&arena, size);
        err = pvm_container_load(&arena, PVM_CONTAINER_POLKAVM, PVM_PROFILE_JAVM, bytes,
                                 (struct bytes){0}, &container);
        arena_fini(&arena);
    }
    assert_int_equal(err, ERR_ok);
    assert_true(size > 10);
}

/* Operand bytes are not translated, instruction starts are (ISA 3). */
static void test_polkavm_translates_starts_only(void **state)
{
    (void)state;
    struct file file;
    polkavm_begin(&file);
    file.data[4] = 3;
    section(&file, 6, "\x00\x00\x06\x65\x65\x65\x02\x03\x6f\x3d", 10);
    struct bytes bytes = polkavm_end(&file);
    struct pvm_container container;
    assert_int_equal(load(PVM_CONTAINER_POLKAVM, bytes, &container), ERR_ok);
    assert_memory_equal(container.code.code.data, "\x66\x65\x66\x02\xff\xff", 6);
    assert_memory_equal(file.data + 13 + 5, "\x65\x65\x65", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varint),
        cmocka_unit_test(test_varint_canonical),
        cmocka_unit_test(test_raw_order_of_errors),
        cmocka_unit_test(test_raw_round_trip),
        cmocka_unit_test(test_raw_largest),
        cmocka_unit_test(test_spi),
        cmocka_unit_test(test_spi_arguments),
        cmocka_unit_test(test_polkavm),
        cmocka_unit_test(test_polkavm_cut),
        cmocka_unit_test(test_polkavm_refuses),
        cmocka_unit_test(test_polkavm_magic),
        cmocka_unit_test(test_polkavm_arena),
        cmocka_unit_test(test_polkavm_translates_starts_only),
    };
    return cmocka_run_group_tests_name("pvm_container", tests, NULL, NULL);
}
