/* SPDX-License-Identifier: MIT
 *
 * trace/internal.h - what the files of trace/ share.
 */
#ifndef TRACE_INTERNAL_H
#define TRACE_INTERNAL_H

#include "trace/trace.h"
#include "trace/wire.h"

enum {
    FILE_HEADER_SIZE = 20,
    CHUNK_HEADER_SIZE = 104,
    TRAILER_SIZE = 48,
    HEADER_PAYLOAD_MAX = 1 << 20,
    RAW_SIZE_MAX = 64 << 20,
    STORED_EXTRA_MAX = 1024,
    RECORD_SIZE_MAX = 131072,
    BLOB_SIZE_MAX = 65536,
    BYTES_SIZE_MAX = 65535,  /* type b */
    WIDE_INLINE_MAX = 511,   /* type w, else blobs */
    WIDE_SIZE_MAX = 1 << 30, /* type w */
    SCHEMA_ROW_MAX = 1024,
    SCHEMA_SIZE_MAX = 1 << 20,                    /* own limit: 1,024 rows of 1 KiB */
    SCHEMA_FIELD_MAX = 256,                       /* own limit, per row */
    CUT_SIZE = 262144,                            /* [2.5] */
    CUT_ICOUNT_SHIFT = 24,                        /* [2.5] */
    EVENTS_SIZE_MAX = CUT_SIZE + RECORD_SIZE_MAX, /* follows from 2.5 */
    WINDOW_SIZE = 1 << 20,                        /* [2.6] */
    WINDOW_CAPACITY = 524288,                     /* [2.6] */
    WINDOW_RECORDS = CHUNK_HEADER_SIZE + 8,
    CHUNK_ALIGN = 8,
    INDEX_ROW_SIZE_MAX = 1 + 8 * 9,
};

#define TRACE_MAGIC "\x89LKS\r\n\x1a\n"
#define CHUNK_MAGIC "LKSC"
#define TRAILER_MAGIC "LKSE"

/* ---- schema.c ---- */

/* Append the rows of `ids`, or of all kinds of `guest`; their number, 0 for an unknown
 * id or an error that stuck to `payload`. */
uint32_t trace_schema_put(struct buf *payload, enum trace_guest guest,
                          const enum trace_id *ids, size_t id_count);

/* Read a schema chunk.  trace_canonical, trace_schema, limit, nomem; *fault_offset is
 * where. */
ERR_MUST_CHECK enum err trace_schema_parse(struct arena *arena, struct bytes payload,
                                           uint32_t record_count, size_t *fault_offset,
                                           struct trace_schema *ret_schema);

/* May it stand in a chunk of events, other than as a blob? */
static inline bool trace_id_is_event(uint64_t id)
{
    return id != TRACE_ID_blob && id != TRACE_ID_note && id != TRACE_ID_bookmark &&
           id != TRACE_ID_volatile;
}

/* Does the row agree with the built-in one, up to fields appended by either? */
bool trace_schema_row_fits(const struct trace_kind *row);

/* ---- encode.c ---- */

/* Where encoded bytes go; `full` instead of writing past `end`. */
struct packer {
    uint8_t *at;
    uint8_t *end;
    bool full;
};
void trace_pack_uint(struct packer *packer, uint64_t number);
void trace_pack_array(struct packer *packer, size_t count);
void trace_pack_bin(struct packer *packer, struct bytes bytes);
void trace_pack_str(struct packer *packer, const char *text);

/* What every trace_list_* is. */
struct any_list {
    const void *item;
    size_t count;
};

/* What trace_encode_event() needs besides the event. */
struct encoding {
    const struct trace_kind *kind; /* built-in row */
    uint32_t field_count;          /* fields that the file knows */
    bool pc;                       /* dx is the absolute sub */
    struct trace_clock before;
    struct trace_clock now;
    const uint32_t *blob; /* numbers of the pieces, consumed by trace_encode_event */
    /* Replay: fields whose bytes are taken from the recorded event, by index; an entry
     * without data is encoded.  NULL: none. */
    const struct bytes *taken;
    uint32_t
        taken_count; /* >= field_count: more are fields unknown to the built-in row */
};

/* Append one field; whether it holds its default. */
ERR_MUST_CHECK enum err trace_encode_field(struct packer *packer,
                                           struct encoding *encoding,
                                           const struct trace_field *field,
                                           const void *event);
bool trace_field_is_default(const struct trace_field *field, const void *event);

