/* SPDX-License-Identifier: MIT
 *
 * A FUSE session from mount to unmount.
 */
#include "cli/mount_private.h"

#include "base/os.h"
#include "base/os_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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
    size_t size =
        options->service.serve(options->service.self, buf_bytes(&mount->request),
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

/* Wait for the kernel, or for something that it should be told. */
static enum err wait_for_work(struct cli *cli, struct cli_mount *mount)
{
    const struct cli_fs_service *service = &mount->options->service;
    struct os_stream_event event[CLI_FS_WAIT_MAX + 2];
    int fds[CLI_FS_WAIT_MAX];
    bool more = cli_mount_notes_pass(cli, mount);
    size_t count = service->descriptors(service->self, fds);
    event[0] = (struct os_stream_event){.fd = fuse_session_fd(mount->session),
                                        .wants_read = true};
    event[1] = (struct os_stream_event){.fd = more ? mount->notes.stream : -1,
                                        .wants_write = true};
    for (size_t i = 0; i < count; i++)
        event[i + 2] = (struct os_stream_event){.fd = fds[i], .wants_read = true};
    return os_stream_wait(event, count + 2, OS_STREAM_NEVER);
}

static bool is_over(const struct cli_mount *mount)
{
    return fuse_session_exited(mount->session) || os_interrupted();
}

/* A request of the kernel, if there is one. */
static int serve_request(struct cli_mount *mount, struct fuse_buf *request)
{
    int size = fuse_session_receive_buf(mount->session, request);
    if (size > 0)
        fuse_session_process_buf(mount->session, request);
    return size == -EAGAIN || size == -EINTR ? 0 : size;
}

/* The mount stands: serve until it ends. */
static int serve(struct cli *cli, struct cli_mount *mount, const char *folder)
{
    struct fuse_buf request = {.mem = NULL};
    enum err err = ERR_ok;
    int size = 0;
    if (fcntl(fuse_session_fd(mount->session), F_SETFL, O_NONBLOCK) != 0)
        return ui_fail(cli, ERR_io, folder);
    while (!err && size >= 0 && !is_over(mount)) {
        err = wait_for_work(cli, mount);
        if (!err)
            size = serve_request(mount, &request);
    }
    free(request.mem);
    cli_mount_ops_fini(mount);
    cli_mount_notes_fini(mount);
    if (size < 0) {
        ui_error(cli, "%s: %s", folder, strerror(-size));
        return CLI_UNKNOWN;
    }
    return err && err != ERR_interrupted ? ui_fail(cli, err, folder) : CLI_YES;
}

/* ---- a server without rights ---- */

#define UNMOUNT_NS UINT64_C(10000000000)

enum { LOOK_NS = 1000000 };

struct guard {
    struct fuse_session *session;
    int ends[2];
    struct os_job job;
};

/* A process without rights cannot unmount: this one does when that one ends. */
static int unmount_at_end(void *self)
{
    const struct guard *guard = self;
    uint8_t byte;
    os_close(guard->ends[0]);
    while (os_stream_receive_all(guard->ends[1], &byte, 1, OS_STREAM_NEVER) ==
           ERR_interrupted)
        continue;
    fuse_session_unmount(guard->session);
    return 0;
}

static enum err guard_start(struct guard *guard)
{
    TRY(os_stream_pair(guard->ends));
    enum err err = os_job_start(&guard->job, unmount_at_end, guard, false, -1);
    os_close(guard->ends[1]);
    if (err)
        os_close(guard->ends[0]);
    return err;
}

/* Our descriptor goes first: unmounting must not wait for answers of ours. */
static void guard_end(struct guard *guard)
{
    uint64_t deadline = os_clock_monotonic_ns() + UNMOUNT_NS;
    os_close(fuse_session_fd(guard->session));
    os_close(guard->ends[0]);
    while (os_job_wait(&guard->job, 0) == OS_JOB_RUNS &&
           os_clock_monotonic_ns() < deadline)
        os_sleep_ns(LOOK_NS);
    os_job_close(&guard->job);
}

static int serve_confined(struct cli *cli, struct cli_mount *mount, const char *folder)
{
    struct guard guard = {.session = mount->session};
    enum err err = guard_start(&guard);
    if (err) {
        fuse_session_unmount(mount->session);
        return ui_fail(cli, err, folder);
    }
    int status = mount->options->confine(mount->options->service.self);
    if (!status)
        status = serve(cli, mount, folder);
    guard_end(&guard);
    return status;
}

/* ---- the session ---- */

static int run_session(struct cli *cli, struct cli_mount *mount, const char *folder)
{
    struct fuse_session *session = mount->session = open_session(mount);
    if (!session) {
        ui_error(cli, "%s: FUSE does not start", folder);
        return CLI_UNKNOWN;
    }
    int status = CLI_UNKNOWN;
    os_catch_interrupts(); /* from the first moment on that it stands */
    if (fuse_session_mount(session, folder) != 0) {
        ui_error(cli, "%s: cannot be mounted", folder);
    } else {
        ui_flush(cli);
        /* Who goes into the background goes to "/", too. */
        bool stands = mount->options->foreground || fuse_daemonize(0) == 0;
        if (stands && mount->options->confine) {
            status = serve_confined(cli, mount, folder);
        } else {
            if (stands)
                status = serve(cli, mount, folder);
            fuse_session_unmount(session);
        }
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
    mount.notes.stream = -1;
    mount.notes.message_at = sizeof mount.notes.message;
    if (!options->cache) { /* others may change it */
        mount.notes.names =
            arena_new_array(&cli->arena, struct cli_mount_name, CLI_MOUNT_NAME_COUNT);
        check(mount.notes.names);
    }
    /* In the background we are at "/" when it is unmounted. */
    char *absolute = realpath(folder, NULL);
    check(absolute);
    int status = ask_root(cli, &mount);
    if (!status)
        status = run_session(cli, &mount, absolute);
    free(absolute);
    buf_fini(&mount.request);
    return status;
}
