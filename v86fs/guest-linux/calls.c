// SPDX-License-Identifier: GPL-2.0-only
/*
 * calls.c - one function for each message.
 *
 * Short questions go to the first queue, data and listings to the second, so
 * that a stat never waits behind a megabyte.
 */
#include <asm/unaligned.h>
#include <linux/cred.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "v86fs.h"

/* Bytes for entries: a batch with cookies, and all of a directory without. */
#define BATCH_BYTES 16384
#define LISTING_BYTES 65536

int v86fs_call_mount(struct v86fs_device *dev, const char *name,
		     struct v86fs_node *root)
{
	u32 size = strlen(name);
	struct v86fs_request *request =
		v86fs_request_new(V86FS_MOUNT, 9 + size, 23, 64);
	int err;

	if (!request)
		return -ENOMEM;
	v86fs_put_string(request, name, size);
	err = v86fs_request_call(dev, V86FS_REQUESTQ, request, true);
	if (!err) {
		root->id = get_unaligned_le64(request->in + 11);
		root->mode = get_unaligned_le32(request->in + 19);
		root->size = 0;
	}
	v86fs_request_put(request);
	return err;
}

int v86fs_call_lookup(struct v86fs_device *dev, u64 parent,
		      const struct qstr *name, struct v86fs_node *node)
{
	struct v86fs_request *request =
		v86fs_request_new(V86FS_LOOKUP, 17 + name->len, 31, 64);
	int err;

	if (!request)
		return -ENOMEM;
	v86fs_put_u64(request, parent);
	v86fs_put_string(request, name->name, name->len);
	err = v86fs_request_call(dev, V86FS_HIPRIQ, request, true);
	if (!err) {
		node->id = get_unaligned_le64(request->in + 11);
		node->mode = get_unaligned_le32(request->in + 19);
		node->size = get_unaligned_le64(request->in + 23);
	}
	v86fs_request_put(request);
	return err;
}

static struct timespec64 get_time(const u8 *at)
{
	struct timespec64 time = {
		.tv_sec = (s64)get_unaligned_le64(at),
		.tv_nsec = get_unaligned_le32(at + 8),
	};

	if (time.tv_nsec >= NSEC_PER_SEC)
		time.tv_nsec = 0;
	return time;
}

int v86fs_call_getattr(struct v86fs_device *dev, u64 id,
		       struct v86fs_attr *attr)
{
	bool more = v86fs_has(dev, V86FS_F_ATTR2);
	struct v86fs_request *request = v86fs_request_new(
		V86FS_GETATTR, 15, more ? 83 : 35, more ? 128 : 64);
	const u8 *in;
	int err;

	if (!request)
		return -ENOMEM;
	v86fs_put_u64(request, id);
	err = v86fs_request_call(dev, V86FS_HIPRIQ, request, true);
	in = request->in;
	if (!err) {
		attr->mode = get_unaligned_le32(in + 11);
		attr->size = get_unaligned_le64(in + 15);
		attr->mtime = get_time(in + 23);
	}
	if (!err && more) {
		attr->nlink = get_unaligned_le32(in + 35);
		attr->uid = get_unaligned_le32(in + 39);
		attr->gid = get_unaligned_le32(in + 43);
		attr->blocks = get_unaligned_le64(in + 51);
		attr->atime = get_time(in + 59);
		attr->ctime = get_time(in + 71);
	}
	v86fs_request_put(request);
	return err;
}

static void put_time(struct v86fs_request *request,
		     const struct timespec64 *time, bool valid)
{
	v86fs_put_u64(request, valid ? time->tv_sec : 0);
	v86fs_put_u32(request, valid ? time->tv_nsec : 0);
}

/* Fields that `valid` does not name are sent as zero: the same change is the
 * same message, whatever was in the caller's structure. */
int v86fs_call_setattr(struct v86fs_device *dev, u64 id,
		       const struct iattr *attr, u32 valid)
{
	bool more = v86fs_has(dev, V86FS_F_ATTR2);
	struct v86fs_request *request = v86fs_request_new(
		V86FS_SETATTR, more ? 63 : 31, V86FS_STATUS_END, 32);
	int err;

	if (!request)
		return -ENOMEM;
	v86fs_put_u64(request, id);
	v86fs_put_u32(request, valid);
	v86fs_put_u32(request, valid & ATTR_MODE ? attr->ia_mode & 07777 : 0);
	v86fs_put_u64(request, valid & ATTR_SIZE ? attr->ia_size : 0);
	if (more) {
		v86fs_put_u32(request,
			      valid & ATTR_UID
				      ? from_kuid(&init_user_ns, attr->ia_uid)
				      : 0);
		v86fs_put_u32(request,
			      valid & ATTR_GID
				      ? from_kgid(&init_user_ns, attr->ia_gid)
				      : 0);
		put_time(request, &attr->ia_atime, valid & ATTR_ATIME_SET);
		put_time(request, &attr->ia_mtime, valid & ATTR_MTIME_SET);
	}
	err = v86fs_request_call(dev, V86FS_HIPRIQ, request, true);
	v86fs_request_put(request);
	return err;
}

