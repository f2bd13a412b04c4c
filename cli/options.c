/* SPDX-License-Identifier: MIT
 *
 * Options by table.  No abbreviations: a name that works today must not become
 * ambiguous when an option is added.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

struct common {
    bool json, quiet, verbose, help;
    unsigned color;
};

enum { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };
static const char *const color_words[] = {"auto", "always", "never", NULL};

const struct cli_option cli_common_option[] = {
    CLI_FLAG(struct common, json, "json", 0, "print one JSON object per line"),
    CLI_FLAG(struct common, quiet, "quiet", 'q', "print no remarks on stderr"),
    CLI_FLAG(struct common, verbose, "verbose", 'v', "print more remarks on stderr"),
    CLI_WORD(struct common, color, "color", 0, color_words, "colour the output"),
    CLI_FLAG(struct common, help, "help", 'h', "show this help"),
    CLI_END,
};

enum { OWN_COUNT_MAX = 128, COMMON_COUNT_MAX = 8 };

struct parser {
    struct cli *cli;
    const struct cli_spec *spec;
    struct common common;
    void *options;
    size_t given_max; /* no list can get longer than argv */
    bool given_own[OWN_COUNT_MAX], given_common[COMMON_COUNT_MAX];
};

/* ---- numbers and words ------------------------------------------------------------
 */

static bool digits(const char **text, uint64_t *ret_value)
{
    const char *s = *text;
    unsigned base = 10;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    }
    uint64_t value = 0;
    const char *start = s;
    for (;; s++) {
        unsigned digit = *s >= '0' && *s <= '9'   ? (unsigned)(*s - '0')
                         : *s >= 'a' && *s <= 'f' ? (unsigned)(*s - 'a' + 10)
                         : *s >= 'A' && *s <= 'F' ? (unsigned)(*s - 'A' + 10)
                                                  : 99;
        if (digit >= base)
            break;
        if (value > (UINT64_MAX - digit) / base)
            return false;
        value = value * base + digit;
    }
    if (s == start)
        return false;
    *text = s;
    *ret_value = value;
    return true;
}

bool cli_number(const char *text, uint64_t *ret_value)
{
    uint64_t value;
    if (!digits(&text, &value) || *text)
        return false;
    *ret_value = value;
    return true;
}

bool cli_size(const char *text, uint64_t *ret_value)
{
    uint64_t value;
    if (!digits(&text, &value))
        return false;
    unsigned shift = 0;
    if (*text) {
        shift = *text == 'K' || *text == 'k' ? 10
                : *text == 'M'               ? 20
                : *text == 'G'               ? 30
                                             : 0;
        if (!shift || text[1])
            return false;
    }
    if (value > UINT64_MAX >> shift)
        return false;
    *ret_value = value << shift;
    return true;
}

enum { WORD_SIZE_MAX = 40 };

/* Edit distance with transpositions, rows of the classic matrix.  Longer words are
 * far from everything. */