/* Append one event.  ERR_limit (record, bytes or text too long), ERR_trace_canonical
 * (a text that is no UTF-8), ERR_trace_sequence (a clock that falls). */
ERR_MUST_CHECK enum err
trace_encode_event(struct packer *packer, struct encoding *encoding, const void *event);

/* Call `each` for the pieces of every w value that is stored as blobs, in order, but
 * not for fields with taken bytes. */
ERR_MUST_CHECK enum err
trace_encode_pieces(const struct encoding *encoding, const void *event,
                    enum err (*each)(void *self, struct bytes piece), void *self);

/* ---- blobs.c: which blob number has this content? ---- */

struct blob_table {
    struct buf hashes; /* struct hash256 by number */
    struct buf slots;  /* u64, open addressing: number + 1 and a tag, or 0 */
    uint32_t count;
};
void trace_blob_table_init(struct blob_table *table);
void trace_blob_table_fini(struct blob_table *table);
void trace_blob_table_clear(struct blob_table *table);
bool trace_blob_table_find(const struct blob_table *table, const struct hash256 *hash,
                           uint32_t *ret_number);
/* Number the next blob.  nomem, limit. */
ERR_MUST_CHECK enum err trace_blob_table_add(struct blob_table *table,
                                             const struct hash256 *hash);

/* ---- chunk.c ---- */

struct file_tag {
    uint8_t byte[8];
};

/* Append the file header [2.1] and its padding; fills *header but for `size`. */
void trace_header_put(struct buf *file, struct trace_header *header);

/* Read and check it.  `fault` as everywhere. */
ERR_MUST_CHECK enum err trace_header_read(const struct trace_source *source,
                                          struct trace_fault *fault,
                                          struct trace_header *ret_header);

/* Encode with both crc; `offset` is not stored. */
void trace_chunk_header_put(const struct trace_chunk *chunk,
                            const struct hash256 *chain_init,
                            uint8_t ret_bytes[CHUNK_HEADER_SIZE]);

/* Decode; magic, crc, tag and limits checked: trace_chunk, trace_crc. */
ERR_MUST_CHECK enum err trace_chunk_header_get(const uint8_t bytes[CHUNK_HEADER_SIZE],
                                               const struct hash256 *chain_init,
                                               struct trace_chunk *ret_chunk);

bool trace_chunk_chained(const struct trace_chunk *chunk);
/* A checkpoint without BASE, which a trace can do without (unless it is a ring). */
bool trace_chunk_extra(const struct trace_chunk *chunk);

/* The chain value behind this chunk [2.4]. */
struct hash256 trace_chunk_chain(const struct hash256 *before,
                                 const struct trace_chunk *chunk, struct bytes raw);

static inline uint64_t align_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

/* The index row of a chunk [2.11]. */
void trace_pack_index_row(struct packer *packer, const struct trace_chunk *chunk);

/* Where the chunk behind this one begins. */
static inline uint64_t chunk_end(const struct trace_chunk *chunk)
{
    return align_up(chunk->offset + CHUNK_HEADER_SIZE + chunk->stored_size,
                    CHUNK_ALIGN);
}

/* Where the open window is for a file whose closed chunks end at `end` [2.6]. */
static inline uint64_t window_offset(uint64_t end)
{
    return align_up(end + WINDOW_SIZE, 4096);
}

/* ---- codec.c: zstd ---- */

struct codec {
    void *compress;   /* ZSTD_CCtx */
    void *decompress; /* ZSTD_DCtx */
};
void trace_codec_fini(struct codec *codec);

/* Append the compressed form; 0 when it is not smaller than `raw` (nothing is
 * appended).  Errors stick to `stored`. */
size_t trace_codec_compress(struct codec *codec, unsigned level, struct bytes raw,
                            struct buf *stored);

/* Decompress to exactly raw_size bytes.  trace_codec, nomem. */
ERR_MUST_CHECK enum err trace_codec_decompress(struct codec *codec, struct bytes stored,
                                               size_t raw_size, struct buf *raw);

/* ---- validate.c ---- */

/* What a payload holds; for pc the gas is meaningless. */
struct payload_totals {
    uint64_t event_count;
    uint64_t blob_count;
    uint64_t icount; /* sum of dt */
    uint64_t gas;    /* sum of dx */
    bool gas_overflow;
};
/* `ends` (may be NULL) gets where each record ends, as u32. */
#define RECORD_COUNT_UNKNOWN UINT32_MAX /* of an open window: up to its end */
ERR_MUST_CHECK enum err trace_payload_validate(struct bytes payload, uint8_t chunk_kind,
                                               const struct trace_schema *schema,
                                               uint32_t record_count, uint64_t blob0,
                                               struct buf *ends, size_t *fault_offset,
                                               struct payload_totals *ret_totals);

