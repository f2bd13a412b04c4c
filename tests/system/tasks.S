/* SPDX-License-Identifier: MIT
 *
 * Task switches: both formats of the TSS, every way in and back, busy bits and links,
 * and faults before and behind the point of no return (SDM 3A chapter 7).
 */
#include "common.S"

#define TASK32 SPARE(0)
#define TASK16 SPARE(1)
#define GATE SPARE(2) /* a task gate */
#define ABSENT_TASK SPARE(3)
#define SHORT_TASK SPARE(4)
#define OTHER_LDT SPARE(5)
#define CODE_LOW SPARE(6) /* 16-bit IP reaches it */
#define STACK16 SPARE(7) /* ESP of a 16-bit TSS has no upper half */
#define BUSY(selector) (gdt + (selector) + 5)

#define IS_BUSY(selector, value)                                                       \
    movzbl BUSY(selector), %eax; and $2, %eax; CHECK(%eax, $value)

/* A task that begins at a label with flat segments. */
#define PREPARE32(label)                                                               \
    movl $label, tss32 + 0x20; movl $2, tss32 + 0x24; movl $task_top, tss32 + 0x38;    \
    movl $KERNEL_DATA, tss32 + 0x48; movl $KERNEL_CODE, tss32 + 0x4c;                  \
    movl $KERNEL_DATA, tss32 + 0x50; movl $KERNEL_DATA, tss32 + 0x54;                  \
    movl $0, tss32 + 0x58; movl $0, tss32 + 0x5c; movl $0, tss32 + 0x60;               \
    andb $0xfd, BUSY(TASK32)

/* Jump to TASK32, which must fault with this error code before its first instruction. */
#define FAULT_IN_TASK(error)                                                           \
    movl $5f, tss_fault + 0x20; movl $2, tss_fault + 0x24;                             \
    movl $fault_top, tss_fault + 0x38; movl $KERNEL_DATA, tss_fault + 0x48;            \
    movl $KERNEL_CODE, tss_fault + 0x4c; movl $KERNEL_DATA, tss_fault + 0x50;          \
    movl $KERNEL_DATA, tss_fault + 0x54; andb $0xfd, BUSY(TSS_FAULT);                  \
    ljmp $TASK32, $0; jmp 6f;                                                          \
5:  pop %ecx; CHECK(%ecx, $error); CHECK(tss_fault, $TASK32);                          \
    CHECK(tss32 + 0x20, $pass); IS_BUSY(TASK32, 2); IS_BUSY(TSS_MAIN, 0);              \
    ljmp $TSS_MAIN, $0; /* goes on behind its own jump */                              \
6:  CHECK(tss_fault, $TASK32); movl $0, tss_fault

gate_target:

task32_called:
    pushf
    pop %ecx
    and $0x4000, %ecx
    CHECK(%ecx, $0x4000)
    CHECK(tss32, $TSS_MAIN)
    CHECK(%ebx, $0x0b0b0b0b)
    IS_BUSY(TSS_MAIN, 2)
    IS_BUSY(TASK32, 2)
    mov %cr0, %ecx
    and $8, %ecx
    CHECK(%ecx, $8)
    sldt %ecx
    CHECK(%ecx, $OTHER_LDT)
    mov $0x0d0d0d0d, %ebx
    iret
    /* Jumped to later: NT is clear, nobody is nested. */
    pushf
    pop %ecx
    and $0x4000, %ecx
    CHECK(%ecx, $0)
    CHECK(%ebx, $0x0d0d0d0d)
    IS_BUSY(TSS_MAIN, 0)
    ljmp $TSS_MAIN, $0
    /* By an interrupt, from ring 3: the link is there, no error code. */
    CHECK(%esp, $task_top)
    pushf
    pop %ecx
    and $0x4000, %ecx
    CHECK(%ecx, $0x4000)
    CHECK(tss_main + 0x4c, $USER_CODE)
    IS_BUSY(TSS_MAIN, 2)
    iret

