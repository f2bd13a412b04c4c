/* SPDX-License-Identifier: MIT
 *
 * What a reader meets: newer files, unknown kinds, lies with right checksums.
 */
#include "tests/test.h"
#include "tests/unit/trace/craft.h"
#include "tests/unit/trace/example.h"

#include <string.h>
#include <sys/resource.h>

#define BYTES(...)                                                                     \
    bytes_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Read all events; the error, and how many there were. */
static enum err read_all(const struct trace_source *source, uint64_t *ret_count,
                         struct trace_fault *ret_fault)
{
    struct arena arena;
    struct trace_reader *reader;
    struct trace_record record;
    bool end = false;
    arena_init(&arena, 64 << 20);
    *ret_count = 0;
    enum err err = trace_reader_open(&arena, source, NULL, ret_fault, &reader);
    if (!err) {
        while (!(err = trace_reader_next(reader, &record, &end)) && !end)
            ++*ret_count;
        if (err)
            *ret_fault = trace_reader_fault(reader);
        trace_reader_close(reader);
    }
    arena_fini(&arena);
    return err;
}

static uint64_t defects_of(const struct trace_source *source)
{
    struct arena arena;
    struct trace_summary summary;
    arena_init(&arena, 64 << 20);
    enum err err = trace_verify(&arena, source, NULL, NULL, NULL, &summary);
    arena_fini(&arena);
    return err ? 1 : summary.defect_count;
}

/* ---- one event with one wrong thing ---- */

static void expect_refused(struct bytes payload, enum err want, size_t offset)
{
    struct craft craft;
    struct trace_fault fault;
    uint64_t count;
    craft_begin(&craft, (struct bytes){0}, 0);
    uint64_t chunk_at = craft.tail.end;
    craft_events(&craft, payload, 1, 1, 0, 0, 0);
    craft_end(&craft);
    assert_int_equal(read_all(&craft.source, &count, &fault), want);
    assert_int_equal(count, 0);
    assert_int_equal(fault.err, want);
    assert_int_equal(fault.chunk_offset, chunk_at);
    assert_int_equal(fault.payload_offset, offset);
    assert_true(defects_of(&craft.source) > 0);
    craft_fini(&craft);
}