/* ---- tail.c: chunks going out ---- */

/* Where a writer stands: what the next chunk header says. */
struct position {
    uint64_t seq;
    struct trace_clock clock; /* of the last event */
    uint32_t blob_count;      /* since the last EPOCH */
    struct hash256 chain;
};

/*
 * Chunks of one file going out: closed ones, the open window behind them, index and
 * trailer.  Errors are returned, not remembered; the owner stops at the first.
 */
struct tail {
    struct trace_sink sink;
    enum trace_sync sync;
    unsigned zstd_level;
    struct codec codec;
    struct hash256 chain_init;
    uint64_t end;          /* E: end of the last closed chunk */
    uint64_t window_at;    /* W; valid while window is mapped */
    uint8_t *window;       /* NULL: not mapped */
    size_t prepared;       /* how much of it is ready for stores */
    struct trace_chunk at; /* of the open chunk: seq0, icount0, gas0, blob0, flags */
    uint32_t raw_size;     /* of the records in the window */
    uint32_t raw_crc;
    uint32_t record_count;
    struct buf stored; /* scratch */
    struct buf index;  /* records of the index chunk */
    uint32_t index_count;
};

void trace_tail_init(struct tail *tail, const struct trace_sink *sink,
                     enum trace_sync sync, unsigned zstd_level);
void trace_tail_fini(struct tail *tail); /* unmaps; leaves the file as it is */

/* Write the file header at 0; sets chain_init and `end`. */
ERR_MUST_CHECK enum err trace_tail_put_header(struct tail *tail,
                                              struct trace_header *header);

/* Write a closed chunk at `end`.  Its `chain` is set from *chain, which moves on if the
 * kind is chained.  Fields of *chunk used: kind, flags, seq0, icount0, icount1, gas0,
 * record_count, blob0. */
ERR_MUST_CHECK enum err trace_tail_put_chunk(struct tail *tail,
                                             struct trace_chunk *chunk,
                                             struct bytes raw, struct hash256 *chain);

/* Copy a closed chunk as it was stored. */
ERR_MUST_CHECK enum err
trace_tail_copy_chunk(struct tail *tail, struct trace_chunk chunk, struct bytes stored);

/* Add a row to the index to be written. */
ERR_MUST_CHECK enum err trace_tail_add_row(struct tail *tail,
                                           const struct trace_chunk *chunk);

/* Give the window back: something else is to be written where it is. */
void trace_tail_unmap(struct tail *tail);

/* Start the open chunk behind `end`. */
ERR_MUST_CHECK enum err
trace_tail_open(struct tail *tail, const struct position *position, uint16_t flags);

/* Where the next record goes; RECORD_SIZE_MAX bytes fit. */
struct packer trace_tail_packer(struct tail *tail);

/* Complete the record that was packed. */
ERR_MUST_CHECK enum err trace_tail_commit(struct tail *tail,
                                          const struct packer *packer);

/* Close the open chunk, if it has records; nothing is open afterwards. */
ERR_MUST_CHECK enum err trace_tail_close(struct tail *tail, struct position *position);

/* Unmap, cut the file at `end`, and with `index` write index and trailer. */
ERR_MUST_CHECK enum err trace_tail_finish(struct tail *tail,
                                          const struct position *position, bool index);

/* Does the error tell of a damaged file, not of a failing machine? */
static inline bool err_is_damage(enum err err)
{
    return (err >= ERR_trace_magic && err <= ERR_trace_full) || err == ERR_limit;
}

/* ---- walk.c: chunks coming in, one code path for whole, live and damaged files ----
 */

struct walk {
    struct trace_source source;
    struct trace_header header;
    struct trace_schema schema;
    bool salvage;            /* report damage, then look for the next chunk [2.12] */
    bool thorough;           /* load and check payloads that only verify needs */
    trace_defect_fn *defect; /* salvage: told about each damage; may be NULL */
    void *defect_self;

