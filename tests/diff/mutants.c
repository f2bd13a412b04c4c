/* SPDX-License-Identifier: MIT
 *
 * The mutation score of the comparison with the oracle: each mutant of pvm/mutants.def
 * in a process of its own, until a program shows it or its time is up.
 *
 *   mutants [--seconds N] [--seed N] [--only NAME]...
 *
 * Exit status: 0 if all that were tried are caught, 1 if not, 129 for wrong usage.
 */
#include "tests/diff/oracle_check.h"

#include "pvm/mutant.h"
#include "pvm/pvm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum pvm_mutant pvm_mutant;
uint64_t pvm_mutant_reached;

enum { HANG_SECONDS = 5, ONLY_MAX = 16, STATUS_USAGE = 129 };

static const struct row {
    const char *name, *text;
    unsigned class;
} rows[PVM_MUTANT_COUNT] = {
#define MUTANT_ROW(name_, class_, text_)                                               \
    [PVM_MUTANT_##name_] = {.name = #name_, .text = text_, .class = class_},
#include "pvm/mutants.def"
};

static struct {
    double seconds;
    uint64_t seed;
    const char *only[ONLY_MAX];
    unsigned only_count;
} options = {.seconds = 60, .seed = 1};

/* What a child tells while it runs, in memory that both see. */
static struct news {
    uint64_t programs, reached;
    char difference[160];
} * news;

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* ---- the child ---- */

/* Generated programs and opcodes in turn. */
static const char *run_program(uint64_t k)
{
    static uint8_t op = 255;
    if (k % 2 == 0)
        return oracle_check_seed(options.seed + k / 2);
    do
        op++;
    while (!pvm_op_info[op].name);
    return oracle_check_opcode(op, options.seed + k / 2);
}

static void search(double until)
{
    const char *mode = NULL;
    oracle_check_begin();
    while (!mode && now() < until) {
        mode = run_program(news->programs);
        news->programs++;
        news->reached = pvm_mutant_reached;
    }
    if (mode)
        (void)snprintf(news->difference, sizeof news->difference, "%s: %s", mode,
                       oracle_check_what());
    oracle_check_end();
}

static pid_t start_child(enum pvm_mutant mutant)
{
    memset(news, 0, sizeof *news);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child != 0)
        return child;
    int null = open("/dev/null", O_WRONLY); /* a failed check() talks */
    if (null >= 0)
        (void)dup2(null, STDERR_FILENO);
    pvm_mutant = mutant;
    search(now() + options.seconds);
    _exit(0);
}

/* ---- the parent ---- */

/* Wait for the child; one that makes no progress is ended.  True: it hung. */
static bool await_child(pid_t child, int *ret_status)
{
    uint64_t seen = 0;
    double last = now();
    while (waitpid(child, ret_status, WNOHANG) == 0) {
        (void)usleep(2000);
        uint64_t programs = *(volatile uint64_t *)&news->programs;
        if (programs != seen) {
            seen = programs;
            last = now();
        } else if (now() - last > HANG_SECONDS) {
            (void)kill(child, SIGKILL);
            (void)waitpid(child, ret_status, 0);
            return true;
        }
    }
    return false;
}

/* Try one mutant and print what came of it; true if it is caught. */
static bool try_mutant(enum pvm_mutant mutant)
{
    char how[200] = "";
    double begin = now();
    int status = 0;
    pid_t child = start_child(mutant);
    if (child < 0) {
        perror("mutants: fork");
        exit(125);
    }
    if (await_child(child, &status))
        (void)snprintf(how, sizeof how, "hang");
    else if (WIFSIGNALED(status))
        (void)snprintf(how, sizeof how, "signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    else if (news->difference[0])
        (void)snprintf(how, sizeof how, "%s", news->difference);
    else if (status)
        (void)snprintf(how, sizeof how, "exit status %d", WEXITSTATUS(status));
    bool caught = how[0] != 0;
    const struct row *row = &rows[mutant];
    (void)printf("%-8s M%02u %-26s %8llu programs %6.2f s  %s\n",
                 caught ? "caught" : "SURVIVES", row->class, row->name,
                 (unsigned long long)news->programs, now() - begin, how);
    if (!caught)
        (void)printf("         %s; reached %llu times\n", row->text,
                     (unsigned long long)news->reached);
    return caught;
}

static bool is_wanted(const char *name)
{
    for (unsigned k = 0; k < options.only_count; k++)
        if (!strcmp(options.only[k], name))
            return true;
    return !options.only_count;
}

static bool is_known(const char *name)
{
    for (unsigned k = 1; k < PVM_MUTANT_COUNT; k++)
        if (!strcmp(rows[k].name, name))
            return true;
    return false;
}

static bool parse(int argc, char **argv)
{
    for (int k = 1; k < argc; k += 2) {
        if (k + 1 == argc)
            return false;
        if (!strcmp(argv[k], "--seconds"))
            options.seconds = strtod(argv[k + 1], NULL);
        else if (!strcmp(argv[k], "--seed"))
            options.seed = strtoull(argv[k + 1], NULL, 0);
        else if (!strcmp(argv[k], "--only") && options.only_count < ONLY_MAX &&
                 is_known(argv[k + 1]))
            options.only[options.only_count++] = argv[k + 1];
        else
            return false;
    }
    return options.seconds > 0;
}

int main(int argc, char **argv)
{
    if (!parse(argc, argv)) {
        (void)fprintf(stderr,
                      "usage: mutants [--seconds N] [--seed N] [--only NAME]...\n");
        return STATUS_USAGE;
    }
    news = mmap(NULL, sizeof *news, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    if (news == MAP_FAILED) {
        perror("mutants: mmap");
        return 125;
    }
    unsigned tried = 0, caught = 0;
    for (unsigned k = 1; k < PVM_MUTANT_COUNT; k++) {
        if (!is_wanted(rows[k].name))
            continue;
        tried++;
        caught += try_mutant((enum pvm_mutant)k);
    }
    (void)printf("%u of %u mutants caught\n", caught, tried);
    return caught == tried ? 0 : 1;
}
