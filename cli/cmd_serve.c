/* SPDX-License-Identifier: MIT
 *
 * lockstep serve: a capability kernel in a confined worker, behind a socket.
 */
#include "cli/serve_record.h"

#include "base/os.h"
#include "base/os_process.h"
#include "base/os_stream.h"
#include "nub/relay.h"

#include <inttypes.h>

enum engine { ENGINE_INTERP, ENGINE_RECOMP, ENGINE_AUTO };
static const char *const engine_word[] = {"interp", "recomp", "auto", NULL};

struct options {
    enum engine engine;
    uint64_t timeout_s;
    uint64_t journal_size;
    const char *record;
    bool stateful, strict, all_walls;
};

#define SECOND UINT64_C(1000000000)
enum { CLIENT_TIMEOUT_S = 30, TIMEOUT_MAX_S = 1000000 };

static const struct options defaults = {
    .engine = ENGINE_AUTO, .timeout_s = 60, .journal_size = (uint64_t)1 << 30};

static const struct cli_option option[] = {
    CLI_WORD(struct options, engine, "engine", 0, engine_word,
             "what executes instructions (default auto: recomp where it can)"),
    CLI_U64(struct options, timeout_s, "timeout", 0, "SECONDS", 0, TIMEOUT_MAX_S,
            "kill a worker that takes longer for one request; 0: never (default 60)"),
    CLI_SIZE(struct options, journal_size, "journal", 0, "SIZE", 0, UINT64_MAX,
             "requests to keep for rebuilding a lost worker (default 1G)"),
    CLI_STRING(struct options, record, "record", 'o', "FILE",
               "write a trace of all that the kernel is asked"),
    CLI_FLAG(struct options, stateful, "stateful-children", 0,
             "a called instance keeps its state (unless clients configure)"),
    CLI_FLAG(struct options, strict, "strict-return", 0,
             "a return leaves the caller's registers (unless clients configure)"),
    CLI_FLAG(struct options, all_walls, "all-walls", 0,
             "fail where the worker cannot be confined in every way"),
    CLI_END,
};

const struct cli_spec cli_spec_serve = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"SOCKET", 1, 1,
                    "where to listen; the socket is removed at the end"}},
    .example = {{"lockstep serve kernel.sock",
                 "serve until Ctrl-C, to this user's processes alone"},
                {"lockstep serve --engine=interp --json kernel.sock",
                 "tell what happens as one JSON object per line"}},
    .about =
        "The kernel lives in a worker process that can reach nothing but its memory "
        "and one stream.  Clients speak the protocol of docs/nub.md; lockstep nub is "
        "one.  When the worker is lost or late, it is killed, and another one is "
        "brought to the same state by the requests that were answered.\n\n"
        "With --record every request is also served by an interpreted kernel in this "
        "process, which writes the trace; its answers are compared with the worker's.  "
        "lockstep replay checks such a trace.",
    .exit_yes = "served until a signal came",
    .exit_no = "the recorded kernel answered otherwise than the worker",
    .prints_json = true,
};

/* ---- what is told ---- */

struct server {
    struct cli *cli;
    const char *path;
    struct nub *nub;
};

static void tell_worker(struct server *server, const char *event)
{
    struct cli *cli = server->cli;
    unsigned walls = nub_worker_walls(server->nub);
    int pid = nub_worker_pid(server->nub);
    if (!cli->json) {
        ui_note(cli, "%s: %s, worker %d", server->path, event, pid);
        return;
    }
    ui_json_begin(cli);
    ui_json_text(cli, "event", event);
    ui_json_text(cli, "socket", server->path);
    ui_json_i64(cli, "worker", pid);
    ui_json_array(cli, "walls");
    for (unsigned wall = 1; wall < OS_WORKER_WALLS; wall *= 2) {
        if (walls & wall)
            ui_json_text(cli, NULL, os_worker_wall_name((enum os_worker_wall)wall));
    }
    ui_json_close(cli);
    ui_json_end(cli);
    ui_flush(cli);
}

static void tell_err(struct server *server, const char *event, enum err err)
{
    struct cli *cli = server->cli;
    if (!cli->json) {
        ui_note(cli, "%s: %s: %s", server->path, event, err_text(err));
        return;
    }
    ui_json_begin(cli);
    ui_json_text(cli, "event", event);
    ui_json_text(cli, "error", err_name(err));
    if (err == ERR_closed && nub_worker_end(server->nub) >= 0)
        ui_json_i64(cli, "status", nub_worker_end(server->nub));
    ui_json_end(cli);
    ui_flush(cli);
}

