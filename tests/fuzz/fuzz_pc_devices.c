/* SPDX-License-Identifier: MIT
 *
 * Port accesses to all devices of the pc and stores to its RAM, without the processor.
 * The input is a script of commands; virtqueues are set up by one of them and filled by
 * others, so that the fuzzer gets to the rings at once.
 *
 * Whatever comes: no crash, nothing is read or written outside RAM, a kick publishes at
 * most what was available, a saved state loads and saves to the same bytes, and the
 * same script gives the same state twice.
 */
#include "emu/save.h"
#include "tests/fuzz/silent_host.h"
#include "v86fs/virtio_v86fs.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 400, RING = 0x10000, RING_STEP = 0x1000, COMMON = 0xf800 };

struct machine {
    struct arena arena;
    struct v86fs_ids ids;
    struct v86fs_server *server;
    struct v86fs_virtio_clock clock;
    struct v86fs_virtio *fs;
    struct emu_pc *pc;
    struct bytes left;
};

static void event(void *self, const struct emu_event *event)
{
    (void)self;
    if (event->type == EMU_EVENT_virtio_flush)
        check(event->count >= 1 && event->count <= EMU_VIRTQ_SIZE_MAX);
}

static void machine_init(struct machine *m, const uint8_t *data, size_t size)
{
    struct emu_host host = silent_host();
    struct v86fs_mem_options mem = {
        .node_count_max = 20, .quota = 1 << 16, .file_size_max = 1 << 20};
    struct v86fs_server_options server;
    struct v86fs_virtio_options options;
    struct emu_pc_config config;
    struct v86fs_mem *tree;
    uint64_t root;
    *m = (struct machine){.left = bytes_of(data, size)};
    host.event = event;
    arena_init(&m->arena, (size_t)64 << 20);
    emu_pc_config_init(&config);
    config.ram_size = 1u << 20;
    config.cache_size = 1u << 16;
    config.fs_count = 1;
    emu_virtio_pci_options_init(&config.fs[0], 0);
    check(emu_pc_create(&m->arena, &config, &host, &m->pc) == ERR_ok);
    v86fs_ids_init(&m->ids);
    v86fs_server_options_init(&server);
    server.handle_count_max = 5;
    check(v86fs_mem_create(&m->arena, &mem, &m->ids, &tree) == ERR_ok);
    check(v86fs_mem_root(tree, 0755, 0, &root) == ERR_ok);
    check(v86fs_server_create(&m->arena, &server, &m->ids, &m->server) == ERR_ok);
    check(v86fs_server_export(m->server, bytes_of("", 0), v86fs_mem_tree(tree), root,
                              false) == ERR_ok);
    m->clock = (struct v86fs_virtio_clock){m->server, m->pc, emu_pc_now_ns};
    v86fs_virtio_options_init(&options);
    options.note_count_max = 4;
    options.backend = v86fs_virtio_server(&m->clock);
    check(v86fs_virtio_create(&m->arena, &options, &m->pc->fs[0].virtio, &m->fs) ==
          ERR_ok);
}

static uint32_t take(struct machine *m, unsigned size)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < size && m->left.size; i++) {
        value |= (uint32_t)m->left.data[0] << 8 * i;
        m->left = bytes_of(m->left.data + 1, m->left.size - 1);
    }
    return value;
}

static void out(struct machine *m, unsigned port, unsigned size, uint32_t value)
{
    emu_pc_port_write(m->pc, (uint16_t)port, value, size);
}

/* What a driver does up to DRIVER_OK; the ring addresses are the fuzzer's. */
static void start_driver(struct machine *m)
{
    uint32_t shift = take(m, 1) % 8 * 16;
    out(m, 0xcf8, 4, 0x80007004);
    out(m, 0xcfc, 2, 7);
    out(m, COMMON + 0x14, 1, 0);
    out(m, COMMON + 0x14, 1, 3);
    out(m, COMMON + 0x08, 4, 1);
    out(m, COMMON + 0x0c, 4, 1);
    out(m, COMMON + 0x14, 1, 0xb);
    for (unsigned i = 0; i < 3; i++) {
        uint32_t at = RING + i * RING_STEP + shift;
        out(m, COMMON + 0x16, 2, i);
        out(m, COMMON + 0x18, 2, 1u << (1 + take(m, 1) % 7));
        out(m, COMMON + 0x20, 4, at);
        out(m, COMMON + 0x28, 4, at + 0x800);
        out(m, COMMON + 0x30, 4, at + 0x940);
        out(m, COMMON + 0x1c, 2, 1);
    }
    out(m, COMMON + 0x14, 1, 0xf);
}

static void store(struct machine *m, uint32_t pa, unsigned size, uint64_t value)
{
    uint8_t bytes[8];
    v86fs_store(bytes, size, value);
    emu_ram_write(m->pc->ram, pa, bytes, size);
}