static void test_not_canonical(void **state)
{
    (void)state;
    const enum err canonical = ERR_trace_canonical, schema = ERR_trace_schema;
    /* chaos [7, dt, dx, site, choice, arg] */
    expect_refused(BYTES(0x94, 7, 0, 0, 0), canonical, 4);       /* trailing default */
    expect_refused(BYTES(0x94, 7, 0, 0, 0xcc, 5), canonical, 4); /* not the shortest */
    expect_refused(BYTES(0x94, 7, 0, 0, 0xcd, 0, 200), canonical, 4);
    expect_refused(BYTES(0x94, 7, 0, 0, 0xcf, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff),
                   canonical, 4);
    expect_refused(BYTES(0x94, 7, 0, 0, 0xd0, 5), canonical, 4); /* signed, positive */
    expect_refused(BYTES(0xdc, 0, 4, 7, 0, 0, 5), canonical, 0); /* long array header */
    expect_refused(BYTES(0x92, 7, 0), canonical, 0);             /* shorter than 3 */
    expect_refused(BYTES(0x94, 7, 0, 0, 0xc0), canonical, 4);    /* nil */
    expect_refused(BYTES(0x94, 7, 0, 0, 0xc3), canonical, 4);    /* true */
    expect_refused(BYTES(0x94, 7, 0, 0, 0xca, 0, 0, 0, 0), canonical, 4); /* float */
    expect_refused(BYTES(0x94, 7, 0, 0, 0x81, 1, 1), canonical, 4);       /* map */
    expect_refused(BYTES(0x94, 7, 0, 0, 0xd4, 1, 1), canonical, 4);       /* ext */
    expect_refused(BYTES(0x94, 7, 0, 0, 0xc1), canonical, 4);             /* unused */
    expect_refused(BYTES(0x94, 7, 0, 0), canonical, 0);    /* more items than bytes */
    expect_refused(BYTES(0x94, 7, 0, 0, 0xff), schema, 4); /* negative u */
    expect_refused(BYTES(0x94, 7, 0, 0, 0xa1, 'x'), schema, 4);   /* str for u */
    expect_refused(BYTES(0x94, 7, 0, 0, 0xc4, 1, 1), schema, 4);  /* bin for u */
    expect_refused(BYTES(0x94, 7, 0, 0, 0x91, 1), schema, 4);     /* list for u */
    expect_refused(BYTES(0x97, 7, 0, 0, 1, 1, 1, 1), schema, 0);  /* a field too many */
    expect_refused(BYTES(0x94, 7, 0xff, 0, 1), schema, 2);        /* dt < 0 */
    expect_refused(BYTES(7), schema, 0);                          /* no array */
    expect_refused(BYTES(0x93, 99, 0, 0), ERR_trace_event, 0);    /* unknown kind */
    expect_refused(BYTES(0x94, 10, 0, 0, 1), ERR_trace_event, 0); /* note in events */
    /* session.config [3, dt, dx, key, value] */
    expect_refused(BYTES(0x94, 3, 0, 0, 0xc4, 1, 'x'), schema, 4);  /* bin for s */
    expect_refused(BYTES(0x94, 3, 0, 0, 0xa1, 0), canonical, 4);    /* NUL */
    expect_refused(BYTES(0x94, 3, 0, 0, 0xa1, 0xff), canonical, 4); /* no UTF-8 */
    expect_refused(BYTES(0x94, 3, 0, 0, 0xa2, 0xc0, 0x80), canonical, 4);
    expect_refused(BYTES(0x94, 3, 0, 0, 0xd9, 1, 'x'), canonical, 4);
    /* state.hash [8, dt, dx, what, hash] */
    expect_refused(BYTES(0x95, 8, 0, 0, 0, 0xc4, 1, 0), schema, 5); /* 1 byte of h */
    /* console.out [9, dt, dx, dev, data:w] */
    expect_refused(BYTES(0x95, 9, 0, 0, 0, 0x92, 0xcd, 2, 0, 0), ERR_trace_blob, 9);
    expect_refused(BYTES(0x95, 9, 0, 0, 0, 0x92, 5, 0), canonical, 5); /* short */
    expect_refused(BYTES(0x95, 9, 0, 0, 0, 0x91, 5), schema, 5);       /* no numbers */
    expect_refused(BYTES(0x95, 9, 0, 0, 0, 0x93, 0xcd, 2, 0, 0, 0), schema, 5);
    expect_refused(BYTES(0x95, 9, 0, 0, 0, 0x92, 0xce, 0x40, 0, 0, 1, 0), ERR_limit, 5);
    /* pvm.start [50, dt, dx, prog, pc, gas, regs, maps:uuu[]] */
    expect_refused(BYTES(0x98, 50, 0, 0, 0, 0, 0, 0x90, 0x92, 1, 2), schema, 8);
    expect_refused(BYTES(0x98, 50, 0, 0, 0, 0, 0, 0x91, 0x90, 0x90), schema, 8);
    /* blob [1, 0, 0, bytes] */
    expect_refused(BYTES(0x94, 1, 1, 0, 0xc4, 1, 1), schema, 0); /* dt */
    expect_refused(BYTES(0x94, 1, 0, 0, 0xc4, 0), schema, 4);    /* empty */
    expect_refused(BYTES(0x93, 1, 0, 0), schema, 0);
    /* more records than announced; fewer */
    expect_refused(BYTES(0x93, 7, 0, 0, 0x93, 7, 0, 0), ERR_trace_chunk, 4);
    expect_refused(BYTES(0x93, 7, 0), canonical, 0);
}

static void test_long_bin_of_512(void **state)
{
    (void)state;
    /* w of 512 bytes must not be inline; b may be. */
    uint8_t payload[600] = {0x95, 9, 0, 0, 0, 0xc5, 2, 0};
    expect_refused(bytes_of(payload, 8 + 512), ERR_trace_canonical, 5);
    payload[6] = 1; /* 511 */
    payload[7] = 0xff;
    struct craft craft;
    struct trace_fault fault;
    uint64_t count;
    craft_begin(&craft, (struct bytes){0}, 0);
    craft_events(&craft, bytes_of(payload, 8 + 511), 1, 1, 0, 0, 0);
    craft_end(&craft);
    assert_int_equal(read_all(&craft.source, &count, &fault), ERR_ok);
    assert_int_equal(count, 1);
    craft_fini(&craft);
}

/* ---- chunks that lie about their position ---- */

