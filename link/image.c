/* SPDX-License-Identifier: MIT
 *
 * -f image: caps for the capability kernel (guest-toolchain.md chapter 8,
 * pvm-kernel.md 2.2).
 */
#include "link/internal.h"

#include "kernel/encode.h"

#include <string.h>

enum {
    CNODE_SIZE_LOG = 8, /* all that an ecall can name */
    REG_SP = 1,
};

struct writer {
    const struct link *link;
    struct buf *output;
    struct buf wire; /* of the cap at hand */
    struct bytes data[2];
    struct kernel_mapping mapping[2];
    uint32_t mapping_count;
    struct kernel_overlay overlay[2];
    uint32_t overlay_count;
    struct kernel_entry pinned, initial;
    bool has_pinned, has_initial;
};

/* Write the cap in `wire` with its size in front; answers its hash. */
static struct hash256 put_cap(struct writer *w)
{
    uint8_t size[4];
    struct hash256 hash = {{0}};
    kernel_u32_put(size, (uint32_t)w->wire.size);
    buf_put(w->output, size, sizeof size);
    buf_put(w->output, w->wire.data, w->wire.size);
    if (w->wire.err && !w->output->err)
        w->output->err = w->wire.err;
    if (!w->wire.err)
        hash = kernel_wire_hash(buf_bytes(&w->wire));
    buf_clear(&w->wire);
    return hash;
}

/* A mapping of [start, end), with its bytes as a Data cap if there are any. */
static bool put_region(struct writer *w, uint64_t start, uint64_t end, uint32_t slot,
                       const uint8_t *bytes, uint64_t size, struct hash256 *ret_hash)
{
    if (end == start)
        return false;
    w->mapping[w->mapping_count++] = (struct kernel_mapping){
        .start = start, .size = end - start, .path = {slot}, .path_size = 1};
    if (!size)
        return false;
    kernel_encode_data(bytes_of(bytes, size), &w->wire);
    *ret_hash = put_cap(w);
    w->overlay[w->overlay_count++] = (struct kernel_overlay){
        .start = (uint32_t)start,
        .bytes = bytes_of(bytes, link_round(size, PVM_PAGE_SIZE))};
    return true;
}

static struct hash256 put_image(struct writer *w)
{
    const struct link *link = w->link;
    struct kernel_endpoint endpoint[LINK_EXPORT_COUNT_MAX];
    memset(endpoint, 0, sizeof endpoint);
    for (uint32_t i = 0; i < link->root_count; i++) {
        struct kernel_endpoint *e = &endpoint[link->root[i].number];
        e->entry_pc = 5 * (uint64_t)link->root[i].number;
        e->stack_top = e->reg[REG_SP] = link->layout.stack_high;
    }
    const struct kernel_image_parts parts = {
        .code = &link->program,
        .endpoint = endpoint,
        .endpoint_count = LINK_EXPORT_COUNT_MAX,
        .mapping = w->mapping,
        .mapping_count = w->mapping_count,
        .pinned = &w->pinned,
        .pinned_count = w->has_pinned,
        .initial = &w->initial,
        .initial_count = w->has_initial,
        .has_yield_slot = link->options->yield_slot >= 0,
        .yield_slot = (uint32_t)link->options->yield_slot,
    };
    kernel_encode_image(&parts, &w->wire);
    return put_cap(w);
}

static void put_instance(struct writer *w, const struct hash256 *image)
{
    const struct hash256 zero = {{0}};
    struct kernel_entry entry[2];
    uint32_t count = 0;
    if (w->has_pinned)
        entry[count++] = w->pinned;
    if (w->has_initial)
        entry[count++] = w->initial;
    if (count == 2 && entry[0].slot > entry[1].slot) {
        struct kernel_entry first = entry[1];
        entry[1] = entry[0];
        entry[0] = first;
    }
    kernel_encode_cnode(CNODE_SIZE_LOG, entry, count, &w->wire);
    struct hash256 cnode = put_cap(w), chain = kernel_chain_extend(&zero, image);
    const struct kernel_instance_parts parts = {.chain = &chain,
                                                .image = image,
                                                .root_cnode = &cnode,
                                                .overlay = w->overlay,
                                                .overlay_count = w->overlay_count,
                                                .mem_size =
                                                    (uint32_t)w->link->layout.heap_end};
    kernel_encode_instance(&parts, &w->wire);
    (void)put_cap(w);
}

void link_write_image(struct link *link, struct buf *output)
{
    const struct link_layout *layout = &link->layout;
    struct writer w = {.link = link,
                       .output = output,
                       .pinned.slot = link->options->ro_slot,
                       .initial.slot = link->options->rw_slot};
    buf_init(&w.wire, output->size_max);
    w.has_pinned =
        put_region(&w, layout->ro_base,
                   layout->ro_base + link_round(layout->ro_size, PVM_PAGE_SIZE),
                   link->options->ro_slot, link->ro, layout->ro_size, &w.pinned.hash);
    w.has_initial =
        put_region(&w, layout->rw_base, layout->heap_end, link->options->rw_slot,
                   link->rw, link->rw_used, &w.initial.hash);
    struct hash256 image = put_image(&w);
    put_instance(&w, &image);
    buf_fini(&w.wire);
}
