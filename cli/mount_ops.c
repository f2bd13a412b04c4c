/* SPDX-License-Identifier: MIT
 *
 * Calls of the kernel (fuse_lowlevel.h) as requests of the wire.
 *
 * FUSE calls the root 1; every other node has its own id, which is never used again, so
 * there are no generations.  Entries of a reply carry no cookies of their own, so an
 * open directory is listed as a whole and read by index.
 */
#include "cli/mount_private.h"

#include "base/os.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const double attr_timeout_s = (double)CLI_MOUNT_TIMEOUT_NS / 1e9;

static struct cli_mount *mount_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static uint64_t node_of(const struct cli_mount *mount, fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? mount->root : ino;
}

static struct bytes name_of(const char *name)
{
    return bytes_of(name, strlen(name));
}

static void reply_status(fuse_req_t req, uint32_t status)
{
    (void)fuse_reply_err(req, (int)status);
}

#define ASK(mount, type, ...)                                                          \
    cli_mount_ask((mount), V86FS_MSG_##type, &(struct v86fs_ask){__VA_ARGS__})

/* ---- attributes ---- */

static struct timespec timespec_of(struct v86fs_time time)
{
    return (struct timespec){.tv_sec = time.s, .tv_nsec = time.ns};
}

/* GETATTR into what the kernel wants. */
static uint32_t get_attr(struct cli_mount *mount, uint64_t node, struct stat *ret_stat)
{
    uint32_t status = ASK(mount, GETATTR, .node = node);
    const struct v86fs_attr *attr = &mount->answer.attr;
    if (status)
        return status;
    *ret_stat = (struct stat){
        .st_ino = cli_mount_ino(mount, node),
        .st_mode = attr->mode,
        .st_nlink = attr->nlink,
        .st_uid = attr->uid ? attr->uid : mount->uid,
        .st_gid = attr->gid ? attr->gid : mount->gid,
        .st_size = (off_t)attr->size,
        .st_blksize = 4096,
        .st_blocks = (blkcnt_t)attr->blocks,
        .st_atim = timespec_of(attr->atime),
        .st_mtim = timespec_of(attr->mtime),
        .st_ctim = timespec_of(attr->ctime),
    };
    return 0;
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    struct cli_mount *mount = mount_of(req);
    struct stat stat;
    (void)file;
    uint32_t status = get_attr(mount, node_of(mount, ino), &stat);
    if (status)
        reply_status(req, status);
    else
        (void)fuse_reply_attr(req, &stat, attr_timeout_s);
}

static struct v86fs_time time_of(struct timespec time)
{
    return (struct v86fs_time){.s = time.tv_sec, .ns = (uint32_t)time.tv_nsec};
}

static void do_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
                       struct fuse_file_info *file)
{
    static const struct {
        int from;
        uint32_t to;
    } bits[] = {
        {FUSE_SET_ATTR_MODE, V86FS_SET_MODE},
        {FUSE_SET_ATTR_UID, V86FS_SET_UID},
        {FUSE_SET_ATTR_GID, V86FS_SET_GID},
        {FUSE_SET_ATTR_SIZE, V86FS_SET_SIZE},
        {FUSE_SET_ATTR_ATIME, V86FS_SET_ATIME | V86FS_SET_ATIME_TO},
        {FUSE_SET_ATTR_MTIME, V86FS_SET_MTIME | V86FS_SET_MTIME_TO},
    };
    struct cli_mount *mount = mount_of(req);
    struct v86fs_ask ask = {
        .node = node_of(mount, ino),
        .mode = attr->st_mode & V86FS_PERMISSIONS,
        .size = (uint64_t)attr->st_size,
        .uid = attr->st_uid == mount->uid ? 0 : attr->st_uid,
        .gid = attr->st_gid == mount->gid ? 0 : attr->st_gid,
        .atime = time_of(attr->st_atim),
        .mtime = time_of(attr->st_mtim),
        .valid = V86FS_SET_CTIME,
    };
    for (size_t i = 0; i < countof(bits); i++) {
        if (set & bits[i].from)
            ask.valid |= bits[i].to;
    }
    if (set & FUSE_SET_ATTR_ATIME_NOW)
        ask.valid = (ask.valid & ~(uint32_t)V86FS_SET_ATIME_TO) | V86FS_SET_ATIME;
    if (set & FUSE_SET_ATTR_MTIME_NOW)
        ask.valid = (ask.valid & ~(uint32_t)V86FS_SET_MTIME_TO) | V86FS_SET_MTIME;
    uint32_t status = cli_mount_ask(mount, V86FS_MSG_SETATTR, &ask);
    if (status)
        reply_status(req, status);
    else
        do_getattr(req, ino, file);
}

/* ---- names ---- */

static uint32_t make_entry(struct cli_mount *mount, uint64_t node, fuse_ino_t parent,
                           const char *name, struct fuse_entry_param *ret_entry)
{
    *ret_entry = (struct fuse_entry_param){
        .attr_timeout = attr_timeout_s,
        .entry_timeout = cli_mount_name_timeout(mount, parent, name)};
    uint32_t status = get_attr(mount, node, &ret_entry->attr);
    ret_entry->ino = ret_entry->attr.st_ino;
    return status;
}

static void reply_entry(fuse_req_t req, uint64_t node, fuse_ino_t parent,
                        const char *name)
{
    struct fuse_entry_param entry;
    uint32_t status = make_entry(mount_of(req), node, parent, name, &entry);
    if (status)
        reply_status(req, status);
    else
        (void)fuse_reply_entry(req, &entry);
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct cli_mount *mount = mount_of(req);
    uint32_t status =
        ASK(mount, LOOKUP, .node = node_of(mount, parent), .name = name_of(name));
    if (status)
        reply_status(req, status);
    else
        reply_entry(req, mount->answer.attr.node, parent, name);
}

/*
 * What a reply just named is new below `parent`: it belongs to who made it, in a
 * set-gid directory to the group of that, and a directory hands the bit on (mkdir(2)).
 * The kernel leaves both to the server.  A tree without owners may refuse.
 */
static uint64_t give_to_caller(fuse_req_t req, uint64_t parent)
{
    struct cli_mount *mount = mount_of(req);
    const struct fuse_ctx *caller = fuse_req_ctx(req);
    const uint64_t node = mount->answer.attr.node;
    struct stat above = {0};
    struct v86fs_ask ask = {
        .node = node,
        .valid = V86FS_SET_UID | V86FS_SET_GID,
        .mode = mount->answer.attr.mode & V86FS_PERMISSIONS,
        .uid = caller->uid == mount->uid ? 0 : caller->uid,
        .gid = caller->gid == mount->gid ? 0 : caller->gid,
    };
    bool directory = S_ISDIR(mount->answer.attr.mode);
    if (get_attr(mount, parent, &above) == 0 && (above.st_mode & S_ISGID)) {
        ask.gid = above.st_gid == mount->gid ? 0 : above.st_gid;
        ask.valid |= directory ? V86FS_SET_MODE : 0;
        ask.mode |= S_ISGID;
    }
    if (ask.uid || ask.gid || (ask.valid & V86FS_SET_MODE))
        (void)cli_mount_ask(mount, V86FS_MSG_SETATTR, &ask);
    return node;
}

static void do_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct cli_mount *mount = mount_of(req);
    uint32_t status = ASK(mount, MKDIR, .node = node_of(mount, parent),
                          .name = name_of(name), .mode = mode);
    if (status)
        reply_status(req, status);
    else
        reply_entry(req, give_to_caller(req, node_of(mount, parent)), parent, name);
}

static void do_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                     dev_t rdev)
{
    struct cli_mount *mount = mount_of(req);
    (void)rdev;
    uint32_t status = V86FS_EPERM;
    if (S_ISREG(mode))
        status = ASK(mount, CREATE, .node = node_of(mount, parent),
                     .name = name_of(name), .mode = mode);
    if (status)
        reply_status(req, status);
    else
        reply_entry(req, give_to_caller(req, node_of(mount, parent)), parent, name);
}

static void do_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
                       const char *name)
{
    struct cli_mount *mount = mount_of(req);
    uint32_t status = ASK(mount, SYMLINK, .node = node_of(mount, parent),
                          .name = name_of(name), .target = name_of(target));
    if (status)
        reply_status(req, status);
    else
        reply_entry(req, give_to_caller(req, node_of(mount, parent)), parent, name);
}

static void do_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    (void)ino, (void)parent, (void)name;
    reply_status(req, V86FS_EPERM); /* not on the wire */
}

static void do_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct cli_mount *mount = mount_of(req);
    reply_status(
        req, ASK(mount, UNLINK, .node = node_of(mount, parent), .name = name_of(name)));
}

static void do_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct cli_mount *mount = mount_of(req);
    reply_status(req, ASK(mount, UNLINK, .node = node_of(mount, parent),
                          .name = name_of(name), .flags = V86FS_REMOVEDIR));
}

static void do_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
                      fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
    struct cli_mount *mount = mount_of(req);
    reply_status(req,
                 ASK(mount, RENAME, .node = node_of(mount, parent),
                     .name = name_of(name), .new_parent = node_of(mount, new_parent),
                     .new_name = name_of(new_name), .flags = flags));
}

