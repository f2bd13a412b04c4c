/* SPDX-License-Identifier: MIT
 *
 * A saved state of a kernel from any bytes: size of the caps (u32), the caps, each its
 * size (u32) and its encoding, and the state.  No crash; what is accepted can run, by
 * both engines with the same end, and is the same bytes when it is saved again.
 *
 * Caps are found by their hash, so a mutation of one is carried on to whoever names it.
 */
#include "kernel/internal.h"
#include "kernel/saved.h"

#include "base/os.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
    __attribute__((weak));

enum { GAS_MAX = 2000, CAP_MAX = 512 };

/* ---- a kernel of one engine ---- */

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

/* Written pages are zeros, or these bytes again and again. */
static const uint8_t *give_page(void *self, uint64_t index)
{
    static uint8_t page[PVM_PAGE_SIZE];
    const struct bytes *data = self;
    if (!data->size)
        return NULL;
    for (size_t at = 0; at < sizeof page; at++)
        page[at] = data->data[(at + index) % data->size];
    return page;
}

/* What a recorder has seen, as one number. */
static void see(uint64_t *seen, const struct pvm_state *state, const uint64_t word[6],
                struct bytes bits, struct bytes targets)
{
    const uint64_t own[] = {*seen, state->pc, state->gas, state->icount};
    const struct bytes piece[] = {bytes_of(own, sizeof own),
                                  bytes_of(word, 6 * sizeof *word), bits, targets};
    *seen = hash_xxh3_of_pieces(piece, countof(piece));
}

static void see_segment(void *self, const struct pvm_state *state,
                        const struct pvm_segment *s)
{
    const uint64_t word[] = {(uint64_t)s->pc << 32 | s->start,
                             s->n,
                             s->gas,
                             (uint64_t)s->end << 32 | s->end_pc,
                             (uint64_t)s->nbits << 32 | s->extra_count,
                             s->hash};
    see(self, state, word, s->bits, s->targets);
}

static void see_charge(void *self, const struct pvm_state *state,
                       enum pvm_charge_kind kind, uint32_t where, uint64_t cost)
{
    const uint64_t word[6] = {kind, where, cost};
    see(self, state, word, (struct bytes){0}, (struct bytes){0});
}

struct side {
    struct arena arena;
    void *memory;
    uint64_t seen;
    struct kernel_config config;
    struct kernel_observer observer;
    struct kernel_host host;
    struct kernel *kernel;
    enum err err; /* how the run ended */
    struct kernel_result result;
};

/* `choice` decides what both sides have to record. */
static void open_side(struct side *side, enum kernel_engine engine, uint64_t choice)
{
    struct kernel_config *config = &side->config;
    *side = (struct side){.config = kernel_config_default()};
    config->engine = engine;
    config->flags = choice >> 2 & (KERNEL_STATEFUL_CHILDREN | KERNEL_STRICT_RETURN);
    config->flags |= KERNEL_TRACE | KERNEL_MEM_DIGEST;
    config->max_depth = 16;
    config->max_dir_caps = 4096;
    config->max_dir_bytes = (uint64_t)1 << 24;
    config->max_frame_mem = (uint64_t)1 << 22;
    config->max_stack_mem = (uint64_t)1 << 24;
    config->max_assist_entries = 256;
    side->observer = (struct kernel_observer){.self = &side->seen,
                                              .gas_log = (enum pvm_gas_log)(choice & 3),
                                              .segment = see_segment,
                                              .charge = see_charge};
    /* A sanitizer has the signals. */
    side->host = (struct kernel_host){.space_take = space_take,
                                      .space_give = space_give,
                                      .recomp = {.explicit_checks = true},
                                      .observer = &side->observer};
    arena_init(&side->arena, (size_t)1 << 26);
    check(!os_reserve(kernel_memory_size(config), &side->memory));
    check(
        !kernel_create(&side->arena, config, side->memory, &side->host, &side->kernel));
}

static void close_side(struct side *side)
{
    kernel_close(side->kernel);
    os_release(side->memory, kernel_memory_size(&side->config));
    arena_fini(&side->arena);
}

/* ---- loading ---- */

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

static bool load(struct kernel *kernel, const uint8_t *data, size_t size,
                 uint64_t choice)
{
    struct bytes pages = bytes_of(data, choice & 16 ? size : 0);
    uint32_t caps_size = kernel_u32(data);
    data += 4;
    size -= 4;
    kernel_state_clear(kernel);
    if (caps_size > size || !load_caps(kernel, data, caps_size))
        return false;
    struct bytes state = bytes_of(data + caps_size, size - caps_size);
    if (kernel_state_load(kernel, state, give_page, &pages))
        return false;
    check_same(kernel, state);
    return true;
}

/* ---- running ---- */

/* Does the top frame run on the engine that this side is about? */
static void check_engine(const struct side *side)
{
    const struct frame *top = kernel_top(side->kernel);
    bool recomp = side->config.engine == KERNEL_ENGINE_RECOMP && pvm_recomp_available();
    check(top->reference || pvm_program_native(top->program->program) == recomp);
}