/* A request of one byte type and a body from the script, and its reply buffer. */
static void offer(struct machine *m)
{
    unsigned queue = take(m, 1) % 3, slot = take(m, 1) % 64, flags = take(m, 1);
    const struct emu_virtq *q = &m->pc->fs[0].virtio.queue[queue];
    uint32_t at = q->desc + 32 * slot, size = 7 + take(m, 1) % 64;
    uint32_t buffer = 0x40000 + slot * 0x100;
    store(m, buffer, 4, size);
    for (uint32_t i = 4; i < size; i++)
        store(m, buffer + i, 1, take(m, 1));
    store(m, at, 8, buffer);
    store(m, at + 8, 4, size);
    store(m, at + 12, 2, queue == 2 ? 2 : 1 | (flags & 4));
    store(m, at + 14, 2, flags & 8 ? take(m, 2) : 2 * slot + 1);
    store(m, at + 16, 8, flags & 16 ? take(m, 4) : buffer + 0x80);
    store(m, at + 24, 4, flags & 32 ? take(m, 4) : 0x80);
    store(m, at + 28, 2, 2 | (flags & 1));
    store(m, at + 30, 2, flags & 1 ? take(m, 1) : 0);
    uint8_t index[2];
    emu_ram_read(m->pc->ram, q->avail + 2, index, 2);
    uint16_t next = (uint16_t)(index[0] | index[1] << 8);
    store(m, q->avail + 4 + 2u * (next & (q->size - 1u)), 2, 2 * slot);
    store(m, q->avail + 2, 2, next + 1u);
    if (!(flags & 64))
        out(m, 0xf900 + 2 * queue, 2, queue);
}

static void notify(struct machine *m)
{
    uint8_t frame[64];
    size_t size = v86fs_invalidate_encode(take(m, 1), 0, 0, frame, sizeof frame);
    frame[take(m, 1) % size] ^= (uint8_t)take(m, 1);
    (void)v86fs_virtio_notify(m->fs, bytes_of(frame, size));
}

static void step(struct machine *m)
{
    static const uint16_t popular[] = {
        0x20,  0x21,  0xa0,  0xa1,  0x40,  0x42,  0x43,   0x61,   0x70,   0x71,
        0x3f8, 0x3f9, 0x3fa, 0x3fc, 0xcf8, 0xcfc, 0xf700, 0xf800, 0xf816, 0xf900};
    uint32_t choice = take(m, 1);
    unsigned size = 1u << choice % 3;
    uint16_t port =
        choice & 8 ? (uint16_t)take(m, 2) : popular[take(m, 1) % countof(popular)];
    switch (choice >> 4) {
    case 0:
        start_driver(m);
        break;
    case 1:
    case 2:
    case 3:
        offer(m);
        break;
    case 4:
        notify(m);
        break;
    case 5:
        store(m, RING + take(m, 2) % 0x3000, 2, take(m, 2));
        break;
    case 6:
        (void)emu_uart_receive(&m->pc->uart, (const uint8_t *)"key", 3);
        break;
    case 7: /* let time pass */
        m->pc->cpu->halted_ns += (uint64_t)take(m, 3) * 1000;
        (void)emu_pit_take_edge(&m->pc->pit, emu_cpu_vns(m->pc->cpu));
        emu_rtc_update(&m->pc->rtc, emu_cpu_vns(m->pc->cpu));
        break;
    case 8: {
        unsigned irq;
        if (emu_pics_intr(&m->pc->pics))
            (void)emu_pics_acknowledge(&m->pc->pics, &irq);
        break;
    }
    case 9:
    case 10:
    case 11:
        (void)emu_pc_port_read(m->pc, port, size);
        break;
    default:
        out(m, port, size, take(m, size));
        break;
    }
}

static void run(const uint8_t *data, size_t size, struct hash256 *ret_hash)
{
    struct machine *m = malloc(sizeof *m);
    struct emu_ram_hash *ram;
    struct buf state, again;
    char field[40];
    check(m);
    machine_init(m, data, size);
    check(emu_ram_hash_create(&m->arena, m->pc->ram, &ram) == ERR_ok);
    for (unsigned i = 0; i < STEPS_MAX && m->left.size; i++)
        step(m);
    check(m->pc->fs[0].virtio.queue[0].staged == 0);
    buf_init(&state, 1 << 20);
    buf_init(&again, 1 << 20);
    *ret_hash = emu_pc_hash(m->pc, ram, &state);
    buf_clear(&state);
    emu_pc_save(m->pc, &state);
    check(emu_pc_load(m->pc, buf_bytes(&state), field, sizeof field) == ERR_ok);
    emu_pc_save(m->pc, &again);
    check(again.size == state.size);
    /* A damaged one is refused or taken over, and the machine stands it. */
    if (size > 4) {
        state.data[(data[0] | (size_t)data[1] << 8) % state.size] ^= data[2];
        if (emu_pc_load(m->pc, buf_bytes(&state), field, sizeof field) == ERR_ok)
            (void)emu_pc_port_read(m->pc, (uint16_t)(0x20 + data[3]), 1);
    }
    buf_fini(&state);
    buf_fini(&again);
    arena_fini(&m->arena);
    free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hash256 one, two;
    run(data, size, &one);
    run(data, size, &two);
    check(hash256_equal(&one, &two));
    return 0;
}
