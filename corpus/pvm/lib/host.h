/* SPDX-License-Identifier: MIT
 *
 * host.h - the host calls of pvm/hostcalls.def as C functions, and what programs that
 * talk to people share: buffered input and output, numbers as text.
 *
 * An answer below 0 is a failed call: -HOST_ERR_noent and so on.  Buffers are plain
 * structs of the program; nothing is allocated.
 */
#ifndef PVM_LIB_HOST_H
#define PVM_LIB_HOST_H

#include "pvm.h"

enum {
#define HOSTCALL(number, name, signature, text) HOST_##name = number,
#define HOSTERR(number, name, text) HOST_ERR_##name = number,
#include "../../../pvm/hostcalls.def"
};

enum { HOST_STDIN = 0, HOST_STDOUT = 1, HOST_STDERR = 2 };
enum host_open { HOST_OPEN_READ = 0, HOST_OPEN_CREATE = 1, HOST_OPEN_UPDATE = 2 };
enum host_seek { HOST_SEEK_START = 0, HOST_SEEK_CURRENT = 1, HOST_SEEK_END = 2 };
enum host_clock { HOST_CLOCK_REAL = 0, HOST_CLOCK_RUN = 1 };

/* ---- the calls ---- */

static inline _Noreturn void host_exit(uint32_t status)
{
    pvm_ecalli(HOST_exit, status);
    pvm_panic();
}

static inline int64_t host_args_size(void)
{
    return (int64_t)pvm_ecalli(HOST_args_size).a0;
}

/* The arguments as NUL-ended strings one behind another, for pvm_args(). */
static inline int64_t host_args(char *buffer, uint64_t size)
{
    return (int64_t)pvm_ecalli(HOST_args, pvm_address(buffer), size).a0;
}

static inline int64_t host_read(int64_t fd, void *buffer, uint64_t size)
{
    return (int64_t)pvm_ecalli(HOST_read, (uint64_t)fd, pvm_address(buffer), size).a0;
}

static inline int64_t host_write(int64_t fd, const void *data, uint64_t size)
{
    return (int64_t)pvm_ecalli(HOST_write, (uint64_t)fd, pvm_address(data), size).a0;
}

static inline int64_t host_open(const char *path, enum host_open flags)
{
    return (int64_t)pvm_ecalli(HOST_open, pvm_address(path), strlen(path), flags).a0;
}

static inline int64_t host_close(int64_t fd)
{
    return (int64_t)pvm_ecalli(HOST_close, (uint64_t)fd).a0;
}

static inline int64_t host_seek(int64_t fd, int64_t offset, enum host_seek whence)
{
    return (int64_t)pvm_ecalli(HOST_seek, (uint64_t)fd, (uint64_t)offset, whence).a0;
}

static inline uint64_t host_clock(enum host_clock id)
{
    return pvm_ecalli(HOST_clock, id).a0;
}

static inline int64_t host_random(void *buffer, uint64_t size)
{
    return (int64_t)pvm_ecalli(HOST_random, pvm_address(buffer), size).a0;
}

/* "noent" for -HOST_ERR_noent, "unknown" for what is no error. */
static inline const char *host_error_name(int64_t answer)
{
    switch (-answer) {
#define HOSTERR(number, name, text)                                                    \
    case HOST_ERR_##name:                                                              \
        return #name;
#include "../../../pvm/hostcalls.def"
    default:
        return "unknown";
    }
}

/* "no such file" for -HOST_ERR_noent. */
static inline const char *host_error_text(int64_t answer)
{
    switch (-answer) {
#define HOSTERR(number, name, text)                                                    \
    case HOST_ERR_##name:                                                              \
        return text;
#include "../../../pvm/hostcalls.def"
    default:
        return "unknown error";
    }
}

/* ---- arguments ---- */

static inline bool host_same(const char *a, const char *b)
{
    uint64_t size = strlen(a);
    return size == strlen(b) && memcmp(a, b, size) == 0;
}

/* A decimal number and nothing behind it; false also when it is above `max`. */
static inline bool host_parse_u64(const char *text, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (*text == 0)
        return false;
    for (; *text != 0; text++) {
        uint64_t digit = (uint64_t)(uint8_t)*text - '0';
        if (digit > 9 || digit > max || value > (max - digit) / 10)
            return false;
        value = 10 * value + digit;
    }
    *ret_value = value;
    return true;
}

/* ---- output ---- */

/* {.fd = HOST_STDOUT} is an empty one.  `error` is that of the first write that failed;
 * what is put after it is lost. */
struct host_out {
    int64_t fd;
    int64_t error;
    uint64_t used;
    uint8_t buffer[4096];
};