    struct position expect; /* before the chunk at `next` */
    bool adopt;             /* after damage or a dropped segment: believe the header */
    uint64_t next;          /* where the next chunk begins */
    bool at_trailer;        /* no, the trailer: the index was the last chunk */
    uint64_t index_offset;
    enum trace_reader_state state;
    struct trace_fault fault; /* the last one */
    uint64_t gap_count;

    struct trace_chunk chunk; /* the current one */
    struct hash256 chain_before;
    bool tail;            /* it is the open window; `next` is its place when closed */
    struct bytes payload; /* raw; empty where nobody needs it */
    struct payload_totals totals;
    struct buf ends; /* u32: where each record of `payload` ends */

    struct codec codec;
    struct buf stored;
    struct buf raw;
    uint64_t trace_tail_commit; /* of the window seen last */
    uint64_t tail_seq0;
};

/* Read file header and schema chunk; the schema lives in `arena`. */
ERR_MUST_CHECK enum err trace_walk_open(struct walk *walk, struct arena *arena,
                                        const struct trace_source *source,
                                        struct trace_fault *fault);
void trace_walk_fini(struct walk *walk);

/*
 * The next chunk.  *ret_end: none; see `state`.  While the tail is open the same chunk
 * comes again with more records; *ret_end says when there is nothing new.  Events
 * payloads are validated completely.  An error is damage (state BROKEN), or the
 * source's.
 */
ERR_MUST_CHECK enum err trace_walk_next(struct walk *walk, bool *ret_end);

/* Stand at a chunk whose header was seen before. */
void trace_walk_go(struct walk *walk, uint64_t offset, const struct position *position);

/* Load and check the payload of `chunk` into `raw`: crc and codec, not the chain. */
ERR_MUST_CHECK enum err
trace_walk_load(struct walk *walk, const struct trace_chunk *chunk, struct buf *raw);

/* load.c: the steps for one closed chunk.  *ret_absent: nothing was written here. */
ERR_MUST_CHECK enum err trace_walk_read(const struct walk *walk, uint64_t offset,
                                        void *data, size_t size); /* trace_truncated */
ERR_MUST_CHECK enum err trace_walk_read_header(struct walk *walk, uint64_t offset,
                                               struct trace_chunk *ret_chunk,
                                               bool *ret_absent);
ERR_MUST_CHECK enum err trace_walk_check_bounds(struct walk *walk,
                                                const struct trace_chunk *chunk);
ERR_MUST_CHECK enum err trace_walk_check_crc(struct walk *walk,
                                             const struct trace_chunk *chunk);
ERR_MUST_CHECK enum err trace_walk_check_padding(struct walk *walk,
                                                 const struct trace_chunk *chunk);
bool trace_all_zero(const uint8_t *data, size_t size);

/* Remember damage; returns `err`. */
enum err trace_walk_damaged(struct walk *walk, enum err err, uint64_t chunk_offset,
                            size_t payload_offset);

/* Do clocks, numbers and blobs go on where the chunk before stopped? */
bool trace_walk_position_fits(const struct walk *walk, const struct trace_chunk *chunk);

/* The validated events of `chunk` against its header.  Behind a closed chunk `expect`
 * moves on; the open tail comes again. */
ERR_MUST_CHECK enum err
trace_walk_pass_events(struct walk *walk, const struct trace_chunk *chunk, bool tail);

/* annotate.c: what a finished file says about itself at its end. */
struct trace_ending {
    struct trace_header header;
    struct trace_chunk index;
    struct hash256 chain;
};
/* Read header, trailer and the header of the index; trace_truncated when there is no
 * trailer. */
ERR_MUST_CHECK enum err trace_ending_read(struct walk *walk,
                                          const struct trace_source *source,
                                          struct trace_ending *ret_ending);

/* window.c: the open window that belongs at `next`. */
enum window { WINDOW_NONE, WINDOW_TAKEN, WINDOW_SAME, WINDOW_MOVED, WINDOW_TORN };
ERR_MUST_CHECK enum err trace_walk_read_window(struct walk *walk,
                                               struct trace_chunk *ret_chunk,
                                               enum window *ret_window);
ERR_MUST_CHECK enum err trace_walk_take_window(struct walk *walk,
                                               struct trace_chunk *chunk);
ERR_MUST_CHECK enum err trace_walk_between_windows(struct walk *walk,
                                                   bool *ret_between);

/* ---- reader.c, table.c, resolve.c ---- */

/* A chunk of events that was seen. */
struct chunk_ref {
    uint64_t offset;
    struct position at; /* before its first record */
    uint32_t epoch; /* how many times blob numbering restarted, this chunk included */
    bool restarts;  /* it does so here */
};

