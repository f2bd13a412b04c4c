/* SPDX-License-Identifier: MIT
 *
 * Ecalls between memory, data caps and files [8.2].
 */
#include "kernel/internal.h"

static enum kernel_error find_data(const struct call *call, const struct hash256 *hash,
                                   struct bytes *ret_data)
{
    struct kernel_cap cap;
    enum kernel_error error =
        kernel_call_find(call, hash, KERNEL_KIND_DATA, KERNEL_ERROR_DataNotFound,
                         KERNEL_ERROR_NotData, &cap);
    if (!error)
        *ret_data = cap.data;
    return error;
}

/* Does [address, address + size) end within 2^32, with these rights everywhere? */
static bool memory_range(const struct call *call, uint32_t address, uint64_t size,
                         enum pvm_access access)
{
    return pvm_mem_accessible(call->state->mem, address, size, access);
}

/* ---- assist, each call noted ---- */

static uint64_t quota_get(struct kernel *kernel, uint64_t id)
{
    struct kernel_assist_call *note =
        kernel_journal_assist(kernel, KERNEL_ASSIST_QUOTA_GET);
    note->ok = true;
    note->arg[0] = id;
    note->answer = kernel_quota(kernel, id);
    return note->answer;
}

/* An entry that is there: less than it has. */
static void quota_set(struct kernel *kernel, uint64_t id, uint64_t value)
{
    struct kernel_assist_call *note =
        kernel_journal_assist(kernel, KERNEL_ASSIST_QUOTA_SET);
    note->ok = true;
    note->arg[0] = id;
    note->arg[1] = value;
    check(kernel_quota_seed(kernel, id, value, &note->answer) == KERNEL_STATUS_OK);
}

static const struct hash256 *file_open(struct kernel *kernel, uint64_t id)
{
    struct kernel_assist_call *note =
        kernel_journal_assist(kernel, KERNEL_ASSIST_FILE_OPEN);
    const struct hash256 *file = kernel_file(kernel, id);
    note->ok = file != NULL;
    note->arg[0] = id;
    if (file)
        note->hash = *file;
    return file;
}

static enum kernel_error file_save(struct kernel *kernel, const struct hash256 *hash,
                                   uint64_t quota, uint64_t size, uint64_t *ret_id)
{
    struct kernel_assist_call *note =
        kernel_journal_assist(kernel, KERNEL_ASSIST_FILE_SAVE);
    enum kernel_error error = kernel_assist_save_check(&kernel->assist, quota, size);
    note->ok = !error;
    note->arg[0] = quota;
    note->arg[1] = size;
    note->hash = *hash;
    if (!error)
        *ret_id = note->answer = kernel_assist_save(&kernel->assist, hash, quota, size);
    return error;
}

/* ---- ecalls ---- */

enum kernel_error kernel_call_read_data_cap(struct call *call)
{
    uint64_t *reg = call->state->reg;
    uint32_t address = (uint32_t)reg[8];
    struct hash256 hash;
    struct bytes data;
    enum kernel_error error = kernel_call_held(call, reg[7], &hash);
    if (!error)
        error = find_data(call, &hash, &data);
    if (error)
        return error;
    size_t size = reg[9] < data.size ? (size_t)reg[9] : data.size;
    if (size && !memory_range(call, address, size, PVM_ACCESS_RW))
        return KERNEL_ERROR_MemoryFault;
    if (size)
        check(pvm_mem_write(call->state->mem, address, data.data, size, NULL) ==
              ERR_ok);
    call->kernel->journal.written = (struct kernel_range){address, (uint32_t)size};
    reg[7] = size;
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_call_mint_data_cap(struct call *call)
{
    struct kernel *kernel = call->kernel;
    struct directory *directory = &kernel->directory;
    const uint64_t *reg = call->state->reg;
    uint32_t address = (uint32_t)reg[7];
    uint64_t size = reg[8], quota = reg[9];
    if (!memory_range(call, address, size, PVM_ACCESS_R))
        return KERNEL_ERROR_MemoryFault;
    enum kernel_error error = kernel_call_writable(call, reg[10]);
    if (error)
        return error;
    uint64_t debit = size ? pages_round(size) : PVM_PAGE_SIZE;
    uint64_t left = quota_get(kernel, quota);
    if (left < debit)
        return KERNEL_ERROR_QuotaExhausted;
    struct draft draft = kernel_draft_data(call->state->mem, address, size, debit,
                                           directory_end(directory));
    if (!kernel_directory_fits(directory, &draft, 1))
        return KERNEL_ERROR_DirectoryFull;
    kernel_publish(kernel, &draft);
    quota_set(kernel, quota, left - debit);
    kernel->journal.read = (struct kernel_range){address, (uint32_t)size};
    kernel_call_set(call, reg[10], &draft.hash);
    return KERNEL_ERROR_None;
}

enum kernel_error kernel_call_host_open(struct call *call)
{
    const uint64_t *reg = call->state->reg;
    const struct hash256 *file = file_open(call->kernel, reg[7]);
    struct bytes data;
    if (!file)
        return KERNEL_ERROR_UnknownFile;
    enum kernel_error error = find_data(call, file, &data);
    if (!error)
        error = kernel_call_writable(call, reg[8]);
    if (!error)
        kernel_call_set(call, reg[8], file);
    return error;
}

enum kernel_error kernel_call_host_save(struct call *call)
{
    uint64_t *reg = call->state->reg;
    struct hash256 hash;
    struct bytes data;
    enum kernel_error error = kernel_call_held(call, reg[7], &hash);
    if (!error)
        error = find_data(call, &hash, &data);
    if (!error)
        error = file_save(call->kernel, &hash, reg[8], data.size, &reg[7]);
    return error;
}
