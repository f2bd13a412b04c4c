/* SPDX-License-Identifier: MIT
 *
 * `lockstep help`, and the texts that the tables of the commands turn into: --help,
 * manual pages, Markdown reference, bash completion.
 */
#include "cli/cli.h"

#include <string.h>

enum format { FORMAT_TEXT, FORMAT_MAN, FORMAT_MARKDOWN, FORMAT_BASH };
static const char *const format_words[] = {"text", "man", "markdown", "bash", NULL};

struct options {
    enum format format;
};

static const struct cli_option option[] = {
    CLI_WORD(struct options, format, "format", 0, format_words,
             "text to read, a manual page, Markdown, or bash completion"),
    CLI_END,
};

const struct cli_spec cli_spec_help = {
    .option = option,
    .options_size = sizeof(struct options),
    .positional = {{"VERB", 0, 1, "the command to describe; none: list all"}},
    .example = {{"lockstep help help", "describe this command"},
                {"lockstep help --format=bash >/etc/bash_completion.d/lockstep",
                 "install completion for bash"}},
    .exit_yes = "the help was printed",
};

/* ---- pieces --------------------------------------------------------------------- */

/* "--zstd=N", "--gas=a|b", "--log=a,b", "--keep=NAME", "--collapsed[=a|b]". */
static void put_option_name(const struct cli_option *o, struct buf *buf)
{
    bool bare = o->kind == CLI_KIND_CHOICE;
    buf_printf(buf, "--%s", o->name);
    if (o->words) {
        for (unsigned i = 0; o->words[i]; i++)
            buf_printf(buf, "%s%s",
                       i      ? (o->kind == CLI_KIND_WORDS ? "," : "|")
                       : bare ? "[="
                              : "=",
                       o->words[i]);
        buf_text(buf, bare ? "]" : "");
    } else if (o->argument) {
        buf_printf(buf, "=%s", o->argument);
    }
}

static void put_positional(const struct cli_positional *p, struct buf *buf)
{
    const char *many = p->max > 1 ? "…" : "";
    buf_printf(buf, p->min ? " %s%s" : " [%s%s]", p->name, many);
}

static void put_usage(const struct cli_command *command, struct buf *buf)
{
    const struct cli_spec *spec = command->spec;
    buf_printf(buf, "lockstep %s [OPTION…]", command->name);
    for (size_t i = 0; i < countof(spec->positional) && spec->positional[i].name; i++)
        put_positional(&spec->positional[i], buf);
}

/* A row's text as a sentence. */
static void put_sentence(const char *text, struct buf *buf)
{
    bool lower = text[0] >= 'a' && text[0] <= 'z';
    buf_byte(buf, (uint8_t)(lower ? text[0] - 'a' + 'A' : text[0]));
    buf_printf(buf, "%s.\n", text + 1);
}

/* What an exit status means for this command; NULL: it never answers so. */
static const char *exit_text(const struct cli_spec *spec, int status)
{
    switch (status) {
    case CLI_YES:
        return spec->exit_yes;
    case CLI_NO:
        return spec->exit_no;
    case CLI_UNKNOWN:
        return "could not tell: input or output failed, or a file is malformed";
    case CLI_USAGE:
        return "the command line makes no sense";
    default:
        return NULL;
    }
}
static const int exit_order[] = {CLI_YES, CLI_NO, CLI_UNKNOWN, CLI_USAGE};

typedef void option_fn(const struct cli_option *option, struct buf *buf);

/* The command's options, then the common ones that it takes. */
static void each_option(const struct cli_spec *spec, option_fn *fn, struct buf *buf)
{
    for (const struct cli_option *o = spec->option; o && o->name; o++)
        fn(o, buf);
    for (const struct cli_option *o = cli_common_option; o->name; o++) {
        if (strcmp(o->name, "json") != 0 || spec->prints_json)
            fn(o, buf);
    }
}

/* ---- text ---------------------------------------------------------------------------
 */

enum { TEXT_COLUMN = 28, TEXT_WIDTH = 88 };

static void put_columns(struct buf *buf, size_t start, const char *text)
{
    size_t width = buf->size - start;
    if (width + 2 > TEXT_COLUMN) {
        buf_byte(buf, '\n');
        width = 0;
    }
    buf_printf(buf, "%*s%s\n", (int)(TEXT_COLUMN - width), "", text);
}

