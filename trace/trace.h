/* SPDX-License-Identifier: MIT
 *
 * trace/trace.h - the trace format: write, read, compare, verify, repair.
 *
 * Source of every rule: trace-replay.md ("[2.6]" names its section).  The library
 * knows the container and the event table (trace/events.def), no guest, no file and
 * no clock: bytes go through `struct trace_sink` and come from `struct trace_source`.
 *
 * Determinism: the same events with the same options give the same bytes, and with the
 * same codec the same file.
 *
 * Limits: 2.13.  Everything a reader meets is hostile; it uses at most 64 MiB plus two
 * chunks, whatever the file says.
 *
 * Threads: an object belongs to one thread.
 */
#ifndef TRACE_TRACE_H
#define TRACE_TRACE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TRACE_MAJOR = 1,
    TRACE_MINOR = 0,
    TRACE_SPEC = 1, /* session.begin: version of the event specification */
};

enum trace_guest {
    TRACE_GUEST_PC = 1 << 0,
    TRACE_GUEST_PVM = 1 << 1,
    TRACE_GUEST_WASI = 1 << 2,
    TRACE_GUEST_ALL = 7,
};

/* "pc", "pvm", "wasi". */
const char *trace_guest_name(enum trace_guest guest);

/* A place on the guest's time line [1].  `sub` is used by pc, `gas` by pvm and wasi. */
struct trace_clock {
    uint64_t icount;
    uint64_t sub;
    uint64_t gas;
};

/* ---- events [3.2, 3.5, 4] -------------------------------------------------------- */

/* Type h: a hash, or none (the zeroed struct). */
struct trace_hash {
    struct hash256 hash;
    bool present;
};

static inline struct trace_hash trace_hash_of(struct hash256 hash)
{
    return (struct trace_hash){.hash = hash, .present = true};
}

/* The tuples of list types.  What a, b, c are is said in the row's text. */
struct trace_uu {
    uint64_t a, b;
};
struct trace_uuu {
    uint64_t a, b, c;
};
struct trace_uuuuu {
    uint64_t a, b, c, d, e;
};
struct trace_uw {
    uint64_t a;
    struct bytes b;
};
struct trace_uuh {
    uint64_t a, b;
    struct trace_hash c;
};

/* `count` tuples; borrowed.  {NULL, 0} is the empty list. */
#define TRACE_LIST(letters, type)                                                      \
    struct trace_list_##letters {                                                      \
        const type *item;                                                              \
        size_t count;                                                                  \
    };
TRACE_LIST(u, uint64_t)
TRACE_LIST(b, struct bytes)
TRACE_LIST(h, struct trace_hash)
TRACE_LIST(uu, struct trace_uu)
TRACE_LIST(uuu, struct trace_uuu)
TRACE_LIST(uuuuu, struct trace_uuuuu)
TRACE_LIST(uw, struct trace_uw)
TRACE_LIST(uuh, struct trace_uuh)
#undef TRACE_LIST

/* The C types of fields.  A text is NUL terminated; NULL is "". */
#define TRACE_C_u uint64_t
#define TRACE_C_i int64_t
#define TRACE_C_d uint64_t
#define TRACE_C_b struct bytes
#define TRACE_C_w struct bytes
#define TRACE_C_h struct trace_hash
#define TRACE_C_s const char *

/* struct trace_pvm_ecall and so on.  The zeroed struct holds only defaults. */
#define EVENT(id, name, wire, guests, text) struct trace_##name {
#define FIELD(type, name, role, show, text) TRACE_C_##type name;
#define LIST(letters, name, role, show, text) struct trace_list_##letters name;
#define END(name)                                                                      \
    }                                                                                  \
    ;
#include "trace/events.def"

/* TRACE_ID_pvm_ecall and so on: the numbers on disk. */
enum trace_id {
#define EVENT(id, name, wire, guests, text) TRACE_ID_##name = id,
#include "trace/events.def"
};

enum trace_role { TRACE_ROLE_I, TRACE_ROLE_O, TRACE_ROLE_X, TRACE_ROLE_N };

