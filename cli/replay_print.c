/* SPDX-License-Identifier: MIT */
#include "cli/replay_print.h"

#include "cli/guest.h"

#include <inttypes.h>
#include <stdio.h>

int cli_replay_status(enum replay_class class)
{
    switch (class) {
    case REPLAY_SAME:
    case REPLAY_STOPPED:
    case REPLAY_OPEN:
        return CLI_YES;
    case REPLAY_DIVERGED:
        return CLI_NO;
    case REPLAY_DAMAGED:
    case REPLAY_OTHER_PROGRAM:
    case REPLAY_OTHER_CONFIGURATION:
    case REPLAY_OTHER_VERSION:
    case REPLAY_FAILED:
    default:
        return CLI_UNKNOWN;
    }
}

/* ---- text ---- */

static void print_registers(struct cli *cli, const uint64_t reg[PVM_REG_COUNT])
{
    for (unsigned i = 0; i < PVM_REG_COUNT; i++)
        ui_out(cli, "%s%2s 0x%016" PRIx64 "%s", i % 4 ? "  " : "  ", pvm_reg_name[i],
               reg[i], i % 4 == 3 || i == PVM_REG_COUNT - 1 ? "\n" : "");
}

static void print_place(struct cli *cli, const struct replay_place *place)
{
    ui_out(cli,
           "%s: icount %" PRIu64 "  pc 0x%" PRIx32 "  block 0x%" PRIx32 "  gas %" PRIu64
           ", %" PRIu64 " instructions searched\n",
           place->exact ? "first bad instruction" : "seen at", place->clock.icount,
           place->pc, place->block, place->clock.gas, place->step_count);
    ui_out(cli, "  %s\n", place->what);
    for (uint32_t i = 0; i < place->listing_count; i++)
        ui_out(cli, "  %s %5" PRIx32 ": %s\n",
               place->listing_pc[i] == place->pc ? ">" : " ", place->listing_pc[i],
               place->listing[i]);
    print_registers(cli, place->reg);
}

static void print_divergence(struct cli *cli, const char *path,
                             const struct replay_report *report)
{
    const struct trace_divergence *d = &report->divergence;
    const struct replay_hash_place *hash = &report->result.hash;
    const struct trace_clock *clock = &d->produced_clock;
    const char *name = d->recorded_name ? d->recorded_name : d->produced_name;
    ui_out(cli,
           "%s%s: diverged%s at event %" PRIu64 " %s  icount %" PRIu64 "  gas %" PRIu64
           "  chunk at 0x%" PRIx64 "\n",
           ui_color(cli, UI_RED), path, ui_color(cli, UI_PLAIN), d->seq, name,
           clock->icount, clock->gas, d->chunk_offset);
    ui_out(cli, "  %-10s recorded %s\n  %-10s replayed %s\n", d->field, d->recorded, "",
           d->produced);
    if (hash->present)
        ui_out(cli, "last equal state hash: event %" PRIu64 ", icount %" PRIu64 "\n",
               hash->seq, hash->clock.icount);
    if (report->place.present)
        print_place(cli, &report->place);
    ui_out(cli, "again:  lockstep replay --to %" PRIu64 " %s\n",
           report->place.present ? report->place.clock.icount : clock->icount, path);
}

static void print_same(struct cli *cli, const char *path,
                       const struct replay_report *report)
{
    char id[CLI_HASH_TEXT_SIZE];
    const struct trace_clock *clock = &report->result.clock;
    cli_hash_text(&report->identity, id);
    ui_out(cli,
           "%s%s: same%s: %" PRIu64 " events, %" PRIu64 " instructions, %" PRIu64
           " gas, id %s%s\n",
           ui_color(cli, UI_GREEN), path, ui_color(cli, UI_PLAIN), report->event_count,
           clock->icount, clock->gas, id,
           report->result.reason ? "; the recording was stopped there" : "");
}

static void print_text(struct cli *cli, const char *path,
                       const struct replay_report *report)
{
    const struct pvm_state *state = &report->state;
    const struct trace_clock *clock = &report->result.clock;
    switch (report->class) {
    case REPLAY_SAME:
        if (!cli->quiet)
            print_same(cli, path, report);
        break;
    case REPLAY_OPEN:
        ui_out(cli,
               "%s: open: the same as far as it goes: %" PRIu64 " events, %" PRIu64
               " instructions, %" PRIu64 " gas%s%s\n",
               path, report->event_count, clock->icount, clock->gas,
               report->detail[0] ? "; " : "", report->detail);
        break;
    case REPLAY_STOPPED:
        ui_out(cli,
               "%s: at icount %" PRIu64 "  pc 0x%" PRIx32 "  gas left %" PRIu64
               ", after %" PRIu64 " equal events%s%s\n",
               path, state->icount, state->pc, state->gas, report->event_count,
               report->detail[0] ? "; " : "", report->detail);
        if (report->started_late && !cli->quiet)
            ui_note(cli,
                    "%s: from the checkpoint at icount %" PRIu64
                    "; --from-start compares what is before too",
                    path, report->start_icount);
        print_registers(cli, state->reg);
        break;
    case REPLAY_DIVERGED:
        print_divergence(cli, path, report);
        break;
    case REPLAY_DAMAGED:
    case REPLAY_OTHER_PROGRAM:
    case REPLAY_OTHER_CONFIGURATION:
    case REPLAY_OTHER_VERSION:
    case REPLAY_FAILED:
    default:
        ui_error(cli, "%s: %s: %s", path, replay_class_name(report->class),
                 report->detail);
    }
}

