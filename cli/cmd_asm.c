/* SPDX-License-Identifier: MIT
 *
 * lockstep asm, lockstep disasm: text to a raw program, and any program to text.
 */
#include "cli/cli.h"

#include "base/os.h"
#include "cli/engine.h"
#include "cli/guest.h"
#include "cli/native.h"
#include "pvm/pvm.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A listing has at most about 60 bytes for a byte of code. */
#define TEXT_SIZE_MAX ((size_t)1 << 30)
#define PROGRAM_SIZE_MAX ((size_t)1 << 27)

static const char *input_path(const char *path)
{
    return strcmp(path, "-") ? path : "/dev/stdin";
}

/* ---- asm ---------------------------------------------------------------------------
 */

struct asm_options {
    const char *output;
};

static const struct asm_options asm_defaults = {.output = "a.pvm"};

static const struct cli_option asm_option[] = {
    CLI_STRING(struct asm_options, output, "output", 'o', "FILE",
               "program to write, - for stdout (default a.pvm)"),
    CLI_END,
};

const struct cli_spec cli_spec_asm = {
    .option = asm_option,
    .options_size = sizeof(struct asm_options),
    .defaults = &asm_defaults,
    .positional = {{"FILE", 1, 1, "assembly text, or - for stdin"}},
    .example = {{"lockstep asm -o loop.pvm loop.s", "make a raw program"},
                {"lockstep disasm fib.pvm | lockstep asm -o same.pvm -",
                 "a listing assembles to the program it was made from"}},
    .about =
        "A line is labels, an instruction (names and operands: lockstep disasm "
        "shows them, docs/reference/opcodes.md lists them) and a comment behind "
        "';'.  A target is a label or a position, @24.  \"@24:\" in front of a line "
        "claims that this is position 24.  Immediates take the least number of "
        "bytes; 5:4 asks for four.  .insn and .data write bytes, .jump adds to the "
        "jump table, .jump_width says how many bytes an entry has.",
    .exit_yes = "the program was written",
};

static int write_output(struct cli *cli, const char *path, struct bytes content)
{
    if (!strcmp(path, "-")) {
        ui_out_bytes(cli, content);
        return CLI_YES;
    }
    enum err err = os_file_write(path, content);
    return err ? ui_fail(cli, err, path) : CLI_YES;
}

static int assemble(struct cli *cli, const char *path, struct buf *text,
                    struct buf *blob)
{
    const struct asm_options *options = cli->options;
    struct pvm_asm_error problem = {0};
    enum err err = os_file_read(input_path(path), text);
    if (err)
        return ui_fail(cli, err, path);
    err = pvm_asm(buf_bytes(text), blob, &problem);
    if (err == ERR_pvm_asm || err == ERR_pvm_limit) {
        ui_error(cli, "%s:%u: %s", path, problem.line, problem.message);
        return CLI_UNKNOWN;
    }
    if (err)
        return ui_fail(cli, err, path);
    return write_output(cli, options->output, buf_bytes(blob));
}

int cmd_asm(struct cli *cli, int argc, char **argv)
{
    (void)argc;
    struct buf text, blob;
    buf_init(&text, TEXT_SIZE_MAX);
    buf_init(&blob, PROGRAM_SIZE_MAX);
    int status = assemble(cli, argv[0], &text, &blob);
    buf_fini(&text);
    buf_fini(&blob);
    return status;
}

/* ---- disasm ------------------------------------------------------------------------
 */

/* In the order of the enums, with "detect" behind the kinds. */
static const char *const kind_word[] = {"raw", "spi", "polkavm", "detect", NULL};
static const char *const log_word[] = {"none", "ledger", "each", "summary", NULL};
enum { KIND_DETECT = PVM_CONTAINER_POLKAVM + 1 };

struct disasm_options {
    uint32_t kind;
    enum pvm_profile profile;
    bool native;
    enum pvm_gas_log log;
    bool explicit_checks;
    struct cli_engine_options engine;
    uint64_t model, mem_cycles;
};

static const struct disasm_options disasm_defaults = {
    .kind = KIND_DETECT,
    .profile = PVM_PROFILE_JAVM,
    .engine = {.kind = REPLAY_ENGINE_RECOMP},
    .model = CLI_GUEST_DEFAULT,
    .mem_cycles = CLI_GUEST_DEFAULT,
};

