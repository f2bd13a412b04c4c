/* SPDX-License-Identifier: MIT
 *
 * upcase - a filter: stdin to stdout in capitals.
 *
 *   upcase [-l | -t] [-n]
 *
 * -l small letters instead; -t a capital at the start of each word, small ones behind;
 * -n with line numbers.  Only the letters of ASCII are changed.
 */
#include "host.h"

enum style { UPPER, LOWER, TITLE };

static struct host_in in = {.fd = HOST_STDIN};
static struct host_out out = {.fd = HOST_STDOUT};

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static uint8_t restyle(int c, enum style style, bool in_word)
{
    if (!is_letter(c))
        return (uint8_t)c;
    bool capital = style == UPPER || (style == TITLE && !in_word);
    return (uint8_t)(capital ? c & ~0x20 : c | 0x20);
}

static void filter(enum style style, bool number)
{
    uint64_t line = 0;
    bool in_word = false, at_start = true;
    for (int c = host_get(&in); c >= 0; c = host_get(&in)) {
        if (at_start && number) {
            host_put_number(&out, ++line, 6);
            host_put_text(&out, "  ");
        }
        host_put_byte(&out, restyle(c, style, in_word));
        /* An apostrophe and the bytes of other letters do not end a word. */
        in_word = is_letter(c) || (in_word && (c == '\'' || c >= 0x80));
        at_start = c == '\n';
    }
}

uint64_t main_(void)
{
    char buffer[256];
    struct pvm_bytes args = host_load_args("upcase", buffer, sizeof buffer);
    enum style style = UPPER;
    bool number = false;
    for (const char *arg; (arg = pvm_args(&args)) != NULL;) {
        if (host_same(arg, "-l")) {
            style = LOWER;
        } else if (host_same(arg, "-t")) {
            style = TITLE;
        } else if (host_same(arg, "-n")) {
            number = true;
        } else {
            host_complain("upcase", arg, "unknown argument; try -l, -t, -n");
            host_exit(2);
        }
    }
    filter(style, number);
    host_flush(&out);
    if (in.error != 0 || out.error != 0) {
        host_complain("upcase", NULL,
                      host_error_text(in.error != 0 ? in.error : out.error));
        host_exit(1);
    }
    return 0;
}

PVM_EXPORT(0, main_);