/* ---- JSON ---- */

static void json_hex(struct cli *cli, const char *key, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "0x%" PRIx64, value);
    ui_json_text(cli, key, text);
}

static void json_clock(struct cli *cli, const char *key,
                       const struct trace_clock *clock)
{
    ui_json_object(cli, key);
    ui_json_u64(cli, "icount", clock->icount);
    ui_json_u64(cli, "gas", clock->gas);
    ui_json_close(cli);
}

static void json_registers(struct cli *cli, const uint64_t reg[PVM_REG_COUNT])
{
    ui_json_object(cli, "registers");
    for (unsigned i = 0; i < PVM_REG_COUNT; i++)
        json_hex(cli, pvm_reg_name[i], reg[i]);
    ui_json_close(cli);
}

static void json_name(struct cli *cli, const char *key, const char *name)
{
    if (name)
        ui_json_text(cli, key, name);
    else
        ui_json_null(cli, key);
}

static void json_divergence(struct cli *cli, const struct trace_divergence *d)
{
    ui_json_object(cli, "divergence");
    ui_json_u64(cli, "event", d->seq);
    ui_json_u64(cli, "chunk", d->chunk_offset);
    json_name(cli, "recorded_kind", d->recorded_name);
    json_name(cli, "replayed_kind", d->produced_name);
    json_clock(cli, "recorded_clock", &d->recorded_clock);
    json_clock(cli, "replayed_clock", &d->produced_clock);
    ui_json_text(cli, "field", d->field);
    ui_json_text(cli, "recorded", d->recorded);
    ui_json_text(cli, "replayed", d->produced);
    ui_json_close(cli);
}

static void json_place(struct cli *cli, const struct replay_place *place)
{
    ui_json_object(cli, "place");
    ui_json_u64(cli, "icount", place->clock.icount);
    ui_json_u64(cli, "gas", place->clock.gas);
    json_hex(cli, "pc", place->pc);
    json_hex(cli, "block", place->block);
    ui_json_bool(cli, "exact", place->exact);
    ui_json_text(cli, "what", place->what);
    ui_json_u64(cli, "searched", place->step_count);
    ui_json_array(cli, "listing");
    for (uint32_t i = 0; i < place->listing_count; i++) {
        ui_json_object(cli, NULL);
        json_hex(cli, "pc", place->listing_pc[i]);
        ui_json_text(cli, "text", place->listing[i]);
        ui_json_close(cli);
    }
    ui_json_close(cli);
    json_registers(cli, place->reg);
    ui_json_close(cli);
}

static void print_json(struct cli *cli, const char *path,
                       const struct replay_report *report)
{
    ui_json_begin(cli);
    ui_json_text(cli, "file", path);
    ui_json_text(cli, "class", replay_class_name(report->class));
    if (report->detail[0])
        ui_json_text(cli, "detail", report->detail);
    ui_json_u64(cli, "events", report->event_count);
    json_clock(cli, "clock", &report->result.clock);
    if (report->finished)
        ui_json_hex(cli, "identity", bytes_of(report->identity.byte, HASH256_SIZE));
    if (report->class == REPLAY_SAME)
        ui_json_u64(cli, "reason", report->result.reason);
    if (report->diverged)
        json_divergence(cli, &report->divergence);
    if (report->diverged && report->result.hash.present) {
        ui_json_object(cli, "last_equal_hash");
        ui_json_u64(cli, "event", report->result.hash.seq);
        ui_json_u64(cli, "icount", report->result.hash.clock.icount);
        ui_json_close(cli);
    }
    if (report->place.present)
        json_place(cli, &report->place);
    if (report->class == REPLAY_STOPPED) {
        json_hex(cli, "pc", report->state.pc);
        json_registers(cli, report->state.reg);
    }
    ui_json_end(cli);
}

int cli_replay_print(struct cli *cli, const char *path, enum err open_err,
                     const struct replay_report *report, bool talk)
{
    if (open_err)
        return ui_fail(cli, open_err, path);
    if (cli->json)
        print_json(cli, path, report);
    else if (talk && report->class == REPLAY_SAME)
        ui_note(cli, "%s: same, %" PRIu64 " events", path, report->event_count);
    else
        print_text(cli, path, report);
    return cli_replay_status(report->class);
}
