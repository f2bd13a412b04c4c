/* SPDX-License-Identifier: MIT
 *
 * lockstep verify, recover, id, info: what a trace file is, and whether it is whole
 * (trace-replay.md 2.12, 11).
 */
#include "cli/cli.h"

#include "base/os.h"
#include "pvm/pvm.h"
#include "replay/sink_file.h"
#include "trace/trace.h"

#include <inttypes.h>
#include <string.h>

#define WORK_SIZE_MAX ((size_t)1 << 30)

static void put_hash(const struct hash256 *hash, char ret_hex[2 * HASH256_SIZE + 1])
{
    static const char digit[] = "0123456789abcdef";
    for (unsigned i = 0; i < HASH256_SIZE; i++) {
        ret_hex[2 * i] = digit[hash->byte[i] >> 4];
        ret_hex[2 * i + 1] = digit[hash->byte[i] & 15];
    }
    ret_hex[2 * HASH256_SIZE] = 0;
}

static const char *state_name(enum trace_reader_state state)
{
    switch (state) {
    case TRACE_READER_CLOSED:
        return "closed";
    case TRACE_READER_OPEN:
        return "open";
    case TRACE_READER_BROKEN:
        return "damaged";
    case TRACE_READER_MORE:
    default:
        return "unread";
    }
}

/* The jump table of a raw program, for the expansion of its segments. */
static enum err jump_table(void *self, const struct trace_pvm_program *program,
                           struct arena *arena, const uint64_t **ret_jump,
                           size_t *ret_count)
{
    struct pvm_code code;
    (void)self;
    TRY(pvm_code_parse(program->code, &code));
    uint64_t *jump = arena_new_array(arena, uint64_t, code.jump_count + 1u);
    if (!jump)
        return ERR_nomem;
    for (uint32_t i = 0; i < code.jump_count; i++)
        jump[i] = pvm_code_jump(&code, i);
    *ret_jump = jump;
    *ret_count = code.jump_count;
    return ERR_ok;
}

/* ---- verify ------------------------------------------------------------------------
 */

const struct cli_spec cli_spec_verify = {
    .positional = {{"FILE", 1, CLI_MANY, "traces"}},
    .example = {{"lockstep verify run.lks", "is this file whole?"},
                {"lockstep verify --json *.lks", "one object for each file"}},
    .about =
        "Checks every checksum, the hash chain, the canonical form of every record, "
        "where chunks are cut, clocks, blobs, index, schema, and that the gas "
        "ledger's paths and sums agree.  Nothing is executed.",
    .exit_yes = "every file is whole",
    .exit_no = "a file is damaged or was not finished",
    .prints_json = true,
};

struct verify {
    struct cli *cli;
    const char *path;
};

static void on_defect(void *self, const struct trace_fault *fault, const char *text)
{
    struct verify *v = self;
    if (v->cli->json) {
        ui_json_object(v->cli, NULL);
        ui_json_text(v->cli, "error", err_name(fault->err));
        ui_json_u64(v->cli, "offset", fault->chunk_offset);
        ui_json_u64(v->cli, "payload_offset", fault->payload_offset);
        ui_json_text(v->cli, "text", text);
        ui_json_close(v->cli);
    } else {
        ui_out(v->cli, "%s: at %" PRIu64 ": %s\n", v->path, fault->chunk_offset, text);
    }
}

static void verify_print(struct verify *v, const struct trace_summary *summary,
                         bool whole)
{
    struct cli *cli = v->cli;
    char hex[2 * HASH256_SIZE + 1];
    put_hash(&summary->identity, hex);
    if (cli->json) {
        ui_json_close(cli);
        ui_json_bool(cli, "whole", whole);
        ui_json_text(cli, "state", state_name(summary->state));
        ui_json_u64(cli, "events", summary->event_count);
        ui_json_u64(cli, "charges", summary->charge_count);
        ui_json_text(cli, "identity", hex);
        ui_json_end(cli);
        return;
    }
    if (whole)
        ui_out(cli, "%s: whole: %" PRIu64 " events, %" PRIu64 " charges, identity %s\n",
               v->path, summary->event_count, summary->charge_count, hex);
    else if (!summary->defect_count)
        ui_out(cli,
               "%s: not finished: %" PRIu64 " events; lockstep recover closes it\n",
               v->path, summary->event_count);
    else
        ui_out(cli, "%s: damaged: %" PRIu64 " defect%s, %" PRIu64 " events before\n",
               v->path, summary->defect_count, summary->defect_count == 1 ? "" : "s",
               summary->event_count);
}

