/* SPDX-License-Identifier: MIT
 *
 * Breakpoints and watchpoints as gdb sets them: packets Z and z.
 */
#include "replay/gdb_private.h"

#include <stdlib.h>
#include <string.h>

static void clear(struct gdb_stop *stop)
{
    free(stop->condition);
    *stop = (struct gdb_stop){0};
}

void replay_gdb_stop_clear(struct replay_gdb *gdb)
{
    for (size_t i = 0; i < gdb->stop_count; i++)
        clear(&gdb->stop[i]);
    gdb->stop_count = 0;
    gdb->stops_stale = true;
}

static struct gdb_stop *find(struct replay_gdb *gdb, const struct gdb_stop *like)
{
    for (size_t i = 0; i < gdb->stop_count; i++) {
        struct gdb_stop *stop = &gdb->stop[i];
        if (stop->type == like->type && stop->address == like->address &&
            stop->size == like->size)
            return stop;
    }
    return NULL;
}

/* ";X5,260011…" again and again: sizes and bytecode.  Commands, which gdb runs itself
 * when it is there, may follow. */
static bool read_conditions(const char *text, struct buf *conditions)
{
    uint64_t size;
    while (text[0] == ';' && text[1] == 'X') {
        text += 2;
        if (!replay_gdb_number(&text, &size) || *text++ != ',' || !size ||
            size > GDB_CONDITION_SIZE_MAX)
            return false;
        const uint32_t size32 = (uint32_t)size;
        buf_put(conditions, &size32, sizeof size32);
        for (; size; size--, text += 2) {
            int high = replay_gdb_digit((uint8_t)text[0]);
            int low = high < 0 ? -1 : replay_gdb_digit((uint8_t)text[1]);
            if (low < 0)
                return false;
            buf_byte(conditions, (uint8_t)(high << 4 | low));
        }
    }
    return !conditions->err && (!*text || strncmp(text, ";cmds:", 6) == 0);
}

/* Put a stop into the list, or its new conditions. */
static enum err add(struct replay_gdb *gdb, const struct gdb_stop *stop)
{
    struct gdb_stop *known = find(gdb, stop);
    if (known) {
        clear(known);
        *known = *stop;
        return ERR_ok;
    }
    if (gdb->stop_count == GDB_STOP_MAX)
        return ERR_limit;
    if ((gdb->stop_count & (gdb->stop_count - 1)) == 0) {
        size_t capacity = gdb->stop_count ? 2 * gdb->stop_count : 1;
        struct gdb_stop *list = realloc(gdb->stop, capacity * sizeof *list);
        if (!list)
            return ERR_nomem;
        gdb->stop = list;
    }
    gdb->stop[gdb->stop_count++] = *stop;
    return ERR_ok;
}

static bool insert(struct replay_gdb *gdb, struct gdb_stop *stop, const char *text)
{
    struct buf conditions;
    buf_init(&conditions, (size_t)16 * GDB_CONDITION_SIZE_MAX);
    bool good = read_conditions(text, &conditions);
    if (good && conditions.size) {
        stop->condition = malloc(conditions.size);
        good = stop->condition != NULL;
        if (good)
            memcpy(stop->condition, conditions.data, conditions.size);
        stop->condition_size = conditions.size;
    }
    buf_fini(&conditions);
    if (good && !add(gdb, stop))
        return true;
    free(stop->condition);
    return false;
}

void replay_gdb_stop_packet(struct replay_gdb *gdb, const char *packet, size_t size)
{
    const char *text = packet + 1;
    uint64_t type;
    struct gdb_stop stop = {0};
    (void)size;
    if (!replay_gdb_number(&text, &type) || *text++ != ',' ||
        !replay_gdb_number(&text, &stop.address) || *text++ != ',' ||
        !replay_gdb_number(&text, &stop.size)) {
        replay_gdb_send_text(gdb, "E01");
        return;
    }
    if (type > 4) {
        replay_gdb_send_text(gdb, "");
        return;
    }
    stop.type = (unsigned)type;
    gdb->stops_stale = true;
    if (packet[0] == 'Z') {
        replay_gdb_send_text(gdb, insert(gdb, &stop, text) ? "OK" : "E01");
        return;
    }
    struct gdb_stop *known = find(gdb, &stop);
    if (known) {
        clear(known);
        *known = gdb->stop[--gdb->stop_count];
    }
    replay_gdb_send_text(gdb, "OK");
}
