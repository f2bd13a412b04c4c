/* SPDX-License-Identifier: MIT
 *
 * A number of packets for the gdb stub, from a grammar of what gdb sends, with wrong
 * numbers, broken bytes, broken frames, and connections lost anywhere.  Counted is what
 * the stub has taken for a packet.
 *
 *   test_gdb_packets COUNT
 *
 * LOCKSTEP_SEED chooses others.
 */
#include "tests/fuzz/gdb_target.h"
#include "tests/test.h"

#include <inttypes.h>
#include <string.h>

enum { BATCH = 100, PACKET_SIZE_MAX = 4096, OUT_SIZE_MAX = 64 << 20 };

/* % is a number, @ an address in or near the guest, ~ bytes in hex, ? one digit. */
static const char *const grammar[] = {
    "qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+",
    "vMustReplyEmpty",
    "QStartNoAckMode",
    "!",
    "Hg0",
    "Hc-1",
    "qTStatus",
    "qC",
    "qfThreadInfo",
    "qsThreadInfo",
    "qAttached:%",
    "qSymbol::",
    "qXfer:features:read:target.xml:%,%",
    "qXfer:memory-map:read::%,%",
    "?",
    "g",
    "p%",
    "p?",
    "P%=~",
    "G~",
    "m@,?",
    "m@,%",
    "M@,%:~",
    "X@,%:~",
    "Z0,@,?",
    "z0,@,?",
    "Z1,@,1",
    "z1,@,1",
    "Z2,@,?",
    "z2,@,?",
    "Z3,@,%",
    "z3,@,%",
    "Z4,@,%",
    "z4,@,%",
    "Z?,@,%",
    "Z0,@,1;X%,~",
    "Z0,@,1;Xa,2600111640240003e8582b1427;X5,2600112701",
    "Z0,@,1;X3,220127",
    "vCont?",
    "vCont;c",
    "vCont;s:1;c",
    "vCont;r@,@:1",
    "vCont;?",
    "s",
    "c",
    "S05",
    "C05",
    "bs",
    "bc",
    "bs",
    "bc",
    "vRun;;~",
    "vRun;;31",
    "vRun;;3%",
    "vRun;;673a31303030",
    "vRun;;653a34",
    "vKill;1",
    "D",
    "k",
    "T1",
    "qRcmd,~",
};

/* Texts of qRcmd. */
static const char *const monitor[] = {
    "when",        "events -% +%",   "events ecall:%", "ibreak %",
    "ibreak none", "ebreak ecall",   "ebreak none",    "fence %",
    "fence none",  "last-write @,?", "next-read @,?",  "who @",
    "checkpoint",  "bookmark x%",    "bookmarks",      "back",
    "visited",     "hash",           "stats",          "help",
    "disas @",     "disas @ native", "diff /%",        "check %",
    "seek e:%",
};

static uint64_t below(uint64_t *random, uint64_t limit)
{
    return test_random(random) % limit;
}

static uint64_t some_number(uint64_t *random)
{
    static const uint64_t edge[] = {
        0,       1,          2,          0x7f,       0xfff,       0x10000,   0x20000,
        0x1ffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, UINT64_MAX};
    uint64_t kind = below(random, 4);
    if (kind == 0)
        return edge[below(random, countof(edge))];
    return kind == 1 ? test_random(random) : below(random, 2000);
}

static uint64_t some_address(uint64_t *random)
{
    static const uint64_t base[] = {0x20000, 0x20040, 0x21ffc, 0x100000000,
                                    0x100000006};
    return below(random, 8) ? base[below(random, countof(base))] + below(random, 24)
                            : some_number(random);
}

static void put_hex(struct buf *packet, const char *text)
{
    for (; *text; text++)
        buf_printf(packet, "%02x", (unsigned)(uint8_t)*text);
}

/* Fill in a form. */
static void put_form(struct buf *packet, const char *form, uint64_t *random)
{
    for (; *form; form++) {
        if (*form == '%')
            buf_printf(packet, "%" PRIx64, some_number(random));
        else if (*form == '@')
            buf_printf(packet, "%" PRIx64, some_address(random));
        else if (*form == '?')
            buf_printf(packet, "%x", (unsigned)below(random, 16));
        else if (*form == '~')
            for (uint64_t i = below(random, 24); i; i--)
                buf_printf(packet, "%02x", (unsigned)below(random, 256));
        else
            buf_byte(packet, (uint8_t)*form);
    }
}