static void expect_bad_position(uint64_t seq, uint64_t icount, uint64_t gas,
                                uint32_t blobs)
{
    struct craft craft;
    struct trace_fault fault;
    uint64_t count;
    craft_begin(&craft, (struct bytes){0}, 0);
    /* Two events, icount +3, gas +5, no blob; then the next chunk starts elsewhere. */
    craft_events(&craft, BYTES(0x93, 7, 1, 2, 0x93, 7, 2, 3), 2, seq, 3, gas, blobs);
    craft.position.clock.icount += icount;
    craft_events(&craft, BYTES(0x93, 7, 0, 0), 1, 1, 0, 0, 0);
    craft_end(&craft);
    assert_int_equal(read_all(&craft.source, &count, &fault), ERR_trace_sequence);
    assert_int_equal(count, 2);
    assert_true(defects_of(&craft.source) > 0);
    craft_fini(&craft);
}

static void test_positions(void **state)
{
    (void)state;
    expect_bad_position(1, 0, 5, 0);
    expect_bad_position(3, 0, 5, 0);
    expect_bad_position(2, 1, 5, 0);
    expect_bad_position(2, 0, 4, 0);
    expect_bad_position(2, 0, 5, 1);
    /* icount1 is not what the events say */
    struct craft craft;
    struct trace_fault fault;
    uint64_t count;
    craft_begin(&craft, (struct bytes){0}, 0);
    craft_events(&craft, BYTES(0x93, 7, 1, 2), 1, 1, 2, 2, 0);
    craft_end(&craft);
    assert_int_equal(read_all(&craft.source, &count, &fault), ERR_trace_sequence);
    craft_fini(&craft);
    /* a clock beyond 2^64 */
    craft_begin(&craft, (struct bytes){0}, 0);
    craft_events(
        &craft,
        BYTES(0x93, 7, 0xcf, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0x93, 7, 1, 0),
        2, 2, UINT64_MAX, 0, 0);
    craft_end(&craft);
    assert_int_equal(read_all(&craft.source, &count, &fault), ERR_trace_sequence);
    craft_fini(&craft);
}

/* ---- sizes that lie ---- */

static void patch_header(struct craft *craft, uint64_t at, size_t field, uint32_t value)
{
    uint8_t *header = craft->memory.file.data + at;
    put32(header + field, value);
    put32(header + 100, hash_crc32c(0, header, 100));
}

static void test_lying_sizes(void **state)
{
    (void)state;
    static const struct {
        size_t field;
        uint32_t value;
        enum err want;
    } row[] = {
        {52, 0xffffffff, ERR_trace_chunk},     /* raw_len */
        {52, (64 << 20) + 1, ERR_trace_chunk}, /* above the limit */
        {56, 0x7fffffff, ERR_trace_chunk},     /* stored_len */
        {48, 0xffffffff, ERR_trace_chunk},     /* nrec > raw_len */
        {48, 0, ERR_trace_chunk},              /* fewer records */
        {56, 5, ERR_trace_chunk},              /* codec none, other lengths */
    };
    for (size_t i = 0; i < countof(row); i++) {
        struct craft craft;
        struct trace_fault fault;
        uint64_t count;
        craft_begin(&craft, (struct bytes){0}, 0);
        uint64_t at = craft.tail.end;
        craft_events(&craft, BYTES(0x93, 7, 0, 0), 1, 1, 0, 0, 0);
        craft_end(&craft);
        patch_header(&craft, at, row[i].field, row[i].value);
        assert_int_equal(read_all(&craft.source, &count, &fault), row[i].want);
        assert_int_equal(count, 0);
        craft_fini(&craft);
    }
}

