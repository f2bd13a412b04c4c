/* SPDX-License-Identifier: MIT
 *
 * The transports carry the same bytes; a worker that is lost can be rebuilt (R-13 to
 * of pvm-kernel.md 11.5).
 */
#define _GNU_SOURCE
#include "base/os.h"
#include "base/os_worker.h"
#include "kernel/encode.h"
#include "nub/client.h"
#include "tests/test.h"
#include "tests/unit/nub/kat.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMEOUT_S = 20 };
#define TIMEOUT_NS ((uint64_t)TIMEOUT_S * 1000000000)

/* Namespaces take milliseconds each, and are tested with the process. */
static const struct nub_options plain = {.timeout_ns = TIMEOUT_NS,
                                         .journal_max = 1 << 20,
                                         .without_walls = OS_WORKER_WALLS &
                                                          ~(unsigned)OS_WORKER_SECCOMP};

/* Everything that was answered, engine of a configuration aside. */
struct log {
    struct buf bytes;
    struct hash256 state;
};

static void on_response(void *self, struct bytes frame)
{
    struct log *log = self;
    struct hash256 digest = nub_journal_digest(frame);
    buf_put(&log->bytes, digest.byte, sizeof digest.byte);
}

static void call(struct nub *nub, uint32_t fn, struct bytes payload)
{
    struct bytes answer;
    assert_int_equal(nub_call(nub, fn, payload, &answer), ERR_ok);
}

/* The steps first..last of a scenario, each followed by LAST_OUTCOME. */
static void play(struct nub *nub, struct json_object *inputs, size_t first, size_t last)
{
    struct json_object *steps = kat_get(inputs, "steps");
    for (size_t i = first; i < json_object_array_length(steps) && i < last; i++) {
        struct json_object *step = json_object_array_get_idx(steps, i);
        struct bytes payload, answer;
        enum nub_fn fn = kat_request(step, &payload);
        assert_int_equal(nub_call(nub, fn, payload, &answer), ERR_ok);
        kat_expect(step, nub_status(nub), answer);
        call(nub, NUB_FN_last_outcome, bytes_of("", 0));
    }
}

static void session(struct nub *nub, struct json_object *inputs,
                    enum kernel_engine engine)
{
    uint32_t flags = (uint32_t)kat_number(inputs, "config_flags");
    call(nub, NUB_FN_configure, kat_configure(flags, engine));
    assert_int_equal(nub_status(nub), KERNEL_STATUS_OK);
    play(nub, inputs, 0, SIZE_MAX);
    call(nub, 7, bytes_of("", 0));
    call(nub, NUB_FN_dump_state, bytes_of("", 0));
    assert_int_equal(nub_status(nub), KERNEL_STATUS_OK);
}

static void logged(struct json_object *inputs, bool worker, enum kernel_engine engine,
                   struct log *log)
{
    const struct nub_observer observer = {.self = log, .response = on_response};
    struct nub *nub;
    buf_init(&log->bytes, 1 << 20);
    if (worker)
        assert_int_equal(nub_open_worker(&plain, &nub), ERR_ok);
    else
        assert_int_equal(nub_open(&plain, &nub), ERR_ok);
    nub_observe(nub, &observer);
    session(nub, inputs, engine);
    nub_close(nub);
}

/* K-07: every scenario on both transports with both engines. */
static void test_same_bytes(void **unused)
{
    (void)unused;
    struct json_object *vectors = kat_vectors();
    unsigned count = 0;
    for (size_t i = 0; i < json_object_array_length(vectors); i++) {
        struct json_object *vector = json_object_array_get_idx(vectors, i);
        if (strcmp(kat_text(vector, "kind"), "scenario") != 0)
            continue;
        struct json_object *inputs = kat_get(vector, "inputs");
        struct log first, other;
        logged(inputs, false, KERNEL_ENGINE_INTERP, &first);
        for (unsigned way = 1; way < 4; way++) {
            logged(inputs, way & 1,
                   way & 2 ? KERNEL_ENGINE_RECOMP : KERNEL_ENGINE_INTERP, &other);
            assert_int_equal(other.bytes.size, first.bytes.size);
            assert_memory_equal(other.bytes.data, first.bytes.data, first.bytes.size);
            buf_fini(&other.bytes);
        }
        buf_fini(&first.bytes);
        count++;
    }
    assert_int_equal(count, 24);
}

/* ---- losing workers ---- */

static struct json_object *inputs_of(const char *name)
{
    return kat_get(kat_vector(name), "inputs");
}