/* CREATE, MKDIR or SYMLINK. */
int v86fs_call_make(struct v86fs_device *dev, u8 type, u64 parent,
		    const struct qstr *name, u32 mode, const char *target,
		    struct v86fs_node *node)
{
	u32 size = target ? strlen(target) : 0;
	u32 last = target ? 2 + size : 4;
	struct v86fs_request *request =
		v86fs_request_new(type, 17 + name->len + last, 23, 32);
	int err;

	if (!request)
		return -ENOMEM;
	v86fs_put_u64(request, parent);
	v86fs_put_string(request, name->name, name->len);
	if (target)
		v86fs_put_string(request, target, size);
	else
		v86fs_put_u32(request, mode);
	err = v86fs_request_call(dev, V86FS_HIPRIQ, request, true);
	if (!err) {
		node->id = get_unaligned_le64(request->in + 11);
		node->mode = get_unaligned_le32(request->in + 19);
		node->size = size;
	}
	v86fs_request_put(request);
	return err;
}

int v86fs_call_unlink(struct v86fs_device *dev, u64 parent,
		      const struct qstr *name, bool directory)
{
	bool flags = v86fs_has(dev, V86FS_F_RMDIR);
	struct v86fs_request *request =
		v86fs_request_new(V86FS_UNLINK, (flags ? 21 : 17) + name->len,
				  V86FS_STATUS_END, 32);
	int err;

	if (!request)
		return -ENOMEM;
	v86fs_put_u64(request, parent);
	v86fs_put_string(request, name->name, name->len);
	if (flags)
		v86fs_put_u32(request, directory ? V86FS_REMOVEDIR : 0);
	err = v86fs_request_call(dev, V86FS_HIPRIQ, request, true);
	v86fs_request_put(request);
	return err;
}

int v86fs_call_rename(struct v86fs_device *dev, u64 parent,
		      const struct qstr *name, u64 new_parent,
		      const struct qstr *new_name, u32 flags)
{
	bool more = v86fs_has(dev, V86FS_F_RENAME_FLAGS);
	u32 size = 27 + name->len + new_name->len + (more ? 4 : 0);
	struct v86fs_request *request =
		v86fs_request_new(V86FS_RENAME, size, V86FS_STATUS_END, 32);
	int err;

	if (!request)
		return -ENOMEM;
	v86fs_put_u64(request, parent);
	v86fs_put_string(request, name->name, name->len);
	v86fs_put_u64(request, new_parent);
	v86fs_put_string(request, new_name->name, new_name->len);
	if (more)
		v86fs_put_u32(request, flags);
	err = v86fs_request_call(dev, V86FS_HIPRIQ, request, true);
	v86fs_request_put(request);
	return err;
}

/* *target is the caller's to kfree(). */
int v86fs_call_readlink(struct v86fs_device *dev, u64 id, char **target)
{
	struct v86fs_request *request = v86fs_request_new(
		V86FS_READLINK, 15, 13, 13 + V86FS_TARGET_MAX + 1);
	int err;

	if (!request)
		return -ENOMEM;
	v86fs_put_u64(request, id);
	err = v86fs_request_call(dev, V86FS_HIPRIQ, request, true);
	if (!err) {
		u32 size = get_unaligned_le16(request->in + 11);

		if (size > V86FS_TARGET_MAX || 13 + size != request->in_used)
			err = -EIO;
		else
			*target = kmemdup_nul(request->in + 13, size, GFP_NOFS);
		if (!err && !*target)
			err = -ENOMEM;
	}
	v86fs_request_put(request);
	return err;
}

int v86fs_call_open(struct v86fs_device *dev, u64 id, u32 flags, u64 *handle)
{
	struct v86fs_request *request =
		v86fs_request_new(V86FS_OPEN, 19, 19, 32);
	int err;

	if (!request)
		return -ENOMEM;
	v86fs_put_u64(request, id);
	v86fs_put_u32(request, flags);
	err = v86fs_request_call(dev, V86FS_HIPRIQ, request, true);
	if (!err)
		*handle = get_unaligned_le64(request->in + 11);
	v86fs_request_put(request);
	return err;
}

