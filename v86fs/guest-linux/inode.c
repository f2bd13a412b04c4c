// SPDX-License-Identifier: GPL-2.0-only
/*
 * inode.c - inodes and attributes.
 *
 * The device knows the truth about size and times; each stat asks it.  A change
 * of size that is made here while the answer is on its way wins over the
 * answer.
 */
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "v86fs.h"

static int inode_test(struct inode *inode, void *id)
{
	return v86fs_i(inode)->id == *(u64 *)id;
}

static int inode_set(struct inode *inode, void *id)
{
	v86fs_i(inode)->id = *(u64 *)id;
	inode->i_ino = *(u64 *)id;
	return 0;
}

struct inode *v86fs_inode_find(struct super_block *sb, u64 id)
{
	return ilookup5(sb, id, inode_test, &id);
}

/* ---- attributes ---- */

/* Files of the base protocol have no ctime: it is at least the mtime. */
static void attr_apply_base(struct inode *inode, const struct v86fs_attr *attr)
{
	inode->i_mtime = attr->mtime;
	inode->i_atime = attr->mtime;
	if (timespec64_compare(&inode->i_ctime, &attr->mtime) < 0)
		inode->i_ctime = attr->mtime;
}

static void attr_apply_more(struct inode *inode, const struct v86fs_attr *attr)
{
	inode->i_mtime = attr->mtime;
	inode->i_atime = attr->atime;
	inode->i_ctime = attr->ctime;
	inode->i_uid = make_kuid(&init_user_ns, attr->uid);
	inode->i_gid = make_kgid(&init_user_ns, attr->gid);
	inode->i_blocks = attr->blocks;
	set_nlink(inode, attr->nlink);
}

/* `changes` is what it was before the question. */
static void attr_apply(struct inode *inode, const struct v86fs_attr *attr,
		       int changes)
{
	loff_t old = i_size_read(inode);
	bool resized = false;

	spin_lock(&inode->i_lock);
	inode->i_mode = (inode->i_mode & S_IFMT) | (attr->mode & 07777);
	if (v86fs_has(v86fs_dev(inode), V86FS_F_ATTR2))
		attr_apply_more(inode, attr);
	else
		attr_apply_base(inode, attr);
	if (atomic_read(&v86fs_i(inode)->changes) == changes) {
		resized = old != (loff_t)attr->size;
		i_size_write(inode, attr->size);
	}
	spin_unlock(&inode->i_lock);
	if (resized && S_ISREG(inode->i_mode) && old > (loff_t)attr->size)
		truncate_pagecache(inode, attr->size);
}

static int attr_fetch(struct inode *inode, struct v86fs_attr *attr,
		      int *changes)
{
	int err;

	*changes = atomic_read(&v86fs_i(inode)->changes);
	err = v86fs_call_getattr(v86fs_dev(inode), v86fs_i(inode)->id, attr);
	if (err)
		return err;
	if ((attr->mode ^ inode->i_mode) & S_IFMT)
		return -ESTALE; /* another file has this id now */
	return attr->size > MAX_LFS_FILESIZE ? -EOVERFLOW : 0;
}

int v86fs_inode_refresh(struct inode *inode)
{
	struct v86fs_attr attr;
	int changes;
	int err = attr_fetch(inode, &attr, &changes);

	if (!err)
		attr_apply(inode, &attr, changes);
	return err;
}

int v86fs_getattr(struct user_namespace *mnt_userns, const struct path *path,
		  struct kstat *stat, u32 mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	bool removed_dir = S_ISDIR(inode->i_mode) && !inode->i_nlink;
	int err = removed_dir ? 0 : v86fs_inode_refresh(inode);

	if (err && !(err == -ESTALE && !inode->i_nlink))
		return err;
	generic_fillattr(mnt_userns, inode, stat);
	stat->ino = v86fs_i(inode)->id;
	if (!v86fs_has(v86fs_dev(inode), V86FS_F_ATTR2))
		stat->blocks = (stat->size + 511) >> 9;
	return 0;
}

/* ---- setattr ---- */

/* What of a change the device is told.  Without V86FS_F_ATTR2 a message has no
 * room for owners and chosen times. */
static u32 setattr_valid(const struct v86fs_device *dev, u32 valid)
{
	u32 worth = ATTR_MODE | ATTR_SIZE | ATTR_MTIME | ATTR_ATIME;

	if (v86fs_has(dev, V86FS_F_ATTR2)) {
		worth |= ATTR_UID | ATTR_GID;
	} else {
		if (valid & ATTR_MTIME_SET)
			valid &= ~(ATTR_MTIME | ATTR_MTIME_SET);
		if (valid & ATTR_ATIME_SET)
			valid &= ~(ATTR_ATIME | ATTR_ATIME_SET);
		valid &= ~(ATTR_UID | ATTR_GID);
	}
	return valid & worth ? valid : 0;
}

