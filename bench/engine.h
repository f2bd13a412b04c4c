/* SPDX-License-Identifier: MIT
 *
 * bench/engine.h - put another PVM engine beside ours.
 *
 * An engine is a shared object that defines bench_engine().  `lockstep-bench
 * --engine=./engine.so recomp` runs the same programs on it, in turn with ours, checks
 * its results and prints its time over that of the native program.  This header is all
 * that it needs, and has nothing of lockstep in it; docs/bench.md tells more, and
 * bench/engine_interp.c is a whole example.
 *
 * Everything happens on one thread.  What load() is given is borrowed until unload(),
 * but for the structs themselves, which are gone when load() returns.
 */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_ENGINE_VERSION 1

enum { BENCH_ENGINE_REG_COUNT = 13 };

/* Part of the guest's memory: `data` and zeros behind it; all else is not mapped. */
struct bench_engine_region {
    uint32_t start; /* a multiple of 4096, like `size` */
    uint64_t size;
    int writable;
    const uint8_t *data;
    size_t data_size;
};

/* A program as pvm-exec.md 6.2 has it, taken apart: code, one bit per byte of it that
 * says where instructions begin, and the jump table, little-endian. */
struct bench_engine_program {
    const uint8_t *code;
    size_t code_size;
    const uint8_t *bitmask;
    const uint8_t *jump;
    uint32_t jump_count, jump_width;
    const struct bench_engine_region *region;
    uint32_t region_count;
};

enum bench_engine_exit {
    BENCH_ENGINE_HALT = 0, /* a jump to 0xffff0000 */
    BENCH_ENGINE_PANIC = 1,
    BENCH_ENGINE_OUT_OF_GAS = 2,
    BENCH_ENGINE_PAGE_FAULT = 3,
    BENCH_ENGINE_FAILED = -1, /* the engine, not the program */
};

struct bench_engine_run {
    uint64_t reg[BENCH_ENGINE_REG_COUNT]; /* at the start, and at the end */
    uint64_t gas;                         /* likewise; one for each instruction */
    /* To be called for `ecalli number`, with the registers in `reg`, which it may
     * change.  0: end with PANIC. */
    int (*call)(void *self, uint64_t number, struct bench_engine_run *run);
    void *self;
};

struct bench_engine {
    uint32_t version; /* BENCH_ENGINE_VERSION */
    const char *name; /* one word */
    /* Compile, or whatever the engine does once per program.  NULL: it cannot. */
    void *(*load)(const struct bench_engine_program *program);
    /* Make the memory of a fresh run.  Not measured.  0: it cannot. */
    int (*prepare)(void *loaded);
    /* Run from pc 0 to the end.  Called twice, the second time in the memory that the
     * first has left; that one is measured.  enum bench_engine_exit. */
    int (*run)(void *loaded, struct bench_engine_run *run);
    void (*unload)(void *loaded);
};

/* What the shared object defines; static storage. */
const struct bench_engine *bench_engine(void);

#ifdef __cplusplus
}
#endif

#endif
