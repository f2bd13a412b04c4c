/* SPDX-License-Identifier: MIT
 *
 * Notifications to the kernel that has the mount.
 *
 * Telling it to forget something can wait for locks that it gives back only after we
 * have answered a request (fuse_lowlevel.h), so another process tells it: a copy of
 * this one that does nothing else.  It is started when it is needed first, since it has
 * to know what the kernel said at the start of the session.
 *
 * FUSE can invalidate a name, but not all names in a directory.  The kernel trusts a
 * name for a second, so those that it has heard of since then are enough.
 */
#include "cli/mount_private.h"

#include "base/os.h"
#include "base/os_stream.h"

#include <stdio.h>
#include <string.h>

double cli_mount_name_timeout(struct cli_mount *mount, fuse_ino_t parent,
                              const char *name)
{
    struct cli_mount_notes *notes = &mount->notes;
    if (!notes->names)
        return (double)CLI_MOUNT_TIMEOUT_NS / 1e9;
    struct cli_mount_name *slot = &notes->names[notes->next];
    uint64_t now = os_clock_monotonic_ns();
    if (now - slot->given_ns <= CLI_MOUNT_TIMEOUT_NS)
        return 0; /* too many at once */
    notes->next = (notes->next + 1) % CLI_MOUNT_NAME_COUNT;
    slot->parent = parent;
    slot->given_ns = now;
    (void)snprintf(slot->name, sizeof slot->name, "%s", name);
    return (double)CLI_MOUNT_TIMEOUT_NS / 1e9;
}

/* ---- the other process ---- */

struct job {
    struct fuse_session *session;
    int stream, other;
};

static int tell_kernel(void *self)
{
    const struct job *job = self;
    struct cli_mount_message m;
    os_close(job->other);
    while (!os_stream_receive_all(job->stream, &m, sizeof m, OS_STREAM_NEVER)) {
        m.name[V86FS_NAME_MAX] = 0;
        if (m.name[0])
            (void)fuse_lowlevel_notify_inval_entry(job->session, m.node, m.name,
                                                   strlen(m.name));
        else
            (void)fuse_lowlevel_notify_inval_inode(job->session, m.node,
                                                   (off_t)m.offset, (off_t)m.size);
    }
    return 0;
}

static enum err start(struct cli_mount *mount)
{
    struct cli_mount_notes *notes = &mount->notes;
    int ends[2];
    TRY(os_stream_pair(ends));
    struct job job = {.session = mount->session, .stream = ends[1], .other = ends[0]};
    enum err err = os_job_start(&notes->job, tell_kernel, &job, false, -1);
    os_close(ends[1]);
    if (err)
        os_close(ends[0]);
    else
        notes->stream = ends[0];
    return err;
}

void cli_mount_notes_fini(struct cli_mount *mount)
{
    os_close(mount->notes.stream);
    mount->notes.stream = -1;
    os_job_close(&mount->notes.job);
}

/* ---- what it is told ---- */

static void say(struct cli_mount_notes *notes, uint64_t node, uint64_t offset,
                uint64_t size, const char *name)
{
    notes->message =
        (struct cli_mount_message){.node = node, .offset = offset, .size = size};
    (void)snprintf(notes->message.name, sizeof notes->message.name, "%s", name);
    notes->message_at = 0;
}

/* The next name of the directory at hand; false: there is none. */
static bool say_name(struct cli_mount_notes *notes)
{
    uint64_t now = os_clock_monotonic_ns();
    while (notes->folder && notes->name_at < CLI_MOUNT_NAME_COUNT) {
        const struct cli_mount_name *name = &notes->names[notes->name_at++];
        if (name->parent != notes->folder ||
            now - name->given_ns > CLI_MOUNT_TIMEOUT_NS)
            continue;
        say(notes, name->parent, 0, 0, name->name);
        return true;
    }
    notes->folder = 0;
    return false;
}

/* Numbers beyond what the kernel can count to mean all of the file. */
static uint64_t bounded(uint64_t value)
{
    return value > INT64_MAX ? 0 : value;
}

static void say_note(struct cli *cli, struct cli_mount *mount,
                     const struct v86fs_note *note)
{
    struct cli_mount_notes *notes = &mount->notes;
    uint64_t ino = cli_mount_ino(mount, note->ino);
    switch (note->type) {
    case V86FS_MSG_INVALIDATE_DIR:
        notes->folder = ino;
        notes->name_at = 0;
        say(notes, ino, 0, 0, "");
        break;
    case V86FS_MSG_INVALIDATE:
        say(notes, ino, bounded(note->offset),
            note->offset > INT64_MAX ? 0 : bounded(note->size), "");
        break;
    default: /* one tree is mounted, and where is not for a server to say */
        ui_note(cli, "the server of files asks for a%s at %.*s",
                note->type == V86FS_MSG_MOUNT_NOTIFY ? " mount" : "n unmount",
                (int)note->path.size, (const char *)note->path.data);
        break;
    }
}

/* Send what is left of the message; false: the stream is full. */
static bool flush(struct cli_mount_notes *notes)
{
    const uint8_t *bytes = (const uint8_t *)&notes->message;
    while (notes->message_at < sizeof notes->message) {
        size_t size = 0;
        if (os_stream_send_some(notes->stream, bytes + notes->message_at,
                                sizeof notes->message - notes->message_at, &size))
            size = sizeof notes->message - notes->message_at; /* it has died */
        if (!size)
            return false;
        notes->message_at += size;
    }
    return true;
}

bool cli_mount_notes_pass(struct cli *cli, struct cli_mount *mount)
{
    const struct cli_fs_service *service = &mount->options->service;
    struct cli_mount_notes *notes = &mount->notes;
    for (;;) {
        struct v86fs_note note;
        if (notes->stream >= 0 && !flush(notes))
            return true;
        if (say_name(notes))
            continue;
        struct bytes frame = service->note(service->self);
        if (!frame.size)
            return false;
        if (notes->stream < 0 && start(mount))
            return false; /* perhaps later */
        if (v86fs_note_decode(frame, &note))
            say_note(cli, mount, &note);
        service->note_taken(service->self);
    }
}
