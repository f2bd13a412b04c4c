/* SPDX-License-Identifier: MIT
 *
 * The gdb stub by its packets: what a client asks and is told, framing, conditions, and
 * clients that misbehave or leave at any point.
 */
#include "replay/gdb.h"
#include "replay/gdb_agent.h"
#include "replay/gdb_packet.h"
#include "tests/unit/replay/run.h"

#include <string.h>

/* ---- a stub over a small recording ---- */

static const char loop_text[] = "load_imm t0, 0x20000\n"
                                "fallthrough\n"
                                "loop:\n"
                                "add_imm_64 a0, a0, 1\n"
                                "store_ind_u32 a0, [t0 + 64]\n"
                                "branch_lt_u_imm a0, 1000, loop\n"
                                "trap\n";

struct bench {
    struct arena arena;
    struct recording recording;
    struct bytes file;
    struct trace_source source;
    struct replay_debug debug;
    struct replay_timeline *timeline;
    struct replay_query query;
    struct replay_gdb *gdb;
    struct buf out;
    bool open;
    unsigned poll_left; /* polls until an interrupt; 0: never */
    uint64_t seed;
};

static bool interrupted(void *self)
{
    struct bench *b = self;
    return b->poll_left && --b->poll_left == 0;
}

static void begin(struct bench *b)
{
    static const struct trace_uuu map = {0x20000, 0x2000, PVM_ACCESS_RW};
    char message[REPLAY_DEBUG_MESSAGE_SIZE];
    *b = (struct bench){.seed = test_seed(3), .open = true};
    arena_init(&b->arena, (size_t)1 << 26);
    struct replay_setup setup =
        setup_of(assemble(&b->arena, loop_text), PVM_PROFILE_JAVM);
    setup.maps = (struct trace_list_uuu){&map, 1};
    record(&b->recording, &setup, NULL, false);
    b->file = recording_bytes(&b->recording);
    b->source = trace_bytes_source(&b->file);
    const struct replay_timeline_options how = {
        .spacing = 500, .interrupted = interrupted, .interrupted_self = b};
    assert_int_equal(replay_debug_open(&b->source, &b->debug, message), ERR_ok);
    assert_int_equal(replay_timeline_create(&b->debug.guest, &how, &b->timeline),
                     ERR_ok);
    assert_int_equal(replay_query_init(&b->query, &b->source, &b->debug, b->timeline),
                     ERR_ok);
    assert_int_equal(replay_gdb_create(&b->query, NULL, &b->gdb), ERR_ok);
    buf_init(&b->out, (size_t)64 << 20);
}

static void end(struct bench *b)
{
    buf_fini(&b->out);
    replay_gdb_close(b->gdb);
    replay_query_fini(&b->query);
    replay_timeline_close(b->timeline);
    replay_debug_close(&b->debug);
    recording_fini(&b->recording);
    arena_fini(&b->arena);
}

static void send_raw(struct bench *b, const void *data, size_t size)
{
    b->open = replay_gdb_input(b->gdb, bytes_of(data, size), &b->out);
}

/* Send one packet; answers what came back, as a string. */
static const char *ask(struct bench *b, const char *packet)
{
    struct buf framed;
    buf_init(&framed, (size_t)1 << 20);
    replay_gdb_put_packet(&framed, bytes_of(packet, strlen(packet)));
    buf_clear(&b->out);
    send_raw(b, framed.data, framed.size);
    buf_fini(&framed);
    return buf_string(&b->out);
}

/* "+$answer#xx", and the checksum is right. */
static void check_answer(struct bench *b, const char *packet, const char *want)
{
    struct buf framed;
    buf_init(&framed, (size_t)1 << 20);
    replay_gdb_put_packet(&framed, bytes_of(want, strlen(want)));
    const char *got = ask(b, packet);
    got += *got == '+';
    assert_string_equal(got, buf_string(&framed));
    buf_fini(&framed);
}

static void check_says(struct bench *b, const char *packet, const char *part)
{
    const char *got = ask(b, packet);
    if (!strstr(got, part))
        fail_msg("%s: '%s' is not in %s", packet, part, got);
}

/* ---- questions ---- */

