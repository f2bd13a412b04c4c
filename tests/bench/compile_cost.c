/* SPDX-License-Identifier: MIT
 *
 * Compile programs and do nothing else, for compile_cost.sh, which counts what
 * pvm_program_recompile() takes.
 *
 *   compile_cost FILE...
 *
 * Prints how many instructions the programs have.  Nothing of them is executed.  Exit
 * status 77: this machine has no recompiler.
 */
#include "base/os.h"
#include "pvm/pvm.h"

#include <stdio.h>
#include <stdlib.h>

enum { STATUS_SKIPPED = 77, FILE_SIZE_MAX = 16 << 20, ARENA_MAX = 1 << 28 };

static void die(const char *path, enum err err)
{
    (void)fprintf(stderr, "compile_cost: %s: %s\n", path, err_text(err));
    exit(1);
}

static uint64_t instruction_count(const struct pvm_code *code,
                                  const struct pvm_config *config)
{
    uint64_t count = 0;
    for (uint32_t pc = 0; pc < code->code.size; pc++)
        count += pvm_code_ok(code, config->profile, pc);
    return count;
}

static uint64_t compile(const char *path)
{
    const struct pvm_config config = pvm_config_default(PVM_PROFILE_JAVM);
    struct pvm_container container;
    struct pvm_program *program = NULL;
    struct arena arena;
    struct buf file;
    arena_init(&arena, ARENA_MAX);
    buf_init(&file, FILE_SIZE_MAX);
    enum err err = os_file_read(path, &file);
    if (!err)
        err = pvm_container_load(&arena, pvm_container_detect(buf_bytes(&file)),
                                 config.profile, buf_bytes(&file), (struct bytes){0},
                                 &container);
    if (!err)
        err = pvm_program_recompile(&arena, &container.code, &config, PVM_GAS_LOG_NONE,
                                    NULL, &program);
    if (err)
        die(path, err);
    uint64_t count = instruction_count(&container.code, &config);
    pvm_program_close(program);
    buf_fini(&file);
    arena_fini(&arena);
    return count;
}

int main(int argc, char **argv)
{
    uint64_t count = 0;
    if (!pvm_recomp_available())
        return STATUS_SKIPPED;
    for (int k = 1; k < argc; k++)
        count += compile(argv[k]);
    (void)printf("%llu\n", (unsigned long long)count);
    return 0;
}
