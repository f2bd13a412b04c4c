/* SPDX-License-Identifier: MIT
 *
 * replay/setup.h - what a setup looks like in a trace.  Private to replay/.
 */
#ifndef REPLAY_SETUP_H
#define REPLAY_SETUP_H

#include "replay/replay.h"

enum { SETUP_TEXT_SIZE = 24, SETUP_MAP_COUNT_MAX = 4096 };

/* The rows of session.config, in order of their keys.  Row `index` of this setup: its
 * key and its value as text, "" when it has its default and is left out; false behind
 * the last row. */
bool replay_setup_config_get(const struct replay_setup *setup, unsigned index,
                             const char **ret_key, char ret_value[SETUP_TEXT_SIZE]);

/* Take over one row that was read.  False: unknown key, or a value that get() would
 * not have written. */
bool replay_setup_config_set(struct replay_setup *setup, const char *key,
                             const char *value);

/* ---- of any guest ---- */

/* ERR_trace_event, with a class and a text. */
ERR_MUST_CHECK enum err replay_refuse(struct replay_refusal *refusal,
                                      enum replay_class class, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The next record; ERR_trace_end behind the last. */
ERR_MUST_CHECK enum err replay_setup_next(struct trace_reader *reader,
                                          struct trace_record *ret_record);

/* Take over the rows of session.config from *record on, which is what follows them
 * afterwards.  `set` answers false for a key or value that is not known. */
ERR_MUST_CHECK enum err
replay_setup_keys(struct arena *arena, struct trace_reader *reader,
                  struct trace_record *record,
                  bool (*set)(void *self, const char *key, const char *value),
                  void *self, struct replay_refusal *refusal);

/* Is it a trace of this guest whose configuration has the key?  Reads no further than
 * the configuration; false for what is no trace. */
bool replay_setup_has_key(const struct trace_source *source, enum trace_guest guest,
                          const char *key);

#endif
