/* SPDX-License-Identifier: MIT
 *
 * The packets of gdb's remote protocol (trace-replay.md 9.2).
 */
#include "replay/gdb_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MONITOR_SIZE_MAX = 1 << 20, CHUNK_SIZE = 16384 };

void replay_gdb_send(struct replay_gdb *gdb, struct bytes data)
{
    buf_clear(&gdb->last);
    replay_gdb_put_packet(&gdb->last, data);
    buf_put(&gdb->out, gdb->last.data, gdb->last.size);
}

void replay_gdb_send_text(struct replay_gdb *gdb, const char *text)
{
    replay_gdb_send(gdb, bytes_of(text, strlen(text)));
}

void replay_gdb_say(struct replay_gdb *gdb, const char *text)
{
    size_t left = strlen(text);
    while (left) {
        size_t size = left < CHUNK_SIZE ? left : CHUNK_SIZE;
        buf_clear(&gdb->answer);
        buf_byte(&gdb->answer, 'O');
        replay_gdb_put_hex(&gdb->answer, text, size);
        replay_gdb_send(gdb, buf_bytes(&gdb->answer));
        text += size;
        left -= size;
    }
}

/* ---- questions about the target ---- */

static void supported(struct replay_gdb *gdb, const char *packet)
{
    char text[320];
    gdb->swbreak = strstr(packet, "swbreak+") != NULL;
    gdb->hwbreak = strstr(packet, "hwbreak+") != NULL;
    (void)snprintf(text, sizeof text,
                   "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;ReverseStep+;"
                   "ReverseContinue+;vContSupported+;ConditionalBreakpoints+%s%s",
                   (unsigned)GDB_PACKET_SIZE, gdb->swbreak ? ";swbreak+" : "",
                   gdb->hwbreak ? ";hwbreak+" : "");
    replay_gdb_send_text(gdb, text);
}

/* "off,len" of a document: m… while there is more, l… for the last piece. */
static void transfer(struct replay_gdb *gdb, const char *document, const char *range)
{
    uint64_t offset, size, total = strlen(document);
    if (!replay_gdb_number(&range, &offset) || *range++ != ',' ||
        !replay_gdb_number(&range, &size) || *range) {
        replay_gdb_send_text(gdb, "E01");
        return;
    }
    offset = offset < total ? offset : total;
    uint64_t left = total - offset;
    size = size < GDB_PACKET_SIZE / 2 ? size : GDB_PACKET_SIZE / 2;
    bool more = left > size;
    buf_clear(&gdb->answer);
    buf_byte(&gdb->answer, more ? 'm' : 'l');
    buf_put(&gdb->answer, document + offset, (size_t)(more ? size : left));
    replay_gdb_send(gdb, buf_bytes(&gdb->answer));
}

static void monitor(struct replay_gdb *gdb, const char *hex)
{
    struct buf command, text;
    buf_init(&command, 4096);
    buf_init(&text, MONITOR_SIZE_MAX);
    for (; replay_gdb_digit((uint8_t)hex[0]) >= 0 &&
           replay_gdb_digit((uint8_t)hex[1]) >= 0;
         hex += 2) {
        int byte =
            replay_gdb_digit((uint8_t)hex[0]) << 4 | replay_gdb_digit((uint8_t)hex[1]);
        buf_byte(&command, (uint8_t)byte);
    }
    if (*hex || command.err)
        replay_gdb_send_text(gdb, "E01");
    else {
        replay_gdb_monitor(gdb, buf_string(&command), &text);
        replay_gdb_say(gdb, buf_string(&text));
        replay_gdb_send_text(gdb, "OK");
    }
    buf_fini(&command);
    buf_fini(&text);
}

static void query(struct replay_gdb *gdb, const char *packet)
{
    static const char features[] = "qXfer:features:read:target.xml:";
    if (strncmp(packet, "qSupported", 10) == 0)
        supported(gdb, packet);
    else if (strncmp(packet, features, sizeof features - 1) == 0)
        transfer(gdb, gdb->guest->ops->description, packet + sizeof features - 1);
    else if (strncmp(packet, "qRcmd,", 6) == 0)
        monitor(gdb, packet + 6);
    else if (strcmp(packet, "qC") == 0)
        replay_gdb_send_text(gdb, "QC01");
    else if (strcmp(packet, "qfThreadInfo") == 0)
        replay_gdb_send_text(gdb, "m01");
    else if (strcmp(packet, "qsThreadInfo") == 0)
        replay_gdb_send_text(gdb, "l");
    else if (strncmp(packet, "qAttached", 9) == 0)
        replay_gdb_send_text(gdb, "1");
    else
        replay_gdb_send_text(gdb, "");
}

