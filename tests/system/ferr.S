/* SPDX-License-Identifier: MIT
 *
 * x87 exceptions: #MF with CR0.NE, else IRQ 13 by way of FERR, which the processor waits
 * for before the next x87 instruction (SDM 1 8.7 and appendix D).
 */
#include "common.S"

#define IRQ0 0x30
#define IRQ13 0x3d
/* 1 / 0 with that exception unmasked; it waits then. */
#define DIVIDE_BY_ZERO fninit; fldcw control; fld1; fldz; fdivrp %st, %st(1)
#define TOP fnstsw %ax; and $0x3800, %eax; movzwl %ax, %ecx

gate_target:

/* Any interrupt: note where, clear the exception, go on there. */
interrupt:
    incl count
    mov 8(%esp), %eax
    mov %eax, where
    mov (%esp), %eax
    mov %eax, vector_seen
    fnstsw %ax
    mov %eax, status_seen
    out %al, $0xf0
    fnclex
    mov $0x20, %al
    out %al, $0xa0
    out %al, $0x20
    add $8, %esp
    iret

set_pics:
    mov $0x11, %al
    out %al, $0x20
    out %al, $0xa0
    mov $IRQ0, %al
    out %al, $0x21
    mov $IRQ0 + 8, %al
    out %al, $0xa1
    mov $4, %al
    out %al, $0x21
    mov $2, %al
    out %al, $0xa1
    mov $1, %al
    out %al, $0x21
    out %al, $0xa1
    mov $0xfb, %al /* the second controller only */
    out %al, $0x21
    mov $0xdf, %al /* IRQ 13 only */
    out %al, $0xa1
    ret

program:
    call set_pics
    mov %cr0, %eax
    or $0x20, %eax
    mov %eax, %cr0
    DIVIDE_BY_ZERO
    EXPECT(16, 0, 1: fld1)
    CHECK(got_eip, $1b)
    EXPECT(16, 0, fwait)
    fnclex
    fwait

    /* NE = 0: the instruction waits for the handler, and is executed once then. */
    mov %cr0, %eax
    and $0xffffffdf, %eax
    mov %eax, %cr0
    movl $interrupt, hook
    sti
    DIVIDE_BY_ZERO
    CHECK(count, $0) /* not by the instruction that raised it */
2:  fld1
    CHECK(count, $1)
    CHECK(where, $2b)
    CHECK(vector_seen, $IRQ13)
    TOP
    CHECK(%ecx, $0x2800) /* both operands and one */
    DIVIDE_BY_ZERO
3:  fwait
    CHECK(count, $2)
    CHECK(where, $3b)
    DIVIDE_BY_ZERO
    fnstsw %ax /* does not wait */
    fnclex
    CHECK(count, $2)

    /* Without a way for IRQ 13 any other interrupt ends the wait: here the timer. */
    mov $0xff, %al
    out %al, $0xa1
    mov $0xfa, %al
    out %al, $0x21
    DIVIDE_BY_ZERO
    mov $0x38, %al
    out %al, $0x43
    mov $100, %al
    out %al, $0x40
    xor %al, %al
    out %al, $0x40
4:  fld1
    CHECK(count, $3)
    CHECK(where, $4b)
    CHECK(vector_seen, $IRQ0)
    TOP
    CHECK(%ecx, $0x2800)
    /* With TF there is one trap for the instruction, behind it. */
    cli
    movl $0, hook
    mov $0xdf, %al
    out %al, $0xa1
    mov $0xfb, %al
    out %al, $0x21
    movl $both, hook
    DIVIDE_BY_ZERO
    pushl $0x302
    popf
5:  fld1
6:  nop
    pushl $2
    popf
    movl $0, hook
    CHECK(count, $4)
    CHECK(where, $5b)
    CHECK(first_step, $6b)
    jmp pass

both: /* INT 1 or IRQ 13 */
    cmpl $1, (%esp)
    jne interrupt
    cmpl $0, first_step
    jne 1f
    push 8(%esp)
    popl first_step
1:  add $8, %esp
    iret

    .data
control: .word 0x037b
    .bss
count: .skip 4
where: .skip 4
vector_seen: .skip 4
status_seen: .skip 4
first_step: .skip 4
