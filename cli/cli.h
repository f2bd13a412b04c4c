/* SPDX-License-Identifier: MIT
 *
 * cli/cli.h - the frame of the program: commands, options, and all that is printed.
 *
 * To add a command `foo`:
 *   1. a row in cli/commands.def;
 *   2. a file cli/cmd_foo.c (or one file for a few related commands) that defines
 *          const struct cli_spec cli_spec_foo = {…};
 *          int cmd_foo(struct cli *cli, int argc, char **argv) {…}
 *   3. the file's name in cli/CMakeLists.txt.
 * The frame parses the options before it calls cmd_foo: `cli->options` is the struct
 * that the option table describes, filled in; argc and argv are what is left, the
 * positional arguments (argv[0] is the first of them), already counted against
 * spec->positional.  --help, --json, -q, -v, --color and every usage error are the
 * frame's business.  The command answers with an exit status.
 *
 * Only the ui_ functions print.  stdout is the answer, stderr is talk.
 * Not thread safe; one `struct cli` per process.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit status (trace-replay.md 7.3).  `run` and `record` may answer the guest's. */
enum {
    CLI_YES = 0,       /* done; identical; reproduced */
    CLI_NO = 1,        /* different; diverged; damaged */
    CLI_UNKNOWN = 125, /* could not tell: input or output failed, malformed file */
    CLI_USAGE = 129,   /* the command line makes no sense */
};

/* ---- what a command is ---------------------------------------------------------- */

enum cli_group {
    CLI_GROUP_RUN,     /* run, record, replay */
    CLI_GROUP_TRACE,   /* look at trace files */
    CLI_GROUP_PROGRAM, /* make and read programs */
    CLI_GROUP_OTHER,
    CLI_GROUP_COUNT,
};

enum cli_kind {
    CLI_KIND_FLAG,   /* bool */
    CLI_KIND_STRING, /* const char *, NULL until given */
    CLI_KIND_U64,    /* uint64_t: decimal or 0x hex, min..max */
    CLI_KIND_SIZE,   /* uint64_t: the same with K, M, G (1024) behind it */
    CLI_KIND_WORD,   /* an enum (4 bytes): the index of one of `words` */
    CLI_KIND_WORDS,  /* uint32_t: one bit per word, "a,b,c" */
    CLI_KIND_CHOICE, /* an enum: 1 + the index; bare --name is the first word */
    CLI_KIND_LIST,   /* struct cli_list: may be given many times */
};

/* The values of a repeatable option, in order.  In the cli's arena. */
struct cli_list {
    const char **item;
    size_t count;
};

/* One option; use the macros below, which check the member's type. */
struct cli_option {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    enum cli_kind kind;
    size_t offset; /* of the member in the command's options */
    const char *argument;
    uint64_t min, max;
    const char *const *words; /* ends with NULL */
    const char *text;         /* one line, no full stop */
};

#define CLI_MEMBER(type, member, wanted)                                               \
    (offsetof(type, member) +                                                          \
     0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((type *)0)->member),     \
                                                  wanted)                              \
                         ? 1                                                           \
                         : -1]))
#define CLI_FLAG(type, member, name, letter, text)                                     \
    {                                                                                  \
        name, letter, CLI_KIND_FLAG, CLI_MEMBER(type, member, bool), NULL, 0, 0, NULL, \
            text                                                                       \
    }
#define CLI_STRING(type, member, name, letter, argument, text)                         \
    {                                                                                  \
        name, letter, CLI_KIND_STRING, CLI_MEMBER(type, member, const char *),         \
            argument, 0, 0, NULL, text                                                 \
    }
#define CLI_U64(type, member, name, letter, argument, min, max, text)                  \
    {                                                                                  \
        name, letter, CLI_KIND_U64, CLI_MEMBER(type, member, uint64_t), argument, min, \
            max, NULL, text                                                            \
    }
#define CLI_SIZE(type, member, name, letter, argument, min, max, text)                 \
    {                                                                                  \
        name, letter, CLI_KIND_SIZE, CLI_MEMBER(type, member, uint64_t), argument,     \
            min, max, NULL, text                                                       \
    }
