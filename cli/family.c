/* SPDX-License-Identifier: MIT */
#include "cli/family.h"

#include "base/os.h"
#include "cli/pc_guest.h"
#include "replay/branch.h"
#include "replay/sink_file.h"

#include <stdio.h>
#include <string.h>

#define JOINED_SIZE_MAX ((size_t)8 << 30)

static bool has_identity(const char *path, const struct hash256 *identity)
{
    struct replay_source_file file;
    struct hash256 found;
    if (!os_file_is_regular(path) || replay_source_file_open(&file, path))
        return false;
    struct trace_source source = replay_source_file(&file);
    bool is = !trace_identity(&source, &found) && hash256_equal(&found, identity);
    replay_source_file_close(&file);
    return is;
}

/* Look at all traces in the folder of `path`, in bytewise order. */
static bool find_parent(const char *path, const struct hash256 *identity,
                        struct buf *ret_path)
{
    const char *slash = strrchr(path, '/');
    int folder_size = slash ? (int)(slash - path) + 1 : 0;
    struct buf names, folder;
    bool found = false;
    buf_init(&names, 1 << 20);
    buf_init(&folder, 1 << 16);
    buf_printf(&folder, "%.*s.", folder_size, path);
    if (os_folder_list(buf_string(&folder), &names))
        names.size = 0;
    for (size_t at = 0; at < names.size && !found;) {
        const char *name = (const char *)names.data + at;
        size_t size = strlen(name);
        at += size + 1;
        if (size < 4 || strcmp(name + size - 4, ".lks") != 0)
            continue;
        buf_clear(ret_path);
        buf_printf(ret_path, "%.*s%s", folder_size, path, name);
        found = !ret_path->err && has_identity(buf_string(ret_path), identity);
    }
    buf_fini(&folder);
    buf_fini(&names);
    return found;
}

static enum err join(const char *parent_path, const struct trace_source *child,
                     struct cli_family *family, char *detail)
{
    struct replay_source_file file;
    struct cli_fs fs = {0};
    const struct replay_pc_follow_options pc = cli_pc_follow(&fs);
    const struct replay_join_options how = {.interrupted = os_interrupted, .pc = &pc};
    enum err err = replay_source_file_open(&file, parent_path);
    if (err) {
        (void)snprintf(detail, CLI_FAMILY_DETAIL_SIZE, "its parent %.100s: %s",
                       parent_path, err_text(err));
        return err;
    }
    struct trace_source parent = replay_source_file(&file);
    struct trace_sink sink = trace_memory_sink(&family->memory);
    err = replay_branch_join(&parent, child, &sink, &how, detail);
    cli_fs_close(&fs);
    replay_source_file_close(&file);
    return err;
}

enum err cli_family_open(const char *path, const char *parent_path,
                         struct trace_source *source, struct cli_family *family,
                         char ret_detail[CLI_FAMILY_DETAIL_SIZE])
{
    struct hash256 parent;
    struct buf found;
    enum err err = ERR_not_found;
    *family = (struct cli_family){0};
    ret_detail[0] = 0;
    if (!replay_branch_is_child(source, &parent))
        return ERR_ok;
    trace_memory_init(&family->memory, JOINED_SIZE_MAX);
    buf_init(&found, 1 << 16);
    if (!parent_path && find_parent(path, &parent, &found))
        parent_path = buf_string(&found);
    if (parent_path)
        err = join(parent_path, source, family, ret_detail);
    else
        (void)snprintf(ret_detail, CLI_FAMILY_DETAIL_SIZE,
                       "it needs its parent, the trace %02x%02x%02x%02x…, in its "
                       "folder or as --parent",
                       parent.byte[0], parent.byte[1], parent.byte[2], parent.byte[3]);
    buf_fini(&found);
    if (err)
        return err;
    family->joined = trace_identity(source, &family->identity) == ERR_ok;
    family->bytes = buf_bytes(&family->memory.file);
    *source = trace_bytes_source(&family->bytes);
    return ERR_ok;
}

void cli_family_close(struct cli_family *family)
{
    trace_memory_fini(&family->memory);
}
