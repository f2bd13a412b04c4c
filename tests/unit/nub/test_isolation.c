/* SPDX-License-Identifier: MIT
 *
 * Two sides that do not trust each other: a peer that lies never harms a host, and no
 * stream of bytes harms a worker (pvm-kernel.md 9.1, 12).
 */
#define _GNU_SOURCE
#include "base/os.h"
#include "base/os_process.h"
#include "base/os_stream.h"
#include "nub/client.h"
#include "tests/test.h"
#include "tests/unit/nub/kat.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- peers that lie: all that they will ever say is written beforehand ---- */

static const struct nub_options patient = {.timeout_ns = 20000000};

/* A good SMOKE answer and a good GET_BOOT_INFO answer. */
static size_t good_answers(uint8_t *ret_bytes)
{
    const struct nub_header smoke = {.fn = NUB_FN_smoke, .seq = 1, .size = 8};
    const struct nub_header info = {
        .fn = NUB_FN_get_boot_info, .seq = 2, .size = NUB_BOOT_INFO_SIZE};
    nub_header_encode(&smoke, ret_bytes);
    kernel_u64_put(ret_bytes + 24, 42);
    nub_header_encode(&info, ret_bytes + 32);
    nub_boot_info_encode(ret_bytes + 56);
    return 56 + NUB_BOOT_INFO_SIZE;
}

/* The first answers come in two parts, since nothing may be sent before it is due. */
struct peer {
    int host, peer;
};

static struct peer peer_open(void)
{
    int ends[2];
    assert_int_equal(os_stream_pair(ends), ERR_ok);
    return (struct peer){ends[0], ends[1]};
}

/* What comes of a SMOKE whose answer is these bytes; `closes`: then the peer is gone.
 */
static enum err smoke_answered(const uint8_t *bytes, size_t size, bool closes)
{
    struct peer p = peer_open();
    struct nub *nub = NULL;
    size_t sent = 0;
    if (size)
        assert_int_equal(os_stream_send_some(p.peer, bytes, size, &sent), ERR_ok);
    if (closes)
        assert_int_equal(shutdown(p.peer, SHUT_WR), 0);
    enum err err = nub_attach(p.host, &patient, &nub);
    assert_null(nub);
    os_close(p.peer);
    return err;
}

static void test_lies(void **unused)
{
    (void)unused;
    static const struct {
        uint8_t at, xor;
        enum err err;
    } lies[] = {
        {0, 1, ERR_nub_protocol},  /* magic */
        {4, 1, ERR_nub_protocol},  /* version */
        {6, 1, ERR_nub_protocol},  /* flags */
        {8, 1, ERR_nub_protocol},  /* fn_id */
        {12, 1, ERR_nub_protocol}, /* seq */
        {15, 1, ERR_nub_protocol},
        {16, 1, ERR_nub_protocol}, /* a status for a function that has none */
        {20, 1, ERR_timeout},      /* one byte more than comes */
        {20, 8, ERR_nub_protocol}, /* none, but there are */
        {20, 4, ERR_timeout},      /* four more */
        {23, 1, ERR_timeout},      /* 16 MiB and 8: above the limit */
        {24, 1, ERR_nub_protocol}, /* 43 */
        {23, 0x80, ERR_nub_protocol},
    };
    uint8_t bytes[256];
    for (size_t i = 0; i < countof(lies); i++) {
        (void)good_answers(bytes);
        bytes[lies[i].at] ^= lies[i].xor ;
        enum err err = smoke_answered(bytes, 32, false);
        bool above = lies[i].at == 23;
        assert_int_equal(err, above ? ERR_nub_protocol : lies[i].err);
    }
}

/* A peer that sends more than was asked for, in one piece or without end. */
static void test_flood(void **unused)
{
    (void)unused;
    static uint8_t bytes[1 << 20];
    memset(bytes, 'P', sizeof bytes);
    (void)good_answers(bytes);
    assert_int_equal(smoke_answered(bytes, 33, false), ERR_nub_protocol);
    assert_int_equal(smoke_answered(bytes, sizeof bytes, false), ERR_nub_protocol);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(smoke_answered(bytes, sizeof bytes, false), ERR_nub_protocol);
}

/* A peer that is gone behind each byte of its answer, or says no more. */
static void test_cut_answers(void **unused)
{
    (void)unused;
    uint8_t bytes[256];
    (void)good_answers(bytes);
    for (size_t size = 0; size <= 32; size++) {
        assert_int_equal(smoke_answered(bytes, size, true), ERR_closed);
        if (size % 8 == 7)
            assert_int_equal(smoke_answered(bytes, size, false), ERR_timeout);
    }
}

static void test_garbage_answers(void **unused)
{
    (void)unused;
    uint64_t seed = test_seed(2);
    for (unsigned round = 0; round < 300; round++) {
        uint8_t bytes[256];
        size_t size = test_random(&seed) % sizeof bytes;
        (void)good_answers(bytes);
        for (size_t i = 0; i < sizeof bytes; i++) {
            if (round % 2 == 0 || test_random(&seed) % 16 == 0)
                bytes[i] = (uint8_t)test_random(&seed);
        }
        assert_int_not_equal(smoke_answered(bytes, size, true), ERR_ok);
    }
}

