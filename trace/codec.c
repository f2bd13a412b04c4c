/* SPDX-License-Identifier: MIT
 *
 * zstd, one frame per chunk [2.14].  The only file that calls libzstd.
 */
#include "trace/internal.h"

#include <zstd.h>

void trace_codec_fini(struct codec *codec)
{
    (void)ZSTD_freeCCtx(codec->compress);
    (void)ZSTD_freeDCtx(codec->decompress);
    *codec = (struct codec){0};
}

size_t trace_codec_compress(struct codec *codec, unsigned level, struct bytes raw,
                            struct buf *stored)
{
    if (!codec->compress)
        codec->compress = ZSTD_createCCtx();
    size_t room = ZSTD_compressBound(raw.size);
    uint8_t *at = buf_reserve(stored, room);
    if (!codec->compress && !stored->err)
        stored->err = ERR_nomem;
    if (stored->err)
        return 0;
    size_t size =
        ZSTD_compressCCtx(codec->compress, at, room, raw.data, raw.size, (int)level);
    bool smaller = !ZSTD_isError(size) && size < raw.size;
    if (smaller)
        buf_grow(stored, size);
    return smaller ? size : 0;
}

enum err trace_codec_decompress(struct codec *codec, struct bytes stored,
                                size_t raw_size, struct buf *raw)
{
    /* Looks at the frame header only; unknown and error are huge numbers. */
    if (ZSTD_getFrameContentSize(stored.data, stored.size) != raw_size ||
        ZSTD_findFrameCompressedSize(stored.data, stored.size) != stored.size)
        return ERR_trace_codec;
    if (!codec->decompress)
        codec->decompress = ZSTD_createDCtx();
    buf_clear(raw);
    uint8_t *at = buf_reserve(raw, raw_size);
    if (!codec->decompress || !at)
        return ERR_nomem;
    size_t size =
        ZSTD_decompressDCtx(codec->decompress, at, raw_size, stored.data, stored.size);
    if (ZSTD_isError(size) || size != raw_size)
        return ERR_trace_codec;
    buf_grow(raw, size);
    return ERR_ok;
}
