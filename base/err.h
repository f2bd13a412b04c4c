/* SPDX-License-Identifier: MIT
 *
 * base/err.h - operating errors, and the assertion for our own bugs.
 *
 * Three kinds of wrong never mix: a guest's fault is a value of its machine, the
 * world's is an `enum err` (0 is success), ours is a failed check().
 * Low: includes nothing of the project.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

enum err {
    ERR_ok = 0,
#define ERR(name, text) ERR_##name,
#include "base/err.def"
    ERR_COUNT,
};

/* The row's name, "ok" for 0, "?" for a value outside the table.  Static storage. */
const char *err_name(enum err err);

/* The row's text, for people.  Static storage. */
const char *err_text(enum err err);

/* The error with this name, or ERR_COUNT. */
enum err err_from_name(const char *name);

/* Propagate an error.  The only macro that hides control flow. */
#define TRY(expr)                                                                      \
    do {                                                                               \
        enum err err_try_ = (expr);                                                    \
        if (err_try_ != ERR_ok)                                                        \
            return err_try_;                                                           \
    } while (0)

/* Stop on a bug of ours, in release builds too: print where, then abort. */
#define check(expr) ((expr) ? (void)0 : err_check_failed(#expr, __FILE__, __LINE__))

_Noreturn void err_check_failed(const char *expr, const char *file, int line);

#define ERR_MUST_CHECK __attribute__((warn_unused_result))
#define countof(array) (sizeof(array) / sizeof((array)[0]))

#endif
