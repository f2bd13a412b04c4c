/* SPDX-License-Identifier: MIT
 *
 * lockstep nub: a client of lockstep serve.
 */
#include "cli/guest.h"
#include "cli/nub_print.h"

#include "base/os.h"

#include <inttypes.h>
#include <string.h>

struct options {
    const char *socket;
    uint64_t timeout_s, wait_s;
    uint64_t gas, topup;
    const char *scratch, *output;
    bool drop;
};

#define SECOND UINT64_C(1000000000)
enum { SECONDS_MAX = 1000000, ARG_MAX_COUNT = 4 };

static const struct options defaults = {.timeout_s = 120, .gas = 1000000};

static const struct cli_option option[] = {
    CLI_STRING(struct options, socket, "socket", 's', "PATH",
               "where lockstep serve listens"),
    CLI_U64(struct options, timeout_s, "timeout", 0, "SECONDS", 0, SECONDS_MAX,
            "give up when an answer takes longer; 0: never (default 120)"),
    CLI_U64(struct options, wait_s, "wait", 0, "SECONDS", 0, SECONDS_MAX,
            "wait so long for somebody to listen (default: not at all)"),
    CLI_U64(struct options, gas, "gas", 'g', "N", 0, UINT64_MAX,
            "invoke: gas to run with (default 1000000)"),
    CLI_U64(struct options, topup, "topup", 0, "N", 0, UINT64_MAX,
            "resume: gas to add (default 0)"),
    CLI_STRING(struct options, scratch, "scratch", 0, "HASH",
               "resume: the cap to hand over in slot 0"),
    CLI_FLAG(struct options, drop, "drop", 0,
             "resume: give the paused invocation up instead"),
    CLI_STRING(struct options, output, "output", 'o', "FILE",
               "get, call: where the bytes go (default: stdout)"),
    CLI_END,
};

const struct cli_spec cli_spec_nub = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"VERB", 1, 1, "put, invoke, resume, get, stats, boot-info or call"},
                   {"ARG", 0, CLI_MANY, "what the verb takes"}},
    .example = {{"lockstep nub put -s kernel.sock image.cap cnode.cap",
                 "put caps, children first; prints their hashes"},
                {"lockstep nub invoke -s kernel.sock HASH:0 1 2 --gas=5000",
                 "run endpoint 0 of an instance with two arguments"}},
    .exclude = {{"drop", "topup scratch"}},
    .about =
        "put FILE... puts caps in their wire encoding and prints their hashes.  "
        "invoke HASH[:ENDPOINT] [ARG...] runs an instance with up to four numbers.  "
        "resume goes on with an invocation that is paused.  "
        "get HASH reads a cap.  "
        "stats shows the configuration and the state.  "
        "boot-info shows what the kernel says of itself.  "
        "call FUNCTION [HEX] sends any request, named as in docs/nub.md or by its "
        "number, and prints the answer in hex.\n\n"
        "HASH is 64 hex digits.",
    .exit_yes = "done; the invocation halted or was dropped",
    .exit_no = "the kernel refused, or the invocation ended otherwise",
    .prints_json = true,
};

struct client {
    struct cli *cli;
    const struct options *options;
    struct nub *nub;
    char **argv; /* behind the verb */
    int argc;
};

/* ---- words ---- */

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at;
    char lower = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
    return lower && (at = strchr(digits, lower)) ? (int)(at - digits) : -1;
}

/* `size` hex digits. */
static bool parse_hex(const char *text, size_t size, struct buf *ret_bytes)
{
    for (size_t i = 0; i + 1 < size; i += 2) {
        int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        buf_byte(ret_bytes, (uint8_t)(high << 4 | low));
    }
    return size % 2 == 0 && !ret_bytes->err;
}

static bool parse_hash(const char *text, size_t size, struct hash256 *ret_hash)
{
    struct buf bytes;
    buf_init(&bytes, HASH256_SIZE);
    bool good = size == (size_t)2 * HASH256_SIZE && parse_hex(text, size, &bytes);
    if (good)
        memcpy(ret_hash->byte, bytes.data, HASH256_SIZE);
    buf_fini(&bytes);
    return good;
}

static int no_hash(struct client *c, const char *text)
{
    return ui_usage(c->cli, "'%s' is no hash of 64 hex digits", text);
}

/* The connection's error, or the reason why the kernel said no. */
static int fail(struct client *c, enum err err, const char *subject)
{
    if (err != ERR_nub_refused)
        return ui_fail(c->cli, err, subject);
    ui_error(c->cli, "%s: the kernel refused: %s", subject,
             kernel_status_name(nub_status(c->nub)));
    return CLI_NO;
}

