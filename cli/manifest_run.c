/* SPDX-License-Identifier: MIT
 *
 * A manifest's "run": invoke, resume, drop, and what is expected of each.
 */
#include "cli/manifest.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

enum { WHAT_SIZE = 80, DIFFERS_SIZE = 160 };

static const char *exit_name(uint32_t reason)
{
    switch (reason) {
    case KERNEL_EXIT_HALT:
        return "halt";
    case KERNEL_EXIT_PANIC:
        return "panic";
    case KERNEL_EXIT_OUT_OF_GAS:
        return "out-of-gas";
    case KERNEL_EXIT_PAGE_FAULT:
        return "page-fault";
    case KERNEL_EXIT_TRAP:
        return "trap";
    case KERNEL_EXIT_PAUSED:
        return "paused";
    case KERNEL_EXIT_DROPPED:
        return "dropped";
    default:
        return "error";
    }
}

/* Compare with "expect": {"exit", "value", "error"}. */
static bool compare(struct cli_manifest *m, struct json_object *expect,
                    const struct kernel_result *result, char ret_differs[DIFFERS_SIZE])
{
    const struct kernel_outcome *o = kernel_last_outcome(replay_kernel_of(m->session));
    const char *exit = exit_name(result->exit_reason), *want = exit;
    const char *error = kernel_error_name(o->error), *want_error = error;
    uint64_t value;
    if (cli_manifest_get(expect, "exit") &&
        !cli_manifest_text(m, expect, "exit", &want))
        return false;
    if (cli_manifest_get(expect, "error") &&
        !cli_manifest_text(m, expect, "error", &want_error))
        return false;
    if (!cli_manifest_u64(m, expect, "value", result->return_value, UINT64_MAX, &value))
        return false;
    if (strcmp(want, exit) != 0)
        (void)snprintf(ret_differs, DIFFERS_SIZE, "expected exit %.40s, got %s", want,
                       exit);
    else if (strcmp(want_error, error) != 0)
        (void)snprintf(ret_differs, DIFFERS_SIZE, "expected error %.40s, got %s",
                       want_error, error);
    else if (value != result->return_value)
        (void)snprintf(ret_differs, DIFFERS_SIZE, "expected value 0x%llx, got 0x%llx",
                       (unsigned long long)value,
                       (unsigned long long)result->return_value);
    return true;
}

static bool answered(struct cli_manifest *m, const char *what,
                     struct json_object *expect, const struct kernel_result *result)
{
    char differs[DIFFERS_SIZE] = "";
    if (expect && !compare(m, expect, result, differs))
        return false;
    m->step_count++;
    m->difference_count += differs[0] != 0;
    const struct cli_manifest_step step = {
        .number = m->step_count,
        .what = what,
        .result = result,
        .outcome = kernel_last_outcome(replay_kernel_of(m->session)),
        .differs = differs[0] ? differs : NULL};
    if (m->on_step)
        m->on_step(m->self, &step);
    return true;
}

/* After a halt the name means the instance as it is now. */
static bool invoke(struct cli_manifest *m, const char *name,
                   struct replay_kernel_invocation *invocation,
                   struct json_object *expect)
{
    struct kernel_result result;
    char what[WHAT_SIZE];
    if (!cli_manifest_hash(m, name, &invocation->instance))
        return false;
    enum err err = replay_kernel_invoke(m->session, invocation, &result);
    if (err)
        return cli_manifest_fail(m, err);
    const struct kernel_outcome *o = kernel_last_outcome(replay_kernel_of(m->session));
    if (o->has_post_instance && !cli_manifest_name(m, name, &o->post_instance))
        return false;
    (void)snprintf(what, sizeof what, "%.60s:%u", name, invocation->endpoint);
    return answered(m, what, expect, &result);
}

static bool step_invoke(struct cli_manifest *m, struct json_object *step)
{
    struct replay_kernel_invocation invocation = {.gas = 0};
    struct json_object *list;
    size_t count;
    const char *name;
    uint64_t endpoint;
    if (!cli_manifest_text(m, step, "invoke", &name) ||
        !cli_manifest_u64(m, step, "endpoint", 0, UINT32_MAX, &endpoint) ||
        !cli_manifest_u64(m, step, "gas", m->gas, UINT64_MAX, &invocation.gas) ||
        !cli_manifest_list(m, step, "args", &list, &count))
        return false;
    if (count > countof(invocation.args))
        return cli_manifest_bad(m, "an invocation takes %zu arguments",
                                countof(invocation.args));
    for (size_t i = 0; i < count; i++) {
        if (!cli_manifest_u64(m, json_object_array_get_idx(list, i), NULL, 0,
                              UINT64_MAX, &invocation.args[i]))
            return false;
    }
    invocation.endpoint = (uint32_t)endpoint;
    return invoke(m, name, &invocation, cli_manifest_get(step, "expect"));
}

static bool step_resume(struct cli_manifest *m, struct json_object *step, bool drop)
{
    struct kernel_result result;
    struct hash256 scratch;
    const char *name;
    uint64_t gas;
    bool has_scratch = cli_manifest_get(step, "scratch") != NULL;
    if (!cli_manifest_u64(m, step, "gas", 0, UINT64_MAX, &gas) ||
        (has_scratch && (!cli_manifest_text(m, step, "scratch", &name) ||
                         !cli_manifest_hash(m, name, &scratch))))
        return false;
    enum err err = replay_kernel_resume(m->session, drop, has_scratch ? &scratch : NULL,
                                        gas, &result);
    if (err)
        return cli_manifest_fail(m, err);
    return answered(m, drop ? "drop" : "resume", cli_manifest_get(step, "expect"),
                    &result);
}

static bool run_step(struct cli_manifest *m, struct json_object *step)
{
    if (cli_manifest_get(step, "invoke"))
        return step_invoke(m, step);
    if (cli_manifest_get(step, "resume"))
        return step_resume(m, step, false);
    if (cli_manifest_get(step, "drop"))
        return step_resume(m, step, true);
    return cli_manifest_bad(m, "a step of \"run\" is invoke, resume or drop");
}

/* NAME[:ENDPOINT[:ARG,ARG,...]] */
static bool run_text(struct cli_manifest *m, const char *text)
{
    struct replay_kernel_invocation invocation = {.gas = m->gas};
    uint64_t endpoint = 0;
    char *own = arena_copy(&m->arena, text, strlen(text) + 1);
    if (!own)
        return cli_manifest_fail(m, ERR_nomem);
    char *args = NULL, *colon = strchr(own, ':');
    if (colon && !strncmp(own, "kernel:", 7))
        colon = NULL;
    if (colon) {
        *colon++ = 0;
        args = strchr(colon, ':');
        if (args)
            *args++ = 0;
        if (!cli_number(colon, &endpoint) || endpoint > UINT32_MAX)
            return cli_manifest_bad(m, "--invoke %.60s: the endpoint is a number",
                                    text);
    }
    for (size_t i = 0; args; i++) {
        char *comma = strchr(args, ',');
        if (comma)
            *comma++ = 0;
        if (i == countof(invocation.args) || !cli_number(args, &invocation.args[i]))
            return cli_manifest_bad(m, "--invoke %.60s: up to four numbers", text);
        args = comma;
    }
    invocation.endpoint = (uint32_t)endpoint;
    return invoke(m, own, &invocation, NULL);
}

int cli_manifest_run(struct cli_manifest *m, const struct cli_list *invocations)
{
    struct json_object *list;
    size_t count;
    for (size_t i = 0; i < invocations->count && !m->status; i++)
        (void)run_text(m, invocations->item[i]);
    if (invocations->count || m->status ||
        !cli_manifest_list(m, m->root, "run", &list, &count))
        return m->status;
    for (size_t i = 0; i < count; i++) {
        struct json_object *step = json_object_array_get_idx(list, i);
        if (!json_object_is_type(step, json_type_object))
            (void)cli_manifest_bad(m, "a step of \"run\" is no object");
        if (m->status || !run_step(m, step))
            break;
    }
    return m->status;
}
