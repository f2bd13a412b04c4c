/* SPDX-License-Identifier: MIT
 *
 * cli/fs_text.h - frames of the file server as people read them.
 */
#ifndef CLI_FS_TEXT_H
#define CLI_FS_TEXT_H

#include "base/buf.h"

#include <stdint.h>

/* Append "LOOKUP node=1 name=hello.txt" for a request, "LOOKUP_R ok node=2 mode=0100644
 * size=12" for a reply, "INVALIDATE ino=2 offset=0 size=0" for a notification; what is
 * malformed is said to be so.  `features` decide the layout.  Bytes are shown as C
 * strings with \xNN, data and listings by their size. */
void cli_fs_frame_text(struct bytes frame, uint32_t features, struct buf *text);

#endif
