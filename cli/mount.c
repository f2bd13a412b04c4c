/* SPDX-License-Identifier: MIT
 *
 * A FUSE session from mount to unmount.
 */
#include "cli/mount_private.h"

#include "base/os.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint32_t cli_mount_ask(struct cli_mount *mount, uint8_t type,
                       const struct v86fs_ask *ask)
{
    const struct v86fs_message *message = v86fs_message_of(type);
    const struct cli_mount_options *options = mount->options;
    uint16_t tag = ++mount->tag;
    uint32_t status;
    buf_clear(&mount->request);
    v86fs_request_encode(message, V86FS_FEATURES, tag, ask, &mount->request);
    if (mount->request.err)
        return V86FS_EIO;
    size_t size = options->serve(options->self, buf_bytes(&mount->request),
                                 mount->reply, V86FS_FRAME_MAX);
    if (!v86fs_reply_decode(message, V86FS_FEATURES, tag, bytes_of(mount->reply, size),
                            &status, &mount->answer, &mount->tail))
        return V86FS_EIO;
    return status;
}

static int ask_root(struct cli *cli, struct cli_mount *mount)
{
    const char *name = mount->options->export;
    struct v86fs_ask ask = {.name = bytes_of(name, strlen(name))};
    uint32_t status = cli_mount_ask(mount, V86FS_MSG_MOUNT, &ask);
    if (status) {
        ui_error(cli, "mount of '%s': %s", name, v86fs_tree_status_name(status));
        return CLI_UNKNOWN;
    }
    mount->root = mount->answer.attr.node;
    return CLI_YES;
}

static struct fuse_session *open_session(struct cli_mount *mount)
{
    static char program[] = "lockstep", dash_o[] = "-o";
    const struct cli_mount_options *options = mount->options;
    char words[128];
    char *argv[] = {program, dash_o, words, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    (void)snprintf(
        words, sizeof words, "fsname=lockstep,subtype=v86fs,default_permissions%s%s",
        options->allow_other ? ",allow_other" : "", options->read_only ? ",ro" : "");
    struct fuse_session *session =
        fuse_session_new(&args, &cli_mount_ops, sizeof cli_mount_ops, mount);
    fuse_opt_free_args(&args); /* the copy that FUSE made */
    return session;
}

/* The mount stands: serve until it ends. */
static int serve(struct cli *cli, struct fuse_session *session, const char *folder)
{
    if (fuse_set_signal_handlers(session) != 0)
        return ui_fail(cli, ERR_io, folder);
    int failed = fuse_session_loop(session);
    fuse_remove_signal_handlers(session);
    if (failed < 0) {
        ui_error(cli, "%s: %s", folder, strerror(-failed));
        return CLI_UNKNOWN;
    }
    return CLI_YES;
}

static int run_session(struct cli *cli, struct cli_mount *mount, const char *folder)
{
    struct fuse_session *session = open_session(mount);
    if (!session) {
        ui_error(cli, "%s: FUSE does not start", folder);
        return CLI_UNKNOWN;
    }
    int status = CLI_UNKNOWN;
    if (fuse_session_mount(session, folder) != 0) {
        ui_error(cli, "%s: cannot be mounted", folder);
    } else {
        ui_flush(cli);
        if (fuse_daemonize(mount->options->foreground) == 0)
            status = serve(cli, session, folder);
        fuse_session_unmount(session);
    }
    fuse_session_destroy(session);
    return status;
}

int cli_mount_run(struct cli *cli, const struct cli_mount_options *options,
                  const char *folder)
{
    struct cli_mount mount = {
        .options = options, .uid = (uint32_t)getuid(), .gid = (uint32_t)getgid()};
    if (!os_folder_exists(folder)) {
        ui_error(cli, "%s: no such folder", folder);
        return CLI_UNKNOWN;
    }
    if (!os_file_exists("/dev/fuse")) {
        ui_error(cli, "/dev/fuse is missing: this machine has no FUSE");
        return CLI_UNKNOWN;
    }
    mount.reply = arena_alloc(&cli->arena, V86FS_FRAME_MAX, 8);
    check(mount.reply);
    buf_init(&mount.request, V86FS_FRAME_MAX);
    int status = ask_root(cli, &mount);
    if (!status)
        status = run_session(cli, &mount, folder);
    buf_fini(&mount.request);
    return status;
}
