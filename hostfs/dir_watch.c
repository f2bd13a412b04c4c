/* SPDX-License-Identifier: MIT
 *
 * What others change in a host directory (v86fs.md 4.4 rule 11, 7).
 *
 * Every directory in which the guest has looked something up is watched.  The system
 * does not say who did something, so events are read before each change of our own, and
 * what comes with it is compared with what it causes.  Something that another process
 * does to the same name within the same call is taken for ours; attributes and bytes
 * that the guest reads later are right all the same.
 */
#include "hostfs/dir.h"

#include "base/os.h"
#include "base/os_watch.h"

#include <string.h>

/* Files and names that a call of ours changes. */
struct own {
    uint32_t slot[2];
    struct {
        uint32_t folder; /* slot */
        char name[V86FS_NAME_MAX + 1];
    } entry[2];
};

struct told {
    struct hostfs_dir *dir;
    const struct own *own; /* NULL: everything is others' */
};

/* ---- from events to notifications ---- */

static bool is_own(const struct told *told, uint32_t folder, const char *name)
{
    const struct own *own = told->own;
    for (unsigned i = 0; own && i < countof(own->slot); i++) {
        uint32_t slot = own->slot[i];
        if (!slot)
            continue;
        bool named = told->dir->nodes[slot].parent == folder &&
                     strcmp(told->dir->names[slot], name) == 0;
        if (*name ? named : slot == folder)
            return true;
    }
    for (unsigned i = 0; own && i < countof(own->entry); i++) {
        if (own->entry[i].folder == folder && strcmp(own->entry[i].name, name) == 0)
            return true;
    }
    return false;
}

static void invalidate(struct hostfs_dir *dir, uint32_t slot)
{
    uint8_t frame[V86FS_NOTE_SIZE_MAX];
    size_t size =
        v86fs_invalidate_encode(dir->nodes[slot].id, 0, 0, frame, sizeof frame);
    dir->options.note(dir->options.self, bytes_of(frame, size));
}

static void invalidate_dir(struct hostfs_dir *dir, uint32_t slot)
{
    uint8_t frame[V86FS_NOTE_SIZE_MAX];
    size_t size = v86fs_invalidate_dir_encode(dir->nodes[slot].id, frame, sizeof frame);
    dir->options.note(dir->options.self, bytes_of(frame, size));
}

/* The node that has the name now, if the guest has heard of it. */
static uint32_t slot_at(struct hostfs_dir *dir, uint32_t folder, const char *name)
{
    struct os_dir_stat stat;
    int fd;
    if (strlen(name) > V86FS_NAME_MAX || hostfs_dir_reference(dir, folder, &fd) ||
        os_dir_stat_at(fd, name, &stat))
        return 0;
    return hostfs_dir_known(dir, &stat);
}

static void tell(void *self, const struct os_watch_event *event)
{
    const struct told *told = self;
    struct hostfs_dir *dir = told->dir;
    if (event->what & OS_WATCH_LOST) {
        dir->options.lost(dir->options.self);
        return;
    }
    uint32_t folder = v86fs_table_get(&dir->watch_table, (uint64_t)event->folder);
    if (!folder)
        return;
    if (event->what & OS_WATCH_ENDED) {
        v86fs_table_remove(&dir->watch_table, (uint64_t)event->folder);
        dir->nodes[folder].watch = 0;
        return;
    }
    if (is_own(told, folder, event->name))
        return;
    if (event->what & OS_WATCH_NAMES)
        invalidate_dir(dir, folder);
    uint32_t slot = *event->name ? slot_at(dir, folder, event->name) : folder;
    if (slot && event->what & (OS_WATCH_DATA | OS_WATCH_ATTR))
        invalidate(dir, slot);
}

static void read_events(struct hostfs_dir *dir, const struct own *own)
{
    struct told told = {.dir = dir, .own = own};
    os_watch_read(dir->watch_fd, tell, &told);
}

/* ---- for the other files ---- */

void hostfs_dir_watch(struct hostfs_dir *dir, uint32_t slot, int fd)
{
    int number;
    struct hostfs_node *node = &dir->nodes[slot];
    if (dir->watch_fd < 0 || node->watch || node->type != V86FS_DIRECTORY)
        return;
    if (os_watch_add(dir->watch_fd, fd, &number))
        return; /* no more watches: what happens here is noticed when it is asked for */
    uint32_t before = v86fs_table_get(&dir->watch_table, (uint64_t)number);
    if (before) { /* the same folder under an identity that is over */
        dir->nodes[before].watch = 0;
        v86fs_table_remove(&dir->watch_table, (uint64_t)number);
    }
    node->watch = number;
    v86fs_table_put(&dir->watch_table, (uint64_t)number, slot);
}

void hostfs_dir_unwatch(struct hostfs_dir *dir, uint32_t slot)
{
    struct hostfs_node *node = &dir->nodes[slot];
    if (!node->watch)
        return;
    os_watch_remove(dir->watch_fd, node->watch);
    v86fs_table_remove(&dir->watch_table, (uint64_t)node->watch);
    node->watch = 0;
}

void hostfs_dir_poll(struct hostfs_dir *dir)
{
    if (dir->watch_fd >= 0)
        read_events(dir, NULL);
}

int hostfs_dir_watch_fd(const struct hostfs_dir *dir)
{
    return dir->watch_fd;
}

/* ---- the calls that change something ---- */

static void set_entry(struct own *own, unsigned index, uint32_t folder,
                      struct bytes name)
{
    if (!folder || name.size > V86FS_NAME_MAX)
        return;
    own->entry[index].folder = folder;
    if (name.size)
        memcpy(own->entry[index].name, name.data, name.size);
    own->entry[index].name[name.size] = 0;
}

static uint32_t changing(void *self, struct v86fs_call *call,
                         uint32_t (*op)(void *self, struct v86fs_call *call))
{
    struct hostfs_dir *dir = self;
    struct own own = {.slot = {hostfs_dir_slot(dir, call->in.node),
                               hostfs_dir_slot(dir, call->in.new_parent)}};
    set_entry(&own, 0, own.slot[0], call->in.name);
    set_entry(&own, 1, own.slot[1], call->in.new_name);
    hostfs_dir_poll(dir);
    uint32_t status = op(self, call);
    read_events(dir, &own);
    return status;
}

#define OP(name, changes, text)                                                        \
    static uint32_t watched_##name(void *self, struct v86fs_call *call)                \
    {                                                                                  \
        return changes ? changing(self, call, hostfs_dir_ops.name)                     \
                       : hostfs_dir_ops.name(self, call);                              \
    }
#include "v86fs/ops.def"

const struct v86fs_tree_ops hostfs_dir_watched_ops = {
#define OP(name, changes, text) .name = watched_##name,
#include "v86fs/ops.def"
};
