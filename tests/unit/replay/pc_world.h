/* SPDX-License-Identifier: MIT
 *
 * tests/unit/replay/pc_world.h - a small real-mode program on a pc that is fed with
 * keys, recorded in memory: a timer interrupt prints dots and counts them, a serial
 * interrupt echoes keys, in between it copies memory and sleeps; the key 'q' ends it.
 */
#ifndef TESTS_UNIT_REPLAY_PC_WORLD_H
#define TESTS_UNIT_REPLAY_PC_WORLD_H

#include "tests/test.h"

#include "replay/pc.h"

enum {
    PC_WORLD_INPUTS = 3,
    /* Of the program: */
    PC_WORLD_TIMER = 0x7c53, /* the handler of the timer */
    PC_WORLD_REP = 0x7c4e,   /* `rep movsb` from 0 on */
    PC_WORLD_COUNTER = 0x9000,
};

struct pc_world {
    struct emu_place place[PC_WORLD_INPUTS]; /* of the keys, which are `text` */
    const char *text[PC_WORLD_INPUTS];
    unsigned next;  /* input */
    struct buf out; /* what the guest prints */
    struct arena arena;
    struct trace_memory memory;
    struct hash256 identity;
};

/* The keys "a", "bcd" and "q", whose places are the caller's to set. */
void pc_world_init(struct pc_world *world);
void pc_world_fini(struct pc_world *world);

/* A pc with the program, which copies so many bytes each time. */
void pc_world_setup(uint16_t copied, struct replay_pc_setup *ret_setup);

/* Record `limit` steps into world->memory.  Without `finish` the recorder is killed. */
enum emu_pc_status pc_world_record(struct pc_world *world,
                                   const struct replay_pc_setup *setup, uint64_t limit,
                                   bool finish);

#endif
