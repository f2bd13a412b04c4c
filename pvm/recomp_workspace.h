/* SPDX-License-Identifier: MIT
 *
 * pvm/recomp_workspace.h - memory for tables and code of native units.
 * Private to pvm/recomp*.c; pvm.h says what a workspace is for.
 */
#ifndef PVM_RECOMP_WORKSPACE_H
#define PVM_RECOMP_WORKSPACE_H

#include "pvm/native.h"

/* Memory for a unit that is about to be compiled: of the workspace, if there is one
 * and it can have it, else new.  Sets the unit's tables, memory and workspace.  The
 * memory is zero only where it is new.  ERR_nomem. */
ERR_MUST_CHECK enum err pvm_native_memory_take(struct native_unit *unit,
                                               struct pvm_recomp_workspace *workspace,
                                               size_t tables_size, size_t code_size);

/* Make the unit's code executable and read-only.  As os_code_seal(). */
ERR_MUST_CHECK enum err pvm_native_memory_seal(struct native_unit *unit);

/* Give back what was taken, sealed or not; fine if nothing was. */
void pvm_native_memory_give(struct native_unit *unit);

#endif