static int write_bytes(struct client *c, struct bytes bytes)
{
    const char *path = c->options->output;
    if (!path) {
        ui_out_bytes(c->cli, bytes);
        return CLI_YES;
    }
    enum err err = os_file_write(path, bytes);
    return err ? ui_fail(c->cli, err, path) : CLI_YES;
}

/* ---- verbs ---- */

static int put_one(struct client *c, const char *path)
{
    struct buf wire;
    struct hash256 hash;
    char text[CLI_HASH_TEXT_SIZE];
    buf_init(&wire, NUB_PAYLOAD_MAX);
    enum err err = os_file_read(path, &wire);
    int status = err ? ui_fail(c->cli, err, path) : CLI_YES;
    if (!status) {
        err = nub_put(c->nub, buf_bytes(&wire), &hash);
        status = err ? fail(c, err, path) : CLI_YES;
    }
    buf_fini(&wire);
    if (status)
        return status;
    cli_hash_text(&hash, text);
    if (c->cli->json) {
        ui_json_begin(c->cli);
        ui_json_text(c->cli, "file", path);
        ui_json_text(c->cli, "hash", text);
        ui_json_end(c->cli);
    } else {
        ui_out(c->cli, "%s  %s\n", text, path);
    }
    return CLI_YES;
}

static int verb_put(struct client *c)
{
    int status = CLI_YES;
    for (int i = 0; i < c->argc && !status; i++)
        status = put_one(c, c->argv[i]);
    return status;
}

static int print_outcome(struct client *c, const struct kernel_result *result)
{
    struct kernel_outcome outcome;
    enum err err = nub_outcome(c->nub, &outcome);
    if (err)
        return fail(c, err, c->options->socket);
    cli_nub_print_outcome(c->cli, result, &outcome);
    bool good = result->exit_reason == KERNEL_EXIT_HALT ||
                result->exit_reason == KERNEL_EXIT_DROPPED;
    return good ? CLI_YES : CLI_NO;
}

/* HASH or HASH:ENDPOINT. */
static bool parse_target(const char *text, struct nub_invoke *ret_invoke)
{
    size_t size = strcspn(text, ":");
    uint64_t endpoint = 0;
    if (text[size] &&
        (!cli_number(text + size + 1, &endpoint) || endpoint > UINT32_MAX))
        return false;
    ret_invoke->endpoint = (uint32_t)endpoint;
    return parse_hash(text, size, &ret_invoke->instance);
}

static int verb_invoke(struct client *c)
{
    struct nub_invoke invoke = {.gas = c->options->gas};
    struct kernel_result result;
    if (!parse_target(c->argv[0], &invoke))
        return ui_usage(c->cli, "'%s' is no HASH or HASH:ENDPOINT", c->argv[0]);
    for (int i = 1; i < c->argc; i++) {
        if (!cli_number(c->argv[i], &invoke.args[i - 1]))
            return ui_usage(c->cli, "'%s' is no number", c->argv[i]);
    }
    enum err err = nub_invoke(c->nub, &invoke, &result);
    return err ? fail(c, err, c->options->socket) : print_outcome(c, &result);
}

static int verb_resume(struct client *c)
{
    const struct options *options = c->options;
    struct nub_resume resume = {.topup = options->topup};
    struct kernel_result result;
    if (options->scratch) {
        resume.flags |= KERNEL_RESUME_SCRATCH;
        if (!parse_hash(options->scratch, strlen(options->scratch), &resume.scratch))
            return no_hash(c, options->scratch);
    }
    if (options->drop)
        resume.flags |= KERNEL_RESUME_DROP;
    enum err err = nub_resume(c->nub, &resume, &result);
    return err ? fail(c, err, options->socket) : print_outcome(c, &result);
}

static int verb_get(struct client *c)
{
    struct hash256 hash;
    struct buf wire;
    if (!parse_hash(c->argv[0], strlen(c->argv[0]), &hash))
        return no_hash(c, c->argv[0]);
    if (c->cli->json && !c->options->output)
        return ui_usage(c->cli, "get --json needs -o FILE for the cap itself");
    buf_init(&wire, (size_t)1 << 32);
    enum err err = nub_get(c->nub, &hash, &wire);
    int status = err ? fail(c, err, c->argv[0]) : write_bytes(c, buf_bytes(&wire));
    if (!status && c->cli->json) {
        ui_json_begin(c->cli);
        ui_json_text(c->cli, "file", c->options->output);
        ui_json_u64(c->cli, "kind", wire.data[0]);
        ui_json_u64(c->cli, "size", wire.size);
        ui_json_end(c->cli);
    }
    buf_fini(&wire);
    return status;
}

