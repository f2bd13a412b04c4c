/* SPDX-License-Identifier: MIT
 *
 * Conformance files: which kind a file is, its cases, and what is compared.
 */
#include "cli/vectors_kernel.h"

#include "base/os.h"

#include <json-c/json.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_DEPTH_MAX = 32 };
#define ARENA_SIZE_MAX ((size_t)1 << 28)
#define CODE_CACHE_SIZE_MAX ((size_t)1 << 24)

enum err cli_vectors_init(struct cli_vectors *v)
{
    v->step_max = CLI_VECTORS_STEP_MAX;
    v->page_max = CLI_VECTORS_PAGE_MAX;
    arena_init(&v->engine_arena, ARENA_SIZE_MAX);
    arena_init(&v->arena, ARENA_SIZE_MAX);
    TRY(pvm_engine_create(&v->engine_arena, &v->engine));
    TRY(pvm_recomp_cache_create(&v->engine_arena, CODE_CACHE_SIZE_MAX, &v->cache));
    return os_reserve(PVM_MEM_RESERVE_SIZE, &v->reservation);
}

void cli_vectors_fini(struct cli_vectors *v)
{
    if (v->reservation)
        os_release(v->reservation, PVM_MEM_RESERVE_SIZE);
    v->reservation = NULL;
    pvm_recomp_cache_close(v->cache);
    v->cache = NULL;
    arena_fini(&v->arena);
    arena_fini(&v->engine_arena);
}

/* ---- differences ----------------------------------------------------------------- */

void cli_vectors_differ(struct cli_vectors *v, const char *field, const char *expected,
                        const char *actual)
{
    v->differing = true;
    v->differs(v->self, &(struct cli_vectors_difference){.file = v->file,
                                                         .name = v->name,
                                                         .mode = v->mode,
                                                         .field = field,
                                                         .expected = expected,
                                                         .actual = actual});
}

void cli_vectors_compare(struct cli_vectors *v, const char *field, uint64_t expected,
                         uint64_t actual, bool hex)
{
    if (expected == actual)
        return;
    char want[24], got[24];
    (void)snprintf(want, sizeof want, hex ? "0x%" PRIx64 : "%" PRIu64, expected);
    (void)snprintf(got, sizeof got, hex ? "0x%" PRIx64 : "%" PRIu64, actual);
    cli_vectors_differ(v, field, want, got);
}

void cli_vectors_compare_page(struct cli_vectors *v, uint32_t page,
                              const uint8_t *expected, const uint8_t *actual)
{
    if (actual && !memcmp(expected, actual, PVM_PAGE_SIZE))
        return;
    unsigned at = 0;
    while (actual ? expected[at] == actual[at] : at < 4095 && !expected[at])
        at++;
    char field[32], want[8], got[12] = "not mapped";
    (void)snprintf(field, sizeof field, "memory[0x%x]", (page << 12) + at);
    (void)snprintf(want, sizeof want, "0x%02x", expected[at]);
    if (actual)
        (void)snprintf(got, sizeof got, "0x%02x", actual[at]);
    cli_vectors_differ(v, field, want, got);
}

/* ---- cases ------------------------------------------------------------------------
 */

typedef bool vectors_runner(struct cli_vectors *v, struct json_object *object);

static bool run_case(struct cli_vectors *v, struct json_object *object,
                     vectors_runner *run)
{
    v->mode[0] = 0;
    v->differing = false;
    v->name = NULL;
    if (!cli_vectors_text(v, object, "name", &v->name) || !run(v, object))
        return false;
    if (v->differing)
        v->fail_count++;
    else
        v->pass_count++;
    arena_fini(&v->arena);
    arena_init(&v->arena, ARENA_SIZE_MAX);
    return true;
}

static bool run_cases(struct cli_vectors *v, struct json_object *object,
                      const char *key, vectors_runner *run)
{
    struct json_object *list;
    size_t count;
    if (!cli_vectors_list(v, object, key, &list, &count))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!run_case(v, json_object_array_get_idx(list, i), run))
            return false;
    v->name = NULL;
    return true;
}

