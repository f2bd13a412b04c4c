/* SPDX-License-Identifier: MIT
 *
 * Virtual-8086 mode (SDM 3B chapter 20): entry by IRET and by a task switch, segments,
 * IOPL-sensitive instructions, I/O, interrupts and what they leave in the registers.
 */
#include "common.S"

#define SEGMENT 0x1000
#define BASE 0x10000
#define VM 0x20002
#define IOPL3 0x3000
#define TSS_V86 SPARE(0)
#define AT(label) (label - v86_code)

#define TO_V86(flags, label)                                                           \
    pushl $SEGMENT + 4; pushl $SEGMENT + 3; pushl $SEGMENT + 2; pushl $SEGMENT + 1;    \
    pushl $SEGMENT; pushl $0xfffe; pushl $VM + (flags); pushl $SEGMENT;                \
    pushl $AT(label); iret

gate_target:

    .code16
v86_code:
v86_store: /* DS is 1002, ES 1001 */
    movw $0x1234, 0x800
    movw $0x5678, %es:0x900
    movw $0x9abc, %ax
    pushw %ax
    movw %sp, %bx
    int $32
v86_hlt:
    hlt
v86_cli:
    cli
v86_sti:
    sti
v86_pushf:
    pushfw
v86_popf:
    popfw
v86_int:
    int $32
v86_iret:
    iretw
v86_int3:
    int3
v86_cr0:
    movl %cr0, %eax
v86_sldt:
    sldt %ax
v86_arpl:
    arpl %ax, %ax
v86_lar:
    lar %ax, %ax
v86_lgdt:
    lgdt 0
v86_in_open:
    inb $0x74, %al
v86_in:
    inb $0x73, %al
v86_wrap:
    movw 0xffff, %ax
v86_stack:
    movw $1, %sp
v86_stack_push:
    pushw %ax
v86_far:
    ljmp $SEGMENT - 0x10, $AT(v86_far_target) + 0x100
v86_far_target:
    movw %cs, %bx
    int $32
v86_flags: /* IOPL 3: IF can be changed, IOPL and VM not */
    sti
    pushfl
    popl %ebx
    cli
    pushl $0x0202
    popfl
    pushfl
    popl %ecx
    pushw $0x0002
    pushw $SEGMENT
    pushw $AT(1f)
    iretw
1:  pushfl
    popl %edx
    int $32
v86_outer:
    int $33
v86_end:
    .code32

/* The task that a v86 task interrupts into. */
program:
    mov $v86_code, %esi
    mov $BASE, %edi
    mov $v86_end - v86_code, %ecx
    rep movsb
    movl $0, BASE + 0x820
    movl $0, BASE + 0x910

    /* Entered and left by an interrupt. */
    EXPECT(32, 0, TO_V86(IOPL3, v86_store))
    CHECK(BASE + 0x820, $0x1234)
    CHECK(BASE + 0x910, $0x5678)
    movzwl BASE + 0xfffc, %ecx
    CHECK(%ecx, $0x9abc)
    movzwl %bx, %ecx
    CHECK(%ecx, $0xfffc)
    CHECK(got_cs, $SEGMENT)
    CHECK(got_eip, $AT(v86_hlt))
    mov got_flags, %ecx
    and $0x23000, %ecx
    CHECK(%ecx, $0x23000)
    CHECK(ring0_top - 4, $SEGMENT + 4)
    CHECK(ring0_top - 8, $SEGMENT + 3)
    CHECK(ring0_top - 12, $SEGMENT + 2)
    CHECK(ring0_top - 16, $SEGMENT + 1)
    CHECK(ring0_top - 20, $SEGMENT)
    CHECK(ring0_top - 24, $0xfffc)
    mov %fs, %ecx
    CHECK(%ecx, $0)
    mov %gs, %ecx
    CHECK(%ecx, $0)
    pushf
    pop %ecx
    and $0x20000, %ecx
    CHECK(%ecx, $0)

    /* Sensitive to IOPL. */
    EXPECT(13, 0, TO_V86(0, v86_cli))
    CHECK(got_eip, $AT(v86_cli))
    EXPECT(13, 0, TO_V86(0, v86_sti))
    EXPECT(13, 0, TO_V86(0x2000, v86_pushf))
    EXPECT(13, 0, TO_V86(0x2000, v86_popf))
    EXPECT(13, 0, TO_V86(0x2000, v86_int))
    EXPECT(13, 0, TO_V86(0x2000, v86_iret))
    /* Not sensitive: INT3. */
    EXPECT(3, 0, TO_V86(0, v86_int3))
    CHECK(got_eip, $AT(v86_cr0))
    /* Never allowed. */
    EXPECT(13, 0, TO_V86(IOPL3, v86_hlt))
    EXPECT(13, 0, TO_V86(IOPL3, v86_cr0))
    EXPECT(13, 0, TO_V86(IOPL3, v86_lgdt))
    EXPECT(6, 0, TO_V86(IOPL3, v86_sldt))
    EXPECT(6, 0, TO_V86(IOPL3, v86_arpl))
    EXPECT(6, 0, TO_V86(IOPL3, v86_lar))
    /* Ports: the bitmap, whatever IOPL is. */
    EXPECT(13, 0, TO_V86(IOPL3, v86_in_open))
    CHECK(got_eip, $AT(v86_in))
    /* Limits. */
    EXPECT(13, 0, TO_V86(0, v86_wrap))
    EXPECT(12, 0, TO_V86(0, v86_stack))
    CHECK(got_eip, $AT(v86_stack_push))
    /* Far jumps have no descriptors. */
    EXPECT(32, 0, TO_V86(IOPL3, v86_far))
    movzwl %bx, %ecx
    CHECK(%ecx, $SEGMENT - 0x10)
    EXPECT(32, 0, TO_V86(IOPL3, v86_flags))
    and $0x23200, %ebx
    CHECK(%ebx, $0x03200) /* PUSHF does not show VM */
    and $0x23200, %ecx
    CHECK(%ecx, $0x03200)
    and $0x23200, %edx
    CHECK(%edx, $0x03000)
    /* A handler that is not in ring 0. */
    GATE_AT(idt + 33 * 8, USER_CODE, 0xee00, pass)
    EXPECT(13, USER_CODE - 3, TO_V86(IOPL3, v86_outer))
    GATE_AT(idt + 33 * 8, CONFORMING, 0xee00, pass)
    EXPECT(13, CONFORMING, TO_V86(IOPL3, v86_outer))

    /* IP beyond 64 KiB, and IRET to v86 from ring 3 is none. */
    EXPECT(13, 0, pushl $0; pushl $0; pushl $0; pushl $0; pushl $SEGMENT; pushl $0;
           pushl $VM; pushl $SEGMENT; pushl $0x10000; iret)
    TO_RING3(1f)
1:  pushl $VM
    pushl $USER_CODE
    pushl $1f
    iret
1:  mov %cs, %eax
    CHECK(%eax, $USER_CODE)
    EXPECT(32, 0, int $32)

    /* A task in v86 mode. */
    DESCRIPTOR_AT(TSS_V86, 0x67, 0x8900, tss_v86)
    movl $AT(v86_far_target), tss_v86 + 0x20
    movl $VM + IOPL3, tss_v86 + 0x24
    movl $0x8000, tss_v86 + 0x38
    movl $SEGMENT + 1, tss_v86 + 0x48
    movl $SEGMENT, tss_v86 + 0x4c
    movl $SEGMENT, tss_v86 + 0x50
    movl $SEGMENT + 2, tss_v86 + 0x54
    movl $ring0_top, tss_v86 + 4
    movl $KERNEL_DATA, tss_v86 + 8
    EXPECT(32, 0, ljmp $TSS_V86, $0)
    CHECK(got_cs, $SEGMENT)
    CHECK(ring0_top - 12, $SEGMENT + 2)
    str %ecx
    CHECK(%ecx, $TSS_V86)
    jmp pass

    .bss
    .balign 16
tss_v86: .skip 0x68