/* A peer that is good at first: then its answers to GET_CAP do not fit together. */
struct liar {
    uint64_t total, offset;
    uint32_t payload;
};

static bool liar_answer(int stream, uint8_t *bytes, size_t size)
{
    size_t got;
    bool descriptors;
    uint8_t request[256];
    if (os_stream_receive(stream, request, sizeof request, OS_STREAM_NEVER, &got,
                          &descriptors))
        return false;
    nub_header_encode(&(struct nub_header){.fn = kernel_u32(request + 8),
                                           .seq = kernel_u32(request + 12),
                                           .size = (uint32_t)(size - 24)},
                      bytes);
    return !os_stream_send(stream, bytes, size, OS_STREAM_NEVER);
}

static int liar_run(void *self, int stream)
{
    const struct liar *liar = self;
    static uint8_t bytes[1 << 16];
    kernel_u64_put(bytes + 24, 42);
    bool more = liar_answer(stream, bytes, 32);
    nub_boot_info_encode(bytes + 24);
    more = more && liar_answer(stream, bytes, 24 + NUB_BOOT_INFO_SIZE);
    while (more) {
        memset(bytes, 0, sizeof bytes);
        kernel_u64_put(bytes + 24, liar->total);
        kernel_u64_put(bytes + 32, liar->offset);
        more = liar_answer(stream, bytes, 24 + liar->payload);
    }
    return 0;
}

static void test_lying_caps(void **unused)
{
    (void)unused;
    static const struct liar liars[] = {
        {.payload = 0}, /* no header */
        {.payload = 15},
        {.total = 10, .payload = 16},      /* nothing of something */
        {.total = 10, .payload = 16 + 11}, /* more than there is */
        {.total = 10, .offset = 1, .payload = 16 + 5},
        {.total = UINT64_MAX, .payload = 16},
        {.total = 10, .payload = 16 + 5}, /* the same part twice */
    };
    const struct os_process_options bare = {.without = OS_WORKER_WALLS};
    for (size_t i = 0; i < countof(liars); i++) {
        struct liar liar = liars[i];
        struct os_process *process;
        struct hash256 hash = {{0}};
        struct buf wire;
        struct nub *nub;
        buf_init(&wire, 1 << 20);
        assert_int_equal(os_process_open(&bare, liar_run, &liar, &process), ERR_ok);
        assert_int_equal(nub_attach(dup(os_process_stream(process)), NULL, &nub),
                         ERR_ok);
        assert_int_equal(nub_get(nub, &hash, &wire), ERR_nub_protocol);
        nub_close(nub);
        os_process_close(process);
        buf_fini(&wire);
    }
}

/* ---- workers ---- */

static int worker_run(void *self, int stream)
{
    struct kernel_config config = kernel_config_default();
    struct nub_server *server;
    config.max_depth = 4;
    (void)self;
    return nub_server_open(&config, &server) ? 99 : nub_worker_run(server, stream);
}

static struct os_process *worker_open(void)
{
    const struct os_process_options options = {.without = OS_WORKER_WALLS &
                                                          ~(unsigned)OS_WORKER_SECCOMP};
    struct os_process *process;
    (void)hash_sha256("", 0);
    assert_int_equal(os_process_open(&options, worker_run, NULL, &process), ERR_ok);
    return process;
}

static int end_of(struct os_process *process)
{
    for (unsigned i = 0; i < 20000 && os_process_end(process) < 0; i++)
        os_sleep_ns(1000000);
    return os_process_end(process);
}

/* Take all answers until the worker has nothing more to say or is gone. */
static size_t answers(int stream, size_t wanted, uint8_t *ret_bytes)
{
    size_t have = 0;
    while (have < wanted) {
        size_t got;
        bool descriptors;
        if (os_stream_receive(stream, ret_bytes + have, wanted - have,
                              os_stream_deadline(UINT64_C(20000000000)), &got,
                              &descriptors))
            break;
        have += got;
    }
    return have;
}

/* SMOKE, PUT_CAP of a Type, an unknown function. */
static size_t requests(uint8_t *ret_bytes)
{
    size_t at = 0;
    const struct nub_header headers[] = {{.fn = NUB_FN_smoke, .seq = 1},
                                         {.fn = NUB_FN_put_cap, .seq = 2, .size = 33},
                                         {.fn = 6, .seq = 3, .size = 2}};
    for (size_t i = 0; i < countof(headers); i++) {
        nub_header_encode(&headers[i], ret_bytes + at);
        at += NUB_HEADER_SIZE;
        memset(ret_bytes + at, 4, headers[i].size);
        at += headers[i].size;
    }
    return at;
}

enum { ANSWERS_SIZE = 32 + 56 + 24 };