static const struct cli_option disasm_option[] = {
    CLI_WORD(struct disasm_options, kind, "format", 'f', kind_word,
             "container that the file is (default detect)"),
    CLI_WORD(struct disasm_options, profile, "profile", 0, cli_profile_word,
             "which opcodes there are (default javm, which has them all)"),
    CLI_FLAG(struct disasm_options, native, "native", 'n',
             "beside each instruction the x86-64 code that the recompiler emits"),
    CLI_WORD(struct disasm_options, log, "gas-log", 0, log_word,
             "native: code that maintains this log of gas (default none)"),
    CLI_FLAG(struct disasm_options, explicit_checks, "explicit-checks", 0,
             "native: test each access in code, as where signals are not ours"),
    CLI_U64(struct disasm_options, model, "model", 0, "N", 0, UINT32_MAX,
            "native: gas model (default that of the profile)"),
    CLI_U64(struct disasm_options, mem_cycles, "mem-cycles", 0, "N", 1, 1000,
            "native: gas model 1: what a load or store takes (default 25)"),
    CLI_INTERP_ONLY_OPTION(struct disasm_options),
    CLI_END,
};

const struct cli_spec cli_spec_disasm = {
    .option = disasm_option,
    .options_size = sizeof(struct disasm_options),
    .defaults = &disasm_defaults,
    .positional = {{"FILE", 1, 1, "a program, or - for stdin"}},
    .example = {{"lockstep disasm corpus/pvm/bin/fib.pvm", "print the listing"},
                {"lockstep disasm --native fib.pvm", "with the recompiler's code"}},
    .about = "Each line begins with its position.  Exports are labels; memory, start "
             "registers and imports of the container are comments.  lockstep asm makes "
             "the same raw program of the listing.  With --native, +0x40 is the place "
             "in the "
             "native code; a block's first instruction has the gas check too, and an "
             "instruction without code needs none, or was emitted as one with those "
             "before it.",
    .exit_yes = "the listing was printed",
    .prints_json = true,
};

struct listing {
    struct cli *cli;
    const struct pvm_container *container;
    enum pvm_profile profile;
    const struct cli_native *native; /* NULL: none is wanted */
    struct pvm_export *label;        /* names once each, in order of pc */
    uint32_t label_count;
};

static int compare_bytes(struct bytes x, struct bytes y)
{
    size_t size = x.size < y.size ? x.size : y.size;
    int order = size ? memcmp(x.data, y.data, size) : 0;
    return order ? order : (x.size > y.size) - (x.size < y.size);
}

static int by_name(const void *a, const void *b)
{
    const struct pvm_export *x = a, *y = b;
    int order = compare_bytes(x->name, y->name);
    return order ? order : (x->pc > y->pc) - (x->pc < y->pc);
}

static int by_pc(const void *a, const void *b)
{
    const struct pvm_export *x = a, *y = b;
    int order = (x->pc > y->pc) - (x->pc < y->pc);
    return order ? order : compare_bytes(x->name, y->name);
}

/* A name exported twice is a label at its first position only: text has no other. */
static enum err make_labels(struct listing *listing)
{
    uint32_t count = listing->container->export_count, kept = 0;
    struct pvm_export *label = calloc((size_t)count + 1, sizeof *label);
    if (!label)
        return ERR_nomem;
    if (count) {
        memcpy(label, listing->container->export_list, count * sizeof *label);
        qsort(label, count, sizeof *label, by_name);
    }
    for (uint32_t i = 0; i < count; i++)
        if (!kept || compare_bytes(label[kept - 1].name, label[i].name))
            label[kept++] = label[i];
    if (kept)
        qsort(label, kept, sizeof *label, by_pc);
    listing->label = label;
    listing->label_count = kept;
    return ERR_ok;
}

static const char *access_name(enum pvm_access access)
{
    return access == PVM_ACCESS_RW ? "rw" : "r";
}

