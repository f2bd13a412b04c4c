/* SPDX-License-Identifier: MIT */
#include "cli/command_line.h"

#include <inttypes.h>
#include <string.h>

static const char plain[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=,./:@%";

/* Between single quotes a shell leaves all alone but the quote. */
static void put_quoted(const char *text, struct buf *buf)
{
    if (*text && text[strspn(text, plain)] == 0) {
        buf_printf(buf, "%s", text);
        return;
    }
    buf_printf(buf, "'");
    for (; *text; text++) {
        if (*text == '\'')
            buf_printf(buf, "'\\''");
        else
            buf_put(buf, text, 1);
    }
    buf_printf(buf, "'");
}

void cli_command_put_word(const char *word, struct buf *buf)
{
    buf_printf(buf, " ");
    put_quoted(word, buf);
}

static void put_string(const char *name, const char *value, struct buf *buf)
{
    buf_printf(buf, " --%s=", name);
    put_quoted(value, buf);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void put_words(const struct cli_option *option, uint32_t bits, struct buf *buf)
{
    const char *comma = "";
    buf_printf(buf, " --%s=", option->name);
    for (unsigned i = 0; option->words[i]; i++) {
        if (!(bits >> i & 1))
            continue;
        buf_printf(buf, "%s%s", comma, option->words[i]);
        comma = ",";
    }
}

/* `value` and `usual` point to the member in the options and in the defaults. */
static void put_option(const struct cli_option *option, const void *value,
                       const void *usual, struct buf *buf)
{
    uint64_t number[2];
    uint32_t index[2];
    const char *text[2];
    struct cli_list list;
    switch (option->kind) {
    case CLI_KIND_FLAG:
        if (*(const bool *)value)
            buf_printf(buf, " --%s", option->name);
        break;
    case CLI_KIND_STRING:
        memcpy(&text[0], value, sizeof text[0]);
        memcpy(&text[1], usual, sizeof text[1]);
        if (text[0] && !same_text(text[0], text[1]))
            put_string(option->name, text[0], buf);
        break;
    case CLI_KIND_U64:
    case CLI_KIND_SIZE:
        memcpy(&number[0], value, sizeof number[0]);
        memcpy(&number[1], usual, sizeof number[1]);
        if (number[0] != number[1])
            buf_printf(buf, " --%s=%" PRIu64, option->name, number[0]);
        break;
    case CLI_KIND_WORD:
    case CLI_KIND_WORDS:
    case CLI_KIND_CHOICE:
        memcpy(&index[0], value, sizeof index[0]);
        memcpy(&index[1], usual, sizeof index[1]);
        if (index[0] == index[1])
            break;
        if (option->kind == CLI_KIND_WORDS)
            put_words(option, index[0], buf);
        else
            buf_printf(buf, " --%s=%s", option->name,
                       option->words[index[0] - (option->kind == CLI_KIND_CHOICE)]);
        break;
    case CLI_KIND_LIST:
        memcpy(&list, value, sizeof list);
        for (size_t i = 0; i < list.count; i++)
            put_string(option->name, list.item[i], buf);
        break;
    }
}

void cli_command_put(const struct cli_command *command, const void *options,
                     struct buf *buf)
{
    static const uint64_t zero[2];
    const struct cli_spec *spec = command->spec;
    buf_printf(buf, "lockstep %s", command->name);
    for (const struct cli_option *option = spec->option; option && option->name;
         option++) {
        const char *usual =
            spec->defaults ? (const char *)spec->defaults + option->offset : NULL;
        put_option(option, (const char *)options + option->offset,
                   usual ? (const void *)usual : zero, buf);
    }
}
