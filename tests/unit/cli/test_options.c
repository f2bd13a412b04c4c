/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "tests/test.h"

#include <string.h>
#include <unistd.h>

enum color { RED, GREEN, BLUE };
static const char *const color_words[] = {"red", "green", "blue", NULL};

struct options {
    bool raw;
    const char *output;
    uint64_t level;
    uint64_t ring;
    enum color color;
    uint32_t log;
    struct cli_list keep;
    bool verbose_own;
    unsigned fold;
};

static const struct cli_option option[] = {
    CLI_FLAG(struct options, raw, "raw", 'r', "no compression"),
    CLI_STRING(struct options, output, "output", 'o', "FILE", "where to"),
    CLI_U64(struct options, level, "level", 0, "N", 1, 19, "how much"),
    CLI_SIZE(struct options, ring, "ring", 0, "SIZE", 0, UINT64_MAX, "how large"),
    CLI_WORD(struct options, color, "paint", 'p', color_words, "which"),
    CLI_WORDS(struct options, log, "log", 0, color_words, "what"),
    CLI_LIST(struct options, keep, "keep", 'k', "NAME", "whom"),
    CLI_CHOICE(struct options, fold, "fold", 0, color_words, "whether, and how"),
    CLI_END,
};

static const struct cli_spec spec = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &(const struct options){.level = 3, .color = GREEN},
    .positional = {{"FILE", 1, 1, "a file"}, {"MORE", 0, 2, "more files"}},
    .exclude = {{"raw", "level ring"}, {"paint", "json"}},
    .prints_json = true,
};
static const struct cli_spec guest_spec = {
    .option = option,
    .options_size = sizeof(struct options),
    .positional = {{"GUEST", 1, 1, "a program"}, {"ARG", 0, CLI_MANY, "its arguments"}},
    .guest_arguments = true,
};

static const struct cli_option world_option[] = {
    CLI_FLAG(struct options, raw, "raw", 'r', "red: for one"),
    CLI_U64(struct options, level, "level", 0, "N", 1, 19, "red, green: for two"),
    CLI_STRING(struct options, output, "output", 'o', "FILE", "redder: for all"),
    CLI_SIZE(struct options, ring, "ring", 0, "SIZE", 0, UINT64_MAX, "green, if: all"),
    CLI_END,
};
static const struct cli_spec world_spec = {
    .option = world_option,
    .options_size = sizeof(struct options),
    .positional = {{"GUEST", 1, 1, "red, green or blue"}},
    .guests = "red green blue",
};

/* One parse: what came out, and what was said on stderr. */
struct result {
    struct cli cli;
    struct options options;
    bool run;
    int status;
    int argc;
    char *argv[20];
    char said[1000];
};

static void parse_with(struct result *result, const struct cli_spec *with,
                       const char *line)
{
    static char text[1000];
    struct cli_command command = {.name = "test", .text = "try", .spec = with};
    FILE *errors = tmpfile();
    int saved = dup(2);
    memset(result, 0, sizeof *result);
    arena_init(&result->cli.arena, 1 << 20);
    result->cli.command = &command;
    result->status = -1;
    (void)snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        result->argv[result->argc++] = strcmp(word, "''") == 0 ? (char *)"" : word;
    assert_non_null(errors);
    fflush(stderr);
    (void)dup2(fileno(errors), 2);
    result->run =
        cli_parse(&result->cli, &command, &result->argc, result->argv, &result->status);
    fflush(stderr);
    (void)dup2(saved, 2);
    close(saved);
    rewind(errors);
    result->said[fread(result->said, 1, sizeof result->said - 1, errors)] = 0;
    fclose(errors);
    if (result->run)
        memcpy(&result->options, result->cli.options, sizeof result->options);
}

static void parse(struct result *result, const char *line)
{
    parse_with(result, &spec, line);
}

static void done(struct result *result)
{
    arena_fini(&result->cli.arena);
}

static void refuse_with(const struct cli_spec *with, const char *line,
                        const char *words)
{
    struct result r;
    parse_with(&r, with, line);
    if (r.run || r.status != CLI_USAGE)
        fail_msg("'%s' was accepted", line);
    if (!strstr(r.said, words))
        fail_msg("'%s' said: %s", line, r.said);
    assert_ptr_equal(strchr(r.said, '\n'), r.said + strlen(r.said) - 1);
    done(&r);
}

static void refuse(const char *line, const char *words)
{
    refuse_with(&spec, line, words);
}

static void test_defaults(void **unused)
{
    (void)unused;
    struct result r;
    parse(&r, "a.lks");
    assert_true(r.run);
    assert_string_equal(r.said, "");
    assert_int_equal(r.argc, 1);
    assert_string_equal(r.argv[0], "a.lks");
    assert_int_equal(r.options.level, 3);
    assert_int_equal(r.options.color, GREEN);
    assert_null(r.options.output);
    assert_int_equal(r.options.keep.count, 0);
    assert_false(r.cli.json);
    done(&r);
}

