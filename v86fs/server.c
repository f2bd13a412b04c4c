/* SPDX-License-Identifier: MIT
 *
 * One request: the checks of v86fs.md 3.1 in their order, the call, the reply.
 */
#include "v86fs/server.h"

#include <string.h>

enum { STATUS_MAX = 4095 };

void v86fs_server_options_init(struct v86fs_server_options *options)
{
    *options = (struct v86fs_server_options){.handle_count_max = 65536,
                                             .export_count_max = 16,
                                             .pending_frame_max = V86FS_FRAME_MAX};
}

enum err v86fs_server_create(struct arena *arena,
                             const struct v86fs_server_options *options,
                             struct v86fs_ids *ids, struct v86fs_server **ret_server)
{
    struct v86fs_server *server = arena_new(arena, struct v86fs_server);
    if (!server)
        return ERR_nomem;
    server->arena = arena;
    server->options = *options;
    server->ids = ids;
    server->handle_next = V86FS_HANDLE_BASE;
    server->exports =
        arena_new_array(arena, struct v86fs_export, (size_t)options->export_count_max);
    server->handles = arena_new_array(arena, struct v86fs_handle,
                                      (size_t)options->handle_count_max + 1);
    if (!server->exports || !server->handles ||
        !v86fs_pool_init(&server->handle_pool, arena, options->handle_count_max) ||
        !v86fs_table_init(&server->handle_table, arena, options->handle_count_max) ||
        !v86fs_pending_init(server))
        return ERR_nomem;
    v86fs_nowhere_init(server);
    *ret_server = server;
    return ERR_ok;
}

static bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (!a.size || !memcmp(a.data, b.data, a.size));
}

enum err v86fs_server_export(struct v86fs_server *server, struct bytes name,
                             struct v86fs_tree tree, uint64_t root, bool read_only)
{
    struct v86fs_call call = {.in = {.node = root}};
    if (name.size > V86FS_NAME_MAX || v86fs_tree_missing(tree.ops) ||
        tree.ops->find(tree.self, &call) || call.out.root != root)
        return ERR_usage;
    for (uint32_t i = 0; i < server->export_count; i++) {
        const struct v86fs_export *other = &server->exports[i];
        if (bytes_equal(other->name, name) ||
            (other->root == root && other->read_only != read_only))
            return ERR_usage;
    }
    if (server->export_count == server->options.export_count_max)
        return ERR_limit;
    const uint8_t *copy = arena_copy(server->arena, name.data, name.size);
    if (!copy)
        return ERR_nomem;
    server->exports[server->export_count++] =
        (struct v86fs_export){.name = bytes_of(copy, name.size),
                              .tree = tree,
                              .root = root,
                              .read_only = read_only};
    return ERR_ok;
}

void v86fs_server_negotiate(struct v86fs_server *server, uint32_t features)
{
    server->features = features & V86FS_FEATURES;
}

const struct v86fs_counters *v86fs_server_counters(const struct v86fs_server *server)
{
    return &server->counters;
}

uint32_t v86fs_server_handle_count(const struct v86fs_server *server)
{
    return server->handle_pool.used;
}

/* ---- nodes and exports ---- */

/* Ask one tree; the exports of a tree share its ids. */
static const struct v86fs_export *find_in(const struct v86fs_server *server,
                                          const struct v86fs_export *export,
                                          uint64_t id, uint32_t *ret_mode)
{
    struct v86fs_call call = {.in = {.node = id}};
    if (export->tree.ops->find(export->tree.self, &call))
        return NULL;
    *ret_mode = call.out.attr.mode;
    if (call.out.root == export->root)
        return export;
    for (uint32_t i = 0; i < server->export_count; i++) {
        if (server->exports[i].root == call.out.root)
            return &server->exports[i];
    }
    return NULL;
}

