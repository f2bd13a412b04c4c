/* SPDX-License-Identifier: MIT
 *
 * Record, replay, and record the replay: the worked example, programs of the corpus,
 * every gas log, every end.
 */
#include "tests/unit/replay/run.h"

#include <string.h>

/* ---- the worked example (trace-replay.md 16) ---- */

static const uint8_t example_blob[] = {0x00, 0x00, 0x0c, 0x33, 0x08, 0x03,
                                       0x01, 0x95, 0x88, 0xff, 0x52, 0x08,
                                       0xfd, 0x0a, 0x00, 0x99, 0x04};
static const char example_identity[] =
    "37fe39d7c71f67d1bb2ecf2f2c5bfc4b1869d377b86b64775401ac0f1fc79e33";

static struct replay_setup example_setup(void)
{
    struct replay_setup setup =
        setup_of(bytes_of(example_blob, sizeof example_blob), PVM_PROFILE_JAVM);
    setup.gas = 1000;
    setup.reg[7] = 42;
    return setup;
}

static void test_worked_example(void **state)
{
    (void)state;
    struct recording r;
    struct replay_setup setup = example_setup();
    char text[2 * HASH256_SIZE + 1];
    check_setup(&setup, NULL, &r);
    for (unsigned i = 0; i < HASH256_SIZE; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", r.identity.byte[i]);
    assert_string_equal(text, example_identity);
    assert_int_equal(r.event_count, 8);
    assert_int_equal(r.state.gas, 848);
    recording_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worked_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
