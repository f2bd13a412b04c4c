/* SPDX-License-Identifier: MIT
 *
 * What a guest can ask of a host directory (v86fs/ops.def).
 */
#include "hostfs/dir.h"

#include "base/os.h"

#include <string.h>

enum { SPECIAL_BITS = 07000 };

static struct v86fs_time time_of(struct os_dir_time time)
{
    return (struct v86fs_time){.s = time.s, .ns = time.ns};
}

static struct os_dir_time host_time(struct v86fs_time time)
{
    return (struct os_dir_time){.s = time.s, .ns = time.ns};
}

/* A name of a call as a C string; the server has checked it. */
static const char *name_of(struct bytes name, char text[V86FS_NAME_MAX + 1])
{
    check(name.size && name.size <= V86FS_NAME_MAX);
    memcpy(text, name.data, name.size);
    text[name.size] = 0;
    return text;
}

/* Owners are not the guest's business: everything is root's (rule 5). */
static void fill_attr(const struct hostfs_node *node, const struct os_dir_stat *stat,
                      struct v86fs_attr *ret_attr)
{
    bool directory = node->type == V86FS_DIRECTORY;
    *ret_attr = (struct v86fs_attr){
        .node = node->id,
        .mode = stat->mode & (V86FS_TYPE_MASK | V86FS_PERMISSIONS),
        .nlink = stat->nlink,
        .size = directory ? 0 : stat->size,
        .blocks = stat->blocks,
        .atime = time_of(stat->atime),
        .mtime = time_of(stat->mtime),
        .ctime = time_of(stat->ctime),
    };
}

static uint32_t slot_of(struct hostfs_dir *dir, uint64_t id, uint32_t *ret_slot)
{
    *ret_slot = hostfs_dir_slot(dir, id);
    return *ret_slot ? 0 : v86fs_ids_status(dir->ids, id);
}

/* A directory in which something is about to change: still below the root? */
static uint32_t parent_to_change(struct hostfs_dir *dir, uint32_t slot, int fd)
{
    const struct hostfs_node *root = &dir->nodes[HOSTFS_DIR_ROOT];
    if (dir->options.trust_host || slot == HOSTFS_DIR_ROOT)
        return 0;
    return (uint32_t)os_dir_check_below(fd, root->dev, root->ino);
}

/* The node of an id and a reference to it. */
static uint32_t open_node(struct hostfs_dir *dir, uint64_t id, uint32_t *ret_slot,
                          int *ret_fd)
{
    uint32_t status = slot_of(dir, id, ret_slot);
    return status ? status : hostfs_dir_reference(dir, *ret_slot, ret_fd);
}

static uint32_t open_parent(struct hostfs_dir *dir, uint64_t id, uint32_t *ret_slot,
                            int *ret_fd)
{
    uint32_t status = open_node(dir, id, ret_slot, ret_fd);
    return status ? status : parent_to_change(dir, *ret_slot, *ret_fd);
}

/* mtime is the machine's clock, unless the user wants the host's. */
static void stamp(struct hostfs_dir *dir, int fd, uint64_t now_ns, bool atime_too)
{
    struct os_dir_time now = host_time(v86fs_time_of_ns(now_ns));
    if (!dir->options.host_times)
        (void)os_dir_set_times(fd, atime_too ? &now : NULL, &now);
}

/* The same for what was just made. */
static void stamp_new(struct hostfs_dir *dir, uint32_t slot, uint64_t now_ns)
{
    int fd;
    if (!dir->options.host_times && !hostfs_dir_reference(dir, slot, &fd))
        stamp(dir, fd, now_ns, true);
}

/* ---- looking ---- */

static uint32_t dir_find(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    uint32_t slot;
    uint32_t status = slot_of(dir, call->in.node, &slot);
    if (status)
        return status;
    call->out.root = dir->nodes[HOSTFS_DIR_ROOT].id;
    call->out.attr.node = dir->nodes[slot].id;
    call->out.attr.mode = dir->nodes[slot].type;
    /* MOUNT wants the permissions of a root. */
    struct os_dir_stat stat;
    if (slot == HOSTFS_DIR_ROOT && !os_dir_stat(dir->nodes[slot].reference, &stat))
        call->out.attr.mode = stat.mode & (V86FS_TYPE_MASK | V86FS_PERMISSIONS);
    return 0;
}

