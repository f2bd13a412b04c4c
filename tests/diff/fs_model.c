/* SPDX-License-Identifier: MIT */
#include "tests/diff/fs_model.h"

#include <stdlib.h>
#include <string.h>

struct name {
    char text[256];
    size_t size;
    struct node *node;
    uint64_t number;
};

struct node {
    uint64_t id;
    uint32_t mode, uid, gid;
    struct v86fs_time atime, mtime, ctime;
    int links, opens;
    /* directories */
    struct node *parent;
    struct name names[MODEL_NODES];
    int name_count;
    uint64_t counter;
    /* files and links */
    uint8_t data[MODEL_FILE_SIZE];
    uint64_t size;
    bool page[MODEL_PAGES];
};

struct model {
    struct node *live[MODEL_NODES];
    int live_count;
    uint64_t next_id;
    struct {
        uint64_t number;
        struct node *node;
    } handle[MODEL_HANDLES];
    int handle_count;
    uint64_t last_handle;
};

static struct node *node_add(struct model *model, uint32_t mode, struct node *parent,
                             struct v86fs_time now)
{
    struct node *node = calloc(1, sizeof *node);
    if (!node)
        abort();
    node->id = model->next_id++;
    node->mode = mode;
    node->parent = parent;
    node->atime = node->mtime = node->ctime = now;
    model->live[model->live_count++] = node;
    return node;
}

struct model *model_create(void)
{
    struct model *model = calloc(1, sizeof *model);
    if (!model)
        abort();
    model->next_id = 1;
    model->last_handle = (uint64_t)1 << 32;
    node_add(model, 040755, NULL, (struct v86fs_time){0})->links = 1;
    model->next_id = 100;
    return model;
}

void model_free(struct model *model)
{
    for (int i = 0; i < model->live_count; i++)
        free(model->live[i]);
    free(model);
}

uint64_t model_some_node(const struct model *model, uint64_t index)
{
    return model->live[index % (uint64_t)model->live_count]->id;
}

uint64_t model_last_handle(const struct model *model)
{
    return model->last_handle;
}

uint64_t model_next_id(const struct model *model)
{
    return model->next_id;
}

static struct node *node_find(const struct model *model, uint64_t id)
{
    for (int i = 0; i < model->live_count; i++) {
        if (model->live[i]->id == id)
            return model->live[i];
    }
    return NULL;
}

static bool is_type(const struct node *node, uint32_t type)
{
    return (node->mode & 0170000) == type;
}

static bool is_dir(const struct node *node)
{
    return is_type(node, 0040000);
}

static uint64_t round_64(uint64_t size)
{
    return (size + 63) / 64 * 64;
}

static uint64_t used(const struct model *model)
{
    uint64_t sum = 0;
    for (int i = 0; i < model->live_count; i++) {
        const struct node *node = model->live[i];
        for (int j = 0; j < node->name_count; j++)
            sum += round_64(node->names[j].size);
        for (int j = 0; j < MODEL_PAGES; j++)
            sum += node->page[j] ? 4096 : 0;
        if (is_type(node, 0120000))
            sum += round_64(node->size);
    }
    return sum;
}

static void node_drop(struct model *model, struct node *node)
{
    if (node->links || (node->opens && !is_dir(node)))
        return;
    for (int i = 0; i < model->live_count; i++) {
        if (model->live[i] == node) {
            /* The order of the list is the generator's business only. */
            model->live[i] = model->live[--model->live_count];
            break;
        }
    }
    for (int i = 0; i < model->handle_count; i++) {
        if (model->handle[i].node == node)
            model->handle[i].node = NULL;
    }
    free(node);
}

static struct name *name_find(struct node *dir, struct bytes name)
{
    for (int i = 0; i < dir->name_count; i++) {
        if (dir->names[i].size == name.size &&
            memcmp(dir->names[i].text, name.data, name.size) == 0)
            return &dir->names[i];
    }
    return NULL;
}

static void name_add(struct node *dir, struct bytes text, struct node *node)
{
    struct name *name = &dir->names[dir->name_count++];
    memcpy(name->text, text.data, text.size);
    name->size = text.size;
    name->node = node;
    name->number = ++dir->counter;
    node->links++;
    if (is_dir(node))
        node->parent = dir;
}

static void name_remove(struct node *dir, struct name *name)
{
    int at = (int)(name - dir->names);
    name->node->links--;
    dir->name_count--;
    memmove(name, name + 1, (size_t)(dir->name_count - at) * sizeof *name);
}