/* A message with one number that only has a status. */
static int call_number(struct v86fs_device *dev, u8 type, u64 number,
		       bool killable)
{
	struct v86fs_request *request =
		v86fs_request_new(type, 15, V86FS_STATUS_END, 32);
	int err;

	if (!request)
		return -ENOMEM;
	v86fs_put_u64(request, number);
	err = v86fs_request_call(dev, V86FS_HIPRIQ, request, killable);
	v86fs_request_put(request);
	return err;
}

/* A handle is closed even if the task is being killed: it would stay open for
 * ever. */
int v86fs_call_close(struct v86fs_device *dev, u64 handle)
{
	return call_number(dev, V86FS_CLOSE, handle, false);
}

int v86fs_call_fsync(struct v86fs_device *dev, u64 id)
{
	return call_number(dev, V86FS_FSYNC, id, true);
}

int v86fs_call_statfs(struct v86fs_device *dev, struct kstatfs *buf)
{
	struct v86fs_request *request =
		v86fs_request_new(V86FS_STATFS, V86FS_HEADER, 55, 64);
	const u8 *in;
	int err;

	if (!request)
		return -ENOMEM;
	err = v86fs_request_call(dev, V86FS_HIPRIQ, request, true);
	in = request->in;
	if (!err) {
		buf->f_blocks = get_unaligned_le64(in + 11);
		buf->f_bfree = get_unaligned_le64(in + 19);
		buf->f_bavail = get_unaligned_le64(in + 27);
		buf->f_files = get_unaligned_le64(in + 35);
		buf->f_ffree = get_unaligned_le64(in + 43);
		buf->f_bsize = get_unaligned_le32(in + 51);
	}
	v86fs_request_put(request);
	return err;
}

/* All or nothing.  Not killable: the page is locked or under writeback until
 * then. */
int v86fs_call_write(struct v86fs_device *dev, u64 id, loff_t offset,
		     struct page *page, u32 page_offset, u32 size)
{
	struct v86fs_request *request =
		v86fs_request_new(V86FS_WRITE, V86FS_WRITE_HEADER, 15, 32);
	int err;

	if (!request)
		return -ENOMEM;
	v86fs_put_u64(request, id);
	v86fs_put_u64(request, offset);
	v86fs_put_u32(request, size);
	v86fs_request_page(request, page, page_offset, size);
	err = v86fs_request_call(dev, V86FS_REQUESTQ, request, false);
	if (!err && get_unaligned_le32(request->in + 11) != size)
		err = -EIO;
	v86fs_request_put(request);
	return err;
}

struct v86fs_request *v86fs_read_request(u64 id_or_handle, struct page *page)
{
	struct v86fs_request *request = v86fs_request_new(
		V86FS_READ, 27, V86FS_DATA_HEADER, V86FS_DATA_HEADER);

	if (!request)
		return NULL;
	v86fs_put_u64(request, id_or_handle);
	v86fs_put_u64(request, page_offset(page));
	v86fs_put_u32(request, PAGE_SIZE);
	v86fs_request_page(request, page, 0, PAGE_SIZE);
	return request;
}

int v86fs_read_bytes(const struct v86fs_request *request)
{
	u32 count = get_unaligned_le32(request->in + 11);

	return count <= PAGE_SIZE &&
			       request->in_used == V86FS_DATA_HEADER + count
		       ? (int)count
		       : -EIO;
}

struct v86fs_request *v86fs_call_readdir(struct v86fs_device *dev, u64 id,
					 u64 cookie, struct v86fs_batch *batch)
{
	bool paged = v86fs_has(dev, V86FS_F_READDIR_PAGED);
	u32 fixed = paged ? 23 : 15;
	struct v86fs_request *request =
		v86fs_request_new(V86FS_READDIR, paged ? 23 : 15, fixed,
				  paged ? BATCH_BYTES : LISTING_BYTES);
	int err;

	if (!request)
		return ERR_PTR(-ENOMEM);
	v86fs_put_u64(request, id);
	if (paged)
		v86fs_put_u64(request, cookie);
	err = v86fs_request_call(dev, V86FS_REQUESTQ, request, true);
	if (err) {
		v86fs_request_put(request);
		return ERR_PTR(err);
	}
	batch->count = get_unaligned_le32(request->in + 11);
	batch->next_cookie = paged ? get_unaligned_le64(request->in + 15) : 0;
	batch->entries = request->in + fixed;
	batch->size = request->in_used - fixed;
	return request;
}