/*
 * Where chunks are, for seeking and blobs: rebuilt by hopping headers.  Bounded: when
 * it is full every other entry goes, and `stride` doubles.
 */
struct chunk_table {
    struct buf refs; /* struct chunk_ref, ascending */
    uint32_t stride;
    uint64_t count;      /* chunks of events seen, entries or not */
    uint64_t hop_offset; /* first chunk not seen yet */
    struct hash256 hop_chain;
    uint32_t epoch;
};

/* Decoded payloads of other chunks, for blobs. */
struct blob_slot {
    uint64_t chunk_offset; /* 0: free */
    uint32_t blob0;
    uint32_t epoch;
    uint64_t tick;
    struct buf raw;
    struct buf bodies; /* u32: where in `raw` each blob's record has its bytes */
};

enum { BLOB_SLOT_COUNT = 24 };

struct trace_reader {
    struct walk walk;
    struct trace_reader_options options;
    struct chunk_table table;
    /* the chunk being read */
    bool in_chunk;
    uint64_t chunk_offset;
    uint64_t chunk_seq0;
    uint32_t blob0;
    uint32_t epoch;
    size_t consumed; /* of its payload: bytes, and records */
    size_t record;
    uint64_t seq;
    struct trace_clock clock;
    struct trace_clock clock_before; /* of the event before the last */
    struct buf bodies;               /* as in blob_slot, for the records passed */
    struct trace_chunk record_chunk;
    struct trace_record pending; /* found by a seek, not yet delivered */
    bool has_pending;
    bool at_end;
    uint64_t tick;
    struct blob_slot slot[BLOB_SLOT_COUNT];
};

/* Remember an events chunk, or pass another one. */
ERR_MUST_CHECK enum err trace_table_note(struct chunk_table *table,
                                         const struct trace_chunk *chunk,
                                         const struct hash256 *chain_before, bool tail);
/* Look at headers behind the last chunk known until `enough` or there is no more. */
ERR_MUST_CHECK enum err trace_table_extend(struct trace_reader *reader,
                                           bool (*enough)(const struct chunk_ref *last,
                                                          uint64_t key),
                                           uint64_t key);
size_t trace_table_size(const struct chunk_table *table);
const struct chunk_ref *trace_table_at(const struct chunk_table *table, size_t index);

/* The content of a blob of the current epoch; valid until the next call.
 * trace_blob, and what reading answers. */
ERR_MUST_CHECK enum err trace_reader_blob(struct trace_reader *reader, uint64_t number,
                                          struct bytes *ret_bytes);

/* Blobs defined before the record delivered last, and in which epoch. */
static inline uint32_t reader_blob_count(const struct trace_reader *reader)
{
    return reader->blob0 + (uint32_t)(reader->bodies.size / sizeof(uint32_t));
}

/* The clock of the event before the one delivered last. */
struct trace_clock trace_reader_clock_before(const struct trace_reader *reader);

/* ---- decode.c ---- */

/* The wire forms of the record's fields; `ret_wire` has room for `count_max`.  Fields
 * beyond are ignored.  Returns how many the record has. */
uint32_t trace_record_split(const struct trace_record *record, struct bytes *ret_wire,
                            uint32_t count_max);

/* The values of one field whose wire form begins at `bytes`; none: the default. */
struct trace_values trace_values_of(const struct trace_field *field,
                                    struct bytes bytes);

/* Decode one field into the struct at `event`; trace_decode_next() moves on. */
ERR_MUST_CHECK enum err trace_decode_next(struct trace_reader *reader,
                                          const struct trace_field *field,
                                          struct wire *wire, struct arena *arena,
                                          void *event);
ERR_MUST_CHECK enum err trace_decode_field(struct trace_reader *reader,
                                           const struct trace_field *field,
                                           struct bytes wire, struct arena *arena,
                                           void *event);

/* Room for any event. */
union any_event {
#define EVENT(id, name, wire, guests, text) struct trace_##name as_##name;
#include "trace/events.def"
};

/* ---- compare.c ---- */

/* Blob number of produced bytes that the trace does not have. */
#define BLOB_NUMBER_UNKNOWN UINT32_MAX

void trace_compare_ends(const struct trace_record *recorded, const char *produced_name,
                        const struct trace_clock *produced_clock,
                        struct trace_divergence *ret_divergence);

#endif