/* zstd frames that announce what they do not hold. */
static void test_lying_frames(void **state)
{
    (void)state;
    static uint8_t zeros[4096];
    struct codec codec = {0};
    struct buf frame;
    buf_init(&frame, 1 << 20);
    assert_true(trace_codec_compress(&codec, 1, bytes_of(zeros, sizeof zeros), &frame) >
                0);
    for (unsigned kind = 0; kind < 3; kind++) {
        struct craft craft;
        struct trace_fault fault;
        uint64_t count;
        craft_begin(&craft, (struct bytes){0}, 0);
        uint64_t at = craft.tail.end;
        if (kind == 2) /* two frames */
            buf_put(&frame, frame.data, frame.size);
        craft_events(&craft, buf_bytes(&frame), 1, 1, 0, 0, 0);
        craft_end(&craft);
        uint8_t *header = craft.memory.file.data + at;
        header[5] = TRACE_CODEC_ZSTD;
        if (kind == 1)
            memset(header + 104, 0xff, 8); /* no frame at all */
        patch_header(&craft, at, 52, kind == 0 ? 4095 : 4096);
        patch_header(&craft, at, 96, hash_crc32c(0, header + 104, get32(header + 56)));
        assert_int_equal(read_all(&craft.source, &count, &fault), ERR_trace_codec);
        craft_fini(&craft);
    }
    buf_fini(&frame);
    trace_codec_fini(&codec);
}

/* A few bytes must never reserve much: in 512 MiB of address space all is well. */
static void test_small_files_small_memory(void **state)
{
    (void)state;
    uint64_t count;
    struct trace_fault fault;
    struct craft craft;
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)512 << 20;
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* the sanitizer reserves terabytes itself */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    skip();
#endif
#endif
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    craft_begin(&craft, (struct bytes){0}, 0);
    craft_events(&craft, BYTES(0xdd, 0x0f, 0xff, 0xff, 0xff), 1, 1, 0, 0, 0);
    craft_end(&craft);
    assert_int_equal(read_all(&craft.source, &count, &fault), ERR_trace_canonical);
    craft_fini(&craft);
    struct bytes tiny = BYTES(0xdd, 0x0f, 0xff, 0xff, 0xff);
    struct trace_source source = trace_bytes_source(&tiny);
    assert_int_equal(read_all(&source, &count, &fault), ERR_trace_magic);
    /* A header payload of 4 GiB. */
    uint8_t header[64] = {0x89, 'L', 'K', 'S', 13,   10,   26,   10,
                          1,    0,   0,   0,   0xff, 0xff, 0xff, 0xff};
    struct bytes bytes = bytes_of(header, sizeof header);
    source = trace_bytes_source(&bytes);
    assert_int_equal(read_all(&source, &count, &fault), ERR_limit);
    put32(header + 12, 1 << 20);
    assert_int_equal(read_all(&source, &count, &fault), ERR_trace_truncated);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
}

/* One blob, and a w value of a gibibyte made of it 16,384 times: no memory for it. */
static void test_blob_bomb(void **state)
{
    (void)state;
    struct craft craft;
    struct trace_reader *reader;
    struct trace_record record;
    struct trace_console_out out;
    struct arena arena;
    bool end;
    static uint8_t blob[65536];
    static uint8_t payload[65536 + 8 + 16384 + 64];
    struct packer packer = {payload, payload + sizeof payload, false};
    trace_pack_array(&packer, 4);
    trace_pack_uint(&packer, 1);
    trace_pack_uint(&packer, 0);
    trace_pack_uint(&packer, 0);
    trace_pack_bin(&packer, bytes_of(blob, sizeof blob));
    trace_pack_array(&packer, 5);
    trace_pack_uint(&packer, TRACE_ID_console_out);
    for (unsigned i = 0; i < 3; i++)
        trace_pack_uint(&packer, 0);
    trace_pack_array(&packer, 1 + 16384);
    trace_pack_uint(&packer, 1 << 30);
    for (unsigned i = 0; i < 16384; i++)
        trace_pack_uint(&packer, 0);
    assert_false(packer.full);
    craft_begin(&craft, (struct bytes){0}, 0);
    craft_events(&craft, bytes_of(payload, (size_t)(packer.at - payload)), 2, 1, 0, 0,
                 1);
    craft_end(&craft);
    arena_init(&arena, 16 << 20);
    assert_int_equal(trace_reader_open(&arena, &craft.source, NULL, NULL, &reader),
                     ERR_ok);
    assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
    assert_int_equal(trace_decode_console_out(reader, &record, &arena, &out),
                     ERR_nomem);
    /* Piece by piece it can be read. */
    struct trace_values values = trace_record_values(&record, 1);
    struct trace_value value;
    uint8_t some[100];
    assert_true(trace_values_next(&values, &value));
    assert_int_equal(value.size, 1 << 30);
    assert_int_equal(trace_value_read(reader, &value, (1 << 30) - 100, some, 100),
                     ERR_ok);
    assert_int_equal(trace_value_read(reader, &value, 65500, some, 100), ERR_ok);
    assert_int_equal(trace_value_read(reader, &value, (1 << 30) - 99, some, 100),
                     ERR_usage);
    trace_reader_close(reader);
    arena_fini(&arena);
    craft_fini(&craft);
}

