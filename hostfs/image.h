/* SPDX-License-Identifier: MIT
 *
 * hostfs/image.h - what the readers of images share (archive.c, archive_tar.c,
 * archive_cpio.c, walk.c).
 */
#ifndef HOSTFS_IMAGE_H
#define HOSTFS_IMAGE_H

#include "hostfs/hostfs.h"

/* A list that grows, in any order. */
struct hostfs_gather {
    struct arena *arena;
    const struct hostfs_image_options *options;
    struct v86fs_image_entry *entry;
    size_t count, capacity;
    uint64_t size;
    uint64_t steps; /* of hostfs_gather_find so far */
};

void hostfs_gather_init(struct hostfs_gather *gather, struct arena *arena,
                        const struct hostfs_image_options *options);

/* Add a member.  The path is made canonical ("./a/" is "a"); bytes are borrowed. */
ERR_MUST_CHECK enum err hostfs_gather_add(struct hostfs_gather *gather,
                                          const struct v86fs_image_entry *entry);

/* The last member with this path; NULL also when searching has taken too long. */
struct v86fs_image_entry *hostfs_gather_find(struct hostfs_gather *gather,
                                             struct bytes path);

/* Sort, add what is implied, refuse what is twice there. */
ERR_MUST_CHECK enum err hostfs_gather_finish(struct hostfs_gather *gather,
                                             struct hostfs_image *ret_image);

ERR_MUST_CHECK enum err hostfs_tar_read(struct hostfs_gather *gather,
                                        struct bytes archive);
ERR_MUST_CHECK enum err hostfs_cpio_read(struct hostfs_gather *gather,
                                         struct bytes archive);

static inline struct bytes hostfs_behind(struct bytes bytes, size_t size)
{
    return bytes_of(bytes.data + size, bytes.size - size);
}

#endif
