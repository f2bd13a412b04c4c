/* SPDX-License-Identifier: MIT
 *
 * Layouts are lists of fields made from messages.def; one loop reads and one writes
 * every message.
 */
#include "v86fs/proto.h"

#include <stddef.h>
#include <string.h>

#define MSG(code, name, op, rule) static const struct v86fs_field request_##name[] = {
#define REQ(type, member, feature)                                                     \
    {V86FS_FIELD_##type, offsetof(struct v86fs_ask, member), feature, 0, 0, #member},
#define NAME(member, empty, dots)                                                      \
    {V86FS_FIELD_name, offsetof(struct v86fs_ask, member), 0, empty, dots, #member},
#define END(name)                                                                      \
    {                                                                                  \
        0                                                                              \
    }                                                                                  \
    }                                                                                  \
    ;
#include "v86fs/messages.def"

#define MSG(code, name, op, rule) static const struct v86fs_field reply_##name[] = {
#define REP(type, member, feature)                                                     \
    {V86FS_FIELD_##type, offsetof(struct v86fs_answer, member), feature, 0, 0, #member},
#define END(name)                                                                      \
    {                                                                                  \
        0                                                                              \
    }                                                                                  \
    }                                                                                  \
    ;
#include "v86fs/messages.def"

static const struct v86fs_message messages[V86FS_TYPE_COUNT] = {
#define MSG(number, message, call, node)                                               \
    [number] = {.name = #message,                                                      \
                .code = number,                                                        \
                .op = V86FS_OP_##call,                                                 \
                .rule = V86FS_RULE_##node,                                             \
                .request = request_##message,                                          \
                .reply = reply_##message,
#define TAIL(kind) .tail = V86FS_TAIL_##kind,
#define END(message)                                                                   \
    }                                                                                  \
    ,
#include "v86fs/messages.def"
};

const struct v86fs_message *v86fs_message_of(uint8_t type)
{
    return type < V86FS_TYPE_COUNT ? &messages[type] : NULL;
}

const char *v86fs_type_name(uint8_t type)
{
    switch (type) {
#define MSG(code, name, op, rule)                                                      \
    case code:                                                                         \
        return #name;                                                                  \
    case (code) | V86FS_REPLY:                                                         \
        return #name "_R";
#define NOTE(code, name)                                                               \
    case code:                                                                         \
        return #name;
#include "v86fs/messages.def"
    case V86FS_ERROR_R:
        return "ERROR_R";
    default:
        return "?";
    }
}

uint64_t v86fs_load(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = size; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

void v86fs_store(uint8_t *at, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* Bytes of a number on the wire; 0 for strings. */
static unsigned field_size(const struct v86fs_field *field)
{
    switch (field->type) {
    case V86FS_FIELD_u32:
        return 4;
    case V86FS_FIELD_u64:
    case V86FS_FIELD_i64:
        return 8;
    case V86FS_FIELD_end:
    case V86FS_FIELD_name:
    case V86FS_FIELD_target:
    case V86FS_FIELD_data:
        break;
    }
    return 0;
}

static bool field_there(const struct v86fs_field *field, uint32_t features)
{
    return !field->feature || (field->feature & features);
}

static void member_set(void *object, const struct v86fs_field *field, uint64_t value)
{
    uint8_t *member = (uint8_t *)object + field->offset;
    if (field_size(field) == 4)
        memcpy(member, &(uint32_t){(uint32_t)value}, 4);
    else
        memcpy(member, &value, 8);
}

static uint64_t member_get(const void *object, const struct v86fs_field *field)
{
    const uint8_t *member = (const uint8_t *)object + field->offset;
    uint64_t wide;
    uint32_t narrow;
    if (field_size(field) == 4) {
        memcpy(&narrow, member, 4);
        return narrow;
    }
    memcpy(&wide, member, 8);
    return wide;
}

static struct bytes *member_bytes(void *object, const struct v86fs_field *field)
{
    return (struct bytes *)(void *)((uint8_t *)object + field->offset);
}

/* ---- requests ---- */

/* Take one field off `body`; false if it runs past the end. */
static bool field_decode(const struct v86fs_field *field, struct bytes *body,
                         struct v86fs_ask *ask)
{
    size_t size = field_size(field);
    if (size) {
        if (body->size < size)
            return false;
        member_set(ask, field, v86fs_load(body->data, (unsigned)size));
    } else if (field->type == V86FS_FIELD_data) {
        size = body->size;
        if (size != ask->count)
            return false;
        *member_bytes(ask, field) = *body;
    } else {
        if (body->size < 2)
            return false;
        size = 2 + (size_t)v86fs_load(body->data, 2);
        if (body->size < size)
            return false;
        *member_bytes(ask, field) = bytes_of(body->data + 2, size - 2);
    }
    *body = bytes_of(body->data + size, body->size - size);
    return true;
}

uint32_t v86fs_request_decode(const struct v86fs_message *message, struct bytes body,
                              uint32_t features, struct v86fs_ask *ret_ask)
{
    for (const struct v86fs_field *field = message->request; field->type; field++) {
        if (field_there(field, features) && !field_decode(field, &body, ret_ask))
            return V86FS_EINVAL;
    }
    return body.size ? V86FS_EINVAL : 0;
}

/* Names of mounts may hold anything but NUL (X7, X8). */
static uint32_t mount_name_status(struct bytes name)
{
    if (name.size > V86FS_NAME_MAX)
        return V86FS_ENAMETOOLONG;
    return name.size && memchr(name.data, 0, name.size) ? V86FS_EINVAL : 0;
}

uint32_t v86fs_request_strings(const struct v86fs_message *message,
                               const struct v86fs_ask *ask)
{
    for (const struct v86fs_field *field = message->request; field->type; field++) {
        uint32_t status = 0;
        struct bytes text;
        if (field->type == V86FS_FIELD_name || field->type == V86FS_FIELD_target)
            memcpy(&text, (const uint8_t *)ask + field->offset, sizeof text);
        if (field->type == V86FS_FIELD_name)
            status = field->empty < 0
                         ? mount_name_status(text)
                         : v86fs_tree_name_status(text, (uint32_t)field->empty,
                                                  (uint32_t)field->dots);
        else if (field->type == V86FS_FIELD_target)
            status = v86fs_tree_target_status(text);
        if (status)
            return status;
    }
    return 0;
}

static void header_store(uint8_t *frame, size_t size, uint8_t type, uint16_t tag)
{
    v86fs_store(frame, 4, size);
    frame[4] = type;
    v86fs_store(frame + 5, 2, tag);
}

void v86fs_request_encode(const struct v86fs_message *message, uint32_t features,
                          uint16_t tag, const struct v86fs_ask *ask, struct buf *frame)
{
    size_t start = frame->size;
    buf_extend(frame, V86FS_HEADER_SIZE);
    for (const struct v86fs_field *field = message->request; field->type; field++) {
        uint8_t number[8];
        unsigned size = field_size(field);
        struct bytes text;
        if (!field_there(field, features))
            continue;
        if (size) {
            v86fs_store(number, size, member_get(ask, field));
            buf_put(frame, number, size);
            continue;
        }
        memcpy(&text, (const uint8_t *)ask + field->offset, sizeof text);
        v86fs_store(number, 2, text.size);
        if (field->type != V86FS_FIELD_data)
            buf_put(frame, number, 2);
        buf_put(frame, text.data, text.size);
    }
    if (!frame->err)
        header_store(frame->data + start, frame->size - start, message->code, tag);
}

/* ---- replies ---- */

size_t v86fs_reply_size_min(const struct v86fs_message *message, uint32_t features)
{
    size_t size = V86FS_ERROR_SIZE;
    for (const struct v86fs_field *field = message->reply; field->type; field++) {
        if (field_there(field, features))
            size += field_size(field);
    }
    return size;
}

size_t v86fs_reply_tail_at(const struct v86fs_message *message, uint32_t features)
{
    return v86fs_reply_size_min(message, features) +
           (message->tail == V86FS_TAIL_target ? 2 : 0);
}

size_t v86fs_reply_encode(const struct v86fs_message *message, uint32_t features,
                          uint16_t tag, uint32_t status,
                          const struct v86fs_answer *answer, size_t tail_size,
                          uint8_t *reply)
{
    uint8_t *at = reply + V86FS_ERROR_SIZE;
    for (const struct v86fs_field *field = message->reply; field->type; field++) {
        if (!field_there(field, features))
            continue;
        v86fs_store(at, field_size(field), status ? 0 : member_get(answer, field));
        at += field_size(field);
    }
    if (!status && message->tail == V86FS_TAIL_target) {
        v86fs_store(at, 2, tail_size);
        at += 2;
    }
    size_t size = (size_t)(at - reply) + (status ? 0 : tail_size);
    header_store(reply, size, message->code | V86FS_REPLY, tag);
    v86fs_store(reply + V86FS_HEADER_SIZE, 4, status);
    return size;
}

size_t v86fs_error_encode(uint16_t tag, uint32_t status, uint8_t *reply)
{
    header_store(reply, V86FS_ERROR_SIZE, V86FS_ERROR_R, tag);
    v86fs_store(reply + V86FS_HEADER_SIZE, 4, status);
    return V86FS_ERROR_SIZE;
}

/* Does the tail fit what the fixed part says of it? */
static bool tail_decode(const struct v86fs_message *message, struct bytes rest,
                        const struct v86fs_answer *answer, struct bytes *ret_tail)
{
    switch (message->tail) {
    case V86FS_TAIL_none:
        break;
    case V86FS_TAIL_data:
        *ret_tail = rest;
        return answer->count == rest.size;
    case V86FS_TAIL_target:
        if (rest.size < 2 || v86fs_load(rest.data, 2) != rest.size - 2)
            return false;
        *ret_tail = bytes_of(rest.data + 2, rest.size - 2);
        return ret_tail->size <= V86FS_TARGET_MAX;
    case V86FS_TAIL_entries: {
        struct v86fs_dirent entry;
        *ret_tail = rest;
        for (uint32_t i = 0; i < answer->count; i++) {
            if (!v86fs_dirent_decode(&rest, &entry))
                return false;
        }
        break;
    }
    }
    return rest.size == 0;
}

bool v86fs_reply_decode(const struct v86fs_message *message, uint32_t features,
                        uint16_t tag, struct bytes frame, uint32_t *ret_status,
                        struct v86fs_answer *ret_answer, struct bytes *ret_tail)
{
    const uint8_t *at = frame.data;
    size_t size_min = v86fs_reply_size_min(message, features);
    if (frame.size < V86FS_ERROR_SIZE || v86fs_load(at, 4) != frame.size ||
        v86fs_load(at + 5, 2) != tag)
        return false;
    uint64_t status = v86fs_load(at + V86FS_HEADER_SIZE, 4);
    if (status > 4095)
        return false;
    bool error = at[4] == V86FS_ERROR_R;
    if (error ? frame.size != V86FS_ERROR_SIZE || !status
              : at[4] != (message->code | V86FS_REPLY) || frame.size < size_min)
        return false;
    if (status && !error && frame.size != size_min)
        return false;
    *ret_status = (uint32_t)status;
    if (status)
        return true;
    at += V86FS_ERROR_SIZE;
    for (const struct v86fs_field *field = message->reply; field->type; field++) {
        if (!field_there(field, features))
            continue;
        member_set(ret_answer, field, v86fs_load(at, field_size(field)));
        at += field_size(field);
    }
    return tail_decode(message, bytes_of(at, frame.size - size_min), ret_answer,
                       ret_tail);
}

/* ---- directory entries ---- */

static uint8_t d_type_of(uint32_t mode)
{
    return (uint8_t)((mode & V86FS_TYPE_MASK) >> 12);
}

size_t v86fs_dirent_encode(const struct v86fs_dirent *entry, uint8_t *at,
                           size_t size_max)
{
    size_t size = V86FS_DIRENT_SIZE + entry->name.size;
    if (size > size_max)
        return 0;
    v86fs_store(at, 8, entry->node);
    at[8] = d_type_of(entry->mode);
    v86fs_store(at + 9, 2, entry->name.size);
    memcpy(at + V86FS_DIRENT_SIZE, entry->name.data, entry->name.size);
    return size;
}

bool v86fs_dirent_decode(struct bytes *entries, struct v86fs_dirent *ret_entry)
{
    if (entries->size < V86FS_DIRENT_SIZE)
        return false;
    const uint8_t *at = entries->data;
    size_t size = V86FS_DIRENT_SIZE + (size_t)v86fs_load(at + 9, 2);
    uint32_t mode = (uint32_t)at[8] << 12;
    if (entries->size < size ||
        (mode != V86FS_DIRECTORY && mode != V86FS_REGULAR && mode != V86FS_SYMLINK))
        return false;
    *ret_entry = (struct v86fs_dirent){
        .node = v86fs_load(at, 8),
        .mode = mode,
        .name = bytes_of(at + V86FS_DIRENT_SIZE, size - V86FS_DIRENT_SIZE)};
    *entries = bytes_of(at + size, entries->size - size);
    return true;
}

/* ---- notifications ---- */

size_t v86fs_invalidate_encode(uint64_t ino, uint64_t offset, uint64_t size,
                               uint8_t *frame, size_t size_max)
{
    if (size_max < 31)
        return 0;
    header_store(frame, 31, V86FS_MSG_INVALIDATE, 0);
    v86fs_store(frame + 7, 8, ino);
    v86fs_store(frame + 15, 8, offset);
    v86fs_store(frame + 23, 8, size);
    return 31;
}

size_t v86fs_invalidate_dir_encode(uint64_t ino, uint8_t *frame, size_t size_max)
{
    if (size_max < 15)
        return 0;
    header_store(frame, 15, V86FS_MSG_INVALIDATE_DIR, 0);
    v86fs_store(frame + 7, 8, ino);
    return 15;
}

static uint8_t *string_store(uint8_t *at, struct bytes text)
{
    v86fs_store(at, 2, text.size);
    if (text.size)
        memcpy(at + 2, text.data, text.size);
    return at + 2 + text.size;
}

size_t v86fs_mount_notify_encode(struct bytes name, struct bytes path, uint8_t *frame,
                                 size_t size_max)
{
    if (name.size > UINT16_MAX || path.size > UINT16_MAX ||
        11 + name.size + path.size > size_max)
        return 0;
    size_t size = 11 + name.size + path.size;
    header_store(frame, size, V86FS_MSG_MOUNT_NOTIFY, 0);
    string_store(string_store(frame + V86FS_HEADER_SIZE, name), path);
    return size;
}

size_t v86fs_umount_notify_encode(struct bytes path, uint8_t *frame, size_t size_max)
{
    if (path.size > UINT16_MAX || 9 + path.size > size_max)
        return 0;
    header_store(frame, 9 + path.size, V86FS_MSG_UMOUNT_NOTIFY, 0);
    string_store(frame + V86FS_HEADER_SIZE, path);
    return 9 + path.size;
}
