/* SPDX-License-Identifier: MIT
 *
 * 16-bit code and stacks in protected mode, 16-bit gates, and real mode with its
 * interrupt table.
 */
#include "common.S"

#define GATE16 SPARE(0)  /* a 16-bit call gate to ring 0, two words */
#define HIGH16 SPARE(1)  /* 16-bit code in ring 3 */
#define REAL_DATA SPARE(2)
#define REAL_CODE SPARE(3)
#define USER_STACK16 (SPARE(4) + 3)
#define USER_CODE16 (SPARE(5) + 3)
/* To ring 3, whose faults find another stack. */
#define TO_USER(cs, eip, ss, esp)                                                      \
    mov $USER_DATA, %eax; mov %eax, %ds; mov %eax, %es;                                \
    pushl $ss; pushl $esp; pushl $2; pushl $cs; pushl $eip; iret
#define REAL_BASE 0x20000
#define REAL_SEGMENT 0x2000
#define REAL(label) (label - real_code)

gate_target:

    .balign 16
    .code16
code16:
    /* A word for each push; only SP moves. */
    pushw $0x1234
    pushl $0x56789abc
    popl %ecx
    popw %dx
    movl %esp, %esi
    /* Calls and jumps keep 16 bits of EIP. */
    callw 2f
    movl %esp, %edi
    ljmpl $KERNEL_CODE, $back32
2:  popw %bx
    pushw %bx
    retw
code16_limit: /* the second byte is beyond the limit */
    movw %ax, 0xffff
code16_wrap: /* a push at SP 0 goes to fffe, one at SP 1 to nowhere */
    movw $0x55aa, %ax
    pushw %ax
    movw $1, %sp
code16_wrap_push:
    pushw %ax
interrupt16:
    popw %ax
    popw %bx
    popw %cx
    ljmpl $KERNEL_CODE, $after_interrupt16
interrupt16_iret:
    iretw
gate16_target:
    movw %sp, %bp
    movw 4(%bp), %ax
    movw 6(%bp), %bx
    movw 8(%bp), %cx /* SP of the caller */
    movw 10(%bp), %dx
    lretw $4
    .code32

    .code16
real_code:
real_start:
    movl %cr0, %eax
    andb $0xfe, %al
    movl %eax, %cr0
    ljmpw $REAL_SEGMENT, $REAL(1f)
1:  movw $REAL_SEGMENT, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $0x9000, %sp
    xorw %ax, %ax
    movw %ax, %es
    lidtl REAL(real_idt)
    /* INT pushes three words; IRET takes them. */
    movw $REAL(real_handler), %es:0x40 * 4
    movw $REAL_SEGMENT, %es:0x40 * 4 + 2
    movw $REAL(real_fault), %es:0 * 4
    movw $REAL_SEGMENT, %es:0 * 4 + 2
    movw $REAL(real_fault), %es:13 * 4
    movw $REAL_SEGMENT, %es:13 * 4 + 2
    movw $REAL(real_fault), %es:6 * 4
    movw $REAL_SEGMENT, %es:6 * 4 + 2
    sti
    stc
    int $0x40
    jnc real_bad /* the handler's CLC is undone */
    cmpw $1, REAL(real_count)
    jne real_bad
    pushfw
    popw %ax
    testb $2, %ah /* IF again */
    jz real_bad
    cli
    /* Faults without an error code, EIP at the instruction. */
    movw $0, %bx
    movw $REAL(3f), REAL(real_resume)
real_divide:
    div %bl
3:  cmpw $REAL(real_divide), REAL(real_ip)
    jne real_bad
    movw $REAL(4f), REAL(real_resume)
real_beyond:
    movl %eax, 0xfffd
4:  cmpw $REAL(real_beyond), REAL(real_ip)
    jne real_bad
    movw $REAL(5f), REAL(real_resume)
    lar %ax, %ax
    jmp real_bad
5:  movw $REAL(6f), REAL(real_resume)
    arpl %ax, %ax
    jmp real_bad
6:  movw $REAL(7f), REAL(real_resume)
    ltr %ax
    jmp real_bad
7:  cmpw $0x9000, %sp
    jne real_bad
    /* Segments are their selector times 16; far calls push two words. */
    movw $REAL_SEGMENT + 1, %ax
    movw %ax, %es
    movb $0x77, %es:0x8000
    cmpb $0x77, 0x8010
    jne real_bad
    lcallw $REAL_SEGMENT - 1, $REAL(real_far) + 16
    cmpw $0x9000, %sp
    jne real_bad
    /* Limits loaded in protected mode stay ("unreal"); the base does not. */
    smsww %ax
    testb $1, %al
    jnz real_bad
    orb $1, %al
    lmsw %ax
    andb $0xf0, %al /* LMSW does not clear PE */
    lmsw %ax
    smsww %ax
    testb $1, %al
    jz real_bad
    ljmpl $KERNEL_CODE, $after_real
real_bad:
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $KERNEL_CODE, $failed_real
real_far:
    movw %cs, %ax
    cmpw $REAL_SEGMENT - 1, %ax
    jne real_bad
    lretw
