/* SPDX-License-Identifier: MIT */
#include "cli/fs_news.h"

#include <string.h>

enum { NEWS_COUNT_MAX = 1024 };

static void on_news(void *self, struct bytes frame)
{
    struct cli_fs_news *news = self;
    if (!frame.size || v86fs_notes_frame(news->queue, frame) == V86FS_NOTE_FULL)
        news->lost = true;
}

enum err cli_fs_news_open(struct arena *arena, struct cli_fs *fs,
                          struct cli_fs_news *news)
{
    *news = (struct cli_fs_news){.fs = fs};
    TRY(v86fs_notes_create(arena, NEWS_COUNT_MAX, &news->queue));
    v86fs_notes_start(news->queue, V86FS_NOTE_SIZE_MAX);
    cli_fs_listen(fs, on_news, news);
    return ERR_ok;
}

/* Tell of every file, as far as there is room. */
static void sweep(struct cli_fs_news *news)
{
    const struct cli_fs *fs = news->fs;
    while (news->sweep && v86fs_notes_count(news->queue) < NEWS_COUNT_MAX) {
        uint64_t id = news->sweep++;
        uint32_t mode;
        if (id >= fs->ids.next)
            news->sweep = 0;
        else if (v86fs_server_node(fs->server, id, &mode))
            (void)((mode & V86FS_TYPE_MASK) == V86FS_DIRECTORY
                       ? v86fs_notes_invalidate_dir(news->queue, id)
                       : v86fs_notes_invalidate(news->queue, id, 0, 0));
    }
}

struct bytes cli_fs_news_first(struct cli_fs_news *news)
{
    cli_fs_poll(news->fs);
    if (news->lost)
        news->sweep = 1;
    news->lost = false;
    sweep(news);
    return v86fs_notes_first(news->queue);
}

void cli_fs_news_taken(struct cli_fs_news *news)
{
    v86fs_notes_drop_first(news->queue);
}

size_t cli_fs_news_take(void *self, uint8_t *frame, size_t frame_size_max)
{
    struct cli_fs_news *news = self;
    struct bytes first = cli_fs_news_first(news);
    if (!first.size || first.size > frame_size_max)
        return 0;
    memcpy(frame, first.data, first.size);
    cli_fs_news_taken(news);
    return first.size;
}

void cli_fs_news_of_roots(struct cli_fs_news *news)
{
    for (size_t i = 0; i < news->fs->export_count; i++)
        (void)v86fs_notes_invalidate_dir(news->queue, news->fs->export[i].root);
}
