/* SPDX-License-Identifier: MIT
 *
 * replay/pages.h - images of a guest's memory that share their pages (trace-replay.md
 * 8).  Private to replay/.
 *
 * A page is immutable and counted.  An image is a table of 1024 groups of 1024 pages;
 * groups are shared and copied like pages, so that an image costs 8 KiB and what
 * differs from the one before.  A page that is all zeros is not stored.
 */
#ifndef REPLAY_PAGES_H
#define REPLAY_PAGES_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAGES_SIZE = 4096, PAGES_GROUP = 1024, PAGES_GROUP_COUNT = 1024 };

struct pages_group;

struct pages_image {
    struct pages_group *group[PAGES_GROUP_COUNT]; /* NULL: zero pages, flags 0 */
};

/* Bytes of one page, NULL: zeros; and what else is known of it. */
const uint8_t *replay_pages_get(const struct pages_image *image, uint32_t page,
                                uint8_t *ret_flags);

/* Change a page of an image; `*memory` is moved by what the store grows or shrinks.
 * ERR_nomem: unchanged. */
ERR_MUST_CHECK enum err replay_pages_set(struct pages_image *image, uint32_t page,
                                         const uint8_t *bytes, uint8_t flags,
                                         uint64_t *memory);

/* Share all groups; `to` is empty before. */
void replay_pages_copy(struct pages_image *to, const struct pages_image *from);
void replay_pages_fini(struct pages_image *image, uint64_t *memory);

/* Call `change` for each page by which `to` differs from `from`, or might. */
void replay_pages_diff(const struct pages_image *from, const struct pages_image *to,
                       void (*change)(void *self, uint32_t page, const uint8_t *bytes,
                                      uint8_t flags),
                       void *self);

#endif
