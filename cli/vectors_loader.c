/* SPDX-License-Identifier: MIT
 *
 * The `loader` part of an edge file: numbers and containers (pvm-exec.md chapter 6).
 */
#include "cli/vectors.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "pvm_limit", "ok". */
static void compare_err(struct cli_vectors *v, const char *expected, enum err err)
{
    if (strcmp(expected, err_name(err)) != 0)
        cli_vectors_differ(v, "expect", expected, err_name(err));
}

static void put_hex(struct buf *text, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        buf_printf(text, "%02x", bytes.data[i]);
}

static void compare_bytes(struct cli_vectors *v, const char *field,
                          struct bytes expected, struct bytes actual)
{
    if (expected.size == actual.size &&
        (!expected.size || !memcmp(expected.data, actual.data, expected.size)))
        return;
    struct buf want, got;
    buf_init(&want, (size_t)1 << 26);
    buf_init(&got, (size_t)1 << 26);
    put_hex(&want, expected);
    put_hex(&got, actual);
    cli_vectors_differ(v, field, buf_string(&want), buf_string(&got));
    buf_fini(&want);
    buf_fini(&got);
}

static bool run_varint(struct cli_vectors *v, struct json_object *object,
                       struct bytes input, const char *expect)
{
    uint64_t expected = 0, actual = 0;
    bool ok = !strcmp(expect, "ok");
    if (ok && !cli_vectors_u64(v, object, "value", UINT64_MAX, &expected))
        return false;
    struct bytes rest = input;
    enum err err = pvm_varint_get(&rest, &actual);
    if (!err && rest.size)
        err = ERR_pvm_trailing;
    compare_err(v, expect, err);
    if (err || !ok)
        return true;
    cli_vectors_compare(v, "value", expected, actual, false);
    struct buf back;
    buf_init(&back, 16);
    pvm_varint_put(&back, actual);
    compare_bytes(v, "written back", input, buf_bytes(&back));
    buf_fini(&back);
    return true;
}

static bool compare_bitmask(struct cli_vectors *v, struct json_object *object,
                            const struct pvm_code *code)
{
    const char *expected;
    if (!cli_vectors_text(v, object, "bitmask", &expected))
        return false;
    struct buf actual;
    buf_init(&actual, PVM_CODE_SIZE_MAX);
    for (uint32_t pc = 0; pc < code->code.size; pc++)
        buf_byte(&actual, pvm_code_marked(code, pc) ? '1' : '0');
    if (strcmp(expected, buf_string(&actual)) != 0)
        cli_vectors_differ(v, "bitmask", expected, buf_string(&actual));
    buf_fini(&actual);
    return true;
}

static bool compare_jumps(struct cli_vectors *v, struct json_object *object,
                          const struct pvm_code *code)
{
    struct json_object *list;
    size_t count;
    if (!cli_vectors_list(v, object, "jump-table", &list, &count))
        return false;
    cli_vectors_compare(v, "jump-table entries", count, code->jump_count, false);
    for (uint32_t i = 0; i < count && i < code->jump_count; i++) {
        char field[40];
        uint64_t expected;
        if (!cli_vectors_u64(v, json_object_array_get_idx(list, i), NULL, UINT64_MAX,
                             &expected))
            return false;
        (void)snprintf(field, sizeof field, "jump-table[%u]", i);
        cli_vectors_compare(v, field, expected, pvm_code_jump(code, i), false);
    }
    return true;
}

bool cli_vectors_compare_code(struct cli_vectors *v, struct json_object *object,
                              const struct pvm_code *code, struct bytes raw)
{
    struct bytes expected;
    if (cli_vectors_has(object, "code")) {
        if (!cli_vectors_bytes(v, object, "code", &expected))
            return false;
        compare_bytes(v, "code", expected, code->code);
    }
    if (cli_vectors_has(object, "bitmask") && !compare_bitmask(v, object, code))
        return false;
    if (cli_vectors_has(object, "jump-table") && !compare_jumps(v, object, code))
        return false;
    struct buf back; /* the writer is the reader's inverse */
    buf_init(&back, (size_t)1 << 26);
    pvm_code_put(code, &back);
    compare_bytes(v, "written back", raw, buf_bytes(&back));
    buf_fini(&back);
    return true;
}