/* ---- strings ---- */

static uint32_t bad_name(struct bytes name, uint32_t empty, uint32_t dots)
{
    if (name.size == 0)
        return empty;
    if (name.size > 255)
        return 36;
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '/' || name.data[i] == 0)
            return 22;
    }
    if (name.size == 1 && name.data[0] == '.')
        return dots;
    return name.size == 2 && name.data[0] == '.' && name.data[1] == '.' ? dots : 0;
}

static uint32_t bad_strings(uint8_t type, const struct v86fs_ask *ask)
{
    uint32_t status = 0;
    if (type == 0x01)
        status = bad_name(ask->name, 2, 2);
    if (type == 0x07 || type == 0x09 || type == 0x0e)
        status = bad_name(ask->name, 22, 17);
    if (type == 0x0c || type == 0x0d)
        status = bad_name(ask->name, 2, 22);
    if (type == 0x0d && !status)
        status = bad_name(ask->new_name, 22, 22);
    if (type == 0x0e && !status) {
        if (ask->target.size == 0)
            status = 2;
        else if (ask->target.size > 4095)
            status = 36;
        else if (memchr(ask->target.data, 0, ask->target.size))
            status = 22;
    }
    return status;
}

/* ---- a reply in the making ---- */

struct reply {
    uint8_t *at;
    size_t size, capacity;
};

static void put(struct reply *reply, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        reply->at[reply->size++] = (uint8_t)(value >> 8 * i);
}

struct turn {
    struct model *model;
    uint32_t features;
    struct v86fs_time now;
    const struct v86fs_ask *ask;
    struct node *node;
    struct reply reply;
};

static uint32_t do_lookup(struct turn *turn)
{
    const struct name *name = name_find(turn->node, turn->ask->name);
    if (!name)
        return 2;
    put(&turn->reply, 8, name->node->id);
    put(&turn->reply, 4, name->node->mode);
    put(&turn->reply, 8, is_dir(name->node) ? 0 : name->node->size);
    return 0;
}

static void put_time(struct reply *reply, struct v86fs_time time)
{
    put(reply, 8, (uint64_t)time.s);
    put(reply, 4, time.ns);
}

static uint32_t do_getattr(struct turn *turn)
{
    const struct node *node = turn->node;
    put(&turn->reply, 4, node->mode);
    put(&turn->reply, 8, is_dir(node) ? 0 : node->size);
    put_time(&turn->reply, node->mtime);
    if (!(turn->features & V86FS_F1_ATTR2))
        return 0;
    int links = node->links, pages = 0;
    if (is_dir(node)) {
        links = 2;
        for (int i = 0; i < node->name_count; i++)
            links += is_dir(node->names[i].node);
    }
    for (int i = 0; i < MODEL_PAGES; i++)
        pages += node->page[i];
    put(&turn->reply, 4, (uint32_t)links);
    put(&turn->reply, 4, node->uid);
    put(&turn->reply, 4, node->gid);
    put(&turn->reply, 4, 0);
    put(&turn->reply, 8, (uint64_t)pages * 8);
    put_time(&turn->reply, node->atime);
    put_time(&turn->reply, node->ctime);
    return 0;
}

static uint32_t do_readdir(struct turn *turn)
{
    bool paged = turn->features & V86FS_F0_READDIR_PAGED;
    uint64_t next = 0;
    uint32_t count = 0;
    struct reply *reply = &turn->reply;
    reply->size = paged ? 23 : 15;
    for (int i = 0; i < turn->node->name_count; i++) {
        const struct name *name = &turn->node->names[i];
        if (paged && name->number <= turn->ask->cookie)
            continue;
        if (reply->size + 11 + name->size > reply->capacity) {
            if (paged && !count)
                return 22;
            goto full;
        }
        put(reply, 8, name->node->id);
        put(reply, 1, is_dir(name->node) ? 4 : is_type(name->node, 0100000) ? 8 : 10);
        put(reply, 2, name->size);
        memcpy(reply->at + reply->size, name->text, name->size);
        reply->size += name->size;
        next = name->number;
        count++;
    }
    next = 0;
full:;
    size_t size = reply->size;
    reply->size = 11;
    put(reply, 4, count);
    if (paged)
        put(reply, 8, next);
    reply->size = size;
    return 0;
}

static uint32_t do_open(struct turn *turn)
{
    struct model *model = turn->model;
    if (is_dir(turn->node) && !(turn->ask->flags & 0200000))
        return 21;
    if (is_type(turn->node, 0120000))
        return 40;
    if (model->handle_count == MODEL_HANDLES)
        return 23;
    turn->node->opens++;
    model->handle[model->handle_count].node = turn->node;
    model->handle[model->handle_count++].number = ++model->last_handle;
    put(&turn->reply, 8, model->last_handle);
    return 0;
}

static void handle_close(struct model *model, int at)
{
    struct node *node = model->handle[at].node;
    model->handle_count--;
    memmove(&model->handle[at], &model->handle[at + 1],
            (size_t)(model->handle_count - at) * sizeof model->handle[0]);
    if (node) {
        node->opens--;
        node_drop(model, node);
    }
}

static uint32_t do_close(struct turn *turn)
{
    for (int i = 0; i < turn->model->handle_count; i++) {
        if (turn->model->handle[i].number == turn->ask->node) {
            handle_close(turn->model, i);
            return 0;
        }
    }
    return 9;
}

static uint32_t do_read(struct turn *turn)
{
    uint64_t size = turn->ask->count, offset = turn->ask->offset;
    if (is_dir(turn->node))
        return 21;
    if (!is_type(turn->node, 0100000) || offset >> 63)
        return 22;
    if (size > turn->reply.capacity - 15)
        size = turn->reply.capacity - 15;
    if (offset >= turn->node->size)
        size = 0;
    else if (size > turn->node->size - offset)
        size = turn->node->size - offset;
    put(&turn->reply, 4, size);
    if (size)
        memcpy(turn->reply.at + turn->reply.size, turn->node->data + offset, size);
    turn->reply.size += size;
    return 0;
}

static uint32_t do_make(struct turn *turn, uint32_t mode)
{
    struct model *model = turn->model;
    const struct v86fs_ask *ask = turn->ask;
    bool link = mode == 0120777;
    if (name_find(turn->node, ask->name))
        return 17;
    uint64_t size = round_64(ask->name.size) + (link ? round_64(ask->target.size) : 0);
    if (used(model) + size > MODEL_QUOTA || model->live_count == MODEL_NODES)
        return 28;
    struct node *node = node_add(model, mode, turn->node, turn->now);
    if (link) {
        node->size = ask->target.size;
        memcpy(node->data, ask->target.data, node->size);
    }
    name_add(turn->node, ask->name, node);
    turn->node->mtime = turn->node->ctime = turn->now;
    put(&turn->reply, 8, node->id);
    put(&turn->reply, 4, mode);
    return 0;
}

static uint32_t do_write(struct turn *turn)
{
    struct node *node = turn->node;
    uint64_t size = turn->ask->count, offset = turn->ask->offset, pages = 0;
    if (is_dir(node))
        return 21;
    if (!is_type(node, 0100000))
        return 22;
    put(&turn->reply, 4, size);
    if (!size)
        return 0;
    if (offset > MODEL_FILE_SIZE || offset + size > MODEL_FILE_SIZE)
        return 27;
    for (uint64_t i = offset / 4096; i <= (offset + size - 1) / 4096; i++)
        pages += !node->page[i];
    if (used(turn->model) + pages * 4096 > MODEL_QUOTA)
        return 28;
    for (uint64_t i = offset / 4096; i <= (offset + size - 1) / 4096; i++)
        node->page[i] = true;
    memcpy(node->data + offset, turn->ask->data.data, size);
    if (node->size < offset + size)
        node->size = offset + size;
    node->mtime = node->ctime = turn->now;
    return 0;
}

static void set_size(struct node *node, uint64_t size)
{
    if (size < node->size) {
        memset(node->data + size, 0, node->size - size);
        for (uint64_t i = (size + 4095) / 4096; i < MODEL_PAGES; i++)
            node->page[i] = false;
    }
    node->size = size;
}

static uint32_t do_setattr(struct turn *turn)
{
    struct node *node = turn->node;
    const struct v86fs_ask *ask = turn->ask;
    uint32_t valid = ask->valid;
    bool f1 = turn->features & V86FS_F1_ATTR2;
    if ((valid & 8) && is_dir(node))
        return 21;
    if ((valid & 8) && is_type(node, 0120000))
        return 22;
    if (f1 && (((valid & 0x80) && ask->atime.ns > 999999999) ||
               ((valid & 0x100) && ask->mtime.ns > 999999999)))
        return 22;
    if ((valid & 1) && is_type(node, 0120000))
        return 95;
    if ((valid & 8) && ask->size > MODEL_FILE_SIZE)
        return 27;
    if (valid & 1)
        node->mode = (node->mode & 0170000) | (ask->mode & 07777);
    if (valid & 8) {
        set_size(node, ask->size);
        node->mtime = turn->now;
    }
    if ((valid & 2) && f1)
        node->uid = ask->uid;
    if ((valid & 4) && f1)
        node->gid = ask->gid;
    if ((valid & 0x10) && !(valid & 0x80))
        node->atime = turn->now;
    if ((valid & 0x20) && !(valid & 0x100))
        node->mtime = turn->now;
    if ((valid & 0x80) && f1)
        node->atime = ask->atime;
    if ((valid & 0x100) && f1)
        node->mtime = ask->mtime;
    if (valid & 0x1ff)
        node->ctime = turn->now;
    return 0;
}

static uint32_t do_unlink(struct turn *turn)
{
    struct name *name = name_find(turn->node, turn->ask->name);
    if ((turn->features & V86FS_F5_RMDIR) && (turn->ask->flags & ~0x200u))
        return 22;
    if (!name)
        return 2;
    struct node *victim = name->node;
    if (turn->features & V86FS_F5_RMDIR) {
        if (turn->ask->flags && !is_dir(victim))
            return 20;
        if (!turn->ask->flags && is_dir(victim))
            return 21;
    }
    if (victim->name_count)
        return 39;
    victim->ctime = turn->now;
    name_remove(turn->node, name);
    turn->node->mtime = turn->node->ctime = turn->now;
    node_drop(turn->model, victim);
    return 0;
}

static bool below(const struct node *node, const struct node *above)
{
    for (; node; node = node->parent) {
        if (node == above)
            return true;
    }
    return false;
}

static uint32_t do_exchange(struct turn *turn, struct node *other, struct name *from,
                            struct name *to)
{
    struct node *a = from->node;
    if (!to)
        return 2;
    struct node *b = to->node;
    if ((is_dir(a) && below(other, a)) || (is_dir(b) && below(turn->node, b)))
        return 22;
    if (a == b)
        return 0;
    from->node = b;
    to->node = a;
    if (is_dir(a))
        a->parent = other;
    if (is_dir(b))
        b->parent = turn->node;
    a->ctime = b->ctime = turn->now;
    turn->node->mtime = turn->node->ctime = turn->now;
    other->mtime = other->ctime = turn->now;
    return 0;
}

static uint32_t do_rename(struct turn *turn, struct node *other)
{
    const struct v86fs_ask *ask = turn->ask;
    uint32_t flags = turn->features & V86FS_F4_RENAME_FLAGS ? ask->flags : 0;
    struct name *from = name_find(turn->node, ask->name);
    struct name *to = name_find(other, ask->new_name);
    if (flags > 2)
        return 22;
    if (!from)
        return 2;
    struct node *moved = from->node, *gone = to ? to->node : NULL;
    if (flags == 2)
        return do_exchange(turn, other, from, to);
    if (is_dir(moved) && below(other, moved))
        return 22;
    if (flags == 1 && to)
        return 17;
    if (moved == gone)
        return 0;
    if (gone && is_dir(moved) && !is_dir(gone))
        return 20;
    if (gone && !is_dir(moved) && is_dir(gone))
        return 21;
    if (gone && gone->name_count)
        return 39;
    if (!to && used(turn->model) + round_64(ask->new_name.size) - round_64(from->size) >
                   MODEL_QUOTA)
        return 28;
    if (to) {
        gone->ctime = turn->now;
        name_remove(other, to);
    }
    name_remove(turn->node, name_find(turn->node, ask->name));
    name_add(other, ask->new_name, moved);
    moved->ctime = turn->now;
    turn->node->mtime = turn->node->ctime = turn->now;
    other->mtime = other->ctime = turn->now;
    if (gone)
        node_drop(turn->model, gone);
    return 0;
}

static uint32_t do_readlink(struct turn *turn)
{
    struct reply *reply = &turn->reply;
    if (!is_type(turn->node, 0120000))
        return 2;
    if (13 + turn->node->size > reply->capacity)
        return 36;
    put(reply, 2, turn->node->size);
    memcpy(reply->at + reply->size, turn->node->data, turn->node->size);
    reply->size += turn->node->size;
    return 0;
}

static uint32_t do_statfs(struct turn *turn)
{
    uint64_t left = (MODEL_QUOTA - used(turn->model)) / 4096;
    put(&turn->reply, 8, MODEL_QUOTA / 4096);
    put(&turn->reply, 8, left);
    put(&turn->reply, 8, left);
    put(&turn->reply, 8, MODEL_NODES);
    put(&turn->reply, 8, (uint64_t)(MODEL_NODES - turn->model->live_count));
    put(&turn->reply, 4, 4096);
    return 0;
}

