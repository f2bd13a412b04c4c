/* SPDX-License-Identifier: MIT */
#include "replay/pages.h"

#include <stdlib.h>
#include <string.h>

struct page {
    uint32_t count; /* of the groups that hold it */
    uint8_t bytes[PAGES_SIZE];
};

struct pages_group {
    uint32_t count; /* of the images that hold it */
    struct page *page[PAGES_GROUP];
    uint8_t flags[PAGES_GROUP];
};

static void page_drop(struct page *page, uint64_t *memory)
{
    if (!page || --page->count)
        return;
    free(page);
    *memory -= sizeof *page;
}

static struct page *page_hold(struct page *page)
{
    if (page)
        page->count++;
    return page;
}

static void group_drop(struct pages_group *group, uint64_t *memory)
{
    if (!group || --group->count)
        return;
    for (unsigned i = 0; i < PAGES_GROUP; i++)
        page_drop(group->page[i], memory);
    free(group);
    *memory -= sizeof *group;
}

const uint8_t *replay_pages_get(const struct pages_image *image, uint32_t page,
                                uint8_t *ret_flags)
{
    const struct pages_group *group = image->group[page / PAGES_GROUP];
    const struct page *found = group ? group->page[page % PAGES_GROUP] : NULL;
    *ret_flags = group ? group->flags[page % PAGES_GROUP] : 0;
    return found ? found->bytes : NULL;
}

/* A group of the image's own. */
static struct pages_group *group_own(struct pages_image *image, unsigned g,
                                     uint64_t *memory)
{
    struct pages_group *group = image->group[g];
    if (group && group->count == 1)
        return group;
    struct pages_group *own = malloc(sizeof *own);
    if (!own)
        return NULL;
    *memory += sizeof *own;
    if (group) {
        *own = *group;
        for (unsigned i = 0; i < PAGES_GROUP; i++)
            (void)page_hold(own->page[i]);
        group_drop(group, memory);
    } else {
        *own = (struct pages_group){0};
    }
    own->count = 1;
    image->group[g] = own;
    return own;
}

static bool is_zero(const uint8_t *bytes)
{
    return !bytes[0] && memcmp(bytes, bytes + 1, PAGES_SIZE - 1) == 0;
}

static bool is_equal(const struct page *page, const uint8_t *bytes)
{
    return page ? bytes && memcmp(page->bytes, bytes, PAGES_SIZE) == 0 : !bytes;
}

enum err replay_pages_set(struct pages_image *image, uint32_t page,
                          const uint8_t *bytes, uint8_t flags, uint64_t *memory)
{
    unsigned g = page / PAGES_GROUP, index = page % PAGES_GROUP;
    const struct pages_group *old = image->group[g];
    if (bytes && is_zero(bytes))
        bytes = NULL;
    bool equal = is_equal(old ? old->page[index] : NULL, bytes);
    if (equal && (old ? old->flags[index] : 0) == flags)
        return ERR_ok;
    struct page *fresh = NULL;
    if (!equal && bytes) {
        fresh = malloc(sizeof *fresh);
        if (!fresh)
            return ERR_nomem;
    }
    struct pages_group *group = group_own(image, g, memory);
    if (!group) {
        free(fresh);
        return ERR_nomem;
    }
    group->flags[index] = flags;
    if (equal)
        return ERR_ok;
    page_drop(group->page[index], memory);
    group->page[index] = fresh;
    if (fresh) {
        fresh->count = 1;
        memcpy(fresh->bytes, bytes, PAGES_SIZE);
        *memory += sizeof *fresh;
    }
    return ERR_ok;
}

void replay_pages_copy(struct pages_image *to, const struct pages_image *from)
{
    *to = *from;
    for (unsigned g = 0; g < PAGES_GROUP_COUNT; g++) {
        if (to->group[g])
            to->group[g]->count++;
    }
}

void replay_pages_fini(struct pages_image *image, uint64_t *memory)
{
    for (unsigned g = 0; g < PAGES_GROUP_COUNT; g++) {
        group_drop(image->group[g], memory);
        image->group[g] = NULL;
    }
}

void replay_pages_diff(const struct pages_image *from, const struct pages_image *to,
                       void (*change)(void *self, uint32_t page, const uint8_t *bytes,
                                      uint8_t flags),
                       void *self)
{
    static const struct pages_group empty;
    for (unsigned g = 0; g < PAGES_GROUP_COUNT; g++) {
        const struct pages_group *a = from->group[g], *b = to->group[g];
        if (a == b)
            continue;
        a = a ? a : &empty;
        b = b ? b : &empty;
        for (unsigned i = 0; i < PAGES_GROUP; i++) {
            if (a->page[i] != b->page[i] || a->flags[i] != b->flags[i])
                change(self, g * PAGES_GROUP + i, b->page[i] ? b->page[i]->bytes : NULL,
                       b->flags[i]);
        }
    }
}
