/* SPDX-License-Identifier: MIT
 *
 * v86fs/mem.h - the parts of the native store (mem.c, mem_dir.c, mem_data.c,
 * mem_lower.c, mem_ops.c).
 *
 * Nodes, entries, pages and text cells are numbered slots of pools that are sized at
 * creation; slot 0 is "none".  Nothing here depends on addresses or on the order of a
 * hash table.
 */
#ifndef V86FS_MEM_H
#define V86FS_MEM_H

#include "v86fs/table.h"
#include "v86fs/v86fs.h"

enum { V86FS_PAGE_SIZE = 4096, V86FS_CELL_SIZE = 64 };

/* A name or target: a chain of cells (cell_pool.next). */
struct v86fs_text {
    uint32_t cell;
    uint32_t size;
};

/* What a node knows of its counterpart in the lower tree. */
struct v86fs_lower {
    uint64_t node;  /* 0: none, or not needed any more */
    uint64_t limit; /* bytes below may come from it; only ever falls */
    uint64_t size;  /* as first seen, with the times: a change is an error */
    struct v86fs_time mtime, ctime;
};

struct v86fs_node {
    uint64_t id;
    uint32_t mode, uid, gid;
    uint32_t links;      /* names; a directory has one */
    uint32_t open_count; /* files only: a removed directory is gone */
    uint64_t size;
    struct v86fs_time atime, mtime, ctime;
    uint32_t root;   /* slot of the root that this is below */
    uint32_t parent; /* directories */
    uint32_t subdir_count;
    uint32_t first_entry, last_entry; /* in rising numbers */
    uint64_t entry_number;            /* the one given last */
    uint32_t first_page, page_count;
    struct v86fs_text target;
    struct v86fs_lower lower;
    bool unread; /* a directory whose lower listing is not copied yet */
};

struct v86fs_entry {
    uint64_t number;
    uint32_t parent, node;
    uint32_t older, newer; /* in the directory */
    uint32_t number_next;  /* chain of number_bucket; entry_pool.next: name_bucket */
    uint64_t hash;         /* of parent and name */
    struct v86fs_text name;
};

struct v86fs_page {
    uint64_t index; /* offset / V86FS_PAGE_SIZE */
    uint32_t node;
    uint32_t previous, following; /* of the node, in no order that shows */
};

struct v86fs_mem {
    struct v86fs_mem_options options;
    struct v86fs_ids *ids;
    struct v86fs_tree lower; /* of the overlay roots */
    uint64_t lower_changed;
    uint64_t used; /* bytes of the quota */

    struct v86fs_node *nodes;
    struct v86fs_pool node_pool;
    struct v86fs_table node_table; /* id to slot */

    struct v86fs_entry *entries;
    struct v86fs_pool entry_pool;
    uint32_t *name_bucket, *number_bucket;
    uint32_t entry_mask;

    struct v86fs_page *pages;
    uint8_t *page_data;
    struct v86fs_pool page_pool; /* next: chain of page_bucket */
    uint32_t *page_bucket;
    uint32_t page_mask;

    uint8_t *cells;
    struct v86fs_pool cell_pool;
};

/* ---- mem.c: text and nodes ---- */

/* Cells of a text of this size. */
static inline uint32_t v86fs_mem_cells(size_t size)
{
    return (uint32_t)((size + V86FS_CELL_SIZE - 1) / V86FS_CELL_SIZE);
}

/* Is there quota for so much more? */
bool v86fs_mem_room(const struct v86fs_mem *mem, uint32_t cells, uint64_t pages);

/* The caller has asked v86fs_mem_room(). */
struct v86fs_text v86fs_mem_text_add(struct v86fs_mem *mem, struct bytes text);
void v86fs_mem_text_remove(struct v86fs_mem *mem, struct v86fs_text text);
bool v86fs_mem_text_equal(const struct v86fs_mem *mem, struct v86fs_text text,
                          struct bytes other);
