/* SPDX-License-Identifier: MIT
 *
 * The corpus on the PVM: the stored objects give the stored programs when linked, and
 * each program of corpus/pvm/programs.def gives the result that it gives natively, with
 * both dispatch loops of the interpreter.  What programs with host calls read and print
 * is checked by corpus_cases.
 *
 *   test_corpus [FOLDER]    link and run the objects of FOLDER instead of the stored
 * ones (corpus_variants.sh: other compiler flags)
 */
#include "tests/test.h"

#include "base/os.h"
#include "link/link.h"
#include "pvm/pvm.h"

#include <string.h>

enum { FILE_SIZE_MAX = 16 << 20, ARENA_SIZE_MAX = 1 << 30, PATH_SIZE = 512 };
enum { CALL_ADD_ONE = 100 /* what the program hostcall calls */ };
enum { RA = 0, A0 = 7, A1 = 8, A2 = 9 };

#define GAS ((uint64_t)1 << 60)

enum host_call {
#define HOSTCALL(number, name, signature, text) CALL_##name = number,
#define HOSTERR(number, name, text) CALL_ERR_##name = number,
#include "pvm/hostcalls.def"
};

enum program_kind { KIND_bench, KIND_main };
struct program {
    const char *name;
    enum program_kind kind;
    uint64_t n;
    uint64_t expected;
};
static const struct program program_list[] = {
#define PROGRAM(name, kind, n_test, n_bench, expected, text)                           \
    {#name, KIND_##kind, n_test, expected},
#include "corpus/pvm/programs.def"
};
enum { PROGRAM_COUNT = sizeof program_list / sizeof program_list[0] };

static const char *object_folder; /* NULL: corpus/pvm/obj */

/* ---- a host that has nothing: no input, no files, no arguments, no time ---- */

static uint64_t host_answer(uint64_t number, const uint64_t *reg)
{
    switch (number) {
    case CALL_ADD_ONE:
        return reg[A0] + 1;
    case CALL_args_size:
    case CALL_args:
    case CALL_clock:
        return 0;
    case CALL_read:
        return reg[A0] == 0 ? 0 : -(uint64_t)CALL_ERR_badf;
    case CALL_write:
        return reg[A0] == 1 || reg[A0] == 2 ? reg[A2] : -(uint64_t)CALL_ERR_badf;
    case CALL_random:
        return reg[A1]; /* the bytes stay what they were: zero */
    case CALL_open:
        return -(uint64_t)CALL_ERR_noent;
    case CALL_close:
    case CALL_seek:
        return -(uint64_t)CALL_ERR_badf;
    default:
        return -(uint64_t)CALL_ERR_nosys;
    }
}

static enum pvm_answer host_serve(void *self, struct pvm_state *state,
                                  enum pvm_exit kind, uint64_t number, uint32_t pc,
                                  struct pvm_outcome *ret_outcome)
{
    (void)self;
    (void)pc;
    assert_int_equal(kind, PVM_EXIT_HOST_CALL);
    if (number == CALL_exit) {
        *ret_outcome = (struct pvm_outcome){PVM_EXIT_HALT, 0};
        return PVM_ANSWER_EXIT;
    }
    state->reg[A0] = host_answer(number, state->reg);
    return PVM_ANSWER_CONTINUE;
}

/* ---- link ---- */

static struct bytes read_file(struct arena *arena, const char *folder, const char *name,
                              const char *suffix)
{
    char path[PATH_SIZE];
    struct buf buf;
    assert_true(snprintf(path, sizeof path, "%s/%s%s", folder, name, suffix) <
                PATH_SIZE);
    buf_init(&buf, FILE_SIZE_MAX);
    enum err err = os_file_read(path, &buf);
    if (err)
        fail_msg("%s: %s", path, err_text(err));
    uint8_t *copy = arena_copy(arena, buf.data, buf.size);
    assert_non_null(copy);
    struct bytes content = bytes_of(copy, buf.size);
    buf_fini(&buf);
    return content;
}

/* As `lockstep link -f spi NAME.o pvm.o` does. */
static struct bytes link_program(struct arena *arena, const char *name)
{
    const char *folder = object_folder ? object_folder : "corpus/pvm/obj";
    struct link_input input[2] = {{name, read_file(arena, folder, name, ".o")},
                                  {"pvm", read_file(arena, folder, "pvm", ".o")}};
    struct link_options options;
    struct link_problems problems;
    struct link_result result;
    link_options_init(&options);
    options.format = LINK_FORMAT_SPI;
    enum err err = link_objects(arena, input, 2, &options, &problems, &result);
    if (err)
        fail_msg("%s: %s", name, problems.count > 0 ? problems.list[0].text : "memory");
    assert_int_equal(problems.warning_count, 0);
    return result.output;
}

static void test_links(void **state)
{
    (void)state;
    if (object_folder)
        skip();
    for (unsigned i = 0; i < PROGRAM_COUNT; i++) {
        struct arena arena;
        arena_init(&arena, ARENA_SIZE_MAX);
        const char *name = program_list[i].name;
        struct bytes want = read_file(&arena, "corpus/pvm/bin", name, ".pvm");
        struct bytes got = link_program(&arena, name);
        if (got.size != want.size || memcmp(got.data, want.data, got.size) != 0)
            fail_msg("corpus/pvm/bin/%s.pvm is not what its objects give when linked",
                     name);
        arena_fini(&arena);
    }
}

/* ---- run ---- */

static void start(struct pvm_state *state, const struct pvm_container *container,
                  struct pvm_mem *mem)
{
    *state = (struct pvm_state){.gas = GAS, .mem = mem};
    memcpy(state->reg, container->reg, sizeof state->reg);
    for (uint32_t i = 0; i < container->region_count; i++) {
        const struct pvm_region *r = &container->region[i];
        assert_int_equal(pvm_mem_map(mem, r->start, r->size, r->access, r->data), 0);
    }
}

static void run_program(struct arena *arena, const struct program *row,
                        enum pvm_dispatch dispatch)
{
    struct pvm_container container;
    struct pvm_program *program;
    struct pvm_engine *engine;
    struct pvm_state state;
    void *reservation;
    struct bytes file = object_folder
                            ? link_program(arena, row->name)
                            : read_file(arena, "corpus/pvm/bin", row->name, ".pvm");
    struct pvm_config config = pvm_config_default(PVM_PROFILE_VECTORS);
    assert_int_equal(pvm_container_load(arena, PVM_CONTAINER_SPI, PVM_PROFILE_VECTORS,
                                        file, bytes_of(NULL, 0), &container),
                     0);
    assert_int_equal(
        pvm_program_create(arena, &container.code, &config, PVM_GAS_LOG_NONE, &program),
        0);
    assert_int_equal(pvm_engine_create(arena, &engine), 0);
    pvm_engine_set_dispatch(engine, dispatch);
    assert_int_equal(os_reserve(PVM_MEM_RESERVE_SIZE, &reservation), 0);
    start(&state, &container, pvm_mem_init(reservation));
    if (row->kind == KIND_bench)
        state.reg[A0] = row->n;
    struct pvm_host host = {.ecall = host_serve};
    struct pvm_outcome outcome = pvm_run(engine, program, &state, &host, NULL);
    if (outcome.exit != PVM_EXIT_HALT || state.reg[A0] != row->expected)
        fail_msg("%s(%llu): %s %#llx at pc %u, a0 = %#llx, expected halt, %#llx",
                 row->name, (unsigned long long)row->n, pvm_exit_name(outcome.exit),
                 (unsigned long long)outcome.arg, state.pc,
                 (unsigned long long)state.reg[A0], (unsigned long long)row->expected);
    os_release(reservation, PVM_MEM_RESERVE_SIZE);
}

/* A folder need not have all programs. */
static bool is_there(const char *name)
{
    char path[PATH_SIZE];
    if (!object_folder)
        return true;
    (void)snprintf(path, sizeof path, "%s/%s.o", object_folder, name);
    return os_file_exists(path);
}

static void test_runs(void **state)
{
    (void)state;
    unsigned count = 0;
    for (unsigned i = 0; i < PROGRAM_COUNT; i++) {
        if (!is_there(program_list[i].name))
            continue;
        count++;
        for (unsigned k = 0; k < 2; k++) {
            struct arena arena;
            arena_init(&arena, ARENA_SIZE_MAX);
            run_program(&arena, &program_list[i],
                        k == 0 ? PVM_DISPATCH_LOOP : PVM_DISPATCH_THREADED);
            arena_fini(&arena);
        }
    }
    assert_true(count >= 10);
}

int main(int argc, char **argv)
{
    object_folder = argc > 1 ? argv[1] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
