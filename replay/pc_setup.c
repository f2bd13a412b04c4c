/* SPDX-License-Identifier: MIT
 *
 * What a pc depends on (machine.md 2.1): keys in ascending order, defaults included, so
 * that a trace says everything.
 */
#include "replay/pc_setup.h"

#include "base/os.h"
#include "replay/setup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { IMAGE_PIECE = 1 << 20 };
#define IMAGE_SIZE_MAX ((uint64_t)1 << 30)

static const char *const boot_word[] = {"auto", "linux", "flat", "boot16", "rom"};
static const char *const as_word[] = {"elf", "bzimage"};
static const struct {
    const char *name;
    uint32_t bit;
} feature[] = {{"fpu", EMU_FEATURE_FPU}, {"pse", EMU_FEATURE_PSE},
               {"tsc", EMU_FEATURE_TSC}, {"msr", EMU_FEATURE_MSR},
               {"cx8", EMU_FEATURE_CX8}, {"sep", EMU_FEATURE_SEP},
               {"pge", EMU_FEATURE_PGE}, {"cmov", EMU_FEATURE_CMOV}};

/* ---- writing ---- */

static enum err put(struct trace *trace, const char *key, const char *value)
{
    struct trace_session_config event = {.key = key, .value = value};
    return trace_session_config(trace, &event);
}

static enum err put_number(struct trace *trace, const char *key, uint64_t number)
{
    char value[24];
    (void)snprintf(value, sizeof value, "%" PRIu64, number);
    return put(trace, key, value);
}

static enum err put_cpu(struct trace *trace, uint32_t features)
{
    char value[80] = "";
    for (size_t i = 0; i < countof(feature); i++) {
        size_t size = strlen(value);
        if (features & feature[i].bit)
            (void)snprintf(value + size, sizeof value - size, "%s%s", size ? " " : "",
                           feature[i].name);
    }
    return put(trace, "pc.cpu", value);
}

static enum err put_text(struct trace *trace, const char *key, struct bytes text)
{
    char value[EMU_BOOT_CMDLINE_MAX + 1];
    if (text.size >= sizeof value)
        return ERR_usage;
    if (text.size)
        memcpy(value, text.data, text.size);
    value[text.size] = 0;
    return put(trace, key, value);
}

static enum err put_seed(struct trace *trace, const uint8_t *seed)
{
    char value[2 * EMU_BOOT_SEED_SIZE + 1];
    for (unsigned i = 0; i < EMU_BOOT_SEED_SIZE; i++)
        (void)snprintf(value + 2 * i, 3, "%02x", seed[i]);
    return put(trace, "pc.rng_seed", value);
}

static enum err put_config(const struct replay_pc_setup *setup, struct trace *trace)
{
    if (setup->has_fs)
        TRY(replay_fs_setup_emit_config(&setup->fs, trace));
    TRY(put(trace, "pc.boot", boot_word[setup->boot.kind]));
    TRY(put_text(trace, "pc.cmdline", setup->boot.cmdline));
    TRY(put_cpu(trace, setup->config.cpu));
    TRY(put(trace, "pc.kernel_as", as_word[setup->boot.as_bzimage]));
    TRY(put_number(trace, "pc.log_ports", setup->log_ports));
    TRY(put_number(trace, "pc.model", EMU_PC_MODEL));
    TRY(put_number(trace, "pc.ns_per_insn", setup->config.ns_per_insn));
    TRY(put_number(trace, "pc.ram", setup->config.ram_size));
    TRY(put_seed(trace, setup->boot.seed));
    return put_number(trace, "pc.triple_fault_ok", setup->triple_fault_ok);
}

static enum err put_file(struct trace *trace, const char *name, struct bytes data,
                         bool embed)
{
    struct hash256 hash = hash256_of(data.data, data.size);
    size_t at = 0;
    do {
        size_t left = data.size - at, size = left < IMAGE_PIECE ? left : IMAGE_PIECE;
        struct trace_input_file event = {
            .name = bytes_of(name, strlen(name)),
            .size = data.size,
            .hash = trace_hash_of(hash),
            .offset = at,
        };
        if (embed)
            event.data = bytes_of(data.data + at, size);
        TRY(trace_input_file(trace, &event));
        at += size;
    } while (embed && at < data.size);
    return ERR_ok;
}

