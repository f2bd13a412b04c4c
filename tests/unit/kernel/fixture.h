/* SPDX-License-Identifier: MIT
 *
 * tests/unit/kernel/fixture.h - a kernel in this process, caps to put into it, and
 * ecalls with the handler called directly: the fixture of pvm-kernel.md 11.1.
 */
#ifndef TESTS_UNIT_KERNEL_FIXTURE_H
#define TESTS_UNIT_KERNEL_FIXTURE_H

#include "base/os.h"
#include "kernel/internal.h"

#include "tests/test.h"

#include <string.h>

enum { MEMORY_PAGES = 2 };

struct fixture {
    struct arena arena;
    struct kernel *k;
    void *memory;
    size_t memory_size;
    int space_count; /* address spaces that the kernel has */
};

static inline void *space_take(void *self)
{
    void *space = NULL;
    ((struct fixture *)self)->space_count++;
    return os_reserve(PVM_MEM_RESERVE_SIZE, &space) == ERR_ok ? space : NULL;
}

static inline void space_give(void *self, void *space)
{
    ((struct fixture *)self)->space_count--;
    os_release(space, PVM_MEM_RESERVE_SIZE);
}

static inline struct hash256 filled(uint8_t byte)
{
    struct hash256 hash;
    memset(hash.byte, byte, sizeof hash.byte);
    return hash;
}

static inline struct frame *top(struct fixture *f)
{
    return kernel_top(f->k);
}

static inline void set(struct fixture *f, uint32_t slot, struct hash256 hash)
{
    top(f)->cnode.slot[slot] = (struct slot){.used = true, .hash = hash};
}

static inline bool holds(struct fixture *f, uint32_t slot, struct hash256 hash)
{
    const struct slot *s = &top(f)->cnode.slot[slot];
    return s->used && hash256_equal(&s->hash, &hash);
}

/* A kernel without an entry, small enough that tests meet its limits. */
static inline void create_with(struct fixture *f, uint32_t records, uint32_t depth,
                               enum kernel_engine engine)
{
    struct kernel_config config = kernel_config_default();
    struct kernel_host host = {
        .self = f, .space_take = space_take, .space_give = space_give};
    *f = (struct fixture){.k = NULL};
    config.max_dir_caps = 64;
    config.max_dir_bytes = 1 << 20;
    config.max_depth = depth;
    config.max_trace_records = records;
    config.engine = engine;
    f->memory_size = kernel_memory_size(&config);
    arena_init(&f->arena, 64 << 20);
    assert_int_equal(os_reserve(f->memory_size, &f->memory), ERR_ok);
    assert_int_equal(kernel_create(&f->arena, &config, f->memory, &host, &f->k),
                     ERR_ok);
}

static inline void create(struct fixture *f, uint32_t records,
                          enum kernel_engine engine)
{
    create_with(f, records, 3, engine);
}

static inline void create_deep(struct fixture *f, uint32_t depth,
                               enum kernel_engine engine)
{
    create_with(f, 1000, depth, engine);
}

/* One running entry: 16 slots, slot 2 = AA, chain 01, image 02, gas 1000. */
static inline void start(struct fixture *f, bool detached)
{
    create(f, 1000, KERNEL_ENGINE_INTERP);
    f->k->detached = detached;
    f->k->stack_size = 1;
    *top(f) = (struct frame){
        .chain = filled(1), .image_hash = filled(2), .call_slot = NO_SLOT};
    top(f)->cnode.size_log = 4;
    top(f)->state.gas = 1000;
    set(f, 2, filled(0xaa));
}

/* Two pages of memory from 0 up, readable and writable. */
static inline void map_memory(struct fixture *f)
{
    top(f)->state.mem = kernel_space_take(f->k);
    assert_int_equal(pvm_mem_map(top(f)->state.mem, 0, MEMORY_PAGES * PVM_PAGE_SIZE,
                                 PVM_ACCESS_RW, bytes_of(NULL, 0)),
                     ERR_ok);
}

static inline void stop(struct fixture *f)
{
    kernel_close(f->k);
    assert_int_equal(f->space_count, 0);
    os_release(f->memory, f->memory_size);
    arena_fini(&f->arena);
}

static inline struct hash256 put(struct fixture *f, const struct buf *wire)
{
    struct hash256 hash = {{0}};
    assert_int_equal(kernel_put(f->k, buf_bytes(wire), &hash), KERNEL_STATUS_OK);
    return hash;
}