/* The export that holds a node, and the node's mode; NULL if it is not there. */
static const struct v86fs_export *find(const struct v86fs_server *server, uint64_t id,
                                       uint32_t *ret_mode)
{
    const struct v86fs_export *found = NULL;
    if (id == 0 || id > V86FS_ID_MAX)
        return NULL;
    if (server->nowhere.root && id == server->nowhere.root)
        return find_in(server, &server->nowhere, id, ret_mode);
    for (uint32_t i = 0; i < server->export_count && !found; i++) {
        const void *self = server->exports[i].tree.self;
        bool asked = false;
        for (uint32_t j = 0; j < i; j++)
            asked |= server->exports[j].tree.self == self;
        if (!asked)
            found = find_in(server, &server->exports[i], id, ret_mode);
    }
    return found;
}

bool v86fs_server_node(const struct v86fs_server *server, uint64_t id,
                       uint32_t *ret_mode)
{
    return find(server, id, ret_mode) != NULL;
}

/* ---- handles ---- */

static struct v86fs_handle *handle_of(struct v86fs_server *server, uint64_t number)
{
    uint32_t slot = v86fs_table_get(&server->handle_table, number);
    return slot ? &server->handles[slot] : NULL;
}

void v86fs_handle_put(struct v86fs_server *server, uint64_t number, uint64_t node,
                      uint64_t opaque, const struct v86fs_export *export)
{
    uint32_t slot = v86fs_pool_take(&server->handle_pool);
    check(slot);
    server->handles[slot] = (struct v86fs_handle){.number = number,
                                                  .node = node,
                                                  .opaque = opaque,
                                                  .export = export,
                                                  .older = server->handle_newest};
    if (server->handle_newest)
        server->handles[server->handle_newest].newer = slot;
    else
        server->handle_oldest = slot;
    server->handle_newest = slot;
    v86fs_table_put(&server->handle_table, number, slot);
}

static uint64_t handle_add(struct v86fs_server *server, const struct v86fs_job *job)
{
    v86fs_handle_put(server, ++server->handle_next, job->call.in.node,
                     job->call.out.opaque, job->export);
    return server->handle_next;
}

static void handle_remove(struct v86fs_server *server, uint64_t number)
{
    uint32_t slot = v86fs_table_get(&server->handle_table, number);
    struct v86fs_handle *handle = &server->handles[slot];
    if (handle->older)
        server->handles[handle->older].newer = handle->newer;
    else
        server->handle_oldest = handle->newer;
    if (handle->newer)
        server->handles[handle->newer].older = handle->older;
    else
        server->handle_newest = handle->older;
    v86fs_table_remove(&server->handle_table, number);
    v86fs_pool_give(&server->handle_pool, slot);
}

void v86fs_handles_forget(struct v86fs_server *server)
{
    while (server->handle_oldest)
        handle_remove(server, server->handles[server->handle_oldest].number);
}

void v86fs_server_reset(struct v86fs_server *server)
{
    v86fs_pending_cancel(server);
    while (server->handle_oldest) {
        const struct v86fs_handle *handle = &server->handles[server->handle_oldest];
        struct v86fs_call call = {
            .in = {.node = handle->node, .opaque = handle->opaque}};
        struct v86fs_tree tree = handle->export->tree;
        (void)tree.ops->close(tree.self, &call);
        handle_remove(server, handle->number);
    }
    server->features = 0;
}

/* ---- checks (8) to (10) ---- */

static uint32_t check_type(enum v86fs_rule rule, uint32_t mode,
                           const struct v86fs_ask *in)
{
    uint32_t type = mode & V86FS_TYPE_MASK;
    switch (rule) {
    case V86FS_RULE_directory:
        return type == V86FS_DIRECTORY ? 0 : V86FS_ENOTDIR;
    case V86FS_RULE_setattr:
        if (!(in->valid & V86FS_SET_SIZE))
            return 0;
        break;
    case V86FS_RULE_open:
        if (type == V86FS_SYMLINK)
            return V86FS_ELOOP;
        if (in->flags & V86FS_OPEN_DIRECTORY)
            return 0;
        break;
    case V86FS_RULE_symlink:
        return type == V86FS_SYMLINK ? 0 : V86FS_ENOENT;
    case V86FS_RULE_file:
    case V86FS_RULE_read:
        break;
    case V86FS_RULE_none:
    case V86FS_RULE_any:
    case V86FS_RULE_handle:
        return 0;
    }
    if (type == V86FS_DIRECTORY)
        return V86FS_EISDIR;
    return type == V86FS_SYMLINK ? V86FS_EINVAL : 0;
}

