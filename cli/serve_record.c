/* SPDX-License-Identifier: MIT */
#include "cli/serve_record.h"

#include "base/os.h"
#include "cli/guest.h"
#include "replay/kernel.h"
#include "replay/sink_file.h"

#include <inttypes.h>
#include <string.h>

#define ARENA_MAX ((size_t)4 << 30)

struct cli_serve_record {
    struct cli *cli;
    const char *path;
    struct nub_observer observer;
    struct kernel_config config;
    struct arena arena;
    struct replay_sink_file file;
    struct trace_writer *writer;
    struct trace *trace;
    struct replay_kernel *session; /* from the first request on that changes anything */
    struct buf request;            /* that is being served */
    enum err err;                  /* why nothing more is recorded */
    bool differs;
};

/* ---- the second kernel's answers ---- */

/* What it answered, in the words of a response. */
struct answer {
    enum kernel_status status;
    uint8_t bytes[HASH256_SIZE];
    size_t size;
};

static enum err session_ensure(struct cli_serve_record *r)
{
    const struct replay_kernel_options options = {
        .trace = r->trace,
        .engine = {.kind = REPLAY_ENGINE_INTERP},
        .interrupted = os_interrupted};
    struct replay_kernel_setup setup = replay_kernel_setup_default();
    if (r->session)
        return ERR_ok;
    setup.config = r->config;
    return replay_kernel_create(&r->arena, &setup, &options, &r->session);
}

static enum err put(struct cli_serve_record *r, struct bytes payload,
                    struct answer *answer)
{
    struct hash256 hash;
    TRY(replay_kernel_put(r->session, payload, &answer->status, &hash));
    answer->size = HASH256_SIZE;
    if (answer->status)
        answer->size = nub_refusal_encode(NUB_FN_put_cap, answer->bytes);
    else
        memcpy(answer->bytes, hash.byte, HASH256_SIZE);
    return ERR_ok;
}

static void result_answer(const struct kernel_result *result, struct answer *answer)
{
    nub_result_encode(result, answer->bytes);
    answer->size = NUB_RESULT_SIZE;
}

static enum err invoke(struct cli_serve_record *r, const struct nub_invoke *packet,
                       struct answer *answer)
{
    struct kernel_result result;
    struct replay_kernel_invocation invocation = {.instance = packet->instance,
                                                  .endpoint = packet->endpoint,
                                                  .pad = packet->pad,
                                                  .gas = packet->gas};
    memcpy(invocation.args, packet->args, sizeof invocation.args);
    TRY(replay_kernel_invoke(r->session, &invocation, &result));
    result_answer(&result, answer);
    return ERR_ok;
}

static enum err resume(struct cli_serve_record *r, const struct nub_resume *packet,
                       struct answer *answer)
{
    struct kernel_result result;
    bool scratch = packet->flags & KERNEL_RESUME_SCRATCH;
    TRY(replay_kernel_resume(r->session, packet->flags & KERNEL_RESUME_DROP,
                             scratch ? &packet->scratch : NULL, packet->topup,
                             &result));
    result_answer(&result, answer);
    return ERR_ok;
}

static enum err other(struct cli_serve_record *r, uint32_t fn, struct bytes payload,
                      struct answer *answer)
{
    struct replay_kernel_answer theirs;
    TRY(replay_kernel_request(r->session, (enum replay_kernel_fn)fn, payload, &theirs));
    answer->status = theirs.status;
    answer->size = theirs.size;
    memcpy(answer->bytes, theirs.bytes, theirs.size);
    return ERR_ok;
}

/* *ret_told false: a request that leaves the kernel as it is, or cannot be told, such
 * as an INVOKE of the wrong size, which changes the last outcome alone. */
static enum err tell_request(struct cli_serve_record *r, uint32_t fn,
                             struct bytes payload, struct answer *answer,
                             bool *ret_told)
{
    struct nub_invoke invoke_packet;
    struct nub_resume resume_packet;
    *ret_told = true;
    TRY(session_ensure(r));
    if (fn == NUB_FN_put_cap)
        return put(r, payload, answer);
    if (fn == NUB_FN_invoke && nub_invoke_decode(payload, &invoke_packet))
        return invoke(r, &invoke_packet, answer);
    if (fn == NUB_FN_resume && nub_resume_decode(payload, &resume_packet))
        return resume(r, &resume_packet, answer);
    if (fn == NUB_FN_seed_file || fn == NUB_FN_seed_quota || fn == NUB_FN_add_catcher ||
        fn == NUB_FN_new_catcher || fn == NUB_FN_reset_block)
        return other(r, fn, payload, answer);
    *ret_told = false;
    return ERR_ok;
}

/* ---- what the worker answers ---- */

