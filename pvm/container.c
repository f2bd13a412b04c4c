/* SPDX-License-Identifier: MIT
 *
 * Raw blobs [6.2], and the choice between the kinds of container.
 */
#include "pvm/container.h"
#include "pvm/mutant.h"

#include <string.h>

enum err pvm_take(struct bytes *input, uint64_t size, struct bytes *ret_bytes)
{
    if (size > input->size)
        return ERR_pvm_truncated;
    *ret_bytes = bytes_of(input->data, (size_t)size);
    if (size)
        *input = bytes_of(input->data + size, input->size - (size_t)size);
    return ERR_ok;
}

enum err pvm_take_number(struct bytes *input, unsigned size, uint64_t *ret_value)
{
    struct bytes bytes;
    TRY(pvm_take(input, size, &bytes));
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)bytes.data[i] << (8 * i);
    *ret_value = value;
    return ERR_ok;
}

enum err pvm_code_parse_limited(struct bytes blob, uint64_t number_max,
                                unsigned width_max, struct pvm_code *ret_code)
{
    uint64_t jump_count, jump_width, code_size;
    TRY(pvm_varint_get(&blob, &jump_count));
    TRY(pvm_take_number(&blob, 1, &jump_width));
    TRY(pvm_varint_get(&blob, &code_size));
    if (jump_count > number_max || code_size > number_max)
        return ERR_pvm_varint;
    if (MUTANT(load_no_limit, false, jump_count > PVM_JUMP_COUNT_MAX) ||
        code_size > PVM_CODE_SIZE_MAX)
        return ERR_pvm_limit;
    if (jump_width > width_max)
        return ERR_pvm_jump_width;

    struct bytes jump, code, bitmask;
    TRY(pvm_take(&blob, jump_count * jump_width, &jump));
    TRY(pvm_take(&blob, code_size, &code));
    TRY(pvm_take(&blob, (code_size + 7) / 8, &bitmask));
    if (MUTANT(load_trailing, 0, blob.size))
        return ERR_pvm_trailing;
    if (MUTANT(load_padding, 0, code_size % 8) &&
        bitmask.data[bitmask.size - 1] >> (code_size % 8))
        return ERR_pvm_bitmask_pad;
    *ret_code = (struct pvm_code){
        .code = code,
        .bitmask = bitmask.data,
        .jump = jump.data,
        .jump_count = (uint32_t)jump_count,
        .jump_width = (uint8_t)jump_width,
    };
    return ERR_ok;
}

enum err pvm_code_parse(struct bytes blob, struct pvm_code *ret_code)
{
    return pvm_code_parse_limited(blob, UINT64_MAX, 8, ret_code);
}

void pvm_container_add_region(struct pvm_container *container, uint64_t start,
                              uint64_t size, enum pvm_access access, struct bytes data)
{
    if (!size)
        return;
    check(container->region_count < PVM_REGION_COUNT_MAX && data.size <= size);
    container->region[container->region_count++] = (struct pvm_region){
        .start = (uint32_t)start,
        .size = size,
        .access = access,
        .data = data,
    };
}

const char *pvm_container_kind_name(enum pvm_container_kind kind)
{
    switch (kind) {
    case PVM_CONTAINER_RAW:
        return "raw";
    case PVM_CONTAINER_SPI:
        return "spi";
    case PVM_CONTAINER_POLKAVM:
        return "polkavm";
    }
    return "?";
}

enum err pvm_container_load(struct arena *arena, enum pvm_container_kind kind,
                            enum pvm_profile profile, struct bytes file,
                            struct bytes args, struct pvm_container *ret_container)
{
    switch (kind) {
    case PVM_CONTAINER_RAW:
        break;
    case PVM_CONTAINER_SPI:
        return pvm_spi_load(file, args, ret_container);
    case PVM_CONTAINER_POLKAVM:
        return pvm_polkavm_load(arena, profile, file, ret_container);
    }
    struct pvm_container raw = {.kind = PVM_CONTAINER_RAW, .raw = file};
    TRY(pvm_code_parse(file, &raw.code));
    *ret_container = raw;
    return ERR_ok;
}

enum pvm_container_kind pvm_container_detect(struct bytes file)
{
    if (file.size >= PVM_POLKAVM_MAGIC_SIZE &&
        !memcmp(file.data, PVM_POLKAVM_MAGIC, PVM_POLKAVM_MAGIC_SIZE))
        return PVM_CONTAINER_POLKAVM;
    struct pvm_container container;
    if (pvm_spi_load(file, (struct bytes){0}, &container) == ERR_ok)
        return PVM_CONTAINER_SPI;
    return PVM_CONTAINER_RAW;
}
