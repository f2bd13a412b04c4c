/* SPDX-License-Identifier: MIT
 *
 * pvm/interp_variants.h - the handlers of HANDLERS (a file) in four variants: does
 * operand A, does operand B come from its register or from `last`?  LOG is the prefix
 * of their names.  No guard: included once per set.
 */
#define JOIN_(log, variant, name) log##_##variant##_##name
#define JOIN(log, variant, name) JOIN_(log, variant, name)
#define NAME(name) JOIN(LOG, VARIANT, name)

#define VARIANT rr
#define A OPERAND(a)
#define B OPERAND(b)
#include HANDLERS
#undef VARIANT
#undef A
#undef B

#define VARIANT lr
#define A last
#define B OPERAND(b)
#include HANDLERS
#undef VARIANT
#undef A
#undef B

#define VARIANT rl
#define A OPERAND(a)
#define B last
#include HANDLERS
#undef VARIANT
#undef A
#undef B

#define VARIANT ll
#define A last
#define B last
#include HANDLERS
#undef VARIANT
#undef A
#undef B

#undef JOIN_
#undef JOIN
#undef NAME
#undef LOG
#undef HANDLERS
