/* SPDX-License-Identifier: MIT
 *
 * What a session depends on, as events.  Keys are written in ascending order; "fs.0" is
 * the device, its exports have two digits, so that the order holds.
 */
#include "replay/fs_setup.h"
#include "replay/setup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { KEY_SIZE = 40, IMAGE_PIECE = 1 << 20, TEXT_SIZE_MAX = 4096 };
#define IMAGE_SIZE_MAX ((uint64_t)4 << 30)

/* ---- writing ---- */

static enum err put(struct trace *trace, const char *key, const char *value)
{
    struct trace_session_config event = {.key = key, .value = value};
    return *value ? trace_session_config(trace, &event) : ERR_ok;
}

static enum err put_number(struct trace *trace, const char *key, uint64_t number)
{
    char value[24] = "";
    if (number)
        (void)snprintf(value, sizeof value, "%" PRIu64, number);
    return put(trace, key, value);
}

static enum err put_export(struct trace *trace, size_t index,
                           const struct replay_fs_export *export)
{
    char key[KEY_SIZE], digest[2 * HASH256_SIZE + 1] = "";
    if (export->has_digest) {
        for (unsigned i = 0; i < HASH256_SIZE; i++)
            (void)snprintf(digest + 2 * i, 3, "%02x", export->digest.byte[i]);
    }
    (void)snprintf(key, sizeof key, "fs.0.%02zu.digest", index);
    TRY(put(trace, key, digest));
    (void)snprintf(key, sizeof key, "fs.0.%02zu.name", index);
    TRY(put(trace, key, export->name));
    (void)snprintf(key, sizeof key, "fs.0.%02zu.spec", index);
    return put(trace, key, export->spec);
}

static enum err put_image(struct trace *trace, size_t index, struct bytes image)
{
    char name[KEY_SIZE];
    struct hash256 hash = hash256_of(image.data, image.size);
    (void)snprintf(name, sizeof name, "fs.0.%02zu", index);
    for (size_t at = 0; at < image.size; at += IMAGE_PIECE) {
        size_t left = image.size - at;
        struct trace_input_file event = {
            .name = bytes_of(name, strlen(name)),
            .size = image.size,
            .hash = trace_hash_of(hash),
            .offset = at,
            .data = bytes_of(image.data + at, left < IMAGE_PIECE ? left : IMAGE_PIECE)};
        TRY(trace_input_file(trace, &event));
    }
    return ERR_ok;
}

enum err replay_fs_setup_emit_config(const struct replay_fs_setup *setup,
                                     struct trace *trace)
{
    for (size_t i = 0; i < setup->export_count; i++)
        TRY(put_export(trace, i, &setup->export[i]));
    TRY(put_number(trace, "fs.0.features", setup->features));
    TRY(put_number(trace, "fs.0.handles", setup->handle_count_max));
    TRY(put_number(trace, "fs.0.origin", setup->derived ? 0 : 1));
    TRY(put_number(trace, "fs.0.requests", setup->requests));
    if (setup->tick_ns) {
        TRY(put_number(trace, "fs.0.session", 1));
        TRY(put_number(trace, "fs.0.tick", setup->tick_ns));
    }
    return put_number(trace, "log.bytes", setup->log_bytes);
}

enum err replay_fs_setup_emit_images(const struct replay_fs_setup *setup,
                                     struct trace *trace)
{
    for (size_t i = 0; i < setup->export_count; i++)
        TRY(put_image(trace, i, setup->export[i].image));
    return ERR_ok;
}

enum err replay_fs_setup_emit(const struct replay_fs_setup *setup, struct trace *trace)
{
    struct trace_session_begin begin = {.spec = TRACE_SPEC, .epoch = setup->epoch_ns};
    struct trace_virtio_ready ready = {.features = setup->features};
    TRY(trace_session_begin(trace, &begin));
    TRY(replay_fs_setup_emit_config(setup, trace));
    TRY(replay_fs_setup_emit_images(setup, trace));
    return trace_virtio_ready(trace, &ready);
}

/* ---- reading ---- */