static uint32_t dir_lookup(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    char name[V86FS_NAME_MAX + 1];
    struct os_dir_stat stat;
    uint32_t parent;
    int fd;
    uint32_t status = open_node(dir, call->in.node, &parent, &fd);
    if (!status)
        hostfs_dir_watch(dir, parent, fd);
    if (!status)
        status = (uint32_t)os_dir_stat_at(fd, name_of(call->in.name, name), &stat);
    if (status)
        return status;
    if (!hostfs_dir_visible(dir, &stat))
        return stat.mount_root ? V86FS_EXDEV : V86FS_ENOENT;
    uint32_t slot = hostfs_dir_intern(dir, parent, name, &stat);
    if (!slot)
        return V86FS_ENFILE;
    fill_attr(&dir->nodes[slot], &stat, &call->out.attr);
    return 0;
}

static uint32_t dir_getattr(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    struct os_dir_stat stat;
    uint32_t slot;
    int fd;
    uint32_t status = open_node(dir, call->in.node, &slot, &fd);
    if (!status)
        status = (uint32_t)os_dir_stat(fd, &stat);
    if (!status)
        fill_attr(&dir->nodes[slot], &stat, &call->out.attr);
    return status;
}

static uint32_t dir_readdir(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    uint32_t slot;
    uint32_t status = slot_of(dir, call->in.node, &slot);
    return status ? status : hostfs_dir_readdir(dir, slot, call);
}

static uint32_t dir_readlink(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    uint32_t slot;
    size_t size;
    int fd;
    uint32_t status = open_node(dir, call->in.node, &slot, &fd);
    if (!status)
        status = (uint32_t)os_dir_readlink(fd, call->data, call->data_size_max, &size);
    if (!status)
        call->out.count = (uint32_t)size;
    return status;
}

static uint32_t dir_statfs(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    struct os_dir_space space;
    int failed = os_dir_space(dir->nodes[HOSTFS_DIR_ROOT].reference, &space);
    if (failed)
        return (uint32_t)failed;
    call->out.statfs = (struct v86fs_statfs){.blocks = space.blocks,
                                             .bfree = space.bfree,
                                             .bavail = space.bavail,
                                             .files = space.files,
                                             .ffree = space.ffree,
                                             .bsize = space.bsize};
    return 0;
}

/* ---- bytes ---- */

static uint32_t dir_open(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    uint32_t slot;
    int fd;
    bool writable = call->in.flags & V86FS_OPEN_ACCESS;
    uint32_t status = slot_of(dir, call->in.node, &slot);
    if (!status && dir->nodes[slot].type == V86FS_REGULAR)
        status = hostfs_dir_data(dir, slot, writable, &fd);
    else if (!status)
        status = hostfs_dir_reference(dir, slot, &fd);
    if (!status)
        hostfs_dir_hold(dir, slot);
    return status;
}

static uint32_t dir_close(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    uint32_t slot = hostfs_dir_slot(dir, call->in.node);
    if (slot)
        hostfs_dir_let_go(dir, slot);
    return 0;
}

static uint32_t dir_read(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    const struct v86fs_ask *in = &call->in;
    uint32_t slot;
    size_t size;
    int fd;
    uint32_t status = slot_of(dir, in->node, &slot);
    if (!status && dir->nodes[slot].type != V86FS_REGULAR)
        status = dir->nodes[slot].type == V86FS_DIRECTORY ? V86FS_EISDIR : V86FS_EINVAL;
    if (!status)
        status = hostfs_dir_data(dir, slot, false, &fd);
    if (!status)
        status = (uint32_t)os_dir_read(fd, in->offset, call->data, in->count, &size);
    if (!status)
        call->out.count = (uint32_t)size;
    return status;
}

