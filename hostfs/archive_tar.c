/* SPDX-License-Identifier: MIT
 *
 * tar archives: ustar and pax (POSIX.1-2017, pax, "ustar Interchange Format" and "pax
 * Extended Header"), and the long names of GNU tar (types L and K).
 */
#include "hostfs/image.h"

#include <string.h>

enum { BLOCK = 512 };

/* What extended headers say of the next member. */
struct extended {
    struct bytes path, target;
    bool has_path, has_target, has_size, has_mtime;
    uint64_t size;
    struct v86fs_time mtime;
};

struct member {
    char type;
    struct bytes path, target, data;
    uint32_t mode;
    struct v86fs_time mtime;
};

/* ---- numbers ---- */

/* Octal digits with blanks around them, or, with the top bit set, base 256. */
static bool parse_number(const uint8_t *at, size_t size, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t i = 0;
    if (at[0] & 0x80) {
        value = at[0] & 0x7f;
        for (i = 1; i < size; i++) {
            if (value >> 56)
                return false;
            value = value << 8 | at[i];
        }
        *ret_value = value;
        return true;
    }
    while (i < size && at[i] == ' ')
        i++;
    for (; i < size && at[i] >= '0' && at[i] <= '7'; i++) {
        if (value >> 61)
            return false;
        value = value << 3 | (uint64_t)(at[i] - '0');
    }
    for (; i < size; i++) {
        if (at[i] && at[i] != ' ')
            return false;
    }
    *ret_value = value;
    return true;
}

