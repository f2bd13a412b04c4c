/* SPDX-License-Identifier: MIT */
#include "cli/guest.h"

#include "base/os.h"
#include "replay/sink_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PROGRAM_SIZE_MAX = 1 << 28, FAULT_STATUS = 134, INTERRUPTED_STATUS = 130 };
#define MEMORY_MAX ((size_t)1 << 30) /* as a replay has */

const char *const cli_container_word[] = {"auto", "raw", "spi", "polkavm", NULL};
const char *const cli_profile_word[] = {"vectors", "javm", NULL};

/* ---- program ---- */

static bool parse_reg(const char *text, uint64_t reg[PVM_REG_COUNT])
{
    const char *equals = strchr(text, '=');
    uint64_t value;
    if (!equals)
        return false;
    bool negative = equals[1] == '-';
    if (!cli_number(equals + 1 + negative, &value))
        return false;
    for (unsigned i = 0; i < PVM_REG_COUNT; i++) {
        size_t size = (size_t)(equals - text);
        if (strlen(pvm_reg_name[i]) == size && !memcmp(pvm_reg_name[i], text, size)) {
            reg[i] = negative ? 0 - value : value;
            return true;
        }
    }
    return false;
}

static int set_registers(struct cli *cli, const struct cli_list *list,
                         struct replay_setup *setup)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!parse_reg(list->item[i], setup->reg))
            return ui_usage(cli,
                            "--reg takes a name and a number such as a0=42, not '%s'",
                            list->item[i]);
    }
    return CLI_YES;
}

static bool entry_named(const struct pvm_container *container, const char *name,
                        uint32_t *ret_pc)
{
    for (uint32_t i = 0; i < container->export_count; i++) {
        struct bytes candidate = container->export_list[i].name;
        if (candidate.size == strlen(name) &&
            memcmp(candidate.data, name, candidate.size) == 0) {
            *ret_pc = container->export_list[i].pc;
            return true;
        }
    }
    return false;
}

static int set_entry(struct cli *cli, const char *entry, struct cli_guest *guest)
{
    const struct pvm_container *container = &guest->container;
    bool lists = container->kind == PVM_CONTAINER_POLKAVM;
    uint32_t *pc = &guest->setup.pc;
    uint64_t number = 0;
    if (!entry && lists && container->export_count)
        *pc = container->export_list[0].pc;
    if (!entry || entry_named(container, entry, pc))
        return CLI_YES;
    if (entry[0] == '@' && cli_number(entry + 1, &number) && number <= UINT32_MAX) {
        *pc = (uint32_t)number;
        return CLI_YES;
    }
    if (!cli_number(entry, &number))
        return ui_usage(cli, "--entry: %s exports no '%s'", guest->path, entry);
    if (number >= (lists ? container->export_count : PVM_CODE_SIZE_MAX / 5u))
        return ui_usage(cli, "--entry: %s has no export %s", guest->path, entry);
    /* Export N of the linker's programs is entered at pc 5 * N. */
    *pc = lists ? container->export_list[number].pc : (uint32_t)number * 5;
    return CLI_YES;
}

static int set_config(struct cli *cli, const struct cli_guest_options *options,
                      struct pvm_config *config)
{
    *config = pvm_config_default(options->profile);
    if (options->model != CLI_GUEST_DEFAULT)
        config->model = (uint32_t)options->model;
    if (options->mem_cycles != CLI_GUEST_DEFAULT)
        config->mem_cycles = (uint32_t)options->mem_cycles;
    if (options->page_gas)
        config->model = config->model % 256 + 256;
    enum err err = pvm_config_check(config);
    if (err)
        return ui_usage(cli, "gas model %" PRIu32 " with profile %s: %s", config->model,
                        pvm_profile_name(options->profile), err_text(err));
    return CLI_YES;
}

