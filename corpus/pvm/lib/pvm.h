/* SPDX-License-Identifier: MIT
 *
 * pvm.h - what a C program for the PVM is written with.
 *
 * The same header compiles for the machine you sit at: exports are then found through
 * the section `pvm_exports`, and a host call becomes a call of pvm_native_ecall().  So
 * one source gives a PVM program and a native one to compare it with, without any
 * #ifdef in the program.  Rules: guest-toolchain.md 2 and 3.
 *
 * A guest may use everything integer, __int128, varargs, alloca, computed goto and
 * function pointers; not floating point, thread-local storage, constructors, and not
 * the difference of two labels.  No __int128 through `...`: clang-19 looks for it at a
 * multiple of 16, while lp64e aligns the stack to 8.  `char` is unsigned (natively:
 * -funsigned-char). Memory is set up before the first instruction: there is nothing to
 * initialise.
 */
#ifndef PVM_LIB_PVM_H
#define PVM_LIB_PVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the functions that compilers call, in pvm.c (natively: the C library's) ---- */

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);

/* ---- exports ---- */

/* What the linker reads: entry point `number` (0..63) is `function`.  flags are 0. */
struct pvm_export {
    void (*function)(void);
    uint32_t number;
    uint32_t flags;
};

/* PVM_EXPORT(0, bench); makes `bench` export 0.  Arguments arrive in its first six
 * parameters, its result goes to a0; a struct of two words goes to a0 and a1. */
/* clang-format off */
#define PVM_EXPORT(number, name) PVM_EXPORT_(number, name)
#define PVM_EXPORT_(number_, name)                                                     \
    static const struct pvm_export pvm_export_##name                                   \
        __attribute__((section("pvm_exports"), used, retain)) = {                      \
            (void (*)(void))name, number_, 0}
/* clang-format on */

/* ---- host calls ---- */

struct pvm_answer {
    uint64_t a0;
    uint64_t a1;
};

/*
 * struct pvm_answer pvm_ecalli(number, ...)          number: a constant, -2048..2047
 * struct pvm_answer pvm_ecall(number, x0, x1, x2, x3)   any u32; profile JAVM only
 *
 * Up to six operands go into a0..a5; the answer is a0 and a1.  A host call changes
 * these two and memory, so the compiler keeps all other registers across it.  Operands
 * are numbers: cast pointers with pvm_address().
 */
#define pvm_address(pointer) ((uint64_t)(uintptr_t)(pointer))

#ifdef __riscv

/* clang-format off */
#define pvm_ecalli(...)                                                                \
    PVM_PICK_(__VA_ARGS__, PVM_ECALLI6_, PVM_ECALLI5_, PVM_ECALLI4_, PVM_ECALLI3_,     \
              PVM_ECALLI2_, PVM_ECALLI1_, PVM_ECALLI0_, )(__VA_ARGS__)
/* clang-format on */
#define PVM_PICK_(number, x0, x1, x2, x3, x4, x5, choice, ...) choice

/* Operands are evaluated first: one that calls a function would spoil a0..a5. */
#define PVM_REG_(r, value) register uint64_t r##_ __asm__(#r) = (value)
#define PVM_SINK_(r) register uint64_t r##_ __asm__(#r)
#define PVM_CUSTOM_(funct) ".insn i 0x2b, " #funct ", x0, x0, %[imm]"
#define PVM_ANSWER_ ((struct pvm_answer){a0_, a1_})

#define PVM_ECALLI0_(number)                                                           \
    ({                                                                                 \
        PVM_SINK_(a0);                                                                 \
        PVM_SINK_(a1);                                                                 \
        __asm__ volatile(PVM_CUSTOM_(0)                                                \
                         : "=r"(a0_), "=r"(a1_)                                        \
                         : [imm] "i"(number)                                           \
                         : "memory");                                                  \
        PVM_ANSWER_;                                                                   \
    })
#define PVM_ECALLI1_(number, x0)                                                       \
    ({                                                                                 \
        PVM_REG_(a0, x0);                                                              \
        PVM_SINK_(a1);                                                                 \
        __asm__ volatile(PVM_CUSTOM_(0)                                                \
                         : "+r"(a0_), "=r"(a1_)                                        \
                         : [imm] "i"(number)                                           \
                         : "memory");                                                  \
        PVM_ANSWER_;                                                                   \
    })
#define PVM_ECALLI2_(number, x0, x1)                                                   \
    ({                                                                                 \
        uint64_t x0_ = (x0), x1_ = (x1);                                               \
        PVM_REG_(a0, x0_);                                                             \
        PVM_REG_(a1, x1_);                                                             \
        __asm__ volatile(PVM_CUSTOM_(0)                                                \
                         : "+r"(a0_), "+r"(a1_)                                        \
                         : [imm] "i"(number)                                           \
                         : "memory");                                                  \
        PVM_ANSWER_;                                                                   \
    })
#define PVM_ECALLI3_(number, x0, x1, x2)                                               \
    ({                                                                                 \
        uint64_t x0_ = (x0), x1_ = (x1), x2_ = (x2);                                   \
        PVM_REG_(a0, x0_);                                                             \
        PVM_REG_(a1, x1_);                                                             \
        PVM_REG_(a2, x2_);                                                             \
        __asm__ volatile(PVM_CUSTOM_(0)                                                \
                         : "+r"(a0_), "+r"(a1_)                                        \
                         : "r"(a2_), [imm] "i"(number)                                 \
                         : "memory");                                                  \
        PVM_ANSWER_;                                                                   \
    })