static inline struct hash256 put_bytes(struct fixture *f, const char *head, size_t size,
                                       size_t padded)
{
    struct buf wire;
    buf_init(&wire, 1 << 20);
    buf_put(&wire, head, size);
    if (padded > size)
        memset(buf_extend(&wire, padded - size), 0, padded - size);
    struct hash256 hash = put(f, &wire);
    buf_fini(&wire);
    return hash;
}

/* Data of `pages` pages that begins with `text`. */
static inline struct hash256 put_data(struct fixture *f, const char *text, size_t pages)
{
    char head[64] = "\x02\x04";
    memcpy(head + 5, text, strlen(text));
    return put_bytes(f, head, 5 + strlen(text), 5 + pages * PVM_PAGE_SIZE);
}

static inline struct hash256 put_cnode(struct fixture *f, uint8_t size_log)
{
    char wire[6] = {3, (char)size_log, 5, 0, 0, 0};
    return put_bytes(f, wire, sizeof wire, 0);
}

static inline struct hash256 put_type(struct fixture *f, uint8_t byte)
{
    char wire[33] = {4};
    memset(wire + 1, byte, 32);
    return put_bytes(f, wire, sizeof wire, 0);
}

static inline void u32(struct buf *buf, uint32_t value)
{
    uint8_t bytes[4];
    kernel_u32_put(bytes, value);
    buf_put(buf, bytes, sizeof bytes);
}

/* "ecalli 0" with `endpoints` endpoints of zeros; one pinned entry, or none. */
static inline struct hash256 put_image(struct fixture *f, uint32_t endpoints,
                                       const struct hash256 *pinned, uint32_t slot)
{
    struct buf wire;
    uint32_t at = 35 + endpoints * KERNEL_ENDPOINT_SIZE;
    uint32_t behind = at + (pinned ? KERNEL_ENTRY_SIZE : 0);
    const uint32_t offset[] = {32, 34, 35, 35, at, at, behind, behind};
    buf_init(&wire, 1 << 20);
    buf_byte(&wire, KERNEL_KIND_IMAGE);
    for (size_t i = 0; i < countof(offset); i++)
        u32(&wire, offset[i]);
    buf_put(&wire, "\x0a\x00\x01", 3);
    memset(buf_extend(&wire, at - 35), 0, at - 35);
    if (pinned) {
        u32(&wire, slot);
        buf_put(&wire, pinned->byte, HASH256_SIZE);
    }
    buf_byte(&wire, 0);
    struct hash256 hash = put(f, &wire);
    buf_fini(&wire);
    return hash;
}

static inline struct hash256 put_instance(struct fixture *f, struct hash256 chain,
                                          struct hash256 image, struct hash256 cnode)
{
    struct buf wire;
    buf_init(&wire, 1 << 20);
    buf_byte(&wire, KERNEL_KIND_INSTANCE);
    buf_put(&wire, chain.byte, HASH256_SIZE);
    buf_put(&wire, image.byte, HASH256_SIZE);
    buf_put(&wire, cnode.byte, HASH256_SIZE);
    u32(&wire, 224);
    memset(buf_extend(&wire, 124), 0, 124);
    struct hash256 hash = put(f, &wire);
    buf_fini(&wire);
    return hash;
}

/* ---- calling ---- */

static struct pvm_outcome last;

/* The error of op with these operands in phi7.. ; None when it did not trap. */
static inline enum kernel_error call(struct fixture *f, uint32_t op, uint64_t r7,
                                     uint64_t r8, uint64_t r9, uint64_t r10)
{
    struct pvm_state spare = {.gas = 0};
    struct pvm_state *s = f->k->stack_size ? &top(f)->state : &spare;
    const uint64_t reg[] = {r7, r8, r9, r10};
    memcpy(s->reg + 7, reg, sizeof reg);
    f->k->trap_error = KERNEL_ERROR_None;
    last = (struct pvm_outcome){.exit = PVM_EXIT_STOPPED};
    enum pvm_answer answer = kernel_dispatch(f->k, s, PVM_EXIT_HOST_CALL, op, 0, &last);
    assert_int_equal(answer == PVM_ANSWER_EXIT, last.exit != PVM_EXIT_STOPPED);
    assert_int_equal(last.exit == PVM_EXIT_TRAP, f->k->trap_error != KERNEL_ERROR_None);
    return f->k->trap_error;
}

#define expect(f, error, ...)                                                          \
    assert_string_equal(kernel_error_name(call(f, __VA_ARGS__)), #error)

#endif
