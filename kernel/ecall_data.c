/* SPDX-License-Identifier: MIT
 *
 * Ecalls between memory, data caps and files [8.2].
 */
#include "kernel/internal.h"

static enum kernel_error find_data(const struct call *call, const struct slot *target,
                                   struct kernel_cap *ret_data)
{
    return kernel_call_find(call, target, KERNEL_KIND_DATA, KERNEL_ERROR_DataNotFound,
                            KERNEL_ERROR_NotData, ret_data);
}

static uint64_t data_size(const struct kernel_cap *data)
{
    return data->paged ? (uint64_t)data->pages.page_size * data->pages.count
                       : data->data.size;
}

/* Are the pages of [0, size) all here? */
static bool data_present(const struct kernel_cap *data, uint64_t size)
{
    for (uint32_t i = 0; data->paged && (uint64_t)i * data->pages.page_size < size;
         i++) {
        if (kernel_pages_at(&data->pages, i).state == KERNEL_PAGE_MISSING)
            return false;
    }
    return true;
}

/* Write the first `size` bytes to guest memory, which takes them. */
static void data_write(struct pvm_mem *mem, uint32_t address,
                       const struct kernel_cap *data, uint64_t size)
{
    static const uint8_t zeros[PVM_PAGE_SIZE];
    if (!data->paged) {
        check(pvm_mem_write(mem, address, data->data.data, size, NULL) == ERR_ok);
        return;
    }
    uint32_t page_size = data->pages.page_size;
    for (uint64_t at = 0; at < size; at += page_size) {
        struct kernel_page page =
            kernel_pages_at(&data->pages, (uint32_t)(at / page_size));
        uint64_t part = size - at < page_size ? size - at : page_size;
        check(pvm_mem_write(mem, address + (uint32_t)at,
                            page.bytes ? page.bytes : zeros, part, NULL) == ERR_ok);
    }
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

static struct kernel_assist_call *note_save(struct kernel *kernel,
                                            const struct hash256 *hash, uint64_t quota,
                                            uint64_t size)
{
    struct kernel_assist_call *note =
        kernel_journal_assist(kernel, KERNEL_ASSIST_FILE_SAVE);
    note->arg[0] = quota;
    note->arg[1] = size;
    note->hash = *hash;
    return note;
}

static void file_refused(struct kernel *kernel, const struct hash256 *hash,
                         uint64_t quota, uint64_t size)
{
    (void)note_save(kernel, hash, quota, size);
}

/* kernel_assist_save_check() was fine. */
static uint64_t file_save(struct kernel *kernel, const struct hash256 *hash,
                          uint64_t quota, uint64_t size)
{
    struct kernel_assist_call *note = note_save(kernel, hash, quota, size);
    note->ok = true;
    note->answer = kernel_assist_save(&kernel->assist, hash, quota, size);
    return note->answer;
}

/* ---- ecalls ---- */

enum kernel_error kernel_call_read_data_cap(struct call *call)
{
    uint64_t *reg = call->state->reg;
    uint32_t address = (uint32_t)reg[8];
    struct slot target;
    struct kernel_cap data;
    enum kernel_error error = kernel_call_target(call, reg[7], &target);
    if (!error)
        error = find_data(call, &target, &data);
    if (error)
        return error;
    uint64_t whole = data_size(&data), size = reg[9] < whole ? reg[9] : whole;
    if (!data_present(&data, size))
        return KERNEL_ERROR_PageMissing;
    if (size && !memory_range(call, address, size, PVM_ACCESS_RW))
        return KERNEL_ERROR_MemoryFault;
    if (size)
        data_write(call->state->mem, address, &data, size);
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
    struct kernel_cap data;
    if (!file)
        return KERNEL_ERROR_UnknownFile;
    const struct slot target = slot_of_hash(file);
    enum kernel_error error = find_data(call, &target, &data);
    if (!error)
        error = kernel_call_writable(call, reg[8]);
    if (!error)
        kernel_call_set(call, reg[8], file);
    return error;
}

enum kernel_error kernel_call_host_save(struct call *call)
{
    struct kernel *kernel = call->kernel;
    uint64_t *reg = call->state->reg;
    struct slot target;
    struct kernel_cap data;
    enum kernel_error error = kernel_call_target(call, reg[7], &target);
    if (!error)
        error = find_data(call, &target, &data);
    if (error)
        return error;
    uint64_t size = data_size(&data);
    error = kernel_assist_save_check(&kernel->assist, reg[8], size);
    if (!error)
        error = kernel_slot_settle(kernel, &target);
    if (!error)
        reg[7] = file_save(kernel, &target.hash, reg[8], size);
    else if (error == KERNEL_ERROR_QuotaExhausted ||
             error == KERNEL_ERROR_AssistRefused)
        file_refused(kernel, &target.hash, reg[8], size);
    return error;
}
