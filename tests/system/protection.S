/* SPDX-License-Identifier: MIT
 *
 * Segments, privileges, gates, I/O permission, system instructions.
 */
#include "common.S"

/* Reached through GATE_INNER with parameters 0x11 and 0x22. */
gate_target:
    CHECK(8(%esp), $0x22)
    CHECK(12(%esp), $0x11)
    CHECK(20(%esp), $USER_DATA)
    CHECK(4(%esp), $USER_CODE)
    mov %cs, %eax
    CHECK(%eax, $KERNEL_CODE)
    lret $8

ring3_code:
    mov $USER_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %cs, %eax
    CHECK(%eax, $USER_CODE)
    pushl $0x11
    pushl $0x22
    lcall $GATE_INNER + 3, $0
    CHECK(%esp, $ring3_top)
    EXPECT(13, 0, hlt)
    TO_RING3(1f)
1:  EXPECT(13, 0, cli)
    TO_RING3(1f)
1:  EXPECT(13, 0, mov %cr0, %eax)
    TO_RING3(1f)
1:  EXPECT(13, 0, lgdt gdt_pointer)
    TO_RING3(1f)
1:  in $0x74, %al
    EXPECT(13, 0, in $0x73, %al)
    TO_RING3(1f)
1:  EXPECT(13, 0, inw $0x74, %ax)
    TO_RING3(1f)
1:  mov $KERNEL_DATA, %ecx
    EXPECT(13, KERNEL_DATA, mov %ecx, %ds)
    TO_RING3(1f)
1:  EXPECT(13, KERNEL_CODE, ljmp $KERNEL_CODE, $pass)
    TO_RING3(1f)
1:  movl $0, hook
    EXPECT(32, 0, int $32)
    CHECK(got_cs, $USER_CODE)
    movw $0x8e00, idt + 33 * 8 + 4
    TO_RING3(1f)
1:  EXPECT(13, 33 * 8 + 2, int $33)
    /* Conforming code keeps the privilege. */
    TO_RING3(1f)
1:  ljmp $CONFORMING + 3, $2f
2:  mov %cs, %eax
    CHECK(%eax, $CONFORMING + 3)
    EXPECT(13, 0, clts)
    jmp back_in_ring0

program:
    mov $SMALL_DATA, %eax
    mov %eax, %fs
    CHECK(%fs:12, $0x5a5a5a5a)
    EXPECT(13, 0, mov %fs:13, %eax)
    EXPECT(13, 0, movb %fs:16, %al)
    movb %fs:15, %al
    mov $DOWN_DATA, %eax
    mov %eax, %fs
    EXPECT(13, 0, movl $1, %fs:0xffc)
    EXPECT(13, 0, movl $1, %fs:0)
    mov $READ_ONLY, %eax
    mov %eax, %fs
    mov %fs:gdt, %eax
    EXPECT(13, 0, mov %eax, %fs:gdt)
    mov $EXECUTE_ONLY, %eax
    EXPECT(13, EXECUTE_ONLY, mov %eax, %fs)
    mov $ABSENT, %eax
    EXPECT(11, ABSENT, mov %eax, %fs)
    mov $GDT_LIMIT + 1, %eax
    EXPECT(13, GDT_LIMIT + 1, mov %eax, %fs)
    mov $READ_ONLY, %eax
    EXPECT(13, READ_ONLY, mov %eax, %ss)
    xor %eax, %eax
    mov %eax, %fs
    EXPECT(13, 0, mov %fs:0, %eax)
    EXPECT(13, 0, mov %eax, %ss)
    /* The accessed bit was set by the loads. */
    testb $1, gdt + READ_ONLY + 5
    jz 9f
    testb $1, gdt + ABSENT + 5
    jz 1f
9:  fail_line __LINE__
1:  /* LAR, LSL, VERR, VERW, ARPL */
    mov $READ_ONLY, %ecx
    lar %ecx, %eax
    jnz 9b
    CHECK(%eax, $0x00cf9100)
    lsl %ecx, %eax
    jnz 9b
    CHECK(%eax, $0xffffffff)
    verr %cx
    jnz 9b
    verw %cx
    jz 9b
    mov $GATE_INNER, %ecx
    lar %ecx, %eax
    jnz 9b
    lsl %ecx, %eax
    jz 9b
    mov $0x10, %eax
    mov $0x23, %ecx
    arpl %cx, %ax
    jnz 9b
    CHECK(%eax, $0x13)
    /* LTR of a busy TSS, LLDT of something else, MSRs, CR4. */
    mov $TSS_MAIN, %eax
    EXPECT(13, TSS_MAIN, ltr %ax)
    EXPECT(13, TSS_MAIN, lldt %ax)
    mov $LDT_ENTRY, %eax
    lldt %ax
    sldt %ecx
    CHECK(%ecx, $LDT_ENTRY)
    mov $0x179, %ecx
    EXPECT(13, 0, rdmsr)
    mov $0x20, %eax
    EXPECT(13, 0, mov %eax, %cr4)
    mov %cr0, %eax
    xor $0x80000001, %eax
    EXPECT(13, 0, mov %eax, %cr0)
    EXPECT(6, 0, ud2)
    EXPECT(6, 0, .byte 0xf0, 0x90)
    EXPECT(6, 0, .byte 0xf0, 0x01, 0xc0)
    EXPECT(13, 0, .byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90)
    movl $3, bounds
    movl $5, bounds + 4
    mov $5, %eax
    bound %eax, bounds
    inc %eax
    EXPECT(5, 0, bound %eax, bounds)
    xor %edx, %edx
    xor %ecx, %ecx
    EXPECT(0, 0, div %ecx)
    CHECK(got_cs, $KERNEL_CODE)
    /* A far jump through a task gate that is a call gate's business otherwise. */
    EXPECT(13, DATA16, ljmp $DATA16, $0)
    EXPECT(13, 0, ljmp $0, $0)
    /* 16-bit code: the limit of CS, and IP in 16 bits. */
    EXPECT(13, 0, ljmp $CODE16, $0x10000)
    TO_RING3(ring3_code)
back_in_ring0:
    mov %cs, %eax
    CHECK(%eax, $KERNEL_CODE)
    /* SYSENTER and SYSEXIT */
    mov $0x174, %ecx
    xor %edx, %edx
    xor %eax, %eax
    wrmsr
    EXPECT(13, 0, sysenter)
    mov $KERNEL_CODE, %eax
    wrmsr
    inc %ecx
    mov $ring0_top, %eax
    wrmsr
    inc %ecx
    mov $sysenter_target, %eax
    wrmsr
    mov $1f, %edx
    mov $ring3_top, %ecx
    sysexit
1:  mov %cs, %eax
    CHECK(%eax, $USER_CODE)
    mov %ss, %eax
    CHECK(%eax, $USER_DATA)
    sysenter
    fail_line __LINE__
sysenter_target:
    mov %cs, %eax
    CHECK(%eax, $KERNEL_CODE)
    CHECK(%esp, $ring0_top)
    jmp pass

    .bss
bounds: .skip 8