/* A piece of the wrong size must not be copied; a number must be there. */
static void test_wrong_pieces(void **state)
{
    (void)state;
    static uint8_t room[70000], blob[600];
    struct craft craft;
    struct trace_reader *reader;
    struct trace_record record;
    struct trace_console_out out;
    struct arena arena;
    struct bytes piece;
    bool end;
    struct packer packer = {room, room + sizeof room, false};
    trace_pack_array(&packer, 4);
    for (unsigned i = 0; i < 3; i++)
        trace_pack_uint(&packer, i ? 0 : 1);
    trace_pack_bin(&packer, bytes_of(blob, sizeof blob));
    trace_pack_array(&packer, 5);
    trace_pack_uint(&packer, TRACE_ID_console_out);
    for (unsigned i = 0; i < 3; i++)
        trace_pack_uint(&packer, 0);
    trace_pack_array(&packer, 2);
    trace_pack_uint(&packer, 601);
    trace_pack_uint(&packer, 0);
    craft_begin(&craft, (struct bytes){0}, 0);
    craft_events(&craft, bytes_of(room, (size_t)(packer.at - room)), 2, 1, 0, 0, 1);
    craft_end(&craft);
    arena_init(&arena, 16 << 20);
    assert_int_equal(trace_reader_open(&arena, &craft.source, NULL, NULL, &reader),
                     ERR_ok);
    assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
    assert_int_equal(trace_decode_console_out(reader, &record, &arena, &out),
                     ERR_trace_blob);
    assert_int_equal(trace_reader_blob(reader, 0, &piece), ERR_ok);
    assert_int_equal(trace_reader_blob(reader, 1, &piece), ERR_trace_blob);
    assert_int_equal(trace_reader_blob(reader, UINT64_MAX, &piece), ERR_trace_blob);
    trace_reader_close(reader);
    arena_fini(&arena);
    craft_fini(&craft);
}

/* No cut rule leaves this much in a chunk of events: refused by the header alone. */
static void test_chunk_too_large(void **state)
{
    (void)state;
    static uint8_t payload[393216];
    struct craft craft;
    struct trace_fault fault;
    uint64_t count;
    for (size_t i = 0; i < sizeof payload; i += 4)
        memcpy(payload + i, "\x93\x07\0\0", 4);
    for (unsigned less = 0; less < 2; less++) {
        uint32_t records = sizeof payload / 4 - less;
        craft_begin(&craft, (struct bytes){0}, 0);
        craft_events(&craft, bytes_of(payload, 4 * records), records, records, 0, 0, 0);
        craft_end(&craft);
        assert_int_equal(read_all(&craft.source, &count, &fault),
                         less ? ERR_ok : ERR_trace_chunk);
        assert_int_equal(count, less ? records : 0);
        craft_fini(&craft);
    }
}

/* Bytes in the right place that look like an open window, but for the chain value: a
 * guest could have had them recorded. */
static void test_forged_window(void **state)
{
    (void)state;
    for (unsigned forged = 0; forged < 2; forged++) {
        struct craft craft;
        struct trace_reader *reader;
        struct trace_record record;
        struct arena arena;
        bool end;
        craft_begin(&craft, (struct bytes){0}, 0);
        craft_events(&craft, BYTES(0x93, 7, 0, 0), 1, 1, 0, 0, 0);
        assert_int_equal(trace_tail_open(&craft.tail, &craft.position, 0), ERR_ok);
        struct packer packer = trace_tail_packer(&craft.tail);
        trace_pack_array(&packer, 3);
        trace_pack_uint(&packer, 7);
        trace_pack_uint(&packer, 0);
        trace_pack_uint(&packer, 0);
        assert_int_equal(trace_tail_commit(&craft.tail, &packer), ERR_ok);
        trace_memory_flush(&craft.memory);
        uint8_t *window = craft.memory.file.data + craft.tail.window_at;
        if (forged) {
            window[64] ^= 1;
            put32(window + 100, hash_crc32c(0, window, 100));
        }
        struct bytes bytes = buf_bytes(&craft.memory.file);
        struct trace_source source = trace_bytes_source(&bytes);
        arena_init(&arena, 1 << 20);
        assert_int_equal(trace_reader_open(&arena, &source, NULL, NULL, &reader),
                         ERR_ok);
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        assert_false(end);
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        assert_int_equal(end, forged);
        trace_reader_close(reader);
        arena_fini(&arena);
        craft_fini(&craft);
    }
}

