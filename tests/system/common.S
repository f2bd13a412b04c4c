/* SPDX-License-Identifier: MIT
 *
 * What the self-checking programs share: tables, exception stubs, checks.  A program
 * includes this file and defines `program`, which ends with `jmp pass`.
 *
 *   EXPECT(vector, error, instruction)  it must raise this, with this error code
 *   CHECK(left, right)                  two 32-bit operands must be equal
 *
 * The first check that fails prints its line on COM1 and ends the run with code 1.
 */
#define KERNEL_CODE 0x08
#define KERNEL_DATA 0x10
#define USER_CODE 0x1b
#define USER_DATA 0x23
#define TSS_MAIN 0x28
#define TSS_FAULT 0x30
#define SMALL_DATA 0x38 /* limit 0xf */
#define DOWN_DATA 0x40  /* expand-down, limit 0xfff */
#define READ_ONLY 0x48
#define EXECUTE_ONLY 0x50
#define ABSENT 0x58
#define GATE_INNER 0x60 /* call gate for ring 3, two parameters */
#define CONFORMING 0x68
#define LDT_ENTRY 0x70
#define CODE16 0x78
#define DATA16 0x80
#define TASK_GATE 0x88
#define SPARE(n) (0x90 + 8 * (n)) /* 0 to 11: for the programs to fill */
#define GDT_LIMIT 0xef

#define VECTOR_ANY_ERROR 0x80000000

.macro fail_line line
    movl $\line, %eax
    jmp fail
.endm

#define CHECK(left, right)                                                             \
    pushl right; popl compare_right; pushl left; popl compare_left;                    \
    movl $__LINE__, check_line; call compare

#define EXPECT(vector, error, ...)                                                     \
    movl $88f, resume; movl %esp, resume_esp; movl $vector, want_vector;               \
    movl $error, want_error; movl $__LINE__, check_line;                               \
    __VA_ARGS__; fail_line __LINE__; 88:

/* Write a descriptor: its two words, then the base from a symbol if there is one. */
#define DESCRIPTOR(selector, low, high)                                                \
    movl $low, gdt + ((selector) & ~7); movl $high, gdt + ((selector) & ~7) + 4

#define DESCRIPTOR_AT(selector, low, high, base)                                       \
    DESCRIPTOR(selector, low, high);                                                   \
    mov $base, %eax; mov $gdt + ((selector) & ~7), %edi; call set_base

/* A gate of the IDT or, with its address, any other. */
#define GATE_AT(address, selector, attributes, target)                                 \
    mov $target, %eax; mov %ax, address; movw $selector, address + 2;                  \
    movw $attributes, address + 4; shr $16, %eax; mov %ax, address + 6

/* Go to ring 3 at a label, with IOPL 0 and data segments that it may have. */
#define TO_RING3(label)                                                                \
    mov $USER_DATA, %eax; mov %eax, %ds; mov %eax, %es;                                \
    pushl $USER_DATA; pushl $ring3_top; pushl $2; pushl $USER_CODE; pushl $label; iret

    .text
    .globl _start
_start:
    lgdt gdt_pointer
    lidt idt_pointer
    ljmp $KERNEL_CODE, $1f
1:  mov $KERNEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov $stack_top, %esp
    /* The addresses of descriptors that the assembler cannot split. */
    mov $tss_main, %eax
    mov $gdt + TSS_MAIN, %edi
    call set_base
    mov $tss_fault, %eax
    mov $gdt + TSS_FAULT, %edi
    call set_base
    mov $small_area, %eax
    mov $gdt + SMALL_DATA, %edi
    call set_base
    mov $gate_target, %eax
    mov %ax, gdt + GATE_INNER
    shr $16, %eax
    mov %ax, gdt + GATE_INNER + 6
    /* 256 interrupt gates: 32 exceptions, the rest to one stub. */
    mov $idt, %edi
    mov $stubs, %esi
    xor %ecx, %ecx
2:  mov %esi, %eax
    mov %ax, (%edi)
    movw $KERNEL_CODE, 2(%edi)
    movw $0xee00, 4(%edi)
    shr $16, %eax
    mov %ax, 6(%edi)
    add $8, %edi
    add $16, %esi
    inc %ecx
    cmp $64, %ecx
    jne 2b
    mov $TSS_MAIN, %eax
    ltr %ax
    jmp program