/* Paragraphs, each line at most TEXT_WIDTH columns wide; newlines stay.  Lines behind
 * the first begin with `indent` spaces, and the first stands there already. */
static void put_wrapped(const char *text, size_t indent, struct buf *buf)
{
    size_t column = 0;
    while (*text) {
        size_t size = strcspn(text, " \n");
        size_t space = column ? 1 : 0;
        if (indent + column + space + size > TEXT_WIDTH && column) {
            buf_printf(buf, "\n%*s", (int)indent, "");
            column = space = 0;
        }
        buf_put(buf, " ", space);
        buf_put(buf, text, size);
        column += space + size;
        text += size;
        if (*text == '\n') {
            buf_printf(buf, "\n%*s", (int)indent, "");
            column = 0;
        }
        text += *text != 0;
    }
    buf_byte(buf, '\n');
}

/* "Not together: --raw with --zstd; …".  The caller ends `ret_text`. */
static void exclusions_text(const struct cli_spec *spec, struct buf *ret_text)
{
    buf_init(ret_text, 4096);
    for (size_t i = 0; i < countof(spec->exclude) && spec->exclude[i].one; i++) {
        const struct cli_exclusion *row = &spec->exclude[i];
        buf_printf(ret_text, "%s--%s with", i ? "; " : "Not together: ", row->one);
        for (const char *other = row->others; *other;) {
            size_t size = strcspn(other, " ");
            buf_printf(ret_text, "%s --%.*s", other == row->others ? "" : ",",
                       (int)size, other);
            other += size + (other[size] == ' ');
        }
    }
    buf_byte(ret_text, '.');
}

static void put_option_text(const struct cli_option *o, struct buf *buf)
{
    size_t start = buf->size;
    if (o->letter)
        buf_printf(buf, "  -%c, ", o->letter);
    else
        buf_text(buf, "      ");
    put_option_name(o, buf);
    put_columns(buf, start, o->text);
}

void cli_help_put(const struct cli_command *command, struct buf *buf)
{
    const struct cli_spec *spec = command->spec;
    buf_text(buf, "usage: ");
    put_usage(command, buf);
    buf_text(buf, "\n\n");
    put_sentence(command->text, buf);
    for (size_t i = 0; i < countof(spec->positional) && spec->positional[i].name; i++) {
        const struct cli_positional *p = &spec->positional[i];
        size_t start = buf->size + (i == 0);
        buf_printf(buf, "%s  %s", i ? "" : "\n", p->name);
        put_columns(buf, start, p->text);
    }
    buf_text(buf, "\noptions:\n");
    each_option(spec, put_option_text, buf);
    if (spec->exclude[0].one) {
        struct buf text;
        exclusions_text(spec, &text);
        buf_byte(buf, '\n');
        put_wrapped(buf_string(&text), 0, buf);
        buf_fini(&text);
    }
    if (spec->about) {
        buf_byte(buf, '\n');
        put_wrapped(spec->about, 0, buf);
    }
    buf_text(buf, "\nexamples:\n");
    for (size_t i = 0; i < countof(spec->example); i++)
        buf_printf(buf, "  %s\n      %s\n", spec->example[i].command,
                   spec->example[i].text);
    buf_text(buf, "\nexit status:\n");
    for (size_t i = 0; i < countof(exit_order); i++) {
        const char *text = exit_text(spec, exit_order[i]);
        if (text) {
            buf_printf(buf, "  %3d  ", exit_order[i]);
            put_wrapped(text, 7, buf);
        }
    }
    if (spec->exit_other) {
        buf_text(buf, "       ");
        put_wrapped(spec->exit_other, 7, buf);
    }
}

static void put_list_text(struct buf *buf)
{
    buf_text(buf, "usage: lockstep COMMAND [OPTION…] [ARGUMENT…]\n"
                  "       lockstep --version\n\n"
                  "Record runs of guest programs, replay them, compare them.\n");
    for (unsigned group = 0; group < CLI_GROUP_COUNT; group++) {
        bool titled = false;
        for (size_t i = 0; i < cli_command_count; i++) {
            if (cli_command[i].group != group)
                continue;
            if (!titled)
                buf_printf(buf, "\n%s:\n", cli_group_title((enum cli_group)group));
            titled = true;
            buf_printf(buf, "  %-10s %s\n", cli_command[i].name, cli_command[i].text);
        }
    }
    buf_text(buf, "\n'lockstep help COMMAND' tells more about one of them.\n");
}

