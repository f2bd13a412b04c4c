/* SPDX-License-Identifier: MIT
 *
 * The results of the x87 on a part of the cases, by digest: what model 1 fixes, on
 * hosts whose own x87 cannot be asked, and for the last places of the transcendental
 * instructions.
 *
 *   test_diff_fpu_digest --bless    writes the digests anew; run test_diff_fpu_host too
 */
#include "tests/diff/fpu_cases.h"

#include "base/hash.h"
#include "tests/test.h"

#include <string.h>

#define DIGESTS "corpus/emu/fpu.digests"

/* Addresses and seed are part of the cases, so they are fixed. */
enum { IP = 0x1000, ADDRESS = 0x2000, SEED = 0x387, LINE_SIZE = 64 };

/* Some of the walk is enough, as test_diff_fpu_host walks it all.  5 has no factor in
 * common with the number of classes or modes. */
enum { STEP = 5 };

static uint64_t digest_row(const struct fpu_case_row *row)
{
    uint64_t digest = 0;
    for (uint64_t number = 0; number < FPU_CASES_ALL; number += STEP) {
        struct fpu_case c;
        struct fpu_result result;
        fpu_case_make(&c, row, number, SEED);
        fpu_case_emulate(&c, IP, ADDRESS, &result);
        struct bytes pieces[] = {bytes_of(&digest, sizeof digest),
                                 bytes_of(&result, sizeof result)};
        digest = hash_xxh3_of_pieces(pieces, countof(pieces));
    }
    return digest;
}

static void put_line(const struct fpu_case_row *row, char line[LINE_SIZE])
{
    (void)snprintf(line, LINE_SIZE, "%02x %02x %s %016llx\n", row->opcode, row->modrm,
                   row->name, (unsigned long long)digest_row(row));
}

static void test_digests(void **unused)
{
    (void)unused;
    FILE *file = fopen(DIGESTS, "r");
    if (!file)
        fail_msg("cannot open %s", DIGESTS);
    for (unsigned i = 0; i < fpu_case_row_count; i++) {
        char got[LINE_SIZE], want[LINE_SIZE] = "";
        put_line(&fpu_case_rows[i], got);
        (void)!fgets(want, sizeof want, file);
        if (strcmp(want, got) != 0)
            fail_msg("want %s     got  %s", want, got);
    }
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
}

static int bless(void)
{
    FILE *file = fopen(DIGESTS, "w");
    if (!file)
        return 1;
    for (unsigned i = 0; i < fpu_case_row_count; i++) {
        char line[LINE_SIZE];
        put_line(&fpu_case_rows[i], line);
        fputs(line, file);
    }
    return fclose(file) ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--bless"))
        return bless();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_digests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
