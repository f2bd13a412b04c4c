/* SPDX-License-Identifier: MIT */
#include "cli/case_file.h"

#include "base/os.h"
#include "replay/replay.h"
#include "replay/sink_file.h"

#include <inttypes.h>
#include <string.h>

#define ARENA_MAX ((size_t)256 << 20)

int cli_case_read(struct cli *cli, const char *path, struct analysis_case *ret_case)
{
    struct analysis_case_error error = {0};
    struct buf file;
    buf_init(&file, ANALYSIS_CASE_TEXT_MAX);
    int status = CLI_YES;
    enum err err = os_file_read(path, &file);
    if (!err)
        err = analysis_case_parse(buf_bytes(&file), ret_case, &error);
    if (err == ERR_case) {
        ui_error(cli, "%s: line %" PRIu32 ": %s", path, error.line, error.message);
        status = CLI_UNKNOWN;
    } else if (err) {
        status = ui_fail(cli, err, path);
    }
    buf_fini(&file);
    return status;
}

enum err cli_case_write(const char *path, const struct analysis_case *c,
                        const char *remarks)
{
    struct buf text;
    buf_init(&text, 2 * ANALYSIS_CASE_TEXT_MAX);
    analysis_case_put(c, &text);
    for (const char *at = remarks; *at;) {
        size_t size = strcspn(at, "\n");
        buf_printf(&text, "; %.*s\n", (int)size, at);
        at += size + (at[size] != 0);
    }
    enum err err = text.err ? text.err : os_file_write(path, buf_bytes(&text));
    buf_fini(&text);
    return err;
}

/* ---- what a check of it showed ---- */

enum { LISTING_MAX = 24 }; /* lines of a program that is worth to be shown whole */

static void print_program(struct cli *cli, const struct analysis_case *c)
{
    const struct pvm_code code = analysis_case_code(c);
    struct buf text;
    if (analysis_case_insn_count(c) > LISTING_MAX)
        return;
    buf_init(&text, ANALYSIS_CASE_TEXT_MAX);
    pvm_disasm(&code, c->config.profile, &text);
    for (const char *at = buf_string(&text); *at;) {
        size_t size = strcspn(at, "\n");
        ui_out(cli, "    %.*s\n", (int)size, at);
        at += size + (at[size] != 0);
    }
    buf_fini(&text);
}

void cli_case_print(struct cli *cli, const char *path, const struct analysis_case *c,
                    const struct analysis_verdict *verdict)
{
    bool same = verdict->group == ANALYSIS_SAME;
    if (cli->json) {
        ui_json_begin(cli);
        ui_json_text(cli, "file", path);
        ui_json_bool(cli, "same", same);
        ui_json_text(cli, "group", analysis_group_name(verdict->group));
        ui_json_text(cli, "difference", verdict->text);
        ui_json_end(cli);
    } else if (!same) {
        ui_out(cli, "%s: engine defect: %s: %s\n", path,
               analysis_group_name(verdict->group), verdict->text);
        print_program(cli, c);
        ui_out(cli, "reproduce: lockstep check %s\n", path);
    }
}

/* ---- a trace of it ---- */

struct recording {
    struct arena arena;
    struct buf blob;
    struct replay_setup setup;
    struct replay_sink_file file;
    struct trace_writer *writer;
    struct trace *trace;
    struct replay_live *live;
    struct replay_session *session;
};

/* The regions in order of their addresses. */
static enum err set_memory(struct recording *r, const struct analysis_case *c)
{
    struct trace_uuu *map =
        arena_new_array(&r->arena, struct trace_uuu, ANALYSIS_CASE_REGION_MAX);
    struct trace_uw *mem =
        arena_new_array(&r->arena, struct trace_uw, ANALYSIS_CASE_REGION_MAX);
    if (!map || !mem)
        return ERR_nomem;
    uint64_t from = 0;
    size_t mem_count = 0;
    for (uint32_t k = 0; k < c->region_count; k++) {
        struct pvm_region least = {.start = UINT32_MAX};
        for (uint32_t i = 0; i < c->region_count; i++) {
            struct pvm_region region = analysis_case_region(c, i);
            if (region.start >= from && region.start <= least.start)
                least = region;
        }
        map[k] = (struct trace_uuu){least.start, least.size, least.access};
        if (least.data.size)
            mem[mem_count++] = (struct trace_uw){least.start, least.data};
        from = (uint64_t)least.start + 1;
    }
    r->setup.maps = (struct trace_list_uuu){map, c->region_count};
    r->setup.mem = (struct trace_list_uw){mem, mem_count};
    return ERR_ok;
}

