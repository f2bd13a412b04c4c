/* SPDX-License-Identifier: MIT
 *
 * Runs a fuzz target as an ordinary test: every file of a corpus folder, every start of
 * each (of long files: some), then a fixed number of mutations of each, the same ones
 * every time.
 *
 *   test_fuzz_NAME corpus/fuzz/NAME
 *
 * LOCKSTEP_SEED chooses other mutations, LOCKSTEP_FUZZ_ROUNDS more of them.  One file
 * as argument runs that file alone.
 */
#define _GNU_SOURCE
#include "tests/test.h"

#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

enum { INPUT_SIZE_MAX = 1 << 20, FILE_COUNT_MAX = 4096, ROUNDS = 300, CUTS = 512 };

struct input {
    uint8_t *data;
    size_t size;
};

static const char *corpus;
static struct input files[FILE_COUNT_MAX];
static char *names[FILE_COUNT_MAX];
static size_t file_count;

/* What runs now, for the message of a crash. */
static const char *current_name = "";
static unsigned current_round;
static size_t current_size;
static uint64_t current_seed;

static void report(void)
{
    char text[512];
    const char *base = strrchr(corpus, '/');
    int size = snprintf(text, sizeof text,
                        "fuzz input: %s, mutation %u, %zu bytes\n"
                        "reproduce: LOCKSTEP_SEED=0x%llx ./dev test fuzz_%s\n",
                        current_name, current_round, current_size,
                        (unsigned long long)current_seed, base ? base + 1 : corpus);
    if (size > 0)
        (void)!write(2, text, (size_t)size < sizeof text ? (size_t)size : sizeof text);
}

static void on_signal(int number)
{
    report();
    signal(number, SIG_DFL);
    raise(number);
}

static struct input read_file(const char *path)
{
    struct input input = {.data = malloc(INPUT_SIZE_MAX)};
    FILE *file = fopen(path, "rb");
    assert_non_null(input.data);
    if (!file)
        fail_msg("cannot open %s", path);
    input.size = fread(input.data, 1, INPUT_SIZE_MAX, file);
    if (fgetc(file) != EOF)
        fail_msg("%s is larger than 1 MiB", path);
    fclose(file);
    return input;
}

/* The target gets an exact allocation, so that a sanitizer sees one byte too many. */
static void run_one(const uint8_t *data, size_t size)
{
    current_size = size;
    uint8_t *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    memcpy(exact, data, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static uint8_t interesting_byte(uint64_t *state)
{
    static const uint8_t byte[] = {0,    1,    0x7f, 0x80, 0xc0,
                                   0xfe, 0xff, 0xdd, 0xdf, 0xcf};
    uint64_t r = test_random(state);
    return r & 1 ? byte[(r >> 1) % sizeof byte] : (uint8_t)(r >> 8);
}

static size_t below(uint64_t *state, size_t limit)
{
    return limit ? (size_t)(test_random(state) % limit) : 0;
}

/* Change `data` (capacity 2 * INPUT_SIZE_MAX) in one random way; answer its new size.
 */
static size_t mutate_once(uint8_t *data, size_t size, uint64_t *state)
{
    size_t at = below(state, size), count = 1 + below(state, 16);
    switch (test_random(state) % 7) {
    case 0: /* flip a bit */
        if (size)
            data[at] ^= (uint8_t)(1u << (test_random(state) & 7));
        return size;
    case 1: /* set a byte */
    case 2:
        if (size)
            data[at] = interesting_byte(state);
        return size;
    case 3: /* cut the end */
        return at;
    case 4: /* remove some */
        if (count > size - at)
            count = size - at;
        memmove(data + at, data + at + count, size - at - count);
        return size - count;
    case 5: /* insert some */
        memmove(data + at + count, data + at, size - at);
        for (size_t i = 0; i < count; i++)
            data[at + i] = interesting_byte(state);
        return size + count;
    default: { /* the tail of another file */
        const struct input *other = &files[below(state, file_count)];
        size_t from = below(state, other->size);
        memcpy(data + at, other->data + from, other->size - from);
        return at + (other->size - from);
    }
    }
}

static void run_mutations(const struct input *input, unsigned rounds)
{
    uint8_t *data = malloc((size_t)2 * INPUT_SIZE_MAX + 1024);
    assert_non_null(data);
    uint64_t state = current_seed ^ input->size;
    for (current_round = 1; current_round <= rounds; current_round++) {
        size_t size = input->size;
        memcpy(data, input->data, size);
        unsigned steps = 1 + (unsigned)below(&state, 4);
        for (unsigned i = 0; i < steps && size <= INPUT_SIZE_MAX; i++)
            size = mutate_once(data, size, &state);
        run_one(data, size);
    }
    free(data);
}

/* All starts of a short file, CUTS of a long one. */
static void run_cuts(const struct input *input)
{
    size_t step = 1 + input->size / CUTS;
    for (size_t size = 0; size < input->size; size += step)
        run_one(input->data, size);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void load_corpus(void)
{
    DIR *dir = opendir(corpus);
    if (!dir) {
        names[file_count++] = strdup(corpus);
    } else {
        for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
            char path[1024];
            struct stat st;
            (void)snprintf(path, sizeof path, "%s/%s", corpus, entry->d_name);
            if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
                continue;
            assert_true(file_count < FILE_COUNT_MAX);
            names[file_count++] = strdup(path);
        }
        closedir(dir);
    }
    if (!file_count)
        fail_msg("no file in %s", corpus);
    qsort(names, file_count, sizeof names[0], by_name);
    for (size_t i = 0; i < file_count; i++)
        files[i] = read_file(names[i]);
}

/* Inside the test, because cmocka sets handlers of its own before it. */
static void catch_crashes(void)
{
    static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        signal(fatal[i], on_signal);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(report);
}

static void test_corpus_and_mutations(void **unused)
{
    (void)unused;
    catch_crashes();
    const char *text = getenv("LOCKSTEP_FUZZ_ROUNDS");
    unsigned rounds = text ? (unsigned)strtoul(text, NULL, 0) : ROUNDS;
    load_corpus();
    current_name = "empty input";
    run_one((const uint8_t *)"", 0);
    for (size_t i = 0; i < file_count; i++) {
        current_name = names[i];
        current_round = 0;
        run_one(files[i].data, files[i].size);
        run_cuts(&files[i]);
        run_mutations(&files[i], rounds);
    }
    for (size_t i = 0; i < file_count; i++) {
        free(files[i].data);
        free(names[i]);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    corpus = argv[1];
    current_seed = test_seed(0x10c57e9);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpus_and_mutations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