static void stop(struct cli_serve_record *r, enum err err, bool differs)
{
    r->err = err;
    r->differs = differs;
    if (differs)
        ui_error(r->cli, "%s: the recorded kernel answers otherwise than the worker",
                 r->path);
    else
        (void)ui_fail(r->cli, err, r->path);
}

static void on_request(void *self, struct bytes frame)
{
    struct cli_serve_record *r = self;
    buf_clear(&r->request);
    buf_put(&r->request, frame.data, frame.size);
}

static bool is_free(uint32_t fn)
{
    return fn == NUB_FN_smoke || fn == NUB_FN_get_boot_info ||
           fn == NUB_FN_last_outcome || fn == NUB_FN_configure;
}

static void on_response(void *self, struct bytes frame)
{
    struct cli_serve_record *r = self;
    struct answer answer = {.status = KERNEL_STATUS_OK};
    struct nub_header sent, header;
    bool told = false;
    if (r->err || r->request.err)
        return;
    check(nub_header_decode(r->request.data, &sent));
    check(nub_header_decode(frame.data, &header));
    struct bytes asked = bytes_of(r->request.data + NUB_HEADER_SIZE, sent.size);
    struct bytes said = bytes_of(frame.data + NUB_HEADER_SIZE, header.size);
    if (sent.fn == NUB_FN_configure && !header.status)
        check(nub_config_decode(said, &r->config));
    if (is_free(sent.fn) || sent.flags || sent.status)
        return;
    enum err err = tell_request(r, sent.fn, asked, &answer, &told);
    if (err) {
        stop(r, err, false);
    } else if (told &&
               (header.status != (uint32_t)answer.status || said.size != answer.size ||
                memcmp(said.data, answer.bytes, answer.size) != 0)) {
        stop(r, ERR_nub_diverged, true);
    }
}

/* ---- the trace ---- */

static enum err open_trace(struct cli_serve_record *r)
{
    const struct trace_writer_options options = {.guest = TRACE_GUEST_PVM,
                                                 .zstd_level = 1};
    TRY(replay_sink_file_open(&r->file, r->path, false));
    struct trace_sink sink = replay_sink_file(&r->file);
    TRY(trace_writer_create(&r->arena, &sink, &options, &r->writer));
    return trace_record_create(&r->arena, r->writer, false, &r->trace);
}

int cli_serve_record_open(struct cli *cli, const char *path, struct nub *nub,
                          struct cli_serve_record **ret_record)
{
    struct cli_serve_record *r = arena_new(&cli->arena, struct cli_serve_record);
    check(r);
    *r = (struct cli_serve_record){
        .cli = cli,
        .path = path,
        .observer = {.self = r, .request = on_request, .response = on_response},
        .file = {.fd = -1}};
    arena_init(&r->arena, ARENA_MAX);
    buf_init(&r->request, NUB_FRAME_MAX);
    int status = cli_output_check(cli, path);
    if (status)
        return status;
    enum err err = nub_config(nub, &r->config);
    if (!err)
        err = open_trace(r);
    *ret_record = r;
    if (err) {
        r->err = err;
        return ui_fail(cli, err, path);
    }
    nub_observe(nub, &r->observer);
    return CLI_YES;
}

static enum err finish(struct cli_serve_record *r, struct hash256 *ret_identity)
{
    if (!r->err)
        r->err = session_ensure(r);
    enum err err = ERR_ok;
    if (r->session)
        err = replay_kernel_finish(r->session, r->err ? 1 : 0);
    r->err = r->err ? r->err : err;
    trace_close(r->trace);
    return trace_writer_finish(r->writer, ret_identity);
}

static void print(struct cli_serve_record *r, const struct hash256 *identity)
{
    char text[CLI_HASH_TEXT_SIZE];
    cli_hash_text(identity, text);
    if (!r->cli->json) {
        ui_note(r->cli, "%s: id %s", r->path, text);
        return;
    }
    ui_json_begin(r->cli);
    ui_json_text(r->cli, "event", "recorded");
    ui_json_text(r->cli, "file", r->path);
    ui_json_text(r->cli, "identity", text);
    ui_json_end(r->cli);
}

int cli_serve_record_close(struct cli_serve_record *r)
{
    struct hash256 identity;
    if (!r)
        return CLI_YES;
    bool told = r->err != ERR_ok; /* the user knows why already */
    enum err err = r->writer ? finish(r, &identity) : ERR_ok;
    err = err ? err : r->err;
    if (!err)
        print(r, &identity);
    else if (!told)
        (void)ui_fail(r->cli, err, r->path);
    replay_kernel_close(r->session);
    replay_sink_file_close(&r->file);
    buf_fini(&r->request);
    arena_fini(&r->arena);
    if (r->differs)
        return CLI_NO;
    return err ? CLI_UNKNOWN : CLI_YES;
}
