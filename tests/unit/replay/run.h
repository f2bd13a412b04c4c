/* SPDX-License-Identifier: MIT
 *
 * tests/unit/replay/run.h - record and replay in memory, with a host that a test
 * scripts.
 */
#ifndef TESTS_UNIT_REPLAY_RUN_H
#define TESTS_UNIT_REPLAY_RUN_H

#include "tests/test.h"

#include "replay/replay.h"

/* ---- a host whose answers the test chooses ---- */

struct script {
    const char *input; /* what read(0) gives, `piece` bytes at a time */
    size_t piece;
    struct buf output; /* of descriptor 1 */
    int64_t open_answer;
    uint64_t clock;
    uint64_t call_count;
    uint64_t interrupt_at; /* the call that Ctrl-C ends; 0: none */
};
struct replay_host script_host(struct script *script);

/* ---- one recording ---- */

struct recording {
    struct arena arena;
    struct trace_memory memory;
    struct hash256 identity;
    struct replay_result result;
    struct pvm_state state; /* at the end */
    uint64_t event_count;
};

/* A setup for a raw blob without memory: gas 10^6, ledger, no digests. */
struct replay_setup setup_of(struct bytes blob, enum pvm_profile profile);

/* Assemble text into an arena. */
struct bytes assemble(struct arena *arena, const char *text);

/* A standard program of the corpus, with its arguments. */
struct replay_setup setup_program(struct arena *arena, const char *name,
                                  const char *const *argv, size_t argc);

/* Record (stored raw); `kill`: leave the file as a killed recorder does. */
void record(struct recording *r, const struct replay_setup *setup,
            const struct replay_host *host, bool kill);
void recording_fini(struct recording *r);
struct bytes recording_bytes(const struct recording *r);

/* Replay bytes. */
struct replay_report replay_bytes(struct bytes file,
                                  const struct replay_options *options);

/* Run without a trace. */
struct replay_result run_only(const struct replay_setup *setup,
                              const struct replay_host *host,
                              struct pvm_state *ret_state);

/* Record, replay, compare the ends, record the replay and compare the files. */
void check_setup(const struct replay_setup *setup, const struct replay_host *host,
                 struct recording *r);

/* ---- a program that reads, writes and waits ---- */

/* Record six rounds of it with digests: it reads four bytes of reader_input, stores
 * them into a page of its own, writes them and waits in a loop with branches; it ends
 * in a trap. */
enum { READER_SIZE = 4 };
extern const char reader_input[];
void record_reader(struct arena *arena, struct recording *r, enum pvm_profile profile,
                   enum pvm_gas_log log);

#endif
