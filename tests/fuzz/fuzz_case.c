/* SPDX-License-Identifier: MIT
 *
 * The reader of case files on any text: what it takes, it writes and takes again, and
 * that is what two engines can be run on.
 */
#include "analysis/case.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const struct analysis_case_error *error, struct bytes text)
{
    uint32_t lines = 1;
    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n';
    check(error->line <= lines);
    check(error->message[0]);
    check(memchr(error->message, 0, sizeof error->message));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct analysis_case it, back;
    struct analysis_case_error error = {0};
    struct buf text, again;
    enum err err = analysis_case_parse(bytes_of(data, size), &it, &error);
    if (err == ERR_case)
        check_error(&error, bytes_of(data, size));
    if (err)
        return 0;
    check(it.code_size <= ANALYSIS_CASE_CODE_MAX && it.run_count >= 1);
    buf_init(&text, 4 * ANALYSIS_CASE_TEXT_MAX);
    buf_init(&again, 4 * ANALYSIS_CASE_TEXT_MAX);
    analysis_case_put(&it, &text);
    check(!text.err);
    check(!analysis_case_parse(buf_bytes(&text), &back, &error));
    analysis_case_put(&back, &again);
    check(text.size == again.size && !memcmp(text.data, again.data, text.size));
    buf_fini(&text);
    buf_fini(&again);
    return 0;
}
