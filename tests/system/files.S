/* SPDX-License-Identifier: MIT
 *
 * A small driver of the file device, for recordings: requests on two queues at a time,
 * sleeping until the replies are there, and buffers for notifications.  Each round
 * prints a letter made of its replies, and 'n' for each notification; the last one
 * prints a newline and ends with code 0.
 */
#define ROUNDS 40
#define COMMON 0xf800
#define NOTIFY 0xf900
#define ISR 0xf700
#define RING 0x300000    /* + 0x1000 a queue: table, available +80, used +100 */
#define BUFFER 0x310000  /* + 0x1000 a slot: request, reply at +400 */
#define NOTES 0x320000   /* + 0x100 each */
#define NOTE_COUNT 4
#define AVAIL 0x80
#define USED 0x100
#define SLOTS 3 /* slot 1 is on queue 1 */

.macro outb_ value port
    mov $\value, %al
    mov $\port, %dx
    out %al, %dx
.endm
.macro outw_ value port
    mov $\value, %ax
    mov $\port, %dx
    out %ax, %dx
.endm
.macro outl_ value port
    mov $\value, %eax
    mov $\port, %dx
    out %eax, %dx
.endm

    .text
    .globl _start
_start:
    /* One gate: IRQ 10 is vector 2a. */
    mov $on_interrupt, %eax
    mov $idt + 0x2a * 8, %edi
    mov %ax, (%edi)
    movw $0x10, 2(%edi)
    movw $0x8e00, 4(%edi)
    shr $16, %eax
    mov %ax, 6(%edi)
    lidt idt_pointer
    outb_ 0x11 0x20
    outb_ 0x20 0x21
    outb_ 0x04 0x21
    outb_ 0x01 0x21
    outb_ 0x11 0xa0
    outb_ 0x28 0xa1
    outb_ 0x02 0xa1
    outb_ 0x01 0xa1
    outb_ 0xfb 0x21
    outb_ 0xfb 0xa1
    /* The function in slot 14: I/O and bus master. */
    outl_ 0x80007004 0xcf8
    outw_ 0x0005 0xcfc
    outb_ 0 COMMON + 0x14
    outb_ 1 COMMON + 0x14
    outb_ 3 COMMON + 0x14
    outl_ 1 COMMON + 0x08
    outl_ 1 COMMON + 0x0c
    outb_ 0x0b COMMON + 0x14
    xor %ebx, %ebx
1:  call set_up_queue
    inc %ebx
    cmp $3, %ebx
    jne 1b
    outb_ 0x0f COMMON + 0x14
    /* Buffers for notifications. */
    xor %ecx, %ecx
2:  mov %ecx, %edi
    shl $4, %edi
    mov %ecx, %eax
    shl $8, %eax
    add $NOTES, %eax
    mov %eax, RING + 0x2000(%edi)
    movl $0, RING + 0x2004(%edi)
    movl $0x100, RING + 0x2008(%edi)
    movl $2, RING + 0x200c(%edi)
    mov %ecx, %eax
    call offer_note
    inc %ecx
    cmp $NOTE_COUNT, %ecx
    jne 2b

round:
    call make_requests
    mov $0, %ax
    mov $NOTIFY, %dx
    out %ax, %dx
    mov $1, %ax
    mov $NOTIFY + 2, %dx
    out %ax, %dx
    /* Something to do for a while, then sleep. */
    mov $0x1000, %ecx
    mov $0x330000, %edi
    mov rounds, %eax
    rep stosb
    addw $2, done0
    addw $1, done1
wait:
    cli
    mov RING + USED + 2, %ax
    cmp done0, %ax
    jne 1f
    mov RING + 0x1000 + USED + 2, %ax
    cmp done1, %ax
    je replied
1:  sti
    hlt
    jmp wait
replied:
    /* A letter of what came. */
    xor %ebx, %ebx
    mov $BUFFER + 0x400, %esi
    mov $SLOTS, %ecx
1:  push %ecx
    mov $0x100, %ecx
2:  rol $1, %ebx
    add (%esi), %bl
    inc %esi
    loop 2b
    add $0xf00, %esi
    pop %ecx
    loop 1b
    mov %ebx, %eax
    shr $16, %eax
    xor %ebx, %eax
    and $15, %al
    add $0x41, %al
    mov $0x3f8, %dx
    out %al, %dx
    /* Notifications, and their buffers again. */
