/* SPDX-License-Identifier: MIT
 *
 * Standard programs [6.3].
 */
#include "pvm/container.h"

enum {
    SEGMENT_SIZE = 1 << 16,
    INPUT_SIZE_MAX = 1 << 24,
};

#define ADDRESS_SPACE ((uint64_t)1 << 32)

struct spi_header {
    uint64_t ro_size;
    uint64_t rw_size;
    uint64_t heap_pages;
    uint64_t stack_size;
};

static enum err take_header(struct bytes *file, struct spi_header *ret_header)
{
    struct spi_header header;
    TRY(pvm_take_number(file, 3, &header.ro_size));
    TRY(pvm_take_number(file, 3, &header.rw_size));
    TRY(pvm_take_number(file, 2, &header.heap_pages));
    TRY(pvm_take_number(file, 3, &header.stack_size));
    *ret_header = header;
    return ERR_ok;
}

/* The rule holds for every value the field widths can say; it is tested because the
 * widths are the format's and the rule is the address space's. */
static bool fits(const struct spi_header *header)
{
    uint64_t used =
        5 * (uint64_t)SEGMENT_SIZE + pvm_round_segment(header->ro_size) +
        pvm_round_segment(header->rw_size + header->heap_pages * PVM_PAGE_SIZE) +
        pvm_round_segment(header->stack_size) + INPUT_SIZE_MAX;
    return used <= ADDRESS_SPACE;
}

enum err pvm_spi_load(struct bytes file, struct bytes args,
                      struct pvm_container *ret_container)
{
    struct pvm_container spi = {.kind = PVM_CONTAINER_SPI};
    struct spi_header header;
    struct bytes ro, rw;
    uint64_t raw_size;
    TRY(take_header(&file, &header));
    TRY(pvm_take(&file, header.ro_size, &ro));
    TRY(pvm_take(&file, header.rw_size, &rw));
    TRY(pvm_take_number(&file, 4, &raw_size));
    TRY(pvm_take(&file, raw_size, &spi.raw));
    if (file.size)
        return ERR_pvm_trailing;
    TRY(pvm_code_parse(spi.raw, &spi.code));
    if (!fits(&header))
        return ERR_pvm_layout;
    if (args.size > PVM_ARGS_SIZE_MAX)
        return ERR_pvm_limit;

    uint64_t args_start = ADDRESS_SPACE - SEGMENT_SIZE - INPUT_SIZE_MAX;
    uint64_t stack_end = args_start - SEGMENT_SIZE;
    uint64_t stack_size = pvm_round_page(header.stack_size);
    pvm_container_add_region(&spi, SEGMENT_SIZE, pvm_round_page(ro.size), PVM_ACCESS_R,
                             ro);
    pvm_container_add_region(
        &spi, 2 * SEGMENT_SIZE + pvm_round_segment(ro.size),
        pvm_round_page(rw.size) + header.heap_pages * PVM_PAGE_SIZE, PVM_ACCESS_RW, rw);
    pvm_container_add_region(&spi, stack_end - stack_size, stack_size, PVM_ACCESS_RW,
                             (struct bytes){0});
    pvm_container_add_region(&spi, args_start, pvm_round_page(args.size), PVM_ACCESS_R,
                             args);
    spi.reg[0] = ADDRESS_SPACE - SEGMENT_SIZE;
    spi.reg[1] = stack_end;
    spi.reg[7] = args_start;
    spi.reg[8] = args.size;
    *ret_container = spi;
    return ERR_ok;
}