/* Packets and frames are for those who read them. */
static bool run_kernel_cases(struct cli_vectors *v, struct json_object *object)
{
    struct json_object *list;
    size_t count;
    if (!cli_vectors_list(v, object, "vectors", &list, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        if (!cli_vectors_kernel_skips(v, item) &&
            !run_case(v, item, cli_vectors_run_kernel))
            return false;
    }
    v->name = NULL;
    return true;
}

static bool run_format(struct cli_vectors *v, struct json_object *object)
{
    const char *format;
    uint64_t version;
    if (!cli_vectors_text(v, object, "format", &format) ||
        !cli_vectors_u64(v, object, "version", UINT64_MAX, &version))
        return false;
    bool edge = !strcmp(format, "lockstep-pvm-edge");
    bool kernel = !strcmp(format, "lockstep-pvm-kernel-kat");
    if (!edge && !kernel && strcmp(format, "lockstep-pvm-gas-singlepass") != 0)
        return cli_vectors_bad(v, "not conformance data that is known here");
    if (version != 1)
        return cli_vectors_bad(v, "version %" PRIu64 " of %s is not known", version,
                               format);
    if (kernel)
        return run_kernel_cases(v, object);
    if (!edge)
        return run_cases(v, object, "cases", cli_vectors_run_gas);
    if (cli_vectors_has(object, "cases") &&
        !run_cases(v, object, "cases", cli_vectors_run_edge))
        return false;
    return !cli_vectors_has(object, "loader") ||
           run_cases(v, object, "loader", cli_vectors_run_loader);
}

static bool run_file(struct cli_vectors *v, struct json_object *object)
{
    if (cli_vectors_has(object, "format"))
        return run_format(v, object);
    if (cli_vectors_has(object, "program") && cli_vectors_has(object, "initial-regs"))
        return run_case(v, object, cli_vectors_run_program);
    return cli_vectors_bad(v, "not conformance data that is known here");
}

/* ---- JSON -------------------------------------------------------------------------
 */

/* json-c cuts a number that does not fit 64 bits to the largest; refuse those. */
static bool numbers_fit(struct cli_vectors *v, struct bytes json)
{
    static const char max[] = "18446744073709551615";
    bool in_text = false;
    for (size_t i = 0, digits = 0; i < json.size; i++) {
        char c = (char)json.data[i];
        if (in_text && c == '\\')
            i++;
        else if (c == '"')
            in_text = !in_text;
        digits = !in_text && c >= '0' && c <= '9' ? digits + 1 : 0;
        if (digits > 20 || (digits == 20 && memcmp(json.data + i - 19, max, 20) > 0))
            return cli_vectors_bad(v, "a number is above 2^64 - 1");
    }
    return true;
}

static struct json_object *parse(struct cli_vectors *v, struct bytes json)
{
    if (json.size > INT32_MAX) {
        cli_vectors_bad(v, "the file is too long");
        return NULL;
    }
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
    if (!tokener) {
        cli_vectors_bad(v, "%s", err_text(ERR_nomem));
        return NULL;
    }
    /* Strict mode also refuses what follows the value. */
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    struct json_object *object =
        json_tokener_parse_ex(tokener, (const char *)json.data, (int)json.size);
    enum json_tokener_error error = json_tokener_get_error(tokener);
    if (error != json_tokener_success) {
        cli_vectors_bad(v, "no JSON: %s", json_tokener_error_desc(error));
        json_object_put(object);
        object = NULL;
    } else if (!json_object_is_type(object, json_type_object)) {
        cli_vectors_bad(v, "no JSON object");
        json_object_put(object);
        object = NULL;
    }
    json_tokener_free(tokener);
    return object;
}

bool cli_vectors_run(struct cli_vectors *v, const char *file, struct bytes json)
{
    uint64_t before = v->pass_count + v->fail_count;
    v->file = file;
    v->name = NULL;
    v->error[0] = 0;
    if (!numbers_fit(v, json))
        return false;
    struct json_object *object = parse(v, json);
    if (!object)
        return false;
    bool ok = run_file(v, object);
    if (ok && v->pass_count + v->fail_count == before)
        ok = cli_vectors_bad(v, "there is no case in it");
    json_object_put(object);
    arena_fini(&v->arena);
    arena_init(&v->arena, ARENA_SIZE_MAX);
    v->name = NULL;
    return ok;
}