int v86fs_setattr(struct user_namespace *mnt_userns, struct dentry *dentry,
		  struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	struct v86fs_device *dev = v86fs_dev(inode);
	bool resize = attr->ia_valid & ATTR_SIZE;
	u32 valid;
	int err = setattr_prepare(mnt_userns, dentry, attr);

	if (err)
		return err;
	if (resize) {
		err = filemap_write_and_wait(inode->i_mapping);
		if (err)
			return err;
	}
	valid = setattr_valid(dev, attr->ia_valid);
	if (valid) {
		err = v86fs_call_setattr(dev, v86fs_i(inode)->id, attr, valid);
		if (err)
			return err;
	}
	if (resize) {
		/* truncate(2) asks for no times, but they do change. */
		if (attr->ia_size != i_size_read(inode)) {
			attr->ia_valid |= ATTR_MTIME | ATTR_CTIME;
			attr->ia_mtime = attr->ia_ctime = current_time(inode);
		}
		atomic_inc(&v86fs_i(inode)->changes);
		truncate_setsize(inode, attr->ia_size);
	}
	setattr_copy(mnt_userns, inode, attr);
	return 0;
}

const struct inode_operations v86fs_file_inode_ops = {
	.getattr = v86fs_getattr,
	.setattr = v86fs_setattr,
};

/* ---- symlinks ---- */

static const char *v86fs_get_link(struct dentry *dentry, struct inode *inode,
				  struct delayed_call *done)
{
	char *target;
	int err;

	if (!dentry)
		return ERR_PTR(-ECHILD); /* asking the device sleeps */
	err = v86fs_call_readlink(v86fs_dev(inode), v86fs_i(inode)->id,
				  &target);
	if (err)
		return ERR_PTR(err);
	set_delayed_call(done, kfree_link, target);
	return target;
}

const struct inode_operations v86fs_symlink_inode_ops = {
	.get_link = v86fs_get_link,
	.getattr = v86fs_getattr,
	.setattr = v86fs_setattr,
};

/* ---- new inodes ---- */

static void inode_operations_set(struct inode *inode)
{
	switch (inode->i_mode & S_IFMT) {
	case S_IFDIR:
		inode->i_op = &v86fs_dir_inode_ops;
		inode->i_fop = &v86fs_dir_ops;
		break;
	case S_IFLNK:
		inode->i_op = &v86fs_symlink_inode_ops;
		inode_nohighmem(inode);
		break;
	default:
		inode->i_op = &v86fs_file_inode_ops;
		inode->i_fop = &v86fs_file_ops;
		inode->i_mapping->a_ops = &v86fs_aops;
		break;
	}
}

static int inode_fill(struct inode *inode, const struct v86fs_node *node)
{
	inode->i_mode = node->mode;
	i_size_write(inode, node->size);
	set_nlink(inode, S_ISDIR(node->mode) ? 2 : 1);
	inode->i_atime = inode->i_mtime = inode->i_ctime =
		(struct timespec64){};
	inode_operations_set(inode);
	/* Permission checks need the owner. */
	return v86fs_has(v86fs_dev(inode), V86FS_F_ATTR2)
		       ? v86fs_inode_refresh(inode)
		       : 0;
}

static bool node_known(const struct v86fs_node *node)
{
	return node->id && node->id < 0xffffffff &&
	       node->size <= MAX_LFS_FILESIZE &&
	       (S_ISREG(node->mode) || S_ISDIR(node->mode) ||
		S_ISLNK(node->mode));
}

struct inode *v86fs_inode_get(struct super_block *sb,
			      const struct v86fs_node *node)
{
	u64 id = node->id;
	struct inode *inode;
	int err;

	if (!node_known(node))
		return ERR_PTR(-EIO);
	inode = iget5_locked(sb, id, inode_test, inode_set, &id);
	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (!(inode->i_state & I_NEW)) {
		if (!((inode->i_mode ^ node->mode) & S_IFMT))
			return inode;
		iput(inode);
		return ERR_PTR(-ESTALE);
	}
	err = inode_fill(inode, node);
	if (err) {
		iget_failed(inode);
		return ERR_PTR(err);
	}
	unlock_new_inode(inode);
	return inode;
}
