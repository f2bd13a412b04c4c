/* SPDX-License-Identifier: MIT
 *
 * The asking side of the bridge: an exchange of frames with a deadline, and what
 * happens when the other side breaks the rules.
 */
#include "hostfs/remote.h"

#include "base/os.h"
#include "base/os_bridge.h"

#include <stdlib.h>
#include <string.h>

enum { TIMEOUTS_TO_DEATH = 3, INVALIDATE_SIZE = 31, INVALIDATE_DIR_SIZE = 15 };

#define SECOND_NS UINT64_C(1000000000)

void hostfs_remote_options_init(struct hostfs_remote_options *options)
{
    *options = (struct hostfs_remote_options){.export = "",
                                              .node_count_max = 1 << 20,
                                              .hello_ns = 5 * SECOND_NS,
                                              .request_ns = 30 * SECOND_NS};
}

/* ---- one request ---- */

static uint32_t die(struct hostfs_remote *r, enum err err)
{
    r->err = err;
    os_close(r->channel.fd);
    r->channel.fd = -1;
    return V86FS_EIO;
}

/* No answer in time: it may still come, and must not be taken for another one. */
static uint32_t give_up(struct hostfs_remote *r)
{
    const struct hostfs_envelope cancel = {.kind = HOSTFS_CANCEL, .seq = r->seq};
    uint64_t deadline = os_clock_monotonic_ns() + r->options.request_ns;
    r->counters.timeouts++;
    if (++r->timeouts_in_a_row == TIMEOUTS_TO_DEATH || r->late_count == LATE_COUNT_MAX)
        return die(r, ERR_timeout);
    r->late[r->late_count++] = r->seq;
    return hostfs_channel_send(&r->channel, &cancel, deadline) ? die(r, ERR_io)
                                                               : V86FS_EIO;
}

/* A reply to a request that was given up? */
static bool is_late(struct hostfs_remote *r, uint64_t seq)
{
    for (size_t i = 0; i < r->late_count; i++) {
        if (r->late[i] == seq) {
            r->late[i] = r->late[--r->late_count];
            r->counters.late++;
            return true;
        }
    }
    return false;
}

/* Hand a notification on, with our id in the place of the key; false: it is none. */
static bool take_note(struct hostfs_remote *r, const struct hostfs_envelope *envelope)
{
    struct bytes frame = envelope->payload;
    if (envelope->kind != HOSTFS_NOTIFY || envelope->seq ||
        frame.size < V86FS_HEADER_SIZE || v86fs_load(frame.data, 4) != frame.size)
        return false;
    bool directory = frame.data[4] == V86FS_MSG_INVALIDATE_DIR;
    if ((!directory && frame.data[4] != V86FS_MSG_INVALIDATE) ||
        frame.size != (directory ? INVALIDATE_DIR_SIZE : INVALIDATE_SIZE))
        return false;
    const uint8_t *body = frame.data + V86FS_HEADER_SIZE;
    uint64_t key = v86fs_load(body, 8);
    uint32_t slot = key == UINT64_MAX ? 0 : v86fs_table_get(&r->key_table, key + 1);
    struct hostfs_note note = {.directory = directory};
    if (!slot)
        return true; /* the guest has not heard of it */
    note.node = r->nodes[slot].id;
    if (!directory) {
        note.offset = v86fs_load(body + 8, 8);
        note.size = v86fs_load(body + 16, 8);
    }
    r->counters.notes++;
    if (r->options.note)
        r->options.note(r->options.note_self, &note);
    return true;
}

static enum err receive_reply(struct hostfs_remote *r, uint64_t deadline,
                              struct bytes *ret_frame)
{
    for (;;) {
        struct hostfs_envelope envelope;
        TRY(hostfs_channel_receive(&r->channel, deadline, &envelope));
        if (take_note(r, &envelope))
            continue;
        if (envelope.kind == HOSTFS_BYE)
            return ERR_io;
        if (envelope.kind != HOSTFS_REP)
            return ERR_v86fs_bridge;
        if (envelope.seq == r->seq) {
            *ret_frame = envelope.payload;
            return ERR_ok;
        }
        if (!is_late(r, envelope.seq))
            return ERR_v86fs_bridge;
    }
}

/* Codes beyond the table are not errno values of a guest. */
enum { STATUS_MAX = 4095 };

