/* SPDX-License-Identifier: MIT
 *
 * lockstep dump: the events of a trace as text or JSON (trace-replay.md 3.8, 10.2).
 * Kinds that this build does not know are printed by the file's own schema.
 */
#include "cli/fs_text.h"
#include "cli/guest.h"

#include "replay/position.h"
#include "replay/sink_file.h"
#include "v86fs/proto.h"

#include <inttypes.h>
#include <string.h>

#define WORK_SIZE_MAX ((size_t)256 << 20)

/* A list is cut at SHOWN_SIZE_MAX; one value is at most a record of 128 KiB, of which
 * each byte may take four characters. */
enum { W_SIZE_MAX = 64 << 20, SHOWN_SIZE_MAX = 1 << 16, LINE_SIZE_MAX = 1 << 20 };

struct dump_options {
    const char *from;
    const char *to;
    struct cli_list kind;
    bool salvage;
};

static const struct cli_option option[] = {
    CLI_STRING(struct dump_options, from, "from", 0, "POS",
               "begin at this event: N, e:N, g:N, N%, start"),
    CLI_STRING(struct dump_options, to, "to", 0, "POS",
               "end before this event; also end"),
    CLI_LIST(struct dump_options, kind, "kind", 'k', "KIND",
             "only events of this kind, such as pvm.ecall"),
    CLI_FLAG(struct dump_options, salvage, "salvage", 0,
             "go on behind damage, marking the gap"),
    CLI_END,
};

const struct cli_spec cli_spec_dump = {
    .option = option,
    .options_size = sizeof(struct dump_options),
    .positional = {{"FILE", 1, 1, "a trace"}},
    .example = {{"lockstep dump --kind pvm.ecall run.lks", "every call of the guest"},
                {"lockstep dump --json --from e:100 --to e:110 run.lks",
                 "ten events for a program"}},
    .about =
        "One event per line: its number, the instructions retired before it, the gas "
        "charged so far, its kind, and every field that does not hold its default.",
    .exit_yes = "printed to the end",
    .exit_no = "with --salvage: printed, with gaps",
    .prints_json = true,
};

struct dump {
    struct cli *cli;
    const struct dump_options *options;
    struct trace_reader *reader;
    struct buf line;
    bool passed_gap;   /* on the way to --from */
    uint32_t features; /* of the file server, as far as the walk has come */
};

/* ---- one value ---- */

/* All bytes of a value that may be stored as blobs; in `buf`. */
static enum err value_bytes(struct dump *d, const struct trace_value *value,
                            struct buf *buf)
{
    if (value->size > W_SIZE_MAX)
        return ERR_limit;
    uint8_t *at = buf_extend(buf, (size_t)value->size);
    if (!at)
        return buf->err;
    return trace_value_read(d->reader, value, 0, at, (size_t)value->size);
}

static bool is_default(const struct trace_value *value)
{
    return strchr("uid", value->type) ? !value->number : !value->size;
}

static enum err json_value(struct dump *d, const char *key,
                           const struct trace_value *value)
{
    struct cli *cli = d->cli;
    switch (value->type) {
    case 'u':
        if (value->show == 'd' && value->number < (uint64_t)1 << 53) {
            ui_json_u64(cli, key, value->number);
            return ERR_ok;
        }
        break;
    case 'i':
        ui_json_i64(cli, key, (int64_t)value->number);
        return ERR_ok;
    case 's':
        ui_json_text_bytes(cli, key, value->bytes);
        return ERR_ok;
    case 'd':
        break;
    default: {
        struct buf buf;
        buf_init(&buf, W_SIZE_MAX);
        enum err err = value_bytes(d, value, &buf);
        if (!err)
            ui_json_hex(cli, key, buf_bytes(&buf));
        buf_fini(&buf);
        return err;
    }
    }
    struct buf text;
    buf_init(&text, 24);
    buf_printf(&text, "0x%" PRIx64, value->number);
    ui_json_text(cli, key, buf_string(&text));
    buf_fini(&text);
    return ERR_ok;
}

/* ---- frames of the file server ---- */

/* Field `name` of the record; false if there is none. */
static bool field_value(const struct trace_record *record, const char *name,
                        struct trace_value *ret_value)
{
    for (uint32_t i = 0; i < record->kind->field_count; i++) {
        struct trace_values values = trace_record_values(record, i);
        if (strcmp(values.field->name, name) == 0)
            return trace_values_next(&values, ret_value);
    }
    return false;
}

/* What a virtio event says as a message, appended to `text`; a request without its
 * bytes has a type all the same. */
static void frame_text(struct dump *d, const struct trace_record *record,
                       struct buf *text)
{
    struct trace_value data, op;
    struct buf frame;
    if (strncmp(record->kind->wire, "virtio.", 7) != 0)
        return;
    buf_init(&frame, W_SIZE_MAX);
    if (field_value(record, "data", &data) && data.size &&
        !value_bytes(d, &data, &frame))
        cli_fs_frame_text(buf_bytes(&frame), d->features, text);
    else if (record->kind->id == TRACE_ID_virtio_request &&
             field_value(record, "op", &op))
        buf_text(text, op.number < 256 ? v86fs_type_name((uint8_t)op.number) : "?");
    buf_fini(&frame);
}

