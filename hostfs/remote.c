/* SPDX-License-Identifier: MIT
 *
 * The asking side of the bridge: an exchange of frames with a deadline, and what
 * happens when the other side breaks the rules.
 */
#include "hostfs/remote.h"

#include "base/os.h"
#include "base/os_program.h"
#include "base/os_stream.h"

#include <stdlib.h>
#include <string.h>

enum { TIMEOUTS_TO_DEATH = 3, POLL_MAX = 256, RESTART_MAX = 3 };

#define SECOND_NS UINT64_C(1000000000)
#define PAUSE_NS (SECOND_NS / 5)

void hostfs_remote_options_init(struct hostfs_remote_options *options)
{
    *options = (struct hostfs_remote_options){.export = "",
                                              .node_count_max = 1 << 20,
                                              .hello_ns = 5 * SECOND_NS,
                                              .request_ns = 30 * SECOND_NS};
}

/* ---- life and death ---- */

static void detach(struct hostfs_remote *r)
{
    hostfs_channel_fini(&r->channel);
    os_close(r->channel.fd);
    r->channel.fd = -1;
}

static uint32_t die(struct hostfs_remote *r, enum err err)
{
    r->err = err;
    detach(r);
    if (r->options.told && err != ERR_interrupted && !r->reviving)
        r->options.told(r->options.self, err);
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
    return hostfs_channel_send(&r->channel, &cancel, deadline) ? die(r, ERR_closed)
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

static void give_note(struct hostfs_remote *r, struct bytes frame)
{
    r->counters.notes++;
    if (r->options.note)
        r->options.note(r->options.self, frame);
}

/* The same with our id in the place of the key; slot 0: the guest has not heard of it.
 */
static void give_note_of(struct hostfs_remote *r, struct bytes frame, uint32_t slot)
{
    uint8_t copy[HOSTFS_NOTE_MAX];
    if (!slot)
        return;
    memcpy(copy, frame.data, frame.size);
    v86fs_store(copy + V86FS_HEADER_SIZE, 8, r->nodes[slot].id);
    give_note(r, bytes_of(copy, frame.size));
}

/* False: the envelope is no notification of those that are allowed. */
static bool take_note(struct hostfs_remote *r, const struct hostfs_envelope *envelope)
{
    struct bytes frame = envelope->payload;
    struct v86fs_note note;
    if (envelope->kind != HOSTFS_NOTIFY || envelope->seq ||
        frame.size > HOSTFS_NOTE_MAX || !v86fs_note_decode(frame, &note))
        return false;
    if (v86fs_note_is_mount(&note) && !r->options.mounts)
        return false;
    if (v86fs_note_is_mount(&note))
        give_note(r, frame);
    else if (note.ino != UINT64_MAX)
        give_note_of(r, frame, v86fs_table_get(&r->key_table, note.ino + 1));
    return true;
}

static enum err receive_reply(struct hostfs_remote *r, uint64_t deadline,
                              struct bytes *ret_frame)
{
    for (;;) {
        struct hostfs_envelope envelope;
        TRY(hostfs_channel_receive(&r->channel, deadline, &envelope));
        if (take_note(r, &envelope)) {
            if (os_clock_monotonic_ns() >= deadline)
                return ERR_timeout; /* notes are no answer */
            continue;
        }
        if (envelope.kind == HOSTFS_BYE)
            return ERR_closed;
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
    for (unsigned i = 0; i < POLL_MAX && !r->err && hostfs_channel_ready(&r->channel);
         i++) {
        struct hostfs_envelope envelope;
        uint64_t deadline = os_clock_monotonic_ns() + r->options.request_ns;
        enum err err = hostfs_channel_receive(&r->channel, deadline, &envelope);
        if (!err && envelope.kind == HOSTFS_BYE)
            err = ERR_closed;
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
    node->id = 0;
    v86fs_pool_give(&r->pool, slot);
}

/* A new other side knows no key of the old one; the root keeps its id. */
void hostfs_remote_forget_all(struct hostfs_remote *r)
{
    for (uint32_t slot = 1; slot < r->pool.fresh; slot++) {
        struct hostfs_remote_node *node = &r->nodes[slot];
        if (!node->id)
            continue;
        node->open_count = 0;
        hostfs_remote_forget(r, slot);
    }
    for (unsigned i = 0; i < HOSTFS_REMOTE_LISTING_COUNT; i++)
        r->listing[i].slot = 0;
}

bool hostfs_remote_take_root(struct hostfs_remote *r, uint64_t key)
{
    struct hostfs_remote_node *root = &r->nodes[HOSTFS_REMOTE_ROOT];
    uint32_t slot;
    if (!root->id)
        return !hostfs_remote_intern(r, key, V86FS_DIRECTORY, &slot);
    v86fs_table_remove(&r->key_table, root->key + 1);
    root->key = key;
    v86fs_table_put(&r->key_table, key + 1, HOSTFS_REMOTE_ROOT);
    return true;
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

static enum err attach(struct hostfs_remote *r, uint64_t deadline)
{
    const char *attachment = r->attachment;
    if (strncmp(attachment, "unix:", 5) == 0)
        return os_stream_connect(attachment + 5, deadline, &r->channel.fd);
    if (strncmp(attachment, "exec:", 5) == 0 && attachment[5])
        return os_program_shell(attachment + 5, &r->channel.fd, &r->process);
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
    uint32_t status =
        hostfs_remote_ask(r, V86FS_MSG_MOUNT, 0, &ask, V86FS_FRAME_MAX, &answer, &tail);
    if (status)
        return r->err ? r->err : ERR_v86fs_bridge;
    if ((answer.attr.mode & V86FS_TYPE_MASK) != V86FS_DIRECTORY ||
        answer.attr.node == UINT64_MAX)
        return ERR_v86fs_bridge;
    r->root_mode = answer.attr.mode;
    return hostfs_remote_take_root(r, answer.attr.node) ? ERR_ok : ERR_limit;
}

/* From nothing to a mounted export. */
static enum err start(struct hostfs_remote *r)
{
    uint64_t deadline = os_clock_monotonic_ns() + r->options.hello_ns;
    struct hostfs_hello hello;
    r->err = ERR_ok;
    r->seq = 0;
    r->late_count = r->timeouts_in_a_row = 0;
    TRY(attach(r, deadline));
    TRY(hostfs_channel_hello(&r->channel, V86FS_FEATURES, r->options.shared, deadline,
                             &hello));
    r->features = hello.features;
    return mount_export(r);
}

static bool restart(struct hostfs_remote *r)
{
    hostfs_remote_forget_all(r);
    detach(r);
    os_program_end(r->process);
    r->process = 0;
    enum err err = start(r);
    if (!err) {
        r->counters.restarts++;
        if (r->options.told)
            r->options.told(r->options.self, ERR_ok);
    } else {
        r->err = err;
        detach(r);
    }
    return !err;
}

void hostfs_remote_revive(struct hostfs_remote *r)
{
    if (!r->err || r->reviving || os_interrupted())
        return;
    r->reviving = true;
    if (r->options.on_death == HOSTFS_DEATH_RESTART) {
        while (r->err && r->restart_count < RESTART_MAX) {
            r->restart_count++;
            (void)restart(r);
        }
    } else if (r->options.on_death == HOSTFS_DEATH_PAUSE) {
        while (!restart(r) && !os_interrupted())
            os_sleep_ns(PAUSE_NS);
    }
    r->reviving = false;
}

enum err hostfs_remote_open(struct arena *arena,
                            const struct hostfs_remote_options *options,
                            const char *attachment, struct v86fs_ids *ids,
                            struct hostfs_remote **ret_remote)
{
    bool inherited = strncmp(attachment, "fd:", 3) == 0;
    if (!options->node_count_max || options->node_count_max > 1 << 30 ||
        (inherited && options->on_death != HOSTFS_DEATH_FAIL))
        return ERR_usage;
    struct hostfs_remote *r = arena_new(arena, struct hostfs_remote);
    if (!r)
        return ERR_nomem;
    r->options = *options;
    r->attachment = attachment;
    r->ids = ids;
    r->channel.fd = -1;
    r->reviving = true; /* death before the first answer is an error of ours */
    TRY(take_memory(arena, r));
    enum err err = start(r);
    r->reviving = false;
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
    detach(r);
    os_program_end(r->process);
    r->process = 0;
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

bool hostfs_remote_shared(const struct hostfs_remote *r)
{
    return r->channel.shared;
}

void hostfs_remote_descriptors(const struct hostfs_remote *r, int ret_fds[2])
{
    ret_fds[0] = r->channel.fd;
    ret_fds[1] = r->channel.shared ? r->channel.told : -1;
}

const struct hostfs_remote_counters *
hostfs_remote_counters(const struct hostfs_remote *r)
{
    return &r->counters;
}
