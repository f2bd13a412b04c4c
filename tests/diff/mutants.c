/* SPDX-License-Identifier: MIT
 *
 * The mutation score of the comparison with the oracle: each mutant of pvm/mutants.def
 * in a process of its own, until a program shows it or its CPU time is up.
 *
 *   mutants [--seconds N] [--seed N] [--reduce N] [--save FOLDER] [--only NAME]...
 *
 * The case that shows a mutant is made small, for at most N seconds of --reduce (10; 0:
 * it is not), and with --save it is written to FOLDER/NAME.case.
 *
 * Exit status: 0 if all that were tried are caught, 1 if not, 129 for wrong usage.
 */
#include "tests/diff/oracle_check.h"

#include "analysis/reduce.h"
#include "base/os.h"
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
    double seconds, reduce;
    uint64_t seed;
    const char *save;
    const char *only[ONLY_MAX];
    unsigned only_count;
} options = {.seconds = 60, .reduce = 10, .seed = 1};

/* What a child tells while it runs, in memory that both see. */
static struct news {
    uint64_t programs, reached;
    double seconds; /* of CPU time */
    char difference[160];
    struct analysis_case program; /* the present one */
} * news;

static double clock_seconds(clockid_t clock)
{
    struct timespec time;
    (void)clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* What this process has used of a CPU, whatever else runs beside it. */
static double cpu_seconds(void)
{
    return clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
}

/* ---- the child ---- */

/* Generated programs and opcodes in turn. */
static const char *run_program(uint64_t k)
{
    static uint8_t op = 255;
    if (k % 2 == 0) {
        oracle_check_make(options.seed + k / 2, &news->program);
        return oracle_check_case(&news->program);
    }
    do
        op++;
    while (!pvm_op_info[op].name);
    oracle_check_make_dense(op, options.seed + k / 2, &news->program);
    return oracle_check_case(&news->program);
}

static void search(double until)
{
    const char *mode = NULL;
    oracle_check_begin();
    while (!mode && cpu_seconds() < until) {
        mode = run_program(news->programs);
        news->programs++;
        news->reached = pvm_mutant_reached;
        news->seconds = cpu_seconds();
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
    search(cpu_seconds() + options.seconds);
    _exit(0);
}

/* ---- the parent ---- */

/* What a child has used of a CPU: one that others keep waiting does not hang. */
static double child_cpu(pid_t child)
{
    clockid_t clock;
    return clock_getcpuclockid(child, &clock) ? 0 : clock_seconds(clock);
}

/* Wait for the child; one that makes no progress is ended.  True: it hung. */
static bool await_child(pid_t child, int *ret_status)
{
    uint64_t seen = 0;
    double last = 0;
    while (waitpid(child, ret_status, WNOHANG) == 0) {
        (void)usleep(2000);
        uint64_t programs = *(volatile uint64_t *)&news->programs;
        if (programs != seen) {
            seen = programs;
            last = child_cpu(child);
        } else if (child_cpu(child) - last > HANG_SECONDS) {
            (void)kill(child, SIGKILL);
            (void)waitpid(child, ret_status, 0);
            return true;
        }
    }
    return false;
}

/* ---- reducing ---- */

static unsigned sizes[PVM_MUTANT_COUNT], size_count;

static void judge(void *self, const struct analysis_case *c,
                  struct analysis_verdict *ret_verdict)
{
    *ret_verdict = (struct analysis_verdict){.group = ANALYSIS_SAME};
    pvm_mutant = *(const enum pvm_mutant *)self;
    oracle_check_begin();
    const char *mode = oracle_check_case(c);
    if (!mode)
        return;
    ret_verdict->group = oracle_check_group();
    (void)snprintf(ret_verdict->text, sizeof ret_verdict->text, "%s: %s", mode,
                   oracle_check_what());
}

static void save(enum pvm_mutant mutant, const struct analysis_case *c)
{
    struct buf text, path;
    buf_init(&text, ANALYSIS_CASE_TEXT_MAX);
    buf_init(&path, 4096);
    buf_printf(&path, "%s/%s.case", options.save, rows[mutant].name);
    analysis_case_put(c, &text);
    buf_printf(&text, "; M%02u: %s\n", rows[mutant].class, rows[mutant].text);
    if (text.err || path.err || os_file_write(buf_string(&path), buf_bytes(&text)))
        (void)fprintf(stderr, "mutants: cannot write %s\n", buf_string(&path));
    buf_fini(&text);
    buf_fini(&path);
}

/* Make the case of the last child small and say what it is. */
static void reduce(enum pvm_mutant mutant)
{
    static struct analysis_case start, small;
    struct analysis_trial trial = {.judge = judge,
                                   .self = &mutant,
                                   .timeout_ns = (uint64_t)HANG_SECONDS * 1000000000,
                                   .quiet = true};
    struct analysis_reduce_setup setup = {
        .start = &start, .trial = &trial, .time_ns = (uint64_t)(options.reduce * 1e9)};
    struct analysis_reduce_report report;
    start = news->program;
    if (analysis_trial_open(&trial) || analysis_reduce(&setup, &small, &report))
        return;
    analysis_trial_close(&trial);
    if (report.verdict.group == ANALYSIS_SAME) {
        (void)printf("         the case alone does not show it\n");
        return;
    }
    sizes[size_count++] = report.insn_count[1];
    (void)printf("         reduced from %u to %u instructions in %llu attempts%s: %s\n",
                 report.insn_count[0], report.insn_count[1],
                 (unsigned long long)report.attempts,
                 report.complete ? "" : " (time is up)", report.verdict.text);
    if (options.save)
        save(mutant, &small);
}

static int compare_sizes(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return (x > y) - (x < y);
}

static void print_sizes(void)
{
    if (!size_count)
        return;
    qsort(sizes, size_count, sizeof *sizes, compare_sizes);
    (void)printf("%u cases reduced: median %u instructions, nine tenths at most %u, "
                 "all at most %u\n",
                 size_count, sizes[size_count / 2], sizes[size_count * 9 / 10],
                 sizes[size_count - 1]);
}

/* Try one mutant and print what came of it; true if it is caught. */
static bool try_mutant(enum pvm_mutant mutant)
{
    char how[200] = "";
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
                 (unsigned long long)news->programs, news->seconds, how);
    if (!caught)
        (void)printf("         %s; reached %llu times\n", row->text,
                     (unsigned long long)news->reached);
    else if (options.reduce > 0)
        reduce(mutant);
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
        else if (!strcmp(argv[k], "--reduce"))
            options.reduce = strtod(argv[k + 1], NULL);
        else if (!strcmp(argv[k], "--save"))
            options.save = argv[k + 1];
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
        (void)fprintf(stderr, "usage: mutants [--seconds N] [--seed N] [--reduce N] "
                              "[--only NAME]...\n");
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
    print_sizes();
    (void)printf("%u of %u mutants caught\n", caught, tried);
    return caught == tried ? 0 : 1;
}
