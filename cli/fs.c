/* SPDX-License-Identifier: MIT
 *
 * From specs to trees and a server (cli/fs.h).
 */
#include "cli/fs.h"

#include "base/os.h"
#include "base/os_confine.h"

#include <stdio.h>
#include <string.h>

#define ARENA_SIZE_MAX ((size_t)1 << 44) /* address space; limits are the trees' */
#define ARCHIVE_SIZE_MAX ((size_t)4 << 30)

enum { FIRST_DYNAMIC_ID = 100, IMAGE_SPARE = 4096 };

/* ---- images ---- */

/* An archive stays in memory: the list borrows from it. */
static enum err read_image(struct cli_fs *fs, struct cli_fs_export *export)
{
    const char *path = export->spec.path;
    export->has_image = true;
    if (os_folder_exists(path))
        return hostfs_walk(&fs->arena, path, &export->spec.image, &export->image);
    TRY(os_file_read(path, &export->archive));
    return hostfs_archive_read(&fs->arena, buf_bytes(&export->archive),
                               &export->spec.image, &export->image);
}

static enum err load_image(struct cli_fs *fs, struct cli_fs_export *export,
                           struct v86fs_ids *ids, struct v86fs_tree *ret_tree,
                           uint64_t *ret_root)
{
    struct v86fs_mem_options options;
    struct v86fs_mem *mem;
    v86fs_mem_options_init(&options);
    options.node_count_max = (uint32_t) export->image.count + 1;
    options.quota = export->image.size + IMAGE_SPARE;
    TRY(v86fs_mem_create(&fs->arena, &options, ids, &mem));
    TRY(v86fs_image_load(mem, export->image.entry, export->image.count, ret_root,
                         &export->digest));
    *ret_tree = v86fs_mem_tree(mem);
    return ERR_ok;
}

/* ---- trees ---- */

/* A function of requests and image? */
static bool is_derived(enum cli_fs_kind kind)
{
    return kind == CLI_FS_MEM || kind == CLI_FS_IMAGE || kind == CLI_FS_OVERLAY;
}

static enum err open_mem(struct cli_fs *fs, struct cli_fs_export *export,
                         uint64_t now_ns, const struct v86fs_tree *lower,
                         uint64_t lower_root)
{
    const struct cli_fs_spec *spec = &export->spec;
    struct v86fs_mem_options options;
    struct v86fs_mem *mem;
    v86fs_mem_options_init(&options);
    options.quota = spec->quota;
    if (spec->node_count_max > UINT32_MAX)
        return ERR_limit;
    options.node_count_max = (uint32_t)spec->node_count_max;
    TRY(v86fs_mem_create(&fs->arena, &options, &fs->ids, &mem));
    export->mem = mem;
    export->tree = v86fs_mem_tree(mem);
    return lower ? v86fs_mem_overlay(mem, *lower, lower_root, &export->root)
                 : v86fs_mem_root(mem, 0755, now_ns, &export->root);
}

static void on_note(void *self, struct bytes frame)
{
    const struct cli_fs *fs = self;
    if (fs->note)
        fs->note(fs->note_self, frame);
}

static void on_lost(void *self)
{
    on_note(self, (struct bytes){0});
}

static void on_told(void *self, enum err err)
{
    const struct cli_fs *fs = self;
    if (fs->death)
        fs->death(fs->death_self, err);
    if (fs->cli && err)
        ui_error(fs->cli, "the server of files is lost: %s", err_text(err));
    else if (fs->cli)
        ui_note(fs->cli, "there is another server of files");
}

static enum err open_remote(struct cli_fs *fs, struct cli_fs_export *export)
{
    struct hostfs_remote_options options;
    hostfs_remote_options_init(&options);
    options.request_ns = export->spec.timeout_s * 1000000000;
    options.hello_ns = export->spec.hello_s * 1000000000;
    options.on_death = export->spec.on_death;
    options.shared = export->spec.shared;
    options.mounts = export->spec.mounts;
    options.note = on_note;
    options.told = on_told;
    options.self = fs;
    if (export->spec.timeout_s > 86400 || export->spec.hello_s > 86400)
        return ERR_limit;
    TRY(hostfs_remote_open(&fs->arena, &options, export->spec.path, &fs->ids,
                           &export->remote));
    export->tree = hostfs_remote_tree(export->remote);
    export->root = hostfs_remote_root(export->remote);
    return ERR_ok;
}

