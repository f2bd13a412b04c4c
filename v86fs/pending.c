/* SPDX-License-Identifier: MIT
 *
 * Calls that a tree answers later, each exactly once (v86fs.md 5.2).
 *
 * Tokens are never used again, so an answer to a forgotten call finds no slot.  The
 * reply is built when the answer comes and waits in the slot.
 */
#include "v86fs/server.h"

#include <string.h>

bool v86fs_pending_init(struct v86fs_server *server)
{
    uint32_t count = server->options.pending_count_max;
    size_t size = server->options.pending_frame_max;
    if (size > V86FS_FRAME_MAX)
        size = V86FS_FRAME_MAX;
    server->token_next = 1;
    server->pending = arena_new_array(server->arena, struct v86fs_pending, count);
    for (uint32_t i = 0; server->pending && i < count; i++) {
        server->pending[i].frame_size_max = size;
        server->pending[i].frame = arena_alloc(server->arena, size, 8);
        if (!server->pending[i].frame)
            return false;
    }
    return server->pending != NULL;
}

static struct v86fs_pending *slot_free(struct v86fs_server *server)
{
    for (uint32_t i = 0; i < server->options.pending_count_max; i++) {
        if (server->pending[i].state == V86FS_PENDING_FREE)
            return &server->pending[i];
    }
    return NULL;
}

static struct v86fs_pending *slot_of(struct v86fs_server *server, uint64_t token)
{
    for (uint32_t i = 0; i < server->options.pending_count_max; i++) {
        struct v86fs_pending *slot = &server->pending[i];
        if (slot->state != V86FS_PENDING_FREE && slot->token == token)
            return slot;
    }
    return NULL;
}

uint64_t v86fs_pending_token(struct v86fs_server *server)
{
    return slot_free(server) ? server->token_next : 0;
}

uint64_t v86fs_pending_add(struct v86fs_server *server, const struct v86fs_job *job,
                           size_t reply_size_max)
{
    struct v86fs_pending *slot = slot_free(server);
    size_t tail_at = v86fs_reply_tail_at(job->message, job->features);
    size_t size =
        reply_size_max < slot->frame_size_max ? reply_size_max : slot->frame_size_max;
    slot->state = V86FS_PENDING_ASKED;
    slot->token = server->token_next++;
    slot->job = *job;
    slot->job.call.entry_self = &slot->job;
    slot->job.call.data = slot->frame + tail_at;
    slot->job.call.data_size_max = size > tail_at ? (uint32_t)(size - tail_at) : 0;
    /* The request's bytes are gone by the time of the answer. */
    slot->job.call.in.name = slot->job.call.in.new_name = (struct bytes){0};
    slot->job.call.in.target = slot->job.call.in.data = (struct bytes){0};
    if (job->message->code == V86FS_MSG_OPEN)
        server->pending_opens++;
    return slot->token;
}

static void slot_clear(struct v86fs_server *server, struct v86fs_pending *slot)
{
    if (slot->state == V86FS_PENDING_ASKED && slot->job.message->code == V86FS_MSG_OPEN)
        server->pending_opens--;
    slot->state = V86FS_PENDING_FREE;
}

void v86fs_pending_cancel(struct v86fs_server *server)
{
    for (uint32_t i = 0; i < server->options.pending_count_max; i++) {
        struct v86fs_pending *slot = &server->pending[i];
        struct v86fs_tree tree = {0};
        if (slot->state == V86FS_PENDING_ASKED)
            tree = slot->job.export->tree;
        uint64_t token = slot->token;
        slot_clear(server, slot);
        if (tree.ops && tree.ops->cancel)
            tree.ops->cancel(tree.self, token);
    }
}

/* The adapter's bytes and entries into the frame; a status. */
static uint32_t copy_tail(struct v86fs_pending *slot, struct bytes tail,
                          const struct v86fs_dirent *entries, size_t entry_count)
{
    struct v86fs_call *call = &slot->job.call;
    if (slot->job.message->tail == V86FS_TAIL_entries) {
        for (size_t i = 0; i < entry_count; i++) {
            if (!v86fs_job_entry(call, &entries[i])) {
                call->out.more = true;
                break;
            }
        }
        return 0;
    }
    if (slot->job.message->tail == V86FS_TAIL_none)
        return 0;
    if (tail.size > call->data_size_max)
        return slot->job.message->tail == V86FS_TAIL_target ? V86FS_ENAMETOOLONG
                                                            : V86FS_EIO;
    if (tail.size)
        memcpy(call->data, tail.data, tail.size);
    call->out.count = (uint32_t)tail.size;
    return 0;
}

enum err v86fs_server_answer(struct v86fs_server *server, uint64_t token,
                             uint32_t status, const struct v86fs_answer *answer,
                             struct bytes tail, const struct v86fs_dirent *entries,
                             size_t entry_count)
{
    struct v86fs_pending *slot = slot_of(server, token);
    if (!slot) {
        server->counters.late++;
        return ERR_not_found;
    }
    if (slot->state == V86FS_PENDING_ANSWERED)
        return ERR_exists;
    if (slot->job.message->code == V86FS_MSG_OPEN)
        server->pending_opens--;
    slot->state = V86FS_PENDING_ANSWERED;
    if (!status) {
        slot->job.call.out = *answer;
        status = copy_tail(slot, tail, entries, entry_count);
    }
    slot->frame_size = v86fs_job_reply(server, &slot->job, status, slot->frame);
    return ERR_ok;
}

bool v86fs_server_answered(const struct v86fs_server *server, uint64_t token)
{
    for (uint32_t i = 0; i < server->options.pending_count_max; i++) {
        const struct v86fs_pending *slot = &server->pending[i];
        if (slot->state == V86FS_PENDING_ANSWERED && slot->token == token)
            return true;
    }
    return false;
}

bool v86fs_server_take(struct v86fs_server *server, uint64_t token, uint8_t *reply,
                       size_t reply_size_max, size_t *ret_size)
{
    struct v86fs_pending *slot = slot_of(server, token);
    if (!slot || slot->state != V86FS_PENDING_ANSWERED)
        return false;
    check(slot->frame_size <= reply_size_max);
    memcpy(reply, slot->frame, slot->frame_size);
    *ret_size = slot->frame_size;
    slot_clear(server, slot);
    return true;
}