#define CLI_WORD(type, member, name, letter, words, text)                              \
    {                                                                                  \
        name, letter, CLI_KIND_WORD,                                                   \
            offsetof(type, member) +                                                   \
                0 * sizeof(char[sizeof(((type *)0)->member) == 4 ? 1 : -1]),           \
            NULL, 0, 0, words, text                                                    \
    }
#define CLI_WORDS(type, member, name, letter, words, text)                             \
    {                                                                                  \
        name, letter, CLI_KIND_WORDS, CLI_MEMBER(type, member, uint32_t), NULL, 0, 0,  \
            words, text                                                                \
    }
#define CLI_CHOICE(type, member, name, letter, words, text)                            \
    {                                                                                  \
        name, letter, CLI_KIND_CHOICE,                                                 \
            offsetof(type, member) +                                                   \
                0 * sizeof(char[sizeof(((type *)0)->member) == 4 ? 1 : -1]),           \
            NULL, 0, 0, words, text                                                    \
    }
#define CLI_LIST(type, member, name, letter, argument, text)                           \
    {                                                                                  \
        name, letter, CLI_KIND_LIST, CLI_MEMBER(type, member, struct cli_list),        \
            argument, 0, 0, NULL, text                                                 \
    }
#define CLI_END                                                                        \
    {                                                                                  \
        NULL, 0, CLI_KIND_FLAG, 0, NULL, 0, 0, NULL, NULL                              \
    }

/* A positional argument: `min`..`max` of it; only the last may have max CLI_MANY. */
#define CLI_MANY 0xffffffffu
struct cli_positional {
    const char *name; /* "FILE"; NULL ends the table */
    unsigned min, max;
    const char *text;
};

struct cli_example {
    const char *command; /* "lockstep info hello.lks" */
    const char *text;
};

/* Where `one` is given, none of `others` may be: one of them would be ignored. */
struct cli_exclusion {
    const char *one;    /* an option, without the dashes; NULL ends the table */
    const char *others; /* options, with a blank between two */
};

struct cli_spec {
    const struct cli_option *option; /* ends with CLI_END; NULL: none of its own */
    size_t options_size;             /* of the struct that the options fill */
    const void *defaults;            /* such a struct; NULL: all zero */
    struct cli_positional positional[4];
    struct cli_example example[2];
    struct cli_exclusion exclude[8];
    /* Names that the first argument may have, with blanks between; NULL: it is none. An
     * option whose text begins with some of them, as in "pc, v86fs: a file tree", is
     * for those alone, and refused for the others, which would ignore it. */
    const char *guests;
    const char *about;      /* more for the manual: plain paragraphs; may be NULL */
    const char *exit_yes;   /* what status 0 means */
    const char *exit_no;    /* what status 1 means; NULL: never answered */
    const char *exit_other; /* a further line, such as "the guest's status" */
    bool prints_json;       /* takes --json */
    bool guest_arguments;   /* options end at the first positional argument */
};

struct cli;

struct cli_command {
    const char *name;
    enum cli_group group;
    const char *text;
    const struct cli_spec *spec;
    int (*run)(struct cli *cli, int argc, char **argv);
};

#define COMMAND(name, group, text)                                                     \
    int cmd_##name(struct cli *cli, int argc, char **argv);                            \
    extern const struct cli_spec cli_spec_##name;
#include "cli/commands.def"

extern const struct cli_command cli_command[];
extern const size_t cli_command_count;

/* The command with this name, or NULL. */
const struct cli_command *cli_command_find(const char *name);

/* "Run, record, replay". */
const char *cli_group_title(enum cli_group group);

/* The command's row that is nearest to a misspelt word; NULL if none is near. */
const char *cli_command_nearest(const char *word);

/* ---- one call of the program ------------------------------------------------------
 */

struct ui_json; /* the JSON object being written; cli/ui.c */

struct cli {
    const struct cli_command *command; /* NULL before it is known */
    const void *options;               /* the command's struct, filled in */
    struct arena arena;                /* dies with the call; small things only */
    bool json;
    bool quiet;
    bool verbose;
    bool color; /* of stdout */

    /* private to cli/ui.c */
    struct ui_json *object;      /* NULL between two objects */
    struct ui_json *object_kept; /* its memory, used again */
    uint64_t progress_ns;
    bool progress_on;
    bool progress_shown;
    bool out_failed;
    char out_error[96];
};

