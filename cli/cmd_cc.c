/* SPDX-License-Identifier: MIT
 *
 * lockstep cc: C sources to a PVM program, by clang-19 and our linker
 * (guest-toolchain.md 1 and 10).
 */
#include "cli/cmd_link.h"

#include "base/os.h"

#include <string.h>

enum { FLAG_COUNT_MAX = 4096, PATH_SIZE_MAX = 1 << 12 };

struct options {
    struct cli_link link;
    const char *compiler, *library, *level;
    struct cli_list flags;
};

_Static_assert(offsetof(struct options, link) == 0,
               "the options of linking are the same in both commands");

static const struct cli_option option[] = {
    CLI_LINK_OPTIONS(struct cli_link),
    CLI_STRING(struct options, level, "optimize", 'O', "LEVEL",
               "0, 1, 2, 3, s or z (default 2)"),
    CLI_LIST(struct options, flags, "flag", 'X', "FLAG", "one more flag for clang"),
    CLI_STRING(struct options, library, "lib", 0, "FOLDER",
               "where pvm.h and pvm.c are (default corpus/pvm/lib)"),
    CLI_STRING(struct options, compiler, "cc", 0, "NAME",
               "the compiler (default clang-19)"),
    CLI_END,
};
static const struct options defaults = {
    .link = CLI_LINK_DEFAULTS,
    .compiler = "clang-19",
    .library = "corpus/pvm/lib",
    .level = "2",
};

const struct cli_spec cli_spec_cc = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"FILE", 1, CLI_MANY, "a C source, or an object (*.o)"}},
    .example = {{"lockstep cc -f spi -o fib.pvm corpus/pvm/src/fib.c",
                 "compile and link a program"},
                {"lockstep cc -g -O1 --flag=-DN=3 -o x.pvm x.c y.c",
                 "with debug information and a macro"}},
    .exclude = {{"image", "format"}},
    .about =
        "Compiles each source with clang-19 and the flags of docs/guest-c.md, and "
        "links the objects with the guest library.  Objects are written beside the "
        "output and removed again.",
    .exit_yes = "the program was written",
    .exit_other = "2 when a source or an object has problems, which are on stderr",
};

/* ---- compiling ----------------------------------------------------------------------
 */

struct command {
    const char *argv[FLAG_COUNT_MAX + 1];
    size_t count;
};

static void add(struct command *command, const char *flag)
{
    if (command->count < FLAG_COUNT_MAX)
        command->argv[command->count++] = flag;
}

/* A formatted string in the arena of the call; NULL without memory. */
static char *keep_text(struct cli *cli, struct buf *text)
{
    char *copy = text->err ? NULL : arena_copy(&cli->arena, text->data, text->size + 1);
    buf_clear(text);
    return copy;
}

/* "-Iprefix" and the like: prefix and text in one word. */
static const char *joined(struct cli *cli, const char *prefix, const char *text)
{
    struct buf buf;
    buf_init(&buf, PATH_SIZE_MAX);
    buf_printf(&buf, "%s%s", prefix, text);
    const char *word = keep_text(cli, &buf);
    buf_fini(&buf);
    return word;
}

static void add_flags(struct cli *cli, const struct options *options,
                      struct command *command)
{
    static const char *const flag[] = {
        "--target=riscv64-unknown-none-elf",
        "-march=rv64em_zbb_xtheadcondmov",
        "-mabi=lp64e",
        "-mcmodel=medlow",
        "-fno-pic",
        "-mno-strict-align",
        "-ffunction-sections",
        "-fdata-sections",
        "-fno-asynchronous-unwind-tables",
        "-fno-ident",
        "-fno-addrsig",
        "-ffile-compilation-dir=.",
        "-nostdlibinc",
    };
    add(command, options->compiler);
    for (size_t i = 0; i < countof(flag); i++)
        add(command, flag[i]);
    add(command, joined(cli, "-O", options->level));
    add(command, "-I");
    add(command, options->library);
    if (options->link.debug) {
        add(command, "-g");
        add(command, "-gdwarf-4");
    }
    for (size_t i = 0; i < options->flags.count; i++)
        add(command, options->flags.item[i]);
}

static int compile(struct cli *cli, const struct options *options, const char *source,
                   const char *object, bool library)
{
    struct command command = {.count = 0};
    int status = 0;
    add_flags(cli, options, &command);
    if (library) { /* or its memcpy would call memcpy; the warning is what it is for */
        add(&command, "-ffreestanding");
        add(&command, "-fno-builtin");
        add(&command, "-Wno-atomic-alignment");
    }
    add(&command, "-c");
    add(&command, source);
    add(&command, "-o");
    add(&command, object);
    for (size_t i = 0; i < command.count; i++) {
        if (!command.argv[i])
            return ui_fail(cli, ERR_nomem, "cc");
    }
    if (command.count == FLAG_COUNT_MAX)
        return ui_usage(cli, "more than %d flags", FLAG_COUNT_MAX);
    enum err err = os_run(command.argv, &status);
    if (err == ERR_not_found) {
        ui_error(cli, "%s is not installed (Debian: apt install clang-19)",
                 options->compiler);
        return CLI_UNKNOWN;
    }
    if (err)
        return ui_fail(cli, err, options->compiler);
    return status ? CLI_PROBLEMS : CLI_YES;
}

static bool is_object(const char *path)
{
    size_t size = strlen(path);
    return size > 2 && strcmp(path + size - 2, ".o") == 0;
}

static char *object_name(struct cli *cli, const struct options *options, size_t index)
{
    struct buf buf;
    buf_init(&buf, PATH_SIZE_MAX);
    buf_printf(&buf, "%s.cc%zu.o", options->link.output, index);
    char *name = keep_text(cli, &buf);
    buf_fini(&buf);
    return name;
}

int cmd_cc(struct cli *cli, int argc, char **argv)
{
    const struct options *options = cli->options;
    size_t count = (size_t)argc + 1; /* the library comes last */
    char **object = arena_new_array(&cli->arena, char *, count);
    const char *library = joined(cli, options->library, "/pvm.c");
    int status = CLI_YES;
    if (!object || !library)
        return ui_fail(cli, ERR_nomem, "cc");
    size_t made = 0;
    for (; status == CLI_YES && made < count; made++) {
        const char *source = made < count - 1 ? argv[made] : library;
        object[made] = is_object(source) ? argv[made] : object_name(cli, options, made);
        if (!object[made])
            status = ui_fail(cli, ERR_nomem, "cc");
        else if (!is_object(source))
            status = compile(cli, options, source, object[made], made == count - 1);
    }
    if (status == CLI_YES)
        status = cli_link_files(cli, &options->link, count, object);
    for (size_t i = 0; i < made; i++) {
        const char *source = i < count - 1 ? argv[i] : library;
        enum err err = object[i] && !is_object(source) ? os_unlink(object[i]) : ERR_ok;
        if (err && err != ERR_not_found) /* not made: its source has problems */
            (void)ui_fail(cli, err, object[i]);
    }
    return status;
}
