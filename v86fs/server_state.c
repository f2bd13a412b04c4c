/* SPDX-License-Identifier: MIT
 *
 * The server as bytes and back (v86fs.md 8): features, ids, exports and handles.  What
 * trees hold is theirs; requests that wait for an answer are the device's, which issues
 * them again.
 */
#include "v86fs/server.h"
#include "v86fs/state.h"

#include <string.h>

enum { VERSION = 1 };
static const char magic[8] = "V86FSSRV";

/* The index of a handle's export; behind the last one: the empty directory. */
static uint32_t export_index(const struct v86fs_server *server,
                             const struct v86fs_export *export)
{
    return export == &server->nowhere ? server->export_count
                                      : (uint32_t)(export - server->exports);
}

enum err v86fs_server_save(const struct v86fs_server *server, struct buf *buf)
{
    buf_put(buf, magic, sizeof magic);
    v86fs_put(buf, 4, VERSION);
    v86fs_put(buf, 4, server->features);
    v86fs_put(buf, 8, server->ids->next);
    v86fs_put(buf, 8, server->ids->preload_end);
    v86fs_put(buf, 8, server->ids->first_dynamic);
    v86fs_put(buf, 8, server->handle_next);
    v86fs_put(buf, 4, server->export_count);
    for (uint32_t k = 0; k < server->export_count; k++) {
        const struct v86fs_export *export = &server->exports[k];
        v86fs_put_text(buf, export->name);
        v86fs_put(buf, 8, export->root);
        v86fs_put(buf, 1, export->read_only);
    }
    v86fs_put(buf, 8, server->nowhere.root);
    v86fs_put(buf, 8, server->nowhere_ns);
    v86fs_put(buf, 4, server->handle_pool.used);
    for (uint32_t slot = server->handle_oldest; slot;
         slot = server->handles[slot].newer) {
        const struct v86fs_handle *handle = &server->handles[slot];
        v86fs_put(buf, 8, handle->number);
        v86fs_put(buf, 8, handle->node);
        v86fs_put(buf, 8, handle->opaque);
        v86fs_put(buf, 4, export_index(server, handle->export));
    }
    return buf->err;
}

void v86fs_server_take_over(struct v86fs_server *server, uint64_t id_first)
{
    *server->ids = (struct v86fs_ids){id_first, id_first, id_first};
    server->handle_next = V86FS_HANDLE_BASE + (V86FS_HANDLE_BASE >> 1);
}

/* ---- loading ---- */

/* The configuration made the exports; the state must be of the same ones. */
static void check_exports(const struct v86fs_server *server, struct v86fs_take *take)
{
    v86fs_take_demand(take, v86fs_take(take, 4) == server->export_count);
    for (uint32_t k = 0; k < server->export_count && !take->failed; k++) {
        const struct v86fs_export *export = &server->exports[k];
        struct bytes name = v86fs_take_text(take);
        v86fs_take_demand(
            take, name.size == export->name.size &&
                      (!name.size || !memcmp(name.data, export->name.data, name.size)));
        v86fs_take_demand(take, v86fs_take(take, 8) == export->root);
        v86fs_take_demand(take, v86fs_take_upto(take, 1, 1) == export->read_only);
    }
}

static void load_ids(struct v86fs_take *take, struct v86fs_ids *ids)
{
    ids->next = v86fs_take_upto(take, 8, (uint64_t)V86FS_ID_MAX + 1);
    ids->preload_end = v86fs_take_upto(take, 8, ids->next);
    ids->first_dynamic = v86fs_take_upto(take, 8, ids->next);
    v86fs_take_demand(take, ids->next && ids->preload_end <= ids->first_dynamic);
}

static void load_handles(struct v86fs_server *server, struct v86fs_take *take,
                         uint64_t last)
{
    uint64_t above = V86FS_HANDLE_BASE;
    uint32_t count = (uint32_t)v86fs_take_upto(take, 4, server->handle_pool.limit);
    for (uint32_t k = 0; k < count && !take->failed; k++) {
        uint64_t number = v86fs_take_upto(take, 8, last);
        uint64_t node = v86fs_take_upto(take, 8, V86FS_ID_MAX);
        uint64_t opaque = v86fs_take(take, 8);
        uint32_t index = (uint32_t)v86fs_take_upto(take, 4, server->export_count);
        v86fs_take_demand(take, number > above && node);
        if (take->failed)
            return;
        v86fs_handle_put(server, number, node, opaque,
                         index == server->export_count ? &server->nowhere
                                                       : &server->exports[index]);
        above = number;
    }
}

enum err v86fs_server_load(struct v86fs_server *server, struct bytes state)
{
    struct v86fs_take take = {.rest = state};
    struct v86fs_ids ids = {0};
    struct bytes start = v86fs_take_bytes(&take, sizeof magic);
    v86fs_take_demand(&take, start.data && !memcmp(start.data, magic, sizeof magic));
    v86fs_take_demand(&take, v86fs_take(&take, 4) == VERSION);
    uint32_t features = (uint32_t)v86fs_take(&take, 4);
    v86fs_take_demand(&take, !(features & ~(uint32_t)V86FS_FEATURES));
    load_ids(&take, &ids);
    uint64_t handle_next = v86fs_take(&take, 8);
    v86fs_take_demand(&take, handle_next >= V86FS_HANDLE_BASE);
    check_exports(server, &take);
    uint64_t nowhere = v86fs_take_upto(&take, 8, ids.next - 1);
    uint64_t nowhere_ns = v86fs_take(&take, 8);
    v86fs_handles_forget(server);
    load_handles(server, &take, handle_next);
    v86fs_take_demand(&take, !take.rest.size);
    if (take.failed) {
        v86fs_handles_forget(server);
        return ERR_v86fs_state;
    }
    server->features = features;
    *server->ids = ids;
    server->handle_next = handle_next;
    server->nowhere.root = nowhere;
    server->nowhere_ns = nowhere_ns;
    return ERR_ok;
}
