/* SPDX-License-Identifier: MIT
 *
 * lockstep mount: a file tree as a directory of this host.
 */
#include "cli/fs.h"
#include "cli/mount.h"

#include "base/os.h"

#include <string.h>

struct options {
    bool foreground;
    bool allow_other;
};

static const struct cli_option option[] = {
    CLI_FLAG(struct options, foreground, "foreground", 'f',
             "stay; Ctrl-C unmounts (default: serve in the background)"),
    CLI_FLAG(struct options, allow_other, "allow-other", 0,
             "let other users in; needs root or user_allow_other"),
    CLI_END,
};

const struct cli_spec cli_spec_mount = {
    .option = option,
    .options_size = sizeof(struct options),
    .positional = {{"SPEC", 1, 1, "the file tree, [NAME=]SPEC"},
                   {"FOLDER", 1, 1, "where it appears"}},
    .example = {{"lockstep mount mem /mnt", "an empty tree in memory"},
                {"lockstep mount -f overlay:rootfs.tar /mnt",
                 "an archive, with changes in memory"}},
    .about =
        "Every call of a program becomes a request of the v86fs wire protocol.  "
        "`umount FOLDER` ends the mount, and so does SIGINT or SIGTERM.  " CLI_FS_ABOUT,
    .exit_yes = "mounted; with --foreground: and unmounted again",
};

struct mounted {
    struct cli_fs fs;
};

static size_t serve(void *self, struct bytes request, uint8_t *reply,
                    size_t reply_size_max)
{
    struct mounted *mounted = self;
    uint64_t token;
    size_t size;
    v86fs_server_serve(mounted->fs.server, os_clock_realtime_ns(), request, reply,
                       reply_size_max, &size, &token);
    return size;
}

int cmd_mount(struct cli *cli, int argc, char **argv)
{
    const struct options *options = cli->options;
    const char *item[] = {argv[0]};
    const struct cli_list specs = {.item = item, .count = 1};
    struct mounted mounted;
    (void)argc;
    int status = cli_fs_open(cli, &specs, os_clock_realtime_ns(), &mounted.fs);
    if (!status) {
        const struct cli_fs_export *export = &mounted.fs.export[0];
        const struct cli_mount_options how = {
            .export = export->spec.name,
            .foreground = options->foreground,
            .allow_other = options->allow_other,
            .read_only = export->spec.read_only || export->spec.kind == CLI_FS_IMAGE,
            .cache = export->derived,
            .self = &mounted,
            .serve = serve,
        };
        v86fs_server_negotiate(mounted.fs.server, V86FS_FEATURES);
        status = cli_mount_run(cli, &how, argv[1]);
    }
    cli_fs_close(&mounted.fs);
    return status;
}
