/* SPDX-License-Identifier: MIT
 *
 * What every tree shares: complete tables, rules for names, open files.
 */
#include "v86fs/tree.h"

#include <stddef.h>
#include <string.h>

const char *v86fs_tree_status_name(uint32_t status)
{
    switch (status) {
    case 0:
        return "ok";
#define STATUS(name, code)                                                             \
    case code:                                                                         \
        return #name;
#include "v86fs/status.def"
    default:
        return "?";
    }
}

const char *v86fs_tree_missing(const struct v86fs_tree_ops *ops)
{
#define OP(name, changes, text)                                                        \
    if (!ops->name)                                                                    \
        return #name;
#include "v86fs/ops.def"
    return NULL;
}

uint32_t v86fs_tree_call(struct v86fs_tree tree, enum v86fs_op op,
                         struct v86fs_call *call)
{
    switch (op) {
#define OP(name, changes, text)                                                        \
    case V86FS_OP_##name:                                                              \
        return tree.ops->name(tree.self, call);
#include "v86fs/ops.def"
    case V86FS_OP_COUNT:
        break;
    }
    check(!"no such op");
    return V86FS_EIO;
}

bool v86fs_tree_op_changes(enum v86fs_op op)
{
    static const bool changes_of[V86FS_OP_COUNT] = {
#define OP(name, changes, text) [V86FS_OP_##name] = changes,
#include "v86fs/ops.def"
    };
    return op < V86FS_OP_COUNT && changes_of[op];
}

uint32_t v86fs_tree_erofs(void *self, struct v86fs_call *call)
{
    (void)self, (void)call;
    return V86FS_EROFS;
}

uint32_t v86fs_tree_enosys(void *self, struct v86fs_call *call)
{
    (void)self, (void)call;
    return V86FS_ENOSYS;
}

uint32_t v86fs_tree_success(void *self, struct v86fs_call *call)
{
    (void)self, (void)call;
    return 0;
}

static bool is_dots(struct bytes name)
{
    return (name.size == 1 || name.size == 2) && name.data[0] == '.' &&
           name.data[name.size - 1] == '.';
}

uint32_t v86fs_tree_name_status(struct bytes name, uint32_t empty, uint32_t dots)
{
    if (!name.size)
        return empty;
    if (name.size > V86FS_NAME_MAX)
        return V86FS_ENAMETOOLONG;
    if (memchr(name.data, '/', name.size) || memchr(name.data, 0, name.size))
        return V86FS_EINVAL;
    return is_dots(name) ? dots : 0;
}

uint32_t v86fs_tree_target_status(struct bytes target)
{
    if (!target.size)
        return V86FS_ENOENT;
    if (target.size > V86FS_TARGET_MAX)
        return V86FS_ENAMETOOLONG;
    return memchr(target.data, 0, target.size) ? V86FS_EINVAL : 0;
}

/* ---- open files ---- */

/* Find or make the node that open(2) means. */
static uint32_t file_resolve(struct v86fs_tree tree, struct v86fs_call *call)
{
    uint32_t flags = call->in.flags;
    uint32_t status = tree.ops->lookup(tree.self, call);
    if (status == V86FS_ENOENT && (flags & V86FS_OPEN_CREATE))
        return tree.ops->create(tree.self, call);
    if (status)
        return status;
    if ((flags & V86FS_OPEN_CREATE) && (flags & V86FS_OPEN_EXCLUSIVE))
        return V86FS_EEXIST;
    uint32_t type = call->out.attr.mode & V86FS_TYPE_MASK;
    if (type == V86FS_SYMLINK)
        return V86FS_ELOOP;
    if ((flags & V86FS_OPEN_DIRECTORY) && type != V86FS_DIRECTORY)
        return V86FS_ENOTDIR;
    if ((flags & V86FS_OPEN_ACCESS) && type == V86FS_DIRECTORY)
        return V86FS_EISDIR;
    return 0;
}