static void dump(struct nub *nub, struct buf *ret_state)
{
    struct bytes answer;
    buf_clear(ret_state);
    assert_int_equal(nub_call(nub, NUB_FN_dump_state, bytes_of("", 0), &answer),
                     ERR_ok);
    buf_put(ret_state, answer.data, answer.size);
}

static void count_aborts(void *self, uint32_t seq, enum err err)
{
    unsigned *count = self;
    assert_int_not_equal(seq, 0);
    assert_int_equal(err, ERR_closed);
    ++*count;
}

/* Kill the worker behind each step of a session; the rest goes on as if nothing were.
 */
static void test_recover(void **unused)
{
    (void)unused;
    struct json_object *inputs = inputs_of("sc13_oog_caught");
    size_t count = json_object_array_length(kat_get(inputs, "steps"));
    struct buf before, after;
    buf_init(&before, 1 << 20);
    buf_init(&after, 1 << 20);
    for (size_t cut = 0; cut <= count; cut++) {
        struct nub *nub;
        struct bytes answer;
        unsigned aborts = 0;
        const struct nub_observer observer = {.self = &aborts, .aborted = count_aborts};
        assert_int_equal(nub_open_worker(&plain, &nub), ERR_ok);
        nub_observe(nub, &observer);
        play(nub, inputs, 0, cut);
        dump(nub, &before);
        assert_int_equal(kill(nub_worker_pid(nub), SIGKILL), 0);
        assert_int_equal(nub_call(nub, NUB_FN_reset_block, bytes_of("", 0), &answer),
                         ERR_closed);
        assert_int_equal(aborts, 1);
        assert_int_equal(nub_worker_end(nub), 128 + SIGKILL);
        assert_int_equal(nub_worker_pid(nub), 0);
        assert_int_equal(nub_call(nub, NUB_FN_smoke, bytes_of("", 0), &answer),
                         ERR_closed);
        assert_int_equal(nub_recover(nub), ERR_ok);
        dump(nub, &after);
        assert_int_equal(after.size, before.size);
        assert_memory_equal(after.data, before.data, before.size);
        play(nub, inputs, cut, SIZE_MAX);
        nub_close(nub);
    }
    buf_fini(&before);
    buf_fini(&after);
}

/* A worker whose answers change, and a journal that could not keep up. */
static void test_recover_refused(void **unused)
{
    (void)unused;
    struct nub_options small = plain;
    struct bytes answer;
    struct nub *nub;
    assert_int_equal(nub_open_worker(&plain, &nub), ERR_ok);
    play(nub, inputs_of("sc01_halt42"), 0, SIZE_MAX);
    nub->journal.entries.data[0] ^= 1;
    (void)kill(nub_worker_pid(nub), SIGKILL);
    assert_int_equal(nub_call(nub, NUB_FN_smoke, bytes_of("", 0), &answer), ERR_closed);
    assert_int_equal(nub_recover(nub), ERR_nub_diverged);
    assert_int_equal(nub_call(nub, NUB_FN_smoke, bytes_of("", 0), &answer),
                     ERR_nub_diverged);
    nub_close(nub);

    small.journal_max = 200;
    assert_int_equal(nub_open_worker(&small, &nub), ERR_ok);
    play(nub, inputs_of("sc01_halt42"), 0, SIZE_MAX);
    assert_int_equal(nub_recover(nub), ERR_limit);
    nub_close(nub);

    assert_int_equal(nub_open(NULL, &nub), ERR_ok);
    assert_int_equal(nub_recover(nub), ERR_unsupported);
    nub_close(nub);
}

/* A request that changes nothing but that CONFIGURE is too late. */
static void test_recover_configurable(void **unused)
{
    (void)unused;
    struct kernel_config config;
    struct nub_state state;
    struct bytes answer;
    struct nub *nub;
    assert_int_equal(nub_open_worker(&plain, &nub), ERR_ok);
    assert_int_equal(nub_config(nub, &config), ERR_ok);
    assert_int_equal(nub_state(nub, &state), ERR_ok);
    (void)kill(nub_worker_pid(nub), SIGKILL);
    assert_int_equal(nub_call(nub, NUB_FN_smoke, bytes_of("", 0), &answer), ERR_closed);
    assert_int_equal(nub_recover(nub), ERR_ok);
    assert_int_equal(nub_configure(nub, &config, &config), ERR_nub_refused);
    assert_int_equal(nub_status(nub), KERNEL_STATUS_STATE);
    nub_close(nub);
}