static enum err open_tree(struct cli_fs *fs, struct cli_fs_export *export,
                          uint64_t now_ns)
{
    const struct cli_fs_spec *spec = &export->spec;
    struct v86fs_tree lower;
    uint64_t lower_root;
    export->derived = is_derived(spec->kind);
    v86fs_ids_init(&export->lower_ids);
    if ((spec->kind == CLI_FS_IMAGE || spec->kind == CLI_FS_OVERLAY) &&
        !export->has_image)
        TRY(read_image(fs, export));
    switch (spec->kind) {
    case CLI_FS_MEM:
        return open_mem(fs, export, now_ns, NULL, 0);
    case CLI_FS_IMAGE:
        return load_image(fs, export, &fs->ids, &export->tree, &export->root);
    case CLI_FS_OVERLAY:
        TRY(load_image(fs, export, &export->lower_ids, &lower, &lower_root));
        return open_mem(fs, export, now_ns, &lower, lower_root);
    case CLI_FS_REMOTE:
        return open_remote(fs, export);
    case CLI_FS_DIR:
    case CLI_FS_OVERLAY_DIR:
        break;
    }
    bool over = spec->kind == CLI_FS_OVERLAY_DIR;
    struct hostfs_dir_options options = spec->dir;
    options.note = on_note;
    options.lost = on_lost;
    options.self = fs;
    TRY(hostfs_dir_open(&fs->arena, &options, spec->path,
                        over ? &export->lower_ids : &fs->ids, &export->dir));
    export->tree = hostfs_dir_tree(export->dir);
    export->root = hostfs_dir_root(export->dir);
    lower = export->tree;
    return over ? open_mem(fs, export, now_ns, &lower, export->root) : ERR_ok;
}

static enum err serve_exports(struct cli_fs *fs)
{
    struct v86fs_server_options options;
    v86fs_server_options_init(&options);
    TRY(v86fs_server_create(&fs->arena, &options, &fs->ids, &fs->server));
    for (size_t i = 0; i < fs->export_count; i++) {
        const struct cli_fs_export *export = &fs->export[i];
        const char *name = export->spec.name;
        bool read_only = export->spec.read_only || export->spec.kind == CLI_FS_IMAGE;
        TRY(v86fs_server_export(fs->server, bytes_of(name, strlen(name)), export->tree,
                                export->root, read_only));
    }
    return ERR_ok;
}

static int check_names(struct cli *cli, const struct cli_fs *fs)
{
    for (size_t i = 0; i < fs->export_count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(fs->export[i].spec.name, fs->export[k].spec.name) == 0)
                return ui_usage(cli, "--fs: two trees are called '%s'",
                                fs->export[i].spec.name);
        }
    }
    return CLI_YES;
}

/* Parse; the default export comes first, since its root has the id 1. */
static int parse_specs(struct cli *cli, const struct cli_list *specs, struct cli_fs *fs)
{
    static const char *const only_mem[] = {"mem"};
    const char *const *item = specs->count ? specs->item : only_mem;
    size_t count = specs->count ? specs->count : 1;
    char error[CLI_FS_ERROR_SIZE];
    if (count > CLI_FS_EXPORT_MAX)
        return ui_usage(cli, "--fs: at most %d trees", CLI_FS_EXPORT_MAX);
    for (size_t i = 0; i < count; i++) {
        struct cli_fs_spec *spec = &fs->export[i].spec;
        if (!cli_fs_parse(&fs->arena, item[i], spec, error))
            return ui_usage(cli, "--fs %s: %s", item[i], error);
        if (i && !*spec->name) {
            struct cli_fs_spec first = *spec;
            *spec = fs->export[0].spec;
            fs->export[0].spec = first;
        }
    }
    fs->export_count = count;
    return check_names(cli, fs);
}