struct setup_reader {
    struct arena *arena;
    struct trace_reader *reader;
    struct trace_record record;
    struct replay_fs_setup *setup;
    struct replay_refusal *refusal;
    const struct replay_fs_more *more; /* NULL: a session of a file server */
    bool session;
    uint64_t origin;
    uint8_t *image[REPLAY_FS_EXPORT_MAX];
    uint64_t image_read[REPLAY_FS_EXPORT_MAX];
    struct hash256 image_hash[REPLAY_FS_EXPORT_MAX];
};

static enum err next(struct setup_reader *r)
{
    return replay_setup_next(r->reader, &r->record);
}

static bool parse_number(const char *text, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (*text < '1' || *text > '9')
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' ||
            __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (unsigned)(*text - '0'), &number))
            return false;
    }
    *ret_number = number;
    return number <= max;
}

static bool parse_digest(const char *text, struct hash256 *ret_digest)
{
    static const char digits[] = "0123456789abcdef";
    if (strlen(text) != 2 * HASH256_SIZE)
        return false;
    for (unsigned i = 0; i < HASH256_SIZE; i++) {
        const char *high = strchr(digits, text[2 * i]);
        const char *low = strchr(digits, text[2 * i + 1]);
        if (!high || !low)
            return false;
        ret_digest->byte[i] = (uint8_t)((high - digits) << 4 | (low - digits));
    }
    return true;
}

/* "00.name" behind "fs.0." */
static bool set_export(struct setup_reader *r, const char *key, const char *value)
{
    if (key[0] < '0' || key[0] > '9' || key[1] < '0' || key[1] > '9' || key[2] != '.')
        return false;
    size_t index = (size_t)(key[0] - '0') * 10 + (size_t)(key[1] - '0');
    if (index >= REPLAY_FS_EXPORT_MAX || strlen(value) > TEXT_SIZE_MAX)
        return false;
    struct replay_fs_export *export = &r->setup->export[index];
    if (index >= r->setup->export_count)
        r->setup->export_count = index + 1;
    const char *copy = arena_copy(r->arena, value, strlen(value) + 1);
    if (!copy)
        return false;
    if (strcmp(key + 3, "name") == 0)
        export->name = copy;
    else if (strcmp(key + 3, "spec") == 0)
        export->spec = copy;
    else if (strcmp(key + 3, "digest") == 0)
        export->has_digest = parse_digest(value, &export->digest);
    else
        return false;
    return strcmp(key + 3, "digest") != 0 || export->has_digest;
}

static bool set_key(void *self, const char *key, const char *value)
{
    struct setup_reader *r = self;
    struct replay_fs_setup *setup = r->setup;
    uint64_t number = 0;
    if (r->more && strncmp(key, "pc.", 3) == 0)
        return r->more->key(r->more->self, key, value);
    if (strncmp(key, "fs.0.", 5) == 0 && set_export(r, key + 5, value))
        return true;
    if (!parse_number(value, INT64_MAX, &number))
        return false;
    if (strcmp(key, "fs.0.features") == 0)
        setup->features = (uint32_t)number;
    else if (strcmp(key, "fs.0.handles") == 0)
        setup->handle_count_max = (uint32_t)number;
    else if (strcmp(key, "fs.0.origin") == 0)
        r->origin = number;
    else if (strcmp(key, "fs.0.requests") == 0)
        setup->requests = number == 1;
    else if (strcmp(key, "fs.0.session") == 0)
        r->session = number == 1;
    else if (strcmp(key, "fs.0.tick") == 0)
        setup->tick_ns = number;
    else if (strcmp(key, "log.bytes") == 0)
        setup->log_bytes = number == 1;
    else
        return false;
    return number <= UINT32_MAX;
}

static enum err add_image(struct setup_reader *r, const struct trace_input_file *file)
{
    char name[KEY_SIZE];
    size_t index = 0;
    for (; index < r->setup->export_count; index++) {
        (void)snprintf(name, sizeof name, "fs.0.%02zu", index);
        if (file->name.size == strlen(name) &&
            memcmp(file->name.data, name, file->name.size) == 0)
            break;
    }
    if (index == r->setup->export_count || file->size > IMAGE_SIZE_MAX ||
        file->offset != r->image_read[index] || !file->hash.present ||
        (file->offset && file->size != r->setup->export[index].image.size) ||
        file->data.size > file->size - file->offset)
        return replay_refuse(r->refusal, REPLAY_DAMAGED,
                             "event %" PRIu64 ": no piece of an image", r->record.seq);
    struct bytes *image = &r->setup->export[index].image;
    if (!file->offset) {
        r->image[index] = arena_alloc(r->arena, (size_t)file->size, 1);
        if (!r->image[index])
            return ERR_nomem;
        *image = bytes_of(r->image[index], (size_t)file->size);
        r->image_hash[index] = file->hash.hash;
    }
    if (file->data.size)
        memcpy(r->image[index] + file->offset, file->data.data, file->data.size);
    r->image_read[index] += file->data.size;
    return ERR_ok;
}

