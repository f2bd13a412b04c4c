/* SPDX-License-Identifier: MIT */
#include "replay/sink_file.h"

#include "base/os.h"

/* ---- sink ---- */

static int fd_of(void *self)
{
    return ((struct replay_sink_file *)self)->fd;
}

static enum err file_write(void *self, uint64_t offset, const void *data, size_t size)
{
    return os_pwrite(fd_of(self), offset, data, size);
}

/* Windows are mapped as parts of one span, which is kept: the next window begins a
 * chunk further on and lies on the same pages but for the last, so few of them have to
 * be faulted in again. */
enum { SPAN_SIZE = 32 << 20, PAGE_SIZE = 4096 };

static void span_drop(struct replay_sink_file *file)
{
    os_unmap(file->span, SPAN_SIZE);
    file->span = NULL;
}

static bool span_covers(const struct replay_sink_file *file, uint64_t offset,
                        size_t size)
{
    return file->span && offset >= file->span_at &&
           offset + size <= file->span_at + SPAN_SIZE;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Reserve first: a store into a hole on a full disk would be SIGBUS.  Most of a window
 * has been reserved for the one before.  What of the span is not reserved yet is not
 * touched. */
static enum err file_map(void *self, uint64_t offset, size_t size, uint8_t **ret_window)
{
    struct replay_sink_file *file = self;
    uint64_t from = later(file->reserved, offset), end = offset + size;
    if (from < end)
        TRY(os_allocate(file->fd, from, end - from));
    file->reserved = later(from, end);
    if (!span_covers(file, offset, size)) {
        void *span;
        span_drop(file);
        TRY(os_map_shared(file->fd, offset, SPAN_SIZE, &span));
        file->span = span;
        file->span_at = offset;
    }
    *ret_window = file->span + (offset - file->span_at);
    return ERR_ok;
}

static void file_unmap(void *self, uint8_t *window, size_t size)
{
    (void)self;
    (void)window;
    (void)size;
}

/* One piece further, if stores at `from` come near the end of the last: a short
 * recording should not pay for much. */
static size_t file_prepare(void *self, uint8_t *window, size_t from)
{
    struct replay_sink_file *file = self;
    uint64_t at = file->span_at + (uint64_t)(window - file->span);
    uint64_t page = (at + from + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
    uint64_t start = later(file->prepared, page);
    if (start - at < from + OS_PREPARE_MAX / 2) {
        os_map_prepare(file->fd, start, window + (start - at), OS_PREPARE_MAX);
        start += OS_PREPARE_MAX;
    }
    file->prepared = start;
    return (size_t)(start - at);
}

static enum err file_sync(void *self)
{
    return os_datasync(fd_of(self));
}

static enum err file_sync_window(void *self, uint8_t *window, size_t size)
{
    (void)self;
    return os_map_sync(window, size);
}

static enum err file_truncate(void *self, uint64_t size)
{
    struct replay_sink_file *file = self;
    file->reserved = file->prepared = 0;
    return os_truncate(file->fd, size);
}

enum err replay_sink_file_open(struct replay_sink_file *file, const char *path,
                               bool update)
{
    *file = (struct replay_sink_file){.fd = -1};
    return os_open(path, update ? OS_OPEN_UPDATE : OS_OPEN_CREATE, &file->fd);
}

struct trace_sink replay_sink_file(struct replay_sink_file *file)
{
    return (struct trace_sink){
        .self = file,
        .write = file_write,
        .map = file_map,
        .unmap = file_unmap,
        .prepare = file_prepare,
        .sync = file_sync,
        .sync_window = file_sync_window,
        .truncate = file_truncate,
    };
}

void replay_sink_file_close(struct replay_sink_file *file)
{
    span_drop(file);
    os_close(file->fd);
    file->fd = -1;
}

/* ---- source ---- */

static enum err source_size(void *self, uint64_t *ret_size)
{
    return os_size(((struct replay_source_file *)self)->fd, ret_size);
}

static enum err source_read(void *self, uint64_t offset, void *data, size_t size,
                            size_t *ret_size)
{
    if (offset > INT64_MAX - size) { /* behind every file; pread() would refuse it */
        *ret_size = 0;
        return ERR_ok;
    }
    return os_pread(((struct replay_source_file *)self)->fd, offset, data, size,
                    ret_size);
}

enum err replay_source_file_open(struct replay_source_file *file, const char *path)
{
    return os_open(path, OS_OPEN_READ, &file->fd);
}

struct trace_source replay_source_file(struct replay_source_file *file)
{
    return (struct trace_source){
        .self = file, .size = source_size, .read = source_read};
}

void replay_source_file_close(struct replay_source_file *file)
{
    os_close(file->fd);
    file->fd = -1;
}

/* ---- ring [2.8] ---- */

void replay_segment_path(struct buf *path, const char *name, uint32_t number)
{
    buf_clear(path);
    buf_printf(path, "%s.%03u", name, (unsigned)number);
}

enum err replay_ring_open_segment(void *self, uint32_t number,
                                  struct trace_sink *ret_sink)
{
    struct replay_ring_files *ring = self;
    struct buf path;
    replay_sink_file_close(&ring->file);
    buf_init(&path, 1 << 16);
    replay_segment_path(&path, ring->name, number);
    enum err err = path.err;
    if (!err)
        err = replay_sink_file_open(&ring->file, buf_string(&path), false);
    buf_fini(&path);
    if (!err)
        *ret_sink = replay_sink_file(&ring->file);
    return err;
}

enum err replay_ring_drop_segment(void *self, uint32_t number)
{
    struct replay_ring_files *ring = self;
    struct buf path;
    buf_init(&path, 1 << 16);
    replay_segment_path(&path, ring->name, number);
    enum err err = path.err ? path.err : os_unlink(buf_string(&path));
    buf_fini(&path);
    return err;
}

enum err replay_ring_files_open(struct replay_ring_files *ring, const char *name)
{
    struct trace_sink sink;
    *ring = (struct replay_ring_files){.name = name, .file = {.fd = -1}};
    return replay_ring_open_segment(ring, 0, &sink);
}

void replay_ring_files_close(struct replay_ring_files *ring)
{
    replay_sink_file_close(&ring->file);
}

/* Open every segment that exists, in order; how many. */
static enum err open_segments(const char *name, struct buf *path,
                              struct replay_source_file *file, uint32_t *number,
                              size_t *ret_count)
{
    size_t count = 0;
    uint32_t missing = 0;
    /* A gap of dropped segments follows 000; numbers may be large. */
    for (uint32_t i = 0; missing < 1u << 20 && count < REPLAY_SEGMENT_COUNT_MAX; i++) {
        replay_segment_path(path, name, i);
        TRY(path->err);
        if (!os_file_exists(buf_string(path))) {
            if (!i || (count > 1))
                break;
            missing++;
            continue;
        }
        TRY(replay_source_file_open(&file[count], buf_string(path)));
        number[count++] = i;
    }
    *ret_count = count;
    return count ? ERR_ok : ERR_not_found;
}

static enum err join_into(struct arena *arena, const char *name,
                          const struct trace_source *source, size_t count,
                          struct hash256 *ret_identity)
{
    struct replay_sink_file out = {.fd = -1};
    TRY(replay_sink_file_open(&out, name, false));
    struct trace_sink sink = replay_sink_file(&out);
    enum err err = trace_join(arena, source, count, &sink, ret_identity);
    replay_sink_file_close(&out);
    return err;
}

enum err replay_ring_join(struct arena *arena, const char *name,
                          struct hash256 *ret_identity)
{
    struct replay_source_file *file =
        arena_new_array(arena, struct replay_source_file, REPLAY_SEGMENT_COUNT_MAX);
    struct trace_source *source =
        arena_new_array(arena, struct trace_source, REPLAY_SEGMENT_COUNT_MAX);
    uint32_t *number = arena_new_array(arena, uint32_t, REPLAY_SEGMENT_COUNT_MAX);
    struct buf path;
    size_t count = 0;
    if (!file || !source || !number)
        return ERR_nomem;
    for (size_t i = 0; i < REPLAY_SEGMENT_COUNT_MAX; i++)
        file[i].fd = -1;
    buf_init(&path, 1 << 16);
    enum err err = open_segments(name, &path, file, number, &count);
    for (size_t i = 0; i < count; i++)
        source[i] = replay_source_file(&file[i]);
    if (!err)
        err = join_into(arena, name, source, count, ret_identity);
    for (size_t i = 0; i < REPLAY_SEGMENT_COUNT_MAX; i++)
        replay_source_file_close(&file[i]);
    for (size_t i = 0; !err && i < count; i++) {
        replay_segment_path(&path, name, number[i]);
        err = os_unlink(buf_string(&path));
    }
    buf_fini(&path);
    return err;
}
