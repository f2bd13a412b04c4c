// SPDX-License-Identifier: GPL-2.0-only
/*
 * notify.c - what the device tells without being asked.
 *
 * All of it happens in a work item: dropping pages and asking for attributes
 * sleep.
 */
#include <asm/unaligned.h>
#include <linux/kmod.h>
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "v86fs.h"

static int note_post(struct v86fs_device *dev, u8 *buffer)
{
	struct scatterlist in;

	sg_init_one(&in, buffer, V86FS_NOTE_BYTES);
	return virtqueue_add_inbuf(dev->queues[V86FS_NOTIFYQ].vq, &in, 1,
				   buffer, GFP_ATOMIC);
}

void v86fs_notes_post(struct v86fs_device *dev)
{
	struct v86fs_queue *queue = &dev->queues[V86FS_NOTIFYQ];
	int i;

	for (i = 0; i < V86FS_NOTE_COUNT; i++)
		note_post(dev, dev->note_buffers + i * V86FS_NOTE_BYTES);
	virtqueue_kick(queue->vq);
}

/* ---- cached files and names ---- */

static void inode_drop_pages(struct inode *inode, u64 offset, u64 size)
{
	pgoff_t first = size ? offset >> PAGE_SHIFT : 0;
	pgoff_t last = size ? (offset + size - 1) >> PAGE_SHIFT : -1;

	if (!S_ISREG(inode->i_mode))
		return;
	invalidate_inode_pages2_range(inode->i_mapping, first, last);
	v86fs_inode_refresh(inode);
}

/* `size` 0: the whole file. */
static void note_invalidate(struct v86fs_device *dev, u64 id, u64 offset,
			    u64 size)
{
	struct v86fs_super *super;

	mutex_lock(&dev->supers_lock);
	list_for_each_entry (super, &dev->supers, entry) {
		struct inode *inode = v86fs_inode_find(super->sb, id);

		if (!inode)
			continue;
		inode_drop_pages(inode, offset, size);
		iput(inode);
	}
	mutex_unlock(&dev->supers_lock);
}

static void note_invalidate_dir(struct v86fs_device *dev, u64 id)
{
	struct v86fs_super *super;

	mutex_lock(&dev->supers_lock);
	list_for_each_entry (super, &dev->supers, entry) {
		struct inode *inode = v86fs_inode_find(super->sb, id);

		if (!inode)
			continue;
		if (S_ISDIR(inode->i_mode))
			v86fs_inode_bump(inode);
		iput(inode);
	}
	mutex_unlock(&dev->supers_lock);
}

/* ---- mounts that the device offers ---- */

/* Names go into an environment and into a mount option: no commas, no controls.
 */
static bool text_harmless(const u8 *text, u32 size)
{
	u32 i;

	for (i = 0; i < size; i++)
		if (text[i] < 0x20 || text[i] == 0x7f || text[i] == ',')
			return false;
	return true;
}

static void helper_start(char *event, char *name, char *path)
{
	static char *envp[] = {"HOME=/", "PATH=/sbin:/bin:/usr/sbin:/usr/bin",
			       NULL};
	char *argv[] = {v86fs_mount_helper, event, path, name, NULL};

	if (v86fs_mount_helper && *v86fs_mount_helper)
		call_usermodehelper(v86fs_mount_helper, argv, envp,
				    UMH_WAIT_EXEC);
}

static void event_tell(struct v86fs_device *dev, char *event, char *name,
		       char *path)
{
	char *envp[4] = {
		kasprintf(GFP_KERNEL, "V86FS_EVENT=%s", event),
		kasprintf(GFP_KERNEL, "V86FS_NAME=%s", name ? name : ""),
		kasprintf(GFP_KERNEL, "V86FS_PATH=%s", path),
		NULL,
	};
	int i;

	if (envp[0] && envp[1] && envp[2])
		kobject_uevent_env(&dev->vdev->dev.kobj, KOBJ_CHANGE, envp);
	for (i = 0; i < 3; i++)
		kfree(envp[i]);
	helper_start(event, name, path);
}

/* A counted string at `at`; NULL if it does not fit or has what it must not
 * have. */
static char *note_string(const u8 *note, u32 size, u32 *at)
{
	u32 length;
	char *text;

	if (size - *at < 2)
		return NULL;
	length = get_unaligned_le16(note + *at);
	*at += 2;
	if (length > size - *at || !text_harmless(note + *at, length))
		return NULL;
	text = kmemdup_nul(note + *at, length, GFP_KERNEL);
	*at += length;
	return text;
}

static void note_mount(struct v86fs_device *dev, const u8 *note, u32 size)
{
	bool mount = note[4] == V86FS_MOUNT_NOTIFY;
	u32 at = V86FS_HEADER;
	char *name = mount ? note_string(note, size, &at) : NULL;
	char *path = !mount || name ? note_string(note, size, &at) : NULL;

	if (path && at == size && path[0] == '/')
		event_tell(dev, mount ? "mount" : "umount", name, path);
	else
		pr_warn_ratelimited("v86fs: refused an offer to mount\n");
	kfree(name);
	kfree(path);
}

/* ---- the queue ---- */

static void note_handle(struct v86fs_device *dev, const u8 *note, u32 size)
{
	if (size < V86FS_HEADER || size > V86FS_NOTE_BYTES ||
	    get_unaligned_le32(note) != size)
		return;
	if (v86fs_debug)
		pr_info("v86fs: notification %02x, %u bytes\n", note[4], size);
	switch (note[4]) {
	case V86FS_INVALIDATE:
		if (size == 31)
			note_invalidate(dev, get_unaligned_le64(note + 7),
					get_unaligned_le64(note + 15),
					get_unaligned_le64(note + 23));
		break;
	case V86FS_INVALIDATE_DIR:
		if (size == 15)
			note_invalidate_dir(dev, get_unaligned_le64(note + 7));
		break;
	case V86FS_MOUNT_NOTIFY:
	case V86FS_UMOUNT_NOTIFY:
		note_mount(dev, note, size);
		break;
	}
}

static u8 *note_take(struct v86fs_queue *queue, u32 *size)
{
	unsigned long flags;
	u8 *note;

	spin_lock_irqsave(&queue->lock, flags);
	note = virtqueue_get_buf(queue->vq, size);
	spin_unlock_irqrestore(&queue->lock, flags);
	return note;
}

/* Back into the ring, for all that were handled. */
static void notes_return(struct v86fs_device *dev, u8 **notes, u32 count)
{
	struct v86fs_queue *queue = &dev->queues[V86FS_NOTIFYQ];
	unsigned long flags;
	bool kick = false;
	u32 i;

	down_read(&dev->gone);
	if (!dev->dead && count) {
		spin_lock_irqsave(&queue->lock, flags);
		for (i = 0; i < count; i++)
			note_post(dev, notes[i]);
		kick = virtqueue_kick_prepare(queue->vq);
		spin_unlock_irqrestore(&queue->lock, flags);
		if (kick)
			virtqueue_notify(queue->vq);
	}
	up_read(&dev->gone);
}

void v86fs_notes_work(struct work_struct *work)
{
	struct v86fs_device *dev =
		container_of(work, struct v86fs_device, notes);
	struct v86fs_queue *queue = &dev->queues[V86FS_NOTIFYQ];
	u8 *notes[V86FS_NOTE_COUNT];
	u32 count, size;

	do {
		for (count = 0; count < V86FS_NOTE_COUNT; count++) {
			notes[count] = note_take(queue, &size);
			if (!notes[count])
				break;
			note_handle(dev, notes[count], size);
		}
		notes_return(dev, notes, count);
	} while (count);
}