void v86fs_mem_text_copy(const struct v86fs_mem *mem, struct v86fs_text text,
                         uint8_t *data);

/* The slot of an id, or 0. */
static inline uint32_t v86fs_mem_slot(const struct v86fs_mem *mem, uint64_t id)
{
    return v86fs_table_get(&mem->node_table, id);
}

/* A new node without names; 0 if nodes or ids are used up. */
uint32_t v86fs_mem_node_add(struct v86fs_mem *mem, uint32_t mode, uint32_t root,
                            struct v86fs_time now);

/* Free the node if nothing holds it. */
void v86fs_mem_node_drop(struct v86fs_mem *mem, uint32_t slot);

static inline bool v86fs_mem_is_dir(const struct v86fs_node *node)
{
    return (node->mode & V86FS_TYPE_MASK) == V86FS_DIRECTORY;
}

/* ---- mem_dir.c: entries ---- */

/* The entry `name` of a directory, or 0. */
uint32_t v86fs_mem_entry_find(const struct v86fs_mem *mem, uint32_t parent,
                              struct bytes name);

/* Append an entry; room is there.  Counts the node's link and the parent's
 * directories. */
void v86fs_mem_entry_add(struct v86fs_mem *mem, uint32_t parent, struct bytes name,
                         uint32_t node);

/* The same in bytewise order and without a number: v86fs_mem_entries_number() gives
 * them all at the end. */
void v86fs_mem_entry_insert(struct v86fs_mem *mem, uint32_t parent, struct bytes name,
                            uint32_t node);
void v86fs_mem_entries_number(struct v86fs_mem *mem, uint32_t parent);

/* Take an entry away; the node loses a link and stays. */
void v86fs_mem_entry_remove(struct v86fs_mem *mem, uint32_t entry);

/* Let two entries change their nodes. */
void v86fs_mem_entry_exchange(struct v86fs_mem *mem, uint32_t a, uint32_t b);

/* The first entry with a number greater than `cookie`, or 0. */
uint32_t v86fs_mem_entry_after(const struct v86fs_mem *mem, uint32_t parent,
                               uint64_t cookie);

/* ---- mem_data.c: pages ---- */

/* Read `size` bytes, all below the file's size.  A status: EIO from the lower tree. */
uint32_t v86fs_mem_data_read(struct v86fs_mem *mem, uint32_t slot, uint64_t offset,
                             uint8_t *data, size_t size);

/* Write all or nothing: 0, ENOSPC or EIO. */
uint32_t v86fs_mem_data_write(struct v86fs_mem *mem, uint32_t slot, uint64_t offset,
                              struct bytes data);

/* Set the size; the bytes between are zeros.  0, ENOSPC or EIO. */
uint32_t v86fs_mem_data_resize(struct v86fs_mem *mem, uint32_t slot, uint64_t size);

/* A new page with these bytes; room is there, and no page with this index. */
void v86fs_mem_data_place(struct v86fs_mem *mem, uint32_t slot, uint64_t index,
                          const uint8_t *data);

/* Free all pages. */
void v86fs_mem_data_clear(struct v86fs_mem *mem, uint32_t slot);

/* ---- mem_lower.c: what lies below an overlay ---- */

/* Copy the listing of the lower directory into the node, once.  0, ENFILE or EIO. */
uint32_t v86fs_mem_lower_list(struct v86fs_mem *mem, uint32_t slot);

/* Bytes of the lower file; zeros above lower.limit.  0 or EIO. */
uint32_t v86fs_mem_lower_read(struct v86fs_mem *mem, uint32_t slot, uint64_t offset,
                              uint8_t *data, size_t size);

/* The target of a lower symbolic link into `call`.  A status. */
uint32_t v86fs_mem_lower_readlink(struct v86fs_mem *mem, uint32_t slot,
                                  struct v86fs_call *call);

/* mem_ops.c */
extern const struct v86fs_tree_ops v86fs_mem_ops;

#endif
