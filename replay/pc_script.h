/* SPDX-License-Identifier: MIT
 *
 * replay/pc_script.h - what a script for a pc says, line by line: keys to type, and
 * what the host does to the guest's files meanwhile.  Private to replay/.
 */
#ifndef REPLAY_PC_SCRIPT_H
#define REPLAY_PC_SCRIPT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum pc_script_verb {
    PC_SCRIPT_expect,
    PC_SCRIPT_send,
    PC_SCRIPT_type,
    PC_SCRIPT_wait,
    PC_SCRIPT_host,
    PC_SCRIPT_late,
    PC_SCRIPT_invalidate,
    PC_SCRIPT_invalidate_dir,
    PC_SCRIPT_mount,
    PC_SCRIPT_umount,
};

struct pc_script_step {
    enum pc_script_verb verb;
    uint32_t line;
    /* Text, command, path or name; behind it is a NUL. */
    struct bytes text;
    struct bytes path;  /* mount */
    uint64_t number[2]; /* wait, late: ns; invalidate: offset, size */
};

struct pc_script {
    struct pc_script_step *step;
    size_t count;
};

/* Everything in `arena`.  ERR_usage: line *ret_line is none; ERR_nomem. */
ERR_MUST_CHECK enum err replay_pc_script_parse(struct arena *arena, struct bytes text,
                                               struct pc_script *ret_script,
                                               uint32_t *ret_line);

#endif
