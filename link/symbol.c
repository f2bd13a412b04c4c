/* SPDX-License-Identifier: MIT
 *
 * What symbols of several objects mean together: COMDAT groups, strong, common and
 * weak definitions (guest-toolchain.md 4.1).  Sorted lists instead of a hash table:
 * nothing depends on an order of hashes, and hostile names collide with nothing.
 */
#include "link/elf.h"

#include <string.h>

struct group {
    const char *name;
    const struct link_section *section;
};

static int by_group_name(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    return x->name == y->name ? 0 : strcmp(x->name, y->name);
}

/* Is this a COMDAT group?  Reports what is malformed. */
static bool read_group(struct link *link, const struct link_section *section,
                       struct group *ret_group)
{
    struct link_object *object = section->object;
    if (section->type != ELF_SHT_GROUP)
        return false;
    if (section->size < 4 || section->size % 4 || section->info >= object->symbol_count)
        return link_elf_bad(link, object, "section group");
    for (uint64_t at = 4; at < section->size; at += 4) {
        if (link_get(section->content.data + at, 4) >= object->section_count)
            return link_elf_bad(link, object, "member of a section group");
    }
    if (!(link_get(section->content.data, 4) & ELF_GROUP_COMDAT))
        return false;
    const struct link_symbol *symbol = &object->symbol[section->info];
    bool named = symbol->name[0] || symbol->place != LINK_PLACE_SECTION;
    *ret_group = (struct group){.name = named ? symbol->name : symbol->section->name,
                                .section = section};
    return true;
}

static void discard_group(const struct link_section *group)
{
    for (uint64_t at = 4; at < group->size; at += 4) {
        uint32_t index = (uint32_t)link_get(group->content.data + at, 4);
        group->object->section[index].discarded = true;
    }
}

/* Of each COMDAT group the first copy stays. */
static enum err resolve_groups(struct link *link)
{
    struct group group = {0}, *list;
    size_t count = 0;
    for (uint32_t i = 0; i < link->object_count; i++) {
        const struct link_object *object = &link->object[i];
        for (uint32_t s = 1; s < object->section_count; s++)
            count += object->section[s].type == ELF_SHT_GROUP;
    }
    if (!count)
        return ERR_ok;
    list = arena_new_array(link->arena, struct group, count);
    if (!list)
        return ERR_nomem;
    count = 0;
    for (uint32_t i = 0; i < link->object_count; i++) {
        const struct link_object *object = &link->object[i];
        for (uint32_t s = 1; s < object->section_count; s++) {
            if (read_group(link, &object->section[s], &group))
                list[count++] = group;
        }
    }
    /* The sort is stable, so the first of a name is the first of the input. */
    TRY(link_sort(link->arena, list, count, sizeof *list, by_group_name));
    for (size_t i = 1; i < count; i++) {
        if (by_group_name(&list[i - 1], &list[i]) == 0)
            discard_group(list[i].section);
    }
    return ERR_ok;
}

static int by_name(const void *a, const void *b)
{
    const struct link_symbol *x = *(struct link_symbol *const *)a;
    const struct link_symbol *y = *(struct link_symbol *const *)b;
    return x->name == y->name ? 0 : strcmp(x->name, y->name);
}

static bool is_global(const struct link_symbol *symbol)
{
    return symbol->bind != LINK_BIND_LOCAL && symbol->name[0];
}

static enum err collect_globals(struct link *link)
{
    size_t count = 0;
    for (uint32_t i = 0; i < link->object_count; i++) {
        for (uint32_t s = 0; s < link->object[i].symbol_count; s++)
            count += is_global(&link->object[i].symbol[s]);
    }
    link->global =
        arena_new_array(link->arena, struct link_symbol *, count ? count : 1);
    if (!link->global)
        return ERR_nomem;
    for (uint32_t i = 0; i < link->object_count; i++) {
        for (uint32_t s = 0; s < link->object[i].symbol_count; s++) {
            struct link_symbol *symbol = &link->object[i].symbol[s];
            if (is_global(symbol))
                link->global[link->global_count++] = symbol;
        }
    }
    return link_sort(link->arena, link->global, count, sizeof *link->global, by_name);
}

static bool defines(const struct link_symbol *symbol)
{
    return symbol->place != LINK_PLACE_UNDEFINED &&
           !(symbol->place == LINK_PLACE_SECTION && symbol->section->discarded);
}

