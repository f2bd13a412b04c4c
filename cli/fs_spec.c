/* SPDX-License-Identifier: MIT
 *
 * The text of a file tree (cli/fs.h).
 */
#include "cli/fs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OF_MEM = 1, OF_DIR = 2, OF_IMAGE = 4, OF_REMOTE = 8, OF_LIVE = 16 };

/* What each kind is made of, and how it is written. */
static const struct kind {
    const char *prefix;
    enum cli_fs_kind kind;
    unsigned parts; /* OF_*: whose options it takes */
    bool path;
} kind_row[] = {
    {"mem", CLI_FS_MEM, OF_MEM, false},
    {"dir:", CLI_FS_DIR, OF_DIR | OF_LIVE, true},
    {"image:", CLI_FS_IMAGE, OF_IMAGE, true},
    {"overlay:dir:", CLI_FS_OVERLAY_DIR, OF_MEM | OF_DIR, true},
    {"overlay:", CLI_FS_OVERLAY, OF_MEM | OF_IMAGE, true},
    {"remote:", CLI_FS_REMOTE, OF_REMOTE, true},
};

enum option_kind {
    OPTION_FLAG,
    OPTION_SIZE,
    OPTION_COUNT,
    OPTION_OCTAL,
    OPTION_MTIME,
    OPTION_DEATH,
};

static const char *const death_word[] = {[HOSTFS_DEATH_FAIL] = "fail",
                                         [HOSTFS_DEATH_PAUSE] = "pause",
                                         [HOSTFS_DEATH_RESTART] = "restart"};

#define AT(member) offsetof(struct cli_fs_spec, member)
static const struct option_row {
    const char *name;
    unsigned parts;
    enum option_kind kind;
    size_t offset;
} option_row[] = {
    {"ro", OF_MEM | OF_DIR | OF_REMOTE, OPTION_FLAG, AT(read_only)},
    {"quota", OF_MEM, OPTION_SIZE, AT(quota)},
    {"nodes", OF_MEM, OPTION_SIZE, AT(node_count_max)},
    {"names", OF_DIR, OPTION_COUNT, AT(dir.node_count_max)},
    {"mtime", OF_IMAGE, OPTION_MTIME, AT(image.mtime)},
    {"umask", OF_DIR, OPTION_OCTAL, AT(dir.umask_bits)},
    {"entries", OF_DIR, OPTION_COUNT, AT(dir.entry_count_max)},
    {"host-times", OF_DIR, OPTION_FLAG, AT(dir.host_times)},
    {"special-bits", OF_DIR, OPTION_FLAG, AT(dir.allow_special_bits)},
    {"trust-host", OF_DIR, OPTION_FLAG, AT(dir.trust_host)},
    {"safe-symlinks", OF_DIR, OPTION_FLAG, AT(dir.safe_symlinks)},
    {"refuse-links", OF_DIR, OPTION_FLAG, AT(dir.refuse_links)},
    {"timeout", OF_REMOTE, OPTION_SIZE, AT(timeout_s)},
    {"hello", OF_REMOTE, OPTION_SIZE, AT(hello_s)},
    {"on-death", OF_REMOTE, OPTION_DEATH, AT(on_death)},
    {"shm", OF_REMOTE, OPTION_FLAG, AT(shared)},
    {"mounts", OF_REMOTE, OPTION_FLAG, AT(mounts)},
    {"watch", OF_LIVE, OPTION_FLAG, AT(dir.watch)},
    {"no-fsync", OF_DIR, OPTION_FLAG, AT(dir.no_fsync)},
};

static void spec_init(struct cli_fs_spec *spec)
{
    struct v86fs_mem_options mem;
    v86fs_mem_options_init(&mem);
    *spec = (struct cli_fs_spec){.name = "",
                                 .path = "",
                                 .quota = mem.quota,
                                 .node_count_max = mem.node_count_max,
                                 .timeout_s = 30,
                                 .hello_s = 5};
    hostfs_image_options_init(&spec->image);
    hostfs_dir_options_init(&spec->dir);
}

static const struct kind *kind_of(enum cli_fs_kind kind)
{
    for (size_t i = 0; i < countof(kind_row); i++) {
        if (kind_row[i].kind == kind)
            return &kind_row[i];
    }
    check(!"no such kind");
    return NULL;
}

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool complain(char ret_error[CLI_FS_ERROR_SIZE], const char *what,
                     const char *text)
{
    (void)snprintf(ret_error, CLI_FS_ERROR_SIZE, "%s '%.100s'", what, text);
    return false;
}

/* ---- values ---- */

static bool parse_octal(const char *text, uint32_t *ret_value)
{
    uint32_t value = 0;
    if (!*text || strlen(text) > 5)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '7')
            return false;
        value = value * 8 + (uint32_t)(*text - '0');
    }
    *ret_value = value;
    return value <= 0777;
}

static bool parse_mtime(const char *text, struct hostfs_image_options *image)
{
    uint64_t seconds = 0;
    image->set_mtime = strcmp(text, "keep") != 0;
    if (!image->set_mtime || strcmp(text, "zero") == 0)
        return true;
    if (!cli_number(text, &seconds) || seconds > INT64_MAX)
        return false;
    image->mtime = (int64_t)seconds;
    return true;
}

static bool parse_death(const char *text, enum hostfs_death *ret_death)
{
    for (unsigned i = 0; i < countof(death_word); i++) {
        if (strcmp(text, death_word[i]) == 0) {
            *ret_death = (enum hostfs_death)i;
            return true;
        }
    }
    return false;
}