unsigned cli_distance(const char *a, const char *b)
{
    unsigned row[3][WORD_SIZE_MAX + 1];
    size_t a_size = strlen(a), b_size = strlen(b);
    if (a_size > WORD_SIZE_MAX || b_size > WORD_SIZE_MAX)
        return 2 * WORD_SIZE_MAX;
    for (unsigned j = 0; j <= b_size; j++)
        row[0][j] = j;
    for (unsigned i = 1; i <= a_size; i++) {
        unsigned *now = row[i % 3];
        const unsigned *last = row[(i - 1) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b_size; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (best > last[j] + 1)
                best = last[j] + 1;
            if (best > now[j - 1] + 1)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                best > before[j - 2] + 1)
                best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[a_size % 3][b_size];
}

static bool word_index(const char *const *words, const char *text, size_t size,
                       unsigned *ret_index)
{
    for (unsigned i = 0; words[i]; i++) {
        if (strlen(words[i]) == size && memcmp(words[i], text, size) == 0) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

/* ---- one option --------------------------------------------------------------------
 */

static bool is_common(const struct cli_option *option)
{
    return option >= cli_common_option &&
           option < cli_common_option + countof(cli_common_option);
}

/* Where it is kept that the option was given. */
static bool *given(struct parser *parser, const struct cli_option *option)
{
    bool common = is_common(option);
    size_t index =
        (size_t)(option - (common ? cli_common_option : parser->spec->option));
    check(index < (size_t)(common ? COMMON_COUNT_MAX : OWN_COUNT_MAX));
    return common ? &parser->given_common[index] : &parser->given_own[index];
}

static void *member(struct parser *parser, const struct cli_option *option)
{
    char *start = is_common(option) ? (char *)&parser->common : parser->options;
    return start + option->offset;
}

static const struct cli_option *in_table(const struct cli_option *table,
                                         const char *name, size_t size, char letter)
{
    for (const struct cli_option *o = table; o && o->name; o++) {
        if (letter ? o->letter == letter
                   : strlen(o->name) == size && memcmp(o->name, name, size) == 0)
            return o;
    }
    return NULL;
}

/* The command's own options come first: `-v` may mean something else to it. */
static const struct cli_option *find(const struct cli_spec *spec, const char *name,
                                     size_t size, char letter)
{
    const struct cli_option *own = in_table(spec->option, name, size, letter);
    return own ? own : in_table(cli_common_option, name, size, letter);
}

static const char *nearest(const struct cli_spec *spec, const char *name)
{
    const struct cli_option *table[] = {spec->option, cli_common_option};
    const char *best = NULL;
    unsigned least = (unsigned)strlen(name) / 3 + 2;
    for (size_t i = 0; i < countof(table); i++) {
        for (const struct cli_option *o = table[i]; o && o->name; o++) {
            unsigned distance = cli_distance(name, o->name);
            if (distance < least) {
                least = distance;
                best = o->name;
            }
        }
    }
    return best;
}

static bool usage_words(struct parser *parser, const struct cli_option *option,
                        const char *value)
{
    struct buf list;
    buf_init(&list, 1024);
    for (unsigned i = 0; option->words[i]; i++)
        buf_printf(&list, "%s%s", i ? ", " : "", option->words[i]);
    (void)ui_usage(parser->cli, "--%s is %s%s, not '%s'", option->name,
                   option->kind == CLI_KIND_WORDS ? "any of " : "one of ",
                   buf_string(&list), value);
    buf_fini(&list);
    return false;
}

static bool set_number(struct parser *parser, const struct cli_option *option,
                       const char *value)
{
    uint64_t number;
    bool ok = option->kind == CLI_KIND_SIZE ? cli_size(value, &number)
                                            : cli_number(value, &number);
    if (!ok) {
        (void)ui_usage(parser->cli, "--%s takes a %s, not '%s'", option->name,
                       option->kind == CLI_KIND_SIZE ? "size such as 4096, 64K, 10M, 1G"
                                                     : "number",
                       value);
        return false;
    }
    if (number < option->min || number > option->max) {
        (void)ui_usage(parser->cli, "--%s is %llu..%llu, not '%s'", option->name,
                       (unsigned long long)option->min, (unsigned long long)option->max,
                       value);
        return false;
    }
    *(uint64_t *)member(parser, option) = number;
    return true;
}

static bool set_words(struct parser *parser, const struct cli_option *option,
                      const char *value)
{
    uint32_t bits = 0;
    for (const char *s = value;; s++) {
        size_t size = strcspn(s, ",");
        unsigned index;
        if (!word_index(option->words, s, size, &index))
            return usage_words(parser, option, value);
        bits |= 1u << index;
        s += size;
        if (!*s)
            break;
    }
    *(uint32_t *)member(parser, option) |= bits;
    return true;
}

static bool set_list(struct parser *parser, const struct cli_option *option,
                     const char *value)
{
    struct cli_list *list = member(parser, option);
    if (!list->item) {
        list->item =
            arena_new_array(&parser->cli->arena, const char *, parser->given_max);
        check(list->item);
    }
    list->item[list->count++] = value;
    return true;
}

static bool set(struct parser *parser, const struct cli_option *option,
                const char *value)
{
    unsigned index;
    *given(parser, option) = true;
    switch (option->kind) {
    case CLI_KIND_FLAG:
        *(bool *)member(parser, option) = true;
        return true;
    case CLI_KIND_STRING:
        *(const char **)member(parser, option) = value;
        return true;
    case CLI_KIND_U64:
    case CLI_KIND_SIZE:
        return set_number(parser, option, value);
    case CLI_KIND_WORD:
        if (!word_index(option->words, value, strlen(value), &index))
            return usage_words(parser, option, value);
        memcpy(member(parser, option), &index, sizeof index);
        return true;
    case CLI_KIND_CHOICE:
        if (!word_index(option->words, value, strlen(value), &index))
            return usage_words(parser, option, value);
        index++;
        memcpy(member(parser, option), &index, sizeof index);
        return true;
    case CLI_KIND_WORDS:
        return set_words(parser, option, value);
    case CLI_KIND_LIST:
        return set_list(parser, option, value);
    }
    check(false); /* no kind of the table */
    return false;
}

/* ---- argv --------------------------------------------------------------------------
 */

/* "--name", "--name=value", "--name value" (then *next moves). */
static bool parse_long(struct parser *parser, int argc, char **argv, int *next)
{
    const char *name = argv[*next] + 2;
    size_t size = strcspn(name, "=");
    const char *value = name[size] ? name + size + 1 : NULL;
    const struct cli_option *option = find(parser->spec, name, size, 0);
    (*next)++;
    if (!option) {
        char word[WORD_SIZE_MAX + 1] = "";
        memcpy(word, name, size < WORD_SIZE_MAX ? size : WORD_SIZE_MAX);
        const char *near = nearest(parser->spec, word);
        (void)ui_usage(parser->cli,
                       near ? "unknown option '--%.*s'; did you mean '--%s'?"
                            : "unknown option '--%.*s'%s",
                       (int)(size < 80 ? size : 80), name, near ? near : "");
        return false;
    }
    if (option->kind == CLI_KIND_FLAG && value) {
        (void)ui_usage(parser->cli, "--%s takes no value", option->name);
        return false;
    }
    if (option->kind == CLI_KIND_CHOICE && !value)
        value = option->words[0];
    if (option->kind != CLI_KIND_FLAG && !value) {
        if (*next >= argc) {
            (void)ui_usage(parser->cli, "--%s needs a value", option->name);
            return false;
        }
        value = argv[(*next)++];
    }
    return set(parser, option, value);
}

/* "-qv", "-oFILE", "-o FILE" (then *next moves). */
static bool parse_letters(struct parser *parser, int argc, char **argv, int *next)
{
    const char *letter = argv[(*next)++] + 1;
    for (; *letter; letter++) {
        const struct cli_option *option = find(parser->spec, NULL, 0, *letter);
        if (!option) {
            (void)ui_usage(parser->cli, "unknown option '-%c'", *letter);
            return false;
        }
        if (option->kind != CLI_KIND_FLAG) {
            const char *value = letter[1]      ? letter + 1
                                : *next < argc ? argv[(*next)++]
                                               : NULL;
            if (!value) {
                (void)ui_usage(parser->cli, "-%c needs a value", *letter);
                return false;
            }
            return set(parser, option, value);
        }
        if (!set(parser, option, NULL))
            return false;
    }
    return true;
}

/* Options are set, the rest is moved to the front of argv. */
static bool parse_all(struct parser *parser, int *argc, char **argv)
{
    int count = *argc, kept = 0, next = 0;
    while (next < count) {
        const char *word = argv[next];
        if (strcmp(word, "--") == 0) {
            next++;
            break;
        }
        if (word[0] != '-' || !word[1]) {
            argv[kept++] = argv[next++];
            if (parser->spec->guest_arguments)
                break;
            continue;
        }
        bool ok = word[1] == '-' ? parse_long(parser, count, argv, &next)
                                 : parse_letters(parser, count, argv, &next);
        if (!ok)
            return false;
        if (parser->common.help)
            return true;
    }
    while (next < count)
        argv[kept++] = argv[next++];
    *argc = kept;
    return true;
}

static bool is_given(struct parser *parser, const char *name, size_t size)
{
    const struct cli_option *option = find(parser->spec, name, size, 0);
    check(option); /* or the table of exclusions has a name that is no option */
    return *given(parser, option);
}

/* At most one option of each pair in the table, and not --quiet with --verbose. */
static bool check_exclusions(struct parser *parser)
{
    static const struct cli_exclusion common = {"quiet", "verbose"};
    const struct cli_exclusion *own = parser->spec->exclude;
    for (size_t i = 0; i <= countof(parser->spec->exclude); i++) {
        const struct cli_exclusion *row = i ? &own[i - 1] : &common;
        if (!row->one)
            break;
        bool one = is_given(parser, row->one, strlen(row->one));
        for (const char *other = row->others; *other;) {
            size_t size = strcspn(other, " ");
            if (is_given(parser, other, size) && one) {
                (void)ui_usage(parser->cli, "--%s and --%.*s exclude each other",
                               row->one, (int)size, other);
                return false;
            }
            other += size + (other[size] == ' ');
        }
    }
    return true;
}

static bool has_word(const char *list, const char *word, size_t size)
{
    while (*list) {
        size_t length = strcspn(list, " ");
        if (length == size && memcmp(list, word, size) == 0)
            return true;
        list += length + (list[length] == ' ');
    }
    return false;
}

/* By the names of guests that an option's text begins with, if it does. */
static bool is_for(const struct cli_option *option, const char *guests,
                   const char *guest)
{
    const char *text = option->text;
    bool found = false;
    for (;;) {
        size_t size = strcspn(text, ",:");
        if (!text[size] || !has_word(guests, text, size))
            return true;
        found |= strlen(guest) == size && memcmp(text, guest, size) == 0;
        text += size;
        if (*text == ':')
            return found;
        text += 1 + (text[1] == ' ');
    }
}

static bool check_guest(struct parser *parser, int argc, char **argv)
{
    const char *guests = parser->spec->guests;
    if (!guests || argc < 1 || !has_word(guests, argv[0], strlen(argv[0])))
        return true; /* the command says what it wants */
    for (const struct cli_option *o = parser->spec->option; o->name; o++) {
        if (*given(parser, o) && !is_for(o, guests, argv[0])) {
            (void)ui_usage(parser->cli, "--%s is not for %s", o->name, argv[0]);
            return false;
        }
    }
    return true;
}

static bool count_positional(struct parser *parser, int argc, char **argv)
{
    unsigned left = (unsigned)argc, used = 0;
    for (size_t i = 0; i < countof(parser->spec->positional); i++) {
        const struct cli_positional *p = &parser->spec->positional[i];
        if (!p->name)
            break;
        if (left < p->min) {
            (void)ui_usage(parser->cli, "%s is missing; try --help", p->name);
            return false;
        }
        unsigned taken = left < p->max ? left : p->max;
        left -= taken;
        used += taken;
    }
    if (left) {
        (void)ui_usage(parser->cli, "'%s' is one argument too many", argv[used]);
        return false;
    }
    return true;
}

static bool apply_common(struct parser *parser)
{
    struct cli *cli = parser->cli;
    cli->json = parser->common.json;
    cli->quiet = parser->common.quiet;
    cli->verbose = parser->common.verbose;
    if (parser->common.color != COLOR_AUTO)
        cli->color = parser->common.color == COLOR_ALWAYS;
    if (cli->json && !parser->spec->prints_json) {
        (void)ui_usage(cli, "prints no data, so there is no --json");
        return false;
    }
    return true;
}

bool cli_parse(struct cli *cli, const struct cli_command *command, int *argc,
               char **argv, int *ret_status)
{
    const struct cli_spec *spec = command->spec;
    struct parser parser = {.cli = cli, .spec = spec, .given_max = (size_t)*argc + 1};
    size_t size = spec->options_size ? spec->options_size : 1;
    parser.options = arena_alloc(&cli->arena, size, 16);
    check(parser.options);
    if (spec->defaults)
        memcpy(parser.options, spec->defaults, spec->options_size);
    bool ok = parse_all(&parser, argc, argv);
    if (ok && parser.common.help) {
        struct buf help;
        buf_init(&help, 1 << 20);
        cli_help_put(command, &help);
        ui_out_bytes(cli, buf_bytes(&help));
        buf_fini(&help);
        *ret_status = CLI_YES;
        return false;
    }
    if (!ok || !check_exclusions(&parser) || !count_positional(&parser, *argc, argv) ||
        !check_guest(&parser, *argc, argv) || !apply_common(&parser)) {
        *ret_status = CLI_USAGE;
        return false;
    }
    cli->options = parser.options;
    return true;
}