static bool compare_regs(struct cli_vectors *v, struct json_object *object,
                         const struct pvm_container *container)
{
    uint64_t expected[PVM_REG_COUNT];
    if (!cli_vectors_has(object, "regs"))
        return true;
    if (!cli_vectors_regs(v, object, "regs", expected))
        return false;
    for (unsigned i = 0; i < PVM_REG_COUNT; i++) {
        char field[16];
        (void)snprintf(field, sizeof field, "regs[%u]", i);
        cli_vectors_compare(v, field, expected[i], container->reg[i], true);
    }
    return true;
}

static bool compare_names(struct cli_vectors *v, struct json_object *object,
                          const struct pvm_container *container)
{
    struct json_object *list;
    size_t count;
    if (cli_vectors_has(object, "imports")) {
        if (!cli_vectors_list(v, object, "imports", &list, &count))
            return false;
        cli_vectors_compare(v, "imports", count, container->import_count, false);
        for (size_t i = 0; i < count && i < container->import_count; i++) {
            const char *name;
            if (!cli_vectors_text(v, json_object_array_get_idx(list, i), NULL, &name))
                return false;
            compare_bytes(v, "import", bytes_of(name, strlen(name)),
                          container->import_list[i]);
        }
    }
    if (!cli_vectors_has(object, "exports"))
        return true;
    if (!cli_vectors_list(v, object, "exports", &list, &count))
        return false;
    cli_vectors_compare(v, "exports", count, container->export_count, false);
    for (size_t i = 0; i < count && i < container->export_count; i++) {
        struct json_object *pair;
        size_t pair_count;
        const char *name;
        uint64_t pc;
        if (!cli_vectors_list(v, json_object_array_get_idx(list, i), NULL, &pair,
                              &pair_count))
            return false;
        if (!cli_vectors_u64(v, json_object_array_get_idx(pair, 0), NULL, UINT32_MAX,
                             &pc) ||
            !cli_vectors_text(v, json_object_array_get_idx(pair, 1), NULL, &name))
            return false;
        const struct pvm_export *export = &container->export_list[i];
        cli_vectors_compare(v, "export pc", pc, export->pc, false);
        compare_bytes(v, "export name", bytes_of(name, strlen(name)), export->name);
    }
    return true;
}

static bool compare_page_map(struct cli_vectors *v, struct json_object *object,
                             const struct pvm_container *container)
{
    struct vectors_map *map;
    size_t count;
    if (!cli_vectors_has(object, "page-map"))
        return true;
    if (!cli_vectors_page_map(v, object, "page-map", &map, &count))
        return false;
    cli_vectors_compare(v, "page-map entries", count, container->region_count, false);
    for (size_t i = 0; i < count && i < container->region_count; i++) {
        const struct pvm_region *region = &container->region[i];
        cli_vectors_compare(v, "page-map address", map[i].address, region->start, true);
        cli_vectors_compare(v, "page-map length", map[i].size, region->size, true);
        cli_vectors_compare(v, "page-map access", map[i].access, region->access, false);
    }
    return true;
}

/* The page as the container fills it; NULL where nothing is mapped. */
static const uint8_t *region_page(const struct pvm_container *container, uint32_t page,
                                  uint8_t bytes[PVM_PAGE_SIZE])
{
    uint64_t at = (uint64_t)page << 12;
    for (uint32_t i = 0; i < container->region_count; i++) {
        const struct pvm_region *region = &container->region[i];
        if (at < region->start || at >= region->start + region->size)
            continue;
        uint64_t offset = at - region->start;
        memset(bytes, 0, PVM_PAGE_SIZE);
        if (offset < region->data.size) {
            uint64_t size = region->data.size - offset;
            memcpy(bytes, region->data.data + offset,
                   size < PVM_PAGE_SIZE ? (size_t)size : PVM_PAGE_SIZE);
        }
        return bytes;
    }
    return NULL;
}