3:  mov RING + 0x2000 + USED + 2, %ax
    cmp seen2, %ax
    je 4f
    movzwl seen2, %edi
    and $7, %edi
    mov RING + 0x2000 + USED + 4(, %edi, 8), %eax
    incw seen2
    call offer_note
    mov $0x6e, %al
    mov $0x3f8, %dx
    out %al, %dx
    jmp 3b
4:  incl rounds
    cmpl $ROUNDS, rounds
    jne round
    mov $10, %al
    mov $0x3f8, %dx
    out %al, %dx
    xor %eax, %eax
    out %al, $0xf4

on_interrupt:
    push %eax
    push %edx
    mov $ISR, %dx
    in %dx, %al
    mov $0x20, %al
    out %al, $0xa0
    out %al, $0x20
    pop %edx
    pop %eax
    iret

/* Queue %ebx, of eight. */
set_up_queue:
    mov $COMMON + 0x16, %dx
    mov %bx, %ax
    out %ax, %dx
    outw_ 8 COMMON + 0x18
    mov %ebx, %ecx
    shl $12, %ecx
    add $RING, %ecx
    mov $COMMON + 0x20, %dx
    mov %ecx, %eax
    out %eax, %dx
    mov $COMMON + 0x28, %dx
    lea AVAIL(%ecx), %eax
    out %eax, %dx
    mov $COMMON + 0x30, %dx
    lea USED(%ecx), %eax
    out %eax, %dx
    outw_ 1 COMMON + 0x1c
    ret

/* Give buffer %eax to the device, for notifications. */
offer_note:
    movzwl RING + 0x2000 + AVAIL + 2, %edi
    and $7, %edi
    mov %ax, RING + 0x2000 + AVAIL + 4(, %edi, 2)
    incw RING + 0x2000 + AVAIL + 2
    mov $2, %ax
    mov $NOTIFY + 4, %dx
    out %ax, %dx
    ret

/* Slot 0: create a file named after the round; 1: attributes of the root; 2: what the
 * root lists. */
make_requests:
    movl $22, BUFFER
    movl $0x00000007, BUFFER + 4 /* CREATE, tag 0 */
    movl $1, BUFFER + 7
    movl $0, BUFFER + 11
    movw $1, BUFFER + 15
    mov rounds, %eax
    add $0x30, %al
    mov %al, BUFFER + 17
    movl $0x1a4, BUFFER + 18
    movl $15, BUFFER + 0x1000
    movl $0x00000002, BUFFER + 0x1004
    movl $1, BUFFER + 0x1007
    movl $0, BUFFER + 0x100b
    movl $15, BUFFER + 0x2000
    movl $0x00000003, BUFFER + 0x2004
    movl $1, BUFFER + 0x2007
    movl $0, BUFFER + 0x200b
    xor %ebx, %ebx
1:  mov %ebx, %esi /* of the ring: queue 1 for slot 1 */
    and $1, %esi
    shl $12, %esi
    add $RING, %esi
    mov %ebx, %edi
    shl $5, %edi
    add %esi, %edi /* two descriptors a slot */
    mov %ebx, %ecx
    shl $12, %ecx
    add $BUFFER, %ecx
    mov %ecx, (%edi)
    movl $0, 4(%edi)
    mov (%ecx), %eax
    mov %eax, 8(%edi)
    mov %ebx, %eax
    add %eax, %eax
    inc %eax
    shl $16, %eax
    inc %eax
    mov %eax, 12(%edi)
    add $0x400, %ecx
    mov %ecx, 16(%edi)
    movl $0, 20(%edi)
    movl $0x400, 24(%edi)
    movl $2, 28(%edi)
    movzwl AVAIL + 2(%esi), %edi
    and $7, %edi
    mov %ebx, %eax
    add %eax, %eax
    mov %ax, AVAIL + 4(%esi, %edi, 2)
    incw AVAIL + 2(%esi)
    inc %ebx
    cmp $SLOTS, %ebx
    jne 1b
    ret

    .data
    .balign 8
idt_pointer:
    .word 0x30 * 8 - 1
    .long idt
rounds: .long 0
done0: .word 0
done1: .word 0
seen2: .word 0
    .bss
    .balign 16
idt: .skip 0x30 * 8