/* Layouts of frames behind this event. */
static void note_features(struct dump *d, const struct trace_record *record)
{
    struct trace_value features;
    if (record->kind->id == TRACE_ID_virtio_ready &&
        field_value(record, "features", &features))
        d->features = (uint32_t)features.number;
}

/* ---- one event ---- */

static enum err json_list(struct dump *d, struct trace_values *values)
{
    struct trace_value value;
    enum err err = ERR_ok;
    ui_json_array(d->cli, values->field->name);
    while (!err && trace_values_next(values, &value))
        err = json_value(d, NULL, &value);
    ui_json_close(d->cli);
    return err;
}

/* An object of their own: kinds have fields called `gas` and `kind` too. */
static enum err json_fields(struct dump *d, const struct trace_record *record)
{
    enum err err = ERR_ok;
    ui_json_object(d->cli, "fields");
    for (uint32_t i = 0; !err && i < record->kind->field_count; i++) {
        struct trace_values values = trace_record_values(record, i);
        struct trace_value value;
        if (values.field->list)
            err = json_list(d, &values);
        else if (trace_values_next(&values, &value))
            err = json_value(d, values.field->name, &value);
    }
    ui_json_close(d->cli);
    return err;
}

static enum err json_event(struct dump *d, const struct trace_record *record,
                           bool has_sub)
{
    struct cli *cli = d->cli;
    ui_json_begin(cli);
    ui_json_u64(cli, "seq", record->seq);
    ui_json_u64(cli, "icount", record->clock.icount);
    ui_json_u64(cli, has_sub ? "sub" : "gas",
                has_sub ? record->clock.sub : record->clock.gas);
    ui_json_text(cli, "kind", record->kind->wire);
    enum err err = json_fields(d, record);
    buf_clear(&d->line);
    frame_text(d, record, &d->line);
    if (d->line.size)
        ui_json_text_bytes(cli, "message", buf_bytes(&d->line));
    ui_json_end(cli);
    return err;
}

static void text_list(struct dump *d, struct trace_values *values)
{
    struct trace_value value;
    unsigned letters = (unsigned)strlen(values->field->letters), k = 0;
    buf_printf(&d->line, " %s=[", values->field->name);
    while (d->line.size < SHOWN_SIZE_MAX && trace_values_next(values, &value)) {
        if (k)
            buf_text(&d->line, k % letters ? ":" : " ");
        trace_value_text(&value, &d->line);
        k++;
    }
    buf_text(&d->line, values->left ? " ...]" : "]");
}

static void text_fields(struct dump *d, const struct trace_record *record)
{
    for (uint32_t i = 0; i < record->kind->field_count; i++) {
        struct trace_values values = trace_record_values(record, i);
        struct trace_value value;
        if (values.field->list) {
            if (values.left)
                text_list(d, &values);
            continue;
        }
        if (!trace_values_next(&values, &value) || is_default(&value))
            continue;
        buf_printf(&d->line, " %s=", values.field->name);
        trace_value_text(&value, &d->line);
    }
}

static enum err text_event(struct dump *d, const struct trace_record *record,
                           bool has_sub)
{
    struct cli *cli = d->cli;
    buf_clear(&d->line);
    text_fields(d, record);
    size_t size = d->line.size;
    buf_text(&d->line, "  ");
    frame_text(d, record, &d->line);
    if (d->line.size == size + 2)
        d->line.size = size;
    ui_out(cli, "%8" PRIu64 " %12" PRIu64 " %12" PRIu64 "  %s", record->seq,
           record->clock.icount, has_sub ? record->clock.sub : record->clock.gas,
           ui_color(cli, UI_BOLD));
    ui_out_escaped(cli, bytes_of(record->kind->wire, strlen(record->kind->wire)),
                   false);
    ui_out(cli, "%s", ui_color(cli, UI_PLAIN));
    ui_out_escaped(cli, buf_bytes(&d->line), false);
    ui_out(cli, "\n");
    return d->line.err;
}

static bool wanted(const struct dump *d, const struct trace_record *record)
{
    const struct cli_list *kinds = &d->options->kind;
    for (size_t i = 0; i < kinds->count; i++) {
        if (strcmp(kinds->item[i], record->kind->wire) == 0)
            return true;
    }
    return !kinds->count;
}

/* A kind that no event of the file can have is a mistake, not an empty answer. */
static int check_kinds(struct dump *d)
{
    const struct trace_schema *schema = trace_reader_schema(d->reader);
    const struct cli_list *kinds = &d->options->kind;
    for (size_t i = 0; i < kinds->count; i++) {
        bool found = false;
        for (size_t k = 0; !found && k < schema->count; k++)
            found = strcmp(kinds->item[i], schema->kind[k].wire) == 0;
        if (!found)
            return ui_usage(d->cli, "'%s' is no kind of event of this trace",
                            kinds->item[i]);
    }
    return CLI_YES;
}