/* More chunks than the table keeps: seeking and blobs still find everything. */
static void test_many_chunks(void **state)
{
    (void)state;
    enum { CHUNK_COUNT = 300000, BLOB_EVERY = 10000 };
    static uint8_t room[1024], blob[600];
    struct craft craft;
    struct arena arena;
    struct trace_reader *reader;
    struct trace_record record;
    uint64_t random = 3;
    bool end;
    craft_begin(&craft, (struct bytes){0}, 0);
    for (uint32_t i = 0; i < CHUNK_COUNT; i++) {
        struct packer packer = {room, room + sizeof room, false};
        if (i % BLOB_EVERY == 0) {
            memset(blob, (int)(i / BLOB_EVERY), sizeof blob);
            trace_pack_array(&packer, 4);
            for (unsigned k = 0; k < 3; k++)
                trace_pack_uint(&packer, k ? 0 : 1);
            trace_pack_bin(&packer, bytes_of(blob, sizeof blob));
        }
        uint32_t blobs = packer.at > room;
        trace_pack_array(&packer, 4);
        trace_pack_uint(&packer, 7);
        trace_pack_uint(&packer, 1);
        trace_pack_uint(&packer, 2);
        trace_pack_uint(&packer, i + 1);
        craft_events(&craft, bytes_of(room, (size_t)(packer.at - room)), 1 + blobs, 1,
                     1, 2, blobs);
    }
    craft_end(&craft);
    arena_init(&arena, 1 << 20);
    assert_int_equal(trace_reader_open(&arena, &craft.source, NULL, NULL, &reader),
                     ERR_ok);
    for (unsigned k = 0; k < 200; k++) {
        struct trace_chaos chaos;
        struct bytes piece;
        uint64_t i = k ? test_random(&random) % CHUNK_COUNT : CHUNK_COUNT - 1;
        assert_int_equal(trace_reader_seek_seq(reader, i), ERR_ok);
        assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
        assert_int_equal(trace_decode_chaos(reader, &record, &arena, &chaos), ERR_ok);
        assert_int_equal(chaos.site, i + 1);
        assert_int_equal(record.clock.icount, i + 1);
        assert_int_equal(record.clock.gas, 2 * (i + 1));
        uint64_t number = test_random(&random) % (i / BLOB_EVERY + 1);
        assert_int_equal(trace_reader_blob(reader, number, &piece), ERR_ok);
        assert_int_equal(piece.size, sizeof blob);
        assert_int_equal(piece.data[0], number);
        assert_int_equal(trace_reader_blob(reader, i / BLOB_EVERY + 1, &piece),
                         ERR_trace_blob);
    }
    assert_true(reader->table.stride > 1);
    trace_reader_close(reader);
    arena_fini(&arena);
    craft_fini(&craft);
}

/* ---- versions [2.15, 3.5] ---- */

static void set_version(struct craft *craft, uint16_t major, uint16_t minor)
{
    uint8_t *file = craft->memory.file.data;
    put16(file + 8, major);
    put16(file + 10, minor);
    uint32_t size = get32(file + 12);
    put32(file + 16, hash_crc32c(hash_crc32c(0, file, 16), file + 20, size));
}

static void put_row(struct buf *rows, unsigned id, const char *wire, const char *fields)
{
    uint8_t row[512];
    struct packer packer = {row, row + sizeof row, false};
    trace_pack_array(&packer, 3);
    trace_pack_uint(&packer, id);
    trace_pack_str(&packer, wire);
    trace_pack_str(&packer, fields);
    buf_put(rows, row, (size_t)(packer.at - row));
}

