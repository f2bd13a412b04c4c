/* SPDX-License-Identifier: MIT
 *
 * cli/guest.h - what `run` and `record` share: the options that describe a guest, and
 * the way from them to a setup and a live host.
 */
#ifndef CLI_GUEST_H
#define CLI_GUEST_H

#include "cli/cli.h"
#include "replay/replay.h"

enum cli_container {
    CLI_CONTAINER_AUTO,
    CLI_CONTAINER_RAW,
    CLI_CONTAINER_SPI,
    CLI_CONTAINER_POLKAVM
};

struct cli_guest_options {
    enum cli_container container;
    const char *entry;
    struct cli_list args;
    uint64_t gas;
    enum pvm_profile profile;
    uint64_t model; /* CLI_GUEST_DEFAULT: the profile's */
    uint64_t mem_cycles;
    bool page_gas;
    struct cli_list reg;
    const char *dir;
    bool write;
    const char *stdin_path;
    const char *clock; /* NULL or "real": the real one; else a number */
    const char *seed;  /* NULL: as the guest has it; "random"; a number */
    bool discard;      /* no option: what the guest writes goes nowhere */
};

#define CLI_GUEST_DEFAULT UINT64_MAX

#define CLI_GUEST_DEFAULTS                                                             \
    {                                                                                  \
        .gas = REPLAY_GAS_DEFAULT, .profile = PVM_PROFILE_VECTORS,                     \
        .model = CLI_GUEST_DEFAULT, .mem_cycles = CLI_GUEST_DEFAULT,                   \
    }

extern const char *const cli_container_word[];
extern const char *const cli_profile_word[];

/* The rows for what the guest meets: all that a branch can still choose. */
#define CLI_GUEST_WORLD_OPTIONS(type, stdin_text, clock_text, seed_text)               \
    CLI_STRING(type, guest.stdin_path, "stdin", 0, "FILE",                             \
               "pvm: what the guest reads as standard input (" stdin_text ")"),        \
        CLI_STRING(type, guest.dir, "dir", 'd', "FOLDER",                              \
                   "pvm: let the guest open files below this folder (default: none)"), \
        CLI_FLAG(type, guest.write, "write", 'w',                                      \
                 "pvm: let it create and change them as well"),                        \
        CLI_STRING(                                                                    \
            type, guest.clock, "clock", 0, "real|NS",                                  \
            "pvm: a clock that begins at NS since 1970, moved when asked" clock_text), \
        CLI_STRING(type, guest.seed, "seed", 0, "N|random",                            \
                   "pvm, pc: random numbers from a seed " seed_text)

/* The rows of an option table; `type` has a member `guest`. */
#define CLI_GUEST_OPTIONS(type)                                                        \
    CLI_GUEST_OPTIONS_OF(type, "default: ours", "", "instead of real ones",            \
                         "default 10^15")

/* The same where a command has defaults of its own; the words go into the help. */
#define CLI_GUEST_OPTIONS_OF(type, stdin_text, clock_text, seed_text, gas_text)        \
    CLI_LIST(type, guest.args, "args", 'a', "ARG",                                     \
             "pvm: an argument for the guest; may be given again"),                    \
        CLI_GUEST_WORLD_OPTIONS(type, stdin_text, clock_text, seed_text),              \
        CLI_U64(type, guest.gas, "gas", 'g', "N", 0, REPLAY_GAS_MAX,                   \
                "pvm, kernel: gas to run with (" gas_text ")"),                        \
        CLI_STRING(type, guest.entry, "entry", 'e', "NAME|N|@PC",                      \
                   "pvm: where to begin: an export, export number N, or a pc"),        \
        CLI_LIST(type, guest.reg, "reg", 'r', "NAME=V",                                \
                 "pvm: start value of a register: ra, sp, t0-t2, s0, s1, a0-a5"),      \
        CLI_WORD(type, guest.profile, "profile", 'p', cli_profile_word,                \
                 "pvm: instruction set and rules (default vectors)"),                  \
        CLI_U64(type, guest.model, "model", 0, "N", 0, UINT32_MAX,                     \
                "pvm: gas model (default that of the profile)"),                       \
        CLI_U64(type, guest.mem_cycles, "mem-cycles", 0, "N", 1, 1000,                 \
                "pvm: what a load or store takes in gas model 1 (default 25)"),        \
        CLI_FLAG(type, guest.page_gas, "page-gas", 0,                                  \
                 "pvm: with profile javm, charge the first store into each page"),     \
        CLI_WORD(type, guest.container, "container", 0, cli_container_word,            \
                 "pvm: kind of program file (default: by its content)")

/* A program ready to run; dies with cli_guest_close(). */
struct cli_guest {
    struct arena arena;
    struct buf file;
    const char *path;
    struct pvm_container container;
    struct replay_setup setup;
    struct replay_live *live;
    struct replay_host host;
    int stdin_fd; /* to close; -1 */
    int null_fd;
};

/* What --seed says: a number, or *ret_random.  Without one *ret_seed is 0, and
 * *ret_random stays.  CLI_YES, or CLI_USAGE after a message. */
int cli_guest_seed(struct cli *cli, const struct cli_guest_options *options,
                   bool *ret_random, uint64_t *ret_seed);

/* Positional arguments GUEST PROGRAM ARG…: load the program and set everything up.
 * CLI_YES, or the exit status after a message. */
int cli_guest_open(struct cli *cli, const struct cli_guest_options *options, int argc,
                   char **argv, struct cli_guest *guest);
/* The live host alone, for a program that comes from elsewhere. */
int cli_guest_open_host(struct cli *cli, const struct cli_guest_options *options,
                        struct cli_guest *guest);
void cli_guest_close(struct cli_guest *guest);

/* The exit status that tells how the guest ended, and a few words about it:
 * "exit status 3", "halt", "panic at 0x24".  `words` has 80 bytes. */
int cli_guest_status(const struct replay_result *result, const struct pvm_state *state,
                     char *ret_words);

/* May a trace be written to `path`?  An existing file is overwritten only if it is a
 * trace: nobody wants to lose a program to -o.  CLI_YES, or the status after a message.
 */
int cli_output_check(struct cli *cli, const char *path);

/* ui_fail for a trace that was opened; tells both versions of the format when that is
 * the reason. */
int cli_trace_fail(struct cli *cli, enum err err, const struct trace_source *source,
                   const char *path);

/* 64 hex digits. */
enum { CLI_HASH_TEXT_SIZE = 65 };
void cli_hash_text(const struct hash256 *hash, char ret_text[CLI_HASH_TEXT_SIZE]);

#endif