/* ---- registers and memory ---- */

static void put_register(struct replay_gdb *gdb, unsigned index)
{
    uint8_t bytes[16] = {0};
    gdb->guest->ops->register_get(gdb->guest->self, index, bytes);
    replay_gdb_put_hex(&gdb->answer, bytes, gdb->guest->ops->reg[index].size);
}

static void registers(struct replay_gdb *gdb)
{
    buf_clear(&gdb->answer);
    for (unsigned i = 0; i < gdb->guest->ops->general_count; i++)
        put_register(gdb, i);
    replay_gdb_send(gdb, buf_bytes(&gdb->answer));
}

static void one_register(struct replay_gdb *gdb, const char *text)
{
    uint64_t index;
    buf_clear(&gdb->answer);
    if (!replay_gdb_number(&text, &index) || *text ||
        index >= gdb->guest->ops->reg_count) {
        replay_gdb_send_text(gdb, "E01");
        return;
    }
    put_register(gdb, (unsigned)index);
    replay_gdb_send(gdb, buf_bytes(&gdb->answer));
}

static void memory(struct replay_gdb *gdb, const char *text)
{
    uint8_t piece[CHUNK_SIZE];
    uint64_t address, size;
    buf_clear(&gdb->answer);
    if (!replay_gdb_number(&text, &address) || *text++ != ',' ||
        !replay_gdb_number(&text, &size) || *text) {
        replay_gdb_send_text(gdb, "E01");
        return;
    }
    size = size < GDB_PACKET_SIZE / 2 ? size : GDB_PACKET_SIZE / 2;
    while (size) {
        size_t wanted = size < sizeof piece ? (size_t)size : sizeof piece;
        size_t count =
            gdb->guest->ops->memory_read(gdb->guest->self, address, piece, wanted);
        replay_gdb_put_hex(&gdb->answer, piece, count);
        address += count;
        size = count < wanted ? 0 : size - count;
    }
    if (gdb->answer.size)
        replay_gdb_send(gdb, buf_bytes(&gdb->answer));
    else
        replay_gdb_send_text(gdb, "E01");
}

/* ---- running ---- */

/* "FIRST,END:1" of vCont;r. */
static void range_packet(struct replay_gdb *gdb, const char *text)
{
    uint64_t first, end;
    if (replay_gdb_number(&text, &first) && *text++ == ',' &&
        replay_gdb_number(&text, &end))
        replay_gdb_resume_range(gdb, first, end);
    else
        replay_gdb_send_text(gdb, "E01");
}

/* vCont;s:1;c and the like: the first action is that of our only thread. */
static void continue_packet(struct replay_gdb *gdb, const char *packet)
{
    if (strcmp(packet, "vCont?") == 0) {
        replay_gdb_send_text(gdb, "vCont;c;C;s;S;r");
        return;
    }
    char action = packet[5] == ';' ? packet[6] : 0;
    if (action == 's' || action == 'S')
        replay_gdb_resume(gdb, true, false);
    else if (action == 'c' || action == 'C')
        replay_gdb_resume(gdb, false, false);
    else if (action == 'r')
        range_packet(gdb, packet + 7);
    else
        replay_gdb_send_text(gdb, "E01");
}

/* vRun;FILE;ARG: seek to the first argument. */
static void run_packet(struct replay_gdb *gdb, const char *packet)
{
    char position[64] = "start";
    const char *arg = strchr(packet + 5, ';');
    size_t size = 0;
    while (arg && size + 1 < sizeof position &&
           replay_gdb_digit((uint8_t)arg[1]) >= 0 &&
           replay_gdb_digit((uint8_t)arg[2]) >= 0) {
        position[size++] = (char)(replay_gdb_digit((uint8_t)arg[1]) << 4 |
                                  replay_gdb_digit((uint8_t)arg[2]));
        position[size] = 0;
        arg += 2;
    }
    replay_gdb_go(gdb, position);
    replay_gdb_send_stop(gdb);
}

static void verbose(struct replay_gdb *gdb, const char *packet)
{
    if (strncmp(packet, "vCont", 5) == 0)
        continue_packet(gdb, packet);
    else if (strncmp(packet, "vRun;", 5) == 0)
        run_packet(gdb, packet);
    else if (strncmp(packet, "vKill", 5) == 0)
        replay_gdb_send_text(gdb, "OK");
    else
        replay_gdb_send_text(gdb, "");
}

/* ---- dispatch ---- */