/* A worker that does not go on is late, and dead. */
static void test_stopped(void **unused)
{
    (void)unused;
    struct nub_options options = plain;
    struct bytes answer;
    struct nub *nub;
    options.timeout_ns = 100000000;
    assert_int_equal(nub_open_worker(&options, &nub), ERR_ok);
    int pid = nub_worker_pid(nub);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    uint64_t start = os_clock_monotonic_ns();
    assert_int_equal(nub_call(nub, NUB_FN_smoke, bytes_of("", 0), &answer),
                     ERR_timeout);
    assert_true(os_clock_monotonic_ns() - start >= options.timeout_ns);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(nub_recover(nub), ERR_ok);
    call(nub, NUB_FN_smoke, bytes_of("", 0));
    nub_close(nub);
}

/* ---- losing a worker inside INVOKE ---- */

static struct hash256 put(struct nub *nub, struct buf *wire)
{
    struct hash256 hash = {{0}};
    assert_int_equal(nub_put(nub, buf_bytes(wire), &hash), ERR_ok);
    buf_clear(wire);
    return hash;
}

/* An instance that never ends. */
static struct hash256 put_endless(struct nub *nub)
{
    static const char text[] = "loop:\njump loop";
    const struct kernel_endpoint endpoint = {.entry_pc = 0};
    const struct hash256 chain = {{1}};
    struct pvm_asm_error error = {0};
    struct pvm_code code;
    struct buf blob, wire;
    buf_init(&blob, 1 << 10);
    buf_init(&wire, 1 << 10);
    assert_int_equal(pvm_asm(bytes_of(text, sizeof text - 1), &blob, &error), ERR_ok);
    assert_int_equal(pvm_code_parse(buf_bytes(&blob), &code), ERR_ok);
    kernel_encode_image(&(struct kernel_image_parts){.code = &code,
                                                     .endpoint = &endpoint,
                                                     .endpoint_count = 1},
                        &wire);
    struct hash256 image = put(nub, &wire);
    kernel_encode_cnode(4, NULL, 0, &wire);
    struct hash256 cnode = put(nub, &wire);
    kernel_encode_instance(&(struct kernel_instance_parts){.chain = &chain,
                                                           .image = &image,
                                                           .root_cnode = &cnode},
                           &wire);
    struct hash256 instance = put(nub, &wire);
    buf_fini(&blob);
    buf_fini(&wire);
    return instance;
}

/* Somebody kills this process in a while. */
static pid_t killer_start(int victim)
{
    pid_t killer = fork();
    assert_true(killer >= 0);
    if (!killer) {
        os_sleep_ns(50000000);
        (void)kill(victim, SIGKILL);
        _exit(0);
    }
    return killer;
}

/* killed, or too slow, in the middle of an invocation: that one is told as
 * aborted, and the kernel is rebuilt to what it was before. */
static void test_lost_inside(void **unused)
{
    (void)unused;
    for (unsigned slow = 0; slow < 2; slow++) {
        struct nub_options options = plain;
        struct kernel_result result;
        struct buf before, after;
        struct nub *nub;
        pid_t killer = 0;
        buf_init(&before, 1 << 20);
        buf_init(&after, 1 << 20);
        if (slow)
            options.timeout_ns = 200000000;
        assert_int_equal(nub_open_worker(&options, &nub), ERR_ok);
        const struct nub_invoke invoke = {.instance = put_endless(nub),
                                          .gas = UINT64_MAX};
        dump(nub, &before);
        if (!slow)
            killer = killer_start(nub_worker_pid(nub));
        assert_int_equal(nub_invoke(nub, &invoke, &result),
                         slow ? ERR_timeout : ERR_closed);
        if (killer)
            assert_int_equal(waitpid(killer, NULL, 0), killer);
        assert_int_equal(nub_recover(nub), ERR_ok);
        dump(nub, &after);
        assert_int_equal(after.size, before.size);
        assert_memory_equal(after.data, before.data, before.size);
        nub_close(nub);
        buf_fini(&before);
        buf_fini(&after);
    }
}

