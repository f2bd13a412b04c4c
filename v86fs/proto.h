/* SPDX-License-Identifier: MIT
 *
 * v86fs/proto.h - frames of the wire protocol to calls and back (v86fs.md chapter 2).
 *
 * Knows layouts (v86fs/messages.def) and nothing of trees, handles or transports.  Both
 * directions are here: a server decodes requests, a client (a mount, a bridge, a dump)
 * decodes replies.  Frames are little-endian and packed; no input crashes a decoder.
 */
#ifndef V86FS_PROTO_H
#define V86FS_PROTO_H

#include "v86fs/tree.h"

enum {
    V86FS_HEADER_SIZE = 7,
    V86FS_TRANSFER_MAX = 1 << 20,
    V86FS_FRAME_MAX = V86FS_TRANSFER_MAX + 64,
    V86FS_ERROR_SIZE = 11,
    V86FS_REPLY = 0x80, /* added to the type of the request */
    V86FS_ERROR_R = 0xff,
};

/* Negotiated extensions: virtio feature bits (2.3). */
enum {
    V86FS_F0_READDIR_PAGED = 1 << 0,
    V86FS_F1_ATTR2 = 1 << 1,
    V86FS_F4_RENAME_FLAGS = 1 << 4,
    V86FS_F5_RMDIR = 1 << 5,
    V86FS_FEATURES = 0x33,
};

enum { V86FS_REMOVEDIR = 0x200 }; /* flag of UNLINK with F5 */

enum v86fs_type {
#define MSG(code, name, op, rule) V86FS_MSG_##name = code,
#define NOTE(code, name) V86FS_MSG_##name = code,
#include "v86fs/messages.def"
    V86FS_TYPE_COUNT = 0x11,
};

/* What the node of a request has to be (X12, X14, X15, X19, X20, X25). */
enum v86fs_rule {
    V86FS_RULE_none,
    V86FS_RULE_any,
    V86FS_RULE_directory,
    V86FS_RULE_file,
    V86FS_RULE_open,
    V86FS_RULE_read,
    V86FS_RULE_setattr,
    V86FS_RULE_symlink,
    V86FS_RULE_handle,
};

enum v86fs_tail {
    V86FS_TAIL_none,
    V86FS_TAIL_data,
    V86FS_TAIL_entries,
    V86FS_TAIL_target,
};

enum v86fs_field_type {
    V86FS_FIELD_end,
    V86FS_FIELD_u32,
    V86FS_FIELD_u64,
    V86FS_FIELD_i64,
    V86FS_FIELD_name,
    V86FS_FIELD_target,
    V86FS_FIELD_data,
};

struct v86fs_field {
    enum v86fs_field_type type; /* V86FS_FIELD_end closes the list */
    uint16_t offset;            /* in struct v86fs_ask or v86fs_answer */
    uint16_t feature;           /* 0, or the bit that brings the field */
    int16_t empty, dots;        /* names: a status, -1 = allowed */
    const char *name;
};

struct v86fs_message {
    const char *name;
    uint8_t code;
    enum v86fs_op op;
    enum v86fs_rule rule;
    const struct v86fs_field *request;
    const struct v86fs_field *reply; /* behind the status */
    enum v86fs_tail tail;
};

/* The row of a request type (without V86FS_REPLY); NULL if there is none. */
const struct v86fs_message *v86fs_message_of(uint8_t type);

/* "LOOKUP", "LOOKUP_R", "INVALIDATE", "ERROR_R"; "?" else.  Static storage. */
const char *v86fs_type_name(uint8_t type);

/* Little-endian numbers of `size` bytes at `at`. */
uint64_t v86fs_load(const uint8_t *at, unsigned size);
void v86fs_store(uint8_t *at, unsigned size, uint64_t value);

/*
 * Decode the body (behind the header) of a request of this type under the negotiated
 * features.  Names and data of `ret_ask` point into `body`.  A status: 0, or EINVAL for
 * a wrong shape (X5); then `ret_ask` is unspecified.
 */
uint32_t v86fs_request_decode(const struct v86fs_message *message, struct bytes body,
                              uint32_t features, struct v86fs_ask *ret_ask);

/* The rules for strings (X6-X10), in the order of the fields.  A status. */
uint32_t v86fs_request_strings(const struct v86fs_message *message,
                               const struct v86fs_ask *ask);

/* Append the frame of a request; a client's side.  Limits are the buf's. */
void v86fs_request_encode(const struct v86fs_message *message, uint32_t features,
                          uint16_t tag, const struct v86fs_ask *ask, struct buf *frame);

/* Bytes of the fixed part of a reply, which is the whole error reply. */
size_t v86fs_reply_size_min(const struct v86fs_message *message, uint32_t features);

/* Where the bytes of the tail begin in a reply. */
size_t v86fs_reply_tail_at(const struct v86fs_message *message, uint32_t features);

/*
 * Write header, status and fixed part (zeros unless status is 0) into `reply`.  The
 * caller has put `tail_size` bytes at v86fs_reply_tail_at() already.  The frame's size.
 */
size_t v86fs_reply_encode(const struct v86fs_message *message, uint32_t features,
                          uint16_t tag, uint32_t status,
                          const struct v86fs_answer *answer, size_t tail_size,
                          uint8_t *reply);

/* ERROR_R: V86FS_ERROR_SIZE bytes. */
size_t v86fs_error_encode(uint16_t tag, uint32_t status, uint8_t *reply);

/*
 * Decode a reply to a request of this type; a client's side.  Checks length field,
 * type, tag, layout and ranges.  `ret_tail` points into `frame`: data, entries or
 * target.  False for a malformed frame; ERROR_R gives its status.
 */
bool v86fs_reply_decode(const struct v86fs_message *message, uint32_t features,
                        uint16_t tag, struct bytes frame, uint32_t *ret_status,
                        struct v86fs_answer *ret_answer, struct bytes *ret_tail);

/* One directory entry of a READDIR reply: 11 bytes and the name. */
enum { V86FS_DIRENT_SIZE = 11 };
size_t v86fs_dirent_encode(const struct v86fs_dirent *entry, uint8_t *at,
                           size_t size_max); /* 0 if it does not fit */

/* Take the first entry off `entries`; false if it is malformed or there is none. */
bool v86fs_dirent_decode(struct bytes *entries, struct v86fs_dirent *ret_entry);

/* Notifications; 0 if the frame is larger than `size_max`. */
size_t v86fs_invalidate_encode(uint64_t ino, uint64_t offset, uint64_t size,
                               uint8_t *frame, size_t size_max);
size_t v86fs_invalidate_dir_encode(uint64_t ino, uint8_t *frame, size_t size_max);
size_t v86fs_mount_notify_encode(struct bytes name, struct bytes path, uint8_t *frame,
                                 size_t size_max);
size_t v86fs_umount_notify_encode(struct bytes path, uint8_t *frame, size_t size_max);

#endif