static bool set_value(struct cli_fs_spec *spec, const struct option_row *row,
                      const char *value)
{
    void *member = (char *)spec + row->offset;
    uint64_t number;
    uint32_t count;
    switch (row->kind) {
    case OPTION_FLAG:
        memcpy(member, &(bool){true}, sizeof(bool));
        return !value;
    case OPTION_MTIME:
        return value && parse_mtime(value, &spec->image);
    case OPTION_OCTAL:
        return value && parse_octal(value, member);
    case OPTION_DEATH:
        return value && parse_death(value, &spec->on_death);
    case OPTION_SIZE:
        if (!value || !cli_size(value, &number) || !number || number >> 50)
            return false;
        memcpy(member, &number, sizeof number);
        return true;
    case OPTION_COUNT:
        if (!value || !cli_size(value, &number) || !number || number > 1 << 30)
            return false;
        count = (uint32_t)number;
        memcpy(member, &count, sizeof count);
        return true;
    }
    return false;
}

/* ---- the text ---- */

/* Cut off everything up to a comma that has no backslash before it, in place; NULL at
 * the end. */
static char *cut_piece(char **rest)
{
    char *piece = *rest, *to = piece, *from = piece;
    if (!piece)
        return NULL;
    *rest = NULL;
    for (; *from; from++) {
        if (*from == ',') {
            *rest = from + 1;
            break;
        }
        if (*from == '\\' && from[1] == ',')
            from++;
        *to++ = *from;
    }
    *to = 0;
    return piece;
}

static bool parse_option(struct cli_fs_spec *spec, unsigned parts, char *text,
                         char ret_error[CLI_FS_ERROR_SIZE])
{
    char *value = strchr(text, '=');
    if (value)
        *value++ = 0;
    for (size_t i = 0; i < countof(option_row); i++) {
        const struct option_row *row = &option_row[i];
        if (!(row->parts & parts) || strcmp(row->name, text) != 0)
            continue;
        if (set_value(spec, row, value))
            return true;
        return complain(ret_error,
                        value ? "no good value for" : "a value is missing:", text);
    }
    return complain(ret_error, "no option of this kind of tree:", text);
}

/* "NAME=" in front: before the first '=', with nothing of a spec in it. */
static char *cut_name(char *text, struct cli_fs_spec *spec)
{
    size_t size = strcspn(text, "=:,");
    if (text[size] != '=')
        return text;
    text[size] = 0;
    spec->name = text;
    return text + size + 1;
}

bool cli_fs_parse(struct arena *arena, const char *text, struct cli_fs_spec *ret_spec,
                  char ret_error[CLI_FS_ERROR_SIZE])
{
    char *copy = arena_copy(arena, text, strlen(text) + 1);
    const struct kind *kind = NULL;
    spec_init(ret_spec);
    if (!copy)
        return complain(ret_error, "out of memory for", text);
    char *rest = cut_name(copy, ret_spec);
    if (strlen(ret_spec->name) > V86FS_NAME_MAX)
        return complain(ret_error, "the name is too long:", ret_spec->name);
    char *head = cut_piece(&rest);
    for (size_t i = 0; i < countof(kind_row) && !kind; i++) {
        const struct kind *row = &kind_row[i];
        if (row->path ? starts(head, row->prefix) : strcmp(head, row->prefix) == 0)
            kind = row;
    }
    if (!kind)
        return complain(ret_error, "not mem, dir:, image:, overlay: or remote: but",
                        head);
    ret_spec->kind = kind->kind;
    ret_spec->path = head + strlen(kind->prefix);
    if (kind->path && !*ret_spec->path)
        return complain(ret_error, "a path is missing behind", head);
    for (char *piece = cut_piece(&rest); piece; piece = cut_piece(&rest)) {
        if (!parse_option(ret_spec, kind->parts, piece, ret_error))
            return false;
    }
    return true;
}

void cli_fs_put(const struct cli_fs_spec *spec, struct buf *buf)
{
    const struct kind *kind = kind_of(spec->kind);
    struct cli_fs_spec usual;
    spec_init(&usual);
    buf_printf(buf, "%s%s", kind->prefix, kind->path ? "x" : "");
    for (size_t i = 0; i < countof(option_row); i++) {
        const struct option_row *row = &option_row[i];
        const char *value = (const char *)spec + row->offset;
        uint64_t number = 0;
        uint32_t count = 0;
        if (!(row->parts & kind->parts))
            continue;
        switch (row->kind) {
        case OPTION_FLAG:
            if (*value)
                buf_printf(buf, ",%s", row->name);
            break;
        case OPTION_SIZE: /* always: defaults may change (trace-replay.md 4.1) */
            memcpy(&number, value, sizeof number);
            buf_printf(buf, ",%s=%" PRIu64, row->name, number);
            break;
        case OPTION_COUNT:
        case OPTION_OCTAL:
            memcpy(&count, value, sizeof count);
            buf_printf(buf, row->kind == OPTION_OCTAL ? ",%s=%o" : ",%s=%u", row->name,
                       count);
            break;
        case OPTION_DEATH:
            if (spec->on_death)
                buf_printf(buf, ",%s=%s", row->name, death_word[spec->on_death]);
            break;
        case OPTION_MTIME: /* is in the image already */
            break;
        }
    }
}
