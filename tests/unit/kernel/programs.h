/* SPDX-License-Identifier: MIT
 *
 * tests/unit/kernel/programs.h - images of assembly text, and instances of them.
 */
#ifndef TESTS_UNIT_KERNEL_PROGRAMS_H
#define TESTS_UNIT_KERNEL_PROGRAMS_H

#include "kernel/encode.h"
#include "tests/unit/kernel/fixture.h"

/* An image with one endpoint at 0; `more` has what else there is, or NULL.  Its code,
 * if it has one, takes the place of the text. */
static inline struct hash256 put_program(struct fixture *f, const char *text,
                                         const struct kernel_image_parts *more)
{
    struct pvm_asm_error error = {0};
    struct buf blob, wire;
    struct pvm_code code;
    const struct kernel_endpoint endpoint = {.entry_pc = 0};
    struct kernel_image_parts parts = {.code = NULL};
    buf_init(&blob, 1 << 16);
    buf_init(&wire, 1 << 16);
    if (pvm_asm(bytes_of(text, strlen(text)), &blob, &error))
        fail_msg("line %u: %s", error.line, error.message);
    assert_int_equal(pvm_code_parse(buf_bytes(&blob), &code), ERR_ok);
    if (more)
        parts = *more;
    if (!parts.code)
        parts.code = &code;
    if (!parts.endpoint) {
        parts.endpoint = &endpoint;
        parts.endpoint_count = 1;
    }
    kernel_encode_image(&parts, &wire);
    struct hash256 hash = put(f, &wire);
    buf_fini(&wire);
    buf_fini(&blob);
    return hash;
}

/* A cnode of 16 slots. */
static inline struct hash256 put_slots(struct fixture *f,
                                       const struct kernel_entry *entry, uint32_t count)
{
    struct buf wire;
    buf_init(&wire, 1 << 10);
    kernel_encode_cnode(4, entry, count, &wire);
    struct hash256 hash = put(f, &wire);
    buf_fini(&wire);
    return hash;
}

/* What `parts` says, with chain 77. */
static inline struct hash256 put_parts(struct fixture *f, struct hash256 image,
                                       struct hash256 cnode,
                                       struct kernel_instance_parts parts)
{
    const struct hash256 chain = filled(0x77);
    struct buf wire;
    parts.chain = &chain;
    parts.image = &image;
    parts.root_cnode = &cnode;
    buf_init(&wire, 1 << 20);
    kernel_encode_instance(&parts, &wire);
    struct hash256 hash = put(f, &wire);
    buf_fini(&wire);
    return hash;
}

/* Invoke endpoint 0; answers the exit reason. */
static inline uint32_t invoke(struct fixture *f, struct hash256 instance, uint64_t gas)
{
    static const uint64_t args[4] = {0, 0, 0, 0};
    struct kernel_result result;
    assert_int_equal(kernel_invoke(f->k, &instance, 0, args, gas, &result), ERR_ok);
    return result.exit_reason;
}

/* A cap of the directory whose hash is right. */
static inline struct kernel_cap cap_at(struct fixture *f, struct hash256 hash)
{
    struct kernel_cap cap;
    struct bytes wire;
    assert_int_equal(kernel_get(f->k, &hash, &wire), KERNEL_STATUS_OK);
    assert_int_equal(kernel_wire_decode(wire, &cap), KERNEL_STATUS_OK);
    struct hash256 again = kernel_cap_hash(&cap);
    assert_memory_equal(&again, &hash, sizeof hash);
    return cap;
}

#endif