/* ---- manual pages (man 7 man) -------------------------------------------------------
 */

/* Text into roff: a line must not start with a dot, dashes stay ASCII. */
static void put_roff(struct buf *buf, const char *text)
{
    bool line_start = true;
    for (const char *s = text; *s; s++) {
        if (line_start && (*s == '.' || *s == '\''))
            buf_text(buf, "\\&");
        if (*s == '\\')
            buf_text(buf, "\\e");
        else if (*s == '-')
            buf_text(buf, "\\-");
        else if ((uint8_t)*s == 0xe2 && strncmp(s, "…", 3) == 0) {
            buf_text(buf, "...");
            s += 2;
        } else
            buf_byte(buf, (uint8_t)*s);
        line_start = *s == '\n';
    }
}

static void put_option_man(const struct cli_option *o, struct buf *buf)
{
    struct buf name;
    buf_init(&name, 1024);
    if (o->letter)
        buf_printf(&name, "-%c, ", o->letter);
    put_option_name(o, &name);
    buf_text(buf, ".TP\n.B ");
    put_roff(buf, buf_string(&name));
    buf_byte(buf, '\n');
    put_roff(buf, o->text);
    buf_text(buf, ".\n");
    buf_fini(&name);
}

static void put_man(const struct cli_command *command, struct buf *buf)
{
    const struct cli_spec *spec = command->spec;
    struct buf usage;
    buf_init(&usage, 4096);
    put_usage(command, &usage);
    buf_printf(buf, ".TH LOCKSTEP-%s 1\n.SH NAME\nlockstep\\-%s \\- ", command->name,
               command->name);
    put_roff(buf, command->text);
    buf_text(buf, "\n.SH SYNOPSIS\n");
    put_roff(buf, buf_string(&usage));
    buf_fini(&usage);
    buf_text(buf, "\n.SH DESCRIPTION\n");
    put_sentence(command->text, buf);
    for (size_t i = 0; i < countof(spec->positional) && spec->positional[i].name; i++) {
        buf_printf(buf, ".TP\n.I %s\n", spec->positional[i].name);
        put_roff(buf, spec->positional[i].text);
        buf_text(buf, ".\n");
    }
    if (spec->about) {
        buf_text(buf, ".PP\n");
        put_roff(buf, spec->about);
        buf_byte(buf, '\n');
    }
    buf_text(buf, ".SH OPTIONS\n");
    each_option(spec, put_option_man, buf);
    if (spec->exclude[0].one) {
        struct buf text;
        exclusions_text(spec, &text);
        buf_text(buf, ".PP\n");
        put_roff(buf, buf_string(&text));
        buf_byte(buf, '\n');
        buf_fini(&text);
    }
    buf_text(buf, ".SH EXAMPLES\n");
    for (size_t i = 0; i < countof(spec->example); i++) {
        buf_text(buf, ".TP\n.B ");
        put_roff(buf, spec->example[i].command);
        buf_byte(buf, '\n');
        put_roff(buf, spec->example[i].text);
        buf_text(buf, ".\n");
    }
    buf_text(buf, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < countof(exit_order); i++) {
        const char *text = exit_text(spec, exit_order[i]);
        if (text) {
            buf_printf(buf, ".TP\n.B %d\n", exit_order[i]);
            put_roff(buf, text);
            buf_text(buf, ".\n");
        }
    }
    if (spec->exit_other) {
        buf_text(buf, ".PP\n");
        put_roff(buf, spec->exit_other);
        buf_text(buf, ".\n");
    }
}

static void put_list_man(struct buf *buf)
{
    buf_text(buf,
             ".TH LOCKSTEP 1\n.SH NAME\nlockstep \\- record runs of guest programs, "
             "replay them, compare them\n.SH SYNOPSIS\nlockstep COMMAND [OPTION...] "
             "[ARGUMENT...]\n.SH COMMANDS\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        buf_printf(buf, ".TP\n.BR lockstep\\-%s (1)\n", cli_command[i].name);
        put_roff(buf, cli_command[i].text);
        buf_text(buf, ".\n");
    }
}

