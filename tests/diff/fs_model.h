/* SPDX-License-Identifier: MIT
 *
 * A plain file tree with the semantics of v86fs.md chapter 3, written apart from the
 * server: arrays that are searched from the start, sizes that are added up anew.
 */
#ifndef TESTS_DIFF_FS_MODEL_H
#define TESTS_DIFF_FS_MODEL_H

#include "v86fs/proto.h"

enum {
    MODEL_NODES = 40,
    MODEL_HANDLES = 10,
    MODEL_FILE_SIZE = 40000,
    MODEL_PAGES = 10,
    MODEL_QUOTA = 100 * 1024,
    MODEL_REPLY = 4096,
};

struct model;

struct model *model_create(void);
void model_free(struct model *model);

/* What a request has to be answered with: the whole frame, 0 for none. */
size_t model_serve(struct model *model, uint32_t features, uint64_t now_ns,
                   uint8_t type, uint16_t tag, const struct v86fs_ask *ask,
                   size_t capacity, uint8_t *reply);

void model_reset(struct model *model);

/* For choosing operands: the id of the `index`th live node, the newest handle. */
uint64_t model_some_node(const struct model *model, uint64_t index);
uint64_t model_last_handle(const struct model *model);
uint64_t model_next_id(const struct model *model);

#endif
