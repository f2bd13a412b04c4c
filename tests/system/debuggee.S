/* SPDX-License-Identifier: MIT
 *
 * What the sessions of gdb with a pc look at: calls with frames, a `rep`, a table that
 * is written in a loop, timer interrupts and sleeps, an echo of what is typed, paging
 * with a page that has two addresses.  It ends with code 0.
 */
#define COM1 0x3f8
#define EXIT_PORT 0xf4
#define TIMER_VECTOR 0x20
#define ALIAS 0x400000

    .text
    .globl _start, square, outer, timer, fill, done
_start:
    mov $stack_top, %esp
    lgdt gdt_pointer
    ljmp $8, $1f
1:  mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss

/* table[i] = square(i), i = 0 .. 15, but table[11] is overwritten later. */
    xor %esi, %esi
fill:
    mov %esi, %eax
    call outer
    mov %eax, table(, %esi, 4)
    inc %esi
    cmp $16, %esi
    jb fill
    movl $0xbad, table + 44

/* Forty bytes, one after the other. */
    mov $text, %esi
    mov $copy, %edi
    mov $40, %ecx
copying:
    rep movsb

/* The page of `shared` again at ALIAS. */
    mov $pages, %edi
    mov $0x00000003, %eax
2:  stosl
    add $0x1000, %eax
    cmp $pages + 4096, %edi
    jb 2b
    mov $shared + 3, %eax
    mov %eax, alias_pages
    movl $pages + 3, directory
    movl $alias_pages + 3, directory + 4
    mov $directory, %eax
    mov %eax, %cr3
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
paged:
    movl $0x1234, ALIAS
    movl $0x5678, shared + 4

/* Five ticks of the timer, asleep between them. */
    mov $timer, %eax
    mov %ax, idt + 8 * TIMER_VECTOR
    shr $16, %eax
    mov %ax, idt + 8 * TIMER_VECTOR + 6
    movl $0x8e00, %eax
    mov %ax, idt + 8 * TIMER_VECTOR + 4
    movw $8, idt + 8 * TIMER_VECTOR + 2
    lidt idt_pointer
    mov $0x11, %al; out %al, $0x20
    mov $TIMER_VECTOR, %al; out %al, $0x21
    mov $4, %al; out %al, $0x21
    mov $1, %al; out %al, $0x21
    mov $0xfe, %al; out %al, $0x21
    mov $0x34, %al; out %al, $0x43
    mov $0xa9, %al; out %al, $0x40
    mov $4, %al; out %al, $0x40
    sti
sleeping:
    hlt
    cmpl $5, ticks
    jb sleeping
    cli

    mov $message, %esi
3:  lodsb
    test %al, %al
    jz done
    mov $COM1, %dx
    out %al, %dx
    jmp 3b
done:
    fninit
    fld1
    fldpi
    xor %eax, %eax
    mov $EXIT_PORT, %dx
    out %al, %dx
    hlt

outer:
    push %ebp
    mov %esp, %ebp
    sub $8, %esp
    mov %eax, -4(%ebp)
    push -4(%ebp)
    call square
    leave
    ret

square:
    push %ebp
    mov %esp, %ebp
    mov 8(%ebp), %eax
    imul %eax, %eax
    pop %ebp
    ret $4

timer:
    push %eax
    incl ticks
    mov $0x20, %al
    out %al, $0x20
    pop %eax
    iret

    .data
    .globl table, ticks, copy, shared, message
    .balign 8
gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    .word 23
    .long gdt
idt_pointer:
    .word 8 * (TIMER_VECTOR + 1) - 1
    .long idt
text:
    .ascii "The quick brown fox jumps over the lazy."
message:
    .asciz "all is well\n"
ticks:
    .long 0
    .balign 64
table:
    .space 64
copy:
    .space 64
idt:
    .space 8 * (TIMER_VECTOR + 1)
    .balign 4096
shared:
    .space 4096
directory:
    .space 4096
pages:
    .space 4096
alias_pages:
    .space 4096
    .space 1024
stack_top:
    .section .note.GNU-stack, "", @progbits
