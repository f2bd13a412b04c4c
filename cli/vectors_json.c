/* SPDX-License-Identifier: MIT
 *
 * Reading conformance files: numbers are exact up to 2^64-1, and whatever is not as
 * described makes the file malformed.
 */
#include "cli/vectors.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool cli_vectors_bad(struct cli_vectors *v, const char *format, ...)
{
    if (v->error[0])
        return false;
    char text[128];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)snprintf(v->error, sizeof v->error, "%s%.60s%s%s", v->name ? "case " : "",
                   v->name ? v->name : "", v->name ? ": " : "", text);
    return false;
}

bool cli_vectors_has(struct json_object *object, const char *key)
{
    return json_object_object_get_ex(object, key, NULL);
}

/* The value under `key` if it has this type. */
static struct json_object *typed(struct cli_vectors *v, struct json_object *object,
                                 const char *key, json_type type)
{
    struct json_object *value = object;
    if (key && !json_object_object_get_ex(object, key, &value)) {
        cli_vectors_bad(v, "%s is missing", key);
        return NULL;
    }
    if (!value || !json_object_is_type(value, type)) {
        cli_vectors_bad(v, "%s is not %s", key ? key : "an item",
                        json_type_to_name(type));
        return NULL;
    }
    return value;
}

bool cli_vectors_u64(struct cli_vectors *v, struct json_object *object, const char *key,
                     uint64_t max, uint64_t *ret_value)
{
    struct json_object *number = typed(v, object, key, json_type_int);
    if (!number)
        return false;
    uint64_t value = json_object_get_uint64(number);
    /* A negative number reads as 0: tell it by its signed view. */
    if (json_object_get_int64(number) < 0 || value > max)
        return cli_vectors_bad(v, "%s is out of range", key ? key : "a number");
    *ret_value = value;
    return true;
}

bool cli_vectors_bool(struct cli_vectors *v, struct json_object *object,
                      const char *key, bool *ret_value)
{
    struct json_object *value = typed(v, object, key, json_type_boolean);
    if (!value)
        return false;
    *ret_value = json_object_get_boolean(value);
    return true;
}

bool cli_vectors_text(struct cli_vectors *v, struct json_object *object,
                      const char *key, const char **ret_text)
{
    struct json_object *value = typed(v, object, key, json_type_string);
    if (!value)
        return false;
    const char *text = json_object_get_string(value);
    if (strlen(text) != (size_t)json_object_get_string_len(value))
        return cli_vectors_bad(v, "%s holds a NUL", key ? key : "a text");
    *ret_text = text;
    return true;
}