static void put_body(struct buf *packet, uint64_t *random)
{
    if (below(random, 5) == 0) {
        struct buf text;
        buf_init(&text, PACKET_SIZE_MAX);

        put_form(&text, monitor[below(random, countof(monitor))], random);
        buf_text(packet, "qRcmd,");
        put_hex(packet, buf_string(&text));
        buf_fini(&text);
        return;
    }
    put_form(packet, grammar[below(random, countof(grammar))], random);
}

/* Break some bytes. */
static void mutate(struct buf *packet, uint64_t *random)
{
    for (uint64_t i = 1 + below(random, 3); i && packet->size; i--) {
        size_t at = (size_t)below(random, packet->size);
        if (below(random, 3))
            packet->data[at] = (uint8_t)test_random(random);
        else
            packet->size = at;
    }
}

static void put_packet(struct buf *input, uint64_t *random)
{
    struct buf packet;
    uint8_t sum = 0;
    buf_init(&packet, PACKET_SIZE_MAX);
    put_body(&packet, random);
    if (below(random, 4) == 0)
        mutate(&packet, random);
    buf_byte(input, '$');
    for (size_t i = 0; i < packet.size; i++) {
        buf_byte(input, packet.data[i]);
        sum = (uint8_t)(sum + packet.data[i]);
    }
    if (below(random, 50) == 0)
        sum++;
    buf_printf(input, "#%02x", (unsigned)sum);
    if (below(random, 20) == 0)
        buf_byte(input, (uint8_t) "\3+-$}#*"[below(random, 7)]);
    buf_fini(&packet);
}

/* Feed in pieces; a client may go away behind each. */
static void send_input(struct gdb_target *t, struct bytes input, uint64_t *random,
                       struct buf *out)
{
    bool cuts = below(random, 4) == 0;
    while (input.size) {
        size_t size = input.size;
        if (cuts)
            size = 1 + (size_t)below(random, input.size < 400 ? input.size : 400);
        t->polls = 0;
        bool goes_on = replay_gdb_input(t->gdb, bytes_of(input.data, size), out);
        if (!goes_on || (cuts && below(random, 8) == 0))
            replay_gdb_connect(t->gdb);
        buf_clear(out);
        input = bytes_of(input.data + size, input.size - size);
    }
}

static uint64_t wanted;

static void test_packets(void **state)
{
    static struct gdb_target target;
    (void)state;
    uint64_t random = test_seed(0x9dbfaced), next_word = wanted / 20;
    struct buf input, out;
    buf_init(&input, (size_t)BATCH * PACKET_SIZE_MAX * 2);
    buf_init(&out, OUT_SIZE_MAX);
    gdb_target_open(&target);
    while (replay_gdb_packet_count(target.gdb) < wanted) {
        buf_clear(&input);
        for (unsigned i = 0; i < BATCH; i++)
            put_packet(&input, &random);
        /* An exact allocation: a sanitizer sees one byte too many. */
        uint8_t *exact = malloc(input.size);
        assert_non_null(exact);
        memcpy(exact, input.data, input.size);
        send_input(&target, bytes_of(exact, input.size), &random, &out);
        free(exact);
        gdb_target_check_honest(&target, &out);
        buf_clear(&out);
        if (wanted > 1000000 && replay_gdb_packet_count(target.gdb) >= next_word) {
            print_message("%" PRIu64 " packets\n", replay_gdb_packet_count(target.gdb));
            next_word += wanted / 20;
        }
    }
    print_message("%" PRIu64 " packets, the guest is as it was recorded\n",
                  replay_gdb_packet_count(target.gdb));
    buf_fini(&input);
    buf_fini(&out);
    gdb_target_close(&target);
}

int main(int argc, char **argv)
{
    wanted = argc == 2 ? strtoull(argv[1], NULL, 0) : 0;
    if (!wanted) {
        fprintf(stderr, "usage: %s COUNT\n", argv[0]);
        return 2;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_packets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
