// SPDX-License-Identifier: GPL-2.0-only
/*
 * request.c - one message: building, sending, waiting, checking the reply.
 *
 * A request has a reference for its waiter and one for its queue, because a
 * waiter may be killed before the device answers.
 */
#include <asm/unaligned.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "v86fs.h"

/* Descriptors of a queue are 128; a request takes up to four. */
#define V86FS_INFLIGHT_MAX 32

struct v86fs_request *v86fs_request_new(u8 type, u32 out_size, u32 in_min,
					u32 in_size)
{
	struct v86fs_request *request = kzalloc(sizeof(*request), GFP_NOFS);

	if (!request)
		return NULL;
	kref_init(&request->ref);
	INIT_LIST_HEAD(&request->entry);
	init_completion(&request->done);
	request->type = type;
	request->out = kmalloc(out_size, GFP_NOFS);
	request->out_size = out_size;
	request->in = kmalloc(in_size, GFP_NOFS);
	request->in_size = in_size;
	request->in_min = in_min;
	if (!request->out || !request->in) {
		v86fs_request_put(request);
		return NULL;
	}
	put_unaligned_le32(out_size, request->out);
	request->out[4] = type;
	request->out_used = V86FS_HEADER;
	return request;
}

static void request_free(struct kref *ref)
{
	struct v86fs_request *request =
		container_of(ref, struct v86fs_request, ref);

	if (request->page)
		put_page(request->page);
	kfree(request->out);
	kfree(request->in);
	kfree(request);
}

void v86fs_request_put(struct v86fs_request *request)
{
	kref_put(&request->ref, request_free);
}

static u8 *request_room(struct v86fs_request *request, u32 size)
{
	u8 *at = request->out + request->out_used;

	BUG_ON(size > request->out_size - request->out_used);
	request->out_used += size;
	return at;
}

void v86fs_put_u16(struct v86fs_request *request, u16 value)
{
	put_unaligned_le16(value, request_room(request, 2));
}

void v86fs_put_u32(struct v86fs_request *request, u32 value)
{
	put_unaligned_le32(value, request_room(request, 4));
}

void v86fs_put_u64(struct v86fs_request *request, u64 value)
{
	put_unaligned_le64(value, request_room(request, 8));
}

void v86fs_put_string(struct v86fs_request *request, const char *text, u32 size)
{
	v86fs_put_u16(request, size);
	memcpy(request_room(request, size), text, size);
}

void v86fs_request_page(struct v86fs_request *request, struct page *page,
			u32 offset, u32 size)
{
	get_page(page);
	request->page = page;
	request->page_offset = offset;
	request->page_size = size;
	if (request->type == V86FS_WRITE)
		put_unaligned_le32(request->out_size + size, request->out);
}

/* ---- sending ---- */

/* One side of the exchange: the buffer, and the page if it belongs there. */
static void side_fill(struct scatterlist *list, void *buffer, u32 size,
		      const struct v86fs_request *request, bool page)
{
	sg_init_table(list, page ? 2 : 1);
	sg_set_buf(&list[0], buffer, size);
	if (page)
		sg_set_page(&list[1], request->page, request->page_size,
			    request->page_offset);
}

/* Put the request into the ring.  -ENOSPC: not now. */
static int queue_add(struct v86fs_queue *queue, struct v86fs_request *request,
		     bool *kick)
{
	struct scatterlist out[2], in[2];
	struct scatterlist *sides[2] = {out, in};
	bool write = request->page && request->type == V86FS_WRITE;
	bool read = request->page && !write;
	unsigned long flags;
	int err = -ENOSPC;

	side_fill(out, request->out, request->out_size, request, write);
	side_fill(in, request->in, request->in_size, request, read);
	*kick = false;
	spin_lock_irqsave(&queue->lock, flags);
	if (queue->inflight < V86FS_INFLIGHT_MAX)
		err = virtqueue_add_sgs(queue->vq, sides, 1, 1, request,
					GFP_ATOMIC);
	if (!err) {
		queue->inflight++;
		kref_get(&request->ref);
		*kick = virtqueue_kick_prepare(queue->vq);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	return err;
}

/* One attempt.  The semaphore keeps the queue until it has been notified. */
static int queue_try(struct v86fs_device *dev, struct v86fs_queue *queue,
		     struct v86fs_request *request)
{
	bool kick = false;
	int err = -EIO;

	down_read(&dev->gone);
	if (!dev->dead) {
		err = queue_add(queue, request, &kick);
		if (kick)
			virtqueue_notify(queue->vq);
	}
	up_read(&dev->gone);
	return err;
}

int v86fs_request_send(struct v86fs_device *dev, enum v86fs_queue_index index,
		       struct v86fs_request *request)
{
	struct v86fs_queue *queue = &dev->queues[index];

	request->tag = atomic_inc_return(&dev->tag) & 0xffff;
	put_unaligned_le16(request->tag, request->out + 5);
	if (WARN_ON(request->out_used != request->out_size))
		return -EIO;
	if (v86fs_debug)
		pr_info("v86fs: %02x tag %u, %u bytes\n", request->type,
			request->tag, get_unaligned_le32(request->out));
	for (;;) {
		unsigned int freed = READ_ONCE(queue->freed);
		int err = queue_try(dev, queue, request);

		if (err != -ENOSPC)
			return err;
		wait_event(queue->space, READ_ONCE(queue->freed) != freed ||
						 READ_ONCE(dev->dead));
	}
}

void v86fs_request_finish(struct v86fs_request *request)
{
	if (request->end)
		request->end(request);
	else
		complete(&request->done);
	v86fs_request_put(request);
}

int v86fs_request_call(struct v86fs_device *dev, enum v86fs_queue_index index,
		       struct v86fs_request *request, bool killable)
{
	int err = v86fs_request_send(dev, index, request);

	if (err)
		return err;
	if (!killable)
		wait_for_completion(&request->done);
	else if (wait_for_completion_killable(&request->done))
		return -ERESTARTSYS;
	return v86fs_request_status(request);
}

/* ---- the reply ---- */

static int status_errno(u32 status)
{
	return status <= MAX_ERRNO ? -(int)status : -EIO;
}

int v86fs_request_status(const struct v86fs_request *request)
{
	const u8 *in = request->in;
	u32 room = request->in_size;
	u32 status;

	if (request->error)
		return request->error;
	if (request->type == V86FS_READ && request->page)
		room += request->page_size;
	if (request->in_used < V86FS_STATUS_END || request->in_used > room ||
	    get_unaligned_le32(in) != request->in_used ||
	    get_unaligned_le16(in + 5) != request->tag)
		return -EIO;
	status = get_unaligned_le32(in + 7);
	if (v86fs_debug)
		pr_info("v86fs: %02x tag %u, %u bytes, status %u\n", in[4],
			request->tag, request->in_used, status);
	if (in[4] == V86FS_ERROR)
		return status ? status_errno(status) : -EIO;
	if (in[4] != (request->type | V86FS_REPLY))
		return -EIO;
	if (status)
		return status_errno(status);
	return request->in_used < request->in_min ? -EIO : 0;
}
