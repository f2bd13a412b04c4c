/* SPDX-License-Identifier: MIT
 *
 * lockstep link: RISC-V objects to a PVM program (guest-toolchain.md chapter 10).
 */
#include "cli/cmd_link.h"

#include "base/os.h"

#include <string.h>

enum {
    OBJECT_SIZE_MAX = 1 << 28,
    EXPORT_NUMBER_MAX = LINK_EXPORT_COUNT_MAX - 1,
};
#define WORK_SIZE_MAX ((size_t)1 << 32)

const char *const cli_link_format_word[] = {"raw", "spi", "polkavm", "image", NULL};
const char *const cli_link_profile_word[] = {"vectors", "javm", NULL};

static const struct cli_option option[] = {CLI_LINK_OPTIONS(struct cli_link), CLI_END};

static const struct cli_link defaults = CLI_LINK_DEFAULTS;

const struct cli_spec cli_spec_link = {
    .option = option,
    .options_size = sizeof(struct cli_link),
    .defaults = &defaults,
    .positional = {{"FILE", 1, CLI_MANY,
                    "an object of clang-19 -c; see docs/guest-c.md"}},
    .example = {{"lockstep link -f spi -o fib.pvm corpus/pvm/obj/fib.o "
                 "corpus/pvm/obj/pvm.o",
                 "make a standard program"},
                {"lockstep link --map fib.map corpus/pvm/obj/fib.o",
                 "make a raw program, and see where everything went"}},
    .exclude = {{"image", "format"}},
    .about = "Objects are built for rv64em_zbb_xtheadcondmov, lp64e; docs/guest-c.md "
             "has the command line.  Exports come from PVM_EXPORT and --export; what "
             "they do not reach is dropped.  Export N is entered at pc 5 * N.",
    .exit_yes = "the program was written",
    .exit_other = "2 when the input has problems; each is one line on stderr",
};

/* ---- input ------------------------------------------------------------------------
 */

/* "NAME" or "NAME=N". */
static bool parse_export(struct cli *cli, const char *text,
                         struct link_export *ret_export)
{
    const char *equals = strchr(text, '=');
    size_t size = equals ? (size_t)(equals - text) : strlen(text);
    uint64_t number = 0;
    if (equals && (!cli_number(equals + 1, &number) || number > EXPORT_NUMBER_MAX)) {
        (void)ui_usage(cli, "--export takes NAME or NAME=0..%d, not '%s'",
                       EXPORT_NUMBER_MAX, text);
        return false;
    }
    char *name = arena_alloc(&cli->arena, size + 1, 1);
    if (!name || !size) {
        (void)ui_usage(cli, "--export takes NAME or NAME=N, not '%s'", text);
        return false;
    }
    memcpy(name, text, size);
    ret_export->name = name;
    ret_export->number = equals ? (int32_t)number : -1;
    return true;
}

static enum err read_files(struct cli *cli, size_t count, char **path, struct buf *file,
                           struct link_input *input)
{
    for (size_t i = 0; i < count; i++) {
        buf_init(&file[i], OBJECT_SIZE_MAX);
        enum err err = os_file_read(path[i], &file[i]);
        if (err) {
            (void)ui_fail(cli, err, path[i]);
            return err;
        }
        input[i] = (struct link_input){.name = path[i], .content = buf_bytes(&file[i])};
    }
    return ERR_ok;
}

/* ---- output ------------------------------------------------------------------------
 */

static int write_file(struct cli *cli, const char *path, struct bytes content)
{
    enum err err = os_file_write(path, content);
    return err ? ui_fail(cli, err, path) : CLI_YES;
}

static int write_results(struct cli *cli, const struct cli_link *options,
                         const struct link_result *result)
{
    int status = write_file(cli, options->output, result->output);
    if (status == CLI_YES && options->map)
        status = write_file(cli, options->map, result->map);
    if (status == CLI_YES && options->json)
        status = write_file(cli, options->json, result->json);
    if (status == CLI_YES && options->debug) {
        struct buf path;
        buf_init(&path, 1 << 16);
        buf_printf(&path, "%s.dbg", options->output);
        status = path.err ? ui_fail(cli, path.err, options->output)
                          : write_file(cli, buf_string(&path), result->debug);
        buf_fini(&path);
    }
    if (status == CLI_YES)
        ui_verbose(cli, "%s: %zu bytes, code %zu, %u jump-table entries",
                   options->output, result->output.size, result->code.code.size,
                   (unsigned)result->code.jump_count);
    return status;
}

static int report(struct cli *cli, enum err err, const struct link_problems *problems)
{
    for (uint32_t i = 0; i < problems->count; i++)
        ui_error(cli, "%s", problems->list[i].text);
    if (err == ERR_usage || err == ERR_unsupported)
        return CLI_USAGE;
    if (!problems->count)
        return ui_fail(cli, err, "link");
    if (problems->count == LINK_PROBLEM_COUNT_MAX)
        ui_error(cli, "stopped after %d problems", LINK_PROBLEM_COUNT_MAX);
    return CLI_PROBLEMS;
}

static int link_inputs(struct cli *cli, const struct cli_link *options,
                       const struct link_input *input, size_t input_count)
{
    struct link_options link;
    struct link_problems problems;
    struct link_result result;
    struct arena arena;
    link_options_init(&link);
    link.format = options->image ? LINK_FORMAT_IMAGE : options->format;
    link.profile = options->profile;
    link.stack_size = options->stack_size;
    link.heap_size = options->heap_size;
    link.ro_slot = (uint32_t)options->ro_slot;
    link.rw_slot = (uint32_t)options->rw_slot;
    if (options->yield_slot != CLI_LINK_NO_SLOT)
        link.yield_slot = (int32_t)options->yield_slot;
    link.map = options->map;
    link.json = options->json;
    link.debug = options->debug;
    link.keep_list = options->keep.item;
    link.keep_count = (uint32_t)options->keep.count;
    struct link_export *list =
        arena_new_array(&cli->arena, struct link_export, options->exports.count + 1);
    if (!list)
        return ui_fail(cli, ERR_nomem, "link");
    for (size_t i = 0; i < options->exports.count; i++) {
        if (!parse_export(cli, options->exports.item[i], &list[i]))
            return CLI_USAGE;
    }
    link.export_list = list;
    link.export_count = (uint32_t)options->exports.count;
    arena_init(&arena, WORK_SIZE_MAX);
    enum err err = link_objects(&arena, input, input_count, &link, &problems, &result);
    for (uint32_t i = 0; i < problems.warning_count; i++)
        ui_note(cli, "%s", problems.warning_list[i].text);
    int status =
        err ? report(cli, err, &problems) : write_results(cli, options, &result);
    arena_fini(&arena);
    return status;
}

int cli_link_files(struct cli *cli, const struct cli_link *options, size_t count,
                   char **path)
{
    struct buf *file = arena_new_array(&cli->arena, struct buf, count);
    struct link_input *input = arena_new_array(&cli->arena, struct link_input, count);
    if (!file || !input)
        return ui_fail(cli, ERR_nomem, "link");
    int status = CLI_UNKNOWN;
    if (read_files(cli, count, path, file, input) == ERR_ok)
        status = link_inputs(cli, options, input, count);
    for (size_t i = 0; i < count; i++)
        buf_fini(&file[i]);
    return status;
}

int cmd_link(struct cli *cli, int argc, char **argv)
{
    return cli_link_files(cli, cli->options, (size_t)argc, argv);
}
