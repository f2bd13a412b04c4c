/* SPDX-License-Identifier: MIT
 *
 * Hostile traces of a pc: whatever the bytes say, a replay ends, within its memory and
 * steps, and with a verdict.  The first byte chooses the form of the rest:
 *
 *   even   a trace file; with bit 5 its checksums are put right first, so that what is
 *          in its chunks is looked at, checkpoints too
 *   odd    records, put into the open tail of a file whose checksums are right
 *
 * With bit 1 it is cut, with bit 2 branched; with bit 3 opened in the debugger.
 */
#include "cli/fs.h"
#include "cli/fs_replay.h"
#include "cli/pc_guest.h"
#include "replay/branch.h"
#include "replay/query.h"

#include "base/hash.h"
#include "tests/fuzz/open_tail.h"
#include "trace/internal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 1 << 16, FILE_MAX = 64 << 20, POLL_COUNT_MAX = 8 };

/* ---- checksums ---- */

/* Those of a chunk; the size of it, 0: it is none. */
static size_t repair_chunk(uint8_t *at, size_t left, const struct hash256 *init,
                           struct hash256 *chain)
{
    struct trace_chunk chunk;
    if (left < CHUNK_HEADER_SIZE || memcmp(at, CHUNK_MAGIC, 4) != 0)
        return 0;
    size_t stored = get32(at + 56);
    if (stored > left - CHUNK_HEADER_SIZE)
        return 0;
    struct bytes payload = bytes_of(at + CHUNK_HEADER_SIZE, stored);
    memcpy(at + 8, init->byte, 8);
    put32(at + 96, hash_crc32c(0, payload.data, payload.size));
    put32(at + 100, hash_crc32c(0, at, 100));
    if (trace_chunk_header_get(at, init, &chunk))
        return 0;
    if (trace_chunk_chained(&chunk) && chunk.codec == TRACE_CODEC_NONE)
        *chain = trace_chunk_chain(chain, &chunk, payload);
    memcpy(at + 64, chain->byte, HASH256_SIZE);
    put32(at + 100, hash_crc32c(0, at, 100));
    return (size_t)align_up(CHUNK_HEADER_SIZE + stored, CHUNK_ALIGN);
}

static void repair(uint8_t *file, size_t size)
{
    if (size < FILE_HEADER_SIZE + TRAILER_SIZE)
        return;
    size_t head = get32(file + 12);
    if (head > size - FILE_HEADER_SIZE - TRAILER_SIZE)
        return;
    put32(file + 16,
          hash_crc32c(hash_crc32c(0, file, 16), file + FILE_HEADER_SIZE, head));
    const struct hash256 init = hash256_of(file + FILE_HEADER_SIZE, head);
    struct hash256 chain = init;
    size_t at = (size_t)align_up(FILE_HEADER_SIZE + head, CHUNK_ALIGN), more;
    while (at < size && (more = repair_chunk(file + at, size - at, &init, &chain)) != 0)
        at += more;
    uint8_t *trailer = file + size - TRAILER_SIZE;
    memcpy(trailer, chain.byte, HASH256_SIZE);
    put32(trailer + 40, hash_crc32c(0, trailer, 40));
}

/* ---- forms ---- */

/* Big machines take long to be made, and their images are no part of this. */
static bool is_small(struct bytes file)
{
    struct trace_source source = trace_bytes_source(&file);
    struct trace_reader *reader;
    struct arena arena;
    bool small = true, end = false;
    struct trace_record record;
    arena_init(&arena, 64 << 20);
    if (trace_reader_open(&arena, &source, NULL, NULL, &reader)) {
        arena_fini(&arena);
        return true;
    }
    while (!trace_reader_next(reader, &record, &end) && !end && small) {
        struct trace_session_config config;
        struct arena event;
        if (record.kind->id != TRACE_ID_session_config)
            continue;
        arena_init(&event, 1 << 20);
        if (!trace_decode_session_config(reader, &record, &event, &config) &&
            strcmp(config.key, "pc.ram") == 0)
            small = strlen(config.value) <= 7;
        arena_fini(&event);
    }
    trace_reader_close(reader);
    arena_fini(&arena);
    return small;
}

static struct replay_pc_follow_options follow(struct cli_fs *fs)
{
    struct replay_pc_follow_options how = cli_pc_follow(fs);
    how.insns_max = STEPS_MAX;
    how.cache_size = 1 << 20;
    return how;
}

static enum replay_class replay(struct bytes file, enum replay_position_kind kind)
{
    static struct cli_fs fs;
    struct replay_pc_report report;
    struct replay_pc_follow_options how = follow(&fs);
    struct trace_source source = trace_bytes_source(&file);
    how.to = (struct replay_position){.kind = kind, .value = 50};
    memset(&fs, 0, sizeof fs);
    replay_pc_trace(&source, &how, &report);
    check(report.class == REPLAY_DIVERGED || !report.diverged);
    check((report.class == REPLAY_SAME) <= report.finished);
    check(memchr(report.detail, 0, sizeof report.detail));
    cli_fs_close(&fs);
    return report.class;
}