static void test_newer_files(void **state)
{
    (void)state;
    struct craft craft;
    struct trace_fault fault;
    struct buf rows;
    uint64_t count;
    uint16_t major, minor;
    buf_init(&rows, 4096);
    put_row(&rows, 7, "chaos", "site:u:i choice:u:i arg:u:i extra:f:n more:iu[]:o");
    put_row(&rows, 99, "pvm.new", "a:u:i b:iw[]:x f:f:o");
    craft_begin(&craft, buf_bytes(&rows), 2);
    static const uint8_t payload[] = {
        0x98, 7, 1,    2,    3,    4,    5,  0xc4, 8, 1, 2,    3,    4,    5,    6,
        7,    8, 0x92, 0xff, 9,    0x96, 99, 1,    2, 3, 0x94, 0xd0, 0x80, 0xc4, 1,
        0xaa, 5, 0xc4, 0,    0xc4, 8,    0,  0,    0, 0, 0,    0,    0,    0};
    craft_events(&craft, bytes_of(payload, sizeof payload), 2, 2, 2, 4, 0);
    /* A chunk kind that nobody knows, with a codec that nobody knows. */
    craft_chunk(&craft, (struct trace_chunk){.kind = 77}, BYTES(1, 2, 3));
    craft_events(&craft, BYTES(0x93, 7, 0, 0), 1, 1, 0, 0, 0);
    craft_end(&craft);
    set_version(&craft, 1, 9);
    assert_int_equal(read_all(&craft.source, &count, &fault), ERR_ok);
    assert_int_equal(count, 3);

    struct arena arena;
    struct trace_reader *reader;
    struct trace_record record;
    struct trace_chaos chaos;
    struct trace_value value;
    bool end;
    arena_init(&arena, 16 << 20);
    assert_int_equal(trace_reader_open(&arena, &craft.source, NULL, NULL, &reader),
                     ERR_ok);
    assert_int_equal(trace_reader_header(reader)->minor, 9);
    /* A known kind with fields of later versions: they are skipped. */
    assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
    assert_int_equal(trace_decode_chaos(reader, &record, &arena, &chaos), ERR_ok);
    assert_int_equal(chaos.arg, 5);
    struct trace_values values = trace_record_values(&record, 4);
    assert_true(trace_values_next(&values, &value));
    assert_int_equal(value.type, 'i');
    assert_int_equal((int64_t)value.number, -1);
    /* An unknown kind is told by its row. */
    assert_int_equal(trace_reader_next(reader, &record, &end), ERR_ok);
    assert_string_equal(record.kind->wire, "pvm.new");
    assert_null(trace_kind_of(record.kind->id));
    values = trace_record_values(&record, 1);
    assert_true(trace_values_next(&values, &value));
    assert_int_equal((int64_t)value.number, -128);
    assert_true(trace_values_next(&values, &value));
    assert_int_equal(value.size, 1);
    assert_true(trace_values_next(&values, &value));
    assert_true(trace_values_next(&values, &value));
    assert_false(trace_values_next(&values, &value));
    trace_reader_close(reader);

    /* Replay refuses what it does not know, and takes over the fields it does not. */
    struct trace *trace;
    assert_int_equal(trace_reader_open(&arena, &craft.source, NULL, NULL, &reader),
                     ERR_ok);
    assert_int_equal(trace_replay_create(&arena, reader, NULL, &trace), ERR_ok);
    trace->clock = (struct trace_clock){.icount = 1, .gas = 2};
    chaos = (struct trace_chaos){0};
    assert_int_equal(trace_chaos(trace, &chaos), ERR_ok);
    trace->clock = (struct trace_clock){.icount = 2, .gas = 4};
    assert_int_equal(trace_chaos(trace, &chaos), ERR_trace_diverged);
    trace_close(trace);
    trace_reader_close(reader);

    set_version(&craft, 2, 0);
    assert_int_equal(read_all(&craft.source, &count, &fault), ERR_trace_version);
    assert_int_equal(trace_file_version(&craft.source, &major, &minor), ERR_ok);
    assert_int_equal(major, 2);
    assert_int_equal(minor, 0);
    craft_fini(&craft);
    arena_fini(&arena);
    buf_fini(&rows);
}