real_handler:
    incw REAL(real_count)
    movw %sp, %bp
    cmpw $REAL_SEGMENT, 2(%bp)
    jne real_bad
    pushfw
    popw %ax
    testb $2, %ah /* IF is clear */
    jnz real_bad
    clc
    iretw
real_fault:
    popw REAL(real_ip)
    addw $4, %sp
    jmpw *REAL(real_resume)
real_idt:
    .word 0x3ff
    .long 0
real_count: .word 0
real_ip: .word 0
real_resume: .word 0
real_end:
    .code32

program:
    mov $code16, %eax
    mov $gdt + CODE16, %edi
    call set_base
    mov $stack16, %eax
    mov $gdt + DATA16, %edi
    call set_base
    /* A 16-bit stack under 32-bit code: ESP keeps its upper half. */
    mov $DATA16, %eax
    mov %eax, %ss
    mov $0xabcd0100, %esp
    pushl $0x11223344
    mov %esp, %ecx
    mov %ecx, %ebx
    mov stack16 + 0xfc, %edx
    mov $KERNEL_DATA, %eax
    mov %eax, %ss
    mov $stack_top, %esp
    CHECK(%ebx, $0xabcd00fc)
    CHECK(%edx, $0x11223344)
    DESCRIPTOR_AT(USER_STACK16, 0x0000ffff, 0x0000f200, stack16)
    DESCRIPTOR_AT(USER_CODE16, 0x0000ffff, 0x0000fa00, code16)
    /* A dword at fffe would not wrap. */
    EXPECT(12, 0, TO_USER(USER_CODE, 1f, USER_STACK16, 2); 1: pushl %eax)

    /* 16-bit code. */
    mov $DATA16, %eax
    mov %eax, %ss
    mov $0x77770100, %esp
    ljmp $CODE16, $0
back32:
    mov $KERNEL_DATA, %eax
    mov %eax, %ss
    mov $stack_top, %esp
    CHECK(%ecx, $0x56789abc)
    movzwl %dx, %edx
    CHECK(%edx, $0x1234)
    CHECK(%esi, $0x77770100)
    CHECK(%edi, $0x77770100)
    EXPECT(13, 0, mov $DATA16, %eax; mov %eax, %ds; ljmp $CODE16, $code16_limit - code16)
    CHECK(got_eip, $code16_limit - code16)
    EXPECT(12, 0, TO_USER(USER_CODE16, code16_wrap - code16, USER_STACK16, 0))
    CHECK(got_eip, $code16_wrap_push - code16)
    movzwl stack16 + 0xfffe, %eax
    CHECK(%eax, $0x55aa)

    /* A 16-bit interrupt gate pushes words, also from 32-bit code. */
    movl $CODE16 << 16 | (interrupt16 - code16), idt + 35 * 8
    movl $0x8600, idt + 35 * 8 + 4
    stc
    int $35
1:  fail_line __LINE__
after_interrupt16:
    CHECK(%esp, $stack_top)
    movzwl %ax, %eax
    mov $1b, %ecx
    movzwl %cx, %ecx
    CHECK(%eax, %ecx)
    movzwl %bx, %ebx
    CHECK(%ebx, $KERNEL_CODE)

    /* A 16-bit call gate from ring 3: two words of parameters, SS:SP of the caller. */
    movl $CODE16 << 16 | (gate16_target - code16), gdt + GATE16
    movl $0xe402, gdt + GATE16 + 4
    DESCRIPTOR_AT(HIGH16, 0x0000ffff, 0x0040fa00, low_code)
    movl $DATA16, tss_main + 8 /* a 16-bit stack in ring 0 */
    movl $0x0200, tss_main + 4
    TO_USER(HIGH16 + 3, 0, USER_STACK16, 0x99990400)
low_code: /* at offset 0 of HIGH16, whose EIP fits in 16 bits */
    pushw $0x1111
    pushw $0x2222
    lcall $GATE16 + 3, $0
    mov %esp, %esi
    mov $USER_DATA, %edi
    ljmp $USER_CODE, $1f
1:  movl $KERNEL_DATA, tss_main + 8
    movl $ring0_top, tss_main + 4
    movzwl %cx, %ecx
    CHECK(%ecx, $0x3fc) /* what the gate saved of ESP */
    movzwl %si, %esi
    CHECK(%esi, $0x400)
    movzwl %ax, %eax
    CHECK(%eax, $0x2222)
    movzwl %bx, %ebx
    CHECK(%ebx, $0x1111)
    movzwl %dx, %edx
    CHECK(%edx, $USER_STACK16)
    EXPECT(32, 0, int $32)

    /* Real mode and back. */
    mov $real_code, %esi
    mov $REAL_BASE, %edi
    mov $real_end - real_code, %ecx
    rep movsb
    DESCRIPTOR(REAL_CODE, 0x0000ffff, 0x00009a02)
    DESCRIPTOR(REAL_DATA, 0x0000ffff, 0x00009202)
    mov $REAL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %eax, %fs
    mov %eax, %gs
    ljmp $REAL_CODE, $0
after_real:
    mov $1, %ecx
    jmp 1f
failed_real:
    xor %ecx, %ecx
1:  mov $KERNEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $stack_top, %esp
    lidt idt_pointer
    CHECK(%ecx, $1)
    jmp pass

    .bss
    .balign 16
stack16: .skip 0x10000
