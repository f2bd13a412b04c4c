/* SPDX-License-Identifier: MIT */
#include "cli/fs_text.h"

#include "v86fs/proto.h"

#include <inttypes.h>
#include <string.h>

enum { SHOWN_MAX = 255 };

static void put_name(struct bytes name, struct buf *text)
{
    buf_byte(text, '"');
    for (size_t i = 0; i < name.size && i < SHOWN_MAX; i++) {
        uint8_t byte = name.data[i];
        if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\')
            buf_byte(text, byte);
        else
            buf_printf(text, "\\x%02x", byte);
    }
    buf_text(text, name.size > SHOWN_MAX ? "\"..." : "\"");
}

/* One field of the struct that a decoder has filled in. */
static void put_field(const struct v86fs_field *field, const void *from,
                      struct buf *text)
{
    const uint8_t *at = (const uint8_t *)from + field->offset;
    const char *name = strncmp(field->name, "attr.", 5) == 0     ? field->name + 5
                       : strncmp(field->name, "statfs.", 7) == 0 ? field->name + 7
                                                                 : field->name;
    bool octal = strcmp(name, "mode") == 0 || strcmp(name, "flags") == 0;
    bool hex = strcmp(name, "valid") == 0;
    struct bytes bytes;
    uint64_t wide;
    uint32_t narrow;
    switch (field->type) {
    case V86FS_FIELD_u32:
        memcpy(&narrow, at, sizeof narrow);
        buf_printf(text,
                   octal ? " %s=0%" PRIo32
                   : hex ? " %s=0x%" PRIx32
                         : " %s=%u",
                   name, narrow);
        break;
    case V86FS_FIELD_u64:
        memcpy(&wide, at, sizeof wide);
        buf_printf(text, " %s=%" PRIu64, name, wide);
        break;
    case V86FS_FIELD_i64:
        memcpy(&wide, at, sizeof wide);
        buf_printf(text, " %s=%" PRId64, name, (int64_t)wide);
        break;
    case V86FS_FIELD_name:
    case V86FS_FIELD_target:
        memcpy(&bytes, at, sizeof bytes);
        buf_printf(text, " %s=", name);
        put_name(bytes, text);
        break;
    case V86FS_FIELD_data: /* its size is `count` */
    case V86FS_FIELD_end:
        break;
    }
}

static void put_fields(const struct v86fs_field *field, uint32_t features,
                       const void *from, struct buf *text)
{
    for (; field->type != V86FS_FIELD_end; field++) {
        if (!field->feature || features & field->feature)
            put_field(field, from, text);
    }
}

static void request_text(const struct v86fs_message *message, struct bytes frame,
                         uint32_t features, struct buf *text)
{
    struct v86fs_ask ask = {0};
    struct bytes body =
        bytes_of(frame.data + V86FS_HEADER_SIZE, frame.size - V86FS_HEADER_SIZE);
    if (v86fs_load(frame.data, 4) != frame.size ||
        v86fs_request_decode(message, body, features, &ask))
        buf_text(text, " (malformed)");
    else
        put_fields(message->request, features, &ask, text);
}

static void put_entries(struct bytes entries, struct buf *text)
{
    struct v86fs_dirent entry;
    buf_text(text, " [");
    for (size_t count = 0; v86fs_dirent_decode(&entries, &entry); count++) {
        if (text->size > 4096) {
            buf_text(text, " ...");
            break;
        }
        buf_printf(text, "%s%" PRIu64 ":", count ? " " : "", entry.node);
        put_name(entry.name, text);
    }
    buf_text(text, "]");
}

static void reply_text(const struct v86fs_message *message, struct bytes frame,
                       uint32_t features, struct buf *text)
{
    struct v86fs_answer answer = {0};
    struct bytes tail = {0};
    uint32_t status;
    uint16_t tag = (uint16_t)v86fs_load(frame.data + 5, 2);
    if (!v86fs_reply_decode(message, features, tag, frame, &status, &answer, &tail)) {
        buf_text(text, " (malformed)");
        return;
    }
    const char *name = v86fs_tree_status_name(status);
    if (name[0] == '?')
        buf_printf(text, " errno=%" PRIu32, status);
    else
        buf_printf(text, " %s", name);
    if (status)
        return;
    put_fields(message->reply, features, &answer, text);
    if (message->tail == V86FS_TAIL_target) {
        buf_text(text, " target=");
        put_name(tail, text);
    }
    if (message->tail == V86FS_TAIL_entries)
        put_entries(tail, text);
}

static void note_text(struct bytes frame, struct buf *text)
{
    static const char *const names[] = {"ino", "offset", "size"};
    size_t body = frame.size - V86FS_HEADER_SIZE;
    for (size_t i = 0;
         i < 3 && frame.data[4] <= V86FS_MSG_INVALIDATE_DIR && (i + 1) * 8 <= body; i++)
        buf_printf(text, " %s=%" PRIu64, names[i],
                   v86fs_load(frame.data + V86FS_HEADER_SIZE + i * 8, 8));
}

void cli_fs_frame_text(struct bytes frame, uint32_t features, struct buf *text)
{
    if (frame.size < V86FS_HEADER_SIZE) {
        buf_printf(text, "(%zu bytes)", frame.size);
        return;
    }
    uint8_t type = frame.data[4];
    const struct v86fs_message *message = v86fs_message_of(type & 0x7f);
    buf_text(text, v86fs_type_name(type));
    if (type == V86FS_ERROR_R)
        buf_printf(text, " %s",
                   v86fs_tree_status_name(frame.size == V86FS_ERROR_SIZE
                                              ? (uint32_t)v86fs_load(frame.data + 7, 4)
                                              : UINT32_MAX));
    else if (message && type & V86FS_REPLY)
        reply_text(message, frame, features, text);
    else if (message)
        request_text(message, frame, features, text);
    else
        note_text(frame, text);
}
