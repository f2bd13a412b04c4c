/* SPDX-License-Identifier: MIT
 *
 * The calls of pvm/hostcalls.def.  Each first checks what the guest alone decides:
 * operands and memory ranges.  What fails there, and what the recorded inputs tell
 * (arguments), is derived: it needs no host, and a replay compares it.  The rest is
 * asked of the host, and a replay finds the answer in its trace.
 */
#include "replay/host_calls.h"

#include <string.h>

/* ---- pieces ---- */

static void answer(struct host_call *call, int64_t value)
{
    if (value == REPLAY_HOST_INTERRUPTED) {
        call->interrupted = true;
        return;
    }
    call->answers = true;
    call->answer = value;
}

/* Everything that the guest decides is checked: is somebody there to ask? */
static bool ask(struct host_call *call)
{
    call->outside = true;
    return call->host != NULL;
}

/* The range of a call that moves bytes: cut to what one call moves. */
static struct host_range range_of(uint64_t address, uint64_t size)
{
    if (size > REPLAY_CALL_SIZE_MAX)
        size = REPLAY_CALL_SIZE_MAX;
    /* The machine's own accesses take the low 32 bits of an address too. */
    return (struct host_range){.address = (uint32_t)address, .size = size};
}

static bool is_writable(struct host_call *call, struct host_range range)
{
    if (pvm_mem_accessible(call->mem, (uint32_t)range.address, range.size,
                           PVM_ACCESS_RW))
        return true;
    answer(call, -REPLAY_HOST_fault);
    return false;
}

/* Take the guest's bytes into the scratch memory. */
static bool take(struct host_call *call, struct host_range range)
{
    if (pvm_mem_read(call->mem, (uint32_t)range.address, (size_t)range.size,
                     call->scratch)) {
        answer(call, -REPLAY_HOST_fault);
        return false;
    }
    call->read = range;
    call->read_bytes = bytes_of(call->scratch, (size_t)range.size);
    return true;
}

/* The host has filled `count` bytes of scratch memory for the guest, or failed. */
static void give(struct host_call *call, struct host_range range, int64_t count)
{
    answer(call, count);
    if (count <= 0)
        return;
    check((uint64_t)count <= range.size);
    call->write = (struct host_range){range.address, (uint64_t)count};
    call->write_bytes = bytes_of(call->scratch, (size_t)count);
}

/* ---- the table: a row without its function does not link ---- */

#define CALL(name) static void call_##name(struct host_call *call)
#define HOSTCALL(number, name, signature, text) CALL(name);
#include "pvm/hostcalls.def"

void replay_host_serve(struct host_call *call)
{
    switch (call->op) {
#define HOSTCALL(number, name, signature, text)                                        \
    case number:                                                                       \
        call_##name(call);                                                             \
        return;
#include "pvm/hostcalls.def"
    case REPLAY_CALL_REPLY:
        call->ends = true;
        return;
    default:
        answer(call, -REPLAY_HOST_nosys);
    }
}

/* ---- derived calls ---- */

CALL(exit)
{
    call->ends = true;
    call->status = (uint32_t)call->operand[0];
}

CALL(args_size)
{
    answer(call, (int64_t)call->args.size);
}

CALL(args)
{
    if (call->operand[1] < call->args.size) {
        answer(call, -REPLAY_HOST_range);
        return;
    }
    struct host_range range = {(uint32_t)call->operand[0], call->args.size};
    if (!is_writable(call, range))
        return;
    answer(call, (int64_t)call->args.size);
    call->write = range;
    call->write_bytes = call->args;
}

/* ---- calls that ask ---- */

CALL(read)
{
    struct host_range range = range_of(call->operand[1], call->operand[2]);
    if (!is_writable(call, range) || !ask(call))
        return;
    give(call, range,
         call->host->read(call->host->self, call->operand[0], call->scratch,
                          (size_t)range.size));
}

CALL(write)
{
    struct host_range range = range_of(call->operand[1], call->operand[2]);
    if (!take(call, range) || !ask(call))
        return;
    answer(call, call->host->write(call->host->self, call->operand[0], call->scratch,
                                   (size_t)range.size));
}

CALL(open)
{
    char path[REPLAY_PATH_SIZE_MAX + 1];
    uint64_t size = call->operand[1], flags = call->operand[2];
    if (!size || size > REPLAY_PATH_SIZE_MAX || flags > 2) {
        answer(call, -REPLAY_HOST_inval);
        return;
    }
    if (!take(call, range_of(call->operand[0], size)))
        return;
    if (memchr(call->scratch, 0, (size_t)size)) {
        answer(call, -REPLAY_HOST_inval);
        return;
    }
    if (!ask(call))
        return;
    memcpy(path, call->scratch, (size_t)size);
    path[size] = 0;
    answer(call, call->host->open(call->host->self, path, flags));
}

CALL(close)
{
    if (ask(call))
        answer(call, call->host->close(call->host->self, call->operand[0]));
}

CALL(seek)
{
    if (call->operand[2] > 2) {
        answer(call, -REPLAY_HOST_inval);
        return;
    }
    if (ask(call))
        answer(call, call->host->seek(call->host->self, call->operand[0],
                                      (int64_t)call->operand[1], call->operand[2]));
}

CALL(clock)
{
    if (call->operand[0] > 1) {
        answer(call, -REPLAY_HOST_inval);
        return;
    }
    if (ask(call))
        answer(call, call->host->clock(call->host->self, call->operand[0]));
}

CALL(random)
{
    struct host_range range = range_of(call->operand[0], call->operand[1]);
    if (!is_writable(call, range) || !ask(call))
        return;
    give(call, range,
         call->host->random(call->host->self, call->scratch, (size_t)range.size));
}