static bool parse_decimal(struct bytes *text, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; i < text->size && text->data[i] >= '0' && text->data[i] <= '9'; i++) {
        if (value > (INT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(text->data[i] - '0');
    }
    *text = hostfs_behind(*text, i);
    *ret_value = value;
    return i > 0;
}

/* "-12.5": seconds before 1970 and a positive part behind the point. */
static bool parse_time(struct bytes text, struct v86fs_time *ret_time)
{
    bool negative = text.size && text.data[0] == '-';
    uint64_t seconds;
    uint32_t ns = 0, unit = 100000000;
    if (negative)
        text = hostfs_behind(text, 1);
    if (!parse_decimal(&text, &seconds))
        return false;
    if (text.size && text.data[0] == '.') {
        for (text = hostfs_behind(text, 1);
             text.size && text.data[0] >= '0' && text.data[0] <= '9';
             text = hostfs_behind(text, 1), unit /= 10)
            ns += (uint32_t)(text.data[0] - '0') * unit;
    }
    if (text.size)
        return false;
    int64_t s = (int64_t)seconds;
    if (negative)
        s = ns ? -s - 1 : -s;
    if (negative && ns)
        ns = 1000000000 - ns;
    *ret_time = (struct v86fs_time){.s = s, .ns = ns};
    return true;
}

/* ---- headers ---- */

static struct bytes text_field(const uint8_t *at, size_t size)
{
    const uint8_t *end = memchr(at, 0, size);
    return bytes_of(at, end ? (size_t)(end - at) : size);
}

static bool checksum_fits(const uint8_t *header)
{
    uint64_t wanted;
    uint32_t sum = 0;
    for (unsigned i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : header[i];
    return parse_number(header + 148, 8, &wanted) && wanted == sum;
}

static bool is_zero(const uint8_t *block)
{
    for (unsigned i = 0; i < BLOCK; i++) {
        if (block[i])
            return false;
    }
    return true;
}

/* The path of a header: prefix '/' name in ustar. */
static enum err header_path(struct hostfs_gather *gather, const uint8_t *header,
                            struct bytes *ret_path)
{
    struct bytes name = text_field(header, 100);
    struct bytes prefix = {0};
    if (memcmp(header + 257, "ustar\0", 6) == 0)
        prefix = text_field(header + 345, 155);
    *ret_path = name;
    if (!prefix.size)
        return ERR_ok;
    uint8_t *path = arena_alloc(gather->arena, prefix.size + 1 + name.size, 1);
    if (!path)
        return ERR_nomem;
    memcpy(path, prefix.data, prefix.size);
    path[prefix.size] = '/';
    memcpy(path + prefix.size + 1, name.data, name.size);
    *ret_path = bytes_of(path, prefix.size + 1 + name.size);
    return ERR_ok;
}

static bool is_key(struct bytes key, const char *name)
{
    return key.size == strlen(name) && memcmp(key.data, name, key.size) == 0;
}

static enum err apply_record(struct extended *extended, struct bytes key,
                             struct bytes value)
{
    bool ok = true;
    if (is_key(key, "path")) {
        extended->path = value;
        extended->has_path = true;
    } else if (is_key(key, "linkpath")) {
        extended->target = value;
        extended->has_target = true;
    } else if (is_key(key, "size")) {
        extended->has_size = true;
        ok = parse_decimal(&value, &extended->size) && !value.size;
    } else if (is_key(key, "mtime")) {
        extended->has_mtime = true;
        ok = parse_time(value, &extended->mtime);
    } else if (key.size >= 10 && memcmp(key.data, "GNU.sparse", 10) == 0) {
        ok = false;
    }
    return ok ? ERR_ok : ERR_v86fs_image;
}

/* Records "LENGTH KEY=VALUE\n", where LENGTH counts all of it. */
static enum err read_pax(struct extended *extended, struct bytes data)
{
    while (data.size) {
        struct bytes rest = data;
        uint64_t size;
        if (!parse_decimal(&rest, &size) || size > data.size ||
            size < data.size - rest.size + 3 || rest.data[0] != ' ' ||
            data.data[size - 1] != '\n')
            return ERR_v86fs_image;
        size_t head = data.size - rest.size + 1;
        struct bytes record = bytes_of(data.data + head, (size_t)size - head - 1);
        const uint8_t *equals = memchr(record.data, '=', record.size);
        if (!equals)
            return ERR_v86fs_image;
        size_t key_size = (size_t)(equals - record.data);
        TRY(apply_record(extended, bytes_of(record.data, key_size),
                         hostfs_behind(record, key_size + 1)));
        data = hostfs_behind(data, (size_t)size);
    }
    return ERR_ok;
}

/* ---- members ---- */

static enum err read_header(struct hostfs_gather *gather, const uint8_t *header,
                            const struct extended *extended, struct member *member,
                            uint64_t *ret_size)
{
    uint64_t mode, mtime;
    if (!checksum_fits(header) || !parse_number(header + 100, 8, &mode) ||
        !parse_number(header + 124, 12, ret_size) ||
        !parse_number(header + 136, 12, &mtime))
        return ERR_v86fs_image;
    member->type = (char)header[156];
    member->mode = (uint32_t)mode & V86FS_PERMISSIONS;
    member->mtime = (struct v86fs_time){.s = (int64_t)mtime};
    member->target = text_field(header + 157, 100);
    TRY(header_path(gather, header, &member->path));
    if (extended->has_path)
        member->path = extended->path;
    if (extended->has_target)
        member->target = extended->target;
    if (extended->has_mtime)
        member->mtime = extended->mtime;
    if (extended->has_size)
        *ret_size = extended->size;
    return ERR_ok;
}

static enum err add_link(struct hostfs_gather *gather, const struct member *member)
{
    const struct v86fs_image_entry *to = hostfs_gather_find(gather, member->target);
    if (!to || (to->mode & V86FS_TYPE_MASK) == V86FS_DIRECTORY)
        return ERR_v86fs_image;
    struct v86fs_image_entry entry = *to;
    entry.path = member->path;
    return hostfs_gather_add(gather, &entry);
}

static enum err add_member(struct hostfs_gather *gather, const struct member *member)
{
    struct v86fs_image_entry entry = {.path = member->path, .mtime = member->mtime};
    switch (member->type) {
    case 0:
    case '0':
    case '7':
        entry.mode = V86FS_REGULAR | member->mode;
        entry.data = member->data;
        /* Archives older than POSIX mark directories by a '/' alone. */
        if (member->path.size && member->path.data[member->path.size - 1] == '/') {
            entry.mode = V86FS_DIRECTORY | member->mode;
            entry.data = (struct bytes){0};
        }
        break;
    case '1':
        return add_link(gather, member);
    case '2':
        entry.mode = V86FS_SYMLINK | 0777;
        entry.data = member->target;
        break;
    case '5':
        entry.mode = V86FS_DIRECTORY | member->mode;
        break;
    default:
        return ERR_v86fs_image;
    }
    return hostfs_gather_add(gather, &entry);
}

/* Headers that say something of the next one.  False: it is a member itself. */
static enum err take_extended(struct extended *extended, const struct member *member,
                              bool *ret_taken)
{
    struct bytes name = text_field(member->data.data, member->data.size);
    *ret_taken = true;
    switch (member->type) {
    case 'x':
        return read_pax(extended, member->data);
    case 'g': /* of all members: comments, in practice */
        return ERR_ok;
    case 'L':
        extended->path = name;
        extended->has_path = true;
        return ERR_ok;
    case 'K':
        extended->target = name;
        extended->has_target = true;
        return ERR_ok;
    default:
        *ret_taken = false;
        return ERR_ok;
    }
}

enum err hostfs_tar_read(struct hostfs_gather *gather, struct bytes archive)
{
    struct extended extended = {0};
    if (archive.size < BLOCK)
        return ERR_v86fs_image;
    while (archive.size >= BLOCK && !is_zero(archive.data)) {
        struct member member;
        uint64_t size;
        bool taken;
        TRY(read_header(gather, archive.data, &extended, &member, &size));
        archive = hostfs_behind(archive, BLOCK);
        /* Only files and extended headers have data behind them. */
        if (memchr("12345", member.type, 5) && member.type)
            size = 0;
        if (size > archive.size)
            return ERR_v86fs_image;
        member.data = bytes_of(archive.data, (size_t)size);
        TRY(take_extended(&extended, &member, &taken));
        if (!taken) {
            TRY(add_member(gather, &member));
            extended = (struct extended){0};
        }
        size_t blocks = ((size_t)size + BLOCK - 1) / BLOCK * BLOCK;
        archive = hostfs_behind(archive, blocks < archive.size ? blocks : archive.size);
    }
    return ERR_ok;
}