/* byte by byte is the same as at once. */
static void test_single_bytes(void **unused)
{
    (void)unused;
    uint8_t bytes[256], whole[ANSWERS_SIZE], single[ANSWERS_SIZE];
    size_t size = requests(bytes);
    struct os_process *a = worker_open(), *b = worker_open();
    assert_int_equal(os_stream_send(os_process_stream(a), bytes, size, OS_STREAM_NEVER),
                     ERR_ok);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(
            os_stream_send(os_process_stream(b), bytes + i, 1, OS_STREAM_NEVER),
            ERR_ok);
    assert_int_equal(answers(os_process_stream(a), sizeof whole, whole), sizeof whole);
    assert_int_equal(answers(os_process_stream(b), sizeof single, single),
                     sizeof single);
    assert_memory_equal(whole, single, sizeof whole);
    os_process_close(a);
    os_process_close(b);
}

/* The host is gone behind each byte: the worker ends, with status 0. */
static void test_cut_requests(void **unused)
{
    (void)unused;
    uint8_t bytes[256];
    size_t size = requests(bytes);
    for (size_t cut = 0; cut <= size; cut++) {
        struct os_process *worker = worker_open();
        int stream = os_process_stream(worker);
        assert_int_equal(os_stream_send(stream, bytes, cut, OS_STREAM_NEVER), ERR_ok);
        /* Half of them do not even wait for answers. */
        assert_int_equal(shutdown(stream, cut % 2 ? SHUT_RDWR : SHUT_WR), 0);
        assert_int_equal(end_of(worker), 0);
        os_process_close(worker);
    }
}

/* No stream of bytes ends a worker otherwise. */
static void test_garbage_requests(void **unused)
{
    (void)unused;
    uint64_t seed = test_seed(3);
    for (unsigned round = 0; round < 60; round++) {
        uint8_t bytes[256];
        size_t size = requests(bytes);
        struct os_process *worker = worker_open();
        int stream = os_process_stream(worker);
        for (size_t i = 0; i < size; i++) {
            if (round % 4 == 0 || test_random(&seed) % 24 == 0)
                bytes[i] = (uint8_t)test_random(&seed);
        }
        (void)!os_stream_send(stream, bytes, size, OS_STREAM_NEVER);
        (void)shutdown(stream, SHUT_WR);
        if (end_of(worker) != 0)
            test_reproduce("nub_isolation", test_seed(3));
        assert_int_equal(end_of(worker), 0);
        os_process_close(worker);
    }
}

/* 12: a header that cannot be one ends a worker, with status 0, and no byte behind it
 * is waited for. */
static void test_bad_headers(void **unused)
{
    (void)unused;
    static const struct {
        uint8_t at, xor;
    } bad[] = {{0, 1}, {3, 0x80}, {4, 1}, {5, 1}, {23, 2}, {23, 0xff}};
    for (size_t i = 0; i < countof(bad); i++) {
        uint8_t bytes[NUB_HEADER_SIZE];
        struct os_process *worker = worker_open();
        nub_header_encode(&(struct nub_header){.fn = NUB_FN_put_cap, .seq = 1}, bytes);
        bytes[bad[i].at] ^= bad[i].xor ;
        assert_int_equal(os_stream_send(os_process_stream(worker), bytes, sizeof bytes,
                                        OS_STREAM_NEVER),
                         ERR_ok);
        assert_int_equal(end_of(worker), 0);
        os_process_close(worker);
    }
}

static void send_with_descriptor(int stream, const uint8_t *bytes, size_t size)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {{0}};
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    struct cmsghdr *first = CMSG_FIRSTHDR(&message);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(first), &(int){STDIN_FILENO}, sizeof(int));
    assert_int_equal(sendmsg(stream, &message, MSG_NOSIGNAL), (ssize_t)size);
}

/* 12: a descriptor that no flag announces; the next request is fine. */
static void test_descriptor(void **unused)
{
    (void)unused;
    uint8_t bytes[256], got[ANSWERS_SIZE];
    size_t size = requests(bytes);
    struct os_process *worker = worker_open();
    int stream = os_process_stream(worker);
    send_with_descriptor(stream, bytes, NUB_HEADER_SIZE);
    assert_int_equal(answers(stream, NUB_HEADER_SIZE, got), NUB_HEADER_SIZE);
    assert_int_equal(kernel_u32(got + 16), KERNEL_STATUS_MALFORMED);
    assert_int_equal(os_stream_send(stream, bytes + 24, size - 24, OS_STREAM_NEVER),
                     ERR_ok);
    assert_int_equal(answers(stream, 56 + 24, got), 56 + 24);
    assert_int_equal(kernel_u32(got + 16), KERNEL_STATUS_OK);
    os_process_close(worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lies),         cmocka_unit_test(test_flood),
        cmocka_unit_test(test_cut_answers),  cmocka_unit_test(test_garbage_answers),
        cmocka_unit_test(test_lying_caps),   cmocka_unit_test(test_single_bytes),
        cmocka_unit_test(test_cut_requests), cmocka_unit_test(test_garbage_requests),
        cmocka_unit_test(test_bad_headers),  cmocka_unit_test(test_descriptor),
    };
    return cmocka_run_group_tests(tests, kat_open, kat_close);
}