static void tell(void *self, enum nub_relay_event event, enum err err)
{
    struct server *server = self;
    switch (event) {
    case NUB_RELAY_CLIENT:
        ui_verbose(server->cli, "%s: a client connected", server->path);
        break;
    case NUB_RELAY_REFUSED:
        tell_err(server, "client turned away", err);
        break;
    case NUB_RELAY_BAD:
        tell_err(server, "client disconnected", err);
        break;
    case NUB_RELAY_LOST:
        tell_err(server, "worker lost", err);
        break;
    case NUB_RELAY_RECOVERED:
        tell_worker(server, "rebuilt");
        break;
    case NUB_RELAY_EVENT_COUNT:
        break;
    }
}

static void tell_end(struct server *server, const struct nub_relay_counts *counts)
{
    struct cli *cli = server->cli;
    if (!cli->json) {
        ui_note(cli, "%s: %" PRIu64 " requests served, %" PRIu64 " workers lost",
                server->path, counts->requests, counts->events[NUB_RELAY_LOST]);
        return;
    }
    ui_json_begin(cli);
    ui_json_text(cli, "event", "end");
    ui_json_u64(cli, "requests", counts->requests);
    ui_json_u64(cli, "clients", counts->events[NUB_RELAY_CLIENT]);
    ui_json_u64(cli, "clients_disconnected", counts->events[NUB_RELAY_BAD]);
    ui_json_u64(cli, "workers_lost", counts->events[NUB_RELAY_LOST]);
    ui_json_end(cli);
}

/* ---- serving ---- */

static int serve(struct server *server, int listener)
{
    const struct nub_relay_options options = {
        .frame_timeout_ns = CLIENT_TIMEOUT_S * SECOND, .tell = tell, .self = server};
    struct nub_relay_counts counts;
    tell_worker(server, "ready");
    enum err err = nub_relay_run(listener, server->nub, &options, &counts);
    tell_end(server, &counts);
    return err ? ui_fail(server->cli, err, server->path) : CLI_YES;
}

static int listen_and_serve(struct server *server)
{
    int listener;
    enum err err = os_stream_listen(server->path, &listener);
    if (err == ERR_exists) {
        ui_error(server->cli, "%s: is in use, or no socket", server->path);
        return CLI_UNKNOWN;
    }
    if (err == ERR_limit) {
        ui_error(server->cli, "%s: too long for a socket's path", server->path);
        return CLI_UNKNOWN;
    }
    if (err)
        return ui_fail(server->cli, err, server->path);
    int status = serve(server, listener);
    os_close(listener);
    (void)!os_unlink(server->path);
    return status;
}

static bool wants_recompiler(enum engine engine)
{
    return engine == ENGINE_RECOMP || (engine == ENGINE_AUTO && pvm_recomp_available());
}

int cmd_serve(struct cli *cli, int argc, char **argv)
{
    const struct options *options = cli->options;
    struct server server = {.cli = cli, .path = argv[0]};
    struct kernel_config config = kernel_config_default();
    (void)argc;
    if (options->engine == ENGINE_RECOMP && !pvm_recomp_available())
        return ui_fail(cli, ERR_unsupported, "--engine=recomp");
    config.engine =
        wants_recompiler(options->engine) ? KERNEL_ENGINE_RECOMP : KERNEL_ENGINE_INTERP;
    config.flags |= (options->stateful ? KERNEL_STATEFUL_CHILDREN : 0u) |
                    (options->strict ? KERNEL_STRICT_RETURN : 0u);
    const struct nub_options how = {.config = &config,
                                    .timeout_ns = options->timeout_s * SECOND,
                                    .journal_max = options->journal_size,
                                    .require_walls =
                                        options->all_walls ? OS_PROCESS_WALLS : 0};
    os_catch_interrupts();
    enum err err = nub_open_worker(&how, &server.nub);
    if (err)
        return ui_fail(cli, err, "worker");
    struct cli_serve_record *record = NULL;
    int status = CLI_YES;
    if (options->record)
        status = cli_serve_record_open(cli, options->record, server.nub, &record);
    if (!status)
        status = listen_and_serve(&server);
    int recorded = cli_serve_record_close(record);
    nub_close(server.nub);
    return status ? status : recorded;
}