static enum err gather_args(struct cli_guest *guest, const struct cli_list *list,
                            int argc, char **argv, struct trace_list_b *ret_list)
{
    size_t count = list->count + (size_t)argc;
    struct bytes *item = arena_new_array(&guest->arena, struct bytes, count);
    if (!item)
        return ERR_nomem;
    for (size_t i = 0; i < count; i++) {
        const char *arg = i < list->count ? list->item[i] : argv[i - list->count];
        item[i] = bytes_of(arg, strlen(arg));
    }
    *ret_list = (struct trace_list_b){item, count};
    return ERR_ok;
}

static enum err load(struct cli_guest *guest, const struct cli_guest_options *options,
                     const struct trace_list_b *argv)
{
    static const enum pvm_container_kind kinds[] = {
        [CLI_CONTAINER_RAW] = PVM_CONTAINER_RAW,
        [CLI_CONTAINER_SPI] = PVM_CONTAINER_SPI,
        [CLI_CONTAINER_POLKAVM] = PVM_CONTAINER_POLKAVM,
    };
    struct bytes args;
    TRY(os_file_read(guest->path, &guest->file));
    TRY(replay_args_join(&guest->arena, argv, &args));
    struct bytes file = buf_bytes(&guest->file);
    enum pvm_container_kind kind = options->container == CLI_CONTAINER_AUTO
                                       ? pvm_container_detect(file)
                                       : kinds[options->container];
    TRY(pvm_container_load(&guest->arena, kind, options->profile, file, args,
                           &guest->container));
    TRY(replay_setup_container(&guest->arena, &guest->container, &guest->setup));
    guest->setup.argv = *argv;
    return ERR_ok;
}

/* ---- host ---- */

int cli_guest_seed(struct cli *cli, const struct cli_guest_options *options,
                   bool *ret_random, uint64_t *ret_seed)
{
    *ret_seed = 0;
    if (!options->seed)
        return CLI_YES;
    *ret_random = strcmp(options->seed, "random") == 0;
    if (!*ret_random && !cli_number(options->seed, ret_seed))
        return ui_usage(cli, "--seed is a number or 'random', not '%s'", options->seed);
    return CLI_YES;
}

static void guest_init(struct cli_guest *guest)
{
    *guest = (struct cli_guest){.stdin_fd = -1, .null_fd = -1};
    arena_init(&guest->arena, MEMORY_MAX);
    buf_init(&guest->file, PROGRAM_SIZE_MAX);
}

static int open_host(struct cli *cli, const struct cli_guest_options *options,
                     struct cli_guest *guest)
{
    struct replay_live_options live = {
        .stdin_fd = 0,
        .stdout_fd = 1,
        .stderr_fd = 2,
        .dir = options->dir,
        .write = options->write,
    };
    bool random = true;
    int status = cli_guest_seed(cli, options, &random, &live.seed);
    live.random_fixed = !random;
    if (status)
        return status;
    if (options->write && !options->dir)
        return ui_usage(cli, "--write needs --dir");
    if (options->clock && strcmp(options->clock, "real") != 0) {
        live.clock_fixed = true;
        if (!cli_number(options->clock, &live.clock_ns) ||
            live.clock_ns > INT64_MAX / 2)
            return ui_usage(cli,
                            "--clock is 'real' or nanoseconds since 1970, not '%s'",
                            options->clock);
        guest->setup.epoch_ns = live.clock_ns;
    }
    if (options->stdin_path) {
        enum err err = os_open(options->stdin_path, OS_OPEN_READ, &guest->stdin_fd);
        if (err)
            return ui_fail(cli, err, options->stdin_path);
        live.stdin_fd = guest->stdin_fd;
    }
    if (options->discard) {
        enum err err = os_open("/dev/null", OS_OPEN_UPDATE, &guest->null_fd);
        if (err)
            return ui_fail(cli, err, "/dev/null");
        live.stdout_fd = live.stderr_fd = guest->null_fd;
    }
    enum err err = replay_live_create(&guest->arena, &live, &guest->live);
    if (err)
        return ui_fail(cli, err, options->dir ? options->dir : "host");
    guest->host = replay_live_host(guest->live);
    return CLI_YES;
}