static void test_questions(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    check_says(&b, "qSupported:swbreak+;hwbreak+;xmlRegisters=i386",
               "ReverseStep+;ReverseContinue+");
    check_says(&b, "qSupported:swbreak+", ";swbreak+#");
    check_answer(&b, "vMustReplyEmpty", "");
    check_answer(&b, "qTStatus", "");
    check_answer(&b, "qSymbol::", "");
    check_answer(&b, "unknown", "");
    check_answer(&b, "!", "OK");
    check_answer(&b, "Hg0", "OK");
    check_answer(&b, "qC", "QC01");
    check_answer(&b, "qfThreadInfo", "m01");
    check_answer(&b, "qsThreadInfo", "l");
    check_answer(&b, "qAttached", "1");
    check_answer(&b, "vCont?", "vCont;c;C;s;S;r");
    check_answer(&b, "vKill;1", "OK");
    check_says(&b, "qXfer:features:read:target.xml:0,40", "$m<?xml");
    check_says(&b, "qXfer:features:read:target.xml:0,ffff", "</target>#");
    check_answer(&b, "qXfer:features:read:target.xml:ffff,10", "l");
    check_answer(&b, "qXfer:features:read:target.xml:x", "E01");
    check_says(&b, "?", "T0502:0000000000000000;10:0000000001000000;thread:01;");
    check_says(&b, "qRcmd,77686f", "$OK#9a");
    end(&b);
}

static void test_state(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    const char *g = ask(&b, "g");
    assert_int_equal(strlen(g), 1 + 1 + 17 * 16 + 3);
    check_answer(&b, "p10", "0000000001000000");
    check_answer(&b, "p11", "40420f0000000000");
    check_answer(&b, "p12", "E01");
    check_answer(&b, "pzz", "E01");
    check_answer(&b, "m20040,4", "00000000");
    check_answer(&b, "m0,2", "E01");
    check_answer(&b, "m21ffe,8", "0000"); /* shorter at the end of what is mapped */
    check_answer(&b, "mffffffffffffffff,8", "E01");
    check_answer(&b, "m20040", "E01");
    check_answer(&b, "m20040,zz", "E01");
    assert_int_equal(strlen(ask(&b, "m20000,ffffffff")), 1 + 1 + 2 * 0x2000 + 3);
    check_answer(&b, "G00", "E03");
    check_answer(&b, "P1=00", "E03");
    check_answer(&b, "M20000,1:00", "E03");
    check_answer(&b, "X20000,0:", "E03");
    end(&b);
}

/* ---- running ---- */

static void test_running(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    (void)ask(&b, "qSupported:swbreak+;hwbreak+");
    check_says(&b, "vCont;s:1;c", "T05");
    check_says(&b, "bs", "T05");
    check_says(&b, "bs", "replaylog:begin;");
    check_says(&b, "bc", "replaylog:begin;");
    /* A store: in front of it going forwards, behind it going backwards. */
    check_answer(&b, "Z2,20040,4", "OK");
    check_says(&b, "vCont;c", "watch:20040;");
    check_answer(&b, "m20040,4", "00000000");
    check_says(&b, "s", "T05");
    check_answer(&b, "m20040,4", "01000000");
    check_says(&b, "c", "watch:20040;");
    check_says(&b, "s", "T05");
    check_answer(&b, "m20040,4", "02000000");
    check_says(&b, "vRun;;656e64", "T05"); /* end */
    check_says(&b, "bc", "watch:20040;");
    check_answer(&b, "m20040,4", "e8030000");
    check_says(&b, "bs", "T05");
    check_answer(&b, "m20040,4", "e7030000");
    check_says(&b, "bc", "watch:20040;");
    check_answer(&b, "m20040,4", "e7030000");
    check_answer(&b, "z2,20040,4", "OK");
    check_says(&b, "c", "replaylog:end;");
    check_says(&b, "s", "replaylog:end;");
    end(&b);
}

static void test_kinds_of_stops(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    (void)ask(&b, "qSupported:swbreak+;hwbreak+");
    check_answer(&b, "Z3,20040,4", "OK");
    check_says(&b, "c", "replaylog:end;"); /* nobody reads it */
    (void)ask(&b, "vRun;;30");
    check_answer(&b, "Z4,20043,1000", "OK");
    check_says(&b, "c", "awatch:20043;");
    check_answer(&b, "z4,20043,1000", "OK");
    check_answer(&b, "Z1,100000006,4", "OK");
    check_says(&b, "vRun;;30", "T05");
    check_says(&b, "c", "hwbreak:;");
    check_answer(&b, "z1,100000006,4", "OK");
    check_answer(&b, "Z0,100000006,4", "OK");
    check_says(&b, "c", "swbreak:;");
    /* What is no instruction is accepted, and never reached. */
    check_answer(&b, "z0,100000006,4", "OK");
    check_answer(&b, "Z0,100000007,4", "OK");
    check_answer(&b, "Z0,ffffffffffffffff,4", "OK");
    check_answer(&b, "Z5,1,1", "");
    check_answer(&b, "Z0,1", "E01");
    check_says(&b, "c", "replaylog:end;");
    end(&b);
}

