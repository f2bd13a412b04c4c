/* SPDX-License-Identifier: MIT
 *
 * lockstep verify, recover: is a trace file whole, and what of it can be saved
 * (trace-replay.md 2.12, 11).
 */
#include "cli/guest.h"

#include "base/os.h"
#include "pvm/pvm.h"
#include "replay/sink_file.h"

#include <inttypes.h>
#include <string.h>

#define WORK_SIZE_MAX ((size_t)1 << 30)

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
                {"lockstep verify --json *.lks",
                 "an object for each defect, and one for each file"}},
    .about =
        "Checks every checksum, the hash chain, the canonical form of every record, "
        "where chunks are cut, clocks, blobs, index, schema, and that the gas "
        "ledger's paths and sums agree.  Nothing is executed.\n\n"
        "Memory is bounded: the first 524,288 blobs are compared with each other, and "
        "segments of the first 1,024 programs are looked into.  A remark on stderr, "
        "and not_compared and not_expanded of --json, count what is beyond.",
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
    struct cli *cli = v->cli;
    if (fault->err == ERR_trace_version)
        return; /* nothing wrong, only not for us to judge */
    if (!cli->json) {
        ui_out(cli, "%s: at %" PRIu64 ": ", v->path, fault->chunk_offset);
        ui_out_escaped(cli, bytes_of(text, strlen(text)), false);
        ui_out(cli, "\n");
        return;
    }
    ui_json_begin(cli);
    ui_json_text(cli, "file", v->path);
    ui_json_text(cli, "error", err_name(fault->err));
    ui_json_u64(cli, "offset", fault->chunk_offset);
    ui_json_u64(cli, "payload_offset", fault->payload_offset);
    ui_json_text(cli, "text", text);
    ui_json_end(cli);
}

/* What is only not finished has one defect, and that is no damage. */
static bool is_unfinished(const struct trace_summary *summary)
{
    return summary->state == TRACE_READER_OPEN && summary->defect_count <= 1;
}

static void verify_print_json(struct cli *cli, const char *path,
                              const struct trace_summary *summary, const char *id)
{
    ui_json_begin(cli);
    ui_json_text(cli, "file", path);
    ui_json_bool(cli, "whole", id != NULL);
    ui_json_text(cli, "state",
                 id                       ? "whole"
                 : is_unfinished(summary) ? "open"
                                          : "damaged");
    ui_json_u64(cli, "defects", summary->defect_count);
    ui_json_u64(cli, "events", summary->event_count);
    ui_json_u64(cli, "charges", summary->charge_count);
    ui_json_u64(cli, "not_expanded", summary->unexpanded_count);
    ui_json_u64(cli, "not_compared", summary->uncompared_count);
    if (id)
        ui_json_text(cli, "identity", id);
    else
        ui_json_null(cli, "identity");
    ui_json_end(cli);
}

static void verify_print(struct cli *cli, const char *path,
                         const struct trace_summary *summary, bool whole)
{
    char id[CLI_HASH_TEXT_SIZE];
    cli_hash_text(&summary->identity, id);
    if (cli->json)
        verify_print_json(cli, path, summary, whole ? id : NULL);
    else if (whole)
        ui_out(cli, "%s: whole: %" PRIu64 " events, %" PRIu64 " charges, identity %s\n",
               path, summary->event_count, summary->charge_count, id);
    else if (is_unfinished(summary))
        ui_out(cli,
               "%s: not finished: %" PRIu64 " events; lockstep recover closes it\n",
               path, summary->event_count);
    else
        ui_out(cli, "%s: damaged: %" PRIu64 " defect%s, %" PRIu64 " events readable\n",
               path, summary->defect_count, summary->defect_count == 1 ? "" : "s",
               summary->event_count);
    if (summary->unexpanded_count)
        ui_note(cli, "%s: %" PRIu64 " charge segments or events were not looked into",
                path, summary->unexpanded_count);
    if (summary->uncompared_count)
        ui_note(cli, "%s: %" PRIu64 " blobs were not compared with the others", path,
                summary->uncompared_count);
}

