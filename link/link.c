/* SPDX-License-Identifier: MIT
 *
 * The passes in order.
 */
#include "link/internal.h"

#include <inttypes.h>
#include <string.h>

enum { STACK_SIZE_MAX = (1 << 24) - 1 /* E_3 */, LINK_SLOT_MAX = 255 };
#define OUTPUT_SIZE_MAX ((size_t)1 << 30)

static const char *const format_name[] = {
    [LINK_FORMAT_RAW] = "raw",
    [LINK_FORMAT_SPI] = "spi",
    [LINK_FORMAT_POLKAVM] = "polkavm",
    [LINK_FORMAT_IMAGE] = "image",
};

const char *link_format_name(enum link_format format)
{
    return format_name[format];
}

void link_options_init(struct link_options *options)
{
    *options = (struct link_options){.format = LINK_FORMAT_RAW,
                                     .profile = PVM_PROFILE_VECTORS,
                                     .stack_size = LINK_STACK_SIZE_DEFAULT,
                                     .heap_size = LINK_HEAP_SIZE_DEFAULT,
                                     .ro_slot = 1,
                                     .rw_slot = 2,
                                     .yield_slot = -1};
}

static enum err check_options(struct link *link)
{
    const struct link_options *options = link->options;
    enum err err = ERR_usage;
    if (options->format == LINK_FORMAT_IMAGE &&
        (options->ro_slot == options->rw_slot || options->ro_slot > LINK_SLOT_MAX ||
         options->rw_slot > LINK_SLOT_MAX || options->yield_slot > LINK_SLOT_MAX)) {
        link_problem(
            link, err, NULL, NULL, 0,
            "-f image: slots are 0 to %d, and read-only and writable data need "
            "one each",
            LINK_SLOT_MAX);
    } else if (options->profile == PVM_PROFILE_JAVM &&
               options->format != LINK_FORMAT_RAW &&
               options->format != LINK_FORMAT_IMAGE) {
        link_problem(link, err, NULL, NULL, 0,
                     "--profile=javm goes with -f raw only; %s is a VECTORS program",
                     link_format_name(options->format));
    } else if (options->json && options->format != LINK_FORMAT_RAW) {
        link_problem(link, err, NULL, NULL, 0,
                     "--json goes with -f raw only; %s has its own memory",
                     link_format_name(options->format));
    } else if (options->stack_size > STACK_SIZE_MAX) {
        link_problem(link, err, NULL, NULL, 0, "--stack %" PRIu64 ": the limit is %d",
                     options->stack_size, STACK_SIZE_MAX);
    } else {
        return ERR_ok;
    }
    return err;
}

static enum err read_inputs(struct link *link, const struct link_input *input,
                            size_t input_count)
{
    if (input_count > UINT16_MAX) {
        link_problem(link, ERR_link_limit, NULL, NULL, 0,
                     "%zu objects; the limit is %d", input_count, UINT16_MAX);
        return ERR_ok;
    }
    link->object =
        arena_new_array(link->arena, struct link_object, input_count ? input_count : 1);
    if (!link->object)
        return ERR_nomem;
    for (size_t i = 0; i < input_count && !link_problems_full(link); i++) {
        struct link_object *object = &link->object[i];
        object->name = input[i].name;
        object->content = input[i].content;
        object->index = (uint32_t)i;
        TRY(link_read(link, object));
        link->object_count++;
    }
    return ERR_ok;
}

/* The passes up to the program; stops behind one that found problems. */
static enum err run_passes(struct link *link)
{
    static enum err (*const pass[])(struct link * link) = {
        link_resolve, link_collect_exports, link_mark, link_scan, link_collect_slots,
        link_place,   link_lower,           link_emit, link_data,
    };
    for (size_t i = 0; i < countof(pass) && !link->problems->count; i++)
        TRY(pass[i](link));
    return ERR_ok;
}

/* Move what was written into the arena. */
static enum err keep(struct link *link, struct buf *buf, struct bytes *ret_bytes)
{
    if (buf->err)
        return buf->err;
    const uint8_t *copy = arena_copy(link->arena, buf->data, buf->size);
    if (!copy)
        return ERR_nomem;
    *ret_bytes = bytes_of(copy, buf->size);
    buf_clear(buf);
    return ERR_ok;
}

static enum err write_all(struct link *link, struct buf *buf,
                          struct link_result *result)
{
    TRY(link_write(link, buf));
    if (link->problems->count)
        return ERR_ok;
    TRY(keep(link, buf, &result->output));
    if (link->options->map) {
        TRY(link_write_map(link, buf));
        TRY(keep(link, buf, &result->map));
    }
    if (link->options->json) {
        link_write_json(link, buf);
        TRY(keep(link, buf, &result->json));
    }
    if (link->options->debug) {
        TRY(link_write_debug(link, buf));
        TRY(keep(link, buf, &result->debug));
    }
    struct link_entry *entry =
        arena_new_array(link->arena, struct link_entry, link->root_count);
    if (!entry)
        return ERR_nomem;
    for (uint32_t i = 0; i < link->root_count; i++)
        entry[i] = (struct link_entry){.name = link->root[i].name,
                                       .number = link->root[i].number,
                                       .pc = 5 * link->root[i].number};
    result->entry_list = entry;
    result->entry_count = link->root_count;
    result->code = link->program;
    return ERR_ok;
}

static enum err run(struct link *link, const struct link_input *input,
                    size_t input_count, struct buf *buf, struct link_result *result)
{
    TRY(check_options(link));
    TRY(read_inputs(link, input, input_count));
    TRY(run_passes(link));
    return link->problems->count ? ERR_ok : write_all(link, buf, result);
}

enum err link_objects(struct arena *arena, const struct link_input *input,
                      size_t input_count, const struct link_options *options,
                      struct link_problems *problems, struct link_result *ret_result)
{
    struct link_result result = {0};
    struct buf buf;
    struct link *link = arena_new(arena, struct link);
    *problems = (struct link_problems){0};
    if (!link)
        return ERR_nomem;
    link->arena = arena;
    struct link_options own = *options;
    if (own.format == LINK_FORMAT_IMAGE)
        own.profile = PVM_PROFILE_JAVM;
    link->options = &own;
    link->problems = problems;
    buf_init(&link->text, 4096);
    buf_init(&buf, OUTPUT_SIZE_MAX);
    enum err err = run(link, input, input_count, &buf, &result);
    buf_fini(&buf);
    buf_fini(&link->text);
    if (err == ERR_ok && problems->count)
        err = problems->list[0].err;
    if (err == ERR_ok)
        *ret_result = result;
    return err;
}