/* To the end of the invocation; one that pauses is resumed once. */
static void go_on(struct side *side)
{
    struct kernel *kernel = side->kernel;
    if (!kernel->stack_size)
        return;
    check_engine(side);
    kernel->gas = kernel->gas < GAS_MAX ? kernel->gas : GAS_MAX;
    if (!kernel_top(kernel)->reference)
        side->err = kernel_go_on(kernel, &side->result);
    if (!side->err && kernel->stack_size)
        side->err = kernel_resume(kernel, 0, NULL, GAS_MAX, &side->result);
}

/* All that can be asked of a kernel. */
static void put_end(struct side *side, struct buf *end)
{
    const struct kernel_outcome *o = kernel_last_outcome(side->kernel);
    const struct kernel_result *r = &side->result;
    const uint64_t word[] = {side->err,          r->exit_reason,
                             r->exit_arg,        r->return_value,
                             r->gas_remaining,   (uint64_t)o->variant,
                             (uint64_t)o->error, (uint64_t)o->cause,
                             o->gas_used,        o->stack_size,
                             o->frame,           o->pc,
                             o->trace_count,     kernel_icount(side->kernel),
                             side->seen};
    buf_put(end, word, sizeof word);
    buf_put(end, o->reg, sizeof o->reg);
    kernel_put_hash(end, &o->post_instance);
    kernel_put_hash(end, &o->slot0);
    kernel_put_hash(end, &o->mem_digest);
    kernel_put_hash(end, &o->trace_digest);
    kernel_state_dump(side->kernel, end);
    check(!end->err);
}

/* Where the machine itself could not go on there is nothing to compare. */
static void compare(struct side *interp, struct side *recomp)
{
    struct buf want, got;
    buf_init(&want, SIZE_MAX);
    buf_init(&got, SIZE_MAX);
    put_end(interp, &want);
    put_end(recomp, &got);
    check(want.size == got.size && !memcmp(want.data, got.data, want.size));
    buf_fini(&want);
    buf_fini(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct side interp, recomp;
    uint64_t choice = hash_xxh3(data, size);
    if (size < 4)
        return 0;
    open_side(&interp, KERNEL_ENGINE_INTERP, choice);
    if (load(interp.kernel, data, size, choice)) {
        open_side(&recomp, KERNEL_ENGINE_RECOMP, choice);
        check(load(recomp.kernel, data, size, choice));
        go_on(&interp);
        go_on(&recomp);
        compare(&interp, &recomp);
        close_side(&recomp);
    }
    close_side(&interp);
    return 0;
}

/* ---- mutations ---- */

struct named {
    uint8_t *at;
    uint32_t size;
    struct hash256 hash;
};

/* The hash of what can be a cap. */
static bool hash_cap(struct bytes wire, struct hash256 *ret_hash)
{
    const struct kernel_config config = kernel_config_default();
    struct kernel_cap view;
    if (kernel_wire_decode(wire, &view) || kernel_cap_check(&view, &config))
        return false;
    *ret_hash = kernel_cap_hash(&view);
    return true;
}

/* The caps of an input; 0: these are none. */
static size_t find_caps(uint8_t *data, size_t size, struct named cap[CAP_MAX])
{
    size_t count = 0, left = size < 4 ? 0 : kernel_u32(data);
    uint8_t *at = data + 4;
    if (size < 4 || left > size - 4)
        return 0;
    while (left >= 4 && count < CAP_MAX) {
        struct named *next = &cap[count++];
        *next = (struct named){.at = at + 4, .size = kernel_u32(at)};
        if (next->size > left - 4 ||
            !hash_cap(bytes_of(next->at, next->size), &next->hash))
            return 0;
        at += 4 + (size_t)next->size;
        left -= 4 + (size_t)next->size;
    }
    return left ? 0 : count;
}

static void rename_all(uint8_t *data, size_t size, const struct hash256 *from,
                       const struct hash256 *to)
{
    for (size_t at = 0; at + HASH256_SIZE <= size; at++) {
        if (memcmp(data + at, from->byte, HASH256_SIZE) == 0)
            memcpy(data + at, to->byte, HASH256_SIZE);
    }
}

/* A cap has changed: so have those that name it. */
static void carry_on(uint8_t *data, size_t size, struct named cap[CAP_MAX],
                     size_t count)
{
    bool changed = true;
    for (size_t round = 0; changed && round < CAP_MAX; round++) {
        changed = false;
        for (size_t i = 0; i < count; i++) {
            struct hash256 now;
            if (!hash_cap(bytes_of(cap[i].at, cap[i].size), &now))
                return;
            if (hash256_equal(&now, &cap[i].hash))
                continue;
            rename_all(data, size, &cap[i].hash, &now);
            cap[i].hash = now;
            changed = true;
        }
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned int seed)
{
    static struct named cap[CAP_MAX];
    size_t count = seed % 4 ? find_caps(data, size, cap) : 0;
    if (!count)
        return LLVMFuzzerMutate(data, size, max_size);
    size_t state = 4 + (size_t)kernel_u32(data); /* small beside the caps */
    if (seed % 4 == 1)
        return state + LLVMFuzzerMutate(data + state, size - state, max_size - state);
    const struct named *chosen = &cap[seed / 4 % count];
    /* In place, as nothing knows of another size; often somewhere behind the header. */
    size_t skip = seed / 4096 % 2 && chosen->size > 1 ? seed % chosen->size : 0;
    (void)LLVMFuzzerMutate(chosen->at + skip, chosen->size - skip, chosen->size - skip);
    carry_on(data, size, cap, count);
    return size;
}