/* A field as the schema tells it. */
struct trace_field {
    const char *name;
    const char *letters; /* one type letter per tuple member; one for a scalar */
    const char *show;    /* 'd' or 'x' per letter; NULL in a schema read from a file */
    const char *text;    /* NULL in a schema read from a file */
    enum trace_role role;
    bool list;
    bool wide;  /* has a letter w */
    bool plain; /* has only letters u and d */
    uint8_t letter_count;
    /* The C struct; zero in a schema read from a file. */
    uint16_t offset;
    uint8_t stride;    /* size of a tuple */
    uint8_t member[5]; /* offsets in the tuple */
};

struct trace_kind {
    uint32_t id;
    uint32_t guests;  /* enum trace_guest, or-ed; TRACE_GUEST_ALL in a file's schema */
    const char *wire; /* "pvm.ecall" */
    const char *text; /* NULL in a schema read from a file */
    const struct trace_field *field;
    uint32_t field_count;
    uint32_t struct_size;
    bool wide; /* has a field with a letter w */
};

/* The built-in table: row `index` in ascending order of id, NULL behind the last; the
 * row with this id or wire name, or NULL. */
const struct trace_kind *trace_kind_at(size_t index);
const struct trace_kind *trace_kind_of(uint64_t id);
const struct trace_kind *trace_kind_named(const char *wire);

/* Rows read from a file's schema chunk; ascending ids. */
struct trace_schema {
    const struct trace_kind *kind;
    size_t count;
    uint8_t row[128]; /* by id: 1 + index, or 0 for "search" */
};
const struct trace_kind *trace_schema_kind(const struct trace_schema *schema,
                                           uint64_t id);

/* ---- the outside: where bytes go and come from ----------------------------------- */

/*
 * A file being written.  An error of any member stops the writer.
 *
 * `map` reserves [offset, offset + size) on the medium and returns it as memory shared
 * with every reader of the file; offset is a multiple of 4096.  At most one window is
 * mapped at a time.
 *
 * `prepare` may be NULL.  It makes the next stores into the window cheap, for which it
 * may change what is behind `from`, where there are no records yet, and answers up to
 * where stores are cheap now.
 */
struct trace_sink {
    void *self;
    enum err (*write)(void *self, uint64_t offset, const void *data, size_t size);
    enum err (*map)(void *self, uint64_t offset, size_t size, uint8_t **ret_window);
    void (*unmap)(void *self, uint8_t *window, size_t size);
    size_t (*prepare)(void *self, uint8_t *window, size_t from);
    enum err (*sync)(void *self);
    enum err (*sync_window)(void *self, uint8_t *window, size_t size);
    enum err (*truncate)(void *self, uint64_t size);
};

/* A file being read; it may grow, and shrink, at any time. */
struct trace_source {
    void *self;
    enum err (*size)(void *self, uint64_t *ret_size);
    enum err (*read)(void *self, uint64_t offset, void *data, size_t size,
                     size_t *ret_size); /* *ret_size < size only at the end */
};

/* Sink and source over one growing buffer, for tests and small traces.  `window` is
 * copied there at unmap and by trace_memory_flush(), which a killed writer leaves. */
struct trace_memory {
    struct buf file;
    struct buf window_bytes;
    uint8_t *window; /* NULL: not mapped */
    uint64_t window_offset;
    size_t window_size;
};
void trace_memory_init(struct trace_memory *memory, size_t size_max);
void trace_memory_fini(struct trace_memory *memory);
void trace_memory_flush(struct trace_memory *memory);
struct trace_sink trace_memory_sink(struct trace_memory *memory);

/* Source over bytes, borrowed; they may change between reads. */
struct trace_source trace_bytes_source(struct bytes *bytes);

/* ---- writer [2, 6] --------------------------------------------------------------- */

enum trace_sync {
    TRACE_SYNC_NONE,
    TRACE_SYNC_CHUNK,
    TRACE_SYNC_EVENT,
};

/* Take over the chunks of a checkpoint, borrowed during the call. */
struct trace_base_part;
typedef enum err trace_ring_put_fn(void *to, const struct trace_base_part *part,
                                   size_t part_count);

