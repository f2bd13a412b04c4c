/* SPDX-License-Identifier: MIT
 *
 * Caps from any bytes: no crash; what is accepted can be hashed, and cnodes and
 * instances come back byte for byte when they are written again.
 */
#include "kernel/internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OVERLAY_MAX = 64 };

static void check_same(const struct draft *draft, struct bytes wire,
                       const struct hash256 *hash)
{
    check(draft->wire.size == wire.size);
    check(!memcmp(draft->wire.data, wire.data, wire.size));
    check(hash256_equal(&draft->hash, hash));
}

static void check_cnode(const struct kernel_cap *cap, struct bytes wire,
                        const struct hash256 *hash)
{
    static struct slots slots;
    uint8_t *at = malloc(wire.size);
    check(at);
    kernel_slots_load(cap, &slots);
    struct draft draft = kernel_draft_cnode(&slots, at);
    check_same(&draft, wire, hash);
    free(at);
}

static void check_instance(const struct kernel_instance *instance, struct bytes wire,
                           const struct hash256 *hash)
{
    struct overlay_part part[OVERLAY_MAX];
    uint64_t reg[PVM_REG_COUNT];
    if (instance->overlay_count > OVERLAY_MAX)
        return;
    for (uint32_t i = 0; i < instance->overlay_count; i++) {
        struct kernel_overlay overlay = kernel_instance_overlay(instance, i);
        part[i] = (struct overlay_part){overlay.start, overlay.bytes.size,
                                        overlay.bytes.data};
    }
    for (int i = 0; i < PVM_REG_COUNT; i++)
        reg[i] = kernel_u64(instance->reg + 8 * i);
    uint8_t *at = malloc(wire.size);
    check(at);
    struct draft draft = kernel_draft_instance(
        &(struct instance_parts){.chain = &instance->chain,
                                 .image = &instance->image,
                                 .root_cnode = &instance->root_cnode,
                                 .overlay = part,
                                 .overlay_count = instance->overlay_count,
                                 .mem_size = instance->mem_size,
                                 .reg = reg,
                                 .pc = instance->pc,
                                 .gas = instance->gas},
        at);
    check_same(&draft, wire, hash);
    free(at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct kernel_config config = kernel_config_default();
    struct kernel_cap cap;
    struct bytes wire = bytes_of(data, size);
    if (kernel_wire_decode(wire, &cap) || kernel_cap_check(&cap, &config))
        return 0;
    struct hash256 hash = kernel_cap_hash(&cap);
    if (cap.kind == KERNEL_KIND_CNODE)
        check_cnode(&cap, wire, &hash);
    if (cap.kind == KERNEL_KIND_INSTANCE)
        check_instance(&cap.instance, wire, &hash);
    return 0;
}
