/* SPDX-License-Identifier: MIT
 *
 * cli/fs_news.h - what others change in the trees, in a queue for the guest's driver.
 */
#ifndef CLI_FS_NEWS_H
#define CLI_FS_NEWS_H

#include "cli/fs.h"

struct cli_fs_news {
    struct cli_fs *fs;
    struct v86fs_notes *queue;
    bool lost;      /* something was told that is not in the queue */
    uint64_t sweep; /* the id that is told of next; 0: none */
};

/* Listen to the trees of `fs` (cli_fs_listen) from now on; the queue is in `arena`. */
ERR_MUST_CHECK enum err cli_fs_news_open(struct arena *arena, struct cli_fs *fs,
                                         struct cli_fs_news *news);

/* The oldest notification, a frame that is valid until the next call; of size 0: none.
 * Where it is not known what has changed, all files are told of, in the order of their
 * ids. */
struct bytes cli_fs_news_first(struct cli_fs_news *news);
void cli_fs_news_taken(struct cli_fs_news *news);

/* The oldest one, taken: its size in `frame`, 0: none.  `news` is a cli_fs_news. */
size_t cli_fs_news_take(void *news, uint8_t *frame, size_t frame_size_max);

/* Let the driver look up all names below the roots again. */
void cli_fs_news_of_roots(struct cli_fs_news *news);

#endif
