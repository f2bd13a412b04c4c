/* SPDX-License-Identifier: MIT
 *
 * A saved state of a kernel from any bytes: size of the caps (u32), the caps, each its
 * size (u32) and its encoding, and the state.  No crash; what is accepted can run, and
 * is the same bytes when it is saved again.
 */
#include "kernel/internal.h"
#include "kernel/saved.h"

#include "base/os.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GAS_MAX = 2000 };

static void *space_take(void *self)
{
    void *space = NULL;
    (void)self;
    return os_reserve(PVM_MEM_RESERVE_SIZE, &space) ? NULL : space;
}

static void space_give(void *self, void *space)
{
    (void)self;
    os_release(space, PVM_MEM_RESERVE_SIZE);
}

static const uint8_t *no_page(void *self, uint64_t index)
{
    (void)self, (void)index;
    return NULL;
}

static struct kernel_config small_config(void)
{
    struct kernel_config config = kernel_config_default();
    config.engine = KERNEL_ENGINE_INTERP;
    config.max_depth = 16;
    config.max_dir_caps = 4096;
    config.max_dir_bytes = (uint64_t)1 << 24;
    config.max_frame_mem = (uint64_t)1 << 22;
    config.max_stack_mem = (uint64_t)1 << 24;
    config.max_assist_entries = 256;
    return config;
}

static bool load_caps(struct kernel *kernel, const uint8_t *at, size_t left)
{
    while (left >= 4) {
        uint32_t size = kernel_u32(at);
        at += 4;
        left -= 4;
        if (size > left || kernel_state_cap(kernel, bytes_of(at, size)))
            return false;
        at += size;
        left -= size;
    }
    return !left;
}

static void check_same(struct kernel *kernel, struct bytes state)
{
    struct buf again;
    buf_init(&again, SIZE_MAX);
    check(!kernel_state_save(kernel, NULL, &again));
    check(again.size == state.size && !memcmp(again.data, state.data, state.size));
    buf_fini(&again);
}

static void go_on(struct kernel *kernel)
{
    struct kernel_result result;
    if (!kernel->stack_size || kernel_top(kernel)->reference)
        return;
    kernel->gas = kernel->gas < GAS_MAX ? kernel->gas : GAS_MAX;
    (void)!kernel_go_on(kernel, &result);
}

static void try_state(struct kernel *kernel, const uint8_t *data, size_t size)
{
    uint32_t caps_size = kernel_u32(data);
    data += 4;
    size -= 4;
    kernel_state_clear(kernel);
    if (caps_size > size || !load_caps(kernel, data, caps_size))
        return;
    struct bytes state = bytes_of(data + caps_size, size - caps_size);
    if (kernel_state_load(kernel, state, no_page, NULL))
        return;
    check_same(kernel, state);
    go_on(kernel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct kernel_config config = small_config();
    const struct kernel_host host = {.space_take = space_take,
                                     .space_give = space_give};
    struct kernel *kernel;
    struct arena arena;
    void *memory;
    if (size < 4)
        return 0;
    arena_init(&arena, (size_t)1 << 26);
    check(!os_reserve(kernel_memory_size(&config), &memory));
    check(!kernel_create(&arena, &config, memory, &host, &kernel));
    try_state(kernel, data, size);
    kernel_close(kernel);
    os_release(memory, kernel_memory_size(&config));
    arena_fini(&arena);
    return 0;
}
