/* SPDX-License-Identifier: MIT
 *
 * kernel/encode.h - caps in their encoding [2.7], for tools that make them.
 *
 * Nothing is checked here: kernel_put() does.  Errors stick to the buffer.
 */
#ifndef KERNEL_ENCODE_H
#define KERNEL_ENCODE_H

#include "kernel/cap.h"

/* Inline data: `content`, then zeros to whole pages, at least one. */
void kernel_encode_data(struct bytes content, struct buf *wire);

void kernel_encode_type(const struct hash256 *chain, struct buf *wire);

/* A slot and what it holds; a list of them is ascending by slot. */
struct kernel_entry {
    uint32_t slot;
    struct hash256 hash;
};

void kernel_encode_cnode(uint8_t size_log, const struct kernel_entry *entry,
                         uint32_t count, struct buf *wire);

struct kernel_endpoint {
    uint64_t entry_pc, stack_top;
    uint64_t reg[PVM_REG_COUNT];
};

struct kernel_image_parts {
    const struct pvm_code *code;
    const struct kernel_endpoint *endpoint;
    uint32_t endpoint_count;
    const struct kernel_mapping *mapping;
    uint32_t mapping_count;
    const struct kernel_entry *pinned, *initial;
    uint32_t pinned_count, initial_count;
    bool has_yield_slot;
    uint32_t yield_slot;
};

void kernel_encode_image(const struct kernel_image_parts *parts, struct buf *wire);

struct kernel_instance_parts {
    const struct hash256 *chain, *image, *root_cnode;
    const struct kernel_overlay *overlay;
    uint32_t overlay_count;
    uint32_t mem_size;
    uint64_t reg[PVM_REG_COUNT];
};

void kernel_encode_instance(const struct kernel_instance_parts *parts,
                            struct buf *wire);

/* The hash of an encoding that decodes; check()s that it does. */
struct hash256 kernel_wire_hash(struct bytes wire);

#endif
