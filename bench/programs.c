/* SPDX-License-Identifier: MIT
 *
 * The programs of the corpus as workloads: in the interpreter, and natively.
 */
#define _GNU_SOURCE
#include "bench/bench.h"

#include "base/os.h"
#include "bench/plugin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef BENCH_NATIVE_DIR
#error "the build defines BENCH_NATIVE_DIR"
#endif

enum { FILE_SIZE_MAX = 16 << 20, PATH_SIZE = 4096, A0 = 7 };

enum kind { KIND_bench, KIND_main };
static const struct row {
    const char *name;
    enum kind kind;
    uint64_t n;
} row_list[] = {
#define PROGRAM(name, kind, n_test, n_bench, expected, text)                           \
    {#name, KIND_##kind, n_bench},
#include "corpus/pvm/programs.def"
};

struct bench_program bench_program_load(struct arena *arena, const char *name,
                                        uint64_t n)
{
    char path[PATH_SIZE];
    struct buf buf;
    (void)snprintf(path, sizeof path, "corpus/pvm/bin/%s.pvm", name);
    buf_init(&buf, FILE_SIZE_MAX);
    enum err err = os_file_read(path, &buf);
    if (err)
        bench_die("%s: %s (run it from the root of the tree)", path, err_text(err));
    const uint8_t *copy = arena_copy(arena, buf.data, buf.size);
    struct bench_program program = {.name = name, .n = n};
    if (!copy)
        bench_die("out of memory");
    program.file = bytes_of(copy, buf.size);
    buf_fini(&buf);
    err = pvm_container_load(arena, PVM_CONTAINER_SPI, PVM_PROFILE_VECTORS,
                             program.file, bytes_of(NULL, 0), &program.container);
    if (err)
        bench_die("%s: %s", path, err_text(err));
    program.counts = strcmp(name, "hostcall") != 0 && strcmp(name, "empty") != 0;
    return program;
}

/* A tenth of the work; fib(n - 5) is about an eleventh of fib(n). */
static uint64_t quick_n(const struct row *row)
{
    if (strcmp(row->name, "fib") == 0)
        return row->n - 5;
    return row->n >= 10 ? row->n / 10 : row->n;
}

size_t bench_programs(const struct bench *bench, struct arena *arena,
                      struct bench_program ret_program[BENCH_PROGRAM_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < countof(row_list); i++) {
        const struct row *row = &row_list[i];
        if (row->kind != KIND_bench || (bench->only && strcmp(bench->only, row->name)))
            continue;
        check(count < BENCH_PROGRAM_MAX);
        ret_program[count++] =
            bench_program_load(arena, row->name, bench->quick ? quick_n(row) : row->n);
    }
    if (!count)
        bench_die("no benchmark program '%s' in corpus/pvm/programs.def", bench->only);
    return count;
}

/* ---- in an engine ---- */

struct bench_machine bench_machine_create(struct arena *arena,
                                          const struct bench_program *row,
                                          const struct bench_way *way)
{
    struct bench_machine machine = {.row = row};
    struct pvm_config config = pvm_config_default(way->profile);
    const struct pvm_code *code = &row->container.code;
    struct pvm_recomp_options options = way->options;
    options.interpret_first = true; /* as the command line does */
    enum err err = way->native ? pvm_program_recompile(arena, code, &config, way->log,
                                                       &options, &machine.program)
                               : pvm_program_create(arena, code, &config, way->log,
                                                    &machine.program);
    if (err || pvm_engine_create(arena, &machine.engine) ||
        os_reserve(PVM_MEM_RESERVE_SIZE, &machine.reservation))
        bench_die("%s: %s", row->name, err ? err_text(err) : "out of memory");
    return machine;
}

/* Registers and gas as at the start; memory stays. */
static void state_reset(struct bench_machine *machine, struct pvm_mem *mem)
{
    machine->state = (struct pvm_state){.gas = (uint64_t)1 << 60, .mem = mem};
    memcpy(machine->state.reg, machine->row->container.reg, sizeof machine->state.reg);
    machine->state.reg[A0] = machine->row->n;
}

void bench_machine_reset(struct bench_machine *machine)
{
    const struct pvm_container *c = &machine->row->container;
    struct pvm_mem *mem = machine->state.mem;
    if (!mem || !pvm_mem_reset(mem)) {
        os_discard(machine->reservation, PVM_MEM_RESERVE_SIZE);
        mem = pvm_mem_init(machine->reservation);
    }
    for (uint32_t i = 0; i < c->region_count; i++) {
        const struct pvm_region *r = &c->region[i];
        if (pvm_mem_map(mem, r->start, r->size, r->access, r->data))
            bench_die("%s: a region cannot be mapped", machine->row->name);
    }
    state_reset(machine, mem);
}

/* What the program hostcall asks for. */
static enum pvm_answer add_one(void *self, struct pvm_state *state, enum pvm_exit kind,
                               uint64_t number, uint32_t pc,
                               struct pvm_outcome *ret_outcome)
{
    (void)self;
    (void)pc;
    if (kind == PVM_EXIT_HOST_CALL && number == BENCH_CALL_ADD_ONE) {
        state->reg[A0]++;
        return PVM_ANSWER_CONTINUE;
    }
    *ret_outcome = (struct pvm_outcome){PVM_EXIT_PANIC, 0};
    return PVM_ANSWER_EXIT;
}

static void run(struct bench_machine *m, uint64_t *ret_ns)
{
    const struct pvm_host host = {.ecall = add_one};
    uint64_t start = os_clock_cpu_ns();
    struct pvm_outcome outcome = pvm_run(m->engine, m->program, &m->state, &host, NULL);
    *ret_ns = os_clock_cpu_ns() - start;
    if (outcome.exit != PVM_EXIT_HALT)
        bench_die("%s ended with %s", m->row->name, pvm_exit_name(outcome.exit));
}

void bench_machine_run(void *machine, uint64_t *ret_ns)
{
    bench_machine_reset(machine);
    run(machine, ret_ns);
}

void bench_machine_run_again(void *machine, uint64_t *ret_ns)
{
    struct bench_machine *m = machine;
    bench_machine_run(m, ret_ns);
    state_reset(m, m->state.mem);
    run(m, ret_ns);
}

void bench_machine_close(struct bench_machine *machine)
{
    os_release(machine->reservation, PVM_MEM_RESERVE_SIZE);
    pvm_program_close(machine->program);
}

/* ---- natively ---- */

static _Noreturn void be_native(const char *path, uint64_t n, int out)
{
    char text[24];
    char once[] = "1";
    (void)snprintf(text, sizeof text, "%" PRIu64, n);
    char *argv[] = {(char *)(uintptr_t)path, text, once, NULL};
    if (dup2(out, 1) >= 0)
        execv(path, argv);
    _exit(127);
}

/* Its output: "NAME n result", then "NAME n ns CPU-time". */
static bool run_child(const char *path, uint64_t n, char *text, size_t size)
{
    int pipe_fd[2], status;
    size_t used = 0;
    if (pipe(pipe_fd) != 0)
        return false;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        be_native(path, n, pipe_fd[1]);
    close(pipe_fd[1]);
    while (child > 0 && used < size - 1) {
        ssize_t got = read(pipe_fd[0], text + used, size - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    text[used] = 0;
    close(pipe_fd[0]);
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

bool bench_native(const struct bench_program *row, uint64_t *ret_result,
                  uint64_t *ret_ns)
{
    char path[PATH_SIZE], text[256], name[2][32];
    (void)snprintf(path, sizeof path, "%s/native_%s", BENCH_NATIVE_DIR, row->name);
    if (access(path, X_OK) != 0)
        return false;
    if (!run_child(path, row->n, text, sizeof text))
        bench_die("%s failed", path);
    if (sscanf(text, "%31s %*u %" SCNu64 " %31s %*u ns %" SCNu64, name[0], ret_result,
               name[1], ret_ns) != 4)
        bench_die("%s answered '%s'", path, text);
    return true;
}

void bench_native_run(void *self, uint64_t *ret_ns)
{
    struct bench_native_run *run = self;
    if (!bench_native(run->row, &run->result, ret_ns))
        bench_die("the native %s has gone", run->row->name);
}
