/* SPDX-License-Identifier: MIT
 *
 * The i386 processor against the host's for as long as one likes: `./dev fuzz i386`.
 *
 *   i386_campaign --oracle=PATH [--state=FILE] [--cases=N] [--class=NAME] [--seed=S]
 *
 * A class is a name of i386.def.  Each gets N cases (10 million), half of them as plain
 * calls where that is possible, the others in single steps with 16- and 32-bit
 * segments. FILE keeps how far each class is; the next call with the same seed goes on
 * from there.
 */
#include "base/err.h"
#include "tests/diff/i386_host.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CLASSES_MAX = 256,
    ROWS_MAX = 64,
    CALL_CASES = 2000,
    STEP_CASES = 500,
    STEP_RATIO = 10
};
enum { DIFFERENCES_MAX = 3 }; /* then the next class */

struct class
{
    const char *name;
    const struct emu_row *rows[ROWS_MAX];
    unsigned row_count;
    uint64_t chunks, cases, differences;
};

static struct class classes[CLASSES_MAX];
static unsigned class_count;
static const char *oracle, *state_path, *wanted;
static uint64_t cases_wanted = 10000000, seed = 1;
static bool has_steps;

static struct class *find_class(const char *name)
{
    for (unsigned i = 0; i < class_count; i++)
        if (!strcmp(classes[i].name, name))
            return &classes[i];
    return NULL;
}

static void make_classes(void)
{
    for (unsigned i = 0; i < emu_row_count; i++) {
        const struct emu_row *row = &emu_rows[i];
        if (!i386_host_has(row))
            continue;
        struct class *c = find_class(row->name);
        if (!c) {
            check(class_count < CLASSES_MAX);
            c = &classes[class_count++];
            c->name = row->name;
        }
        check(c->row_count < ROWS_MAX);
        c->rows[c->row_count++] = row;
    }
}

static void load_state(void)
{
    char line[128], name[32];
    uint64_t chunks, cases, differences, of = 0;
    FILE *f = state_path ? fopen(state_path, "r") : NULL;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "seed %" SCNu64, &of) == 1 || of != seed)
            continue;
        if (sscanf(line, "%31s %" SCNu64 " %" SCNu64 " %" SCNu64, name, &chunks, &cases,
                   &differences) != 4)
            continue;
        struct class *c = find_class(name);
        if (c) {
            c->chunks = chunks;
            c->cases = cases;
            c->differences = differences;
        }
    }
    if (f)
        fclose(f);
}

/* Written beside and renamed, so that an interrupted write loses nothing. */
static void save_state(void)
{
    char path[512];
    if (!state_path)
        return;
    snprintf(path, sizeof path, "%s.new", state_path);
    FILE *f = fopen(path, "w");
    if (!f) {
        fprintf(stderr, "i386_campaign: cannot write %s\n", path);
        exit(125);
    }
    fprintf(f, "seed %" PRIu64 "\n", seed);
    for (unsigned i = 0; i < class_count; i++)
        fprintf(f, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", classes[i].name,
                classes[i].chunks, classes[i].cases, classes[i].differences);
    if (fclose(f) || rename(path, state_path)) {
        fprintf(stderr, "i386_campaign: cannot write %s\n", state_path);
        exit(125);
    }
}

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static struct i386_host *start(void)
{
    struct i386_host *host = i386_host_start(oracle, &has_steps);
    if (!host) {
        printf("skipped: this host runs no 32-bit programs\n");
        exit(77);
    }
    return host;
}

/* One encoding with its cases. */
static void run_chunk(struct i386_host *host, struct class *c)
{
    const struct emu_row *row = c->rows[c->chunks % c->row_count];
    bool stepped = has_steps && (!i386_host_calls(row) ||
                                 (c->chunks / c->row_count) % STEP_RATIO == 0);
    uint32_t count = stepped ? STEP_CASES : CALL_CASES;
    uint64_t chunk = mix(seed ^ mix(c->chunks + 1) ^
                         mix((uint64_t)row->code << 8 | (uint8_t)row->digit));
    c->chunks++;
    if (!stepped && !i386_host_calls(row)) {
        c->differences = DIFFERENCES_MAX; /* nothing here can run it */
        return;
    }
    enum i386_verdict verdict = i386_host_check(host, row, chunk, count, stepped);
    if (verdict == I386_SAME)
        c->cases += count;
    if (verdict == I386_DIFFERENT)
        c->differences++;
}

static void run_class(struct i386_host *host, struct class *c)
{
    time_t saved = time(NULL), begin = saved;
    uint64_t before = c->cases, goal = cases_wanted;
    if (!i386_host_calls(c->rows[0]))
        goal /= STEP_RATIO;
    while (c->cases < goal && c->differences < DIFFERENCES_MAX) {
        run_chunk(host, c);
        time_t now = time(NULL);
        if (now - saved >= 5) {
            saved = now;
            save_state();
            fprintf(stderr, "%-14s %9" PRIu64 " of %" PRIu64 " cases, %" PRIu64 "/s\n",
                    c->name, c->cases, goal,
                    (c->cases - before) / (uint64_t)(now - begin));
        }
    }
    save_state();
    printf("%-14s %2u forms %10" PRIu64 " cases %" PRIu64 " differences\n", c->name,
           c->row_count, c->cases, c->differences);
    fflush(stdout);
}

static bool parse(int argc, char **argv)
{
    static const struct option options[] = {{"oracle", required_argument, NULL, 'o'},
                                            {"state", required_argument, NULL, 'f'},
                                            {"cases", required_argument, NULL, 'n'},
                                            {"class", required_argument, NULL, 'c'},
                                            {"seed", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 'o':
            oracle = optarg;
            break;
        case 'f':
            state_path = optarg;
            break;
        case 'n':
            cases_wanted = strtoull(optarg, NULL, 0);
            break;
        case 'c':
            wanted = optarg;
            break;
        case 's':
            seed = strtoull(optarg, NULL, 0);
            break;
        default:
            return false;
        }
    return oracle && optind == argc;
}

int main(int argc, char **argv)
{
    make_classes();
    if (!parse(argc, argv) || (wanted && !find_class(wanted))) {
        fprintf(stderr, "usage: ./dev fuzz i386 [--cases=N] [--class=NAME] [--seed=S]\n"
                        "classes:");
        for (unsigned i = 0; i < class_count; i++)
            fprintf(stderr, " %s", classes[i].name);
        fprintf(stderr, "\n");
        return 129;
    }
    load_state();
    struct i386_host *host = start();
    uint64_t cases = 0, differences = 0;
    for (unsigned i = 0; i < class_count; i++) {
        struct class *c = &classes[i];
        if (wanted && strcmp(c->name, wanted))
            continue;
        run_class(host, c);
        cases += c->cases;
        differences += c->differences;
    }
    i386_host_stop(host);
    printf("%" PRIu64 " cases, %" PRIu64 " differences\n", cases, differences);
    if (!has_steps)
        printf("without single steps: this host has no modify_ldt\n");
    return differences != 0;
}