static const uint8_t *expected_page(const struct vectors_pages *pages, uint32_t page)
{
    static const uint8_t zero[PVM_PAGE_SIZE];
    for (size_t i = 0; i < pages->count; i++)
        if (pages->item[i].page == page)
            return pages->item[i].bytes;
    return zero;
}

static bool compare_memory(struct cli_vectors *v, struct json_object *object,
                           const struct pvm_container *container)
{
    uint8_t bytes[PVM_PAGE_SIZE];
    struct vectors_pages pages;
    if (!cli_vectors_has(object, "memory"))
        return true;
    if (!cli_vectors_contents(v, object, "memory", &pages))
        return false;
    for (size_t i = 0; i < pages.count; i++)
        cli_vectors_compare_page(v, pages.item[i].page, pages.item[i].bytes,
                                 region_page(container, pages.item[i].page, bytes));
    for (uint32_t i = 0; i < container->region_count; i++) {
        const struct pvm_region *region = &container->region[i];
        for (uint64_t at = 0; at < region->data.size; at += PVM_PAGE_SIZE) {
            uint32_t page = (uint32_t)((region->start + at) >> 12);
            cli_vectors_compare_page(v, page, expected_page(&pages, page),
                                     region_page(container, page, bytes));
        }
    }
    return true;
}

static bool read_profile(struct cli_vectors *v, struct json_object *object,
                         enum pvm_profile *ret_profile)
{
    const char *name;
    *ret_profile = PVM_PROFILE_JAVM;
    if (!cli_vectors_has(object, "profile"))
        return true;
    if (!cli_vectors_text(v, object, "profile", &name))
        return false;
    for (unsigned i = 0; i <= PVM_PROFILE_JAVM; i++) {
        *ret_profile = (enum pvm_profile)i;
        if (!strcmp(name, pvm_profile_name(*ret_profile)))
            return true;
    }
    return cli_vectors_bad(v, "profile is unknown");
}

static bool run_container(struct cli_vectors *v, struct json_object *object,
                          enum pvm_container_kind kind, struct bytes file,
                          const char *expect)
{
    struct bytes args = {0};
    enum pvm_profile profile;
    struct pvm_container container;
    if (cli_vectors_has(object, "args") && !cli_vectors_bytes(v, object, "args", &args))
        return false;
    if (!read_profile(v, object, &profile))
        return false;
    enum err err = pvm_container_load(&v->arena, kind, profile, file, args, &container);
    compare_err(v, expect, err);
    if (err || strcmp(expect, "ok") != 0)
        return true;
    return cli_vectors_compare_code(v, object, &container.code, container.raw) &&
           compare_regs(v, object, &container) &&
           compare_names(v, object, &container) &&
           compare_page_map(v, object, &container) &&
           compare_memory(v, object, &container);
}

bool cli_vectors_run_loader(struct cli_vectors *v, struct json_object *object)
{
    const char *kind, *expect;
    struct bytes input;
    if (!cli_vectors_text(v, object, "kind", &kind) ||
        !cli_vectors_text(v, object, "expect", &expect) ||
        !cli_vectors_bytes(v, object, "hex", &input))
        return false;
    if (strcmp(expect, "ok") != 0 && err_from_name(expect) == ERR_COUNT)
        return cli_vectors_bad(v, "expect is no error of ours");
    if (!strcmp(kind, "varint"))
        return run_varint(v, object, input, expect);
    for (unsigned i = 0; i <= PVM_CONTAINER_POLKAVM; i++)
        if (!strcmp(kind, pvm_container_kind_name((enum pvm_container_kind)i)))
            return run_container(v, object, (enum pvm_container_kind)i, input, expect);
    return cli_vectors_bad(v, "kind is unknown");
}