uint32_t v86fs_tree_file_open(struct v86fs_tree tree, uint64_t parent,
                              struct bytes name, uint32_t flags, uint32_t mode,
                              uint64_t now_ns, struct v86fs_tree_file *ret_file)
{
    struct v86fs_call call = {
        .now_ns = now_ns,
        .in = {.node = parent, .name = name, .mode = mode, .flags = flags}};
    uint32_t status = v86fs_tree_name_status(
        name, V86FS_ENOENT, flags & V86FS_OPEN_CREATE ? V86FS_EEXIST : V86FS_ENOENT);
    if (!status)
        status = file_resolve(tree, &call);
    if (status)
        return status;
    call.in.node = call.out.attr.node;
    status = tree.ops->open(tree.self, &call);
    if (status)
        return status;
    struct v86fs_tree_file file = {
        .tree = tree, .node = call.in.node, .opaque = call.out.opaque, .flags = flags};
    if ((flags & V86FS_OPEN_TRUNCATE) && (flags & V86FS_OPEN_ACCESS)) {
        call.in.valid = V86FS_SET_SIZE;
        call.in.size = 0;
        status = tree.ops->setattr(tree.self, &call);
    }
    if (status)
        v86fs_tree_file_close(&file);
    else
        *ret_file = file;
    return status;
}

uint32_t v86fs_tree_file_read(struct v86fs_tree_file *file, void *data, uint32_t size,
                              uint32_t *ret_size)
{
    if ((file->flags & V86FS_OPEN_ACCESS) == 1)
        return V86FS_EBADF;
    struct v86fs_call call = {.in = {.node = file->node,
                                     .opaque = file->opaque,
                                     .offset = file->offset,
                                     .count = size},
                              .data = data,
                              .data_size_max = size};
    uint32_t status = file->tree.ops->read(file->tree.self, &call);
    if (!status) {
        file->offset += call.out.count;
        *ret_size = call.out.count;
    }
    return status;
}

static uint32_t file_size(struct v86fs_tree_file *file, uint64_t *ret_size)
{
    struct v86fs_call call = {.in = {.node = file->node}};
    uint32_t status = file->tree.ops->getattr(file->tree.self, &call);
    if (!status)
        *ret_size = call.out.attr.size;
    return status;
}

uint32_t v86fs_tree_file_write(struct v86fs_tree_file *file, struct bytes data,
                               uint64_t now_ns, uint32_t *ret_size)
{
    if (!(file->flags & V86FS_OPEN_ACCESS))
        return V86FS_EBADF;
    bool append = file->flags & V86FS_OPEN_APPEND;
    struct v86fs_call call = {
        .now_ns = now_ns,
        .in = {.node = file->node,
               .opaque = file->opaque,
               .offset = file->offset,
               .count = data.size > UINT32_MAX ? UINT32_MAX : (uint32_t)data.size,
               .flags = append ? V86FS_WRITE_APPEND : 0}};
    call.in.data = bytes_of(data.data, call.in.count);
    uint32_t status = file->tree.ops->write(file->tree.self, &call);
    uint64_t offset = file->offset + call.out.count;
    if (!status && append)
        status = file_size(file, &offset);
    if (!status) {
        file->offset = offset;
        *ret_size = call.out.count;
    }
    return status;
}

uint32_t v86fs_tree_file_seek(struct v86fs_tree_file *file, int64_t offset, int whence,
                              uint64_t *ret_offset)
{
    uint64_t base = whence == 1 ? file->offset : 0;
    if (whence < 0 || whence > 2)
        return V86FS_EINVAL;
    uint32_t status = whence == 2 ? file_size(file, &base) : 0;
    if (status)
        return status;
    /* In unsigned numbers a move before 0 and one above INT64_MAX look alike. */
    uint64_t position = base + (uint64_t)offset;
    if (base > INT64_MAX || position > INT64_MAX)
        return V86FS_EINVAL;
    file->offset = position;
    *ret_offset = position;
    return 0;
}

void v86fs_tree_file_close(struct v86fs_tree_file *file)
{
    struct v86fs_call call = {.in = {.node = file->node, .opaque = file->opaque}};
    (void)file->tree.ops->close(file->tree.self, &call);
}
