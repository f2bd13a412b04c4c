/* SPDX-License-Identifier: MIT
 *
 * cli/pc_guest.h - the options that describe a pc guest, and the way from them to a
 * machine that is ready to run (machine.md 2.1).
 */
#ifndef CLI_PC_GUEST_H
#define CLI_PC_GUEST_H

#include "cli/cli.h"
#include "emu/boot.h"
#include "cli/fs.h"
#include "replay/pc.h"
#include "replay/pc_live.h"

struct cli_pc_options {
    const char *kernel, *initrd, *append;
    uint64_t mem;
    enum emu_boot_kind boot;
    uint32_t kernel_as; /* 0 elf, 1 bzimage */
    uint32_t cpu;       /* words left out: all */
    uint64_t ns_per_insn;
    const char *epoch;   /* NULL: the fixed one; "now"; seconds since 1970 */
    const char *console; /* NULL or "stdio", "script=FILE", "file=FILE" */
    const char *until;
    uint64_t insns_max, console_max;
    bool triple_fault_ok;
    bool one_by_one;
    uint64_t engine_stress; /* a seed; 0: none */
    bool fs_extensions;
    uint64_t fs_delay_ns;
};

#define CLI_PC_DEFAULTS                                                                \
    {                                                                                  \
        .mem = 128u << 20, .ns_per_insn = 10, .insns_max = UINT64_MAX,                 \
        .console_max = 1u << 30                                                        \
    }

extern const char *const cli_pc_boot_word[], *const cli_pc_kernel_as_word[],
                                                 *const cli_pc_cpu_word[];

/* The rows for what the machine meets: all that a branch can still choose. */
#define CLI_PC_WORLD_OPTIONS(type)                                                     \
    CLI_STRING(type, pc.console, "console", 0, "stdio|script=FILE|file=FILE",          \
               "pc: the serial port (default stdio)"),                                 \
        CLI_STRING(type, pc.until, "until", 0, "TEXT",                                 \
                   "pc: end well when the guest has printed this"),                    \
        CLI_U64(type, pc.insns_max, "max-insns", 0, "N", 1, UINT64_MAX,                \
                "pc: end after so many instructions"),                                 \
        CLI_SIZE(type, pc.console_max, "max-console", 0, "SIZE", 1, UINT64_MAX,        \
                 "pc: end after so many bytes of output (default 1G)"),                \
        CLI_U64(type, pc.fs_delay_ns, "fs-delay", 0, "NS", 0, UINT64_C(1) << 40,       \
                "pc: answer requests for files so much virtual time later"),           \
        CLI_FLAG(type, pc.one_by_one, "one-by-one", 0,                                 \
                 "pc: decode every instruction anew (for checks; slow)"),              \
        CLI_U64(type, pc.engine_stress, "engine-stress", 0, "SEED", 1, UINT64_MAX,     \
                "pc: forget what the engine derived at random (for checks)")

/* The rows of an option table; `type` has a member `pc`. */
#define CLI_PC_OPTIONS(type)                                                           \
    CLI_STRING(type, pc.kernel, "kernel", 'k', "FILE",                                 \
               "pc: a bzImage, an ELF file, or with --boot a boot sector or ROM"),     \
        CLI_STRING(type, pc.initrd, "initrd", 'i', "FILE", "pc: the initramfs"),       \
        CLI_STRING(type, pc.append, "append", 0, "TEXT", "pc: the command line"),      \
        CLI_SIZE(type, pc.mem, "mem", 'm', "SIZE", 1u << 20, UINT64_C(1) << 31,        \
                 "pc: memory, whole MiB (default 128M)"),                              \
        CLI_WORD(type, pc.boot, "boot", 0, cli_pc_boot_word,                           \
                 "pc: what --kernel is (default: by its content)"),                    \
        CLI_WORD(type, pc.kernel_as, "kernel-as", 0, cli_pc_kernel_as_word,            \
                 "pc: unpack a bzImage on the host, or let it do so itself"),          \
        CLI_WORDS(type, pc.cpu, "cpu", 0, cli_pc_cpu_word,                             \
                  "pc: features the processor offers (default all)"),                  \
        CLI_U64(type, pc.ns_per_insn, "ns-per-insn", 0, "N", 1, 1000,                  \
                "pc: virtual nanoseconds per instruction (default 10)"),               \
        CLI_STRING(type, pc.epoch, "epoch", 0, "now|S",                                \
                   "pc: time of day at the start (default 1700000000)"),               \
        CLI_FLAG(type, pc.triple_fault_ok, "triple-fault-ok", 0,                       \
                 "pc: a triple fault ends the run with status 0"),                     \
        CLI_FLAG(type, pc.fs_extensions, "fs-extensions", 0,                           \
                 "pc: offer the driver the extensions of the file protocol"),          \
        CLI_PC_WORLD_OPTIONS(type)

/* Where a run is written to. */
struct cli_pc_record {
    const char *path; /* of the trace; NULL: none */
    unsigned zstd_level;
    enum trace_sync sync;
    bool embed;          /* the images too */
    bool log_ports;      /* every port access */
    bool log_bytes;      /* requests and replies that could be computed again */
    bool exit_status;    /* answer with the guest's status, as run does */
    uint64_t checkpoint; /* steps between two; 0: none */
    uint64_t ring_size;  /* keep about the last so many bytes; 0: all */
};

/* `lockstep run pc` and `lockstep record pc`: all of it.  `guest` has the seed, `fs`
 * are the specs of --fs; none: the machine has no file device. */
struct cli_guest_options;
int cli_pc_run(struct cli *cli, const struct cli_pc_options *options,
               const struct cli_guest_options *guest, const struct cli_list *fs,
               const struct cli_pc_record *record);

/* `lockstep branch` of a pc: what is left to say is the world's. */
struct replay_branch_options;
int cli_pc_branch(struct cli *cli, const struct cli_pc_options *options,
                  const struct cli_list *fs, bool exit_status, const char *output,
                  const struct trace_source *source, const struct trace_sink *sink,
                  struct replay_branch_options *how);

/* How to replay any pc, with trees that `fs` gets, which is all zero before and is to
 * be closed after. */
struct replay_pc_follow_options cli_pc_follow(struct cli_fs *fs);

/* Replay of a pc trace as `lockstep replay` prints it: the exit status. */
int cli_pc_replay_print(struct cli *cli, const char *path,
                        const struct replay_pc_report *report);

#endif