enum err replay_pc_setup_emit(const struct replay_pc_setup *setup, struct trace *trace)
{
    struct trace_session_begin begin = {.spec = TRACE_SPEC,
                                        .epoch = setup->config.epoch};
    TRY(trace_session_begin(trace, &begin));
    TRY(put_config(setup, trace));
    if (setup->has_fs)
        TRY(replay_fs_setup_emit_images(&setup->fs, trace));
    TRY(put_file(trace, setup->kernel_name, setup->boot.kernel, setup->embed));
    if (setup->initrd_name)
        TRY(put_file(trace, setup->initrd_name, setup->boot.initrd, setup->embed));
    return ERR_ok;
}

/* ---- reading ---- */

struct image {
    char *name;
    uint8_t *data;
    uint64_t size, read;
    struct hash256 hash;
};

struct reading {
    struct arena *arena;
    struct replay_pc_setup *setup;
    struct replay_refusal *refusal;
    struct image image[2]; /* kernel, initramfs */
    unsigned image_count;
    uint64_t model;
};

static bool number_of(const char *text, uint64_t max, uint64_t *ret)
{
    uint64_t number = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' ||
            __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (unsigned)(*text - '0'), &number))
            return false;
    }
    *ret = number;
    return number <= max;
}

static bool word_of(const char *const *words, size_t count, const char *text,
                    unsigned *ret)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(words[i], text) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool cpu_of(const char *text, uint32_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < countof(feature) && *text; i++) {
        size_t size = strlen(feature[i].name);
        if (strncmp(text, feature[i].name, size) != 0 ||
            (text[size] != ' ' && text[size] != 0))
            continue;
        *ret |= feature[i].bit;
        text += size + (text[size] == ' ');
    }
    return !*text;
}

static bool seed_of(const char *text, uint8_t *seed)
{
    static const char digits[] = "0123456789abcdef";
    if (strlen(text) != 2 * EMU_BOOT_SEED_SIZE)
        return false;
    for (unsigned i = 0; i < EMU_BOOT_SEED_SIZE; i++) {
        const char *high = strchr(digits, text[2 * i]);
        const char *low = strchr(digits, text[2 * i + 1]);
        if (!high || !low)
            return false;
        seed[i] = (uint8_t)((high - digits) << 4 | (low - digits));
    }
    return true;
}

static bool line_of(struct reading *r, const char *text)
{
    size_t size = strlen(text);
    const uint8_t *copy = arena_copy(r->arena, text, size);
    r->setup->boot.cmdline = bytes_of(copy, size);
    return copy && size <= EMU_BOOT_CMDLINE_MAX;
}

static bool set_number(struct reading *r, const char *key, const char *value)
{
    struct replay_pc_setup *setup = r->setup;
    uint64_t number;
    if (!number_of(value, EMU_RAM_SIZE_MAX, &number))
        return false;
    if (strcmp(key, "pc.log_ports") == 0)
        setup->log_ports = number;
    else if (strcmp(key, "pc.model") == 0)
        r->model = number;
    else if (strcmp(key, "pc.ns_per_insn") == 0)
        setup->config.ns_per_insn = (uint32_t)number;
    else if (strcmp(key, "pc.ram") == 0)
        setup->config.ram_size = (uint32_t)number;
    else if (strcmp(key, "pc.triple_fault_ok") == 0)
        setup->triple_fault_ok = number;
    else
        return false;
    return true;
}

static bool set_key(void *self, const char *key, const char *value)
{
    struct reading *r = self;
    struct replay_pc_setup *setup = r->setup;
    unsigned word = 0;
    if (strcmp(key, "pc.cmdline") == 0)
        return line_of(r, value);
    if (strcmp(key, "pc.cpu") == 0)
        return cpu_of(value, &setup->config.cpu);
    if (strcmp(key, "pc.rng_seed") == 0)
        return seed_of(value, setup->boot.seed);
    if (strcmp(key, "pc.boot") == 0) {
        bool good = word_of(boot_word, countof(boot_word), value, &word);
        setup->boot.kind = (enum emu_boot_kind)word;
        return good;
    }
    if (strcmp(key, "pc.kernel_as") == 0) {
        bool good = word_of(as_word, countof(as_word), value, &word);
        setup->boot.as_bzimage = word;
        return good;
    }
    return set_number(r, key, value);
}

static enum err add_piece(struct reading *r, struct image *image,
                          const struct trace_input_file *file)
{
    if (!file->data.size)
        return ERR_ok;
    if (file->offset != image->read || file->size != image->size ||
        file->data.size > image->size - image->read)
        return ERR_trace_event;
    if (!image->data) {
        image->data = arena_alloc(r->arena, (size_t)image->size, 8);
        if (!image->data)
            return ERR_nomem;
    }
    memcpy(image->data + image->read, file->data.data, file->data.size);
    image->read += file->data.size;
    return ERR_ok;
}

