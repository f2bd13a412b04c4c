/* SPDX-License-Identifier: MIT
 *
 * The bytes of DUMP_STATE, read [9.9].
 */
#include "kernel/cap.h"
#include "nub/packet.h"

struct cursor {
    struct bytes left;
    bool good;
};

/* The next `size` bytes; none, and good no more, where there are fewer. */
static struct bytes take(struct cursor *c, uint64_t size)
{
    c->good = c->good && size <= c->left.size;
    if (!c->good)
        return bytes_of("", 0);
    struct bytes taken = bytes_of(c->left.data, (size_t)size);
    c->left = bytes_of(c->left.data + size, c->left.size - (size_t)size);
    return taken;
}

static uint32_t take_u32(struct cursor *c)
{
    struct bytes bytes = take(c, 4);
    return c->good ? kernel_u32(bytes.data) : 0;
}

static uint64_t take_u64(struct cursor *c)
{
    struct bytes bytes = take(c, 8);
    return c->good ? kernel_u64(bytes.data) : 0;
}

static struct bytes take_list(struct cursor *c, uint64_t size)
{
    uint32_t count = take_u32(c);
    return take(c, count * size);
}

bool nub_state_decode(struct bytes payload, struct nub_state *ret_state)
{
    struct cursor c = {.left = payload, .good = true};
    struct nub_state state = {.quotas = take_list(&c, NUB_AMOUNT_SIZE)};
    state.meters = take_list(&c, NUB_AMOUNT_SIZE);
    state.files = take_list(&c, NUB_FILE_SIZE);
    state.file_next = take_u64(&c);
    state.catcher_nonce = take_u64(&c);
    state.catcher_count = take_u32(&c);
    for (uint32_t i = 0; i < state.catcher_count && c.good; i++) {
        (void)take(&c, HASH256_SIZE);
        struct bytes markers = take_list(&c, HASH256_SIZE);
        state.marker_count += (uint32_t)(markers.size / HASH256_SIZE);
    }
    state.cap_count = take_u64(&c);
    struct bytes caps = take(&c, HASH256_SIZE);
    if (c.good)
        state.caps = kernel_hash_at(caps.data);
    state.stack = take_list(&c, NUB_FRAME_STATE_SIZE);
    if (!c.good || c.left.size)
        return false;
    *ret_state = state;
    return true;
}
