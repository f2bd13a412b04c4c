/* SPDX-License-Identifier: MIT
 *
 * Predecoded programs of images.  The only place that knows which engine runs them.
 *
 * Each has an arena of its own, so that those that no frame runs can go when memory is
 * short.  None of this can be observed by a guest.
 */
#include "kernel/internal.h"

#define PROGRAM_BYTES_MAX ((size_t)2 << 30)
#define CODE_CACHE_BYTES_MAX ((size_t)64 << 20)

enum err kernel_programs_begin(struct kernel *kernel, struct arena *arena)
{
    if (kernel->host.recomp.cache)
        return ERR_ok;
    return pvm_recomp_cache_create(arena, CODE_CACHE_BYTES_MAX, &kernel->code_cache);
}

static enum err program_create(struct program *p, const struct kernel *kernel)
{
    bool recompile =
        kernel->config.engine == KERNEL_ENGINE_RECOMP && pvm_recomp_available();
    const struct kernel_observer *observer = kernel->host.observer;
    enum pvm_gas_log log = observer ? observer->gas_log : PVM_GAS_LOG_NONE;
    struct pvm_recomp_options options = kernel->host.recomp;
    if (kernel->code_cache)
        options.cache = kernel->code_cache;
    if (recompile)
        return pvm_program_recompile(&p->arena, &p->code, &kernel->pvm_config, log,
                                     &options, &p->program);
    return pvm_program_create(&p->arena, &p->code, &kernel->pvm_config, log,
                              &p->program);
}

static void program_close(struct program *p)
{
    pvm_program_close(p->program);
    arena_fini(&p->arena);
    *p = (struct program){.program = NULL};
}

/* The oldest program that nobody runs, an empty place at best. */
static struct program *program_oldest(struct kernel *kernel, bool empty)
{
    struct program *oldest = NULL;
    for (uint32_t i = 0; i < kernel->program_count; i++) {
        struct program *p = &kernel->program[i];
        if (p->use_count || (!empty && !p->program))
            continue;
        if (!oldest || p->stamp < oldest->stamp)
            oldest = p;
    }
    return oldest;
}

/* Bytes that may still be spent, after unused programs have gone if need be. */
static size_t program_room(struct kernel *kernel, size_t wanted)
{
    for (;;) {
        size_t used = 0;
        for (uint32_t i = 0; i < kernel->program_count; i++)
            used += kernel->program[i].arena.used;
        size_t room = used < PROGRAM_BYTES_MAX ? PROGRAM_BYTES_MAX - used : 0;
        struct program *oldest = program_oldest(kernel, false);
        if (room >= wanted || !oldest)
            return room;
        program_close(oldest);
    }
}

struct pvm_code kernel_image_code(const struct kernel_image *image)
{
    return (struct pvm_code){.code = image->code,
                             .bitmask = image->bitmask.data,
                             .jump = image->jump.data,
                             .jump_count = (uint32_t)(image->jump.size / 4),
                             .jump_width = 4};
}

enum err kernel_program_take(struct kernel *kernel, const struct hash256 *hash,
                             const struct kernel_image *image,
                             struct program **ret_program)
{
    struct program *p = NULL;
    for (uint32_t i = 0; i < kernel->program_count && !p; i++) {
        if (kernel->program[i].program &&
            hash256_equal(&kernel->program[i].image, hash))
            p = &kernel->program[i];
    }
    if (!p) {
        /* About what the records of an image take. */
        size_t room = program_room(kernel, 128 * image->code.size + (1 << 20));
        p = program_oldest(kernel, true);
        check(p); /* there are more places than frames */
        if (p->program)
            program_close(p);
        p->image = *hash;
        p->code = kernel_image_code(image);
        arena_init(&p->arena, room);
        enum err err = program_create(p, kernel);
        if (err) {
            program_close(p);
            return err;
        }
    }
    p->use_count++;
    p->stamp = ++kernel->program_stamp;
    p->serial = p->serial ? p->serial : p->stamp;
    *ret_program = p;
    return ERR_ok;
}

void kernel_program_give(struct program *program)
{
    if (program)
        program->use_count--;
}

void kernel_programs_close(struct kernel *kernel)
{
    for (uint32_t i = 0; i < kernel->program_count; i++)
        program_close(&kernel->program[i]);
    pvm_recomp_cache_close(kernel->code_cache);
}