/* READ and CLOSE name a handle; READ may name a node instead (Q10). */
static uint32_t check_handle(struct v86fs_server *server, struct v86fs_job *job)
{
    uint64_t number = job->call.in.node;
    const struct v86fs_handle *handle = handle_of(server, number);
    job->handle = number;
    if (handle) {
        job->call.in.node = handle->node;
        job->call.in.opaque = handle->opaque;
        job->export = handle->export;
        return 0;
    }
    if (job->message->rule == V86FS_RULE_handle || number >= V86FS_HANDLE_BASE)
        return V86FS_EBADF;
    job->handle = 0;
    return 0;
}

static bool changes(const struct v86fs_job *job)
{
    if (job->message->rule == V86FS_RULE_open)
        return job->call.in.flags & V86FS_OPEN_ACCESS;
    return v86fs_tree_op_changes(job->message->op);
}

static uint32_t check_nodes(struct v86fs_server *server, struct v86fs_job *job)
{
    enum v86fs_rule rule = job->message->rule;
    const struct v86fs_export *other = NULL;
    uint32_t mode = 0, other_mode = V86FS_DIRECTORY;
    const struct v86fs_ask *in = &job->call.in;
    if (rule == V86FS_RULE_handle || rule == V86FS_RULE_read) {
        uint32_t status = check_handle(server, job);
        if (status || rule == V86FS_RULE_handle)
            return status;
    }
    job->export = find(server, in->node, &mode);
    if (!job->export) {
        uint32_t status = v86fs_ids_status(server->ids, in->node);
        return rule == V86FS_RULE_read && status == V86FS_ENOENT ? V86FS_EBADF : status;
    }
    if (job->message->op == V86FS_OP_rename) {
        other = find(server, in->new_parent, &other_mode);
        if (!other)
            return v86fs_ids_status(server->ids, in->new_parent);
    }
    uint32_t status = check_type(rule, mode, in);
    if (!status)
        status = check_type(rule, other ? other_mode : mode, in);
    if (status)
        return status;
    if (changes(job) && (job->export->read_only || (other && other->read_only)))
        return V86FS_EROFS;
    return other && other->root != job->export->root ? V86FS_EXDEV : 0;
}

/* ---- what is left of (11) for the server, and preparation of the call ---- */

static uint32_t prepare_setattr(const struct v86fs_server *server, struct v86fs_ask *in)
{
    in->valid &= V86FS_SET_KNOWN;
    if (in->valid)
        in->valid |= V86FS_SET_CTIME;
    if (server->features & V86FS_F1_ATTR2) {
        bool bad = ((in->valid & V86FS_SET_ATIME_TO) && in->atime.ns > 999999999) ||
                   ((in->valid & V86FS_SET_MTIME_TO) && in->mtime.ns > 999999999);
        return bad ? V86FS_EINVAL : 0;
    }
    /* The base protocol sends the bits of owner and explicit times without values. */
    if (in->valid & V86FS_SET_ATIME_TO)
        in->valid &= ~(uint32_t)(V86FS_SET_ATIME | V86FS_SET_ATIME_TO);
    if (in->valid & V86FS_SET_MTIME_TO)
        in->valid &= ~(uint32_t)(V86FS_SET_MTIME | V86FS_SET_MTIME_TO);
    in->valid &= ~(uint32_t)(V86FS_SET_UID | V86FS_SET_GID);
    return 0;
}

static uint32_t prepare_read(struct v86fs_job *job)
{
    struct v86fs_ask *in = &job->call.in;
    if (in->offset >> 63)
        return V86FS_EINVAL;
    uint32_t size_max = job->call.data_size_max;
    if (size_max > V86FS_TRANSFER_MAX)
        size_max = V86FS_TRANSFER_MAX;
    if (in->count > size_max)
        in->count = size_max;
    return 0;
}