static void test_every_kind(void **unused)
{
    (void)unused;
    struct result r;
    parse(
        &r,
        "--fold=red --output=o.lks --level 19 a --ring=10M --paint=blue --log=red,blue "
        "--keep=x b -k y -kz -v");
    assert_true(r.run);
    assert_int_equal(r.options.fold, 1 + RED);
    assert_string_equal(r.options.output, "o.lks");
    assert_int_equal(r.options.level, 19);
    assert_int_equal(r.options.ring, 10 << 20);
    assert_int_equal(r.options.color, BLUE);
    assert_int_equal(r.options.log, 1u << RED | 1u << BLUE);
    assert_int_equal(r.options.keep.count, 3);
    assert_string_equal(r.options.keep.item[0], "x");
    assert_string_equal(r.options.keep.item[1], "y");
    assert_string_equal(r.options.keep.item[2], "z");
    assert_int_equal(r.argc, 2);
    assert_string_equal(r.argv[0], "a");
    assert_string_equal(r.argv[1], "b");
    assert_true(r.cli.verbose);
    done(&r);
}

/* Not given, given alone, given with a word; alone it takes no word behind it. */
static void test_choice(void **unused)
{
    (void)unused;
    struct result r;
    parse(&r, "a");
    assert_true(r.run);
    assert_int_equal(r.options.fold, 0);
    done(&r);
    parse(&r, "--fold blue");
    assert_true(r.run);
    assert_int_equal(r.options.fold, 1 + RED);
    assert_string_equal(r.argv[0], "blue");
    done(&r);
    parse(&r, "a --fold=blue");
    assert_true(r.run);
    assert_int_equal(r.options.fold, 1 + BLUE);
    done(&r);
    refuse("a --fold=pink", "--fold is one of red, green, blue, not 'pink'");
    refuse("a --fold=", "--fold is one of");
}

static void test_letters(void **unused)
{
    (void)unused;
    struct result r;
    parse(&r, "-ro out a");
    assert_true(r.run && r.options.raw);
    assert_string_equal(r.options.output, "out");
    done(&r);
    parse(&r, "-roout -pred a");
    assert_true(r.run && r.options.raw);
    assert_string_equal(r.options.output, "out");
    assert_int_equal(r.options.color, RED);
    done(&r);
}

/* "-" is a file, "--" ends the options, the later of two options wins. */
static void test_dashes(void **unused)
{
    (void)unused;
    struct result r;
    parse(&r, "- --output=- --output=2 -- --raw");
    assert_true(r.run);
    assert_int_equal(r.argc, 2);
    assert_string_equal(r.argv[0], "-");
    assert_string_equal(r.argv[1], "--raw");
    assert_string_equal(r.options.output, "2");
    assert_false(r.options.raw);
    done(&r);
    parse(&r, "--output= a");
    assert_true(r.run);
    assert_string_equal(r.options.output, "");
    done(&r);
}

static void test_guest_arguments(void **unused)
{
    (void)unused;
    struct result r;
    parse_with(&r, &guest_spec, "--raw prog.pvm --raw -x -- --output");
    assert_true(r.run && r.options.raw);
    assert_int_equal(r.argc, 5);
    assert_string_equal(r.argv[1], "--raw");
    assert_string_equal(r.argv[3], "--");
    done(&r);
}

static void test_refused(void **unused)
{
    (void)unused;
    refuse("", "FILE is missing");
    refuse("a b c d", "'d' is one argument too many");
    refuse("a --outptu=x", "did you mean '--output'?");
    refuse("a --xyzzy", "unknown option '--xyzzy'\n");
    refuse("a -x", "unknown option '-x'");
    refuse("a --rawly", "unknown option '--rawly'");
    refuse("a --ra", "unknown option '--ra'"); /* no abbreviations */
}

/* What the command excludes is refused in both orders, by letters too, whatever the
 * values; options beside the pair do not matter. */
static void test_excluded(void **unused)
{
    (void)unused;
    struct result r;
    refuse("a --raw --level=3", "--raw and --level exclude each other");
    refuse("a --level=3 -r", "--raw and --level exclude each other");
    refuse("a -o x --ring 1 -r", "--raw and --ring exclude each other");
    refuse("a --json --paint=red", "--paint and --json exclude each other");
    refuse("a -qv", "--quiet and --verbose exclude each other");
    parse(&r, "a --level=3 --ring=1 --paint=red -q");
    assert_true(r.run && r.cli.quiet);
    done(&r);
    parse(&r, "a -r --json -o x -v");
    assert_true(r.run && r.cli.json && r.cli.verbose);
    done(&r);
}

/* What would be ignored by a guest is refused for it. */
static void test_guests(void **unused)
{
    (void)unused;
    static const char *const good[] = {"red -r --level=2", "green --level=2", "blue",
                                       "blue -o x --ring=1", "violet -r --level=2"};
    for (size_t i = 0; i < countof(good); i++) {
        struct result r;
        parse_with(&r, &world_spec, good[i]);
        if (!r.run)
            fail_msg("'%s' said: %s", good[i], r.said);
        done(&r);
    }
    refuse_with(&world_spec, "green -r", "--raw is not for green");
    refuse_with(&world_spec, "--level=2 blue", "--level is not for blue");
    refuse_with(&world_spec, "blue -o x --raw", "--raw is not for blue");
}