static void fs_init(struct cli_fs *fs)
{
    *fs = (struct cli_fs){.derived = true};
    arena_init(&fs->arena, ARENA_SIZE_MAX);
    v86fs_ids_init(&fs->ids);
    for (size_t i = 0; i < CLI_FS_EXPORT_MAX; i++)
        buf_init(&fs->export[i].archive, ARCHIVE_SIZE_MAX);
}

int cli_fs_open(struct cli *cli, const struct cli_list *specs, uint64_t now_ns,
                struct cli_fs *fs)
{
    fs_init(fs);
    fs->cli = cli;
    int status = parse_specs(cli, specs, fs);
    if (status)
        return status;
    for (size_t i = 0; i < fs->export_count; i++) {
        struct cli_fs_export *export = &fs->export[i];
        enum err err = open_tree(fs, export, now_ns);
        if (err)
            return ui_fail(cli, err, *export->spec.path ? export->spec.path : "--fs");
        fs->derived &= export->derived;
    }
    v86fs_ids_start(&fs->ids, FIRST_DYNAMIC_ID);
    enum err err = serve_exports(fs);
    return err ? ui_fail(cli, err, "--fs") : CLI_YES;
}

void cli_fs_close(struct cli_fs *fs)
{
    for (size_t i = 0; i < CLI_FS_EXPORT_MAX; i++) {
        hostfs_dir_close(fs->export[i].dir);
        hostfs_remote_close(fs->export[i].remote);
        buf_fini(&fs->export[i].archive);
    }
    arena_fini(&fs->arena);
}

/* ---- notifications ---- */

void cli_fs_listen(struct cli_fs *fs, void (*note)(void *self, struct bytes frame),
                   void *self)
{
    fs->note = note;
    fs->note_self = self;
}

size_t cli_fs_descriptors(const struct cli_fs *fs, int ret_fds[CLI_FS_WAIT_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < fs->export_count; i++) {
        const struct cli_fs_export *export = &fs->export[i];
        if (export->dir)
            ret_fds[count++] = hostfs_dir_watch_fd(export->dir);
        if (!export->remote)
            continue;
        hostfs_remote_descriptors(export->remote, ret_fds + count);
        count += 2;
    }
    return count;
}

void cli_fs_poll(struct cli_fs *fs)
{
    for (size_t i = 0; i < fs->export_count; i++) {
        if (fs->export[i].dir)
            hostfs_dir_poll(fs->export[i].dir);
        if (fs->export[i].remote)
            hostfs_remote_poll(fs->export[i].remote);
    }
}

/* ---- confinement ---- */

const char *const cli_fs_confine_word[] = {"auto", "always", "never", NULL};

static size_t roots_of(const struct cli_fs *fs, int ret_fds[CLI_FS_EXPORT_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < fs->export_count; i++) {
        if (fs->export[i].dir)
            ret_fds[count++] = hostfs_dir_root_fd(fs->export[i].dir);
    }
    return count;
}

bool cli_fs_confinable(const struct cli_fs *fs, enum cli_fs_confine confine)
{
    int fds[CLI_FS_EXPORT_MAX];
    bool remote = false;
    for (size_t i = 0; i < fs->export_count; i++)
        remote |= fs->export[i].remote != NULL;
    return confine != CLI_FS_CONFINE_NEVER && !remote && roots_of(fs, fds);
}

int cli_fs_confine_check(const struct cli_fs *fs, enum cli_fs_confine confine)
{
    if (confine != CLI_FS_CONFINE_ALWAYS)
        return CLI_YES;
    if (!cli_fs_confinable(fs, confine)) {
        ui_error(fs->cli, "--confine=always: only directories can be confined to");
        return CLI_UNKNOWN;
    }
    return os_confine_available() ? CLI_YES
                                  : ui_fail(fs->cli, ERR_unsupported, "--confine");
}

int cli_fs_confine(struct cli_fs *fs, enum cli_fs_confine confine)
{
    int fds[CLI_FS_EXPORT_MAX];
    int status = cli_fs_confine_check(fs, confine);
    if (status || !cli_fs_confinable(fs, confine))
        return status;
    if (!os_confine_available()) {
        ui_verbose(fs->cli, "this process keeps its access to all files: no Landlock");
        return CLI_YES;
    }
    enum err err = os_confine_files(fds, roots_of(fs, fds));
    return err ? ui_fail(fs->cli, err, "--confine") : CLI_YES;
}

