/* SPDX-License-Identifier: MIT
 *
 * base/os_private.h - what the files behind base/os*.h share.  Private to base/.
 */
#ifndef BASE_OS_PRIVATE_H
#define BASE_OS_PRIVATE_H

#include "base/err.h"

#include <stddef.h>

/* The error for the current errno, remembered for os_error_text(). */
enum err os_fail(void);

/* `size` rounded up to whole pages; 0 for what does not fit. */
size_t os_page_round(size_t size);

#endif
