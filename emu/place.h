/* SPDX-License-Identifier: MIT
 *
 * emu/place.h - where a run is: a place on the guest's time line.
 * Low: includes nothing of the project.
 */
#ifndef EMU_PLACE_H
#define EMU_PLACE_H

#include <stdbool.h>
#include <stdint.h>

/* A boundary: steps so far, and iterations of an unfinished `rep` or virtual ns since a
 * HLT (machine.md 4.3 and 5.4). */
struct emu_place {
    uint64_t icount, sub;
};

/* Is `a` before `b`? */
static inline bool emu_place_before(struct emu_place a, struct emu_place b)
{
    return a.icount < b.icount || (a.icount == b.icount && a.sub < b.sub);
}

#endif