/* As long as pc is in a range: the loop, to its end, or to a stop in it. */
static void test_range(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    (void)ask(&b, "qSupported:swbreak+;hwbreak+");
    check_says(&b, "vCont;r100000000,100000006:1", "T05");
    check_answer(&b, "pa", "0000000000000000");
    check_says(&b, "vCont;r100000000,100000100:1", "replaylog:end;");
    check_answer(&b, "pa", "e803000000000000");
    (void)ask(&b, "vRun;;31");
    check_answer(&b, "Z2,20040,4", "OK");
    check_says(&b, "vCont;r100000000,100000100:1", "watch:20040;");
    check_answer(&b, "pa", "0100000000000000");
    check_says(&b, "vCont;r100000000,100000100:1", "watch:20040;");
    check_answer(&b, "pa", "0200000000000000");
    check_answer(&b, "vCont;rx", "E01");
    b.poll_left = 3;
    check_answer(&b, "z2,20040,4", "OK");
    check_says(&b, "vCont;r100000000,100000100:1", "T02");
    end(&b);
}

/* $a0 == 700: reg 10, ext 64, const16 700, equal, end. */
static void test_conditions(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    (void)ask(&b, "qSupported:swbreak+");
    check_answer(&b, "Z0,100000006,4;X9,26000a16402302bc1327", "E01");
    check_answer(&b, "Z0,100000006,4;Xa,26000a16402302bc1327", "OK");
    check_says(&b, "c", "swbreak:;");
    check_answer(&b, "pa", "bc02000000000000");
    check_says(&b, "c", "replaylog:end;");
    check_says(&b, "bc", "swbreak:;");
    check_answer(&b, "pa", "bc02000000000000");
    end(&b);
}

static void test_interrupt(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    b.poll_left = 2;
    check_says(&b, "c", "T02");
    check_says(&b, "c", "replaylog:end;");
    (void)ask(&b, "Z2,21000,4"); /* never written: a long way back */
    b.poll_left = 2;
    check_says(&b, "bc", "T02");
    check_says(&b, "bc", "replaylog:begin;");
    /* A question that is cut short has not moved the guest either. */
    check_says(&b, "c", "replaylog:end;");
    struct replay_time now = replay_timeline_now(b.timeline);
    for (unsigned polls = 1; polls < 6; polls++) {
        b.poll_left = polls;
        (void)ask(&b, "qRcmd,6c6173742d777269746520307832303830302c34");
        assert_int_equal(b.poll_left, 0);
        assert_int_equal(replay_time_compare(replay_timeline_now(b.timeline), now), 0);
    }
    end(&b);
}

/* ---- agent bytecode ---- */

static void test_agent(void **state)
{
    static const struct {
        uint8_t code[16];
        size_t size;
        bool is_false;
    } row[] = {
        {{0x22, 0, 0x27}, 3, true}, /* const8 0 */
        {{0x22, 1, 0x27}, 3, false},
        {{0x22, 5, 0x22, 7, 0x03, 0x16, 8, 0x22, 0, 0x14, 0x27},
         11,
         false},                                                  /* -2 < 0 */
        {{0x22, 5, 0x22, 7, 0x03, 0x22, 9, 0x15, 0x27}, 9, true}, /* unsigned */
        {{0x22, 200, 0x16, 8, 0x22, 0, 0x14, 0x27}, 8, false},    /* (i8)200 < 0 */
        {{0x22, 200, 0x2a, 8, 0x22, 0, 0x14, 0x27}, 8, true},
        {{0x22, 3, 0x28, 0x13, 0x27}, 5, false},                   /* dup, equal */
        {{0x22, 0, 0x0e, 0x27}, 4, false},                         /* not */
        {{0x22, 6, 0x22, 1, 0x0f, 0x27}, 6, true},                 /* 6 & 1 */
        {{0x25, 0, 0, 0, 0, 0, 2, 0, 0x40, 0x19, 0x27}, 11, true}, /* ref32 0x20040 */
        {{0x22, 1, 0x20, 0, 7, 0x22, 1, 0x22, 0, 0x27}, 10, true}, /* goto */
        {{0x26, 0, 17, 0x27}, 4, false},                           /* gas */
        /* Not evaluated: gdb tests again. */
        {{0x27}, 1, false},
        {{0x22}, 1, false},
        {{0x02, 0x27}, 2, false},
        {{0xff, 0x27}, 2, false},
        {{0x26, 1, 0, 0x27}, 4, false},
        {{0x22, 0, 0x17, 0x27}, 4, false}, /* memory that is not there */
        {{0x21, 0, 0}, 3, false},          /* for ever */
        {{0x21, 9, 9}, 3, false},
        {{0x22, 0, 0x28, 0x21, 0, 2, 0x27}, 7, false}, /* stack overflow */
    };
    struct bench b;
    (void)state;
    begin(&b);
    for (size_t i = 0; i < countof(row); i++) {
        struct bytes code = bytes_of(row[i].code, row[i].size);
        if (replay_gdb_agent_false(&b.debug.guest, code) != row[i].is_false)
            fail_msg("row %zu", i);
    }
    end(&b);
}

