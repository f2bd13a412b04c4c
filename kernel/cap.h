/* SPDX-License-Identifier: MIT
 *
 * kernel/cap.h - caps as bytes: encoding, rules and hashes.
 *
 * A cap is kept in its wire encoding [2.7], which is canonical; the structs here are
 * views into it.  Nothing in this header knows a kernel.
 */
#ifndef KERNEL_CAP_H
#define KERNEL_CAP_H

#include "kernel/paged.h"
#include "kernel/work.h"

enum {
    KERNEL_ENTRY_SIZE = 36,
    KERNEL_ENDPOINT_SIZE = 125,
    KERNEL_MAPPING_SIZE = 49,
    KERNEL_CNODE_LOG_MAX = 16,
    KERNEL_SLOT_COUNT = 256, /* what an image and an ecall can name */
};

static inline uint32_t kernel_u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t kernel_u64(const uint8_t *p)
{
    return kernel_u32(p) | (uint64_t)kernel_u32(p + 4) << 32;
}

static inline void kernel_u32_put(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> 8 * i);
}

static inline void kernel_u64_put(uint8_t *p, uint64_t value)
{
    kernel_u32_put(p, (uint32_t)value);
    kernel_u32_put(p + 4, (uint32_t)(value >> 32));
}

static inline void kernel_put_u32(struct buf *buf, uint32_t value)
{
    uint8_t bytes[4];
    kernel_u32_put(bytes, value);
    buf_put(buf, bytes, sizeof bytes);
}

static inline void kernel_put_u64(struct buf *buf, uint64_t value)
{
    uint8_t bytes[8];
    kernel_u64_put(bytes, value);
    buf_put(buf, bytes, sizeof bytes);
}

static inline void kernel_put_hash(struct buf *buf, const struct hash256 *hash)
{
    buf_put(buf, hash->byte, HASH256_SIZE);
}

static inline struct hash256 kernel_hash_at(const uint8_t *p)
{
    struct hash256 hash;
    for (int i = 0; i < HASH256_SIZE; i++)
        hash.byte[i] = p[i];
    return hash;
}

/* A list of {slot, hash}, ascending by slot. */
struct kernel_entries {
    const uint8_t *data;
    uint32_t count;
};

static inline uint32_t kernel_entry_slot(struct kernel_entries list, uint32_t i)
{
    return kernel_u32(list.data + (size_t)i * KERNEL_ENTRY_SIZE);
}

static inline struct hash256 kernel_entry_hash(struct kernel_entries list, uint32_t i)
{
    return kernel_hash_at(list.data + (size_t)i * KERNEL_ENTRY_SIZE + 4);
}

struct kernel_instance {
    struct hash256 chain, image, root_cnode;
    struct bytes overlays; /* as encoded */
    uint32_t overlay_count;
    uint32_t mem_size;
    const uint8_t *reg; /* 13 x u64 */
    uint64_t pc, gas;
};

struct kernel_overlay {
    uint32_t start;
    struct bytes bytes;
};

/* Overlay `i` of a decoded instance. */
struct kernel_overlay kernel_instance_overlay(const struct kernel_instance *instance,
                                              uint32_t i);

struct kernel_image {
    struct bytes code, bitmask, jump;
    const uint8_t *endpoint, *mapping;
    uint32_t endpoint_count, mapping_count;
    struct kernel_entries pinned, initial;
    bool has_yield_slot;
    uint32_t yield_slot;
};

struct kernel_mapping {
    uint64_t start, size;
    uint32_t path[8];
    uint8_t path_size;
};

struct kernel_mapping kernel_image_mapping(const struct kernel_image *image,
                                           uint32_t i);

/* Its program; borrowed from the image. */
struct pvm_code kernel_image_code(const struct kernel_image *image);

struct kernel_cnode {
    uint8_t size_log;
    struct kernel_entries entries;
};

/* Pages of data in the directory, or of a working entry. */
struct kernel_pages {
    uint32_t page_size, count;
    const uint8_t *row;               /* in the directory */
    const struct kernel_paged *paged; /* NULL: in the directory */
};

struct kernel_cap {
    enum kernel_kind kind;
    bool paged; /* data: `pages`, not `data` */
    /* A working entry's Refs; see kernel/work.h. */
    uint64_t root_ref;
    const struct kernel_ref *ref;
    uint32_t ref_count;
    union {
        struct kernel_instance instance;
        struct kernel_image image;
        struct bytes data;
        struct kernel_pages pages;
        struct kernel_cnode cnode;
        struct hash256 type;
    };
};

/* Decode: BAD_KIND, BAD_LAYOUT.  The view points into `wire`. */
enum kernel_status kernel_wire_decode(struct bytes wire, struct kernel_cap *ret_cap);
enum kernel_status kernel_wire_decode_image(struct bytes body,
                                            struct kernel_image *ret_image);

/* Split a body into fields: offsets ascending, the first one `fixed`.  `ret_part` gets
 * `count` parts.  BAD_LAYOUT. */
enum kernel_status kernel_wire_split(struct bytes body, const size_t *offset_at,
                                     size_t count, size_t fixed,
                                     struct bytes *ret_part);

/* Limits of 2.6, then the rules of 2: LIMIT, BAD_VALUE. */
enum kernel_status kernel_cap_check(const struct kernel_cap *cap,
                                    const struct kernel_config *config);
enum kernel_status kernel_image_check(const struct kernel_image *image);

/* ---- hashes [3]
 * ---------------------------------------------------------------------- */

struct hash256 kernel_cap_hash(const struct kernel_cap *cap);

/* Z(depth), depth <= 32. */
struct hash256 kernel_zero_hash(unsigned depth);

/* Page hash of `size` bytes: zero behind, cut at 4096. */
struct hash256 kernel_page_hash(const uint8_t *data, size_t size);

/* extend() [3.5]. */
struct hash256 kernel_chain_extend(const struct hash256 *chain,
                                   const struct hash256 *image);

/* Kernel id of a label without "kernel:", and catcher id [3.5]. */
struct hash256 kernel_id(const char *name);
struct hash256 kernel_catcher_id(uint64_t nonce);

/* The names of the fifteen kernel ids. */
enum { KERNEL_ID_COUNT = 15 };
extern const char *const kernel_id_name[KERNEL_ID_COUNT];

/* Root of an encoded endpoint. */
struct hash256 kernel_endpoint_hash(const uint8_t *endpoint);

/* Hash of the slab form of data that newer JAVM has; to recognise it [3.3]. */
struct hash256 kernel_slab_hash(uint64_t size, const struct hash256 *root,
                                uint32_t count);

#endif