static void print_header(const struct listing *listing)
{
    const struct pvm_container *c = listing->container;
    struct cli *cli = listing->cli;
    ui_out(cli, "; %s: %zu bytes of code, %u jump table entries\n",
           pvm_container_kind_name(c->kind), c->code.code.size, c->code.jump_count);
    for (uint32_t i = 0; i < c->region_count; i++)
        ui_out(cli, "; memory 0x%08x, 0x%llx bytes, %s, %zu given\n",
               c->region[i].start, (unsigned long long)c->region[i].size,
               access_name(c->region[i].access), c->region[i].data.size);
    for (unsigned i = 0; i < PVM_REG_COUNT; i++)
        if (c->reg[i])
            ui_out(cli, "; %s = 0x%llx\n", pvm_reg_name[i],
                   (unsigned long long)c->reg[i]);
    for (uint32_t i = 0; i < c->import_count; i++) {
        ui_out(cli, "; import %u is ", i);
        ui_out_escaped(cli, c->import_list[i], false);
        ui_out(cli, "\n");
    }
}

static void print_labels(const struct listing *listing, uint32_t *next, uint32_t end)
{
    for (; *next < listing->label_count && listing->label[*next].pc < end; ++*next) {
        ui_out_escaped(listing->cli, listing->label[*next].name, false);
        ui_out(listing->cli, ":\n");
    }
}

/* PVM on the left, x86-64 on the right. */
static enum err print_native(const struct listing *listing)
{
    enum { COLUMN = 40 };
    const struct pvm_code *code = &listing->container->code;
    struct cli *cli = listing->cli;
    struct cli_native_line native;
    struct buf line;
    uint32_t label = 0;
    buf_init(&line, 4096);
    print_header(listing);
    ui_out(cli, "; native code: %zu bytes\n", listing->native->code.size);
    for (uint32_t pc = 0; pc < code->code.size && !line.err;) {
        buf_clear(&line);
        uint32_t end = pvm_disasm_line(code, listing->profile, pc, &line);
        if (line.err)
            break;
        print_labels(listing, &label, end);
        line.data[line.size - 1] = 0; /* its newline */
        const char *left = (const char *)line.data;
        if (cli_native_find(listing->native, pc, &native)) {
            while (cli_native_next(listing->native, &native)) {
                ui_out(cli, "%-*s +0x%04" PRIx32 "  %s\n", COLUMN, left, native.offset,
                       native.text);
                left = "";
            }
        }
        if (*left)
            ui_out(cli, "%s\n", left);
        pc = end;
    }
    enum err err = line.err;
    buf_fini(&line);
    return err;
}

static enum err print_text(const struct listing *listing)
{
    struct buf text;
    buf_init(&text, TEXT_SIZE_MAX);
    print_header(listing);
    pvm_disasm_labels(&listing->container->code, listing->profile, listing->label,
                      listing->label_count, &text);
    enum err err = text.err;
    if (!err)
        ui_out_bytes(listing->cli, buf_bytes(&text));
    buf_fini(&text);
    return err;
}

static void print_json_program(const struct listing *listing)
{
    const struct pvm_container *c = listing->container;
    struct cli *cli = listing->cli;
    ui_json_begin(cli);
    ui_json_text(cli, "format", pvm_container_kind_name(c->kind));
    ui_json_u64(cli, "code_size", c->code.code.size);
    ui_json_u64(cli, "jump_width", c->code.jump_width);
    ui_json_array(cli, "jump");
    for (uint32_t i = 0; i < c->code.jump_count; i++)
        ui_json_u64(cli, NULL, pvm_code_jump(&c->code, i));
    ui_json_close(cli);
    ui_json_array(cli, "memory");
    for (uint32_t i = 0; i < c->region_count; i++) {
        ui_json_object(cli, NULL);
        ui_json_u64(cli, "start", c->region[i].start);
        ui_json_u64(cli, "size", c->region[i].size);
        ui_json_text(cli, "access", access_name(c->region[i].access));
        ui_json_u64(cli, "given", c->region[i].data.size);
        ui_json_close(cli);
    }
    ui_json_close(cli);
    ui_json_array(cli, "exports");
    for (uint32_t i = 0; i < c->export_count; i++) {
        ui_json_object(cli, NULL);
        ui_json_u64(cli, "pc", c->export_list[i].pc);
        ui_json_text_bytes(cli, "name", c->export_list[i].name);
        ui_json_close(cli);
    }
    ui_json_close(cli);
    ui_json_array(cli, "imports");
    for (uint32_t i = 0; i < c->import_count; i++)
        ui_json_text_bytes(cli, NULL, c->import_list[i]);
    ui_json_close(cli);
    ui_json_end(cli);
}