bool cli_vectors_list(struct cli_vectors *v, struct json_object *object,
                      const char *key, struct json_object **ret_list, size_t *ret_count)
{
    struct json_object *list = typed(v, object, key, json_type_array);
    if (!list)
        return false;
    *ret_list = list;
    *ret_count = json_object_array_length(list);
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(struct cli_vectors *v, const char *key, const char *text,
                      uint8_t *bytes)
{
    for (size_t i = 0; text[i]; i += 2) {
        int high = hex_digit(text[i]);
        int low = text[i + 1] ? hex_digit(text[i + 1]) : -1;
        if (high < 0 || low < 0)
            return cli_vectors_bad(v, "%s is not hex", key);
        bytes[i / 2] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool cli_vectors_bytes(struct cli_vectors *v, struct json_object *object,
                       const char *key, struct bytes *ret_bytes)
{
    struct json_object *value = NULL;
    bool is_text = json_object_object_get_ex(object, key, &value) &&
                   json_object_is_type(value, json_type_string);
    const char *text = NULL;
    size_t size = 0;
    if (is_text ? !cli_vectors_text(v, object, key, &text)
                : !cli_vectors_list(v, object, key, &value, &size))
        return false;
    if (is_text)
        size = (strlen(text) + 1) / 2;
    uint8_t *bytes = arena_alloc(&v->arena, size ? size : 1, 1);
    if (!bytes)
        return cli_vectors_bad(v, "%s", err_text(ERR_nomem));
    if (is_text) {
        if (!parse_hex(v, key, text, bytes))
            return false;
    } else {
        for (size_t i = 0; i < size; i++) {
            uint64_t byte;
            if (!cli_vectors_u64(v, json_object_array_get_idx(value, i), NULL, 255,
                                 &byte))
                return false;
            bytes[i] = (uint8_t)byte;
        }
    }
    *ret_bytes = bytes_of(bytes, size);
    return true;
}

bool cli_vectors_regs(struct cli_vectors *v, struct json_object *object,
                      const char *key, uint64_t ret_reg[PVM_REG_COUNT])
{
    struct json_object *list;
    size_t count;
    uint64_t reg[PVM_REG_COUNT];
    if (!cli_vectors_list(v, object, key, &list, &count))
        return false;
    if (count != PVM_REG_COUNT)
        return cli_vectors_bad(v, "%s has %zu registers", key, count);
    for (size_t i = 0; i < count; i++)
        if (!cli_vectors_u64(v, json_object_array_get_idx(list, i), NULL, UINT64_MAX,
                             &reg[i]))
            return false;
    memcpy(ret_reg, reg, sizeof reg);
    return true;
}

bool cli_vectors_page_map(struct cli_vectors *v, struct json_object *object,
                          const char *key, struct vectors_map **ret_map,
                          size_t *ret_count)
{
    struct json_object *list;
    size_t count;
    if (!cli_vectors_list(v, object, key, &list, &count))
        return false;
    struct vectors_map *map =
        arena_new_array(&v->arena, struct vectors_map, count ? count : 1);
    if (!map)
        return cli_vectors_bad(v, "%s", err_text(ERR_nomem));
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        bool writable;
        if (!cli_vectors_u64(v, item, "address", UINT32_MAX, &map[i].address) ||
            !cli_vectors_u64(v, item, "length", (uint64_t)1 << 32, &map[i].size) ||
            !cli_vectors_bool(v, item, "is-writable", &writable))
            return false;
        map[i].access = writable ? PVM_ACCESS_RW : PVM_ACCESS_R;
    }
    *ret_map = map;
    *ret_count = count;
    return true;
}

/* ---- memory contents as pages ---------------------------------------------------- */

static int by_page(const void *a, const void *b)
{
    uint32_t x = ((const struct vectors_page *)a)->page;
    uint32_t y = ((const struct vectors_page *)b)->page;
    return x < y ? -1 : x > y;
}

/* One {address, contents} of the file. */
struct piece {
    uint64_t address;
    struct bytes bytes;
};

static bool read_pieces(struct cli_vectors *v, struct json_object *object,
                        const char *key, struct buf *pieces, struct buf *pages)
{
    struct json_object *list;
    size_t count;
    if (!cli_vectors_list(v, object, key, &list, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        struct piece piece;
        if (!cli_vectors_u64(v, item, "address", UINT32_MAX, &piece.address) ||
            !cli_vectors_bytes(v, item, "contents", &piece.bytes))
            return false;
        /* Two cases of the edge data name bytes behind the last address, where no
         * program can look: what does not exist is not placed. */
        uint64_t end = piece.address + piece.bytes.size;
        if (end > (uint64_t)1 << 32) {
            end = (uint64_t)1 << 32;
            piece.bytes.size = (size_t)(end - piece.address);
        }
        for (uint64_t at = piece.address & ~(uint64_t)0xfff; at < end; at += 4096) {
            struct vectors_page page = {.page = (uint32_t)(at >> 12)};
            buf_put(pages, &page, sizeof page);
        }
        buf_put(pieces, &piece, sizeof piece);
    }
    return !pieces->err && !pages->err ? true
                                       : cli_vectors_bad(v, "%s", err_text(ERR_limit));
}

/* Sort, drop duplicates, give each page its bytes. */
static bool make_pages(struct cli_vectors *v, struct buf *pages,
                       struct vectors_pages *ret_pages)
{
    struct vectors_page *all = (struct vectors_page *)(void *)pages->data;
    size_t all_count = pages->size / sizeof *all, count = 0;
    if (all_count)
        qsort(all, all_count, sizeof *all, by_page);
    struct vectors_page *item =
        arena_new_array(&v->arena, struct vectors_page, all_count ? all_count : 1);
    for (size_t i = 0; item && i < all_count; i++) {
        if (count && item[count - 1].page == all[i].page)
            continue;
        item[count] = all[i];
        item[count].bytes = arena_alloc(&v->arena, PVM_PAGE_SIZE, 1);
        if (!item[count++].bytes)
            item = NULL;
    }
    if (!item)
        return cli_vectors_bad(v, "%s", err_text(ERR_nomem));
    *ret_pages = (struct vectors_pages){.item = item, .count = count};
    return true;
}

static void fill_pages(struct vectors_pages *pages, const struct piece *piece)
{
    for (size_t done = 0; done < piece->bytes.size;) {
        uint64_t at = piece->address + done;
        struct vectors_page key = {.page = (uint32_t)(at >> 12)};
        struct vectors_page *page =
            bsearch(&key, pages->item, pages->count, sizeof key, by_page);
        check(page);
        size_t offset = (size_t)(at & 0xfff), size = PVM_PAGE_SIZE - offset;
        if (size > piece->bytes.size - done)
            size = piece->bytes.size - done;
        memcpy(page->bytes + offset, piece->bytes.data + done, size);
        done += size;
    }
}

bool cli_vectors_contents(struct cli_vectors *v, struct json_object *object,
                          const char *key, struct vectors_pages *ret_pages)
{
    struct buf pieces, pages;
    buf_init(&pieces, (size_t)1 << 28);
    buf_init(&pages, (size_t)1 << 28);
    bool ok = read_pieces(v, object, key, &pieces, &pages) &&
              make_pages(v, &pages, ret_pages);
    const struct piece *piece = (const struct piece *)(const void *)pieces.data;
    for (size_t i = 0; ok && i < pieces.size / sizeof *piece; i++)
        fill_pages(ret_pages, &piece[i]);
    buf_fini(&pieces);
    buf_fini(&pages);
    return ok;
}