static void control(struct replay_gdb *gdb, const char *packet)
{
    if (strcmp(packet, "bs") == 0)
        replay_gdb_resume(gdb, true, true);
    else if (strcmp(packet, "bc") == 0)
        replay_gdb_resume(gdb, false, true);
    else
        replay_gdb_send_text(gdb, "");
}

static void set(struct replay_gdb *gdb, const char *packet)
{
    bool no_ack = strcmp(packet, "QStartNoAckMode") == 0;
    replay_gdb_send_text(gdb, no_ack ? "OK" : "");
    gdb->no_ack |= no_ack;
}

static void dispatch(struct replay_gdb *gdb, const char *packet, size_t size)
{
    switch (packet[0]) {
    case 'q':
        query(gdb, packet);
        break;
    case 'Q':
        set(gdb, packet);
        break;
    case '?':
        replay_gdb_send_stop(gdb);
        break;
    case 'g':
        registers(gdb);
        break;
    case 'p':
        one_register(gdb, packet + 1);
        break;
    case 'm':
        memory(gdb, packet + 1);
        break;
    case 'G':
    case 'P':
    case 'M':
    case 'X': /* a replay is read-only */
        replay_gdb_send_text(gdb, "E03");
        break;
    case 'Z':
    case 'z':
        replay_gdb_stop_packet(gdb, packet, size);
        break;
    case 'v':
        verbose(gdb, packet);
        break;
    case 's':
    case 'S':
    case 'c':
    case 'C':
        replay_gdb_resume(gdb, packet[0] == 's' || packet[0] == 'S', false);
        break;
    case 'b':
        control(gdb, packet);
        break;
    case 'H':
    case 'T':
    case '!':
        replay_gdb_send_text(gdb, "OK");
        break;
    case 'D':
        replay_gdb_send_text(gdb, "OK");
        gdb->closed = true;
        break;
    case 'k':
        gdb->closed = true;
        break;
    default:
        replay_gdb_send_text(gdb, "");
    }
}

static void input(struct replay_gdb *gdb, uint8_t byte)
{
    bool acks = !gdb->no_ack;
    switch (replay_gdb_parse(&gdb->parser, byte, acks)) {
    case GDB_PACKET:
        gdb->packet_count++;
        if (acks)
            buf_byte(&gdb->out, '+');
        dispatch(gdb, (const char *)gdb->parser.data, gdb->parser.size);
        break;
    case GDB_BAD:
        if (acks)
            buf_byte(&gdb->out, '-');
        break;
    case GDB_AGAIN:
        if (acks)
            buf_put(&gdb->out, gdb->last.data, gdb->last.size);
        break;
    case GDB_INTERRUPT: /* the guest stands still already, as has been reported */
    case GDB_NOTHING:
        break;
    }
}

bool replay_gdb_input(struct replay_gdb *gdb, struct bytes bytes, struct buf *out)
{
    struct buf own = gdb->out;
    gdb->out = *out;
    for (size_t i = 0; i < bytes.size && !gdb->closed; i++)
        input(gdb, bytes.data[i]);
    *out = gdb->out;
    gdb->out = own;
    return !gdb->closed && !out->err;
}

uint64_t replay_gdb_packet_count(const struct replay_gdb *gdb)
{
    return gdb->packet_count;
}

/* ---- life ---- */

void replay_gdb_connect(struct replay_gdb *gdb)
{
    replay_gdb_stop_clear(gdb);
    gdb->parser.state = GDB_OUTSIDE;
    gdb->no_ack = gdb->closed = gdb->swbreak = gdb->hwbreak = false;
    buf_clear(&gdb->last);
    gdb->reported = (struct replay_stop){.time = replay_timeline_now(gdb->timeline)};
    gdb->reported_end = REPLAY_AT_LIMIT;
}

enum err replay_gdb_create(struct replay_query *q,
                           const struct replay_gdb_options *options,
                           struct replay_gdb **ret_gdb)
{
    struct replay_gdb *gdb = calloc(1, sizeof *gdb);
    if (!gdb)
        return ERR_nomem;
    gdb->query = q;
    gdb->timeline = q->timeline;
    gdb->guest = replay_timeline_guest(q->timeline);
    if (options)
        gdb->options = *options;
    buf_init(&gdb->last, (size_t)4 * GDB_PACKET_SIZE);
    buf_init(&gdb->answer, (size_t)2 * GDB_PACKET_SIZE);
    replay_gdb_connect(gdb);
    *ret_gdb = gdb;
    return ERR_ok;
}

void replay_gdb_close(struct replay_gdb *gdb)
{
    if (!gdb)
        return;
    replay_gdb_stop_clear(gdb);
    free(gdb->stop);
    buf_fini(&gdb->last);
    buf_fini(&gdb->answer);
    free(gdb);
}
