/* SPDX-License-Identifier: MIT
 *
 * nub/relay.h - let many clients use one kernel: what `lockstep serve` does.
 *
 * Clients connect to a listening socket and speak as to a kernel of their own
 * (pvm-kernel.md 9.1); their requests are served one after the other, in the order in
 * which they are complete.  A client that sends no packet, or stops in the middle of
 * one, is disconnected and harms nobody.  When the worker is lost, the client whose
 * request was being served is disconnected, since it has no answer, and the worker is
 * rebuilt for the others.
 */
#ifndef NUB_RELAY_H
#define NUB_RELAY_H

#include "nub/nub.h"

enum nub_relay_event {
    NUB_RELAY_CLIENT,    /* somebody connected */
    NUB_RELAY_REFUSED,   /* somebody was turned away: there are too many */
    NUB_RELAY_BAD,       /* a client was disconnected for what it sent, or did not */
    NUB_RELAY_LOST,      /* the worker is gone; `err` says why */
    NUB_RELAY_RECOVERED, /* another one has taken its place */
    NUB_RELAY_EVENT_COUNT,
};

struct nub_relay_options {
    uint64_t frame_timeout_ns; /* from first to last byte of a request or answer */
    /* Told of what happens; NULL: nobody is. */
    void (*tell)(void *self, enum nub_relay_event event, enum err err);
    void *self;
};

struct nub_relay_counts {
    uint64_t requests;
    uint64_t events[NUB_RELAY_EVENT_COUNT];
};

enum { NUB_RELAY_CLIENTS_MAX = 32 };

/*
 * Serve until os_interrupted(), which is ERR_ok, or until the worker cannot be rebuilt:
 * the errors of nub_recover().  `listener` is a socket of os_stream_listen(); it and
 * `nub` are borrowed.  *ret_counts is filled in any case.
 */
ERR_MUST_CHECK enum err nub_relay_run(int listener, struct nub *nub,
                                      const struct nub_relay_options *options,
                                      struct nub_relay_counts *ret_counts);

#endif