static enum err add_file(void *self, const struct trace_input_file *file)
{
    struct reading *r = self;
    struct image *image = r->image_count ? &r->image[r->image_count - 1] : NULL;
    if (file->size > IMAGE_SIZE_MAX || !file->hash.present ||
        file->name.size > REPLAY_PC_NAME_MAX)
        return ERR_trace_event;
    if (file->offset)
        return image ? add_piece(r, image, file) : ERR_trace_event;
    if (r->image_count == countof(r->image))
        return ERR_trace_event;
    image = &r->image[r->image_count++];
    image->size = file->size;
    image->hash = file->hash.hash;
    image->name = arena_alloc(r->arena, file->name.size + 1, 1);
    if (!image->name)
        return ERR_nomem;
    memcpy(image->name, file->name.data, file->name.size);
    return add_piece(r, image, file);
}

static enum err refuse(struct reading *r, enum replay_class class, const char *text,
                       const char *name)
{
    r->refusal->class = (uint8_t) class;
    (void)snprintf(r->refusal->text, sizeof r->refusal->text, "%.50s%s%.60s", name,
                   *name ? ": " : "", text);
    return ERR_trace_event;
}

/* Bytes that the trace does not hold are where they were. */
static enum err read_image(struct reading *r, struct image *image)
{
    struct buf file;
    if (image->read)
        return image->read == image->size ? ERR_ok : ERR_trace_event;
    buf_init(&file, IMAGE_SIZE_MAX);
    /* The name comes from the trace: nothing that has effects, or waits, is opened. */
    enum err err = os_file_is_regular(image->name) ? os_file_read(image->name, &file)
                                                   : ERR_not_found;
    if (!err && file.size == image->size) {
        image->data = arena_copy(r->arena, file.data, file.size);
        if (!image->data)
            err = ERR_nomem;
    } else if (!err) {
        err = refuse(r, REPLAY_OTHER_PROGRAM, "has another size now", image->name);
    } else if (err != ERR_nomem) {
        err = refuse(r, REPLAY_OTHER_PROGRAM,
                     "the trace does not hold this file, and it cannot be read",
                     image->name);
    }
    buf_fini(&file);
    return err;
}

static enum err check_image(struct reading *r, struct image *image, struct bytes *ret)
{
    TRY(read_image(r, image));
    struct hash256 hash = hash256_of(image->data, (size_t)image->size);
    if (!hash256_equal(&hash, &image->hash))
        return refuse(r, REPLAY_OTHER_PROGRAM, "is not the file that was recorded",
                      image->name);
    r->setup->embed = image->read != 0;
    *ret = bytes_of(image->data, (size_t)image->size);
    return ERR_ok;
}

enum err replay_pc_setup_read(struct arena *arena, struct trace_reader *reader,
                              struct replay_pc_setup *ret_setup,
                              struct trace_record *ret_next,
                              struct replay_refusal *ret_refusal)
{
    struct reading r = {.arena = arena, .setup = ret_setup, .refusal = ret_refusal};
    const struct replay_fs_more more = {&r, set_key, add_file};
    *ret_setup = (struct replay_pc_setup){0};
    emu_pc_config_init(&ret_setup->config);
    TRY(replay_fs_setup_read(arena, reader, &more, &ret_setup->fs, ret_next,
                             ret_refusal));
    ret_setup->config.epoch = ret_setup->fs.epoch_ns;
    ret_setup->has_fs = ret_setup->fs.export_count != 0;
    if (r.model != EMU_PC_MODEL)
        return replay_refuse(ret_refusal, REPLAY_OTHER_VERSION,
                             "made by machine model %" PRIu64
                             "; this lockstep has model %d",
                             r.model, EMU_PC_MODEL);
    if (!r.image_count)
        return refuse(&r, REPLAY_DAMAGED, "the trace names no kernel", "");
    TRY(check_image(&r, &r.image[0], &ret_setup->boot.kernel));
    ret_setup->kernel_name = r.image[0].name;
    if (r.image_count == 2) {
        TRY(check_image(&r, &r.image[1], &ret_setup->boot.initrd));
        ret_setup->initrd_name = r.image[1].name;
    }
    return ERR_ok;
}
