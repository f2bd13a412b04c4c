/* SPDX-License-Identifier: MIT
 *
 * The only file that knows liblzma, and one of those that know libzstd (ADR 0011).
 */
#include "base/unpack.h"

#include <string.h>

#include <lzma.h>
#include <zstd.h>
#include <zstd_errors.h>

#define MEMORY_MAX (UINT64_C(64) << 20)

static const struct {
    const char *name;
    uint8_t size, magic[6];
} formats[] = {
    {"xz", 6, {0xfd, '7', 'z', 'X', 'Z', 0}},
    {"zstd", 4, {0x28, 0xb5, 0x2f, 0xfd}},
    {"gzip", 2, {0x1f, 0x8b}},
    {"bzip2", 3, {'B', 'Z', 'h'}},
    {"lzma", 3, {0x5d, 0, 0}},
    {"lzo", 4, {0x89, 'L', 'Z', 'O'}},
    {"lz4", 4, {0x02, 0x21, 0x4c, 0x18}},
};

const char *unpack_format(struct bytes packed)
{
    for (size_t i = 0; i < countof(formats); i++) {
        if (packed.size >= formats[i].size &&
            memcmp(packed.data, formats[i].magic, formats[i].size) == 0)
            return formats[i].name;
    }
    return NULL;
}

static enum err unpack_xz(struct bytes packed, uint8_t *to, size_t size_max,
                          size_t *ret_size)
{
    uint64_t memory = MEMORY_MAX;
    size_t in = 0, out = 0;
    lzma_ret result = lzma_stream_buffer_decode(&memory, 0, NULL, packed.data, &in,
                                                packed.size, to, &out, size_max);
    if (result == LZMA_MEM_ERROR)
        return ERR_nomem;
    if (result == LZMA_MEMLIMIT_ERROR || result == LZMA_BUF_ERROR)
        return ERR_limit;
    if (result != LZMA_OK || in != packed.size)
        return ERR_unpack;
    *ret_size = out;
    return ERR_ok;
}

static enum err unpack_zstd(struct bytes packed, uint8_t *to, size_t size_max,
                            size_t *ret_size)
{
    size_t size = ZSTD_decompress(to, size_max, packed.data, packed.size);
    if (ZSTD_isError(size)) {
        ZSTD_ErrorCode code = ZSTD_getErrorCode(size);
        if (code == ZSTD_error_memory_allocation)
            return ERR_nomem;
        return code == ZSTD_error_dstSize_tooSmall ? ERR_limit : ERR_unpack;
    }
    *ret_size = size;
    return ERR_ok;
}

enum err unpack(struct bytes packed, uint8_t *to, size_t size_max, size_t *ret_size)
{
    const char *format = unpack_format(packed);
    if (format && strcmp(format, "xz") == 0)
        return unpack_xz(packed, to, size_max, ret_size);
    if (format && strcmp(format, "zstd") == 0)
        return unpack_zstd(packed, to, size_max, ret_size);
    return ERR_unsupported;
}
