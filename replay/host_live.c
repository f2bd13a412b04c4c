/* SPDX-License-Identifier: MIT
 *
 * The live host: the operating system behind the small host's table.  What it answers
 * is an input of the run and recorded as such.
 */
#include "replay/host.h"

#include "base/os.h"

struct file {
    int fd; /* -1: free */
    bool writable;
};

enum { FILE_FIRST = 3 };

struct replay_live {
    struct replay_live_options options;
    int std[FILE_FIRST]; /* -1: closed */
    int dir_fd;
    uint64_t start_ns; /* monotonic, when the run began */
    uint64_t fixed_ns;
    uint64_t random_state;
    struct file file[REPLAY_OPEN_MAX];
};

/* ---- pieces ---- */

static int64_t answer_of(enum err err)
{
    switch ((unsigned)err) {
    case ERR_ok:
        return 0;
    case ERR_interrupted:
        return REPLAY_HOST_INTERRUPTED;
    case ERR_not_found:
        return -REPLAY_HOST_noent;
    case ERR_access:
        return -REPLAY_HOST_access;
    default:
        return -REPLAY_HOST_io;
    }
}

static struct file *file_of(struct replay_live *live, uint64_t fd)
{
    if (fd < FILE_FIRST || fd >= FILE_FIRST + REPLAY_OPEN_MAX)
        return NULL;
    struct file *file = &live->file[fd - FILE_FIRST];
    return file->fd >= 0 ? file : NULL;
}

/* ---- files ---- */

static int64_t live_read(void *self, uint64_t fd, void *data, size_t size)
{
    struct replay_live *live = self;
    const struct file *file = file_of(live, fd);
    int host_fd = fd == 0 ? live->std[0] : file ? file->fd : -1;
    if (host_fd < 0)
        return -REPLAY_HOST_badf;
    size_t count = 0;
    enum err err = os_read(host_fd, data, size, &count);
    return err ? answer_of(err) : (int64_t)count;
}

static int64_t live_write(void *self, uint64_t fd, const void *data, size_t size)
{
    struct replay_live *live = self;
    const struct file *file = file_of(live, fd);
    int host_fd = fd == 1 || fd == 2       ? live->std[fd]
                  : file && file->writable ? file->fd
                                           : -1;
    if (host_fd < 0)
        return -REPLAY_HOST_badf;
    enum err err = os_write_all(host_fd, data, size);
    return err ? answer_of(err) : (int64_t)size;
}

/* Files may not be changed: but that a file is not there is said first. */
static int64_t refuse_write(const struct replay_live *live, const char *path,
                            uint64_t flags)
{
    int fd = -1;
    enum err err = ERR_ok;
    if (flags == 2)
        err = os_open_beneath(live->dir_fd, path, OS_OPEN_READ, &fd);
    os_close(fd);
    return err ? answer_of(err) : -REPLAY_HOST_access;
}

static int64_t live_open(void *self, const char *path, uint64_t flags)
{
    static const enum os_open_mode mode[] = {OS_OPEN_READ, OS_OPEN_CREATE,
                                             OS_OPEN_UPDATE};
    struct replay_live *live = self;
    if (live->dir_fd < 0)
        return -REPLAY_HOST_noent;
    if (flags && !live->options.write)
        return refuse_write(live, path, flags);
    for (unsigned i = 0; i < REPLAY_OPEN_MAX; i++) {
        struct file *file = &live->file[i];
        if (file->fd >= 0)
            continue;
        enum err err = os_open_beneath(live->dir_fd, path, mode[flags], &file->fd);
        file->writable = flags != 0;
        return err ? answer_of(err) : (int64_t)(i + FILE_FIRST);
    }
    return -REPLAY_HOST_mfile;
}

static int64_t live_close(void *self, uint64_t fd)
{
    struct replay_live *live = self;
    struct file *file = file_of(live, fd);
    if (file) {
        os_close(file->fd);
        file->fd = -1;
        return 0;
    }
    /* Closed to the guest only: the descriptor is the caller's. */
    if (fd >= FILE_FIRST || live->std[fd] < 0)
        return -REPLAY_HOST_badf;
    live->std[fd] = -1;
    return 0;
}

static int64_t live_seek(void *self, uint64_t fd, int64_t offset, uint64_t whence)
{
    const struct file *file = file_of(self, fd);
    if (!file)
        return -REPLAY_HOST_badf;
    uint64_t at = 0;
    /* A regular file refuses nothing but a position before its start. */
    if (os_seek(file->fd, offset, (int)whence, &at))
        return -REPLAY_HOST_inval;
    return (int64_t)at;
}

/* ---- time and chance ---- */

static int64_t live_clock(void *self, uint64_t id)
{
    struct replay_live *live = self;
    if (live->options.clock_fixed) {
        /* It moves at all, so that a guest that waits comes to an end. */
        live->fixed_ns += 1000;
        return (int64_t)(id ? live->fixed_ns : live->options.clock_ns + live->fixed_ns);
    }
    return (int64_t)(id ? os_clock_monotonic_ns() - live->start_ns
                        : os_clock_realtime_ns());
}

static uint64_t split_mix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int64_t live_random(void *self, void *data, size_t size)
{
    struct replay_live *live = self;
    if (!live->options.random_fixed) {
        os_random(data, size);
        return (int64_t)size;
    }
    uint8_t *byte = data;
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++, number >>= 8) {
        if (i % 8 == 0)
            number = split_mix(&live->random_state);
        byte[i] = (uint8_t)number;
    }
    return (int64_t)size;
}

/* ---- life ---- */

enum err replay_live_create(struct arena *arena,
                            const struct replay_live_options *options,
                            struct replay_live **ret_live)
{
    struct replay_live *live = arena_new(arena, struct replay_live);
    if (!live)
        return ERR_nomem;
    live->options = *options;
    live->std[0] = options->stdin_fd;
    live->std[1] = options->stdout_fd;
    live->std[2] = options->stderr_fd;
    live->random_state = options->seed;
    live->start_ns = os_clock_monotonic_ns();
    for (unsigned i = 0; i < REPLAY_OPEN_MAX; i++)
        live->file[i].fd = -1;
    live->dir_fd = -1;
    if (options->dir)
        TRY(os_open_dir(options->dir, &live->dir_fd));
    *ret_live = live;
    return ERR_ok;
}

void replay_live_close(struct replay_live *live)
{
    if (!live)
        return;
    for (unsigned i = 0; i < REPLAY_OPEN_MAX; i++)
        os_close(live->file[i].fd);
    os_close(live->dir_fd);
}

struct replay_host replay_live_host(struct replay_live *live)
{
    return (struct replay_host){
        .self = live,
        .read = live_read,
        .write = live_write,
        .open = live_open,
        .close = live_close,
        .seek = live_seek,
        .clock = live_clock,
        .random = live_random,
    };
}