/* ---- framing ---- */

static void test_framing(void **state)
{
    static const char good[] = "$qC#b4";
    struct bench b;
    (void)state;
    begin(&b);
    /* Byte by byte, with noise in front. */
    send_raw(&b, "+++xyz\x03", 7);
    for (size_t i = 0; good[i]; i++)
        send_raw(&b, good + i, 1);
    assert_string_equal(buf_string(&b.out), "+$QC01#f5");
    /* A wrong checksum is refused, and a packet that was cut off is forgotten. */
    buf_clear(&b.out);
    send_raw(&b, "$qC#b5", 6);
    assert_string_equal(buf_string(&b.out), "-");
    buf_clear(&b.out);
    send_raw(&b, "$vCont$qC#b4", 12);
    assert_string_equal(buf_string(&b.out), "+$QC01#f5");
    buf_clear(&b.out);
    send_raw(&b, "-", 1); /* again */
    assert_string_equal(buf_string(&b.out), "$QC01#f5");
    /* Without acknowledgements neither is looked at. */
    assert_string_equal(ask(&b, "QStartNoAckMode"), "+$OK#9a");
    buf_clear(&b.out);
    send_raw(&b, "$qC#00", 6);
    assert_string_equal(buf_string(&b.out), "$QC01#f5");
    /* An interrupt byte inside a packet is data. */
    buf_clear(&b.out);
    send_raw(&b, "$X20000,1:\x03#00", 14);
    assert_string_equal(buf_string(&b.out), "$E03#a8");
    end(&b);
}

static void test_overlong(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    send_raw(&b, "$", 1);
    for (unsigned i = 0; i < GDB_PACKET_SIZE + 100; i++)
        send_raw(&b, "m", 1);
    send_raw(&b, "#00", 3);
    assert_string_equal(buf_string(&b.out), "-");
    check_answer(&b, "qC", "QC01");
    end(&b);
}

/* ---- clients that leave ---- */

static const char session_bytes[] =
    "$qSupported:swbreak+;hwbreak+#00$QStartNoAckMode#b0$!#21$?#3f$g#67$m20040,4#00"
    "$Z0,100000006,4#00$Z2,20040,4#00$vCont;c#a8$s#73$c#63$bc#c5$bs#d5$p11#d2"
    "$qRcmd,7768656e#00$vRun;;353025#00$bc#c5$z2,20040,4#00$c#63";

/* Cut the connection behind every byte; the next client finds everything in order. */
static void test_disconnects(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    for (size_t size = 1; size < sizeof session_bytes; size++) {
        buf_clear(&b.out);
        send_raw(&b, session_bytes, size);
        assert_true(b.open);
        replay_gdb_connect(b.gdb);
        check_says(&b, "vRun;;30", "T0502:0000000000000000;10:0000000001000000;");
        check_answer(&b, "p11", "40420f0000000000");
        /* No breakpoint of the one before is left. */
        if (size % 37 == 0)
            check_says(&b, "c", "replaylog:end;");
    }
    end(&b);
}

static void test_end_of_session(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    check_answer(&b, "D", "OK");
    assert_false(b.open);
    replay_gdb_connect(b.gdb);
    check_answer(&b, "qC", "QC01");
    assert_true(b.open);
    (void)ask(&b, "k");
    assert_false(b.open);
    end(&b);
}

/* Half of the bytes of good packets at random. */
static void test_noise(void **state)
{
    struct bench b;
    (void)state;
    begin(&b);
    for (unsigned round = 0; round < 3000; round++) {
        char bytes[sizeof session_bytes];
        memcpy(bytes, session_bytes, sizeof bytes);
        unsigned changes = (unsigned)(test_random(&b.seed) % 8);
        for (unsigned i = 0; i < changes; i++) {
            uint64_t r = test_random(&b.seed);
            bytes[r % sizeof bytes] = (char)(r >> 32);
        }
        size_t from = test_random(&b.seed) % sizeof bytes;
        buf_clear(&b.out);
        send_raw(&b, bytes + from, (sizeof bytes - from) / (1 + round % 9));
        if (!b.open || round % 16 == 0)
            replay_gdb_connect(b.gdb);
    }
    replay_gdb_connect(b.gdb);
    check_says(&b, "vRun;;30", "T0502:0000000000000000;10:0000000001000000;");
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions),   cmocka_unit_test(test_state),
        cmocka_unit_test(test_running),     cmocka_unit_test(test_kinds_of_stops),
        cmocka_unit_test(test_conditions),  cmocka_unit_test(test_range),
        cmocka_unit_test(test_interrupt),   cmocka_unit_test(test_agent),
        cmocka_unit_test(test_framing),     cmocka_unit_test(test_overlong),
        cmocka_unit_test(test_disconnects), cmocka_unit_test(test_end_of_session),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
