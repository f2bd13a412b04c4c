// SPDX-License-Identifier: GPL-2.0-only
/*
 * dir.c - names: lookup, creation, removal, listing.
 *
 * A dentry remembers the version of its directory (d_time).  INVALIDATE_DIR
 * raises the version, and all names below are looked up again.
 */
#include <asm/unaligned.h>
#include <linux/cred.h>
#include <linux/namei.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "v86fs.h"

static u64 dir_id(const struct inode *dir)
{
	return v86fs_i(dir)->id;
}

static int v86fs_d_revalidate(struct dentry *dentry, unsigned int flags)
{
	struct dentry *parent;
	int valid;

	if (flags & LOOKUP_RCU)
		return -ECHILD;
	parent = dget_parent(dentry);
	valid = dentry->d_time == READ_ONCE(v86fs_i(d_inode(parent))->version);
	dput(parent);
	return valid;
}

const struct dentry_operations v86fs_dentry_ops = {
	.d_revalidate = v86fs_d_revalidate,
};

static void dentry_stamp(struct dentry *dentry, const struct inode *dir)
{
	dentry->d_time = READ_ONCE(v86fs_i(dir)->version);
}

static struct dentry *v86fs_lookup(struct inode *dir, struct dentry *dentry,
				   unsigned int flags)
{
	struct inode *inode = NULL;
	struct v86fs_node node;
	struct dentry *other;
	unsigned long version = READ_ONCE(v86fs_i(dir)->version);
	int err;

	if (dentry->d_name.len > V86FS_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	err = v86fs_call_lookup(v86fs_dev(dir), dir_id(dir), &dentry->d_name,
				&node);
	if (err && err != -ENOENT)
		return ERR_PTR(err);
	if (!err) {
		inode = v86fs_inode_get(dir->i_sb, &node);
		if (IS_ERR(inode))
			return ERR_CAST(inode);
	}
	dentry->d_time = version;
	other = d_splice_alias(inode, dentry);
	if (!IS_ERR_OR_NULL(other))
		other->d_time = version;
	return other;
}

/* ---- changing ---- */

/* A killed call may or may not have happened: ask again for all names. */
static int changed(struct inode *dir, int err)
{
	if (err == -ERESTARTSYS || err == -EIO)
		v86fs_inode_bump(dir);
	return err;
}

static void dir_touch(struct inode *dir)
{
	dir->i_mtime = dir->i_ctime = current_time(dir);
}

/* 2 is also the count of a directory whose children were never counted. */
static void dir_drop_link(struct inode *dir)
{
	if (dir->i_nlink > 2)
		drop_nlink(dir);
}

/*
 * The node is owned by who makes it, or by its directory's group.  A tree that
 * gives no files away says EPERM: then it keeps the owner that it has.
 */
static int make_owner(struct inode *dir, struct inode *inode)
{
	struct iattr attr = {
		.ia_valid = ATTR_UID | ATTR_GID,
		.ia_uid = current_fsuid(),
		.ia_gid = dir->i_mode & S_ISGID ? dir->i_gid : current_fsgid(),
	};
	int err;

	if (!v86fs_has(v86fs_dev(dir), V86FS_F_ATTR2)) {
		inode->i_uid = attr.ia_uid;
		inode->i_gid = attr.ia_gid;
		return 0;
	}
	if (uid_eq(attr.ia_uid, GLOBAL_ROOT_UID) &&
	    gid_eq(attr.ia_gid, GLOBAL_ROOT_GID))
		return 0;
	err = v86fs_call_setattr(v86fs_dev(dir), dir_id(inode), &attr,
				 attr.ia_valid);
	if (!err) {
		inode->i_uid = attr.ia_uid;
		inode->i_gid = attr.ia_gid;
	}
	return err == -EPERM ? 0 : err;
}

/* CREATE, MKDIR and SYMLINK. */
static int dir_make(struct inode *dir, struct dentry *dentry, u8 type,
		    umode_t mode, const char *target)
{
	struct v86fs_node node;
	struct inode *inode;
	int err = v86fs_call_make(v86fs_dev(dir), type, dir_id(dir),
				  &dentry->d_name, mode, target, &node);

	if (err)
		return changed(dir, err);
	inode = v86fs_inode_get(dir->i_sb, &node);
	if (IS_ERR(inode))
		return changed(dir, PTR_ERR(inode));
	err = make_owner(dir, inode);
	if (err) {
		iput(inode);
		v86fs_inode_bump(dir);
		return err;
	}
	dir_touch(dir);
	if (!v86fs_has(v86fs_dev(dir), V86FS_F_ATTR2))
		inode->i_atime = inode->i_mtime = inode->i_ctime = dir->i_mtime;
	if (S_ISDIR(inode->i_mode))
		inc_nlink(dir);
	dentry_stamp(dentry, dir);
	d_instantiate(dentry, inode);
	return 0;
}

static int v86fs_create(struct user_namespace *mnt_userns, struct inode *dir,
			struct dentry *dentry, umode_t mode, bool excl)
{
	return dir_make(dir, dentry, V86FS_CREATE, mode & 07777, NULL);
}

static int v86fs_mkdir(struct user_namespace *mnt_userns, struct inode *dir,
		       struct dentry *dentry, umode_t mode)
{
	if (dir->i_mode & S_ISGID)
		mode |= S_ISGID;
	return dir_make(dir, dentry, V86FS_MKDIR, mode & 07777, NULL);
}

static int v86fs_symlink(struct user_namespace *mnt_userns, struct inode *dir,
			 struct dentry *dentry, const char *target)
{
	if (strlen(target) > V86FS_TARGET_MAX)
		return -ENAMETOOLONG;
	return dir_make(dir, dentry, V86FS_SYMLINK, 0, target);
}

static int dir_remove(struct inode *dir, struct dentry *dentry, bool directory)
{
	struct inode *inode = d_inode(dentry);
	int err = v86fs_call_unlink(v86fs_dev(dir), dir_id(dir),
				    &dentry->d_name, directory);

	if (err)
		return changed(dir, err);
	dir_touch(dir);
	inode->i_ctime = dir->i_ctime;
	if (directory) {
		clear_nlink(inode);
		dir_drop_link(dir);
	} else if (inode->i_nlink) {
		drop_nlink(inode);
	}
	return 0;
}

static int v86fs_unlink(struct inode *dir, struct dentry *dentry)
{
	return dir_remove(dir, dentry, false);
}

static int v86fs_rmdir(struct inode *dir, struct dentry *dentry)
{
	return dir_remove(dir, dentry, true);
}

/* ---- rename ---- */

/* The file that had the new name is gone. */
static void rename_replaced(struct inode *new_dir, struct inode *target)
{
	target->i_ctime = current_time(target);
	if (S_ISDIR(target->i_mode)) {
		clear_nlink(target);
		dir_drop_link(new_dir);
	} else if (target->i_nlink) {
		drop_nlink(target);
	}
}

/* `inode` moved from one directory to another. */
static void rename_moved(struct inode *from, struct inode *to,
			 const struct inode *inode)
{
	if (from != to && S_ISDIR(inode->i_mode)) {
		dir_drop_link(from);
		inc_nlink(to);
	}
}

static int v86fs_rename(struct user_namespace *mnt_userns,
			struct inode *old_dir, struct dentry *old_dentry,
			struct inode *new_dir, struct dentry *new_dentry,
			unsigned int flags)
{
	struct v86fs_device *dev = v86fs_dev(old_dir);
	struct inode *target = d_inode(new_dentry);
	bool exchange = flags & RENAME_EXCHANGE;
	int err;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (exchange && !v86fs_has(dev, V86FS_F_RENAME_FLAGS))
		return -EINVAL;
	err = v86fs_call_rename(dev, dir_id(old_dir), &old_dentry->d_name,
				dir_id(new_dir), &new_dentry->d_name, flags);
	if (err) {
		changed(old_dir, err);
		return changed(new_dir, err);
	}
	dir_touch(old_dir);
	dir_touch(new_dir);
	d_inode(old_dentry)->i_ctime = old_dir->i_ctime;
	if (exchange)
		rename_moved(new_dir, old_dir, target);
	else if (target)
		rename_replaced(new_dir, target);
	rename_moved(old_dir, new_dir, d_inode(old_dentry));
	dentry_stamp(old_dentry, new_dir);
	if (exchange)
		dentry_stamp(new_dentry, old_dir);
	return 0;
}

const struct inode_operations v86fs_dir_inode_ops = {
	.lookup = v86fs_lookup,
	.create = v86fs_create,
	.mkdir = v86fs_mkdir,
	.symlink = v86fs_symlink,
	.unlink = v86fs_unlink,
	.rmdir = v86fs_rmdir,
	.rename = v86fs_rename,
	.getattr = v86fs_getattr,
	.setattr = v86fs_setattr,
};

/* ---- listing ---- */

/* A place where a batch begins. */
struct batch_mark {
	u64 first; /* index of its first entry */
	u64 cookie;
};

/*
 * A position is 2 + the index of an entry: small numbers, for programs with
 * 32-bit offsets.  The marks lead from an index to the cookie of its batch.
 */
struct v86fs_dir_file {
	struct v86fs_request *reply; /* of the batch that is at hand, or NULL */
	struct v86fs_batch batch;
	u64 first; /* index of its first entry */
	struct batch_mark *marks;
	u32 mark_count;
};

static int v86fs_dir_open(struct inode *inode, struct file *file)
{
	file->private_data = kzalloc(sizeof(struct v86fs_dir_file), GFP_KERNEL);
	return file->private_data ? 0 : -ENOMEM;
}

static void batch_drop(struct v86fs_dir_file *listing)
{
	if (listing->reply)
		v86fs_request_put(listing->reply);
	listing->reply = NULL;
}

static int v86fs_dir_release(struct inode *inode, struct file *file)
{
	struct v86fs_dir_file *listing = file->private_data;

	batch_drop(listing);
	kfree(listing->marks);
	kfree(listing);
	return 0;
}

static int mark_add(struct v86fs_dir_file *listing, u64 first, u64 cookie)
{
	struct batch_mark *marks =
		krealloc_array(listing->marks, listing->mark_count + 1,
			       sizeof(*marks), GFP_KERNEL);

	if (!marks)
		return -ENOMEM;
	listing->marks = marks;
	marks[listing->mark_count++] = (struct batch_mark){first, cookie};
	return 0;
}

static int batch_fetch(struct inode *dir, struct v86fs_dir_file *listing,
		       u64 first, u64 cookie)
{
	struct v86fs_request *reply;

	batch_drop(listing);
	reply = v86fs_call_readdir(v86fs_dev(dir), dir_id(dir), cookie,
				   &listing->batch);
	if (IS_ERR(reply))
		return PTR_ERR(reply);
	listing->reply = reply;
	listing->first = first;
	return 0;
}

static bool batch_covers(const struct v86fs_dir_file *listing, u64 index)
{
	return listing->reply && index >= listing->first &&
	       index - listing->first < listing->batch.count;
}

/* Have the batch with `index` at hand.  0; 1 if the directory ends before it.
 */
static int batch_find(struct inode *dir, struct v86fs_dir_file *listing,
		      u64 index)
{
	u32 mark = listing->mark_count;
	int err;

	if (batch_covers(listing, index))
		return 0;
	if (!mark) {
		err = mark_add(listing, 0, 0);
		if (err)
			return err;
		mark = 1;
	}
	while (mark > 1 && listing->marks[mark - 1].first > index)
		mark--;
	if (!listing->reply ||
	    listing->first != listing->marks[mark - 1].first) {
		err = batch_fetch(dir, listing, listing->marks[mark - 1].first,
				  listing->marks[mark - 1].cookie);
		if (err)
			return err;
	}
	while (!batch_covers(listing, index)) {
		u64 next = listing->first + listing->batch.count;
		u64 cookie = listing->batch.next_cookie;

		if (!cookie || !listing->batch.count)
			return 1;
		if (mark++ == listing->mark_count) {
			err = mark_add(listing, next, cookie);
			if (err)
				return err;
		}
		err = batch_fetch(dir, listing, next, cookie);
		if (err)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

/* The size of the entry at `at`, or 0 if it does not fit into what is left. */
static u32 entry_size(const u8 *at, u32 left)
{
	u32 size;

	if (left < 11)
		return 0;
	size = 11 + get_unaligned_le16(at + 9);
	return size <= left ? size : 0;
}

static unsigned char entry_type(u8 type)
{
	return type == DT_DIR || type == DT_REG || type == DT_LNK ? type
								  : DT_UNKNOWN;
}

/* Emit the rest of the batch from the context's position.  1: the reader is
 * full. */
static int batch_emit(struct v86fs_dir_file *listing, struct dir_context *ctx)
{
	const u8 *at = listing->batch.entries;
	u32 left = listing->batch.size;
	u64 skip = ctx->pos - 2 - listing->first;
	u32 i;

	for (i = 0; i < listing->batch.count; i++) {
		u32 size = entry_size(at, left);

		if (!size)
			return -EIO;
		if (i >= skip) {
			if (!dir_emit(ctx, at + 11, size - 11,
				      get_unaligned_le64(at),
				      entry_type(at[8])))
				return 1;
			ctx->pos++;
		}
		at += size;
		left -= size;
	}
	return 0;
}

static int v86fs_iterate(struct file *file, struct dir_context *ctx)
{
	struct v86fs_dir_file *listing = file->private_data;
	struct inode *dir = file_inode(file);

	if (ctx->pos == 0) { /* opened or rewound: see what there is now */
		batch_drop(listing);
		listing->mark_count = 0;
	}
	if (!dir_emit_dots(file, ctx))
		return 0;
	if (!dir->i_nlink)
		return 0; /* removed, and empty therefore */
	for (;;) {
		int err = batch_find(dir, listing, ctx->pos - 2);

		if (!err)
			err = batch_emit(listing, ctx);
		if (err)
			return err > 0 ? 0 : err;
	}
}

const struct file_operations v86fs_dir_ops = {
	.open = v86fs_dir_open,
	.release = v86fs_dir_release,
	.iterate_shared = v86fs_iterate,
	.llseek = generic_file_llseek,
	.read = generic_read_dir,
	.fsync = noop_fsync,
};