static int verify_file(struct cli *cli, const char *path)
{
    struct verify v = {.cli = cli, .path = path};
    struct replay_source_file file;
    struct trace_verify_options options = {.jump_table = jump_table};
    struct trace_summary summary = {0};
    struct arena arena;
    enum err err = replay_source_file_open(&file, path);
    if (err)
        return ui_fail(cli, err, path);
    struct trace_source source = replay_source_file(&file);
    if (cli->json) {
        ui_json_begin(cli);
        ui_json_text(cli, "file", path);
        ui_json_array(cli, "defects");
    }
    arena_init(&arena, WORK_SIZE_MAX);
    err = trace_verify(&arena, &source, &options, on_defect, &v, &summary);
    arena_fini(&arena);
    replay_source_file_close(&file);
    bool whole = !err && !summary.defect_count && summary.state == TRACE_READER_CLOSED;
    verify_print(&v, &summary, whole);
    if (err && !summary.defect_count)
        return ui_fail(cli, err, path);
    return whole ? CLI_YES : CLI_NO;
}

/* The worst of several answers: "could not tell" beats "no" beats "yes". */
static int worse(int a, int b)
{
    return a > b ? a : b;
}

int cmd_verify(struct cli *cli, int argc, char **argv)
{
    int status = CLI_YES;
    for (int i = 0; i < argc; i++)
        status = worse(status, verify_file(cli, argv[i]));
    return status;
}

/* ---- recover ------------------------------------------------------------------------
 */

struct recover_options {
    const char *output;
};

static const struct cli_option recover_option[] = {
    CLI_STRING(struct recover_options, output, "output", 'o', "FILE",
               "trace to write (default: FILE's name with .recovered.lks)"),
    CLI_END,
};

const struct cli_spec cli_spec_recover = {
    .option = recover_option,
    .options_size = sizeof(struct recover_options),
    .positional = {{"FILE", 1, 1, "a trace, or the name of a ring recording"}},
    .example = {{"lockstep recover -o good.lks killed.lks",
                 "what a killed recorder had completed"},
                {"lockstep recover ring.lks", "join ring.lks.000, ring.lks.001, …"}},
    .about = "Writes the longest valid prefix, the open tail of a killed recording "
             "included, as a finished file.  A whole file only gets a new index.",
    .exit_yes = "written; what was lost, if anything, is said on stderr",
    .prints_json = true,
};

static void recover_path(struct buf *path, const char *from)
{
    size_t size = strlen(from);
    if (size > 4 && strcmp(from + size - 4, ".lks") == 0)
        size -= 4;
    buf_put(path, from, size);
    buf_text(path, ".recovered.lks");
}

static int recover_print(struct cli *cli, const char *output, const struct hash256 *id,
                         const struct trace_fault *fault)
{
    char hex[2 * HASH256_SIZE + 1];
    put_hash(id, hex);
    if (cli->json) {
        ui_json_begin(cli);
        ui_json_text(cli, "file", output);
        ui_json_text(cli, "identity", hex);
        ui_json_text(cli, "stopped_by", err_name(fault->err));
        ui_json_u64(cli, "offset", fault->chunk_offset);
        ui_json_end(cli);
        return CLI_YES;
    }
    ui_out(cli, "%s: identity %s\n", output, hex);
    if (fault->err)
        ui_note(cli, "%s ends where the original is damaged, at byte %" PRIu64 ": %s",
                output, fault->chunk_offset, err_text(fault->err));
    return CLI_YES;
}

static int recover_file(struct cli *cli, const char *path, const char *output)
{
    struct replay_source_file from;
    struct replay_sink_file to;
    struct trace_fault fault = {0};
    struct hash256 identity;
    struct arena arena;
    enum err err = replay_source_file_open(&from, path);
    if (err)
        return ui_fail(cli, err, path);
    err = replay_sink_file_open(&to, output, false);
    if (err) {
        replay_source_file_close(&from);
        return ui_fail(cli, err, output);
    }
    struct trace_source source = replay_source_file(&from);
    struct trace_sink sink = replay_sink_file(&to);
    arena_init(&arena, WORK_SIZE_MAX);
    err = trace_recover(&arena, &source, &sink, &fault, &identity);
    arena_fini(&arena);
    replay_sink_file_close(&to);
    replay_source_file_close(&from);
    if (!err)
        return recover_print(cli, output, &identity, &fault);
    if (os_unlink(output))
        ui_note(cli, "%s stays, incomplete", output);
    return ui_fail(cli, err, path);
}

