/* SPDX-License-Identifier: MIT
 *
 * The assembler on any text and the disassembler on any program: what assembles is a
 * program, and every program's listing assembles to it.
 */
#include "pvm/pvm.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOB_SIZE_MAX = 1 << 26 };
#define TEXT_SIZE_MAX ((size_t)1 << 29)

static void check_listing(struct bytes blob, enum pvm_profile profile)
{
    struct pvm_code code;
    if (pvm_code_parse(blob, &code))
        return;
    struct buf text, back;
    struct pvm_asm_error error;
    buf_init(&text, TEXT_SIZE_MAX);
    buf_init(&back, BLOB_SIZE_MAX);
    pvm_disasm(&code, profile, &text);
    check(!text.err);
    check(pvm_asm(buf_bytes(&text), &back, &error) == ERR_ok);
    check(back.size == blob.size && !memcmp(back.data, blob.data, blob.size));
    buf_fini(&text);
    buf_fini(&back);
}

static void check_error(const struct pvm_asm_error *error, struct bytes text)
{
    uint32_t lines = 1;
    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n';
    check(error->line >= 1 && error->line <= lines);
    check(error->message[0]);
    check(memchr(error->message, 0, sizeof error->message));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size);
    struct buf blob;
    struct pvm_asm_error error;
    buf_init(&blob, BLOB_SIZE_MAX);
    enum err err = pvm_asm(input, &blob, &error);
    check(!err || err == ERR_pvm_asm);
    if (err) {
        check(blob.size == 0);
        check_error(&error, input);
    } else {
        struct pvm_code code;
        check(pvm_code_parse(buf_bytes(&blob), &code) == ERR_ok);
        check_listing(buf_bytes(&blob), PVM_PROFILE_JAVM);
    }
    check_listing(input, PVM_PROFILE_JAVM);
    check_listing(input, PVM_PROFILE_VECTORS);
    buf_fini(&blob);
    return 0;
}
