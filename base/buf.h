/* SPDX-License-Identifier: MIT
 *
 * base/buf.h - borrowed bytes, and bytes or text that grow up to a limit.
 *
 * Errors of a buf are sticky: the first one is kept, later puts do nothing, and
 * the owner looks at `err` once at the end.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes; the owner is said where a function takes or gives them. */
struct bytes {
    const uint8_t *data;
    size_t size;
};

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){.data = (const uint8_t *)data, .size = size};
}

struct buf {
    uint8_t *data; /* NULL while empty; else NUL terminated behind `size` */
    size_t size;
    size_t capacity;
    size_t size_max;
    enum err err; /* ERR_limit or ERR_nomem */
};

/* Start an empty buffer; allocates nothing. */
void buf_init(struct buf *buf, size_t size_max);

/* Free the bytes.  Fine on a zeroed buffer. */
void buf_fini(struct buf *buf);

/* Forget the contents and the error, keep the memory. */
void buf_clear(struct buf *buf);

/* Append.  `buf_text` appends a C string, `buf_printf` what printf would print. */
void buf_put(struct buf *buf, const void *data, size_t size);
void buf_byte(struct buf *buf, uint8_t byte);
void buf_text(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Append `size` zero bytes and return where they start; NULL on error.  The pointer
 * is valid until the next append. */
uint8_t *buf_extend(struct buf *buf, size_t size);

/* Room for `size` bytes behind the content, which stays as it is; NULL on error.  Then
 * up to `size` bytes that were written there become content. */
uint8_t *buf_reserve(struct buf *buf, size_t size);
void buf_grow(struct buf *buf, size_t size);

static inline struct bytes buf_bytes(const struct buf *buf)
{
    return (struct bytes){.data = buf->data, .size = buf->size};
}

/* The contents as a C string; "" while empty. */
static inline const char *buf_string(const struct buf *buf)
{
    return buf->data ? (const char *)buf->data : "";
}

#endif