/* ---- the range ---- */

/* The number of the first event at or behind a position of the file. */
static enum err find_seq(const struct trace_source *source,
                         const struct trace_reader_options *options,
                         const struct replay_position *position, uint64_t *ret_seq,
                         bool *ret_gap)
{
    struct trace_reader *reader = NULL;
    struct trace_clock clock;
    struct arena arena;
    arena_init(&arena, WORK_SIZE_MAX);
    enum err err = trace_reader_open(&arena, source, options, NULL, &reader);
    if (!err)
        err = replay_position_find(reader, position, 0, ret_seq, &clock);
    *ret_gap = reader && trace_reader_gap_count(reader);
    trace_reader_close(reader);
    arena_fini(&arena);
    return err;
}

/* The event that --from or --to names; relative positions make no sense here. */
static int find_event(struct dump *d, const struct trace_source *source,
                      const char *path, const char *text, uint64_t *ret_seq,
                      bool *ret_gap)
{
    struct replay_position position;
    if (!text)
        return CLI_YES;
    if (!replay_position_parse(text, &position) || position.kind == REPLAY_AT_FORWARD ||
        position.kind == REPLAY_AT_BACKWARD)
        return ui_usage(d->cli, "'%s' is no position: N, e:N, g:N, N%%, start, end",
                        text);
    if (position.kind == REPLAY_AT_EVENT || position.kind == REPLAY_AT_END) {
        *ret_seq = position.kind == REPLAY_AT_END ? UINT64_MAX : position.value;
        return CLI_YES;
    }
    struct trace_reader_options options = {.salvage = d->options->salvage};
    enum err err = find_seq(source, &options, &position, ret_seq, ret_gap);
    return err ? cli_trace_fail(d->cli, err, source, path) : CLI_YES;
}

/* ---- the walk ---- */

static enum err walk(struct dump *d, uint64_t to)
{
    bool has_sub = trace_reader_header(d->reader)->guest == TRACE_GUEST_PC, end = false;
    struct trace_record record;
    uint64_t gaps = 0;
    while (!d->cli->out_failed) {
        TRY(trace_reader_next(d->reader, &record, &end));
        bool over = end || record.seq >= to;
        if (trace_reader_gap_count(d->reader) != gaps) {
            gaps = trace_reader_gap_count(d->reader);
            if (end)
                ui_note(d->cli, "damage behind the last event: some may be missing");
            else
                ui_note(d->cli, "damage before event %" PRIu64 ": some are missing",
                        record.seq);
        }
        if (over)
            break;
        note_features(d, &record);
        if (wanted(d, &record))
            TRY(d->cli->json ? json_event(d, &record, has_sub)
                             : text_event(d, &record, has_sub));
    }
    return ERR_ok;
}

static int dump_range(struct dump *d, const struct trace_source *source,
                      const char *path, uint64_t from, uint64_t to)
{
    enum err err = from ? trace_reader_seek_seq(d->reader, from) : ERR_ok;
    if (d->passed_gap)
        ui_note(d->cli, "damage on the way to event %" PRIu64 ": some may be missing",
                from);
    if (!err)
        err = walk(d, to);
    if (err)
        return cli_trace_fail(d->cli, err, source, path);
    return d->passed_gap || trace_reader_gap_count(d->reader) ? CLI_NO : CLI_YES;
}

static int dump_file(struct dump *d, const struct trace_source *source,
                     const char *path)
{
    struct trace_reader_options options = {.salvage = d->options->salvage};
    uint64_t from = 0, to = UINT64_MAX;
    struct arena arena;
    bool to_gap; /* if it matters, the walk comes upon it too */
    int status = find_event(d, source, path, d->options->from, &from, &d->passed_gap);
    if (!status)
        status = find_event(d, source, path, d->options->to, &to, &to_gap);
    if (status)
        return status;
    arena_init(&arena, WORK_SIZE_MAX);
    buf_init(&d->line, LINE_SIZE_MAX);
    enum err err = trace_reader_open(&arena, source, &options, NULL, &d->reader);
    status = err ? cli_trace_fail(d->cli, err, source, path) : check_kinds(d);
    if (!status)
        status = dump_range(d, source, path, from, to);
    trace_reader_close(d->reader);
    buf_fini(&d->line);
    arena_fini(&arena);
    return status;
}

int cmd_dump(struct cli *cli, int argc, char **argv)
{
    struct dump d = {.cli = cli, .options = cli->options};
    struct replay_source_file file;
    (void)argc;
    enum err err = replay_source_file_open(&file, argv[0]);
    if (err)
        return ui_fail(cli, err, argv[0]);
    struct trace_source source = replay_source_file(&file);
    int status = dump_file(&d, &source, argv[0]);
    replay_source_file_close(&file);
    return status;
}
