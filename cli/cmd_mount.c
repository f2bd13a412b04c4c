/* SPDX-License-Identifier: MIT
 *
 * lockstep mount: a file tree as a directory of this host.
 */
#include "cli/fs_record.h"
#include "cli/mount.h"

#include <string.h>

struct options {
    bool foreground;
    bool allow_other;
    struct cli_fs_record_options fs_record;
    uint64_t zstd_level;
    bool raw;
};

static const struct options defaults = {.zstd_level = 1};

static const struct cli_option option[] = {
    CLI_FLAG(struct options, foreground, "foreground", 'f',
             "stay; Ctrl-C unmounts (default: serve in the background)"),
    CLI_FLAG(struct options, allow_other, "allow-other", 0,
             "let other users in; needs root or user_allow_other"),
    CLI_STRING(struct options, fs_record.path, "record", 0, "FILE",
               "write the trace of every request and reply"),
    CLI_FS_RECORD_OPTIONS(struct options),
    CLI_U64(struct options, zstd_level, "zstd", 0, "N", 1, 9,
            "with --record: compression level (default 1)"),
    CLI_FLAG(struct options, raw, "raw", 0, "with --record: do not compress"),
    CLI_END,
};

const struct cli_spec cli_spec_mount = {
    .option = option,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .positional = {{"SPEC", 1, 1,
                    "the file tree, [NAME=]SPEC, or trace:FILE: as a session left it"},
                   {"FOLDER", 1, 1, "where it appears"}},
    .example = {{"lockstep mount mem /mnt", "an empty tree in memory"},
                {"lockstep mount -f --record=run.lks overlay:rootfs.tar /mnt",
                 "an archive, with changes in memory, and a trace of it all"}},
    .exclude = {{"raw", "zstd"}},
    .about =
        "Every call of a program becomes a request of the v86fs wire protocol.  "
        "`umount FOLDER` ends the mount, and so does SIGINT or SIGTERM.  " CLI_FS_ABOUT,
    .exit_yes = "mounted; with --foreground: and unmounted again",
};

static const char trace_prefix[] = "trace:";

static int confine(void *self)
{
    struct cli_fs_session *session = self;
    const struct options *options = session->cli->options;
    return cli_fs_confine(&session->fs, options->fs_record.confine);
}

int cmd_mount(struct cli *cli, int argc, char **argv)
{
    const struct options *options = cli->options;
    const char *item[] = {argv[0]};
    const struct cli_list specs = {.item = item, .count = 1};
    struct cli_fs_session session;
    (void)argc;
    bool resume = strncmp(argv[0], trace_prefix, strlen(trace_prefix)) == 0;
    unsigned level = options->raw ? 0 : (unsigned)options->zstd_level;
    int status =
        resume ? cli_fs_session_resume(cli, argv[0] + strlen(trace_prefix),
                                       &options->fs_record, V86FS_FEATURES, &session)
               : cli_fs_session_open(cli, &specs, &options->fs_record, V86FS_FEATURES,
                                     level, &session);
    if (!status) {
        const struct cli_fs_export *export = &session.fs.export[0];
        bool confines = cli_fs_confinable(&session.fs, options->fs_record.confine);
        const struct cli_mount_options how = {
            .export = export->spec.name,
            .foreground = options->foreground,
            .allow_other = options->allow_other,
            .read_only = export->spec.read_only || export->spec.kind == CLI_FS_IMAGE,
            .cache = export->derived,
            .service = cli_fs_session_service(&session),
            .confine = confines ? confine : NULL,
        };
        status = cli_fs_confine_check(&session.fs, options->fs_record.confine);
        if (!status)
            status = cli_mount_run(cli, &how, argv[1]);
    }
    return cli_fs_session_close(&session, status);
}
