/* SPDX-License-Identifier: MIT
 *
 * Hostile archives.  What the reader lets through has to load or to be refused by the
 * loader; what loads has the same digest when it is written in our own form and read
 * again.
 */
#include "hostfs/hostfs.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err load(struct arena *arena, struct bytes archive,
                     struct hostfs_image *image, struct hash256 *ret_digest)
{
    const struct hostfs_image_options options = {.size_max = 1 << 22,
                                                 .entry_count_max = 500};
    struct v86fs_mem_options mem_options = {.file_size_max = 1 << 30};
    struct v86fs_ids ids;
    struct v86fs_mem *mem;
    uint64_t root;
    TRY(hostfs_archive_read(arena, archive, &options, image));
    mem_options.node_count_max = (uint32_t)image->count + 1;
    mem_options.quota = image->size + 4096;
    v86fs_ids_init(&ids);
    TRY(v86fs_mem_create(arena, &mem_options, &ids, &mem));
    return v86fs_image_load(mem, image->entry, image->count, &root, ret_digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct hostfs_image image, again;
    struct hash256 digest, digest_again;
    struct buf own;
    arena_init(&arena, 1 << 28);
    buf_init(&own, 1 << 24);
    if (load(&arena, bytes_of(data, size), &image, &digest) == ERR_ok) {
        hostfs_image_put(&image, &own);
        check(!own.err);
        check(load(&arena, buf_bytes(&own), &again, &digest_again) == ERR_ok);
        check(hash256_equal(&digest, &digest_again));
        check(image.count == again.count && image.size == again.size);
    }
    buf_fini(&own);
    arena_fini(&arena);
    return 0;
}
