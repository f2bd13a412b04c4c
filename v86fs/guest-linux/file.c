// SPDX-License-Identifier: GPL-2.0-only
/*
 * file.c - the data of files and the page cache.
 *
 * Writes go through at once; shared mappings are written back page by page.
 * Reads fill pages behind the back of the reader: the interrupt unlocks the
 * page.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/writeback.h>

#include "v86fs.h"

struct v86fs_file {
	u64 handle;
};

static int v86fs_open(struct inode *inode, struct file *file)
{
	struct v86fs_file *open = kmalloc(sizeof(*open), GFP_KERNEL);
	int err;

	if (!open)
		return -ENOMEM;
	err = v86fs_call_open(v86fs_dev(inode), v86fs_i(inode)->id,
			      file->f_flags, &open->handle);
	if (err) {
		kfree(open);
		return err;
	}
	file->private_data = open;
	return 0;
}

static int v86fs_release(struct inode *inode, struct file *file)
{
	struct v86fs_file *open = file->private_data;

	if (file->f_mode & FMODE_WRITE)
		filemap_write_and_wait(inode->i_mapping);
	v86fs_call_close(v86fs_dev(inode), open->handle);
	kfree(open);
	return 0;
}

/* close(2) says what went wrong with a mapping. */
static int v86fs_flush(struct file *file, fl_owner_t id)
{
	if (!(file->f_mode & FMODE_WRITE))
		return 0;
	return filemap_write_and_wait(file->f_mapping);
}

static int v86fs_fsync(struct file *file, loff_t start, loff_t end,
		       int datasync)
{
	struct inode *inode = file_inode(file);
	int err = file_write_and_wait_range(file, start, end);

	return err ? err
		   : v86fs_call_fsync(v86fs_dev(inode), v86fs_i(inode)->id);
}

const struct file_operations v86fs_file_ops = {
	.open = v86fs_open,
	.release = v86fs_release,
	.flush = v86fs_flush,
	.fsync = v86fs_fsync,
	.llseek = generic_file_llseek,
	.read_iter = generic_file_read_iter,
	.write_iter = generic_file_write_iter,
	.mmap = generic_file_mmap,
	.splice_read = generic_file_splice_read,
	.splice_write = iter_file_splice_write,
};

/* ---- reading ---- */

/* The page has what the device sent; zeros behind it. */
static int page_fill(const struct v86fs_request *request)
{
	int count = v86fs_request_status(request);

	if (!count)
		count = v86fs_read_bytes(request);
	if (count < 0)
		return count;
	if (count < PAGE_SIZE)
		zero_user_segment(request->page, count, PAGE_SIZE);
	SetPageUptodate(request->page);
	return 0;
}

static void read_end(struct v86fs_request *request)
{
	struct page *page = request->page;

	if (page_fill(request))
		SetPageError(page);
	unlock_page(page);
	v86fs_request_put(request); /* of who sent it */
}

/* Fill a locked page; it is unlocked when that is done, also on errors. */
static int page_read(struct inode *inode, struct file *file, struct page *page)
{
	struct v86fs_file *open = file ? file->private_data : NULL;
	struct v86fs_request *request = v86fs_read_request(
		open ? open->handle : v86fs_i(inode)->id, page);
	int err;

	if (!request) {
		unlock_page(page);
		return -ENOMEM;
	}
	request->end = read_end;
	err = v86fs_request_send(v86fs_dev(inode), V86FS_REQUESTQ, request);
	if (err) {
		v86fs_request_put(request);
		SetPageError(page);
		unlock_page(page);
	}
	return err;
}

static int v86fs_read_folio(struct file *file, struct folio *folio)
{
	return page_read(folio->mapping->host, file, &folio->page);
}

static void v86fs_readahead(struct readahead_control *rac)
{
	struct page *page;

	while ((page = readahead_page(rac))) {
		page_read(rac->mapping->host, rac->file, page);
		put_page(page);
	}
}

