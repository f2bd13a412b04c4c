// SPDX-License-Identifier: GPL-2.0-only
/*
 * device.c - the virtio driver: queues, interrupts, coming and going of the
 * device.
 *
 * There is one device.  What is mounted keeps its structure alive when it goes;
 * from then on every message answers -EIO.
 */
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>

#include "v86fs.h"

bool v86fs_debug;
module_param_named(debug, v86fs_debug, bool, 0644);
MODULE_PARM_DESC(debug, "log one line for each message");

char *v86fs_mount_helper;
module_param_named(mount_helper, v86fs_mount_helper, charp, 0600);
MODULE_PARM_DESC(mount_helper,
		 "program to start when the device offers a file system");

static DEFINE_MUTEX(the_device_lock);
static struct v86fs_device *the_device;

static void device_free(struct kref *ref)
{
	struct v86fs_device *dev = container_of(ref, struct v86fs_device, ref);

	kfree(dev->note_buffers);
	kfree(dev);
}

struct v86fs_device *v86fs_device_get(void)
{
	struct v86fs_device *dev;

	mutex_lock(&the_device_lock);
	dev = the_device;
	if (dev)
		kref_get(&dev->ref);
	mutex_unlock(&the_device_lock);
	return dev;
}

void v86fs_device_put(struct v86fs_device *dev)
{
	kref_put(&dev->ref, device_free);
}

/* ---- interrupts ---- */

/* Take back what the device has answered, with interrupts of the queue off
 * meanwhile. */
static void queue_collect(struct v86fs_queue *queue, struct list_head *done)
{
	struct v86fs_request *request;
	unsigned int size;

	do {
		virtqueue_disable_cb(queue->vq);
		while ((request = virtqueue_get_buf(queue->vq, &size))) {
			request->in_used = size;
			list_add_tail(&request->entry, done);
			queue->inflight--;
			queue->freed++;
		}
	} while (!virtqueue_enable_cb(queue->vq));
}

static void finish_all(struct list_head *done)
{
	struct v86fs_request *request, *next;

	list_for_each_entry_safe (request, next, done, entry) {
		list_del_init(&request->entry);
		v86fs_request_finish(request);
	}
}

static void queue_interrupt(struct virtqueue *vq)
{
	struct v86fs_device *dev = vq->vdev->priv;
	struct v86fs_queue *queue = &dev->queues[vq->index];
	unsigned long flags;
	LIST_HEAD(done);

	spin_lock_irqsave(&queue->lock, flags);
	queue_collect(queue, &done);
	spin_unlock_irqrestore(&queue->lock, flags);
	finish_all(&done);
	wake_up_all(&queue->space);
}

static void notify_interrupt(struct virtqueue *vq)
{
	struct v86fs_device *dev = vq->vdev->priv;

	schedule_work(&dev->notes);
}

/* ---- start and stop ---- */

static const unsigned int feature_table[] = {
	V86FS_F_READDIR_PAGED,
	V86FS_F_ATTR2,
	V86FS_F_RENAME_FLAGS,
	V86FS_F_RMDIR,
};

static void queue_init(struct v86fs_queue *queue)
{
	spin_lock_init(&queue->lock);
	init_waitqueue_head(&queue->space);
}

static int device_start(struct v86fs_device *dev)
{
	static const char *const names[V86FS_QUEUES] = {"hipriq", "requestq",
							"notifyq"};
	vq_callback_t *callbacks[V86FS_QUEUES] = {
		queue_interrupt, queue_interrupt, notify_interrupt};
	struct virtqueue *vqs[V86FS_QUEUES];
	int err = virtio_find_vqs(dev->vdev, V86FS_QUEUES, vqs, callbacks,
				  names, NULL);
	int i;

	if (err)
		return err;
	dev->features = 0;
	for (i = 0; i < ARRAY_SIZE(feature_table); i++)
		if (virtio_has_feature(dev->vdev, feature_table[i]))
			__set_bit(feature_table[i], &dev->features);
	for (i = 0; i < V86FS_QUEUES; i++) {
		dev->queues[i].vq = vqs[i];
		dev->queues[i].inflight = 0;
	}
	virtio_device_ready(dev->vdev);
	dev->dead = false;
	v86fs_notes_post(dev);
	return 0;
}