static int recover_ring(struct cli *cli, const char *name)
{
    struct arena arena;
    struct hash256 identity;
    arena_init(&arena, WORK_SIZE_MAX);
    enum err err = replay_ring_join(&arena, name, &identity);
    arena_fini(&arena);
    return err ? ui_fail(cli, err, name)
               : recover_print(cli, name, &identity, &(struct trace_fault){0});
}

int cmd_recover(struct cli *cli, int argc, char **argv)
{
    const struct recover_options *options = cli->options;
    struct buf path;
    (void)argc;
    buf_init(&path, 4096);
    replay_segment_path(&path, argv[0], 0);
    bool ring = !os_file_exists(argv[0]) && os_file_exists(buf_string(&path));
    buf_clear(&path);
    int status;
    if (ring && options->output) {
        status = ui_usage(cli, "a ring recording is joined under its own name");
    } else if (ring) {
        status = recover_ring(cli, argv[0]);
    } else {
        if (options->output)
            buf_text(&path, options->output);
        else
            recover_path(&path, argv[0]);
        status = path.err ? ui_fail(cli, path.err, argv[0])
                 : strcmp(buf_string(&path), argv[0]) == 0
                     ? ui_usage(cli, "input and output are the same file")
                     : recover_file(cli, argv[0], buf_string(&path));
    }
    buf_fini(&path);
    return status;
}

/* ---- id -----------------------------------------------------------------------------
 */

const struct cli_spec cli_spec_id = {
    .positional = {{"FILE", 1, 2, "a trace; with two, they are compared"}},
    .example = {{"lockstep id run.lks", "64 hex digits"},
                {"lockstep id a.lks b.lks", "is it the same run?"}},
    .about = "The identity of a trace is a hash over all its events.  Compression, "
             "checkpoints and annotations do not change it.",
    .exit_yes = "printed; with two files: they are the same run",
    .exit_no = "with two files: they differ",
    .prints_json = true,
};

static enum err identity_of(const char *path, struct hash256 *ret_identity)
{
    struct replay_source_file file;
    TRY(replay_source_file_open(&file, path));
    struct trace_source source = replay_source_file(&file);
    enum err err = trace_identity(&source, ret_identity);
    replay_source_file_close(&file);
    return err;
}

int cmd_id(struct cli *cli, int argc, char **argv)
{
    struct hash256 identity[2];
    char hex[2 * HASH256_SIZE + 1];
    for (int i = 0; i < argc; i++) {
        enum err err = identity_of(argv[i], &identity[i]);
        if (err)
            return ui_fail(cli, err, argv[i]);
        put_hash(&identity[i], hex);
        if (cli->json) {
            ui_json_begin(cli);
            ui_json_text(cli, "file", argv[i]);
            ui_json_text(cli, "identity", hex);
            ui_json_end(cli);
        } else {
            ui_out(cli, argc > 1 ? "%s  %s\n" : "%s\n", hex, argv[i]);
        }
    }
    return argc == 1 || hash256_equal(&identity[0], &identity[1]) ? CLI_YES : CLI_NO;
}

/* ---- info ---------------------------------------------------------------------------
 */

const struct cli_spec cli_spec_info = {
    .positional = {{"FILE", 1, 1, "a trace"}},
    .example = {{"lockstep info run.lks", "what was recorded, and how much"},
                {"lockstep info --json run.lks", "the same for programs"}},
    .exit_yes = "printed, also for a file that is open or damaged",
    .prints_json = true,
};

static void info_header(struct cli *cli, const struct trace_header *header)
{
    char hex[2 * HASH256_SIZE + 1] = "";
    if (header->parent.present)
        put_hash(&header->parent.hash, hex);
    if (cli->json) {
        ui_json_u64(cli, "major", header->major);
        ui_json_u64(cli, "minor", header->minor);
        ui_json_text(cli, "guest", trace_guest_name(header->guest));
        ui_json_text(cli, "parent", hex);
        ui_json_u64(cli, "parent_seq", header->parent_seq);
        ui_json_bool(cli, "ring", (header->flags & TRACE_HEADER_RING) != 0);
        ui_json_bool(cli, "cut", (header->flags & TRACE_HEADER_CUT) != 0);
        return;
    }
    ui_out(cli, "format     %u.%u, guest %s%s%s\n", header->major, header->minor,
           trace_guest_name(header->guest),
           header->flags & TRACE_HEADER_RING ? ", ring" : "",
           header->flags & TRACE_HEADER_CUT ? ", cut" : "");
    if (header->parent.present)
        ui_out(cli, "parent     %s from event %" PRIu64 "\n", hex, header->parent_seq);
}