uint32_t hostfs_remote_ask(struct hostfs_remote *r, uint8_t type, uint8_t flags,
                           const struct v86fs_ask *ask, uint32_t capacity,
                           struct v86fs_answer *ret_answer, struct bytes *ret_tail)
{
    const struct v86fs_message *message = v86fs_message_of(type);
    uint16_t tag = (uint16_t)(r->seq + 1);
    struct bytes frame;
    uint32_t status;
    if (r->err)
        return V86FS_EIO;
    buf_clear(&r->request);
    v86fs_request_encode(message, r->features, tag, ask, &r->request);
    if (r->request.err)
        return V86FS_EIO;
    struct hostfs_envelope envelope = {.kind = HOSTFS_REQ,
                                       .flags = flags,
                                       .seq = ++r->seq,
                                       .capacity = capacity,
                                       .payload = buf_bytes(&r->request)};
    uint64_t deadline = os_clock_monotonic_ns() + r->options.request_ns;
    enum err err = hostfs_channel_send(&r->channel, &envelope, deadline);
    if (!err)
        err = receive_reply(r, deadline, &frame);
    if (err == ERR_timeout)
        return give_up(r);
    if (err)
        return die(r, err);
    r->timeouts_in_a_row = 0;
    if (frame.size > capacity ||
        !v86fs_reply_decode(message, r->features, tag, frame, &status, ret_answer,
                            ret_tail) ||
        status > STATUS_MAX)
        return die(r, ERR_v86fs_bridge);
    return status;
}

void hostfs_remote_poll(struct hostfs_remote *r)
{
    while (!r->err && os_bridge_readable(r->channel.fd)) {
        struct hostfs_envelope envelope;
        uint64_t deadline = os_clock_monotonic_ns() + r->options.request_ns;
        enum err err = hostfs_channel_receive(&r->channel, deadline, &envelope);
        if (!err && envelope.kind == HOSTFS_BYE)
            err = ERR_io;
        if (!err && !take_note(r, &envelope) &&
            !(envelope.kind == HOSTFS_REP && is_late(r, envelope.seq)))
            err = ERR_v86fs_bridge;
        if (err)
            (void)die(r, err);
    }
}

/* ---- nodes ---- */

static bool is_type(uint32_t mode)
{
    uint32_t type = mode & V86FS_TYPE_MASK;
    return type == V86FS_DIRECTORY || type == V86FS_REGULAR || type == V86FS_SYMLINK;
}

uint32_t hostfs_remote_slot(const struct hostfs_remote *r, uint64_t id)
{
    return v86fs_table_get(&r->id_table, id);
}

void hostfs_remote_forget(struct hostfs_remote *r, uint32_t slot)
{
    struct hostfs_remote_node *node = &r->nodes[slot];
    if (slot == HOSTFS_REMOTE_ROOT || node->open_count)
        return;
    v86fs_table_remove(&r->id_table, node->id);
    v86fs_table_remove(&r->key_table, node->key + 1);
    v86fs_pool_give(&r->pool, slot);
}

uint32_t hostfs_remote_intern(struct hostfs_remote *r, uint64_t key, uint32_t mode,
                              uint32_t *ret_slot)
{
    if (!is_type(mode) || key == UINT64_MAX)
        return die(r, ERR_v86fs_bridge);
    uint32_t slot = v86fs_table_get(&r->key_table, key + 1);
    if (slot && r->nodes[slot].type != (mode & V86FS_TYPE_MASK)) {
        if (r->nodes[slot].open_count || slot == HOSTFS_REMOTE_ROOT)
            return die(r, ERR_v86fs_bridge); /* a file that is open became another */
        hostfs_remote_forget(r, slot);
        slot = 0;
    }
    if (!slot) {
        uint64_t id = r->pool.used < r->pool.limit ? v86fs_ids_take(r->ids) : 0;
        if (!id)
            return V86FS_ENFILE;
        slot = v86fs_pool_take(&r->pool);
        r->nodes[slot] = (struct hostfs_remote_node){
            .id = id, .key = key, .type = mode & V86FS_TYPE_MASK};
        v86fs_table_put(&r->id_table, id, slot);
        v86fs_table_put(&r->key_table, key + 1, slot);
    }
    *ret_slot = slot;
    return 0;
}

/* ---- from open to close ---- */

static enum err attach(struct hostfs_remote *r, const char *attachment)
{
    uint64_t deadline = os_clock_monotonic_ns() + r->options.hello_ns;
    if (strncmp(attachment, "unix:", 5) == 0)
        return os_bridge_connect(attachment + 5, deadline, &r->channel.fd);
    if (strncmp(attachment, "exec:", 5) == 0 && attachment[5])
        return os_bridge_spawn(attachment + 5, &r->channel.fd, &r->process);
    if (strncmp(attachment, "fd:", 3) != 0 || !attachment[3])
        return ERR_usage;
    char *end;
    unsigned long fd = strtoul(attachment + 3, &end, 10);
    if (*end || fd > 65535 || attachment[3] < '0' || attachment[3] > '9')
        return ERR_usage;
    r->channel.fd = (int)fd;
    return ERR_ok;
}