/* The functions with types, over a worker. */
static void test_typed(void **unused)
{
    (void)unused;
    const uint8_t type[33] = {KERNEL_KIND_TYPE, 1, 2, 3};
    struct hash256 hash, catcher;
    struct kernel_config config;
    struct kernel_outcome outcome;
    struct kernel_result result;
    struct nub_boot_info info;
    struct buf wire;
    struct nub *nub;
    uint64_t value;
    uint32_t count;
    buf_init(&wire, 1 << 20);
    assert_int_equal(nub_open_worker(&plain, &nub), ERR_ok);
    assert_int_equal(nub_boot_info(nub, &info), ERR_ok);
    assert_int_equal(info.token, 1);
    assert_int_equal(nub_config(nub, &config), ERR_ok);
    config.flags |= KERNEL_STRICT_RETURN;
    assert_int_equal(nub_configure(nub, &config, &config), ERR_ok);
    assert_int_equal(nub_configure(nub, &config, &config), ERR_nub_refused);
    assert_int_equal(nub_status(nub), KERNEL_STATUS_STATE);
    assert_int_equal(nub_put(nub, bytes_of(type, 32), &hash), ERR_nub_refused);
    assert_int_equal(nub_status(nub), KERNEL_STATUS_BAD_LAYOUT);
    assert_int_equal(nub_put(nub, bytes_of(type, 33), &hash), ERR_ok);
    assert_int_equal(nub_get(nub, &hash, &wire), ERR_ok);
    assert_int_equal(wire.size, sizeof type);
    assert_memory_equal(wire.data, type, sizeof type);
    assert_int_equal(nub_invoke(nub, &(struct nub_invoke){.instance = hash}, &result),
                     ERR_ok);
    assert_int_equal(result.exit_arg, 22);
    assert_int_equal(nub_outcome(nub, &outcome), ERR_ok);
    assert_int_equal(outcome.error, KERNEL_ERROR_NotAnInstance);
    assert_int_equal(nub_resume(nub, &(struct nub_resume){.flags = 0}, &result),
                     ERR_ok);
    assert_int_equal(result.exit_arg, 99);
    assert_int_equal(nub_seed_file(nub, 4, &hash, &value), ERR_ok);
    assert_int_equal(value, 5);
    assert_int_equal(nub_seed_quota(nub, NUB_QUOTA, 1, 10, &value), ERR_ok);
    assert_int_equal(nub_seed_quota(nub, NUB_QUOTA, 1, 11, &value), ERR_ok);
    assert_int_equal(value, 10);
    assert_int_equal(nub_new_catcher(nub, &catcher), ERR_ok);
    assert_int_equal(nub_add_catcher(nub, false, &catcher, &hash, &count), ERR_ok);
    assert_int_equal(count, 1);
    assert_int_equal(nub_add_catcher(nub, true, &catcher, &hash, &count), ERR_ok);
    assert_int_equal(count, 0);
    assert_int_equal(nub_reset_block(nub), ERR_ok);
    hash.byte[0] ^= 1;
    assert_int_equal(nub_get(nub, &hash, &wire), ERR_nub_refused);
    assert_int_equal(nub_status(nub), KERNEL_STATUS_NOT_FOUND);
    nub_close(nub);
    buf_fini(&wire);
}

/* The largest payload there can be, and a cap in many parts, through a stream. */
static void test_largest(void **unused)
{
    (void)unused;
    const size_t size = NUB_PAYLOAD_MAX;
    const size_t data_size = 5 + (1 << 20); /* hashing more takes seconds at -O0 */
    uint8_t *cap = calloc(1, size + 1);
    struct hash256 local, remote;
    struct buf wire;
    struct nub *in_process, *worker;
    assert_non_null(cap);
    cap[0] = KERNEL_KIND_DATA;
    cap[1] = 4;
    cap[data_size - 1] = 7;
    buf_init(&wire, size);
    assert_int_equal(nub_open(&plain, &in_process), ERR_ok);
    assert_int_equal(nub_open_worker(&plain, &worker), ERR_ok);
    assert_int_equal(nub_put(in_process, bytes_of(cap, data_size), &local), ERR_ok);
    assert_int_equal(nub_put(worker, bytes_of(cap, data_size), &remote), ERR_ok);
    assert_memory_equal(&local, &remote, sizeof local);
    assert_int_equal(nub_put(worker, bytes_of(cap, size), &remote), ERR_nub_refused);
    assert_int_equal(nub_put(worker, bytes_of(cap, size + 1), &remote), ERR_limit);
    assert_int_equal(nub_get(worker, &local, &wire), ERR_ok);
    assert_int_equal(wire.size, data_size);
    assert_memory_equal(wire.data, cap, data_size);
    nub_close(in_process);
    nub_close(worker);
    buf_fini(&wire);
    free(cap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_recover),
        cmocka_unit_test(test_recover_refused),
        cmocka_unit_test(test_recover_configurable),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_lost_inside),
        cmocka_unit_test(test_typed),
        cmocka_unit_test(test_largest),
    };
    return cmocka_run_group_tests(tests, kat_open, kat_close);
}