static uint32_t prepare_unlink(struct v86fs_server *server, struct v86fs_ask *in)
{
    if (!(server->features & V86FS_F5_RMDIR))
        in->flags = V86FS_UNLINK_ANY;
    else if (in->flags & ~(uint32_t)V86FS_REMOVEDIR)
        return V86FS_EINVAL;
    else
        in->flags = in->flags ? V86FS_UNLINK_DIRECTORY : V86FS_UNLINK_FILE;
    return 0;
}

static uint32_t prepare(struct v86fs_server *server, struct v86fs_job *job)
{
    struct v86fs_ask *in = &job->call.in;
    switch (job->message->code) {
    case V86FS_MSG_SETATTR:
        return prepare_setattr(server, in);
    case V86FS_MSG_READ:
        return prepare_read(job);
    case V86FS_MSG_UNLINK:
        return prepare_unlink(server, in);
    case V86FS_MSG_OPEN:
        return server->handle_pool.used + server->pending_opens <
                       server->handle_pool.limit
                   ? 0
                   : V86FS_ENFILE;
    case V86FS_MSG_CLOSE:
        /* Before the tree hears of it, and whatever it says: a second CLOSE that comes
         * while this one is pending must not reach it. */
        handle_remove(server, job->handle);
        return 0;
    case V86FS_MSG_WRITE:
        return in->count > V86FS_TRANSFER_MAX ? V86FS_EINVAL : 0;
    case V86FS_MSG_STATFS:
        job->export = server->export_count ? &server->exports[0] : &server->nowhere;
        return 0;
    default:
        return 0;
    }
}

/* The export of a MOUNT: in.node becomes its root. */
static uint32_t prepare_mount(struct v86fs_server *server, struct v86fs_job *job)
{
    struct bytes name = job->call.in.name;
    enum v86fs_mount_errors errors = server->options.mount_errors;
    for (uint32_t i = 0; i < server->export_count && !job->export; i++) {
        if (bytes_equal(server->exports[i].name, name))
            job->export = &server->exports[i];
    }
    if (!job->export) {
        if (errors == V86FS_MOUNT_ERRORS_ALWAYS ||
            (errors == V86FS_MOUNT_ERRORS_AUTO && server->features))
            return V86FS_ENOENT;
        if (!v86fs_nowhere_root(server, job->call.now_ns))
            return V86FS_ENFILE;
        job->export = &server->nowhere;
    }
    job->call.in.node = job->export->root;
    job->call.out.attr.node = job->export->root;
    return 0;
}

/* ---- replies ---- */

/* readdir: one more entry behind those that are in the frame already. */
bool v86fs_job_entry(struct v86fs_call *call, const struct v86fs_dirent *entry)
{
    struct v86fs_job *job = call->entry_self;
    size_t size = v86fs_dirent_encode(entry, call->data + job->tail_size,
                                      call->data_size_max - job->tail_size);
    if (!size)
        return false;
    job->tail_size += size;
    job->entry_count++;
    job->cookie = entry->cookie;
    return true;
}

static uint32_t finish_readdir(struct v86fs_server *server, struct v86fs_job *job)
{
    struct v86fs_answer *out = &job->call.out;
    bool paged = job->features & V86FS_F0_READDIR_PAGED;
    out->count = job->entry_count;
    out->cookie = out->more ? job->cookie : 0;
    if (out->more && paged && !job->entry_count)
        return V86FS_EINVAL;
    if (out->more && !paged)
        server->counters.truncated++;
    return 0;
}

/* Work that follows a good answer of the tree. */
static uint32_t finish(struct v86fs_server *server, struct v86fs_job *job)
{
    struct v86fs_answer *out = &job->call.out;
    switch (job->message->code) {
    case V86FS_MSG_MOUNT:
        out->attr.node = job->call.in.node;
        return 0;
    case V86FS_MSG_OPEN:
        out->opaque = handle_add(server, job);
        return 0;
    case V86FS_MSG_READDIR:
        return finish_readdir(server, job);
    case V86FS_MSG_READ:
    case V86FS_MSG_READLINK:
        if (out->count > job->call.data_size_max)
            return V86FS_EIO;
        job->tail_size = out->count;
        return 0;
    default:
        return 0;
    }
}