static enum err read_images(struct setup_reader *r)
{
    struct arena piece;
    arena_init(&piece, 4 * (size_t)IMAGE_PIECE);
    enum err err = ERR_ok;
    while (!err && r->record.kind->id == TRACE_ID_input_file) {
        struct trace_input_file file;
        arena_clear(&piece);
        err = trace_decode_input_file(r->reader, &r->record, &piece, &file);
        bool theirs =
            r->more && !(file.name.size > 5 && memcmp(file.name.data, "fs.0.", 5) == 0);
        if (!err)
            err = theirs ? r->more->file(r->more->self, &file) : add_image(r, &file);
        if (!err)
            err = next(r);
    }
    arena_fini(&piece);
    for (size_t i = 0; !err && i < r->setup->export_count; i++) {
        struct bytes image = r->setup->export[i].image;
        struct hash256 hash = hash256_of(image.data, image.size);
        if (image.size != r->image_read[i] ||
            (image.size && !hash256_equal(&hash, &r->image_hash[i])))
            err =
                replay_refuse(r->refusal, REPLAY_DAMAGED, "image %zu is not whole", i);
    }
    return err;
}

static enum err check_setup(struct setup_reader *r)
{
    struct replay_fs_setup *setup = r->setup;
    if (!r->session && !r->more)
        return replay_refuse(r->refusal, REPLAY_OTHER_VERSION,
                             "no session of a file server");
    if ((!setup->tick_ns && !r->more) ||
        (!setup->handle_count_max && setup->export_count) || r->origin > 1 ||
        setup->features & ~(uint32_t)V86FS_FEATURES)
        return replay_refuse(r->refusal, REPLAY_OTHER_CONFIGURATION,
                             "fs.0.features, handles, origin or tick");
    for (size_t i = 0; i < setup->export_count; i++) {
        struct replay_fs_export *export = &setup->export[i];
        if (!export->spec)
            return replay_refuse(r->refusal, REPLAY_DAMAGED, "fs.0.%02zu has no spec",
                                 i);
        if (!export->name)
            export->name = "";
    }
    setup->derived = !r->origin;
    return ERR_ok;
}

enum err replay_fs_setup_read(struct arena *arena, struct trace_reader *reader,
                              const struct replay_fs_more *more,
                              struct replay_fs_setup *ret_setup,
                              struct trace_record *ret_next,
                              struct replay_refusal *ret_refusal)
{
    struct setup_reader r = {.arena = arena,
                             .reader = reader,
                             .more = more,
                             .setup = ret_setup,
                             .refusal = ret_refusal};
    struct trace_session_begin begin;
    *ret_setup = (struct replay_fs_setup){0};
    TRY(next(&r));
    if (r.record.kind->id != TRACE_ID_session_begin)
        return replay_refuse(ret_refusal, REPLAY_DAMAGED, "the first event is %.32s",
                             r.record.kind->wire);
    TRY(trace_decode_session_begin(reader, &r.record, arena, &begin));
    if (begin.spec != TRACE_SPEC || begin.seed)
        return replay_refuse(ret_refusal, REPLAY_OTHER_VERSION,
                             "event specification or chaos");
    ret_setup->epoch_ns = begin.epoch;
    TRY(next(&r));
    TRY(replay_setup_keys(arena, reader, &r.record, set_key, &r, ret_refusal));
    TRY(check_setup(&r));
    TRY(read_images(&r));
    if (ret_next)
        *ret_next = r.record;
    if (!more && r.record.kind->id != TRACE_ID_virtio_ready)
        return replay_refuse(ret_refusal, REPLAY_DAMAGED,
                             "event %" PRIu64 " is %.32s, not virtio.ready",
                             r.record.seq, r.record.kind->wire);
    return ERR_ok;
}
