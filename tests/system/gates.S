/* SPDX-License-Identifier: MIT
 *
 * Call gates, interrupt gates and returns between all rings (SDM 3A chapters 5 and 6).
 */
#include "common.S"

#define CODE1 (SPARE(0) + 1)
#define DATA1 (SPARE(1) + 1)
#define GATE1 SPARE(2)  /* to ring 1, no parameters */
#define GATE_BAD SPARE(3)
#define SMALL_STACK SPARE(4)
#define ABSENT_STACK SPARE(5)
#define GATE_SAME SPARE(6) /* conforming code */
#define CODE_ABSENT SPARE(7)
#define TO_RING1(label)                                                                \
    mov $USER_DATA, %eax; mov %eax, %ds; mov %eax, %es;                                \
    pushl $DATA1; pushl $ring1_top; pushl $2; pushl $CODE1; pushl $label; iret
#define IRET_TO(cs, ss, flags)                                                         \
    pushl $ss; pushl $ring3_top; pushl $flags; pushl $cs; pushl $pass; iret

/* GATE_INNER of common.S, two parameters. */
gate_target:
    CHECK(8(%esp), $0x22)
    CHECK(12(%esp), $0x11)
    mov %ds, %eax /* what ring 3 had */
    CHECK(%eax, $USER_DATA)
    mov $KERNEL_DATA, %eax
    mov %eax, %fs
    lret $8

ring1_gate:
    mov %cs, %eax
    CHECK(%eax, $CODE1)
    mov %ss, %eax
    CHECK(%eax, $DATA1)
    CHECK(%esp, $ring1_top - 16)
    CHECK((%esp), $after_ring1)
    CHECK(8(%esp), $ring3_top)
    lret

conforming_gate:
    mov %cs, %eax
    CHECK(%eax, $CONFORMING + 3)
    CHECK(%esp, $ring3_top - 8) /* the same stack */
    lret

ring1_interrupt:
    mov %cs, %eax
    CHECK(%eax, $CODE1)
    CHECK(%esp, $ring1_top - 20)
    CHECK(4(%esp), $USER_CODE)
    iret

program:
    DESCRIPTOR(CODE1, 0x0000ffff, 0x00cfba00)
    DESCRIPTOR(DATA1, 0x0000ffff, 0x00cfb200)
    DESCRIPTOR(SMALL_STACK, 0x00000000, 0x00409200) /* one byte */
    DESCRIPTOR(ABSENT_STACK, 0x0000ffff, 0x00cf1200)
    DESCRIPTOR(CODE_ABSENT, 0x0000ffff, 0x00cf7a00)
    GATE_AT(gdt + GATE1, CODE1, 0xec00, ring1_gate)
    GATE_AT(gdt + GATE_SAME, CONFORMING, 0xec00, conforming_gate)
    movl $ring1_top, tss_main + 12
    movl $DATA1, tss_main + 16

    /* From ring 0: calls through gates to the same ring, jumps to none inside. */
    GATE_AT(gdt + GATE_BAD, KERNEL_DATA, 0xec00, pass)
    EXPECT(13, KERNEL_DATA, lcall $GATE_BAD, $0)
    GATE_AT(gdt + GATE_BAD, 0, 0xec00, pass)
    EXPECT(13, 0, lcall $GATE_BAD, $0)
    GATE_AT(gdt + GATE_BAD, KERNEL_CODE, 0x6c00, pass)
    EXPECT(11, GATE_BAD, lcall $GATE_BAD, $0)
    GATE_AT(gdt + GATE_BAD, USER_CODE, 0xec00, pass)
    EXPECT(13, USER_CODE - 3, lcall $GATE_BAD, $0) /* outwards */
    GATE_AT(gdt + GATE_BAD, CODE_ABSENT, 0xec00, pass)
    EXPECT(13, CODE_ABSENT, lcall $GATE_BAD, $0) /* its DPL is 3 */
    GATE_AT(gdt + GATE_BAD, KERNEL_CODE, 0x8c00, 1f)
    ljmp $GATE_BAD, $0x12345678 /* the offset is the gate's */
1:  EXPECT(13, GATE_BAD, ljmp $GATE_BAD + 3, $0) /* RPL 3 above the gate's DPL 0 */

    /* From ring 3. */
    TO_RING3(1f)
1:  EXPECT(13, GATE_BAD, lcall $GATE_BAD, $0)
    TO_RING3(1f)
1:  EXPECT(13, KERNEL_CODE, ljmp $GATE_INNER + 3, $0) /* a jump cannot change rings */
    TO_RING3(1f)
1:  mov $USER_DATA, %eax
    mov %eax, %fs
    pushl $0x11
    pushl $0x22
    lcall $GATE_INNER + 3, $0
    CHECK(%esp, $ring3_top)
    mov %fs, %eax /* the kernel left FS in a segment of ring 0: null now */
    CHECK(%eax, $0)
    mov $USER_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    lcall $GATE1 + 3, $0
