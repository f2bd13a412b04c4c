/* SPDX-License-Identifier: MIT
 *
 * lockstep vectors: run conformance data.
 */
#include "cli/engine.h"

#include "base/os.h"
#include "cli/vectors.h"

#include <stdio.h>
#include <string.h>

enum { FILE_SIZE_MAX = 1 << 24, LIST_SIZE_MAX = 1 << 24, DEPTH_MAX = 16 };

struct options {
    struct cli_engine_options engine;
};

static const struct options defaults = {.engine = CLI_ENGINE_DEFAULTS};

static const struct cli_option option[] = {
    CLI_ENGINE_OPTIONS(struct options),
    CLI_END,
};

const struct cli_spec cli_spec_vectors = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"FILE", 1, CLI_MANY, "a JSON file, or a folder: all *.json in it"}},
    .example = {{"lockstep vectors corpus/vectors", "run all that comes with lockstep"},
                {"lockstep vectors --json my.json", "one object per failure"}},
    .about =
        "The kind of a file is told by its content: a program in the w3f "
        "conformance format, edge cases (\"format\": \"lockstep-pvm-edge\") with "
        "loader cases, gas blocks (\"lockstep-pvm-gas-singlepass\"), or known answers "
        "of the capability kernel (\"lockstep-pvm-kernel-kat\").  Every "
        "program is run step by step, with each dispatch loop and as native code, and "
        "with each gas log; --engine leaves one of the two engines out.  An expected "
        "field that is absent is not compared.  A case that takes "
        "more than 2^24 instructions or maps more than 2^16 pages makes the file "
        "malformed.",
    .exit_yes = "all cases passed",
    .exit_no = "some failed",
    .prints_json = true,
};

struct run {
    struct cli *cli;
    struct cli_vectors vectors;
    bool trouble; /* something could not be told */
};

static void print_difference(void *self, const struct cli_vectors_difference *d)
{
    struct run *run = self;
    if (!run->cli->json) {
        ui_out(run->cli, "%s: %s%s%s%s: %s: expected %s, got %s\n", d->file, d->name,
               *d->mode ? " [" : "", d->mode, *d->mode ? "]" : "", d->field,
               d->expected, d->actual);
        return;
    }
    ui_json_begin(run->cli);
    ui_json_text(run->cli, "file", d->file);
    ui_json_text(run->cli, "case", d->name);
    ui_json_text(run->cli, "mode", d->mode);
    ui_json_text(run->cli, "field", d->field);
    ui_json_text(run->cli, "expected", d->expected);
    ui_json_text(run->cli, "actual", d->actual);
    ui_json_end(run->cli);
}

static void run_file(struct run *run, const char *path)
{
    struct buf json;
    buf_init(&json, FILE_SIZE_MAX);
    enum err err = os_file_read(path, &json);
    if (err) {
        (void)ui_fail(run->cli, err, path);
        run->trouble = true;
    } else if (!cli_vectors_run(&run->vectors, path, buf_bytes(&json))) {
        ui_error(run->cli, "%s: %s", path, run->vectors.error);
        run->trouble = true;
    }
    buf_fini(&json);
}

static bool is_json(const char *name)
{
    size_t size = strlen(name);
    return size > 5 && strcmp(name + size - 5, ".json") == 0;
}

static void run_path(struct run *run, const char *path, unsigned depth);

/* Everything below the folder in order of the names. */
static void run_folder(struct run *run, const char *path, struct bytes names,
                       unsigned depth)
{
    for (size_t at = 0; at < names.size && !os_interrupted();) {
        const char *name = (const char *)names.data + at;
        size_t size = strlen(name);
        bool folder = size && name[size - 1] == '/';
        at += size + 1;
        if (!folder && !is_json(name))
            continue;
        struct buf full;
        buf_init(&full, LIST_SIZE_MAX);
        buf_text(&full, path);
        if (full.size && full.data[full.size - 1] != '/')
            buf_byte(&full, '/');
        buf_put(&full, name, folder ? size - 1 : size);
        if (full.err) {
            (void)ui_fail(run->cli, full.err, path);
            run->trouble = true;
        } else if (folder) {
            run_path(run, buf_string(&full), depth + 1);
        } else {
            run_file(run, buf_string(&full));
        }
        buf_fini(&full);
    }
}

static void run_path(struct run *run, const char *path, unsigned depth)
{
    if (!os_folder_exists(path)) {
        run_file(run, path);
        return;
    }
    struct buf names;
    buf_init(&names, LIST_SIZE_MAX);
    enum err err = depth < DEPTH_MAX ? os_folder_list(path, &names) : ERR_limit;
    if (err) {
        (void)ui_fail(run->cli, err, path);
        run->trouble = true;
    } else {
        run_folder(run, path, buf_bytes(&names), depth);
    }
    buf_fini(&names);
}

static void print_sum(struct run *run)
{
    const struct cli_vectors *v = &run->vectors;
    if (!run->cli->json) {
        ui_out(run->cli, "%llu passed, %llu failed\n",
               (unsigned long long)v->pass_count, (unsigned long long)v->fail_count);
        return;
    }
    ui_json_begin(run->cli);
    ui_json_u64(run->cli, "passed", v->pass_count);
    ui_json_u64(run->cli, "failed", v->fail_count);
    ui_json_end(run->cli);
}

int cmd_vectors(struct cli *cli, int argc, char **argv)
{
    struct run run = {.cli = cli,
                      .vectors = {.differs = print_difference, .self = &run}};
    const struct options *options = cli->options;
    int status = cli_engine_read(cli, &options->engine, &run.vectors.tested);
    if (status)
        return status;
    if (run.vectors.tested.kind == REPLAY_ENGINE_RECOMP && !pvm_recomp_available())
        return ui_fail(cli, ERR_unsupported, "recompiler");
    enum err err = cli_vectors_init(&run.vectors);
    if (err) {
        cli_vectors_fini(&run.vectors);
        return ui_fail(cli, err, "engine");
    }
    os_catch_interrupts();
    for (int i = 0; i < argc && !os_interrupted(); i++)
        run_path(&run, argv[i], 0);
    uint64_t count = run.vectors.pass_count + run.vectors.fail_count;
    if (!count && !run.trouble)
        ui_error(cli, "no case found");
    print_sum(&run);
    cli_vectors_fini(&run.vectors);
    if (run.vectors.fail_count)
        return CLI_NO;
    return run.trouble || !count || os_interrupted() ? CLI_UNKNOWN : CLI_YES;
}