static enum err take_memory(struct arena *arena, struct hostfs_remote *r)
{
    uint32_t count = r->options.node_count_max;
    r->channel.in = arena_alloc(arena, HOSTFS_ENVELOPE_SIZE + V86FS_FRAME_MAX, 8);
    r->channel.out = arena_alloc(arena, HOSTFS_ENVELOPE_SIZE + V86FS_FRAME_MAX, 8);
    r->nodes = arena_new_array(arena, struct hostfs_remote_node, (size_t)count + 1);
    bool ok = r->channel.in && r->channel.out && r->nodes &&
              v86fs_pool_init(&r->pool, arena, count) &&
              v86fs_table_init(&r->id_table, arena, count) &&
              v86fs_table_init(&r->key_table, arena, count);
    buf_init(&r->request, V86FS_FRAME_MAX);
    for (unsigned i = 0; i < HOSTFS_REMOTE_LISTING_COUNT; i++)
        buf_init(&r->listing[i].entries, HOSTFS_REMOTE_LISTING_MAX);
    return ok ? ERR_ok : ERR_nomem;
}

static enum err mount_export(struct hostfs_remote *r)
{
    const char *name = r->options.export;
    const struct v86fs_ask ask = {.name = bytes_of(name, strlen(name))};
    struct v86fs_answer answer;
    struct bytes tail;
    uint32_t slot;
    uint32_t status =
        hostfs_remote_ask(r, V86FS_MSG_MOUNT, 0, &ask, V86FS_FRAME_MAX, &answer, &tail);
    if (status)
        return r->err ? r->err : ERR_v86fs_bridge;
    if ((answer.attr.mode & V86FS_TYPE_MASK) != V86FS_DIRECTORY)
        return ERR_v86fs_bridge;
    status = hostfs_remote_intern(r, answer.attr.node, answer.attr.mode, &slot);
    r->root_mode = answer.attr.mode;
    return status ? ERR_limit : ERR_ok;
}

enum err hostfs_remote_open(struct arena *arena,
                            const struct hostfs_remote_options *options,
                            const char *attachment, struct v86fs_ids *ids,
                            struct hostfs_remote **ret_remote)
{
    struct hostfs_hello hello;
    if (!options->node_count_max || options->node_count_max > 1 << 30)
        return ERR_usage;
    struct hostfs_remote *r = arena_new(arena, struct hostfs_remote);
    if (!r)
        return ERR_nomem;
    r->options = *options;
    r->ids = ids;
    r->channel.fd = -1;
    TRY(take_memory(arena, r));
    enum err err = attach(r, attachment);
    if (!err)
        err = hostfs_channel_hello(&r->channel, V86FS_FEATURES,
                                   os_clock_monotonic_ns() + options->hello_ns, &hello);
    if (!err) {
        r->features = hello.features;
        err = mount_export(r);
    }
    if (err)
        hostfs_remote_close(r);
    else
        *ret_remote = r;
    return err;
}

void hostfs_remote_close(struct hostfs_remote *r)
{
    const struct hostfs_envelope bye = {.kind = HOSTFS_BYE};
    if (!r)
        return;
    if (r->channel.fd >= 0)
        (void)!hostfs_channel_send(&r->channel, &bye,
                                   os_clock_monotonic_ns() + SECOND_NS);
    os_close(r->channel.fd);
    r->channel.fd = -1;
    os_bridge_end(r->process);
    buf_fini(&r->request);
    for (unsigned i = 0; i < HOSTFS_REMOTE_LISTING_COUNT; i++)
        buf_fini(&r->listing[i].entries);
}

struct v86fs_tree hostfs_remote_tree(struct hostfs_remote *r)
{
    return (struct v86fs_tree){.ops = &hostfs_remote_ops, .self = r};
}

uint64_t hostfs_remote_root(const struct hostfs_remote *r)
{
    return r->nodes[HOSTFS_REMOTE_ROOT].id;
}

enum err hostfs_remote_error(const struct hostfs_remote *r)
{
    return r->err;
}

const struct hostfs_remote_counters *
hostfs_remote_counters(const struct hostfs_remote *r)
{
    return &r->counters;
}