/* The end of the file for an append; what the options say against a write. */
static uint32_t check_write(struct hostfs_dir *dir, int fd, struct v86fs_ask *in)
{
    struct os_dir_stat stat;
    bool append = in->flags & V86FS_WRITE_APPEND;
    if (!append && !dir->options.refuse_links)
        return 0;
    uint32_t status = (uint32_t)os_dir_stat(fd, &stat);
    if (status)
        return status;
    if (dir->options.refuse_links && stat.nlink > 1)
        return V86FS_EPERM;
    if (append)
        in->offset = stat.size;
    return 0;
}

static uint32_t dir_write(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    struct v86fs_ask *in = &call->in;
    uint32_t slot;
    int fd;
    uint32_t status = slot_of(dir, in->node, &slot);
    if (status || !in->count)
        return status;
    status = hostfs_dir_data(dir, slot, true, &fd);
    if (!status)
        status = check_write(dir, fd, in);
    if (!status && (in->offset > INT64_MAX || in->count > INT64_MAX - in->offset))
        status = V86FS_EFBIG;
    if (!status)
        status = (uint32_t)os_dir_write(fd, in->offset, in->data.data, in->count);
    if (status)
        return status;
    stamp(dir, fd, call->now_ns, false);
    call->out.count = in->count;
    return 0;
}

static uint32_t dir_fsync(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    uint32_t slot;
    int fd;
    uint32_t status = slot_of(dir, call->in.node, &slot);
    if (status || dir->options.no_fsync || dir->nodes[slot].type == V86FS_SYMLINK)
        return status;
    status = dir->nodes[slot].type == V86FS_REGULAR
                 ? hostfs_dir_data(dir, slot, false, &fd)
                 : hostfs_dir_reference(dir, slot, &fd);
    return status ? status : (uint32_t)os_dir_fsync(fd);
}

/* ---- attributes ---- */

static uint32_t check_setattr(const struct hostfs_node *node,
                              const struct v86fs_ask *in)
{
    if ((in->valid & V86FS_SET_MODE) && node->type == V86FS_SYMLINK)
        return V86FS_EOPNOTSUPP;
    if ((in->valid & V86FS_SET_SIZE) && node->type != V86FS_REGULAR)
        return node->type == V86FS_DIRECTORY ? V86FS_EISDIR : V86FS_EINVAL;
    if (((in->valid & V86FS_SET_UID) && in->uid) ||
        ((in->valid & V86FS_SET_GID) && in->gid))
        return V86FS_EPERM;
    if ((in->valid & V86FS_SET_SIZE) && in->size > INT64_MAX)
        return V86FS_EFBIG;
    return 0;
}

/* A file that is open for writing can be cut although its mode forbids it by now. */
static uint32_t set_size(struct hostfs_dir *dir, uint32_t slot, int reference,
                         uint64_t size)
{
    const struct hostfs_node *node = &dir->nodes[slot];
    struct v86fs_ask no_write = {0};
    uint32_t status = check_write(dir, reference, &no_write);
    if (status)
        return status;
    bool held = node->data >= 0 && node->data_writable;
    return (uint32_t)os_dir_truncate(held ? node->data : reference, size);
}

static uint32_t set_times(struct hostfs_dir *dir, int fd, const struct v86fs_call *call)
{
    const struct v86fs_ask *in = &call->in;
    struct os_dir_time now = host_time(v86fs_time_of_ns(call->now_ns));
    struct os_dir_time atime =
        in->valid & V86FS_SET_ATIME_TO ? host_time(in->atime) : now;
    struct os_dir_time mtime =
        in->valid & V86FS_SET_MTIME_TO ? host_time(in->mtime) : now;
    bool set_atime = in->valid & V86FS_SET_ATIME;
    bool set_mtime = (in->valid & V86FS_SET_MTIME) ||
                     ((in->valid & V86FS_SET_SIZE) && !dir->options.host_times);
    if (!set_atime && !set_mtime)
        return 0;
    return (uint32_t)os_dir_set_times(fd, set_atime ? &atime : NULL,
                                      set_mtime ? &mtime : NULL);
}

