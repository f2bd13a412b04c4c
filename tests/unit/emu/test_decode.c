/* SPDX-License-Identifier: MIT
 *
 * The decoder against capstone: random bytes have the same length, or are undefined for
 * both, but for what the two are known to see differently.
 */
#include "tests/test.h"

#include "emu/decode.h"

#include <capstone/capstone.h>
#include <string.h>

enum { STRINGS = 400000 };

/* Why a difference in this instruction means nothing; NULL if it does mean something.
 */
static const char *known_difference(const uint8_t *bytes, bool ours, const char *theirs)
{
    unsigned at = 0;
    bool lock = false;
    while (at < 14 &&
           strchr("\x66\x67\x26\x2e\x36\x3e\x64\x65\xf2\xf3\xf0", bytes[at]) &&
           bytes[at])
        lock |= bytes[at++] == 0xf0;
    if (lock)
        return "LOCK is checked by us only";
    if (!ours && theirs)
        return bytes[at] == 0x0f || (bytes[at] >= 0xd8 && bytes[at] <= 0xdf) ||
                       bytes[at] == 0xc4 || bytes[at] == 0xc5 || bytes[at] == 0x62 ||
                       bytes[at] == 0x8f || (bytes[at] & 0xfe) == 0xc6 ||
                       bytes[at] == 0x8c || bytes[at] == 0x8e
                   ? "newer than a P6, or a register that it does not have"
                   : NULL;
    if (ours && !theirs)
        return bytes[at] == 0x0f || (bytes[at] >= 0xd8 && bytes[at] <= 0xdf) ||
                       bytes[at] == 0xf6 || bytes[at] == 0xf7 || bytes[at] == 0xd6 ||
                       bytes[at] == 0x82 || (bytes[at] & 0xfe) == 0xc0 ||
                       (bytes[at] >= 0xd0 && bytes[at] <= 0xd3) ||
                       (bytes[at] & 0xfe) == 0xc6
                   ? "an alias that capstone leaves out"
                   : NULL;
    return bytes[at] == 0x0f &&
                   (bytes[at + 1] == 0xff || bytes[at + 1] == 0xb9 ||
                    (bytes[at + 1] & 0xfc) == 0x20 || bytes[at + 1] == 0x1a ||
                    bytes[at + 1] == 0x1b || bytes[at + 1] == 0xb8 ||
                    bytes[at + 1] == 0xbd || bytes[at + 1] == 0xbc)
               ? "UD0 and UD1 with ModRM, control registers as memory, newer meanings"
               : NULL;
}

static void check_mode(bool wide, uint64_t seed)
{
    csh handle;
    assert_int_equal(cs_open(CS_ARCH_X86, wide ? CS_MODE_32 : CS_MODE_16, &handle),
                     CS_ERR_OK);
    cs_insn *insn = cs_malloc(handle);
    uint64_t state = seed;
    unsigned agreed = 0;
    for (unsigned i = 0; i < STRINGS; i++) {
        uint8_t bytes[16];
        for (unsigned k = 0; k < 16; k += 8) {
            uint64_t r = test_random(&state);
            memcpy(bytes + k, &r, 8);
        }
        if (i & 1)
            bytes[0] = 0x0f;
        const uint8_t *code = bytes;
        size_t left = EMU_INSN_SIZE_MAX;
        uint64_t address = 0;
        bool theirs = cs_disasm_iter(handle, &code, &left, &address, insn);
        struct emu_insn got;
        bool ours = emu_decode(bytes, EMU_INSN_SIZE_MAX, wide, &got) == EMU_DECODED;
        if (ours == theirs && (!ours || got.length == insn->size)) {
            agreed++;
            continue;
        }
        if (known_difference(bytes, ours, theirs ? insn->mnemonic : NULL))
            continue;
        print_message(
            "%02x %02x %02x %02x %02x %02x (%u bits): ours %d, capstone %s %d\n",
            bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], wide ? 32 : 16,
            ours ? got.length : -1, theirs ? insn->mnemonic : "-",
            theirs ? insn->size : -1);
        test_reproduce("emu_decode", seed);
        fail();
    }
    /* The exceptions must stay exceptions. */
    assert_true(agreed > STRINGS / 2);
    cs_free(insn, 1);
    cs_close(&handle);
}

static void test_lengths_32(void **unused)
{
    (void)unused;
    check_mode(true, test_seed(0xdec0de));
}

static void test_lengths_16(void **unused)
{
    (void)unused;
    check_mode(false, test_seed(0xdec0de));
}

/* As few bytes as possible decide: the second page is not touched without need. */
static void test_first_bytes(void **unused)
{
    (void)unused;
    struct emu_insn insn;
    const uint8_t ud2[] = {0x0f, 0x0b}, lock_nop[] = {0xf0, 0x90};
    const uint8_t prefixes[16] = {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                  0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90};
    assert_int_equal(emu_decode(ud2, 2, true, &insn), EMU_DECODED);
    assert_int_equal(emu_decode(ud2, 1, true, &insn), EMU_DECODE_MORE);
    assert_int_equal(emu_decode(lock_nop, 2, true, &insn), EMU_DECODE_UNDEFINED);
    assert_int_equal(emu_decode(prefixes, 16, true, &insn), EMU_DECODE_TOO_LONG);
    assert_int_equal(emu_decode(prefixes, 15, true, &insn), EMU_DECODE_TOO_LONG);
    assert_int_equal(emu_decode(prefixes, 14, true, &insn), EMU_DECODE_MORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths_32),
        cmocka_unit_test(test_lengths_16),
        cmocka_unit_test(test_first_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
