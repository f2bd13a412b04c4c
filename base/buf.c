/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *buf, size_t size_max)
{
    *buf = (struct buf){.size_max = size_max};
}

void buf_fini(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
    buf->size = 0;
    buf->err = ERR_ok;
    if (buf->data)
        buf->data[0] = 0;
}

uint8_t *buf_reserve(struct buf *buf, size_t size)
{
    if (buf->err)
        return NULL;
    if (size > buf->size_max - buf->size) {
        buf->err = ERR_limit;
        return NULL;
    }
    if (size > PTRDIFF_MAX - 1 - buf->size) { /* no object is larger; the sum fits */
        buf->err = ERR_nomem;
        return NULL;
    }
    size_t need = buf->size + size + 1;
    if (need > buf->capacity) {
        size_t capacity = buf->capacity ? buf->capacity : 256;
        while (capacity < need)
            capacity = capacity > PTRDIFF_MAX / 2 ? need : capacity * 2;
        uint8_t *data = realloc(buf->data, capacity);
        if (!data) {
            buf->err = ERR_nomem;
            return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
    }
    return buf->data + buf->size;
}

void buf_grow(struct buf *buf, size_t size)
{
    buf->size += size;
    buf->data[buf->size] = 0;
}

uint8_t *buf_extend(struct buf *buf, size_t size)
{
    uint8_t *start = buf_reserve(buf, size);
    if (!start)
        return NULL;
    memset(start, 0, size);
    buf_grow(buf, size);
    return start;
}

void buf_put(struct buf *buf, const void *data, size_t size)
{
    uint8_t *start = buf_reserve(buf, size);
    if (!start)
        return;
    if (size)
        memcpy(start, data, size);
    buf_grow(buf, size);
}

void buf_byte(struct buf *buf, uint8_t byte)
{
    buf_put(buf, &byte, 1);
}

void buf_text(struct buf *buf, const char *text)
{
    buf_put(buf, text, strlen(text));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    char small[512];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    check(size >= 0);
    if ((size_t)size < sizeof small) {
        buf_put(buf, small, (size_t)size);
        return;
    }
    uint8_t *start = buf_extend(buf, (size_t)size);
    if (!start)
        return;
    va_start(args, format);
    (void)vsnprintf((char *)start, (size_t)size + 1, format, args);
    va_end(args);
}