/* Ring recording [2.8].  Segment 0 goes to the writer's own sink. */
struct trace_ring {
    void *self;
    uint64_t size_max; /* stored bytes, all segments */
    /* Begin segment `number` (1, 2, ...); the previous one is complete. */
    enum err (*open_segment)(void *self, uint32_t number, struct trace_sink *ret_sink);
    enum err (*drop_segment)(void *self, uint32_t number);
    /* Give the checkpoint [2.9] for the moment after the last event to `put`, once, and
     * answer what it answers.  Without that: not possible now, ask again behind the
     * next event. */
    enum err (*checkpoint)(void *self, trace_ring_put_fn *put, void *to);
};

struct trace_writer_options {
    enum trace_guest guest;
    unsigned zstd_level; /* 0 stores raw; 1..9 */
    enum trace_sync sync;
    struct trace_hash parent;
    uint64_t parent_seq;
    bool cut;                      /* header flag: this is a slice */
    const enum trace_id *kind_ids; /* rows of the schema chunk, ascending; NULL: all */
    size_t kind_id_count;          /* kinds of the guest */
    const struct trace_ring *ring; /* NULL: one file.  Borrowed until finish */
};

struct trace_writer;

/*
 * Write header and schema and open the tail.  The writer lives in `arena`; `sink` is
 * copied, its `self` borrowed.  ERR_usage for options that make no sense, ERR_nomem,
 * and what the sink answers.
 */
ERR_MUST_CHECK enum err trace_writer_create(struct arena *arena,
                                            const struct trace_sink *sink,
                                            const struct trace_writer_options *options,
                                            struct trace_writer **ret_writer);

/* Append one event of kind `id`; `event` is its struct, borrowed during the call.
 * Errors are sticky: the first stops the writer, trace_writer_error() tells it. */
void trace_writer_put(struct trace_writer *writer, enum trace_id id,
                      const struct trace_clock *clock, const void *event);

