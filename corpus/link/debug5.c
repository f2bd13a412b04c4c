/* SPDX-License-Identifier: MIT
 *
 * debug.c with DWARF 5, which the linker does not take.
 */
#include "debug.c"
