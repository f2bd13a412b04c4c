/* SPDX-License-Identifier: MIT
 *
 * Calls of a tree as requests to another process, with its keys in the place of ids.
 * What the other side cannot do is bridged (v86fs.md 4.6, "Features").
 */
#include "hostfs/remote.h"

#include <string.h>

/* Answers that are no tail fit into this; READ and listings say how much they take. */
enum { SMALL_REPLY = 4200 };

static uint32_t slot_of(struct hostfs_remote *r, uint64_t id, uint32_t *ret_slot)
{
    hostfs_remote_revive(r);
    *ret_slot = hostfs_remote_slot(r, id);
    return *ret_slot ? 0 : v86fs_ids_status(r->ids, id);
}

/* Ask about `call->in` with the key of its node. */
static uint32_t ask_node(struct hostfs_remote *r, uint8_t type, struct v86fs_call *call,
                         struct bytes *ret_tail)
{
    struct v86fs_ask ask = call->in;
    uint32_t slot;
    uint32_t status = slot_of(r, ask.node, &slot);
    if (status)
        return status;
    ask.node = r->nodes[slot].key;
    status = hostfs_remote_ask(r, type, 0, &ask, SMALL_REPLY, &call->out, ret_tail);
    if (status == V86FS_ESTALE)
        hostfs_remote_forget(r, slot);
    return status;
}

/* The same where the answer names a node: its key becomes an id. */
static uint32_t ask_entry(struct hostfs_remote *r, uint8_t type,
                          struct v86fs_call *call)
{
    struct bytes tail;
    uint32_t slot;
    uint32_t status = ask_node(r, type, call, &tail);
    if (!status)
        status =
            hostfs_remote_intern(r, call->out.attr.node, call->out.attr.mode, &slot);
    if (!status)
        call->out.attr.node = r->nodes[slot].id;
    return status;
}

static uint32_t remote_find(void *self, struct v86fs_call *call)
{
    struct hostfs_remote *r = self;
    uint32_t slot;
    uint32_t status = slot_of(r, call->in.node, &slot);
    if (status)
        return status;
    call->out.root = r->nodes[HOSTFS_REMOTE_ROOT].id;
    call->out.attr.node = r->nodes[slot].id;
    call->out.attr.mode =
        slot == HOSTFS_REMOTE_ROOT ? r->root_mode : r->nodes[slot].type;
    return 0;
}

static uint32_t remote_lookup(void *self, struct v86fs_call *call)
{
    return ask_entry(self, V86FS_MSG_LOOKUP, call);
}

static uint32_t remote_create(void *self, struct v86fs_call *call)
{
    return ask_entry(self, V86FS_MSG_CREATE, call);
}

static uint32_t remote_mkdir(void *self, struct v86fs_call *call)
{
    return ask_entry(self, V86FS_MSG_MKDIR, call);
}

static uint32_t remote_symlink(void *self, struct v86fs_call *call)
{
    return ask_entry(self, V86FS_MSG_SYMLINK, call);
}

static uint32_t remote_getattr(void *self, struct v86fs_call *call)
{
    struct hostfs_remote *r = self;
    struct v86fs_attr *attr = &call->out.attr;
    struct bytes tail;
    uint32_t status = ask_node(r, V86FS_MSG_GETATTR, call, &tail);
    if (status)
        return status;
    uint32_t slot = hostfs_remote_slot(r, call->in.node);
    if ((attr->mode & V86FS_TYPE_MASK) != r->nodes[slot].type) {
        hostfs_remote_forget(r, slot); /* it became something else */
        return V86FS_ESTALE;
    }
    attr->node = call->in.node;
    if (!(r->features & V86FS_F1_ATTR2)) {
        attr->nlink = (attr->mode & V86FS_TYPE_MASK) == V86FS_DIRECTORY ? 2 : 1;
        attr->blocks = (attr->size + 511) / 512;
        attr->atime = attr->ctime = attr->mtime;
    }
    return 0;
}

/* ---- listings: whole, and cut into pages here ---- */

static struct hostfs_remote_listing *listing_of(struct hostfs_remote *r, uint32_t slot)
{
    struct hostfs_remote_listing *oldest = &r->listing[0];
    for (unsigned i = 0; i < HOSTFS_REMOTE_LISTING_COUNT; i++) {
        struct hostfs_remote_listing *listing = &r->listing[i];
        if (listing->slot == slot)
            return listing;
        if (listing->used < oldest->used)
            oldest = listing;
    }
    oldest->slot = 0;
    return oldest;
}