static uint32_t dir_setattr(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    const struct v86fs_ask *in = &call->in;
    uint32_t slot, mode = in->mode & V86FS_PERMISSIONS;
    int fd;
    uint32_t status = slot_of(dir, in->node, &slot);
    if (!status)
        status = check_setattr(&dir->nodes[slot], in);
    if (!status)
        status = hostfs_dir_reference(dir, slot, &fd);
    if (!status && (in->valid & V86FS_SET_SIZE))
        status = set_size(dir, slot, fd, in->size);
    if (!dir->options.allow_special_bits)
        mode &= ~(uint32_t)SPECIAL_BITS;
    if (!status && (in->valid & V86FS_SET_MODE))
        status = (uint32_t)os_dir_chmod(fd, mode);
    return status ? status : set_times(dir, fd, call);
}

/* ---- new names ---- */

static uint32_t mode_to_make(const struct hostfs_dir *dir, uint32_t mode)
{
    uint32_t bits = dir->options.allow_special_bits ? V86FS_PERMISSIONS : 0777;
    return mode & bits;
}

/* Something of this type was made as `name`, `fd` if it is open: its node. */
static uint32_t made(struct hostfs_dir *dir, uint32_t parent, int parent_fd,
                     const char *name, uint32_t type, int fd, struct v86fs_call *call,
                     uint32_t *ret_slot)
{
    struct os_dir_stat stat;
    stamp(dir, parent_fd, call->now_ns, false);
    int failed =
        fd >= 0 ? os_dir_stat(fd, &stat) : os_dir_stat_at(parent_fd, name, &stat);
    if (failed)
        return (uint32_t)failed;
    if ((stat.mode & V86FS_TYPE_MASK) != type || !hostfs_dir_visible(dir, &stat))
        return V86FS_EIO; /* somebody was faster */
    uint32_t slot = hostfs_dir_intern(dir, parent, name, &stat);
    if (!slot)
        return V86FS_ENFILE;
    fill_attr(&dir->nodes[slot], &stat, &call->out.attr);
    *ret_slot = slot;
    return 0;
}

static uint32_t dir_create(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    char name[V86FS_NAME_MAX + 1];
    uint32_t parent, slot;
    int parent_fd, fd;
    uint32_t status = open_parent(dir, call->in.node, &parent, &parent_fd);
    if (!status)
        status = (uint32_t)os_dir_create(parent_fd, name_of(call->in.name, name),
                                         mode_to_make(dir, call->in.mode), dir->openat2,
                                         &fd);
    if (status)
        return status;
    stamp(dir, fd, call->now_ns, true);
    status = made(dir, parent, parent_fd, name, V86FS_REGULAR, fd, call, &slot);
    if (status)
        os_close(fd);
    else /* so that a file made read-only can be written by who made it */
        hostfs_dir_give_data(dir, slot, fd);
    return status;
}

static uint32_t dir_mkdir(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    char name[V86FS_NAME_MAX + 1];
    uint32_t parent, slot;
    int parent_fd;
    uint32_t status = open_parent(dir, call->in.node, &parent, &parent_fd);
    if (!status)
        status = (uint32_t)os_dir_mkdir(parent_fd, name_of(call->in.name, name),
                                        mode_to_make(dir, call->in.mode));
    if (!status)
        status = made(dir, parent, parent_fd, name, V86FS_DIRECTORY, -1, call, &slot);
    if (!status)
        stamp_new(dir, slot, call->now_ns);
    return status;
}

/* Is the target absolute, or does it climb? */
static bool target_leaves(const char *target)
{
    if (target[0] == '/')
        return true;
    for (const char *at = target; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (at[0] == '.' && at[1] == '.' && (!at[2] || at[2] == '/'))
            return true;
    }
    return false;
}

static uint32_t dir_symlink(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    char name[V86FS_NAME_MAX + 1], target[V86FS_TARGET_MAX + 1];
    struct bytes text = call->in.target;
    uint32_t parent, slot;
    int parent_fd;
    check(text.size && text.size <= V86FS_TARGET_MAX);
    memcpy(target, text.data, text.size);
    target[text.size] = 0;
    if (dir->options.safe_symlinks && target_leaves(target))
        return V86FS_EPERM;
    uint32_t status = open_parent(dir, call->in.node, &parent, &parent_fd);
    if (!status)
        status =
            (uint32_t)os_dir_symlink(parent_fd, name_of(call->in.name, name), target);
    if (!status)
        status = made(dir, parent, parent_fd, name, V86FS_SYMLINK, -1, call, &slot);
    if (!status)
        stamp_new(dir, slot, call->now_ns);
    return status;
}