/* trace_put_pvm_ecall(writer, &clock, &event) and so on. */
#define EVENT(id, name, wire, guests, text)                                            \
    static inline void trace_put_##name(struct trace_writer *writer,                   \
                                        const struct trace_clock *clock,               \
                                        const struct trace_##name *event)              \
    {                                                                                  \
        trace_writer_put(writer, TRACE_ID_##name, clock, event);                       \
    }
#include "trace/events.def"

/* Facts about the host, for the volatile chunk that finish writes.  Copied. */
void trace_writer_add_volatile(struct trace_writer *writer, const char *key,
                               const char *value);

enum err trace_writer_error(const struct trace_writer *writer);

/* Events written so far. */
uint64_t trace_writer_seq(const struct trace_writer *writer);

/* Close the last chunk, write index and trailer, truncate, free.  Returns the sticky
 * error; after one the file is left as it is, readable up to the last completed
 * record.  *ret_identity (may be NULL) gets the identity [2.4]. */
ERR_MUST_CHECK enum err trace_writer_finish(struct trace_writer *writer,
                                            struct hash256 *ret_identity);

/* Free without finishing: the file stays as a killed recorder leaves it.  NULL is
 * fine. */
void trace_writer_abandon(struct trace_writer *writer);

/* ---- reader [2.7, 2.12, 2.13] ---------------------------------------------------- */

enum trace_chunk_kind {
    TRACE_CHUNK_SCHEMA = 0,
    TRACE_CHUNK_EVENTS = 1,
    TRACE_CHUNK_CHECKPOINT = 3,
    TRACE_CHUNK_ANNOTATIONS = 6,
    TRACE_CHUNK_VOLATILE = 7,
    TRACE_CHUNK_INDEX = 8,
};

enum trace_chunk_flag {
    TRACE_CHUNK_OPEN = 1 << 0,
    TRACE_CHUNK_EPOCH = 1 << 1,
    TRACE_CHUNK_BASE = 1 << 2,
};

enum trace_codec { TRACE_CODEC_NONE = 0, TRACE_CODEC_ZSTD = 1 };

/* A chunk header [2.2], and where it was found. */
struct trace_chunk {
    uint64_t offset;
    uint8_t kind;
    uint8_t codec;
    uint16_t flags;
    uint64_t seq0;
    uint64_t icount0;
    uint64_t icount1;
    uint64_t gas0;
    uint32_t record_count;
    uint32_t raw_size;
    uint32_t stored_size;
    uint32_t blob0;
    struct hash256 chain;
    uint32_t payload_crc;
};

/* The file header [2.1]. */
struct trace_header {
    uint16_t major;
    uint16_t minor;
    enum trace_guest guest;
    struct trace_hash parent;
    uint64_t parent_seq;
    uint64_t flags; /* enum trace_header_flag */
    struct hash256 chain_init;
    uint32_t size; /* of the header; the first chunk begins here */
};

enum trace_header_flag { TRACE_HEADER_RING = 1 << 0, TRACE_HEADER_CUT = 1 << 1 };

/* What is wrong, and where in the file (or in the raw payload of the chunk there). */
struct trace_fault {
    enum err err;
    uint64_t chunk_offset;   /* of the chunk header or other structure */
    uint64_t payload_offset; /* in the chunk's raw payload; 0 if the header is wrong */
};

/* One record of an events, annotations or volatile chunk. */
struct trace_record {
    uint64_t seq;
    struct trace_clock clock;      /* absolute */
    const struct trace_kind *kind; /* row of the file's schema; never NULL */
    struct bytes wire;   /* the whole canonical record; valid until the reader moves */
    struct bytes fields; /* what follows id, dt, dx */
    uint32_t field_count;
};

struct trace_reader_options {
    bool salvage; /* go on after damage [2.12]; for dump and export only */
};

struct trace_reader;

/*
 * Open a trace: header and schema.  `source` is copied, its `self` borrowed.
 *
 *   not a trace                 ERR_trace_magic
 *   newer major                 ERR_trace_version; see trace_file_version()
 *   damaged header or schema    ERR_trace_crc, _chunk, _truncated, _canonical, _schema
 *
 * *fault (may be NULL) says where.
 */
ERR_MUST_CHECK enum err trace_reader_open(struct arena *arena,
                                          const struct trace_source *source,
                                          const struct trace_reader_options *options,
                                          struct trace_fault *fault,
                                          struct trace_reader **ret_reader);

/* NULL is fine. */
void trace_reader_close(struct trace_reader *reader);

const struct trace_header *trace_reader_header(const struct trace_reader *reader);
const struct trace_schema *trace_reader_schema(const struct trace_reader *reader);

enum trace_reader_state {
    TRACE_READER_MORE,   /* in the middle */
    TRACE_READER_CLOSED, /* all read; the file is finished */
    TRACE_READER_OPEN,   /* all completed records read; being written, or killed */
    TRACE_READER_BROKEN, /* stopped at damage: trace_reader_fault() */
};

/*
 * The next event.  *ret_end = true: there is none (now); ask trace_reader_state().  In
 * state OPEN a later call looks again, so a live trace is followed by polling.
 * Damage is an error, after every event before it was delivered; with `salvage` the
 * gap is skipped and counted instead.
 */
ERR_MUST_CHECK enum err trace_reader_next(struct trace_reader *reader,
                                          struct trace_record *ret_record,
                                          bool *ret_end);

enum trace_reader_state trace_reader_state(const struct trace_reader *reader);
struct trace_fault trace_reader_fault(const struct trace_reader *reader);

/* Gaps skipped by salvage so far. */
uint64_t trace_reader_gap_count(const struct trace_reader *reader);

/* The chain value over what was read: at state CLOSED the identity. */
struct hash256 trace_reader_chain(const struct trace_reader *reader);

/* The chunk that holds the record delivered last. */
struct trace_chunk trace_reader_chunk(const struct trace_reader *reader);

/* Go to event `seq`, or to the first event with clock.icount >= icount (gas >= gas):
 * the next call of trace_reader_next() delivers it.  Past the end: the next call says
 * so.  Chunks passed over are looked at by header only. */
ERR_MUST_CHECK enum err trace_reader_seek_seq(struct trace_reader *reader,
                                              uint64_t seq);
ERR_MUST_CHECK enum err trace_reader_seek_icount(struct trace_reader *reader,
                                                 uint64_t icount);
ERR_MUST_CHECK enum err trace_reader_seek_gas(struct trace_reader *reader,
                                              uint64_t gas);

/*
 * Decode a record into the struct of its built-in kind: *ret_event is a struct
 * trace_pvm_ecall and so on.  Fields the file does not have are defaults, fields this
 * program does not know are skipped.  Bytes of type b point into the record; lists,
 * texts and w values that are stored as blobs live in `arena`, whose size_max is the
 * limit.  ERR_trace_event when `id` is not the record's, ERR_nomem, ERR_trace_blob.
 */
ERR_MUST_CHECK enum err trace_decode(struct trace_reader *reader,
                                     const struct trace_record *record,
                                     enum trace_id id, struct arena *arena,
                                     void *ret_event);

/* trace_decode_pvm_ecall(reader, &record, arena, &event) and so on. */
#define EVENT(id, name, wire, guests, text)                                            \
    ERR_MUST_CHECK static inline enum err trace_decode_##name(                         \
        struct trace_reader *reader, const struct trace_record *record,                \
        struct arena *arena, struct trace_##name *ret_event)                           \
    {                                                                                  \
        return trace_decode(reader, record, TRACE_ID_##name, arena, ret_event);        \
    }
#include "trace/events.def"

/* ---- looking at records without their struct: dump, JSON, unknown kinds ---------- */

/* One integer, text or byte string. */
struct trace_value {
    char type;           /* type letter */
    char show;           /* 'd' or 'x' */
    uint64_t number;     /* u, d; i as its two's complement */
    struct bytes bytes;  /* b, s, h, f; w when it is inline */
    uint64_t size;       /* w: its length; else bytes.size */
    uint32_t blob_count; /* w stored as blobs: how many */
    struct bytes blob;   /* their numbers in wire form */
};

/* Walks the values of one field: one for a scalar, count * letters for a list. */
struct trace_values {
    const struct trace_field *field;
    struct bytes wire;
    size_t left;  /* values still to come */
    size_t index; /* of the next one */
};

/* Field `index` of the record's kind; a field that was left out yields its default. */
struct trace_values trace_record_values(const struct trace_record *record,
                                        uint32_t index);
bool trace_values_next(struct trace_values *values, struct trace_value *ret_value);

/* Append as people read it: 12, -3, 0x2a, "text", hex bytes; "w" as size and blobs. */
void trace_value_text(const struct trace_value *value, struct buf *buf);

/* Bytes [offset, offset + size) of a w value. */
ERR_MUST_CHECK enum err trace_value_read(struct trace_reader *reader,
                                         const struct trace_value *value,
                                         uint64_t offset, void *data, size_t size);

/* ---- record and replay with one call per event [4, 7.1] -------------------------- */

/*
 *     struct trace_pc_clock ev = {.source = CLOCK_RTC};
 *     if (trace_live(t)) ev.value = host_clock();
 *     if (trace_pc_clock(t, &ev)) return stop(m);
 *     return ev.value;
 *
 * Recording writes the event.  Replay takes the next event of the trace: i-fields (and
 * x-fields that came from outside, and n-fields) are filled in from it, the rest is
 * compared, clock included.  A NULL trace is "off": one branch.
 *
 * The caller keeps `clock` up to date before each call.
 */
struct trace {
    struct trace_clock clock;
    bool replaying;
};

/* Is it the guest's host that answers? */
static inline bool trace_live(const struct trace *trace)
{
    return !trace || !trace->replaying;
}

/* A recording session over `writer`, borrowed; finish the writer after the session.
 * With `require`, an error of the writer comes back from every event call; without,
 * events succeed and trace_writer_error() knows. */
ERR_MUST_CHECK enum err trace_record_create(struct arena *arena,
                                            struct trace_writer *writer, bool require,
                                            struct trace **ret_trace);

struct trace_replay_options {
    bool compare_all;  /* --mode=exec: x-fields are compared, whatever their origin */
    size_t memory_max; /* for the decoded lists and bytes of one event; 0: 32 MiB */
};

/* A replaying session over `reader`, borrowed, from where the reader stands. */
ERR_MUST_CHECK enum err trace_replay_create(struct arena *arena,
                                            struct trace_reader *reader,
                                            const struct trace_replay_options *options,
                                            struct trace **ret_trace);

/* Free what the session holds; in recording write what trace_console() still has.
 * NULL is fine. */
void trace_close(struct trace *trace);

/*
 * One event; `event` is the struct of `id`.  What is filled in by replay stays valid
 * until the next call.
 *
 *   ERR_ok               recorded; or equal to the recorded event
 *   ERR_trace_diverged   trace_divergence() has the details; sticky
 *   ERR_trace_end        the trace has no further event (an open tail), or session.end
 *                        with reason not 0 [4.1]: replay stops here, not a divergence
 *   others               of the reader, or (with `require`) of the writer
 */
ERR_MUST_CHECK enum err trace_event(struct trace *trace, enum trace_id id, void *event);

/* trace_pvm_ecall(trace, &event) and so on. */
#define EVENT(id, name, wire, guests, text)                                            \
    ERR_MUST_CHECK static inline enum err trace_##name(struct trace *trace,            \
                                                       struct trace_##name *event)     \
    {                                                                                  \
        return trace ? trace_event(trace, TRACE_ID_##name, event) : ERR_ok;            \
    }
#include "trace/events.def"

/* Bytes leaving through console device `dev`, collected as console.out demands [4.1]:
 * until newline, 256 bytes, the next other event or the end. */
ERR_MUST_CHECK enum err trace_console(struct trace *trace, uint64_t dev,
                                      struct bytes data);

/* Write, or compare, what trace_console() holds back.  As trace_event(). */
ERR_MUST_CHECK enum err trace_console_end(struct trace *trace);

/* Bytes that trace_console() holds back, and the clock of the last one; borrowed. */
struct trace_console_rest {
    uint64_t dev;
    struct trace_clock clock;
    struct bytes data;
};
struct trace_console_rest trace_console_rest(const struct trace *trace);

/* Replay: the event that comes next, not consumed; NULL at the end, on damage and
 * while recording.  For asynchronous inputs, and to see what a trace holds before the
 * guest exists.  Valid until the next call. */
const struct trace_record *trace_peek(struct trace *trace);

/* Replay: decode the peeked event without consuming it. */
ERR_MUST_CHECK enum err trace_peek_decode(struct trace *trace, enum trace_id id,
                                          void *ret_event);

/* The sticky error of the session: ERR_ok, or what an event call answered first. */
enum err trace_error(const struct trace *trace);

/* Events so far: written, or found equal. */
uint64_t trace_seq(const struct trace *trace);

/* Replay: is the next event behind a gap (a dropped ring segment, a cut)?  Then the
 * guest goes on from the checkpoint in front of event *ret_seq, and trace_resume() lets
 * the session go on too. */
bool trace_gap(struct trace *trace, uint64_t *ret_seq);
void trace_resume(struct trace *trace);

struct trace_divergence {
    uint64_t seq;
    uint64_t chunk_offset;
    struct trace_clock recorded_clock;
    struct trace_clock produced_clock;
    const char
        *recorded_name; /* wire names; recorded is NULL when the trace was over */
    const char *produced_name; /* NULL: the guest stopped before the trace did */
    /* The first differing field: "kind", "icount", "sub", "gas", "op", "in[1]"; and
     * both values as text, "-" for a list item or event that is not there. */
    char field[40];
    char recorded[96];
    char produced[96];
};

/* After ERR_trace_diverged; else NULL. */
const struct trace_divergence *trace_divergence(const struct trace *trace);

/* Replay: demand that no event is left.  The guest is done; ERR_trace_diverged if the
 * trace goes on. */
ERR_MUST_CHECK enum err trace_expect_end(struct trace *trace);

/* Compare two events without a session (diff, reports): true when equal; else
 * *ret_divergence has names, clocks, field and values. */
bool trace_record_equal(const struct trace_record *recorded,
                        const struct trace_record *produced,
                        struct trace_divergence *ret_divergence);

/* Major and minor number of a file that begins like a trace, for the message about
 * ERR_trace_version.  ERR_trace_magic. */
ERR_MUST_CHECK enum err trace_file_version(const struct trace_source *source,
                                           uint16_t *ret_major, uint16_t *ret_minor);

/* ---- verify, recover, annotate [2.8, 2.10, 2.12, 11] ----------------------------- */

/* What a walk over the chunks found. */
struct trace_summary {
    uint64_t file_size;
    uint64_t event_count;
    uint64_t blob_count;
    uint64_t chunk_count;
    uint64_t raw_size;      /* of all chunks */
    uint64_t stored_size;   /* of all chunks */
    struct trace_clock end; /* of the last event */
    uint64_t charge_sum;    /* kinds 0..6 of the ledger, in whatever mode */
    uint64_t charge_count;
    struct hash256 identity;
    uint64_t kind_count[256]; /* events by id; ids above 255 in [0] */
    uint64_t chunk_kind_count[256];
    /* What is too large to be checked closely, or has no jump table: segments not
     * expanded, events not decoded. */
    uint64_t unexpanded_count;
    uint64_t uncompared_count; /* blobs behind the limit of those that are compared */
    enum trace_reader_state state;
    uint64_t defect_count;
};

/* One defect: `text` is one line without a newline. */
typedef void trace_defect_fn(void *self, const struct trace_fault *fault,
                             const char *text);

struct trace_verify_options {
    bool quick; /* only what `info` needs: no charge expansion */
    /* The memory of the walk: blobs of an epoch that are compared with each other, and
     * programs whose segments are expanded.  0: 524,288 and 1,024, which are also the
     * most.  What is beyond is counted in the summary. */
    uint32_t blob_count_max, program_count_max;
    /* Gives the jump table of a raw program, so that segments can be expanded [5.4];
     * NULL: sums only.  *ret_jump lives in `arena`. */
    enum err (*jump_table)(void *self, const struct trace_pvm_program *program,
                           struct arena *arena, const uint64_t **ret_jump,
                           size_t *ret_count);
    void *self;
};

/*
 * Check everything of chapter 11's `verify`: header, all crc, chain, canonical form,
 * cut rule, clock sums, blob table, index, trailer, schema, ledger sums.  Every defect
 * is reported through `defect` (may be NULL) and counted; the result is ERR_ok when the
 * walk could be done, whatever it found.  Else *ret_summary has what was found so far:
 * a file header or schema too damaged to go on is a defect and an error.
 */
ERR_MUST_CHECK enum err trace_verify(struct arena *arena,
                                     const struct trace_source *source,
                                     const struct trace_verify_options *options,
                                     trace_defect_fn *defect, void *self,
                                     struct trace_summary *ret_summary);

/* Write the longest valid prefix of `source`, open tail included, as a clean file.
 * *fault (may be NULL) says why the prefix ended; ERR_ok in it: the file was whole. */
ERR_MUST_CHECK enum err trace_recover(struct arena *arena,
                                      const struct trace_source *source,
                                      const struct trace_sink *sink,
                                      struct trace_fault *fault,
                                      struct hash256 *ret_identity);

/* Join ring segments [2.8]: source[0] is segment 000, the others in ascending order. */
ERR_MUST_CHECK enum err trace_join(struct arena *arena,
                                   const struct trace_source *source,
                                   size_t source_count, const struct trace_sink *sink,
                                   struct hash256 *ret_identity);

/* Append an annotations chunk to a finished file: `note` or `bookmark` may be NULL.
 * The identity stays. */
ERR_MUST_CHECK enum err trace_annotate(const struct trace_source *source,
                                       const struct trace_sink *sink,
                                       const struct trace_note *note,
                                       const struct trace_bookmark *bookmark);

/* Walk the records of annotations and volatile chunks. */
ERR_MUST_CHECK enum err
trace_annotations(struct trace_reader *reader,
                  void (*each)(void *self, const struct trace_chunk *chunk,
                               const struct trace_record *record),
                  void *self);

/* The identity as header, index and trailer tell it; what is in between is not looked
 * at.  ERR_trace_truncated when the file is not finished. */
ERR_MUST_CHECK enum err trace_identity(const struct trace_source *source,
                                       struct hash256 *ret_identity);

/* ---- bounded validator [3.7] ----------------------------------------------------- */

/* Check one raw events, annotations or volatile payload: canonical form [3.3], limits
 * [2.13], types by `schema`, blob numbers below those defined.  One pass, no recursion,
 * no allocation.  `blob0` blobs are defined before it.  On an error *fault_offset is
 * where. */
ERR_MUST_CHECK enum err trace_validate(struct bytes payload,
                                       enum trace_chunk_kind chunk_kind,
                                       const struct trace_schema *schema,
                                       uint32_t record_count, uint64_t blob0,
                                       size_t *fault_offset);

#endif
