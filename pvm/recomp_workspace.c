/* SPDX-License-Identifier: MIT
 *
 * Memory for tables and code of native units: new, or a workspace's [10.5].
 */
#include "pvm/recomp_workspace.h"

#include "base/os.h"
#include "base/os_code.h"

/* What is larger is not kept. */
enum { KEEP_MAX = 64 << 20 };

struct pvm_recomp_workspace {
    bool taken;
    void *tables;
    size_t tables_size;
    struct os_code code;
};

enum err pvm_recomp_workspace_create(struct arena *arena,
                                     struct pvm_recomp_workspace **ret_workspace)
{
    struct pvm_recomp_workspace *workspace =
        arena_new(arena, struct pvm_recomp_workspace);
    if (!workspace)
        return ERR_nomem;
    workspace->code.fd = -1;
    *ret_workspace = workspace;
    return ERR_ok;
}

static void drop_tables(struct pvm_recomp_workspace *workspace)
{
    os_release(workspace->tables, workspace->tables_size);
    workspace->tables = NULL;
    workspace->tables_size = 0;
}

void pvm_recomp_workspace_close(struct pvm_recomp_workspace *workspace)
{
    if (!workspace)
        return;
    check(!workspace->taken);
    drop_tables(workspace);
    os_code_free(&workspace->code);
}

/* See to it that there is as much, and half as much again for the next one. */
static enum err grow(struct pvm_recomp_workspace *workspace, size_t tables_size,
                     size_t code_size)
{
    if (workspace->tables_size < tables_size) {
        drop_tables(workspace);
        size_t size = tables_size + tables_size / 2;
        TRY(os_reserve(size, &workspace->tables));
        workspace->tables_size = size;
    }
    if (workspace->code.size < code_size) {
        os_code_free(&workspace->code);
        TRY(os_code_create(code_size + code_size / 2, false, &workspace->code));
    }
    return ERR_ok;
}

enum err pvm_native_memory_take(struct native_unit *unit,
                                struct pvm_recomp_workspace *workspace,
                                size_t tables_size, size_t code_size)
{
    unit->workspace = NULL;
    unit->tables_size = tables_size;
    if (workspace && !workspace->taken && !unit->sandboxed &&
        tables_size + code_size <= KEEP_MAX &&
        grow(workspace, tables_size, code_size) == ERR_ok) {
        workspace->taken = true;
        unit->workspace = workspace;
        unit->tables = workspace->tables;
        *unit->memory = workspace->code;
        return ERR_ok;
    }
    TRY(os_reserve(tables_size, &unit->tables));
    return os_code_create(code_size, unit->sandboxed, unit->memory);
}

enum err pvm_native_memory_seal(struct native_unit *unit)
{
    return unit->workspace ? os_code_seal_front(unit->memory, unit->code_size)
                           : os_code_seal(unit->memory, unit->code_size);
}

void pvm_native_memory_give(struct native_unit *unit)
{
    struct pvm_recomp_workspace *workspace = unit->workspace;
    if (workspace) {
        workspace->taken = false;
        if (os_code_reopen(&workspace->code, unit->code_size))
            os_code_free(&workspace->code);
        return;
    }
    os_release(unit->tables, unit->tables_size);
    os_code_free(unit->memory);
}
