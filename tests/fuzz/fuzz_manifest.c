/* SPDX-License-Identifier: MIT
 *
 * Any manifest: it is carried out, or one message says why not, and what was put and
 * run by then is a whole session.  Behind a zero byte stands what each file holds that
 * the manifest names.
 */
#include "cli/manifest.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 16, GAS = 5000, GAS_ALL = 50000 };

static enum err read_rest(void *self, const char *path, struct buf *file)
{
    const struct bytes *rest = self;
    if (strstr(path, "absent"))
        return ERR_not_found;
    buf_put(file, rest->data, rest->size);
    return file->err;
}

static void at_most(uint32_t *value, uint32_t most)
{
    *value = *value > most ? most : *value;
}

/* No kernel of many GiB. */
static void tame(struct kernel_config *config)
{
    at_most(&config->max_depth, 8);
    at_most(&config->max_dir_caps, 64);
    at_most(&config->max_assist_entries, 16);
    at_most(&config->max_trace_records, 64);
    config->max_frame_mem = config->max_stack_mem = config->max_dir_bytes = 1 << 20;
}

/* What happened can be recorded and ends in order. */
static void carry_out(struct cli_manifest *m, struct replay_kernel_setup *setup)
{
    const struct replay_kernel_options options = {
        .engine = {.kind = REPLAY_ENGINE_INTERP}, .gas_max = GAS_ALL};
    const struct cli_list none = {.count = 0};
    struct arena arena;
    tame(&setup->config);
    setup->gas_log = PVM_GAS_LOG_NONE;
    arena_init(&arena, 1 << 24);
    check(!replay_kernel_create(&arena, setup, &options, &m->session));
    if (!cli_manifest_publish(m))
        (void)cli_manifest_run(m, &none);
    check(replay_kernel_finish(m->session, m->status ? 1 : 0) == ERR_ok || m->status);
    replay_kernel_close(m->session);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_MAX)
        return 0;
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t json = zero ? (size_t)(zero - data) : size;
    struct bytes rest = {0};
    if (zero)
        rest = bytes_of(zero + 1, size - json - 1);
    struct cli_manifest m = {.gas = GAS, .read = read_rest, .self = &rest};
    struct replay_kernel_setup setup = replay_kernel_setup_default();
    if (!cli_manifest_parse(NULL, "fuzz/manifest", bytes_of(data, json), &m) &&
        !cli_manifest_setup(&m, &setup))
        carry_out(&m, &setup);
    check(!m.status == !m.message[0]);
    check(m.difference_count <= m.step_count);
    cli_manifest_close(&m);
    return 0;
}