static int verb_stats(struct client *c)
{
    struct kernel_config config;
    struct kernel_outcome outcome;
    struct nub_state state;
    enum err err = nub_config(c->nub, &config);
    if (!err)
        err = nub_outcome(c->nub, &outcome);
    if (!err)
        err = nub_state(c->nub, &state);
    if (err)
        return fail(c, err, c->options->socket);
    cli_nub_print_stats(c->cli, &config, &state, &outcome);
    return CLI_YES;
}

static int verb_boot_info(struct client *c)
{
    struct nub_boot_info info;
    enum err err = nub_boot_info(c->nub, &info);
    if (err)
        return fail(c, err, c->options->socket);
    cli_nub_print_boot_info(c->cli, &info);
    return CLI_YES;
}

static void print_answer(struct client *c, struct bytes answer)
{
    if (c->cli->json) {
        ui_json_begin(c->cli);
        ui_json_text(c->cli, "status", kernel_status_name(nub_status(c->nub)));
        ui_json_hex(c->cli, "payload", answer);
        ui_json_end(c->cli);
        return;
    }
    for (size_t i = 0; i < answer.size; i++)
        ui_out(c->cli, "%02x", answer.data[i]);
    ui_out(c->cli, "\n");
}

static int verb_call(struct client *c)
{
    enum nub_fn named;
    uint64_t fn;
    struct buf payload;
    struct bytes answer;
    int status = CLI_YES;
    if (nub_fn_find(c->argv[0], &named))
        fn = (uint64_t)named;
    else if (!cli_number(c->argv[0], &fn) || fn > UINT32_MAX)
        return ui_usage(c->cli, "'%s' is no function", c->argv[0]);
    buf_init(&payload, NUB_PAYLOAD_MAX);
    if (c->argc > 1 && !parse_hex(c->argv[1], strlen(c->argv[1]), &payload)) {
        buf_fini(&payload);
        return ui_usage(c->cli, "the payload is no hex");
    }
    enum err err = nub_call(c->nub, (uint32_t)fn, buf_bytes(&payload), &answer);
    if (!err && nub_status(c->nub))
        err = ERR_nub_refused;
    if (!err && c->options->output)
        status = write_bytes(c, answer);
    else if (!err)
        print_answer(c, answer);
    buf_fini(&payload);
    return err ? fail(c, err, c->argv[0]) : status;
}

/* ---- choosing ---- */

static const struct verb {
    const char *name;
    int arg_min, arg_max;
    int (*run)(struct client *client);
} verbs[] = {
    {"put", 1, 1 << 20, verb_put}, {"invoke", 1, 1 + ARG_MAX_COUNT, verb_invoke},
    {"resume", 0, 0, verb_resume}, {"get", 1, 1, verb_get},
    {"stats", 0, 0, verb_stats},   {"boot-info", 0, 0, verb_boot_info},
    {"call", 1, 2, verb_call}};

static const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < countof(verbs); i++) {
        if (!strcmp(verbs[i].name, name))
            return &verbs[i];
    }
    return NULL;
}

static enum err connect_within(const struct options *options, struct nub **ret_nub)
{
    enum { PAUSE_NS = 20000000 };
    const struct nub_options how = {.timeout_ns = options->timeout_s * SECOND};
    uint64_t end = os_clock_monotonic_ns() + options->wait_s * SECOND;
    for (;;) {
        enum err err = nub_connect(options->socket, &how, ret_nub);
        bool absent = err == ERR_not_found || err == ERR_closed;
        if (!absent || os_clock_monotonic_ns() >= end || os_interrupted())
            return err;
        os_sleep_ns(PAUSE_NS);
    }
}

int cmd_nub(struct cli *cli, int argc, char **argv)
{
    const struct options *options = cli->options;
    const struct verb *verb = verb_find(argv[0]);
    struct client client = {
        .cli = cli, .options = options, .argv = argv + 1, .argc = argc - 1};
    if (!verb)
        return ui_usage(cli, "'%s' is no verb; try --help", argv[0]);
    if (client.argc < verb->arg_min)
        return ui_usage(cli, "%s needs more arguments; try --help", verb->name);
    if (client.argc > verb->arg_max)
        return ui_usage(cli, "%s: '%s' is one argument too many", verb->name,
                        client.argv[verb->arg_max]);
    if (!options->socket)
        return ui_usage(cli, "-s PATH is needed");
    os_catch_interrupts();
    enum err err = connect_within(options, &client.nub);
    if (err)
        return ui_fail(cli, err, options->socket);
    int status = verb->run(&client);
    nub_close(client.nub);
    return status;
}
