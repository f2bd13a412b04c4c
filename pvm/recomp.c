/* SPDX-License-Identifier: MIT
 *
 * The recompiler's front: programs that run as native code [10.3].
 */
#include "pvm/engine.h"

bool pvm_recomp_available(void)
{
    return false;
}

enum err pvm_program_recompile(struct arena *arena, const struct pvm_code *code,
                               const struct pvm_config *config, enum pvm_gas_log log,
                               const struct pvm_recomp_options *options,
                               struct pvm_program **ret_program)
{
    (void)arena, (void)code, (void)config, (void)log, (void)options, (void)ret_program;
    return ERR_unsupported;
}

void pvm_program_close(struct pvm_program *program)
{
    (void)program;
}

bool pvm_program_native(const struct pvm_program *program)
{
    (void)program;
    return false;
}

struct bytes pvm_program_native_code(const struct pvm_program *program,
                                     const void **ret_address)
{
    (void)program, (void)ret_address;
    return (struct bytes){0};
}

bool pvm_program_native_range(const struct pvm_program *program, uint32_t pc,
                              uint32_t *ret_offset, uint32_t *ret_size)
{
    (void)program, (void)pc, (void)ret_offset, (void)ret_size;
    return false;
}
