/* SPDX-License-Identifier: MIT */
#include "v86fs/v86fs.h"

void v86fs_ids_start(struct v86fs_ids *ids, uint64_t first_dynamic)
{
    ids->preload_end = ids->next;
    if (ids->next < first_dynamic && first_dynamic <= V86FS_ID_MAX)
        ids->next = first_dynamic;
    ids->first_dynamic = ids->next;
}

uint32_t v86fs_ids_status(const struct v86fs_ids *ids, uint64_t id)
{
    bool skipped = id >= ids->preload_end && id < ids->first_dynamic;
    return id && id < ids->next && !skipped ? V86FS_ESTALE : V86FS_ENOENT;
}

uint64_t v86fs_ids_take(struct v86fs_ids *ids)
{
    return ids->next <= V86FS_ID_MAX ? ids->next++ : 0;
}