static uint32_t dir_link(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    char name[V86FS_NAME_MAX + 1];
    uint32_t slot, parent, made_slot;
    int fd, parent_fd;
    uint32_t status = slot_of(dir, call->in.node, &slot);
    if (!status)
        status = slot_of(dir, call->in.new_parent, &parent);
    if (!status && dir->nodes[slot].type != V86FS_REGULAR)
        status = V86FS_EPERM;
    if (!status)
        status = hostfs_dir_references(dir, slot, parent, &fd, &parent_fd);
    if (!status)
        status = parent_to_change(dir, parent, parent_fd);
    if (!status)
        status = (uint32_t)os_dir_link(fd, parent_fd, name_of(call->in.new_name, name));
    return status ? status
                  : made(dir, parent, parent_fd, name, V86FS_REGULAR, -1, call,
                         &made_slot);
}

/* ---- names that go ---- */

/* What the guest may see under a name that is to go or to move. */
static uint32_t stat_victim(struct hostfs_dir *dir, int fd, const char *name,
                            struct os_dir_stat *ret_stat)
{
    uint32_t status = (uint32_t)os_dir_stat_at(fd, name, ret_stat);
    if (status)
        return status;
    if (ret_stat->mount_root)
        return V86FS_EXDEV;
    return hostfs_dir_visible(dir, ret_stat) ? 0 : V86FS_ENOENT;
}

/* The name `name` in `parent` is gone; so is the file if that was its last. */
static void forget_name(struct hostfs_dir *dir, uint32_t parent, const char *name,
                        const struct os_dir_stat *before)
{
    uint32_t slot = hostfs_dir_known(dir, before);
    bool directory = (before->mode & V86FS_TYPE_MASK) == V86FS_DIRECTORY;
    bool removed = directory || before->nlink <= 1;
    if (slot && (removed || (dir->nodes[slot].parent == parent &&
                             strcmp(dir->names[slot], name) == 0)))
        hostfs_dir_unname(dir, slot, removed);
}

/* A file with other names stays reachable for who knows its id.  The directories of the
 * call keep their descriptors. */
static void keep_linked(struct hostfs_dir *dir, const struct os_dir_stat *before,
                        uint32_t from, uint32_t to)
{
    uint32_t slot = hostfs_dir_known(dir, before);
    int fd;
    if (!slot || before->nlink <= 1 || dir->nodes[slot].type == V86FS_DIRECTORY)
        return;
    hostfs_dir_hold(dir, from);
    hostfs_dir_hold(dir, to);
    (void)hostfs_dir_reference(dir, slot, &fd);
    hostfs_dir_let_go(dir, from);
    hostfs_dir_let_go(dir, to);
}

static uint32_t unlink_once(struct hostfs_dir *dir, uint32_t parent, int fd,
                            const char *name, uint32_t expect)
{
    struct os_dir_stat stat;
    uint32_t status = stat_victim(dir, fd, name, &stat);
    if (status)
        return status;
    bool directory = (stat.mode & V86FS_TYPE_MASK) == V86FS_DIRECTORY;
    if (expect == V86FS_UNLINK_DIRECTORY && !directory)
        return V86FS_ENOTDIR;
    if (expect == V86FS_UNLINK_FILE && directory)
        return V86FS_EISDIR;
    keep_linked(dir, &stat, parent, parent);
    status = (uint32_t)os_dir_unlink(fd, name, directory);
    if (!status)
        forget_name(dir, parent, name, &stat);
    return directory && status == V86FS_EEXIST ? V86FS_ENOTEMPTY : status;
}

static uint32_t dir_unlink(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    char name[V86FS_NAME_MAX + 1];
    uint32_t parent, expect = call->in.flags;
    int fd;
    uint32_t status = open_parent(dir, call->in.node, &parent, &fd);
    if (status)
        return status;
    status = unlink_once(dir, parent, fd, name_of(call->in.name, name), expect);
    /* Its type changed between the look and the removal: once more. */
    if (expect == V86FS_UNLINK_ANY &&
        (status == V86FS_EISDIR || status == V86FS_ENOTDIR))
        status = unlink_once(dir, parent, fd, name, expect);
    if (!status)
        stamp(dir, fd, call->now_ns, false);
    return status;
}