static uint32_t fetch(struct hostfs_remote *r, uint32_t slot,
                      struct hostfs_remote_listing *listing)
{
    struct v86fs_ask ask = {.node = r->nodes[slot].key};
    struct v86fs_answer answer;
    struct bytes tail;
    bool paged = r->features & V86FS_F0_READDIR_PAGED;
    listing->slot = 0;
    buf_clear(&listing->entries);
    do {
        uint64_t before = ask.cookie;
        uint32_t status = hostfs_remote_ask(r, V86FS_MSG_READDIR, 0, &ask,
                                            V86FS_FRAME_MAX, &answer, &tail);
        if (status)
            return status;
        buf_put(&listing->entries, tail.data, tail.size);
        ask.cookie = paged ? answer.cookie : 0;
        if (ask.cookie && ask.cookie <= before)
            return V86FS_EIO; /* it would never end */
    } while (ask.cookie);
    if (listing->entries.err)
        return V86FS_ENFILE;
    listing->slot = slot;
    return 0;
}

/* One entry to the caller. */
static uint32_t give_entry(struct hostfs_remote *r, const struct v86fs_dirent *from,
                           uint64_t number, struct v86fs_call *call, bool *ret_full)
{
    struct v86fs_dirent entry = *from;
    uint32_t slot;
    if (v86fs_tree_name_status(entry.name, V86FS_EINVAL, V86FS_EINVAL)) {
        r->counters.names++;
        return 0;
    }
    uint32_t status = hostfs_remote_intern(r, entry.node, entry.mode, &slot);
    if (status)
        return status;
    entry.node = r->nodes[slot].id;
    entry.cookie = number;
    *ret_full = !call->entry(call, &entry);
    return 0;
}

static uint32_t remote_readdir(void *self, struct v86fs_call *call)
{
    struct hostfs_remote *r = self;
    struct v86fs_dirent entry;
    uint64_t number = 0;
    bool full = false;
    uint32_t slot;
    uint32_t status = slot_of(r, call->in.node, &slot);
    if (status)
        return status;
    struct hostfs_remote_listing *listing = listing_of(r, slot);
    listing->used = ++r->listing_clock;
    if (!call->in.cookie || listing->slot != slot)
        status = fetch(r, slot, listing);
    struct bytes rest = buf_bytes(&listing->entries);
    while (!status && !full && v86fs_dirent_decode(&rest, &entry)) {
        if (++number > call->in.cookie)
            status = give_entry(r, &entry, number, call, &full);
    }
    call->out.more = full;
    return status;
}

/* ---- files ---- */

static uint32_t remote_open(void *self, struct v86fs_call *call)
{
    struct hostfs_remote *r = self;
    struct bytes tail;
    uint32_t status = ask_node(r, V86FS_MSG_OPEN, call, &tail);
    if (status)
        return status;
    r->nodes[hostfs_remote_slot(r, call->in.node)].open_count++;
    call->out.opaque++; /* 0 means "no open" here, and is a handle there */
    return 0;
}

static uint32_t remote_close(void *self, struct v86fs_call *call)
{
    struct hostfs_remote *r = self;
    const struct v86fs_ask ask = {.node = call->in.opaque - 1};
    struct bytes tail;
    uint32_t slot = hostfs_remote_slot(r, call->in.node);
    if (!slot || !r->nodes[slot].open_count)
        return 0; /* of a server that has gone */
    r->nodes[slot].open_count--;
    return hostfs_remote_ask(r, V86FS_MSG_CLOSE, 0, &ask, SMALL_REPLY, &call->out,
                             &tail);
}

static uint32_t remote_read(void *self, struct v86fs_call *call)
{
    struct hostfs_remote *r = self;
    struct v86fs_ask ask = call->in;
    struct bytes tail;
    uint32_t slot;
    uint32_t status = slot_of(r, ask.node, &slot);
    if (status) /* what is open is forgotten only with the server that opened it */
        return ask.opaque ? (uint32_t)V86FS_EIO : status;
    ask.node = ask.opaque ? ask.opaque - 1 : r->nodes[slot].key;
    uint32_t head = (uint32_t)v86fs_reply_tail_at(v86fs_message_of(V86FS_MSG_READ), 0);
    if (ask.count > V86FS_TRANSFER_MAX)
        ask.count = V86FS_TRANSFER_MAX;
    status = hostfs_remote_ask(r, V86FS_MSG_READ, ask.opaque ? HOSTFS_BY_HANDLE : 0,
                               &ask, head + ask.count, &call->out, &tail);
    if (status)
        return status;
    if (tail.size)
        memcpy(call->data, tail.data, tail.size); /* at most count: the capacity */
    call->out.count = (uint32_t)tail.size;
    return 0;
}