static void observe(struct v86fs_server *server, const struct v86fs_job *job,
                    uint32_t status)
{
    const struct v86fs_observer *observer = &server->options.observer;
    const struct v86fs_ask *in = &job->call.in;
    if (status)
        return;
    if (job->message->code == V86FS_MSG_MOUNT && observer->mount)
        observer->mount(observer->self, in->name);
    if (job->message->code == V86FS_MSG_OPEN && observer->open)
        observer->open(observer->self, in->node);
    if (job->message->code == V86FS_MSG_CLOSE && observer->close)
        observer->close(observer->self, job->handle);
    if (job->message->code == V86FS_MSG_READ && observer->read)
        observer->read(observer->self, job->handle, in->node, in->offset, in->count);
}

size_t v86fs_job_reply(struct v86fs_server *server, struct v86fs_job *job,
                       uint32_t status, uint8_t *reply)
{
    if (status > STATUS_MAX)
        status = V86FS_EIO;
    if (!status)
        status = finish(server, job);
    size_t size =
        v86fs_reply_encode(job->message, job->features, job->tag, status,
                           &job->call.out, status ? 0 : job->tail_size, reply);
    observe(server, job, status);
    return size;
}

/* ---- serve ---- */

static uint32_t check_request(struct v86fs_server *server, struct bytes request,
                              struct v86fs_job *job)
{
    struct v86fs_ask *in = &job->call.in;
    struct bytes body =
        bytes_of(request.data + V86FS_HEADER_SIZE, request.size - V86FS_HEADER_SIZE);
    if (request.size > V86FS_FRAME_MAX || v86fs_load(request.data, 4) != request.size)
        return V86FS_EINVAL;
    uint32_t status = v86fs_request_decode(job->message, body, job->features, in);
    if (!status)
        status = v86fs_request_strings(job->message, in);
    if (!status && job->message->code == V86FS_MSG_MOUNT)
        status = prepare_mount(server, job);
    if (!status && job->message->rule != V86FS_RULE_none)
        status = check_nodes(server, job);
    return status ? status : prepare(server, job);
}

static void job_start(struct v86fs_server *server, struct v86fs_job *job,
                      uint8_t *reply, size_t reply_size_max)
{
    size_t tail_at = v86fs_reply_tail_at(job->message, server->features);
    job->features = server->features;
    job->call.entry = v86fs_job_entry;
    job->call.entry_self = job;
    if (reply_size_max >= tail_at) {
        job->call.data = reply + tail_at;
        job->call.data_size_max = (uint32_t)(reply_size_max - tail_at);
    }
}

void v86fs_server_serve(struct v86fs_server *server, uint64_t now_ns,
                        struct bytes request, uint8_t *reply, size_t reply_size_max,
                        size_t *ret_size, uint64_t *ret_token)
{
    struct v86fs_job job = {.call.now_ns = now_ns};
    *ret_size = 0;
    *ret_token = 0;
    if (reply_size_max > V86FS_FRAME_MAX)
        reply_size_max = V86FS_FRAME_MAX;
    if (request.size < V86FS_HEADER_SIZE) {
        server->counters.malformed++;
        return;
    }
    job.tag = (uint16_t)v86fs_load(request.data + 5, 2);
    job.message = v86fs_message_of(request.data[4]);
    size_t size_min = job.message ? v86fs_reply_size_min(job.message, server->features)
                                  : V86FS_ERROR_SIZE;
    if (reply_size_max < size_min) {
        server->counters.no_room++;
        return;
    }
    if (!job.message) {
        *ret_size = v86fs_error_encode(job.tag, V86FS_ENOSYS, reply);
        return;
    }
    job_start(server, &job, reply, reply_size_max);
    uint32_t status = check_request(server, request, &job);
    if (!status) {
        job.call.token = v86fs_pending_token(server);
        status = v86fs_tree_call(job.export->tree, job.message->op, &job.call);
        if (status == V86FS_PENDING && job.call.token) {
            *ret_token = v86fs_pending_add(server, &job, reply_size_max);
            return;
        }
    }
    *ret_size = v86fs_job_reply(server, &job, status, reply);
}
