/* SPDX-License-Identifier: MIT
 *
 * tests/fuzz/silent_host.h - a host of the pc from which nothing comes and which keeps
 * nothing.
 */
#ifndef TESTS_FUZZ_SILENT_HOST_H
#define TESTS_FUZZ_SILENT_HOST_H

#include "emu/host.h"
#include "emu/pit.h"

static inline void silent_host_out(void *self, uint32_t dev, uint8_t byte)
{
    (void)self;
    (void)dev;
    (void)byte;
}

static inline bool silent_host_input(void *self, struct emu_place here,
                                     struct emu_place *ret_next,
                                     struct emu_input *ret_input)
{
    (void)self;
    (void)here;
    (void)ret_next;
    (void)ret_input;
    return false;
}

/* Sleeps to the deadline; a guest that sleeps for ever has ended. */
static inline bool silent_host_idle(void *self, uint64_t now, uint64_t deadline,
                                    uint64_t *ret_vns)
{
    (void)self;
    (void)now;
    *ret_vns = deadline;
    return deadline != EMU_NEVER;
}

static inline void silent_host_event(void *self, const struct emu_event *event)
{
    (void)self;
    (void)event;
}

static inline struct emu_host silent_host(void)
{
    return (struct emu_host){NULL, silent_host_out, silent_host_input, silent_host_idle,
                             silent_host_event};
}

#endif