static void info_one_config(struct cli *cli, const struct trace_session_config *config)
{
    if (cli->json)
        ui_json_text(cli, config->key, config->value);
    else
        ui_out(cli, "config     %s = %s\n", config->key, config->value);
}

/* The options at the front of the events; a damaged file may have none. */
static void info_config(struct cli *cli, struct trace_reader *reader,
                        struct arena *arena)
{
    struct trace_record record;
    bool end = false;
    if (cli->json)
        ui_json_object(cli, "config");
    while (!trace_reader_next(reader, &record, &end) && !end) {
        struct trace_session_config config;
        if (record.kind->id == TRACE_ID_session_begin)
            continue;
        if (record.kind->id != TRACE_ID_session_config ||
            trace_decode_session_config(reader, &record, arena, &config))
            break;
        info_one_config(cli, &config);
    }
    if (cli->json)
        ui_json_close(cli);
}

static void info_kinds(struct cli *cli, const struct trace_schema *schema,
                       const struct trace_summary *summary)
{
    if (cli->json)
        ui_json_object(cli, "kinds");
    for (size_t i = 0; i < schema->count; i++) {
        const struct trace_kind *kind = &schema->kind[i];
        uint64_t count = kind->id < 256 ? summary->kind_count[kind->id] : 0;
        if (!count)
            continue;
        if (cli->json)
            ui_json_u64(cli, kind->wire, count);
        else
            ui_out(cli, "%10" PRIu64 " %s\n", count, kind->wire);
    }
    if (cli->json)
        ui_json_close(cli);
}

static void info_summary(struct cli *cli, const struct trace_summary *summary)
{
    char hex[2 * HASH256_SIZE + 1];
    put_hash(&summary->identity, hex);
    if (cli->json) {
        ui_json_text(cli, "state", state_name(summary->state));
        ui_json_text(cli, "identity", hex);
        ui_json_u64(cli, "events", summary->event_count);
        ui_json_u64(cli, "icount", summary->end.icount);
        ui_json_u64(cli, "gas", summary->end.gas);
        ui_json_u64(cli, "file_size", summary->file_size);
        ui_json_u64(cli, "raw_size", summary->raw_size);
        ui_json_u64(cli, "stored_size", summary->stored_size);
        ui_json_u64(cli, "chunks", summary->chunk_count);
        ui_json_u64(cli, "blobs", summary->blob_count);
        ui_json_u64(cli, "defects", summary->defect_count);
        return;
    }
    ui_out(cli, "state      %s%s\n", state_name(summary->state),
           summary->defect_count ? "; lockstep verify says what is wrong" : "");
    ui_out(cli, "identity   %s\n", hex);
    ui_out(cli, "clocks     %" PRIu64 " instructions, %" PRIu64 " gas\n",
           summary->end.icount, summary->end.gas);
    ui_out(cli,
           "size       %" PRIu64 " bytes: %" PRIu64 " chunks, %" PRIu64
           " bytes raw, %" PRIu64 " stored, %" PRIu64 " blobs\n",
           summary->file_size, summary->chunk_count, summary->raw_size,
           summary->stored_size, summary->blob_count);
    ui_out(cli, "events     %" PRIu64 "\n", summary->event_count);
}

int cmd_info(struct cli *cli, int argc, char **argv)
{
    struct replay_source_file file;
    struct trace_reader_options none = {0};
    struct trace_verify_options quick = {.quick = true};
    struct trace_summary summary = {0};
    struct trace_reader *reader = NULL;
    struct arena arena;
    (void)argc;
    enum err err = replay_source_file_open(&file, argv[0]);
    if (err)
        return ui_fail(cli, err, argv[0]);
    struct trace_source source = replay_source_file(&file);
    arena_init(&arena, WORK_SIZE_MAX);
    err = trace_reader_open(&arena, &source, &none, NULL, &reader);
    if (!err)
        err = trace_verify(&arena, &source, &quick, NULL, NULL, &summary);
    if (!err) {
        if (cli->json) {
            ui_json_begin(cli);
            ui_json_text(cli, "file", argv[0]);
        }
        info_header(cli, trace_reader_header(reader));
        info_summary(cli, &summary);
        info_kinds(cli, trace_reader_schema(reader), &summary);
        info_config(cli, reader, &arena);
        if (cli->json)
            ui_json_end(cli);
    }
    trace_reader_close(reader);
    arena_fini(&arena);
    replay_source_file_close(&file);
    return err ? ui_fail(cli, err, argv[0]) : CLI_YES;
}