after_ring1:
    mov %cs, %eax
    CHECK(%eax, $USER_CODE)
    CHECK(%esp, $ring3_top)
    lcall $GATE_SAME + 3, $0
    EXPECT(32, 0, int $32)

    /* An interrupt gate to ring 1 from ring 3, and not from ring 0. */
    GATE_AT(idt + 34 * 8, CODE1, 0xee00, ring1_interrupt)
    TO_RING3(1f)
1:  int $34
    mov %cs, %eax
    CHECK(%eax, $USER_CODE)
    EXPECT(32, 0, int $32)
    EXPECT(13, CODE1 - 1, int $34)
    /* From ring 1 to ring 0, and to ring 1 again. */
    TO_RING1(1f)
1:  EXPECT(32, 0, int $32)
    CHECK(got_cs, $CODE1)
    CHECK(ring0_top - 4, $DATA1)
    CHECK(ring0_top - 8, $ring1_top)

    /* Stacks of the TSS that cannot be used. */
    movl $0, tss_main + 16
    TO_RING3(1f)
1:  EXPECT(10, 0, lcall $GATE1 + 3, $0)
    movl $KERNEL_DATA + 1, tss_main + 16 /* DPL 0 */
    TO_RING3(1f)
1:  EXPECT(10, KERNEL_DATA, lcall $GATE1 + 3, $0)
    movl $CODE1, tss_main + 16
    TO_RING3(1f)
1:  EXPECT(10, CODE1 - 1, int $34 ; nop)
    DESCRIPTOR(ABSENT_STACK, 0x0000ffff, 0x00cf3200)
    movl $ABSENT_STACK + 1, tss_main + 16
    TO_RING3(1f)
1:  EXPECT(12, ABSENT_STACK, lcall $GATE1 + 3, $0)
    DESCRIPTOR(SMALL_STACK, 0x00000000, 0x0040b200)
    movl $SMALL_STACK + 1, tss_main + 16
    TO_RING3(1f)
1:  EXPECT(12, SMALL_STACK, lcall $GATE1 + 3, $0)
    movl $DATA1, tss_main + 16
    movw $11, gdt + TSS_MAIN /* the stack of ring 1 is beyond the limit */
    mov $TSS_MAIN, %eax
    andb $0xfd, gdt + TSS_MAIN + 5
    ltr %ax
    TO_RING3(1f)
1:  EXPECT(10, TSS_MAIN, lcall $GATE1 + 3, $0)
    movw $0x80, gdt + TSS_MAIN
    andb $0xfd, gdt + TSS_MAIN + 5
    mov $TSS_MAIN, %eax
    ltr %ax

    /* Returns: selectors that are null, of data, absent, of the wrong ring. */
    EXPECT(13, 0, IRET_TO(0, USER_DATA, 2))
    EXPECT(13, KERNEL_DATA, IRET_TO(KERNEL_DATA, USER_DATA, 2))
    EXPECT(11, CODE_ABSENT, IRET_TO(CODE_ABSENT + 3, USER_DATA, 2))
    EXPECT(13, USER_CODE - 3, IRET_TO(USER_CODE - 1, USER_DATA, 2))
    EXPECT(13, 0, IRET_TO(USER_CODE, 0, 2))
    EXPECT(13, USER_DATA - 3, IRET_TO(USER_CODE, USER_DATA - 1, 2))
    EXPECT(13, READ_ONLY, IRET_TO(USER_CODE, READ_ONLY + 3, 2))
    EXPECT(13, GDT_LIMIT + 1, IRET_TO(GDT_LIMIT + 1, USER_DATA, 2))
    DESCRIPTOR(ABSENT_STACK, 0x0000ffff, 0x00cf7200)
    EXPECT(12, ABSENT_STACK, IRET_TO(USER_CODE, ABSENT_STACK + 3, 2))
    TO_RING3(1f)
1:  EXPECT(13, KERNEL_CODE, IRET_TO(KERNEL_CODE, KERNEL_DATA, 2)) /* inwards */

    /* IOPL and IF: ring 0 sets both, ring 3 with IOPL 3 only IF, else none. */
    pushl $USER_DATA; pushl $ring3_top; pushl $0x3002; pushl $USER_CODE; pushl $1f
    iret
1:  sti
    pushf
    pop %eax
    and $0x3200, %eax
    mov %eax, %ebx
    cli
    pushl $0x0202 /* IOPL 0 is not taken, IF is */
    popf
    pushf
    pop %ecx
    and $0x3200, %ecx
    mov $USER_DATA, %eax
    mov %eax, %ds
    CHECK(%ebx, $0x3200)
    CHECK(%ecx, $0x3200)
    in $0x73, %al /* IOPL 3 needs no bitmap */
    cli
    EXPECT(32, 0, int $32)
    TO_RING3(1f)
1:  pushl $0x3202
    popf
    pushf
    pop %ecx
    and $0x3200, %ecx
    CHECK(%ecx, $0)
    EXPECT(13, 0, sti)
    jmp pass

    .bss
    .balign 16
ring1: .skip 4096
ring1_top:
