/* SPDX-License-Identifier: MIT
 *
 * Sink and source in memory.  The window is memory of its own and reaches the "file"
 * when it is unmapped or flushed: what is in the file at any moment is what a reader
 * could find.
 */
#include "trace/trace.h"

#include <string.h>

void trace_memory_init(struct trace_memory *memory, size_t size_max)
{
    *memory = (struct trace_memory){0};
    buf_init(&memory->file, size_max);
    buf_init(&memory->window_bytes, size_max);
}

void trace_memory_fini(struct trace_memory *memory)
{
    buf_fini(&memory->file);
    buf_fini(&memory->window_bytes);
    *memory = (struct trace_memory){0};
}

/* Make the file at least `size` bytes long. */
static enum err grow(struct trace_memory *memory, uint64_t size)
{
    struct buf *file = &memory->file;
    if (size > file->size_max)
        return ERR_io; /* the disk is full */
    if (size > file->size && !buf_extend(file, (size_t)size - file->size))
        return file->err;
    return ERR_ok;
}

void trace_memory_flush(struct trace_memory *memory)
{
    if (memory->window)
        memcpy(memory->file.data + memory->window_offset, memory->window,
               memory->window_size);
}

static enum err memory_write(void *self, uint64_t offset, const void *data, size_t size)
{
    struct trace_memory *memory = self;
    if (offset > memory->file.size_max)
        return ERR_io;
    TRY(grow(memory, offset + size));
    memcpy(memory->file.data + offset, data, size);
    return ERR_ok;
}

static enum err memory_map(void *self, uint64_t offset, size_t size,
                           uint8_t **ret_window)
{
    struct trace_memory *memory = self;
    check(!memory->window);
    if (offset > memory->file.size_max)
        return ERR_io;
    TRY(grow(memory, offset + size));
    buf_clear(&memory->window_bytes);
    memory->window = buf_extend(&memory->window_bytes, size);
    if (!memory->window)
        return memory->window_bytes.err;
    memcpy(memory->window, memory->file.data + offset, size);
    memory->window_offset = offset;
    memory->window_size = size;
    *ret_window = memory->window;
    return ERR_ok;
}

static void memory_unmap(void *self, uint8_t *window, size_t size)
{
    struct trace_memory *memory = self;
    check(window == memory->window && size == memory->window_size);
    trace_memory_flush(memory);
    memory->window = NULL;
}

static enum err memory_sync(void *self)
{
    (void)self;
    return ERR_ok;
}

static enum err memory_sync_window(void *self, uint8_t *window, size_t size)
{
    (void)window;
    (void)size;
    trace_memory_flush(self);
    return ERR_ok;
}

static enum err memory_truncate(void *self, uint64_t size)
{
    struct trace_memory *memory = self;
    TRY(grow(memory, size));
    memory->file.size = (size_t)size;
    return ERR_ok;
}

struct trace_sink trace_memory_sink(struct trace_memory *memory)
{
    return (struct trace_sink){
        .self = memory,
        .write = memory_write,
        .map = memory_map,
        .unmap = memory_unmap,
        .sync = memory_sync,
        .sync_window = memory_sync_window,
        .truncate = memory_truncate,
    };
}

static enum err bytes_source_size(void *self, uint64_t *ret_size)
{
    const struct bytes *bytes = self;
    *ret_size = bytes->size;
    return ERR_ok;
}

static enum err bytes_source_read(void *self, uint64_t offset, void *data, size_t size,
                                  size_t *ret_size)
{
    const struct bytes *bytes = self;
    size_t left = offset < bytes->size ? bytes->size - (size_t)offset : 0;
    if (size > left)
        size = left;
    if (size)
        memcpy(data, bytes->data + offset, size);
    *ret_size = size;
    return ERR_ok;
}

struct trace_source trace_bytes_source(struct bytes *bytes)
{
    return (struct trace_source){
        .self = bytes, .size = bytes_source_size, .read = bytes_source_read};
}
