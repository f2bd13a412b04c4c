/* SPDX-License-Identifier: MIT
 *
 * cpio archives of the "newc" form, as the initramfs of Linux (buffer-format.rst of the
 * kernel's documentation): a header of 110 ASCII digits, name and data padded to 4.
 *
 * Members that share an inode number are hard links; the last of them has the data.
 */
#include "hostfs/image.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_SIZE = 110, FIELD_COUNT = 13, TYPE_MASK = 0170000 };
enum {
    FIELD_INO,
    FIELD_MODE,
    FIELD_UID,
    FIELD_GID,
    FIELD_NLINK,
    FIELD_MTIME,
    FIELD_SIZE,
    FIELD_MAJOR,
    FIELD_MINOR,
    FIELD_RMAJOR,
    FIELD_RMINOR,
    FIELD_NAME_SIZE,
    FIELD_CHECK,
};

/* A file that has other names. */
struct linked {
    uint64_t ino, dev;
    size_t index; /* in the list */
};

struct links {
    struct linked *linked;
    size_t count, capacity;
};

static bool parse_hex(const uint8_t *at, uint32_t *ret_value)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        unsigned c = at[i];
        unsigned digit = c >= '0' && c <= '9'   ? c - '0'
                         : c >= 'a' && c <= 'f' ? c - 'a' + 10
                         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                : 16;
        if (digit > 15)
            return false;
        value = value << 4 | digit;
    }
    *ret_value = value;
    return true;
}

static size_t padded(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

static enum err remember_link(struct hostfs_gather *gather, struct links *links,
                              const uint32_t *field)
{
    if (links->count == links->capacity) {
        size_t capacity = links->capacity ? links->capacity * 2 : 64;
        struct linked *linked = arena_new_array(gather->arena, struct linked, capacity);
        if (!linked)
            return ERR_nomem;
        if (links->count)
            memcpy(linked, links->linked, links->count * sizeof *linked);
        links->linked = linked;
        links->capacity = capacity;
    }
    links->linked[links->count++] =
        (struct linked){.ino = field[FIELD_INO],
                        .dev = (uint64_t)field[FIELD_MAJOR] << 32 | field[FIELD_MINOR],
                        .index = gather->count - 1};
    return ERR_ok;
}

static int by_inode(const void *a, const void *b)
{
    const struct linked *x = a, *y = b;
    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    if (x->ino != y->ino)
        return x->ino < y->ino ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Names without data get that of the last name. */
static enum err share_data(struct hostfs_gather *gather, struct links *links)
{
    struct linked *linked = links->linked;
    if (links->count)
        qsort(linked, links->count, sizeof *linked, by_inode);
    for (size_t i = links->count; i-- > 1;) {
        struct v86fs_image_entry *entry = &gather->entry[linked[i - 1].index];
        struct bytes data = gather->entry[linked[i].index].data;
        if (linked[i].ino != linked[i - 1].ino || linked[i].dev != linked[i - 1].dev ||
            entry->data.size)
            continue;
        if (data.size > gather->options->size_max - gather->size)
            return ERR_limit;
        gather->size += data.size;
        entry->data = data;
    }
    return ERR_ok;
}

static enum err add_member(struct hostfs_gather *gather, struct links *links,
                           const uint32_t *field, struct bytes name, struct bytes data)
{
    uint32_t type = field[FIELD_MODE] & TYPE_MASK;
    struct v86fs_image_entry entry = {
        .path = name,
        .mode = field[FIELD_MODE] & (V86FS_TYPE_MASK | V86FS_PERMISSIONS),
        .mtime = {.s = field[FIELD_MTIME]},
        .data = data,
    };
    if ((type != V86FS_DIRECTORY && type != V86FS_REGULAR && type != V86FS_SYMLINK) ||
        field[FIELD_MODE] >> 16)
        return ERR_v86fs_image;
    TRY(hostfs_gather_add(gather, &entry));
    if (type == V86FS_REGULAR && field[FIELD_NLINK] > 1)
        TRY(remember_link(gather, links, field));
    return ERR_ok;
}

enum err hostfs_cpio_read(struct hostfs_gather *gather, struct bytes archive)
{
    struct links links = {0};
    for (;;) {
        uint32_t field[FIELD_COUNT];
        if (archive.size < HEADER_SIZE || memcmp(archive.data, "070701", 6) != 0)
            return ERR_v86fs_image;
        for (unsigned i = 0; i < FIELD_COUNT; i++) {
            if (!parse_hex(archive.data + 6 + i * 8, &field[i]))
                return ERR_v86fs_image;
        }
        size_t name_size = field[FIELD_NAME_SIZE], data_size = field[FIELD_SIZE];
        size_t data_at = padded(HEADER_SIZE + name_size);
        if (!name_size || data_at > archive.size ||
            data_size > archive.size - data_at ||
            archive.data[HEADER_SIZE + name_size - 1])
            return ERR_v86fs_image;
        struct bytes name = bytes_of(archive.data + HEADER_SIZE, name_size - 1);
        if (name.size == 10 && memcmp(name.data, "TRAILER!!!", 10) == 0)
            return share_data(gather, &links);
        TRY(add_member(gather, &links, field, name,
                       bytes_of(archive.data + data_at, data_size)));
        size_t next = padded(data_at + data_size);
        archive = hostfs_behind(archive, next < archive.size ? next : archive.size);
    }
}
