/* SPDX-License-Identifier: MIT */
#include "analysis/x86.h"

#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>

struct analysis_x86 {
    csh handle;
    cs_insn *insn; /* of the library, used again and again */
};

static enum err open_mode(cs_mode mode, struct analysis_x86 **ret_x86)
{
    struct analysis_x86 *x86 = calloc(1, sizeof *x86);
    if (!x86)
        return ERR_nomem;
    cs_err status = cs_open(CS_ARCH_X86, mode, &x86->handle);
    if (status != CS_ERR_OK) {
        free(x86);
        return status == CS_ERR_MEM ? ERR_nomem : ERR_unsupported;
    }
    x86->insn = cs_malloc(x86->handle);
    if (!x86->insn) {
        analysis_x86_close(x86);
        return ERR_nomem;
    }
    *ret_x86 = x86;
    return ERR_ok;
}

enum err analysis_x86_open(struct analysis_x86 **ret_x86)
{
    return open_mode(CS_MODE_64, ret_x86);
}

enum err analysis_x86_open_i386(struct analysis_x86 **ret_x86)
{
    return open_mode(CS_MODE_32, ret_x86);
}

void analysis_x86_close(struct analysis_x86 *x86)
{
    if (!x86)
        return;
    if (x86->insn)
        cs_free(x86->insn, 1);
    (void)cs_close(&x86->handle);
    free(x86);
}

size_t analysis_x86_next(struct analysis_x86 *x86, struct bytes code, uint64_t address,
                         char ret_text[ANALYSIS_X86_TEXT_SIZE])
{
    const uint8_t *at = code.data;
    size_t left = code.size;
    if (!left)
        return 0;
    if (!cs_disasm_iter(x86->handle, &at, &left, &address, x86->insn)) {
        (void)snprintf(ret_text, ANALYSIS_X86_TEXT_SIZE, ".byte 0x%02x", code.data[0]);
        return 1;
    }
    const char *operands = x86->insn->op_str;
    (void)snprintf(ret_text, ANALYSIS_X86_TEXT_SIZE, "%s%s%s", x86->insn->mnemonic,
                   *operands ? " " : "", operands);
    return code.size - left;
}