static void cut(struct bytes file)
{
    static struct cli_fs fs;
    struct replay_cut_report report;
    struct trace_memory part;
    const struct replay_pc_follow_options pc = follow(&fs);
    const struct replay_cut_options how = {
        .from = {.kind = REPLAY_AT_PERCENT, .value = 40}, .pc = &pc};
    struct trace_source source = trace_bytes_source(&file);
    trace_memory_init(&part, FILE_MAX);
    struct trace_sink sink = trace_memory_sink(&part);
    memset(&fs, 0, sizeof fs);
    replay_cut(&source, &sink, &how, &report);
    check(!report.err || report.detail[0]);
    cli_fs_close(&fs);
    if (!report.err)
        (void)replay(buf_bytes(&part.file), REPLAY_AT_END);
    trace_memory_fini(&part);
}

/* ---- branches, with a world that says nothing ---- */

static void console_out(void *self, uint32_t dev, uint8_t byte)
{
    (void)self, (void)dev, (void)byte;
}

static bool input_at(void *self, struct emu_place here, struct emu_place *ret_next,
                     struct emu_input *ret_input)
{
    (void)self, (void)here, (void)ret_next, (void)ret_input;
    return false;
}

static bool idle(void *self, uint64_t now, uint64_t deadline, uint64_t *ret_vns)
{
    (void)self, (void)now;
    *ret_vns = deadline;
    return deadline != EMU_NEVER;
}

static enum err open_live(void *self, struct replay_pc *session,
                          const struct replay_pc_setup *setup,
                          struct emu_host *ret_host, struct v86fs_server **ret_server)
{
    (void)self, (void)session;
    if (setup->has_fs && !setup->fs.derived)
        return ERR_usage;
    *ret_host = (struct emu_host){NULL, console_out, input_at, idle, NULL};
    *ret_server = NULL;
    return ERR_ok;
}

static void branch(struct bytes file)
{
    static struct cli_fs fs;
    struct replay_branch_report report;
    struct trace_memory child;
    const struct replay_pc_follow_options pc = follow(&fs);
    const struct replay_branch_options how = {
        .at = {.kind = REPLAY_AT_PERCENT, .value = 60},
        .standalone = true,
        .pc = &pc,
        .live = {.open = open_live, .insns_max = STEPS_MAX}};
    struct trace_source source = trace_bytes_source(&file);
    if (!replay_pc_is_session(&source))
        return;
    trace_memory_init(&child, FILE_MAX);
    struct trace_sink sink = trace_memory_sink(&child);
    memset(&fs, 0, sizeof fs);
    replay_branch(&source, &sink, &how, &report);
    check(!report.err || report.detail[0]);
    cli_fs_close(&fs);
    if (!report.err)
        (void)replay(buf_bytes(&child.file), REPLAY_AT_END);
    trace_memory_fini(&child);
}

/* ---- under the debugger ---- */

static bool interrupted(void *self)
{
    unsigned *left = self;
    return *left == 0 || --*left == 0;
}

static void debug(struct bytes file)
{
    char message[REPLAY_DEBUG_MESSAGE_SIZE];
    struct trace_source source = trace_bytes_source(&file);
    struct replay_debug opened;
    struct replay_timeline *timeline;
    unsigned polls = POLL_COUNT_MAX;
    bool moved;
    const struct replay_timeline_options how = {.memory_max = 64 << 20,
                                                .spacing = 1000,
                                                .interrupted = interrupted,
                                                .interrupted_self = &polls};
    if (replay_debug_open(&source, &opened, message)) {
        check(message[0] && memchr(message, 0, sizeof message));
        return;
    }
    if (!replay_timeline_create(&opened.guest, &how, &timeline)) {
        for (uint64_t icount = 8; icount < STEPS_MAX; icount *= 8) {
            polls = POLL_COUNT_MAX;
            (void)!replay_timeline_seek(timeline, (struct replay_time){icount, 3});
            (void)!replay_timeline_step_back(timeline, &moved);
        }
        replay_timeline_close(timeline);
    }
    replay_debug_close(&opened);
}

static void run(struct bytes file, unsigned flags)
{
    enum replay_class class =
        replay(file, flags & 16 ? REPLAY_AT_PERCENT : REPLAY_AT_END);
    if (class != REPLAY_SAME && class != REPLAY_STOPPED && class != REPLAY_OPEN)
        return; /* the rest would meet the same end */
    if (flags & 2)
        cut(file);
    if (flags & 4)
        branch(file);
    if (flags & 8)
        debug(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct bytes rest = bytes_of(data + 1, size - 1);
    struct bytes file = data[0] & 1 ? open_tail_of(TRACE_GUEST_PC, rest) : rest;
    struct buf repaired;
    buf_init(&repaired, FILE_MAX);
    if (!(data[0] & 1) && (data[0] & 32)) {
        buf_put(&repaired, rest.data, rest.size);
        repair(repaired.data, repaired.size);
        file = buf_bytes(&repaired);
    }
    if (is_small(file))
        run(file, data[0]);
    buf_fini(&repaired);
    return 0;
}