/* ---- files by name ---- */

static const struct cli_fs_export *export_named(const struct cli_fs *fs,
                                                struct bytes name)
{
    for (size_t i = 0; i < fs->export_count; i++) {
        const char *known = fs->export[i].spec.name;
        if (strlen(known) == name.size && memcmp(known, name.data, name.size) == 0)
            return &fs->export[i];
    }
    return NULL;
}

/* Walk down from the root; each name is looked up as the guest would do it. */
static bool walk_down(const struct cli_fs_export *export, struct bytes path,
                      uint64_t now_ns, uint64_t *ret_ino)
{
    uint64_t node = export->root;
    while (path.size) {
        const uint8_t *slash = memchr(path.data, '/', path.size);
        size_t size = slash ? (size_t)(slash - path.data) : path.size;
        struct v86fs_call call = {
            .now_ns = now_ns, .in = {.node = node, .name = bytes_of(path.data, size)}};
        if (size && v86fs_tree_call(export->tree, V86FS_OP_lookup, &call))
            return false;
        if (size)
            node = call.out.attr.node;
        size += slash != NULL;
        path = bytes_of(path.data + size, path.size - size);
    }
    *ret_ino = node;
    return true;
}

bool cli_fs_find(void *self, struct bytes path, uint64_t now_ns, uint64_t *ret_ino)
{
    const struct cli_fs *fs = self;
    const uint8_t *colon = memchr(path.data, ':', path.size);
    size_t name_size = colon ? (size_t)(colon - path.data) : 0;
    struct bytes name = bytes_of(path.data, name_size);
    if (path.data[0] != '/' && cli_number((const char *)path.data, ret_ino))
        return true;
    if (colon)
        path = bytes_of(colon + 1, path.size - name_size - 1);
    const struct cli_fs_export *export = export_named(fs, name);
    return export && path.size && path.data[0] == '/' &&
           walk_down(export, path, now_ns, ret_ino);
}

/* ---- states ---- */

/* Of the trees that change: u64 size and the bytes, after those of the server. */
static enum err put_part(struct buf *buf, const struct buf *part)
{
    uint64_t size = part->size;
    TRY(part->err);
    for (unsigned i = 0; i < 8; i++)
        buf_byte(buf, (uint8_t)(size >> 8 * i));
    buf_put(buf, part->data, part->size);
    return buf->err;
}

static bool take_part(struct bytes *state, struct bytes *ret)
{
    uint64_t size = 0;
    if (state->size < 8)
        return false;
    for (unsigned i = 0; i < 8; i++)
        size |= (uint64_t)state->data[i] << 8 * i;
    if (size > state->size - 8)
        return false;
    *ret = bytes_of(state->data + 8, (size_t)size);
    *state = bytes_of(state->data + 8 + size, state->size - 8 - (size_t)size);
    return true;
}

static bool changes(const struct cli_fs_export *export)
{
    return export->spec.kind == CLI_FS_MEM || export->spec.kind == CLI_FS_OVERLAY;
}

enum err cli_fs_save(void *self, struct buf *buf)
{
    const struct cli_fs *fs = self;
    struct arena scratch;
    struct buf part;
    arena_init(&scratch, ARENA_SIZE_MAX);
    buf_init(&part, ARCHIVE_SIZE_MAX);
    enum err err = v86fs_server_save(fs->server, &part);
    if (!err)
        err = put_part(buf, &part);
    for (size_t i = 0; i < fs->export_count && !err; i++) {
        if (!changes(&fs->export[i]))
            continue;
        buf_clear(&part);
        err = v86fs_mem_save(fs->export[i].mem, &scratch, &part);
        if (!err)
            err = put_part(buf, &part);
    }
    buf_fini(&part);
    arena_fini(&scratch);
    return err;
}