/* Fill a locked page that stays locked. */
static int page_read_wait(struct inode *inode, struct page *page)
{
	struct v86fs_request *request =
		v86fs_read_request(v86fs_i(inode)->id, page);
	int err;

	if (!request)
		return -ENOMEM;
	err = v86fs_request_call(v86fs_dev(inode), V86FS_REQUESTQ, request,
				 false);
	if (!err)
		err = page_fill(request);
	v86fs_request_put(request);
	return err;
}

/* ---- writing ---- */

/* The bytes of the page that the write leaves alone must be right before it. */
static int page_prepare(struct inode *inode, struct page *page,
			unsigned int from, unsigned int size)
{
	if (PageUptodate(page) || size == PAGE_SIZE)
		return 0;
	if (page_offset(page) < i_size_read(inode))
		return page_read_wait(inode, page);
	zero_user_segments(page, 0, from, from + size, PAGE_SIZE);
	return 0;
}

static int v86fs_write_begin(struct file *file, struct address_space *mapping,
			     loff_t pos, unsigned int size, struct page **pagep,
			     void **fsdata)
{
	struct page *page =
		grab_cache_page_write_begin(mapping, pos >> PAGE_SHIFT);
	int err;

	if (!page)
		return -ENOMEM;
	err = page_prepare(mapping->host, page, offset_in_page(pos), size);
	if (err) {
		unlock_page(page);
		put_page(page);
		return err;
	}
	*pagep = page;
	return 0;
}

/* Some bytes of the page have come: tell the device, and only then believe it.
 */
static int page_written(struct inode *inode, struct page *page, loff_t pos,
			unsigned int size)
{
	loff_t end = pos + size;
	int err = v86fs_call_write(v86fs_dev(inode), v86fs_i(inode)->id, pos,
				   page, offset_in_page(pos), size);

	if (err) {
		/* The page shows what the device does not have. */
		if (!PageDirty(page))
			ClearPageUptodate(page);
		return err;
	}
	SetPageUptodate(page);
	spin_lock(&inode->i_lock);
	atomic_inc(&v86fs_i(inode)->changes);
	if (end > inode->i_size)
		i_size_write(inode, end);
	inode->i_mtime = inode->i_ctime = current_time(inode);
	spin_unlock(&inode->i_lock);
	return 0;
}

static int v86fs_write_end(struct file *file, struct address_space *mapping,
			   loff_t pos, unsigned int size, unsigned int copied,
			   struct page *page, void *fsdata)
{
	int err = 0;

	/* A short copy into a page that was never read is no page: do it again.
	 */
	if (copied < size && !PageUptodate(page))
		copied = 0;
	if (copied)
		err = page_written(mapping->host, page, pos, copied);
	unlock_page(page);
	put_page(page);
	return err ? err : copied;
}

/* One page of a shared mapping; comes locked and leaves unlocked. */
static int page_write(struct page *page, struct writeback_control *wbc,
		      void *data)
{
	struct inode *inode = page->mapping->host;
	loff_t offset = page_offset(page);
	loff_t left = i_size_read(inode) - offset;
	int err;

	if (left <= 0) {
		unlock_page(page);
		return 0;
	}
	set_page_writeback(page);
	err = v86fs_call_write(v86fs_dev(inode), v86fs_i(inode)->id, offset,
			       page, 0, min_t(loff_t, left, PAGE_SIZE));
	if (err)
		mapping_set_error(page->mapping, err);
	end_page_writeback(page);
	unlock_page(page);
	return err;
}

static int v86fs_writepages(struct address_space *mapping,
			    struct writeback_control *wbc)
{
	return write_cache_pages(mapping, wbc, page_write, NULL);
}

const struct address_space_operations v86fs_aops = {
	.read_folio = v86fs_read_folio,
	.readahead = v86fs_readahead,
	.write_begin = v86fs_write_begin,
	.write_end = v86fs_write_end,
	.writepages = v86fs_writepages,
	.dirty_folio = filemap_dirty_folio,
};