static enum err set_up(struct recording *r, const struct analysis_case *c)
{
    const struct pvm_code code = analysis_case_code(c);
    pvm_code_put(&code, &r->blob);
    r->setup = (struct replay_setup){
        .config = c->config,
        .code = buf_bytes(&r->blob),
        .pc = c->pc,
        .gas = c->gas,
        .gas_log = PVM_GAS_LOG_LEDGER,
        .hash_every = REPLAY_HASH_EVERY,
        .digest_every = REPLAY_DIGEST_EVERY,
    };
    memcpy(r->setup.reg, c->reg, sizeof r->setup.reg);
    return r->blob.err ? r->blob.err : set_memory(r, c);
}

static enum err record(struct recording *r, const char *path)
{
    const struct replay_live_options nothing = {.stdin_fd = -1,
                                                .stdout_fd = -1,
                                                .stderr_fd = -1,
                                                .clock_fixed = true,
                                                .random_fixed = true};
    const struct trace_writer_options how = {.guest = TRACE_GUEST_PVM, .zstd_level = 1};
    struct replay_result result;
    TRY(replay_live_create(&r->arena, &nothing, &r->live));
    struct replay_host host = replay_live_host(r->live);
    TRY(replay_sink_file_open(&r->file, path, false));
    struct trace_sink sink = replay_sink_file(&r->file);
    TRY(trace_writer_create(&r->arena, &sink, &how, &r->writer));
    TRY(trace_record_create(&r->arena, r->writer, false, &r->trace));
    const struct replay_session_options options = {
        .trace = r->trace,
        .host = &host,
        .engine = {.kind = REPLAY_ENGINE_INTERP},
        .limit = REPLAY_NO_LIMIT,
    };
    TRY(replay_session_create(&r->arena, &r->setup, &options, &r->session));
    return replay_session_run(r->session, &result);
}

enum err cli_case_record(const char *path, const struct analysis_case *c)
{
    struct recording r = {.file = {.fd = -1}};
    struct hash256 identity;
    if (c->gas > REPLAY_GAS_MAX)
        return ERR_limit;
    arena_init(&r.arena, ARENA_MAX);
    buf_init(&r.blob, ANALYSIS_CASE_TEXT_MAX);
    enum err err = set_up(&r, c);
    if (!err)
        err = record(&r, path);
    replay_session_close(r.session);
    trace_close(r.trace);
    if (r.writer) {
        enum err written = trace_writer_finish(r.writer, &identity);
        err = err ? err : written;
    }
    replay_live_close(r.live);
    replay_sink_file_close(&r.file);
    buf_fini(&r.blob);
    arena_fini(&r.arena);
    return err;
}

/* ---- engines ---- */

int cli_engines_read(struct cli *cli, const char *text,
                     enum analysis_engine ret_engine[2])
{
    const char *at = text;
    for (unsigned i = 0; i < 2; i++) {
        size_t size = strcspn(at, ",");
        unsigned k = 0;
        while (k < ANALYSIS_ENGINE_COUNT &&
               (strlen(analysis_engine_name[k]) != size ||
                strncmp(at, analysis_engine_name[k], size) != 0))
            k++;
        if (k == ANALYSIS_ENGINE_COUNT || at[size] != (i ? 0 : ','))
            return ui_usage(cli,
                            "--engines takes two of interp, recomp and other, such as "
                            "interp,recomp, not '%s'",
                            text);
        ret_engine[i] = (enum analysis_engine)k;
        if (k == ANALYSIS_ENGINE_RECOMP && !pvm_recomp_available())
            return ui_fail(cli, ERR_unsupported, "recompiler");
        at += size + 1;
    }
    return CLI_YES;
}
