/* SPDX-License-Identifier: MIT
 *
 * lockstep id, info: what a trace file is (trace-replay.md 2.4, 11).
 */
#include "cli/guest.h"

#include "replay/sink_file.h"

#include <inttypes.h>
#include <string.h>

#define WORK_SIZE_MAX ((size_t)1 << 30)

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

static int identity_of(struct cli *cli, const char *path, struct hash256 *ret_identity)
{
    struct replay_source_file file;
    int status = CLI_YES;
    enum err err = replay_source_file_open(&file, path);
    if (err)
        return ui_fail(cli, err, path);
    struct trace_source source = replay_source_file(&file);
    err = trace_identity(&source, ret_identity);
    if (err == ERR_trace_truncated) {
        ui_error(cli, "%s: not finished; lockstep recover closes it", path);
        status = CLI_UNKNOWN;
    } else if (err) {
        status = cli_trace_fail(cli, err, &source, path);
    }
    replay_source_file_close(&file);
    return status;
}

int cmd_id(struct cli *cli, int argc, char **argv)
{
    struct hash256 identity[2];
    char hex[CLI_HASH_TEXT_SIZE];
    for (int i = 0; i < argc; i++) {
        int status = identity_of(cli, argv[i], &identity[i]);
        if (status)
            return status;
        cli_hash_text(&identity[i], hex);
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
    char hex[CLI_HASH_TEXT_SIZE];
    cli_hash_text(&header->parent.hash, hex);
    if (cli->json) {
        ui_json_u64(cli, "major", header->major);
        ui_json_u64(cli, "minor", header->minor);
        ui_json_text(cli, "guest", trace_guest_name(header->guest));
        if (header->parent.present)
            ui_json_text(cli, "parent", hex);
        else
            ui_json_null(cli, "parent");
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
    if (cli->json) {
        ui_json_text(cli, config->key, config->value);
    } else {
        ui_out(cli, "config     ");
        ui_out_escaped(cli, bytes_of(config->key, strlen(config->key)), false);
        ui_out(cli, " = ");
        ui_out_escaped(cli, bytes_of(config->value, strlen(config->value)), false);
        ui_out(cli, "\n");
    }
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
        if (cli->json) {
            ui_json_u64(cli, kind->wire, count);
            continue;
        }
        ui_out(cli, "%10" PRIu64 " ", count);
        ui_out_escaped(cli, bytes_of(kind->wire, strlen(kind->wire)), false);
        ui_out(cli, "\n");
    }
    if (cli->json)
        ui_json_close(cli);
}

static const char *state_name(const struct trace_summary *summary)
{
    /* What is only not finished has one defect, and that is no damage. */
    if (summary->state == TRACE_READER_OPEN && summary->defect_count <= 1)
        return "open";
    return summary->state == TRACE_READER_CLOSED && !summary->defect_count ? "closed"
                                                                           : "damaged";
}

static void info_summary_json(struct cli *cli, const struct trace_summary *summary,
                              const char *id)
{
    ui_json_text(cli, "state", state_name(summary));
    if (id)
        ui_json_text(cli, "identity", id);
    else
        ui_json_null(cli, "identity");
    ui_json_u64(cli, "events", summary->event_count);
    ui_json_u64(cli, "icount", summary->end.icount);
    ui_json_u64(cli, "gas", summary->end.gas);
    ui_json_u64(cli, "file_size", summary->file_size);
    ui_json_u64(cli, "raw_size", summary->raw_size);
    ui_json_u64(cli, "stored_size", summary->stored_size);
    ui_json_u64(cli, "chunks", summary->chunk_count);
    ui_json_u64(cli, "blobs", summary->blob_count);
    ui_json_u64(cli, "defects", summary->defect_count);
}

static void info_summary(struct cli *cli, const struct trace_summary *summary)
{
    char hex[CLI_HASH_TEXT_SIZE];
    const char *state = state_name(summary);
    /* Only a finished file has an identity. */
    bool closed = summary->state == TRACE_READER_CLOSED && !summary->defect_count;
    cli_hash_text(&summary->identity, hex);
    if (cli->json) {
        info_summary_json(cli, summary, closed ? hex : NULL);
        return;
    }
    ui_out(cli, "state      %s%s\n", state,
           closed                       ? ""
           : strcmp(state, "open") == 0 ? "; lockstep recover closes it"
                                        : "; lockstep verify says what is wrong");
    ui_out(cli, "identity   %s\n", closed ? hex : "-");
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
    int status = err ? cli_trace_fail(cli, err, &source, argv[0]) : CLI_YES;
    trace_reader_close(reader);
    arena_fini(&arena);
    replay_source_file_close(&file);
    return status;
}
