/* SPDX-License-Identifier: MIT
 *
 * The ELF for gdb (guest-toolchain.md chapter 9).
 */
#include "link/internal.h"
enum err link_write_debug(struct link *link, struct buf *buf)
{
    (void)link;
    (void)buf;
    return ERR_ok;
}
