/* SPDX-License-Identifier: MIT
 *
 * Replay of a pc trace, as lockstep replay prints it.
 */
#include "cli/guest.h"
#include "cli/pc_guest.h"
#include "cli/replay_print.h"

#include <inttypes.h>
#include <stdio.h>

static void json_machine(struct cli *cli, const struct replay_pc_report *report)
{
    static const char *const name[] = {"eax", "ecx", "edx", "ebx",
                                       "esp", "ebp", "esi", "edi"};
    char text[16];
    ui_json_object(cli, "registers");
    for (unsigned i = 0; i < 8; i++) {
        (void)snprintf(text, sizeof text, "0x%" PRIx32, report->reg[i]);
        ui_json_text(cli, name[i], text);
    }
    (void)snprintf(text, sizeof text, "0x%" PRIx32, report->eip);
    ui_json_text(cli, "eip", text);
    (void)snprintf(text, sizeof text, "0x%" PRIx32, report->eflags);
    ui_json_text(cli, "eflags", text);
    ui_json_close(cli);
}

static void print_json(struct cli *cli, const char *path,
                       const struct replay_pc_report *report)
{
    const struct trace_divergence *d = &report->divergence;
    ui_json_begin(cli);
    ui_json_text(cli, "file", path);
    ui_json_text(cli, "class", replay_class_name(report->class));
    if (report->detail[0])
        ui_json_text(cli, "detail", report->detail);
    ui_json_u64(cli, "events", report->event_count);
    ui_json_u64(cli, "icount", report->place.icount);
    ui_json_u64(cli, "sub", report->place.sub);
    ui_json_u64(cli, "code", report->code);
    ui_json_bool(cli, "finished", report->finished);
    ui_json_hex(cli, "identity", bytes_of(report->identity.byte, HASH256_SIZE));
    if (report->class == REPLAY_STOPPED)
        json_machine(cli, report);
    if (report->diverged) {
        ui_json_object(cli, "divergence");
        ui_json_u64(cli, "seq", d->seq);
        ui_json_u64(cli, "icount", d->recorded_clock.icount);
        ui_json_u64(cli, "sub", d->recorded_clock.sub);
        ui_json_text(cli, "kind", d->recorded_name);
        ui_json_text(cli, "field", d->field);
        ui_json_text(cli, "recorded", d->recorded);
        ui_json_text(cli, "replayed", d->produced);
        ui_json_close(cli);
    }
    ui_json_end(cli);
}

static void print_divergence(struct cli *cli, const char *path,
                             const struct replay_pc_report *report)
{
    const struct trace_divergence *d = &report->divergence;
    ui_out(cli,
           "%s%s: diverged%s at event %" PRIu64 " %s  icount %" PRIu64 "+%" PRIu64
           "  chunk at 0x%" PRIx64 "\n",
           ui_color(cli, UI_RED), path, ui_color(cli, UI_PLAIN), d->seq,
           d->recorded_name, d->recorded_clock.icount, d->recorded_clock.sub,
           d->chunk_offset);
    ui_out(cli, "  %-10s recorded %s\n  %-10s replayed %s\n", d->field, d->recorded, "",
           d->produced);
    ui_out(cli,
           "  the machine is at icount %" PRIu64 "+%" PRIu64 ", eip %08" PRIx32 "\n",
           report->place.icount, report->place.sub, report->eip);
    ui_out(cli, "again:  lockstep dump --from e:%" PRIu64 " --to e:%" PRIu64 " %s\n",
           d->seq ? d->seq - 1 : 0, d->seq + 1, path);
}

static void print_machine(struct cli *cli, const char *path,
                          const struct replay_pc_report *report)
{
    const uint32_t *reg = report->reg;
    ui_out(cli,
           "%s: at icount %" PRIu64 "+%" PRIu64 ", after %" PRIu64 " equal events%s\n",
           path, report->place.icount, report->place.sub, report->event_count,
           report->halted ? ", asleep" : "");
    ui_out(cli,
           "  eax %08" PRIx32 "  ecx %08" PRIx32 "  edx %08" PRIx32 "  ebx %08" PRIx32
           "\n  esp %08" PRIx32 "  ebp %08" PRIx32 "  esi %08" PRIx32 "  edi %08" PRIx32
           "\n",
           reg[EMU_EAX], reg[EMU_ECX], reg[EMU_EDX], reg[EMU_EBX], reg[EMU_ESP],
           reg[EMU_EBP], reg[EMU_ESI], reg[EMU_EDI]);
    ui_out(cli, "  eip %04x:%08" PRIx32 "  eflags %08" PRIx32 "  ss %04x  ds %04x\n",
           report->selector[EMU_CS], report->eip, report->eflags,
           report->selector[EMU_SS], report->selector[EMU_DS]);
    ui_out(cli,
           "  cr0 %08" PRIx32 "  cr2 %08" PRIx32 "  cr3 %08" PRIx32 "  cr4 %08" PRIx32
           "\n",
           report->cr[0], report->cr[1], report->cr[2], report->cr[3]);
}

int cli_pc_replay_print(struct cli *cli, const char *path,
                        const struct replay_pc_report *report)
{
    char id[CLI_HASH_TEXT_SIZE];
    int status = cli_replay_status(report->class);
    cli_hash_text(&report->identity, id);
    if (cli->json)
        print_json(cli, path, report);
    else if (report->diverged)
        print_divergence(cli, path, report);
    else if (report->class == REPLAY_STOPPED)
        print_machine(cli, path, report);
    else if (status)
        ui_error(cli, "%s: %s: %s", path, replay_class_name(report->class),
                 report->detail);
    else
        ui_out(cli, "%s: %s%s%s: %" PRIu64 " instructions, %" PRIu64 " events, id %s\n",
               path, replay_class_name(report->class), report->detail[0] ? ", " : "",
               report->detail, report->place.icount, report->event_count, id);
    return status;
}