enum err cli_fs_load(void *self, struct bytes state)
{
    struct cli_fs *fs = self;
    struct arena scratch;
    struct bytes part;
    if (!take_part(&state, &part))
        return ERR_v86fs_state;
    TRY(v86fs_server_load(fs->server, part));
    arena_init(&scratch, ARENA_SIZE_MAX);
    enum err err = ERR_ok;
    for (size_t i = 0; i < fs->export_count && !err; i++) {
        if (!changes(&fs->export[i]))
            continue;
        err = take_part(&state, &part)
                  ? v86fs_mem_load(fs->export[i].mem, &scratch, part)
                  : ERR_v86fs_state;
    }
    arena_fini(&scratch);
    return !err && state.size ? ERR_v86fs_state : err;
}

/* ---- traces ---- */

static const char *text_of(struct arena *arena, const struct buf *buf)
{
    return arena_copy(arena, buf_string(buf), buf->size + 1);
}

enum err cli_fs_describe(struct cli_fs *fs, struct replay_fs_setup *setup)
{
    struct v86fs_server_options options;
    v86fs_server_options_init(&options);
    setup->handle_count_max = options.handle_count_max;
    setup->derived = fs->derived;
    setup->export_count = fs->export_count;
    for (size_t i = 0; i < fs->export_count; i++) {
        const struct cli_fs_export *from = &fs->export[i];
        struct buf text;
        buf_init(&text, 4096);
        cli_fs_put(&from->spec, &text);
        setup->export[i] = (struct replay_fs_export){.name = from->spec.name,
                                                     .spec = text_of(&fs->arena, &text),
                                                     .has_digest = from->has_image,
                                                     .digest = from->digest};
        buf_fini(&text);
        if (!setup->export[i].spec)
            return ERR_nomem;
        if (!from->has_image)
            continue;
        struct buf image;
        buf_init(&image, ARCHIVE_SIZE_MAX);
        hostfs_image_put(&from->image, &image);
        enum err err = image.err;
        uint8_t *copy = err ? NULL : arena_copy(&fs->arena, image.data, image.size);
        setup->export[i].image = bytes_of(copy, image.size);
        buf_fini(&image);
        if (err || !copy)
            return err ? err : ERR_nomem;
    }
    return ERR_ok;
}

static enum err restore_export(const struct replay_fs_setup *setup, struct cli_fs *fs,
                               size_t index, char ret_error[CLI_FS_ERROR_SIZE])
{
    const struct replay_fs_export *from = &setup->export[index];
    struct cli_fs_export *to = &fs->export[index];
    if (!cli_fs_parse(&fs->arena, from->spec, &to->spec, ret_error))
        return ERR_usage;
    to->spec.name = from->name;
    if (!is_derived(to->spec.kind)) {
        (void)snprintf(ret_error, CLI_FS_ERROR_SIZE, "'%.60s' is not derived",
                       from->spec);
        return ERR_usage;
    }
    to->has_image = to->spec.kind != CLI_FS_MEM;
    if (to->has_image)
        TRY(hostfs_archive_read(&fs->arena, from->image, &to->spec.image, &to->image));
    TRY(open_tree(fs, to, setup->epoch_ns));
    if (to->has_image != from->has_digest ||
        (to->has_image && !hash256_equal(&to->digest, &from->digest))) {
        (void)snprintf(ret_error, CLI_FS_ERROR_SIZE,
                       "the image of '%.60s' is not the recorded one", from->name);
        return ERR_usage;
    }
    return ERR_ok;
}

enum err cli_fs_restore(const struct replay_fs_setup *setup, struct cli_fs *fs,
                        char ret_error[CLI_FS_ERROR_SIZE])
{
    struct v86fs_server_options options;
    fs_init(fs);
    ret_error[0] = 0;
    v86fs_server_options_init(&options);
    if (setup->handle_count_max != options.handle_count_max) {
        (void)snprintf(ret_error, CLI_FS_ERROR_SIZE, "fs.0.handles is not ours");
        return ERR_usage;
    }
    fs->export_count = setup->export_count;
    for (size_t i = 0; i < setup->export_count; i++)
        TRY(restore_export(setup, fs, i, ret_error));
    v86fs_ids_start(&fs->ids, FIRST_DYNAMIC_ID);
    return serve_exports(fs);
}