/* 0: defines nothing, 1 weak, 2 common, 3 strong. */
static unsigned strength(const struct link_symbol *symbol)
{
    if (!defines(symbol))
        return 0;
    if (symbol->place == LINK_PLACE_COMMON)
        return 2;
    return symbol->bind == LINK_BIND_WEAK ? 1 : 3;
}

/* The symbols [0, count) of `run` have one name: choose what it means. */
static void resolve_name(struct link *link, struct link_symbol **run, size_t count)
{
    struct link_symbol *chosen = NULL;
    for (size_t i = 0; i < count; i++) {
        unsigned strong = strength(run[i]);
        if (strong == 3 && chosen && strength(chosen) == 3)
            link_problem(link, ERR_link_symbol, run[i]->object, NULL, 0,
                         "symbol %.200s is defined twice, first in %.200s; "
                         "make one static or rename it",
                         run[i]->name, chosen->object->name);
        if (strong && (!chosen || strong > strength(chosen)))
            chosen = run[i];
    }
    for (size_t i = 0; !chosen && i < LINK_OWN_COUNT; i++) {
        if (strcmp(run[0]->name, link->own[i].name) == 0)
            chosen = &link->own[i];
    }
    for (size_t i = 0; i < count; i++) {
        run[i]->definition = chosen;
        if (run[i]->place != LINK_PLACE_COMMON || run[i] == chosen ||
            chosen->place != LINK_PLACE_COMMON)
            continue;
        if (chosen->size < run[i]->size)
            chosen->size = run[i]->size;
        if (chosen->value < run[i]->value)
            chosen->value = run[i]->value;
    }
}

static enum err collect_commons(struct link *link)
{
    size_t count = 0;
    for (uint32_t i = 0; i < link->global_count; i++) {
        const struct link_symbol *symbol = link->global[i];
        count += symbol->place == LINK_PLACE_COMMON && symbol->definition == symbol;
    }
    link->common =
        arena_new_array(link->arena, struct link_symbol *, count ? count : 1);
    if (!link->common)
        return ERR_nomem;
    for (uint32_t i = 0; i < link->object_count; i++) {
        for (uint32_t s = 0; s < link->object[i].symbol_count; s++) {
            struct link_symbol *symbol = &link->object[i].symbol[s];
            if (symbol->place == LINK_PLACE_COMMON && symbol->definition == symbol)
                link->common[link->common_count++] = symbol;
        }
    }
    return ERR_ok;
}

static void name_own(struct link *link)
{
    static const char *const name[LINK_OWN_COUNT] = {
        [LINK_OWN_HEAP_START] = "__pvm_heap_start",
        [LINK_OWN_HEAP_END] = "__pvm_heap_end",
        [LINK_OWN_STACK_LOW] = "__pvm_stack_low",
        [LINK_OWN_STACK_HIGH] = "__pvm_stack_high",
    };
    for (unsigned i = 0; i < LINK_OWN_COUNT; i++)
        link->own[i] = (struct link_symbol){.name = name[i],
                                            .definition = &link->own[i],
                                            .place = LINK_PLACE_ABSOLUTE,
                                            .bind = LINK_BIND_GLOBAL};
}

enum err link_resolve(struct link *link)
{
    name_own(link);
    TRY(resolve_groups(link));
    TRY(collect_globals(link));
    for (uint32_t first = 0, end = 0; first < link->global_count; first = end) {
        end = first + 1;
        while (end < link->global_count &&
               by_name(&link->global[first], &link->global[end]) == 0)
            end++;
        resolve_name(link, link->global + first, end - first);
    }
    return collect_commons(link);
}

struct link_symbol *link_definition(struct link_symbol *symbol)
{
    if (!symbol->object || is_global(symbol))
        return symbol->definition;
    return defines(symbol) ? symbol : NULL;
}

struct link_section *link_section_of(struct link_symbol *symbol)
{
    const struct link_symbol *definition = link_definition(symbol);
    return definition && definition->place == LINK_PLACE_SECTION ? definition->section
                                                                 : NULL;
}

struct link_symbol *link_find(struct link *link, const char *name)
{
    uint32_t low = 0, high = link->global_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(link->global[middle]->name, name);
        if (order == 0)
            return link->global[middle]->definition;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