static int verify_file(struct cli *cli, const char *path)
{
    struct verify v = {.cli = cli, .path = path};
    struct replay_source_file file;
    struct trace_verify_options options = {.jump_table = jump_table};
    struct trace_summary summary = {0};
    struct arena arena;
    int status = CLI_UNKNOWN;
    enum err err = replay_source_file_open(&file, path);
    if (err)
        return ui_fail(cli, err, path);
    struct trace_source source = replay_source_file(&file);
    arena_init(&arena, WORK_SIZE_MAX);
    err = trace_verify(&arena, &source, &options, on_defect, &v, &summary);
    /* An error of the file is a defect as well; others say nothing about it. */
    if (err == ERR_io || err == ERR_nomem || err == ERR_trace_version ||
        (err && !summary.defect_count)) {
        status = cli_trace_fail(cli, err, &source, path);
    } else {
        bool whole =
            !err && !summary.defect_count && summary.state == TRACE_READER_CLOSED;
        verify_print(cli, path, &summary, whole);
        status = whole ? CLI_YES : CLI_NO;
    }
    arena_fini(&arena);
    replay_source_file_close(&file);
    return status;
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
    char text[CLI_HASH_TEXT_SIZE];
    cli_hash_text(id, text);
    if (cli->json) {
        ui_json_begin(cli);
        ui_json_text(cli, "file", output);
        ui_json_text(cli, "identity", text);
        ui_json_text(cli, "stopped_by", err_name(fault->err));
        ui_json_u64(cli, "offset", fault->chunk_offset);
        ui_json_end(cli);
        return CLI_YES;
    }
    ui_out(cli, "%s: identity %s\n", output, text);
    if (fault->err == ERR_trace_truncated)
        ui_note(cli,
                "the original ends without index and trailer, at byte %" PRIu64
                "; all that is complete in it was kept",
                fault->chunk_offset);
    else if (fault->err)
        ui_note(cli, "%s ends where the original is damaged, at byte %" PRIu64 ": %s",
                output, fault->chunk_offset, err_text(fault->err));
    return CLI_YES;
}

/* Can anything be saved?  Asked before the output is created. */
static enum err probe(const struct trace_source *source)
{
    struct trace_reader_options none = {0};
    struct trace_reader *reader = NULL;
    struct arena arena;
    arena_init(&arena, WORK_SIZE_MAX);
    enum err err = trace_reader_open(&arena, source, &none, NULL, &reader);
    trace_reader_close(reader);
    arena_fini(&arena);
    return err;
}

static int recover_write(struct cli *cli, const struct trace_source *source,
                         const char *path, const char *output)
{
    struct replay_sink_file to;
    struct trace_fault fault = {0};
    struct hash256 identity;
    struct arena arena;
    enum err err = replay_sink_file_open(&to, output, false);
    if (err)
        return ui_fail(cli, err, output);
    struct trace_sink sink = replay_sink_file(&to);
    arena_init(&arena, WORK_SIZE_MAX);
    err = trace_recover(&arena, source, &sink, &fault, &identity);
    arena_fini(&arena);
    replay_sink_file_close(&to);
    if (!err)
        return recover_print(cli, output, &identity, &fault);
    int status = cli_trace_fail(cli, err, source, path);
    if (os_unlink(output))
        ui_note(cli, "%s stays, incomplete", output);
    return status;
}

static int recover_file(struct cli *cli, const char *path, const char *output)
{
    struct replay_source_file from;
    enum err err = replay_source_file_open(&from, path);
    if (err)
        return ui_fail(cli, err, path);
    struct trace_source source = replay_source_file(&from);
    err = probe(&source);
    int status =
        err ? cli_trace_fail(cli, err, &source, path) : cli_output_check(cli, output);
    if (!status)
        status = recover_write(cli, &source, path, output);
    replay_source_file_close(&from);
    return status;
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
                 : os_file_same(buf_string(&path), argv[0])
                     ? ui_usage(cli, "-o would overwrite %s", argv[0])
                     : recover_file(cli, argv[0], buf_string(&path));
    }
    buf_fini(&path);
    return status;
}
