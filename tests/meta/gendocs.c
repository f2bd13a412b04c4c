/* SPDX-License-Identifier: MIT
 *
 * gendocs NAME: print docs/reference/NAME.md from the .def file of the subject.
 * tests/meta/docs.sh compares, or writes the files with --bless.
 */
#include <stdio.h>
#include <string.h>

/* Text for a table cell. */
static void cell(const char *text)
{
    for (const char *s = text; *s; s++) {
        if (*s == '|')
            fputs("\\|", stdout);
        else if (*s == '<')
            fputs("&lt;", stdout);
        else
            putchar(*s);
    }
}

static void row(const char *const *column, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fputs("| ", stdout);
        cell(column[i]);
        putchar(' ');
    }
    puts("|");
}

/* "A | B" of flags as "A, B"; "0" as nothing. */
static const char *flags_text(const char *flags)
{
    static char text[200];
    size_t size = 0;
    if (strcmp(flags, "0") == 0)
        return "";
    for (const char *s = flags; *s && size < sizeof text - 1; s++) {
        if (*s == '|')
            size--, text[size++] = ',';
        else
            text[size++] = *s;
    }
    text[size] = 0;
    return text;
}

static void head(const char *title, const char *source)
{
    printf("# %s\n\nGenerated from %s by tests/meta/gendocs.c; do not edit.\n\n", title,
           source);
}