int cli_guest_open_host(struct cli *cli, const struct cli_guest_options *options,
                        struct cli_guest *guest)
{
    guest_init(guest);
    return open_host(cli, options, guest);
}

/* ---- all of it ---- */

int cli_guest_open(struct cli *cli, const struct cli_guest_options *options, int argc,
                   char **argv, struct cli_guest *guest)
{
    struct trace_list_b args;
    guest_init(guest);
    if (strcmp(argv[0], "pvm") != 0)
        return ui_usage(cli, "the guest is 'pvm', not '%s'", argv[0]);
    if (argc < 2)
        return ui_usage(cli, "which program?");
    guest->path = argv[1];
    enum err err = gather_args(guest, &options->args, argc - 2, argv + 2, &args);
    if (!err)
        err = load(guest, options, &args);
    if (err)
        return ui_fail(cli, err, guest->path);
    guest->setup.gas = options->gas;
    int status = set_config(cli, options, &guest->setup.config);
    if (!status)
        status = set_entry(cli, options->entry, guest);
    if (!status)
        status = set_registers(cli, &options->reg, &guest->setup);
    if (!status)
        status = open_host(cli, options, guest);
    return status;
}

void cli_guest_close(struct cli_guest *guest)
{
    replay_live_close(guest->live);
    os_close(guest->stdin_fd);
    os_close(guest->null_fd);
    buf_fini(&guest->file);
    arena_fini(&guest->arena);
}

int cli_guest_status(const struct replay_result *result, const struct pvm_state *state,
                     char *ret_words)
{
    enum { WORDS_SIZE = 80 };
    enum pvm_exit exit = result->outcome.exit;
    if (result->end != REPLAY_END_GUEST) {
        (void)snprintf(ret_words, WORDS_SIZE, "stopped");
        return INTERRUPTED_STATUS;
    }
    if (result->exited) {
        (void)snprintf(ret_words, WORDS_SIZE, "exit status %" PRIu32, result->status);
        return (int)(result->status & 0xff);
    }
    if (exit == PVM_EXIT_HALT) {
        (void)snprintf(ret_words, WORDS_SIZE, "halt, a0 = 0x%" PRIx64, state->reg[7]);
        return CLI_YES;
    }
    if (exit == PVM_EXIT_PAGE_FAULT)
        (void)snprintf(ret_words, WORDS_SIZE,
                       "page fault for 0x%" PRIx64 " at 0x%" PRIx32,
                       result->outcome.arg, state->pc);
    else
        (void)snprintf(ret_words, WORDS_SIZE, "%s at 0x%" PRIx32, pvm_exit_name(exit),
                       state->pc);
    return FAULT_STATUS;
}

/* ---- traces ---- */

int cli_output_check(struct cli *cli, const char *path)
{
    struct replay_source_file file;
    uint16_t major, minor;
    uint64_t size = 0;
    if (!os_file_exists(path))
        return CLI_YES;
    enum err err = replay_source_file_open(&file, path);
    if (err)
        return ui_fail(cli, err, path);
    struct trace_source source = replay_source_file(&file);
    err = source.size(source.self, &size);
    bool ours = !size || !trace_file_version(&source, &major, &minor);
    replay_source_file_close(&file);
    if (err)
        return ui_fail(cli, err, path);
    return ours ? CLI_YES
                : ui_usage(cli, "%s exists and is no trace; not overwritten", path);
}

int cli_trace_fail(struct cli *cli, enum err err, const struct trace_source *source,
                   const char *path)
{
    uint16_t major, minor;
    if (err != ERR_trace_version || trace_file_version(source, &major, &minor))
        return ui_fail(cli, err, path);
    ui_error(cli, "%s: trace format %u.%u, this version reads %u.x", path, major, minor,
             (unsigned)TRACE_MAJOR);
    return CLI_UNKNOWN;
}

void cli_hash_text(const struct hash256 *hash, char ret_text[CLI_HASH_TEXT_SIZE])
{
    for (unsigned i = 0; i < HASH256_SIZE; i++)
        (void)snprintf(ret_text + 2 * i, 3, "%02x", hash->byte[i]);
}
