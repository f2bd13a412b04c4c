/* SPDX-License-Identifier: GPL-2.0-only
 *
 * wire.h - the v86fs protocol as the guest speaks it.
 *
 * Frame: u32 length of the whole, u8 type, u16 tag, body; little-endian,
 * packed.  The layouts are those of docs/v86fs.md; this file and what it
 * belongs to are a work of their own, written from that text.
 */
#ifndef V86FS_GUEST_WIRE_H
#define V86FS_GUEST_WIRE_H

#include <linux/types.h>

#define V86FS_DEVICE_ID 63

enum v86fs_type {
	V86FS_MOUNT = 0x00,
	V86FS_LOOKUP = 0x01,
	V86FS_GETATTR = 0x02,
	V86FS_READDIR = 0x03,
	V86FS_OPEN = 0x04,
	V86FS_CLOSE = 0x05,
	V86FS_READ = 0x06,
	V86FS_CREATE = 0x07,
	V86FS_WRITE = 0x08,
	V86FS_MKDIR = 0x09,
	V86FS_SETATTR = 0x0a,
	V86FS_FSYNC = 0x0b,
	V86FS_UNLINK = 0x0c,
	V86FS_RENAME = 0x0d,
	V86FS_SYMLINK = 0x0e,
	V86FS_READLINK = 0x0f,
	V86FS_STATFS = 0x10,
	V86FS_INVALIDATE = 0x20,
	V86FS_INVALIDATE_DIR = 0x21,
	V86FS_MOUNT_NOTIFY = 0x22,
	V86FS_UMOUNT_NOTIFY = 0x23,
	V86FS_REPLY = 0x80, /* or'ed to the type of the request */
	V86FS_ERROR = 0xff,
};

/* Feature bits of the device. */
#define V86FS_F_READDIR_PAGED 0
#define V86FS_F_ATTR2 1
#define V86FS_F_RENAME_FLAGS 4
#define V86FS_F_RMDIR 5

/* Sizes in bytes. */
#define V86FS_HEADER 7
#define V86FS_STATUS_END 11   /* header and status: the shortest reply */
#define V86FS_DATA_HEADER 15  /* of a READ's reply, before the data */
#define V86FS_WRITE_HEADER 27 /* of a WRITE, before the data */
#define V86FS_NAME_MAX 255
#define V86FS_TARGET_MAX 4095
#define V86FS_NOTE_BYTES 512 /* of a notification buffer */
#define V86FS_NOTE_COUNT 16

/* Flag of UNLINK, with V86FS_F_RMDIR. */
#define V86FS_REMOVEDIR 0x200

#endif
