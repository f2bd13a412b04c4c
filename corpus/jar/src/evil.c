/* SPDX-License-Identifier: MIT
 *
 * evil - tries what is forbidden, one thing per call.  None of it has an effect.
 */
#include "jar.h"

enum {
    RO_DATA = 1, /* pinned */
    DATA = 30,
    IMAGE = 31,
    INSTANCE = 32,
    MARKER = 33,
    EMPTY = 77,
    NO_QUOTA = 99,
    SOME_QUOTA = 5,
};

#define UNMAPPED ((void *)(uintptr_t)0x7f000000)

static const volatile uint64_t constant[2] = {1, 2};
static uint64_t state;

static void slots(uint64_t what)
{
    switch (what) {
    case 0:
        (void)pvm_ecalli(6);
        break;
    case 1:
        (void)pvm_ecalli(19, DATA);
        break;
    case 2:
        jar_move(RO_DATA, EMPTY);
        break;
    case 3:
        jar_copy(DATA, RO_DATA);
        break;
    case 4:
        jar_swap(DATA, RO_DATA);
        break;
    case 5:
        jar_drop(RO_DATA);
        break;
    case 6:
        jar_copy(EMPTY, DATA);
        break;
    case 7:
        jar_cnode(EMPTY, 17);
        break;
    case 8:
        jar_yield(MARKER);
        break;
    case 9:
        jar_set_image(DATA);
        break;
    case 10:
        jar_set_image(MARKER);
        break;
    case 11:
        jar_spawn(DATA, DATA, EMPTY);
        break;
    case 12:
        jar_spawn(IMAGE, DATA, EMPTY);
        break;
    case 13:
        jar_type_of(DATA, EMPTY);
        break;
    case 14:
        jar_call(EMPTY, 0);
        break;
    case 15:
        jar_call(DATA, 0);
        break;
    default:
        jar_call(INSTANCE, 200);
        break;
    }
}

static void memory(uint64_t what)
{
    switch (what) {
    case 20:
        jar_mint(&state, 8, NO_QUOTA, EMPTY);
        break;
    case 21:
        jar_mint(&state, (uint64_t)1 << 63, SOME_QUOTA, EMPTY);
        break;
    case 22:
        jar_mint(UNMAPPED, 8, SOME_QUOTA, EMPTY);
        break;
    case 23:
        jar_mint(&state, 8, SOME_QUOTA, RO_DATA);
        break;
    case 24:
        (void)jar_read(DATA, (void *)(uintptr_t)&constant[0], 8);
        break;
    case 25:
        (void)jar_read(DATA, UNMAPPED, 8);
        break;
    case 26:
        (void)jar_read(IMAGE, &state, 8);
        break;
    case 27:
        (void)jar_read(MARKER, &state, 8);
        break;
    case 28:
        jar_open(12345, EMPTY);
        break;
    case 29:
        (void)jar_save(DATA, NO_QUOTA);
        break;
    case 30:
        (void)jar_save(IMAGE, SOME_QUOTA);
        break;
    case 31:
        *(volatile uint64_t *)(uintptr_t)&constant[0] = 3;
        break;
    case 32:
        *(volatile uint64_t *)UNMAPPED = 3;
        break;
    default:
        (void)*(volatile uint64_t *)UNMAPPED;
        break;
    }
}

static void control(uint64_t what)
{
    switch (what) {
    case 40:
        for (;;)
            __asm__ volatile("");
    case 41:
        pvm_panic();
    case 42:
        ((void (*)(void))(uintptr_t)0x123456)();
        break;
    default: /* the directory is full at some time */
        for (uint64_t i = 0;; i++) {
            state = i;
            jar_mint(&state, 8, SOME_QUOTA, EMPTY);
        }
    }
}

static uint64_t try(uint64_t what)
{
    state = 1000 + what;
    if (what < 20)
        slots(what);
    else if (what < 40)
        memory(what);
    else
        control(what);
    return what;
}

/* Nothing of all that is left. */
static uint64_t check(void)
{
    uint64_t head = 0;
    jar_copy(DATA, EMPTY);
    (void)jar_read(EMPTY, &head, 4);
    return head ^ state;
}

/* Numbers that mean nothing are no offence. */
static uint64_t harmless(void)
{
    (void)pvm_ecalli(27, 1, 2, 3, 4);
    (void)pvm_ecalli(63);
    (void)pvm_ecalli(64, 5);
    (void)pvm_ecalli(-1);
    return pvm_ecall(0xffffffff, 9, 0, 0, 0).a0;
}

PVM_EXPORT(0, try);
PVM_EXPORT(1, check);
PVM_EXPORT(2, harmless);
