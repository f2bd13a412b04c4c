/* SPDX-License-Identifier: MIT
 *
 * pvm/container.h - private to pvm/: what the loaders of pvm-exec.md chapter 6 share.
 * All input is hostile; nothing is allocated before its size has been checked.
 */
#ifndef PVM_CONTAINER_H
#define PVM_CONTAINER_H

#include "pvm/pvm.h"

/* Move `size` bytes from the front of *input to *ret_bytes.  pvm_truncated. */
ERR_MUST_CHECK enum err pvm_take(struct bytes *input, uint64_t size,
                                 struct bytes *ret_bytes);

/* The same for a little-endian number of `size` (1..8) bytes. */
ERR_MUST_CHECK enum err pvm_take_number(struct bytes *input, unsigned size,
                                        uint64_t *ret_value);

/* Parse a raw blob whose numbers must be <= number_max (else pvm_varint) and whose
 * jump table entries have at most width_max bytes. */
ERR_MUST_CHECK enum err pvm_code_parse_limited(struct bytes blob, uint64_t number_max,
                                               unsigned width_max,
                                               struct pvm_code *ret_code);

/* Append a region unless it is empty; `size` is a multiple of 4096. */
void pvm_container_add_region(struct pvm_container *container, uint64_t start,
                              uint64_t size, enum pvm_access access, struct bytes data);

ERR_MUST_CHECK enum err pvm_spi_load(struct bytes file, struct bytes args,
                                     struct pvm_container *ret_container);
ERR_MUST_CHECK enum err pvm_polkavm_load(struct arena *arena, enum pvm_profile profile,
                                         struct bytes file,
                                         struct pvm_container *ret_container);

/* P and Z of [6.3]: whole pages, whole segments of 64 KiB. */
static inline uint64_t pvm_round_page(uint64_t size)
{
    return (size + 0xfff) & ~(uint64_t)0xfff;
}

static inline uint64_t pvm_round_segment(uint64_t size)
{
    return (size + 0xffff) & ~(uint64_t)0xffff;
}

#define PVM_POLKAVM_MAGIC "PVM"
enum { PVM_POLKAVM_MAGIC_SIZE = 4 }; /* with its NUL */

#endif