task16:
    mov %ss, %ecx
    CHECK(%ecx, $STACK16)
    CHECK(tss16_link, $TSS_MAIN)
    mov %fs, %ecx /* has no place in it: null */
    CHECK(%ecx, $0)
    movzwl %sp, %ecx
    CHECK(%ecx, $0x7000)
    movzwl %bx, %ecx
    CHECK(%ecx, $0x1234)
    mov $KERNEL_DATA, %ecx
    iret
task16_end:
    fail_line __LINE__

program:
    DESCRIPTOR_AT(TASK32, 0x67, 0x8900, tss32)
    DESCRIPTOR_AT(TASK16, 0x2b, 0x8100, tss16)
    DESCRIPTOR(GATE, TASK32 << 16, 0xe500)
    DESCRIPTOR(ABSENT_TASK, 0x67, 0x0900)
    DESCRIPTOR_AT(SHORT_TASK, 0x66, 0x8900, tss32)
    DESCRIPTOR_AT(OTHER_LDT, 0x07, 0x8200, other_ldt)

    /* CALL and IRET. */
    PREPARE32(task32_called)
    movl $0x0b0b0b0b, tss32 + 0x34
    movl $OTHER_LDT, tss32 + 0x60
    mov $0x0a0a0a0a, %ebx
    clts
    lcall $TASK32, $0x12345678 /* the offset means nothing */
    CHECK(%ebx, $0x0a0a0a0a)
    IS_BUSY(TASK32, 0)
    IS_BUSY(TSS_MAIN, 2)
    CHECK(tss32 + 0x34, $0x0d0d0d0d)
    mov tss32 + 0x24, %ecx /* NT is cleared in what is saved */
    and $0x4000, %ecx
    CHECK(%ecx, $0)
    sldt %ecx
    CHECK(%ecx, $0)
    str %ecx
    CHECK(%ecx, $TSS_MAIN)
    /* JMP there and back. */
    ljmp $TASK32, $0
    IS_BUSY(TASK32, 0)
    IS_BUSY(TSS_MAIN, 2)
    /* An interrupt from ring 3. */
    movl $TASK32 << 16, idt + 36 * 8
    movl $0xe500, idt + 36 * 8 + 4
    TO_RING3(1f)
1:  int $36
    mov %cs, %ecx
    CHECK(%ecx, $USER_CODE)
    EXPECT(32, 0, int $32)

    /* Refused before anything changes. */
    EXPECT(13, TSS_MAIN, ljmp $TSS_MAIN, $0) /* busy */
    EXPECT(11, ABSENT_TASK, lcall $ABSENT_TASK, $0)
    movl $0x67, other_ldt /* a TSS in an LDT */
    movl $0x8900, other_ldt + 4
    mov $OTHER_LDT, %eax
    lldt %ax
    EXPECT(13, 4, lcall $4, $0)
    EXPECT(13, 4, ljmp $4, $0)
    xor %eax, %eax
    lldt %ax
    EXPECT(10, SHORT_TASK, lcall $SHORT_TASK, $0)
    IS_BUSY(SHORT_TASK, 0)
    DESCRIPTOR(GATE, 0, 0xe500)
    EXPECT(13, 0, lcall $GATE, $0)
    DESCRIPTOR(GATE, KERNEL_DATA << 16, 0xe500)
    EXPECT(13, KERNEL_DATA, lcall $GATE, $0)
    DESCRIPTOR(GATE, TSS_MAIN << 16, 0xe500)
    EXPECT(13, TSS_MAIN, lcall $GATE, $0)
    DESCRIPTOR(GATE, ABSENT_TASK << 16, 0xe500)
    EXPECT(11, ABSENT_TASK, lcall $GATE, $0)
    DESCRIPTOR(GATE, TASK32 << 16, 0x6500)
    EXPECT(11, GATE, lcall $GATE, $0)
    DESCRIPTOR(GATE, TASK32 << 16, 0x8500)
    TO_RING3(1f)
1:  EXPECT(13, GATE, lcall $GATE, $0)
    TO_RING3(1f)