/* What the device still holds will never be answered. */
static void queue_drop(struct v86fs_queue *queue)
{
	struct v86fs_request *request;
	unsigned long flags;
	LIST_HEAD(done);

	spin_lock_irqsave(&queue->lock, flags);
	queue_collect(queue, &done);
	while ((request = virtqueue_detach_unused_buf(queue->vq))) {
		request->error = -EIO;
		list_add_tail(&request->entry, &done);
		queue->inflight--;
		queue->freed++;
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	finish_all(&done);
	wake_up_all(&queue->space);
}

static void device_stop(struct v86fs_device *dev)
{
	down_write(&dev->gone);
	dev->dead = true;
	virtio_reset_device(dev->vdev);
	up_write(&dev->gone);
	queue_drop(&dev->queues[V86FS_HIPRIQ]);
	queue_drop(&dev->queues[V86FS_REQUESTQ]);
	cancel_work_sync(&dev->notes);
	while (virtqueue_detach_unused_buf(dev->queues[V86FS_NOTIFYQ].vq))
		;
	dev->vdev->config->del_vqs(dev->vdev);
}

static struct v86fs_device *device_new(struct virtio_device *vdev)
{
	struct v86fs_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	int i;

	if (!dev)
		return NULL;
	dev->note_buffers =
		kmalloc_array(V86FS_NOTE_COUNT, V86FS_NOTE_BYTES, GFP_KERNEL);
	if (!dev->note_buffers) {
		kfree(dev);
		return NULL;
	}
	kref_init(&dev->ref);
	dev->vdev = vdev;
	dev->dead = true;
	init_rwsem(&dev->gone);
	mutex_init(&dev->supers_lock);
	INIT_LIST_HEAD(&dev->supers);
	INIT_WORK(&dev->notes, v86fs_notes_work);
	for (i = 0; i < V86FS_QUEUES; i++)
		queue_init(&dev->queues[i]);
	return dev;
}

static int v86fs_probe(struct virtio_device *vdev)
{
	struct v86fs_device *dev = device_new(vdev);
	int err = 0;

	if (!dev)
		return -ENOMEM;
	mutex_lock(&the_device_lock);
	if (the_device)
		err = -EBUSY;
	else
		the_device = dev;
	mutex_unlock(&the_device_lock);
	if (!err) {
		vdev->priv = dev;
		err = device_start(dev);
		if (err) {
			mutex_lock(&the_device_lock);
			the_device = NULL;
			mutex_unlock(&the_device_lock);
		}
	}
	if (err)
		v86fs_device_put(dev);
	return err;
}

static void v86fs_remove(struct virtio_device *vdev)
{
	struct v86fs_device *dev = vdev->priv;

	mutex_lock(&the_device_lock);
	the_device = NULL;
	mutex_unlock(&the_device_lock);
	device_stop(dev);
	v86fs_device_put(dev);
}

#ifdef CONFIG_PM_SLEEP
/* The device forgets its open files when the machine sleeps. */
static int v86fs_freeze(struct virtio_device *vdev)
{
	struct v86fs_device *dev = vdev->priv;
	bool mounted;

	mutex_lock(&dev->supers_lock);
	mounted = !list_empty(&dev->supers);
	mutex_unlock(&dev->supers_lock);
	if (mounted)
		return -EBUSY;
	device_stop(dev);
	return 0;
}

static int v86fs_restore(struct virtio_device *vdev)
{
	return device_start(vdev->priv);
}
#endif

static const struct virtio_device_id id_table[] = {
	{V86FS_DEVICE_ID, VIRTIO_DEV_ANY_ID},
	{},
};
MODULE_DEVICE_TABLE(virtio, id_table);

static struct virtio_driver v86fs_driver = {
	.driver.name = "v86fs",
	.driver.owner = THIS_MODULE,
	.id_table = id_table,
	.feature_table = feature_table,
	.feature_table_size = ARRAY_SIZE(feature_table),
	.probe = v86fs_probe,
	.remove = v86fs_remove,
#ifdef CONFIG_PM_SLEEP
	.freeze = v86fs_freeze,
	.restore = v86fs_restore,
#endif
};

static int __init v86fs_init(void)
{
	int err = v86fs_super_register();

	if (err)
		return err;
	err = register_virtio_driver(&v86fs_driver);
	if (err)
		v86fs_super_unregister();
	return err;
}

static void __exit v86fs_exit(void)
{
	unregister_virtio_driver(&v86fs_driver);
	v86fs_super_unregister();
}

module_init(v86fs_init);
module_exit(v86fs_exit);

MODULE_ALIAS_FS("v86fs");
MODULE_DESCRIPTION("File system of the virtio device v86fs");
MODULE_AUTHOR("The lockstep authors");
MODULE_LICENSE("GPL");
