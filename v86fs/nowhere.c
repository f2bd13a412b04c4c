/* SPDX-License-Identifier: MIT
 *
 * The empty read-only directory that unknown mount names get (D11): the public driver
 * frees memory twice when a MOUNT fails.
 */
#include "v86fs/server.h"

#include <stddef.h>

static uint32_t nowhere_find(void *self, struct v86fs_call *call)
{
    const struct v86fs_server *server = self;
    if (!server->nowhere.root || call->in.node != server->nowhere.root)
        return V86FS_ENOENT;
    call->out.root = server->nowhere.root;
    call->out.attr.node = server->nowhere.root;
    call->out.attr.mode = V86FS_DIRECTORY | 0555;
    return 0;
}

static uint32_t nowhere_lookup(void *self, struct v86fs_call *call)
{
    (void)self, (void)call;
    return V86FS_ENOENT;
}

static uint32_t nowhere_getattr(void *self, struct v86fs_call *call)
{
    const struct v86fs_server *server = self;
    struct v86fs_time time = v86fs_time_of_ns(server->nowhere_ns);
    call->out.attr = (struct v86fs_attr){.node = server->nowhere.root,
                                         .mode = V86FS_DIRECTORY | 0555,
                                         .nlink = 2,
                                         .atime = time,
                                         .mtime = time,
                                         .ctime = time};
    return 0;
}

static const struct v86fs_tree_ops nowhere_ops = {
    .find = nowhere_find,
    .lookup = nowhere_lookup,
    .getattr = nowhere_getattr,
    .readdir = v86fs_tree_success,
    .open = v86fs_tree_success,
    .close = v86fs_tree_success,
    .read = v86fs_tree_enosys,
    .create = v86fs_tree_erofs,
    .mkdir = v86fs_tree_erofs,
    .symlink = v86fs_tree_erofs,
    .link = v86fs_tree_erofs,
    .write = v86fs_tree_erofs,
    .setattr = v86fs_tree_erofs,
    .fsync = v86fs_tree_success,
    .unlink = v86fs_tree_erofs,
    .rename = v86fs_tree_erofs,
    .readlink = v86fs_tree_enosys,
    .statfs = v86fs_tree_success,
};

void v86fs_nowhere_init(struct v86fs_server *server)
{
    server->nowhere = (struct v86fs_export){
        .tree = {.ops = &nowhere_ops, .self = server}, .read_only = true};
}

bool v86fs_nowhere_root(struct v86fs_server *server, uint64_t now_ns)
{
    if (!server->nowhere.root) {
        server->nowhere.root = v86fs_ids_take(server->ids);
        server->nowhere_ns = now_ns;
    }
    return server->nowhere.root != 0;
}
