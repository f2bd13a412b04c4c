/* SPDX-License-Identifier: MIT
 *
 * base/unpack.h - decompression of one whole stream, XZ or zstd (liblzma, libzstd).
 */
#ifndef BASE_UNPACK_H
#define BASE_UNPACK_H

#include "base/buf.h"

/* What the bytes are compressed with, by their magic: "xz", "zstd", or the name of a
 * format that unpack() refuses ("gzip"); NULL if they are nothing known.  Static. */
const char *unpack_format(struct bytes packed);

/*
 * Decompress into `to`, which has room for `size_max` bytes.  Uses at most 64 MiB
 * besides (XZ), or the stream's window (zstd, one pass: none).
 *
 * ERR_unsupported: neither XZ nor zstd; ERR_unpack: damaged, or bytes behind the
 * stream; ERR_limit: more than size_max bytes; ERR_nomem.
 */
ERR_MUST_CHECK enum err unpack(struct bytes packed, uint8_t *to, size_t size_max,
                               size_t *ret_size);

#endif