static inline void host_flush(struct host_out *out)
{
    uint64_t done = 0;
    while (out->error == 0 && done < out->used) {
        int64_t n = host_write(out->fd, out->buffer + done, out->used - done);
        if (n > 0)
            done += (uint64_t)n;
        else
            out->error = n < 0 ? n : -HOST_ERR_io;
    }
    out->used = 0;
}

static inline void host_put(struct host_out *out, const void *data, uint64_t size)
{
    const uint8_t *from = data;
    while (size > 0) {
        if (out->used == sizeof out->buffer)
            host_flush(out);
        uint64_t room = sizeof out->buffer - out->used;
        uint64_t n = size < room ? size : room;
        memcpy(out->buffer + out->used, from, n);
        out->used += n;
        from += n;
        size -= n;
    }
}

static inline void host_put_byte(struct host_out *out, uint8_t byte)
{
    if (out->used == sizeof out->buffer)
        host_flush(out);
    out->buffer[out->used++] = byte;
}

static inline void host_put_text(struct host_out *out, const char *text)
{
    host_put(out, text, strlen(text));
}

/* In decimal, at least `width` wide, filled with spaces on the left. */
static inline void host_put_number(struct host_out *out, uint64_t value, unsigned width)
{
    char digits[20];
    unsigned used = 0;
    do {
        digits[sizeof digits - ++used] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (; width > used; width--)
        host_put_byte(out, ' ');
    host_put(out, digits + sizeof digits - used, used);
}

static inline void host_put_u64(struct host_out *out, uint64_t value)
{
    host_put_number(out, value, 0);
}

static inline void host_put_i64(struct host_out *out, int64_t value)
{
    if (value < 0)
        host_put_byte(out, '-');
    host_put_u64(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

/* `digits` hexadecimal digits, 1..16. */
static inline void host_put_hex(struct host_out *out, uint64_t value, unsigned digits)
{
    static const char hex[] = "0123456789abcdef";
    while (digits-- > 0)
        host_put_byte(out, (uint8_t)hex[value >> (4 * digits) & 15]);
}

/* One line on stderr, "PROGRAM: SUBJECT: WHAT"; no subject: NULL. */
static inline void host_complain(const char *program, const char *subject,
                                 const char *what)
{
    struct host_out out = {.fd = HOST_STDERR};
    host_put_text(&out, program);
    host_put_text(&out, ": ");
    if (subject != NULL) {
        host_put_text(&out, subject);
        host_put_text(&out, ": ");
    }
    host_put_text(&out, what);
    host_put_byte(&out, '\n');
    host_flush(&out);
}

/* The program's arguments, kept in `buffer`; when they do not fit, the run ends with
 * status 2. */
static inline struct pvm_bytes host_load_args(const char *program, char *buffer,
                                              uint64_t size)
{
    int64_t n = host_args(buffer, size);
    if (n < 0) {
        host_complain(program, "arguments", host_error_text(n));
        host_exit(2);
    }
    return (struct pvm_bytes){(const uint8_t *)buffer, (uint64_t)n};
}

/* ---- input ---- */

/* {.fd = HOST_STDIN} is a fresh one.  `error` is that of a read that failed. */
struct host_in {
    int64_t fd;
    int64_t error;
    uint64_t next;
    uint64_t size;
    bool ended;
    uint8_t buffer[4096];
};

/* Read more when the buffer is used up; false at the end or after an error. */
static inline bool host_fill(struct host_in *in)
{
    if (in->next < in->size)
        return true;
    if (in->ended)
        return false;
    int64_t n = host_read(in->fd, in->buffer, sizeof in->buffer);
    in->ended = n <= 0;
    in->error = n < 0 ? n : 0;
    in->next = 0;
    in->size = n > 0 ? (uint64_t)n : 0;
    return n > 0;
}

/* The next byte, or -1. */
static inline int host_get(struct host_in *in)
{
    return host_fill(in) ? in->buffer[in->next++] : -1;
}

/* Read a line without its end into `line`, at most `size` bytes; the rest of a longer
 * one is dropped and *ret_cut set.  Answers the length, -1 at the end. */
static inline int64_t host_get_line(struct host_in *in, char *line, uint64_t size,
                                    bool *ret_cut)
{
    uint64_t used = 0;
    int c = host_get(in);
    if (c < 0)
        return -1;
    *ret_cut = false;
    for (; c >= 0 && c != '\n'; c = host_get(in)) {
        if (used < size)
            line[used++] = (char)c;
        else
            *ret_cut = true;
    }
    return (int64_t)used;
}

#endif
