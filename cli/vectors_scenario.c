/* SPDX-License-Identifier: MIT
 *
 * Conformance data of the kernel: scenarios, on each engine.
 */
#include "cli/vectors_kernel.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

static const char *const variant_name[] = {"none",   "halt",  "faulted",
                                           "paused", "error", "dropped"};

struct scenario {
    struct cli_vectors *v;
    struct kernel *kernel;
    uint64_t gas_left; /* what all its invocations may use */
};

static void compare_text(struct cli_vectors *v, const char *field, const char *want,
                         const char *got)
{
    if (strcmp(want, got) != 0)
        cli_vectors_differ(v, field, want, got);
}

/* ---- the outcome ---- */

/* A hash or null under `key`, if the file says anything of it. */
static bool outcome_hash(struct cli_vectors *v, struct json_object *want,
                         const char *key, bool present, const struct hash256 *hash)
{
    bool wanted;
    struct hash256 expected;
    if (!cli_vectors_has(want, key))
        return true;
    if (!cli_vectors_hash_or_null(v, want, key, &wanted, &expected))
        return false;
    cli_vectors_compare(v, key, wanted, present, false);
    if (wanted && present)
        cli_vectors_compare_hash(v, key, &expected, hash);
    return true;
}

static bool find_cap(struct scenario *s, const struct hash256 *hash,
                     enum kernel_kind kind, struct kernel_cap *ret_cap)
{
    struct bytes wire;
    if (kernel_get(s->kernel, hash, &wire) || kernel_wire_decode(wire, ret_cap) ||
        ret_cap->kind != kind) {
        cli_vectors_differ(s->v, "call_slot_5", "a published cap", "none");
        return false;
    }
    struct hash256 again = kernel_cap_hash(ret_cap);
    cli_vectors_compare_hash(s->v, "published cap", hash, &again);
    return true;
}

/* Slot 5 of the post instance's cnode: a hash, or the child that was settled there. */
static bool call_slot(struct scenario *s, struct json_object *outcome)
{
    const struct kernel_outcome *o = kernel_last_outcome(s->kernel);
    struct kernel_cap instance, cnode, child;
    struct hash256 hash = {{0}}, want;
    struct json_object *value = NULL;
    uint64_t pc = 0;
    if (!json_object_object_get_ex(outcome, "call_slot_5", &value))
        return true;
    if (!find_cap(s, &o->post_instance, KERNEL_KIND_INSTANCE, &instance) ||
        !find_cap(s, &instance.instance.root_cnode, KERNEL_KIND_CNODE, &cnode))
        return true;
    for (uint32_t i = 0; i < cnode.cnode.entries.count; i++) {
        if (kernel_entry_slot(cnode.cnode.entries, i) == 5)
            hash = kernel_entry_hash(cnode.cnode.entries, i);
    }
    if (json_object_is_type(value, json_type_string)) {
        if (!cli_vectors_hash(s->v, outcome, "call_slot_5", &want))
            return false;
        cli_vectors_compare_hash(s->v, "call_slot_5", &want, &hash);
        return true;
    }
    if (!find_cap(s, &hash, KERNEL_KIND_INSTANCE, &child))
        return true;
    if (cli_vectors_has(value, "pc")) {
        if (!cli_vectors_u64(s->v, value, "pc", UINT64_MAX, &pc))
            return false;
        cli_vectors_compare(s->v, "call_slot_5.pc", pc, child.instance.pc, true);
    }
    cli_vectors_compare(s->v, "call_slot_5.regs[7]", 42,
                        kernel_u64(child.instance.reg + 56), true);
    return true;
}

static bool number_if_there(struct scenario *s, struct json_object *want,
                            const char *key, uint64_t got)
{
    uint64_t expected;
    if (!cli_vectors_has(want, key))
        return true;
    if (!cli_vectors_u64(s->v, want, key, UINT64_MAX, &expected))
        return false;
    cli_vectors_compare(s->v, key, expected, got, false);
    return true;
}

static bool compare_outcome(struct scenario *s, struct json_object *want)
{
    const struct kernel_outcome *o = kernel_last_outcome(s->kernel);
    const char *variant, *error;
    if (!cli_vectors_text(s->v, want, "variant", &variant))
        return false;
    compare_text(s->v, "variant", variant, variant_name[o->variant]);
    if (cli_vectors_has(want, "error_kind")) {
        if (!cli_vectors_text(s->v, want, "error_kind", &error))
            return false;
        compare_text(s->v, "error_kind", error, kernel_error_name(o->error));
    }
    return number_if_there(s, want, "stack_len", o->stack_size) &&
           number_if_there(s, want, "pause_cause", o->cause) &&
           outcome_hash(s->v, want, "reflected_slot0", o->has_slot0, &o->slot0) &&
           outcome_hash(s->v, want, "marker_payload", o->has_marker, &o->marker) &&
           outcome_hash(s->v, want, "image_hash_chain", true, &o->chain) &&
           call_slot(s, want);
}

/* ---- steps ---- */

static bool do_invoke(struct scenario *s, struct json_object *step,
                      struct kernel_result *ret_result)
{
    struct hash256 instance;
    uint64_t endpoint, gas, args[4];
    struct json_object *list;
    size_t count;
    if (!cli_vectors_hash(s->v, step, "instance", &instance) ||
        !cli_vectors_u64(s->v, step, "endpoint", UINT32_MAX, &endpoint) ||
        !cli_vectors_u64(s->v, step, "gas", s->gas_left, &gas) ||
        !cli_vectors_list(s->v, step, "args", &list, &count))
        return false;
    if (count != countof(args))
        return cli_vectors_bad(s->v, "args has %zu numbers", count);
    for (size_t i = 0; i < count; i++) {
        if (!cli_vectors_u64(s->v, json_object_array_get_idx(list, i), NULL, UINT64_MAX,
                             &args[i]))
            return false;
    }
    enum err err =
        kernel_invoke(s->kernel, &instance, (uint32_t)endpoint, args, gas, ret_result);
    return !err || cli_vectors_bad(s->v, "%s", err_text(err));
}

static bool do_resume(struct scenario *s, struct json_object *step,
                      struct kernel_result *ret_result)
{
    uint64_t flags, topup, left = kernel_last_outcome(s->kernel)->result.gas_remaining;
    struct hash256 scratch = {{0}};
    bool present;
    if (!cli_vectors_u64(s->v, step, "flags", 3, &flags) ||
        !cli_vectors_u64(s->v, step, "gas_topup", UINT64_MAX, &topup) ||
        !cli_vectors_hash_or_null(s->v, step, "scratch", &present, &scratch))
        return false;
    if (topup > s->gas_left && topup <= UINT64_MAX - left)
        return cli_vectors_bad(s->v, "gas_topup is out of range");
    enum err err =
        kernel_resume(s->kernel, (uint32_t)flags, &scratch, topup, ret_result);
    return !err || cli_vectors_bad(s->v, "%s", err_text(err));
}

static bool run_packet(struct scenario *s, struct json_object *step, bool invoke)
{
    struct kernel_result result;
    struct json_object *want = NULL, *outcome = NULL;
    if (invoke ? !do_invoke(s, step, &result) : !do_resume(s, step, &result))
        return false;
    uint64_t used = kernel_last_outcome(s->kernel)->gas_used;
    s->gas_left -= used < s->gas_left ? used : s->gas_left;
    if (!json_object_object_get_ex(step, "expect", &want) ||
        !json_object_object_get_ex(step, "outcome", &outcome))
        return cli_vectors_bad(s->v, "expect or outcome is missing");
    return number_if_there(s, want, "exit_reason", result.exit_reason) &&
           number_if_there(s, want, "exit_arg", result.exit_arg) &&
           number_if_there(s, want, "return_value", result.return_value) &&
           compare_outcome(s, outcome);
}

static bool run_put(struct scenario *s, struct json_object *step)
{
    struct bytes wire;
    struct hash256 want, got;
    if (!cli_vectors_wire(s->v, step, &wire) ||
        !cli_vectors_hash(s->v, step, "expect", &want))
        return false;
    enum kernel_status status = kernel_put(s->kernel, wire, &got);
    if (status)
        cli_vectors_differ(s->v, "status", "OK", kernel_status_name(status));
    else
        cli_vectors_compare_hash(s->v, "put", &want, &got);
    return true;
}

static bool run_new_catcher(struct scenario *s, struct json_object *step)
{
    struct hash256 want, got;
    if (!cli_vectors_hash(s->v, step, "expect", &want))
        return false;
    if (kernel_catcher_new(s->kernel, &got))
        return cli_vectors_bad(s->v, "too many catchers");
    cli_vectors_compare_hash(s->v, "catcher", &want, &got);
    return true;
}

static bool run_add_catcher(struct scenario *s, struct json_object *step)
{
    struct hash256 catcher, marker;
    uint32_t count;
    if (!cli_vectors_hash(s->v, step, "catcher", &catcher) ||
        !cli_vectors_hash(s->v, step, "marker", &marker))
        return false;
    return !kernel_catcher_add(s->kernel, &catcher, &marker, &count) ||
           cli_vectors_bad(s->v, "too many catchers");
}

static bool run_step(struct scenario *s, struct json_object *step)
{
    const char *what;
    if (!cli_vectors_text(s->v, step, "do", &what))
        return false;
    if (!strcmp(what, "put"))
        return run_put(s, step);
    if (!strcmp(what, "new_catcher"))
        return run_new_catcher(s, step);
    if (!strcmp(what, "add_catcher"))
        return run_add_catcher(s, step);
    bool invoke = !strcmp(what, "invoke");
    if (!invoke && strcmp(what, "resume") != 0)
        return cli_vectors_bad(s->v, "step %.40s is not known", what);
    return run_packet(s, step, invoke);
}

/* ---- engines ---- */

static bool run_on(struct cli_vectors *v, struct json_object *steps, uint64_t flags,
                   enum cli_vectors_engine engine)
{
    static const char *const name[] = {"interp", "recomp", "sandbox"};
    struct cli_vectors_kernel k;
    bool ok = true;
    (void)snprintf(v->mode, sizeof v->mode, "%s", name[engine]);
    if (!cli_vectors_kernel_open(v, (uint32_t)flags, engine, &k))
        return false;
    struct scenario scenario = {.v = v, .kernel = k.kernel, .gas_left = v->step_max};
    for (size_t i = 0; i < json_object_array_length(steps) && ok; i++)
        ok = run_step(&scenario, json_object_array_get_idx(steps, i));
    cli_vectors_kernel_close(&k);
    return ok;
}

bool cli_vectors_run_scenario(struct cli_vectors *v, struct json_object *inputs)
{
    uint64_t flags;
    struct json_object *steps;
    size_t count;
    enum replay_engine_kind tested = v->tested.kind;
    if (!cli_vectors_u64(v, inputs, "config_flags", KERNEL_FLAGS_ALL, &flags) ||
        !cli_vectors_list(v, inputs, "steps", &steps, &count))
        return false;
    if (tested != REPLAY_ENGINE_RECOMP && !run_on(v, steps, flags, CLI_VECTORS_INTERP))
        return false;
    if (tested == REPLAY_ENGINE_INTERP || !pvm_recomp_available())
        return true;
    return run_on(v, steps, flags, CLI_VECTORS_RECOMP) &&
           (v->tested.in_process || run_on(v, steps, flags, CLI_VECTORS_SANDBOX));
}