1:  EXPECT(13, TASK32, lcall $TASK32, $0) /* its own DPL is 0 */
    str %ecx
    CHECK(%ecx, $TSS_MAIN)
    /* IRET with NT: the link must name a busy TSS. */
    movl $0, tss_main
    EXPECT(10, 0, pushl $0x4002; popf; iret)
    movl $TASK32, tss_main
    EXPECT(10, TASK32, pushl $0x4002; popf; iret)
    movl $KERNEL_DATA, tss_main
    EXPECT(10, KERNEL_DATA, pushl $0x4002; popf; iret)
    pushl $2
    popf

    /* Faults of the new task: TR names it, EIP is its own.  Its stack may not be loaded,
     * so another task takes them. */
    movl $TSS_FAULT << 16, idt + 10 * 8
    movl $0x8500, idt + 10 * 8 + 4
    movl $TSS_FAULT << 16, idt + 11 * 8
    movl $0x8500, idt + 11 * 8 + 4
    PREPARE32(pass)
    movl $0, tss32 + 0x4c
    FAULT_IN_TASK(0)
    PREPARE32(pass)
    movl $KERNEL_DATA, tss32 + 0x4c /* not code */
    FAULT_IN_TASK(KERNEL_DATA)
    PREPARE32(pass)
    movl $KERNEL_CODE + 3, tss32 + 0x4c /* RPL is not DPL */
    FAULT_IN_TASK(KERNEL_CODE)
    PREPARE32(pass)
    movl $READ_ONLY, tss32 + 0x50
    FAULT_IN_TASK(READ_ONLY)
    PREPARE32(pass)
    movl $USER_DATA, tss32 + 0x50 /* its privilege is not that of CS */
    FAULT_IN_TASK(USER_DATA - 3)
    PREPARE32(pass)
    movl $KERNEL_DATA, tss32 + 0x60 /* no LDT */
    FAULT_IN_TASK(KERNEL_DATA)
    PREPARE32(pass)
    movl $EXECUTE_ONLY, tss32 + 0x54
    FAULT_IN_TASK(EXECUTE_ONLY)
    PREPARE32(pass)
    movl $ABSENT, tss32 + 0x58
    FAULT_IN_TASK(ABSENT)
    GATE_AT(idt + 10 * 8, KERNEL_CODE, 0xee00, stubs + 10 * 16)
    GATE_AT(idt + 11 * 8, KERNEL_CODE, 0xee00, stubs + 11 * 16)

    /* A 16-bit TSS. */
    movw $0x7000, tss16 + 0x1a
    movw $2, tss16 + 0x10
    movw $0x1234, tss16 + 0x18
    movw $KERNEL_DATA, tss16 + 0x22
    movw $STACK16, tss16 + 0x26
    movw $KERNEL_DATA, tss16 + 0x28
    /* IP has 16 bits: code at the start of a segment whose base is the code's. */
    DESCRIPTOR(STACK16, 0x0000ffff, 0x00009200)
    DESCRIPTOR_AT(CODE_LOW, 0x0000ffff, 0x00cf9a00, task16)
    movw $CODE_LOW, tss16 + 0x24
    movw $0, tss16 + 0x0e
    mov $KERNEL_DATA, %eax
    mov %eax, %fs
    movl $task16, tss_main + 0x20 /* overwritten by what is saved */
    lcall $TASK16, $0
    mov %fs, %ecx
    CHECK(%ecx, $KERNEL_DATA)
    IS_BUSY(TASK16, 0)
    movzwl tss16 + 0x0e, %ecx
    CHECK(%ecx, $task16_end - task16)
    movzwl tss16 + 0x1a, %ecx
    CHECK(%ecx, $0x7000)
    /* The other way: a 16-bit task that is current when an interrupt of ring 3 asks for
     * its stack. */
    andb $0xfd, BUSY(TSS_MAIN)
    mov $TASK16, %eax
    ltr %ax
    movw $0x7000, tss16 + 2
    movw $KERNEL_DATA, tss16 + 4
    TO_RING3(1f)
1:  EXPECT(32, 0, int $32)
    CHECK(0x7000 - 4, $USER_DATA)
    CHECK(0x7000 - 8, $ring3_top)
    jmp pass

    .bss
    .balign 16
tss32: .skip 0x68
    .balign 16
tss16:
tss16_link: .skip 0x2c
    .balign 16
other_ldt: .skip 8
task: .skip 4096
task_top:
fault: .skip 4096
fault_top:
