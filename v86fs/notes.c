/* SPDX-License-Identifier: MIT
 *
 * Notifications wait here in order until the driver has posted a buffer (v86fs.md 7).
 *
 * The queue is an array with the oldest frame first; invalidations that tell nothing
 * new are not queued, and collapsing removes from the middle, so a ring would gain
 * nothing.
 */
#include "v86fs/state.h"
#include "v86fs/v86fs.h"

#include <string.h>

struct note {
    uint16_t size;
    uint8_t frame[V86FS_NOTE_SIZE_MAX];
};

struct v86fs_notes {
    struct note *note;
    uint32_t *order; /* indexes into `note`, oldest first; the rest are free ones */
    uint32_t count, count_max;
    uint32_t size_max; /* 0: no driver */
};

enum err v86fs_notes_create(struct arena *arena, uint32_t count_max,
                            struct v86fs_notes **ret_notes)
{
    struct v86fs_notes *notes = arena_new(arena, struct v86fs_notes);
    if (!notes)
        return ERR_nomem;
    notes->note = arena_new_array(arena, struct note, count_max);
    notes->order = arena_new_array(arena, uint32_t, count_max);
    if (!notes->note || !notes->order)
        return ERR_nomem;
    notes->count_max = count_max;
    for (uint32_t i = 0; i < count_max; i++)
        notes->order[i] = i;
    *ret_notes = notes;
    return ERR_ok;
}

void v86fs_notes_start(struct v86fs_notes *notes, uint32_t size_max)
{
    notes->size_max = size_max < V86FS_NOTE_SIZE_MAX ? size_max : V86FS_NOTE_SIZE_MAX;
}

void v86fs_notes_stop(struct v86fs_notes *notes)
{
    notes->size_max = 0;
    notes->count = 0;
}

uint32_t v86fs_notes_count(const struct v86fs_notes *notes)
{
    return notes->count;
}

static struct note *note_at(const struct v86fs_notes *notes, uint32_t position)
{
    return &notes->note[notes->order[position]];
}

struct bytes v86fs_notes_first(const struct v86fs_notes *notes)
{
    if (!notes->count)
        return (struct bytes){0};
    return bytes_of(note_at(notes, 0)->frame, note_at(notes, 0)->size);
}

static void drop(struct v86fs_notes *notes, uint32_t position)
{
    uint32_t index = notes->order[position];
    notes->count--;
    memmove(&notes->order[position], &notes->order[position + 1],
            (notes->count - position) * sizeof notes->order[0]);
    notes->order[notes->count] = index;
}

void v86fs_notes_drop_first(struct v86fs_notes *notes)
{
    if (notes->count)
        drop(notes, 0);
}

static bool is_range_of(const struct note *note, uint64_t ino)
{
    return note->frame[4] == V86FS_MSG_INVALIDATE &&
           v86fs_load(note->frame + 7, 8) == ino;
}

static bool is_whole(const struct note *note)
{
    return v86fs_load(note->frame + 23, 8) == 0;
}

/* Is the news old: queued already, or covered by a queued whole-file frame? */
static bool is_known(const struct v86fs_notes *notes, const struct note *news)
{
    uint64_t ino = v86fs_load(news->frame + 7, 8);
    bool range = news->frame[4] == V86FS_MSG_INVALIDATE;
    for (uint32_t i = 0; i < notes->count; i++) {
        const struct note *note = note_at(notes, i);
        if (note->size == news->size && !memcmp(note->frame, news->frame, note->size))
            return true;
        if (range && is_range_of(note, ino) && is_whole(note))
            return true;
    }
    return false;
}

/* Make one whole-file frame, at the earliest place, of all ranges of a file.  False,
 * and nothing changes, if that makes no room. */
static bool collapse(struct v86fs_notes *notes, uint64_t ino)
{
    uint32_t ranges = 0;
    bool found = false;
    for (uint32_t i = 0; i < notes->count; i++)
        ranges += is_range_of(note_at(notes, i), ino);
    if (ranges < 2)
        return false;
    for (uint32_t i = 0; i < notes->count;) {
        struct note *note = note_at(notes, i);
        if (!is_range_of(note, ino)) {
            i++;
        } else if (!found) {
            found = true;
            v86fs_invalidate_encode(ino, 0, 0, note->frame, sizeof note->frame);
            i++;
        } else {
            drop(notes, i);
        }
    }
    return true;
}

static enum v86fs_note_result append(struct v86fs_notes *notes, const struct note *news)
{
    if (notes->count == notes->count_max)
        return V86FS_NOTE_FULL;
    *note_at(notes, notes->count) = *news;
    notes->count++;
    return V86FS_NOTE_QUEUED;
}

/* What can be said of a frame before the queue is looked at. */
static enum v86fs_note_result check_news(const struct v86fs_notes *notes, size_t size)
{
    if (!notes->size_max)
        return V86FS_NOTE_NO_DRIVER;
    return size && size <= notes->size_max ? V86FS_NOTE_QUEUED : V86FS_NOTE_TOO_LONG;
}

enum v86fs_note_result v86fs_notes_invalidate(struct v86fs_notes *notes, uint64_t ino,
                                              uint64_t offset, uint64_t size)
{
    struct note news;
    news.size = (uint16_t)v86fs_invalidate_encode(ino, offset, size, news.frame,
                                                  sizeof news.frame);
    enum v86fs_note_result result = check_news(notes, news.size);
    if (result != V86FS_NOTE_QUEUED || is_known(notes, &news))
        return result;
    if (notes->count < notes->count_max)
        return append(notes, &news);
    return collapse(notes, ino) ? V86FS_NOTE_QUEUED : V86FS_NOTE_FULL;
}

enum v86fs_note_result v86fs_notes_invalidate_dir(struct v86fs_notes *notes,
                                                  uint64_t ino)
{
    struct note news;
    news.size =
        (uint16_t)v86fs_invalidate_dir_encode(ino, news.frame, sizeof news.frame);
    enum v86fs_note_result result = check_news(notes, news.size);
    if (result != V86FS_NOTE_QUEUED || is_known(notes, &news))
        return result;
    return append(notes, &news);
}

static bool path_good(struct bytes path)
{
    return path.size && path.data[0] == '/' && !memchr(path.data, 0, path.size);
}

/* X7 and X8 for the name of a mount. */
static bool name_good(struct bytes name)
{
    return name.size <= V86FS_NAME_MAX &&
           !(name.size && memchr(name.data, 0, name.size));
}

enum v86fs_note_result v86fs_notes_mount(struct v86fs_notes *notes, struct bytes name,
                                         struct bytes path)
{
    struct note news;
    if (!name_good(name) || !path_good(path))
        return V86FS_NOTE_INVALID;
    news.size =
        (uint16_t)v86fs_mount_notify_encode(name, path, news.frame, sizeof news.frame);
    enum v86fs_note_result result = check_news(notes, news.size);
    return result == V86FS_NOTE_QUEUED ? append(notes, &news) : result;
}

enum v86fs_note_result v86fs_notes_umount(struct v86fs_notes *notes, struct bytes path)
{
    struct note news;
    if (!path_good(path))
        return V86FS_NOTE_INVALID;
    news.size =
        (uint16_t)v86fs_umount_notify_encode(path, news.frame, sizeof news.frame);
    enum v86fs_note_result result = check_news(notes, news.size);
    return result == V86FS_NOTE_QUEUED ? append(notes, &news) : result;
}

/* The string at `at`, and where the next field begins; false if it runs over. */
static bool take_string(struct bytes frame, size_t *at, struct bytes *ret)
{
    if (frame.size - *at < 2)
        return false;
    size_t size = (size_t)v86fs_load(frame.data + *at, 2);
    *at += 2;
    if (frame.size - *at < size)
        return false;
    *ret = bytes_of(frame.data + *at, size);
    *at += size;
    return true;
}

bool v86fs_note_decode(struct bytes frame, struct v86fs_note *ret_note)
{
    struct v86fs_note note = {0};
    size_t at = V86FS_HEADER_SIZE;
    if (frame.size < at || v86fs_load(frame.data, 4) != frame.size ||
        v86fs_load(frame.data + 5, 2) != 0)
        return false;
    const uint8_t *body = frame.data + at;
    note.type = frame.data[4];
    bool good = false;
    switch (note.type) {
    case V86FS_MSG_INVALIDATE:
        good = frame.size == 31;
        if (!good)
            break;
        note.ino = v86fs_load(body, 8);
        note.offset = v86fs_load(body + 8, 8);
        note.size = v86fs_load(body + 16, 8);
        break;
    case V86FS_MSG_INVALIDATE_DIR:
        good = frame.size == 15;
        if (good)
            note.ino = v86fs_load(body, 8);
        break;
    case V86FS_MSG_MOUNT_NOTIFY:
        good = take_string(frame, &at, &note.name) &&
               take_string(frame, &at, &note.path) && at == frame.size &&
               name_good(note.name) && path_good(note.path);
        break;
    case V86FS_MSG_UMOUNT_NOTIFY:
        good = take_string(frame, &at, &note.path) && at == frame.size &&
               path_good(note.path);
        break;
    default:
        break;
    }
    *ret_note = note;
    return good;
}

bool v86fs_note_is_mount(const struct v86fs_note *note)
{
    return note->type == V86FS_MSG_MOUNT_NOTIFY ||
           note->type == V86FS_MSG_UMOUNT_NOTIFY;
}

enum v86fs_note_result v86fs_notes_frame(struct v86fs_notes *notes, struct bytes frame)
{
    struct v86fs_note note;
    if (!v86fs_note_decode(frame, &note))
        return V86FS_NOTE_INVALID;
    switch (note.type) {
    case V86FS_MSG_INVALIDATE:
        return v86fs_notes_invalidate(notes, note.ino, note.offset, note.size);
    case V86FS_MSG_INVALIDATE_DIR:
        return v86fs_notes_invalidate_dir(notes, note.ino);
    case V86FS_MSG_MOUNT_NOTIFY:
        return v86fs_notes_mount(notes, note.name, note.path);
    default:
        return v86fs_notes_umount(notes, note.path);
    }
}

/* ---- as bytes: u16 size and the frame, of each ---- */

void v86fs_notes_save(const struct v86fs_notes *notes, struct buf *buf)
{
    for (uint32_t i = 0; i < notes->count; i++)
        v86fs_put_text(buf,
                       bytes_of(note_at(notes, i)->frame, note_at(notes, i)->size));
}

bool v86fs_notes_load(struct v86fs_notes *notes, struct bytes state)
{
    struct v86fs_take take = {.rest = state};
    notes->count = 0;
    while (take.rest.size && !take.failed) {
        struct bytes frame = v86fs_take_text(&take);
        uint32_t before = notes->count;
        /* Frames that are queued are all different: each is appended. */
        v86fs_take_demand(&take, !take.failed && v86fs_notes_frame(notes, frame) ==
                                                     V86FS_NOTE_QUEUED);
        v86fs_take_demand(&take, notes->count == before + 1);
    }
    if (take.failed)
        notes->count = 0;
    return !take.failed;
}