static void test_refused_values(void **unused)
{
    (void)unused;
    refuse("a --output", "--output needs a value");
    refuse("a -o", "-o needs a value");
    refuse("a --raw=1", "--raw takes no value");
    refuse("a --level=0", "--level is 1..19, not '0'");
    refuse("a --level=20", "--level is 1..19");
    refuse("a --level=", "--level takes a number, not ''");
    refuse("a --level=-1", "--level takes a number");
    refuse("a --level=1x", "--level takes a number");
    refuse("a --level=1K", "--level takes a number");
    refuse("a --ring=5X", "--ring takes a size");
    refuse("a --ring=5KB", "--ring takes a size");
    refuse("a --paint=pink", "--paint is one of red, green, blue, not 'pink'");
    refuse("a --log=red,pink", "--log is any of red, green, blue");
    refuse("a --log=red,", "--log is any of");
    refuse("a --color=maybe", "--color is one of auto, always, never");
}

static void test_no_json(void **unused)
{
    (void)unused;
    struct result r;
    parse_with(&r, &guest_spec, "--json x");
    assert_false(r.run);
    assert_int_equal(r.status, CLI_USAGE);
    assert_non_null(strstr(r.said, "no --json"));
    done(&r);
}

static void test_numbers(void **unused)
{
    (void)unused;
    uint64_t value = 77;
    assert_true(cli_number("18446744073709551615", &value) && value == UINT64_MAX);
    assert_true(cli_number("0xffffffffffffffff", &value) && value == UINT64_MAX);
    assert_true(cli_number("0X1f", &value) && value == 31);
    assert_true(cli_number("007", &value) && value == 7);
    value = 77;
    static const char *const bad[] = {"",
                                      "18446744073709551616",
                                      "0x10000000000000000",
                                      "0x",
                                      " 1",
                                      "1 ",
                                      "+1",
                                      "1_000",
                                      "x1",
                                      "1e3",
                                      "99999999999999999999999"};
    for (size_t i = 0; i < countof(bad); i++)
        assert_false(cli_number(bad[i], &value));
    assert_int_equal(value, 77);
    assert_true(cli_size("64K", &value) && value == 65536);
    assert_true(cli_size("64k", &value) && value == 65536);
    assert_true(cli_size("1G", &value) && value == 1u << 30);
    assert_true(cli_size("17179869183G", &value) && value == UINT64_C(17179869183)
                                                                 << 30);
    value = 77;
    assert_false(cli_size("17179869184G", &value));
    assert_false(cli_size("K", &value));
    assert_false(cli_size("1T", &value));
    assert_int_equal(value, 77);
}

static void test_distance(void **unused)
{
    (void)unused;
    assert_int_equal(cli_distance("", ""), 0);
    assert_int_equal(cli_distance("", "abc"), 3);
    assert_int_equal(cli_distance("record", "record"), 0);
    assert_int_equal(cli_distance("recrod", "record"), 1);
    assert_int_equal(cli_distance("rcord", "record"), 1);
    assert_int_equal(cli_distance("kitten", "sitting"), 3);
    assert_int_equal(cli_distance("ab", "ba"), cli_distance("ba", "ab"));
    char longer[200];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_true(cli_distance(longer, longer) > 40);
}

/* Any words at all: parsed or refused with one line, never more. */
static void test_random_words(void **unused)
{
    (void)unused;
    static const char *const word[] = {
        "--", "-",    "--raw",    "--output", "--output=x", "-o",  "-r",      "-k",
        "a",  "b",    "--level=", "--level",  "5",          "-rr", "--=",     "---",
        "-=", "--=x", "--keep",   "--log",    "red,red",    "''",  "-kro-kv", "--json"};
    uint64_t seed = test_seed(7);
    for (unsigned round = 0; round < 5000; round++) {
        struct result r;
        char line[400] = "";
        unsigned count = (unsigned)(test_random(&seed) % 8);
        for (unsigned i = 0; i < count; i++) {
            strcat(line, word[test_random(&seed) % countof(word)]);
            strcat(line, " ");
        }
        parse(&r, line);
        const char *newline = strchr(r.said, '\n');
        if (r.run ? r.said[0] != 0 : r.status != CLI_USAGE || !newline || newline[1])
            fail_msg("'%s': status %d, said '%s'", line, r.status, r.said);
        done(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_letters),         cmocka_unit_test(test_dashes),
        cmocka_unit_test(test_guest_arguments), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_excluded),        cmocka_unit_test(test_refused_values),
        cmocka_unit_test(test_no_json),         cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_distance),        cmocka_unit_test(test_random_words),
        cmocka_unit_test(test_choice),          cmocka_unit_test(test_guests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
