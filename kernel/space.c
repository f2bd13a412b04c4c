/* SPDX-License-Identifier: MIT
 *
 * Address spaces of frames.  A few that have been emptied wait for the next call: a new
 * one costs system calls, and a page fault for each page that is touched.
 */
#include "kernel/internal.h"

struct pvm_mem *kernel_space_take(struct kernel *kernel)
{
    if (kernel->spare_count)
        return kernel->spare[--kernel->spare_count];
    void *space = kernel->host.space_take(kernel->host.self);
    return space ? pvm_mem_init(space) : NULL;
}

void kernel_space_give(struct kernel *kernel, struct pvm_mem *mem)
{
    if (!mem)
        return;
    if (kernel->spare_count < SPARE_SPACE_MAX && pvm_mem_reset(mem))
        kernel->spare[kernel->spare_count++] = mem;
    else
        kernel->host.space_give(kernel->host.self, mem);
}

void kernel_spaces_close(struct kernel *kernel)
{
    while (kernel->spare_count)
        kernel->host.space_give(kernel->host.self,
                                kernel->spare[--kernel->spare_count]);
}
