/* SPDX-License-Identifier: GPL-2.0-only
 *
 * v86fs.h - the file system of the virtio device v86fs, for Linux 6.1.
 *
 *   device.c   the virtio driver: queues, interrupts, coming and going of the
 * device request.c  one message: building, sending, waiting, checking the reply
 *   calls.c    one function for each message
 *   super.c    mounting
 *   inode.c    inodes and attributes
 *   dir.c      names: lookup, creation, removal, listing
 *   file.c     the data of files and the page cache
 *   notify.c   what the device tells without being asked
 */
#ifndef V86FS_GUEST_H
#define V86FS_GUEST_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "wire.h"

#define V86FS_MAGIC 0x56383646

extern bool v86fs_debug;
extern char *v86fs_mount_helper;

/* ---- device ---- */

enum v86fs_queue_index {
	V86FS_HIPRIQ,	/* short questions */
	V86FS_REQUESTQ, /* data and listings */
	V86FS_NOTIFYQ,	/* the device speaks */
	V86FS_QUEUES
};

struct v86fs_queue {
	spinlock_t lock; /* of vq and the two counts */
	struct virtqueue *vq;
	unsigned int inflight;
	unsigned int freed; /* rises with each request that comes back */
	wait_queue_head_t space;
};

struct v86fs_device {
	struct kref ref; /* the driver, and each superblock */
	struct virtio_device *vdev;
	struct rw_semaphore gone; /* held for reading while queues are used */
	bool dead;
	unsigned long features; /* bits of V86FS_F_* */
	atomic_t tag;
	struct v86fs_queue queues[V86FS_QUEUES];

	struct mutex supers_lock;
	struct list_head supers; /* of v86fs_super.entry */

	struct work_struct notes;
	u8 *note_buffers; /* V86FS_NOTE_COUNT of V86FS_NOTE_BYTES */
};

/* The device that there is, with a reference; or NULL. */
struct v86fs_device *v86fs_device_get(void);
void v86fs_device_put(struct v86fs_device *dev);

static inline bool v86fs_has(const struct v86fs_device *dev, int feature)
{
	return test_bit(feature, &dev->features);
}

/* Post all notification buffers; from probe, before any message is sent. */
void v86fs_notes_post(struct v86fs_device *dev);
void v86fs_notes_work(struct work_struct *work);

/* ---- requests ---- */

struct v86fs_request {
	struct kref ref; /* the waiter, and the queue while it is there */
	struct list_head entry;
	struct completion done;
	u8 type;
	u16 tag;
	u8 *out; /* the frame without the page */
	u32 out_size;
	u32 out_used; /* what put_*() has written */
	u8 *in;
	u32 in_size;
	u32 in_min;  /* least length of a good reply */
	u32 in_used; /* as the device says */
	int error;   /* never answered */
	/* Data of READ and WRITE, between the page cache and the device. */
	struct page *page;
	u32 page_offset;
	u32 page_size;
	/* Instead of a waiter: called from the interrupt. */
	void (*end)(struct v86fs_request *request);
};

/* A request of `out_size` bytes with its header written; the reply has at least
 * `in_min` and at most `in_size` bytes, page not counted.  NULL without memory.
 */
struct v86fs_request *v86fs_request_new(u8 type, u32 out_size, u32 in_min,
					u32 in_size);
void v86fs_request_put(struct v86fs_request *request);

void v86fs_put_u16(struct v86fs_request *request, u16 value);
void v86fs_put_u32(struct v86fs_request *request, u32 value);
void v86fs_put_u64(struct v86fs_request *request, u64 value);
void v86fs_put_string(struct v86fs_request *request, const char *text,
		      u32 size);

/* Data of the request are in the page, or the reply's go there. */
void v86fs_request_page(struct v86fs_request *request, struct page *page,
			u32 offset, u32 size);

/* Send, wait and check the reply.  0, or a negative errno: the reply's status,
 * -EIO for nonsense and for a device that is gone, -ERESTARTSYS if the task is
 * being killed and `killable` is set. */
int v86fs_request_call(struct v86fs_device *dev, enum v86fs_queue_index index,
		       struct v86fs_request *request, bool killable);

/* Send; `end` will be called from an interrupt and has to put the request.  An
 * error is returned, and then `end` is not called. */
int v86fs_request_send(struct v86fs_device *dev, enum v86fs_queue_index index,
		       struct v86fs_request *request);

/* What the reply says, for `end`. */
int v86fs_request_status(const struct v86fs_request *request);

/* The queue gives a request back. */
void v86fs_request_finish(struct v86fs_request *request);

/* ---- messages ---- */