static uint32_t missing(const struct model *model, uint64_t id)
{
    return id == 1 || (id >= 100 && id < model->next_id) ? 116 : 2;
}

/* The node of a READ: by handle or by id. */
static uint32_t find_read(struct turn *turn)
{
    uint64_t id = turn->ask->node;
    for (int i = 0; i < turn->model->handle_count; i++) {
        if (turn->model->handle[i].number == id) {
            turn->node = turn->model->handle[i].node;
            return turn->node ? 0 : 116;
        }
    }
    turn->node = id >> 32 ? NULL : node_find(turn->model, id);
    if (turn->node)
        return 0;
    return id >> 32 || missing(turn->model, id) == 2 ? 9 : 116;
}

static uint32_t dispatch(struct turn *turn, uint8_t type, struct node *other)
{
    switch (type) {
    case 0x00:
        put(&turn->reply, 8, 1);
        put(&turn->reply, 4, turn->model->live[0]->mode);
        return 0;
    case 0x01:
        return do_lookup(turn);
    case 0x02:
        return do_getattr(turn);
    case 0x03:
        return do_readdir(turn);
    case 0x04:
        return do_open(turn);
    case 0x05:
        return do_close(turn);
    case 0x06:
        return do_read(turn);
    case 0x07:
        return do_make(turn, 0100000 | (turn->ask->mode & 07777));
    case 0x08:
        return do_write(turn);
    case 0x09:
        return do_make(turn, 0040000 | (turn->ask->mode & 07777));
    case 0x0a:
        return do_setattr(turn);
    case 0x0c:
        return do_unlink(turn);
    case 0x0d:
        return do_rename(turn, other);
    case 0x0e:
        return do_make(turn, 0120777);
    case 0x0f:
        return do_readlink(turn);
    case 0x10:
        return do_statfs(turn);
    default:
        return 0;
    }
}

static uint32_t serve(struct turn *turn, uint8_t type)
{
    struct model *model = turn->model;
    struct node *other = NULL;
    uint32_t status = bad_strings(type, turn->ask);
    if (status)
        return status;
    if (type == 0x06) {
        status = find_read(turn);
        if (status)
            return status;
    } else if (type != 0x00 && type != 0x05 && type != 0x10) {
        turn->node = node_find(model, turn->ask->node);
        if (!turn->node)
            return missing(model, turn->ask->node);
    }
    if (type == 0x0d) {
        other = node_find(model, turn->ask->new_parent);
        if (!other)
            return missing(model, turn->ask->new_parent);
    }
    bool in_directory = type == 0x01 || type == 0x03 || type == 0x07 || type == 0x09 ||
                        (type >= 0x0c && type <= 0x0e);
    if ((in_directory && !is_dir(turn->node)) || (other && !is_dir(other)))
        return 20;
    return dispatch(turn, type, other);
}

static size_t minimum(uint8_t type, uint32_t features)
{
    static const uint8_t size[] = {23, 31, 35, 15, 19, 11, 15, 23, 15,
                                   23, 11, 11, 11, 11, 23, 11, 55};
    if (type == 0x02 && (features & V86FS_F1_ATTR2))
        return 83;
    if (type == 0x03 && (features & V86FS_F0_READDIR_PAGED))
        return 23;
    return size[type];
}

size_t model_serve(struct model *model, uint32_t features, uint64_t now_ns,
                   uint8_t type, uint16_t tag, const struct v86fs_ask *ask,
                   size_t capacity, uint8_t *reply)
{
    struct turn turn = {
        .model = model,
        .features = features,
        .now = {(int64_t)(now_ns / 1000000000), (uint32_t)(now_ns % 1000000000)},
        .ask = ask,
        .reply = {reply, 11, capacity}};
    size_t size_min = minimum(type, features);
    if (capacity < size_min)
        return 0;
    uint32_t status = serve(&turn, type);
    if (status) {
        memset(reply, 0, size_min);
        turn.reply.size = size_min;
    }
    size_t size = turn.reply.size;
    turn.reply.size = 0;
    put(&turn.reply, 4, size);
    put(&turn.reply, 1, type | 0x80u);
    put(&turn.reply, 2, tag);
    put(&turn.reply, 4, status);
    return size;
}

void model_reset(struct model *model)
{
    while (model->handle_count)
        handle_close(model, 0);
}