/* The whole program; answers the exit status. */
int cli_main(int argc, char **argv);

/* ---- options (cli/options.c) ------------------------------------------------------
 */

/* Parse argv[0..argc) for `command` (the words behind its name).  Fills cli->options
 * and moves the positional arguments to the front of argv.  False when there is
 * nothing to run: *ret_status is 0 (help was printed) or CLI_USAGE. */
bool cli_parse(struct cli *cli, const struct cli_command *command, int *argc,
               char **argv, int *ret_status);

/* The options that every command takes, for help and completion. */
extern const struct cli_option cli_common_option[];

/* Whole text as a number: decimal or 0x hex; cli_size also K, M, G. */
bool cli_number(const char *text, uint64_t *ret_value);
bool cli_size(const char *text, uint64_t *ret_value);

/* The number of edits between two words: insert, delete, change, swap neighbours. */
unsigned cli_distance(const char *a, const char *b);

/* ---- help (cli/cmd_help.c) --------------------------------------------------------
 */

/* "lockstep info [OPTION…] FILE" and all that --help prints. */
void cli_help_put(const struct cli_command *command, struct buf *buf);

/* ---- everything that is printed (cli/ui.c) ----------------------------------------
 */

void ui_init(struct cli *cli);

/* Flush stdout.  `status`, or CLI_UNKNOWN when anything written to stdout was lost. */
int ui_fini(struct cli *cli, int status);

/* One line on stderr: "lockstep info: …".  Control characters come out as \xNN. */
void ui_error(struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ui_error "subject: text of err"; for io with the system's own words.  Answers
 * CLI_UNKNOWN, so that a command can `return ui_fail(cli, err, path)`. */
int ui_fail(struct cli *cli, enum err err, const char *subject);

/* ui_error for a wrong command line; answers CLI_USAGE. */
int ui_usage(struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One line of talk on stderr: ui_note unless -q, ui_verbose only with -v. */
void ui_note(struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ui_verbose(struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The answer, on stdout: as printf; bytes as they are; bytes from outside with
 * everything but printable ASCII and, with `lines`, newlines as \xNN. */
void ui_out(struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ui_out_bytes(struct cli *cli, struct bytes bytes);
void ui_out_escaped(struct cli *cli, struct bytes bytes, bool lines);

/* Write what ui_out holds back, before a guest writes to the same stdout. */
void ui_flush(struct cli *cli);

enum ui_color { UI_PLAIN, UI_BOLD, UI_DIM, UI_RED, UI_GREEN, UI_YELLOW, UI_BLUE };

/* The escape sequence for stdout, "" where there is no colour. */
const char *ui_color(const struct cli *cli, enum ui_color color);

/* A progress line on a terminal's stderr, at most ten times a second; total 0: not
 * known.  The next thing printed wipes it. */
void ui_progress(struct cli *cli, const char *what, uint64_t done, uint64_t total);

/*
 * JSON: one object per line.  ui_json_begin opens an object whose first key is
 * "schema": "lockstep.VERB.1", ui_json_end prints it.  In between, keys in the order
 * of the calls; inside an array the key is NULL.  Text that is no UTF-8 has its bad
 * bytes replaced by U+FFFD; bytes are written as hex.
 */
void ui_json_begin(struct cli *cli);
void ui_json_end(struct cli *cli);
void ui_json_text(struct cli *cli, const char *key, const char *text);
void ui_json_text_bytes(struct cli *cli, const char *key, struct bytes text);
void ui_json_u64(struct cli *cli, const char *key, uint64_t value);
void ui_json_i64(struct cli *cli, const char *key, int64_t value);
void ui_json_double(struct cli *cli, const char *key, double value);
void ui_json_bool(struct cli *cli, const char *key, bool value);
void ui_json_null(struct cli *cli, const char *key);
void ui_json_hex(struct cli *cli, const char *key, struct bytes bytes);
void ui_json_object(struct cli *cli, const char *key); /* … ui_json_close */
void ui_json_array(struct cli *cli, const char *key);  /* … ui_json_close */
void ui_json_close(struct cli *cli);

#endif