static void do_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct cli_mount *mount = mount_of(req);
    char target[V86FS_TARGET_MAX + 1];
    uint32_t status = ASK(mount, READLINK, .node = ino);
    if (status) {
        reply_status(req, status);
        return;
    }
    memcpy(target, mount->tail.data, mount->tail.size);
    target[mount->tail.size] = 0;
    (void)fuse_reply_readlink(req, target);
}

/* ---- files ---- */

static uint32_t open_node(struct cli_mount *mount, uint64_t node,
                          struct fuse_file_info *file)
{
    uint32_t status = ASK(mount, OPEN, .node = node, .flags = (uint32_t)file->flags);
    file->fh = mount->answer.opaque;
    file->keep_cache = mount->options->cache;
    return status;
}

static void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    struct cli_mount *mount = mount_of(req);
    uint32_t status = open_node(mount, ino, file);
    if (status)
        reply_status(req, status);
    else if (fuse_reply_open(req, file) == -ENOENT) /* the caller was killed */
        (void)ASK(mount, CLOSE, .node = file->fh);
}

static void do_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *file)
{
    struct cli_mount *mount = mount_of(req);
    struct fuse_entry_param entry;
    uint32_t status = ASK(mount, CREATE, .node = node_of(mount, parent),
                          .name = name_of(name), .mode = mode);
    if (!status) {
        uint64_t node = give_to_caller(req, node_of(mount, parent));
        status = open_node(mount, node, file);
        if (!status)
            status = make_entry(mount, node, parent, name, &entry);
    }
    if (status)
        reply_status(req, status);
    else if (fuse_reply_create(req, &entry, file) == -ENOENT)
        (void)ASK(mount, CLOSE, .node = file->fh);
}

static void do_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    struct cli_mount *mount = mount_of(req);
    (void)ino;
    reply_status(req, ASK(mount, CLOSE, .node = file->fh));
}

static void do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *file)
{
    struct cli_mount *mount = mount_of(req);
    (void)ino;
    uint32_t count = size < V86FS_TRANSFER_MAX ? (uint32_t)size : V86FS_TRANSFER_MAX;
    uint32_t status =
        ASK(mount, READ, .node = file->fh, .offset = (uint64_t)offset, .count = count);
    if (status)
        reply_status(req, status);
    else
        (void)fuse_reply_buf(req, (const char *)mount->tail.data, mount->tail.size);
}

static void do_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
                     off_t offset, struct fuse_file_info *file)
{
    struct cli_mount *mount = mount_of(req);
    (void)file;
    uint32_t count = size < V86FS_TRANSFER_MAX ? (uint32_t)size : V86FS_TRANSFER_MAX;
    uint32_t status = ASK(mount, WRITE, .node = ino, .offset = (uint64_t)offset,
                          .count = count, .data = bytes_of(data, count));
    if (status)
        reply_status(req, status);
    else
        (void)fuse_reply_write(req, mount->answer.count);
}

static void do_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
                     struct fuse_file_info *file)
{
    struct cli_mount *mount = mount_of(req);
    (void)datasync, (void)file;
    reply_status(req, ASK(mount, FSYNC, .node = node_of(mount, ino)));
}

static void do_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct cli_mount *mount = mount_of(req);
    const struct v86fs_statfs *is = &mount->answer.statfs;
    (void)ino;
    uint32_t status = ASK(mount, STATFS, .node = 0);
    const struct statvfs stat = {
        .f_bsize = is->bsize,
        .f_frsize = is->bsize,
        .f_blocks = is->blocks,
        .f_bfree = is->bfree,
        .f_bavail = is->bavail,
        .f_files = is->files,
        .f_ffree = is->ffree,
        .f_favail = is->ffree,
        .f_namemax = V86FS_NAME_MAX,
    };
    if (status)
        reply_status(req, status);
    else
        (void)fuse_reply_statfs(req, &stat);
}

/* ---- directories ---- */

/* An open directory: what was listed when it was read from its start. */
struct cli_mount_listing {
    struct cli_mount_listing *next, **link; /* among the open ones; what names it */
    uint64_t node;
    struct buf entries; /* as in READDIR replies, one behind the other */
    struct buf starts;  /* size_t: where each begins */
};

enum { LIST_SIZE_MAX = 1 << 30 };

static struct cli_mount_listing *listing_of(const struct fuse_file_info *file)
{
    return (struct cli_mount_listing *)(uintptr_t)file->fh;
}

static void close_listing(struct cli_mount_listing *listing)
{
    if (listing->next)
        listing->next->link = listing->link;
    *listing->link = listing->next;
    buf_fini(&listing->entries);
    buf_fini(&listing->starts);
    free(listing);
}

static void do_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    struct cli_mount *mount = mount_of(req);
    struct cli_mount_listing *listing = malloc(sizeof *listing);
    if (!listing) {
        reply_status(req, ENOMEM);
        return;
    }
    listing->node = node_of(mount, ino);
    buf_init(&listing->entries, LIST_SIZE_MAX);
    buf_init(&listing->starts, LIST_SIZE_MAX);
    listing->next = mount->listings;
    listing->link = &mount->listings;
    if (listing->next)
        listing->next->link = &listing->next;
    mount->listings = listing;
    file->fh = (uintptr_t)listing;
    if (fuse_reply_open(req, file) == -ENOENT)
        close_listing(listing);
}

static void do_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    (void)ino;
    close_listing(listing_of(file));
    reply_status(req, 0);
}

void cli_mount_ops_fini(struct cli_mount *mount)
{
    while (mount->listings)
        close_listing(mount->listings);
}

static uint32_t add_page(struct cli_mount_listing *listing, struct bytes page)
{
    struct v86fs_dirent entry;
    while (page.size) {
        size_t at = listing->entries.size, size_before = page.size;
        const uint8_t *start = page.data;
        if (!v86fs_dirent_decode(&page, &entry))
            return V86FS_EIO;
        buf_put(&listing->starts, &at, sizeof at);
        buf_put(&listing->entries, start, size_before - page.size);
    }
    return listing->entries.err || listing->starts.err ? ENOMEM : 0;
}

static uint32_t list_all(struct cli_mount *mount, struct cli_mount_listing *listing)
{
    uint64_t cookie = 0;
    buf_clear(&listing->entries);
    buf_clear(&listing->starts);
    do {
        uint32_t status = ASK(mount, READDIR, .node = listing->node, .cookie = cookie);
        if (!status)
            status = add_page(listing, mount->tail);
        if (status)
            return status;
        cookie = mount->answer.cookie;
    } while (cookie);
    return 0;
}

/* Entry `index` of what a program sees: ".", "..", then the listing. */
static bool entry_at(const struct cli_mount_listing *listing, size_t index, char *name,
                     struct stat *ret_stat)
{
    struct v86fs_dirent entry;
    size_t at;
    if (index < 2) {
        strcpy(name, index ? ".." : ".");
        *ret_stat = (struct stat){.st_mode = S_IFDIR, .st_ino = FUSE_ROOT_ID};
        return true;
    }
    if (index - 2 >= listing->starts.size / sizeof at)
        return false;
    memcpy(&at, listing->starts.data + (index - 2) * sizeof at, sizeof at);
    struct bytes rest =
        bytes_of(listing->entries.data + at, listing->entries.size - at);
    if (!v86fs_dirent_decode(&rest, &entry))
        return false;
    memcpy(name, entry.name.data, entry.name.size);
    name[entry.name.size] = 0;
    *ret_stat = (struct stat){.st_mode = entry.mode, .st_ino = entry.node};
    return true;
}

static void do_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *file)
{
    struct cli_mount_listing *listing = listing_of(file);
    char page[65536], name[V86FS_NAME_MAX + 1];
    struct stat stat;
    size_t used = 0;
    (void)ino;
    uint32_t status = offset ? 0 : list_all(mount_of(req), listing);
    if (status) {
        reply_status(req, status);
        return;
    }
    if (size > sizeof page)
        size = sizeof page;
    for (size_t index = (size_t)offset; entry_at(listing, index, name, &stat);
         index++) {
        size_t needed = fuse_add_direntry(req, page + used, size - used, name, &stat,
                                          (off_t)index + 1);
        if (needed > size - used)
            break;
        used += needed;
    }
    (void)fuse_reply_buf(req, page, used);
}

static void do_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
                        struct fuse_file_info *file)
{
    do_fsync(req, ino, datasync, file);
}

/* The wire has no O_TRUNC in OPEN: the kernel sends a SETATTR before it. */
static void do_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->want &= ~(unsigned)FUSE_CAP_ATOMIC_O_TRUNC;
    conn->time_gran = 1;
}

const struct fuse_lowlevel_ops cli_mount_ops = {
    .init = do_init,
    .lookup = do_lookup,
    .getattr = do_getattr,
    .setattr = do_setattr,
    .readlink = do_readlink,
    .mknod = do_mknod,
    .mkdir = do_mkdir,
    .unlink = do_unlink,
    .rmdir = do_rmdir,
    .symlink = do_symlink,
    .rename = do_rename,
    .link = do_link,
    .open = do_open,
    .read = do_read,
    .write = do_write,
    .release = do_release,
    .fsync = do_fsync,
    .opendir = do_opendir,
    .readdir = do_readdir,
    .releasedir = do_releasedir,
    .fsyncdir = do_fsyncdir,
    .statfs = do_statfs,
    .create = do_create,
};