static uint32_t remote_write(void *self, struct v86fs_call *call)
{
    struct hostfs_remote *r = self;
    struct bytes tail;
    if (call->in.flags & V86FS_WRITE_APPEND)
        return V86FS_ENOSYS; /* not on the wire */
    uint32_t status = ask_node(r, V86FS_MSG_WRITE, call, &tail);
    return !status && call->out.count > call->in.count ? V86FS_EIO : status;
}

static uint32_t remote_fsync(void *self, struct v86fs_call *call)
{
    struct bytes tail;
    return ask_node(self, V86FS_MSG_FSYNC, call, &tail);
}

static uint32_t remote_setattr(void *self, struct v86fs_call *call)
{
    struct hostfs_remote *r = self;
    struct bytes tail;
    /* Without F1 owners and explicit times cannot be said. */
    if (!(r->features & V86FS_F1_ATTR2) &&
        (call->in.valid & (V86FS_SET_UID | V86FS_SET_GID)) &&
        (call->in.uid || call->in.gid))
        return V86FS_EPERM;
    return ask_node(r, V86FS_MSG_SETATTR, call, &tail);
}

static uint32_t remote_readlink(void *self, struct v86fs_call *call)
{
    struct bytes tail;
    uint32_t status = ask_node(self, V86FS_MSG_READLINK, call, &tail);
    if (status)
        return status;
    if (v86fs_tree_target_status(tail))
        return V86FS_EIO;
    if (tail.size > call->data_size_max)
        return V86FS_ENAMETOOLONG;
    memcpy(call->data, tail.data, tail.size);
    call->out.count = (uint32_t)tail.size;
    return 0;
}

/* ---- names ---- */

static uint32_t remote_unlink(void *self, struct v86fs_call *call)
{
    struct hostfs_remote *r = self;
    uint32_t expect = call->in.flags;
    struct bytes tail;
    bool directory = expect == V86FS_UNLINK_DIRECTORY;
    if (expect != V86FS_UNLINK_ANY && !(r->features & V86FS_F5_RMDIR)) {
        uint32_t status = ask_entry(r, V86FS_MSG_LOOKUP, call);
        if (status)
            return status;
        bool is = (call->out.attr.mode & V86FS_TYPE_MASK) == V86FS_DIRECTORY;
        if (is != directory)
            return is ? V86FS_EISDIR : V86FS_ENOTDIR;
    }
    call->in.flags = directory ? V86FS_REMOVEDIR : 0;
    uint32_t status = ask_node(r, V86FS_MSG_UNLINK, call, &tail);
    /* The base protocol removes either; with F5 the type has to be said. */
    if (status == V86FS_EISDIR && expect == V86FS_UNLINK_ANY) {
        call->in.flags = V86FS_REMOVEDIR;
        status = ask_node(r, V86FS_MSG_UNLINK, call, &tail);
    }
    return status;
}

static uint32_t remote_rename(void *self, struct v86fs_call *call)
{
    struct hostfs_remote *r = self;
    uint64_t new_parent = call->in.new_parent;
    struct bytes tail;
    uint32_t slot;
    uint32_t status = slot_of(r, new_parent, &slot);
    if (status)
        return status;
    if (call->in.flags && !(r->features & V86FS_F4_RENAME_FLAGS))
        return V86FS_EINVAL;
    call->in.new_parent = r->nodes[slot].key;
    status = ask_node(r, V86FS_MSG_RENAME, call, &tail);
    call->in.new_parent = new_parent;
    return status;
}

static uint32_t remote_statfs(void *self, struct v86fs_call *call)
{
    struct bytes tail;
    hostfs_remote_revive(self);
    return hostfs_remote_ask(self, V86FS_MSG_STATFS, 0, &call->in, SMALL_REPLY,
                             &call->out, &tail);
}

const struct v86fs_tree_ops hostfs_remote_ops = {
    .find = remote_find,
    .lookup = remote_lookup,
    .getattr = remote_getattr,
    .readdir = remote_readdir,
    .open = remote_open,
    .close = remote_close,
    .read = remote_read,
    .create = remote_create,
    .mkdir = remote_mkdir,
    .symlink = remote_symlink,
    .link = v86fs_tree_enosys,
    .write = remote_write,
    .setattr = remote_setattr,
    .fsync = remote_fsync,
    .unlink = remote_unlink,
    .rename = remote_rename,
    .readlink = remote_readlink,
    .statfs = remote_statfs,
};
