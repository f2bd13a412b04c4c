/* SPDX-License-Identifier: MIT
 *
 * Configuration, and the layout of a kernel's memory.
 */
#include "kernel/internal.h"

#include <string.h>

struct kernel_config kernel_config_default(void)
{
    return (struct kernel_config){.flags = KERNEL_TRACE | KERNEL_MEM_DIGEST,
                                  .max_depth = 256,
                                  .gas_table_id = 257,
                                  .max_frame_mem = (uint64_t)256 << 20,
                                  .max_stack_mem = (uint64_t)1 << 30,
                                  .max_dir_bytes = (uint64_t)1 << 30,
                                  .max_dir_caps = 1 << 20,
                                  .max_assist_entries = 65536,
                                  .max_trace_records = 1 << 20,
                                  .engine = KERNEL_ENGINE_INTERP};
}

static struct pvm_config pvm_config_of(const struct kernel_config *config)
{
    struct pvm_config pvm = pvm_config_default(PVM_PROFILE_JAVM);
    pvm.model = config->gas_table_id;
    return pvm;
}

/* Bounds that keep every sum of sizes far from 2^64, and mem_size in 32 bits. */
#define FRAME_MEM_MAX (((uint64_t)1 << 32) - PVM_PAGE_SIZE)
#define BYTES_MAX ((uint64_t)1 << 40)
enum {
    DEPTH_MAX = 4096,
    CAPS_MAX = 1 << 26,
    ASSIST_MAX = 1 << 24,
    RECORDS_MAX = 1 << 24
};

enum kernel_status kernel_config_check(const struct kernel_config *c)
{
    struct pvm_config pvm = pvm_config_of(c);
    bool good = !(c->flags & ~(uint32_t)KERNEL_FLAGS_ALL) && c->max_depth >= 1 &&
                c->max_depth <= DEPTH_MAX && c->max_frame_mem <= FRAME_MEM_MAX &&
                c->max_stack_mem <= BYTES_MAX && c->max_dir_bytes <= BYTES_MAX &&
                c->max_frame_mem % PVM_PAGE_SIZE == 0 &&
                c->max_stack_mem % PVM_PAGE_SIZE == 0 && c->max_dir_caps <= CAPS_MAX &&
                c->max_assist_entries <= ASSIST_MAX &&
                c->max_trace_records <= RECORDS_MAX &&
                c->engine <= KERNEL_ENGINE_RECOMP && pvm_config_check(&pvm) == ERR_ok;
    return good ? KERNEL_STATUS_OK : KERNEL_STATUS_BAD_VALUE;
}

/* ---- memory ---- */

/* Behind the directory's content: the caps that one operation makes.  The largest are a
 * cnode of 2^16 slots and an instance or data with all that a frame can have mapped. */
static uint64_t draft_size_max(const struct kernel_config *config)
{
    return 2 * config->max_frame_mem + ((uint64_t)8 << 20);
}

/* The next `count` items of `size` bytes; NULL base only adds up. */
static void *place(uint8_t *base, uint64_t *at, uint64_t count, uint64_t size)
{
    void *item = base ? base + *at : NULL;
    *at = (*at + count * size + 63) / 64 * 64;
    return item;
}

static uint32_t index_size(uint32_t count_max)
{
    uint32_t size = 16;
    while (size < 2 * count_max)
        size *= 2;
    return size;
}

/* What a record takes but for yields through many catchers. */
enum { RECORD_ROOM = 640 };

/* Assist calls of one ecall: a yield asks each frame's catcher. */
static uint32_t assist_call_max(const struct kernel_config *config)
{
    return config->max_depth + 4;
}

static uint64_t lay_out(struct directory *d, struct assist *a, struct trace_store *t,
                        uint8_t *base, const struct kernel_config *config)
{
    uint64_t at = 0, n = config->max_assist_entries;
    d->index = place(base, &at, index_size(config->max_dir_caps), sizeof *d->index);
    d->blob = place(base, &at, config->max_dir_caps, sizeof *d->blob);
    a->quota = place(base, &at, n, sizeof *a->quota);
    a->meter = place(base, &at, n, sizeof *a->meter);
    a->file = place(base, &at, n, sizeof *a->file);
    a->catcher = place(base, &at, n, sizeof *a->catcher);
    a->marker = place(base, &at, n, sizeof *a->marker);
    uint64_t record_max = kernel_record_size_max(assist_call_max(config));
    t->size_max = (uint64_t)config->max_trace_records * RECORD_ROOM + record_max;
    t->scratch = place(base, &at, 1, HASH256_SIZE + record_max);
    t->record = place(base, &at, t->size_max, 1);
    d->content = place(base, &at, config->max_dir_bytes + draft_size_max(config), 1);
    return at;
}

size_t kernel_memory_size(const struct kernel_config *config)
{
    struct directory directory;
    struct assist assist;
    struct trace_store trace;
    return (size_t)lay_out(&directory, &assist, &trace, NULL, config);
}

/* ---- life ---- */

enum { PROGRAM_SPARE = 64 };

static void ids_init(struct kernel *kernel)
{
    for (int i = 0; i < KERNEL_ID_COUNT; i++)
        kernel->id[i] = kernel_id(kernel_id_name[i]);
    kernel->oog_marker = kernel_id("oog_marker");
}

enum err kernel_create(struct arena *arena, const struct kernel_config *config,
                       void *memory, const struct kernel_host *host,
                       struct kernel **ret_kernel)
{
    if (kernel_config_check(config))
        return ERR_usage;
    struct kernel *k = arena_new(arena, struct kernel);
    if (!k)
        return ERR_nomem;
    k->config = *config;
    k->pvm_config = pvm_config_of(config);
    k->host = *host;
    k->program_count = config->max_depth + PROGRAM_SPARE;
    k->stack = arena_new_array(arena, struct frame, config->max_depth);
    k->program = arena_new_array(arena, struct program, k->program_count);
    k->journal.assist_max = assist_call_max(config);
    k->journal.assist =
        arena_new_array(arena, struct kernel_assist_call, k->journal.assist_max);
    if (!k->stack || !k->program || !k->journal.assist)
        return ERR_nomem;
    TRY(pvm_engine_create(arena, &k->engine));
    TRY(kernel_programs_begin(k, arena));
    (void)lay_out(&k->directory, &k->assist, &k->trace, memory, config);
    k->trace.count_max = config->max_trace_records;
    k->directory.index_mask = index_size(config->max_dir_caps) - 1;
    k->directory.count_max = config->max_dir_caps;
    k->directory.used_max = config->max_dir_bytes;
    k->assist.count_max = config->max_assist_entries;
    k->assist.file_next = 1;
    ids_init(k);
    kernel_work_init(k);
    *ret_kernel = k;
    return ERR_ok;
}

void kernel_close(struct kernel *kernel)
{
    if (!kernel)
        return;
    while (kernel->stack_size)
        (void)kernel_pop(kernel);
    kernel_spaces_close(kernel);
    kernel_programs_close(kernel);
    kernel_work_close(kernel);
}

const struct kernel_outcome *kernel_last_outcome(const struct kernel *kernel)
{
    return &kernel->outcome;
}

uint32_t kernel_stack_size(const struct kernel *kernel)
{
    return kernel->stack_size;
}

uint64_t kernel_icount(const struct kernel *kernel)
{
    return kernel->icount;
}