static void print_opcodes(void)
{
    head("PVM opcodes", "pvm/opcodes.def");
    puts(
        "Formats name the operands in order: A, B, D registers, X, Y immediates, X64 "
        "a full\n64-bit immediate, T a jump target relative to the instruction.  "
        "Flags: "
        "T ends a block,\nTJ ends a block in JAVM only, JAVM exists in JAVM only, LOAD "
        "and STORE touch memory,\nCOND branches on a condition, JUMP jumps, DYN jumps "
        "through the table, CALL leaves to\nthe host, SINK ends the run.\n");
    puts("| code | name | format | flags | effect |\n|---:|---|---|---|---|");
#define OP(code, name, format, flags, text)                                            \
    {                                                                                  \
        char number[16];                                                               \
        (void)snprintf(number, sizeof number, "%d", code);                             \
        row((const char *[]){number, #name, #format, flags_text(#flags), text}, 5);    \
    }
#include "pvm/opcodes.def"
}

static void print_hostcalls(void)
{
    head("Host calls", "pvm/hostcalls.def");
    puts(
        "What `lockstep run` and `lockstep record` serve to a plain PVM program.  "
        "Arguments are\nin a0..a3, the answer is in a0; a failed call answers minus an "
        "error number.\n");
    puts("| ecalli | call | does |\n|---:|---|---|");
#define HOSTCALL(number, name, signature, text)                                        \
    {                                                                                  \
        char digits[16];                                                               \
        (void)snprintf(digits, sizeof digits, "%d", number);                           \
        row((const char *[]){digits, signature, text}, 3);                             \
    }
#include "pvm/hostcalls.def"
    puts("\n## Errors\n\n| answer | name | meaning |\n|---:|---|---|");
#define HOSTERR(number, name, text)                                                    \
    {                                                                                  \
        char digits[16];                                                               \
        (void)snprintf(digits, sizeof digits, "-%d", number);                          \
        row((const char *[]){digits, #name, text}, 3);                                 \
    }
#include "pvm/hostcalls.def"
}

static void print_errors(void)
{
    head("Errors", "base/err.def");
    puts("A command that meets one of these ends with status 125 and one line on "
         "stderr.\n\n| name | message |\n|---|---|");
#define ERR(name, text) row((const char *[]){#name, text}, 2);
#include "base/err.def"
}

static const char *role_text(const char *role)
{
    switch (role[0]) {
    case 'I':
        return "input";
    case 'O':
        return "output";
    case 'X':
        return "input if from outside, else output";
    default:
        return "";
    }
}

static void print_events(void)
{
    head("Trace events", "trace/events.def");
    puts("A record is `[id, dt, dx, field, ...]` (docs/format-trace.md).  "
         "Types: "
         "u and i\nintegers, b bytes, w bytes stored once, h blake2b-256 or none, d "
         "64-bit digest, s text;\n`X[]` is a list of tuples with these types.  Role: "
         "replay takes inputs from the trace\nand compares outputs.");
#define EVENT(id, name, wire, guests, text)                                            \
    printf("\n## %d %s\n\n%s (`%s`)\n\n| type | field | role | meaning |\n"            \
           "|---|---|---|---|\n",                                                      \
           id, wire, text, #guests);
#define FIELD(type, name, role, show, text)                                            \
    row((const char *[]){#type, #name, role_text(#role), text}, 4);
#define LIST(letters, name, role, show, text)                                          \
    row((const char *[]){#letters "[]", #name, role_text(#role), text}, 4);
#include "trace/events.def"
}

/* "u64 node", "u32 nlink (F1)".  Static storage. */
static const char *field_text(const char *type, const char *member, const char *feature)
{
    static char text[100];
    if (strcmp(feature, "0") == 0)
        (void)snprintf(text, sizeof text, "%s %s", type, member);
    else
        (void)snprintf(text, sizeof text, "%s %s (%.2s)", type, member,
                       feature + strlen("V86FS_"));
    return text;
}

#define MSG(code, name, op, rule)                                                      \
    static void print_v86fs_reply_##name(void)                                         \
    {                                                                                  \
        const char *comma = "";
#define REP(type, member, feature)                                                     \
    printf("%s%s", comma, field_text(#type, #member, #feature)), comma = ", ";
#define TAIL(kind) printf("%s" #kind, comma);
#define END(name)                                                                      \
    (void)comma;                                                                       \
    puts(" |");                                                                        \
    }
#include "v86fs/messages.def"

static void print_v86fs(void)
{
    head("v86fs messages", "v86fs/messages.def");
    puts("A frame is u32 length, u8 type, u16 tag, then the fields in this order, "
         "little-endian\nand packed (docs/v86fs.md).  A reply has type + 0x80 and u32 "
         "status first; a name or\ntarget is a u16 count and bytes.  F0 and so on: "
         "only where this extension is negotiated.\n\n"
         "| type | message | request | reply |\n|---:|---|---|---|");
#define MSG(code, name, op, rule)                                                      \
    {                                                                                  \
        const char *comma = "";                                                        \
        printf("| %02x | " #name " | ", code);
#define REQ(type, member, feature)                                                     \
    printf("%s%s", comma, field_text(#type, #member, #feature)), comma = ", ";
#define NAME(member, empty, dots)                                                      \
    printf("%s%s", comma, field_text("name", #member, "0")), comma = ", ";
#define END(name)                                                                      \
    (void)comma;                                                                       \
    fputs(" | ", stdout);                                                              \
    print_v86fs_reply_##name();                                                        \
    }
#include "v86fs/messages.def"
    puts("\n## Notifications\n\n| type | name |\n|---:|---|");
#define NOTE(code, name) printf("| %02x | " #name " |\n", code);
#include "v86fs/messages.def"
    puts("\n## What a tree can be asked\n\n| call | changes | does |\n|---|---|---|");
#define OP(name, changes, text)                                                        \
    row((const char *[]){#name, changes ? "yes" : "", text}, 3);
#include "v86fs/ops.def"
}

static void print_i386(void)
{
    head("i386 instructions", "emu/i386.def");
    puts("What the processor of the pc guest executes, in the notation of that file.  "
         "Undefined\nare flags that the manual leaves open and the machine defines.\n");
    puts("| code | digit | name | operands | writes | undefined | traits |\n"
         "|---:|---|---|---|---|---|---|");
#define INSN_ROW(code, digit, name, a, b, c, written, undefined, traits)               \
    {                                                                                  \
        char number[16];                                                               \
        (void)snprintf(number, sizeof number, "%02x", code);                           \
        row((const char *[]){number, digit, #name, #a " " #b " " #c, written,          \
                             undefined, flags_text(#traits)},                          \
            7);                                                                        \
    }
#define INSN(code, name, form, a, b, c, written, undefined, traits)                    \
    INSN_ROW(code, "", name, a, b, c, written, undefined, traits)
#define INSN_GROUP(code, digit, name, form, a, b, c, written, undefined, traits)       \
    INSN_ROW(code, #digit, name, a, b, c, written, undefined, traits)
#include "emu/i386.def"
}

static const struct {
    const char *name;
    void (*print)(void);
} document[] = {
    {"opcodes", print_opcodes}, {"hostcalls", print_hostcalls},
    {"errors", print_errors},   {"events", print_events},
    {"v86fs", print_v86fs},     {"i386", print_i386},
};
enum { DOCUMENT_COUNT = sizeof document / sizeof document[0] };

int main(int argc, char **argv)
{
    for (unsigned i = 0; i < DOCUMENT_COUNT; i++) {
        if (argc == 1) {
            puts(document[i].name);
        } else if (argc == 2 && strcmp(argv[1], document[i].name) == 0) {
            document[i].print();
            return ferror(stdout) || fflush(stdout) ? 1 : 0;
        }
    }
    if (argc == 1)
        return 0;
    fprintf(stderr, "usage: gendocs [NAME]; without a name: list the names\n");
    return 2;
}