/* Base %eax into the descriptor at %edi. */
set_base:
    mov %ax, 2(%edi)
    shr $16, %eax
    mov %al, 4(%edi)
    mov %ah, 7(%edi)
    ret

/* Stack: vector, error, EIP, CS, flags and perhaps ESP, SS. */
common_stub:
    push %ss
    pop %ds
    cmpl $0, hook
    je 1f
    jmp *hook
1:  popl got_vector
    popl got_error
    popl got_eip
    popl got_cs
    popl got_flags
    mov $KERNEL_DATA, %eax
    mov %eax, %ss
    mov %eax, %es
    mov resume_esp, %esp
    mov got_vector, %eax
    cmp want_vector, %eax
    jne fail_here
    cmpl $VECTOR_ANY_ERROR, want_error
    je 2f
    mov got_error, %eax
    cmp want_error, %eax
    jne fail_here
2:  jmp *resume

compare:
    push %eax
    mov compare_left, %eax
    cmp compare_right, %eax
    pop %eax
    jne fail_here
    ret

fail_here:
    mov check_line, %eax
/* Print the line, the vector and error of the last exception, and the operands of the
 * last comparison, in hexadecimal; end. */
fail:
    mov %eax, check_line
    movl $-1, want_vector
    mov %cs, %eax
    test $3, %eax
    jz 1f
    hlt /* in ring 3: come back by the exception that this is not */
1:  mov check_line, %eax
    mov $0x3f8, %dx
    push compare_right
    push compare_left
    push got_error
    push got_vector
    push %eax
    mov $5, %edi
1:  pop %ebx
    mov $8, %ecx
2:  rol $4, %ebx
    mov %bl, %al
    and $15, %al
    add $0x30, %al
    cmp $0x39, %al
    jbe 3f
    add $0x27, %al
3:  out %al, %dx
    loop 2b
    mov $0x20, %al
    out %al, %dx
    dec %edi
    jnz 1b
    mov $10, %al
    out %al, %dx
    mov $1, %al
    out %al, $0xf4

pass:
    xor %eax, %eax
    out %al, $0xf4

    .balign 16
stubs:
    .set vector, 0
    .rept 64
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
    pushl $0
    .endif
    pushl $vector
    jmp common_stub
    .set vector, vector + 1
    .endr

    .data
    .balign 16
gdt:
    .quad 0
    .quad 0x00cf9a000000ffff /* kernel code, not accessed yet */
    .quad 0x00cf92000000ffff
    .quad 0x00cffa000000ffff
    .quad 0x00cff2000000ffff
    .quad 0x0000890000000080 /* TSS_MAIN, with room for an I/O bitmap */
    .quad 0x0000890000000067
    .quad 0x004092000000000f
    .quad 0x00c096000000000f - 0x0000000f + 0 /* DOWN_DATA: limit 0, granular */
    .quad 0x00cf90000000ffff
    .quad 0x00cf98000000ffff
    .quad 0x00cf12000000ffff
    .quad 0x0000ec0200080000 /* GATE_INNER: selector 8, two parameters */
    .quad 0x00cf9e000000ffff
    .quad 0x0000820000000017
    .quad 0x00009a000000ffff
    .quad 0x000092000000ffff
    .quad 0x0000e50000300000 /* TASK_GATE to TSS_FAULT, for all rings */
    .fill 12, 8, 0
gdt_pointer:
    .word GDT_LIMIT
    .long gdt
idt_pointer:
    .word 64 * 8 - 1
    .long idt
    .balign 16
tss_main:
    .long 0, ring0_top, KERNEL_DATA
    .fill 22, 4, 0
    .word 0, 0x68 /* I/O bitmap behind the TSS */
    .byte 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
    .byte 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xef, 0xff /* port 74 is open */
    .fill 9, 1, 0xff
    .balign 16
tss_fault:
    .fill 26, 4, 0
small_area:
    .fill 16, 1, 0x5a

    .bss
    .balign 16
idt: .skip 64 * 8
hook: .skip 4
resume: .skip 4
resume_esp: .skip 4
want_vector: .skip 4
want_error: .skip 4
got_vector: .skip 4
got_error: .skip 4
got_eip: .skip 4
got_cs: .skip 4
got_flags: .skip 4
check_line: .skip 4
compare_left: .skip 4
compare_right: .skip 4
    .balign 4096
stack: .skip 4096
stack_top:
ring0: .skip 4096
ring0_top:
ring3: .skip 4096
ring3_top:
    .text