/* One object for the program, then one for each line of the listing. */
static enum err print_json(const struct listing *listing)
{
    const struct pvm_code *code = &listing->container->code;
    struct cli *cli = listing->cli;
    struct buf line;
    buf_init(&line, 4096);
    print_json_program(listing);
    for (uint32_t pc = 0; pc < code->code.size && !line.err;) {
        buf_clear(&line);
        uint32_t end = pvm_disasm_line(code, listing->profile, pc, &line);
        if (line.err)
            break;
        struct bytes text = buf_bytes(&line);
        const uint8_t *colon = memchr(text.data, ':', text.size);
        size_t at = (size_t)(colon - text.data) + 1;
        while (text.data[at] == ' ')
            at++;
        ui_json_begin(cli);
        ui_json_u64(cli, "pc", pc);
        ui_json_bool(cli, "ok", pvm_code_ok(code, listing->profile, pc));
        ui_json_hex(cli, "bytes", bytes_of(code->code.data + pc, end - pc));
        ui_json_text_bytes(cli, "text", bytes_of(text.data + at, text.size - at - 1));
        if (listing->native)
            cli_native_json(cli, listing->native, pc);
        ui_json_end(cli);
        pc = end;
    }
    enum err err = line.err;
    buf_fini(&line);
    return err;
}

static enum err print_listing(struct listing *listing)
{
    TRY(make_labels(listing));
    if (listing->cli->json)
        return print_json(listing);
    return listing->native ? print_native(listing) : print_text(listing);
}

static int disassemble(struct cli *cli, const char *path, struct bytes file,
                       const struct pvm_config *config,
                       const struct replay_engine *engine)
{
    const struct disasm_options *options = cli->options;
    enum pvm_container_kind kind = options->kind == KIND_DETECT
                                       ? pvm_container_detect(file)
                                       : (enum pvm_container_kind)options->kind;
    struct arena arena;
    struct pvm_container container;
    struct cli_native native = {0};
    struct listing listing = {
        .cli = cli, .container = &container, .profile = options->profile};
    arena_init(&arena, (size_t)1 << 32);
    enum err err = pvm_container_load(&arena, kind, options->profile, file,
                                      (struct bytes){0}, &container);
    if (!err && options->native) {
        err = cli_native_open(&arena, &container.code, config, options->log,
                              &engine->recomp, &native);
        listing.native = &native;
    }
    if (!err)
        err = print_listing(&listing);
    free(listing.label);
    cli_native_close(&native);
    arena_fini(&arena);
    return err ? ui_fail(cli, err, path) : CLI_YES;
}

/* What the recompiler shall do; CLI_YES, or the status after a message. */
static int read_native(struct cli *cli, struct pvm_config *ret_config,
                       struct replay_engine *ret_engine)
{
    const struct disasm_options *options = cli->options;
    bool model = options->model != CLI_GUEST_DEFAULT;
    bool mem_cycles = options->mem_cycles != CLI_GUEST_DEFAULT;
    bool asks = options->log || options->explicit_checks || model || mem_cycles ||
                options->engine.interp_only;
    if (asks && !options->native)
        return ui_usage(cli, "--gas-log, --explicit-checks, --model, --mem-cycles and "
                             "--interp-only are for --native");
    *ret_config = pvm_config_default(options->profile);
    if (model)
        ret_config->model = (uint32_t)options->model;
    if (mem_cycles)
        ret_config->mem_cycles = (uint32_t)options->mem_cycles;
    enum err err = pvm_config_check(ret_config);
    if (err)
        return ui_usage(cli, "gas model %" PRIu32 " with profile %s: %s",
                        ret_config->model, pvm_profile_name(options->profile),
                        err_text(err));
    int status = cli_engine_read(cli, &options->engine, ret_engine);
    ret_engine->recomp.explicit_checks = options->explicit_checks;
    if (!status && options->native && !pvm_recomp_available())
        return ui_fail(cli, ERR_unsupported, "recompiler");
    return status;
}

int cmd_disasm(struct cli *cli, int argc, char **argv)
{
    (void)argc;
    struct pvm_config config;
    struct replay_engine engine;
    struct buf file;
    int status = read_native(cli, &config, &engine);
    if (status)
        return status;
    buf_init(&file, PROGRAM_SIZE_MAX);
    enum err err = os_file_read(input_path(argv[0]), &file);
    status = err ? ui_fail(cli, err, argv[0])
                 : disassemble(cli, argv[0], buf_bytes(&file), &config, &engine);
    buf_fini(&file);
    return status;
}
