/* SPDX-License-Identifier: MIT
 *
 * Single steps, interrupt shadows, task switches, double faults, code that changes.
 */
#include "common.S"

gate_target:

/* Counts single steps and what they left of ECX, then goes on. */
count_steps:
    add $8, %esp
    incl steps
    mov %ecx, last_ecx
    iret

/* Runs as the task of vector 8: EFLAGS.NT is set, the old task is in tss_main. */
double_fault_task:
    pop %eax /* error code */
    CHECK(%eax, $0)
    pushf
    pop %eax
    and $0x4000, %eax
    CHECK(%eax, $0x4000)
    str %eax
    CHECK(%eax, $TSS_FAULT)
    CHECK(tss_fault, $TSS_MAIN)
    incl tasks
    mov good_idt, %eax
    mov %eax, idt + 13 * 8
    movl $after_double, tss_main + 0x20
    /* Busy in both descriptors. */
    testb $2, gdt + TSS_MAIN + 5
    jz 9f
    testb $2, gdt + TSS_FAULT + 5
    jz 9f
    iret
    /* The next switch begins here. */
    incl tasks
    iret
9:  fail_line __LINE__

    .balign 4096
patched:
    movl $1, %eax
    ret

program:
    /* TF: one trap for each instruction after POPF, and for each iteration of REP. */
    movl $count_steps, hook
    mov $3, %ecx
    mov $buffer, %edi
    pushl $0x102
    popf
    nop
    rep stosb
    nop
    pushl $2
    popf
    movl $0, hook
    CHECK(steps, $7) /* nop, 3 iterations, nop, push, popf */
    /* After MOV SS there is none. */
    movl $0, steps
    movl $count_steps, hook
    mov %ss, %eax
    pushl $0x102
    popf
    mov %eax, %ss
    nop
    pushl $2
    popf
    movl $0, hook
    CHECK(steps, $3)
    mov %dr6, %eax
    and $0x4000, %eax
    CHECK(%eax, $0x4000)
    /* DR7.GD */
    mov $0x2000, %eax
    mov %eax, %dr7
    EXPECT(1, 0, mov %dr0, %eax)
    mov %dr6, %eax
    and $0x2000, %eax
    CHECK(%eax, $0x2000)
    mov %dr7, %eax
    CHECK(%eax, $0x400)
    /* INT clears TF, the saved flags keep it. */
    movl $32, want_vector
    movl $1f, resume
    movl %esp, resume_esp
    movl $VECTOR_ANY_ERROR, want_error
    int $32
1:  CHECK(got_vector, $32)

    /* Code that changes: in another block, in the same block, across a REP. */
    call patched
    CHECK(%eax, $1)
    movl $2, patched + 1
    call patched
    CHECK(%eax, $2)
    xor %eax, %eax
    movb $0x40, 2f /* inc %eax, over the NOP */
    nop
2:  nop
    nop
    CHECK(%eax, $1)
    mov $2, %esi
3:  mov $0x90, %al
    mov $4f, %edi
    mov $4, %ecx
    rep stosb
4:  jmp 9f
    nop
    nop
    xor %eax, %eax
    CHECK(%eax, $0)

    /* A fault while #GP is delivered is #DF, here through a task gate. */
    movl $double_fault_task, tss_fault + 0x20
    movl $2, tss_fault + 0x24
    movl $ring3_top, tss_fault + 0x38
    movl $KERNEL_DATA, tss_fault + 0x48
    movl $KERNEL_CODE, tss_fault + 0x4c
    movl $KERNEL_DATA, tss_fault + 0x50
    movl $KERNEL_DATA, tss_fault + 0x54
    movl $TSS_FAULT << 16, idt + 8 * 8
    movl $0x8500, idt + 8 * 8 + 4
    mov idt + 13 * 8, %eax
    mov %eax, good_idt
    movw $ABSENT, idt + 13 * 8 + 2
    movl %esp, tss_esp
    mov $0xfff8, %eax
    mov %eax, %ds
9:  fail_line __LINE__
after_double:
    CHECK(tasks, $1)
    CHECK(%esp, tss_esp)
    str %eax
    CHECK(%eax, $TSS_MAIN)
    testb $2, gdt + TSS_FAULT + 5
    jnz 9b
    mov %cr0, %eax
    and $8, %eax
    CHECK(%eax, $8)
    clts
    /* CALL through a task gate runs the task from where it left. */
    lcall $TASK_GATE, $0
    CHECK(tasks, $2)
    jmp pass

    .bss
steps: .skip 4
tasks: .skip 4
last_ecx: .skip 4
tss_esp: .skip 4
good_idt: .skip 4
buffer: .skip 16