#define PVM_ECALLI4_(number, x0, x1, x2, x3)                                           \
    ({                                                                                 \
        uint64_t x0_ = (x0), x1_ = (x1), x2_ = (x2), x3_ = (x3);                       \
        PVM_REG_(a0, x0_);                                                             \
        PVM_REG_(a1, x1_);                                                             \
        PVM_REG_(a2, x2_);                                                             \
        PVM_REG_(a3, x3_);                                                             \
        __asm__ volatile(PVM_CUSTOM_(0)                                                \
                         : "+r"(a0_), "+r"(a1_)                                        \
                         : "r"(a2_), "r"(a3_), [imm] "i"(number)                       \
                         : "memory");                                                  \
        PVM_ANSWER_;                                                                   \
    })
#define PVM_ECALLI5_(number, x0, x1, x2, x3, x4)                                       \
    ({                                                                                 \
        uint64_t x0_ = (x0), x1_ = (x1), x2_ = (x2), x3_ = (x3), x4_ = (x4);           \
        PVM_REG_(a0, x0_);                                                             \
        PVM_REG_(a1, x1_);                                                             \
        PVM_REG_(a2, x2_);                                                             \
        PVM_REG_(a3, x3_);                                                             \
        PVM_REG_(a4, x4_);                                                             \
        __asm__ volatile(PVM_CUSTOM_(0)                                                \
                         : "+r"(a0_), "+r"(a1_)                                        \
                         : "r"(a2_), "r"(a3_), "r"(a4_), [imm] "i"(number)             \
                         : "memory");                                                  \
        PVM_ANSWER_;                                                                   \
    })
#define PVM_ECALLI6_(number, x0, x1, x2, x3, x4, x5)                                   \
    ({                                                                                 \
        uint64_t x0_ = (x0), x1_ = (x1), x2_ = (x2), x3_ = (x3), x4_ = (x4);           \
        uint64_t x5_ = (x5);                                                           \
        PVM_REG_(a0, x0_);                                                             \
        PVM_REG_(a1, x1_);                                                             \
        PVM_REG_(a2, x2_);                                                             \
        PVM_REG_(a3, x3_);                                                             \
        PVM_REG_(a4, x4_);                                                             \
        PVM_REG_(a5, x5_);                                                             \
        __asm__ volatile(PVM_CUSTOM_(0)                                                \
                         : "+r"(a0_), "+r"(a1_)                                        \
                         : "r"(a2_), "r"(a3_), "r"(a4_), "r"(a5_), [imm] "i"(number)   \
                         : "memory");                                                  \
        PVM_ANSWER_;                                                                   \
    })

/* The number travels in a4; so there is room for four operands. */
#define pvm_ecall(number, x0, x1, x2, x3)                                              \
    ({                                                                                 \
        uint64_t x0_ = (x0), x1_ = (x1), x2_ = (x2), x3_ = (x3), x4_ = (number);       \
        PVM_REG_(a0, x0_);                                                             \
        PVM_REG_(a1, x1_);                                                             \
        PVM_REG_(a2, x2_);                                                             \
        PVM_REG_(a3, x3_);                                                             \
        PVM_REG_(a4, x4_);                                                             \
        __asm__ volatile(PVM_CUSTOM_(1)                                                \
                         : "+r"(a0_), "+r"(a1_)                                        \
                         : "r"(a2_), "r"(a3_), "r"(a4_), [imm] "i"(0)                  \
                         : "memory");                                                  \
        PVM_ANSWER_;                                                                   \
    })

/* Marks the block it stands in as seldom run, for engines that care. */
#define pvm_unlikely() __asm__ volatile(".insn i 0x2b, 2, x0, x0, 0")

#else

/* call[0] is the number, call[1..6] are the operands (0 where there are fewer). */
struct pvm_answer pvm_native_ecall(const uint64_t call[7]);

#define pvm_ecalli(...) pvm_native_ecall((const uint64_t[7]){__VA_ARGS__})
#define pvm_ecall(...) pvm_native_ecall((const uint64_t[7]){__VA_ARGS__})
#define pvm_unlikely() ((void)0)

#endif

/* End the run with a trap. */
#define pvm_panic() __builtin_trap()

/* ---- arguments and results of standard programs ---- */

/* Two registers.  A standard program is
 *     struct pvm_bytes f(struct pvm_bytes args);
 * and what it returns is the run's output. */
struct pvm_bytes {
    const uint8_t *data;
    uint64_t size;
};

/* Take the next argument off the front of arguments that end with NUL each; NULL when
 * there is none.  An argument without its NUL is not one. */
static inline const char *pvm_args(struct pvm_bytes *args)
{
    const uint8_t *start = args->data;
    for (uint64_t i = 0; i < args->size; i++) {
        if (start[i] == 0) {
            args->data += i + 1;
            args->size -= i + 1;
            return (const char *)start;
        }
    }
    args->size = 0;
    return NULL;
}

/* ---- memory ---- */

/* Defined by the linker (and by the native host): the heap that `--heap` asks for and
 * the ends of the stack. */
extern uint8_t __pvm_heap_start[], __pvm_heap_end[];
extern uint8_t __pvm_stack_low[], __pvm_stack_high[];

/* A bump allocator over the heap.  Nothing is freed; a copy of the struct is a mark
 * to go back to. */
struct pvm_arena {
    uint8_t *next;
    uint8_t *end;
};

static inline struct pvm_arena pvm_heap(void)
{
    return (struct pvm_arena){__pvm_heap_start, __pvm_heap_end};
}

/* `size` bytes aligned to 16, or NULL.  They are zero unless a mark was gone back
 * to. */
static inline void *pvm_alloc(struct pvm_arena *arena, uint64_t size)
{
    uint64_t gap = -pvm_address(arena->next) & 15;
    uint64_t room = (uint64_t)(arena->end - arena->next);
    if (gap > room || size > room - gap)
        return NULL;
    uint8_t *block = arena->next + gap;
    arena->next = block + size;
    return block;
}

#endif
