/* SPDX-License-Identifier: MIT
 *
 * Paging: error codes, CR2, A and D bits, WP, INVLPG, global and 4 MiB pages, and what
 * the TLB remembers (machine.md 4.6).
 */
#include "common.S"

#define LOW_TABLE 0x401000
#define TEST_TABLE 0x402000
#define DIRECTORY 0x400000
#define TEST_PAGES 0x10000000
#define FRAME_A 0x410000
#define FRAME_B 0x411000
#define TEST_PTE(n) (TEST_TABLE + 4 * (n))
#define PAGE(n) (TEST_PAGES + 0x1000 * (n))

gate_target:

program:
    /* The low 4 MiB and the next as they are, for all. */
    mov $LOW_TABLE, %edi
    mov $7, %eax
1:  mov %eax, (%edi)
    add $0x1000, %eax
    add $4, %edi
    cmp $LOW_TABLE + 0x1000, %edi
    jne 1b
    movl $LOW_TABLE + 7, DIRECTORY
    movl $0x400083, DIRECTORY + 4
    movl $TEST_TABLE + 7, DIRECTORY + 4 * (TEST_PAGES >> 22)
    mov $0x90, %eax /* PSE, PGE */
    mov %eax, %cr4
    mov $DIRECTORY, %eax
    mov %eax, %cr3
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    /* 4 MiB pages get A and D, too. */
    movl $0x1234, FRAME_A
    CHECK(DIRECTORY + 4, $0x4000e3)

    /* Absent: read 0, write 2. */
    EXPECT(14, 0, mov PAGE(0), %eax)
    mov %cr2, %eax
    CHECK(%eax, $PAGE(0))
    EXPECT(14, 2, mov %eax, PAGE(0) + 8)
    mov %cr2, %eax
    CHECK(%eax, $PAGE(0) + 8)
    /* Absent pages are not remembered. */
    movl $FRAME_A + 3, TEST_PTE(0)
    CHECK(PAGE(0), $0x1234)
    CHECK(TEST_PTE(0), $FRAME_A + 0x23)
    movl $0x77, PAGE(0)
    CHECK(TEST_PTE(0), $FRAME_A + 0x63)
    CHECK(FRAME_A, $0x77)
    /* A changed entry counts after INVLPG only. */
    movl $0x88, FRAME_B
    movl $FRAME_B + 3, TEST_PTE(0)
    CHECK(PAGE(0), $0x77)
    invlpg PAGE(0)
    CHECK(PAGE(0), $0x88)
    /* A clear A bit stays clear while the TLB knows the page. */
    movl $FRAME_B + 3, TEST_PTE(0)
    CHECK(PAGE(0), $0x88)
    CHECK(TEST_PTE(0), $FRAME_B + 3)
    mov %cr3, %eax
    mov %eax, %cr3
    CHECK(PAGE(0), $0x88)
    CHECK(TEST_PTE(0), $FRAME_B + 0x23)
    /* The first store through a clean entry walks. */
    movl $0x99, PAGE(0)
    CHECK(TEST_PTE(0), $FRAME_B + 0x63)
    /* Page 1024 of the table shares the index with page 0 and evicts it. */
    movl $FRAME_A + 3, TEST_PTE(0)
    CHECK(PAGE(0), $0x99)
    movl $TEST_TABLE + 7, DIRECTORY + 4 * (TEST_PAGES >> 22) + 4
    CHECK(PAGE(1024), $0x77)
    CHECK(PAGE(0), $0x77)

    /* Read-only: the supervisor may write unless WP. */
    movl $FRAME_A + 1, TEST_PTE(1)
    movl $0x55, PAGE(1)
    mov %cr0, %eax
    or $0x10000, %eax
    mov %eax, %cr0
    EXPECT(14, 3, movl $0x66, PAGE(1))
    EXPECT(14, 3, orl $0, PAGE(1))
    CHECK(FRAME_A, $0x55)

    /* Crossing into an absent page: the address of its first byte, nothing stored. */
    movl $FRAME_A + 3, TEST_PTE(2)
    movl $0, TEST_PTE(3)
    movl $0xaaaaaaaa, FRAME_A + 0xffc
    EXPECT(14, 2, movl $0, PAGE(2) + 0xffe)
    mov %cr2, %eax
    CHECK(%eax, $PAGE(3))
    CHECK(FRAME_A + 0xffc, $0xaaaaaaaa)

    /* Global pages stay when CR3 is loaded, not when PGE changes. */
    movl $FRAME_A + 0x103, TEST_PTE(4)
    CHECK(PAGE(4), $0x55)
    movl $0, TEST_PTE(4)
    mov %cr3, %eax
    mov %eax, %cr3
    CHECK(PAGE(4), $0x55)
    mov $0x10, %eax
    mov %eax, %cr4
    EXPECT(14, 0, mov PAGE(4), %eax)

    /* A fault of CMPXCHG and of a REP in the middle. */
    movl $FRAME_A + 3, TEST_PTE(5)
    movl $0, TEST_PTE(6)
    invlpg PAGE(6)
    mov $FRAME_B, %esi
    mov $PAGE(6) - 8, %edi
    mov $5, %ecx
    EXPECT(14, 2, rep movsl)
    CHECK(%ecx, $3)
    CHECK(%edi, $PAGE(6))
    CHECK(%esi, $FRAME_B + 8)

    /* Ring 3: U = 0 pages, and the bits of its errors. */
    movl $FRAME_A + 3, TEST_PTE(7)
    movl $FRAME_A + 5, TEST_PTE(8)
    movl $0, TEST_PTE(9)
    CHECK(PAGE(7), $0x55)
    TO_RING3(1f)
1:  CHECK(PAGE(8), $0x55)
    EXPECT(14, 5, mov PAGE(7), %eax)
    TO_RING3(1f)
1:  EXPECT(14, 7, movl $1, PAGE(8))
    TO_RING3(1f)
1:  EXPECT(14, 6, movl $1, PAGE(9))
    TO_RING3(1f)
1:  mov $PAGE(7), %eax
    EXPECT(14, 5, jmp *%eax)
    CHECK(got_eip, $PAGE(7))

    /* An instruction across pages whose second page is absent. */
    movl $FRAME_A + 3, TEST_PTE(10)
    movl $0, TEST_PTE(11)
    movb $0xb8, FRAME_A + 0xfff /* mov $..., %eax */
    mov $PAGE(10) + 0xfff, %ecx
    EXPECT(14, 0, jmp *%ecx)
    mov %cr2, %eax
    CHECK(%eax, $PAGE(11))
    CHECK(got_eip, $PAGE(10) + 0xfff)
    /* UD2 at the end of a page does not touch the next one. */
    movw $0x0b0f, FRAME_A + 0xffe
    mov $PAGE(10) + 0xffe, %ecx
    EXPECT(6, 0, jmp *%ecx)
    jmp pass