struct move {
    uint32_t from, to; /* directories */
    int from_fd, to_fd;
    char name[V86FS_NAME_MAX + 1], new_name[V86FS_NAME_MAX + 1];
    struct os_dir_stat source, target;
    bool replaces;
    uint32_t flags;
};

static uint32_t move_prepare(struct hostfs_dir *dir, const struct v86fs_ask *in,
                             struct move *m)
{
    m->flags = in->flags;
    if (m->flags & ~(uint32_t)(V86FS_RENAME_NOREPLACE | V86FS_RENAME_EXCHANGE) ||
        m->flags == (V86FS_RENAME_NOREPLACE | V86FS_RENAME_EXCHANGE))
        return V86FS_EINVAL;
    name_of(in->name, m->name);
    name_of(in->new_name, m->new_name);
    uint32_t status = slot_of(dir, in->node, &m->from);
    if (!status)
        status = slot_of(dir, in->new_parent, &m->to);
    if (!status)
        status = hostfs_dir_references(dir, m->from, m->to, &m->from_fd, &m->to_fd);
    if (!status)
        status = parent_to_change(dir, m->from, m->from_fd);
    if (!status && m->to != m->from)
        status = parent_to_change(dir, m->to, m->to_fd);
    if (!status)
        status = stat_victim(dir, m->from_fd, m->name, &m->source);
    if (status)
        return status;
    status = stat_victim(dir, m->to_fd, m->new_name, &m->target);
    m->replaces = !status;
    if (!status || m->flags & V86FS_RENAME_EXCHANGE)
        return status;
    /* What the guest cannot see must not be lost. */
    if (!os_dir_stat_at(m->to_fd, m->new_name, &m->target))
        return V86FS_EEXIST;
    return status == V86FS_ENOENT ? 0 : status;
}

static void move_finish(struct hostfs_dir *dir, const struct move *m)
{
    uint32_t source = hostfs_dir_known(dir, &m->source);
    uint32_t target = m->replaces ? hostfs_dir_known(dir, &m->target) : 0;
    if (m->replaces && m->source.dev == m->target.dev && m->source.ino == m->target.ino)
        return; /* two names of one file: rename does nothing */
    if (m->flags & V86FS_RENAME_EXCHANGE) {
        if (target)
            hostfs_dir_rename_node(dir, target, m->from, m->name);
    } else if (m->replaces) {
        forget_name(dir, m->to, m->new_name, &m->target);
    }
    if (source)
        hostfs_dir_rename_node(dir, source, m->to, m->new_name);
}

static uint32_t dir_rename(void *self, struct v86fs_call *call)
{
    struct hostfs_dir *dir = self;
    struct move m;
    uint32_t status = move_prepare(dir, &call->in, &m);
    if (status)
        return status;
    if (m.replaces && !m.flags)
        keep_linked(dir, &m.target, m.from, m.to);
    status = (uint32_t)os_dir_rename(m.from_fd, m.name, m.to_fd, m.new_name, m.flags);
    if (status)
        return status == V86FS_EEXIST && !m.flags ? V86FS_ENOTEMPTY : status;
    move_finish(dir, &m);
    stamp(dir, m.from_fd, call->now_ns, false);
    stamp(dir, m.to_fd, call->now_ns, false);
    return 0;
}

const struct v86fs_tree_ops hostfs_dir_ops = {
    .find = dir_find,
    .lookup = dir_lookup,
    .getattr = dir_getattr,
    .readdir = dir_readdir,
    .open = dir_open,
    .close = dir_close,
    .read = dir_read,
    .create = dir_create,
    .mkdir = dir_mkdir,
    .symlink = dir_symlink,
    .link = dir_link,
    .write = dir_write,
    .setattr = dir_setattr,
    .fsync = dir_fsync,
    .unlink = dir_unlink,
    .rename = dir_rename,
    .readlink = dir_readlink,
    .statfs = dir_statfs,
};