/* An older file has fewer fields: they are defaults, and not compared. */
static void test_older_file(void **state)
{
    (void)state;
    struct craft craft;
    struct buf rows;
    struct arena arena;
    struct trace_reader *reader;
    struct trace *trace;
    buf_init(&rows, 4096);
    put_row(&rows, 9, "console.out", "dev:u:o");
    craft_begin(&craft, buf_bytes(&rows), 1);
    craft_events(&craft, BYTES(0x94, 9, 0, 0, 33), 1, 1, 0, 0, 0);
    craft_end(&craft);
    arena_init(&arena, 16 << 20);
    assert_int_equal(trace_reader_open(&arena, &craft.source, NULL, NULL, &reader),
                     ERR_ok);
    assert_int_equal(trace_replay_create(&arena, reader, NULL, &trace), ERR_ok);
    struct trace_console_out out = {.dev = 33, .data = bytes_of("abc", 3)};
    assert_int_equal(trace_console_out(trace, &out), ERR_ok);
    trace_close(trace);
    trace_reader_close(reader);
    arena_fini(&arena);
    craft_fini(&craft);
    buf_fini(&rows);
}

static void expect_bad_schema(enum err want, unsigned id, const char *wire,
                              const char *fields)
{
    struct craft craft;
    struct buf rows;
    uint64_t count;
    struct trace_fault fault;
    buf_init(&rows, 4096);
    put_row(&rows, id, wire, fields);
    craft_begin(&craft, buf_bytes(&rows), 1);
    craft_end(&craft);
    assert_int_equal(read_all(&craft.source, &count, &fault), want);
    craft_fini(&craft);
    buf_fini(&rows);
}

static void test_bad_schemas(void **state)
{
    (void)state;
    expect_bad_schema(ERR_ok, 99, "x", "a:u:i");
    expect_bad_schema(ERR_ok, 99, "x", "");
    expect_bad_schema(ERR_trace_schema, 99, "x", "a:u:q");
    expect_bad_schema(ERR_trace_schema, 99, "x", "a:z:i");
    expect_bad_schema(ERR_trace_schema, 99, "x", "a:uu:i"); /* a tuple is a list */
    expect_bad_schema(ERR_trace_schema, 99, "x", "a:[]:i");
    expect_bad_schema(ERR_trace_schema, 99, "x", "a:uuuuuuuuu[]:i");
    expect_bad_schema(ERR_trace_schema, 99, "x", "a:u");
    expect_bad_schema(ERR_trace_schema, 99, "x", ":u:i");
    expect_bad_schema(ERR_trace_schema, 99, "x", "a:u:i ");
    expect_bad_schema(ERR_trace_schema, 99, "x", "a:u:i  b:u:i");
    expect_bad_schema(ERR_trace_schema, 99, "", "a:u:i");
    /* Known ids are frozen. */
    expect_bad_schema(ERR_trace_schema, 9, "console.out", "dev:i:o");
    expect_bad_schema(ERR_trace_schema, 9, "console.out", "dev:u:i");
    expect_bad_schema(ERR_trace_schema, 9, "console.out", "device:u:o");
    expect_bad_schema(ERR_trace_schema, 9, "console.output", "dev:u:o");
}

/* Reading needs little more than its bounds, and every failure to get it is told. */
static void test_no_memory(void **state)
{
    (void)state;
    struct arena arena;
    struct trace_memory memory;
    struct trace_writer_options options = example_options();
    arena_init(&arena, 1 << 20);
    trace_memory_init(&memory, 4 << 20);
    struct trace_sink sink = trace_memory_sink(&memory);
    assert_int_equal(example_record(&arena, &sink, &options, NULL), ERR_ok);
    struct bytes bytes = buf_bytes(&memory.file);
    struct trace_source source = trace_bytes_source(&bytes);
    enum err err = ERR_nomem;
    for (size_t size = 0; err; size += 64) {
        struct arena small;
        struct trace_reader *reader;
        arena_init(&small, size);
        err = trace_reader_open(&small, &source, NULL, NULL, &reader);
        assert_true(err == ERR_ok || err == ERR_nomem);
        if (!err)
            trace_reader_close(reader);
        arena_fini(&small);
        assert_true(size < 1 << 20);
    }
    trace_memory_fini(&memory);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_canonical),
        cmocka_unit_test(test_long_bin_of_512),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_lying_sizes),
        cmocka_unit_test(test_lying_frames),
        cmocka_unit_test(test_blob_bomb),
        cmocka_unit_test(test_wrong_pieces),
        cmocka_unit_test(test_chunk_too_large),
        cmocka_unit_test(test_forged_window),
        cmocka_unit_test(test_many_chunks),
        cmocka_unit_test(test_newer_files),
        cmocka_unit_test(test_older_file),
        cmocka_unit_test(test_bad_schemas),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_small_files_small_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
