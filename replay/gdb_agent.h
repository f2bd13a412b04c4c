/* SPDX-License-Identifier: MIT
 *
 * replay/gdb_agent.h - conditions of breakpoints in gdb's agent bytecode
 * (trace-replay.md 9.4).  Private to replay/.
 */
#ifndef REPLAY_GDB_AGENT_H
#define REPLAY_GDB_AGENT_H

#include "replay/debug.h"

/* Is the condition false where the guest stands?  What cannot be evaluated is not:
 * gdb tests again itself. */
bool replay_gdb_agent_false(const struct replay_guest *guest, struct bytes code);

#endif