struct v86fs_attr {
	u32 mode;
	u32 nlink, uid, gid; /* with V86FS_F_ATTR2 */
	u64 size;
	u64 blocks;
	struct timespec64 mtime, atime, ctime;
};

struct v86fs_node {
	u64 id;
	u32 mode;
	u64 size;
};

/* A batch of directory entries. */
struct v86fs_batch {
	u32 count;
	u64 next_cookie; /* 0: no more */
	const u8 *entries;
	u32 size;
};

int v86fs_call_mount(struct v86fs_device *dev, const char *name,
		     struct v86fs_node *root);
int v86fs_call_lookup(struct v86fs_device *dev, u64 parent,
		      const struct qstr *name, struct v86fs_node *node);
int v86fs_call_getattr(struct v86fs_device *dev, u64 id,
		       struct v86fs_attr *attr);
int v86fs_call_setattr(struct v86fs_device *dev, u64 id,
		       const struct iattr *attr, u32 valid);
int v86fs_call_make(struct v86fs_device *dev, u8 type, u64 parent,
		    const struct qstr *name, u32 mode, const char *target,
		    struct v86fs_node *node);
int v86fs_call_unlink(struct v86fs_device *dev, u64 parent,
		      const struct qstr *name, bool directory);
int v86fs_call_rename(struct v86fs_device *dev, u64 parent,
		      const struct qstr *name, u64 new_parent,
		      const struct qstr *new_name, u32 flags);
int v86fs_call_readlink(struct v86fs_device *dev, u64 id, char **target);
int v86fs_call_open(struct v86fs_device *dev, u64 id, u32 flags, u64 *handle);
int v86fs_call_close(struct v86fs_device *dev, u64 handle);
int v86fs_call_fsync(struct v86fs_device *dev, u64 id);
int v86fs_call_statfs(struct v86fs_device *dev, struct kstatfs *buf);
int v86fs_call_write(struct v86fs_device *dev, u64 id, loff_t offset,
		     struct page *page, u32 page_offset, u32 size);
/* A READ of one page; the caller sets `end` and sends it, or calls it. */
struct v86fs_request *v86fs_read_request(u64 id_or_handle, struct page *page);
/* Bytes that a READ without error brought; -EIO if it says more than it sent.
 */
int v86fs_read_bytes(const struct v86fs_request *request);
/* The batch points into the request that is returned; ERR_PTR on errors. */
struct v86fs_request *v86fs_call_readdir(struct v86fs_device *dev, u64 id,
					 u64 cookie, struct v86fs_batch *batch);

/* ---- superblocks and inodes ---- */

struct v86fs_super {
	struct v86fs_device *dev;
	struct super_block *sb;
	struct list_head entry;
	char name[V86FS_NAME_MAX + 1];
};

struct v86fs_inode {
	struct inode vfs;
	u64 id;
	/* Of a directory: dentries below remember it (d_time); a bump makes
	 * them be looked up again. */
	unsigned long version;
	/* Rises with each change of size made here: an answer that left the
	 * device before it must not undo it. */
	atomic_t changes;
};

static inline struct v86fs_inode *v86fs_i(const struct inode *inode)
{
	return container_of(inode, struct v86fs_inode, vfs);
}

static inline struct v86fs_super *v86fs_sb(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline struct v86fs_device *v86fs_dev(const struct inode *inode)
{
	return v86fs_sb(inode->i_sb)->dev;
}

extern const struct dentry_operations v86fs_dentry_ops;
extern const struct inode_operations v86fs_dir_inode_ops;
extern const struct inode_operations v86fs_file_inode_ops;
extern const struct inode_operations v86fs_symlink_inode_ops;
extern const struct file_operations v86fs_dir_ops;
extern const struct file_operations v86fs_file_ops;
extern const struct address_space_operations v86fs_aops;

int v86fs_super_register(void);
void v86fs_super_unregister(void);

/* The inode of a node; an error pointer on failure. */
struct inode *v86fs_inode_get(struct super_block *sb,
			      const struct v86fs_node *node);
/* The inode with this id if it is in memory, with a reference; else NULL. */
struct inode *v86fs_inode_find(struct super_block *sb, u64 id);
/* Ask the device for the attributes. */
int v86fs_inode_refresh(struct inode *inode);
int v86fs_getattr(struct user_namespace *mnt_userns, const struct path *path,
		  struct kstat *stat, u32 mask, unsigned int flags);
int v86fs_setattr(struct user_namespace *mnt_userns, struct dentry *dentry,
		  struct iattr *attr);

/* All names below are looked up again. */
static inline void v86fs_inode_bump(struct inode *dir)
{
	WRITE_ONCE(v86fs_i(dir)->version, v86fs_i(dir)->version + 1);
}

#endif