/* ---- Markdown
 * ------------------------------------------------------------------------- */

static void put_markdown(const struct cli_command *command, struct buf *buf)
{
    buf_printf(buf, "\n## %s\n\n```text\n", command->name);
    cli_help_put(command, buf);
    buf_text(buf, "```\n");
}

static void put_list_markdown(struct buf *buf)
{
    buf_text(buf, "# Commands\n\nGenerated by `lockstep help --format=markdown` from "
                  "cli/commands.def and the option\ntables in cli/cmd_*.c; do not "
                  "edit.\n\n| command | does |\n|---|---|\n");
    for (size_t i = 0; i < cli_command_count; i++)
        buf_printf(buf, "| [%s](#%s) | %s |\n", cli_command[i].name,
                   cli_command[i].name, cli_command[i].text);
    for (size_t i = 0; i < cli_command_count; i++)
        put_markdown(&cli_command[i], buf);
}

/* ---- bash completion
 * ------------------------------------------------------------------- */

static void put_option_bash(const struct cli_option *o, struct buf *buf)
{
    if (o->words) {
        for (unsigned i = 0; o->words[i]; i++)
            buf_printf(buf, " --%s=%s", o->name, o->words[i]);
        if (o->kind == CLI_KIND_CHOICE)
            buf_printf(buf, " --%s", o->name);
    } else {
        buf_printf(buf, " --%s%s", o->name, o->kind == CLI_KIND_FLAG ? "" : "=");
    }
    if (o->letter)
        buf_printf(buf, " -%c", o->letter);
}

static void put_bash(struct buf *buf)
{
    buf_text(buf, "# bash completion for lockstep; generated by "
                  "'lockstep help --format=bash'.\n"
                  "_lockstep()\n{\n"
                  "    local word=$2 words=\n"
                  "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words='");
    for (size_t i = 0; i < cli_command_count; i++)
        buf_printf(buf, "%s ", cli_command[i].name);
    buf_text(buf, "--version --help'\n    else\n        case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        buf_printf(buf, "        %s) words='", cli_command[i].name);
        each_option(cli_command[i].spec, put_option_bash, buf);
        buf_text(buf, "' ;;\n");
    }
    buf_text(buf, "        esac\n    fi\n"
                  "    COMPREPLY=()\n"
                  "    case $COMP_CWORD,$word in\n"
                  "    1,*|*,-*) COMPREPLY=($(compgen -W \"$words\" -- \"$word\")) ;;\n"
                  "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
                  "    esac\n"
                  "}\ncomplete -o filenames -F _lockstep lockstep\n");
}

/* ---- the command
 * ------------------------------------------------------------------------ */

static void put_one(const struct cli_command *command, enum format format,
                    struct buf *buf)
{
    switch (format) {
    case FORMAT_TEXT:
        cli_help_put(command, buf);
        break;
    case FORMAT_MAN:
        put_man(command, buf);
        break;
    case FORMAT_MARKDOWN:
        put_markdown(command, buf);
        break;
    case FORMAT_BASH:
        put_bash(buf);
        break;
    }
}

static void put_all(enum format format, struct buf *buf)
{
    switch (format) {
    case FORMAT_TEXT:
        put_list_text(buf);
        break;
    case FORMAT_MAN:
        put_list_man(buf);
        break;
    case FORMAT_MARKDOWN:
        put_list_markdown(buf);
        break;
    case FORMAT_BASH:
        put_bash(buf);
        break;
    }
}

int cmd_help(struct cli *cli, int argc, char **argv)
{
    const struct options *options = cli->options;
    const struct cli_command *command = argc ? cli_command_find(argv[0]) : NULL;
    if (argc && !command) {
        const char *nearest = cli_command_nearest(argv[0]);
        return ui_usage(cli,
                        nearest ? "unknown command '%s'; did you mean '%s'?"
                                : "unknown command '%s'%s",
                        argv[0], nearest ? nearest : "");
    }
    struct buf text;
    buf_init(&text, 1 << 22);
    if (command)
        put_one(command, options->format, &text);
    else
        put_all(options->format, &text);
    check(!text.err);
    ui_out_bytes(cli, buf_bytes(&text));
    buf_fini(&text);
    return CLI_YES;
}
