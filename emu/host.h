/* SPDX-License-Identifier: MIT
 *
 * emu/host.h - all that the machine asks of the world, and all that it tells
 * (machine.md 5.7).  Recording wraps this table; replaying is this table.
 *
 * The console and the events may not change the machine; input and idle time do, at the
 * places that a recording writes down.
 */
#ifndef EMU_HOST_H
#define EMU_HOST_H

#include "base/buf.h"
#include "emu/place.h"

#include <stdbool.h>
#include <stdint.h>

enum emu_event_type {
    EMU_EVENT_irq,
    EMU_EVENT_reset,
    EMU_EVENT_port,
    EMU_EVENT_virtio_ready,
    EMU_EVENT_virtio_request,
    EMU_EVENT_virtio_reply,
    EMU_EVENT_virtio_flush,
    EMU_EVENT_virtio_complete,
    EMU_EVENT_virtio_notify,
    EMU_EVENT_virtio_reset,
    EMU_EVENT_virtio_error,
};

/* What ended a run (machine.md 2.10). */
enum emu_reset_cause {
    EMU_RESET_NONE,
    EMU_RESET_KEYBOARD, /* fe to port 64 */
    EMU_RESET_TRIPLE_FAULT,
    EMU_RESET_PORT,      /* ports f4, cf9, 92 */
    EMU_RESET_POWER_OFF, /* HLT that nothing can end */
};

/* An event as it happens; its place is the machine's.  Only the members of its type are
 * set; bytes are borrowed during the call. */
struct emu_event {
    enum emu_event_type type;
    uint32_t dev;   /* virtio.*: the index of the device */
    uint32_t queue; /* request, reply, complete, notify */
    uint32_t head;
    uint32_t line, vector; /* irq */
    uint32_t cause;        /* reset, error */
    uint16_t port, width;  /* port */
    bool out;
    uint32_t value;
    uint64_t features; /* ready */
    uint16_t queue_size[3];
    uint64_t read_size, write_size; /* request: bytes readable and writable */
    uint32_t op;
    struct bytes data;               /* request, reply, notify: the frame */
    uint32_t origin;                 /* reply: 1 = from outside */
    uint32_t count, used_index, isr; /* flush */
};

/* Input from outside at a place. */
struct emu_input {
    enum { EMU_INPUT_NONE, EMU_INPUT_CONSOLE, EMU_INPUT_CALL } kind;
    uint32_t dev;             /* CONSOLE: 0 is COM1 */
    struct bytes data;        /* CONSOLE; borrowed until the next question */
    void (*call)(void *self); /* CALL: run at the boundary (v86fs) */
    void *call_self;
};

struct emu_host {
    void *self;

    /* A byte leaves serial port `dev`. */
    void (*console_out)(void *self, uint32_t dev, uint8_t byte);

    /* The next input at or before `here`: true, and it is consumed.  Else false, and
     * *ret_next is the place of the next one as far as it is known (UINT64_MAX: not
     * known).  Asked at slice ends. */
    bool (*input_at)(void *self, struct emu_place here, struct emu_place *ret_next,
                     struct emu_input *ret_input);

    /* The guest sleeps until `deadline_vns` (EMU_NEVER: for ever).  The virtual time at
     * which it is to go on, from `now_vns` to the deadline; earlier than the deadline
     * when input has come.  False: nothing will ever come, end the run. */
    bool (*idle)(void *self, uint64_t now_vns, uint64_t deadline_vns,
                 uint64_t *ret_vns);

    /* Interrupts, resets, virtio: compared in replay. */
    void (*event)(void *self, const struct emu_event *event);
};

#endif
